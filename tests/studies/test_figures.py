"""Pictures hold the numbers of the answers: what is drawn of made-up numbers, of which no two are the same."""

from math import sqrt
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from golden.watch import undrawn

from dataset import Data
from evaluation.statistics import Estimate
from speechesdataset.folder import DEFAULT_NAMES, DEFAULT_TESTS, About
from studies import figures
from studies.answers import Answers
from studies.catalogue.published import REPORT_SENTENCE
from studies.catalogue.questions import STEEP, exploration
from studies.catalogue.recipes import RECIPES
from studies.probes.knockouts import KnockOut, KnockOuts, ModelPart
from studies.question import Study
from training.runs import Folder
from utilities import BLACK, BLUE, GREEN, ORANGE, SKY, VERMILION

SEEDS, EPOCHS, ITERATIONS, TEXTS = (4, 5), (1, 2, 3), (50, 100), ("obama", "hbush")
CLASSIFIERS = ("learned", "alibi", "none", "original", "batch-norm-dropout-0.2")
DECODERS = ("learned", "alibi", "none", STEEP)
TEXT_COLORS = {"train": BLACK, "obama": ORANGE, "hbush": SKY}
SHOWN = {  # the name and the colour of each variant
    "learned": ("learned positions", BLUE),
    "alibi": ("ALiBi", VERMILION),
    "none": ("no positions", GREEN),
    "original": ("original", BLUE),
    "batch-norm-dropout-0.2": ("batch norm + dropout 0.2", ORANGE),
}


# ---------------------------------------------------------------------------------------------------- made-up answers
def accuracy(variant: str, seed: int, epoch: int, side: str) -> float:
    return 15.0 * CLASSIFIERS.index(variant) + 2 * epoch + seed / 10 + (side == "train")


def perplexity(variant: str, seed: int, iteration: int, text: str) -> float:
    return 1000.0 * (1 + DECODERS.index(variant)) + seed - iteration + 100 * ("train", *TEXTS).index(text)


def run(seed: int, **fields: Any) -> dict[str, Any]:
    machine = dict.fromkeys(("commit", "dirty", "cores")) | dict.fromkeys(("code", "python", "torch", "processor"), "")
    machine |= {"threads": 1, "processes": 1}
    return {"seed": seed, "n_parameters": 9, "train_seconds": 1.0, "machine": machine, **fields}


def classifier(variant: str, seed: int) -> dict[str, Any]:
    epochs = []
    for epoch in EPOCHS:
        sides = {f"{side}_accuracy": accuracy(variant, seed, epoch, side) for side in ("train", "test")}
        epochs.append({"epoch": epoch, "train_loss": 1.0, **sides})
    scores = {"classes": [], "macro_f1": 50.0, "confusion": [[seed, 2], [3, 10 * seed]]}
    trained = seed != SEEDS[0]
    return run(seed, epochs=epochs, test={}, scores=scores, trained=trained, fell_back=False, predictions=[])


def decoder(variant: str, seed: int) -> dict[str, Any]:
    iterations = []
    for iteration in ITERATIONS:
        values = {text: perplexity(variant, seed, iteration, text) for text in ("train", *TEXTS)}
        longer = {str(32 * by): {text: value * (1 + by / 100) for text, value in values.items()} for by in (2, 4, 8)}
        measured = {"iteration": iteration, "train_loss": 1.0, "perplexity": values, "perplexity_by_length": longer}
        iterations.append(measured)
    return run(seed, ff_dim=256, iterations=iterations, protocol="", scores={})


def lengths(seed: int) -> list[dict[str, Any]]:
    rows = []
    for sliding in (False, True):
        for by in (1, 2, 4, 8):
            for window in (None, 31):
                value = seed * (1 + 0.01 * (by - 1) * (2 if sliding else 1) * (3 if window else 1))
                perplexities = dict.fromkeys(TEXTS, value)
                rows.append({"length": 32 * by, "sliding": sliding, "window": window, "perplexity": perplexities})
    return rows


def comparison(question: str, variant: str, base: str, measure: str, subset: str) -> dict[str, Any]:
    ratio = measure == "perplexity"
    mean, low, high = (0.9, 0.8, 1.1) if ratio else (1.5, 1.25, 1.75)
    estimate = Estimate(mean, low, high, 1.0, mean, 2, 1.0, 1.0, ratio)
    names = {"question": question, "variant": variant, "base": base, "measure": measure, "subset": subset}
    return {**names, "unit": "ratio" if ratio else "points", "estimate": estimate}


def answers_of(command: str, **changes: Any) -> Answers:
    """What a command finds: every question with all its answers, whichever of them it asks."""
    variants = {"classifier": CLASSIFIERS, "decoder": DECODERS, "validation": CLASSIFIERS[-1:]}
    questions: dict[str, Any] = {}
    for question, names in variants.items():
        asked = {"base": names[0], "measure": "accuracy", "settings": {name: {} for name in names}}
        kind = "decoder" if question == "decoder" else "classifier"
        questions[question] = {"kind": kind, "on_folds": question == "validation", **asked}
    scores = {"perplexity_without_unk": None, "bits_per_byte": 1.0, "unk_rate": 0.0}
    trigram = {text: {"perplexity": value, **scores} for text, value in zip(TEXTS, (301.0, 302.0))}
    attention = []
    for seed in SEEDS:
        grids = {"distance": [[seed, 2.0], [3.0, 4.0]], "entropy": [[1.0, seed], [3.0, 4.0]]}
        attention.append(grids | dict.fromkeys(("relative_distance", "relative_entropy", "padding"), [[0.0] * 2] * 2))
    return msgspec.convert(
        {
            "command": command,
            "command_line": "",
            "data": About("", 9, 9, 0, DEFAULT_NAMES, ""),
            "recipe": "report",
            "labels": {"classifier": "the classifier", "decoder": "the decoder"},
            "seed": SEEDS[0],
            "seeds": SEEDS,
            "confidence": 0.95,
            "vocabulary_size": 9,
            "block_size": 32,
            "test_names": DEFAULT_TESTS,
            "n_tokens": {},
            "machines": [],
            "questions": questions,
            "classifier": {name: [classifier(name, seed) for seed in SEEDS] for name in CLASSIFIERS},
            "validation": {name: [classifier(name, seed) for seed in SEEDS] for name in CLASSIFIERS[-1:]},
            "decoder": {name: [decoder(name, seed) for seed in SEEDS] for name in DECODERS},
            "classifier_opponents": {
                name: [{"test": {"all": {"n": 9, "accuracy": value}}}]
                for name, value in (("tfidf", 61.0), ("majority", 34.0))
            },
            "decoder_opponents": {"ngram": [{"scores": trigram}]},
            "comparisons": [
                comparison("decoder", "alibi", "learned", "perplexity", "hbush"),
                comparison("decoder", "alibi", "none", "perplexity", "hbush"),
                comparison("classifier", "alibi", "learned", "accuracy", "all"),
                comparison("classifier", "alibi", "learned", "accuracy", "unseen"),
                comparison("classifier", "batch-norm-dropout-0.2", "original", "accuracy", "all"),
            ],
            "lengths": {"decoder": {name: [lengths(seed) for seed in SEEDS] for name in ("learned", "alibi")}},
            "attention": {"classifier": {"learned": attention}, "decoder": {"learned": attention}},
            "training_seconds": 1.0,
            "total_seconds": 1.0,
        }
        | changes,
        Answers,
    )


def draw(answers: Answers, folder: Path) -> dict[str, Any]:
    """What is drawn, by the names of the files."""
    with undrawn() as pictures:
        figures.draw(answers, folder)
    return pictures


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return draw(answers_of("report"), tmp_path_factory.mktemp("figures"))


# --------------------------------------------------------------------------------------------------------------- curves
def line(name: str, x: Any, y: Any, color: int, dashed: bool = False) -> dict[str, Any]:
    return {"name": name, "x": list(x), "y": [list(run) for run in y], "color": color, "dashed": dashed, "weights": []}


def accuracy_line(variant: str, side: str, name: str, color: int, dashed: bool = False) -> dict[str, Any]:
    values = [[accuracy(variant, seed, epoch, side) for epoch in EPOCHS] for seed in SEEDS]
    return line(name, EPOCHS, values, color, dashed)


def perplexity_line(variant: str, text: str, name: str, color: int, dashed: bool = False) -> dict[str, Any]:
    values = [[perplexity(variant, seed, iteration, text) for iteration in ITERATIONS] for seed in SEEDS]
    return line(name, ITERATIONS, values, color, dashed)


def holds(picture: Any, panels: list[list[dict[str, Any]]], titles: list[str], *labels: str) -> None:
    """A picture of lines has these panels, titles and labels."""
    shown, *labels_shown, _ = picture
    assert [panel["title"] for panel in shown] == titles
    assert labels_shown == list(labels)
    for panel, lines in zip(shown, panels, strict=True):
        assert [part | {"y": 0} for part in panel["lines"]] == [part | {"y": 0} for part in lines]
        for part, expected in zip(panel["lines"], lines):
            assert part["y"] == [pytest.approx(run) for run in expected["y"]]


def levels(picture: Any) -> list[tuple[str, float, int | None]]:
    return [(level["name"], level["value"], level["color"]) for level in picture[0][0]["levels"]]


def test_figure_1_is_the_accuracy_of_the_base_beside_its_opponents(report: dict[str, Any]) -> None:
    lines = [accuracy_line("learned", side, side, BLUE, side == "train") for side in ("train", "test")]
    labels = ("epoch", "accuracy (%)", "Figure 1: accuracy of the classifier\nthe classifier")
    holds(report["figure1_accuracy"], [lines], [""], *labels)
    assert levels(report["figure1_accuracy"]) == [("TF-IDF", 61.0, None), ("largest class", 34.0, None)]


def test_figures_4_and_5_are_the_perplexity_of_the_base_beside_the_trigram(report: dict[str, Any]) -> None:
    for name, texts in (("figure4_training_perplexity", ["train"]), ("figure5_test_perplexity", list(TEXTS))):
        lines = [perplexity_line("learned", text, text, TEXT_COLORS[text]) for text in texts]
        title = f"Figure {name[6]}: {name[8:].split('_')[0]} perplexity of the decoder, hidden size 256\nthe decoder"
        holds(report[name], [lines], [""], "iteration", "perplexity", title)
        assert report[name][-1] == {"log_y": True}
    trigram = [("trigram, obama", 301.0, TEXT_COLORS["obama"]), ("trigram, hbush", 302.0, TEXT_COLORS["hbush"])]
    assert (levels(report["figure4_training_perplexity"]), levels(report["figure5_test_perplexity"])) == ([], trigram)


def test_figures_8_9_and_11_are_the_curves_of_each_variant(report: dict[str, Any]) -> None:
    positions = [accuracy_line(name, "test", *SHOWN[name]) for name in CLASSIFIERS[:3]]
    title = "Figure 8: test accuracy by position method\nthe classifier"
    holds(report["figure8_test_accuracy_positions"], [positions], [""], "epoch", "accuracy (%)", title)
    texts = ["train", *TEXTS]
    panels = [[perplexity_line(name, text, *SHOWN[name], name == "none") for name in DECODERS[:3]] for text in texts]
    title = "Figure 9: perplexity by position method\nthe decoder"
    holds(report["figure9_perplexity_positions"], panels, texts, "iteration", "perplexity", title)
    sides = ["train", "test"]
    panels = [[accuracy_line(name, side, *SHOWN[name]) for name in CLASSIFIERS[3:]] for side in sides]
    title = "Figure 11: original and regularized classifier\nthe classifier"
    holds(report["figure11_regularization"], panels, sides, "epoch", "accuracy (%)", title)


def test_figure_10_is_the_change_at_each_other_length(report: dict[str, Any]) -> None:
    panels = [[line(text, ITERATIONS, [[by, by]] * 2, TEXT_COLORS[text]) for text in TEXTS] for by in (2, 4, 8)]
    title = "Figure 10: ALiBi trained at 32 tokens, read at other lengths\nthe decoder"
    labels = ("iteration", "change of perplexity against 32 tokens (%)", title)
    titles = [f"{length} tokens" for length in (64, 128, 256)]
    holds(report["figure10_inference_length"], panels, titles, *labels)


def test_inference_length_changes_perplexity_by_reading(report: dict[str, Any]) -> None:
    panels = []
    for factor in (1, 2):
        changes = [factor * (by - 1) for by in (1, 2, 4, 8)]
        x = (32, 64, 128, 256)
        control = line("ALiBi, 31 tokens", x, [[3 * change for change in changes]] * 2, VERMILION, dashed=True)
        panels.append([line("ALiBi", x, [changes] * 2, VERMILION), control])
    labels = ("inference length (tokens)", "change of perplexity against 32 tokens (%)")
    title = "What other inference lengths change\nthe decoder"
    titles = ["windows side by side", "sliding by half"]
    holds(report["inference_length"], panels, titles, *labels, title)


# ---------------------------------------------------------------------------------------------------- grids, intervals
def test_grids_are_sums_and_means_over_seeds(report: dict[str, Any]) -> None:
    counts, names, title, _ = report["confusion"]
    assert (counts, names) == ([[9, 4], [6, 90]], DEFAULT_NAMES)
    assert title == "Confusion: test set, last epoch\nthe classifier"
    for network, kind in (("encoder", "classifier"), ("decoder", "decoder")):
        grids, *labels, _ = report[f"attention_{network}"]
        assert list(grids.values()) == [[[4.5, 2.0], [3.0, 4.0]], [[1.0, 4.5], [3.0, 4.0]]]
        assert labels[-1] == f"Attention of the {network} over the test set\nthe {kind}"


@pytest.mark.parametrize(
    ("kind", "grid", "positions"),
    [("classifier", [[2, -3]], "+4.0 points"), ("decoder", [[-50, 25]], "\N{MINUS SIGN}20.0 %")],
)
def test_knock_outs_are_layers_by_parts(kind: Any, grid: Any, positions: str, tmp_path: Path) -> None:
    costs = {"classifier": (4.0, 2.0, -3.0), "decoder": (0.8, 0.5, 1.25)}[kind]
    parts = (ModelPart(), ModelPart(0, "heads", 1), ModelPart(0))
    without = [
        KnockOut(part, 0.0, Estimate(cost, None, None, None, cost, 9, None, None, kind == "decoder"))
        for part, cost in zip(parts, costs)
    ]
    with undrawn() as pictures:
        figures.draw_knockouts(tmp_path / "x.png", KnockOuts(kind, 9, 60.0, without))
        figures.draw_knockouts(tmp_path / "nothing.png", KnockOuts(kind, 9, 60.0, without[:1]))
    ((grids, rows, columns, *_, title, _, _),) = pictures.values()
    assert list(grids.values()) == [[pytest.approx(costs) for costs in grid]]
    assert (rows, columns) == (["layer 1"], ["head 2", "whole layer"])
    assert title == f"The {kind} without each of its parts\nwithout positions: {positions}"


def intervals(picture: Any) -> list[Any]:
    return [list(interval.values()) for interval in picture[0]]


def test_differences_are_in_percent_and_in_points(report: dict[str, Any], tmp_path: Path) -> None:
    in_percent = pytest.approx([-10.0, -20.0, 10.0])
    ((name, *values, claim, color),) = intervals(report["changes_perplexity"])
    assert (name, values, claim, color) == ("ALiBi, hbush", in_percent, None, VERMILION)
    alibi = ["ALiBi (against learned positions)", 1.5, 1.25, 1.75, None, VERMILION]
    regularized = ["batch norm + dropout 0.2", 1.5, 1.25, 1.75, 2.0, ORANGE]
    assert intervals(report["changes_accuracy"]) == [alibi, regularized]
    others = draw(answers_of("report", test_names=["a", "b"]), tmp_path)  # of whom the report says nothing
    assert intervals(others["changes_accuracy"])[1] == [*regularized[:4], None, ORANGE]


def test_a_comparison_is_of_its_variants_alone_each_in_the_colour_of_its_curve(tmp_path: Path) -> None:
    variants = ("learned", "alibi", "none")
    question = {"kind": "decoder", "base": "learned", "measure": "perplexity", "on_folds": False}
    asked = {"decoder": question | {"settings": {name: {} for name in variants}}}
    rows = [comparison("decoder", name, "learned", "perplexity", "all texts") for name in ("none", "ngram", "alibi")]
    pictures = draw(answers_of("compare", questions=asked, comparisons=rows), tmp_path)
    assert [(row[0], row[-1]) for row in intervals(pictures["differences"])] == [("alibi", 1), ("none", 2)]
    assert pictures["differences"][1] == "change of perplexity (%)"
    (panel,) = pictures["curves"][0]
    for curve, name in zip(panel["lines"], variants, strict=True):
        expected = [
            [sqrt(perplexity(name, seed, step, "obama") * perplexity(name, seed, step, "hbush")) for step in ITERATIONS]
            for seed in SEEDS
        ]
        assert curve["y"] == [pytest.approx(run) for run in expected]


def test_variants_are_called_by_what_differs() -> None:
    base, *others = ("epochs=2 rate=0.1 heads=1", "epochs=2 rate=0.1 heads=2", "epochs=2 rate=0.2 heads=2", "epochs=2")
    assert figures.short_names([base, *others], base) == {
        base: "rate=0.1 heads=1",
        others[0]: "heads=2",
        others[1]: "rate=0.2 heads=2",
        others[2]: "rate=default heads=default",
    }
    assert figures.short_names(["as it is", "heads=2"], "as it is") == {"as it is": "as it is", "heads=2": "heads=2"}


def test_reliability_is_by_bins_of_confidence(tmp_path: Path) -> None:
    bins = {"as_trained": [(30, 40.0, 50.0), (10, 80.0, 70.0)], "calibrated": [(40, 55.0, 60.0)]}
    calibration: dict[str, Any] = {"temperature": 1.5, "n_rows": 9, "note": ""}
    for name, rows in bins.items():
        shown = [dict(zip(("n", "confidence", "accuracy"), row)) for row in rows]
        calibration[name] = {"bins": shown, "error": {}, "chance": {}}
    pictures = draw(answers_of("part1", calibration={"classifier": {"classifier": [calibration]}}), tmp_path)
    (panel,) = pictures["reliability"][0]
    assert [(curve["name"], curve["x"], curve["y"], curve["weights"]) for curve in panel["lines"]] == [
        ("as trained", [40.0, 80.0], [50.0, 70.0], [30, 10]),
        ("temperature 1.5", [55.0], [60.0], [40]),
        ("as often right as sure", [0, 100], [0, 100], []),
    ]


# ------------------------------------------------------------------------------------------------------ which are drawn
def test_each_command_draws_what_it_asked(tmp_path: Path) -> None:
    positions = ["figure8_test_accuracy_positions", "figure9_perplexity_positions", "figure10_inference_length"]
    positions += ["inference_length"]
    regularization = ["figure11_regularization"]
    assert list(draw(answers_of("part2"), tmp_path)) == ["figure4_training_perplexity", "figure5_test_perplexity"]
    assert list(draw(answers_of("part3"), tmp_path)) == [*positions, *regularization]
    assert list(draw(answers_of("part3", decoder={}), tmp_path)) == regularization
    alone = {name: [classifier(name, seed) for seed in SEEDS] for name in CLASSIFIERS[:3]}
    assert list(draw(answers_of("part3", classifier=alone, validation={}), tmp_path)) == positions
    assert list(draw(answers_of("measure"), tmp_path)) == []


def test_maps_are_of_the_first_seed_that_trained(tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    maps: list[Any] = []
    monkeypatch.setattr(figures, "load_model", lambda path, task: path.name)
    monkeypatch.setattr(figures, "draw_attention", lambda *arguments: maps.append(arguments))
    folder, questions = Folder(tmp_path, torch.device("cpu")), exploration(RECIPES["report"])
    for command in ("report", "part3"):
        study = Study(command, "report", RECIPES["report"], questions, SEEDS)
        figures.draw_maps(study, answers_of(command), folder, data.corpus)
    assert maps == [
        (tmp_path / "figures", "classifier-learned-seed5.safetensors", REPORT_SENTENCE, 2, "the classifier"),
        (tmp_path / "figures", "decoder-learned-seed4.safetensors", REPORT_SENTENCE, 6, "the decoder"),
    ]


def test_of_many_texts_five_are_shown_from_the_easiest_to_the_hardest() -> None:
    perplexities = {"c": 3.0, "a": 9.0, "b": 1.0, "e": 2.0, "d": 5.0}
    assert figures.few(perplexities) == list("cabed")
    assert figures.few(perplexities | {"f": 4.0, "g": 8.0}) == list("cabdf")  # b 1, c 3, f 4, d 5, a 9, in their order
    assert figures.few(perplexities, most=2) == list("ab")
