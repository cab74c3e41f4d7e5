"""Where attention goes: maps, a check that they are maps, and what they say in numbers."""

import torch
from torch import Tensor

from modules.hook_point import hook_points, hooked
from transformer import Classifier, Decoder, Vote


@torch.no_grad()
def attention_maps(model: Classifier | Vote | Decoder, ids: Tensor, lengths: Tensor) -> Tensor:
    """The attention weights (L, B, H, T, T) as the model reads `ids` (B, T); of a vote, those of the first."""
    maps: list[Tensor] = []
    names = hook_points(model, ".attention.weights")[: model.config.n_layer]  # the first member's layers come first
    with hooked(model, names, lambda weights, name: maps.append(weights)):
        read_ids(model, ids, lengths)
    return torch.stack(maps)


def read_ids(model: Classifier | Vote | Decoder, ids: Tensor, lengths: Tensor) -> None:
    """Have the model read `ids` (B, T), for what its hooks make of it; a decoder needs no `lengths` (B,)."""
    if isinstance(model, Decoder):
        model.before_logits(ids)
    else:
        model(ids, lengths)


def check_attention(weights: Tensor, tolerance: float = 1e-4) -> None:
    """Raise ValueError where a row of attention weights (..., T, T) is no probability distribution.

    The message names the first such row by its layer, text and head: (L, B, H, T, T), (L, H, T, T) or (H, T, T).
    """
    weights = weights.detach().float()
    problems = {
        "holds a value that is not finite": ~weights.isfinite().all(-1),
        "holds a negative weight": (weights < 0).any(-1),
        f"does not sum to 1 within {tolerance:g}": ~((weights.sum(-1) - 1).abs() <= tolerance),
    }
    names = {4: ["layer", "text"], 3: ["layer"]}.get(weights.ndim - 1, ["dimension"] * (weights.ndim - 3))
    names = [*names, "head", "row"][-(weights.ndim - 1) :]
    for problem, wrong in problems.items():
        if wrong.any():
            indices = wrong.nonzero()[0].tolist()
            where = ", ".join(f"{name} {i}" for name, i in zip(names, indices, strict=True))
            raise ValueError(f"attention weights of {where} (from 0): the row {problem}")


def attention_statistics(weights: Tensor, lengths: Tensor, causal: bool = False) -> dict[str, Tensor]:
    """How far and how widely each head looks: means over all query positions of all texts.

    weights (L, B, H, T, T) or, for one text, (L, H, T, T); lengths (B,) or one number: the tokens that are no padding.
    Returns tensors (L, H): `distance`, the mean |i - j| under the weights, in tokens; `entropy`, in nats; and both as a
    share of what even attention over the same visible tokens would have, `relative_distance` and `relative_entropy`: 1
    where that has none, for a token that sees itself alone looks as evenly as it can.
    Every query counts the same, so batches combine by a mean weighted with lengths.sum().
    """
    weights = weights.detach().double()
    if weights.ndim == 4:
        weights = weights.unsqueeze(1)
    lengths = torch.as_tensor(lengths).reshape(-1)
    position = torch.arange(weights.shape[-1])
    apart = (position[:, None] - position).abs()  # (T, T)
    is_token = position < lengths[:, None]  # (B, T)
    visible = is_token[:, :, None] & is_token[:, None, :]  # (B, T, T)
    if causal:
        visible = visible & (position <= position[:, None])
    even = visible.double() / visible.sum(-1, keepdim=True).clamp(min=1)  # (B, T, T)

    def mean(values: Tensor) -> Tensor:  # (L, B, H, T) -> (L, H)
        return (values * is_token[:, None]).sum((1, 3)) / is_token.sum()

    def distance(rows: Tensor) -> Tensor:
        return mean((rows * apart).sum(-1))

    def entropy(rows: Tensor) -> Tensor:
        return mean(torch.special.entr(rows).sum(-1))

    def share(values: Tensor, of_even: Tensor) -> Tensor:
        return torch.where(of_even > 0, values / of_even, 1.0)

    even = even[None, :, None]  # (1, B, 1, T, T)
    return {
        "distance": distance(weights),
        "entropy": entropy(weights),
        "relative_distance": share(distance(weights), distance(even)),
        "relative_entropy": share(entropy(weights), entropy(even)),
    }
