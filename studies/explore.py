"""What the page to play with shows: the trained models under a folder, and each view of a text as a record.

The numbers are those of classify, explain, attention, knockouts, score and generate; here they are only put together.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from common.files import UserError
from dataset import Data, encode_stream
from evaluation.baselines import fitted_linear_models
from evaluation.ngrams import KneserNey
from evaluation.opponents import OPPONENTS
from inference.attention import sentence_maps
from inference.classify import classify
from inference.explain import Explanation, explain
from inference.generate import decoder_predictor, steps, trigram_predictor
from inference.sampling import Sampling
from inference.score import (
    ScoredText,
    decoder_scorers,
    likeliest_by_token,
    likeliest_words,
    lines_in,
    score,
    trigram_scorer,
    voice_scorers,
)
from inference.sentence import read_sentence, shown
from speechesdataset.folder import same_text
from studies.probes.knockouts import Means, Part, knocked_out, mean_outputs
from studies.workplace import data_of
from training.recipe import Task
from training.weights import TrainedModel, load_model, saved_models
from transformer import Decoder

LONGEST = 1000  # characters of a text that is looked at
N_GUESSES = 5
Key = TypeVar("Key")
Kind = TypeVar("Kind")
Guesses = list[tuple[str, float]]  # words or classes, the likeliest first, and their probabilities


def once(make: Callable[[Key], Kind]) -> Callable[[Key], Kind]:
    """`make`, called once for each argument, whichever threads ask for it at the same time."""
    lock, kept = threading.RLock(), dict[Key, Kind]()

    def ask(key: Key) -> Kind:
        with lock:
            if key not in kept:
                kept[key] = make(key)
            return kept[key]

    return ask


class Shelf:
    """The trained models under a folder, each loaded when it is first asked for, and what their data say beside them.

    A model is called by its place in the folder: "part1/classifier".
    """

    def __init__(self, runs: Path, data_dir: Path) -> None:
        self.runs, self.data_dir = runs, data_dir
        self.model: Callable[[str], TrainedModel] = once(lambda name: load_model(runs / f"{name}.safetensors"))
        self.data: Callable[[str], Data] = once(lambda name: data_of(self.model(name), data_dir))
        self.means: Callable[[str], Means] = once(lambda name: mean_outputs(self.model(name).model, self.data(name)))
        self.trigram: Callable[[str], KneserNey] = once(lambda name: trigram_of(self.data(name)))
        self.opponents: Callable[[str], Callable[[str], dict[str, str]]] = once(lambda name: opponents(self.data(name)))

    def names(self, task: Task) -> list[str]:
        """The models of a task, the newest first."""
        return [path.relative_to(self.runs).with_suffix("").as_posix() for path in saved_models(self.runs, task)]

    def why_alone(self, name: str) -> str:
        """Why nothing can stand beside a model: its data are not there; nothing if they are."""
        try:
            self.data(name)
        except UserError as error:
            return str(error)
        return ""


def trigram_of(data: Data) -> KneserNey:
    """The trigram that stands beside a decoder."""
    return KneserNey.fit(data.train_stream.ids, len(data.tokenizer))


def opponents(data: Data) -> Callable[[str], dict[str, str]]:
    """What gives the name of the class that each linear model over words says of a text."""
    predict = fitted_linear_models([row.text for row in data.corpus.train], data.train.labels.tolist())

    def ask(text: str) -> dict[str, str]:
        return {OPPONENTS[key]: data.corpus.class_names[int(found[0])] for key, found in predict([text]).items()}

    return ask


def checked(text: str) -> str:
    """The text that somebody gave, if it can be shown; UserError where there is none, or too much."""
    if not text.strip():
        raise UserError("there is no text yet; write at least one word")
    if len(text) > LONGEST:
        raise UserError(f"the text has {len(text):,} characters; give at most {LONGEST:,} (commands take any length)")
    return text.strip()


# -------------------------------------------------------------------------------------------------------- who said it?
@dataclass(frozen=True)
class WhoSaidIt:
    """One sentence under a classifier."""

    explanation: Explanation
    opponents: dict[str, str]  # the class that each model that counts words names; none where the data are not there
    known_from: list[str]  # where in the training rows the sentence stands, word for word
    note: str = ""  # why there are no opponents


def who_said_it(shelf: Shelf, name: str, text: str) -> WhoSaidIt:
    """The probabilities, the words that made them, what other models say, and whether the sentence was learnt."""
    text = checked(text)
    explanation = explain(shelf.model(name), text)
    if note := shelf.why_alone(name):
        return WhoSaidIt(explanation, {}, [], note)
    data = shelf.data(name)
    names = dict(zip(data.corpus.labels, data.corpus.class_names))
    own = [row for row in data.corpus.train if same_text(row.text) == same_text(text)]
    known_from = [f"row {row.line:,}, by {names[row.label]}" for row in own]
    return WhoSaidIt(explanation, shelf.opponents(name)(text), known_from)


# ----------------------------------------------------------------------------------------------------------- attention
@dataclass(frozen=True)
class Looks:
    """Where a model looks in a sentence."""

    words: list[str]  # T of them, that look
    places: list[str]  # S of them, that are looked at: the words, and <pad> where it is read
    maps: Tensor  # (L, H, T, S)
    note: str


def looks(shelf: Shelf, name: str, text: str) -> Looks:
    """The attention of every layer and head; UserError for a model that has none."""
    trained = shelf.model(name)
    if not trained.model.config.n_layer:
        raise UserError(f"{name}: has no attention; choose a model with at least one layer")
    maps, tokens = sentence_maps(trained, checked(text))
    words, read = shown(tokens), read_sentence(trained, text)
    note = read.note + (f"; not read: {' '.join(shown(read.not_read[:10]))}" if read.not_read else "")
    return Looks(words, words + ["<pad>"] * (maps.size(-1) - len(words)), maps, note)


def heads(shelf: Shelf, name: str) -> list[Part]:
    """The heads of a model, layer by layer."""
    config = shelf.model(name).model.config
    return [Part(layer, "heads", head) for layer in range(config.n_layer) for head in range(config.n_head)]


def without(shelf: Shelf, name: str, text: str, parts: Sequence[Part]) -> list[Guesses]:
    """What a model says, and what it says with some parts replaced by their mean over the training data: the classes,
    or the likeliest next words."""
    trained, text = shelf.model(name), checked(text)
    guesses = [likeliest_answers(trained, text)]
    if parts:
        with knocked_out(trained.model, parts, shelf.means(name)):
            guesses.append(likeliest_answers(trained, text))
    return guesses


@torch.inference_mode()
def likeliest_answers(trained: TrainedModel, text: str) -> Guesses:
    """The classes, or the likeliest next words, and their probabilities."""
    if not isinstance(trained.model, Decoder):
        return classify(trained, text)
    logits = trained.model(read_sentence(trained, text).ids)[0, -1]  # (V,)
    return likeliest_words(logits.softmax(dim=-1), trained.tokenizer, N_GUESSES)


# ------------------------------------------------------------------------------------------------------------ surprise
@dataclass(frozen=True)
class Surprise:
    """A text under several scorers, and what each had expected at every place."""

    text: ScoredText
    guesses: list[list[Guesses]]  # by scorer and token
    note: str = ""  # why there is no trigram


def surprise(shelf: Shelf, name: str, text: str) -> Surprise:
    """How surprising each word is, to the decoder, to its voices if it has any, and to the trigram beside it."""
    trained, lines = shelf.model(name), lines_in(checked(text))
    asked, note = [*decoder_scorers(trained), *voice_scorers(trained)], shelf.why_alone(name)
    if not note:
        asked.append(trigram_scorer(shelf.trigram(name)))
    found = score(lines, trained, asked)
    ids = encode_stream(lines, trained.tokenizer).ids
    return Surprise(found, [likeliest_by_token(scorer, ids, trained.tokenizer, N_GUESSES) for scorer in asked], note)


# ------------------------------------------------------------------------------------------------------------ continue
@dataclass(frozen=True)
class Continuation:
    """What follows a text."""

    name: str  # who goes on
    tokens: list[str]  # that were drawn
    chances: list[float]  # how likely each of them was
    expected: list[Guesses]  # the likeliest of those that each was drawn from, and at the end of the next one's
    n_possible: int  # how many tokens the next one may be


def continuations(shelf: Shelf, name: str, text: str, sampling: Sampling) -> Iterator[list[Continuation]]:
    """The decoder, its voices if it has any, and the trigram side by side: at first no token and what may come, and a
    token more each time, until what may come as number `n_tokens` is known."""
    trained = shelf.model(name)
    prompt = trained.tokenizer.encode(checked(text) if text.strip() else "")
    voices = [(who, decoder_predictor(trained.as_speaker(number))) for number, who in enumerate(trained.class_names)]
    predictors = [("decoder", decoder_predictor(trained)), *voices]
    if not shelf.why_alone(name):
        predictors.append(("trigram", trigram_predictor(shelf.trigram(name))))
    found = [Continuation(who, [], [], [], 0) for who, _ in predictors]
    for drawn in zip(*(steps(predict, prompt, sampling) for _, predict in predictors)):
        for i, step in enumerate(drawn):
            expected = [*found[i].expected, likeliest_words(step.probabilities, trained.tokenizer, N_GUESSES)]
            found[i] = replace(found[i], expected=expected, n_possible=int((step.probabilities > 0).sum()))
        yield list(found)
        for i, step in enumerate(drawn):
            tokens = [*found[i].tokens, *shown([trained.tokenizer.words[step.token]])]
            chances = [*found[i].chances, float(step.probabilities[step.token])]
            found[i] = replace(found[i], tokens=tokens, chances=chances)
