"""The loop: golden steps, exact resume from every kind of stop, refusal of bad checkpoints, several processes."""

import contextlib
import math
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from launch import group
from torch import Tensor, nn

import training
from files import Interrupted, UserError, read_json, read_tensors, write_json, write_tensors
from randomness import derived_seed
from training import TrainingConfig, WithLoss, make_optimizer, rate_factor, train, training_step, weights
from transformer import Classifier, Decoder, TransformerConfig

N, BATCH = 19, 6  # the last batch of an epoch is a single item
CONFIG = TrainingConfig(learning_rate=1e-2, schedule="cosine", warmup=0.3, weight_decay=0.1, clip=0.5, accumulate=2)
N_STEPS, EVERY = 12, 4  # three epochs, measured after each


class Stop(Exception):
    """What a test raises to end a run where it likes."""


def network(seed: int = 0, dropout: float = 0.2) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))


def squared_error(model: nn.Module, items: Tensor) -> Tensor:
    inputs = torch.randn(N, 4, generator=torch.Generator().manual_seed(1))
    return (model(inputs[items]).squeeze(-1) - inputs[items].sum(dim=-1)).square().mean()


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
    training.set_learning_rate(optimizer, config, 1, 5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5 * factors[1]] * 2)


@pytest.mark.parametrize(("decay", "expected"), [(0.0, [0.999, 0.9986543951]), (0.5, [0.9985, 0.9976551451])])
def test_two_steps_of_adam_by_hand(decay: float, expected: list[float]) -> None:
    model = nn.Linear(1, 1)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    optimizer = make_optimizer(model, TrainingConfig(weight_decay=decay))
    for gradient, value in zip((0.5, -0.2), expected):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
        assert model.weight.item() == pytest.approx(value, abs=1e-7)
    assert model.bias.item() == pytest.approx(0.9986543951, abs=1e-7)  # vectors never decay


@pytest.mark.parametrize("accumulate", [2, 4, 5, 100])
def test_a_batch_in_parts_is_the_same_batch(accumulate: int) -> None:
    gradients = []
    for config in (TrainingConfig(), TrainingConfig(accumulate=accumulate)):
        model = network(dropout=0.0)
        mean, _ = training_step(model_with_loss(model), torch.optim.SGD(model.parameters()), torch.arange(N), config)
        gradients.append([mean, *(parameter.grad for parameter in model.parameters())])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)


def model_with_loss(model: nn.Module) -> nn.Module:
    return training.WithLoss(model, squared_error)


@pytest.mark.parametrize("clip", [0.01, 1e9])
def test_the_gradient_is_clipped_to_its_norm(clip: float) -> None:
    steps = []
    for config in (TrainingConfig(), TrainingConfig(clip=clip)):
        model = network(dropout=0.0)
        before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        training_step(model_with_loss(model), torch.optim.SGD(model.parameters(), lr=1.0), torch.arange(N), config)
        steps.append(before - nn.utils.parameters_to_vector(model.parameters()).detach())
    norm = steps[0].norm().item()
    torch.testing.assert_close(steps[1], steps[0] * min(1, clip / norm), rtol=1e-3, atol=1e-6)


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


def test_seeds_of_different_purposes_differ() -> None:
    seeds = [
        derived_seed(0, "order"),
        derived_seed(0, "order", 1),
        derived_seed(1, "order"),
        derived_seed(0, "dropout"),
    ]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)


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
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", seconds_between_checkpoints)
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


def test_a_run_that_diverges_says_so() -> None:
    with pytest.raises(UserError, match=r"diverged at step \d+.*lower --learning-rate"):
        fit(config=TrainingConfig(learning_rate=1e30))


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
    tensors, description = read_tensors(checkpoint)
    write_tensors(checkpoint, {name: value for name, value in tensors.items() if name != "model.0.bias"}, description)
    assert_refused(checkpoint, "weights are not of this architecture")


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="--device cuda: not available"):
        training.pick_device("cuda")


# -------------------------------------------------------------------------------------------------- several processes

WITHOUT_DROPOUT: dict[str, Any] = {"dropout": 0.0}


def member(folder: Path, batch_size: int, accumulate: int, trouble: str = "") -> None:
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
        with training.processes():
            found, history = fit(
                folder / "checkpoint", network(dropout=0.0), config, batch_size=batch_size, interfere=interfere
            )
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(130)
    if os.environ["RANK"] == "0":
        write_tensors(folder / "weights", found, {})
        write_json(folder / "history", history)


def alone(**settings: Any) -> tuple[dict[str, Tensor], list[Any]]:
    return fit(model=network(dropout=0.0), **settings)


@pytest.mark.parametrize(("batch_size", "accumulate"), [(BATCH, 1), (BATCH, 2), (1, 1)])
def test_two_processes_give_the_numbers_of_one(batch_size: int, accumulate: int, tmp_path: Path) -> None:
    assert group(2, member, tmp_path, batch_size, accumulate) == [0, 0]
    found, history = read_tensors(tmp_path / "weights")[0], read_json(tmp_path / "history")
    torch.testing.assert_close((found, history), alone(batch_size=batch_size), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("trouble", "codes"), [("death", [130, 9]), ("signal", [130, 130])])
def test_trouble_in_one_process_ends_all_with_a_checkpoint_that_one_process_resumes(
    trouble: str, codes: list[int], tmp_path: Path
) -> None:
    assert group(2, member, tmp_path, BATCH, 1, trouble) == codes
    step = read_tensors(tmp_path / "checkpoint")[1]["state"]["step"]
    assert step == 5 + (trouble == "signal")  # in the middle of an epoch, with a mean loss half gathered
    resumed = fit(tmp_path / "checkpoint", network(seed=99, dropout=0.0))
    torch.testing.assert_close(resumed, alone(), rtol=1e-4, atol=1e-6)


def test_two_processes_resume_what_one_began(tmp_path: Path) -> None:
    def interfere(where: str, at: int) -> None:
        if (where, at) == ("step", 10):
            os.kill(os.getpid(), signal.SIGINT)

    with contextlib.suppress(Interrupted):
        fit(tmp_path / "checkpoint", network(dropout=0.0), interfere=interfere)
    assert group(2, member, tmp_path, BATCH, 1) == [0, 0]
    found, history = read_tensors(tmp_path / "weights")[0], read_json(tmp_path / "history")
    torch.testing.assert_close((found, history), alone(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("task", ["classifier", "decoder"])
def test_twenty_steps_on_the_fast_path_end_like_twenty_on_the_plain_one(task: str) -> None:
    """Fast: PyTorch's attention kernel, the loss without logits, a fused optimizer. Plain: weights, logits, loops."""
    config = TransformerConfig(50, n_embd=16, n_layer=2, block_size=8, ff_dim=24, initialisation="pytorch")
    ids, labels = torch.randint(2, 50, (20, 6, 9)), torch.randint(0, 3, (20, 6))
    lengths = torch.full((6,), 8)

    def fast(model: Any, items: Tensor) -> Tensor:
        step = items[0]
        if task == "classifier":
            return model.loss(ids[step][:, :8], lengths, labels[step])
        return model.loss(ids[step][:, :8], ids[step][:, 1:])

    def plain(model: Any, items: Tensor) -> Tensor:
        step = items[0]
        if task == "classifier":
            return F.cross_entropy(model(ids[step][:, :8], lengths, return_attention=True)[0], labels[step])
        logits = model(ids[step][:, :8], return_attention=True)[0]
        return F.cross_entropy(logits.flatten(0, 1), ids[step][:, 1:].flatten())

    ends = []
    for loss, fused in ((fast, True), (plain, False)):
        torch.manual_seed(0)
        model = Classifier(config) if task == "classifier" else Decoder(config)
        optimizer = make_optimizer(model, TrainingConfig())
        optimizer.param_groups[0]["fused"] = optimizer.param_groups[1]["fused"] = fused
        values = [
            training_step(WithLoss(model, loss), optimizer, torch.tensor([step]), TrainingConfig())[0]
            for step in range(20)
        ]
        ends.append((values, list(model.parameters())))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-3, atol=1e-4)


COME_AND_GO = """
import resource, torch, training
training.keep_freed_memory()
for n in range(20):
    if n == 10:  # by now pieces of that size have their place
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [torch.ones(2**21) for _ in range(4)]
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 10)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep what they will")
def test_freed_memory_serves_again() -> None:
    command = [sys.executable, "-c", COME_AND_GO]
    ended = subprocess.run(command, cwd=Path(training.__file__).parent, capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 1000  # pages cleared in a step, of the 8,192 that it needs
