"""What is kept of a run that is finished, as runs/<name>.json holds it."""

from msgspec import field

from common.checks import Count, Percent, Positive, Record, Seconds
from evaluation.records import Group, GroupAccuracy, LanguageScores, Scores


class Machine(Record, frozen=True):
    """What a result depends on besides settings and data: code, software, processor, threads."""

    commit: str | None
    dirty: bool | None  # tracked files differ from the commit
    code: str  # of the modules, the start of their SHA-256
    python: str
    torch: str
    processor: str
    cores: Count | None
    threads: Count
    processes: Count


class TrainedRun(Record, frozen=True, kw_only=True):
    """What a run of either task is remembered by. Times are in seconds."""

    seed: int
    n_parameters: Count
    train_seconds: Seconds
    machine: Machine
    # Settings, data and how it was computed: what another run must agree with. Left out where runs stand side by side.
    identity: dict[str, object] = field(default_factory=dict)


class DivergedRun(TrainedRun, frozen=True, kw_only=True):
    """The record of a run that could not be trained to its end."""

    step: Count  # at which its loss was no longer finite


class Epoch(Record, frozen=True):
    """A measurement of a classifier; accuracies in percent."""

    epoch: Count
    train_loss: float
    train_accuracy: Percent
    test_accuracy: Percent

    def in_words(self, share: float) -> str:
        """The measurement in short, for narrow terminals, made when `share` of the training was over."""
        accuracies = f"train {self.train_accuracy:.1f}%, test {self.test_accuracy:.1f}%"
        return f"epoch {self.epoch} of {round(self.epoch / share)}, loss {self.train_loss:.4g}, {accuracies}"


class ClassifierRun(TrainedRun, frozen=True, kw_only=True):
    """The record of a classifier."""

    epochs: list[Epoch]
    test: dict[Group, GroupAccuracy]
    scores: Scores
    trained: bool  # left the plateau of the largest class, and did not fall back to it
    fell_back: bool  # as far as it was measured: a run that is measured once is not seen to fall back
    predictions: list[Count]  # of the test rows
    # Of a run that is measured on held-out rows: the temperature that fits them, for logits that have a spread of 1 on
    # the rows that it was trained on (evaluation/calibration.py).
    relative_temperature: Positive | None = None


class Iteration(Record, frozen=True):
    """A measurement of a decoder: perplexity by text, and, where asked for, by inference length and text."""

    iteration: Count
    train_loss: float
    perplexity: dict[str, Positive]
    perplexity_by_length: dict[str, dict[str, Positive]] = field(default_factory=dict)

    def in_words(self, share: float) -> str:
        """The measurement in short, for narrow terminals, made when `share` of the training was over."""
        texts = [value for text, value in self.perplexity.items() if text != "train"] or [self.perplexity["train"]]
        perplexities = f"{min(texts):.4g} to {max(texts):.4g}"
        return f"iteration {self.iteration} of {round(self.iteration / share)}, perplexity {perplexities}"


Measurement = Epoch | Iteration


class MeasuredVoices(Record, frozen=True):
    """What the voices of a decoder make of the test set."""

    perplexity: dict[str, list[Positive]]  # of each test text, in the voice of each class
    test: dict[Group, GroupAccuracy]  # of the test rows, whose they are by Bayes' rule
    predictions: list[Count]


class DecoderRun(TrainedRun, frozen=True, kw_only=True):
    """The record of a decoder."""

    ff_dim: Count
    iterations: list[Iteration]
    protocol: str
    scores: dict[str, LanguageScores]
    network: dict[str, LanguageScores] = field(default_factory=dict)  # alone, where n-grams stand beside it
    # Of each test text, over stretches of neighbouring lines.
    stretch_nats: dict[str, list[float]] = field(default_factory=dict)
    stretch_tokens: dict[str, list[float]] = field(default_factory=dict)
    voices: MeasuredVoices | None = None
