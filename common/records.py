"""Typed records: what is written as JSON is read back by its fields, their types and their ranges."""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # whole numbers that JSON's readers agree on
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A thing that is written as JSON. A field that is at its default is left out; unknown keys are ignored."""
