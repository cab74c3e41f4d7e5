"""From documents to a data folder without leaks: sentences, stretches, one split for both tasks, files and manifest."""

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import regex

from common.environment import import_nltk
from common.files import UserError, as_json, resolved, sha256, write_bytes
from common.locks import FolderLock
from speechesdataset.duplicates import closest, normal_words
from speechesdataset.folder import (
    LABELS,
    MANIFEST,
    TEST_ROWS,
    TRAIN_ROWS,
    TRAIN_TEXT,
    Manifest,
    Options,
    SpeakerCounts,
    Split,
    text_file,
)
from tokenizer import ABBREVIATIONS

MIN_WORDS = 5  # "Thank you." says nothing about who speaks: such sentences stand in train_LM.txt only
STRETCH = 10  # sentences that follow each other, two or three paragraphs, and stay on one side of the split
ECHO = 1 / 3  # a sentence of which another one copies so much is no test segment; stricter than duplicates.NEAR
TEST_SHARE = 0.25  # of the sentences of the speaker who has the fewest
MAX_TEST = 150  # test segments per speaker
MIN_TEST = 10  # fewer would measure nothing
TRAINER_WORDS = 150_000  # Punkt learns its abbreviations from about so many words, taken evenly


FIGURES = "paragraphs of figures and signs"  # what is left out, in the words of the manifest
SHORT = f"sentences under {MIN_WORDS} words among the test sentences"
COPIES = "copies and near copies among the test sentences"
SURPLUS = "test sentences beyond the number that each speaker has"


# ---------------------------------------------------------------------------------------------------------- documents
@dataclass(frozen=True)
class Document:
    """A text."""

    paragraphs: Sequence[str]
    left_out: Mapping[str, int]  # of what it was made from: how much, by reason


@dataclass(frozen=True)
class Speaker:
    """A class: its name in file names, its name for people, and its documents."""

    slug: str
    name: str
    documents: Sequence[Document]
    left_out: Mapping[str, int] = field(default_factory=dict)  # in addition to what the documents left out


# Signs in which typists differ and speakers do not: quotation marks, dashes, dots and white space.
SIGNS = "\u2018\u2019\u201a\u2039\u203a\u201c\u201d\u201e\u00ab\u00bb\u2026\u2012\u2013\u2014\u2015"
GUILLEMETS = str.maketrans("\u2039\u203a\u00ab\u00bb", "''\"\"")  # quotation marks, where not all texts have them
DASHES = re.compile("\\s?[-\u2012-\u2015][-\u2012-\u2015\\s]*")  # a run of hyphens and dashes, and the space round it
DASH = re.compile("[\u2012-\u2015]|--|\\s-\\s")


def straight(text: str) -> str:
    """`text` with straight quotation marks and apostrophes, and three dots for an ellipsis."""
    text = re.sub("[\u2018\u2019\u201a]", "'", text)
    return re.sub("[\u201c\u201d\u201e]|''", '"', text).replace("\u2026", "...")


def spaced(text: str) -> str:
    """`text` with " -- " for every dash, a hyphen between figures, and single spaces."""
    text = re.sub("(?<=\\d)\u2013(?=\\d)", "-", " ".join(text.split()))
    return DASHES.sub(lambda run: " -- " if DASH.search(run[0]) else run[0], text)


def mostly_letters(text: str) -> bool:
    """Whether `text` is writing rather than a row of a table or a ruler; vowel signs count as letters."""
    return len(regex.findall(r"[\p{L}\p{M}]", text)) > 0.6 * len(text.replace(" ", ""))


# -------------------------------------------------------------------------------------------------------------- split
def make_folder(
    out: Path, speakers: Sequence[Speaker], split: Split, seed: int, source: str, versions: dict[str, str]
) -> Manifest:
    """Split the speakers' documents, which are of `source`, and write the data folder `out`; returns its manifest."""
    files, counts = make_files(speakers, split, seed)
    options = Options([speaker.slug for speaker in speakers], split, seed)
    digests = {name: sha256(data) for name, data in files.items()}
    manifest = Manifest(source=source, versions=versions, options=options, speakers=counts, files=digests)
    write_folder(out, files | {MANIFEST: as_json(manifest).encode()})
    return manifest


def make_files(speakers: Sequence[Speaker], split: Split, seed: int) -> tuple[dict[str, bytes], list[SpeakerCounts]]:
    """The files of a data folder, name -> bytes, and for each speaker how much is in them.

    Whole stretches of a document (or whole documents, split "speech") go to the test side, drawn by `seed` until they
    hold enough segments: the same number for each speaker. A sentence of which a copy or near copy stands anywhere
    else, whoever said it, is never a test segment. All other stretches, in their order, are train_LM.txt; the same
    number of segments for each speaker, taken evenly from them, is train_CLS.tsv. What stands in no file is counted.
    """
    stretches = [_stretches(documents, split) for documents in sentences(speakers)]
    echoed = _echoed([text for of_speaker in stretches for stretch in of_speaker for text in stretch])
    usable = [[_usable(stretch, echoed) for stretch in of_speaker] for of_speaker in stretches]
    for speaker, of_speaker in zip(speakers, stretches):
        _check_enough(speaker, [text for stretch in of_speaker for text in stretch], echoed, split)
    n_usable = [sum(map(len, of_speaker)) for of_speaker in usable]
    n_wanted = min(MAX_TEST, *(int(TEST_SHARE * n) for n in n_usable))

    train, held_out = [], []
    for speaker, of_speaker, usable_in in zip(speakers, stretches, usable):
        tested = _draw(list(map(len, usable_in)), n_wanted, f"{seed} {speaker.slug}")
        held_out.append([text for i in sorted(tested) for text in of_speaker[i]])
        train.append([text for i, stretch in enumerate(of_speaker) if i not in tested for text in stretch])
    test, rows = [_usable(texts, echoed) for texts in held_out], _rows(train)
    for speaker, train_texts, test_texts in zip(speakers, rows, test):
        if min(len(train_texts), len(test_texts)) < MIN_TEST:
            numbers = f"{len(train_texts)} sentences for training and {len(test_texts)} for testing"
            needed = f"at least {MIN_TEST} each are needed; split by stretch or add text"
            raise UserError(f"{speaker.name}: {numbers}, {needed}")
    n_test, n_train = min(n_wanted, *map(len, test)), min(map(len, rows))
    left_out = [
        _left_out(speaker, texts, echoed, len(test_texts) - n_test)
        for speaker, texts, test_texts in zip(speakers, held_out, test)
    ]
    test = [texts[:n_test] for texts in test]
    rows = [[texts[i * len(texts) // n_train] for i in range(n_train)] for texts in rows]
    files = {
        TRAIN_ROWS: _lines(f"{label}\t{text}" for label, texts in enumerate(rows) for text in texts),
        TEST_ROWS: _lines(f"{label}\t{text}" for label, texts in enumerate(test) for text in texts),
        TRAIN_TEXT: _lines(text for texts in train for text in texts),
        **{text_file(speaker.slug): _lines(texts) for speaker, texts in zip(speakers, test)},
        LABELS: _lines(f"{label}\t{speaker.name}" for label, speaker in enumerate(speakers)),
    }
    counts = [
        SpeakerCounts(
            label=str(label),
            name=speaker.name,
            test_file=text_file(speaker.slug),
            documents=len(speaker.documents),
            sentences=sum(map(len, stretches[label])),
            usable_sentences=n_usable[label],
            test_segments=n_test,
            train_segments=n_train,
            train_LM_segments=len(train[label]),
            left_out=left_out[label],
        )
        for label, speaker in enumerate(speakers)
    ]
    return files, counts


def sentences(speakers: Sequence[Speaker]) -> list[list[list[str]]]:
    """The sentences of every document of every speaker, cut by a Punkt model that learns from these documents."""
    import_nltk()
    from nltk.tokenize.punkt import PunktSentenceTokenizer, PunktTrainer

    paragraphs = [text for speaker in speakers for document in speaker.documents for text in document.paragraphs]
    step = sum(text.count(" ") + 1 for text in paragraphs) // TRAINER_WORDS + 1
    text = "\n\n".join(paragraphs[::step])
    parameters = PunktTrainer(text).get_params()
    whole = set(re.findall(r"(?<![a-z])[a-z]++\b(?!\.)", text.lower()))  # "die", "quit" ended sentences by chance
    learned = {word for word in parameters.abbrev_types if re.fullmatch(r"[a-z]{1,4}(\.[a-z]{1,3})*", word)} - whole
    parameters.abbrev_types = learned | set(ABBREVIATIONS.split())  # few documents do not teach them all
    punkt = PunktSentenceTokenizer(parameters)
    return [
        [
            [text for paragraph in document.paragraphs for part in punkt.tokenize(paragraph) for text in _cut(part)]
            for document in speaker.documents
        ]
        for speaker in speakers
    ]


def _cut(text: str) -> list[str]:
    """`text` cut after the marks that Punkt does not know, those of other scripts than the Latin: । 。 ؟"""
    return regex.sub(r"(?V1)([\p{STerm}--[.?!]]+[\p{Pe}\p{Pf}\"']*)\s*", r"\1\n", text).strip().split("\n")


def _stretches(documents: Sequence[Sequence[str]], split: Split) -> list[Sequence[str]]:
    if split == "speech":
        return list(documents)
    return [document[i : i + STRETCH] for document in documents for i in range(0, len(document), STRETCH)]


def _echoed(texts: Sequence[str]) -> set[str]:
    """The texts of which a copy or near copy is another one of them."""
    _, share = closest(texts)
    return {text for text, part in zip(texts, share) if part >= ECHO}


def _long(text: str) -> bool:
    return len(normal_words(text)) >= MIN_WORDS


def _usable(texts: Sequence[str], echoed: set[str]) -> list[str]:
    """The texts that can be tested with."""
    return [text for text in texts if _long(text) and text not in echoed]


def _check_enough(speaker: Speaker, texts: Sequence[str], echoed: set[str], split: Split) -> None:
    """UserError, with the reason, for a speaker with too few sentences that can be tested with."""
    if split == "speech" and len(speaker.documents) < 2:
        raise UserError(f"{speaker.name}: one document only, which cannot be on both sides; split by stretch")
    n_long, n_usable, needed = sum(map(_long, texts)), len(_usable(texts, echoed)), int(MIN_TEST / TEST_SHARE)
    if n_usable < needed:
        usable = f"{n_usable:,} sentences of {MIN_WORDS} words or more that stand nowhere else"
        too_few = f"{usable}, but at least {needed} are needed (about {20 * needed} words)"
        others = f"{len(texts) - n_long:,} are shorter, {n_long - n_usable:,} are copies or near copies"
        before = [f"{reason}: {number:,}" for reason, number in _left_out_before(speaker).items()]
        left_out = f" (left out: {', '.join(before)})" if before else ""
        raise UserError(f"{speaker.name}: {too_few}: {others}{left_out}; add text or leave the speaker out")


def _left_out(speaker: Speaker, tested: Sequence[str], echoed: set[str], n_surplus: int) -> dict[str, int]:
    """How much stands in no file, by reason; `tested` are the sentences of the parts drawn for the test."""
    n_long = sum(map(_long, tested))
    of_test = {SHORT: len(tested) - n_long, COPIES: n_long - len(_usable(tested, echoed)), SURPLUS: n_surplus}
    return _left_out_before(speaker) | {reason: number for reason, number in of_test.items() if number}


def _left_out_before(speaker: Speaker) -> dict[str, int]:
    """How much of a speaker's files became no sentence, by reason."""
    counts = Counter(speaker.left_out)
    for document in speaker.documents:
        counts.update(document.left_out)
    return {reason: number for reason, number in counts.items() if number}


def _draw(sizes: Sequence[int], wanted: int, key: str) -> set[int]:
    """Indices of parts that hold `wanted` segments together; one part is always left for training.

    The order comes from hashes, not from a random generator, so that it is the same in every version of every library.
    """
    order = sorted(range(len(sizes)), key=lambda i: sha256(f"{key} {i}".encode()))
    chosen: set[int] = set()
    for i in order[:-1]:
        if sum(sizes[j] for j in chosen) < wanted:
            chosen.add(i)
    return chosen


def _rows(train: Sequence[Sequence[str]]) -> list[list[str]]:
    """For each class its distinct texts that are long enough and no other class has."""
    distinct = [{" ".join(normal_words(text)): text for text in texts if _long(text)} for texts in train]
    n_classes = Counter(key for texts in distinct for key in texts)
    return [[text for key, text in texts.items() if n_classes[key] == 1] for texts in distinct]


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def write_folder(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` into `directory`, all or none; UserError where a file of these names has other content.

    A new folder is written under another name and renamed in one step, so that not even a kill leaves half of it. In a
    folder that exists, files are added one after the other, the manifest first: it says what is missing.
    """
    directory = resolved(directory)
    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory}: is a file; choose a folder")
    with FolderLock(directory, wait=True):
        present = {name for name in files if (directory / name).exists()}
        foreign = {path.name for path in directory.glob(text_file("*"))} - files.keys()
        foreign |= {name for name in present if (directory / name).read_bytes() != files[name]}
        if foreign:
            names = ", ".join(sorted(foreign))
            raise UserError(f"{directory}: {names} there already, with other content; choose another folder")
        new = sorted(files.keys() - present, key=lambda name: (name != MANIFEST, name))
        is_new = not directory.exists()
        building = (directory.parent if is_new else directory) / f".{directory.name}.building"
        try:
            shutil.rmtree(building, ignore_errors=True)  # of a process that was killed
            for name in new:
                write_bytes(building / name, files[name])
            if is_new:
                building.rename(directory)
            else:
                _move(new, building, directory)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _move(names: Sequence[str], source: Path, target: Path) -> None:
    """Move files to another folder, all or none."""
    try:
        for name in names:
            (source / name).rename(target / name)
    except BaseException:
        for name in names:
            (target / name).unlink(missing_ok=True)
        raise
