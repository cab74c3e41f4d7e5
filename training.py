"""One training loop for both tasks: seeded, measured, and able to go on exactly where it was stopped.

Nothing about the data order or the dropout is a state that must be carried along: the whole order of the data is
planned before the first step, and the generator is seeded anew at each step from the run's seed and the step's number.
What a checkpoint holds is therefore weights, optimizer, step number and the measurements so far, and a resumed run ends
with the very bits of one that was never stopped.
"""

import contextlib
import ctypes
import gc
import json
import math
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed
from torch import Tensor, nn
from tqdm import tqdm

from checks import check, first_difference
from files import Interrupted, UserError, read_tensors, write_tensors
from randomness import derived_seed

SECONDS_BETWEEN_CHECKPOINTS = 20.0  # at most, where none is measured in between
SHARE_OF_CHECKPOINTS = 0.05  # of the time, that writing them may take


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained. The defaults are the report's."""

    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.0  # decoupled (AdamW), on matrices only
    schedule: Literal["constant", "linear", "cosine"] = "constant"  # from the full rate to zero over the run
    warmup: float = 0.0  # share of the steps in which the rate rises from zero
    beta2: float = 0.999  # Adam's memory of squared gradients
    label_smoothing: float = 0.0  # share of each target that is spread over all classes or words
    smoothing: Literal["uniform", "kneser-ney"] = "uniform"  # decoder: how it is spread; kneser-ney: by counts
    unigram_bias: bool = False  # decoder: the output bias starts at the log of the Kneser-Ney unigram
    clip: float | None = None  # largest norm of the gradient
    accumulate: int = 1  # parts that a batch is computed in, to save memory: the same mathematics
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = False  # torch.compile

    def __post_init__(self) -> None:
        check(self, "at least 1", "batch_size", "accumulate")
        check(self, "above 0", "learning_rate", "clip")
        check(self, "at least 0", "weight_decay")
        check(self, "from 0 to 1", "warmup")
        check(self, "from 0 to below 1", "label_smoothing", "beta2")
        if self.smoothing != "uniform" and self.label_smoothing == 0:
            raise UserError(f"smoothing {self.smoothing} does nothing with label_smoothing 0; set it above 0")


Measurement = dict[str, Any]
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


# --------------------------------------------------------------------------------------------------------- optimizer


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam, or AdamW with decay on the matrices only (norms and biases are not pulled to zero)."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    fused = all(parameter.device.type in ("cpu", "cuda", "mps") for parameter in model.parameters())
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2), fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int, n_steps: int) -> None:
    """The learning rate of `step` = 0 .. n_steps - 1."""
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * rate_factor(config, step, n_steps)


def rate_factor(config: TrainingConfig, step: int, n_steps: int) -> float:
    """Share of the full learning rate at `step`: a linear rise over the warm-up, then the schedule down to zero."""
    n_warmup = round(config.warmup * n_steps)
    if step < n_warmup:
        return (step + 1) / (n_warmup + 1)
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    return {"constant": 1.0, "linear": 1 - progress, "cosine": (1 + math.cos(math.pi * progress)) / 2}[config.schedule]


# --------------------------------------------------------------------------------------------------------- processes


def process() -> tuple[int, int]:
    """This process's rank and the number of processes that train together (torchrun); (0, 1) when alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def keep_freed_memory() -> None:
    """Let memory that a step has freed stay with the process, for the next step: glibc hands the larger pieces back,
    and the kernel clears every page anew, which can take a third of an evaluation."""
    trim_threshold, mmap_threshold = -1, -3  # their numbers in malloc.h
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**25)  # the most that it takes


@contextlib.contextmanager
def processes() -> Iterator[None]:
    """Within it, the processes that torchrun started know each other; alone, nothing changes."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    except BaseException as error:
        cause: BaseException | None = error
        while cause is not None:  # its frames hold what was trained, see below
            traceback.clear_frames(cause.__traceback__)
            cause = cause.__cause__
        raise
    finally:
        gc.collect()  # DistributedDataParallel must be gone before the group is: else the two can wait for ever
        torch.distributed.destroy_process_group()


@contextlib.contextmanager
def first_process_first() -> Iterator[None]:
    """The first of the processes that train together goes through the block alone; then the others follow."""
    rank, world_size = process()
    if rank > 0:
        with others_alive():
            torch.distributed.barrier()
    yield
    if world_size > 1 and rank == 0:
        torch.distributed.barrier()


@contextlib.contextmanager
def others_alive() -> Iterator[None]:
    """Within it, an error that comes of waiting for a process which is gone becomes Interrupted."""
    try:
        yield
    except RuntimeError as error:
        if process()[1] == 1:
            raise
        raise Interrupted(f"another process of the group died ({_first_line(error)})") from error


def sum_over_processes(*values: float) -> list[float]:
    """The sum of each of `values` over the processes that train together."""
    if process()[1] == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64)
    torch.distributed.all_reduce(total)
    return total.tolist()


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Within it, Ctrl-C and SIGTERM only take note; the function it gives says whether one came."""
    received: list[int] = []
    previous = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:  # as under nohup: who started this wants it to go on
            continue
        with contextlib.suppress(ValueError):  # not the main thread: signals stay with whoever has them
            previous[number] = signal.signal(number, lambda signal_number, _frame: received.append(signal_number))
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


# --------------------------------------------------------------------------------------------------------- checkpoint


@dataclass
class State:
    """Where a run stands, besides weights and optimizer."""

    step: int = 0
    loss_sum: float = 0.0  # since the last measurement
    loss_count: int = 0
    seconds: float = 0.0
    history: list[Measurement] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.history = self.history or []


def weights(model: nn.Module) -> dict[str, Tensor]:
    """All that a model has learned: parameters (a shared one once) and buffers, by name."""
    kept = model.state_dict().keys()  # buffers that are made anew with the model are not
    return dict(model.named_parameters()) | {name: tensor for name, tensor in model.named_buffers() if name in kept}


def load_weights(model: nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Put `tensors` into `model`, all of them or none; UserError naming `source` if they are another model's."""
    own = weights(model)
    if {name: tensor.shape for name, tensor in own.items()} != {name: tensor.shape for name, tensor in tensors.items()}:
        raise UserError(f"{source}: its weights are not of this architecture; use the settings it was trained with")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def save_checkpoint(
    path: Path | None, model: nn.Module, optimizer: torch.optim.Optimizer, state: State, identity: Any
) -> None:
    """Write all that a run needs to go on, as one file, whole or not at all."""
    assert path is not None
    tensors = {f"model.{name}": tensor for name, tensor in weights(model).items()}
    for number, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value for key, value in entry.items()}
    write_tensors(path, tensors, {"identity": identity, "state": vars(state)})


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, identity: Any) -> State:
    """Bring model and optimizer to where `path` left them; UserError if it is damaged or of another run."""
    tensors, description = read_tensors(path)
    if description.get("identity") != identity:
        found = first_difference(description.get("identity"), identity)
        raise UserError(f"{path}: of another run ({found}); resume with the same, or choose another --out")
    load_weights(model, {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")}, path)
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            entries.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": entries})
    return State(**description["state"])


def _shown(measurement: Measurement) -> dict[str, str]:
    return {key: f"{value:.4g}" for key, value in measurement.items() if isinstance(value, float)}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]


def pick_device(name: str) -> torch.device:
    """The device that `--device` names; "auto" takes a GPU if there is one. UserError if it is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        raise UserError(f"--device {name}: not available on this machine; use --device cpu or auto")
    local_rank = os.environ.get("LOCAL_RANK")
    return torch.device(name, int(local_rank)) if name == "cuda" and local_rank else torch.device(name)
