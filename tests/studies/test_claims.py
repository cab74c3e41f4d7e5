"""Verdicts on made-up results whose answer is known, at both sides of every threshold."""

from dataclasses import asdict
from math import inf, log
from typing import Any

import pytest
import worlds
from worlds import TEXTS, all_true, interval, judge, judged, seeds, typed

from evaluation.statistics import ONE_SIDED, Estimate
from studies.catalogue.published import CLAIMS, PUBLISHED_ACCURACY, PUBLISHED_PERPLEXITY, PUBLISHED_SECONDS
from studies.claims import TRAINED, Part, enough, seconds_of_a_seed, undecided

EPSILON = 1e-6
REGULARIZED = "batch-norm-dropout-0.2"


@pytest.fixture
def results() -> dict[str, Any]:
    return all_true()


def verdicts(results: dict[str, Any]) -> dict[str, str]:
    return {one["id"]: one["verdict"] for one in judge(results)}


def claim(results: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in judge(results) if one["id"] == name)
    return found


# what each part of a claim measures, where the claim says that it lies, and what is there by construction
P = "perplexity on"
T = "training time with ALiBi / with learned positions"
V = "validation accuracy, in points: dropout 0.2 less dropout"
PARTS: dict[str, list[tuple[str, str, str, str]]] = {
    "C1": [
        ("training accuracy", "training accuracy after the last epoch, in percent,", "is above 95", "%"),
        (
            "test accuracy, last epoch less five before",
            "test accuracy after the last epoch less its mean over the five before, in points,",
            "lies between -2 and 2",
            "points",
        ),
    ],
    "C2": [
        (
            "distance in layer 1, relative to uniform",
            "the mean distance of layer 1's attention, relative to uniform attention,",
            "is below 0.75",
            "x",
        ),
        (
            "distance, last layer less first",
            "the mean distance of the last layer's attention less that of the first, in tokens,",
            "is above 0",
            "tokens",
        ),
        (
            "share of tokens looked at in the last layer",
            "the number of tokens that the last layer looks at (e to the entropy), as a share of those it sees,",
            "is below 0.5",
            "x",
        ),
    ],
    "C3": [
        (text, f"perplexity, {text}: hidden size 256 / hidden size 100", "is below 1", "ratio")
        for text in ("train", *TEXTS)
    ],
    "C4": [
        (f"{one} against {other}", f"{P} {one} / {P} {other}", "does not lie between 0.980392 and 1.02", "ratio")
        for one, other in (("hbush", "obama"), ("hbush", "wbush"), ("obama", "wbush"))
    ],
    "C6": [
        (
            "test accuracy",
            "test accuracy with ALiBi less that with learned positions, in points,",
            "lies between -2 and 2",
            "points",
        )
    ],
    "C7": [("training time", f"classifier: {T}", "lies between 0.79 and 0.93", "ratio")],
    "C8": [("training time", f"decoder: {T}", "lies between 0.8275 and 0.9425", "ratio")],
    "C9": [
        (text, f"perplexity, {text}: ALiBi / learned positions", "is below 1", "ratio") for text in ("train", *TEXTS)
    ],
    "C10": [
        (
            f"{text}, {length} tokens",
            f"{P} {text}: read at {length} tokens / at 32",
            "lies between 0.98 and 1.02",
            "ratio",
        )
        for length in (64, 128)
        for text in TEXTS
    ],
    "C11": [
        ("gap", "training less test accuracy, in points: regularized less original", "is below 0", "points"),
    ],
    "C12": [
        (
            "test accuracy",
            "test accuracy, regularized less original, in points,",
            "lies between 1 and 3",
            "points",
        )
    ],
    "C13": [(f"against {rate}", f"{V} {rate}", "is above 0", "points") for rate in (0.3, 0.4, 0.5)],
}
PARTS["C5"] = PARTS["C2"][:2]


def test_every_claim_is_judged_by_what_it_is_about(results: dict[str, Any]) -> None:
    judgements = judge(results)
    assert {one["id"]: one["claim"] for one in judgements} == {
        "C1": "The classifier reaches its test accuracy by epoch 15 while training accuracy nears 100%",
        "C2": "Layer 1 of the encoder attends locally, layer 4 to a few tokens from everywhere",
        "C3": "A wider feed-forward layer lowers all four perplexities",
        "C4": "The three test sets differ in perplexity",
        "C5": "Layer 1 of the decoder attends to the tokens just before, layer 4 more widely",
        "C6": "ALiBi leaves the classifier's accuracy as it is",
        "C7": "ALiBi shortens the classifier's training by 14%",
        "C8": "ALiBi shortens the decoder's training by 11.5%",
        "C9": "ALiBi lowers train and all test perplexities",
        "C10": "With ALiBi trained at 32 tokens, perplexity is the same at 32, 64 and 128",
        "C11": "Batch norm and dropout narrow the gap between train and test accuracy",
        "C12": "Batch norm and dropout raise test accuracy by 2 points",
        "C13": "0.2 is the best dropout rate of 0.2 .. 0.5",
    }
    assert [one["id"] for one in judgements] == list(CLAIMS)
    for one in judgements:
        assert one["verdict"] == "holds", one
        found = [(part["label"], part["what"], typed(part["unit"]), part["verdict"]) for part in one["parts"]]
        assert found == [(label, what, unit, "holds") for label, what, _, unit in PARTS[one["id"]]]
        claims = [f"The claim is that {what} {place}." for _, what, place, _ in PARTS[one["id"]]]
        assert all(text in one["rule"] for text in claims), one["rule"]
        several = f"The claim holds when each of its {len(claims)} parts does"
        assert one["rule"].startswith(several if len(claims) > 1 else claims[0])


# --------------------------------------------------------- claims about a comparison: its interval may be planted


T2 = 4.302652729911  # Student's for 95%, of three seeds
RANGES: dict[
    str, tuple[str, str, str, str, dict[str, Any], float, float]
] = {  # one comparison of each claim, and the range in which the claim says that it lies
    "C3": ("decoder", "ff256", "ff100", "perplexity", {"text": "obama"}, -inf, 1.0),
    "C6": ("classifier", "alibi", "learned", "test accuracy", {"rows": "all"}, -2.0, 2.0),
    "C7": ("classifier", "alibi", "learned", "training time", {}, 0.79, 0.93),
    "C8": ("decoder", "alibi", "learned", "training time", {}, 0.8275, 0.9425),
    "C9": ("decoder", "alibi", "learned", "perplexity", {"text": "train"}, -inf, 1.0),
    "C10": (
        "decoder",
        "alibi",
        "alibi",
        "perplexity",
        {"text": "hbush", "length": 128, "protocol": {"sliding": False, "window": None}},
        0.98,
        1.02,
    ),
    "C11": ("classifier", REGULARIZED, "original", "train - test accuracy", {}, -inf, 0.0),
    "C12": ("classifier", REGULARIZED, "original", "test accuracy", {"rows": "all"}, 1.0, 3.0),
    "C13": ("validation", REGULARIZED, "batch-norm-dropout-0.4", "validation accuracy", {}, 0.0, inf),
}
LOWER = [(name, row[5]) for name, row in RANGES.items() if row[5] != -inf]
UPPER = [(name, row[6]) for name, row in RANGES.items() if row[6] != inf]
INSIDE_OUT = [  # multiples of EPSILON, from the edge into the range: where the interval ends, and what follows
    (1, 2, "holds"),
    (0, 2, "cannot tell"),
    (-1, 2, "cannot tell"),
    (-2, 0, "does not hold"),
    (-2, -1, "does not hold"),
]


def plant(results: dict[str, Any], name: str, low: float | None, high: float | None) -> None:
    """Put an interval in place of that of the claim's comparison, the one that stands in RANGES."""
    task, variant, base, measure, fields, *_ = RANGES[name]
    rows = [
        row
        for row in results["comparisons"]
        if (row["task"], row["variant"], row["base"], row["measure"]) == (task, variant, base, measure)
        and fields.items() <= row.items()
    ]
    (row,) = rows
    row["estimate"] = asdict(planted(low, high, row["unit"] == "ratio"))


def planted(low: float | None, high: float | None, ratio: bool = False) -> Estimate:
    """Three seeds with this interval."""
    if low is None or high is None:
        return Estimate(7.0, low, high, None, 7.0, 3, ratio=ratio)
    if ratio:
        mean, error = (low * high) ** 0.5, log(high / low) / 2 / T2
    else:
        mean, error = (low + high) / 2, (high - low) / 2 / T2
    return Estimate(mean, low, high, 3**0.5 * error, mean, 3, error, 2, ratio)


@pytest.mark.parametrize(("near", "far", "expected"), INSIDE_OUT)
@pytest.mark.parametrize(("name", "edge", "into"), [(*end, 1) for end in LOWER] + [(*end, -1) for end in UPPER])
def test_a_claim_about_a_comparison_turns_at_its_threshold_and_no_other_claim_does(
    results: dict[str, Any], name: str, edge: float, into: int, near: int, far: int, expected: str
) -> None:
    ends = sorted((edge + into * near * EPSILON, edge + into * far * EPSILON))
    if len(PARTS[name]) > 1 and expected == "does not hold":  # which must be surer, the more parts there are
        ends = sorted((edge - into * 10 * EPSILON, edge - into * 12 * EPSILON))
    plant(results, name, *ends)
    judgements = {one["id"]: one for one in judge(results)}
    assert {key: one["verdict"] for key, one in judgements.items()} == dict.fromkeys(CLAIMS, "holds") | {name: expected}
    (part,) = (
        part for part in judgements[name]["parts"] if part["estimate"]["low"] == pytest.approx(ends[0], rel=1e-12)
    )
    assert part["verdict"] == expected


@pytest.mark.parametrize("name", ["C3", "C9", "C10", "C13"])
def test_a_part_that_would_fail_alone_does_not_where_there_are_several(results: dict[str, Any], name: str) -> None:
    edge, into = (RANGES[name][5], 1) if RANGES[name][5] > -inf else (RANGES[name][6], -1)
    plant(results, name, *sorted((edge - into * 0.001, edge - into * 0.1)))
    assert claim(results, name)["verdict"] == "cannot tell"
    plant(results, name, *sorted((edge - into * 0.09, edge - into * 0.1)))
    assert claim(results, name)["verdict"] == "does not hold"


@pytest.mark.parametrize("name", RANGES)
def test_without_an_interval_nothing_can_be_told(results: dict[str, Any], name: str) -> None:
    plant(results, name, None, None)
    assert verdicts(results) == dict.fromkeys(CLAIMS, "holds") | {name: "cannot tell"}


def test_lengths_that_the_report_did_not_read_at_and_other_protocols_are_no_part_of_a_claim(
    results: dict[str, Any],
) -> None:
    others = [
        row
        for row in results["comparisons"]
        if (row["variant"], row["base"]) == ("alibi", "alibi")
        and (row["protocol"] != {"sliding": False, "window": None} or row["length"] == 256)
    ]
    assert len(others) == 3 * (3 * 4 - 2)  # three texts, three lengths, four protocols, less the two of the claim
    others.append(others[0] | {"text": "obama", "length": 129, "protocol": {"sliding": False, "window": None}})
    results["comparisons"].append(others[-1])
    for row in others:
        row["estimate"] = asdict(Estimate(9.0, 8.0, 10.0, 1.0, 9.0, 3))
    assert verdicts(results)["C10"] == "holds"


def test_the_name_of_a_text_may_have_spaces(results: dict[str, Any]) -> None:
    for row in results["comparisons"]:
        if row.get("text") == "obama":
            row["text"] = "barack h. obama"
    for name, label in (("C3", "barack h. obama"), ("C9", "barack h. obama"), ("C10", "barack h. obama, 64 tokens")):
        assert label in [part["label"] for part in claim(results, name)["parts"]]


# ----------------------------------------------------------- claims about records: three seeds, and their interval


def part(results: dict[str, Any], name: str, number: int) -> tuple[float, float, float]:
    """An effect and its interval, as one part of a claim gives it."""
    estimate = claim(results, name)["parts"][number]["estimate"]
    return estimate["mean"], estimate["low"], estimate["high"]


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        ((95 + EPSILON,) * 3, "holds"),
        ((95.0,) * 3, "does not hold"),
        ((95 - EPSILON,) * 3, "does not hold"),
        (seeds(95.0, 0.1), "cannot tell"),
        (seeds(95.0 + 2.5 * 0.1, 0.1), "holds"),  # by 2.484 spreads
        (seeds(95.0 + 2.4 * 0.1, 0.1), "cannot tell"),
        (seeds(95.0 - 3.6 * 0.1, 0.1), "does not hold"),  # by 3.583 spreads, as one of two parts
        (seeds(95.0 - 3.5 * 0.1, 0.1), "cannot tell"),
    ],
)
def test_training_accuracy_nears_100(results: dict[str, Any], accuracy: Any, expected: str) -> None:
    for run, value in zip(results["classifier"]["learned"], accuracy):
        run["epochs"][-1]["train_accuracy"] = value
    assert verdicts(results) == dict.fromkeys(CLAIMS, "holds") | {"C1": expected}
    assert part(results, "C1", 0) == pytest.approx(interval(accuracy))


def test_the_interval_of_a_share_stays_between_0_and_100(results: dict[str, Any]) -> None:
    for accuracy, expected in ((seeds(98.0, 1.0), (98.0, 98 - 2.4841, 100.0)), (seeds(2.0, 1.0), (2.0, 0.0, 4.4841))):
        for run, value in zip(results["classifier"]["learned"], accuracy):
            run["epochs"][-1]["train_accuracy"] = value
        assert part(results, "C1", 0) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((2 - EPSILON,) * 3, "holds"),
        ((2.0,) * 3, "does not hold"),
        ((2 + EPSILON,) * 3, "does not hold"),
        (seeds(2.0, 0.1), "cannot tell"),
    ],
)
def test_test_accuracy_is_reached_where_it_no_longer_changes(
    results: dict[str, Any], change: Any, expected: str, side: int
) -> None:
    before = [0.0] * 9 + [40.0, 50.0, 52.0, 48.0, 60.0]  # 50 on average over the five before the last
    for run, value in zip(results["classifier"]["learned"], change):
        for row, accuracy in zip(run["epochs"], [*before, 50 + side * value], strict=True):
            row["test_accuracy"] = accuracy
    assert claim(results, "C1")["verdict"] == expected
    assert part(results, "C1", 1) == pytest.approx(interval([side * value for value in change]))


def test_a_single_epoch_has_changed_nothing(results: dict[str, Any]) -> None:
    for run in results["classifier"]["learned"]:
        del run["epochs"][:-1]
    assert part(results, "C1", 1) == (0.0, 0.0, 0.0)


ATTENTION = {"C2": "encoder", "C5": "decoder"}


def look(results: dict[str, Any], name: str, statistic: str, layer: int, *by_seed: float) -> None:
    """Give the two heads of a layer values whose mean is that of each seed."""
    for seed, value in zip(results["attention"][ATTENTION[name]], by_seed, strict=True):
        seed[statistic][layer] = [value - 0.1, value + 0.1]


@pytest.mark.parametrize("name", ATTENTION)
def test_the_first_layer_attends_locally_below_three_quarters_of_even_attention(
    results: dict[str, Any], name: str
) -> None:
    for values, expected in (
        ((0.75 - EPSILON,) * 3, "holds"),
        ((0.75 + EPSILON,) * 3, "does not hold"),
        (tuple(seeds(0.75, 0.01)), "cannot tell"),
    ):
        look(results, name, "relative_distance", 0, *values)
        assert verdicts(results) == dict.fromkeys(CLAIMS, "holds") | {name: expected}
        assert part(results, name, 0) == pytest.approx(interval(values))


@pytest.mark.parametrize("name", ATTENTION)
def test_the_last_layer_attends_farther_than_the_first(results: dict[str, Any], name: str) -> None:
    look(results, name, "distance", 0, 3.0, 4.0, 5.0)
    for values, expected in (
        ((EPSILON,) * 3, "holds"),
        ((-EPSILON,) * 3, "does not hold"),
        ((0.0, 0.2, -0.1), "cannot tell"),
        ((1.0, 1.2, 1.1), "holds"),
        ((-1.0, -1.2, -1.1), "does not hold"),
    ):
        look(results, name, "distance", -1, *(first + change for first, change in zip((3.0, 4.0, 5.0), values)))
        assert verdicts(results) == dict.fromkeys(CLAIMS, "holds") | {name: expected}
        assert part(results, name, 1) == pytest.approx(interval(values), abs=1e-7)


def test_the_last_layer_of_the_encoder_looks_at_fewer_than_half_of_the_tokens(results: dict[str, Any]) -> None:
    def see(*shares: tuple[float, float]) -> None:  # of ten tokens, by seed: the two heads of the last layer
        for seed, heads in zip(results["attention"]["encoder"], shares):
            seed["entropy"][-1] = [log(10 * share) for share in heads]
            seed["relative_entropy"][-1] = [log(10 * share) / log(10) for share in heads]
            seed["relative_entropy"][0] = [1.0, 1.0]

    for shares, expected in (
        ([(0.2, 0.8 - EPSILON)] * 3, "holds"),
        ([(0.2, 0.8 + EPSILON)] * 3, "does not hold"),
        ([(0.2, 0.8), (0.2, 0.82), (0.2, 0.78)], "cannot tell"),
    ):
        see(*shares)
        assert verdicts(results) == dict.fromkeys(CLAIMS, "holds") | {"C2": expected}
        assert part(results, "C2", 2) == pytest.approx(interval([sum(heads) / 2 for heads in shares]))


def read(results: dict[str, Any], **by_text: Any) -> None:
    """Give the decoder with learned positions these perplexities by seed, of its last iteration."""
    for s, run in enumerate(results["decoder"]["learned"]):
        run["iterations"][-1]["perplexity"].update({text: values[s] for text, values in by_text.items()})
        run["iterations"][0]["perplexity"].update(dict.fromkeys(TEXTS, 1.0))  # which does not count


MARGIN = 1.02


def test_texts_differ_where_every_pair_does_in_either_direction(results: dict[str, Any]) -> None:
    read(results, obama=(500.0, 400.0, 450.0), wbush=(250.0, 200.0, 225.0), hbush=(250 * 1.1, 200 * 1.1, 225 * 1.1))
    assert part(results, "C4", 0) == pytest.approx((1.1 / 2,) * 3)
    assert part(results, "C4", 1) == pytest.approx((1.1,) * 3)
    assert part(results, "C4", 2) == pytest.approx((2.0,) * 3)
    for factor, expected in (
        (MARGIN + EPSILON, "holds"), (MARGIN - EPSILON, "does not hold"), (1.0, "does not hold"),
        (1 / MARGIN + EPSILON, "does not hold"), (1 / MARGIN - EPSILON, "holds"),
    ):  # fmt: skip
        read(results, hbush=(250 * factor, 200 * factor, 225 * factor))
        assert verdicts(results) == dict.fromkeys(CLAIMS, "holds") | {"C4": expected}, factor
    read(results, hbush=(250 * 1.1, 200 * 0.95, 225 * 1.0))
    assert verdicts(results) == dict.fromkeys(CLAIMS, "holds") | {"C4": "cannot tell"}


def test_texts_differ_by_their_lines(results: dict[str, Any]) -> None:
    """Seeds that agree do not make texts differ whose lines do not."""
    read(results, obama=(500.0, 400.0, 450.0), wbush=(250.0, 200.0, 225.0), hbush=(300.0, 240.0, 270.0))
    assert claim(results, "C4")["verdict"] == "holds"
    for spread, expected in ((0.001, "holds"), (1.0, "cannot tell")):
        for run in results["decoder"]["learned"]:
            run["stretch_nats"] = {text: [5.0 + spread, 5.0, 5.0 - spread] for text in TEXTS}
            run["stretch_tokens"] = {text: [1.0, 1.0, 1.0] for text in TEXTS}
        found = claim(results, "C4")
        assert found["verdict"] == expected
        one = found["parts"][1]
        assert (one["seeds"]["low"], one["seeds"]["high"]) == pytest.approx((1.2, 1.2))  # sure, by seeds alone
        assert one["items"]["error"] == pytest.approx(spread / 3**0.5 * 2**0.5)  # of two texts
        assert one["estimate"]["error"] == pytest.approx(one["items"]["error"])


# ----------------------------------------------------------------------------------------------- what would tell


def test_so_many_seeds_would_tell_and_so_many_minutes_they_take(results: dict[str, Any]) -> None:
    runs = results["classifier"]
    for name, seconds in (("learned", 60.0), ("alibi", 90.0)):
        for run in runs[name]:
            run["train_seconds"] = seconds
    assert {key for one in judge(results) for key in one if key in ("seeds_needed", "minutes")} == set()  # all hold
    plant(results, "C6", -1.0 - T2 / 3**0.5, -1.0 + T2 / 3**0.5)  # one standard deviation into the range
    found = claim(results, "C6")
    assert found["verdict"] == "cannot tell"
    assert found["seeds_needed"] == 10  # as in power tables
    assert found["minutes"] == pytest.approx((10 - 3) * 150 / 60)
    plant(results, "C6", -2.0 - 1.0, -2.0 + 1.0)  # at the edge
    found = claim(results, "C6")
    assert (found["verdict"], "seeds_needed" in found, "minutes" in found) == ("cannot tell", False, False)


def test_a_claim_of_several_parts_is_told_when_one_fails_or_all_hold(results: dict[str, Any]) -> None:
    def between(low: float, high: float) -> Part:
        return Part("", "", "points", planted(low, high), above=0)

    sd = T2 / 3**0.5
    half, whole, never, denied = (
        between(0.5 - sd, 0.5 + sd),
        between(1 - sd, 1 + sd),
        between(-1, 1),
        between(-1 - sd, sd - 1),
    )
    assert enough([half], ONE_SIDED, 2) == 34
    assert enough([half, whole], ONE_SIDED, 2) == 34
    assert enough([half, never], ONE_SIDED, 2) is None
    assert enough([half, denied], ONE_SIDED, 1) == 10
    assert enough([half, denied], ONE_SIDED, 2) == 13  # a failure of one of two must be surer
    assert enough([denied, between(-0.5 - sd, sd - 0.5)], ONE_SIDED, 2) == 13
    assert enough([never], ONE_SIDED, 1) is None


def test_what_more_seeds_of_each_claim_train(results: dict[str, Any]) -> None:
    one = worlds.record(results)

    def seconds(kind: str, *variants: str) -> float:
        return sum(run["train_seconds"] for name in variants for run in results[kind][name]) / 3

    regularized = ("original", REGULARIZED)
    expected = {
        "C1": seconds("classifier", "learned"), "C2": seconds("classifier", "learned"),
        "C3": seconds("decoder", "ff256", "ff100"), "C4": seconds("decoder", "learned"),
        "C5": seconds("decoder", "learned"), "C6": seconds("classifier", "learned", "alibi"),
        "C9": seconds("decoder", "learned", "alibi"), "C10": seconds("decoder", "alibi"),
        "C11": seconds("classifier", *regularized), "C12": seconds("classifier", *regularized),
        "C13": seconds("validation", *results["validation"]),
    }  # fmt: skip
    assert {name: seconds_of_a_seed(one, name) for name in TRAINED} == pytest.approx(expected)


# --------------------------------------------------------------------------------------- what is not said, and notes


def test_one_seed_cannot_tell(results: dict[str, Any]) -> None:
    one = {
        kind: {name: runs[:1] for name, runs in results[kind].items()}
        for kind in ("classifier", "decoder", "validation", "extrapolation")
    }
    attention = {kind: seeds[:1] for kind, seeds in results["attention"].items()}
    found = verdicts(judged(results | one | {"attention": attention}))
    assert found == dict.fromkeys(CLAIMS, "cannot tell") | dict.fromkeys(("C7", "C8"), "holds")  # times have rounds


COMPARED = {
    "learned": {"C1", "C6"},
    "alibi": {"C6"},
    "original": {"C11", "C12"},
    REGULARIZED: {"C11", "C12"},
    "batch-norm": set(),
}


@pytest.mark.parametrize(("variant", "concerned"), COMPARED.items())
def test_runs_that_ended_at_chance_are_counted_and_nothing_is_said_where_none_trained(
    results: dict[str, Any], variant: str, concerned: set[str]
) -> None:
    before = {one["id"]: one["note"] for one in judge(results)}
    runs = results["classifier"][variant]
    runs[1]["trained"] = False
    judged(results)
    note = f"1 of 3 runs ({variant}) ended at chance, 33 [6, 79] %, and are left out"
    after = {one["id"]: one["note"] for one in judge(results)}
    assert {name: one.split("; a difference")[0] for name, one in after.items()} == before | dict.fromkeys(
        concerned, note
    )
    for run in runs:
        run["trained"] = False
    judged(results)
    after = {one["id"]: one for one in judge(results)}
    for name in concerned:
        assert after[name]["note"].startswith(f"3 of 3 runs ({variant}) ended at chance, 100 [44, 100] %")
        assert after[name]["note"].endswith("; without a seed on which these trained, nothing is said about accuracy")
        assert (after[name]["verdict"], "seeds_needed" in after[name]) == ("cannot tell", False)
    assert all(one["note"] == before[name] for name, one in after.items() if name not in concerned)
    assert all(one["verdict"] == "holds" for name, one in after.items() if name not in concerned)


def test_a_run_that_did_not_train_does_not_move_a_verdict_about_accuracy(results: dict[str, Any]) -> None:
    """One failed run of three among the compared would leave nothing to say."""
    for name in ("learned", REGULARIZED):
        run = results["classifier"][name][0]
        run["trained"] = False
        run["epochs"][-1]["train_accuracy"] = run["epochs"][-1]["test_accuracy"] = 33.3
        run["test"]["all"]["accuracy"] = 33.3
    found = {one["id"]: one for one in judge(judged(results))}
    for name in ("C1", "C6", "C11", "C12"):
        assert all(part["estimate"]["n"] == 2 for part in found[name]["parts"])
    assert abs(found["C6"]["parts"][0]["estimate"]["mean"]) < 2
    (row,) = (row for row in results["comparisons"] if (row["base"], row["measure"]) == ("learned", "runs at chance")
              and row["variant"] == "alibi")  # fmt: skip
    assert row["estimate"]["mean"] == pytest.approx(-100 / 3)


def test_runs_at_chance_are_counted_variant_by_variant(results: dict[str, Any]) -> None:
    results["classifier"]["learned"][0]["trained"] = False
    for run in results["classifier"]["alibi"][:2]:
        run["trained"] = False
    judged(results)
    assert typed(claim(results, "C6")["note"]) == (
        "1 of 3 runs (learned) ended at chance, 33 [6, 79] %, and are left out; "
        "2 of 3 runs (alibi) ended at chance, 67 [21, 94] %, and are left out; a difference of 33 [-32, 72] points"
    )


def test_the_change_of_the_control_stands_beside_that_of_alibi(results: dict[str, Any]) -> None:
    ours = "Mean change of test perplexity against learned positions: ALiBi -10.0%, no positions at all -4.8%."
    assert (
        typed(claim(results, "C9")["note"])
        == f"{ours} No positions at all give 48% of ALiBi's gain: that part is not due to ALiBi."
    )  # without train
    for row in results["comparisons"]:
        if row["variant"] == "none" and row["measure"] == "perplexity":
            row["estimate"]["mean"] = {"train": 0.5}.get(row["text"], 1.0)
    text = typed(claim(results, "C9")["note"])
    assert text == "Mean change of test perplexity against learned positions: ALiBi -10.0%, no positions at all +0.0%."
    results["comparisons"] = [row for row in results["comparisons"] if row["variant"] != "none"]
    assert claim(results, "C9")["note"] == ""


def test_the_rate_that_validation_chooses_stands_beside_the_reports(results: dict[str, Any]) -> None:
    assert claim(results, "C13")["note"] == "Highest mean validation accuracy: dropout 0.2."
    results["chosen_rate"] = "batch-norm-dropout-0.4"
    assert claim(results, "C13")["note"] == "Highest mean validation accuracy: dropout 0.4."
    results["chosen_rate"] = None
    assert claim(results, "C13")["note"] == ""


def test_notes_stand_where_they_belong_and_nowhere_else(results: dict[str, Any]) -> None:
    notes = {one["id"]: one["note"] for one in judge(results)}
    assert notes == dict.fromkeys(CLAIMS, "") | {name: notes[name] for name in ("C9", "C13")}
    assert all(notes[name] for name in ("C9", "C13"))


def test_only_claims_with_evidence_are_judged(results: dict[str, Any]) -> None:
    part3 = {name: value for name, value in results.items() if name != "attention"}  # not about parts 1 and 2
    assert set(verdicts(part3)) == {"C3", *(f"C{n}" for n in range(6, 14))}
    assert set(verdicts(results | {"attention": {"encoder": results["attention"]["encoder"]}})) == set(CLAIMS) - {"C5"}
    half = results | {"classifier": {}, "decoder": {}, "timing": {}, "extrapolation": {}, "halves": []}
    assert set(verdicts(judged(half))) == {"C2", "C5", "C13"}
    empty: dict[str, Any] = {
        name: {} for name in ("classifier", "decoder", "timing", "extrapolation", "validation", "attention")
    }
    assert judge(judged(results | empty)) == []


def test_a_decoder_of_one_width_has_nothing_to_say_of_width(results: dict[str, Any]) -> None:
    del results["decoder"]["ff100"]
    assert "C3" not in verdicts(judged(results))


def test_published_numbers_fit_together() -> None:
    times = PUBLISHED_SECONDS
    saved = {task: 1 - both["alibi"] / both["learned"] for task, both in times.items()}
    assert saved == {"classifier": pytest.approx(0.14, abs=0.001), "decoder": pytest.approx(0.115, abs=0.001)}
    assert len(PUBLISHED_ACCURACY) == worlds.N_EPOCHS
    assert all(len(values) == 5 for values in PUBLISHED_PERPLEXITY[256].values())


def test_more_seeds_are_trained_of_what_is_undecided_and_may_be_told(results: dict[str, Any]) -> None:
    assert undecided(worlds.record(results)) == []
    runs = results["decoder"]["alibi"]
    for run, factor in zip(runs, (0.8, 1.0, 1.25)):  # a spread that hides the gain
        run["iterations"][-1]["perplexity"]["train"] *= factor
    results = judged(results)
    assert verdicts(results)["C9"] == "cannot tell"
    assert undecided(worlds.record(results)) == [("decoder", "alibi"), ("decoder", "learned")]


def test_no_seeds_are_added_for_a_claim_about_time(results: dict[str, Any]) -> None:
    seconds = results["timing"]["classifier"]["seconds"]["alibi"]
    results["timing"]["classifier"]["seconds"]["alibi"] = [0.7 * seconds[0], seconds[1], 1.2 * seconds[2]]
    results = judged(results)
    assert verdicts(results)["C7"] == "cannot tell"
    assert "seeds_needed" not in claim(results, "C7")
    assert undecided(worlds.record(results)) == []
    once = results["timing"]["classifier"]
    once["seconds"] = {name: own[:1] for name, own in once["seconds"].items()}  # so that there is no spread
    results = judged(results)
    assert undecided(worlds.record(results)) == []
