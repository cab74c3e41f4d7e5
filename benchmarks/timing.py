"""Fair timing: contenders take turns in random order in one process, and are compared turn by turn.

What disturbs a machine for a while (its other users, heat) then disturbs all of them, and cancels in the paired ratio.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import torch

from common.checks import Record
from common.wording import counted
from evaluation.statistics import Estimate, paired_ratio
from reporting.table import Table, markdown_tables, numbers, words
from training.records import Machine

Step = Callable[[], object]  # what is timed


class Benchmark(Record, frozen=True):
    """A row of the tables."""

    group: str
    name: str
    seconds: float  # median
    fastest: float
    ratio: Estimate | None = None  # how many times as long as the first of its group it takes


def timed_in_turns(group: str, contenders: Mapping[str, Step], rounds: int) -> list[Benchmark]:
    """Time `contenders` against the first of them; the others are sorted by their time."""
    seconds = interleaved(contenders, rounds)
    (first, base), *others = seconds.items()
    rows = [Benchmark(group, name, median(values), min(values), paired_ratio(values, base)) for name, values in others]
    return [Benchmark(group, first, median(base), min(base)), *sorted(rows, key=lambda row: row.seconds)]


def interleaved(contenders: Mapping[str, Step], rounds: int, repeats: int = 3) -> dict[str, list[float]]:
    """Seconds of a call of each contender, one value a round: the mean of `repeats` calls in a row.

    A tenth of the rounds (at least two) go before as warm-up. The order within a round is random, from a fixed seed.
    """
    shuffle = random.Random(0).shuffle
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-max(2, rounds // 10), rounds):
        shuffle(names)
        for name in names:
            started = clock()
            for _ in range(repeats):
                contenders[name]()
            if turn >= 0:
                seconds[name].append((clock() - started) / repeats)
    return seconds


def clock() -> float:
    """The time in seconds when all work that was given to a GPU is done: calls return before that."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def in_tables(rows: Sequence[Benchmark], machine: Machine) -> str:
    """Markdown: where it was measured, and a table for each group."""
    where = (
        f"{machine.processor}, {machine.cores} cores, {counted(machine.threads, 'thread')}, torch {machine.torch}, "
        f"commit {(machine.commit or 'unknown')[:10]}"
    )
    groups: dict[str, list[list[str | None]]] = {}
    for row in rows:
        ratio = None if row.ratio is None else f"{row.ratio.mean:.2f}"
        if row.ratio is not None and row.ratio.low is not None:
            ratio = f"{ratio} [{row.ratio.low:.2f}, {row.ratio.high:.2f}]"
        groups.setdefault(row.group, []).append([row.name, spelled(row.seconds), spelled(row.fastest), ratio])
    columns = [*words(""), *numbers("median", "fastest", "times as long as Orator")]
    tables = [Table(group, columns, cells) for group, cells in groups.items()]
    return "\n".join([where, "", *markdown_tables(tables)])


def spelled(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"
