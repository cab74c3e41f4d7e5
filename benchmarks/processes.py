"""Part 1 and part 2 as a user runs them: whole processes, where their time goes, and how far from the bare products."""

import math
import os
import shutil
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
from studies.catalogue.recipes import RECIPES, RecipeName
from training.recipe import Recipe
from training.tasks import MEASUREMENTS_PER_DECODER

HERE = Path(__file__).parent.parent
TRAININGS: dict[str, tuple[RecipeName, Task]] = {  # commands that train, the recipe and the task of their (first) model
    "part1": ("report", "classifier"),
    "part2 --ff-dims 256": ("report", "decoder"),
    "part1 --recipe best": ("best", "classifier"),
    "part2 --recipe best": ("best", "decoder"),
}
ANSWERS = {  # commands that use what those have trained
    "classify": ["classify", "We will build on this.", "--model", "part1/classifier.safetensors"],
    "generate": ["generate", "We will", "--model", "part2/decoder-ff256.safetensors"],
    "--help": ["--help"],
}


def timed_processes(data_dir: Path, threads: int, rounds: int) -> list[Row]:
    """Rows for each command that trains: the whole process (median of `rounds`), a step inside it, and its stages; and
    for each that answers at once."""
    rows = []
    ensure_data(data_dir)
    data = load_data(data_dir, RECIPES["report"]["decoder"].architecture.block_size)  # fills the cache
    with tempfile.TemporaryDirectory() as folder:
        for name, (recipe, task) in TRAININGS.items():
            arguments = [*name.split(), "--data-dir", str(data_dir.resolve()), "--threads", str(threads)]
            out, seconds, steps = Path(folder) / recipe / name.split()[0], list[float](), list[float]()
            for _ in range(rounds):
                shutil.rmtree(out, ignore_errors=True)
                seconds.append(run([str(HERE / "main.py")], [*arguments, "--out", str(out)]))
                steps.append(training_seconds(out) / n_steps(RECIPES[recipe][task], data))
            share = part_flops(task, data) / median(seconds) / measured_peak() if recipe == "report" else None
            rows.append(Row(name, "whole process", median(seconds), min(seconds), share_of_peak=share))
            rows.append(Row(name, "a step inside it", median(steps), min(steps)))
            stages, watched = run_stages(arguments)
            stages["start and end of Python"] = watched - sum(stages.values())
            rows += [Row(name, stage, spent) for stage, spent in sorted(stages.items(), key=lambda item: -item[1])]
        for name, command in ANSWERS.items():
            seconds = [run([str(HERE / "main.py")], command, Path(folder) / "report") for _ in range(2 * rounds)]
            rows.append(Row("commands that answer at once", name, median(seconds), min(seconds)))
    return rows


def n_steps(recipe: Recipe, data: Data) -> int:
    """The training steps of a run."""
    if recipe.task == "decoder":
        return recipe.duration
    return recipe.duration * math.ceil(len(data.train.labels) / recipe.training.batch_size)


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
                with tempfile.TemporaryDirectory() as folder:
                    run(launch, [*arguments, "--out", folder])
                    seconds[n].append(training_seconds(Path(folder)))
        one, two = (values[1:] for values in seconds.values())
        group = f"training steps of {name}, by processes of one thread"
        rows.append(Row(group, "1 process", median(one), min(one)))
        rows.append(Row(group, "2 processes", median(two), min(two), paired_ratio(two, one), "1 process"))
    return rows


def training_seconds(out: Path) -> float:
    """What a command says that the training steps of its first model took."""
    results = read_as(out / "results.json", dict)
    return float((results["models"][0] if "models" in results else results)["train_seconds"])


def run(program: list[str], arguments: list[str], folder: Path = HERE) -> float:
    """Seconds of one process, from its start to its end; RuntimeError with its last words if it fails."""
    command = [sys.executable, *program, *arguments]
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    started = time.perf_counter()
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr.strip()[-500:]}")
    return seconds


def run_stages(arguments: list[str]) -> tuple[dict[str, float], float]:
    """Seconds by stage of a watched run, and of that run as a whole."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stages.json"
        seconds = run(["-m", "benchmarks.stages", str(file)], [*arguments, "--out", str(Path(folder) / "out")])
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
