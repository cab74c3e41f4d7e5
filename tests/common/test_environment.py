"""What torchrun says is believed only where torchrun can have said it; and what is set before PyTorch is imported."""

import ctypes
from types import SimpleNamespace

import pytest

from common.environment import OF_THREADS, before_pytorch, rank
from common.files import UserError

GOOD = {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def test_the_rank_of_a_process() -> None:
    assert rank({}) == rank({"WORLD_SIZE": "1", "RANK": "x"}) == rank({"RANK": "7"}) == 0
    assert (rank(GOOD), rank(GOOD | {"RANK": "0"})) == (1, 0)
    for name in ("WORLD_SIZE", "RANK", "MASTER_PORT"):
        for value in ("abc", "-1" if name == "RANK" else "2.0", "", "9" * 5000):
            with pytest.raises(UserError, match="start with torchrun, or unset WORLD_SIZE"):
                rank(GOOD | {name: value})
    with pytest.raises(UserError, match="torchrun"):
        rank({name: value for name, value in GOOD.items() if name != "MASTER_ADDR"})


def test_a_process_is_made_fast_before_it_imports_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda parameter, value: calls.append((parameter, value)))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    empty, given = dict[str, str](), {"GOMP_SPINCOUNT": "7"}
    before_pytorch(empty)
    before_pytorch(given)
    assert (empty, given) == (OF_THREADS, {"GOMP_SPINCOUNT": "7"})
    assert calls == [(-1, 2**30), (-3, 2**25)] * 2  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())  # another C library
    before_pytorch(empty)
