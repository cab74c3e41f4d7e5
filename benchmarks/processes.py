"""Part 1, part 2 and the quick answers as a user runs them: whole processes."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.timing import Benchmark
from dataset import load_data
from speechesdataset.build import ensure_data

CHECKOUT = Path(__file__).parent.parent
TRAININGS = ("part1", "part2 --ff-dims 256", "part1 --recipe best", "part2 --recipe best")  # commands that train
ANSWERS = {  # commands that use what the first two have trained
    "classify": ["classify", "We will build on this.", "--model", "part1/classifier.safetensors"],
    "generate": ["generate", "We will", "--model", "part2/decoder-ff256.safetensors"],
    "--help": ["--help"],
}


def timed_processes(data_dir: Path, threads: int, rounds: int) -> list[Benchmark]:
    """Seconds of each command that trains, and of each that answers at once."""
    ensure_data(data_dir)
    load_data(data_dir, block_size=32)  # the tokens of each text are kept on disk from now on
    options = ["--data-dir", str(data_dir.resolve()), "--threads", str(threads)]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for command in TRAININGS:
            folder = Path(temporary) / ("best" if "best" in command else "report") / command.split()[0]
            seconds = []
            for _ in range(rounds):
                shutil.rmtree(folder, ignore_errors=True)
                seconds.append(process_seconds([*command.split(), *options, "--out", str(folder)]))
            rows.append(Benchmark("Commands that train", command, median(seconds), min(seconds)))
        for name, arguments in ANSWERS.items():
            seconds = [process_seconds(arguments, Path(temporary) / "report") for _ in range(2 * rounds)]
            rows.append(Benchmark("Commands that answer at once", name, median(seconds), min(seconds)))
    return rows


def process_seconds(arguments: list[str], folder: Path = CHECKOUT) -> float:
    """Seconds of one run of main.py in `folder`; RuntimeError with its last words if it fails."""
    command = [sys.executable, str(CHECKOUT / "main.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    started = time.perf_counter()
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {process.stderr.strip()[-500:]}")
    return seconds
