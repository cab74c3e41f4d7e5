"""What torchrun says is believed only where torchrun can have said it; and what is said before PyTorch comes."""

import ctypes
from typing import Any

import pytest

from common import environment
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


def test_the_c_library_is_told_to_keep_what_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Library:
        def __init__(self, name: str | None) -> None:
            told.append(name)

        def mallopt(self, parameter: int, value: int) -> None:
            told.append((parameter, value))

    monkeypatch.setattr(ctypes, "CDLL", Library)
    environment.keep_freed_memory()
    assert told == [None, (-1, 2**30), (-3, 2**25)]  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    for error in (OSError, AttributeError, TypeError):

        def none(_name: str | None, error: type[Exception] = error) -> None:
            raise error

        monkeypatch.setattr(ctypes, "CDLL", none)
        environment.keep_freed_memory()


def test_a_process_is_made_fast_before_it_imports_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(environment, "keep_freed_memory", lambda: kept.append(True))
    own, given = dict[str, str](), {"GOMP_SPINCOUNT": "7"}
    environment.before_pytorch(own)
    environment.before_pytorch(given)
    assert (own, given) == (environment.OF_THREADS, {"GOMP_SPINCOUNT": "7"})
    assert kept == [True, True]
