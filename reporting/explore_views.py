"""The views of a text in HTML: the page to play with and the file that takes its place are made of the same parts."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from studies.finished import Finished
from torch import Tensor

from reporting.explained import STARTLING, contributions, likeliest, shade, whole
from reporting.html import TEMPLATES, template
from reporting.table import Table, words
from reporting.wording import number
from studies.catalogue.recipes import word
from studies.explore import Continuation, Guesses, Looks, Surprise, WhoSaidIt

# of attention, white to dark: one hue, so that who sees no colours sees the same (ColorBrewer's Blues)
SCALE = ((255, 255, 255), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107))


@dataclass(frozen=True)
class Word:
    """A word with its number below it, the colour behind it, and what is shown to who points at it."""

    token: str
    number: str
    colour: str | None
    heading: str = ""
    tip: Guesses | None = None


@dataclass(frozen=True)
class Tinted:
    """The classes by probability, and for each that is shown the words in its colours."""

    ranked: Guesses
    rows: list[tuple[str, list[Word]]]


@dataclass(frozen=True)
class Small:
    """The map of one head, as a small picture; layers and heads are counted from 0."""

    layer: int
    head: int
    picture: str


def part(name: str, *values: object) -> str:
    """A view, filled in."""
    return str(getattr(template("views.html").module, name)(*values))


def style() -> str:
    """The style of all views."""
    return (TEMPLATES / "views.css").read_text(encoding="utf-8")


def in_view(html: str) -> str:
    """A view, or what stands in its place."""
    return f'<div class="view">{html}</div>'


def wrong(line: str) -> str:
    """What is said of input that cannot be used."""
    return part("wrong", line)


def who(found: WhoSaidIt) -> str:
    """Who said it?"""
    explained = found.explanation
    largest = float(explained.gradients.abs().max())
    order = explained.probabilities.argsort(descending=True, stable=True).tolist()
    ranked = [(explained.class_names[k], float(explained.probabilities[k])) for k in order]
    rows = []
    for k in likeliest(explained):
        values = explained.gradients[:, k].tolist()
        row = [
            Word(token, number(100 * value, sign=True), shade(value, largest))
            for token, value in zip(explained.words, values)
        ]
        rows.append((explained.class_names[k], row))
    return part("who", found, Tinted(ranked, rows), contributions(explained))


def surprise(found: Surprise) -> str:
    """How surprising is each word?"""
    rows = [
        (
            one.name,
            [
                Word(token, number(nats), shade(-nats, STARTLING), "likeliest here:", guesses)
                for token, nats, guesses in zip(found.text.tokens, one.nats, expected)
            ],
        )
        for one, expected in zip(found.text.scored, found.guesses)
    ]
    return part("surprise", found, rows, whole(found.text))


def continuation(prompt: str, found: Sequence[Continuation]) -> str:
    """What follows a text, and what may come next."""
    rows = [
        [
            Word(token, percent(chance), shade(chance, 1.0), "drawn from:", expected)
            for token, chance, expected in zip(one.tokens, one.chances, one.expected)
        ]
        for one in found
    ]
    return part("continuation", prompt, list(found), rows)


def percent(share: float) -> str:
    return f"{number(100 * share, 0 if share >= 0.1 else 1)}%"


def maps(found: Looks) -> str:
    """The attention of all layers and heads at a glance, in the same shades: a button each. What is spread over many
    places is small, and shows by its square root."""
    shades = (found.maps / found.maps.max()).sqrt()
    pictures = [
        Small(layer, head, small_picture(one)) for layer, heads in enumerate(shades) for head, one in enumerate(heads)
    ]
    return part("maps", found, pictures)


def change(said: Sequence[Guesses], what: str) -> str:
    """What a model says, and, where it was asked again, what it says without some heads."""
    return part("change", list(said), what)


def settings(runs: Sequence[Finished], differing: Mapping[str, Sequence[object]]) -> str:
    """The settings in which runs differ."""
    rows = [[name.replace("_", " "), *map(word, values)] for name, values in differing.items()]
    columns = words("setting", *(run.name for run in runs))
    return part(
        "one_table", Table("Settings that differ", columns, rows, "" if rows else "none: all were trained alike")
    )


def small_picture(shades: Tensor) -> str:
    """Shades (T, S) from 0 to 1, the darkest, a pixel each, as a PNG in a data URL."""
    from PIL import Image

    places = shades.numpy() * (len(SCALE) - 1)  # (T, S)
    channels = [np.interp(places, range(len(SCALE)), [colour[i] for colour in SCALE]) for i in range(3)]
    buffer = io.BytesIO()
    Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8)).save(buffer, "png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
