"""What a reader should know of the answers after ten seconds, in sentences."""

from collections.abc import Mapping, Sequence
from statistics import fmean, geometric_mean
from typing import Any

from common.wording import counted
from evaluation.statistics import FAILS, HOLDS, UNCLEAR
from reporting import notes
from reporting.variants import groups_of, measure_of, published_levels
from reporting.wording import effect, number, sentence, spread
from speechesdataset.folder import TOGETHER
from studies.answers import Answers
from studies.catalogue.claims import CLAIMS, claims_on
from studies.catalogue.names import name_of
from studies.catalogue.published import on_reports_speakers
from studies.effects import has_trained
from training.records import TrainedRun

NO_BATCH_NORM = "this recipe has no place for batch norm"


def in_short(answers: Answers) -> list[str]:
    """The sentences to remember, and a warning where the runs were not all made in one way."""
    sentences: list[str] = []
    if answers.command in ("part1", "part2", "measure"):
        sentences = [f"In short: {standing(answers, question)}" for question in answers.questions]
    if answers.command in ("compare", "ablation"):
        sentences = [best_variant(answers, question) for question in answers.questions]
    if answers.command == "report":
        sentences = of_report(answers)
    return [*sentences, *filter(None, [notes.mixture(answers.machines)])]


def standing(answers: Answers, question: str) -> str:
    """What the first variant of a question reaches, beside the others and the best opponent."""
    asked, runs, opponents = answers.questions[question], answers.runs(question), answers.opponents(question)
    measure = measure_of(asked)
    unit = "%" if measure.unit == "points" else ""
    subsets = {TOGETHER: f" on {TOGETHER}"}
    if measure.name == "accuracy":
        names = {"all": " of all test rows", "unseen": " of the unseen ones"}
        subsets = {group: names[group] for group in groups_of(answers) if group in names}
    last = list(subsets)[-1]

    def level(records: Sequence[Any], subset: str) -> str:
        return f"{spread([measure.value(record, subset) for record in records])}{unit}"

    def compared(name: str, words: str) -> str:
        rows = answers.find(question=question, variant=asked.base, base=name, measure=measure.name, subset=last)
        by = f" (difference: {effect(rows[0].estimate, rows[0].unit)})" if rows else ""
        return f"{words}: {' and '.join(level({**runs, **opponents}[name], subset) for subset in subsets)}{by}"

    best = max if measure.higher_is_better else min
    strongest = best(opponents, key=lambda name: fmean(measure.value(each, last) for each in opponents[name]))
    published = published_levels(answers, question, asked.base)
    tests = [float(published[subset]) for subset in ("all", *answers.test_names) if subset in published]
    reached = " and ".join(f"{level(runs[asked.base], subset)}{words}" for subset, words in subsets.items())
    sentences = [
        f"{measure.name} of the {asked.kind}: {reached}",
        *([f"published: {number(geometric_mean(tests))}{unit}"] if tests else []),
        *([compared("report", name_of("report"))] if "report" in runs else []),
        compared(strongest, f"the best opponent, {name_of(strongest)}"),
    ]
    return f"{sentence('; '.join(sentences))}.{at_chance(runs)}"


def at_chance(variants: Mapping[str, Sequence[TrainedRun]]) -> str:
    """Which variants have runs that know no more than which class is the largest; of a single run `warnings` say it."""
    failed = {name: sum(not has_trained(run) for run in runs) for name, runs in variants.items() if len(runs) > 1}
    return "".join(
        f" {n} of {counted(len(variants[name]), 'run')} ended at chance ({name_of(name)})."
        for name, n in failed.items()
        if n
    )


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
    models = [standing(answers, kind) for kind in ("classifier", "decoder")]
    if answers.quick:
        return models
    control = [judgement.note for judgement in answers.claims if judgement.id == "C9" and judgement.note]
    return [count_verdicts(answers), *models, *control]


def count_verdicts(answers: Answers) -> str:
    """How many claims hold, and why some have no verdict."""
    claims, judged = claims_on(answers), {judgement.id for judgement in answers.claims}
    verdicts = [judgement.verdict for judgement in answers.claims]
    counts = ", ".join(f"{verdict}: {verdicts.count(verdict)}" for verdict in (HOLDS, FAILS, UNCLEAR))
    which = f"the report's {len(claims)} claims" if len(claims) == len(CLAIMS) else f"{len(claims)} of its claims"
    one_text = "there is only one test text" if len(answers.test_names) == 1 else ""
    reasons = [
        f" {claim.id} is not judged: {one_text if claim.id == 'C4' and one_text else NO_BATCH_NORM}."
        for claim in claims
        if claim.id not in judged
    ]
    return f"Verdicts on {which}: {counts}.{''.join(reasons)}"


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
