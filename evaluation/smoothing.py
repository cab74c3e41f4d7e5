"""Kneser-Ney smoothing as a teacher: what counts of the training text tell a decoder about words it hardly saw.

An n-gram model of Kneser and Ney (1995) takes a little from every count, and spreads what it took as a distribution
over all words, the more of it the less a context says about its next word. A network can be told the same while it
trains: a share of every target, as large as the n-gram model's, is spread as that distribution (label smoothing,
Szegedy et al. 2016, with both the amount and the direction learned from counts; Xie et al. 2017 reach it by noise).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenizer import PAD, UNK

DISCOUNT = 0.65  # of the Kneser-Ney unigram, where targets are not smoothed by it
WORDS_BEFORE = 2000  # that each speaker counts as having said, as all together would, before the first of their own


@dataclass(frozen=True)
class Smoothing:
    """Of the target after word w, share[w] is spread over the vocabulary as `prior`."""

    prior: Tensor  # (V,) sums to 1
    share: Tensor  # (V,) from 0 to 1


def uniform(share: float, vocabulary_size: int) -> Smoothing:
    """The usual label smoothing: the same share of every target, spread evenly."""
    return Smoothing(torch.full((vocabulary_size,), 1 / vocabulary_size), torch.full((vocabulary_size,), share))


def kneser_ney(stream: Tensor, discount: float, vocabulary_size: int, known_elsewhere: Tensor) -> Smoothing:
    """The Kneser-Ney unigram of `stream` (N,) as prior, and the weight of back-off after each word as share.

    The prior counts the distinct words that a word follows, less `discount`, and gives what that frees to the words
    that never occur in the stream (`unseen_words`).
    """
    first, predecessors = _neighbours(stream, vocabulary_size)
    prior = (predecessors - discount).clamp(min=0)
    freed = predecessors.sum() - prior.sum()
    prior += freed * _unseen(predecessors, known_elsewhere)
    occurrences = torch.bincount(stream[:-1], minlength=vocabulary_size).clamp(min=1)
    share = discount * torch.bincount(first, minlength=vocabulary_size) / occurrences
    return Smoothing(prior / prior.sum(), share)


def unseen_words(stream: Tensor, vocabulary_size: int, known_elsewhere: Tensor) -> Tensor:
    """How likely a word that is new to `stream` (N,) is to be each of the vocabulary: (V,), sums to 1.

    Words that occur in the stream get nothing, all others the same, but for <unk>: its share is that of the words with
    one predecessor which the rest of the training files (`known_elsewhere` (V,) bool) lacks, for these would have been
    <unk>, had they not occurred here (leaving one out, as Good and Turing do). None or all of them count as half a word
    or all but half a word: neither <unk> nor any other word but <pad> is impossible.
    """
    return _unseen(_neighbours(stream, vocabulary_size)[1], known_elsewhere)


def preferences(streams: Sequence[Tensor], vocabulary_size: int) -> Tensor:
    """How much likelier each of the speakers, who say `streams` (N,), is to say each word than all of them together:
    (speakers, V), in nats. With few words of a speaker, little (a Dirichlet prior: MacKay and Peto 1995)."""
    counts = torch.stack([torch.bincount(ids, minlength=vocabulary_size) for ids in streams]).double()
    together = (counts.sum(dim=0) + 1) / (counts.sum() + vocabulary_size)
    own = (counts + WORDS_BEFORE * together) / (counts.sum(dim=1, keepdim=True) + WORDS_BEFORE)
    return (own / together).log().float()


def _unseen(predecessors: Tensor, known_elsewhere: Tensor) -> Tensor:
    once, never = predecessors == 1, predecessors == 0
    never[[PAD, UNK]] = False
    n_once = once.sum().clamp(min=1)
    share = (once & ~known_elsewhere).sum().clamp(torch.tensor(0.5), n_once - 0.5) / n_once
    unknown = share if never.any() else torch.tensor(1.0)
    likely = never * (1 - unknown) / never.sum().clamp(min=1)
    likely[UNK] = unknown
    return likely


def _neighbours(stream: Tensor, vocabulary_size: int) -> tuple[Tensor, Tensor]:
    """The first word of each distinct pair of neighbours (P,), and how many different words precede each word (V,)."""
    pairs = (stream[:-1] * vocabulary_size + stream[1:]).unique()
    predecessors = torch.bincount(pairs % vocabulary_size, minlength=vocabulary_size)
    predecessors[stream[0]].clamp_(min=1)
    return pairs // vocabulary_size, predecessors
