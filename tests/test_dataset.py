"""Rows and texts as tensors, batches and windows. Folds held out of training: test_validation.py."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import small_folder

import dataset
from common.files import UserError
from speechesdataset.folder import Segment, load_corpus
from tokenizer import PAD, UNK, Tokenization, Tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_folder(tmp_path)


def test_tensors() -> None:
    tokenizer = Tokenizer.build(["a b c d"])
    rows = [Segment("x", "a b", 1), Segment("y", "d é c b a", 2), Segment("x", "d c b a", 3), Segment("z", "b", 4)]
    data = dataset.encode_segments(rows, tokenizer, ["x", "y", "z"], 4)
    assert data.ids.tolist() == [[2, 3, 0, 0], [5, 1, 4, 3], [5, 4, 3, 2], [3, 0, 0, 0]]
    assert (data.lengths.tolist(), data.labels.tolist(), data.n_truncated) == ([2, 4, 4, 1], [0, 1, 0, 2], 1)
    assert {data.ids.dtype, data.lengths.dtype, data.labels.dtype} == {torch.int64}


def test_a_batch_keeps_the_order_asked_for_and_may_be_cut_at_its_longest_row() -> None:
    ids = torch.tensor([[2, 3, 0, 0], [5, 1, 4, 0], [3, 0, 0, 0]])
    data = dataset.Labelled(ids, torch.tensor([2, 3, 1]), torch.tensor([0, 1, 2]), 0)
    whole, cut = data.batch(torch.tensor([2, 0])), data.batch(torch.tensor([2, 0]), cut=True)
    assert [part.tolist() for part in whole] == [[[3, 0, 0, 0], [2, 3, 0, 0]], [1, 2], [2, 0]]
    assert [part.tolist() for part in cut] == [[[3, 0], [2, 3]], [1, 2], [2, 0]]


def test_a_stream_by_hand() -> None:
    tokenizer = Tokenizer.build(["a b"])
    stream = dataset.encode_stream(["a é", "b", "señor a, b"], tokenizer)
    assert stream.ids.tolist() == [2, 1, 3, 1, 2, 1, 3]
    assert stream.n_bytes == (1 + 1 + 2 + 1) + (1 + 1) + (6 + 1 + 2 + 1 + 1 + 1)  # in UTF-8, with each line's end
    assert stream.n_unknown_bytes == (2 + 1) + (6 + 1) + (1 + 1)  # é, señor and the comma, each with its end
    assert stream.line_lengths == (2, 1, 4)
    characters = Tokenizer.build(["ab c"], tokenization=Tokenization("character"))
    stream = dataset.encode_stream(["a人b", "é"], characters)
    assert (stream.n_unknown_bytes, stream.n_bytes) == (3 + 2, 9)  # characters have no ends


def test_folds_are_a_partition_with_the_same_mix() -> None:
    labels = ["b"] * 10 + ["a"] * 31
    parts = dataset.folds(labels, 5, seed=1)
    assert sorted(i for part in parts for i in part) == list(range(41))
    assert [len(part) for part in parts] == [9, 8, 8, 8, 8]
    assert all(sum(labels[i] == "b" for i in part) == 2 for part in parts)
    assert all(part == sorted(part) for part in parts)
    assert parts == dataset.folds(labels, 5, seed=1) != dataset.folds(labels, 5, seed=2)
    assert dataset.folds(labels, 1, seed=0) == [list(range(41))]


def test_every_epoch_is_another_partition() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = ([batch.tolist() for batch in dataset.epoch_batches(1003, 16, generator)] for _ in range(2))
    for batches in (first, second):
        assert sorted(i for batch in batches for i in batch) == list(range(1003))
        assert sorted(len(batch) for batch in batches) == [11, *[16] * 62]
    assert not set(map(frozenset, first)) & set(map(frozenset, second))  # not the same batches in another order


def test_windows_reach_both_ends_of_the_text_and_no_further() -> None:
    starts = dataset.window_starts(10, 4, 50, 8, torch.Generator().manual_seed(0))
    assert starts.shape == (50, 8)
    counts = torch.bincount(starts.flatten(), minlength=6)
    assert len(counts) == 10 - 4  # the last begins at 5: 5 6 7 8, and 9 to predict
    assert counts.min() > 400 / 6 / 2  # each about as often
    assert starts.tolist() == dataset.window_starts(10, 4, 50, 8, torch.Generator().manual_seed(0)).tolist()
    assert starts.tolist() != dataset.window_starts(10, 4, 50, 8, torch.Generator().manual_seed(1)).tolist()
    assert len({tuple(row) for row in starts.tolist()}) == 50  # no iteration is another's


@pytest.mark.parametrize(("n_tokens", "block_size"), [(23, 5), (25, 5), (26, 5), (7, 5), (6, 5), (30, 1)])
def test_shuffled_windows_are_all_taken_once_before_the_text_is_cut_anew(n_tokens: int, block_size: int) -> None:
    starts = dataset.window_starts(n_tokens, block_size, 60, 7, torch.Generator().manual_seed(0), shuffled=True)
    assert starts.shape == (60, 7)
    left, firsts, orders = starts.flatten().tolist(), set(), set()
    while left:
        first = left[0] % block_size
        windows = list(range(first, n_tokens - block_size, block_size))  # each with a token to predict after it
        taken, left = left[: len(windows)], left[len(windows) :]
        assert len(set(taken)) == len(taken)
        assert set(taken) <= set(windows)
        firsts.add(first)
        orders.add(tuple(taken))
    assert firsts == set(range(min(block_size, n_tokens - block_size)))  # every way to cut it comes, sooner or later
    assert (len(orders) > len(firsts)) == (n_tokens > 2 * block_size)  # the same cut in another order


def test_a_text_too_short_for_a_window_is_a_user_error() -> None:
    for n_tokens in (3, 4):
        with pytest.raises(UserError, match=f"train_LM.txt: {n_tokens} tokens, too few for windows of 4"):
            dataset.window_starts(n_tokens, 4, 1, 1, torch.Generator())
    for shuffled in (False, True):
        assert dataset.window_starts(5, 4, 2, 1, torch.Generator(), shuffled).tolist() == [[0], [0]]


def test_loaded_data_by_hand(folder: Path) -> None:
    data = dataset.load_data(folder, block_size=3)
    assert data.tokenizer.words[2:] == [".", "We", "hope", "rest", "work"]
    assert data.train.ids.tolist() == [[3, 6, 2], [3, 5, 2], [3, 4, 2]]
    assert data.train.labels.tolist() == [0, 1, 0]
    assert data.test.ids.tolist() == [[3, 5, 2], [3, 1, 2]]
    assert data.test.labels.tolist() == [1, 0]
    assert data.seen.tolist() == [True, False]
    assert (data.train.n_truncated, dataset.load_data(folder, block_size=2).train.n_truncated) == (0, 3)
    assert data.train_stream.ids.tolist() == [3, 6, 2, 3, 5, 2]
    assert (data.train_stream.n_bytes, data.train_stream.n_unknown_bytes) == (18, 0)
    streams = {name: (stream.ids.tolist(), stream.n_bytes) for name, stream in data.test_streams.items()}
    assert streams == {"north": ([3, 1, 2], 10), "south": ([3, 1, 2], 10)}
    assert data.corpus == load_corpus(folder)


def test_the_words_of_the_labelled_rows(folder: Path) -> None:
    (folder / "train_LM.txt").write_text("They hope.\n")
    data = dataset.load_data(folder, block_size=2)  # rows are cut for the model, but their words are known
    known = [word for word, stands in zip(data.tokenizer.words, data.words_of_rows().tolist()) if stands]
    assert known == [".", "We", "hope", "rest", "work"]
    assert dataset.load_data(folder, block_size=2, tokenization=Tokenization("bpe")).words_of_rows().all()


def test_a_sample_is_every_nth_row_of_each_class_and_the_beginning_of_each_text(folder: Path) -> None:
    (folder / "train_CLS.tsv").write_text("".join(f"{i % 3 % 2}\tRow {i}.\n" for i in range(12)))  # 0 1 0, 0 1 0, ...
    (folder / "test_CLS.tsv").write_text("".join(f"{i % 2}\tTest {i}.\n" for i in range(5)))
    (folder / "train_LM.txt").write_text("".join(f"Line {i}.\n" for i in range(7)))
    corpus = load_corpus(folder)
    sample = dataset.sample(corpus, 3)
    assert [(row.label, row.line - 1) for row in sample.train] == [("0", 0), ("0", 5), ("0", 9), ("1", 1), ("1", 10)]
    assert [(row.label, row.line - 1) for row in sample.test] == [("0", 0), ("1", 1)]
    assert sample.train_text == ["Line 0.", "Line 1.", "Line 2."]  # a third of seven, rounded up
    assert sample.test_texts == {"north": ["We dream."], "south": ["We sleep."]}
    assert sample.fingerprint != corpus.fingerprint
    assert dataset.load_data(folder, block_size=8, share=3).corpus == sample


@pytest.mark.parametrize("kind", ["bpe", "character"])
def test_a_text_of_subwords_or_characters_is_whole(kind: Any, data_folder: Path) -> None:
    """Every byte of a text is predicted, the line breaks as spaces; nothing of the tests is in the vocabulary."""
    data = dataset.load_data(data_folder, block_size=12, tokenization=Tokenization(kind))
    lines = data.corpus.train_text
    assert data.tokenizer.decode(data.train_stream.ids.tolist()) == " ".join(lines)
    assert data.train_stream.n_bytes == len(" ".join(lines).encode()) + 1
    assert data.train_stream.n_unknown_bytes == 0
    lengths = [len(data.tokenizer.encode(row.text)) for row in data.corpus.train]
    assert data.train.lengths.tolist() == [min(12, length) for length in lengths]
    assert data.train.n_truncated == sum(length > 12 for length in lengths)
    assert " unheard" not in data.tokenizer.words  # of all test texts
    assert PAD not in data.test_streams["obama"].ids
    assert UNK not in data.test_streams["obama"].ids


def test_subwords_of_a_fold_are_learned_without_it(data_folder: Path) -> None:
    data = dataset.load_data(data_folder, block_size=12, tokenization=Tokenization("bpe", 300))
    split = dataset.without_fold(data, "decoder", 1)
    rows = [row.text for row in split.corpus.train]
    learned = Tokenizer.build(rows, split.corpus.train_text, tokenization=Tokenization("bpe", 300))
    assert split.tokenizer.to_json() == learned.to_json() != data.tokenizer.to_json()
    assert dataset.without_fold(data, "classifier", 1).tokenizer is data.tokenizer


def test_neighbours_of_one_label_are_a_stretch() -> None:
    assert dataset.stretches([]) == []
    assert dataset.stretches([0, 0, 1, 1, 1, 0]) == [0, 0, 1, 1, 1, 2]
    assert dataset.stretches([0] * 5 + [1], size=2) == [0, 0, 1, 1, 2, 3]
    assert dataset.stretches(["a"] * 25) == [0] * 10 + [1] * 10 + [2] * 5
    assert dataset.stretches([0, 1] * 3) == list(range(6))  # in random order there are no neighbours
