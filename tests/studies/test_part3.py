"""The study: its runs differ in what they say, its comparisons have the planted direction and size, its figures show
what was measured."""

import json
from collections.abc import Callable
from dataclasses import replace
from math import exp
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import studies.comparisons
import studies.results
import studies.study
import torch
from studies.comparisons import Rows
from studies.results import LengthPerplexity, Reading, Timing
from studies.study import Study, plan
from tiny import classifier_of, decoder_of
from torch import Tensor
from worlds import (
    ITERATIONS,
    LENGTHS,
    N_EPOCHS,
    PERPLEXITY,
    ROWS,
    TEST_ACCURACY,
    TEXTS,
    TRAIN_ACCURACY,
    by_seed,
    classifier_run,
    compare,
    comparisons,
    decoder_run,
    intercept,
    made_up,
    record,
    seeds,
    swapped,
    typed,
)

import utilities
from common.files import UserError
from dataset import Data, Stream
from evaluation.perplexity import Protocol, perplexity, token_nats
from evaluation.statistics import confidence_of_looks, paired_ratio
from modules.config import TransformerConfig
from reporting import tables
from studies import engine, figures, lengths, part3, timing
from studies.catalogue.recipes import RECIPES, label_of
from tokenizer import SPECIAL, Tokenizer
from training import tasks
from training.recipe import Recipe, Run, TrainingConfig, customise
from training.records import ClassifierRun, DecoderRun, Epoch, GroupAccuracy, Iteration, TrainedRun
from training.runs import Folder
from training.weights import TrainedModel, save_model
from transformer import Decoder
from utilities import Level, Line, Panel

TINY = TransformerConfig(n_embd=8, n_layer=1, block_size=8, ff_dim=8)
STUDY = Study(
    "report",
    Recipe("classifier", classifier_of(TINY), TrainingConfig(batch_size=30), duration=3),
    Recipe("decoder", decoder_of(TINY), TrainingConfig(batch_size=2), duration=9),
    seeds=(3, 4),
    ff_dims=(8, 4),
    timed_share=0.5,
)
RATES = (0.2, 0.3, 0.4, 0.5)


@pytest.fixture
def results() -> dict[str, Any]:
    return made_up()


# -------------------------------------------------------------------------------------------------- what is run


def settings(recipe: Recipe, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(recipe.architecture, name) for name in names)


def test_the_variants_of_the_classifier_differ_in_positions_or_in_regularization_alone() -> None:
    study = replace(STUDY, classifier=replace(STUDY.classifier, architecture=classifier_of(TINY, dropout=0.1)))
    found = study.classifiers()
    assert {name: settings(recipe, "positions", "batch_norm", "dropout") for name, recipe in found.items()} == {
        **{name: (name, False, 0.1) for name in ("learned", "alibi", "none")},
        **{"original": ("learned", False, 0.0), "batch-norm-dropout-0.2": ("learned", True, 0.2)},
    }
    architecture: Any = study.classifier.architecture
    same = replace(architecture, positions="learned", dropout=0.0, batch_norm=False)
    for recipe in found.values():
        architecture = recipe.architecture
        bare = replace(architecture, positions="learned", dropout=0.0, batch_norm=False)
        assert replace(recipe, architecture=bare) == replace(study.classifier, architecture=same)
    assert list(replace(study, regularize=False).classifiers()) == ["learned", "alibi", "none"]
    assert list(replace(study, alibi=False).classifiers()) == list(found)[3:]


def test_a_head_without_a_place_for_batch_norm_is_regularized_by_dropout_alone() -> None:
    study = replace(STUDY, classifier=replace(STUDY.classifier, architecture=classifier_of(TINY, head_dim=0)))
    assert list(study.regularized()) == ["original", "dropout-0.2"]
    assert list(study.validated()) == [f"dropout-{rate}" for rate in RATES]


def test_the_variants_of_the_decoder_differ_in_positions_slopes_or_width_alone() -> None:
    found = STUDY.decoders()
    assert {name: settings(recipe, "positions", "alibi_slope_scale", "ff_dim") for name, recipe in found.items()} == {
        "learned": ("learned", 1.0, 8),
        "alibi": ("alibi", 1.0, 8),
        "none": ("none", 1.0, 8),
        "alibi-steep": ("alibi", 8.0, 8),
        "ff8": ("learned", 1.0, 8),
        "ff4": ("learned", 1.0, 4),
    }
    for recipe in found.values():
        architecture = recipe.architecture
        bare = replace(architecture, positions="learned", alibi_slope_scale=1.0, ff_dim=8)
        assert replace(recipe, architecture=bare) == STUDY.decoder
    assert replace(STUDY, alibi=False).decoders() == {}
    assert list(replace(STUDY, ff_dims=()).decoders()) == ["learned", "alibi", "none", "alibi-steep"]


def test_a_run_has_its_variants_recipe_and_seed_and_those_of_one_recipe_are_one_run() -> None:
    recipes = STUDY.classifiers()
    found = plan("classifier", recipes, (3, 4))
    assert list(found) == [("classifier", name, seed) for name in recipes for seed in (3, 4)]
    for (_, name, seed), run in found.items():
        own = "learned" if name == "original" else name
        assert run == Run(f"classifier-{own}-seed{seed}", recipes[name], seed)


def test_a_validation_run_is_measured_on_the_fold_of_its_seed() -> None:
    recipes = STUDY.validated()
    found = {name: settings(recipe, "positions", "batch_norm", "dropout") for name, recipe in recipes.items()}
    assert found == {f"batch-norm-dropout-{rate}": ("learned", True, rate) for rate in RATES}
    for (_, name, seed), run in plan("validation", recipes, (3, 4)).items():
        assert run == Run(f"validation-{name}-seed{seed}", recipes[name], seed, fold=seed, brief=True)


def test_decoders_are_read_at_other_lengths_with_alibi_and_measured_at_their_end_at_other_widths() -> None:
    recipes = STUDY.decoders()
    for (_, name, seed), run in plan("decoder", recipes, (3, 4), brief=STUDY.widths()).items():
        own = "learned" if name == "ff8" else name
        lengths = (16, 32, 64) if name == "alibi" else ()
        assert run == Run(f"decoder-{own}-seed{seed}", recipes[name], seed, lengths=lengths, brief=name == "ff4")
    assert studies.study.lengths(RECIPES["report"]["decoder"]) == (32, 64, 128, 256)


# ------------------------------------------------------------------------------------------------------------- choice


def accuracies(*by_seed: float) -> list[ClassifierRun]:
    groups = [{"all": GroupAccuracy(9, value), "unseen": GroupAccuracy(9, value - 50)} for value in by_seed]
    return [classifier_run(test=test) for test in groups]


def test_the_chosen_rate_is_the_one_with_the_highest_mean() -> None:
    validation = {
        "batch-norm-dropout-0.2": accuracies(70.0, 55.0, 55.0),  # best at the first seed, and at its best
        "batch-norm-dropout-0.3": accuracies(60.0, 62.0, 61.0),
        "batch-norm-dropout-0.4": accuracies(60.0, 65.0, 50.0),  # best at the second
        "batch-norm-dropout-0.5": accuracies(59.0, 59.0, 63.0),
    }
    assert studies.study.best_rate(validation) == "batch-norm-dropout-0.3"
    assert studies.study.best_rate(dict(reversed(validation.items()))) == "batch-norm-dropout-0.3"
    assert studies.study.best_rate({}) is None
    assert studies.results.accuracies(validation["batch-norm-dropout-0.3"]) == [60.0, 62.0, 61.0]
    assert studies.results.accuracies(validation["batch-norm-dropout-0.3"], "unseen") == [10.0, 12.0, 11.0]


# -------------------------------------------------------------------------------------------------------- comparisons


def same(found: Any, expected: Any) -> bool:
    """Equal but for the last bits of numbers."""
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    return bool(found == (pytest.approx(expected, rel=1e-6, abs=1e-7) if isinstance(expected, float) else expected))


@pytest.mark.parametrize(
    "missing",
    [
        {},
        {"decoder": {}, "timing": {}, "extrapolation": {}},
        {"validation": {}},
        {"classifier": {}},
    ],
    ids=lambda missing: " ".join(missing) or "nothing missing",
)
def test_every_comparison_is_of_its_variant_against_its_base(results: dict[str, Any], missing: dict[str, Any]) -> None:
    results |= missing
    found, expected = compare(results), comparisons(results)
    assert len(found) == len(expected)
    for row, other in zip(found, expected):
        assert same(row, other), (row, other)


def test_a_width_is_compared_with_each_narrower_one(results: dict[str, Any]) -> None:
    decoder = results["decoder"]
    decoder["ff64"] = decoder["ff100"]
    results["widths"].append("ff64")
    pairs = dict.fromkeys((row["variant"], row["base"]) for row in compare(results))
    assert [pair for pair in pairs if pair[0].startswith("ff")] == [("ff256", "ff100"), ("ff256", "ff64")]


def test_rows_that_are_all_seen_give_no_comparison_of_unseen_ones(results: dict[str, Any]) -> None:
    for run in results["classifier"]["alibi"]:
        run["test"]["unseen"] = {"n": 0, "accuracy": None}
    runs = record(results).classifier
    rows = [*studies.comparisons.compare_classifiers("alibi", "learned", runs["alibi"], runs["learned"], ROWS)]
    assert [(row.measure, row.rows) for row in rows] == [
        ("test accuracy", "all"), ("train - test accuracy", None), ("runs at chance", None),
    ]  # fmt: skip
    assert rows[0].items is not None


def test_a_length_that_is_undefined_or_has_nothing_to_stand_against_is_not_compared(results: dict[str, Any]) -> None:
    read = record(results).extrapolation
    assert list(studies.comparisons.compare_lengths("learned", read["learned"], 32)) == []
    assert list(studies.comparisons.compare_lengths("alibi", read["alibi"], 33)) == []
    rows = list(studies.comparisons.compare_lengths("none", read["none"], 128))
    assert len(rows) == 3 * 3 * 4  # three other lengths, three texts, four protocols
    first = next(row for row in rows if (row.text, row.length) == ("obama", 64))
    assert (first.variant, first.base) == ("none", "none")
    assert first.protocol == Reading(sliding=False, window=None)
    assert first.estimate.mean == pytest.approx(1.004 / 1.007, rel=1e-5)


def test_with_two_variants_swapped_every_effect_turns_round(results: dict[str, Any]) -> None:
    before = {key(row): row["estimate"]["mean"] for row in comparisons(results)}
    after = {key(row): row["estimate"]["mean"] for row in swapped(results, "learned", "alibi")["comparisons"]}
    checked = 0
    for (task, variant, base, measure, of), effect in before.items():
        if (variant, base) == ("alibi", "learned"):
            turned = 1 / effect if measure in ("perplexity", "training time", "processor time") else -effect
            assert after[task, variant, base, measure, of] == pytest.approx(turned)
            assert effect > 0 if (measure, of) == ("test accuracy", "all") else effect < 1
            checked += 1
    assert checked == 3 + 1 + 4 + 4  # accuracies, runs at chance, perplexities, times of clock and processor


def key(row: dict[str, Any]) -> tuple[str, str, str, str, str | None]:
    return row["task"], row["variant"], row["base"], row["measure"], row.get("rows") or row.get("text")


# -------------------------------------------------------------------------------------------------------------- timing


COST = {  # of a step, in seconds
    "classifier": {"learned": 4.0, "alibi": 3.0, "none": 2.0},
    "decoder": {"learned": 5.0, "alibi": 4.0, "none": 6.0},
}


class Clock:
    """Time passes only in the loss of a training step, as long as the positions of its model say; of a processor half
    of it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps: list[tuple[str, tuple[int, ...]]] = []  # of each, positions and batch

    def read(self) -> float:
        return self.now

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = SimpleNamespace(perf_counter=self.read, process_time=lambda: self.now / 2)
        monkeypatch.setattr(timing, "time", clock)
        for task, kind in (("classifier", tasks.ClassifierTask), ("decoder", tasks.DecoderTask)):
            monkeypatch.setattr(kind, "loss", self.slowed(task, kind.loss))
            monkeypatch.setattr(kind, "evaluate", None)  # what is timed measures nothing

    def slowed(self, task: str, loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def take_time(work: Any, items: Tensor) -> Tensor:
            positions, done = work.model.config.positions, len(self.steps)
            paused = 500.0 if done % 37 == 5 else 0.0  # the machine does something else
            self.now += COST[task][positions] * (1 + 0.1 * (done // 30)) + paused  # slower and slower
            self.steps.append((positions, tuple(items.flatten().tolist())))
            return loss(work, items)

        return take_time


@pytest.mark.parametrize(
    ("task", "total", "changes"), [("classifier", 6, ("-25.0", "-50.0")), ("decoder", 9, ("-20.0", "+20.0"))]
)
def test_a_variant_whose_steps_are_slower_comes_out_slower_in_its_own_row(
    task: Any, total: int, changes: Any, data: Data, results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, folder, names = Clock(), Folder(Path("nowhere"), torch.device("cpu")), ("learned", "alibi", "none")
    clock.install(monkeypatch)
    variants = {name: customise(getattr(STUDY, task), positions=name) for name in names}
    timed = timing.time_task(variants, replace(STUDY, timed_share=40 / total), data, folder)
    assert (timed.n_steps, timed.n_steps_of_a_training, timed.threads) == (40, total, 1)
    turns = [clock.steps[start : start + 3] for start in range(60, len(clock.steps), 3)]  # after 20 warm-up steps each
    assert len(turns) == 40
    assert all(sorted(name for name, _ in turn) == sorted(names) for turn in turns)  # each variant once a turn
    assert len({tuple(name for name, _ in turn) for turn in turns}) > 3  # in an order that changes
    assert all(len({batch for _, batch in turn}) == 1 for turn in turns)  # on the same batch
    plan = [turn[0][1] for turn in turns]
    assert plan[0] == plan[total] == turns[2 * total][0][1]  # the plan begins anew
    assert len(set(plan)) == total
    for name in names:
        slower = [1 + 0.1 * ((60 + 30 * block) // 30) for block in range(4)]
        expected = pytest.approx([COST[task][name] * factor for factor in slower])
        assert timed.seconds[name] == expected  # the pauses are in no median
        assert [2 * seconds for seconds in timed.processor_seconds[name]] == expected
    results["timing"] = {task: msgspec.to_builtins(timed)}
    results["comparisons"] = compare(results)
    table = tables.times(record(results), task)
    step = COST[task]["learned"] * 1.35
    assert table.rows[0][1:3] == [f"{1000 * step:,.2f}", f"{total * step:.1f}"]
    for row, change in zip(table.rows[1:], changes):
        assert [typed(cell or "") for cell in row[3:5]] == [f"{change} [{change}, {change}] %"] * 2


def test_times_are_kept_for_the_same_recipes_data_and_machine(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, timed = Folder(tmp_path, torch.device("cpu")), []

    def time_task(recipes: dict[str, Recipe], study: Study, given: Data, where: Folder) -> Timing:
        assert (given, where) == (data, folder)
        assert {name: recipe.architecture.positions for name, recipe in recipes.items()} == {
            name: name for name in ("learned", "alibi", "none")
        }
        timed.append(next(iter(recipes.values())).task)
        return Timing(len(timed), 9, 1, seconds(study.timed_share), seconds(study.timed_share))

    def seconds(one: float) -> dict[str, list[float]]:
        return dict.fromkeys(("learned", "alibi", "none"), [one] * 5)

    monkeypatch.setattr(timing, "time_task", time_task)
    found = timing.time_variants(STUDY, data, folder)
    assert {task: one.seconds for task, one in found.items()} == dict.fromkeys(("classifier", "decoder"), seconds(0.5))
    assert timing.time_variants(STUDY, data, folder) == found
    assert timed == ["classifier", "decoder"]
    for study, anew in (
        (replace(STUDY, timed_share=0.25), ["classifier", "decoder"]),
        (replace(STUDY, timed_share=0.25, decoder=replace(STUDY.decoder, duration=8)), ["decoder"]),
        (replace(STUDY, timed_share=0.25, classifier=replace(STUDY.classifier, duration=8)), ["classifier", "decoder"]),
    ):
        timed.clear()
        assert timing.time_variants(study, data, folder)["decoder"].seconds == seconds(study.timed_share)
        assert timed == anew
    for owner, name, value in (
        (timing, "processor_name", lambda: "Acme"),
        (torch, "get_num_threads", lambda: 99),
        (torch, "__version__", "0.0"),
    ):
        timed.clear()
        monkeypatch.setattr(owner, name, value)
        timing.time_variants(STUDY, data, folder)
        assert timed == ["classifier", "decoder"]
    timed.clear()
    other = replace(data, corpus=replace(data.corpus, fingerprint="another"))
    data = other
    timing.time_variants(STUDY, other, folder)
    assert timed == ["classifier", "decoder"]


def test_times_of_a_task_are_kept_where_those_of_the_next_are_interrupted(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, timed = Folder(tmp_path, torch.device("cpu")), []
    times: dict[str, list[float]] = dict.fromkeys(("learned", "alibi", "none"), [1.0] * 5)

    def time_task(recipes: dict[str, Recipe], *_: object) -> Timing:
        timed.append(next(iter(recipes.values())).task)
        if len(timed) == 2:
            raise KeyboardInterrupt
        return Timing(len(timed), 9, 1, times, times)

    monkeypatch.setattr(timing, "time_task", time_task)
    with pytest.raises(KeyboardInterrupt):
        timing.time_variants(STUDY, data, folder)
    found = timing.time_variants(STUDY, data, folder)
    assert timed == ["classifier", "decoder", "decoder"]
    assert {task: one.n_steps for task, one in found.items()} == {"classifier": 1, "decoder": 3}


# --------------------------------------------------------------------------------------------------- inference lengths


def test_the_rows_of_each_variant_are_those_of_its_own_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(run: Run, data: str, folder: str) -> list[str]:
        assert (data, folder) == ("data", "place")
        return [run.name]

    monkeypatch.setattr(lengths, "perplexity_by_length", read)
    wanted = {**plan("classifier", STUDY.classifiers(), (3, 4)), **plan("decoder", STUDY.decoders(), (3, 4))}
    found = lengths.extrapolate(wanted, "data", "place", 1)  # type: ignore[arg-type]
    assert found == {
        name: [[f"decoder-{name}-seed{seed}"] for seed in (3, 4)]
        for name in ("learned", "alibi", "none", "alibi-steep")
    }


@pytest.mark.parametrize("positions", ["alibi", "none", "learned"])
def test_perplexity_by_length_protocol_and_window(positions: Any, tmp_path: Path) -> None:
    config = TransformerConfig(n_embd=8, n_layer=2, block_size=4, ff_dim=8, positions=positions)
    words = ["<pad>", "<unk>", *"abcdefghij"]
    decoder = Decoder(decoder_of(config, initialisation="pytorch"), words, 7)
    random = torch.Generator().manual_seed(0)
    streams = {
        name: Stream(torch.randint(1, 12, (n,), generator=random), 99, 0) for name, n in (("one", 41), ("two", 30))
    }
    corpus = SimpleNamespace(fingerprint="made up")
    data: Any = SimpleNamespace(test_streams=streams, corpus=corpus, tokenizer=Tokenizer(words))
    folder = Folder(tmp_path, torch.device("cpu"))
    run = Run(
        "decoder-x-seed7",
        Recipe("decoder", decoder_of(config), TrainingConfig(), duration=1),
        7,
    )
    save_model(folder.weights(run), TrainedModel(decoder, Tokenizer(words), []))

    def by_hand(protocol: Protocol, window: int | None) -> dict[str, float]:
        nats = {name: token_nats(decoder, stream.ids, protocol, window=window) for name, stream in streams.items()}
        return {name: perplexity(values) for name, values in nats.items()}

    expected: list[LengthPerplexity] = []
    for sliding in (False, True):
        for length in (4, 8, 16, 32):
            for window in (None, 3):
                found: Any = {"one": None, "two": None}
                if positions != "learned" or length == 4:
                    found = by_hand(Protocol(length, length // 2 if sliding else None), window)
                expected.append(LengthPerplexity(length, sliding, window, found))
    found = lengths.perplexity_by_length(run, data, folder)
    assert same(msgspec.to_builtins(found), msgspec.to_builtins(expected))
    if positions != "learned":
        assert len({tuple(row.perplexity.values()) for row in found}) > 12  # so that any other would show
    assert lengths.perplexity_by_length(run, replace_nothing(data), folder) == found  # kept, and found again
    assert (tmp_path / "runs" / "decoder-x-seed7.lengths.json").exists()


def test_times_and_perplexities_that_are_not_whole_are_refused(data: Data, tmp_path: Path) -> None:
    folder, run = Folder(tmp_path, torch.device("cpu")), Run("decoder", STUDY.decoder, 0)
    decoder = Decoder(STUDY.decoder.architecture, data.tokenizer.words)  # type: ignore[arg-type]
    save_model(folder.weights(run), TrainedModel(decoder, data.tokenizer, []))
    study = replace(STUDY, timed_share=0.001)

    def refused(name: str, again: Callable[[], object], damage: Callable[[Any], object]) -> None:
        path = tmp_path / "runs" / f"{name}.json"
        before = path.read_text()
        found = json.loads(before)
        damage(found["value"])
        path.write_text(json.dumps(found))
        with pytest.raises(UserError, match=f"{name}.json: .*not whole; delete it, and it is made again"):
            again()
        path.write_text(before)

    def time() -> object:
        return timing.time_variants(study, data, folder)

    def read() -> object:
        return lengths.perplexity_by_length(run, data, folder)

    time()
    read()
    for damage in (
        lambda value: value["seconds"].pop("alibi"),
        lambda value: value["seconds"].update(more=[1.0] * 5),
        lambda value: value["processor_seconds"]["none"].pop(),
        lambda value: value["seconds"]["none"].__setitem__(0, 0.0),
        lambda value: value["seconds"]["none"].__setitem__(0, "1"),
    ):
        refused("timing-classifier", time, damage)
    for damage in (
        lambda value: value.pop(),
        lambda value: value.reverse(),
        lambda value: value[0].update(length=3),
        lambda value: value[0]["perplexity"].popitem(),
        lambda value: value[0]["perplexity"].update(more=1.0),
        lambda value: value[0]["perplexity"].update(dict.fromkeys(value[0]["perplexity"])),
        lambda value: value[0]["perplexity"].update(dict.fromkeys(value[0]["perplexity"], -1.0)),
    ):
        refused("decoder.lengths", read, damage)


def replace_nothing(data: Any) -> Any:
    """The same data, with texts that cannot be read."""
    return SimpleNamespace(test_streams=dict.fromkeys(data.test_streams), corpus=data.corpus, tokenizer=data.tokenizer)


# -------------------------------------------------------------------------------------------------- records to results


def test_each_variant_gets_the_records_of_its_own_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Run] = []
    named: dict[str, str] = {}  # of the code of its machine, which stays in a public record, the run

    def perform_all(wanted: list[Run], data: Any, folder: str, n_workers: int) -> list[TrainedRun]:
        assert (folder, n_workers) == ("place", 7)
        done.extend(wanted)
        of_task = {"classifier": classifier_run, "decoder": decoder_run}
        machine = classifier_run().machine
        found = []
        for run in wanted:
            named[f"code of {run.name}"] = run.name
            here = msgspec.structs.replace(machine, code=f"code of {run.name}")
            found.append(of_task[run.recipe.task](identity={"run": 1}, seed=run.seed, machine=here))
        return found

    data: Any = SimpleNamespace(
        tokenizer=Tokenizer([*SPECIAL, *(f"word{number}" for number in range(97))]),
        corpus=SimpleNamespace(about=lambda: "the data"),
        train=SimpleNamespace(ids=torch.zeros(1, 8)),
        test_streams={"one": 1, "two": 2},
        test=SimpleNamespace(labels=torch.tensor([2, 0, 1])),
        seen=torch.zeros(3, dtype=torch.bool),
    )
    seen: dict[str, Any] = {}
    monkeypatch.setattr(engine, "perform_all", perform_all)
    monkeypatch.setattr(part3, "all_recorded", lambda runs, *_: seen.update(checked=set(runs)))
    monkeypatch.setattr(part3, "without_fold", lambda given, kind, seed: seen.setdefault("split", []).append(seed))
    monkeypatch.setattr(part3, "time_variants", lambda study, given, folder: {"timed": len(done)})
    monkeypatch.setattr(part3, "extrapolate", lambda runs, given, folder, n: {"read": [list(runs), folder, n]})
    monkeypatch.setattr(part3, "language_baselines", lambda given: {"ngram": "scores"})
    monkeypatch.setattr(part3, "classifier_baselines", lambda given: {"majority": "half"})
    monkeypatch.setattr(part3, "best_rate", lambda validation: ("best of", list(validation)))
    monkeypatch.setattr(part3, "compare", lambda results, labels: [(results.comparisons, results.seeds, labels)])
    monkeypatch.setattr(part3, "undecided", lambda results: [])
    study = replace(STUDY, n_workers=7)
    found: Any = part3.explore("a command", study, data, "place")  # type: ignore[arg-type]
    kinds = {
        "classifier": study.classifiers(),
        "decoder": study.decoders(),
        "validation": study.validated(),
    }
    for kind, variants in kinds.items():
        shared = {"original": "learned", "ff8": "learned"}
        runs = getattr(found, kind)
        assert {name: [(named[run.machine.code], run.seed) for run in own] for name, own in runs.items()} == {
            name: [(f"{kind}-{shared.get(name, name)}-seed{seed}", seed) for seed in (3, 4)] for name in variants
        }
        assert all(run.identity == {} for own in runs.values() for run in own)
    # 5 classifiers, 6 decoders, 4 on folds, two of them twice
    assert [run.seed for run in done] == [3] * 13 + [4] * 13
    assert len(set(done)) == len(done)
    assert seen == {"checked": set(done), "split": [3, 4]}
    assert found.labels == {one.task: label_of("report", one) for one in (STUDY.classifier, STUDY.decoder)}
    names = ["command", "recipe", "seed", "seeds", "vocabulary_size", "data", "test_names", "block_size"]
    names += ["halves", "widths", "timing"]
    assert [getattr(found, name) for name in names] == [
        *("a command", "report", 3, [3, 4], 99, "the data", ["one", "two"], 8, ["alibi", "regularize"], ["ff8", "ff4"]),
        {"timed": 0},  # before anything trains
    ]
    assert len(found.machines) == len(done)
    assert found.baselines == {"majority": "half"}
    assert found.ngram_scores == {"ngram": "scores"}
    assert found.chosen_rate == ("best of", [f"batch-norm-dropout-{rate}" for rate in RATES])
    assert found.comparisons == [([], [3, 4], Rows([2, 0, 1], stretches=[0, 1, 2], seen=[False] * 3))]
    everything = plan("classifier", kinds["classifier"], (3, 4)) | plan("decoder", kinds["decoder"], (3, 4))
    everything |= plan("validation", kinds["validation"], (3, 4))
    assert found.extrapolation == {"read": [list(everything), "place", 7]}
    assert {run.brief for run in done if run.name.startswith("decoder-ff4")} == {True}
    assert {run.brief for run in done if run.name.startswith("decoder-learned")} == {False}
    drawn = {"learned", "alibi", "none", "batch-norm-dropout-0.2"}  # "learned" is "original"
    measured_often = {run.name for run in done if run.name.startswith("classifier-") and not run.brief}
    assert measured_often == {f"classifier-{name}-seed{seed}" for name in drawn for seed in (3, 4)}
    half: Any = part3.explore("a command", replace(study, alibi=False), data, "place")  # type: ignore[arg-type]
    assert (half.timing, half.extrapolation, half.ngram_scores, half.decoder) == ({}, {}, {}, {})
    assert (half.halves, half.widths, half.baselines) == (["regularize"], [], {"majority": "half"})
    more: Any = part3.explore("a command", replace(study, seeds=(3,), until_told=4), data, "place")  # type: ignore[arg-type]
    assert (more.seeds, more.looks, len(more.decoder["alibi"])) == ([3, 4], [2, 4], 2)  # one alone tells nothing
    half = part3.explore("a command", replace(study, regularize=False), data, "place")  # type: ignore[arg-type]
    assert (half.validation, half.halves, list(half.classifier)) == ({}, ["alibi"], ["learned", "alibi", "none"])


def test_until_told_trains_more_seeds_of_the_variants_that_an_undecided_claim_is_about(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alibi = ("decoder", "alibi")
    unclear = iter([[alibi, ("validation", "batch-norm-dropout-0.2")], [alibi], [alibi]])
    monkeypatch.setattr(part3, "undecided", lambda results: next(unclear))
    study = replace(STUDY, until_told=5)
    found = part3.explore("part3", study, data, Folder(tmp_path, torch.device("cpu")), attention=True)
    n_seeds = {
        (kind, name): [run.seed for run in runs]
        for kind in ("classifier", "decoder", "validation")
        for name, runs in getattr(found, kind).items()
    }
    more = {alibi: [3, 4, 5, 6, 7], ("validation", "batch-norm-dropout-0.2"): [3, 4, 5, 6]}
    assert n_seeds == {key: more.get(key, [3, 4]) for key in n_seeds}
    assert (found.seeds, found.looks) == ([3, 4], [2, 4, 5])
    assert found.confidence == confidence_of_looks([2, 4, 5]) > 0.96
    assert [len(own) for own in found.extrapolation.values()] == [2, 5, 2, 2]
    assert {kind: len(own) for kind, own in found.attention.items()} == {"encoder": 2, "decoder": 2}
    (row,) = found.find(task="decoder", variant="alibi", base="learned", measure="perplexity", text="train")
    ours, theirs = (
        studies.results.last_perplexities(found.decoder[name][:2], "train") for name in ("alibi", "learned")
    )
    assert row.estimate == paired_ratio(ours, theirs, confidence=found.confidence)
    tables_of_seeds = [one.note for one in tables.part3(found) if "2 seeds (5 of ALiBi)" in one.note]
    assert len(tables_of_seeds) == 1
    assert "with 95% intervals" not in " ".join(one.note for one in tables.part3(found))


def test_a_study_that_cannot_go_on_until_it_is_told_is_refused() -> None:
    with pytest.raises(UserError, match="--until-told 1: fewer than --seeds 2"):
        replace(STUDY, until_told=1)


# -------------------------------------------------------------------------------------------------------------- figures


VARIANT_COLORS = {  # in every figure
    **{"learned": utilities.BLUE, "original": utilities.BLUE, "alibi": utilities.VERMILION, "none": utilities.GREEN},
    **{"alibi-steep": utilities.PURPLE, "batch-norm-dropout-0.2": utilities.ORANGE},
}
TEXT_COLORS = {"hbush": utilities.ORANGE, "obama": utilities.SKY, "wbush": utilities.PURPLE}


def test_figures_8_to_11_show_what_was_measured(results: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = intercept(monkeypatch)
    figures.draw(record(results), Path("figures"))
    assert sorted(drawn) == [
        "figure10_inference_length.png",
        "figure11_regularization.png",
        "figure8_test_accuracy_positions.png",
        "figure9_perplexity_positions.png",
        "inference_length.png",
        "loss_by_position.png",
    ]
    assert all(figure["folder"] == Path("figures") for figure in drawn.values())
    assert all(figure["function"] == "line_figure" for figure in drawn.values())
    epochs, places = list(range(1, N_EPOCHS + 1)), list(TEST_ACCURACY)

    def accuracy(variant: str, name: str, side: str) -> Line:
        last, step = {"test": (TEST_ACCURACY, 0.3), "train": (TRAIN_ACCURACY, 0.4)}[side]
        spread = 0.3 + 0.02 * places.index(variant) + (0.2 if side == "train" else 0.0)
        values = [seeds(last[variant] - step * (N_EPOCHS - epoch), spread) for epoch in epochs]
        return Line(name, epochs, [list(run) for run in zip(*values)], VARIANT_COLORS[variant])

    names = {"learned": "learned positions", "alibi": "ALiBi", "none": "no positions"}
    check(
        drawn["figure8_test_accuracy_positions.png"],
        [Panel([accuracy(variant, name, "test") for variant, name in names.items()])],
        *("epoch", "accuracy (%)", "Figure 8: test accuracy by position method\nreport recipe, epochs 15"),
    )
    shown = {
        "original": "original",
        "batch-norm-dropout-0.2": "batch norm + dropout 0.2",
    }
    check(
        drawn["figure11_regularization.png"],
        [
            Panel([accuracy(variant, name, side) for variant, name in shown.items()], title=side)
            for side in ("train", "test")
        ],
        *("epoch", "accuracy (%)", "Figure 11: original and regularized classifier\nreport recipe, epochs 15"),
    )

    def perplexity(variant: str, text: str) -> list[list[float]]:
        relative = 0.004 + 0.001 * list(PERPLEXITY).index(variant)
        means = [PERPLEXITY[variant][text] * (1 + (500 - iteration) / 500) for iteration in ITERATIONS]
        return [list(run) for run in zip(*(seeds(mean, relative * mean) for mean in means))]

    check(
        drawn["figure9_perplexity_positions.png"],
        [
            Panel(
                [
                    Line(name, ITERATIONS, perplexity(variant, text), VARIANT_COLORS[variant], variant == "none")
                    for variant, name in names.items()
                ],
                title=text,
            )
            for text in ("train", *TEXTS)
        ],
        *("iteration", "perplexity", "Figure 9: perplexity by position method\nreport recipe, iterations 500"),
        log_y=True,
    )
    longer = [length for length in LENGTHS if length > 32]
    check(
        drawn["figure10_inference_length.png"],
        [
            Panel(
                [Line(text, ITERATIONS, [[length / 100] * 5] * 3, TEXT_COLORS[text]) for text in TEXTS],
                [Level("32 tokens", 0.0)],
                title=f"{length} tokens",
            )
            for length in longer
        ],
        *("iteration", "change of perplexity against 32 tokens (%)"),
        "Figure 10: ALiBi trained at 32 tokens, read at other lengths\nreport recipe, iterations 500",
    )
    # Places 1, 2, 3 and 4 together, 5: worlds.py makes a variant's gain grow from place to place.
    gains = [0.01, 0.02, 0.035, 0.05]
    check(
        drawn["loss_by_position.png"],
        [
            Panel(
                [
                    Line(
                        names[variant],
                        [1, 2, 4, 5],
                        [[100 * (exp(-number * gain) - 1) for gain in gains]] * 3,
                        VARIANT_COLORS[variant],
                        dashed=variant == "none",
                    )
                    for number, variant in enumerate(("alibi", "none"), start=1)
                ],
                [Level("learned positions", 0.0, VARIANT_COLORS["learned"])],
                title=text,
            )
            for text in ("train", *TEXTS)
        ],
        *("place in the window (up to)", "change of perplexity (%)"),
        "Loss by place in the window, against learned positions\nreport recipe, iterations 500",
        log_x=True,
    )

    def changes(variant: str, folder: int, sliding: bool, window: int | None) -> list[list[float]]:
        factors = [(1.0, 1.004, 1.007, 1.03), (0.94, 0.952, 0.957, 0.99)][sliding]
        rows = []
        for step, factor in enumerate(factors):
            spread = 0.9 + 0.1 * step + 0.03 * sliding + folder / 1000
            change = factor - (0.013 if window and step else 0.0)
            cells = by_seed({text: seeds(change * PERPLEXITY[variant][text], spread) for text in TEXTS})
            rows.append([(cell["hbush"] * cell["obama"] * cell["wbush"]) ** (1 / 3) for cell in cells])
        return [[100 * (row[seed] / rows[0][seed] - 1) for row in rows] for seed in range(3)]

    read = {"alibi": "ALiBi", "none": "no positions", "alibi-steep": "ALiBi, slopes x 8"}
    check(
        drawn["inference_length.png"],
        [
            Panel(
                [
                    Line(
                        name if window is None else f"{name}, 31 tokens",
                        LENGTHS,
                        changes(variant, folder, sliding, window),
                        VARIANT_COLORS[variant],
                        dashed=window is not None,
                    )
                    for folder, (variant, name) in enumerate(read.items(), start=1)
                    for window in (None, 31)
                ],
                title="sliding by half" if sliding else "windows side by side",
            )
            for sliding in (False, True)
        ],
        *("inference length (tokens)", "change of perplexity against 32 tokens (%)"),
        "What other inference lengths change\nreport recipe, iterations 500",
        log_x=True,
    )


def check(figure: dict[str, Any], panels: list[Panel], x_label: str, y_label: str, title: str, **more: Any) -> None:
    """The figure is drawn from these panels, and labelled so."""
    given = {key: value for key, value in figure.items() if key not in ("function", "folder", "panels")}
    assert given == {"x_label": x_label, "y_label": y_label, "title": title, **more}
    found = figure["panels"] if isinstance(figure["panels"], list) else [figure["panels"]]
    assert len(found) == len(panels)
    for panel, expected in zip(found, panels):
        assert same(facts(panel), facts(expected)), (facts(panel), facts(expected))


def facts(panel: Panel) -> dict[str, Any]:
    lines = [{**vars(line), "x": list(line.x)} for line in panel.lines]
    return {**vars(panel), "lines": lines, "levels": [vars(level) for level in panel.levels]}


def test_figures_of_a_half_are_those_of_that_half(results: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = intercept(monkeypatch)
    figures.draw(record(results | {"halves": ["regularize"]}), Path("figures"))
    assert list(drawn) == ["figure11_regularization.png"]
    lines = drawn["figure11_regularization.png"]["panels"][0].lines
    assert [line.name for line in lines] == ["original", "batch norm + dropout 0.2"]
    drawn.clear()
    figures.draw(record(results | {"halves": ["alibi"]}), Path("figures"))
    assert "figure11_regularization.png" not in drawn
    assert len(drawn) == 5
    drawn.clear()
    classifier = {name: results["classifier"][name] for name in ("original", "dropout-0.2")}  # no place for batch norm
    validation = {"dropout-0.2": results["validation"]["batch-norm-dropout-0.2"]}
    bare = {"halves": ["regularize"], "classifier": classifier, "validation": validation}
    figures.draw(record(results | bare), Path("figures"))
    lines = drawn["figure11_regularization.png"]["panels"][1].lines
    assert [line.name for line in lines] == ["original", "dropout 0.2"]


def test_what_is_compared_is_the_end_of_a_run_and_not_its_beginning(results: dict[str, Any]) -> None:
    def classifier(first: float, last: float) -> ClassifierRun:
        epochs = [Epoch(1, 0.0, first, 0.0), Epoch(2, 0.0, last, 50.0)]
        return classifier_run(test=dict.fromkeys(("all", "unseen"), GroupAccuracy(2, 50.0)), epochs=epochs)

    def decoder(first: float, last: float) -> DecoderRun:
        perplexities = [{"train": value, "a": value} for value in (first, last)]
        return decoder_run(iterations=[Iteration(n, 0.0, found) for n, found in enumerate(perplexities)])

    a, b = [classifier(10, 90), classifier(10, 92)], [classifier(70, 60), classifier(70, 61)]
    gap = list(studies.comparisons.compare_classifiers("alibi", "learned", a, b, ROWS))[-2]
    assert gap.measure == "train - test accuracy"
    assert gap.estimate.mean == (40 + 42) / 2 - (10 + 11) / 2
    empty: Any = {name: {} for name in ("classifier", "timing", "extrapolation", "validation")}
    decoders = {"alibi": [decoder(400, 50)] * 3, "learned": [decoder(200, 100)] * 3}
    found = msgspec.structs.replace(record(results), **empty, decoder=decoders, test_names=["a"])
    row = studies.comparisons.compare(found, ROWS)[-1]
    assert (row.variant, row.base, row.measure, row.text) == ("alibi", "learned", "perplexity", "a")
    assert row.estimate.mean == pytest.approx(0.5)
