"""Looking at the same comparison more than once, with more seeds each time, and paying for it."""

from collections.abc import Sequence
from functools import cache

import numpy as np

N_STUDIES = 20_000  # simulated


def looks_until(most: int, first: int = 5) -> list[int]:
    """The numbers of seeds at which one looks: `first`, twice as many, and so on, and at last `most`."""
    looks = [min(first, most)]
    while looks[-1] < most:
        looks.append(min(2 * looks[-1], most))
    return looks


@cache
def _confidence(looks: tuple[int, ...], confidence: float) -> float:
    from scipy import stats

    values = np.random.default_rng(0).standard_normal((N_STUDIES, looks[-1]))
    surest = np.ones(N_STUDIES)  # the smallest p of each study
    for n in looks:
        seen = values[:, :n]
        t = seen.mean(axis=1) / seen.std(axis=1, ddof=1) * n**0.5
        surest = np.minimum(surest, 2 * stats.t.sf(np.abs(t), n - 1))
    return 1 - float(np.quantile(surest, 1 - confidence))


def confidence_of_looks(looks: Sequence[int], confidence: float = 0.95) -> float:
    """The confidence that the interval must have at every one of the `looks`, so that a difference that is not there is
    told in no more than 5% of studies, whichever look it is told at (Pocock 1977, for Student's t, by simulation). A
    look at one seed tells nothing and costs nothing."""
    telling = tuple(n for n in looks if n > 1)
    return _confidence(telling, confidence) if len(telling) > 1 else confidence
