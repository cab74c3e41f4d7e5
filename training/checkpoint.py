"""What an interrupted run needs to go on, in one file, and when that is written."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.checks import OtherRun, first_difference
from common.files import read_tensors, write_tensors
from training.processes import process
from training.weights import load_weights, weights

Measurement = dict[str, Any]

SECONDS_BETWEEN_CHECKPOINTS = 20.0  # at most, where none is measured in between
SHARE_OF_CHECKPOINTS = 0.05  # of the time, that writing them may take


@dataclass
class State:
    """Where a run stands, besides weights and optimizer."""

    step: int = 0
    loss_sum: float = 0.0  # since the last measurement
    loss_count: int = 0
    seconds: float = 0.0
    history: list[Measurement] = field(default_factory=list)

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


class Checkpoints:
    """The checkpoint of one run, in the file `path`. Of several processes only the first writes it."""

    def __init__(self, path: Path, identity: Any) -> None:
        """`identity`, JSON, is what a checkpoint must be of, to be resumed."""
        self.path, self.identity = path, identity
        self.saved_at, self.cost = time.monotonic(), 0.0  # the second in seconds, of writing the last one

    def is_due(self, measured: bool) -> bool:
        """Whether it is time for one, if a measurement has just been made or has not."""
        since = time.monotonic() - self.saved_at
        return (measured or since > SECONDS_BETWEEN_CHECKPOINTS) and self.cost < SHARE_OF_CHECKPOINTS * since

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> None:
        """Write all that a run needs to go on, as one file, whole or not at all."""
        if process()[0]:
            return
        started = time.monotonic()
        tensors = {f"model.{name}": tensor for name, tensor in weights(model).items()}
        for number, entry in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{key}": value for key, value in entry.items()}
        write_tensors(self.path, tensors, {"identity": self.identity, "state": asdict(state)})
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - started

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> State:
        """Bring model and optimizer to where the file left them, if there is one; UserError if it is damaged or of
        another run."""
        if not self.path.exists():
            return State()
        tensors, description = read_tensors(self.path)
        if description.get("identity") != self.identity:
            found = first_difference(description.get("identity"), self.identity)
            raise OtherRun(self.path, found, "resume with the same, or choose another --out")
        own = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
        load_weights(model, own, self.path)
        entries: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".")
                entries.setdefault(int(number), {})[key] = tensor
        optimizer.load_state_dict(optimizer.state_dict() | {"state": entries})
        return State(**description["state"])
