"""What each task gives to the loop, and what it measures, on data with a planted truth."""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import classifier_of, decoder_of, perform
from torch import Tensor

from common.files import UserError
from common.randomness import generator
from dataset import Data, epoch_batches, load_data, window_starts
from evaluation import accuracy, perplexity
from evaluation.calibration import relative_temperature
from evaluation.perplexity import Protocol
from modules.config import TransformerConfig
from modules.word_vectors import PhraseEmbedding
from speechesdataset.folder import same_text
from training.kinds import KINDS
from training.machine import machine
from training.recipe import Recipe, Run, TrainingConfig, customise
from training.records import Epoch, TrainedRun
from training.runs import Folder
from training.tasks import ClassifierTask, DecoderTask
from training.weights import load_model, saved_models

CPU = torch.device("cpu")
TINY = TransformerConfig(n_embd=8, n_layer=1, block_size=4, ff_dim=8, initialisation="pytorch")
ABOUT = TrainedRun(seed=7, n_parameters=11, train_seconds=1.5, machine=machine())
WORDS = ["<pad>", "<unk>", "a", "b", "c", "d", "e"]  # sorted, so a is 2 and e is 6


def planted(
    folder: Path,
    train: list[tuple[int, str]],
    test: list[tuple[int, str]],
    text: list[str],
    **texts: list[str],
) -> Data:
    """Rows (label, text), the text to train on and those to test with, by way of a data folder."""
    folder.mkdir(exist_ok=True)
    for name, rows in (("train_CLS.tsv", train), ("test_CLS.tsv", test)):
        (folder / name).write_text("".join(f"{label}\t{row}\n" for label, row in rows))
    for name, lines in {"train_LM": text, **{f"test_LM_{name}": lines for name, lines in texts.items()}}.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    return load_data(folder, TINY.block_size)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Ten rows of one to five words; of the test rows nine in ten are of one class; c stands in the text alone."""
    folder = tmp_path_factory.mktemp("small")
    rows = ["a", "a b", "a b d", "a b d e", "a b d e e", "b", "b a", "b d", "b e", "d e"]
    train = [(number // 5, row) for number, row in enumerate(rows)]
    test = [(0, f"a{' d' * number}") for number in range(1, 10)] + [(1, "e")]
    data = planted(folder, train, test, ["a b a", "c a b"], one=["a b c", "b"], two=["e a"])
    assert data.tokenizer.words == WORDS
    return data


def run_of(task: Any, duration: int = 3, seed: int = 0, architecture: Any = TINY, **settings: Any) -> Run:
    """A run; settings of the recipe or of training."""
    of_recipe = {name: settings.pop(name) for name in ("shuffled",) if name in settings}
    of_run = {name: settings.pop(name) for name in ("brief", "lengths", "fold") if name in settings}
    config = architecture
    if type(config) is TransformerConfig:
        config = (classifier_of if task == "classifier" else decoder_of)(config)
    return Run(task, Recipe(task, config, TrainingConfig(**settings), duration, **of_recipe), seed, **of_run)


def classifier(data: Data, device: torch.device = CPU, **settings: Any) -> ClassifierTask:
    return ClassifierTask(run_of("classifier", **settings), data, device)


def decoder(data: Data, device: torch.device = CPU, **settings: Any) -> DecoderTask:
    return DecoderTask(run_of("decoder", **settings), data, device)


def asked(work: Any, items: Tensor) -> Any:
    """What the model of `work` is asked the loss of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work.model, "loss", lambda *arguments: arguments)
        return work.loss(items)


WORKS: list[Callable[..., Any]] = [classifier, decoder]


# ------------------------------------------------------------------------------------------------- seeds and the order


@pytest.mark.parametrize("work", WORKS)
def test_a_seed_decides_weights_and_order_and_another_seed_decides_others(
    work: Callable[..., Any], small: Data
) -> None:
    first, again, other = (work(small, seed=seed, batch_size=2) for seed in (1, 1, 2))
    for name, parameter in first.model.named_parameters():
        assert torch.equal(parameter, again.model.get_parameter(name))
        norm = "norm" in name  # starts at ones and zeros in every model
        assert torch.equal(parameter, other.model.get_parameter(name)) == norm, name
    order, same, different = ([batch.tolist() for batch in each.plan] for each in (first, again, other))
    assert order == same
    assert order != different


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("positions", ["alibi", "none", "sinusoidal", "t5", "rope"])
def test_methods_of_positions_share_all_that_they_have_in_common(
    work: Callable[..., Any], positions: Any, small: Data
) -> None:
    learned = work(small, seed=5)
    other = work(small, seed=5, architecture=replace(TINY, positions=positions))
    weights, others = (dict(each.model.named_parameters()) for each in (learned, other))
    assert {name for name in weights.keys() ^ others.keys() if "positions" not in name} == set()
    for name in weights.keys() & others.keys():
        assert name.endswith("positions.table.weight") or torch.equal(weights[name], others[name]), name
    assert [batch.tolist() for batch in learned.plan] == [batch.tolist() for batch in other.plan]


def test_every_epoch_takes_every_row_once_in_an_order_of_its_own(small: Data) -> None:
    work = classifier(small, duration=4, seed=3, batch_size=4)
    assert [len(batch) for batch in work.plan] == [4, 4, 2] * 4
    epochs = [torch.cat(list(work.plan[start : start + 3])).tolist() for start in (0, 3, 6, 9)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 4
    assert len(set(map(tuple, epochs))) == 4
    expected = [epoch_batches(10, 4, generator(3, "order", epoch)) for epoch in range(4)]
    assert [batch.tolist() for batch in work.plan] == [batch.tolist() for epoch in expected for batch in epoch]


@pytest.mark.parametrize(
    ("work", "duration", "brief", "expected"),
    [
        (classifier, 4, False, [3, 6, 9, 12]),  # after every epoch
        (classifier, 4, True, [12]),
        (decoder, 500, False, [100, 200, 300, 400, 500]),  # at every fifth, and at the end
        (decoder, 11, False, [2, 4, 6, 8, 10, 11]),
        (decoder, 3, False, [1, 2, 3]),
        (decoder, 500, True, [500]),
    ],
)
def test_when_a_model_is_measured(
    work: Callable[..., Any], duration: int, brief: bool, expected: list[int], small: Data
) -> None:
    assert list(work(small, duration=duration, brief=brief, batch_size=4).evaluate_at) == expected


def test_the_windows_of_a_decoder_are_drawn_from_the_whole_text_beginning_with_padding(small: Data) -> None:
    work = decoder(small, duration=30, seed=3, batch_size=2)
    assert work.text.tolist() == [0, 2, 3, 2, 4, 2, 3]
    assert [len(starts) for starts in work.plan] == [2] * 30
    drawn = torch.stack(list(work.plan))
    assert drawn.unique().tolist() == [0, 1, 2]  # the last window is the last four tokens, with one before each
    assert torch.equal(drawn, window_starts(7, 4, 30, 2, generator(3, "order")))


# ---------------------------------------------------------------------------------------------------------- the losses


@pytest.mark.parametrize(
    ("pooling", "ids"), [("mean", [[2, 3, 5, 0], [2, 0, 0, 0]]), ("mean-max", [[2, 3, 5], [2, 0, 0]])]
)
def test_a_classifier_learns_the_labels_of_the_rows_it_is_given(
    pooling: Any, ids: list[list[int]], small: Data
) -> None:
    work = classifier(small, architecture=classifier_of(TINY, pooling=pooling), label_smoothing=0.25)
    *batch, label_smoothing = asked(work, torch.tensor([2, 0]))
    assert [value.tolist() for value in batch] == [ids, [3, 1], [0, 0]]
    assert label_smoothing == 0.25
    assert asked(work, torch.tensor([7]))[2].tolist() == [1]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_of_a_classifier_is_the_cross_entropy_by_hand(smoothing: float, small: Data) -> None:
    work = classifier(small, label_smoothing=smoothing)
    rows, labels = small.train.ids[[1, 8, 3]], [0, 1, 0]
    logs = work.model(rows, torch.tensor([2, 2, 4])).log_softmax(dim=-1)
    expected = -sum(
        (1 - smoothing) * row[label] + smoothing / 2 * (row[0] + row[1]) for row, label in zip(logs, labels)
    )
    assert work.loss(torch.tensor([1, 8, 3])).item() == pytest.approx(expected.item() / 3, rel=1e-6)


def test_a_decoder_predicts_the_next_token_at_every_position_of_its_windows(small: Data) -> None:
    inputs, targets, speaker = asked(decoder(small), torch.tensor([0, 2]))
    assert speaker == 0  # nobody
    assert inputs.tolist() == [[0, 2, 3, 2], [3, 2, 4, 2]]
    assert targets.tolist() == [[2, 3, 2, 4], [2, 4, 2, 3]]


def test_the_loss_of_a_decoder_is_the_cross_entropy_by_hand(small: Data) -> None:
    work = decoder(small)
    logs = work.model(torch.tensor([[0, 2, 3, 2], [2, 3, 2, 4]])).log_softmax(dim=-1)
    expected = -logs.gather(-1, torch.tensor([[2, 3, 2, 4], [3, 2, 4, 2]])[..., None]).mean()
    assert work.loss(torch.tensor([0, 1])).item() == pytest.approx(expected.item(), rel=1e-5)


def unigram_by_hand(discount: float) -> Tensor:
    """The Kneser-Ney unigram of "a b a c a b": a follows b and c, b and c follow a alone. What the discount takes of
    these 4 goes to d and e, which never occur, and to <unk>, as often as one of the words with one predecessor (b, c)
    is known from the text alone (c): half of it."""
    freed = 3 * discount
    return torch.tensor([0, freed / 2, 2 - discount, 1 - discount, 1 - discount, freed / 4, freed / 4]) / 4


def test_the_output_bias_starts_at_the_log_of_the_unigram(small: Data) -> None:
    work = decoder(small, unigram_bias=True)
    torch.testing.assert_close(work.model.head.bias.detach(), unigram_by_hand(0.65).clamp(min=1e-9).log())
    assert work.model.head.bias.requires_grad
    assert decoder(small).model.head.bias.abs().max() <= 1 / math.sqrt(8)  # the default of a linear layer


@pytest.mark.parametrize("work", WORKS)
def test_model_and_rows_go_to_the_device_of_the_run(work: Callable[..., Any], small: Data) -> None:
    on_meta = work(small, torch.device("meta"))
    tensors = [*on_meta.model.parameters(), *asked(on_meta, torch.tensor([0, 1]))]
    assert {value.device.type for value in tensors if isinstance(value, Tensor)} == {"meta"}


# ----------------------------------------------------------------------------------------------------------- the models


@pytest.mark.parametrize("n_members", [1, 2])
def test_pairs_of_words_are_those_of_the_training_rows(n_members: int, small: Data) -> None:
    work = classifier(small, architecture=classifier_of(TINY, phrases=True, n_members=n_members))
    pairs = ["<pad> a", "<pad> b", "<pad> d", "a b", "b a", "b d", "b e", "d e"]  # "e e" is cut off with its fifth word
    expected = sorted(7 * WORDS.index(left) + WORDS.index(right) for left, right in map(str.split, pairs))
    embeddings = [module for module in work.model.modules() if isinstance(module, PhraseEmbedding)]
    assert [embedding.pairs.tolist() for embedding in embeddings] == [expected] * n_members


# ----------------------------------------------------------------------------------------------------- what is measured


@pytest.fixture(scope="module")
def contradiction(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Class 0 says a, class 1 says b. The seen test rows say so too; the unseen ones are labelled the other way."""
    train = [(number % 2, f"{'ab'[number % 2]} {'cde'[number % 3]}") for number in range(12)]
    seen = [(0, "a c"), (1, "b  d"), (0, "a e"), (0, "a c")]
    unseen = [(1, "a d d"), (0, "b c c"), (1, "a e e"), (1, "a d e"), (0, "b e e"), (1, "a")]
    folder = tmp_path_factory.mktemp("contradiction")
    return planted(folder, train, [*unseen[:3], *seen, *unseen[3:]], ["a b c d e"], one=["a"])


QUICK: dict[str, Any] = {"duration": 25, "batch_size": 4, "learning_rate": 0.02}


def test_accuracies_are_those_of_the_rows_they_are_named_after(contradiction: Data, tmp_path: Path) -> None:
    record = perform(run_of("classifier", seed=1, **QUICK), contradiction, Folder(tmp_path, CPU))
    last = record["epochs"][-1]
    assert (last["epoch"], last["train_accuracy"], last["test_accuracy"]) == (25, 100.0, 40.0)
    assert last["train_loss"] < 0.1 < record["epochs"][0]["train_loss"]
    assert record["test"] == {
        "all": {"n": 10, "accuracy": 40.0},
        "seen": {"n": 4, "accuracy": 100.0},
        "unseen": {"n": 6, "accuracy": 0.0},
    }
    assert record["predictions"] == [0, 1, 0, 0, 1, 0, 0, 0, 1, 0]
    assert record["scores"]["confusion"] == [[3, 2], [4, 1]]
    assert [scores["name"] for scores in record["scores"]["classes"]] == ["0", "1"]
    assert (record["trained"], record["fell_back"]) == (True, False)


def test_a_row_of_measurements_by_hand(small: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    work = classifier(small, batch_size=4)

    def class_probabilities(model: Any, rows: Any) -> Tensor:
        """Everything is of class 0, but for row 9."""
        assert model is work.model
        probabilities = torch.tensor([[0.9, 0.1]]).repeat(len(rows.labels), 1)
        probabilities[9] = torch.tensor([0.4, 0.6])
        return probabilities

    monkeypatch.setattr(accuracy, "class_probabilities", class_probabilities)
    expected = {"train_accuracy": 60.0, "test_accuracy": 100.0}  # 5 of class 0, and row 9; 9 of class 0, and row 9
    assert work.evaluate(6, 0.5) == Epoch(epoch=2, train_loss=0.5, **expected)


@pytest.mark.parametrize(
    ("accuracies", "trained", "fell_back"),
    [
        ([50.0, 100.0, 50.0], False, True),  # a good middle does not save a bad end
        ([100.0, 55.0], False, True),  # half of the rows are of one class, and 5 points must be above it
        ([50.0, 55.1], True, False),
        ([50.0, 50.0, 100.0], True, False),
        ([50.0, 55.0, 30.0], False, False),
        ([100.0], True, False),
    ],
)
def test_a_run_is_judged_by_its_training_rows_at_its_end(
    accuracies: list[float], trained: bool, fell_back: bool, small: Data
) -> None:
    history = [Epoch(epoch=1, train_loss=1.0, train_accuracy=value, test_accuracy=3.0) for value in accuracies]
    record = classifier(small).summarise(history, ABOUT)
    assert (record.trained, record.fell_back) == (trained, fell_back)
    assert record.epochs == history
    assert (record.seed, record.n_parameters, record.machine) == (ABOUT.seed, ABOUT.n_parameters, ABOUT.machine)


def test_a_run_that_holds_rows_out_tells_the_temperature_that_fits_them(small: Data) -> None:
    data = replace(small, test=replace(small.test, labels=small.test.labels.flip(0)))  # a model of which it can be told
    run = run_of("classifier", fold=0)
    for measured in (False, True):  # before its summary, or not since it was resumed
        work = ClassifierTask(run, data, CPU)
        epoch = work.evaluate(1, 0.5) if measured else Epoch(1, 0.5, 50.0, 50.0)
        held_out, learned = (accuracy.class_probabilities(work.model, rows) for rows in (data.test, data.train))
        expected = relative_temperature(held_out, data.test.labels, learned)
        assert work.summarise([epoch], ABOUT).relative_temperature == expected
    assert classifier(small).summarise([epoch], ABOUT).relative_temperature is None


def test_a_fold_is_left_out_of_training_and_measured(
    small: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Data] = []

    class Noted(ClassifierTask):
        def __init__(self, run: Run, data: Data, device: torch.device) -> None:
            given.append(data)
            super().__init__(run, data, device)

    monkeypatch.setitem(KINDS, "classifier", replace(KINDS["classifier"], task=Noted))
    every = {same_text(row.text) for row in small.corpus.train}
    for fold in range(5):
        run = replace(run_of("classifier", duration=1, fold=fold), name=f"fold {fold}")
        perform(run, small, Folder(tmp_path, CPU))
    parts = [{row.text for row in data.corpus.test} for data in given]
    assert [len(part) for part in parts] == [2] * 5
    assert set().union(*parts) == every
    for part, data in zip(parts, given):
        assert {row.text for row in data.corpus.train} == every - part
        assert len(data.train.labels) == 8
    perform(run_of("classifier", duration=1), small, Folder(tmp_path, CPU))
    assert given[5] is small
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["classifier.safetensors"]


# A language of three words: after a comes b, after b one of c and d as a coin falls, after these a.
ENTROPY = math.log(2) / 3


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Data:
    coin = torch.randint(2, (1500,), generator=torch.Generator().manual_seed(0)).tolist()
    text = [" ".join(f"a b {'cd'[side]}" for side in coin[start : start + 10]) for start in range(0, 1500, 10)]
    tests = {"same": text[:20], "backwards": ["c b a"] * 50, "copied": ["a a a", "b b b", "c c c"] * 20}
    return planted(tmp_path_factory.mktemp("language"), [(0, "a"), (1, "b")], [(0, "a")], text, **tests)


def test_a_decoder_learns_what_comes_next_and_no_more(language: Data, tmp_path: Path) -> None:
    folder = Folder(tmp_path, CPU)
    run = run_of("decoder", duration=150, batch_size=16, learning_rate=0.02, schedule="linear")
    record = perform(run, language, folder)
    rows = record["iterations"]
    assert [row["iteration"] for row in rows] == [30, 60, 90, 120, 150]
    assert rows[0]["train_loss"] > 2 * ENTROPY
    assert rows[-1]["train_loss"] == pytest.approx(ENTROPY, abs=0.03)  # below it, it would see what it is to predict
    perplexities = rows[-1]["perplexity"]
    assert list(perplexities) == ["train", "backwards", "copied", "same"]
    assert math.log(perplexities["train"]) == pytest.approx(ENTROPY, abs=0.02)
    assert math.log(perplexities["same"]) == pytest.approx(ENTROPY, abs=0.02)
    assert perplexities["backwards"] > 50
    assert perplexities["copied"] > 50
    a, b, c, d = language.tokenizer.ids(["a", "b", "c", "d"])
    logits = load_model(folder.weights(run), "decoder").model(torch.tensor([[0, a, b, c], [a, b, d, a]]))
    likely = logits.softmax(dim=-1)
    assert likely[0, 0, a] > 0.9
    assert likely[0, 1, b] > 0.95
    assert likely[0, 2, c].item() == pytest.approx(0.5, abs=0.1)
    assert likely[0, 2, d].item() == pytest.approx(0.5, abs=0.1)
    assert likely[0, 3, a] > 0.95
    assert likely[1, 3, b] > 0.95


def test_perplexities_are_those_of_the_texts_and_lengths_they_are_named_after(
    small: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = decoder(small, duration=10, lengths=(2, 3))
    perplexities = {6: 10, 4: 20, 2: 30}  # of train, one and two, by their numbers of tokens

    def nats(model: Any, ids: Tensor, protocol: Protocol) -> Tensor:
        """Log of these perplexities, which are as many more as the windows are long."""
        assert model is work.model
        assert protocol.stride is None
        nats_of_token = math.log(perplexities[len(ids)] + protocol.length)
        return torch.full((len(ids),), nats_of_token, dtype=torch.float64)

    monkeypatch.setattr(perplexity, "token_nats", nats)
    measured = work.evaluate(4, 0.5)
    assert (measured.iteration, measured.train_loss) == (4, 0.5)
    assert measured.perplexity == pytest.approx({"train": 14, "one": 24, "two": 34})
    assert measured.perplexity_by_length["2"] == pytest.approx({"one": 22, "two": 32})
    assert measured.perplexity_by_length["3"] == pytest.approx({"one": 23, "two": 33})
    record = work.summarise([measured], ABOUT)
    assert record.iterations == [measured]
    assert record.protocol == "non-overlapping windows of 4 tokens"
    assert record.scores["one"].perplexity == pytest.approx(24)
    assert record.scores["two"].bits_per_byte == pytest.approx(2 * math.log2(34) / 4)
    assert record.stretch_tokens == {"one": [4], "two": [2]}  # of at most ten lines
    assert record.stretch_nats["one"] == pytest.approx([4 * math.log(24)])
    assert record.stretch_nats["two"] == pytest.approx([2 * math.log(34)])


def test_a_decoder_resumed_after_its_last_measurement_is_measured_again(
    small: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, again = decoder(small), decoder(small)
    work.evaluate(3, 0.5)
    assert again.summarise([], ABOUT) == work.summarise([], ABOUT)
    monkeypatch.setattr(perplexity, "token_nats", None)
    work.summarise([], ABOUT)  # not measured twice


# ---------------------------------------------------------------------------------------------------------- the recipes


@pytest.mark.parametrize(
    ("task", "name", "value"),
    [
        ("classifier", "tied", True),
        ("classifier", "unigram_bias", True),
        ("classifier", "shuffled", True),
        ("decoder", "pooling", "masked-mean"),
        ("decoder", "n_members", 2),
        ("decoder", "label_smoothing", 0.1),
    ],
)
def test_settings_of_the_other_task_are_refused(task: Any, name: str, value: Any) -> None:
    recipe, of_other = run_of(task).recipe, run_of("decoder" if task == "classifier" else "classifier").recipe
    with pytest.raises(UserError, match=f"{name} is {value}, which does nothing in a {task}; leave it out"):
        customise(recipe, **{name: value})
    assert customise(of_other, **{name: value}) != of_other


def test_a_run_of_no_steps_is_refused() -> None:
    with pytest.raises(UserError, match="duration is 0; it must be at least 1"):
        Recipe("decoder", decoder_of(TINY), TrainingConfig(), 0)


def test_the_newest_model_comes_first_those_of_studies_later_and_those_of_a_quick_report_last(
    trained_runs: Path, tmp_path: Path
) -> None:
    weights = (trained_runs / "part1" / "classifier-seed0.safetensors").read_bytes()
    (tmp_path / "no.safetensors").write_text("no model")
    said = {
        "quick": '{"command": "report", "quick": true}',
        "study": '{"command": "compare"}',
        "old": '{"command": "part1"}',
        "new": "no JSON",
    }
    for age, (name, config) in enumerate(said.items()):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        (tmp_path / name / "config.json").write_text(config)
        os.utime(tmp_path / name / "model.safetensors", (age, age if name != "quick" else 99))
    assert [path.parent.name for path in saved_models(tmp_path, "classifier")] == ["new", "old", "study", "quick"]
    assert saved_models(tmp_path, "decoder") == []
