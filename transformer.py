"""Token ids -> vectors -> logits: the transformer of this laboratory, written out by hand.

Read modules/config.py, its configuration, first, and then this page from the top: attention; the methods that tell a
model where a token stands; the block; the trunk that encoder and decoder share; and what is built on it: a classifier,
several that vote, or a decoder, which may learn to speak as several people. Encoder and decoder differ only in the bias
that is added to the attention scores. Shapes at line ends use

    B batch    T tokens    S tokens attended to (keys)    C n_embd    H heads    D = C / H    V vocabulary    K classes

A `HookPoint` computes nothing. Under its name, what passes it can be read, replaced and differentiated
(modules/hook_point.py).
"""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.randomness import derived_seed, generator
from modules.config import ClassifierConfig, DecoderConfig, TransformerConfig
from modules.cross_entropy import linear_cross_entropy, linear_nats
from modules.hook_point import HookPoint
from modules.layers import BatchNorm, Branch, Dropout
from modules.word_vectors import NO_PAIRS, PhraseEmbedding, SpelledEmbedding, word_embedding

# -------------------------------------------------------------------------------------------------- context, attention


@dataclass(frozen=True)
class Context:
    """What all attention layers share in one forward pass, made once by the trunk."""

    bias: Tensor | None = None  # added to the attention scores; broadcasts to (B, H, T, S)
    rotation: tuple[Tensor, Tensor] | None = None  # cosine and sine (T, D) by which queries and keys turn
    cache: "KeyValueCache | None" = None  # of the tokens before these


class SelfAttention(nn.Module):
    """Multi-head self-attention: q, k and v without bias from one product, the output projection with bias."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.scores, self.weights, self.heads = HookPoint(), HookPoint(), HookPoint()
        self.dropout = Dropout(config.dropout)
        self.projection = nn.Linear(config.n_embd, config.n_embd)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        qkv = self.qkv(x).float().unflatten(-1, (3 * self.n_head, -1))  # (B, T, 3 H, D)
        q, k, v = (part.transpose(1, 2) for part in qkv.chunk(3, dim=2))  # each (B, H, T, D)
        if context.rotation is not None:
            q, k = rotate(q, context.rotation), rotate(k, context.rotation)
        if context.cache is not None:
            k, v = context.cache.extend(self, k, v)  # (B, H, S, D)
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 would be less exact and, on a CPU, slower
            heads = self.heads(self.attend(q, k, v, context.bias))  # (B, H, T, D)
        return self.projection(heads.transpose(1, 2).flatten(2))  # (B, T, C)

    def attend(
        self,
        q: Tensor,  # (B, H, T, D)
        k: Tensor,  # (B, H, S, D)
        v: Tensor,  # (B, H, S, D)
        bias: Tensor | None = None,  # broadcasts to (B, H, T, S)
    ) -> Tensor:
        """Scaled dot-product attention: softmax(q k^T / sqrt(D) + bias) v (Vaswani et al. 2017, section 3.2.1).

        Where no hook reads scores or weights and no weight is dropped, PyTorch's kernel computes the same formula
        without holding the T x S weights of every head in memory. The tests hold both equal, forward and backward.
        """
        drops = self.training and self.dropout.p > 0
        if not (drops or self.scores.is_hooked or self.weights.is_hooked):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, T, S)
        scores = self.scores(scores if bias is None else scores + bias)
        weights = self.weights(scores.softmax(dim=-1))  # (B, H, T, S)
        return self.dropout(weights) @ v


class KeyValueCache:
    """Keys and values of the tokens that a decoder has read, so that each new token costs one row of attention."""

    def __init__(self) -> None:
        self.length = 0  # tokens read before the current forward pass
        self.layers: dict[nn.Module, tuple[Tensor, Tensor]] = {}  # keys and values (B, H, S, D) of each attention

    def extend(self, layer: nn.Module, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append k and v (B, H, T, D) to those of a layer (B, H, S, D); returns all of them (B, H, S + T, D)."""
        if layer in self.layers:
            past_k, past_v = self.layers[layer]
            k, v = torch.cat([past_k, k], dim=2), torch.cat([past_v, v], dim=2)
        self.layers[layer] = k, v
        return k, v


# ---------------------------------------------------------------------------------------------------------- positions


class Positions(nn.Module):
    """How a model knows where a token stands: the interface of the position methods.

    A method gives vectors to add to the tokens, or a rotation of queries and keys, or a bias on the attention scores;
    the other two stay None. All three depend on nothing but positions, so they are computed once for all layers. (That
    leaves out DeBERTa's disentangled attention, He et al. 2021, which depends on each layer's queries and keys.)
    """

    embedding_scale = 1.0  # by which token vectors are multiplied before the vectors of the positions are added
    n_positions: int | None = None  # the most tokens it can tell apart; None: no limit

    def vectors(self, positions: Tensor) -> Tensor | None:
        """Vectors (T, C) to add to the token vectors at `positions` (T,)."""
        return None

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor] | None:
        """Cosine and sine (T, D) by which queries and keys at `positions` (T,) turn."""
        return None

    def bias(self, distance: Tensor) -> Tensor | None:
        """Bias (H, T, S) on the scores, for `distance` (T, S) = key's position - query's position."""
        return None


class NoPositions(Positions):
    """No positions: an encoder sees a bag of words, a decoder no more order than its mask gives it."""


class LearnedPositions(Positions):
    """A table of one trained vector a position (Gehring et al. 2017; Devlin et al. 2019). Undefined past its end."""

    def __init__(self, n_positions: int, n_embd: int) -> None:
        super().__init__()
        self.n_positions = n_positions
        self.table = nn.Embedding(n_positions, n_embd)

    def vectors(self, positions: Tensor) -> Tensor:
        return self.table(positions)  # (T, C)


class SinusoidalPositions(Positions):
    """Fixed sines and cosines of geometric wavelengths (Vaswani et al. 2017, section 3.5). Their norm is
    sqrt(n_embd / 2), in which small token vectors would drown: these are scaled up, too (section 3.4)."""

    def __init__(self, n_embd: int) -> None:
        super().__init__()
        self.n_embd = n_embd
        self.embedding_scale = math.sqrt(n_embd)

    def vectors(self, positions: Tensor) -> Tensor:
        angles = _angles(positions, self.n_embd)  # (T, C / 2)
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (T, C)


class RotaryPositions(Positions):
    """Queries and keys turn by an angle that grows with position; scores depend on distance only (Su et al. 2021)."""

    def __init__(self, head_size: int) -> None:
        super().__init__()
        self.head_size = head_size

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        angles = _angles(positions, self.head_size).repeat(1, 2)  # (T, D)
        return angles.cos(), angles.sin()


def _angles(positions: Tensor, size: int) -> Tensor:
    """position / 10000^(2i / size) for i = 0 .. size / 2 - 1: (T, size / 2)."""
    frequencies = 10000 ** (-torch.arange(0, size, 2, device=positions.device) / size)
    return positions[:, None] * frequencies


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (x[i], x[i + D/2]) of x (B, H, T, D) by its angle."""
    cosine, sine = rotation  # (T, D)
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


class ALiBi(Positions):
    """Attention with linear biases: each head subtracts its slope times the distance (Press et al. 2021).

    Distance has no sign: with one, an encoder would reward the tokens to the right. (A decoder's mask hides those.)
    """

    slopes: Tensor  # (H,)

    def __init__(self, n_head: int, slope_scale: float = 1.0) -> None:
        super().__init__()
        slopes = [slope_scale * slope for slope in alibi_slopes(n_head)]
        # Computed on the CPU even while a model is built without memory ("meta"), because no file holds them
        self.register_buffer("slopes", torch.tensor(slopes, device="cpu"), persistent=False)

    def bias(self, distance: Tensor) -> Tensor:
        return -self.slopes[:, None, None] * distance.abs()  # (H, T, S)


def alibi_slopes(n_head: int) -> list[float]:
    """Slope of head h = 1 .. n: 2^(-8h/n). For n that is no power of two, the slopes of the power of two below it,
    then every other slope of twice that power (the authors' interpolation)."""
    power = 2 ** math.floor(math.log2(n_head))
    slopes = [2 ** (-8 * h / power) for h in range(1, power + 1)]
    return slopes + [2 ** (-4 * h / power) for h in range(1, 2 * (n_head - power), 2)]


class T5Positions(Positions):
    """A trained bias for each head and bucket of distance; buckets widen with distance (Raffel et al. 2020, 2.1).

    Half of the buckets (in each direction, if `bidirectional`) hold one distance each, the others grow logarithmically
    up to 128 tokens, and the last holds everything beyond.
    """

    N_BUCKETS, MAX_DISTANCE = 32, 128

    def __init__(self, n_head: int, bidirectional: bool) -> None:
        super().__init__()
        self.bidirectional = bidirectional
        self.table = nn.Embedding(self.N_BUCKETS, n_head)

    def buckets(self, distance: Tensor) -> Tensor:
        """The bucket (T, S) of each distance (T, S)."""
        n_buckets, behind = self.N_BUCKETS, (-distance).clamp(min=0)
        offset = torch.zeros_like(distance)
        if self.bidirectional:
            n_buckets //= 2
            offset, behind = n_buckets * (distance > 0), distance.abs()
        exact = n_buckets // 2
        growth = (behind.clamp(min=1) / exact).log() / math.log(self.MAX_DISTANCE / exact)  # 0 .. 1 from exact to max
        wide = (exact + (growth * (n_buckets - exact)).long()).clamp(max=n_buckets - 1)
        return offset + torch.where(behind < exact, behind, wide)

    def bias(self, distance: Tensor) -> Tensor:
        return self.table(self.buckets(distance)).permute(2, 0, 1)  # (H, T, S)


def position_method(config: TransformerConfig, causal: bool) -> Positions:
    """The position method that `config` names."""
    match config.positions:
        case "learned":
            return LearnedPositions(config.block_size, config.n_embd)
        case "sinusoidal":
            return SinusoidalPositions(config.n_embd)
        case "rope":
            return RotaryPositions(config.n_embd // config.n_head)
        case "alibi":
            return ALiBi(config.n_head, config.alibi_slope_scale)
        case "t5":
            return T5Positions(config.n_head, bidirectional=not causal)
        case "none":
            return NoPositions()


# ------------------------------------------------------------------------------------------------------ block, trunk


class Block(nn.Module):
    """Attention and a feed-forward network, each on a residual branch, with the norm after ("post": Vaswani et al.
    2017, section 3.1) or before the branch ("pre": Xiong et al. 2020), or with none."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm_first = config.norm != "post"
        self.attention = SelfAttention(config)
        self.norm1, self.branch1 = layer_norm(config), Branch(config)
        self.feed_forward: nn.Sequential | None = None
        if config.ff_dim:
            self.feed_forward = nn.Sequential(
                nn.Linear(config.n_embd, config.ff_dim),
                nn.ReLU() if config.activation == "relu" else nn.GELU(),
                Dropout(config.dropout),
                nn.Linear(config.ff_dim, config.n_embd),
            )
            self.feed_forward.add_module("update", HookPoint())
            self.norm2, self.branch2 = layer_norm(config), Branch(config)
        self.residual = HookPoint()

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        x = self.add(x, lambda x: self.attention(x, context), self.norm1, self.branch1)
        if self.feed_forward is not None:
            x = self.add(x, self.feed_forward, self.norm2, self.branch2)
        return self.residual(x)

    def add(self, x: Tensor, sublayer: Callable[[Tensor], Tensor], norm: nn.Module, branch: nn.Module) -> Tensor:
        """A sublayer on its residual branch, with the norm before or after: (B, T, C) -> (B, T, C)."""
        return x + branch(sublayer(norm(x))) if self.norm_first else norm(x + branch(sublayer(x)))


def layer_norm(config: TransformerConfig) -> nn.Module:
    """Layer norm over the channels (Ba et al. 2016), or nothing if the configuration has no norms."""
    return nn.Identity() if config.norm == "none" else nn.LayerNorm(config.n_embd)


MASKED = torch.finfo(torch.float32).min / 2  # finite: a row that may attend to nothing is uniform, not NaN


class Transformer(nn.Module):
    """Word vectors, positions and a stack of blocks: the trunk of encoder and decoder."""

    def __init__(self, config: TransformerConfig, embedding: nn.Module, causal: bool) -> None:
        super().__init__()
        self.config, self.causal = config, causal
        self.embedding = embedding
        self.token_vectors, self.residual = HookPoint(), HookPoint()
        self.dropout = Dropout(config.embedding_dropout)
        self.positions = position_method(config, causal)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.final_norm = layer_norm(config) if config.norm == "pre" else nn.Identity()

    def read(
        self,
        tokens: Tensor,  # (B, T, C) their vectors
        lengths: Tensor | None = None,  # (B,) tokens of each row that are not padding; None: all of them
        cache: KeyValueCache | None = None,  # of the tokens before these; these are added to it
        window: int | None = None,  # instead of the configuration's
    ) -> Tensor:
        """The vectors (B, T, C) after the last block. ValueError if there are more tokens than positions."""
        start = cache.length if cache else 0
        limit, end = self.positions.n_positions, start + tokens.size(1)
        if limit is not None and end > limit:
            raise ValueError(
                f"learned positions end at {limit} and the input has {end} tokens; shorten it, or train with alibi, "
                "rope, t5, sinusoidal or no positions"
            )
        positions = torch.arange(start, end, device=tokens.device)  # (T,)
        x, vectors = self.token_vectors(tokens), self.positions.vectors(positions)
        if vectors is not None:
            x = torch.add(vectors, x, alpha=self.positions.embedding_scale)
        x = self.residual(self.dropout(x))  # (B, T, C)
        bias = self.attention_bias(positions, end, lengths, self.config.window if window is None else window)
        context = Context(bias, self.positions.rotation(positions), cache)
        for block in self.blocks:
            x = block(x, context)
        if cache is not None:
            cache.length = end
        return self.final_norm(x)

    def attention_bias(
        self, positions: Tensor, n_keys: int, lengths: Tensor | None, window: int | None
    ) -> Tensor | None:
        """What is added to the scores of queries at `positions` (T,) and keys at 0 .. n_keys - 1, in all layers.

        Returns the position method's bias, with MASKED where a query may not see a key (the future if causal, past the
        window, padding beyond `lengths` (B,)): broadcasts to (B, H, T, S). None where nothing is biased or masked. With
        fewer than four dimensions PyTorch's kernel would take a slow path.
        """
        keys = torch.arange(n_keys, device=positions.device)  # (S,)
        distance = keys - positions[:, None]  # (T, S)
        bias = self.positions.bias(distance)  # (H, T, S)
        masks = []
        if self.causal and len(positions) > 1:
            masks.append(distance > 0)
        if window is not None:
            masks.append(distance.abs() > window)
        if lengths is not None:
            masks.append((keys >= lengths[:, None])[:, None, None])  # (B, 1, 1, S)
        if bias is None and not masks:
            return None
        bias = distance.new_zeros(1, 1, *distance.shape, dtype=torch.float32) if bias is None else bias[None]
        for is_hidden in masks:
            bias = bias.masked_fill(is_hidden, MASKED)
        return bias  # (1 or B, 1 or H, T, S)


# -------------------------------------------------------------------------------------------------------- classifier


class Classifier(nn.Module):
    """An encoder, a pooling of its vectors, and a head of two linear layers.

    Pooling "mean" averages all T positions and attends to padding, as the report does, so ids must be padded to the
    block. "masked-mean" averages the tokens only, and "mean-max" adds their largest value in each channel; with these,
    padding is masked everywhere and changes nothing.
    """

    temperature: Tensor  # () by which logits are divided: 1, or what evaluation/calibration.py fits

    def __init__(
        self,
        config: ClassifierConfig,
        words: Sequence[str],  # the vocabulary
        n_classes: int,
        seed: int = 0,
        pairs: Tensor = NO_PAIRS,  # (P,) the `word_pairs` that have vectors, for a configuration with phrases
    ) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("temperature", torch.ones(()))
        embedding = PhraseEmbedding(words, pairs, config.n_embd) if config.phrases else word_embedding(config, words)
        self.encoder = Transformer(config, embedding, causal=False)
        n_pooled = config.n_embd * (2 if config.pooling == "mean-max" else 1)
        self.head = nn.Sequential(Dropout(config.dropout), nn.Linear(n_pooled, n_classes))
        if config.head_dim:
            self.head = nn.Sequential(
                nn.Linear(n_pooled, config.head_dim),
                BatchNorm(config.head_dim) if config.batch_norm else nn.Identity(),
                nn.ReLU(),
                Dropout(config.dropout),
                nn.Linear(config.head_dim, n_classes),
            )
        initialise(self, seed)

    @property
    def masks_padding(self) -> bool:
        """Whether padding changes nothing, so that a batch may be cut at its longest row."""
        return self.config.pooling != "mean"

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """ids (B, T) padded with 0, lengths (B,) -> logits (B, K)."""
        hidden = self.encoder.read(self.encoder.embedding(ids), lengths if self.masks_padding else None)  # (B, T, C)
        return self.head(self.pool(hidden, lengths)) / self.temperature

    def loss(self, ids: Tensor, lengths: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Mean cross entropy of the `labels` (B,), in nats; a share `label_smoothing` is spread over all classes."""
        return F.cross_entropy(self(ids, lengths).float(), labels, label_smoothing=label_smoothing)

    def pool(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Vectors (B, T, C) -> one vector a row (B, C), or (B, 2 C) for mean and maximum."""
        if self.config.pooling == "mean":
            return hidden.mean(dim=1)
        is_token = (torch.arange(hidden.size(1), device=hidden.device) < lengths[:, None])[..., None]  # (B, T, 1)
        mean = (hidden * is_token).sum(dim=1) / lengths[:, None]
        if self.config.pooling == "masked-mean":
            return mean
        return torch.cat([mean, hidden.masked_fill(~is_token, -torch.inf).amax(dim=1)], dim=1)


class Vote(nn.Module):
    """Classifiers that start from different weights, are trained independently, and vote: their probabilities are
    averaged (Hansen and Salamon 1990). The first is the one that there would be without a vote."""

    temperature: Tensor  # () as in a classifier; that of the members stays 1

    def __init__(
        self, config: ClassifierConfig, words: Sequence[str], n_classes: int, seed: int = 0, pairs: Tensor = NO_PAIRS
    ) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("temperature", torch.ones(()))
        seeds = [seed, *(derived_seed(seed, "member", number) for number in range(1, config.n_members))]
        self.members = nn.ModuleList(Classifier(config, words, n_classes, seed, pairs) for seed in seeds)

    @property
    def masks_padding(self) -> bool:
        """Whether padding changes nothing, so that a batch may be cut at its longest row."""
        return self.config.pooling != "mean"

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """ids (B, T) padded with 0, lengths (B,) -> logits (B, K)."""
        logits = torch.stack([member(ids, lengths) for member in self.members])
        return logits.float().softmax(dim=-1).mean(dim=0).log() / self.temperature

    def loss(self, ids: Tensor, lengths: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """The mean of the members' losses."""
        losses = [member.loss(ids, lengths, labels, label_smoothing) for member in self.members]  # type: ignore[operator]
        return torch.stack(losses).mean()


def build_classifier(
    config: ClassifierConfig, words: Sequence[str], n_classes: int, seed: int = 0, pairs: Tensor = NO_PAIRS
) -> Classifier | Vote:
    """A classifier, or a vote of as many as the configuration says."""
    return (Vote if config.n_members > 1 else Classifier)(config, words, n_classes, seed, pairs)


# ----------------------------------------------------------------------------------------------------------- decoder


class Decoder(Transformer):
    """A language model: every token attends to itself and the tokens before it, and predicts the next one."""

    config: DecoderConfig
    embedding: nn.Embedding | SpelledEmbedding

    def __init__(
        self,
        config: DecoderConfig,
        words: Sequence[str],  # the vocabulary
        seed: int = 0,
        n_speakers: int = 0,  # that have voices, if the configuration says so
    ) -> None:
        super().__init__(config, word_embedding(config, words), causal=True)
        self.head = nn.Linear(config.n_embd, len(words))
        if config.tied:  # the output layer's weight is that of the word vectors (Press and Wolf 2017)
            self.head.register_parameter("weight", None)
        self.voices = Voices(n_speakers, len(words), config.n_embd) if config.voices else None
        initialise(self, seed)

    def forward(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """ids (B, T) -> logits of the next token (B, T, V)."""
        hidden, weight, bias = self.before_logits(ids, cache=cache)
        return F.linear(hidden, weight, bias)

    def loss(self, ids: Tensor, targets: Tensor, speaker: int = 0) -> Tensor:
        """Mean cross entropy, in nats, of the `targets` (B, T) that follow `ids` (B, T), as one speaker says them."""
        hidden, weight, bias = self.before_logits(ids, speaker=speaker)
        return linear_cross_entropy(hidden.flatten(0, 1), weight, bias, targets.flatten())

    def nats(self, ids: Tensor, targets: Tensor, window: int | None = None) -> Tensor:
        """-log p, without gradients, of each of the `targets` (B, S) that follow the last S of the tokens `ids` (B, T),
        S <= T: (B, S). `window`: attend only to tokens at most so many positions away."""
        hidden, weight, bias = self.before_logits(ids, window=window)
        hidden = hidden[:, -targets.size(1) :]  # (B, S, C)
        return linear_nats(hidden.flatten(0, 1), weight, bias, targets.flatten()).view_as(targets)

    def before_logits(
        self, ids: Tensor, cache: KeyValueCache | None = None, window: int | None = None, speaker: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """ids (B, T) -> vectors (B, T, C) after the last block, and the weight (V, C) and bias (V,) that turn them into
        logits, for one speaker; 0 is nobody in particular."""
        word_vectors: Tensor = self.embedding.weight  # (V, C)
        bias: Tensor = self.head.bias  # (V,)
        weight = word_vectors if self.config.tied else self.head.weight
        if self.voices is not None:
            word_vectors = word_vectors + self.voices.vectors.weight[speaker]
            bias = bias + self.voices.biases[speaker]
        return self.read(F.embedding(ids, word_vectors), cache=cache, window=window), weight, bias

    def as_speaker(self, speaker: int) -> "Decoder":
        """A copy without voices that speaks as one speaker; ValueError without voices.

        A tied output weight moves with the word vectors. That changes all logits by the same amount, and so no
        probability.
        """
        if self.voices is None:
            raise ValueError("a decoder without voices speaks as nobody in particular")
        decoder = deepcopy(self)
        embedding = decoder.embedding.words if isinstance(decoder.embedding, SpelledEmbedding) else decoder.embedding
        with torch.no_grad():
            embedding.weight.add_(self.voices.vectors.weight[speaker])
            decoder.head.bias.add_(self.voices.biases[speaker])
        decoder.config, decoder.voices = replace(self.config, voices=False), None
        return decoder


class Voices(nn.Module):
    """What a decoder learns of each speaker: a vector that is added to every word's (Li et al. 2016, section 4.1), and
    a bias of the output layer. Speaker 0 is nobody in particular, as in texts that name no speaker."""

    shares: Tensor  # (speakers,) how often each of the others speaks

    def __init__(self, n_speakers: int, vocabulary_size: int, n_embd: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(1 + n_speakers, n_embd)
        self.biases = nn.Parameter(torch.zeros(1 + n_speakers, vocabulary_size))
        self.register_buffer("shares", torch.full((n_speakers,), 1 / max(n_speakers, 1)))


# ---------------------------------------------------------------------------------------------------- initialisation


def initialise(model: Classifier | Decoder, seed: int) -> None:
    """Draw the starting weights: all but the ones and zeros of norms, scales and voices.

    Each parameter has its own generator, seeded by `seed` and its name. So models of one seed start alike in all that
    they have in common, whatever else they have, such as a table of positions.
    """
    embedding_std, linear = {
        "normal": (0.02, _normal),
        "pytorch": (1.0, _uniform),
        "normal-embeddings": (0.02, _uniform),
    }[model.config.initialisation]
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            random = generator(seed, "initialisation", f"{path}.{name}")
            if isinstance(module, nn.Embedding):
                of_positions = model.config.position_std if path.endswith("positions.table") else None
                nn.init.normal_(parameter, std=of_positions or embedding_std, generator=random)
            elif isinstance(module, nn.Linear):
                linear(parameter, module.in_features, random)


def _normal(parameter: Tensor, n_inputs: int, random: torch.Generator) -> None:
    """A weight from normal(0, 0.02); a bias of zero (Radford et al. 2018, section 4.1)."""
    if parameter.dim() > 1:
        nn.init.normal_(parameter, std=0.02, generator=random)
    else:
        nn.init.zeros_(parameter)


def _uniform(parameter: Tensor, n_inputs: int, random: torch.Generator) -> None:
    """Weight and bias uniform within 1 / sqrt(n_inputs), PyTorch's default for linear layers."""
    bound = 1 / math.sqrt(n_inputs)
    nn.init.uniform_(parameter, -bound, bound, generator=random)
