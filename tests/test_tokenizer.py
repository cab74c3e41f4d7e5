"""Words, detokenisation, vocabulary and the cache on disk."""

# ruff: noqa: RUF001 (curly quotes and dashes are meant)
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenizer
from files import UserError
from tokenizer import PAD, UNK, Tokenizer, detokenize, tokenize, tokenize_all

ROOT = Path(__file__).parent.parent


def test_words_are_nltk_words_sentence_by_sentence() -> None:
    assert tokenize("We can't stop. Mr. Smith paid $4.4 billion.") == (
        ["We", "ca", "n't", "stop", ".", "Mr.", "Smith", "paid", "$", "4.4", "billion", "."]
    )
    assert tokenize('He said, "Go."') == ["He", "said", ",", "``", "Go", ".", "''"]
    assert tokenize("an America—strong and free") == ["an", "America", "—", "strong", "and", "free"]
    assert tokenize("") == tokenize(" \n") == []


@pytest.mark.parametrize(
    "text",
    [
        "We can't wait, and we won't; it's the people's choice.",
        'He said, "Go home." And they did!',
        '"Yes," she said, "we cannot."',
        "It cost $4.4 billion (or 3%) in the '90s: too much?",
        "Our troops' sacrifice -- and ours -- matters...",
        "He called it the 'axis of evil' tonight.",
        "The world’s hope, America—strong—didn’t fade.",
        "Some say “no,” but 9:30 a.m. works in the U.S. too.",
        "I'm gonna go.",
    ],
)
def test_detokenize_is_the_inverse(text: str) -> None:
    assert detokenize(tokenize(text)) == text


@given(st.text(max_size=60))
def test_any_text_has_words_without_white_space(text: str) -> None:
    words = tokenize(text)
    assert all(word and not any(c.isspace() for c in word) for word in words)
    assert "".join(detokenize(words).split()).count("$") == text.count("$")  # nothing is lost on the way back


def test_vocabulary_is_sorted_after_the_two_special_words() -> None:
    vocabulary = Tokenizer.build(["we hope", "We work"], ["we rest."])
    assert vocabulary.words == ["<pad>", "<unk>", ".", "We", "hope", "rest", "we", "work"]
    assert len(vocabulary) == 8
    assert vocabulary.encode("we dream .") == [6, UNK, 2]
    assert vocabulary.encode_all(["we dream .", ""]) == [[6, UNK, 2], []]
    assert vocabulary.decode([6, 4, 2, PAD, PAD]) == "we hope."


def test_ids_do_not_depend_on_the_process() -> None:
    script = "from tokenizer import Tokenizer; print(Tokenizer.build(['b a d c', 'Z y']).words)"
    runs = [
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1] == "['<pad>', '<unk>', 'Z', 'a', 'b', 'c', 'd', 'y']\n"


def test_save_and_load(tmp_path: Path) -> None:
    Tokenizer.build(["señor, we’re here"]).save(tmp_path / "vocabulary.json")
    loaded = Tokenizer.load(tmp_path / "vocabulary.json")
    assert loaded.encode("we señor nobody") == [loaded.words.index("we"), loaded.words.index("señor"), UNK]


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"words": ["a", "b"]}', '{"words": ["<pad>", "<unk>", "a", "a"]}', "{"]
)
def test_a_damaged_vocabulary_is_a_user_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"vocabulary\.json"):
        Tokenizer.load(path)


def test_the_cache_saves_importing_nltk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORATOR_CACHE", str(tmp_path))
    texts = ["It's here.", "", "a\u2028b \x85 c"]
    first = tokenize_all(texts)
    script = f"import sys, tokenizer; print(tokenizer.tokenize_all({texts!r}) == {first!r}, 'nltk' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "True False\n"


def test_a_damaged_cache_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORATOR_CACHE", str(tmp_path))
    expected = tokenize_all(["We hope.", "We work."])
    (entry,) = (tmp_path / "words").iterdir()
    whole = entry.read_bytes()
    for damaged in (b"", whole[:-3], whole.replace(b"hope", b"mope"), b"\xff\n\xfe"):
        entry.write_bytes(damaged)
        assert tokenize_all(["We hope.", "We work."]) == expected
        assert entry.read_bytes() == whole  # and mended


def test_an_unwritable_cache_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("ORATOR_CACHE", str(tmp_path / "file"))
    assert tokenize_all(["We hope."]) == [["We", "hope", "."]]


def test_the_cache_knows_content_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORATOR_CACHE", str(tmp_path))
    assert tokenize_all(["a b", "c"]) != tokenize_all(["a", "b c"])
    monkeypatch.setattr(tokenizer, "VERSION", -1)
    tokenize_all(["a b", "c"])
    assert len(list((tmp_path / "words").iterdir())) == 3


def test_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORATOR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert tokenizer.cache_directory() == Path("/x/orator")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert tokenizer.cache_directory() == Path.home() / ".cache" / "orator"
