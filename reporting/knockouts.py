"""What a model loses without its parts, and whether the words that an explanation names decide: tables and pictures."""

from dataclasses import replace
from pathlib import Path

import utilities
from common.wording import counted
from reporting.table import Table, table_of, terminal_text
from reporting.wording import effect, number
from studies.probes.faithfulness import METHODS, Faithfulness
from studies.probes.knockouts import KnockOuts


def knockouts_text(probed: KnockOuts) -> str:
    """What the command prints."""
    return terminal_text(knockouts_table(probed))


def knockouts_table(probed: KnockOuts) -> Table:
    """What one model loses without each of its parts."""
    is_decoder = probed.task == "decoder"
    measure, cost = ("perplexity", "rises by") if is_decoder else ("accuracy %", "falls by, points")
    rows = [{"without": "nothing", measure: number(probed.value), cost: ""}]
    for knocked in probed.without:
        fall = effect(knocked.cost, "ratio") if is_decoder else effect(knocked.cost, "points", bare=True)
        rows.append({"without": knocked.part.name, measure: number(knocked.value), cost: fall})
    note = (
        "The output of each part is replaced by its mean over the training data; 95% intervals over "
        f"{probed.n_items:,} {'lines of the test texts' if is_decoder else 'test rows'}."
    )
    return table_of(f"The {probed.task} without each of its parts", rows, ("without",), note)


def faithfulness_tables(probed: Faithfulness) -> list[Table]:
    """How far the probability falls, by method and number of words deleted, and how the methods compare."""
    titles = {
        "fall": "How far the probability of the model's answer falls, in points",
        "against_random": "How much further than without random words",
        "against_attention": "How much further than without the words with most attention",
    }
    n_rows = ", ".join(f"{n:,}" for n in probed.n_rows.values())
    note = (
        f"Of test rows that have more words than are deleted ({n_rows}), with 95% intervals over rows. Leave-one-out "
        "asks of each word just what 1 word deleted shows."
    )
    tables = []
    for name, title in titles.items():
        rows: dict[str, dict[str, str | None]] = {}
        for fall in probed.falls:
            if (estimate := getattr(fall, name)) is not None:
                row = rows.setdefault(fall.method, {"words that are deleted": METHODS[fall.method]})
                row[counted(fall.deleted, "word")] = effect(estimate, "points", bare=True)
        if rows:
            tables.append(table_of(title, list(rows.values()), ("words that are deleted",)))
    return [*tables[:-1], replace(tables[-1], note=note)]


def faithfulness_text(probed: Faithfulness) -> str:
    """What the command prints."""
    *tables, last = faithfulness_tables(probed)
    return terminal_text(*tables, replace(last, note=""), last.note)


def draw_faithfulness(path: Path, probed: Faithfulness) -> None:
    """Every fall with its interval."""
    lines = [
        utilities.Interval(f"{fall.deleted}: {METHODS[fall.method]}", fall.fall.mean, fall.fall.low, fall.fall.high)
        for fall in probed.falls
    ]
    title = "Without the words that each method names most, by how many are deleted"
    utilities.interval_figure(path, lines, "fall of the answer's probability (points)", title, number="+.1f")
