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
from modules.word_vectors import NO_PAIRS, PhraseEmbedding, character_ngrams, pair_keys, word_pairs
from training.weights import count_parameters
from transformer import (
    MASKED,
    Classifier,
    Context,
    Decoder,
    KeyValueCache,
    SelfAttention,
    T5Positions,
    Transformer,
    Vote,
    alibi_slopes,
    build_classifier,
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
    those of a model, everything else is written here."""

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
        """The vector with which the token at position `t` enters the first block."""
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
        """A query or key (D,) at position `t`."""
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
                else:  # padding far from every word: it attends to all positions alike, and nothing to it
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
    gradients = torch.autograd.grad(output.square().sum(), [x, layer.qkv.weight, layer.projection.weight])
    weights = [x, reference.in_proj_weight, reference.out_proj.weight]
    torch.testing.assert_close(gradients, torch.autograd.grad(expected.square().sum(), weights), rtol=1e-4, atol=1e-4)


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


def test_attention_stays_in_float32_under_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    attend, model, dtypes = SelfAttention.attend, decoder(TINY), list[torch.dtype]()

    def recorded(layer: SelfAttention, *given: Any) -> Tensor:
        heads = attend(layer, *given)
        dtypes.extend(tensor.dtype for tensor in (*given[:3], heads))
        return heads

    monkeypatch.setattr(SelfAttention, "attend", recorded)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(torch.arange(2, 10)[None]).dtype == torch.bfloat16
    assert set(dtypes) == {torch.float32}


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


@pytest.mark.parametrize("point", ["residual", "attention.weights", "attention.heads", "feed_forward.update"])
def test_the_forward_pass_goes_on_with_what_a_hook_returns(point: str) -> None:
    """Zeros in the second layer: as if what made them had no weights."""
    model, (ids, lengths) = shaken(classifier(replace(TINY, pooling="masked-mean"))), batch()
    name = "encoder.residual" if point == "residual" else f"encoder.blocks.1.{point}"
    plain = model(ids, lengths)
    with hooked(model, [name], lambda x, name: torch.zeros_like(x)):
        replaced = model(ids, lengths)
    assert not torch.allclose(replaced, plain, atol=1e-3)
    assert torch.equal(model(ids, lengths), plain)  # the hook is off again
    block: Any = model.encoder.blocks[1]
    with torch.no_grad():
        if point == "residual":
            model.encoder.embedding.weight.zero_()
            model.encoder.positions.table.weight.zero_()
        elif point == "feed_forward.update":
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


def test_hooks_come_off_after_an_error_and_a_wrong_name_is_refused() -> None:
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
    "settings", [*({"positions": positions} for positions in POSITIONS), {"window": 2, "dropout": 0.1}], ids=str
)
def test_all_that_a_model_computes_is_on_the_device_of_its_input(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *given, **named: nullcontext())  # which "meta" does not have
    ids, lengths = (tensor.to("meta") for tensor in batch())  # a device that refuses to meet another
    for is_explicit in (False, True):
        model: Any = decoder(replace(TINY, **settings)).to("meta")
        with maps_of(model, is_explicit):
            assert model(ids).device.type == "meta"
        model = classifier(replace(TINY, pooling="mean-max", **settings)).to("meta")
        with maps_of(model, is_explicit):
            assert model(ids, lengths).device.type == "meta"


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


@both_directions
def test_buckets_of_t5_are_the_published_ones(causal: bool) -> None:
    distances = list(range(-300, 301))
    buckets = T5Positions(n_head=2, bidirectional=not causal).buckets(torch.tensor(distances)).tolist()
    assert buckets == [t5_bucket(distance, causal) for distance in distances]
    assert len(set(buckets)) == (32 if causal else 31)  # no distance to the right is 0


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


def test_keys_of_pairs_and_the_pairs_of_training_rows_by_hand() -> None:
    words = ["<pad>", "<unk>", "New", "York", "new"]  # of forms 0, 1, 2, 3 and 2
    phrases = PhraseEmbedding(words, NO_PAIRS, 8)
    assert phrases.lower.tolist() == [0, 1, 2, 3, 2]
    assert phrases.pairs.dtype == torch.long  # keys outgrow what a float can hold
    assert [len(table.weight) for table in (phrases.words, phrases.forms, phrases.phrases)] == [5, 4, 0]
    rows = torch.tensor([[2, 3, 0], [3, 0, 0], [1, 4, 3]])  # New York; York; <unk> new York
    assert pair_keys(phrases.lower[rows], 4).tolist() == [[2, 2 * 4 + 3, 3 * 4], [3, 3 * 4, 0], [1, 4 + 2, 2 * 4 + 3]]
    assert word_pairs(words, rows).tolist() == [1, 2, 3, 6, 11]  # sorted, each once, none that ends in padding


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


@pytest.mark.parametrize("initialisation", ["normal", "pytorch"])
def test_the_table_of_positions_alone_starts_at_its_own_scale(initialisation: Any) -> None:
    config = replace(TINY, initialisation=initialisation)
    for build in (classifier, decoder):
        as_others, scaled = (
            dict(build(each).named_parameters()) for each in (config, replace(config, position_std=0.5))
        )
        (table,) = (name for name in scaled if name.endswith("positions.table.weight"))
        factor = 0.5 / (1.0 if initialisation == "pytorch" else 0.02)
        torch.testing.assert_close(scaled.pop(table), as_others.pop(table) * factor)
        assert all(torch.equal(scaled[name], as_others[name]) for name in as_others)


def test_each_parameter_is_drawn_by_a_generator_of_its_seed_and_name() -> None:
    model = classifier(replace(TINY, initialisation="normal"), seed=7)
    for name in ("encoder.embedding.weight", "encoder.blocks.1.attention.qkv.weight", "head.4.weight"):
        value = model.get_parameter(name)
        expected = torch.empty_like(value).normal_(std=0.02, generator=generator(7, "initialisation", name))
        assert torch.equal(value, expected)


def test_a_seed_decides_where_weights_start() -> None:
    first, again, other = (decoder(TINY, seed=seed) for seed in (0, 0, 1))
    torch.testing.assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
    assert not torch.equal(first.head.weight, other.head.weight)


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


@pytest.mark.parametrize(
    ("settings", "complaint", "neighbour"),
    [
        ({"n_embd": 0}, "n_embd is 0; it must be at least 1", {"n_embd": 2}),
        ({"n_layer": 1001}, "n_layer is 1001", {"n_layer": 1000}),
        ({"n_members": 0}, "n_members is 0", {"n_members": 1}),
        ({"window": -1}, "window is -1", {"window": 0}),
        ({"dropout": 1.0}, "dropout is 1.0; it must be from 0 to below 1", {"dropout": 0.999}),
        ({"layer_scale": math.nan}, "layer_scale is nan", {"layer_scale": 1.0}),
        ({"n_head": 3}, "n_embd 16 is not a multiple of n_head 3", {"n_head": 4}),
        ({"n_head": 16, "positions": "rope"}, "even head size, not 1", {"n_head": 8, "positions": "rope"}),
        ({"n_embd": 15, "n_head": 1, "positions": "sinusoidal"}, "even n_embd, not 15", {"n_embd": 15, "n_head": 1}),
        ({"batch_norm": True, "head_dim": 0}, "head_dim 0 has one layer", {"batch_norm": True, "head_dim": 1}),
        ({"phrases": True, "n_spellings": 1}, "choose one", {"phrases": True, "n_spellings": 0}),
        ({"n_layer": 0, "positions": "rope"}, "positions rope does nothing", {"n_layer": 0, "positions": "sinusoidal"}),
        ({"n_layer": 0, "window": 0}, "window does nothing without a layer", {"n_layer": 1, "window": 0}),
        ({"alibi_slope_scale": 2.0}, "with learned positions", {"alibi_slope_scale": 2.0, "positions": "alibi"}),
        ({"position_std": 0.5, "positions": "t5"}, "choose learned", {"position_std": 0.5}),
        ({"position_std": 0.0}, "above 0", {"position_std": 1e-9}),
        ({"activation": "gelu", "ff_dim": 0}, "without a feed-forward network", {"ff_dim": 0}),
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
