"""The benchmark measures what it says: the same work on every side, in turns, in a table that reads."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import contenders, processes
from benchmarks.contenders import TASKS, LibraryModel, ModelSizes, Task
from benchmarks.timing import Benchmark, in_tables, interleaved, timed_in_turns
from common.files import read_as
from evaluation.statistics import Estimate
from modules.config import ClassifierConfig, DecoderConfig
from training.records import Machine
from training.weights import count_parameters
from transformer import Classifier, Decoder

SMALL = ModelSizes(block_size=8, batch_size=4, vocabulary_size=50)


def n_parameters(task: Task) -> int:
    """Of the report's model."""
    words = [f"word{i}" for i in range(5755)]
    if task == "classifier":
        return count_parameters(Classifier(ClassifierConfig(), words, 3))
    return count_parameters(Decoder(DecoderConfig(), words))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", contenders.TRUNKS)
@pytest.mark.slow
def test_library_models_are_of_the_same_size_and_only_decoders_are_causal(name: str, task: Task) -> None:
    if name != "torch.nn" and importlib.util.find_spec(name) is None:
        pytest.skip("not in the development requirements")
    model = LibraryModel(name, task, ModelSizes()).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(n_parameters(task), rel=0.01)
    ids = torch.randint(2, 5755, (16, 32))
    changed = ids.clone()
    changed[:, -1] = 1
    before, after = model(ids), model(changed)
    assert before.shape == ((16, 3) if task == "classifier" else (16, 32, 5755))
    if task == "decoder":
        torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert not torch.equal(before, after)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.slow
def test_the_jax_model_is_of_the_same_size_and_learns(task: Task) -> None:
    jax = pytest.importorskip("jax", reason="not in the development requirements")
    from benchmarks import in_jax

    head = ModelSizes().head(task)
    tree = in_jax.jax_weights(ClassifierConfig(), 5755, head)
    assert sum(array.size for array in jax.tree.leaves(tree)) == pytest.approx(n_parameters(task), rel=0.01)
    ids, labels = torch.randint(2, 5755, (16, 32)), torch.randint(3, (16,))
    changed = ids.clone()
    changed[:, -1] = 1
    causal = task == "decoder"
    targets = ids.flatten() if causal else labels
    before, after = (in_jax.logits(tree, in_jax.jnp.asarray(x.numpy()), 2, causal) for x in (ids, changed))
    moved = np.abs(np.asarray(before - after)).reshape(16, -1, before.shape[-1]).max(axis=(0, 2)) > 1e-4
    assert moved.tolist() == ([False] * 31 + [True] if causal else [True])
    step = in_jax.jax_step(ClassifierConfig(), 5755, head, ids, targets)
    losses = [step() for _ in range(30)]
    assert losses[0] == pytest.approx(torch.nn.functional.cross_entropy(torch.tensor(np.asarray(before)), targets))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("task", TASKS)
def test_steps_are_compared_in_turns_and_a_missing_library_is_one_line(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("transformers", "jax"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "benchmarks.in_jax", raising=False)
    steps = contenders.all_steps(task, SMALL)
    assert capsys.readouterr().err.count("pip install -r requirements-bench.txt") == 2
    first, *others = timed_in_turns("a group", steps, rounds=3)
    assert first.name == "Orator"
    assert {row.name for row in others} == {"Orator, --precision bf16", "torch.nn"}
    assert all(row.ratio is not None and row.ratio.n == 3 and row.fastest <= row.seconds for row in others)


def test_every_contender_has_every_turn() -> None:
    calls: list[str] = []
    seconds = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=5, repeats=2)
    assert {name: len(values) for name, values in seconds.items()} == {"a": 5, "b": 5}
    assert calls.count("a") == calls.count("b") == 2 * (5 + 2)
    assert {calls[i] for i in range(0, len(calls), 4)} == {"a", "b"}  # the order within a round changes


def test_a_table_for_each_group() -> None:
    machine = Machine("0123456789abcdef", False, "code", "3.12", "2.13.0", "a processor", 2, threads=1, processes=1)
    ratio = Estimate(1.5, 1.4, 1.6, 0.1, 1.5, 40)
    rows = [Benchmark("a step", "Orator", 0.0105, 0.01), Benchmark("a step", "torch.nn", 0.0158, 0.015, ratio)]
    text = in_tables([*rows, Benchmark("a command", "part1", 38.87, 38.5)], machine)
    assert "a processor, 2 cores, 1 thread, torch 2.13.0, commit 0123456789" in text
    assert "| torch.nn | 15.80 ms | 15.00 ms | 1.50 [1.40, 1.60] |" in text
    assert text.index("### a step") < text.index("### a command") < text.index("| part1 | 38.87 s | 38.50 s | - |")


def test_growth_is_measured_and_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    axis = {f"{n} tokens": ModelSizes(block_size=n, batch_size=4, vocabulary_size=50) for n in (4, 8)}
    monkeypatch.setattr(contenders, "GROWTH", {("classifier", "length"): axis})
    command.main(["--sections", "growth", "--rounds", "2", "--out", str(tmp_path)])
    rows = read_as(tmp_path / "benchmarks.json", dict)["rows"]
    assert {row["name"] for row in rows} == {f"{who}, {n} tokens" for who in ("Orator", "torch.nn") for n in (4, 8)}


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"nothing\.safetensors"):
        processes.process_seconds(["classify", "A sentence.", "--model", "nothing.safetensors"], tmp_path)
