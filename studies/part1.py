"""Part 1: the classifier. Table 1, Figures 1 to 3, its probabilities, the baselines beside it."""

import importlib
import time
from functools import partial

from msgspec.structs import asdict

from common.files import write_json
from dataset import Data
from evaluation.accuracy import class_probabilities
from inference.attention import draw_attention
from studies.calibration import calibrate, run_beside
from studies.engine import train_meanwhile
from studies.figures import draw_classifier, draw_reliability
from studies.opponents import classifier_baselines
from studies.predictions import mistakes, write_predictions
from studies.published import sentence_of
from studies.recipes import label_of
from studies.results import Accuracies, Part1Results, Truncated, classifier_runs
from training.recipe import Recipe, Run
from training.runs import Folder, public
from training.weights import load_model, save_model
from transformer import Decoder


def part1(recipe_name: str, recipe: Recipe, seed: int, data: Data, folder: Folder, n_workers: int = 1) -> Part1Results:
    """Train the classifier, and beside it the model that tells its temperature; Table 1, Figures 1 to 3, how honest its
    probabilities are, the baselines beside it. Returns what results.json holds.

    With two `n_workers` both models train at the same time, a process each.
    """
    started = time.perf_counter()
    run, beside = Run("classifier", recipe, seed), run_beside(recipe, seed, data)
    runs = {"classifier": run, "beside": beside} if beside else {"classifier": run}
    records, baselines = train_meanwhile(runs, data, folder, n_workers, partial(without_a_model, data))
    record, *others = classifier_runs(list(records.values()))
    trained = load_model(folder.weights(run), "classifier")
    assert not isinstance(trained.model, Decoder)
    calibration = calibrate(trained, record, others[0] if others else None, data)
    save_model(folder.weights(run), trained)
    probabilities = class_probabilities(trained.model, data.test)
    write_predictions(folder.path / "predictions.tsv", probabilities, data)
    results = Part1Results(
        command="part1",
        data=data.corpus.about(),
        recipe=recipe_name,
        label=label_of(recipe_name, recipe, data.tokenizer.tokenization.tokens),
        **asdict(public(record)),
        vocabulary_size=len(data.tokenizer),
        tokenizer=data.tokenizer.tokenization.kind,
        baselines=baselines,
        calibration=calibration,
        mistakes=mistakes(probabilities, data),
        n_truncated=Truncated(train=data.train.n_truncated, test=data.test.n_truncated),
        block_size=recipe.architecture.block_size,
        total_seconds=time.perf_counter() - started,
    )
    write_json(folder.path / "results.json", results)
    figures = folder.path / "figures"
    draw_classifier(figures, [record], results.baselines, data.corpus.class_names, results.label)
    draw_reliability(figures / "reliability.png", calibration, results.label)
    draw_attention(figures, trained, sentence_of(data.corpus), first_figure=2, label=results.label)
    return results


def without_a_model(data: Data) -> dict[str, Accuracies]:
    """The baselines; and what will draw is imported, which takes long, too."""
    importlib.import_module("matplotlib.figure")
    return classifier_baselines(data)
