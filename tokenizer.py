"""Text to tokens to ids and back. A token is a word (NLTK's word tokenizer, sentence by sentence), a subword or a
character; whichever it is, id 0 is <pad> and id 1 is <unk>.

First words: NLTK's, the way back, and the cache on disk. Then `Tokenizer`, a vocabulary of words, and the two kinds
that cut text in another way: `Characters` and `Subwords`.
"""

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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import regex

from common.environment import import_nltk
from common.files import UserError, sha256, write_bytes

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

PAD, UNK = 0, 1
SPECIAL = ["<pad>", "<unk>"]

# --------------------------------------------------------------------------------------------------------------- words

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

# What prepared corpora write for a word or a sign: <unk>, </s>, @-@. NLTK would cut "a <unk> b" into a < unk > b.
# Therefore it is shown "a \ue000 b", which it leaves whole, and the piece is put back afterwards. U+E000 is a character
# for private use, which no text should hold; one that does keeps it, since it counts as such a piece itself.
PREPARED = re.compile(r"(?<!\S)(?:</?(?!pad>)[a-zA-Z_]+>|@[-,.:/]@)(?!\S)|\ue000")


def normalized(text: str) -> str:
    """`text` with letters and accents as one character (NFC) and without byte order marks, wherever they stand."""
    return unicodedata.normalize("NFC", text.replace("\ufeff", ""))


def lacks_spaces(texts: Iterable[str]) -> bool:
    """Whether a tenth of the text or more is written without spaces between words, as Chinese, Japanese and Thai are.

    A stretch of such letters that is five long or more on average is a clause, not a word that somebody cut out.
    """
    n_runs, n_letters, n_characters = 0, 0, 0
    for text in texts:
        runs = [] if text.isascii() else regex.findall(rf"(?V1)(?:[[{SPACELESS}]--\p{{M}}]\p{{M}}*)+", text)
        n_runs += len(runs)
        n_letters += sum(len(regex.sub(r"\p{M}", "", run)) for run in runs)
        n_characters += len(text)
    return n_letters >= 5 * n_runs and n_letters > n_characters / 10


def _tokenize(texts: Iterable[str]) -> list[list[str]]:
    """The words of every text, as NLTK's word_tokenize gives them, but without a model that must be downloaded."""
    import_nltk()
    from nltk.tokenize.destructive import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    parameters = PunktParameters()
    parameters.abbrev_types = set(ABBREVIATIONS.split())
    sentences, words = PunktSentenceTokenizer(parameters), NLTKWordTokenizer()

    def split(text: str) -> list[str]:
        prepared = iter(PREPARED.findall(text))
        cut = [word for part in sentences.tokenize(PREPARED.sub("\ue000", text)) for word in words.tokenize(part)]
        return [sys.intern(re.sub("\ue000", lambda _: next(prepared), word)) for word in cut]

    return [split(text) for text in texts]


def tokenize(text: str) -> list[str]:
    """The words of one text."""
    return _tokenize([text])[0]


def tokenize_all(texts: Sequence[str]) -> list[list[str]]:
    """The words of every text. They are kept on disk, so that the same texts cost nothing the next time.

    Pass a whole file's lines at once: they share one entry of the cache. With a hit, NLTK is not even loaded. An entry
    is found by the texts, by this file's source, which decides what words are, and by NLTK's version. A cache that
    cannot be read or written, or is damaged, is as good as none.
    """
    source = sha256(Path(__file__).read_bytes())
    key = json.dumps([source, importlib.metadata.version("nltk"), list(texts)])
    path = cache_directory() / "words" / sha256(key.encode())
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


# ------------------------------------------------------------------------------------------------------- tokenizers

TokenKind = Literal["word", "bpe", "character"]
NAMES: dict[TokenKind, str] = {"word": "word", "bpe": "BPE token", "character": "character"}
BPE_SIZE = 4000  # chosen on text held out of training: docs/tokenizers.md
LEAST = 5  # times that a subword must stand in the training texts: one that is rarer teaches nothing
N_BYTES = 256


@dataclass(frozen=True)
class Tokenization:
    """What kind of tokens a text is cut into, as somebody asked for it."""

    kind: TokenKind = "word"
    size: int | None = None  # of the vocabulary of "bpe"; the training files decide that of the others

    def __post_init__(self) -> None:
        if self.kind != "bpe" and self.size is not None:
            remedy = "leave it out, or choose --tokenizer bpe"
            raise UserError(f"vocabulary_size does nothing with {self.kind} tokens, which the texts decide; {remedy}")
        if self.size is not None and self.size < len(SPECIAL) + N_BYTES:
            least = f"{len(SPECIAL) + N_BYTES}: <pad>, <unk> and the {N_BYTES} bytes"
            raise UserError(f"vocabulary_size is {self.size}; it must be at least {least}")

    @property
    def tokens(self) -> str:
        """What they are called: "words", "BPE tokens", "characters"."""
        return f"{NAMES[self.kind]}s"


WORDS = Tokenization()


class TokenizerState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tokenizer as JSON: the vocabulary; of subwords the size asked for and the merges, from which it follows."""

    kind: TokenKind
    words: list[str] = []
    size: int = 0
    merges: list[tuple[str, str]] = []


class Tokenizer:
    """A vocabulary, and how text falls into its tokens: here NLTK's words. White space is no token."""

    tokenization = WORDS

    def __init__(self, words: Sequence[str]) -> None:
        """`words` is the text of every token, id -> token, beginning with <pad> and <unk>, without repetitions."""
        self.words = list(words)
        self.characters = frozenset("".join(self.words))
        self._ids = {word: i for i, word in enumerate(self.words)}
        if self.words[:2] != SPECIAL or len(self._ids) < len(self.words):
            raise ValueError("a vocabulary begins with <pad> and <unk> and holds every word once")

    @staticmethod
    def build(*files: Sequence[str], tokenization: Tokenization = WORDS) -> Tokenizer:
        """The tokenizer of the training texts: each of `files` holds the texts of one file.

        Words and characters are all that stand there, in sorted order; subwords are learned from them.
        """
        if tokenization.kind == "bpe":
            return Subwords.train([text for texts in files for text in texts], tokenization.size or BPE_SIZE)
        kind = Tokenizer if tokenization.kind == "word" else Characters
        split_all = kind(SPECIAL).split_all
        tokens = {token for texts in files for row in split_all(texts) for token in row}
        return kind(SPECIAL + sorted(tokens.difference(SPECIAL)))

    def split_all(self, texts: Sequence[str]) -> list[list[str]]:
        """The tokens of every text, as they stand in it, known or not. A single text leaves no entry in the cache."""
        return tokenize_all(texts) if len(texts) > 1 else _tokenize(texts)

    def split(self, text: str) -> list[str]:
        """The tokens of one text."""
        return self.split_all([text])[0]

    def join(self, tokens: Sequence[str]) -> str:
        """The text of `tokens` as people write it."""
        return detokenize(tokens)

    def n_bytes(self, token: str) -> int:
        """How many bytes spell a token that the vocabulary lacks; the end of a word takes one more."""
        return len(token.encode()) + 1

    def to_json(self) -> dict[str, object]:
        """All of it, for a file of JSON."""
        return {"kind": self.tokenization.kind, "words": self.words}

    @staticmethod
    def from_json(content: object) -> Tokenizer:
        """The tokenizer of `to_json`; ValueError where `content` is anything else."""
        try:
            state = msgspec.convert(content, TokenizerState)
            if state.kind == "bpe":
                return Subwords(state.size, state.merges)
            return Tokenizer(state.words) if state.kind == "word" else Characters(state.words)
        except (msgspec.ValidationError, UserError) as error:
            raise ValueError(str(error)) from error

    def __len__(self) -> int:
        return len(self.words)

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """Ids of tokens; one that the vocabulary lacks is <unk>."""
        return [self._ids.get(token, UNK) for token in tokens]

    def encode(self, text: str) -> list[int]:
        """Ids of one text. For many texts use `encode_all`."""
        return self.ids(self.split(text))

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of every text; those of words through the cache of `tokenize_all`."""
        return [self.ids(tokens) for tokens in self.split_all(texts)]

    def unknown(self, text: str) -> list[str]:
        """The tokens of `text` that the vocabulary lacks, in order: what each <unk> in its ids stands for."""
        return [token for token in self.split(text) if self.ids([token]) == [UNK]]

    def tokens(self, ids: Iterable[int], unknown: Iterable[str] = ()) -> list[str]:
        """The tokens of `ids`; <pad> is left out, and the first <unk>s are the tokens `unknown`, marked: "gizmo?"."""
        marked = (f"{token}?" for token in unknown)
        return [next(marked, SPECIAL[UNK]) if i == UNK else self.words[i] for i in ids if i != PAD]

    def decode(self, ids: Iterable[int], unknown: Iterable[str] = ()) -> str:
        """The text of `ids` as people write it; <pad> and <unk> as in `tokens`."""
        return self.join(self.tokens(ids, unknown))


class Characters(Tokenizer):
    """Unicode characters, white space among them: before a text, too, as between the lines of a longer one."""

    tokenization = Tokenization("character")

    def split_all(self, texts: Sequence[str]) -> list[list[str]]:
        return [list(_with_space(text)) for text in texts]

    def join(self, tokens: Sequence[str]) -> str:
        return "".join(tokens).removeprefix(" ")

    def n_bytes(self, token: str) -> int:
        return len(token.encode())


class Subwords(Tokenizer):
    """Byte-pair encoding (Sennrich et al. 2016) over the bytes of UTF-8: any text is made of tokens that are known.

    Tokens are text with the space before it. Where one ends inside a character, its bytes that make none stand as lone
    surrogates (Python's "surrogateescape"), so that tokens are what they are made of and no two look the same.
    """

    # Across these no token may reach: a word with the space before it, signs that stand on a letter included; figures;
    # what else is no space; spaces. At most 64 of them, for learning takes the square of what stands without a space.
    PIECES = (
        r"['’](?i:[sdmt]|ll|ve|re)(?![\p{L}\p{M}])"
        r"| ?[\p{L}\p{M}]{1,64}| ?\p{N}{1,64}| ?[^\s\p{L}\p{M}\p{N}]{1,64}|\s{1,64}(?!\S)|\s{1,64}"
    )

    def __init__(self, size: int, merges: Sequence[tuple[str, str]]) -> None:
        """`merges` in the order in which they were learned, in the alphabet of GPT-2, a character a byte; ValueError if
        one joins what none before it has made."""
        self.tokenization, self.merges = Tokenization("bpe", size), list(merges)
        ids = {character: number for number, character in enumerate(sorted(byte_alphabet()))}
        for left, right in self.merges:
            if left not in ids or right not in ids:
                raise ValueError(f"a merge joins {left!r} and {right!r}, which are no tokens before it")
            ids.setdefault(left + right, len(ids))
        byte = {character: value for value, character in enumerate(byte_alphabet())}
        spelled = [bytes(byte[character] for character in token) for token in ids]
        super().__init__(SPECIAL + [token.decode(errors="surrogateescape") for token in spelled])
        self._library = self._cutting(ids, self.merges)

    @classmethod
    def train(cls, texts: Sequence[str], size: int) -> Subwords:
        """Learn the pairs that `texts`, each read once, have most often, until there are `size` tokens with <pad> and
        <unk>, or no pair stands there LEAST times."""
        from tokenizers.trainers import BpeTrainer

        library = cls._cutting()
        most = N_BYTES + sum(len(_with_space(text).encode()) for text in texts)  # the library reserves memory for all
        trainer = BpeTrainer(
            vocab_size=min(size - len(SPECIAL), most),
            min_frequency=LEAST,
            initial_alphabet=byte_alphabet(),
            show_progress=False,
        )
        library.train_from_iterator([_with_space(text) for text in dict.fromkeys(texts)], trainer)
        merges = json.loads(library.to_str())["model"]["merges"]
        return cls(size, [(left, right) for left, right in merges])

    @classmethod
    def _cutting(cls, ids: dict[str, int] | None = None, merges: Sequence[tuple[str, str]] = ()) -> Library:
        """The library's tokenizer with these tokens and merges, which joins none across PIECES."""
        from tokenizers import Regex, models, pre_tokenizers
        from tokenizers import Tokenizer as Library

        library = Library(models.BPE(ids or {}, list(merges)))
        cut = pre_tokenizers.Split(Regex(cls.PIECES), "isolated")
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        library.pre_tokenizer = pre_tokenizers.Sequence([cut, to_bytes])
        return library

    def split_all(self, texts: Sequence[str]) -> list[list[str]]:
        texts = [_with_space(text).encode().decode() for text in texts]  # half a character is a UnicodeError
        encoded = self._library.encode_batch(texts)
        return [[self.words[len(SPECIAL) + i] for i in row.ids] for row in encoded]

    def join(self, tokens: Sequence[str]) -> str:
        return "".join(tokens).encode(errors="surrogateescape").decode(errors="replace").removeprefix(" ")

    def to_json(self) -> dict[str, object]:
        return {"kind": "bpe", "size": self.tokenization.size, "merges": self.merges}


def byte_alphabet() -> list[str]:
    """The character that stands for each byte in the merges of GPT-2 (Radford et al. 2019) and since: itself where it
    can be seen, and from U+0100 on the others."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(N_BYTES) if byte not in seen]
    return [chr(byte if byte in seen else N_BYTES + others.index(byte)) for byte in range(N_BYTES)]


def _with_space(text: str) -> str:
    """A text as it stands after another; nothing if it is blank."""
    return " " + text if text.strip() else ""
