"""What is kept of a run that is finished, as runs/<name>.json holds it."""

from typing import Literal

from msgspec import field

from common.records import Record

# Test rows: every one; those whose text stands in the training rows; the others.
Group = Literal["all", "seen", "unseen"]


class Machine(Record, frozen=True):
    """What a result depends on besides settings and data: code, software, processor, threads."""

    commit: str | None
    dirty: bool | None  # tracked files differ from the commit
    code: str  # of the modules, the start of their SHA-256
    python: str
    torch: str
    processor: str
    cores: int | None
    threads: int
    processes: int


class TrainedRun(Record, frozen=True, kw_only=True):
    """What a run of either task is remembered by. Times are in seconds."""

    seed: int
    n_parameters: int
    train_seconds: float
    machine: Machine
    # Settings, data and how it was computed: what another run must agree with. Left out where runs stand side by side.
    identity: dict[str, object] = field(default_factory=dict)


class Epoch(Record, frozen=True):
    """A measurement of a classifier; accuracies in percent."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_accuracy: float


class GroupAccuracy(Record, frozen=True):
    """How many rows a group has, and the accuracy on them in percent: None if it has none."""

    n: int
    accuracy: float | None


class ClassScores(Record, frozen=True):
    """How well one class is recognised, in percent, and its number of test rows; None: of no rows."""

    name: str
    n: int
    precision: float | None
    recall: float | None
    f1: float | None


class Scores(Record, frozen=True):
    """Every class, and the confusion matrix (true class by row)."""

    classes: list[ClassScores]
    macro_f1: float
    confusion: list[list[int]]


class ClassifierRun(TrainedRun, frozen=True, kw_only=True):
    """The record of a classifier."""

    epochs: list[Epoch]
    test: dict[Group, GroupAccuracy]
    scores: Scores
    trained: bool  # left the plateau of the largest class, and did not fall back to it
    fell_back: bool
    predictions: list[int]  # of the test rows


class Iteration(Record, frozen=True):
    """A measurement of a decoder: perplexity by text, and, where asked for, by inference length and text."""

    iteration: int
    train_loss: float
    perplexity: dict[str, float]
    perplexity_by_length: dict[str, dict[str, float]] = field(default_factory=dict)


class LanguageScores(Record, frozen=True):
    """What is said of one text; the share of <unk> in percent of its tokens."""

    perplexity: float
    perplexity_without_unk: float | None
    bits_per_byte: float
    unk_rate: float


class DecoderRun(TrainedRun, frozen=True, kw_only=True):
    """The record of a decoder."""

    ff_dim: int
    iterations: list[Iteration]
    protocol: str
    scores: dict[str, LanguageScores]
    nats_by_place: dict[str, list[float]]
    # Of each test text, over stretches of neighbouring lines.
    stretch_nats: dict[str, list[float]] = field(default_factory=dict)
    stretch_tokens: dict[str, list[float]] = field(default_factory=dict)
