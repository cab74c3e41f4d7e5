"""What an interrupted run needs to go on, in one file, and when that is written."""

import time
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import torch

from common.checks import Count, Seconds, other_run
from common.files import read_tensors, write_tensors
from training.records import Measurement
from training.weights import load_weights, weights

Measured = TypeVar("Measured", bound=Measurement)

DELETE = "delete it, and the run begins anew"
SECONDS_BETWEEN_CHECKPOINTS = 20.0  # at most, where nothing is measured in between
SHARE_OF_CHECKPOINTS = 0.05  # of the time, that writing them may take


class State(msgspec.Struct, Generic[Measured]):
    """Where a run stands, besides weights and optimizer."""

    step: Count = 0
    loss_sum: float = 0.0  # since the last measurement
    loss_count: Count = 0
    seconds: Seconds = 0.0
    history: list[Measured] = []

    def add(self, loss: float, seconds: float) -> None:
        """One more step, with its mean loss and what it took."""
        self.step += 1
        self.loss_sum += loss
        self.loss_count += 1
        self.seconds += seconds

    def take_mean_loss(self) -> float:
        """The mean loss since the last measurement, from which on it is counted anew."""
        mean = self.loss_sum / self.loss_count
        self.loss_sum, self.loss_count = 0.0, 0
        return mean


class Saved(msgspec.Struct, Generic[Measured]):
    """What a checkpoint holds beside its tensors."""

    identity: object
    state: State[Measured]


class Checkpoints:
    """The checkpoint of one run, in the file `path`."""

    def __init__(self, path: Path, identity: object, measurement: type[Measurement]) -> None:
        """`identity`, JSON, is what a checkpoint must be of, to be resumed; `measurement`, how its run is measured."""
        self.path, self.identity, self.measurement = path, identity, measurement
        self.saved_at, self.cost = time.monotonic(), 0.0  # seconds that it took to write the last one

    def is_due(self, is_measured: bool) -> bool:
        """Whether it is time for one, if a measurement has just been made or has not."""
        since = time.monotonic() - self.saved_at
        return (is_measured or since > SECONDS_BETWEEN_CHECKPOINTS) and self.cost < SHARE_OF_CHECKPOINTS * since

    def save(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: State[Measurement]) -> None:
        """Write all that a run needs to go on, as one file, whole or not at all."""
        started = time.monotonic()
        tensors = {f"model.{name}": tensor for name, tensor in weights(model).items()}
        for number, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in moments.items()}
        write_tensors(self.path, tensors, Saved(self.identity, state))
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - started

    def restore(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> State[Measurement]:
        """Bring model and optimizer to where the file left them, if there is one, all or nothing; UserError if it is
        damaged or of another run."""
        if not self.path.exists():
            return State()
        tensors, saved = read_tensors(self.path, Saved[self.measurement], DELETE)  # type: ignore[name-defined]
        if saved.identity != self.identity:
            remedy = "repeat the command as it was, or take another --out"
            raise other_run(self.path, saved.identity, self.identity, remedy)
        learned: dict[str, torch.Tensor] = {}
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("model."):
                learned[name.removeprefix("model.")] = tensor
            else:
                _, number, moment = name.split(".")
                moments.setdefault(int(number), {})[moment] = tensor
        load_weights(model, learned, self.path)
        optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
        return saved.state
