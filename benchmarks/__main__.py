"""`python -m benchmarks`: one table of how fast Orator is here, beside libraries and beside the processor's peak."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from benchmarks.timing import Row

GROWTH: tuple[Literal["length", "vocabulary", "batch", "corpus"], ...] = ("length", "vocabulary", "batch", "corpus")


@dataclass(frozen=True)
class Options:
    """Measure Orator's speed; no other work should run on the machine meanwhile."""

    sections: tuple[Literal["steps", "processes", "growth"], ...] = ("steps", "processes", "growth")
    """training steps beside libraries; part1 and part2 as whole processes; cost as the work grows"""
    growth: tuple[Literal["length", "vocabulary", "batch", "corpus"], ...] = GROWTH
    """what grows"""
    data_dir: Path = Path("speechesdataset")
    """data of the whole processes"""
    out: Path = Path("runs/benchmarks")
    """folder for the pictures and benchmarks.json"""
    threads: int | None = None
    """processor threads (default: one a core)"""
    rounds: int = 40
    """turns of each contender; whole processes run a tenth as often"""
    json: bool = False
    """print the rows as JSON instead of the table"""


def main() -> int:
    options = tyro.cli(Options, prog="python -m benchmarks", config=(tyro.conf.FlagCreatePairsOff,))
    import torch

    from benchmarks import contenders, growth, processes, timing
    from files import write_json
    from runs import machine

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    threads = torch.get_num_threads()
    result: dict[str, Any] = {"machine": machine(), "peak_gflops": timing.measured_peak() / 1e9}
    rows: list[Row] = []
    if "steps" in options.sections:
        for task in contenders.TASKS:
            group = f"training step of the {task}, 16 x 32 tokens"
            flops = contenders.step_flops(task, contenders.Sizes())
            rows += timing.compare(group, contenders.contenders(task), "Orator", flops, options.rounds)
    if "processes" in options.sections:
        rows += processes.timed_processes(options.data_dir, threads, max(1, options.rounds // 10))
    if "growth" in options.sections:
        for axis in options.growth:
            grown = growth.growth(axis, threads)
            growth.growth_figure(options.out / f"growth_{axis}.png", grown)
            rows += grown
    result["rows"] = [row.to_json() for row in rows]
    write_json(options.out / "benchmarks.json", result)
    print(json.dumps(result, indent=2) if options.json else table(result, rows))
    return 0


def table(result: dict[str, Any], rows: Sequence[Row]) -> str:
    """The rows as one Markdown table, under a line that names the machine."""
    machine = result["machine"]
    cells = [["", "time", "fastest", "times as long as Orator", "share of peak", "memory"]]
    for number, row in enumerate(rows):
        if number == 0 or rows[number - 1].group != row.group:
            cells.append([f"**{row.group}**", *[""] * 5])
        ratio = row.against
        cells.append(
            [
                f"{row.name}, {row.size:,}" if row.size else row.name,
                duration(row.seconds),
                duration(row.fastest) if row.fastest else "",
                f"{ratio.mean:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio and ratio.low and ratio.high else "",
                f"{100 * row.share_of_peak:.0f}%" if row.share_of_peak else "",
                f"{row.megabytes:,.0f} MB" if row.megabytes is not None else "",
            ]
        )
    widths = [max(len(line[column]) for line in cells) for column in range(6)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    head = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, torch {machine['torch']}, "
        f"float32 matrix product of 1,024 x 1,024: {result['peak_gflops']:.0f} GFLOP/s"
    )
    return "\n".join([head, "", *lines])


def duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"


if __name__ == "__main__":
    sys.exit(main())
