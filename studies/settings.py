"""Every setting of a recipe by its name: what it means, what it may be, and how it is given in words."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import NoneType
from typing import Literal, get_args, get_origin, get_type_hints

import msgspec

from common.files import UserError
from common.wording import did_you_mean
from modules.config import ClassifierConfig, DecoderConfig
from studies.catalogue.recipes import DURATIONS, RECIPES, duration_of, widths_of, word
from training.recipe import OF_THE_OTHER_TASK, Recipe, Task, TrainingConfig, Value, customise, settings_of

Score = Literal["accuracy", "macro-f1", "perplexity", "bits-per-byte", "training-time"]
MEASURES: dict[Task, tuple[Score, ...]] = {  # of a task, the first unless told otherwise
    "classifier": ("accuracy", "macro-f1", "training-time"),
    "decoder": ("perplexity", "bits-per-byte", "training-time"),
}
KINDS = {bool: "true or false", int: "a whole number", float: "a number", NoneType: "none"}


@dataclass(frozen=True)
class Setting:
    """One setting of a task's recipes."""

    name: str  # as people call it
    field: str  # as the recipe does
    meaning: str
    kind: object  # its type

    def choices(self) -> str:
        """What it may be, in words: "a number or none"."""
        return " or ".join(
            ", ".join(get_args(kind)) if get_origin(kind) is Literal else KINDS[kind] for kind in self._kinds()
        )

    def _kinds(self) -> list[type]:
        return [self.kind] if get_origin(self.kind) is Literal else list(get_args(self.kind)) or [self.kind]  # type: ignore[list-item]

    def read(self, text: str) -> Value:
        """The value that `text` stands for; UserError if it is none of `choices`."""
        if text.lower() == "none" and NoneType in self._kinds():
            return None
        for kind in self._kinds():
            with contextlib.suppress(ValueError, msgspec.ValidationError):  # numbers are read as those of options are
                found: Value = kind(text) if kind in (int, float) else msgspec.convert(text, kind, strict=False)
                return found
        raise UserError(f"{self.name}={text}: takes {self.choices()}")


def settings(task: Task) -> dict[str, Setting]:
    """Every setting of a task's recipes; "epochs" or "iterations" is the recipe's duration."""
    architecture = ClassifierConfig if task == "classifier" else DecoderConfig
    known = {}
    for owner in (architecture, TrainingConfig, Recipe):
        types = get_type_hints(owner)
        for field in fields(owner):
            if "meaning" in field.metadata and field.name not in OF_THE_OTHER_TASK[task]:
                known[field.name] = Setting(field.name, field.name, field.metadata["meaning"], types[field.name])
    meaning = "passes over the training rows" if task == "classifier" else "training steps"
    return known | {duration_of(task): Setting(duration_of(task), "duration", meaning, int)}


def read_settings(task: Task, words: Sequence[str]) -> dict[str, Value]:
    """The settings that words such as "drop_path=0" and "norm=pre" give; UserError where one cannot be."""
    known = settings(task)
    found: dict[str, Value] = {}
    for pair in words:
        name, mark, text = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not mark or not text:
            raise UserError(f"{pair!r} is no setting; write name=value, such as dropout=0.2")
        if name not in known:
            raise UserError(f"{name}: {_no_setting(name, task)}")
        if name in found:
            raise UserError(f"{name} is given twice, as {found[name]} and {text}; leave one out")
        found[name] = known[name].read(text.strip())
    return found


def _no_setting(name: str, task: Task) -> str:
    others: list[Task] = [other for other in RECIPES["report"] if other != task and name in settings(other)]
    if others:
        return f"a setting of the {others[0]}, not of the {task}"
    remedy = did_you_mean(name, settings(task)) or "`python main.py settings` shows all"
    return f"the {task} has no such setting; {remedy}"


def with_settings(recipe: Recipe, given: Mapping[str, Value]) -> Recipe:
    """`recipe` with the settings `given`, as people call them."""
    return customise(recipe, **{"duration" if name in DURATIONS else name: value for name, value in given.items()})


def values_in_recipes(task: Task, name: str) -> str:
    """What each recipe has in a setting, "report 15, best 8"; "" for what is none."""
    kind = DURATIONS.get(name, task)
    setting = settings(kind).get(name)
    values: dict[str, Value] = {}
    for recipe, recipes in RECIPES.items():
        if name == "ff_dims":
            values[recipe] = " ".join(map(str, widths_of(recipe)))
        elif setting:
            values[recipe] = settings_of(recipes[kind])[setting.field]
    return ", ".join(f"{recipe} {word(value)}" for recipe, value in values.items())


def settings_in_words(given: Mapping[str, Value]) -> str:
    """Settings as they are given: "positions=alibi dropout=0.2"; nothing is "as it is"."""
    return " ".join(f"{name}={word(value)}" for name, value in given.items()) or "as it is"
