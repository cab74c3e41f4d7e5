"""Where two outcomes of a golden run differ, number by number, to the last bit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

SHOWN = 3  # differences of a run that are printed
ABSENT = ...  # stands where one side has a number and the other has none


@dataclass(frozen=True)
class Difference:
    """A key, such as "epochs.3.train_loss", at which two outcomes of a run hold different values."""

    run: str
    key: str
    before: object
    after: object

    @property
    def size(self) -> float | None:
        """How far apart two numbers are; None of anything else."""
        return abs(self.after - self.before) if is_number(self.before) and is_number(self.after) else None

    def shown(self, names: tuple[str, str] = ("recorded", "found")) -> str:
        sides = (
            f"{name} {'nothing' if value is ABSENT else repr(value)}"
            for name, value in zip(names, (self.before, self.after))
        )
        size = "" if self.size is None else f" (by {self.size:.2g})"
        return f"{self.run}: {self.key}: {', '.join(sides)}{size}"


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def flat(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Every number, string and truth value in JSON, with its key, such as "epochs.3.train_loss"."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inside is None or not value:
        yield key, value
        return
    for name, part in inside:
        yield from flat(part, f"{key}.{name}" if key else str(name))


def differences(run: str, before: object, after: object) -> list[Difference]:
    """Where two outcomes of `run` are not the same to the last bit."""
    old, new = dict(flat(before)), dict(flat(after))
    rows = []
    for key in dict.fromkeys([*old, *new]):
        pair = old.get(key, ABSENT), new.get(key, ABSENT)
        if repr(pair[0]) != repr(pair[1]):  # the repr of a float has every bit; 1, 1.0 and True are not the same
            rows.append(Difference(run, key, *pair))
    return rows


def summarised(
    rows: Sequence[Difference], most: int = SHOWN, names: tuple[str, str] = ("recorded", "found")
) -> list[str]:
    """Lines on the differences of one run: the first ones, the largest, and how many more there are."""
    shown = list(rows[:most])
    numbers = [row for row in rows if row.size is not None]
    if len(rows) > most and numbers:
        shown.append(max(numbers, key=lambda row: row.size or 0.0))
    lines = [row.shown(names) for row in {row.key: row for row in shown}.values()]
    rest = len(rows) - len(lines)
    return [*lines, f"{rows[0].run}: and {rest:,} more"] if rest else lines
