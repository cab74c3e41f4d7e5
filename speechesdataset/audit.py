"""The truth about a data folder: sizes, copies between and inside files, give-aways, unknown words, encoding.

Each section has the records that audit.json holds, then what finds them. Shares are in percent.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from msgspec import field

from common.checks import Record
from common.files import read_text, sha256
from speechesdataset.duplicates import NEAR, closest, normal_words
from speechesdataset.folder import (
    LABELS,
    TEST_ROWS,
    TRAIN_ROWS,
    TRAIN_TEXT,
    Corpus,
    MadeSpeaker,
    Manifest,
    load_corpus,
    read_lines,
    read_manifest,
    same_text,
    text_file,
    warn_of_missing_spaces,
)
from tokenizer import tokenize_all

N_EXAMPLES = 5
Rows = Sequence[tuple[int, str]]  # line, text
Words = Sequence[Sequence[str]]  # of each row


class Findings(Record, frozen=True):
    """All that an audit finds."""

    directory: str
    block_size: int
    has_leakage: bool
    leaks: list[str]  # a sentence for each way in which test material stands in training files
    doubt: str | None  # why the files may not be all
    changed_since_built: list[str]  # files whose SHA-256 is not the one in the manifest
    left_out: list[MadeSpeaker]
    files: dict[str, Sizes]
    classes: list[ClassRows]
    between: list[Between]
    inside: dict[str, Inside]
    contradictions: Contradictions
    give_aways: GiveAways
    unknown_words: dict[str, Unknown]
    encoding: dict[str, list[Oddity]]


def audit(directory: Path | str, block_size: int = 32) -> Findings:
    """Examine a data folder; UserError for data that cannot be read at all."""
    corpus = load_corpus(directory)
    warn_of_missing_spaces(corpus)
    folder, manifest = corpus.directory, read_manifest(corpus.directory)
    train: dict[str, Rows] = {
        TRAIN_ROWS: [(row.line, row.text) for row in corpus.train],
        TRAIN_TEXT: read_lines(folder / TRAIN_TEXT),
    }
    test: dict[str, Rows] = {TEST_ROWS: [(row.line, row.text) for row in corpus.test]}
    test |= {name: read_lines(folder / name) for name in map(text_file, corpus.test_texts)}
    files = train | test
    words = {name: tokenize_all([text for _, text in rows]) for name, rows in files.items()}
    between = _between(train, test)
    leaks = [
        f"{pair.exact + pair.near:,} of {pair.rows:,} lines of {pair.test} appear in {pair.train} "
        f"({pair.exact:,} exactly, {pair.near:,} nearly)"
        for pair in between
        if pair.exact + pair.near
    ]
    oddities = {name: _oddities(read_text(folder / name)) for name in files}
    return Findings(
        directory=str(folder),
        block_size=block_size,
        has_leakage=bool(leaks),
        leaks=leaks,
        doubt=_doubt(corpus, manifest),
        changed_since_built=_changed(folder, manifest) if manifest else [],
        left_out=manifest.speakers if manifest else [],
        files={name: _sizes(words[name], block_size) for name in files},
        classes=_classes(corpus),
        between=between,
        inside={name: _inside(rows) for name, rows in files.items()},
        contradictions=_contradictions(corpus),
        give_aways=_give_aways(corpus, words[TRAIN_ROWS], words[TEST_ROWS]),
        unknown_words=_unknown(words[TRAIN_ROWS], words[TRAIN_TEXT], {name: words[name] for name in sorted(test)}),
        encoding={name: odd for name, odd in oddities.items() if odd},
    )


def _doubt(corpus: Corpus, manifest: Manifest | None) -> str | None:
    """Why the files may not be all that belong: a build of an earlier version that was killed could leave such."""
    n_texts, n_classes = len(corpus.test_texts), len(corpus.labels)
    if manifest or (corpus.directory / LABELS).exists() or n_texts >= n_classes:
        return None
    return f"{n_texts} test texts for {n_classes} classes, and no manifest.json: the folder may be half built"


def _changed(folder: Path, manifest: Manifest) -> list[str]:
    return [name for name, digest in manifest.files.items() if sha256((folder / name).read_bytes()) != digest]


# --------------------------------------------------------------------------------------------------------------- sizes
class Sizes(Record, frozen=True):
    """A file's lines, in words, and how many of them are longer than the block."""

    lines: int
    words: int
    mean_length: float
    median_length: float
    longest: int
    truncated: int
    truncated_percent: float


def _sizes(rows: Words, block_size: int) -> Sizes:
    lengths = np.array([len(row) for row in rows])
    truncated = int((lengths > block_size).sum())
    return Sizes(
        lines=len(rows),
        words=int(lengths.sum()),
        mean_length=float(lengths.mean()),
        median_length=float(np.median(lengths)),
        longest=int(lengths.max()),
        truncated=truncated,
        truncated_percent=100 * truncated / len(rows),
    )


class ClassRows(Record, frozen=True):
    """How many rows of each file a class has."""

    label: str
    name: str
    train: int
    train_percent: float
    test: int
    test_percent: float


def _classes(corpus: Corpus) -> list[ClassRows]:
    train, test = (Counter(row.label for row in rows) for rows in (corpus.train, corpus.test))
    shares = {label: (100 * train[label] / train.total(), 100 * test[label] / test.total()) for label in corpus.labels}
    return [
        ClassRows(label, name, train[label], shares[label][0], test[label], shares[label][1])
        for label, name in zip(corpus.labels, corpus.class_names)
    ]


# -------------------------------------------------------------------------------------------------------------- copies
class Copy(Record, frozen=True):
    """A test line, and the training line that is the most like it."""

    line: int
    text: str
    train_line: int
    train_text: str
    share: float  # of the test line's words, from 0 to 1


class Between(Record, frozen=True):
    """How many lines of a test file have a copy or near copy in a training file, and some of them."""

    test: str
    train: str
    rows: int  # of the test file
    exact: int
    near: int
    examples: list[Copy]


def _between(train: Mapping[str, Rows], test: Mapping[str, Rows]) -> list[Between]:
    """For each pair of a test and a training file: test lines of which a copy or near copy stands in training."""
    lines = [(name, line, text) for name, rows in test.items() for line, text in rows]
    result = []
    for train_name, train_rows in train.items():
        known = {same_text(text) for _, text in train_rows}
        index, share = closest([text for _, _, text in lines], [text for _, text in train_rows])
        for name, rows in test.items():
            of_file = [i for i, line in enumerate(lines) if line[0] == name]
            exact = [i for i in of_file if same_text(lines[i][2]) in known]
            near = [i for i in of_file if share[i] >= NEAR and same_text(lines[i][2]) not in known]
            examples = [
                Copy(*lines[i][1:], *train_rows[int(index[i])], float(share[i]))
                for i in exact[:N_EXAMPLES] + near[:N_EXAMPLES]
            ]
            result.append(Between(name, train_name, len(rows), len(exact), len(near), examples))
    return result


class Inside(Record, frozen=True):
    """Lines that repeat an earlier line of their file, and lines, without these, that nearly copy another."""

    exact: int
    near: int


def _inside(rows: Rows) -> Inside:
    distinct = list(dict.fromkeys(same_text(text) for _, text in rows))
    _, share = closest(distinct)
    return Inside(exact=len(rows) - len(distinct), near=int((share >= NEAR).sum()))


class Contradiction(Record, frozen=True):
    """A text that stands under more than one label, and where: "train_CLS.tsv:3 says 1"."""

    text: str
    places: list[str]


class Contradictions(Record, frozen=True):
    """How many texts stand under more than one label, in how many rows, and some of them."""

    texts: int
    rows: int
    examples: list[Contradiction]


def _contradictions(corpus: Corpus) -> Contradictions:
    """Texts (case and punctuation aside) that stand under more than one label, in either file."""
    labelled = defaultdict(list)
    for name, rows in ((TRAIN_ROWS, corpus.train), (TEST_ROWS, corpus.test)):
        for row in rows:
            labelled[" ".join(normal_words(row.text)) or row.text].append((row.label, f"{name}:{row.line}"))
    bad = {text: places for text, places in labelled.items() if len({label for label, _ in places}) > 1}
    examples = [
        Contradiction(text, [f"{where} says {label}" for label, where in places])
        for text, places in list(bad.items())[:N_EXAMPLES]
    ]
    return Contradictions(len(bad), sum(map(len, bad.values())), examples)


# ----------------------------------------------------------------------------------------------------------- give-aways
class GiveAway(Record, frozen=True):
    """A character or word that only one class has, in how many of its training rows."""

    item: str
    class_name: str = field(name="class")
    rows: int
    percent_of_class: float
    codepoint: str | None  # of a character


class Rule(Record, frozen=True):
    """All the give-aways of a kind, and what a rule on them alone reaches on the test rows: a row that has one is of
    its class, every other row of the class that is most frequent among the training rows that have none."""

    n_items: int
    items: list[GiveAway]  # the most frequent
    test_rows: int  # for which it speaks
    right_where_present: int  # of these
    rule_accuracy: float  # of all


class GiveAways(Record, frozen=True):
    """Characters and words that only one class of train_CLS.tsv has, in at least 1% of its rows (and 5 of them)."""

    majority_accuracy: float
    characters: Rule
    words: Rule


def _give_aways(corpus: Corpus, train_words: Words, test_words: Words) -> GiveAways:
    majority = _most_frequent([row.label for row in corpus.train])
    return GiveAways(
        majority_accuracy=100 * sum(row.label == majority for row in corpus.test) / len(corpus.test),
        characters=_rule(corpus, [row.text for row in corpus.train], [row.text for row in corpus.test], True),
        words=_rule(corpus, train_words, test_words),
    )


def _rule(corpus: Corpus, train: Words, test: Words, are_characters: bool = False) -> Rule:
    """The give-aways among the items, characters or words, of each row."""
    labels, names = [row.label for row in corpus.train], dict(zip(corpus.labels, corpus.class_names))
    sizes = Counter(labels)
    exclusive = _exclusive(train, labels)
    default = _most_frequent([label for row, label in zip(train, labels) if not exclusive.keys() & set(row)] or labels)
    telling = [sorted(exclusive.keys() & set(row)) for row in test]
    guesses = [_most_frequent([exclusive[item][0] for item in items] or [default]) for items in telling]
    right = [guess == row.label for guess, row in zip(guesses, corpus.test)]
    items = [
        GiveAway(
            item=item,
            class_name=names[label],
            rows=n,
            percent_of_class=100 * n / sizes[label],
            codepoint=f"U+{ord(item):04X}" if are_characters else None,
        )
        for item, (label, n) in sorted(exclusive.items(), key=lambda pair: (-pair[1][1], pair[0]))
    ]
    return Rule(
        n_items=len(items),
        items=items[:50],
        test_rows=sum(map(bool, telling)),
        right_where_present=sum(is_right for is_right, items in zip(right, telling) if items),
        rule_accuracy=100 * sum(right) / len(test),
    )


def _most_frequent(labels: Sequence[str]) -> str:
    """Of several that are, the first."""
    return Counter(labels).most_common(1)[0][0]


def _exclusive(rows: Words, labels: Sequence[str]) -> dict[str, tuple[str, int]]:
    """What occurs under one label only, and often enough to matter -> that label and the number of its rows."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row, label in zip(rows, labels):
        for item in set(row):
            counts[item][label] += 1
    sizes = Counter(labels)
    alone = {item: next(iter(count.items())) for item, count in counts.items() if len(count) == 1}
    return {item: (label, n) for item, (label, n) in alone.items() if n >= max(5, 0.01 * sizes[label])}


# ------------------------------------------------------------------------------------------------- words that are new
class Unknown(Record, frozen=True):
    """Of a test file's words: <unk>, and those that only train_CLS.tsv has, not train_LM.txt."""

    unk_percent: float
    only_train_CLS_percent: float


def _unknown(train_rows: Words, train_text: Words, test: Mapping[str, Words]) -> dict[str, Unknown]:
    in_rows, in_text = ({word for row in rows for word in row} for rows in (train_rows, train_text))
    result = {}
    for name, rows in test.items():
        words = [word for row in rows for word in row]
        n_unknown = sum(word not in in_rows and word not in in_text for word in words)
        n_only_rows = sum(word in in_rows and word not in in_text for word in words)
        result[name] = Unknown(100 * n_unknown / len(words), 100 * n_only_rows / len(words))
    return result


# ------------------------------------------------------------------------------------------------------------ encoding
class Oddity(Record, frozen=True):
    """What may make text differ for no good reason: how often, and the first line; None where that says nothing."""

    what: str
    times: int | None
    first_line: int | None


ODDITIES = {
    "replacement characters (text was lost)": "\ufffd",
    "UTF-8 that was read as Windows-1252 (â€™, Ã©)": "Ã[\u0080-\u00bf]|â€|â\u0080|Â[\u00a0-\u00bf]",
    "control characters": "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]",
    "line separators inside a line (U+2028, U+2029)": "[\u2028\u2029]",
    "invisible characters": "[\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]",
    "unusual spaces": "[\u00a0\u2000-\u200a\u202f\u205f\u3000]",
    "HTML entities": r"&(?:[a-z]{2,8}|#\d+);",
    "quotation marks round texts, and doubled inside (CSV)": '(?m)^[^\t\n]*\t"[^\n]*""',
    "spaces before punctuation (text tokenised already)": r"(?m) (?:[,.;:?!]|n't|'s)(?= |$)",
}
CURLY, STRAIGHT = "[\u2018\u2019\u201c\u201d]", "['\"]"  # quotes and apostrophes: odd only where both stand


def _oddities(text: str) -> list[Oddity]:
    patterns = dict(ODDITIES)
    if n_straight := len(re.findall(STRAIGHT, text)):
        patterns[f"curly quotes and apostrophes among {n_straight:,} straight ones"] = CURLY
    result = []
    for what, pattern in patterns.items():
        if starts := [match.start() for match in re.finditer(pattern, text)]:
            result.append(Oddity(what, len(starts), first_line=text.count("\n", 0, starts[0]) + 1))
    if not unicodedata.is_normalized("NFC", text):
        result.append(Oddity("letters and accents apart (not NFC)", times=None, first_line=None))
    if 0 < text.count("\r\n") < text.count("\n"):
        result.append(Oddity("Windows and Unix line ends mixed", text.count("\r\n"), first_line=None))
    return result
