"""Every option of the command line reaches its setting; the parts of the report compare what may be compared."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import experiments
import exploration
import main
from dataset import Data
from experiments import RECIPES, customise
from exploration import Study, part3
from files import UserError
from runs import Place, Recipe
from training import TrainingConfig
from transformer import TransformerConfig

OPTIONS: dict[str, Any] = {  # a value of each option that is no recipe's
    **{"positions": "t5", "window": 3, "n_embd": 32, "n_head": 8, "n_layer": 3, "block_size": 16, "dropout": 0.35},
    **{"batch_size": 5, "learning_rate": 0.5, "weight_decay": 0.25, "schedule": "cosine", "warmup": 0.5, "clip": 2.0},
    **{"label_smoothing": 0.3, "accumulate": 3, "precision": "bf16", "compile": True, "alibi_slope_scale": 4.0},
    **{"epochs": 3, "ff_dim": 24, "alibi_one_sided": True, "pooling": "cls", "batch_norm": True, "by_length": True},
    "iterations": 7,
}
COMMANDS: dict[str, type] = {"part1": main.Part1, "part2": main.Part2}
NOT_OF_A_RECIPE = {"data_dir", "out", "seed", "device", "threads", "recipe", "resume", "ff_dims"}


def options(command: type) -> set[str]:
    return {field.name for field in dataclasses.fields(command)} - NOT_OF_A_RECIPE


def test_every_option_is_tested_below() -> None:
    assert set().union(*map(options, COMMANDS.values())) == set(OPTIONS)


@pytest.mark.parametrize("recipe_name", RECIPES)
@pytest.mark.parametrize(
    ("command", "option"),
    [(name, option) for name, command in COMMANDS.items() for option in OPTIONS if option in options(command)],
)
def test_every_option_reaches_its_setting_and_no_other(command: str, option: str, recipe_name: str) -> None:
    recipe, value = RECIPES[recipe_name]["classifier" if command == "part1" else "decoder"], OPTIONS[option]
    words = [f"--{option.replace('_', '-')}", *([] if value is True else [str(value)])]
    if option.startswith("alibi"):
        recipe = customise(recipe, positions="alibi")
    given = main.overrides(main.parse([command, "--recipe", recipe_name, *words]))
    if (option, recipe_name) == ("batch_norm", "best"):
        with pytest.raises(UserError, match="batch_norm stands after the first of two layers"):
            customise(recipe, **given)
        return
    before, after = (flat(each) for each in (recipe, customise(recipe, **given)))
    name = {"epochs": "duration", "iterations": "duration"}.get(option, option)
    assert {key for key in after if after[key] != before[key]} == {name}
    assert after[name] == value


def flat(recipe: Recipe) -> dict[str, Any]:
    """All settings of a recipe by name."""
    return dataclasses.asdict(recipe.architecture) | dataclasses.asdict(recipe.training) | vars(recipe)  | {
        "architecture": None, "training": None,
    }  # fmt: skip


def test_zero_and_false_are_told_apart() -> None:
    words = ["part2", "--dropout", "0", "--weight-decay", "0", "--window", "0", "--label-smoothing", "0"]
    expected = {"dropout": 0.0, "weight_decay": 0.0, "window": 0, "label_smoothing": 0.0}
    assert main.overrides(main.parse(words)) == expected


def test_the_report_recipe_is_the_published_one() -> None:
    for task, duration, initialisation in (("classifier", 15, "normal"), ("decoder", 500, "pytorch")):
        recipe = RECIPES["report"][task]  # type: ignore[index]
        found = flat(recipe)
        expected = {
            **{"n_embd": 64, "n_head": 2, "n_layer": 4, "block_size": 32, "ff_dim": 256, "head_dim": 100},
            **{"positions": "learned", "norm": "post", "activation": "relu", "dropout": 0.0, "batch_norm": False},
            **{"batch_size": 16, "learning_rate": 1e-3, "weight_decay": 0.0, "schedule": "constant", "warmup": 0.0},
            **{"tied": False, "pooling": "mean", "clip": None, "label_smoothing": 0.0, "beta2": 0.999},
            **{"duration": duration, "initialisation": initialisation, "by_length": False},
        }
        assert {name: found[name] for name in expected} == expected


def test_settings_of_alibi_without_alibi_are_refused() -> None:
    recipe = RECIPES["report"]["decoder"]
    with pytest.raises(UserError, match="alibi_slope_scale does nothing with rope positions"):
        customise(recipe, positions="rope", alibi_slope_scale=2.0)
    assert customise(recipe, positions="alibi", alibi_slope_scale=2.0).architecture.alibi_slope_scale == 2.0


@pytest.mark.parametrize("ff_dims", [(), (16, 16)])
def test_part2_wants_different_widths(ff_dims: tuple[int, ...], data: Data, tmp_path: Path) -> None:
    place = Place(tmp_path, torch.device("cpu"))
    with pytest.raises(UserError, match="one or more different sizes"):
        experiments.part2("report", RECIPES["report"]["decoder"], ff_dims, 0, data, place)


def test_the_largest_class_by_hand(data: Data) -> None:
    groups = experiments.classifier_baselines(data)["majority"]  # as many rows of each class: the first is predicted
    assert {name: (group["n"], group["accuracy"]) for name, group in groups.items()} == {
        "all": (24, pytest.approx(100 / 3)),
        "seen": (6, pytest.approx(100 / 3)),
        "unseen": (18, pytest.approx(100 / 3)),
    }


# -------------------------------------------------------------------------------------------------------------- part 3

TINY = TransformerConfig(0, n_embd=8, n_layer=1, block_size=8, ff_dim=8)
STUDY = Study(
    "report",
    Recipe("classifier", TINY, TrainingConfig(batch_size=30), duration=1),
    Recipe("decoder", TINY, TrainingConfig(batch_size=2), duration=5),
    seeds=(3, 4),
    ff_dims=(8, 4),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("part3"), torch.device("cpu"))


@pytest.fixture(scope="module")
def results(data: Data, place: Place) -> dict[str, Any]:
    part3(STUDY, data, place)
    return json.loads((place.out / "results.json").read_text())


def test_variants_run_on_the_same_seeds_and_differ_in_one_thing(results: dict[str, Any]) -> None:
    assert set(results["classifier"]) == {
        *("learned", "alibi", "none", "original", "batch-norm"),
        *(f"{both}dropout-{rate}" for both in ("", "batch-norm-") for rate in (0.2, 0.3, 0.4, 0.5)),
    }
    assert set(results["decoder"]) == {"learned", "alibi", "none", "alibi-steep", "ff8", "ff4"}
    for variants in (results["classifier"], results["decoder"]):
        assert all([run["seed"] for run in runs] == [3, 4] for runs in variants.values())
    n_embd, n_positions = 8, 8
    for variants in (results["classifier"], results["decoder"]):
        learned, none = (variants[name][0]["n_parameters"] for name in ("learned", "none"))
        assert learned - none == n_embd * n_positions  # the table of positions and nothing else
        assert variants["alibi"][0]["n_parameters"] == none
    assert results["classifier"]["learned"] == results["classifier"]["original"]  # the same runs, not run twice
    n_rows = {name: len(runs[0]["iterations"]) for name, runs in results["decoder"].items()}
    assert n_rows == {"learned": 5, "alibi": 5, "none": 5, "alibi-steep": 5, "ff8": 5, "ff4": 1}


def test_the_rate_is_chosen_on_validation_rows(results: dict[str, Any]) -> None:
    validation = results["validation"]
    assert all(run["test"]["all"]["n"] == 12 for runs in validation.values() for run in runs)  # a fifth of train
    means = {name: sum(run["test"]["all"]["accuracy"] for run in runs) for name, runs in validation.items()}
    assert means[results["chosen_rate"]] == max(means.values())


def test_the_same_tokens_are_scored_at_every_length(results: dict[str, Any]) -> None:
    rows = results["extrapolation"]["learned"][0]
    assert {row["length"] for row in rows} == {8, 16, 32, 64}
    assert all((None in row["perplexity"].values()) == (row["length"] > 8) for row in rows)
    by_kind = {(row["length"], row["sliding"], row["window"]): row for row in results["extrapolation"]["none"][0]}
    assert len(by_kind) == 4 * 2 * 2
    assert by_kind[8, True, 7]["perplexity"] == by_kind[8, True, None]["perplexity"]  # all that training could see
    assert by_kind[64, True, 7]["perplexity"] != by_kind[64, True, None]["perplexity"]
    for variant in ("learned", "alibi", "none"):
        for run, rows in zip(results["decoder"][variant], results["extrapolation"][variant]):
            last = run["iterations"][-1]["perplexity"]
            (same,) = (row for row in rows if (row["length"], row["sliding"], row["window"]) == (8, False, None))
            assert same["perplexity"] == pytest.approx({name: last[name] for name in same["perplexity"]})


def test_every_claim_of_part3_gets_a_verdict_and_times_are_of_training_alone(results: dict[str, Any]) -> None:
    assert {claim["verdict"] for claim in results["claims"]} <= {"holds", "does not hold", "cannot tell"}
    for task in ("classifier", "decoder"):
        seconds = results["timing"][task]["seconds"]
        assert [len(seconds[name]) for name in ("learned", "alibi", "none")] == [exploration.TIMED_ROUNDS] * 3


def test_part3_again_trains_nothing_anew(
    results: dict[str, Any], data: Data, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runs.train", None)
    again = json.loads(json.dumps(part3(STUDY, data, place)))
    del again["total_seconds"]
    assert again == {key: value for key, value in results.items() if key != "total_seconds"}
