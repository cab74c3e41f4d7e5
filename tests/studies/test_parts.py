"""Every option of the command line reaches its setting; the parts of the report compare what may be compared."""

import dataclasses
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch
from studies.results import Calibration, Mistake, Part1Results, Part2Results, Truncated, perplexities
from worlds import ABOUT, classifier_run, decoder_run, intercept, made_up, record, seeds

import main
import utilities
from commands import options, parts
from common.arguments import Typed, read
from common.checks import OtherRun
from common.files import UserError
from dataset import DEFAULT_NAMES, DEFAULT_TESTS, Data, load_data
from evaluation import baselines, ngrams
from evaluation.records import Reliability
from evaluation.smoothing import unseen_words
from inference import attention
from inference.attention import attention_maps
from studies import engine, figures, opponents, part1, part2
from studies.catalogue.published import sentence_of
from studies.catalogue.recipes import RECIPES, RecipeName, in_words, label_of, with_options
from tokenizer import SPECIAL, UNK, Tokenizer
from training.models import build_classifier, build_decoder
from training.recipe import Run, Task, customise, settings_of
from training.records import GroupAccuracy, LanguageScores, TrainedRun
from training.runs import Folder
from training.weights import TrainedModel
from transformer import ClassifierConfig, DecoderConfig

COMMANDS: dict[str, type] = {"part1": parts.Part1, "part2": parts.Part2}
OPTIONS: dict[str, Any] = {  # a value of each option that is no recipe's
    **{"positions": "t5", "n_embd": 32, "n_head": 8, "n_layer": 3, "block_size": 16, "dropout": 0.35},
    **{"batch_size": 5, "learning_rate": 0.5, "weight_decay": 0.25, "schedule": "cosine", "warmup": 0.5, "clip": 2.0},
    **{"label_smoothing": 0.3, "precision": "bf16"},
    **{"epochs": 3, "ff_dim": 24, "pooling": "masked-mean", "batch_norm": True, "iterations": 7, "voices": True},
}
NOT_OF_A_RECIPE = {field.name for field in dataclasses.fields(options.Tokenized)} | {
    "recipe",
    "given",
    "resume",
    "ff_dims",
}


def options_given(*words: str) -> dict[str, Any]:
    """The options that a command line gives, by field."""
    return vars(read(Typed(words), words[0], COMMANDS))


def own_options(command: type) -> set[str]:
    return {field.name for field in dataclasses.fields(command)} - NOT_OF_A_RECIPE


def test_every_option_is_tested_below() -> None:
    assert set().union(*map(own_options, COMMANDS.values())) == set(OPTIONS)


@pytest.mark.parametrize("recipe_name", RECIPES)
@pytest.mark.parametrize(
    ("command", "option"),
    [(name, option) for name, command in COMMANDS.items() for option in OPTIONS if option in own_options(command)],
)
def test_every_option_reaches_its_setting_and_no_other(command: str, option: str, recipe_name: RecipeName) -> None:
    task: Task = "classifier" if command == "part1" else "decoder"
    recipe, value = RECIPES[recipe_name][task], OPTIONS[option]
    words = [f"--{option.replace('_', '-')}", *([] if value is True else [str(value)])]
    given = options_given(command, "--recipe", recipe_name, *words)
    if (option, recipe_name) == ("batch_norm", "best"):
        with pytest.raises(UserError, match="batch_norm stands after the first of two layers"):
            with_options(recipe_name, task, given)
        return
    before, after = (settings_of(each) for each in (recipe, with_options(recipe_name, task, given)))
    name = {"epochs": "duration", "iterations": "duration"}.get(option, option)
    assert {key for key in after if after[key] != before[key]} == {name}
    assert f", {words[0][2:]}" in label_of(recipe_name, with_options(recipe_name, task, given))
    assert after[name] == value


@pytest.mark.parametrize(
    ("task", "option", "words"),
    [
        ("classifier", "epochs", "report 15, best 8"),
        ("decoder", "epochs", "report 15, best 8"),
        ("classifier", "iterations", "report 500, best 500"),
        ("decoder", "positions", "report learned, best rope"),
        ("classifier", "learning_rate", "report 0.001, best 0.002"),
        ("classifier", "weight_decay", "report 0, best 0"),
        ("decoder", "clip", "report none, best 1"),
        ("decoder", "ff_dims", "report 256 100, best 512"),
        ("decoder", "pooling", None),
        ("decoder", "seed", None),
    ],
)
def test_what_help_says_of_the_recipes(task: Task, option: str, words: str | None) -> None:
    assert in_words(task, option) == words


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_the_value_of_every_default(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    task: Task = "classifier" if command == "part1" else "decoder"
    assert main.main([command, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("\u2502", " ").split())
    for option in own_options(COMMANDS[command]):
        about = said.partition(f"--{option.replace('_', '-')} ")[2].partition(" --")[0]
        name = {"epochs": "duration", "iterations": "duration"}.get(option, option)
        values = [settings_of(RECIPES[recipe][task])[name] for recipe in ("report", "best")]
        if OPTIONS[option] is True:
            assert (values, "(default: False)" in about) == ([False, False], True)
        else:
            assert f"({in_words(task, option)})" in about
    assert f"--out PATH folder for results, weights and figures (default: runs/{command})" in said


def test_zero_and_false_are_told_apart() -> None:
    recipe = with_options("best", "decoder", options_given("part2", "--dropout", "0", "--weight-decay", "0"))
    expected = {"dropout": 0.0, "weight_decay": 0.0}
    assert {name: settings_of(recipe)[name] for name in expected} == expected


def test_the_report_recipe_is_the_published_one() -> None:
    for task, duration, initialisation in (("classifier", 15, "normal"), ("decoder", 500, "pytorch")):
        recipe = RECIPES["report"][task]  # type: ignore[index]
        found = settings_of(recipe)
        expected = {
            **{"n_embd": 64, "n_head": 2, "n_layer": 4, "block_size": 32, "ff_dim": 256},
            **{"positions": "learned", "norm": "post", "activation": "relu", "dropout": 0.0},
            **{"batch_size": 16, "learning_rate": 1e-3, "weight_decay": 0.0, "schedule": "constant", "warmup": 0.0},
            **{"clip": None, "label_smoothing": 0.0, "beta2": 0.999},
            **{"duration": duration, "initialisation": initialisation, "by_length": False},
            **({"head_dim": 100, "batch_norm": False, "pooling": "mean"} if task == "classifier" else {"tied": False}),
        }
        assert {name: found[name] for name in expected} == expected


def test_settings_of_alibi_without_alibi_are_refused() -> None:
    recipe = RECIPES["report"]["decoder"]
    with pytest.raises(UserError, match="alibi_slope_scale does nothing with rope positions"):
        customise(recipe, positions="rope", alibi_slope_scale=2.0)
    assert customise(recipe, positions="alibi", alibi_slope_scale=2.0).architecture.alibi_slope_scale == 2.0


@pytest.mark.parametrize("ff_dims", [(), (16, 16)])
def test_part2_wants_different_widths(ff_dims: tuple[int, ...], data: Data, tmp_path: Path) -> None:
    folder = Folder(tmp_path, torch.device("cpu"))
    with pytest.raises(UserError, match="one or more different sizes"):
        part2.part2("report", RECIPES["report"]["decoder"], ff_dims, 0, data, folder)


def test_the_largest_class_by_hand(data: Data) -> None:
    groups = opponents.classifier_baselines(data)["majority"]  # as many rows of each class: the first is predicted
    assert {name: (group.n, group.accuracy) for name, group in groups.items()} == {
        "all": (24, pytest.approx(100 / 3)),
        "seen": (6, pytest.approx(100 / 3)),
        "unseen": (18, pytest.approx(100 / 3)),
    }


# ------------------------------------------------------------------------------------------------------------ settings


def test_settings_go_where_they_belong() -> None:
    recipe = RECIPES["report"]["classifier"]
    changed = customise(recipe, n_layer=2, dropout=0.25, learning_rate=0.5, duration=7, by_length=True)
    assert (changed.architecture.n_layer, changed.architecture.dropout) == (2, 0.25)
    assert (changed.training.learning_rate, changed.duration, changed.by_length) == (0.5, 7, True)
    back = customise(changed, n_layer=4, dropout=0.0, learning_rate=1e-3, duration=15, by_length=False)
    assert back == recipe
    assert customise(recipe) == recipe
    assert RECIPES["report"]["classifier"].architecture.n_layer == 4  # what is customised is a copy


def test_a_model_without_layers_leaves_out_what_only_layers_use() -> None:
    bare = customise(RECIPES["best"]["classifier"], n_layer=0).architecture
    assert (bare.n_layer, bare.drop_path, bare.layer_scale, bare.window) == (0, 0.0, None, None)
    assert (bare.positions, bare.alibi_slope_scale) == ("none", 1.0)
    for positions in ("learned", "sinusoidal"):  # these are added to the vectors
        recipe = customise(RECIPES["report"]["classifier"], positions=positions)
        assert customise(recipe, n_layer=0).architecture.positions == positions
    assert customise(RECIPES["report"]["decoder"], n_layer=1).architecture.positions == "learned"


# ----------------------------------------------------------------------------------------------------------- the parts

PLACE = Folder(Path("somewhere"), torch.device("cpu"))


class Stage:
    """Nothing trains, nothing is drawn: what the parts ask for is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[Run] = []
        self.workers: list[int] = []
        self.written: dict[str, Any] = {}
        self.drawn: list[tuple[Any, ...]] = []
        self.beside = True  # whether there are rows enough to hold some out
        patches = {
            "perform": lambda run, data, folder: self.perform(run, data, folder),
            "perform_all": self.perform_all,
            "write_json": lambda path, value: self.written.update({str(path): value}),
            "classifier_baselines": lambda data: BASELINES,
            "language_baselines": lambda data: NGRAMS,
            "draw_classifier": lambda *given: self.drawn.append(("classifier", *given)),
            "draw_decoder": lambda *given: self.drawn.append(("decoder", *given)),
            "draw_attention": lambda *given, **more: self.drawn.append(("attention", *given, more)),
            "load_model": lambda path, task: SimpleNamespace(model=(path, task)),
            "run_beside": lambda recipe, seed, data: (
                self.beside and Run("calibration", recipe, seed, fold=0, brief=True)
            ),
            "calibrate": self.calibrate,
            "save_model": lambda path, trained: self.written.update({str(path): trained.model}),
            "class_probabilities": lambda model, rows: (model, rows),
            "write_predictions": lambda path, *given: self.written.update({str(path): given}),
            "mistakes": lambda probabilities, data: MISTAKES,
            "draw_reliability": lambda *given: self.drawn.append(("reliability", *given)),
        }
        for name, value in patches.items():
            for module in (part1, part2, engine):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, value)

    def perform(self, run: Run, data: Any, folder: Folder) -> TrainedRun:
        assert (data, folder) == (DATA, PLACE)
        self.runs.append(run)
        return record_of(run)

    def calibrate(self, trained: Any, record: TrainedRun, beside: TrainedRun | None, data: Any) -> Calibration:
        assert (record, data) == (record_of(self.runs[0]), DATA)
        trained.model = ("calibrated", *trained.model)
        honest = Reliability([], {}, {})
        return Calibration(1.5, 0 if beside is None else beside.n_parameters, "", honest, honest)

    def perform_all(self, wanted: list[Run], data: Any, folder: Folder, n_workers: int) -> list[TrainedRun]:
        self.workers.append(n_workers)
        return [self.perform(run, data, folder) for run in wanted]


def record_of(run: Run, **fields: Any) -> TrainedRun:
    """A record that tells which run it is of."""
    fields = {"identity": {"run": run.name}, "n_parameters": len(run.name), "seed": run.seed, **fields}
    if run.recipe.task == "classifier":
        return classifier_run(**fields)
    return decoder_run(ff_dim=run.recipe.architecture.ff_dim, protocol=f"that of {run.name}", **fields)


MISTAKES = [Mistake(3, "a", "b", 90.0)]
BASELINES = {"majority": {"all": GroupAccuracy(9, 50.0)}}
NGRAMS = {"ngram": {"one": LanguageScores(5.0, 4.0, 1.0, 1.5)}}
DATA: Any = SimpleNamespace(
    tokenizer=Tokenizer([*SPECIAL, *(f"word{number}" for number in range(97))]),
    train=SimpleNamespace(n_truncated=12),
    test=SimpleNamespace(n_truncated=7),
    corpus=SimpleNamespace(
        class_names=["a", "b"],
        about=lambda: ABOUT,
        test=[SimpleNamespace(text="in a town of this land there was once a king who slept")],
        test_texts={"one": []},
    ),
)
SENTENCE = "in a town of this land there was once"


def test_attention_is_drawn_for_the_reports_sentence_on_texts_of_its_speakers_alone() -> None:
    theirs = SimpleNamespace(class_names=DEFAULT_NAMES, test_texts=dict.fromkeys(DEFAULT_TESTS), test=DATA.corpus.test)
    of_others = SimpleNamespace(**{**vars(theirs), "test_texts": {"obama": []}})
    corpora: list[Any] = [theirs, of_others, DATA.corpus]
    found = list(map(sentence_of, corpora))
    assert found == ["These virtues give me an unshakable faith in America", SENTENCE, SENTENCE]


@pytest.mark.parametrize(
    ("command", "setting", "typed"),
    [
        (parts.Part1(), "n_layer", "--n-layer"),
        (parts.Part1(), "drop_path", "--set drop_path"),
        (parts.Part1(), "duration", "--epochs"),
        (parts.Part2(), "duration", "--iterations"),
        (parts.Part3(), "seed", "--seed"),
        (parts.Part3(), "n_layer", "n_layer"),
        (parts.Part3(), "duration", "--epochs or --iterations"),
        (parts.Part2(), "data", "the data folder, by its SHA-256,"),
    ],
)
def test_a_setting_of_another_run_is_called_as_people_type_it(
    command: options.Common, setting: str, typed: str, data: Data, tmp_path: Path
) -> None:
    command = replace(command, out=tmp_path, data_dir=data.corpus.directory)
    refusal = re.escape(f"a: of another run ({typed} is 1 there and 2 here); do it")
    with (
        pytest.raises(UserError, match=refusal),
        command.at_work(RECIPES["report"]["classifier"], False, Typed(("part1",))),
    ):
        raise OtherRun(Path("a"), (setting, 1, 2), "do it")


@pytest.mark.parametrize("command", [parts.Part1(), parts.Part3(), options.Seeds()])
def test_the_tokens_to_choose_are_named_where_they_can_be(
    command: options.Common, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{label}\t我们今天看见大门和国王{'春夏秋冬'[label]}雨\n" for label in (0, 1, 2) * 3]
    files = {"train_CLS.tsv": rows, "test_CLS.tsv": rows, "train_LM.txt": rows, "test_LM_a.txt": rows}
    for name, lines in files.items():
        (tmp_path / name).write_text("".join(lines if name.endswith("tsv") else [line[2:] for line in lines]))
    command = replace(command, out=tmp_path / "out", data_dir=tmp_path)
    with command.at_work(RECIPES["report"]["classifier"], False, Typed(("part1",))):
        said = capsys.readouterr().err
    assert said.count("text without spaces between words") == 1
    assert ("--tokenizer" in said) == isinstance(command, options.Tokenized)
    assert ("put spaces between the words" in said) != isinstance(command, options.Tokenized)


def test_a_page_names_the_commands_of_its_parts_as_they_were_asked_for() -> None:
    typed = ["--data-dir", "some data", "--tokenizer", "bpe", "--vocabulary-size", "9000", "--quick", "--epochs", "1"]
    command = read(Typed(("report", *typed)), "report", {"report": parts.Report})
    assert isinstance(command, parts.Report)
    data, tokens = "--data-dir 'some data'", "--tokenizer bpe --vocabulary-size 9000"
    assert command.related() == {
        "part1": f"python main.py part1 {data} {tokens}",
        "part2": f"python main.py part2 {data} {tokens}",
        "part3": f"python main.py part3 {data} {tokens}",
        "report": f"python main.py report {data} {tokens}",
    }


@pytest.mark.parametrize(("beside", "n_workers", "side_by_side"), [(True, 1, []), (True, 2, [2]), (False, 2, [])])
def test_part_1_is_one_classifier_with_the_baselines_beside_it(
    beside: bool, n_workers: int, side_by_side: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, recipe = Stage(monkeypatch), customise(RECIPES["report"]["classifier"], block_size=16)
    stage.beside = beside
    results = part1.part1("report", recipe, 3, DATA, PLACE, n_workers)
    assert stage.runs[0] == Run("classifier", recipe, 3)
    assert stage.runs[1:] == ([Run("calibration", recipe, 3, fold=0, brief=True)] if beside else [])
    assert stage.workers == side_by_side
    assert results is not None
    assert results.total_seconds >= 0
    expected: dict[str, Any] = msgspec.structs.asdict(record_of(stage.runs[0], identity={}))
    expected |= {
        "command": "part1",
        "data": ABOUT,
        "recipe": "report",
        "label": "report recipe, block-size 16",
        "vocabulary_size": 99,
        "baselines": BASELINES,
    }
    expected |= {"n_truncated": Truncated(12, 7), "block_size": 16, "total_seconds": results.total_seconds}
    honest, model = Reliability([], {}, {}), ("calibrated", Path("somewhere/classifier.safetensors"), "classifier")
    calibration = Calibration(1.5, len("calibration") if beside else 0, "", honest, honest)
    expected |= {"calibration": calibration, "mistakes": MISTAKES}
    assert results == Part1Results(**expected)
    assert stage.written == {
        "somewhere/classifier.safetensors": model,
        "somewhere/predictions.tsv": ((model, DATA.test), DATA),
        "somewhere/results.json": results,
    }
    figures = Path("somewhere/figures")
    assert stage.drawn == [
        ("classifier", figures, [record_of(stage.runs[0])], BASELINES, ["a", "b"], "report recipe, block-size 16"),
        ("reliability", figures / "reliability.png", calibration, "report recipe, block-size 16"),
        (
            "attention",
            figures,
            SimpleNamespace(model=model),
            *(SENTENCE, {"first_figure": 2, "label": "report recipe, block-size 16"}),
        ),
    ]


@pytest.mark.parametrize(
    ("n_workers", "widths", "side_by_side"), [(1, (24, 16), []), (2, (24, 16), [2]), (2, (24,), [])]
)
def test_part_2_is_a_decoder_of_each_width(
    n_workers: int, widths: tuple[int, ...], side_by_side: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, recipe = Stage(monkeypatch), customise(RECIPES["report"]["decoder"], positions="alibi")
    results = part2.part2("report", recipe, widths, 3, DATA, PLACE, n_workers)
    assert stage.runs == [Run(f"decoder-ff{width}", customise(recipe, ff_dim=width), 3) for width in widths]
    assert stage.workers == side_by_side
    assert results is not None
    assert results.total_seconds >= 0
    models = [record_of(run, identity={}) for run in stage.runs]
    expected: dict[str, Any] = {
        "command": "part2",
        "data": ABOUT,
        "recipe": "report",
        "label": "report recipe, positions alibi",
        "seed": 3,
        "vocabulary_size": 99,
    }
    expected |= {"protocol": "that of decoder-ff24", "models": models, "baselines": {"ngram": {"one": 5.0}}}
    expected |= {"ngram_scores": NGRAMS, "unk_rate": {"one": 1.5}, "total_seconds": results.total_seconds}
    assert results == Part2Results(**expected)
    assert stage.written == {"somewhere/results.json": results}
    figures, first = Path("somewhere/figures"), stage.runs[0]
    assert stage.drawn == [
        ("decoder", figures, [record_of(first)], {"one": 5.0}, "report recipe, positions alibi", "word"),
        (
            "attention",
            figures,
            SimpleNamespace(model=(Path("somewhere/decoder-ff24.safetensors"), "decoder")),
            *(SENTENCE, {"first_figure": 6, "label": "report recipe, positions alibi"}),
        ),
    ]


@pytest.mark.parametrize(
    ("name", "task", "settings", "label"),
    [
        ("report", "classifier", {}, "report recipe"),
        ("best", "decoder", {}, "best recipe"),
        ("report", "decoder", {"positions": "alibi", "dropout": 0.2}, "report recipe, positions alibi, dropout 0.2"),
        ("report", "classifier", {"duration": 3, "batch_norm": True}, "report recipe, batch-norm, epochs 3"),
        (
            "report",
            "decoder",
            {"duration": 10, "learning_rate": 1e-5},
            "report recipe, learning-rate 1e-05, iterations 10",
        ),
        ("best", "decoder", {"clip": None, "shuffled": False}, "best recipe, no clip, no shuffled"),
        ("best", "classifier", {"dropout": RECIPES["best"]["classifier"].architecture.dropout}, "best recipe"),
    ],
)
def test_a_model_is_called_by_its_recipe_and_what_was_changed(
    name: str, task: Any, settings: dict[str, Any], label: str
) -> None:
    recipe = customise(RECIPES[name][task], **settings)
    assert label_of(name, recipe) == label
    assert label_of(name, recipe, "characters") == f"{label}, characters"


def test_a_process_that_only_helps_has_no_results(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    monkeypatch.setattr(engine, "process", lambda: (1, 2))
    monkeypatch.setattr(engine, "perform", lambda *run: stage.perform(*run) and None)
    assert part1.part1("report", RECIPES["report"]["classifier"], 0, DATA, PLACE, 2) is None
    assert part2.part2("report", RECIPES["report"]["decoder"], (24, 16), 0, DATA, PLACE, 2) is None
    assert (stage.drawn, stage.written, stage.workers) == ([], {}, [])  # processes that train together share no workers
    assert len(stage.runs) == 4


# ----------------------------------------------------------------------------------------------------------- baselines


def test_baselines_are_scored_on_all_seen_and_unseen_rows(data: Data) -> None:
    truth = [data.corpus.labels.index(row.label) for row in data.corpus.test]
    for row in (0, 7, 8):  # else every answer would be right
        truth[row] = (truth[row] + 1) % 3
    data = replace(data, test=replace(data.test, labels=torch.tensor(truth)))
    found = opponents.classifier_baselines(data)
    texts = [[row.text for row in rows] for rows in (data.corpus.train, data.corpus.test)]
    labels = [data.corpus.labels.index(row.label) for row in data.corpus.train]
    answers = baselines.linear_models(texts[0], labels, texts[1])
    answers["kneser_ney"] = baselines.kneser_ney_by_class(texts[0], labels, texts[1])
    answers["joined"] = baselines.joined(texts[0], labels, texts[1])
    answers["delta"] = baselines.cosine_delta(texts[0], labels, texts[1])
    assert list(found) == [*answers, "majority"] == list(opponents.BASELINE_NAMES)
    for name, predictions in answers.items():
        for group, rows in (("all", range(24)), ("seen", range(6)), ("unseen", range(6, 24))):
            right = [int(predictions[row]) == truth[row] for row in rows]
            assert msgspec.to_builtins(found[name])[group] == {
                "n": len(right),
                "accuracy": pytest.approx(100 * sum(right) / len(right)),
            }
    assert all(groups["seen"].accuracy != groups["unseen"].accuracy for groups in (found["tfidf"], found["svm"]))


def test_trigrams_are_fitted_to_the_training_text_and_one_is_told_of_unknown_words(data: Data) -> None:
    found = opponents.language_baselines(data)
    stream, size = data.train_stream.ids, len(data.tokenizer)
    told = unseen_words(stream, size, data.words_of_rows())
    for name, order, base in (("ngram", 3, None), ("ngram_unk", 3, told), ("ngram_5", 5, told)):
        model = ngrams.KneserNey.fit(stream, size, order, base)
        assert list(found[name]) == ["hbush", "obama", "wbush"]
        for text, scores in found[name].items():
            ids = data.test_streams[text].ids
            assert scores.perplexity == pytest.approx(model.perplexity(ids))
            n_unknown = int((ids == UNK).sum())
            assert scores.unk_rate == pytest.approx(100 * n_unknown / len(ids))
            assert n_unknown == 5  # one a line
    assert len({scores.perplexity for texts in found.values() for scores in texts.values()}) == 9
    by_text = perplexities(found)
    assert by_text == {name: {text: row.perplexity for text, row in rows.items()} for name, rows in found.items()}


@pytest.mark.parametrize("in_common", ["all", "none"])
def test_trigrams_score_every_text_whatever_the_rows_and_the_text_have_in_common(
    in_common: str, tmp_path: Path
) -> None:
    rows = "0\twe hope and pray\n1\tthey rest and work\n" if in_common == "all" else "0\tone two\n1\tthree four\n"
    for name, text in {
        "train_CLS.tsv": rows,
        "test_CLS.tsv": rows,
        "train_LM.txt": "we hope\nthey rest\nwe rest\nthey hope\n",
        "test_LM_a.txt": "we pray and zyzzyva\n" + rows.replace("\t", " "),
    }.items():
        (tmp_path / name).write_text(text)
    for texts in opponents.language_baselines(load_data(tmp_path, block_size=4)).values():
        assert all(value is not None and math.isfinite(value) for value in msgspec.to_builtins(texts["a"]).values())


# ------------------------------------------------------------------------------------------------------------- figures


def test_of_many_texts_five_are_shown_from_the_easiest_to_the_hardest() -> None:
    names = {"c": 3.0, "a": 9.0, "b": 1.0, "e": 2.0, "d": 5.0}
    assert figures.few(names) == list("cabed")
    assert figures.few(names | {"f": 4.0, "g": 8.0}) == list("cabdf")  # b 1, c 3, f 4, d 5, a 9, in their order
    assert figures.few(names, most=3) == list("cab")
    assert figures.few(names, most=2) == list("ab")


def test_figure_1_shows_accuracy_by_epoch_beside_the_baselines(monkeypatch: pytest.MonkeyPatch) -> None:
    results, drawn = record(made_up()), intercept(monkeypatch)
    figures.draw_classifier(
        Path("figures"), results.classifier["alibi"], results.baselines, ["a", "b", "c"], "the model"
    )
    assert sorted(drawn) == ["confusion.png", "figure1_accuracy.png"]
    figure = drawn["figure1_accuracy.png"]
    labels = [figure[name] for name in ("function", "folder", "x_label", "y_label", "title")]
    title = "Figure 1: accuracy of the classifier\nthe model"
    assert labels == ["line_figure", Path("figures"), "epoch", "accuracy (%)", title]
    train, test = figure["panels"].lines
    for line, name, last, step, spread in ((train, "train", 98.4, 0.4, 0.52), (test, "test", 61.6, 0.3, 0.32)):
        assert (line.name, line.x, line.color) == (name, list(range(1, 16)), utilities.BLUE)
        assert line.dashed == (name == "train")
        values = [seeds(last - step * (15 - epoch), spread) for epoch in range(1, 16)]
        assert [list(run) for run in zip(*line.y)] == [pytest.approx(value) for value in values]
    assert [(level.name, level.value, level.color) for level in figure["panels"].levels] == [
        ("TF-IDF", 54.3, None),
        ("largest class", 46.3, None),
    ]
    confusion = drawn["confusion.png"]
    by_hand = [[3 * (100 * row + 10 * column + 1) + 0 + 1 + 2 for column in range(3)] for row in range(3)]
    assert confusion["counts"].tolist() == by_hand  # all seeds together
    assert (confusion["class_names"], confusion["title"]) == (["a", "b", "c"], "Test set, last epoch\nthe model")


COLORS = {"train": utilities.BLACK, "hbush": utilities.ORANGE, "obama": utilities.SKY}  # of texts, in every figure


def test_figures_4_and_5_show_perplexity_by_iteration_beside_the_trigram(monkeypatch: pytest.MonkeyPatch) -> None:
    results, drawn = record(made_up()), intercept(monkeypatch)
    runs, ngram = results.decoder["none"], {"hbush": 401.7, "obama": 299.3}
    figures.draw_decoder(Path("figures"), runs, ngram, "the model", "word")
    assert sorted(drawn) == ["figure4_training_perplexity.png", "figure5_test_perplexity.png"]
    last = {"train": 146.0, "hbush": 364.8, "obama": 327.7}
    for number, title, texts in ((4, "training", ["train"]), (5, "test", ["hbush", "obama"])):
        figure = drawn[f"figure{number}_{title}_perplexity.png"]
        labels = [figure[name] for name in ("function", "folder", "x_label", "y_label", "title", "log_y")]
        whole = f"Figure {number}: {title} perplexity of the decoder, hidden size 256\nthe model"
        assert labels == ["line_figure", Path("figures"), "iteration", "perplexity", whole, True]
        assert [line.name for line in figure["panels"].lines] == texts
        assert [line.color for line in figure["panels"].lines] == [COLORS[name] for name in texts]
        for line in figure["panels"].lines:
            assert line.x == [100, 200, 300, 400, 500]
            means = [last[line.name] * factor for factor in (1.8, 1.6, 1.4, 1.2, 1.0)]
            values = [seeds(mean, 0.006 * mean) for mean in means]
            assert [list(run) for run in zip(*line.y)] == [pytest.approx(value) for value in values]
        levels = [(level.name, level.value, level.color) for level in figure["panels"].levels]
        trigram = [(f"trigram, {name}", ngram[name], COLORS[name]) for name in ngram]
        assert levels == ([] if number == 4 else trigram)


@pytest.mark.parametrize(
    ("task", "n_layer", "first_figure", "names"),
    [
        ("classifier", 3, 2, ["figure2_encoder_attention_layer1", "figure3_encoder_attention_layer3"]),
        ("decoder", 2, 6, ["figure6_decoder_attention_layer1", "figure7_decoder_attention_layer2"]),
        ("decoder", 1, 6, ["figure6_decoder_attention_layer1"]),
        ("classifier", 2, None, ["encoder_attention_layer1", "encoder_attention_layer2"]),
        ("classifier", 0, 2, []),
    ],
)
def test_attention_maps_are_of_the_first_and_the_last_layer(
    task: Any, n_layer: int, first_figure: int | None, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["<pad>", "<unk>", "faith", "give", "me"]
    settings: Any = {"n_layer": n_layer, "n_embd": 8, "ff_dim": 8, "block_size": 8, "positions": "none"}
    model: Any = (
        build_classifier(ClassifierConfig(**settings), words, 3)
        if task == "classifier"
        else build_decoder(DecoderConfig(**settings), words)
    )
    trained, drawn = TrainedModel(model.eval(), Tokenizer(words), ["a", "b", "c"]), intercept(monkeypatch)
    checked: list[Any] = []
    monkeypatch.setattr("evaluation.attention.check_attention", checked.append)
    paths = attention.draw_attention(Path("figures"), trained, "give me faith", first_figure)
    assert paths == [Path(f"figures/{name}.png") for name in names]
    assert list(drawn) == [path.name for path in paths]
    kind = {"classifier": "encoder", "decoder": "decoder"}[task]
    for path, layer in zip(paths, (0, n_layer - 1)):
        figure = drawn[path.name]
        assert figure["function"] == "attention_figure"
        assert (figure["tokens"], figure["layers"], figure["causal"]) == (
            ["give", "me", "faith"],
            [layer],
            task == "decoder",
        )
        number = f"Figure {path.name[6]}: " if first_figure else ""
        assert figure["title"] == f"{number}attention of the {kind}, layer {layer + 1}"
        assert torch.equal(figure["maps"], attention_maps(trained, "give me faith")[0])
        assert len(figure["maps"]) == n_layer
    assert len(checked) == (1 if names else 0)


def test_attention_maps_name_their_model_and_what_it_did_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    words, drawn = ["<pad>", "<unk>", "faith", "give", "me"], intercept(monkeypatch)
    model = build_classifier(ClassifierConfig(n_layer=1, n_embd=8, block_size=4), words, 3)
    trained = TrainedModel(model.eval(), Tokenizer(words), ["a", "b", "c"])
    attention.draw_attention(Path("figures"), trained, "give us faith give me", label="report recipe, n-layer 1")
    (figure,) = drawn.values()
    assert figure["tokens"] == ["give", "us?", "faith", "give"]
    note = "read 4 of 5 tokens, 1 unknown"
    assert figure["title"] == f"attention of the encoder, layer 1\nreport recipe, n-layer 1\n{note}\npast the block: me"
