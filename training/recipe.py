"""The settings of a run: how a model is trained, what it is, and how long; checked where they are put together."""

from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from common.checks import check, setting
from common.files import UserError
from modules.config import ClassifierConfig, DecoderConfig

Task = Literal["classifier", "decoder"]
Schedule = Literal["constant", "linear", "cosine"]
Precision = Literal["float32", "bf16"]
Value = bool | int | float | str | None  # of a setting
Config = TypeVar("Config", bound=ClassifierConfig | DecoderConfig)


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained. The defaults are the report's."""

    batch_size: int = setting(16, "rows or windows of a step")
    learning_rate: float = setting(1e-3, "Adam's step size")
    weight_decay: float = setting(0.0, "decoupled weight decay (AdamW), on matrices alone")
    schedule: Schedule = setting(
        "constant", "learning rate over the run: constant, or falling from the full rate to zero"
    )
    warmup: float = setting(0.0, "share of the steps in which the learning rate rises from zero")
    beta2: float = setting(0.999, "Adam's memory of squared gradients")
    label_smoothing: float = setting(0.0, "share of each target that is spread over all classes")
    unigram_bias: bool = setting(False, "the output bias starts at the log of the Kneser-Ney unigram")
    clip: float | None = setting(None, "largest norm of the gradient")
    precision: Precision = setting("float32", "bf16: matrix products in bfloat16")

    def __post_init__(self) -> None:
        check(self, "at least 1", "batch_size")
        check(self, "above 0", "learning_rate", "clip")
        check(self, "at least 0", "weight_decay")
        check(self, "from 0 to 1", "warmup")
        check(self, "from 0 to below 1", "label_smoothing", "beta2")


OF_THE_OTHER_TASK: dict[Task, tuple[str, ...]] = {  # settings that do nothing in a model of this task
    "classifier": ("unigram_bias", "shuffled"),
    "decoder": ("label_smoothing",),
}


@dataclass(frozen=True)
class Recipe(Generic[Config]):
    """The settings of a training run, except for what the data decide (vocabulary, classes) and the seed."""

    task: Task
    architecture: Config
    training: TrainingConfig
    duration: int  # epochs of a classifier, iterations of a decoder
    shuffled: bool = setting(False, "every window once before any comes again, instead of random ones")

    def __post_init__(self) -> None:
        check(self, "at least 1", "duration")
        if getattr(self.architecture, "voices", False) and self.training.batch_size < 2:
            raise UserError("voices need batches of windows with and without a name; set batch_size above 1")
        defaults, settings = {**vars(TrainingConfig()), "shuffled": False}, settings_of(self)
        for name in OF_THE_OTHER_TASK[self.task]:
            if settings[name] != defaults[name]:
                raise does_nothing(name, settings[name], self.task)


def settings_of(recipe: Recipe) -> dict[str, Value]:
    """Every setting of a recipe by its name, wherever in it."""
    rest = {name: value for name, value in vars(recipe).items() if name not in ("architecture", "training")}
    return {**vars(recipe.architecture), **vars(recipe.training), **rest}


def does_nothing(name: str, value: object, task: Task) -> UserError:
    """The error that refuses a setting of the other task."""
    return UserError(f"{name} is {value}, which does nothing in a {task}; leave it out")


@dataclass(frozen=True)
class Run(Generic[Config]):
    """A recipe, a seed, and the name that its files get."""

    name: str
    recipe: Recipe[Config]
    seed: int
    fold: int | None = None  # to tune: train without this fold of the training rows or text, and measure on it alone
    lengths: tuple[int, ...] = ()  # decoder: perplexity by iteration in windows of these lengths, too
    brief: bool = False  # measured at its end alone, and its weights are not kept


def customise(recipe: Recipe, **settings: Any) -> Recipe:
    """`recipe` with other settings, each put where it belongs; UserError if they are wrong or do not fit together."""
    if settings.get("n_layer") == 0:  # what only layers use goes with them
        without: dict[str, Value] = {"drop_path": 0.0, "layer_scale": None, "window": None, "alibi_slope_scale": 1.0}
        if recipe.architecture.positions not in ("learned", "sinusoidal"):
            without["positions"] = "none"
        settings = {**without, **settings}
    for part in ("architecture", "training"):
        config = getattr(recipe, part)
        of_part = {name: settings.pop(name) for name in list(settings) if hasattr(config, name)}
        recipe = replace(recipe, **{part: replace(config, **of_part)})
    for name, value in settings.items():
        if not hasattr(recipe, name):
            raise does_nothing(name, value, recipe.task)
    return replace(recipe, **settings)
