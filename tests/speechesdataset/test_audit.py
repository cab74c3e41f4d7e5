"""The audit finds what was put there, and nothing where there is nothing."""

import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from common.files import as_json
from reporting.audit import render
from speechesdataset.audit import Findings, GiveAway, Inside, Unknown, audit

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


def leaking(found: Findings) -> dict[tuple[str, str], tuple[int, int]]:
    return {(row.test, row.train): (row.exact, row.near) for row in found.between if row.exact or row.near}


def test_clean_data_are_clean(tmp_path: Path) -> None:
    found = audit(write(tmp_path))
    assert not found.has_leakage
    assert leaking(found) == {}
    assert found.leaks == found.changed_since_built == []
    assert found.contradictions.texts == 0
    assert found.encoding == {}
    assert [(row.name, row.train, row.test) for row in found.classes] == [("n", 60, 20), ("s", 60, 20)]
    assert found.files["test_LM_north.txt"].lines == 20
    assert "No leakage" in render(found)
    assert msgspec.convert(json.loads(as_json(found)), Findings) == found


def test_of_a_folder_that_may_be_half_built_nothing_is_said(tmp_path: Path) -> None:
    """An earlier version, killed, could leave rows and some of the texts, and no manifest."""
    folder = write(tmp_path)
    texts = sorted(folder.glob("test_LM_*.txt"))
    for text in texts[1:]:
        text.unlink()
    (folder / "labels.tsv").unlink(missing_ok=True)
    found = audit(folder)
    assert found.doubt is not None
    assert "No leakage" not in render(found)
    assert "Nothing is said of leakage" in render(found)
    (folder / "labels.tsv").write_text("0\tA\n1\tB\n")
    assert audit(folder).doubt is None


def test_exact_and_near_copies_are_found_with_their_lines(tmp_path: Path) -> None:
    train = "n\tWe will build a bridge to the north.\r\n\r\nn\tThe harbor is open to all of us.\r\ns\tWe rest.\r\n"
    test = "n\tThe harbor is open\u00a0to all of us.\nn\tBut we will build a bridge to the north!\ns\tSo be it now.\n"
    found = audit(write(tmp_path, train_CLS=train, test_CLS=test, test_LM_south="We sleep.\nwe  rest.\n"))
    assert found.has_leakage
    assert leaking(found)["test_CLS.tsv", "train_CLS.tsv"] == (1, 1)
    assert leaking(found)["test_LM_south.txt", "train_CLS.tsv"] == (0, 1)  # but for the capital
    (row,) = [row for row in found.between if (row.test, row.train) == ("test_CLS.tsv", "train_CLS.tsv")]
    assert [(example.line, example.train_line) for example in row.examples] == [(1, 3), (2, 1)]
    assert found.leaks[0].startswith("2 of 3 lines of test_CLS.tsv appear in train_CLS.tsv (1 exactly, 1 nearly)")
    page = render(found)
    assert "test_CLS.tsv:2 But we will build a bridge" in page
    assert "LEAKAGE" in page


def test_a_decoders_test_lines_in_the_classifiers_rows_are_leakage(tmp_path: Path) -> None:
    found = audit(write(tmp_path, test_LM_north="\n".join(sentences("north", 3))))
    assert leaking(found) == {
        ("test_LM_north.txt", "train_CLS.tsv"): (3, 0),
        ("test_LM_north.txt", "train_LM.txt"): (3, 0),
    }


def test_copies_inside_a_file_are_no_leakage(tmp_path: Path) -> None:
    found = audit(
        write(tmp_path, test_LM_north="We sleep well.\nWe sleep well.\nWE SLEEP WELL!\nNot so the others here.")
    )
    assert found.inside["test_LM_north.txt"] == Inside(exact=1, near=2)
    assert not found.has_leakage


def test_contradicting_labels(tmp_path: Path) -> None:
    train = "n\tWe rest.\ns\tWe work.\ns\twe rest\n"
    found = audit(write(tmp_path, train_CLS=train, test_CLS="n\tWe work!\ns\tSo be it.\n")).contradictions
    assert (found.texts, found.rows) == (2, 4)
    assert found.examples[0].places == ["train_CLS.tsv:1 says n", "train_CLS.tsv:3 says s"]


def test_a_character_that_gives_one_class_away(tmp_path: Path) -> None:
    mark = "\u2019"
    train = "".join(f"n\tThe north{mark}s word {i}.\ns\tThe south's word {i}.\n" for i in range(20)) + "s\tWe rest.\n"
    test = f"n\tIt{mark}s ours.\ns\tIt's theirs.\nn\tNothing to see.\ns\tIt{mark}s late.\n"
    found = audit(write(tmp_path, train_CLS=train, test_CLS=test)).give_aways
    assert found.majority_accuracy == 50.0
    characters = {item.item: item for item in found.characters.items}
    assert replace(characters[mark], percent_of_class=0.0) == GiveAway(
        item=mark, class_name="n", rows=20, percent_of_class=0.0, codepoint="U+2019"
    )
    only = {item.item for item in found.characters.items}
    assert {"'", "u"} <= only
    assert "W" not in only  # one row is not often
    assert "e" not in only  # both classes have it
    assert {item.item for item in found.words.items} >= {mark, "south"}
    assert (found.characters.test_rows, found.characters.right_where_present) == (4, 2)


def test_unknown_words_and_truncation(tmp_path: Path) -> None:
    found = audit(
        write(
            tmp_path,
            train_CLS="n\tred blue\ns\tgreen\n",
            train_LM="red\n",
            test_CLS="n\tred\n",
            test_LM_north="red blue\nx y",
        ),
        block_size=1,
    )
    assert found.unknown_words["test_LM_north.txt"] == Unknown(unk_percent=50.0, only_train_CLS_percent=25.0)
    assert found.files["test_LM_north.txt"].truncated == 2
    assert found.files["train_CLS.tsv"].truncated_percent == 50.0


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
    found = audit(write(tmp_path, **rows, test_LM_north=she, test_LM_south=she))
    assert leaking(found) == {}
    again = audit(write(tmp_path, **rows | {"test_CLS": f"she\t{he}।\n"}, test_LM_north=she, test_LM_south=she))
    assert leaking(again)["test_CLS.tsv", "train_CLS.tsv"] == (0, 1)


def test_files_changed_since_they_were_built(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {"train_LM.txt": "0" * 64}}))
    assert audit(tmp_path).changed_since_built == ["train_LM.txt"]
