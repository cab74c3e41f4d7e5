"""Fair timing: contenders take turns in random order in one process, and each is compared with another turn by turn.

What disturbs a machine for a while (its other users, heat) then disturbs all of them, and cancels in the paired ratio.
"""

import random
import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

from common.records import Record
from evaluation.statistics import Estimate, paired_ratio

PRODUCT = 1024  # side of the square float32 matrices whose product stands for the machine's peak
PRODUCT_FLOPS = 2 * PRODUCT**3


class Row(Record, frozen=True):
    """A line of the table. `against` is how many times as long as `yardstick` this takes (in growth: nothing)."""

    group: str
    name: str
    seconds: float  # median
    fastest: float | None = None
    against: Estimate | None = None
    yardstick: str = ""
    share_of_peak: float | None = None
    megabytes: float | None = None  # of 1,048,576 bytes
    tokens: int | None = None  # that it reads
    size: int | None = None  # where it grows


def interleaved(
    contenders: Mapping[str, Callable[[], object]], rounds: int, repeats: int = 3
) -> dict[str, list[float]]:
    """Seconds of one call of each contender, a value a round; a value is the mean of `repeats` calls in a row.

    A tenth of the rounds (at least two) go before as warm-up. The order within a round is random, from a fixed seed.
    """
    shuffle = random.Random(0).shuffle
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-max(2, rounds // 10), rounds):
        shuffle(names)
        for name in names:
            contender = contenders[name]
            started = time.perf_counter()
            for _ in range(repeats):
                contender()
            if turn >= 0:
                seconds[name].append((time.perf_counter() - started) / repeats)
    return seconds


def matrix_product() -> Callable[[], object]:
    """A large float32 product: the contender that stands for the machine's peak."""
    a, b, out = (torch.randn(PRODUCT, PRODUCT) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)


def measured_peak(rounds: int = 30) -> float:
    """Floating-point operations a second of the matrix product at its fastest, at the present number of threads."""
    return PRODUCT_FLOPS / min(interleaved({"product": matrix_product()}, rounds)["product"])


def compare(
    group: str, contenders: Mapping[str, Callable[[], object]], yardstick: str, flops: float, rounds: int
) -> list[Row]:
    """Time `contenders`, each with `flops` operations in matrix products, against `yardstick` and the peak."""
    seconds = interleaved({**contenders, "": matrix_product()}, rounds)
    products = seconds.pop("")
    rows = []
    for name, values in seconds.items():
        of_peak = [flops / value / (PRODUCT_FLOPS / product) for value, product in zip(values, products, strict=True)]
        against = None if name == yardstick else paired_ratio(values, seconds[yardstick])
        rows.append(Row(group, name, median(values), min(values), against, yardstick, median(of_peak)))
    return rows
