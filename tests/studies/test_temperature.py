"""A temperature that is known, because the model beside has told it; and when there is none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace as replaced
from worlds import classifier_run, intercept

from dataset import Data
from evaluation.accuracy import class_probabilities
from evaluation.calibration import reliability, spread
from evaluation.records import GroupAccuracy
from studies import calibration, figures
from studies.catalogue.recipes import RECIPES
from studies.probes.temperature import calibrate, run_beside, why_not
from training.models import build_classifier
from training.recipe import Run
from training.records import ClassifierRun, Epoch
from training.weights import TrainedModel
from transformer import ClassifierConfig

RECIPE = RECIPES["report"]["classifier"]


def record(train_accuracy: float = 95.0, **fields: Any) -> ClassifierRun:
    return classifier_run(epochs=[Epoch(1, 0.5, 30.0, 30.0), Epoch(2, 0.1, train_accuracy, 50.0)], **fields)


@pytest.fixture
def trained(data: Data) -> TrainedModel:
    """A classifier of the tiny data that has learned nothing and is sure of itself."""
    config = ClassifierConfig(n_embd=16, n_layer=1, block_size=8, ff_dim=16, initialisation="pytorch")
    model: Any = build_classifier(config, data.tokenizer.words, 3)
    with torch.no_grad():
        model.head[-1].weight *= 40
    return TrainedModel(model.eval(), data.tokenizer, data.corpus.class_names)


def test_a_run_beside_holds_out_a_fold_of_rows_if_these_are_enough(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_beside(RECIPE, 7, data) is None  # 12 of 60 rows, or fewer where some are alike
    monkeypatch.setattr(calibration, "FEWEST", 11)
    assert run_beside(RECIPE, 7, data) == Run("calibration", RECIPE, 7, fold=0, brief=True)
    monkeypatch.setattr(calibration, "FEWEST", 13)
    assert run_beside(RECIPE, 7, data) is None
    few = replace(data, corpus=replace(data.corpus, train=data.corpus.train[:1]))
    assert run_beside(RECIPE, 7, few) is None  # too few for folds at all


def test_a_temperature_is_that_of_the_model_beside_in_the_unit_of_this_one(data: Data, trained: TrainedModel) -> None:
    model: Any = trained.model
    before = class_probabilities(model, data.test)
    expected = 1.25 * spread(class_probabilities(model, data.train))
    test = {"all": GroupAccuracy(123, 50.0), "seen": GroupAccuracy(0, None), "unseen": GroupAccuracy(123, 50.0)}
    beside = record(99.0, test=test, relative_temperature=1.25)
    model.temperature = 9.0  # of an earlier time, and counts for nothing
    found = calibrate(trained, record(), beside, data)
    assert found.temperature == model.temperature == pytest.approx(expected)
    assert (found.n_rows, found.note) == (123, "")
    assert found.as_trained == reliability(before, data.test.labels, data.seen)
    after = class_probabilities(model, data.test)
    torch.testing.assert_close(after, (before.log() / expected).softmax(dim=-1))
    assert found.calibrated == reliability(after, data.test.labels, data.seen)
    assert found.calibrated != found.as_trained


@pytest.mark.parametrize(
    ("own", "beside", "why"),
    [
        (record(), None, "there are too few training rows to hold 50 of them out"),
        (record(trained=False), record(), "the classifier is at chance"),
        (record(95.0), record(84.9), "the model that was to tell it has not learned as this one has"),
        (record(60.0), record(70.1), r"(training accuracy 70.1 and 60.0%); another seed may"),
        (record(60.0), record(70.0), ""),
    ],
)
def test_where_there_is_no_temperature_it_is_said_why(
    own: ClassifierRun, beside: ClassifierRun | None, why: str, data: Data, trained: TrainedModel
) -> None:
    assert why in why_not(own, beside)
    if why:
        found = calibrate(trained, own, beside and replaced(beside, relative_temperature=5.0), data)
        assert (found.temperature, found.n_rows, found.as_trained) == (1.0, 0, found.calibrated)
        assert why in found.note
    else:
        assert why_not(own, beside) == ""


def test_a_picture_shows_confidence_against_accuracy(
    data: Data, trained: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = intercept(monkeypatch)
    found = calibrate(trained, record(), record(relative_temperature=2.0), data)
    figures.draw_reliability(Path("one.png"), found, "report recipe")
    accuracy, rows = caught["one.png"]["panels"]
    names = ["as trained", f"temperature {found.temperature:.2g}"]
    assert [line.name for line in accuracy.lines] == [*names, "as often right as sure"]
    assert [line.name for line in rows.lines] == names
    for line, own in zip(accuracy.lines, (found.as_trained, found.calibrated)):
        assert list(zip(line.x, line.y)) == [(one.confidence, one.accuracy) for one in own.bins]
    for line, own in zip(rows.lines, (found.as_trained, found.calibrated)):
        assert list(zip(line.x, line.y)) == [(one.confidence, 100 * one.n / 24) for one in own.bins]
    assert "report recipe" in caught["one.png"]["title"]
    figures.draw_reliability(Path("two.png"), calibrate(trained, record(), None, data), "report recipe")
    assert [line.name for line in caught["two.png"]["panels"][1].lines] == names[:1]
