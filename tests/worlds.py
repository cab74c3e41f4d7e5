"""A made-up results record of `report`, in which everything is known: no two numbers in it are the same.

A number with its seeds is `seeds(mean, spread)`: its mean and standard deviation are these two, so that a table must
show them; and the interval of a paired effect of three seeds is known (`interval`). A variant is better or worse by
construction; `swap` exchanges two of them.
"""

import copy
import functools
import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from math import exp, log
from pathlib import Path
from statistics import median, stdev
from typing import Any

import msgspec
import pytest
from studies.compare import Question, compared, compared_opponent
from studies.comparisons import Rows
from studies.comparisons import compare as compare_records
from studies.results import AblationResults, CompareResults, ReportResults, classifier_runs, decoder_runs

import utilities
from evaluation.statistics import Estimate
from speechesdataset.folder import About
from studies import claims
from studies.catalogue.recipes import RECIPES
from studies.settings import MEASURES
from training.recipe import Task
from training.records import ClassifierRun, DecoderRun, GroupAccuracy, LanguageScores, Machine, TrainedRun

SEEDS = (4, 5, 6)
TEXTS = ("hbush", "obama", "wbush")
CLASSES = ["Obama", "G. W. Bush", "G. H. W. Bush"]
RATES = (0.2, 0.3, 0.4, 0.5)
N_EPOCHS = 15
ITERATIONS = (100, 200, 300, 400, 500)
LABELS = [0, 1, 2, 0, 1, 2]  # of the test rows, as far as a single row matters
ROWS = Rows(LABELS, stretches=[0, 1, 2, 3, 4, 5], seen=[False] * 6)
WILSON = 1.959963984540**2 / (3 + 1.959963984540**2)  # the most that none of three may be a share of: 56.1%
AT_CHANCE = {  # no run of any variant, by Newcombe's method
    **{"mean": 0.0, "low": -100 * WILSON, "high": 100 * WILSON, "sd": None, "median": 0.0, "n": 3},
    **{"error": None, "df": None, "ratio": False},
}

TEST_ACCURACY = {  # after the last epoch, the mean over seeds
    **{"learned": 61.0, "alibi": 61.6, "none": 52.3, "original": 60.2, "batch-norm": 63.1},
    **{"dropout-0.2": 62.4, "dropout-0.3": 61.7, "dropout-0.4": 59.5, "dropout-0.5": 57.8},
    **{"batch-norm-dropout-0.2": 62.2, "batch-norm-dropout-0.3": 64.6},
    **{"batch-norm-dropout-0.4": 62.9, "batch-norm-dropout-0.5": 58.7},
}
TRAIN_ACCURACY = {
    **{"learned": 99.2, "alibi": 98.4, "none": 88.5, "original": 98.9, "batch-norm": 97.3},
    **{"dropout-0.2": 96.1, "dropout-0.3": 94.7, "dropout-0.4": 92.6, "dropout-0.5": 90.8},
    **{"batch-norm-dropout-0.2": 87.4, "batch-norm-dropout-0.3": 86.2},
    **{"batch-norm-dropout-0.4": 83.3, "batch-norm-dropout-0.5": 79.9},
}
VALIDATION = {0.2: 57.1, 0.3: 59.3, 0.4: 58.6, 0.5: 55.2}
PERPLEXITY = {  # after the last iteration: ALiBi is 7 to 12% better than learned positions, no positions 4 to 6%
    "learned": {"train": 150.0, "hbush": 380.0, "obama": 345.0, "wbush": 455.0},
    "alibi": {"train": 138.0, "hbush": 349.6, "obama": 310.5, "wbush": 400.4},
    "none": {"train": 146.0, "hbush": 364.8, "obama": 327.7, "wbush": 430.0},
    "alibi-steep": {"train": 141.0, "hbush": 342.6, "obama": 316.7, "wbush": 412.4},
    "ff256": {"train": 151.0, "hbush": 381.5, "obama": 346.1, "wbush": 456.9},
    "ff100": {"train": 181.2, "hbush": 400.6, "obama": 377.0, "wbush": 489.5},
}
FF_DIMS = {"ff256": 256, "ff100": 100}
NGRAM = {
    "ngram": {"hbush": 401.7, "obama": 299.3, "wbush": 470.6},
    "ngram_unk": {"hbush": 356.1, "obama": 287.9, "wbush": 428.4},
}
SECONDS = {  # of a step, the medians of three blocks
    "classifier": {"learned": [2.60, 2.50, 2.71], "alibi": [2.21, 2.15, 2.36], "none": [2.42, 2.35, 2.57]},
    "decoder": {"learned": [3.60, 3.51, 3.77], "alibi": [3.19, 3.11, 3.32], "none": [3.37, 3.29, 3.51]},
}
DISTANCE, RELATIVE_DISTANCE = (2.0, 3.3, 5.0), (0.11, 0.47, 0.81)  # of attention, by layer
ENTROPY, RELATIVE_ENTROPY, PADDING = (2.2, 1.9, 1.2), (0.9, 0.72, 0.51), (0.2, 0.33, 0.4)
LENGTHS = (32, 64, 128, 256)
MACHINE = {
    "commit": "0123456789abcdef0123", "dirty": False, "code": "c0dec0dec0dec0de", "python": "3.11.9", "torch": "2.4.1",
    "processor": "Acme 9000", "cores": 6, "threads": 1, "processes": 1,
}  # fmt: skip


def seeds(mean: float, spread: float) -> list[float]:
    """Three values with this mean and standard deviation, the first of them above it."""
    return [mean + spread, mean - spread, mean]


def interval(differences: Sequence[float], shared: float = 0.0) -> tuple[float, float, float]:
    """Mean and 95% interval of three paired differences, by Student's t with two degrees of freedom; or of three folds
    of which each has a quarter as many rows as it was trained on."""
    mean = sum(differences) / 3
    half = 4.302652729911 * stdev(differences) * (1 / 3 + shared) ** 0.5
    return mean, mean - half, mean + half


def number(value: float, digits: int = 1, sign: bool = False) -> str:
    """A number as a table shows it, and as one types it: with a hyphen for a minus sign."""
    return f"{value:{'+' if sign else ''},.{digits}f}"


def typed(text: str) -> str:
    """A text of ours as one types it."""
    return text.replace("\N{MINUS SIGN}", "-").replace("\N{MULTIPLICATION SIGN}", "x")


def spread(mean: float, sd: float, digits: int = 1) -> str:
    return f"{number(mean, digits)} ± {number(sd, digits)}"


def points(variant: Sequence[float], base: Sequence[float]) -> str:
    """A difference with its interval, as a table shows it without its unit."""
    mean, low, high = interval([a - b for a, b in zip(variant, base, strict=True)])
    return f"{number(mean, sign=True)} [{number(low, sign=True)}, {number(high, sign=True)}]"


def percent(variant: Sequence[float], base: Sequence[float]) -> str:
    """A ratio with its interval, as a table shows it: a change in percent."""
    ends = interval([log(a / b) for a, b in zip(variant, base, strict=True)])
    mean, low, high = (number(100 * (exp(end) - 1), sign=True) for end in ends)
    return f"{mean} [{low}, {high}] %"


def by_seed(values: Mapping[Any, Sequence[float]]) -> list[dict[Any, float]]:
    """One dictionary a seed from one list of seeds a key."""
    return [{key: row[seed] for key, row in values.items()} for seed in range(len(SEEDS))]


def classifier(variant: str, number: int) -> list[dict[str, Any]]:
    """The records of a variant: accuracy rises in even steps, and each seed gets more and less right in its own way."""
    spread = 0.3 + 0.02 * number
    epochs: list[dict[str, list[float]]] = [
        {
            "train_loss": seeds(0.031 + 0.013 * number + 0.061 * (N_EPOCHS - epoch), 0.004),
            "train_accuracy": seeds(TRAIN_ACCURACY[variant] - 0.4 * (N_EPOCHS - epoch), spread + 0.2),
            "test_accuracy": seeds(TEST_ACCURACY[variant] - 0.3 * (N_EPOCHS - epoch), spread),
        }
        for epoch in range(1, N_EPOCHS + 1)
    ]
    seen, unseen = (seeds(TEST_ACCURACY[variant] + gap, spread + 0.1) for gap in (15.4, -5.2))
    return [
        {
            "seed": seed,
            "n_parameters": 400_000 + 1_000 * number,
            "train_seconds": 20.0 + number + s / 10,
            "epochs": [
                {"epoch": n, **{key: values[s] for key, values in epoch.items()}} for n, epoch in enumerate(epochs, 1)
            ],
            "test": {
                "all": {"n": 1200, "accuracy": epochs[-1]["test_accuracy"][s]},
                "seen": {"n": 300, "accuracy": seen[s]},
                "unseen": {"n": 900, "accuracy": unseen[s]},
            },
            "scores": scores(number, s),
            "trained": True,
            "fell_back": False,
            "predictions": predictions(number, s),
            "machine": dict(MACHINE),
        }
        for s, seed in enumerate(SEEDS)
    ]


def n_right(number: int) -> list[int]:
    """How many of the three seeds of a variant are right about each of the rows of LABELS: as many of each, so
    that other rows would change nothing, and an interval for seeds and rows is that for seeds."""
    return [number % 4] * len(LABELS)


def predictions(number: int, s: int) -> list[int]:
    """What one seed says of the rows of LABELS."""
    right = [s in [(row + seed) % 3 for seed in range(n)] for row, n in enumerate(n_right(number))]
    return [label if is_right else (label + 1) % 3 for label, is_right in zip(LABELS, right)]


def scores(number: int, s: int) -> dict[str, Any]:
    """By class; macro-F1 is not that of the classes, so that neither can stand for the other."""
    return {
        "classes": [
            {
                "name": name,
                "n": 390 + 10 * place,
                "precision": seeds(50.0 + 7 * place + number, 0.5 + 0.1 * place)[s],
                "recall": seeds(54.5 + 7 * place + number, 0.8 + 0.1 * place)[s],
                "f1": seeds(52.3 + 7 * place + number, 1.1 + 0.1 * place)[s],
            }
            for place, name in enumerate(CLASSES)
        ],
        "macro_f1": seeds(58.8 + number, 1.5)[s],
        "confusion": [[100 * row + 10 * column + number + s for column in range(3)] for row in range(3)],
    }


def decoder(variant: str, number: int) -> list[dict[str, Any]]:
    """The records of a variant: perplexity falls by a fifth of the last one at every measurement."""
    brief = variant in FF_DIMS
    spread = 0.004 + 0.001 * number  # of the mean

    def perplexities(iteration: int) -> list[dict[str, float]]:
        factor = 1 + (500 - iteration) / 500
        return by_seed(
            {text: seeds(factor * last, factor * last * spread) for text, last in PERPLEXITY[variant].items()}
        )

    iterations = [(iteration, perplexities(iteration)) for iteration in (ITERATIONS[-1:] if brief else ITERATIONS)]
    records: list[dict[str, Any]] = []
    for s, seed in enumerate(SEEDS):
        rows: list[dict[str, Any]] = [
            {
                "iteration": iteration,
                "train_loss": 7.0 - iteration / 300 + number / 50 + s / 100,
                "perplexity": found[s],
            }
            for iteration, found in iterations
        ]
        if variant == "alibi":
            for row in rows:
                row["perplexity_by_length"] = {
                    str(length): {text: row["perplexity"][text] * (1 + length / 10_000) for text in TEXTS}
                    for length in LENGTHS[1:]
                }
        records.append(
            {
                "seed": seed,
                "n_parameters": 900_000 - 1_000 * number,
                "train_seconds": 50.0 + number + s / 10,
                "ff_dim": FF_DIMS.get(variant, 256),
                "iterations": rows,
                "protocol": "non-overlapping windows of 32 tokens",
                "scores": {
                    text: language_scores(rows[-1]["perplexity"][text], place) for place, text in enumerate(TEXTS)
                },
                "nats_by_position": {
                    text: [7 - column - place / 10 - number * (column + 1) / 100 - s / 1000 for column in range(5)]
                    for place, text in enumerate(("train", *TEXTS))
                },
                "machine": dict(MACHINE),
            }
        )
    return records


def language_scores(perplexity: float, place: int) -> dict[str, float]:
    return {
        "perplexity": perplexity,
        "perplexity_without_unk": perplexity * 0.8,
        "bits_per_byte": perplexity / 200 + 0.01 * place,
        "unk_rate": 1.25 + place,
    }


def validation(rate: float) -> list[dict[str, Any]]:
    values = seeds(VALIDATION[rate], rate)
    return [
        {
            "seed": seed,
            "n_parameters": 300_000,
            "train_seconds": 15.0 + rate + s / 100,
            "epochs": [{"epoch": 15, "train_loss": 0.4, "train_accuracy": 90.0 + rate, "test_accuracy": values[s]}],
            "test": {
                "all": {"n": 240, "accuracy": values[s]},
                "seen": {"n": 0, "accuracy": None},
                "unseen": {"n": 240, "accuracy": values[s]},
            },
            "scores": scores(int(10 * rate), s),
            "trained": True,
            "fell_back": False,
            "predictions": [],
            "machine": dict(MACHINE),
        }
        for s, seed in enumerate(SEEDS)
    ]


def extrapolation(variant: str, number: int) -> list[list[dict[str, Any]]]:
    """By seed, each protocol, length and window: perplexities that tell which they are."""
    found: list[list[dict[str, Any]]] = [[] for _ in SEEDS]
    for sliding, (place, length), window in itertools.product((False, True), enumerate(LENGTHS), (None, 31)):
        kept = window is not None and length > 32  # at the length of training the window takes nothing away
        change = {False: (1.0, 1.004, 1.007, 1.03), True: (0.94, 0.952, 0.957, 0.99)}[sliding][place] - 0.013 * kept
        cells = {
            text: seeds(PERPLEXITY[variant][text] * change, 0.9 + 0.1 * place + 0.03 * sliding + number / 1000)
            for text in TEXTS
        }
        undefined = variant == "learned" and length > 32
        for seed, row in zip(found, by_seed(cells)):
            perplexity = dict.fromkeys(TEXTS) if undefined else row
            seed.append({"length": length, "sliding": sliding, "window": window, "perplexity": perplexity})
    return found


def attention(base: float) -> list[dict[str, Any]]:
    """By seed each statistic of three layers (near, between, far) of two heads."""

    def heads(by_layer: Sequence[float], shift: float, spread: float) -> list[list[list[float]]]:
        cells = [[seeds(mean + shift + step, spread + step / 5) for step in (0.0, 0.04)] for mean in by_layer]
        return [[[cell[s] for cell in layer] for layer in cells] for s in range(len(SEEDS))]

    statistics: dict[str, list[list[list[float]]]] = {
        "distance": heads(DISTANCE, base, 0.31),
        "relative_distance": heads(RELATIVE_DISTANCE, base / 10, 0.011),
        "entropy": heads(ENTROPY, base, 0.021),
        "relative_entropy": heads(RELATIVE_ENTROPY, base / 30, 0.013),
        "padding": heads(PADDING, base / 10, 0.015),
    }
    return [{name: values[s] for name, values in statistics.items()} for s in range(len(SEEDS))]


def baseline(number: int) -> dict[str, Any]:
    accuracies = (("all", 1200, 58.3), ("seen", 300, 70.9), ("unseen", 900, 54.2))
    return {group: {"n": n, "accuracy": accuracy - 4 * number} for group, n, accuracy in accuracies}


# -------------------------------------------------------------------------------------------- what follows from records


def difference(variant: Sequence[float], base: Sequence[float], shared: float = 0.0) -> dict[str, Any]:
    """The estimate of a difference between three pairs."""
    return _estimate([a - b for a, b in zip(variant, base, strict=True)], shared)


def ratio(variant: Sequence[float], base: Sequence[float]) -> dict[str, Any]:
    """The estimate of a ratio of three pairs; its spread is that of the logarithms."""
    found = _estimate([log(a / b) for a, b in zip(variant, base, strict=True)])
    return found | {key: exp(found[key]) for key in ("mean", "low", "high", "median")} | {"ratio": True}


def _estimate(values: Sequence[float], shared: float = 0.0) -> dict[str, Any]:
    mean, low, high = interval(values, shared)
    known = {"mean": mean, "low": low, "high": high, "sd": stdev(values), "median": median(values), "n": 3}
    return known | {"error": stdev(values) * (1 / 3 + shared) ** 0.5, "df": 2.0, "ratio": False}


def comparisons(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every comparison that the study makes, in its order, with the effect that was planted."""
    rows: list[dict[str, Any]] = []

    def add(task: str, variant: str, base: str, measure: str, estimate: dict[str, Any], **more: Any) -> None:
        unit = "ratio" if measure in ("perplexity", "training time", "processor time") else "points"
        names = {"task": task, "variant": variant, "base": base, "measure": measure, "unit": unit}
        rows.append({**names, "estimate": estimate, **more})

    def pairs(named: Mapping[str, Any], *wanted: tuple[str, str]) -> list[tuple[str, str]]:
        return [(a, b) for a, b in wanted if a in named and b in named]

    positions = (("alibi", "learned"), ("none", "learned"), ("alibi", "none"))
    kinds = ("batch-norm", *(f"{both}dropout-{rate}" for both in ("", "batch-norm-") for rate in RATES))
    for a, b in pairs(results["classifier"], *positions, *((kind, "original") for kind in kinds)):
        runs = [results["classifier"][name] for name in (a, b)]
        for group in ("all", "unseen"):
            ours, theirs = ([run["test"][group]["accuracy"] for run in records] for records in runs)
            found = difference(ours, theirs)
            add("classifier", a, b, "test accuracy", found, rows=group, seeds=found, items=for_other_rows(found))
        ours, theirs = (
            [run["epochs"][-1]["train_accuracy"] - run["epochs"][-1]["test_accuracy"] for run in records]
            for records in runs
        )
        found = difference(ours, theirs)
        add("classifier", a, b, "train - test accuracy", found, seeds=found, items=for_other_rows(found))
        add("classifier", a, b, "runs at chance", AT_CHANCE)
    for a, b in pairs(results["decoder"], *positions, ("alibi-steep", "alibi"), ("ff256", "ff100")):
        for text in ("train", *TEXTS):
            values = [
                [run["iterations"][-1]["perplexity"][text] for run in results["decoder"][name]] for name in (a, b)
            ]
            add("decoder", a, b, "perplexity", ratio(*values), text=text)
    for task, timed in results["timing"].items():
        for a, b in positions:
            for measure, seconds in (
                ("training time", timed["seconds"]),
                ("processor time", timed["processor_seconds"]),
            ):
                add(task, a, b, measure, ratio(seconds[a], seconds[b]))
    read = results["extrapolation"].get("alibi")
    for sliding, length, window in itertools.product((False, True), LENGTHS[1:], (None, 31)) if read else ():
        for text in TEXTS:
            what = [(sliding, length, window), (sliding, 32, window)]
            values = [
                [row["perplexity"][text] for seed in read for row in seed if which(row) == wanted] for wanted in what
            ]
            how = {"text": text, "length": length, "protocol": {"sliding": sliding, "window": window}}
            add("decoder", "alibi", "alibi", "perplexity", ratio(*values), **how)
    for rate in RATES[1:] if results["validation"] else ():
        a, b = (f"batch-norm-dropout-{one}" for one in (0.2, rate))
        ours, theirs = ([run["test"]["all"]["accuracy"] for run in results["validation"][name]] for name in (a, b))
        add("validation", a, b, "validation accuracy", difference(ours, theirs, shared=0.25))
    return rows


def which(row: Mapping[str, Any]) -> tuple[bool, int, int | None]:
    """The protocol, length and window of a row of inference lengths."""
    return row["sliding"], row["length"], row["window"]


def for_other_rows(found: Mapping[str, Any]) -> dict[str, Any]:
    """The same effect of the rows of LABELS, which are stretches of their own and all alike."""
    mean = found["mean"]
    ends = {"mean": mean, "low": mean, "high": mean, "sd": None, "median": mean, "n": 6}
    return ends | {"error": 0.0, "df": 3.0, "ratio": False}


# -------------------------------------------------------------------------------------------------------- whole records


def made_up() -> dict[str, Any]:
    """The record with its comparisons, for the taking; verdicts are `judge`'s."""
    return copy.deepcopy(_made_up())


ABOUT = About("some/data", 2345, 1200, 300, CLASSES, "fedcba9876543210" * 4)


@functools.cache
def _made_up() -> dict[str, Any]:
    results: dict[str, Any] = {
        "command": "report",
        "command_line": "python main.py report --seeds 3",
        "quick": False,
        "data": msgspec.to_builtins(ABOUT),
        "commands": {
            name: f"python main.py {name} --data-dir some/data" for name in ("part1", "part2", "part3", "report")
        },
        "tokens": {"train": 98_765, "hbush": 4_321, "obama": 5_432, "wbush": 6_543},
        "recipe": "report",
        "labels": {"classifier": "report recipe, epochs 15", "decoder": "report recipe, iterations 500"},
        "seed": SEEDS[0],
        "seeds": list(SEEDS),
        "vocabulary_size": 5_639,
        "test_names": list(TEXTS),
        "block_size": 32,
        "machines": [dict(MACHINE)],
        "halves": ["alibi", "regularize"],
        "classifier": {variant: classifier(variant, number) for number, variant in enumerate(TEST_ACCURACY)},
        "decoder": {variant: decoder(variant, number) for number, variant in enumerate(PERPLEXITY)},
        "validation": {f"batch-norm-dropout-{rate}": validation(rate) for rate in RATES},
        "widths": list(FF_DIMS),
        "baselines": {name: baseline(number) for number, name in enumerate(("svm", "tfidf", "bayes", "majority"))},
        "ngram_scores": {
            name: {text: language_scores(perplexity, place) for place, (text, perplexity) in enumerate(texts.items())}
            for name, texts in NGRAM.items()
        },
        "timing": {
            task: {
                "n_steps": 30,
                "n_steps_of_a_training": 1_250,
                "threads": 2,
                "seconds": seconds,
                "processor_seconds": {name: [2 * one + 0.01 for one in own] for name, own in seconds.items()},
            }
            for task, seconds in SECONDS.items()
        },
        "extrapolation": {
            variant: extrapolation(variant, number)
            for number, variant in enumerate(("learned", "alibi", "none", "alibi-steep"))
        },
        "attention": {"encoder": attention(0.5), "decoder": attention(1.7)},
        "chosen_rate": "batch-norm-dropout-0.3",
        "ablation": None,
        "training_seconds": 3_456.0,
        "total_seconds": 5_432.0,
    }
    return results | {"comparisons": comparisons(results)}


@functools.cache
def _true() -> dict[str, Any]:
    results = made_up()
    smallest, best = (f"batch-norm-dropout-{rate}" for rate in (0.2, 0.3))
    validation = results["validation"]
    validation[smallest], validation[best] = validation[best], validation[smallest]
    return results | {"chosen_rate": smallest, "comparisons": comparisons(results)}


def all_true() -> dict[str, Any]:
    """The record of a world in which every claim of the report holds: 0.2 is the best rate of dropout, too."""
    return copy.deepcopy(_true())


def of_others(results: dict[str, Any]) -> dict[str, Any]:
    """The record as if the texts were other people's: speakers of other names, and one test text less."""
    data = results["data"] | {"class_names": ["Ann", "Ben", "Cleo"]}
    return results | {"data": data, "test_names": list(TEXTS[:2])}


def record(results: Mapping[str, Any]) -> ReportResults:
    """`results` as the programs know them."""
    return msgspec.convert({"claims": [], **results}, ReportResults, str_keys=True)


def machine(**fields: Any) -> Machine:
    """The machine that made all of it, but for some fields."""
    return msgspec.convert(MACHINE | fields, Machine)


def estimate(mean: float, low: float | None = None, high: float | None = None) -> Estimate:
    """An effect with its interval; what else belongs to it does not matter."""
    return Estimate(mean, low, high, None, mean, len(SEEDS))


def classifier_run(**fields: Any) -> ClassifierRun:
    """A record with these fields; what else it holds is made up."""
    return msgspec.structs.replace(record(_made_up()).classifier["learned"][0], **fields)


def decoder_run(**fields: Any) -> DecoderRun:
    """A record with these fields; what else it holds is made up."""
    return msgspec.structs.replace(record(_made_up()).decoder["learned"][0], **fields)


def compare(results: Mapping[str, Any], rows: Rows = ROWS) -> list[dict[str, Any]]:
    """The comparisons that our programs make of `results`."""
    return [msgspec.to_builtins(row) for row in compare_records(record({**results, "comparisons": []}), rows)]


def judge(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The verdicts of our programs on `results`."""
    return [msgspec.to_builtins(one) for one in claims.judge(record(results))]


def judged(results: dict[str, Any]) -> dict[str, Any]:
    """`results` with the comparisons and verdicts that our programs make of its records."""
    results["comparisons"] = compare(results)
    results["claims"] = judge(results)
    return results


def swapped(results: dict[str, Any], one: str, other: str) -> dict[str, Any]:
    """`results` with the records and times of two variants exchanged, judged anew."""
    names = {one: other, other: one}

    def swap(variants: Mapping[str, Any]) -> dict[str, Any]:
        return {name: variants.get(names.get(name, name), runs) for name, runs in variants.items()}

    timing = {
        task: timed | {key: swap(timed[key]) for key in ("seconds", "processor_seconds")}
        for task, timed in results["timing"].items()
    }
    kinds = {kind: swap(results[kind]) for kind in ("classifier", "decoder", "validation")}
    return judged(results | kinds | {"timing": timing})


# -------------------------------------------------------------------------------------------------------------- figures


def intercept(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Nothing is drawn from now on; what a figure would have been drawn from is kept by the name of its file."""
    caught: dict[str, dict[str, Any]] = {}

    def instead_of(name: str) -> Callable[..., None]:
        signature = inspect.signature(getattr(utilities, name))

        def keep(*positional: Any, **named: Any) -> None:
            given = signature.bind(*positional, **named).arguments
            path = Path(given.pop("path"))
            assert path.name not in caught
            caught[path.name] = {"function": name, "folder": path.parent, **given}

        return keep

    for name in ("line_figure", "attention_figure", "grid_figure", "confusion_figure", "interval_figure"):
        monkeypatch.setattr(utilities, name, instead_of(name))
    return caught


def ablation(seeds: Sequence[int] = (0, 1), **tasks: dict[str, list[float]]) -> AblationResults:
    """What the ablation command finds, of each task given, where variants reach these values; the first one is the
    recipe, and beside it stands an opponent without a network."""
    found = [_answer(task, values, seeds) for task, values in tasks.items()]  # type: ignore[arg-type]
    return AblationResults("ablation", ABOUT, "python main.py ablation", list(seeds), [machine()], found, 1830.0)


def _answer(task: Task, variants: dict[str, list[float]], seeds: Sequence[int]) -> CompareResults:
    def run(seed: int, value: float) -> TrainedRun:
        if task == "classifier":
            return classifier_run(seed=seed, test={"all": GroupAccuracy(9, value)})
        return decoder_run(seed=seed, scores={"validation": LanguageScores(value, None, 1.0, 0.0)})

    runs = {name: [*map(run, seeds, values)] for name, values in variants.items()}
    base = next(iter(runs))
    recipe, measure = RECIPES["best"][task], MEASURES[task][0]
    question = Question("best", recipe, {name: {} for name in runs}, tuple(seeds), measure, validate=True)
    return CompareResults(
        *("ablation", ABOUT, "python main.py ablation", task, "best", measure),
        unit="points" if task == "classifier" else "ratio",
        on="validation",
        seeds=list(seeds),
        looks=[len(seeds)],
        confidence=0.95,
        machines=[machine()],
        variants=[
            compared(question, name, own, runs[base] if name != base else None, None, 0.95)
            for name, own in runs.items()
        ],
        opponents=[compared_opponent(question, "no <net>", [200.0] * len(seeds), variants[base], 0.95)],
        expected_best=[],
        classifier={name: classifier_runs(own) for name, own in runs.items()} if task == "classifier" else {},
        decoder={name: decoder_runs(own) for name, own in runs.items()} if task == "decoder" else {},
        total_seconds=1.0,
    )
