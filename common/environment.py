"""What a process tells others, and torchrun tells it, through the environment."""

import contextlib
import ctypes
from collections.abc import Mapping, MutableMapping

from common.files import UserError

# Read where PyTorch is imported: on a busy machine, threads that wait awake all stand still.
OF_THREADS = {"GOMP_SPINCOUNT": "1000"}


def before_pytorch(environment: MutableMapping[str, str]) -> None:
    """What makes a process fast that is about to import PyTorch; what the user has set stays."""
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
    """The number of this process among those that train together, 0 when alone; UserError for an environment that
    torchrun would not have made."""
    size = _number(environment, "WORLD_SIZE", 1, 10**6, default="1")
    if size == 1:
        return 0
    if "MASTER_ADDR" not in environment:
        raise _wrong("MASTER_ADDR is missing")
    _number(environment, "MASTER_PORT", 1, 65535)
    _number(environment, "LOCAL_RANK", 0, size - 1, default="0")
    return _number(environment, "RANK", 0, size - 1)


def _number(environment: Mapping[str, str], name: str, least: int, greatest: int, default: str | None = None) -> int:
    text = environment.get(name, default)
    if text is None:
        raise _wrong(f"{name} is missing")
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= greatest):
        raise _wrong(f"{name} is {text[:20]!r}, not a number from {least} to {greatest}")
    return int(text)


def _wrong(what: str) -> UserError:
    return UserError(f"the environment is not torchrun's: {what}; start with torchrun, or unset WORLD_SIZE")
