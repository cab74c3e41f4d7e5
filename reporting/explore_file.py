"""The page to play with as one file, for whoever has no Python: the views of given sentences, computed beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.files import UserError, write_text
from inference.sampling import Sampling
from reporting import explore_views as views
from reporting.html import template
from studies import explore
from studies.explore import Shelf

MOST = 5_000_000  # bytes of the file
TEMPERATURES = (Sampling.temperature, 0.3, 1.0)  # the first is shown first
N_WORDS = 20  # that a sentence is gone on with


@dataclass(frozen=True)
class Attention:
    """The attention of one model on one sentence."""

    name: str
    maps: str  # all at a glance
    numbers: dict[str, object]  # for the script: the words, the places, and the weights in thousandths


@dataclass(frozen=True)
class Page:
    """All views of one sentence."""

    text: str
    who: str
    attention: list[Attention]
    surprise: str
    continuations: list[tuple[float, str]]  # by temperature


def export(path: Path, shelf: Shelf, sentences: Sequence[str]) -> None:
    """Write the file, with the newest models; UserError if it would be too large to send."""
    classifier, decoder = (shelf.names(task)[0] for task in ("classifier", "decoder"))
    text = template("explore.html").render(
        title="Who said it, where does it look, and how surprising is it?",
        classifier=classifier,
        decoder=decoder,
        sentences=[page(shelf, classifier, decoder, sentence) for sentence in sentences],
        style=views.style(),
        scale=views.SCALE,
    )
    if len(text.encode()) > MOST:
        raise UserError(f"{path}: would have {len(text.encode()) / 1e6:.1f} MB; give fewer or shorter sentences")
    write_text(path, text)


def page(shelf: Shelf, classifier: str, decoder: str, text: str) -> Page:
    """All views of one sentence."""
    return Page(
        text,
        views.who(explore.who_said_it(shelf, classifier, text)),
        [attention(shelf, name, text) for name in (classifier, decoder) if explore.heads(shelf, name)],
        views.surprise(explore.surprise(shelf, decoder, text)),
        [(temperature, continued(shelf, decoder, text, temperature)) for temperature in TEMPERATURES],
    )


def attention(shelf: Shelf, name: str, text: str) -> Attention:
    """The maps of one model."""
    found = explore.looks(shelf, name, text)
    weights = (1000 * found.maps).round().int().tolist()
    return Attention(name, views.maps(found), {"words": found.words, "places": found.places, "maps": weights})


def continued(shelf: Shelf, name: str, text: str, temperature: float) -> str:
    """What follows a sentence."""
    *_, last = explore.continuations(shelf, name, text, Sampling(N_WORDS + 1, temperature))
    return views.continuation(text, last)
