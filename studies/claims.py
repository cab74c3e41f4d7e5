"""Judge: what the answers say of each of the report's claims: holds, does not hold, or cannot tell.

A claim is data (studies/catalogue/claims.py): parts, each a measured effect with its interval and the range in which
the claim says it lies. `statistics.verdict` makes a verdict of them, and its rule is printed beside it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

from evaluation.statistics import UNCLEAR, Estimate, all_of, of_several, seeds_needed, verdict
from studies.answers import Answers, JudgedPart, Judgement
from studies.effects import has_trained, on_same_seeds


@dataclass(frozen=True)
class Range:
    """Where a claim says that an effect lies; `outside`: where it says that it does not."""

    above: float = -inf
    below: float = inf
    outside: bool = False


@dataclass(frozen=True)
class Part:
    """One measured effect, and where the claim says it lies."""

    label: str  # a few words, where there is no room for `what`
    what: str  # the same in full
    unit: str  # "ratio", or what stands after the number
    range: Range
    estimate: Estimate
    seeds: Estimate | None = None  # behind an estimate for other seeds and items at once: either alone
    items: Estimate | None = None

    def is_denied(self) -> bool:
        """Whether the effect, as it was seen, is not what the claim says."""
        return (self.range.above < self.estimate.mean < self.range.below) == self.range.outside


def no_note(answers: Answers) -> str:
    """Nothing to know besides."""
    return ""


@dataclass(frozen=True)
class Claim:
    """A claim of the report, and how it is measured."""

    id: str
    text: str
    parts: tuple[Callable[[Answers], Iterable[Part]], ...]
    question: str = ""  # whose runs it is about; "": it is about times, which have no seeds
    variants: tuple[str, ...] = ()  # of the question, that would need more seeds for a verdict; (): all
    of_accuracy: bool = False  # whether it is about classifiers that trained, so that the others are left out
    sized: bool = False  # whether it quotes a size that was measured on the report's data
    on_other_texts: str = ""  # the same in words that fit any number of texts
    note: Callable[[Answers], str] = no_note  # what to know besides a verdict


def judge(claims: Sequence[Claim], answers: Answers) -> list[Judgement]:
    """A judgement of every claim on which the answers have something to say."""
    return [judged for judged in (judgement(claim, answers) for claim in claims) if judged]


def judgement(claim: Claim, answers: Answers) -> Judgement | None:
    """What the parts of a claim say of it, and what would say more; None where nothing was measured."""
    parts = [part for measured in claim.parts for part in measured(answers)]
    if not parts:
        return None
    one_sided = (1 - answers.confidence) / 2
    ranges = [part.range for part in parts]
    alone = [verdict(part.estimate, at.above, at.below, part.what, at.outside) for part, at in zip(parts, ranges)]
    verdicts = of_several(alone, one_sided)
    whole = verdicts[0] if len(verdicts) == 1 else all_of(verdicts)
    note, needed = claim.note(answers), None
    if claim.of_accuracy and not some_trained(claim, answers):
        whole = replace(whole, verdict=UNCLEAR)
        note += "; without a seed on which these trained, nothing is said about accuracy"
    elif whole.verdict == UNCLEAR and claim.question:
        unclear = [part for part, judged in zip(parts, verdicts) if judged.verdict == UNCLEAR]
        needed = enough(unclear, one_sided, len(parts))
    return Judgement(
        id=claim.id,
        claim=claim.text,
        verdict=whole.verdict,
        rule=whole.rule,
        note=note,
        parts=[
            JudgedPart(part.label, part.what, part.unit, part.estimate, judged.verdict, part.seeds, part.items)
            for part, judged in zip(parts, verdicts)
        ],
        seeds_needed=needed,
        minutes=(needed - parts[0].estimate.n) * seconds_of_a_seed(claim, answers) / 60 if needed else None,
    )


def some_trained(claim: Claim, answers: Answers) -> bool:
    """Whether there is a seed on which all classifiers trained that the claim is about."""
    runs = [answers.classifier.get(variant, []) for variant in claim.variants]
    return any(all(map(has_trained, seed)) for seed in zip(*on_same_seeds(runs[0], runs[-1])))


# ------------------------------------------------------------------------------------------- how many seeds would tell
def enough(unclear: Sequence[Part], one_sided: float, n_parts: int) -> int | None:
    """With about how many seeds a claim would be told of which these parts are undecided: if one of them seems not to
    be so, when that is sure, and else when all are. None: not with any number that can be trained."""

    def needed(part: Part, level: float) -> int | None:
        return seeds_needed(part.estimate, part.range.above, part.range.below, level)

    if denied := [part for part in unclear if part.is_denied()]:
        return min(filter(None, (needed(part, one_sided / n_parts) for part in denied)), default=None)
    numbers = [needed(part, one_sided) for part in unclear]
    known = [n for n in numbers if n]
    return max(known) if len(known) == len(numbers) else None


def undecided_variants(claims: Sequence[Claim], answers: Answers) -> list[tuple[str, str]]:
    """The variants that need more seeds for a verdict, each with its question."""
    undecided: dict[tuple[str, str], None] = {}
    for claim in claims:
        judged = judgement(claim, answers) if claim.question else None
        if judged is None or judged.verdict != UNCLEAR:
            continue
        if judged.seeds_needed or any(part.estimate.error is None for part in judged.parts):
            undecided |= dict.fromkeys((claim.question, variant) for variant in variants_of(claim, answers))
    return list(undecided)


def variants_of(claim: Claim, answers: Answers) -> Sequence[str]:
    """The variants that a claim is about."""
    return claim.variants or list(answers.runs(claim.question))


def seconds_of_a_seed(claim: Claim, answers: Answers) -> float:
    """How long the variants that a claim is about train for one seed."""
    runs = [answers.runs(claim.question)[variant] for variant in variants_of(claim, answers)]
    return sum(sum(run.train_seconds for run in seeds) / len(seeds) for seeds in runs)
