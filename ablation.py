"""What each ingredient of the best recipe brings: the recipe without it, one at a time, on paired seeds.

The classifier is measured by cross-validation inside the training rows; the decoder on the test texts, each variant
once, for what it is good at, words that training never shows, is what validation text cut from the training file lacks.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import geometric_mean
from typing import Any

from comparison import paired_difference, paired_ratio
from dataset import Data, validation_split
from experiments import (
    BASELINE_NAMES,
    FF_DIMS,
    NGRAM_NAMES,
    RECIPES,
    classifier_baselines,
    customise,
    language_baselines,
)
from files import write_json
from inference import Task
from runs import Place, Recipe, Run, distinct_machines, perform_all

CHANGES: dict[Task, dict[str, dict[str, Any]]] = {  # what stands in place of each ingredient
    "classifier": {
        "one classifier instead of three": {"n_members": 1},
        "no vectors for lower-case forms and pairs of words": {"phrases": False},
        "no attention": {"n_layer": 0},
        "no positions": {"positions": "none"},
        "no rows that skip attention": {"drop_path": 0.0},
        "attention at full strength from the start": {"layer_scale": None},
        "a norm after the residual": {"norm": "post"},
        "a feed-forward network of 256": {"ff_dim": 256},
        "the mean alone, no maximum": {"pooling": "masked-mean"},
        "a head of two layers": {"head_dim": 100},
        "a constant learning rate": {"schedule": "constant", "warmup": 0.0},
        "width 64": {"n_embd": 64},
    },
    "decoder": {
        "no spelling of words": {"n_spellings": 0},
        "output bias at 0": {"unigram_bias": False},
        "no smoothing of targets": {"label_smoothing": 0.0, "smoothing": "uniform"},
        "uniform smoothing of 0.1": {"label_smoothing": 0.1, "smoothing": "uniform"},
        "an output layer of its own": {"tied": False},
        "learned positions": {"positions": "learned"},
        "the norm after the residual": {"norm": "post"},
        "no dropout": {"dropout": 0.0, "embedding_dropout": 0.0},
        "a dropout of 0.2": {"dropout": 0.2, "embedding_dropout": 0.2},
        "no weight decay": {"weight_decay": 0.0},
        "a constant learning rate": {"schedule": "constant"},
        "random windows": {"shuffled": False},
        "width 64": {"n_embd": 64},
    },
}

DID_NOT_HELP: dict[Task, list[str]] = {
    "classifier": [
        "character n-grams beside the words",
        "pretraining on masked words",
        "a whole transformer block that starts at scale 0",
        "attention over detached word vectors",
        "leaving out words in training",
        "triples of words and pairs with a gap",
        "weight decay on the word vectors",
        "dividing the sum by the root of the length instead of the length",
        "word vectors that start at the naive Bayes log-count ratio",
        "a wider head",
    ],
    "decoder": [
        "Muon for the matrices",
        "four layers",
        "replacing input words at random",
        "hashed pairs of words at the input",
        "twice the learning rate",
        "a weight decay of 1.5",
        "a dropout of 0.5",
        "dropout before the output layer",
    ],
}


def ablation(seeds: Sequence[int], data: Data, place: Place, command: str, n_workers: int) -> dict[str, Any]:
    """Train every variant on every seed, compare, and write results.json."""
    started = time.perf_counter()
    variants = {task: variants_of(task) for task in CHANGES}
    runs = {
        (task, name, seed): Run(
            f"{task}-{number}-seed{seed}", recipe, seed, fold=seed if task == "classifier" else None, brief=True
        )
        for task in CHANGES
        for number, (name, recipe) in enumerate(variants[task].items())
        for seed in seeds
    }
    records = dict(zip(runs, perform_all(list(runs.values()), data, place, n_workers)))
    values = {
        task: {name: [measure(task, records[task, name, seed]) for seed in seeds] for name in variants[task]}
        for task in CHANGES
    }
    values["classifier"] |= linear_models(seeds, data)
    values["decoder"] |= ngram_models(seeds, data)
    rows = [row_of(task, name, row, found[WHOLE]) for task, found in values.items() for name, row in found.items()]
    results = {
        "command": "ablation",
        "command_line": command,
        "seeds": list(seeds),
        "machines": distinct_machines(records.values()),
        "rows": rows,
        "did_not_help": DID_NOT_HELP,
        "total_seconds": time.perf_counter() - started,
    }
    write_json(place.out / "results.json", results)
    return results


WHOLE = "the recipe"


def variants_of(task: Task) -> dict[str, Recipe]:
    """The recipe as it is, and with each of its changes."""
    recipe = customise(RECIPES["best"][task], **({"ff_dim": FF_DIMS["best"][0]} if task == "decoder" else {}))
    return {WHOLE: recipe} | {name: customise(recipe, **changes) for name, changes in CHANGES[task].items()}


def measure(task: Task, run: Mapping[str, Any]) -> float:
    """Accuracy of a classifier on its fold; of a decoder the geometric mean of its perplexities on the test texts."""
    return float(run["test"]["all"]["accuracy"]) if task == "classifier" else mean_perplexity(run["scores"])


def mean_perplexity(scores: Mapping[str, Mapping[str, Any]]) -> float:
    """The geometric mean over texts."""
    return geometric_mean(row["perplexity"] for row in scores.values())


def linear_models(seeds: Sequence[int], data: Data) -> dict[str, list[float]]:
    """The accuracy of the baselines on the fold of each seed."""
    folds = [classifier_baselines(validation_split(data, seed)) for seed in seeds]
    return {name: [fold[key]["all"]["accuracy"] for fold in folds] for key, name in BASELINE_NAMES.items()}


def ngram_models(seeds: Sequence[int], data: Data) -> dict[str, list[float]]:
    """The perplexity of the n-gram models, for which every seed is the same."""
    scores = language_baselines(data)
    return {name: [mean_perplexity(scores[key])] * len(seeds) for key, name in NGRAM_NAMES.items()}


def row_of(task: Task, name: str, values: Sequence[float], whole: Sequence[float]) -> dict[str, Any]:
    """The measure of one variant by seed, and how far that is from the whole recipe's."""
    compare = paired_difference if task == "classifier" else paired_ratio
    return {
        "task": task,
        "variant": name,
        "measure": "validation accuracy, %" if task == "classifier" else "perplexity",
        "values": list(values),
        "unit": "points" if task == "classifier" else "ratio",
        "estimate": None if name == WHOLE else asdict(compare(values, whole)),
    }
