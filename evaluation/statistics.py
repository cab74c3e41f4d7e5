"""Which differences are real: summaries over seeds, paired intervals, verdicts, and how many seeds would give one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log, sqrt

import numpy as np

Values = Sequence[float] | np.ndarray
HOLDS, FAILS, UNCLEAR = "holds", "does not hold", "cannot tell"
CONFIDENCE = 0.95
ONE_SIDED = (1 - CONFIDENCE) / 2  # the chance of an interval that lies wholly on the wrong side of an edge
SHARED_BY_FOLDS = 1 / 4  # test rows by training rows, of five folds
MOST_SEEDS = 1000  # what takes more is not told by seeds


@dataclass(frozen=True)
class Summary:
    """Values over seeds; sd divides by n - 1 and is None for one value. dataclasses.asdict makes it JSON."""

    mean: float
    sd: float | None
    min: float
    max: float
    n: int


@dataclass(frozen=True)
class Estimate:
    """A paired effect with its interval, of 95% unless it is said to be of more.

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
    """A judgement and the rule that gave it, in words that can stand beside it."""

    verdict: str  # HOLDS, FAILS or UNCLEAR
    rule: str
    p: float = 1.0  # at most the chance of an estimate that speaks so much against the claim, if it were true


def summary(values: Values) -> Summary:
    """Mean, standard deviation, range and number of `values`; ValueError when there are none."""
    x = _finite(values)
    sd = float(x.std(ddof=1)) if len(x) > 1 else None
    return Summary(float(x.mean()), sd, float(x.min()), float(x.max()), len(x))


def interquartile_mean(values: Values) -> float:
    """The mean without the lowest and the highest quarter, so that a run that failed does not move it (Agarwal et al.
    2021)."""
    from scipy import stats

    return float(stats.trim_mean(_finite(values), 0.25))


# ---------------------------------------------------------------------------------------------------------- intervals
def paired_difference(a: Values, b: Values, shared: float = 0.0, confidence: float = CONFIDENCE) -> Estimate:
    """How much larger a is than b, pair by pair, a[i] and b[i] of the same seed, with the interval of Student's t.

    `shared`: test rows by training rows, where the pairs are folds, which share training rows and so are more alike
    than independent ones (Nadeau and Bengio 2003). Coverage of 95% in simulation (20,000 draws a figure):

        n                          2        3        5        10       20
        normal differences         95       95       95       95       95
        skewed (exponential)       91       89       88       90       92

    Of a mixture, as where one run in ten fails, few seeds may hold no failure at all, and no interval can know of it:
    judge the runs that trained, and the share of the others (`share_of`) beside them.
    """
    differences = _differences(a, b)
    return _estimate(differences, float(np.median(differences)), shared, confidence)


def paired_ratio(a: Values, b: Values, shared: float = 0.0, confidence: float = CONFIDENCE) -> Estimate:
    """a / b pair by pair, for times: the geometric mean with the interval of `paired_difference` over logarithms.

    The median is that of the ratios. All values must be positive.
    """
    x, y = _finite(a), _finite(b)
    if min(x.min(), y.min()) <= 0:
        raise ValueError("a ratio needs positive values")
    return ratio_of_logs(np.log(x), np.log(y), shared, confidence)


def ratio_of_logs(a: Values, b: Values, shared: float = 0.0, confidence: float = CONFIDENCE) -> Estimate:
    """exp(a - b) pair by pair, as `paired_ratio` of what these are the logarithms of."""
    logs = _differences(a, b)
    found = replace(
        _estimate(logs, float(np.exp(np.median(logs))), shared), mean=float(np.exp(logs.mean())), ratio=True
    )
    return found if found.error is None or found.df is None else with_error(found, found.error, found.df, confidence)


def with_error(estimate: Estimate, error: float, df: float, confidence: float = CONFIDENCE) -> Estimate:
    """`estimate` with the interval of Student's t round it."""
    from scipy import stats

    half = float(stats.t.ppf((1 + confidence) / 2, df)) * error if error else 0.0
    to, back = _scale(estimate)
    low, high = (back(to(estimate.mean) + side * half) for side in (-1, 1))
    return replace(estimate, low=low, high=high, error=error, df=df)


def share_of(k: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """k of n as a share in percent, with Wilson's interval."""
    from scipy import stats

    share, found = 100 * k / n, stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
    return Estimate(share, 100 * float(found.low), 100 * float(found.high), None, share, n)


def difference_of_shares(a: Estimate, b: Estimate) -> Estimate:
    """The share `a` less the share `b`, in points, with Newcombe's interval (1998, method 10)."""
    (a_low, a_high), (b_low, b_high) = _ends(a), _ends(b)
    difference = a.mean - b.mean
    low = difference - sqrt((a.mean - a_low) ** 2 + (b_high - b.mean) ** 2)
    high = difference + sqrt((a_high - a.mean) ** 2 + (b.mean - b_low) ** 2)
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
    over, under = _chance_of_less(estimate, above, 0), 1 - _chance_of_less(estimate, below, 1)  # small: it is not so
    p = max(1 - over, 1 - under) if outside else min(over, under)
    return Verdict(HOLDS if holds else FAILS if fails else UNCLEAR, rule, p)


def how_judged(confidence: float = CONFIDENCE) -> str:
    """The rule of every verdict, in words, by intervals of that confidence."""
    return (
        f"A claim {HOLDS} where what it says is so of the whole {in_percent(confidence)} interval, and {FAILS} where "
        f"it is so of no part of it; otherwise, and without an interval, the runs {UNCLEAR}."
    )


def in_percent(confidence: float) -> str:
    """95%, or 97.9%."""
    return f"{100 * confidence:.3g}%"


def of_several(parts: Sequence[Verdict], one_sided: float = ONE_SIDED) -> list[Verdict]:
    """The parts of a claim, of which only those fail that do so by Holm's rule: the likeliest failure of k must be k
    times as sure as one alone, the next k - 1 times, and so on. Then true claims fail no oftener for having parts."""
    order = sorted(range(len(parts)), key=lambda place: parts[place].p)
    found, failing = list(parts), True
    for rank, place in enumerate(order):
        failing = failing and parts[place].p <= one_sided / (len(parts) - rank) * (1 + 1e-9)
        if parts[place].verdict == FAILS and not failing:
            found[place] = replace(parts[place], verdict=UNCLEAR)
    return found


def all_of(parts: Sequence[Verdict]) -> Verdict:
    """Judge a claim of several parts: it holds when each part does, and fails with any of them (`of_several`)."""
    found = {part.verdict for part in parts}
    rules = " ".join(dict.fromkeys(part.rule for part in parts))
    rule = (
        f"The claim {HOLDS} when each of its {len(parts)} parts does, and {FAILS} when one does not, which must be "
        f"surer the more parts there are (Holm). {rules}"
    )
    return Verdict(FAILS if FAILS in found else UNCLEAR if UNCLEAR in found or not found else HOLDS, rule)


def by_chance(n_claims: int) -> float:
    """The share of studies, in percent, in which some of so many claims holds by chance, if each lies at the edge of
    what it says: the most that can be expected where nothing is as it is claimed."""
    return 100 * (1 - (1 - ONE_SIDED) ** n_claims)


# -------------------------------------------------------------------------------------------------------------- power
def seeds_needed(estimate: Estimate, above: float = -inf, below: float = inf, level: float = ONE_SIDED) -> int | None:
    """With about how many seeds in all the interval lies wholly on that side of the edges where the mean lies now, in
    80 of 100 studies, if mean and spread are as they were seen. None: not with MOST_SEEDS, or nobody can know.

    What of the error is not the seeds' (that of the test rows, or of rows that folds share) stays as it is.
    """
    from scipy import stats

    if not estimate.sd or estimate.error is None:
        return None
    to, _ = _scale(estimate)
    gaps = [to(estimate.mean) - to(edge) for edge in (above, below) if abs(edge) < inf]
    inside = above < estimate.mean < below
    distances = [abs(gap) for gap in gaps] if inside else [min(map(abs, gaps))]
    variance, rest = estimate.sd**2, max(0.0, estimate.error**2 - estimate.sd**2 / estimate.n)

    def power(n: int) -> float:
        error, needed = sqrt(variance / n + rest), stats.t.isf(level, n - 1)
        shifts = [min(distance / error, 20.0) for distance in distances]  # a larger one is sure, and scipy gives nan
        return 1 - sum(float(stats.nct.cdf(needed, n - 1, shift)) for shift in shifts)

    least, most = estimate.n, MOST_SEEDS  # too few (or no more than there are), enough
    if power(most) < 0.8:
        return None
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if power(middle) >= 0.8 else (middle, most)
    return most


# --------------------------------------------------------------------------------------------------------- inside here
def _estimate(values: np.ndarray, median: float, shared: float, confidence: float = CONFIDENCE) -> Estimate:
    n, mean = len(values), float(values.mean())
    sd = float(values.std(ddof=1)) if n > 1 else None
    if np.ptp(values) == 0:  # no spread was seen: the interval is the point, if more than two agree
        sd = None if sd is None else 0.0
    found = Estimate(mean, None, None, sd, median, n)
    if sd is None or (sd == 0 and n == 2):
        return found
    return with_error(found, sd * sqrt(1 / n + shared), n - 1, confidence)


def _ends(share: Estimate) -> tuple[float, float]:
    assert share.low is not None
    assert share.high is not None
    return share.low, share.high


def _scale(estimate: Estimate) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """The way to the scale of the error, and back."""
    return (log, lambda value: exp(min(value, 700.0))) if estimate.ratio else (float, float)


def _chance_of_less(estimate: Estimate, edge: float, at_edge: float) -> float:
    """The chance to find an effect this low or lower, if it lay at the `edge`; `at_edge` if all pairs lie there."""
    from scipy import stats

    if abs(edge) == inf:
        return float(edge < 0)
    if estimate.error is None or estimate.df is None:
        return 0.5
    to, _ = _scale(estimate)
    gap = to(estimate.mean) - to(edge)
    if estimate.error == 0:
        return float(gap > 0) if gap else at_edge
    return float(stats.t.cdf(gap / estimate.error, estimate.df))


def _differences(a: Values, b: Values) -> np.ndarray:
    x, y = _finite(a), _finite(b)
    if len(x) != len(y):
        raise ValueError(f"pairs need as many values on both sides, got {len(x)} and {len(y)}")
    return x - y


def _finite(values: Values) -> np.ndarray:
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ValueError("needs one row of at least one finite number")
    return x
