"""Where attention goes: maps of its weights, a check of them, and what they say in numbers."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from dataset import Labelled, Stream
from modules.hook_point import hook_points, hooked
from transformer import Classifier, Decoder, Vote


@torch.no_grad()
def attention_maps(model: Classifier | Vote | Decoder, ids: Tensor, lengths: Tensor) -> Tensor:
    """The attention weights (L, B, H, T, T) as the model reads `ids` (B, T); of a vote, those of its first member."""
    maps: list[Tensor] = []
    names = hook_points(model, ".attention.weights")[: model.config.n_layer]  # the first member's layers come first
    with hooked(model, names, lambda weights, name: maps.append(weights)):
        read_ids(model, ids, lengths)
    return torch.stack(maps)


def read_ids(model: Classifier | Vote | Decoder, ids: Tensor, lengths: Tensor) -> None:
    """Run the model on `ids` (B, T), for the sake of its hooks; a decoder needs no `lengths` (B,)."""
    if isinstance(model, Decoder):
        model.before_logits(ids)
    else:
        model(ids, lengths)


def batches_read(
    model: Classifier | Vote | Decoder, rows: Labelled, streams: Iterable[Stream], batch_size: int = 64
) -> Iterator[tuple[Tensor, Tensor]]:
    """Ids (B, T) and lengths (B,), as the model reads them: a classifier `rows`, a decoder windows of `streams`."""
    if not isinstance(model, Decoder):
        for items in torch.arange(len(rows.labels)).split(batch_size):
            ids, lengths, _ = rows.batch(items, cut=model.masks_padding)
            yield ids, lengths
        return
    for stream in streams:
        width = min(model.config.block_size, len(stream.ids))
        for ids in stream.ids[: len(stream.ids) // width * width].view(-1, width).split(batch_size):
            yield ids, torch.full((len(ids),), width)


def check_attention(weights: Tensor, tolerance: float = 1e-4) -> None:
    """ValueError that names the first row of attention weights (..., T, T) which is no probability distribution."""
    weights = weights.detach().float()
    problems = {
        "holds a value that is not finite": ~weights.isfinite().all(-1),
        "holds a negative weight": (weights < 0).any(-1),
        f"does not sum to 1 within {tolerance:g}": ~((weights.sum(-1) - 1).abs() <= tolerance),
    }
    for problem, is_wrong in problems.items():
        if is_wrong.any():
            raise ValueError(f"row {is_wrong.nonzero()[0].tolist()} of the attention weights {problem}")


def attention_statistics(weights: Tensor, lengths: Tensor, causal: bool = False) -> dict[str, Tensor]:
    """How far and how widely each head looks: means over all query positions of all texts.

    weights (L, B, H, T, T) or, for one text, (L, H, T, T); lengths (B,) or one number: the tokens that are no padding.
    Returns tensors (L, H): `distance`, the mean |i - j| under the weights, in tokens; `entropy`, in nats; and both as a
    share of what even attention over the same visible tokens would have, `relative_distance` and `relative_entropy`: 1
    where that is 0, since a token that sees only itself looks as evenly as it can.
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
    even = (visible.double() / visible.sum(-1, keepdim=True).clamp(min=1))[None, :, None]  # (1, B, 1, T, T)

    def mean(values: Tensor) -> Tensor:  # (L, B, H, T) -> (L, H)
        return (values * is_token[:, None]).sum((1, 3)) / is_token.sum()

    statistics = {}
    for name, statistic in (
        ("distance", lambda rows: mean((rows * apart).sum(-1))),
        ("entropy", lambda rows: mean(torch.special.entr(rows).sum(-1))),
    ):
        value, of_even = statistic(weights), statistic(even)
        statistics[name] = value
        statistics[f"relative_{name}"] = torch.where(of_even > 0, value / of_even, 1.0)
    return statistics
