"""A language model that only counts words: interpolated Kneser-Ney n-grams.

A transformer that loses to it has not earned its keep, so it is printed beside it. It also tells a decoder, before
training, how frequent each word is (`kneser_ney_unigram`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from common.files import UserError
from tokenizer import PAD, UNK

DISCOUNT = 0.65  # of the Kneser-Ney unigram
PARTS = {"keys": torch.int64, "share": torch.float64, "backoff": torch.float64}  # of each order's table


@dataclass(frozen=True)
class _Level:
    """The k-grams of one order k. A context is a (k-1)-gram, named by its place in the level below."""

    keys: np.ndarray  # (n_grams,) sorted: context * vocabulary_size + word
    share: np.ndarray  # (n_grams,) discounted count / total of the context
    backoff: np.ndarray  # (n_contexts,) the weight that the discounts leave to the shorter context


class KneserNey:
    """Interpolated Kneser-Ney smoothing with modified discounts (Chen and Goodman 1999, section 3).

    P(word | context) = (count - D(count)) / total + backoff(context) P(word | context without its oldest word), where
    D is one of three discounts by count, and below the highest order a count is the number of different words seen
    before the k-gram. The unigrams interpolate with `base`, which is all that a word never seen in training has (<unk>
    among them): the uniform distribution, or one that is told what unseen words are like.
    """

    def __init__(self, order: int, levels: Sequence[_Level], base: np.ndarray) -> None:
        self.vocabulary_size, self.order, self._levels, self._base = len(base), order, levels, base

    @classmethod
    def fit(
        cls,
        stream: torch.Tensor | np.ndarray,
        vocabulary_size: int,
        order: int = 3,
        base: torch.Tensor | np.ndarray | None = None,
    ) -> "KneserNey":
        """Count the k-grams, k = 1..order, of a stream of ids (n_tokens,); ValueError when it is shorter than order.

        base: (vocabulary_size,) sums to 1; None is uniform.
        """
        ids = _ids(stream, vocabulary_size)
        if len(ids) < order or order < 1:
            raise ValueError(f"order {order} needs at least that many tokens (and at least 1), got {len(ids)}")
        grams = np.zeros(len(ids) + 1, dtype=np.int64)  # the k-gram that starts at each place; at first the empty one
        keys: list[np.ndarray] = []
        counts: list[np.ndarray] = []
        for k in range(1, order + 1):
            packed = grams[: len(ids) - k + 1] * vocabulary_size + ids[k - 1 :]
            unique, first, longer, count = np.unique(packed, return_index=True, return_inverse=True, return_counts=True)
            if k > 1:  # what stands before a (k-1)-gram: the k-grams that begin one place earlier
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
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> "KneserNey":
        """The model that `tensors` says; UserError where they cannot be of one."""
        order = (len(tensors) - 1) // 3
        wanted = {"base": torch.float64} | {
            f"{name}.{k}": kind for k in range(1, order + 1) for name, kind in PARTS.items()
        }
        if order < 1 or {name: tensor.dtype for name, tensor in tensors.items()} != wanted:
            raise UserError("the tables of the n-gram model are not complete")
        found = {name: tensor.numpy() for name, tensor in tensors.items()}
        base, n_contexts, levels = found["base"], 1, []
        for k in range(1, order + 1):
            keys, share, backoff = (found[f"{name}.{k}"] for name in PARTS)
            inside = keys.ndim == 1 and len(keys) > 0 and keys[0] >= 0 and keys[-1] < n_contexts * len(base)
            if not inside or (np.diff(keys) <= 0).any() or share.shape != keys.shape or backoff.shape != (n_contexts,):
                raise UserError(f"the {k}-grams of the n-gram model are not in order")
            levels.append(_Level(keys, share, backoff))
            n_contexts = len(keys)
        weights = [base, *(array for level in levels for array in (level.share, level.backoff))]
        if base.ndim != 1 or not all(np.isfinite(array).all() and (array >= 0).all() for array in weights):
            raise UserError("the n-gram model has numbers that are no probabilities")
        return cls(order, levels, base)

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that was counted, by name, for a file."""
        found = {"base": self._base}
        for k, level in enumerate(self._levels, start=1):
            found |= {f"{name}.{k}": getattr(level, name) for name in PARTS}
        return {name: torch.tensor(array) for name, array in found.items()}

    def log_probabilities(self, stream: torch.Tensor | np.ndarray) -> np.ndarray:
        """ln P of every token of a stream (n_tokens,), in nats; the first ones have less context."""
        ids = _ids(stream, self.vocabulary_size)
        start = np.full(self.order - 1, -1)
        windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([start, ids]), self.order)  # (n, order)
        return np.log(self._probabilities(windows)) if len(ids) else np.empty(0)

    def perplexity(self, stream: torch.Tensor | np.ndarray) -> float:
        """Every token scored once, nats summed, divided once, exponentiated last."""
        return float(np.exp(-self.log_probabilities(stream).mean()))

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
        """The place of each (context, word) among a level's k-grams, -1 where it was not seen."""
        wanted = context * self.vocabulary_size + word
        place = np.searchsorted(level.keys, wanted).clip(max=len(level.keys) - 1)
        return np.where((level.keys[place] == wanted) & (context >= 0) & (word >= 0), place, -1)


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


def _ids(stream: torch.Tensor | np.ndarray, vocabulary_size: int) -> np.ndarray:
    ids = np.asarray(stream, dtype=np.int64)
    if ids.ndim != 1 or (len(ids) and not 0 <= ids.min() <= ids.max() < vocabulary_size):
        raise ValueError(f"ids must be one row of numbers from 0 to {vocabulary_size - 1}")
    return ids


# ------------------------------------------------------------------------------------------------------------ unigrams


def kneser_ney_unigram(stream: torch.Tensor, vocabulary_size: int, known_elsewhere: torch.Tensor) -> torch.Tensor:
    """How likely each word is, (V,), sums to 1: by the number of distinct words that it follows in `stream` (N,), less
    DISCOUNT (Kneser and Ney 1995). What that frees goes to the words that the stream lacks, as `unseen_words` says."""
    predecessors = _n_predecessors(stream, vocabulary_size)
    kept = (predecessors - DISCOUNT).clamp(min=0)
    kept += (predecessors.sum() - kept.sum()) * unseen_words(stream, vocabulary_size, known_elsewhere)
    return kept / kept.sum()


def unseen_words(stream: torch.Tensor, vocabulary_size: int, known_elsewhere: torch.Tensor) -> torch.Tensor:
    """How likely a word that is new to `stream` (N,) is to be each of the vocabulary: (V,), sums to 1.

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


def _n_predecessors(stream: torch.Tensor, vocabulary_size: int) -> torch.Tensor:
    """How many different words precede each word (V,) in a stream (N,); one at least, where it occurs."""
    pairs = (stream[:-1] * vocabulary_size + stream[1:]).unique()
    predecessors = torch.bincount(pairs % vocabulary_size, minlength=vocabulary_size)
    predecessors[stream[0]].clamp_(min=1)
    return predecessors
