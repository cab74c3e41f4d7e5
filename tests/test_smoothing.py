"""The teacher of a decoder: what counts say about words, held to sums done by hand and to what a distribution is."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines import KneserNey
from smoothing import kneser_ney, uniform, unseen_words
from tokenizer import PAD, UNK

STREAM = torch.tensor([2, 3, 2, 4, 2, 3])  # a b a c a b over <pad> <unk> a b c d e
KNOWN = torch.tensor([0, 0, 1, 1, 0, 1, 1]).bool()  # all but c stand in the labelled rows


def test_uniform_smoothing_is_label_smoothing() -> None:
    smoothing = uniform(0.1, 5)
    torch.testing.assert_close(smoothing.prior, torch.full((5,), 0.2))
    torch.testing.assert_close(smoothing.share, torch.full((5,), 0.1))


def test_kneser_ney_by_hand() -> None:
    """Pairs: ab ba ac ca. Predecessors: a 2 (b, c), b 1, c 1. Of the words with one, b and c, half would have been
    <unk>: c, which stands nowhere else. Discount 0.5: 1.5 is freed."""
    torch.testing.assert_close(unseen_words(STREAM, 7, KNOWN), torch.tensor([0, 0.5, 0, 0, 0, 0.25, 0.25]))
    smoothing = kneser_ney(STREAM, 0.5, 7, KNOWN)
    torch.testing.assert_close(smoothing.prior, torch.tensor([0, 0.75, 1.5, 0.5, 0.5, 0.375, 0.375]) / 4)
    # After a: two kinds of word in three occurrences; after b and c one in one; after the others nothing was seen.
    torch.testing.assert_close(smoothing.share, torch.tensor([0, 0, 1 / 3, 0.5, 0.5, 0, 0]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(2, 8), min_size=3, max_size=50),
    st.lists(st.booleans(), min_size=10, max_size=10),
    st.floats(0.05, 0.95),
)
def test_what_is_spread_is_a_distribution(ids: list[int], known: list[bool], discount: float) -> None:
    stream, elsewhere = torch.tensor(ids), torch.tensor(known)
    base, smoothing = unseen_words(stream, 10, elsewhere), kneser_ney(stream, discount, 10, elsewhere)
    for distribution in (base, smoothing.prior):
        assert distribution.sum().item() == pytest.approx(1)
        assert (distribution >= 0).all()
    assert base[stream].sum() == 0
    assert base[PAD] == smoothing.prior[PAD] == 0
    assert ((smoothing.share >= 0) & (smoothing.share <= 1)).all()
    told = KneserNey.fit(stream, 10, order=2, base=base).distribution(ids[:1])
    assert told.sum() == pytest.approx(1)


def test_a_vocabulary_that_the_stream_exhausts_leaves_new_words_to_unk() -> None:
    everything = torch.arange(2, 7).repeat(2)
    base = unseen_words(everything, 7, torch.ones(7, dtype=torch.bool))
    assert base.tolist() == [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert base[UNK] == 1
