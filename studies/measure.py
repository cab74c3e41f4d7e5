"""Both recipes as they stand, beside their opponents, on the test set of one data folder.

This is the last thing that is done with a folder: whoever changes a recipe after looking here needs other speakers for
the next look.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import geometric_mean
from typing import Any

import torch

from common.files import write_json
from dataset import Data, encode
from evaluation.statistics import Estimate, paired_difference, paired_ratio
from studies.opponents import BASELINE_NAMES, NGRAM_NAMES, baseline_predictions, language_baselines
from studies.recipes import RECIPES
from studies.workers import perform_all
from training.machine import distinct_machines
from training.recipe import Run, Task
from training.runs import Place, public

RECIPE_NAMES = {"best": "the best recipe", "report": "the report's recipe"}
TOGETHER = "all texts"  # the geometric mean of their perplexities


def measure(seeds: Sequence[int], data: Data, place: Place, command: str, n_workers: int) -> dict[str, Any]:
    """Train both recipes for both tasks on every seed, measure them and their opponents, and write results.json."""
    started = time.perf_counter()
    records: dict[Task, dict[str, list[dict[str, Any]]]] = {"classifier": {}, "decoder": {}}
    for name in RECIPE_NAMES:
        recipes = RECIPES[name]
        runs = [
            Run(f"{task}-{name}-seed{seed}", recipe, seed, brief=True)
            for task, recipe in recipes.items()
            for seed in seeds
        ]
        encoded = encode(data.corpus, recipes["classifier"].architecture.block_size, data.tokenizer.tokenization)
        for run, record in zip(runs, perform_all(runs, encoded, place, n_workers)):
            records[run.recipe.task].setdefault(name, []).append(record)
    every = [record for models in records.values() for own in models.values() for record in own]
    results: dict[str, Any] = {
        "command": "measure",
        "command_line": command,
        "seeds": list(seeds),
        "machines": distinct_machines(every),
        "data": {
            "directory": str(data.corpus.directory),
            "fingerprint": data.corpus.fingerprint,
            "class_names": data.corpus.class_names,
            "n_train_rows": len(data.corpus.train),
        },
        "rows": [*accuracies(records["classifier"], data), *perplexities(records["decoder"], data)],
        "classifier": {name: list(map(public, own)) for name, own in records["classifier"].items()},
        "decoder": {name: list(map(public, own)) for name, own in records["decoder"].items()},
        "total_seconds": time.perf_counter() - started,
    }
    write_json(place.out / "results.json", results)
    return results


def accuracies(runs: Mapping[str, Sequence[Mapping[str, Any]]], data: Data) -> list[dict[str, Any]]:
    """The accuracy of every classifier on all, seen and unseen test rows, and how much higher the best recipe's is:
    over seeds, and over rows (each with its mean over seeds)."""
    labels, seen, opponents = data.test.labels, data.seen, baseline_predictions(data)
    groups = {"all": torch.ones_like(seen), "seen": seen, "unseen": ~seen}
    if not seen.any() or seen.all():
        del groups["seen"], groups["unseen"]
    predictions = {name: torch.tensor([run["predictions"] for run in own]) for name, own in runs.items()}
    predictions |= {name: opponents[name][None] for name in BASELINE_NAMES}
    hits = {model: 100.0 * (found == labels).double() for model, found in predictions.items()}  # (seeds or 1, N)
    rows = []
    for model, theirs in hits.items():
        for group, members in groups.items():
            ours, other = hits["best"][:, members], theirs[:, members].expand(len(hits["best"]), -1)
            over_seeds, over_items = (
                paired_difference(ours.mean(dim=mean).tolist(), other.mean(dim=mean).tolist()) for mean in (1, 0)
            )
            row = row_of("classifier", model, group, theirs[:, members].mean(dim=1).tolist(), over_seeds)
            rows.append(row | {"n": int(members.sum()), "items": None if model == "best" else asdict(over_items)})
    return rows


def perplexities(runs: Mapping[str, Sequence[Mapping[str, Any]]], data: Data) -> list[dict[str, Any]]:
    """The perplexity of every decoder on each test text and on all together, and how the best recipe's compares."""
    scores = {model: [run["scores"] for run in own] for model, own in runs.items()}
    scores |= {model: [found] for model, found in language_baselines(data).items()}
    texts = {name: [name] for name in data.test_streams} | {TOGETHER: list(data.test_streams)}
    rows = []
    for measure, names in texts.items():
        values = {
            model: [geometric_mean(one[name]["perplexity"] for name in names) for one in found]
            for model, found in scores.items()
        }
        for model, theirs in values.items():
            other = theirs * (len(values["best"]) // len(theirs))
            rows.append(row_of("decoder", model, measure, theirs, paired_ratio(values["best"], other)))
    return rows


def row_of(task: Task, model: str, measure: str, values: list[float], best_against_it: Estimate) -> dict[str, Any]:
    """What one model reaches, by seed, and how far the best recipe is from it."""
    return {
        "task": task,
        "model": model,
        "name": (RECIPE_NAMES | BASELINE_NAMES | NGRAM_NAMES)[model],
        "measure": measure,
        "values": values,
        "unit": "points" if task == "classifier" else "ratio",
        "estimate": None if model == "best" else asdict(best_against_it),
    }
