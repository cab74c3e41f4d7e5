"""Accuracy and perplexity against sums done by hand and against the slowest loop that cannot be wrong."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import evaluation
from dataset import Data, Labelled, Stream
from evaluation import Protocol
from files import UserError
from transformer import Classifier, Decoder, TransformerConfig

CONFIG = TransformerConfig(11, n_embd=8, n_layer=1, block_size=6, ff_dim=8, positions="alibi", initialisation="pytorch")


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(replace(CONFIG, dropout=0.3))


def text(n_tokens: int) -> Tensor:
    return torch.randint(1, 11, (n_tokens,), generator=torch.Generator().manual_seed(n_tokens))


def one_by_one(model: Decoder, ids: Tensor, protocol: Protocol) -> list[float]:
    """-log p of each token of a text, each in a forward pass of its own with the context that the protocol gives it."""
    model.eval()
    length, stride = protocol.length, protocol.stride
    nats = []
    for place in range(len(ids)):
        if stride is None:
            start = place // length * length
        else:  # the first window that reaches this token; the last one ends with the text
            start = max(0, math.ceil((place + 1 - length) / stride)) * stride
            start = max(0, min(start, len(ids) - length))
        context = torch.cat([torch.tensor([0]), ids])[start : place + 1]  # from the token before the window
        nats.append(-model(context[None])[0][0, -1].log_softmax(dim=-1)[ids[place]].item())
    return nats


PROTOCOLS = [Protocol(6), Protocol(1), Protocol(6, 6), Protocol(6, 2), Protocol(6, 5), Protocol(6, 1), Protocol(4, 9)]


@pytest.mark.parametrize("n_batched", [1, 18, 384])
@pytest.mark.parametrize("n_tokens", [1, 4, 5, 6, 7, 12, 13, 23])
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
def test_every_token_is_scored_once_as_in_a_loop(
    decoder: Decoder, protocol: Protocol, n_tokens: int, n_batched: int
) -> None:
    ids = text(n_tokens)
    nats = evaluation.token_nats(decoder, ids, protocol, n_batched)
    assert (nats.shape, nats.dtype) == ((n_tokens,), torch.float64)
    if protocol.stride is not None:
        protocol = replace(protocol, stride=min(protocol.stride, protocol.length))
    assert nats.tolist() == pytest.approx(one_by_one(decoder, ids, protocol), abs=1e-5)


def test_perplexity_is_the_same_for_every_batch_size(decoder: Decoder) -> None:
    ids = text(500)
    found = [
        evaluation.perplexity(evaluation.token_nats(decoder, ids, Protocol(6), size)) for size in (1, 42, 384, 6000)
    ]
    assert found == pytest.approx([found[0]] * 4, rel=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_evaluation_leaves_generators_and_mode_alone(decoder: Decoder, data: Data, training: bool) -> None:
    classifier = Classifier(replace(CONFIG, vocabulary_size=len(data.tokenizer), dropout=0.3, batch_norm=True))
    decoder.train(training)
    classifier.train(training)
    before = torch.get_rng_state()
    weights = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    first = evaluation.token_nats(decoder, text(50), Protocol(6))
    probabilities = evaluation.class_probabilities(classifier, data.test)
    assert torch.equal(torch.get_rng_state(), before)
    assert decoder.training == classifier.training == training
    torch.testing.assert_close(classifier.state_dict(), weights, rtol=0, atol=0)  # statistics of batch norm among them
    assert torch.equal(evaluation.token_nats(decoder, text(50), Protocol(6)), first)
    assert torch.equal(evaluation.class_probabilities(classifier, data.test), probabilities)


def test_perplexity_by_hand() -> None:
    assert evaluation.perplexity(torch.tensor([math.log(2), math.log(8)], dtype=torch.float64)) == pytest.approx(4)
    assert evaluation.perplexity(torch.tensor([1e4])) == pytest.approx(math.exp(700))  # a number that JSON can hold


@pytest.mark.parametrize("bad", [{"length": 0}, {"length": 6, "stride": 0}, {"length": -1}])
def test_impossible_windows_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="must be at least 1"):
        Protocol(**bad)


def test_scores_of_a_text_by_hand() -> None:
    # "a ? b": three tokens of 1, 4 and 2 bits in a file of 8 bytes; "?" stood for a word of 3 bytes and its end.
    stream = Stream(ids=torch.tensor([5, 1, 6]), n_bytes=8, n_unknown_bytes=4)
    scores = evaluation.language_scores(torch.tensor([1.0, 4.0, 2.0], dtype=torch.float64) * math.log(2), stream)
    assert scores["perplexity"] == pytest.approx(2 ** (7 / 3))
    assert scores["perplexity_without_unk"] == pytest.approx(2 ** (3 / 2))
    assert scores["bits_per_byte"] == pytest.approx((7 + 8 * 4) / 8)
    assert scores["unk_rate"] == pytest.approx(100 / 3)


def test_a_text_of_unknown_words_has_no_perplexity_without_them() -> None:
    scores = evaluation.language_scores(torch.ones(2), Stream(torch.tensor([1, 1]), 6, 6))
    assert scores["perplexity_without_unk"] is None
    assert scores["unk_rate"] == 100


def test_loss_by_place_by_hand() -> None:
    nats = torch.tensor([1, 2, 3, 5, 6, 7, 9], dtype=torch.float64)
    assert evaluation.nats_by_place(nats, 3) == pytest.approx([(1 + 5 + 9) / 3, (2 + 6) / 2, (3 + 7) / 2])


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([True, False, True, False], {"all": (4, 75.0), "seen": (2, 100.0), "unseen": (2, 50.0)}),
        ([False] * 4, {"all": (4, 75.0), "seen": (0, None), "unseen": (4, 75.0)}),
        ([True] * 4, {"all": (4, 75.0), "seen": (4, 75.0), "unseen": (0, None)}),
    ],
)
def test_accuracy_of_all_seen_and_unseen_rows(seen: list[bool], expected: dict[str, Any]) -> None:
    groups = evaluation.accuracy_by_group(torch.tensor([0, 1, 2, 0]), torch.tensor([0, 1, 2, 1]), torch.tensor(seen))
    assert {name: (group["n"], group["accuracy"]) for name, group in groups.items()} == expected


def test_scores_by_class_by_hand() -> None:
    labels, predictions = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 1, 0, 1])
    scores = evaluation.scores_by_class(predictions, labels, ["a", "b", "c"])
    assert scores["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 1, 0]]
    a, b, c = scores["classes"]
    assert (a["n"], a["precision"], a["recall"], a["f1"]) == pytest.approx((3, 200 / 3, 200 / 3, 200 / 3))
    assert (b["n"], b["precision"], b["recall"], b["f1"]) == pytest.approx((2, 100 / 3, 50, 40))
    assert (c["n"], c["precision"], c["recall"], c["f1"]) == (1, 0, 0, 0)  # never predicted: no division by zero
    assert scores["macro_f1"] == pytest.approx((200 / 3 + 40) / 3)


@pytest.mark.parametrize("pooling", ["mean", "masked-mean", "cls"])
def test_class_probabilities_do_not_depend_on_the_batch(pooling: Any, data: Data) -> None:
    torch.manual_seed(0)
    model = Classifier(replace(CONFIG, vocabulary_size=len(data.tokenizer), block_size=8, pooling=pooling))
    rows: Labelled = data.test
    together = evaluation.class_probabilities(model, rows)
    assert together.shape == (len(rows.labels), 3)
    torch.testing.assert_close(together.sum(dim=1), torch.ones(len(rows.labels)))
    torch.testing.assert_close(
        evaluation.class_probabilities(model, rows, batch_size=1), together, rtol=1e-4, atol=1e-6
    )
