"""Both recipes as they stand, beside their opponents, on the test set of one data folder.

This is the last thing that is done with a folder: whoever changes a recipe after looking here needs other speakers for
the next look.
"""

import time
from collections.abc import Mapping, Sequence
from statistics import geometric_mean

import numpy as np
import torch
from msgspec.structs import replace

from common.files import write_json
from dataset import Data, stretches
from evaluation.accuracy import by_group
from evaluation.crossed import Effect, Items, by_stretch, crossed
from evaluation.perplexity import language_scores, sums_by_stretch
from evaluation.statistics import paired_difference, paired_ratio
from speechesdataset.folder import TOGETHER
from studies.engine import train
from studies.opponents import BASELINE_NAMES, NGRAM_NAMES, baseline_predictions, language_nats
from studies.recipes import RECIPES
from studies.results import MeasuredRow, MeasureResults, classifier_runs, decoder_runs
from training.machine import distinct_machines
from training.recipe import Run, Task
from training.records import ClassifierRun, DecoderRun, TrainedRun
from training.runs import Folder, public

RECIPE_NAMES = {"best": "the best recipe", "report": "the report's recipe"}


def measure(seeds: Sequence[int], data: Data, folder: Folder, command: str, n_workers: int) -> MeasureResults:
    """Train both recipes for both tasks on every seed, measure them and their opponents, and write results.json."""
    started = time.perf_counter()
    runs = {
        (name, task, seed): Run(f"{task}-{name}-seed{seed}", recipe, seed, brief=True)
        for name in RECIPE_NAMES
        for task, recipe in RECIPES[name].items()
        for seed in seeds
    }
    records = train(runs, data, folder, n_workers)

    def trained(name: str, task: Task) -> list[TrainedRun]:
        return [records[name, task, seed] for seed in seeds]

    classifiers = {name: classifier_runs(trained(name, "classifier")) for name in RECIPE_NAMES}
    decoders = {name: decoder_runs(trained(name, "decoder")) for name in RECIPE_NAMES}
    results = MeasureResults(
        command="measure",
        data=data.corpus.about(),
        command_line=command,
        seeds=list(seeds),
        machines=distinct_machines(records.values()),
        rows=[*accuracies(classifiers, data), *perplexities(decoders, data)],
        classifier={name: list(map(public, own)) for name, own in classifiers.items()},
        decoder={name: list(map(public, own)) for name, own in decoders.items()},
        total_seconds=time.perf_counter() - started,
    )
    write_json(folder.path / "results.json", results)
    return results


def accuracies(runs: Mapping[str, Sequence[ClassifierRun]], data: Data) -> list[MeasuredRow]:
    """The accuracy of every classifier on all, seen and unseen test rows, and how much higher the best recipe's is, for
    other seeds and for other rows."""
    labels, seen, opponents = data.test.labels, data.seen, baseline_predictions(data)
    neighbours = torch.tensor(stretches(labels.tolist()))
    groups = by_group(seen)
    if not seen.any() or seen.all():
        del groups["seen"], groups["unseen"]
    predictions = {name: torch.tensor([run.predictions for run in own]) for name, own in runs.items()}
    predictions |= {name: opponents[name][None] for name in BASELINE_NAMES}
    hits = {model: 100.0 * (found == labels).double() for model, found in predictions.items()}  # (seeds or 1, N)
    rows = []
    for model, theirs in hits.items():
        for group, members in groups.items():
            ours, other = hits["best"][:, members], theirs[:, members].expand(len(hits["best"]), -1)
            over_seeds = paired_difference(ours.mean(dim=1).tolist(), other.mean(dim=1).tolist())
            differences = (ours - other).numpy(), neighbours[members].numpy(), labels[members].numpy()
            effect = crossed(over_seeds, [by_stretch(*differences)])
            row = row_of("classifier", model, group, theirs[:, members].mean(dim=1).tolist(), effect)
            rows.append(replace(row, n=int(members.sum())))
    return rows


def perplexities(runs: Mapping[str, Sequence[DecoderRun]], data: Data) -> list[MeasuredRow]:
    """The perplexity of every decoder on each test text and on all together, and how the best recipe's compares, for
    other seeds and for other lines."""
    opponents, streams = language_nats(data), data.test_streams
    scores = {model: [run.scores for run in own] for model, own in runs.items()}
    scores |= {
        model: [{name: language_scores(nats, streams[name]) for name, nats in own.items()}]
        for model, own in opponents.items()
    }
    totals = {  # nats, (seeds or 1, stretches)
        model: {name: np.array([run.stretch_nats[name] for run in own]) for name in streams}
        for model, own in runs.items()
    } | {
        model: {name: np.array([sums_by_stretch(nats, streams[name])]) for name, nats in own.items()}
        for model, own in opponents.items()
    }
    tokens = runs["best"][0].stretch_tokens
    texts = {name: [name] for name in streams} | {TOGETHER: list(streams)}
    rows = []
    for measure, names in texts.items():
        values = {
            model: [geometric_mean(one[name].perplexity for name in names) for one in found]
            for model, found in scores.items()
        }
        for model, theirs in values.items():
            other = theirs * (len(values["best"]) // len(theirs))
            ratio = paired_ratio(values["best"], other)
            items = [
                Items((totals["best"][name] - totals[model][name]) / len(names), np.array(tokens[name]))
                for name in names
            ]
            rows.append(row_of("decoder", model, measure, theirs, crossed(ratio, items)))
    return rows


def row_of(task: Task, model: str, measure: str, values: list[float], best_against_it: Effect) -> MeasuredRow:
    """What one model reaches, by seed, and how far the best recipe is from it."""
    is_best = model == "best"
    return MeasuredRow(
        task=task,
        model=model,
        name=(RECIPE_NAMES | BASELINE_NAMES | NGRAM_NAMES)[model],
        measure=measure,
        values=values,
        unit="points" if task == "classifier" else "ratio",
        estimate=None if is_best else best_against_it.both,
        seeds=None if is_best else best_against_it.seeds,
        items=None if is_best else best_against_it.items,
    )
