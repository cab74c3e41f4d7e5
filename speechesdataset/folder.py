"""A data folder, read strictly: every row and line of its files, and one clear line for whatever is wrong in it.

`load_corpus` reads it all. What follows it, in this order: lines and rows, checks of the rows, names of the classes,
and what to say of a folder that lacks files. dataset.py turns a corpus into tensors.
"""

import contextlib
import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.checks import Record
from common.console import warn
from common.files import UserError, read_as, read_text, resolved, sha256
from tokenizer import WORDS, Tokenization, Tokenizer, lacks_spaces, normalized

TRAIN_ROWS, TEST_ROWS = "train_CLS.tsv", "test_CLS.tsv"  # label, tab, text
TRAIN_TEXT = "train_LM.txt"
LABELS, MANIFEST = "labels.tsv", "manifest.json"
MANY_UNKNOWN = 8.0  # percent of a text's words, beyond which subwords are worth a try
TRAINING, TOGETHER = "train", "all texts"  # what tables call the training text, and all test texts; no test text may
DEFAULT_FOLDER = Path(__file__).resolve().parent
DEFAULT_TESTS = ["obama", "wbush", "hbush"]  # in the order of the default labels 0, 1, 2
DEFAULT_NAMES = ["Obama", "G. W. Bush", "G. H. W. Bush"]
HEADINGS = {"label", "class", "category", "speaker", "author", "name", "text", "sentence", "segment", "speech"}
Split = Literal["stretch", "speech"]
FEW = 3  # rows: a class of fewer cannot be learnt


@dataclass(frozen=True)
class Segment:
    """A row of train_CLS.tsv or test_CLS.tsv, and the line on which it stands (counted from 1)."""

    label: str
    text: str
    line: int


class About(Record, frozen=True):
    """Which data a result was made from."""

    folder: str
    train_rows: int
    test_rows: int
    seen_rows: int  # test rows that stand in the training rows, too
    class_names: list[str]
    fingerprint: str  # SHA-256 over names and bytes of all files


@dataclass(frozen=True)
class Corpus:
    """A data folder, read and checked."""

    directory: Path
    train: list[Segment]
    test: list[Segment]
    train_text: list[str]  # the lines of train_LM.txt
    test_texts: dict[str, list[str]]  # name of test_LM_<name>.txt -> its lines, sorted by name
    labels: list[str]  # of the training rows, sorted, as numbers where all are numbers; a class is an index into it
    class_names: list[str]  # what people call them, in the same order
    fingerprint: str  # SHA-256 over names and bytes of all files

    def about(self) -> About:
        """What a record says of the data that it was made from."""
        return About(
            folder=str(resolved(self.directory)),
            train_rows=len(self.train),
            test_rows=len(self.test),
            seen_rows=sum(seen_rows(self.train, self.test)),
            class_names=self.class_names,
            fingerprint=self.fingerprint,
        )

    def vocabulary(self, tokenization: Tokenization = WORDS) -> Tokenizer:
        """The tokenizer made from the training files of both tasks, and from nothing else."""
        return Tokenizer.build([row.text for row in self.train], self.train_text, tokenization=tokenization)


def load_corpus(directory: Path | str) -> Corpus:
    """Read and check a data folder; UserError, with file and line, for whatever is missing or wrong in it."""
    directory = Path(directory)
    if missing_files(directory):
        raise UserError(why_incomplete(directory))
    train, test = (read_segments(directory / name) for name in (TRAIN_ROWS, TEST_ROWS))
    _check_rows(directory / TRAIN_ROWS, train)
    _check_rows(directory / TEST_ROWS, test)
    labels = sorted({row.label for row in train}, key=_label_order)
    _check_labels(directory, labels, test)
    _warn_of_labels(directory / TRAIN_ROWS, train)
    names = _test_names(directory)
    test_texts = {name: _texts(directory / text_file(name)) for name in names}
    for name in {TRAINING, TOGETHER}.intersection(names):
        raise UserError(f"{directory / text_file(name)}: tables use the name {name!r} already; rename the file")
    class_names = _class_names(directory, labels, names)
    files = [TRAIN_ROWS, TEST_ROWS, TRAIN_TEXT, *map(text_file, names), LABELS]
    digests = [name + sha256((directory / name).read_bytes()) for name in files if (directory / name).is_file()]
    fingerprint = sha256("\n".join(digests).encode())
    train_text = _texts(directory / TRAIN_TEXT)
    return Corpus(directory, train, test, train_text, test_texts, labels, class_names, fingerprint)


# ------------------------------------------------------------------------------------------------------ lines and rows


def read_lines(path: Path | str) -> list[tuple[int, str]]:
    """Number and content of every line that holds more than white space, stripped; UserError when there is none.

    Only \\n and \\r\\n end a line: U+2028 or \\x85 may stand inside a sentence (str.splitlines would cut there).
    """
    return [(number, line.strip()) for number, line in _lines(path, str.strip)]


def read_segments(path: Path | str) -> list[Segment]:
    """The rows `label, tab, text` of a file. Blank lines are passed over; UserError for anything else amiss."""
    segments = []
    for number, line in _lines(path, lambda line: line.strip() or "\t" in line):
        label, *texts = (part.strip() for part in line.split("\t"))
        if not texts:
            raise UserError(f"{path}:{number}: no tab; write label, tab, text on every line")
        if len(texts) > 1:
            raise UserError(f"{path}:{number}: {len(texts)} tabs; write label, tab, text, with no tab in the text")
        if not label or not texts[0]:
            raise UserError(f"{path}:{number}: empty {'text' if label else 'label'}; write label, tab, text")
        segments.append(Segment(same_text(label), texts[0], number))
    return segments


def _lines(path: Path | str, holds_something: Callable[[str], object]) -> list[tuple[int, str]]:
    """Number and content of the lines that hold something; UserError for files that are empty or no text."""
    lines = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        line = normalized(line.removesuffix("\r"))
        if "\r" in line:
            raise UserError(f"{path}:{number}: carriage return inside a line; save with Unix or Windows line endings")
        if "\0" in line:
            raise UserError(f"{path}:{number}: NUL byte, so this is no UTF-8 text; save the file as UTF-8")
        if holds_something(line):
            lines.append((number, line))
    if not lines:
        raise UserError(f"{path}: empty file; it needs at least one line of text")
    return lines


def _texts(path: Path) -> list[str]:
    return [line for _, line in read_lines(path)]


def same_text(text: str) -> str:
    """What two texts share that differ only in white space."""
    return " ".join(text.split())


def seen_rows(train: Sequence[Segment], test: Sequence[Segment]) -> list[bool]:
    """Which rows of `test` stand, white space aside, word for word in `train`."""
    known = {same_text(row.text) for row in train}
    return [same_text(row.text) in known for row in test]


# ------------------------------------------------------------------------------------------------------ checks of rows


def _check_rows(path: Path, rows: Sequence[Segment]) -> None:
    """UserError for a table that begins with the heads of its columns, or has the text before the label."""
    labels, texts, first = [row.label for row in rows], {row.text for row in rows}, rows[0]
    if labels.count(first.label) == 1 and HEADINGS & {first.label.casefold(), first.text.casefold()}:
        heads = f"{first.label!r} and {first.text!r} look like the heads of two columns"
        raise UserError(f"{path}:{first.line}: {heads}, not like a row; delete this line")
    distinct = set(labels)
    if len(distinct) > len(texts) and sum(label.count(" ") for label in distinct) >= 2 * len(distinct):
        swapped = f"the label is {first.label!r} and the text {first.text!r}, as if they had changed places"
        raise UserError(f"{path}:{first.line}: {swapped}; write label, tab, text")


def _check_labels(directory: Path, labels: Sequence[str], test: Sequence[Segment]) -> None:
    """UserError for training rows of one class, and for a test row of a class that they lack."""
    if len(labels) < 2:
        raise UserError(f"{directory / TRAIN_ROWS}: only one class, {labels[0]!r}; there must be two or more")
    for row in test:
        if row.label not in labels:
            where, known = f"{directory / TEST_ROWS}:{row.line}", ", ".join(map(repr, labels[:10]))
            raise UserError(f"{where}: label {row.label!r} is not in {TRAIN_ROWS}, which has {known}")


def _warn_of_labels(path: Path, rows: Sequence[Segment]) -> None:
    """Warn of labels that may be meant as one, and of classes with too few rows to be learned."""
    first_line = {row.label: row.line for row in reversed(rows)}
    alike: dict[str, str] = {}
    for label in sorted(first_line, key=lambda label: first_line[label]):
        form = unicodedata.normalize("NFKC", label).casefold()
        other = alike.setdefault(form.lstrip("0") if form.isdecimal() else form, label)
        if other != label:
            two = f"labels {label!r} and {other!r} (line {first_line[other]}) look alike, and are two classes"
            warn(f"{path}:{first_line[label]}: {two}; write both in the same way if they are one")
    few = [label for label, n_rows in Counter(row.label for row in rows).items() if n_rows < FEW]
    if few:
        shown = ", ".join(f"{label!r} (line {first_line[label]})" for label in few[:5]) + ", ..." * (len(few) > 5)
        warn(f"{path}: too few to learn from, one or two rows of {shown}; add rows, or delete these")


def warn_of_missing_spaces(corpus: Corpus, remedy: str | None = None) -> None:
    """Warn of text whose words will be whole clauses, because its script sets no spaces between words."""
    if lacks_spaces(corpus.train_text):
        remedy = remedy or "put spaces between the words, or train by part1, part2 or report, which read other tokens"
        warn(
            f"{corpus.directory / TRAIN_TEXT}: text without spaces between words, as in Chinese, Japanese and Thai, is "
            f"cut into whole clauses, and most of them are <unk>; {remedy}"
        )


# ------------------------------------------------------------------------------------------------ names of the classes


def _label_order(label: str) -> tuple[bool, int, str]:
    """Numbers in their order, then everything else in the alphabet's."""
    is_number = re.fullmatch(r"-?[0-9]{1,18}", label)
    return (not is_number, int(label) if is_number else 0, label)


def _class_names(directory: Path, labels: list[str], tests: list[str]) -> list[str]:
    """A name for each label; UserError with the line of labels.tsv that has a name or a label a second time."""
    path = directory / LABELS
    if not path.exists():
        is_default = labels == ["0", "1", "2"] and set(tests) == set(DEFAULT_TESTS)
        return DEFAULT_NAMES if is_default else labels
    rows = read_segments(path)
    names = {row.label: row.text for row in rows}
    taken = {("name", label) for label in labels if label not in names}  # these classes are called by their labels
    for row in rows:
        for what, value in (("label", row.label), ("name", same_text(row.text))):
            if (what, value) in taken:
                taken_by = f"the {what} {value!r} is taken by another line or label"
                raise UserError(f"{path}:{row.line}: {taken_by}; give each label one name, and each its own")
            taken.add((what, value))
    return [names.get(label, label) for label in labels]


# ---------------------------------------------------------------------------------------------- folders that lack files


def text_file(name: str) -> str:
    """The file of the test text `name`."""
    return f"test_LM_{name}.txt"


def _test_names(directory: Path) -> list[str]:
    names = sorted(path.name[len("test_LM_") : -len(".txt")] for path in directory.glob(text_file("?*")))
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(f"{directory}: the name of {text_file(name)!a} is not UTF-8; rename the file") from None
    return names


def missing_files(directory: Path) -> list[str]:
    """The names of the files that a data folder lacks.

    A manifest names all that belong. Without one, the tests of the default speakers count as a set: some of them
    without the others are incomplete.
    """
    names = _test_names(directory)
    if set(names) < set(DEFAULT_TESTS):
        names = DEFAULT_TESTS
    manifest = read_manifest(directory)
    needed = [TRAIN_ROWS, TEST_ROWS, TRAIN_TEXT, *(manifest.files if manifest else map(text_file, names))]
    present = {path.name for path in directory.glob("*") if path.exists()}  # a manifest may name what no file can be
    return [name for name in dict.fromkeys(needed) if name not in present]


class Options(Record, frozen=True):
    """What a data folder was made with: the speakers' slugs, and how they were split."""

    speakers: list[str]
    split: Split
    seed: int


class SpeakerCounts(Record, frozen=True, omit_defaults=False):
    """How much of a speaker is in the files, and how much in none, by reason."""

    label: str
    name: str
    test_file: str
    documents: int
    sentences: int
    usable_sentences: int
    test_segments: int
    train_segments: int
    train_LM_segments: int
    left_out: dict[str, int] = {}  # earlier versions did not count it


class Manifest(Record, frozen=True, kw_only=True):
    """manifest.json."""

    source: str | None = None
    versions: dict[str, str] = {}  # of the packages that decide the bytes
    options: Options | None = None
    speakers: list[SpeakerCounts] = []
    files: dict[str, str]  # and the SHA-256 of each


def read_manifest(directory: Path) -> Manifest | None:
    """What a folder's manifest says; None if it has none."""
    path = directory / MANIFEST
    return read_as(path, Manifest, "it is damaged, build the data anew") if path.is_file() else None


def data_files(directory: Path) -> list[str]:
    """The names of what may be files of data in a folder, sorted."""
    files = [path for path in directory.glob("*") if path.is_file()]
    return sorted(path.name for path in files if path.suffix in (".tsv", ".txt") or path.name == MANIFEST)


def may_be_built(directory: Path) -> bool:
    """Whether a folder is the default one, with no other data in it than a build puts there."""
    texts = map(text_file, DEFAULT_TESTS)
    return resolved(directory) == DEFAULT_FOLDER and (
        {TRAIN_ROWS, TEST_ROWS, TRAIN_TEXT, *texts, LABELS, MANIFEST}.issuperset(data_files(directory))
    )


def why_incomplete(directory: Path) -> str:
    """What is wrong with a folder that lacks files, and what to do."""
    if directory.exists() and not directory.is_dir():
        return f"{directory}: is a file; --data-dir takes a folder"
    missing, present, meant = ", ".join(missing_files(directory)), data_files(directory), _whole_folder_near(directory)
    what = f"{missing} missing" if present else "no data in it" if directory.exists() else "no such folder"
    if MANIFEST in present:
        remedy = "it is half built: run the command again that made it, or clear the folder"
    elif meant:
        remedy = f"did you mean {meant}?"
    elif present:
        what += f", next to {', '.join(present[:3])}"
        remedy = "add it, or clear the folder if it was left half built"
    else:
        remedy = f"`python main.py data build --out {directory}` makes data there, data import from your own texts"
    return f"{directory}: {what}; {remedy}"


def _whole_folder_near(directory: Path) -> Path | None:
    """A folder with data that may be meant: one level down, or of nearly the same name, or the one beside main.py."""
    near = sorted(directory.glob("*"))
    if not directory.exists():
        neighbours = [path.name for path in directory.parent.glob("*") if path.is_dir()]
        near += [directory.parent / name for name in difflib.get_close_matches(directory.name, neighbours)]
    if directory.name == DEFAULT_FOLDER.name:
        near.append(DEFAULT_FOLDER)
    for folder in near:
        with contextlib.suppress(UserError):  # one that is damaged is not meant
            if folder.is_dir() and not missing_files(folder):
                return folder
    return None
