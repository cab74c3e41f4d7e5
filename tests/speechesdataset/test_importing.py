"""A folder of texts becomes a data folder like the built one, or an error that says what is missing."""

import random
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from common.files import UserError
from reporting.audit import render
from speechesdataset.audit import audit
from speechesdataset.folder import Split, load_corpus
from speechesdataset.importing import _document, guessed_encoding, import_folder

THINGS = ["road", "river", "school", "farm", "bridge", "harbor", "market", "garden"]


def text(name: str, n: int) -> str:
    """Prose in which no two sentences are alike; a blank line after every third, lines broken inside sentences."""
    sentence = "{0}{1} will mend\n{0}{3} the {2} while {0}{4} sees Mr. {0}{1} again."
    made = [sentence.format(name, i, THINGS[i % 8], i * 7 + 1, i * 11 + 5) for i in range(n)]
    return "\n\n".join(" ".join(made[i : i + 3]) for i in range(0, n, 3))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("Ada Lovelace", "Bob"):
        (tmp_path / "texts" / name / "old").mkdir(parents=True)
        for file in ("one.txt", "old/two.TXT"):
            (tmp_path / "texts" / name / file).write_text(text(name[0] + Path(file).stem, 60))
        (tmp_path / "texts" / name / "notes.md").write_text("no speech")
    (tmp_path / "texts" / ".git").mkdir()
    return tmp_path / "texts"


@pytest.mark.parametrize("split", ["stretch", "speech"])
def test_texts_become_a_clean_data_folder(source: Path, tmp_path: Path, split: Split) -> None:
    manifest = import_folder(source, tmp_path / "out", split)
    corpus = load_corpus(tmp_path / "out")
    assert corpus.class_names == ["Ada Lovelace", "Bob"]
    assert sorted(corpus.test_texts) == ["Ada-Lovelace", "Bob"]
    assert [counts.test_segments for counts in manifest.speakers] == [30, 30]
    assert len(corpus.test) == 60
    assert all(row.text.startswith(corpus.class_names[int(row.label)][0]) for row in corpus.train + corpus.test)
    assert all(" the " in row.text and row.text.endswith(" again.") for row in corpus.train)  # whole sentences
    assert not audit(tmp_path / "out").has_leakage
    if split == "speech":  # the two documents of a speaker are on different sides
        documents = [{row.text[:2] for row in rows} for rows in (corpus.train, corpus.test)]
        assert not documents[0] & documents[1]


def complaint(source: Path, out: Path, split: Split = "stretch") -> str:
    with pytest.raises(UserError) as caught:
        import_folder(source, out, split)
    assert not out.exists()
    return str(caught.value)


def test_too_little_text_says_how_much_is_needed(source: Path, tmp_path: Path) -> None:
    out, bob = tmp_path / "out", source / "Bob"
    (bob / "old" / "two.TXT").unlink()
    (bob / "one.txt").write_text(text("B", 12))
    assert "at least 40 are needed (about 800 words)" in complaint(source, out)
    assert "one document only" in complaint(source, out, "speech")
    (bob / "two.txt").write_text("We rest here at last.")
    (bob / "one.txt").write_text(text("B", 60))
    assert "split by stretch" in complaint(source, out, "speech")
    (bob / "one.txt").write_text("\n".join(f"We thank the people of the city of number{i} today." for i in range(70)))
    assert "copies and near copies 70; add text" in complaint(source, out)


SIGNS = {  # letters, the signs that stand on them, and what ends a sentence
    "latin": ("bcdfghklmnprstvz", "aeiou", "."),
    "capitals": ("BCDFGHKLMNPRSTVZ", "AEIOU", "."),
    "hindi": ("कगचजटडतदनपबमरलवसह", "ािीुूेैोौ", "।"),
    "tamil": ("கசடதபரலவழளனமயந", "ாிீுூெேைொ", "."),
    "hebrew": ("אבגדהזחטכלמנסעפקרשת", "ִֵֶַָֹֻ", "."),
    "arabic": ("بتثجحدرزسشصطعفقكلمنه", "ًٌٍَُِّ", "؟"),
    "chinese": ("和平晚上石头海洋白银看见大门国王春雨太阳月亮正义桥梁清水自由工作", "", "。"),
}


def sentences_in(script: str, seed: int, n: int = 70, n_words: int = 8) -> list[str]:
    """Sentences of made-up words of two letters, each with a sign; no two sentences have much in common."""
    draw, (letters, signs, end) = random.Random(seed), SIGNS[script]

    def word() -> str:
        return "".join(draw.choice(letters) + draw.choice(signs or [""]) for _ in range(2))

    between = " " if signs else ""
    return [between.join(word() for _ in range(n_words)) + end for _ in range(n)]


def texts_of(folder: Path, texts: list[str]) -> Path:
    for name, text in zip(["Ada", "Ben"], texts):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "one.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("script", SIGNS)
@pytest.mark.parametrize("between", ["\n", " "])
def test_every_script_has_letters_words_and_sentences(script: str, between: str, tmp_path: Path) -> None:
    texts = [sentences_in(script, seed) for seed in (1, 2)]
    source = texts_of(tmp_path / "texts", [between.join(text) for text in texts])
    made = import_folder(source, tmp_path / "out").speakers
    assert [(speaker.sentences, speaker.usable_sentences) for speaker in made] == [(70, 70), (70, 70)]
    corpus = load_corpus(tmp_path / "out")
    assert {row.text for row in corpus.train + corpus.test} <= set(texts[0] + texts[1])  # as they were
    assert not audit(tmp_path / "out").has_leakage


def wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width))


def by_sense(texts: list[str]) -> str:
    """Lines that break inside sentences, wherever the writer liked to."""
    return "\n".join(f"{' '.join(words[:3])}\n{' '.join(words[3:])}" for words in map(str.split, texts))


@pytest.mark.parametrize("script", ["latin", "hebrew"])
@pytest.mark.parametrize(
    "form",
    [
        "\n".join,
        "\n\n".join,
        " ".join,
        lambda texts: wrapped(" ".join(texts), 72),
        lambda texts: "\r\n".join(wrapped(" ".join(texts[i : i + 10]), 60) for i in range(0, 70, 10)),
        lambda texts: "\n\n".join(wrapped(" ".join(texts[i : i + 10]), 60) for i in range(0, 70, 10)),
        lambda texts: "A TITLE\n\n" + "\n".join(text.rstrip(".") for text in texts),
        lambda texts: "\n".join(text.rstrip(".").lower() for text in texts),
        lambda texts: "A TITLE\n\n" + by_sense(texts),
    ],
)
def test_sentences_end_where_they_end(form: Callable[[list[str]], str], script: str, tmp_path: Path) -> None:
    texts = [[text[0].upper() + text[1:] for text in sentences_in(script, seed)] for seed in (1, 2)]
    import_folder(texts_of(tmp_path / "texts", list(map(form, texts))), tmp_path / "out")
    corpus = load_corpus(tmp_path / "out")
    whole = {text.rstrip(".").casefold() for text in texts[0] + texts[1]}
    assert {row.text.rstrip(".").casefold() for row in corpus.train + corpus.test} <= whole


def test_text_without_marks_and_lines_is_refused(source: Path, tmp_path: Path) -> None:
    path = source / "Bob" / "one.txt"
    path.write_text(" ".join(text.rstrip(".") for text in sentences_in("latin", 1)))
    assert complaint(source, tmp_path / "out").startswith(f"{path}: 560 words in 1 line with 0 marks at ends")
    path.write_text("\n".join(text.rstrip(".") for text in sentences_in("latin", 1)))
    import_folder(source, tmp_path / "out")


def test_what_other_people_write_stays_as_it_is(tmp_path: Path) -> None:
    """Rules for one transcriber's presidents, and letters that are signs in his files, touch nobody else."""
    kept = [
        "The President. Then we went on to the market and stayed.",
        "Mr. Smith. Came to see us all on the day before.",
        "Audience members. They left when the music had come to its end.",
        "We read [in the old book of laws] about it.",
        "ÔTE les livres Õ de la table, s'il vous plaît.",
        "« Bonjour ! » dit-elle à tous ses amis hier soir.",
        "The variable a_b and the star * stand here together |",
        "Press (applause) to hear the people in the hall again.",
        "She paid 1998 dollars at this point, and 3 in millions.",
        "He waited . . . and waited until it was dark.",
    ]
    source = texts_of(tmp_path / "texts", ["\n\n".join(sentences_in("latin", seed)) for seed in (1, 2)])
    (source / "Ada" / "two.txt").write_text("\n".join(kept))
    (document,) = [_document(source / "Ada" / "two.txt")]
    assert document.paragraphs == kept
    assert not any(document.left_out.values())


def test_typography_is_made_uniform_for_everybody(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text("\ufeffShe\u2019s here\u2014\u201cat last\u201d\u2026 and Zoe\u0301  -  too, 9\u201310\tJune.")
    assert _document(path).paragraphs == ['She\'s here -- "at last"... and Zo\u00e9 -- too, 9-10 June.']


def test_what_is_left_out_is_counted_by_reason(source: Path, tmp_path: Path) -> None:
    numbers = "\n\n-----------\n\n1990 12,000.00 14,500.00 in all\n\n"
    (source / "Bob" / "one.txt").write_text(text("Bone", 60) + numbers + "Well, well.\n\n" * 30)
    manifest = import_folder(source, tmp_path / "out")
    ada, bob = (speaker.left_out for speaker in manifest.speakers)
    assert ada["files that are not .txt"] == bob["files that are not .txt"] == 1
    assert "paragraphs of figures and signs" not in ada
    assert bob["paragraphs of figures and signs"] == 2
    for speaker in manifest.speakers:  # every sentence is in a file or counted
        counted = sum(n for reason, n in speaker.left_out.items() if "sentences" in reason)
        assert speaker.sentences == speaker.train_LM_segments + speaker.test_segments + counted
    assert "files that are not .txt: Ada Lovelace 1, Bob 1" in render(audit(tmp_path / "out"))


SUBTITLES = "{header}{number}\n00:00:{number:02},500 --> 00:00:{number:02},900\n<i>{first}</i>\n{second}\n\n"


@pytest.mark.parametrize("header", ["", "WEBVTT\n\n"])
def test_subtitles_are_sentences_without_their_times(source: Path, tmp_path: Path, header: str) -> None:
    path = tmp_path / "talk.txt"
    cues = [("At 10:30 we", "go to the"), ("river. Then", "we rest."), ("In 1990", "we came.")]
    numbered = enumerate(cues, start=1)
    path.write_text(
        "".join(
            SUBTITLES.format(header=header if number == 1 else "", number=number, first=first, second=second)
            for number, (first, second) in numbered
        )
    )
    document = _document(path)
    assert document.paragraphs == ["At 10:30 we go to the river. Then we rest. In 1990 we came."]
    assert document.left_out["time stamps of subtitles"] == 3
    (source / "Bob" / "one.txt").write_text(path.read_text())
    (source / "Bob" / "old" / "two.TXT").unlink()
    assert "left out: files that are not .txt 1, time stamps of subtitles 3, shorter" in complaint(
        source, tmp_path / "out"
    )


def test_files_that_are_no_utf8_are_all_named_and_read_in_the_encoding_that_is_given(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = text("Zo\u00e9 \u2019s ", 60)
    for name in ("one.txt", "old/two.TXT"):
        (source / "Bob" / name).write_bytes(
            typed.encode("cp1252") if "one" in name else text("Bo", 60).encode("cp1252")
        )
    (source / "Ada Lovelace" / "one.txt").write_bytes(typed.encode("cp1252"))
    told = complaint(source, tmp_path / "out")
    assert "Ada Lovelace/one.txt, Bob/one.txt; if they are windows-1252, add --encoding windows-1252" in told
    document = _document(source / "Bob" / "one.txt", "windows-1252")
    assert document.paragraphs[0].startswith("Zo\u00e9 's ")
    assert _document(source / "Ada Lovelace" / "old" / "two.TXT", "windows-1252").paragraphs  # UTF-8 stays UTF-8
    for path in source.rglob("*.[tT][xX][tT]"):
        path.write_text("UTF-8 all over.")
    with pytest.raises(UserError, match="no such encoding"):
        import_folder(source, tmp_path / "out", encoding="klingon")
    assert guessed_encoding("\ufeffWe rest.".encode("utf-16-le")) == "utf-16"
    assert (
        guessed_encoding("\u041c\u044b \u0440\u0430\u0431\u043e\u0442\u0430\u0435\u043c".encode("cp1251")) == "cp1251"
    )
    assert guessed_encoding(b"\x89PNG\0\xff") == ""


def test_files_that_are_not_read_are_named(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "speech.docx").write_text("beside the speakers")
    import_folder(source, tmp_path / "out")
    told = capsys.readouterr().err
    assert all(f"warning: {source / name}: not read" in told for name in ("Ada Lovelace", "Bob"))
    assert told.count("notes.md") == 2
    assert f"warning: {source}: not read, as their names do not end in .txt: speech.docx" in told


@pytest.mark.parametrize(
    ("form", "beginning", "line"),
    [
        ("HTML", "<!DOCTYPE html>", "{}"),
        ("HTML", "", "<p class='x'>{}</p>"),
        ("RTF", "{\\rtf1\\ansi", "{} \\par"),
        ("JSON", "[", '{{"text": "{}"}},'),
        ("a chat", "", "[3/12/24, 9:05:11 PM] Ada: {}"),
        ("a chat", "", "2024-03-12 21:05 - Ada: {}"),
        ("a transcript", "", "[00:03:12] {}"),
        ("a transcript", "[Events]", "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{}"),
        ("a table", "id,speaker,text", '3,Ada,"{}"'),
        ("a table", "", "Ada\t{}"),
    ],
)
def test_what_is_no_plain_text_is_refused_by_name(
    source: Path, tmp_path: Path, form: str, beginning: str, line: str
) -> None:
    path, talk = source / "Bob" / "one.txt", sentences_in("latin", 1)
    path.write_text("\n".join([beginning, *map(line.format, talk)]))
    assert complaint(source, tmp_path / "out").startswith(f"{path}: looks like {form}")
    path.write_text("\n".join([*talk, line.format(talk[0])]))  # quoted in a text, it is text
    import_folder(source, tmp_path / "out")


@pytest.mark.parametrize(
    "line",
    ['"Yes," she said.', "\u201cYes,\u201d she said.", "1,000 people came.", "[Applause] We rest.", "Three: we go."],
)
def test_prose_with_commas_brackets_and_numbers_is_text(line: str, tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text(f"{line}\n" * 3)
    assert len(_document(path).paragraphs) == 3


def test_a_word_divided_at_the_end_of_a_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    divided = "We shall re-\nbuild the well-known har\u00ad\nbour, two- or three-\nfold; on 9 -\n10 June we rest."
    path.write_text(f"{divided}\n\nIt is so.")
    whole = "We shall rebuild the well-known harbour, two- or threefold; on 9 -- 10 June we rest."
    assert _document(path).paragraphs == [whole, "It is so."]


def test_bad_sources_are_user_errors(source: Path, tmp_path: Path) -> None:
    out, carl = tmp_path / "out", source / "Carl"
    assert "no such folder" in complaint(source / "nobody", out)
    assert "lies in the folder" in complaint(source, source / "out")
    assert "0 sub-folders" in complaint(source / ".git", out)
    carl.mkdir()
    assert complaint(source, out).startswith(f"{carl}: no .txt file")
    for content in (b"fine\nca\x81\n", b"fine\nca\0\n"):
        (carl / "a.txt").write_bytes(content)
        assert "not UTF-8: Carl/a.txt; save" in complaint(source, out)
    (carl / "a.txt").write_text("We rest.")
    for name, problem in (("train", "tables use the name"), ("Ada-Lovelace", "another sub-folder has nearly the same")):
        folder = carl.rename(source / name)
        assert problem in complaint(source, out)
        folder.rename(carl)
    (source / "loose.txt").write_text("We rest.")
    assert complaint(source, out).startswith(f"{source / 'loose.txt'}: belongs to no speaker")
