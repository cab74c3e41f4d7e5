"""`python -m benchmarks`: one table of how fast Orator is here, beside libraries and beside the processor's peak."""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from benchmarks.threads import timed_threads
from benchmarks.timing import PRODUCT, Row
from commands.options import Common
from common.environment import before_pytorch
from common.records import Record
from common.wording import counted
from training.records import Machine

Section = Literal["steps", "options", "threads", "processes", "scaling", "growth"]
SECTIONS: tuple[Section, ...] = ("steps", "options", "threads", "processes", "scaling", "growth")
Axis = Literal["length", "vocabulary", "batch", "width", "corpus"]
GROWTH: tuple[Axis, ...] = ("length", "vocabulary", "batch", "width", "corpus")
MARK = "benchmarks"


@dataclass(frozen=True)
class Options:
    """Measure Orator's speed; no other work should run on the machine meanwhile.

    `python -m benchmarks losses REV1 REV2` says instead whether two commits give the same numbers."""

    sections: tuple[Section, ...] = SECTIONS
    """training steps beside libraries and by kind of operation, in bf16, and by threads; commands as whole processes,
    and shared by two processes; cost as the work grows"""
    growth: tuple[Axis, ...] = GROWTH
    """what grows"""
    data_dir: Path = Path("speechesdataset")
    """data of the whole processes"""
    out: Path = Path("runs/benchmarks")
    """folder for the pictures and benchmarks.json"""
    threads: int = Common.threads
    """processor threads of a step, or of a command"""
    rounds: int = 40
    """turns of each contender; whole processes run a tenth as often"""
    json: bool = False
    """print the rows as JSON instead of the table"""
    docs: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Markdown file that gets the table, between its two marks for benchmarks: docs/speed.md"""


class Benchmarks(Record, frozen=True):
    """benchmarks.json."""

    machine: Machine
    rows: list[Row]


def main() -> int:
    if sys.argv[1:2] == ["losses"]:
        from benchmarks import losses

        return losses.main(sys.argv[2:])
    options = tyro.cli(Options, prog="python -m benchmarks", config=(tyro.conf.FlagCreatePairsOff,))
    before_pytorch(os.environ)
    import torch

    from benchmarks import contenders, growth, processes, profile, timing
    from benchmarks import options as choices
    from common.files import as_json, write_between_marks, write_json
    from training.machine import machine

    torch.set_num_threads(options.threads)
    rows: list[Row] = []
    if "steps" in options.sections:
        for task in contenders.TASKS:
            group = f"training step of the {task}, 16 x 32 tokens"
            flops = contenders.step_flops(task, contenders.Sizes())
            first, *others = timing.compare(group, contenders.contenders(task), "Orator", flops, options.rounds)
            rows += [first, *sorted(others, key=lambda row: row.seconds)]
            rows += profile.profiled(task, options.rounds)
    if "options" in options.sections:
        for task in contenders.TASKS:
            rows += choices.timed_options(task, options.rounds)
    if "threads" in options.sections:
        rows += timed_threads(os.cpu_count() or 1)
    if "processes" in options.sections:
        rows += processes.timed_processes(options.data_dir, options.threads, max(1, options.rounds // 10))
    if "scaling" in options.sections:
        rows += processes.scaling(options.data_dir, max(1, options.rounds // 10))
    if "growth" in options.sections:
        for axis in options.growth:
            grown = growth.growth(axis, options.threads)
            growth.growth_figure(options.out / f"growth_{axis}.png", grown)
            rows += grown
    result = Benchmarks(machine(), rows)
    write_json(options.out / "benchmarks.json", result)
    text = table(result)
    if options.docs is not None:
        write_between_marks(
            options.docs, MARK, f"From `{shlex.join(['python', '-m', 'benchmarks', *sys.argv[1:]])}`: {text}"
        )
    print(as_json(result) if options.json else text)
    return 0


def table(result: Benchmarks) -> str:
    """The rows as Markdown tables, under a line that names the machine: one of what is compared, one of each growth."""
    from benchmarks import growth

    machine = result.machine
    head = (
        f"{machine.processor}, {machine.cores} cores, {counted(machine.threads, 'thread')}, torch {machine.torch}, "
        f"commit {(machine.commit or 'unknown')[:10]}; the peak is that of float32 matrix products of {PRODUCT:,} x "
        f"{PRODUCT:,} in the same run"
    )
    groups: dict[str, list[Row]] = {}
    for row in result.rows:
        groups.setdefault(row.group, []).append(row)
    compared = [compared_cells(group, found) for group, found in groups.items() if not found[0].size]
    header = ["", "time", "fastest", "times as long as the first", "share of peak"]
    tables = [markdown(header, [line for lines in compared for line in lines])] if compared else []
    tables += [markdown(*growth_cells(group, found)) for group, found in groups.items() if found[0].size]
    wide = [row.size for row in result.rows if row.size and row.group.startswith("growth: width")]
    return "\n\n".join([head, *tables, *([growth.on_a_gpu(max(wide))] if wide else [])])


def compared_cells(group: str, rows: Sequence[Row]) -> list[list[str]]:
    """A line for the group, and one for each of its rows."""
    lines = [[f"**{group}**", *[""] * 4]]
    for row in rows:
        ratio = row.against
        lines.append(
            [
                row.name,
                duration(row.seconds),
                duration(row.fastest) if row.fastest else "",
                f"{ratio.mean:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio and ratio.low and ratio.high else "",
                f"{100 * row.share_of_peak:.0f}%" if row.share_of_peak else "",
            ]
        )
    return lines


def growth_cells(group: str, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """A column for each size, a line for each thing that grows: time and peak memory."""
    sizes = sorted({row.size for row in rows if row.size})
    found = {(row.name, row.size): growth_cell(row) for row in rows}
    lines = [
        [name, *(found.get((name, size), "") for size in sizes)] for name in dict.fromkeys(row.name for row in rows)
    ]
    return [group, *(f"{size:,}" for size in sizes)], lines


def growth_cell(row: Row) -> str:
    """Time, peak memory, and that by token where there is one."""
    if not row.megabytes:
        return duration(row.seconds)
    per_token = f", {2**20 * row.megabytes / row.tokens:,.0f} B/token" if row.tokens else ""
    return f"{duration(row.seconds)}, {row.megabytes:,.0f} MB{per_token}"


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table that also reads well as it is."""
    widths = [max(len(line[column]) for line in (header, *lines)) for column in range(len(header))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in (header, *lines)
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"


if __name__ == "__main__":
    sys.exit(main())
