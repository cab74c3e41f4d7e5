"""Intervals cover what they claim to cover, tests agree with exact sums, and verdicts follow their rule."""

from dataclasses import asdict
from math import exp, inf, log, nan, sqrt

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics import (
    FAILS,
    HOLDS,
    UNCLEAR,
    Estimate,
    Verdict,
    all_of,
    by_chance,
    difference_of_shares,
    of_several,
    paired_difference,
    paired_ratio,
    seeds_needed,
    share_of,
    verdict,
)


def estimate(low: float | None, high: float | None) -> Estimate:
    return Estimate(0.0, low, high, 1.0, 0.0, 5)


# Student's t for 95% with 1, 2 and 3 degrees of freedom, from a printed table
T1, T2, T3 = 12.7062, 4.302653, 3.182446


@pytest.mark.parametrize(
    ("a", "b", "mean", "median", "sd", "half"),
    [
        ([5, 9], [4, 6], 2, 2, sqrt(2), T1),
        ([6, 9, 9], [6, 8, 1], 3, 1, sqrt(19), T2 * sqrt(19 / 3)),
    ],
)
def test_interval_of_few_pairs_by_hand(
    a: list[float], b: list[float], mean: float, median: float, sd: float, half: float
) -> None:
    n, low, high, error = len(a), mean - half, mean + half, sd / sqrt(len(a))
    expected = [mean, low, high, sd, median, n, error, n - 1, False]
    assert list(asdict(paired_difference(a, b)).values()) == pytest.approx(expected, rel=1e-4)
    # the other way round, all turns round with it: what was better by so much is worse by so much
    expected = [-mean, -high, -low, sd, -median, n, error, n - 1, False]
    assert list(asdict(paired_difference(b, a)).values()) == pytest.approx(expected, rel=1e-4)
    # the same of times that the factors 2^(a - b) lie between, over logarithms
    expected = [2**mean, 2**low, 2**high, log(2) * sd, 2**median, n, log(2) * error, n - 1, True]
    a, b = [2**x for x in a], [2**x for x in b]
    there, back = paired_ratio(a, b), paired_ratio(b, a)
    assert list(asdict(there).values()) == pytest.approx(expected, rel=2e-3)
    expected = [2**-mean, 2**-high, 2**-low, log(2) * sd, 2**-median, n, log(2) * error, n - 1, True]
    assert list(asdict(back).values()) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_interval_is_that_of_the_paired_t_test(confidence: float) -> None:
    a, b = [float(i) ** 0.5 for i in range(20)], [float(i) ** 0.4 for i in range(20)]
    found, expected = (
        paired_difference(a, b, confidence=confidence),
        stats.ttest_rel(a, b).confidence_interval(confidence),
    )
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high])
    ratio = paired_ratio(np.exp(a).tolist(), np.exp(b).tolist(), confidence=confidence)
    assert [ratio.low, ratio.high] == pytest.approx([exp(expected.low), exp(expected.high)])


def test_folds_share_rows_and_are_worth_less_than_as_many_samples() -> None:
    a, b = [1.0, 3.0, 2.0, 6.0], [0.0] * 4
    alone, folds = paired_difference(a, b), paired_difference(a, b, shared=0.25)
    assert alone.high is not None
    assert folds.high is not None
    assert folds.high == pytest.approx(3 + T3 * sqrt(14 / 3) * sqrt(1 / 4 + 1 / 4), rel=1e-6)
    assert folds.high - 3 == pytest.approx(sqrt(2) * (alone.high - 3))
    ratio = paired_ratio(np.exp(a).tolist(), np.exp(b).tolist(), shared=0.25)
    assert ratio.high == pytest.approx(exp(folds.high))
    # what two folds share of their training rows, they share of their luck: a fifth, of five
    generator, covered = np.random.default_rng(0), {0.0: 0, 0.25: 0}
    for _ in range(1000):
        values = generator.normal(0, sqrt(0.2)) + generator.normal(0, sqrt(0.8), 5)
        for shared in covered:
            found = paired_difference(values.tolist(), [0.0] * 5, shared)
            assert found.low is not None
            assert found.high is not None
            covered[shared] += found.low <= 0 <= found.high
    assert 0.93 <= covered[0.25] / 1000 <= 0.97
    assert covered[0.0] / 1000 <= 0.88


def test_a_share_has_wilsons_interval_and_a_difference_of_shares_newcombes() -> None:
    """The examples of Newcombe 1998: 81 of 263 in the first paper, 56 of 70 less 48 of 80 in the second."""
    found = share_of(81, 263)
    assert [found.mean, found.low, found.high] == pytest.approx([30.80, 25.53, 36.62], abs=0.01)
    found = difference_of_shares(share_of(56, 70), share_of(48, 80))
    assert [found.mean, found.low, found.high] == pytest.approx([20.0, 5.24, 33.39], abs=0.01)
    found = difference_of_shares(share_of(0, 5), share_of(5, 5))
    assert (found.mean, found.low) == (-100, -100)
    assert found.high is not None
    assert -60 < found.high < 0


def test_interval_covers_the_true_difference_about_95_times_in_100() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for seeds in generator.normal(60, 5, (300, 5)):  # the seeds' own differences must cancel
        a, b = seeds + 1 + generator.normal(0, 1, 5), seeds
        interval = paired_difference(a, b)
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 1 <= interval.high
    assert 0.91 <= covered / 300 <= 0.99  # four standard errors; with the normal's quantile it is 0.88


NOTHING = {"error": None, "df": None, "ratio": False}


def test_one_pair_and_equal_differences() -> None:
    one = paired_difference([2.0], [5.0])
    assert asdict(one) == {"mean": -3.0, "low": None, "high": None, "sd": None, "median": -3.0, "n": 1} | NOTHING
    assert verdict(one, below=0).verdict == UNCLEAR
    same = paired_difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    known = {"error": 0.0, "df": 2, "ratio": False}
    assert asdict(same) == {"mean": 1.0, "low": 1.0, "high": 1.0, "sd": 0.0, "median": 1.0, "n": 3} | known
    assert (verdict(same, above=0).verdict, verdict(same, below=0).verdict) == ("holds", "does not hold")
    two = paired_difference([2.0, 3.0], [1.0, 2.0])  # accuracies of few rows are often the same
    assert asdict(two) == {"mean": 1.0, "low": None, "high": None, "sd": 0.0, "median": 1.0, "n": 2} | NOTHING


@pytest.mark.parametrize(
    ("low", "high", "above", "below", "expected"),
    [
        (0.1, 2.0, 0, inf, HOLDS),
        (0.0, 2.0, 0, inf, UNCLEAR),  # at the edge is not above it
        (-2.0, 0.1, 0, inf, UNCLEAR),
        (-2.0, 0.0, 0, inf, FAILS),
        (-2.0, -0.1, -inf, 0, HOLDS),
        (-2.0, 0.0, -inf, 0, UNCLEAR),
        (0.0, 2.0, -inf, 0, FAILS),
        (-0.5, 0.7, -1, 2, HOLDS),
        (-1.0, 0.7, -1, 2, UNCLEAR),
        (-0.5, 2.0, -1, 2, UNCLEAR),
        (-3.0, 3.0, -1, 2, UNCLEAR),
        (2.0, 2.2, -1, 2, FAILS),
        (-1.2, -1.0, -1, 2, FAILS),
        (None, None, 0, inf, UNCLEAR),
    ],
)
def test_verdict(low: float | None, high: float | None, above: float, below: float, expected: str) -> None:
    assert verdict(estimate(low, high), above, below).verdict == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.1, 1.3, HOLDS), (1.0, 1.3, HOLDS), (-1.3, -1.0, HOLDS), (-0.9, 0.9, FAILS),
        (0.9, 1.1, UNCLEAR), (-1.0, 0.9, UNCLEAR), (-2.0, 2.0, UNCLEAR),
    ],
)  # fmt: skip
def test_what_differs_lies_outside_a_range(low: float, high: float, expected: str) -> None:
    found = verdict(estimate(low, high), -1, 1, outside=True)
    assert found.verdict == expected
    assert found.rule.startswith("The claim is that the difference does not lie between -1 and 1.")


def around(mean: float, error: float = 1.0, ratio: bool = False) -> Estimate:
    """Nine pairs with this mean and standard error."""
    values = np.array([-1, 1, -1, 1, -1, 1, -1, 1, 0]) * error * 3 + mean
    return paired_ratio(np.exp(values), [1.0] * 9) if ratio else paired_difference(values, [0.0] * 9)


@pytest.mark.parametrize("ratio", [False, True])
def test_how_sure_it_is_that_a_claim_is_not_so(ratio: bool) -> None:
    def edge(value: float) -> float:
        return exp(value) if ratio else value

    below = stats.t.sf(2, 8)
    for above, under, outside, p in (
        (2, inf, False, below), (-2, inf, False, 1 - below), (-inf, -2, False, below), (-inf, 2, False, 1 - below),
        (2, 5, False, below), (-5, -2, False, below), (-2, 5, True, below), (-5, 2, True, below),
    ):  # fmt: skip
        low = edge(above) if above > -inf else above
        found = verdict(around(0, ratio=ratio), low, edge(under), outside=outside)
        assert found.p == pytest.approx(p), (above, under, outside)
    assert verdict(around(0, error=0.0), above=1).p == 0
    assert verdict(around(0, error=0.0), above=-1).p == 1
    assert verdict(around(0, error=0.0), above=0).p == 0
    assert verdict(around(0, error=0.0), below=0).p == 0
    assert verdict(around(0, error=0.0), -1, 0, outside=True).p == 1
    assert verdict(paired_difference([1.0], [0.0]), above=2).p == 1


def test_a_part_fails_only_by_holms_rule() -> None:
    def parts(*ps: float) -> list[str]:
        found = [Verdict(FAILS if p <= 0.025 else UNCLEAR, "a rule", p) for p in ps]
        return [one.verdict for one in of_several(found)]

    assert parts(0.02) == [FAILS]
    assert parts(0.025) == [FAILS]
    assert parts(0.02, 0.9) == [UNCLEAR, UNCLEAR]
    assert parts(0.9, 0.0125) == [UNCLEAR, FAILS]
    assert parts(0.02, 0.01) == [FAILS, FAILS]  # the second need not be as sure
    assert parts(0.02, 0.013) == [UNCLEAR, UNCLEAR]
    assert parts(0.008, 0.02, 0.012) == [FAILS, FAILS, FAILS]
    assert parts(0.008, 0.02, 0.02) == [FAILS, UNCLEAR, UNCLEAR]
    kept = [Verdict(HOLDS, "a rule", 1.0), Verdict(UNCLEAR, "a rule", 0.001)]
    assert of_several(kept) == kept
    assert of_several([]) == []


def test_claims_of_four_parts_without_an_effect_fail_as_rarely_as_others() -> None:
    generator, alone, together = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        values = generator.normal(1, 0.01, (4, 5))
        found = [verdict(paired_ratio(row, [1.0] * 5), below=1) for row in values]
        alone += FAILS in {one.verdict for one in found}
        together += FAILS in {one.verdict for one in of_several(found)}
    assert alone / 1000 >= 0.07
    assert together / 1000 <= 0.04


def test_of_13_claims_at_the_edge_some_hold_by_chance() -> None:
    generator, n_claims, some = np.random.default_rng(0), 13, 0
    for study in generator.normal(0, 1, (300, n_claims, 5)):
        some += HOLDS in {verdict(paired_difference(row, [0.0] * 5), above=0).verdict for row in study}
    assert by_chance(n_claims) == pytest.approx(28.05, abs=0.01)
    assert 100 * some / 300 == pytest.approx(by_chance(n_claims), abs=8)  # three standard errors


# -------------------------------------------------------------------------------------------------------------- power


@pytest.mark.parametrize(("above", "below"), [(0.0, inf), (-inf, 0.0), (-1.0, 1.0), (0.5, 2.0)])
def test_so_many_seeds_tell_in_80_of_100_studies(above: float, below: float) -> None:
    """With mean 0.4 and standard deviation 0.8 the claim holds or fails, as the mean lies inside or outside."""
    found = paired_difference(0.4 + 0.8 * np.array([-1.0, 0.0, 1.0]), [0.0] * 3)
    n = seeds_needed(found, above, below)
    assert n is not None
    inside, generator, judged = above < 0.4 < below, np.random.default_rng(0), {n: 0, n // 2: 0}
    for size in judged:
        for row in generator.normal(0.4, 0.8, (1000, size)):
            one = verdict(paired_difference(row, [0.0] * size), above, below).verdict
            judged[size] += one == (HOLDS if inside else FAILS)
    assert judged[n] / 1000 == pytest.approx(0.8, abs=0.04)
    assert judged[n // 2] / 1000 < 0.65


def test_seeds_that_are_needed_by_hand() -> None:
    values, none = [1.0, 3.0, 2.0], [0.0] * 3
    found = paired_difference(values, none)  # half a standard deviation from 1.5: 34 pairs, as in every power table
    assert seeds_needed(found, above=1.5) == 34
    assert seeds_needed(found, below=1.5) == 34
    assert seeds_needed(found, below=2.5) == 34
    assert seeds_needed(found, above=1.5, level=0.0125) == 41
    assert seeds_needed(found, above=1.5, below=100) == 34
    assert seeds_needed(found, above=1.5, below=2.5) == 44  # both ends must be told
    assert seeds_needed(paired_ratio(np.exp(values), np.exp(none)), above=exp(1.5)) == 34
    assert seeds_needed(found, above=2.0) is None  # at the edge
    assert seeds_needed(found, above=1.95) is None  # a thousand are not enough
    assert seeds_needed(found, above=-100.0) == 4  # one more is the least
    assert seeds_needed(paired_difference([1.0], [0.0]), above=0) is None
    assert seeds_needed(paired_difference([1.0] * 3, none), above=0) is None
    folds = paired_difference(values, none, shared=0.25)  # the error does not fall below half a standard deviation
    assert seeds_needed(folds, above=1.5) is None
    assert seeds_needed(folds, above=0.0) is not None


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([HOLDS], HOLDS),
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, UNCLEAR], UNCLEAR),
        ([UNCLEAR, FAILS], FAILS),
        ([HOLDS, FAILS, HOLDS], FAILS),
        ([FAILS], FAILS),
        ([], UNCLEAR),
    ],
)
def test_a_claim_of_several_parts(parts: list[str], expected: str) -> None:
    assert all_of([Verdict(part, "a rule") for part in parts]).verdict == expected


def test_a_better_variant_is_positive_and_holds_and_swapped_it_is_negative_and_fails() -> None:
    better, worse = [81.0, 79.5, 83.0, 80.0, 82.0], [78.0, 77.0, 79.5, 77.5, 78.5]
    there, back = paired_difference(better, worse), paired_difference(worse, better)
    assert (there.mean, back.mean) == (pytest.approx(3), pytest.approx(-3))
    assert (verdict(there, above=0).verdict, verdict(back, above=0).verdict) == (HOLDS, FAILS)
    assert (verdict(there, below=0).verdict, verdict(back, below=0).verdict) == (FAILS, HOLDS)
    faster, slower = [1.0, 1.1, 0.9, 1.2], [2.0, 2.3, 1.9, 2.2]
    assert verdict(paired_ratio(faster, slower), below=1).verdict == HOLDS
    assert verdict(paired_ratio(slower, faster), below=1).verdict == FAILS


@pytest.mark.parametrize("bad", [[], [nan], [1.0, inf], [[1.0, 2.0]], 1.0])
def test_only_rows_of_finite_numbers_are_summed_up(bad: list) -> None:
    for compute in (
        lambda: paired_difference(bad, bad),
        lambda: paired_ratio([1.0], bad),
    ):
        with pytest.raises(ValueError, match=r"^needs one row of at least one finite number$"):
            compute()


def test_what_cannot_be_compared_is_refused() -> None:
    for compare in (paired_difference, paired_ratio):
        with pytest.raises(ValueError, match=r"^pairs need as many values on both sides, got 1 and 2$"):
            compare([True], [True, True])
    for a, b in (([0.0], [1.0]), ([1.0], [0.0]), ([2.0, -1.0], [1.0, 1.0]), ([1.0, 1.0], [1.0, -2.0])):
        with pytest.raises(ValueError, match=r"^a ratio needs positive values$"):
            paired_ratio(a, b)
