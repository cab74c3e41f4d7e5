"""What a word adds to a probability: by deletion as by hand, by gradients that sum to what the words do."""

from typing import Any

import numpy as np
import pytest
import torch
from tiny import classifier_of
from torch import Tensor, nn

from inference import explain
from inference.explain import attention_received, integrated_gradients, leave_one_out, probabilities, without_words
from inference.sentence import padded
from modules.config import TransformerConfig
from modules.hook_point import hook_points, hooked
from tokenizer import PAD, SPECIAL, Tokenization, Tokenizer
from training.weights import TrainedModel
from transformer import Classifier, build_classifier

CONFIG = TransformerConfig(n_embd=8, n_layer=2, block_size=8, ff_dim=8, initialisation="pytorch")
TOKENIZER = Tokenizer([*SPECIAL, "America", "day", "hope", "the", "we", "work"])
KINDS: list[dict[str, Any]] = [
    {},
    {"pooling": "masked-mean", "positions": "alibi"},
    {"pooling": "masked-mean", "positions": "sinusoidal"},
    {"pooling": "mean-max", "phrases": True, "n_members": 3},
    {"pooling": "masked-mean", "n_members": 2, "n_spellings": 9},
]


def model_of(**settings: Any) -> Any:
    """A classifier whose probabilities are far from even."""
    model = build_classifier(classifier_of(CONFIG, **settings), TOKENIZER.words, 3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "head" in name:
                parameter.mul_(6)
    return model.eval()


@pytest.mark.parametrize("settings", KINDS, ids=str)
@pytest.mark.parametrize("n_words", [1, 5, 8])
def test_integrated_gradients_sum_to_how_far_the_words_move_the_probability(
    settings: dict[str, Any], n_words: int
) -> None:
    model, ids = model_of(**settings), torch.tensor([6, 4, 4, 7, 2, 5, 3, 6][:n_words])
    rows, lengths = padded(model, [ids])
    with torch.no_grad():
        with_words = model(rows, lengths).softmax(dim=-1)[0]
        without_words = model(torch.full_like(rows, PAD), lengths).softmax(dim=-1)[0]
    found, finely = (integrated_gradients(model, ids, [0, 1, 2], steps) for steps in (explain.STEPS, 2048))
    assert found.shape == (n_words, 3)
    torch.testing.assert_close(found.sum(dim=0), with_words - without_words, rtol=0, atol=0.01)
    torch.testing.assert_close(finely.sum(dim=0), with_words - without_words, rtol=0, atol=0.001)
    assert (with_words - without_words).abs().max() > 0.015
    torch.testing.assert_close(integrated_gradients(model, ids, [2]), found[:, 2:])


class Linear(Classifier):
    """A classifier whose probability of class 1 is the sum over the words of 0.1 times their number."""

    def __init__(self) -> None:
        super().__init__(classifier_of(CONFIG, n_layer=0, positions="none"), TOKENIZER.words, 2)
        assert isinstance(self.encoder.embedding, nn.Embedding)
        with torch.no_grad():
            self.encoder.embedding.weight[:] = 0.0
            self.encoder.embedding.weight[:, 0] = torch.arange(8) / 10

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        share = self.encoder.read(self.encoder.embedding(ids))[..., 0].sum(dim=-1)
        return torch.stack([1 - share, share], dim=-1).log()


def test_of_a_sum_over_words_both_methods_give_each_word_its_part() -> None:
    ids = torch.tensor([2, 1, 4])
    parts = torch.tensor([[-0.2, 0.2], [-0.1, 0.1], [-0.4, 0.4]])
    torch.testing.assert_close(integrated_gradients(Linear(), ids, [0, 1]), parts)
    torch.testing.assert_close(leave_one_out(Linear(), ids), parts)


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_a_word_that_is_left_out_is_deleted(settings: dict[str, Any]) -> None:
    model, ids = model_of(**settings), torch.tensor([6, 4, 7])
    found = leave_one_out(model, ids)
    for i, rest in enumerate(([4, 7], [6, 7], [6, 4])):
        alone = probabilities(model, [ids])[0] - probabilities(model, [torch.tensor(rest)])[0]
        torch.testing.assert_close(found[i], alone, rtol=1e-4, atol=1e-6)
    assert leave_one_out(model, ids[:1]).isfinite().all()  # nothing is left, and nothing divided by it
    assert without_words(ids, [0, 2]).tolist() == [4]


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_the_attention_that_a_word_gets_is_its_share_of_all(settings: dict[str, Any]) -> None:
    model, ids = model_of(**settings), torch.tensor([6, 4, 7])
    maps: list[Tensor] = []
    first_member = hook_points(model, "attention.weights")[:2]
    with hooked(model, first_member, lambda weights, name: maps.append(weights)):
        model(*padded(model, [ids]))
    by_hand = [np.mean([weights[0, :, :, i].tolist() for weights in maps]) for i in range(3)]
    shares = attention_received(model, ids)
    assert shares.tolist() == pytest.approx(by_hand, rel=1e-4)
    assert float(shares.sum()) == pytest.approx(1, rel=1e-4) or maps[0].size(-1) > 3  # padding has the rest


def test_an_explanation_is_of_the_words_that_were_read() -> None:
    trained = TrainedModel(model_of(pooling="masked-mean"), TOKENIZER, ["North", "South", "West"])
    found = explain.explain(trained, "we hope zyzzyva the day we work the America day")
    assert found.words == ["we", "hope", "zyzzyva?", "the", "day", "we", "work", "the"]
    assert found.note == "read 8 of 10 tokens, 1 unknown: zyzzyva?"
    assert found.class_names == ["North", "South", "West"]
    ids = torch.tensor([6, 4, 1, 5, 3, 6, 7, 5])
    torch.testing.assert_close(found.probabilities, probabilities(trained.model, [ids])[0])
    assert found.gradients.shape == found.leave_one_out.shape == (8, 3)
    assert found.attention is not None
    subwords = Tokenizer.build([f"we hope {number}" for number in range(9)], tokenization=Tokenization("bpe"))
    model = build_classifier(classifier_of(CONFIG), subwords.words, 3).eval()
    assert explain.explain(TrainedModel(model, subwords, ["N", "S", "W"]), "人").words[-2:] == [r"\xba", r"\xba"]
    bare = TrainedModel(model_of(n_layer=0), TOKENIZER, ["North", "South", "West"])
    assert explain.explain(bare, "we hope").attention is None
