"""The signals that ask to stop, and the processes that torchrun started to train one model together.

Each of these runs the same command and measures the same things. The first works in the command's folder and speaks for
all; every other one is silent and works in a copy of that folder, which is thrown away. Only here is a batch shared.
"""

import contextlib
import gc
import os
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.distributed
from torch import Tensor, nn

from common.files import Interrupted, UserError, write_bytes

LOST = "lost another process of the group"


def process() -> tuple[int, int]:
    """This process's rank and the number of processes that train together; (0, 1) when alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


@contextlib.contextmanager
def processes() -> Iterator[None]:
    """Within it, the processes that torchrun started know each other; alone, nothing changes.

    What goes wrong in another process than the first becomes a UserError of the first.
    """
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
        with others_alive():
            yield
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it to those that are left, which are ending
        cause: BaseException | None = error
        while cause is not None:  # what was trained hangs on the frames, see below
            traceback.clear_frames(cause.__traceback__)
            cause = cause.__cause__
        if rank > 0 and isinstance(error, UserError):
            store.set("complaint", f"process {rank}: {error}")
        if rank == 0 and LOST in str(error) and store.check(["complaint"]):
            raise UserError(store.get("complaint").decode()) from error
        raise
    finally:
        gc.collect()  # a group that ends before its DistributedDataParallel may wait for ever
        torch.distributed.destroy_process_group()


@contextlib.contextmanager
def others_alive() -> Iterator[None]:
    """Within it, an error that comes of waiting for a process which is gone becomes Interrupted; others stay."""
    try:
        yield
    except RuntimeError as error:
        is_of_group = isinstance(error, torch.distributed.DistError) or "gloo" in str(error)  # which has no type
        if process()[1] == 1 or not is_of_group:
            raise
        raise Interrupted(f"{LOST} ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]


@contextlib.contextmanager
def working_folder(out: Path) -> Iterator[Path]:
    """The folder to work in: `out`, or, in another process than the first, a temporary copy of what the first one has
    there. The processes need no disk in common."""
    rank, world_size = process()
    if world_size == 1:
        yield out
        return
    files = [path for path in out.rglob("*") if path.is_file()] if rank == 0 else []
    contents = [{path.relative_to(out): path.read_bytes() for path in files}]
    torch.distributed.broadcast_object_list(contents)
    with tempfile.TemporaryDirectory() as temporary:
        copied = Path(temporary) / out.name
        copied.mkdir()
        for name, content in contents[0].items() if rank > 0 else ():
            write_bytes(copied / name, content)
        yield copied if rank > 0 else out


def shared(model: nn.Module) -> nn.Module:
    """A model that is called for its loss, shared with the other processes if there are any."""
    if process()[1] == 1:
        return model
    if any(isinstance(module, nn.BatchNorm1d) for module in model.modules()):
        raise UserError("batch norm needs each batch in one piece; leave it out, or train in one process")
    return SharedLoss(model)


class SharedLoss(nn.Module):
    """The loss of a batch of which each process computes a part; DistributedDataParallel averages the gradients.

    Each part's mean is weighted by its share of the items, so that the parts may be uneven.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.rank, self.world_size = process()
        self.parallel = nn.parallel.DistributedDataParallel(model)

    def forward(self, items: Tensor) -> Tensor:
        """A loss whose value is the mean over `items` (n,), and whose gradient is that of this process's part."""
        part = items[self.rank :: self.world_size]
        weight = self.world_size * len(part) / len(items)  # 0 where there are fewer items than processes
        loss = weight * self.parallel(part if len(part) else items[:1])
        mean = loss.detach().clone()
        torch.distributed.all_reduce(mean)
        return loss + (mean / self.world_size - loss.detach())


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
