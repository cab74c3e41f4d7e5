"""What a reader should know of the answers after ten seconds, in sentences."""

from collections.abc import Callable
from statistics import fmean, geometric_mean

from common.wording import counted
from evaluation.statistics import FAILS, HOLDS, UNCLEAR
from reporting import notes
from reporting.table import effect, number, sentence, spread
from reporting.variants import groups_of, measure_asked
from speechesdataset.folder import TRAINING
from studies.answers import Answers
from studies.catalogue.claims import CLAIMS, claims_on
from studies.catalogue.names import name_of
from studies.catalogue.published import on_reports_speakers, published
from studies.catalogue.questions import WAYS, trained_for


def in_short(answers: Answers) -> list[str]:
    """The sentences to remember, and a warning where the runs were not all made in one way."""
    of_each_question: dict[str, Callable[[Answers, str], str]] = {
        **dict.fromkeys(("part1", "part2", "measure"), standing),
        **dict.fromkeys(("compare", "ablation"), best_variant),
    }
    of_command = {"report": report_in_short, "positions": positions_in_short}
    sentences = of_command[answers.command](answers) if answers.command in of_command else []
    if answers.command in of_each_question:
        sentences = [of_each_question[answers.command](answers, question) for question in answers.questions]
    return [*sentences, *filter(None, [notes.mixture(answers.machines)])]


def standing(answers: Answers, question: str) -> str:
    """What the first variant of a question reaches, beside the report's recipe and the best opponent."""
    asked, opponents = answers.questions[question], answers.opponents(question)
    measure, records = measure_asked(asked), {**opponents, **answers.runs(question)}
    subsets, items, unit = [measure.subset], "", ""
    if measure.name == "accuracy":
        subsets, items, unit = [group for group in groups_of(answers) if group != "seen"], " rows", "%"

    def level(name: str) -> str:
        values = ([measure.value(record, subset) for record in records[name]] for subset in subsets)
        return " and ".join(f"{spread(each, measure.digits)}{unit}" for each in values)

    def compared(name: str, title: str) -> str:
        rows = answers.find(question=question, variant=asked.base, base=name, measure=measure.name, subset=subsets[-1])
        by = f" (difference: {effect(rows[0].estimate, rows[0].unit)})" if rows else ""
        return f"{title}: {level(name)}{by}"

    best = max if measure.higher_is_better else min
    strongest = best(opponents, key=lambda name: fmean(measure.value(each, subsets[-1]) for each in opponents[name]))
    sentences = [f"{measure.name} of the {asked.kind}, {' and '.join(subsets)}{items}: {level(asked.base)}"]
    if of_report := published(answers, question, asked.base):
        tests = [values[-1] for subset, values in of_report.reached.items() if subset != TRAINING]
        sentences.append(f"published: {number(geometric_mean(tests))}{unit}")
    if "report" in records:
        sentences.append(compared("report", name_of("report")))
    sentences.append(compared(strongest, f"the best opponent, {name_of(strongest)}"))
    return f"{sentence('; '.join(sentences))}."


def best_variant(answers: Answers, question: str) -> str:
    """Which variant is best, as far as that can be told."""
    asked, runs = answers.questions[question], answers.runs(question)
    measure = measure_asked(asked)
    means = {name: fmean(measure.value(run, measure.subset) for run in records) for name, records in runs.items()}
    best = (max if measure.higher_is_better else min)(means, key=lambda name: means[name])
    better = [row.variant for row in answers.find(question=question, verdict="better") if row.variant in runs]
    if best == asked.base:
        return f"No {asked.kind} is better than {name_of(asked.base)} on average."
    if not better:
        return f"{name_of(best)} is best on average, but these runs cannot tell it from {name_of(asked.base)}."
    return f"Better than {name_of(asked.base)}: {', '.join(map(name_of, better))}. Best on average: {name_of(best)}."


def positions_in_short(answers: Answers) -> list[str]:
    """How far each way to tell positions is from none, after so many iterations."""
    base, *others = WAYS
    sentences = []
    for n in answers.iterations_of_decoders():
        effects = [
            f"{way} {effect(row.estimate, row.unit)}"
            for way in others
            for row in answers.find(variant=trained_for(way, n), base=trained_for(base, n))
        ]
        sentences.append(f"Perplexity after {n:,} iterations, against {base}: {'; '.join(effects)}.")
    return sentences


# ------------------------------------------------------------------------------------------------------- of the report
def report_in_short(answers: Answers) -> list[str]:
    """The verdicts in numbers, and how the report's models stand beside their opponents."""
    models = [standing(answers, kind) for kind in ("classifier", "decoder")]
    if answers.quick:
        return models
    control = [judgement.note for judgement in answers.claims if judgement.id == "C9" and judgement.note]
    return [count_verdicts(answers), *models, *control]


def count_verdicts(answers: Answers) -> str:
    """How many claims hold, and which have no verdict."""
    claims, judged = claims_on(answers), {judgement.id for judgement in answers.claims}
    verdicts = [judgement.verdict for judgement in answers.claims]
    counts = ", ".join(f"{verdict}: {verdicts.count(verdict)}" for verdict in (HOLDS, FAILS, UNCLEAR))
    which = f"the report's {len(claims)} claims" if len(claims) == len(CLAIMS) else f"{len(claims)} of its claims"
    missing = ", ".join(claim.id for claim in claims if claim.id not in judged)
    return f"Verdicts on {which}: {counts}." + (
        f" Not judged, as this recipe or these texts lack what they are about: {missing}." if missing else ""
    )


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
