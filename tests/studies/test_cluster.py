"""A study on a cluster gives the numbers that it gives here, whatever becomes of the machines."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from launch import ROOT, Command
from tiny import decoder_of

from common.files import UserError
from dataset import Data
from modules.config import TransformerConfig
from studies.cluster import joined_cluster, perform_on_cluster
from studies.workers import perform_all
from training.recipe import Recipe, Run, TrainingConfig
from training.records import DivergedRun
from training.runs import Folder, recorded

SMALL = TransformerConfig(n_embd=16, n_layer=2, block_size=8, ff_dim=16, dropout=0.1)
RECIPE = Recipe("decoder", decoder_of(SMALL), TrainingConfig(batch_size=4), duration=400)  # a few seconds
RUNS = [Run(f"decoder-seed{seed}", RECIPE, seed) for seed in range(4)]
SHORT = "n_layer=1 n_embd=16 block_size=8 iterations=300"
WITHOUT_RAY = "needs Ray: pip install -r requirements-cluster.txt"
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason=WITHOUT_RAY)


def starts_ray(test: Any) -> Any:
    """Marks a test that starts a cluster."""
    return needs_ray(pytest.mark.slow(pytest.mark.processes(test)))


@pytest.fixture
def two_machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A cluster of two machines of one core, which find modules as other machines would: not here. The second has a
    folder for temporary files of its own."""
    (tmp_path / "second").mkdir()
    monkeypatch.delenv("PYTHONPATH", raising=False)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1, env_vars={"TMPDIR": str(tmp_path / "second")})
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def worker_in(folder: Path) -> int:
    """The process that trains on the machine with this folder for temporary files."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            of_the_machine = f"TMPDIR={folder}".encode() in (process / "environ").read_bytes().split(b"\0")
            if of_the_machine and b"ray::_perform" in (process / "cmdline").read_bytes():
                return int(process.name)
    raise AssertionError("nobody trains there")


def trained(folder: Folder, data: Data) -> tuple[list[Any], dict[str, bytes]]:
    """The records and the other files of RUNS, but for times."""
    records = [msgspec.structs.replace(record, train_seconds=0.0) for record in perform_all(RUNS, data, folder, 1)]
    files = {
        path.name: path.read_bytes() for path in folder.path.rglob("*") if path.suffix in (".safetensors", ".jsonl")
    }
    return records, files


@pytest.mark.parametrize("with_notice", [False, True], ids=["dies", "is asked to stop"])
@starts_ray
def test_a_machine_that_goes_in_the_middle_changes_no_bit(
    with_notice: bool, two_machines: Any, data: Data, tmp_path: Path
) -> None:
    def remove() -> None:
        while not list((tmp_path / "second").rglob("*.metrics.jsonl")):  # of a run that has been measured once
            time.sleep(0.01)
        if with_notice:
            os.kill(worker_in(tmp_path / "second"), signal.SIGTERM)
        else:
            two_machines.remove_node(two_machines.list_all_nodes()[1], allow_graceful=False)

    here = Folder(tmp_path / "here", torch.device("cpu"))
    there = Folder(tmp_path / "there", torch.device("cpu"), cluster=True)
    remover = threading.Thread(target=remove)
    with joined_cluster(two_machines.address, threads=1):
        remover.start()
        on_cluster = trained(there, data)
        remover.join()
    assert on_cluster == trained(here, data)


@starts_ray
def test_machines_get_the_code_and_nothing_else_and_a_fault_of_a_run_is_raised_here(
    two_machines: Any, data: Data, tmp_path: Path
) -> None:
    import ray

    folder = Folder(tmp_path, torch.device("cpu"), cluster=True)
    diverges = Run("run", replace(RECIPE, training=TrainingConfig(learning_rate=1e30)), seed=0)
    with joined_cluster(two_machines.address, threads=1):
        where, there = ray.get(ray.remote(lambda: (str(Path.cwd()), sorted(map(str, Path().rglob("*.*"))))).remote())
        (record,) = perform_on_cluster([diverges], data, folder)
        assert isinstance(record, DivergedRun)
        assert recorded(diverges, data, folder) == record
    assert Path(where) != ROOT
    assert {path.suffix for path in map(Path, there)} <= {".py", ".pyc"}
    assert {"main.py", "transformer.py", "training/runs.py"} <= set(there)
    with pytest.raises(UserError, match=r"--threads 9: no machine of the cluster has so many cores; ask for at most 1"):
        joined_cluster(two_machines.address, threads=9).__enter__()


@starts_ray
def test_ctrl_c_leaves_a_study_that_goes_on(data_folder: Path, tmp_path: Path) -> None:
    """Ray made of this machine for the purpose, stopped as a terminal does it: every process gets the signal."""
    given = [
        *("compare", "--task", "decoder", "--vary", "positions=learned,alibi", "--seeds", "2", "--base", SHORT),
        *("--cluster", "local", "--data-dir", str(data_folder), "--out", "runs"),
    ]
    command = [sys.executable, str(ROOT / "main.py"), *given]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("runs/runs/*seed?.json")):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("main.py: interrupted; to go on: python main.py compare")
    assert "Traceback" not in err
    finished = {path: path.read_bytes() for path in tmp_path.glob("runs/runs/*seed?.json")}
    assert 0 < len(finished) < 4
    ended = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"runs: {len(finished)} of 4 runs are there already" in ended.stderr
    assert {path: path.read_bytes() for path in finished} == finished  # with their own times
    assert len(list(tmp_path.glob("runs/*.safetensors"))) == 4


@needs_ray
@pytest.mark.parametrize("address", ["lokal", "head:", "head:65536", "127.0.0.1:{closed}", "no-such-host.invalid:6379"])
def test_an_address_that_is_none_is_one_line_at_once(address: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = address.format(closed=free.getsockname()[1])
        with pytest.raises(UserError, match=rf"--cluster {address}: nobody answers \(.+\); give auto, local, or"):
            joined_cluster(address, threads=1).__enter__()


@needs_ray
def test_a_machine_that_is_part_of_no_cluster_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def init(*_: object, **__: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise ConnectionError("Could not find any running Ray instance")

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UserError, match=r"--cluster auto: no Ray cluster there; start it first: docs/cluster\.md"):
        joined_cluster("auto", threads=1).__enter__()
    assert signal.getsignal(signal.SIGTERM) is before


def test_without_ray_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="--cluster needs Ray; install it: pip install -r requirements-"):
        joined_cluster("local", threads=1).__enter__()


# ------------------------------------------------------------------------------------------- several machines, no Ray


def timeless(value: Any) -> Any:
    """A JSON value without what is called seconds."""
    if isinstance(value, dict):
        return {key: timeless(entry) for key, entry in value.items() if "seconds" not in key and key != "checksum"}
    return [timeless(entry) for entry in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.processes
def test_seeds_of_two_machines_copied_together_are_the_study_of_one(data_folder: Path, tmp_path: Path) -> None:
    given = ["compare", "--task", "decoder", "--vary", "positions=learned,alibi", "--base", SHORT]
    given += ["--workers", "1", "--data-dir", str(data_folder)]
    shares = {"one": ["--seeds", "2"], "two": ["--seed", "2", "--seeds", "1"], "whole": ["--seeds", "3"]}
    for out, seeds in shares.items():
        assert Command(tmp_path, *given, *seeds, "--out", out).end().code == 0
    shutil.copytree(tmp_path / "two", tmp_path / "one", dirs_exist_ok=True)
    outcome = Command(tmp_path, *given, *shares["whole"], "--out", "one", "--resume").end()
    assert "one: 6 of 6 runs are there already" in outcome.err
    whole, together = (json.loads((tmp_path / out / "results.json").read_text()) for out in ("whole", "one"))
    assert timeless(together | {"command_line": ""}) == timeless(whole | {"command_line": ""})


@pytest.mark.slow
@pytest.mark.processes
def test_a_model_on_two_machines_without_a_disk_in_common_goes_on(data_folder: Path, tmp_path: Path) -> None:
    """Stopped in the second of two models, of which only the first machine has files."""
    part2 = ["part2", "--ff-dims", "24", "16", "--set", "n_embd=16", "n_layer=1", "--block-size", "8"]
    part2 += ["--iterations", "400", "--data-dir", str(data_folder)]

    def start(out: str, *more: str) -> list[subprocess.Popen[str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
        torchrun += ["--master-addr", "127.0.0.1", "--master-port", str(port), "--node-rank"]
        machines = []
        for rank in "01":
            (tmp_path / rank).mkdir(exist_ok=True)
            command = [*torchrun, rank, str(ROOT / "main.py"), *part2, "--out", f"{out}{rank}", *more]
            machines.append(subprocess.Popen(command, cwd=tmp_path / rank, stderr=subprocess.PIPE, text=True))
        return machines

    def end(machines: list[subprocess.Popen[str]]) -> list[str]:
        return [machine.communicate(timeout=100)[1] for machine in machines]

    end(start("whole"))
    machines = start("stopped")
    first = tmp_path / "0" / "stopped0"
    while not (first / "runs" / "decoder-ff16.checkpoint.safetensors").exists():
        assert machines[0].poll() is None
        time.sleep(0.02)
    machines[1].terminate()
    end(machines)
    assert (first / "runs" / "decoder-ff24.json").exists()
    assert not (first / "runs" / "decoder-ff16.json").exists()
    assert not list((tmp_path / "1").rglob("*.safetensors"))
    machines = start("stopped", "--resume")
    said = end(machines)
    assert [machine.returncode for machine in machines] == [0, 0], said
    for name in ("decoder-ff24.safetensors", "decoder-ff16.safetensors", "metrics.jsonl"):
        assert (first / name).read_bytes() == (tmp_path / "0" / "whole0" / name).read_bytes()
