"""A network and an n-gram model that predict together: each has what the other lacks.

The network generalises from contexts that are alike, the n-gram model remembers what followed a context word for word;
the mean of their probabilities is better than either (interpolation: Jelinek and Mercer 1980; with a neural model,
Bengio et al. 2003, section 3.1).
"""

import math

import numpy as np
import torch
from torch import Tensor

from dataset import Data
from evaluation.ngrams import KneserNey, kneser_ney_unigram, unseen_words
from evaluation.perplexity import Protocol, token_nats
from transformer import Decoder


def text_ngrams(data: Data, order: int = 3) -> KneserNey:
    """Kneser-Ney n-grams of the training text, which know how likely unseen words are; of subwords none is unseen."""
    stream, size = data.train_stream.ids, len(data.tokenizer)
    has_unknown = data.tokenizer.tokenization.kind != "bpe"
    return KneserNey.fit(stream, size, order, unseen_words(stream, size, data.words_of_rows()) if has_unknown else None)


def speaker_ngrams(data: Data) -> list[KneserNey]:
    """Kneser-Ney trigrams of what each speaker says in the labelled rows, the rest left to the unigrams of the training
    text."""
    size = len(data.tokenizer)
    base = kneser_ney_unigram(data.train_stream.ids, size, data.words_of_rows())
    streams = [stream.ids for stream in data.speaker_streams()]
    return [KneserNey.fit(ids, size, min(3, len(ids)), base) for ids in streams]


def predicted_nats(
    model: Decoder, ngrams: KneserNey | None, ids: Tensor, protocol: Protocol, window: int | None = None
) -> Tensor:
    """-log p of every token of `ids` (N,), float64 (N,), under a decoder and the `ngrams` that may predict with it;
    the rest as in `token_nats`."""
    nats = token_nats(model, ids, protocol, window=window)
    return -mixed(-nats, ngrams.log_probabilities(ids), model.config.ngram_share) if ngrams else nats


def mixed(network: Tensor, ngrams: Tensor | np.ndarray, share: float) -> Tensor:
    """ln((1 - share) exp(network) + share exp(ngrams)), both of one shape, in float64."""
    return torch.logaddexp(network.double() + math.log1p(-share), torch.as_tensor(ngrams) + math.log(share))
