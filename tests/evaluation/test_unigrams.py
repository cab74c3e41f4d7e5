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


def test_a_unigram_of_a_longer_text_by_hand() -> None:
    """c a b a b a b d a e over <pad> <unk> a b c d e f g h: c stands at the start alone, e at the end alone.

    Pairs: ca ab ba bd da ae. Predecessors: a 3 (c, b, d), b 1, d 1, e 1, and c, at the start, counts as one. Of these
    four, b and e stand nowhere else: half of what is new would have been <unk>, and f, g and h share the other half.
    """
    stream = torch.tensor([4, 2, 3, 2, 3, 2, 3, 5, 2, 6])
    known = torch.tensor([0, 0, 0, 0, 1, 1, 0, 1, 1, 1]).bool()
    new = torch.tensor([0, 1 / 2, 0, 0, 0, 0, 0, 1 / 6, 1 / 6, 1 / 6])
    torch.testing.assert_close(unseen_words(stream, 10, known), new)
    kept = torch.tensor([0, 0, 3, 1, 1, 1, 1, 0, 0, 0]) - DISCOUNT * torch.tensor([0, 0, 1, 1, 1, 1, 1, 0, 0, 0])
    torch.testing.assert_close(kneser_ney_unigram(stream, 10, known), (kept + 5 * DISCOUNT * new) / 7)


def test_unknown_words_are_a_third_where_one_word_of_three_stands_nowhere_else() -> None:
    stream = torch.tensor([2, 3, 4])  # each with one predecessor, the start counted
    known = torch.tensor([0, 0, 1, 0, 1, 0]).bool()
    torch.testing.assert_close(unseen_words(stream, 6, known), torch.tensor([0, 1 / 3, 0, 0, 0, 2 / 3]))
    everywhere = torch.ones(6, dtype=torch.bool)  # none of three: half of one
    torch.testing.assert_close(unseen_words(stream, 6, everywhere), torch.tensor([0, 1 / 6, 0, 0, 0, 5 / 6]))
    nowhere = torch.zeros(6, dtype=torch.bool)  # all of three: half of one is left to the others
    torch.testing.assert_close(unseen_words(stream, 6, nowhere), torch.tensor([0, 5 / 6, 0, 0, 0, 1 / 6]))


def test_a_text_without_words_of_one_predecessor_says_nothing_of_unknown_ones() -> None:
    stream = torch.tensor([2, 3, 3, 2, 2])  # a b b a a: a after b and a, b after a and b
    new = unseen_words(stream, 5, torch.zeros(5, dtype=torch.bool))
    assert new.tolist() == [0, 0.5, 0, 0, 0.5]


def test_one_word_of_one_predecessor_leaves_half() -> None:
    stream = torch.tensor([2, 2, 2])
    for known in (False, True):
        assert unseen_words(stream, 5, torch.full((5,), known)).tolist() == [0, 0.5, 0, 0.25, 0.25]


@pytest.mark.parametrize("known", [[2, 3, 4, 5], [5], [], [2], [3, 4, 5]])
def test_no_word_is_impossible_whichever_words_the_rows_have(known: list[int]) -> None:
    elsewhere = torch.zeros(6, dtype=torch.bool)
    elsewhere[known] = True
    stream = torch.tensor([2, 3, 2, 4, 3, 4])
    model = KneserNey.fit(stream, 6, order=3, base=unseen_words(stream, 6, elsewhere))
    assert (model.distribution([2, 3])[UNK:] > 0).all()
    assert (kneser_ney_unigram(stream, 6, elsewhere)[UNK:] > 0).all()


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


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(2, 8), min_size=3, max_size=50),
    st.lists(st.booleans(), min_size=10, max_size=10),
)
def test_both_are_distributions(ids: list[int], known: list[bool]) -> None:
    stream, elsewhere = torch.tensor(ids), torch.tensor(known)
    new, unigram = unseen_words(stream, 10, elsewhere), kneser_ney_unigram(stream, 10, elsewhere)
    for distribution in (new, unigram):
        assert distribution.sum().item() == pytest.approx(1)
        assert (distribution >= 0).all()
        assert distribution[PAD] == 0
    assert new[stream].sum() == 0


def test_a_vocabulary_that_the_stream_exhausts_leaves_new_words_to_unk() -> None:
    everything = torch.arange(2, 7).repeat(2)
    base = unseen_words(everything, 7, torch.ones(7, dtype=torch.bool))
    assert base.tolist() == [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert base[UNK] == 1
