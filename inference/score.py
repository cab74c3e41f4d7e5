"""How surprising is each word of a text, to a decoder, its voices and a trigram?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import torch
from torch import Tensor

from common.files import UserError
from dataset import encode_stream
from evaluation.ngrams import KneserNey, mixed
from evaluation.perplexity import Protocol, language_scores, predicted_nats, token_nats
from inference.sentence import finite, shown
from tokenizer import PAD, Tokenizer
from training.records import LanguageScores
from training.weights import TrainedModel
from transformer import Decoder


@dataclass(frozen=True)
class Scorer:
    """Who scores, and how."""

    name: str
    nats: Callable[[Tensor], Tensor]  # the -log p of each of the tokens (N,) of a text: (N,)
    expects: Callable[[Tensor], Tensor]  # the log p of every word (N, V) in place of each of them


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
    expects = partial(ngram_log_probabilities, trigram)
    return Scorer("trigram", lambda ids: -torch.from_numpy(trigram.log_probabilities(ids)), expects)


def ngram_log_probabilities(ngrams: KneserNey, ids: Tensor) -> Tensor:
    """The log p (N, V) of every word in place of each of the tokens (N,), by n-grams."""
    return torch.stack([torch.from_numpy(ngrams.distribution(ids[:n].tolist())).log() for n in range(len(ids))])


def decoder_scorers(trained: TrainedModel) -> list[Scorer]:
    """A decoder that reads windows of its block, as part 2 does; if it predicts together with n-grams, then also
    alone."""
    model, ngrams = trained.model, trained.ngrams
    if not isinstance(model, Decoder):
        raise ValueError("a classifier does not score")
    length = model.config.block_size
    protocol = Protocol(length)

    @torch.inference_mode()
    def network(ids: Tensor) -> Tensor:
        text = torch.cat([torch.tensor([PAD]), ids[:-1]])
        return torch.cat([model(window[None])[0].double().log_softmax(dim=-1) for window in text.split(length)])

    alone = Scorer("decoder", lambda ids: token_nats(model, ids, protocol), network)
    if ngrams is None:
        return [alone]

    def together(ids: Tensor) -> Tensor:
        return mixed(network(ids), ngram_log_probabilities(ngrams, ids), model.config.ngram_share)

    both = Scorer("decoder", lambda ids: predicted_nats(model, ngrams, ids, protocol), together)
    return [both, replace(alone, name="network alone")]


def likeliest_by_token(scorer: Scorer, ids: Tensor, tokenizer: Tokenizer, n: int) -> list[list[tuple[str, float]]]:
    """For each of the tokens (N,), the `n` words that were likeliest in its place, and their probabilities."""
    return [likeliest_words(row, tokenizer, n) for row in scorer.expects(ids).exp()]


def likeliest_words(probabilities: Tensor, tokenizer: Tokenizer, n: int) -> list[tuple[str, float]]:
    """The words with the `n` highest of the `probabilities` (V,), without impossible ones."""
    top = probabilities.topk(min(n, len(probabilities)))
    words = shown([tokenizer.words[i] for i in top.indices.tolist()])
    return [(word, share) for word, share in zip(words, top.values.tolist()) if share > 0]


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
