"""What is said while one waits."""

import multiprocessing
from types import SimpleNamespace

import pytest

from training import progress
from training.progress import Progress, Tally
from training.records import Epoch, Iteration


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still until it is set."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("training.progress.time.monotonic", lambda: clock.now)
    return clock


@pytest.mark.parametrize(
    ("at_once", "total", "left"),
    [(1, 4, [3, 2, 1, None]), (2, 5, [2, 2, 1, 1, None]), (3, 2, [None, None])],
)
def test_what_is_done_at_once_takes_its_time_once(
    at_once: int, total: int, left: list[int | None], clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of things that take 10 s each, so many at the same time."""
    tally = Tally("runs", total, at_once)
    for number in range(total):
        clock.now += 0 if number % at_once else 10
        tally.done("a")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("; ")[2] for line in lines] == [f"{10 * n}.0 s left" if n else "" for n in left]


def test_nothing_is_said_of_one_thing_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Tally("runs", 1).done("a")
    assert capsys.readouterr().err == ""


EPOCH = Epoch(epoch=2, train_loss=1.02345, train_accuracy=55.25, test_accuracy=51.333)


def test_a_line_for_a_measurement(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("classifier", 20, 5) as bar:  # a run that goes on from step 5
        for _ in range(5):
            bar.step()
        clock.now += 3
        bar.show(EPOCH, 10)
    line = "classifier: epoch 2 of 4, loss 1.023, train 55.2%, test 51.3%; 6.0 s left\n"
    assert capsys.readouterr() == ("", line)


def test_a_measurement_of_a_decoder_in_words() -> None:
    perplexities = {"train": 310.04, "a": 422.5, "b": 401.0}
    iteration = Iteration(iteration=100, train_loss=5.0, perplexity=perplexities)
    assert iteration.in_words(0.2) == "iteration 100 of 500, perplexity 401 to 422.5"
    without_texts = Iteration(iteration=1, train_loss=5.123, perplexity={"train": 310.04})
    assert without_texts.in_words(1.0) == "iteration 1 of 1, perplexity 310 to 310"


@pytest.mark.parametrize("name", ["validation-batch-norm-dropout-0.5-seed0", "x" * 90, "decoder"])
def test_no_line_is_wider_than_a_terminal_and_both_ends_of_a_name_stay(
    name: str, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    bar, tally = Progress(name, 500, 0), Tally("inference lengths", 1000)
    bar.n_done, tally.n_done, clock.now = 400, 100, 20_000
    perplexities = {"train": 1.0, "a": 1234.5, "b": 9876.5}
    bar.show(Iteration(iteration=400, train_loss=12.345678, perplexity=perplexities), 400)
    tally.done(name)
    progress.say(f"{name * 3}: 3 of 4 runs are there already", name * 3)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert ": iteration 400 of 500, " in lines[0]
    assert all(len(line) <= 80 and line.endswith(("left", "already")) for line in lines)
    assert all(name[:2] in line and name[-2:] in line for line in lines)


def test_a_worker_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    disabled = []
    monkeypatch.setattr(progress, "tqdm", lambda **settings: disabled.append(settings["disable"]))
    for parent in (None, object()):
        monkeypatch.setattr(multiprocessing, "parent_process", lambda parent=parent: parent)
        Progress("run", 3, 0)
    assert disabled == [None, True]  # None: shown where there is a terminal
