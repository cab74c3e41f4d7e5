"""What counts say about words, seen and unseen, held to sums done by hand and to what a distribution is."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.ngrams import DISCOUNT, KneserNey, kneser_ney_unigram, unseen_words
from tokenizer import PAD, UNK

STREAM = torch.tensor([2, 3, 2, 4, 2, 3])  # a b a c a b over <pad> <unk> a b c d e
KNOWN = torch.tensor([0, 0, 1, 1, 0, 1, 1]).bool()  # all but c stand in the labelled rows


def test_a_unigram_by_hand() -> None:
    """Pairs: ab ba ac ca. Predecessors: a 2 (b, c), b 1, c 1. Of the words with one, b and c, half would have been
    <unk>: c, which stands nowhere else. Three times the discount is freed."""
    new = torch.tensor([0, 0.5, 0, 0, 0, 0.25, 0.25])
    torch.testing.assert_close(unseen_words(STREAM, 7, KNOWN), new)
    kept = torch.tensor([0, 0, 2, 1, 1, 0, 0]) - DISCOUNT * torch.tensor([0, 0, 1, 1, 1, 0, 0])
    torch.testing.assert_close(kneser_ney_unigram(STREAM, 7, KNOWN), (kept + 3 * DISCOUNT * new) / 4)


def test_unknown_words_are_a_third_where_one_word_of_three_stands_nowhere_else() -> None:
    stream = torch.tensor([2, 3, 4])  # each with one predecessor, the start counted
    known = torch.tensor([0, 0, 1, 0, 1, 0]).bool()
    torch.testing.assert_close(unseen_words(stream, 6, known), torch.tensor([0, 1 / 3, 0, 0, 0, 2 / 3]))
    everywhere = torch.ones(6, dtype=torch.bool)  # none of three: half of one
    torch.testing.assert_close(unseen_words(stream, 6, everywhere), torch.tensor([0, 1 / 6, 0, 0, 0, 5 / 6]))
    nowhere = torch.zeros(6, dtype=torch.bool)  # all of three: half of one is left to the others
    torch.testing.assert_close(unseen_words(stream, 6, nowhere), torch.tensor([0, 5 / 6, 0, 0, 0, 1 / 6]))


@settings(max_examples=200)
@given(
    st.lists(st.integers(UNK, 7), min_size=4, max_size=40),
    st.sets(st.integers(UNK, 9)),
    st.integers(1, 4),
    st.lists(st.integers(PAD, 9), max_size=4),
)
def test_every_word_but_pad_is_possible_after_every_context(
    text: list[int], rows: set[int], order: int, context: list[int]
) -> None:
    """Whatever stands in the text and in the rows: words of one, of both and of neither, <unk> among them."""
    stream, elsewhere = torch.tensor(text), torch.zeros(10, dtype=torch.bool)
    elsewhere[list(rows)] = True
    base = unseen_words(stream, 10, elsewhere)
    model = KneserNey.fit(stream, 10, order, base)
    for words in (context, text[:order], []):
        distribution = model.distribution(words)
        assert (distribution[UNK:] > 0).all()
        assert distribution[PAD] == 0
        assert distribution.sum() == pytest.approx(1)
    assert np.isfinite(model.log_probabilities(torch.arange(UNK, 10))).all()


def test_unk_in_the_text_is_a_word_like_any_other_but_that_new_words_are_unk() -> None:
    stream = torch.tensor([2, UNK, 2, 3])  # predecessors: a 1 (<unk>), <unk> 1 (a), b 1 (a)
    known = torch.tensor([0, 0, 1, 1, 0, 0]).bool()  # of the three, <unk> alone stands nowhere else
    torch.testing.assert_close(unseen_words(stream, 6, known), torch.tensor([0, 1 / 3, 0, 0, 1 / 3, 1 / 3]))
    kept = 1 - DISCOUNT
    expected = torch.tensor([0, kept + DISCOUNT, kept, kept, DISCOUNT, DISCOUNT]) / 3
    torch.testing.assert_close(kneser_ney_unigram(stream, 6, known), expected)
