"""Which differences are real: paired intervals, verdicts, and how many seeds would give one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import exp, inf, log, sqrt

import numpy as np

Values = Sequence[float] | np.ndarray
HOLDS, FAILS, UNCLEAR = "holds", "does not hold", "cannot tell"
CONFIDENCE = 0.95
ONE_SIDED = (1 - CONFIDENCE) / 2  # the chance of an interval that lies wholly on the wrong side of an edge
SHARED_BY_FOLDS = 1 / 4  # test rows divided by training rows, with five folds
MOST_SEEDS = 1000  # what takes more, no number of seeds will settle
N_STUDIES = 20_000  # simulated, for the price of looking more than once


@dataclass(frozen=True)
class Estimate:
    """A paired effect with its interval, of 95% unless something else is said.

    low, high, error and df are None for a single pair, or two that agree exactly.
    """

    mean: float  # of the differences; of ratios the geometric mean
    low: float | None
    high: float | None
    sd: float | None  # of the differences; of ratios the standard deviation of their logarithms
    median: float
    n: int
    error: float | None = None  # the standard error from which the interval is made; of ratios, that of the logarithm
    df: float | None = None  # its degrees of freedom
    ratio: bool = False


@dataclass(frozen=True)
class Verdict:
    """A judgement and the rule that gave it, in words."""

    verdict: str  # HOLDS, FAILS or UNCLEAR
    rule: str
    p: float = 1.0  # the chance, at most, of an estimate that speaks as much against the claim, if it is true


# ---------------------------------------------------------------------------------------------------------- intervals
def paired_difference(a: Values, b: Values, shared: float = 0.0, confidence: float = CONFIDENCE) -> Estimate:
    """How much larger a is than b, pair by pair, a[i] and b[i] of the same seed, with the interval of Student's t.

    `shared`: test rows by training rows, where the pairs are folds, which share training rows and so are more alike
    than independent ones (Nadeau and Bengio 2003). Coverage of 95% in simulation (20,000 draws a figure):

        n                          2        3        5        10       20
        normal differences         95       95       95       95       95
        skewed (exponential)       91       89       88       90       92

    Of a mixture, as where one run in ten fails, few seeds may hold no failure at all, and no interval can know of it:
    judge the runs that trained, and report the share of the others (`share_of`) next to them.
    """
    return _estimate(_finite(a), _finite(b), shared, confidence)


def paired_ratio(a: Values, b: Values, shared: float = 0.0, confidence: float = CONFIDENCE) -> Estimate:
    """a / b pair by pair: the geometric mean with the interval of `paired_difference` over logarithms.

    The median is that of the ratios. All values must be positive.
    """
    x, y = _finite(a), _finite(b)
    if min(x.min(), y.min()) <= 0:
        raise ValueError("a ratio needs positive values")
    return ratio_of_logs(np.log(x), np.log(y), shared, confidence)


def ratio_of_logs(a: Values, b: Values, shared: float = 0.0, confidence: float = CONFIDENCE) -> Estimate:
    """exp(a - b) pair by pair: `paired_ratio` of values whose logarithms are given."""
    return _estimate(_finite(a), _finite(b), shared, confidence, ratio=True)


def _estimate(a: np.ndarray, b: np.ndarray, shared: float, confidence: float, ratio: bool = False) -> Estimate:
    if len(a) != len(b):
        raise ValueError(f"pairs need as many values on both sides, got {len(a)} and {len(b)}")
    values = a - b
    n, sd = len(values), float(values.std(ddof=1)) if len(values) > 1 else None
    if n > 1 and np.ptp(values) < 1e-9:
        sd = 0.0  # exactly, whatever rounding leaves
    mean, median = (np.exp(x) if ratio else x for x in (values.mean(), np.median(values)))
    estimate = Estimate(float(mean), None, None, sd, float(median), n, ratio=ratio)
    if sd is None or (sd == 0 and n == 2):  # that two pairs agree says nothing of their spread
        return estimate
    return with_error(estimate, sd * sqrt(1 / n + shared), n - 1, confidence)


def with_error(estimate: Estimate, error: float, df: float, confidence: float = CONFIDENCE) -> Estimate:
    """`estimate` with the interval of Student's t around it, for this standard error and its degrees of freedom."""
    from scipy import stats

    half = float(stats.t.ppf((1 + confidence) / 2, df)) * error if error else 0.0
    center = _on_scale(estimate, estimate.mean)
    low, high = center - half, center + half
    if estimate.ratio:
        low, high = exp(min(low, 700.0)), exp(min(high, 700.0))
    return replace(estimate, low=low, high=high, error=error, df=df)


def _on_scale(estimate: Estimate, value: float) -> float:
    """A value on the scale of the estimate's error: of a ratio, its logarithm."""
    return log(value) if estimate.ratio else value


def share_of(k: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """k of n as a share in percent, with Wilson's interval."""
    from scipy import stats

    share, interval = 100 * k / n, stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
    return Estimate(share, 100 * float(interval.low), 100 * float(interval.high), None, share, n)


def difference_of_shares(a: Estimate, b: Estimate) -> Estimate:
    """The share `a` less the share `b`, in points, with Newcombe's interval (1998, method 10)."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        raise ValueError("a share has an interval")
    difference = a.mean - b.mean
    low = difference - sqrt((a.mean - a.low) ** 2 + (b.high - b.mean) ** 2)
    high = difference + sqrt((a.high - a.mean) ** 2 + (b.mean - b.low) ** 2)
    return Estimate(difference, low, high, None, difference, min(a.n, b.n))


# ----------------------------------------------------------------------------------------------------------- verdicts
def verdict(
    estimate: Estimate,
    above: float = -inf,
    below: float = inf,
    what: str = "the difference",
    outside: bool = False,
) -> Verdict:
    """Judge the claim that an effect lies above `above` and below `below`; or, `outside`, that it does not.

    A direction is a range open on one side (above=0), "leaves it as it is" a margin round zero (above=-1, below=1), a
    published size a range round it, "differ" what is outside a margin.
    """
    if above == -inf:
        claim = f"is below {below:g}"
    elif below == inf:
        claim = f"is above {above:g}"
    else:
        claim = f"{'does not lie' if outside else 'lies'} between {above:g} and {below:g}"
    rule = f"The claim is that {what} {claim}."
    if estimate.low is None or estimate.high is None:
        return Verdict(UNCLEAR, rule)
    within = estimate.low > above and estimate.high < below
    without = estimate.high <= above or estimate.low >= below
    holds, fails = (without, within) if outside else (within, without)
    # The chance of so low an effect if it lay at the lower end of the range, and of so high a one at the upper end
    so_low, so_high = _chance_of_less(estimate, above, 0), 1 - _chance_of_less(estimate, below, 1)
    p = max(1 - so_low, 1 - so_high) if outside else min(so_low, so_high)
    return Verdict(HOLDS if holds else FAILS if fails else UNCLEAR, rule, p)


def _chance_of_less(estimate: Estimate, edge: float, at_edge: float) -> float:
    """The chance of an effect this low or lower, if it lay at the `edge`; `at_edge` if all pairs lie there."""
    from scipy import stats

    if abs(edge) == inf:
        return float(edge < 0)
    if estimate.error is None or estimate.df is None:
        return 0.5
    gap = _on_scale(estimate, estimate.mean) - _on_scale(estimate, edge)
    if estimate.error == 0:
        return float(gap > 0) if gap else at_edge
    return float(stats.t.cdf(gap / estimate.error, estimate.df))


def chance_of(estimate: Estimate) -> float:
    """The chance of an effect as far from none, in either direction, if there is none; 1 without an interval."""
    if estimate.error is None:
        return 1.0
    so_low = _chance_of_less(estimate, 1.0 if estimate.ratio else 0.0, at_edge=0.5)
    return 2 * min(so_low, 1 - so_low)


def how_judged(confidence: float = CONFIDENCE) -> str:
    """The rule of every verdict, in words, by intervals of that confidence."""
    return (
        f"A claim {HOLDS} where what it says is so of the whole {in_percent(confidence)} interval, and {FAILS} where "
        f"it is so of no part of it; otherwise, and without an interval, the runs {UNCLEAR}."
    )


def in_percent(confidence: float) -> str:
    """95%, or 97.9%."""
    return f"{100 * confidence:.3g}%"


def holm(chances: Sequence[float], level: float) -> list[float]:
    """The level that each of several results must reach, by its `chances` of arising where there is nothing (Holm
    1979): the likeliest of k a k-th of `level`, the next a (k - 1)-th, and so on; 0 for all after one that does not.

    So in no more than that share of studies any result is found that is not there.
    """
    levels, reached = [0.0] * len(chances), True
    for rank, i in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        levels[i] = level / (len(chances) - rank) * (1 + 1e-9) if reached else 0.0
        reached = reached and chances[i] <= levels[i]
    return levels


def of_several(parts: Sequence[Verdict], one_sided: float = ONE_SIDED) -> list[Verdict]:
    """The parts of a claim, of which only those fail that do so by Holm's rule: a true claim fails no oftener for
    having several."""
    levels = holm([part.p for part in parts], one_sided)
    return [
        replace(part, verdict=UNCLEAR) if part.verdict == FAILS and part.p > level else part
        for part, level in zip(parts, levels)
    ]


def all_of(parts: Sequence[Verdict]) -> Verdict:
    """Judge a claim of several parts: it holds when each part does, and fails with any of them (`of_several`)."""
    verdicts = {part.verdict for part in parts}
    rules = " ".join(dict.fromkeys(part.rule for part in parts))
    rule = (
        f"The claim {HOLDS} when each of its {len(parts)} parts does, and {FAILS} when one does not, which must be "
        f"surer the more parts there are (Holm). {rules}"
    )
    return Verdict(FAILS if FAILS in verdicts else HOLDS if verdicts == {HOLDS} else UNCLEAR, rule)


def by_chance(n_claims: int) -> float:
    """The share of studies, in percent, in which some of so many claims holds by chance, if each lies at the edge of
    what it says: the most that can be expected where nothing is as it is claimed."""
    return 100 * (1 - (1 - ONE_SIDED) ** n_claims)


# ----------------------------------------------------------------------------------------------------- how many seeds
def seeds_needed(estimate: Estimate, above: float = -inf, below: float = inf, level: float = ONE_SIDED) -> int | None:
    """About how many seeds it takes until the interval lies wholly on that side of the edges where the mean lies now,
    in 80 of 100 studies, if mean and spread are as they were seen. None: more than MOST_SEEDS, or nobody can know.

    Whatever part of the error is not due to the seeds (but to the test rows, or to rows that folds share) stays as is.
    """
    from scipy import stats

    if not estimate.sd or estimate.error is None:
        return None
    mean = _on_scale(estimate, estimate.mean)
    distances = [abs(mean - _on_scale(estimate, edge)) for edge in (above, below) if abs(edge) < inf]
    if not above < estimate.mean < below:
        distances = [min(distances)]  # outside of the range, the nearer edge is enough
    variance, rest = estimate.sd**2, max(0.0, estimate.error**2 - estimate.sd**2 / estimate.n)

    def power(n: int) -> float:
        error, needed = sqrt(variance / n + rest), stats.t.isf(level, n - 1)
        shifts = [min(distance / error, 20.0) for distance in distances]  # a larger one is sure, and scipy gives nan
        return 1 - sum(float(stats.nct.cdf(needed, n - 1, shift)) for shift in shifts)

    too_few, enough = estimate.n, MOST_SEEDS
    if power(enough) < 0.8:
        return None
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if power(middle) >= 0.8 else (middle, enough)
    return enough


def looks_until(most: int, first: int = 5) -> list[int]:
    """The numbers of seeds at which a study looks at its results: `first`, twice as many, and so on up to `most`."""
    looks = [min(first, most)]
    while looks[-1] < most:
        looks.append(min(2 * looks[-1], most))
    return looks


def confidence_of_looks(looks: Sequence[int], confidence: float = CONFIDENCE) -> float:
    """The confidence that the interval must have at each of the `looks`, so that looking repeatedly finds a difference
    that is not there in no more than 5% of studies (Pocock 1977, for Student's t, by simulation). A look at one seed
    has no interval and costs nothing."""
    with_interval = tuple(n for n in looks if n > 1)
    return _confidence_of_looks(with_interval, confidence) if len(with_interval) > 1 else confidence


@cache
def _confidence_of_looks(looks: tuple[int, ...], confidence: float) -> float:
    from scipy import stats

    values = np.random.default_rng(0).standard_normal((N_STUDIES, looks[-1]))
    smallest_p = np.ones(N_STUDIES)  # of each study
    for n in looks:
        seen = values[:, :n]
        t = seen.mean(axis=1) / seen.std(axis=1, ddof=1) * n**0.5
        smallest_p = np.minimum(smallest_p, 2 * stats.t.sf(np.abs(t), n - 1))
    return 1 - float(np.quantile(smallest_p, 1 - confidence))


def _finite(values: Values) -> np.ndarray:
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ValueError("needs one row of at least one finite number")
    return x
