"""What a study finds. results.json holds it, whatever the command, by fields: nothing is read back out of a name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from common.checks import Count, Percent, Positive, Record
from common.files import UserError, read_sealed
from evaluation.opponents import ClassifierOpponent, DecoderOpponent
from evaluation.records import Reliability
from evaluation.statistics import Estimate
from speechesdataset.folder import About
from studies.probes.context import ContextPerplexity
from studies.probes.faithfulness import Faithfulness
from studies.probes.knockouts import KnockOuts
from tokenizer import TokenKind
from training.kinds import Unit
from training.recipe import Task, Value
from training.records import ClassifierRun, DecoderRun, DivergedRun, Machine, TrainedRun

Verdict = Literal["better", "worse", "cannot tell"]


# ------------------------------------------------------------------------------------------------------ comparisons
class Reading(Record, frozen=True):
    """How a text is read: windows side by side, or sliding by half; and how far back each layer sees, None: all."""

    sliding: bool
    window: int | None


SIDE_BY_SIDE = Reading(sliding=False, window=None)


class Comparison(Record, frozen=True):
    """How a variant differs from a base, which may be an opponent: an effect over paired seeds."""

    question: str
    variant: str
    base: str
    measure: str  # of the kind of model; or "runs that did not train", "training time", "processor time"
    unit: Unit
    estimate: Estimate  # for other seeds and, where the records have what it takes, other rows or lines at once
    subset: str | None = None  # the group of rows, or the text
    length: int | None = None  # tokens at inference, where it is another than the base's, which is that of training
    reading: Reading | None = None  # of such a length
    seeds: Estimate | None = None  # where the estimate is for both: for other seeds alone
    items: Estimate | None = None  # and for other rows or lines alone
    every_seed: Estimate | None = None  # where seeds are left out on which one of both did not train: over all of them
    of_trained: bool = True  # whether both trained on its seeds; no: there is no such seed, and all stand for them
    verdict: Verdict | None = None  # where a question is about one measure
    seeds_needed: int | None = None  # that would tell what these cannot; None: not in any number


# ----------------------------------------------------------------------------------------------------------- probes
class Timing(Record, frozen=True):
    """Seconds of a training step, by variant, the median of each block of steps: by the clock, and of the processor."""

    n_steps: Count  # of each variant
    n_steps_of_a_training: Count
    threads: Count
    seconds: dict[str, list[Positive]]
    processor_seconds: dict[str, list[Positive]]


class LengthPerplexity(Record, frozen=True):
    """The perplexity of each text, read at one length; None past a position table's end."""

    length: int
    sliding: bool
    window: int | None
    perplexity: dict[str, Positive | None]

    @property
    def reading(self) -> Reading:
        """How it was read."""
        return Reading(sliding=self.sliding, window=self.window)


class AttentionStatistics(Record, frozen=True):
    """Each statistic by layer and head."""

    distance: list[list[float]]  # tokens
    relative_distance: list[list[float]]  # to that of uniform attention
    entropy: list[list[float]]  # nats
    relative_entropy: list[list[float]]
    padding: list[list[float]]  # the share of attention that padding gets


class Calibration(Record, frozen=True):
    """The temperature that divides a classifier's logits, and what its probabilities of the test rows are worth."""

    temperature: Positive
    n_rows: Count  # held out of a second training, to which the temperature is fitted; 0: there is none, and it is 1
    note: str  # why there is none
    as_trained: Reliability
    calibrated: Reliability


class Mistake(Record, frozen=True):
    """A test row that the classifier gets wrong: its line in the file, its class, and the prediction with its
    probability in percent."""

    row: Count
    label: str
    prediction: str
    probability: Percent


class Tokens(Record, frozen=True):
    """What one kind of tokens reaches, by seed, in the questions that were asked, and how that differs from words in
    blocks of the same size."""

    kind: TokenKind
    vocabulary_size: int
    block_size: int
    bytes_per_token: float  # of the training text
    cut: float  # percent of the training rows that are longer than the block
    accuracy: list[float]  # percent; none where no classifier was trained
    bits_per_byte: list[float]  # of the decoder, over all texts together
    trigram: list[float]  # bits per byte; one, or one a fold
    accuracy_difference: Estimate | None = None
    bits_ratio: Estimate | None = None


# ----------------------------------------------------------------------------------------------------------- claims
class JudgedPart(Record, frozen=True):
    """One measurable part of a claim, and its verdict."""

    label: str  # a few words, where there is no room for `what`
    what: str
    unit: str  # "ratio", or what stands after the number
    estimate: Estimate
    verdict: str
    seeds: Estimate | None = None  # where that is for both: for other seeds alone
    items: Estimate | None = None  # and for other rows or lines alone


class Judgement(Record, frozen=True):
    """The verdict on a claim, the rule that gave it, and what to know besides."""

    id: str
    claim: str
    verdict: str
    rule: str
    note: str
    parts: list[JudgedPart]
    seeds_needed: int | None = None  # that would tell what these cannot, in 80 of 100 studies; None: not 1,000
    minutes: float | None = None  # of training that those beyond the ones that are there would take


# ---------------------------------------------------------------------------------------------------------- answers
Answer = TypeVar("Answer")
Probed = dict[str, dict[str, list[Answer]]]  # a probe's answers by question and variant, one for each run asked


class Asked(Record, frozen=True):
    """What one question was: with which settings its variants differ from the recipe, and how they were measured."""

    kind: Task
    base: str
    measure: str  # that is compared first
    on_folds: bool
    settings: dict[str, dict[str, Value]]  # by variant


class Answers(Record, frozen=True, kw_only=True):
    """All that a command found. Times are in seconds, accuracies in percent."""

    command: str
    command_line: str
    data: About
    recipe: str
    labels: dict[Task, str]  # the recipe, and what is changed in it
    seed: int  # the first
    seeds: list[int]  # of every variant; those that took more to tell have more
    looks: list[int] = []  # the numbers of seeds at which more could have been added
    confidence: float  # of the intervals: more than 95% where there are several looks
    vocabulary_size: int
    tokenizer: TokenKind = "word"
    block_size: int
    test_names: list[str]
    n_tokens: dict[str, int]  # of each text
    unknown: dict[str, Percent] = {}  # of each test text, the share of tokens that the vocabulary lacks
    n_truncated: dict[str, int] = {}  # rows that are longer than the block, and are cut: train, test
    machines: list[Machine]

    questions: dict[str, Asked]
    classifier: dict[str, list[ClassifierRun]] = {}  # by variant, a run for each seed
    decoder: dict[str, list[DecoderRun]] = {}
    diverged: dict[str, dict[str, list[DivergedRun]]] = {}  # by question and variant, which the others are without
    validation: dict[str, list[ClassifierRun]] = {}  # on folds, beside `classifier` on the test set
    classifier_opponents: dict[str, list[ClassifierOpponent]] = {}  # one on the test set, or one a fold
    decoder_opponents: dict[str, list[DecoderOpponent]] = {}
    comparisons: list[Comparison] = []
    claims: list[Judgement] = []

    lengths: Probed[list[LengthPerplexity]] = {}
    context: Probed[list[ContextPerplexity]] = {}
    attention: Probed[AttentionStatistics] = {}
    knockouts: Probed[KnockOuts] = {}
    faithfulness: Probed[Faithfulness] = {}
    calibration: Probed[Calibration] = {}
    mistakes: Probed[list[Mistake]] = {}  # the most confident ones, the worst first
    timing: dict[Task, Timing] = {}
    tokens: list[Tokens] = []  # words, subwords and characters, where they are compared
    quick: bool = False  # a small version of the report, whose numbers mean nothing
    ablation: "Answers | None" = None  # of the best recipe, that the report shows, too

    training_seconds: float
    total_seconds: float

    def runs(self, question: str) -> Mapping[str, Sequence[TrainedRun]]:
        """The runs of each variant of a question."""
        by_question: dict[str, Mapping[str, Sequence[TrainedRun]]] = {
            "classifier": self.classifier,
            "decoder": self.decoder,
            "validation": self.validation,
        }
        return by_question[question]

    def opponents(self, question: str) -> Mapping[str, Sequence[Any]]:
        """The models without a network on the same rows or texts, by their keys."""
        return self.decoder_opponents if self.questions[question].kind == "decoder" else self.classifier_opponents

    def find(self, **fields: object) -> list[Comparison]:
        """The comparisons that have these fields."""
        return [row for row in self.comparisons if all(getattr(row, name) == value for name, value in fields.items())]

    def iterations_of_decoders(self) -> list[int]:
        """How long the decoders were trained, the briefest first."""
        return sorted({runs[0].iterations[-1].iteration for runs in self.decoder.values()})

    def trainings(self) -> list[TrainedRun]:
        """Every run once; two variants may stand for the same runs."""
        distinct: list[Sequence[TrainedRun]] = []
        for question in self.questions:
            for runs in self.runs(question).values():
                if runs not in distinct:
                    distinct.append(runs)
        return [run for runs in distinct for run in runs]


PLACES_FOR_RUNS = ("classifier", "decoder", "validation")  # fields of Answers, by which questions are called


def read_answers(path: Path, command: str) -> Answers:
    """The answers of a command in its results.json; UserError if `path` holds something else."""
    hint = f"not the results of python main.py {command}; name its results.json"
    answers = read_sealed(path, Answers, hint)
    if answers.command != command:
        raise UserError(f"{path}: {hint}")
    return answers


def as_results(answers: Answers) -> dict[str, Any]:
    """What results.json holds: the answers, and the keys that the contract of the command line gives parts 1 to 3."""
    results: dict[str, Any] = msgspec.to_builtins(answers)
    rows = {name: opponents[0].test for name, opponents in answers.classifier_opponents.items()}
    texts = {name: opponents[0].scores for name, opponents in answers.decoder_opponents.items()}
    perplexities = {
        name: {text: scores.perplexity for text, scores in by_text.items()} for name, by_text in texts.items()
    }
    if answers.command == "part1":
        (run,) = answers.classifier[answers.questions["classifier"].base]
        results |= msgspec.to_builtins(run) | {"baselines": msgspec.to_builtins(rows)}
    if answers.command == "part2":
        unknown = {text: scores.unk_rate for text, scores in texts["ngram"].items()}
        models = [run for runs in answers.decoder.values() for run in runs]
        results |= {"models": msgspec.to_builtins(models), "baselines": perplexities, "unk_rate": unknown}
    if answers.command == "part3":
        results |= {"baselines": msgspec.to_builtins(rows) | perplexities}
    return results
