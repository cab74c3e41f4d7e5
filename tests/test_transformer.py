"""The transformer agrees with a slow one, written out token by token, with PyTorch's parts, and with sums by hand."""

import cmath
import math
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import modules.dropout
import pytest
import torch
import torch.nn.functional as F
from modules.dropout import Dropout, drop
from modules.edit import Record
from modules.key_value_cache import KeyValueCache
from modules.normalization import BatchNorm
from modules.residual import Branch
from modules.vote import Vote
from torch import Tensor, nn
from training.models import NO_PAIRS, build_classifier, build_decoder

import transformer
from common.files import UserError
from common.randomness import derived_seed, generator
from modules.cross_entropy import ROWS, linear_cross_entropy
from modules.word_vectors import CLS, PhraseEmbedding, SpelledEmbedding, character_ngrams, pair_keys, word_pairs
from training.weights import count_parameters
from transformer import (
    MASKED,
    ALiBi,
    Block,
    Classifier,
    ClassifierConfig,
    Decoder,
    DecoderConfig,
    Encoder,
    NoPositions,
    OutputLayer,
    PositionMethod,
    SelfAttention,
    T5Positions,
    alibi_slopes,
    attention,
    attention_bias,
    position_method,
    rotate,
)

Model = Classifier | Decoder
POSITIONS = get_args(PositionMethod)


@dataclass(frozen=True)
class EitherConfig(ClassifierConfig, DecoderConfig):
    """A configuration for either model."""


TINY = EitherConfig(n_embd=16, n_head=2, n_layer=2, block_size=8, ff_dim=24, head_dim=12, initialisation="pytorch")
WORDS = ["<pad>", "<unk>", "Of", "The", "hope", "of", "the", *(f"word{i}" for i in range(7, 23))]
CPU = torch.device("cpu")
every_position_method = pytest.mark.parametrize("positions", POSITIONS)
both_paths = pytest.mark.parametrize("is_explicit", [False, True], ids=["kernel", "explicit"])
both_directions = pytest.mark.parametrize("causal", [False, True], ids=["encoder", "decoder"])


def decoder(config: EitherConfig, words: list[str] = WORDS, seed: int = 0) -> Decoder:
    return build_decoder(config, words, seed)


def classifier(config: EitherConfig, words: list[str] = WORDS, seed: int = 0, pairs: Tensor = NO_PAIRS) -> Any:
    return build_classifier(config, words, 3, seed, pairs)


def build(kind: type[Model], config: EitherConfig, words: list[str] = WORDS, seed: int = 0) -> Any:
    return (decoder if kind is Decoder else classifier)(config, words, seed)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shaken(model: Any) -> Any:
    """`model` with every parameter moved at random, so that no norm and no bias is still a one or a zero."""
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.add_(random(*parameter.shape, seed=number), alpha=0.2)
    return model


def batch() -> tuple[Tensor, Tensor]:
    """ids (3, 6) and lengths (3,): what stands beyond a length is a word like any other, which must not matter where
    padding is masked."""
    return torch.randint(2, 23, (3, 6), generator=torch.Generator().manual_seed(1)), torch.tensor([6, 4, 1])


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


# ------------------------------------------------------------------------------------------------ the slow transformer


class Slow:
    """A transformer of this laboratory, a row, a token and a head at a time, from the papers' formulas: the weights are
    those of a model, all else is its own."""

    def __init__(self, model: Any, pairs: Sequence[tuple[str, str]] = ()) -> None:
        """`pairs` of lower-case words that have vectors of their own, "" being the start of a row."""
        self.config, self.causal = model.config, isinstance(model, Decoder)
        tensors: list[tuple[str, Tensor]] = [*model.named_parameters(), *model.named_buffers()]
        self.weights = {name.removeprefix("encoder."): value for name, value in tensors}
        has_cls = not self.causal and self.config.pooling == "cls"
        self.words = [*WORDS, "<cls>"] if has_cls else WORDS
        self.pairs = pairs
        self.maps: list[list[list[Tensor]]] = []  # of the last row: by layer, head and query, the weights of all keys

    def linear(self, name: str, x: Tensor) -> Tensor:
        return self.weights[f"{name}.weight"] @ x + self.weights[f"{name}.bias"]

    def norm(self, name: str, x: Tensor) -> Tensor:
        if self.config.norm == "none":
            return x
        spread = (x - x.mean()).square().mean()
        return (x - x.mean()) / (spread + 1e-5).sqrt() * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def word(self, i: int) -> Tensor:
        """The vector of a word, but for what its neighbour adds."""
        if self.config.n_spellings:
            grams = ngrams(self.words[i])
            rows = [self.weights["embedding.spellings.weight"][crc % self.config.n_spellings] for crc in grams]
            spelled = sum(rows, torch.zeros(())) / math.sqrt(max(1, len(rows)))
            return self.weights["embedding.words.weight"][i] + spelled
        if self.config.phrases:
            forms = list(dict.fromkeys(lower(word) for word in self.words))
            form = self.weights["embedding.forms.weight"][forms.index(lower(self.words[i]))]
            return self.weights["embedding.words.weight"][i] + form
        return self.weights["embedding.weight"][i]

    def token(self, ids: list[int], t: int) -> Tensor:
        """The vector with which the token at place `t` enters the first block."""
        x = self.word(ids[t])
        if self.config.phrases:
            pair = ("" if t == 0 else lower(self.words[ids[t - 1]]), lower(self.words[ids[t]]))
            if pair in self.pairs:
                forms = ["", *dict.fromkeys(lower(word) for word in self.words if lower(word))]
                order = sorted(self.pairs, key=lambda pair: [forms.index(form) for form in pair])
                x = x + self.weights["embedding.phrases.weight"][order.index(pair)]
        size = self.config.n_embd
        if self.config.positions == "learned":
            return x + self.weights["positions.table.weight"][t]
        if self.config.positions == "sinusoidal":
            waves = [t / 10000 ** (2 * (i // 2) / size) for i in range(size)]
            sinusoid = [math.cos(wave) if i % 2 else math.sin(wave) for i, wave in enumerate(waves)]
            return x * math.sqrt(size) + torch.tensor(sinusoid)
        return x

    def turned(self, x: Tensor, t: int) -> Tensor:
        """A query or key (D,) at place `t`."""
        if self.config.positions != "rope":
            return x
        half = len(x) // 2
        turns = [cmath.exp(1j * t / 10000 ** (i / half)) for i in range(half)]
        pairs = [torch.complex(x[i], x[i + half]) * turn for i, turn in enumerate(turns)]
        return torch.stack([pair.real for pair in pairs] + [pair.imag for pair in pairs])

    def bias(self, head: int, distance: int) -> Tensor | float:
        """What a head adds to the score of a key that stands `distance` to the right of the query."""
        if self.config.positions == "alibi":
            power = {1: [8], 2: [4, 8], 4: [2, 4, 6, 8]}[self.config.n_head][head]
            return -self.config.alibi_slope_scale * 2**-power * abs(distance)
        if self.config.positions == "t5":
            return self.weights["positions.table.weight"][t5_bucket(distance, self.causal), head]
        return 0.0

    def sees(self, head: int, query: int, key: int, n_visible: int) -> bool:
        one_sided = self.config.alibi_one_sided
        return (
            key < n_visible
            and (key <= query or not self.causal)
            and (self.config.window is None or abs(query - key) <= self.config.window)
            and (key <= query or not one_sided or head % 2 == 1)
            and (key >= query or not one_sided or head % 2 == 0)
        )

    def attention(self, layer: int, x: list[Tensor], n_visible: int) -> list[Tensor]:
        size, n_head = self.config.n_embd, self.config.n_head
        width = size // n_head
        weight = self.weights[f"blocks.{layer}.attention.qkv.weight"]
        outputs: list[list[Tensor]] = [[] for _ in x]
        self.maps.append([])
        for head in range(n_head):
            rows = slice(head * width, (head + 1) * width)
            of_query, of_key, of_value = weight[:size][rows], weight[size : 2 * size][rows], weight[2 * size :][rows]
            queries = [self.turned(of_query @ token, t) for t, token in enumerate(x)]
            keys = torch.stack([self.turned(of_key @ token, t) for t, token in enumerate(x)])
            values = torch.stack([of_value @ token for token in x])
            self.maps[-1].append([])
            for t, query in enumerate(queries):
                seen = [key for key in range(len(x)) if self.sees(head, t, key, n_visible)]
                if seen:
                    bias = torch.stack([torch.as_tensor(self.bias(head, key - t)) for key in seen])
                    powers = (keys[seen] @ query / width**0.5 + bias).exp()
                else:  # padding far from every word: it looks at all places alike, and nobody at it
                    seen, powers = list(range(len(x))), torch.ones(len(x))
                shares = powers / powers.sum()
                outputs[t].append(shares @ values[seen])
                self.maps[-1][-1].append(torch.zeros(len(x)).index_add(0, torch.tensor(seen), shares))
        return [self.linear(f"blocks.{layer}.attention.projection", torch.cat(heads)) for heads in outputs]

    def feed_forward(self, layer: int, x: Tensor) -> Tensor:
        inner = self.linear(f"blocks.{layer}.feed_forward.0", x)
        if self.config.activation == "relu":
            inner = inner * (inner > 0)
        else:
            inner = inner * (1 + torch.erf(inner / 2**0.5)) / 2
        return self.linear(f"blocks.{layer}.feed_forward.3", inner)

    def vectors(self, ids: list[int], n_visible: int) -> list[Tensor]:
        """The vectors of one row after the last block."""
        self.maps = []
        x = [self.token(ids, t) for t in range(len(ids))]
        for layer in range(self.config.n_layer):
            branches: list[Callable[[list[Tensor]], list[Tensor]]] = [
                lambda x, layer=layer: self.attention(layer, x, n_visible)  # type: ignore[misc]
            ]
            if self.config.ff_dim:
                branches.append(lambda x, layer=layer: [self.feed_forward(layer, token) for token in x])  # type: ignore[misc]
            for number, branch in enumerate(branches, start=1):
                name = f"blocks.{layer}.norm{number}"
                scale = self.weights.get(f"blocks.{layer}.branch{number}.scale", torch.tensor(1.0))
                if self.config.norm == "post":
                    x = [self.norm(name, token + scale * update) for token, update in zip(x, branch(x))]
                else:
                    inside = [self.norm(name, token) for token in x]
                    x = [token + scale * update for token, update in zip(x, branch(inside))]
        return [self.norm("final_norm", token) for token in x] if self.config.norm == "pre" else x

    def decode(self, ids: list[int]) -> Tensor:
        """Logits (T, V) of one row."""
        tables = [self.word(i) for i in range(23)] if self.config.tied else list(self.weights.get("head.weight", ()))
        bias = self.weights["head.bias"]
        return torch.stack([torch.stack(tables) @ vector + bias for vector in self.vectors(ids, len(ids))])

    def pooled(self, ids: list[int], length: int) -> Tensor:
        """One vector of one row."""
        if self.config.pooling == "mean":
            return sum(self.vectors(ids, len(ids)), torch.tensor(0)) / len(ids)
        if self.config.pooling == "cls":
            return self.vectors([23, *ids], length + 1)[0]
        vectors = self.vectors(ids, length)[:length]
        mean = sum(vectors, torch.tensor(0)) / length
        if self.config.pooling == "masked-mean":
            return mean
        return torch.cat([mean, torch.stack([max(channel) for channel in zip(*vectors)])])

    def classify(self, ids: list[list[int]], lengths: list[int], training: bool) -> Tensor:
        """Logits (B, K)."""
        rows = [self.pooled(row, length) for row, length in zip(ids, lengths)]
        if not self.config.head_dim:
            return torch.stack([self.linear("head.1", row) for row in rows])
        inner = torch.stack([self.linear("head.0", row) for row in rows])
        if self.config.batch_norm:
            mean, spread = self.weights["head.1.running_mean"], self.weights["head.1.running_var"]
            if training:
                mean, spread = inner.mean(dim=0), (inner - inner.mean(dim=0)).square().mean(dim=0)
            weight, bias = self.weights["head.1.weight"], self.weights["head.1.bias"]
            inner = (inner - mean) / (spread + 1e-5).sqrt() * weight + bias
        return torch.stack([self.linear("head.4", row * (row > 0)) for row in inner])


def lower(word: str) -> str:
    """The form under which a word shares its vectors; padding and <cls> are the start of a row."""
    return "" if word in ("<pad>", "<cls>") else word.lower()


def ngrams(word: str) -> list[int]:
    """The CRC-32 of each piece of a word's spelling."""
    if word[0] == "<":
        return []
    pieces = ["^" + word[0]] if word != word.lower() else []
    marked = "<" + word.lower() + ">"
    pieces += [marked[i:j] for i in range(len(marked)) for j in range(i + 3, min(i + 5, len(marked)) + 1)]
    return [zlib.crc32(piece.encode()) for piece in pieces]


def t5_bucket(distance: int, causal: bool) -> int:
    """The published function of T5, for one distance, with 32 buckets up to 128 tokens."""
    n_buckets, bucket, behind = 32, 0, max(0, -distance)
    if not causal:
        n_buckets, bucket, behind = 16, 16 if distance > 0 else 0, abs(distance)
    exact = n_buckets // 2
    if behind < exact:
        return bucket + behind
    wide = exact + int(math.log(behind / exact) / math.log(128 / exact) * (n_buckets - exact) + 1e-9)
    return bucket + min(wide, n_buckets - 1)


PAIRS = [("", "of"), ("of", "the"), ("the", "hope"), ("the", "word9")]
CASES: list[tuple[str, dict[str, Any]]] = [
    *(("decoder", {"positions": positions}) for positions in POSITIONS),
    *(("decoder", {"positions": positions, "window": 2}) for positions in ("learned", "alibi", "t5")),
    ("decoder", {"positions": "alibi", "alibi_slope_scale": 8.0, "n_head": 4}),
    ("decoder", {"positions": "rope", "n_head": 1}),
    ("decoder", {"norm": "pre", "activation": "gelu"}),
    ("decoder", {"norm": "none", "activation": "gelu"}),
    ("decoder", {"norm": "pre", "layer_scale": 0.5, "tied": True}),
    ("decoder", {"layer_scale": 0.5}),
    ("decoder", {"ff_dim": 0, "norm": "pre"}),
    ("decoder", {"ff_dim": 0, "n_layer": 1}),
    ("decoder", {"n_layer": 0, "norm": "pre", "positions": "sinusoidal"}),
    ("decoder", {"tied": True, "positions": "sinusoidal"}),
    ("decoder", {"n_spellings": 11, "tied": True}),
    ("decoder", {"n_spellings": 11}),
    *(("classifier", {"positions": positions}) for positions in POSITIONS),
    *(("classifier", {"positions": positions, "pooling": "mean-max"}) for positions in POSITIONS),
    ("classifier", {"pooling": "masked-mean"}),
    ("classifier", {"pooling": "masked-mean", "window": 1, "norm": "pre"}),
    ("classifier", {"pooling": "cls"}),
    ("classifier", {"pooling": "cls", "positions": "alibi", "alibi_one_sided": True, "norm": "none"}),
    ("classifier", {"pooling": "cls", "n_spellings": 11, "window": 3}),
    ("classifier", {"pooling": "cls", "phrases": True}),
    ("classifier", {"pooling": "mean-max", "phrases": True, "ff_dim": 0, "norm": "none", "head_dim": 0}),
    ("classifier", {"positions": "alibi", "alibi_one_sided": True, "n_head": 4}),
    ("classifier", {"head_dim": 0}),
    ("classifier", {"batch_norm": True}),
    ("classifier", {"batch_norm": True, "pooling": "mean-max", "layer_scale": 0.0, "norm": "pre"}),
    ("classifier", {"n_layer": 0, "pooling": "masked-mean"}),
]


@pytest.mark.parametrize(("kind", "settings"), CASES, ids=str)
def test_a_model_is_the_slow_one_on_both_paths_forward_and_backward(kind: str, settings: dict[str, Any]) -> None:
    config, (ids, lengths) = replace(TINY, **settings), batch()
    pairs = torch.zeros(len(PAIRS), dtype=torch.long)
    model: Any = shaken(decoder(config) if kind == "decoder" else classifier(config, pairs=pairs))
    if config.phrases:
        ids[0, :4] = torch.tensor([2, 6, 4, 3])  # Of the hope The: three pairs that have vectors, and one that has none
        ids[1, :3] = torch.tensor([5, 4, 6])  # of hope the
        forms = list(dict.fromkeys(map(lower, WORDS)))
        keys = sorted(forms.index(left) * len(forms) + forms.index(right) for left, right in PAIRS)
        model.encoder.embedding.pairs.copy_(torch.tensor(keys))
    for training in (True, False) if config.batch_norm else (False,):  # elsewhere they are the same without dropout
        model.train(training)
        slow, inputs = Slow(model, PAIRS), (ids,) if kind == "decoder" else (ids, lengths)
        if kind == "decoder":
            expected = torch.stack([slow.decode(row) for row in ids.tolist()])
        else:
            expected = slow.classify(ids.tolist(), lengths.tolist(), training)
        towards = random(*expected.shape, seed=7)
        expected_gradients = torch.autograd.grad((expected * towards).sum(), model.parameters())
        record = Record("weights")
        for edit in (None, record):
            logits = model(*inputs, edit=edit)
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
            found = torch.autograd.grad((logits * towards).sum(), model.parameters())
            largest = max(gradient.abs().max().item() for gradient in expected_gradients)
            torch.testing.assert_close(found, expected_gradients, rtol=1e-3, atol=1e-4 * largest)
        for weights, heads in zip(record.layers, slow.maps, strict=True):  # of the last row
            torch.testing.assert_close(weights[-1], torch.stack([torch.stack(head) for head in heads]))


# ---------------------------------------------------------------------------------------------------------- attention


@both_directions
@both_paths
def test_attention_is_that_of_pytorch(causal: bool, is_explicit: bool) -> None:
    own, x = shaken(SelfAttention(replace(TINY, n_head=4))), random(3, 8, 16).requires_grad_()
    reference = nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(own.qkv.weight)
        reference.out_proj.load_state_dict(own.projection.state_dict())
    bias = attention_bias(NoPositions(TINY, causal), 0, 8, causal, None, None, CPU)
    record = Record("weights")
    output = own(x, bias, edit=record if is_explicit else None)
    mask = torch.ones(8, 8).triu(1).bool() if causal else None
    expected, expected_weights = reference(x, x, x, attn_mask=mask, average_attn_weights=False)
    torch.testing.assert_close(output, expected)
    if is_explicit:
        torch.testing.assert_close(record.layers, [expected_weights])
    ours = torch.autograd.grad(output.square().sum(), [x, own.qkv.weight, own.projection.weight])
    theirs = [x, reference.in_proj_weight, reference.out_proj.weight]
    torch.testing.assert_close(ours, torch.autograd.grad(expected.square().sum(), theirs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_block_is_that_of_pytorch(norm: Any, activation: Any) -> None:
    own, x = shaken(Block(replace(TINY, norm=norm, activation=activation))), random(3, 8, 16)
    reference = nn.TransformerEncoderLayer(
        16, 2, 24, dropout=0.0, activation=activation, batch_first=True, norm_first=norm == "pre"
    )
    with torch.no_grad():
        reference.self_attn.in_proj_weight.copy_(own.attention.qkv.weight)
        reference.self_attn.in_proj_bias.zero_()
    for ours, theirs in [
        (own.attention.projection, reference.self_attn.out_proj),
        (own.feed_forward[0], reference.linear1),
        (own.feed_forward[3], reference.linear2),
        (own.norm1, reference.norm1),
        (own.norm2, reference.norm2),
    ]:
        theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(own(x, None), reference(x))


def test_the_softmax_of_two_scores_by_hand() -> None:
    q, k = torch.tensor([[[[2.0, 0.0, 0.0, 0.0]]]]), torch.tensor([[[[math.log(3), 5.0, 5.0, 5.0], [0.0] * 4]]])
    v, bias = torch.tensor([[[[8.0], [4.0]]]]), torch.tensor([0.0, math.log(2)])
    record = Record("weights")
    for edit in (None, record):  # scores log(3) and 0: shares 3/4 and 1/4; with the bias, 3/5 and 2/5
        assert attention(q, k, v, edit=edit).item() == pytest.approx(7)
        assert attention(q, k, v, bias[None, None, None], edit=edit).item() == pytest.approx(0.6 * 8 + 0.4 * 4)
    assert torch.stack(record.layers).flatten().tolist() == pytest.approx([0.75, 0.25, 0.6, 0.4])


def test_where_nobody_edits_the_kernel_of_pytorch_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, kernel = [], F.scaled_dot_product_attention

    def counted(*arguments: Any, **named: Any) -> Tensor:
        calls.append(named)
        return kernel(*arguments, **named)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    q, k, v = random(3, 1, 2, 5, 4)
    attention(q, k, v)
    assert len(calls) == 1
    attention(q, k, v, dropout=0.5)
    attention(q, k, v, edit=Record("heads"))
    (ids, lengths), config = batch(), replace(TINY, n_layer=1)
    assert len(calls) == 1
    Block(TINY)(random(3, 6, 16), None)
    encoder = Encoder(config, nn.Embedding(23, 16))
    for reads in (encoder, encoder.hidden, decoder(config)):
        reads(ids)
    for model in (classifier(config), classifier(replace(config, n_members=2))):
        model(ids, lengths)
    assert len(calls) == 8


def test_dropout_is_of_the_attention_weights_and_the_maps_show_them_before_it() -> None:
    q, k, v = random(3, 2, 2, 5, 4)
    record = Record("weights")
    attention(q, k, v, edit=record)
    for edit in (None, record):
        torch.manual_seed(3)
        output = attention(q, k, v, dropout=0.4, edit=edit)
        torch.manual_seed(3)
        torch.testing.assert_close(output, drop(record.layers[0], 0.4) @ v)
    assert torch.equal(*record.layers)


def test_what_is_masked_has_no_weight_however_high_its_score_and_a_row_of_nothing_is_uniform() -> None:
    q, k, v = torch.full((1, 1, 1, 4), 1e4), random(1, 1, 3, 4).abs(), torch.tensor([[[[1.0], [2.0], [6.0]]]])
    bias = torch.tensor([[[[MASKED, 0.0, MASKED]]]])
    for edit in (None, Record("weights")):
        assert attention(q, k, v, bias, edit=edit).item() == 2
        assert attention(q, k, v, torch.full((1, 1, 1, 3), MASKED), edit=edit).item() == 3


# -------------------------------------------------------------------------------------------------------------- edits


def test_an_edit_is_given_every_place_in_order() -> None:
    found: list[tuple[Any, ...]] = []

    def edit(place: Any, x: Tensor, /, layer: int | None = None, member: int = 0) -> Tensor:
        found.append((member, layer, place, tuple(x.shape)))
        return x

    ids, lengths = batch()
    layers = [
        (0, layer, *one)
        for layer in range(2)
        for one in (("weights", (3, 2, 6, 6)), ("heads", (3, 2, 6, 8)), ("feed-forward", (3, 6, 16)))
    ]
    every = [(0, None, "embedding", (3, 6, 16)), *layers]
    for reads in (decoder(TINY), decoder(TINY).hidden, Encoder(TINY, nn.Embedding(23, 16))):
        found.clear()
        reads(ids, edit=edit)
        assert found == every
    found.clear()
    classifier(TINY)(ids, lengths, edit)
    assert found == every
    found.clear()
    classifier(replace(TINY, n_members=3))(ids, lengths, edit)
    assert found == [(member, *one[1:]) for member in range(3) for one in every]
    found.clear()
    decoder(TINY).nats(ids, ids, edit=edit)
    assert found == every
    found.clear()
    decoder(replace(TINY, ff_dim=0, n_layer=1))(ids, edit=edit)
    assert [place for _, _, place, _ in found] == ["embedding", "weights", "heads"]


@pytest.mark.parametrize("place", ["embedding", "weights", "heads", "feed-forward"])
def test_the_forward_pass_goes_on_with_what_an_edit_says(place: Any) -> None:
    """Zeros in the second layer: as if what made them had no weights."""
    model, (ids, lengths) = shaken(classifier(replace(TINY, pooling="masked-mean"))), batch()

    def edit(here: Any, x: Tensor, /, layer: int | None = None, member: int = 0) -> Tensor:
        return torch.zeros_like(x) if here == place and layer in (1, None) else x

    edited, plain = model(ids, lengths, edit), model(ids, lengths)
    assert not torch.allclose(edited, plain, atol=1e-3)
    block: Any = model.encoder.blocks[1]
    with torch.no_grad():
        if place == "embedding":
            model.encoder.embedding.weight.zero_()
            model.encoder.positions.table.weight.zero_()
        elif place == "feed-forward":
            block.feed_forward[3].weight.zero_()
            block.feed_forward[3].bias.zero_()
        else:
            block.attention.qkv.weight[32:].zero_()  # values
    torch.testing.assert_close(model(ids, lengths), edited)


# --------------------------------------------------------------------------------------------------- dropout, branches


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_zeroes_its_share_anew_each_time_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 1001, requires_grad=True)
    first, second = drop(x, rate), drop(x, rate)
    zeros = (first == 0).double()
    error = math.sqrt(rate * (1 - rate) / x.numel())
    assert zeros.mean().item() == pytest.approx(rate, abs=5 * error)
    effective = round(65536 * rate) / 65536
    assert set(first.unique().tolist()) == {0.0, torch.tensor(1 / (1 - effective)).item()}
    for lag in (1, 2, 3, 4, 1001):  # neighbours share a random number, but none of its bits
        together = (zeros.flatten()[lag:] * zeros.flatten()[:-lag]).mean().item()
        assert together == pytest.approx(rate**2, abs=10 * error)
    assert ((first == 0) & (second == 0)).double().mean().item() == pytest.approx(rate**2, abs=10 * error)
    (gradient,) = torch.autograd.grad(first.sum(), x)
    torch.testing.assert_close(gradient, first.detach())
    torch.manual_seed(0)
    assert torch.equal(drop(x, rate), first)
    assert drop(x, 0.0) is x


@pytest.mark.parametrize(
    ("rate", "k"),
    [(1 / 65536, 1), (1e-6, 0), (1.49 / 65536, 1), (1.51 / 65536, 2), (1 - 2**-15, 65534), (0.99999, 65535)]
    + [(1 - 1e-9, 65535)],  # the nearest would leave nothing
)
def test_the_rate_of_dropout_in_effect_is_the_nearest_of_65536(rate: float, k: int) -> None:
    torch.manual_seed(0)
    n, shares = 2**22, [k / 65536, 1 - k / 65536]
    dropped = drop(torch.ones(n), rate)
    kept = dropped[dropped > 0]
    error = math.sqrt(n * shares[0] * shares[1])  # of the count: 8 of 64 at k = 1
    assert n - len(kept) == pytest.approx(n * shares[0], abs=3 * error)
    assert set(kept.unique().tolist()) == {torch.tensor(1 / shares[1]).item()}


def test_dropout_scales_in_the_type_of_its_input_and_keeps_its_sign_and_shape() -> None:
    torch.manual_seed(0)
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        x = random(3, 5, 7).to(dtype)
        dropped = drop(x, 0.5)
        assert dropped.dtype == dtype
        torch.testing.assert_close(dropped[dropped != 0], 2 * x[dropped != 0])
        assert 20 < (dropped != 0).sum() < 85  # of 105


def test_dropout_layers_do_nothing_in_evaluation() -> None:
    layer, x = Dropout(0.5), torch.ones(1000)
    assert 350 < (layer(x) == 0).sum() < 650
    assert layer.eval()(x) is x


@pytest.mark.parametrize(
    ("kind", "settings", "rates"),
    [
        (Decoder, {}, {"dropout": 0.4}),
        (Classifier, {}, {"encoder.dropout": 0.4, "head.3": 0.3}),
        (Classifier, {"head_dim": 0}, {"encoder.dropout": 0.4, "head.0": 0.3}),
    ],
)
def test_dropout_reaches_each_of_its_places_with_masks_that_differ(
    kind: type[Model], settings: dict[str, Any], rates: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, (ids, lengths) = replace(TINY, dropout=0.3, embedding_dropout=0.4, **settings), batch()
    model: Any = build(kind, config).train()
    inputs = (ids,) if kind is Decoder else (ids, lengths)
    trunk = "" if kind is Decoder else "encoder."
    for block in range(2):
        rates |= {f"{trunk}blocks.{block}.{place}": 0.3 for place in ("branch1.dropout", "branch2.dropout")}
        rates |= {f"{trunk}blocks.{block}.{place}": 0.3 for place in ("feed_forward.2", "attention")}
    places = dict(model.named_modules())
    assert {name: module.p for name, module in places.items() if isinstance(module, nn.Dropout)} | {
        name: module.dropout for name, module in places.items() if isinstance(module, SelfAttention)
    } == rates
    calls: list[tuple[Tensor, float]] = []

    def recording(x: Tensor, rate: float) -> Tensor:
        calls.append(((drop(torch.ones_like(x), rate) == 0).flatten(), rate))
        return x

    for module in (transformer, modules.dropout):
        monkeypatch.setattr(module, "drop", recording)
    model(*inputs)
    assert sorted(rate for _, rate in calls) == sorted(rates.values())  # each place once
    for number, (mask, _) in enumerate(calls):
        assert not any(torch.equal(mask, other) for other, _ in calls[:number])
    calls.clear()
    model.eval()(*inputs, edit=Record("weights"))
    assert {rate for _, rate in calls} == {0.0}  # the explicit path, without dropout


def test_where_all_is_dropped_the_residual_stream_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (transformer, modules.dropout):
        monkeypatch.setattr(module, "drop", lambda x, rate: torch.zeros_like(x))
    x = random(3, 5, 16)
    for norm in ("none", "pre", "post"):
        block = shaken(Block(replace(TINY, dropout=0.1, norm=norm))).train()
        expected = block.norm2(block.norm1(x)) if norm == "post" else x
        assert torch.equal(block(x, None), expected)
    for head_dim in (0, 12):
        model: Any = shaken(classifier(replace(TINY, dropout=0.1, head_dim=head_dim))).train()
        assert torch.equal(model(*batch()), model.head[-1].bias.expand(3, 3))


def test_only_the_dropped_part_of_the_feed_forward_network_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    block, x = shaken(Block(replace(TINY, norm="none"))), random(3, 5, 16)
    attended = x + block.attention(x, None)
    hidden = block.feed_forward[0](attended).relu()
    monkeypatch.setattr(
        modules.dropout, "drop", lambda x, rate: x * (torch.arange(x.size(-1)) % 2) if x.size(-1) == 24 else x
    )
    hidden[..., ::2] = 0.0
    torch.testing.assert_close(block.train()(x, None), attended + block.feed_forward[3](hidden))


def test_a_branch_scales_each_channel_from_where_the_configuration_starts_it() -> None:
    for start in (0.0, 0.25):
        branch = Branch(replace(TINY, layer_scale=start))
        assert torch.equal(branch(torch.ones(2, 3, 16)), torch.full((2, 3, 16), start))
    assert branch.scale is not None
    with torch.no_grad():
        branch.scale.copy_(torch.arange(16))
    assert torch.equal(branch(torch.ones(2, 3, 16)), torch.arange(16.0).expand(2, 3, 16))
    assert Branch(TINY).scale is None


def test_a_row_skips_its_branch_whole_at_the_rate_given_and_the_others_are_scaled_up() -> None:
    torch.manual_seed(0)
    branch, x = Branch(replace(TINY, drop_path=0.75)).train(), torch.ones(4000, 2, 16)
    update = branch(x)
    assert set(update.unique().tolist()) == {0.0, 4.0}
    assert torch.equal(update.amax(dim=(1, 2)), update.amin(dim=(1, 2)))  # a row is skipped whole
    skipped = update[:, 0, 0] == 0
    assert skipped.double().mean().item() == pytest.approx(0.75, abs=0.02)
    again = branch(x)[:, 0, 0] == 0
    assert (skipped & again).double().mean().item() == pytest.approx(0.75**2, abs=0.03)  # anew each time
    assert torch.equal(branch.eval()(x), x)
    torch.manual_seed(0)
    draws = torch.rand(4000)
    assert torch.equal(skipped, draws < 0.75)


def test_each_branch_of_each_block_skips_rows_of_its_own() -> None:
    torch.manual_seed(0)
    model = Encoder(replace(TINY, drop_path=0.5), nn.Embedding(23, 16)).train()
    skipped: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, Branch):
            module.register_forward_hook(lambda _module, _input, output: skipped.append(output[:, 0, 0] == 0))
    model(torch.randint(2, 23, (400, 3)))
    assert len(skipped) == 4
    for number, one in enumerate(skipped):
        for other in skipped[:number]:
            assert (one & other).double().mean().item() == pytest.approx(0.25, abs=0.08)


def test_without_dropout_training_draws_no_random_number() -> None:
    for model, inputs in ((decoder(TINY), batch()[:1]), (classifier(TINY), batch())):
        state = torch.get_rng_state()
        trained = model.train()(*inputs)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(model.eval()(*inputs), trained)


# -------------------------------------------------------------------------------------------------- who sees whom


M = MASKED


@both_directions
@pytest.mark.parametrize("window", [None, 0, 1, 3])
def test_the_bias_masks_the_future_and_what_is_past_the_window(causal: bool, window: int | None) -> None:
    bias = attention_bias(NoPositions(TINY, causal), 0, 6, causal, window, None, CPU)
    if window is None and not causal:
        assert bias is None
        return
    reach = 6 if window is None else window
    expected = [[0 if abs(i - j) <= reach and (j <= i or not causal) else M for j in range(6)] for i in range(6)]
    assert bias is not None
    assert torch.equal(bias, torch.tensor([[expected]], dtype=torch.float32))


def test_the_bias_of_tokens_that_follow_a_cache_and_of_padding_by_hand() -> None:
    def bias(start: int, n_tokens: int, causal: bool, window: int | None, lengths: Tensor | None) -> Any:
        found = attention_bias(NoPositions(TINY, causal), start, n_tokens, causal, window, lengths, CPU)
        return None if found is None else found.tolist()

    assert bias(2, 2, True, None, None) == [[[[0, 0, 0, M], [0, 0, 0, 0]]]]
    assert bias(2, 2, True, 1, None) == [[[[M, 0, 0, M], [M, M, 0, 0]]]]
    assert bias(3, 1, True, None, None) is None  # a single new token sees all before it
    assert bias(3, 1, True, 2, None) == [[[[M, 0, 0, 0]]]]
    assert bias(0, 3, False, None, torch.tensor([3, 1])) == [[[[0, 0, 0]] * 3], [[[0, M, M]] * 3]]


@both_paths
@pytest.mark.parametrize("window", [None, 2])
@every_position_method
def test_the_decoder_is_causal_by_gradient_and_the_encoder_sees_both_sides(
    positions: Any, window: int | None, is_explicit: bool
) -> None:
    ids = torch.randint(2, 23, (2, 8), generator=torch.Generator().manual_seed(1))
    for kind in (Decoder, Encoder):
        config = replace(TINY, positions=positions, window=window)
        model = shaken(decoder(config) if kind is Decoder else Encoder(config, nn.Embedding(23, 16)))
        embedded: list[Tensor] = []
        model.blocks[0].register_forward_pre_hook(lambda _block, inputs, kept=embedded: kept.append(inputs[0]))
        output = model(ids, edit=Record("weights") if is_explicit else None)
        reach = 8 if window is None else 2 * 2  # a window of 2 in each of 2 layers
        for place in range(8):
            (gradient,) = torch.autograd.grad(output[:, place].square().sum(), embedded[0], retain_graph=True)
            felt = gradient.abs().sum(dim=(0, 2)) > 0  # (T,)
            assert felt.tolist() == [abs(place - i) <= reach and (i <= place or kind is Encoder) for i in range(8)]


@pytest.mark.parametrize("pooling", ["masked-mean", "cls", "mean-max"])
@pytest.mark.parametrize(
    "settings", [{"positions": positions} for positions in POSITIONS] + [{"window": 2}, {"n_spellings": 9}], ids=str
)
def test_padding_and_the_rest_of_the_batch_change_nothing(pooling: Any, settings: dict[str, Any]) -> None:
    model, (ids, lengths) = shaken(classifier(replace(TINY, pooling=pooling, **settings), WORDS)), batch()
    assert model.masks_padding
    together = model(ids, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(ids[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)


def test_a_row_as_long_as_the_block_has_room_for_cls() -> None:
    model = classifier(replace(TINY, pooling="cls"))
    assert model(torch.full((1, 8), 5), torch.tensor([8])).isfinite().all()
    assert model.encoder.positions.table.num_embeddings == 9


def test_padding_counts_in_the_report_classifier() -> None:
    model, (ids, lengths) = shaken(classifier(TINY)), batch()
    assert not model.masks_padding
    assert torch.equal(model(ids, lengths), model(ids, torch.tensor([6, 6, 6])))
    assert not torch.allclose(model(ids[2:, :1], lengths[2:]), model(ids[2:], lengths[2:]), atol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        *({"positions": positions} for positions in POSITIONS if positions != "learned"),
        {"positions": "none", "window": 2, "dropout": 0.1, "embedding_dropout": 0.1, "drop_path": 0.1},
        {"positions": "alibi", "n_spellings": 9, "layer_scale": 0.1},
    ],
    ids=str,
)
def test_all_that_a_model_computes_is_on_the_device_of_its_input(settings: dict[str, Any]) -> None:
    ids, lengths = (tensor.to("meta") for tensor in batch())  # a device that refuses to meet another
    reads = decoder(replace(TINY, **settings), WORDS).to("meta")
    for output in (reads(ids), reads(ids, edit=Record("weights"))):
        assert (output.shape, output.device.type) == ((3, 6, 23), "meta")
    for pooling in ("mean", "masked-mean", "cls", "mean-max"):
        model = classifier(replace(TINY, pooling=pooling, **settings), WORDS).to("meta")
        for output in (model(ids, lengths), model(ids, lengths, edit=Record("weights"))):
            assert (output.shape, output.device.type) == ((3, 3), "meta")


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("read", [1, 3])
@every_position_method
def test_a_key_value_cache_changes_nothing(positions: Any, window: int | None, read: int) -> None:
    n_tokens = 8 if positions == "learned" else 20  # past the block, where the table of learned positions ends
    model = shaken(decoder(replace(TINY, positions=positions, window=window)))
    ids, cache = torch.randint(2, 23, (2, n_tokens), generator=torch.Generator().manual_seed(1)), KeyValueCache()
    pieces = [model(piece, cache) for piece in ids.split(read, dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids), rtol=1e-4, atol=1e-5)
    assert cache.length == n_tokens
    assert [(k.shape, v.shape) for k, v in cache.layers] == [((2, 2, n_tokens, 8),) * 2] * 2


# ---------------------------------------------------------------------------------------------------------- positions

UP_TO_8, BETWEEN = [1, 2, 3, 4, 5, 6, 7, 8], [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5]
PUBLISHED: dict[int, list[float]] = {  # the authors' slopes are 2 to the power of minus these
    **{1: [8], 2: [4, 8], 3: [4, 8, 2], 4: [2, 4, 6, 8]},
    **{5: [2, 4, 6, 8, 1], 6: [2, 4, 6, 8, 1, 3], 7: [2, 4, 6, 8, 1, 3, 5]},
    **{8 + n: UP_TO_8 + BETWEEN[:n] for n in range(8)},
    16: [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8],
}


@pytest.mark.parametrize("n_head", PUBLISHED)
def test_alibi_slopes_are_the_published_ones(n_head: int) -> None:
    assert alibi_slopes(n_head) == pytest.approx([2**-power for power in PUBLISHED[n_head]], rel=1e-12)


PAST = [[0, M, M, M], [-1, 0, M, M], [-2, -1, 0, M], [-3, -2, -1, 0]]
BOTH = [[0, -1, -2, -3], [-1, 0, -1, -2], [-2, -1, 0, -1], [-3, -2, -1, 0]]
FUTURE = [[0, -1, -2, -3], [M, 0, -1, -2], [M, M, 0, -1], [M, M, M, 0]]


@pytest.mark.parametrize(
    ("causal", "settings", "steps"),
    [
        (True, {}, [PAST, PAST]),
        (False, {}, [BOTH, BOTH]),
        (False, {"alibi_one_sided": True}, [PAST, FUTURE]),
        (True, {"alibi_one_sided": True}, [PAST, PAST]),
        (True, {"alibi_slope_scale": 8.0}, [PAST, PAST]),
    ],
)
def test_the_bias_of_alibi_by_hand(causal: bool, settings: dict[str, Any], steps: list[list[list[float]]]) -> None:
    config = replace(TINY, positions="alibi", **settings)
    bias = attention_bias(position_method(config, causal), 0, 4, causal, None, None, CPU)
    assert bias is not None
    assert bias.shape == (1, 2, 4, 4)
    slopes = config.alibi_slope_scale * torch.tensor([1 / 16, 1 / 256])[:, None, None]
    unit = torch.tensor(steps, dtype=torch.float32)
    assert torch.equal(bias[0], torch.where(unit == M, unit, unit * slopes))


def test_alibi_holds_no_tensor() -> None:
    method = ALiBi(TINY, causal=True)
    assert not [*method.parameters(), *method.buffers()]


def scores(method: NoPositions, places: Tensor) -> Tensor:
    """Attention scores (1, H, T, T) of fixed queries and keys at `places` (T,), by the interface of the methods."""
    q, k = random(2, 1, 2, 4, 8)  # each (B, H, T, D)
    vectors, rotation, bias = method.vectors(places), method.rotation(places), method.bias(places - places[:, None])
    if vectors is not None:
        heads = vectors.unflatten(-1, (2, 8)).transpose(0, 1)  # (H, T, D)
        q, k = q + heads, k + heads
    if rotation is not None:
        q, k = rotate(q, rotation), rotate(k, rotation)
    return q @ k.transpose(-2, -1) + (0 if bias is None else bias)


@both_directions
@every_position_method
def test_relative_positions_are_invariant_to_a_shift_and_absolute_ones_are_not(positions: Any, causal: bool) -> None:
    method, places = position_method(replace(TINY, positions=positions), causal), torch.arange(4)
    invariant = torch.allclose(scores(method, places), scores(method, places + 4), atol=1e-5)
    assert invariant == (positions in ("alibi", "rope", "t5", "none"))
    says_something = not torch.allclose(scores(method, places), scores(method, places * 2), atol=1e-5)
    assert says_something == (positions != "none")
    assert method.embedding_scale == (4 if positions == "sinusoidal" else 1)  # the square root of 16


@pytest.mark.parametrize(
    ("causal", "distance_to_bucket"),
    [
        (True, {0: 0, -1: 1, -15: 15, -16: 16, -20: 17, -32: 21, -64: 26, -127: 31, -128: 31, -1000: 31, 1: 0, 9: 0}),
        (False, {0: 0, -7: 7, -8: 8, -12: 9, -20: 10, -40: 12, -100: 15, -1000: 15}),
        (False, {1: 17, 7: 23, 8: 24, 12: 25, 20: 26, 40: 28, 100: 31, 1000: 31}),
    ],
)
def test_buckets_of_t5_by_hand(causal: bool, distance_to_bucket: dict[int, int]) -> None:
    found = T5Positions(TINY, causal).buckets(torch.tensor(list(distance_to_bucket)))
    assert found.tolist() == list(distance_to_bucket.values())


@both_directions
def test_buckets_of_t5_are_the_published_ones(causal: bool) -> None:
    distances = list(range(-300, 301))
    found = T5Positions(TINY, causal).buckets(torch.tensor(distances)).tolist()
    assert found == [t5_bucket(distance, causal) for distance in distances]
    assert len(set(found)) == (32 if causal else 31)  # no distance to the right is 0


def test_sinusoids_by_hand() -> None:
    places = [0, 1, 2, 1000]
    vectors = position_method(replace(TINY, n_embd=4, positions="sinusoidal"), False).vectors(torch.tensor(places))
    expected = [[math.sin(t), math.cos(t), math.sin(t / 100), math.cos(t / 100)] for t in places]
    torch.testing.assert_close(vectors, torch.tensor(expected))


def test_rotations_by_hand() -> None:
    method = position_method(replace(TINY, n_embd=8, n_head=2, positions="rope"), causal=False)
    x = torch.tensor([[[[1.0, 0.0, 0.0, 0.0]] * 3, [[0.0, 0.0, 0.0, 2.0]] * 3]])  # (1, H, T, D)
    rotation = method.rotation(torch.arange(3))
    assert rotation is not None
    expected = [
        [[math.cos(t), 0, math.sin(t), 0] for t in range(3)],  # the first of the pair 0, 2
        [[0, -2 * math.sin(t / 100), 0, 2 * math.cos(t / 100)] for t in range(3)],  # the second of the pair 1, 3
    ]
    torch.testing.assert_close(rotate(x, rotation), torch.tensor([expected]))


@every_position_method
def test_only_an_encoder_without_positions_is_permutation_equivariant(positions: Any) -> None:
    encoder, ids, order = (
        Encoder(replace(TINY, positions=positions), nn.Embedding(23, 16)),
        batch()[0],
        torch.tensor([3, 1, 0, 2, 5, 4]),
    )
    equivariant = torch.allclose(encoder(ids[:, order]), encoder(ids)[:, order], atol=1e-5)
    assert equivariant == (positions == "none")


def test_learned_positions_past_their_table_are_refused() -> None:
    complaint = (
        "learned positions end at 8 and the input has 9 tokens; shorten it, or train with alibi, rope, t5, sinusoidal "
        "or no positions"
    )
    model, cache = decoder(TINY), KeyValueCache()
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        model(torch.ones(1, 9, dtype=torch.long))
    assert model(torch.ones(1, 8, dtype=torch.long), cache).isfinite().all()
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        model(torch.ones(1, 1, dtype=torch.long), cache)


# ------------------------------------------------------------------------------------------------------------- words


def test_the_pieces_of_a_word_by_hand() -> None:
    expected = "<na nat ati tio ion on> <nat nati atio tion ion> <natio ation tion> ^N"
    expected = expected.replace("<natio", "<nati natio")
    assert sorted(character_ngrams("Nation")) == sorted(expected.split())
    assert character_ngrams("a") == ["<a>"]
    assert character_ngrams("OF") == ["<of", "of>", "<of>", "^O"]
    assert [character_ngrams(word) for word in ("<pad>", "<unk>", CLS)] == [[], [], []]


def test_a_spelled_word_is_the_sum_of_its_pieces_over_the_root_of_their_number() -> None:
    words = ["<pad>", "a", "OF", "<unk>"]
    table = SpelledEmbedding(words, 1000, 1)
    with torch.no_grad():
        table.words.weight.copy_(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
        table.spellings.weight.copy_(torch.arange(1000.0)[:, None])
    rows = {piece: zlib.crc32(piece.encode()) % 1000 for piece in ("<a>", "<of", "of>", "<of>", "^O")}
    of = (rows["<of"] + rows["of>"] + rows["<of>"] + rows["^O"]) / 2
    expected = torch.tensor([1.0, 2.0 + rows["<a>"], 3.0 + of, 4.0])
    torch.testing.assert_close(table.weight[:, 0], expected)
    torch.testing.assert_close(table(torch.tensor([[2, 0], [1, 1]]))[..., 0], expected[torch.tensor([[2, 0], [1, 1]])])
    assert set(table.state_dict()) == {"words.weight", "spellings.weight"}  # the pieces are made anew from the words


def test_keys_of_pairs_and_the_pairs_of_training_rows_by_hand() -> None:
    words = ["<pad>", "<unk>", "New", "York", "new", CLS]  # of forms 0, 1, 2, 3, 2 and, as the start of a row, 0
    phrases = PhraseEmbedding(words, NO_PAIRS, 8)
    assert phrases.lower.tolist() == [0, 1, 2, 3, 2, 0]
    assert phrases.pairs.dtype == torch.long  # keys outgrow what a float can hold
    assert [len(table.weight) for table in (phrases.words, phrases.forms, phrases.phrases)] == [6, 4, 0]
    rows = torch.tensor([[2, 3, 0], [3, 0, 0], [1, 4, 3]])  # New York; York; <unk> new York
    assert pair_keys(phrases.lower[rows], 4).tolist() == [[2, 2 * 4 + 3, 3 * 4], [3, 3 * 4, 0], [1, 4 + 2, 2 * 4 + 3]]
    assert word_pairs(words, rows).tolist() == [1, 2, 3, 6, 11]  # sorted, each once, none that ends in padding
    assert pair_keys(phrases.lower[torch.tensor([[5, 2, 3]])], 4).tolist() == [
        [0, 2, 11]
    ]  # behind <cls> as at the start


def test_only_pairs_of_the_training_rows_add_a_vector() -> None:
    words = ["<pad>", "<unk>", "New", "York", "new"]
    phrases = PhraseEmbedding(words, torch.tensor([2, 3, 11]), 2)  # New and York at the start, New York
    with torch.no_grad():
        phrases.words.weight.copy_(100.0 * torch.arange(5)[:, None] * torch.tensor([1, -1]))
        phrases.forms.weight.copy_(10.0 * torch.arange(4)[:, None] * torch.tensor([1, -1]))
        phrases.phrases.weight.copy_(torch.tensor([[1.0, -1.0], [2.0, -2.0], [3.0, -3.0]]))
    found = phrases(torch.tensor([[2, 3], [3, 2], [4, 3], [1, 3], [3, 3]]))
    assert found[..., 0].tolist() == [[221, 333], [332, 220], [421, 333], [110, 330], [332, 330]]
    assert torch.equal(found[..., 1], -found[..., 0])
    assert set(phrases.state_dict()) == {"words.weight", "forms.weight", "phrases.weight", "pairs"}


def test_without_pairs_there_are_words_and_forms() -> None:
    phrases = PhraseEmbedding(["<pad>", "<unk>", "New", "new"], NO_PAIRS, 4)
    ids = torch.tensor([[2, 3]])
    expected = torch.stack([phrases.words.weight[i] + phrases.forms.weight[2] for i in (2, 3)])
    assert torch.equal(phrases(ids), expected[None])


@pytest.mark.parametrize("settings", [{"phrases": True}, {"n_spellings": 5}, {}], ids=str)
def test_cls_is_a_word_after_the_vocabulary(settings: dict[str, Any]) -> None:
    embedding = classifier(replace(TINY, pooling="cls", **settings)).encoder.embedding
    assert (embedding.words if settings else embedding).num_embeddings == 24


# ------------------------------------------------------------------------------------------------------ whole models


@pytest.mark.parametrize(
    ("model", "settings", "n_parameters"),
    [
        (Classifier, {}, 576_339),
        (Classifier, {"batch_norm": True}, 576_539),
        (Decoder, {}, 943_611),
        (Decoder, {"ff_dim": 100}, 863_115),
    ],
)
def test_the_report_models_have_the_published_numbers_of_parameters(
    model: type[Model], settings: dict[str, Any], n_parameters: int
) -> None:
    words = [f"word{i}" for i in range(5755)]
    assert count_parameters(build(model, EitherConfig(**settings), words)) == n_parameters


def test_a_tied_decoder_has_no_output_weight_of_its_own() -> None:
    tied, free = decoder(replace(TINY, tied=True)), decoder(TINY)
    assert count_parameters(free) - count_parameters(tied) == 23 * 16
    assert set(free.state_dict()) - set(tied.state_dict()) == {"head.weight"}


def test_pooling_by_hand() -> None:
    hidden = torch.tensor([[[-3.0, -1.0], [-2.0, -5.0], [9.0, 9.0]], [[1.0, 2.0], [4.0, -2.0], [4.0, 3.0]]])
    expected = {
        "mean": [[4 / 3, 1], [3, 1]],
        "cls": [[-3, -1], [1, 2]],
        "masked-mean": [[-2.5, -3], [3, 1]],
        "mean-max": [[-2.5, -3, -2, -1], [3, 1, 4, 3]],
    }
    for pooling, rows in expected.items():
        model = classifier(replace(TINY, pooling=pooling))  # type: ignore[arg-type]
        torch.testing.assert_close(model.pool(hidden, torch.tensor([2, 3])), torch.tensor(rows, dtype=torch.float32))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_of_a_classifier_spreads_a_share_of_each_label_over_all_classes(smoothing: float) -> None:
    (ids, lengths), labels = batch(), torch.tensor([2, 0, 1])
    model = shaken(classifier(replace(TINY, pooling="mean-max")))
    log_p = model(ids, lengths).log_softmax(dim=-1)
    shares = torch.full((3, 3), smoothing / 3)
    shares[[0, 1, 2], labels] += 1 - smoothing
    torch.testing.assert_close(model.loss(ids, lengths, labels, smoothing), -(shares * log_p).sum(dim=-1).mean())
    if smoothing == 0:
        assert torch.equal(model.loss(ids, lengths, labels), model.loss(ids, lengths, labels, 0.0))


@pytest.mark.filterwarnings("error")  # torch only warns where a result does not fit the place it is to go to
@pytest.mark.parametrize("settings", [{}, {"tied": True}, {"tied": True, "n_spellings": 11}], ids=str)
@pytest.mark.parametrize("smoothed", [False, True])
@pytest.mark.parametrize("n_rows", [1, ROWS // 8, 2 * ROWS // 8 + 3])  # rows of 8: one part, or two and a smaller one
def test_the_loss_of_a_decoder_is_cross_entropy_forward_and_backward(
    n_rows: int, smoothed: bool, settings: dict[str, Any]
) -> None:
    ids, targets = torch.randint(2, 23, (2, n_rows, 8), generator=torch.Generator().manual_seed(3))
    prior, share = random(23).softmax(dim=0), random(n_rows, 8).sigmoid()
    target = F.one_hot(targets, 23).float()
    if smoothed:
        target = (1 - share)[..., None] * target + share[..., None] * prior
    found = []
    for fused in (True, False):
        model = shaken(decoder(replace(TINY, **settings), WORDS))
        if fused:
            loss = model.loss(ids, targets, prior, share) if smoothed else model.loss(ids, targets)
        else:
            loss = -(target * model(ids).log_softmax(dim=-1)).sum() / targets.numel()
        (3 * loss).backward()
        found.append((loss, gradients(model)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


BF16 = 2**-8  # how far a number is from its neighbour in bfloat16, as a share of it


@pytest.mark.parametrize("task", ["decoder", "smoothed decoder", "tied decoder", "classifier"])
def test_loss_and_gradient_in_bf16_are_close_to_those_in_float32(task: str) -> None:
    n_rows = ROWS // 8 + 3  # rows of 8: two parts
    ids, targets = torch.randint(2, 23, (2, n_rows, 8), generator=torch.Generator().manual_seed(3))
    smoothing = (random(23).softmax(dim=0), random(n_rows, 8).sigmoid()) if task == "smoothed decoder" else ()
    both = []
    for is_on in (True, False):
        if task == "classifier":
            model: nn.Module = shaken(classifier(TINY))
            arguments: tuple[Tensor, ...] = (ids, torch.full((n_rows,), 8), targets[:, 0] % 3)
        else:
            model, arguments = shaken(decoder(replace(TINY, tied=task == "tied decoder"))), (ids, targets, *smoothing)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_on):
            loss = model.loss(*arguments)  # type: ignore[operator]
        loss.backward()
        assert loss.dtype == torch.float32
        both.append((loss.item(), gradients(model)))
    (rounded, of_bf16), (exact, of_float32) = both
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=BF16)
    assert {gradient.dtype for gradient in of_bf16.values()} == {torch.float32}
    found, expected = (torch.cat([gradient.flatten() for gradient in one.values()]) for one in (of_bf16, of_float32))
    assert 0 < (found - expected).norm() < 8 * BF16 * expected.norm()


def test_in_bf16_only_the_products_of_the_output_layer_are_rounded() -> None:
    n = 2 * ROWS + 3  # two parts and a smaller one
    targets, prior, share = torch.randint(23, (n, 1)), random(23).softmax(dim=0), random(n, 1).sigmoid()
    x, weight, bias = (random(*size).requires_grad_() for size in ((n, 8), (23, 8), (23,)))
    for scale in (1, 0):  # with zeros, logits are the bias alone, which is not rounded: the loss is exact
        both = []
        for is_on in (True, False):
            with torch.autocast("cpu", torch.bfloat16, enabled=is_on):
                loss = linear_cross_entropy(scale * x, weight, bias, targets, prior, share)
            both.append((loss, torch.autograd.grad(loss, (x, weight, bias))))
        (rounded, of_bf16), (exact, of_float32) = both
        torch.testing.assert_close(rounded, exact, rtol=BF16 if scale else 1e-6, atol=0)
        for found, expected in zip(of_bf16, of_float32):
            assert found.dtype == torch.float32
            assert (found - expected).norm() <= 2 * BF16 * expected.norm()
            assert not scale or not torch.equal(found, expected)


@pytest.mark.parametrize("edit", [None, Record("weights")], ids=["PyTorch's kernel", "the formula"])
def test_attention_stays_in_float32_under_autocast(edit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    attention, seen = transformer.attention, list[torch.dtype]()

    def recorded(*given: Any) -> Tensor:
        found = attention(*given)
        seen.extend(tensor.dtype for tensor in (*given[:3], found))
        return found

    monkeypatch.setattr(transformer, "attention", recorded)
    with torch.autocast("cpu", torch.bfloat16):
        decoder(TINY)(torch.arange(2, 10)[None], edit=edit)
    assert set(seen) == {torch.float32}


def test_a_thread_that_reads_meanwhile_leaves_the_precision_of_this_one_alone() -> None:
    model, ids = decoder(TINY), torch.arange(2, 10)[None]

    def meanwhile(place: str, x: Tensor, **_: Any) -> Tensor:
        if place == "weights":
            thread = threading.Thread(target=model, args=(ids,))
            thread.start()
            thread.join()
        return x

    with torch.autocast("cpu", torch.bfloat16):
        assert model(ids, edit=meanwhile).dtype == model(ids).dtype == torch.bfloat16
        assert torch.is_autocast_enabled("cpu")


def test_the_loss_of_large_logits_is_finite() -> None:
    model = decoder(TINY)
    with torch.no_grad():
        model.head.bias[:2] = torch.tensor([2e4, 1e4])
    loss = model.loss(torch.tensor([[5]]), torch.tensor([[1]]))
    assert loss.item() == pytest.approx(1e4, rel=1e-3)
    x, weight = torch.tensor([[0.0], [1.0]]), torch.tensor([[1e4], [0.0]])  # logits 0, 0 and 10,000, 0
    loss = linear_cross_entropy(x, weight, torch.zeros(2), torch.tensor([[0], [1]]))
    assert loss.item() == pytest.approx((math.log(2) + 1e4) / 2)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("n_scored", [8, 3])
def test_nats_are_of_the_last_tokens_of_each_row(n_scored: int, tied: bool) -> None:
    ids, targets = torch.randint(2, 23, (2, 2 * ROWS // n_scored + 3, 8), generator=torch.Generator().manual_seed(3))
    targets = targets[:, :n_scored]
    model = shaken(decoder(replace(TINY, tied=tied)))
    expected = -model(ids).log_softmax(dim=-1)[:, 8 - n_scored :].gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(model.nats(ids, targets), expected)


def test_batch_norm_of_one_row_takes_the_running_statistics_and_leaves_them() -> None:
    layer, row = BatchNorm(2), torch.tensor([[5.0, 1.0]])
    layer.running_mean, layer.running_var = torch.tensor([1.0, 1.0]), torch.tensor([4.0, 1.0])
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([3.0, 1.0]))
        layer.bias.copy_(torch.tensor([10.0, 7.0]))
    torch.testing.assert_close(layer.train()(row), torch.tensor([[16.0, 7.0]]))  # 3 (5 - 1) / 2 + 10
    torch.testing.assert_close(layer.eval()(row), torch.tensor([[16.0, 7.0]]))
    assert layer.running_mean.tolist() == [1, 1]
    two = layer.train()(torch.tensor([[5.0, 1.0], [3.0, 1.0]]))
    torch.testing.assert_close(two, torch.tensor([[13.0, 7.0], [7.0, 7.0]]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.running_mean, torch.tensor([1.3, 1.0]))


# ---------------------------------------------------------------------------------------------------------- ensembles


def test_an_ensemble_averages_the_probabilities_of_classifiers_that_learn_each_on_its_own() -> None:
    config = replace(TINY, n_members=3, pooling="masked-mean")
    model: Any = shaken(classifier(config)).eval()
    (ids, lengths), labels = batch(), torch.tensor([0, 1, 2])
    members = [member(ids, lengths).softmax(dim=-1) for member in model.members]
    assert not torch.allclose(members[0], members[1], atol=0.01)
    torch.testing.assert_close(model(ids, lengths).exp(), sum(members) / 3)
    assert model.masks_padding
    loss = model.loss(ids, lengths, labels, 0.1)
    loss.backward()
    losses = []
    for member in model.members:
        own = classifier(replace(config, n_members=1))
        own.load_state_dict(member.state_dict())
        losses.append(own.loss(ids, lengths, labels, 0.1))
        losses[-1].backward()
        for ours, alone in zip(member.parameters(), own.parameters()):
            torch.testing.assert_close(ours.grad * 3, alone.grad)
    torch.testing.assert_close(loss, sum(losses) / 3)
    torch.testing.assert_close(model.loss(ids, lengths, labels), model.loss(ids, lengths, labels, 0.0))


def test_the_first_of_an_ensemble_is_the_classifier_of_its_seed_and_the_others_are_of_seeds_of_their_own() -> None:
    model: Any = classifier(replace(TINY, n_members=3), seed=5)
    members: list[Any] = list(model.members)
    assert len(members) == 3
    seeds = [5, derived_seed(5, "member", 1), derived_seed(5, "member", 2)]
    for member, seed in zip(members, seeds):
        torch.testing.assert_close(member.state_dict(), classifier(TINY, seed=seed).state_dict(), rtol=0, atol=0)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(members[one].head[0].weight, members[other].head[0].weight)
    alone = classifier(TINY, seed=5)
    assert type(alone) is Classifier
    torch.testing.assert_close(alone.state_dict(), members[0].state_dict(), rtol=0, atol=0)
    pair = classifier(replace(TINY, n_members=2))
    assert type(pair) is Vote
    torch.testing.assert_close(pair.members[0].state_dict(), classifier(TINY).state_dict(), rtol=0, atol=0)
    same: Any = pair.config
    torch.testing.assert_close(classifier(same).state_dict(), pair.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(classifier(TINY).state_dict(), classifier(TINY).state_dict(), rtol=0, atol=0)


def test_every_member_of_an_ensemble_gets_the_words() -> None:
    model: Any = classifier(replace(TINY, n_members=2, n_spellings=11), WORDS)
    assert [len(member.encoder.embedding.offsets) for member in model.members] == [23, 23]


# ----------------------------------------------------------------------------------------------------- initialisation

LARGE = EitherConfig(n_embd=32, n_layer=2, block_size=64, ff_dim=64, layer_scale=0.25, batch_norm=True)
MANY = ["<pad>", "<unk>", *(f"word{i}" for i in range(2, 600))]


def distance_from(values: Tensor, cumulative: Callable[[Tensor], Tensor]) -> float:
    """How far the distribution of `values` is from a known one (Kolmogorov and Smirnov), in units of what chance gives:
    above 2 once in 1,500 times."""
    ordered, n = values.detach().flatten().double().sort().values, values.numel()
    share = torch.arange(1, n + 1) / n
    return math.sqrt(n) * (share - cumulative(ordered)).abs().max().item()


def is_normal(values: Tensor, deviation: float) -> bool:
    return distance_from(values, lambda x: (1 + torch.erf(x / deviation / 2**0.5)) / 2) < 2


def is_uniform(values: Tensor, bound: float) -> bool:
    return distance_from(values, lambda x: (x + bound) / (2 * bound)) < 2 and bool(values.abs().max() <= bound)


@pytest.mark.parametrize(
    ("model", "settings"),
    [(Decoder, {}), (Decoder, {"tied": True, "n_spellings": 300, "batch_norm": False, "positions": "t5"})]
    + [(Classifier, {}), (Classifier, {"phrases": True, "head_dim": 0, "batch_norm": False})],
    ids=str,
)
@pytest.mark.parametrize("initialisation", ["normal", "pytorch", "normal-embeddings"])
def test_weights_start_as_the_recipe_says(initialisation: Any, model: type[Model], settings: dict[str, Any]) -> None:
    config = replace(LARGE, initialisation=initialisation, **settings)
    pairs = {"pairs": torch.arange(300)} if config.phrases else {}
    built: Any = (decoder if model is Decoder else classifier)(config, MANY, 1, **pairs)
    kinds = set()
    for name, module in built.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if isinstance(module, nn.Embedding):
            assert is_normal(own["weight"], 1.0 if initialisation == "pytorch" else 0.02), name
        elif isinstance(module, nn.Linear | OutputLayer):
            for kind, parameter in own.items():
                if initialisation != "normal":
                    assert is_uniform(parameter, 1 / math.sqrt(module.in_features)), name
                elif kind == "weight":
                    assert is_normal(parameter, 0.02), name
                else:
                    assert torch.equal(parameter, torch.zeros_like(parameter)), name
        elif isinstance(module, nn.LayerNorm | nn.BatchNorm1d):
            assert own["weight"].unique().tolist() == [1]
            assert own["bias"].unique().tolist() == [0]
        elif own:
            assert set(own) == {"scale"}
            assert own["scale"].unique().tolist() == [0.25]
        kinds |= {type(module)} if own else set()
    assert kinds >= {nn.Embedding, nn.Linear, nn.LayerNorm, Branch}


def drawn(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that start at random."""
    return {name: value.detach() for name, value in model.named_parameters() if value.unique().numel() > 2}


def correlation(one: Tensor, other: Tensor) -> float:
    """In units of what chance gives."""
    return abs(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].item()) * math.sqrt(one.numel())


@pytest.mark.parametrize("initialisation", ["normal", "pytorch", "normal-embeddings"])
@pytest.mark.parametrize("kind", [Classifier, Decoder])
def test_a_seed_decides_where_weights_start_and_no_two_tables_start_alike(
    kind: type[Model], initialisation: Any
) -> None:
    config = replace(LARGE, initialisation=initialisation, layer_scale=None, batch_norm=False)
    first, again, other = (drawn(build(kind, config, MANY, seed)) for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    torch.testing.assert_close(first, drawn(build(kind, config, MANY)), rtol=0, atol=0)
    n_biases = 0 if initialisation == "normal" else 8 if kind is Classifier else 7
    assert len(first) == 2 + 2 * 4 + (2 if kind is Classifier else 1) + n_biases
    tables = [*first.values(), *other.values()]
    for number, one in enumerate(tables):
        for two in tables[:number]:
            size = min(one.numel(), two.numel())
            if size > 20:
                assert correlation(one.flatten()[:size], two.flatten()[:size]) < 4.5


def test_each_parameter_is_drawn_by_a_generator_of_its_seed_and_name() -> None:
    model = classifier(replace(TINY, initialisation="normal"), seed=7)
    for name in ("encoder.embedding.weight", "encoder.blocks.1.attention.qkv.weight", "head.4.weight"):
        value = model.get_parameter(name)
        expected = torch.empty_like(value).normal_(std=0.02, generator=generator(7, "initialisation", name))
        assert torch.equal(value, expected)


VARIANTS: list[dict[str, Any]] = [
    *({"positions": positions} for positions in POSITIONS if positions != "learned"),
    *({name: 0.3} for name in ("dropout", "embedding_dropout", "drop_path", "layer_scale")),
    *({"norm": norm} for norm in ("pre", "none")),
    {"n_head": 4},
    {"n_layer": 1},
    {"n_layer": 3},
    {"ff_dim": 0},
    {"window": 3},
    {"activation": "gelu"},
]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        *((Classifier, settings) for settings in VARIANTS),
        *((Decoder, settings) for settings in VARIANTS),
        (Classifier, {"batch_norm": True}),
        (Classifier, {"pooling": "masked-mean"}),
        (Decoder, {"tied": True}),
    ],
    ids=str,
)
def test_models_of_one_seed_share_all_that_they_have_in_common(kind: type[Model], settings: dict[str, Any]) -> None:
    base, variant = (
        dict(build(kind, config, seed=3).named_parameters()) for config in (TINY, replace(TINY, **settings))
    )
    common = base.keys() & variant.keys()
    assert len(common) >= min(len(base), len(variant)) - 1  # all but a table of positions of its own
    for name in common:
        if base[name].shape == variant[name].shape:
            assert torch.equal(base[name], variant[name]), name
        else:
            assert name == "positions.table.weight" or name == "encoder.positions.table.weight"


# ----------------------------------------------------------------------------------------------------------- refusals

LIMITS: list[tuple[str, tuple[str, ...], dict[float, bool]]] = [
    ("from 0 to 1000", ("n_layer",), {-1: False, 0: True, 1001: False}),
    ("from 1 to 1000", ("n_members",), {0: False, -3: False, 1: True, 1001: False}),
    (
        "at least 1",
        ("n_embd", "n_head", "block_size"),
        {0: False, -3: False, 1: True},
    ),
    (
        "at least 0",
        ("window", "alibi_slope_scale", "n_spellings", "ff_dim", "head_dim") + ("layer_scale",),
        {-1: False, 0: True},
    ),
    (
        "from 0 to below 1",
        ("dropout", "embedding_dropout", "drop_path"),
        {-0.1: False, 1.0: False, math.nan: False, math.inf: False, 0.0: True, 0.999: True},
    ),
]


@pytest.mark.parametrize(
    ("name", "value", "rule", "legal"),
    [(name, value, rule, legal) for rule, names, values in LIMITS for name in names for value, legal in values.items()],
)
def test_sizes_and_rates_have_limits(name: str, value: float, rule: str, legal: bool) -> None:
    base = replace(TINY, n_head=1, positions="none" if name == "n_layer" else "alibi")
    if legal:
        assert getattr(replace(base, **{name: value}), name) == value  # type: ignore[arg-type]
        return
    with pytest.raises(UserError) as caught:
        replace(base, **{name: value})  # type: ignore[arg-type]
    assert str(caught.value) == f"{name} is {value}; it must be {rule}"


@pytest.mark.parametrize(
    ("settings", "complaint", "neighbour"),
    [
        ({"n_head": 3}, "n_embd 16 is not a multiple of n_head 3", {"n_head": 4}),
        (
            {"n_head": 16, "positions": "rope"},
            "rotary positions need an even head size, not 1",
            {"n_head": 8, "positions": "rope"},
        ),
        (
            {"n_embd": 15, "n_head": 1, "positions": "sinusoidal"},
            "sinusoidal positions need an even n_embd, not 15",
            {"n_embd": 15, "n_head": 1},
        ),
        (
            {"batch_norm": True, "head_dim": 0},
            "batch_norm stands after the first of two layers of the head, and head_dim 0 has one layer",
            {"batch_norm": True, "head_dim": 1},
        ),
        (
            {"phrases": True, "n_spellings": 1},
            "phrases and n_spellings are two kinds of word vectors; choose one",
            {"phrases": True, "n_spellings": 0},
        ),
        *(
            (
                {"n_layer": 0, "positions": positions},
                f"positions {positions} does nothing without a layer; set n_layer above 0, or leave it out",
                {"n_layer": 1, "positions": positions},
            )
            for positions in ("alibi", "rope", "t5")
        ),
        *(
            (
                {"n_layer": 0, name: value},
                f"{name} does nothing without a layer; set n_layer above 0, or leave it out",
                {"n_layer": 1, name: value},
            )
            for name, value in (("window", 0), ("drop_path", 0.1), ("layer_scale", 0.0))
        ),
        *(
            (
                {name: value, "positions": "rope"},
                f"{name} does nothing with rope positions; choose alibi, or leave it out",
                {name: value, "positions": "alibi"},
            )
            for name, value in (("alibi_slope_scale", 2.0), ("alibi_one_sided", True))
        ),
        (
            {"alibi_one_sided": True, "positions": "alibi", "n_head": 1},
            "alibi_one_sided needs heads that look back and heads that look ahead; set n_head above 1",
            {"positions": "alibi", "n_head": 1},
        ),
        *(
            (
                {"activation": "gelu", **without},
                "activation does nothing without a feed-forward network; set ff_dim above 0, or leave it out",
                {"activation": "relu", **without},
            )
            for without in ({"ff_dim": 0}, {"n_layer": 0})
        ),
        ({"layer_scale": math.nan}, "layer_scale is nan; it must be at least 0", {"layer_scale": 1.0}),
        ({"n_layer": 0, "positions": "none", "window": -1}, "window is -1; it must be at least 0", {"n_layer": 0}),
    ],
    ids=str,
)
def test_an_architecture_that_cannot_be_is_refused_and_its_neighbour_is_not(
    settings: dict[str, Any], complaint: str, neighbour: dict[str, Any]
) -> None:
    with pytest.raises(UserError) as caught:
        replace(TINY, **settings)
    assert str(caught.value) == complaint
    assert replace(TINY, **neighbour)


def test_without_a_layer_absolute_positions_are_legal() -> None:
    for positions in ("learned", "sinusoidal", "none"):
        assert replace(TINY, n_layer=0, positions=positions).n_layer == 0


def test_the_default_architecture_is_the_report_one() -> None:
    assert vars(EitherConfig()) == {
        **{"n_embd": 64, "n_head": 2, "n_layer": 4, "block_size": 32},
        **{"ff_dim": 256, "positions": "learned", "alibi_slope_scale": 1.0, "alibi_one_sided": False, "window": None},
        **{"norm": "post", "activation": "relu", "dropout": 0.0, "embedding_dropout": 0.0, "drop_path": 0.0},
        **{"layer_scale": None, "pooling": "mean", "head_dim": 100, "batch_norm": False, "n_members": 1},
        **{"tied": False, "n_spellings": 0, "ngram_share": 0.0, "voices": False, "phrases": False},
        **{"initialisation": "normal"},
    }
