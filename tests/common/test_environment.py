"""What torchrun says is believed only where torchrun can have said it."""

import pytest

from common.environment import rank
from common.files import UserError

GOOD = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def test_alone_nothing_else_counts() -> None:
    assert rank({}) == rank({"WORLD_SIZE": "1", "RANK": "x"}) == rank({"RANK": "7"}) == 0


def test_the_rank_of_a_member() -> None:
    assert (rank(GOOD), rank(GOOD | {"RANK": "0"})) == (1, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("WORLD_SIZE", text) for text in ("abc", "0", "-1", "2.0", "", "9" * 100, "\u0662")],
        *[("RANK", text) for text in (None, "2", "-1", "x")],
        *[("LOCAL_RANK", text) for text in ("2", "first")],
        *[("MASTER_PORT", text) for text in (None, "0", "99999", "http")],
        ("MASTER_ADDR", None),
    ],
)
def test_what_torchrun_would_not_say_is_refused_by_name(name: str, value: str | None) -> None:
    environment = {key: text for key, text in (GOOD | {name: value}).items() if text is not None}
    with pytest.raises(UserError, match=f"not torchrun's: {name} is .*; start with torchrun, or unset WORLD_SIZE"):
        rank(environment)
