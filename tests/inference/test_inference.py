"""A model that was saved is the one that is loaded; sentences of any shape; every token is drawn as it should be."""

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import classifier_of, decoder_of
from torch import Tensor

import evaluation.attention
import training.weights
from common.files import UserError, read_tensors, write_tensors
from inference import attention, explain, generate, score, sentence
from inference.sampling import Sampling
from modules.config import TransformerConfig
from tokenizer import SPECIAL, Tokenization, Tokenizer
from training.weights import TrainedModel, weights
from transformer import Classifier, Decoder, build_classifier

WORDS = ["America", "My", "a", "and", "day", "fellow", "for", "hope", "in", "of", "the", "we", "work", "."]
TOKENIZER = Tokenizer(SPECIAL + sorted(WORDS))
CONFIG = TransformerConfig(n_embd=8, n_layer=2, block_size=6, ff_dim=8, initialisation="pytorch")
LONG = "we hope and work for a day in America and hope for the day of America ."


def classifier(**settings: Any) -> TrainedModel:
    model = build_classifier(classifier_of(CONFIG, **settings), TOKENIZER.words, 3)
    return TrainedModel(model.eval(), TOKENIZER, ["North", "South", "West"])


def decoder(**settings: Any) -> TrainedModel:
    return TrainedModel(Decoder(decoder_of(CONFIG, **settings), TOKENIZER.words).eval(), TOKENIZER, [])


MAKE = {"classifier": classifier, "decoder": decoder}


def ids(text: str) -> list[int]:
    return [TOKENIZER.words.index(word) for word in text.split()]


# ------------------------------------------------------------------------------------------------------ save and load


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("classifier", {"batch_norm": True}),
        ("classifier", {"pooling": "mean-max", "n_spellings": 9, "positions": "alibi"}),
        ("classifier", {"phrases": True, "n_members": 2}),
        ("decoder", {}),
        ("decoder", {"tied": True, "positions": "t5", "n_spellings": 9}),
    ],
)
def test_a_loaded_model_is_the_saved_one(task: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    trained = MAKE[task](**settings)
    with torch.no_grad():
        for number, tensor in enumerate(weights(trained.model).values()):
            tensor.fill_(number)  # nothing that a new model would have of itself
    path = tmp_path / "model.safetensors"
    training.weights.save_model(path, trained)
    for loaded in (training.weights.load_model(path), training.weights.load_model(path, task)):
        assert type(loaded.model) is type(trained.model)
        assert loaded.model.config == trained.model.config
        assert (loaded.tokenizer.words, loaded.class_names) == (TOKENIZER.words, trained.class_names)
        assert not loaded.model.training
        torch.testing.assert_close(loaded.model.state_dict(), trained.model.state_dict(), rtol=0, atol=0)
    before = path.read_bytes()
    training.weights.save_model(path, loaded)
    assert path.read_bytes() == before


@pytest.mark.parametrize("settings", [{}, {"phrases": True, "n_members": 2}])
def test_a_temperature_is_kept_with_the_weights(settings: dict[str, Any], tmp_path: Path) -> None:
    trained, path, text = classifier(**settings), tmp_path / "model.safetensors", "we hope"
    model: Any = trained.model
    as_read = sentence.read_sentence(trained, text)
    expected = (model(as_read.ids, as_read.lengths).detach()[0].double() / 2.5).softmax(dim=-1)
    model.temperature.fill_(2.5)
    training.weights.save_model(path, trained)
    loaded = training.weights.load_model(path)
    found = dict(explain.classify(loaded, text))
    assert [found[name] for name in trained.class_names] == pytest.approx(expected.tolist())
    torch.testing.assert_close(explain.explain(loaded, text).probabilities.double(), expected)


@pytest.mark.slow
def test_files_that_are_no_such_model_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"

    def refused(complaint: str, task: Any = None) -> None:
        with pytest.raises(UserError, match=complaint) as caught:
            training.weights.load_model(path, task)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)

    refused("no such model")
    training.weights.save_model(path, decoder())
    refused("not a classifier", "classifier")
    training.weights.save_model(path, classifier())
    refused("not a decoder", "decoder")
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused("cut short or not a safetensors file")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused("altered since it was written")
    path.write_bytes(whole)
    tensors, description = read_tensors(path, dict)
    architecture: Any = description["architecture"]
    changes: list[tuple[dict[str, Any], str]] = [
        ({"task": "poet"}, "poet"),
        ({"format": 4}, "format"),
        ({"class_names": []}, "a classifier without classes"),
        ({"class_names": ["North", "South"]}, "weights are not of this architecture"),
        ({"architecture": architecture | {"n_embd": "8"}}, "Expected `int`, got `str`"),
        ({"architecture": architecture | {"block_size": 10**6, "n_embd": 10**6}}, "not of this architecture"),  # 4 TB
        ({"architecture": architecture | {"n_layer": 1000, "n_members": 1000}}, "1,000,000 layers and 29 weights"),
        ({"architecture": {"n_embd": 8}}, "the settings differ in activation"),
        ({"architecture": architecture | {"n_wings": 2}}, "the settings differ in n_wings"),
        ({"tokenizer": {"kind": "word", "words": TOKENIZER.words[:-1] + ["a"]}}, "holds every word once"),
        ({"tokenizer": {"kind": "word", "words": SPECIAL}}, "a vocabulary without words"),
        ({"tokenizer": {"kind": "bpe", "size": 300, "merges": [["a", "bc"]]}}, "a merge joins 'a' and 'bc'"),
        ({"more": 1}, "unknown field `more`"),
    ]
    for change, complaint in changes:
        write_tensors(path, tensors, description | change)
        refused(complaint)
    for name, tensor in tensors.items():
        for wrong in (tensor[None], tensor.double()):
            write_tensors(path, tensors | {name: wrong}, description)
            refused("its weights are not of this architecture")
        write_tensors(path, tensors | {name: torch.full_like(tensor, math.nan)}, description)
        refused(f"{name} holds numbers that are not finite")


def test_pairs_of_words_are_in_order_and_the_same_in_every_member(tmp_path: Path) -> None:
    path, pairs = tmp_path / "model.safetensors", torch.tensor([3, 5, 9])
    model = build_classifier(classifier_of(CONFIG, phrases=True, n_members=2), TOKENIZER.words, 3, pairs=pairs)
    training.weights.save_model(path, TrainedModel(model, TOKENIZER, ["North", "South", "West"]))
    tensors, description = read_tensors(path, dict)
    name, _ = (name for name in tensors if name.endswith("pairs"))
    for changed in (torch.tensor([5, 3, 9]), torch.tensor([3, 5, 8]), torch.tensor([[3, 5, 9]])):
        write_tensors(path, tensors | {name: changed}, description)
        with pytest.raises(UserError, match="pairs of words are not in order"):
            training.weights.load_model(path)


@torch.no_grad()
def test_weights_that_are_too_large_to_compute_with_are_refused() -> None:
    complaint = "the model's numbers overflow .NaN or infinity.; train it again, with a lower --learning-rate"
    for trained in (classifier(), decoder()):
        for parameter in trained.model.parameters():
            parameter.fill_(1e38)
        uses: list[Any] = [lambda trained=trained: attention.sentence_maps(trained, LONG)]
        if trained.class_names:
            uses.append(lambda trained=trained: explain.classify(trained, LONG))
            uses.append(lambda trained=trained: explain.explain(trained, LONG))
        else:
            uses.append(lambda trained=trained: generate.generate(trained, "we", Sampling(3)))
            uses.append(lambda trained=trained: score.score([LONG], trained, score.scorers(trained, torch.arange(9))))
        for use in uses:
            with pytest.raises(UserError, match=complaint):
                use()


@pytest.mark.parametrize("kind", ["bpe", "character"])
def test_a_model_of_subwords_or_characters_is_used_like_one_of_words(kind: Any, tmp_path: Path) -> None:
    texts = [f"we hope, 人民 {number}" for number in range(9)]
    tokenizer, path = Tokenizer.build(texts, tokenization=Tokenization(kind)), tmp_path / "model.safetensors"
    for model, names in (
        (Decoder(decoder_of(CONFIG, n_spellings=9), tokenizer.words), []),
        (build_classifier(classifier_of(CONFIG, phrases=True), tokenizer.words, 3), ["North", "South", "West"]),
    ):
        training.weights.save_model(path, TrainedModel(model.eval(), tokenizer, names))
        loaded = training.weights.load_model(path)
        assert loaded.tokenizer.words == tokenizer.words
        assert loaded.tokenizer.tokenization == tokenizer.tokenization
        maps, labels = attention.sentence_maps(loaded, "we 人")
        assert labels == ([" we", " 人"] if kind == "bpe" else [" ", "w", "e", " ", "人"])
        assert maps.shape[2] == len(labels)
        with pytest.raises(UserError, match="empty"):
            sentence.read_sentence(loaded, " ")
        if isinstance(loaded.model, Decoder):
            made = loaded.tokenizer.decode(generate.generate(loaded, "we hope, 人民", Sampling(8, temperature=5.0)))
            assert made.startswith("we hope, 人民")
            assert len(made) > len("we hope, 人民")


# ------------------------------------------------------------------------------------------------ classify, attention


def test_a_sentence_is_cut_at_the_block_and_padded_to_it_where_padding_counts() -> None:
    short, long = "we zyzzyva hope", "we hope for a day in America"
    for trained, padding in [
        (classifier(), [0, 0, 0]),
        (classifier(n_members=2), [0, 0, 0]),
        (classifier(pooling="masked-mean"), []),
        (classifier(pooling="mean-max", n_members=2), []),
        (decoder(), []),
    ]:
        read = sentence.read_sentence(trained, short)
        assert read.ids.tolist() == [[*ids("we <unk> hope"), *padding]]
        assert (read.lengths.tolist(), read.tokens) == ([3], ["we", "zyzzyva?", "hope"])
        assert read.note == "read 3 of 3 tokens, 1 unknown: zyzzyva?"
        read = sentence.read_sentence(trained, long)
        assert read.ids.tolist() == [ids("we hope for a day in")]
        assert (read.lengths.tolist(), read.tokens) == ([6], ["we", "hope", "for", "a", "day", "in"])
        assert read.note == "read 6 of 7 tokens, 0 unknown"


def test_what_was_not_read_or_is_unknown_is_said() -> None:
    text = "we a1 a2 a3 a1 a4 a5 a6 hope"

    def note(block_size: int) -> str:
        return sentence.read_sentence(classifier(block_size=block_size), text).note

    assert note(6) == "read 6 of 9 tokens, 5 unknown: a1?, a2?, a3?, a4?"  # each by name once
    assert note(7) == "read 7 of 9 tokens, 6 unknown: a1?, a2?, a3?, a4?, a5?"
    assert note(9) == "read 9 of 9 tokens, 7 unknown: a1?, a2?, a3?, a4?, a5? and others"
    assert sentence.read_sentence(classifier(), "we hope for a day in").note == ""


class Stub(Classifier):
    """A classifier that gives the first row the logits 0, log 2 and log 5, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(classifier_of(CONFIG), TOKENIZER.words, 3)
        self.asked: list[Any] = []

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        self.asked += [ids.tolist(), lengths.tolist(), torch.is_grad_enabled()]
        return torch.tensor([[0.0, math.log(2), math.log(5)]])


def test_the_probabilities_of_a_sentence_by_hand() -> None:
    stub = Stub()
    probabilities = explain.classify(TrainedModel(stub, TOKENIZER, ["North", "South", "West"]), "hope")
    assert [name for name, _ in probabilities] == ["West", "South", "North"]
    assert [share for _, share in probabilities] == pytest.approx([5 / 8, 2 / 8, 1 / 8])
    assert stub.asked == [[[*ids("hope"), 0, 0, 0, 0, 0]], [1], False]


def test_classes_of_one_name_keep_their_probabilities() -> None:
    found = explain.classify(TrainedModel(Stub(), TOKENIZER, ["Lee", "Kim", "Lee"]), "hope")
    assert [name for name, _ in found] == ["Lee", "Kim", "Lee"]
    assert [share for _, share in found] == pytest.approx([5 / 8, 2 / 8, 1 / 8])


@pytest.mark.parametrize("text", ["", " \t\n"])
def test_a_sentence_without_words_is_refused(text: str) -> None:
    for use in (explain.classify, attention.sentence_maps):
        with pytest.raises(UserError) as caught:
            use(classifier(), text)
        assert str(caught.value) == "the sentence is empty; give at least one word"


@pytest.mark.parametrize(
    ("task", "pooling", "shape", "words"),
    [
        ("classifier", "mean", (2, 2, 3, 6), ["we", "zyzzyva?", "hope"]),  # attends to padding: rows sum to 1 with it
        ("classifier", "masked-mean", (2, 2, 3, 3), ["we", "zyzzyva?", "hope"]),
        ("decoder", "mean", (2, 2, 3, 3), ["we", "zyzzyva?", "hope"]),
    ],
)
def test_attention_maps_of_a_sentence(task: str, pooling: Any, shape: tuple[int, ...], words: list[str]) -> None:
    trained = classifier(pooling=pooling) if task == "classifier" else decoder()
    maps, found = attention.sentence_maps(trained, "we zyzzyva hope")
    assert (maps.shape, found) == (shape, words)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(shape[:-1]))
    assert not maps.requires_grad
    padded = torch.tensor([ids("we <unk> hope") + [0] * (shape[-1] - 3)])
    expected = evaluation.attention.attention_maps(trained.model, padded, torch.tensor([3]))[:, 0]
    torch.testing.assert_close(maps, expected[:, :, :3])


def test_layers_are_chosen_by_their_numbers() -> None:
    assert attention.chosen_layers(None, 4) == [0, 3]
    assert attention.chosen_layers(None, 1) == [0]
    assert attention.chosen_layers(("all",), 3) == [0, 1, 2]
    assert attention.chosen_layers(("3", "1", "3"), 4) == [0, 2]
    for wrong in (("0",), ("5",), ("1", "two"), ("all", "1"), ("9" * 5000,), ("-1",), ("\N{SUPERSCRIPT TWO}",)):
        with pytest.raises(UserError, match=r"^--layers takes numbers from 1 to 4, or all, not '"):
            attention.chosen_layers(wrong, 4)


# --------------------------------------------------------------------------------------------------------- generation


@pytest.mark.parametrize("prompt", ["", "My fellow", "zyzzyva quux", LONG])
@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "alibi", "rope", "none"])
def test_the_likeliest_tokens_by_hand_without_a_cache_and_past_the_block(prompt: str, positions: Any) -> None:
    trained, text = decoder(positions=positions), [0, *TOKENIZER.encode(prompt)]
    model: Any = trained.model
    for _ in range(10):  # a text begins after a <pad>; learned positions see the last block of six
        logits = model(torch.tensor([text[-6:] if positions == "learned" else text]))[0, -1]
        text.append(2 + int(logits[2:].argmax()))
    assert generate.generate(trained, prompt, Sampling(10, temperature=0.0)) == text[1:]


@pytest.mark.parametrize(
    ("settings", "read"),
    [
        ({"positions": "alibi"}, [3, 1, 1, 1, 1, 1]),
        ({}, [3, 1, 1, 1, 6, 6]),  # learned positions end at the block of six
    ],
)
def test_with_a_cache_each_token_is_read_once(settings: dict[str, Any], read: list[int]) -> None:
    trained, found = decoder(**settings), []

    def hook(_model: Any, inputs: tuple[Any, ...]) -> None:
        found.append(inputs[0].size(1))
        assert not torch.is_grad_enabled()

    trained.model.register_forward_pre_hook(hook)
    generate.generate(trained, "My fellow", Sampling(6))
    assert found == read


@pytest.mark.parametrize(
    ("prompt", "positions", "text", "note"),
    [
        ("My fellow", "learned", "My fellow", ""),
        ("My zyzzyva. quux", "learned", "My zyzzyva?. quux?", "read 4 of 4 tokens, 2 unknown: zyzzyva?, quux?"),
        (
            "quux we hope for a day in",
            "learned",
            "quux? we hope for a day in",
            "read the last 6 of 7 tokens, 0 unknown",
        ),
        ("quux we hope for a day in", "alibi", "quux? we hope for a day in", "read 7 of 7 tokens, 1 unknown: quux?"),
    ],
)
def test_a_prompt_stays_as_it_was_written(prompt: str, positions: Any, text: str, note: str) -> None:
    trained = decoder(positions=positions)
    found = generate.continued_text(trained, prompt, Sampling(4))
    new = generate.generate(trained, prompt, Sampling(4))[-4:]
    assert found == (TOKENIZER.decode([*TOKENIZER.encode(prompt), *new], TOKENIZER.unknown(prompt)), note)
    assert found[0].startswith(text)
    assert "<unk>" not in found[0]


def test_a_seed_decides_the_text() -> None:
    texts = [generate.generate(decoder(), "My", Sampling(30, 1.0, seed=seed)) for seed in (0, 0, 1, -(10**30))]
    assert texts[0] == texts[1]
    assert len({tuple(text) for text in texts}) == 3
    assert generate.generate(decoder(), "My", Sampling(30, 1.0)) == texts[0]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=0.0), [1, 0, 0, 0]),
        (Sampling(temperature=1e-320), [1, 0, 0, 0]),
        (Sampling(temperature=1.0, top_p=None), [0.5, 0.25, 0.125, 0.125]),
        (Sampling(temperature=0.5, top_p=None), [16 / 22, 4 / 22, 1 / 22, 1 / 22]),
        (Sampling(temperature=0.5), [0.8, 0.2, 0, 0]),  # the tail is not drawn unless somebody asks for it
        (Sampling(temperature=1.0, top_p=0.5), [1, 0, 0, 0]),  # half is there with the first alone
        (Sampling(temperature=1.0, top_p=0.51), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(temperature=1.0, top_k=2, top_p=None), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(temperature=1.0, top_k=100, top_p=1.0), [0.5, 0.25, 0.125, 0.125]),
        (Sampling(temperature=1.0, top_k=3, top_p=None), [0.5, 0.25, 0.125, 0.125]),  # equals share the last rank
        (Sampling(temperature=1.0, top_k=2, top_p=0.6), [1, 0, 0, 0]),  # of two, the first has 2/3
    ],
)
def test_tokens_are_drawn_by_their_probabilities(sampling: Sampling, expected: list[float]) -> None:
    logits = torch.tensor([9.0, 9.0, 4.0, 2.0, 1.0, 1.0]).log()
    order = [0, 1, 5, 3, 2, 4]  # the likeliest need not come first
    drawn = list(generate.steps(lambda _: logits[order], [], replace(sampling, n_tokens=200)))
    shares = torch.tensor([0.0, 0.0, *expected], dtype=torch.float64)[order]
    torch.testing.assert_close(drawn[0].probabilities, shares)
    assert {step.token for step in drawn} == set(shares.nonzero().flatten().tolist())


@pytest.mark.parametrize(
    "wrong",
    [{"n_tokens": 0}, {"temperature": -0.1}, {"temperature": math.nan}, {"n_more": -1}, {"top_k": 0}, {"top_p": 0}],
)
def test_impossible_sampling_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="it must be"):
        Sampling(**wrong)


@pytest.mark.parametrize(
    ("n_tokens", "n_more", "expected"),
    [
        (1, 0, "a"),  # the text has its length
        (3, 0, "a . b"),
        (3, 1, "a . b"),  # the sentence would not end in time
        (3, 2, "a . b c ."),  # it does
        (3, 9, "a . b c ."),  # and at the first end
        (2, 3, "a ."),
        (6, 9, "a . b c . Mr. day !"),  # the point of an abbreviation is none
    ],
)
def test_a_text_goes_on_to_the_end_of_a_sentence(
    n_tokens: int, n_more: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SPECIAL, *sorted({"a", ".", "b", "c", "Mr.", "day", "!"})]
    text, read = ["a", ".", "b", "c", ".", "Mr.", "day", "!", "a"], list[int]()

    def steps(_predict: Any, prompt: list[int], sampling: Sampling) -> Any:
        for i in range(min(len(text), sampling.n_tokens + sampling.n_more)):
            read.append(i)
            yield generate.Step(words.index(text[i]), torch.zeros(0))

    monkeypatch.setattr(generate, "steps", steps)
    trained = replace(decoder(), tokenizer=Tokenizer(words))
    found = generate.generate(trained, "b", Sampling(n_tokens, n_more=n_more))
    assert [words[i] for i in found] == ["b", *expected.split()]
    assert len(read) <= n_tokens + n_more


def test_the_decoder_that_commands_take_is_the_newest(tmp_path: Path) -> None:
    names = [tmp_path / f"decoder-ff{width}.safetensors" for width in (100, 256, 32)]
    assert generate.newest_decoder(tmp_path) == names[1]  # that part 2 would write first
    for newest in names:
        for path in names:
            path.touch()
            os.utime(path, (1, 1 + (path == newest)))
        assert generate.newest_decoder(tmp_path) == newest
