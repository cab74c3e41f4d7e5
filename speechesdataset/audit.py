"""The truth about a data folder: sizes, copies between and inside files, give-aways, unknown words, encoding."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from common.files import read_as, read_text, sha256
from dataset import (
    CLASSIFICATION,
    MANIFEST,
    TRAIN_TEXT,
    Corpus,
    load_corpus,
    read_lines,
    same_text,
    warn_of_missing_spaces,
)
from speechesdataset.duplicates import NEAR, closest, normal_words
from tokenizer import tokenize_all

N_EXAMPLES = 5
Rows = Sequence[tuple[int, str]]  # line, text


class MadeSpeaker(msgspec.Struct):
    """What the builder and the import write about a speaker, as far as it matters here."""

    name: str
    left_out: dict[str, int] = {}


class Manifest(msgspec.Struct):
    """manifest.json, as far as it matters here."""

    files: dict[str, str]
    speakers: list[MadeSpeaker] = []


def audit(directory: Path | str, block_size: int = 32) -> dict[str, Any]:
    """Examine a data folder; what is found, as plain values for audit.json.

    Key "leaks" has a sentence for each way in which test material stands in training files, and "has_leakage" says
    whether there is one; "doubt" says why the files may not be all. UserError for data that cannot be read at all.
    """
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
    manifest = _manifest(corpus.directory)
    leaks = [
        f"{found['exact'] + found['near']:,} of {found['rows']:,} lines of {found['test']} appear in {found['train']} "
        f"({found['exact']:,} exactly, {found['near']:,} nearly)"
        for found in between
        if found["exact"] + found["near"]
    ]
    return {
        "directory": str(corpus.directory),
        "block_size": block_size,
        "has_leakage": bool(leaks),
        "leaks": leaks,
        "doubt": _doubt(corpus),
        "changed_since_built": _changed(corpus.directory, manifest),
        "left_out": [{"name": speaker.name, "counts": speaker.left_out} for speaker in manifest.speakers],
        "files": {name: _sizes(words[name], block_size) for name in train | test},
        "classes": _classes(corpus),
        "between": between,
        "inside": {name: _inside(rows) for name, rows in (train | test).items()},
        "contradictions": _contradictions(corpus),
        "give_aways": _give_aways(corpus, words[CLASSIFICATION[0]], words[CLASSIFICATION[1]]),
        "unknown_words": _unknown(words),
        "encoding": {name: found for name in train | test if (found := _oddities(corpus.directory / name))},
    }


def _doubt(corpus: Corpus) -> str | None:
    """Why the files may not be all that belong: a build of an earlier version that was killed could leave such."""
    n_texts, n_classes = len(corpus.test_texts), len(corpus.labels)
    says_so = (corpus.directory / MANIFEST).exists() or (corpus.directory / "labels.tsv").exists()
    if says_so or n_texts >= n_classes:
        return None
    return f"{n_texts} test texts for {n_classes} classes, and no manifest.json: the folder may be half built"


def _sizes(rows: Sequence[Sequence[str]], block_size: int) -> dict[str, Any]:
    """How many lines and words, how long lines are, and how many are longer than the block."""
    lengths = np.array([len(row) for row in rows])
    truncated = int((lengths > block_size).sum())
    return {
        "lines": len(rows),
        "words": int(lengths.sum()),
        "mean_length": float(lengths.mean()),
        "median_length": float(np.median(lengths)),
        "longest": int(lengths.max()),
        "truncated": truncated,
        "truncated_percent": 100 * truncated / len(rows),
    }


def _classes(corpus: Corpus) -> list[dict[str, Any]]:
    train, test = (Counter(row.label for row in rows) for rows in (corpus.train, corpus.test))
    return [
        {
            "label": label,
            "name": name,
            "train": train[label],
            "train_percent": 100 * train[label] / len(corpus.train),
            "test": test[label],
            "test_percent": 100 * test[label] / len(corpus.test),
        }
        for label, name in zip(corpus.labels, corpus.class_names)
    ]


# -------------------------------------------------------------------------------------------------------------- copies
def _between(train: Mapping[str, Rows], test: Mapping[str, Rows]) -> list[dict[str, Any]]:
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
                {
                    "line": queries[i][1],
                    "text": queries[i][2],
                    "train_line": train_rows[index[i]][0],
                    "train_text": train_rows[index[i]][1],
                    "share": float(share[i]),
                }
                for i in exact[:N_EXAMPLES] + near[:N_EXAMPLES]
            ]
            counts = {"rows": len(rows), "exact": len(exact), "near": len(near)}
            result.append({"test": name, "train": train_name, **counts, "examples": examples})
    return result


def _inside(rows: Rows) -> dict[str, int]:
    """Lines that repeat an earlier line of their file, and lines, without these, that nearly copy another."""
    first = list(dict.fromkeys(same_text(text) for _, text in rows))
    _, share = closest(first)
    return {"exact": len(rows) - len(first), "near": int((share >= NEAR).sum())}


def _contradictions(corpus: Corpus) -> dict[str, Any]:
    """Texts (case and punctuation aside) that stand under more than one label, in either file."""
    found = defaultdict(list)
    for name, rows in zip(CLASSIFICATION, (corpus.train, corpus.test)):
        for row in rows:
            found[" ".join(normal_words(row.text)) or row.text].append((row.label, f"{name}:{row.line}"))
    bad = {text: places for text, places in found.items() if len({label for label, _ in places}) > 1}
    examples = [
        {"text": text, "places": [f"{where} says {label}" for label, where in places]}
        for text, places in list(bad.items())[:N_EXAMPLES]
    ]
    return {"texts": len(bad), "rows": sum(map(len, bad.values())), "examples": examples}


# ----------------------------------------------------------------------------------------------------------- give-aways
def _give_aways(
    corpus: Corpus, train_words: Sequence[Sequence[str]], test_words: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Characters and words that only one class of train_CLS.tsv has, in at least 1% of its rows (and 5 of them).

    `rule_accuracy` is what a rule on them alone reaches on the test rows: a row that has one is of its class, every
    other row of the class that is most frequent among the training rows that have none; `test_rows` is for how many it
    speaks, `right_where_present` how often it is right there.
    """
    characters = [[set(row.text) for row in rows] for rows in (corpus.train, corpus.test)]
    words = [list(map(set, rows)) for rows in (train_words, test_words)]
    labels = [[row.label for row in rows] for rows in (corpus.train, corpus.test)]
    names = dict(zip(corpus.labels, corpus.class_names))
    majority = Counter(labels[0]).most_common(1)[0][0]
    result: dict[str, Any] = {"majority_accuracy": 100 * labels[1].count(majority) / len(labels[1])}
    for kind, (train, test) in {"characters": characters, "words": words}.items():
        found = _exclusive(train, labels[0])
        rest = Counter(label for items, label in zip(train, labels[0]) if not items & found.keys())
        default = rest.most_common(1)[0][0] if rest else majority

        def rule(items: set[str], found: dict[str, tuple[str, int]] = found, default: str = default) -> str:
            votes = Counter(found[item][0] for item in sorted(items & found.keys()))
            return votes.most_common(1)[0][0] if votes else default

        sizes = Counter(labels[0])
        items = [
            {
                "item": item,
                "class": names[label],
                "rows": n,
                "percent_of_class": 100 * n / sizes[label],
                "codepoint": " ".join(f"U+{ord(character):04X}" for character in item)
                if kind == "characters"
                else None,
            }
            for item, (label, n) in sorted(found.items(), key=lambda pair: (-pair[1][1], pair[0]))
        ]
        right = [rule(row) == label for row, label in zip(test, labels[1])]
        present = [ok for ok, row in zip(right, test) if row & found.keys()]
        result[kind] = {
            "n_items": len(items),
            "items": items[:50],
            "test_rows": len(present),
            "right_where_present": sum(present),
            "rule_accuracy": 100 * sum(right) / len(test),
        }
    return result


def _exclusive(rows: Sequence[set[str]], labels: Sequence[str]) -> dict[str, tuple[str, int]]:
    """What occurs under one label only, and often enough to matter -> that label and the number of its rows."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for items, label in zip(rows, labels):
        for item in items:
            counts[item][label] += 1
    sizes = Counter(labels)
    alone = {item: next(iter(count.items())) for item, count in counts.items() if len(count) == 1}
    return {item: (label, n) for item, (label, n) in alone.items() if n >= max(5, 0.01 * sizes[label])}


def _unknown(words: dict[str, list[list[str]]]) -> dict[str, dict[str, float]]:
    """For each test file, in percent of its words: <unk>, and words that only train_CLS.tsv has, not train_LM.txt."""
    rows, text = ({word for line in words[name] for word in line} for name in (CLASSIFICATION[0], TRAIN_TEXT))
    known, only_in_rows = rows | text, rows - text
    result = {}
    for name in words.keys() - {CLASSIFICATION[0], TRAIN_TEXT}:
        count = Counter(word for line in words[name] for word in line)
        unknown = sum(n for word, n in count.items() if word not in known)
        only_rows = sum(n for word, n in count.items() if word in only_in_rows)
        total = sum(count.values())
        result[name] = {"unk_percent": 100 * unknown / total, "only_train_CLS_percent": 100 * only_rows / total}
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


def _oddities(path: Path) -> list[dict[str, Any]]:
    """What may make text differ for no good reason: how often, and the first line."""
    text = read_text(path)
    found = [(what, [match.start() for match in pattern.finditer(text)]) for what, pattern in ODDITIES.items()]
    result = [
        {"what": what, "times": len(starts), "first_line": text.count("\n", 0, starts[0]) + 1}
        for what, starts in found
        if starts and not what.startswith(("curly", "straight"))
    ]
    curly, straight = (starts for what, starts in found if what.startswith(("curly", "straight")))
    if curly and straight:
        what = f"curly quotes and apostrophes among {len(straight):,} straight ones"
        result.append({"what": what, "times": len(curly), "first_line": text.count("\n", 0, curly[0]) + 1})
    if not unicodedata.is_normalized("NFC", text):
        result.append({"what": "letters and accents apart (not NFC)", "times": None, "first_line": None})
    if 0 < text.count("\r\n") < text.count("\n"):
        result.append({"what": "Windows and Unix line ends mixed", "times": text.count("\r\n"), "first_line": None})
    return result


def _manifest(directory: Path) -> Manifest:
    path = directory / MANIFEST
    return read_as(path, Manifest, "build the data anew") if path.is_file() else Manifest({})


def _changed(directory: Path, manifest: Manifest) -> list[str]:
    """Files whose SHA-256 is not the one in the manifest."""
    return [name for name, digest in manifest.files.items() if sha256((directory / name).read_bytes()) != digest]
