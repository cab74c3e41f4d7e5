"""What else is asked of models and data, by hand: opponents, inference lengths, times, temperature, mistakes."""

import csv
import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from math import exp
from pathlib import Path
from statistics import fmean, geometric_mean
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from made_up import classifier_run
from torch import Tensor

from dataset import Data, Stream, load_data
from evaluation import baselines
from evaluation.accuracy import class_probabilities
from evaluation.attention import attention_maps
from evaluation.calibration import reliability, spread_of_logits
from evaluation.ngrams import KneserNey, unseen_words
from evaluation.opponents import CLASSIFIER_OPPONENTS, classifier_opponents, decoder_opponents
from evaluation.perplexity import Protocol, perplexity, token_nats
from evaluation.records import LanguageScores
from studies.answers import LengthPerplexity, Timing
from studies.catalogue.questions import POSITIONS
from studies.catalogue.recipes import RECIPES
from studies.probes import temperature, timing
from studies.probes.attention import attention_over_test
from studies.probes.context import perplexity_by_context
from studies.probes.lengths import perplexity_by_length
from studies.probes.mistakes import surest_wrong, write_predictions
from studies.probes.tokens import together
from studies.question import Study
from tokenizer import PAD, Tokenizer
from training import tasks
from training.recipe import Recipe, Run, Task, customise
from training.records import ClassifierRun
from training.runs import Folder, perform
from training.weights import TrainedModel, load_model
from transformer import Classifier, Decoder

SMALL: dict[str, Any] = {"n_embd": 8, "n_layer": 1, "block_size": 8, "ff_dim": 8, "initialisation": "pytorch"}
TINY: dict[Task, Recipe] = {task: customise(recipe, **SMALL) for task, recipe in RECIPES["report"].items()}
CPU = torch.device("cpu")


# ----------------------------------------------------------------------------------------------------------- attention
@pytest.mark.parametrize("pooling", ["mean", "masked-mean"])
def test_attention_is_that_of_all_tokens_to_tokens_and_what_padding_gets_is_said(pooling: str, data: Data) -> None:
    config: Any = customise(TINY["classifier"], pooling=pooling, positions="alibi").architecture
    model = Classifier(config, data.tokenizer.words, 3).eval()
    statistics = attention_over_test(TrainedModel(model, data.tokenizer, data.corpus.class_names), data)
    distance, padding, positions = torch.zeros(1, 2), torch.zeros(1, 2), torch.arange(8)
    for row in range(len(data.test.labels)):
        ids, lengths, _ = data.test.batch(torch.tensor([row]))
        on_tokens = attention_maps(model, ids, lengths)[:, 0, :, : int(lengths), : int(lengths)]  # (L, H, n, n)
        apart = (positions[:, None] - positions).abs()[: int(lengths), : int(lengths)]
        distance += (on_tokens / on_tokens.sum(-1, keepdim=True) * apart).sum((-2, -1))
        padding += (1 - on_tokens.sum(-1)).sum(-1)
    n_tokens = int(data.test.lengths.sum())
    torch.testing.assert_close(torch.tensor(statistics.distance), distance / n_tokens)
    torch.testing.assert_close(torch.tensor(statistics.padding), padding / n_tokens, rtol=1e-4, atol=1e-6)


# ----------------------------------------------------------------------------------------------------------- opponents
def test_opponents_are_scored_on_all_seen_and_unseen_rows(data: Data) -> None:
    truth = data.test.labels.clone()
    truth[[0, 7, 8]] = (truth[[0, 7, 8]] + 1) % 3  # else every answer would be right
    texts = [[row.text for row in rows] for rows in (data.corpus.train, data.corpus.test)]
    rows = (texts[0], data.train.labels.tolist(), texts[1])
    answers = baselines.fitted_linear_models(*rows[:2])(texts[1])
    answers["kneser_ney"] = baselines.kneser_ney_by_class(*rows)
    answers |= {"joined": baselines.joined(*rows), "delta": baselines.cosine_delta(*rows)}
    opponents = classifier_opponents(replace(data, test=replace(data.test, labels=truth)))
    assert list(opponents) == [*answers, "majority"] == list(CLASSIFIER_OPPONENTS)
    for name, classes in answers.items():
        right = torch.as_tensor(classes) == truth
        for group, inside in (("all", slice(24)), ("seen", slice(6)), ("unseen", slice(6, 24))):
            rows_of_group = opponents[name].test[group]  # type: ignore[index]
            accuracy = 100 * float(right[inside].float().mean())
            assert (rows_of_group.n, rows_of_group.accuracy) == (len(right[inside]), pytest.approx(accuracy))
        assert opponents[name].predictions == list(classes)
    majority = classifier_opponents(data)["majority"]  # as many rows of each class: the first is predicted
    assert set(majority.predictions) == {0}
    assert majority.test["all"].accuracy == pytest.approx(100 / 3)


def test_n_grams_are_fitted_to_the_training_text_and_some_are_told_of_unknown_words(data: Data) -> None:
    opponents, size = decoder_opponents(data), len(data.tokenizer)
    told = unseen_words(data.train_stream.ids, size, data.words_of_rows())
    for name, order, base in (("ngram", 3, None), ("ngram_unk", 3, told), ("ngram_5", 5, told)):
        model = KneserNey.fit(data.train_stream.ids, size, order, base)
        for text, stream in data.test_streams.items():
            scores = opponents[name].scores[text]
            assert scores.perplexity == pytest.approx(np.exp(-model.log_probabilities(stream.ids).mean()))
            assert scores.unk_rate == pytest.approx(100 * 5 / len(stream.ids))  # one a line
            nats, tokens = opponents[name].stretch_nats[text], opponents[name].stretch_tokens[text]
            assert math.exp(sum(nats) / sum(tokens)) == pytest.approx(scores.perplexity)
    assert len({score.perplexity for opponent in opponents.values() for score in opponent.scores.values()}) == 9


@pytest.mark.parametrize("rows", ["0\twe hope and pray\n1\tthey rest and work\n", "0\tone two\n1\tthree four\n"])
def test_n_grams_score_every_text_whatever_the_rows_and_the_text_have_in_common(rows: str, tmp_path: Path) -> None:
    text = "we hope\nthey rest\nwe rest\nthey hope\n"
    files = {"train_CLS.tsv": rows, "test_CLS.tsv": rows, "train_LM.txt": text, "test_LM_a.txt": f"zyzzyva\n{text}"}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    for opponent in decoder_opponents(load_data(tmp_path, block_size=4)).values():
        assert math.isfinite(opponent.scores["a"].perplexity)


def test_texts_count_by_their_bytes() -> None:
    streams = {"a": Stream(torch.zeros(1), 10, 0), "b": Stream(torch.zeros(1), 30, 0)}
    scores = {name: LanguageScores(9.0, 8.0, bits, 1.0) for name, bits in (("a", 4.0), ("b", 2.0))}
    assert together(scores, streams) == pytest.approx(2.5)


# --------------------------------------------------------------------------------------------------- inference lengths
@pytest.mark.parametrize("positions", ["alibi", "none", "learned"])
def test_perplexity_by_length_protocol_and_window(positions: str) -> None:
    architecture: Any = customise(TINY["decoder"], n_layer=2, block_size=4, positions=positions).architecture
    words = ["<pad>", "<unk>", *"abcdefghij"]
    model, random = Decoder(architecture, words, 7), torch.Generator().manual_seed(0)
    streams = {name: Stream(torch.randint(1, 12, (n,), generator=random), 99, 0) for name, n in (("a", 41), ("b", 30))}
    rows = perplexity_by_length(TrainedModel(model, Tokenizer(words), []), SimpleNamespace(test_streams=streams))  # type: ignore[arg-type]

    def by_hand(length: int, sliding: bool, window: int | None) -> dict[str, Any]:
        if positions == "learned" and length > 4:
            return dict.fromkeys(streams)
        protocol = Protocol(length, length // 2 if sliding else None)
        nats = {name: token_nats(model, stream.ids, protocol, window=window) for name, stream in streams.items()}
        return {name: pytest.approx(perplexity(values)) for name, values in nats.items()}

    ways = itertools.product((False, True), (4, 8, 16, 32), (None, 3))
    assert rows == [LengthPerplexity(n, sliding, window, by_hand(n, sliding, window)) for sliding, n, window in ways]
    if positions != "learned":
        assert len({tuple(row.perplexity.values()) for row in rows}) > 12  # so that any other would show


def test_perplexity_by_context_gives_the_model_so_many_tokens_and_no_more() -> None:
    architecture: Any = customise(TINY["decoder"], n_layer=2, block_size=4, positions="none").architecture
    words = ["<pad>", "<unk>", *"abcdefghij"]
    model, random = Decoder(architecture, words, 7), torch.Generator().manual_seed(0)
    streams = {name: Stream(torch.randint(1, 12, (n,), generator=random), 99, 0) for name, n in (("a", 9), ("b", 7))}
    rows = perplexity_by_context(TrainedModel(model, Tokenizer(words), []), SimpleNamespace(test_streams=streams))  # type: ignore[arg-type]
    for row in rows:
        perplexities = []
        for stream in streams.values():
            text = [PAD, *stream.ids.tolist()]
            nats = []
            for end in range(1, len(text)):
                given = text[max(0, end - row.n_tokens) : end]
                nats.append(-model(torch.tensor([given]))[0, -1].log_softmax(0)[text[end]].item())
            perplexities.append(exp(fmean(nats)))
        assert row.perplexity == pytest.approx(geometric_mean(perplexities))
    assert [row.n_tokens for row in rows] == [1, 2, 3, 4]


# -------------------------------------------------------------------------------------------------------------- timing
COST: Any = {  # of a step, in seconds
    "classifier": {"learned": 4.0, "alibi": 3.0, "none": 2.0},
    "decoder": {"learned": 5.0, "alibi": 4.0, "none": 6.0},
}


class Clock:
    """Time passes only in the loss of a training step, as the positions of its model say; of a processor half of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.steps: list[tuple[str, tuple[int, ...]]] = []  # of each, positions and batch
        clock = SimpleNamespace(perf_counter=lambda: self.now, process_time=lambda: self.now / 2)
        monkeypatch.setattr(timing, "time", clock)
        for name, kind in (("classifier", tasks.ClassifierTask), ("decoder", tasks.DecoderTask)):
            monkeypatch.setattr(kind, "loss", self.slowed(COST[name], kind.loss))
            monkeypatch.setattr(kind, "evaluate", None)  # what is timed measures nothing

    def slowed(self, cost: dict[str, float], loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def take_time(task: Any, items: Tensor) -> Tensor:
            positions, n_done = task.model.config.positions, len(self.steps)
            pause = 500.0 if n_done % 37 == 5 else 0.0  # the machine does something else
            self.now += cost[positions] * (1 + 0.1 * (n_done // 30)) + pause  # slower and slower
            self.steps.append((positions, tuple(items.flatten().tolist())))
            return loss(task, items)

        return take_time


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "n_steps"), [("classifier", 6), ("decoder", 9)])
def test_steps_of_every_variant_are_timed_in_turn_on_the_same_batches(
    kind: Task, n_steps: int, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, share = Clock(monkeypatch), 40 / n_steps
    brief = (
        customise(TINY[kind], batch_size=30, duration=3) if kind == "classifier" else customise(TINY[kind], duration=9)
    )
    variants = {name: customise(brief, positions=name) for name in POSITIONS}
    timed = timing.time_variants(variants, share, data, Folder(Path("nowhere"), CPU))
    assert (timed.n_steps, timed.n_steps_of_a_training, timed.threads) == (40, n_steps, 1)
    turns = [clock.steps[start : start + 3] for start in range(60, len(clock.steps), 3)]  # after 20 warm-up steps each
    assert len(turns) == 40
    assert all(sorted(name for name, _ in turn) == sorted(POSITIONS) for turn in turns)  # each variant once a turn,
    assert len({tuple(name for name, _ in turn) for turn in turns}) > 3  # in an order that changes,
    assert all(len({batch for _, batch in turn}) == 1 for turn in turns)  # on the same batch
    plan = [turn[0][1] for turn in turns]
    assert plan[0] == plan[n_steps] == plan[2 * n_steps]  # the training begins anew
    assert len(set(plan)) == n_steps
    for name in POSITIONS:
        slower = [1 + 0.1 * ((60 + 30 * block) // 30) for block in range(4)]
        expected = [COST[kind][name] * factor for factor in slower]  # the pauses are in no median
        assert timed.seconds[name] == pytest.approx(expected)
        assert timed.processor_seconds[name] == pytest.approx([seconds / 2 for seconds in expected])


def test_times_are_kept_for_the_same_recipes_data_and_machine(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[str] = []

    def time_variants(recipes: Any, share: float, *_: object) -> Timing:
        assert {name: recipe.architecture.positions for name, recipe in recipes.items()} == {n: n for n in POSITIONS}
        timed.append(recipes["none"].task)
        return Timing(len(timed), 9, 1, {"none": [share]}, {"none": [share]})

    monkeypatch.setattr(timing, "time_variants", time_variants)
    study = Study("report", "report", TINY, (), (0,), timed_share=0.5)
    longer: Any = {**TINY, "decoder": customise(TINY["decoder"], duration=8)}
    other = replace(data, corpus=replace(data.corpus, fingerprint="another"))
    for changed, of, processor, anew in (
        *((study, data, "Acme", ["classifier", "decoder"]), (study, data, "Acme", [])),
        (replace(study, recipes=longer), data, "Acme", ["decoder"]),
        (replace(study, timed_share=0.25), data, "Acme", ["classifier", "decoder"]),
        (replace(study, timed_share=0.25), other, "Acme", ["classifier", "decoder"]),
        (replace(study, timed_share=0.25), other, "Emca", ["classifier", "decoder"]),
    ):
        monkeypatch.setattr(timing, "processor_name", lambda name=processor: name)
        timed.clear()
        times = timing.time_positions(changed, of, Folder(tmp_path, CPU))
        assert ({each.seconds["none"][0] for each in times.values()}, timed) == ({changed.timed_share}, anew)


# --------------------------------------------------------------------------------------------------------- temperature
def learned(train_accuracy: float, **fields: Any) -> ClassifierRun:
    return classifier_run(train_accuracy=train_accuracy, **{"relative_temperature": 1.25, **fields})


@pytest.mark.parametrize(
    ("run", "second", "why"),
    [
        (learned(95.0), None, "there are too few training rows to hold 50 of them out"),
        (learned(95.0, trained=False), learned(95.0), "the classifier is at chance"),
        (learned(60.0), learned(70.1), "(training accuracy 70.1 and 60.0%); another seed may"),
        (learned(60.0), learned(70.0), ""),
    ],
)
def test_where_there_is_no_temperature_it_is_said_why(run: ClassifierRun, second: ClassifierRun, why: str) -> None:
    assert why in temperature.why_none(run, second)
    assert bool(why) == bool(temperature.why_none(run, second))


def test_a_second_model_holds_out_a_fold_of_rows_if_these_are_enough(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run("classifier", TINY["classifier"], 7)
    assert temperature.second_run(run, data) is None  # 12 of 60 rows
    for fewest, enough in ((13, False), (12, True)):
        monkeypatch.setattr(temperature, "FEWEST", fewest)
        second = Run("calibration", run.recipe, 7, fold=0, brief=True)
        assert temperature.second_run(run, data) == (second if enough else None)
    few = replace(data, corpus=replace(data.corpus, train=data.corpus.train[:1]))
    assert temperature.second_run(run, few) is None  # too few for folds at all


def test_a_temperature_is_that_of_the_second_model_in_the_unit_of_this_one(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temperature, "FEWEST", 12)
    folder, run = Folder(tmp_path, CPU), Run("classifier", customise(TINY["classifier"], duration=2), 7)
    second = temperature.second_run(run, data)
    assert second is not None
    records: Any = {each: perform(each, data, folder) for each in (run, second)}
    load = functools.partial(load_model, folder.weights(run), "classifier")
    model: Any = load().model
    before, at_first = class_probabilities(model, data.test), spread_of_logits(class_probabilities(model, data.train))
    monkeypatch.setattr(temperature, "why_none", lambda *_: "")
    calibration = temperature.temperature(run, data, folder)
    assert calibration.temperature == pytest.approx(records[second].relative_temperature * at_first)
    assert calibration.n_rows == records[second].test["all"].n == 12
    assert temperature.temperature(run, data, folder) == calibration  # however often it is set
    after = class_probabilities(load().model, data.test)
    torch.testing.assert_close(after, (before.log() / calibration.temperature).softmax(dim=-1))
    assert calibration.as_trained == reliability(before, data.test.labels, data.seen)
    assert calibration.calibrated == reliability(after, data.test.labels, data.seen)
    monkeypatch.setattr(temperature, "why_none", lambda *_: "because")
    calibration = temperature.temperature(run, data, folder)
    assert (calibration.temperature, calibration.n_rows, calibration.note) == (1.0, 0, "because")
    assert float(load().model.temperature) == 1.0


# ------------------------------------------------------------------------------------------------------------ mistakes
def test_every_test_row_stands_in_a_file_and_mistakes_are_the_surest_first(data: Data, tmp_path: Path) -> None:
    names = ['"Q" Smith', "label", 'Lee "L"']  # readers take a quotation mark for the beginning of a quoted field
    data = replace(data, corpus=replace(data.corpus, class_names=names))
    labels, wrong = data.test.labels, {4: 0.8, 7: 0.95, 11: 0.6}
    probabilities = torch.full((len(labels), 3), 0.15)
    probabilities[torch.arange(len(labels)), labels] = 0.7
    for row, share in wrong.items():
        probabilities[row] = (1 - share) / 2
        probabilities[row, (labels[row] + 1) % 3] = share
    write_predictions(tmp_path / "predictions.tsv", probabilities, data)
    head, *lines = csv.reader((tmp_path / "predictions.tsv").open(), "excel-tab")
    assert head == ["row", "label", "prediction", *(f"probability of {name}" for name in names), "seen"]
    assert [int(line[0]) for line in lines] == [row.line for row in data.corpus.test]
    assert [line[1] for line in lines] == [names[label] for label in labels.tolist()]
    assert [row for row, line in enumerate(lines) if line[1] != line[2]] == list(wrong)
    assert lines[7][3:-1] == [f"{share:.6f}" for share in probabilities[7].tolist()]
    assert [line[-1] for line in lines] == ["yes" if seen else "no" for seen in data.seen.tolist()]

    worst = surest_wrong(probabilities, data, most=2)
    assert [(mistake.row, round(mistake.probability, 3)) for mistake in worst] == [
        *((data.corpus.test[7].line, 95), (data.corpus.test[4].line, 80))
    ]
    assert [(mistake.label, mistake.prediction) for mistake in worst] == [tuple(lines[row][1:3]) for row in (7, 4)]
    assert len(surest_wrong(probabilities, data)) == 3
    assert surest_wrong(torch.eye(3)[labels], data) == []
