"""Reading data folders strictly, and turning them into tensors and batches."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dataset
from dataset import Segment
from files import UserError
from tokenizer import Tokenizer

TRAIN, TEST = "0\tWe work.\n1\tWe rest.\n0\tWe hope.\n", "1\tWe rest.\n0\tWe dream.\n"
TEXTS = {"train_LM.txt": "We work.\nWe rest.\n", "test_LM_north.txt": "We dream.\n", "test_LM_south.txt": "We sleep.\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"train_CLS.tsv": TRAIN, "test_CLS.tsv": TEST, **TEXTS}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_corpus(folder: Path) -> None:
    corpus = dataset.load_corpus(folder)
    assert corpus.train[2] == Segment("0", "We hope.", 3)
    assert corpus.labels == corpus.class_names == ["0", "1"]
    assert corpus.test_texts == {"north": ["We dream."], "south": ["We sleep."]}
    assert corpus.vocabulary().words[2:] == [".", "We", "hope", "rest", "work"]
    assert dataset.load_corpus(folder).fingerprint == corpus.fingerprint
    (folder / "test_LM_north.txt").write_text("We dreamt.\n")
    assert dataset.load_corpus(folder).fingerprint != corpus.fingerprint


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"0\tWe work.\n1 We rest.\n", ":2: no tab"),
        (b"0\tWe work.\n\tWe rest.\n", ":2: empty label"),
        (b"0\tWe work.\n1\t  \n", ":2: empty text"),
        (b"0\tWe work.\n\n\t\n", ":3: empty label"),
        (b"0\tWe work.\n1\tWe\trest.\n", ":2: 2 tabs"),
        (b"0\tWe work.\n1\tWe \xffrest.\n", ":2: not UTF-8"),
        (b"0\tWe work.\n1\tWe\0rest.\n", ":2: NUL"),
        ("0\tWe work.\n".encode("utf-16"), ":1: not UTF-8"),
        (b"0\tWe work.\r1\tWe rest.\r", ":1: carriage return"),
        (b"", ": empty file"),
        (b"\xef\xbb\xbf \r\n\n", ": empty file"),
        (b"0\tWe work.\n0\tWe rest.\n", ": only one class, '0'"),
    ],
)
def test_bad_rows_are_user_errors(folder: Path, content: bytes, complaint: str) -> None:
    (folder / "train_CLS.tsv").write_bytes(content)
    with pytest.raises(UserError) as caught:
        dataset.load_corpus(folder)
    assert f"train_CLS.tsv{complaint}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_label_that_train_lacks(folder: Path) -> None:
    (folder / "test_CLS.tsv").write_text("1\tWe rest.\n\n7\tWe dream.\n")
    with pytest.raises(UserError, match=r"test_CLS\.tsv:3: label '7' is not in train_CLS\.tsv"):
        dataset.load_corpus(folder)


@pytest.mark.parametrize("name", ["train_LM.txt", "test_LM_north.txt"])
def test_bad_texts_are_user_errors(folder: Path, name: str) -> None:
    for content in (b"", b"\n\n", b"We\0work.\n", b"caf\xe9\n"):
        (folder / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            dataset.load_corpus(folder)
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(UserError, match=f"{name}: cannot be read"):
        dataset.load_corpus(folder)


def test_windows_line_ends_byte_order_mark_blank_lines_and_no_final_newline_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_bytes("\ufeff0\tWe work.\r\n\r\n  \r\n 1 \t We\u2028rest\x85now. \r\n0\tWe hope.".encode())
    rows = dataset.read_segments(path)
    assert rows == [Segment("0", "We work.", 1), Segment("1", "We\u2028rest\x85now.", 4), Segment("0", "We hope.", 5)]


@given(st.one_of(st.binary(max_size=80), st.text("01\t\r\n \ufeff\0\u2028aé", max_size=40).map(str.encode)))
def test_any_bytes_give_rows_or_a_user_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.tsv"
    path.write_bytes(content)
    for read in (dataset.read_segments, dataset.read_lines):
        reader: Callable[[Path], list] = read
        with contextlib.suppress(UserError):
            assert reader(path)


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=12)), max_size=6))
def test_any_table_is_a_corpus_or_a_user_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    directory = tmp_path_factory.mktemp("random")
    table = "".join(f"{label}\t{text}\n" for label, text in rows).encode()
    for name in ("train_CLS.tsv", "test_CLS.tsv", "train_LM.txt", "test_LM_a.txt"):
        (directory / name).write_bytes(table)
    with contextlib.suppress(UserError):
        corpus = dataset.load_corpus(directory)
        data = dataset.encode_segments(corpus.test, corpus.vocabulary(), corpus.labels, 4)
        assert data.lengths.min() >= 1


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "train_LM.txt").unlink()
    for read in (dataset.load_corpus, dataset.ensure_data):
        with pytest.raises(UserError, match=r"train_LM\.txt missing"):
            read(folder)
    (folder / "train_LM.txt").write_text("We work.\n")
    dataset.ensure_data(folder)
    (folder / "test_LM_north.txt").rename(folder / "test_LM_obama.txt")
    (folder / "test_LM_south.txt").unlink()
    assert dataset.missing_files(folder) == ["test_LM_wbush.txt", "test_LM_hbush.txt"]
    (folder / "manifest.json").write_text('{"files": {"test_LM_obama.txt": "", "labels.tsv": ""}}')
    assert dataset.missing_files(folder) == ["labels.tsv"]
    (folder / "manifest.json").write_text("[]")
    with pytest.raises(UserError, match="damaged"):
        dataset.ensure_data(folder)


def test_no_data_is_built_among_other_texts_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"next to notes\.txt"):
        dataset.ensure_data(tmp_path)
    with pytest.raises(UserError, match="is a file"):
        dataset.ensure_data(tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_class_names(folder: Path) -> None:
    (folder / "test_CLS.tsv").write_text("0\tNought.\n")
    rows = "10\tTen.\n2\tTwo.\n0\tNull.\n"
    (folder / "train_CLS.tsv").write_text(rows)
    assert dataset.load_corpus(folder).labels == ["0", "2", "10"]  # by number, not by letter
    (folder / "labels.tsv").write_text("2\tAbraham Lincoln\n")
    assert dataset.load_corpus(folder).class_names == ["0", "Abraham Lincoln", "10"]
    (folder / "labels.tsv").unlink()
    (folder / "train_CLS.tsv").write_text(rows.replace("10", "1"))
    for name in ("obama", "hbush", "wbush"):
        (folder / f"test_LM_{name}.txt").write_text("We sleep.\n")
        (folder / "test_LM_north.txt").unlink(missing_ok=True)
        (folder / "test_LM_south.txt").unlink(missing_ok=True)
    assert dataset.load_corpus(folder).class_names == ["Obama", "G. W. Bush", "G. H. W. Bush"]


def test_tensors() -> None:
    tokenizer = Tokenizer.build(["a b c d"])
    rows = [Segment("x", "a b", 1), Segment("y", "d é c b a", 2), Segment("x", "d c b a", 3)]
    data = dataset.encode_segments(rows, tokenizer, ["x", "y"], 4)
    assert data.ids.tolist() == [[2, 3, 0, 0], [5, 1, 4, 3], [5, 4, 3, 2]]
    assert (data.lengths.tolist(), data.labels.tolist(), data.n_truncated) == ([2, 4, 4], [0, 1, 0], 1)
    ids, lengths, labels = data.batch(torch.tensor([0]), cut=True)
    assert (ids.tolist(), lengths.tolist(), labels.tolist()) == ([[2, 3]], [2], [0])
    stream = dataset.encode_stream(["a é", "b"], tokenizer)
    assert (stream.ids.tolist(), stream.n_bytes, stream.n_unknown_bytes) == ([2, 1, 3], 5 + 2, 3)


def test_seen_and_distinct_rows_ignore_white_space() -> None:
    train = [Segment("0", "We  work.", 1), Segment("0", "We rest.", 2), Segment("1", "We work.", 3)]
    test = [Segment("0", "We work.", 1), Segment("0", "We dream.", 2)]
    assert dataset.seen_rows(train, test).tolist() == [True, False]
    assert dataset.distinct(train) == train[:2]


def test_folds_are_a_partition_with_the_same_mix() -> None:
    labels = ["a"] * 30 + ["b"] * 10
    parts = dataset.folds(labels, 5, seed=1)
    assert sorted(i for part in parts for i in part) == list(range(40))
    assert all(sum(labels[i] == "b" for i in part) == 2 for part in parts)
    assert parts == dataset.folds(labels, 5, seed=1) != dataset.folds(labels, 5, seed=2)


@pytest.mark.parametrize("by_length", [False, True])
def test_batches_are_a_shuffled_partition(by_length: bool) -> None:
    lengths = torch.randint(1, 33, (1003,), generator=torch.Generator().manual_seed(0))

    def batches(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return [batch.tolist() for batch in dataset.epoch_batches(lengths, 16, generator, by_length)]

    assert sorted(i for batch in batches(1) for i in batch) == list(range(1003))
    assert sorted(len(batch) for batch in batches(1)) == [11, *[16] * 62]
    assert batches(1) == batches(1) != batches(2)
    padding = sum(int(lengths[batch].max() * len(batch) - lengths[batch].sum()) for batch in batches(1))
    assert (padding / int(lengths.sum()) < 0.1) == by_length


def test_windows_reach_both_ends_of_the_text_and_no_further() -> None:
    starts = dataset.window_starts(10, 4, 50, 8, torch.Generator().manual_seed(0))
    assert starts.shape == (50, 8)
    assert (starts.min(), starts.max()) == (0, 10 - 4 - 1)
    with pytest.raises(UserError, match="too few"):
        dataset.window_starts(4, 4, 1, 1, torch.Generator())
