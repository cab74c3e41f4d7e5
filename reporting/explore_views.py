"""The views of a text in HTML: the page to play with is made of them, and so is the file that takes its place for those
without Python."""

import base64
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from common.files import UserError, write_text
from inference.sampling import Sampling
from reporting.explained import STARTLING, contributions, likeliest, shade, whole
from reporting.table import TEMPLATES, number, template
from studies import explore
from studies.explore import Continuation, Guesses, Looks, Shelf, Surprise, WhoSaidIt

# Of attention, white to dark, in one hue, so that it reads the same without colour vision (ColorBrewer's Blues).
SCALE = ((255, 255, 255), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107))
MOST = 5_000_000  # bytes of the file
TEMPERATURES = (Sampling.temperature, 0.3, 1.0)  # the first is shown first
N_WORDS = 20  # that continue a sentence


@dataclass(frozen=True)
class Word:
    """A word, the number below it, the colour behind it, and what pointing at it shows."""

    token: str
    number: str
    colour: str | None
    heading: str = ""
    tip: Guesses | None = None


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


def who(answer: WhoSaidIt) -> str:
    """Who said it?"""
    explanation = answer.explanation
    largest = float(explanation.gradients.abs().max())
    shares = explanation.probabilities.tolist()
    ranked = sorted(zip(explanation.class_names, shares), key=lambda guess: -guess[1])
    rows = []
    for label in likeliest(explanation):
        values = explanation.gradients[:, label].tolist()
        row = [
            Word(token, number(100 * value, sign=True), shade(value, largest))
            for token, value in zip(explanation.words, values)
        ]
        rows.append((explanation.class_names[label], row))
    return part("who", answer, ranked, rows, contributions(explanation))


def surprise_view(answer: Surprise) -> str:
    """How surprising is each word?"""
    rows = []
    for scored, guesses_by_token in zip(answer.text.scored, answer.guesses):
        row = [
            Word(token, number(nats), shade(-nats, STARTLING), "likeliest here:", guesses)
            for token, nats, guesses in zip(answer.text.tokens, scored.nats, guesses_by_token)
        ]
        rows.append((scored.name, row))
    return part("surprise", answer, rows, whole(answer.text))


def continuation(prompt: str, sides: Sequence[Continuation]) -> str:
    """What follows a text, and what may come next."""
    rows = [
        [
            Word(token, percent(chance), shade(chance, 1.0), "drawn from:", guesses)
            for token, chance, guesses in zip(side.tokens, side.chances, side.guesses)
        ]
        for side in sides
    ]
    return part("continuation", prompt, list(sides), rows)


def percent(share: float) -> str:
    return f"{number(100 * share, 0 if share >= 0.1 else 1)}%"


def maps(looks: Looks) -> str:
    """The attention of all layers and heads at a glance, in the same shades: a button each. Weights that are spread
    over many words are small, so their square roots are shown."""
    shades = (looks.maps / looks.maps.max()).sqrt()  # (L, H, T, S)
    layers_and_heads = itertools.product(range(shades.size(0)), range(shades.size(1)))
    pictures = [(layer, head, small_picture(shades[layer, head])) for layer, head in layers_and_heads]
    return part("maps", looks, pictures)


def change(answers: Sequence[Guesses], what: str) -> str:
    """What a model says, and, where it was asked again, what it says without some heads."""
    return part("change", list(answers), what)


def small_picture(shades: Tensor) -> str:
    """Shades (T, S) from 0 to 1, the darkest, a pixel each, as a PNG in a data URL."""
    from PIL import Image

    steps = shades.numpy() * (len(SCALE) - 1)  # (T, S)
    channels = [np.interp(steps, range(len(SCALE)), [colour[i] for colour in SCALE]) for i in range(3)]
    buffer = io.BytesIO()
    Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8)).save(buffer, "png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


# ------------------------------------------------------------------------------------------- the page as one file
def export(path: Path, shelf: Shelf, sentences: Sequence[str]) -> None:
    """Write the file, with the newest models; UserError if it would be too large to send."""
    classifier, decoder = (shelf.names(task)[0] for task in ("classifier", "decoder"))
    text = template("explore.html").render(
        title="Who said it, where does it look, and how surprising is it?",
        classifier=classifier,
        decoder=decoder,
        sentences=[views_of(shelf, classifier, decoder, sentence) for sentence in sentences],
        style=style(),
        scale=SCALE,
    )
    if len(text.encode()) > MOST:
        raise UserError(f"{path}: would have {len(text.encode()) / 1e6:.1f} MB; give fewer or shorter sentences")
    write_text(path, text)


def views_of(shelf: Shelf, classifier: str, decoder: str, text: str) -> dict[str, object]:
    """All views of one sentence, by their names in the template."""
    return {
        "text": text,
        "who": who(explore.who_said(shelf, classifier, text)),
        "attention": [attention_of(shelf, name, text) for name in (classifier, decoder) if explore.heads(shelf, name)],
        "surprise": surprise_view(explore.surprise(shelf, decoder, text)),
        "continuations": [(temperature, continued(shelf, decoder, text, temperature)) for temperature in TEMPERATURES],
    }


def attention_of(shelf: Shelf, name: str, text: str) -> dict[str, object]:
    """The maps of one model: all at a glance, and for the script words, columns and weights in thousandths."""
    looks = explore.looks(shelf, name, text)
    weights = (1000 * looks.maps).round().int().tolist()  # (L, H, T, S)
    numbers = {"words": looks.words, "columns": looks.columns, "maps": weights}
    return {"name": name, "maps": maps(looks), "numbers": numbers}


def continued(shelf: Shelf, name: str, text: str, temperature: float) -> str:
    """What follows a sentence."""
    *_, last = explore.continuations(shelf, name, text, Sampling(N_WORDS + 1, temperature))
    return continuation(text, last)
