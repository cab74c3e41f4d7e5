"""The truth about a data folder: sizes, copies between and inside files, give-aways, unknown words, encoding."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from common.files import read_text, sha256
from dataset import (
    CLASSIFICATION,
    TRAIN_TEXT,
    Corpus,
    Manifest,
    load_corpus,
    read_lines,
    read_manifest,
    same_text,
    warn_of_missing_spaces,
)
from speechesdataset.duplicates import NEAR, closest, normal_words
from speechesdataset.findings import (
    Between,
    ClassRows,
    Contradiction,
    Contradictions,
    Copy,
    Findings,
    GiveAway,
    GiveAways,
    Inside,
    Oddity,
    Rule,
    Sizes,
    Unknown,
)
from tokenizer import tokenize_all

N_EXAMPLES = 5
Rows = Sequence[tuple[int, str]]  # line, text


def audit(directory: Path | str, block_size: int = 32) -> Findings:
    """Examine a data folder; UserError for data that cannot be read at all."""
    corpus = load_corpus(directory)
    warn_of_missing_spaces(corpus)
    train = {
        CLASSIFICATION[0]: [(row.line, row.text) for row in corpus.train],
        TRAIN_TEXT: read_lines(corpus.directory / TRAIN_TEXT),
    }
    test = {CLASSIFICATION[1]: [(row.line, row.text) for row in corpus.test]}
    for name in corpus.test_texts:
        test[f"test_LM_{name}.txt"] = read_lines(corpus.directory / f"test_LM_{name}.txt")
    words = {name: tokenize_all([text for _, text in rows]) for name, rows in (train | test).items()}
    between = _between(train, test)
    manifest = read_manifest(corpus.directory)
    leaks = [
        f"{found.exact + found.near:,} of {found.rows:,} lines of {found.test} appear in {found.train} "
        f"({found.exact:,} exactly, {found.near:,} nearly)"
        for found in between
        if found.exact + found.near
    ]
    return Findings(
        directory=str(corpus.directory),
        block_size=block_size,
        has_leakage=bool(leaks),
        leaks=leaks,
        doubt=_doubt(corpus, manifest),
        changed_since_built=_changed(corpus.directory, manifest) if manifest else [],
        left_out=manifest.speakers if manifest else [],
        files={name: _sizes(words[name], block_size) for name in train | test},
        classes=_classes(corpus),
        between=between,
        inside={name: _inside(rows) for name, rows in (train | test).items()},
        contradictions=_contradictions(corpus),
        give_aways=_give_aways(corpus, words[CLASSIFICATION[0]], words[CLASSIFICATION[1]]),
        unknown_words=_unknown(words),
        encoding={name: found for name in train | test if (found := _oddities(corpus.directory / name))},
    )


def _doubt(corpus: Corpus, manifest: Manifest | None) -> str | None:
    """Why the files may not be all that belong: a build of an earlier version that was killed could leave such."""
    n_texts, n_classes = len(corpus.test_texts), len(corpus.labels)
    says_so = manifest or (corpus.directory / "labels.tsv").exists()
    if says_so or n_texts >= n_classes:
        return None
    return f"{n_texts} test texts for {n_classes} classes, and no manifest.json: the folder may be half built"


def _sizes(rows: Sequence[Sequence[str]], block_size: int) -> Sizes:
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


def _classes(corpus: Corpus) -> list[ClassRows]:
    train, test = (Counter(row.label for row in rows) for rows in (corpus.train, corpus.test))
    return [
        ClassRows(
            label=label,
            name=name,
            train=train[label],
            train_percent=100 * train[label] / len(corpus.train),
            test=test[label],
            test_percent=100 * test[label] / len(corpus.test),
        )
        for label, name in zip(corpus.labels, corpus.class_names)
    ]


# -------------------------------------------------------------------------------------------------------------- copies
def _between(train: Mapping[str, Rows], test: Mapping[str, Rows]) -> list[Between]:
    """For each pair of a test and a training file: test lines of which a copy or near copy stands in training."""
    queries = [(name, line, text) for name, rows in test.items() for line, text in rows]
    result = []
    for train_name, train_rows in train.items():
        known = {same_text(text) for _, text in train_rows}
        index, share = closest([text for _, _, text in queries], [text for _, text in train_rows])
        for name, rows in test.items():
            own = [i for i, query in enumerate(queries) if query[0] == name]
            exact = [i for i in own if same_text(queries[i][2]) in known]
            near = [i for i in own if share[i] >= NEAR and same_text(queries[i][2]) not in known]
            examples = [
                Copy(*queries[i][1:], *train_rows[int(index[i])], float(share[i]))
                for i in exact[:N_EXAMPLES] + near[:N_EXAMPLES]
            ]
            result.append(Between(name, train_name, len(rows), len(exact), len(near), examples))
    return result


def _inside(rows: Rows) -> Inside:
    first = list(dict.fromkeys(same_text(text) for _, text in rows))
    _, share = closest(first)
    return Inside(exact=len(rows) - len(first), near=int((share >= NEAR).sum()))


def _contradictions(corpus: Corpus) -> Contradictions:
    """Texts (case and punctuation aside) that stand under more than one label, in either file."""
    found = defaultdict(list)
    for name, rows in zip(CLASSIFICATION, (corpus.train, corpus.test)):
        for row in rows:
            found[" ".join(normal_words(row.text)) or row.text].append((row.label, f"{name}:{row.line}"))
    bad = {text: places for text, places in found.items() if len({label for label, _ in places}) > 1}
    examples = [
        Contradiction(text, [f"{where} says {label}" for label, where in places])
        for text, places in list(bad.items())[:N_EXAMPLES]
    ]
    return Contradictions(len(bad), sum(map(len, bad.values())), examples)


# ----------------------------------------------------------------------------------------------------------- give-aways
def _give_aways(corpus: Corpus, train_words: Sequence[Sequence[str]], test_words: Sequence[Sequence[str]]) -> GiveAways:
    train, test = ([set(row.text) for row in rows] for rows in (corpus.train, corpus.test))
    majority = _most_frequent([row.label for row in corpus.train])
    return GiveAways(
        majority_accuracy=100 * sum(row.label == majority for row in corpus.test) / len(corpus.test),
        characters=_rule(corpus, train, test, codepoints=True),
        words=_rule(corpus, list(map(set, train_words)), list(map(set, test_words))),
    )


def _rule(corpus: Corpus, train: Sequence[set[str]], test: Sequence[set[str]], codepoints: bool = False) -> Rule:
    """The give-aways among the items of each row, characters or words."""
    labels, names = [row.label for row in corpus.train], dict(zip(corpus.labels, corpus.class_names))
    found, sizes = _exclusive(train, labels), Counter(labels)
    rest = [label for items, label in zip(train, labels) if not items & found.keys()]
    default = _most_frequent(rest or labels)
    guesses = [_most_frequent([found[item][0] for item in sorted(row & found.keys())] or [default]) for row in test]
    right = [guess == row.label for guess, row in zip(guesses, corpus.test)]
    present = [ok for ok, row in zip(right, test) if row & found.keys()]
    items = [
        GiveAway(
            item=item,
            class_name=names[label],
            rows=n,
            percent_of_class=100 * n / sizes[label],
            codepoint=" ".join(f"U+{ord(character):04X}" for character in item) if codepoints else None,
        )
        for item, (label, n) in sorted(found.items(), key=lambda pair: (-pair[1][1], pair[0]))
    ]
    return Rule(
        n_items=len(items),
        items=items[:50],
        test_rows=len(present),
        right_where_present=sum(present),
        rule_accuracy=100 * sum(right) / len(test),
    )


def _most_frequent(labels: Sequence[str]) -> str:
    """Of several that are, the first."""
    return Counter(labels).most_common(1)[0][0]


def _exclusive(rows: Sequence[set[str]], labels: Sequence[str]) -> dict[str, tuple[str, int]]:
    """What occurs under one label only, and often enough to matter -> that label and the number of its rows."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for items, label in zip(rows, labels):
        for item in items:
            counts[item][label] += 1
    sizes = Counter(labels)
    alone = {item: next(iter(count.items())) for item, count in counts.items() if len(count) == 1}
    return {item: (label, n) for item, (label, n) in alone.items() if n >= max(5, 0.01 * sizes[label])}


def _unknown(words: dict[str, list[list[str]]]) -> dict[str, Unknown]:
    rows, text = ({word for line in words[name] for word in line} for name in (CLASSIFICATION[0], TRAIN_TEXT))
    known, only_in_rows = rows | text, rows - text
    result = {}
    for name in words.keys() - {CLASSIFICATION[0], TRAIN_TEXT}:
        count = Counter(word for line in words[name] for word in line)
        unknown = sum(n for word, n in count.items() if word not in known)
        only_rows = sum(n for word, n in count.items() if word in only_in_rows)
        total = sum(count.values())
        result[name] = Unknown(100 * unknown / total, 100 * only_rows / total)
    return dict(sorted(result.items()))


# ------------------------------------------------------------------------------------------------------------ encoding
ODDITIES = {
    "replacement characters (text was lost)": re.compile("\ufffd"),
    "UTF-8 that was read as Windows-1252 (â€™, Ã©)": re.compile("Ã[\u0080-\u00bf]|â€|â\u0080|Â[\u00a0-\u00bf]"),
    "control characters": re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"),
    "line separators inside a line (U+2028, U+2029)": re.compile("[\u2028\u2029]"),
    "invisible characters": re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]"),
    "unusual spaces": re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]"),
    "HTML entities": re.compile(r"&(?:[a-z]{2,8}|#\d+);"),
    "curly quotes and apostrophes": re.compile("[\u2018\u2019\u201c\u201d]"),
    "straight quotes and apostrophes": re.compile("['\"]"),
    "quotation marks round texts, and doubled inside (CSV)": re.compile('^[^\t\n]*\t"[^\n]*""', re.MULTILINE),
    "spaces before punctuation (text tokenised already)": re.compile(r" (?:[,.;:?!]|n't|'s)(?= |$)", re.MULTILINE),
}


def _oddities(path: Path) -> list[Oddity]:
    text = read_text(path)
    found = [(what, [match.start() for match in pattern.finditer(text)]) for what, pattern in ODDITIES.items()]
    result = [
        Oddity(what, len(starts), first_line=text.count("\n", 0, starts[0]) + 1)
        for what, starts in found
        if starts and not what.startswith(("curly", "straight"))
    ]
    curly, straight = (starts for what, starts in found if what.startswith(("curly", "straight")))
    if curly and straight:
        what = f"curly quotes and apostrophes among {len(straight):,} straight ones"
        result.append(Oddity(what, len(curly), first_line=text.count("\n", 0, curly[0]) + 1))
    if not unicodedata.is_normalized("NFC", text):
        result.append(Oddity("letters and accents apart (not NFC)", times=None, first_line=None))
    if 0 < text.count("\r\n") < text.count("\n"):
        result.append(Oddity("Windows and Unix line ends mixed", text.count("\r\n"), first_line=None))
    return result


def _changed(directory: Path, manifest: Manifest) -> list[str]:
    return [name for name, digest in manifest.files.items() if sha256((directory / name).read_bytes()) != digest]
