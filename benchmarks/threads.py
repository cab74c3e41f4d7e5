"""How many threads a step should have, and how long they may wait awake: on an idle machine, and beside another run.

A thread that waits awake is there at once when the next operator begins; while it waits, it takes a core from whoever
else would compute. GOMP_SPINCOUNT, how many turns it waits before it sleeps, is read where PyTorch is imported, so each
measurement is a process: `python -m benchmarks.threads N` prints the seconds of steps, with N threads.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from statistics import median

from benchmarks.timing import Row
from common.environment import OF_THREADS, before_pytorch
from common.wording import counted

SPINS = ("1000", "10000", "100000", "infinite")
SECONDS = 3.0  # of each task, after as many steps as a warm-up takes
WARM_UP = 20


def timed_threads(n_cores: int) -> list[Row]:
    """A step of each task with one thread, and with one per core for each of SPINS, alone and beside another process
    that does the same; the first row of each group is how the product runs."""
    product = OF_THREADS["GOMP_SPINCOUNT"]
    settings = [(1, product), *((n_cores, spin) for spin in SPINS if n_cores > 1)]
    found = {(busy, *one): measured(*one, busy) for busy in (False, True) for one in settings}
    rows = []
    for task in next(iter(found.values())):
        for busy in (False, True):
            group = f"training step of the {task}, {'beside another process that trains' if busy else 'alone'}"
            for n_threads, spin in settings:
                waiting = "" if n_threads == 1 else f", GOMP_SPINCOUNT {spin}"
                seconds = found[busy, n_threads, spin][task]
                rows.append(Row(group, counted(n_threads, "thread") + waiting, median(seconds), min(seconds)))
    return rows


def measured(n_threads: int, spin: str, busy: bool) -> Mapping[str, list[float]]:
    """Seconds of steps, by task, with so many threads; `busy`: beside another process that does the same."""
    command = [sys.executable, "-m", "benchmarks.threads", str(n_threads)]
    environment = os.environ | {"GOMP_SPINCOUNT": spin}
    others = [subprocess.Popen([*command, "for good"], env=environment)] if busy else []
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    finally:
        for other in others:
            other.kill()
            other.wait()
    return dict(json.loads(ended.stdout))


def main(n_threads: int, for_good: bool) -> None:
    """Print the seconds of steps of each task, or take steps for good."""
    before_pytorch(os.environ)
    import torch

    from benchmarks.contenders import TASKS, our_step

    torch.set_num_threads(n_threads)
    found: dict[str, list[float]] = {}
    while not found or for_good:
        for task in TASKS:
            step, seconds = our_step(task), list[float]()
            while sum(seconds) < SECONDS or len(seconds) < 2 * WARM_UP:
                started = time.perf_counter()
                step()
                seconds.append(time.perf_counter() - started)
            found[task] = seconds[WARM_UP:]
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), for_good=len(sys.argv) > 2)
