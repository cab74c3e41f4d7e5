"""Own texts become a data folder like the built one, or an error that says what is missing."""

import errno
from pathlib import Path

import pytest

from common import files
from common.files import UserError
from dataset import load_corpus
from speechesdataset.audit import audit
from speechesdataset.own_texts import import_folder

THINGS = ["road", "river", "school", "farm", "bridge", "harbor", "market", "garden"]


def text(name: str, n: int) -> str:
    """Prose in which no two sentences are alike; a blank line after every third, lines broken inside sentences."""
    sentence = "{0}{1} will mend\n{0}{3} the {2} while {0}{4} sees Mr. {0}{1} again."
    made = [sentence.format(name, i, THINGS[i % 8], i * 7 + 1, i * 11 + 5) for i in range(n)]
    return "\n\n".join(" ".join(made[i : i + 3]) for i in range(0, n, 3))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("Ada Lovelace", "Bob"):
        (tmp_path / "texts" / name / "old").mkdir(parents=True)
        for file in ("one.txt", "old/two.TXT"):
            (tmp_path / "texts" / name / file).write_text(text(name[0] + Path(file).stem, 60))
        (tmp_path / "texts" / name / "notes.md").write_text("no speech")
    (tmp_path / "texts" / ".git").mkdir()
    return tmp_path / "texts"


@pytest.mark.parametrize("split", ["stretch", "speech"])
def test_own_texts_become_a_clean_data_folder(source: Path, tmp_path: Path, split: str) -> None:
    manifest = import_folder(source, tmp_path / "out", split)  # type: ignore[arg-type]
    corpus = load_corpus(tmp_path / "out")
    assert corpus.class_names == ["Ada Lovelace", "Bob"]
    assert sorted(corpus.test_texts) == ["Ada-Lovelace", "Bob"]
    assert [counts["test_segments"] for counts in manifest["speakers"]] == [30, 30]
    assert len(corpus.test) == 60
    assert all(row.text.startswith(corpus.class_names[int(row.label)][0]) for row in corpus.train + corpus.test)
    assert all(" the " in row.text and row.text.endswith(" again.") for row in corpus.train)  # whole sentences
    assert not audit(tmp_path / "out")["has_leakage"]
    if split == "speech":  # the two documents of a speaker are on different sides
        documents = [{row.text[:2] for row in rows} for rows in (corpus.train, corpus.test)]
        assert not documents[0] & documents[1]


def test_too_little_text_says_how_much_is_needed(source: Path, tmp_path: Path) -> None:
    (source / "Bob" / "old" / "two.TXT").unlink()
    (source / "Bob" / "one.txt").write_text(text("B", 12))
    with pytest.raises(UserError, match=r"Bob: 12 sentences .* at least 40 are needed \(about 800 words\)"):
        import_folder(source, tmp_path / "out")
    with pytest.raises(UserError, match="one document only"):
        import_folder(source, tmp_path / "out", "speech")
    (source / "Bob" / "one.txt").write_text(text("B", 60))
    (source / "Bob" / "two.txt").write_text("We rest here at last.")
    with pytest.raises(UserError, match=r"Bob: .* at least 10 each are needed; split by stretch"):
        import_folder(source, tmp_path / "out", "speech")
    assert not (tmp_path / "out").exists()


def test_bad_sources_are_user_errors(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="no such folder"):
        import_folder(source / "nobody", out)
    with pytest.raises(UserError, match="lies in the folder"):
        import_folder(source, source / "out")
    with pytest.raises(UserError, match="0 sub-folders"):
        import_folder(source / ".git", out)
    (source / "Carl").mkdir()
    with pytest.raises(UserError, match=r"Carl: no \.txt file"):
        import_folder(source, out)
    (source / "Carl" / "a.txt").write_bytes(b"fine\nca\xfe\xff\n")
    with pytest.raises(UserError, match=r"a\.txt:2: not UTF-8"):
        import_folder(source, out)
    (source / "Carl" / "a.txt").write_bytes(b"fine\nca\0\n")
    with pytest.raises(UserError, match=r"a\.txt:2: NUL"):
        import_folder(source, out)
    (source / "loose.txt").write_text("We rest.")
    with pytest.raises(UserError, match=r"loose\.txt: belongs to no speaker"):
        import_folder(source, out)
    assert not out.exists()


def test_a_speaker_is_not_called_as_tables_call_the_training_text(source: Path, tmp_path: Path) -> None:
    (source / "train").mkdir()
    (source / "train" / "a.txt").write_text("We rest.")
    with pytest.raises(UserError) as caught:
        import_folder(source, tmp_path / "out")
    assert str(caught.value) == f"{source / 'train'}: tables use the name 'train' already; rename the folder"
    assert not (tmp_path / "out").exists()


def test_names_that_would_share_a_file(source: Path, tmp_path: Path) -> None:
    (source / "Ada-Lovelace").mkdir()
    (source / "Ada-Lovelace" / "a.txt").write_text("We rest.")
    with pytest.raises(UserError, match="nearly the same name"):
        import_folder(source, tmp_path / "out")


def test_a_full_disk_leaves_the_previous_files_whole(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    import_folder(source, out)
    (out / "train_LM.txt").unlink()
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        import_folder(source, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
