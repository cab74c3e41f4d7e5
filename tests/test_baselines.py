"""The baselines against sums done by hand and against what a probability must be."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines import KneserNey, majority, tfidf


def test_majority() -> None:
    assert majority(["b", "a", "b"], ["a", "a"]).tolist() == ["b", "b"]
    assert majority([1, 0], [0]).tolist() == [0]  # of equals the smallest


def test_tfidf_tells_plain_topics_apart() -> None:
    texts = [f"the {noun} and the {other}" for noun in ("ship", "sea") for other in ("sail", "harbour", "wind")]
    texts += [f"the {noun} and the {other}" for noun in ("law", "court") for other in ("judge", "trial", "jury")]
    labels = ["sea"] * 6 + ["law"] * 6
    found = tfidf(texts, labels, ["a ship with a sail", "the jury of a court"])
    assert list(found) == ["tfidf", "svm", "bayes"]
    for predictions in found.values():
        assert predictions.tolist() == ["sea", "law"]


def test_kneser_ney_by_hand() -> None:
    """The stream a b a c a b over the vocabulary a b c d, bigrams; figures worked out on paper."""
    model = KneserNey.fit(torch.tensor([0, 1, 0, 2, 0, 1]), 4, order=2)
    # Unigrams count what stands before them: a 2, b 1, c 1; discount 2 / (2 + 2 * 1) = 0.5 on each, 1.5 / 4 to uniform.
    uniform = 1.5 / 4 / 4
    unigram = np.array([1.5 / 4 + uniform, 0.5 / 4 + uniform, 0.5 / 4 + uniform, uniform])
    np.testing.assert_allclose(model.distribution([]), unigram)
    # Bigrams: ab 2, ba 1, ac 1, ca 1; discount 3 / (3 + 2 * 1) = 0.6. After a: b 1.4 / 3, c 0.4 / 3, backoff 1.2 / 3.
    np.testing.assert_allclose(model.distribution([0]), np.array([0, 1.4, 0.4, 0]) / 3 + 0.4 * unigram)
    np.testing.assert_allclose(model.distribution([3]), unigram)  # a context never seen
    expected = np.log([unigram[0], model.distribution([0])[1], model.distribution([1])[3]])
    np.testing.assert_allclose(model.log_probabilities(np.array([0, 1, 3])), expected)
    assert model.perplexity(np.array([0, 1, 3])) == pytest.approx(np.exp(-expected.mean()))


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


def test_what_is_there_to_learn_is_learned() -> None:
    generator = np.random.default_rng(0)
    steps = generator.random(5000) < 0.8  # a walk round a circle of 20 words that mostly goes on in its direction
    stream = np.cumsum(np.cumprod(np.where(steps, 1, -1))) % 20
    perplexities = [KneserNey.fit(stream[:4000], 20, order).perplexity(stream[4000:]) for order in (1, 2, 3)]
    assert perplexities[0] == pytest.approx(20, rel=0.1)
    assert perplexities[1] == pytest.approx(2, rel=0.1)
    assert perplexities[2] == pytest.approx(np.exp(-0.8 * np.log(0.8) - 0.2 * np.log(0.2)), rel=0.1)


@pytest.mark.parametrize(("ids", "order"), [([0, 1], 3), ([0, 9], 1), ([-1, 0], 1), ([[0, 1]], 1)])
def test_what_cannot_be_counted_is_refused(ids: list, order: int) -> None:
    with pytest.raises(ValueError, match=r"tokens|numbers"):
        KneserNey.fit(np.array(ids), 9, order)


def test_scikit_learn_is_imported_only_to_fit() -> None:
    code = "import sys, baselines; sys.exit('sklearn' in sys.modules or 'scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
