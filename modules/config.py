"""Read this page first: all that a model can be, as configurations of an encoder with a classifier, and of a decoder.

The checks at the end refuse a setting that cannot work or does nothing. No torch is imported here, so that `--help` is
quick.
"""

from dataclasses import dataclass
from typing import Literal

from common.checks import check, setting
from common.files import UserError

PositionMethod = Literal["learned", "sinusoidal", "alibi", "rope", "t5", "none"]
Pooling = Literal["mean", "masked-mean", "mean-max"]


@dataclass(frozen=True)
class TransformerConfig:
    """The architecture that encoder and decoder share. The defaults are the report's."""

    n_embd: int = setting(64, "size of the token vectors")
    n_head: int = setting(2, "attention heads of each layer")
    n_layer: int = setting(4, "layers; 0: no attention, tokens and positions alone")
    block_size: int = setting(32, "tokens that the model reads at once in training")
    ff_dim: int = setting(256, "hidden size of the feed-forward network; 0: a block is attention alone")
    positions: PositionMethod = setting("learned", "how the model knows where a token stands")
    position_std: float | None = setting(
        None, "standard deviation with which learned positions start; none: as token vectors do"
    )
    alibi_slope_scale: float = setting(1.0, "ALiBi: 8 makes every slope 8 times as steep")
    window: int | None = setting(None, "attend only to tokens at most this many positions away")
    norm: Literal["post", "pre", "none"] = setting(
        "post", "layer norm: after each residual, or before each branch and at the end"
    )
    activation: Literal["relu", "gelu"] = setting("relu", "activation of the feed-forward network")
    dropout: float = setting(
        0.0, "rate on attention weights, feed-forward network, residual branches and classifier head"
    )
    embedding_dropout: float = setting(0.0, "rate on the sum of token and position vectors")
    drop_path: float = setting(0.0, "how often a row skips a residual branch in training")
    layer_scale: float | None = setting(
        None, "where the factor on each channel of a residual branch starts; none: no factor"
    )
    n_spellings: int = setting(0, "rows of a table for the character n-grams that words are spelled with; 0: none")
    initialisation: Literal["normal", "pytorch", "normal-embeddings"] = setting(
        "normal", "normal(0, 0.02) and zero biases, PyTorch's default, or that but normal(0, 0.02) for embeddings"
    )

    def __post_init__(self) -> None:
        check_architecture(self)


@dataclass(frozen=True)
class ClassifierConfig(TransformerConfig):
    """The encoder's architecture, and what stands on top of it."""

    pooling: Pooling = setting("mean", "mean counts and attends to padding, as the report does; the others mask it")
    head_dim: int = setting(100, "hidden size of the head; 0: one linear layer")
    batch_norm: bool = setting(False, "batch norm after the first linear layer of the head")
    phrases: bool = setting(False, "vectors for lower-case forms and pairs of words, too")
    n_members: int = setting(1, "classifiers that differ in where they start, and vote")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_head(self)


@dataclass(frozen=True)
class DecoderConfig(TransformerConfig):
    """The decoder's architecture."""

    tied: bool = setting(False, "the output layer's weight is the token embedding")
    ngram_share: float = setting(0.0, "share of each probability that a Kneser-Ney trigram of the training text gives")
    voices: bool = setting(False, "learn the labelled rows, too, with a vector and an output bias for each speaker")

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, "from 0 to below 1", "ngram_share")


def check_architecture(config: TransformerConfig) -> None:
    """UserError for an architecture that cannot be, or has a setting that does nothing."""
    check(config, "at least 1", "n_embd", "n_head", "block_size")
    check(config, "from 0 to 1000", "n_layer")
    check(config, "at least 0", "ff_dim", "window", "alibi_slope_scale", "layer_scale", "n_spellings")
    check(config, "above 0", "position_std")
    check(config, "from 0 to below 1", "dropout", "embedding_dropout", "drop_path")
    if config.n_embd % config.n_head:
        raise UserError(f"n_embd {config.n_embd} is not a multiple of n_head {config.n_head}")
    if config.positions == "rope" and (config.n_embd // config.n_head) % 2:
        raise UserError(f"rotary positions need an even head size, not {config.n_embd // config.n_head}")
    if config.positions == "sinusoidal" and config.n_embd % 2:
        raise UserError(f"sinusoidal positions need an even n_embd, not {config.n_embd}")
    if not config.n_layer:
        if config.positions in ("alibi", "rope", "t5"):
            raise UserError(f"positions {config.positions} does nothing without a layer; set n_layer above 0")
        refuse_unused(config, "without a layer; set n_layer above 0", window=None, drop_path=0, layer_scale=None)
    if config.positions != "alibi":
        refuse_unused(config, f"with {config.positions} positions; choose alibi", alibi_slope_scale=1)
    if config.positions != "learned":
        refuse_unused(config, f"with {config.positions} positions; choose learned", position_std=None)
    if not (config.n_layer and config.ff_dim):
        refuse_unused(config, "without a feed-forward network; set ff_dim above 0", activation="relu")


def check_head(config: ClassifierConfig) -> None:
    """UserError for a classifier on top of an encoder that cannot be."""
    check(config, "from 1 to 1000", "n_members")
    check(config, "at least 0", "head_dim")
    if config.batch_norm and not config.head_dim:
        raise UserError("batch_norm stands after the first of two layers of the head, and head_dim 0 has one layer")
    if config.phrases and config.n_spellings:
        raise UserError("phrases and n_spellings are two kinds of word vectors; choose one")


def refuse_unused(config: TransformerConfig, remedy: str, **off: object) -> None:
    """UserError for the first setting that does nothing, unless it has its value in `off`."""
    for name, value in off.items():
        if getattr(config, name, value) != value:
            raise UserError(f"{name} does nothing {remedy}, or leave it out")
