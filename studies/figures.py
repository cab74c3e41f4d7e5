"""The pictures of what a command finds, made from its answers; attention maps, from the weights that it saved."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import tokenizer
import utilities
from inference.attention import draw_attention
from speechesdataset.folder import TRAINING, Corpus
from studies.answers import Answers, Comparison, LengthPerplexity, Reading
from studies.catalogue.claims import REGULARIZED
from studies.catalogue.names import VARIANT_COLORS, name_of
from studies.catalogue.published import on_reports_speakers, sentence_of
from studies.catalogue.questions import POSITIONS, WAYS, trained_for
from studies.effects import has_trained
from studies.probes.attention import attention_means
from studies.probes.knockouts import KnockOuts
from studies.probes.lengths import LENGTHS
from studies.question import Study
from training.kinds import KINDS
from training.recipe import Task
from training.records import Iteration
from training.runs import Folder
from training.weights import load_model

OPPONENTS_SHOWN = {"tfidf": "TF-IDF", "majority": "largest class"}  # in Figure 1
TEXT_COLORS = (utilities.BLACK, utilities.ORANGE, utilities.SKY, utilities.PURPLE, utilities.GREEN, utilities.VERMILION)
WITH_MAPS = ("part1", "part2", "report")  # commands
FIRST_MAP: dict[Task, int] = {"classifier": 2, "decoder": 6}  # the number of its figure
TRAIN, TEST = attrgetter("train_accuracy"), attrgetter("test_accuracy")  # of an epoch
PUBLISHED_GAIN = 2.0  # points of accuracy that regularization is said to add

CAPTIONS = {  # of the pictures on the report's page, by how the names of their files start
    "figure1_": "Figure 1. Accuracy by epoch: mean over seeds, shaded from lowest to highest.",
    "figure2_": "Figure 2. Attention of the encoder, first layer, one seed.",
    "figure3_": "Figure 3. Attention of the encoder, last layer, one seed.",
    "figure4_": "Figure 4. Training perplexity by iteration.",
    "figure5_": "Figure 5. Test perplexity by iteration; dotted: the trigram.",
    "figure6_": "Figure 6. Attention of the decoder, first layer, one seed.",
    "figure7_": "Figure 7. Attention of the decoder, last layer, one seed.",
    "figure8_": "Figure 8. Test accuracy by epoch and position method.",
    "figure9_": "Figure 9. Train and test perplexity by position method.",
    "figure10_": "Figure 10. ALiBi: test perplexity by iteration at each inference length against that of training.",
    "figure11_": "Figure 11. Accuracy of the original and the regularized classifier.",
    "attention_encoder": "Mean attention distance and entropy by layer and head, over the test set.",
    "attention_decoder": "Mean attention distance and entropy by layer and head, over the test set.",
    "knockouts_classifier": "What that model loses without each of its parts.",
    "knockouts_decoder": "What that model loses without each of its parts.",
    "inference_length": "Change of mean test perplexity with inference length; dashed: with the control's window.",
    "confusion": "Confusion matrix of the original classifier, all seeds together.",
    "changes_perplexity": "Change of perplexity against learned positions; hollow where the interval reaches 0.",
    "changes_accuracy": "Difference in test accuracy; hollow where the interval reaches 0; a cross is as published.",
}
WIDE = ("figure9_", "figure10_", "figure11_", "inference_length", "changes_")  # of several panels


@dataclass(frozen=True)
class Picture:
    """A picture that was drawn, for the page."""

    path: Path
    caption: str
    is_wide: bool


def pictures_in(figures: Path, names: Sequence[str]) -> list[Picture]:
    """The pictures whose names start so, as far as they were drawn: without weights there are no maps of attention."""
    return [
        Picture(path, CAPTIONS[name], name.startswith(WIDE))
        for name in names
        for path in sorted(figures.glob(f"{name}*.png"))
    ]


def draw(answers: Answers, figures: Path) -> None:
    """Draw all that the answers of a command hold to PNG files in the folder `figures`."""
    positions = [figure8, figure9, figure10, inference_length] if "alibi" in answers.decoder else []
    exploration = [*positions, *([figure11] if "original" in answers.classifier else [])]
    changes = [attention_by_layer, knockouts, changes_of_perplexity, changes_of_accuracy]
    by_command = {
        "part1": [figure1, confusion, reliability_diagram],
        "part2": [figures4_and_5],
        "part3": exploration,
        "report": [figure1, confusion, figures4_and_5, *exploration, *changes],
        "positions": [context],
        "compare": [differences, curves_of_variants],
    }
    for draw_figure in by_command.get(answers.command, []):
        draw_figure(answers, figures)


def draw_maps(study: Study, answers: Answers, folder: Folder, corpus: Corpus) -> None:
    """Figures 2, 3, 6 and 7: where the base of each question looks in a sentence, of the first seed that trained."""
    for question in study.questions:
        if study.command in WITH_MAPS and not question.on_folds:
            records, kind = answers.runs(question.name)[question.base], question.kind.name
            seed = next((record.seed for record in records if has_trained(record)), study.seeds[0])
            run = question.runs({question.base: len(records)}, study.seeds[0])[question.base, seed]
            trained = load_model(folder.weights(run), kind)
            draw_attention(folder.path / "figures", trained, sentence_of(corpus), FIRST_MAP[kind], answers.labels[kind])


def titled(title: str, answers: Answers, kind: Task) -> str:
    """The title of a picture, and below it the model."""
    return f"{title}\n{answers.labels[kind]}"


def change_in_percent(ratio: float) -> float:
    """By how much a ratio is more than 1."""
    return 100 * (ratio - 1)


# --------------------------------------------------------------------------------------------------------------- curves
@dataclass(frozen=True)
class Curve:
    """What is shown of each epoch or iteration of a variant's runs."""

    name: str
    variant: str
    value: Callable[[Any], float]
    color: int | None = utilities.BLUE
    dashed: bool = False


def curves(
    path: Path,
    answers: Answers,
    question: str,
    panels: Mapping[str, Sequence[Curve]],
    title: str,
    levels: Sequence[utilities.Level] = (),
    change_against: str = "",
) -> None:
    """How training went, by epoch or iteration, the mean and the range over seeds; panels by their titles.
    `change_against`: what perplexities are compared with, where their changes are shown."""
    asked = answers.questions[question]
    kind = KINDS[asked.kind]
    step = kind.duration.removesuffix("s")
    y_label, scale = "accuracy (%)", {}
    if change_against:
        y_label = f"change of perplexity against {change_against} (%)"
    elif kind.first_measure.unit == "ratio":
        y_label, scale = perplexity_by_token(answers), {"log_y": True}

    def line(curve: Curve) -> utilities.Line:
        histories = [getattr(run, kind.duration) for run in answers.runs(question)[curve.variant]]
        steps = [getattr(measured, step) for measured in histories[0]]
        values = [[curve.value(measured) for measured in measurements] for measurements in histories]
        return utilities.Line(curve.name, steps, values, curve.color, curve.dashed)

    drawn = [utilities.Panel(list(map(line, group)), levels, name) for name, group in panels.items()]
    utilities.line_figure(path, drawn, step, y_label, titled(title, answers, asked.kind), **scale)


def curves_by_variant(variants: Iterable[str], value: Callable[[Any], float], dashed: str = "") -> list[Curve]:
    """A curve of each variant."""
    return [Curve(name_of(name), name, value, VARIANT_COLORS.get(name), name == dashed) for name in variants]


def perplexity_of(text: str) -> Callable[[Iteration], float]:
    """What reads the perplexity of a text."""
    return lambda iteration: iteration.perplexity[text]


def perplexity_by_token(answers: Answers) -> str:
    """The name of an axis: perplexities by other tokens than words are no perplexities by word."""
    return "perplexity" if answers.tokenizer == "word" else f"perplexity by {tokenizer.NAMES[answers.tokenizer]}"


def texts_shown(answers: Answers) -> dict[str, int]:
    """The training text, and the test texts that figures have room for, each with its colour."""
    return dict(zip([TRAINING, *few(trigram_perplexities(answers))], TEXT_COLORS))


def trigram_perplexities(answers: Answers) -> dict[str, float]:
    """The perplexity of each test text under the Kneser-Ney trigram."""
    (trigram,) = answers.decoder_opponents["ngram"]
    return {text: scores.perplexity for text, scores in trigram.scores.items()}


def few(perplexities: Mapping[str, float], most: int = 5) -> list[str]:
    """The texts that a figure has room for: of many, some from the easiest to the hardest for the n-gram model."""
    order = sorted(perplexities, key=lambda name: perplexities[name])
    if len(order) <= most:
        return list(perplexities)
    chosen = {order[round(step * (len(order) - 1) / (most - 1))] for step in range(most)}
    return [name for name in perplexities if name in chosen]


def figure1(answers: Answers, figures: Path) -> None:
    """Accuracy of the classifier on training and test rows."""
    base = answers.questions["classifier"].base
    sides = [Curve("train", base, TRAIN, dashed=True), Curve("test", base, TEST)]
    levels = [
        utilities.Level(name, answers.classifier_opponents[opponent][0].test["all"].accuracy or 0.0)
        for opponent, name in OPPONENTS_SHOWN.items()
    ]
    title = "Figure 1: accuracy of the classifier"
    curves(figures / "figure1_accuracy.png", answers, "classifier", {"": sides}, title, levels)


def figures4_and_5(answers: Answers, figures: Path) -> None:
    """Perplexity of the training text, and of the test texts, with the trigram's as levels."""
    base, trigram = answers.questions["decoder"].base, trigram_perplexities(answers)
    texts = [Curve(text, base, perplexity_of(text), color) for text, color in texts_shown(answers).items()]
    levels = [utilities.Level(f"trigram, {text.name}", trigram[text.name], text.color) for text in texts[1:]]
    model = f"the decoder, hidden size {answers.decoder[base][0].ff_dim}"
    for number, name, shown, opponents in ((4, "training", texts[:1], []), (5, "test", texts[1:], levels)):
        path = figures / f"figure{number}_{name}_perplexity.png"
        curves(path, answers, "decoder", {"": shown}, f"Figure {number}: {name} perplexity of {model}", opponents)


def figure8(answers: Answers, figures: Path) -> None:
    """Test accuracy of each position method."""
    path, title = figures / "figure8_test_accuracy_positions.png", "Figure 8: test accuracy by position method"
    curves(path, answers, "classifier", {"": curves_by_variant(POSITIONS, TEST)}, title)


def figure9(answers: Answers, figures: Path) -> None:
    """Perplexity of each position method; that of no positions is dashed, or it would hide ALiBi's."""
    panels = {text: curves_by_variant(POSITIONS, perplexity_of(text), dashed="none") for text in texts_shown(answers)}
    path = figures / "figure9_perplexity_positions.png"
    curves(path, answers, "decoder", panels, "Figure 9: perplexity by position method")


def figure10(answers: Answers, figures: Path) -> None:
    """How the perplexity of ALiBi changes when texts are read at other lengths."""

    def change(text: str, length: int) -> Callable[[Iteration], float]:
        return lambda row: change_in_percent(row.perplexity_by_length[str(length)][text] / row.perplexity[text])

    _, *texts = texts_shown(answers).items()
    panels = {
        f"{length} tokens": [Curve(text, "alibi", change(text, length), color) for text, color in texts]
        for length in (multiple * answers.block_size for multiple in LENGTHS[1:])
    }
    path, as_trained = figures / "figure10_inference_length.png", f"{answers.block_size} tokens"
    title, levels = (
        f"Figure 10: ALiBi trained at {as_trained}, read at other lengths",
        [utilities.Level(as_trained, 0.0)],
    )
    curves(path, answers, "decoder", panels, title, levels, change_against=as_trained)


def figure11(answers: Answers, figures: Path) -> None:
    """Training and test accuracy of the classifier without regularization and with the first rate of dropout."""
    variants = ("original", next(iter(answers.validation)))
    panels = {"train": curves_by_variant(variants, TRAIN), "test": curves_by_variant(variants, TEST)}
    path, title = figures / "figure11_regularization.png", "Figure 11: original and regularized classifier"
    curves(path, answers, "classifier", panels, title)


def curves_of_variants(answers: Answers, figures: Path) -> None:
    """Test accuracy or perplexity, the geometric mean over the texts that are measured, of each variant compared."""

    def perplexity(iteration: Iteration) -> float:
        return geometric_mean(value for text, value in iteration.perplexity.items() if text != TRAINING)

    ((question, asked),) = answers.questions.items()
    values: dict[Task, Callable[[Any], float]] = {"classifier": TEST, "decoder": perplexity}
    names = short_names(asked.settings, asked.base)
    lines = [Curve(name, variant, values[asked.kind], None) for variant, name in names.items()]
    title = f"{asked.kind.capitalize()}: " + ("held-out" if asked.on_folds else "test")
    title += f" {asked.measure}" if asked.kind == "classifier" else " perplexity, geometric mean of the texts"
    curves(figures / "curves.png", answers, question, {"": lines}, title)


# ------------------------------------------------------------------------------------------- the classifier's test rows
def confusion(answers: Answers, figures: Path) -> None:
    """Which class the classifier takes for which, over all seeds."""
    matrices = [run.scores.confusion for run in answers.classifier[answers.questions["classifier"].base]]
    counts = [[sum(cells) for cells in zip(*rows)] for rows in zip(*matrices)]  # (K, K)
    title = titled("Confusion: test set, last epoch", answers, "classifier")
    utilities.confusion_figure(figures / "confusion.png", counts, answers.data.class_names, title)


def reliability_diagram(answers: Answers, figures: Path) -> None:
    """How often the classifier is right where it is so sure, as trained and with its temperature."""
    (calibration,) = answers.calibration["classifier"]["classifier"]
    versions = {"as trained": calibration.as_trained.bins}
    if calibration.n_rows:
        versions[f"temperature {calibration.temperature:.2g}"] = calibration.calibrated.bins
    lines = [
        utilities.Line(
            name,
            [rows.confidence for rows in bins],
            [rows.accuracy for rows in bins],
            color,
            weights=[rows.n for rows in bins],
        )
        for color, (name, bins) in enumerate(versions.items())
    ]
    honest = utilities.Line("as often right as sure", [0, 100], [0, 100], utilities.BLACK, dashed=True)
    title = titled("Accuracy by confidence; larger: more test rows", answers, "classifier")
    panel = utilities.Panel([*lines, honest])
    utilities.line_figure(figures / "reliability.png", [panel], "confidence (%)", "accuracy (%)", title)


# ------------------------------------------------------------------------------------------------ positions and lengths
def inference_length(answers: Answers, figures: Path) -> None:
    """How perplexity changes with inference length, by protocol; dashed where every token sees no more of the past than
    it did in training."""

    def changes(rows: Sequence[LengthPerplexity], reading: Reading) -> list[float]:
        means = [geometric_mean(filter(None, row.perplexity.values())) for row in rows if row.reading == reading]
        return [change_in_percent(mean / means[0]) for mean in means]

    block_size = answers.block_size
    lengths = [multiple * block_size for multiple in LENGTHS]
    seeds = answers.lengths["decoder"]
    variants = [name for name in seeds if name != "learned"]  # whose positions end with the block
    panels = []
    for sliding, protocol in ((False, "windows side by side"), (True, "sliding by half")):
        lines = []
        for variant, window in itertools.product(variants, (None, block_size - 1)):
            name = name_of(variant) + ("" if window is None else f", {window} tokens")
            values = [changes(rows, Reading(sliding, window)) for rows in seeds[variant]]
            lines.append(utilities.Line(name, lengths, values, VARIANT_COLORS[variant], dashed=window is not None))
        panels.append(utilities.Panel(lines, title=protocol))
    title = titled("What other inference lengths change", answers, "decoder")
    x_label, y_label = "inference length (tokens)", f"change of perplexity against {block_size} tokens (%)"
    utilities.line_figure(figures / "inference_length.png", panels, x_label, y_label, title, log_x=True)


def context(answers: Answers, figures: Path) -> None:
    """What each model makes of the tokens before the one that it predicts, by how long it was trained."""
    panels = []
    for n in answers.iterations_of_decoders():
        lines = []
        for color, way in enumerate(WAYS):
            seeds = answers.context["decoder"][trained_for(way, n)]
            values = [[measured.perplexity for measured in seed] for seed in seeds]
            lines.append(utilities.Line(way, [measured.n_tokens for measured in seeds[0]], values, color))
        panels.append(utilities.Panel(lines, title=f"{n:,} iterations"))
    title = titled("Perplexity by how many tokens the model is given", answers, "decoder")
    x_label, y_label = "tokens before the predicted one", perplexity_by_token(answers)
    utilities.line_figure(figures / "context.png", panels, x_label, y_label, title, log_x=True, log_y=True)


# ---------------------------------------------------------------------------------------------------- layers and heads
def attention_by_layer(answers: Answers, figures: Path) -> None:
    """How far and how widely each head looks, the mean over seeds."""
    for question, by_variant in answers.attention.items():
        kind, means = answers.questions[question].kind, attention_means(by_variant["learned"])
        network = KINDS[kind].network
        layers = [str(layer + 1) for layer in range(len(means.distance))]
        heads = [str(head + 1) for head in range(len(means.distance[0]))]
        grids = {"mean distance, tokens": means.distance, "entropy, nats": means.entropy}
        title = titled(f"Attention of the {network} over the test set", answers, kind)
        utilities.grid_figure(figures / f"attention_{network}.png", grids, layers, heads, "layer", "head", title)


def knockouts(answers: Answers, figures: Path) -> None:
    """What the parts of each model cost."""
    for by_variant in answers.knockouts.values():
        for knocked_out in by_variant["learned"]:
            draw_knockouts(figures / f"knockouts_{knocked_out.task}.png", knocked_out)


def draw_knockouts(path: Path, knocked_out: KnockOuts) -> None:
    """What each part of a model costs, layers by heads; 95% intervals are in the table."""
    measure = KINDS[knocked_out.task].first_measure
    unit, change = ("%" if measure.unit == "ratio" else "points"), ("fall" if measure.higher_is_better else "rise")
    title = f"The {knocked_out.task} without each of its parts"
    layers: dict[str, dict[str, float]] = {}
    for row in knocked_out.without:
        cost = change_in_percent(row.cost.mean) if row.cost.ratio else row.cost.mean
        layer, _, part = row.part.name.partition(", ")
        if row.part.layer is None:
            title += f"\nwithout positions: {cost:+.1f} {unit}".replace("-", "\N{MINUS SIGN}")
        else:
            layers.setdefault(layer, {})[part or "whole layer"] = cost
    if layers:
        costs, names = [list(costs.values()) for costs in layers.values()], list(next(iter(layers.values())))
        grids = {f"{change} of {measure.name}, {unit}": costs}  # (layers, parts)
        utilities.grid_figure(path, grids, list(layers), names, "", "without", title, "z.1f", signed=True)


# --------------------------------------------------------------------------------------------------------- differences
def changes_of_perplexity(answers: Answers, figures: Path) -> None:
    """What positions change in the perplexity of each text."""
    texts = texts_shown(answers)
    rows = [
        interval(f"{name_of(row.variant)}, {row.subset}", row, VARIANT_COLORS[row.variant])
        for row in answers.find(question="decoder", base="learned", measure="perplexity")
        if row.subset in texts
    ]
    path, x_label = figures / "changes_perplexity.png", "change of perplexity against learned positions (%)"
    utilities.interval_figure(path, rows, x_label, titled("What positions change", answers, "decoder"), number="+z.1f")


def changes_of_accuracy(answers: Answers, figures: Path) -> None:
    """What each variant changes in the accuracy of the classifier, and what the report says that it does."""
    claims = {(REGULARIZED, "original"): PUBLISHED_GAIN} if on_reports_speakers(answers) else {}
    rows = []
    for row in answers.find(question="classifier", measure="accuracy", subset="all"):
        name = name_of(row.variant) + ("" if row.base == "original" else f" (against {name_of(row.base)})")
        rows.append(interval(name, row, VARIANT_COLORS[row.variant], claims.get((row.variant, row.base))))
    path, title = figures / "changes_accuracy.png", titled("What each variant changes", answers, "classifier")
    utilities.interval_figure(path, rows, "difference in test accuracy (points)", title, number="+z.1f")


def differences(answers: Answers, figures: Path) -> None:
    """How each variant differs from the base, in the colour of its curve."""
    (asked,) = answers.questions.values()
    rows = {row.variant: row for row in answers.find(base=asked.base, measure=asked.measure)}
    names = short_names(asked.settings, asked.base)
    shown = [interval(names[variant], rows[variant], color) for color, variant in enumerate(names) if variant in rows]
    if not shown:  # the others diverged
        return
    what, unit = ("change of", "%") if answers.comparisons[0].unit == "ratio" else ("difference in", "points")
    title = titled(f"{asked.kind.capitalize()}: against {names[asked.base]}", answers, asked.kind)
    utilities.interval_figure(
        figures / "differences.png", shown, f"{what} {asked.measure} ({unit})", title, number="+z.1f"
    )


def short_names(variants: Iterable[str], base: str) -> dict[str, str]:
    """What pictures call each variant: by the settings that it changes of the base's, the base by those that change."""
    settings = {name: dict(pair.split("=", 1) for pair in name.split() if "=" in pair) for name in variants}
    changes = {
        variant: {name: of_variant.get(name, "default") for name in settings[base] | of_variant}
        for variant, of_variant in settings.items()
    }
    of_base = changes[base]
    for variant, values in changes.items():
        changes[variant] = {name: value for name, value in values.items() if value != of_base.get(name)}
    changed = set().union(*changes.values())
    changes[base] = {name: value for name, value in of_base.items() if name in changed}
    return {
        variant: " ".join(f"{name}={value}" for name, value in values.items()) or variant
        for variant, values in changes.items()
    }


def interval(name: str, row: Comparison, color: int, claim: float | None = None) -> utilities.Interval:
    """A line of an interval figure; a ratio as a change in percent."""
    ends = (row.estimate.mean, row.estimate.low, row.estimate.high)
    mean, low, high = (change_in_percent(end) if row.unit == "ratio" and end is not None else end for end in ends)
    return utilities.Interval(name, mean or 0.0, low, high, claim, color)
