"""One training loop for both kinds of model: seeded, measured, and able to go on exactly where it was stopped.

The whole order of the data is planned before the first step, and the generator is seeded anew at each step from the
run's seed and the step's number. So a checkpoint holds weights, optimizer, step number and the measurements so far, and
a resumed run ends with the very bits of one that was never stopped.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from common.files import Interrupted, UserError, as_json
from common.randomness import derived_seed
from training.checkpoint import Checkpoints, State
from training.processes import others_alive, process, shared, stop_signals
from training.progress import Progress
from training.recipe import TrainingConfig
from training.records import Measurement


class Task(Protocol):
    """What is learned, as far as the loop knows it."""

    model: Any  # a module, which each task knows by a narrower type
    plan: Sequence[Tensor]  # the items of each step, (batch size,) indices
    evaluate_at: Sequence[int]  # numbers of the steps after which the model is measured

    def loss(self, items: Tensor) -> Tensor:
        """The model's mean loss over `items` (n,), in nats."""

    def evaluate(self, step: int, train_loss: float) -> Measurement:
        """Measure the model after `step`, in eval mode; `train_loss` is the mean since the last measurement."""


# ---------------------------------------------------------------------------------------------------------------- steps
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
    """Seed the dropout and set the learning rate of `step` = 0 .. n_steps - 1."""
    rank, _ = process()  # processes that share a batch drop different units
    # torch.manual_seed turns to devices of every kind, there or not, which takes a hundred times as long
    seeded = torch.manual_seed if torch.accelerator.is_available() else torch.default_generator.manual_seed
    seeded(derived_seed(seed, "dropout", step, rank))
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * rate_factor(config, step, n_steps)


def rate_factor(config: TrainingConfig, step: int, n_steps: int) -> float:
    """Share of the full learning rate at `step`: a linear rise over the warm-up, then the schedule down to zero."""
    n_warmup = round(config.warmup * n_steps)
    if step < n_warmup:
        return (step + 1) / (n_warmup + 1)
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    return {"constant": 1.0, "linear": 1 - progress, "cosine": (1 + math.cos(math.pi * progress)) / 2}[config.schedule]


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam, or AdamW with decay on the matrices only (norms and biases are not pulled to zero)."""
    decayed, free = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in model.named_parameters():
        is_matrix = parameter.dim() > 1 and "bias" not in name  # a table of biases has two dimensions, too
        (decayed if is_matrix else free).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": free, "weight_decay": 0.0}]
    fused = all(parameter.device.type in ("cpu", "cuda", "mps") for parameter in model.parameters())
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2), fused=fused)


class WithLoss(nn.Module):
    """A model that is called for its loss."""

    def __init__(self, model: nn.Module, loss: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, items: Tensor) -> Tensor:
        return self.loss(items)


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
            raise Diverged(step + 1)
        yield loss, seconds


class Diverged(UserError):
    """The loss of a training at this step, or what was measured after it, is infinite or no number."""

    def __init__(self, step: int) -> None:
        super().__init__(f"training diverged at step {step}: no finite loss; lower --learning-rate, or use --clip 1")
        self.step = step


# ------------------------------------------------------------------------------------------------------------ measuring
class Measurer:
    """Measures a copy of the model on a thread of its own, so that measuring cannot touch the training, which may go on
    meanwhile; one measurement at a time. Each is put into the history of the run's state and reported."""

    def __init__(
        self, task: Task, state: State[Measurement], report: Callable[[int], None], in_background: bool
    ) -> None:
        self.task, self.state, self.report, self.in_background = task, state, report, in_background
        n_threads = torch.get_num_threads()  # in a new thread MKL would take every core, whatever this one has
        self.thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(n_threads,))
        self.pending: tuple[int, Future[Measurement]] | None = None  # by the number of its step

    def __enter__(self) -> "Measurer":
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.shutdown(cancel_futures=True)

    def measure_if_due(self) -> bool:
        """Measure the model as it is now, if that is due; returns whether a measurement has come in, this or the one
        before."""
        step = self.state.step
        if step not in self.task.evaluate_at:
            return self.collect(wait=False)
        has_come = self.collect(wait=True)
        frozen = copy.copy(self.task)
        frozen.model = copy.deepcopy(self.task.model).eval()
        evaluate = torch.no_grad()(frozen.evaluate)  # which holds for one thread
        self.pending = step, self.thread.submit(evaluate, step, self.state.take_mean_loss())
        is_last = step == self.task.evaluate_at[-1]
        return self.collect(wait=is_last or not self.in_background) or has_come

    def collect(self, wait: bool) -> bool:
        """Put the measurement that is being made into the history, if it is done or one must `wait` for it; returns
        whether there was one. UserError if it is not finite."""
        if self.pending is None or not (wait or self.pending[1].done()):
            return False
        (step, future), self.pending = self.pending, None
        measurement = future.result()
        try:
            as_json(measurement)
        except ValueError:
            raise Diverged(step) from None
        self.state.history.append(measurement)
        self.report(step)
        return True


# ----------------------------------------------------------------------------------------------------------------- runs
def train(
    task: Task,
    config: TrainingConfig,
    seed: int,
    checkpoints: Checkpoints | None = None,
    on_measurement: Callable[[list[Measurement]], None] = lambda history: None,
    label: str = "training",
    few: bool = True,
) -> tuple[list[Measurement], float]:
    """Train the task's model in place; returns the measurements and the seconds spent in training steps.

    If there is a checkpoint, the run goes on from there (UserError if it is damaged or of another run). Of a `few`
    runs, which may leave a core idle, the measurements are made while the training goes on, and shown, under this
    `label`; of many, the training waits for them.

    Interrupted, with a checkpoint, when a signal asks to stop or another process dies; UserError when the run diverges.
    """
    optimizer, n_steps = make_optimizer(task.model, config), len(task.plan)
    state = checkpoints.restore(task.model, optimizer) if checkpoints else State[Measurement]()
    progress = Progress(label, n_steps, state.step)

    def report(step: int) -> None:
        if few:
            progress.show(state.history[-1], step)
        on_measurement(state.history)

    measurer = Measurer(task, state, report, in_background=few)
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
