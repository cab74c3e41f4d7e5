"""The page's views say what the commands say of the same text, each beside what belongs there."""

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import decoder_of

from common.files import UserError
from dataset import Data
from evaluation.baselines import fitted_linear_models
from evaluation.opponents import CLASSIFIER_OPPONENTS
from inference.explain import classify, explain
from inference.generate import generate
from inference.sampling import Sampling
from inference.score import score, scorers
from modules.config import TransformerConfig
from studies import explore
from studies.explore import Shelf, once
from studies.probes.knockouts import knocked_out, mean_outputs
from training.weights import TrainedModel, save_model
from transformer import Decoder

CLASSIFIER, DECODER = "part1/classifier-seed0", "part2/decoder-ff16"
TEXT = "we hope for change zyzzyva ."


@pytest.fixture(scope="module")
def shelf(trained_runs: Path, data_folder: Path) -> Shelf:
    return Shelf(trained_runs, data_folder)


@pytest.fixture(scope="module")
def elsewhere(trained_runs: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """The same models beside data on which they were not trained."""
    other = tmp_path_factory.mktemp("elsewhere") / "data"
    shutil.copytree(data_folder, other)
    text = (other / "train_LM.txt").read_text()
    (other / "train_LM.txt").write_text("\n".join(reversed(text.split("\n"))))  # the same vocabulary, other trigrams
    return Shelf(trained_runs, other)


def test_models_are_called_by_their_path_the_newest_first(shelf: Shelf, tmp_path: Path) -> None:
    assert set(shelf.names("classifier")) == {"part1/classifier-seed0", "part1/classifier-seed1"}
    assert shelf.names("decoder") == [DECODER]
    other = Shelf(tmp_path, shelf.data_dir)
    (tmp_path / "no.safetensors").write_text("no model")
    assert other.names("classifier") == []
    for name in ("a/old", "b/new"):
        save_model(tmp_path / f"{name}.safetensors", shelf.model(CLASSIFIER))
        time.sleep(0.02)
    assert other.names("classifier") == ["b/new", "a/old"]
    assert other.names("decoder") == []


def test_what_is_asked_for_by_many_at_once_is_made_once() -> None:
    made, answers = [], []

    def make(key: str) -> list[str]:
        made.append(key)
        time.sleep(0.05)
        return [key]

    ask = once(make)
    threads = [threading.Thread(target=lambda: answers.append(ask("one"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["one"]
    assert all(answer is answers[0] for answer in answers)
    assert ask("two") == ["two"]


def test_who_said_it_has_the_explanation_and_those_that_count(shelf: Shelf, data: Data) -> None:
    answer = explore.who_said(shelf, CLASSIFIER, f" {TEXT}\n")
    explanation = explain(shelf.model(CLASSIFIER), TEXT)
    assert answer.explanation.words == explanation.words
    assert torch.equal(answer.explanation.probabilities, explanation.probabilities)
    assert torch.equal(answer.explanation.gradients, explanation.gradients)
    rows = [row.text for row in data.corpus.train], data.train.labels.tolist()
    expected = fitted_linear_models(*rows)([TEXT])
    assert answer.opponents == {
        CLASSIFIER_OPPONENTS[key]: data.corpus.class_names[int(k[0])] for key, k in expected.items()
    }
    assert (answer.known_from, answer.note) == ([], "")


def test_a_sentence_that_was_learnt_is_named_by_its_rows(shelf: Shelf, data: Data) -> None:
    row = data.corpus.train[4]
    answer = explore.who_said(shelf, CLASSIFIER, "  ".join(row.text.split()))
    same = [other.line for other in data.corpus.train if other.text == row.text]
    assert answer.known_from == [f"row {line}, by {data.corpus.class_names[1]}" for line in same]


def test_with_other_data_a_model_stands_alone_and_says_why(elsewhere: Shelf) -> None:
    answer = explore.who_said(elsewhere, CLASSIFIER, TEXT)
    assert answer.opponents == {}
    assert "not the data that this model was trained on" in answer.note
    surprise = explore.surprise(elsewhere, DECODER, TEXT)
    assert [scored.name for scored in surprise.text.scored] == ["decoder"]
    assert surprise.note == answer.note
    (first, *_) = explore.continuations(elsewhere, DECODER, TEXT, Sampling(1))
    assert [side.name for side in first] == ["decoder"]


@pytest.mark.parametrize("name", [CLASSIFIER, DECODER])
def test_attention_is_shown_with_the_padding_that_is_read(shelf: Shelf, name: str) -> None:
    looks = explore.looks(shelf, name, TEXT)
    assert looks.words == ["we", "hope", "for", "change", "zyzzyva?", "."]
    assert looks.columns == looks.words + ["<pad>"] * (2 if name == CLASSIFIER else 0)
    assert looks.maps.shape == (2, 2, 6, len(looks.columns))
    torch.testing.assert_close(looks.maps.sum(-1), torch.ones(2, 2, 6))
    long = explore.looks(shelf, name, f"{TEXT} we work today now")
    assert long.note.endswith("; not read: today? now?")
    assert len(long.words) == 8


def test_a_head_that_is_switched_off_says_its_mean(shelf: Shelf, data: Data) -> None:
    trained: Any = shelf.model(CLASSIFIER)
    parts = explore.heads(shelf, CLASSIFIER)
    assert [part.name for part in parts] == [f"layer {i}, head {j}" for i in (1, 2) for j in (1, 2)]
    (whole,) = explore.without(shelf, CLASSIFIER, TEXT, [])
    assert whole == classify(trained, TEXT)
    means = mean_outputs(trained.model, data)
    for part in parts:
        before, after = explore.without(shelf, CLASSIFIER, TEXT, [part])
        assert before == whole
        with knocked_out(trained.model, [part], means):
            assert after == classify(trained, TEXT)
        assert after != whole
    *_, all_off = explore.without(shelf, CLASSIFIER, TEXT, parts)
    assert all_off not in [explore.without(shelf, CLASSIFIER, TEXT, [part])[1] for part in parts]


def test_surprise_is_what_score_says_with_the_guesses_for_each_token(shelf: Shelf, data: Data) -> None:
    trained = shelf.model(DECODER)
    answer = explore.surprise(shelf, DECODER, f"{TEXT}\n\n we work")
    assert answer.text == score([TEXT, "we work"], trained, scorers(trained, data.train_stream.ids))
    assert [scored.name for scored in answer.text.scored] == ["decoder", "trigram"]
    assert [[len(guesses) for guesses in by_token] for by_token in answer.guesses] == [[explore.N_GUESSES] * 8] * 2
    ids = torch.tensor([i for line in (TEXT, "we work") for i in trained.tokenizer.encode(line)])
    expected = [scorer.expects(ids).exp().amax(dim=1).tolist() for scorer in scorers(trained, data.train_stream.ids)]
    assert [[guesses[0][1] for guesses in by_token] for by_token in answer.guesses] == expected


@pytest.mark.parametrize("prompt", ["we hope", ""])
def test_continuations_are_those_of_generate_a_token_longer_each_time(shelf: Shelf, prompt: str) -> None:
    trained = shelf.model(DECODER)
    steps = list(explore.continuations(shelf, DECODER, prompt, Sampling(5, top_k=3, top_p=None)))
    assert [[len(side.tokens) for side in sides] for sides in steps] == [[n, n] for n in range(5)]
    assert [[len(side.guesses) for side in sides] for sides in steps] == [[n, n] for n in range(1, 6)]
    decoder, trigram = steps[-1]
    ids = generate(trained, prompt, Sampling(5, top_k=3, top_p=None))[-5:]
    assert decoder.tokens == [trained.tokenizer.words[i] for i in ids[:4]]
    assert (decoder.name, trigram.name) == ("decoder", "trigram")
    assert decoder.n_possible == 3
    for side in (decoder, trigram):
        for token, chance, guesses in zip(side.tokens, side.chances, side.guesses):
            assert chance == pytest.approx(dict(guesses)[token])
            assert sum(share for _, share in guesses) == pytest.approx(1)


def test_the_voices_of_a_decoder_stand_beside_it(shelf: Shelf, tmp_path: Path) -> None:
    tokenizer = shelf.model(DECODER).tokenizer
    config = decoder_of(TransformerConfig(n_embd=8, n_layer=1, block_size=8, ff_dim=8), voices=True)
    names = shelf.data(DECODER).corpus.class_names
    model = Decoder(config, tokenizer.words, n_speakers=len(names)).eval()
    assert model.voices is not None
    with torch.no_grad():
        model.voices.biases[1, tokenizer.ids(["hope"])[0]] = 50.0  # all that the first of them says
    save_model(tmp_path / "voices.safetensors", TrainedModel(model, tokenizer, names, data=shelf.model(DECODER).data))
    other = Shelf(tmp_path, shelf.data_dir)
    answer = explore.surprise(other, "voices", "we hope")
    assert [scored.name for scored in answer.text.scored] == ["decoder", *names, "trigram"]
    surprise = [scored.nats[1] for scored in answer.text.scored]
    assert surprise[1] < 0.01 < min(surprise[0], surprise[2])
    last = list(explore.continuations(other, "voices", "we", Sampling(4)))[-1]
    assert [side.name for side in last] == ["decoder", *names, "trigram"]
    assert last[1].tokens == ["hope"] * 3


def test_nothing_and_too_much_are_refused(shelf: Shelf) -> None:
    for text, complaint in ((" \n", "there is no text yet"), ("we " * 700, "the text has 2,100 characters")):
        for view in (explore.who_said, explore.looks, explore.surprise):
            with pytest.raises(UserError, match=complaint):
                view(shelf, DECODER if view is explore.surprise else CLASSIFIER, text)
    with pytest.raises(UserError, match="2,100 characters"):
        list(explore.continuations(shelf, DECODER, "we " * 700, Sampling(1)))
