"""The output layer and its cross entropy in one, without ever holding all logits.

The output layer is most of a small language model's work, and its logits are larger than any cache. Here they are made
for a few rows at a time and turned at once into what is wanted of them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import BackwardCFunction

ROWS = 128  # logits of so many tokens at a time stay in the processor's cache


def linear_nats(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(linear(x, weight, bias)) at each of the targets (N,), in nats: (N,), without gradients."""
    rows = zip(x.split(ROWS), targets.split(ROWS))
    return torch.cat([F.cross_entropy(F.linear(x, weight, bias).float(), y, reduction="none") for x, y in rows])


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """The mean cross entropy of the `targets` (N,), in nats: `LinearCrossEntropy`, whose three products have the
    precision of autocast, where that is on."""
    device = x.device.type
    precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    with torch.autocast(device, enabled=False):
        return LinearCrossEntropy.apply(x.float(), weight, bias, targets[:, None], precision)


class LinearCrossEntropy(torch.autograd.Function):
    """The mean of -log softmax(linear(x, weight, bias)) at the targets, without ever holding the (N, V) logits: a few
    rows of them are turned at once into their own gradient, softmax - target, and forgotten. Softmax and sums are in
    float32, whatever the precision of the products."""

    @staticmethod
    def forward(
        ctx: BackwardCFunction,
        x: Tensor,  # (N, C)
        weight: Tensor,  # (V, C)
        bias: Tensor,  # (V,)
        targets: Tensor,  # (N, 1) words
        precision: torch.dtype,  # of the products' operands
    ) -> Tensor:
        n, total = len(x), x.new_zeros(())
        weight_gradient, bias_gradient = torch.zeros_like(weight), torch.zeros_like(bias)
        x, weight = x.to(precision), weight.to(precision)
        x_gradient, buffer = torch.zeros_like(x), x.new_empty(min(n, ROWS), len(weight))
        for start in range(0, n, ROWS):
            rows, target = x[start : start + ROWS], targets[start : start + ROWS]
            logits = torch.mm(rows, weight.t(), out=buffer[: len(rows)]).float().add_(bias)  # (rows, V)
            largest, expected = logits.amax(dim=1, keepdim=True), logits.gather(1, target)  # each (rows, 1)
            gradient = torch.softmax(logits, dim=1, out=logits)
            # the log of the sum of exponentials, by the one probability that is never rounded to 0
            total += (largest - expected - gradient.amax(dim=1, keepdim=True).log()).sum()
            gradient.scatter_add_(1, target, -torch.ones_like(expected))  # softmax - target
            bias_gradient += gradient.sum(dim=0)
            gradient = gradient.to(precision)
            torch.mm(gradient, weight, out=x_gradient[start : start + ROWS])
            if precision == weight_gradient.dtype:
                weight_gradient.addmm_(gradient.t(), rows)
            else:
                weight_gradient += gradient.t() @ rows
        ctx.save_for_backward(x_gradient.float(), weight_gradient, bias_gradient)
        return total / n

    @staticmethod
    def backward(ctx: BackwardCFunction, scale: Tensor) -> tuple[Tensor | None, ...]:
        scale = scale / len(ctx.saved_tensors[0])  # of the sum over rows, to that of their mean
        return *(scale * gradient for gradient in ctx.saved_tensors), None, None
