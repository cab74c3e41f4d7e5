"""Dropout from 16 random bits an element."""

import torch
from torch import Tensor, nn

DROPOUT_STEPS = 2**16


def drop(x: Tensor, rate: float) -> Tensor:
    """Dropout: zeros in place of a share `rate` of x, and the rest scaled up so that the mean stays (Srivastava et al.
    2014). Each element costs 16 random bits, so the rate in effect is the nearest k / 65,536, and the scale is that
    rate's: PyTorch's own draws a double for each, which on a processor takes longer than the layers between."""
    if rate == 0:
        return x
    k = min(round(DROPOUT_STEPS * rate), DROPOUT_STEPS - 1)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
    kept = bits.view(torch.int16)[: x.numel()].view(x.shape).ge_(k - DROPOUT_STEPS // 2)  # 0 or 1; slow as bool
    return x * kept.to(x.dtype).mul_(DROPOUT_STEPS / (DROPOUT_STEPS - k))


class Dropout(nn.Dropout):
    """`drop` in training, nothing in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.p) if self.training else x
