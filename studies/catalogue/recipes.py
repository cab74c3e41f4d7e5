"""The two recipes: the report's, and the strongest that this project knows. Torch stays out: --help says them."""

from typing import Literal

from modules.config import ClassifierConfig, DecoderConfig
from training.recipe import Recipe, Task, TrainingConfig, settings_of

RecipeName = Literal["report", "best"]

RECIPES: dict[str, dict[Task, Recipe]] = {
    "report": {
        "classifier": Recipe("classifier", ClassifierConfig(), TrainingConfig(), duration=15),
        "decoder": Recipe("decoder", DecoderConfig(initialisation="pytorch"), TrainingConfig(), duration=500),
    },
    "best": {
        "classifier": Recipe(
            "classifier",
            ClassifierConfig(
                n_embd=128,
                n_layer=1,
                block_size=64,
                ff_dim=0,
                positions="alibi",
                norm="none",
                drop_path=0.8,
                layer_scale=0.0,
                pooling="mean-max",
                head_dim=0,
                phrases=True,
                n_members=3,
                initialisation="normal-embeddings",
            ),
            TrainingConfig(batch_size=32, learning_rate=2e-3, schedule="linear", warmup=0.05),
            duration=8,
        ),
        "decoder": Recipe(
            "decoder",
            DecoderConfig(
                n_embd=128,
                n_layer=2,
                ff_dim=512,
                positions="rope",
                norm="pre",
                tied=True,
                n_spellings=4096,
                ngram_share=0.5,
            ),
            TrainingConfig(
                learning_rate=2e-3,
                weight_decay=0.1,
                beta2=0.98,
                schedule="linear",
                warmup=0.05,
                clip=1.0,
                unigram_bias=True,
            ),
            duration=500,
            shuffled=True,
        ),
    },
}

WIDTHS = (256, 100)  # at which the report trains its decoder
DURATIONS: dict[str, Task] = {"epochs": "classifier", "iterations": "decoder"}  # what commands call it, by task


def widths_of(name: str) -> tuple[int, ...]:
    """The sizes of the feed-forward network at which part 2 trains a recipe's decoder, a model each."""
    return WIDTHS if name == "report" else (RECIPES[name]["decoder"].architecture.ff_dim,)


def word(value: object) -> str:
    """A setting's value as it is given: "none", "true", "0.2"."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def duration_of(task: Task) -> str:
    """What commands call the duration of a task's recipe."""
    return next(name for name, owner in DURATIONS.items() if owner == task)


def label_of(name: str, recipe: Recipe, tokens: str = "words") -> str:
    """What a model is called where it is shown: the recipe that it started from, and each setting that is another, as
    the command line calls it, and its tokens if they are no words: "report recipe, positions alibi, BPE tokens"."""
    own = settings_of(RECIPES[name][recipe.task])
    changes = []
    for setting, value in settings_of(recipe).items():
        if value != own[setting]:
            shown = duration_of(recipe.task) if setting == "duration" else setting.replace("_", "-")
            without = value is None or value is False
            changes.append(f"no {shown}" if without else shown if value is True else f"{shown} {value}")
    return ", ".join([f"{name} recipe", *changes, *([] if tokens == "words" else [tokens])])
