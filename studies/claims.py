"""What our runs say of each of the report's claims: holds, does not hold, or cannot tell.

A claim is cut into parts that can be measured; each part is an effect with its interval and a range in which the claim
says it lies. The rule that makes a verdict of them is `statistics.verdict`, and is printed with it.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, inf

from evaluation.crossed import crossed
from evaluation.statistics import (
    UNCLEAR,
    Estimate,
    all_of,
    of_several,
    paired_difference,
    paired_ratio,
    seeds_needed,
    summary,
    verdict,
)
from studies.comparisons import both_trained, nats_of_two_texts, share_at_chance
from studies.knockouts import KnockOut
from studies.knockouts import Part as ModelPart
from studies.published import claims_on
from studies.results import SIDE_BY_SIDE, Comparison, Exploration, JudgedPart, Judgement, Kind, last_perplexities
from studies.study import DROPOUT
from training.recipe import Task

NEARS_100, AS_IT_IS, LOCAL, FEW, SAME_PERPLEXITY = 95.0, 2.0, 0.75, 0.5, 0.02
AROUND = (0.5, 1.5)  # "by 14%": from half of what was published to one and a half times that
REPORTS_VARIANT = "batch-norm-dropout-0.2"
COMPARED = {  # the classifiers whose accuracy a claim is about
    "C1": ("learned", "learned"),
    "C6": ("alibi", "learned"),
    "C11": (REPORTS_VARIANT, "original"),
    "C12": (REPORTS_VARIANT, "original"),
}


@dataclass(frozen=True)
class Part:
    """One measurable part of a claim: an effect, and the range in which, or outside which, the claim says it lies."""

    label: str  # a few words, where there is no room for `what`
    what: str
    unit: str  # "ratio", or what stands after the number
    estimate: Estimate
    above: float = -inf
    below: float = inf
    outside: bool = False
    seeds: Estimate | None = None  # behind an estimate for other seeds and items at once: either alone
    items: Estimate | None = None

    def is_denied(self) -> bool:
        """Whether the effect, as it was seen, is not what the claim says."""
        return (self.above < self.estimate.mean < self.below) == self.outside


def judge(results: Exploration) -> list[Judgement]:
    """A judgement of every claim on which `results` (of part3 or report) have something to say."""
    evidence = {name: list(EVIDENCE[name](results)) for name in claims_on(results)}
    return [judgement(results, name, parts) for name, parts in evidence.items() if parts]


def judgement(results: Exploration, name: str, parts: Sequence[Part]) -> Judgement:
    """What the parts of a claim say of it, and what would say more."""
    one_sided = (1 - results.confidence) / 2
    verdicts = [verdict(one.estimate, one.above, one.below, one.what, one.outside) for one in parts]
    verdicts = of_several(verdicts, one_sided)
    whole = verdicts[0] if len(verdicts) == 1 else all_of(verdicts)
    note, needed = NOTES.get(name, lambda _: "")(results), None
    if not trained(results, name):
        whole = replace(whole, verdict=UNCLEAR)
        note += "; without a seed on which these trained, nothing is said about accuracy"
    elif whole.verdict == UNCLEAR and name in TRAINED:
        needed = enough([part for part, one in zip(parts, verdicts) if one.verdict == UNCLEAR], one_sided, len(parts))
    return Judgement(
        id=name,
        claim=claims_on(results)[name],
        verdict=whole.verdict,
        rule=whole.rule,
        note=note,
        parts=[
            JudgedPart(part.label, part.what, part.unit, part.estimate, one.verdict, part.seeds, part.items)
            for part, one in zip(parts, verdicts)
        ],
        seeds_needed=needed,
        minutes=(needed - parts[0].estimate.n) * seconds_of_a_seed(results, name) / 60 if needed else None,
    )


def trained(results: Exploration, name: str) -> bool:
    """Whether there is a seed on which the classifiers trained whose accuracy the claim is about."""
    if name not in COMPARED:
        return True
    return both_trained(*(results.classifier.get(variant, []) for variant in COMPARED[name])) is not None


# -------------------------------------------------------------------------------------------------------------- power
def enough(unclear: Sequence[Part], one_sided: float, n_parts: int) -> int | None:
    """With about how many seeds a claim would be told of which these parts are undecided: if one of them seems not to
    be so, when that is sure, and else when all are. None: not in any number that can be trained."""
    denied = [
        seeds_needed(part.estimate, part.above, part.below, one_sided / n_parts) for part in unclear if part.is_denied()
    ]
    if denied:
        return min((n for n in denied if n), default=None)
    found = [seeds_needed(part.estimate, part.above, part.below, one_sided) for part in unclear]
    known = [n for n in found if n]
    return max(known) if len(known) == len(found) else None


def undecided(results: Exploration) -> list[tuple[str, str]]:
    """The variants, each with its kind of run, more seeds of which may tell what these cannot."""
    there = results.kinds()
    about = [
        TRAINED[one.id]
        for one in judge(results)
        if one.id in TRAINED
        and one.verdict == UNCLEAR
        and (one.seeds_needed or any(part.estimate.error is None for part in one.parts))
    ]
    found = [(kind, name) for kind, names in about for name in names or there[kind]]
    return list(dict.fromkeys(found))


def seconds_of_a_seed(results: Exploration, name: str) -> float:
    """How long the variants that a claim is about train for one seed."""
    kind, variants = TRAINED[name]
    own = results.kinds()[kind]
    return sum(mean([run.train_seconds for run in own[variant]]) for variant in variants or own)


# ------------------------------------------------------------------------------------------------------- the evidence
def level(values: Sequence[float], confidence: float) -> Estimate:
    """The mean of one number a seed, with its interval."""
    return paired_difference(values, [0.0] * len(values), confidence=confidence)


def part_of(row: Comparison, label: str, what: str, above: float = -inf, below: float = inf) -> Part:
    """A comparison as a part of a claim."""
    return Part(label, what, row.unit, row.estimate, above, below, seeds=row.seeds, items=row.items)


def reaches_accuracy(results: Exploration) -> Iterator[Part]:
    runs = results.classifier.get("learned", [])
    histories = [run.epochs for run in runs if run.trained] or [run.epochs for run in runs]
    if histories and results.attention:
        last = [rows[-1].train_accuracy for rows in histories]
        what = "training accuracy after the last epoch, in percent,"
        found = level(last, results.confidence)
        if found.low is not None and found.high is not None:  # a share has ends that an interval should not pass
            found = replace(found, low=max(found.low, 0.0), high=min(found.high, 100.0))
        yield Part("training accuracy", what, "%", found, above=NEARS_100)
        before = [summary([row.test_accuracy for row in rows[-6:-1] or rows]).mean for rows in histories]
        after = [rows[-1].test_accuracy for rows in histories]
        change = paired_difference(after, before, confidence=results.confidence)
        what = "test accuracy after the last epoch less its mean over the five before, in points,"
        yield Part("test accuracy, last epoch less five before", what, "points", change, -AS_IT_IS, AS_IT_IS)


def attends(results: Exploration, kind: Kind) -> Iterator[Part]:
    """Near in the first layer, and farther in the last."""
    seeds = results.attention.get(kind, [])
    if seeds:
        near = [mean(seed.relative_distance[0]) for seed in seeds]
        what = "the mean distance of layer 1's attention, relative to uniform attention,"
        yield Part(
            "distance in layer 1, relative to uniform",
            what,
            "\N{MULTIPLICATION SIGN}",
            level(near, results.confidence),
            below=LOCAL,
        )
        far, first = ([mean(seed.distance[layer]) for seed in seeds] for layer in (-1, 0))
        what = "the mean distance of the last layer's attention less that of the first, in tokens,"
        change = paired_difference(far, first, confidence=results.confidence)
        yield Part("distance, last layer less first", what, "tokens", change, above=0)


def encoder_attends(results: Exploration) -> Iterator[Part]:
    yield from attends(results, "encoder")
    if seeds := results.attention.get("encoder", []):
        shares = [
            mean([exp(h - h / share) for h, share in zip(seed.entropy[-1], seed.relative_entropy[-1])])
            for seed in seeds
        ]
        what = "the number of tokens that the last layer looks at (e to the entropy), as a share of those it sees,"
        found = level(shares, results.confidence)
        yield Part("share of tokens looked at in the last layer", what, "\N{MULTIPLICATION SIGN}", found, below=FEW)


def wider(results: Exploration) -> Iterator[Part]:
    wide, narrow, *_ = [*results.widths, "", ""]
    for row in results.find(task="decoder", variant=wide, base=narrow, measure="perplexity"):
        sizes = (f"hidden size {results.decoder[name][0].ff_dim}" for name in (wide, narrow))
        what = f"perplexity, {row.text}: {' / '.join(sizes)}"
        yield part_of(row, row.text or "", what, below=1)


def texts_differ(results: Exploration) -> Iterator[Part]:
    """Every pair of texts: their lines are other lines, and are as much of a chance as seeds are."""
    runs = results.decoder.get("learned", [])
    for one, other in itertools.combinations(results.test_names, 2) if runs and results.attention else ():
        values = last_perplexities(runs, one), last_perplexities(runs, other)
        ratio = paired_ratio(*values, confidence=results.confidence)
        found = crossed(ratio, nats_of_two_texts(runs, one, other), results.confidence)
        label, what = f"{one} against {other}", f"perplexity on {one} / perplexity on {other}"
        near = (1 / (1 + SAME_PERPLEXITY), 1 + SAME_PERPLEXITY)
        yield Part(label, what, "ratio", found.both, *near, outside=True, seeds=found.seeds, items=found.items)


def accuracy_stays(results: Exploration) -> Iterator[Part]:
    for row in results.find(task="classifier", variant="alibi", base="learned", measure="test accuracy", rows="all"):
        what = "test accuracy with ALiBi less that with learned positions, in points,"
        yield part_of(row, "test accuracy", what, -AS_IT_IS, AS_IT_IS)


def trains_faster(results: Exploration, task: str, saved: float) -> Iterator[Part]:
    for row in results.find(task=task, variant="alibi", base="learned", measure="training time"):
        what = f"{task}: training time with ALiBi / with learned positions"
        least, most = (round(1 - share * saved, 4) for share in AROUND)
        yield part_of(row, "training time", what, above=most, below=least)


def perplexity_falls(results: Exploration) -> Iterator[Part]:
    for row in results.find(task="decoder", variant="alibi", base="learned", measure="perplexity"):
        what = f"perplexity, {row.text}: ALiBi / learned positions"
        yield part_of(row, row.text or "", what, below=1)


def same_at_any_length(results: Exploration) -> Iterator[Part]:
    block = results.block_size
    for row in results.find(task="decoder", variant="alibi", base="alibi", measure="perplexity", protocol=SIDE_BY_SIDE):
        length = row.length
        if length is not None and length <= 4 * block:
            what = f"perplexity on {row.text}: read at {length} tokens / at {block}"
            near = (1 - SAME_PERPLEXITY, 1 + SAME_PERPLEXITY)
            yield part_of(row, f"{row.text}, {length} tokens", what, *near)


def gap_narrows(results: Exploration) -> Iterator[Part]:
    for row in results.find(
        task="classifier", variant=REPORTS_VARIANT, base="original", measure="train - test accuracy"
    ):
        what = "training less test accuracy, in points: regularized less original"
        yield part_of(row, "gap", what, below=0)


def accuracy_rises(results: Exploration) -> Iterator[Part]:
    for row in results.find(
        task="classifier", variant=REPORTS_VARIANT, base="original", measure="test accuracy", rows="all"
    ):
        what = "test accuracy, regularized less original, in points,"
        yield part_of(row, "test accuracy", what, *(share * 2 for share in AROUND))


def smallest_rate_is_best(results: Exploration) -> Iterator[Part]:
    for row in results.find(measure="validation accuracy"):
        smallest, other = (DROPOUT[name] for name in (row.variant, row.base))
        what = f"validation accuracy, in points: dropout {smallest} less dropout {other}"
        yield part_of(row, f"against {other}", what, above=0)


EVIDENCE: dict[str, Callable[[Exploration], Iterator[Part]]] = {
    "C1": reaches_accuracy,
    "C2": encoder_attends,
    "C3": wider,
    "C4": texts_differ,
    "C5": lambda results: attends(results, "decoder"),
    "C6": accuracy_stays,
    "C7": lambda results: trains_faster(results, "classifier", 0.14),
    "C8": lambda results: trains_faster(results, "decoder", 0.115),
    "C9": perplexity_falls,
    "C10": same_at_any_length,
    "C11": gap_narrows,
    "C12": accuracy_rises,
    "C13": smallest_rate_is_best,
}

# what more seeds of a claim would train; (): all of its kind. C7 and C8 are about times, which have no seeds
TRAINED: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("C1", "C2"), ("classifier", ("learned",))),
    "C3": ("decoder", ("ff256", "ff100")),
    **dict.fromkeys(("C4", "C5"), ("decoder", ("learned",))),
    "C6": ("classifier", ("alibi", "learned")),
    "C9": ("decoder", ("alibi", "learned")),
    "C10": ("decoder", ("alibi",)),
    **dict.fromkeys(("C11", "C12"), ("classifier", (REPORTS_VARIANT, "original"))),
    "C13": ("validation", ()),
}


# ------------------------------------------------------------------------------------- what to know besides a verdict
def plateau_note(results: Exploration, name: str) -> str:
    """How many runs ended at chance, with the largest class alone: the verdict is about the others."""
    variant, base = COMPARED[name]
    found = []
    for one in dict.fromkeys((base, variant)):
        runs = results.classifier.get(one, [])
        at_chance = sum(not run.trained for run in runs)
        if at_chance:
            share = in_brackets(share_at_chance(runs, results.confidence))
            found.append(f"{at_chance} of {len(runs)} runs ({one}) ended at chance, {share} %, and are left out")
    differences = results.find(task="classifier", variant=variant, base=base, measure="runs at chance")
    return "; ".join([*found, *(f"a difference of {in_brackets(row.estimate)} points" for row in differences if found)])


def in_brackets(estimate: Estimate, digits: int = 0) -> str:
    """An effect with its interval, if it has any, for a sentence."""
    ends = [f"{end:.{digits}f}" for end in (estimate.low, estimate.high) if end is not None]
    found = f" [{', '.join(ends)}]" if ends else ""
    return f"{estimate.mean:.{digits}f}{found}".replace("-", "\N{MINUS SIGN}")


def control_note(results: Exploration) -> str:
    """What the model without positions gains, beside what ALiBi does."""
    changes = []
    for variant in ("alibi", "none"):
        rows = [
            row.estimate.mean
            for row in results.find(task="decoder", variant=variant, base="learned", measure="perplexity")
            if row.text in results.test_names
        ]
        if not rows:
            return ""
        changes.append(100 * (mean(rows) - 1))
    alibi, none = (f"{change:+.1f}%".replace("-", "\N{MINUS SIGN}") for change in changes)
    note = f"Mean change of test perplexity against learned positions: ALiBi {alibi}, no positions at all {none}."
    if max(changes) >= 0:
        return note
    share = min(100.0, 100 * changes[1] / changes[0])
    return f"{note} No positions at all give {share:.0f}% of ALiBi's gain: that part is not due to ALiBi."


def causal_note(results: Exploration, task: Task) -> str:
    """What the model whose attention is drawn loses without its positions and without its first and last layer: that it
    looks somewhere does not say that it needs it."""
    found = next((one for one in results.knockouts if one.task == task), None)
    if found is None:
        return ""
    layers = [one.part.layer for one in found.without if one.part.layer is not None]
    ends = (None, min(layers), max(layers)) if layers else (None,)
    shown = [
        f"without {one.part.name} by {_cost(one)}"
        for end in dict.fromkeys(ends)
        for one in found.without
        if one.part == ModelPart(end)
    ]
    what = "The perplexity of one seed's model rises" if task == "decoder" else "The accuracy of one seed's model falls"
    return f"{what} {', '.join(shown)}." if shown else ""


def _cost(one: KnockOut) -> str:
    if not one.cost.ratio:
        return f"{in_brackets(one.cost, 1)} points"
    ends = ((100 * (end - 1) if end is not None else None) for end in (one.cost.mean, one.cost.low, one.cost.high))
    mean, low, high = ends
    assert mean is not None
    return f"{in_brackets(replace(one.cost, mean=mean, low=low, high=high), 1)} %"


def chosen_note(results: Exploration) -> str:
    rate = results.chosen_rate
    return f"Highest mean validation accuracy: dropout {DROPOUT[rate]}." if rate else ""


NOTES: dict[str, Callable[[Exploration], str]] = {
    **{name: functools.partial(plateau_note, name=name) for name in COMPARED},
    "C2": functools.partial(causal_note, task="classifier"),
    "C5": functools.partial(causal_note, task="decoder"),
    "C9": control_note,
    "C13": chosen_note,
}


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
