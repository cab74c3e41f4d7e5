"""A data folder's rows and texts to tensors, to batches and to folds held out of training.

`load_data` does it all. What follows is in reading order: tensors, everything that a run needs, folds, batches. The
files are read and checked before that, by speechesdataset/folder.py.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Generator, Tensor

from common.files import UserError, sha256
from speechesdataset.folder import TRAIN_ROWS, TRAIN_TEXT, Corpus, Segment, load_corpus, same_text, seen_rows
from tokenizer import PAD, UNK, WORDS, Tokenization, Tokenizer

STRETCH = 10  # lines that follow each other and are held out together

# -------------------------------------------------------------------------------------------------- segments to tensors


@dataclass(frozen=True)
class Labelled:
    """Rows for a classifier."""

    ids: Tensor  # (N, block size) int64, padded with 0 on the right
    lengths: Tensor  # (N,) how many of them are tokens, at least 1
    labels: Tensor  # (N,) indices of classes
    n_truncated: int  # rows that were longer than the block and lost their end

    def batch(self, rows: Tensor, cut: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """ids (B, T), lengths (B,), labels (B,) of some rows; T is the block size, or if `cut` the longest row's."""
        lengths = self.lengths[rows]
        width = int(lengths.max()) if cut else self.ids.shape[1]
        return self.ids[rows, :width], lengths, self.labels[rows]


@dataclass(frozen=True)
class Stream:
    """One text for a decoder: its lines joined."""

    ids: Tensor  # (n tokens,) int64
    n_bytes: int  # of the text in UTF-8, a line break after each line
    n_unknown_bytes: int  # that it takes to spell the tokens that became <unk>
    line_lengths: tuple[int, ...] = ()  # the number of tokens in each line


def encode_segments(
    segments: Sequence[Segment], tokenizer: Tokenizer, labels: Sequence[str], block_size: int
) -> Labelled:
    """Tensors of `segments`, whose labels are in `labels`; rows are cut at `block_size` tokens, and that is counted."""
    rows = tokenizer.encode_all([segment.text for segment in segments])
    lengths = torch.tensor([min(len(row), block_size) for row in rows], dtype=torch.long)  # (N,)
    ids, is_token = torch.full((len(rows), block_size), PAD), torch.arange(block_size) < lengths[:, None]  # both (N, T)
    ids[is_token] = torch.tensor([i for row in rows for i in row[:block_size]], dtype=torch.long)
    classes = torch.tensor([labels.index(segment.label) for segment in segments], dtype=torch.long)
    return Labelled(ids, lengths, classes, sum(len(row) > block_size for row in rows))


def encode_stream(lines: Sequence[str], tokenizer: Tokenizer) -> Stream:
    """The tokens of all lines, one line after the other."""
    tokens_of_lines = tokenizer.split_all(lines)
    tokens = [token for line in tokens_of_lines for token in line]
    ids = tokenizer.ids(tokens)
    n_unknown_bytes = sum(tokenizer.n_bytes(token) for token, i in zip(tokens, ids) if i == UNK)
    n_bytes = sum(len(line.encode()) + 1 for line in lines)
    return Stream(torch.tensor(ids, dtype=torch.long), n_bytes, n_unknown_bytes, tuple(map(len, tokens_of_lines)))


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


def load_data(directory: Path | str, block_size: int, share: int = 1, tokenization: Tokenization = WORDS) -> Data:
    """Read a data folder and encode every text once; with `share` above 1 only that part of every file.

    UserError, with file and line, for whatever is missing or wrong in the folder.
    """
    corpus = load_corpus(directory)
    return encode(sample(corpus, share) if share > 1 else corpus, block_size, tokenization)


def encode(corpus: Corpus, block_size: int, tokenization: Tokenization) -> Data:
    """Every text of a corpus as tensors, with the tokenizer made from its training files."""
    tokenizer = corpus.vocabulary(tokenization)
    train, test = (encode_segments(rows, tokenizer, corpus.labels, block_size) for rows in (corpus.train, corpus.test))
    streams = {name: encode_stream(lines, tokenizer) for name, lines in corpus.test_texts.items()}
    seen = torch.tensor(seen_rows(corpus.train, corpus.test), dtype=torch.bool)
    return Data(corpus, tokenizer, train, test, seen, encode_stream(corpus.train_text, tokenizer), streams)


def sample(corpus: Corpus, share: int) -> Corpus:
    """Every `share`-th row of each class, and the beginning of every text, `share` times shorter."""

    def some(rows: list[Segment]) -> list[Segment]:
        by_class = [[row for row in rows if row.label == label] for label in corpus.labels]
        return [row for rows_of_class in by_class for row in rows_of_class[::share]]

    def beginning(lines: list[str]) -> list[str]:
        return lines[: math.ceil(len(lines) / share)]

    return replace(
        corpus,
        train=some(corpus.train),
        test=some(corpus.test),
        train_text=beginning(corpus.train_text),
        test_texts={name: beginning(lines) for name, lines in corpus.test_texts.items()},
        fingerprint=sha256(f"{corpus.fingerprint} every {share}".encode()),
    )


# --------------------------------------------------------------------------------------------------- folds, to tune by


def without_fold(data: Data, kind: Literal["classifier", "decoder"], fold: int, n_folds: int = 5) -> Data:
    """`data` to tune a model of this kind by: it is tested on what fold `fold` (modulo `n_folds`) of the training files
    holds out, and trained on the rest. Nothing of the test set is left in it, and no text stands on both sides.

    A classifier is tested on the fold's distinct rows of train_CLS.tsv, a decoder on its lines of train_LM.txt, as the
    one test text "validation". UserError where the rows or lines are too few.
    """
    hold_out = _without_rows if kind == "classifier" else _without_lines
    return hold_out(data, fold % n_folds, n_folds)


def _without_rows(data: Data, fold: int, n_folds: int) -> Data:
    """The vocabulary stays as it is: most rows stand in train_LM.txt, too, and so do their words."""
    rows = data.corpus.train
    first = sorted({same_text(row.text): i for i, row in reversed(list(enumerate(rows)))}.values())  # of each text
    held_out = set(folds([rows[i].label for i in first], n_folds, seed=0)[fold])
    train = [i for number, i in enumerate(first) if number not in held_out]
    test = [i for number, i in enumerate(first) if number in held_out]
    if not train or not test:
        path = data.corpus.directory / TRAIN_ROWS
        raise UserError(f"{path}: too few different rows for {n_folds} folds to tune with; use more rows")

    def part(indices: list[int]) -> Labelled:
        ids, lengths, labels = data.train.batch(torch.tensor(indices))
        return replace(data.train, ids=ids, lengths=lengths, labels=labels)

    corpus = replace(
        data.corpus,
        train=[rows[i] for i in train],
        test=[rows[i] for i in test],
        test_texts={},
        fingerprint=sha256(f"{data.corpus.fingerprint} fold {fold} of {n_folds}".encode()),
    )
    seen = torch.zeros(len(test), dtype=torch.bool)
    return replace(data, corpus=corpus, train=part(train), test=part(test), seen=seen, test_streams={})


def _without_lines(data: Data, fold: int, n_folds: int) -> Data:
    """The words of the held-out lines are new to the decoder as those of a test text are: held-out lines that stand in
    the training text, too, are left out, labelled rows that stand in the held-out lines are gone, and the vocabulary is
    that of what remains."""
    lines = data.corpus.train_text
    chosen = set(folds_of_lines(len(lines), n_folds, seed=0)[fold])
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
        fingerprint=sha256(f"{data.corpus.fingerprint} text fold {fold} of {n_folds}".encode()),
    )
    return encode(corpus, data.train.ids.shape[1], data.tokenizer.tokenization)


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
    random order most are a stretch by themselves.
    """
    numbers: list[int] = []
    length = 0
    for row, label in enumerate(labels):
        goes_on = row > 0 and label == labels[row - 1] and length < size
        length = length + 1 if goes_on else 1
        numbers.append(numbers[-1] + (not goes_on) if numbers else 0)
    return numbers


# -------------------------------------------------------------------------------------------------------------- batches


def epoch_batches(n_rows: int, batch_size: int, generator: Generator) -> list[Tensor]:
    """A random partition of all rows into batches: (B,) indices each, every row once, one batch perhaps smaller."""
    return list(torch.randperm(n_rows, generator=generator).split(batch_size))


def window_starts(
    n_tokens: int, block_size: int, n_iterations: int, batch_size: int, generator: Generator, shuffled: bool = False
) -> Tensor:
    """Where the windows of a decoder's whole run begin, (iterations, batch size): drawn up front, so that a run that
    resumes needs only the number of its iteration. A window is `block_size` tokens and the one to predict after them.

    Each is drawn at random from the whole text; or, `shuffled`, the text is cut into windows from a random token on,
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
