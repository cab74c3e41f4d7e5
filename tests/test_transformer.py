"""The transformer agrees with a slow one, written out token by token, with PyTorch's parts, and with sums by hand."""

import cmath
import math
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import modules.layers
from common.files import UserError
from common.randomness import derived_seed, generator
from modules.config import ClassifierConfig, DecoderConfig, PositionMethod
from modules.cross_entropy import ROWS, linear_cross_entropy
from modules.hook_point import HookPoint, hook_points, hooked
from modules.layers import BatchNorm, Branch, drop
from modules.word_vectors import NO_PAIRS, PhraseEmbedding, SpelledEmbedding, character_ngrams, pair_keys, word_pairs
from training.weights import count_parameters
from transformer import (
    MASKED,
    Block,
    Classifier,
    Context,
    Decoder,
    KeyValueCache,
    Positions,
    SelfAttention,
    T5Positions,
    Transformer,
    Vote,
    alibi_slopes,
    build_classifier,
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
every_position_method = pytest.mark.parametrize("positions", POSITIONS)
both_paths = pytest.mark.parametrize("is_explicit", [False, True], ids=["kernel", "formula"])
both_directions = pytest.mark.parametrize("causal", [False, True], ids=["encoder", "decoder"])


def decoder(config: EitherConfig, words: list[str] = WORDS, seed: int = 0) -> Decoder:
    return Decoder(config, words, seed)


def classifier(config: EitherConfig, words: list[str] = WORDS, seed: int = 0, pairs: Tensor = NO_PAIRS) -> Any:
    return build_classifier(config, words, 3, seed, pairs)


def encoder(config: EitherConfig) -> Transformer:
    return Transformer(config, nn.Embedding(23, 16), causal=False)


@contextmanager
def maps_of(model: nn.Module, is_wanted: bool = True) -> Iterator[list[Tensor]]:
    """Within it, attention is computed by the formula, and its weights are kept, layer after layer."""
    maps: list[Tensor] = []
    names = hook_points(model, "weights") if is_wanted else []
    with hooked(model, names, lambda weights, name: maps.append(weights)):
        yield maps


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
            grams = ngrams(WORDS[i])
            rows = [self.weights["embedding.spellings.weight"][crc % self.config.n_spellings] for crc in grams]
            spelled = sum(rows, torch.zeros(())) / math.sqrt(max(1, len(rows)))
            return self.weights["embedding.words.weight"][i] + spelled
        if self.config.phrases:
            forms = list(dict.fromkeys(lower(word) for word in WORDS))
            form = self.weights["embedding.forms.weight"][forms.index(lower(WORDS[i]))]
            return self.weights["embedding.words.weight"][i] + form
        return self.weights["embedding.weight"][i]

    def token(self, ids: list[int], t: int) -> Tensor:
        """The vector with which the token at place `t` enters the first block."""
        x = self.word(ids[t])
        if self.config.phrases:
            pair = ("" if t == 0 else lower(WORDS[ids[t - 1]]), lower(WORDS[ids[t]]))
            if pair in self.pairs:
                forms = ["", *dict.fromkeys(lower(word) for word in WORDS if lower(word))]
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

    def sees(self, query: int, key: int, n_visible: int) -> bool:
        is_near = self.config.window is None or abs(query - key) <= self.config.window
        return key < n_visible and is_near and (key <= query or not self.causal)

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
                seen = [key for key in range(len(x)) if self.sees(t, key, n_visible)]
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
    """The form under which a word shares its vectors; padding is the start of a row."""
    return "" if word == "<pad>" else word.lower()


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
    ("classifier", {"pooling": "masked-mean", "n_spellings": 11, "window": 3, "norm": "pre"}),
    ("classifier", {"pooling": "mean-max", "phrases": True, "ff_dim": 0, "norm": "none", "head_dim": 0}),
    ("classifier", {"positions": "alibi", "n_head": 4}),
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
        for is_explicit in (False, True):
            with maps_of(model, is_explicit) as maps:
                logits = model(*inputs)
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
            found = torch.autograd.grad((logits * towards).sum(), model.parameters())
            largest = max(gradient.abs().max().item() for gradient in expected_gradients)
            torch.testing.assert_close(found, expected_gradients, rtol=1e-3, atol=1e-4 * largest)
        for weights, heads in zip(maps, slow.maps, strict=True):  # of the last row
            torch.testing.assert_close(weights[-1], torch.stack([torch.stack(head) for head in heads]))


# ---------------------------------------------------------------------------------------------------------- attention


@both_directions
@both_paths
def test_attention_is_that_of_pytorch(causal: bool, is_explicit: bool) -> None:
    layer, x = shaken(SelfAttention(replace(TINY, n_head=4))), random(3, 8, 16).requires_grad_()
    reference = nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(layer.qkv.weight)
        reference.out_proj.load_state_dict(layer.projection.state_dict())
    mask = torch.ones(8, 8).triu(1).bool() if causal else None
    with maps_of(layer, is_explicit) as maps:
        output = layer(x, Context(None if mask is None else torch.zeros(8, 8).masked_fill(mask, MASKED)))
    expected, expected_weights = reference(x, x, x, attn_mask=mask, average_attn_weights=False)
    torch.testing.assert_close(output, expected)
    if is_explicit:
        torch.testing.assert_close(maps, [expected_weights])
    ours = torch.autograd.grad(output.square().sum(), [x, layer.qkv.weight, layer.projection.weight])
    theirs = [x, reference.in_proj_weight, reference.out_proj.weight]
    torch.testing.assert_close(ours, torch.autograd.grad(expected.square().sum(), theirs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_block_is_that_of_pytorch(norm: Any, activation: Any) -> None:
    block, x = shaken(Block(replace(TINY, norm=norm, activation=activation))), random(3, 8, 16)
    reference = nn.TransformerEncoderLayer(
        16, 2, 24, dropout=0.0, activation=activation, batch_first=True, norm_first=norm == "pre"
    )
    with torch.no_grad():
        reference.self_attn.in_proj_weight.copy_(block.attention.qkv.weight)
        reference.self_attn.in_proj_bias.zero_()
    for ours, theirs in [
        (block.attention.projection, reference.self_attn.out_proj),
        (block.feed_forward[0], reference.linear1),
        (block.feed_forward[3], reference.linear2),
        (block.norm1, reference.norm1),
        (block.norm2, reference.norm2),
    ]:
        theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(block(x, Context()), reference(x))


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, is_explicit: bool = False) -> Tensor:
    layer = SelfAttention(TINY)
    with maps_of(layer, is_explicit):
        return layer.attend(q, k, v, bias)


@both_paths
def test_the_softmax_of_two_scores_by_hand(is_explicit: bool) -> None:
    q, k = torch.tensor([[[[2.0, 0.0, 0.0, 0.0]]]]), torch.tensor([[[[math.log(3), 5.0, 5.0, 5.0], [0.0] * 4]]])
    v, bias = torch.tensor([[[[8.0], [4.0]]]]), torch.tensor([0.0, math.log(2)])
    # scores log(3) and 0: shares 3/4 and 1/4; with the bias, 3/5 and 2/5
    assert attend(q, k, v, None, is_explicit).item() == pytest.approx(7)
    assert attend(q, k, v, bias[None, None, None], is_explicit).item() == pytest.approx(0.6 * 8 + 0.4 * 4)


@both_paths
def test_what_is_masked_has_no_weight_however_high_its_score_and_a_row_of_nothing_is_uniform(is_explicit: bool) -> None:
    q, k, v = torch.full((1, 1, 1, 4), 1e4), random(1, 1, 3, 4).abs(), torch.tensor([[[[1.0], [2.0], [6.0]]]])
    assert attend(q, k, v, torch.tensor([[[[MASKED, 0.0, MASKED]]]]), is_explicit).item() == 2
    assert attend(q, k, v, torch.full((1, 1, 1, 3), MASKED), is_explicit).item() == 3


def test_the_kernel_of_pytorch_computes_where_nobody_looks_inside_and_nothing_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, kernel = [], F.scaled_dot_product_attention

    def counted(*arguments: Any, **named: Any) -> Tensor:
        calls.append(named)
        return kernel(*arguments, **named)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)

    def n_calls(model: Any, *hooks: str) -> int:
        calls.clear()
        names = [name for hook in hooks for name in hook_points(model, hook)]
        with hooked(model, names, lambda x, name: None):
            model(*(batch() if not isinstance(model, Decoder) else batch()[:1]))
        return len(calls)

    plain, drops = decoder(TINY).eval(), decoder(replace(TINY, dropout=0.1))
    assert n_calls(plain) == n_calls(plain, "residual", "heads", "update", "token_vectors") == 2
    assert n_calls(plain, "scores") == n_calls(plain, "weights") == 0
    assert n_calls(plain, "blocks.1.attention.scores") == 1
    assert n_calls(drops.train()) == 0
    assert n_calls(drops.eval()) == n_calls(classifier(TINY)) == 2
    assert n_calls(classifier(replace(TINY, n_members=2))) == 4


def test_attention_stays_in_float32_under_autocast_on_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    attend, model, ids = SelfAttention.attend, decoder(TINY), torch.arange(2, 10)[None]
    dtypes, types, autocast = list[torch.dtype](), list[str](), torch.autocast

    def recorded(layer: SelfAttention, *given: Any) -> Tensor:
        heads = attend(layer, *given)
        dtypes.extend(tensor.dtype for tensor in (*given[:3], heads))
        return heads

    monkeypatch.setattr(SelfAttention, "attend", recorded)
    for is_explicit in (False, True):
        with torch.autocast("cpu", torch.bfloat16), maps_of(model, is_explicit) as maps:
            assert model(ids).dtype == torch.bfloat16
        dtypes += [weights.dtype for weights in maps]
    assert set(dtypes) == {torch.float32}

    def noted(device: str, *given: Any, **named: Any) -> Any:
        types.append(device)
        return autocast("cpu", *given, **named)

    monkeypatch.setattr(torch, "autocast", noted)  # of a device that is not here only the name can be seen
    model.to("meta")(ids.to("meta"))
    assert types == ["meta", "meta"]


# -------------------------------------------------------------------------------------------------------- hook points


def shapes_of(model: nn.Module, *inputs: Tensor) -> dict[str, tuple[int, ...]]:
    """The shape of what passes each hook point, in the order in which it does."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(x: Tensor, name: str) -> None:
        assert name not in shapes
        shapes[name] = tuple(x.shape)

    with hooked(model, hook_points(model), note):
        model(*inputs)
    return shapes


def test_hook_points_have_names_that_last() -> None:
    """Others rely on these: lessons, studies, and whoever registers hooks of their own."""
    (ids, lengths), wide, square = batch(), (3, 6, 16), (3, 2, 6, 6)
    expected: dict[str, tuple[int, ...]] = {"token_vectors": wide, "residual": wide}
    for layer in (0, 1):
        expected |= {f"blocks.{layer}.attention.{name}": square for name in ("scores", "weights")}
        expected[f"blocks.{layer}.attention.heads"] = (3, 2, 6, 8)
        expected |= {f"blocks.{layer}.{name}": wide for name in ("feed_forward.update", "residual")}
    found = shapes_of(decoder(TINY), ids)
    assert list(found.items()) == list(expected.items())
    in_encoder = {f"encoder.{name}": shape for name, shape in expected.items()}
    assert shapes_of(classifier(TINY), ids, lengths) == in_encoder
    votes = {f"members.{member}.{name}": shape for member in range(3) for name, shape in in_encoder.items()}
    assert shapes_of(classifier(replace(TINY, n_members=3)), ids, lengths) == votes
    assert "blocks.0.feed_forward.update" not in shapes_of(decoder(replace(TINY, ff_dim=0, n_layer=1)), ids)


def test_what_passes_is_what_the_layers_make_of_it() -> None:
    model, (ids, _), passed = shaken(decoder(TINY)), batch(), dict[str, Tensor]()
    with hooked(model, hook_points(model), lambda x, name: passed.update({name: x})):
        logits = model(ids)
    torch.testing.assert_close(passed["token_vectors"], model.embedding(ids))
    torch.testing.assert_close(passed["residual"], model.embedding(ids) + model.positions.table.weight[:6])
    block, before = model.blocks[1], "blocks.1.attention"
    torch.testing.assert_close(passed[f"{before}.scores"].softmax(dim=-1), passed[f"{before}.weights"])
    _, _, v = block.attention.qkv(passed["blocks.0.residual"]).unflatten(-1, (6, 8)).transpose(1, 2).chunk(3, dim=1)
    torch.testing.assert_close(passed[f"{before}.weights"] @ v, passed[f"{before}.heads"])
    attended = block.attention.projection(passed[f"{before}.heads"].transpose(1, 2).flatten(2))
    x = block.norm1(passed["blocks.0.residual"] + attended)
    torch.testing.assert_close(block.norm2(x + passed["blocks.1.feed_forward.update"]), passed["blocks.1.residual"])
    torch.testing.assert_close(model.head(passed["blocks.1.residual"]), logits)


@pytest.mark.parametrize("place", ["residual", "attention.weights", "attention.heads", "feed_forward.update"])
def test_the_forward_pass_goes_on_with_what_a_hook_returns(place: str) -> None:
    """Zeros in the second layer: as if what made them had no weights."""
    model, (ids, lengths) = shaken(classifier(replace(TINY, pooling="masked-mean"))), batch()
    name = "encoder.residual" if place == "residual" else f"encoder.blocks.1.{place}"
    plain = model(ids, lengths)
    with hooked(model, [name], lambda x, name: torch.zeros_like(x)):
        replaced = model(ids, lengths)
    assert not torch.allclose(replaced, plain, atol=1e-3)
    assert torch.equal(model(ids, lengths), plain)  # the hook is off again
    block: Any = model.encoder.blocks[1]
    with torch.no_grad():
        if place == "residual":
            model.encoder.embedding.weight.zero_()
            model.encoder.positions.table.weight.zero_()
        elif place == "feed_forward.update":
            block.feed_forward[3].weight.zero_()
            block.feed_forward[3].bias.zero_()
        else:
            block.attention.qkv.weight[32:].zero_()  # values
    torch.testing.assert_close(model(ids, lengths), replaced)


def test_a_hook_of_pytorch_s_own_reads_replaces_and_differentiates() -> None:
    model, (ids, _), passed = decoder(TINY), batch(), list[Tensor]()
    point = dict(model.named_modules())["blocks.0.attention.scores"]
    assert isinstance(point, HookPoint)
    assert not point.is_hooked
    handle = point.register_forward_hook(lambda _module, _inputs, output: passed.append(output))
    assert point.is_hooked
    logits = model(ids)
    (gradient,) = torch.autograd.grad(logits[:, -1, 5].sum(), passed)
    handle.remove()
    assert not point.is_hooked
    direction = random(*gradient.shape)
    with hooked(model, ["blocks.0.attention.scores"], lambda scores, name: scores + 1e-2 * direction):
        moved = model(ids)[:, -1, 5].sum() - logits[:, -1, 5].sum()
    assert moved.item() == pytest.approx(1e-2 * (gradient * direction).sum().item(), rel=0.05)


def test_hooks_come_off_after_an_error_and_a_wrong_name_is_told() -> None:
    model, (ids, _) = decoder(TINY), batch()

    def fails(x: Tensor, name: str) -> None:
        raise RuntimeError(name)

    with pytest.raises(RuntimeError, match=r"blocks\.1\.residual"), hooked(model, ["blocks.1.residual"], fails):
        model(ids)
    with pytest.raises(AttributeError, match="wrights"), hooked(model, ["blocks.0.attention.wrights"], fails):
        pass
    assert model(ids).isfinite().all()


def test_a_hook_sees_its_own_thread_alone() -> None:
    """The page to play with reads with one model in several threads."""
    model, ids, seen = decoder(TINY), torch.arange(2, 10)[None], list[int]()

    def meanwhile(x: Tensor, name: str) -> None:
        seen.append(threading.get_ident())
        thread = threading.Thread(target=model, args=(ids,))
        thread.start()
        thread.join()

    with torch.autocast("cpu", torch.bfloat16), hooked(model, ["blocks.0.attention.weights"], meanwhile):
        assert model(ids).dtype == torch.bfloat16  # the other thread leaves the precision of this one alone
        assert torch.is_autocast_enabled("cpu")
    assert seen == [threading.get_ident()]


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
    assert drop(x, 0.0) is x


@pytest.mark.parametrize(
    ("rate", "k"), [(1e-6, 0), (1.49 / 65536, 1), (1.51 / 65536, 2), (1 - 2**-15, 65534), (1 - 1e-9, 65535)]
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


@pytest.mark.parametrize(
    ("kind", "settings", "rates"),
    [
        (Decoder, {}, {"dropout": 0.4}),
        (Classifier, {}, {"encoder.dropout": 0.4, "head.3": 0.3}),
        (Classifier, {"head_dim": 0}, {"encoder.dropout": 0.4, "head.0": 0.3}),
    ],
)
def test_dropout_reaches_each_of_its_layers_in_training_with_masks_that_differ(
    kind: type[Model], settings: dict[str, Any], rates: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, (ids, lengths) = replace(TINY, dropout=0.3, embedding_dropout=0.4, **settings), batch()
    model: Any = build(kind, config).train()
    inputs = (ids,) if kind is Decoder else (ids, lengths)
    trunk = "" if kind is Decoder else "encoder."
    layers = ("branch1.dropout", "branch2.dropout", "feed_forward.2", "attention.dropout")
    rates |= {f"{trunk}blocks.{block}.{layer}": 0.3 for block in range(2) for layer in layers}
    assert {name: layer.p for name, layer in model.named_modules() if isinstance(layer, nn.Dropout)} == rates
    masks: list[tuple[Tensor, float]] = []

    def recording(x: Tensor, rate: float) -> Tensor:
        masks.append(((drop(torch.ones_like(x), rate) == 0).flatten(), rate))
        return x

    monkeypatch.setattr(modules.layers, "drop", recording)
    model(*inputs)
    assert sorted(rate for _, rate in masks) == sorted(rates.values())  # each layer once
    for number, (mask, _) in enumerate(masks):
        assert not any(torch.equal(mask, other) for other, _ in masks[:number])
    masks.clear()
    with maps_of(model.eval()):
        model(*inputs)
    assert not masks


def test_dropout_is_of_the_attention_weights_and_the_maps_show_them_before_it() -> None:
    layer, x = SelfAttention(replace(TINY, dropout=0.4)).train(), random(3, 6, 16)
    with maps_of(layer) as maps:
        torch.manual_seed(3)
        output = layer(x, Context())
    _, _, v = layer.qkv(x).unflatten(-1, (6, 8)).transpose(1, 2).chunk(3, dim=1)
    torch.manual_seed(3)
    torch.testing.assert_close(output, layer.projection((drop(maps[0], 0.4) @ v).transpose(1, 2).flatten(2)))
    torch.testing.assert_close(maps[0].sum(dim=-1), torch.ones(3, 2, 6))


def test_where_all_is_dropped_the_residual_stream_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules.layers, "drop", lambda x, rate: torch.zeros_like(x))
    x = random(3, 5, 16)
    for norm in ("none", "pre", "post"):
        block = shaken(Block(replace(TINY, dropout=0.1, norm=norm))).train()
        expected = block.norm2(block.norm1(x)) if norm == "post" else x
        assert torch.equal(block(x, Context()), expected)
    for head_dim in (0, 12):
        model: Any = shaken(classifier(replace(TINY, dropout=0.1, head_dim=head_dim))).train()
        assert torch.equal(model(*batch()), model.head[-1].bias.expand(3, 3))


def test_only_the_dropped_part_of_the_feed_forward_network_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    block, x = shaken(Block(replace(TINY, norm="none"))), random(3, 5, 16)
    attended = x + block.attention(x, Context())
    hidden = block.feed_forward[0](attended).relu()
    monkeypatch.setattr(
        modules.layers, "drop", lambda x, rate: x * (torch.arange(x.size(-1)) % 2) if x.size(-1) == 24 else x
    )
    hidden[..., ::2] = 0.0
    torch.testing.assert_close(block.train()(x, Context()), attended + block.feed_forward[3](hidden))


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
    again = branch(x)[:, 0, 0] == 0  # anew each time, so that each branch skips rows of its own
    assert (skipped & again).double().mean().item() == pytest.approx(0.75**2, abs=0.03)
    assert torch.equal(branch.eval()(x), x)


def test_without_dropout_training_draws_no_random_number() -> None:
    for model, inputs in ((decoder(TINY), batch()[:1]), (classifier(TINY), batch())):
        state = torch.get_rng_state()
        trained = model.train()(*inputs)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(model.eval()(*inputs), trained)


# -------------------------------------------------------------------------------------------------- who sees whom


M = MASKED


def keep(kept: list[Tensor], x: Tensor, name: str) -> None:
    kept.append(x)


def bias_of(
    config: EitherConfig,
    causal: bool,
    n_tokens: int,
    start: int = 0,
    window: int | None = None,
    lengths: Tensor | None = None,
) -> Any:
    """The attention bias of `n_tokens` that follow `start` others, as lists."""
    trunk = Transformer(config, nn.Identity(), causal)
    bias = trunk.attention_bias(torch.arange(start, start + n_tokens), start + n_tokens, lengths, window)
    return None if bias is None else bias.tolist()


@both_directions
@pytest.mark.parametrize("window", [None, 0, 1, 3])
def test_the_bias_masks_the_future_and_what_is_past_the_window(causal: bool, window: int | None) -> None:
    bias = bias_of(replace(TINY, positions="none"), causal, 6, window=window)
    if window is None and not causal:
        assert bias is None
        return
    reach = 6 if window is None else window
    assert bias == [
        [[[0 if abs(i - j) <= reach and (j <= i or not causal) else M for j in range(6)] for i in range(6)]]
    ]


def test_the_bias_of_tokens_that_follow_a_cache_and_of_padding_by_hand() -> None:
    none = replace(TINY, positions="none")
    assert bias_of(none, True, 2, start=2) == [[[[0, 0, 0, M], [0, 0, 0, 0]]]]
    assert bias_of(none, True, 2, start=2, window=1) == [[[[M, 0, 0, M], [M, M, 0, 0]]]]
    assert bias_of(none, True, 1, start=3) is None  # a single new token sees all before it
    assert bias_of(none, True, 1, start=3, window=2) == [[[[M, 0, 0, 0]]]]
    assert bias_of(none, False, 3, lengths=torch.tensor([3, 1])) == [[[[0, 0, 0]] * 3], [[[0, M, M]] * 3]]


@both_paths
@pytest.mark.parametrize("window", [None, 2])
@every_position_method
def test_the_decoder_is_causal_by_gradient_and_the_encoder_sees_both_sides(
    positions: Any, window: int | None, is_explicit: bool
) -> None:
    config = replace(TINY, positions=positions, window=window)
    ids = torch.randint(2, 23, (2, 8), generator=torch.Generator().manual_seed(1))
    reach = 8 if window is None else 2 * 2  # a window of 2 in each of 2 layers
    for causal in (True, False):
        trunk, tokens = shaken(Transformer(config, nn.Embedding(23, 16), causal)), list[Tensor]()
        with hooked(trunk, ["residual"], partial(keep, tokens)), maps_of(trunk, is_explicit):
            output = trunk.read(trunk.embedding(ids))
        for t in range(8):
            (gradient,) = torch.autograd.grad(output[:, t].square().sum(), tokens, retain_graph=True)
            is_felt = gradient.abs().sum(dim=(0, 2)) > 0  # (T,)
            assert is_felt.tolist() == [abs(t - i) <= reach and (i <= t or not causal) for i in range(8)]


@pytest.mark.parametrize("pooling", ["masked-mean", "mean-max"])
@pytest.mark.parametrize(
    "settings", [{"positions": positions} for positions in POSITIONS] + [{"window": 2}, {"n_spellings": 9}], ids=str
)
def test_padding_and_the_rest_of_the_batch_change_nothing(pooling: Any, settings: dict[str, Any]) -> None:
    model, (ids, lengths) = shaken(classifier(replace(TINY, pooling=pooling, **settings))), batch()
    assert model.masks_padding
    together = model(ids, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(ids[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)


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
def test_all_that_a_model_computes_is_on_the_device_of_its_input(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *given, **named: nullcontext())  # which "meta" does not have
    ids, lengths = (tensor.to("meta") for tensor in batch())  # a device that refuses to meet another
    model: Any = decoder(replace(TINY, **settings)).to("meta")
    for is_explicit in (False, True):
        with maps_of(model, is_explicit):
            assert (model(ids).shape, model(ids).device.type) == ((3, 6, 23), "meta")
    for pooling in ("mean", "masked-mean", "mean-max"):
        model = classifier(replace(TINY, pooling=pooling, **settings)).to("meta")
        for is_explicit in (False, True):
            with maps_of(model, is_explicit):
                output = model(ids, lengths)
            assert (output.shape, output.device.type) == ((3, 3), "meta")


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("n_read", [1, 3])
@every_position_method
def test_a_key_value_cache_changes_nothing(positions: Any, window: int | None, n_read: int) -> None:
    n_tokens = 8 if positions == "learned" else 20  # past the block, where the table of learned positions ends
    model = shaken(decoder(replace(TINY, positions=positions, window=window)))
    ids, cache = torch.randint(2, 23, (2, n_tokens), generator=torch.Generator().manual_seed(1)), KeyValueCache()
    pieces = [model(piece, cache) for piece in ids.split(n_read, dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids), rtol=1e-4, atol=1e-5)
    assert cache.length == n_tokens
    assert [(k.shape, v.shape) for k, v in cache.layers.values()] == [((2, 2, n_tokens, 8),) * 2] * 2


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


@pytest.mark.parametrize(("causal", "steps"), [(True, PAST), (False, BOTH)])
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_the_bias_of_alibi_by_hand(causal: bool, steps: list[list[float]], scale: float) -> None:
    bias = bias_of(replace(TINY, positions="alibi", alibi_slope_scale=scale), causal, 4)
    expected = [[[unit if unit == M else scale * unit / n for unit in row] for row in steps] for n in (16, 256)]
    assert bias == [expected]


def test_slopes_go_to_the_device_with_the_model_and_into_no_file() -> None:
    model = decoder(replace(TINY, positions="alibi"))
    assert dict(model.named_buffers()).keys() == {"positions.slopes"}
    assert not any("slopes" in name for name in model.state_dict())


def scores(method: Positions, positions: Tensor) -> Tensor:
    """Attention scores (1, H, T, T) of fixed queries and keys at `positions` (T,), by the interface of the methods."""
    q, k = random(2, 1, 2, 4, 8)  # each (B, H, T, D)
    vectors, rotation = method.vectors(positions), method.rotation(positions)
    bias = method.bias(positions - positions[:, None])
    if vectors is not None:
        heads = vectors.unflatten(-1, (2, 8)).transpose(0, 1)  # (H, T, D)
        q, k = q + heads, k + heads
    if rotation is not None:
        q, k = rotate(q, rotation), rotate(k, rotation)
    return q @ k.transpose(-2, -1) + (0 if bias is None else bias)


@both_directions
@every_position_method
def test_relative_positions_are_invariant_to_a_shift_and_absolute_ones_are_not(positions: Any, causal: bool) -> None:
    method, first_four = position_method(replace(TINY, positions=positions), causal), torch.arange(4)
    is_invariant = torch.allclose(scores(method, first_four), scores(method, first_four + 4), atol=1e-5)
    assert is_invariant == (positions in ("alibi", "rope", "t5", "none"))
    says_something = not torch.allclose(scores(method, first_four), scores(method, first_four * 2), atol=1e-5)
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
    method = T5Positions(n_head=2, bidirectional=not causal)
    assert method.buckets(torch.tensor(list(distance_to_bucket))).tolist() == list(distance_to_bucket.values())


@both_directions
def test_buckets_of_t5_are_the_published_ones(causal: bool) -> None:
    distances = list(range(-300, 301))
    buckets = T5Positions(n_head=2, bidirectional=not causal).buckets(torch.tensor(distances)).tolist()
    assert buckets == [t5_bucket(distance, causal) for distance in distances]
    assert len(set(buckets)) == (32 if causal else 31)  # no distance to the right is 0


def test_sinusoids_by_hand() -> None:
    times = [0, 1, 2, 1000]
    vectors = position_method(replace(TINY, n_embd=4, positions="sinusoidal"), False).vectors(torch.tensor(times))
    expected = [[math.sin(t), math.cos(t), math.sin(t / 100), math.cos(t / 100)] for t in times]
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


def test_learned_positions_past_their_table_are_refused() -> None:
    model, cache = decoder(TINY), KeyValueCache()
    with pytest.raises(ValueError, match="learned positions end at 8 and the input has 9 tokens"):
        model(torch.ones(1, 9, dtype=torch.long))
    assert model(torch.ones(1, 8, dtype=torch.long), cache).isfinite().all()
    with pytest.raises(ValueError, match="learned positions end at 8 and the input has 9 tokens"):
        model(torch.ones(1, 1, dtype=torch.long), cache)


# ------------------------------------------------------------------------------------------------------------- words


def test_the_pieces_of_a_word_by_hand() -> None:
    expected = "<na nat ati tio ion on> <nat nati atio tion ion> <nati natio ation tion> ^N"
    assert sorted(character_ngrams("Nation")) == sorted(expected.split())
    assert character_ngrams("a") == ["<a>"]
    assert character_ngrams("OF") == ["<of", "of>", "<of>", "^O"]
    assert [character_ngrams(word) for word in ("<pad>", "<unk>")] == [[], []]


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
    words = ["<pad>", "<unk>", "New", "York", "new"]  # of forms 0, 1, 2, 3 and 2
    phrases = PhraseEmbedding(words, NO_PAIRS, 8)
    assert phrases.lower.tolist() == [0, 1, 2, 3, 2]
    assert phrases.pairs.dtype == torch.long  # keys outgrow what a float can hold
    assert [len(table.weight) for table in (phrases.words, phrases.forms, phrases.phrases)] == [5, 4, 0]
    rows = torch.tensor([[2, 3, 0], [3, 0, 0], [1, 4, 3]])  # New York; York; <unk> new York
    assert pair_keys(phrases.lower[rows], 4).tolist() == [[2, 2 * 4 + 3, 3 * 4], [3, 3 * 4, 0], [1, 4 + 2, 2 * 4 + 3]]
    assert word_pairs(words, rows).tolist() == [1, 2, 3, 6, 11]  # sorted, each once, none that ends in padding


def test_only_pairs_of_the_training_rows_add_a_vector() -> None:
    words = ["<pad>", "<unk>", "New", "York", "new"]
    phrases = PhraseEmbedding(words, torch.tensor([2, 3, 11]), 2)  # New and York at the start, New York
    with torch.no_grad():
        phrases.words.weight.copy_(100.0 * torch.arange(5)[:, None] * torch.tensor([1, -1]))
        phrases.forms.weight.copy_(10.0 * torch.arange(4)[:, None] * torch.tensor([1, -1]))
        phrases.phrases.weight.copy_(torch.tensor([[1.0, -1.0], [2.0, -2.0], [3.0, -3.0]]))
    vectors = phrases(torch.tensor([[2, 3], [3, 2], [4, 3], [1, 3], [3, 3]]))
    assert vectors[..., 0].tolist() == [[221, 333], [332, 220], [421, 333], [110, 330], [332, 330]]
    assert torch.equal(vectors[..., 1], -vectors[..., 0])
    assert set(phrases.state_dict()) == {"words.weight", "forms.weight", "phrases.weight", "pairs"}


def test_without_pairs_there_are_words_and_forms() -> None:
    phrases = PhraseEmbedding(["<pad>", "<unk>", "New", "new"], NO_PAIRS, 4)
    expected = torch.stack([phrases.words.weight[i] + phrases.forms.weight[2] for i in (2, 3)])
    assert torch.equal(phrases(torch.tensor([[2, 3]])), expected[None])


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
        "masked-mean": [[-2.5, -3], [3, 1]],
        "mean-max": [[-2.5, -3, -2, -1], [3, 1, 4, 3]],
    }
    for pooling, rows in expected.items():
        model = classifier(replace(TINY, pooling=pooling))  # type: ignore[arg-type]
        torch.testing.assert_close(model.pool(hidden, torch.tensor([2, 3])), torch.tensor(rows, dtype=torch.float32))


@pytest.mark.parametrize("n_members", [1, 2])
def test_a_temperature_divides_the_logits_of_the_whole_and_stays_with_the_weights(n_members: int) -> None:
    model, inputs = shaken(classifier(replace(TINY, n_members=n_members))), batch()
    before = model(*inputs)
    model.temperature.fill_(2.5)
    torch.testing.assert_close(model(*inputs), before / 2.5)
    assert model.state_dict()["temperature"] == 2.5
    assert "temperature" not in dict(model.named_parameters())


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_the_loss_of_a_classifier_spreads_a_share_of_each_label_over_all_classes(label_smoothing: float) -> None:
    (ids, lengths), labels = batch(), torch.tensor([2, 0, 1])
    model = shaken(classifier(replace(TINY, pooling="mean-max")))
    log_p = model(ids, lengths).log_softmax(dim=-1)
    shares = torch.full((3, 3), label_smoothing / 3)
    shares[[0, 1, 2], labels] += 1 - label_smoothing
    torch.testing.assert_close(model.loss(ids, lengths, labels, label_smoothing), -(shares * log_p).sum(dim=-1).mean())


@pytest.mark.filterwarnings("error")  # torch only warns where a result does not fit the tensor it is to go to
@pytest.mark.parametrize("settings", [{}, {"tied": True}, {"tied": True, "n_spellings": 11}], ids=str)
@pytest.mark.parametrize("n_rows", [1, ROWS // 8, 2 * ROWS // 8 + 3])  # rows of 8: one part, or two and a smaller one
def test_the_loss_of_a_decoder_is_cross_entropy_forward_and_backward(n_rows: int, settings: dict[str, Any]) -> None:
    ids, targets = torch.randint(2, 23, (2, n_rows, 8), generator=torch.Generator().manual_seed(3))
    both = []
    for is_fused in (True, False):
        model = shaken(decoder(replace(TINY, **settings)))
        if is_fused:
            loss = model.loss(ids, targets)
        else:
            loss = -model(ids).log_softmax(dim=-1).gather(-1, targets[..., None]).mean()
        (3 * loss).backward()
        both.append((loss, gradients(model)))
    torch.testing.assert_close(both[0], both[1], rtol=1e-4, atol=1e-5)


BF16 = 2**-8  # how far a number is from its neighbour in bfloat16, as a share of it


@pytest.mark.parametrize("kind", ["decoder", "tied decoder", "classifier"])
def test_loss_and_gradient_in_bf16_are_close_to_those_in_float32(kind: str) -> None:
    n_rows = ROWS // 8 + 3  # rows of 8: two parts
    ids, targets = torch.randint(2, 23, (2, n_rows, 8), generator=torch.Generator().manual_seed(3))
    both = []
    for is_on in (True, False):
        if kind == "classifier":
            model: Any = shaken(classifier(TINY))
            arguments: tuple[Tensor, ...] = (ids, torch.full((n_rows,), 8), targets[:, 0] % 3)
        else:
            model, arguments = shaken(decoder(replace(TINY, tied=kind == "tied decoder"))), (ids, targets)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_on):
            loss = model.loss(*arguments)
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
    targets = torch.randint(23, (n,), generator=torch.Generator().manual_seed(0))
    x, weight, bias = (random(*size).requires_grad_() for size in ((n, 8), (23, 8), (23,)))
    for scale in (1, 0):  # with zeros, logits are the bias alone, which is not rounded: the loss is exact
        both = []
        for is_on in (True, False):
            with torch.autocast("cpu", torch.bfloat16, enabled=is_on):
                loss = linear_cross_entropy(scale * x, weight, bias, targets)
            both.append((loss, torch.autograd.grad(loss, (x, weight, bias))))
        (rounded, of_bf16), (exact, of_float32) = both
        torch.testing.assert_close(rounded, exact, rtol=BF16 if scale else 1e-6, atol=0)
        for found, expected in zip(of_bf16, of_float32):
            assert found.dtype == torch.float32
            assert (found - expected).norm() <= 2 * BF16 * expected.norm()
            assert not scale or not torch.equal(found, expected)


def test_the_loss_of_large_logits_is_finite() -> None:
    model = decoder(TINY)
    with torch.no_grad():
        model.head.bias[:2] = torch.tensor([2e4, 1e4])
    loss = model.loss(torch.tensor([[5]]), torch.tensor([[1]]))
    assert loss.item() == pytest.approx(1e4, rel=1e-3)
    x, weight = torch.tensor([[0.0], [1.0]]), torch.tensor([[1e4], [0.0]])  # logits 0, 0 and 10,000, 0
    loss = linear_cross_entropy(x, weight, torch.zeros(2), torch.tensor([0, 1]))
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


# ---------------------------------------------------------------------------------------------------------- a vote


def test_a_vote_averages_the_probabilities_of_classifiers_that_learn_each_on_its_own() -> None:
    config = replace(TINY, n_members=3, pooling="masked-mean", n_spellings=11)
    model: Any = shaken(classifier(config)).eval()
    (ids, lengths), labels = batch(), torch.tensor([0, 1, 2])
    probabilities = [member(ids, lengths).softmax(dim=-1) for member in model.members]
    assert not torch.allclose(probabilities[0], probabilities[1], atol=0.01)
    torch.testing.assert_close(model(ids, lengths).exp(), sum(probabilities) / 3)
    assert model.masks_padding
    loss = model.loss(ids, lengths, labels, 0.1)
    loss.backward()
    losses = []
    for member in model.members:
        alone = classifier(replace(config, n_members=1))
        alone.load_state_dict(member.state_dict())
        losses.append(alone.loss(ids, lengths, labels, 0.1))
        losses[-1].backward()
        for shared, expected in zip(member.parameters(), alone.parameters()):
            torch.testing.assert_close(shared.grad * 3, expected.grad)
    torch.testing.assert_close(loss, sum(losses) / 3)


def test_the_first_of_a_vote_is_the_classifier_of_its_seed_and_the_others_are_of_seeds_of_their_own() -> None:
    model: Any = classifier(replace(TINY, n_members=3), seed=5)
    assert type(model) is Vote
    members: Any = model.members
    seeds = [5, derived_seed(5, "member", 1), derived_seed(5, "member", 2)]
    for member, seed in zip(members, seeds, strict=True):
        torch.testing.assert_close(member.state_dict(), classifier(TINY, seed=seed).state_dict(), rtol=0, atol=0)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(members[one].head[0].weight, members[other].head[0].weight)
    assert type(classifier(TINY, seed=5)) is Classifier


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
        parameters = dict(module.named_parameters(recurse=False))
        if isinstance(module, nn.Embedding):
            assert is_normal(parameters["weight"], 1.0 if initialisation == "pytorch" else 0.02), name
        elif isinstance(module, nn.Linear):
            for kind, parameter in parameters.items():
                if initialisation != "normal":
                    assert is_uniform(parameter, 1 / math.sqrt(module.in_features)), name
                elif kind == "weight":
                    assert is_normal(parameter, 0.02), name
                else:
                    assert torch.equal(parameter, torch.zeros_like(parameter)), name
        elif isinstance(module, nn.LayerNorm | nn.BatchNorm1d):
            assert parameters["weight"].unique().tolist() == [1]
            assert parameters["bias"].unique().tolist() == [0]
        elif parameters:
            assert set(parameters) == {"scale"}
            assert parameters["scale"].unique().tolist() == [0.25]
        kinds |= {type(module)} if parameters else set()
    assert kinds >= {nn.Embedding, nn.Linear, nn.LayerNorm, Branch}


def drawn(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that start at random."""
    return {name: value.detach() for name, value in model.named_parameters() if value.unique().numel() > 2}


def correlation(one: Tensor, other: Tensor) -> float:
    """In units of what chance gives."""
    return abs(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].item()) * math.sqrt(one.numel())


@pytest.mark.parametrize("kind", [Classifier, Decoder])
def test_a_seed_decides_where_weights_start_and_no_two_tables_start_alike(kind: type[Model]) -> None:
    config = replace(LARGE, initialisation="pytorch", layer_scale=None, batch_norm=False)
    first, again, other = (drawn(build(kind, config, MANY, seed)) for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    torch.testing.assert_close(first, drawn(build(kind, config, MANY)), rtol=0, atol=0)
    assert len(first) == (20 if kind is Classifier else 18)
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


@pytest.mark.parametrize("kind", [Classifier, Decoder])
@pytest.mark.parametrize(
    "settings", [{"positions": "alibi"}, {"positions": "t5"}, {"norm": "pre"}, {"n_layer": 3}, {"ff_dim": 0}], ids=str
)
def test_models_of_one_seed_share_all_that_they_have_in_common(kind: type[Model], settings: dict[str, Any]) -> None:
    base, variant = (
        dict(build(kind, config, seed=3).named_parameters()) for config in (TINY, replace(TINY, **settings))
    )
    common = base.keys() & variant.keys()
    assert len(common) >= min(len(base), len(variant)) - 1  # all but a table of positions of its own
    for name in common:
        if not name.endswith("positions.table.weight"):
            assert torch.equal(base[name], variant[name]), name


# ----------------------------------------------------------------------------------------------------------- refusals

LIMITS: list[tuple[str, tuple[str, ...], dict[float, bool]]] = [
    ("from 0 to 1000", ("n_layer",), {-1: False, 0: True, 1001: False}),
    ("from 1 to 1000", ("n_members",), {0: False, -3: False, 1: True, 1001: False}),
    ("at least 1", ("n_embd", "n_head", "block_size"), {0: False, -3: False, 1: True}),
    (
        "at least 0",
        ("window", "alibi_slope_scale", "n_spellings", "ff_dim", "head_dim", "layer_scale"),
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
    with pytest.raises(UserError, match=f"{name} is {value}; it must be {rule}"):
        replace(base, **{name: value})  # type: ignore[arg-type]


WITHOUT_A_LAYER: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"n_layer": 0, name: value}, name, {"n_layer": 1, name: value})
    for name, value in (
        *(("positions", positions) for positions in ("alibi", "rope", "t5")),
        *(("window", 0), ("drop_path", 0.1), ("layer_scale", 0.0)),
    )
]


@pytest.mark.parametrize(
    ("settings", "complaint", "neighbour"),
    [
        ({"n_head": 3}, "n_embd 16 is not a multiple of n_head 3", {"n_head": 4}),
        ({"n_head": 16, "positions": "rope"}, "even head size, not 1", {"n_head": 8, "positions": "rope"}),
        (
            {"n_embd": 15, "n_head": 1, "positions": "sinusoidal"},
            "even n_embd, not 15",
            {"n_embd": 15, "n_head": 1},
        ),
        ({"batch_norm": True, "head_dim": 0}, "head_dim 0 has one layer", {"batch_norm": True, "head_dim": 1}),
        ({"phrases": True, "n_spellings": 1}, "choose one", {"phrases": True, "n_spellings": 0}),
        *WITHOUT_A_LAYER,
        (
            {"alibi_slope_scale": 2.0, "positions": "rope"},
            "does nothing with rope positions",
            {"alibi_slope_scale": 2.0, "positions": "alibi"},
        ),
        ({"activation": "gelu", "ff_dim": 0}, "without a feed-forward network", {"ff_dim": 0}),
        ({"activation": "gelu", "n_layer": 0}, "without a feed-forward network", {"n_layer": 0}),
        ({"layer_scale": math.nan}, "layer_scale is nan", {"layer_scale": 1.0}),
        ({"n_layer": 0, "positions": "none", "window": -1}, "window is -1", {"n_layer": 0}),
    ],
    ids=str,
)
def test_an_architecture_that_cannot_be_is_refused_in_one_line_and_its_neighbour_is_not(
    settings: dict[str, Any], complaint: str, neighbour: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        replace(TINY, **settings)
    assert "\n" not in str(caught.value)
    assert replace(TINY, **neighbour)


def test_without_a_layer_absolute_positions_are_legal() -> None:
    for positions in ("learned", "sinusoidal", "none"):
        assert replace(TINY, n_layer=0, positions=positions).n_layer == 0


def test_the_default_architecture_is_the_report_one() -> None:
    assert vars(EitherConfig()) == {
        **{"n_embd": 64, "n_head": 2, "n_layer": 4, "block_size": 32},
        **{"ff_dim": 256, "positions": "learned", "alibi_slope_scale": 1.0, "window": None},
        **{"norm": "post", "activation": "relu", "dropout": 0.0, "embedding_dropout": 0.0, "drop_path": 0.0},
        **{"layer_scale": None, "pooling": "mean", "head_dim": 100, "batch_norm": False, "n_members": 1},
        **{"tied": False, "n_spellings": 0, "ngram_share": 0.0, "voices": False, "phrases": False},
        **{"initialisation": "normal"},
    }
