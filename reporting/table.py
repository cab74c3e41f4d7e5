"""A table, and its forms: terminal text and Markdown; numbers, spreads and effects as its cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.statistics import summary

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Table:
    """Cells are text; None is a dash. The first column names the row."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | None]]
    note: str = ""


def number(value: float, digits: int = 1, sign: bool = False) -> str:
    """A number with so many decimals, with a real minus sign."""
    value = 0.0 if round(value, digits) == 0 else value  # no minus before a zero
    return f"{value:{'+' if sign else ''},.{digits}f}".replace("-", MINUS)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean and standard deviation over seeds."""
    found = summary(values)
    return number(found.mean, digits) + ("" if found.sd is None else f" ± {number(found.sd, digits)}")


def effect(estimate: Mapping[str, Any], unit: str, bare: bool = False) -> str:
    """An effect with its interval; a ratio as the change in percent. `bare`: the unit stands elsewhere."""

    def shown(value: float) -> str:
        if unit == "ratio":
            return number(100 * (value - 1), 1, sign=True)
        return number(value, 1 if unit in ("points", "%") else 2, sign=unit in ("points", "tokens"))

    ends = "" if estimate["low"] is None else f" [{shown(estimate['low'])}, {shown(estimate['high'])}]"
    return f"{shown(estimate['mean'])}{ends}" + ("" if bare else " %" if unit == "ratio" else f" {unit}")


def text_table(header: Sequence[str], rows: Sequence[Sequence[Any]], digits: int = 2) -> str:
    """A plain table: numbers right-aligned, those with a fraction to `digits` places; None as a dash."""
    cells = [list(header), *([_cell(value, digits) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(f"{cell:{'<' if i == 0 else '>'}{w}}" for i, (cell, w) in enumerate(zip(row, widths)))
        for row in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def plain(table: Table) -> str:
    """A table for the terminal."""
    note = [f"({table.note})"] if table.note else []
    return "\n".join([table.title, text_table(table.header, table.rows), *note, ""])


def markdown_tables(shown: Sequence[Table]) -> list[str]:
    """The lines of tables below each other, with their titles and notes."""
    lines: list[str] = []
    for table in shown:
        note = [in_markdown(table.note), ""] if table.note else []
        lines += [f"### {in_markdown(table.title)}", "", markdown_table(table), "", *note]
    return lines


def in_markdown(text: str) -> str:
    """`text` as Markdown shows it: <unk> is a word, not a tag."""
    return text.replace("<", "&lt;")


def markdown_table(table: Table) -> str:
    """A table in GitHub's Markdown."""
    cells = [
        [in_markdown((cell or "-").strip()).replace("|", "\\|") for cell in row] for row in (table.header, *table.rows)
    ]
    cells[0] = [cell if cell != "-" else "" for cell in cells[0]]
    numbers = tuple("-+0123456789" + MINUS)
    is_number = [all(row[i].startswith(numbers) for row in cells[1:]) for i in range(len(cells[0]))]
    rule = "|" + "|".join("---:" if right else "---" for right in is_number) + "|"
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], rule, *lines[1:]])
