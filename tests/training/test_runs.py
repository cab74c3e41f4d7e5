"""Records of runs are reused and never mistaken, and say where they come from; seeds; folders; workers change no
number."""

import copy
import functools
import hashlib
import importlib
import json
import math
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch
from launch import ROOT, server
from tiny import classifier_of, decoder_of, perform

from common import console
from common.files import Interrupted, UserError, write_sealed
from dataset import Data
from modules.config import TransformerConfig
from studies import workers
from studies.workers import file_name, perform_all, share_out
from studies.workplace import workplace
from training import machine, runs
from training.processes import stop_signals
from training.recipe import Recipe, Run, TrainingConfig
from training.runs import Folder, identity_of, open_folder, remembered
from training.weights import load_model

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


@pytest.mark.parametrize(
    ("run", "damage", "complaint"),
    [
        (CLASSIFIER, {"epochs": [{"epoch": 1}]}, "missing required field `train_loss` - at `$.epochs[0]`"),
        (DECODER, {"stretch_nats": {"a": [1.0, None]}}, "Expected `float`, got `null`"),
        (DECODER, {"train_seconds": float("nan")}, "JSON is malformed"),
        (CLASSIFIER, {"identity": {}}, "of another run"),
    ],
    ids=str,
)
def test_a_damaged_record_is_refused_in_one_line_that_says_where(
    run: Run, damage: dict[str, Any], complaint: str, data: Data, folder: Folder
) -> None:
    record, path = perform(run, data, folder), folder.record(run)
    write_sealed(path, record | {"of a later version": 1})
    assert perform(run, data, folder) == record
    whole = path.read_text()
    edited = whole.replace('"seed": 0', '"seed": 0.0')
    path.write_text(json.dumps(record | damage))
    if math.isfinite(damage.get("train_seconds", 0.0)):
        write_sealed(path, record | damage)
    for text, expected in ((path.read_text(), complaint), (whole[:-9], "not a whole"), (edited, "checksum differs")):
        path.write_text(text)
        said = refusal(run, data, folder)
        assert said.startswith(f"{path}: ")
        assert expected in said
        assert "\n" not in said


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


def test_whatever_is_set_is_part_of_what_a_run_is(data: Data, folder: Folder) -> None:
    def changes(settings: Any, *but: str) -> list[Any]:
        return [changed(settings, field.name) for field in fields(settings) if field.name not in but]

    recipe = CLASSIFIER.recipe
    recipes = [
        *changes(recipe, "architecture", "training"),
        *(changed(recipe, "training", training) for training in changes(recipe.training)),
        *(changed(recipe, "architecture", architecture) for architecture in changes(recipe.architecture)),
    ]
    others = [*changes(CLASSIFIER, "recipe"), *(changed(CLASSIFIER, "recipe", other) for other in recipes)]
    identities = {json.dumps(identity_of(run, data, folder)) for run in (CLASSIFIER, *others)}
    assert len(identities) == len(others) + 1
    assert identity_of(replace(CLASSIFIER), data, folder) == identity_of(CLASSIFIER, data, folder)


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


def refusal(run: Run, data: Data, folder: Folder) -> str:
    """The message of the error that refuses a run."""
    with pytest.raises(UserError) as caught:
        perform(run, data, folder)
    return str(caught.value)


@pytest.fixture
def half_done(data: Data, folder: Folder) -> Folder:
    """CLASSIFIER, stopped after its first epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "write_metrics", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted, match="stopped at step 3 of 6"):
            perform(CLASSIFIER, data, folder, few=False)  # it waits for its measurements
    assert (folder.path / "runs" / "classifier.checkpoint.safetensors").exists()
    return folder


@pytest.mark.parametrize("key", ["code", "python", "torch", "processor"])
def test_half_a_run_of_another_machine_is_refused_and_a_whole_one_is_not(
    key: str, data: Data, half_done: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = msgspec.structs.replace(machine.machine(), **{key: "another"})
    with monkeypatch.context() as patch:
        patch.setattr(runs, "machine", lambda: elsewhere)
        assert f"of another run ({key} is " in refusal(CLASSIFIER, data, half_done)
    record = perform(CLASSIFIER, data, half_done)
    monkeypatch.setattr(runs, "machine", lambda: elsewhere)
    assert perform(CLASSIFIER, data, half_done) == record


def test_a_run_on_another_number_of_threads_is_another_run(
    data: Data, half_done: Folder, threads: Callable[[int], None]
) -> None:
    for _ in ("half done", "whole"):
        threads(2)
        assert "of another run (threads is 1 there and 2 here)" in refusal(CLASSIFIER, data, half_done)
        threads(1)
        perform(CLASSIFIER, data, half_done)


@pytest.mark.parametrize("key", ["commit", "dirty"])
def test_a_commit_that_changes_no_code_forbids_no_resume(
    key: str, data: Data, half_done: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = msgspec.structs.replace(machine.machine(), **{key: "another"})
    monkeypatch.setattr(runs, "machine", lambda: there)
    assert perform(CLASSIFIER, data, half_done)["machine"][key] == "another"


def test_half_a_run_goes_on_to_the_bits_of_one_never_stopped(data: Data, half_done: Folder, tmp_path: Path) -> None:
    whole = Folder(tmp_path / "whole", torch.device("cpu"))
    assert timeless(perform(CLASSIFIER, data, half_done)) == timeless(perform(CLASSIFIER, data, whole))
    assert half_done.weights(CLASSIFIER).read_bytes() == whole.weights(CLASSIFIER).read_bytes()
    assert not half_done.checkpoint(CLASSIFIER).exists()


# --------------------------------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize(("run", "history"), [(CLASSIFIER, "epochs"), (DECODER, "iterations")], ids=str)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(
    run: Run, history: str, data: Data, tmp_path: Path
) -> None:
    folders = [Folder(tmp_path / name, torch.device("cpu")) for name in "abc"]
    first, again, other = (perform(replace(run, seed=seed), data, where) for seed, where in zip((3, 3, 4), folders))
    assert timeless(first) == timeless(again)
    assert contents(folders[0].path) == contents(folders[1].path)
    assert all(a["train_loss"] != b["train_loss"] for a, b in zip(first[history], other[history]))


def test_a_command_computes_with_its_threads_whatever_the_default_was(
    data_folder: Path, tmp_path: Path, threads: Callable[[int], None]
) -> None:
    results = []
    for default, asked in ((1, 1), (3, 1), (1, 3)):
        threads(default)
        out = tmp_path / f"{default} {asked}"
        with workplace(data_folder, out, 8, "cpu", asked, {}, resume=False, go_on="") as (data, folder):
            record = perform(CLASSIFIER, data, folder)
        assert record["machine"]["threads"] == record["identity"]["threads"] == asked
        results.append((timeless(record), contents(out)))
    assert results[0] == results[1]


# ------------------------------------------------------------------------------------------------------------- records


def test_a_brief_run_is_measured_once_and_leaves_no_weights(data: Data, folder: Folder) -> None:
    for run, measured in ((CLASSIFIER, "epochs"), (DECODER, "iterations")):
        record = perform(replace(run, brief=True), data, folder)
        assert len(record[measured]) == 1
        assert not folder.weights(run).exists()
        assert folder.record(run).exists()


# ------------------------------------------------------------------------------------------------------------- folders


@pytest.mark.slow
def test_a_folder_that_another_command_writes_is_neither_used_nor_moved(tmp_path: Path) -> None:
    out, device = tmp_path / "run", torch.device("cpu")
    first = open_folder(out, device, {"number": 0}, resume=False)
    for resume in (False, True, None):
        with pytest.raises(UserError, match=rf"run: in use by process {os.getpid()} on .*; wait for it, or choose"):
            open_folder(out, device, {"number": 1}, resume)
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


def test_what_stands_in_the_way_of_a_folder_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results.json").mkdir()
    with pytest.raises(UserError, match=r"results.json: a folder is in the place of a file"):
        open_folder(tmp_path, torch.device("cpu"), {}, resume=False)
    (tmp_path / "results.json").rmdir()
    monkeypatch.chdir(tmp_path)
    open_folder(Path(), torch.device("cpu"), {}, resume=False)
    with pytest.raises(UserError, match="the working folder cannot be set aside; use --resume, take another --out"):
        open_folder(Path(), torch.device("cpu"), {}, resume=False)
    open_folder(Path(), torch.device("cpu"), {}, resume=True)


def test_names_of_runs_fit_into_file_names_and_differ_where_their_variants_do() -> None:
    common = " ".join(f"{name}={number}" for number, name in enumerate("abcdefghijklmnopqrstuvwxyz" * 9))
    variants = ["learning_rate=1e-06", "learning_rate=1e+06", f"{common} x=1", f"{common} x=2", f"y {common} x=2"]
    names = list(map(file_name, variants))
    assert names[:2] == ["learning_rate-1e-06", "learning_rate-1e+06"]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) < 100
    assert "-x-2-" in names[3]  # what differs can be read


# ------------------------------------------------------------------------------------------------------------- machine


def test_a_mixture_of_machines_is_found() -> None:
    here = machine.machine()
    others = [msgspec.structs.replace(here, **change) for change in ({"processor": "another"}, {"threads": 99})]
    records: list[Any] = [SimpleNamespace(machine=each) for each in (here, others[0], copy.copy(here), others[1])]
    assert machine.distinct_machines(records) == [here, *others]


def test_the_code_is_that_of_the_rooms_that_compute() -> None:
    files = {str(path.relative_to(machine.ROOT)) for path in machine.modules()}
    assert {"transformer.py", "commands/options.py", "training/loop.py", "modules/config.py"} <= files
    assert not any(name.startswith(("reporting/", "tests/", "benchmarks/", "docs/")) for name in files)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A git checkout of two modules and a page, which this program takes for its own."""
    for name, content in (("b.py", "b = 1\n"), ("a.py", "a = 1\n"), ("README.md", "read me\n")):
        (tmp_path / name).write_text(content)
    author = ["-c", "user.name=Orator", "-c", "user.email=orator@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    yield tmp_path
    machine.code_version.cache_clear()


def test_the_code_is_described_by_its_commit_what_differs_from_it_and_its_modules(checkout: Path) -> None:
    def version() -> tuple[str | None, bool | None, str]:
        machine.code_version.cache_clear()
        return machine.code_version()

    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
    commit, code = head.stdout.strip(), hashlib.sha256(b"a = 1\nb = 1\n").hexdigest()[:16]
    assert version() == (commit, False, code)
    (checkout / "README.md").write_text("changed\n")
    assert version() == (commit, True, code)
    (checkout / "c.py").write_text("c = 1\n")  # not tracked, but loaded
    assert machine.code_version() == (commit, True, code)  # of the code that was loaded
    assert version() == (commit, True, hashlib.sha256(b"a = 1\nb = 1\nc = 1\n").hexdigest()[:16])
    (checkout / ".git").rename(checkout / "no longer git")
    assert version()[:2] == (None, None)


# ------------------------------------------------------------------------------------------------------- several runs


@pytest.mark.processes
@pytest.mark.slow
def test_results_are_the_same_for_every_number_of_workers(data: Data, tmp_path: Path) -> None:
    wanted: list[Run] = [CLASSIFIER, replace(CLASSIFIER, name="classifier 2", seed=1), DECODER]
    results = []
    for n_workers in (1, 2):
        folder = Folder(tmp_path / str(n_workers), torch.device("cpu"))
        records: list[Any] = [msgspec.to_builtins(record) for record in perform_all(wanted, data, folder, n_workers)]
        assert [record["identity"]["run"]["name"] for record in records] == [run.name for run in wanted]
        results.append((list(map(timeless, records)), contents(folder.path)))
    assert results[0] == results[1]


def named(*names: str) -> list[Any]:
    """What workers are given, as far as they look at it."""
    return [SimpleNamespace(name=name) for name in names]


def trouble(run: Any) -> str:
    if run.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if run.name == "bad":
        raise UserError("bad run")
    return str(run.name)


@pytest.mark.processes
@pytest.mark.parametrize(("name", "error"), [("killed", Interrupted), ("bad", UserError)])
def test_trouble_in_a_worker_is_trouble_here(
    name: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _method: server)  # starts quicker
    with pytest.raises(error):
        share_out(trouble, named("good", name, "well"), 2, "runs")


@pytest.mark.processes
@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_a_failure_stops_the_workers_leaves_none_of_them(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = workers._stop_workers

    def pressed() -> None:
        signal.raise_signal(number)
        stop()

    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _method: server)
    monkeypatch.setattr(workers, "_stop_workers", pressed)
    with pytest.raises(UserError, match="bad run"):
        share_out(trouble, named("good", "bad", "well"), 2, "runs")
    assert not multiprocessing.active_children()


def state_here(_run: Any, tensor: torch.Tensor) -> tuple[bool, int]:
    return tensor.is_shared(), torch.get_num_threads()


@pytest.mark.processes
def test_workers_share_no_memory_and_compute_with_the_threads_of_their_parent(
    monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]
) -> None:
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _method: server)
    threads(3)
    job = functools.partial(state_here, tensor=torch.zeros(3))
    assert share_out(job, named("a", "b"), 2, "runs") == [(False, 3), (False, 3)]


def large_and_wrong(run: Any, data: bytes) -> None:
    raise UserError(f"wrong in {run.name}, with {len(data)} bytes")


@pytest.mark.processes
@pytest.mark.timeout(60)
def test_a_failure_while_much_is_on_its_way_to_the_workers_does_not_hang() -> None:
    """As it did where the job went with every run, on Python below 3.11.5."""
    with pytest.raises(UserError, match="with 20000000 bytes"):
        share_out(functools.partial(large_and_wrong, data=bytes(20_000_000)), named(*"abcdef"), 2, "runs")


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_stops_the_workers_is_not_stopped_itself(number: signal.Signals) -> None:
    cleared_up = []

    def twice() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)  # as `timeout` sends it
            cleared_up.append(True)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), console.interrupts_answered():
        twice()
    assert cleared_up
    assert signal.getsignal(number) is before


def test_ctrl_c_in_the_middle_of_an_import_waits_for_its_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "slowly_imported.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    answered = []
    try:
        with console.interrupts_answered():
            module = importlib.import_module("slowly_imported")
            answered.append(module.whole)
            threading.Event().wait(20)  # as a parent waits for its workers
    except KeyboardInterrupt:
        answered.append("interrupted")
    assert answered == [True, "interrupted"]


TERMINATED = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tqdm import tqdm
from studies.workers import _start_worker
pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start_worker, (1, Path(os.devnull)))
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


def test_what_is_done_is_said_and_what_was_done_before_is_not_done_again(
    folder: Folder, data: Data, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [replace(DECODER, name=f"run {number}") for number in range(6)]
    monkeypatch.setattr(workers, "recorded", lambda run, *_: "kept" if run is wanted[1] else None)
    monkeypatch.setattr(workers, "perform", lambda run, data, folder, few: (run.name, few))
    records: list[Any] = perform_all(wanted, data, folder, 1)
    assert records[1] == "kept"
    assert records[:1] + records[2:] == [(f"run {number}", False) for number in (0, 2, 3, 4, 5)]  # five are many
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith("1 of 6 runs are there already")
    assert said[-1] == "runs: 5 of 5 done (run 5)"


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


def until_stopped(run: Any, folder: Path) -> None:
    """Work, as training does, until a signal asks to stop."""
    with stop_signals() as stopped:
        (folder / run.name).touch()
        while not stopped():
            time.sleep(0.01)
    raise Interrupted("saved")


@pytest.mark.processes
def test_ctrl_c_stops_the_workers_and_none_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _method: server)

    def interrupt() -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        share_out(functools.partial(until_stopped, folder=tmp_path), named(*"abcdefgh"), 2, "runs")
    assert not multiprocessing.active_children()


def test_what_was_computed_for_something_else_is_computed_anew(tmp_path: Path) -> None:
    path, values = tmp_path / "value.json", iter("abc")
    identities: list[Any] = [{"n": (1, 2)}, {"n": [1, 2]}, {"n": [3]}]  # the first two are the same in JSON
    kept = [remembered(path, str, identity, lambda: next(values)) for identity in identities]
    assert kept == ["a", "a", "b"]
    assert json.loads(path.read_text()).items() >= {"value": "b", "identity": {"n": [3]}}.items()
