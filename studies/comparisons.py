"""Every paired difference of a study, with its interval."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dataset import Data, stretches
from evaluation.crossed import Effect, Items, by_stretch, crossed
from evaluation.statistics import (
    CONFIDENCE,
    SHARED_BY_FOLDS,
    Estimate,
    difference_of_shares,
    paired_difference,
    paired_ratio,
    share_of,
)
from studies.results import Comparison, Exploration, LengthPerplexity, Measure, Unit, accuracies, last_perplexities
from studies.study import DROPOUT, STEEP
from training.recipe import Task
from training.records import ClassifierRun, DecoderRun, Group, TrainedRun

Trained = TypeVar("Trained", bound=TrainedRun)

POSITION_PAIRS = (("alibi", "learned"), ("none", "learned"), ("alibi", "none"))  # which, against which


@dataclass(frozen=True)
class Rows:
    """What is known of the test rows."""

    labels: Sequence[int]
    stretches: Sequence[int]  # neighbours have the same number
    seen: Sequence[bool]


def rows_of(data: Data) -> Rows:
    """The test rows of some data."""
    labels = data.test.labels.tolist()
    return Rows(labels, stretches(labels), data.seen.tolist())


def compare(found: Exploration, test: Rows) -> list[Comparison]:
    """Every paired difference: what is measured, of which variant against which, with its interval.

    Accuracies: in points, on the test rows that are given. Perplexities and times: as ratios. Of two variants, one of
    which has more seeds, those that both have.
    """
    confidence = found.confidence
    regularized = [(name, "original") for name in found.classifier if name == "batch-norm" or name in DROPOUT]
    widths = [(wide, narrow) for wide in found.widths[:1] for narrow in found.widths[1:]]
    rates = [(smallest, other) for smallest in list(found.validation)[:1] for other in list(found.validation)[1:]]
    rows: list[Comparison] = []
    for variant, base in present([*POSITION_PAIRS, *regularized], found.classifier):
        pair = on_same_seeds(found.classifier[variant], found.classifier[base])
        rows += compare_classifiers(variant, base, *pair, test, confidence)
    for variant, base in present([*POSITION_PAIRS, (STEEP, "alibi"), *widths], found.decoder):
        ours, theirs = on_same_seeds(found.decoder[variant], found.decoder[base])
        for text in ("train", *found.test_names):
            values = last_perplexities(ours, text), last_perplexities(theirs, text)
            ratio = paired_ratio(*values, confidence=confidence)
            effect = crossed(ratio, nats_by_stretch(ours, theirs, [text]), confidence)
            rows.append(comparison("decoder", variant, base, "perplexity", "ratio", effect, text=text))
    for task, timed in found.timing.items():
        measures: dict[Measure, dict[str, list[float]]] = {
            "training time": timed.seconds,
            "processor time": timed.processor_seconds,  # none in earlier results
        }
        for variant, base in POSITION_PAIRS:
            for measure, seconds in measures.items():
                if seconds:
                    ratio = paired_ratio(seconds[variant], seconds[base], confidence=confidence)
                    rows.append(Comparison(task, variant, base, measure, "ratio", ratio))
    if "alibi" in found.extrapolation:
        rows += compare_lengths("alibi", found.extrapolation["alibi"], found.block_size, confidence)
    for variant, base in rates:
        on_folds, others = map(accuracies, on_same_seeds(found.validation[variant], found.validation[base]))
        difference = paired_difference(on_folds, others, SHARED_BY_FOLDS, confidence)
        rows.append(Comparison("validation", variant, base, "validation accuracy", "points", difference))
    return rows


def comparison(
    task: Task,
    variant: str,
    base: str,
    measure: Measure,
    unit: Unit,
    effect: Effect,
    rows: Group | None = None,
    text: str | None = None,
) -> Comparison:
    """An effect, and the two that stand behind it."""
    known = (task, variant, base, measure, unit, effect.both, rows, text)
    return Comparison(*known, seeds=effect.seeds, items=effect.items)


def on_same_seeds(ours: Sequence[Trained], theirs: Sequence[Trained]) -> tuple[list[Trained], list[Trained]]:
    """The runs of the seeds that both have."""
    seeds = {run.seed for run in ours} & {run.seed for run in theirs}
    both = ([run for run in runs if run.seed in seeds] for runs in (ours, theirs))
    return next(both), next(both)


def present(pairs: Iterable[tuple[str, str]], names: Collection[str]) -> Iterator[tuple[str, str]]:
    """The pairs of which both are there."""
    return (pair for pair in pairs if pair[0] in names and pair[1] in names)


def compare_classifiers(
    variant: str,
    base: str,
    ours: Sequence[ClassifierRun],
    theirs: Sequence[ClassifierRun],
    rows: Rows,
    confidence: float = CONFIDENCE,
) -> Iterator[Comparison]:
    """Accuracy on all and on unseen rows, the gap between training and test accuracy, and how many do not train."""

    def gap(runs: Sequence[ClassifierRun]) -> list[float]:
        return [run.epochs[-1].train_accuracy - run.epochs[-1].test_accuracy for run in runs]

    names: tuple[Task, str, str] = ("classifier", variant, base)
    pairs = both_trained(ours, theirs) or (ours, theirs)
    groups: tuple[Group, ...] = ("all", "unseen")
    for group in groups:
        if ours[0].test[group].n:
            effect = effect_on_accuracy(*pairs, rows, group, confidence)
            yield comparison(*names, "test accuracy", "points", effect, rows=group)
    narrower = paired_difference(gap(pairs[0]), gap(pairs[1]), confidence=confidence)
    effect = crossed(narrower, hits_by_stretch(*pairs, rows, "all"), confidence)
    yield comparison(*names, "train - test accuracy", "points", effect)
    failed = difference_of_shares(*(share_at_chance(runs, confidence) for runs in (ours, theirs)))
    yield Comparison(*names, "runs at chance", "points", failed)


def both_trained(
    ours: Sequence[ClassifierRun], theirs: Sequence[ClassifierRun]
) -> tuple[list[ClassifierRun], list[ClassifierRun]] | None:
    """The runs of the seeds on which both trained; None where there are none."""
    pairs = [pair for pair in zip(ours, theirs) if all(run.trained for run in pair)]
    return ([one for one, _ in pairs], [other for _, other in pairs]) if pairs else None


def share_at_chance(runs: Sequence[ClassifierRun], confidence: float = CONFIDENCE) -> Estimate:
    """The share of runs that know their largest class alone, in percent."""
    return share_of(sum(not run.trained for run in runs), len(runs), confidence)


def effect_on_accuracy(
    ours: Sequence[ClassifierRun],
    theirs: Sequence[ClassifierRun],
    rows: Rows,
    group: Group = "all",
    confidence: float = CONFIDENCE,
) -> Effect:
    """How much higher our accuracy on a group of test rows is, in points."""
    difference = paired_difference(accuracies(ours, group), accuracies(theirs, group), confidence=confidence)
    return crossed(difference, hits_by_stretch(ours, theirs, rows, group), confidence)


def hits_by_stretch(
    ours: Sequence[ClassifierRun], theirs: Sequence[ClassifierRun], rows: Rows, group: Group
) -> list[Items]:
    """By how many points each run of ours is right oftener than theirs, by stretch of test rows."""
    if not rows.labels:
        return []
    inside = np.array([group == "all" or (group == "seen") == seen for seen in rows.seen])
    hits, others = (np.array([run.predictions for run in runs]) == np.array(rows.labels) for runs in (ours, theirs))
    differences = 100.0 * hits[:, inside] - 100.0 * others[:, inside]
    return [by_stretch(differences, np.array(rows.stretches)[inside], np.array(rows.labels)[inside])]


def nats_by_stretch(ours: Sequence[DecoderRun], theirs: Sequence[DecoderRun], texts: Sequence[str]) -> list[Items]:
    """How many nats more each run of ours takes than theirs, by stretch of each text, by the number of texts."""
    if not know_stretches([*ours, *theirs], texts):
        return []
    tokens = ours[0].stretch_tokens
    return [Items((nats(ours, text) - nats(theirs, text)) / len(texts), np.array(tokens[text])) for text in texts]


def nats_of_two_texts(runs: Sequence[DecoderRun], text: str, other: str) -> list[Items]:
    """The nats of each run by stretch of a text, and those of another one, which count against them."""
    if not know_stretches(runs, [text, other]):
        return []
    tokens = runs[0].stretch_tokens
    return [Items(sign * nats(runs, name), np.array(tokens[name])) for sign, name in ((1, text), (-1, other))]


def nats(runs: Sequence[DecoderRun], text: str) -> np.ndarray:
    """By run and stretch of a text."""
    return np.array([run.stretch_nats[text] for run in runs])


def know_stretches(runs: Sequence[DecoderRun], texts: Sequence[str]) -> bool:
    """Whether the records hold the stretches of all texts: they do not of the training text, nor of old runs."""
    return all(text in run.stretch_nats for run in runs for text in texts)


def compare_lengths(
    variant: str, seeds: Sequence[Sequence[LengthPerplexity]], block_size: int, confidence: float = CONFIDENCE
) -> Iterator[Comparison]:
    """Perplexity at each other length against that at the length of training, by protocol, with and without window."""
    for place, row in enumerate(seeds[0]):
        same = [n for n, other in enumerate(seeds[0]) if (other.length, other.reading) == (block_size, row.reading)]
        if row.length == block_size or not same or None in row.perplexity.values():
            continue
        for text in row.perplexity:
            ours, theirs = ([seed[n].perplexity[text] for seed in seeds] for n in (place, same[0]))
            ratio = paired_ratio(defined(ours), defined(theirs), confidence=confidence)
            yield Comparison(
                "decoder", variant, variant, "perplexity", "ratio", ratio, None, text, row.length, row.reading
            )


def defined(values: Iterable[float | None]) -> list[float]:
    """Those that are numbers: learned positions have none past their table."""
    return [value for value in values if value is not None]
