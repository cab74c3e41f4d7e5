"""Settings and records: what they mean, which values they take, and how two of them differ."""

import math
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from common.files import UserError

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # whole numbers that JSON's readers agree on
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Default = TypeVar("Default")

LARGEST = 10**6  # of whole numbers: more would fill the memory before anything is computed
RULES: dict[str, Callable[[float], bool]] = {
    "at least 0": lambda value: value >= 0,
    "at least 1": lambda value: value >= 1,
    "from 0 to 1000": lambda value: 0 <= value <= 1000,
    "from 1 to 1000": lambda value: 1 <= value <= 1000,
    "from 1 to 65535": lambda value: 1 <= value <= 65535,  # ports
    "above 0": lambda value: value > 0,
    "from 0 to 1": lambda value: 0 <= value <= 1,
    "above 0 and at most 1": lambda value: 0 < value <= 1,
    "from 0 to below 1": lambda value: 0 <= value < 1,
}


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written as JSON and read back typed. A field at its default is left out; unknown keys are ignored."""


def setting(default: Default, meaning: str) -> Default:
    """A field of a configuration, and what it means, which `python main.py settings` shows."""
    return field(default=default, metadata={"meaning": meaning})


def check(settings: object, rule: str, *names: str) -> None:
    """UserError for the first of these attributes of `settings` that breaks a rule of RULES, or is infinite or NaN.

    None stands for "not set" and is always right.
    """
    for name in names:
        value = getattr(settings, name)
        is_whole = isinstance(value, int)  # and may have too many digits for a float
        if value is not None and not ((is_whole or math.isfinite(value)) and RULES[rule](value)):
            raise UserError(f"{name} is {shortened(value)}; it must be {rule}")
        if is_whole and value > LARGEST:
            raise UserError(f"{name} is {shortened(value)}; it must be at most {LARGEST:,}")


def other_run(path: Path, there: object, here: object, remedy: str) -> UserError:
    """The error for a file of a run with other settings: where they differ first, and what to do."""
    name, there, here = first_difference(there, here)
    values = f"{name} is {shortened(there)} there and {shortened(here)} here"
    return UserError(f"{path}: of another run ({values}); {remedy}")


def first_difference(there: object, here: object, name: str = "it") -> tuple[str, object, object]:
    """Where two JSON values differ first: the name of the setting, and its value in both."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in here | there:
            if there.get(key) != here.get(key):
                return first_difference(there.get(key), here.get(key), key)
    return name, there, here


def shortened(value: object, longest: int = 40) -> str:
    """A value as text, cut after `longest` characters."""
    text = str(value)
    return text if len(text) <= longest else text[:longest] + "..."
