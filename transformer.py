"""Token ids -> vectors -> logits: the transformer of this laboratory, written out by hand.

Read it from the top: the configuration, attention as one function, the methods that tell a model where a token stands,
the block, the trunk that encoder and decoder share, and what stands on top of it. Shapes at line ends use

    B batch    T tokens    S tokens attended to (keys)    C n_embd    H heads    D = C / H    V vocabulary    K classes

The encoder and the decoder differ only in the bias that is added to the attention scores.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.checks import check
from common.files import UserError
from common.randomness import derived_seed, generator

PositionMethod = Literal["learned", "sinusoidal", "alibi", "rope", "t5", "none"]
Pooling = Literal["mean", "masked-mean", "cls", "mean-max"]


@dataclass(frozen=True)
class TransformerConfig:
    """The architecture. The defaults are the report's."""

    vocabulary_size: int
    n_classes: int = 3  # K, of a classifier
    n_embd: int = 64  # C
    n_head: int = 2  # H
    n_layer: int = 4  # 0: no attention, words and positions alone
    block_size: int = 32  # the longest sequence in training
    ff_dim: int = 256  # hidden size of the feed-forward network; 0: a block is attention alone
    positions: PositionMethod = "learned"
    alibi_slope_scale: float = 1.0  # 8 makes every slope 8 times as steep
    alibi_one_sided: bool = False  # encoder: even heads look back only, odd heads ahead only
    window: int | None = None  # attend only to tokens at most this many places away
    norm: Literal["post", "pre", "none"] = "post"  # after each residual, or before each branch and at the end
    activation: Literal["relu", "gelu"] = "relu"
    dropout: float = 0.0  # attention weights, feed-forward, residual branches, classifier head
    embedding_dropout: float = 0.0  # the sum of token and position vectors
    drop_path: float = 0.0  # how often a row skips a residual branch in training
    layer_scale: float | None = None  # where the factor on each channel of a residual branch starts; None: no factor
    pooling: Pooling = "mean"  # "mean" counts and attends to padding, as the report does; the others mask it
    head_dim: int = 100  # hidden size of the classifier's head; 0: one linear layer
    batch_norm: bool = False  # after the first linear layer of the classifier's head
    n_members: int = 1  # classifiers that differ in where they start, and vote
    tied: bool = False  # decoder: the output layer's weight is the token embedding
    n_spellings: int = 0  # rows of a table for the character n-grams that words are spelled with; 0: none
    phrases: bool = False  # classifier: vectors for lower-case forms and pairs of words, too
    n_pairs: int = 0  # how many pairs of words the training rows have, if phrases
    # normal(0, 0.02) and zero biases, or PyTorch's default, or that with normal(0, 0.02) for embeddings alone
    initialisation: Literal["normal", "pytorch", "normal-embeddings"] = "normal"

    def __post_init__(self) -> None:
        check(self, "at least 1", "n_classes", "n_embd", "n_head", "block_size", "n_members")
        check(self, "at least 0", "vocabulary_size", "window", "alibi_slope_scale", "n_spellings", "n_pairs")
        check(self, "at least 0", "n_layer", "ff_dim", "head_dim", "layer_scale")
        check(self, "from 0 to below 1", "dropout", "embedding_dropout", "drop_path")
        if self.n_embd % self.n_head:
            raise UserError(f"n_embd {self.n_embd} is not a multiple of n_head {self.n_head}")
        if self.positions == "rope" and (self.n_embd // self.n_head) % 2:
            raise UserError(f"rotary positions need an even head size, not {self.n_embd // self.n_head}")
        if self.positions == "sinusoidal" and self.n_embd % 2:
            raise UserError(f"sinusoidal positions need an even n_embd, not {self.n_embd}")
        if self.batch_norm and not self.head_dim:
            raise UserError("batch_norm stands after the first of two layers of the head, and head_dim 0 has one layer")
        if self.phrases and self.n_spellings:
            raise UserError("phrases and n_spellings are two kinds of word vectors; choose one")
        off = {"window": None, "drop_path": 0, "layer_scale": None}  # what they are when they are not used
        idle = [name for name, value in off.items() if not self.n_layer and getattr(self, name) != value]
        if not self.n_layer and (idle or self.positions in ("alibi", "rope", "t5")):
            name = idle[0] if idle else f"positions {self.positions}"
            raise UserError(f"{name} does nothing without a layer; set n_layer above 0, or leave it out")
        off = {"alibi_slope_scale": 1, "alibi_one_sided": False}
        idle = [name for name, value in off.items() if self.positions != "alibi" and getattr(self, name) != value]
        if idle:
            raise UserError(f"{idle[0]} does nothing with {self.positions} positions; choose alibi, or leave it out")
        if self.alibi_one_sided and self.n_head == 1:
            raise UserError("alibi_one_sided needs heads that look back and heads that look ahead; set n_head above 1")
        if self.activation != "relu" and not (self.n_layer and self.ff_dim):
            raise UserError(f"activation {self.activation} does nothing without a feed-forward network; leave it out")


# ---------------------------------------------------------------------------------------------------------- attention


def attention(
    q: Tensor,  # (B, H, T, D)
    k: Tensor,  # (B, H, S, D)
    v: Tensor,  # (B, H, S, D)
    bias: Tensor | None = None,  # broadcasts to (B, H, T, S)
    dropout: float = 0.0,
    return_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Scaled dot-product attention: softmax(q k^T / sqrt(D) + bias) v (Vaswani et al. 2017, section 3.2.1).

    Returns the output (B, H, T, D) and, if asked, the weights (B, H, T, S) before dropout. Where neither weights nor
    dropout are asked for, PyTorch's kernel computes the same formula and need not hold the T x S weights of every head
    in memory; the tests hold the two paths equal, forward and backward.
    """
    if not return_weights and dropout == 0:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias), None
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, T, S)
    if bias is not None:
        scores = scores + bias
    weights = scores.softmax(dim=-1)  # (B, H, T, S)
    return drop(weights, dropout) @ v, weights if return_weights else None  # (B, H, T, D)


def drop(x: Tensor, rate: float) -> Tensor:
    """Dropout: zeros in place of a share `rate` of x, and the rest scaled up so that the mean stays (Srivastava et al.
    2014). Each element costs 16 random bits, so the rate in effect is the nearest k / 65,536, and the scale is that
    rate's: PyTorch's own draws a double for each, which on a processor takes longer than the layers between."""
    if rate == 0:
        return x
    k = min(round(DROPOUT_STEPS * rate), DROPOUT_STEPS - 1)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
    kept = bits.view(torch.int16)[: x.numel()].view(x.shape).ge_(k - DROPOUT_STEPS // 2)  # 0 or 1; slow as bool
    return x * kept.to(x.dtype).mul_(DROPOUT_STEPS / (DROPOUT_STEPS - k))


DROPOUT_STEPS = 2**16


class Dropout(nn.Dropout):
    """`drop` in training, nothing in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.p) if self.training else x


class KeyValueCache:
    """Keys and values of the tokens that a decoder has read, so that each new token costs one row of attention."""

    def __init__(self) -> None:
        self.layers: list[tuple[Tensor, Tensor]] = []  # k and v (B, H, S, D) of each layer
        self.length = 0  # S before the tokens of the current forward pass

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append k and v (B, H, T, D) of one layer; returns all of its keys and values (B, H, S + T, D)."""
        if layer == len(self.layers):
            self.layers.append((k, v))
        else:
            past_k, past_v = self.layers[layer]
            self.layers[layer] = torch.cat([past_k, k], dim=2), torch.cat([past_v, v], dim=2)
        return self.layers[layer]


# ---------------------------------------------------------------------------------------------------------- positions


class NoPositions(nn.Module):
    """The interface of the position methods, and the method that says nothing.

    A method gives vectors to add to the tokens, or a rotation of queries and keys, or a bias on the attention scores;
    the other two answers stay None. All three depend on positions only, so one answer serves every layer; DeBERTa's
    disentangled attention (He et al. 2021), whose bias depends on each layer's queries and keys, is therefore left out.
    """

    embedding_scale = 1.0  # by which token vectors are multiplied before the vectors of the positions are added

    def vectors(self, positions: Tensor) -> Tensor | None:
        """Vectors (T, C) to add to the token vectors at `positions` (T,)."""
        return None

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor] | None:
        """Cosine and sine (T, D) by which queries and keys at `positions` (T,) turn."""
        return None

    def bias(self, distance: Tensor) -> Tensor | None:
        """Bias (H, T, S) on the scores, for `distance` (T, S) = key's position - query's position."""
        return None


class LearnedPositions(NoPositions):
    """A table of one trained vector a position (Gehring et al. 2017; Devlin et al. 2019). Undefined past its end."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.table = nn.Embedding(config.block_size, config.n_embd)

    def vectors(self, positions: Tensor) -> Tensor:
        if positions[-1] >= self.table.num_embeddings:
            raise ValueError(
                f"learned positions end at {self.table.num_embeddings} and the input has {int(positions[-1]) + 1} "
                "tokens; shorten it, or train with alibi, rope, t5, sinusoidal or no positions"
            )
        return self.table(positions)  # (T, C)


class SinusoidalPositions(NoPositions):
    """Fixed sines and cosines of geometric wavelengths (Vaswani et al. 2017, section 3.5). They are as long as the
    square root of n_embd / 2, so the token vectors are scaled up too (section 3.4): else they would drown."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.n_embd = config.n_embd
        self.embedding_scale = math.sqrt(config.n_embd)

    def vectors(self, positions: Tensor) -> Tensor:
        angles = _angles(positions, self.n_embd)  # (T, C / 2)
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (T, C)


class RotaryPositions(NoPositions):
    """Queries and keys turn by an angle that grows with position; scores see only distances (Su et al. 2021)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.head_size = config.n_embd // config.n_head

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        angles = _angles(positions, self.head_size).repeat(1, 2)  # (T, D)
        return angles.cos(), angles.sin()


class ALiBi(NoPositions):
    """Attention with linear biases: each head subtracts its slope times the distance (Press et al. 2021).

    The decoder's distance is to the past; the encoder's is symmetric, |i - j|, for a signed one would reward the tokens
    to the right. One-sided, each head of the encoder looks in one direction only, and the pair of heads tells left from
    right.
    """

    def __init__(self, config: TransformerConfig, causal: bool) -> None:
        super().__init__()
        self.slopes = [config.alibi_slope_scale * slope for slope in alibi_slopes(config.n_head)]
        self.one_sided = config.alibi_one_sided and not causal

    def bias(self, distance: Tensor) -> Tensor:
        slopes = torch.tensor(self.slopes, device=distance.device)  # (H,)
        bias = -slopes[:, None, None] * distance.abs()  # (H, T, S)
        if self.one_sided:
            bias[0::2].masked_fill_(distance > 0, MASKED)
            bias[1::2].masked_fill_(distance < 0, MASKED)
        return bias


def alibi_slopes(n_head: int) -> list[float]:
    """Slope of head h = 1 .. n: 2^(-8h/n). For n that is no power of two, the slopes of the power of two below it,
    then every other slope of twice that power (the authors' interpolation)."""
    power = 2 ** math.floor(math.log2(n_head))
    slopes = [2 ** (-8 * h / power) for h in range(1, power + 1)]
    return slopes + [2 ** (-4 * h / power) for h in range(1, 2 * (n_head - power), 2)]


class T5Positions(NoPositions):
    """A trained bias for each head and bucket of distance; buckets widen with distance (Raffel et al. 2020, 2.1).

    Half of the buckets (of each direction, in the encoder) are one distance wide, the others widen logarithmically up
    to 128 tokens, and the last takes everything beyond.
    """

    N_BUCKETS, MAX_DISTANCE = 32, 128

    def __init__(self, config: TransformerConfig, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.table = nn.Embedding(self.N_BUCKETS, config.n_head)

    def buckets(self, distance: Tensor) -> Tensor:
        """The bucket (T, S) of each distance (T, S)."""
        n_buckets, behind = self.N_BUCKETS, (-distance).clamp(min=0)
        offset = torch.zeros_like(distance)
        if not self.causal:
            n_buckets //= 2
            offset, behind = n_buckets * (distance > 0), distance.abs()
        exact = n_buckets // 2
        growth = (behind.clamp(min=1) / exact).log() / math.log(self.MAX_DISTANCE / exact)  # 0 .. 1 from exact to max
        wide = (exact + (growth * (n_buckets - exact)).long()).clamp(max=n_buckets - 1)
        return offset + torch.where(behind < exact, behind, wide)

    def bias(self, distance: Tensor) -> Tensor:
        return self.table(self.buckets(distance)).permute(2, 0, 1)  # (H, T, S)


def position_method(config: TransformerConfig, causal: bool) -> NoPositions:
    """The position method that `config` names."""
    methods: dict[str, Callable[[], NoPositions]] = {
        "learned": lambda: LearnedPositions(config),
        "sinusoidal": lambda: SinusoidalPositions(config),
        "rope": lambda: RotaryPositions(config),
        "alibi": lambda: ALiBi(config, causal),
        "t5": lambda: T5Positions(config, causal),
        "none": NoPositions,
    }
    return methods[config.positions]()


def _angles(positions: Tensor, size: int) -> Tensor:
    """position / 10000^(2i / size) for i = 0 .. size / 2 - 1: (T, size / 2)."""
    frequencies = 10000 ** (-torch.arange(0, size, 2, device=positions.device) / size)
    return positions[:, None] * frequencies


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (x[i], x[i + D/2]) of x (B, H, T, D) by its angle."""
    cosine, sine = rotation  # (T, D)
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


# -------------------------------------------------------------------------------------------------------------- bias

MASKED = torch.finfo(torch.float32).min / 2  # finite, so that a row with nothing to attend to is uniform and not NaN


def attention_bias(
    positions: NoPositions,
    start: int,
    n_tokens: int,
    causal: bool,
    window: int | None,
    lengths: Tensor | None,
    device: torch.device,
) -> Tensor | None:
    """What is added to the scores of `n_tokens` queries that follow `start` cached tokens, in every layer alike.

    Returns the position method's bias with MASKED at the pairs that may not see each other (the future if causal, past
    the window, padding beyond `lengths` (B,)): broadcasts to (B, H, T, S); None where nothing is biased or masked.
    It has all four dimensions, without which PyTorch's kernel takes a slow path.
    """
    keys = torch.arange(start + n_tokens, device=device)  # (S,)
    distance = keys - keys[start:, None]  # (T, S)
    bias = positions.bias(distance)  # (H, T, S)
    masks = []
    if causal and n_tokens > 1:
        masks.append(distance > 0)
    if window is not None:
        masks.append(distance.abs() > window)
    if lengths is not None:
        masks.append((keys >= lengths[:, None])[:, None, None])  # (B, 1, 1, S)
    if bias is None and not masks:
        return None
    bias = torch.zeros((1, 1, *distance.shape), device=device) if bias is None else bias[None]  # (1, 1 or H, T, S)
    for hidden in masks:
        bias = bias.masked_fill(hidden, MASKED)
    return bias


# ------------------------------------------------------------------------------------------------------------- words

CLS = "<cls>"  # a word that stands before every row, for a classifier that reads it


class SpelledEmbedding(nn.Module):
    """A word's vector is its own plus those of its character 3-, 4- and 5-grams (Bojanowski et al. 2017, section 3.2).

    Rare words, and words that training never shows, so share what words that are spelled alike have learned. The
    n-grams are hashed into `n_rows` rows, by CRC-32: the same in every process. Their sum is divided by the square root
    of their number.
    """

    def __init__(self, words: Sequence[str], n_rows: int, n_embd: int) -> None:
        super().__init__()
        self.words = nn.Embedding(len(words), n_embd)
        self.spellings = nn.Embedding(n_rows, n_embd)
        grams = [[zlib.crc32(gram.encode()) % n_rows for gram in character_ngrams(word)] for word in words]
        counts = torch.tensor([len(word) for word in grams])
        scales = counts.clamp(min=1).rsqrt().repeat_interleave(counts)
        self.grams: Tensor
        self.offsets: Tensor
        self.scales: Tensor
        self.register_buffer("grams", torch.tensor([i for word in grams for i in word]), persistent=False)
        self.register_buffer("offsets", counts.cumsum(0) - counts, persistent=False)
        self.register_buffer("scales", scales, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, T) -> vectors (B, T, C)."""
        return F.embedding(ids, self.weight)

    @property
    def weight(self) -> Tensor:
        """The vectors of all words (V, C)."""
        spelled = F.embedding_bag(
            self.grams, self.spellings.weight, self.offsets, mode="sum", per_sample_weights=self.scales
        )
        return self.words.weight + spelled


class PhraseEmbedding(nn.Module):
    """A word's vector is its own, plus that of its lower-case form, plus that of the pair with its left neighbour.

    Only pairs that training rows have get a vector; others add nothing, rather than noise (Wang and Manning 2012 show
    what pairs of words are worth in short texts).
    """

    def __init__(self, words: Sequence[str], n_pairs: int, n_embd: int) -> None:
        super().__init__()
        forms: dict[str, int] = {}
        self.lower: Tensor
        self.pairs: Tensor
        lower = torch.tensor([forms.setdefault("<pad>" if word == CLS else word.lower(), len(forms)) for word in words])
        self.register_buffer("lower", lower, persistent=False)
        self.register_buffer("pairs", torch.zeros(n_pairs, dtype=torch.long))  # sorted keys
        self.words = nn.Embedding(len(words), n_embd)
        self.forms = nn.Embedding(len(forms), n_embd)
        self.phrases = nn.Embedding(n_pairs, n_embd)

    def keys(self, ids: Tensor) -> Tensor:
        """One number for each token of ids (B, T) and its left neighbour, case aside: (B, T). Left of the first token
        stands padding, or <cls>, which is the same here."""
        lower = self.lower[ids]
        return F.pad(lower, (1, -1)) * self.forms.num_embeddings + lower

    def pairs_of(self, ids: Tensor) -> Tensor:
        """The sorted keys of all pairs in training rows ids (B, T), padded with 0: what `pairs` is to be."""
        return self.keys(ids)[ids != 0].unique()

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, T) -> vectors (B, T, C)."""
        vectors = self.words(ids) + self.forms(self.lower[ids])
        if not len(self.pairs):
            return vectors
        keys = self.keys(ids)
        place = torch.searchsorted(self.pairs, keys).clamp(max=len(self.pairs) - 1)
        known = (self.pairs[place] == keys)[..., None]
        return vectors + self.phrases(place) * known


def character_ngrams(word: str) -> list[str]:
    """The 3-, 4- and 5-grams of "<word>" in lower case, and "^" and the first letter of a capitalised word."""
    if word in ("<pad>", "<unk>", CLS):
        return []
    marked = f"<{word.lower()}>"
    grams = [marked[start : start + n] for n in (3, 4, 5) for start in range(len(marked) - n + 1)]
    return grams + ["^" + word[0]] if word[0].isupper() else grams


# ------------------------------------------------------------------------------------------------------ block, trunk


class SelfAttention(nn.Module):
    """Multi-head self-attention: q, k and v without bias from one product, the output projection with bias."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.n_head, self.dropout = config.n_head, config.dropout
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.projection = nn.Linear(config.n_embd, config.n_embd)

    def forward(
        self,
        x: Tensor,  # (B, T, C)
        bias: Tensor | None,
        rotation: tuple[Tensor, Tensor] | None,
        cache: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None,
        return_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.n_head, -1)).permute(2, 0, 3, 1, 4)  # each (B, H, T, D)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        if cache is not None:
            k, v = cache(k, v)  # (B, H, S, D)
        dropout = self.dropout if self.training else 0.0
        output, weights = attention(q, k, v, bias, dropout, return_weights)
        return self.projection(output.transpose(1, 2).flatten(2)), weights  # (B, T, C)


class Branch(nn.Module):
    """What a residual branch adds to its row: dropped out, scaled by channel (Touvron et al. 2021, LayerScale), and in
    training left out for whole rows (stochastic depth, Huang et al. 2016), each as far as the configuration asks."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.dropout, self.drop_path = Dropout(config.dropout), config.drop_path
        start = config.layer_scale
        self.scale = None if start is None else nn.Parameter(torch.full((config.n_embd,), start))

    def forward(self, update: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        update = self.dropout(update)
        if self.scale is not None:
            update = update * self.scale
        if self.training and self.drop_path > 0:
            kept = torch.rand(len(update), 1, 1, device=update.device) >= self.drop_path
            update = update * kept / (1 - self.drop_path)
        return update


class Block(nn.Module):
    """Attention and a feed-forward network, each on a residual branch, with the norm after ("post": Vaswani et al.
    2017, section 3.1) or before the branch ("pre": Xiong et al. 2020), or with none."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm_first = config.norm != "post"
        self.attention = SelfAttention(config)
        self.norm1 = layer_norm(config)
        self.branch1 = Branch(config)
        if config.ff_dim:
            self.feed_forward = nn.Sequential(
                nn.Linear(config.n_embd, config.ff_dim),
                nn.ReLU() if config.activation == "relu" else nn.GELU(),
                Dropout(config.dropout),
                nn.Linear(config.ff_dim, config.n_embd),
            )
            self.norm2 = layer_norm(config)
            self.branch2 = Branch(config)

    def forward(
        self,
        x: Tensor,  # (B, T, C)
        bias: Tensor | None,
        rotation: tuple[Tensor, Tensor] | None = None,
        cache: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
        return_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        inside = self.norm1(x) if self.norm_first else x
        attended, weights = self.attention(inside, bias, rotation, cache, return_weights)
        x = x + self.branch1(attended)
        if not self.norm_first:
            x = self.norm1(x)
        if not hasattr(self, "feed_forward"):
            return x, weights
        inside = self.norm2(x) if self.norm_first else x
        x = x + self.branch2(self.feed_forward(inside))
        return (x if self.norm_first else self.norm2(x)), weights


def layer_norm(config: TransformerConfig) -> nn.Module:
    """Layer norm over the channels (Ba et al. 2016), or nothing if the configuration has no norms."""
    return nn.Identity() if config.norm == "none" else nn.LayerNorm(config.n_embd)


def token_embedding(config: TransformerConfig, words: Sequence[str]) -> Any:
    """The module that gives ids (B, T) their vectors (B, T, C)."""
    if (config.phrases or config.n_spellings) and len(words) != config.vocabulary_size:
        raise ValueError(f"a model of spellings or phrases needs its {config.vocabulary_size} words, not {len(words)}")
    if config.phrases:
        return PhraseEmbedding(words, config.n_pairs, config.n_embd)
    if config.n_spellings:
        return SpelledEmbedding(words, config.n_spellings, config.n_embd)
    return nn.Embedding(config.vocabulary_size, config.n_embd)


class Transformer(nn.Module):
    """Token embedding, positions and a stack of blocks: the trunk of encoder and decoder."""

    causal: bool

    def __init__(self, config: TransformerConfig, words: Sequence[str] = ()) -> None:
        """`words` is the vocabulary, which only a model that looks at spellings or lower-case forms needs."""
        super().__init__()
        self.config = config
        self.embedding = token_embedding(config, words)
        self.dropout = Dropout(config.embedding_dropout)
        self.positions = position_method(config, self.causal)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.final_norm = layer_norm(config) if config.norm == "pre" else nn.Identity()

    def hidden(
        self,
        ids: Tensor,  # (B, T)
        lengths: Tensor | None = None,  # (B,) tokens of each row that are not padding; None: all count
        cache: KeyValueCache | None = None,
        return_attention: bool = False,
        table: Tensor | None = None,  # (V, C) the word vectors, if they are at hand
    ) -> tuple[Tensor, list[Tensor]]:
        """The vectors (B, T, C) after the last block and, if asked, each layer's attention weights (B, H, T, S)."""
        n_tokens, start = ids.size(1), cache.length if cache else 0
        places = torch.arange(start, start + n_tokens, device=ids.device)  # (T,)
        x = self.embedding(ids) if table is None else F.embedding(ids, table)  # (B, T, C)
        vectors = self.positions.vectors(places)
        if vectors is not None:
            x = torch.add(vectors, x, alpha=self.positions.embedding_scale)
        x = self.dropout(x)
        rotation = self.positions.rotation(places)
        bias = attention_bias(self.positions, start, n_tokens, self.causal, self.config.window, lengths, ids.device)
        maps = []
        for layer, block in enumerate(self.blocks):
            extend = None if cache is None else lambda k, v, layer=layer: cache.extend(layer, k, v)
            x, weights = block(x, bias, rotation, extend, return_attention)
            if weights is not None:
                maps.append(weights)
        if cache is not None:
            cache.length += n_tokens
        return self.final_norm(x), maps


# -------------------------------------------------------------------------------------------------------- the models


class Encoder(Transformer):
    """Every token attends to every other."""

    causal = False

    def forward(
        self, ids: Tensor, lengths: Tensor | None = None, return_attention: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """ids (B, T) -> vectors (B, T, C), and the attention maps if asked: a list over layers of (B, H, T, T)."""
        return self.hidden(ids, lengths, return_attention=return_attention)


class Decoder(Transformer):
    """A language model: every token attends to itself and the tokens before it, and predicts the next one."""

    causal = True

    def __init__(self, config: TransformerConfig, words: Sequence[str] = (), seed: int = 0) -> None:
        super().__init__(config, words)
        self.head = nn.Linear(config.n_embd, config.vocabulary_size)
        if config.tied:
            self.head.register_parameter("weight", None)
        initialise(self, seed)

    def forward(
        self, ids: Tensor, cache: KeyValueCache | None = None, return_attention: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """ids (B, T) -> logits of the next token (B, T, V), and the attention maps if asked."""
        table = self.embedding.weight
        hidden, maps = self.hidden(ids, cache=cache, return_attention=return_attention, table=table)
        return F.linear(hidden, self.output_weight(table), self.head.bias), maps

    def output_weight(self, table: Tensor) -> Tensor:
        """The weight of the output layer (V, C), given the word vectors (V, C)."""
        return table if self.config.tied else self.head.weight

    def loss(self, ids: Tensor, targets: Tensor, prior: Tensor | None = None, share: Tensor | None = None) -> Tensor:
        """Mean cross entropy of the `targets` (B, T) that follow the tokens `ids` (B, T), in nats.

        Smoothed, if given: `share` (B, T) of each target's probability is spread over the vocabulary as `prior` (V,).
        """
        table = self.embedding.weight
        vectors = self.hidden(ids, table=table)[0].flatten(0, 1).float()  # (B T, C)
        share = None if share is None else share.reshape(-1, 1)  # (B T, 1)
        with torch.autocast(ids.device.type, enabled=False):
            return LinearCrossEntropy.apply(
                vectors, self.output_weight(table), self.head.bias, targets.reshape(-1, 1), prior, share
            )

    def nats(self, ids: Tensor, targets: Tensor) -> Tensor:
        """-log p of each of the `targets` (B, S) that follow the last S of the tokens `ids` (B, T), S <= T: (B, S),
        without gradients."""
        table = self.embedding.weight
        vectors = self.hidden(ids, table=table)[0][:, -targets.size(1) :].flatten(0, 1)  # (B S, C)
        weight, bias = self.output_weight(table), self.head.bias
        rows = zip(vectors.split(ROWS), targets.flatten().split(ROWS))
        nats = [F.cross_entropy(F.linear(x, weight, bias).float(), target, reduction="none") for x, target in rows]
        return torch.cat(nats).view_as(targets)


ROWS = 64  # logits of so many tokens at a time stay in the processor's cache


class LinearCrossEntropy(torch.autograd.Function):
    """The mean of -target . log softmax(linear(x, weight, bias)), without ever holding the (N, V) logits.

    The output layer is most of a small language model's work, and its logits are larger than any cache. Here they are
    made for a few rows at a time, turned at once into their own gradient, softmax - target, and forgotten.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,  # (N, C)
        weight: Tensor,  # (V, C)
        bias: Tensor,  # (V,)
        targets: Tensor,  # (N, 1) words
        prior: Tensor | None,  # (V,) a distribution, of which
        share: Tensor | None,  # (N, 1) of each row's target consists; the rest is its word
    ) -> Tensor:
        n = len(x)
        x_gradient, weight_gradient, bias_gradient = map(torch.zeros_like, (x, weight, bias))
        total = x.new_zeros(())
        buffer = x.new_empty(min(n, ROWS), len(weight))
        for start in range(0, n, ROWS):
            rows, target = x[start : start + ROWS], targets[start : start + ROWS]
            logits = torch.addmm(bias, rows, weight.t(), out=buffer[: len(rows)])  # (rows, V)
            logits -= logits.amax(dim=1, keepdim=True)
            expected = logits.gather(1, target)  # under the target distribution, (rows, 1)
            kept = torch.ones_like(expected)
            if prior is not None and share is not None:
                smoothed = share[start : start + ROWS]
                kept = 1 - smoothed
                expected = kept * expected + smoothed * (logits @ prior)[:, None]
            exponentials = logits.exp_()
            sums = exponentials.sum(dim=1, keepdim=True)
            total += (sums.log() - expected).sum()
            gradient = exponentials.div_(sums * n).scatter_add_(1, target, -kept / n)  # softmax - target, over N
            if prior is not None and share is not None:
                gradient.addcmul_(smoothed, prior, value=-1 / n)
            torch.mm(gradient, weight, out=x_gradient[start : start + ROWS])
            weight_gradient.addmm_(gradient.t(), rows)
            bias_gradient += gradient.sum(dim=0)
        ctx.save_for_backward(x_gradient, weight_gradient, bias_gradient)
        return total / n

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        return *(scale * gradient for gradient in ctx.saved_tensors), None, None, None


class BatchNorm(nn.BatchNorm1d):
    """Batch norm (Ioffe and Szegedy 2015) that takes a last batch of one row: alone, a row has no spread, so there the
    running statistics stand in for the batch's."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


class Classifier(nn.Module):
    """An encoder, a pooling of its vectors, and a head of two linear layers.

    Pooling "mean" averages all T positions and attends to padding, as the report does, so ids must be padded to the
    block. "masked-mean" averages the tokens only, "mean-max" puts their largest value in each channel beside it, "cls"
    reads one extra token put in front (Devlin et al. 2019); with these, padding is masked everywhere, and changes
    nothing.
    """

    def __init__(self, config: TransformerConfig, words: Sequence[str] = (), seed: int = 0) -> None:
        super().__init__()
        self.config = config
        extra = [CLS] if config.pooling == "cls" else []  # its id comes after the vocabulary's last
        size, block_size = config.vocabulary_size + len(extra), config.block_size + len(extra)
        self.encoder = Encoder(replace(config, vocabulary_size=size, block_size=block_size), [*words, *extra])
        pooled = config.n_embd * (2 if config.pooling == "mean-max" else 1)
        self.head = nn.Sequential(Dropout(config.dropout), nn.Linear(pooled, config.n_classes))
        if config.head_dim:
            self.head = nn.Sequential(
                nn.Linear(pooled, config.head_dim),
                BatchNorm(config.head_dim) if config.batch_norm else nn.Identity(),
                nn.ReLU(),
                Dropout(config.dropout),
                nn.Linear(config.head_dim, config.n_classes),
            )
        initialise(self, seed)

    @property
    def masks_padding(self) -> bool:
        """Whether padding changes nothing, so that a batch may be cut at its longest row."""
        return self.config.pooling != "mean"

    def forward(self, ids: Tensor, lengths: Tensor, return_attention: bool = False) -> tuple[Tensor, list[Tensor]]:
        """ids (B, T) padded with 0, lengths (B,) -> logits (B, K), and the attention maps if asked."""
        if self.config.pooling == "cls":
            ids = F.pad(ids, (1, 0), value=self.config.vocabulary_size)
            lengths = lengths + 1
        hidden, maps = self.encoder(ids, lengths if self.masks_padding else None, return_attention)  # (B, T, C)
        return self.head(self.pool(hidden, lengths)), maps

    def loss(self, ids: Tensor, lengths: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """Mean cross entropy of the `labels` (B,), in nats; `smoothing` of each is spread over all classes."""
        return F.cross_entropy(self(ids, lengths)[0].float(), labels, label_smoothing=smoothing)

    def pool(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Vectors (B, T, C) -> one vector a row (B, C), or (B, 2 C) for mean and maximum."""
        if self.config.pooling == "cls":
            return hidden[:, 0]
        if self.config.pooling == "mean":
            return hidden.mean(dim=1)
        inside = (torch.arange(hidden.size(1), device=hidden.device) < lengths[:, None])[..., None]  # (B, T, 1)
        mean = (hidden * inside).sum(dim=1) / lengths[:, None]
        if self.config.pooling == "masked-mean":
            return mean
        return torch.cat([mean, hidden.masked_fill(~inside, -torch.inf).amax(dim=1)], dim=1)  # (B, 2 C)


class Ensemble(Classifier):
    """Classifiers that start from different weights, learn each on its own, and vote: their probabilities are averaged
    (Hansen and Salamon 1990). The first one is the classifier that would have been alone, and the attention maps are
    its."""

    def __init__(self, config: TransformerConfig, words: Sequence[str] = (), seed: int = 0) -> None:
        nn.Module.__init__(self)
        self.config = config
        seeds = [seed, *(derived_seed(seed, "member", number) for number in range(1, config.n_members))]
        self.members: Any = nn.ModuleList(Classifier(config, words, one) for one in seeds)

    def forward(self, ids: Tensor, lengths: Tensor, return_attention: bool = False) -> tuple[Tensor, list[Tensor]]:
        """ids (B, T) padded with 0, lengths (B,) -> logits (B, K), and the attention maps if asked."""
        logits, maps = zip(*(member(ids, lengths, return_attention) for member in self.members))
        return torch.stack(logits).float().softmax(dim=-1).mean(dim=0).log(), maps[0]

    def loss(self, ids: Tensor, lengths: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """The mean of the members' losses."""
        return torch.stack([member.loss(ids, lengths, labels, smoothing) for member in self.members]).mean()


def make_classifier(config: TransformerConfig, words: Sequence[str] = (), seed: int = 0) -> Classifier:
    """One classifier, or several that vote."""
    return (Classifier if config.n_members == 1 else Ensemble)(config, words, seed)


def initialise(model: Classifier | Decoder, seed: int) -> None:
    """The starting weights: all of them are decided here, but for the ones and zeros of norms and scales.

    Each parameter draws from a generator of its own, seeded by `seed` and its name, so that models of one seed start
    alike in all that they have in common: with a table of positions or without.
    """
    how = model.config.initialisation
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            random = generator(seed, "initialisation", f"{path}.{name}")
            if isinstance(module, nn.Embedding):
                nn.init.normal_(parameter, std=1.0 if how == "pytorch" else 0.02, generator=random)
            elif isinstance(module, nn.Linear) and how != "normal":
                bound = 1 / math.sqrt(module.in_features)
                nn.init.uniform_(parameter, -bound, bound, generator=random)
            elif isinstance(module, nn.Linear) and name == "weight":
                nn.init.normal_(parameter, std=0.02, generator=random)
            elif isinstance(module, nn.Linear):
                nn.init.zeros_(parameter)


def count_parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())
