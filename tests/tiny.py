"""For tests: a small data folder, either kind of configuration from the same settings, and a run's record as its file
holds it."""

import json
from pathlib import Path
from typing import Any

import msgspec

from dataset import Data
from modules.config import ClassifierConfig, DecoderConfig, TransformerConfig
from training import runs
from training.recipe import Run

FILES = {  # of a data folder that can be read at a glance
    "train_CLS.tsv": "0\tWe work.\n1\tWe rest.\n0\tWe hope.\n",
    "test_CLS.tsv": "1\tWe rest.\n0\tWe dream.\n",
    "train_LM.txt": "We work.\nWe rest.\n",
    "test_LM_north.txt": "We dream.\n",
    "test_LM_south.txt": "We sleep.\n",
}


def small_folder(folder: Path) -> Path:
    """FILES written to a folder."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


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
