"""What an interrupted run needs to go on, in one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from common.checks import first_difference
from common.files import UserError, read_tensors, write_tensors
from training.weights import load_weights, weights

Measurement = dict[str, Any]

SECONDS_BETWEEN_CHECKPOINTS = 20.0  # at most, where none is measured in between
SHARE_OF_CHECKPOINTS = 0.05  # of the time, that writing them may take


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
