"""`python -m benchmarks`: how fast Orator is on this machine, compared with libraries."""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from common.environment import before_pytorch

Section = Literal["steps", "processes", "growth"]


@dataclass(frozen=True)
class Options:
    """Measure Orator's speed; no other work should run on the machine meanwhile."""

    sections: tuple[Section, ...] = ("steps", "processes", "growth")
    """training steps, compared with libraries; commands as whole processes; steps as the work grows"""
    data_dir: Path = Path("speechesdataset")
    """data of the whole processes"""
    out: Path = Path("runs/benchmarks")
    """folder for benchmarks.json"""
    threads: int = 1
    """processor threads of a step, or of a command"""
    rounds: int = 40
    """turns of each contender; sizes of what grows have a quarter as many, whole processes a tenth"""
    docs: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Markdown file that gets the tables, between its two marks for benchmarks: docs/speed.md"""


def main(arguments: Sequence[str]) -> None:
    options = tyro.cli(Options, prog="python -m benchmarks", args=arguments)
    before_pytorch(os.environ)  # compute as main.py does
    import torch

    from benchmarks.contenders import GROWTH, TASKS, all_steps, library_step, orator_step
    from benchmarks.processes import timed_processes
    from benchmarks.timing import Benchmark, in_tables, timed_in_turns
    from common.files import write_between_marks, write_json
    from training.machine import machine

    torch.set_num_threads(options.threads)
    rows: list[Benchmark] = []
    if "steps" in options.sections:
        for task in TASKS:
            group = f"Training step of the {task}, 16 x 32 tokens"
            rows += timed_in_turns(group, all_steps(task), options.rounds)
    if "processes" in options.sections:
        rows += timed_processes(options.data_dir, options.threads, max(1, options.rounds // 10))
    if "growth" in options.sections:
        for (task, label), axis in GROWTH.items():
            for name, sizes in axis.items():
                steps = {
                    f"Orator, {name}": orator_step(task, sizes),
                    f"torch.nn, {name}": library_step("torch.nn", task, sizes),
                }
                rows += timed_in_turns(f"Training step of the {task} by {label}", steps, max(2, options.rounds // 4))
    write_json(options.out / "benchmarks.json", {"machine": machine(), "rows": rows})
    text = in_tables(rows, machine())
    if options.docs is not None:
        command = shlex.join(["python", "-m", "benchmarks", *arguments])
        write_between_marks(options.docs, "benchmarks", f"From `{command}`: {text}")
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
