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
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from tqdm import tqdm

from common.files import Interrupted, UserError
from common.randomness import derived_seed
from training.checkpoint import (
    SECONDS_BETWEEN_CHECKPOINTS,
    SHARE_OF_CHECKPOINTS,
    Measurement,
    State,
    load_checkpoint,
    save_checkpoint,
)
from training.optimizer import make_optimizer, set_learning_rate
from training.processes import others_alive, process, stop_signals, sum_over_processes
from training.recipe import TrainingConfig

Loss = Callable[[Any, Tensor], Tensor]  # (model, indices (n,)) -> mean loss over these items


def train(
    model: nn.Module,
    plan: Sequence[Tensor],  # the items of each step, (batch size,) indices
    loss: Loss,
    config: TrainingConfig,
    seed: int,
    measure_at: Sequence[int],  # step numbers
    measure: Callable[[int, float], Measurement],  # (step, mean training loss since the last one)
    checkpoint: Path | None = None,
    identity: Any = None,  # what a checkpoint must be of, to be resumed: JSON
    on_measurement: Callable[[list[Measurement]], None] | None = None,
    label: str = "training",
) -> tuple[list[Measurement], float]:
    """Train `model` in place through `plan`; returns the measurements and the seconds spent in training steps.

    If `checkpoint` exists, the run goes on from there (UserError if it is damaged or of another run). Measuring is
    outside the timer and cannot touch the training: it runs in eval mode, on one process, without gradients.
    Interrupted, with a checkpoint, when a signal asks to stop or another process dies; UserError when the loss is lost.
    """
    optimizer = make_optimizer(model, config)
    state = State()
    if checkpoint is not None and checkpoint.exists():
        state = load_checkpoint(checkpoint, model, optimizer, identity)
    rank, world_size = process()
    save = checkpoint is not None and rank == 0
    step: nn.Module = WithLoss(model, loss)
    if config.compile:
        step = torch.compile(step)  # type: ignore[assignment]
    in_parts = world_size > 1 or config.accumulate > 1
    if in_parts and any(isinstance(module, nn.BatchNorm1d) for module in model.modules()):
        raise UserError(
            "batch norm needs each batch in one piece; leave it out, or use one process and no --accumulate"
        )
    if world_size > 1:
        with others_alive():
            step = nn.parallel.DistributedDataParallel(step)
    saved_at, cost = time.monotonic(), 0.0
    bar = tqdm(
        total=len(plan), initial=state.step, desc=label, unit="step", disable=True if rank else None, leave=False
    )
    with bar, stop_signals() as stopped:
        while state.step < len(plan):
            started = time.perf_counter()
            torch.manual_seed(derived_seed(seed, "dropout", state.step, rank))
            set_learning_rate(optimizer, config, state.step, len(plan))
            try:
                with others_alive():
                    value, stop = training_step(step, optimizer, plan[state.step], config, rank, world_size, stopped)
            except Interrupted:
                if save:
                    save_checkpoint(checkpoint, model, optimizer, state, identity)
                raise
            state.step += 1
            check_finite(value, state.step)
            state.loss_sum += value
            state.loss_count += 1
            state.seconds += time.perf_counter() - started
            bar.update()
            if state.step in measure_at:
                mean_loss = state.loss_sum / state.loss_count
                state.loss_sum, state.loss_count = 0.0, 0
                if rank == 0:
                    model.eval()
                    with torch.no_grad():
                        state.history.append(measure(state.step, mean_loss))
                    check_finite(state.history[-1], state.step)
                    bar.set_postfix(_shown(state.history[-1]))
                    if on_measurement is not None:
                        on_measurement(state.history)
            since = time.monotonic() - saved_at
            due = state.step in measure_at or since > SECONDS_BETWEEN_CHECKPOINTS
            if save and ((due and cost < SHARE_OF_CHECKPOINTS * since) or stop):
                started = time.monotonic()
                save_checkpoint(checkpoint, model, optimizer, state, identity)
                saved_at = time.monotonic()
                cost = saved_at - started
            if stop:
                raise Interrupted(f"stopped at step {state.step} of {len(plan)}")
    model.eval()
    return state.history, state.seconds


class WithLoss(nn.Module):
    """A model that is called for its loss: what torch.compile and DistributedDataParallel wrap."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, items: Tensor) -> Tensor:
        return self.loss(self.model, items)


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    items: Tensor,
    config: TrainingConfig,
    rank: int = 0,
    world_size: int = 1,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[float, bool]:
    """One step on `items` (n,), of which this process computes every world_size-th; returns the mean loss over all of
    them, and whether `stopped` says so on any process.

    Each part's mean is weighted by its share of the items, so parts and processes may be uneven and the gradient is
    still that of the mean over the whole batch.
    """
    model.train()
    optimizer.zero_grad(set_to_none=True)
    mine = items[rank::world_size]
    idle = len(mine) == 0  # fewer items than processes: take part in the exchange of gradients, with weight zero
    total = 0.0
    parts = (items[:1] if idle else mine).chunk(config.accumulate)
    for number, part in enumerate(parts):
        wait = isinstance(model, nn.parallel.DistributedDataParallel) and number < len(parts) - 1
        with model.no_sync() if wait else contextlib.nullcontext():  # type: ignore[operator]
            with torch.autocast(items.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
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
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise UserError(
            f"training diverged at step {step}: no finite loss; lower --learning-rate or set --clip"
        ) from None


def _shown(measurement: Measurement) -> dict[str, str]:
    return {key: f"{value:.4g}" for key, value in measurement.items() if isinstance(value, float)}
