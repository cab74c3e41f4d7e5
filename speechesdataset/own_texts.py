"""Your own texts: a folder of .txt files, a sub-folder a speaker, becomes a data folder."""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common.files import UserError, read_text
from dataset import TRAINING
from speechesdataset.build import clean
from speechesdataset.split import Speaker, Split, make_folder


def import_folder(source: Path | str, out: Path | str, split: Split = "stretch", seed: int = 0) -> dict[str, Any]:
    """Make the data folder `out` from the .txt files in the sub-folders of `source`; returns its manifest.

    A sub-folder is a speaker, a file a document: they are cleaned, split and written exactly as the builder does it.
    UserError for texts outside of the sub-folders, files that are no UTF-8 text, and speakers with too little text, of
    whom it says how much is needed.
    """
    source, out = Path(source), Path(out)
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; --from takes a folder that has a sub-folder for each speaker")
    if out.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{out}: lies in the folder of your texts; choose another --out")
    loose = [path.name for path in sorted(source.iterdir()) if path.is_file() and path.suffix.lower() == ".txt"]
    if loose:
        raise UserError(
            f"{source / loose[0]}: belongs to no speaker; move it into a sub-folder with the speaker's name"
        )
    speakers = [
        _speaker(folder) for folder in sorted(source.iterdir()) if folder.is_dir() and not folder.name.startswith(".")
    ]
    if len(speakers) < 2:
        raise UserError(
            f"{source}: {len(speakers)} sub-folders, but at least two speakers are needed to tell them apart"
        )
    slugs = [speaker.slug.casefold() for speaker in speakers]
    for speaker in speakers:
        if slugs.count(speaker.slug.casefold()) > 1:
            raise UserError(f"{source / speaker.name}: another sub-folder has nearly the same name; rename one of them")
        if speaker.slug == TRAINING:
            raise UserError(f"{source / speaker.name}: tables use the name {TRAINING!r} already; rename the folder")
    about = {"source": "own texts", "versions": {"nltk": version("nltk")}}
    return make_folder(out, speakers, split, seed, about)


def _speaker(folder: Path) -> Speaker:
    paths = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() == ".txt" and not path.name.startswith(".")
    )
    if not paths:
        raise UserError(f"{folder}: no .txt file in it; add the speaker's texts or remove the folder")
    return Speaker(
        re.sub(r"[^\w.-]+", "-", folder.name), " ".join(folder.name.split()), [_document(path) for path in paths]
    )


def _document(path: Path) -> list[str]:
    """Cleaned paragraphs: what stands between blank lines, or, in a file without blank lines, the lines."""
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise UserError(f"{path}:{text.count(chr(10), 0, text.index(chr(0))) + 1}: NUL byte, so this is no UTF-8 text")
    parts = re.split(r"\n[^\S\n]*\n", text)
    return clean("\n".join(" ".join(part.split("\n")) for part in parts) if len(parts) > 1 else text)
