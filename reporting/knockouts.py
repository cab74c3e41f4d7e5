"""What a model loses without its parts, and whether the words that an explanation names decide: tables and pictures."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import utilities
from common.wording import counted
from reporting.table import Column, Table, described, terminal_text
from reporting.wording import effect, number
from studies.probes.faithfulness import METHODS, Faithfulness
from studies.probes.knockouts import KnockOuts


def knockouts_text(probed: KnockOuts) -> str:
    """What the command prints."""
    return terminal_text(knockouts_table(probed))


def knockouts_table(probed: KnockOuts) -> Table:
    """What one model loses without each of its parts."""
    is_decoder = probed.task == "decoder"
    unit = "ratio" if is_decoder else "points"
    rows = [("nothing", probed.value, None), *((each.part.name, each.value, each.cost) for each in probed.without)]
    columns = [
        Column("without", lambda row: row[0], "left"),
        Column("perplexity" if is_decoder else "accuracy, %", lambda row: number(row[1])),
        Column(
            "rises by, %" if is_decoder else "falls by, points", lambda row: row[2] and effect(row[2], unit, bare=True)
        ),
    ]
    note = (
        "The output of each part is replaced by its mean over the training data; 95% intervals over "
        f"{probed.n_items:,} {'lines of the test texts' if is_decoder else 'test rows'}."
    )
    return described(f"The {probed.task} without each of its parts", rows, columns, note)


def faithfulness_tables(probed: Faithfulness) -> list[Table]:
    """How far the probability falls, by method and number of words deleted, and how the methods compare."""
    methods = dict.fromkeys(fall.method for fall in probed.falls)
    by_key = {(fall.method, fall.deleted): fall for fall in probed.falls}

    def table(title: str, of: str, note: str = "") -> Table:
        def shown(k: int) -> Callable[[str], str | None]:
            def cell(method: str) -> str | None:
                estimate = getattr(by_key[method, k], of)
                return effect(estimate, "points", bare=True) if estimate else None

            return cell

        columns = [
            Column("words that are deleted", lambda method: METHODS[method], "left"),
            *(Column(counted(k, "word"), shown(k)) for k in probed.n_rows),
        ]
        rows = [method for method in methods if getattr(by_key[method, next(iter(probed.n_rows))], of)]
        return described(title, rows, columns, note)

    n_rows = ", ".join(f"{n:,}" for n in probed.n_rows.values())
    note = (
        f"Of test rows that have more words than are deleted ({n_rows}), with 95% intervals over rows. Leave-one-out "
        "asks of each word just what 1 word deleted shows."
    )
    tables = [
        table("How far the probability of the model's answer falls, in points", "fall"),
        table("How much further than without random words", "against_random"),
        table("How much further than without the words with most attention", "against_attention", note),
    ]
    return [each for each in tables if each.rows]


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
