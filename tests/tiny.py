"""For tests: either kind of configuration from the same settings, and the record of a run as its file holds it."""

import json
from pathlib import Path
from typing import Any

import msgspec

from dataset import Data
from modules.config import ClassifierConfig, DecoderConfig, TransformerConfig
from training import runs
from training.recipe import Run


def classifier_of(config: TransformerConfig, **settings: Any) -> ClassifierConfig:
    """The classifier's configuration with what `config` says, but for `settings`."""
    return ClassifierConfig(**{**vars(config), **settings})


def decoder_of(config: TransformerConfig, **settings: Any) -> DecoderConfig:
    """The decoder's configuration with what `config` says, but for `settings`."""
    return DecoderConfig(**{**vars(config), **settings})


def perform(run: Run, data: Data, folder: runs.Folder, few: bool = True) -> Any:
    """What the file of the run's record holds."""
    return msgspec.to_builtins(runs.perform(run, data, folder, few))


def data_said(out: Path) -> Any:
    """What config.json and results.json, which say the same, tell of the data of a run."""
    first, second = (json.loads((out / f"{name}.json").read_text())["data"] for name in ("config", "results"))
    assert first == second
    return first
