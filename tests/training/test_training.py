"""The loop: steps by hand, exact resume from every kind of stop, refusal of bad checkpoints, several processes."""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from launch import group
from torch import Tensor, nn

import training.checkpoint
from common.files import Interrupted, UserError, read_as, read_tensors, write_json, write_tensors
from common.randomness import derived_seed
from training import loop, processes, progress
from training.checkpoint import Checkpoints, State
from training.loop import WithLoss, make_optimizer, rate_factor, training_step
from training.machine import pick_device
from training.recipe import TrainingConfig
from training.weights import load_weights, weights

N, BATCH = 19, 6  # the last batch of an epoch is a single item
CONFIG = TrainingConfig(learning_rate=1e-2, schedule="cosine", warmup=0.3, weight_decay=0.1, clip=0.5)
N_STEPS, EVERY = 12, 4  # three epochs, measured after each


class Stop(Exception):
    """What a test raises to end a run where it likes."""


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements here are of no kind that has words."""
    monkeypatch.setattr(progress.Progress, "show", lambda *_: None)


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
    identity: Any = "this run",
    **more: Any,
) -> tuple[list[Any], float]:
    """`loop.train` for a task made of these parts, whose measurements are dictionaries."""
    loss_of_model = partial(loss, model)
    task: Any = SimpleNamespace(model=model, plan=plan, loss=loss_of_model, evaluate_at=evaluate_at, evaluate=evaluate)
    checkpoints = None if checkpoint is None else checkpoints_in(checkpoint, identity)
    return loop.train(task, config, seed, checkpoints, **{"few": False, **more})


def checkpoints_in(path: Path, identity: Any = "this run") -> Checkpoints:
    measurement: Any = dict
    return Checkpoints(path, identity, measurement)


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
    loop.prepare_step(optimizer, config, 0, 1, 5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5 * factors[1]] * 2)


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
        (
            {"weight_decay": 0.1, "beta2": 0.9, "clip": 0.5, "schedule": "linear", "warmup": 0.25},
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


def test_what_is_called_a_bias_is_not_decayed() -> None:
    model = nn.Module()
    model.biases = nn.Parameter(torch.ones(3, 5))  # a table of them, as a decoder with voices has
    model.weight = nn.Parameter(torch.ones(3, 5))
    decayed, free = (
        [parameter.data_ptr() for parameter in group["params"]]
        for group in make_optimizer(model, TrainingConfig(weight_decay=0.1)).param_groups
    )
    assert (decayed, free) == ([model.weight.data_ptr()], [model.biases.data_ptr()])


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


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 0), ("learning_rate", math.nan), ("clip", -1.0), ("weight_decay", -0.1), ("warmup", 1.5)],
)
def test_impossible_settings_are_refused(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{name} is .*; it must be"):
        TrainingConfig(**{name: value})


# ------------------------------------------------------------------------------------------------- seeds and resuming


def test_a_seed_decides_every_bit() -> None:
    assert_same_bits(fit(seed=3), fit(seed=3))
    assert not torch.equal(fit(seed=3)[0]["0.weight"], fit(seed=4)[0]["0.weight"])  # of the dropout


def draws(seed: int, measure_at: list[int]) -> tuple[list[int], list[float]]:
    """The generator's seed at each step, and what is drawn first there."""
    seeds, drawn = list[int](), list[float]()

    def loss(model: nn.Module, items: Tensor) -> Tensor:
        seeds.append(torch.initial_seed())
        drawn.append(torch.rand(()).item())
        return squared_error(model, items)

    def measure(step: int, mean: float) -> dict[str, float]:
        return {"noise": torch.rand(step).sum().item()}

    train(network(), [torch.arange(6)] * 5, loss, TrainingConfig(), seed, measure_at, measure)
    return seeds, drawn


def test_every_step_of_every_seed_has_a_dropout_of_its_own() -> None:
    (seeds, drawn), (_, of_another_seed), (_, measured_often) = draws(3, [5]), draws(4, [5]), draws(3, [1, 2, 4])
    assert seeds == [derived_seed(3, "dropout", step, 0) for step in range(5)]
    assert len({*drawn, *of_another_seed}) == 10
    assert measured_often == drawn  # whatever was measured in between


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
    return task, loop.train(task, CONFIG, 0, **{"few": False, **more})[0]


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

    task, history = watched(9, [2, 5, 9], wait, few=True)
    _, alone = watched(9, [2, 5, 9])
    assert history == alone
    for row in history[:2]:
        assert row["weights"] == {name: tensor.tolist() for name, tensor in task.after[row["step"]].items()}


def test_who_is_stopped_while_the_model_is_measured_waits_for_the_measurement(tmp_path: Path) -> None:
    def wait(where: str, step: int) -> None:
        if where == "measure":
            time.sleep(0.3)
        elif step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped at step 3 of 5"):
        watched(5, [2, 5], wait, checkpoints=checkpoints_in(tmp_path / "checkpoint"), few=True)
    resumed = watched(5, [2, 5], checkpoints=checkpoints_in(tmp_path / "checkpoint"), few=True)[1]
    assert resumed == watched(5, [2, 5])[1]


def test_an_error_of_a_measurement_ends_the_training() -> None:
    def wait(where: str, step: int) -> None:
        if where == "measure":
            raise RuntimeError("no measurement")

    with pytest.raises(RuntimeError, match="no measurement"):
        watched(30, [2], wait, few=True)


def test_the_training_loss_is_the_mean_of_the_steps_since_the_last_measurement() -> None:
    def loss(model: Any, items: Tensor) -> Tensor:
        return items.float().mean() + 0 * model.weight.sum()

    def measure(step: int, mean: float) -> dict[str, float]:
        return {"step": step, "loss": mean}

    plan = [torch.tensor([value]) for value in (1, 2, 4, 8, 16, 32)]
    history, _ = train(nn.Linear(1, 1), plan, loss, TrainingConfig(), 0, [2, 5, 6], measure)
    assert [(row["step"], row["loss"]) for row in history] == [(2, 1.5), (5, pytest.approx(28 / 3)), (6, 32)]


def test_the_seconds_of_a_run_are_those_of_all_its_steps() -> None:
    state = State[Any]()
    state.add(loss=1.0, seconds=2.0)
    state.add(loss=4.0, seconds=0.5)
    assert (state.step, state.seconds, state.take_mean_loss()) == (2, 2.5, 2.5)


def test_checkpoints_are_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Any = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(training.checkpoint, "time", clock)
    checkpoints, model = checkpoints_in(tmp_path / "checkpoint"), network()
    clock.now += 20
    assert checkpoints.is_due(is_measured=True)
    assert not checkpoints.is_due(is_measured=False)
    clock.now += 1
    assert checkpoints.is_due(is_measured=False)  # more than 20 seconds are gone

    def write_tensors(*_: object) -> None:
        clock.now += 3

    monkeypatch.setattr(training.checkpoint, "write_tensors", write_tensors)
    checkpoints.save(model, make_optimizer(model, CONFIG), State())
    clock.now += 60
    assert not checkpoints.is_due(is_measured=True)
    clock.now += 1
    assert checkpoints.is_due(is_measured=True)  # the 3 seconds that it takes are less than a twentieth


def test_measuring_more_often_changes_nothing() -> None:
    often, seldom = fit(every=1), fit(every=N_STEPS)
    assert_same_bits(often[0], seldom[0])
    assert often[1][-1]["error"] == seldom[1][-1]["error"]
    assert sum(row["train_loss"] for row in often[1]) / N_STEPS == pytest.approx(seldom[1][0]["train_loss"])


@pytest.mark.parametrize("seconds_between_checkpoints", [0.0, 1e9])
@pytest.mark.parametrize(
    ("where", "at"),
    [
        *(("step", call) for call in (1, 2, 5, 12)),
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
@pytest.mark.parametrize("at", [1, 4, 5, 12])
def test_a_stop_signal_finishes_the_step_saves_and_says_where(number: int, at: int, tmp_path: Path) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def interfere(where: str, now_at: int) -> None:
        if (where, now_at) == ("step", at):
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match=rf"stopped at step {at} of 12"):
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


def test_outside_the_main_thread_signals_stay_with_whoever_has_them() -> None:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(fit()))
    thread.start()
    thread.join()
    assert_same_bits(results, [fit()])


def test_what_an_interrupted_step_leaves_is_saved_as_it_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.checkpoint, "SHARE_OF_CHECKPOINTS", 0.0)  # none but this one

    def interfere(where: str, at: int) -> None:
        if (where, at) == ("step", 6):
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
    remedy = "lower --learning-rate, or use --clip 1"
    assert str(caught.value) == f"training diverged at step {step}: no finite loss; {remedy}"
    assert read_tensors(tmp_path / "checkpoint", dict)[1]["state"]["step"] == 2


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
    assert str(caught.value).startswith(f"{checkpoint}: ")
    assert "\n" not in str(caught.value)
    assert_same_bits(weights(model), before)  # never loaded in part


def test_a_damaged_checkpoint_is_refused(checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    for content in (b"", b"hello\n", b"\x80\x04K\x01.", whole[: len(whole) // 2], whole[:-1]):
        checkpoint.write_bytes(content)
        assert_refused(checkpoint, "cut short or not a safetensors file")
    for at in [*range(0, len(whole), 197), len(whole) - 1]:
        checkpoint.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert_refused(checkpoint, "cut short|altered|not written by this program")


def test_a_checkpoint_of_something_else_is_refused(checkpoint: Path) -> None:
    assert_refused(checkpoint, "of another run .it is this run there and another run here", identity="another run")
    assert_refused(checkpoint, "weights are not of this architecture", model=nn.Linear(4, 1))


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
    load_weights(model, tensors, tmp_path)
    assert_same_bits(weights(model), tensors)
    assert model.second.weight is model.first.weight
    assert model.first.weight.requires_grad
    before = {name: tensor.clone() for name, tensor in weights(other).items()}
    for wrong in ({"mean": torch.zeros(2)}, tensors | {"more": torch.zeros(1)}, tensors | {"mean": torch.zeros(3)}):
        with pytest.raises(UserError, match="file: its weights are not of this architecture"):
            load_weights(other, wrong, Path("file"))
        assert_same_bits(weights(other), before)


# ------------------------------------------------------------------------------------------------------------ devices


@pytest.mark.parametrize(
    ("name", "available", "local_rank", "expected"),
    [
        ("auto", (), "", "cpu"),
        ("auto", ("mps",), "", "mps"),
        ("auto", ("mps", "cuda"), "", "cuda"),
        ("cuda", ("cuda",), "3", "cuda:3"),
        ("cpu", ("mps", "cuda"), "3", "cpu"),
    ],
)
def test_the_device_is_the_one_asked_for_or_the_fastest(
    name: str, available: tuple[str, ...], local_rank: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for device, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)):
        monkeypatch.setattr(backend, "is_available", lambda device=device: device in available)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert pick_device(name) == torch.device(expected)
    if not available:
        with pytest.raises(UserError, match="--device cuda: not available on this machine"):
            pick_device("cuda")


# -------------------------------------------------------------------------------------------------- several processes


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("n", [6, 7, 1])
def test_the_gradients_of_all_processes_average_to_that_of_the_whole_batch(
    world_size: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Process by process; DistributedDataParallel, which averages, and the sum of losses are left out."""
    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", lambda model: model)
    parts = list[float]()
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda loss: parts.append(loss.item()))
    model, items = network(dropout=0.0).double(), torch.arange(n)
    whole = squared_error(model, items)
    expected = torch.autograd.grad(whole, list(model.parameters()))
    average = [torch.zeros_like(gradient) for gradient in expected]
    for rank in range(world_size):
        monkeypatch.setattr(processes, "process", lambda rank=rank: (rank, world_size))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        loss = training_step(
            processes.shared(WithLoss(model, partial(squared_error, model))), optimizer, items, TrainingConfig()
        )
        if world_size == 1:
            parts.append(loss)
        for sum_, parameter in zip(average, model.parameters()):
            assert parameter.grad is not None
            sum_ += parameter.grad / world_size
    assert sum(parts) / world_size == pytest.approx(whole.item(), rel=1e-12)
    torch.testing.assert_close(average, list(expected), rtol=1e-10, atol=1e-12)


def test_batch_norm_is_not_shared_and_dropout_is_each_process_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Linear(4, 1), nn.BatchNorm1d(1))
    assert processes.shared(model) is model  # one process
    for module in (processes, loop):
        monkeypatch.setattr(module, "process", lambda: (1, 2))
    with pytest.raises(UserError, match="batch norm needs each batch in one piece; leave it out"):
        processes.shared(model)
    loop.prepare_step(make_optimizer(model, CONFIG), CONFIG, 3, 7, 9)
    assert torch.initial_seed() == derived_seed(3, "dropout", 7, 1)


def member(folder: Path, batch_size: int, trouble: str = "") -> None:
    """One of the processes that train together, each in its own folder; at step 6 trouble may come to the second."""

    def interfere(where: str, at: int) -> None:
        if (where, at, os.environ["RANK"]) == ("step", 6, "1"):
            if trouble == "death":
                os._exit(9)
            if trouble == "signal":
                os.kill(os.getpid(), signal.SIGTERM)

    torch.set_num_threads(1)
    try:
        with processes.processes(), processes.working_folder(folder) as path:
            (path / os.environ["RANK"]).touch()
            learned, history = fit(
                path / "checkpoint", network(dropout=0.0), batch_size=batch_size, interfere=interfere
            )
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(130)
    if os.environ["RANK"] == "0":
        write_tensors(folder / "weights", learned, {})
        write_json(folder / "history", history)


def alone(**settings: Any) -> tuple[dict[str, Tensor], list[Any]]:
    return fit(model=network(dropout=0.0), **settings)


@pytest.mark.processes
@pytest.mark.parametrize("begun", [False, True], ids=["", "begun by one"])
@pytest.mark.parametrize("batch_size", [BATCH, 1])
@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(batch_size: int, begun: bool, tmp_path: Path) -> None:
    def interfere(where: str, at: int) -> None:
        if (where, at) == ("step", 10):
            os.kill(os.getpid(), signal.SIGINT)

    if begun:
        with pytest.raises(Interrupted):
            alone(checkpoint=tmp_path / "checkpoint", batch_size=batch_size, interfere=interfere)
    assert group(2, member, tmp_path, batch_size) == [0, 0]
    result = read_tensors(tmp_path / "weights", dict)[0], read_as(tmp_path / "history", list)
    torch.testing.assert_close(result, alone(batch_size=batch_size), rtol=1e-4, atol=1e-6)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "weights", "history", "0"}


@pytest.mark.processes
@pytest.mark.parametrize(("trouble", "codes"), [("death", [130, 9]), ("signal", [130, 130])])
@pytest.mark.slow
def test_trouble_in_one_process_ends_all_with_a_checkpoint_that_one_process_resumes(
    trouble: str, codes: list[int], tmp_path: Path
) -> None:
    assert group(2, member, tmp_path, BATCH, trouble) == codes
    step = read_tensors(tmp_path / "checkpoint", dict)[1]["state"]["step"]
    assert step == 5 + (trouble == "signal")  # in the middle of an epoch, with a mean loss half gathered
    resumed = fit(tmp_path / "checkpoint", network(seed=99, dropout=0.0))
    torch.testing.assert_close(resumed, alone(), rtol=1e-4, atol=1e-6)
