"""Any two settings can be combined, or are refused before a step is trained; and none that is taken does nothing."""

import functools
import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from tiny import classifier_of, decoder_of, perform
from torch import Tensor

from common.files import UserError
from dataset import Data, load_data
from evaluation.accuracy import class_probabilities
from evaluation.perplexity import Protocol, perplexity, token_nats
from modules.config import ClassifierConfig, DecoderConfig, TransformerConfig
from studies.catalogue.recipes import RECIPES
from training.kinds import KINDS
from training.loop import train
from training.recipe import Recipe, Run, Task, TrainingConfig, customise, settings_of
from training.runs import Folder
from training.weights import load_model, weights
from transformer import Decoder

TASKS: tuple[Task, ...] = get_args(Task)
CPU = torch.device("cpu")
TINY = TransformerConfig(n_embd=8, n_layer=1, block_size=12, ff_dim=8)
BASES: dict[Task, Recipe] = {  # four steps each: the tiny data have 60 rows
    "classifier": Recipe("classifier", classifier_of(TINY), TrainingConfig(batch_size=30), duration=2),
    "decoder": Recipe("decoder", decoder_of(TINY), TrainingConfig(batch_size=2), duration=4),
}
VALUES: dict[str, tuple[Any, ...]] = {  # of the other settings, besides those of the bases
    **{"n_embd": (12,), "n_head": (1,), "n_layer": (0,), "block_size": (10,), "ff_dim": (0,), "window": (1,)},
    **{"positions": ("sinusoidal", "alibi", "rope", "t5", "none"), "norm": ("pre", "none"), "activation": ("gelu",)},
    **{"alibi_slope_scale": (8.0,), "position_std": (0.3,), "dropout": (0.3,), "embedding_dropout": (0.3,)},
    **{"drop_path": (0.5,), "layer_scale": (0.5,), "tied": (True,), "n_spellings": (20,), "phrases": (True,)},
    **{"voices": (True,)},
    **{"pooling": ("masked-mean", "mean-max"), "head_dim": (0,), "batch_norm": (True,), "n_members": (2,)},
    **{"initialisation": ("pytorch", "normal-embeddings"), "batch_size": (20,), "learning_rate": (1e-2,)},
    **{"weight_decay": (0.5,), "schedule": ("linear", "cosine"), "warmup": (0.34,), "beta2": (0.5,), "clip": (1e-3,)},
    **{"label_smoothing": (0.2,), "unigram_bias": (True,)},
    **{"precision": ("bf16",), "shuffled": (True,)},
}
ELSEWHERE = {  # settings that are not combined here
    **dict.fromkeys(("task", "architecture", "training"), "made of the others"),
    "ngram_share": "no part of the training: tests/evaluation/test_mixture.py",
}
NEEDS: dict[str, dict[str, Any]] = {  # what a setting works upon, and goes with it here
    "alibi_slope_scale": {"positions": "alibi"},
}
OF_ONE_TASK: dict[Task, set[str]] = {
    "classifier": {"pooling", "head_dim", "batch_norm", "n_members", "phrases", "label_smoothing"},
    "decoder": {"tied", "unigram_bias", "shuffled", "voices"},
}
LAYERS_ONLY = {"window", "drop_path", "layer_scale", "activation", "alibi_slope_scale"}
Value = tuple[str, Any]
Weights = dict[str, Tensor]


def is_refused(task: Task, settings: dict[str, Any]) -> bool:
    """Whether these settings cannot go together, as the documentation has it."""
    (other,) = set(TASKS) - {task}
    return (
        not OF_ONE_TASK[other].isdisjoint(settings)
        or (settings.get("n_layer") == 0 and not LAYERS_ONLY.isdisjoint(settings))
        or (settings.get("n_layer") == 0 and settings.get("positions") in ("alibi", "rope", "t5"))
        or ("position_std" in settings and "positions" in settings)  # for these are others than learned
        or ("activation" in settings and settings.get("ff_dim") == 0)
        or ("batch_norm" in settings and settings.get("head_dim") == 0)
        or ("phrases" in settings and "n_spellings" in settings)
        or (settings.get("positions") != "alibi" and any(name.startswith("alibi") for name in settings))
    )


def does_nothing(task: Task, name: str, settings: dict[str, Any]) -> bool:
    """Whether the setting `name` may change nothing in a recipe with `settings`."""
    if settings.get("n_layer") != 0:
        return False
    # Without a layer there is nothing that these are the size or the place of, and a decoder's dropout and products in
    # bf16 are all in its layers; and tied to its embeddings it is nothing but embeddings.
    if settings.get("tied") and settings.get("initialisation") == "normal-embeddings" and name == "initialisation":
        return True
    return name in ("n_head", "ff_dim", "norm") or (task == "decoder" and name in ("dropout", "precision"))


@pytest.fixture(scope="module")
def data_of(data_folder: Path) -> Callable[[int], Data]:
    """The tiny data in blocks of a size."""
    return {size: load_data(data_folder, size) for size in (12, 10)}.__getitem__


def values(task: Task) -> Iterator[Value]:
    yield "duration", BASES[task].duration - 1
    yield from ((name, value) for name, others in VALUES.items() for value in others)


def with_needs(*chosen: Value) -> dict[str, Any]:
    needed: dict[str, Any] = {}
    for name, _ in chosen:
        needed |= NEEDS.get(name, {})
    return needed | dict(chosen)


class Trial:
    """A few steps with some settings: the weights before and after them."""

    def __init__(self, task: Task, settings: dict[str, Any], data_of: Callable[[int], Data]) -> None:
        self.recipe = customise(BASES[task], **settings)
        self.work: Any = KINDS[task].task(
            Run("run", self.recipe, seed=0), data_of(self.recipe.architecture.block_size), CPU
        )
        self.before = {name: tensor.detach().clone() for name, tensor in weights(self.work.model).items()}
        self.n_losses = 0

    @functools.cached_property
    def after(self) -> Weights:
        task: Any = SimpleNamespace(model=self.work.model, plan=self.work.plan, loss=self.loss, evaluate_at=())
        train(task, self.recipe.training, 0)
        return weights(self.work.model)

    def loss(self, items: Tensor) -> Tensor:
        self.n_losses += 1
        return self.work.loss(items)


def alike(first: Weights, second: Weights) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_every_setting_is_combined_with_the_others_or_left_out_for_a_reason() -> None:
    names = {
        field.name for config in (ClassifierConfig, DecoderConfig, TrainingConfig, Recipe) for field in fields(config)
    }
    assert names == {"duration", *VALUES, *ELSEWHERE}
    for task, recipe in BASES.items():
        settings = settings_of(recipe)
        assert not [name for name, value in values(task) if settings.get(name) == value]


@pytest.mark.parametrize("task", TASKS)
def test_two_settings_that_cannot_go_together_are_refused_before_a_step_and_no_others(
    task: Task, data_of: Callable[[int], Data]
) -> None:
    faults = []
    pairs = [pair for pair in itertools.combinations(values(task), 2) if pair[0][0] != pair[1][0]]
    for chosen in [*((value,) for value in values(task)), *pairs]:
        settings, trial = with_needs(*chosen), None
        try:
            customise(BASES[task], **settings)
            if is_refused(task, settings):
                trial = Trial(task, settings, data_of)
                assert trial.after
                faults.append(f"{settings}: not refused")
        except UserError:
            if trial is not None and trial.n_losses:
                faults.append(f"{settings}: refused only after a step")
            if not is_refused(task, settings):
                faults.append(f"{settings}: refused")
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_no_setting_does_nothing_alone_or_beside_any_other(task: Task, data_of: Callable[[int], Data]) -> None:
    faults = []
    trials = functools.cache(lambda settings: Trial(task, dict(settings), data_of))
    singles = [with_needs(value) for value in values(task)]
    for settings in [*(single for single in singles if not is_refused(task, single)), *covering_rows(task)]:
        trial = trials(frozenset(settings.items()))
        if not all(tensor.isfinite().all() for tensor in trial.after.values()):
            faults.append(f"{settings}: weights that are not finite")
        for name in settings:
            rest = {other: value for other, value in settings.items() if other != name}
            if is_refused(task, rest) or does_nothing(task, name, settings):
                continue
            without = trials(frozenset(rest.items()))
            if alike(trial.before, without.before) and alike(trial.after, without.after):
                faults.append(f"{name} does nothing beside {rest}")
    assert not faults, "\n".join(faults)


def covering_rows(task: Task) -> list[dict[str, Any]]:
    """Few recipes in which every two values that may stand together do so once or more: the settings of each."""
    draw = random.Random(0)
    every = [value for value in values(task) if not is_refused(task, with_needs(value))]
    missing = {
        frozenset(pair)
        for pair in itertools.combinations(every, 2)
        if pair[0][0] != pair[1][0] and not is_refused(task, with_needs(*pair))
    }
    rows = []
    while missing:
        row = list(min(missing, key=lambda pair: sorted(map(str, pair))))
        for value in draw.sample(every, len(every)):
            n_new = sum(frozenset((value, other)) in missing for other in row)
            if n_new and value[0] not in with_needs(*row) and not is_refused(task, with_needs(*row, value)):
                row.append(value)
        missing -= {frozenset(pair) for pair in itertools.combinations(row, 2)}
        rows.append(with_needs(*row))
    return rows


@pytest.mark.parametrize("task", TASKS)
def test_recipes_that_cover_all_pairs_are_trained_measured_saved_and_loaded(
    task: Task, data_of: Callable[[int], Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _file: None)  # these files need not outlive the machine
    for number, settings in enumerate(covering_rows(task)):
        recipe, folder = customise(BASES[task], **settings), Folder(tmp_path / str(number), CPU)
        data, run = data_of(recipe.architecture.block_size), Run("run", recipe, seed=0)
        record = perform(run, data, folder)
        json.dumps(record, allow_nan=False)  # every number is finite
        model = load_model(folder.weights(run), task).model
        if isinstance(model, Decoder):
            protocol = Protocol(recipe.architecture.block_size)
            last = record["iterations"][-1]["perplexity"]
            for name, stream in data.test_streams.items():
                assert perplexity(token_nats(model, stream.ids, protocol)) == pytest.approx(last[name]), settings
        else:
            assert class_probabilities(model, data.test).argmax(dim=-1).tolist() == record["predictions"], settings


def test_without_layers_the_best_recipe_leaves_out_what_would_do_nothing() -> None:
    classifier = RECIPES["best"]["classifier"]
    layerless = customise(classifier, n_layer=0).architecture
    assert layerless == replace(classifier.architecture, n_layer=0, positions="none", drop_path=0.0, layer_scale=None)
    assert customise(BASES["classifier"], n_layer=0).architecture.positions == "learned"
