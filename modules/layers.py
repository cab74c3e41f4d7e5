"""Layers that PyTorch lacks, or has otherwise: a faster dropout, batch norm of one row, the end of a branch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modules.config import TransformerConfig

DROPOUT_STEPS = 2**16


class Dropout(nn.Dropout):
    """`drop` in training, nothing in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.p) if self.training else x


def drop(x: Tensor, rate: float) -> Tensor:
    """Dropout: zeros in place of a share `rate` of x, and the rest scaled up so that the mean stays (Srivastava et al.
    2014).

    Each element costs 16 random bits, so the rate in effect is the nearest k / 65,536. PyTorch's own dropout draws a
    double for each, which on a processor takes longer than the layers between.
    """
    if rate == 0:
        return x
    k = min(round(DROPOUT_STEPS * rate), DROPOUT_STEPS - 1)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
    kept = bits.view(torch.int16)[: x.numel()].view(x.shape).ge_(k - DROPOUT_STEPS // 2)  # 0 or 1; slow as bool
    return x * kept.to(x.dtype).mul_(DROPOUT_STEPS / (DROPOUT_STEPS - k))


class BatchNorm(nn.BatchNorm1d):
    """Batch norm (Ioffe and Szegedy 2015) that accepts a last batch of one row: as a single row has no spread, the
    running statistics are used for it."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


class Branch(nn.Module):
    """The end of a residual branch: dropout, a scale for each channel (LayerScale: Touvron et al. 2021), and in
    training the omission of whole rows (stochastic depth: Huang et al. 2016), each as the configuration says."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.dropout, self.drop_path = Dropout(config.dropout), config.drop_path
        self.scale: nn.Parameter | None = None
        if config.layer_scale is not None:
            self.scale = nn.Parameter(torch.full((config.n_embd,), config.layer_scale))

    def forward(self, update: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        update = self.dropout(update)
        if self.scale is not None:
            update = update * self.scale
        if self.training and self.drop_path > 0:
            kept = torch.rand(len(update), 1, 1, device=update.device) >= self.drop_path
            update = update * kept / (1 - self.drop_path)
        return update
