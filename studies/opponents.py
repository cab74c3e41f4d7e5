"""The models without a network that stand beside every result."""

from collections.abc import Mapping

import torch

from dataset import Data
from evaluation import accuracy, baselines, perplexity
from evaluation.mixture import text_ngrams
from evaluation.ngrams import KneserNey
from studies.results import Accuracies, TextScores

BASELINE_NAMES = {
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
NGRAM_NAMES = {
    "ngram": "Kneser-Ney trigram",
    "ngram_unk": "trigram with the same <unk> estimate",
    "ngram_5": "5-gram with the same <unk> estimate",
}


def classifier_baselines(data: Data) -> dict[str, Accuracies]:
    """Accuracy of the models that count words, all / seen / unseen."""
    return {
        name: accuracy.accuracy_by_group(predictions, data.test.labels, data.seen)
        for name, predictions in baseline_predictions(data).items()
    }


def by_name(baselines: Mapping[str, Accuracies]) -> dict[str, Accuracies]:
    """The `baselines` by the names that they are shown under, in one order."""
    return {name: baselines[key] for key, name in BASELINE_NAMES.items() if key in baselines}


def baseline_predictions(data: Data) -> dict[str, torch.Tensor]:
    """The class (N,) that each of the models that count words gives to each test row."""
    train_texts, test_texts = ([row.text for row in rows] for rows in (data.corpus.train, data.corpus.test))
    rows = train_texts, data.train.labels.tolist(), test_texts
    predictions = {
        **baselines.linear_models(*rows),
        "kneser_ney": baselines.kneser_ney_by_class(*rows),
        "joined": baselines.joined(*rows),
        "delta": baselines.cosine_delta(*rows),
        "majority": baselines.majority(rows[1], test_texts),
    }
    return {name: torch.as_tensor(values) for name, values in predictions.items()}


def language_baselines(data: Data) -> dict[str, TextScores]:
    """The scores on each test text of the models of `language_nats`."""
    return {
        name: {text: perplexity.language_scores(nats, data.test_streams[text]) for text, nats in texts.items()}
        for name, texts in language_nats(data).items()
    }


def language_nats(data: Data) -> dict[str, dict[str, torch.Tensor]]:
    """-log p of each token (N,) of each test text by an interpolated Kneser-Ney trigram: "ngram", which knows of a word
    that training lacks only that it is one of the vocabulary, and "ngram_unk", which is told how often such a word is
    <unk>; over subwords, of which none is, there is no such model. And "ngram_5", told as well, which looks two words
    further."""
    models = {"ngram": KneserNey.fit(data.train_stream.ids, len(data.tokenizer))}
    if data.tokenizer.tokenization.kind != "bpe":
        models["ngram_unk"] = text_ngrams(data)
    models["ngram_5"] = text_ngrams(data, order=5)
    return {
        name: {
            text: torch.as_tensor(-model.log_probabilities(test.ids.numpy()))
            for text, test in data.test_streams.items()
        }
        for name, model in models.items()
    }
