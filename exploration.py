"""Part 3, the exploration, as controlled experiments: what positions and what regularization change.

Variants differ in one thing and run on the same seeds, which decide initialisation, order and dropout together, so that
every difference is one between pairs. The differences and their intervals go to results.json; `claims.py` judges them.
"""

import functools
import itertools
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import torch

import utilities
from claims import REPORTS_RATE, judge
from comparison import mcnemar, paired_difference, paired_ratio, summary
from dataset import Data
from evaluation import Protocol, perplexity, token_nats
from experiments import classifier_baselines, customise, few, language_baselines, perplexities, public
from files import write_json
from inference import Task, load_model
from runs import (
    ClassifierWork,
    DecoderWork,
    Place,
    Recipe,
    Run,
    distinct_machines,
    identity_of,
    perform_all,
    processor_name,
    recorded,
    remembered,
    share_out,
)
from training import train
from transformer import Decoder

POSITIONS = ("learned", "alibi", "none")
STEEP, STEEPER = "alibi-steep", 8.0  # every slope 8 times as steep: 1/2 and 1/32 at two heads
RATES = (0.2, 0.3, 0.4, 0.5)  # of dropout
WIDTH = "ff"  # and a number: the hidden size of a decoder's feed-forward network
LENGTHS = (1, 2, 4, 8)  # tokens at inference, as multiples of the block: 32, 64, 128 and 256
TIMED_ROUNDS, TIMED_SHARE, WARM_UP_STEPS = 5, 0.1, 10

NAMES = {
    "learned": "learned positions",
    "alibi": "ALiBi",
    "none": "no positions",
    STEEP: "ALiBi, slopes x 8",
    "original": "original",
    "batch-norm": "batch norm",
} | {
    f"{key}dropout-{rate}": f"{name}dropout {rate}"
    for rate in RATES
    for key, name in (("", ""), ("batch-norm-", "batch norm + "))
}


@dataclass(frozen=True)
class Study:
    """What is run: the recipes that the variants start from, on which seeds, and which halves of part 3."""

    recipe_name: str
    classifier: Recipe
    decoder: Recipe
    seeds: tuple[int, ...]
    n_workers: int = 1
    alibi: bool = True
    regularize: bool = True
    ff_dims: tuple[int, ...] = ()  # the decoder with learned positions at these widths, too
    timed_share: float = TIMED_SHARE  # of a training, that a timed run lasts

    def classifiers(self) -> dict[str, Recipe]:
        """The variants of the classifier."""
        positions = {name: customise(self.classifier, positions=name) for name in POSITIONS} if self.alibi else {}
        return positions | (self.regularized() if self.regularize else {})

    def regularized(self) -> dict[str, Recipe]:
        """Without regularization, with batch norm, with dropout, with both."""

        def variant(batch_norm: bool, dropout: float) -> Recipe:
            return customise(self.classifier, batch_norm=batch_norm, dropout=dropout)

        plain = {"original": variant(False, 0.0)}
        dropout = {f"dropout-{rate}": variant(False, rate) for rate in RATES}
        if not self.classifier.architecture.head_dim:  # a head of one layer has no place for batch norm
            return plain | dropout
        both = {f"batch-norm-dropout-{rate}": variant(True, rate) for rate in RATES}
        return {**plain, "batch-norm": variant(True, 0.0), **dropout, **both}

    def decoders(self) -> dict[str, Recipe]:
        """The variants of the decoder."""
        if not self.alibi:
            return {}
        positions = {name: customise(self.decoder, positions=name) for name in POSITIONS}
        widths = {f"{WIDTH}{size}": customise(self.decoder, positions="learned", ff_dim=size) for size in self.ff_dims}
        return positions | {STEEP: customise(positions["alibi"], alibi_slope_scale=STEEPER)} | widths


def part3(study: Study, data: Data, place: Place) -> dict[str, Any]:
    """Run the study and draw Figures 8 to 11. Returns what results.json holds."""
    started = time.perf_counter()
    results = {"command": "part3", **explore(study, data, place)}
    results["claims"] = judge(results)
    results["total_seconds"] = time.perf_counter() - started
    write_json(place.out / "results.json", results)
    draw(results, place.out / "figures")
    return results


def explore(study: Study, data: Data, place: Place) -> dict[str, Any]:
    """Train, measure and compare every variant; records and weights are kept in `place`."""
    runs = {
        **plan("classifier", study.classifiers(), study.seeds),
        **plan("decoder", study.decoders(), study.seeds),
        **(plan("validation", validated(study), study.seeds) if study.regularize else {}),
    }
    distinct = sorted(dict.fromkeys(runs.values()), key=lambda run: run.seed)  # stopped early, whole seeds are done
    for run in distinct:
        recorded(run, data, place)  # what is there of other settings is refused before anything is written
    timing = time_variants(study, data, place) if study.alibi else {}  # while the machine has nothing else to do
    records = dict(zip(distinct, perform_all(distinct, data, place, study.n_workers)))
    found: dict[str, dict[str, list[dict[str, Any]]]] = {"classifier": {}, "decoder": {}, "validation": {}}
    for (kind, variant, _), run in runs.items():
        found[kind].setdefault(variant, []).append(public(records[run]))
    ngrams = language_baselines(data) if study.alibi else {}
    results: dict[str, Any] = {
        "recipe": study.recipe_name,
        "seed": study.seeds[0],
        "seeds": list(study.seeds),
        "vocabulary_size": len(data.tokenizer),
        "class_names": data.corpus.class_names,
        "test_names": list(data.test_streams),
        "block_size": study.decoder.architecture.block_size,
        "machines": distinct_machines(records.values()),
        "halves": [name for name in ("alibi", "regularize") if getattr(study, name)],
        **found,
        "baselines": {**classifier_baselines(data), **perplexities(ngrams)},
        "ngram_scores": ngrams,
        "timing": timing,
        "extrapolation": extrapolate(runs, data, place, study.n_workers) if study.alibi else {},
    }
    labels = data.test.labels.tolist()
    results["chosen_rate"] = best_rate(found["validation"])
    results["comparisons"] = compare(results, labels)
    return results


def plan(kind: str, variants: Mapping[str, Recipe], seeds: Sequence[int]) -> dict[tuple[str, str, int], Run]:
    """The run of each variant and seed; variants with the same recipe (the original and learned positions) share one.

    Validation runs of seed s are measured on fold s of five, so that five seeds are a cross-validation. They, and the
    decoders of other widths, are asked for their last measurement alone.
    """
    names: dict[Recipe, str] = {}
    for variant, recipe in variants.items():
        names.setdefault(recipe, variant)
    return {
        (kind, variant, seed): Run(
            f"{kind}-{names[recipe]}-seed{seed}",
            recipe,
            seed,
            fold=seed if kind == "validation" else None,
            lengths=lengths(recipe)[1:] if kind == "decoder" and names[recipe] == "alibi" else (),
            brief=kind == "validation" or names[recipe].startswith(WIDTH),
        )
        for variant, recipe in variants.items()
        for seed in seeds
    }


def lengths(recipe: Recipe) -> tuple[int, ...]:
    """The inference lengths: that of training and its multiples."""
    return tuple(multiple * recipe.architecture.block_size for multiple in LENGTHS)


def validated(study: Study) -> dict[str, Recipe]:
    """The variants among which validation chooses: each rate of dropout, with batch norm where that has a place."""
    variants = study.regularized()
    prefix = "batch-norm-" if "batch-norm" in variants else ""
    return {name: variants[name] for name in (f"{prefix}dropout-{rate}" for rate in RATES)}


def best_rate(validation: Mapping[str, Sequence[Mapping[str, Any]]]) -> str | None:
    """The rate with the highest mean accuracy on the validation rows."""
    if not validation:
        return None
    return max(validation, key=lambda name: summary(accuracies(validation[name])).mean)


def accuracies(records: Sequence[Mapping[str, Any]], group: str = "all") -> list[float]:
    """The test accuracy of each run on one group of rows."""
    return [record["test"][group]["accuracy"] for record in records]


# -------------------------------------------------------------------------------------------------------- training time


def time_variants(study: Study, data: Data, place: Place) -> dict[str, Any]:
    """Tables 4 and 5: seconds of training steps alone, for each position method.

    After a warm-up, TIMED_ROUNDS rounds; a round times every variant once, in random order, on fresh weights and the
    round's own batches, so that whatever else slows the machine slows all of them. A timed run is a part of a training
    (`timed_share`), step by step the same as training itself; nothing is evaluated.
    """
    recipes: dict[Task, dict[str, Recipe]] = {
        "classifier": {name: customise(study.classifier, positions=name) for name in POSITIONS},
        "decoder": {name: customise(study.decoder, positions=name) for name in POSITIONS},
    }
    description = {
        "data": data.corpus.fingerprint,
        "recipes": {task: {name: asdict(recipe) for name, recipe in row.items()} for task, row in recipes.items()},
        "share": study.timed_share,
        "machine": [processor_name(), torch.get_num_threads(), str(place.device), torch.__version__],
    }
    return remembered(
        place.out / "runs" / "timing.json",
        description,
        lambda: {task: time_task(row, study, data, place) for task, row in recipes.items()},
    )


def time_task(recipes: Mapping[str, Recipe], study: Study, data: Data, place: Place) -> dict[str, Any]:
    """Time the variants of one task."""
    shuffle = random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in recipes}
    n_steps = total = 0
    for round_number in range(-1, TIMED_ROUNDS):  # round -1 is the warm-up
        for name in shuffle.sample(list(recipes), len(recipes)):
            run = Run(f"timing {name}", recipes[name], seed=round_number)
            work = (ClassifierWork if run.recipe.task == "classifier" else DecoderWork)(run, data, place.device)
            total, n_steps = len(work.plan), max(1, round(study.timed_share * len(work.plan)))
            steps = work.plan[: WARM_UP_STEPS if round_number < 0 else n_steps]
            _, spent = train(
                work.model, steps, work.loss, run.recipe.training, run.seed, (), work.measure, label=run.name
            )
            if round_number >= 0:
                seconds[name].append(spent)
    return {"n_steps": n_steps, "n_steps_of_a_training": total, "threads": torch.get_num_threads(), "seconds": seconds}


# -------------------------------------------------------------------------------------------------------- extrapolation


def extrapolate(
    runs: Mapping[tuple[str, str, int], Run], data: Data, place: Place, n_workers: int
) -> dict[str, list[list[dict[str, Any]]]]:
    """For each position variant a list over seeds of the rows of `perplexity_by_length`."""
    wanted = {key: run for key, run in runs.items() if key[0] == "decoder" and key[1] in (*POSITIONS, STEEP)}
    job = functools.partial(perplexity_by_length, data=data, place=place)
    rows = share_out(job, list(wanted.values()), n_workers, "inference lengths")
    found: dict[str, list[list[dict[str, Any]]]] = {}
    for (_, variant, _), row in zip(wanted, rows):
        found.setdefault(variant, []).append(row)
    return found


def perplexity_by_length(run: Run, data: Data, place: Place) -> list[dict[str, Any]]:
    """Perplexity on each test text at each inference length: the same tokens, all of them, are scored at each.

    Two protocols: windows that do not overlap, in which the first tokens of each have little context whatever the
    length, and a window that slides by half its length, in which every token has at least that much, but for those of
    the first window. And a control, `window`: every token attends, in each layer, to no more of the past than it could
    in training; at the length of training that takes nothing away. Learned positions have nothing past their table:
    None.
    """

    def compute() -> list[dict[str, Any]]:
        model = load_model(place.weights(run), "decoder").model.to(place.device)
        assert isinstance(model, Decoder)
        config, rows = model.config, []

        def measure(length: int, sliding: bool) -> dict[str, float | None]:
            undefined = config.positions == "learned" and length > config.block_size
            protocol = Protocol(length, max(1, length // 2) if sliding else None)
            return {
                name: None if undefined else perplexity(token_nats(model, text.ids, protocol))
                for name, text in data.test_streams.items()
            }

        for sliding, length in itertools.product((False, True), lengths(run.recipe)):
            model.config = config
            free = measure(length, sliding)
            model.config = replace(config, window=config.block_size - 1)
            kept = free if length == config.block_size else measure(length, sliding)
            for window, found in ((None, free), (config.block_size - 1, kept)):
                rows.append({"length": length, "sliding": sliding, "window": window, "perplexity": found})
        return rows

    protocols = ["side by side", "sliding by half"]
    identity = {**identity_of(run, data, place), "lengths": lengths(run.recipe), "protocols": protocols}
    return remembered(place.out / "runs" / f"{run.name}.lengths.json", identity, compute)


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


# -------------------------------------------------------------------------------------------------------------- figures


def draw(results: Mapping[str, Any], figures: Path) -> None:
    """Figures 8 to 11 and that of inference lengths, as far as the study went."""
    classifier, decoder = results["classifier"], results["decoder"]
    if "alibi" in results["halves"]:
        accuracy_figure(
            figures / "figure8_test_accuracy_positions.png",
            {name: classifier[name] for name in POSITIONS},
            ["test"],
            "Figure 8: test accuracy by position method",
        )
        texts = few(results["baselines"]["ngram"])
        iterations = [row["iteration"] for row in decoder["alibi"][0]["iterations"]]
        utilities.line_figure(
            figures / "figure9_perplexity_positions.png",
            [
                utilities.Panel(
                    [
                        utilities.Line(
                            NAMES[name],
                            iterations,
                            [[row["perplexity"][text] for row in run["iterations"]] for run in decoder[name]],
                            dashed=name == "none",  # the control, which else would hide ALiBi
                        )
                        for name in POSITIONS
                    ],
                    title=text,
                )
                for text in ("train", *texts)
            ],
            "iteration",
            "perplexity",
            "Figure 9: perplexity by position method",
            log_y=True,
        )
        block = results["block_size"]
        utilities.line_figure(
            figures / "figure10_inference_length.png",
            [
                utilities.Panel(
                    [
                        utilities.Line(
                            f"{length} tokens",
                            iterations,
                            [
                                [
                                    row["perplexity_by_length"].get(str(length), row["perplexity"])[text]
                                    for row in run["iterations"]
                                ]
                                for run in decoder["alibi"]
                            ],
                            dashed=length > block,
                        )
                        for length in (multiple * block for multiple in LENGTHS)
                    ],
                    title=text,
                )
                for text in texts
            ],
            "iteration",
            "perplexity",
            f"Figure 10: ALiBi trained at {block} tokens, read at other lengths",
            log_y=True,
        )
        length_figure(figures / "inference_length.png", results["extrapolation"], block)
    if "regularize" in results["halves"]:
        accuracy_figure(
            figures / "figure11_regularization.png",
            {
                name: classifier[name]
                for name in dict.fromkeys(("original", REPORTS_RATE, results["chosen_rate"]))
                if name in classifier
            },
            ["train", "test"],
            "Figure 11: original and regularized classifier",
        )


def length_figure(
    path: Path, extrapolation: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], block_size: int
) -> None:
    """How perplexity changes with inference length, by protocol: solid as it is, dashed with the control's window."""

    def changes(rows: Sequence[Mapping[str, Any]], sliding: bool, window: int | None) -> list[float]:  # of one seed
        means = [
            geometric_mean(row["perplexity"].values())
            for row in rows
            if (row["sliding"], row["window"]) == (sliding, window)
        ]
        return [100 * (mean / means[0] - 1) for mean in means]

    variants = [name for name in extrapolation if name != "learned"]  # undefined at every other length
    sizes = [multiple * block_size for multiple in LENGTHS]
    panels = [
        utilities.Panel(
            [
                utilities.Line(
                    NAMES[name] + (f", {window} back" if window is not None else ""),
                    sizes,
                    [changes(rows, sliding, window) for rows in extrapolation[name]],
                    color,
                    dashed=window is not None,
                )
                for color, name in enumerate(variants)
                for window in (None, block_size - 1)
            ],
            title="sliding by half" if sliding else "windows side by side",
        )
        for sliding in (False, True)
    ]
    title, label = "What other inference lengths change", f"change of perplexity against {block_size} tokens (%)"
    utilities.line_figure(path, panels, "inference length (tokens)", label, title, log_x=True)


def accuracy_figure(
    path: Path, variants: Mapping[str, Sequence[Mapping[str, Any]]], sides: Sequence[str], title: str
) -> None:
    """Accuracy by epoch, mean and range over seeds, a panel for train and for test."""
    panels = [
        utilities.Panel(
            [
                utilities.Line(
                    NAMES[name],
                    [row["epoch"] for row in records[0]["epochs"]],
                    [[row[f"{side}_accuracy"] for row in record["epochs"]] for record in records],
                )
                for name, records in variants.items()
            ],
            title=side if len(sides) > 1 else "",
        )
        for side in sides
    ]
    utilities.line_figure(path, panels, "epoch", "accuracy (%)", title)
