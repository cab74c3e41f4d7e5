"""Words for numbers, and for what was meant; text that cannot disturb a terminal."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def duration(seconds: float) -> str:
    """A time in the unit that a person would choose: "3.7 s", "2.1 minutes", "2.5 hours"."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    value, unit = (seconds / 60, "minutes") if seconds < 2 * 3600 else (seconds / 3600, "hours")
    return f"{round(value, 1):g} {unit}"


def counted(number: int, noun: str) -> str:
    """So many of what the noun names: "1 thread", "2 threads"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def in_one_line(text: str) -> str:
    """`text` with a space for each character that would break or move the line, as names from files may hold."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text)


def and_more(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question for whoever wrote a word that is not known: "did you mean part1 or part2?"; "" if none is like it."""
    near = get_close_matches(word, list(known), n=2)
    return f"did you mean {' or '.join(near)}?" if near else ""
