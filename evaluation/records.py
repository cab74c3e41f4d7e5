"""What is measured of a model: how often it is right, and how surprising texts are to it."""

from typing import Literal

from common.checks import Count, Percent, Positive, Record

# Test rows: every one; those whose text stands in the training rows; the others.
Group = Literal["all", "seen", "unseen"]


class GroupAccuracy(Record, frozen=True):
    """How many rows a group has, and the accuracy on them in percent: None if it has none."""

    n: Count
    accuracy: Percent | None


class ClassScores(Record, frozen=True):
    """How well a class is recognised, in percent, and its number of test rows; None: of no rows."""

    name: str
    n: Count
    precision: Percent | None
    recall: Percent | None
    f1: Percent | None


class Scores(Record, frozen=True):
    """Every class, and the confusion matrix (true class by row)."""

    classes: list[ClassScores]
    macro_f1: Percent
    confusion: list[list[Count]]


class Bin(Record, frozen=True):
    """Rows of whose prediction a classifier is about equally sure: how many, how sure on average, and the accuracy; in
    percent."""

    n: Count
    confidence: Percent
    accuracy: Percent


class Reliability(Record, frozen=True):
    """Whether a classifier's probabilities mean what they say: rows in bins of confidence, and the expected calibration
    error of each group in points, beside what chance alone makes of it in 19 of 20 samples of so many rows; None if it
    has none."""

    bins: list[Bin]  # of all rows
    error: dict[Group, Percent | None]
    chance: dict[Group, Percent | None]


class LanguageScores(Record, frozen=True):
    """How surprising a text is to a model; the share of <unk> in percent of its tokens."""

    perplexity: Positive
    perplexity_without_unk: Positive | None
    bits_per_byte: float
    unk_rate: Percent
