"""Reading data folders strictly, and turning them into tensors and batches."""

import contextlib
import dataclasses
import hashlib
import shutil
import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dataset
from common.files import UserError
from speechesdataset.build import ensure_data
from speechesdataset.folder import Segment
from tokenizer import PAD, UNK, Tokenization, Tokenizer

TRAIN, TEST = "0\tWe work.\n1\tWe rest.\n0\tWe hope.\n", "1\tWe rest.\n0\tWe dream.\n"
TEXTS = {"train_LM.txt": "We work.\nWe rest.\n", "test_LM_north.txt": "We dream.\n", "test_LM_south.txt": "We sleep.\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"train_CLS.tsv": TRAIN, "test_CLS.tsv": TEST, **TEXTS}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_corpus(folder: Path) -> None:
    corpus = dataset.load_corpus(folder)
    assert corpus.directory == folder
    assert corpus.train == [Segment("0", "We work.", 1), Segment("1", "We rest.", 2), Segment("0", "We hope.", 3)]
    assert corpus.test == [Segment("1", "We rest.", 1), Segment("0", "We dream.", 2)]
    assert corpus.labels == corpus.class_names == ["0", "1"]
    assert corpus.train_text == ["We work.", "We rest."]
    assert corpus.test_texts == {"north": ["We dream."], "south": ["We sleep."]}
    assert list(corpus.test_texts) == ["north", "south"]
    assert corpus.vocabulary().words[2:] == [".", "We", "hope", "rest", "work"]


def test_the_vocabulary_has_the_words_of_both_training_files_and_of_no_other(folder: Path) -> None:
    (folder / "train_LM.txt").write_text("They read.\n")
    assert dataset.load_corpus(folder).vocabulary().words[2:] == [".", "They", "We", "hope", "read", "rest", "work"]


@pytest.mark.parametrize("labels_file", [False, True])
def test_the_fingerprint_is_that_of_every_byte_of_every_file_and_of_the_names(folder: Path, labels_file: bool) -> None:
    names = ["train_CLS.tsv", "test_CLS.tsv", "train_LM.txt", "test_LM_north.txt", "test_LM_south.txt"]
    if labels_file:
        (folder / "labels.tsv").write_text("0\tNought\n")
        names.append("labels.tsv")

    def fingerprint() -> str:
        return dataset.load_corpus(folder).fingerprint

    digests = "\n".join(name + hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names)
    assert fingerprint() == hashlib.sha256(digests.encode()).hexdigest()
    before = {name: (folder / name).read_bytes() for name in names}
    found = {fingerprint()}
    for name, content in before.items():
        for changed in (content + b"\n", content.replace(b"e", b"E"), content.replace(b"\n", b"\r\n"), b" " + content):
            (folder / name).write_bytes(changed)
            found.add(fingerprint())
        (folder / name).write_bytes(content)
    n_changes = sum(4 if b"e" in content else 3 for content in before.values())
    assert len(found) == 1 + n_changes
    (folder / "test_LM_north.txt").write_bytes(before["test_LM_south.txt"])
    (folder / "test_LM_south.txt").write_bytes(before["test_LM_north.txt"])
    found.add(fingerprint())
    (folder / "test_LM_south.txt").rename(folder / "test_LM_east.txt")
    found.add(fingerprint())
    assert len(found) == 3 + n_changes
    (folder / "notes.md").write_text("mine")  # no part of the data
    assert fingerprint() in found


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"0\tWe work.\n1 We rest.\n", ":2: no tab"),
        (b"0\tWe work.\n\tWe rest.\n", ":2: empty label"),
        (b"0\tWe work.\n1\t  \n", ":2: empty text"),
        (b"0\tWe work.\n\n\t\n", ":3: empty label"),
        (b"0\tWe work.\n1\tWe\trest.\n", ":2: 2 tabs"),
        (b"0\tWe work.\n1\tWe\trest\tnow.\n", ":2: 3 tabs"),
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


def complaint(action: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    return str(caught.value)


def test_what_is_wrong_is_said_with_file_and_line_and_what_to_do(folder: Path) -> None:
    path = folder / "train_CLS.tsv"
    for content, message in {
        b"0\ta\n1 b\n": ":2: no tab; write label, tab, text on every line",
        b"0\ta\n\n1\tb\tc\n": ":3: 2 tabs; write label, tab, text, with no tab in the text",
        b"0\ta\n1\t\n": ":2: empty text; write label, tab, text",
        b"\ta\n1\tb\n": ":1: empty label; write label, tab, text",
        b"0\ta\n1\tb\rc\n": ":2: carriage return inside a line; save with Unix or Windows line endings",
        b"0\ta\0\n": ":1: NUL byte, so this is no UTF-8 text; save the file as UTF-8",
        b"\n": ": empty file; it needs at least one line of text",
        b"x\ta\n": ": only one class, 'x'; there must be two or more",
    }.items():
        path.write_bytes(content)
        assert complaint(lambda: dataset.load_corpus(folder)) == f"{path}{message}"


def test_a_label_that_train_lacks(folder: Path) -> None:
    (folder / "test_CLS.tsv").write_text("1\tWe rest.\n\n7\tWe dream.\n")
    expected = f"{folder / 'test_CLS.tsv'}:3: label '7' is not in train_CLS.tsv, which has '0', '1'"
    assert complaint(lambda: dataset.load_corpus(folder)) == expected
    (folder / "train_CLS.tsv").write_text("".join(f"{i}\tWe count.\n" for i in range(50, 62)))
    expected = ", ".join(f"'{i}'" for i in range(50, 60))  # ten are enough to see
    assert complaint(lambda: dataset.load_corpus(folder)).endswith(
        f":1: label '1' is not in train_CLS.tsv, which has {expected}"
    )


@pytest.mark.parametrize("train_form", ["NFC", "NFD"])
@pytest.mark.parametrize("test_form", ["NFC", "NFD"])
def test_a_label_is_one_however_its_accent_is_stored(folder: Path, train_form: Any, test_form: Any) -> None:
    train = f"Zoé\tWe work.\nBen\tWe rest.\n{unicodedata.normalize(train_form, 'Zoé')}\tWe hope, Zoé.\n"
    (folder / "train_CLS.tsv").write_text(train)
    (folder / "test_CLS.tsv").write_text(unicodedata.normalize(test_form, "Zoé\tWe hope, Zoé.\n"))
    (folder / "labels.tsv").write_text(unicodedata.normalize(test_form, "Zoé\tMiss Zoé\n"))
    corpus = dataset.load_corpus(folder)
    assert corpus.labels == ["Ben", "Zoé"]
    assert corpus.class_names == ["Ben", "Miss Zoé"]
    assert dataset.seen_rows(corpus.train, corpus.test).tolist() == [True]


def test_a_byte_order_mark_inside_a_file_is_dropped(folder: Path) -> None:
    mark = "\ufeff"
    (folder / "train_CLS.tsv").write_text(f"{mark}{mark}0\tWe work.\n{mark}1\t{mark}We rest.\n0\tWe {mark}hope.\n")
    (folder / "train_LM.txt").write_text(f"We work.\n{mark}We rest.\n{mark}\n")
    corpus = dataset.load_corpus(folder)
    assert corpus.labels == ["0", "1"]
    assert [row.text for row in corpus.train] == ["We work.", "We rest.", "We hope."]
    assert corpus.train_text == ["We work.", "We rest."]


@pytest.mark.parametrize(
    "heads", ["label\ttext", "Label\tSentence", "Speaker\twhat they said", "0\tText", "\ufefflabel\tx"]
)
@pytest.mark.parametrize("name", ["train_CLS.tsv", "test_CLS.tsv"])
def test_a_row_of_headings_is_no_row(folder: Path, name: str, heads: str) -> None:
    (folder / name).write_text(f"\n{heads}\n1\tWe rest.\n2\tWe work.\n1\tWe rest.\n")
    assert complaint(lambda: dataset.load_corpus(folder)) == (
        f"{folder / name}:2: {heads.lstrip(chr(0xFEFF)).split(chr(9))[0]!r} and {heads.split(chr(9))[1]!r} look like "
        "the heads of two columns, not like a row; delete this line"
    )


def test_a_class_may_be_called_as_a_column_is(folder: Path) -> None:
    (folder / "train_CLS.tsv").write_text("name\tWe work.\nname\tText\ntext\tname\n")
    (folder / "test_CLS.tsv").write_text("text\tWe rest.\ntext\tWe work.\n")
    assert dataset.load_corpus(folder).labels == ["name", "text"]


def test_columns_that_changed_places(folder: Path) -> None:
    (folder / "train_CLS.tsv").write_text("We work here.\t0\nWe rest here.\t1\nWe hope so.\t0\n")
    assert complaint(lambda: dataset.load_corpus(folder)) == (
        f"{folder / 'train_CLS.tsv'}:1: the label is 'We work here.' and the text '0', as if they had changed places; "
        "write label, tab, text"
    )


@pytest.mark.parametrize(
    ("labels", "warnings"),
    [
        (["a", "b"] * 3, []),
        (["a"] * 3 + ["b", "b"], [": too few to learn from, one or two rows of 'b' (line 4); add rows, or delete"]),
        ([*"abcdef"], [": too few to learn from, one or two rows of 'a' (line 1), 'b' (line 2), 'c' (line 3), 'd' "]),
        (["01", "1"] * 3, [":2: labels '1' and '01' (line 1) look alike, and are two classes"]),
        (["Ann", "ann", "ANN"] * 3, [":2: labels 'ann' and 'Ann' (line 1)", ":3: labels 'ANN' and 'Ann' (line 1)"]),
        (["Ann\u00a0Lee", "Ann Lee", "b"] * 3, []),  # one label
        (["\u2460", "1"] * 3, [":2: labels '1' and '\u2460' (line 1)"]),
        (["0", "00", "1"] * 3, [":2: labels '00' and '0' (line 1)"]),
    ],
)
def test_labels_that_look_alike_and_small_classes_are_told_of(
    folder: Path, labels: list[str], warnings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "train_CLS.tsv").write_text("".join(f"{label}\tWe rest.\n" for label in labels))
    (folder / "test_CLS.tsv").write_text(f"{labels[0]}\tWe rest.\n")
    dataset.load_corpus(folder)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(warnings)
    for line, warning in zip(said, warnings):
        assert line.startswith(f"warning: {folder / 'train_CLS.tsv'}{warning}")


def test_quotation_marks_are_part_of_the_text(folder: Path) -> None:
    rows = ['0\t"We work."', '0\t"We rest, said ""he"" .', "1\tWe hope.", '1\t"']
    (folder / "train_CLS.tsv").write_text("\n".join(rows))
    assert [f"{row.label}\t{row.text}" for row in dataset.load_corpus(folder).train] == rows


def test_text_without_spaces_is_told_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset.warn_of_missing_spaces(dataset.load_corpus(folder))
    assert "without spaces" not in capsys.readouterr().err
    (folder / "train_LM.txt").write_text("和平晚上石头海洋白银看见大门国王晚上春雨。\n")
    dataset.warn_of_missing_spaces(dataset.load_corpus(folder))
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"warning: {folder / 'train_LM.txt'}: text without spaces between words, as in Chinese, Japanese and Thai, is "
        "cut into whole clauses, and most of them are <unk>; put spaces between the words, or train by part1, "
        "part2 or report, which read other tokens"
    )


def test_a_prepared_corpus_says_itself_what_is_unknown(folder: Path) -> None:
    (folder / "train_LM.txt").write_text("The <unk> rests . @-@\n")
    data = dataset.load_data(folder, 8)
    assert (data.train_stream.ids == 1).tolist() == [False, True, False, False, False]
    assert data.tokenizer.words.count("<unk>") == 1


@pytest.mark.parametrize("name", ["train_LM.txt", "test_LM_north.txt"])
def test_bad_texts_are_user_errors(folder: Path, name: str) -> None:
    for content in (b"", b"\n\n", b"\t\n", b"\xef\xbb\xbf\n\xef\xbb\xbf", b"We\0work.\n", b"caf\xe9\n"):
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
    assert dataset.missing_files(folder) == []
    ensure_data(folder)
    (folder / "train_LM.txt").unlink()
    (folder / "test_CLS.tsv").unlink()
    assert dataset.missing_files(folder) == ["test_CLS.tsv", "train_LM.txt"]
    readers: list[Callable[[Path], object]] = [dataset.load_corpus, ensure_data]
    for read in readers:
        assert complaint(partial(read, folder)) == (
            f"{folder}: test_CLS.tsv, train_LM.txt missing, next to test_LM_north.txt, test_LM_south.txt, "
            "train_CLS.tsv; add it, or clear the folder if it was left half built"
        )
    (folder / "manifest.json").write_text('{"files": {"train_LM.txt": ""}}')
    for read in readers:
        assert complaint(partial(read, folder)) == (
            f"{folder}: test_CLS.tsv, train_LM.txt missing; it is half built: run the command again that made it, or "
            "clear the folder"
        )


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        (["north"], []),
        (["north", "obama"], []),  # texts of one's own, one of which has a default's name
        (["obama"], ["test_LM_wbush.txt", "test_LM_hbush.txt"]),
        (["hbush", "wbush"], ["test_LM_obama.txt"]),
        (["hbush", "obama", "wbush"], []),
        ([], ["test_LM_obama.txt", "test_LM_wbush.txt", "test_LM_hbush.txt"]),
    ],
)
def test_the_default_texts_count_as_a_set(folder: Path, present: list[str], missing: list[str]) -> None:
    for path in folder.glob("test_LM_*"):
        path.unlink()
    for name in present:
        (folder / f"test_LM_{name}.txt").write_text("We sleep.\n")
    (folder / "test_LM_.txt").write_text("a name is needed\n")
    assert dataset.missing_files(folder) == missing


def test_a_manifest_says_what_belongs(folder: Path) -> None:
    manifest = folder / "manifest.json"
    (folder / "test_LM_north.txt").rename(folder / "test_LM_obama.txt")
    manifest.write_text(
        '{"files": {"test_LM_obama.txt": "", "labels.tsv": "", "train_LM.txt": "", "test_CLS.tsv": ""}}'
    )
    assert dataset.missing_files(folder) == ["labels.tsv"]
    for name in ("train_CLS.tsv", "test_CLS.tsv", "train_LM.txt"):  # these always belong, and are named once
        (folder / name).unlink()
    assert dataset.missing_files(folder) == ["train_CLS.tsv", "test_CLS.tsv", "train_LM.txt", "labels.tsv"]
    for damaged, reason in (
        ("[]", "Expected `object`, got `array`"),
        ("{}", "Object missing required field `files`"),
        ('{"files": ["labels.tsv"]}', "Expected `object`, got `array` - at `$.files`"),
    ):
        manifest.write_text(damaged)
        expected = f"{manifest}: {reason}; it is damaged, build the data anew"
        assert complaint(lambda: ensure_data(folder)) == expected


@pytest.fixture
def default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that counts as the one beside main.py."""
    folder = tmp_path / "speechesdataset"
    folder.mkdir()
    for module in ("dataset", "speechesdataset.build"):
        monkeypatch.setattr(f"{module}.DEFAULT_FOLDER", folder)
    return folder


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    folders: list[Path] = []
    monkeypatch.setattr("speechesdataset.build.build", folders.append)
    return folders


def test_no_data_is_built_among_other_texts_or_in_a_file(default_folder: Path, built: list[Path]) -> None:
    for name in ("notes.txt", "rows.tsv"):
        (default_folder / name).write_text("mine")
        assert complaint(lambda: ensure_data(default_folder)) == (
            f"{default_folder}: train_CLS.tsv, test_CLS.tsv, train_LM.txt, test_LM_obama.txt, test_LM_wbush.txt, "
            f"test_LM_hbush.txt missing, next to {name}; add it, or clear the folder if it was left half built"
        )
        (default_folder / name).unlink()
    file = default_folder / "file"
    file.write_text("")
    assert complaint(lambda: ensure_data(file)) == f"{file}: is a file; --data-dir takes a folder"
    assert built == []


def test_data_is_built_in_the_default_folder_and_gone_on_with(
    default_folder: Path, built: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (default_folder / "README.md").write_text("anything else may stand there")
    ensure_data(str(default_folder))
    said = capsys.readouterr()
    assert said.err == f"{default_folder}: no data yet; building it from State of the Union addresses\n"
    assert said.out == ""
    for name in ("manifest.json", "train_CLS.tsv"):  # a builder was killed
        (default_folder / name).write_text('{"files": {"labels.tsv": ""}}')
        monkeypatch.chdir(default_folder.parent)
        ensure_data("speechesdataset")
    assert built == [default_folder, Path("speechesdataset"), Path("speechesdataset")]


def test_no_other_folder_becomes_a_data_set(
    default_folder: Path, built: list[Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mistyped, the one above the data, another working directory: none is built in, and what is meant is said."""
    data, notes = tmp_path / "up" / "data", tmp_path / "up" / "notes.txt"
    shutil.copytree(folder, data, ignore=shutil.ignore_patterns("up", "speechesdataset"))

    def refused(wrong: Path | str) -> str:
        assert complaint(lambda: dataset.load_corpus(wrong)) == complaint(lambda: ensure_data(wrong))
        return complaint(lambda: ensure_data(wrong))

    assert refused(data.parent) == f"{data.parent}: no data in it; did you mean {data}?"
    notes.write_text("mine")
    assert refused(data.parent).endswith(f"test_LM_hbush.txt missing; did you mean {data}?")
    assert refused(f"{data}s") == f"{data}s: no such folder; did you mean {data}?"
    assert refused(tmp_path / "x") == (
        f"{tmp_path / 'x'}: no such folder; `python main.py data build --out {tmp_path / 'x'}` makes data there, data "
        "import from your own texts"
    )
    for path in data.iterdir():
        shutil.copy(path, default_folder)
    monkeypatch.chdir(data)
    assert refused("speechesdataset") == f"speechesdataset: no such folder; did you mean {default_folder}?"
    assert built == []


def test_a_record_says_what_data_it_was_made_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    corpus = dataset.load_corpus(folder.name)
    row = dataset.Segment(corpus.labels[0], "a new one", 9)
    corpus = dataclasses.replace(
        corpus, test=[row, dataclasses.replace(corpus.train[0], text=f" {corpus.train[0].text}  "), row]
    )
    assert corpus.about() == dataset.About(str(folder), len(corpus.train), 3, 1, corpus.class_names, corpus.fingerprint)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "2", "0"], ["0", "2", "10"]),  # by number, not by letter
        (["3", "-1", "-20", "0"], ["-20", "-1", "0", "3"]),
        (["b", "10", "A", "9", "a"], ["9", "10", "A", "a", "b"]),  # numbers first
        (["1", "01", "2"], ["01", "1", "2"]),
        (["2", "1.5", "-x", "1"], ["1", "2", "-x", "1.5"]),
        (["9" * 18, "1" + "0" * 18, "8"], ["8", "9" * 18, "1" + "0" * 18]),
        (["٣", "2"], ["2", "٣"]),
    ],
)
def test_labels_stand_in_the_order_of_numbers(folder: Path, labels: list[str], expected: list[str]) -> None:
    (folder / "train_CLS.tsv").write_text("".join(f"{label}\tText.\n" for label in [*labels, *labels]))
    (folder / "test_CLS.tsv").write_text(f"{labels[0]}\tText.\n")
    assert dataset.load_corpus(folder).labels == dataset.load_corpus(folder).class_names == expected


@pytest.mark.parametrize(
    ("labels", "line", "complaint"),
    [
        ("0\tBush\n1\tBush\n2\tObama\n", 2, "the name 'Bush' is taken"),
        ("0\tObama\n\n2\tG.  Bush\n1\tG. Bush\n", 4, "the name 'G. Bush' is taken"),
        ("0\tJose\u0301\n1\tJos\u00e9\n", 2, "the name 'Jos\u00e9' is taken"),
        ("0\tBush\n0\tObama\n", 2, "the label '0' is taken"),
        ("0\tBush\n1\t2\n", 2, "the name '2' is taken"),  # the third class has no other name than its label
    ],
)
def test_names_that_are_the_same_are_refused(folder: Path, labels: str, line: int, complaint: str) -> None:
    (folder / "test_CLS.tsv").write_text("0\tNought.\n")
    (folder / "train_CLS.tsv").write_text("0\tNought.\n1\tOne.\n2\tTwo.\n")
    (folder / "labels.tsv").write_text(labels, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        dataset.load_corpus(folder)
    hint = "by another line or label; give each label one name, and each its own"
    assert str(caught.value) == f"{folder / 'labels.tsv'}:{line}: {complaint} {hint}"


@pytest.mark.parametrize("name", ["train", "all texts"])
def test_a_test_text_is_not_called_what_tables_call_others(folder: Path, name: str) -> None:
    (folder / f"test_LM_{name}.txt").write_text("We sleep.\n")
    with pytest.raises(UserError) as caught:
        dataset.load_corpus(folder)
    path = folder / f"test_LM_{name}.txt"
    assert str(caught.value) == f"{path}: tables use the name {name!r} already; rename the file"


def test_class_names(folder: Path) -> None:
    def names() -> list[str]:
        return dataset.load_corpus(folder).class_names

    (folder / "test_CLS.tsv").write_text("0\tNought.\n")
    (folder / "train_CLS.tsv").write_text("0\tNought.\n1\tOne.\n2\tTwo.\n")
    (folder / "labels.tsv").write_text("2\tAbraham Lincoln\n7\tNobody\n")
    assert names() == ["0", "1", "Abraham Lincoln"]
    (folder / "labels.tsv").unlink()
    assert names() == ["0", "1", "2"]
    for name in ("obama", "hbush", "wbush"):
        (folder / f"test_LM_{name}.txt").write_text("We sleep.\n")
    assert names() == ["0", "1", "2"]  # the default speakers' texts, but others, too
    (folder / "test_LM_north.txt").unlink()
    (folder / "test_LM_south.txt").unlink()
    assert names() == ["Obama", "G. W. Bush", "G. H. W. Bush"]
    (folder / "train_CLS.tsv").write_text("0\tNought.\n1\tOne.\n3\tThree.\n")
    assert names() == ["0", "1", "3"]


def test_tensors() -> None:
    tokenizer = Tokenizer.build(["a b c d"])
    rows = [Segment("x", "a b", 1), Segment("y", "d é c b a", 2), Segment("x", "d c b a", 3), Segment("z", "b", 4)]
    data = dataset.encode_segments(rows, tokenizer, ["x", "y", "z"], 4)
    assert data.ids.tolist() == [[2, 3, 0, 0], [5, 1, 4, 3], [5, 4, 3, 2], [3, 0, 0, 0]]
    assert (data.lengths.tolist(), data.labels.tolist(), data.n_truncated) == ([2, 4, 4, 1], [0, 1, 0, 2], 1)
    assert {data.ids.dtype, data.lengths.dtype, data.labels.dtype} == {torch.int64}
    cut = dataset.encode_segments(rows, tokenizer, ["z", "x", "y"], 1)
    assert cut.ids.tolist() == [[2], [5], [5], [3]]
    assert (cut.lengths.tolist(), cut.labels.tolist(), cut.n_truncated) == ([1] * 4, [1, 2, 1, 0], 3)
    assert dataset.encode_segments(rows, tokenizer, ["x", "y", "z"], 6).n_truncated == 0


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
    assert dataset.encode_stream(["b  a "], tokenizer).n_bytes == 6
    assert dataset.encode_stream(["b  a "], tokenizer).n_unknown_bytes == 0


def test_seen_and_distinct_rows_ignore_white_space() -> None:
    train = [Segment("0", "We  work.", 1), Segment("0", "We rest.", 2), Segment("1", " We\u2028work. ", 3)]
    test = [Segment("0", "We work.", 1), Segment("0", "we rest.", 2), Segment("1", "We rest.", 3)]
    assert dataset.seen_rows(train, test).tolist() == [True, False, True]  # whatever their labels
    assert dataset.seen_rows(test, train).tolist() == [True, True, True]
    assert dataset.seen_rows(train[1:2], train).tolist() == [False, True, False]
    assert dataset.distinct(train) == train[:2]
    assert dataset.distinct([*test, *train]) == test
    assert dataset.same_text(" a\tb\n\n c ") == "a b c"


def test_folds_are_a_partition_with_the_same_mix() -> None:
    labels = ["b"] * 10 + ["a"] * 31
    parts = dataset.folds(labels, 5, seed=1)
    assert sorted(i for part in parts for i in part) == list(range(41))
    assert [len(part) for part in parts] == [9, 8, 8, 8, 8]
    assert all(sum(labels[i] == "b" for i in part) == 2 for part in parts)
    assert all(part == sorted(part) for part in parts)
    assert parts == dataset.folds(labels, 5, seed=1) != dataset.folds(labels, 5, seed=2)
    assert dataset.folds(labels, 1, seed=0) == [list(range(41))]


def test_folds_are_drawn_from_the_seed_label_by_label() -> None:
    order = torch.randperm(12, generator=torch.Generator().manual_seed(7)).tolist()
    assert dataset.folds([1] * 12, 3, seed=7) == [sorted(order[start::3]) for start in range(3)]
    labels = [i % 2 for i in range(12)]
    dealt = [i for i in order if i % 2 == 0] + [i for i in order if i % 2 == 1]
    assert dataset.folds(labels, 4, seed=7) == [sorted(dealt[start::4]) for start in range(4)]


def epochs(n_rows: int, batch_size: int, seed: int, n_epochs: int = 1) -> list[list[list[int]]]:
    generator = torch.Generator().manual_seed(seed)
    return [[batch.tolist() for batch in dataset.epoch_batches(n_rows, batch_size, generator)] for _ in range(n_epochs)]


def test_every_epoch_is_another_partition() -> None:
    first, second, third = epochs(1003, 16, 1, 3)
    for batches in (first, second, third):
        assert sorted(i for batch in batches for i in batch) == list(range(1003))
        assert sorted(len(batch) for batch in batches) == [11, *[16] * 62]
    kinds = [{frozenset(batch) for batch in batches} for batches in (first, second, third)]
    assert not kinds[0] & kinds[1]  # not the same batches in another order
    assert not kinds[1] & kinds[2]
    assert epochs(1003, 16, 1, 3) == [first, second, third] != epochs(1003, 16, 2, 3)


def test_batches_by_chance_are_a_shuffled_order_cut() -> None:
    order = torch.randperm(10, generator=torch.Generator().manual_seed(3)).tolist()
    assert epochs(10, 4, 3) == [[order[:4], order[4:8], order[8:]]]
    assert order != sorted(order)


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
    left, places, orders = starts.flatten().tolist(), set(), set()
    while left:
        place = left[0] % block_size
        windows = list(range(place, n_tokens - block_size, block_size))  # each with a token to predict after it
        taken, left = left[: len(windows)], left[len(windows) :]
        assert len(set(taken)) == len(taken)
        assert set(taken) <= set(windows)
        places.add(place)
        orders.add(tuple(taken))
    assert places == set(range(min(block_size, n_tokens - block_size)))  # cut from every place, sooner or later
    assert any(list(order) != sorted(order) for order in orders) == (n_tokens > 2 * block_size)
    assert (len(orders) > len(places)) == (n_tokens > 2 * block_size)  # the same cut in another order


def test_a_text_too_short_for_a_window_is_a_user_error() -> None:
    for n_tokens in (3, 4):
        expected = f"train_LM.txt: {n_tokens} tokens, too few for windows of 4; use more text"
        assert complaint(partial(dataset.window_starts, n_tokens, 4, 1, 1, torch.Generator())) == expected
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
    assert data.corpus == dataset.load_corpus(folder)


def test_the_words_of_the_labelled_rows(folder: Path) -> None:
    (folder / "train_LM.txt").write_text("They hope.\n")
    data = dataset.load_data(folder, block_size=2)  # rows are cut for the model, but their words are known
    known = [word for word, stands in zip(data.tokenizer.words, data.words_of_rows().tolist()) if stands]
    assert known == [".", "We", "hope", "rest", "work"]
    assert len(data.words_of_rows()) == len(data.tokenizer)
    assert data.words_of_rows().dtype == torch.bool


def test_a_sample_is_every_nth_row_of_each_class_and_the_beginning_of_each_text(folder: Path) -> None:
    (folder / "train_CLS.tsv").write_text("".join(f"{i % 3 % 2}\tRow {i}.\n" for i in range(12)))  # 0 1 0, 0 1 0, ...
    (folder / "test_CLS.tsv").write_text("".join(f"{i % 2}\tTest {i}.\n" for i in range(5)))
    (folder / "train_LM.txt").write_text("".join(f"Line {i}.\n" for i in range(7)))
    corpus = dataset.load_corpus(folder)
    some = dataset.sample(corpus, 3)
    assert [(row.label, row.line - 1) for row in some.train] == [("0", 0), ("0", 5), ("0", 9), ("1", 1), ("1", 10)]
    assert [(row.label, row.line - 1) for row in some.test] == [("0", 0), ("1", 1)]
    assert some.train_text == ["Line 0.", "Line 1.", "Line 2."]  # a third of seven, rounded up
    assert some.test_texts == {"north": ["We dream."], "south": ["We sleep."]}
    assert some.fingerprint == hashlib.sha256(f"{corpus.fingerprint} every 3".encode()).hexdigest()
    assert (some.labels, some.class_names, some.directory) == (corpus.labels, corpus.class_names, folder)
    data = dataset.load_data(folder, block_size=8, share=3)
    assert data.corpus == some
    assert (len(data.train.labels), len(data.test.labels), len(data.seen)) == (5, 2, 2)
    assert data.train_stream.n_bytes == 3 * 8
    assert dataset.load_data(folder, block_size=8, share=2).corpus == dataset.sample(corpus, 2)
    assert dataset.load_data(folder, block_size=8, share=1).corpus == corpus


# ---------------------------------------------------------------------------------------------- subwords, characters


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


def test_the_bytes_of_unknown_characters_are_counted() -> None:
    characters = Tokenizer.build(["ab c"], tokenization=Tokenization("character"))
    stream = dataset.encode_stream(["a人b", "é"], characters)
    assert stream.ids.tolist() == [2, 3, UNK, 4, 2, UNK]
    assert (stream.n_unknown_bytes, stream.n_bytes) == (3 + 2, 9)


def test_subwords_of_a_fold_are_learned_without_it(data_folder: Path) -> None:
    data = dataset.load_data(data_folder, block_size=12, tokenization=Tokenization("bpe", 300))
    split = dataset.validation_text(data, 1)
    rows = [row.text for row in split.corpus.train]
    learned = Tokenizer.build(rows, split.corpus.train_text, tokenization=Tokenization("bpe", 300))
    assert split.tokenizer.to_json() == learned.to_json() != data.tokenizer.to_json()
    assert dataset.validation_split(data, 1).tokenizer is data.tokenizer


def test_no_subword_is_new_to_the_labelled_rows(data_folder: Path) -> None:
    for kind in ("bpe", "character"):
        data = dataset.load_data(data_folder, block_size=12, tokenization=Tokenization(kind))
        assert data.words_of_rows().all() == (kind == "bpe")  # of characters <pad> and <unk> stand nowhere


def test_neighbours_of_one_label_are_a_stretch() -> None:
    assert dataset.stretches([]) == []
    assert dataset.stretches([0, 0, 1, 1, 1, 0]) == [0, 0, 1, 1, 1, 2]
    assert dataset.stretches([0] * 5 + [1], size=2) == [0, 0, 1, 1, 2, 3]
    assert dataset.stretches(["a"] * 25) == [0] * 10 + [1] * 10 + [2] * 5
    assert dataset.stretches([0, 1] * 3) == list(range(6))  # in random order there are no neighbours


def test_a_stream_knows_how_long_its_lines_are() -> None:
    tokenizer = Tokenizer.build(["a b c", "d"], ["e"])
    stream = dataset.encode_stream(["a b c", "d", "e a"], tokenizer)
    assert stream.line_lengths == (3, 1, 2)
    assert len(stream.ids) == 6
