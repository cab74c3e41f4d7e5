"""Part 1: the classifier. Table 1, Figures 1 to 3, the baselines beside it."""

import time

from msgspec.structs import asdict

from common.files import write_json
from dataset import Data
from inference.attention import draw_attention
from studies.figures import draw_classifier
from studies.opponents import classifier_baselines
from studies.published import sentence_of
from studies.recipes import label_of
from studies.results import Part1Results, Truncated
from training.recipe import Recipe, Run
from training.records import ClassifierRun
from training.runs import Place, perform, public
from training.weights import load_model


def part1(recipe_name: str, recipe: Recipe, seed: int, data: Data, place: Place) -> Part1Results | None:
    """Train the classifier; Table 1, Figures 1 to 3, the baselines beside it. Returns what results.json holds;
    None in another than the first of several processes."""
    started = time.perf_counter()
    run = Run("classifier", recipe, seed)
    record = perform(run, data, place)
    if not isinstance(record, ClassifierRun):
        return None
    results = Part1Results(
        command="part1",
        data=data.corpus.about(),
        recipe=recipe_name,
        label=label_of(recipe_name, recipe, data.tokenizer.tokenization.tokens),
        **asdict(public(record)),
        vocabulary_size=len(data.tokenizer),
        tokenizer=data.tokenizer.tokenization.kind,
        baselines=classifier_baselines(data),
        n_truncated=Truncated(train=data.train.n_truncated, test=data.test.n_truncated),
        block_size=recipe.architecture.block_size,
        total_seconds=time.perf_counter() - started,
    )
    write_json(place.out / "results.json", results)
    figures = place.out / "figures"
    draw_classifier(figures, [record], results.baselines, data.corpus.class_names, results.label)
    trained = load_model(place.weights(run), "classifier")
    draw_attention(figures, trained, sentence_of(data.corpus), first_figure=2, label=results.label)
    return results
