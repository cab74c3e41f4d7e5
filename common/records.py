"""What is written as JSON and read back, by its fields."""

import msgspec


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A thing that is written as JSON. A field that is at its default is left out; unknown keys are ignored."""
