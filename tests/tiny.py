"""Either kind of configuration from the same settings, for tests."""

from typing import Any

from transformer import ClassifierConfig, DecoderConfig, TransformerConfig


def classifier_of(config: TransformerConfig, **settings: Any) -> ClassifierConfig:
    """The classifier's configuration with what `config` says, but for `settings`."""
    return ClassifierConfig(**{**vars(config), **settings})


def decoder_of(config: TransformerConfig, **settings: Any) -> DecoderConfig:
    """The decoder's configuration with what `config` says, but for `settings`."""
    return DecoderConfig(**{**vars(config), **settings})
