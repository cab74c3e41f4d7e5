"""Runs on the machines of a Ray cluster: it gets code and data from here, and all that it finds is written here."""

import contextlib
import os
import pickle
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import torch

from common.environment import OF_THREADS, keep_freed_memory
from common.files import Interrupted, UserError, write_bytes
from dataset import Data
from training.machine import ROOT, machine, modules
from training.progress import Tally, say
from training.recipe import Run
from training.records import TrainedRun
from training.runs import Folder, keep, perform

PATIENCE = 3.0  # seconds, with an address that does not answer
RETRIES = 5  # of a run whose machine has died, or was stopped


@contextlib.contextmanager
def joined_cluster(address: str, threads: int) -> Iterator[None]:
    """Within it this process belongs to a Ray cluster that runs can be given to, `threads` cores each: "auto", the one
    that this machine is part of; HOST:PORT, the one with this head; or "local", one made of this machine alone.
    UserError, within seconds, if it is not there or too small."""
    try:
        import ray
    except ImportError as error:
        raise UserError("--cluster needs Ray; install it: pip install -r requirements-cluster.txt") from error
    if address not in ("auto", "local"):
        _check_answers(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of who uses it, Ray tells nobody
    before = signal.getsignal(signal.SIGTERM)
    with tempfile.TemporaryDirectory() as temporary:
        _copy_code(Path(temporary))
        shipped = {"working_dir": temporary, "env_vars": OF_THREADS}
        try:
            ray.init(address, runtime_env=shipped, logging_level="ERROR", log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError, SystemExit) as error:
            raise UserError(f"--cluster {address}: no Ray cluster there; start it first: docs/cluster.md") from error
        finally:
            signal.signal(signal.SIGTERM, before)  # Ray has taken it
    try:
        cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        if max(cores) < threads:
            raise UserError(
                f"--threads {threads}: no machine of the cluster has so many cores; ask for at most {max(cores)}"
            )
        say(f"cluster: cores by machine: {', '.join(map(str, cores))}")
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """UserError unless somebody listens there; Ray itself would ask for more than a minute."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, ValueError, OverflowError) as error:  # the last two: the port is no number, or too large
        hint = "give auto, local, or the HOST:PORT of `ray start`"
        raise UserError(f"--cluster {address}: nobody answers ({error}); {hint}") from error


def _copy_code(folder: Path) -> None:
    """What is shipped: the modules that runs are made of, and neither data nor results."""
    for path in modules():
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)


def perform_on_cluster(runs: Sequence[Run], data: Data, folder: Folder) -> list[TrainedRun]:
    """The records of `runs`, trained by the cluster that this process has joined, each as `perform` would here.

    What a run leaves is written when it comes, its record last. A run whose machine dies is trained on another.
    UserError of a run is raised here; Interrupted when its machines have died too often.
    """
    import ray

    takes = {"CPU": torch.get_num_threads(), "GPU": int(folder.device.type == "cuda")}
    there = ray.cluster_resources()
    at_once = min(int(there.get(name, 0) // n) for name, n in takes.items() if n)
    sent, tally = ray.put(pickle.dumps(data)), Tally("runs", len(runs), max(1, at_once))
    task = ray.remote(_perform).options(
        num_cpus=takes["CPU"],
        num_gpus=takes["GPU"],
        max_retries=RETRIES,
        retry_exceptions=[Interrupted],  # by SIGTERM, as where a machine is taken away with notice
    )
    waiting = {task.remote(sent, run, folder.device.type, torch.get_num_threads()): run for run in runs}
    records = {}
    while waiting:
        (done, *_), _ = ray.wait(list(waiting))
        run = waiting.pop(done)
        try:
            record, files = ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayError as error:
            raise Interrupted(
                f"the cluster has lost {run.name} {RETRIES + 1} times ({type(error).__name__})"
            ) from error
        records[run] = _keep(run, record, files, folder)
        tally.done(run.name)
    return [records[run] for run in runs]


def _perform(data: bytes, run: Run, device: str, n_threads: int) -> tuple[TrainedRun, dict[str, bytes]]:
    """On a machine of the cluster: the record of a run, and its other files by their path in the folder of runs."""
    keep_freed_memory()
    torch.set_num_threads(n_threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Folder(Path(temporary), torch.device(device))
        record = perform(run, pickle.loads(data), folder, few=False)
        files = set(folder.path.rglob(f"{run.name}.*")) - {folder.record(run), folder.diverged(run)}
        return record, {str(path.relative_to(temporary)): path.read_bytes() for path in files}


def _keep(run: Run, record: TrainedRun, files: dict[str, bytes], folder: Folder) -> TrainedRun:
    """Write what a run has left. Its machine had this code, but no git to name the commit."""
    here = machine()
    there = msgspec.structs.replace(record.machine, commit=here.commit, dirty=here.dirty)
    record = msgspec.structs.replace(record, machine=there)
    for name, content in files.items():
        write_bytes(folder.path / name, content)
    return keep(record, run, folder)
