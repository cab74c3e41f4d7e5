"""Attention statistics over the whole test set."""

from collections.abc import Iterator, Sequence

import torch

from dataset import Data
from evaluation import attention
from studies.answers import AttentionStatistics
from training.weights import TrainedModel
from transformer import Classifier, Decoder, Vote


@torch.no_grad()
def attention_over_test(trained: TrainedModel, data: Data) -> AttentionStatistics:
    """`attention_statistics` by layer and head, over all the test rows, or windows of all the test texts.

    An encoder that does not mask padding looks at it, too: the share of attention that padding gets is a number of its
    own, and the others are of what the tokens get, made to sum to 1.
    """
    sums: dict[str, torch.Tensor] = {}
    n_tokens = 0
    for maps, lengths in batches(trained.model, data):
        inside = torch.arange(maps.shape[-1]) < lengths[:, None]  # (B, T)
        on_tokens = (maps * inside[:, None, None]).sum(-1)  # (L, B, H, T)
        here = attention.attention_statistics(
            maps * inside[:, None, None] / on_tokens[..., None].clamp(min=1e-9),
            lengths,
            isinstance(trained.model, Decoder),
        )
        here["padding"] = ((1 - on_tokens) * inside[:, None]).sum((1, 3)) / inside.sum()
        attention.check_attention(maps)
        for name, values in here.items():
            sums[name] = sums.get(name, 0) + values * int(lengths.sum())
        n_tokens += int(lengths.sum())
    return AttentionStatistics(**{name: (values / n_tokens).tolist() for name, values in sums.items()})


def batches(
    model: Classifier | Vote | Decoder, data: Data, batch_size: int = 64
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Attention maps (L, B, H, T, T) and lengths (B,) over a classifier's test rows, a decoder's test texts."""
    if not isinstance(model, Decoder):
        for items in torch.arange(len(data.test.labels)).split(batch_size):
            ids, lengths, _ = data.test.batch(items, cut=model.masks_padding)
            yield attention.attention_maps(model, ids, lengths), lengths
        return
    for stream in data.test_streams.values():
        width = min(model.config.block_size, len(stream.ids))
        windows = stream.ids[: len(stream.ids) // width * width].view(-1, width)
        for ids in windows.split(batch_size):
            lengths = torch.full((len(ids),), width)
            yield attention.attention_maps(model, ids, lengths), lengths


def attention_means(seeds: Sequence[AttentionStatistics]) -> AttentionStatistics:
    """Each attention statistic by layer and head, its mean over seeds."""
    names = AttentionStatistics.__struct_fields__
    means = {name: torch.tensor([getattr(seed, name) for seed in seeds]).mean(dim=0).tolist() for name in names}
    return AttentionStatistics(**means)
