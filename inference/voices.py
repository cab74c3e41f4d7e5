"""A decoder as one of its speakers, and which of them is meant."""

import re
from collections.abc import Sequence

from common.files import UserError
from modules.voices import voice
from training.weights import TrainedModel
from transformer import Decoder


def in_voice(trained: TrainedModel, number: int) -> TrainedModel:
    """A decoder as one of its speakers, counted from 0, and no other."""
    assert isinstance(trained.model, Decoder)
    ngrams = trained.voice_ngrams[number] if trained.voice_ngrams else None
    return TrainedModel(voice(trained.model, number + 1), trained.tokenizer, [], ngrams)


def speaker_of(names: Sequence[str], name: str) -> int:
    """Which of the `names` is meant: the same one, or that with the same letters and digits, or alone with these in it;
    UserError where none is, or several are."""
    if not names:
        raise UserError("this decoder has no voices; `python main.py part2 --voices` trains one that has")
    if name in names:
        return names.index(name)
    asked, known = plain(name), list(map(plain, names))
    same = [i for i, one in enumerate(known) if one == asked]
    found = same or [i for i, one in enumerate(known) if asked and asked in one]
    if len(found) != 1:
        raise UserError(
            f"{name!r} is {'more than one' if len(found) > 1 else 'none'} of its voices: {', '.join(names)}"
        )
    return found[0]


def plain(name: str) -> str:
    """A name in lower case, letters and digits alone."""
    return re.sub(r"[\W_]", "", name.casefold())
