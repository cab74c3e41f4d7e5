"""A table in its three forms: what people name stays whole in each, and the terminal's fits the terminal."""

import html
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from rich.cells import cell_len

from reporting import table
from reporting.table import (
    Item,
    Table,
    in_markdown,
    markdown_table,
    numbers,
    table_of,
    terminal_table,
    terminal_text,
    words,
)

NAMES = [
    "a|b",
    "<b>bold</b>",
    "$x$ and $y$",
    "*star*",
    "_low_",
    "snake_case_",
    "one, two",
    "`code`",
    "[b]x[/b]",
    ":+1:",
]
NAMES += ["[a](b)", "&amp;", "&copy", "back\\slash", "\\|", "~~gone~~", "日本語", "{{ x }}", "<!-- results -->", "1. #"]


def html_of(shown: Table) -> str:
    environment = Environment(loader=FileSystemLoader(Path(table.__file__).parent / "templates"), autoescape=True)
    return environment.from_string('{% from "table.html" import show %}{{ show(table) }}').render(table=shown)


# ----------------------------------------------------------------------------------------------------- three forms


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_whole_in_all_three_forms(name: str) -> None:
    shown = Table(f"of {name}", words("text") + numbers(name), [[name, "1.0"]], f"With {name}.")
    lines = terminal_table(shown, 80).split("\n")
    assert lines[0] == f"of {name}"
    assert [line.split("  ")[0] for line in lines[1:]] == ["text", lines[2], name, f"(With {name}.)"]
    assert lines[1].endswith(f"  {name}")

    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    rendered = markdown.render("\n".join(table.markdown_tables([shown])))
    for page in (rendered, html_of(shown)):
        cells = re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", page)
        assert [html.unescape(cell) for cell in cells] == ["text", name, name, "1.0"]
        assert [html.unescape(text) for text in re.findall(r"<h3>(.*)</h3>", page)] == [f"of {name}"]
        assert [html.unescape(text) for text in re.findall(r"<p[^>]*>(.*)</p>", page)] == [f"With {name}."]


def test_only_what_markdown_would_take_for_markup_is_escaped() -> None:
    plain = "+0.6 [+0.5, +0.7] %, test_LM_obama.txt, AT&T (a) #1 - x"
    assert in_markdown(plain) == plain
    assert in_markdown("a|b <unk> $5 *x* _y_ `z` [a](b) &lt;") == (
        "a\\|b &lt;unk> \\$5 \\*x\\* \\_y\\_ \\`z\\` [a\\](b) &amp;lt;"
    )


def test_words_stand_to_the_left_and_numbers_to_the_right_in_all_three_forms() -> None:
    shown = Table("T", words("") + numbers("n", "m"), [["  a|b", "1.5", None], [None, "+3", "-4"]])
    assert markdown_table(shown).split("\n")[1:] == ["|---|---:|---:|", "| a\\|b | 1.5 | - |", "| - | +3 | -4 |"]
    assert terminal_table(shown, 80).split("\n")[3:] == ["  a|b  1.5   -", "-       +3  -4"]
    assert f'<td class="right">1.5</td><td class="right">{"–"}</td>' in html_of(shown)  # noqa: RUF001


# -------------------------------------------------------------------------------------------------------- terminal


WIDE = Table(
    "Perplexity by position method, of a decoder",
    words("decoder") + numbers("obama", "change against learned positions"),
    [["ALiBi", "310.5 ± 1.6", "-10.0 [-10.2, -9.8] %"], ["   a trigram with the same <unk>", None, "-0.1 %"]],
    "Every token is scored once; mean ± standard deviation over 3 seeds.",
)


def test_words_give_way_numbers_never_and_columns_that_find_no_room_stand_below() -> None:
    assert terminal_table(WIDE, 60).split("\n") == [
        "Perplexity by position method, of a decoder",
        "                                              change against",
        "decoder                         obama      learned positions",
        "------------------------------------------------------------",
        "ALiBi                     310.5 ± 1.6  -10.0 [-10.2, -9.8] %",
        "   a trigram with the               -                 -0.1 %",
        "   same <unk>",
        "(Every token is scored once; mean ± standard deviation over",
        "3 seeds.)",
    ]
    above, below = terminal_table(WIDE, 44).split("\n\n")
    assert "310.5" in above
    assert "-10.0 [-10.2, -9.8] %" in below
    assert all("decoder  " in part for part in (above, below))


def test_a_head_breaks_where_it_says_and_a_column_that_says_nothing_is_not_there() -> None:
    rows: list[dict[str, str | None]] = [
        {"name": "a", "train\nloss": "1.5", "nothing": None, "some": None},
        {"name": "b", "some": "2.5"},
    ]
    shown = table_of("", rows, ("name",))
    assert terminal_table(shown, 80) == (
        "      train\nname   loss  some\n-----------------\na       1.5     -\nb             2.5"
    )
    assert markdown_table(shown).split("\n")[0] == "| name | train loss | some |"


TEXT = st.text(st.sampled_from("ab|<*語é \n"), max_size=50)
CELLS = st.one_of(st.none(), st.sampled_from(["1", "-10.0 [-10.2, -9.8] %"]))


@given(st.data(), st.integers(40, 100))
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(data: st.DataObject, width: int) -> None:
    n_names, n_numbers = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 12))
    columns = words(*(data.draw(TEXT) for _ in range(n_names))) + numbers(*(data.draw(TEXT) for _ in range(n_numbers)))
    rows = [
        [*(data.draw(TEXT) for _ in range(n_names)), *(data.draw(CELLS) for _ in range(n_numbers))]
        for _ in range(data.draw(st.integers(0, 3)))
    ]
    if not columns:
        return
    text = terminal_table(Table(data.draw(TEXT), columns, rows, data.draw(TEXT)), width)
    assert max(map(cell_len, text.split("\n"))) <= width
    if n_names < 3 and width >= 80:
        for row in rows:
            for cell in row[n_names:]:
                assert (cell or "-") in text


@pytest.mark.parametrize(("columns", "expected"), [("20", 40), ("80", 80), ("93", 93), ("250", 100)])
def test_the_width_is_the_terminals_within_reason(columns: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert table.terminal_width() == expected
    line, second, _ = terminal_text("word " * 30, "two").split("\n", 2)
    assert expected - 5 < len(line) <= expected
    assert second.startswith("word")


def test_paragraphs_and_tables_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = terminal_text("first", Table("", words("a"), [["b"]]), Item("C1  ", "word " * 9), "", "last")
    words_in = " ".join(["word"] * 7)
    assert shown == f"first\na\n-\nb\n\nC1  {words_in}\n    word word\n\nlast"
