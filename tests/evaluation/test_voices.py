"""A decoder with voices: what each speaker has of it, what it reads of whom, and who is told by Bayes' rule."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import decoder_of, perform

from common.files import UserError, read_tensors
from common.randomness import generator
from dataset import Data, load_data, voiced_starts
from evaluation.accuracy import speaker_probabilities
from evaluation.ngrams import KneserNey, kneser_ney_unigram, preferences, speaker_ngrams
from evaluation.perplexity import Protocol, token_nats
from inference.explain import classify
from inference.generate import generate, speaker_of
from inference.sampling import Sampling
from inference.score import score, scorers
from modules.config import TransformerConfig
from training.recipe import Recipe, Run, TrainingConfig
from training.runs import Folder
from training.tasks import DecoderTask
from training.weights import TrainedModel, load_model, save_model
from transformer import Decoder

CONFIG = TransformerConfig(n_embd=8, n_layer=1, block_size=4, ff_dim=8, initialisation="pytorch")
CPU = torch.device("cpu")
TEXT = ["we hope and work", "we work and hope for a day", "they hope for rest", "a day of hope"]
ROWS = [
    "0\twe hope for a day",
    "1\tthey rest and rest",
    "0\twe work for hope",
    "1\tthey hope for rest",
    "0\tday of hope",
]


@pytest.fixture
def data(tmp_path: Path) -> Data:
    folder = tmp_path / "data"
    folder.mkdir()
    tests = ["0\twe hope and work for a day", "1\trest", "1\tthey hope for rest"]
    texts = {"train_CLS.tsv": ROWS, "test_CLS.tsv": tests, "train_LM.txt": TEXT * 3, "test_LM_one.txt": ["they rest"]}
    texts["labels.tsv"] = ["0\tA. Young", "1\tB. Young"]
    for name, lines in texts.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return load_data(folder, CONFIG.block_size)


def recipe(duration: int = 4, batch_size: int = 4, **settings: Any) -> Recipe:
    config = decoder_of(CONFIG, voices=True, **settings)
    return Recipe("decoder", config, TrainingConfig(batch_size=batch_size), duration)


def model_of(n_speakers: int = 2, **settings: Any) -> Decoder:
    """A decoder of nine words whose voices have something of their own."""
    model = Decoder(decoder_of(CONFIG, voices=True, **settings), list("abcdefghi"), 3, n_speakers).eval()
    assert model.voices is not None
    with torch.no_grad():
        model.voices.biases.copy_(torch.randn(model.voices.biases.shape, generator=generator(0, "biases")))
    return model


def trained(data: Data, out: Path, share: float = 0.0) -> TrainedModel:
    folder, run = Folder(out, CPU), Run("voices", recipe(ngram_share=share), seed=0)
    perform(run, data, folder)
    return load_model(folder.weights(run), "decoder")


# ------------------------------------------------------------------------------------------------------ what a voice is
@pytest.mark.parametrize("settings", [{}, {"tied": True}, {"tied": True, "n_spellings": 5, "positions": "sinusoidal"}])
def test_a_voice_is_a_decoder_that_loses_what_the_one_with_voices_loses_as_this_speaker(
    settings: dict[str, Any],
) -> None:
    model, ids = model_of(**settings), torch.tensor([[0, 3, 4, 5], [0, 8, 2, 2]])
    targets, losses = torch.tensor([[3, 4, 5, 6], [8, 2, 2, 7]]), []
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for speaker in (0, 1, 2):
        alone = model.as_speaker(speaker)
        assert (alone.voices, alone.config.voices) == (None, False)
        expected = model.loss(ids, targets, speaker=speaker).detach()
        torch.testing.assert_close(alone.loss(ids, targets), expected)
        torch.testing.assert_close(alone.nats(ids, targets).mean(), expected)
        losses.append(float(expected))
    assert len(set(losses)) == 3
    torch.testing.assert_close(model.nats(ids, targets).mean(), torch.tensor(losses[0]))  # by default it is nobody
    torch.testing.assert_close(model(ids).log_softmax(dim=-1), model.as_speaker(0)(ids).log_softmax(dim=-1))
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


# ------------------------------------------------------------------------------------------------- what is read of whom
def test_half_of_each_batch_is_nobodys_and_the_rest_each_speakers_share() -> None:
    sizes, length = [50, 10, 30], 4
    starts = voiced_starts(sizes, length, 200, 6, generator(0, "order"), shuffled=False)
    assert starts.shape == (200, 6)
    assert int(starts[:, :3].max()) == 50 - length - 1
    named = starts[:, 3:].flatten()
    first, second = named[named < 60], named[named >= 60]
    assert (int(first.min()), int(first.max())) == (50, 60 - length - 1)  # no window reaches into another's text
    assert (int(second.min()), int(second.max())) == (60, 90 - length - 1)
    assert len(first) == pytest.approx(150, abs=1)
    mixed = (starts[:, 3:] < 60).any(dim=1) & (starts[:, 3:] >= 60).any(dim=1)
    assert mixed.float().mean() > 0.3  # speakers share batches


def test_windows_of_a_speaker_are_lost_as_that_speakers(data: Data) -> None:
    task = DecoderTask(Run("voices", recipe(), 0), data, CPU)
    texts = [data.train_stream.ids, *(stream.ids for stream in data.speaker_streams())]
    said = [data.tokenizer.decode(ids.tolist()) for ids in texts[1:]]
    assert said == ["we hope for a day we work for hope day of hope", "they rest and rest they hope for rest"]
    assert task.text.tolist() == [i for ids in texts for i in (0, *ids.tolist())]
    begins = [0, 1 + len(texts[0]), 2 + len(texts[0]) + len(texts[1])]
    losses = []
    for speaker, begin in enumerate(begins):
        windows = task.text[torch.tensor([begin, begin + 2])[:, None] + torch.arange(5)]
        losses.append(task.model.loss(windows[:, :-1], windows[:, 1:], speaker=speaker).detach())
        assert task.loss(torch.tensor([begin, begin + 2])).item() == pytest.approx(float(losses[-1]))
    items = torch.tensor([begin + step for begin in begins for step in (0, 2)])
    assert task.loss(items).item() == pytest.approx(float(sum(losses)) / 3)
    assert task.plan[0].shape == (4,)


def test_voices_start_from_what_the_speakers_say_and_how_often(data: Data) -> None:
    task = DecoderTask(Run("voices", recipe(), 0), data, CPU)
    assert task.model.voices is not None
    spoken, words = [stream.ids for stream in data.speaker_streams()], data.tokenizer.words
    biases = task.model.voices.biases.detach()
    torch.testing.assert_close(biases, torch.cat([torch.zeros(1, len(words)), preferences(spoken, len(words))]))
    assert biases[1, words.index("we")] > 0 > biases[2, words.index("we")]
    assert task.model.voices.shares.tolist() == pytest.approx([3 / 5, 2 / 5])


def test_preferences_are_ratios_of_smoothed_counts() -> None:
    found = preferences([torch.tensor([2, 2, 3]), torch.tensor([3])], 4)
    together = torch.tensor([1, 1, 3, 3]) / 8
    for row, counts in zip(found, ([0, 0, 2, 1], [0, 0, 0, 1])):
        n = sum(counts)
        smoothed = (torch.tensor(counts) + 2000 * together) / (n + 2000)
        torch.testing.assert_close(row, (smoothed / together).log(), rtol=1e-3, atol=1e-6)


def test_the_ngrams_of_a_voice_are_of_the_speakers_rows_and_of_the_words_of_all(data: Data) -> None:
    size, stream = len(data.tokenizer), data.train_stream.ids
    unigram = kneser_ney_unigram(stream, size, data.words_of_rows())
    for ngrams, spoken in zip(speaker_ngrams(data), data.speaker_streams(), strict=True):
        expected = KneserNey.fit(spoken.ids, size, 3, unigram)
        np.testing.assert_array_equal(ngrams.log_probabilities(stream), expected.log_probabilities(stream))


def test_too_little_to_read_is_refused(data: Data, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="set batch_size above 1"):
        recipe(batch_size=1)
    rows = data.corpus.directory / "train_CLS.tsv"
    rows.write_text("\n".join([*ROWS[:1], "1\trest"]) + "\n")
    with pytest.raises(UserError, match=r"train_CLS.tsv: 1 tokens of B. Young, too few for windows of 4"):
        DecoderTask(Run("voices", recipe(), 0), load_data(data.corpus.directory, 4), CPU)


# -------------------------------------------------------------------------------------------------------- who said what


def test_bayes_rule_weighs_the_voices_by_how_often_they_speak() -> None:
    model, row = model_of(), torch.tensor([3, 4, 5])
    assert model.voices is not None
    model.voices.shares.copy_(torch.tensor([0.9, 0.1]))
    likely = [math.exp(-float(token_nats(model.as_speaker(speaker), row, Protocol(4)).sum())) for speaker in (1, 2)]
    both = [0.9 * likely[0], 0.1 * likely[1]]
    found = speaker_probabilities(model, [], [row, row])
    assert found.tolist() == [pytest.approx([one / sum(both) for one in both], rel=1e-5)] * 2


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_record_the_file_and_what_is_done_with_it_agree(share: float, data: Data, tmp_path: Path) -> None:
    folder, run = Folder(tmp_path / "out", CPU), Run("voices", recipe(ngram_share=share), seed=0)
    record = perform(run, data, folder)
    model = load_model(folder.weights(run), "decoder")
    assert isinstance(model.model, Decoder)
    assert model.class_names == ["A. Young", "B. Young"]
    assert len(model.voice_ngrams) == (2 if share else 0)
    rows = [row.text for row in data.corpus.test]
    names = [classify(model, text)[0][0] for text in rows]
    assert record["voices"]["predictions"] == [model.class_names.index(name) for name in names]
    hits = [name == data.corpus.class_names[label] for name, label in zip(names, data.test.labels.tolist())]
    assert record["voices"]["test"]["all"] == {"n": 3, "accuracy": pytest.approx(100 * sum(hits) / 3)}
    scored = score(["they rest"], model, scorers(model, data.train_stream.ids)).scored
    alone = ["network alone"] if share else []
    assert [one.name for one in scored] == ["decoder", *alone, "A. Young", "B. Young", "trigram"]
    perplexities = [one.whole.perplexity for one in scored[-3:-1]]
    assert record["voices"]["perplexity"]["one"] == pytest.approx(perplexities, rel=1e-6)
    assert scored[-3].nats != scored[-2].nats
    again = tmp_path / "again.safetensors"
    save_model(again, model)
    assert again.read_bytes() == folder.weights(run).read_bytes()


def test_a_text_goes_on_as_its_speaker(data: Data, tmp_path: Path) -> None:
    model, words = trained(data, tmp_path), data.tokenizer.words
    assert isinstance(model.model, Decoder)
    assert model.model.voices is not None
    with torch.no_grad():
        model.model.voices.biases[1, words.index("work")] = 100
        model.model.voices.biases[2, words.index("rest")] = 100
    greedy = Sampling(n_tokens=2, temperature=0)
    said = [[words[i] for i in generate(model.as_speaker(number), "we", greedy)] for number in (0, 1)]
    assert said == [["we", "work", "work"], ["we", "rest", "rest"]]


def test_speakers_are_called_by_name_or_by_a_part_of_it_that_is_theirs_alone() -> None:
    names = ["Obama", "G. W. Bush", "G. H. W. Bush", "-1", "1"]
    asked = {"obama": 0, "OBA": 0, "gwbush": 1, "G.W. Bush": 1, "h. w.": 2, "1": 4, "-1": 3}
    assert {name: speaker_of(names, name) for name in asked} == asked
    for name, how_many in (("bush", "more than one"), ("w. bush", "more than one"), ("lincoln", "none"), (".", "none")):
        with pytest.raises(UserError, match=re.escape(f"'{name}' is {how_many} of its voices: Obama, G. W. Bush")):
            speaker_of(names, name)
    with pytest.raises(UserError, match=r"has no voices; `python main.py part2 --voices` trains"):
        speaker_of([], "obama")


def test_a_file_with_voices_and_no_speakers_or_the_other_way_is_refused(data: Data, tmp_path: Path) -> None:
    model, path = trained(data, tmp_path), tmp_path / "other.safetensors"
    save_model(path, TrainedModel(model.model, model.tokenizer, []))
    with pytest.raises(UserError, match="voices or speakers, and not with both"):
        load_model(path)
    save_model(path, TrainedModel(model.as_speaker(0).model, model.tokenizer, ["A. Young"]))
    with pytest.raises(UserError, match="voices or speakers, and not with both"):
        load_model(path)
    save_model(path, TrainedModel(model.model, model.tokenizer, ["A. Young"]))
    with pytest.raises(UserError, match="its weights are not of this architecture"):
        load_model(path)
    tensors, _ = read_tensors(tmp_path / "voices.safetensors", object)
    assert {name for name in tensors if "voices" in name} == {
        f"voices.{name}" for name in ("vectors.weight", "biases", "shares")
    }
