"""Every random number of a run follows from its seed and what it is for, and from nothing else."""

import hashlib

import torch


def derived_seed(seed: int, *purpose: object) -> int:
    """A seed of 63 bits for one purpose of a run, independent of the seeds of its other purposes."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A generator of its own for one purpose of a run."""
    return torch.Generator().manual_seed(derived_seed(seed, *purpose))
