"""The page that computes: one HTML file with trained models inside, for any browser, without a network.

The computing is reporting/browser/*.js: transformer.js reads like transformer.py, tokenizer.js like tokenizer.py. Here
is what goes into the file: weights, vocabularies, n-grams, and numbers that PyTorch computed, by which the page checks
itself when it opens.
"""

import base64
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.files import UserError, write_text
from dataset import Data
from evaluation.baselines import linear_models, words_and_characters
from evaluation.ngrams import KneserNey
from evaluation.opponents import CLASSIFIER_OPPONENTS
from inference.explain import probabilities
from inference.score import decoder_scorers, trigram_scorer
from inference.sentence import read_sentence
from inference.texts import uniform_text
from modules.word_vectors import PhraseEmbedding, SpelledEmbedding
from reporting.table import template
from studies.probes.knockouts import mean_outputs
from training.recipe import Task
from training.weights import TrainedModel
from transformer import Decoder

BROWSER = Path(__file__).parent / "browser"
SCRIPTS = ("transformer.js", "opponents.js", "tokenizer.js", "views.js")
LINEAR = ("tfidf", "bayes")  # the linear models that stand beside the classifier
MOST = 10_000_000  # bytes of the file
WHOLE = 2**12 - 1  # the largest of the whole numbers that stand for weights: 13 bits, to which zlib packs their 16
N_QUIZ = 24  # test rows that one may guess at

# By these the page shows that it computes what PyTorch does. No speech holds them.
SENTENCES = (
    "These virtues give me an unshakable faith in America.",
    "We will rebuild our schools, our roads and our cities.",
    "Mr. Speaker, the state of our Union is strong.",
    "I can't promise that it'll be easy.",
    "Freedom is worth what it costs.",
    "Tonight I ask both parties to pass this budget!",
    "Who among us would rather wait?",
    '"Nothing is decided", she said, "until we vote."',
    "The tax cut of 2003 - and the war - came first.",
    "Terrorists will find no safe harbor.",
    "Our economy added 350,000 jobs; wages rose, too.",
    "The Congress gave $1.5 billion (and more) to science.",
    "We don't quit.",
    "Peace is near...",
    "The gizmo zaps every widget.",
    "Health care costs too much.",
    "God bless you all.",
    "A",
    "Nobody, nowhere, at no time, under no law of any land, should have to fear for the child that plays in the yard "
    "of the school that we built there together.",
    "Let's finish the work that we've begun: clean water, clean air, and a fair wage for everyone who works.",
)


def write_browser_page(path: Path, models: Mapping[Task, TrainedModel], data: Mapping[Task, Data]) -> int:
    """Write the file with one model of each task, trained on these data; returns its size in bytes. UserError if it
    would be too large to send."""
    described = {task: model_contents(trained, data[task]) for task, trained in models.items()}
    text = template("explore.html").render(
        style=(BROWSER / "page.css").read_text(encoding="utf-8"),
        script=script(),
        contents=described | {"quiz": quiz(data["classifier"]), "linear": linear_contents(data["classifier"])},
    )
    size = len(text.encode())
    if size > MOST:
        sizes = " and ".join(f"the {task} {len(model['bytes']) / 1e6:.1f} MB" for task, model in described.items())
        remedy = "name smaller ones by --model, such as the report's, which part1 and part2 train"
        raise UserError(f"{path}: would have {size / 1e6:.1f} MB of {MOST / 1e6:.0f}: {sizes}; {remedy}")
    write_text(path, text)
    return size


def script() -> str:
    """All JavaScript of the page."""
    return "\n".join((BROWSER / name).read_text(encoding="utf-8") for name in SCRIPTS)


def model_contents(trained: TrainedModel, data: Data) -> dict[str, Any]:
    """A model as the page reads it: shapes of its tensors and, in base64, their numbers."""
    model = trained.model
    tensors = browser_tensors(trained)
    tensors |= {f"{name}.mean": mean.flatten(0, -2) for name, mean in mean_outputs(model, data).items()}
    if isinstance(model, Decoder):
        ngrams = [trained.ngrams, *trained.voice_ngrams] if trained.ngrams else []
        for number, table in enumerate([trigram_of(data), *ngrams]):
            tensors |= {f"ngrams.{number}.{name}": tensor for name, tensor in browser_ngrams(table).items()}
    shapes, numbers = packed(tensors)
    return {
        "config": vars(model.config),
        "vocabulary": trained.tokenizer.to_json() | {"words": trained.tokenizer.words},
        "classes": trained.class_names,
        "tensors": shapes,
        "bytes": numbers,
        "checks": [{"text": text, **checked(trained, data, text)} for text in SENTENCES],
    }


def trigram_of(data: Data) -> KneserNey:
    """The trigram that stands beside the decoder."""
    return KneserNey.fit(data.train_stream.ids, len(data.tokenizer))


def checked(trained: TrainedModel, data: Data, text: str) -> dict[str, list[Any]]:
    """What the page has to find for a sentence: the ids of its tokens, and probabilities of the classes or nats."""
    ids = torch.tensor(trained.tokenizer.encode(uniform_text(text, trained.tokenizer)))
    if not isinstance(trained.model, Decoder):
        block = read_sentence(trained, text).tokens
        return {"ids": ids.tolist(), "expected": probabilities(trained.model, [ids[: len(block)]])[0].tolist()}
    scorers = [decoder_scorers(trained)[0], trigram_scorer(trigram_of(data))]
    return {"ids": ids.tolist(), "expected": [(-scorer.nats(ids)).exp().tolist() for scorer in scorers]}


def browser_tensors(trained: TrainedModel) -> dict[str, Tensor]:
    """The weights by their names in PyTorch, as far as reading needs them. Vectors of words are added up from those of
    spellings and lower-case forms: "embedding.weight"; pairs of words keep their own."""
    tensors = dict(trained.model.state_dict())
    for name, module in trained.model.named_modules():
        if isinstance(module, PhraseEmbedding | SpelledEmbedding):
            for part in ("words", "forms", "spellings"):
                tensors.pop(f"{name}.{part}.weight", None)
            if isinstance(module, SpelledEmbedding):
                tensors[f"{name}.weight"] = module.weight.detach()
                continue
            tensors[f"{name}.weight"] = (module.words.weight + module.forms(module.lower)).detach()
            tensors |= {"lower": module.lower, "pairs": tensors.pop(f"{name}.pairs")}
    return tensors


def browser_ngrams(ngrams: KneserNey) -> dict[str, Tensor]:
    """The tables of an n-gram model: of each order the words that follow each context, one context after the other."""
    tensors = ngrams.tensors()
    tables = {"base": tensors["base"].float()}
    for k in range(1, ngrams.order + 1):
        contexts, words = tensors[f"keys.{k}"] // ngrams.vocabulary_size, tensors[f"keys.{k}"] % ngrams.vocabulary_size
        ends = torch.bincount(contexts, minlength=len(tensors[f"backoff.{k}"])).cumsum(0)
        tables |= {f"starts.{k}": torch.cat([ends.new_zeros(1), ends]), f"words.{k}": words}
        tables |= {f"share.{k}": tensors[f"share.{k}"], f"backoff.{k}": tensors[f"backoff.{k}"]}
    return tables


def linear_contents(data: Data) -> dict[str, Any]:
    """What logistic regression and naive Bayes need to name a class: words, the pairs of words that follow each of
    them, their idf, and the weights of all."""
    from threadpoolctl import threadpool_limits

    models, vectorizer = linear_models(), words_and_characters()["words"]
    with threadpool_limits(1):  # the same sums on every number of cores
        values, labels = vectorizer.fit_transform([row.text for row in data.corpus.train]), data.train.labels.numpy()
        logistic, bayes = (models[name].fit(values, labels) for name in LINEAR)
    numbers = vectorizer.vocabulary_
    words = sorted(name for name in numbers if " " not in name)
    number = {word: i for i, word in enumerate(words)}
    pairs = sorted((number[first], number[second]) for first, second in map(str.split, numbers.keys() - number.keys()))
    order = [numbers[name] for name in [*words, *(f"{words[first]} {words[second]}" for first, second in pairs)]]
    weights, bias = logistic.coef_, logistic.intercept_
    if len(bias) == 1:  # of two classes the second's alone
        weights, bias = np.stack([0 * weights[0], weights[0]]), np.array([0.0, bias[0]])
    starts = np.searchsorted([first for first, _ in pairs], range(len(words) + 1))
    tensors = {
        "starts": torch.tensor(starts),
        "seconds": torch.tensor([second for _, second in pairs], dtype=torch.long),
        "idf": torch.tensor(vectorizer.idf_[order]),
        "weights.0": torch.tensor(weights[:, order]),
        "bias.0": torch.tensor(bias),
        "weights.1": torch.tensor(bayes.feature_log_prob_[:, order]),
        "bias.1": torch.zeros(len(bias)),
    }
    shapes, packed_numbers = packed(tensors)
    names = [CLASSIFIER_OPPONENTS[name] for name in LINEAR]
    return {"words": words, "names": names, "tensors": shapes, "bytes": packed_numbers}


def packed(tensors: Mapping[str, Tensor]) -> tuple[dict[str, list[Any]], str]:
    """Of each tensor how it is kept, its rows and columns and where it begins; and the bytes of all, by zlib and
    in base64.

    A matrix of weights is kept as whole numbers up to WHOLE, and for each row the factor by which to multiply them.
    Vectors are kept in float32, whole numbers in 16 bits where they fit, else in 32.
    """
    shapes, parts, start = dict[str, list[Any]](), list[bytes](), 0
    for name, tensor in tensors.items():
        matrix = np.atleast_2d(tensor.numpy())  # (n, size)
        if not tensor.is_floating_point():
            kind, values = "uint16" if matrix.max(initial=0) < 2**16 else "int32", [matrix]
            values = [matrix.astype(kind)]
        elif tensor.dim() < 2:
            kind, values = "float32", [matrix.astype("float32")]
        else:
            kind = "int16"
            factors = (np.abs(matrix).max(axis=1, keepdims=True, initial=0) / WHOLE).astype("float32")  # (n, 1)
            whole = np.round(matrix / np.where(factors > 0, factors, 1))
            values = [factors, whole.astype("int16")]
        content = b"".join(part.tobytes() for part in values)
        content += bytes(-len(content) % 4)  # JavaScript's views begin at multiples of 4
        shapes[name] = [kind, *matrix.shape, start]
        parts.append(content)
        start += len(content)
    return shapes, base64.b64encode(zlib.compress(b"".join(parts), 9)).decode()


def quiz(data: Data) -> list[tuple[str, int]]:
    """Test rows to guess at, as many of each class, and the index of their class."""
    rows = list(zip((row.text for row in data.corpus.test), data.test.labels.tolist()))
    by_class = [[row for row in rows if row[1] == label] for label in range(len(data.corpus.labels))]
    return [row for of_all_classes in zip(*by_class) for row in of_all_classes][:N_QUIZ]
