"""The engine: what is undecided gets more seeds, and nothing else does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.contenders import ModelSizes, made_up_data
from common.files import UserError
from dataset import Data
from studies import engine
from studies.catalogue.recipes import RECIPES
from studies.engine import looks_of, train_meanwhile, train_runs, until_told
from training.recipe import Run, customise
from training.runs import Folder


def told_at(needed: Mapping[str, int], looks: list[int]) -> list[dict[str, int]]:
    """How many seeds of each variant every look has, where each variant is told with so many."""
    seen: list[dict[str, int]] = []

    def look(n_seeds: Mapping[str, int]) -> tuple[int, list[str]]:
        seen.append(dict(n_seeds))
        return len(seen), [name for name, n in needed.items() if n > n_seeds[name]]

    assert until_told(looks, needed, look) == len(seen)
    return seen


def test_only_what_is_undecided_gets_more_seeds() -> None:
    seen = told_at({"a": 5, "b": 10, "c": 99}, [5, 10, 20])
    assert seen == [{"a": 5, "b": 5, "c": 5}, {"a": 5, "b": 10, "c": 10}, {"a": 5, "b": 10, "c": 20}]
    assert told_at({"a": 5, "b": 7}, [5, 10, 20, 40]) == [{"a": 5, "b": 5}, {"a": 5, "b": 10}]
    assert told_at({"a": 5}, [5, 10]) == [{"a": 5}]


def test_a_study_is_looked_at_once_or_until_it_is_told() -> None:
    assert looks_of(5, None) == [5]
    assert looks_of(5, 20) == [5, 10, 20]
    assert looks_of(1, 1) == [1]
    assert looks_of(1, 4) == [1, 2, 4]  # part 3's default is looked at, too
    with pytest.raises(UserError, match=r"^--until-told 4: fewer than --seeds 5; give more$"):
        looks_of(5, 4)


@pytest.mark.parametrize(
    ("precision", "device", "units", "is_warned"),
    [
        ("bf16", "cpu", {"amx_bf16": False, "avx512_bf16": False, "avx512_f": True}, True),
        ("bf16", "cpu", {"amx_bf16": True}, False),
        ("bf16", "cpu", {"avx512_bf16": True}, False),
        ("bf16", "cuda", {}, False),
        ("float32", "cpu", {}, False),
    ],
)
def test_of_bf16_that_will_not_help_one_line_warns_once(
    precision: str,
    device: str,
    units: dict[str, bool],
    is_warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    monkeypatch.setattr(engine, "perform_all", lambda runs, *_: list(runs))
    run = Run("a run", customise(RECIPES["report"]["decoder"], precision=precision), seed=0)
    engine.warn_of_bf16.cache_clear()
    for _ in range(2):  # as a study is looked at again
        train_runs({0: run}, made_up_data(ModelSizes()), Folder(Path(), torch.device(device)), 1)
    said = ["warning: --precision bf16 will not help: this processor has neither AMX nor AVX512-BF16"]
    assert capsys.readouterr().err.splitlines() == said * is_warned


@pytest.mark.parametrize("n_workers", [1, 2])
def test_equal_runs_are_trained_once_whole_seeds_first_and_something_else_meanwhile(
    n_workers: int, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, list[Run]]] = []

    def perform_all(runs: Sequence[Run], encoded: Data, *_: object) -> list[Any]:
        asked.append((encoded.train.ids.shape[1], list(runs)))
        return [run.name for run in runs]

    monkeypatch.setattr(engine, "perform_all", perform_all)
    classifier, decoder = (Run(task, RECIPES["report"][task], seed=0) for task in ("classifier", "decoder"))
    wide = replace(classifier, recipe=customise(classifier.recipe, block_size=16))
    small = replace(classifier, recipe=customise(classifier.recipe, block_size=8))
    runs = {"a": replace(small, seed=1), "b": small, "same": small, "wide": wide, "decoder": decoder}
    folder = Folder(Path(), torch.device("cpu"))
    records, value = train_meanwhile(runs, data, folder, n_workers, lambda: "something else")
    assert records == {key: run.name for key, run in runs.items()}
    assert value == "something else"
    assert asked == [(8, [small, decoder, replace(small, seed=1)]), (16, [wide])]  # a decoder cuts its windows itself
