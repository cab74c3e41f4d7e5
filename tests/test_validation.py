"""Validation, by fold: what a choice is made by is held out of the training files, and no test file is ever read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import classifier_of, decoder_of, perform

from common.files import UserError
from dataset import Data, folds_of_lines, load_data, without_fold
from modules.config import TransformerConfig
from speechesdataset.folder import Segment, same_text
from tokenizer import UNK
from training.recipe import Recipe, Run, TrainingConfig
from training.runs import Folder

KINDS: list[Any] = ["classifier", "decoder"]
N_LINES = 60  # six stretches of ten: one fold has two of them
REPEATED = "we thank you"  # stands in every stretch
BORROWED = range(0, N_LINES, 7)  # lines with a word that a labelled row of its own knows


def planted_lines() -> list[str]:
    """Line i has the word line<i>, which no other line has; of every ten the last one is the same."""
    lines = [f"we line{i}" + (f" row{i}" if i in BORROWED else "") for i in range(N_LINES)]
    return [REPEATED if i % 10 == 9 else line for i, line in enumerate(lines)]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """A training text of planted lines. Every third of them is a labelled row, too (with another white space), and row
    row<i> of the borrowed words stands by itself."""
    folder, lines = tmp_path_factory.mktemp("planted"), planted_lines()
    rows = [f"{i % 2}\t{line.replace(' ', '  ')}" for i, line in enumerate(lines) if i % 3 == 0]
    rows += [f"{i % 2}\tsay row{i}" for i in BORROWED]
    (folder / "train_CLS.tsv").write_text("\n".join(rows))
    (folder / "train_LM.txt").write_text("\n".join(lines))
    (folder / "test_CLS.tsv").write_text("0\tsecret row\n1\tsecret other row\n")
    (folder / "test_LM_a.txt").write_text("secret text\n")
    return load_data(folder, block_size=8)


def test_lines_are_dealt_in_whole_stretches_each_to_one_fold() -> None:
    folds = folds_of_lines(95, 5, seed=0)
    assert sorted(line for fold in folds for line in fold) == list(range(95))
    stretches = [sorted({line // 10 for line in fold}) for fold in folds]
    assert sorted(stretch for of_fold in stretches for stretch in of_fold) == list(range(10))  # none is torn apart
    assert stretches != [[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]]  # nor are they dealt in their order
    assert folds == folds_of_lines(95, 5, seed=0) != folds_of_lines(95, 5, seed=1)
    assert sorted(folds_of_lines(5, 5, seed=0)) == [[0], [1], [2], [3], [4]]  # a short text has shorter stretches


def test_every_line_that_stands_nowhere_else_is_held_out_once(planted: Data) -> None:
    splits = [without_fold(planted, "decoder", fold) for fold in range(5)]
    held_out = [line for split in splits for line in split.corpus.test_texts["validation"]]
    assert sorted(held_out) == sorted(line for line in planted_lines() if line != REPEATED)


@pytest.mark.parametrize("fold", range(5))
def test_the_words_of_the_held_out_lines_are_unknown(planted: Data, fold: int) -> None:
    split = without_fold(planted, "decoder", fold)
    held_out, rest = split.corpus.test_texts["validation"], split.corpus.train_text
    assert not set(held_out) & set(rest)
    assert rest.count(REPEATED) == len(rest) // 10  # in the held-out stretches it is left out
    new = {word for line in held_out for word in line.split() if word.startswith("line")}
    words = [word for line in held_out for word in line.split()]
    stream = split.test_streams["validation"]
    assert [word in new for word in words] == (stream.ids == UNK).tolist()
    known_from_rows = {i for word, i in zip(words, stream.ids.tolist()) if word.startswith("row")}
    assert not known_from_rows & set(split.train_stream.ids.tolist())  # these words the rows know, and they alone
    assert split.train_stream.ids.tolist() == split.tokenizer.encode(" ".join(rest))
    rows = [same_text(row.text) for row in planted.corpus.train]
    remaining = [text for text in rows if text not in held_out]
    assert [same_text(row.text) for row in split.corpus.train] == remaining != rows
    known = {word for word, known in zip(split.tokenizer.words, split.words_of_rows().tolist()) if known}
    assert known == {word for text in remaining for word in text.split()}


def test_nothing_of_the_test_set_is_left_in_a_fold(planted: Data) -> None:
    text, rows = without_fold(planted, "decoder", 0), without_fold(planted, "classifier", 0)
    assert set(text.corpus.test_texts) == set(text.test_streams) == {"validation"}
    assert not text.corpus.test
    assert rows.corpus.test_texts == rows.test_streams == {}
    for split in (text, rows):
        assert "secret" not in split.tokenizer.words
        assert not any("secret" in row.text for row in split.corpus.test)


def test_each_fold_has_another_fingerprint(planted: Data) -> None:
    splits = [without_fold(planted, kind, fold) for kind in KINDS for fold in range(5)]
    assert len({split.corpus.fingerprint for split in splits} | {planted.corpus.fingerprint}) == 11
    assert without_fold(planted, "decoder", 6).corpus == without_fold(planted, "decoder", 1).corpus  # folds go round


def test_a_text_without_enough_different_lines_is_refused(planted: Data) -> None:
    few = replace(planted, corpus=replace(planted.corpus, train_text=[REPEATED] * 30))
    with pytest.raises(UserError, match=r"train_LM\.txt: too few different lines for 5 folds"):
        without_fold(few, "decoder", 0)


SMALL = TransformerConfig(n_embd=8, n_layer=1, block_size=8, ff_dim=8)
RECIPES: dict[str, Recipe[Any]] = {
    "classifier": Recipe("classifier", classifier_of(SMALL), TrainingConfig(batch_size=16), duration=2),
    "decoder": Recipe("decoder", decoder_of(SMALL), TrainingConfig(batch_size=4, unigram_bias=True), duration=5),
}


@pytest.mark.parametrize("kind", RECIPES)
def test_a_run_on_a_fold_is_the_same_whatever_the_test_files_hold(
    kind: str, data: Data, data_folder: Path, tmp_path: Path
) -> None:
    other, run = tmp_path / "data", Run(kind, RECIPES[kind], seed=3, fold=1)
    other.mkdir()
    for name in ("train_CLS.tsv", "train_LM.txt"):
        (other / name).write_bytes((data_folder / name).read_bytes())
    (other / "test_CLS.tsv").write_text("2\tnothing of the kind\n")
    for name in ("obama", "wbush", "hbush"):
        (other / f"test_LM_{name}.txt").write_text("another text\n")
    record = measured(perform(run, data, Folder(tmp_path / "a", torch.device("cpu"))))
    same = measured(perform(run, load_data(other, block_size=8), Folder(tmp_path / "b", torch.device("cpu"))))
    whole = measured(perform(replace(run, fold=None), data, Folder(tmp_path / "c", torch.device("cpu"))))
    assert record == same != whole
    if kind == "decoder":
        assert set(record["scores"]) == {"validation"}
        assert set(record["iterations"][-1]["perplexity"]) == {"train", "validation"}
    else:
        assert record["test"]["all"]["n"] == 12  # a fifth of 60 distinct rows


def measured(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what names its data, and without its time."""
    return {key: value for key, value in record.items() if key not in ("identity", "train_seconds")}


def test_a_row_that_stands_on_both_sides_gives_nothing_away(planted: Data) -> None:
    """The repeated line is in no validation text, so a row that repeats it stays."""
    corpus = replace(planted.corpus, train=[*planted.corpus.train, Segment("0", REPEATED, 99)])
    for fold in range(5):
        split = without_fold(replace(planted, corpus=corpus), "decoder", fold)
        assert Segment("0", REPEATED, 99) in split.corpus.train
        assert UNK not in split.tokenizer.encode(REPEATED)


def test_the_folds_of_rows_hold_out_each_distinct_row_once_and_share_no_text(data: Data) -> None:
    rows = data.corpus.train
    repeated = [*rows, *(Segment(row.label, f" {row.text}  ", row.line) for row in rows[:20])]
    ids, lengths, labels = data.train.batch(torch.tensor([*range(len(rows)), *range(20)]))
    train = replace(data.train, ids=ids, lengths=lengths, labels=labels)
    several = replace(data, corpus=replace(data.corpus, train=repeated), train=train)
    splits = [without_fold(several, "classifier", fold) for fold in range(5)]
    held_out = [row.line for split in splits for row in split.corpus.test]
    assert sorted(held_out) == sorted({row.line for row in rows})
    for split in splits:
        texts = [{row.text.strip() for row in part} for part in (split.corpus.train, split.corpus.test)]
        assert not texts[0] & texts[1]
        for side, corpus in ((split.train, split.corpus.train), (split.test, split.corpus.test)):
            assert [data.corpus.labels[i] for i in side.labels.tolist()] == [row.label for row in corpus]
            assert [data.tokenizer.encode(row.text)[:8] for row in corpus] == [
                row[:length].tolist() for row, length in zip(side.ids, side.lengths.tolist())
            ]
