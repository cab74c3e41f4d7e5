"""The page to play with as one file, for those without Python: the views of given sentences, computed beforehand."""

from collections.abc import Sequence
from pathlib import Path

from common.files import UserError, write_text
from inference.sampling import Sampling
from reporting import explore_views as views
from reporting.html import template
from studies import explore
from studies.explore import Shelf

MOST = 5_000_000  # bytes of the file
TEMPERATURES = (Sampling.temperature, 0.3, 1.0)  # the first is shown first
N_WORDS = 20  # that continue a sentence


def export(path: Path, shelf: Shelf, sentences: Sequence[str]) -> None:
    """Write the file, with the newest models; UserError if it would be too large to send."""
    classifier, decoder = (shelf.names(task)[0] for task in ("classifier", "decoder"))
    text = template("explore.html").render(
        title="Who said it, where does it look, and how surprising is it?",
        classifier=classifier,
        decoder=decoder,
        sentences=[views_of(shelf, classifier, decoder, sentence) for sentence in sentences],
        style=views.style(),
        scale=views.SCALE,
    )
    if len(text.encode()) > MOST:
        raise UserError(f"{path}: would have {len(text.encode()) / 1e6:.1f} MB; give fewer or shorter sentences")
    write_text(path, text)


def views_of(shelf: Shelf, classifier: str, decoder: str, text: str) -> dict[str, object]:
    """All views of one sentence, by their names in the template."""
    return {
        "text": text,
        "who": views.who(explore.who_said_it(shelf, classifier, text)),
        "attention": [attention(shelf, name, text) for name in (classifier, decoder) if explore.heads(shelf, name)],
        "surprise": views.surprise(explore.surprise(shelf, decoder, text)),
        "continuations": [(temperature, continued(shelf, decoder, text, temperature)) for temperature in TEMPERATURES],
    }


def attention(shelf: Shelf, name: str, text: str) -> dict[str, object]:
    """The maps of one model: all at a glance, and for the script words, columns and weights in thousandths."""
    looks = explore.looks(shelf, name, text)
    weights = (1000 * looks.maps).round().int().tolist()  # (L, H, T, S)
    numbers = {"words": looks.words, "columns": looks.columns, "maps": weights}
    return {"name": name, "maps": views.maps(looks), "numbers": numbers}


def continued(shelf: Shelf, name: str, text: str, temperature: float) -> str:
    """What follows a sentence."""
    *_, last = explore.continuations(shelf, name, text, Sampling(N_WORDS + 1, temperature))
    return views.continuation(text, last)
