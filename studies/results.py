"""What each study finds, as its results.json holds it: by its fields, so that nothing is read back out of a name."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from common.records import Count, Percent, Positive, Record
from evaluation.records import Group, GroupAccuracy, LanguageScores, Reliability
from evaluation.statistics import CONFIDENCE, Estimate
from speechesdataset.folder import About
from studies.faithfulness import Faithfulness
from studies.knockouts import KnockOuts
from studies.settings import Score
from tokenizer import TokenKind
from training.recipe import Task
from training.records import ClassifierRun, DecoderRun, Machine, TrainedRun

Measure = Literal[
    "test accuracy",
    "validation accuracy",
    "train - test accuracy",
    "runs at chance",
    "perplexity",
    "training time",
    "processor time",
]
Unit = Literal["points", "ratio"]
Half = Literal["alibi", "regularize"]  # of the exploration: positions, regularization
Kind = Literal["encoder", "decoder"]
Accuracies = dict[Group, GroupAccuracy]  # of one model
TextScores = dict[str, LanguageScores]  # of one model, by text


class Results(Record, frozen=True):
    """What results.json begins with."""

    command: str
    data: About


class Truncated(Record, frozen=True):
    """How many rows are longer than the block, and are cut."""

    train: int
    test: int


# ------------------------------------------------------------------------------------------------- parts 1 and 2
class Calibration(Record, frozen=True):
    """The temperature that divides a classifier's logits, and what its probabilities of the test rows are worth."""

    temperature: Positive
    n_rows: Count  # held out of a training beside it, to which the temperature is fitted; 0: to none, and it is 1
    note: str  # why to none
    as_trained: Reliability
    calibrated: Reliability


class Mistake(Record, frozen=True):
    """A test row of which the classifier is wrong: its line in the file, its class, and the prediction with its
    probability in percent."""

    row: Count
    label: str
    prediction: str
    probability: Percent


class Part1Results(ClassifierRun, frozen=True, kw_only=True):
    """One classifier and the baselines beside it. Times are in seconds."""

    command: str
    data: About
    recipe: str
    label: str  # the recipe, and what is changed in it
    vocabulary_size: int
    tokenizer: TokenKind = "word"
    baselines: dict[str, Accuracies]
    calibration: Calibration
    mistakes: list[Mistake]  # the most confident ones, the worst first
    n_truncated: Truncated
    block_size: int
    total_seconds: float


class Part2Results(Results, frozen=True, kw_only=True):
    """Decoders and the n-gram models beside them; `baselines` holds the perplexities of `ngram_scores`."""

    recipe: str
    label: str  # the recipe, and what is changed in it
    seed: int
    vocabulary_size: int
    tokenizer: TokenKind = "word"
    protocol: str
    models: list[DecoderRun]
    baselines: dict[str, dict[str, float]]
    ngram_scores: dict[str, TextScores]
    unk_rate: dict[str, float]
    total_seconds: float


# ------------------------------------------------------------------------------------------- part 3 and the report
class Reading(Record, frozen=True):
    """How a text is read: windows side by side, or sliding by half; and how far back each layer sees, None: all."""

    sliding: bool
    window: int | None


SIDE_BY_SIDE = Reading(sliding=False, window=None)


class Comparison(Record, frozen=True):
    """A paired effect: what is measured, of which variant against which. Of accuracies over the seeds on which both
    trained; of runs at chance over all."""

    task: Literal["classifier", "decoder", "validation"]
    variant: str
    base: str
    measure: Measure
    unit: Unit
    estimate: Estimate  # for other seeds and, where the records have what it takes, other test rows or lines at once
    rows: Group | None = None  # of an accuracy
    text: str | None = None  # of a perplexity
    length: int | None = None  # tokens at inference, where another than in training is compared with that of training
    protocol: Reading | None = None  # of such a length
    seeds: Estimate | None = None  # where it was for both: the same effect for other seeds alone
    items: Estimate | None = None  # and for other test rows or lines alone


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
        return Reading(sliding=self.sliding, window=self.window)


class AttentionStatistics(Record, frozen=True):
    """Each statistic by layer and head."""

    distance: list[list[float]]  # tokens
    relative_distance: list[list[float]]  # to that of uniform attention
    entropy: list[list[float]]  # nats
    relative_entropy: list[list[float]]
    padding: list[list[float]]  # the share of attention that padding gets


class JudgedPart(Record, frozen=True):
    """One measurable part of a claim, and what is said of it."""

    label: str  # a few words, where there is no room for `what`
    what: str
    unit: str  # "ratio", or what stands after the number
    estimate: Estimate
    verdict: str
    seeds: Estimate | None = None  # where that is for both: for other seeds alone
    items: Estimate | None = None  # and for other test rows or lines alone


class Judgement(Record, frozen=True):
    """What the runs say of a claim, by which rule, and what to know besides."""

    id: str
    claim: str
    verdict: str
    rule: str
    note: str
    parts: list[JudgedPart]
    seeds_needed: int | None = None  # that would tell what these cannot, in 80 of 100 studies; None: not 1,000
    minutes: float | None = None  # of training that those beyond the ones that are there would take


class Exploration(Results, frozen=True, kw_only=True):
    """The runs of every variant, and what is measured of them."""

    recipe: str
    labels: dict[Task, str]  # the recipe, and what is changed in it
    seed: int
    seeds: list[int]  # of every variant; those that took more to tell have more
    vocabulary_size: int
    tokenizer: TokenKind = "word"
    test_names: list[str]
    block_size: int
    machines: list[Machine]
    halves: list[Half]
    classifier: dict[str, list[ClassifierRun]]  # by variant, a run for each seed
    decoder: dict[str, list[DecoderRun]]
    validation: dict[str, list[ClassifierRun]]
    widths: list[str]  # the variants of the decoder that differ in the size of their feed-forward network, widest first
    baselines: dict[str, Accuracies]
    ngram_scores: dict[str, TextScores]
    timing: dict[Task, Timing]
    extrapolation: dict[str, list[list[LengthPerplexity]]]  # by variant, a list for each seed
    chosen_rate: str | None  # the variant that validation chooses
    comparisons: list[Comparison]
    looks: list[int] = msgspec.field(default_factory=list)  # the numbers of seeds at which more could have been added
    confidence: float = CONFIDENCE  # of the intervals: more than 95% where there are several looks
    attention: dict[Kind, list[AttentionStatistics]] = msgspec.field(
        default_factory=dict
    )  # of the report: a model of each seed
    knockouts: list[KnockOuts] = msgspec.field(default_factory=list)  # of the report: the models whose maps it draws

    def find(self, **fields: object) -> list[Comparison]:
        """The comparisons that have these fields."""
        return [row for row in self.comparisons if all(getattr(row, name) == value for name, value in fields.items())]

    def kinds(self) -> dict[str, Mapping[str, Sequence[TrainedRun]]]:
        """The runs of every variant, by kind of run."""
        return {"classifier": self.classifier, "decoder": self.decoder, "validation": self.validation}

    def trainings(self) -> list[TrainedRun]:
        """The runs of all variants; two variants may stand for the same ones."""
        distinct: list[Sequence[TrainedRun]] = []
        for runs in (own for variants in self.kinds().values() for own in variants.values()):
            distinct += [] if runs in distinct else [runs]
        return [run for runs in distinct for run in runs]


class Part3Results(Exploration, frozen=True, kw_only=True):
    """The exploration with its verdicts."""

    claims: list[Judgement]
    total_seconds: float


# --------------------------------------------------------------------------------------------------------- measure
class MeasuredRow(Record, frozen=True):
    """What one model reaches in one measure, by seed, and how far the best recipe is from it."""

    task: Task
    model: str
    name: str
    measure: str  # a group of rows, or a text
    values: list[float]
    unit: Unit
    estimate: Estimate | None  # for other seeds and other test rows or lines at once; None: the best recipe itself
    n: int | None = None  # test rows of the group
    seeds: Estimate | None = None  # the same effect for other seeds alone
    items: Estimate | None = None  # and for other rows or lines alone


class MeasureResults(Results, frozen=True):
    """Both recipes and their opponents on the test set of one folder."""

    command_line: str
    seeds: list[int]
    machines: list[Machine]
    rows: list[MeasuredRow]
    classifier: dict[str, list[ClassifierRun]]  # by recipe, a run for each seed
    decoder: dict[str, list[DecoderRun]]
    total_seconds: float


# ------------------------------------------------------------------------------------------------------ tokenizers
class Tokens(Record, frozen=True):
    """What one kind of tokens reaches, by seed, in the tasks that were run, and how that differs from words in blocks
    of the same size."""

    kind: TokenKind
    vocabulary_size: int
    block_size: int
    bytes_per_token: float  # of the training text
    cut: float  # percent of the training rows that are longer than the block
    accuracy: list[float]  # percent; none where no classifier was trained
    bits_per_byte: list[float]  # of the decoder, over all texts together
    trigram: list[float]  # bits per byte; one where there is one text for all seeds
    accuracy_difference: Estimate | None = None
    bits_ratio: Estimate | None = None


class TokenizersResults(Results, frozen=True):
    """One recipe with words, subwords and characters."""

    command_line: str
    recipe: str
    validation: bool  # measured on what is held out of the training files
    seeds: list[int]
    machines: list[Machine]
    rows: list[Tokens]
    total_seconds: float


# --------------------------------------------------------------------------------------------------------- compare
ComparedVerdict = Literal["better", "worse", "cannot tell"]


class ComparedVariant(Record, frozen=True):
    """One variant on its seeds, and how far it is from the first one."""

    name: str  # its settings, as they are given
    settings: dict[str, bool | int | float | str | None]  # what differs from the recipe
    n_parameters: int
    values: list[float]  # of the measure, by seed
    at_chance: list[bool]  # of a classifier, by seed: whether the run knew its largest class alone
    train_seconds: float  # of a seed
    estimate: Estimate | None  # over seeds on which both trained; None: the first variant itself, or there are none
    seeds: Estimate | None  # where the estimate is for other seeds and test rows or lines at once: for seeds alone
    items: Estimate | None  # and for rows or lines alone
    verdict: ComparedVerdict | None  # None: the first variant itself
    seeds_needed: int | None  # that would tell what these cannot


class ComparedOpponent(Record, frozen=True):
    """A model without a network on the same rows or texts."""

    name: str
    values: list[float]  # one; in validation one for each seed's fold
    estimate: Estimate | None  # in validation: how far it is from the first variant


class CompareResults(Results, frozen=True):
    """Variants of a recipe on paired seeds, in one measure, and the models without a network beside them."""

    command_line: str
    task: Task
    recipe: str
    measure: Score
    unit: Unit
    on: Literal["test", "validation"]  # the rows or texts that everything is measured on
    seeds: list[int]  # of the first variant; the others may have needed fewer
    looks: list[int]  # the numbers of seeds at which verdicts were given, or could have been
    confidence: float  # of the intervals: more than 95% where there are several looks
    machines: list[Machine]
    variants: list[ComparedVariant]
    opponents: list[ComparedOpponent]
    expected_best: list[float]  # of validation: by number of variants tried (Dodge et al. 2019)
    classifier: dict[str, list[ClassifierRun]]  # by variant, a run for each seed
    decoder: dict[str, list[DecoderRun]]
    total_seconds: float

    def runs(self) -> Mapping[str, Sequence[TrainedRun]]:
        """Those of every variant."""
        return self.classifier or self.decoder


class AblationResults(Results, frozen=True):
    """What each ingredient of the best recipe brings, by validation: of each task, the recipe against changes to it."""

    command_line: str
    seeds: list[int]
    machines: list[Machine]
    tasks: list[CompareResults]
    total_seconds: float

    @property
    def n_changes(self) -> int:
        return sum(len(one.variants) - 1 for one in self.tasks)


class ReportResults(Part3Results, frozen=True, kw_only=True):
    """All that the report's page is made from."""

    command_line: str
    commands: dict[str, str]  # that make the whole report, and its parts by themselves, of the same data and tokens
    quick: bool
    tokens: dict[str, int]  # of each text
    ablation: AblationResults | None
    training_seconds: float
    faithfulness: Faithfulness | None = None  # of what explains the classifier whose maps are drawn


# ------------------------------------------------------------------------------------------ what runs have in common
def overall(accuracies: Accuracies) -> float:
    """The accuracy on all rows, in percent."""
    value = accuracies["all"].accuracy
    assert value is not None  # there is always a test row
    return value


def accuracies(runs: Sequence[ClassifierRun], group: Group = "all") -> list[float]:
    """The test accuracy of each run on one group of rows that has some, in percent."""
    found = [run.test[group].accuracy for run in runs]
    return [value for value in found if value is not None]


def last_perplexities(runs: Sequence[DecoderRun], text: str) -> list[float]:
    """Each run's perplexity on a text after the last iteration."""
    return [run.iterations[-1].perplexity[text] for run in runs]


def perplexities(scores: Mapping[str, TextScores]) -> dict[str, dict[str, float]]:
    """The perplexity on each text of each of the models scored."""
    return {name: {text: row.perplexity for text, row in texts.items()} for name, texts in scores.items()}


def classifier_runs(runs: Sequence[TrainedRun]) -> list[ClassifierRun]:
    """`runs`, all of which are a classifier's."""
    found = [run for run in runs if isinstance(run, ClassifierRun)]
    assert len(found) == len(runs)
    return found


def decoder_runs(runs: Sequence[TrainedRun]) -> list[DecoderRun]:
    """`runs`, all of which are a decoder's."""
    found = [run for run in runs if isinstance(run, DecoderRun)]
    assert len(found) == len(runs)
    return found
