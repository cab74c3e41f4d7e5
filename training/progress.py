"""What is said on standard error while one waits: a line for whatever is done, with what is left, and a bar for the
steps of a training where there is a terminal. A log gets the lines, too: there they are all that shows life."""

import multiprocessing
import sys
import time

from tqdm import tqdm

from common.wording import duration, in_one_line
from training.records import Measurement

WIDTH = 80  # of a line, at most


def say(line: str, name: str = "") -> None:
    """A line on standard error, above the bar if there is one; `name`, that of something in it, gives way where the
    line is too long."""
    line = elided(line.replace(name, elided(name, WIDTH - len(line) + len(name)), 1), WIDTH)
    tqdm.write(in_one_line(line), file=sys.stderr)


class Tally:
    """How many of some things are done, of which so many are in hand at once, in a line for each."""

    def __init__(self, label: str, total: int, at_once: int = 1) -> None:
        self.label, self.total, self.at_once, self.n_done = label, total, at_once, 0
        self.started = time.monotonic()

    def done(self, name: str) -> None:
        """Another thing is done; of one alone, that it is done is seen."""
        self.n_done += 1
        if self.total == 1:
            return
        rounds = (-(-number // self.at_once) for number in (self.n_done, self.total))  # those in hand are nearly done
        say(f"{self.label}: {self.n_done} of {self.total} done ({name}){remaining(self.started, *rounds)}", name)


class Progress:
    """The steps of a training: a bar on the terminal, and a line for each measurement that is to be shown."""

    def __init__(self, label: str, n_steps: int, first: int) -> None:
        self.label, self.n_steps, self.first, self.n_done = label, n_steps, first, first
        self.started = time.monotonic()
        is_worker = multiprocessing.parent_process() is not None  # the bars of several would hide each other
        disable = True if is_worker else None  # None: shown where there is a terminal
        self.bar = tqdm(total=n_steps, initial=first, desc=label, unit="step", disable=disable, leave=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def step(self) -> None:
        """Another step is done."""
        self.n_done += 1
        self.bar.update()

    def show(self, measurement: Measurement, step: int) -> None:
        """Say what was measured after `step`."""
        left = remaining(self.started, self.n_done - self.first, self.n_steps - self.first)
        say(f"{self.label}: {measurement.in_words(step / self.n_steps)}{left}", self.label)


def elided(name: str, width: int) -> str:
    """A name in at most `width` letters, though not under 8, the middle left out: what tells runs apart stands at both
    ends."""
    n_kept = max(8, width) - 3
    n_last = n_kept // 2
    return name if len(name) <= n_kept + 3 else f"{name[: n_kept - n_last]}...{name[-n_last:]}"


def remaining(started: float, n_done: int, total: int) -> str:
    """How long the rest will take if it goes on as since `started`, a reading of the monotonic clock."""
    if n_done >= total:
        return ""
    return f"; {duration((time.monotonic() - started) / n_done * (total - n_done))} left"
