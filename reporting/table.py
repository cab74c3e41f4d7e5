"""A table and its three forms: terminal text, Markdown, and HTML (templates/table.html); and how its cells are written.

Names that people choose stand in cells and headers: text is text in every form, and no character of it is markup.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Drawing
from rich.text import Text

from evaluation.statistics import Estimate, summary

MINUS = "\N{MINUS SIGN}"
WIDEST, NARROWEST = 100, 40  # a terminal's columns that are used, at most and at least
GAP = 2  # between columns
NARROW_WORDS = 16  # a column of words gets no narrower than this, if it has that much to say


@dataclass(frozen=True)
class Column:
    """The head of a column, and where its cells stand: words to the left, numbers to the right."""

    name: str
    align: Literal["left", "right"]


@dataclass(frozen=True)
class Table:
    """Cells are text; None is a dash. The columns of words at the left, one or more, name the row."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | None]]
    note: str = ""

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]


def words(*names: str) -> list[Column]:
    """Columns of words."""
    return [Column(name, "left") for name in names]


def numbers(*names: str) -> list[Column]:
    """Columns of numbers."""
    return [Column(name, "right") for name in names]


def filled(table: Table) -> Table:
    """`table` without the columns in which nothing stands."""
    kept = [place for place in range(len(table.columns)) if any(row[place] is not None for row in table.rows)]
    rows = [[row[place] for place in kept] for row in table.rows]
    return replace(table, columns=[table.columns[place] for place in kept], rows=rows)


def number(value: float, digits: int = 1, sign: bool = False) -> str:
    """A number with so many decimals, with a real minus sign."""
    value = 0.0 if round(value, digits) == 0 else value  # no minus before a zero
    return f"{value:{'+' if sign else ''},.{digits}f}".replace("-", MINUS)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean and standard deviation over seeds."""
    found = summary(values)
    return number(found.mean, digits) + ("" if found.sd is None else f" ± {number(found.sd, digits)}")


def effect(estimate: Estimate, unit: str, bare: bool = False) -> str:
    """An effect with its interval, if any; a ratio as the change in percent. `bare`: the unit stands elsewhere."""
    found = f" [{', '.join(ends(estimate, unit))}]" if estimate.low is not None else ""
    return f"{_shown(estimate.mean, unit)}{found}" + ("" if bare else " %" if unit == "ratio" else f" {unit}")


def ends(estimate: Estimate, unit: str) -> list[str]:
    """The ends of an interval, none where there is none."""
    return [_shown(value, unit) for value in (estimate.low, estimate.high) if value is not None]


def _shown(value: float, unit: str) -> str:
    if unit == "ratio":
        return number(100 * (value - 1), 1, sign=True)
    return number(value, 1 if unit in ("points", "%") else 2, sign=unit in ("points", "tokens"))


def change(ratio: float) -> str:
    """A ratio that has no interval, as the change in percent."""
    return effect(Estimate(ratio, None, None, None, ratio, 1), "ratio")


def in_one_line(text: str) -> str:
    """`text` with a space for each character that would break or move the line, as names from files may hold."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text)


def cut(text: str, width: int) -> str:
    """The beginning of a text that takes at most `width` columns of a terminal, with a mark where more follows."""
    shown = Text(in_one_line(text))
    shown.truncate(width, overflow="ellipsis")
    return shown.plain


# ------------------------------------------------------------------------------------------------------------ terminal
@dataclass(frozen=True)
class Item:
    """A paragraph beside what starts it."""

    start: str
    text: str
    wraps: bool = True  # a command to copy does not


def terminal_text(*blocks: str | Item | Table) -> str:
    """Paragraphs and tables below each other, as wide as the terminal; a table is followed by an empty line."""
    width = terminal_width()
    return "\n".join(
        terminal_table(block, width) + "\n"
        if isinstance(block, Table)
        else _wrapped(block, width)
        if isinstance(block, Item)
        else _wrapped(Item("", block), width)
        for block in blocks
    )


def terminal_width() -> int:
    """How many columns to write: those of the terminal, or 80 where there is none."""
    return max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))


def terminal_table(table: Table, width: int) -> str:
    """A table for a terminal of `width` columns.

    Heads and words are wrapped, numbers never. Columns that find no room stand below, beside the names of their rows.
    """
    title = [_wrapped(Item("", table.title), width)] if table.title else []
    note = [_wrapped(Item("", f"({table.note})"), width)] if table.note else []
    drawn = "\n\n".join(_draw(table, places, width) for places in _split(table, width))
    return "\n".join([*title, drawn, *note])


def _wrapped(item: Item, width: int) -> str:
    """Lines of at most `width` columns, of which a wide character takes two."""
    if not item.wraps:
        return item.start + in_one_line(item.text)
    indent = cell_len(item.start)
    lines = Text(in_one_line(item.text)).wrap(_console(width), width - indent, overflow="fold")
    return item.start + f"\n{' ' * indent}".join(line.plain.rstrip() for line in lines)


def _split(table: Table, width: int) -> list[list[int]]:
    """The places of the columns that stand beside each other, those that name the row first in each part."""
    names = list(range(_n_names(table)))
    parts = [list(names)]
    for place in range(len(names), len(table.columns)):
        if parts[-1] != names and _total([_least(table, i, width) for i in [*parts[-1], place]]) > width:
            parts.append(list(names))
        parts[-1].append(place)
    return parts


def _n_names(table: Table) -> int:
    """How many columns name the row: those before the first of numbers; one, if it is the first or there is none."""
    return max(1, next((i for i, column in enumerate(table.columns) if column.align == "right"), 1))


def _draw(table: Table, places: Sequence[int], width: int) -> str:
    """Some columns of a table."""
    columns = [_cells(table, place) for place in places]
    widths = [max(map(cell_len, cells)) for cells in columns]
    least = [_least(table, place, width) for place in places]
    heads = [table.columns[place].align == "right" for place in places]
    while _total(widths) > width and widths != least:  # the widest head gives way, then the widest words
        *_, narrowed = max((heads[i], have, i) for i, have in enumerate(widths) if have > least[i])
        widths[narrowed] -= 1
    rule = box.Box("    \n    \n----\n    \n    \n    \n    \n    \n", ascii=True)
    drawing = Drawing(box=rule, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
    head, *rows = zip(*columns)
    for place, name, own in zip(places, head, widths):
        drawing.add_column(Text(name), justify=table.columns[place].align, width=own, overflow="fold")
    for row in rows:
        drawing.add_row(*map(_indented, row))
    console = _console(_total(widths))
    with console.capture() as captured:
        console.print(drawing)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _cells(table: Table, place: int) -> list[str]:
    """What a column shows from its head down."""
    cells = [table.columns[place].name, *(row[place] for row in table.rows)]
    return ["-" if cell is None else in_one_line(cell) for cell in cells]


def _least(table: Table, place: int, width: int) -> int:
    """How narrow a column can be: numbers stay whole, and words as far as those of one column find room."""
    cells = _cells(table, place)
    longest = max(cell_len(word) for cell in cells for word in cell.split() or [""])
    if table.columns[place].align == "right":
        least = max([longest, *map(cell_len, cells[1:])])
    else:
        least = max(longest, min(NARROW_WORDS, max(map(cell_len, cells))))
    n_names = _n_names(table)
    return min(least, (width - GAP * n_names) // (n_names + 1))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _indented(cell: str) -> Padding:
    """A cell whose lines are all indented as its first."""
    text = cell.lstrip(" ")
    return Padding(Text(text), (0, 0, 0, len(cell) - len(text)))


def _console(width: int) -> Console:
    """Where rich writes: plain text, of characters and nothing else."""
    return Console(width=width, color_system=None, legacy_windows=False)


# ------------------------------------------------------------------------------------------------------------ Markdown
def in_markdown(text: str) -> str:
    """`text` as Markdown shows it: <unk> is a word, not a tag, and * and $ are characters."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", in_one_line(text))
    text = re.sub(r"[\\`*$~|]|#(?=\s*$)|\](?=[(\[])|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)
    return text.replace("<", "&lt;")


def markdown_table(table: Table) -> str:
    """A table in GitHub's Markdown."""
    rows = [["-" if cell is None else in_markdown(cell.strip()) for cell in row] for row in table.rows]
    lines = ["| " + " | ".join(row) + " |" for row in (map(in_markdown, table.header), *rows)]
    rule = "|" + "|".join("---:" if column.align == "right" else "---" for column in table.columns) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def markdown_tables(shown: Sequence[Table]) -> list[str]:
    """The lines of tables below each other, with their titles and notes."""
    lines: list[str] = []
    for table in shown:
        note = [in_markdown(table.note), ""] if table.note else []
        lines += [f"### {in_markdown(table.title)}", "", markdown_table(table), "", *note]
    return lines
