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


class LinearCrossEntropy(torch.autograd.Function):
    """The mean of -target . log softmax(linear(x, weight, bias)), without ever holding the (N, V) logits.

    The output layer is most of a small language model's work, and its logits are larger than any cache. Here they are
    made for a few rows at a time, turned at once into their own gradient, softmax - target, and forgotten.
    """

    @staticmethod
    def forward(
        ctx: BackwardCFunction,
        x: Tensor,  # (N, C)
        weight: Tensor,  # (V, C)
        bias: Tensor,  # (V,)
        targets: Tensor,  # (N, 1) words
        prior: Tensor | None,  # (V,) a distribution, of which
        share: Tensor | None,  # (N, 1) of each row's target consists; the rest is its word
    ) -> Tensor:
        n = len(x)
        x_gradient, weight_gradient, bias_gradient = map(torch.zeros_like, (x, weight, bias))
        total = x.new_zeros(())
        buffer = x.new_empty(min(n, ROWS), len(weight))
        for start in range(0, n, ROWS):
            rows, target = x[start : start + ROWS], targets[start : start + ROWS]
            logits = torch.addmm(bias, rows, weight.t(), out=buffer[: len(rows)])  # (rows, V)
            largest = logits.amax(dim=1, keepdim=True)  # (rows, 1)
            expected = logits.gather(1, target)  # under the target distribution, (rows, 1)
            kept = torch.ones_like(expected)
            if prior is not None and share is not None:
                smoothed = share[start : start + ROWS]
                kept = 1 - smoothed
                expected = kept * expected + smoothed * (logits @ prior)[:, None]
            gradient = torch.softmax(logits, dim=1, out=logits)
            # the log of the sum of exponentials, by the one probability that is never rounded to 0
            total += (largest - expected - gradient.amax(dim=1, keepdim=True).log()).sum()
            gradient.scatter_add_(1, target, -kept)  # softmax - target
            if prior is not None and share is not None:
                gradient.addcmul_(smoothed, prior, value=-1)
            torch.mm(gradient, weight, out=x_gradient[start : start + ROWS])
            weight_gradient.addmm_(gradient.t(), rows)
            bias_gradient += gradient.sum(dim=0)
        ctx.save_for_backward(x_gradient, weight_gradient, bias_gradient)
        return total / n

    @staticmethod
    def backward(ctx: BackwardCFunction, scale: Tensor) -> tuple[Tensor | None, ...]:
        scale = scale / len(ctx.saved_tensors[0])  # of the sum over rows, to that of their mean
        return *(scale * gradient for gradient in ctx.saved_tensors), None, None, None
