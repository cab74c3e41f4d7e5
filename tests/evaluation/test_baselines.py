"""The baselines against sums done by hand and against what a probability must be."""

import random
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import regex
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from evaluation.baselines import (
    WORD_OR_SIGN,
    cosine_delta,
    fitted_linear_models,
    joined,
    kneser_ney_by_class,
    kneser_ney_scores,
    majority,
)
from evaluation.ngrams import KneserNey


def test_majority() -> None:
    assert majority([1, 0, 1], ["a", "b", "c", "d"]).tolist() == [1] * 4
    assert majority([2, 1, 0, 1, 2], ["a"]).tolist() == [1]  # of equals the smallest


def test_a_word_keeps_its_vowel_signs() -> None:
    assert regex.findall(WORD_OR_SIGN, "वह जाती है! I'm x_1…") == ["वह", "जाती", "है", "!", "I", "'", "m", "x_1", "…"]


TOPICS = [f"the {noun} and the {other}" for noun in ("ship", "sea") for other in ("sail", "harbour", "wind")]
TOPICS += [f"the {noun} and the {other}" for noun in ("law", "court") for other in ("judge", "trial", "jury")]


@pytest.mark.parametrize(
    ("texts", "labels", "test", "expected"),
    [
        (TOPICS, [0] * 6 + [1] * 6, ["a ship with a sail", "the jury of a court"], [0, 1]),
        (TOPICS, [1] * 6 + [0] * 6, ["A SHIP with a Sail", "The JURY of a court"], [1, 0]),  # case says nothing
        # the same words, but other pairs of them
        (["x y z", "z x y", "y x z", "z y x"], [0, 0, 1, 1], ["z x y x y", "z y x y x"], [0, 1]),
        (["we go !", "go !", "we go ?", "go ?"], [0, 0, 1, 1], ["all go?", "all go!"], [1, 0]),  # punctuation
        (["a x", "a x", "b x", "b x"], [0, 0, 1, 1], ["a", "b"], [0, 1]),  # words of one letter
    ],
)
def test_linear_models_tell_plain_texts_apart(texts: list[str], labels: list, test: list[str], expected: list) -> None:
    found = fitted_linear_models(texts, labels)(test)
    assert list(found) == ["tfidf", "svm", "bayes", "characters", "vote"]
    for predictions in found.values():
        assert predictions.tolist() == expected


def weights(train: list[str], test: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """TF-IDF by its definition: (1 + ln count) (1 + ln((1 + n) / (1 + n with it))), each text's of length 1."""

    def terms(text: str) -> list[str]:
        words = text.split()
        return words + [f"{first} {second}" for first, second in pairwise(words)]

    known = sorted({term for text in train for term in terms(text)})
    spread = [sum(term in terms(text) for text in train) for term in known]
    inverse = 1 + np.log((1 + len(train)) / (1 + np.array(spread)))

    def rows(texts: list[str]) -> np.ndarray:
        counts = np.array([[terms(text).count(term) for term in known] for text in texts])
        values = np.where(counts > 0, 1 + np.log(counts.clip(min=1)), 0) * inverse
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    return rows(train), rows(test)


def test_three_linear_models_see_words_and_pairs() -> None:
    """Classes of 45, 30 and 15 rows that hardly differ, so that every setting shows in some prediction."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    draw = random.Random(0)

    def text(label: int) -> str:
        return " ".join(draw.choices("abcde", weights=[3, 2 + label, 2, 3 - label, 2], k=draw.randint(3, 9)))

    labels = [0] * 45 + [1] * 30 + [2] * 15
    train, test = [text(label) for label in labels], [text(i % 3) for i in range(600)]
    found = fitted_linear_models(train, labels)(test)
    x, queries = weights(train, test)
    logistic = LogisticRegression(C=30, class_weight="balanced", max_iter=2000).fit(x, labels)
    assert found["tfidf"].tolist() == logistic.predict(queries).tolist()
    assert found["svm"].tolist() == LinearSVC(C=1.0, random_state=0).fit(x, labels).predict(queries).tolist()
    # Complement naive Bayes: the class whose words are least like those of all other classes
    others = np.array([x[np.array(labels) != label].sum(axis=0) + 0.2 for label in range(3)])
    bayes = queries @ -np.log(others / others.sum(axis=1, keepdims=True)).T
    assert found["bayes"].tolist() == bayes.argmax(axis=1).tolist()
    assert len({tuple(found[name]) for name in ("tfidf", "svm", "bayes")}) == 3  # and the three differ
    for row, vote in enumerate(found["vote"]):
        answers = [found[name][row] for name in ("tfidf", "svm", "bayes", "characters")]
        most = max(map(answers.count, answers))
        likeliest = {answer for answer in answers if answers.count(answer) == most}
        assert vote == (answers[-1] if answers[-1] in likeliest else likeliest.pop())


def test_where_one_label_is_all_there_is_every_model_predicts_it() -> None:
    found = fitted_linear_models(["we hope", "they work"], [3, 3])(["we rest", "hope", "x"])
    assert {name: labels.tolist() for name, labels in found.items()} == {
        name: [3, 3, 3] for name in ("tfidf", "svm", "bayes", "characters", "vote")
    }


def test_what_counts_is_joined_by_its_logarithms() -> None:
    """Without the trigrams logistic regression decides, and where they have nearly all of the weight, they do."""
    rng = np.random.default_rng(0)
    words, labels = [f"{letter}{letter}" for letter in "abcdefgh"], [0, 1, 2] * 20
    texts = [" ".join(words[i] for i in rng.integers(label, label + 6, 5)) for label in labels]
    tests = [" ".join(words[i] for i in rng.integers(0, 8, 5)) for _ in range(80)]
    model = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+"),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
        ),
        LogisticRegression(C=10, class_weight="balanced"),
    )
    logs = model.fit(texts, labels).predict_log_proba(tests)
    scores = kneser_ney_scores(texts, labels, tests)
    assert scores.shape == (80, 3)
    found = {share: joined(texts, labels, tests, share).tolist() for share in (0.0, 0.2, 1e9)}
    assert found[0.0] == logs.argmax(axis=1).tolist()
    assert found[0.2] == (logs + 0.2 * scores).argmax(axis=1).tolist()
    assert found[1e9] == kneser_ney_by_class(texts, labels, tests).tolist()
    assert len(set(map(tuple, found.values()))) == 3
    assert joined(texts, labels, tests).tolist() == found[0.2]
    assert joined(["we hope", "they work"], [3, 3], ["we rest"]).tolist() == [3]


def test_characters_within_words_tell_what_words_do_not() -> None:
    texts = ["walking", "singing", "hoping", "reading", "walked", "hoped", "seated", "printed"]
    assert fitted_linear_models(texts, [0] * 4 + [1] * 4)(["running", "posted"])["characters"].tolist() == [0, 1]


def test_a_class_s_trigrams_decide_by_bayes_rule() -> None:
    """Against the same model, asked row by row and word by word."""
    draw = random.Random(1)

    def text(label: int) -> str:
        return " ".join(draw.choices("abcdE", weights=[3, 2 + label, 2, 3 - label, 1], k=draw.randint(1, 9)))

    labels = [0] * 25 + [1] * 15
    train, test = [text(label) for label in labels], [text(i % 2) + draw.choice(["", " unheard"]) for i in range(80)]
    train[0] += " once"  # for the words that are never seen
    number = {word: i for i, word in enumerate([*"abcde", "once"], start=2)}
    counts = Counter(word for row in train for word in row.lower().split())
    likely = [0, list(counts.values()).count(1), *(counts[word] for word in number)]
    base = [(count + 1) / (sum(likely) + len(likely)) for count in likely]
    expected = []
    models = [
        KneserNey.fit(
            np.array(
                [
                    i
                    for row, of_row in zip(train, labels)
                    if of_row == label
                    for i in (0, 0, *(number[word] for word in row.lower().split()))
                ]
            ),
            len(base),
            3,
            np.array(base),
        )
        for label in (0, 1)
    ]
    for row in test:
        scores = []
        for label, model in enumerate(models):
            score, context = np.log(labels.count(label) / len(labels)), [0, 0]
            for word in row.lower().split():
                score += np.log(model.distribution(context)[number.get(word, 1)])
                context.append(number.get(word, 1))
            scores.append(score)
        expected.append(scores)
    classes = np.argmax(expected, axis=1)
    np.testing.assert_allclose(kneser_ney_scores(train, labels, test), expected)
    assert kneser_ney_by_class(train, labels, test).tolist() == classes.tolist()
    assert 10 < sum(classes) < 70


def test_cosine_delta_by_its_definition() -> None:
    train = ["the sea the ship", "the sea of ships", "a law of the land", "a court a law"]
    labels, test = [4, 4, 2, 2], ["the ship", "a law", "of the sea", "the of a"]
    words = sorted({word for row in train for word in row.split()})

    def shares(row: str) -> np.ndarray:
        counts = np.array([row.split().count(word) for word in words], dtype=float)
        return counts / counts.sum()

    rows = np.array([shares(row) for row in train])
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    scores = (rows - mean) / spread
    centres = {label: scores[[of_row == label for of_row in labels]].mean(axis=0) for label in (2, 4)}

    def angle(row: str, label: int) -> float:
        z, centre = (shares(row) - mean) / spread, centres[label]
        return float(z @ centre / np.linalg.norm(z) / np.linalg.norm(centre))

    assert cosine_delta(train, labels, test).tolist() == [
        max((2, 4), key=lambda label: angle(row, label)) for row in test
    ]
    assert cosine_delta(train, labels, test).tolist() == [4, 2, 4, 2]


def distribution(model: KneserNey, context: list[int], unit: int) -> list[float]:
    return (model.distribution(context) * unit).tolist()


@pytest.mark.parametrize(
    ("counts", "discounts"),
    [
        ([1, 2, 3, 3], [1 / 3, 1 / 3, 1 / 3]),  # y = 1/3; D2 = 2 - 3 y 2/1 is 0, D3 = 3 whole: y for both
        ([1, 2, 2, 3, 4, 4], [1 / 5, 2 - 3 / 5 / 2, 3 - 4 / 5 * 2]),
        ([1, 1, 3, 4], [0.5, 0.5, 1]),  # no word occurs twice: y = 0.5
        ([2, 2, 3], [0.5, 1.25, 0.5]),  # none once
        ([1, 1, 2], [0.5, 0.5, 0.5]),  # none three times: D2 would take the whole 2
        ([2, 2, 2, 7], [0.5, 0.5, 0.5]),  # seven counts as "three or more", as does any
        ([1, 2, 3, 4, 4, 4, 4], [1 / 3, 1, 1 / 3]),  # D3 = 3 - 4 y 4 is below 0
    ],
)
def test_discounts_of_tiny_texts(counts: list[int], discounts: list[float]) -> None:
    model = KneserNey.fit(np.repeat(np.arange(len(counts)), counts), len(counts), 1, np.eye(len(counts))[0])
    left = [count - discounts[min(count, 3) - 1] for count in counts]
    found = distribution(model, [], sum(counts))
    assert found[1:] == pytest.approx(left[1:])
    assert found[0] == pytest.approx(left[0] + sum(counts) - sum(left))


def test_kneser_ney_of_three_orders_by_hand() -> None:
    """a b a c a b over a b c d. Every trigram occurs once, every bigram follows one word (a b at the start follows
    none), a follows two, b and c one: all discounts are 0.5."""
    model = KneserNey.fit(torch.tensor([0, 1, 0, 2, 0, 1]), 4, order=3)
    assert distribution(model, [], 32) == pytest.approx([15, 7, 7, 3])  # 1.5, 0.5 and 0.5 of 4, and a quarter of 1.5
    assert distribution(model, [0], 64) == pytest.approx([15, 16 + 7, 16 + 7, 3])  # a quarter each, half of the above
    assert distribution(model, [1], 64) == pytest.approx([32 + 15, 7, 7, 3])
    assert distribution(model, [2, 0], 128) == pytest.approx([15, 64 + 23, 23, 3])
    assert distribution(model, [1, 0], 128) == pytest.approx([15, 23, 64 + 23, 3])
    assert distribution(model, [0, 1], 128) == pytest.approx([64 + 47, 7, 7, 3])
    assert distribution(model, [3, 3, 0, 1], 128) == pytest.approx([64 + 47, 7, 7, 3])  # the last two count
    assert distribution(model, [0, 0], 64) == pytest.approx([15, 23, 23, 3])  # never seen: as after a alone
    assert distribution(model, [3, 0], 64) == pytest.approx([15, 23, 23, 3])
    assert distribution(model, [0, 3], 32) == pytest.approx([15, 7, 7, 3])
    nats = -np.log([15 / 32, 23 / 64, 111 / 128, 3 / 128, 7 / 32])  # a b a d b, each after what stands before it
    np.testing.assert_allclose(model.log_probabilities(torch.tensor([0, 1, 0, 3, 1])), -nats)


def exact(stream: list[int], order: int, base: list[Fraction], context: list[int]) -> list[Fraction]:
    """The distribution after `context`, from Chen and Goodman's formulas word for word, in fractions.

    But for a word that stands at the start of the stream and nowhere else: it counts as having one word before it.
    """
    grams = {k: Counter(tuple(stream[i : i + k]) for i in range(len(stream) - k + 1)) for k in range(1, order + 1)}
    counts = {k: {gram: len([g for g in grams[k + 1] if g[1:] == gram]) for gram in grams[k]} for k in range(1, order)}
    counts[order] = dict(grams[order])
    counts[1] = {gram: max(n, 1) for gram, n in counts[1].items()}

    def discount(k: int, count: int) -> Fraction:
        n = {i: list(counts[k].values()).count(i) for i in (1, 2, 3, 4)}
        y = Fraction(n[1], n[1] + 2 * n[2]) if n[1] and n[2] else Fraction(1, 2)
        i = min(count, 3)
        taken = i - (i + 1) * y * Fraction(n[i + 1], n[i]) if i and n[i] else Fraction(0)
        return taken if 0 < taken < i else y if i else Fraction(0)

    def probability(word: int, before: tuple[int, ...]) -> Fraction:
        shorter = probability(word, before[1:]) if before else base[word]
        after = {gram[-1]: n for gram, n in counts[len(before) + 1].items() if gram[:-1] == before}
        total = sum(after.values())
        if total == 0:
            return shorter
        count, k = after.get(word, 0), len(before) + 1
        freed = sum((discount(k, n) for n in after.values()), Fraction(0))
        return (count - discount(k, count)) / total + freed / total * shorter

    before = tuple(context[max(0, len(context) - order + 1) :])
    return [probability(word, before) for word in range(len(base))]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("n_words", [2, 4, 9])
def test_kneser_ney_is_the_formula_in_fractions(order: int, n_words: int) -> None:
    draw = random.Random(order)
    stream = [min(int(draw.expovariate(1)), n_words - 1) for _ in range(70)]  # some words are rare
    share = [Fraction(i + 1) for i in range(n_words + 2)]  # and two never seen
    base = [value / sum(share) for value in share]
    model = KneserNey.fit(np.array(stream), n_words + 2, order, np.array(base, dtype=float))
    uniform = KneserNey.fit(np.array(stream), n_words + 2, order)
    for n in (0, 1, 2, 5, 30, 69):
        for context in (stream[:n], stream[max(0, n - 2) : n] + [n_words], [n_words] + stream[:n][-2:]):
            expected = exact(stream, order, base, context)
            assert sum(expected) == 1
            np.testing.assert_allclose(model.distribution(context), np.array(expected, dtype=float), rtol=1e-9)
            even = exact(stream, order, [Fraction(1, n_words + 2)] * (n_words + 2), context)
            np.testing.assert_allclose(uniform.distribution(context), np.array(even, dtype=float), rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=5, max_size=60), st.integers(1, 5), st.lists(st.integers(0, 8), max_size=6))
def test_every_distribution_sums_to_one_and_no_word_is_impossible(
    ids: list[int], order: int, context: list[int]
) -> None:
    model = KneserNey.fit(np.array(ids), 9, order)
    for words in (context, ids[:4], []):  # unseen, mostly; seen; none
        distribution = model.distribution(words)
        assert distribution.sum() == pytest.approx(1)
        assert (distribution > 0).all()


def test_each_token_is_scored_with_the_context_that_runs_before_it() -> None:
    generator = np.random.default_rng(0)
    train, test = generator.integers(0, 8, 500), generator.integers(0, 10, 30)
    model = KneserNey.fit(train, 10, order=4)
    one_by_one = [np.log(model.distribution(test[:i].tolist())[word]) for i, word in enumerate(test)]
    np.testing.assert_allclose(model.log_probabilities(test), one_by_one)
    np.testing.assert_allclose(model.log_probabilities(torch.as_tensor(test)), one_by_one)


@pytest.mark.parametrize(
    ("ids", "order", "complaint"),
    [([0, 1], 3, "needs at least"), ([], 1, "needs at least"), ([0, 9], 1, "from 0 to 8"), ([-1, 0], 1, "from 0 to 8")],
)
def test_what_cannot_be_counted_is_refused(ids: list, order: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        KneserNey.fit(np.array(ids), 9, order)
