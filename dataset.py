"""Files to segments and token streams, to tensors, to batches. Everything is read strictly and checked once, here."""

import contextlib
import difflib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch
from torch import Generator, Tensor

from common.console import warn
from common.files import UserError, read_as, read_text, sha256
from common.records import Record
from tokenizer import PAD, UNK, WORDS, Tokenization, Tokenizer, lacks_spaces, normalized

CLASSIFICATION = ["train_CLS.tsv", "test_CLS.tsv"]
TRAIN_TEXT = "train_LM.txt"
MANIFEST = "manifest.json"
FEW = 3  # rows: a class of fewer cannot be learnt
STRETCH = 10  # lines of it that follow each other and are held out together
TRAINING, TOGETHER = "train", "all texts"  # what tables call the training text, and all test texts; no test text may
DEFAULT_FOLDER = Path(__file__).resolve().parent / "speechesdataset"
DEFAULT_TESTS = ["obama", "wbush", "hbush"]  # in the order of the default labels 0, 1, 2
DEFAULT_NAMES = ["Obama", "G. W. Bush", "G. H. W. Bush"]


# --------------------------------------------------------------------------------------------------- files to segments


@dataclass(frozen=True)
class Segment:
    """A row of train_CLS.tsv or test_CLS.tsv, and the line on which it stands (counted from 1)."""

    label: str
    text: str
    line: int


def read_lines(path: Path | str) -> list[tuple[int, str]]:
    """Number and content of every line that holds more than white space, stripped; UserError when there is none.

    Only \\n and \\r\\n end a line: U+2028 or \\x85 may stand inside a sentence (str.splitlines would cut there).
    """
    return [(number, line.strip()) for number, line in _lines(path, str.strip)]


def read_segments(path: Path | str) -> list[Segment]:
    """The rows `label, tab, text` of a file. Blank lines are passed over; anything else amiss is a UserError."""
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


HEADINGS = {"label", "class", "category", "speaker", "author", "name", "text", "sentence", "segment", "speech"}


def _check_rows(path: Path, rows: Sequence[Segment]) -> None:
    """UserError for tables that other programs would read and this one would misunderstand."""
    first, alone = rows[0], [row.label for row in rows].count(rows[0].label) == 1
    if alone and HEADINGS & {first.label.casefold(), first.text.casefold()}:
        heads = f"{first.label!r} and {first.text!r} look like the heads of two columns"
        raise UserError(f"{path}:{first.line}: {heads}, not like a row; delete this line")
    labels, texts = {row.label for row in rows}, {row.text for row in rows}
    if len(labels) > len(texts) and sum(label.count(" ") for label in labels) >= 2 * len(labels):
        swapped = f"the label is {first.label!r} and the text {first.text!r}, as if they had changed places"
        raise UserError(f"{path}:{first.line}: {swapped}; write label, tab, text")


def _warn_of_labels(path: Path, rows: Sequence[Segment]) -> None:
    """Say on stderr which classes may be one, and which have too few rows to be one."""
    first = {row.label: row.line for row in reversed(rows)}
    alike: dict[str, str] = {}
    for label in sorted(first, key=lambda label: first[label]):
        form = unicodedata.normalize("NFKC", label).casefold()
        other = alike.setdefault(form.lstrip("0") if form.isdecimal() else form, label)
        if other != label:
            two = f"labels {label!r} and {other!r} (line {first[other]}) look alike, and are two classes"
            warn(f"{path}:{first[label]}: {two}; write both in the same way if they are one")
    few = [label for label, number in Counter(row.label for row in rows).items() if number < FEW]
    if few:
        some = ", ".join(f"{label!r} (line {first[label]})" for label in few[:5]) + (", ..." if len(few) > 5 else "")
        warn(f"{path}: too few to learn from, one or two rows of {some}; add rows, or delete these")


def warn_of_missing_spaces(corpus: "Corpus", remedy: str | None = None) -> None:
    """Say on stderr where words will be whole clauses, because their script sets no spaces between words."""
    if lacks_spaces(corpus.train_text):
        remedy = remedy or "put spaces between the words, or train by part1, part2 or report, which read other tokens"
        warn(
            f"{corpus.directory / TRAIN_TEXT}: text without spaces between words, as in Chinese, Japanese and Thai, is "
            f"cut into whole clauses, and most of them are <unk>; {remedy}"
        )


class About(Record, frozen=True):
    """Which data a result was made from."""

    folder: str
    train_rows: int
    test_rows: int
    seen_rows: int  # of the test rows: those that stand in the training rows, too
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
    labels: list[str]  # those of train, sorted, as numbers where all are numbers; a class is an index into this list
    class_names: list[str]  # what people call them, in the same order
    fingerprint: str  # SHA-256 over names and bytes of all files

    def about(self) -> About:
        """What a record says of the data that it was made from."""
        return About(
            folder=str(self.directory.resolve()),
            train_rows=len(self.train),
            test_rows=len(self.test),
            seen_rows=int(seen_rows(self.train, self.test).sum()),
            class_names=self.class_names,
            fingerprint=self.fingerprint,
        )

    def vocabulary(self, tokenization: Tokenization = WORDS) -> Tokenizer:
        """The tokenizer made from the training files of both tasks, and from nothing else."""
        rows = [segment.text for segment in self.train]
        return Tokenizer.build(rows, self.train_text, tokenization=tokenization)


def load_corpus(directory: Path | str) -> Corpus:
    """Read and check a data folder; UserError, with file and line, for whatever is missing or wrong in it."""
    directory = Path(directory)
    if missing_files(directory):
        raise UserError(why_incomplete(directory))
    train, test = (read_segments(directory / name) for name in CLASSIFICATION)
    for name, rows in zip(CLASSIFICATION, (train, test)):
        _check_rows(directory / name, rows)
    labels = sorted({segment.label for segment in train}, key=_label_order)
    if len(labels) < 2:
        raise UserError(f"{directory / CLASSIFICATION[0]}: only one class, {labels[0]!r}; there must be two or more")
    for segment in test:
        if segment.label not in labels:
            where, known = f"{directory / CLASSIFICATION[1]}:{segment.line}", ", ".join(map(repr, labels[:10]))
            raise UserError(f"{where}: label {segment.label!r} is not in {CLASSIFICATION[0]}, which has {known}")
    _warn_of_labels(directory / CLASSIFICATION[0], train)
    tests = {name: _texts(directory / f"test_LM_{name}.txt") for name in _test_names(directory)}
    for name in {TRAINING, TOGETHER} & tests.keys():
        raise UserError(f"{directory / f'test_LM_{name}.txt'}: tables use the name {name!r} already; rename the file")
    names = _class_names(directory, labels, list(tests))
    used = [*CLASSIFICATION, TRAIN_TEXT, *(f"test_LM_{name}.txt" for name in tests), "labels.tsv"]
    digests = [name + sha256((directory / name).read_bytes()) for name in used if (directory / name).is_file()]
    fingerprint = sha256("\n".join(digests).encode())
    return Corpus(directory, train, test, _texts(directory / TRAIN_TEXT), tests, labels, names, fingerprint)


def missing_files(directory: Path) -> list[str]:
    """The names of the files that a data folder lacks.

    A manifest names all that belong. Without one, the tests of the default speakers count as a set: some of them
    without the others are incomplete.
    """
    tests = _test_names(directory)
    if set(tests) < set(DEFAULT_TESTS):
        tests = DEFAULT_TESTS
    needed = [*CLASSIFICATION, TRAIN_TEXT, *(f"test_LM_{name}.txt" for name in tests)]
    if manifest := read_manifest(directory):
        needed = list(dict.fromkeys([*CLASSIFICATION, TRAIN_TEXT, *manifest.files]))
    present = {path.name for path in directory.glob("*") if path.exists()}  # a manifest may name what no file can be
    return [name for name in needed if name not in present]


class MadeSpeaker(Record, frozen=True):
    """What was left out of a speaker's texts, by reason: how much."""

    name: str
    left_out: dict[str, int] = msgspec.field(default_factory=dict)


class Manifest(Record, frozen=True):
    """manifest.json, as far as it is read."""

    files: dict[str, str]  # and the SHA-256 of each
    speakers: list[MadeSpeaker] = msgspec.field(default_factory=list)


def read_manifest(directory: Path) -> Manifest | None:
    """What a folder's manifest says; None if it has none."""
    path = directory / MANIFEST
    return read_as(path, Manifest, "it is damaged, build the data anew") if path.is_file() else None


def data_files(directory: Path) -> list[str]:
    """The names of what may be files of data in a folder, sorted."""
    files = [path for path in directory.glob("*") if path.is_file()]
    return sorted(path.name for path in files if path.suffix in (".tsv", ".txt") or path.name == MANIFEST)


def why_incomplete(directory: Path) -> str:
    """What is wrong with a folder that lacks files, and what to do."""
    if directory.exists() and not directory.is_dir():
        return f"{directory}: is a file; --data-dir takes a folder"
    missing, own, near = ", ".join(missing_files(directory)), data_files(directory), _whole_folder_near(directory)
    what = f"{missing} missing" if own else "no data in it" if directory.exists() else "no such folder"
    if MANIFEST in own:
        remedy = "it is half built: run the command again that made it, or clear the folder"
    elif near:
        remedy = f"did you mean {near}?"
    elif own:
        what = f"{what}, next to {', '.join(own[:3])}"
        remedy = "add it, or clear the folder if it was left half built"
    else:
        remedy = f"`python main.py data build --out {directory}` makes data there, data import from your own texts"
    return f"{directory}: {what}; {remedy}"


def _whole_folder_near(directory: Path) -> Path | None:
    """A folder with data that may be meant: one level down, or of nearly the same name, or the one beside main.py."""
    near = [path for path in sorted(directory.glob("*")) if path.is_dir()]
    if not directory.exists():
        beside = [path.name for path in directory.parent.glob("*") if path.is_dir()]
        near += [directory.parent / name for name in difflib.get_close_matches(directory.name, beside)]
    if directory.name == DEFAULT_FOLDER.name:
        near.append(DEFAULT_FOLDER)
    for folder in near:
        with contextlib.suppress(UserError):  # one that is damaged is not meant
            if not missing_files(folder):
                return folder
    return None


def _texts(path: Path) -> list[str]:
    return [line for _, line in read_lines(path)]


def _test_names(directory: Path) -> list[str]:
    return sorted(path.name[len("test_LM_") : -len(".txt")] for path in directory.glob("test_LM_?*.txt"))


def _label_order(label: str) -> tuple[bool, int, str]:
    number = re.fullmatch(r"-?[0-9]{1,18}", label)
    return (not number, int(label) if number else 0, label)


def _class_names(directory: Path, labels: list[str], tests: list[str]) -> list[str]:
    """A name for each label; UserError with the line of labels.tsv that has a name or a label a second time."""
    path = directory / "labels.tsv"
    if path.exists():
        rows = read_segments(path)
        names = {row.label: row.text for row in rows}
        taken = {("name", label) for label in labels if label not in names}  # who has no name is called by the label
        for row in rows:
            for kind, value in (("label", row.label), ("name", unicodedata.normalize("NFC", same_text(row.text)))):
                if (kind, value) in taken:
                    hint = "give each label one name, and each its own"
                    raise UserError(
                        f"{path}:{row.line}: the {kind} {value!r} is taken by another line or label; {hint}"
                    )
                taken.add((kind, value))
        return [names.get(label, label) for label in labels]
    if labels == ["0", "1", "2"] and set(tests) == set(DEFAULT_TESTS):
        return DEFAULT_NAMES
    return labels


# ------------------------------------------------------------------------------------------------- segments to tensors


@dataclass(frozen=True)
class Labelled:
    """Rows for a classifier."""

    ids: Tensor  # (N, block size) int64, padded with 0 on the right
    lengths: Tensor  # (N,) how many of them are tokens, at least 1
    labels: Tensor  # (N,) indices of classes
    n_truncated: int  # rows that were longer than the block and lost their end

    def batch(self, items: Tensor, cut: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """ids (B, T), lengths (B,), labels (B,) of some rows; T is the block"""
        lengths = self.lengths[items]
        width = int(lengths.max()) if cut else self.ids.shape[1]
        return self.ids[items, :width], lengths, self.labels[items]


@dataclass(frozen=True)
class Stream:
    """One text for a decoder: its lines joined."""

    ids: Tensor  # (n tokens,) int64
    n_bytes: int  # of the text in UTF-8, a line break after each line
    n_unknown_bytes: int  # that it takes to spell the tokens that became <unk>
    line_lengths: tuple[int, ...] = ()  # how many tokens each line is


def encode_segments(
    segments: Sequence[Segment], tokenizer: Tokenizer, labels: Sequence[str], block_size: int
) -> Labelled:
    """Tensors of `segments`, whose labels are in `labels`; rows are cut at `block_size` tokens, and that is counted."""
    rows = tokenizer.encode_all([segment.text for segment in segments])
    lengths = torch.tensor([min(len(row), block_size) for row in rows], dtype=torch.long)
    ids, inside = torch.full((len(rows), block_size), PAD), torch.arange(block_size) < lengths[:, None]
    ids[inside] = torch.tensor([i for row in rows for i in row[:block_size]], dtype=torch.long)
    classes = torch.tensor([labels.index(segment.label) for segment in segments], dtype=torch.long)
    return Labelled(ids, lengths, classes, sum(len(row) > block_size for row in rows))


def encode_stream(lines: Sequence[str], tokenizer: Tokenizer) -> Stream:
    """The tokens of all lines, one after the other."""
    split = tokenizer.splitter.split_all(lines)
    tokens = [token for line in split for token in line]
    ids = tokenizer.ids(tokens)
    unknown = sum(tokenizer.splitter.n_bytes(token) for token, i in zip(tokens, ids) if i == UNK)
    n_bytes = sum(len(line.encode()) + 1 for line in lines)
    return Stream(torch.tensor(ids, dtype=torch.long), n_bytes, unknown, tuple(map(len, split)))


def same_text(text: str) -> str:
    """What two texts share that differ only in white space."""
    return " ".join(text.split())


def seen_rows(train: Sequence[Segment], test: Sequence[Segment]) -> Tensor:
    """(N,) bool: which rows of `test` stand, white space aside, word for word in `train`."""
    known = {same_text(segment.text) for segment in train}
    return torch.tensor([same_text(segment.text) in known for segment in test], dtype=torch.bool)


# ---------------------------------------------------------------------------------------------------- splits, batches


def distinct(segments: Sequence[Segment]) -> list[Segment]:
    """`segments` without repetitions of a text (white space aside): what a split must start from."""
    first: dict[str, Segment] = {}
    for segment in segments:
        first.setdefault(same_text(segment.text), segment)
    return list(first.values())


def folds(labels: Sequence[object], k: int, seed: int) -> list[list[int]]:
    """A random partition of the rows into `k` folds of (nearly) the same size and mix of labels; sorted indices."""
    order = torch.randperm(len(labels), generator=Generator().manual_seed(seed)).tolist()
    by_label = sorted(order, key=lambda i: str(labels[i]))  # stable: random inside a label
    return [sorted(by_label[start::k]) for start in range(k)]


def folds_of_lines(n_lines: int, k: int, seed: int) -> list[list[int]]:
    """A random partition of the lines of a text into `k` folds of (nearly) the same size, each of whole stretches of
    neighbours, as test texts are; sorted indices."""
    stretches = torch.arange(n_lines).split(max(1, min(STRETCH, n_lines // k)))
    order = torch.randperm(len(stretches), generator=Generator().manual_seed(seed)).tolist()
    return [sorted(line for i in order[start::k] for line in stretches[i].tolist()) for start in range(k)]


def stretches(labels: Sequence[object], size: int = STRETCH) -> list[int]:
    """Of each row the number of its stretch: at most `size` rows of a file that follow each other and have one label.

    Test rows stand in the order in which they were said, so that these are neighbours, which are alike; of rows in
    random order most are a stretch of their own.
    """
    found: list[int] = []
    length = 0
    for place, label in enumerate(labels):
        goes_on = place > 0 and label == labels[place - 1] and length < size
        length = length + 1 if goes_on else 1
        found.append((found[-1] + (not goes_on)) if found else 0)
    return found


def epoch_batches(
    lengths: Tensor, batch_size: int, generator: Generator, by_length: bool, n_pooled: int = 50
) -> list[Tensor]:
    """A random partition of all rows into batches: (B,) indices each, every row once, one batch perhaps smaller.

    `by_length`: neighbours in length share a batch, so that little of it is padding; sorting inside pools of `n_pooled`
    batches keeps the batches of different epochs different.
    """
    order = torch.randperm(len(lengths), generator=generator)
    if not by_length:
        return list(order.split(batch_size))
    pools = [pool[lengths[pool].argsort(stable=True)] for pool in order.split(batch_size * n_pooled)]
    batches = [batch for pool in pools for batch in pool.split(batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def window_starts(
    n_tokens: int, block_size: int, n_iterations: int, batch_size: int, generator: Generator, shuffled: bool = False
) -> Tensor:
    """Where the windows of a decoder's whole run begin, (iterations, batch size): drawn up front, so that a run that
    resumes needs only the number of its iteration. A window is `block_size` tokens and the one to predict after them.

    Each is drawn at random from the whole text; or, `shuffled`, the text is cut into windows from a random place on,
    and each is taken once, before it is cut anew.
    """
    if n_tokens <= block_size:
        raise UserError(f"{TRAIN_TEXT}: {n_tokens} tokens, too few for windows of {block_size}; use more text")
    if not shuffled:
        return torch.randint(n_tokens - block_size, (n_iterations, batch_size), generator=generator)
    rounds: list[Tensor] = []
    while sum(map(len, rounds)) < n_iterations * batch_size:
        first = int(torch.randint(min(block_size, n_tokens - block_size), (), generator=generator))
        starts = torch.arange(first, n_tokens - block_size, block_size)
        rounds.append(starts[torch.randperm(len(starts), generator=generator)])
    return torch.cat(rounds)[: n_iterations * batch_size].view(n_iterations, batch_size)


def voiced_starts(
    n_tokens: Sequence[int], block_size: int, n_iterations: int, batch_size: int, generator: Generator, shuffled: bool
) -> Tensor:
    """As `window_starts`, of several texts that stand one after the other, each of so many tokens and longer than a
    window: half of each batch is from the first, the rest from the others, each as often as it is long."""
    n_named = batch_size // 2
    starts = window_starts(n_tokens[0], block_size, n_iterations, batch_size - n_named, generator, shuffled)
    named, begin = list[Tensor](), n_tokens[0]
    for size in n_tokens[1:]:
        n_windows = math.ceil(n_iterations * n_named * size / sum(n_tokens[1:]))
        named.append(begin + window_starts(size, block_size, 1, n_windows, generator, shuffled)[0])
        begin += size
    order = torch.randperm(sum(map(len, named)), generator=generator)[: n_iterations * n_named]
    return torch.cat([starts, torch.cat(named)[order].view(n_iterations, n_named)], dim=1)


# ------------------------------------------------------------------------------------------------- all that a run needs


@dataclass(frozen=True)
class Data:
    """A data folder as tensors, with the tokenizer made from its training files."""

    corpus: Corpus
    tokenizer: Tokenizer
    train: Labelled
    test: Labelled
    seen: Tensor  # (N,) bool: test rows whose text stands in train_CLS.tsv
    train_stream: Stream
    test_streams: dict[str, Stream]

    def speaker_streams(self) -> list[Stream]:
        """What each speaker says in the labelled rows, class by class."""
        rows, labels = self.corpus.train, self.corpus.labels
        return [encode_stream([row.text for row in rows if row.label == label], self.tokenizer) for label in labels]

    def words_of_rows(self) -> Tensor:
        """(V,) bool: which tokens would be known without train_LM.txt: those of the labelled rows, and all subwords."""
        if self.tokenizer.tokenization.kind == "bpe":
            return torch.ones(len(self.tokenizer), dtype=torch.bool)
        rows = self.tokenizer.encode_all([row.text for row in self.corpus.train])
        known = torch.zeros(len(self.tokenizer), dtype=torch.bool)
        known[torch.tensor([i for row in rows for i in row], dtype=torch.long)] = True
        return known


def validation_split(data: Data, fold: int, n_folds: int = 5) -> Data:
    """`data` to tune a classifier with: its test rows are one fold (`fold` modulo `n_folds`) of the distinct training
    rows, its training rows the other folds. Nothing of the test set is left in it, and no text stands on both sides.

    The vocabulary stays as it is: most rows stand in train_LM.txt, too, and so do their words.
    """
    first = sorted({same_text(row.text): i for i, row in reversed(list(enumerate(data.corpus.train)))}.values())
    chosen = set(folds([data.corpus.train[i].label for i in first], n_folds, seed=0)[fold % n_folds])
    parts = [[i for place, i in enumerate(first) if (place in chosen) == inside] for inside in (False, True)]
    if not all(parts):
        path = data.corpus.directory / CLASSIFICATION[0]
        raise UserError(f"{path}: too few different rows for {n_folds} folds to tune with; use more rows")
    train, test = (
        replace(data.train, ids=data.train.ids[part], lengths=data.train.lengths[part], labels=data.train.labels[part])
        for part in parts
    )
    segments = [[data.corpus.train[i] for i in part] for part in parts]
    name = f"{data.corpus.fingerprint} fold {fold % n_folds} of {n_folds}"
    corpus = replace(data.corpus, train=segments[0], test=segments[1], test_texts={}, fingerprint=sha256(name.encode()))
    seen = torch.zeros(len(parts[1]), dtype=torch.bool)
    return replace(data, corpus=corpus, train=train, test=test, seen=seen, test_streams={})


def validation_text(data: Data, fold: int, n_folds: int = 5) -> Data:
    """`data` to tune a decoder with: its one test text, "validation", is a fold (`fold` modulo `n_folds`) of the lines
    of train_LM.txt, its training text the other folds. Nothing of the test set is left in it.

    Its words are new to the decoder as those of a test text are: held-out lines that stand in the training text, too,
    are left out, labelled rows that stand in the held-out lines are gone, and the vocabulary is that of what remains.
    """
    lines, number = data.corpus.train_text, fold % n_folds
    chosen = set(folds_of_lines(len(lines), n_folds, seed=0)[number])
    rest = [line for i, line in enumerate(lines) if i not in chosen]
    known = set(map(same_text, rest))
    held_out = [lines[i] for i in sorted(chosen) if same_text(lines[i]) not in known]
    if not rest or not held_out:
        raise UserError(f"{TRAIN_TEXT}: too few different lines for {n_folds} folds to tune with; use more text")
    given_away = set(map(same_text, held_out))
    corpus = replace(
        data.corpus,
        train=[row for row in data.corpus.train if same_text(row.text) not in given_away],
        test=[],
        train_text=rest,
        test_texts={"validation": held_out},
        fingerprint=sha256(f"{data.corpus.fingerprint} text fold {number} of {n_folds}".encode()),
    )
    return encode(corpus, data.train.ids.shape[1], data.tokenizer.tokenization)


def without_fold(data: Data, kind: str, fold: int) -> Data:
    return (validation_split if kind == "classifier" else validation_text)(data, fold)


def sample(corpus: Corpus, share: int) -> Corpus:
    """Every `share`-th row of each class, and the beginning of every text, `share` times shorter."""

    def some(rows: list[Segment]) -> list[Segment]:
        return [row for label in corpus.labels for row in [one for one in rows if one.label == label][::share]]

    return replace(
        corpus,
        train=some(corpus.train),
        test=some(corpus.test),
        train_text=corpus.train_text[: -(-len(corpus.train_text) // share)],
        test_texts={name: lines[: -(-len(lines) // share)] for name, lines in corpus.test_texts.items()},
        fingerprint=sha256(f"{corpus.fingerprint} every {share}".encode()),
    )


def load_data(directory: Path | str, block_size: int, share: int = 1, tokenization: Tokenization = WORDS) -> Data:
    """Read a data folder and encode every text once; with `share` above 1 only a sample of it, that part of every
    file."""
    corpus = load_corpus(directory)
    if share > 1:
        corpus = sample(corpus, share)
    return encode(corpus, block_size, tokenization)


def encode(corpus: Corpus, block_size: int, tokenization: Tokenization) -> Data:
    """Every text of a corpus as tensors, with the tokenizer made from its training files."""
    tokenizer = corpus.vocabulary(tokenization)
    train, test = (encode_segments(rows, tokenizer, corpus.labels, block_size) for rows in (corpus.train, corpus.test))
    streams = {name: encode_stream(lines, tokenizer) for name, lines in corpus.test_texts.items()}
    seen = seen_rows(corpus.train, corpus.test)
    return Data(corpus, tokenizer, train, test, seen, encode_stream(corpus.train_text, tokenizer), streams)
