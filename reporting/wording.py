"""How numbers, effects, times and folders are written."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev

from common.wording import duration
from evaluation.statistics import Estimate

MINUS = "\N{MINUS SIGN}"


def number(value: float, digits: int = 1, sign: bool = False) -> str:
    """A number with so many decimals, with a real minus sign."""
    value = 0.0 if round(value, digits) == 0 else value  # no minus before a zero
    return f"{value:{'+' if sign else ''},.{digits}f}".replace("-", MINUS)


def spread(values: Sequence[float | None], digits: int = 1) -> str | None:
    """The mean, and of several the standard deviation, of the values that there are; None if there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return number(fmean(known), digits) + (f" ± {number(stdev(known), digits)}" if len(known) > 1 else "")


def spread_of(records: Iterable[object], name: str, digits: int = 1) -> str | None:
    """The same of what records, one a seed, hold under a name."""
    return spread([getattr(record, name) for record in records], digits)


def effect(estimate: Estimate, unit: str, bare: bool = False) -> str:
    """An effect with its interval, if any; a ratio as the change in percent. `bare`: the unit stands elsewhere."""
    ends = [_in_unit(end, unit) for end in (estimate.low, estimate.high) if end is not None]
    interval = f" [{', '.join(ends)}]" if ends else ""
    return f"{_in_unit(estimate.mean, unit)}{interval}" + ("" if bare else " %" if unit == "ratio" else f" {unit}")


def change(ratio: float) -> str:
    """A ratio as the change in percent."""
    return f"{_in_unit(ratio, 'ratio')} %"


def _in_unit(value: float, unit: str) -> str:
    if unit == "ratio":
        return number(100 * (value - 1), 1, sign=True)
    return number(value, 1 if unit in ("points", "%") else 2, sign=unit in ("points", "tokens"))


def sentence(words: str) -> str:
    """The words with a capital."""
    return words[:1].upper() + words[1:]


def took(seconds: float) -> str:
    """How long a command took."""
    return f"It took {duration(seconds)}."


def from_here(folder: str) -> Path:
    """A folder as seen from the working directory if it lies there, else in full."""
    path = Path(folder)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
