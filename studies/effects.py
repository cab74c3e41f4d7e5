"""How the variants of a question differ: paired effects with their intervals, and verdicts."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from msgspec import structs

from dataset import Data
from evaluation.crossed import crossed
from evaluation.statistics import (
    UNCLEAR,
    Estimate,
    chance_of,
    difference_of_shares,
    holm,
    paired_ratio,
    seeds_needed,
    share_of,
)
from speechesdataset.folder import TRAINING
from studies.answers import Comparison, LengthPerplexity, Timing, Verdict
from studies.question import Question
from training.kinds import EACH_GROUP, EACH_TEST_TEXT, EACH_TEXT, Measure
from training.recipe import Task
from training.records import ClassifierRun, TrainedRun

UNTRAINED = "runs that did not train"


@dataclass(frozen=True)
class Pair:
    """A variant, or an opponent, and the base that it is compared with: the records of both, seed by seed."""

    variant: str
    base: str
    records: Sequence[Any]
    base_records: Sequence[Any]


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
            pair = Pair(variant, base, *on_same_seeds(runs[variant], runs[base]))
            comparisons += _of_runs(question, pair, data, confidence)
        else:
            records, base_records = (runs[name] if name in runs else opponents[name] for name in (variant, base))
            pair = Pair(variant, base, *_as_often(records, base_records, question.on_folds))
            comparisons += _of_records(question, pair, data, confidence)
    of_variants = [row for row in comparisons if row.variant in runs]
    of_opponents = [row for row in comparisons if row.variant not in runs]
    return [*by_holm(of_variants, confidence), *by_holm(of_opponents, confidence)]


def by_holm(comparisons: Sequence[Comparison], confidence: float) -> list[Comparison]:
    """The comparisons, of which only those keep a verdict that have it by Holm's rule: where no variant differs, one is
    found better or worse no oftener for being compared with others. Their intervals stay those of each by itself.

    Verdicts by how many runs did not train stay, too.
    """
    rows = list(comparisons)
    judged = [i for i, row in enumerate(rows) if row.verdict and row.of_trained and row.estimate.error is not None]
    chances = [chance_of(rows[i].estimate) for i in judged]
    for i, chance, level in zip(judged, chances, holm(chances, 1 - confidence)):
        if rows[i].verdict == UNCLEAR or chance > level:
            no_effect = 1.0 if rows[i].estimate.ratio else 0.0
            needed = seeds_needed(rows[i].estimate, above=no_effect, level=(1 - confidence) / 2 / len(judged))
            rows[i] = structs.replace(rows[i], verdict=UNCLEAR, seeds_needed=needed)
    return rows


def _as_often(records: Sequence[Any], base_records: Sequence[Any], on_folds: bool) -> tuple[list[Any], list[Any]]:
    """Both as often: on the test set an opponent has one record, for every seed; on folds it has one a fold."""
    n_seeds = 1 if on_folds else max(len(records), len(base_records))
    left, right = (list(each) * n_seeds if len(each) == 1 else list(each) for each in (records, base_records))
    n_pairs = min(len(left), len(right))
    return left[:n_pairs], right[:n_pairs]


def _of_runs(question: Question, pair: Pair, data: Data, confidence: float) -> Iterator[Comparison]:
    """The effects on the seeds on which both trained, if there are any, and how many runs did not."""
    both_trained = [seed for seed in zip(pair.records, pair.base_records) if all(map(has_trained, seed))]
    leaves_out = question.trained_only and question.measured[0][0].by_chance
    trained = pair
    if both_trained and leaves_out:
        trained = replace(pair, records=[run for run, _ in both_trained], base_records=[run for _, run in both_trained])
    shares = (share_untrained(records, confidence) for records in (pair.records, pair.base_records))
    failures = Comparison(question.name, pair.variant, pair.base, UNTRAINED, "points", difference_of_shares(*shares))
    over_all: Iterable[Estimate | None] = itertools.repeat(None)
    if len(trained.records) < len(pair.records):
        over_all = [effect.estimate for effect in _of_records(question, pair, data, confidence)]
    for effect, every_seed in zip(_of_records(question, trained, data, confidence), over_all):
        if leaves_out and effect.verdict and (not both_trained or effect.estimate.low is None):
            verdict = _verdict(failures.estimate, higher_is_better=False)  # too few trained: by how many did not
            effect = structs.replace(effect, verdict=verdict, seeds_needed=None)
        yield structs.replace(effect, of_trained=bool(both_trained) or not leaves_out, every_seed=every_seed)
    if question.kind.may_end_at_chance and question.trained_only:
        yield failures


def _of_records(question: Question, pair: Pair, data: Data, confidence: float) -> Iterator[Comparison]:
    """The effect in every measure, on every subset."""
    for measure, subset in subsets_of(question, data):
        records = (pair.records, pair.base_records)
        values, base_values = ([measure.value(record, subset) for record in each] for each in records)
        estimate = measure.difference(values, base_values, question.on_folds, confidence)
        if estimate.sd == 0:  # that a few pairs agree, as accuracies of few rows do, says nothing of their spread
            estimate = replace(estimate, low=None, high=None, error=None, df=None)
        items = [] if question.on_folds else question.kind.paired_items(measure, subset, *records, data)
        effect = crossed(estimate, items, confidence)
        names = (question.name, pair.variant, pair.base, measure.name, measure.unit)
        comparison = Comparison(*names, effect.both, subset, seeds=effect.seeds, items=effect.items)
        if is_about_one(question):
            comparison = structs.replace(comparison, verdict=_verdict(comparison.estimate, measure.higher_is_better))
        yield comparison


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


def _verdict(estimate: Estimate, higher_is_better: bool) -> Verdict:
    """Better or worse where the whole interval says so."""
    no_effect = 1.0 if estimate.ratio else 0.0
    if estimate.low is None or estimate.high is None or estimate.low <= no_effect <= estimate.high:
        return "cannot tell"
    return "better" if (estimate.low > no_effect) == higher_is_better else "worse"


# --------------------------------------------------------------------------------------------- what runs have in common
def trained_like_the_others(runs: Sequence[TrainedRun], chance: float) -> list[TrainedRun]:
    """The runs of one recipe, a seed each, of which only those count as trained that came at least half as far as is
    usual. How far: the accuracy on the training rows above `chance`, the share of the largest class in percent; what is
    usual: the median of the seeds."""
    accuracies = [run.epochs[-1].train_accuracy for run in runs if isinstance(run, ClassifierRun)]
    if len(accuracies) < len(runs):  # decoders, or runs of which one diverged, which are left out
        return list(runs)
    halfway = (chance + median(accuracies)) / 2
    return [
        structs.replace(run, trained=has_trained(run) and accuracy >= halfway)
        for run, accuracy in zip(runs, accuracies)
    ]


def has_trained(run: Any) -> bool:
    """Whether a run learned more than which class is the largest; a decoder always does."""
    return getattr(run, "trained", True)


def on_same_seeds(runs: Sequence[TrainedRun], base_runs: Sequence[TrainedRun]) -> tuple[list[Any], list[Any]]:
    """The runs of the seeds that both have."""
    seeds = {run.seed for run in runs} & {run.seed for run in base_runs}
    left, right = ([run for run in each if run.seed in seeds] for each in (runs, base_runs))
    return left, right


def share_untrained(runs: Sequence[Any], confidence: float) -> Estimate:
    """The share of runs that did not train, in percent, with Wilson's interval."""
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
