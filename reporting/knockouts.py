"""What a model loses without its parts, and whether the words that an explanation names decide: tables and pictures."""

from dataclasses import replace
from pathlib import Path

import utilities
from evaluation.statistics import Estimate
from reporting.table import Table, effect, number, numbers, terminal_text, words
from studies.probes.faithfulness import METHODS, Faithfulness
from studies.probes.knockouts import KnockOuts


def knockouts_text(found: KnockOuts) -> str:
    """What the command prints."""
    return terminal_text(knockouts_table(found))


def knockouts_table(found: KnockOuts) -> Table:
    """A row for each part that was knocked out."""
    is_decoder = found.task == "decoder"
    measure = "perplexity" if is_decoder else "accuracy %"
    unit = "ratio" if is_decoder else "points"
    rows: list[list[str | None]] = [["nothing", number(found.value, 1), None]]
    rows += [[one.part.name, number(one.value, 1), effect(one.cost, unit)] for one in found.without]
    over = "lines of the test texts" if is_decoder else "test rows"
    note = f"each part's output is replaced by its mean over the training data; 95% intervals over {found.n_items:,} "
    columns = words("without") + numbers(measure, "rises by" if is_decoder else "falls by")
    return Table(f"The {found.task} without each of its parts", columns, rows, f"{note}{over}")


def faithfulness_text(found: Faithfulness) -> str:
    """What the command prints."""
    *tables, last = faithfulness_tables(found)
    return terminal_text(*tables, replace(last, note=""), last.note)


def faithfulness_tables(found: Faithfulness) -> list[Table]:
    """How far the probability falls, by method and number of words deleted, and how the methods compare."""
    deleted = list(found.n_rows)
    columns = words("words that are deleted") + numbers(*(f"{k} word{'s' * (k > 1)}" for k in deleted))
    methods = list(dict.fromkeys(one.method for one in found.falls))

    def table(title: str, of: dict[tuple[str, int], Estimate], note: str = "") -> Table:
        rows: list[list[str | None]] = [
            [METHODS[method], *(effect(of[method, k], "points", bare=True) for k in deleted)]
            for method in methods
            if (method, deleted[0]) in of
        ]
        return Table(title, columns, rows, note)

    falls = {(one.method, one.deleted): one.fall for one in found.falls}
    shown = [table("How far the probability of the model's answer falls, in points", falls)]
    for name, values in (
        ("random words", {(one.method, one.deleted): one.against_random for one in found.falls}),
        ("the words with most attention", {(one.method, one.deleted): one.against_attention for one in found.falls}),
    ):
        told = {key: value for key, value in values.items() if value is not None}
        if told:
            shown.append(table(f"How much further than without {name}", told))
    rows = ", ".join(f"{n:,}" for n in found.n_rows.values())
    note = f"Of test rows that have more words than are deleted ({rows}), with 95% intervals over rows. "
    note += "Leave-one-out asks of each word just what 1 word deleted shows."
    return [*shown[:-1], replace(shown[-1], note=note)]


def draw_faithfulness(path: Path, found: Faithfulness) -> None:
    """Every fall with its interval."""
    lines = [
        utilities.Interval(f"{one.deleted}: {METHODS[one.method]}", one.fall.mean, one.fall.low, one.fall.high)
        for one in found.falls
    ]
    title = "Without the words that each method names most, by how many are deleted"
    utilities.interval_figure(path, lines, "fall of the answer's probability (points)", title, number="+.1f")
