"""What torchrun says is believed only where torchrun can have said it; and what is said before PyTorch comes."""

import ctypes

import pytest

from common import environment
from common.environment import rank
from common.files import UserError

GOOD = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def test_the_rank_of_a_process() -> None:
    assert rank({}) == rank({"WORLD_SIZE": "1", "RANK": "x"}) == rank({"RANK": "7"}) == 0
    assert (rank(GOOD), rank(GOOD | {"RANK": "0"})) == (1, 0)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK", "MASTER_PORT", "MASTER_ADDR"])
@pytest.mark.parametrize("value", ["abc", "2", "-1", "2.0", "", "9" * 100, "\u0662", None])
def test_what_torchrun_would_not_say_is_refused(name: str, value: str | None) -> None:
    if (name in ("WORLD_SIZE", "MASTER_PORT") and value == "2") or (name == "MASTER_ADDR" and value):
        return
    given = {key: text for key, text in (GOOD | {name: value}).items() if text}
    if name == "WORLD_SIZE" and not value:
        assert rank(given) == 0
        return
    with pytest.raises(UserError, match="start with torchrun, or unset WORLD_SIZE"):
        rank(given)


def test_a_process_is_made_fast_before_it_imports_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: list[tuple[int, int]] = []

    class Library:
        def __init__(self, name: str | None) -> None:
            self.mallopt = lambda parameter, value: settings.append((parameter, value))

    monkeypatch.setattr(ctypes, "CDLL", Library)
    empty, given = dict[str, str](), {"GOMP_SPINCOUNT": "7"}
    environment.before_pytorch(empty)
    environment.before_pytorch(given)
    assert (empty, given) == (environment.OF_THREADS, {"GOMP_SPINCOUNT": "7"})
    assert settings == [(-1, 2**30), (-3, 2**25)] * 2  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    for error in (OSError, AttributeError, TypeError):  # another C library

        def none(_: str | None, error: type[Exception] = error) -> None:
            raise error

        monkeypatch.setattr(ctypes, "CDLL", none)
        environment.keep_freed_memory()
