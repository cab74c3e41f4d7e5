"""No number changes unseen: every golden run gives what was recorded, and what compares them sees what it must."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from golden import records
from golden.__main__ import main
from golden.cases import cases, outcome
from golden.differences import ABSENT, Difference, differences, flat, summarised
from golden.records import (
    FOLDER,
    close,
    elsewhere,
    environment,
    golden_runs,
    is_steady,
    read_about,
    read_fragile,
    read_records,
)
from golden.watch import shake, watched
from torch import nn

from training import loop

MOST = 12  # differences that a failure shows


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return read_records(FOLDER)


@pytest.mark.parametrize("run", golden_runs())
def test_a_golden_run_gives_what_was_recorded(run: str, recorded: dict[str, Any]) -> None:
    assert run in recorded, f'{run}: not recorded yet; python -m tests.golden --why "..."'
    found, about = golden_runs()[run](), read_about(FOLDER)
    here = all(about[name] == value for name, value in environment().items())
    fragile = read_fragile(FOLDER).get(run)
    rows = differences(run, recorded[run], found) if here else elsewhere(run, recorded[run], found, fragile)
    if rows:
        how = "bit by bit, on the processor of the record" if here else f"to {records.CLOSE}, on another processor"
        lines = [f"{len(rows)} numbers of the run differ from its record ({how}):", *summarised(rows, MOST)]
        lines += [f"It was recorded for: {about['why']}. If the change is meant: python -m tests.golden --why '...'"]
        pytest.fail("\n".join(lines), pytrace=False)


def test_every_record_has_its_run_and_a_reason(recorded: dict[str, Any]) -> None:
    assert recorded.keys() == golden_runs().keys()
    assert set(read_fragile(FOLDER)) <= recorded.keys()
    about = read_about(FOLDER)
    assert about["why"].strip()
    assert about.keys() == {"why", *environment()}


def test_a_run_is_the_same_twice_and_shaken_it_is_another_to_the_last_bits() -> None:
    case = cases()["small classifier, dropout"]
    once, again, shaken = outcome(case), outcome(case), outcome(case, shaken=1)
    assert differences("run", once, again) == []
    assert any(row.key.startswith("losses.") for row in differences("run", once, shaken))
    assert elsewhere("run", once, shaken) == []


def test_the_clock_of_a_run_is_moved_by_its_losses_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([0.5, 2.0])
    monkeypatch.setattr(loop, "training_step", lambda model: next(values))
    import time

    with watched() as losses:
        step: Any = loop.training_step
        times = [time.perf_counter()]
        for _ in range(2):
            step(nn.Linear(1, 1))
            times += [time.perf_counter(), time.perf_counter()]
    assert losses == [0.5, 2.0]
    assert times == [0.0, 0.5 / 1024, 0.5 / 1024, 2.5 / 1024, 2.5 / 1024]
    assert time.perf_counter() != time.perf_counter()


# ------------------------------------------------------------------------------------------------------- the comparison


def test_differences_by_hand() -> None:
    before = {"a": [1.0, {"b": True}], "c": "x", "gone": None, "same": [], "kind": 1}
    after = {"a": [1.0 + 2**-52, {"b": 1}], "c": "y", "new": 2, "same": [], "kind": 1.0}
    assert differences("run", before, after) == [
        Difference("run", "a.0", 1.0, 1.0000000000000002),
        Difference("run", "a.1.b", True, 1),
        Difference("run", "c", "x", "y"),
        Difference("run", "gone", None, ABSENT),
        Difference("run", "kind", 1, 1.0),
        Difference("run", "new", ABSENT, 2),
    ]
    assert list(flat({"a": [3, []]})) == [("a.0", 3), ("a.1", [])]


def test_a_difference_says_which_run_which_number_and_both_values() -> None:
    rows = [Difference("decoder", f"losses.{step}", 1.0, 1.0 + step / 8) for step in (1, 2, 4, 3)]
    assert summarised(rows, 1) == [
        "decoder: losses.1: recorded 1.0, found 1.125 (by 0.12)",
        "decoder: losses.4: recorded 1.0, found 1.5 (by 0.5)",  # the largest
        "decoder: and 2 more",
    ]
    assert Difference("part 3", "verdict", "holds", ABSENT).shown(("a", "b")) == "part 3: verdict: a 'holds', b nothing"


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (2.0, 2.0 + 1.9e-4, True),
        (2.0, 2.0 + 2.1e-4, False),
        (1e-3, 1e-3 + 9e-5, True),  # below 1, an absolute bound
        (1e-3, 1e-3 + 1.1e-4, False),
        (3, 4, False),
        (True, 1.0, False),
        (True, True, True),
        (None, None, True),
        ("holds", "does not hold", False),
        ("learned | 57.2 ± 3.1", "learned | 57.3 ± 3.1", True),  # the last digit may be rounded otherwise
        ("learned | 57.2 ± 3.1", "learned | 57.4 ± 3.1", False),
        ("1,234.5 words", "1,234.6 words", True),
        ("2 of 2 runs", "1 of 2 runs", False),  # a count has no last digit
        ("a 1.0", "b 1.0", False),
        ("+0.1 points", "\N{MINUS SIGN}0.1 points", False),
    ],
)
def test_close_by_hand(before: Any, after: Any, same: bool) -> None:
    assert close(before, after) is same


def test_what_rounding_decides_is_not_compared_elsewhere() -> None:
    assert is_steady("small decoder", "losses.19", None)
    assert is_steady("report decoder", "losses.6", 7)
    assert not is_steady("report decoder", "losses.7", 7)  # rounding has moved later ones
    assert not is_steady("report decoder", "iterations.0.train_loss", 7)
    assert is_steady("part 3", "part 3.classifier.alibi.0.epochs.0.train_loss", ["part 3.classifier.learned"])
    assert not is_steady("part 3", "part 3.classifier.learned.0.epochs.0.train_loss", ["part 3.classifier.learned"])
    assert not is_steady("part 3", "part 3.classifier.batch-norm.0.predictions.3", None)
    assert not is_steady("small decoder, bf16", "losses.0", None)
    found = elsewhere("run", {"losses": [1.0, 1.0]}, {"losses": [1.1, 1.1]}, 1)
    assert [row.key for row in found] == ["losses.0"]


def test_fragile_is_what_shaking_moves() -> None:
    def single(shaken: int | None = None) -> Any:
        return {"losses": [1.0] * 6 + [1.0 + 1e-4 * (shaken == 2)] + [1.0] * 13, "predictions": [0, 1]}

    def study(shaken: int | None = None) -> Any:
        return {"a": {"b": {"c": 1.0, "c2": 1.0 + 1e-7 * (shaken or 0)}, "d": {"e": [0, int(shaken == 1)]}}}

    assert records.fragility("run", single, single()) == 3  # half of the losses before the first that moves
    assert records.fragility("run", study, study()) == ["a.d.e"]
    assert records.fragility("run", lambda shaken=None: {"losses": [1.0]}, {"losses": [1.0]}) is None


def test_a_shake_moves_every_weight_by_a_rounding_error() -> None:
    import torch

    layer = nn.Linear(3, 3)
    before = layer.weight.detach().clone()
    shake(layer, torch.Generator().manual_seed(0))
    change = (layer.weight / before - 1).abs()
    assert change.min() > 2e-7
    assert change.max() < 4e-7


# ---------------------------------------------------------------------------------------------------------- recording


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(records, "FOLDER", tmp_path / "records")
    return tmp_path / "records"


def recorded_by(monkeypatch: pytest.MonkeyPatch, runs: dict[str, Any], *arguments: str) -> int:
    """Run the command with made-up runs."""
    found = {name: lambda shaken=None, value=value: value for name, value in runs.items()}
    monkeypatch.setattr(records, "golden_runs", lambda: found)
    monkeypatch.setattr(sys, "argv", ["tests.golden", *arguments])
    return main()


@pytest.mark.parametrize("arguments", [[], ["--why", ""], ["--why", "  "]])
def test_nothing_is_recorded_without_a_reason(
    arguments: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recorded_by(monkeypatch, {"a classifier": {"losses": [1.0]}}, *arguments) == 2
    assert not folder.exists()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_recording_anew_says_what_changed_and_keeps_the_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    same = {"a decoder": {"losses": [2.0]}}
    first = {"a classifier": {"losses": [1.0, 0.1 + 0.2], "name": "é"}, **same, "old": {"x": [1]}}
    assert recorded_by(monkeypatch, first, "--why", "a start") == 0
    assert read_records(folder) == first
    capsys.readouterr()
    second = {"a classifier": {"losses": [1.0, 0.5], "name": "é"}, **same, "new": {"x": [1]}}
    assert recorded_by(monkeypatch, second, "--why", " a better loss ") == 0
    assert read_records(folder) == second
    assert read_about(folder) == {"why": "a better loss", **environment()}
    assert read_fragile(folder) == {}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a classifier: losses.1: was 0.30000000000000004, is 0.5 (by 0.2)"
    assert lines[1:3] == ["new: new", "old: gone"]
    assert lines[-1].endswith("1 differ from the old records")


def test_the_numbers_of_now_go_to_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert recorded_by(monkeypatch, {"a classifier": {"losses": [1.0]}}, "--to", str(tmp_path / "now.json")) == 0
    assert json.loads((tmp_path / "now.json").read_text()) == {"a classifier": {"losses": [1.0]}}
    assert not folder.exists()
