"""Figures 1, 4, 5 and 8 to 11, and those of the loss by position and of other lengths, from records.

A variant has one colour, and a text has one, in every figure: `VARIANTS` and `color_of_text`.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Literal

import numpy as np
import torch

import utilities
from evaluation.statistics import Estimate
from studies.comparisons import defined
from studies.probes.knockouts import KnockOut, KnockOuts
from studies.results import Accuracies, Calibration, Exploration, LengthPerplexity, Reading, overall, perplexities
from studies.study import DROPOUT, LENGTHS, NAMES, POSITIONS, RATES, STEEP
from tokenizer import NAMES as NAMES_OF_TOKENS
from tokenizer import TokenKind
from training.records import ClassifierRun, DecoderRun

LEVELS = {"tfidf": "TF-IDF", "majority": "largest class"}  # baselines that Figure 1 has room for
RATE_COLORS = dict(zip(RATES, (utilities.ORANGE, utilities.SKY, utilities.PURPLE, utilities.BLACK)))
VARIANTS = {  # learned positions and the original classifier are the same model
    "learned": utilities.BLUE,
    "original": utilities.BLUE,
    "alibi": utilities.VERMILION,
    "none": utilities.GREEN,
    STEEP: utilities.PURPLE,
    "batch-norm": utilities.BLACK,
    **{name: RATE_COLORS[rate] for name, rate in DROPOUT.items()},
}
TEXT_COLORS = (utilities.BLACK, utilities.ORANGE, utilities.SKY, utilities.PURPLE, utilities.GREEN, utilities.VERMILION)

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
            [
                utilities.Line(
                    side, epochs, [curve(run, side) for run in records], VARIANTS["original"], side == "train"
                )
                for side in SIDES
            ],
            [utilities.Level(name, overall(baselines[key])) for key, name in LEVELS.items()],
        ),
        "epoch",
        "accuracy (%)",
        f"Figure 1: accuracy of the classifier\n{label}",
    )
    confusion = sum(torch.tensor(run.scores.confusion) for run in records)
    utilities.confusion_figure(figures / "confusion.png", confusion, class_names, f"Test set, last epoch\n{label}")


def draw_reliability(path: Path, calibration: Calibration, label: str) -> None:
    """How often a classifier is right where it is so sure, and of how many rows it is, as trained and with its
    temperature; `label` is the model."""
    found = {"as trained": (calibration.as_trained, utilities.BLUE)}
    if calibration.n_rows:
        name = f"temperature {calibration.temperature:.2g}"
        found[name] = (calibration.calibrated, utilities.VERMILION)
    n_rows = sum(one.n for one in calibration.as_trained.bins)
    sure = {name: [one.confidence for one in reliability.bins] for name, (reliability, _) in found.items()}
    right = [
        utilities.Line(name, sure[name], [one.accuracy for one in reliability.bins], color)
        for name, (reliability, color) in found.items()
    ]
    shares = [
        utilities.Line(name, sure[name], [100 * one.n / n_rows for one in reliability.bins], color)
        for name, (reliability, color) in found.items()
    ]
    honest = utilities.Line("as often right as sure", [0, 100], [0, 100], utilities.BLACK, dashed=True)
    panels = [
        utilities.Panel([*right, honest], y_label="accuracy (%)"),
        utilities.Panel(shares, y_label="test rows (%)"),
    ]
    title = f"Test rows by how sure the classifier is of its prediction\n{label}"
    utilities.line_figure(path, panels, "confidence (%)", "", title)


def draw_decoder(
    figures: Path, records: Sequence[DecoderRun], ngram: Mapping[str, float], label: str, kind: TokenKind
) -> None:
    """Figures 4 and 5, of one run or of several seeds; `label` is the model, which reads tokens of this `kind`."""
    names, size = few(ngram), records[0].ff_dim
    iterations = [row.iteration for row in records[0].iterations]
    for number, title, shown in ((4, "training", ["train"]), (5, "test", names)):
        utilities.line_figure(
            figures / f"figure{number}_{title}_perplexity.png",
            utilities.Panel(
                [
                    utilities.Line(
                        name,
                        iterations,
                        [[row.perplexity[name] for row in run.iterations] for run in records],
                        color_of_text(name, names),
                    )
                    for name in shown
                ],
                [
                    utilities.Level(f"trigram, {name}", ngram[name], color_of_text(name, names))
                    for name in shown
                    if name in ngram
                ],
            ),
            "iteration",
            perplexity_by(kind),
            f"Figure {number}: {title} perplexity of the decoder, hidden size {size}\n{label}",
            log_y=True,
        )


def perplexity_by(kind: TokenKind) -> str:
    """The name of an axis: perplexities by other tokens than words are no perplexities by word."""
    return "perplexity" if kind == "word" else f"perplexity by {NAMES_OF_TOKENS[kind]}"


def color_of_text(name: str, shown: Sequence[str]) -> int:
    """The colour of the training text, or of one of the test texts that figures show."""
    return TEXT_COLORS[["train", *shown].index(name)]


def few(perplexities: Mapping[str, float], most: int = 5) -> list[str]:
    """The texts that a figure has room for: of many, some from the easiest to the hardest for the n-gram model."""
    order = sorted(perplexities, key=lambda name: perplexities[name])
    if len(order) <= most:
        return list(perplexities)
    chosen = {order[round(step * (len(order) - 1) / (most - 1))] for step in range(most)}
    return [name for name in perplexities if name in chosen]


def draw(results: Exploration, figures: Path) -> None:
    """Figures 8 to 11 and those of inference lengths and of the loss by position, as far as the study went."""
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
                            VARIANTS[name],
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
                            text,
                            iterations,
                            [change_with_length(run, text, multiple * block) for run in decoder["alibi"]],
                            color_of_text(text, texts),
                        )
                        for text in texts
                    ],
                    [utilities.Level(f"{block} tokens", 0.0)],
                    title=f"{multiple * block} tokens",
                )
                for multiple in LENGTHS[1:]
            ],
            "iteration",
            f"change of perplexity against {block} tokens (%)",
            f"Figure 10: ALiBi trained at {block} tokens, read at other lengths\n{labels['decoder']}",
        )
        place_figure(figures / "loss_by_position.png", decoder, texts, labels["decoder"])
        length_figure(figures / "inference_length.png", results.extrapolation, block, labels["decoder"])
    if "regularize" in results.halves:
        regularized = next(iter(results.validation))  # the report's, 0.2, is the first rate
        accuracy_figure(
            figures / "figure11_regularization.png",
            {name: classifier[name] for name in ("original", regularized)},
            ["train", "test"],
            f"Figure 11: original and regularized classifier\n{labels['classifier']}",
        )


def change_with_length(run: DecoderRun, text: str, length: int) -> list[float]:
    """By iteration, how the perplexity of a text changes when it is read at this length, in percent."""
    found = [(row.perplexity_by_length[str(length)][text], row.perplexity[text]) for row in run.iterations]
    return [100 * (ours / theirs - 1) for ours, theirs in found]


def place_figure(path: Path, decoders: Mapping[str, Sequence[DecoderRun]], texts: Sequence[str], model: str) -> None:
    """What the other position methods change at each place in the window, against learned positions of the same seed.

    The tokens at a place are the same for all variants, so that their difference shows what their losses, which depend
    far more on which tokens happen to stand there, do not. Places are taken together by doubling: 1, 2, 3-4, 5-8 ...
    """

    def changes(ours: DecoderRun, theirs: DecoderRun, text: str) -> list[float]:
        nats = [mine - other for mine, other in zip(ours.nats_by_position[text], theirs.nats_by_position[text])]
        return [100 * (exp(fmean(nats[first:last])) - 1) for first, last in pairwise([0, *ends])]

    block = len(decoders["learned"][0].nats_by_position["train"])
    ends = [*(2**power for power in range(block.bit_length()) if 2**power < block), block]
    panels = [
        utilities.Panel(
            [
                utilities.Line(
                    NAMES[name],
                    ends,
                    [changes(*pair, text) for pair in zip(decoders[name], decoders["learned"])],
                    VARIANTS[name],
                    dashed=name == "none",
                )
                for name in POSITIONS[1:]
            ],
            [utilities.Level(NAMES["learned"], 0.0, VARIANTS["learned"])],
            title=text,
        )
        for text in ("train", *texts)
    ]
    title = f"Loss by place in the window, against learned positions\n{model}"
    utilities.line_figure(path, panels, "place in the window (up to)", "change of perplexity (%)", title, log_x=True)


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
                    VARIANTS[name],
                    dashed=window is not None,
                )
                for name in variants
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


def draw_knockouts(path: Path, found: KnockOuts) -> None:
    """What each part of a model costs, layers by heads; 95% intervals are in the table."""
    is_decoder = found.task == "decoder"
    layers = sorted({one.part.layer for one in found.without if one.part.layer is not None})
    if not layers:
        return

    def cost(one: KnockOut) -> float:  # points of accuracy, or percent of perplexity
        return 100 * (one.cost.mean - 1) if is_decoder else one.cost.mean

    names = [one.part.name.partition(", ")[2] or "whole layer" for one in found.without if one.part.layer == layers[0]]
    costs = np.array([[cost(one) for one in found.without if one.part.layer == layer] for layer in layers])
    unit = "%" if is_decoder else "points"
    alone = [
        f"without positions: {cost(one):+.1f} {unit}".replace("-", "\N{MINUS SIGN}")
        for one in found.without
        if one.part.layer is None
    ]
    of = "rise of perplexity, %" if is_decoder else "fall of accuracy, points"
    title = "\n".join([f"The {found.task} without each of its parts", *alone])
    rows = [f"layer {layer + 1}" for layer in layers]
    utilities.grid_figure(path, {of: costs}, rows, names, "", "without", title, ".1f")


def curve(run: ClassifierRun, side: Side) -> list[float]:
    """Accuracy on the training or the test rows, by epoch."""
    return [row.train_accuracy if side == "train" else row.test_accuracy for row in run.epochs]


def accuracy_lines(variants: Mapping[str, Sequence[ClassifierRun]], side: Side) -> list[utilities.Line]:
    """Accuracy by epoch of each variant; one that has no name of its own is shown as it is called."""
    return [
        utilities.Line(
            NAMES.get(name, name),
            [row.epoch for row in runs[0].epochs],
            [curve(run, side) for run in runs],
            VARIANTS.get(name),
        )
        for name, runs in variants.items()
    ]


def accuracy_figure(
    path: Path, variants: Mapping[str, Sequence[ClassifierRun]], sides: Sequence[Side], title: str
) -> None:
    """Accuracy by epoch, mean and range over seeds, a panel for train and for test."""
    panels = [utilities.Panel(accuracy_lines(variants, side), title=side if len(sides) > 1 else "") for side in sides]
    utilities.line_figure(path, panels, "epoch", "accuracy (%)", title)


def interval(
    name: str, estimate: Estimate, ratio: bool = False, claim: float | None = None, color: int = utilities.BLUE
) -> utilities.Interval:
    """A line of an interval figure; a ratio as a change in percent."""
    ends = (estimate.mean, estimate.low, estimate.high)
    mean, low, high = (100 * (end - 1) if ratio and end is not None else end for end in ends)
    assert mean is not None
    return utilities.Interval(name, mean, low, high, claim, color)
