"""Words on the terminal, tinted by a number each. Where there is no colour they are words, and the numbers stand in a
table."""

from collections.abc import Sequence

from rich.console import Console
from rich.style import Style
from rich.text import Text

import utilities
from reporting.table import in_one_line, terminal_width

FOR, AGAINST = (bytes.fromhex(utilities.COLORS[kind][1:]) for kind in (utilities.SKY, utilities.ORANGE))


def tinted(words: Sequence[str], values: Sequence[float], largest: float, between: str = " ") -> Text:
    """The words one after the other; from 0 to `largest` they turn blue, down to -`largest` orange."""
    text = Text()
    for number, (word, value) in enumerate(zip(words, values, strict=True)):
        colour = shade(value, largest)
        text.append(between if number else "")
        text.append(in_one_line(word), Style(color="#000000", bgcolor=colour) if colour else None)
    return text


def show(text: Text) -> None:
    """Print it as wide as the terminal, in as many colours as that has."""
    Console(width=terminal_width(), highlight=False).print(text, soft_wrap=False)


def shade(value: float, largest: float) -> str | None:
    """The colour "#rrggbb" behind a word, paler the smaller its share of the largest; None if it would not be seen."""
    share = min(abs(value) / largest, 1.0) if largest else 0.0
    if share < 0.05:
        return None
    red, green, blue = (round(255 + share * (part - 255)) for part in (FOR if value > 0 else AGAINST))
    return f"#{red:02x}{green:02x}{blue:02x}"
