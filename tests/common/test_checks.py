"""Settings at the edges of what is right, and differences in words."""

import math
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.checks import OtherRun, Rule, check, first_difference
from common.files import UserError


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        ("at least 0", [0, 0.0, 1e-9, 5], [-1, -1e-9]),
        ("at least 1", [1, 1.0, 2], [0, 0.999, -1]),
        ("above 0", [1e-9, 1, 7], [0, 0.0, -1e-9]),
        ("from 0 to 1", [0, 0.5, 1], [-1e-9, 1.000001, 2]),
        ("above 0 and at most 1", [1e-9, 0.5, 1], [0, -0.5, 1.000001]),
        ("from 0 to below 1", [0, 0.5, 0.999999], [-1e-9, 1, 1.5]),
        ("from 0 to 1000", [0, 1000], [-1, 1001]),
        ("from 1 to 1000", [1, 1000], [0, 1001]),
        ("from 1 to 65535", [1, 65535], [0, 65536]),
    ],
)
def test_a_rule_ends_where_it_says(rule: Rule, right: list[float], wrong: list[float]) -> None:
    for value in [*right, None]:
        check(SimpleNamespace(rate=value), rule, "rate")
    for value in [*wrong, math.nan, math.inf, -math.inf]:
        with pytest.raises(UserError) as caught:
            check(SimpleNamespace(rate=value), rule, "rate")
        assert str(caught.value) == f"rate is {value}; it must be {rule}"


def test_every_name_is_checked_and_the_first_that_is_wrong_is_named() -> None:
    settings = SimpleNamespace(first=1, second=0, third=-1)
    for names, complaint in ((("first", "second", "third"), "second is 0"), (("third", "second"), "third is -1")):
        with pytest.raises(UserError, match=f"^{complaint}; it must be above 0$"):
            check(settings, "above 0", *names)
    check(settings, "above 0", "first")


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        ({"threads": 1}, {"threads": 2}, "threads is 1 there and 2 here"),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, "b is 2 there and 3 here"),
        ({"a": 1, "b": 2}, {"b": 3, "a": 2}, "b is 2 there and 3 here"),  # the first in the order of what is here
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, "c is 1 there and 2 here"),
        ({"a": {"b": 1}}, {"a": 5}, "a is {'b': 1} there and 5 here"),
        ({"a": 1}, {"a": 1, "b": "x"}, "b is None there and x here"),
        ({"a": 1, "b": "x"}, {"a": 1}, "b is x there and None here"),
        (None, {"a": 1}, "it is None there and {'a': 1} here"),
        ([1, 2], [1, 3], "it is [1, 2] there and [1, 3] here"),
        ("x" * 40, "y" * 41, f"it is {'x' * 40} there and {'y' * 40}... here"),
    ],
)
def test_a_difference_in_words(there: Any, here: Any, words: str) -> None:
    assert str(OtherRun(Path("a"), first_difference(there, here), "do it")) == f"a: of another run ({words}); do it"


def test_a_difference_can_be_called_as_people_call_it_even_if_a_worker_found_it() -> None:
    error = pickle.loads(pickle.dumps(OtherRun(Path("a"), ("n_layer", 4, 2), "take another")))
    assert error.calling_it("--n-layer") == "a: of another run (--n-layer is 4 there and 2 here); take another"


def test_no_whole_number_is_above_a_million() -> None:
    check(SimpleNamespace(n=10**6, x=1e12), "at least 1", "n", "x")
    with pytest.raises(UserError, match="n is 1000001; it must be at most 1,000,000"):
        check(SimpleNamespace(n=10**6 + 1), "at least 1", "n")
