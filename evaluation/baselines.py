"""Classifiers that only count words: what a transformer that classifies has to beat."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import regex

from evaluation.ngrams import KneserNey
from tokenizer import PAD, UNK, WORD

if TYPE_CHECKING:
    from sklearn.pipeline import FeatureUnion

Texts = Sequence[str]
Labels = Sequence[int]
WORD_OR_SIGN = rf"{WORD}|\S"


def majority(train_labels: Labels, test_texts: Texts) -> np.ndarray:
    """Predict the most frequent training label (of equals the smallest) for every test text: (N,)."""
    values, counts = np.unique(train_labels, return_counts=True)
    return np.full(len(test_texts), values[counts.argmax()])


def fitted_linear_models(train_texts: Texts, train_labels: Labels) -> Callable[[Texts], dict[str, np.ndarray]]:
    """Fit linear models over TF-IDF. Returns a function that gives the labels (N,) which each of them, and their vote,
    predicts for N texts.

    Over words and pairs of words, "tfidf" is logistic regression, "svm" a linear SVM, "bayes" complement naive Bayes
    (Rennie et al. 2003); "characters" is a linear SVM over these and over 2 to 5 characters within words, and decides a
    tie in the "vote". The settings are the best of 5-fold cross-validations over 2,085 distinct rows of three speakers:
    66.3, 66.6, 67.1 and 67.0%, where single words alone reach 63. Where all training rows have one label, as in a fold
    that holds out all rows of a rare class, each predicts it.
    """
    from threadpoolctl import threadpool_limits

    models = linear_models()
    classes = np.unique(train_labels)
    if len(classes) == 1:
        return lambda texts: dict.fromkeys([*models, "vote"], majority(train_labels, texts))
    vectorizer = words_and_characters()

    def features(texts: Texts, fit: bool = False) -> dict[str, Any]:
        both = vectorizer.fit_transform(texts) if fit else vectorizer.transform(texts)
        words = both[:, : len(vectorizer["words"].vocabulary_)]
        return {name: both if name == "characters" else words for name in models}

    of_training = features(train_texts, fit=True)
    with threadpool_limits(1):  # the same sums on every number of cores
        for name, model in models.items():
            model.fit(of_training[name], train_labels)

    def predict(texts: Texts) -> dict[str, np.ndarray]:
        of_texts = features(texts)
        with threadpool_limits(1):
            predictions = {name: np.asarray(model.predict(of_texts[name])) for name, model in models.items()}
        votes = np.stack(list(predictions.values()))[..., None] == classes  # (models, N, K)
        predictions["vote"] = classes[(votes.sum(axis=0) + 0.5 * votes[-1]).argmax(axis=1)]
        return predictions

    return predict


def linear_models() -> dict[str, Any]:
    """The models of `fitted_linear_models` before they are fitted."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import ComplementNB
    from sklearn.svm import LinearSVC

    return {
        "tfidf": LogisticRegression(C=30, class_weight="balanced", max_iter=2000),
        "svm": LinearSVC(C=1.0, random_state=0),
        "bayes": ComplementNB(alpha=0.2),
        "characters": LinearSVC(C=0.5, random_state=0),
    }


def words_and_characters() -> "FeatureUnion":
    """TF-IDF over words and pairs of words, punctuation among them, and over 2 to 5 characters within words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, tokenizer=words_and_signs, token_pattern=None)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    return FeatureUnion([("words", words), ("characters", characters)])


def joined(train_texts: Texts, train_labels: Labels, test_texts: Texts, share: float = 0.2) -> np.ndarray:
    """The label (N,) of the class whose log-probability is highest by logistic regression over `words_and_characters`
    and, with a `share`, by the Kneser-Ney trigrams: the best that is known here of what counts words."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    if len(set(train_labels)) == 1:
        return majority(train_labels, test_texts)
    model = make_pipeline(words_and_characters(), LogisticRegression(C=10, class_weight="balanced", max_iter=2000))
    with threadpool_limits(1):  # the same sums on every number of cores
        by_words = model.fit(train_texts, train_labels).predict_log_proba(test_texts)
    by_trigrams = kneser_ney_scores(train_texts, train_labels, test_texts)
    return np.unique(train_labels)[np.argmax(by_words + share * by_trigrams, axis=1)]


def kneser_ney_by_class(train_texts: Texts, train_labels: Labels, test_texts: Texts) -> np.ndarray:
    """The label (N,) of the class for which the `kneser_ney_scores` of each test text are highest."""
    return np.unique(train_labels)[np.argmax(kneser_ney_scores(train_texts, train_labels, test_texts), axis=1)]


def kneser_ney_scores(train_texts: Texts, train_labels: Labels, test_texts: Texts, order: int = 3) -> np.ndarray:
    """log p(text, class) (N, K) of each test text, by a Kneser-Ney n-gram model of each class and by how frequent the
    class is.

    Words are in lower case. What the rows of a class do not say is left to the unigram of all rows, each word counted
    once more than seen, in which words seen once stand for those never seen.
    """
    rows, tests = ([words_and_signs(text.lower()) for text in texts] for texts in (train_texts, test_texts))
    number = {word: i for i, word in enumerate(sorted({word for row in rows for word in row}), start=UNK + 1)}
    start = [PAD] * (order - 1)

    def ids(texts: Sequence[Texts]) -> np.ndarray:
        return np.array([i for words in texts for i in (*start, *(number.get(word, UNK) for word in words))])

    counts = np.bincount(ids(rows), minlength=len(number) + 2)
    counts[PAD], counts[UNK] = 0, (counts == 1).sum()
    base = (counts + 1) / (counts + 1).sum()
    stream, labels = ids(tests), np.asarray(train_labels)
    ends = np.cumsum([len(row) + len(start) for row in tests])
    scores = []
    for label in np.unique(labels):
        ngrams = KneserNey.fit(ids([rows[i] for i in np.flatnonzero(labels == label)]), len(base), order, base=base)
        logs = ngrams.log_probabilities(stream) * (stream != PAD)
        scores.append(np.diff(logs.cumsum()[ends - 1], prepend=0.0) + np.log(np.mean(labels == label)))
    return np.stack(scores, axis=1)


def cosine_delta(train_texts: Texts, train_labels: Labels, test_texts: Texts, n_words: int = 1000) -> np.ndarray:
    """The label (N,) whose mean training row is nearest, by the angle between z-scores of the frequencies of the most
    frequent words: stylometry's measure (Burrows 2002; the angle is Smith and Aldridge's 2011).

    It is made for whole books; rows of 20 words give it little to measure.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import StandardScaler, normalize

    counter = CountVectorizer(max_features=n_words, tokenizer=words_and_signs, token_pattern=None)
    counts = [counter.fit_transform(train_texts), counter.transform(test_texts)]
    train, test = (normalize(matrix.astype(float), norm="l1").toarray() for matrix in counts)
    scaler = StandardScaler()
    train, test = scaler.fit_transform(train), scaler.transform(test)
    labels, classes = np.asarray(train_labels), np.unique(train_labels)
    centroids = np.stack([train[labels == label].mean(axis=0) for label in classes])
    return classes[np.argmax(normalize(test) @ normalize(centroids).T, axis=1)]


def words_and_signs(text: str) -> list[str]:
    """The words of a text, and its signs, each by itself."""
    return regex.findall(WORD_OR_SIGN, text)
