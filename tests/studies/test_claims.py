"""Verdicts on answers that are known, at both sides of every edge: no other claim may turn with the one that does."""

from collections.abc import Iterator, Sequence
from math import inf, log
from statistics import stdev
from typing import Any

import made_up
import pytest
from made_up import TEXTS, seeds
from msgspec.structs import replace

from evaluation.statistics import ONE_SIDED, Estimate
from studies.answers import SIDE_BY_SIDE, Answers, Judgement, Reading
from studies.catalogue import published
from studies.catalogue.claims import CLAIMS, REGULARIZED, claims_on
from studies.claims import Part, Range, enough, judge, undecided_variants
from training.records import Epoch

EPSILON = 1e-6
T2 = 4.302652729911  # Student's for 95%, of three seeds
NAMES = [claim.id for claim in CLAIMS]
EDGES = {  # of the claims about a comparison: between which its interval must lie
    **{"C3": (-inf, 1), "C6": (-2, 2), "C7": (0.79, 0.93), "C8": (0.8275, 0.9425), "C9": (-inf, 1)},
    **{"C10": (0.98, 1.02), "C11": (-inf, 0), "C12": (1, 3), "C13": (0, inf)},
}
FROM_OUTSIDE = ("does not hold", "cannot tell", "holds")
N_PARTS = {"C1": 2, "C2": 3, "C3": 4, "C4": 3, "C5": 2, "C9": 4, "C10": 6, "C13": 3}  # of all others one


@pytest.fixture
def answers() -> Answers:
    return made_up.answers()


def judgements(answers: Answers) -> dict[str, Judgement]:
    return {judged.id: judged for judged in judge(CLAIMS, answers)}


def only(name: str, verdict: str) -> dict[str, str]:
    """This verdict on one claim, and that all others hold."""
    return dict.fromkeys(NAMES, "holds") | {name: verdict}


def verdicts(answers: Answers) -> dict[str, str]:
    return {name: judged.verdict for name, judged in judgements(answers).items()}


def planted(low: float | None, high: float | None, ratio: bool = False) -> Estimate:
    """Of three seeds, with this interval."""
    if low is None or high is None:
        return Estimate(7.0, low, high, None, 7.0, 3, ratio=ratio)
    mean, half = ((low * high) ** 0.5, log(high / low) / 2) if ratio else ((low + high) / 2, (high - low) / 2)
    return Estimate(mean, low, high, 3**0.5 * half / T2, mean, 3, half / T2, 2, ratio)


def plant(answers: Answers, name: str, number: int, low: float | None, high: float | None) -> None:
    """Put an interval in place of that of the comparison behind a part of a claim."""
    estimate = judgements(answers)[name].parts[number].estimate
    ((place, row),) = [(i, row) for i, row in enumerate(answers.comparisons) if row.estimate is estimate]
    answers.comparisons[place] = replace(row, estimate=planted(low, high, row.unit == "ratio"))


# ------------------------------------------------------------------------------------------------- the claims as data
def test_each_claim_has_its_parts_and_holds_where_all_of_them_do(answers: Answers) -> None:
    judged = judgements(answers)
    assert list(judged) == [f"C{number}" for number in range(1, 14)]
    for claim in CLAIMS:
        parts = judged[claim.id].parts
        assert (judged[claim.id].claim, judged[claim.id].verdict) == (claim.text, "holds")
        assert [part.verdict for part in parts] == ["holds"] * N_PARTS.get(claim.id, 1)
        assert len({part.label for part in parts}) == len({part.what for part in parts}) == len(parts)
        assert all(f"The claim is that {part.what} " in judged[claim.id].rule for part in parts)
        assert judged[claim.id].rule.startswith("The claim holds when each of its") == (len(parts) > 1)


def cases() -> Iterator[tuple[str, int, float, int]]:
    """Every part of a claim that is about a comparison, each edge, and on which side of it the claim holds."""
    for name, (low, high) in EDGES.items():
        for number in range(N_PARTS.get(name, 1)):
            yield from ((name, number, edge, into) for edge, into in ((low, 1), (high, -1)) if abs(edge) < inf)


@pytest.mark.parametrize(("name", "number", "edge", "into"), list(cases()))
def test_a_claim_turns_at_each_edge_of_its_range_and_no_other_claim_does(
    answers: Answers, name: str, number: int, edge: float, into: int
) -> None:
    surer = 10 if name in N_PARTS else 0  # of several parts, one that fails must be surer of it
    for near, far, verdict in (  # where the interval ends, in steps into the range
        *((1, 2, "holds"), (0, 2, "cannot tell"), (-1, 2, "cannot tell")),
        (-2 - surer, 0 - surer, "does not hold"),
    ):
        plant(answers, name, number, *sorted(edge + into * steps * EPSILON for steps in (near, far)))
        judged = judgements(answers)
        assert {key: each.verdict for key, each in judged.items()} == only(name, verdict), (near, far)
        assert judged[name].parts[number].verdict == verdict
    plant(answers, name, number, None, None)
    assert verdicts(answers) == only(name, "cannot tell")


@pytest.mark.parametrize("name", [name for name in EDGES if name in N_PARTS])
def test_a_part_that_would_fail_alone_does_not_where_there_are_several(answers: Answers, name: str) -> None:
    """Holm's rule."""
    low, high = EDGES[name]
    edge, into = (low, 1) if low > -inf else (high, -1)
    for nearest, verdict in ((0.001, "cannot tell"), (0.09, "does not hold")):
        plant(answers, name, 0, *sorted((edge - into * nearest, edge - into * 0.1)))
        assert verdicts(answers) == only(name, verdict)


def test_what_was_published_lies_where_the_claims_say() -> None:
    """The sizes are the report's own."""
    for name, kind in (("C7", "classifier"), ("C8", "decoder")):
        seconds = published.PUBLISHED_SECONDS[kind]
        saved, (low, high) = 1 - seconds["alibi"] / seconds["learned"], EDGES[name]
        assert (1 - 1.5 * saved, 1 - saved / 2) == pytest.approx((low, high), abs=0.002)
    classifiers, decoders = published.PUBLISHED["classifier"], published.PUBLISHED["decoder"]
    accuracies = classifiers["original"].reached["all"]
    gain = classifiers["batch-norm-dropout-0.2"].reached["all"][-1] - accuracies[-1]
    assert EDGES["C12"] == pytest.approx((gain / 2, 1.5 * gain), abs=0.2)
    wide, narrow = decoders["ff256"].reached, decoders["ff100"].reached
    assert all(wide[text][-1] < narrow[text][-1] for text in narrow)
    assert len(accuracies) == 15


def test_lengths_that_the_report_did_not_read_at_and_other_ways_are_no_part_of_a_claim(answers: Answers) -> None:
    rows = [(i, row) for i, row in enumerate(answers.comparisons) if row.base == "alibi" and row.length]
    others = [i for i, row in rows if row.reading != SIDE_BY_SIDE or row.length == 256]
    assert len(others) == 3 * (2 * 3 - 2)  # three texts, two ways, three lengths, less the two of the claim
    for i in others:
        answers.comparisons[i] = replace(answers.comparisons[i], estimate=planted(8.0, 10.0))
    row = answers.comparisons[others[0]]
    for reading, length in ((SIDE_BY_SIDE, 129), (Reading(sliding=False, window=31), 64)):
        answers.comparisons.append(replace(row, reading=reading, length=length))
    assert set(verdicts(answers).values()) == {"holds"}


# ----------------------------------------------------------------------------- levels and changes of each seed's number
def interval(values: Sequence[float]) -> tuple[float, float, float]:
    mean, half = sum(values) / 3, T2 * stdev(values) / 3**0.5
    return mean, mean - half, mean + half


def check(answers: Answers, name: str, number: int, values: Sequence[float], verdict: str) -> None:
    """A claim, and no other, has this verdict, by these values of a part."""
    judged = judgements(answers)
    assert {key: each.verdict for key, each in judged.items()} == only(name, verdict), values
    estimate = judged[name].parts[number].estimate
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx(interval(values), abs=1e-7)


def epochs(answers: Answers, *histories: Sequence[tuple[float, float]]) -> None:
    """Give the classifiers with learned positions these accuracies, of training and test, by epoch."""
    for seed, history in enumerate(histories):
        rows = [Epoch(n, 0.1, train, test) for n, (train, test) in enumerate(history, 1)]
        answers.classifier["learned"][seed] = replace(answers.classifier["learned"][seed], epochs=rows)


def test_training_accuracy_nears_100(answers: Answers) -> None:
    for mean, spread, verdict in (
        *((95 + EPSILON, 0.0, "holds"), (95.0, 0.0, "does not hold"), (95.0, 0.1, "cannot tell")),
        *((95.25, 0.1, "holds"), (95.24, 0.1, "cannot tell")),  # by 2.484 spreads
        *((94.64, 0.1, "does not hold"), (94.65, 0.1, "cannot tell")),  # by 3.583 spreads, as one of two parts
    ):
        epochs(answers, *([(50.0, 60.0), (value, 60.0)] for value in seeds(mean, spread)))
        check(answers, "C1", 0, seeds(mean, spread), verdict)


def test_the_interval_of_a_share_stays_between_0_and_100(answers: Answers) -> None:
    for mean, low, high in ((98.0, 98 - 2.4841, 100.0), (2.0, 0.0, 4.4841)):
        epochs(answers, *([(value, 60.0)] for value in seeds(mean, 1.0)))
        accuracy, change = (part.estimate for part in judgements(answers)["C1"].parts)
        assert (accuracy.low, accuracy.high) == pytest.approx((low, high), abs=1e-4)
        assert (change.mean, change.low, change.high) == (0.0, 0.0, 0.0)  # a single epoch has changed nothing


@pytest.mark.parametrize("side", [1, -1])
def test_test_accuracy_is_reached_where_it_no_longer_changes(answers: Answers, side: int) -> None:
    before = [0.0, 40.0, 50.0, 52.0, 48.0, 60.0]  # 50 on average over the last five
    for changes, verdict in zip(((2.0,) * 3, seeds(2.0, 0.1), (2 - EPSILON,) * 3), FROM_OUTSIDE):
        epochs(answers, *([(99.0, value) for value in [*before, 50 + side * change]] for change in changes))
        check(answers, "C1", 1, [side * change for change in changes], verdict)


def look(answers: Answers, kind: Any, statistic: str, layer: int, by_seed: Sequence[float]) -> None:
    """Give the two heads of a layer values whose mean is that of each seed."""
    models = answers.attention[kind]["learned"]
    for seed, value in enumerate(by_seed):
        layers = [list(heads) for heads in getattr(models[seed], statistic)]
        layers[layer] = [value - 0.1, value + 0.1]
        models[seed] = replace(models[seed], **{statistic: layers})


@pytest.mark.parametrize(("name", "kind"), [("C2", "classifier"), ("C5", "decoder")])
def test_the_first_layer_looks_near_and_the_last_one_farther(answers: Answers, name: str, kind: str) -> None:
    for values, verdict in zip(((0.75 + EPSILON,) * 3, seeds(0.75, 0.01), (0.75 - EPSILON,) * 3), FROM_OUTSIDE):
        look(answers, kind, "relative_distance", 0, values)
        check(answers, name, 0, values, verdict)
    look(answers, kind, "distance", 0, [3.0, 4.0, 5.0])
    for values, verdict in zip(((-EPSILON,) * 3, (0.0, 0.2, -0.1), (EPSILON,) * 3), FROM_OUTSIDE):
        look(answers, kind, "distance", -1, [first + change for first, change in zip((3.0, 4.0, 5.0), values)])
        check(answers, name, 1, values, verdict)


def test_the_last_layer_of_the_encoder_looks_at_fewer_than_half_of_the_tokens(answers: Answers) -> None:
    models = answers.attention["classifier"]["learned"]
    for second, verdict in zip(((0.8 + EPSILON,) * 3, (0.8, 0.82, 0.78), (0.8 - EPSILON,) * 3), FROM_OUTSIDE):
        for seed, share in enumerate(second):  # of ten tokens, by the two heads of the last layer
            entropy = [log(10 * 0.2), log(10 * share)]
            relative = [value / log(10) for value in entropy]
            models[seed] = replace(models[seed], entropy=[[1.0, 1.0], entropy], relative_entropy=[[1.0, 1.0], relative])
        check(answers, "C2", 2, [(0.2 + share) / 2 for share in second], verdict)


def read(answers: Answers, nats: Sequence[float] = (5.0,), **perplexities: Sequence[float]) -> None:
    """Give the decoders with learned positions these perplexities by seed, and all texts these nats by line."""
    runs = answers.decoder["learned"]
    for seed, run in enumerate(runs):
        scores = {text: replace(run.scores[text], perplexity=perplexities[text][seed]) for text in TEXTS}
        lines, tokens = (dict.fromkeys(TEXTS, values) for values in (list(nats), [1.0] * len(nats)))
        runs[seed] = replace(run, scores=scores, stretch_nats=lines, stretch_tokens=tokens)


def test_texts_differ_where_every_pair_does_in_either_direction(answers: Answers) -> None:
    for factors, verdict in (
        *(((1.02 + EPSILON,) * 3, "holds"), ((1.02 - EPSILON,) * 3, "does not hold"), ((1.0,) * 3, "does not hold")),
        *(((1 / 1.02 + EPSILON,) * 3, "does not hold"), ((1 / 1.02 - EPSILON,) * 3, "holds")),
        ((1.1, 0.95, 1.0), "cannot tell"),
    ):
        wbush = (250.0, 200.0, 225.0)
        hbush = [value * factor for value, factor in zip(wbush, factors)]
        read(answers, obama=(500.0, 400.0, 450.0), wbush=wbush, hbush=hbush)
        assert verdicts(answers) == only("C4", verdict), factors
        ratios = [part.estimate.mean for part in judgements(answers)["C4"].parts]
        mean = (factors[0] * factors[1] * factors[2]) ** (1 / 3)
        assert ratios == pytest.approx([mean / 2, mean, 2.0])  # hbush, obama and wbush, two by two


def test_texts_differ_by_their_lines(answers: Answers) -> None:
    """Seeds that agree do not make texts differ whose lines do not."""
    for spread, verdict in ((0.001, "holds"), (1.0, "cannot tell")):
        nats = (5.0 + spread, 5.0, 5.0 - spread)
        read(answers, nats, obama=(500.0, 400.0, 450.0), wbush=(250.0, 200.0, 225.0), hbush=(300.0, 240.0, 270.0))
        judged = judgements(answers)["C4"]
        assert judged.verdict == verdict
        part = judged.parts[1]
        assert part.seeds is not None
        assert (part.seeds.low, part.seeds.high) == pytest.approx((1.2, 1.2))  # sure, by seeds alone
        assert part.items is not None
        assert part.estimate.error == part.items.error == pytest.approx(spread / 3**0.5 * 2**0.5)  # of two texts


# ---------------------------------------------------------------------------------------------------- what would tell
def test_so_many_seeds_would_tell_and_so_many_minutes_they_take(answers: Answers) -> None:
    assert {judged.seeds_needed for judged in judgements(answers).values()} == {None}  # all hold
    for name, seconds in (("learned", 60.0), ("alibi", 90.0)):
        runs = answers.classifier[name]
        runs[:] = [replace(run, train_seconds=seconds) for run in runs]
    plant(answers, "C6", 0, -1.0 - T2 / 3**0.5, -1.0 + T2 / 3**0.5)  # one standard deviation into the range
    judged = judgements(answers)["C6"]
    assert (judged.verdict, judged.seeds_needed) == ("cannot tell", 10)  # as in power tables
    assert judged.minutes == pytest.approx((10 - 3) * 150 / 60)
    assert undecided_variants(CLAIMS, answers) == [("classifier", "alibi"), ("classifier", "learned")]
    plant(answers, "C6", 0, -2.0 - 1.0, -2.0 + 1.0)  # at the edge no number of seeds would
    judged = judgements(answers)["C6"]
    assert (judged.verdict, judged.seeds_needed, judged.minutes) == ("cannot tell", None, None)
    assert undecided_variants(CLAIMS, answers) == []


def test_a_claim_of_several_parts_is_told_when_one_fails_or_all_hold() -> None:
    sd = T2 / 3**0.5

    def part(mean: float, half: float = sd) -> Part:
        return Part("", "", "points", Range(above=0), planted(mean - half, mean + half))

    half, whole, never, denied = part(0.5), part(1.0), part(0.0, 1.0), part(-1.0)
    for unclear, n_parts, n_seeds in (
        *(([half], 2, 34), ([half, whole], 2, 34), ([half, never], 2, None)),
        *(([half, denied], 1, 10), ([half, denied], 2, 13)),  # a failure of one of two must be surer
        *(([denied, part(-0.5)], 2, 13), ([never], 1, None)),
    ):
        assert enough(unclear, ONE_SIDED, n_parts) == n_seeds


def test_more_seeds_are_trained_of_what_is_undecided_and_may_be_told(answers: Answers) -> None:
    assert undecided_variants(CLAIMS, answers) == []
    plant(answers, "C13", 0, -0.5, 1.0)
    rates = [("validation", f"batch-norm-dropout-{rate}") for rate in made_up.RATES]
    assert undecided_variants(CLAIMS, answers) == rates
    plant(answers, "C9", 0, 0.8, 1.1)
    plant(answers, "C7", 0, 0.7, 1.2)  # about time, which has no seeds
    assert (verdicts(answers)["C7"], judgements(answers)["C7"].seeds_needed) == ("cannot tell", None)
    plant(answers, "C8", 0, None, None)
    assert undecided_variants(CLAIMS, answers) == [("decoder", "alibi"), ("decoder", "learned"), *rates]


# ---------------------------------------------------------------------------------------- what is not said, and notes
def test_one_seed_cannot_tell(answers: Answers) -> None:
    models: list[Any] = [answers.classifier, answers.decoder, answers.validation, answers.lengths["decoder"]]
    for by_variant in [*models, *answers.attention.values()]:
        for variant in by_variant:
            by_variant[variant] = by_variant[variant][:1]
    times = {"C7": "holds", "C8": "holds"}  # which have rounds, not seeds
    assert verdicts(made_up.compared(answers)) == dict.fromkeys(NAMES, "cannot tell") | times


def fail(answers: Answers, variant: str, *which: int) -> None:
    """These runs end at chance."""
    for seed in which:
        run = answers.classifier[variant][seed]
        history = [replace(row, train_accuracy=33.3, test_accuracy=33.3) for row in run.epochs]
        test = {group: replace(rows, accuracy=33.3) for group, rows in run.test.items()}
        answers.classifier[variant][seed] = replace(run, trained=False, epochs=history, test=test)


def notes(answers: Answers) -> dict[str, str]:
    return {name: judged.note.replace("\N{MINUS SIGN}", "-") for name, judged in judgements(answers).items()}


@pytest.mark.parametrize(
    ("variant", "concerned"),
    [("learned", {"C1", "C6"}), ("alibi", {"C6"}), ("original", {"C11", "C12"}), (REGULARIZED, {"C11", "C12"})],
)
def test_runs_that_did_not_train_are_counted_and_nothing_is_said_where_none_trained(
    answers: Answers, variant: str, concerned: set[str]
) -> None:
    before = notes(answers)
    assert {name for name, note in before.items() if note} == {"C9", "C13"}
    fail(answers, variant, 0)
    answers = made_up.compared(answers)  # two seeds are enough, and the failed one does not move a verdict
    assert set(verdicts(answers).values()) == {"holds"}
    assert all(part.estimate.n == 2 for name in concerned for part in judgements(answers)[name].parts)
    told = f"1 of 3 runs ({variant}) did not train, 33 [6, 79] %, and are left out"
    assert {name: note.split("; a difference")[0] for name, note in notes(answers).items()} == before | dict.fromkeys(
        concerned, told
    )
    fail(answers, variant, 1, 2)
    answers = made_up.compared(answers)
    assert verdicts(answers) == dict.fromkeys(NAMES, "holds") | dict.fromkeys(concerned, "cannot tell")
    for name, judged in judgements(answers).items():
        nothing = judged.note.endswith("; without a seed on which these trained, nothing is said about accuracy")
        assert nothing == (name in concerned)
        assert judged.seeds_needed is None


def test_runs_that_did_not_train_are_told_variant_by_variant(answers: Answers) -> None:
    fail(answers, "learned", 0)
    fail(answers, "alibi", 0, 1)
    assert notes(made_up.compared(answers))["C6"] == (
        "1 of 3 runs (learned) did not train, 33 [6, 79] %, and are left out; "
        "2 of 3 runs (alibi) did not train, 67 [21, 94] %, and are left out; a difference of 33 [-32, 72] points"
    )


def test_the_change_of_the_control_stands_beside_that_of_alibi(answers: Answers) -> None:
    alibi = "Mean change of test perplexity against learned positions: ALiBi -10.0%, no positions at all"
    gain = "No positions at all give 48% of ALiBi's gain: that part is not due to ALiBi."
    assert notes(answers)["C9"] == f"{alibi} -4.8%. {gain}"  # without the training text
    rows, none = answers.comparisons, {"question": "decoder", "variant": "none", "base": "learned"}
    for row in answers.find(**none, measure="perplexity"):
        rows[rows.index(row)] = replace(row, estimate=planted(1.0, 1.0, True))
    assert notes(answers)["C9"] == f"{alibi} +0.0%."
    rows[:] = [row for row in rows if row.variant != "none"]
    assert notes(answers)["C9"] == ""


def test_the_rate_that_validation_chooses_is_that_of_the_highest_mean(answers: Answers) -> None:
    assert notes(answers)["C13"] == "Highest mean validation accuracy: dropout 0.2."
    runs = [made_up.classifier_run(value) for value in (10.0, 85.0, 84.0)]  # 59.67 on average
    answers.validation["batch-norm-dropout-0.4"][:] = runs
    assert notes(answers)["C13"] == "Highest mean validation accuracy: dropout 0.4."


def test_only_claims_with_evidence_are_judged(answers: Answers) -> None:
    def judged(**fields: Any) -> set[str]:
        return set(verdicts(made_up.compared(replace(answers, **fields))))

    assert judged(attention={}) == set(NAMES) - {"C1", "C2", "C4", "C5"}  # part 3 is not about parts 1 and 2
    assert judged(attention={"classifier": answers.attention["classifier"]}) == set(NAMES) - {"C5"}
    assert judged(classifier={}, decoder={}, timing={}, lengths={}) == {"C2", "C5", "C13"}
    one_width = {name: runs for name, runs in answers.decoder.items() if name != "ff100"}
    assert judged(decoder=one_width) == set(NAMES) - {"C3"}
    nothing: Any = {name: {} for name in ("classifier", "decoder", "timing", "lengths", "validation", "attention")}
    assert judged(**nothing) == set()


def test_on_other_peoples_texts_sized_claims_are_left_out_and_no_number_of_texts_is_said(answers: Answers) -> None:
    assert claims_on(answers) == list(CLAIMS)
    for other in (
        replace(answers, data=replace(answers.data, class_names=["Ann", "Ben", "Cleo"])),
        replace(answers, test_names=list(TEXTS[:2])),
    ):
        claims = {claim.id: claim for claim in claims_on(other)}
        assert list(claims) == [name for name in NAMES if name not in ("C7", "C8", "C12")]
        for claim in CLAIMS:
            if claim.id in claims:
                assert not {"three", "four"} & set(claims[claim.id].text.split())
                assert (claims[claim.id].text != claim.text) == (claim.id in ("C3", "C4"))
    assert len(judgements(replace(answers, test_names=list(TEXTS[:2])))["C4"].parts) == 1
