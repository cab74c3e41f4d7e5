"""The audit finds what was put there, and nothing where there is nothing."""

import json
from pathlib import Path

import msgspec
import pytest

from commands.data import EXIT_LEAKAGE, examine
from common.files import as_json, sha256
from reporting.audit import render
from speechesdataset.audit import (
    Audit,
    Between,
    ClassRows,
    Copy,
    GiveAway,
    GiveAways,
    Sizes,
    Unknown,
    audit,
)
from speechesdataset.folder import Manifest, SpeakerCounts

NOUNS = ["road", "river", "school", "farm", "bridge", "harbor", "market", "garden", "tower", "valley", "wood", "inn"]
VERBS = ["build", "open", "guard", "repair", "visit", "honor"]


def sentences(name: str, n: int) -> list[str]:
    """Sentences that share no two trigrams: every second word is the sentence's own."""
    return [
        f"{name} will{i} {VERBS[i % 6]} the{i} {NOUNS[i % 12]} in{i} {name} {NOUNS[i * 5 % 12]}{i} again."
        for i in range(n)
    ]


def write(folder: Path, **changes: str) -> Path:
    """A clean data folder of two speakers, with some files replaced."""
    north, south = sentences("north", 80), sentences("south", 80)
    files = {
        "train_CLS": "".join(f"n\t{a}\ns\t{b}\n" for a, b in zip(north[:60], south[:60])),
        "test_CLS": "".join(f"n\t{a}\ns\t{b}\n" for a, b in zip(north[60:], south[60:])),
        "train_LM": "\n".join(north[:60] + south[:60]),
        "test_LM_north": "\n".join(north[60:]),
        "test_LM_south": "\n".join(south[60:]),
    } | changes
    for name, text in files.items():
        (folder / f"{name}.{'tsv' if name.endswith('CLS') else 'txt'}").write_bytes(text.encode())
    return folder


def leaking(result: Audit) -> dict[tuple[str, str], tuple[int, int]]:
    return {(pair.test, pair.train): (pair.exact, pair.near) for pair in result.between if pair.exact or pair.near}


def test_clean_data_are_clean(tmp_path: Path) -> None:
    result = audit(write(tmp_path))
    assert not result.has_leakage
    assert leaking(result) == result.encoding == {}
    assert result.contradictions == result.changed_since_built == []
    assert [(row.name, row.train, row.test) for row in result.classes] == [("n", 60, 20), ("s", 60, 20)]
    assert "No leakage" in render(result)
    assert msgspec.convert(json.loads(as_json(result)), Audit) == result


def test_of_a_folder_that_may_be_half_built_nothing_is_said(tmp_path: Path) -> None:
    """An earlier version, killed, could leave rows and some of the texts, and no manifest."""
    folder = write(tmp_path)
    (folder / "test_LM_south.txt").unlink()
    assert "No leakage" not in render(audit(folder))
    (folder / "labels.tsv").write_text("0\tA\n1\tB\n")
    assert "No leakage" in render(audit(folder))


def test_exact_and_near_copies_are_noticed_with_their_lines(tmp_path: Path) -> None:
    train = "n\tWe will build a bridge to the north.\r\n\r\nn\tThe harbor is open to all of us.\r\ns\tWe rest.\r\n"
    test = "n\tThe harbor is open\u00a0to all of us.\nn\tBut we will build a bridge to the north!\ns\tSo be it now.\n"
    result = audit(write(tmp_path, train_CLS=train, test_CLS=test, test_LM_south="We sleep.\nwe  rest.\n"))
    assert result.has_leakage
    assert leaking(result)["test_CLS.tsv", "train_CLS.tsv"] == (1, 1)
    assert leaking(result)["test_LM_south.txt", "train_CLS.tsv"] == (0, 1)  # but for the capital
    (pair,) = [pair for pair in result.between if (pair.test, pair.train) == ("test_CLS.tsv", "train_CLS.tsv")]
    assert [(example.line, example.train_line) for example in pair.examples] == [(1, 3), (2, 1)]
    assert [example.share for example in pair.examples] == pytest.approx([1, 6 / 7])  # of the trigrams
    page = render(result)
    assert "2 of 3 lines of test_CLS.tsv appear in train_CLS.tsv (1 exactly, 1 nearly)" in page
    assert "test_CLS.tsv:2 But we will build a bridge" in page


def test_a_near_copy_alone_is_leakage(tmp_path: Path) -> None:
    near = "So, " + sentences("north", 1)[0].upper()
    folder = write(tmp_path, test_LM_north=f"{near}\nNothing here is like it.")
    result = audit(folder)
    assert leaking(result) == {("test_LM_north.txt", name): (0, 1) for name in ("train_CLS.tsv", "train_LM.txt")}
    assert result.has_leakage
    assert "LEAKAGE" in render(result)
    assert examine(folder, tmp_path / "out") == EXIT_LEAKAGE
    assert examine(write(tmp_path), tmp_path / "out") == 0


def test_each_number_stands_where_it_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In data and in an audit in which no two of them are alike."""
    north, south = sentences("north", 60), sentences("south", 60)
    files = {
        "train_CLS": "".join(f"n\t{text}\n" for text in north[:30]) + "".join(f"s\t{text}\n" for text in south[:10]),
        "train_LM": "\n".join(north[10:32]),
        "test_CLS": f"n\t{north[29]}\n" + "".join(f"s\tSo, {text}\n" for text in south[8:14]),
        "test_LM_north": "one two three four five six\nred\nblue green",
        "test_LM_south": "\n".join([*north[28:32], *(f"So, {text}" for text in north[10:13])]),
    }
    result = audit(write(tmp_path, **files), block_size=1)
    assert leaking(result) == {
        ("test_CLS.tsv", "train_CLS.tsv"): (1, 2),
        ("test_CLS.tsv", "train_LM.txt"): (1, 0),
        ("test_LM_south.txt", "train_CLS.tsv"): (2, 3),
        ("test_LM_south.txt", "train_LM.txt"): (4, 3),
    }
    assert {(pair.test, pair.lines) for pair in result.between} >= {("test_CLS.tsv", 7), ("test_LM_north.txt", 3)}
    assert len({(pair.test, pair.lines) for pair in result.between}) == 3
    assert result.classes == [ClassRows("n", "n", 30, 1), ClassRows("s", "s", 10, 6)]
    assert result.majority_accuracy == pytest.approx(100 / 7)
    assert result.files["test_LM_north.txt"] == Sizes(3, 9, 3.0, 2.0, 6, 200 / 3, 0, 0)

    copy = Copy(line=31, text="We rest.", train_line=32, train_text="We rest now.", share=0.75)
    made_up = Audit(
        directory="mine",
        block_size=33,
        has_leakage=True,
        doubt=None,
        changed_since_built=[],
        left_out={"short": {"Ada": 34, "Ben": 35}, "copies": {"Ben": 36}},
        files={"train_CLS.tsv": Sizes(41, 1523, 7.25, 6.5, 19, 12.5, 3, 2)},
        classes=[ClassRows("0", "Ada", 30, 2), ClassRows("1", "Ben", 10, 6)],
        between=[Between("test_CLS.tsv", "train_LM.txt", 11, exact=5, near=4, examples=[copy])],
        contradictions=[],
        majority_accuracy=42.5,
        characters=GiveAways([GiveAway("x", "Ada", 21, 70.0)], 18, right_where_present=17, rule_accuracy=55.5),
        words=GiveAways([], 16, right_where_present=15, rule_accuracy=44.5),
        unknown_words={"test_CLS.tsv": Unknown(unk_percent=8.25, only_train_CLS_percent=1.75)},
        encoding={},
    )
    monkeypatch.setenv("COLUMNS", "100")
    page = " ".join(render(made_up).split())
    for shown in (
        "train_CLS.tsv 41 1,523 7.25 6.50 19 12.5% 3 2",
        "over 33",
        "0 Ada 30 75.00 2 25.00 1 Ben 10 25.00 6 75.00",
        "test_CLS.tsv train_LM.txt 11 5 4",
        "test_CLS.tsv:31 We rest. train_LM.txt:32 We rest now. (75%)",
        "9 of 11 lines of test_CLS.tsv appear in train_LM.txt (5 exactly, 4 nearly)",
        "1 character that only one class",
        "Test rows with one: 18, of which 17 of its class; a rule on them alone reaches 55.5%",
        "class: 42.5%",
        "x U+0078 Ada 21 70.0%",
        "Test rows with one: 16, of which 15 of its class; a rule on them alone reaches 44.5%",
        "test_CLS.tsv 8.25 1.75",
        "short: Ada 34, Ben 35 copies: Ben 36",
        "Many words are unknown; --tokenizer bpe",
    ):
        assert shown in page
    few = msgspec.structs.replace(made_up, unknown_words={"test_CLS.tsv": Unknown(8.0, 9.0)})
    assert "--tokenizer bpe" not in render(few)


def test_a_decoders_test_lines_in_the_classifiers_rows_are_leakage(tmp_path: Path) -> None:
    result = audit(write(tmp_path, test_LM_north="\n".join(sentences("north", 3))))
    assert leaking(result) == {("test_LM_north.txt", name): (3, 0) for name in ("train_CLS.tsv", "train_LM.txt")}


def test_copies_inside_a_file_are_no_leakage(tmp_path: Path) -> None:
    lines = "We sleep well.\nWe sleep well.\nWE SLEEP WELL!\nNot so the others here."
    result = audit(write(tmp_path, test_LM_north=lines))
    sizes = result.files["test_LM_north.txt"]
    assert (sizes.lines, sizes.copies, sizes.near_copies) == (4, 1, 2)
    assert not result.has_leakage


def test_contradicting_labels(tmp_path: Path) -> None:
    train = "n\tWe rest.\ns\tWe work.\ns\twe rest\n"
    rest, work = audit(write(tmp_path, train_CLS=train, test_CLS="n\tWe work!\ns\tSo be it.\n")).contradictions
    assert rest.rows == ["train_CLS.tsv:1 says n", "train_CLS.tsv:3 says s"]
    assert work.rows == ["train_CLS.tsv:2 says s", "test_CLS.tsv:1 says n"]


def test_a_character_that_gives_one_class_away(tmp_path: Path) -> None:
    mark = "\u2019"
    train = "".join(f"n\tThe north{mark}s word {i}.\ns\tThe south's word {i}.\n" for i in range(20)) + "s\tWe rest.\n"
    test = f"n\tIt{mark}s ours.\ns\tIt's theirs.\nn\tNothing to see.\ns\tIt{mark}s late.\n"
    test += "s\tWe see.\nn\tNo one.\n"
    result = audit(write(tmp_path, train_CLS=train, test_CLS=test))
    assert result.majority_accuracy == 50.0
    characters = {item.text: item for item in result.characters.items}
    assert characters[mark] == GiveAway(mark, "n", 20, 100.0)
    assert {"'", "u"} <= characters.keys()
    assert not {"W", "e"} & characters.keys()  # the first is in one row only, the second in both classes
    assert {item.text for item in result.words.items} >= {mark, "south"}
    assert (result.characters.test_rows, result.characters.right_where_present) == (5, 3)
    assert result.characters.rule_accuracy == pytest.approx(100 * 4 / 6)  # "We see." has none, and is of the default


def test_unknown_words_and_truncation(tmp_path: Path) -> None:
    rows = {"train_CLS": "n\tred blue\ns\tgreen\n", "test_CLS": "n\tred\n"}
    result = audit(write(tmp_path, **rows, train_LM="red\n", test_LM_north="red blue\nx y"), block_size=1)
    assert result.unknown_words["test_LM_north.txt"] == Unknown(unk_percent=50.0, only_train_CLS_percent=25.0)
    assert result.files["test_LM_north.txt"].truncated_percent == 100.0
    assert result.files["train_CLS.tsv"].truncated_percent == 50.0


@pytest.mark.parametrize(
    ("text", "oddity"),
    [
        ("We caf\ufffd.", "replacement"),
        ("We donâ€™t.", "Windows-1252"),
        ("We\x07 go.", "control"),
        ("We\u2028go.", "line separators"),
        ("We\u200bgo.", "invisible"),
        ("We\u00a0go.", "unusual spaces"),
        ("You &amp; me", "HTML"),
        ("We go , now", "tokenised already"),
        ("It's ours, it\u2019s yours", "curly quotes"),
        ("cafe\u0301", "NFC"),
        ("We go\r\nand go", "mixed"),
    ],
)
def test_odd_encoding(tmp_path: Path, text: str, oddity: str) -> None:
    encoding = audit(write(tmp_path, train_LM=f"All well.\n{text}\n")).encoding
    (entry,) = encoding["train_LM.txt"]
    assert oddity in entry.what
    assert entry.first_line in (2, None)


def test_what_a_spreadsheet_saved_is_odd(tmp_path: Path) -> None:
    rows = 'n\tWe go.\nn\t"We say ""yes"" now."\ns\t"We rest."\n'
    (entry,) = audit(write(tmp_path, train_CLS=rows)).encoding["train_CLS.tsv"]
    assert (entry.times, entry.first_line) == (1, 2)
    assert "CSV" in entry.what


def test_texts_that_differ_in_a_vowel_sign_are_no_copies(tmp_path: Path) -> None:
    he, she = (f"वह रोज़ घर से स्कूल जा{end} है और काम कर{end} है" for end in ("ता", "ती"))
    other = "सूरज सुबह पहाड़ के पीछे से निकलता है"
    rows = {"train_CLS": f"he\t{he}\nshe\t{other}\n", "test_CLS": f"she\t{she}\n", "train_LM": f"{he}\n{other}\n"}
    result = audit(write(tmp_path, **rows, test_LM_north=she, test_LM_south=she))
    assert leaking(result) == {}
    again = audit(write(tmp_path, **rows | {"test_CLS": f"she\t{he}।\n"}, test_LM_north=she, test_LM_south=she))
    assert leaking(again)["test_CLS.tsv", "train_CLS.tsv"] == (0, 1)


def test_files_changed_since_they_were_built(tmp_path: Path) -> None:
    """Their manifest is said to be of others, and what it counts is not believed."""
    path = write(tmp_path) / "train_LM.txt"
    counts = SpeakerCounts("n", "North", "test_LM_north.txt", 1, 9, 8, 2, 6, 6, left_out={"too short": 1})
    manifest = Manifest(files={path.name: sha256(path.read_bytes())}, speakers=[counts])
    (tmp_path / "manifest.json").write_text(as_json(manifest))
    result = audit(tmp_path)
    assert (result.changed_since_built, result.left_out) == ([], {"too short": {"North": 1}})
    path.write_text(path.read_text() + "one more line\n")
    result = audit(tmp_path)
    assert (result.changed_since_built, result.left_out) == (["train_LM.txt"], {})
    assert "manifest.json is not used" in render(result)
