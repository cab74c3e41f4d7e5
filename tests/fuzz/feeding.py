"""Feeding readers: each input is refused in one line, accepted, or a fault; the faults are kept by their place."""

import contextlib
import io
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from common import console

from .readers import Reader

SLOWEST = 10.0  # seconds that one input may take


@dataclass
class Count:
    """What a reader did with its inputs."""

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    failed: int = 0  # with a traceback, with anything but one line, or not in time
    kinds: Counter[str] = field(default_factory=Counter)  # of failures
    seconds: float = 0.0


def feed(readers: Sequence[Reader], n_inputs: int, seed: int, seconds: float | None = None) -> dict[str, Count]:
    """Feed `readers` with `n_inputs` in all, each with its share, as long as `seconds` are not over."""
    counts = {reader.name: Count() for reader in readers}
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    total, number = sum(reader.share for reader in readers), 0
    draw = Random(seed)
    for number in range(n_inputs):
        if time.monotonic() > end:
            break
        (reader,) = (
            draw.choices(readers, [one.share for one in readers]) if number >= len(readers) else [readers[number]]
        )
        feed_one(reader, Random(f"{seed} {number}"), counts[reader.name], f"seed {seed}, input {number}")
    assert total
    return counts


def feed_one(reader: Reader, random: Random, count: Count, name: str) -> None:
    """One input; what the program would say of it is one line, and its exit code 2."""
    started, errors, output = time.monotonic(), io.StringIO(), io.StringIO()
    code, kind = 0, ""
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(output):
        try:
            code = console.answer(partial(answered, reader, random))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            frames = [
                frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename
            ]
            where = f"{frames[-1].filename.rsplit('/', 2)[-1]}:{frames[-1].lineno}" if frames else "?"
            kind = f"{type(error).__name__} at {where}: {str(error)[:150]}"
    said = [line for line in errors.getvalue().splitlines() if line.startswith("main.py: ")]
    took = time.monotonic() - started
    if code and not kind and len(said) != 1:
        kind = f"{len(said)} lines"
    if code not in (0, 2) and not kind:
        kind = f"exit code {code}: {said[-1][:150] if said else ''}"
    if took > SLOWEST and not kind:
        kind = f"took {took:.0f} s"
    count.inputs += 1
    count.seconds += took
    count.failed += bool(kind)
    count.refused += code == 2 and not kind
    count.accepted += code == 0 and not kind
    if kind:
        count.kinds[kind] += 1
        count.kinds.setdefault(kind, 0)
        if count.kinds[kind] == 1:
            print_now(f"{reader.name} ({name}): {kind}")


def answered(reader: Reader, random: Random) -> int:
    """The exit code of a command that does no more than to read."""
    reader.feed(random)
    return 0


def print_now(line: str) -> None:
    """Say a new kind of failure at once."""
    import sys

    print(line, file=sys.__stderr__, flush=True)


def table(counts: Mapping[str, Count], seconds: float) -> str:
    """The counts as a Markdown table."""
    lines = ["| reader | inputs | refused | accepted | tracebacks |", "|---|--:|--:|--:|--:|"]
    total = Count()
    for name, count in counts.items():
        lines.append(f"| {name} | {count.inputs:,} | {count.refused:,} | {count.accepted:,} | {count.failed:,} |")
        for part in ("inputs", "refused", "accepted", "failed"):
            setattr(total, part, getattr(total, part) + getattr(count, part))
    lines.append(f"| all | {total.inputs:,} | {total.refused:,} | {total.accepted:,} | {total.failed:,} |")
    return "\n".join([*lines, "", f"{seconds / 60:.0f} minutes"])


def troubles(counts: Mapping[str, Count]) -> Iterator[str]:
    """Every kind of failure, with how often it came."""
    for name, count in counts.items():
        for kind, number in count.kinds.most_common():
            yield f"{name}: {number:,} x {kind}"
