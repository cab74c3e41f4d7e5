"""Language models that only count words: interpolated Kneser-Ney n-grams, and what counts tell a decoder.

A transformer that loses to them has not earned its keep, so their results are always shown next to its own. They may
also predict together with a decoder (`mixed`), and tell it before training how frequent each word is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from common.files import UserError
from dataset import Data
from tokenizer import PAD, UNK

DISCOUNT = 0.65  # of the Kneser-Ney unigram
PRIOR_WORDS = 2000  # that each speaker counts as having said in the proportions of all speakers together
PARTS = {"keys": torch.int64, "share": torch.float64, "backoff": torch.float64}  # of each order's table


@dataclass(frozen=True)
class _Level:
    """The k-grams of one order k. A context is a (k-1)-gram, given as its index in the level below."""

    keys: np.ndarray  # (n_grams,) sorted: context * vocabulary_size + word
    share: np.ndarray  # (n_grams,) discounted count / total of the context
    backoff: np.ndarray  # (n_contexts,) the weight that the discounts leave to the shorter context


class KneserNey:
    """Interpolated Kneser-Ney smoothing with modified discounts (Chen and Goodman 1999, section 3).

    P(word | context) = (count - D(count)) / total + backoff(context) P(word | context without its oldest word), where
    D is one of three discounts by count, and below the highest order a count is the number of different words seen
    before the k-gram. The unigrams interpolate with `base`, which is all that a word never seen in training has (<unk>
    among them): the uniform distribution, or one that knows how likely unseen words are (`unseen_words`).
    """

    def __init__(self, order: int, levels: Sequence[_Level], base: np.ndarray) -> None:
        self.vocabulary_size, self.order, self._levels, self._base = len(base), order, levels, base

    @classmethod
    def fit(
        cls,
        stream: Tensor | np.ndarray,
        vocabulary_size: int,
        order: int = 3,
        base: Tensor | np.ndarray | None = None,
    ) -> "KneserNey":
        """Count the k-grams, k = 1..order, of a stream of ids (n_tokens,); ValueError when it is shorter than order.

        base: (vocabulary_size,) sums to 1; None is uniform.
        """
        ids = _ids(stream, vocabulary_size)
        if len(ids) < order or order < 1:
            raise ValueError(f"order {order} needs at least that many tokens (and at least 1), got {len(ids)}")
        # Of each token, the index of the k-gram that starts there; at first that of the empty one
        grams = np.zeros(len(ids) + 1, dtype=np.int64)
        keys: list[np.ndarray] = []
        counts: list[np.ndarray] = []
        for k in range(1, order + 1):
            packed = grams[: len(ids) - k + 1] * vocabulary_size + ids[k - 1 :]
            unique, first, longer, count = np.unique(packed, return_index=True, return_inverse=True, return_counts=True)
            if k > 1:  # a (k-1)-gram counts the words before it: the k-grams that begin one token earlier
                counts[-1] = np.bincount(grams[first + 1], minlength=len(keys[-1]))
            keys.append(unique)
            counts.append(count)
            grams = longer
        counts[0] = counts[0].clip(min=1)  # the word that opens the text has nothing before it, and is a word
        n_contexts = [1, *map(len, keys)]
        levels = [_discounted(keys[k], counts[k], keys[k] // vocabulary_size, n_contexts[k]) for k in range(order)]
        even = np.full(vocabulary_size, 1 / vocabulary_size)
        return cls(order, levels, even if base is None else np.asarray(base, dtype=float))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "KneserNey":
        """The model of which these are the `tensors`; UserError where they cannot be of any."""
        order = (len(tensors) - 1) // 3
        wanted = {"base": torch.float64} | {
            f"{name}.{k}": kind for k in range(1, order + 1) for name, kind in PARTS.items()
        }
        if order < 1 or {name: tensor.dtype for name, tensor in tensors.items()} != wanted:
            raise UserError("the tables of the n-gram model are not complete")
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        base, n_contexts, levels = arrays["base"], 1, []
        for k in range(1, order + 1):
            keys, share, backoff = (arrays[f"{name}.{k}"] for name in PARTS)
            inside = keys.ndim == 1 and len(keys) > 0 and keys[0] >= 0 and keys[-1] < n_contexts * len(base)
            if not inside or (np.diff(keys) <= 0).any() or share.shape != keys.shape or backoff.shape != (n_contexts,):
                raise UserError(f"the {k}-grams of the n-gram model are not in order")
            levels.append(_Level(keys, share, backoff))
            n_contexts = len(keys)
        weights = [base, *(array for level in levels for array in (level.share, level.backoff))]
        if base.ndim != 1 or not all(np.isfinite(array).all() and (array >= 0).all() for array in weights):
            raise UserError("the n-gram model has numbers that are no probabilities")
        return cls(order, levels, base)

    def tensors(self) -> dict[str, Tensor]:
        """All that was counted, by name, for a file."""
        arrays = {"base": self._base}
        for k, level in enumerate(self._levels, start=1):
            arrays |= {f"{name}.{k}": getattr(level, name) for name in PARTS}
        return {name: torch.tensor(array) for name, array in arrays.items()}

    def log_probabilities(self, stream: Tensor | np.ndarray) -> np.ndarray:
        """ln P of every token of a stream (n_tokens,), in nats; the first ones have less context."""
        ids = _ids(stream, self.vocabulary_size)
        start = np.full(self.order - 1, -1)
        windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([start, ids]), self.order)  # (n, order)
        return np.log(self._probabilities(windows)) if len(ids) else np.empty(0)

    def distribution(self, context: Sequence[int]) -> np.ndarray:
        """P of every word of the vocabulary after `context` (its last order - 1 words count): (vocabulary_size,)."""
        seen = ([-1] * self.order + list(context))[-(self.order - 1) :] if self.order > 1 else []
        words = np.arange(self.vocabulary_size)
        return self._probabilities(np.column_stack([*(np.full_like(words, word) for word in seen), words]))

    def _probabilities(self, windows: np.ndarray) -> np.ndarray:
        """P of the last word of each window (N, order) after the words before it; -1 stands before a stream's start."""
        probabilities = self._base[windows[:, -1]]
        for k, level in enumerate(self._levels, start=1):
            context = np.zeros(len(windows), dtype=np.int64)
            for below, word in zip(self._levels, windows[:, self.order - k : -1].T, strict=False):
                context = self._find(below, context, word)
            gram = self._find(level, context, windows[:, -1])
            backoff = np.where(context >= 0, level.backoff[context], 1.0)
            probabilities = np.where(gram >= 0, level.share[gram], 0.0) + backoff * probabilities
        return probabilities

    def _find(self, level: _Level, context: np.ndarray, word: np.ndarray) -> np.ndarray:
        """The index of each (context, word) among a level's k-grams, -1 where it was not seen."""
        keys = context * self.vocabulary_size + word
        index = np.searchsorted(level.keys, keys).clip(max=len(level.keys) - 1)
        return np.where((level.keys[index] == keys) & (context >= 0) & (word >= 0), index, -1)


def _discounted(keys: np.ndarray, counts: np.ndarray, contexts: np.ndarray, n_contexts: int) -> _Level:
    """Take the discount from each count, and give each context's sum of discounts to its backoff."""
    n = np.bincount(counts, minlength=5).astype(float)  # n[i]: how many k-grams occur i times
    y = n[1] / (n[1] + 2 * n[2]) if n[1] and n[2] else 0.5
    discount = [0.0]
    for i in (1, 2, 3):  # Chen and Goodman's equation 26; y alone where a tiny text gives it no sense
        estimate = i - (i + 1) * y * n[i + 1] / n[i] if n[i] else 0.0
        discount.append(estimate if 0 < estimate < i else y)
    discounts = np.array(discount)[counts.clip(max=3)]
    total = np.bincount(contexts, weights=counts, minlength=n_contexts)
    left = np.bincount(contexts, weights=discounts, minlength=n_contexts)
    known = np.maximum(total, 1)
    return _Level(keys, (counts - discounts) / known[contexts], np.where(total > 0, left / known, 1.0))


def _ids(stream: Tensor | np.ndarray, vocabulary_size: int) -> np.ndarray:
    ids = np.asarray(stream, dtype=np.int64)
    if ids.ndim != 1 or (len(ids) and not 0 <= ids.min() <= ids.max() < vocabulary_size):
        raise ValueError(f"ids must be one row of numbers from 0 to {vocabulary_size - 1}")
    return ids


# ------------------------------------------------------------------------------------------------------------ unigrams


def kneser_ney_unigram(stream: Tensor, vocabulary_size: int, known_elsewhere: Tensor) -> Tensor:
    """How likely each word is, (V,), sums to 1: in proportion to the number of distinct words that it follows in
    `stream` (N,), less DISCOUNT (Kneser and Ney 1995). What that frees goes to `unseen_words`."""
    predecessors = _n_predecessors(stream, vocabulary_size)
    kept = (predecessors - DISCOUNT).clamp(min=0)
    kept += (predecessors.sum() - kept.sum()) * unseen_words(stream, vocabulary_size, known_elsewhere)
    return kept / kept.sum()


def unseen_words(stream: Tensor, vocabulary_size: int, known_elsewhere: Tensor) -> Tensor:
    """How likely each word of the vocabulary is, given that it is new to `stream` (N,): (V,), sums to 1.

    Words that occur in the stream get nothing, all others the same, but for <unk>: its share is that of the words with
    one predecessor which the rest of the training files (`known_elsewhere` (V,) bool) lacks, for these would have been
    <unk>, had they not occurred here (leaving one out, as Good and Turing do). None or all of them count as half a word
    or all but half a word: neither <unk> nor any other word but <pad> is impossible.
    """
    predecessors = _n_predecessors(stream, vocabulary_size)
    once, never = predecessors == 1, predecessors == 0
    never[[PAD, UNK]] = False
    n_once = once.sum().clamp(min=1)
    share = (once & ~known_elsewhere).sum().clamp(torch.tensor(0.5), n_once - 0.5) / n_once
    unknown = share if never.any() else torch.tensor(1.0)
    likely = never * (1 - unknown) / never.sum().clamp(min=1)
    likely[UNK] = unknown
    return likely


def _n_predecessors(stream: Tensor, vocabulary_size: int) -> Tensor:
    """How many different words precede each word (V,) in a stream (N,); one at least, where it occurs."""
    pairs = (stream[:-1] * vocabulary_size + stream[1:]).unique()
    predecessors = torch.bincount(pairs % vocabulary_size, minlength=vocabulary_size)
    predecessors[stream[0]].clamp_(min=1)
    return predecessors


def preferences(streams: Sequence[Tensor], vocabulary_size: int) -> Tensor:
    """How much likelier each speaker is to say each word than all of them together, from what they say, `streams` of
    tokens (N,): (speakers, V), in nats. A Dirichlet prior (MacKay and Peto 1995) keeps it small for few words."""
    counts = torch.stack([torch.bincount(ids, minlength=vocabulary_size) for ids in streams]).double()
    together = (counts.sum(dim=0) + 1) / (counts.sum() + vocabulary_size)
    by_speaker = (counts + PRIOR_WORDS * together) / (counts.sum(dim=1, keepdim=True) + PRIOR_WORDS)
    return (by_speaker / together).log().float()


# ------------------------------------------------------------------------------- n-grams that predict with a decoder


def text_ngrams(data: Data, order: int = 3) -> KneserNey:
    """Kneser-Ney n-grams of the training text that know how likely unseen words are (but no subword is unseen)."""
    stream, size = data.train_stream.ids, len(data.tokenizer)
    has_unknown = data.tokenizer.tokenization.kind != "bpe"
    return KneserNey.fit(stream, size, order, unseen_words(stream, size, data.words_of_rows()) if has_unknown else None)


def speaker_ngrams(data: Data) -> list[KneserNey]:
    """Kneser-Ney trigrams of what each speaker says in the labelled rows, with the unigrams of the training text."""
    size = len(data.tokenizer)
    base = kneser_ney_unigram(data.train_stream.ids, size, data.words_of_rows())
    streams = [stream.ids for stream in data.speaker_streams()]
    return [KneserNey.fit(ids, size, min(3, len(ids)), base) for ids in streams]


def mixed(network: Tensor, ngrams: Tensor | np.ndarray, share: float) -> Tensor:
    """The log-probabilities of a network and of n-grams that predict together, both of one shape, in float64:
    ln((1 - share) exp(network) + share exp(ngrams)).

    The network generalises over similar contexts, the n-grams remember what followed a context word for word; the mean
    of their probabilities is better than either (interpolation: Jelinek and Mercer 1980; with a neural model, Bengio et
    al. 2003, section 3.1).
    """
    return torch.logaddexp(network.double() + math.log1p(-share), torch.as_tensor(ngrams) + math.log(share))
