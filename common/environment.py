"""The environment of a process: what torchrun says in it, and what makes imports and allocations fast."""

import contextlib
import ctypes
import sys
from collections.abc import Mapping, MutableMapping
from importlib.util import find_spec, module_from_spec

from common.files import UserError

# Read as PyTorch is imported. On a busy machine, threads that wait awake hold the others up.
OF_THREADS = {"GOMP_SPINCOUNT": "1000"}


def before_pytorch(environment: MutableMapping[str, str]) -> None:
    """Make a process fast that is about to import PyTorch; what the user has set stays."""
    for name, value in OF_THREADS.items():
        environment.setdefault(name, value)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Keep the memory that a step has freed for the next step: glibc hands the larger pieces back, and the kernel
    clears every page anew, which can take a third of an evaluation."""
    trim_threshold, mmap_threshold = -1, -3  # their numbers in malloc.h
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**25)  # the largest that it takes


def import_nltk() -> None:
    """Let parts of NLTK be imported without nltk/__init__.py, which imports all of it, and scipy: a fifth of the
    time."""
    spec = find_spec("nltk")
    if spec is not None:
        sys.modules.setdefault("nltk", module_from_spec(spec))


def rank(environment: Mapping[str, str]) -> int:
    """The number of this process among those that torchrun started, 0 when alone; UserError for an environment that
    torchrun would not have made."""
    if environment.get("WORLD_SIZE", "1") == "1":
        return 0
    try:
        size, number, _ = (int(environment[name]) for name in ("WORLD_SIZE", "RANK", "MASTER_PORT"))
    except (KeyError, ValueError):
        size, number = 0, 0
    if not 0 <= number < size or "MASTER_ADDR" not in environment:
        raise UserError("WORLD_SIZE and RANK are not torchrun's; start with torchrun, or unset WORLD_SIZE")
    return number
