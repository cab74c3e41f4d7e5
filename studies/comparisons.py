"""Every paired difference of a study, with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from evaluation.statistics import mcnemar, paired_difference, paired_ratio
from studies.study import STEEP, WIDTH, accuracies


# ---------------------------------------------------------------------------------------------------------- comparisons
def compare(results: Mapping[str, Any], labels: Sequence[int]) -> list[dict[str, Any]]:
    """Every paired difference: what is measured, of which variant against which, with its 95% interval over seeds.

    Accuracies: in points, with their own interval over the test items beside it. Perplexities and times: as ratios.
    """
    rows: list[dict[str, Any]] = []
    classifier, decoder = results["classifier"], results["decoder"]
    against = [("alibi", "learned"), ("none", "learned"), ("alibi", "none")]
    against += [(name, "original") for name in classifier if "batch-norm" in name or "dropout" in name]
    for variant, base in against:
        if variant in classifier and base in classifier:
            rows += compare_classifiers(variant, base, classifier[variant], classifier[base], labels)
    against = [("alibi", "learned"), ("none", "learned"), ("alibi", "none"), (STEEP, "alibi")]
    sizes = [name for name in decoder if name.startswith(WIDTH)]
    against += [(wide, narrow) for wide in sizes[:1] for narrow in sizes[1:]]
    for variant, base in against:
        if variant in decoder and base in decoder:
            a, b = ([run["iterations"][-1]["perplexity"] for run in decoder[name]] for name in (variant, base))
            for text in a[0]:
                ratio = paired_ratio([row[text] for row in a], [row[text] for row in b])
                rows.append(comparison("decoder", variant, base, f"perplexity, {text}", "ratio", ratio))
    for task, timed in results["timing"].items():
        for variant, base in (("alibi", "learned"), ("none", "learned"), ("alibi", "none")):
            ratio = paired_ratio(timed["seconds"][variant], timed["seconds"][base])
            rows.append(comparison(task, variant, base, "training time", "ratio", ratio))
    if results["extrapolation"]:
        rows += compare_lengths("alibi", results["extrapolation"]["alibi"], results["block_size"])
    validation = results["validation"]
    smallest, *larger = list(validation) or [""]
    for name in larger:
        difference = paired_difference(accuracies(validation[smallest]), accuracies(validation[name]))
        rows.append(comparison("validation", smallest, name, "validation accuracy", "points", difference))
    return rows


def comparison(task: str, variant: str, base: str, measure: str, unit: str, estimate: Any) -> dict[str, Any]:
    return {
        "task": task, "variant": variant, "base": base, "measure": measure, "unit": unit, "estimate": asdict(estimate),
    }  # fmt: skip


def compare_classifiers(
    variant: str, base: str, a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]], labels: Sequence[int]
) -> list[dict[str, Any]]:
    """Accuracy on all and on unseen rows, and the gap between training and test accuracy."""

    def gap(records: Sequence[Mapping[str, Any]]) -> list[float]:
        return [record["epochs"][-1]["train_accuracy"] - record["epochs"][-1]["test_accuracy"] for record in records]

    def hits(records: Sequence[Mapping[str, Any]]) -> list[float]:  # each item's share of runs that got it right
        right = torch.tensor([record["predictions"] for record in records]) == torch.tensor(labels)
        return right.double().mean(dim=0).tolist()

    rows = []
    for group in ("all", "unseen"):
        if a[0]["test"][group]["n"]:
            difference = paired_difference(accuracies(a, group), accuracies(b, group))
            rows.append(comparison("classifier", variant, base, f"test accuracy, {group}", "points", difference))
    items = paired_difference([100 * hit for hit in hits(a)], [100 * hit for hit in hits(b)])
    rows[0]["items"] = asdict(items)
    first = [[prediction == label for prediction, label in zip(runs[0]["predictions"], labels)] for runs in (a, b)]
    rows[0]["mcnemar_first_seed"] = asdict(mcnemar(*first))
    rows.append(
        comparison("classifier", variant, base, "train - test accuracy", "points", paired_difference(gap(a), gap(b)))
    )
    return rows


def compare_lengths(
    variant: str, seeds: Sequence[Sequence[Mapping[str, Any]]], block_size: int
) -> list[dict[str, Any]]:
    """Perplexity at each other length against that at the length of training, by protocol, with and without window."""
    rows = []
    for place, row in enumerate(seeds[0]):
        same = [
            number
            for number, other in enumerate(seeds[0])
            if (other["sliding"], other["window"], other["length"]) == (row["sliding"], row["window"], block_size)
        ]
        if row["length"] == block_size or not same or None in row["perplexity"].values():
            continue
        for text in row["perplexity"]:
            values = [[seed[number]["perplexity"][text] for seed in seeds] for number in (place, same[0])]
            what = f"perplexity, {text}, length {row['length']}"
            entry = comparison("decoder", variant, variant, what, "ratio", paired_ratio(*values))
            rows.append(entry | {"sliding": row["sliding"], "window": row["window"]})
    return rows
