"""Data folders are read strictly: what is wrong is said in one line, with file and line, and never misread."""

import contextlib
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import FILES, small_folder

import dataset
from common.files import UserError
from speechesdataset import folder as folders
from speechesdataset.build import ensure_data
from speechesdataset.folder import Segment, load_corpus, missing_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_folder(tmp_path)


def complaint(action: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_corpus(folder: Path) -> None:
    corpus = load_corpus(folder)
    assert corpus.directory == folder
    assert corpus.train == [Segment("0", "We work.", 1), Segment("1", "We rest.", 2), Segment("0", "We hope.", 3)]
    assert corpus.test == [Segment("1", "We rest.", 1), Segment("0", "We dream.", 2)]
    assert corpus.labels == corpus.class_names == ["0", "1"]
    assert corpus.train_text == ["We work.", "We rest."]
    assert corpus.test_texts == {"north": ["We dream."], "south": ["We sleep."]}
    assert list(corpus.test_texts) == ["north", "south"]
    assert corpus.vocabulary().words[2:] == [".", "We", "hope", "rest", "work"]
    about = corpus.about()
    assert (about.train_rows, about.test_rows, about.seen_rows) == (3, 2, 1)


def test_the_fingerprint_is_that_of_every_byte_of_every_file_and_of_the_names(folder: Path) -> None:
    (folder / "labels.tsv").write_text("0\tNought\n")
    names = [*FILES, "labels.tsv"]
    fingerprints = [load_corpus(folder).fingerprint]
    for name in names:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b"\n")
        fingerprints.append(load_corpus(folder).fingerprint)
        (folder / name).write_bytes(content)
    (folder / "test_LM_south.txt").rename(folder / "test_LM_east.txt")
    fingerprints.append(load_corpus(folder).fingerprint)
    assert len(set(fingerprints)) == len(names) + 2
    (folder / "notes.md").write_text("mine")  # no part of the data
    assert load_corpus(folder).fingerprint == fingerprints[-1]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"0\tWe work.\n1 We rest.\n", ":2: no tab; write label, tab, text"),
        (b"0\tWe work.\n\tWe rest.\n", ":2: empty label"),
        (b"0\tWe work.\n1\t  \n", ":2: empty text"),
        (b"0\tWe work.\n1\tWe\trest\tnow.\n", ":2: 3 tabs"),
        (b"0\tWe work.\n1\tWe\0rest.\n", ":2: NUL"),
        ("0\tWe work.\n".encode("utf-16"), ":1: not UTF-8"),
        (b"0\tWe work.\r1\tWe rest.\r", ":1: carriage return"),
        (b"", ": empty file"),
        (b"0\tWe work.\n0\tWe rest.\n", ": only one class, '0'"),
        (b"\nSpeaker\twhat they said\n1\tWe rest.\n2\tWe work.\n", ":2: 'Speaker' and 'what they said' look like"),
        (b"We work here.\t0\nWe rest here.\t1\nWe hope so.\t0\n", ":1: the label is 'We work here.' and the text '0'"),
    ],
)
def test_bad_rows_are_refused_with_file_and_line(folder: Path, content: bytes, where: str) -> None:
    (folder / "train_CLS.tsv").write_bytes(content)
    assert complaint(lambda: load_corpus(folder)).startswith(f"{folder / 'train_CLS.tsv'}{where}")


@pytest.mark.parametrize(("train_form", "test_form"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_label_is_the_same_however_its_accent_is_stored(folder: Path, train_form: Any, test_form: Any) -> None:
    (folder / "train_CLS.tsv").write_text(unicodedata.normalize(train_form, "Zoé\tWe hope, Zoé.\nBen\tWe rest.\n" * 2))
    (folder / "test_CLS.tsv").write_text(unicodedata.normalize(test_form, "Zoé\tWe hope, Zoé.\n"))
    (folder / "labels.tsv").write_text(unicodedata.normalize(test_form, "Zoé\tMiss Zoé\n"))
    corpus = load_corpus(folder)
    assert (corpus.labels, corpus.class_names) == (["Ben", "Zoé"], ["Ben", "Miss Zoé"])
    assert folders.seen_rows(corpus.train, corpus.test) == [True]
    assert corpus.about().seen_rows == 1


@pytest.mark.parametrize(
    ("labels", "warnings"),
    [
        (["a", "b"] * 3, []),
        (["a"] * 3 + ["b", "b"], [": too few to learn from, one or two rows of 'b' (line 4)"]),
        (["Ann", "ann", "ANN"] * 3, [":2: labels 'ann' and 'Ann' (line 1)", ":3: labels 'ANN' and 'Ann' (line 1)"]),
        (["Ann\u00a0Lee", "Ann Lee", "b"] * 3, []),  # the same label
        (["\u2460", "1"] * 3, [":2: labels '1' and '\u2460' (line 1)"]),
        (["0", "00", "1"] * 3, [":2: labels '00' and '0' (line 1)"]),
    ],
)
def test_labels_that_look_alike_and_small_classes_are_warned_of(
    folder: Path, labels: list[str], warnings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "train_CLS.tsv").write_text("".join(f"{label}\tWe rest.\n" for label in labels))
    (folder / "test_CLS.tsv").write_text(f"{labels[0]}\tWe rest.\n")
    load_corpus(folder)
    printed = capsys.readouterr().err.splitlines()
    for line, warning in zip(printed, warnings, strict=True):
        assert line.startswith(f"warning: {folder / 'train_CLS.tsv'}{warning}")


def test_quotation_marks_are_part_of_the_text(folder: Path) -> None:
    rows = ['0\t"We work."', '0\t"We rest, said ""he"" .', "1\tWe hope.", '1\t"']
    (folder / "train_CLS.tsv").write_text("\n".join(rows))
    assert [f"{row.label}\t{row.text}" for row in load_corpus(folder).train] == rows


def test_text_without_spaces_is_warned_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders.warn_of_missing_spaces(load_corpus(folder))
    assert "without spaces" not in capsys.readouterr().err
    (folder / "train_LM.txt").write_text("和平晚上石头海洋白银看见大门国王晚上春雨。\n")
    folders.warn_of_missing_spaces(load_corpus(folder), "use characters")
    warning = capsys.readouterr().err.splitlines()[-1]
    assert warning.startswith(f"warning: {folder / 'train_LM.txt'}: text without spaces between words")
    assert warning.endswith("; use characters")


@pytest.mark.parametrize("name", ["train_LM.txt", "test_LM_north.txt"])
def test_bad_texts_are_user_errors(folder: Path, name: str) -> None:
    for content in (b"", b"\n\n", b"\t\n", b"\xef\xbb\xbf\n\xef\xbb\xbf", b"We\0work.\n", b"caf\xe9\n"):
        (folder / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            load_corpus(folder)
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(UserError, match=f"{name}: cannot be read"):
        load_corpus(folder)


def test_windows_line_ends_byte_order_mark_blank_lines_and_no_final_newline_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_bytes("\ufeff0\tWe work.\r\n\r\n  \r\n 1 \t We\u2028rest\x85now. \r\n0\tWe hope.".encode())
    rows = folders.read_segments(path)
    assert rows == [Segment("0", "We work.", 1), Segment("1", "We\u2028rest\x85now.", 4), Segment("0", "We hope.", 5)]


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=12)), max_size=6))
def test_any_table_is_a_corpus_or_a_user_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    directory = tmp_path_factory.mktemp("random")
    table = "".join(f"{label}\t{text}\n" for label, text in rows).encode()
    for name in ("train_CLS.tsv", "test_CLS.tsv", "train_LM.txt", "test_LM_a.txt"):
        (directory / name).write_bytes(table)
    with contextlib.suppress(UserError):
        corpus = load_corpus(directory)
        data = dataset.encode_segments(corpus.test, corpus.vocabulary(), corpus.labels, 4)
        assert data.lengths.min() >= 1


def test_what_is_missing_is_named(folder: Path) -> None:
    assert missing_files(folder) == []
    ensure_data(folder)
    (folder / "train_LM.txt").unlink()
    (folder / "test_CLS.tsv").unlink()
    for remedy in ("add it, or clear the folder", "it is half built: run the command again"):
        message = complaint(lambda: load_corpus(folder))
        assert message == complaint(lambda: ensure_data(folder))
        assert message.startswith(f"{folder}: test_CLS.tsv, train_LM.txt missing")
        assert remedy in message
        (folder / "manifest.json").write_text('{"files": {"train_LM.txt": ""}}')


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        (["north"], []),
        (["north", "obama"], []),  # texts of one's own, one of which has a default's name
        (["obama"], ["test_LM_wbush.txt", "test_LM_hbush.txt"]),
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
    assert missing_files(folder) == missing


def test_a_manifest_says_what_belongs(folder: Path) -> None:
    (folder / "test_LM_north.txt").rename(folder / "test_LM_obama.txt")
    manifest = folder / "manifest.json"
    manifest.write_text('{"files": {"test_LM_obama.txt": "", "labels.tsv": ""}}')
    assert missing_files(folder) == ["labels.tsv"]
    for damaged in ("[]", "{}", '{"files": ["labels.tsv"]}'):
        manifest.write_text(damaged)
        assert complaint(lambda: ensure_data(folder)).startswith(f"{manifest}: ")


@pytest.fixture
def default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that counts as the one beside main.py."""
    folder = tmp_path / "speechesdataset"
    folder.mkdir()
    monkeypatch.setattr("speechesdataset.folder.DEFAULT_FOLDER", folder)
    return folder


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    folders: list[Path] = []
    monkeypatch.setattr("speechesdataset.build.build", folders.append)
    return folders


def test_data_is_built_in_the_default_folder_and_gone_on_with(
    default_folder: Path, built: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (default_folder / "README.md").write_text("anything else may stand there")
    ensure_data(default_folder)
    assert capsys.readouterr().err.startswith(f"{default_folder}: no data yet; building it")
    for name in ("manifest.json", "train_CLS.tsv"):  # a builder was killed
        (default_folder / name).write_text('{"files": {"labels.tsv": ""}}')
        ensure_data(str(default_folder))
    assert built == [default_folder] * 3
    (default_folder / "rows.tsv").write_text("mine")
    assert complaint(lambda: ensure_data(default_folder)).startswith(f"{default_folder}: ")
    assert len(built) == 3


def test_no_other_folder_becomes_a_data_set(
    default_folder: Path, built: list[Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mistyped, the one above the data, another working directory: none is built in, and what is meant is said."""
    data = tmp_path / "up" / "data"
    shutil.copytree(folder, data, ignore=shutil.ignore_patterns("up", "speechesdataset"))

    def refused(wrong: Path | str) -> str:
        assert complaint(lambda: load_corpus(wrong)) == complaint(lambda: ensure_data(wrong))
        return complaint(lambda: ensure_data(wrong))

    assert refused(data.parent) == f"{data.parent}: no data in it; did you mean {data}?"
    assert refused(f"{data}s") == f"{data}s: no such folder; did you mean {data}?"
    assert f"`python main.py data build --out {tmp_path / 'x'}` makes data there" in refused(tmp_path / "x")
    for path in data.iterdir():
        shutil.copy(path, default_folder)
    monkeypatch.chdir(data)
    assert refused("speechesdataset") == f"speechesdataset: no such folder; did you mean {default_folder}?"
    assert built == []


def test_seen_rows_ignore_white_space_and_labels() -> None:
    train = [Segment("0", "We  work.", 1), Segment("0", "We rest.", 2), Segment("1", " We\u2028work. ", 3)]
    test = [Segment("0", "We work.", 1), Segment("0", "we rest.", 2), Segment("1", "We rest.", 3)]
    assert folders.seen_rows(train, test) == [True, False, True]
    assert folders.same_text(" a\tb\n\n c ") == "a b c"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "2", "0"], ["0", "2", "10"]),  # by number, not by letter
        (["b", "10", "A", "9", "a"], ["9", "10", "A", "a", "b"]),  # numbers first
        (["٣", "2"], ["2", "٣"]),
    ],
)
def test_labels_stand_in_the_order_of_numbers(folder: Path, labels: list[str], expected: list[str]) -> None:
    (folder / "train_CLS.tsv").write_text("".join(f"{label}\tText.\n" for label in [*labels, *labels]))
    (folder / "test_CLS.tsv").write_text(f"{labels[0]}\tText.\n")
    assert load_corpus(folder).labels == load_corpus(folder).class_names == expected


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ("0\tObama\n\n2\tG.  Bush\n1\tG. Bush\n", ":4: the name 'G. Bush' is taken"),
        ("0\tJose\u0301\n1\tJos\u00e9\n", ":2: the name 'Jos\u00e9' is taken"),
        ("0\tBush\n0\tObama\n", ":2: the label '0' is taken"),
        ("0\tBush\n1\t2\n", ":2: the name '2' is taken"),  # the third class has no other name than its label
    ],
)
def test_names_that_are_the_same_are_refused(folder: Path, names: str, problem: str) -> None:
    (folder / "train_CLS.tsv").write_text("0\tNought.\n1\tOne.\n2\tTwo.\n")
    (folder / "labels.tsv").write_text(names, encoding="utf-8")
    assert complaint(lambda: load_corpus(folder)).startswith(f"{folder / 'labels.tsv'}{problem}")


def test_class_names(folder: Path) -> None:
    (folder / "train_CLS.tsv").write_text("0\tNought.\n1\tOne.\n2\tTwo.\n")
    (folder / "labels.tsv").write_text("2\tAbraham Lincoln\n7\tNobody\n")
    assert load_corpus(folder).class_names == ["0", "1", "Abraham Lincoln"]
    (folder / "labels.tsv").unlink()
    for name in ("obama", "hbush", "wbush"):
        (folder / f"test_LM_{name}.txt").write_text("We sleep.\n")
    assert load_corpus(folder).class_names == ["0", "1", "2"]  # the default speakers' texts, but others, too
    (folder / "test_LM_north.txt").unlink()
    (folder / "test_LM_south.txt").unlink()
    assert load_corpus(folder).class_names == ["Obama", "G. W. Bush", "G. H. W. Bush"]
