"""Every setting of a recipe is known by its name, explained, and read from words or refused in one line."""

import os
from pathlib import Path

import pytest

import main
from common.files import UserError
from reporting.terminal import settings_text
from studies.catalogue.recipes import DURATIONS, RECIPES, label_of, word
from studies.settings import read_settings, settings, settings_in_words, with_settings
from training.recipe import OF_THE_OTHER_TASK, Task, customise, settings_of

TASKS: tuple[Task, ...] = ("classifier", "decoder")


@pytest.mark.parametrize("task", TASKS)
def test_every_setting_of_a_recipe_can_be_given_and_reaches_it(task: Task) -> None:
    recipe, known = RECIPES["report"][task], settings(task)
    own = settings_of(recipe).keys() - {"task", *OF_THE_OTHER_TASK[task]}
    assert {one.field for one in known.values()} == own
    for name, one in known.items():
        assert one.meaning, name
        value = settings_of(recipe)[one.field]
        assert read_settings(task, [f"{name}={word(value)}"]) == {name: value}
        assert with_settings(recipe, {name: value}) == recipe
    changed = with_settings(recipe, read_settings(task, ["dropout=.25", "n-layer=2", "norm=pre", "clip=none"]))
    assert (changed.architecture.dropout, changed.architecture.n_layer, changed.architecture.norm) == (0.25, 2, "pre")
    duration = next(name for name, owner in DURATIONS.items() if owner == task)
    assert with_settings(recipe, read_settings(task, [f"{duration}=3"])).duration == 3


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nrom=pre"], "nrom: the classifier has no such setting; did you mean norm"),
        (["tied=true"], "tied: a setting of the decoder, not of the classifier"),
        (["norm=before"], "norm=before: takes post, pre, none"),
        (["n_layer=1.5"], "n_layer=1.5: takes a whole number"),
        (["dropout=much"], "dropout=much: takes a number"),
        (["window=far"], "window=far: takes a whole number or none"),
        (["batch_norm=2"], "batch_norm=2: takes true or false"),
        (["dropout"], "'dropout' is no setting; write name=value"),
        (["dropout=0.1", "dropout=0.2"], "dropout is given twice, as 0.1 and 0.2"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(UserError) as refused:
        read_settings("classifier", words)
    assert str(refused.value).startswith(complaint)


def test_settings_are_written_as_they_are_read() -> None:
    words = ["positions=none", "window=none", "batch_norm=true", "dropout=0.2"]
    assert settings_in_words(read_settings("classifier", words)).split() == words
    assert settings_in_words({}) == "as it is"


def test_a_label_names_every_setting_that_is_another_and_other_tokens() -> None:
    recipe = RECIPES["report"]["classifier"]
    changed = customise(recipe, dropout=0.2, batch_norm=True, duration=3)
    assert label_of("report", recipe) == "report recipe"
    changes = label_of("report", changed, "BPE tokens").split(", ")
    assert sorted(changes) == ["BPE tokens", "batch-norm", "dropout 0.2", "epochs 3", "report recipe"]


def test_threads_wait_asleep_unless_somebody_wants_it_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, kept in ((None, "1000"), ("7", "7")):
        monkeypatch.setattr(os, "environ", {} if given is None else {"GOMP_SPINCOUNT": given})
        assert main.main(["settings"]) == 0
        assert os.environ["GOMP_SPINCOUNT"] == kept


def test_the_command_shows_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["settings"]) == 0
    said = capsys.readouterr().out
    assert said.strip() == settings_text().strip()
    for task in TASKS:
        assert all(f"\n{name} " in said for name in settings(task))


def test_set_and_an_option_are_not_given_both(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["part1", "--data-dir", str(data_folder), "--dropout", "0.1", "--set", "dropout=0.2"]
    assert main.main(given) == 2
    assert "dropout is given by --set and by its option" in capsys.readouterr().err
    given = ["part2", "--data-dir", str(data_folder), "--set", "ff_dim=8"]
    assert main.main(given) == 2
    assert "--set ff_dim does nothing here, where each model has its own; use --ff-dims" in capsys.readouterr().err
    small = ["--epochs", "1", "--set", "n_embd=8", "n_layer=1", "head_dim=0", "norm=pre"]
    assert main.main(["part1", "--data-dir", str(data_folder), *small]) == 0
    assert "head-dim 0" in " ".join(capsys.readouterr().out.split())
