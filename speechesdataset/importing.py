"""A folder of .txt files, with a sub-folder for each speaker, becomes a data folder."""

from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby, pairwise
from pathlib import Path

import regex

from common.files import UserError, read_text
from speechesdataset.duplicates import normal_words
from speechesdataset.folder import TRAINING, Manifest, Split
from speechesdataset.split import FIGURES, Document, Speaker, make_folder, mostly_letters, sentences, spaced, straight
from tokenizer import normalized

END = r"""(?V1)(?:[.?!]["'\p{Pe}\p{Pf}]*(?=\s|$)|[\p{STerm}--[.?!]]["'\p{Pe}\p{Pf}]*)"""  # of a sentence, in any script
MOST_WORDS = 100  # a sentence, on average; in text with fewer marks they do not tell where sentences end


def import_folder(source: Path | str, out: Path | str, split: Split = "stretch", seed: int = 0) -> Manifest:
    """Make the data folder `out` from the .txt files in the sub-folders of `source`; returns its manifest.

    A sub-folder is a speaker, a file a document; the split is the builder's. Typography is made uniform, and nothing is
    left out that is not counted in the manifest. UserError for texts outside of the sub-folders, files that are no
    UTF-8 text or do not show where sentences end, and speakers with too little text, of whom it says how much is
    needed.
    """
    source, out = Path(source), Path(out)
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; --from takes a folder that has a sub-folder for each speaker")
    if out.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{out}: lies in the folder of your texts; choose another --out")
    for path in sorted(source.glob("*")):
        if path.is_file() and path.suffix.lower() == ".txt":
            raise UserError(f"{path}: belongs to no speaker; move it into a sub-folder with the speaker's name")
    folders = [path for path in sorted(source.glob("*")) if path.is_dir() and not path.name.startswith(".")]
    speakers = [_speaker(folder) for folder in folders]
    if len(speakers) < 2:
        needed = "at least two speakers are needed to tell them apart"
        raise UserError(f"{source}: {len(speakers)} sub-folders, but {needed}")
    slugs = [speaker.slug.casefold() for speaker in speakers]
    for speaker in speakers:
        if slugs.count(speaker.slug.casefold()) > 1:
            raise UserError(f"{source / speaker.name}: another sub-folder has nearly the same name; rename one of them")
        if speaker.slug == TRAINING:
            raise UserError(f"{source / speaker.name}: tables use the name {TRAINING!r} already; rename the folder")
    return make_folder(out, speakers, split, seed, "own texts", {"nltk": version("nltk")})


def _speaker(folder: Path) -> Speaker:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    paths = [path for path in files if path.suffix.lower() == ".txt"]
    if not paths:
        raise UserError(f"{folder}: no .txt file in it; add the speaker's texts or remove the folder")
    name = normalized(" ".join(folder.name.split()))
    left_out = {"files that are not .txt": len(files) - len(paths)}
    return Speaker(regex.sub(r"[^\p{L}\p{M}\p{N}_.-]+", "-", name), name, list(map(_document, paths)), left_out)


def read_sentences(path: Path) -> list[str]:
    """The sentences of a file, as somebody wrote them; UserError where nothing says where a sentence ends."""
    return sentences([Speaker("", "", [Document(_paragraphs(path, _text(path)), {})])])[0][0]


def _document(path: Path) -> Document:
    """The paragraphs of a file, with uniform typography; those without writing in them are left out."""
    paragraphs = [spaced(straight(paragraph)) for paragraph in _paragraphs(path, _text(path))]
    kept = list(filter(mostly_letters, paragraphs))
    return Document(kept, {FIGURES: len(paragraphs) - len(kept)})


def _text(path: Path) -> str:
    text = normalized(read_text(path)).replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise UserError(f"{path}:{text.count(chr(10), 0, text.index(chr(0))) + 1}: NUL byte, so this is no UTF-8 text")
    return text


def _paragraphs(path: Path, text: str) -> list[str]:
    """What stands between blank lines; or the lines, in a text without blank lines that was not broken to fit a width,
    and in one whose sentences have no marks at their ends. UserError where nothing says where a sentence ends."""
    lines = [line.strip() for line in text.split("\n")]
    blocks = [list(group) for has_text, group in groupby(lines, key=bool) if has_text]
    lines = [line for block in blocks for line in block]
    n_words, n_ends = len(normal_words(text)), len(regex.findall(END, text))
    if n_words <= MOST_WORDS * n_ends:
        return [" ".join(block) for block in blocks] if len(blocks) > 1 or _wrapped(lines) else lines
    if n_words > MOST_WORDS * len(lines):
        marks = f"{n_words:,} words in {len(lines):,} lines with {n_ends:,} marks at ends of sentences (. ? !)"
        raise UserError(f"{path}: {marks}; add the marks, or write each sentence on a line of its own")
    return lines


def _wrapped(lines: Sequence[str]) -> bool:
    """Whether lines end where they are full, or go on in small letters, rather than where a sentence ends."""
    inside = [(line, after) for line, after in pairwise(lines) if not regex.search(rf"{END}$", line)]
    if 2 * len(inside) < len(lines):
        return False
    width = sorted(map(len, lines))[int(0.95 * len(lines))]  # but for a few that could not be broken
    full = sum(len(line) + 1 + len(after.split()[0]) > width for line, after in inside)
    small = sum(after[0].islower() for _, after in inside)
    return full > 0.8 * len(inside) or small > 0.5 * len(inside)
