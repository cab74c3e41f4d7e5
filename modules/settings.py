"""Which architectures can be: a setting that would do nothing, or could not work, is refused in one line."""

from typing import Any

from common.checks import check
from common.files import UserError


def check_architecture(config: Any) -> None:
    """UserError for what cannot be in a TransformerConfig, or one of those made from it."""
    check(config, "at least 1", "n_embd", "n_head", "block_size")
    check(config, "at least 0", "n_layer", "ff_dim", "window", "alibi_slope_scale", "layer_scale", "n_spellings")
    check(config, "from 0 to below 1", "dropout", "embedding_dropout", "drop_path")
    if config.n_embd % config.n_head:
        raise UserError(f"n_embd {config.n_embd} is not a multiple of n_head {config.n_head}")
    if config.positions == "rope" and (config.n_embd // config.n_head) % 2:
        raise UserError(f"rotary positions need an even head size, not {config.n_embd // config.n_head}")
    if config.positions == "sinusoidal" and config.n_embd % 2:
        raise UserError(f"sinusoidal positions need an even n_embd, not {config.n_embd}")
    if not config.n_layer and config.positions in ("alibi", "rope", "t5"):
        what = f"positions {config.positions} does nothing without a layer"
        raise UserError(f"{what}; set n_layer above 0, or leave it out")
    if not config.n_layer:
        refuse_idle(config, "without a layer; set n_layer above 0", window=None, drop_path=0, layer_scale=None)
    if config.positions != "alibi":
        remedy = f"with {config.positions} positions; choose alibi"
        refuse_idle(config, remedy, alibi_slope_scale=1, alibi_one_sided=False)
    if not (config.n_layer and config.ff_dim):
        refuse_idle(config, "without a feed-forward network; set ff_dim above 0", activation="relu")


def check_head(config: Any) -> None:
    """UserError for what cannot be in what stands on top of an encoder."""
    check(config, "at least 1", "n_members")
    check(config, "at least 0", "head_dim")
    if config.batch_norm and not config.head_dim:
        raise UserError("batch_norm stands after the first of two layers of the head, and head_dim 0 has one layer")
    if config.phrases and config.n_spellings:
        raise UserError("phrases and n_spellings are two kinds of word vectors; choose one")
    if config.alibi_one_sided and config.n_head == 1:
        raise UserError("alibi_one_sided needs heads that look back and heads that look ahead; set n_head above 1")


def refuse_idle(config: Any, remedy: str, **off: object) -> None:
    """UserError for the first setting that would do nothing: one that is not at its value in `off`."""
    for name, value in off.items():
        if getattr(config, name, value) != value:
            raise UserError(f"{name} does nothing {remedy}, or leave it out")
