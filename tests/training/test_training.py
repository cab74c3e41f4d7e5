"""The loop: steps by hand, exact resume from every kind of stop, refusal of bad checkpoints, several processes."""

import contextlib
import math
import os
import platform
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch
import torch.nn.functional as F
from launch import group
from torch import Tensor, nn
from tqdm import tqdm

import training.checkpoint
import training.optimizer
import training.weights
from common.files import Interrupted, UserError, read_as, read_tensors, write_json, write_tensors
from common.randomness import derived_seed
from modules.config import ClassifierConfig, DecoderConfig
from modules.hook_point import hook_points, hooked
from training import loop, processes, progress
from training.loop import WithLoss, training_step
from training.optimizer import make_optimizer, rate_factor
from training.recipe import TrainingConfig
from training.records import Epoch
from training.weights import weights
from transformer import Classifier, Decoder

N, BATCH = 19, 6  # the last batch of an epoch is a single item
CONFIG = TrainingConfig(learning_rate=1e-2, schedule="cosine", warmup=0.3, weight_decay=0.1, clip=0.5, accumulate=2)
N_STEPS, EVERY = 12, 4  # three epochs, measured after each


class Stop(Exception):
    """What a test raises to end a run where it likes."""


def network(seed: int = 0, dropout: float = 0.2) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))


def squared_error(model: nn.Module, items: Tensor) -> Tensor:
    inputs = torch.randn(N, 4, generator=torch.Generator().manual_seed(1)).to(next(model.parameters()).dtype)
    return (model(inputs[items]).squeeze(-1) - inputs[items].sum(dim=-1)).square().mean()


def train(
    model: nn.Module,
    plan: list[Tensor],
    loss: Callable[[Any, Tensor], Tensor],
    config: TrainingConfig,
    seed: int,
    evaluate_at: Sequence[int],
    evaluate: Callable[[int, float], dict[str, Any]],
    checkpoint: Path | None = None,
    identity: Any = None,
    kind: Any = dict,
    **more: Any,
) -> tuple[list[Any], float]:
    """`loop.train` for a task made of these parts, whose measurements are of this kind."""
    own = partial(loss, model)
    task: Any = SimpleNamespace(model=model, plan=plan, loss=own, evaluate_at=evaluate_at, evaluate=evaluate)
    checkpoints = None if checkpoint is None else training.checkpoint.Checkpoints(checkpoint, identity, kind)
    return loop.train(task, config, seed, checkpoints, **{"told": kind is not dict, **more})


def mean_loss(_step: int, mean: float) -> dict[str, float]:
    """A measurement of nothing else."""
    return {"loss": mean}


def fit(
    checkpoint: Path | None = None,
    model: nn.Module | None = None,
    config: TrainingConfig = CONFIG,
    seed: int = 0,
    batch_size: int = BATCH,
    every: int = EVERY,
    interfere: Callable[[str, int], None] = lambda where, step: None,
    identity: Any = "this run",
) -> tuple[dict[str, Tensor], list[Any]]:
    """Train three epochs; `interfere` hears of each step, measurement and report before it counts."""
    model = model or network()
    plan = [batch for epoch in range(3) for batch in torch.arange(N).roll(epoch).split(batch_size)]
    calls = 0

    def loss(model: nn.Module, items: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        interfere("step", calls)
        return squared_error(model, items)

    def measure(step: int, mean_loss: float) -> dict[str, Any]:
        interfere("measure", step)
        torch.rand(3)  # whatever measuring draws must not reach the training
        return {"step": step, "train_loss": mean_loss, "error": squared_error(model, torch.arange(N)).item()}

    history, _ = train(
        model,
        plan,
        loss,
        config,
        seed,
        range(every, len(plan) + 1, every),
        measure,
        checkpoint,
        identity,
        on_measurement=lambda history: interfere("report", history[-1]["step"]),
    )
    return {name: tensor.detach().clone() for name, tensor in weights(model).items()}, history


def assert_same_bits(first: Any, second: Any) -> None:
    torch.testing.assert_close(first, second, rtol=0, atol=0)


# --------------------------------------------------------------------------------------------------------- optimizer


@pytest.mark.parametrize(
    ("schedule", "warmup", "factors"),
    [
        ("constant", 0.0, [1, 1, 1, 1, 1]),
        ("linear", 0.0, [1, 4 / 5, 3 / 5, 2 / 5, 1 / 5]),
        ("cosine", 0.0, [1, (1 + math.cos(math.pi / 5)) / 2, 0.6545085, 0.3454915, 0.0954915]),
        ("constant", 0.4, [1 / 3, 2 / 3, 1, 1, 1]),
        ("linear", 0.4, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]),
        ("cosine", 0.6, [1 / 4, 2 / 4, 3 / 4, 1, 1 / 2]),
        ("linear", 1.0, [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6]),
    ],
)
def test_learning_rates_by_hand(schedule: Any, warmup: float, factors: list[float]) -> None:
    config = TrainingConfig(learning_rate=0.5, schedule=schedule, warmup=warmup)
    assert [rate_factor(config, step, 5) for step in range(5)] == pytest.approx(factors)
    optimizer = make_optimizer(network(), config)
    training.optimizer.set_learning_rate(optimizer, config, 1, 5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5 * factors[1]] * 2)


@pytest.mark.parametrize("accumulate", [1, 2, 4, 5, 100])
def test_a_batch_in_parts_is_the_whole_batch(accumulate: int) -> None:
    model = network(dropout=0.0)
    loss = squared_error(model, torch.arange(N))
    expected = torch.autograd.grad(loss, list(model.parameters()))
    optimizer = torch.optim.SGD(model.parameters())
    found = training_step(model_with_loss(model), optimizer, torch.arange(N), TrainingConfig(accumulate=accumulate))
    assert found == (pytest.approx(loss.item(), rel=1e-6), False)
    gradients = [parameter.grad for parameter in model.parameters()]
    torch.testing.assert_close(gradients, list(expected), rtol=1e-5, atol=1e-6)


def model_with_loss(model: nn.Module) -> nn.Module:
    return loop.WithLoss(model, partial(squared_error, model))


def steps_by_hand(
    model: nn.Module,
    plan: list[Tensor],
    rates: list[float],
    decay: float = 0.0,
    beta2: float = 0.999,
    clip: float = math.inf,
) -> tuple[list[float], list[Tensor]]:
    """The loss of each step and the weights after the last one: AdamW as Loshchilov and Hutter (2019) write it, the
    whole gradient scaled down to the norm `clip`, decay on matrices only."""
    parameters, losses = [parameter.detach().clone() for parameter in model.parameters()], []
    first, second = ([torch.zeros_like(parameter) for parameter in parameters] for _ in range(2))
    for t, (items, rate) in enumerate(zip(plan, rates), start=1):
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), parameters):
                parameter.copy_(value)
        loss = squared_error(model, items)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        norm = math.sqrt(sum(gradient.square().sum().item() for gradient in gradients))
        for i, gradient in enumerate(gradients):
            g = gradient * min(1, clip / (norm + 1e-6))
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = beta2 * second[i] + (1 - beta2) * g**2
            size = (second[i] / (1 - beta2**t)).sqrt() + 1e-8
            decayed = parameters[i] * (1 - rate * decay * (parameters[i].dim() > 1))
            parameters[i] = decayed - rate * first[i] / (1 - 0.9**t) / size
    return losses, parameters


FULL = [1e-3] * 4


@pytest.mark.parametrize(
    ("settings", "by_hand"),
    [
        ({}, {"rates": FULL}),
        ({"learning_rate": 0.03}, {"rates": [0.03] * 4}),
        ({"weight_decay": 0.3}, {"rates": FULL, "decay": 0.3}),
        ({"beta2": 0.5}, {"rates": FULL, "beta2": 0.5}),
        ({"clip": 0.02}, {"rates": FULL, "clip": 0.02}),
        ({"schedule": "linear"}, {"rates": [1e-3, 0.75e-3, 0.5e-3, 0.25e-3]}),
        ({"schedule": "cosine"}, {"rates": [1e-3, 0.8535533906e-3, 0.5e-3, 0.1464466094e-3]}),
        ({"warmup": 0.5}, {"rates": [1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3]}),
        ({"accumulate": 4}, {"rates": FULL}),
        (
            {"weight_decay": 0.1, "beta2": 0.9, "clip": 0.5, "accumulate": 2, "schedule": "linear", "warmup": 0.25},
            {"rates": [0.5e-3, 1e-3, 2e-3 / 3, 1e-3 / 3], "decay": 0.1, "beta2": 0.9, "clip": 0.5},
        ),
    ],
    ids=str,
)
def test_four_steps_by_hand(settings: dict[str, Any], by_hand: dict[str, Any]) -> None:
    plan = [torch.tensor(items) for items in ([0, 5, 3, 18, 7, 7], [1, 2], [9, 10, 11, 12, 13], [4])]
    model = network(dropout=0.0).double()
    losses, expected = steps_by_hand(network(dropout=0.0).double(), plan, **by_hand)
    history, _ = train(model, plan, squared_error, TrainingConfig(**settings), 0, range(1, 5), mean_loss)
    assert [row["loss"] for row in history] == pytest.approx(losses, rel=1e-12)
    torch.testing.assert_close(list(model.parameters()), expected, rtol=0, atol=1e-13)
    plain = steps_by_hand(network(dropout=0.0).double(), plan, FULL)[1]
    change = max((a - b).abs().max().item() for a, b in zip(plain, expected))
    assert change > 1e-6 or by_hand == {"rates": FULL}  # or the setting would not show


@pytest.mark.parametrize(
    ("devices", "fused"),
    [
        (["cpu", "cpu"], True),
        (["cuda"], True),
        (["mps"], True),
        (["xla"], False),
        (["cpu", "meta"], False),
    ],
)
def test_the_optimizer_is_the_fused_one_where_every_parameter_is_where_there_is_one(
    devices: list[str], fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(torch.optim, "AdamW", lambda _groups, **settings: asked.append(settings))
    parameters = [SimpleNamespace(device=torch.device(device), dim=lambda: 2) for device in devices]
    make_optimizer(SimpleNamespace(parameters=lambda: parameters), TrainingConfig(beta2=0.9))  # type: ignore[arg-type]
    assert asked == [{"lr": 0.001, "betas": (0.9, 0.9), "fused": fused}]


def test_a_gradient_below_the_limit_is_not_clipped() -> None:
    assert_same_bits(fit(config=TrainingConfig(clip=1e9)), fit(config=TrainingConfig()))


@pytest.mark.parametrize(("precision", "expected"), [("float32", 1.00390625), ("bf16", 1.0)])
def test_bf16_rounds_products_to_8_bits_and_keeps_the_weights_whole(precision: Any, expected: float) -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1 + 2**-8)

    def loss(model: nn.Module, items: Tensor) -> Tensor:
        return model(torch.ones(len(items), 1)).float().mean()

    config = TrainingConfig(precision=precision, learning_rate=2**-10)
    history, _ = train(model, [torch.arange(3)], loss, config, 0, [1], mean_loss)
    assert history == [{"loss": expected}]
    assert model.weight.dtype == torch.float32
    assert model.weight.item() == pytest.approx(1 + 2**-8 - 2**-10, abs=1e-7)  # Adam's first step is the rate


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_bf16_is_of_the_device_that_the_model_is_on(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked(Exception):
        pass

    def autocast(*asked: object, enabled: bool) -> None:
        raise Asked(*asked, enabled)

    monkeypatch.setattr(torch, "autocast", autocast)
    model = loop.WithLoss(nn.Linear(1, 1, device=device), lambda items: items)
    with pytest.raises(Asked) as found:
        loop.training_step(
            model, torch.optim.SGD(model.parameters()), torch.arange(3), TrainingConfig(precision="bf16")
        )
    assert found.value.args == (device, torch.bfloat16, True)


def test_the_defaults_are_those_of_the_report() -> None:
    assert TrainingConfig() == TrainingConfig(
        batch_size=16,
        learning_rate=0.001,
        weight_decay=0.0,
        schedule="constant",
        warmup=0.0,
        beta2=0.999,
        label_smoothing=0.0,
        unigram_bias=False,
        clip=None,
        accumulate=1,
        precision="float32",
    )
    TrainingConfig(batch_size=1, warmup=1.0, beta2=0.0, label_smoothing=0.0, accumulate=1, clip=1e-9)  # at the edges


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize(("n", "accumulate"), [(6, 1), (7, 3), (1, 1), (2, 2)])
def test_the_gradients_of_all_processes_average_to_that_of_the_whole_batch(
    world_size: int, n: int, accumulate: int
) -> None:
    items = torch.arange(n)
    model = network(dropout=0.0).double()
    whole = squared_error(model, items)
    expected = torch.autograd.grad(whole, list(model.parameters()))
    total, average = 0.0, [torch.zeros_like(gradient) for gradient in expected]
    for rank in range(world_size):
        value, stop = training_step(
            model_with_loss(model),
            torch.optim.SGD(model.parameters(), lr=0.0),
            items,
            TrainingConfig(accumulate=accumulate),
            rank,
            world_size,
            stopped=[lambda: False, lambda: True, lambda: False][rank],
        )
        assert stop == (rank == 1)
        total += value
        for sum_, parameter in zip(average, model.parameters()):
            assert parameter.grad is not None
            sum_ += parameter.grad / world_size
    assert total == pytest.approx(whole.item(), rel=1e-12)
    torch.testing.assert_close(average, list(expected), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 0},
        {"accumulate": 0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"clip": -1.0},
        {"weight_decay": -0.1},
        {"warmup": 1.5},
        {"label_smoothing": 1.0},
        {"beta2": 1.0},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(UserError, match=f"{name} is .*; it must be"):
        TrainingConfig(**settings)


# ------------------------------------------------------------------------------------------------- seeds and resuming


def test_a_seed_decides_every_bit() -> None:
    assert_same_bits(fit(seed=3), fit(seed=3))
    assert not torch.equal(fit(seed=3)[0]["0.weight"], fit(seed=4)[0]["0.weight"])  # of the dropout


class Draws:
    """A loss for `train` that notes, at each step, the items, the generator's seed and what is drawn first."""

    def __init__(self) -> None:
        self.items: list[list[int]] = []
        self.seeds: list[int] = []
        self.drawn: list[float] = []

    def __call__(self, model: nn.Module, items: Tensor) -> Tensor:
        self.items.append(items.tolist())
        self.seeds.append(torch.initial_seed())
        self.drawn.append(torch.rand(()).item())
        return squared_error(model, items)


def draws(seed: int, measure_at: list[int]) -> Draws:
    def measure(step: int, mean: float) -> dict[str, float]:
        return {"noise": torch.rand(step).sum().item()}

    found = Draws()
    train(network(), [torch.arange(6)] * 5, found, TrainingConfig(), seed, measure_at, measure)
    return found


def test_every_step_of_every_seed_has_a_dropout_of_its_own() -> None:
    found = [draws(3, [5]), draws(4, [5]), draws(3, [1, 2, 4])]
    assert found[0].seeds == [derived_seed(3, "dropout", step, 0) for step in range(5)]
    assert len({*found[0].drawn, *found[1].drawn}) == 10
    assert found[2].drawn == found[0].drawn  # whatever was measured in between


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_takes_its_items_and_a_dropout_of_its_own_and_the_first_measures(
    rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (loop, training.checkpoint):
        monkeypatch.setattr(module, "process", lambda: (rank, 2))
    monkeypatch.setattr(loop, "sum_over_processes", lambda *values: list(values))
    members: list[Member] = []

    class Noted(Member):
        def __init__(self, module: nn.Module) -> None:
            super().__init__(module)
            members.append(self)

    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", Noted)
    bars = bars_of_training(monkeypatch)
    found, reports = Draws(), []
    plan = [torch.arange(5), torch.tensor([9, 8, 7])]
    history, _ = train(
        model := network(),
        plan,
        found,
        TrainingConfig(),
        7,
        [1, 2],
        lambda step, mean: {"step": step},
        tmp_path / "checkpoint",
        on_measurement=lambda history: reports.append(len(history)),
    )
    assert found.items == ([[0, 2, 4], [9, 7]] if rank == 0 else [[1, 3], [8]])
    assert found.seeds == [derived_seed(7, "dropout", step, rank) for step in (0, 1)]
    assert history == ([{"step": 1}, {"step": 2}] if rank == 0 else [])
    assert reports == ([1, 2] if rank == 0 else [])
    assert (tmp_path / "checkpoint").exists() == (rank == 0)
    assert [member.exchanged for member in members] == [[True, True]]
    assert (bars[0].settings["desc"], bars[0].settings["disable"]) == ("training", True if rank else None)
    assert not model.training


# --------------------------------------------------------------------------------------------------------- measuring


class Watched:
    """A task that keeps what it sees of its model in steps and in measurements, and may wait for events there."""

    def __init__(self, n_steps: int, evaluate_at: Sequence[int], wait: Callable[[str, int], None]) -> None:
        self.model, self.plan, self.evaluate_at = network().eval(), [torch.arange(BATCH)] * n_steps, evaluate_at
        self.wait, self.n_steps = wait, [0]
        self.modes: list[tuple[str, bool, bool]] = []
        self.after: list[dict[str, Tensor]] = []  # the weights as each step finds them

    def loss(self, items: Tensor) -> Tensor:
        self.modes.append(("step", self.model.training, torch.is_grad_enabled()))
        self.after.append({name: tensor.detach().clone() for name, tensor in weights(self.model).items()})
        self.n_steps[0] += 1
        self.wait("step", self.n_steps[0])
        return squared_error(self.model, items)

    def evaluate(self, step: int, train_loss: float) -> Any:
        self.wait("measure", step)
        self.modes.append(("measure", self.model.training, torch.is_grad_enabled()))
        return {"step": step, "loss": train_loss, "weights": {k: v.tolist() for k, v in weights(self.model).items()}}


def watched(
    n_steps: int, evaluate_at: Sequence[int], wait: Callable[[str, int], None] = lambda *_: None, **more: Any
) -> tuple[Watched, list[Any]]:
    task: Any = Watched(n_steps, evaluate_at, wait)
    return task, loop.train(task, replace(CONFIG, accumulate=1), 0, told=False, **more)[0]


def test_measuring_sees_a_model_that_is_not_in_training_and_training_one_that_is() -> None:
    task, _ = watched(3, range(1, 4))
    assert task.modes == [("step", True, True), ("measure", False, False)] * 3
    assert not task.model.training
    assert torch.is_grad_enabled()


def test_the_training_goes_on_while_the_model_is_measured_as_it_was() -> None:
    gone_on = [threading.Event(), threading.Event()]

    def wait(where: str, step: int) -> None:
        if where == "step" and step in (4, 7):
            gone_on[step // 7].set()
        elif where == "measure" and step in (2, 5):
            assert gone_on[step // 5].wait(timeout=20)

    task, history = watched(9, [2, 5, 9], wait, beside=True)
    _, alone = watched(9, [2, 5, 9])
    assert history == alone
    for found in history[:2]:
        assert found["weights"] == {name: tensor.tolist() for name, tensor in task.after[found["step"]].items()}


def test_the_thread_that_measures_has_as_many_threads_as_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, bool]] = []  # else MKL's products take every core, and their bits may differ
    here = threading.get_ident()
    monkeypatch.setattr(torch, "set_num_threads", lambda n: told.append((n, threading.get_ident() == here)))
    watched(2, [2])
    assert told == [(torch.get_num_threads(), False)]


def test_one_measurement_is_made_at_a_time() -> None:
    measured: list[int] = []

    def wait(where: str, step: int) -> None:
        if where == "measure":
            time.sleep(0.05)
            measured.append(step)
        else:
            assert len(measured) >= step - 2  # before the next is begun

    assert [found["step"] for found in watched(5, range(1, 6), wait, beside=True)[1]] == [1, 2, 3, 4, 5]


def test_who_is_stopped_while_the_model_is_measured_waits_for_the_measurement(tmp_path: Path) -> None:
    def wait(where: str, step: int) -> None:
        if where == "measure":
            time.sleep(0.3)
        elif step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    def run(wait: Callable[[str, int], None] = lambda *_: None) -> list[Any]:
        kind: Any = dict
        checkpoints = training.checkpoint.Checkpoints(tmp_path / "checkpoint", "this run", kind)
        return watched(5, [2, 5], wait, checkpoints=checkpoints, beside=True)[1]

    with pytest.raises(Interrupted, match="stopped at step 3 of 5"):
        run(wait)
    assert run() == watched(5, [2, 5])[1]


def test_an_error_of_a_measurement_ends_the_training() -> None:
    def wait(where: str, step: int) -> None:
        if where == "measure":
            raise RuntimeError("no measurement")

    with pytest.raises(RuntimeError, match="no measurement"):
        watched(30, [2], wait, beside=True)


def test_a_run_that_had_nothing_left_to_do_ends_in_eval_mode_too(tmp_path: Path) -> None:
    fit(tmp_path / "checkpoint")
    fit(tmp_path / "checkpoint", model=(model := network()))
    assert not model.training


def test_the_training_loss_is_the_mean_of_the_steps_since_the_last_measurement() -> None:
    def loss(model: Any, items: Tensor) -> Tensor:
        return items.float().mean() + 0 * model.weight.sum()

    def measure(step: int, mean: float) -> dict[str, float]:
        return {"step": step, "loss": mean}

    plan = [torch.tensor([value]) for value in (1, 2, 4, 8, 16, 32)]
    history, _ = train(nn.Linear(1, 1), plan, loss, TrainingConfig(), 0, [2, 5, 6], measure)
    assert [(row["step"], row["loss"]) for row in history] == [(2, 1.5), (5, pytest.approx(28 / 3)), (6, 32)]


class Clock:
    """Stands for the module `time`, and moves only when a test says so."""

    now = 1000.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (loop, training.checkpoint):
        monkeypatch.setattr(module, "time", clock)
    return clock


def timed(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, n_steps: int, measure_at: list[int], step: float, saving: float
) -> tuple[list[int], float]:
    """After which steps a run saves whose steps, and its saving, take these seconds; and how long it says it took."""
    saved = []

    def wait(seconds: float) -> None:
        clock.now += seconds

    def loss(model: nn.Module, items: Tensor) -> Tensor:
        wait(step)
        return squared_error(model, items)

    def measure(step: int, mean: float) -> dict[str, Any]:
        wait(1e5)
        return {}

    def write_tensors(path: Path, tensors: Any, description: Any) -> None:
        wait(saving)
        saved.append(description.state.step)

    monkeypatch.setattr(training.checkpoint, "write_tensors", write_tensors)
    _, seconds = train(
        network(),
        [torch.arange(2)] * n_steps,
        loss,
        TrainingConfig(),
        0,
        measure_at,
        measure,
        Path("checkpoint"),
        on_measurement=lambda history: wait(1e6),
    )
    return saved, seconds


def test_the_seconds_of_training_count_steps_and_not_measurements(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert timed(clock, monkeypatch, 6, [2, 4, 6], step=1.5, saving=300.0)[1] == 9.0


def test_the_seconds_of_a_resumed_run_count_both_parts(clock: Clock, tmp_path: Path) -> None:
    def loss(model: nn.Module, items: Tensor) -> Tensor:
        clock.now += 2.0
        if clock.now == 1006.0:
            os.kill(os.getpid(), signal.SIGINT)
        return squared_error(model, items)

    def run() -> float:
        plan = [torch.arange(2)] * 5
        return train(network(), plan, loss, TrainingConfig(), 0, [], mean_loss, tmp_path / "checkpoint")[1]

    with pytest.raises(Interrupted, match="stopped at step 3 of 5"):
        run()
    clock.now = 5000.0
    assert run() == 10.0


@pytest.mark.parametrize(
    ("n_steps", "measure_at", "step", "saving", "expected"),
    [
        (20, [], 5.0, 0.5, [5, 10, 15, 20]),  # when more than 20 seconds are gone
        (20, [], 5.0, 2.0, [5, 14]),  # when the 2 seconds that it takes are less than a twentieth
        (8, [3, 6], 0.5, 0.0, [3, 6]),  # at measurements
        (8, [3, 4], 0.5, 1e6, [3]),
    ],
)
def test_checkpoints_are_written_now_and_then(
    n_steps: int,
    measure_at: list[int],
    step: float,
    saving: float,
    expected: list[int],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert timed(clock, monkeypatch, n_steps, measure_at, step, saving)[0] == expected


class Bar:
    """Stands for tqdm, and keeps what it is told."""

    def __init__(self, **settings: Any) -> None:
        self.settings, self.n_updates = settings, 0

    def close(self) -> None:
        pass

    def update(self) -> None:
        self.n_updates += 1

    write = staticmethod(tqdm.write)


def bars_of_training(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    bars: list[Bar] = []

    class Kept(Bar):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            bars.append(self)

    monkeypatch.setattr(progress, "tqdm", Kept)
    return bars


def test_the_bar_begins_where_the_run_does_and_its_numbers_stand_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = bars_of_training(monkeypatch)

    def measure(step: int, mean: float) -> Any:
        return Epoch(epoch=step, train_loss=2 / 3, train_accuracy=50.0, test_accuracy=40.0)

    def run(n_steps: int) -> None:
        plan = [torch.arange(2)] * n_steps
        config, more = TrainingConfig(), {"kind": Epoch, "label": "a run"}
        train(network(), plan, squared_error, config, 0, [3, 5], measure, tmp_path / "c", **more)

    run(3)
    run(5)
    expected = {"desc": "a run", "unit": "step", "disable": None, "leave": False}
    assert [bar.settings for bar in bars] == [
        {"total": 3, "initial": 0, **expected},
        {"total": 5, "initial": 3, **expected},
    ]
    assert [bar.n_updates for bar in bars] == [3, 2]
    assert capsys.readouterr().err.splitlines() == [
        "a run: epoch 3 of 3, loss 0.6667, train 50.0%, test 40.0%",
        "a run: epoch 5 of 5, loss 0.6667, train 50.0%, test 40.0%",
    ]


def test_measuring_more_often_changes_nothing() -> None:
    often, seldom = fit(every=1), fit(every=N_STEPS)
    assert_same_bits(often[0], seldom[0])
    assert often[1][-1]["error"] == seldom[1][-1]["error"]
    assert sum(row["train_loss"] for row in often[1]) / N_STEPS == pytest.approx(seldom[1][0]["train_loss"])


@pytest.mark.parametrize("seconds_between_checkpoints", [0.0, 1e9])
@pytest.mark.parametrize(
    ("where", "at"),
    [
        *(("step", call) for call in (1, 2, 3, 8, 9, 15, 21)),
        *((w, at) for w in ("measure", "report") for at in (4, 8, 12)),
    ],
)
def test_a_resumed_run_ends_bitwise_like_one_never_stopped(
    where: str, at: int, seconds_between_checkpoints: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.checkpoint, "SECONDS_BETWEEN_CHECKPOINTS", seconds_between_checkpoints)
    checkpoint, expected = tmp_path / "checkpoint", fit()

    def interfere(now_where: str, now_at: int) -> None:
        if (now_where, now_at) == (where, at):
            raise Stop

    with pytest.raises(Stop):
        fit(checkpoint, interfere=interfere)
    begun = checkpoint.exists()
    assert_same_bits(fit(checkpoint, network(seed=99 if begun else 0)), expected)
    assert_same_bits(fit(checkpoint, network(seed=99)), expected)  # when it is complete, too


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at", [1, 7, 8, 21])
def test_a_stop_signal_finishes_the_step_saves_and_says_where(number: int, at: int, tmp_path: Path) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def interfere(where: str, now_at: int) -> None:
        if (where, now_at) == ("step", at):
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match=rf"stopped at step {math.ceil(at / 7 * 4)} of 12"):
        fit(tmp_path / "checkpoint", interfere=interfere)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert_same_bits(fit(tmp_path / "checkpoint", network(seed=99)), fit())


@pytest.mark.parametrize("where", ["measure", "report"])
def test_a_stop_signal_during_the_last_measurement_is_heard(where: str, tmp_path: Path) -> None:
    def interfere(now_where: str, at: int) -> None:
        if (now_where, at) == (where, 12):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="stopped at step 12 of 12"):
        fit(tmp_path / "checkpoint", interfere=interfere)
    assert_same_bits(fit(tmp_path / "checkpoint", network(seed=99)), fit())


def test_without_a_checkpoint_a_stop_signal_stops_all_the_same() -> None:
    def interfere(where: str, at: int) -> None:
        if (where, at) == ("step", 3):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="stopped at step 3 of 12"):
        fit(config=replace(CONFIG, accumulate=1), interfere=interfere)


def test_outside_the_main_thread_signals_stay_with_whoever_has_them() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(fit()))
    thread.start()
    thread.join()
    assert_same_bits(found, [fit()])


def test_what_an_interrupted_step_leaves_is_saved_as_it_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.checkpoint, "SHARE_OF_CHECKPOINTS", 0.0)  # none but this one

    def interfere(where: str, at: int) -> None:
        if (where, at) == ("step", 11):  # the second part of the sixth step; the fourth has but one
            raise Interrupted("another process died")

    with pytest.raises(Interrupted, match="another process died"):
        fit(tmp_path / "checkpoint", interfere=interfere)
    assert read_tensors(tmp_path / "checkpoint", dict)[1]["state"]["step"] == 5
    assert_same_bits(fit(tmp_path / "checkpoint", network(seed=99)), fit())


@pytest.mark.parametrize("value", [math.inf, math.nan])
@pytest.mark.parametrize(("where", "step"), [("loss", 3), ("measurement", 4)])
def test_a_run_that_diverges_says_at_which_step_and_leaves_its_last_good_checkpoint(
    where: str, step: int, value: float, tmp_path: Path
) -> None:
    def loss(model: nn.Module, items: Tensor) -> Tensor:
        return squared_error(model, items) * (value if where == "loss" and items[0] == 3 else 1)

    def measure(step: int, mean: float) -> dict[str, Any]:
        return {"scores": {"text": value if where == "measurement" and step == 4 else 0.0}}

    plan = [torch.tensor([number, 9]) for number in range(1, 6)]
    with pytest.raises(UserError) as caught:
        train(network(), plan, loss, TrainingConfig(), 0, [2, 4], measure, tmp_path / "checkpoint")
    remedy = "lower --learning-rate or set --clip"
    assert str(caught.value) == f"training diverged at step {step}: no finite loss; {remedy}"
    assert read_tensors(tmp_path / "checkpoint", dict)[1]["state"]["step"] == 2


def test_batch_norm_is_not_computed_in_parts() -> None:
    with pytest.raises(UserError, match="batch norm needs each batch in one piece"):
        fit(model=nn.Sequential(nn.Linear(4, 1), nn.BatchNorm1d(1)))


# -------------------------------------------------------------------------------------------------------- checkpoints


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    fit(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def assert_refused(checkpoint: Path, complaint: str, model: nn.Module | None = None, **settings: Any) -> None:
    model = model or network(seed=5)
    before = {name: tensor.clone() for name, tensor in weights(model).items()}
    with pytest.raises(UserError, match=complaint) as caught:
        fit(checkpoint, model, **settings)
    assert str(checkpoint) in str(caught.value)
    assert_same_bits(weights(model), before)  # never loaded in part


def test_a_checkpoint_cut_short_is_refused(checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    for length in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        checkpoint.write_bytes(whole[:length])
        assert_refused(checkpoint, "cut short or not a safetensors file")


def test_an_altered_checkpoint_is_refused(checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    for place in [*range(0, len(whole), 97), len(whole) - 1]:
        checkpoint.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert_refused(checkpoint, "cut short|altered|not written by this program")


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x80\x04K\x01.", b"{}" * 50])
def test_a_foreign_file_is_refused(checkpoint: Path, content: bytes) -> None:
    checkpoint.write_bytes(content)
    assert_refused(checkpoint, "cut short or not a safetensors file")


def test_a_checkpoint_of_another_run_or_architecture_is_refused(checkpoint: Path) -> None:
    assert_refused(checkpoint, "of another run .it is this run there and another run here", identity="another run")
    assert_refused(checkpoint, "weights are not of this architecture", model=nn.Linear(4, 1))
    tensors, description = read_tensors(checkpoint, dict)
    write_tensors(checkpoint, {name: value for name, value in tensors.items() if name != "model.0.bias"}, description)
    assert_refused(checkpoint, "weights are not of this architecture")


def test_the_complaints_about_checkpoints_say_what_to_do(checkpoint: Path) -> None:
    for model, identity, complaint in (
        (
            network(),
            "other",
            "of another run (it is this run there and other here); repeat the command as it was, or take another --out",
        ),
        (nn.Linear(4, 1), "this run", "its weights are not of this architecture; use the settings it was trained with"),
    ):
        with pytest.raises(UserError) as caught:
            fit(checkpoint, model, identity=identity)
        assert str(caught.value) == f"{checkpoint}: {complaint}"


ENTRY = "optimizer.2.exp_avg"


@pytest.mark.parametrize(
    ("changes", "removed", "complaint"),
    [
        ({}, "model.0.bias", "its weights are not of this architecture"),
        ({"model.0.bias": torch.full((8,), math.nan)}, None, "model.0.bias holds numbers that are not finite"),
        ({"model.0.bias": torch.zeros(8, dtype=torch.int64)}, None, "its weights are not of this architecture"),
        ({}, ENTRY, f"{ENTRY} is missing"),
        ({"optimizer.9.step": torch.tensor(1.0)}, None, "optimizer.9.step is of no parameter"),
        ({"optimizer.x": torch.tensor(1.0)}, None, "optimizer.x is of no parameter"),
        ({"more": torch.tensor(1.0)}, None, "more is of no parameter"),
        ({ENTRY: torch.zeros(4)}, None, f"{ENTRY} is not what Adam remembers"),
        ({ENTRY: torch.zeros(8, dtype=torch.int32)}, None, f"{ENTRY} is not what Adam remembers"),
        ({"optimizer.2.exp_avg_sq": torch.full((8,), -1.0)}, None, "optimizer.2.exp_avg_sq is not what Adam remembers"),
        ({"optimizer.2.step": torch.tensor(-1.0)}, None, "optimizer.2.step is not what Adam remembers"),
        ({ENTRY: torch.full((8,), math.inf)}, None, f"{ENTRY} holds numbers that are not finite"),
    ],
)
def test_a_checkpoint_of_other_tensors_is_refused(
    changes: dict[str, Tensor], removed: str | None, complaint: str, checkpoint: Path
) -> None:
    tensors, description = read_tensors(checkpoint, dict)
    changed = {name: tensor for name, tensor in {**tensors, **changes}.items() if name != removed}
    write_tensors(checkpoint, changed, description)
    assert_refused(checkpoint, complaint)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"step": "12"}, r"Expected `int`, got `str` - at `\$.state.step`"),
        ({"step": -1}, r"Expected `int` >= 0 - at `\$.state.step`"),
        ({"step": 10**99}, r"at `\$.state.step`"),
        ({"step": 13}, "13 steps where there are 12 at step 13 of 12"),
        ({"step": 3}, "1 measurements where there are 0 at step 3 of 12"),
        ({"step": 8}, "1 measurements where there are 2 at step 8 of 12"),
        ({"step": 7}, "0 losses since the last measurement where there are 3 at step 7 of 12"),
        ({"loss_count": 2}, "2 losses since the last measurement where there are 0 at step 4 of 12"),
        ({"loss_sum": None}, r"Expected `float`, got `null` - at `\$.state.loss_sum`"),
        ({"seconds": -1.0}, r"Expected `float` >= 0.0 - at `\$.state.seconds`"),
        ({"history": []}, "0 measurements where there are 1 at step 4 of 12"),
        ({"history": [1, 2, 3]}, r"Expected `object`, got `int` - at `\$.state.history\[0\]`"),
    ],
    ids=str,
)
def test_a_checkpoint_whose_state_cannot_be_is_refused(
    changes: dict[str, Any], complaint: str, checkpoint: Path
) -> None:
    tensors, description = read_tensors(checkpoint, dict)  # of whichever step was saved last
    state = description["state"] | {"step": 4, "loss_count": 0, "history": description["state"]["history"][:1]}
    write_tensors(checkpoint, tensors, description | {"state": state | changes})
    assert_refused(checkpoint, f"{complaint}; delete it, and the run begins anew")


def test_a_run_interrupted_in_its_first_step_goes_on(tmp_path: Path) -> None:
    def interfere(where: str, at: int) -> None:
        if (where, at) == ("step", 1):
            raise Interrupted("another process died")

    with pytest.raises(Interrupted):
        fit(tmp_path / "checkpoint", interfere=interfere)
    assert_same_bits(fit(tmp_path / "checkpoint", network(seed=99)), fit())


class Shared(nn.Module):
    """A parameter with two names, a buffer that is learned, and one that is made anew with the model."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = nn.Linear(2, 2)
        self.second.weight = self.first.weight
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("table", torch.zeros(9), persistent=False)


def test_what_a_model_has_learned_is_each_parameter_once_and_the_buffers_it_keeps(tmp_path: Path) -> None:
    model, other = Shared(), Shared()
    assert list(weights(model)) == ["first.weight", "second.bias", "mean"]
    tensors = {"first.weight": torch.ones(2, 2), "second.bias": torch.full((2,), 2.0), "mean": torch.full((2,), 3.0)}
    training.weights.load_weights(model, tensors, tmp_path)
    assert_same_bits(weights(model), tensors)
    assert model.second.weight is model.first.weight
    assert model.first.weight.requires_grad
    before = {name: tensor.clone() for name, tensor in weights(other).items()}
    for wrong in ({"mean": torch.zeros(2)}, tensors | {"more": torch.zeros(1)}, tensors | {"mean": torch.zeros(3)}):
        with pytest.raises(UserError) as caught:
            training.weights.load_weights(other, wrong, Path("file"))
        remedy = "use the settings it was trained with"
        assert str(caught.value) == f"file: its weights are not of this architecture; {remedy}"
        assert_same_bits(weights(other), before)


def test_a_checkpoint_brings_back_weights_optimizer_and_state(tmp_path: Path) -> None:
    models = [network(0).double(), network(1).double()]
    optimizers = [make_optimizer(model, TrainingConfig()) for model in models]
    step = [WithLoss(model, partial(squared_error, model)) for model in models]
    training_step(step[0], optimizers[0], torch.arange(5), TrainingConfig())
    kind: Any = dict
    state: dict[str, Any] = {"step": 3, "loss_sum": 0.5, "loss_count": 2, "seconds": 1.25, "history": [{"epoch": 1}]}
    checkpoints = training.checkpoint.Checkpoints(tmp_path / "c", {"seed": 1}, kind)
    checkpoints.save(models[0], optimizers[0], training.checkpoint.State(**state))
    assert msgspec.to_builtins(checkpoints.restore(models[1], optimizers[1], 5, [1])) == state
    assert_same_bits(weights(models[1]), weights(models[0]))
    for key in ("step", "exp_avg", "exp_avg_sq"):
        found, expected = (
            [entry[key] for entry in optimizer.state_dict()["state"].values()] for optimizer in reversed(optimizers)
        )
        assert len(found) == 4
        assert_same_bits(found, expected)


# ------------------------------------------------------------------------------------------------------------ devices


@pytest.mark.parametrize(
    ("name", "there", "local_rank", "expected"),
    [
        ("auto", (), None, "cpu"),
        ("auto", ("mps",), None, "mps"),
        ("auto", ("mps", "cuda"), None, "cuda"),
        ("cpu", ("mps", "cuda"), None, "cpu"),
        ("mps", ("mps", "cuda"), None, "mps"),
        ("cuda", ("cuda",), None, "cuda"),
        ("cuda", ("cuda",), "3", "cuda:3"),
        ("auto", ("cuda",), "0", "cuda:0"),
        ("mps", ("mps",), "3", "mps"),
        ("cpu", (), "3", "cpu"),
    ],
)
def test_the_device_is_the_one_asked_for_or_the_fastest(
    name: str, there: tuple[str, ...], local_rank: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for device, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)):
        monkeypatch.setattr(backend, "is_available", lambda device=device: device in there)
    if local_rank is None:
        monkeypatch.delenv("LOCAL_RANK", raising=False)
    else:
        monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert processes.pick_device(name) == torch.device(expected)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError) as caught:
        processes.pick_device(name)
    assert str(caught.value) == f"--device {name}: not available on this machine; use --device cpu or auto"


# -------------------------------------------------------------------------------------------------- several processes


def member(folder: Path, batch_size: int, accumulate: int, trouble: str = "", identity: str = "this run") -> None:
    """One of the processes that train together; at step 6 trouble may come to the second one."""

    def interfere(where: str, at: int) -> None:
        if (where, at, os.environ["RANK"]) == ("step", 6, "1"):
            if trouble == "death":
                os._exit(9)
            if trouble == "signal":
                os.kill(os.getpid(), signal.SIGTERM)

    torch.set_num_threads(1)
    config = replace(CONFIG, accumulate=accumulate)
    try:
        with processes.processes():
            found, history = fit(
                folder / "checkpoint",
                network(dropout=0.0),
                config,
                batch_size=batch_size,
                interfere=interfere,
                identity=identity,
            )
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(130)
    if os.environ["RANK"] == "0":
        write_tensors(folder / "weights", found, {})
        write_json(folder / "history", history)


def alone(**settings: Any) -> tuple[dict[str, Tensor], list[Any]]:
    return fit(model=network(dropout=0.0), **settings)


class Member(nn.parallel.DistributedDataParallel):
    """Wraps a module as DistributedDataParallel does, with no other process there; notes what waits for the others."""

    def __init__(self, module: nn.Module) -> None:
        nn.Module.__init__(self)
        self.inner, self.waiting = module, False
        self.exchanged: list[bool] = []

    def forward(self, items: Tensor) -> Tensor:
        self.exchanged.append(not self.waiting)
        return self.inner(items)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        self.waiting = True
        yield
        self.waiting = False


def test_gradients_are_exchanged_once_a_step_with_its_last_part() -> None:
    member = Member(model_with_loss(network()))
    optimizer = torch.optim.SGD(member.parameters(), lr=1.0)
    for accumulate in (3, 1):
        training_step(member, optimizer, torch.arange(6), TrainingConfig(accumulate=accumulate))
    assert member.exchanged == [False, False, True, True]


def test_batch_norm_is_not_computed_by_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        fit(model=nn.Sequential(nn.Linear(4, 1), nn.BatchNorm1d(1)), config=TrainingConfig(), batch_size=N)

    run()  # one process, in one piece
    monkeypatch.setattr(loop, "process", lambda: (0, 2))
    with pytest.raises(UserError) as caught:
        run()
    remedy = "leave it out, or use one process and no --accumulate"
    assert str(caught.value) == f"batch norm needs each batch in one piece; {remedy}"


def test_sums_are_taken_over_the_processes_that_train_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(tensor: Tensor) -> None:  # two processes with the same numbers
        assert tensor.dtype == torch.float64
        tensor *= 2

    monkeypatch.setattr(torch.distributed, "all_reduce", twice)
    assert processes.sum_over_processes(0.1, 3.0) == [0.1, 3.0]
    monkeypatch.setattr(processes, "process", lambda: (1, 2))
    assert processes.sum_over_processes(0.1, 3.0) == [0.2, 6.0]


@pytest.mark.parametrize(
    ("available", "initialised", "expected"), [(True, True, (2, 5)), (True, False, (0, 1)), (False, True, (0, 1))]
)
def test_a_process_knows_its_rank_or_is_alone(
    available: bool, initialised: bool, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"is_available": available, "is_initialized": initialised, "get_rank": 2, "get_world_size": 5}
    for name, answer in answers.items():
        monkeypatch.setattr(torch.distributed, name, lambda answer=answer: answer)
    assert processes.process() == expected


def test_only_the_first_process_goes_before_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for place, expected in (
        ((0, 1), ["inside"]),
        ((0, 3), ["inside", "waited"]),
        ((1, 3), ["waited", "inside"]),
        ((2, 3), ["waited", "inside"]),
    ):
        events: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr(processes, "process", lambda place=place: place)
            patch.setattr(torch.distributed, "barrier", lambda events=events: events.append("waited"))
            with processes.first_process_first():
                events.append("inside")
        assert events == expected


def test_an_error_of_waiting_for_another_process_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, text, said in (
        (RuntimeError, "[gloo/transport/tcp/pair.cc:5] gone\naway", "[gloo/transport/tcp/pair.cc:5] gone"),
        (RuntimeError, "gloo" + "x" * 97, "gloo" + "x" * 96),
        (torch.distributed.DistNetworkError, "", "DistNetworkError"),
    ):
        monkeypatch.undo()
        with pytest.raises(kind), processes.others_alive():  # alone, it is what it is
            raise kind(text)
        monkeypatch.setattr(processes, "process", lambda: (1, 2))
        with pytest.raises(Interrupted) as caught, processes.others_alive():
            raise kind(text)
        assert str(caught.value) == f"another process of the group died ({said})"
    for own in (ValueError, RuntimeError):  # a fault of this process stays its own
        with pytest.raises(own, match="other"), processes.others_alive():
            raise own("other")

    def barrier() -> None:
        raise RuntimeError("gloo: no answer")

    monkeypatch.setattr(torch.distributed, "barrier", barrier)
    with pytest.raises(Interrupted, match="no answer"), processes.first_process_first():
        raise AssertionError("the others must not go in")


@pytest.fixture
def group_events(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    events: list[Any] = []
    monkeypatch.setattr(torch.distributed, "rendezvous", lambda _: iter([(None, 0, 2)]))
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend, **_: events.append(backend))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: events.append("gone"))
    return events


def test_processes_of_torchrun_know_each_other_and_one_alone_does_not(
    group_events: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for world_size, cuda, expected in (
        (None, True, ["inside"]),
        ("1", True, ["inside"]),
        ("2", False, ["gloo", "inside", "gone"]),
        ("2", True, ["cpu:gloo,cuda:nccl", "inside", "gone"]),
    ):
        group_events.clear()
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        if world_size:
            monkeypatch.setenv("WORLD_SIZE", world_size)
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        with processes.processes():
            group_events.append("inside")
        assert group_events == expected


def test_what_was_trained_is_gone_before_the_group_is(group_events: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    left: list[weakref.ref[nn.Module]] = []

    def destroy() -> None:
        group_events.append([model() for model in left])

    monkeypatch.setattr(torch.distributed, "destroy_process_group", destroy)

    def trained() -> None:
        model = network()
        model.itself = model  # only the collector finds this one
        left.append(weakref.ref(model))
        raise RuntimeError("lost")

    def caught_and_raised_anew() -> None:
        model = network()
        left.append(weakref.ref(model))
        try:
            trained()
        except RuntimeError as error:
            raise Interrupted("another process died") from error

    with pytest.raises(Interrupted, match="another process died"), processes.processes():
        caught_and_raised_anew()
    assert group_events[1:] == [[None, None]]


@pytest.mark.processes
@pytest.mark.parametrize(("batch_size", "accumulate"), [(BATCH, 1), (BATCH, 2), (1, 1)])
@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(batch_size: int, accumulate: int, tmp_path: Path) -> None:
    assert group(2, member, tmp_path, batch_size, accumulate) == [0, 0]
    found, history = read_tensors(tmp_path / "weights", dict)[0], read_as(tmp_path / "history", list)
    torch.testing.assert_close((found, history), alone(batch_size=batch_size), rtol=1e-4, atol=1e-6)


@pytest.mark.processes
@pytest.mark.parametrize(("trouble", "codes"), [("death", [130, 9]), ("signal", [130, 130])])
@pytest.mark.slow
def test_trouble_in_one_process_ends_all_with_a_checkpoint_that_one_process_resumes(
    trouble: str, codes: list[int], tmp_path: Path
) -> None:
    assert group(2, member, tmp_path, BATCH, 1, trouble) == codes
    step = read_tensors(tmp_path / "checkpoint", dict)[1]["state"]["step"]
    assert step == 5 + (trouble == "signal")  # in the middle of an epoch, with a mean loss half gathered
    resumed = fit(tmp_path / "checkpoint", network(seed=99, dropout=0.0))
    torch.testing.assert_close(resumed, alone(), rtol=1e-4, atol=1e-6)


def elsewhere(folder: Path) -> None:
    """A member on another machine than the first: no file of it is there, and its own name is another."""
    rank = os.environ["RANK"]
    member(folder if rank == "0" else folder / rank, BATCH, 1, identity="this run" if rank == "0" else "another")


@pytest.mark.processes
@pytest.mark.parametrize("second", [lambda folder: [member, folder, BATCH, 1], lambda folder: [elsewhere, folder]])
@pytest.mark.slow
def test_two_processes_resume_what_one_began(second: Callable[[Path], list[Any]], tmp_path: Path) -> None:
    def interfere(where: str, at: int) -> None:
        if (where, at) == ("step", 10):
            os.kill(os.getpid(), signal.SIGINT)

    with contextlib.suppress(Interrupted):
        fit(tmp_path / "checkpoint", network(dropout=0.0), interfere=interfere)
    assert group(2, *second(tmp_path)) == [0, 0]
    found, history = read_tensors(tmp_path / "weights", dict)[0], read_as(tmp_path / "history", list)
    torch.testing.assert_close((found, history), alone(), rtol=1e-4, atol=1e-6)


def with_a_checkpoint_that_is_refused(folder: Path) -> None:
    """What a member does who must hear of it."""
    torch.set_num_threads(1)
    with processes.processes():
        try:
            fit(folder / "checkpoint", network(), identity=f"another run, says {os.environ['RANK']}")
        except UserError as error:
            (folder / os.environ["RANK"]).write_text(str(error))


@pytest.mark.processes
def test_what_the_first_process_cannot_resume_is_refused_by_all(checkpoint: Path) -> None:
    folder = checkpoint.parent
    assert group(2, with_a_checkpoint_that_is_refused, folder) == [0, 0]
    first, second = ((folder / rank).read_text() for rank in "01")
    assert first == second
    assert "another run, says 0 here" in first


@pytest.mark.parametrize("task", ["classifier", "decoder"])
def test_twenty_steps_on_the_fast_path_end_like_twenty_on_the_plain_one(task: str) -> None:
    """Fast: PyTorch's attention kernel, the loss without logits, a fused optimizer. Plain: weights, logits, loops."""
    settings: Any = {"n_embd": 16, "n_layer": 2, "block_size": 8, "ff_dim": 24, "initialisation": "pytorch"}
    ids, labels = torch.randint(2, 50, (20, 6, 9)), torch.randint(0, 3, (20, 6))
    lengths = torch.full((6,), 8)

    def fast(model: Any, items: Tensor) -> Tensor:
        step = items[0]
        if task == "classifier":
            return model.loss(ids[step][:, :8], lengths, labels[step])
        return model.loss(ids[step][:, :8], ids[step][:, 1:])

    def plain(model: Any, items: Tensor) -> Tensor:
        step = items[0]
        with hooked(model, hook_points(model, "weights"), lambda weights, name: None):
            logits = model(ids[step][:, :8], *([lengths] if task == "classifier" else []))
        if task == "classifier":
            return F.cross_entropy(logits, labels[step])
        return F.cross_entropy(logits.flatten(0, 1), ids[step][:, 1:].flatten())

    ends = []
    for loss, fused in ((fast, True), (plain, False)):
        torch.manual_seed(0)
        model = (
            Classifier(ClassifierConfig(**settings), list(map(str, range(50))), 3)
            if task == "classifier"
            else Decoder(DecoderConfig(**settings), list(map(str, range(50))))
        )
        optimizer = make_optimizer(model, TrainingConfig())
        optimizer.param_groups[0]["fused"] = optimizer.param_groups[1]["fused"] = fused
        values = [
            training_step(WithLoss(model, partial(loss, model)), optimizer, torch.tensor([step]), TrainingConfig())[0]
            for step in range(20)
        ]
        ends.append((values, list(model.parameters())))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-3, atol=1e-4)


COME_AND_GO = """
import resource, torch
from common.environment import keep_freed_memory
keep_freed_memory()
for n in range(20):
    if n == 10:  # by now pieces of that size have their place
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [torch.ones(2**21) for _ in range(4)]
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 10)
"""


@pytest.mark.processes
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep what they will")
@pytest.mark.slow
def test_freed_memory_serves_again() -> None:
    command = [sys.executable, "-c", COME_AND_GO]
    ended = subprocess.run(command, cwd=Path(loop.__file__).parent.parent, capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 1000  # pages cleared in a step, of the 8,192 that it needs
