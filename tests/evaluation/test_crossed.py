"""Two sources of chance at once: the interval knows both, and stretches of neighbours."""

from math import sqrt

import numpy as np
import pytest

from evaluation.crossed import Items, by_stretch, crossed
from evaluation.statistics import Estimate, paired_difference

N_STUDIES = 500


def effect(values: np.ndarray, neighbours: np.ndarray) -> dict[str, Estimate | None]:
    """The mean of values (n seeds, N items) with its intervals."""
    part = by_stretch(values, neighbours, np.zeros(len(neighbours)))
    found = crossed(paired_difference(values.mean(axis=1), np.zeros(len(values))), [part])
    return {"both": found.both, "seeds": found.seeds, "items": found.items}


def test_by_hand() -> None:
    """Two seeds, two stretches of two items: means of seeds 3 and 5, of stretches 2 and 6."""
    values = np.array([[1.0, 0.0, 5.0, 6.0], [3.0, 4.0, 7.0, 6.0]])
    part = by_stretch(values, np.array([4, 4, 9, 9]), np.zeros(4))
    assert part.totals.tolist() == [[-5, 5], [-3, 3]]  # less twice the seed's mean
    assert part.sizes.tolist() == [2, 2]
    assert part.variances() == pytest.approx((2 * 2 * (4 / 4) ** 2, 2 * 4 * (1 / 4) ** 2 / 2))
    found = effect(values, np.array([4, 4, 9, 9]))
    both, seeds, items = found["both"], found["seeds"], found["items"]
    assert both is not None and seeds is not None and items is not None  # noqa: PT018
    assert (both.mean, seeds.mean, items.mean) == (4, 4, 4)
    assert seeds.error == pytest.approx(1)
    assert items.error == pytest.approx(2)
    assert both.error == pytest.approx(sqrt(1 + 4 - 0.25))
    assert both.df == pytest.approx(4.75**2 / (1 + 3.75**2))
    assert (both.low, both.high) == (items.low, items.high)  # by Satterthwaite it would be narrower
    assert items.high == pytest.approx(4 + 12.7062 * 2, rel=1e-5)


@pytest.mark.parametrize(
    ("n_seeds", "n_stretches"), [(3, 10), (5, 15), (5, 50), pytest.param(10, 50, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(("seeds", "stretches", "noise"), [(1, 1, 1), (1, 0, 0), (0.05, 3, 1), (0, 0, 3), (1, 3, 3)])
def test_coverage_is_about_95_percent(
    n_seeds: int, n_stretches: int, seeds: float, stretches: float, noise: float
) -> None:
    """Whatever seeds, stretches of unequal sizes, and both together contribute."""
    generator, covered = np.random.default_rng(n_seeds * n_stretches), 0
    for _ in range(N_STUDIES):
        sizes = generator.integers(3, 16, n_stretches)
        shifts = generator.normal(0, seeds, (n_seeds, 1)) + generator.normal(0, stretches, n_stretches)
        part = Items(sizes * (shifts + generator.normal(0, noise, (n_seeds, n_stretches))), sizes)
        means = part.totals.sum(axis=1) / sizes.sum()
        found = crossed(paired_difference(means, np.zeros(n_seeds)), [part]).both
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0 <= found.high
    assert 0.90 <= covered / N_STUDIES <= 0.998  # where one source alone counts, both are surer than they need be


def test_either_source_alone_is_too_sure_and_so_are_items_that_do_not_know_their_neighbours() -> None:
    generator, neighbours = np.random.default_rng(0), np.arange(20).repeat(8)
    covered = dict.fromkeys(("both", "seeds", "items", "items one by one"), 0)
    for _ in range(300):
        values = generator.normal(0, 0.5, (5, 1)) + generator.normal(0, 1, 20)[neighbours]
        values = values + generator.normal(0, 1, (5, 160))
        found = effect(values, neighbours) | {"items one by one": effect(values, np.arange(160))["items"]}
        for name, one in found.items():
            assert one is not None
            assert one.low is not None
            assert one.high is not None
            covered[name] += one.low <= 0 <= one.high
    shares = {name: number / 300 for name, number in covered.items()}
    assert 0.91 <= shares["both"] <= 0.98
    assert max(shares["seeds"], shares["items"]) < 0.90
    assert shares["items one by one"] < shares["items"] - 0.2


def test_for_both_sources_an_interval_is_never_narrower_than_for_one() -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        n_seeds, n_stretches = generator.integers(2, 8, 2)
        totals = generator.normal(0, generator.uniform(0, 3), (n_seeds, 1)) + generator.normal(0, 1, n_stretches)
        part = Items(totals + generator.normal(0, 1, totals.shape), np.ones(n_stretches))
        effect = crossed(paired_difference(part.totals.mean(axis=1), np.zeros(n_seeds)), [part])
        for one in (effect.seeds, effect.items):
            assert one is not None
            assert effect.both.high >= one.high  # type: ignore[operator]
            assert effect.both.low <= one.low  # type: ignore[operator]


def test_two_parts_add_their_variances() -> None:
    """Of two texts the lines are other lines; the mean over texts weighs each by what its totals hold."""
    generator = np.random.default_rng(0)
    one, other = (Items(generator.normal(0, 1, (3, 6)), np.full(6, 4.0)) for _ in range(2))
    seeds = paired_difference(one.totals.sum(axis=1) / 24 + other.totals.sum(axis=1) / 24, [0.0] * 3)
    found = crossed(seeds, [one, other])
    assert found.items is not None
    assert found.items.error == pytest.approx(sqrt(one.variances()[0] + other.variances()[0]))
    assert found.items.n == 12


def test_what_is_missing_is_left_out() -> None:
    values = np.array([[1.0, 2.0, 4.0], [2.0, 2.0, 5.0]])
    one_stretch = effect(values, np.zeros(3, dtype=int))
    assert one_stretch == {"both": paired_difference([7 / 3, 3.0], [0.0] * 2), "seeds": None, "items": None}
    one_seed = effect(values[:1], np.arange(3))
    assert (one_seed["both"], one_seed["seeds"]) == (paired_difference([7 / 3], [0.0]), None)
    assert one_seed["items"] is not None
    assert one_seed["items"].error == pytest.approx(sqrt(3 / 2 * ((4 / 3) ** 2 + (1 / 3) ** 2 + (5 / 3) ** 2) / 9))
    seeds = paired_difference([1.0, 2.0], [0.0] * 2)
    assert crossed(seeds, []).both is seeds
    alike = effect(np.array([[1.0, 1.0], [3.0, 3.0]]), np.arange(2))  # all items agree: seeds are all there is
    assert alike["both"] == alike["seeds"]
    assert alike["items"] is not None
    assert (alike["items"].low, alike["items"].high) == (2, 2)


def test_what_differs_between_classes_is_no_chance() -> None:
    """Of each class as many rows were drawn; a variant that always names one class gets as many right of any rows."""
    values, neighbours = np.array([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]] * 2), np.arange(6)
    classes = np.array([0, 0, 0, 1, 1, 1])
    assert by_stretch(values, neighbours, classes).variances() == (0, 0)
    values[:, 0] = 4.0
    part = by_stretch(values, neighbours, classes)
    assert part.totals.tolist() == [[2, -1, -1, 0, 0, 0]] * 2
    assert (part.freedom, part.n_strata) == (4, 2)
    assert part.variances() == pytest.approx((6 / 4 * 6 / 36, 0))
    found = crossed(paired_difference([1.0, 1.5], [0.0] * 2), [part])
    assert found.items is not None
    assert found.items.df == 4
    alone = by_stretch(values, classes, classes)  # one stretch of each class tells nothing
    assert crossed(paired_difference([1.0, 1.5], [0.0] * 2), [alone]).items is None
