"""What an interrupted run needs to go on, in one file, and when that is written."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import torch
from torch import Tensor, nn

from common.checks import OtherRun, first_difference
from common.files import UserError, read_tensors, refused, write_tensors
from common.records import Count, Seconds
from training.processes import from_the_first, process
from training.records import Measurement
from training.weights import check_weights, load_weights, weights

Measured = TypeVar("Measured")

ANEW = "delete it, and the run begins anew"
SECONDS_BETWEEN_CHECKPOINTS = 20.0  # at most, where none is measured in between
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

    def check(self, n_steps: int, evaluate_at: Sequence[int]) -> None:
        """UserError where a run of `n_steps` steps that is measured at `evaluate_at` cannot stand like this."""
        measured_at = [step for step in evaluate_at if step <= self.step]
        since = self.step - (measured_at[-1] if measured_at else 0)
        for what, found, expected in (
            ("steps", self.step, min(self.step, n_steps)),
            ("measurements", len(self.history), len(measured_at)),
            ("losses since the last measurement", self.loss_count, since),
        ):
            if found != expected:
                raise UserError(f"{found} {what} where there are {expected} at step {self.step} of {n_steps}")


class Saved(msgspec.Struct, Generic[Measured]):
    """What a checkpoint holds beside its tensors."""

    identity: object
    state: State[Measured]


class Checkpoints:
    """The checkpoint of one run, in the file `path`. Of several processes only the first writes it."""

    def __init__(self, path: Path, identity: object, kind: type[Measurement]) -> None:
        """`identity`, JSON, is what a checkpoint must be of, to be resumed; `kind` are its measurements."""
        self.path, self.identity, self.kind = path, identity, kind
        self.saved_at, self.cost = time.monotonic(), 0.0  # the second in seconds, of writing the last one

    def is_due(self, measured: bool) -> bool:
        """Whether it is time for one, if a measurement has just been made or has not."""
        since = time.monotonic() - self.saved_at
        return (measured or since > SECONDS_BETWEEN_CHECKPOINTS) and self.cost < SHARE_OF_CHECKPOINTS * since

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: State[Measurement]) -> None:
        """Write all that a run needs to go on, as one file, whole or not at all."""
        if process()[0]:
            return
        started = time.monotonic()
        tensors = {f"model.{name}": tensor for name, tensor in weights(model).items()}
        for number, entry in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{key}": value for key, value in entry.items()}
        write_tensors(self.path, tensors, Saved(self.identity, state))
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - started

    def restore(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, n_steps: int, evaluate_at: Sequence[int]
    ) -> State[Measurement]:
        """Bring model and optimizer to where the file left them, if there is one, all or nothing; UserError if it is
        damaged or of another run than one of `n_steps` steps that is measured at `evaluate_at`. Of several processes
        the first reads it, and tells the others."""
        found = from_the_first(self._read)
        if found is None:
            return State()
        tensors, saved = found
        own = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
        others = {name: tensor for name, tensor in tensors.items() if not name.startswith("model.")}
        check_weights(model, own, self.path)
        with refused(self.path, ANEW):
            saved.state.check(n_steps, evaluate_at)
            memory = optimizer_state(optimizer, others, begun=saved.state.step > 0)
        load_weights(model, own, self.path)
        optimizer.load_state_dict(optimizer.state_dict() | {"state": memory})
        return saved.state

    def _read(self) -> tuple[dict[str, Tensor], Saved[Measurement]] | None:
        """What the file holds; None if there is none."""
        if not self.path.exists():
            return None
        kind = Saved[self.kind]  # type: ignore[name-defined]
        tensors, saved = read_tensors(self.path, kind, ANEW)
        if saved.identity != self.identity:
            difference = first_difference(saved.identity, self.identity)
            raise OtherRun(self.path, difference, "repeat the command as it was, or take another --out")
        return tensors, saved


def optimizer_state(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], begun: bool
) -> dict[int, dict[str, Tensor]]:
    """What Adam remembers of each parameter, by its number, from tensors called "optimizer.0.exp_avg"; UserError where
    they are not those of its parameters, if it has `begun`."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    expected = {
        f"optimizer.{number}.{key}": (shape, parameter.dtype, number, key)
        for number, parameter in enumerate(parameters)
        for key, shape in (("step", torch.Size()), ("exp_avg", parameter.shape), ("exp_avg_sq", parameter.shape))
        if begun and parameter.numel()
    }
    if different := sorted(expected.keys() ^ tensors.keys()):
        raise UserError(f"{different[0]} is {'missing' if different[0] in expected else 'of no parameter'}")
    found: dict[int, dict[str, Tensor]] = {}
    for name, (shape, dtype, number, key) in expected.items():
        tensor = tensors[name]
        is_of_adam = tensor.shape == shape and tensor.dtype in (dtype, torch.float32)
        if not is_of_adam or (key != "exp_avg" and (tensor < 0).any()):
            raise UserError(f"{name} is not what Adam remembers")
        found.setdefault(number, {})[key] = tensor
    return found
