"""What the page to play with shows: the trained models under a folder, and each view of a text as a record.

The numbers are those of classify, explain, attention, knockouts, score and generate, put together.
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
from evaluation.opponents import CLASSIFIER_OPPONENTS
from inference.attention import sentence_maps
from inference.explain import Explanation, classify, explain
from inference.generate import decoder_predictor, steps, trigram_predictor
from inference.sampling import Sampling
from inference.score import (
    ScoredText,
    decoder_scorers,
    likeliest_by_token,
    likeliest_words,
    score,
    trigram_scorer,
    voice_scorers,
)
from inference.sentence import read_sentence, shown
from inference.texts import lines_in, uniform_text
from speechesdataset.folder import same_text
from studies.probes.knockouts import Means, ModelPart, knocked_out, mean_outputs
from studies.workplace import data_of
from training.recipe import Task
from training.weights import TrainedModel, load_model, saved_models
from transformer import Decoder

LONGEST = 1000  # characters of a text that is looked at
N_GUESSES = 5
Key = TypeVar("Key")
Value = TypeVar("Value")
Guesses = list[tuple[str, float]]  # words or classes, the likeliest first, and their probabilities


def once(make: Callable[[Key], Value]) -> Callable[[Key], Value]:
    """`make`, called once for each argument, whichever threads ask for it at the same time."""
    lock, values = threading.RLock(), dict[Key, Value]()

    def ask(key: Key) -> Value:
        with lock:
            if key not in values:
                values[key] = make(key)
            return values[key]

    return ask


class Shelf:
    """The trained models under a folder, and their opponents, each made when it is first asked for.

    A model is called by its path in the folder: "part1/classifier".
    """

    def __init__(self, runs: Path, data_dir: Path) -> None:
        self.runs, self.data_dir = runs, data_dir
        self.model: Callable[[str], TrainedModel] = once(lambda name: load_model(runs / f"{name}.safetensors"))
        self.data: Callable[[str], Data] = once(lambda name: data_of(self.model(name), data_dir))
        self.means: Callable[[str], Means] = once(lambda name: mean_outputs(self.model(name).model, self.data(name)))
        self.trigram: Callable[[str], KneserNey] = once(
            lambda name: KneserNey.fit(self.data(name).train_stream.ids, len(self.data(name).tokenizer))
        )
        self.opponents: Callable[[str], Callable[[str], dict[str, str]]] = once(lambda name: opponents(self.data(name)))

    def names(self, task: Task) -> list[str]:
        """The models of a task, the newest first."""
        return [path.relative_to(self.runs).with_suffix("").as_posix() for path in saved_models(self.runs, task)]

    def why_alone(self, name: str) -> str:
        """Why a model has no opponents: its data are not there. Nothing if they are."""
        try:
            self.data(name)
        except UserError as error:
            return str(error)
        return ""


def opponents(data: Data) -> Callable[[str], dict[str, str]]:
    """The opponents of a classifier: asked about a text, each linear model over words names its class."""
    predict = fitted_linear_models([row.text for row in data.corpus.train], data.train.labels.tolist())

    def ask(text: str) -> dict[str, str]:
        labels = {CLASSIFIER_OPPONENTS[name]: int(labels[0]) for name, labels in predict([text]).items()}
        return {name: data.corpus.class_names[label] for name, label in labels.items()}

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
    opponents: dict[str, str]  # the class that each of them names; none where the data are not there
    known_from: list[str]  # the training rows that are this sentence, word for word
    note: str = ""  # why there are no opponents


def who_said(shelf: Shelf, name: str, text: str) -> WhoSaidIt:
    """The probabilities, what each word adds to them, what the opponents say, and whether the sentence was learnt."""
    text = uniform_text(checked(text), shelf.model(name).tokenizer)
    explanation = explain(shelf.model(name), text)
    if note := shelf.why_alone(name):
        return WhoSaidIt(explanation, {}, [], note)
    data = shelf.data(name)
    names = dict(zip(data.corpus.labels, data.corpus.class_names))
    same = [row for row in data.corpus.train if same_text(row.text) == same_text(text)]
    known_from = [f"row {row.line:,}, by {names[row.label]}" for row in same]
    return WhoSaidIt(explanation, shelf.opponents(name)(text), known_from)


# ----------------------------------------------------------------------------------------------------------- attention
@dataclass(frozen=True)
class Looks:
    """Where a model looks in a sentence."""

    words: list[str]  # T of them, that look
    columns: list[str]  # S of them, that are looked at: the words, and <pad> where it is read
    maps: Tensor  # (L, H, T, S)
    note: str


def looks(shelf: Shelf, name: str, text: str) -> Looks:
    """The attention of every layer and head; UserError for a model that has none."""
    trained = shelf.model(name)
    if not trained.model.config.n_layer:
        raise UserError(f"{name}: has no attention; choose a model with at least one layer")
    maps, words = sentence_maps(trained, checked(text))
    sentence = read_sentence(trained, text)
    note = sentence.note + (f"; not read: {' '.join(sentence.not_read[:10])}" if sentence.not_read else "")
    return Looks(words, words + ["<pad>"] * (maps.size(-1) - len(words)), maps, note)


def heads(shelf: Shelf, name: str) -> list[ModelPart]:
    """The heads of a model, layer by layer."""
    config = shelf.model(name).model.config
    return [ModelPart(layer, "heads", head) for layer in range(config.n_layer) for head in range(config.n_head)]


def without(shelf: Shelf, name: str, text: str, parts: Sequence[ModelPart]) -> list[Guesses]:
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
    """A text under several scorers, and what each expected in place of every token."""

    text: ScoredText
    guesses: list[list[Guesses]]  # by scorer and token
    note: str = ""  # why there is no trigram


def surprise(shelf: Shelf, name: str, text: str) -> Surprise:
    """How surprising each word is, to the decoder, to its voices if it has any, and to the trigram."""
    trained = shelf.model(name)
    lines = [uniform_text(line, trained.tokenizer) for line in lines_in(checked(text))]
    scorers, note = [*decoder_scorers(trained), *voice_scorers(trained)], shelf.why_alone(name)
    if not note:
        scorers.append(trigram_scorer(shelf.trigram(name)))
    ids = encode_stream(lines, trained.tokenizer).ids
    guesses = [likeliest_by_token(scorer, ids, trained.tokenizer, N_GUESSES) for scorer in scorers]
    return Surprise(score(lines, trained, scorers), guesses, note)


# ------------------------------------------------------------------------------------------------------------ continue
@dataclass(frozen=True)
class Continuation:
    """What follows a text."""

    name: str  # of the decoder, a voice or the trigram
    tokens: list[str]  # that were drawn
    chances: list[float]  # how likely each of them was
    guesses: list[Guesses]  # the likeliest in place of each of them, and last of the next token
    n_possible: int  # how many tokens the next one may be


def continuations(shelf: Shelf, name: str, text: str, sampling: Sampling) -> Iterator[list[Continuation]]:
    """The decoder, its voices if it has any, and the trigram side by side: at first no token and what may come, and a
    token more each time, until what may come as number `n_tokens` is known."""
    trained = shelf.model(name)
    prompt = trained.tokenizer.encode(uniform_text(checked(text) if text.strip() else "", trained.tokenizer))
    voices = [(who, decoder_predictor(trained.as_speaker(number))) for number, who in enumerate(trained.class_names)]
    predictors = [("decoder", decoder_predictor(trained)), *voices]
    if not shelf.why_alone(name):
        predictors.append(("trigram", trigram_predictor(shelf.trigram(name))))
    sides = [Continuation(who, [], [], [], 0) for who, _ in predictors]
    for drawn in zip(*(steps(predict, prompt, sampling) for _, predict in predictors)):
        for i, step in enumerate(drawn):
            guesses = [*sides[i].guesses, likeliest_words(step.probabilities, trained.tokenizer, N_GUESSES)]
            sides[i] = replace(sides[i], guesses=guesses, n_possible=int((step.probabilities > 0).sum()))
        yield list(sides)
        for i, step in enumerate(drawn):
            tokens = [*sides[i].tokens, *shown([trained.tokenizer.words[step.token]])]
            chances = [*sides[i].chances, float(step.probabilities[step.token])]
            sides[i] = replace(sides[i], tokens=tokens, chances=chances)
