"""What to know besides the verdict on a claim, in a sentence made of the answers."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from evaluation.statistics import Estimate
from studies.answers import Answers
from studies.effects import UNTRAINED, has_trained, share_untrained
from studies.probes.knockouts import KnockOut
from studies.probes.knockouts import ModelPart as ModelPart
from training.recipe import Task

MINUS = "\N{MINUS SIGN}"


def mean(values: Iterable[float]) -> float:
    """The sum divided by the number."""
    numbers = list(values)
    return sum(numbers) / len(numbers)


def left_out(variant: str, base: str | None = None) -> Callable[[Answers], str]:
    """How many runs did not train: the verdict is about the others."""

    def note(answers: Answers) -> str:
        sentences = []
        for name in dict.fromkeys((base or variant, variant)):
            runs = answers.classifier.get(name, [])
            untrained = sum(not has_trained(run) for run in runs)
            if untrained:
                share = in_brackets(share_untrained(runs, answers.confidence))
                sentences.append(f"{untrained} of {len(runs)} runs ({name}) did not train, {share} %, and are left out")
        if sentences:
            rows = answers.find(question="classifier", variant=variant, base=base, measure=UNTRAINED)
            sentences += [f"a difference of {in_brackets(row.estimate)} points" for row in rows]
        return "; ".join(sentences)

    return note


def gain_without_positions(answers: Answers) -> str:
    """What the model without positions gains, beside what ALiBi does."""
    changes = []
    for variant in ("alibi", "none"):
        rows = answers.find(question="decoder", variant=variant, base="learned", measure="perplexity")
        ratios = [row.estimate.mean for row in rows if row.subset in answers.test_names]
        if not ratios:
            return ""
        changes.append(100 * (mean(ratios) - 1))
    alibi, none = (f"{change:+.1f}%".replace("-", MINUS) for change in changes)
    note = f"Mean change of test perplexity against learned positions: ALiBi {alibi}, no positions at all {none}."
    if max(changes) >= 0:
        return note
    share = min(100.0, 100 * changes[1] / changes[0])
    return f"{note} No positions at all give {share:.0f}% of ALiBi's gain: that part is not due to ALiBi."


def cost_of_parts(kind: Task) -> Callable[[Answers], str]:
    """What the model whose attention is drawn loses without its positions and without its first and last layer: that it
    looks somewhere does not say that it needs it."""

    def note(answers: Answers) -> str:
        models = answers.knockouts.get(kind, {}).get("learned", [])
        if not models:
            return ""
        knocked_out = models[0].without
        layers = [knocked.part.layer for knocked in knocked_out if knocked.part.layer is not None]
        ends = (None, min(layers), max(layers)) if layers else (None,)
        costs = [
            f"without {knocked.part.name} by {cost_in_words(knocked)}"
            for end in dict.fromkeys(ends)
            for knocked in knocked_out
            if knocked.part == ModelPart(end)
        ]
        falls = (
            "The perplexity of one seed's model rises"
            if kind == "decoder"
            else "The accuracy of one seed's model falls"
        )
        return f"{falls} {', '.join(costs)}." if costs else ""

    return note


def highest_on_folds(answers: Answers) -> str:
    """The rate of dropout that validation chooses."""
    if not answers.validation:
        return ""
    return f"Highest mean validation accuracy: dropout {best_on_folds(answers).rpartition('-')[2]}."


def best_on_folds(answers: Answers) -> str:
    """The variant with the highest mean accuracy on the folds."""
    accuracies = {
        name: mean(run.test["all"].accuracy or 0.0 for run in runs) for name, runs in answers.validation.items()
    }
    return max(accuracies, key=lambda name: accuracies[name])


def cost_in_words(knocked: KnockOut) -> str:
    """What a knock-out costs, with its interval."""
    if not knocked.cost.ratio:
        return f"{in_brackets(knocked.cost, 1)} points"
    percent = {
        end: 100 * (value - 1) for end in ("mean", "low", "high") if (value := getattr(knocked.cost, end)) is not None
    }
    return f"{in_brackets(replace(knocked.cost, **percent), 1)} %"


def in_brackets(estimate: Estimate, digits: int = 0) -> str:
    """An effect with its interval, if it has any, for a sentence."""
    ends = [f"{end:.{digits}f}" for end in (estimate.low, estimate.high) if end is not None]
    interval = f" [{', '.join(ends)}]" if ends else ""
    return f"{estimate.mean:.{digits}f}{interval}".replace("-", MINUS)
