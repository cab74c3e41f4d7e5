"""Figures 1, 4, 5 and 8 to 11, and those of the loss by position and of other lengths, from records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Literal

import torch

import utilities
from evaluation.statistics import Estimate
from studies.claims import REPORTS_RATE
from studies.comparisons import defined
from studies.results import Accuracies, Exploration, LengthPerplexity, Reading, overall, perplexities
from studies.study import LENGTHS, NAMES, POSITIONS
from tokenizer import NAMES as NAMES_OF_TOKENS
from tokenizer import TokenKind
from training.records import ClassifierRun, DecoderRun

LEVELS = {"tfidf": "TF-IDF", "majority": "largest class"}  # baselines that Figure 1 has room for

Side = Literal["train", "test"]
SIDES: tuple[Side, Side] = ("train", "test")


def draw_classifier(
    figures: Path,
    records: Sequence[ClassifierRun],
    baselines: Mapping[str, Accuracies],
    class_names: list[str],
    label: str,
) -> None:
    """Figure 1 and the confusion matrix, of one run or of several seeds; `label` is the model."""
    epochs = [row.epoch for row in records[0].epochs]
    utilities.line_figure(
        figures / "figure1_accuracy.png",
        utilities.Panel(
            [utilities.Line(side, epochs, [curve(run, side) for run in records]) for side in SIDES],
            [utilities.Level(name, overall(baselines[key])) for key, name in LEVELS.items()],
        ),
        "epoch",
        "accuracy (%)",
        f"Figure 1: accuracy of the classifier\n{label}",
    )
    confusion = sum(torch.tensor(run.scores.confusion) for run in records)
    utilities.confusion_figure(figures / "confusion.png", confusion, class_names, f"Test set, last epoch\n{label}")


def draw_decoder(
    figures: Path, records: Sequence[DecoderRun], ngram: Mapping[str, float], label: str, kind: TokenKind
) -> None:
    """Figures 4 and 5 and the loss by place in the window, of one run or of several seeds; `label` is the model, which
    reads tokens of this `kind`."""
    names, size = few(ngram), records[0].ff_dim
    iterations = [row.iteration for row in records[0].iterations]
    for number, title, shown in ((4, "training", ["train"]), (5, "test", names)):
        utilities.line_figure(
            figures / f"figure{number}_{title}_perplexity.png",
            utilities.Panel(
                [
                    utilities.Line(
                        name, iterations, [[row.perplexity[name] for row in run.iterations] for run in records]
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
            perplexity_by(kind),
            f"Figure {number}: {title} perplexity of the decoder, hidden size {size}\n{label}",
            log_y=True,
        )
    places = list(range(1, len(records[0].nats_by_place["train"]) + 1))
    utilities.line_figure(
        figures / "loss_by_position.png",
        utilities.Panel(
            [utilities.Line(name, places, [run.nats_by_place[name] for run in records]) for name in ("train", *names)]
        ),
        "place in the window (tokens of context)",
        "mean loss (nats)",
        f"Loss by position in the window\n{label}",
    )


def perplexity_by(kind: TokenKind) -> str:
    """The name of an axis: perplexities by other tokens than words are no perplexities by word."""
    return "perplexity" if kind == "word" else f"perplexity by {NAMES_OF_TOKENS[kind]}"


def few(perplexities: Mapping[str, float], most: int = 5) -> list[str]:
    """The texts that a figure has room for: of many, some from the easiest to the hardest for the n-gram model."""
    order = sorted(perplexities, key=lambda name: perplexities[name])
    if len(order) <= most:
        return list(perplexities)
    chosen = {order[round(step * (len(order) - 1) / (most - 1))] for step in range(most)}
    return [name for name in perplexities if name in chosen]


def draw(results: Exploration, figures: Path) -> None:
    """Figures 8 to 11 and that of inference lengths, as far as the study went."""
    classifier, decoder, labels = results.classifier, results.decoder, results.labels
    if "alibi" in results.halves:
        accuracy_figure(
            figures / "figure8_test_accuracy_positions.png",
            {name: classifier[name] for name in POSITIONS},
            ["test"],
            f"Figure 8: test accuracy by position method\n{labels['classifier']}",
        )
        texts = few(perplexities(results.ngram_scores)["ngram"])
        iterations = [row.iteration for row in decoder["alibi"][0].iterations]
        utilities.line_figure(
            figures / "figure9_perplexity_positions.png",
            [
                utilities.Panel(
                    [
                        utilities.Line(
                            NAMES[name],
                            iterations,
                            [[row.perplexity[text] for row in run.iterations] for run in decoder[name]],
                            dashed=name == "none",  # the control, which else would hide ALiBi
                        )
                        for name in POSITIONS
                    ],
                    title=text,
                )
                for text in ("train", *texts)
            ],
            "iteration",
            perplexity_by(results.tokenizer),
            f"Figure 9: perplexity by position method\n{labels['decoder']}",
            log_y=True,
        )
        block = results.block_size
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
                                    row.perplexity_by_length.get(str(length), row.perplexity)[text]
                                    for row in run.iterations
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
            perplexity_by(results.tokenizer),
            f"Figure 10: ALiBi trained at {block} tokens, read at other lengths\n{labels['decoder']}",
            log_y=True,
        )
        length_figure(figures / "inference_length.png", results.extrapolation, block, labels["decoder"])
    if "regularize" in results.halves:
        accuracy_figure(
            figures / "figure11_regularization.png",
            {
                name: classifier[name]
                for name in dict.fromkeys(("original", REPORTS_RATE, results.chosen_rate))
                if name in classifier
            },
            ["train", "test"],
            f"Figure 11: original and regularized classifier\n{labels['classifier']}",
        )


def length_figure(
    path: Path, extrapolation: Mapping[str, Sequence[Sequence[LengthPerplexity]]], block_size: int, model: str
) -> None:
    """How perplexity changes with inference length, by protocol: solid as it is, dashed with the control's window."""

    def changes(rows: Sequence[LengthPerplexity], reading: Reading) -> list[float]:  # of one seed
        means = [geometric_mean(defined(row.perplexity.values())) for row in rows if row.reading == reading]
        return [100 * (mean / means[0] - 1) for mean in means]

    variants = [name for name in extrapolation if name != "learned"]  # undefined at every other length
    sizes = [multiple * block_size for multiple in LENGTHS]
    panels = [
        utilities.Panel(
            [
                utilities.Line(
                    NAMES[name] + (f", {window} tokens" if window is not None else ""),
                    sizes,
                    [changes(rows, Reading(sliding, window)) for rows in extrapolation[name]],
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
    title, label = (
        f"What other inference lengths change\n{model}",
        f"change of perplexity against {block_size} tokens (%)",
    )
    utilities.line_figure(path, panels, "inference length (tokens)", label, title, log_x=True)


def curve(run: ClassifierRun, side: Side) -> list[float]:
    """Accuracy on the training or the test rows, by epoch."""
    return [row.train_accuracy if side == "train" else row.test_accuracy for row in run.epochs]


def accuracy_lines(variants: Mapping[str, Sequence[ClassifierRun]], side: Side) -> list[utilities.Line]:
    """Accuracy by epoch of each variant, by the name that is shown."""
    return [
        utilities.Line(name, [row.epoch for row in runs[0].epochs], [curve(run, side) for run in runs])
        for name, runs in variants.items()
    ]


def accuracy_figure(
    path: Path, variants: Mapping[str, Sequence[ClassifierRun]], sides: Sequence[Side], title: str
) -> None:
    """Accuracy by epoch, mean and range over seeds, a panel for train and for test."""
    shown = {NAMES[name]: runs for name, runs in variants.items()}
    panels = [utilities.Panel(accuracy_lines(shown, side), title=side if len(sides) > 1 else "") for side in sides]
    utilities.line_figure(path, panels, "epoch", "accuracy (%)", title)


def interval(name: str, estimate: Estimate, ratio: bool = False, claim: float | None = None) -> utilities.Interval:
    """A line of an interval figure; a ratio as a change in percent."""
    ends = (estimate.mean, estimate.low, estimate.high)
    mean, low, high = (100 * (end - 1) if ratio and end is not None else end for end in ends)
    assert mean is not None
    return utilities.Interval(name, mean, low, high, claim=claim)
