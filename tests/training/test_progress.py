"""What is said while one waits."""

import multiprocessing
from types import SimpleNamespace
from typing import Any

import pytest

from training import progress
from training.progress import Progress, Tally, duration, in_words


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still until it is set."""
    found = SimpleNamespace(now=100.0)
    monkeypatch.setattr("training.progress.time.monotonic", lambda: found.now)
    return found


def test_a_line_for_each_thing_that_is_done(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally("runs", 3)
    for name in "abc":
        clock.now += 60
        tally.done(name)
    assert capsys.readouterr() == (
        "",
        "runs: 1 of 3 done (a); about 2 min left\nruns: 2 of 3 done (b); about 60 s left\nruns: 3 of 3 done (c)\n",
    )


EPOCH = {"epoch": 2, "train_loss": 1.02345, "train_accuracy": 55.25, "test_accuracy": 51.333}


@pytest.mark.parametrize(("shown", "told"), [(True, True), (True, False), (False, True)])
def test_a_line_for_each_measurement(
    shown: bool, told: bool, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("classifier", 20, 5, shown, told) as bar:  # a run that goes on from step 5
        for _ in range(5):
            bar.step()
        clock.now += 3
        bar.show(EPOCH)
    line = "classifier: epoch 2 of 4, loss 1.023, train 55.2%, test 51.3%; about 6 s left\n"
    assert capsys.readouterr() == ("", line if shown and told else "")


@pytest.mark.parametrize(
    ("measurement", "share", "expected"),
    [
        (EPOCH, 1.0, "epoch 2 of 2, loss 1.023, train 55.2%, test 51.3%"),
        (
            {"iteration": 100, "train_loss": 5.0, "perplexity": {"train": 310.04, "a": 422.5, "b": 401.0}, "more": {}},
            0.2,
            "iteration 100 of 500, loss 5, test perplexity 401 to 422.5",
        ),
        ({"iteration": 1, "perplexity": {"train": 310.04}}, 1.0, "iteration 1 of 1, test perplexity 310 to 310"),
    ],
)
def test_a_measurement_in_words(measurement: dict[str, Any], share: float, expected: str) -> None:
    assert in_words(measurement, share) == expected


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (99.4, "99 s"), (100, "2 min"), (5900, "98 min"), (6000, "1 h 40 min"), (86400, "24 h 0 min")],
)
def test_times_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_only_the_first_process_that_is_no_worker_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    disabled = []
    monkeypatch.setattr(progress, "tqdm", lambda **settings: disabled.append(settings["disable"]))
    for parent in (None, object()):
        monkeypatch.setattr(multiprocessing, "parent_process", lambda parent=parent: parent)
        for shown in (True, False):
            Progress("run", 3, 0, shown)
    assert disabled == [None, True, True, True]  # None: where there is a terminal


def test_without_standard_error_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    progress.say("a line")
