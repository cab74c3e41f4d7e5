"""Part 1 and part 2 as a user runs them: whole processes, where their time goes, and how far from the bare products."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.contenders import Sizes, Task, token_flops
from benchmarks.timing import Row, measured_peak
from common.files import read_as
from dataset import Data, load_data
from evaluation.statistics import paired_ratio
from speechesdataset.build import ensure_data
from studies.recipes import RECIPES
from training.tasks import MEASUREMENTS_PER_DECODER

HERE = Path(__file__).parent.parent
COMMANDS: dict[str, list[str]] = {"part1": ["part1"], "part2 --ff-dims 256": ["part2", "--ff-dims", "256"]}
TASKS: dict[str, Task] = {"part1": "classifier", "part2 --ff-dims 256": "decoder"}


def timed_processes(data_dir: Path, threads: int, rounds: int) -> list[Row]:
    """Rows for each command: the whole process (median of `rounds`, the first not counted), then its stages."""
    rows = []
    ensure_data(data_dir)
    data = load_data(data_dir, RECIPES["report"]["decoder"].architecture.block_size)  # fills the cache
    for name, command in COMMANDS.items():
        arguments = [*command, "--data-dir", str(data_dir.resolve()), "--threads", str(threads)]
        with tempfile.TemporaryDirectory() as folder:
            outs = [Path(folder) / str(number) for number in range(rounds + 1)]
            whole = [run([str(HERE / "main.py")], arguments, out) for out in outs][1:]
        flops = part_flops(TASKS[name], data)
        share = flops / median(whole) / measured_peak()
        rows.append(Row(name, "whole process", median(whole), min(whole), share_of_peak=share))
        stages, watched = run_stages(arguments)
        stages["start and end of Python"] = watched - sum(stages.values())
        rows += [Row(name, stage, seconds) for stage, seconds in sorted(stages.items(), key=lambda item: -item[1])]
    return rows


def scaling(data_dir: Path, rounds: int) -> list[Row]:
    """Training steps alone of one model, in one process of one thread and shared by two such processes (torchrun)."""
    rows = []
    for name, command in {
        "part1, 3 epochs": ["part1", "--epochs", "3"],
        "part2, 200 iterations": ["part2", "--ff-dims", "256", "--iterations", "200"],
    }.items():
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(rounds + 1):
            for n in seconds:
                launch = ["-m", "torch.distributed.run", f"--nproc-per-node={n}", str(HERE / "main.py")]
                arguments = [*command, "--data-dir", str(data_dir.resolve()), "--threads", "1"]
                seconds[n].append(training_seconds(launch, arguments))
        one, two = (values[1:] for values in seconds.values())
        group = f"training steps of {name}, by processes of one thread"
        rows.append(Row(group, "1 process", median(one), min(one)))
        rows.append(Row(group, "2 processes", median(two), min(two), paired_ratio(two, one), "1 process"))
    return rows


def training_seconds(program: list[str], arguments: list[str]) -> float:
    """What a command says that its training steps took."""
    with tempfile.TemporaryDirectory() as folder:
        run(program, arguments, Path(folder) / "out")
        results = read_as(Path(folder) / "out" / "results.json", dict)
    return float((results["models"][0] if "models" in results else results)["train_seconds"])


def run(program: list[str], arguments: list[str], out: Path) -> float:
    """Seconds of one process, from its start to its end; RuntimeError with its last words if it fails."""
    started = time.perf_counter()
    command = [sys.executable, *program, *arguments, "--out", str(out)]
    ended = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr.strip()[-500:]}")
    return seconds


def run_stages(arguments: list[str]) -> tuple[dict[str, float], float]:
    """Seconds by stage of a watched run, and of that run as a whole."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stages.json"
        seconds = run(["-m", "benchmarks.stages", str(file)], arguments, Path(folder) / "out")
        return read_as(file, dict), seconds


def part_flops(task: Task, data: Data) -> float:
    """Operations in the matrix products of a part: its training steps, and its measurements, each of them once."""
    recipe = RECIPES["report"][task]
    sizes = Sizes(recipe.architecture.block_size, recipe.training.batch_size, len(data.tokenizer))
    if task == "classifier":
        n_train, n_test = len(data.train.labels), len(data.test.labels)
        tokens = recipe.duration * sizes.block_size * (3 * n_train + n_train + n_test)
    else:
        n_measured = sum(len(stream.ids) for stream in (data.train_stream, *data.test_streams.values()))
        tokens = 3 * recipe.duration * sizes.batch_size * sizes.block_size + MEASUREMENTS_PER_DECODER * n_measured
    return tokens * token_flops(task, sizes)
