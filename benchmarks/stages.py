"""Where a command's time goes: `python -m benchmarks.stages FILE part1 ...` runs it, and FILE gets seconds by stage.

A stopwatch is put round the functions that make up each stage, before main.py runs as it always does. Time counts once,
for the innermost stage: pictures without the import of matplotlib, which is with the other imports; and what other
threads and processes do meanwhile, such as evaluation beside the training, counts for what this one waits for.
"""

import builtins
import functools
import importlib
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

Found = TypeVar("Found")

FUNCTIONS = {
    "data": ["dataset:load_data"],
    "training": ["training.loop:train"],
    "waiting for workers that train": ["studies.engine:perform_all"],
    "evaluation": [
        f"training.tasks:{work}.{part}"
        for work in ("ClassifierTask", "DecoderTask")
        for part in ("evaluate", "summarise")
    ],
    "baselines": [
        "evaluation.baselines:majority",
        "evaluation.baselines:linear_models",
        "evaluation.ngrams:KneserNey.fit",
        "evaluation.ngrams:KneserNey.log_probabilities",
    ],
    "pictures": [f"utilities:{kind}_figure" for kind in ("line", "attention", "confusion", "grid", "interval")],
}


class Stopwatch:
    """Seconds by stage, each moment counted for the innermost stage of the main thread."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.running: list[str] = ["rest"]
        self.since = time.perf_counter()

    def lap(self) -> None:
        now = time.perf_counter()
        self.seconds[self.running[-1]] += now - self.since
        self.since = now

    def around(self, stage: str, function: Callable[..., Found]) -> Callable[..., Found]:
        """`function`, with its time counted for `stage`."""

        @functools.wraps(function)
        def timed(*args: object, **options: object) -> Found:
            if threading.current_thread() is not threading.main_thread():
                return function(*args, **options)
            self.lap()
            self.running.append(stage)
            try:
                return function(*args, **options)
            finally:
                self.lap()
                self.running.pop()

        return timed


def watch(stopwatch: Stopwatch) -> None:
    """Put the stopwatch round imports and round the functions of every stage."""
    plain: Callable[..., ModuleType] = builtins.__import__
    timed = stopwatch.around("imports", plain)

    def timed_import(name: str, *rest: object, **options: object) -> ModuleType:
        known = name in sys.modules or stopwatch.running[-1] == "imports"
        return (plain if known else timed)(name, *rest, **options)

    builtins.__import__ = timed_import
    for stage, paths in FUNCTIONS.items():
        for path in paths:
            module, _, inside = path.partition(":")
            names = inside.split(".")
            owner: object = importlib.import_module(module)
            for name in names[:-1]:
                owner = getattr(owner, name)
            wrapped = stopwatch.around(stage, getattr(owner, names[-1]))
            is_class_method = isinstance(vars(owner)[names[-1]], classmethod)
            setattr(owner, names[-1], staticmethod(wrapped) if is_class_method else wrapped)


def main() -> int:
    stopwatch = Stopwatch()
    file, *arguments = sys.argv[1:]
    watch(stopwatch)
    stopwatch.lap()
    stopwatch.seconds["imports"] += stopwatch.seconds.pop("rest")  # until here nothing was done but importing
    sys.argv = ["main.py", *arguments]
    from common.files import write_json
    from main import main as run

    try:
        return run() or 0
    finally:
        stopwatch.lap()
        write_json(Path(file), dict(stopwatch.seconds))


if __name__ == "__main__":
    sys.exit(main())
