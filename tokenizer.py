"""Text to words to ids: NLTK's word tokenizer, sentence by sentence, and a vocabulary with <pad> 0 and <unk> 1."""

# ruff: noqa: RUF001 (curly quotes and dashes are meant)
from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import regex

from common.files import UserError, read_json, sha256, write_bytes, write_json

PAD, UNK = 0, 1
SPECIAL = ["<pad>", "<unk>"]
VERSION = 2  # part of the cache's key: raise it whenever tokenize_all may give other words for the same text

# Enough for speeches; a trained Punkt model would have to be downloaded. (Punkt itself knows initials such as "J.".)
ABBREVIATIONS = (
    "mr mrs ms dr prof rev hon jr sr st gov sen rep gen col maj capt lt sgt adm pres u.s u.n d.c u.s.a a.m p.m e.g i.e "
    "vs etc inc ltd co corp jan feb mar apr jun jul aug sept oct nov dec"
)

# Scripts that set no spaces between words, and what a word is where text is only compared or counted: letters with the
# signs that stand on them (`\w` takes a vowel sign of Hindi, Tamil or pointed Hebrew for the end of a word), or one
# letter of such a script.
SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = rf"(?V1)[[{SPACELESS}]--\p{{M}}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}_]--[{SPACELESS}]]+"

# What prepared corpora write for a word or a sign; in private use, U+E000 stands for it while NLTK looks at the rest.
PREPARED = re.compile(r"(?<!\S)(?:</?(?!pad>)[a-zA-Z_]+>|@[-,.:/]@)(?!\S)|\ue000")


def normalized(text: str) -> str:
    """`text` with letters and accents as one character (NFC) and without byte order marks, wherever they stand."""
    return unicodedata.normalize("NFC", text.replace("\ufeff", ""))


def lacks_spaces(texts: Iterable[str]) -> bool:
    """Whether a tenth of the text or more is written without spaces between words, as Chinese, Japanese and Thai are.

    A stretch of such letters that is five long or more on average is a clause, not a word that somebody cut out.
    """
    runs, letters, everything = 0, 0, 0
    for text in texts:
        found = [] if text.isascii() else regex.findall(rf"(?V1)(?:[[{SPACELESS}]--\p{{M}}]\p{{M}}*)+", text)
        runs += len(found)
        letters += sum(len(regex.sub(r"\p{M}", "", run)) for run in found)
        everything += len(text)
    return letters >= 5 * runs and letters > everything / 10


def tokenize(text: str) -> list[str]:
    """The words of `text`, as NLTK's word_tokenize gives them, but without a model that must be downloaded."""
    return _tokenize([text])[0]


def tokenize_all(texts: Sequence[str]) -> list[list[str]]:
    """The words of every text. The result is kept on disk by content, so the same texts cost nothing the next time.

    Pass a whole file's lines at once: they share one entry of the cache. With a hit, nltk (over a second of imports)
    is not even loaded. A cache that cannot be read or written, or is damaged, is as good as none.
    """
    key = [VERSION, importlib.metadata.version("nltk"), list(texts)]
    path = cache_directory() / "words" / sha256(json.dumps(key).encode())
    with contextlib.suppress(OSError, ValueError):
        checksum, body = path.read_bytes().split(b"\n", 1)
        if checksum.decode() == sha256(body):
            return [[sys.intern(word) for word in line.split()] for line in body.decode().split("\n")[:-1]]
    result = _tokenize(texts)
    with contextlib.suppress(OSError, ValueError, UserError):
        body = "".join(" ".join(words) + "\n" for words in result).encode()  # NLTK leaves no white space in a word
        write_bytes(path, sha256(body).encode() + b"\n" + body)
    return result


def cache_directory() -> Path:
    """Where results wait to be used again: ORATOR_CACHE, else XDG_CACHE_HOME/orator, else ~/.cache/orator."""
    given = os.environ.get("ORATOR_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (never fails)
    return Path(given) if given else Path(base) / "orator"


def _tokenize(texts: Iterable[str]) -> list[list[str]]:
    from nltk.tokenize.destructive import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    parameters = PunktParameters()
    parameters.abbrev_types = set(ABBREVIATIONS.split())
    sentences, words = PunktSentenceTokenizer(parameters), NLTKWordTokenizer()

    def split(text: str) -> list[str]:
        text = normalized(text)  # lines of files are; what a person types may not be
        whole = iter(PREPARED.findall(text))
        found = [word for part in sentences.tokenize(PREPARED.sub("\ue000", text)) for word in words.tokenize(part)]
        return [sys.intern(re.sub("\ue000", lambda _: next(whole), word)) for word in found]

    return [split(text) for text in texts]


# words that stand close to the one before, to the one after, and the halves into which NLTK splits a word
CLOSES = re.compile(r"[.,;:?!%)\]}…”»—]|\.\.+|'[sSmMdD]|'(?:ll|re|ve|LL|RE|VE)|n't|N'T")
OPENS = re.compile(r"[$#(\[{“«—]|US\$")
SPLIT = {"can not", "gon na", "wan na", "got ta", "gim me", "lem me", "'t is", "'t was"}


def detokenize(words: Sequence[str]) -> str:
    """The text that people would write for `words`: undoes `tokenize` up to white space and the kind of quotes."""
    text, glue, quote, single = "", True, False, False  # glue: no space before the next word
    last = max((i for i, word in enumerate(words) if word == "'"), default=-1)
    for i, word in enumerate(words):
        before, after = words[i - 1] if i else "", words[i + 1] if i + 1 < len(words) else ""
        left, right = bool(CLOSES.fullmatch(word)), bool(OPENS.fullmatch(word))
        if word in ("``", "''", '"'):
            opening = word == "``" or (not quote and (glue or before == "--"))
            quote, left, right, word = opening, not opening, opening, '"'
        elif word in ("'", "’", "‘"):
            decade = after[:1].isdigit() and not before.endswith("s")  # the '90s
            starts = glue or before in (",", ":", "--") or (word == "'" and i < last and not before.endswith("s"))
            opening = decade or word == "‘" or (not single and bool(after) and starts)
            single = opening and not decade
            left, right = not opening, opening or (word == "’" and bool(re.fullmatch("s|t|m|d|ll|re|ve", after)))
        elif f"{before} {word}".lower() in SPLIT:
            left = True
        elif word in ("–", "‑") and before[-1:].isdigit() and after[:1].isdigit():
            left = right = True
        text += word if left or glue else " " + word
        glue = right
    return text


class Tokenizer:
    """A vocabulary: ids 0 and 1 are <pad> and <unk>, the words of the training texts follow in sorted order."""

    def __init__(self, words: Sequence[str]) -> None:
        """`words` is the whole list, id -> word, beginning with <pad> and <unk>, without repetitions."""
        self.words = list(words)
        self._ids = {word: i for i, word in enumerate(self.words)}
        if self.words[:2] != SPECIAL or len(self._ids) < len(self.words):
            raise ValueError("a vocabulary begins with <pad> and <unk> and holds every word once")

    @classmethod
    def build(cls, *files: Sequence[str]) -> Tokenizer:
        """The vocabulary of all words in the texts of `files`: each argument holds the texts of one file."""
        found = {word for texts in files for words in tokenize_all(texts) for word in words}
        return cls(SPECIAL + sorted(found.difference(SPECIAL)))

    def __len__(self) -> int:
        return len(self.words)

    def ids(self, words: Iterable[str]) -> list[int]:
        """Ids of words; a word that the vocabulary lacks is <unk>."""
        return [self._ids.get(word, UNK) for word in words]

    def encode(self, text: str) -> list[int]:
        """Ids of one text. For many texts use `encode_all`."""
        return self.ids(tokenize(text))

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of every text, through the cache of `tokenize_all`."""
        return [self.ids(words) for words in tokenize_all(texts)]

    def unknown(self, text: str) -> list[str]:
        """The words of `text` that the vocabulary lacks, in order: what each <unk> in its ids stands for."""
        return [word for word in tokenize(text) if self.ids([word]) == [UNK]]

    def tokens(self, ids: Iterable[int], unknown: Iterable[str] = ()) -> list[str]:
        """The words of `ids`; <pad> is left out, and the first <unk>s are the words `unknown`, marked: "gizmo?"."""
        own = iter(unknown)
        found = ((i, next(own, None) if i == UNK else None) for i in ids if i != PAD)
        return [self.words[i] if word is None else f"{word}?" for i, word in found]

    def decode(self, ids: Iterable[int], unknown: Iterable[str] = ()) -> str:
        """The text of `ids` as people write it; <pad> and <unk> as in `tokens`."""
        return detokenize(self.tokens(ids, unknown))

    def save(self, path: Path | str) -> None:
        """Write the vocabulary as JSON."""
        write_json(path, {"words": self.words})

    @classmethod
    def load(cls, path: Path | str) -> Tokenizer:
        """The vocabulary that `save` wrote; UserError when the file is missing or damaged."""
        content = read_json(path)
        words = content.get("words") if isinstance(content, dict) else None
        try:
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise ValueError("no list of words")
            return cls(words)
        except ValueError as error:
            raise UserError(f"{path}: not a vocabulary ({error}); train the model again") from error
