"""Effects by hand: what is compared with what, on which seeds, over which rows and lines, and what a verdict says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log
from typing import Any

import made_up
import numpy as np
import pytest
from made_up import SEEDS, TEXTS, classifier_run, decoder_run, seeds
from msgspec import structs

from evaluation.crossed import crossed
from evaluation.opponents import ClassifierOpponent, DecoderOpponent
from evaluation.records import GroupAccuracy, LanguageScores, Scores
from evaluation.statistics import (
    chance_of,
    difference_of_shares,
    paired_difference,
    paired_ratio,
    seeds_needed,
    share_of,
)
from speechesdataset.folder import TOGETHER, TRAINING
from studies.answers import SIDE_BY_SIDE, Comparison, LengthPerplexity, Timing
from studies.catalogue.recipes import RECIPES
from studies.effects import (
    EACH_GROUP,
    EACH_TEST_TEXT,
    EACH_TEXT,
    effects_of,
    effects_of_length,
    effects_on_time,
    has_trained,
    trained_like_the_others,
)
from studies.question import Question
from training.kinds import KINDS
from training.recipe import Task, customise
from training.records import ClassifierRun, DecoderRun, Epoch

LABELS = [0] * 11 + [1, 1, 1]  # three stretches: ten rows, one, and three of another class
SEEN = [True] * 2 + [False] * 12


def asked(kind: Task, *measures: tuple[str, str], **fields: Any) -> Question:
    """Two variants of a recipe and how they differ."""
    variants = {name: customise(RECIPES["report"][kind], n_layer=n) for name, n in (("base", 1), ("other", 2))}
    return replace(Question("it", variants, (("other", "base"),), measures), **fields)


def compare(
    question: Question, other: Sequence[Any], base: Sequence[Any], data: Any = None, confidence: float = 0.95
) -> list[Comparison]:
    return effects_of(question, {"base": base, "other": other}, {}, data or made_up.data(), confidence)


# ------------------------------------------------------------------------------------------------- rows of classifiers
def classifier(wrong: Sequence[int] = (), trained: bool = True, seed: int = 0) -> ClassifierRun:
    """A run that gets all of LABELS right but for these rows, and 90% of the training rows."""
    predictions = [1 - label if row in wrong else label for row, label in enumerate(LABELS)]
    hits, unseen = np.array(predictions) == np.array(LABELS), ~np.array(SEEN)
    groups = {"all": np.ones_like(unseen), "seen": ~unseen, "unseen": unseen}
    test: Any = {name: GroupAccuracy(int(rows.sum()), 100 * float(hits[rows].mean())) for name, rows in groups.items()}
    epochs = [Epoch(1, 0.0, 90.0, 100 * float(hits.mean()))]
    return classifier_run(predictions=predictions, trained=trained, test=test, epochs=epochs, seed=seed)


ROWS = made_up.data(LABELS, SEEN)
OTHER = [classifier(), classifier([2, 13], seed=1), classifier(range(11), trained=False, seed=2)]
BASE = [classifier([0, 10], seed=0), classifier([0, 1, 2, 3, 13], seed=1), classifier([12], seed=2)]
ACCURACY = KINDS["classifier"].measures["accuracy"]


def test_hits_are_summed_by_stretch_of_the_rows_of_a_group() -> None:
    def by_stretch(group: str) -> Any:
        (items,) = KINDS["classifier"].paired_items(ACCURACY, group, OTHER[:2], BASE[:2], ROWS)
        return items.totals.tolist(), items.sizes.tolist(), items.n_strata

    mean = 100 * np.array([2, 3]) / 11  # of the first class, whose rows are in two stretches
    totals, sizes, n_strata = by_stretch("all")
    assert (sizes, n_strata) == ([10, 1, 3], 2)
    assert totals == [
        pytest.approx([100 - 10 * mean[0], 100 - mean[0], 0], abs=1e-9),
        pytest.approx([300 - 10 * mean[1], 0 - mean[1], 0], abs=1e-9),
    ]
    totals, sizes, _ = by_stretch("unseen")
    assert sizes == [8, 1, 3]
    assert totals[0] == pytest.approx([0 - 8 * 100 / 9, 100 - 100 / 9, 0], abs=1e-9)
    assert by_stretch("seen")[1] == [2]


def test_accuracies_are_of_seeds_on_which_both_trained_for_other_seeds_and_rows() -> None:
    question = asked("classifier", ("accuracy", "all"), ("accuracy", "unseen"), ("train - test accuracy", "all"))
    for confidence in (0.95, 0.99):
        every, unseen, gap, failed = compare(question, OTHER, BASE, ROWS, confidence)
        for row, group in ((every, "all"), (unseen, "unseen")):
            values, base = ([ACCURACY.value(run, group) for run in runs[:2]] for runs in (OTHER, BASE))
            items = KINDS["classifier"].paired_items(ACCURACY, group, OTHER[:2], BASE[:2], ROWS)
            expected = crossed(paired_difference(values, base, confidence=confidence), items, confidence)
            assert (row.estimate, row.seeds, row.items) == (expected.both, expected.seeds, expected.items)
            assert (row.subset, row.unit, row.of_trained, row.verdict) == (group, "points", True, None)
            assert row.items is not None  # an interval for rows alone is there
            assert row.items.low is not None
        assert gap.estimate.mean == pytest.approx(-every.estimate.mean)  # both know the training rows alike
        assert gap.estimate.error == pytest.approx(every.estimate.error)
        shares = share_of(1, 3, confidence), share_of(0, 3, confidence)
        assert (failed.measure, failed.estimate) == ("runs that did not train", difference_of_shares(*shares))
    (*_, turned) = compare(question, BASE, OTHER, ROWS)
    assert turned.estimate.mean == pytest.approx(-100 / 3)


@pytest.mark.parametrize(
    ("accuracies", "trained"),
    [
        ([99.0, 98.0, 47.0, 100.0, 99.0], [True, True, False, True, True]),  # 33 to 99: 66 is half of the way
        ([99.0, 98.0, 67.0], [True, True, True]),
        ([40.0, 39.0, 41.0], [True, True, True]),  # as far as is usual
        ([34.0, 99.0, 35.0], [False, True, False]),  # those that know the largest class alone are said to be
        ([60.0], [True]),
    ],
)
def test_a_run_has_trained_that_came_half_as_far_as_the_other_seeds(
    accuracies: list[float], trained: list[bool]
) -> None:
    runs = [classifier_run(50.0, trained=value > 38) for value in accuracies]
    runs = [structs.replace(run, epochs=[Epoch(1, 0.0, value, 50.0)]) for run, value in zip(runs, accuracies)]
    judged = trained_like_the_others(runs, 100 / 3)
    assert [has_trained(run) for run in judged] == trained
    decoders = [decoder_run({"a": 1.0})]
    assert trained_like_the_others(decoders, 33.0) == decoders


def test_seeds_that_are_left_out_stand_beside_the_others() -> None:
    row, *_ = compare(asked("classifier"), OTHER, BASE, ROWS)
    everything, *_ = compare(asked("classifier", trained_only=False), OTHER, BASE, ROWS)
    assert (row.estimate.n, row.every_seed) == (2, everything.estimate)
    assert everything.every_seed is None


def test_without_a_seed_on_which_both_trained_all_are_compared() -> None:
    row, _ = compare(asked("classifier"), OTHER[2:], BASE[2:], ROWS)
    assert (row.of_trained, row.estimate.n) == (False, 1)
    assert row.estimate.mean == pytest.approx(-1000 / 14)  # 11 rows wrong against 1
    every_seed = asked("classifier", trained_only=False)
    (row,) = compare(every_seed, OTHER, BASE, ROWS)  # and how many failed is not counted
    assert (row.of_trained, row.estimate.n) == (True, 3)


def test_seeds_that_one_of_both_has_are_left_out() -> None:
    row, _ = compare(asked("classifier"), OTHER[:2], BASE[1:], ROWS)
    assert (row.estimate.n, row.estimate.mean) == (1, pytest.approx(300 / 14))


@pytest.mark.parametrize(
    ("seen", "groups", "of_unseen"),
    [([0, 1], ["all", "seen", "unseen"], 1), ([0, 0], ["all"], 1), ([1, 1], ["all"], 0)],
)
def test_unseen_rows_are_compared_where_there_are_any(seen: list[bool], groups: list[str], of_unseen: int) -> None:
    data = made_up.data([0, 1], seen)
    runs = [classifier_run(predictions=[0, 1])]
    each = compare(asked("classifier", ("accuracy", EACH_GROUP), trained_only=False), runs, runs, data)
    assert [row.subset for row in each] == groups
    assert len(compare(asked("classifier", ("accuracy", "unseen"), trained_only=False), runs, runs, data)) == of_unseen


# --------------------------------------------------------------------------------------------------- lines of decoders
def decoders(*nats: Mapping[str, list[float]]) -> list[DecoderRun]:
    tokens = {"a": [1.0, 3.0], "b": [2.0, 2.0]}
    return [
        decoder_run({"train": 9.0, "a": 9.0, "b": 9.0}, stretch_nats=dict(each), stretch_tokens=tokens) for each in nats
    ]


def test_nats_are_compared_by_stretch_of_each_text_and_of_all_together() -> None:
    runs = decoders({"a": [3.0, 6.0], "b": [5.0, 7.0]}, {"a": [2.0, 6.0], "b": [4.0, 8.0]})
    base = decoders({"a": [4.0, 4.0], "b": [5.0, 6.0]}, {"a": [2.0, 5.0], "b": [1.0, 9.0]})
    kind, data = KINDS["decoder"], made_up.data(texts="ab")
    perplexity = kind.measures["perplexity"]
    (items,) = kind.paired_items(perplexity, "a", runs, base, data)
    assert items.totals.tolist() == [[-1, 2], [0, 1]]
    assert items.sizes.tolist() == [1, 3]
    both = kind.paired_items(perplexity, TOGETHER, runs, base, data)  # of which each text is a half
    assert [part.totals.tolist() for part in both] == [[[-0.5, 1], [0, 0.5]], [[0, 0.5], [1.5, -0.5]]]
    assert kind.paired_items(perplexity, TRAINING, runs, base, data) == []
    assert kind.paired_items(perplexity, "a", runs, [*base[:1], *decoders({})], data) == []
    assert kind.paired_items(kind.measures["bits-per-byte"], "a", runs, base, data) == []


def test_perplexities_of_texts_are_compared_for_other_lines_and_that_of_the_training_text_is_not() -> None:
    def runs(factor: float) -> list[DecoderRun]:
        found = []
        for value in (100.0, 110.0, 120.0) if factor < 1 else (100.0, 111.0, 119.0):
            nats = [2 * log(value * factor) + sign * 0.2 * (factor < 1) for sign in (1, -1)]
            stretches: Any = {"stretch_nats": {"a": nats}, "stretch_tokens": {"a": [2.0, 2.0]}}
            found.append(decoder_run({"train": value * factor, "a": value * factor}, **stretches))
        return found

    data = made_up.data(texts="a")
    train, text = compare(asked("decoder", ("perplexity", EACH_TEXT)), runs(0.9), runs(1.0), data)
    assert (train.subset, train.seeds, train.items) == (TRAINING, None, None)
    assert train.estimate == paired_ratio([90.0, 99.0, 108.0], [100.0, 111.0, 119.0])
    assert (text.subset, text.seeds) == ("a", train.estimate)
    assert text.items is not None
    assert text.items.error == pytest.approx(0.1, rel=1e-6)  # the mean of two stretches that lie 0.2 apart, by token
    assert train.estimate.error is not None
    assert text.estimate.error == pytest.approx((0.01 + train.estimate.error**2) ** 0.5)
    rows = compare(asked("decoder", ("perplexity", EACH_TEST_TEXT)), runs(0.9), runs(1.0), data)
    assert [row.subset for row in rows] == ["a"]


def test_all_texts_together_are_their_geometric_mean_and_their_mean_bits() -> None:
    run = decoder_run({"train": 7.0, "a": 100.0, "b": 400.0})
    measures = KINDS["decoder"].measures
    assert measures["perplexity"].value(run, TOGETHER) == pytest.approx(200.0)
    assert measures["bits-per-byte"].value(run, TOGETHER) == pytest.approx((0.5 + 2.0) / 2)
    assert (measures["perplexity"].value(run, TRAINING), measures["perplexity"].value(run, "b")) == (7.0, 400.0)


# ------------------------------------------------------------------------------------------------------ folds and time
def test_folds_share_rows_and_know_nothing_of_other_rows() -> None:
    accuracies, base = [60.0, 62.0, 61.0], [50.0, 55.0, 52.0]
    runs, base_runs = ([classifier_run(value) for value in values] for values in (accuracies, base))
    (row, _) = compare(asked("classifier", on_folds=True), runs, base_runs, ROWS, 0.99)
    assert row.estimate == paired_difference(accuracies, base, shared=0.25, confidence=0.99)
    assert (row.seeds, row.items) == (None, None)
    decoders, base_decoders = ([decoder_run({"a": value}) for value in values] for values in (accuracies, base))
    row, *_ = compare(asked("decoder", on_folds=True), decoders, base_decoders)
    assert row.estimate == paired_ratio(accuracies, base, shared=0.25)


def test_training_times_are_of_all_seeds_and_are_no_chance_of_folds() -> None:
    times, base = [1.0, 1.2, 1.1], [1.5, 1.9, 1.7]
    runs = [classifier_run(train_seconds=time, trained=False) for time in times]
    base_runs = [classifier_run(train_seconds=time) for time in base]
    question = asked("classifier", ("training-time", "all"), on_folds=True)
    row = compare(question, runs, base_runs)[0]
    assert row.estimate == paired_ratio(times, base)
    assert (row.of_trained, row.verdict, row.unit) == (True, "better", "ratio")


# ----------------------------------------------------------------------------------------------------------- opponents
def opponent(wrong: Sequence[int]) -> ClassifierOpponent:
    run = classifier(wrong)
    return ClassifierOpponent(test=run.test, predictions=run.predictions)


def against(opponents: list[Any], runs: list[Any], **fields: Any) -> Comparison:
    question = replace(asked("classifier" if isinstance(runs[0], ClassifierRun) else "decoder"), **fields)
    pairs = (("base", "tfidf"),)
    (row,) = effects_of(replace(question, pairs=pairs), {"base": runs}, {"tfidf": opponents}, ROWS, 0.95)
    return row


def test_on_the_test_set_one_opponent_is_there_for_all_seeds() -> None:
    row = against([opponent([0, 13])], BASE)
    values = [ACCURACY.value(run, "all") for run in BASE]
    assert (row.variant, row.base) == ("base", "tfidf")
    items = KINDS["classifier"].paired_items(ACCURACY, "all", BASE, [opponent([0, 13])] * 3, ROWS)
    expected = crossed(paired_difference(values, [100 * 12 / 14] * 3), items)
    assert (row.estimate, row.seeds, row.items) == (expected.both, expected.seeds, expected.items)
    turned = effects_of(
        replace(asked("classifier"), pairs=(("tfidf", "base"),)),
        {"base": BASE},
        {"tfidf": [opponent([0, 13])]},
        ROWS,
        0.95,
    )
    assert turned[0].estimate.mean == pytest.approx(-row.estimate.mean)


def test_on_folds_an_opponent_has_one_record_a_fold_and_those_of_more_seeds_are_left_out() -> None:
    runs = [classifier_run(value) for value in (60.0, 62.0, 61.0, 99.0)]
    opponents = [ClassifierOpponent(test={"all": GroupAccuracy(9, value)}) for value in (50.0, 55.0, 52.0)]
    row = against(opponents, runs, on_folds=True)
    assert row.estimate == paired_difference([60.0, 62.0, 61.0], [50.0, 55.0, 52.0], shared=0.25)
    row = against(opponents[:1], runs, on_folds=True)  # the other seeds are of other folds
    assert (row.estimate.mean, row.estimate.n) == (10.0, 1)


def test_an_opponent_of_decoders_is_compared_by_line() -> None:
    run = decoder_run({"a": 100.0}, stretch_nats={"a": [4.0, 5.0]}, stretch_tokens={"a": [1.0, 1.0]})
    ngram = DecoderOpponent(
        scores={"a": LanguageScores(200.0, None, 1.0, 0.0)},
        **{"stretch_nats": {"a": [4.5, 5.5]}, "stretch_tokens": {"a": [1.0, 1.0]}},
    )
    row = against([ngram], [run, run, run])
    assert row.estimate.mean == pytest.approx(0.5)
    assert row.items is not None
    assert (row.items.n, row.items.error) == (2, 0.0)  # every line costs half a nat less


# ------------------------------------------------------------------------------------------------------------ verdicts
@pytest.mark.parametrize(
    ("kind", "measure", "change", "verdict"),
    [
        ("classifier", "accuracy", 3.0, "better"),
        ("classifier", "accuracy", -3.0, "worse"),
        ("classifier", "macro-f1", 3.0, "better"),
        ("decoder", "perplexity", -3.0, "better"),
        ("decoder", "perplexity", 3.0, "worse"),
        ("decoder", "training-time", -3.0, "better"),
        ("decoder", "bits-per-byte", 0.0, "cannot tell"),
    ],
)
def test_a_variant_is_better_or_worse_where_the_whole_interval_is(
    kind: Task, measure: str, change: float, verdict: str
) -> None:
    def runs(values: list[float]) -> list[Any]:
        if kind == "decoder":
            return [decoder_run({"a": value}, train_seconds=value) for value in values]
        return [classifier_run(value, scores=Scores([], value, [[9]])) for value in values]

    question = asked(kind, (measure, "all" if kind == "classifier" else TOGETHER))
    row = compare(question, runs(seeds(50.0 + change, 0.5)), runs(seeds(50.0, 0.4)))[0]
    assert row.verdict == verdict
    alike = compare(question, runs([51.0, 52.0, 53.0]), runs([50.0, 51.0, 52.0]))[0]
    if alike.unit == "points":  # whose differences are equal, which says nothing of their spread
        assert (alike.verdict, alike.estimate.low) == ("cannot tell", None)
    (flat,) = {row.verdict for row in compare(question, runs([51.0, 49.0, 50.5]), runs([50.0, 50.0, 50.0]))[:1]}
    assert flat == "cannot tell"  # some seeds are better and some are worse


def test_what_would_tell_is_told_by_the_confidence_of_the_interval() -> None:
    runs, base = [[classifier_run(value) for value in values] for values in ([51.0, 52.0, 51.5], [50.5, 50.0, 50.5])]
    needed = {}
    for confidence in (0.95, 0.99):
        row = compare(asked("classifier"), runs, base, confidence=confidence)[0]
        assert row.verdict == "cannot tell"
        needed[confidence] = row.seeds_needed
        assert row.seeds_needed == seeds_needed(row.estimate, above=0.0, level=(1 - confidence) / 2)
    assert 3 < (needed[0.95] or 0) < (needed[0.99] or 0)
    several = asked("classifier", ("accuracy", "all"), ("macro-f1", "all"))
    assert {row.verdict for row in compare(several, runs, base)} == {None}  # which is about no single measure


@pytest.mark.parametrize("n_variants", [3, 15])
def test_where_nothing_differs_a_comparison_of_many_variants_rarely_tells_something(n_variants: int) -> None:
    names = [f"dropout={i}" for i in range(n_variants)]
    variants = dict.fromkeys(names, RECIPES["report"]["decoder"])
    question = Question("it", variants, tuple((name, names[0]) for name in names[1:]))
    generator, told, alone = np.random.default_rng(0), 0, 0
    for values in generator.normal(100, 1, (200, n_variants, 5)):
        runs = {name: [decoder_run({"a": value}) for value in row] for name, row in zip(names, values)}
        rows = effects_of(question, runs, {}, made_up.data(), 0.95)
        told += any(row.verdict != "cannot tell" for row in rows)
        alone += any(not row.estimate.low <= 1 <= row.estimate.high for row in rows)  # type: ignore[operator]
    assert told <= 0.08 * 200 < alone


def test_of_several_variants_the_surest_is_told_first() -> None:
    names, levels = ["base", "far", "near"], [(50.0, 0.0), (60.0, 0.5), (53.0, 0.9)]
    question = replace(asked("decoder"), variants=dict.fromkeys(names, RECIPES["report"]["decoder"]))
    question = replace(question, pairs=(("far", "base"), ("near", "base")))
    runs = {
        name: [decoder_run({"a": level + spread * shift}) for shift in (-1, 0.3, 1, -0.4)]
        for name, (level, spread) in zip(names, levels)
    }
    far, near = effects_of(question, runs, {}, made_up.data(), 0.95)
    assert (far.verdict, near.verdict) == ("worse", "worse")  # the second need not be as sure as the first
    chance = 1 - chance_of(near.estimate)
    far, near = effects_of(question, runs, {}, made_up.data(), chance + 1e-4)
    assert (far.verdict, near.verdict) == ("worse", "cannot tell")
    assert (
        effects_of(replace(question, pairs=(("near", "base"),)), runs, {}, made_up.data(), chance - 1e-4)[0].verdict
        == "worse"
    )


def runs_of(*accuracies: float | None) -> list[ClassifierRun]:
    """A run for each; None: one at chance."""
    return [
        classifier_run(value or 25.0, trained=value is not None, seed=seed) for seed, value in enumerate(accuracies)
    ]


@pytest.mark.parametrize(
    ("variant", "verdict", "of_trained"),
    [
        ([classifier_run(50.0 + 9 * seed, trained=False, seed=seed) for seed in range(5)], "worse", False),
        (runs_of(None, None, 99.0, None, None), "worse", True),  # one pair has no interval
        (runs_of(None, None, 99.0, 60.0, 60.0), "cannot tell", True),
    ],
)
def test_where_too_few_trained_together_it_is_told_how_many_train(
    variant: list[ClassifierRun], verdict: str, of_trained: bool
) -> None:
    base = runs_of(75.0, 50.0, 75.0, 75.0, 50.0)
    row = compare(asked("classifier"), variant, base)[0]
    assert (row.verdict, row.of_trained) == (verdict, of_trained)
    turned = compare(asked("classifier"), base, variant)[0]
    assert turned.verdict == {"worse": "better"}.get(verdict, verdict)
    needed = [row.seeds_needed, turned.seeds_needed]
    assert needed == [None, None] if verdict == "worse" else None not in needed  # nothing is, where it is told
    assert compare(asked("classifier"), base[:1], base[:1])[0].verdict == "cannot tell"


# -------------------------------------------------------------------------------------------------------------- probes
def test_an_effect_on_time_is_the_ratio_of_medians_by_clock_and_of_the_processor() -> None:
    wall, processor = {"alibi": [1.0, 1.1], "none": [2.0, 2.3]}, {"alibi": [3.0, 3.1], "none": [1.0, 1.2]}
    timing: Any = {"decoder": Timing(20, 90, 1, wall, processor)}
    rows = list(effects_on_time(timing, [("alibi", "none")], 0.99))
    assert rows == [
        Comparison("decoder", "alibi", "none", name, "ratio", paired_ratio(x["alibi"], x["none"], confidence=0.99))
        for name, x in (("training time", wall), ("processor time", processor))
    ]


def test_an_effect_of_length_is_against_the_length_of_training_read_in_the_same_way() -> None:
    read = [made_up.lengths(decoder_run(dict.fromkeys(TEXTS, 100.0 + seed))) for seed in SEEDS]
    rows = list(effects_of_length("alibi", read, 32, 0.95))
    assert len(rows) == 2 * 3 * 3  # two ways, three other lengths, three texts
    first = next(row for row in rows if (row.subset, row.length) == ("obama", 128))
    assert (first.variant, first.base, first.reading) == ("alibi", "alibi", SIDE_BY_SIDE)
    assert first.estimate.mean == pytest.approx(1.008)
    sliding = next(row for row in rows if row.reading != SIDE_BY_SIDE)
    assert (sliding.length, sliding.estimate.mean) == (64, pytest.approx(1.1))
    assert list(effects_of_length("alibi", read, 33, 0.95)) == []  # with nothing to stand against
    past_the_table = [LengthPerplexity(length, False, None, {"a": value}) for length, value in ((32, 9.0), (64, None))]
    assert list(effects_of_length("learned", [past_the_table], 32, 0.95)) == []


def test_every_effect_turns_round_where_two_variants_are_swapped() -> None:
    answers = made_up.answers()
    names = {"alibi": "learned", "learned": "alibi"}
    for variants in (answers.classifier, answers.decoder, answers.timing["classifier"].seconds):
        swapped = {name: variants.get(names.get(name, name)) for name in variants}
        variants.update(swapped)  # type: ignore[arg-type]
    pair = {"variant": "alibi", "base": "learned"}
    before, after = answers.find(**pair), made_up.compared(answers).find(**pair)
    assert len(before) == len(after) == 3 + 1 + 4 + 2 * 2  # accuracies, failures, perplexities, times of both kinds
    for row, turned in zip(before, after):
        if row.question == "decoder" and row.subset is None:
            continue  # whose times were not swapped
        expected = 1 / row.estimate.mean if row.unit == "ratio" else -row.estimate.mean
        assert turned.estimate.mean == pytest.approx(expected)
