"""What a process is told through its environment, and what makes it fast before PyTorch is imported."""

import contextlib
import ctypes
from collections.abc import Mapping, MutableMapping

from common.files import UserError

# Read where PyTorch is imported: on a busy machine, threads that wait awake all stand still.
OF_THREADS = {"GOMP_SPINCOUNT": "1000"}


def before_pytorch(environment: MutableMapping[str, str]) -> None:
    """Make a process fast that is about to import PyTorch; what the user has set stays."""
    for name, value in OF_THREADS.items():
        environment.setdefault(name, value)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let memory that a step has freed stay with the process, for the next step: glibc hands the larger pieces back,
    and the kernel clears every page anew, which can take a third of an evaluation."""
    trim_threshold, mmap_threshold = -1, -3  # their numbers in malloc.h
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**25)  # the most that it takes


def rank(environment: Mapping[str, str]) -> int:
    """The number of this process among those that torchrun started, 0 when alone; UserError for an environment that
    torchrun would not have made."""
    if environment.get("WORLD_SIZE", "1") == "1":
        return 0
    size, number, port = (environment.get(name, "") for name in ("WORLD_SIZE", "RANK", "MASTER_PORT"))
    are_numbers = all(text.isascii() and text.isdigit() and len(text) < 10 for text in (size, number, port))
    if not are_numbers or int(number) >= int(size) or "MASTER_ADDR" not in environment:
        raise UserError("WORLD_SIZE and RANK are not torchrun's; start with torchrun, or unset WORLD_SIZE")
    return int(number)
