"""Confidence against accuracy by hand, and temperatures that are known because the rows were drawn with them."""

import math

import pytest
import torch
from torch import Tensor

from evaluation import calibration
from evaluation.records import Bin


def drawn(temperature: float, n_rows: int = 20_000, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Probabilities (N, 3), and labels (N,) that are drawn from them at a temperature."""
    random = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(n_rows, 3, generator=random, dtype=torch.float64)
    labels = torch.multinomial((logits / temperature).softmax(dim=-1), 1, generator=random).flatten()
    return logits.softmax(dim=-1), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 6.0])
def test_the_temperature_that_rows_were_drawn_at_is_found(temperature: float) -> None:
    assert calibration.fitted_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_a_temperature_has_bounds_and_bears_probabilities_of_zero() -> None:
    certain = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert calibration.fitted_temperature(certain, torch.tensor([1, 0])) == pytest.approx(100, rel=1e-3)
    right = calibration.fitted_temperature(torch.tensor([[0.6, 0.4]]), torch.tensor([0]))
    assert 0.01 <= right == pytest.approx(0.01, rel=0.2)


def test_spread_by_hand() -> None:
    probabilities = torch.tensor([[2.0, -2.0], [1.0, -1.0]]).softmax(dim=-1)  # whatever is added to a row is nothing
    assert calibration.spread_of_logits(probabilities) == pytest.approx((10 / 4) ** 0.5)
    assert calibration.spread_of_logits(torch.full((2, 2), 0.5)) == pytest.approx(1e-6)  # and can be divided by


def test_a_temperature_fits_a_model_that_is_twice_as_sure() -> None:
    probabilities, labels = drawn(2.0)
    relative = calibration.relative_temperature(probabilities, labels, probabilities)
    surer = (2 * probabilities.log()).softmax(dim=-1)
    assert relative * calibration.spread_of_logits(surer) == pytest.approx(
        calibration.fitted_temperature(surer, labels), rel=1e-3
    )
    fitted = calibration.fitted_temperature(probabilities, labels)
    learned = (3 * probabilities.log()).softmax(dim=-1)  # of other rows than those that it is fitted to
    relative = calibration.relative_temperature(probabilities, labels, learned)
    assert relative == pytest.approx(fitted / (3 * calibration.spread_of_logits(probabilities)))


def test_bins_by_hand() -> None:
    confidence = torch.tensor([0.5, 0.6, 0.95, 1.0, 0.61, 0.85], dtype=torch.float64)
    probabilities = torch.stack([confidence, 1 - confidence], dim=1)
    labels = torch.tensor([0, 1, 0, 1, 0, 0])
    found = calibration.bins(probabilities, labels)
    assert [one.n for one in found] == [1, 1, 1, 1, 2]  # of fifteen, 0.6 is in the ninth and 0.61 in the tenth
    assert [one.confidence for one in found] == pytest.approx([50, 60, 61, 85, 97.5])
    assert [one.accuracy for one in found] == [100, 0, 100, 100, 50]
    expected = (50 + 60 + 39 + 15 + 2 * 47.5) / 6
    assert calibration.calibration_error(found) == pytest.approx(expected)
    assert calibration.calibration_error([]) is None


def test_rows_drawn_from_the_probabilities_have_no_error_and_others_have() -> None:
    seen = torch.zeros(20_000, dtype=torch.bool)
    seen[:5_000] = True
    honest = calibration.reliability(*drawn(1.0), seen)
    assert all(error is not None and error < 1.5 for error in honest.error.values())
    assert sum(one.n for one in honest.bins) == 20_000
    boastful = calibration.reliability(*drawn(6.0), seen)
    assert all(error is not None and error > 20 for error in boastful.error.values())
    assert len(set(boastful.error.values())) == 3
    probabilities, labels = drawn(6.0, 10)
    none_seen = calibration.reliability(probabilities, labels, torch.zeros(10, dtype=torch.bool))
    assert (none_seen.error["seen"], none_seen.error["unseen"]) == (None, none_seen.error["all"])
    assert none_seen.bins == calibration.bins(probabilities, labels)
    assert isinstance(none_seen.bins[0], Bin)


def test_how_far_honest_probabilities_are_off_by_chance() -> None:
    sure = torch.tensor([[0.6, 0.4]]).expand(1_000, 2)
    of_a_binomial = 1.96 * math.sqrt(0.6 * 0.4 / 1_000)  # two sides of a normal distribution, 19 of 20 inside
    assert calibration.error_by_chance(sure) == pytest.approx(100 * of_a_binomial, abs=0.15)
    assert calibration.error_by_chance(torch.tensor([[1.0, 0.0]])) == 0
    assert calibration.error_by_chance(sure[:0]) is None
    seen = torch.arange(2_000) < 500
    probabilities, labels = drawn(1.0, 2_000)
    found = calibration.reliability(probabilities, labels, seen)
    assert found.chance == {
        "all": calibration.error_by_chance(probabilities),
        "seen": calibration.error_by_chance(probabilities[:500]),
        "unseen": calibration.error_by_chance(probabilities[500:]),
    }
    fewest_last = [found.chance[name] or 0.0 for name in ("all", "unseen", "seen")]
    assert 0 < fewest_last[0] < fewest_last[1] < fewest_last[2]


def test_honest_probabilities_stay_below_what_chance_makes_of_them_in_nineteen_of_twenty_samples() -> None:
    below = []
    for seed in range(100):
        probabilities, labels = drawn(1.0, 300, seed)
        error = calibration.calibration_error(calibration.bins(probabilities, labels))
        by_chance = calibration.error_by_chance(probabilities)
        assert error is not None
        assert by_chance is not None
        below.append(error < by_chance)
    assert 89 <= sum(below) <= 99
