"""The words that are named most are the ones deleted, and how far the probability falls is compared row by row."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny import classifier_of

from common.files import UserError
from dataset import Data, Labelled
from modules.config import TransformerConfig
from studies.probes import faithfulness
from studies.probes.faithfulness import Row, falls_of
from training.weights import TrainedModel
from transformer import build_classifier

CONFIG = TransformerConfig(n_embd=8, n_layer=1, block_size=8, ff_dim=8, initialisation="pytorch")


def trained_on(data: Data, **settings: Any) -> TrainedModel:
    model = build_classifier(classifier_of(CONFIG, **settings), data.tokenizer.words, 3)
    return TrainedModel(model.eval(), data.tokenizer, data.corpus.class_names)


def decided_by(word: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the probability of class 1 is 0.9 with this word and 0.2 without it."""

    def probabilities(_model: Any, texts: list[torch.Tensor]) -> torch.Tensor:
        share = torch.tensor([0.9 if word in text else 0.2 for text in texts])
        return torch.stack([1 - share, share], dim=1)

    monkeypatch.setattr(faithfulness, "probabilities", probabilities)


def test_the_words_named_most_are_deleted_and_random_ones(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    decided_by(7, monkeypatch)
    importance = {"gradients": torch.tensor([0.1, 0.5, -9.0, 0.2]), "attention": torch.tensor([0.4, 0.3, 0.2, 0.1])}
    row = Row(torch.tensor([3, 7, 4, 5]), 1, importance)
    model: Any = trained_on(data).model
    falls = falls_of(model, row, 1, torch.Generator().manual_seed(0))
    assert falls["gradients"] == pytest.approx(70)
    assert falls["attention"] == pytest.approx(0, abs=1e-4)
    assert 0 < falls["random"] < 70
    many = [falls_of(model, row, 2, torch.Generator().manual_seed(seed))["random"] for seed in range(100)]
    assert sum(many) / 100 == pytest.approx(35, abs=3)  # two of four words
    assert falls_of(model, row, 2, torch.Generator())["attention"] == pytest.approx(70)


def test_every_method_is_compared_with_random_words_and_with_attention(data: Data) -> None:
    trained = trained_on(data, pooling="masked-mean")
    found = faithfulness.faithfulness(trained, data)
    assert found.n_rows == {k: int((data.test.lengths > k).sum()) for k in (1, 2, 3, 5)}
    assert [(one.method, one.deleted) for one in found.falls] == [
        (method, k) for k in (1, 2, 3, 5) for method in ("gradients", "left out", "attention", "random")
    ]
    by_name = {(one.method, one.deleted): one for one in found.falls}
    for (method, k), one in by_name.items():
        assert one.fall.n == found.n_rows[k]
        for name, against in (("random", one.against_random), ("attention", one.against_attention)):
            if name == method:
                assert against is None
            else:
                assert against is not None
                assert against.mean == pytest.approx(one.fall.mean - by_name[name, k].fall.mean)
    best = max(by_name[method, 1].fall.mean for method in ("gradients", "attention", "random"))
    assert by_name["left out", 1].fall.mean >= best  # of one word it is the largest fall itself


def test_rows_that_are_too_short_are_left_out_and_without_a_layer_there_is_no_attention(data: Data) -> None:
    two = Labelled(data.test.ids[:, :8], torch.full((24,), 2), data.test.labels, 0)
    found = faithfulness.faithfulness(trained_on(data, n_layer=0), replace(data, test=two))
    assert found.n_rows == {1: 24}
    assert [one.method for one in found.falls] == ["gradients", "left out", "random"]
    assert all(one.against_attention is None for one in found.falls)
    one = Labelled(data.test.ids[:, :8], torch.full((24,), 1), data.test.labels, 0)
    with pytest.raises(UserError, match=r"no test row has two words, so none can be deleted; use longer rows$"):
        faithfulness.faithfulness(trained_on(data), replace(data, test=one))
