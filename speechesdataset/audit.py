"""The truth about a data folder: sizes, copies between and inside files, give-aways, unknown words, encoding.

Each section has the records that audit.json holds, then what fills them. Shares are in percent.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from common.checks import Record
from common.files import read_text, sha256
from speechesdataset.duplicates import NEAR, closest, normal_words
from speechesdataset.folder import (
    LABELS,
    TEST_ROWS,
    TRAIN_ROWS,
    TRAIN_TEXT,
    Corpus,
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
Lines = Sequence[tuple[int, str]]  # number, text
Words = Sequence[Sequence[str]]  # of each line


class Audit(Record, frozen=True):
    """All that an audit says of a data folder."""

    directory: str
    block_size: int
    has_leakage: bool
    doubt: str | None  # why the files may not be all
    changed_since_built: list[str]  # files whose SHA-256 is not the one in the manifest, which is then not used
    left_out: dict[str, dict[str, int]]  # when the data were made: reason -> speaker -> how much
    files: dict[str, Sizes]
    classes: list[ClassRows]
    between: list[Between]
    contradictions: list[Contradiction]
    majority_accuracy: float  # of the test rows, by the most frequent class of the training rows
    characters: GiveAways
    words: GiveAways
    unknown_words: dict[str, Unknown]
    encoding: dict[str, list[Oddity]]


def audit(directory: Path | str, block_size: int = 32) -> Audit:
    """Examine a data folder; UserError for data that cannot be read at all."""
    corpus = load_corpus(directory)
    warn_of_missing_spaces(corpus)
    folder, manifest = corpus.directory, read_manifest(corpus.directory)
    if changed := _changed(folder, manifest) if manifest else []:
        manifest = None  # it is of other files
    train: dict[str, Lines] = {
        TRAIN_ROWS: [(row.line, row.text) for row in corpus.train],
        TRAIN_TEXT: read_lines(folder / TRAIN_TEXT),
    }
    test: dict[str, Lines] = {TEST_ROWS: [(row.line, row.text) for row in corpus.test]}
    test |= {name: read_lines(folder / name) for name in map(text_file, corpus.test_texts)}
    texts = {name: [text for _, text in lines] for name, lines in (train | test).items()}
    words = {name: tokenize_all(lines) for name, lines in texts.items()}
    between = _between(train, test)
    oddities = {name: _oddities(read_text(folder / name)) for name in texts}
    majority = _most_frequent([row.label for row in corpus.train])
    return Audit(
        directory=str(folder),
        block_size=block_size,
        has_leakage=any(pair.exact or pair.near for pair in between),
        doubt=_doubt(corpus, manifest),
        changed_since_built=changed,
        left_out=_left_out(manifest) if manifest else {},
        files={name: _sizes(texts[name], words[name], block_size) for name in texts},
        classes=_classes(corpus),
        between=between,
        contradictions=_contradictions(corpus),
        majority_accuracy=100 * sum(row.label == majority for row in corpus.test) / len(corpus.test),
        characters=_give_aways(corpus, texts[TRAIN_ROWS], texts[TEST_ROWS]),
        words=_give_aways(corpus, words[TRAIN_ROWS], words[TEST_ROWS]),
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


def _left_out(manifest: Manifest) -> dict[str, dict[str, int]]:
    reasons: dict[str, dict[str, int]] = {}
    for speaker in manifest.speakers:
        for reason, n in speaker.left_out.items():
            reasons.setdefault(reason, {})[speaker.name] = n
    return reasons


# --------------------------------------------------------------------------------------------------------------- sizes
class Sizes(Record, frozen=True):
    """A file's lines, in words, how many of them are longer than the block, and the copies among them."""

    lines: int
    words: int
    mean_length: float
    median_length: float
    longest: int
    truncated_percent: float
    copies: int  # lines that repeat an earlier one
    near_copies: int  # lines, without these, that nearly copy another


def _sizes(texts: Sequence[str], words: Words, block_size: int) -> Sizes:
    lengths = np.array([len(line) for line in words])
    distinct = list(dict.fromkeys(map(same_text, texts)))
    return Sizes(
        lines=len(texts),
        words=int(lengths.sum()),
        mean_length=float(lengths.mean()),
        median_length=float(np.median(lengths)),
        longest=int(lengths.max()),
        truncated_percent=100 * int((lengths > block_size).sum()) / len(texts),
        copies=len(texts) - len(distinct),
        near_copies=int((closest(distinct)[1] >= NEAR).sum()),
    )


class ClassRows(Record, frozen=True):
    """How many rows of each file a class has."""

    label: str
    name: str
    train: int
    test: int


def _classes(corpus: Corpus) -> list[ClassRows]:
    train, test = (Counter(row.label for row in rows) for rows in (corpus.train, corpus.test))
    return [ClassRows(label, name, train[label], test[label]) for label, name in zip(corpus.labels, corpus.class_names)]


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
    lines: int  # of the test file
    exact: int
    near: int
    examples: list[Copy]


def _between(train: Mapping[str, Lines], test: Mapping[str, Lines]) -> list[Between]:
    """For each pair of a test and a training file: test lines of which a copy or near copy stands in training."""
    all_test = [(name, line, text) for name, lines in test.items() for line, text in lines]
    result = []
    for train_name, train_lines in train.items():
        known = {same_text(text) for _, text in train_lines}
        index, share = closest([text for _, _, text in all_test], [text for _, text in train_lines])
        for name, lines in test.items():
            exact, near = list[Copy](), list[Copy]()
            for i, (test_name, line, text) in enumerate(all_test):
                is_exact = same_text(text) in known
                if test_name == name and (is_exact or share[i] >= NEAR):
                    copy = Copy(line, text, *train_lines[int(index[i])], float(share[i]))
                    (exact if is_exact else near).append(copy)
            examples = exact[:N_EXAMPLES] + near[:N_EXAMPLES]
            result.append(Between(name, train_name, len(lines), len(exact), len(near), examples))
    return result


class Contradiction(Record, frozen=True):
    """A text that stands under more than one label, and its rows: "train_CLS.tsv:3 says 1"."""

    text: str
    rows: list[str]


def _contradictions(corpus: Corpus) -> list[Contradiction]:
    """Texts (case and punctuation aside) that stand under more than one label, in either file."""
    rows, labels = defaultdict[str, list[str]](list), defaultdict[str, set[str]](set)
    for file, segments in ((TRAIN_ROWS, corpus.train), (TEST_ROWS, corpus.test)):
        for segment in segments:
            text = " ".join(normal_words(segment.text)) or segment.text
            rows[text].append(f"{file}:{segment.line} says {segment.label}")
            labels[text].add(segment.label)
    return [Contradiction(text, rows[text]) for text in rows if len(labels[text]) > 1]


# ----------------------------------------------------------------------------------------------------------- give-aways
class GiveAway(Record, frozen=True):
    """A character or word that only one class has, in how many of its training rows."""

    text: str
    class_name: str
    rows: int
    percent_of_class: float


class GiveAways(Record, frozen=True):
    """Characters or words that only one class of train_CLS.tsv has, in at least 1% of its rows (and 5 of them), and
    what a rule on them alone reaches on the test rows: a row that has one is of its class, every other row of the class
    that is most frequent among the training rows that have none."""

    items: list[GiveAway]  # the most frequent first
    test_rows: int  # that have one
    right_where_present: int  # of these
    rule_accuracy: float  # of all test rows


def _give_aways(corpus: Corpus, train: Words, test: Words) -> GiveAways:
    """The give-aways among the items, characters or words, of each row."""
    labels = [row.label for row in corpus.train]
    names, sizes = dict(zip(corpus.labels, corpus.class_names)), Counter(labels)
    exclusive = _exclusive(train, labels)
    default = _most_frequent([label for row, label in zip(train, labels) if exclusive.keys().isdisjoint(row)] or labels)
    telling = [sorted(exclusive.keys() & set(row)) for row in test]
    guesses = [_most_frequent([exclusive[item][0] for item in items] or [default]) for items in telling]
    right = [guess == row.label for guess, row in zip(guesses, corpus.test)]
    most_rows_first = sorted(exclusive.items(), key=lambda pair: (-pair[1][1], pair[0]))
    return GiveAways(
        items=[GiveAway(item, names[label], n, 100 * n / sizes[label]) for item, (label, n) in most_rows_first],
        test_rows=sum(map(bool, telling)),
        right_where_present=sum(is_right for is_right, items in zip(right, telling) if items),
        rule_accuracy=100 * sum(right) / len(test),
    )


def _most_frequent(labels: Sequence[str]) -> str:
    """Of several that are, the first."""
    return Counter(labels).most_common(1)[0][0]


def _exclusive(rows: Words, labels: Sequence[str]) -> dict[str, tuple[str, int]]:
    """What occurs under one label only, and often enough to matter -> that label and the number of its rows."""
    counts = Counter((item, label) for row, label in zip(rows, labels) for item in set(row))
    n_labels, sizes = Counter(item for item, _ in counts), Counter(labels)
    return {
        item: (label, n)
        for (item, label), n in counts.items()
        if n_labels[item] == 1 and n >= max(5, 0.01 * sizes[label])
    }


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
