"""A folder of .txt files, with a sub-folder for each speaker, becomes a data folder."""

from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby, pairwise
from pathlib import Path

import regex

from common.console import warn
from common.files import UserError, read_text, resolved
from common.wording import and_more, counted
from speechesdataset.duplicates import normal_words
from speechesdataset.folder import TRAINING, Manifest, Split
from speechesdataset.split import FIGURES, Document, Speaker, make_folder, mostly_letters, sentences, spaced, straight
from tokenizer import normalized

END = r"""(?V1)(?:[.?!]["'\p{Pe}\p{Pf}]*(?=\s|$)|[\p{STerm}--[.?!]]["'\p{Pe}\p{Pf}]*)"""  # of a sentence, in any script
MOST_WORDS = 100  # a sentence, on average; in text with fewer marks they do not tell where sentences end
STAMP = r"\d[\d:]*:\d\d[,.]\d{1,3}"  # when a subtitle comes or goes: 00:01:02,345
# The number of a subtitle, its times and what follows them, and the header of a file of these
CUE = rf"(?m)^(?:WEBVTT.*\n+)?(?:\d+[ \t]*\n)?[ \t]*{STAMP}[ \t]*-->[ \t]*{STAMP}.*$"
STAMPS = "time stamps of subtitles"
# What people save as .txt though it is no plain text: how the file begins, or most of its lines do
BEGINNINGS = {"HTML or XML": r"(?i)<(?:[!?]|html\b|head\b|body\b)", "RTF": r"\{\\rtf", "JSON": r"(?:\[\s*)?\{\s*\""}
LINES = {
    "HTML or XML": r"</?\w+[^>]*>",
    "a chat with dates": r"\W?\d{1,4}[./-]\d{1,2}[./-]\d{2,4},?\s+\d{1,2}[:.]\d\d",
    "a transcript with times": r"[\[(]?(?:\d{1,2}:)+\d\d\b|Dialogue: \d",
    # in prose a space follows a comma, but for 1,000 and "Yes," he said
    "a table": r"""[^\t]+\t|[^\s,;]+[,;](?!\d{3}\b|["'\p{Pf}]\s)[^\s,;]""",
}


def import_folder(
    source: Path | str, out: Path | str, split: Split = "stretch", seed: int = 0, encoding: str = "utf-8"
) -> Manifest:
    """Make the data folder `out` from the .txt files in the sub-folders of `source`; returns its manifest.

    A sub-folder is a speaker, a file a document; the split is the builder's. Typography is made uniform, and nothing is
    left out that is not counted in the manifest. Files that are no UTF-8 are read in `encoding`. UserError for texts
    outside of the sub-folders, files that are no plain text or do not show where sentences end, and speakers with too
    little text, of whom it says how much is needed.
    """
    source, out = Path(source), Path(out)
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; --from takes a folder that has a sub-folder for each speaker")
    if resolved(out).is_relative_to(resolved(source)):
        raise UserError(f"{out}: lies in the folder of your texts; choose another --out")
    loose = [path for path in sorted(source.glob("*")) if path.is_file() and not path.name.startswith(".")]
    for path in loose:
        if path.suffix.lower() == ".txt":
            raise UserError(f"{path}: belongs to no speaker; move it into a sub-folder with the speaker's name")
    _warn_of_unread(source, loose)
    folders = [path for path in sorted(source.glob("*")) if path.is_dir() and not path.name.startswith(".")]
    _refuse_other_encodings(source, folders, encoding)
    speakers = [_speaker(folder, encoding) for folder in folders]
    if len(speakers) < 2:
        needed = "at least two speakers are needed to tell them apart"
        raise UserError(f"{source}: {counted(len(speakers), 'sub-folder')}, but {needed}")
    slugs = [speaker.slug.casefold() for speaker in speakers]
    for speaker in speakers:
        if slugs.count(speaker.slug.casefold()) > 1:
            raise UserError(f"{source / speaker.name}: another sub-folder has nearly the same name; rename one of them")
        if speaker.slug == TRAINING:
            raise UserError(f"{source / speaker.name}: tables use the name {TRAINING!r} already; rename the folder")
    return make_folder(out, speakers, split, seed, "own texts", {"nltk": version("nltk")})


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The .txt files of a speaker, and the files that are none."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    texts = [path for path in files if path.suffix.lower() == ".txt"]
    return texts, [path for path in files if path not in texts]


def _warn_of_unread(folder: Path, paths: Sequence[Path]) -> None:
    if paths:
        warn(f"{folder}: not read, as their names do not end in .txt: {and_more([path.name for path in paths])}")


def _refuse_other_encodings(source: Path, folders: Sequence[Path], encoding: str) -> None:
    """UserError that names every file which is neither UTF-8 nor in `encoding`, and what they may be."""
    try:
        "".encode(encoding)
    except LookupError as error:
        raise UserError(f"--encoding {encoding}: no such encoding; try windows-1252, cp1251 or utf-16") from error
    contents = {path: path.read_bytes() for folder in folders for path in _files(folder)[0]}
    other = [path for path, content in contents.items() if not decodes(content, "utf-8", encoding)]
    if other:
        names = and_more([str(path.relative_to(source)) for path in other])
        guess = guessed_encoding(b"".join(contents[path] for path in other))
        remedy = f"if they are {guess}, add --encoding {guess}" if guess else "save them as UTF-8 text"
        tried = "not UTF-8" if encoding == "utf-8" else f"neither UTF-8 nor {encoding}"
        raise UserError(f"{source}: {tried}: {names}; {remedy}")


def decodes(content: bytes, *encodings: str) -> bool:
    """Whether these bytes are text in one of the encodings; no text holds a NUL."""
    for encoding in encodings:
        try:
            return "\0" not in content.decode(encoding)
        except UnicodeError:
            continue
    return False


def guessed_encoding(content: bytes) -> str:
    """What text that is not UTF-8 may be in: UTF-16 has zeros, Western texts few letters beyond ASCII, Cyrillic many;
    nothing for what is no text."""
    if decodes(content, "utf-16") and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    beyond_ascii = sum(byte > 127 for byte in content)
    candidates = ("cp1251",) if 2 * beyond_ascii > len(content) else ("windows-1252",)
    return next((name for name in candidates if decodes(content, name)), "")


def _speaker(folder: Path, encoding: str) -> Speaker:
    paths, others = _files(folder)
    if not paths:
        raise UserError(f"{folder}: no .txt file in it; add the speaker's texts or remove the folder")
    _warn_of_unread(folder, others)
    name = normalized(" ".join(folder.name.split()))
    documents = [_document(path, encoding) for path in paths]
    left_out = {"files that are not .txt": len(others)}
    return Speaker(regex.sub(r"[^\p{L}\p{M}\p{N}_.-]+", "-", name), name, documents, left_out)


def read_sentences(path: Path) -> list[str]:
    """The sentences of a file, as they were written; UserError if there are none, or nothing says where one ends."""
    text, _ = _text(path)
    paragraphs = _paragraphs(path, text)
    if not paragraphs:
        raise UserError(f"{path}: empty file; it needs at least one line of text")
    return sentences([Speaker("", "", [Document(paragraphs, {})])])[0][0]


def _document(path: Path, encoding: str = "utf-8") -> Document:
    """The paragraphs of a file, with uniform typography; those without writing in them are left out."""
    text, n_stamps = _text(path, encoding)
    paragraphs = [spaced(straight(paragraph)) for paragraph in _paragraphs(path, text)]
    kept = list(filter(mostly_letters, paragraphs))
    return Document(kept, {FIGURES: len(paragraphs) - len(kept), STAMPS: n_stamps})


def _text(path: Path, encoding: str = "utf-8") -> tuple[str, int]:
    """What is written in a file, and how many time stamps of subtitles were taken out, which break its sentences."""
    text = normalized(read_text(path, encoding)).replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise UserError(f"{path}:{text.count(chr(10), 0, text.index(chr(0))) + 1}: NUL byte, so this is no UTF-8 text")
    text, n_stamps = regex.subn(CUE, "", text)
    _refuse_markup(path, text.strip())
    return (" ".join(regex.sub(r"</?\w[^>]*>", "", text).split()) if n_stamps else text), n_stamps


def _refuse_markup(path: Path, text: str) -> None:
    """UserError for what is not plain text."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    forms = [form for form, beginning in BEGINNINGS.items() if regex.match(beginning, text)]
    for form, start in LINES.items():
        if len(lines) > 2 and 2 * sum(bool(regex.match(start, line)) for line in lines) > len(lines):
            forms.append(form)
    if forms:
        raise UserError(f"{path}: looks like {forms[0]}, not like plain text; save only what was said or written in it")


def _paragraphs(path: Path, text: str) -> list[str]:
    """What stands between blank lines; or the lines, in a text without blank lines that was not broken to fit a width,
    and in one whose sentences have no marks at their ends. UserError where nothing says where a sentence ends."""
    lines = [line.strip() for line in text.split("\n")]
    blocks = [list(group) for has_text, group in groupby(lines, key=bool) if has_text]
    lines = [line for block in blocks for line in block]
    n_words, n_ends = len(normal_words(text)), len(regex.findall(END, text))
    if n_words <= MOST_WORDS * n_ends:
        return list(map(_joined, blocks)) if len(blocks) != 1 or _wrapped(lines) else lines
    if n_words > MOST_WORDS * len(lines):
        ends = f"{counted(n_ends, 'mark')} at ends of sentences (. ? !)"
        marks = f"{counted(n_words, 'word')} in {counted(len(lines), 'line')} with {ends}"
        raise UserError(f"{path}: {marks}; add the marks, or write each sentence on a line of its own")
    return lines


def _joined(lines: Sequence[str]) -> str:
    """Lines as one, with the words whole that were divided at their ends."""
    return regex.sub(r"(?<=\p{Ll})[-\u00ad]\n(?=\p{Ll})", "", "\n".join(lines)).replace("\n", " ")


def _wrapped(lines: Sequence[str]) -> bool:
    """Whether lines end where they are full, or go on in small letters, rather than where a sentence ends."""
    inside = [(line, after) for line, after in pairwise(lines) if not regex.search(rf"{END}$", line)]
    if 2 * len(inside) < len(lines):
        return False
    width = sorted(map(len, lines))[int(0.95 * len(lines))]  # but for a few that could not be broken
    full = sum(len(line) + 1 + len(after.split()[0]) > width for line, after in inside)
    small = sum(after[0].islower() for _, after in inside)
    return full > 0.8 * len(inside) or small > 0.5 * len(inside)
