"""One training loop for both tasks: seeded, measured, and able to go on exactly where it was stopped.

Nothing about the data order or the dropout is a state that must be carried along: the whole order of the data is
planned before the first step, and the generator is seeded anew at each step from the run's seed and the step's number.
What a checkpoint holds is therefore weights, optimizer, step number and the measurements so far, and a resumed run ends
with the very bits of one that was never stopped.
"""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import torch
from torch import Tensor, nn

from common.files import Interrupted, UserError
from common.randomness import derived_seed
from training.checkpoint import Checkpoints, State
from training.measuring import Measured, Measurer
from training.optimizer import make_optimizer, set_learning_rate
from training.processes import others_alive, process, stop_signals, sum_over_processes
from training.progress import Progress
from training.recipe import TrainingConfig
from training.records import Measurement


class Task(Measured, Protocol):
    """What is learned, as far as the loop knows it."""

    plan: Sequence[Tensor]  # the items of each step, (batch size,) indices
    evaluate_at: Sequence[int]  # numbers of the steps after which the model is measured

    def loss(self, items: Tensor) -> Tensor:
        """The model's mean loss over `items` (n,), in nats."""


def train(
    task: Task,
    config: TrainingConfig,
    seed: int,
    checkpoints: Checkpoints | None = None,
    on_measurement: Callable[[list[Measurement]], None] | None = None,
    label: str = "training",
    told: bool = True,
    beside: bool = False,
) -> tuple[list[Measurement], float]:
    """Train the task's model in place; returns the measurements and the seconds spent in training steps.

    Measurements are `told` on standard error, under this `label`, as they come.
    If there is a checkpoint, the run goes on from there (UserError if it is damaged or of another run). Measuring
    cannot touch the training: a copy of the model is measured, in eval mode, on one process, without gradients. The
    training waits for it, or, `beside` it, goes on meanwhile, for where a core would be idle.
    Interrupted, with a checkpoint, when a signal asks to stop or another process dies; UserError when the loss is lost.
    """
    rank, world_size = process()
    optimizer, n_steps = make_optimizer(task.model, config), len(task.plan)
    state = State[Measurement]()
    if checkpoints:
        state = checkpoints.restore(task.model, optimizer, n_steps, task.evaluate_at)
    model = callable_for_loss(task, config, world_size)
    progress, measurer = Progress(label, n_steps, state.step, rank == 0, told), Measurer()

    def collect(wait: bool) -> bool:
        """Take what is measured into the history; returns whether there was any."""
        n_known = len(state.history)
        for step, measurement in measurer.finished(wait):
            check_finite(measurement, step)
            state.history.append(measurement)
            progress.show(measurement, step)
            if on_measurement is not None:
                on_measurement(state.history)
        return len(state.history) > n_known

    def save() -> None:
        collect(wait=True)
        if checkpoints:
            checkpoints.save(task.model, optimizer, state)

    with progress, measurer, stop_signals() as stopped:
        while state.step < n_steps:
            started = time.perf_counter()
            try:
                with others_alive():
                    prepare_step(optimizer, config, seed, state.step, n_steps, rank)
                    items = task.plan[state.step]
                    loss, stop = training_step(model, optimizer, items, config, rank, world_size, stopped)
            except Interrupted:
                save()
                raise
            state.add(loss, time.perf_counter() - started)
            check_finite(loss, state.step)
            progress.step()
            measured = collect(wait=False)
            if state.step in task.evaluate_at:
                train_loss = state.take_mean_loss()
                if rank == 0:
                    measured |= collect(wait=True)  # one at a time
                    measurer.start(task, state.step, train_loss)
                    measured |= collect(wait=not beside or state.step == n_steps)
            if stop or (checkpoints and checkpoints.is_due(measured)):
                save()
            if stop:
                raise Interrupted(f"stopped at step {state.step} of {n_steps}")
        if stopped():  # while the last measurement was made
            save()
            raise Interrupted(f"stopped at step {state.step} of {n_steps}")
    task.model.eval()
    return state.history, state.seconds


def prepare_step(
    optimizer: torch.optim.Optimizer, config: TrainingConfig, seed: int, step: int, n_steps: int, rank: int = 0
) -> None:
    """What chance and the schedule have in store for a step, from its number alone."""
    # torch.manual_seed turns to devices of every kind, there or not, which takes a hundred times as long
    seeded = torch.manual_seed if torch.accelerator.is_available() else torch.default_generator.manual_seed
    seeded(derived_seed(seed, "dropout", step, rank))
    set_learning_rate(optimizer, config, step, n_steps)


def callable_for_loss(task: Task, config: TrainingConfig, world_size: int) -> nn.Module:
    """What gives the loss of some items in training mode: shared with other processes, if there are any."""
    in_parts = world_size > 1 or config.accumulate > 1
    if in_parts and any(isinstance(module, nn.BatchNorm1d) for module in task.model.modules()):
        raise UserError(
            "batch norm needs each batch in one piece; leave it out, or use one process and no --accumulate"
        )
    model: nn.Module = WithLoss(task.model, task.loss)
    if world_size > 1:
        with others_alive():
            model = nn.parallel.DistributedDataParallel(model)
    return model.train()


class WithLoss(nn.Module):
    """A model that is called for its loss: what DistributedDataParallel wraps."""

    def __init__(self, model: nn.Module, loss: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, items: Tensor) -> Tensor:
        return self.loss(items)


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    items: Tensor,
    config: TrainingConfig,
    rank: int = 0,
    world_size: int = 1,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[float, bool]:
    """One step on `items` (n,), of which this process computes every world_size-th, of a model in training mode. Gives
    the mean loss over all of them, and whether `stopped` says so on any process.

    Each part's mean is weighted by its share of the items, so parts and processes may be uneven and the gradient is
    still that of the mean over the whole batch.
    """
    optimizer.zero_grad(set_to_none=True)
    mine = items[rank::world_size]
    idle = len(mine) == 0  # fewer items than processes: take part in the exchange of gradients, with weight zero
    total = 0.0
    parts, device = (items[:1] if idle else mine).chunk(config.accumulate), next(model.parameters()).device.type
    for number, part in enumerate(parts):
        wait = isinstance(model, nn.parallel.DistributedDataParallel) and number < len(parts) - 1
        with model.no_sync() if wait else contextlib.nullcontext():  # type: ignore[operator]
            with torch.autocast(device, torch.bfloat16, enabled=config.precision == "bf16"):
                value = model(part) * (0.0 if idle else len(part) / len(items))
            (value * world_size).backward()  # DistributedDataParallel divides by the number of processes
        total += value.item()
    total, n_stopped = sum_over_processes(total, float(stopped()))  # before the weights change, lest a process be gone
    if config.clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    optimizer.step()
    return total, n_stopped > 0


def check_finite(value: float | Measurement, step: int) -> None:
    """UserError if `value` has a number in it that is infinite or none."""
    try:
        json.dumps(msgspec.to_builtins(value), allow_nan=False)
    except ValueError:
        raise UserError(
            f"training diverged at step {step}: no finite loss; lower --learning-rate or set --clip"
        ) from None
