"""Settings at the edges of what is right, and differences in words."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.checks import check, other_run
from common.files import UserError


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        ("at least 0", [0, 1e-9, 5], [-1, -1e-9]),
        ("at least 1", [1, 1.0, 2], [0, 0.999, -1]),
        ("above 0", [1e-9, 1, 7], [0, -1e-9]),
        ("from 0 to 1", [0, 0.5, 1], [-1e-9, 1.000001]),
        ("above 0 and at most 1", [1e-9, 0.5, 1], [0, 1.000001]),
        ("from 0 to below 1", [0, 0.5, 0.999999], [-1e-9, 1]),
        ("from 0 to 1000", [0, 1000], [-1, 1001]),
        ("from 1 to 1000", [1, 1000], [0, 1001]),
        ("from 1 to 65535", [1, 65535], [0, 65536]),
    ],
)
def test_a_rule_ends_where_it_says(rule: str, right: list[float], wrong: list[float]) -> None:
    for value in [*right, None]:
        check(SimpleNamespace(first=value, rate=value), rule, "first", "rate")
    for value in [*wrong, math.nan, math.inf, -math.inf]:
        with pytest.raises(UserError, match=f"rate is {value}; it must be {rule}"):
            check(SimpleNamespace(first=right[0], rate=value), rule, "first", "rate")


def test_no_whole_number_is_above_a_million() -> None:
    check(SimpleNamespace(n=10**6, x=1e12), "at least 1", "n", "x")
    with pytest.raises(UserError, match="n is 1000001; it must be at most 1,000,000"):
        check(SimpleNamespace(n=10**6 + 1), "at least 1", "n")


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "a": 2}, "b is 2 there and 3 here"),  # the first in the order of what is here
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, "c is 1 there and 2 here"),
        ({"a": 1}, {"a": 1, "b": "x"}, "b is None there and x here"),
        ({"a": 1, "b": "x"}, {"a": 1}, "b is x there and None here"),
        ("x" * 40, "y" * 41, f"it is {'x' * 40} there and {'y' * 40}... here"),
    ],
)
def test_the_first_difference_of_another_run_is_named(there: Any, here: Any, words: str) -> None:
    assert str(other_run(Path("a"), there, here, "do it")) == f"a: of another run ({words}); do it"
