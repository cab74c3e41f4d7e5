"""The ablation: every change changes something, folds of the training files are all that it reads, and the better
variant comes out better."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch
from tiny import classifier_of, data_said, decoder_of, perform
from worlds import ABOUT, classifier_run, decoder_run

import main
from common.files import UserError, write_json
from dataset import Data, load_data, validation_split
from evaluation.statistics import Estimate
from reporting import documents, terminal
from studies import ablation
from studies.ablation import CHANGES, MEASURES, WHOLE, chosen, file_name, variants_of
from studies.opponents import BASELINE_NAMES, NGRAM_NAMES
from studies.report import read_ablation
from studies.results import AblationResults, AblationRow
from training.recipe import Recipe, Run, TrainingConfig, customise
from training.records import GroupAccuracy, LanguageScores, Machine
from training.runs import Place
from transformer import TransformerConfig

GOOD, BAD = 1e-2, 1e-9  # learning rates: with the second one nothing is learned


@pytest.mark.parametrize("task", CHANGES)
def test_every_change_is_a_recipe_of_its_own(task: ablation.Task) -> None:
    variants = variants_of(task)
    assert next(iter(variants)) == WHOLE
    assert len(set(variants.values())) == len(set(map(file_name, variants))) == len(variants)


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


def planted(task: ablation.Task, whole: float, change: float) -> dict[str, Recipe]:
    """A recipe and a change to it that differ in their learning rates alone."""
    small = TransformerConfig(n_embd=8, n_layer=1, block_size=8, ff_dim=8, initialisation="pytorch")
    training = TrainingConfig(batch_size=8, learning_rate=whole)
    recipe = Recipe(
        task,
        (classifier_of if task == "classifier" else decoder_of)(small),
        training,
        duration=40 if task == "classifier" else 60,
    )
    return {WHOLE: recipe, "planted": customise(recipe, learning_rate=change)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "ablation", torch.device("cpu"))


@pytest.mark.parametrize(("whole", "change"), [(BAD, GOOD), (GOOD, BAD)], ids=["better", "worse"])
@pytest.mark.slow
def test_a_change_that_is_better_by_construction_comes_out_better_and_the_test_set_is_not_read(
    whole: float, change: float, data: Data, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "variants_of", lambda task: planted(task, whole, change))
    corpus = replace(data.corpus, test=[], test_texts={})
    untouchable = replace(data, corpus=corpus, test=None, seen=None, test_streams=None)  # type: ignore[arg-type]
    changes: dict[ablation.Task, list[str]] = {"classifier": ["planted"], "decoder": ["planted"]}
    results = ablation.ablation(changes, (0, 1, 2), untouchable, place, "python main.py ablation", n_workers=1)
    for task, names in (("classifier", BASELINE_NAMES), ("decoder", NGRAM_NAMES)):
        rows = {row.variant: row for row in results.rows if row.task == task}
        assert list(rows) == [WHOLE, "planted", *names.values()]
        assert {row.measure for row in rows.values()} == {MEASURES[task]}  # type: ignore[index]
        assert rows[WHOLE].estimate is None
        estimate, sign = rows["planted"].estimate, 1 if change == GOOD else -1
        assert estimate is not None
        if task == "classifier":  # points, of 12 rows a fold
            assert sign * estimate.mean > 20
            assert rows[BASELINE_NAMES["majority"]].values == pytest.approx([100 / 3] * 3)
        else:  # a ratio of perplexities: the smaller the better, and the interval says so
            assert estimate.low is not None
            assert estimate.high is not None
            assert estimate.high < 0.95 if change == GOOD else estimate.low > 1.05
            assert all(len(set(row.values)) == 3 for row in rows.values())  # the trigram's, too, are those of folds
        run = Run(task, planted(task, whole, change)[WHOLE], seed=2, fold=2)  # type: ignore[arg-type]
        record = perform(run, data, Place(tmp_path, torch.device("cpu")))
        value = (
            record["test"]["all"]["accuracy"] if task == "classifier" else record["scores"]["validation"]["perplexity"]
        )
        assert rows[WHOLE].values[2] == value  # seed 2 is measured on fold 2
    assert not list(place.out.glob("*.safetensors"))  # of an ablation nobody needs the weights


def folder_of(folder: Path, rows: str) -> Data:
    text = "".join(f"we hope for day {line} .\n" for line in range(40))
    for name, content in {"train_CLS.tsv": rows, "test_CLS.tsv": rows, "train_LM.txt": text}.items():
        (folder / name).write_text(content)
    (folder / "test_LM_one.txt").write_text(text)
    return load_data(folder, block_size=8)


@pytest.mark.slow
def test_a_fold_that_leaves_one_class_is_measured_like_any_other(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"0\twe hope for day {row} .\n" for row in range(14)) + "1\tthey work and rest .\n"
    data = folder_of(tmp_path, rows)
    monkeypatch.setattr(ablation, "variants_of", lambda task: planted(task, GOOD, BAD))
    seeds = tuple(range(5))
    results = ablation.ablation({"classifier": ["planted"]}, seeds, data, place, "", n_workers=1)
    values = {row.variant: row.values for row in results.rows}
    assert [len(found) for found in values.values()] == [5] * (2 + len(BASELINE_NAMES))
    alone = next(seed for seed in seeds if len(validation_split(data, seed).train.labels.unique()) == 1)
    for name in BASELINE_NAMES.values():
        assert values[name][alone] == pytest.approx(200 / 3)  # all but the row of the rare class


def test_rows_that_are_too_few_for_folds_are_refused_before_anything_is_trained(tmp_path: Path, place: Place) -> None:
    data = folder_of(tmp_path, "0\twe hope\n0\twe  hope\n1\tthey work\n1\tthey rest\n")
    with pytest.raises(UserError) as caught:
        ablation.ablation(chosen("classifier"), range(5), data, place, "", n_workers=1)
    path = tmp_path / "train_CLS.tsv"
    assert str(caught.value) == f"{path}: too few different rows for 5 folds to tune with; use more rows"
    assert not place.out.exists()


def test_the_command_makes_a_choice_cheap_and_logs_it(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def small(task: ablation.Task) -> dict[str, Recipe]:
        return {
            name: customise(
                recipe, n_embd=8, duration=2, **({"n_spellings": 16} if recipe.architecture.n_spellings else {})
            )
            for name, recipe in variants_of(task).items()
        }

    monkeypatch.setattr(ablation, "variants_of", small)
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
        assert "| best decoder | validation perplexity | change |" in section
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


def results_of(rows: list[AblationRow]) -> AblationResults:
    machine = Machine("0123456789abcdef", True, "c0de", "3.11.9", "2.0", "a processor", 2, 1, 1)
    machines = [machine, msgspec.structs.replace(machine, torch="1.0")]
    return AblationResults("ablation", ABOUT, "python main.py ablation", [0, 1], machines, 2, rows, 120.0)


def test_the_readme_gets_the_tables(tmp_path: Path) -> None:
    rows = [
        ablation.row_of("decoder", WHOLE, [100.0, 100.0], [100.0, 100.0]),
        ablation.row_of("decoder", "no <unk>", [200.0, 200.0], [100.0, 100.0]),
        ablation.row_of("classifier", WHOLE, [60.0, 62.0], [60.0, 62.0]),
        ablation.row_of("classifier", "no luck", [57.0, 61.0], [60.0, 62.0]),
    ]
    results = results_of(rows)
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- ablation -->\nstale\n<!-- /ablation -->\nafter\n")
    documents.fill_ablation(readme, results)
    text = readme.read_text()
    assert "stale" not in text
    assert (text.splitlines()[0], text.splitlines()[-1]) == ("before", "after")
    assert text.index("### Ablation of the best decoder") < text.index("### Ablation of the best classifier")
    assert "| no &lt;unk> | 200.0 ± 0.0 | +100.0 % |" in text  # two that agree exactly: no interval
    assert "| no luck | 59.0 ± 2.8 | \N{MINUS SIGN}2.0 [" in text
    assert "seed s holds fold s of five of the training text out" in text
    assert "commit 0123456789 with uncommitted changes" in text
    assert text.count("A mixture: these runs come from different PyTorch versions (2.0, 1.0)") == 2  # below each table
    assert "200.0 ± 0.0" in terminal.ablation_text(results)


def test_results_that_were_measured_otherwise_are_refused(tmp_path: Path) -> None:
    """Earlier versions measured the decoder on the test texts: the note below the table would say what is not so."""
    row = ablation.row_of("decoder", WHOLE, [100.0, 110.0], [100.0, 110.0])
    write_json(tmp_path / "new.json", results_of([row]))
    assert read_ablation(tmp_path / "new.json") == results_of([row])
    write_json(tmp_path / "old.json", results_of([msgspec.structs.replace(row, measure="perplexity")]))
    with pytest.raises(UserError, match=r"old\.json: of an earlier version, which measured otherwise"):
        read_ablation(tmp_path / "old.json")


def test_a_row_says_how_far_a_variant_is_from_the_recipe() -> None:
    """In points for accuracies, as a ratio for perplexities; with all pairs alike the interval is a point."""
    row = ablation.row_of("classifier", "no x", [57.0, 61.0, 60.0], [60.0, 64.0, 63.0])
    estimate = Estimate(-3.0, -3.0, -3.0, 0.0, -3.0, 3, error=0.0, df=2)
    values = [57.0, 61.0, 60.0]
    assert row == AblationRow("classifier", "no x", "validation accuracy, %", values, "points", estimate)
    row = ablation.row_of("classifier", "no x", [57.0, 61.0], [60.0, 65.0])
    assert row.estimate is not None
    assert row.estimate.error == pytest.approx(0.5 * 3**0.5 * 2**-0.5)  # 1/2 + 1/4 of the variance
    row = ablation.row_of("decoder", "no y", [400.0, 200.0, 100.0], [200.0, 100.0, 50.0])
    assert (row.measure, row.unit, row.values) == ("validation perplexity", "ratio", [400.0, 200.0, 100.0])
    assert (row.task, row.variant) == ("decoder", "no y")
    assert row.estimate is not None
    assert (row.estimate.mean, row.estimate.low) == pytest.approx((2.0, 2.0))
    assert ablation.row_of("decoder", WHOLE, [400.0], [400.0]).estimate is None


def test_a_variant_is_measured_on_what_was_held_out() -> None:
    groups = {name: GroupAccuracy(9, value) for name, value in (("all", 61.0), ("seen", 62.0), ("unseen", 63.0))}
    assert ablation.measure(classifier_run(test=groups)) == 61.0
    assert ablation.measure(decoder_run(scores={"validation": LanguageScores(250.0, None, 1.0, 0.0)})) == 250.0
