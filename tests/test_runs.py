"""Records of runs are reused and never mistaken; folders are set aside; workers change no number."""

import functools
import json
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from launch import server

import runs
from dataset import Data
from files import Interrupted, UserError
from inference import load_model
from runs import Place, Recipe, Run, open_place, perform, perform_all, remembered, share_out
from training import TrainingConfig, stop_signals
from transformer import TransformerConfig

TINY = TransformerConfig(0, n_embd=8, n_layer=1, block_size=8, ff_dim=8, dropout=0.1)
CLASSIFIER = Run("classifier", Recipe("classifier", TINY, TrainingConfig(batch_size=25), duration=2), seed=0)
DECODER = Run("decoder", Recipe("decoder", TINY, TrainingConfig(batch_size=4), duration=7), seed=0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, torch.device("cpu"))


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder in which no times stand."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".json"}


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "train_seconds"}


@pytest.mark.parametrize("run", [CLASSIFIER, DECODER], ids=lambda run: run.name)
def test_a_finished_run_is_read_and_not_trained_again(
    run: Run, data: Data, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, before = perform(run, data, place), contents(place.out)
    assert before.keys() == {f"{run.name}.safetensors", f"{run.name}.metrics.jsonl", "metrics.jsonl"}
    assert len(load_model(place.weights(run)).tokenizer) == len(data.tokenizer)
    monkeypatch.setattr(runs, "train", None)
    assert perform(run, data, place) == record
    assert contents(place.out) == before


@pytest.mark.parametrize(
    "other",
    [
        replace(CLASSIFIER, seed=1),
        replace(CLASSIFIER, recipe=replace(CLASSIFIER.recipe, duration=3)),
        replace(CLASSIFIER, recipe=replace(CLASSIFIER.recipe, architecture=replace(TINY, positions="alibi"))),
        replace(CLASSIFIER, recipe=replace(CLASSIFIER.recipe, training=TrainingConfig(learning_rate=2e-3))),
        replace(CLASSIFIER, fold=0),
    ],
    ids=["seed", "duration", "architecture", "training", "fold"],
)
def test_a_record_of_another_run_is_refused(other: Run, data: Data, place: Place) -> None:
    perform(CLASSIFIER, data, place)
    with pytest.raises(UserError, match=r"classifier.json: of another run .*; take another --out"):
        perform(other, data, place)


def test_a_record_of_other_data_or_no_record_is_refused(data: Data, place: Place) -> None:
    perform(CLASSIFIER, data, place)
    with pytest.raises(UserError, match=r"of another run \(data is .* there and other here\)"):
        perform(CLASSIFIER, replace(data, corpus=replace(data.corpus, fingerprint="other")), place)
    place.record(CLASSIFIER).write_text("[]")
    with pytest.raises(UserError, match=r"of another run \(it is None there"):
        perform(CLASSIFIER, data, place)
    place.record(CLASSIFIER).write_text('{"identity": ')
    with pytest.raises(UserError, match="not valid JSON"):
        perform(CLASSIFIER, data, place)


def test_metrics_are_one_line_a_measurement(data: Data, place: Place) -> None:
    records = [perform(run, data, place) for run in (CLASSIFIER, DECODER)]
    rows = [json.loads(line) for line in (place.out / "metrics.jsonl").read_text().splitlines()]
    expected = [
        {"model": record["name"], "seed": 0, **row}
        for record, rows in zip(records, (records[0]["epochs"], records[1]["iterations"]))
        for row in rows
    ]
    assert rows == expected
    assert [row["epoch"] for row in rows[:2]] == [1, 2]
    assert [row["iteration"] for row in rows[2:]] == [1, 2, 3, 4, 5, 6, 7]  # of 7 iterations, a fifth is one


def test_a_fold_is_measured_on_training_rows_alone(data: Data, place: Place) -> None:
    no_test = replace(data, test=replace(data.test, ids=torch.zeros(0), lengths=torch.zeros(0), labels=torch.zeros(0)))
    record = perform(replace(CLASSIFIER, fold=1), no_test, place)
    assert record["test"]["all"]["n"] == len(data.train.labels) // 5
    assert not place.weights(CLASSIFIER).exists()


def test_a_classifier_that_learned_nothing_has_not_left_its_plateau(data: Data, place: Place) -> None:
    def run(name: str, learning_rate: float) -> Run:
        training = TrainingConfig(batch_size=10, learning_rate=learning_rate)
        recipe = Recipe("classifier", replace(TINY, initialisation="pytorch", dropout=0.0), training, duration=20)
        return Run(name, recipe, seed=0)

    assert not perform(run("idle", 1e-12), data, place)["trained"]
    assert perform(run("quick", 1e-2), data, place)["trained"]


# ------------------------------------------------------------------------------------------------------------- folders


def test_earlier_runs_are_set_aside_unless_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, device = tmp_path / "run", torch.device("cpu")
    for number in range(3):
        open_place(out, device, {"number": number}, resume=False)
    kept = {path.name: json.loads((path / "config.json").read_text())["number"] for path in tmp_path.iterdir()}
    assert kept == {"run.1": 0, "run.2": 1, "run": 2}
    assert f"{out}: the earlier run that was there is now {out}.2" in capsys.readouterr().err
    (out / "runs").mkdir()
    (out / "runs" / ".classifier.json.abc.tmp").write_text("half")
    open_place(out, device, {"number": 3}, resume=True)
    assert json.loads((out / "config.json").read_text())["number"] == 2
    assert not list(out.rglob("*.tmp"))
    assert capsys.readouterr().err == ""


def test_the_machine_is_described_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without_git:
        without_git.setenv("PATH", "")
        runs.code_version.cache_clear()
        assert (runs.machine()["commit"], runs.machine()["dirty"]) == (None, None)
    runs.code_version.cache_clear()
    assert runs.machine()["torch"] == torch.__version__


# ------------------------------------------------------------------------------------------------------- several runs


def test_results_are_the_same_for_every_number_of_workers(data: Data, tmp_path: Path) -> None:
    wanted = [CLASSIFIER, replace(CLASSIFIER, name="classifier 2", seed=1), DECODER]
    found = []
    for n_workers in (1, 2):
        place = Place(tmp_path / str(n_workers), torch.device("cpu"))
        records = perform_all(wanted, data, place, n_workers)
        found.append(([timeless(record) for record in records], contents(place.out)))
    assert [record["name"] for record in found[0][0]] == ["classifier", "classifier 2", "decoder"]
    assert found[0] == found[1]


def trouble(item: str) -> str:
    if item == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "bad":
        raise UserError("bad item")
    return item


@pytest.mark.parametrize(("item", "error"), [("killed", Interrupted), ("bad", UserError)])
def test_trouble_in_a_worker_is_trouble_here(
    item: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs.multiprocessing, "get_context", lambda _method: server)  # starts quicker
    with pytest.raises(error):
        share_out(trouble, ["good", item, "good"], 2, "items")


def in_shared_memory(tensor: torch.Tensor, _item: int) -> bool:
    return tensor.is_shared()


def test_what_workers_get_is_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.multiprocessing, "get_context", lambda _method: server)
    assert share_out(functools.partial(in_shared_memory, torch.zeros(3)), [0, 1], 2, "items") == [False, False]


def until_stopped(started: Path) -> None:
    """Work, as training does, until a signal asks to stop."""
    with stop_signals() as stopped:
        started.touch()
        while not stopped():
            time.sleep(0.01)
    raise Interrupted("saved")


def test_ctrl_c_stops_the_workers_and_they_take_up_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runs.multiprocessing, "get_context", lambda _method: server)
    items = [tmp_path / str(number) for number in range(8)]

    def interrupt() -> None:
        while not items[0].exists() or not items[1].exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        share_out(until_stopped, items, 2, "items")
    assert not multiprocessing.active_children()


def test_what_was_computed_for_something_else_is_computed_anew(tmp_path: Path) -> None:
    path, values = tmp_path / "value.json", iter("abc")
    found = [
        remembered(path, identity, lambda: next(values)) for identity in ({"n": (1, 2)}, {"n": [1, 2]}, {"n": [3]})
    ]
    assert found == ["a", "a", "b"]  # the first two are the same in JSON
