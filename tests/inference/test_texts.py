"""What somebody types is read as the training files are written, whatever signs, accents and white space it comes in;
files are told from sentences."""

# ruff: noqa: RUF001 (the signs that people type are meant)
import contextlib
import io
import sys
import unicodedata
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from browser import in_browser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import classifier_of, decoder_of

import main
from common.files import UserError
from dataset import load_data
from inference.attention import write_maps
from inference.generate import speaker_of
from inference.texts import lines_of, named_file, uniform_text
from modules.config import TransformerConfig
from speechesdataset.importing import read_sentences
from tokenizer import Tokenization, Tokenizer
from training.weights import TrainedModel, load_model, save_model
from transformer import Decoder, build_classifier

TYPED = {  # what stands in a training text, and what people type for it
    " ": (" ", "  ", "\t", "\u00a0", "\u202f", " \u2003"),
    "'": ("'", "’", "‘", "‚", "‹"),
    '"': ('"', "“", "”", "„", "«", "»"),
    " -- ": (" -- ", "—", " — ", " – ", "\u00a0―\t"),
    "9-10": ("9-10", "9–10"),
    "...": ("...", "…"),
    "é": ("é", "e\u0301"),
    "we": ("we",),
    "hope": ("hope",),
    "quux": ("quux",),  # that the model does not know
}
LINE = "we hope -- we'll \"hope\" in 9-10 days, Zoé ... ' é."
KINDS: list[Any] = ["word", "bpe", "character"]
CONFIG = TransformerConfig(n_embd=8, n_layer=1, block_size=24, ff_dim=8, initialisation="pytorch")
VOICES = ["Zoé", "राम", "रमा"]


@pytest.fixture(scope="module", params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder, and models that were made for it but not trained: their answers differ from text to text."""
    home = tmp_path_factory.mktemp(request.param)
    for name in ("train_CLS.tsv", "test_CLS.tsv", "labels.tsv"):
        texts = VOICES if name == "labels.tsv" else [LINE] * 3
        (home / name).write_text("".join(f"{label}\t{text}\n" for label, text in enumerate(texts)))
    for name in ("train_LM", "test_LM_a"):
        (home / f"{name}.txt").write_text(f"{LINE}\n" * 9)
    loaded = load_data(home, 24, tokenization=Tokenization(request.param))
    tokenizer, fingerprint = loaded.tokenizer, loaded.corpus.fingerprint
    torch.manual_seed(0)
    models: dict[str, Any] = {
        "classifier": build_classifier(classifier_of(CONFIG), tokenizer.words, 3),
        "decoder": Decoder(decoder_of(CONFIG, voices=True), tokenizer.words, n_speakers=3),
    }
    for name, model in models.items():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter)
        trained = TrainedModel(model.eval(), tokenizer, VOICES, data=fingerprint)
        save_model(home / f"{name}.safetensors", trained)
    return home


def printed(*words: object, stdin: str = "") -> str:
    """What a command prints."""
    given, out = io.TextIOWrapper(io.BytesIO(stdin.encode())), io.StringIO()
    with contextlib.redirect_stdout(out), mock.patch.object(sys, "stdin", given):
        assert main.main([str(word) for word in words]) == 0
    return out.getvalue()


def answers(home: Path, text: str) -> list[object]:
    """What is said of one sentence at every entrance."""
    classifier, decoder = (["--model", home / f"{name}.safetensors"] for name in ("classifier", "decoder"))
    score, file = ["score", "--json", "--data-dir", home, *decoder], home / "given"
    rows = [printed("classify", text, *model) for model in (classifier, decoder)]
    rows.append(printed("classify", *classifier, stdin=text))
    file.write_text(text)
    trained = load_model(home / "classifier.safetensors")
    write_maps(home / "maps", trained, text)
    vocabulary = trained.tokenizer.to_json() | {"words": trained.tokenizer.words}
    return [
        *([column for i, column in enumerate(row.split("\t")) if i != 2] for row in rows),  # the third is the text
        printed("explain", text, "--json", *classifier),
        [printed(*score, text), printed(*score, file), printed(*score, stdin=text)],
        printed("generate", text, "--n-tokens", 2, *decoder),
        [array.tolist() for array in np.load(home / "maps").values()],
        in_browser("makeTokenizer(input.vocabulary).read(input.text)", {"vocabulary": vocabulary, "text": text}),
    ]


@pytest.mark.slow
@settings(max_examples=5, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_however_a_sentence_is_typed_the_answers_are_the_same(home: Path, inputs: st.DataObject) -> None:
    pieces = inputs.draw(st.lists(st.sampled_from(list(TYPED)), min_size=1, max_size=8))
    plain = ["we", *(part for piece in pieces for part in (" ", piece)), " ", "hope"]
    typed = [inputs.draw(st.sampled_from(TYPED[piece])) for piece in plain]
    around = inputs.draw(st.sampled_from(["", " ", "\u00a0"]))
    assert answers(home, f"{around}{''.join(typed)}{around}") == answers(home, " ".join("".join(plain).split()))


@pytest.mark.parametrize("kind", KINDS)
def test_signs_that_the_model_knows_stay_as_they_are(kind: Any) -> None:
    known = Tokenizer.build([f"world’s hope “us” -- 9–10 {n}" for n in range(9)], tokenization=Tokenization(kind))
    assert uniform_text("We’ll\n «go» — … 9–10 “now”", known) == 'We’ll "go" -- ... 9–10 “now”'
    plain = Tokenizer.build(["the world's hope -- 9-10"] * 9, tokenization=Tokenization(kind))
    text = uniform_text("—‹We’ll›—rise… in 1–2–3", plain)
    assert text == "-- 'We'll' -- rise... in 1-2-3" == uniform_text(text, plain)


@pytest.mark.parametrize(
    ("name", "number"),
    [("Zoe\u0301", 0), ("ZOÉ", 0), ("zo", 0), ("राम", 1), ("रमा", 2), ("Zoe", None), ("रम", None), ("म", 1)],
)
def test_a_voice_is_found_by_its_letters_with_their_signs(name: str, number: int | None) -> None:
    for form in ("NFC", "NFD"):
        names = [unicodedata.normalize(form, other) for other in VOICES]
        if number is not None:
            assert speaker_of(names, name) == number
        else:
            with pytest.raises(UserError, match="none of its voices"):
                speaker_of(names, name)


def test_a_text_is_itself_or_the_file_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "my speech.md"
    path.write_text("we hope\n\n the day \n")
    assert lines_of(str(path)) == ["we hope", "the day"]
    for text in ("we hope\n\n the day \n", "speech.txt is a file", "we " * 5000, "and/or", "...", " ", "1/2 of it"):
        assert named_file(text) is None
    assert lines_of("we hope\n\n the day \n") == ["we hope", "the day"]
    for wrong in (str(tmp_path), str(tmp_path / "spech"), "spech.txt", "mi speech.TXT", "missing.md", "~/speech"):
        with pytest.raises(UserError, match=r"no such file of text; give one, or a text in quotes$"):
            named_file(wrong)


def test_a_file_is_judged_by_sentences_and_as_a_whole(home: Path) -> None:
    classifier, path = ["--model", home / "classifier.safetensors"], home / "chapter.txt"
    sentences = ["We hope in 9 days.", "Mr. Smith hopes -- we'll see."]
    path.write_text("We hope in 9\ndays. Mr. Smith hopes --\nwe'll see.\n")
    assert read_sentences(path) == sentences
    *rows, whole = [row.split("\t") for row in printed("classify", path, *classifier).splitlines()]
    assert rows == [row.split("\t") for row in printed("classify", *sentences, *classifier).splitlines()]
    assert whole[2] == f"{path}: the mean of 2 sentences"
    other = home / "other.txt"
    other.write_text("Zoé hopes.\n")
    several = printed("classify", path, "we hope", other, *classifier).splitlines()
    alone = [printed("classify", text, *classifier) for text in (path, "we hope", other)]
    assert several == "".join(alone).splitlines()  # each by itself, in the order in which they are given
    shares = [{name: float(share[:-1]) for name, share in map(str.split, row[1].split("  "))} for row in (*rows, whole)]
    assert shares[2] == pytest.approx({name: (shares[0][name] + shares[1][name]) / 2 for name in VOICES}, abs=0.11)
    blank = home / "blank.txt"
    blank.write_text(" \n\n")
    for words in (["explain", path], ["attention", path], ["generate", path], ["classify", blank, *classifier]):
        assert main.main([*map(str, words)]) == 2


def test_nothing_that_is_typed_or_named_breaks_the_line_or_moves_the_terminal(home: Path, tmp_path: Path) -> None:
    trained = load_model(home / "classifier.safetensors")
    path = tmp_path / "classifier.safetensors"
    save_model(path, TrainedModel(trained.model, trained.tokenizer, ["\x1b[31mAda", "Ben\x9b", "Cyd\r"]))
    for words in (["classify", "we\thope\nin \x1b[31m days"], ["explain", "we \x1b hope", "--out", tmp_path]):
        lines = printed(*words, "--model", path)
        assert not [char for char in lines.replace("\n", "").replace("\t", "") if not char.isprintable()]
        assert words[0] == "explain" or (lines.count("\n"), lines.count("\t")) in {(1, 2), (1, 3)}


def test_half_a_character_can_be_drawn_and_written(home: Path, tmp_path: Path) -> None:
    for name in ("classifier", "decoder"):
        printed("attention", "we ☃ 人 " * 20, "--model", home / f"{name}.safetensors", "--out", tmp_path / name)
        assert "☃" in (words := "".join(np.load(tmp_path / name / "attention.npz")["words"])) or r"\xe2" in words
