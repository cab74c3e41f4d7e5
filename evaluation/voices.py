"""Who may have said a text, by Bayes' rule: those in whose voice it is likely, weighed by how often each speaks."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from evaluation.mixture import mixed
from evaluation.ngrams import KneserNey
from modules.voices import voice
from tokenizer import PAD
from transformer import Decoder


def speaker_probabilities(model: Decoder, ngrams: Sequence[KneserNey], rows: Sequence[Tensor]) -> Tensor:
    """p(speaker | row) (N, K) of each of the rows (n tokens,), under a decoder of K voices, each with the `ngrams` that
    may stand beside it."""
    assert model.voices is not None
    beside: Sequence[KneserNey | None] = ngrams or [None] * len(model.voices.shares)
    nats = [row_nats(voice(model, speaker), counted, rows) for speaker, counted in enumerate(beside, start=1)]
    return (model.voices.shares.cpu().double().log() - torch.stack(nats, dim=1)).softmax(dim=-1)


@torch.inference_mode()
def row_nats(model: Decoder, ngrams: KneserNey | None, rows: Sequence[Tensor], n_batched: int = 64) -> Tensor:
    """-log p of each of the rows (n tokens,), float64 (N,): each is read as a text of its own (`perplexity.Protocol`),
    in windows of the block, of which `n_batched` are read at a time."""
    model.eval()
    device, length = next(model.parameters()).device, model.config.block_size
    before = [torch.cat([torch.tensor([PAD]), row[:-1]]) for row in rows]
    inputs, targets, inside = (
        pad_sequence([window for row in of for window in row.split(length)], batch_first=True)
        for of in (before, rows, [torch.ones_like(row, dtype=torch.bool) for row in rows])
    )
    parts = zip(inputs.to(device).split(n_batched), targets.to(device).split(n_batched))
    nats = torch.cat([model.nats(*part).cpu().double() for part in parts])[inside]  # (tokens of all rows,)
    if ngrams:
        counted = np.concatenate([ngrams.log_probabilities(row) for row in rows])
        nats = -mixed(-nats, counted, model.config.ngram_share)
    return torch.stack([row.sum() for row in nats.split([len(row) for row in rows])])
