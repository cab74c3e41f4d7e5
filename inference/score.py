"""How surprising is each word of a text, to a decoder, its voices and a trigram?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import torch
from torch import Tensor

from common.files import UserError
from dataset import encode_stream
from evaluation.ngrams import KneserNey
from evaluation.perplexity import Protocol, language_scores, predicted_nats, token_nats
from inference.sentence import finite, shown
from training.records import LanguageScores
from training.weights import TrainedModel
from transformer import Decoder


@dataclass(frozen=True)
class Scorer:
    """Who scores, and how."""

    name: str
    nats: Callable[[Tensor], Tensor]  # the -log p of each of the tokens (N,) of a text: (N,)


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
    """The decoder (and the network alone, if it predicts together with n-grams), its voices, if any, and a trigram of
    the tokens (N,) of its training text."""
    trigram = trigram_scorer(KneserNey.fit(training_text, len(trained.tokenizer)))
    return [*decoder_scorers(trained), *voice_scorers(trained), trigram]


def voice_scorers(trained: TrainedModel) -> list[Scorer]:
    """Each of a decoder's voices, by the name of its speaker."""
    names = enumerate(trained.class_names)
    return [replace(decoder_scorers(trained.as_speaker(number))[0], name=name) for number, name in names]


def trigram_scorer(trigram: KneserNey) -> Scorer:
    """A Kneser-Ney trigram."""
    return Scorer("trigram", lambda ids: -torch.from_numpy(trigram.log_probabilities(ids)))


def decoder_scorers(trained: TrainedModel) -> list[Scorer]:
    """A decoder that reads windows of its block, as part 2 does; if it predicts together with n-grams, then also
    alone."""
    model, ngrams = trained.model, trained.ngrams
    if not isinstance(model, Decoder):
        raise ValueError("a classifier does not score")
    protocol = Protocol(model.config.block_size)
    alone = Scorer("decoder", lambda ids: token_nats(model, ids, protocol))
    if ngrams is None:
        return [alone]
    return [
        Scorer("decoder", lambda ids: predicted_nats(model, ngrams, ids, protocol)),
        replace(alone, name="network alone"),
    ]


def score(lines: Sequence[str], trained: TrainedModel, scorers: Sequence[Scorer]) -> ScoredText:
    """What each scorer makes of a text, line after line, read and scored as part 2 does with its test texts. Lines that
    somebody typed have gone through `uniform_text`."""
    tokenizer = trained.tokenizer
    stream = encode_stream(lines, tokenizer)
    if not len(stream.ids):
        raise UserError("the text is empty; give at least one word")
    tokens = tokenizer.tokens(stream.ids.tolist(), [token for line in lines for token in tokenizer.unknown(line)])
    scored = []
    for scorer in scorers:
        nats = finite(scorer.nats(stream.ids))
        scored.append(Scored(scorer.name, nats.tolist(), language_scores(nats, stream)))
    return ScoredText(str(Protocol(trained.model.config.block_size)), shown(tokens), scored)
