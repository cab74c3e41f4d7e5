"""What a reader should know of the answers after ten seconds, in sentences."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from common.wording import counted
from evaluation.statistics import FAILS, HOLDS, UNCLEAR
from reporting import notes
from reporting.tables import groups_of, may_stand_beside, percent, published_perplexities
from reporting.wording import effect, number, sentence, spread
from studies.answers import Answers
from studies.catalogue.claims import CLAIMS, claims_on
from studies.catalogue.names import name_of
from studies.catalogue.published import PUBLISHED_ACCURACY, on_reports_speakers
from studies.effects import has_trained
from training.kinds import KINDS
from training.recipe import Task


def in_short(answers: Answers) -> list[str]:
    """The sentences to remember."""
    if answers.command == "part1":
        return [f"In short: {accuracy(answers)}"]
    if answers.command == "part2":
        return [f"In short: {perplexity(answers)}"]
    if answers.command == "report":
        return of_report(answers)
    if answers.command == "measure":
        return [*(distance(answers, kind) for kind in answers.questions), *at_chance(answers, "report")]
    if answers.command in ("compare", "ablation"):
        return [best_variant(answers, question) for question in answers.questions]
    return []


def mean(answers: Answers, question: str, records: Sequence[Any], subset: str) -> float:
    """The mean over records of what a question measures."""
    asked = answers.questions[question]
    return fmean(KINDS[asked.kind].measures[asked.measure].value(record, subset) for record in records)


def headline(answers: Answers, question: str) -> str:
    """The subset that says most: rows that no model has read, if others have been read; else all, or all texts."""
    measure = KINDS[answers.questions[question].kind].measures[answers.questions[question].measure]
    return "unseen" if measure.name == "accuracy" and len(groups_of(answers)) > 1 else measure.subset


def strongest(answers: Answers, question: str) -> str:
    """The best model without a network."""
    asked, opponents = answers.questions[question], answers.opponents(question)
    best = max if KINDS[asked.kind].measures[asked.measure].higher_is_better else min
    return best(opponents, key=lambda name: mean(answers, question, opponents[name], headline(answers, question)))


# ------------------------------------------------------------------------------------------------------ of one question
def accuracy(answers: Answers) -> str:
    """Test accuracy, on the unseen rows, too, and that of the best opponent on these."""
    runs, group = answers.classifier[answers.questions["classifier"].base], headline(answers, "classifier")
    best = strongest(answers, "classifier")

    def on(group: str, name: str) -> str:
        return f"{spread([run.test[group].accuracy for run in runs])}% of the {runs[0].test[group].n:,} {name}"

    published = f" (published: {PUBLISHED_ACCURACY[-1]}%)" if may_stand_beside(answers) else ""
    unseen = f", and {on('unseen', 'unseen ones')}" if group == "unseen" else ""
    opponent = percent(answers.classifier_opponents[best][0].test[group])  # type: ignore[index]
    of_these = " of these" if unseen else ""
    return (
        f"the classifier gets {on('all', 'test rows')} right{published}{unseen}; the best opponent, {name_of(best)}, "
        f"{opponent}{of_these}."
    )


def perplexity(answers: Answers) -> str:
    """The perplexities of the first decoder, and those of the best model that counts."""
    runs = answers.decoder[answers.questions["decoder"].base]
    best = strongest(answers, "decoder")
    tests = [
        values[-1] for text, values in published_perplexities(answers, runs[0]).items() if text in answers.test_names
    ]
    published = f" (published: {span(tests)})" if tests else ""
    return (
        f"the decoder's perplexity is {span([mean(answers, 'decoder', runs, text) for text in answers.test_names])} on the "
        f"test texts{published}; that of the best opponent, {name_of(best)}, "
        f"{span([answers.decoder_opponents[best][0].scores[text].perplexity for text in answers.test_names])}."
    )


def span(values: Sequence[float]) -> str:
    """From the lowest to the highest."""
    return " to ".join(dict.fromkeys(number(value) for value in (min(values), max(values))))


def distance(answers: Answers, kind: Task) -> str:
    """How far the best recipe is from the report's, and from the best opponent."""
    subset, runs = headline(answers, kind), answers.runs(kind)
    measure = next(iter(KINDS[kind].measures.values()))
    unit = "%" if measure.unit == "points" else ""
    best = strongest(answers, kind)

    def against(name: str, words: str) -> str:
        (row,) = answers.find(question=kind, variant="best", base=name, measure=measure.name, subset=subset)
        records = runs[name] if name in runs else answers.opponents(kind)[name]
        return f"{effect(row.estimate, row.unit)} against {words} ({level(records)}{unit})"

    def level(records: Sequence[Any]) -> str:
        return spread([measure.value(record, subset) for record in records]) or "-"

    where = f"{subset} test rows" if kind == "classifier" else subset
    opponent = f"the strongest opponent without a network, {name_of(best)}"
    return (
        f"The best {kind}: {measure.name} {level(runs['best'])}{unit} on {where}, "
        f"{against('report', name_of('report'))} and {against(best, opponent)}."
    )


def at_chance(answers: Answers, variant: str) -> list[str]:
    """How many classifiers did not train, if any."""
    runs = answers.classifier.get(variant, [])
    n = sum(not has_trained(run) for run in runs)
    return [f"{n} of {len(runs)} runs of the classifier ({name_of(variant)}) ended at chance."] if n else []


def best_variant(answers: Answers, question: str) -> str:
    """Which variant is best, as far as that can be told."""
    asked, runs = answers.questions[question], answers.runs(question)
    measure = KINDS[asked.kind].measures[asked.measure]
    means = {name: mean(answers, question, records, measure.subset) for name, records in runs.items()}
    best = (max if measure.higher_is_better else min)(means, key=lambda name: means[name])
    better = [row.variant for row in answers.find(question=question, verdict="better") if row.variant in runs]
    if best == asked.base:
        return f"No {asked.kind} is better than {name_of(asked.base)} on average."
    if not better:
        return f"{name_of(best)} is best on average, but these runs cannot tell it from {name_of(asked.base)}."
    names = ", ".join(map(name_of, better))
    return f"Better than {name_of(asked.base)}: {names}. Best on average: {name_of(best)}."


# ------------------------------------------------------------------------------------------------------- of the report
def quick_warning(answers: Answers) -> str:
    """What the quick version of the report is for, and that is not its numbers."""
    n_epochs = len(answers.classifier["learned"][0].epochs)
    n_iterations = answers.decoder["learned"][0].iterations[-1].iteration
    return (
        f"This is the quick version: a third of the data, {counted(len(answers.seeds), 'seed')}, "
        f"{counted(n_epochs, 'epoch')}, {n_iterations} iterations. It shows that everything works; its numbers mean "
        "nothing, and it judges no claim. The real one: python main.py report"
    )


def of_report(answers: Answers) -> list[str]:
    """The verdicts in numbers, and how the report's models stand beside their opponents."""
    lines = [sentence(accuracy(answers)), *at_chance(answers, "learned"), sentence(perplexity(answers))]
    control = next((judgement.note for judgement in answers.claims if judgement.id == "C9"), "")
    verdicts = [] if answers.quick else [count_verdicts(answers)]
    return [*verdicts, *lines, *filter(None, ["" if answers.quick else control, notes.mixture(answers.machines)])]


def count_verdicts(answers: Answers) -> str:
    """How many claims hold, and which are not judged."""
    claims = claims_on(answers)
    n_holds, n_fails, n_unclear = (
        sum(judgement.verdict == verdict for judgement in answers.claims) for verdict in (HOLDS, FAILS, UNCLEAR)
    )
    which = f"report's {len(claims)} claims"
    if len(claims) < len(CLAIMS):
        which = f"{len(claims)} claims that can be judged on these texts"
    reasons = "".join(f" {' and '.join(ids)}: {reason}." for reason, ids in unjudged(answers).items())
    return f"Of the {which}, {n_holds} hold, {n_fails} do not, and {n_unclear} are undecided.{reasons}"


def unjudged(answers: Answers) -> Mapping[str, list[str]]:
    """The claims without a verdict, by the reason."""
    judged = {judgement.id for judgement in answers.claims}
    reasons: dict[str, list[str]] = {}
    for claim in claims_on(answers):
        if claim.id not in judged:
            one_text = claim.id == "C4" and len(answers.test_names) == 1
            reason = "there is only one test text" if one_text else "this recipe has no place for batch norm"
            reasons.setdefault(reason, []).append(claim.id)
    return reasons


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
