"""The single runs whose numbers are kept: a recipe, what is changed in it, and a seed."""

import functools
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch

from dataset import Data, load_data
from evaluation import accuracy
from studies.catalogue.recipes import RECIPES
from training.recipe import Recipe, Run, Task, customise
from training.runs import Folder, perform
from training.weights import load_model

from . import made_up
from .watch import as_json, watched

N_LOSSES = 20
POSITIONS = ("learned", "sinusoidal", "alibi", "rope", "t5", "none")
NOT_NUMBERS = {"data", "identity", "machine", "machines", "total_seconds"}  # of where and when a record was made

TINY = {  # dozens of variants of the report's recipe, in seconds; smooth, for a ReLU turns rounding into other steps
    **{"n_embd": 16, "n_layer": 2, "block_size": 12, "ff_dim": 32, "activation": "gelu"},
    **{"initialisation": "normal-embeddings", "learning_rate": 0.01},
}
SMALL: dict[Task, dict[str, Any]] = {
    "classifier": {**TINY, "head_dim": 20, "batch_size": 20, "duration": 4},
    "decoder": {**TINY, "batch_size": 8, "duration": 20},
}

# Changes of the small recipe; a name says what differs from the run that is called small. What both tasks have in one
# place, such as the block and the optimizer, changes in one of them.
BOTH: dict[str, dict[str, Any]] = {
    **{f"{name} positions": {"positions": name} for name in POSITIONS if name != "learned"},
    "steep alibi": {"positions": "alibi", "alibi_slope_scale": 8.0},
    "window": {"window": 2},
    "dropout": {"dropout": 0.2},
    "embedding dropout": {"embedding_dropout": 0.2},
}
CHANGES: dict[Task, dict[str, dict[str, Any]]] = {
    "classifier": {
        **BOTH,
        "drop path": {"drop_path": 0.3},
        "layer scale": {"layer_scale": 0.1},
        "relu": {"activation": "relu"},
        "no feed-forward": {"ff_dim": 0, "activation": "relu"},
        "label smoothing": {"label_smoothing": 0.2},
        "batch norm": {"batch_norm": True},
        "batch norm and dropout": {"batch_norm": True, "dropout": 0.2},
        "masked mean": {"pooling": "masked-mean"},
        "mean and maximum": {"pooling": "mean-max"},
        "head of one layer": {"head_dim": 0},
        "three members": {"n_members": 3},
        "phrases": {"phrases": True},
        "clip": {"clip": 0.5},
        "cosine schedule": {"schedule": "cosine"},
    },
    "decoder": {
        **BOTH,
        "norm before": {"norm": "pre"},
        "no norm": {"norm": "none"},
        "unigram bias": {"unigram_bias": True},
        "tied": {"tied": True},
        "spellings": {"n_spellings": 64},
        "shuffled": {"shuffled": True},
        "no attention": {"n_layer": 0, "activation": "relu"},
        "normal initialisation": {"initialisation": "normal"},
        "weight decay": {"weight_decay": 0.5},
        "beta2": {"beta2": 0.9},
        "linear schedule, warm-up": {"schedule": "linear", "warmup": 0.2},
        "bf16": {"precision": "bf16"},
    },
}


@dataclass(frozen=True)
class Case:
    """One run: a recipe of experiments.py, and what is changed in it."""

    recipe_name: str
    task: Task
    changes: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)  # of a Run: fold, lengths, brief

    def recipe(self) -> Recipe:
        return customise(RECIPES[self.recipe_name][self.task], **self.changes)


def cases() -> dict[str, Case]:
    """Every run by name. The recipes themselves are as in experiments.py, but for how long they train."""
    found = {
        "report classifier": Case("report", "classifier", {"duration": 4}),
        "best classifier": Case("best", "classifier", {"batch_size": 16, "duration": 4}),
        "report decoder": Case("report", "decoder", {"duration": 20}),
        "best decoder": Case("best", "decoder", {"duration": 20}),
    }
    for task, changes in CHANGES.items():
        small = SMALL[task]
        found[f"small {task}"] = Case("report", task, small)
        found |= {f"small {task}, {name}": Case("report", task, small | change) for name, change in changes.items()}
    small = SMALL["classifier"]
    found["small classifier, another seed"] = Case("report", "classifier", small, seed=1)
    found["small classifier, a fold of validation"] = Case("report", "classifier", small, asked={"fold": 3})
    found["small decoder, a fold of validation"] = Case("report", "decoder", SMALL["decoder"], asked={"fold": 3})
    small = SMALL["decoder"] | {"positions": "alibi"}
    found["small decoder, another seed"] = Case("report", "decoder", SMALL["decoder"], seed=1)
    found["small decoder, other lengths"] = Case("report", "decoder", small, asked={"lengths": (24, 48)})
    found["small decoder, brief"] = Case("report", "decoder", small, asked={"brief": True})
    return found


def outcome(case: Case, shaken: int | None = None) -> Any:
    """The first losses, step by step, and all that the record holds; of a classifier, the
    probability that it gives to each test row's class, too."""
    run = Run("run", case.recipe(), case.seed, **case.asked)
    data = data_in_blocks(run.recipe.architecture.block_size)
    with watched(shaken) as steps, tempfile.TemporaryDirectory() as temporary:
        folder = Folder(Path(temporary), torch.device("cpu"))
        record: Any = msgspec.to_builtins(perform(run, data, folder))
        found: dict[str, Any] = {"changes": dict(case.changes), "seed": case.seed, "losses": steps[:N_LOSSES]}
        found |= {key: value for key, value in record.items() if key not in NOT_NUMBERS}
        if case.task == "classifier" and folder.weights(run).exists():
            model: Any = load_model(folder.weights(run)).model
            probabilities = accuracy.class_probabilities(model, data.test)
            found["probabilities"] = probabilities.gather(1, data.test.labels[:, None]).flatten().tolist()
    return as_json(found)


@functools.cache
def data_in_blocks(block_size: int) -> Data:
    """The made-up data; read anew for each size of block."""
    with tempfile.TemporaryDirectory() as folder:
        made_up.write_data(Path(folder))
        return load_data(Path(folder), block_size)
