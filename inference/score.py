"""How surprising is each word of a text, to a decoder and to whoever is asked beside it?"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from common.files import UserError
from dataset import encode_stream, read_lines
from evaluation.mixture import predicted_nats
from evaluation.ngrams import KneserNey
from evaluation.perplexity import Protocol, language_scores, token_nats
from inference.sentence import finite, shown
from tokenizer import Tokenizer, normalized
from training.records import LanguageScores
from training.weights import TrainedModel
from transformer import Decoder


@dataclass(frozen=True)
class Scorer:
    """Who scores, and how: the -log p, in nats, of each of the tokens (N,) of a text."""

    name: str
    nats: Callable[[Tensor], Tensor]


class Scored(msgspec.Struct, frozen=True):
    """A text under one scorer: every token, and the whole."""

    name: str
    nats: list[float]
    whole: LanguageScores


class ScoredText(msgspec.Struct, frozen=True):
    """A text under several scorers."""

    protocol: str  # how the decoder reads a text that is longer than its context
    tokens: list[str]  # what the vocabulary lacks is marked: "gizmo?"
    scored: list[Scored]


def scorers(trained: TrainedModel, training_text: Tensor) -> list[Scorer]:
    """The decoder, with n-grams beside it where it was trained so, and then the network alone; and a trigram that
    counted the tokens (N,) of its training text."""
    model = trained.model
    assert isinstance(model, Decoder)
    trigram, protocol = KneserNey.fit(training_text, len(trained.tokenizer)), Protocol(model.config.block_size)
    found = [
        Scorer("decoder", lambda ids: predicted_nats(model, trained.ngrams, ids, protocol)),
        Scorer("trigram", lambda ids: -torch.from_numpy(trigram.log_probabilities(ids))),
    ]
    if trained.ngrams:
        found.insert(1, Scorer("network alone", lambda ids: token_nats(model, ids, protocol)))
    return found


def lines_of(text: str) -> list[str]:
    """The lines of the file of this name, or of the text itself where it is none; UserError where it can only be a
    file, and is not there."""
    path = Path(text)
    with contextlib.suppress(OSError, ValueError):  # too long for a name, or with a NUL
        if path.is_file():
            return [line for _, line in read_lines(path)]
        if path.is_dir() or (path.suffix == ".txt" and len(text.split()) == 1):
            raise UserError(f"{text}: no such file of text; give one, or a text in quotes")
    return [normalized(line.strip()) for line in text.split("\n") if line.strip()]


def score(lines: Sequence[str], trained: TrainedModel, asked: Sequence[Scorer]) -> ScoredText:
    """What each scorer makes of a text, line after line, read and scored as part 2 does with its test texts."""
    tokenizer: Tokenizer = trained.tokenizer
    stream = encode_stream(lines, tokenizer)
    if not len(stream.ids):
        raise UserError("the text is empty; give at least one word")
    tokens = tokenizer.tokens(stream.ids.tolist(), [token for line in lines for token in tokenizer.unknown(line)])
    scored = []
    for scorer in asked:
        nats = finite(scorer.nats(stream.ids))
        scored.append(Scored(scorer.name, nats.tolist(), language_scores(nats, stream)))
    return ScoredText(str(Protocol(trained.model.config.block_size)), shown(tokens), scored)
