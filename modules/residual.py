"""What a residual branch adds to its row."""

from typing import Protocol

import torch
from torch import Tensor, nn

from modules.dropout import Dropout


class BranchConfig(Protocol):
    """The settings that a branch reads."""

    @property
    def n_embd(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def drop_path(self) -> float: ...
    @property
    def layer_scale(self) -> float | None: ...


class Branch(nn.Module):
    """What a residual branch adds to its row: dropped out, scaled by channel (Touvron et al. 2021, LayerScale), and in
    training left out for whole rows (stochastic depth, Huang et al. 2016), each as far as the configuration asks."""

    def __init__(self, config: BranchConfig) -> None:
        super().__init__()
        self.dropout, self.drop_path = Dropout(config.dropout), config.drop_path
        start = config.layer_scale
        self.scale = None if start is None else nn.Parameter(torch.full((config.n_embd,), start))

    def forward(self, update: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        update = self.dropout(update)
        if self.scale is not None:
            update = update * self.scale
        if self.training and self.drop_path > 0:
            kept = torch.rand(len(update), 1, 1, device=update.device) >= self.drop_path
            update = update * kept / (1 - self.drop_path)
        return update
