"""What commands print, as approved texts of the made-up world (after a change: `--force-regen`, and read the diff)."""

from typing import Any

import pytest
from msgspec.structs import replace
from pytest_regressions.file_regression import FileRegressionFixture
from world.answers import ABOUT, MACHINE, SEEDS, answers_of, classifier_run, estimate

from evaluation.records import GroupAccuracy
from reporting.table import effect, spread
from reporting.terminal import settings_text, show
from studies.answers import Answers, JudgedPart, Judgement

TEXTS = {12: "This row is shown as far as there is room for it, and no further.", 345: "A short one."}
COMMANDS = ("part1", "part2", "part3", "report", "compare", "ablation", "measure", "positions", "tokenizers")


@pytest.fixture(autouse=True)
def _at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_prints_is_as_approved(command: str, file_regression: FileRegressionFixture) -> None:
    file_regression.check(show(answers_of(command), TEXTS), encoding="utf-8")


@pytest.mark.parametrize("columns", [40, 80, 100])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_wider_than_the_terminal(command: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = [line for line in show(answers_of(command), TEXTS).split("\n") if not line.startswith("python main.py")]
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize("command", ["part3", "compare", "ablation"])
def test_one_seed_gives_no_verdict_and_says_why(command: str) -> None:
    shown = show(answers_of(command, SEEDS[:1]))
    assert "One seed gives no intervals, so nothing can be judged" in " ".join(shown.split())
    assert "CANNOT TELL" not in shown
    assert "cannot tell:" not in shown
    assert "One seed gives no intervals" not in show(answers_of(command))


def at_chance(fell_back: bool, n_epochs: int = 15) -> Answers:
    run = classifier_run(33.3, 4, 0, trained=False, fell_back=fell_back)
    return answers_of("part1", classifier={"classifier": [replace(run, epochs=run.epochs[:n_epochs])]})


@pytest.mark.parametrize(
    ("answers", "warning"),
    [
        (at_chance(False), "This run stayed at chance"),
        (at_chance(True), "This run fell back to chance"),
        (at_chance(False), "With another --seed, training may succeed."),
        (at_chance(False, 2), "With --epochs 15, as the recipe has it, training may succeed."),
    ],
)
def test_a_run_at_chance_is_said_to_be(answers: Answers, warning: str) -> None:
    assert warning in " ".join(show(answers).split())
    assert "chance" not in show(answers_of("part1")).replace("By chance", "").replace("by chance", "")


@pytest.mark.parametrize("command", ["part1", "part2"])
def test_where_many_words_are_unknown_subwords_are_advised(command: str) -> None:
    def advises(tokenizer: str, **unknown: float) -> bool:
        return "--tokenizer bpe reads" in show(answers_of(command, unknown=unknown, tokenizer=tokenizer))

    assert advises("word", north=3.0, south=8.5)
    assert not advises("word", north=3.0, south=7.5)
    assert not advises("bpe", north=3.0, south=8.5)


def test_who_did_not_train_stands_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    levels = dict(zip(SEEDS, (50.0, 60.0, 70.0)))
    failed = [classifier_run(levels[seed], seed, 0, trained=seed != SEEDS[2], fell_back=False) for seed in SEEDS]
    answers = answers_of("measure", classifier={**answers_of("measure").classifier, "report": failed})
    shown = show(answers)
    of_all, of_trained = (str(spread([float(run.test["all"].accuracy or 0) for run in failed[:n]])) for n in (3, 2))
    lines = shown.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("the report's recipe"))
    assert "1 of 3" in shown
    assert of_all in lines[first]
    assert lines[first + 1].startswith("   the 2 that trained")
    assert of_trained in lines[first + 1]
    (row,) = answers.find(variant="best", base="report", measure="accuracy", subset="all")
    assert row.every_seed is not None
    assert str(effect(row.estimate, "points", bare=True)) in lines[first + 2]
    assert str(effect(row.every_seed, "points", bare=True)) in lines[first + 4]  # the label takes two lines
    assert (row.estimate.n, row.every_seed.n) == (2, 3)
    assert "Did not train: knows hardly more" in " ".join(shown.split())
    assert "id not train" not in show(answers_of("measure"))


SAME = {"all": 1200, "seen": 0, "unseen": 1200}


def unseen(command: str) -> Answers:
    """The answers as if no test row stood in the training rows."""
    answers = answers_of(command, data=replace(ABOUT, seen_rows=0))
    test: Any = {group: GroupAccuracy(n, None if group == "seen" else 50.5) for group, n in SAME.items()}
    runs = {name: [replace(run, test=test) for run in runs] for name, runs in answers.classifier.items()}
    opponents = {name: [replace(each[0], test=test)] for name, each in answers.classifier_opponents.items()}
    return replace(answers, classifier=runs, classifier_opponents=opponents)


@pytest.mark.parametrize("command", ["part1", "part3", "measure"])
def test_where_no_test_row_is_seen_nothing_is_said_of_it(command: str) -> None:
    assert "seen" not in show(unseen(command))
    assert "Warning: 300 of 1,200 test rows appear in the training file" in show(answers_of(command))


def test_one_opponent_and_one_text_are_enough() -> None:
    for command in ("part1", "part2", "measure"):
        answers = answers_of(command)
        one_text = {
            name: [replace(run, scores={"obama": run.scores["obama"]}) for run in runs]
            for name, runs in answers.decoder.items()
        }
        few = replace(
            answers,
            test_names=["obama"],
            decoder=one_text,
            classifier_opponents=dict([*answers.classifier_opponents.items()][:1]),
            decoder_opponents=dict([*answers.decoder_opponents.items()][:1]),
            comparisons=[
                row
                for row in answers.comparisons
                if row.base in ("report", "tfidf", "ngram") and row.subset not in ("hbush", "wbush")
            ],
        )
        assert "the best opponent" in " ".join(show(few).split())


def test_what_was_published_stands_beside_a_single_run_only_on_the_courses_data() -> None:
    for command, number in (("part1", "87.8"), ("part2", "348.0")):
        assert number not in show(answers_of(command))
        assert number in show(answers_of(command, data=replace(ABOUT, test_rows=750)))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"commit": "f" * 40}, "commits"),
        ({"processor": "Other"}, "processors"),
        ({"torch": "2.5"}, "PyTorch versions"),
        ({"threads": 2}, "numbers of threads"),
    ],
)
def test_a_mixture_is_said_to_be_one(change: dict[str, Any], word: str) -> None:
    answers = answers_of("compare")
    mixed = replace(answers, machines=[MACHINE, replace(MACHINE, **change)])
    assert f"A mixture: these runs come from different {word}" in " ".join(show(mixed).split())
    assert "A mixture" not in show(answers)


def test_every_machine_is_named() -> None:
    machines = [replace(MACHINE, processor=name) for name in ("Acme 9000", "Other 1")]
    shown = " ".join(show(replace(answers_of("compare"), machines=machines)).split())
    computed_on = shown.partition("Computed on: ")[2].partition("A mixture")[0]
    assert all(machine.processor in computed_on for machine in machines)


def test_a_verdict_says_what_would_tell() -> None:
    part = JudgedPart("gap", "the gap", "points", estimate(1.0), "cannot tell")
    claims = [
        Judgement("C1", "One.", "cannot tell", "rule", "A note.", [part], seeds_needed=23, minutes=10.0),
        Judgement("C2", "Two.", "cannot tell", "rule", "", [part]),
    ]
    shown = " ".join(show(replace(answers_of("part3"), claims=claims)).split())
    assert "C1 CANNOT TELL One. gap +1.0 [+0.0, +2.0] points needs 23 seeds (10 minutes) A note." in shown
    assert "C2 CANNOT TELL Two. gap +1.0 [+0.0, +2.0] points more seeds do not help" in shown


def test_names_that_people_choose_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["[bold]A|B[/bold]", "*C*", "D\nE"]
    answers = answers_of("part1", data=replace(ABOUT, class_names=names))
    assert "[bold]A|B[/bold], *C*, D E" in show(answers)


def test_settings_are_a_table_of_each_kind() -> None:
    shown = settings_text()
    for words in ("Settings of the classifier", "Settings of the decoder", "epochs", "iterations", "report / best"):
        assert words in shown
