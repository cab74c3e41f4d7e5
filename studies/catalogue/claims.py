"""The report's claims, each as what was measured and the range in which the claim says it lies.

Add a claim to CLAIMS: a sentence, its parts, and the variants that it is about. Most parts are a `comparison` that the
answers hold already; the others are levels and changes of a number of each seed.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import exp

import numpy as np

from evaluation.crossed import Items, crossed
from evaluation.statistics import paired_difference, paired_ratio
from studies.answers import SIDE_BY_SIDE, Answers, AttentionStatistics
from studies.catalogue.notes import cost_of_parts, gain_without_positions, highest_on_folds, left_out, mean
from studies.catalogue.published import on_reports_speakers
from studies.claims import Claim, Part, Range
from studies.effects import has_trained
from training.kinds import stretch_nats
from training.recipe import Task
from training.records import Epoch

REGULARIZED = "batch-norm-dropout-0.2"  # the report's regularized classifier
NEARS_100, AS_IT_IS, LOCAL, FEW, SAME_PERPLEXITY = 95.0, 2.0, 0.75, 0.5, 0.02
AROUND = (0.5, 1.5)  # "by 14%": from half of what was published to one and a half times that
TIMES = "\N{MULTIPLICATION SIGN}"

Measured = Callable[[Answers], Iterator[Part]]
Numbers = Callable[[Answers], Sequence[float]]  # one a seed


# ------------------------------------------------------------------------------------------------------- what a part is
def comparison(
    label: str, what: str, where: Range, compared: tuple[str, str, str, str], subset: str | None = None
) -> Measured:
    """Each comparison of (question, variant, base, measure), or that on one subset; `label` and `what` may name the
    {text}."""
    question, variant, base, measure = compared

    def parts(answers: Answers) -> Iterator[Part]:
        for row in answers.find(question=question, variant=variant, base=base, measure=measure):
            if subset in (None, row.subset):
                named = (label.format(text=row.subset), what.format(text=row.subset), row.unit, where)
                yield Part(*named, row.estimate, row.seeds, row.items)

    return parts


def level(label: str, what: str, unit: str, where: Range, numbers: Numbers) -> Measured:
    """The mean of a number of each seed; one in percent has ends that its interval does not pass."""

    def parts(answers: Answers) -> Iterator[Part]:
        if values := numbers(answers):
            estimate = paired_difference(values, [0.0] * len(values), confidence=answers.confidence)
            if unit == "%" and estimate.low is not None and estimate.high is not None:
                estimate = replace(estimate, low=max(estimate.low, 0.0), high=min(estimate.high, 100.0))
            yield Part(label, what, unit, where, estimate)

    return parts


def difference(label: str, what: str, unit: str, where: Range, numbers: Numbers, base: Numbers) -> Measured:
    """How much larger one number of each seed is than another."""

    def parts(answers: Answers) -> Iterator[Part]:
        if values := numbers(answers):
            estimate = paired_difference(values, base(answers), confidence=answers.confidence)
            yield Part(label, what, unit, where, estimate)

    return parts


# ------------------------------------------------------------------------------------------------ numbers of each seed
def of_epochs(number: Callable[[Sequence[Epoch]], float]) -> Numbers:
    """A number of the epochs of each classifier with learned positions that trained; of all, if none did."""

    def numbers(answers: Answers) -> list[float]:
        runs = answers.classifier.get("learned", []) if answers.attention else []  # part 3 is not about part 1
        histories = [run.epochs for run in runs if has_trained(run)] or [run.epochs for run in runs]
        return [number(epochs) for epochs in histories]

    return numbers


def of_attention(kind: Task, number: Callable[[AttentionStatistics], float]) -> Numbers:
    """A number of the attention of each model with learned positions."""
    return lambda answers: [number(seed) for seed in answers.attention.get(kind, {}).get("learned", [])]


def share_looked_at(seed: AttentionStatistics) -> float:
    """How many tokens the last layer looks at, e to the entropy, as a share of those that it sees."""
    entropies = zip(seed.entropy[-1], seed.relative_entropy[-1])
    return mean(exp(entropy - entropy / relative) for entropy, relative in entropies)


# -------------------------------------------------------------------------------------------------- parts by themselves
def near_first_far_last(kind: Task) -> tuple[Measured, Measured]:
    """That the first layer attends to what is near, and the last one farther."""
    return (
        level(
            "distance in layer 1, relative to uniform",
            "the mean distance of layer 1's attention, relative to uniform attention,",
            TIMES,
            Range(below=LOCAL),
            of_attention(kind, lambda seed: mean(seed.relative_distance[0])),
        ),
        difference(
            "distance, last layer less first",
            "the mean distance of the last layer's attention less that of the first, in tokens,",
            "tokens",
            Range(above=0),
            of_attention(kind, lambda seed: mean(seed.distance[-1])),
            of_attention(kind, lambda seed: mean(seed.distance[0])),
        ),
    )


def shortened_by(kind: Task, share: float) -> Measured:
    """That ALiBi saves this share of the training time: at least half, and at most one and a half times as much."""
    least, most = (round(1 - part * share, 4) for part in AROUND)
    what = f"{kind}: training time with ALiBi / with learned positions"
    return comparison("training time", what, Range(most, least), (kind, "alibi", "learned", "training time"))


def pairs_of_texts(answers: Answers) -> Iterator[Part]:
    """That every two test texts differ; that their lines are other lines is chance, as other seeds are."""
    runs = answers.decoder.get("learned", []) if answers.attention else []  # part 3 is not about part 2
    for text, other in itertools.combinations(answers.test_names, 2) if runs else ():
        values, other_values = ([run.scores[name].perplexity for run in runs] for name in (text, other))
        signs = ((1, text), (-1, other))
        items = [Items(sign * stretch_nats(runs, name), np.array(runs[0].stretch_tokens[name])) for sign, name in signs]
        ratio = paired_ratio(values, other_values, confidence=answers.confidence)
        found = crossed(ratio, items, answers.confidence)
        label, what = f"{text} against {other}", f"perplexity on {text} / perplexity on {other}"
        near = Range(1 / (1 + SAME_PERPLEXITY), 1 + SAME_PERPLEXITY, outside=True)
        yield Part(label, what, "ratio", near, found.both, found.seeds, found.items)


def same_at_any_length(answers: Answers) -> Iterator[Part]:
    """That ALiBi's perplexity is the same at up to four times the length of training."""
    block_size = answers.block_size
    for row in answers.find(variant="alibi", base="alibi", measure="perplexity", reading=SIDE_BY_SIDE):
        if row.length is not None and row.length <= 4 * block_size:
            label = f"{row.subset}, {row.length} tokens"
            what = f"perplexity on {row.subset}: read at {row.length} tokens / at {block_size}"
            yield Part(label, what, "ratio", Range(1 - SAME_PERPLEXITY, 1 + SAME_PERPLEXITY), row.estimate)


def lowest_rate_is_best(answers: Answers) -> Iterator[Part]:
    """That the lowest rate of dropout is better, on folds, than each other."""
    for row in answers.find(question="validation", measure="accuracy"):
        lowest, other = (name.rpartition("-")[2] for name in (row.variant, row.base))
        what = f"validation accuracy, in points: dropout {lowest} less dropout {other}"
        yield Part(f"against {other}", what, "points", Range(above=0), row.estimate)


# --------------------------------------------------------------------------------------------------------------- claims
CLAIMS = (
    Claim(
        "C1",
        "The classifier reaches its test accuracy by epoch 15 while training accuracy nears 100%",
        (
            level(
                "training accuracy",
                "training accuracy after the last epoch, in percent,",
                "%",
                Range(above=NEARS_100),
                of_epochs(lambda epochs: epochs[-1].train_accuracy),
            ),
            difference(
                "test accuracy, last epoch less five before",
                "test accuracy after the last epoch less its mean over the five before, in points,",
                "points",
                Range(-AS_IT_IS, AS_IT_IS),
                of_epochs(lambda epochs: epochs[-1].test_accuracy),
                of_epochs(lambda epochs: float(np.mean([row.test_accuracy for row in epochs[-6:-1] or epochs]))),
            ),
        ),
        question="classifier",
        variants=("learned",),
        of_accuracy=True,
        note=left_out("learned"),
    ),
    Claim(
        "C2",
        "Layer 1 of the encoder attends locally, layer 4 to a few tokens from everywhere",
        (
            *near_first_far_last("classifier"),
            level(
                "share of tokens looked at in the last layer",
                "the number of tokens that the last layer looks at (e to the entropy), as a share of those it sees,",
                TIMES,
                Range(below=FEW),
                of_attention("classifier", share_looked_at),
            ),
        ),
        question="classifier",
        variants=("learned",),
        note=cost_of_parts("classifier"),
    ),
    Claim(
        "C3",
        "A wider feed-forward layer lowers all four perplexities",
        (
            comparison(
                "{text}",
                "perplexity, {text}: hidden size 256 / hidden size 100",
                Range(below=1),
                ("decoder", "ff256", "ff100", "perplexity"),
            ),
        ),
        question="decoder",
        variants=("ff256", "ff100"),
        on_other_texts="A wider feed-forward layer lowers every perplexity",
    ),
    Claim(
        "C4",
        "The three test sets differ in perplexity",
        (pairs_of_texts,),
        question="decoder",
        variants=("learned",),
        on_other_texts="The test texts differ in perplexity",
    ),
    Claim(
        "C5",
        "Layer 1 of the decoder attends to the tokens just before, layer 4 more widely",
        near_first_far_last("decoder"),
        question="decoder",
        variants=("learned",),
        note=cost_of_parts("decoder"),
    ),
    Claim(
        "C6",
        "ALiBi leaves the classifier's accuracy as it is",
        (
            comparison(
                "test accuracy",
                "test accuracy with ALiBi less that with learned positions, in points,",
                Range(-AS_IT_IS, AS_IT_IS),
                ("classifier", "alibi", "learned", "accuracy"),
                subset="all",
            ),
        ),
        question="classifier",
        variants=("alibi", "learned"),
        of_accuracy=True,
        note=left_out("alibi", "learned"),
    ),
    Claim("C7", "ALiBi shortens the classifier's training by 14%", (shortened_by("classifier", 0.14),), sized=True),
    Claim("C8", "ALiBi shortens the decoder's training by 11.5%", (shortened_by("decoder", 0.115),), sized=True),
    Claim(
        "C9",
        "ALiBi lowers train and all test perplexities",
        (
            comparison(
                "{text}",
                "perplexity, {text}: ALiBi / learned positions",
                Range(below=1),
                ("decoder", "alibi", "learned", "perplexity"),
            ),
        ),
        question="decoder",
        variants=("alibi", "learned"),
        note=gain_without_positions,
    ),
    Claim(
        "C10",
        "With ALiBi trained at 32 tokens, perplexity is the same at 32, 64 and 128",
        (same_at_any_length,),
        question="decoder",
        variants=("alibi",),
    ),
    Claim(
        "C11",
        "Batch norm and dropout narrow the gap between train and test accuracy",
        (
            comparison(
                "gap",
                "training less test accuracy, in points: regularized less original",
                Range(below=0),
                ("classifier", REGULARIZED, "original", "train - test accuracy"),
            ),
        ),
        question="classifier",
        variants=(REGULARIZED, "original"),
        of_accuracy=True,
        note=left_out(REGULARIZED, "original"),
    ),
    Claim(
        "C12",
        "Batch norm and dropout raise test accuracy by 2 points",
        (
            comparison(
                "test accuracy",
                "test accuracy, regularized less original, in points,",
                Range(2 * AROUND[0], 2 * AROUND[1]),
                ("classifier", REGULARIZED, "original", "accuracy"),
                subset="all",
            ),
        ),
        question="classifier",
        variants=(REGULARIZED, "original"),
        of_accuracy=True,
        sized=True,
        note=left_out(REGULARIZED, "original"),
    ),
    Claim(
        "C13",
        "0.2 is the best dropout rate of 0.2 .. 0.5",
        (lowest_rate_is_best,),
        question="validation",
        note=highest_on_folds,
    ),
)


def claims_on(answers: Answers) -> list[Claim]:
    """The claims that can be put to the data: on other people's texts, those that quote no size of the report's."""
    if on_reports_speakers(answers):
        return list(CLAIMS)
    return [replace(claim, text=claim.on_other_texts or claim.text) for claim in CLAIMS if not claim.sized]
