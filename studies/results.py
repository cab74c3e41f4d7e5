"""What a study finds: comparisons by their fields, so that nothing is read back out of a name."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from dataset import Data
from evaluation.statistics import Estimate
from tokenizer import Kind
from training.records import Group, Record

Measure = Literal["test accuracy", "validation accuracy", "train - test accuracy", "perplexity", "training time"]


class Reading(Record, frozen=True):
    """How a text is read: windows side by side, or sliding by half; and how far back each layer sees, None: all."""

    sliding: bool
    window: int | None


class Comparison(Record, frozen=True):
    """A paired effect over seeds: what is measured, of which variant against which."""

    task: Literal["classifier", "decoder", "validation"]
    variant: str
    base: str
    measure: Measure
    unit: Literal["points", "ratio"]
    estimate: Estimate
    rows: Group | None = None  # of an accuracy
    text: str | None = None  # of a perplexity
    length: int | None = None  # tokens at inference, where another than in training is compared with that of training
    protocol: Reading | None = None  # of such a length
    items: Estimate | None = None  # the same effect over the test rows, each with its mean over seeds


def kind_of_tokens(data: Data) -> dict[str, Kind]:
    """The entry of a command's results that says what its models read, where that is not words."""
    kind = data.tokenizer.tokenization.kind
    return {} if kind == "word" else {"tokenizer": kind}


def select(results: Mapping[str, Any], **fields: object) -> list[Comparison]:
    """The comparisons of a study that have these fields."""
    rows = msgspec.convert(results["comparisons"], list[Comparison])
    return [row for row in rows if all(getattr(row, name) == value for name, value in fields.items())]


def find(
    results: Mapping[str, Any], task: str, variant: str, base: str, measure: Measure, **fields: object
) -> list[Comparison]:
    """The comparisons of one variant with another, in one measure, that have these fields."""
    return select(results, task=task, variant=variant, base=base, measure=measure, **fields)
