"""Records of runs are reused and never mistaken, and say where they come from; seeds; folders; workers change no
number."""

import copy
import functools
import hashlib
import json
import multiprocessing
import os
import pickle
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch
from launch import ROOT, server
from tiny import classifier_of, decoder_of, perform
from worlds import classifier_run

from commands import parts
from common.arguments import Typed
from common.files import Interrupted, UserError
from common.randomness import derived_seed
from dataset import Data
from evaluation import accuracy
from studies import workers
from studies.workers import perform_all, share_out
from training import machine, runs
from training.loop import train
from training.processes import stop_signals
from training.recipe import Recipe, Run, TrainingConfig
from training.records import ClassifierRun, DecoderRun, Epoch, Machine
from training.runs import Folder, claim_folder, identity_of, open_folder, remembered
from training.weights import load_model
from transformer import ClassifierConfig, TransformerConfig

TINY = TransformerConfig(n_embd=8, n_layer=1, block_size=8, ff_dim=8, dropout=0.1)
CLASSIFIER = Run(
    "classifier", Recipe("classifier", classifier_of(TINY), TrainingConfig(batch_size=25), duration=2), seed=0
)
DECODER = Run("decoder", Recipe("decoder", decoder_of(TINY), TrainingConfig(batch_size=4), duration=7), seed=0)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, torch.device("cpu"))


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder in which no times stand."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".json"}


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "train_seconds"}


@pytest.mark.parametrize("run", [CLASSIFIER, DECODER], ids=lambda run: run.name)
def test_a_finished_run_is_read_and_not_trained_again(
    run: Run, data: Data, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, before = perform(run, data, folder), contents(folder.path)
    assert before.keys() == {f"{run.name}.safetensors", f"{run.name}.metrics.jsonl", "metrics.jsonl"}
    assert len(load_model(folder.weights(run)).tokenizer) == len(data.tokenizer)
    monkeypatch.setattr(runs, "train", None)
    assert perform(run, data, folder) == record
    assert contents(folder.path) == before


def test_a_record_of_another_run_is_refused(data: Data, folder: Folder) -> None:
    perform(CLASSIFIER, data, folder)
    with pytest.raises(
        UserError, match=r"classifier.json: of another run .seed is 0 there and 1 here.; take another --"
    ):
        perform(replace(CLASSIFIER, seed=1), data, folder)


def test_a_record_of_other_data_or_no_record_is_refused(data: Data, folder: Folder) -> None:
    perform(CLASSIFIER, data, folder)
    with pytest.raises(UserError, match=r"of another run \(data is .* there and other here\)"):
        perform(CLASSIFIER, replace(data, corpus=replace(data.corpus, fingerprint="other")), folder)
    for text, complaint in (
        ("[]", r"Expected `object`, got `array`; not a whole record"),
        ('{"seed": ', "not valid JSON"),
    ):
        folder.record(CLASSIFIER).write_text(text)
        with pytest.raises(UserError, match=complaint):
            perform(CLASSIFIER, data, folder)


@pytest.mark.parametrize(
    ("run", "damage", "complaint"),
    [
        (CLASSIFIER, {"epochs": [{"epoch": 1}]}, "missing required field `train_loss` - at `$.epochs[0]`"),
        (CLASSIFIER, {"trained": "yes"}, "Expected `bool`, got `str` - at `$.trained`"),
        (
            CLASSIFIER,
            {"test": {"every": {"n": 1, "accuracy": 2.0}}},
            "Invalid enum value 'every' - at `key` in `$.test`",
        ),
        (CLASSIFIER, {"n_parameters": 1.5}, "Expected `int`, got `float` - at `$.n_parameters`"),
        (CLASSIFIER, {"machine": None}, "Expected `object`, got `null` - at `$.machine`"),
        (DECODER, {"nats_by_place": {"train": [1.0, None]}}, "Expected `float`, got `null`"),
        (DECODER, {"train_seconds": float("nan")}, "is not valid JSON (invalid character)"),
    ],
    ids=str,
)
def test_a_damaged_record_is_refused_in_one_line_that_says_where(
    run: Run, damage: dict[str, Any], complaint: str, data: Data, folder: Folder
) -> None:
    perform(run, data, folder)
    path = folder.record(run)
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(UserError) as refused:
        perform(run, data, folder)
    assert str(refused.value).startswith(f"{path}: ")
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


GROUPS = ("unseen", "seen", "all")
LIED: dict[str, Callable[[Any], object]] = {  # about what a record holds, in itself well formed
    "epochs": lambda record: record["epochs"].pop(),
    "epochs ": lambda record: record["epochs"].reverse(),
    "groups of test rows": lambda record: record["test"].pop("seen"),
    "numbers of test rows": lambda record: record["test"]["seen"].update(n=7),
    "numbers of test rows ": lambda record: [record["test"][name].update(n=9 * k) for k, name in enumerate(GROUPS)],
    "accuracies of groups": lambda record: record["test"]["seen"].update(accuracy=None),
    "predictions": lambda record: record["predictions"].pop(),
    "predictions ": lambda record: record["predictions"].__setitem__(0, 3),
    "classes": lambda record: record["scores"]["classes"].reverse(),
    "confusions": lambda record: record["scores"]["confusion"].pop(),
    "confusions ": lambda record: record["scores"]["confusion"][0].append(0),
    "confusions  ": lambda record: record["scores"]["classes"][0].update(n=0),
    "iterations": lambda record: record["iterations"].pop(),
    "iterations ": lambda record: record["iterations"].insert(0, record["iterations"][0]),
    "texts": lambda record: record["scores"].popitem(),
    "texts ": lambda record: record["iterations"][0]["perplexity"].pop("train"),
    "inference lengths": lambda record: record["iterations"][0].update(perplexity_by_length={"16": {"obama": 2.0}}),
    "places": lambda record: record["nats_by_place"].popitem(),
    "places ": lambda record: record["nats_by_place"]["train"].pop(),
    "feed-forward sizes": lambda record: record.update(ff_dim=9),
}
OF_DECODER = ("iterations", "texts", "inference", "places", "feed")


@pytest.mark.parametrize("what", LIED)
def test_a_record_that_disagrees_with_itself_or_with_its_run_is_refused(what: str, data: Data, folder: Folder) -> None:
    run = DECODER if what.startswith(OF_DECODER) else CLASSIFIER
    record = perform(run, data, folder)
    LIED[what](record)
    folder.record(run).write_text(json.dumps(record))
    with pytest.raises(UserError) as refused:
        perform(run, data, folder)
    hint = "not a whole record of this run; delete it, and it is trained again"
    expected = f"its {what.strip()} cannot be those of this run; {hint}"
    assert str(refused.value) == f"{folder.record(run)}: {expected}"


def test_a_record_of_a_fold_agrees_with_itself(data: Data, folder: Folder) -> None:
    for run in (CLASSIFIER, DECODER):
        own = replace(run, name=f"{run.name}-fold", fold=1, brief=True)
        assert perform(own, data, folder) == perform(own, data, folder)


@pytest.mark.parametrize("run", [CLASSIFIER, DECODER], ids=lambda run: run.name)
def test_every_key_of_a_record_is_needed_and_others_are_ignored(run: Run, data: Data, folder: Folder) -> None:
    record, path = perform(run, data, folder), folder.record(run)
    path.write_text(json.dumps(record | {"of a later version": 1}))
    assert perform(run, data, folder) == record
    kind = ClassifierRun if run is CLASSIFIER else DecoderRun
    for key in (
        field.encode_name for field in msgspec.structs.fields(kind) if field.required or field.name == "identity"
    ):
        path.write_text(json.dumps({name: value for name, value in record.items() if name != key}))
        expected = "of another run" if key == "identity" else f"missing required field `{key}`"
        with pytest.raises(UserError, match=expected):
            perform(run, data, folder)


def test_metrics_are_one_line_a_measurement(data: Data, folder: Folder) -> None:
    records = [perform(run, data, folder) for run in (CLASSIFIER, DECODER)]
    rows = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    expected = [
        {"model": record["identity"]["run"]["name"], "seed": 0, **row}
        for record, rows in zip(records, (records[0]["epochs"], records[1]["iterations"]))
        for row in rows
    ]
    assert rows == expected
    assert [row["epoch"] for row in rows[:2]] == [1, 2]
    assert [row["iteration"] for row in rows[2:]] == [1, 2, 3, 4, 5, 6, 7]  # of 7 iterations, a fifth is one


# ------------------------------------------------------------------------------------------------------------ identity


def changed(settings: Any, name: str, value: Any = "another") -> Any:
    """A copy with another value in one field, even one that would be refused."""
    other = copy.copy(settings)
    object.__setattr__(other, name, value)
    return other


def names_of(settings: Any) -> list[str]:
    return [field.name for field in fields(settings)]


def test_whatever_is_set_is_part_of_what_a_run_is(data: Data, folder: Folder) -> None:
    identity: dict[str, Any] = identity_of(CLASSIFIER, data, folder)
    recipe = CLASSIFIER.recipe
    recipes = [
        *(changed(recipe, name) for name in names_of(Recipe) if name not in ("architecture", "training")),
        *(changed(recipe, "training", changed(recipe.training, name)) for name in names_of(TrainingConfig)),
        *(changed(recipe, "architecture", changed(recipe.architecture, name)) for name in names_of(ClassifierConfig)),
    ]
    others = [changed(CLASSIFIER, name) for name in names_of(Run) if name != "recipe"]
    others += [changed(CLASSIFIER, "recipe", other) for other in recipes]
    found = [json.dumps(identity_of(other, data, folder)) for other in others]
    assert len({json.dumps(identity), *found}) == len(others) + 1
    assert identity_of(replace(CLASSIFIER), data, folder) == identity
    assert identity["run"]["recipe"]["training"]["batch_size"] == 25
    assert identity["run"]["seed"] == 0


def test_data_and_the_way_of_computing_are_part_of_what_a_run_is(
    data: Data, folder: Folder, monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]
) -> None:
    def computed(data: Data = data, folder: Folder = folder) -> dict[str, Any]:
        return {key: value for key, value in identity_of(CLASSIFIER, data, folder).items() if key != "run"}

    plain = {"data": data.corpus.fingerprint, "threads": 1, "processes": 1, "device": "cpu"}
    assert computed() == plain
    assert computed(data=replace(data, corpus=replace(data.corpus, fingerprint="x"))) == plain | {"data": "x"}
    assert computed(folder=Folder(folder.path, torch.device("cuda", 1))) == plain | {"device": "cuda"}
    assert computed(folder=Folder(folder.path / "elsewhere", torch.device("cpu"))) == plain
    threads(3)
    assert computed() == plain | {"threads": 3}
    monkeypatch.setattr(runs, "process", lambda: (1, 4))
    assert computed() == plain | {"threads": 3, "processes": 4}


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads, for this test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def complaint(run: Run, data: Data, folder: Folder) -> str:
    with pytest.raises(UserError) as caught:
        perform(run, data, folder)
    return str(caught.value)


@pytest.mark.parametrize("key", ["commit", "code", "processor", "torch", "threads"])
def test_a_finished_record_holds_on_another_machine_but_not_under_other_threads(
    key: str, data: Data, folder: Folder, monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]
) -> None:
    record = perform(CLASSIFIER, data, folder)
    monkeypatch.setattr(runs, "train", None)
    if key == "threads":
        threads(2)
        found = complaint(CLASSIFIER, data, folder)
        hint = "take another --out"
        path = folder.path / "runs" / "classifier.json"
        assert found == f"{path}: of another run (threads is 1 there and 2 here); {hint}"
    else:
        there = msgspec.structs.replace(machine.machine(), **{key: "another"})
        monkeypatch.setattr(runs, "machine", lambda: there)
        assert perform(CLASSIFIER, data, folder) == record


@pytest.fixture
def half_done(data: Data, folder: Folder) -> Folder:
    """CLASSIFIER, stopped in its second epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "write_metrics", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted, match="stopped at step 4 of 6"):
            perform(CLASSIFIER, data, folder, few=False)  # it waits for its measurements
    assert (folder.path / "runs" / "classifier.checkpoint.safetensors").exists()
    return folder


@pytest.mark.parametrize("key", ["commit", "dirty", "code", "python", "torch", "processor", "threads", "processes"])
def test_half_a_run_of_another_machine_is_refused_and_what_differs_is_named(
    key: str, data: Data, half_done: Folder, monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]
) -> None:
    there = machine.machine()
    if key == "threads":
        threads(2)
    else:
        monkeypatch.setattr(runs, "machine", lambda: msgspec.structs.replace(there, **{key: "another"}))
    values = (str(getattr(one, key)) for one in (there, runs.machine()))
    was, now = (text if len(text) <= 40 else text[:40] + "..." for text in values)
    expected = (
        f"of another run ({key} is {was} there and {now} here); repeat the command as it was, or take another --out"
    )
    assert complaint(CLASSIFIER, data, half_done) == f"{half_done.checkpoint(CLASSIFIER)}: {expected}"


def test_half_a_run_goes_on_to_the_bits_of_one_never_stopped(data: Data, half_done: Folder, tmp_path: Path) -> None:
    whole = Folder(tmp_path / "whole", torch.device("cpu"))
    assert timeless(perform(CLASSIFIER, data, half_done)) == timeless(perform(CLASSIFIER, data, whole))
    assert half_done.weights(CLASSIFIER).read_bytes() == whole.weights(CLASSIFIER).read_bytes()
    assert not half_done.checkpoint(CLASSIFIER).exists()


# --------------------------------------------------------------------------------------------------------------- seeds


def dropout_seeds(run: Run, data: Data, out: Path) -> list[int]:
    """The seeds that the loop sets, a step each."""
    seeds: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "manual_seed", seeds.append)
        patch.setattr(torch, "default_generator", SimpleNamespace(manual_seed=seeds.append))
        perform(run, data, Folder(out, torch.device("cpu")))
    return seeds


@pytest.mark.parametrize("run", [CLASSIFIER, DECODER], ids=lambda run: run.name)
def test_dropout_is_that_of_the_seed_whatever_else_is_set(run: Run, data: Data, tmp_path: Path) -> None:
    n_steps = 6 if run is CLASSIFIER else 7
    assert dropout_seeds(run, data, tmp_path / "a") == [derived_seed(0, "dropout", step, 0) for step in range(n_steps)]
    alibi = replace(
        run, recipe=replace(run.recipe, architecture=replace(run.recipe.architecture, positions="alibi")), seed=4
    )
    assert dropout_seeds(alibi, data, tmp_path / "b") == [
        derived_seed(4, "dropout", step, 0) for step in range(n_steps)
    ]


@pytest.mark.parametrize("run", [CLASSIFIER, DECODER], ids=lambda run: run.name)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(run: Run, data: Data, tmp_path: Path) -> None:
    places = [Folder(tmp_path / name, torch.device("cpu")) for name in "abc"]
    one, again, other = (perform(replace(run, seed=seed), data, folder) for seed, folder in zip((3, 3, 4), places))
    assert timeless(one) == timeless(again)
    assert contents(places[0].path) == contents(places[1].path)
    measured = "epochs" if run is CLASSIFIER else "iterations"
    assert all(a["train_loss"] != b["train_loss"] for a, b in zip(one[measured], other[measured]))


def test_a_command_computes_with_its_threads_whatever_the_default_was(
    data_folder: Path, tmp_path: Path, threads: Callable[[int], None]
) -> None:
    found = []
    for default, asked in ((1, 1), (3, 1), (1, 3)):
        threads(default)
        out = tmp_path / f"{default} {asked}"
        command = parts.Part1(data_dir=data_folder, out=out, threads=asked, device="cpu")
        with command.at_work(CLASSIFIER.recipe, False, Typed(("part1",))) as (data, folder):
            record = perform(CLASSIFIER, data, folder)
        assert record["machine"]["threads"] == record["identity"]["threads"] == asked
        found.append((timeless(record), contents(out)))
    assert found[0] == found[1]


# ------------------------------------------------------------------------------------------------------------- records


def test_a_record_says_what_was_trained_how_long_and_where(
    data: Data, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def timed(task: Any, config: Any, seed: int, checkpoints: Any, **more: Any) -> Any:
        given.update(more, config=config, seed=seed, checkpoints=checkpoints)
        return train(task, config, seed, checkpoints, **more)[0], 12.5

    monkeypatch.setattr(runs, "train", timed)
    run = replace(CLASSIFIER, seed=5)
    record = perform(run, data, folder)
    identity = identity_of(run, data, folder)
    n_words = len(data.tokenizer)
    n_parameters = sum(
        [
            8 * (n_words + 8),  # words and positions
            4 * 8 * 8 + 8,  # q, k, v and the projection with its bias
            2 * 8 * 8 + 8 + 8,  # feed-forward
            2 * (8 + 8),  # norms
            8 * 100 + 100 + 100 * 3 + 3,  # head
        ]
    )
    expected = {"seed": 5, "n_parameters": n_parameters, "train_seconds": 12.5}
    assert record | expected == record
    assert (record["machine"], record["identity"]) == (msgspec.to_builtins(machine.machine()), identity)
    assert json.loads((folder.path / "runs" / "classifier.json").read_text()) == record
    assert (given["config"], given["seed"], given["label"]) == (run.recipe.training, 5, "classifier")
    assert given["checkpoints"].identity == identity | {"machine": msgspec.to_builtins(machine.machine())}
    assert given["checkpoints"].path == folder.path / "runs" / "classifier.checkpoint.safetensors"
    assert not given["checkpoints"].path.exists()
    model = load_model(folder.path / "classifier.safetensors", "classifier")
    assert model.class_names == data.corpus.class_names
    assert model.tokenizer.words == data.tokenizer.words


def test_a_record_comes_when_its_weights_are_there(data: Data, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path, value: Any) -> None:
        assert load_model(folder.weights(CLASSIFIER)).model.config.n_embd == 8
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        perform(CLASSIFIER, data, folder)


def test_a_brief_run_is_measured_once_and_leaves_no_weights(data: Data, folder: Folder) -> None:
    for run, measured in ((CLASSIFIER, "epochs"), (DECODER, "iterations")):
        record = perform(replace(run, brief=True), data, folder)
        assert len(record[measured]) == 1
        assert not folder.weights(run).exists()
        assert folder.record(run).exists()


def test_a_run_that_falls_back_at_its_end_is_recorded_as_such(
    data: Data, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row of training and test right after the first epoch; after the second all are called 0, a third of them
    rightly."""
    calls = []

    def probabilities(_model: Any, rows: Any) -> torch.Tensor:
        calls.append(rows)
        right = torch.nn.functional.one_hot(rows.labels, 3).float()
        return right if len(calls) <= 2 else torch.eye(3)[torch.zeros_like(rows.labels)]

    monkeypatch.setattr(accuracy, "class_probabilities", probabilities)
    record = perform(CLASSIFIER, data, folder)
    accuracies = [(row["train_accuracy"], row["test_accuracy"]) for row in record["epochs"]]
    assert accuracies == [(100, 100), (pytest.approx(100 / 3), pytest.approx(100 / 3))]
    assert (record["trained"], record["fell_back"]) == (False, True)
    assert record["predictions"] == [0] * 24


def test_processes_other_than_the_first_write_nothing(
    data: Data, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "process", lambda: (1, 2))
    monkeypatch.setattr(runs, "train", lambda *_, **__: ([], 0.0))
    assert perform(CLASSIFIER, data, folder) is None
    assert open_folder(folder.path, folder.device, {}, resume=False) == folder
    assert list(folder.path.iterdir()) == []


def epoch(number: int) -> Epoch:
    return Epoch(epoch=number, train_loss=1.0, train_accuracy=2.0, test_accuracy=3.0)


def test_the_measurements_of_all_runs_stand_in_one_file(folder: Folder) -> None:
    for name, seed in (("b", 1), ("a", 2)):
        runs.write_metrics(folder, replace(CLASSIFIER, name=name, seed=seed), [epoch(1), epoch(2)])
    lines = {
        name: "".join(
            f'{{"model": "{name}", "seed": {seed}, "epoch": {number}, "train_loss": 1.0, "train_accuracy": 2.0, '
            '"test_accuracy": 3.0}\n'
            for number in (1, 2)
        )
        for name, seed in (("a", 2), ("b", 1))
    }
    assert (folder.path / "metrics.jsonl").read_text() == lines["a"] + lines["b"]
    assert (folder.path / "runs" / "b.metrics.jsonl").read_text() == lines["b"]


# ------------------------------------------------------------------------------------------------------------- folders


def test_a_new_folder_says_what_is_run_there_and_by_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for resume, said in ((False, ""), (True, ": nothing to resume there; starting from the beginning\n")):
        out = tmp_path / str(resume)
        assert open_folder(out, torch.device("cpu"), {"seed": 3}, resume) == Folder(out, torch.device("cpu"))
        assert json.loads((out / "config.json").read_text()) == {
            "seed": 3,
            "machine": msgspec.to_builtins(machine.machine()),
        }
        assert capsys.readouterr().err == (f"{out}{said}" if said else "")
        assert [path.name for path in out.iterdir()] == ["config.json"]


@pytest.mark.slow
def test_a_folder_that_another_command_writes_is_neither_used_nor_moved(tmp_path: Path) -> None:
    out, device = tmp_path / "run", torch.device("cpu")
    first = open_folder(out, device, {"number": 0}, resume=False)
    for resume in (False, True):
        with pytest.raises(UserError, match=rf"run: in use by process {os.getpid()} on .*; wait for it, or choose"):
            open_folder(out, device, {"number": 1}, resume)
    with pytest.raises(UserError, match="in use by"):
        claim_folder(out, device)  # as a report does
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["run"]
    assert json.loads((out / "config.json").read_text())["number"] == 0
    assert pickle.loads(pickle.dumps(first)) == Folder(out, device)  # workers hold nothing
    del first
    open_folder(out, device, {"number": 1}, resume=False)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "run.1"}


def test_earlier_runs_are_set_aside_unless_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, device = tmp_path / "run", torch.device("cpu")
    for number in range(3):
        open_folder(out, device, {"number": number}, resume=False)
    kept = {path.name: json.loads((path / "config.json").read_text())["number"] for path in tmp_path.iterdir()}
    assert kept == {"run.1": 0, "run.2": 1, "run": 2}
    assert f"{out}: the earlier run that was there is now {out}.2" in capsys.readouterr().err
    (out / "runs").mkdir()
    (out / "runs" / ".classifier.json.abc.tmp").write_text("half")
    open_folder(out, device, {"number": 3}, resume=True)
    assert json.loads((out / "config.json").read_text())["number"] == 2
    assert not list(out.rglob("*.tmp"))
    assert capsys.readouterr().err == ""


# ------------------------------------------------------------------------------------------------------------- machine


def test_a_machine_is_described_by_what_bits_depend_on(
    monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]
) -> None:
    monkeypatch.setattr(machine, "code_version", lambda: ("c", False, "d"))
    monkeypatch.setattr(machine, "processor_name", lambda: "a processor")
    monkeypatch.setattr(machine, "process", lambda: (3, 4))
    monkeypatch.setattr(os, "cpu_count", lambda: 96)
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.1")
    threads(2)
    assert machine.machine() == Machine("c", False, "d", "3.99.1", torch.__version__, "a processor", 96, 2, 4)


def test_a_mixture_of_machines_is_found() -> None:
    one = machine.machine()
    two, three = (msgspec.structs.replace(one, **change) for change in ({"processor": "two"}, {"threads": 99}))
    records = [classifier_run(machine=there) for there in (one, two, copy.copy(one), three)]
    assert machine.distinct_machines(records) == [one, two, three]
    assert machine.distinct_machines(records[:1] * 3) == [one]
    assert machine.distinct_machines([]) == []


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A git checkout of two modules and a page, which this program takes for its own."""
    (tmp_path / "b.py").write_text("b = 1\n")
    (tmp_path / "a.py").write_text("a = 1\n")
    (tmp_path / "README.md").write_text("read me\n")
    who = ["-c", "user.name=Orator", "-c", "user.email=orator@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    machine.code_version.cache_clear()
    yield tmp_path
    machine.code_version.cache_clear()


def test_the_code_is_described_by_its_commit_what_differs_from_it_and_its_modules(checkout: Path) -> None:
    def version() -> tuple[str | None, bool | None, str]:
        machine.code_version.cache_clear()
        return machine.code_version()

    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
    code = hashlib.sha256(b"a = 1\nb = 1\n").hexdigest()[:16]
    commit = head.stdout.strip()
    clean, changed = (commit, False, code), (commit, True, code)
    assert version() == clean
    (checkout / "README.md").write_text("changed\n")
    assert version() == changed
    assert machine.code_version() == changed
    (checkout / "README.md").write_text("read me\n")
    assert machine.code_version() == changed  # of the code that was loaded
    assert version() == clean
    (checkout / "c.py").write_text("c = 1\n")  # not tracked, but loaded
    assert version() == (commit, False, hashlib.sha256(b"a = 1\nb = 1\nc = 1\n").hexdigest()[:16])
    (checkout / "c.py").unlink()
    (checkout / "b.py").write_text("b = 2\n")
    assert version() == (commit, True, hashlib.sha256(b"a = 1\nb = 2\n").hexdigest()[:16])


def test_without_git_the_modules_alone_say_what_the_code_is(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = (None, None, hashlib.sha256(b"a = 1\nb = 1\n").hexdigest()[:16])
    with monkeypatch.context() as without_git:
        without_git.setenv("PATH", "")
        assert machine.code_version() == expected
    (checkout / ".git").rename(checkout / "no longer git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(checkout.parent))
    machine.code_version.cache_clear()
    assert machine.code_version() == expected


INTEL = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Xeon: the second

processor\t: 1
cpu family\t: 7
model name\t: another
"""


@pytest.mark.parametrize(
    ("information", "processor", "expected"),
    [
        (INTEL, "x86", "Xeon: the second (family 6, model 85)"),
        ("processor\t: 0\nBogoMIPS\t: 50.00\n", "arm", "arm"),
        ("processor\t: 0\nBogoMIPS\t: 50.00\n", "", "aarch64"),
        (None, "Apple", "Apple"),
    ],
)
def test_the_processor_is_named_as_the_system_does(
    information: str | None, processor: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_text(path: Path, encoding: str) -> str:
        assert (str(path), encoding.lower()) == ("/proc/cpuinfo", "utf-8")
        if information is None:
            raise FileNotFoundError
        return information

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(platform, "processor", lambda: processor)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    machine.processor_name.cache_clear()
    try:
        assert machine.processor_name() == expected
    finally:
        machine.processor_name.cache_clear()


# ------------------------------------------------------------------------------------------------------- several runs


@pytest.mark.processes
@pytest.mark.slow
def test_results_are_the_same_for_every_number_of_workers(data: Data, tmp_path: Path) -> None:
    wanted = [CLASSIFIER, replace(CLASSIFIER, name="classifier 2", seed=1), DECODER]
    found = []
    for n_workers in (1, 2):
        folder = Folder(tmp_path / str(n_workers), torch.device("cpu"))
        records = perform_all(wanted, data, folder, n_workers)
        found.append(([timeless(msgspec.to_builtins(record)) for record in records], contents(folder.path)))
    assert [record["identity"]["run"]["name"] for record in found[0][0]] == ["classifier", "classifier 2", "decoder"]
    assert found[0] == found[1]


@dataclass(frozen=True)
class Item:
    """What is done in a worker; it raises its error, if it has one."""

    name: str
    error: BaseException | None = None


def items(n: int) -> list[Item]:
    return [Item(str(number)) for number in range(n)]


def trouble(item: Item) -> str:
    if item.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if item.name == "bad":
        raise UserError("bad item")
    return item.name


@pytest.mark.processes
@pytest.mark.parametrize(("item", "error"), [("killed", Interrupted), ("bad", UserError)])
def test_trouble_in_a_worker_is_trouble_here(
    item: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _method: server)  # starts quicker
    with pytest.raises(error):
        share_out(trouble, [Item("good"), Item(item), Item("well")], 2, "items")


def in_shared_memory(tensor: torch.Tensor, _item: Item) -> bool:
    return tensor.is_shared()


@pytest.mark.processes
def test_what_workers_get_is_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _method: server)
    assert share_out(functools.partial(in_shared_memory, torch.zeros(3)), items(2), 2, "items") == [False, False]


def large_and_wrong(item: Item, data: bytes) -> None:
    raise UserError(f"wrong in {item.name}, with {len(data)} bytes")


@pytest.mark.processes
@pytest.mark.timeout(60)
def test_a_failure_while_much_is_on_its_way_to_the_workers_does_not_hang() -> None:
    """As it did where the job went with every item, on Python below 3.11.5."""
    with pytest.raises(UserError, match="with 20000000 bytes"):
        share_out(functools.partial(large_and_wrong, data=bytes(20_000_000)), items(6), 2, "items")


class Pool:
    """Stands for a pool of processes, and works in this one; items that are errors are raised."""

    made: list["Pool"]

    def __init__(self, n_workers: int, context: Any, initializer: Any, initargs: Any) -> None:
        n_threads, job = initargs
        self.settings = (n_workers, context.get_start_method(), initializer, n_threads)
        workers._jobs[:] = [job]
        self.shut_down: list[dict[str, bool]] = []
        self.held: list[bool] = []
        self.made.append(self)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Any, item: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.held.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        try:
            future.set_result(function(item))
        except BaseException as error:
            future.set_exception(error)
        return future

    def shutdown(self, **how: bool) -> None:
        self.shut_down.append(how)


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Pool]:
    monkeypatch.setattr(Pool, "made", [], raising=False)
    monkeypatch.setattr(workers, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(workers, "_jobs", [])
    return Pool.made


def raised(item: Item) -> str:
    if item.error is not None:
        raise item.error
    return f"did {item.name}"


def test_workers_are_as_many_as_asked_and_have_the_threads_of_their_parent(
    pools: list[Pool], threads: Callable[[int], None]
) -> None:
    threads(3)
    expected = ["did 0", "did 1", "did 2"]
    assert share_out(raised, items(3), 2, "items") == expected
    assert share_out(raised, items(3), 9, "items") == expected
    assert [pool.settings for pool in pools] == [(n, "spawn", workers._start_worker, 3) for n in (2, 3)]
    assert [pool.shut_down for pool in pools] == [[], []]
    assert [pool.held for pool in pools] == [[True] * 3] * 2  # workers start with the first item
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for n_items, n_workers in ((3, 1), (1, 5), (0, 2)):  # in this process
        assert share_out(lambda item: raised(item), items(n_items), n_workers, "items") == expected[:n_items]
    assert len(pools) == 2


def test_ctrl_c_means_nothing_to_a_worker_that_is_still_importing() -> None:
    with workers._ctrl_c_held():
        code = "import sys, time; print('up', flush=True); time.sleep(0.2); print('there', flush=True)"
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    assert (process.communicate(), process.returncode) == ((b"there\n", b""), 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_all_workers_have_been_started(number: signal.Signals) -> None:
    started = []

    def start() -> None:
        with workers._ctrl_c_held():
            signal.getsignal(number)(number, None)  # type: ignore[operator,misc] # as where another thread has taken it
            started.append("all")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert started == ["all"]


class Worker:
    """Dies when it is told so for the second time."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def terminate(self) -> None:
        self.told.append("terminate")

    def join(self, timeout: float) -> None:
        self.told.append(timeout)


@pytest.mark.parametrize("error", [UserError("bad"), KeyboardInterrupt(), BrokenProcessPool("gone")])
def test_an_error_stops_all_workers_and_is_raised_here(
    error: BaseException, pools: list[Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = [Worker(), Worker()]

    def alive() -> list[Worker]:
        return [worker for worker in workers if worker.told.count("terminate") < 2]

    monkeypatch.setattr(multiprocessing, "active_children", alive)
    broken = isinstance(error, BrokenProcessPool)
    with pytest.raises(Interrupted if broken else type(error)) as caught:
        share_out(raised, [Item("0"), Item("1", error)], 2, "items")
    assert str(caught.value) == ("a worker process was killed" if broken else str(error))
    assert pools[0].shut_down == ([] if broken else [{"wait": False, "cancel_futures": True}])
    assert [worker.told for worker in workers] == [[] if broken else ["terminate", 0.2] * 2] * 2


def test_a_termination_interrupts_once() -> None:
    cleared_up = []

    def twice() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)  # as `timeout` sends it
            cleared_up.append(True)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), workers._terminated_as_interrupted():
        twice()
    assert cleared_up
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_worker_keeps_its_memory_takes_its_threads_and_dies_with_its_parent(
    monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]
) -> None:
    events: list[Any] = []
    parent = SimpleNamespace(join=lambda: events.append("the parent is gone"))

    class Thread:
        def __init__(self, target: Callable[[], None], daemon: bool) -> None:
            assert daemon  # it does not keep a worker alive that has done its work
            self.target = target

        def start(self) -> None:
            events.append("watches")
            self.target()

    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
    monkeypatch.setattr(workers.threading, "Thread", Thread)
    monkeypatch.setattr(os, "_exit", lambda code: events.append(("exit", code)))
    monkeypatch.setattr(workers, "keep_freed_memory", lambda: events.append("keeps memory"))
    monkeypatch.setattr(workers.tqdm, "set_lock", lambda _: events.append("locks for itself"))
    monkeypatch.setattr(workers, "_jobs", [])
    before = signal.getsignal(signal.SIGINT)
    try:
        workers._start_worker(3, b"a job")
        assert workers._jobs == [b"a job"]
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert torch.get_num_threads() == 3
    assert events == ["keeps memory", "locks for itself", "watches", "the parent is gone", ("exit", 1)]


TERMINATED = """
import multiprocessing, time
from concurrent.futures import ProcessPoolExecutor
from tqdm import tqdm
from studies.workers import _start_worker
pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start_worker, (1, b""))
pool.submit(tqdm.write, "a line").result()
pool.submit(time.sleep, 60)
for worker in multiprocessing.active_children():
    worker.terminate()
"""


@pytest.mark.processes
@pytest.mark.slow
def test_a_worker_that_is_terminated_leaves_nothing_behind() -> None:
    ended = subprocess.run([sys.executable, "-c", TERMINATED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("a line\n", "")


def test_all_runs_are_performed_and_their_measurements_gathered_at_last(
    folder: Folder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def performed(run: Run, data: Data, folder: Folder, few: bool) -> dict[str, Any]:
        assert few
        (folder.path / "runs").mkdir(exist_ok=True)
        (folder.path / "runs" / f"{run.name}.metrics.jsonl").write_text(f"{run.name}\n")  # another misses it
        if run.name == "bad":
            raise UserError("bad")
        return {"name": run.name}

    monkeypatch.setattr(workers, "perform", performed)
    assert perform_all([DECODER, CLASSIFIER], data, folder, 1) == [{"name": "decoder"}, {"name": "classifier"}]
    assert (folder.path / "metrics.jsonl").read_text() == "classifier\ndecoder\n"
    with pytest.raises(UserError, match="bad"):
        perform_all([replace(DECODER, name="bad"), CLASSIFIER], data, folder, 1)
    assert (folder.path / "metrics.jsonl").read_text() == "bad\nclassifier\ndecoder\n"


def test_what_is_done_is_told_and_what_was_done_before_is_not_done_again(
    folder: Folder, data: Data, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [replace(DECODER, name=f"run {number}") for number in range(6)]
    monkeypatch.setattr(workers, "recorded", lambda run, *_: {"kept": run.name} if run is wanted[1] else None)
    monkeypatch.setattr(workers, "perform", lambda run, data, folder, few: {"trained": run.name, "few": few})
    found: list[Any] = perform_all(wanted, data, folder, 1)
    assert found[1] == {"kept": "run 1"}
    assert [record["trained"] for record in found[:1] + found[2:]] == [f"run {number}" for number in (0, 2, 3, 4, 5)]
    assert [record["few"] for record in found[:1] + found[2:]] == [False] * 5  # five are many
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith(f"{folder.path.name[-10:]}: 1 of 6 runs are there already")
    assert said[1] == "runs: 1 of 5 done (run 0); 0.0 s left"
    assert said[-1] == "runs: 5 of 5 done (run 5)"


def threads_here(_item: Item) -> int:
    return torch.get_num_threads()


@pytest.mark.processes
def test_a_worker_computes_with_the_threads_of_its_parent(
    monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]
) -> None:
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _method: server)
    threads(3)
    assert share_out(threads_here, items(2), 2, "items") == [3, 3]


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """Under nohup Ctrl-C means nothing, in training either."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_signals() as stopped:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stopped()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGTERM)
            assert stopped()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def until_stopped(started: Path) -> None:
    """Work, as training does, until a signal asks to stop."""
    with stop_signals() as stopped:
        started.touch()
        while not stopped():
            time.sleep(0.01)
    raise Interrupted("saved")


@pytest.mark.processes
def test_ctrl_c_stops_the_workers_and_they_take_up_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _method: server)
    signs = [tmp_path / str(number) for number in range(8)]

    def interrupt() -> None:
        while not signs[0].exists() or not signs[1].exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        share_out(until_stopped, signs, 2, "items")
    assert not multiprocessing.active_children()


def test_what_was_computed_for_something_else_is_computed_anew(tmp_path: Path) -> None:
    path, values = tmp_path / "value.json", iter("abc")
    found = [
        remembered(path, str, identity, lambda: next(values), str.islower)
        for identity in ({"n": (1, 2)}, {"n": [1, 2]}, {"n": [3]})
    ]
    assert found == ["a", "a", "b"]  # the first two are the same in JSON
    assert json.loads(path.read_text()) == {"value": "b", "identity": {"n": [3]}}


def test_a_record_names_the_processor_that_made_it() -> None:
    assert machine.machine().processor == machine.processor_name()
