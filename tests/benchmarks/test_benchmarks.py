"""The benchmark measures what it says: the same work on every side, each moment counted once, a table that reads."""

import importlib.util
import math
import pkgutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import benchmarks.__main__
from benchmarks import contenders, growth, losses, options, profile, stages, timing
from benchmarks.__main__ import Benchmarks, table
from benchmarks.contenders import (
    LIBRARIES,
    TASKS,
    Shape,
    Sizes,
    Task,
    library_step,
    made_up_batch,
    our_step,
    step_flops,
)
from common.files import UserError
from evaluation.statistics import Estimate
from modules.config import ClassifierConfig, DecoderConfig
from studies.recipes import RECIPES
from training.records import Machine
from training.weights import count_parameters
from transformer import Classifier, Decoder

SMALL = Sizes(block_size=8, batch_size=4, vocabulary_size=50)


def test_operations_of_a_step() -> None:
    assert step_flops("classifier", Sizes()) == pytest.approx(0.65e9, rel=0.01)
    assert step_flops("decoder", Sizes()) == pytest.approx(1.79e9, rel=0.01)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.slow
def test_library_models_are_of_the_same_size(name: str, task: Task) -> None:
    if importlib.util.find_spec(name.replace("-", "_")) is None and name != "torch.nn":
        pytest.skip("not in the development requirements")
    words = [f"word{i}" for i in range(5755)]
    ours = Classifier(ClassifierConfig(), words, 3) if task == "classifier" else Decoder(DecoderConfig(), words)
    theirs = LIBRARIES[name](Shape(), task)
    used = sum(parameter.numel() for parameter in theirs.parameters())
    used -= sum(p.numel() for n, p in theirs.named_parameters() if "to_logits" in n and task == "classifier")
    assert used == pytest.approx(count_parameters(ours), rel=0.01)
    ids = torch.randint(2, 5755, (16, 32))
    assert theirs(ids).shape == ((16, 3) if task == "classifier" else (16, 32, 5755))


@pytest.mark.parametrize("task", TASKS)
def test_library_decoder_is_causal_and_encoder_is_not(task: Task) -> None:
    model = LIBRARIES["torch.nn"](Shape(vocabulary_size=50, block_size=8), task).eval()
    ids = torch.randint(2, 50, (1, 8))
    changed = ids.clone()
    changed[0, -1] = 1
    before, after = model(ids), model(changed)
    if task == "decoder":
        torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert not torch.equal(before, after)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.slow
def test_the_jax_model_is_of_the_same_size_and_learns(task: Task) -> None:
    jax = pytest.importorskip("jax", reason="not in the development requirements")
    from benchmarks import in_jax

    head = [(64, 100), (100, 3)] if task == "classifier" else [(64, 5755)]
    tree = in_jax.weights(ClassifierConfig(), 5755, head)
    words = [f"word{i}" for i in range(5755)]
    ours = Classifier(ClassifierConfig(), words, 3) if task == "classifier" else Decoder(DecoderConfig(), words)
    assert sum(array.size for array in jax.tree.leaves(tree)) == pytest.approx(count_parameters(ours), rel=0.01)
    ids, targets = made_up_batch(task, Sizes())
    changed = ids.clone()
    changed[:, -1] = 1
    causal = task == "decoder"
    before, after = (in_jax.logits(tree, in_jax.jnp.asarray(x.numpy()), 2, causal) for x in (ids, changed))
    assert before.shape == ((16 * 32, 5755) if causal else (16, 3))
    seen = np.abs(np.asarray(before - after)).reshape(16, -1, before.shape[-1]).max(axis=(0, 2)) > 1e-4
    assert seen.tolist() == ([False] * 31 + [True] if causal else [True])
    step = in_jax.training_step(ClassifierConfig(), 5755, head, ids, targets)
    losses = [step() for _ in range(30)]
    assert losses[0] == pytest.approx(torch.nn.functional.cross_entropy(torch.tensor(np.asarray(before)), targets))
    assert losses[-1] < 0.7 * losses[0]


def test_contenders_are_compiled_too_and_a_library_that_is_missing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiled = []

    def missing(*_: object) -> torch.nn.Module:
        raise ModuleNotFoundError("No module named 'x_transformers'")

    def compile(loss: Callable[[], Tensor], dynamic: bool) -> Callable[[], Tensor]:
        compiled.append(loss().item())
        return loss

    monkeypatch.setattr(torch, "compile", compile)
    monkeypatch.setattr(contenders, "LIBRARIES", {"torch.nn": contenders.torch_model, "x-transformers": missing})
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.delitem(sys.modules, "benchmarks.in_jax", raising=False)
    steps = contenders.contenders("decoder", SMALL)
    assert list(steps) == ["Orator", "torch.nn", "torch.nn, compiled"]
    assert compiled == [pytest.approx(math.log(50), rel=0.2)]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("pip install -r requirements-bench.txt" in line for line in lines)


@pytest.mark.parametrize("task", TASKS)
def test_steps_run_and_are_compared_in_turns(task: Task) -> None:
    steps = {"Orator": our_step(task, SMALL), "torch.nn": library_step("torch.nn", task, SMALL)}
    ours, theirs = timing.compare("a group", steps, "Orator", step_flops(task, SMALL), rounds=3)
    assert (ours.against, theirs.yardstick) == (None, "Orator")
    assert theirs.against is not None
    assert theirs.against.n == 3
    assert 0 < (ours.share_of_peak or 0) < 2
    assert ours.fastest is not None
    assert ours.fastest <= ours.seconds


def test_every_contender_has_every_turn() -> None:
    calls: list[str] = []
    seconds = timing.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=5, repeats=2)
    assert {name: len(values) for name, values in seconds.items()} == {"a": 5, "b": 5}
    assert calls.count("a") == calls.count("b") == 2 * (5 + 2)
    assert {calls[i] for i in range(0, len(calls), 4)} == {"a", "b"}  # now the one is first, now the other


def test_a_moment_counts_for_the_innermost_stage() -> None:
    watch = stages.Stopwatch()
    inner = watch.around("inner", lambda: time.sleep(0.02))

    def slow() -> None:
        time.sleep(0.01)
        inner()

    started = time.perf_counter()
    watch.around("outer", slow)()
    whole = time.perf_counter() - started
    assert watch.seconds["inner"] >= 0.02
    assert watch.seconds["outer"] >= 0.01
    assert watch.seconds["inner"] + watch.seconds["outer"] <= whole


def test_every_stage_names_functions_that_exist() -> None:
    for paths in stages.FUNCTIONS.values():
        for path in paths:
            assert callable(pkgutil.resolve_name(path))


def test_a_gpu_is_guessed_at_by_operations() -> None:
    assert "1.30 TFLOP" in growth.on_a_gpu(512)
    assert " 43 ms on a GPU that does 30 TFLOP/s" in growth.on_a_gpu(512)


@pytest.mark.parametrize(
    ("axis", "size"), [("length", 8), ("vocabulary", 100), ("batch", 2), ("width", 8), ("corpus", 300)]
)
def test_growth_of_every_axis(axis: str, size: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORATOR_CACHE", str(tmp_path))
    monkeypatch.setattr(growth, "LARGE", SMALL)
    rows = []
    for name in growth.AXES[axis][2]():
        for n in (size, 2 * size):
            seconds, megabytes = growth.measure(axis, name, n, torch.get_num_threads(), enough=0.0)
            rows.append(timing.Row("growth: size", name, seconds, megabytes=megabytes, size=n))
            assert seconds > 0
    growth.growth_figure(tmp_path / "growth.png", rows)
    assert (tmp_path / "growth.png").stat().st_size > 1000


def test_table() -> None:
    machine = Machine("0123456789abcdef", False, "code", "3.12", "2.13.0", "a processor", 2, threads=1, processes=1)
    ratio = Estimate(1.5, 1.4, 1.6, 0.1, 1.5, 40)
    rows = [
        timing.Row("a step", "Orator", 0.0105, 0.01, share_of_peak=0.5),
        timing.Row("a step", "torch.nn", 0.0158, 0.015, ratio, "Orator", 0.3),
        timing.Row("length", "encoder", 1.25, megabytes=812.4, size=1024),
        timing.Row("length", "encoder", 0.25, megabytes=12.4, tokens=512, size=32),
        timing.Row("length", "decoder", 0.5, megabytes=20.0, size=32),
    ]
    head, compared, growth_table = table(Benchmarks(machine, rows)).split("\n\n")
    assert "1,024 x 1,024" in head
    lines = compared.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[4].split("|")[1:-1]] == [
        "torch.nn", "15.80 ms", "15.00 ms", "1.50 [1.40, 1.60]", "30%"
    ]  # fmt: skip
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in growth_table.splitlines()]
    assert cells[0] == ["length", "32", "1,024"]
    assert cells[2:] == [
        ["encoder", "250.00 ms, 12 MB, 25,395 B/token", "1.25 s, 812 MB"],
        ["decoder", "500.00 ms, 20 MB", ""],
    ]


@pytest.mark.parametrize("task", TASKS)
def test_bf16_is_compared_in_either_recipe(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def step(task: Task, sizes: Sizes, name: str, **settings: object) -> contenders.Step:
        asked.append((name, sizes.block_size, settings))
        return our_step(task, SMALL, name, **settings)

    monkeypatch.setattr(options, "our_step", step)
    rows = options.timed_options(task, rounds=3)
    blocks = {name: recipes[task].architecture.block_size for name, recipes in RECIPES.items()}
    precisions: list[dict[str, object]] = [{}, {"precision": "bf16"}]
    assert asked == [(name, block, settings) for name, block in blocks.items() for settings in precisions]
    assert [(row.name, row.against is None) for row in rows] == 2 * [("as it is", True), ("--precision bf16", False)]
    assert len({row.group for row in rows}) == 2


@pytest.mark.parametrize("task", TASKS)
def test_a_profile_adds_up_to_a_step(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "our_step", lambda task: our_step(task, SMALL))
    seconds = {row.name: row.seconds for row in profile.profiled(task, rounds=3)}
    assert {"matrix products", "attention kernel", "optimizer", "layer norms", "ReLU", profile.REST} <= seconds.keys()
    assert ("softmax of the output layer" in seconds) or task == "classifier"
    assert list(seconds.values()) == sorted(seconds.values(), reverse=True)
    assert 0 < sum(seconds.values()) < 1


# ------------------------------------------------------------------------------------------------- two commits compared

RUNNER = "import sys, pathlib; pathlib.Path(sys.argv[2]).write_text(pathlib.Path('numbers.json').read_text())"
BEFORE = '{"a decoder": {"losses": [4.5, 3.0]}, "a classifier": {"losses": [1.0], "verdict": "holds"}}'
AFTER = '{"a decoder": {"losses": [4.5, 3.25]}, "a classifier": {"losses": [1.0], "verdict": "holds"}, "new": {"x": 1}}'


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=name", "-c", "user.email=address", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Commits by tag: bare has no golden runs; same gives the numbers of start, changed others, broken none."""
    root = tmp_path / "repository"
    runner = root / "tests" / "golden" / "__main__.py"
    runner.parent.mkdir(parents=True)
    git(root, "init", "--quiet")
    for tag, program, numbers in (
        ("bare", None, BEFORE),
        ("start", RUNNER, BEFORE),
        ("same", f"{RUNNER}  # as a restructure would leave it", BEFORE),
        ("changed", RUNNER, AFTER),
        ("broken", "raise ValueError('no numbers today')", AFTER),
    ):
        (root / "numbers.json").write_text(numbers)
        if program is not None:
            runner.write_text(program)
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--allow-empty", "--message", tag)
        git(root, "tag", tag)
    (root / "numbers.json").write_text(BEFORE)
    runner.write_text(RUNNER)  # the working tree is as start again, and not committed
    return root


@pytest.mark.processes
@pytest.mark.parametrize(
    ("before", "after", "code"), [("start", "same", 0), ("start", "changed", 1), (".", "start", 0), ("changed", ".", 1)]
)
def test_two_commits_are_compared_number_by_number(
    before: str, after: str, code: int, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert losses.main([before, after], repository) == code
    *lines, last = capsys.readouterr().out.splitlines()
    if code:
        old, new = ("3.0", "3.25") if before == "start" else ("3.25", "3.0")
        assert f"only {'changed'} has the run new" in lines
        assert f"a decoder: losses.1: {before} {old}, {after} {new} (by 0.25)" in lines
        assert last == "different: 1 of 2 runs, 1 of 4 numbers"
    else:
        assert lines == []
        assert last == "the same: 2 runs, 4 numbers, bit by bit"
    assert len(git(repository, "worktree", "list").splitlines()) == 1  # nothing is left checked out


@pytest.mark.processes
@pytest.mark.parametrize(
    ("revisions", "complaint"),
    [
        (["start", "nowhere"], "nowhere: no such commit here"),
        (["start", "--all"], "--all: no such commit here"),
        (["bare", "start"], "bare: has no golden runner"),
        (["start", "broken"], "broken: its golden runs failed (ValueError: no numbers today)"),
        (["start"], "takes two commits"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(
    revisions: list[str],
    complaint: str,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(losses, "ROOT", repository)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "losses", *revisions])
    assert benchmarks.__main__.main() == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert complaint in err
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_commits_with_nothing_in_common_are_not_the_same() -> None:
    with pytest.raises(UserError, match="no golden run in common"):
        losses.tell(("a", "b"), {"one": {}}, {"other": {}})
