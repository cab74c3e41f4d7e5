"""A decoder's voices: how they start, and who may have said a text."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from evaluation.mixture import mixed
from evaluation.ngrams import KneserNey
from tokenizer import PAD
from transformer import Decoder

WORDS_BEFORE = 2000  # that each speaker counts as having said, as all together would, before the first of their own


def preferences(streams: Sequence[Tensor], vocabulary_size: int) -> Tensor:
    """How much likelier each of the speakers, who say `streams` (N,), is to say each word than all of them together:
    (speakers, V), in nats. With few words of a speaker, little (a Dirichlet prior: MacKay and Peto 1995)."""
    counts = torch.stack([torch.bincount(ids, minlength=vocabulary_size) for ids in streams]).double()
    together = (counts.sum(dim=0) + 1) / (counts.sum() + vocabulary_size)
    by_speaker = (counts + WORDS_BEFORE * together) / (counts.sum(dim=1, keepdim=True) + WORDS_BEFORE)
    return (by_speaker / together).log().float()


def speaker_probabilities(model: Decoder, ngrams: Sequence[KneserNey], rows: Sequence[Tensor]) -> Tensor:
    """p(speaker | row) (N, K) of each of the rows (n tokens,), under a decoder of K voices, each with the `ngrams` that
    may predict with it: by Bayes' rule, from how likely the row is in each voice and how often each speaks."""
    if model.voices is None:
        raise ValueError("a decoder without voices knows no speakers")
    n_speakers = len(model.voices.shares)
    of_voices: Sequence[KneserNey | None] = ngrams or [None] * n_speakers
    nats = [row_nats(model.as_speaker(1 + i), of_voices[i], rows) for i in range(n_speakers)]
    return (model.voices.shares.cpu().double().log() - torch.stack(nats, dim=1)).softmax(dim=-1)


@torch.inference_mode()
def row_nats(model: Decoder, ngrams: KneserNey | None, rows: Sequence[Tensor], n_batched: int = 64) -> Tensor:
    """-log p of each of the rows (n tokens,), float64 (N,): each is read as a text of its own (`perplexity.Protocol`),
    in windows of the block, of which `n_batched` are read at a time."""
    model.eval()
    device, length = next(model.parameters()).device, model.config.block_size
    before = [torch.cat([torch.tensor([PAD]), row[:-1]]) for row in rows]
    inputs, targets, is_token = (
        pad_sequence([window for row in many for window in row.split(length)], batch_first=True)
        for many in (before, rows, [torch.ones_like(row, dtype=torch.bool) for row in rows])
    )
    batches = zip(inputs.to(device).split(n_batched), targets.to(device).split(n_batched))
    nats = torch.cat([model.nats(*batch).cpu().double() for batch in batches])[is_token]  # (tokens of all rows,)
    if ngrams:
        counted = np.concatenate([ngrams.log_probabilities(row) for row in rows])
        nats = -mixed(-nats, counted, model.config.ngram_share)
    return torch.stack([row.sum() for row in nats.split([len(row) for row in rows])])
