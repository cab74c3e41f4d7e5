"""Every paired difference of a study, with its interval."""

from collections.abc import Collection, Iterable, Iterator, Sequence

import torch

from evaluation.statistics import Estimate, paired_difference, paired_ratio
from studies.results import Comparison, Exploration, LengthPerplexity, accuracies, last_perplexities
from studies.study import DROPOUT, STEEP
from training.records import ClassifierRun, Group

POSITION_PAIRS = (("alibi", "learned"), ("none", "learned"), ("alibi", "none"))  # which, against which


def compare(found: Exploration, labels: Sequence[int]) -> list[Comparison]:
    """Every paired difference: what is measured, of which variant against which, with its 95% interval over seeds.

    Accuracies: in points, with their own interval over the test rows, whose `labels` (N,) are given. Perplexities and
    times: as ratios.
    """
    regularized = [(name, "original") for name in found.classifier if name == "batch-norm" or name in DROPOUT]
    widths = [(wide, narrow) for wide in found.widths[:1] for narrow in found.widths[1:]]
    rates = [(smallest, other) for smallest in list(found.validation)[:1] for other in list(found.validation)[1:]]
    rows: list[Comparison] = []
    for variant, base in present([*POSITION_PAIRS, *regularized], found.classifier):
        rows += compare_classifiers(variant, base, found.classifier[variant], found.classifier[base], labels)
    for variant, base in present([*POSITION_PAIRS, (STEEP, "alibi"), *widths], found.decoder):
        for text in ("train", *found.test_names):
            ratio = paired_ratio(*(last_perplexities(found.decoder[name], text) for name in (variant, base)))
            rows.append(Comparison("decoder", variant, base, "perplexity", "ratio", ratio, text=text))
    for task, timed in found.timing.items():
        for variant, base in POSITION_PAIRS:
            ratio = paired_ratio(timed.seconds[variant], timed.seconds[base])
            rows.append(Comparison(task, variant, base, "training time", "ratio", ratio))
    if "alibi" in found.extrapolation:
        rows += compare_lengths("alibi", found.extrapolation["alibi"], found.block_size)
    for variant, base in rates:
        difference = paired_difference(*(accuracies(found.validation[name]) for name in (variant, base)))
        rows.append(Comparison("validation", variant, base, "validation accuracy", "points", difference))
    return rows


def present(pairs: Iterable[tuple[str, str]], names: Collection[str]) -> Iterator[tuple[str, str]]:
    """The pairs of which both are there."""
    return (pair for pair in pairs if pair[0] in names and pair[1] in names)


def compare_classifiers(
    variant: str, base: str, ours: Sequence[ClassifierRun], theirs: Sequence[ClassifierRun], labels: Sequence[int]
) -> Iterator[Comparison]:
    """Accuracy on all and on unseen rows, and the gap between training and test accuracy."""

    def gap(runs: Sequence[ClassifierRun]) -> list[float]:
        return [run.epochs[-1].train_accuracy - run.epochs[-1].test_accuracy for run in runs]

    def hits(runs: Sequence[ClassifierRun]) -> list[float]:  # each row's share of runs that got it right, in percent
        right = torch.tensor([run.predictions for run in runs]) == torch.tensor(labels)
        return [100 * share for share in right.double().mean(dim=0).tolist()]

    groups: dict[Group, Estimate | None] = {"all": paired_difference(hits(ours), hits(theirs)), "unseen": None}
    for group, items in groups.items():
        if ours[0].test[group].n:
            difference = paired_difference(accuracies(ours, group), accuracies(theirs, group))
            yield Comparison("classifier", variant, base, "test accuracy", "points", difference, group, items=items)
    difference = paired_difference(gap(ours), gap(theirs))
    yield Comparison("classifier", variant, base, "train - test accuracy", "points", difference)


def compare_lengths(variant: str, seeds: Sequence[Sequence[LengthPerplexity]], block_size: int) -> Iterator[Comparison]:
    """Perplexity at each other length against that at the length of training, by protocol, with and without window."""
    for place, row in enumerate(seeds[0]):
        same = [n for n, other in enumerate(seeds[0]) if (other.length, other.reading) == (block_size, row.reading)]
        if row.length == block_size or not same or None in row.perplexity.values():
            continue
        for text in row.perplexity:
            ours, theirs = ([seed[n].perplexity[text] for seed in seeds] for n in (place, same[0]))
            ratio = paired_ratio(defined(ours), defined(theirs))
            yield Comparison(
                "decoder", variant, variant, "perplexity", "ratio", ratio, None, text, row.length, row.reading
            )


def defined(values: Iterable[float | None]) -> list[float]:
    """Those that are numbers: learned positions have none past their table."""
    return [value for value in values if value is not None]
