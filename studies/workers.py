"""Runs that do not depend on each other share the machine's cores."""

import contextlib
import functools
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import torch
from tqdm import tqdm

from common.files import Interrupted
from dataset import Data
from training.processes import keep_freed_memory
from training.recipe import Run
from training.records import TrainedRun
from training.runs import Place, collect_metrics, perform

Item = TypeVar("Item")
Found = TypeVar("Found")


def perform_all(runs: Sequence[Run], data: Data, place: Place, n_workers: int) -> list[TrainedRun]:
    """The records of `runs`."""
    try:
        found = share_out(functools.partial(perform, data=data, place=place), runs, n_workers, "runs")
        return [record for record in found if record]  # none of another than the first of several processes
    finally:
        collect_metrics(place)  # of workers that finish at the same time, one may have missed the other's


def share_out(job: Callable[[Item], Found], items: Sequence[Item], n_workers: int, label: str) -> list[Found]:
    """job(item) of every item, in order. Each is computed by as many threads as this process has, `n_workers` at a time
    in processes of their own, so that the numbers are the same whatever the number of workers.

    `job` must be picklable; it travels as bytes,
    for tensors that travel through shared memory leave a traceback when their receiver is stopped on the way.

    A failure, Ctrl-C or SIGTERM stops the workers, whose runs in training save first, and is raised here.
    """
    n_workers = min(n_workers, len(items))
    if n_workers <= 1:
        return [job(item) for item in tqdm(items, desc=label, unit="run", disable=None)]
    context, threads = multiprocessing.get_context("spawn"), (torch.get_num_threads(),)
    with (
        _terminated_as_interrupted(),
        ProcessPoolExecutor(n_workers, context, initializer=_start_worker, initargs=threads) as pool,
    ):
        try:
            sent = functools.partial(_call, pickle.dumps(job))
            return list(tqdm(pool.map(sent, items), total=len(items), desc=label, unit="run", disable=None))
        except BrokenProcessPool as error:
            raise Interrupted("a worker process was killed") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while workers := multiprocessing.active_children():  # a run that is in training saves first, and its worker
                for worker in workers:  # would take up the next one
                    worker.terminate()
                    worker.join(timeout=0.2)
            raise


def _call(job: bytes, item: Item) -> object:
    """job(item) in a worker; the bytes are those that `share_out` has just made, never a file's."""
    return pickle.loads(job)(item)


def _start_worker(n_threads: int) -> None:
    keep_freed_memory()
    torch.set_num_threads(n_threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to every process; outside training the parent answers it
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:  # no worker outlives its parent
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Within it, SIGTERM raises KeyboardInterrupt, as Ctrl-C does; once, for `timeout` sends it twice."""

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
