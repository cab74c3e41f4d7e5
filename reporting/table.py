"""A table and its three forms: terminal text, Markdown, and HTML (templates/table.html).

Names that people choose stand in cells and heads: text is text in every form, and no character of it is markup.
"""

import functools
import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Drawing
from rich.text import Text

from common.wording import in_one_line
from evaluation.statistics import Estimate

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATES = Path(__file__).parent / "templates"
MINUS = "\N{MINUS SIGN}"
WIDEST, NARROWEST = 100, 40  # a terminal's columns that are used, at most and at least
GAP = 2  # between columns
NARROW_WORDS, NARROW_HEAD = 16, 20  # words that name a row, and the head of a column, may be wrapped, but not narrower


@dataclass(frozen=True)
class Column:
    """The head of a column, which may say where it breaks, and where its cells stand: words left, numbers right."""

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


def table_of(title: str, rows: Sequence[Mapping[str, str | None]], words: Collection[str], note: str = "") -> Table:
    """A table of rows that hold their cells by the heads of the columns, some of them `words` and the others numbers. A
    column in which nothing stands is left out."""
    heads = dict.fromkeys(head for row in rows for head in row)
    columns = [
        Column(head, "left" if head in words else "right") for head in heads if any(row.get(head) for row in rows)
    ]
    return Table(title, columns, [[row.get(column.name, "") for column in columns] for row in rows], note)


# ------------------------------------------------------------------------------------------------- what cells hold
def number(value: float, digits: int = 1, sign: bool = False) -> str:
    """A number with so many decimals, with a real minus sign."""
    value = 0.0 if round(value, digits) == 0 else value  # no minus before a zero
    return f"{value:{'+' if sign else ''},.{digits}f}".replace("-", MINUS)


def spread(values: Sequence[float | None], digits: int = 1) -> str | None:
    """The mean, and of several the standard deviation, of the values that there are; None if there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return number(fmean(known), digits) + (f" ± {number(stdev(known), digits)}" if len(known) > 1 else "")


def spread_of(records: Iterable[object], name: str, digits: int = 1) -> str | None:
    """The same of what records, one a seed, hold under a name."""
    return spread([getattr(record, name) for record in records], digits)


def effect(estimate: Estimate, unit: str, bare: bool = False) -> str:
    """An effect with its interval, if any; a ratio as the change in percent. `bare`: the unit stands elsewhere."""
    ends = [_in_unit(end, unit) for end in (estimate.low, estimate.high) if end is not None]
    interval = f" [{', '.join(ends)}]" if ends else ""
    return f"{_in_unit(estimate.mean, unit)}{interval}" + ("" if bare else " %" if unit == "ratio" else f" {unit}")


def _in_unit(value: float, unit: str) -> str:
    if unit == "ratio":
        return number(100 * (value - 1), 1, sign=True)
    return number(value, 1 if unit in ("points", "%") else 2, sign=unit in ("points", "tokens"))


def sentence(words: str) -> str:
    """The words with a capital."""
    return words[:1].upper() + words[1:]


def from_here(folder: str) -> Path:
    """A folder as seen from the working directory if it lies there, else in full."""
    path = Path(folder)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


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
    items = [Item("", block) if isinstance(block, str) else block for block in blocks]
    return "\n".join(
        terminal_table(item, width) + "\n" if isinstance(item, Table) else _wrapped(item, width) for item in items
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
    drawn = "\n\n".join(_drawn(table, shown, width) for shown in _parts(table, width))
    return "\n".join([*title, drawn, *note])


def _wrapped(item: Item, width: int) -> str:
    """Lines of at most `width` columns, of which a wide character takes two."""
    if not item.wraps:
        return item.start + in_one_line(item.text)
    indent = cell_len(item.start)
    lines = Text(in_one_line(item.text)).wrap(_console(width), width - indent, overflow="fold")
    return item.start + f"\n{' ' * indent}".join(line.plain.rstrip() for line in lines)


def _parts(table: Table, width: int) -> list[list[int]]:
    """The columns, by number, that find room beside each other; those that name the row stand first in each part."""
    n_names = next((i for i, column in enumerate(table.columns) if column.align == "right"), 1) or 1
    names = list(range(n_names))
    parts = [[*names]]
    for column in range(n_names, len(table.columns)):
        least = [_least(table, i, width // (n_names + 1) - GAP) for i in [*parts[-1], column]]
        if parts[-1] != names and sum(least) + GAP * (len(least) - 1) > width:
            parts.append([*names])
        parts[-1].append(column)
    return parts


def _least(table: Table, column: int, most: int) -> int:
    """How narrow a column can be; no longer than `most` if it is of words."""
    head, *cells = _cells(table, column)
    widest = max(map(cell_len, cells), default=0)
    if table.columns[column].align == "left":
        return min(max(widest, cell_len(head)), NARROW_WORDS, most)
    return max(widest, *map(cell_len, _head(head, widest).plain.split("\n")))


def _drawn(table: Table, shown: Sequence[int], width: int) -> str:
    """Some columns of a table; rich finds the widths of those that hold words."""
    rule = box.Box("    \n    \n----\n    \n    \n    \n    \n    \n", ascii=True)
    drawing = Drawing(box=rule, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
    columns = [_cells(table, i) for i in shown]
    for i, (head, *cells) in zip(shown, columns):
        is_number = table.columns[i].align == "right"
        text = _head(head, max(map(cell_len, cells), default=0))
        drawing.add_column(text, justify=table.columns[i].align, no_wrap=is_number, overflow="fold")
    for row in zip(*(cells for _, *cells in columns)):
        drawing.add_row(*map(_indented, row))
    console = _console(width)
    with console.capture() as captured:
        console.print(drawing)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _cells(table: Table, column: int) -> list[str]:
    """What a column shows from its head down."""
    cells = ["-" if row[column] is None else in_one_line(str(row[column])) for row in table.rows]
    return [table.columns[column].name, *cells]


def _head(name: str, widest: int) -> Text:
    """The head of a column in lines, broken where it says, and where it is longer than its cells."""
    width = max(widest, NARROW_HEAD)
    lines = [line for part in name.split("\n") for line in Text(in_one_line(part)).wrap(_console(width), width)]
    return Text("\n".join(line.plain.rstrip() for line in lines))


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


def markdown_tables(tables: Sequence[Table]) -> list[str]:
    """The lines of tables below each other, with their titles and notes."""
    lines: list[str] = []
    for table in tables:
        note = [in_markdown(table.note), ""] if table.note else []
        lines += [f"### {in_markdown(table.title)}", "", markdown_table(table), "", *note]
    return lines


# ---------------------------------------------------------------------------------------------------------------- HTML
@functools.cache
def template(name: str) -> "Template":
    """A template by the name of its file; a name that it does not know is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
