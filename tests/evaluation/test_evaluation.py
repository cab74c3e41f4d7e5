"""Accuracy and perplexity against sums done by hand and against the slowest loop that cannot be wrong."""

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from tiny import classifier_of, decoder_of
from torch import Tensor

from dataset import Data, Labelled, Stream
from evaluation import accuracy, perplexity
from evaluation.attention import attention_maps
from evaluation.perplexity import Protocol
from modules.config import DecoderConfig, TransformerConfig
from tokenizer import UNK
from transformer import Classifier, Decoder

CONFIG = TransformerConfig(n_embd=8, n_layer=1, block_size=6, ff_dim=8, positions="alibi", initialisation="pytorch")
WORDS = list("abcdefghijk")


def accuracy_by_group(predictions: Tensor, labels: Tensor, seen: Tensor) -> Any:
    return msgspec.to_builtins(accuracy.accuracy_by_group(predictions, labels, seen))


def scores_by_class(predictions: Tensor, labels: Tensor, names: list[str]) -> Any:
    return msgspec.to_builtins(accuracy.scores_by_class(predictions, labels, names))


def language_scores(nats: Any, stream: Stream) -> Any:
    return msgspec.to_builtins(perplexity.language_scores(nats, stream))


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(decoder_of(CONFIG, dropout=0.3), WORDS)


def text(n_tokens: int) -> Tensor:
    return torch.randint(1, 11, (n_tokens,), generator=torch.Generator().manual_seed(n_tokens))


def one_by_one(model: Decoder, ids: Tensor, protocol: Protocol) -> list[float]:
    """-log p of each token of a text, each in a forward pass of its own with the context that the protocol gives it."""
    model.eval()
    length, stride = protocol.length, protocol.stride
    nats = []
    for i in range(len(ids)):
        if stride is None:
            start = i // length * length
        else:  # the first window that reaches this token; the last one ends with the text
            start = max(0, math.ceil((i + 1 - length) / stride)) * stride
            start = max(0, min(start, len(ids) - length))
        context = torch.cat([torch.tensor([0]), ids])[start : i + 1]  # from the token before the window
        nats.append(-model(context[None])[0, -1].log_softmax(dim=-1)[ids[i]].item())
    return nats


PROTOCOLS = [Protocol(6), Protocol(1), Protocol(6, 6), Protocol(6, 2), Protocol(6, 5), Protocol(6, 1), Protocol(4, 9)]


@pytest.mark.parametrize("n_batched", [1, 18, 384])
@pytest.mark.parametrize("n_tokens", [1, 4, 5, 6, 7, 12, 13, 23])
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
def test_every_token_is_scored_once_as_in_a_loop(
    decoder: Decoder, protocol: Protocol, n_tokens: int, n_batched: int
) -> None:
    ids = text(n_tokens)
    nats = perplexity.token_nats(decoder, ids, protocol, n_batched)
    assert (nats.shape, nats.dtype) == ((n_tokens,), torch.float64)
    if protocol.stride is not None:
        protocol = replace(protocol, stride=min(protocol.stride, protocol.length))
    assert nats.tolist() == pytest.approx(one_by_one(decoder, ids, protocol), abs=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_evaluation_leaves_generators_and_mode_alone(decoder: Decoder, data: Data, training: bool) -> None:
    classifier = Classifier(classifier_of(CONFIG, dropout=0.3, batch_norm=True), data.tokenizer.words, 3)
    decoder.train(training)
    classifier.train(training)
    before = torch.get_rng_state()
    weights = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    first = perplexity.token_nats(decoder, text(50), Protocol(6))
    probabilities = accuracy.class_probabilities(classifier, data.test)
    assert torch.equal(torch.get_rng_state(), before)
    assert decoder.training == classifier.training == training
    torch.testing.assert_close(classifier.state_dict(), weights, rtol=0, atol=0)  # statistics of batch norm among them
    assert torch.equal(perplexity.token_nats(decoder, text(50), Protocol(6)), first)
    assert torch.equal(accuracy.class_probabilities(classifier, data.test), probabilities)


BIGRAMS = torch.tensor(  # after each of <pad>, <unk>, a and b, in bits: each row's probabilities sum to 1
    [[3, 3, 1, 2], [1, 2, 3, 3], [3, 2, 3, 1], [2, 3, 1, 3]], dtype=torch.float64
)


@pytest.fixture(scope="module")
def bigrams() -> Decoder:
    """A decoder that is a table of bigrams: its word vectors tell words apart, and its output layer is the table."""
    model = Decoder(DecoderConfig(n_embd=4, n_layer=0, block_size=4, positions="none", norm="none"), WORDS[:4])
    with torch.no_grad():
        model.embedding.weight.copy_(torch.eye(4))
        model.head.weight.copy_(-BIGRAMS.T * math.log(2))
        model.head.bias.zero_()
    return model


@pytest.mark.parametrize("protocol", [Protocol(1), Protocol(2), Protocol(4), Protocol(4, 1), Protocol(4, 3)], ids=str)
def test_perplexity_of_known_bigrams(bigrams: Decoder, protocol: Protocol) -> None:
    """a b ? a a b: 1 bit after <pad>, then 1, 3, 3, 3, 1, whatever the windows."""
    stream = Stream(torch.tensor([2, 3, UNK, 2, 2, 3]), n_bytes=16, n_unknown_bytes=6)
    nats = perplexity.token_nats(bigrams, stream.ids, protocol)
    assert (nats / math.log(2)).tolist() == pytest.approx([1, 1, 3, 3, 3, 1], rel=1e-5)
    scores = language_scores(nats, stream)
    assert scores == pytest.approx(
        {
            "perplexity": 2 ** (12 / 6),
            "perplexity_without_unk": 2 ** (9 / 5),
            "bits_per_byte": (12 + 8 * 6) / 16,
            "unk_rate": 100 / 6,
        },
        rel=1e-5,
    )


def test_perplexity_by_hand() -> None:
    assert perplexity.perplexity(torch.tensor([math.log(2), math.log(8)], dtype=torch.float64)) == pytest.approx(4)
    assert perplexity.perplexity(np.log([2.0, 4.0, 8.0])) == pytest.approx(4)
    assert perplexity.perplexity(torch.tensor([699.0])) == pytest.approx(math.exp(699))
    assert perplexity.perplexity(torch.tensor([1e4])) == math.exp(700)  # a number that JSON can hold


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([True, False, True, False], {"all": (4, 75.0), "seen": (2, 100.0), "unseen": (2, 50.0)}),
        ([False] * 4, {"all": (4, 75.0), "seen": (0, None), "unseen": (4, 75.0)}),
        ([True] * 4, {"all": (4, 75.0), "seen": (4, 75.0), "unseen": (0, None)}),
    ],
)
def test_accuracy_of_all_seen_and_unseen_rows(seen: list[bool], expected: dict[str, Any]) -> None:
    groups = accuracy_by_group(torch.tensor([0, 1, 2, 0]), torch.tensor([0, 1, 2, 1]), torch.tensor(seen))
    assert {name: (group["n"], group["accuracy"]) for name, group in groups.items()} == expected


@pytest.mark.parametrize(
    ("labels", "edge"),
    [
        ([0, 1, 2], 100 / 3 + 5),  # three classes of the same size: five points above a third
        ([0, 2, 2, 2], 75 + 2.5),  # nearly all: a tenth of what is left above the largest
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 90 + 1),
        ([1, 0], 50 + 5),  # both the same
        ([0] * 9 + [1] * 11, 55 + 4.5),
        ([0] * 11 + [1] * 9 + [2] * 5, 44 + 5),
    ],
)
def test_a_run_is_trained_above_the_edge_not_at_it(labels: list[int], edge: float) -> None:
    assert not accuracy.is_above_plateau(edge, torch.tensor(labels))
    assert not accuracy.is_above_plateau(edge - 0.01, torch.tensor(labels))
    assert accuracy.is_above_plateau(edge + 0.01, torch.tensor(labels))


def test_scores_by_class_by_hand() -> None:
    """Of 6 rows of a 4 are found, of 2 of b 1, of 12 of c 9; a is claimed 8 times, b 3 times, c 9 times, d never."""
    confusion = [[4, 2, 0, 0], [1, 1, 0, 0], [3, 0, 9, 0], [0, 0, 0, 0]]
    pairs = [(true, claimed) for true, row in enumerate(confusion) for claimed, n in enumerate(row) for _ in range(n)]
    labels, predictions = torch.tensor(pairs).T
    scores = scores_by_class(predictions, labels, ["a", "b", "c", "d"])
    assert scores["confusion"] == confusion
    assert [list(row) for row in scores["classes"]] == [["name", "n", "precision", "recall", "f1"]] * 4
    a, b, c, d = (list(row.values()) for row in scores["classes"])
    assert a == ["a", 6, 50, pytest.approx(200 / 3), pytest.approx(400 / 7)]  # 2 / (1 / precision + 1 / recall)
    assert b == ["b", 2, pytest.approx(100 / 3), 50, 40]
    assert c == ["c", 12, 100, 75, pytest.approx(600 / 7)]
    assert d == ["d", 0, None, None, None]
    assert scores["macro_f1"] == pytest.approx((400 / 7 + 40 + 600 / 7) / 3)  # d does not occur


def test_a_class_without_rows_lowers_macro_f1_only_where_it_is_claimed() -> None:
    perfect = scores_by_class(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1]), ["a", "b", "c"])
    assert perfect["macro_f1"] == 100
    claimed = scores_by_class(torch.tensor([0, 2, 1]), torch.tensor([0, 1, 1]), ["a", "b", "c"])
    assert list(claimed["classes"][2].values()) == ["c", 0, 0, None, 0]
    assert claimed["macro_f1"] == pytest.approx((100 + 200 / 3 + 0) / 3)


class Table(Classifier):
    """A classifier that knows each row's probabilities by its first word, and keeps what it was given."""

    odds = torch.tensor([[1.0, 1, 2], [5, 2, 1], [1, 6, 1]])  # of the words 2, 3 and 4; each row sums to 4 or 8

    def __init__(self, pooling: Any) -> None:
        super().__init__(classifier_of(CONFIG, pooling=pooling), WORDS, 3)
        self.given: list[tuple[list, list]] = []

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        assert not self.training
        assert torch.is_inference_mode_enabled()
        self.given.append((ids.tolist(), lengths.tolist()))
        return self.odds[ids[:, 0] - 2].log().bfloat16()  # as under autocast


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "masked-mean", "mean-max"])
def test_class_probabilities_are_the_model_s_row_by_row(pooling: Any, training: bool) -> None:
    ids = torch.tensor([[3, 4, 0, 0], [2, 0, 0, 0], [4, 2, 2, 0], [2, 3, 0, 0], [3, 0, 0, 0]])
    lengths = torch.tensor([2, 1, 3, 2, 1])
    model = Table(pooling).train(training)
    found = accuracy.class_probabilities(model, Labelled(ids, lengths, torch.tensor([0, 1, 2, 0, 1]), 0), 2)
    assert model.training is training
    assert found.dtype == torch.float32
    a, b, c = [1 / 4, 1 / 4, 1 / 2], [5 / 8, 2 / 8, 1 / 8], [1 / 8, 6 / 8, 1 / 8]
    torch.testing.assert_close(found, torch.tensor([b, a, c, a, b]), rtol=0.01, atol=0)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(5), rtol=1e-6, atol=0)  # not rounded as logits are
    widths = [4, 4, 4] if pooling == "mean" else [1, 2, 3]  # padding is cut where it changes nothing
    parts = [[1, 4], [0, 3], [2]]  # by length
    assert model.given == [
        ([ids[i, :width].tolist() for i in part], lengths[part].tolist()) for part, width in zip(parts, widths)
    ]


def test_sums_over_stretches_of_ten_lines_and_of_no_more_than_a_hundred() -> None:
    lengths = (2, *(1,) * 22)
    stream = Stream(torch.arange(24), 0, 0, lengths)
    values = torch.arange(24.0)
    assert perplexity.sums_by_stretch(values, stream) == [sum(range(11)), sum(range(11, 21)), sum(range(21, 24))]
    many = Stream(torch.arange(2001), 0, 0, (1,) * 2001)
    found = perplexity.sums_by_stretch(torch.ones(2001), many)
    assert found == [21.0] * 95 + [6.0]  # 21 lines each, so that there are at most 100
    whole = Stream(torch.arange(20), 0, 0, (1,) * 20)
    assert perplexity.sums_by_stretch(torch.ones(20), whole) == [10.0, 10.0]
    assert perplexity.sums_by_stretch(torch.ones(3), Stream(torch.arange(3), 0, 0)) == [3.0]  # of lines unknown: one


def test_every_layer_has_its_own_map_of_attention() -> None:
    torch.manual_seed(0)
    model, even = Decoder(decoder_of(CONFIG, n_layer=2, positions="none"), WORDS).eval(), torch.ones(6, 6).tril()
    block: Any = model.blocks[0]
    torch.nn.init.zeros_(block.attention.qkv.weight)  # it looks at all words alike
    first, second = attention_maps(model, torch.arange(2, 8)[None], torch.tensor([6]))[:, 0, 0]
    torch.testing.assert_close(first, even / even.sum(dim=1, keepdim=True))
    assert not torch.allclose(first, second, atol=1e-3)
