"""Token ids -> vectors -> logits: the transformer of this laboratory, written out by hand.

Read it from the top: attention as one function, the methods that tell a model where a token stands, the block, the
trunk that encoder and decoder share, and what stands on top of it. The first page of modules/config.py is the
configuration of it all. Shapes at line ends use

    B batch    T tokens    S tokens attended to (keys)    C n_embd    H heads    D = C / H    V vocabulary    K classes

The encoder and the decoder differ only in the bias that is added to the attention scores. What only the strongest
recipe needs (word vectors that words share, a vote of classifiers) and what is there for speed alone is in modules/.
"""

import math
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.randomness import generator
from modules.config import ClassifierConfig, DecoderConfig, PositionMethod, TransformerConfig
from modules.cross_entropy import linear_cross_entropy, linear_nats
from modules.dropout import Dropout, drop
from modules.edit import Edit, edited
from modules.key_value_cache import Extend, KeyValueCache
from modules.normalization import BatchNorm
from modules.residual import Branch
from modules.voices import Voices
from modules.word_vectors import PhraseEmbedding, SpelledEmbedding

WordVectors = nn.Embedding | SpelledEmbedding | PhraseEmbedding


# ---------------------------------------------------------------------------------------------------------- attention


def attention(
    q: Tensor,  # (B, H, T, D)
    k: Tensor,  # (B, H, S, D)
    v: Tensor,  # (B, H, S, D)
    bias: Tensor | None = None,  # broadcasts to (B, H, T, S)
    dropout: float = 0.0,
    edit: Edit | None = None,  # sees and may change the weights, before dropout, and the output
) -> Tensor:
    """Scaled dot-product attention: softmax(q k^T / sqrt(D) + bias) v (Vaswani et al. 2017, section 3.2.1).

    Where nobody asks for the weights and there is no dropout, PyTorch's kernel computes the same formula and need not
    hold the T x S weights of every head in memory; the tests hold the two paths equal, forward and backward.
    """
    if edit is None and dropout == 0:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, T, S)
    if bias is not None:
        scores = scores + bias
    weights = edited(edit, "weights", scores.softmax(dim=-1))  # (B, H, T, S)
    return edited(edit, "heads", drop(weights, dropout) @ v)  # (B, H, T, D)


# ---------------------------------------------------------------------------------------------------------- positions


class NoPositions(nn.Module):
    """The interface of the position methods, and the method that says nothing.

    A method gives vectors to add to the tokens, or a rotation of queries and keys, or a bias on the attention scores;
    the other two answers stay None. All three depend on positions only, so one answer serves every layer; DeBERTa's
    disentangled attention (He et al. 2021), whose bias depends on each layer's queries and keys, is therefore left out.
    """

    embedding_scale = 1.0  # by which token vectors are multiplied before the vectors of the positions are added

    def __init__(self, config: TransformerConfig, causal: bool) -> None:
        super().__init__()

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

    def __init__(self, config: TransformerConfig, causal: bool) -> None:
        super().__init__(config, causal)
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

    def __init__(self, config: TransformerConfig, causal: bool) -> None:
        super().__init__(config, causal)
        self.n_embd = config.n_embd
        self.embedding_scale = math.sqrt(config.n_embd)

    def vectors(self, positions: Tensor) -> Tensor:
        angles = _angles(positions, self.n_embd)  # (T, C / 2)
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (T, C)


class RotaryPositions(NoPositions):
    """Queries and keys turn by an angle that grows with position; scores see only distances (Su et al. 2021)."""

    def __init__(self, config: TransformerConfig, causal: bool) -> None:
        super().__init__(config, causal)
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
        super().__init__(config, causal)
        self.slopes = [config.alibi_slope_scale * slope for slope in alibi_slopes(config.n_head)]
        self.one_sided = not causal and isinstance(config, ClassifierConfig) and config.alibi_one_sided

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
        super().__init__(config, causal)
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
    methods: dict[PositionMethod, type[NoPositions]] = {
        "learned": LearnedPositions,
        "sinusoidal": SinusoidalPositions,
        "rope": RotaryPositions,
        "alibi": ALiBi,
        "t5": T5Positions,
        "none": NoPositions,
    }
    return methods[config.positions](config, causal)


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
        rotation: tuple[Tensor, Tensor] | None = None,
        extend: Extend | None = None,
        edit: Edit | None = None,
    ) -> Tensor:
        qkv = self.qkv(x).float().unflatten(-1, (3 * self.n_head, -1))  # (B, T, 3 H, D)
        q, k, v = (part.transpose(1, 2) for part in qkv.chunk(3, dim=2))  # each (B, H, T, D)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        if extend is not None:
            k, v = extend(k, v)  # (B, H, S, D)
        with torch.autocast("cpu", enabled=False):  # whose kernel for bfloat16 takes several times as long
            heads = attention(q, k, v, bias, self.dropout if self.training else 0.0, edit)  # (B, H, T, D)
        return self.projection(heads.transpose(1, 2).flatten(2))  # (B, T, C)


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
            self.norm2, self.branch2 = layer_norm(config), Branch(config)

    def forward(
        self,
        x: Tensor,  # (B, T, C)
        bias: Tensor | None,
        rotation: tuple[Tensor, Tensor] | None = None,
        extend: Extend | None = None,
        edit: Edit | None = None,
    ) -> Tensor:
        x = x + self.branch1(self.attention(self.norm1(x) if self.norm_first else x, bias, rotation, extend, edit))
        if not self.norm_first:
            x = self.norm1(x)
        if self.feed_forward is None:
            return x
        update = self.feed_forward(self.norm2(x) if self.norm_first else x)  # (B, T, C)
        x = x + self.branch2(edited(edit, "feed-forward", update))
        return x if self.norm_first else self.norm2(x)


def layer_norm(config: TransformerConfig) -> nn.Module:
    """Layer norm over the channels (Ba et al. 2016), or nothing if the configuration has no norms."""
    return nn.Identity() if config.norm == "none" else nn.LayerNorm(config.n_embd)


class Transformer(nn.Module):
    """Word vectors, positions and a stack of blocks: the trunk of encoder and decoder."""

    causal: bool

    def __init__(self, config: TransformerConfig, embedding: WordVectors) -> None:
        super().__init__()
        self.config, self.embedding = config, embedding
        self.dropout = Dropout(config.embedding_dropout)
        self.positions = position_method(config, self.causal)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.final_norm = layer_norm(config) if config.norm == "pre" else nn.Identity()

    def hidden(
        self,
        ids: Tensor,  # (B, T)
        lengths: Tensor | None = None,  # (B,) tokens of each row that are not padding; None: all count
        cache: KeyValueCache | None = None,
        window: int | None = None,  # in place of the configuration's
        table: Tensor | None = None,  # (V, C) the word vectors, if they are at hand
        edit: Edit | None = None,
    ) -> Tensor:
        """The vectors (B, T, C) after the last block; `edit` sees, and may change, what stands at places on the way."""
        n_tokens, start = ids.size(1), cache.length if cache else 0
        window = self.config.window if window is None else window
        places = torch.arange(start, start + n_tokens, device=ids.device)  # (T,)
        x = self.embedding(ids) if table is None else F.embedding(ids, table)  # (B, T, C)
        vectors = self.positions.vectors(places)
        if vectors is not None:
            x = torch.add(vectors, x, alpha=self.positions.embedding_scale)
        x = edited(edit, "embedding", self.dropout(x))
        rotation = self.positions.rotation(places)
        bias = attention_bias(self.positions, start, n_tokens, self.causal, window, lengths, ids.device)
        for layer, block in enumerate(self.blocks):
            extend = None if cache is None else cache.layer(layer)
            x = block(x, bias, rotation, extend, None if edit is None else partial(edit, layer=layer))
        if cache is not None:
            cache.length += n_tokens
        return self.final_norm(x)


# -------------------------------------------------------------------------------------------------------- the models


class Encoder(Transformer):
    """Every token attends to every other."""

    causal = False

    def forward(self, ids: Tensor, lengths: Tensor | None = None, edit: Edit | None = None) -> Tensor:
        """ids (B, T) -> vectors (B, T, C)."""
        return self.hidden(ids, lengths, edit=edit)


class Decoder(Transformer):
    """A language model: every token attends to itself and the tokens before it, and predicts the next one."""

    causal = True
    config: DecoderConfig
    embedding: nn.Embedding | SpelledEmbedding

    def __init__(
        self,
        config: DecoderConfig,
        vocabulary_size: int,
        seed: int = 0,
        embedding: SpelledEmbedding | None = None,  # in place of a table of one vector a word
        n_speakers: int = 0,  # whose voices it has, if the configuration wants voices
    ) -> None:
        super().__init__(config, embedding or nn.Embedding(vocabulary_size, config.n_embd))
        self.head = OutputLayer(vocabulary_size, config.n_embd, config.tied)
        self.voices = Voices(n_speakers, vocabulary_size, config.n_embd) if config.voices else None
        initialise(self, seed)

    def words(self, speaker: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """The word vectors (V, C), and the output layer's weight (V, C) and bias (V,), as a speaker has them."""
        table = self.embedding.weight
        weight, bias = self.head(table)
        if self.voices is not None:
            table, bias = self.voices(speaker, table, bias)
        return table, weight, bias

    def forward(self, ids: Tensor, cache: KeyValueCache | None = None, edit: Edit | None = None) -> Tensor:
        """ids (B, T) -> logits of the next token (B, T, V)."""
        table, weight, bias = self.words()
        return F.linear(self.hidden(ids, cache=cache, table=table, edit=edit), weight, bias)

    def loss(
        self,
        ids: Tensor,  # (B, T)
        targets: Tensor,  # (B, T) that follow them
        prior: Tensor | None = None,
        share: Tensor | None = None,
        speaker: int = 0,  # who says all this
    ) -> Tensor:
        """Mean cross entropy of the `targets`, in nats.

        Smoothed, if given: `share` (B, T) of each target's probability is spread over the vocabulary as `prior` (V,).
        """
        table, weight, bias = self.words(speaker)
        vectors = self.hidden(ids, table=table).flatten(0, 1)  # (B T, C)
        share = None if share is None else share.reshape(-1, 1)  # (B T, 1)
        return linear_cross_entropy(vectors, weight, bias, targets.reshape(-1, 1), prior, share)

    def nats(self, ids: Tensor, targets: Tensor, window: int | None = None, edit: Edit | None = None) -> Tensor:
        """-log p of each of the `targets` (B, S) that follow the last S of the tokens `ids` (B, T), S <= T: (B, S),
        without gradients. `window`: attend only to tokens at most so many places away."""
        table, weight, bias = self.words()
        hidden = self.hidden(ids, window=window, table=table, edit=edit)[:, -targets.size(1) :]  # (B, S, C)
        return linear_nats(hidden.flatten(0, 1), weight, bias, targets.flatten()).view_as(targets)


class OutputLayer(nn.Module):
    """Weight (V, C) and bias (V,) that turn vectors to logits; tied, the weight is that of the word vectors (Press and
    Wolf 2017)."""

    def __init__(self, vocabulary_size: int, n_embd: int, tied: bool) -> None:
        super().__init__()
        self.in_features = n_embd
        self.weight = None if tied else nn.Parameter(torch.empty(vocabulary_size, n_embd))
        self.bias = nn.Parameter(torch.empty(vocabulary_size))

    def forward(self, table: Tensor) -> tuple[Tensor, Tensor]:
        return table if self.weight is None else self.weight, self.bias


class Classifier(nn.Module):
    """An encoder, a pooling of its vectors, and a head of two linear layers.

    Pooling "mean" averages all T positions and attends to padding, as the report does, so ids must be padded to the
    block. "masked-mean" averages the tokens only, "mean-max" puts their largest value in each channel beside it, "cls"
    reads one extra token put in front (Devlin et al. 2019), whose id is the vocabulary's size; with these, padding is
    masked everywhere, and changes nothing.
    """

    def __init__(
        self,
        config: ClassifierConfig,
        vocabulary_size: int,
        n_classes: int,
        seed: int = 0,
        embedding: WordVectors | None = None,  # in place of a table of one vector a word; with "cls", one more
    ) -> None:
        super().__init__()
        self.config, self.cls = config, vocabulary_size
        self.temperature = 1.0  # by which logits are divided, once training has told it (evaluation/calibration.py)
        extra = 1 if config.pooling == "cls" else 0
        embedding = embedding or nn.Embedding(vocabulary_size + extra, config.n_embd)
        self.encoder = Encoder(replace(config, block_size=config.block_size + extra), embedding)
        pooled = config.n_embd * (2 if config.pooling == "mean-max" else 1)
        self.head = nn.Sequential(Dropout(config.dropout), nn.Linear(pooled, n_classes))
        if config.head_dim:
            self.head = nn.Sequential(
                nn.Linear(pooled, config.head_dim),
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

    def forward(self, ids: Tensor, lengths: Tensor, edit: Edit | None = None) -> Tensor:
        """ids (B, T) padded with 0, lengths (B,) -> logits (B, K)."""
        if self.config.pooling == "cls":
            ids, lengths = F.pad(ids, (1, 0), value=self.cls), lengths + 1
        hidden = self.encoder(ids, lengths if self.masks_padding else None, edit)  # (B, T, C)
        return self.head(self.pool(hidden, lengths)) / self.temperature

    def loss(self, ids: Tensor, lengths: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """Mean cross entropy of the `labels` (B,), in nats; `smoothing` of each is spread over all classes."""
        return F.cross_entropy(self(ids, lengths).float(), labels, label_smoothing=smoothing)

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
            elif isinstance(module, nn.Linear | OutputLayer) and how != "normal":
                bound = 1 / math.sqrt(module.in_features)
                nn.init.uniform_(parameter, -bound, bound, generator=random)
            elif isinstance(module, nn.Linear | OutputLayer) and name == "weight":
                nn.init.normal_(parameter, std=0.02, generator=random)
            elif isinstance(module, nn.Linear | OutputLayer):
                nn.init.zeros_(parameter)
