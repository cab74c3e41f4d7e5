"""What a comparison rests on: seeds on which both trained, rows by stretches, lines of each text."""

from math import log

import msgspec
import numpy as np
import pytest
import worlds
from studies.comparisons import (
    Rows,
    both_trained,
    compare,
    compare_classifiers,
    hits_by_stretch,
    nats_by_stretch,
    nats_of_two_texts,
)
from worlds import AT_CHANCE, classifier_run, decoder_run, made_up, record

from evaluation.crossed import crossed
from evaluation.statistics import paired_difference, paired_ratio
from training.records import ClassifierRun, DecoderRun, Epoch, GroupAccuracy

ROWS = Rows([0, 0, 0, 1, 1, 1], [0, 0, 1, 2, 2, 2], [True, False, False, False, True, False])


def classifier(predictions: list[int], trained: bool = True) -> ClassifierRun:
    """A run that says this of ROWS, and is right of 90% of the training rows."""
    hits = np.array(predictions) == np.array(ROWS.labels)
    unseen = ~np.array(ROWS.seen)
    accuracy, of_unseen = (100 * float(found.mean()) for found in (hits, hits[unseen]))
    return classifier_run(
        predictions=predictions,
        trained=trained,
        test={"all": GroupAccuracy(6, accuracy), "unseen": GroupAccuracy(4, of_unseen)},
        epochs=[Epoch(1, 0.0, 90.0, accuracy)],
    )


OURS = [classifier([0, 0, 0, 1, 1, 1]), classifier([0, 0, 1, 1, 1, 0]), classifier([1] * 6, trained=False)]
THEIRS = [classifier([0, 1, 1, 1, 1, 0]), classifier([1, 0, 0, 1, 0, 0]), classifier([0, 0, 0, 1, 1, 0])]


def test_hits_are_summed_by_stretch_of_the_rows_of_a_group() -> None:
    (found,) = hits_by_stretch(OURS[:2], THEIRS[:2], ROWS, "all")
    assert found.totals.tolist() == [
        pytest.approx([100 - 2 * 200 / 3, 100 - 200 / 3, 0]),
        pytest.approx([100 - 0, -100 - 0, 0]),
    ]  # less the mean of the speaker
    assert (found.sizes.tolist(), found.n_strata) == ([2, 1, 3], 2)
    (found,) = hits_by_stretch(OURS[:2], THEIRS[:2], ROWS, "unseen")
    assert found.totals.tolist() == [[0, 0, 0], [50, -50, 0]]
    assert found.sizes.tolist() == [1, 1, 2]
    (found,) = hits_by_stretch(OURS[:2], THEIRS[:2], ROWS, "seen")  # of which one stretch has none
    assert found.sizes.tolist() == [1, 1]
    assert found.freedom == 0


def test_seeds_on_which_both_trained() -> None:
    found = both_trained(OURS, THEIRS)
    assert found == (OURS[:2], THEIRS[:2])
    assert both_trained(OURS[2:], THEIRS[2:]) is None
    assert both_trained([], []) is None


def test_accuracies_are_of_seeds_on_which_both_trained_for_other_seeds_and_rows() -> None:
    everywhere, unseen, gap, failed = compare_classifiers("ours", "theirs", OURS, THEIRS, ROWS)
    for row, group, ours, theirs in (
        (everywhere, "all", [100.0, 400 / 6], [50.0, 50.0]),
        (unseen, "unseen", [100.0, 50.0], [25.0, 75.0]),
    ):
        assert (row.rows, row.unit) == (group, "points")
        seeds = paired_difference(ours, theirs)
        assert row.seeds is not None
        assert row.seeds.low == pytest.approx(seeds.low)
        expected = crossed(seeds, hits_by_stretch(OURS[:2], THEIRS[:2], ROWS, "all" if row is everywhere else "unseen"))
        assert row.estimate.error == pytest.approx(expected.both.error)
        assert row.items is not None
        assert expected.items is not None
        assert row.items.error == pytest.approx(expected.items.error)
    assert gap.estimate.mean == pytest.approx(-everywhere.estimate.mean)  # both know the training rows alike
    assert gap.estimate.error == pytest.approx(everywhere.estimate.error)
    assert (failed.measure, failed.estimate.mean) == ("runs at chance", pytest.approx(100 / 3))
    turned = list(compare_classifiers("theirs", "ours", THEIRS, OURS, ROWS))[-1].estimate
    assert (turned.mean, turned.high) == pytest.approx((-failed.estimate.mean, -(failed.estimate.low or 0)))
    (*_, none) = compare_classifiers("ours", "ours", THEIRS, THEIRS, ROWS)
    assert (none.estimate.low, none.estimate.high) == pytest.approx((AT_CHANCE["low"], AT_CHANCE["high"]))


def test_without_a_seed_on_which_both_trained_all_are_compared() -> None:
    rows = list(compare_classifiers("ours", "theirs", OURS[2:], THEIRS[2:], ROWS))
    assert (rows[0].estimate.mean, rows[0].estimate.n) == (pytest.approx(50 - 500 / 6), 1)


def decoders(*nats: dict[str, list[float]]) -> list[DecoderRun]:
    return [decoder_run(stretch_nats=one, stretch_tokens={"a": [1.0, 3.0], "b": [2.0, 2.0]}) for one in nats]


def test_nats_are_compared_by_stretch_of_each_text() -> None:
    ours = decoders({"a": [3.0, 6.0], "b": [5.0, 7.0]}, {"a": [2.0, 6.0], "b": [4.0, 8.0]})
    theirs = decoders({"a": [4.0, 4.0], "b": [5.0, 6.0]}, {"a": [2.0, 5.0], "b": [1.0, 9.0]})
    (found,) = nats_by_stretch(ours, theirs, ["a"])
    assert found.totals.tolist() == [[-1, 2], [0, 1]]
    assert found.sizes.tolist() == [1, 3]
    both = nats_by_stretch(ours, theirs, ["a", "b"])
    assert [part.totals.tolist() for part in both] == [[[-0.5, 1], [0, 0.5]], [[0, 0.5], [1.5, -0.5]]]
    first, second = nats_of_two_texts(ours, "a", "b")
    assert first.totals.tolist() == [[3, 6], [2, 6]]
    assert second.totals.tolist() == [[-5, -7], [-4, -8]]
    assert [first.sizes.tolist(), second.sizes.tolist()] == [[1, 3], [2, 2]]
    old = [*theirs[:1], decoder_run(stretch_nats={})]
    assert nats_by_stretch(ours, old, ["a"]) == nats_of_two_texts(old, "a", "b") == []
    assert nats_by_stretch(ours, theirs, ["train"]) == []


def test_perplexities_of_texts_are_compared_for_other_lines_and_that_of_the_training_text_is_not() -> None:
    results = made_up()
    for name, factor in (("alibi", 0.9), ("learned", 1.0)):
        for s, run in enumerate(results["decoder"][name]):
            perplexity = [100.0, 110.0, 120.0][s] * factor
            run["iterations"][-1]["perplexity"] = dict.fromkeys(("train", "hbush", "obama", "wbush"), perplexity)
            nats = [2 * log(perplexity) + 0.2 * (factor < 1), 2 * log(perplexity) - 0.2 * (factor < 1)]
            run["stretch_nats"] = dict.fromkeys(worlds.TEXTS, nats)
            run["stretch_tokens"] = {text: [2.0, 2.0] for text in worlds.TEXTS}
    found = record(results | {"comparisons": []})
    rows = [row for row in compare(found, worlds.ROWS) if (row.variant, row.base) == ("alibi", "learned")]
    train, *texts = [row for row in rows if row.measure == "perplexity"]
    assert (train.text, train.seeds, train.items) == ("train", None, None)
    assert train.estimate.low == pytest.approx(0.9)
    for row in texts:
        assert row.seeds == msgspec.structs.replace(train).estimate
        assert row.items is not None
        assert row.items.error == pytest.approx(0.1)  # the mean of two stretches that lie 0.2 apart, by token
        assert row.estimate.error == pytest.approx(0.1)
    assert train.estimate == paired_ratio([90.0, 99.0, 108.0], [100.0, 110.0, 120.0])
