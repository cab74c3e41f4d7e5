"""The pictures draw whatever a run can yield, and the statistics of attention agree with sums done by hand."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import utilities
from evaluation.attention import attention_statistics, check_attention
from utilities import (
    AGAINST,
    COLORS,
    FOR,
    MARKERS,
    SMALLEST_LETTERS,
    Interval,
    Level,
    Line,
    Panel,
    _label_ends,
    _visible,
    attention_figure,
    confusion_figure,
    grid_figure,
    interval_figure,
    line_figure,
)


def maps(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, shape[-1], generator=generator).softmax(-1)


def size(path: Path) -> tuple[int, int]:
    """Width and height in the header of a PNG; fails when the file is none."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


@pytest.mark.parametrize(
    ("shape", "index", "row", "value", "problem"),
    [
        ((4, 2, 5), (3, 1, 2, 0), "3, 1, 2", -0.1, "negative"),
        ((2, 3, 2, 5), (1, 2, 0, 4, 0), "1, 2, 0, 4", float("nan"), "not finite"),
        ((2, 5), (1, 3, 0), "1, 3", 0.9, "sum to 1"),
    ],
)
def test_check_attention_names_the_row(
    shape: tuple[int, ...], index: tuple[int, ...], row: str, value: float, problem: str
) -> None:
    weights = maps(*shape)
    check_attention(weights)
    weights[index] = value
    with pytest.raises(ValueError, match=rf"row \[{row}\] .*{problem}"):
        check_attention(weights)


def test_statistics_by_hand() -> None:
    # Two tokens and one of padding: the first looks at itself, the second half at each.
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.3, 0.3, 0.4]]).expand(1, 1, 3, 3)
    statistics = attention_statistics(weights, torch.tensor(2))
    assert statistics["distance"].item() == pytest.approx((0 + 0.5) / 2)
    assert statistics["entropy"].item() == pytest.approx((0 + np.log(2)) / 2)
    assert statistics["relative_distance"].item() == pytest.approx(0.5)
    assert statistics["relative_entropy"].item() == pytest.approx(0.5)


@pytest.mark.parametrize("causal", [False, True])
def test_even_attention_has_relative_statistics_of_one(causal: bool) -> None:
    lengths = torch.tensor([6, 3])
    visible = torch.ones(6, 6).tril() if causal else torch.ones(6, 6)
    rows = torch.stack([visible * (torch.arange(6) < length) for length in lengths])
    even = (rows / rows.sum(-1, keepdim=True)).expand(4, 3, 2, 6, 6).transpose(1, 2)  # (L, B, H, T, T)
    statistics = attention_statistics(even, lengths, causal)
    for name in ("relative_distance", "relative_entropy"):
        assert statistics[name].shape == (4, 3)
        torch.testing.assert_close(statistics[name], torch.ones(4, 3, dtype=torch.float64))


def test_statistics_of_a_batch_are_the_weighted_mean_of_its_texts() -> None:
    weights, lengths = maps(2, 3, 2, 7), torch.tensor([7, 2, 5])
    together = attention_statistics(weights, lengths)["distance"]
    alone = [attention_statistics(weights[:, i], lengths[i])["distance"] for i in range(3)]
    weighted = sum(length * mean for length, mean in zip(lengths, alone, strict=True)) / lengths.sum()
    torch.testing.assert_close(together, weighted)


@pytest.mark.parametrize(("n_heads", "n_tokens"), [(1, 1), (2, 10), (5, 3), (16, 2), (1, 64)])
@pytest.mark.slow
def test_attention_of_any_size(tmp_path: Path, n_heads: int, n_tokens: int) -> None:
    tokens = [
        ["na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve", "$1$", "\n", "", "\u65e5", "x" * 40][i % 6]
        for i in range(n_tokens)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attention_figure(tmp_path / "a.png", maps(3, n_heads, n_tokens + 2), tokens, causal=n_heads == 2)
    assert max(size(tmp_path / "a.png")) <= 6000


@pytest.mark.parametrize(
    ("token", "shown"),
    [(" hope", "\u00b7hope"), ("", "(empty)"), ("a\n", "a\\x0a"), ("x" * 19, "x" * 17 + "\u2026")],
)
def test_a_token_on_an_axis_can_be_seen(token: str, shown: str) -> None:
    assert _visible(token) == shown


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The figures that are drawn from now on, by the name that they would be saved under."""
    figures: dict[str, Any] = {}
    monkeypatch.setattr(utilities, "_save", lambda figure, path: figures.setdefault(path, figure))
    return figures


def test_32_words_can_be_read_on_a_projector(drawn: dict[str, Any]) -> None:
    """Two maps beside each other, in the shape of a screen, and letters of at least 1/110 of its width."""
    attention_figure("wide", maps(1, 2, 32), ["word"] * 32)
    width, height = drawn["wide"].get_size_inches()
    assert 1.5 < width / height < 2
    axes = drawn["wide"].axes[0]
    letters = [*axes.get_yticklabels(), *axes.get_xticklabels(), axes.title]
    assert len(letters) == 65
    assert min(text.get_fontsize() / 72 for text in letters) > width / 110


def pictures(figure: Any) -> list[Any]:
    return [axes.images[0] for axes in figure.axes if axes.images]


def test_a_map_has_a_row_for_each_token_that_looks_and_no_future(drawn: dict[str, Any]) -> None:
    weights = maps(3, 2, 4)
    attention_figure("plain", weights, list("abcd"), layers=[1])
    attention_figure("causal", weights, list("abcd"), causal=True)
    for head, picture in enumerate(pictures(drawn["plain"])):
        np.testing.assert_allclose(picture.get_array(), weights[1, head])
        assert picture.origin == "upper"  # the first token that looks stands above
        assert picture.axes.get_title() == f"layer 2, head {head + 1}"
    labels = [text.get_text() for text in drawn["plain"].axes[0].get_yticklabels()]
    assert labels == [text.get_text() for text in drawn["plain"].axes[1].get_xticklabels()] == list("abcd")
    first, *_, last = pictures(drawn["causal"])
    assert first.get_array().filled(9)[0].tolist() == [pytest.approx(weights[0, 0, 0, 0].item()), 9, 9, 9]
    np.testing.assert_allclose(last.get_array().filled(9)[3], weights[2, 1, 3])


def test_of_many_tokens_some_are_named_in_letters_that_can_be_read(drawn: dict[str, Any]) -> None:
    attention_figure("long", maps(1, 1, 256), [f"w{i}" for i in range(222)])
    axes = drawn["long"].axes[0]
    for labels, ticks in ((axes.get_yticklabels(), axes.get_yticks()), (axes.get_xticklabels(), axes.get_xticks())):
        assert {text.get_fontsize() for text in labels} == {SMALLEST_LETTERS}
        assert [text.get_text() for text in labels if "padding" not in text.get_text()] == [
            f"w{tick}" for tick in ticks if tick < 222
        ]
    points = 72 * drawn["long"].get_figheight() / 300  # of a cell, more or less
    assert points * np.diff(axes.get_xticks()).min() > SMALLEST_LETTERS
    assert axes.get_xticklabels()[-1].get_text() == "padding (34)"


def test_what_attention_gives_to_padding_is_one_more_column(drawn: dict[str, Any]) -> None:
    weights = maps(2, 2, 8)
    attention_figure("padded", weights, list("abcde"))
    for number, picture in enumerate(pictures(drawn["padded"])):
        shown = picture.get_array()
        assert shown.shape == (5, 6)
        np.testing.assert_allclose(shown.sum(-1), 1, rtol=1e-5)
        np.testing.assert_allclose(shown[:, 5], weights[number // 2, number % 2, :5, 5:].sum(-1), rtol=1e-5)
        assert [text.get_text() for text in picture.axes.texts] == [f"{weight:.2f}"[1:] for weight in shown[:, 5]]
    attention_figure("whole", weights[:, :, :, :5], list("abcde"))
    assert pictures(drawn["whole"])[0].get_array().shape == (5, 5)
    assert not pictures(drawn["whole"])[0].axes.texts


def test_the_maps_of_a_model_have_one_scale_whichever_are_drawn(drawn: dict[str, Any]) -> None:
    weights = torch.full((3, 2, 6, 6), 1 / 6)
    weights[1, 1, 2, 3], weights[2, 0, 0, 4:] = 0.7, 0.9  # on a word; on padding, which the scale does not follow
    for layer in range(3):
        attention_figure(str(layer), weights, list("abcd"), layers=[layer])
        assert [picture.get_clim() for picture in pictures(drawn[str(layer)])] == [(0.0, pytest.approx(0.7))] * 2


HOSTILE = ["Ba$$in", "$1$", "a, b", "x|y", "<b>bold</b>", '"quoted"', "it's", "\\frac{", "$\\frac{$", "a_b^c", "%s {0}"]


@pytest.mark.slow
def test_names_are_drawn_as_they_are_and_never_as_formulas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.mathtext import MathTextParser

    def no_formula(*_: Any) -> None:
        raise AssertionError("a text was read as a formula")

    monkeypatch.setattr(MathTextParser, "parse", no_formula)
    n = len(HOSTILE)
    for i, name in enumerate(HOSTILE):
        lines = [Line(other, [1, 2, 3], [100.0 + k, 50.0, 10.0]) for k, other in enumerate(HOSTILE)]
        panels = [Panel(lines, [Level(name, 20.0)], title=other) for other in HOSTILE[i : i + 2]]
        line_figure(tmp_path / "lines.png", panels, name, name, name, log_y=bool(i % 2))
        attention_figure(tmp_path / "maps.png", maps(1, 1, n + 1), HOSTILE, name)
        grid_figure(tmp_path / "grid.png", {name: np.eye(n)}, HOSTILE, HOSTILE, name, name, name)
        confusion_figure(tmp_path / "confusion.png", np.eye(n), HOSTILE, name)
        interval_figure(tmp_path / "intervals.png", [Interval(name, 1.0, claim=0.0)], name, name)


def test_lines_with_runs_gaps_and_levels(tmp_path: Path) -> None:
    epochs = [1, 2, 3]
    lines = [
        Line("five seeds", epochs, np.random.default_rng(0).normal(80, 2, (5, 3))),
        Line("a gap", epochs, [70.0, None, 75.0], dashed=True),
        Line("nothing", epochs, [None, None, None]),
        Line("one point", [2], [60.0], color=5),
    ]
    panel = Panel(lines, [Level("TF-IDF, $5", 90.0), Level("majority", 42.8, color=1)], "a title")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("once", "again"):
            line_figure(tmp_path / f"{name}.png", [panel], "epoch", "accuracy, %")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "once.png").read_bytes()
    assert b"matplotlib" not in (tmp_path / "again.png").read_bytes()


def test_the_mean_is_drawn_in_a_band_from_the_smallest_to_the_largest(drawn: dict[str, Any]) -> None:
    seeds = Line("seeds", [1, 2, 4], [[10.0, 20.0, 40.0], [11.0, 21.0, 41.0], [15.0, 28.0, 42.0]])
    gap = Line("gap", [1, 2, 4], [5.0, None, 7.0], color=3, dashed=True)
    line_figure("lines", [Panel([seeds, gap], [Level("level", 30.0)], "title")], "epoch", "y", log_x=True)
    (axes,) = drawn["lines"].axes
    mean, with_gap, level = axes.lines
    assert list(mean.get_xdata()) == [1, 2, 4]
    assert list(mean.get_ydata()) == [12, 23, 41]  # the median would be 11, 21, 41
    np.testing.assert_equal(with_gap.get_ydata(), [5, np.nan, 7])
    assert [line.is_dashed() for line in (mean, with_gap)] == [False, True]
    assert [line.get_color() for line in (mean, with_gap)] == [COLORS[0], COLORS[3]]
    assert level.get_ydata() == [30, 30]
    (band,) = axes.collections  # of several runs alone
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    assert corners == {(1, 10), (2, 20), (4, 40), (1, 15), (2, 28), (4, 42)}
    assert [text.get_text() for text in axes.texts] == ["gap", "level", "seeds"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title("left")) == ("epoch", "y", "title")


@pytest.mark.parametrize(("log_x", "log_y"), [(False, False), (True, False), (False, True)])
def test_an_axis_is_logarithmic_where_that_is_asked(drawn: dict[str, Any], log_x: bool, log_y: bool) -> None:
    panels = [Panel([Line("a", [1, 10, 100], [1.0, 10.0, 100.0])], title=title) for title in ("first", "second")]
    line_figure("lines", panels, "x", "y", log_x=log_x, log_y=log_y)
    scales = [(axes.get_xscale(), axes.get_yscale()) for axes in drawn["lines"].axes]
    assert scales == [("log" if log_x else "linear", "log" if log_y else "linear")] * 2
    assert [axes.get_ylabel() for axes in drawn["lines"].axes] == ["y", ""]  # which they share
    assert [axes.get_title("left") for axes in drawn["lines"].axes] == ["first", "second"]


def test_of_many_lines_no_two_look_alike_and_their_names_do_not_touch(drawn: dict[str, Any]) -> None:
    lines = [Line(f"{i}", [1, 2], [[i, i], [i + 1, i + 9]]) for i in range(14)]
    line_figure("many", [Panel(lines)], "x", "y")
    (axes,) = drawn["many"].axes
    assert len({(line.get_color(), line.is_dashed()) for line in axes.lines}) == 14
    assert not axes.collections  # so many bands would hide each other
    heights = sorted(text.get_position()[1] for text in axes.texts)
    inches = 0.8 * drawn["many"].get_figheight()  # of the axes, about
    assert np.diff(heights).min() * inches > 9 / 72


def test_the_area_of_a_marker_shows_what_is_behind_it(drawn: dict[str, Any]) -> None:
    line_figure("bins", [Panel([Line("bins", [10, 20, 30], [1, 2, 3], weights=[3, 300, 150])])], "x", "y")
    (markers,) = drawn["bins"].axes[0].collections
    assert markers.get_offsets().tolist() == [[10, 1], [20, 2], [30, 3]]
    np.testing.assert_allclose(markers.get_sizes() / markers.get_sizes().max(), [0.01, 1, 0.5])


def test_names_at_the_ends_keep_apart_and_stay_near() -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    axes.set_ylim(0, 1)
    ends = [(0.50, "b", "k"), (0.51, "c", "k"), (0.90, "d", "k"), (0.50, "a", "k")]
    _label_ends(axes, ends, gap=0.06)
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert np.diff([heights[name] for name in "abcd"]).min() >= 0.06 - 1e-9
    assert all(abs(heights[name] - y) < 0.07 for y, name, _ in ends)


def test_of_many_classes_the_rarest_stand_together_and_one_without_texts_has_dashes(drawn: dict[str, Any]) -> None:
    counts = np.diag([9, 1, 0, 2, 7])
    counts[0, 1], counts[1, 3] = 1, 3  # 1 and 3 are the rarest of those that have texts
    confusion_figure("many", counts, "abcde", most=4)
    confusion_figure("few", [[3, 1], [0, 0]], ["here", "nowhere"])
    rows = [text.get_text() for text in drawn["many"].axes[0].get_yticklabels()]
    assert rows == ["a (10)", "b (4)", "e (7)", "2 others (2)"]
    assert [text.get_text() for text in drawn["many"].axes[0].texts[:4]] == ["90", "10", "0", "0"]
    assert [text.get_text() for text in drawn["few"].axes[0].texts] == ["75", "25", "-", "-"]


def test_numbers_below_zero_have_colours_of_their_own_and_zero_is_white_between(drawn: dict[str, Any]) -> None:
    grids = {"signed": [[-4.0, -0.001, 2.0]], "from zero": [[0.0, 1.0, 4.0]], "alike": [[7.0, 7.2, 7.1]]}
    from matplotlib.colors import to_hex

    grid_figure("all", grids, "r", "abc", "", "")
    signed, from_zero, alike = (axes.images[0] for axes in drawn["all"].axes)
    colors = [to_hex(signed.cmap(signed.norm(value))) for value in (-4.0, 4.0)]
    assert colors == [AGAINST.lower(), FOR.lower()]
    assert min(signed.cmap(signed.norm(0.0))) > 0.99
    assert [text.get_text() for text in signed.axes.texts] == ["\N{MINUS SIGN}4.00", "0.00", "2.00"]
    assert (signed.get_clim(), from_zero.get_clim()) == ((-4, 4), (0, 4))
    assert alike.get_clim() == pytest.approx((7.1 - 0.9, 7.1 + 0.9))  # what differs by little looks alike


def test_numbers_for_and_against_keep_their_colours_where_none_is_below_zero(drawn: dict[str, Any]) -> None:
    grid_figure("for", {"a": [[0.0, 2.0]], "b": [[1.0, 8.0]]}, "r", "ab", "", "", signed=True)
    grid_figure("nothing", {"a": [[0.0, 0.0]]}, "r", "ab", "", "", signed=True)
    for axes in (*drawn["for"].axes, *drawn["nothing"].axes):
        assert min(axes.images[0].cmap(axes.images[0].norm(0.0))) > 0.99
    assert [axes.images[0].get_clim() for axes in drawn["for"].axes] == [(-8, 8)] * 2


def test_a_picture_is_of_the_kind_that_its_name_says_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        attention_figure(tmp_path / name, maps(1, 2, 5), "abcde", "title")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    text = (tmp_path / "one.svg").read_text()
    assert "<svg" in text
    assert "Matplotlib" not in text.partition("<defs>")[0]


def test_what_the_interval_clears_is_filled(drawn: dict[str, Any]) -> None:
    intervals = [
        Interval("clear", -2.0, -3.0, -1.0, color=2),
        Interval("unclear", 2.0, -1.0, 5.0),
        Interval("alone", 1.0, claim=3.0),
    ]
    interval_figure("forest", intervals, "points")
    axes = drawn["forest"].axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["clear", "unclear", "alone"]
    assert axes.yaxis_inverted()  # the first stands above
    _, *shown, _ = axes.lines  # without the line at no effect, and the legend's sign
    drawn_at = [(list(line.get_xdata()), line.get_ydata()[0]) for line in shown]
    assert drawn_at == [([-3, -1], 0), ([-2], 0), ([-1, 5], 1), ([2], 1), ([1], 2), ([3], 2)]
    faces = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() in MARKERS]
    assert faces == [COLORS[2], "white", "white"]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())] == [3.0]
    assert axes.texts[0].get_text() == "\N{MINUS SIGN}2.00  [\N{MINUS SIGN}3.00, \N{MINUS SIGN}1.00]"


def test_a_grid_has_its_first_row_above(drawn: dict[str, Any]) -> None:
    grid_figure("grid", {"first": [[1, 2, 3], [4, 5, 6]]}, ["r1", "r2"], ["c1", "c2", "c3"], "row", "column")
    (axes,) = drawn["grid"].axes
    assert axes.images[0].get_array().tolist() == [[1, 2, 3], [4, 5, 6]]
    assert axes.images[0].origin == "upper"
    numbers = {text.get_position(): text.get_text() for text in axes.texts}  # by (column, row)
    assert (numbers[2, 0], numbers[0, 1]) == ("3.00", "4.00")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["r1", "r2"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("column", "row", "first")


def font_with(path: Path, letters: str) -> None:
    """Write a font that has these letters, each without a line."""
    from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
    from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]

    names = [".notdef", *(f"letter{i}" for i in range(len(letters)))]
    font = FontBuilder(unitsPerEm=1000)
    font.setupGlyphOrder(names)
    font.setupCharacterMap(dict(zip(map(ord, letters), names[1:])))
    font.setupGlyf(dict.fromkeys(names, TTGlyphPen(None).glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)


def test_letters_are_drawn_in_a_font_that_has_them_or_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from matplotlib import font_manager

    (tmp_path / "no_font.ttf").write_bytes(b"no font")
    font_with(tmp_path / "TwoLetters.ttf", "\u4e2d\u6587")
    fonts = [str(tmp_path / name) for name in ("no_font.ttf", "TwoLetters.ttf")]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: fonts)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", list(font_manager.fontManager.ttflist))
    utilities._fonts_with.cache_clear()
    for name in ("once", "again"):
        interval_figure(tmp_path / f"{name}.svg", [Interval("\u4e2d\u6587 \u0e44", 1.0)], "points")
    assert capsys.readouterr().err.splitlines() == [
        "warning: no font of this machine has \u0e44: pictures show boxes; install one that has, such as Noto Sans"
    ]
    assert utilities._fonts_for(set("a\u4e2d"))[-1] == "TwoLetters"
    assert "TwoLetters" not in utilities._fonts_for(set("\u00e4\u05d0"))
    assert not capsys.readouterr().err
    utilities._fonts_with.cache_clear()


@pytest.mark.processes
@pytest.mark.slow
def test_matplotlib_is_imported_only_to_draw() -> None:
    code = "import sys, utilities; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
