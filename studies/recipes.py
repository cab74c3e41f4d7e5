"""The two recipes: the report's, and the strongest that this project knows."""

from training.recipe import Recipe, Task, TrainingConfig, settings_of
from transformer import ClassifierConfig, DecoderConfig

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
            ),
            TrainingConfig(
                learning_rate=2e-3,
                weight_decay=0.1,
                beta2=0.98,
                schedule="linear",
                warmup=0.05,
                clip=1.0,
                label_smoothing=0.65,
                smoothing="kneser-ney",
                unigram_bias=True,
            ),
            duration=500,
            shuffled=True,
        ),
    },
}

FF_DIMS = {"report": (256, 100), "best": (512,)}  # the widths at which part 2 trains a decoder


def label_of(name: str, recipe: Recipe) -> str:
    """What a model is called where it is shown: the recipe that it started from, and each setting that is another, as
    the command line calls it: "report recipe, positions alibi, dropout 0.2"."""
    own, duration = settings_of(RECIPES[name][recipe.task]), "epochs" if recipe.task == "classifier" else "iterations"
    changes = []
    for setting, value in settings_of(recipe).items():
        if value != own[setting]:
            shown = duration if setting == "duration" else setting.replace("_", "-")
            without = value is None or value is False
            changes.append(f"no {shown}" if without else shown if value is True else f"{shown} {value}")
    return ", ".join([f"{name} recipe", *changes])
