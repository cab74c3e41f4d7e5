"""Intervals cover what they claim to cover, tests agree with exact sums, and verdicts follow their rule."""

import itertools
import json
from dataclasses import asdict
from math import inf, log, nan, sqrt

import numpy as np
import pytest

from evaluation.statistics import (
    FAILS,
    HOLDS,
    UNCLEAR,
    Estimate,
    Verdict,
    all_of,
    paired_difference,
    paired_ratio,
    summary,
    verdict,
)


def estimate(low: float | None, high: float | None) -> Estimate:
    return Estimate(0.0, low, high, 1.0, 0.0, 5)


def test_summary() -> None:
    values = summary([6.0, 1.0, 2.0])
    assert asdict(values) == {"mean": 3.0, "sd": pytest.approx(7**0.5), "min": 1.0, "max": 6.0, "n": 3}
    assert asdict(summary([-4])) == {"mean": -4.0, "sd": None, "min": -4.0, "max": -4.0, "n": 1}
    assert asdict(summary([1, 3])) == {"mean": 2.0, "sd": pytest.approx(2**0.5), "min": 1.0, "max": 3.0, "n": 2}
    json.dumps(asdict(values), allow_nan=False)


# Student's t for 95% with 1, 2, 4 and 19 degrees of freedom, and the normal's z, from a printed table
T1, T2, T4, T19, Z = 12.7062, 4.302653, 2.776445, 2.093024, 1.959964


@pytest.mark.parametrize(
    ("a", "b", "mean", "median", "sd", "low", "high"),
    [
        # Of two or three values, more than 2.5% of all resamples repeat the smallest, and as many the largest: the
        # percentiles are these two, and the distances from the mean are stretched by sqrt(n / (n - 1)) t / z.
        ([5, 9], [4, 6], 2, 2, sqrt(2), 2 - sqrt(2) * T1 / Z, 2 + sqrt(2) * T1 / Z),
        ([6, 9, 9], [6, 8, 1], 3, 1, sqrt(19), 3 - 3 * sqrt(3 / 2) * T2 / Z, 3 + 5 * sqrt(3 / 2) * T2 / Z),
    ],
)
def test_interval_of_few_pairs_by_hand(
    a: list[float], b: list[float], mean: float, median: float, sd: float, low: float, high: float
) -> None:
    n = len(a)
    expected = [mean, low, high, sd, median, n]
    assert list(asdict(paired_difference(a, b)).values()) == pytest.approx(expected, rel=1e-4)
    # the other way round, all turns round with it: what was better by so much is worse by so much
    expected = [-mean, -high, -low, sd, -median, n]
    assert list(asdict(paired_difference(b, a)).values()) == pytest.approx(expected, rel=1e-4)
    # the same of times that the factors 2^(a - b) lie between, over logarithms
    expected = [2**mean, 2**low, 2**high, log(2) * sd, 2**median, n]
    a, b = [2**x for x in a], [2**x for x in b]
    there, back = paired_ratio(a, b), paired_ratio(b, a)
    assert list(asdict(there).values()) == pytest.approx(expected, rel=2e-3)
    expected = [2**-mean, 2**-high, 2**-low, log(2) * sd, 2**-median, n]
    assert list(asdict(back).values()) == pytest.approx(expected, rel=2e-3)


def test_interval_of_five_pairs_is_the_bootstrap_of_all_resamples_stretched() -> None:
    differences = np.array([0.0, 1.0, 2.0, 4.0, 13.0])
    means = np.array([np.mean(resample) for resample in itertools.product(differences, repeat=5)])  # 5^5
    low, high = np.percentile(means, [2.5, 97.5])
    stretch = sqrt(5 / 4) * T4 / Z
    for seeds in ([0.0] * 5, [60.0, -20.0, 35.0, 90.0, 10.0]):  # the seeds' own differences cancel
        found = paired_difference([*(seeds + differences)], seeds)
        assert (found.mean, found.median, found.n) == (4, 2, 5)
        assert found.sd == pytest.approx(sqrt((16 + 9 + 4 + 0 + 81) / 4))
        assert found.low == pytest.approx(4 + stretch * (low - 4), abs=0.2)
        assert found.high == pytest.approx(4 + stretch * (high - 4), abs=0.4)


def test_interval_is_drawn_the_same_way_every_time() -> None:
    a, b = [float(i) ** 0.5 for i in range(20)], [float(i) ** 0.4 for i in range(20)]
    values = np.array(a) - np.array(b)
    means = values[np.random.default_rng(0).integers(0, 20, (9999, 20))].mean(axis=1)
    expected = values.mean() + sqrt(20 / 19) * T19 / Z * (np.percentile(means, [2.5, 97.5]) - values.mean())
    found = paired_difference(a, b)
    assert [found.low, found.high] == pytest.approx(expected.tolist(), rel=1e-5)
    assert found == paired_difference(a, b)


def test_interval_covers_the_true_difference_about_95_times_in_100() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for seeds in generator.normal(60, 5, (300, 5)):  # the seeds' own differences must cancel
        a, b = seeds + 1 + generator.normal(0, 1, 5), seeds
        interval = paired_difference(a, b)
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 1 <= interval.high
    assert 0.91 <= covered / 300 <= 0.99  # four standard errors; the plain percentile bootstrap has 0.84


def test_one_pair_and_equal_differences() -> None:
    one = paired_difference([2.0], [5.0])
    assert asdict(one) == {"mean": -3.0, "low": None, "high": None, "sd": None, "median": -3.0, "n": 1}
    assert verdict(one, below=0).verdict == UNCLEAR
    same = paired_difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    assert asdict(same) == {"mean": 1.0, "low": 1.0, "high": 1.0, "sd": 0.0, "median": 1.0, "n": 3}
    assert verdict(same, above=0).verdict == HOLDS
    two = paired_difference([2.0, 3.0], [1.0, 2.0])  # accuracies of few rows are often the same
    assert asdict(two) == {"mean": 1.0, "low": None, "high": None, "sd": 0.0, "median": 1.0, "n": 2}


def test_ratios_by_hand() -> None:
    one = paired_ratio([3.0], [2.0])
    assert list(asdict(one).values()) == [pytest.approx(1.5), None, None, None, pytest.approx(1.5), 1]
    same = paired_ratio([2.0, 4.0, 8.0], [8.0, 16.0, 32.0])
    assert list(asdict(same).values()) == pytest.approx([0.25, 0.25, 0.25, 0, 0.25, 3])
    assert paired_ratio([1, 1, 1, 16], [1, 1, 1, 1]).mean == pytest.approx(2)  # the geometric mean, not 4.75


@pytest.mark.parametrize(
    ("low", "high", "above", "below", "expected"),
    [
        (0.1, 2.0, 0, inf, HOLDS),
        (0.0, 2.0, 0, inf, UNCLEAR),  # at the edge is not above it
        (-0.1, 2.0, 0, inf, UNCLEAR),
        (-2.0, 0.1, 0, inf, UNCLEAR),
        (-2.0, 0.0, 0, inf, FAILS),
        (-2.0, -0.1, 0, inf, FAILS),
        (0.0, 0.0, 0, inf, FAILS),
        (5.1, 9.0, 5, inf, HOLDS),
        (1.0, 4.9, 5, inf, FAILS),
        (-2.0, -0.1, -inf, 0, HOLDS),
        (-2.0, 0.0, -inf, 0, UNCLEAR),
        (-2.0, 0.1, -inf, 0, UNCLEAR),
        (-0.1, 2.0, -inf, 0, UNCLEAR),
        (0.0, 2.0, -inf, 0, FAILS),
        (0.1, 2.0, -inf, 0, FAILS),
        (-0.5, 0.7, -1, 2, HOLDS),
        (-1.0, 0.7, -1, 2, UNCLEAR),
        (-0.5, 2.0, -1, 2, UNCLEAR),
        (-0.5, 2.2, -1, 2, UNCLEAR),
        (-1.2, 0.7, -1, 2, UNCLEAR),
        (-3.0, 3.0, -1, 2, UNCLEAR),
        (1.9, 2.2, -1, 2, UNCLEAR),
        (2.0, 2.2, -1, 2, FAILS),
        (2.1, 2.2, -1, 2, FAILS),
        (-1.2, -1.0, -1, 2, FAILS),
        (-1.2, -1.1, -1, 2, FAILS),
        (-1.2, -0.9, -1, 2, UNCLEAR),
        (None, None, 0, inf, UNCLEAR),
        (None, 1.0, 0, inf, UNCLEAR),
        (1.0, None, 0, inf, UNCLEAR),
    ],
)
def test_verdict(low: float | None, high: float | None, above: float, below: float, expected: str) -> None:
    assert verdict(estimate(low, high), above, below).verdict == expected


@pytest.mark.parametrize(
    ("above", "below", "claim"),
    [
        (0, inf, "is above 0"),
        (-1.5, inf, "is above -1.5"),
        (-inf, 0.9, "is below 0.9"),
        (-1, 1, "lies between -1 and 1"),
    ],
)
def test_the_rule_of_a_verdict_in_words(above: float, below: float, claim: str) -> None:
    for low in (None, -2.0, 0.95):
        rule = verdict(estimate(low, 0.95), above, below, "ALiBi's gain").rule
        assert rule == f"The claim is that ALiBi's gain {claim}."
    assert verdict(estimate(0, 1), above, below).rule.startswith(f"The claim is that the difference {claim}.")
    unbounded = {name: bound for name, bound in (("above", above), ("below", below)) if abs(bound) < inf}
    assert verdict(estimate(0, 1), what="it", **unbounded) == verdict(estimate(0, 1), above, below, "it")


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


def test_the_rule_of_several_parts_says_each_part_s_once() -> None:
    parts = [Verdict(HOLDS, "One."), Verdict(FAILS, "Two."), Verdict(HOLDS, "One.")]
    assert all_of(parts).rule == (
        "The claim holds when each of its 3 parts does, and does not hold when one does not. One. Two."
    )


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
        lambda: summary(bad),
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
