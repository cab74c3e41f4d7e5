"""Exact and near copies among texts, exactly counted: seconds for a hundred thousand sentences."""

import re
from collections.abc import Sequence

import numpy as np
import regex

from tokenizer import WORD, normalized

NEAR = 0.5  # a text whose trigrams stand at least to this share in one other text is a near copy of it
COMMON = 400  # a trigram of words in more texts than this says nothing ("of the united")


def normal_words(text: str) -> list[str]:
    """The words of `text` without case and punctuation, the same for "don't", "don\u2019t" and "do n't"; each letter
    where a script sets no spaces between words."""
    words: list[str] = regex.findall(WORD, re.sub("n['\u2019] ?t\\b", " not", normalized(text.casefold())))
    return words


def closest(queries: Sequence[str], texts: Sequence[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """For each query the text that copies most of it: index into `texts`, -1 for none, and share in 0 .. 1, both (N,).

    The share is 1 for texts of the same normal words, else the part of the query's word trigrams that the other text
    has too, where at least two agree, or of its words, where a short text differs in one. Without `texts` the queries
    are compared with each other, never with themselves. Every pair that shares a trigram is counted (a product of
    sparse matrices), so nothing is left to luck, as with hashing; only trigrams in over COMMON texts do not count.
    """
    from scipy.sparse import csr_matrix

    both = list(queries) + list(texts or [])
    words = [normal_words(text) or [text] for text in both]
    number: dict[str, int] = {}
    ids = [np.array([number.setdefault(word, len(number)) for word in row], np.int64) for row in words]
    keys = [np.unique((row[:-2] * len(number) + row[1:-1]) * len(number) + row[2:]) for row in ids]
    rows = np.repeat(np.arange(len(both)), [len(key) for key in keys])
    _, columns, counts = np.unique(
        np.concatenate([*keys, np.zeros(0, np.int64)]), return_inverse=True, return_counts=True
    )
    kept = counts[columns] <= COMMON
    shape = (len(both), len(counts))
    has = csr_matrix((np.ones(kept.sum(), np.float32), (rows[kept], columns[kept])), shape)

    first = 0 if texts is None else len(queries)  # the texts are both[first:]
    sizes = np.asarray(has.sum(axis=1)).ravel()
    others = has[first:].T.tocsr()
    index, share = np.full(len(queries), -1), np.zeros(len(queries))
    for start in range(0, len(queries), 2048):  # blocks keep the product small
        shared = has[start : min(start + 2048, len(queries))] @ others
        shared.sort_indices()
        for i in range(shared.shape[0]):
            row = slice(shared.indptr[i], shared.indptr[i + 1])
            count = np.where(shared.indices[row] + first == start + i, 0, shared.data[row])  # not with itself
            if len(count) and count.max() >= 2:
                index[start + i] = shared.indices[row][count.argmax()]
                share[start + i] = count.max() / sizes[start + i]

    texts_with: dict[tuple[str, ...], list[int]] = {}  # which texts have these words, or have them but for one
    for i in range(first, len(both)):
        for key in [tuple(words[i]), *_without_one(words[i])]:
            texts_with.setdefault(key, []).append(i)
    for i in range(len(queries)):
        for key, part in [(key, 1 - 1 / len(words[i])) for key in _without_one(words[i])] + [(tuple(words[i]), 1.0)]:
            other = next((j for j in texts_with.get(key, []) if j != i), None)
            if other is not None and part > share[i]:
                index[i], share[i] = other - first, part
    return index, share


def _without_one(words: Sequence[str]) -> list[tuple[str, ...]]:
    """All ways to leave one word out of a short text: one changed word would break most of its trigrams."""
    return [(*words[:i], *words[i + 1 :]) for i in range(len(words))] if 5 <= len(words) <= 8 else []
