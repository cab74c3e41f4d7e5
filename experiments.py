"""The experiments: part 1, part 2 and part 3 of the report, and the recipes that they are run with.

A part makes its runs, adds the baselines, draws its figures and writes results.json.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import baselines
import evaluation
import utilities
from dataset import Data
from files import UserError, write_json
from inference import Task, TrainedModel, attention_maps, load_model
from runs import Place, Recipe, Run, perform, perform_all
from smoothing import unseen_words
from training import TrainingConfig, process
from transformer import Classifier, TransformerConfig

REPORT_SENTENCE = "These virtues give me an unshakable faith in America"
BASELINE_NAMES = {
    "tfidf": "TF-IDF, logistic regression",
    "svm": "TF-IDF, linear SVM",
    "bayes": "TF-IDF, naive Bayes",
    "majority": "largest class",
}
LEVELS = {"tfidf": "TF-IDF", "majority": "largest class"}  # baselines that Figure 1 has room for
NGRAM_NAMES = {"ngram": "Kneser-Ney trigram", "ngram_unk": "the same, told of unknown words"}

RECIPES: dict[str, dict[Task, Recipe]] = {
    "report": {
        "classifier": Recipe("classifier", TransformerConfig(0), TrainingConfig(), duration=15),
        "decoder": Recipe("decoder", TransformerConfig(0, initialisation="pytorch"), TrainingConfig(), duration=500),
    },
    "best": {
        "classifier": Recipe(
            "classifier",
            TransformerConfig(
                0,
                n_embd=128,
                n_layer=1,
                block_size=64,
                ff_dim=0,
                positions="alibi",
                norm="none",
                drop_path=0.8,
                layer_scale=0.0,
                pooling="mean-max",
                head_dim=0,
                phrases=True,
                n_members=3,
                initialisation="normal-embeddings",
            ),
            TrainingConfig(batch_size=32, learning_rate=2e-3, schedule="linear", warmup=0.05),
            duration=8,
        ),
        "decoder": Recipe(
            "decoder",
            TransformerConfig(
                0,
                n_embd=128,
                n_layer=2,
                ff_dim=512,
                positions="rope",
                norm="pre",
                tied=True,
                n_spellings=4096,
            ),
            TrainingConfig(
                learning_rate=2e-3,
                weight_decay=0.1,
                beta2=0.98,
                schedule="linear",
                warmup=0.05,
                clip=1.0,
                label_smoothing=0.65,
                smoothing="kneser-ney",
                unigram_bias=True,
            ),
            duration=500,
            shuffled=True,
        ),
    },
}

FF_DIMS = {"report": (256, 100), "best": (512,)}  # the widths at which part 2 trains a decoder


def customise(recipe: Recipe, **settings: Any) -> Recipe:
    """`recipe` with other settings, each put where it belongs; UserError if they are wrong or do not fit together."""
    if settings.get("n_layer") == 0:  # what only layers use goes with them
        without: dict[str, Any] = {"drop_path": 0.0, "layer_scale": None, "window": None, "alibi_slope_scale": 1.0}
        if recipe.architecture.positions not in ("learned", "sinusoidal"):
            without["positions"] = "none"
        settings = {**without, **settings}
    if settings.get("label_smoothing") == 0:  # and so does the way to spread it
        settings = {"smoothing": "uniform", **settings}
    for part in ("architecture", "training"):
        config = getattr(recipe, part)
        own = {name: settings.pop(name) for name in list(settings) if hasattr(config, name)}
        recipe = replace(recipe, **{part: replace(config, **own)})
    return replace(recipe, **settings)


# --------------------------------------------------------------------------------------------------------- the parts


def part1(recipe_name: str, recipe: Recipe, seed: int, data: Data, place: Place) -> dict[str, Any]:
    """Train the classifier; Table 1, Figures 1 to 3, the baselines beside it. Returns what results.json holds."""
    started = time.perf_counter()
    run = Run("classifier", recipe, seed)
    record = perform(run, data, place)
    if process()[0]:
        return {}
    results = {
        "command": "part1",
        "recipe": recipe_name,
        **described(record, data),
        "baselines": classifier_baselines(data),
        "n_truncated": {"train": data.train.n_truncated, "test": data.test.n_truncated},
        "block_size": recipe.architecture.block_size,
        "total_seconds": time.perf_counter() - started,
    }
    write_json(place.out / "results.json", results)
    figures = place.out / "figures"
    draw_classifier(figures, [record], results["baselines"], data.corpus.class_names)
    draw_attention(figures, load_model(place.weights(run), "classifier"), REPORT_SENTENCE, first_figure=2)
    return results


def part2(
    recipe_name: str, recipe: Recipe, ff_dims: Sequence[int], seed: int, data: Data, place: Place, n_workers: int = 1
) -> dict[str, Any]:
    """Train the decoder at each feed-forward size; Tables 2 and 3, Figures 4 to 7, the n-gram model beside it.

    Up to `n_workers` models train at the same time, a process and a thread each.
    """
    started = time.perf_counter()
    if not ff_dims or len(set(ff_dims)) < len(ff_dims):
        raise UserError("ff_dims must be one or more different sizes, such as 256 100")
    runs = [Run(f"decoder-ff{ff_dim}", customise(recipe, ff_dim=ff_dim), seed) for ff_dim in ff_dims]
    if n_workers > 1 and len(runs) > 1 and process()[1] == 1:
        records = perform_all(runs, data, place, n_workers)
    else:
        records = [perform(run, data, place) for run in runs]
    if process()[0]:
        return {}
    ngrams = language_baselines(data)
    results = {
        "command": "part2",
        "recipe": recipe_name,
        "seed": seed,
        "vocabulary_size": len(data.tokenizer),
        "protocol": records[0]["protocol"],
        "models": [public(record) for record in records],
        "baselines": perplexities(ngrams),
        "ngram_scores": ngrams,
        "unk_rate": {text: scores["unk_rate"] for text, scores in ngrams["ngram"].items()},
        "total_seconds": time.perf_counter() - started,
    }
    write_json(place.out / "results.json", results)
    figures = place.out / "figures"
    draw_decoder(figures, records[:1], results["baselines"]["ngram"])
    draw_attention(figures, load_model(place.weights(runs[0]), "decoder"), REPORT_SENTENCE, first_figure=6)
    return results


def described(record: dict[str, Any], data: Data) -> dict[str, Any]:
    return {**public(record), "vocabulary_size": len(data.tokenizer)}


def public(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what serves only to find it again."""
    return {key: value for key, value in record.items() if key not in ("identity", "name")}


def classifier_baselines(data: Data) -> dict[str, Any]:
    """Accuracy of the largest class and of TF-IDF with three linear models, all / seen / unseen."""
    return {
        name: evaluation.accuracy_by_group(predictions, data.test.labels, data.seen)
        for name, predictions in baseline_predictions(data).items()
    }


def baseline_predictions(data: Data) -> dict[str, torch.Tensor]:
    """The class (N,) that the largest class and TF-IDF with three linear models give to each test row."""
    train_texts, test_texts = ([row.text for row in rows] for rows in (data.corpus.train, data.corpus.test))
    labels = data.train.labels.tolist()
    predictions = {
        "majority": baselines.majority(labels, test_texts),
        **baselines.tfidf(train_texts, labels, test_texts),
    }
    return {name: torch.as_tensor(values) for name, values in predictions.items()}


def language_baselines(data: Data) -> dict[str, dict[str, Any]]:
    """The scores on each test text of an interpolated Kneser-Ney trigram: "ngram", which knows of a word that training
    lacks only that it is one of the vocabulary, and "ngram_unk", which is told how often such a word is <unk>."""
    stream, size = data.train_stream.ids, len(data.tokenizer)
    bases = {"ngram": None, "ngram_unk": unseen_words(stream, size, data.words_of_rows())}
    models = {name: baselines.KneserNey.fit(stream, size, base=base) for name, base in bases.items()}
    return {
        name: {
            text: evaluation.language_scores(-model.log_probabilities(test.ids.numpy()), test)
            for text, test in data.test_streams.items()
        }
        for name, model in models.items()
    }


def perplexities(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The perplexity on each text of each of the models scored."""
    return {name: {text: row["perplexity"] for text, row in texts.items()} for name, texts in scores.items()}


def draw_classifier(
    figures: Path, records: Sequence[Mapping[str, Any]], baselines: Mapping[str, Any], class_names: list[str]
) -> None:
    """Figure 1 and the confusion matrix, of one run or of several seeds."""
    epochs = [row["epoch"] for row in records[0]["epochs"]]
    utilities.line_figure(
        figures / "figure1_accuracy.png",
        utilities.Panel(
            [
                utilities.Line(side, epochs, [[row[f"{side}_accuracy"] for row in run["epochs"]] for run in records])
                for side in ("train", "test")
            ],
            [utilities.Level(name, baselines[key]["all"]["accuracy"]) for key, name in LEVELS.items()],
        ),
        "epoch",
        "accuracy (%)",
        "Figure 1: accuracy of the classifier",
    )
    confusion = sum(torch.tensor(run["scores"]["confusion"]) for run in records)
    utilities.confusion_figure(figures / "confusion.png", confusion, class_names, "Test set, last epoch")


def draw_decoder(figures: Path, records: Sequence[Mapping[str, Any]], ngram: Mapping[str, float]) -> None:
    """Figures 4 and 5 and the loss by place in the window, of one run or of several seeds."""
    names, size = few(ngram), records[0]["ff_dim"]
    iterations = [row["iteration"] for row in records[0]["iterations"]]
    for number, title, shown in ((4, "training", ["train"]), (5, "test", names)):
        utilities.line_figure(
            figures / f"figure{number}_{title}_perplexity.png",
            utilities.Panel(
                [
                    utilities.Line(
                        name, iterations, [[row["perplexity"][name] for row in run["iterations"]] for run in records]
                    )
                    for name in shown
                ],
                [
                    utilities.Level(f"trigram, {name}", ngram[name], color)
                    for color, name in enumerate(shown)
                    if name in ngram
                ],
            ),
            "iteration",
            "perplexity",
            f"Figure {number}: {title} perplexity of the decoder, hidden size {size}",
            log_y=True,
        )
    places = list(range(1, len(records[0]["nats_by_place"]["train"]) + 1))
    utilities.line_figure(
        figures / "loss_by_position.png",
        utilities.Panel(
            [
                utilities.Line(name, places, [run["nats_by_place"][name] for run in records])
                for name in ("train", *names)
            ]
        ),
        "place in the window (tokens of context)",
        "mean loss (nats)",
        "Loss by position in the window",
    )


def few(perplexities: Mapping[str, float], most: int = 5) -> list[str]:
    """The texts that a figure has room for: of many, some from the easiest to the hardest for the n-gram model."""
    order = sorted(perplexities, key=lambda name: perplexities[name])
    if len(order) <= most:
        return list(perplexities)
    chosen = {order[round(step * (len(order) - 1) / (most - 1))] for step in range(most)}
    return [name for name in perplexities if name in chosen]


def draw_attention(figures: Path, trained: TrainedModel, sentence: str, first_figure: int | None = None) -> list[Path]:
    """Check and draw the attention of the first and the last layer, if any, on `sentence`; returns the files."""
    if trained.model.config.n_layer == 0:
        return []
    maps, words = attention_maps(trained, sentence)
    utilities.check_attention(maps)
    kind = "encoder" if isinstance(trained.model, Classifier) else "decoder"
    paths = []
    for number, layer in enumerate(sorted({0, len(maps) - 1})):
        prefix = f"figure{first_figure + number}_" if first_figure else ""
        title = f"Figure {first_figure + number}: " if first_figure else ""
        paths.append(figures / f"{prefix}{kind}_attention_layer{layer + 1}.png")
        title += f"attention of the {kind}, layer {layer + 1}"
        utilities.attention_figure(paths[-1], maps, words, title, layers=[layer], causal=kind == "decoder")
    return paths
