"""Attention statistics over the whole test set."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dataset import Data
from evaluation.attention import attention_maps, attention_statistics, batches_read, check_attention
from studies.answers import AttentionStatistics
from training.weights import TrainedModel
from transformer import Decoder


@torch.no_grad()
def attention_over_test(trained: TrainedModel, data: Data) -> AttentionStatistics:
    """`attention_statistics` by layer and head, over all the test rows, or windows of all the test texts.

    An encoder that does not mask padding attends to it, too: the share of attention that padding gets is reported by
    itself, and the other statistics are of what the tokens get, made to sum to 1.
    """
    model, is_causal = trained.model, isinstance(trained.model, Decoder)
    sums: dict[str, Tensor] = {}
    n_tokens = 0
    for ids, lengths in batches_read(model, data.test, data.test_streams.values()):
        maps = attention_maps(model, ids, lengths)
        check_attention(maps)
        is_token = torch.arange(maps.shape[-1]) < lengths[:, None]  # (B, T)
        of_tokens = maps * is_token[:, None, None]
        on_tokens = of_tokens.sum(-1)  # (L, B, H, T)
        statistics = attention_statistics(of_tokens / on_tokens[..., None].clamp(min=1e-9), lengths, is_causal)
        statistics["padding"] = ((1 - on_tokens) * is_token[:, None]).sum((1, 3)) / is_token.sum()
        for name, values in statistics.items():
            sums[name] = sums.get(name, 0) + values * int(lengths.sum())
        n_tokens += int(lengths.sum())
    return AttentionStatistics(**{name: (values / n_tokens).tolist() for name, values in sums.items()})


def attention_means(seeds: Sequence[AttentionStatistics]) -> AttentionStatistics:
    """Each attention statistic by layer and head, its mean over seeds."""
    names = AttentionStatistics.__struct_fields__
    means = {name: torch.tensor([getattr(seed, name) for seed in seeds]).mean(dim=0).tolist() for name in names}
    return AttentionStatistics(**means)
