"""A comparison: what is better by construction comes out better, and validation leaves the test set alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import classifier_of, data_said, decoder_of
from worlds import decoder_run, intercept

import main
from common.files import UserError
from dataset import Data
from reporting.comparison import compare_text, comparison, in_a_sentence, verdict
from studies.compare import Question, compare, draw, expected_best, perplexity_lines, variants_of
from training.recipe import Recipe, Task, TrainingConfig
from training.records import Iteration
from training.runs import Place
from transformer import TransformerConfig

SMALL = TransformerConfig(n_embd=8, n_layer=1, block_size=8, ff_dim=8, initialisation="pytorch")
RECIPES: dict[Task, Recipe] = {
    "classifier": Recipe("classifier", classifier_of(SMALL), TrainingConfig(batch_size=8), duration=30),
    "decoder": Recipe("decoder", decoder_of(SMALL), TrainingConfig(batch_size=8, learning_rate=1e-9), duration=5),
}
BETTER: dict[Task, str] = {"classifier": "learning_rate=1e-9,1e-2", "decoder": "unigram_bias=false,true"}


@pytest.mark.parametrize("validate", [False, True])
@pytest.mark.parametrize("task", RECIPES)
def test_a_variant_that_is_better_by_construction_comes_out_better(
    task: Task, validate: bool, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = variants_of(task, [BETTER[task]], None, ())
    question = Question(
        "report", RECIPES[task], variants, (0, 1, 2), "accuracy" if task == "classifier" else "perplexity", validate
    )
    if validate:  # nothing of the test set may be needed
        broken = replace(data.test, labels=torch.full_like(data.test.labels, -1)) if task == "classifier" else data.test
        data = replace(data, test=broken, test_streams={} if task == "decoder" else data.test_streams)
    results = compare(question, data, Place(tmp_path, torch.device("cpu")), "the command")
    base, better = results.variants
    names = ["learning_rate=1e-09", "learning_rate=0.01"] if task == "classifier" else BETTER["decoder"].split(",")
    assert base.name == names[0]
    assert base.estimate is None
    assert [verdict(one, results) for one in (base, better)] == [None, "better"]
    assert len(better.values) == 3
    assert results.on == ("validation" if validate else "test")
    assert all(len(found) == (3 if validate else 1) for found in results.opponents.values())
    assert len(results.expected_best) == (2 if validate else 0)
    assert in_a_sentence(results) == f"Better than {base.name}: {better.name}. Best on average: {better.name}."
    assert [row[0] for row in comparison(results).rows] == [base.name, better.name, *results.opponents]
    assert ("test set was not read" in " ".join(compare_text(results).split())) == validate
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"differences.png", "curves.png"}
    turned = replace(question, variants=variants[::-1])
    worse = compare(turned, data, Place(tmp_path, torch.device("cpu")), "the command")  # the same runs
    assert [verdict(one, worse) for one in worse.variants] == [None, "worse"]
    drawn = intercept(monkeypatch)
    draw(results, tmp_path)
    curves, (point,) = drawn["curves.png"]["panels"].lines, drawn["differences.png"]["intervals"]
    assert (point.name, point.color) == (curves[1].name, 1)  # the second of the curves, which are coloured by place
    assert {line.color for line in curves} == {None}


def test_each_variant_reads_blocks_of_its_own_size(data: Data, tmp_path: Path) -> None:
    """With learned positions a row that is longer than the table cannot be read at all."""
    recipe = replace(RECIPES["classifier"], duration=1)
    for names in (["block_size=8,4"], ["block_size=4,8"]):
        question = Question("report", recipe, variants_of("classifier", names, None, ()), (0,), "accuracy")
        results = compare(question, data, Place(tmp_path, torch.device("cpu")), "the command")
        by_size = {one.settings["block_size"]: one for one in results.variants}
        assert by_size[8].n_parameters - by_size[4].n_parameters == 4 * 8  # of the position table
    seeds = compare(replace(question, seeds=(0, 1)), data, Place(tmp_path, torch.device("cpu")), "the command")
    assert seeds.variants[0].values[0] == results.variants[0].values[0]


def test_curves_are_of_what_is_measured_and_runs_at_chance_are_counted(data: Data, tmp_path: Path) -> None:
    iterations = [Iteration(n, 1.0, {"train": 1000.0, "a": value, "b": 4 * value}) for n, value in ((1, 8.0), (2, 2.0))]
    (line,) = perplexity_lines({"it": [decoder_run(iterations=iterations)]})
    assert (line.name, line.x, line.y) == ("it", [1, 2], [pytest.approx([16.0, 4.0])])
    variants = variants_of("classifier", ["learning_rate=1e-9,1e-2"], None, ())
    question = Question("report", RECIPES["classifier"], variants, (0, 1), "accuracy")
    results = compare(question, data, Place(tmp_path, torch.device("cpu")), "the command")
    assert [one.at_chance for one in results.variants] == [[True, True], [False, False]]
    assert [row[-1] for row in comparison(results).rows][:3] == ["2 of 2", "0 of 2", None]


def test_a_setting_that_varies_twice_is_refused() -> None:
    with pytest.raises(UserError, match="norm is given twice"):
        variants_of("decoder", ["norm=post,pre", "norm=none"], None, ())


def test_variants_are_values_combinations_or_given_one_by_one() -> None:
    grid = variants_of("decoder", ["positions=learned,rope", "n_layer=1,2"], "dropout=0.1", ())
    assert [dict(one) for one in grid] == [
        {"dropout": 0.1, "positions": positions, "n_layer": n} for positions in ("learned", "rope") for n in (1, 2)
    ]
    assert [dict(one) for one in variants_of("decoder", (), "n_layer=2", ("norm=pre", "norm=none tied=true"))] == [
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
    assert "Next: python main.py compare" in said
    results = json.loads((tmp_path / "runs" / "compare" / "results.json").read_text())
    assert data_said(tmp_path / "runs" / "compare")["folder"] == str(data_folder)
    assert [one["settings"]["positions"] for one in results["variants"]] == ["learned", "none"]
    assert main.main(["compare", "--vary", "nrom=pre,post"]) == 2
    assert "did you mean norm" in capsys.readouterr().err
