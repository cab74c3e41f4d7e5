"""What a reader should know of the answers after ten seconds, in sentences."""

from collections.abc import Sequence
from statistics import fmean, geometric_mean
from typing import Any

from common.wording import counted
from dataset import TOGETHER
from evaluation.statistics import FAILS, HOLDS, UNCLEAR
from reporting.tables import groups_of, measure_of, published_levels
from reporting.wording import effect, number, spread
from studies.answers import Answers
from studies.catalogue.claims import CLAIMS, claims_on
from studies.catalogue.names import name_of
from studies.catalogue.published import on_reports_speakers
from studies.effects import has_trained


def in_short(answers: Answers) -> list[str]:
    """The sentences to remember."""
    if answers.command in ("part1", "part2", "measure"):
        return [standing(answers, question) for question in answers.questions]
    if answers.command in ("compare", "ablation"):
        return [best_variant(answers, question) for question in answers.questions]
    return of_report(answers) if answers.command == "report" else []


def standing(answers: Answers, question: str) -> str:
    """What the first variant of a question reaches, and how far it is from the others and from the best opponent."""
    asked, runs, opponents = answers.questions[question], answers.runs(question), answers.opponents(question)
    measure = measure_of(asked)
    subsets = [group for group in groups_of(answers) if group != "seen"] if measure.name == "accuracy" else [TOGETHER]

    def reached(records: Sequence[Any]) -> str:
        unit = "%" if measure.unit == "points" else ""
        return " and ".join(
            f"{spread([measure.value(record, subset) for record in records])}{unit}" for subset in subsets
        )

    best = max if measure.higher_is_better else min
    strongest = best(opponents, key=lambda name: fmean(measure.value(each, subsets[-1]) for each in opponents[name]))
    others = {name_of(name): name for name in runs if answers.find(question=question, variant=asked.base, base=name)}
    others[f"the best opponent, {name_of(strongest)}"] = strongest
    compared = []
    for words, name in others.items():
        rows = answers.find(
            question=question, variant=asked.base, base=name, measure=measure.name, subset=subsets[-1], length=None
        )
        by = f" (difference {effect(rows[0].estimate, rows[0].unit)})" if rows else ""
        compared.append(f"{words}: {reached(runs[name] if name in runs else opponents[name])}{by}")
    published = published_levels(answers, question, asked.base)
    tests = [float(published[subset]) for subset in ("all", *answers.test_names) if subset in published]
    if tests:
        compared.insert(0, f"published: {number(geometric_mean(tests))}")
    rows_or_texts = {"all": "all test rows", "unseen": "the unseen ones"}
    where = " and ".join(rows_or_texts.get(subset, subset) for subset in subsets)
    at_chance = "".join(
        f" {n} of {len(records)} runs ended at chance ({name_of(name)})."
        for name, records in runs.items()
        if (n := sum(not has_trained(run) for run in records)) and len(records) > 1
    )
    level = f"{measure.name} of the {asked.kind} on {where} {reached(runs[asked.base])}"
    return f"In short: {level}; {'; '.join(compared)}.{at_chance}"


def best_variant(answers: Answers, question: str) -> str:
    """Which variant is best, as far as that can be told."""
    asked, runs = answers.questions[question], answers.runs(question)
    measure = measure_of(asked)
    means = {name: fmean(measure.value(run, measure.subset) for run in records) for name, records in runs.items()}
    best = (max if measure.higher_is_better else min)(means, key=lambda name: means[name])
    better = [row.variant for row in answers.find(question=question, verdict="better") if row.variant in runs]
    if best == asked.base:
        return f"No {asked.kind} is better than {name_of(asked.base)} on average."
    if not better:
        return f"{name_of(best)} is best on average, but these runs cannot tell it from {name_of(asked.base)}."
    return f"Better than {name_of(asked.base)}: {', '.join(map(name_of, better))}. Best on average: {name_of(best)}."


# ------------------------------------------------------------------------------------------------------- of the report
def of_report(answers: Answers) -> list[str]:
    """The verdicts in numbers, and how the report's models stand beside their opponents."""
    models = [standing(answers, kind).removeprefix("In short: ") for kind in ("classifier", "decoder")]
    if answers.quick:
        return models
    control = [judgement.note for judgement in answers.claims if judgement.id == "C9" and judgement.note]
    return [count_verdicts(answers), *models, *control]


def count_verdicts(answers: Answers) -> str:
    """How many claims hold, and why some have no verdict."""
    claims, judged = claims_on(answers), {judgement.id for judgement in answers.claims}
    counts = [sum(judgement.verdict == verdict for judgement in answers.claims) for verdict in (HOLDS, FAILS, UNCLEAR)]
    reasons: dict[str, list[str]] = {}
    for claim in claims:
        if claim.id not in judged:
            one_text = claim.id == "C4" and len(answers.test_names) == 1
            reason = "there is only one test text" if one_text else "this recipe has no place for batch norm"
            reasons.setdefault(reason, []).append(claim.id)
    unjudged = "".join(f" {' and '.join(ids)}: {reason}." for reason, ids in reasons.items())
    which = f"report's {len(claims)} claims" if len(claims) == len(CLAIMS) else f"{len(claims)} claims about such texts"
    return "Of the {}, {} hold, {} do not, and {} are undecided.{}".format(which, *counts, unjudged)


def quick_warning(answers: Answers) -> str:
    """What the quick version of the report is for, and that is not its numbers."""
    n_epochs = len(answers.classifier["learned"][0].epochs)
    n_iterations = answers.decoder["learned"][0].iterations[-1].iteration
    return (
        f"This is the quick version: a third of the data, {counted(len(answers.seeds), 'seed')}, "
        f"{counted(n_epochs, 'epoch')}, {n_iterations} iterations. It shows that everything works; its numbers mean "
        "nothing, and it judges no claim. The real one: python main.py report"
    )


def comparable(answers: Answers) -> str:
    """What the published numbers are to these data."""
    if on_reports_speakers(answers):
        return (
            "Published numbers were measured on the data of the report's course. On other data their levels do not "
            "compare with ours; what a change of the model does to them may."
        )
    *others, last = [claim.id for claim in CLAIMS if claim.sized]
    return (
        "These are not the report's texts: nothing that it published stands beside the results, and the claims that "
        f"quote a size measured on its own data ({', '.join(others)} and {last}) are not judged."
    )
