"""A decoder with a trigram beside it: what each probability is, in training, in a file, and when it goes on."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import numpy as np
import pytest
import torch
from tiny import decoder_of, perform

from common.files import UserError, read_tensors
from dataset import Data, load_data
from evaluation.ngrams import KneserNey, mixed, text_ngrams, unseen_words
from evaluation.perplexity import Protocol, perplexity, predicted_nats
from inference.generate import generate
from inference.sampling import Sampling
from modules.config import TransformerConfig
from reporting.explained import knockouts_table
from studies.probes.knockouts import knock_out
from studies.workplace import data_of
from tokenizer import Tokenization
from training.recipe import Recipe, Run, TrainingConfig
from training.runs import Folder
from training.weights import TrainedModel, load_model, save_model

TEXT = ["we hope and work", "we work and hope for a day", "they hope for work", "a day of hope"]
CONFIG = TransformerConfig(n_embd=8, n_layer=1, block_size=4, ff_dim=8, initialisation="pytorch")
SHARE = 0.3


@pytest.fixture
def data(tmp_path: Path) -> Data:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, lines in (("train_CLS.tsv", ["0\twe hope", "1\tthey rest"]), ("test_CLS.tsv", ["0\twork", "1\trest"])):
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    for name, lines in (("train_LM.txt", TEXT * 3), ("test_LM_one.txt", ["they work and rest for a year", "we hope"])):
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return load_data(folder, CONFIG.block_size)


def recipe(**settings: Any) -> Recipe:
    return Recipe("decoder", decoder_of(CONFIG, **settings), TrainingConfig(batch_size=2), duration=5)


def trained(data: Data, out: Path, share: float = SHARE) -> TrainedModel:
    folder, run = Folder(out, torch.device("cpu")), Run("mixture", recipe(ngram_share=share), seed=0)
    perform(run, data, folder)
    return load_model(folder.weights(run), "decoder")


def test_probabilities_are_averaged() -> None:
    network, ngrams = torch.tensor([0.2, 0.8]).log(), np.log([0.6, 0.4])
    found = mixed(network, ngrams, 0.25)
    assert found.dtype == torch.float64
    assert found.exp().tolist() == pytest.approx([0.75 * 0.2 + 0.25 * 0.6, 0.75 * 0.8 + 0.25 * 0.4])


def test_the_ngrams_are_those_of_the_training_text_and_told_of_unknown_words(data: Data) -> None:
    stream, size = data.train_stream.ids, len(data.tokenizer)
    expected = KneserNey.fit(stream, size, 3, unseen_words(stream, size, data.words_of_rows()))
    for context in ([], stream[:1].tolist(), stream[:2].tolist()):
        np.testing.assert_array_equal(text_ngrams(data).distribution(context), expected.distribution(context))
    assert text_ngrams(data, order=5).order == 5
    subwords = load_data(data.corpus.directory, CONFIG.block_size, tokenization=Tokenization("bpe", 280))
    uniform = KneserNey.fit(subwords.train_stream.ids, len(subwords.tokenizer))
    np.testing.assert_array_equal(text_ngrams(subwords).distribution([]), uniform.distribution([]))


def test_the_record_scores_the_mixture_and_beside_it_the_network(data: Data, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out", torch.device("cpu"))
    run, alone = (Run(f"share {share}", recipe(ngram_share=share), seed=0) for share in (SHARE, 0.0))
    record, other = perform(run, data, folder), perform(alone, data, folder)
    assert record["network"] == other["scores"]  # the same network: counting is no part of the training
    assert "network" not in other
    losses = [[row["train_loss"] for row in one["iterations"]] for one in (record, other)]
    assert losses[0] == losses[1]
    assert record["iterations"][-1]["perplexity"]["one"] == record["scores"]["one"]["perplexity"]
    model, stream = load_model(folder.weights(run)), data.test_streams["one"].ids
    assert model.ngrams is not None
    nats, counted = [], text_ngrams(data).log_probabilities(stream)
    for start in range(0, len(stream), CONFIG.block_size):
        before = torch.cat([torch.tensor([0]), stream])[start : start + CONFIG.block_size]
        logits = model.model(before[None])[0].log_softmax(dim=-1)
        targets = stream[start : start + CONFIG.block_size]
        nats += logits[torch.arange(len(targets)), targets].tolist()
    likely = (1 - SHARE) * np.exp(nats) + SHARE * np.exp(counted)
    assert record["scores"]["one"]["perplexity"] == pytest.approx(math.exp(-np.log(likely).mean()), rel=1e-5)
    assert record["scores"]["one"]["perplexity"] != record["network"]["one"]["perplexity"]


def test_knock_outs_measure_the_mixture_too(data: Data, tmp_path: Path) -> None:
    model = trained(data, tmp_path, share=0.9)
    texts = [predicted_nats(model.model, model.ngrams, text.ids, Protocol(4)) for text in data.test_streams.values()]
    answer = knock_out(model, data)
    assert answer.value == pytest.approx(geometric_mean(map(perplexity, texts)))
    assert answer.value != pytest.approx(knock_out(replace(model, ngrams=None), data).value)
    assert "trigram that predicts with the decoder" in (knockouts_table(answer).note or "")


def test_other_data_of_the_same_vocabulary_are_refused(data: Data, tmp_path: Path) -> None:
    model, other = trained(data, tmp_path / "out"), tmp_path / "other"
    shutil.copytree(data.corpus.directory, other)
    assert data_of(model, other).tokenizer.words == model.tokenizer.words
    (other / "train_LM.txt").write_text("\n".join(reversed(data.corpus.train_text)))
    with pytest.raises(UserError, match="not the data that this model was trained on"):
        data_of(model, other)


def test_a_text_goes_on_by_the_mixture(data: Data, tmp_path: Path) -> None:
    """The network is made sure of one word; only the n-grams know what follows "we hope and"."""
    model = trained(data, tmp_path, share=0.9)
    words = data.tokenizer.words
    with torch.no_grad():
        model.model.head.bias.fill_(0.0)[words.index("rest")] = 100.0
    greedy = Sampling(n_tokens=2, temperature=0)
    assert [words[i] for i in generate(model, "we hope and", greedy)[-2:]] == ["work", "we"]
    alone = generate(replace(model, ngrams=None), "we hope and", greedy)
    assert [words[i] for i in alone[-2:]] == ["rest", "rest"]


def tables(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor | None] = {**KneserNey.fit(np.array([0, 1, 0, 2, 0, 1]), 4, 2).tensors(), **changes}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"base": None}, "not complete"),
        ({"keys.2": None}, "not complete"),
        ({"keys.1": torch.tensor([0.0, 1.0, 2.0])}, "not complete"),
        ({"keys.1": torch.tensor([0, 2, 1])}, "the 1-grams of the n-gram model are not in order"),
        ({"keys.2": torch.tensor([1, 2, 4, 12])}, "the 2-grams of the n-gram model are not in order"),
        ({"share.2": torch.ones(3, dtype=torch.float64)}, "the 2-grams of the n-gram model are not in order"),
        ({"share.1": torch.tensor([0.1, math.nan, 0.1], dtype=torch.float64)}, "no probabilities"),
        ({"base": torch.tensor([0.5, -0.5, 0.5, 0.5], dtype=torch.float64)}, "no probabilities"),
    ],
)
def test_tables_that_are_of_no_model_are_refused(changes: dict[str, Any], complaint: str) -> None:
    assert KneserNey.from_tensors(tables()).order == 2
    with pytest.raises(UserError, match=complaint):
        KneserNey.from_tensors(tables(**changes))


def test_a_file_whose_share_and_counts_disagree_is_refused(data: Data, tmp_path: Path) -> None:
    model, path = trained(data, tmp_path), tmp_path / "other.safetensors"
    save_model(path, replace(model, ngrams=None))
    with pytest.raises(UserError, match="not complete"):
        load_model(path)
    plain = trained(data, tmp_path / "plain", share=0.0)
    save_model(path, replace(plain, ngrams=model.ngrams))
    with pytest.raises(UserError, match="no share in the predictions"):
        load_model(path)
    save_model(path, replace(model, ngrams=KneserNey.fit(np.array([0, 1, 0]), 4)))
    with pytest.raises(UserError, match="another vocabulary"):
        load_model(path)
    assert any(name.startswith("ngrams.") for name in read_tensors(tmp_path / "mixture.safetensors", object)[0])
