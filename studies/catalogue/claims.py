"""The report's claims, each as what was measured and the range in which the claim says it lies.

Add a claim to CLAIMS: a sentence, its parts, and the variants that it is about. Most parts are an `effect` that the
answers hold already; the others are levels and changes of a number of each run.
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
from studies.claims import Claim, Evidence, Part, Range
from studies.effects import has_trained
from training.kinds import stretch_nats
from training.recipe import Task

REGULARIZED = "batch-norm-dropout-0.2"  # the report's regularized classifier
NEARS_100, AS_IT_IS, LOCAL, FEW, SAME_PERPLEXITY = 95.0, 2.0, 0.75, 0.5, 0.02
AROUND = (0.5, 1.5)  # "by 14%": from half of what was published to one and a half times that
TIMES = "\N{MULTIPLICATION SIGN}"

Numbers = Callable[[Answers], Sequence[float]]  # one a seed


# ------------------------------------------------------------------------------------------------------------- evidence
def effect(
    question: str, variant: str, base: str, measure: str, **fields: object
) -> Callable[[Answers], Iterator[Evidence]]:
    """The comparisons of a variant with its base, as the answers hold them."""

    def evidence(answers: Answers) -> Iterator[Evidence]:
        rows = answers.find(question=question, variant=variant, base=base, measure=measure, **fields)
        for row in rows:
            words = (("text", row.subset), ("length", row.length), ("block", answers.block_size))
            yield Evidence(row.estimate, row.seeds, row.items, words)

    return evidence


def level(numbers: Numbers, is_share: bool = False) -> Callable[[Answers], Iterator[Evidence]]:
    """The mean of a number of each seed; a share, in percent, has ends that an interval should not pass."""

    def evidence(answers: Answers) -> Iterator[Evidence]:
        values = numbers(answers)
        if len(values):
            estimate = paired_difference(values, [0.0] * len(values), confidence=answers.confidence)
            if is_share and estimate.low is not None and estimate.high is not None:
                estimate = replace(estimate, low=max(estimate.low, 0.0), high=min(estimate.high, 100.0))
            yield Evidence(estimate)

    return evidence


def change(numbers: Numbers, base: Numbers) -> Callable[[Answers], Iterator[Evidence]]:
    """How much larger one number of each seed is than another."""

    def evidence(answers: Answers) -> Iterator[Evidence]:
        values, base_values = numbers(answers), base(answers)
        if len(values):
            yield Evidence(paired_difference(values, base_values, confidence=answers.confidence))

    return evidence


def attention_of(kind: Task, number: Callable[[AttentionStatistics], float]) -> Numbers:
    """A number of the attention of each seed's model with learned positions."""
    return lambda answers: [number(seed) for seed in answers.attention.get(kind, {}).get("learned", [])]


def of_epochs(number: Callable[[list], float]) -> Numbers:
    """A number of the epochs of each classifier with learned positions that trained; of all, if none did."""

    def numbers(answers: Answers) -> list[float]:
        runs = answers.classifier.get("learned", []) if answers.attention else []
        histories = [run.epochs for run in runs if has_trained(run)] or [run.epochs for run in runs]
        return [number(epochs) for epochs in histories]

    return numbers


def looked_at_share(seed: AttentionStatistics) -> float:
    """How many tokens the last layer looks at, e to the entropy, as a share of those that it sees."""
    entropies = zip(seed.entropy[-1], seed.relative_entropy[-1])
    return mean(exp(entropy - entropy / relative) for entropy, relative in entropies)


def pairs_of_texts(answers: Answers) -> Iterator[Evidence]:
    """Every two test texts against each other; that their lines are other lines is chance, as other seeds are."""
    runs = answers.decoder.get("learned", []) if answers.attention else []
    for text, other in itertools.combinations(answers.test_names, 2) if runs else ():
        values, other_values = ([run.scores[name].perplexity for run in runs] for name in (text, other))
        ratio = paired_ratio(values, other_values, confidence=answers.confidence)
        tokens = runs[0].stretch_tokens
        items = [
            Items(sign * stretch_nats(runs, name), np.array(tokens[name])) for sign, name in ((1, text), (-1, other))
        ]
        both = crossed(ratio, items, answers.confidence)
        yield Evidence(both.both, both.seeds, both.items, (("text", text), ("other", other)))


def at_other_lengths(answers: Answers) -> Iterator[Evidence]:
    """ALiBi's perplexity at up to four times the length of training."""
    rows = effect("decoder", "alibi", "alibi", "perplexity", reading=SIDE_BY_SIDE)(answers)
    for row in rows:
        length = dict(row.words)["length"]
        if isinstance(length, int) and length <= 4 * answers.block_size:
            yield row


def rates_on_folds(answers: Answers) -> Iterator[Evidence]:
    """The lowest rate of dropout against each other one, on folds."""
    for row in answers.find(question="validation", measure="accuracy"):
        rates = [name.rpartition("-")[2] for name in (row.variant, row.base)]
        yield Evidence(row.estimate, words=(("rate", rates[0]), ("other", rates[1])))


def shortened_by(kind: Task, share: float) -> Part:
    """That ALiBi saves this share of the training time: at least half, and at most one and a half times as much."""
    least, most = (round(1 - part * share, 4) for part in AROUND)
    what = f"{kind}: training time with ALiBi / with learned positions"
    return Part("training time", what, "ratio", Range(most, least), effect(kind, "alibi", "learned", "training time"))


def near_first_far_last(kind: Task) -> tuple[Part, Part]:
    """That the first layer attends to what is near, and the last one farther."""
    return (
        Part(
            "distance in layer 1, relative to uniform",
            "the mean distance of layer 1's attention, relative to uniform attention,",
            TIMES,
            Range(below=LOCAL),
            level(attention_of(kind, lambda seed: mean(seed.relative_distance[0]))),
        ),
        Part(
            "distance, last layer less first",
            "the mean distance of the last layer's attention less that of the first, in tokens,",
            "tokens",
            Range(above=0),
            change(
                attention_of(kind, lambda seed: mean(seed.distance[-1])),
                attention_of(kind, lambda seed: mean(seed.distance[0])),
            ),
        ),
    )


# --------------------------------------------------------------------------------------------------------------- claims
CLAIMS = (
    Claim(
        "C1",
        "The classifier reaches its test accuracy by epoch 15 while training accuracy nears 100%",
        (
            Part(
                "training accuracy",
                "training accuracy after the last epoch, in percent,",
                "%",
                Range(above=NEARS_100),
                level(of_epochs(lambda epochs: epochs[-1].train_accuracy), is_share=True),
            ),
            Part(
                "test accuracy, last epoch less five before",
                "test accuracy after the last epoch less its mean over the five before, in points,",
                "points",
                Range(-AS_IT_IS, AS_IT_IS),
                change(
                    of_epochs(lambda epochs: epochs[-1].test_accuracy),
                    of_epochs(lambda epochs: float(np.mean([row.test_accuracy for row in epochs[-6:-1] or epochs]))),
                ),
            ),
        ),
        "classifier",
        ("learned",),
        of_accuracy=True,
        note=left_out("learned"),
    ),
    Claim(
        "C2",
        "Layer 1 of the encoder attends locally, layer 4 to a few tokens from everywhere",
        (
            *near_first_far_last("classifier"),
            Part(
                "share of tokens looked at in the last layer",
                "the number of tokens that the last layer looks at (e to the entropy), as a share of those it sees,",
                TIMES,
                Range(below=FEW),
                level(attention_of("classifier", looked_at_share)),
            ),
        ),
        "classifier",
        ("learned",),
        note=cost_of_parts("classifier"),
    ),
    Claim(
        "C3",
        "A wider feed-forward layer lowers all four perplexities",
        (
            Part(
                "{text}",
                "perplexity, {text}: hidden size 256 / hidden size 100",
                "ratio",
                Range(below=1),
                effect("decoder", "ff256", "ff100", "perplexity"),
            ),
        ),
        "decoder",
        ("ff256", "ff100"),
        on_other_texts="A wider feed-forward layer lowers every perplexity",
    ),
    Claim(
        "C4",
        "The three test sets differ in perplexity",
        (
            Part(
                "{text} against {other}",
                "perplexity on {text} / perplexity on {other}",
                "ratio",
                Range(1 / (1 + SAME_PERPLEXITY), 1 + SAME_PERPLEXITY, outside=True),
                pairs_of_texts,
            ),
        ),
        "decoder",
        ("learned",),
        on_other_texts="The test texts differ in perplexity",
    ),
    Claim(
        "C5",
        "Layer 1 of the decoder attends to the tokens just before, layer 4 more widely",
        near_first_far_last("decoder"),
        "decoder",
        ("learned",),
        note=cost_of_parts("decoder"),
    ),
    Claim(
        "C6",
        "ALiBi leaves the classifier's accuracy as it is",
        (
            Part(
                "test accuracy",
                "test accuracy with ALiBi less that with learned positions, in points,",
                "points",
                Range(-AS_IT_IS, AS_IT_IS),
                effect("classifier", "alibi", "learned", "accuracy", subset="all"),
            ),
        ),
        "classifier",
        ("alibi", "learned"),
        of_accuracy=True,
        note=left_out("alibi", "learned"),
    ),
    Claim("C7", "ALiBi shortens the classifier's training by 14%", (shortened_by("classifier", 0.14),), sized=True),
    Claim("C8", "ALiBi shortens the decoder's training by 11.5%", (shortened_by("decoder", 0.115),), sized=True),
    Claim(
        "C9",
        "ALiBi lowers train and all test perplexities",
        (
            Part(
                "{text}",
                "perplexity, {text}: ALiBi / learned positions",
                "ratio",
                Range(below=1),
                effect("decoder", "alibi", "learned", "perplexity"),
            ),
        ),
        "decoder",
        ("alibi", "learned"),
        note=gain_without_positions,
    ),
    Claim(
        "C10",
        "With ALiBi trained at 32 tokens, perplexity is the same at 32, 64 and 128",
        (
            Part(
                "{text}, {length} tokens",
                "perplexity on {text}: read at {length} tokens / at {block}",
                "ratio",
                Range(1 - SAME_PERPLEXITY, 1 + SAME_PERPLEXITY),
                at_other_lengths,
            ),
        ),
        "decoder",
        ("alibi",),
    ),
    Claim(
        "C11",
        "Batch norm and dropout narrow the gap between train and test accuracy",
        (
            Part(
                "gap",
                "training less test accuracy, in points: regularized less original",
                "points",
                Range(below=0),
                effect("classifier", REGULARIZED, "original", "train - test accuracy"),
            ),
        ),
        "classifier",
        (REGULARIZED, "original"),
        of_accuracy=True,
        note=left_out(REGULARIZED, "original"),
    ),
    Claim(
        "C12",
        "Batch norm and dropout raise test accuracy by 2 points",
        (
            Part(
                "test accuracy",
                "test accuracy, regularized less original, in points,",
                "points",
                Range(AROUND[0] * 2, AROUND[1] * 2),
                effect("classifier", REGULARIZED, "original", "accuracy", subset="all"),
            ),
        ),
        "classifier",
        (REGULARIZED, "original"),
        of_accuracy=True,
        sized=True,
        note=left_out(REGULARIZED, "original"),
    ),
    Claim(
        "C13",
        "0.2 is the best dropout rate of 0.2 .. 0.5",
        (
            Part(
                "against {other}",
                "validation accuracy, in points: dropout {rate} less dropout {other}",
                "points",
                Range(above=0),
                rates_on_folds,
            ),
        ),
        "validation",
        note=highest_on_folds,
    ),
)


def claims_on(answers: Answers) -> list[Claim]:
    """The claims that can be put to the data: on other people's texts, those that quote no size of the report's."""
    if on_reports_speakers(answers):
        return list(CLAIMS)
    return [replace(claim, text=claim.on_other_texts or claim.text) for claim in CLAIMS if not claim.sized]
