"""Words, detokenisation, vocabulary and the cache on disk."""

# ruff: noqa: RUF001 (curly quotes and dashes are meant)
import importlib.metadata
import json
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenizer
from common.files import UserError
from tokenizer import PAD, UNK, Tokenization, Tokenizer, detokenize, lacks_spaces, normalized, tokenize, tokenize_all

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
        'He said, "Go home." And they did!',
        '"Yes," she said, "we cannot."',
        "It cost $4.4 billion (or 3%) in the '90s: it's too much?",
        "Our troops' sacrifice -- and ours -- matters...",
        "The world’s hope, America—strong—didn’t fade.",
        "Some say “no,” but 9:30 a.m. works in the U.S. too.",
    ],
)
def test_detokenize_is_the_inverse(text: str) -> None:
    assert detokenize(tokenize(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "well @-@ known , 1 @,@ 000 @.@ 5 <eos> </s>",
            ["well", "@-@", "known", ",", "1", "@,@", "000", "@.@", "5", "<eos>", "</s>"],
        ),
        ("He met the U.S. <unk> there.", ["He", "met", "the", "U.S.", "<unk>", "there", "."]),
        ("a<unk> me@-@you", ["a", "<", "unk", ">", "me", "@", "-", "@", "you"]),  # inside a word it means nothing
        ("<pad> <b c> @x@", ["<", "pad", ">", "<", "b", "c", ">", "@", "x", "@"]),  # padding is no word
        ("\ue000 <unk> x\ue000, \ue000. <s>", ["\ue000", "<unk>", "x\ue000", ",", "\ue000", ".", "<s>"]),
    ],
)
def test_what_prepared_corpora_write_for_words_stays_whole(text: str, words: list[str]) -> None:
    assert tokenize(text) == words


@pytest.mark.parametrize(
    ("texts", "lacking"),
    [
        (["和平晚上石头海洋白银看见大门国王晚上春雨。"], True),
        (["私は毎日学校へ行きます。"], True),
        (["和平 晚上 石头 海洋 白银 看见 大门"], False),  # somebody cut the words out
        (["वह रोज़ घर से स्कूल जाती है", "나는 매일 학교에 간다", "We go."], False),
        (["We read 和平晚上石头 in a book that is otherwise in English, from its first page to its last."], False),
        (["We go to the market.", "和平晚上石头海洋"], True),
        ([], False),
    ],
)
def test_text_without_spaces_between_words(texts: list[str], lacking: bool) -> None:
    assert lacks_spaces(texts) == lacking


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("", ""),
        ("a . b , c ; d : e ? f ! g % h", "a. b, c; d: e? f! g% h"),
        ("a ( b ) c [ d ] e { f } g", "a (b) c [d] e {f} g"),
        ("$ 5 and US$ 6 , # 7", "$5 and US$6, #7"),
        ("a “ b ” c « d » e", "a “b” c «d» e"),
        ("IT 'S I 'M I 'D WE 'LL WE 'RE WE 'VE DO N'T", "IT'S I'M I'D WE'LL WE'RE WE'VE DON'T"),
        ("(x) .) n'ts 'sa", "(x) .) n'ts 'sa"),  # of the words that are glued, the whole word only
        # double quotes: as NLTK writes them, and as they stand where it leaves them alone
        ("say `` Go . '' and `` Stop ''", 'say "Go." and "Stop"'),
        ('a -- " Go " b', 'a -- "Go" b'),
        ('a " b', 'a" b'),
        ("`` a -- '' b", '"a --" b'),
        # single quotes: round words, after words that end in s, before decades
        ("said , ' Go . ' x", "said, 'Go.' x"),
        ("troops ' and workers ' pay", "troops' and workers' pay"),
        ("rock ' n roll", "rock' n roll"),
        ("Go , '", "Go,'"),
        ("' a ' , ' b ' , ' c '", "'a', 'b', 'c'"),
        ("the ' 90s now", "the '90s now"),
        ("troops ' 90 days", "troops' 90 days"),
        ("' the ' 90s , ' he said", "'the '90s, 'he said"),
        ("the ‘ axis ’ of", "the ‘axis’ of"),
        ("the ’ axis ’ of", "the’ axis’ of"),
        ("world ’ s we ’ ll I ’ m I ’ d don ’ t we ’ re we ’ ve", "world’s we’ll I’m I’d don’t we’re we’ve"),
        ("workers ' s ' x", "workers' s' x"),
        # words that NLTK halves
        ("can not gon na wan na got ta gim me lem me 't is 't was", "cannot gonna wanna gotta gimme lemme 'tis 'twas"),
        # dashes between numbers
        ("9 – 10 and 9 ‑ 10 x", "9–10 and 9‑10 x"),
        ("a – 10 and 9 – b – c ‑ d –", "a – 10 and 9 – b – c ‑ d –"),
    ],
)
def test_detokenize_by_hand(words: str, text: str) -> None:
    assert detokenize(words.split()) == text


@given(st.text(max_size=60))
def test_any_text_has_words_without_white_space(text: str) -> None:
    words = tokenize(text)
    assert all(word and not any(c.isspace() for c in word) for word in words)
    assert "".join(detokenize(words).split()).count("$") == text.count("$")  # nothing is lost on the way back


def test_vocabulary_is_sorted_after_the_two_special_words() -> None:
    vocabulary = Tokenizer.build(["we hope", "We work"], ["we rest."])
    assert vocabulary.words == ["<pad>", "<unk>", ".", "We", "hope", "rest", "we", "work"]
    assert len(vocabulary) == 8
    assert vocabulary.ids(["work", "dream", "<pad>", ".", "WE"]) == [7, UNK, PAD, 2, UNK]
    assert vocabulary.encode("we dream .") == [6, UNK, 2]
    assert vocabulary.encode_all(["we dream .", "", "rest"]) == [[6, UNK, 2], [], [5]]
    assert vocabulary.decode([PAD, 6, UNK, 4, 2, PAD, PAD]) == "we <unk> hope."
    assert (PAD, UNK) == (0, 1)


def test_an_unknown_word_can_be_shown_as_it_was_written() -> None:
    vocabulary = Tokenizer.build(["we hope ."])
    text = "we dream, we hope and <pad> ."
    unknown = vocabulary.unknown(text)
    assert unknown == ["dream", ",", "and", "<", "pad", ">"]
    ids = [PAD, *vocabulary.encode("we dream, we"), UNK]
    assert vocabulary.tokens(ids, unknown) == ["we", "dream?", ",?", "we", "and?"]
    assert vocabulary.decode([UNK, UNK], ["dream"]) == "dream? <unk>"


def test_characters() -> None:
    characters = Tokenizer.build(["abba", "c"], ["a b"], tokenization=Tokenization("character"))
    assert characters.words == ["<pad>", "<unk>", " ", "a", "b", "c"]
    assert characters.encode("bad") == [2, 4, 3, UNK]  # white space stands before a text as between two
    assert characters.decode([PAD, 2, 4, UNK, 3, 2, 2]) == "b<unk>a  "
    assert characters.encode_all(["", " \t", "a"]) == [[], [], [2, 3]]
    assert [characters.n_bytes(character) for character in ("d", "é", "人")] == [1, 2, 3]


SPEECH = ["We hope, we'll hope.", "The hope of America’s workers: 90 hopes", "हिन्दी में आशा", "人民希望，人民"] * 5


@pytest.fixture(scope="module")
def subwords() -> Tokenizer:
    texts = [f"{text} {number}" for number, text in enumerate(SPEECH)]
    return Tokenizer.build(texts[:7], texts[7:], tokenization=Tokenization("bpe", 300))


def test_subwords_are_learned_most_frequent_first(subwords: Tokenizer) -> None:
    """Of "aab" the pair "aa" stands in most texts, then "ab" with the space before it."""
    texts = ["aa", "aa ab", "aab", "aa c", "aa d", "aa e", "ab f", "ab g", "ab h", "ab i", "c c c"]
    learned = Tokenizer.build(texts, tokenization=Tokenization("bpe", 300))
    assert learned.words[:2] == ["<pad>", "<unk>"]
    assert learned.words[258:] == [" a", " aa", " ab"]  # " c" stands there four times, too few
    assert [learned.words[i] for i in learned.encode("aab aa c")] == [" aa", "b", " aa", " ", "c"]
    assert len(Tokenizer.build(texts, tokenization=Tokenization("bpe", 260))) == 260
    again = Tokenizer.build(texts * 3, texts, tokenization=Tokenization("bpe", 300))
    assert again.words == learned.words  # a text that stands in two files is read once
    assert len(subwords) > 260


@given(st.text(max_size=40))
def test_any_text_is_made_of_subwords(subwords: Tokenizer, text: str) -> None:
    text = normalized(text)
    ids = subwords.encode(text)
    assert PAD not in ids
    assert UNK not in ids
    assert subwords.decode(ids) == (text if text.strip() else "")
    assert "".join(subwords.words[i] for i in ids).encode(errors="surrogateescape").decode() == (
        f" {text}" if text.strip() else ""
    )


def test_subwords_join_no_two_words_and_part_no_letter_from_its_signs(subwords: Tokenizer) -> None:
    assert all(" " not in word[1:] for word in subwords.words[2:])
    for text, words in (("America’s", [" America", "’s"]), ("we'll 90, हिन्दी", [" we", "'ll", " 90", ",", " हिन्दी"])):
        pieces = subwords._library.pre_tokenizer.pre_tokenize_str(f" {text}")  # type: ignore[attr-defined]
        assert [f" {text}"[start:end] for _, (start, end) in pieces] == words


def test_subwords_end_inside_a_character_and_say_so(subwords: Tokenizer) -> None:
    ids = subwords.encode("☃")  # nowhere in the texts: three bytes
    assert [subwords.words[i] for i in ids] == [" ", "\udce2", "\udc98", "\udc83"]
    assert subwords.decode(ids) == "☃"
    assert subwords.decode(ids[:3]) == "\ufffd"
    with pytest.raises(UnicodeError):
        subwords.encode("a \udce2")


def test_merges_apply_in_the_order_in_which_they_were_learned() -> None:
    for merges, words in (([["a", "b"], ["b", "c"]], [" ", "ab", "c"]), ([["b", "c"], ["a", "b"]], [" ", "a", "bc"])):
        loaded = Tokenizer.from_json({"kind": "bpe", "size": 300, "merges": merges})
        assert [loaded.words[i] for i in loaded.encode("abc")] == words


@pytest.mark.parametrize("kind", ["word", "character", "bpe"])
def test_a_tokenizer_travels_as_json_and_to_other_processes(kind: Any) -> None:
    made = Tokenizer.build(SPEECH, tokenization=Tokenization(kind))
    for copy in (Tokenizer.from_json(json.loads(json.dumps(made.to_json()))), pickle.loads(pickle.dumps(made))):
        assert (copy.words, copy.tokenization, type(copy)) == (made.words, made.tokenization, type(made))
        assert copy.encode_all([*SPEECH, "gizmo"]) == made.encode_all([*SPEECH, "gizmo"])


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"kind": "sentence"},
        {"kind": "word", "words": ["<pad>", "<unk>", 3]},
        {"kind": "word", "words": ["a", "b"]},
        {"kind": "word", "words": ["<pad>", "<unk>", "a", "a"]},
        {"kind": "bpe", "size": 300, "merges": [["a"]]},
        {"kind": "bpe", "size": 300, "merges": [["a", "bc"], ["b", "c"]]},
        {"kind": "bpe", "size": 7, "merges": []},
    ],
)
def test_a_damaged_tokenizer_is_refused(content: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (whatever it says)
        Tokenizer.from_json(content)


@pytest.mark.parametrize(("kind", "size"), [("word", 300), ("character", 300), ("bpe", 257)])
def test_a_vocabulary_size_that_cannot_be(kind: Any, size: int) -> None:
    with pytest.raises(UserError, match="vocabulary_size"):
        Tokenization(kind, size)


@pytest.mark.parametrize(("size", "n_tokens"), [(258, 258), (10**100, 259)])
def test_a_vocabulary_is_as_large_as_asked_or_as_the_texts_allow(size: int, n_tokens: int) -> None:
    texts = [f"h{number}" for number in range(5)]
    assert len(Tokenizer.build(texts, tokenization=Tokenization("bpe", size))) == n_tokens


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
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("ORATOR_CACHE", str(tmp_path / "file"))
    assert tokenize_all(["We \ud800 hope."]) == [["We", "\ud800", "hope", "."]]  # no file can hold half a character


def test_the_cache_knows_content_source_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORATOR_CACHE", str(tmp_path))

    def n_entries_after(texts: list[str]) -> int:
        tokenize_all(texts)
        return len(list((tmp_path / "words").iterdir()))

    different = (["a b", "c"], ["a", "b c"], ["c", "a b"], ["a b", "c"])
    assert [n_entries_after(texts) for texts in different] == [1, 2, 3, 3]
    changed = tmp_path / "tokenizer.py"
    changed.write_bytes(Path(tokenizer.__file__).read_bytes() + b"# another abbreviation")
    monkeypatch.setattr(tokenizer, "__file__", str(changed))
    assert n_entries_after(["a b", "c"]) == 4
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"nltk": "0.0"}[name])
    assert n_entries_after(["a b", "c"]) == 5


def test_a_text_without_spaces_is_learned_from_in_seconds() -> None:
    """Were it one piece, that would take the square of its length."""
    started = time.monotonic()
    learned = Tokenizer.build(["人民希望" * 50_000], tokenization=Tokenization("bpe", 300))
    assert time.monotonic() - started < 30
    assert max(len(word) for word in learned.words) <= 64
    assert learned.decode(learned.encode("人民希望" * 40)) == "人民希望" * 40
