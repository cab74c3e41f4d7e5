"""A model that was saved is the one that is loaded; sentences of any shape; every token is drawn as it should be."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import classifier_of, decoder_of
from torch import Tensor
from worlds import intercept

import evaluation.attention
import training.weights
from common.files import UserError, read_tensors, write_tensors
from common.randomness import generator
from inference import attention, classify, explain, generate, score, sentence
from inference.sampling import Sampling
from modules.config import TransformerConfig
from tokenizer import SPECIAL, Tokenization, Tokenizer
from training.weights import TrainedModel, weights
from transformer import Classifier, Decoder, KeyValueCache, build_classifier

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


def test_a_file_says_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for trained, task, names in ((classifier(), "classifier", ["North", "South", "West"]), (decoder(), "decoder", [])):
        training.weights.save_model(path, trained)
        tensors, description = read_tensors(path, dict)
        assert description == {
            "format": 5,
            "task": task,
            "architecture": asdict(trained.model.config),
            "tokenizer": {"kind": "word", "words": TOKENIZER.words},
            "class_names": names,
        }
        others = {"temperature"} if names else set()
        assert tensors.keys() == dict(trained.model.named_parameters()).keys() | others


@pytest.mark.parametrize("settings", [{}, {"phrases": True, "n_members": 2}])
def test_a_temperature_is_kept_with_the_weights(settings: dict[str, Any], tmp_path: Path) -> None:
    trained, path, text = classifier(**settings), tmp_path / "model.safetensors", "we hope"
    model: Any = trained.model
    as_read = sentence.read_sentence(trained, text)
    expected = (model(as_read.ids, as_read.lengths).detach()[0].double() / 2.5).softmax(dim=-1)
    model.temperature.fill_(2.5)
    training.weights.save_model(path, trained)
    loaded = training.weights.load_model(path)
    found = dict(classify.classify(loaded, text))
    assert [found[name] for name in trained.class_names] == pytest.approx(expected.tolist())
    torch.testing.assert_close(explain.explain(loaded, text).probabilities.double(), expected)


@pytest.mark.slow
def test_files_that_are_no_such_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    remedy = "`python main.py part1` trains a classifier, part2 a decoder, and --model names its file"

    def refused(complaint: str, task: Any = None) -> None:
        with pytest.raises(UserError) as caught:
            training.weights.load_model(path, task)
        assert str(caught.value) == f"{path}: {complaint}"

    def refused_with(complaint: str) -> None:
        with pytest.raises(UserError, match=complaint.replace("$", r"\$").replace("[0]", r"\[0\]")) as caught:
            training.weights.load_model(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)

    refused(f"no such model; {remedy}")
    path.mkdir()
    refused(f"no such model; {remedy}")
    path.rmdir()
    training.weights.save_model(path, decoder())
    refused(f"not a classifier; {remedy}", "classifier")
    training.weights.save_model(path, classifier())
    refused(f"not a decoder; {remedy}", "decoder")
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused_with("cut short or not a safetensors file")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused_with("altered since it was written")
    path.write_bytes(whole)
    tensors, description = read_tensors(path, dict)
    architecture: Any = description["architecture"]
    again = "of another version of this program, or damaged; train the model again"
    changes: list[tuple[dict[str, Any], str]] = [
        ({"task": "poet"}, "Invalid enum value 'poet' - at `$.task`"),
        ({"format": 4}, "Invalid enum value 4 - at `$.format`"),
        ({"class_names": []}, "a classifier without classes"),
        ({"class_names": ["North", "South"]}, "weights are not of this architecture"),
        ({"architecture": architecture | {"n_embd": "8"}}, "Expected `int`, got `str` - at `$.n_embd`"),
        ({"architecture": architecture | {"n_embd": 10**99}}, "n_embd is 1000000.*; it must be at most 1,000,000"),
        ({"architecture": architecture | {"block_size": 10**6, "n_embd": 10**6}}, "not of this architecture"),  # 4 TB
        ({"architecture": architecture | {"n_layer": 10**9}}, "n_layer is 1000000000; it must be from 0 to 1000"),
        ({"architecture": architecture | {"n_layer": 1000, "n_members": 1000}}, "1,000,000 layers and 29 weights"),
        ({"architecture": {"n_embd": 8}}, "the settings differ in activation, .*"),
        ({"architecture": architecture | {"n_head": 3}}, "n_embd 8 is not a multiple of n_head 3"),
        ({"architecture": architecture | {"n_wings": 2}}, "the settings differ in n_wings"),
        ({"tokenizer": {"kind": "word", "words": TOKENIZER.words[:-1] + ["a"]}}, "holds every word once"),
        ({"tokenizer": {"kind": "word", "words": SPECIAL}}, "a vocabulary without words"),
        ({"tokenizer": {"kind": "bpe", "size": 300, "merges": [["a", "bc"]]}}, "a merge joins 'a' and 'bc'"),
        ({"more": 1}, "Object contains unknown field `more`"),
    ]
    for change, complaint in changes:
        write_tensors(path, tensors, description | change)
        refused_with(complaint)
    for name in ("architecture", "tokenizer", "class_names"):
        write_tensors(path, tensors, {key: value for key, value in description.items() if key != name})
        refused(f"Object missing required field `{name}`; {again}")
    for name, tensor in tensors.items():
        for wrong in (tensor[None], tensor.double(), tensor.long()):
            write_tensors(path, tensors | {name: wrong}, description)
            refused_with("its weights are not of this architecture; use the settings it was trained with")
        write_tensors(path, tensors | {name: torch.full_like(tensor, math.nan)}, description)
        refused_with(f"{name} holds numbers that are not finite .*; {again}")
    write_tensors(path, tensors, description)
    assert training.weights.load_model(path).class_names == ["North", "South", "West"]


def test_a_vocabulary_may_hold_an_empty_word(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    words = Tokenizer([*SPECIAL, "", "we"])
    model = build_classifier(classifier_of(CONFIG, n_spellings=9), words.words, 2)
    training.weights.save_model(path, TrainedModel(model, words, ["North", "South"]))
    assert training.weights.load_model(path).tokenizer.words == words.words


def test_pairs_of_words_are_in_order_and_the_same_in_every_member(tmp_path: Path) -> None:
    path, pairs = tmp_path / "model.safetensors", torch.tensor([3, 5, 9])
    config = classifier_of(CONFIG, phrases=True, n_members=2)
    model = build_classifier(config, TOKENIZER.words, 3, pairs=pairs)
    training.weights.save_model(path, TrainedModel(model, TOKENIZER, ["North", "South", "West"]))
    tensors, description = read_tensors(path, dict)
    names = [name for name in tensors if name.endswith("pairs")]
    assert len(names) == 2
    for changed in (
        {names[0]: torch.tensor([5, 3, 9])},
        {names[1]: torch.tensor([3, 5, 8])},
        {name: torch.tensor([3, 5, 5]) for name in names},
        {name: torch.tensor([3.0, 5.0, 9.0]) for name in names},
        {name: torch.tensor([[3, 5, 9]]) for name in names},
        {name: torch.tensor(3) for name in names},
    ):
        write_tensors(path, tensors | changed, description)
        with pytest.raises(UserError, match="pairs of words are not in order; of another version"):
            training.weights.load_model(path)


@torch.no_grad()
def test_weights_that_are_too_large_to_compute_with_are_told_of() -> None:
    complaint = "the model's numbers overflow .NaN or infinity.; train it again, with a lower --learning-rate"
    for trained in (classifier(), decoder()):
        for parameter in trained.model.parameters():
            parameter.fill_(1e38)
        uses: list[Any] = [lambda trained=trained: attention.sentence_maps(trained, LONG)]
        if trained.class_names:
            uses.append(lambda trained=trained: classify.classify(trained, LONG))
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
    probabilities = classify.classify(TrainedModel(stub, TOKENIZER, ["North", "South", "West"]), "hope")
    assert [name for name, _ in probabilities] == ["West", "South", "North"]
    assert [share for _, share in probabilities] == pytest.approx([5 / 8, 2 / 8, 1 / 8])
    assert stub.asked == [[[*ids("hope"), 0, 0, 0, 0, 0]], [1], False]


def test_classes_of_one_name_keep_their_own_probabilities() -> None:
    found = classify.classify(TrainedModel(Stub(), TOKENIZER, ["Lee", "Kim", "Lee"]), "hope")
    assert [name for name, _ in found] == ["Lee", "Kim", "Lee"]
    assert [share for _, share in found] == pytest.approx([5 / 8, 2 / 8, 1 / 8])


@pytest.mark.parametrize("text", ["", " \t\n"])
def test_a_sentence_without_words_is_refused(text: str) -> None:
    for use in (classify.classify, attention.sentence_maps):
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


def test_a_picture_of_attention_says_what_lay_past_the_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    caught = intercept(monkeypatch)
    paths = attention.draw_attention(tmp_path, classifier(), f"{LONG} {LONG}", layers=[1], suffixes=(".png", ".svg"))
    assert [path.name for path in paths] == [f"encoder_attention_layer2.{suffix}" for suffix in ("png", "svg")]
    assert caught["encoder_attention_layer2.svg"]["layers"] == [1]
    title = "attention of the encoder, layer 2\nread 6 of 34 tokens, 0 unknown\n"
    assert (
        caught["encoder_attention_layer2.png"]["title"]
        == title + "past the block: day in America and hope for the day of America ..."
    )
    (path,) = attention.draw_attention(tmp_path / "other", classifier(n_layer=1), "we hope")
    assert path.name == "encoder_attention_layer1.png"
    assert caught["encoder_attention_layer1.png"]["title"] == "attention of the encoder, layer 1"


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


class Fixed(Decoder):
    """A decoder that gives every next token the same logits."""

    def forward(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        logits = torch.full((len(TOKENIZER),), -1e9)
        logits[:6] = torch.tensor([9.0, 9.0, 4.0, 2.0, 1.0, 1.0]).log()
        return logits.expand(1, ids.size(1), -1)


def test_the_tokens_of_a_text_are_drawn_one_after_the_other_from_one_generator() -> None:
    sampling, random = Sampling(40, temperature=1.0, top_p=None, seed=3), generator(3, "sampling")
    probabilities = torch.tensor([0, 0, 0.5, 0.25, 0.125, 0.125] + [0] * 10, dtype=torch.float64)
    expected = [int(torch.multinomial(probabilities, 1, generator=random)) for _ in range(40)]
    assert (
        generate.generate(TrainedModel(Fixed(decoder_of(CONFIG), TOKENIZER.words), TOKENIZER, []), "", sampling)
        == expected
    )
    assert set(expected) == {2, 3, 4, 5}


LOGITS = torch.tensor([9.0, 9.0, 3.0, 2.0, 1.0, 0.0])  # <pad> and <unk> would be the likeliest


@pytest.mark.parametrize(
    ("sampling", "possible"),
    [
        (Sampling(temperature=0.0), {2}),
        (Sampling(temperature=1e-320), {2}),
        (Sampling(temperature=5.0, top_p=None), {2, 3, 4, 5}),
        (Sampling(temperature=5.0, top_p=1.0), {2, 3, 4, 5}),
        (Sampling(temperature=5.0, top_k=2, top_p=None), {2, 3}),
        (Sampling(temperature=5.0, top_k=1, top_p=None), {2}),
        (Sampling(temperature=5.0, top_k=100, top_p=None), {2, 3, 4, 5}),
        (Sampling(temperature=1.0, top_p=0.6), {2}),  # 0.64, 0.24, 0.09, 0.03
        (Sampling(temperature=1.0, top_p=0.7), {2, 3}),
        (Sampling(temperature=1.0, top_p=1e-9), {2}),
        (Sampling(temperature=5.0, top_k=3, top_p=0.7), {2, 3}),  # of three, 0.40, 0.33, 0.27: the two first have 0.73
        (Sampling(temperature=5.0, top_k=3, top_p=0.75), {2, 3, 4}),
    ],
)
def test_only_allowed_tokens_are_drawn(sampling: Sampling, possible: set[int]) -> None:
    drawn = generate.steps(lambda _: LOGITS, [], replace(sampling, n_tokens=200))
    assert {step.token for step in drawn} == possible
    assert LOGITS[0] == 9  # the caller's logits are left alone


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=1.0, top_p=None), [0.5, 0.25, 0.125, 0.125]),
        (Sampling(temperature=0.5, top_p=None), [16 / 22, 4 / 22, 1 / 22, 1 / 22]),
        (Sampling(temperature=1.0, top_p=0.5), [1, 0, 0, 0]),  # half is there with the first alone
        (Sampling(temperature=1.0, top_p=0.51), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(temperature=1.0, top_k=2, top_p=None), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(temperature=1.0, top_k=3, top_p=None), [0.5, 0.25, 0.125, 0.125]),  # equals share the last place
        (Sampling(temperature=1.0, top_k=2, top_p=0.6), [1, 0, 0, 0]),  # of two, the first has 2/3
    ],
)
def test_tokens_are_drawn_as_often_as_their_probabilities_say(
    sampling: Sampling, expected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Tensor] = []

    def multinomial(weights: Tensor, n: int, generator: torch.Generator) -> Tensor:
        drawn.append(weights / weights.sum())
        assert n == 1
        return torch.tensor([3])

    monkeypatch.setattr(torch, "multinomial", multinomial)
    logits = torch.tensor([9.0, 9.0, 4.0, 2.0, 1.0, 1.0]).log()
    order = [0, 1, 5, 3, 2, 4]  # the likeliest need not come first
    step = next(generate.steps(lambda _: logits[order], [], sampling))
    assert step.token == 3
    shares = torch.tensor([0.0, 0.0, *expected], dtype=torch.float64)[order]
    torch.testing.assert_close(drawn[0], shares)
    torch.testing.assert_close(step.probabilities, shares)


@pytest.mark.parametrize(
    ("name", "rule", "wrong", "right"),
    [
        ("n_tokens", "at least 1", [0], [1]),
        ("temperature", "at least 0", [-0.1, math.nan, math.inf], [0.0]),
        ("n_more", "at least 0", [-1], [0, 1]),
        ("top_k", "at least 1", [0], [1, None]),
        ("top_p", "above 0 and at most 1", [0.0, 1.1], [1e-9, 1.0, None]),
    ],
)
def test_impossible_sampling_is_refused(name: str, rule: str, wrong: list[Any], right: list[Any]) -> None:
    for value in wrong:
        with pytest.raises(UserError) as caught:
            Sampling(**{name: value})
        assert str(caught.value) == f"{name} is {value}; it must be {rule}"
    for value in right:
        assert getattr(Sampling(**{name: value}), name) == value


def test_the_defaults_of_sampling_are_cautious() -> None:
    assert Sampling() == Sampling(n_tokens=60, temperature=0.6, top_k=None, top_p=0.8, seed=0, n_more=0)


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
        for place in range(min(len(text), sampling.n_tokens + sampling.n_more)):
            read.append(place)
            yield generate.Step(words.index(text[place]), torch.zeros(0))

    monkeypatch.setattr(generate, "steps", steps)
    trained = replace(decoder(), tokenizer=Tokenizer(words))
    found = generate.generate(trained, "b", Sampling(n_tokens, n_more=n_more))
    assert [words[i] for i in found] == ["b", *expected.split()]
    assert len(read) <= n_tokens + n_more


def test_more_tokens_are_drawn_for_the_end_of_a_sentence() -> None:
    drawn = generate.steps(lambda _: LOGITS, [], Sampling(4, n_more=3))
    assert len(list(drawn)) == 7
