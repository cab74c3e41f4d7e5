"""A model that was saved is the model that is loaded; sentences of any shape; generation with and without its cache."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import inference
from files import UserError, read_tensors, write_tensors
from inference import Sampling, TrainedModel
from tokenizer import SPECIAL, Tokenizer
from transformer import Classifier, Decoder, TransformerConfig

WORDS = ["America", "My", "a", "and", "day", "fellow", "for", "hope", "in", "of", "the", "we", "work", "."]
TOKENIZER = Tokenizer(SPECIAL + sorted(WORDS))
CONFIG = TransformerConfig(len(TOKENIZER), n_embd=8, n_layer=2, block_size=6, ff_dim=8, initialisation="pytorch")
LONG = "we hope and work for a day in America and hope for the day of America ."


def classifier(**settings: Any) -> TrainedModel:
    torch.manual_seed(0)
    return TrainedModel(Classifier(replace(CONFIG, **settings)).eval(), TOKENIZER, ["North", "South", "West"])


def decoder(**settings: Any) -> TrainedModel:
    torch.manual_seed(0)
    return TrainedModel(Decoder(replace(CONFIG, **settings)).eval(), TOKENIZER, [])


# ------------------------------------------------------------------------------------------------------ save and load


@pytest.mark.parametrize(
    "trained", [classifier(batch_norm=True), classifier(pooling="cls"), decoder(), decoder(tied=True, positions="t5")]
)
def test_a_loaded_model_is_the_saved_one(trained: TrainedModel, tmp_path: Path) -> None:
    inference.save_model(tmp_path / "model.safetensors", trained)
    loaded = inference.load_model(tmp_path / "model.safetensors")
    assert type(loaded.model) is type(trained.model)
    assert loaded.model.config == trained.model.config
    assert (loaded.tokenizer.words, loaded.class_names) == (TOKENIZER.words, trained.class_names)
    assert not loaded.model.training
    torch.testing.assert_close(loaded.model.state_dict(), trained.model.state_dict(), rtol=0, atol=0)
    before = (tmp_path / "model.safetensors").read_bytes()
    inference.save_model(tmp_path / "model.safetensors", loaded)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_files_that_are_no_such_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"

    def refused(complaint: str, task: Any = None) -> None:
        with pytest.raises(UserError, match=complaint) as caught:
            inference.load_model(path, task)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    refused("no such model; `python main.py part1` trains a classifier")
    path.mkdir()
    refused("no such model")
    path.rmdir()
    inference.save_model(path, classifier())
    refused("not a decoder", "decoder")
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused("cut short or not a safetensors file")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused("altered since it was written")
    path.write_bytes(whole)
    tensors, description = read_tensors(path)
    for change, complaint in [
        ({"task": None}, "not a model"),
        ({"architecture": description["architecture"] | {"n_wings": 2}}, "of another version of this program"),
        ({"architecture": description["architecture"] | {"n_head": 3}}, "n_embd 8 is not a multiple of n_head 3"),
        ({"architecture": description["architecture"] | {"ff_dim": 9}}, "weights are not of this architecture"),
        ({"words": ["a"]}, "of another version of this program"),
    ]:
        write_tensors(path, tensors, description | change)
        refused(complaint)


# ------------------------------------------------------------------------------------------------ classify, attention


@pytest.mark.parametrize("pooling", ["mean", "masked-mean", "cls"])
@pytest.mark.parametrize("sentence", ["hope", "zyzzyva", LONG])
def test_probabilities_of_any_sentence_sum_to_one(sentence: str, pooling: Any) -> None:
    probabilities = inference.classify(classifier(pooling=pooling), sentence)
    assert list(probabilities) == ["North", "South", "West"]
    assert sum(probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("sentence", ["", " \t\n"])
def test_a_sentence_without_words_is_refused(sentence: str) -> None:
    with pytest.raises(UserError, match="the sentence is empty"):
        inference.classify(classifier(), sentence)


@pytest.mark.parametrize(
    ("trained", "shape", "words"),
    [
        (classifier(), (2, 2, 3, 6), ["we", "<unk>", "hope"]),  # attends to padding: rows sum to 1 over the whole block
        (classifier(pooling="masked-mean"), (2, 2, 3, 3), ["we", "<unk>", "hope"]),
        (classifier(pooling="cls"), (2, 2, 4, 4), ["<cls>", "we", "<unk>", "hope"]),
        (decoder(), (2, 2, 3, 3), ["we", "<unk>", "hope"]),
    ],
)
def test_attention_maps_of_a_sentence(trained: TrainedModel, shape: tuple[int, ...], words: list[str]) -> None:
    maps, found = inference.attention_maps(trained, "we zyzzyva hope")
    assert (maps.shape, found) == (shape, words)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(shape[:-1]))


# --------------------------------------------------------------------------------------------------------- generation

PROMPTS = ["", "My fellow", "zyzzyva quux", LONG]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("positions", ["learned", "alibi", "rope", "none"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_cache_changes_nothing(prompt: str, positions: Any, temperature: float) -> None:
    trained = decoder(positions=positions)
    cached, plain = (
        inference.generate(trained, prompt, Sampling(20, temperature, use_cache=use_cache))
        for use_cache in (True, False)
    )
    n_prompt = len(TOKENIZER.encode(prompt))
    assert cached == plain
    assert cached[:n_prompt] == TOKENIZER.encode(prompt)
    assert len(cached) == n_prompt + 20
    assert min(cached[n_prompt:]) > 1  # neither <pad> nor <unk>


def test_a_seed_decides_the_text() -> None:
    texts = [inference.generate(decoder(), "My", Sampling(30, 1.0, seed=seed)) for seed in (0, 0, 1, -(10**30))]
    assert texts[0] == texts[1]
    assert len({tuple(text) for text in texts}) == 3


LOGITS = torch.tensor([9.0, 9.0, 3.0, 2.0, 1.0, 0.0])  # <pad> and <unk> would be the likeliest


@pytest.mark.parametrize(
    ("sampling", "possible"),
    [
        (Sampling(temperature=0.0), {2}),
        (Sampling(temperature=1e-320), {2}),
        (Sampling(temperature=5.0, top_p=None), {2, 3, 4, 5}),
        (Sampling(temperature=5.0, top_p=1.0), {2, 3, 4, 5}),
        (Sampling(temperature=5.0, top_k=2, top_p=None), {2, 3}),
        (Sampling(temperature=5.0, top_k=100, top_p=None), {2, 3, 4, 5}),
        (Sampling(temperature=1.0, top_p=0.6), {2}),  # 0.64, 0.24, 0.09, 0.03
        (Sampling(temperature=1.0, top_p=0.7), {2, 3}),
        (Sampling(temperature=1.0, top_p=1e-9), {2}),
    ],
)
def test_only_allowed_tokens_are_drawn(sampling: Sampling, possible: set[int]) -> None:
    random = torch.Generator().manual_seed(0)
    assert {inference.draw(LOGITS, sampling, random) for _ in range(200)} == possible
    assert LOGITS[0] == 9  # the caller's logits are left alone


def test_tokens_are_drawn_as_often_as_the_temperature_says() -> None:
    random, sampling = torch.Generator().manual_seed(0), Sampling(temperature=2.0, top_p=None)
    drawn = torch.tensor([inference.draw(LOGITS, sampling, random) for _ in range(4000)])
    shares = torch.bincount(drawn, minlength=6)[2:] / 4000
    torch.testing.assert_close(shares, (LOGITS[2:] / 2).softmax(dim=0), rtol=0, atol=0.03)


@pytest.mark.parametrize(
    "bad",
    [
        {"n_tokens": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
    ],
    ids=str,
)
def test_impossible_sampling_is_refused(bad: dict[str, Any]) -> None:
    (name,) = bad
    with pytest.raises(UserError, match=f"{name} is .*; it must be"):
        Sampling(**bad)
