"""Intervals cover what they claim to cover, tests agree with exact sums, and verdicts follow their rule."""

import json
from dataclasses import asdict
from math import inf

import numpy as np
import pytest
from scipy import stats

from comparison import (
    FAILS,
    HOLDS,
    UNCLEAR,
    Estimate,
    Verdict,
    all_of,
    mcnemar,
    paired_difference,
    paired_ratio,
    summary,
    verdict,
)


def estimate(low: float | None, high: float | None) -> Estimate:
    return Estimate(0.0, low, high, 1.0, 0.0, 5)


def test_summary() -> None:
    values = summary([1.0, 2.0, 6.0])
    assert asdict(values) == {"mean": 3.0, "sd": pytest.approx(7**0.5), "min": 1.0, "max": 6.0, "n": 3}
    assert summary([4.0]).sd is None
    json.dumps(asdict(values), allow_nan=False)


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


def test_interval_is_the_same_every_time_and_near_student_t() -> None:
    a, b = [3.0, 1.0, 2.5, 4.0, 2.0], [1.0, 1.5, 0.5, 2.0, 1.0]
    one = paired_difference(a, b)
    assert one == paired_difference(a, b)
    assert (one.mean, one.median, one.n) == (pytest.approx(1.3), pytest.approx(2.0), 5)
    t = stats.ttest_rel(a, b).confidence_interval()
    assert (one.low, one.high) == (pytest.approx(t.low, abs=0.35), pytest.approx(t.high, abs=0.35))


def test_one_pair_and_equal_differences() -> None:
    one = paired_difference([2.0], [1.0])
    assert asdict(one) == {"mean": 1.0, "low": None, "high": None, "sd": None, "median": 1.0, "n": 1}
    assert verdict(one, above=0).verdict == UNCLEAR
    same = paired_difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    assert (same.low, same.high, same.sd) == (1.0, 1.0, 0.0)
    assert verdict(same, above=0).verdict == HOLDS
    two = paired_difference([2.0, 3.0], [1.0, 2.0])  # accuracies of few rows are often the same
    assert (two.mean, two.low, two.high) == (1.0, None, None)


def test_ratio_turns_round_with_its_sides() -> None:
    a, b = [1.0, 1.2, 0.9, 1.1], [2.0, 2.1, 2.2, 1.9]
    there, back = paired_ratio(a, b), paired_ratio(b, a)
    assert there.mean == pytest.approx(1 / back.mean)
    assert there.low is not None
    assert back.high is not None
    assert there.low == pytest.approx(1 / back.high, rel=0.02)
    assert there.low < there.mean < 0.7
    assert paired_ratio([3.0], [2.0]).mean == pytest.approx(1.5)


def test_mcnemar_is_an_exact_sign_test() -> None:
    a = [True] * 9 + [False] * 1 + [True] * 5
    b = [False] * 9 + [True] * 1 + [True] * 5
    result = mcnemar(a, b)
    assert (result.only_a, result.only_b) == (9, 1)
    assert result.p == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar([True, False], [True, False]).p == 1.0


@pytest.mark.parametrize(
    ("low", "high", "above", "below", "expected"),
    [
        (0.1, 2.0, 0, inf, HOLDS),
        (-0.1, 2.0, 0, inf, UNCLEAR),
        (-2.0, -0.1, 0, inf, FAILS),
        (-2.0, 0.0, 0, inf, FAILS),
        (-2.0, -0.1, -inf, 0, HOLDS),
        (0.0, 0.0, 0, inf, FAILS),
        (-0.5, 0.7, -1, 1, HOLDS),
        (-0.5, 1.2, -1, 1, UNCLEAR),
        (1.0, 1.2, -1, 1, FAILS),
        (-3.0, 3.0, -1, 1, UNCLEAR),
        (None, None, 0, inf, UNCLEAR),
    ],
)
def test_verdict(low: float | None, high: float | None, above: float, below: float, expected: str) -> None:
    judged = verdict(estimate(low, high), above, below, "ALiBi's gain")
    assert judged.verdict == expected
    assert "ALiBi's gain" in judged.rule


@pytest.mark.parametrize(
    ("parts", "expected"),
    [([HOLDS, HOLDS], HOLDS), ([HOLDS, UNCLEAR], UNCLEAR), ([UNCLEAR, FAILS], FAILS), ([], UNCLEAR)],
)
def test_a_claim_of_several_parts(parts: list[str], expected: str) -> None:
    assert all_of([Verdict(part, "a rule") for part in parts]).verdict == expected


def test_what_cannot_be_compared_is_refused() -> None:
    for a, b in (([], []), ([1.0], [1.0, 2.0]), ([float("nan")], [1.0])):
        with pytest.raises(ValueError, match=r"finite|pairs"):
            paired_difference(a, b)
    with pytest.raises(ValueError, match="positive"):
        paired_ratio([0.0], [1.0])
