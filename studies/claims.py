"""What our runs say of each of the report's claims: holds, does not hold, or cannot tell.

A claim is cut into parts that can be measured; each part is an effect over paired seeds with a 95% interval and a range
in which the claim says it lies. The rule that makes a verdict of them is `statistics.verdict`, and is printed with it.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, inf

from evaluation.statistics import UNCLEAR, Estimate, all_of, paired_difference, paired_ratio, summary, verdict
from studies.published import claims_on
from studies.results import SIDE_BY_SIDE, Exploration, JudgedPart, Judgement, Kind
from studies.study import DROPOUT

NEARS_100, AS_IT_IS, LOCAL, FEW, SAME_PERPLEXITY = 95.0, 2.0, 0.75, 0.5, 0.02
AROUND = (0.5, 1.5)  # "by 14%": from half of what was published to one and a half times that
REPORTS_RATE = "batch-norm-dropout-0.2"
COMPARED = {  # the classifiers whose accuracy a claim is about
    "C1": ("learned",),
    "C6": ("learned", "alibi"),
    "C11": ("original", REPORTS_RATE),
    "C12": ("original", REPORTS_RATE),
}


@dataclass(frozen=True)
class Part:
    """One measurable part of a claim: an effect, and the range in which the claim says that it lies."""

    label: str  # a few words, where there is no room for `what`
    what: str
    unit: str  # "ratio", or what stands after the number
    estimate: Estimate
    above: float = -inf
    below: float = inf


def judge(results: Exploration) -> list[Judgement]:
    """A judgement of every claim on which `results` (of part3 or report) have something to say."""
    judgements = []
    for name, text in claims_on(results).items():
        parts = list(EVIDENCE[name](results))
        if not parts:
            continue
        verdicts = [verdict(part.estimate, part.above, part.below, part.what) for part in parts]
        whole = verdicts[0] if len(verdicts) == 1 else all_of(verdicts)
        note = NOTES.get(name, lambda _: "")(results)
        if any(never_trained(results, variant) for variant in COMPARED.get(name, ())):
            whole = replace(whole, verdict=UNCLEAR)
            note += "; a variant of which no run trained says nothing about accuracy"
        rows = [
            JudgedPart(part.label, part.what, part.unit, part.estimate, one.verdict)
            for part, one in zip(parts, verdicts)
        ]
        judgements.append(Judgement(name, text, whole.verdict, whole.rule, note, rows))
    return judgements


def never_trained(results: Exploration, variant: str) -> bool:
    """Whether all runs of the variant ended at chance."""
    runs = results.classifier.get(variant, [])
    return bool(runs) and not any(run.trained for run in runs)


# ------------------------------------------------------------------------------------------------------- the evidence
def level(values: Sequence[float]) -> Estimate:
    """The mean of one number a seed, with its interval."""
    return paired_difference(values, [0.0] * len(values))


def reaches_accuracy(results: Exploration) -> Iterator[Part]:
    histories = [run.epochs for run in results.classifier.get("learned", [])]
    if histories and results.attention:
        last = [rows[-1].train_accuracy for rows in histories]
        what = "training accuracy after the last epoch, in percent,"
        found = level(last)
        if found.low is not None and found.high is not None:  # a share has ends that an interval should not pass
            found = replace(found, low=max(found.low, 0.0), high=min(found.high, 100.0))
        yield Part("training accuracy", what, "%", found, above=NEARS_100)
        before = [summary([row.test_accuracy for row in rows[-6:-1] or rows]).mean for rows in histories]
        change = paired_difference([rows[-1].test_accuracy for rows in histories], before)
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
            level(near),
            below=LOCAL,
        )
        far, first = ([mean(seed.distance[layer]) for seed in seeds] for layer in (-1, 0))
        what = "the mean distance of the last layer's attention less that of the first, in tokens,"
        yield Part("distance, last layer less first", what, "tokens", paired_difference(far, first), above=0)


def encoder_attends(results: Exploration) -> Iterator[Part]:
    yield from attends(results, "encoder")
    if seeds := results.attention.get("encoder", []):
        shares = [
            mean([exp(h - h / share) for h, share in zip(seed.entropy[-1], seed.relative_entropy[-1])])
            for seed in seeds
        ]
        what = "the number of tokens that the last layer looks at (e to the entropy), as a share of those it sees,"
        yield Part(
            "share of tokens looked at in the last layer", what, "\N{MULTIPLICATION SIGN}", level(shares), below=FEW
        )


def wider(results: Exploration) -> Iterator[Part]:
    wide, narrow, *_ = [*results.widths, "", ""]
    for row in results.find(task="decoder", variant=wide, base=narrow, measure="perplexity"):
        sizes = (f"hidden size {results.decoder[name][0].ff_dim}" for name in (wide, narrow))
        what = f"perplexity, {row.text}: {' / '.join(sizes)}"
        yield Part(row.text or "", what, "ratio", row.estimate, below=1)


def texts_differ(results: Exploration) -> Iterator[Part]:
    """Neighbours in the order of their means, so that K texts need K - 1 comparisons."""
    runs = [run.iterations[-1].perplexity for run in results.decoder.get("learned", [])]
    if runs and results.attention:
        order = sorted(results.test_names, key=lambda name: summary([run[name] for run in runs]).mean)
        for low, high in itertools.pairwise(order):
            ratio = paired_ratio([run[high] for run in runs], [run[low] for run in runs])
            what = f"perplexity on {high} / perplexity on {low}"
            yield Part(f"{high} against {low}", what, "ratio", ratio, above=1)


def accuracy_stays(results: Exploration) -> Iterator[Part]:
    for row in results.find(task="classifier", variant="alibi", base="learned", measure="test accuracy", rows="all"):
        what = "test accuracy with ALiBi less that with learned positions, in points,"
        yield Part("test accuracy", what, "points", row.estimate, -AS_IT_IS, AS_IT_IS)


def trains_faster(results: Exploration, task: str, saved: float) -> Iterator[Part]:
    for row in results.find(task=task, variant="alibi", base="learned", measure="training time"):
        what = f"{task}: training time with ALiBi / with learned positions"
        least, most = (round(1 - share * saved, 4) for share in AROUND)
        yield Part("training time", what, "ratio", row.estimate, above=most, below=least)


def perplexity_falls(results: Exploration) -> Iterator[Part]:
    for row in results.find(task="decoder", variant="alibi", base="learned", measure="perplexity"):
        what = f"perplexity, {row.text}: ALiBi / learned positions"
        yield Part(row.text or "", what, "ratio", row.estimate, below=1)


def same_at_any_length(results: Exploration) -> Iterator[Part]:
    block = results.block_size
    for row in results.find(task="decoder", variant="alibi", base="alibi", measure="perplexity", protocol=SIDE_BY_SIDE):
        length = row.length
        if length is not None and length <= 4 * block:
            what = f"perplexity on {row.text}: read at {length} tokens / at {block}"
            near = (1 - SAME_PERPLEXITY, 1 + SAME_PERPLEXITY)
            yield Part(f"{row.text}, {length} tokens", what, "ratio", row.estimate, *near)


def gap_narrows(results: Exploration) -> Iterator[Part]:
    for row in results.find(task="classifier", variant=REPORTS_RATE, base="original", measure="train - test accuracy"):
        what = "training less test accuracy, in points: regularized less original"
        yield Part("gap", what, "points", row.estimate, below=0)


def accuracy_rises(results: Exploration) -> Iterator[Part]:
    for row in results.find(
        task="classifier", variant=REPORTS_RATE, base="original", measure="test accuracy", rows="all"
    ):
        what = "test accuracy, regularized less original, in points,"
        yield Part("test accuracy", what, "points", row.estimate, *(share * 2 for share in AROUND))


def smallest_rate_is_best(results: Exploration) -> Iterator[Part]:
    for row in results.find(measure="validation accuracy"):
        smallest, other = (DROPOUT[name] for name in (row.variant, row.base))
        what = f"validation accuracy, in points: dropout {smallest} less dropout {other}"
        yield Part(f"against {other}", what, "points", row.estimate, above=0)


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


# ------------------------------------------------------------------------------------- what to know besides a verdict
def plateau_note(results: Exploration, name: str) -> str:
    """How many runs ended at chance, with the largest class alone: an interval over few seeds may miss them."""
    found = []
    for variant in COMPARED[name]:
        runs = results.classifier.get(variant, [])
        at_chance = sum(not run.trained for run in runs)
        if at_chance:
            found.append(f"{at_chance} of {len(runs)} runs ({variant}) ended at chance and are counted as they are")
    return "; ".join(found)


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


def chosen_note(results: Exploration) -> str:
    rate = results.chosen_rate
    return f"Highest mean validation accuracy: dropout {DROPOUT[rate]}." if rate else ""


NOTES: dict[str, Callable[[Exploration], str]] = {
    **{name: functools.partial(plateau_note, name=name) for name in COMPARED},
    "C9": control_note,
    "C13": chosen_note,
}


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
