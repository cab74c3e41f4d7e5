"""Classifiers that vote."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from modules.edit import Edit

if TYPE_CHECKING:
    from transformer import Classifier


class Vote(nn.Module):
    """Classifiers that start from different weights, learn each on its own, and vote: their probabilities are averaged
    (Hansen and Salamon 1990)."""

    def __init__(self, members: Sequence["Classifier"]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.config = members[0].config
        self.temperature = 1.0  # as that of a Classifier; its members have none of their own

    @property
    def masks_padding(self) -> bool:
        """Whether padding changes nothing, so that a batch may be cut at its longest row."""
        return bool(self.members[0].masks_padding)

    def forward(self, ids: Tensor, lengths: Tensor, edit: Edit | None = None) -> Tensor:
        """ids (B, T) padded with 0, lengths (B,) -> logits (B, K)."""
        edits = (None if edit is None else partial(edit, member=number) for number in range(len(self.members)))
        logits = [member(ids, lengths, own) for member, own in zip(self.members, edits)]
        return torch.stack(logits).float().softmax(dim=-1).mean(dim=0).log() / self.temperature

    def loss(self, ids: Tensor, lengths: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """The mean of the members' losses."""
        losses = [member.loss(ids, lengths, labels, smoothing) for member in self.members]  # type: ignore[operator]
        return torch.stack(losses).mean()
