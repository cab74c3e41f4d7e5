"""Signs in which typists differ and speakers do not: quotation marks, dashes, dots and white space, made uniform."""

import re

import regex

DASHES = re.compile("\\s?[-\u2012-\u2015][-\u2012-\u2015\\s]*")  # a run of hyphens and dashes, and the space round it
DASH = re.compile("[\u2012-\u2015]|--|\\s-\\s")


def straight(text: str) -> str:
    """`text` with straight quotation marks and apostrophes, and three dots for an ellipsis."""
    text = re.sub("[\u2018\u2019]", "'", text)
    return re.sub("[\u201c\u201d\u201e]|''", '"', text).replace("\u2026", "...")


def spaced(text: str) -> str:
    """`text` with " -- " for every dash, a hyphen between figures, and single spaces."""
    text = re.sub("(?<=\\d)\u2013(?=\\d)", "-", " ".join(text.split()))
    return DASHES.sub(lambda run: " -- " if DASH.search(run[0]) else run[0], text)


def mostly_letters(text: str) -> bool:
    """Whether `text` is writing rather than a row of a table or a ruler; vowel signs count as letters."""
    return len(regex.findall(r"[\p{L}\p{M}]", text)) > 0.6 * len(text.replace(" ", ""))
