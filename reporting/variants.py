"""The table of a question: what its variants reach beside models without a network, and how far they are apart.

It is the same for one seed and for many, for accuracy and for perplexity, and shows the interval that the verdict uses.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from common.wording import counted, duration
from evaluation.records import Group
from evaluation.statistics import UNCLEAR
from reporting import notes
from reporting.table import Table, effect, number, sentence, spread, table_of
from speechesdataset.folder import TOGETHER, TRAINING
from studies.answers import Answers, Asked, Comparison
from studies.catalogue.names import name_of
from studies.catalogue.published import published
from studies.effects import UNTRAINED, has_trained
from training.kinds import KINDS, Measure
from training.records import TrainedRun

VERDICT = "verdict"
TIMES = {"training time": "change, %", "processor time": "change of\nprocessor time, %"}
Row = Mapping[str, str | None]  # by the head of the column; None is a dash


def by_variant(answers: Answers, question: str, title: str, variants: Sequence[str] = ()) -> Table:
    """What each variant of a question reaches, and each model without a network; below it how far it is from the
    variants that it is compared with, and what the report published of it."""
    asked, runs, heads = answers.questions[question], answers.runs(question), heads_of(answers, question)
    shown = {name: runs[name] for name in variants or runs}
    records = {**shown, **(answers.opponents(question) if question == asked.kind else {})}
    pairs = [pair for pair in effects_by_pair(answers, question) if below(answers, pair[0]) in records]
    rows: list[Row] = []
    for name, measured in records.items():
        rows.append({asked.kind: name_of(name), **levels(answers, asked, measured, heads)})
        if name in shown and (rest := those_that_trained(measured)):
            rows.append({asked.kind: f"   the {len(rest)} that trained", **by_subset(asked, rest, heads)})
        if of_report := published(answers, question, name):
            cells = {
                heads[subset]: number(values[-1]) for subset, values in of_report.reached.items() if subset in heads
            }
            rows.append({asked.kind: "   published", **cells})
        for pair in pairs:
            if name == below(answers, pair[0]):
                rows += effects(answers, pair, heads)
    for name, diverged in answers.diverged.get(question, {}).items():
        how_many = f"diverged on {counted(len(diverged), 'seed')}, from step {min(run.step for run in diverged)} on"
        rows.append({asked.kind: name_of(name), VERDICT: how_many})
    hidden = {
        "seeds": len({len(records) for records in shown.values()}) == 1,
        notes.UNTRAINED: not some_untrained(shown),
    }
    rows = [{head: text for head, text in row.items() if not hidden.get(head)} for row in rows]
    return table_of(title, rows, (asked.kind, VERDICT), note_by_variant(answers, question, shown, pairs))


def heads_of(answers: Answers, question: str) -> dict[str, str]:
    """The heads of the columns that show the measure of a question, by the subset that it was measured on."""
    asked = answers.questions[question]
    measure = measure_asked(asked)
    if measure.name == "accuracy" and not asked.on_folds:
        sizes = answers.classifier[asked.base][0].test
        return {group: f"{group} ({sizes[group].n:,})" for group in groups_of(answers)}
    compared = [row.subset for row in answers.find(question=question, measure=measure.name, length=None)]
    subsets = [subset for subset in dict.fromkeys(compared) if subset is not None] or [measure.subset]
    return {subset: subset if len(subsets) > 1 else measure.title for subset in subsets}


def measure_asked(asked: Asked) -> Measure:
    """What is compared first."""
    return KINDS[asked.kind].measures[asked.measure]


def groups_of(answers: Answers) -> tuple[Group, ...]:
    """The groups of test rows that differ from each other."""
    return ("all", "seen", "unseen") if 0 < answers.data.seen_rows < answers.data.test_rows else ("all",)


def some_untrained(variants: Mapping[str, Sequence[TrainedRun]]) -> bool:
    """Whether a run did not train."""
    return not all(has_trained(run) for runs in variants.values() for run in runs)


def levels(answers: Answers, asked: Asked, records: Sequence[Any], heads: Mapping[str, str]) -> Row:
    """What the runs of a variant reach, or an opponent, of which there is nothing on the training text."""
    measure, values = measure_asked(asked), by_subset(asked, records, heads)
    if not isinstance(records[0], TrainedRun):
        return values
    row = {"seeds": str(len(records)), **values}
    if answers.command in ("compare", "ablation", "measure"):
        row = {"parameters": f"{records[0].n_parameters:,}", **row}
    elif measure.name == "accuracy":
        row["training\nrows"] = spread([record.epochs[-1].train_accuracy for record in records])
    return {**row, notes.UNTRAINED: f"{sum(not has_trained(record) for record in records)} of {len(records)}"}


def by_subset(asked: Asked, records: Sequence[Any], heads: Mapping[str, str]) -> Row:
    """What some records of one variant, or of an opponent, reach."""
    measure, is_run = measure_asked(asked), isinstance(records[0], TrainedRun)
    return {
        head: spread([measure.value(record, subset) for record in records], measure.digits)
        for subset, head in heads.items()
        if is_run or subset != TRAINING
    }


def those_that_trained(runs: Sequence[TrainedRun]) -> list[TrainedRun]:
    """The runs of a variant that trained, where some did and some did not."""
    trained = [run for run in runs if has_trained(run)]
    return trained if len(trained) < len(runs) else []


def effects_by_pair(answers: Answers, question: str) -> list[list[Comparison]]:
    """The effects of a question by the pair of variants that they compare, but for those on times (`times`)."""
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for row in answers.find(question=question, length=None):
        if row.measure not in TIMES:
            pairs.setdefault((row.variant, row.base), []).append(row)
    return list(pairs.values())


def below(answers: Answers, row: Comparison) -> str:
    """The variant below which an effect is shown: the one that is not the base of its question."""
    return row.base if row.variant == answers.questions[row.question].base else row.variant


def effects(answers: Answers, pair: Sequence[Comparison], heads: Mapping[str, str]) -> list[Row]:
    """How a variant differs from another, and what is made of it; below it, where seeds are left out on which one of
    both did not train, how it differs over all seeds."""
    variant, base, asked = pair[0].variant, pair[0].base, answers.questions[pair[0].question]
    against = f"against {name_of(base)}" if below(answers, pair[0]) == variant else f"{name_of(variant)} against it"
    row: dict[str, str | None] = {asked.kind: f"   {against}"}
    over_all: dict[str, str | None] = {asked.kind: "   over all seeds"}
    for comparison in pair:
        is_points = comparison.unit == "points"
        if comparison.measure == UNTRAINED:
            row[notes.UNTRAINED] = effect(comparison.estimate, "points", bare=True)
        elif comparison.measure == asked.measure and comparison.subset is not None and comparison.subset in heads:
            head = heads[comparison.subset]
            row[head] = effect(comparison.estimate, comparison.unit, bare=is_points)
            if comparison.every_seed:
                over_all[head] = effect(comparison.every_seed, comparison.unit, bare=is_points)
        if comparison.verdict and len(answers.seeds) > 1:
            row[VERDICT] = ": ".join(filter(None, [comparison.verdict, what_would_tell(answers, comparison)]))
    return [row, over_all] if len(over_all) > 1 else [row]


def what_would_tell(answers: Answers, comparison: Comparison) -> str:
    """How many seeds would give a verdict where there is none."""
    if comparison.verdict != UNCLEAR:
        return ""
    runs, n = answers.runs(comparison.question), comparison.estimate.n
    pair = [runs[name] for name in (comparison.variant, comparison.base) if name in runs]
    seconds = sum(run.train_seconds for seeds in pair for run in seeds[:n]) / n
    return in_seeds(comparison.seeds_needed, n, seconds * ((comparison.seeds_needed or n) - n))


def in_seeds(needed: int | None, n: int, seconds: float) -> str:
    """How many seeds are needed in all, and how long those beyond the `n` that there are will train."""
    if needed is None:
        return "more seeds do not help" if n > 1 else "needs more than one seed"
    return f"needs {needed} seeds ({duration(seconds)})"


def note_by_variant(
    answers: Answers, question: str, shown: Mapping[str, Sequence[TrainedRun]], pairs: Sequence[Sequence[Comparison]]
) -> str:
    """What the numbers of the table are."""
    asked, heads = answers.questions[question], heads_of(answers, question)
    kind, measure = KINDS[asked.kind], measure_asked(asked)
    compared = [row for pair in pairs for row in pair if row.measure == measure.name]
    where = "" if asked.on_folds else f", on test {kind.items[0]}"
    return notes.paragraph(
        f"{sentence(answers.labels[asked.kind])}; measured when training ended{where}.",
        notes.SEEN if "seen" in heads else "",
        notes.FOLDS if asked.on_folds else "",
        notes.over_seeds(shown.values()),
        notes.about_intervals(answers, compared),
        notes.about_holm(compared),
        notes.NEEDED if any(row.verdict == UNCLEAR for row in compared) and len(answers.seeds) > 1 else "",
        notes.DID_NOT_TRAIN if some_untrained(shown) else "",
        notes.ALL_TEXTS.get(measure.name, "") if TOGETHER in heads else "",
        notes.per_token(answers) if measure.name == "perplexity" else "",
    )
