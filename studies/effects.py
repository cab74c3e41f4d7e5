"""How the variants of a question differ: paired effects with their intervals, and verdicts."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from dataset import TRAINING, Data
from evaluation.crossed import crossed
from evaluation.statistics import UNCLEAR, Estimate, difference_of_shares, paired_ratio, seeds_needed, share_of
from studies.answers import Comparison, LengthPerplexity, Timing, Verdict
from studies.question import Question
from training.kinds import Measure
from training.recipe import Task
from training.records import ClassifierRun, TrainedRun

EACH_TEXT = "each text"  # a subset that stands for the training text and every test text,
EACH_TEST_TEXT = "each test text"  # or for the test texts alone
EACH_GROUP = "each group"  # all, seen and unseen test rows, or all alone where none or all are seen
AT_CHANCE = "runs at chance"


def effects_of(
    question: Question,
    runs: Mapping[str, Sequence[TrainedRun]],
    opponents: Mapping[str, Sequence[Any]],
    data: Data,
    confidence: float,
) -> list[Comparison]:
    """Every effect that a question asks for, of the `runs` of each variant and the `opponents` by their names."""
    comparisons: list[Comparison] = []
    for variant, base in question.pairs:
        if variant in runs and base in runs:
            pair = on_same_seeds(runs[variant], runs[base])
            comparisons += _effects_of_pair(question, variant, base, *pair, data, confidence)
        else:
            left, right = _as_often(*(runs[name] if name in runs else opponents[name] for name in (variant, base)))
            comparisons += _effects(question, variant, base, left, right, data, confidence)
    return comparisons


def _as_often(runs: Sequence[Any], base_runs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Both as often: on the test set an opponent has one record, for every seed; on folds it has one a fold."""
    n_seeds = max(len(runs), len(base_runs))
    left, right = (list(each) * n_seeds if len(each) == 1 else list(each) for each in (runs, base_runs))
    n_pairs = min(len(left), len(right))
    return left[:n_pairs], right[:n_pairs]


def _effects_of_pair(
    question: Question,
    variant: str,
    base: str,
    runs: Sequence[Any],
    base_runs: Sequence[Any],
    data: Data,
    confidence: float,
) -> Iterator[Comparison]:
    """The effects on the seeds on which both trained, and how many runs did not."""
    trained = [pair for pair in zip(runs, base_runs) if all(map(has_trained, pair))]
    is_classifier = any(isinstance(run, ClassifierRun) for run in runs)
    leaves_out = question.trained_only and question.measured[0][0].by_chance
    of_trained = bool(trained) or not leaves_out
    if trained and leaves_out:
        left, right = [run for run, _ in trained], [run for _, run in trained]
    else:
        left, right = list(runs), list(base_runs)
    shares = [share_at_chance(each, confidence) for each in (runs, base_runs)] if is_classifier else []
    for effect in _effects(question, variant, base, left, right, data, confidence):
        if is_classifier and effect.verdict and (not of_trained or effect.estimate.low is None):
            more_fail = difference_of_shares(*shares)  # too few trained to tell them apart: by how many did not
            effect = replace(effect, verdict=_verdict(more_fail, higher_is_better=False))
        yield replace(effect, of_trained=of_trained)
    if is_classifier and question.trained_only:
        yield Comparison(question.name, variant, base, AT_CHANCE, "points", difference_of_shares(*shares))


def _effects(
    question: Question,
    variant: str,
    base: str,
    runs: Sequence[Any],
    base_runs: Sequence[Any],
    data: Data,
    confidence: float,
) -> Iterator[Comparison]:
    """The effect in every measure, on every subset."""
    for measure, subset in subsets_of(question, data):
        values, base_values = ([measure.value(run, subset) for run in each] for each in (runs, base_runs))
        estimate = measure.difference(values, base_values, question.on_folds, confidence)
        items = [] if question.on_folds else question.kind.paired_items(measure, subset, runs, base_runs, data)
        effect = crossed(estimate, items, confidence)
        comparison = Comparison(
            question.name,
            variant,
            base,
            measure.name,
            measure.unit,
            effect.both,
            subset,
            seeds=effect.seeds,
            items=effect.items,
        )
        yield _with_verdict(comparison, measure, confidence) if is_about_one(question) else comparison


def subsets_of(question: Question, data: Data) -> Iterator[tuple[Measure, str]]:
    """What is compared, and on which subsets of these data."""
    n_seen, n_rows = int(data.seen.sum()), len(data.seen)
    for measure, subset in question.measured:
        if subset == EACH_TEXT:
            yield from ((measure, text) for text in (TRAINING, *data.test_streams))
        elif subset == EACH_TEST_TEXT:
            yield from ((measure, text) for text in data.test_streams)
        elif subset == EACH_GROUP:
            groups = ("all", "seen", "unseen") if 0 < n_seen < n_rows else ("all",)
            yield from ((measure, group) for group in groups)
        elif subset != "unseen" or n_seen < n_rows:
            yield measure, subset


def is_about_one(question: Question) -> bool:
    """Whether a question is about one measure, by which its variants are better, worse, or cannot be told apart."""
    return len(question.measured) == 1 and question.measured[0][1] not in (EACH_TEXT, EACH_TEST_TEXT, EACH_GROUP)


def _with_verdict(comparison: Comparison, measure: Measure, confidence: float) -> Comparison:
    verdict, needed = _verdict(comparison.estimate, measure.higher_is_better), None
    if verdict == UNCLEAR:
        none = 1.0 if comparison.estimate.ratio else 0.0
        needed = seeds_needed(comparison.estimate, above=none, level=(1 - confidence) / 2)
    return replace(comparison, verdict=verdict, seeds_needed=needed)


def _verdict(estimate: Estimate, higher_is_better: bool) -> Verdict:
    """Better or worse where the whole interval says so."""
    none = 1.0 if estimate.ratio else 0.0
    if estimate.low is None or estimate.high is None or estimate.low <= none <= estimate.high:
        return "cannot tell"
    return "better" if (estimate.low > none) == higher_is_better else "worse"


# --------------------------------------------------------------------------------------------- what runs have in common
def has_trained(run: Any) -> bool:
    """Whether a run learned more than which class is the largest; a decoder always does."""
    return getattr(run, "trained", True)


def on_same_seeds(runs: Sequence[TrainedRun], base_runs: Sequence[TrainedRun]) -> tuple[list[Any], list[Any]]:
    """The runs of the seeds that both have."""
    seeds = {run.seed for run in runs} & {run.seed for run in base_runs}
    left, right = ([run for run in each if run.seed in seeds] for each in (runs, base_runs))
    return left, right


def share_at_chance(runs: Sequence[Any], confidence: float) -> Estimate:
    """The share of runs that know their largest class alone, in percent, with Wilson's interval."""
    return share_of(sum(not has_trained(run) for run in runs), len(runs), confidence)


# --------------------------------------------------------------------------------------------------- effects of probes
def effects_on_time(
    timing: Mapping[Task, Timing], pairs: Sequence[tuple[str, str]], confidence: float
) -> Iterator[Comparison]:
    """How the seconds of a training step differ, by the clock and of the processor."""
    for kind, timed in timing.items():
        measures = (("training time", timed.seconds), ("processor time", timed.processor_seconds))
        for (variant, base), (measure, seconds) in itertools.product(pairs, measures):
            ratio = paired_ratio(seconds[variant], seconds[base], confidence=confidence)
            yield Comparison(kind, variant, base, measure, "ratio", ratio)


def effects_of_length(
    variant: str, seeds: Sequence[Sequence[LengthPerplexity]], block_size: int, confidence: float
) -> Iterator[Comparison]:
    """Perplexity at each other length against that at the length of training, read in the same way."""
    for number, row in enumerate(seeds[0]):
        as_trained = [
            i for i, other in enumerate(seeds[0]) if other.length == block_size and other.reading == row.reading
        ]
        if row.length == block_size or not as_trained or None in row.perplexity.values():
            continue
        for text in row.perplexity:
            values, base_values = ([seed[i].perplexity[text] or 0.0 for seed in seeds] for i in (number, as_trained[0]))
            ratio = paired_ratio(values, base_values, confidence=confidence)
            yield Comparison(
                "decoder", variant, variant, "perplexity", "ratio", ratio, text, length=row.length, reading=row.reading
            )
