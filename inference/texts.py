"""Texts that somebody gives: a sentence that was typed, the lines of a text, the name of a file."""

import contextlib
import re
from pathlib import Path

from common.files import UserError
from speechesdataset.folder import read_lines
from speechesdataset.split import GUILLEMETS, SIGNS, spaced, straight
from tokenizer import Tokenizer, normalized

# What nobody writes as a sentence: a path from the root, from here or from home; a name that ends as texts do.
FILE_NAME = re.compile(
    r"(?i)(?:\.{0,2}/|~/|[a-z]:\\)\S.*"
    r"|.*\.(?:txt|text|md|markdown|rst|rtf|docx?|odt|pdf|epub|html?|xml|tex|csv|tsv|jsonl?|srt|vtt|log)"
)


def uniform_text(text: str, tokenizer: Tokenizer) -> str:
    """A text as somebody typed it, written as the training files are.

    A letter with its accents is one character (NFC), and all white space is a single space. Quotation marks, dashes and
    dots that stand in no token of the vocabulary are written as `data build` and `data import` write them; signs that
    the model knows stay as they are, for they may tell one speaker from another.
    """
    text = " ".join(normalized(text).split())
    lacking = "".join(sign for sign in SIGNS if sign in text and sign not in tokenizer.characters)
    if lacking:  # with the figures at both sides of a sign: a dash between two is a hyphen
        text = re.sub(rf"\d?(?:[{lacking}]\d?)+", lambda run: spaced(straight(run[0].translate(GUILLEMETS))), text)
    return " ".join(text.split())


def named_file(text: str) -> Path | None:
    """The file of this name; None where it is a text; UserError for the name of a folder, and for what can only be the
    name of a file, which is not there."""
    path, is_there, is_folder = Path(text), False, False
    with contextlib.suppress(OSError, ValueError):  # too long for a name, or with a NUL
        is_there, is_folder = bool(text.strip()) and path.exists(), path.is_dir()
    if is_there and is_folder:
        raise UserError(f"{text}: a folder, no such file of text; give one, or a text in quotes")
    if not is_there and FILE_NAME.fullmatch(text.strip()):
        raise UserError(f"{text}: no such file of text; give one, or a text in quotes")
    return path if is_there else None


def refuse_file_name(text: str) -> None:
    """UserError for what can only be the name of a file, where a command reads none."""
    if FILE_NAME.fullmatch(text.strip()):
        raise UserError(f"{text}: the name of a file, which only classify and score read; give a text in quotes")


def lines_of(text: str) -> list[str]:
    """The lines of the file of this name, or of the text itself where it is none; UserError as in `named_file`."""
    path = named_file(text)
    return lines_in(text) if path is None else [line for _, line in read_lines(path)]


def lines_in(text: str) -> list[str]:
    """The lines of a text that hold something."""
    return [line.strip() for line in text.split("\n") if line.strip()]
