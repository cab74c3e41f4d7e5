"""The ablation: every change changes something, folds of the training files are all that it reads, and the better
variant comes out better."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import msgspec
import pytest
import torch
from studies.ablation import CHANGES, WHOLE, chosen, question_of
from studies.report import read_ablation
from tiny import classifier_of, data_said, decoder_of, perform
from worlds import ABOUT, machine
from worlds import ablation as made_up_ablation

import main
from common.files import UserError, write_json
from dataset import Data, load_data, validation_split
from evaluation.opponents import BASELINE_NAMES, NGRAM_NAMES
from evaluation.statistics import paired_difference, paired_ratio
from reporting import documents, terminal
from studies import ablation
from studies.catalogue.recipes import FF_DIMS, RECIPES
from studies.settings import MEASURES
from studies.workers import file_name
from training.recipe import Recipe, Run, Task, TrainingConfig, customise
from training.runs import Folder
from transformer import TransformerConfig

GOOD, BAD = 1e-2, 1e-9  # learning rates: with the second one nothing is learned


@pytest.mark.parametrize("task", CHANGES)
def test_every_change_is_a_recipe_of_its_own(task: Task) -> None:
    question = question_of(task, list(CHANGES[task]), (0, 1), 2)
    recipes = question.recipes()  # which refuses two that are the same
    assert list(recipes) == [WHOLE, *CHANGES[task]]
    assert len(set(map(file_name, recipes))) == len(recipes)
    assert recipes[WHOLE] == customise(RECIPES["best"][task], ff_dim=question.recipe.architecture.ff_dim)
    assert (question.validate, question.measure, question.n_workers) == (True, MEASURES[task][0], 2)


def test_changes_are_chosen_by_name() -> None:
    assert chosen() == {task: list(changes) for task, changes in CHANGES.items()}
    assert chosen("decoder") == {"decoder": list(CHANGES["decoder"])}
    twice = ["width 64", "no weight decay", "width 64"]  # the order is the table's
    assert chosen("decoder", twice) == {"decoder": ["no weight decay", "width 64"]}
    assert chosen(None, ["width 64"]) == {"classifier": ["width 64"], "decoder": ["width 64"]}
    assert chosen(None, ["no attention"]) == {"classifier": ["no attention"]}


def test_a_name_that_no_change_has_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(
        UserError, match=r"the best decoder has no change called 'no wieght decay'; did you mean 'no weight decay"
    ):
        chosen("decoder", ["width 64", "no wieght decay"])
    with pytest.raises(UserError, match="the best decoder has no change called 'no attention'"):
        chosen("decoder", ["no attention"])  # the classifier's
    with pytest.raises(
        UserError, match=r"the best recipe has no change called 'x'; did you mean '[^']+' or '[^']+' or '[^']+'\?$"
    ):
        chosen(None, ["x"])


def plant(task: Task, whole: float, change: float, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A best recipe, and one change to it that differs from it in its learning rate alone."""
    small = TransformerConfig(n_embd=8, n_layer=1, block_size=8, ff_dim=8, initialisation="pytorch")
    architecture = (classifier_of if task == "classifier" else decoder_of)(small)
    training = TrainingConfig(batch_size=8, learning_rate=whole)
    recipe = Recipe(task, architecture, training, duration=40 if task == "classifier" else 60)
    monkeypatch.setitem(RECIPES["best"], task, recipe)
    monkeypatch.setitem(FF_DIMS, "best", (8,))
    monkeypatch.setitem(CHANGES, task, {"planted": {"learning_rate": change}})
    return recipe


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "ablation", torch.device("cpu"))


@pytest.mark.parametrize(("whole", "change"), [(BAD, GOOD), (GOOD, BAD)], ids=["better", "worse"])
@pytest.mark.slow
def test_a_change_that_is_better_by_construction_comes_out_better_and_the_test_set_is_not_read(
    whole: float, change: float, data: Data, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = {task: plant(task, whole, change, monkeypatch) for task in CHANGES}
    corpus = replace(data.corpus, test=[], test_texts={})
    untouchable = replace(data, corpus=corpus, test=None, seen=None, test_streams=None)  # type: ignore[arg-type]
    changes: dict[Task, list[str]] = {"classifier": ["planted"], "decoder": ["planted"]}
    results = ablation.ablation(changes, (0, 1, 2), untouchable, folder, "python main.py ablation", n_workers=1)
    assert [one.task for one in results.tasks] == list(changes)
    assert results.n_changes == 2
    for one, names in zip(results.tasks, (BASELINE_NAMES, NGRAM_NAMES)):
        assert (one.command, one.on, one.measure) == ("ablation", "validation", MEASURES[one.task][0])
        assert [row.name for row in one.variants] == [WHOLE, "planted"]
        opponents = {row.name: row for row in one.opponents}
        assert list(opponents) == list(names.values())
        whole_recipe, planted = one.variants
        assert whole_recipe.estimate is None
        if one.task == "classifier":  # of 12 rows a fold; of the ones that learn nothing no accuracy is compared
            sign = 1 if change == GOOD else -1
            assert sign * (fmean(planted.values) - fmean(whole_recipe.values)) > 20
            assert opponents[BASELINE_NAMES["majority"]].values == pytest.approx([100 / 3] * 3)
        else:  # a ratio of perplexities: the smaller the better, and the interval says so
            assert planted.verdict == ("better" if change == GOOD else "worse")
            assert planted.estimate is not None
            assert planted.estimate.mean < 0.95 if change == GOOD else planted.estimate.mean > 1.05
            assert all(len(set(row.values)) == 3 for row in opponents.values())  # the trigram's, too, are of folds
        for row in one.opponents:
            compared = paired_difference if one.task == "classifier" else paired_ratio
            assert row.estimate == compared(row.values, whole_recipe.values, shared=0.25)
        run = Run(one.task, recipes[one.task], seed=2, fold=2)
        record = perform(run, data, Folder(tmp_path, torch.device("cpu")))
        value = (
            record["test"]["all"]["accuracy"]
            if one.task == "classifier"
            else record["scores"]["validation"]["perplexity"]
        )
        assert whole_recipe.values[2] == value  # seed 2 is measured on fold 2
    assert not list(folder.path.glob("*.safetensors"))  # of an ablation nobody needs the weights


def folder_of(folder: Path, rows: str) -> Data:
    text = "".join(f"we hope for day {line} .\n" for line in range(40))
    for name, content in {"train_CLS.tsv": rows, "test_CLS.tsv": rows, "train_LM.txt": text}.items():
        (folder / name).write_text(content)
    (folder / "test_LM_one.txt").write_text(text)
    return load_data(folder, block_size=8)


@pytest.mark.slow
def test_a_fold_that_leaves_one_class_is_measured_like_any_other(
    tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"0\twe hope for day {row} .\n" for row in range(14)) + "1\tthey work and rest .\n"
    data = folder_of(tmp_path, rows)
    plant("classifier", GOOD, BAD, monkeypatch)
    seeds = tuple(range(5))
    results = ablation.ablation({"classifier": ["planted"]}, seeds, data, folder, "", n_workers=1)
    (found,) = results.tasks
    values = {row.name: row.values for row in found.variants} | {row.name: row.values for row in found.opponents}
    assert [len(found) for found in values.values()] == [5] * (2 + len(BASELINE_NAMES))
    alone = next(seed for seed in seeds if len(validation_split(data, seed).train.labels.unique()) == 1)
    for name in BASELINE_NAMES.values():
        assert values[name][alone] == pytest.approx(200 / 3)  # all but the row of the rare class


def test_rows_that_are_too_few_for_folds_are_refused_before_anything_is_trained(tmp_path: Path, folder: Folder) -> None:
    data = folder_of(tmp_path, "0\twe hope\n0\twe  hope\n1\tthey work\n1\tthey rest\n")
    with pytest.raises(UserError) as caught:
        ablation.ablation(chosen("classifier"), range(5), data, folder, "", n_workers=1)
    path = tmp_path / "train_CLS.tsv"
    assert str(caught.value) == f"{path}: too few different rows for 5 folds to tune with; use more rows"
    assert not folder.path.exists()


def test_the_command_makes_a_choice_cheap_and_logs_it(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = customise(RECIPES["best"]["decoder"], n_embd=8, n_spellings=16, duration=2)
    monkeypatch.setitem(RECIPES["best"], "decoder", small)
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "docs" / "log.md"
    log.parent.mkdir()
    log.write_text("# Log\n")
    given = ["ablation", "--task", "decoder", "--changes", "no weight decay", "a dropout of 0.2", "--workers", "1"]
    given += ["--seeds", "2", "--data-dir", str(data_folder), "--log", str(log)]
    assert main.main(given) == 0
    assert sorted(path.stem for path in (tmp_path / "runs" / "ablation" / "runs").glob("*seed1.json")) == [
        f"decoder-{name}-seed1" for name in ("a-dropout-of-0.2", "no-weight-decay", "the-recipe")
    ]
    assert data_said(tmp_path / "runs" / "ablation")["folder"] == str(data_folder)
    assert "best decoder" in capsys.readouterr().out
    assert main.main([*given, "--resume"]) == 0
    first, *sections = log.read_text().split("\n## ")
    assert first == "# Log\n"
    assert len(sections) == 2
    for section in sections:
        assert section[:4].isdigit()
        assert "changes to the best decoder" in section
        assert " --seeds 2 --workers 1 --task decoder --changes 'no weight decay' 'a dropout of 0.2' --log " in section
        assert "2 settings tried" in section
        assert "seeds 0, 1" in section
        assert (
            "| variant | parameters | seeds | perplexity | middle half of the seeds | against the recipe |" in section
        )
        rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| ")]
        names = [WHOLE, "a dropout of 0.2", "no weight decay", *NGRAM_NAMES.values()]
        assert rows[1:] == [f"| {name.replace('<', '&lt;')}" for name in names]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--task", "decoder", "--changes", "no wieght decay"], "did you mean 'no weight decay'"),
        (["--task", "decoder", "--docs", "README.md"], "--docs takes the whole ablation"),
        (["--changes", "no weight decay", "--docs", "README.md"], "--docs takes the whole ablation"),
        (["--log", "folder"], "folder: cannot be read"),
    ],
)
def test_bad_use_is_refused_before_anything_runs(
    words: list[str],
    complaint: str,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "README.md").write_text("<!-- ablation -->\n<!-- /ablation -->\n")
    assert main.main(["ablation", "--data-dir", str(data_folder), *words]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_the_readme_gets_the_tables(tmp_path: Path) -> None:
    results = made_up_ablation(
        classifier={WHOLE: [60.0, 62.0], "no luck": [57.0, 61.0]},
        decoder={WHOLE: [100.0, 100.0], "no <unk>": [50.0, 50.0]},
    )
    results = msgspec.structs.replace(
        results,
        tasks=[msgspec.structs.replace(one, machines=[machine(), machine(torch="1.0")]) for one in results.tasks],
    )
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- ablation -->\nstale\n<!-- /ablation -->\nafter\n")
    documents.fill_ablation(readme, results)
    text = readme.read_text()
    assert "stale" not in text
    assert (text.splitlines()[0], text.splitlines()[-1]) == ("before", "after")
    assert text.index("### Ablation of the best classifier") < text.index("### Ablation of the best decoder")
    rows = {line.split(" | ")[0]: line.split(" | ") for line in text.splitlines() if line.startswith("| ")}
    assert rows["| no &lt;net>"][3:6] == ["200.0 ± 0.0", "-", "+100.0 %"]  # two that agree exactly: no interval
    assert rows["| no luck"][3] == "59.0 ± 2.8"
    assert rows["| no luck"][5].startswith("\N{MINUS SIGN}2.0 [")
    assert rows["| no &lt;unk>"][5] == "\N{MINUS SIGN}50.0 %"
    assert "folds of the training text; the test set was not read" in text
    assert "commit 0123456789" in text
    assert (
        text.count("A mixture: these runs come from different PyTorch versions (2.4.1, 1.0)") == 2
    )  # below each table
    assert "200.0 ± 0.0" in terminal.ablation_text(results)


def test_an_ablation_is_read_back_and_one_of_earlier_versions_refused(tmp_path: Path) -> None:
    results = made_up_ablation(decoder={WHOLE: [100.0, 110.0], "no x": [50.0, 60.0]})
    write_json(tmp_path / "new.json", results)
    assert read_ablation(tmp_path / "new.json") == results
    old = {"command": "ablation", "data": ABOUT, "command_line": "", "seeds": [0], "rows": [], "total_seconds": 1.0}
    write_json(tmp_path / "old.json", old)
    with pytest.raises(UserError, match=r"old\.json: .*not the results of python main\.py ablation"):
        read_ablation(tmp_path / "old.json")
