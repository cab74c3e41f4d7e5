"""Settings say what they mean, and are checked where they are put together: a bad one ends in one line at once."""

import math
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Literal, TypeVar

from common.files import UserError

Number = Literal["above 0", "from 0 to 1", "above 0 and at most 1", "from 0 to below 1"]
Rule = Literal[Number, "at least 0", "at least 1", "from 0 to 1000", "from 1 to 1000", "from 1 to 65535"]
Default = TypeVar("Default")
LARGEST = 10**6  # of whole numbers: more would fill the memory before anything is computed

_HOLDS: dict[Rule, Callable[[float], bool]] = {
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


def setting(default: Default, meaning: str) -> Default:
    """A field of a configuration, and what it means: `--help` and `python main.py settings` say that."""
    return field(default=default, metadata={"meaning": meaning})


def check(settings: object, rule: Rule, *names: str) -> None:
    """UserError for the first of these attributes of `settings` that breaks `rule`, or is infinite or no number.

    None stands for "not set" and is always right.
    """
    for name in names:
        value = getattr(settings, name)
        is_whole = isinstance(value, int)  # and may have too many digits for a float
        if value is not None and not ((is_whole or math.isfinite(value)) and _HOLDS[rule](value)):
            raise UserError(f"{name} is {shortened(value)}; it must be {rule}")
        if is_whole and value > LARGEST:
            raise UserError(f"{name} is {shortened(value)}; it must be at most {LARGEST:,}")


class OtherRun(UserError):
    """A file is of a run with other settings: the first that differs, what it is there and here, and what to do."""

    def __init__(self, path: Path, difference: tuple[str, object, object], remedy: str) -> None:
        super().__init__(path, difference, remedy)  # from which a worker's error is made again
        self.path, (self.name, *values), self.remedy = path, difference, remedy
        self.there, self.here = map(shortened, values)

    def __str__(self) -> str:
        return self.calling_it(self.name)

    def calling_it(self, name: str) -> str:
        """The message, in which the setting has this name."""
        return f"{self.path}: of another run ({name} is {self.there} there and {self.here} here); {self.remedy}"


def first_difference(there: object, here: object, name: str = "it") -> tuple[str, object, object]:
    """Where two JSON values differ first: the name of the setting, and what it is in both."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in here | there:
            if there.get(key) != here.get(key):
                return first_difference(there.get(key), here.get(key), key)
    return name, there, here


def shortened(value: object, longest: int = 40) -> str:
    """A value in words, without what is past `longest` characters."""
    text = str(value)
    return text if len(text) <= longest else text[:longest] + "..."
