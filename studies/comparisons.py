"""Every paired difference of a study, with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import torch

from evaluation.statistics import Estimate, paired_difference, paired_ratio
from studies.results import Comparison, Measure, Reading
from studies.study import DROPOUT, STEEP, WIDTH, accuracies
from training.records import Group


def compare(results: Mapping[str, Any], labels: Sequence[int]) -> list[dict[str, Any]]:
    """Every paired difference: what is measured, of which variant against which, with its 95% interval over seeds.

    Accuracies: in points, with their own interval over the test items beside it. Perplexities and times: as ratios.
    """
    rows: list[Comparison] = []
    classifier, decoder = results["classifier"], results["decoder"]
    against = [("alibi", "learned"), ("none", "learned"), ("alibi", "none")]
    against += [(name, "original") for name in classifier if name == "batch-norm" or name in DROPOUT]
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
                rows.append(
                    Comparison(
                        task="decoder",
                        variant=variant,
                        base=base,
                        measure="perplexity",
                        unit="ratio",
                        estimate=ratio,
                        text=text,
                    )
                )
    for task, timed in results["timing"].items():
        for variant, base in (("alibi", "learned"), ("none", "learned"), ("alibi", "none")):
            ratio = paired_ratio(timed["seconds"][variant], timed["seconds"][base])
            rows.append(
                Comparison(task=task, variant=variant, base=base, measure="training time", unit="ratio", estimate=ratio)
            )
    if results["extrapolation"]:
        rows += compare_lengths("alibi", results["extrapolation"]["alibi"], results["block_size"])
    validation = results["validation"]
    smallest, *larger = list(validation) or [""]
    for name in larger:
        difference = paired_difference(accuracies(validation[smallest]), accuracies(validation[name]))
        rows.append(
            Comparison(
                task="validation",
                variant=smallest,
                base=name,
                measure="validation accuracy",
                unit="points",
                estimate=difference,
            )
        )
    found: list[dict[str, Any]] = msgspec.to_builtins(rows)
    return found


def compare_classifiers(
    variant: str, base: str, a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]], labels: Sequence[int]
) -> list[Comparison]:
    """Accuracy on all and on unseen rows, and the gap between training and test accuracy."""

    def gap(records: Sequence[Mapping[str, Any]]) -> list[float]:
        return [record["epochs"][-1]["train_accuracy"] - record["epochs"][-1]["test_accuracy"] for record in records]

    def hits(records: Sequence[Mapping[str, Any]]) -> list[float]:  # each item's share of runs that got it right
        right = torch.tensor([record["predictions"] for record in records]) == torch.tensor(labels)
        return right.double().mean(dim=0).tolist()

    def differ(
        measure: Measure, estimate: Estimate, rows: Group | None = None, items: Estimate | None = None
    ) -> Comparison:
        return Comparison(
            task="classifier",
            variant=variant,
            base=base,
            measure=measure,
            unit="points",
            estimate=estimate,
            rows=rows,
            items=items,
        )

    over_items = paired_difference([100 * hit for hit in hits(a)], [100 * hit for hit in hits(b)])
    groups: dict[Group, Estimate | None] = {"all": over_items, "unseen": None}
    return [
        *(
            differ("test accuracy", paired_difference(accuracies(a, group), accuracies(b, group)), group, items)
            for group, items in groups.items()
            if a[0]["test"][group]["n"]
        ),
        differ("train - test accuracy", paired_difference(gap(a), gap(b))),
    ]


def compare_lengths(variant: str, seeds: Sequence[Sequence[Mapping[str, Any]]], block_size: int) -> list[Comparison]:
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
            rows.append(
                Comparison(
                    task="decoder",
                    variant=variant,
                    base=variant,
                    measure="perplexity",
                    unit="ratio",
                    estimate=paired_ratio(*values),
                    text=text,
                    length=row["length"],
                    protocol=Reading(sliding=row["sliding"], window=row["window"]),
                )
            )
    return rows
