"""The two kinds of model, classifier and decoder: how each is trained, what it is measured by, and which models without
a network stand beside it. Who trains, compares or reports runs asks the kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, geometric_mean
from typing import Any, Literal, cast

import numpy as np

from dataset import Data, stretches
from evaluation.accuracy import by_group
from evaluation.crossed import Items, by_stretch
from evaluation.opponents import (
    CLASSIFIER_OPPONENTS,
    DECODER_OPPONENTS,
    Opponent,
    classifier_opponents,
    decoder_opponents,
)
from evaluation.records import Group
from evaluation.statistics import SHARED_BY_FOLDS, Estimate, paired_difference, paired_ratio
from speechesdataset.folder import TOGETHER, TRAINING
from training.recipe import Task
from training.records import ClassifierRun, DecoderRun, TrainedRun
from training.tasks import ClassifierTask, DecoderTask

Unit = Literal["points", "ratio"]
EACH_TEXT = "each text"  # a subset that stands for the training text and every test text,
EACH_TEST_TEXT = "each test text"  # or for the test texts alone
EACH_GROUP = "each group"  # all, seen and unseen test rows, or all alone where none or all are seen


@dataclass(frozen=True)
class Measure:
    """A number of a run on a subset: a group of the test rows, or a text."""

    name: str
    title: str  # at the head of a column
    unit: Unit  # of a difference
    higher_is_better: bool
    subset: str  # the one that stands for all of them
    value: Callable[[Any, str], float]  # of a run, or of an opponent
    digits: int = 1
    by_chance: bool = True  # whether other rows or texts might give another number
    of_opponents: bool = True  # whether models without a network have it, too

    def difference(
        self, values: Sequence[float], base_values: Sequence[float], on_folds: bool, confidence: float
    ) -> Estimate:
        """How far values are from those of the base, seed by seed: in points, or as a ratio. Folds share rows."""
        shared = SHARED_BY_FOLDS if on_folds and self.by_chance else 0.0
        pair = paired_difference if self.unit == "points" else paired_ratio
        return pair(values, base_values, shared, confidence)


@dataclass(frozen=True)
class Kind:
    """A kind of model."""

    name: Task
    network: Literal["encoder", "decoder"]
    task: type[Any]  # what the loop needs to train one: made of a run, the data and a device
    record: type[TrainedRun]
    duration: Literal["epochs", "iterations"]  # what the duration of a recipe is called
    items: tuple[str, str]  # what results are measured on, and what other items an interval is for
    measures: Mapping[str, Measure]  # the first, unless another is asked for
    in_detail: tuple[tuple[str, str], ...]  # the first measure on every subset that says something
    opponent_names: Mapping[str, str]  # what the models without a network are called where they are shown
    opponents: Callable[[Data], Mapping[str, Opponent]]  # the models without a network on the test rows or texts
    # How much each run differs from its base, by a measure on a subset, on each stretch of neighbouring rows or lines,
    # for an interval over other rows or lines; none where the measure is no mean over them.
    paired_items: Callable[[Measure, str, Sequence[Any], Sequence[Any], Data], list[Items]]
    reads_rows: bool = False  # in the blocks that the data are cut into; a decoder cuts its windows itself
    may_end_at_chance: bool = False  # whether a run may know no more than which class is the largest

    @property
    def first_measure(self) -> Measure:
        """The one that is meant unless another is asked for."""
        return next(iter(self.measures.values()))


# ------------------------------------------------------------------------------------------------------------- measures
def _accuracy(run: Any, group: str) -> float:
    return float(run.test[group].accuracy)


def _macro_f1(run: ClassifierRun, group: str) -> float:
    return run.scores.macro_f1


def _gap(run: ClassifierRun, group: str) -> float:
    return run.epochs[-1].train_accuracy - run.epochs[-1].test_accuracy


def _perplexity(run: Any, text: str) -> float:
    if text == TRAINING:
        return float(run.iterations[-1].perplexity[TRAINING])
    if text == TOGETHER:
        return geometric_mean(scores.perplexity for scores in run.scores.values())
    return float(run.scores[text].perplexity)


def _bits_per_byte(run: Any, text: str) -> float:
    if text == TOGETHER:
        return fmean(scores.bits_per_byte for scores in run.scores.values())
    return float(run.scores[text].bits_per_byte)


def _seconds(run: TrainedRun, subset: str) -> float:
    return run.train_seconds


def _training_time(subset: str) -> Measure:
    title = "training time, s"
    return Measure("training-time", title, "ratio", False, subset, _seconds, by_chance=False, of_opponents=False)


def _by_name(*measures: Measure) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


# ---------------------------------------------------------------------------------------------------------------- items
def _paired_rows(measure: Measure, subset: str, runs: Sequence[Any], base: Sequence[Any], data: Data) -> list[Items]:
    if measure.name not in ("accuracy", "train - test accuracy"):
        return []
    labels = data.test.labels.numpy()
    inside = by_group(data.seen)[cast(Group, subset)].numpy()  # (N,)
    hits, base_hits = (np.array([run.predictions for run in each]) == labels for each in (runs, base))  # (seeds, N)
    differences = 100.0 * hits[:, inside] - 100.0 * base_hits[:, inside]
    neighbours = np.array(stretches(labels.tolist()))
    return [by_stretch(differences, neighbours[inside], labels[inside])]


def _paired_lines(measure: Measure, subset: str, runs: Sequence[Any], base: Sequence[Any], data: Data) -> list[Items]:
    texts = list(runs[0].scores) if subset == TOGETHER else [subset]
    if measure.name != "perplexity" or not all(text in run.stretch_nats for text in texts for run in [*runs, *base]):
        return []  # stretches of the training text are not kept
    tokens = runs[0].stretch_tokens
    return [
        Items((stretch_nats(runs, text) - stretch_nats(base, text)) / len(texts), np.array(tokens[text]))
        for text in texts
    ]


def stretch_nats(runs: Sequence[Any], text: str) -> np.ndarray:
    """The nats of a text by run and stretch."""
    return np.array([run.stretch_nats[text] for run in runs])


# ------------------------------------------------------------------------------------------------------------ the kinds
CLASSIFIER = Kind(
    name="classifier",
    network="encoder",
    task=ClassifierTask,
    record=ClassifierRun,
    duration="epochs",
    items=("rows", "rows"),
    measures=_by_name(
        Measure("accuracy", "accuracy, %", "points", True, "all", _accuracy),
        Measure("macro-f1", "macro-F1, %", "points", True, "all", _macro_f1, of_opponents=False),
        _training_time("all"),
        Measure("train - test accuracy", "training less test accuracy", "points", False, "all", _gap),
    ),
    in_detail=(("accuracy", EACH_GROUP),),
    opponent_names=CLASSIFIER_OPPONENTS,
    opponents=classifier_opponents,
    paired_items=_paired_rows,
    reads_rows=True,
    may_end_at_chance=True,
)
DECODER = Kind(
    name="decoder",
    network="decoder",
    task=DecoderTask,
    record=DecoderRun,
    duration="iterations",
    items=("texts", "lines"),
    measures=_by_name(
        Measure("perplexity", "perplexity", "ratio", False, TOGETHER, _perplexity),
        Measure("bits-per-byte", "bits per byte", "ratio", False, TOGETHER, _bits_per_byte, digits=3),
        _training_time(TOGETHER),
    ),
    in_detail=(("perplexity", EACH_TEST_TEXT), ("perplexity", TOGETHER)),
    opponent_names=DECODER_OPPONENTS,
    opponents=decoder_opponents,
    paired_items=_paired_lines,
)
KINDS: dict[Task, Kind] = {"classifier": CLASSIFIER, "decoder": DECODER}
