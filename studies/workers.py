"""Runs that do not depend on each other share the machine's cores."""

import contextlib
import functools
import multiprocessing
import os
import pickle
import re
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from common.console import ignore_interrupts, interrupts_answered
from common.environment import keep_freed_memory
from common.files import Interrupted, sha256
from dataset import Data
from studies.cluster import perform_on_cluster
from training.processes import process, stop_signals
from training.progress import Tally, say
from training.recipe import Run
from training.records import TrainedRun
from training.runs import Folder, collect_metrics, perform, recorded

FEW = 4  # runs
LONGEST_NAME = 60  # characters of a variant in the names of its files

Value = TypeVar("Value")


def file_name(variant: str) -> str:
    """What the files of a variant's runs are called: "positions-alibi-dropout-0.2". The plus stays: 1e+06 is not 1e-06.
    Of a long name its end, where that is in which variants differ, and a hash of all."""
    name = re.sub(r"[^\w.+]+", "-", variant)
    return name if len(name) <= LONGEST_NAME else f"{name[-LONGEST_NAME:].lstrip('-')}-{sha256(variant.encode())[:8]}"


def all_recorded(runs: Iterable[Run], data: Data, folder: Folder) -> dict[Run, TrainedRun]:
    """The records that are there; UserError for one that is of other settings, before anything is written."""
    return {run: record for run in runs if (record := recorded(run, data, folder))}


def perform_all(runs: Sequence[Run], data: Data, folder: Folder, n_workers: int) -> list[TrainedRun]:
    """The records of `runs`: those that are there, and of the others those that are trained now. Of few runs every
    measurement is shown as it comes, of many only that they are done."""
    records = all_recorded(runs, data, folder)
    rest = [run for run in runs if run not in records]
    if records:
        say(f"{folder.path}: {len(records)} of {len(runs)} runs are there already", str(folder.path))
    try:
        if folder.cluster:
            with interrupts_answered():
                trained = perform_on_cluster(rest, data, folder)
        else:
            job = functools.partial(perform, data=data, folder=folder, few=len(rest) <= FEW)
            trained = share_out(job, rest, n_workers, "runs")
    finally:
        collect_metrics(folder)  # of workers that finish at the same time, one may have missed the other's
    records |= zip(rest, trained)
    return [records[run] for run in runs]


def n_at_once(n_workers: int, n_runs: int) -> int:
    """How many of some runs are worked on at the same time; one, where several processes train each model together."""
    return 1 if process()[1] > 1 else max(1, min(n_workers, n_runs))


def share_out(job: Callable[[Run], Value], runs: Sequence[Run], n_workers: int, label: str) -> list[Value]:
    """job(run) of every run, in order, and a line when each is done. Each is computed by as many threads as this
    process has, `n_workers` at a time in worker processes, so the numbers are the same whatever the number of workers.

    `job` must be picklable. It travels as bytes, for tensors in shared memory leave a traceback when their receiver is
    stopped on the way; and in a file, for what is larger than a pipe would keep the parent waiting for ever if a worker
    died before it read it: the parent itself holds the end of the pipe from which the worker reads.

    A failure, Ctrl-C or SIGTERM stops the workers, whose runs in training save first, and is raised here.
    """
    n_workers = n_at_once(n_workers, len(runs))
    tally = Tally(label, len(runs), n_workers)
    if n_workers == 1:
        values = []
        for run in runs:
            values.append(job(run))
            tally.done(run.name)
        return values
    context = multiprocessing.get_context("spawn")
    with interrupts_answered(), tempfile.TemporaryDirectory() as folder:  # which only this user can write to
        file = Path(folder) / "job"
        file.write_bytes(pickle.dumps(job))
        given = (torch.get_num_threads(), file)
        with _ctrl_c_held():  # half made, it would leave a traceback
            pool = ProcessPoolExecutor(n_workers, context, initializer=_start_worker, initargs=given)
        return _values(pool, runs, tally)


def _values(pool: ProcessPoolExecutor, runs: Sequence[Run], tally: Tally) -> list[Any]:
    with pool:
        try:
            with _ctrl_c_held():
                futures = {pool.submit(_call, run): run for run in runs}  # the first starts the workers
            for future in as_completed(futures):
                future.result()
                tally.done(futures[future].name)
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise Interrupted("a worker process was killed") from error
        except BaseException:
            ignore_interrupts()  # a second Ctrl-C would leave a worker behind, and wait for it for ever
            pool.shutdown(wait=False, cancel_futures=True)
            _stop_workers()
            raise


def _stop_workers() -> None:
    """End every worker: a run in training saves first, and its worker would then take up the next one."""
    while workers := multiprocessing.active_children():
        for worker in workers:
            worker.terminate()
            worker.join(timeout=0.2)


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


def _call(run: Run) -> Any:
    """job(run) in a worker; the bytes are those that `share_out` has just written."""
    return pickle.loads(_jobs[0])(run)


def _start_worker(n_threads: int, job: Path) -> None:
    _jobs.append(job.read_bytes())
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
