"""The processes and signals of a training: torchrun's group, Ctrl-C, memory, and the device."""

import contextlib
import gc
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar, cast

import torch
import torch.distributed

from common.files import Interrupted, OwnError, UserError

Found = TypeVar("Found")

PATIENCE = 3.0  # seconds; the first process may be as far a little later


def process() -> tuple[int, int]:
    """This process's rank and the number of processes that train together (torchrun); (0, 1) when alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


@contextlib.contextmanager
def processes() -> Iterator[None]:
    """Within it, the processes that torchrun started know each other; alone, nothing changes."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    try:
        store, rank, world_size = next(iter(torch.distributed.rendezvous("env://")))
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise UserError(f"no other processes found at {where} ({_first_line(error)}); start with torchrun") from error
    try:
        yield
    except BaseException as error:
        cause: BaseException | None = error
        while cause is not None:  # its frames hold what was trained, see below
            traceback.clear_frames(cause.__traceback__)
            cause = cause.__cause__
        if isinstance(error, UserError) and not said_by_the_first(str(error), store, rank):
            raise OwnError(str(error)) from error
        raise
    finally:
        gc.collect()  # DistributedDataParallel must be gone before the group is: else the two can wait for ever
        torch.distributed.destroy_process_group()


def said_by_the_first(message: str, store: torch.distributed.Store, rank: int) -> bool:
    """Whether the first of the processes ends with the same message, or is gone already; it says its own here."""
    if rank == 0:
        store.set("message", message)
        return True
    ends = time.monotonic() + PATIENCE
    try:
        while not store.check(["message"]):
            if time.monotonic() > ends:
                return False
            time.sleep(0.05)
        return bool(store.get("message").decode() == message)
    except RuntimeError:  # it kept the store, and is gone
        return True


@contextlib.contextmanager
def first_process_first() -> Iterator[None]:
    """The first of the processes that train together goes through the block alone; then the others follow."""
    rank, world_size = process()
    if rank > 0:
        with others_alive():
            torch.distributed.barrier()
    yield
    if world_size > 1 and rank == 0:
        torch.distributed.barrier()


def from_the_first(compute: Callable[[], Found]) -> Found:
    """What `compute` gives in the first of the processes that train together, or the UserError that it raises there, in
    all of them: the others may have no disk in common with it."""
    rank, world_size = process()
    if world_size == 1:
        return compute()
    found: list[Found | UserError | None] = [None]
    if rank == 0:
        try:
            found = [compute()]
        except UserError as error:
            found = [error]
    with others_alive():
        torch.distributed.broadcast_object_list(found)
    if isinstance(found[0], UserError):
        raise found[0]
    return cast(Found, found[0])


@contextlib.contextmanager
def others_alive() -> Iterator[None]:
    """Within it, an error that comes of waiting for a process which is gone becomes Interrupted; others stay."""
    try:
        yield
    except RuntimeError as error:
        of_the_group = isinstance(error, torch.distributed.DistError) or "gloo" in str(error)  # which has no type
        if process()[1] == 1 or not of_the_group:
            raise
        raise Interrupted(f"another process of the group died ({_first_line(error)})") from error


def sum_over_processes(*values: float) -> list[float]:
    """The sum of each of `values` over the processes that train together."""
    if process()[1] == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64)
    torch.distributed.all_reduce(total)
    return total.tolist()


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Within it, Ctrl-C and SIGTERM only take note; the function it gives says whether one came."""
    received: list[int] = []
    previous = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:  # as under nohup: who started this wants it to go on
            continue
        with contextlib.suppress(ValueError):  # not the main thread: signals stay with whoever has them
            previous[number] = signal.signal(number, lambda signal_number, _frame: received.append(signal_number))
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]


def pick_device(name: str) -> torch.device:
    """The device that `--device` names; "auto" takes a GPU if there is one. UserError if it is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        raise UserError(f"--device {name}: not available on this machine; use --device cpu or auto")
    local_rank = os.environ.get("LOCAL_RANK")
    return torch.device(name, int(local_rank)) if name == "cuda" and local_rank else torch.device(name)
