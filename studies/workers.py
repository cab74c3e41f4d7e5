"""Runs that do not depend on each other share the machine's cores."""

import contextlib
import functools
import multiprocessing
import os
import pickle
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

import torch
from tqdm import tqdm

from common.environment import keep_freed_memory
from common.files import Interrupted
from dataset import Data
from studies.cluster import perform_on_cluster
from training.processes import stop_signals
from training.progress import Tally, say
from training.recipe import Run
from training.records import TrainedRun
from training.runs import Folder, collect_metrics, perform, recorded

FEW = 4  # runs


class Named(Protocol):
    """A run, or whatever else is done in a piece and has a name."""

    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)
Found = TypeVar("Found")


def file_name(variant: str) -> str:
    """What the files of a variant's runs are called: "positions-alibi-dropout-0.2"."""
    return re.sub(r"[^\w.]+", "-", variant)


def all_recorded(runs: Iterable[Run], data: Data, folder: Folder) -> dict[Run, TrainedRun]:
    """The records that are there; UserError for one that is of other settings, before anything is written."""
    return {run: record for run in runs if (record := recorded(run, data, folder))}


def perform_all(runs: Sequence[Run], data: Data, folder: Folder, n_workers: int) -> list[TrainedRun]:
    """The records of `runs`: those that are there, and of the others those that are trained now. Of few runs every
    measurement is told as it comes, of many only that they are done."""
    there = all_recorded(runs, data, folder)
    rest = [run for run in runs if run not in there]
    if there:
        say(f"{folder.path}: {len(there)} of {len(runs)} runs are there already", str(folder.path))
    job = functools.partial(perform, data=data, folder=folder, few=len(rest) <= FEW)
    try:
        found = zip(rest, on_cluster(rest, data, folder) if folder.cluster else share_out(job, rest, n_workers, "runs"))
        there |= {run: record for run, record in found if record}  # none but in the first of several processes
        return [there[run] for run in runs if run in there]
    finally:
        collect_metrics(folder)  # of workers that finish at the same time, one may have missed the other's


def on_cluster(runs: Sequence[Run], data: Data, folder: Folder) -> list[TrainedRun]:
    """`perform_on_cluster`, which SIGTERM stops as Ctrl-C does."""
    with _terminated_as_interrupted():
        return perform_on_cluster(runs, data, folder)


def share_out(job: Callable[[Item], Found], items: Sequence[Item], n_workers: int, label: str) -> list[Found]:
    """job(item) of every item, in order, and a line when each is done. Each is computed by as many threads as this
    process has, `n_workers` at a time in processes of their own, so that the numbers are the same whatever the number
    of workers.

    `job` must be picklable; it travels as bytes, for tensors that travel through shared memory leave a traceback when
    their receiver is stopped on the way, and once, as a worker starts: in the queue of the items, what is larger than a
    pipe would keep the parent waiting for ever if the workers are stopped before they read it (Python below 3.11.5).

    A failure, Ctrl-C or SIGTERM stops the workers, whose runs in training save first, and is raised here.
    """
    n_workers = max(1, min(n_workers, len(items)))
    tally = Tally(label, len(items), n_workers)
    if n_workers == 1:
        return [_counted(tally, item, job(item)) for item in items]
    context, told = multiprocessing.get_context("spawn"), (torch.get_num_threads(), pickle.dumps(job))
    with (
        _terminated_as_interrupted(),
        ProcessPoolExecutor(n_workers, context, initializer=_start_worker, initargs=told) as pool,
    ):
        try:
            with _ctrl_c_held():
                futures = {pool.submit(_call, item): item for item in items}  # the first starts the workers
            for future in as_completed(futures):
                _counted(tally, futures[future], future.result())
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise Interrupted("a worker process was killed") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while workers := multiprocessing.active_children():  # a run that is in training saves first, and its worker
                for worker in workers:  # would take up the next one
                    worker.terminate()
                    worker.join(timeout=0.2)
            raise


def _counted(tally: Tally, item: Named, result: Found) -> Found:
    tally.done(item.name)
    return result


@contextlib.contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Within it processes can be started: a signal to stop waits here until its end, and Ctrl-C means nothing to those
    that were started, as long as they live. A terminal sends it to all, and one that is still importing, or still being
    told what to do, would answer with a traceback. The parent answers for them."""
    held = {signal.SIGINT} if hasattr(signal, "pthread_sigmask") else set()  # Windows has none
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held) if held else set()  # which they inherit
    try:
        with stop_signals() as stopped:  # another thread may take what this one holds
            yield
    finally:
        if held:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if stopped():
        raise KeyboardInterrupt


_jobs: list[bytes] = []  # of a worker: the one that it was started for


def _call(item: Named) -> Any:
    """job(item) in a worker; the bytes are those that `share_out` has made, never a file's."""
    return pickle.loads(_jobs[0])(item)


def _start_worker(n_threads: int, job: bytes) -> None:
    _jobs.append(job)
    keep_freed_memory()
    torch.set_num_threads(n_threads)
    tqdm.set_lock(threading.RLock())  # its own is of all processes, and left behind by one that is terminated
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be held
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
