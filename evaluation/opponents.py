"""The models without a network that every result is compared with: what they predict, scored as the networks are."""

from collections.abc import Mapping

import torch

from common.checks import Count, Record
from dataset import Data
from evaluation import baselines
from evaluation.accuracy import accuracy_by_group
from evaluation.ngrams import KneserNey, text_ngrams
from evaluation.perplexity import language_scores, sums_by_stretch
from evaluation.records import Group, GroupAccuracy, LanguageScores

CLASSIFIER_OPPONENTS = {
    "tfidf": "TF-IDF, logistic regression",
    "svm": "TF-IDF, linear SVM",
    "bayes": "TF-IDF, naive Bayes",
    "characters": "words and characters, linear SVM",
    "vote": "vote of these four",
    "kneser_ney": "Kneser-Ney trigram of each class",
    "joined": "words, characters and trigrams joined",
    "delta": "Cosine Delta",
    "majority": "largest class",
}
DECODER_OPPONENTS = {
    "ngram": "Kneser-Ney trigram",
    "ngram_unk": "trigram with the same <unk> estimate",
    "ngram_5": "5-gram with the same <unk> estimate",
}
OPPONENTS: Mapping[str, str] = CLASSIFIER_OPPONENTS | DECODER_OPPONENTS  # what they are called where they are shown


class ClassifierOpponent(Record, frozen=True, kw_only=True):
    """What a model that counts words gets on the test rows."""

    test: dict[Group, GroupAccuracy]
    predictions: list[Count] = []


class DecoderOpponent(Record, frozen=True, kw_only=True):
    """What an n-gram model gets on the test texts; nats and tokens by stretch of neighbouring lines."""

    scores: dict[str, LanguageScores]
    stretch_nats: dict[str, list[float]] = {}
    stretch_tokens: dict[str, list[float]] = {}


Opponent = ClassifierOpponent | DecoderOpponent


def classifier_opponents(data: Data) -> dict[str, ClassifierOpponent]:
    """The models that count words on the test rows, by key of CLASSIFIER_OPPONENTS."""
    train_texts, test_texts = ([row.text for row in rows] for rows in (data.corpus.train, data.corpus.test))
    train_labels = data.train.labels.tolist()
    rows = (train_texts, train_labels, test_texts)
    predictions = {
        **baselines.fitted_linear_models(train_texts, train_labels)(test_texts),
        "kneser_ney": baselines.kneser_ney_by_class(*rows),
        "joined": baselines.joined(*rows),
        "delta": baselines.cosine_delta(*rows),
        "majority": baselines.majority(train_labels, test_texts),
    }
    scored = {}
    for name in CLASSIFIER_OPPONENTS:
        classes = torch.as_tensor(predictions[name])  # (N,)
        accuracies = accuracy_by_group(classes, data.test.labels, data.seen)
        scored[name] = ClassifierOpponent(test=accuracies, predictions=classes.tolist())
    return scored


def decoder_opponents(data: Data) -> dict[str, DecoderOpponent]:
    """The n-gram models on the test texts, by key of DECODER_OPPONENTS.

    The plain trigram knows of a word that training lacks only that it is one of the vocabulary; the others are told how
    often such a word is <unk>. Over subwords, of which none is unknown, that would be the same trigram again.
    """
    models = {"ngram": KneserNey.fit(data.train_stream.ids, len(data.tokenizer))}
    if data.tokenizer.tokenization.kind != "bpe":
        models["ngram_unk"] = text_ngrams(data)
    models["ngram_5"] = text_ngrams(data, order=5)
    return {name: _scored(model, data) for name, model in models.items()}


def _scored(model: KneserNey, data: Data) -> DecoderOpponent:
    streams = data.test_streams
    nats = {name: torch.as_tensor(-model.log_probabilities(text.ids.numpy())) for name, text in streams.items()}
    return DecoderOpponent(
        scores={name: language_scores(nats[name], text) for name, text in streams.items()},
        stretch_nats={name: sums_by_stretch(nats[name], text) for name, text in streams.items()},
        stretch_tokens={name: sums_by_stretch(torch.ones(len(text.ids)), text) for name, text in streams.items()},
    )
