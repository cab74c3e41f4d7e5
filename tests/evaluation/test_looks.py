"""Looking again with more seeds: the interval pays for it."""

import numpy as np
import pytest

from evaluation.statistics import confidence_of_looks, looks_until, paired_difference


def test_looks_double_up_to_the_last() -> None:
    assert looks_until(40) == [5, 10, 20, 40]
    assert looks_until(20) == [5, 10, 20]
    assert looks_until(12) == [5, 10, 12]
    assert looks_until(5) == [5]
    assert looks_until(9, first=3) == [3, 6, 9]
    assert looks_until(1, first=1) == [1]
    assert looks_until(5, first=1) == [1, 2, 4, 5]


def test_one_look_costs_nothing_and_more_looks_cost_more() -> None:
    found = [confidence_of_looks(looks_until(most)) for most in (5, 10, 20, 40)]
    assert found[0] == confidence_of_looks([1, 5]) == 0.95  # one seed has no interval
    assert found == sorted(found)
    assert 0.98 < found[-1] < 0.99  # Pocock's four looks at a normal mean take 0.982


@pytest.mark.parametrize("most", [10, 40])
def test_without_an_effect_no_more_than_5_percent_are_told_wrongly_over_all_looks(most: int) -> None:
    looks = looks_until(most)
    wrong = dict.fromkeys((0.95, confidence_of_looks(looks)), 0)
    for values in np.random.default_rng(1).normal(0, 1, (600, most)):
        for confidence in wrong:
            for n in looks:
                found = paired_difference(values[:n], np.zeros(n), confidence=confidence)
                assert found.low is not None
                assert found.high is not None
                if not found.low <= 0 <= found.high:
                    wrong[confidence] += 1
                    break
    plain, paid = (number / 600 for number in wrong.values())
    assert paid <= 0.05 + 2 * 0.009  # two standard errors
    assert plain > 0.07
