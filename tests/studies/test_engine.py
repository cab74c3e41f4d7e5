"""The engine: what is undecided gets more seeds, and nothing else does."""

from collections.abc import Mapping

import pytest

from common.files import UserError
from studies.engine import looks_of, until_told


def told_at(needed: Mapping[str, int], looks: list[int]) -> tuple[list[dict[str, int]], dict[str, int]]:
    """How many seeds of each variant every look has, and the last one, where each variant is told with so many."""
    seen: list[dict[str, int]] = []

    def look(n_seeds: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
        seen.append(dict(n_seeds))
        return seen[-1], [name for name, n in needed.items() if n > n_seeds[name]]

    return seen, until_told(looks, needed, look)


def test_only_what_is_undecided_gets_more_seeds() -> None:
    seen, last = told_at({"a": 5, "b": 10, "c": 99}, [5, 10, 20])
    assert seen == [{"a": 5, "b": 5, "c": 5}, {"a": 5, "b": 10, "c": 10}, {"a": 5, "b": 10, "c": 20}]
    assert last == seen[-1]


def test_nothing_is_trained_when_everything_is_told() -> None:
    assert told_at({"a": 5, "b": 7}, [5, 10, 20, 40])[0] == [{"a": 5, "b": 5}, {"a": 5, "b": 10}]
    assert told_at({"a": 5}, [5, 10])[0] == [{"a": 5}]


def test_a_study_is_looked_at_once_or_until_it_is_told() -> None:
    assert looks_of(5, None) == [5]
    assert looks_of(5, 20) == [5, 10, 20]
    with pytest.raises(UserError, match=r"^--until-told 4: fewer than --seeds 5; give more$"):
        looks_of(5, 4)
