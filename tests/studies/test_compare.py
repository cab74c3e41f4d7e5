"""A comparison: what is better by construction comes out better, and validation leaves the test set alone."""

import json
from collections.abc import Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
from studies.compare import (
    Question,
    compare,
    compared,
    compared_opponent,
    draw,
    effect_of,
    expected_best,
    perplexity_lines,
    variants_of,
    verdict_of,
)
from studies.comparisons import Rows, hits_by_stretch
from tiny import classifier_of, data_said, decoder_of
from worlds import classifier_run, decoder_run, intercept

import main
from common.files import UserError
from dataset import Data
from evaluation.crossed import crossed
from evaluation.looks import confidence_of_looks
from evaluation.statistics import Estimate, paired_difference, paired_ratio, seeds_needed
from reporting.comparison import compare_text, comparison, in_a_sentence, to_tell
from studies import engine
from studies.settings import Score
from training.recipe import Recipe, Run, Task, TrainingConfig
from training.records import ClassifierRun, DecoderRun, GroupAccuracy, Iteration, LanguageScores, TrainedRun
from training.runs import Folder
from transformer import TransformerConfig

SMALL = TransformerConfig(n_embd=8, n_layer=1, block_size=8, ff_dim=8, initialisation="pytorch")
RECIPES: dict[Task, Recipe] = {
    "classifier": Recipe("classifier", classifier_of(SMALL), TrainingConfig(batch_size=8), duration=30),
    "decoder": Recipe("decoder", decoder_of(SMALL), TrainingConfig(batch_size=8, learning_rate=1e-9), duration=5),
}
BETTER: dict[Task, str] = {"classifier": "learning_rate=1e-9,1e-2", "decoder": "unigram_bias=false,true"}


@pytest.mark.parametrize("validate", [False, True])
@pytest.mark.parametrize("task", RECIPES)
@pytest.mark.slow
def test_a_variant_that_is_better_by_construction_comes_out_better(
    task: Task, validate: bool, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = variants_of(task, [BETTER[task]], None, ())
    seeds = (0, 1, 2, 3, 4) if validate else (0, 1, 2)  # folds share rows, and are worth less
    measure: Score = "accuracy" if task == "classifier" else "perplexity"
    question = Question("report", RECIPES[task], variants, seeds, measure, validate)
    if validate:  # nothing of the test set may be needed
        broken = replace(data.test, labels=torch.full_like(data.test.labels, -1)) if task == "classifier" else data.test
        data = replace(data, test=broken, test_streams={} if task == "decoder" else data.test_streams)
    results = compare(question, data, Folder(tmp_path, torch.device("cpu")), "the command")
    base, better = results.variants
    names = ["learning_rate=1e-09", "learning_rate=0.01"] if task == "classifier" else BETTER["decoder"].split(",")
    assert base.name == names[0]
    assert base.estimate is None
    assert [one.verdict for one in (base, better)] == [None, "better"]
    assert len(better.values) == len(seeds)
    assert results.on == ("validation" if validate else "test")
    assert all(len(one.values) == (5 if validate else 1) for one in results.opponents)
    assert all((one.estimate is not None) == validate for one in results.opponents)
    assert len(results.expected_best) == (2 if validate else 0)
    assert in_a_sentence(results) == f"Better than {base.name}: {better.name}. Best on average: {better.name}."
    assert [row[0] for row in comparison(results).rows] == [
        base.name,
        better.name,
        *(one.name for one in results.opponents),
    ]
    assert ("test set was not read" in " ".join(compare_text(results).split())) == validate
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"differences.png", "curves.png"}
    turned = replace(question, variants=dict(list(variants.items())[::-1]))
    worse = compare(turned, data, Folder(tmp_path, torch.device("cpu")), "the command")  # the same runs
    assert [one.verdict for one in worse.variants] == [None, "worse"]
    drawn = intercept(monkeypatch)
    draw(results, tmp_path)
    curves, points = drawn["curves.png"]["panels"].lines, drawn["differences.png"]["intervals"]
    if better.estimate:  # the second of the curves, which are coloured by place
        assert [(point.name, point.color) for point in points] == [(curves[1].name, 1)]
    assert {line.color for line in curves} == {None}


def test_each_variant_reads_blocks_of_its_own_size(data: Data, tmp_path: Path) -> None:
    """With learned positions a row that is longer than the table cannot be read at all."""
    recipe = replace(RECIPES["classifier"], duration=1)
    for names in (["block_size=8,4"], ["block_size=4,8"]):
        question = Question("report", recipe, variants_of("classifier", names, None, ()), (0,), "accuracy")
        results = compare(question, data, Folder(tmp_path, torch.device("cpu")), "the command")
        by_size = {one.settings["block_size"]: one for one in results.variants}
        assert by_size[8].n_parameters - by_size[4].n_parameters == 4 * 8  # of the position table
    seeds = compare(replace(question, seeds=(0, 1)), data, Folder(tmp_path, torch.device("cpu")), "the command")
    assert seeds.variants[0].values[0] == results.variants[0].values[0]


@pytest.mark.slow
def test_curves_are_of_what_is_measured_and_runs_at_chance_are_counted(data: Data, tmp_path: Path) -> None:
    iterations = [Iteration(n, 1.0, {"train": 1000.0, "a": value, "b": 4 * value}) for n, value in ((1, 8.0), (2, 2.0))]
    (line,) = perplexity_lines({"it": [decoder_run(iterations=iterations)]})
    assert (line.name, line.x, line.y) == ("it", [1, 2], [pytest.approx([16.0, 4.0])])
    variants = variants_of("classifier", ["learning_rate=1e-9,1e-2"], None, ())
    question = Question("report", RECIPES["classifier"], variants, (0, 1), "accuracy")
    results = compare(question, data, Folder(tmp_path, torch.device("cpu")), "the command")
    assert [one.at_chance for one in results.variants] == [[True, True], [False, False]]
    assert [row[-1] for row in comparison(results).rows][:3] == ["2 of 2 [34.2, 100.0]", "0 of 2 [0.0, 65.8]", None]
    assert results.variants[1].estimate is None  # there is no seed on which both trained, and no accuracy to compare
    assert results.variants[1].verdict == "better"
    one = compare(replace(question, seeds=(0,)), data, Folder(tmp_path, torch.device("cpu")), "the command")
    assert one.variants[1].verdict == "cannot tell"  # by one run each
    assert to_tell(one.variants[1]) == "more than one seed"


def asked(measure: Score, validate: bool = False, until_told: int | None = None, seeds: int = 3) -> Question:
    task: Task = "decoder" if measure in ("perplexity", "bits-per-byte") else "classifier"
    variants = variants_of(task, ["n_layer=1,2"], None, ())
    return Question("report", RECIPES[task], variants, tuple(range(seeds)), measure, validate, 1, until_told)


def classifiers(*accuracies: float | None) -> list[ClassifierRun]:
    """A run for each; None: one at chance."""
    return [
        classifier_run(
            trained=one is not None,
            test={"all": GroupAccuracy(4, one or 25.0)},
            predictions=[1] * 4 if one is None else [int(100 * row >= 4 * one) for row in range(4)],
        )
        for one in accuracies
    ]


def test_accuracy_is_compared_where_both_trained_over_seeds_and_rows() -> None:
    ours, theirs = classifiers(75.0, None, 100.0, 75.0), classifiers(50.0, 75.0, 50.0, None)
    test = Rows([0] * 4, [0, 0, 1, 1], [False] * 4)
    question = asked("accuracy")
    found = effect_of(question, ours, theirs, test, 0.95)
    assert found is not None
    assert (found.both.mean, found.both.n) == (37.5, 2)
    assert found.seeds == paired_difference([75.0, 100.0], [50.0, 50.0])
    assert found.items is not None
    assert found.both.error is not None
    assert found.seeds is not None
    assert found.both.error == crossed(found.seeds, hits_by_stretch(ours[::2], theirs[::2], test, "all")).both.error
    assert effect_of(question, classifiers(None, 75.0), classifiers(75.0, None), test, 0.95) is None
    folds = effect_of(asked("accuracy", validate=True), ours, theirs, None, 0.95)
    assert folds is not None
    assert folds.both == paired_difference([75.0, 100.0], [50.0, 50.0], shared=0.25)
    time = effect_of(asked("training-time"), ours, theirs, test, 0.99)
    assert time is not None
    assert (time.both.n, time.both.mean) == (4, 1)  # whether they trained or not


def test_an_opponents_interval_is_as_sure_as_those_beside_it() -> None:
    question, ours, theirs = asked("accuracy", validate=True), [60.0, 62.0, 61.0], [50.0, 55.0, 52.0]
    for confidence in (0.95, 0.99):
        found = compared_opponent(question, "it", ours, theirs, confidence)
        assert found.estimate == paired_difference(ours, theirs, 0.25, confidence)
    assert compared_opponent(asked("accuracy"), "it", [60.0], theirs, 0.95).estimate is None  # measured on the test set


def test_perplexity_is_compared_over_seeds_and_lines() -> None:
    def decoders(*perplexities: float) -> list[DecoderRun]:
        scores = [{text: LanguageScores(one * (1 + folder), None, 1.0, 0.0) for folder, text in enumerate("ab")}
                  for one in perplexities]  # fmt: skip
        nats = [
            {text: [10 * log(one), 20 * log(one) + folder] for folder, text in enumerate("ab")} for one in perplexities
        ]
        tokens = {text: [10.0, 20.0] for text in "ab"}
        return [decoder_run(scores=one, stretch_nats=other, stretch_tokens=tokens) for one, other in zip(scores, nats)]

    ours, theirs = decoders(2.0, 3.0, 4.0), decoders(4.0, 7.0, 6.0)
    found = effect_of(asked("perplexity"), ours, theirs, None, 0.95)
    assert found is not None
    assert found.seeds is not None
    assert found.seeds.low == pytest.approx(paired_ratio([2.0, 3.0, 4.0], [4.0, 7.0, 6.0]).low)
    assert found.items is not None
    assert found.items.n == 4  # stretches of both texts
    folds = effect_of(asked("perplexity", validate=True), ours, theirs, None, 0.95)
    assert folds is not None
    assert folds.items is None
    assert folds.both.error == pytest.approx(found.seeds.error * (7 / 4) ** 0.5)
    bits = effect_of(asked("bits-per-byte"), ours, theirs, None, 0.95)
    assert bits is not None
    assert bits.items is None
    surer = effect_of(asked("perplexity"), ours, theirs, None, 0.99)
    assert surer is not None
    assert surer.both.high is not None
    assert found.both.high is not None
    assert surer.both.high > found.both.high
    assert verdict_of(asked("perplexity"), found.both) == "cannot tell" if found.both.high > 1 else "better"


@pytest.mark.parametrize(
    ("measure", "low", "high", "expected"),
    [
        ("accuracy", 0.1, 1.0, "better"), ("accuracy", -1.0, -0.1, "worse"), ("accuracy", 0.0, 1.0, "cannot tell"),
        ("perplexity", 0.8, 0.9, "better"), ("perplexity", 1.1, 1.2, "worse"), ("perplexity", 0.9, 1.0, "cannot tell"),
        ("training-time", 0.8, 0.9, "better"), ("macro-f1", None, None, "cannot tell"),
    ],
)  # fmt: skip
def test_a_variant_is_better_or_worse_where_the_whole_interval_is(
    measure: Score, low: float | None, high: float | None, expected: str
) -> None:
    question = asked(measure)
    mean = 1.0 if low is None or high is None else (low + high) / 2
    assert verdict_of(question, Estimate(mean, low, high, None, mean, 3, ratio=not question.in_points)) == expected


@pytest.mark.slow
def test_until_told_trains_more_seeds_of_what_is_undecided(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variant that is better by construction is told at the first look, one that changes nothing at none."""
    trained: list[str] = []
    perform_all = engine.perform_all

    def counted(runs: Sequence[Run], *rest: Any) -> list[TrainedRun]:
        trained.extend(run.name for run in runs if run.name not in trained)
        return perform_all(runs, *rest)

    monkeypatch.setattr(engine, "perform_all", counted)
    variants = variants_of("decoder", (), None, ("unigram_bias=true", "beta2=0.9"))  # the rate is next to nothing
    question = Question("report", RECIPES["decoder"], variants, tuple(range(3, 8)), "perplexity", until_told=12)
    results = compare(question, data, Folder(tmp_path, torch.device("cpu")), "the command")
    assert [len(one.values) for one in results.variants] == [12, 5, 12]
    assert [one.verdict for one in results.variants] == [None, "better", "cannot tell"]
    assert results.seeds == list(range(3, 15))
    assert results.looks == [5, 10, 12]
    assert results.confidence == confidence_of_looks([5, 10, 12]) > 0.96
    assert len(trained) == 12 + 5 + 12
    assert [row[2] for row in comparison(results).rows[:3]] == ["12", "5", "12"]
    assert "They pay for looks at 5, 10 and 12 seeds" in comparison(results).note
    two = dict(list(variants.items())[:2])
    told = compare(replace(question, variants=two), data, Folder(tmp_path, torch.device("cpu")), "the command")
    assert [len(one.values) for one in told.variants] == [5, 5]


def test_until_told_is_no_fewer_than_the_first_seeds() -> None:
    with pytest.raises(UserError, match="--until-told 2: fewer than --seeds 3; give more"):
        asked("accuracy", until_told=2)


def test_where_too_few_trained_together_it_is_told_how_many_train() -> None:
    question, test = asked("accuracy"), Rows([0] * 4, [0, 0, 1, 1], [False] * 4)
    base = classifiers(75.0, 50.0, 75.0, 75.0, 50.0)
    for variant, expected in (
        (classifiers(None, None, None, None, None), "worse"),
        (classifiers(None, None, 100.0, None, None), "worse"),  # one pair has no interval
        (classifiers(None, None, 100.0, 100.0, 75.0), "cannot tell"),
    ):
        assert compared(question, "n_layer=2", variant, base, test, 0.95).verdict == expected
        turned = {"worse": "better"}.get(expected, expected)
        assert compared(question, "n_layer=2", base, variant, test, 0.95).verdict == turned
    assert compared(question, "n_layer=2", base[:1], base[:1], test, 0.95).verdict == "cannot tell"


def test_what_would_tell_of_a_variant_and_what_it_costs() -> None:
    question, values = asked("training-time"), [1.0, 1.2, 1.1]
    runs, base = ([classifier_run(train_seconds=60 * one) for one in own] for own in (values, [1.0, 1.3, 1.3]))
    one = compared(question, "n_layer=2", runs, base, None, 0.95)
    assert one.verdict == "cannot tell"
    assert one.estimate is not None
    assert one.seeds_needed == seeds_needed(one.estimate, above=1.0)
    assert one.seeds_needed is not None
    assert to_tell(one) == f"about {one.seeds_needed} seeds: {(one.seeds_needed - 3) * 1.1:.1f} minutes more"
    assert compared(question, "n_layer=2", runs, None, None, 0.95).verdict is None


def test_a_setting_that_varies_twice_is_refused() -> None:
    with pytest.raises(UserError, match="norm is given twice"):
        variants_of("decoder", ["norm=post,pre", "norm=none"], None, ())


def test_variants_are_values_combinations_or_given_one_by_one() -> None:
    grid = variants_of("decoder", ["positions=learned,rope", "n_layer=1,2"], "dropout=0.1", ())
    assert list(grid.values()) == [
        {"dropout": 0.1, "positions": positions, "n_layer": n} for positions in ("learned", "rope") for n in (1, 2)
    ]
    given = variants_of("decoder", (), "n_layer=2", ("norm=pre", "norm=none tied=true"))
    assert list(given.values()) == [
        {"n_layer": 2}, {"n_layer": 2, "norm": "pre"}, {"n_layer": 2, "norm": "none", "tied": True},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("vary", "complaint"),
    [((), "there is nothing to compare"), (("n_layer=2,2",), "two variants are the same"),
     (("n_layer=4", "norm=post,post"), "two variants are the same")],
)  # fmt: skip
def test_a_question_needs_two_variants(vary: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        Question("report", RECIPES["decoder"], variants_of("decoder", vary, None, ()), (0,), "perplexity")


def test_variants_that_are_the_same_recipe_are_refused() -> None:
    question = Question(
        "report", RECIPES["decoder"], variants_of("decoder", (), None, ("positions=learned",)), (0,), "perplexity"
    )
    with pytest.raises(UserError, match="'as it is' and 'positions=learned' are the same recipe"):
        question.recipes()


def test_a_measure_is_of_its_task() -> None:
    with pytest.raises(UserError, match="--measure accuracy is not of a decoder; choose perplexity"):
        Question("report", RECIPES["decoder"], variants_of("decoder", ["n_layer=1,2"], None, ()), (0,), "accuracy")


def test_the_best_of_one_is_the_mean_and_of_many_the_best() -> None:
    values = [1.0, 2.0, 6.0]
    found = expected_best(values, higher_is_better=True)
    assert found[0] == pytest.approx(3.0)
    assert found[1] == pytest.approx((1 * 1 + 2 * 3 + 6 * 5) / 9)  # of nine pairs, with replacement
    assert expected_best(values, higher_is_better=False)[1] == pytest.approx((1 * 5 + 2 * 3 + 6 * 1) / 9)


def test_the_command(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["compare", "--task", "decoder", "--data-dir", str(data_folder), "--vary", "positions=learned,none"]
    given += ["--base", "n_layer=1 n_embd=8 ff_dim=8 iterations=2", "--seeds", "2", "--workers", "1"]
    assert main.main(given) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("Next: python main.py ")
    results = json.loads((tmp_path / "runs" / "compare" / "results.json").read_text())
    assert data_said(tmp_path / "runs" / "compare")["folder"] == str(data_folder)
    assert [one["settings"]["positions"] for one in results["variants"]] == ["learned", "none"]
    assert main.main(["compare", "--vary", "nrom=pre,post"]) == 2
    assert "did you mean norm" in capsys.readouterr().err
