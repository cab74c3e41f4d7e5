"""A study from its questions to results.json, with tiny models: what is better by construction comes out better,
nothing is trained or asked twice, and folds of the training files are all that validation reads."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch

from common.files import UserError
from dataset import Data, encode, without_fold
from evaluation.opponents import CLASSIFIER_OPPONENTS, decoder_opponents
from evaluation.statistics import confidence_of_looks, paired_difference, paired_ratio, with_error
from reporting.terminal import show
from studies import workers
from studies.answers import Answers, as_results, read_answers
from studies.ask import ask, effects_of_probes, judged
from studies.catalogue import questions
from studies.catalogue.recipes import RECIPES
from studies.probes import temperature
from studies.probes.tokens import together
from studies.question import Question, Study
from tokenizer import Tokenization
from training.recipe import Recipe, Run, Task, customise
from training.runs import Folder
from training.weights import load_model

SMALL: dict[str, Any] = {
    **{"n_embd": 8, "n_layer": 1, "block_size": 8, "ff_dim": 8, "initialisation": "pytorch"},
    **{"batch_size": 8, "learning_rate": 0.01, "duration": 3},
}
TINY: dict[Task, Recipe] = {task: customise(recipe, **SMALL) for task, recipe in RECIPES["report"].items()}
FIXED = customise(TINY["decoder"], learning_rate=1e-9)  # in which training changes nothing


def study_of(*asked: Question, seeds: Sequence[int] = (0, 1), command: str = "compare", **more: Any) -> Study:
    recipes = {question.kind.name: question.variants[question.base] for question in asked}
    return Study(command, "report", recipes, asked, tuple(seeds), **more)


def comparison(recipe: Recipe, *vary: str, variants: Sequence[str] = (), on_folds: bool = False) -> Question:
    return questions.which_is_better(recipe, questions.varied(recipe.task, vary, None, variants), None, on_folds)


def answer(study: Study, data: Data, path: Path) -> Answers:
    return ask(study, data, Folder(path, torch.device("cpu")), "python main.py it")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that are trained from now on."""
    names: list[str] = []
    perform = workers.perform

    def noted(run: Run, data: Data, folder: Folder, few: bool) -> Any:
        names.append(run.name)
        return perform(run, data, folder, few)

    monkeypatch.setattr(workers, "perform", noted)
    return names


def timeless(value: Any) -> Any:
    """What a record says but for how long it took."""
    if isinstance(value, Mapping):
        return {key: timeless(part) for key, part in value.items() if not str(key).endswith("_seconds")}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def same(answers: Answers, other: Answers) -> bool:
    return bool(timeless(msgspec.to_builtins(answers)) == timeless(msgspec.to_builtins(other)))


# --------------------------------------------------------------------------------------------- which variant is better
@pytest.mark.parametrize("on_folds", [False, True])
@pytest.mark.parametrize(
    ("recipe", "vary"),
    [(customise(TINY["classifier"], duration=15), "learning_rate=1e-9,1e-2"), (FIXED, "unigram_bias=false,true")],
    ids=["classifier", "decoder"],
)
@pytest.mark.slow
def test_a_variant_that_is_better_by_construction_comes_out_better(
    recipe: Recipe, vary: str, on_folds: bool, data: Data, tmp_path: Path, trained: list[str]
) -> None:
    if on_folds:  # nothing of the test set may be needed
        corpus, nothing = replace(data.corpus, test=[], test_texts={}), SimpleNamespace(n_truncated=0, labels=())
        data = replace(data, corpus=corpus, test=nothing, seen=torch.zeros(0), test_streams={})  # type: ignore[arg-type]
    question = comparison(recipe, vary, on_folds=on_folds)
    base, better = question.variants
    n_seeds = 5 if on_folds else 3  # folds share rows, and are worth less
    study = study_of(question, seeds=range(n_seeds))
    answers = answer(study, data, tmp_path)
    (row,) = [row for row in answers.comparisons if row.variant == better and row.verdict]
    assert (row.base, row.verdict) == (base, "better")
    opponents = answers.opponents(question.name)
    assert {len(records) for records in opponents.values()} == {n_seeds if on_folds else 1}
    compared = {row.variant: row for row in answers.comparisons if row.variant in opponents}
    assert compared.keys() == (opponents.keys() if on_folds else set())
    measure, subset = question.measured[0]
    for name, row in compared.items():  # fold by fold
        records = opponents[name], answers.runs(question.name)[base]
        values, base_values = ([measure.value(record, subset) for record in each] for each in records)
        assert row.estimate == measure.difference(values, base_values, on_folds=True, confidence=0.95)
    assert read_answers(tmp_path / "results.json", "compare") == answers
    assert len(trained) == len(set(trained)) == 2 * n_seeds
    variants = {name: question.variants[name] for name in (better, base)}
    turned = replace(question, variants=variants, pairs=((base, better),))
    worse = answer(replace(study, questions=(turned,)), data, tmp_path)
    assert worse.comparisons[0].verdict == "worse"
    assert len(trained) == 2 * n_seeds  # the same runs


@pytest.mark.slow
def test_each_variant_reads_blocks_of_its_own_size(data: Data, tmp_path: Path) -> None:
    """With learned positions a row that is longer than the table cannot be read at all."""
    for sizes in ("8,4", "4,8"):
        answers = answer(study_of(comparison(TINY["classifier"], f"block_size={sizes}")), data, tmp_path)
        n_parameters = {name: runs[0].n_parameters for name, runs in answers.classifier.items()}
        assert n_parameters["block_size=8"] - n_parameters["block_size=4"] == 4 * 8  # of the position table


@pytest.mark.parametrize("on_folds", [False, True])
def test_a_variant_that_diverges_is_marked_and_the_others_are_judged(
    on_folds: bool, data: Data, tmp_path: Path, trained: list[str]
) -> None:
    question = comparison(TINY["classifier"], "learning_rate=0.001,1e30,0.002", on_folds=on_folds)
    study = study_of(question, seeds=range(2))
    answers = answer(study, data, tmp_path)
    names = [f"learning_rate={value}" for value in ("0.001", "1e+30", "0.002")]
    assert {name: len(runs) for name, runs in answers.runs(question.name).items()} == {names[0]: 2, names[2]: 2}
    assert [run.seed for run in answers.diverged[question.name][names[1]]] == [0, 1]
    assert names[1] not in {name for row in answers.comparisons for name in (row.variant, row.base)}
    assert answers.find(variant=names[2], base=names[0])
    assert "diverged on 2 seeds, from step 2 on" in show(answers).replace("\n", " ")
    assert len(trained) == 6
    again = answer(study, data, tmp_path)
    assert same(again, answers)
    assert read_answers(tmp_path / "results.json", "compare") == again
    assert len(trained) == 6  # what diverged is not trained again
    first = comparison(TINY["classifier"], "learning_rate=1e30,0.001", on_folds=on_folds)
    with pytest.raises(UserError, match=r"learning_rate=1e\+30, seed 0: training diverged at step 2"):
        answer(study_of(first, seeds=range(1)), data, tmp_path)


@pytest.mark.slow
def test_more_seeds_are_trained_of_what_is_undecided_until_it_is_told(
    data: Data, tmp_path: Path, trained: list[str]
) -> None:
    """A variant that is better by construction is told at the first look, one that changes nothing at none."""
    question = comparison(FIXED, variants=("unigram_bias=true", "beta2=0.9"))
    study = study_of(question, seeds=range(3, 8), until_told=12)
    answers = answer(study, data, tmp_path)
    assert [[run.seed for run in runs] for runs in answers.decoder.values()] == [
        *(list(range(3, 15)), list(range(3, 8)), list(range(3, 15)))
    ]
    assert [row.verdict for row in answers.comparisons if row.verdict] == ["better", "cannot tell"]
    assert (answers.seeds, answers.looks) == (list(range(3, 8)), [5, 10, 12])
    assert answers.confidence == confidence_of_looks([5, 10, 12]) > 0.96
    assert len(trained) == len(set(trained)) == 12 + 5 + 12


def test_opponents_on_folds_are_those_of_the_first_seeds_however_many_are_trained(data: Data, tmp_path: Path) -> None:
    question = comparison(FIXED, "beta2=0.99,0.9", on_folds=True)
    answers = answer(study_of(question, seeds=[3], until_told=2), data, tmp_path)
    (row,) = answers.find(variant="ngram")
    assert (len(answers.decoder["beta2=0.99"]), row.estimate.n) == (2, 1)
    of_fold = decoder_opponents(without_fold(data, "decoder", 3))
    assert answers.decoder_opponents == {name: [record] for name, record in of_fold.items()}


# ----------------------------------------------------------------------------------------- interrupted, and other runs
@pytest.mark.slow
def test_what_was_interrupted_goes_on_to_the_same_answers(
    data: Data, tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(comparison(TINY["classifier"], "dropout=0,0.2"))
    whole = answer(study, data, tmp_path / "whole")
    assert [name[-5:] for name in trained] == ["seed0", "seed0", "seed1", "seed1"]  # whole seeds come first
    trained.clear()
    with monkeypatch.context() as interrupted:
        perform = workers.perform

        def stop(*run: Any, **more: Any) -> Any:
            if len(trained) == 3:
                raise KeyboardInterrupt
            return perform(*run, **more)

        interrupted.setattr(workers, "perform", stop)
        with pytest.raises(KeyboardInterrupt):
            answer(study, data, tmp_path / "part")
    assert not (tmp_path / "part" / "results.json").exists()
    assert same(answer(study, data, tmp_path / "part"), whole)
    assert len(trained) == len(set(trained)) == 4


def test_records_of_other_settings_are_refused_before_anything_is_trained(
    data: Data, tmp_path: Path, trained: list[str]
) -> None:
    question = comparison(TINY["classifier"], "dropout=0,0.2")
    answer(study_of(question, seeds=[3]), data, tmp_path)
    (tmp_path / "runs" / "classifier-dropout-0-seed3.json").unlink()  # that of the other variant is there alone
    trained.clear()
    longer = study_of(comparison(customise(TINY["classifier"], duration=4), "dropout=0,0.2"), until_told=4)
    with pytest.raises(UserError, match=r"of another run \(duration is 3 there and 4 here\)"):
        answer(longer, data, tmp_path)  # whose fourth seed is trained only if two cannot tell
    few = replace(data, corpus=replace(data.corpus, train=data.corpus.train[:1]))
    with pytest.raises(UserError, match="too few different rows for 5 folds"):
        answer(study_of(comparison(TINY["classifier"], "dropout=0,0.2", on_folds=True)), few, tmp_path / "folds")
    assert trained == []


# -------------------------------------------------------------------------------------------- the report and its parts
REPORT = Study(
    "report",
    "report",
    TINY,
    questions.exploration(
        {"classifier": TINY["classifier"], "decoder": customise(TINY["decoder"], ff_dim=256)}, report=True
    ),
    seeds=(0, 1),
    timed_share=0.1,
    is_judged=True,
)


@pytest.fixture(scope="module")
def report(data: Data, tmp_path_factory: pytest.TempPathFactory) -> tuple[Answers, Path]:
    path = tmp_path_factory.mktemp("report")
    return answer(REPORT, data, path), path


@pytest.mark.slow
def test_a_second_start_trains_asks_and_times_nothing(
    report: tuple[Answers, Path], data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, path = report
    shutil.copytree(path, tmp_path, dirs_exist_ok=True)
    for name in ("training.runs.train", "studies.question.load_model", "studies.probes.timing.loop"):
        monkeypatch.setattr(name, None)
    again = answer(REPORT, data, tmp_path)
    assert msgspec.structs.replace(again, total_seconds=answers.total_seconds) == answers


@pytest.mark.slow
def test_the_report_finds_what_it_asks_for_and_is_judged_alike_when_it_is_read_back(
    report: tuple[Answers, Path], data: Data
) -> None:
    answers, path = report
    kept = read_answers(path / "results.json", "report")
    assert kept == answers
    assert judged(msgspec.structs.replace(kept, claims=[])) == answers
    assert [claim.id for claim in answers.claims] == [f"C{number}" for number in range(1, 14)]
    with pytest.raises(UserError, match="not the results of python main"):
        read_answers(path / "results.json", "part1")
    assert answers.classifier["learned"] == answers.classifier["original"]  # the same runs, not trained twice
    assert answers.decoder["learned"] == answers.decoder["ff256"]
    both = ("classifier", "decoder")
    for name, kinds, variants, n_runs in (
        *(("attention", both, ["learned"], 2), ("knockouts", both, ["learned"], 1)),
        *(
            ("faithfulness", both[:1], ["learned"], 1),
            ("lengths", both[1:], [*questions.POSITIONS, questions.STEEP], 2),
        ),
    ):
        asked = getattr(answers, name)
        assert {kind: {variant: len(runs) for variant, runs in asked[kind].items()} for kind in asked} == {
            kind: dict.fromkeys(variants, n_runs) for kind in kinds
        }
    for variant, seeds in answers.lengths["decoder"].items():  # each of its own runs
        for run, (as_trained, *_) in zip(answers.decoder[variant], seeds):
            last = run.iterations[-1].perplexity
            assert as_trained.perplexity == pytest.approx({text: last[text] for text in as_trained.perplexity})
    assert {(row.variant, row.measure) for row in answers.comparisons if row.length} == {("alibi", "perplexity")}
    assert {(row.question, row.variant) for row in answers.comparisons if row.measure == "processor time"} == {
        (kind, variant) for kind in both for variant in ("alibi", "none")
    }
    assert answers.questions["decoder"].settings["alibi-steep"].items() >= {"alibi_slope_scale": 8.0}.items()
    times = [run.train_seconds for run in answers.trainings()]
    assert len(times) == 2 * (4 + 5 + 4)
    assert answers.training_seconds == pytest.approx(sum(times))
    assert answers.n_tokens["train"] == len(data.train_stream.ids)


@pytest.mark.slow
def test_results_have_the_keys_of_the_contract(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temperature, "FEWEST", 11)  # of the held-out rows there are 12
    part1 = study_of(questions.who_said_it(TINY["classifier"]), seeds=[3], command="part1")
    answers = answer(part1, data, tmp_path)
    results = msgspec.json.decode((tmp_path / "results.json").read_bytes())
    (run,) = answers.classifier["classifier"]
    common = {"command", "recipe", "seed", "vocabulary_size", "total_seconds"}
    assert results.keys() >= common | {"n_parameters", "train_seconds", "epochs", "test", "baselines"}
    assert [list(row) for row in results["epochs"]] == [["epoch", "train_loss", "train_accuracy", "test_accuracy"]] * 3
    assert results["test"] == msgspec.to_builtins(run.test)
    assert results["baselines"].keys() == CLASSIFIER_OPPONENTS.keys()
    assert all(list(groups) == ["all", "seen", "unseen"] for groups in results["baselines"].values())
    (calibration,) = answers.calibration["classifier"]["classifier"]  # of the model that is saved
    model: Any = load_model(tmp_path / "classifier.safetensors", "classifier").model
    assert calibration.temperature == pytest.approx(float(model.temperature)) != 1
    assert calibration.n_rows == 12
    lines = [line.split("\t") for line in (tmp_path / "predictions.tsv").read_text().splitlines()[1:]]
    assert [data.corpus.class_names.index(line[2]) for line in lines] == run.predictions
    ((*mistakes,),) = answers.mistakes["classifier"]["classifier"]
    assert {mistake.row for mistake in mistakes} <= {int(line[0]) for line in lines if line[1] != line[2]}
    assert read_answers(tmp_path / "results.json", "part1") == answers

    part2 = study_of(questions.how_surprising(TINY["decoder"], (8, 4)), seeds=[3], command="part2")
    answers = answer(part2, data, tmp_path / "2")
    results = msgspec.json.decode((tmp_path / "2" / "results.json").read_bytes())
    assert results.keys() >= common | {"models", "baselines", "unk_rate"}
    assert [model["ff_dim"] for model in results["models"]] == [8, 4]
    assert all(model.keys() >= {"n_parameters", "train_seconds", "iterations"} for model in results["models"])
    assert results["models"][0]["iterations"][-1]["perplexity"].keys() == {"train", *data.test_streams}
    assert set(results["unk_rate"]) == set(results["baselines"]["ngram"]) == set(data.test_streams)
    part3 = as_results(msgspec.structs.replace(answers, command="part3"))
    assert part3["baselines"] == results["baselines"]
    assert {len(runs) for runs in part3["decoder"].values()} == {1}


# --------------------------------------------------------------------------------------------------------------- tokens
@pytest.mark.parametrize("on_folds", [False, True])
@pytest.mark.slow
def test_each_kind_of_tokens_is_measured_by_its_own_runs(
    on_folds: bool, data: Data, tmp_path: Path, trained: list[str]
) -> None:
    kinds = [Tokenization("bpe", 300), Tokenization("character")]
    asked = [questions.kinds_of_tokens(recipe, kinds, (8, 16), on_folds) for recipe in TINY.values()]
    study = study_of(*asked, seeds=(3, 4), command="tokenizers")
    answers = answer(study, data, tmp_path)
    rows = {(row.kind, row.block_size): row for row in answers.tokens}
    assert list(rows) == [(kind, size) for size in (8, 16) for kind in ("word", "bpe", "character")]
    row, words = rows["bpe", 16], rows["word", 16]
    encoded = encode(data.corpus, 16, kinds[0])
    assert row.accuracy == [run.test["all"].accuracy for run in answers.classifier["bpe300-block16"]]
    test_sets = [without_fold(encoded, "decoder", seed) if on_folds else encoded for seed in (3, 4)]
    decoders = answers.decoder["bpe300-block16"]
    assert row.bits_per_byte == [together(run.scores, test.test_streams) for run, test in zip(decoders, test_sets)]
    assert len(row.trigram) == (2 if on_folds else 1)
    assert (row.vocabulary_size, row.cut) == (len(encoded.tokenizer), 100 * encoded.train.n_truncated / 60)
    shared = 0.25 if on_folds else 0.0
    assert row.accuracy_difference == paired_difference(row.accuracy, words.accuracy, shared)
    assert row.bits_ratio == paired_ratio(row.bits_per_byte, words.bits_per_byte, shared)
    assert words.bits_ratio is None
    n_trained = len(trained)
    assert same(answer(study, data, tmp_path), answers)  # every record is found again, whatever its tokens
    assert len(trained) == n_trained


@pytest.mark.slow
def test_every_interval_of_a_study_that_is_looked_at_pays_for_the_looks(data: Data, tmp_path: Path) -> None:
    """Of runs, opponents, times, lengths, claims and kinds of tokens alike: none is left as narrow as one of 95%."""
    explored = questions.exploration(TINY, regularize=False)
    tokens = [questions.kinds_of_tokens(recipe, [Tokenization("character")], (8,), False) for recipe in TINY.values()]
    cases: Any = ((explored, {"timed_share": 0.1, "is_judged": True}), (tokens, {}))
    for asked, more in cases:
        study = study_of(*asked, seeds=(0, 1), until_told=5, **more)  # looks at 2, 4 and 5 seeds
        answers = answer(study, data, tmp_path / asked[0].name / str(len(more)))
        rows: list[Any] = [*answers.comparisons, *parts_of(answers)]
        estimates: list[Any] = [(row.estimate, row.seeds, row.items) for row in rows]
        estimates += [(row.accuracy_difference, row.bits_ratio) for row in answers.tokens]
        intervals = [each for row in estimates for each in row if each is not None and each.error]
        assert len(intervals) > 2 * len(more) + 1
        for each in intervals:
            as_wide = with_error(each, each.error, each.df, answers.confidence)
            assert each.low <= (as_wide.low or 0.0) + 1e-9


def parts_of(answers: Answers) -> list[Any]:
    """The parts of the judgements; what is in percent ends at 0 and 100, whatever its confidence."""
    return [part for claim in answers.claims for part in claim.parts if part.unit != "%"]


def test_the_confidence_that_pays_for_looks_reaches_what_probes_found(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def nothing(*arguments: Any) -> list[Any]:
        given.append(arguments[-1])
        return []

    for name in ("effects_on_time", "effects_of_length"):
        monkeypatch.setattr(f"studies.ask.{name}", nothing)
    lengths: Any = {"decoder": {"alibi": [[]]}}
    answers: Any = SimpleNamespace(comparisons=[], timing={}, lengths=lengths, block_size=8, confidence=0.99)
    effects_of_probes(answers)
    assert given == [0.99, 0.99]
