"""One training loop for both kinds of model: seeded, measured, and able to go on exactly where it was stopped.

The whole order of the data is planned before the first step, and the generator is seeded anew at each step from the
run's seed and the step's number. So a checkpoint holds weights, optimizer, step number and the measurements so far, and
a resumed run ends with the very bits of one that was never stopped.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from common.files import Interrupted
from common.randomness import derived_seed
from training.checkpoint import Checkpoints, State
from training.measuring import Measured, Measurer, diverged
from training.optimizer import make_optimizer, set_learning_rate
from training.processes import others_alive, process, shared, stop_signals
from training.progress import Progress
from training.recipe import TrainingConfig
from training.records import Measurement


class Task(Measured, Protocol):
    """What is learned, as far as the loop knows it."""

    plan: Sequence[Tensor]  # the items of each step, (batch size,) indices

    def loss(self, items: Tensor) -> Tensor:
        """The model's mean loss over `items` (n,), in nats."""


def training_step(model: nn.Module, optimizer: torch.optim.Optimizer, items: Tensor, config: TrainingConfig) -> float:
    """One step on `items` (n,) of a model that is called for its loss, in training mode; returns the mean loss."""
    device = next(model.parameters()).device.type
    optimizer.zero_grad()
    with torch.autocast(device, torch.bfloat16, enabled=config.precision == "bf16"):
        loss = model(items)
    loss.backward()
    if config.clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    optimizer.step()
    return float(loss.item())


def prepare_step(optimizer: torch.optim.Optimizer, config: TrainingConfig, seed: int, step: int, n_steps: int) -> None:
    """Seed the dropout and set the learning rate of one step."""
    rank, _ = process()  # processes that share a batch drop different units
    # torch.manual_seed turns to devices of every kind, there or not, which takes a hundred times as long
    seeded = torch.manual_seed if torch.accelerator.is_available() else torch.default_generator.manual_seed
    seeded(derived_seed(seed, "dropout", step, rank))
    set_learning_rate(optimizer, config, step, n_steps)


def training_steps(
    task: Task, optimizer: torch.optim.Optimizer, config: TrainingConfig, seed: int, first: int
) -> Iterator[tuple[float, float]]:
    """Train the task's model from step `first` of its plan on; gives the loss and the seconds of each step. UserError
    when the loss is no longer finite."""
    model = shared(WithLoss(task.model, task.loss)).train()
    for step in range(first, len(task.plan)):
        started = time.perf_counter()
        with others_alive():
            prepare_step(optimizer, config, seed, step, len(task.plan))
            loss = training_step(model, optimizer, task.plan[step], config)
        seconds = time.perf_counter() - started
        if not math.isfinite(loss):
            raise diverged(step + 1)
        yield loss, seconds


class WithLoss(nn.Module):
    """A model that is called for its loss."""

    def __init__(self, model: nn.Module, loss: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, items: Tensor) -> Tensor:
        return self.loss(items)


def train(
    task: Task,
    config: TrainingConfig,
    seed: int,
    checkpoints: Checkpoints | None = None,
    on_measurement: Callable[[list[Measurement]], None] | None = None,
    label: str = "training",
    few: bool = True,
) -> tuple[list[Measurement], float]:
    """Train the task's model in place; returns the measurements and the seconds spent in training steps.

    If there is a checkpoint, the run goes on from there (UserError if it is damaged or of another run). A copy of the
    model is measured, so measuring cannot touch the training. Of a `few` runs, which may leave a core idle, the
    measurements are made beside the training and shown, under this `label`; of many, the training waits for them.

    Interrupted, with a checkpoint, when a signal asks to stop or another process dies; UserError when the run diverges.
    """
    optimizer, n_steps = make_optimizer(task.model, config), len(task.plan)
    state = checkpoints.restore(task.model, optimizer) if checkpoints else State[Measurement]()
    progress = Progress(label, n_steps, state.step, few)
    measurer = Measurer(task, state, progress, on_measurement, in_background=few)
    with progress, measurer, stop_signals() as stopped:
        try:
            for loss, seconds in training_steps(task, optimizer, config, seed, state.step):
                state.add(loss, seconds)
                progress.step()
                is_measured = measurer.measure_if_due()
                if checkpoints and checkpoints.is_due(is_measured):
                    measurer.collect(wait=True)
                    checkpoints.save(task.model, optimizer, state)
                if stopped():
                    raise Interrupted(f"stopped at step {state.step} of {n_steps}")
        except Interrupted:
            measurer.collect(wait=True)
            if checkpoints:
                checkpoints.save(task.model, optimizer, state)
            raise
    task.model.eval()
    return state.history, state.seconds
