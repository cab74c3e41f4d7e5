"""Pictures: every figure as a function from plain data to a PNG, and the colours that they share.

Four drawers make them all: `line_figure` (curves, scaling), `attention_figure` (maps over tokens), `grid_figure`
(numbers by row and column: confusion, heads) and `interval_figure` (differences with their intervals). They keep no
state and do not touch pyplot, so that a thread may draw while a model trains; the same data gives the same bytes.
"""

from __future__ import annotations

import contextlib
import functools
import io
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from common.console import warn
from common.files import write_bytes

if TYPE_CHECKING:  # matplotlib is imported only to draw
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from numpy.typing import ArrayLike

# Okabe and Ito (2008): colours that stay apart for every kind of colour vision (yellow, faint on white, left out). A
# colour has a marker of its own, for who sees none.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = range(len(COLORS))
MARKERS = ("o", "s", "^", "D", "v", "P", "*")
FOR, AGAINST = COLORS[SKY], COLORS[ORANGE]  # above zero and below it, in pictures, on the terminal and on pages
INK, GREY, PALE = "#333333", "#777777", "#E6E6E6"
RESOLUTION = 150  # dots per inch of a picture of ordinary size
SMALLEST_LETTERS = 7.0  # points


# --- curves -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Line:
    """A curve: y of shape (points,) or (runs, points); several runs become their mean with a band. None is a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None] | Sequence[Sequence[float]] | np.ndarray
    color: int | None = None  # index into COLORS; by default the line's number in the panel
    dashed: bool = False
    weights: Sequence[float] = ()  # how much is behind each point, which the area of its marker shows


@dataclass(frozen=True)
class Level:
    """A baseline: a dashed horizontal line at `value`, grey unless it belongs to the curves of a colour."""

    name: str
    value: float
    color: int | None = None


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its curves and baselines."""

    lines: Sequence[Line]
    levels: Sequence[Level] = ()
    title: str = ""


def line_figure(
    path: Path | str,
    panels: Sequence[Panel],
    x_label: str,
    y_label: str,
    title: str = "",
    log_x: bool = False,
    log_y: bool = False,
) -> None:
    """Draw curves to a PNG at `path`, one pair of axes a panel, each curve labelled at its end.

    Of several runs the mean is drawn, shaded from the smallest to the largest. All panels share their y axis.
    """
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    curves = [line.name for panel in panels for line in panel.lines]
    levels = [level.name for panel in panels for level in panel.levels]
    longest = max(map(len, curves + levels), default=0)
    width = (5.2 if columns == 1 else 3.2) + 0.6 + 0.072 * longest  # axes, their numbers, the names of the curves
    names = max(len(panel.lines) + len(panel.levels) for panel in panels)  # beside one pair of axes
    height = max(4.2 if rows == 1 else 3.6, 0.17 * names + 1)
    figure = _figure(columns * width, rows * height, title)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    ends = [_draw_lines(axes, panel) for axes, panel in zip(grid, panels)]
    for number, (axes, panel) in enumerate(zip(grid, panels)):
        _scale(axes.xaxis, log_x, [float(x) for line in panel.lines for x in line.x])
        _scale(axes.yaxis, log_y, [])
        axes.set_xlabel(x_label)
        if number % columns == 0:
            axes.set_ylabel(y_label)
        axes.set_title(panel.title, loc="left", fontsize=10.5, color=INK)
        _frame(axes, "left", "bottom", grid="y")
    for axes, labels in zip(grid, ends):  # last, since where they stand depends on the limits of all panels
        _label_ends(axes, labels)
    _save(figure, path)


def _draw_lines(axes: Axes, panel: Panel) -> list[tuple[float, str, str]]:
    """Draw a panel's curves and baselines; return (last y, name, colour) of each, for its label."""
    ends = []
    for number, line in enumerate(panel.lines):
        kind = (number if line.color is None else line.color) % len(COLORS)
        color = COLORS[kind]
        x, runs = np.asarray(line.x, dtype=float), np.atleast_2d(np.asarray(line.y, dtype=float))  # (n,), (runs, n)
        if not x.size or np.isnan(runs).all():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column of gaps has no mean, and stays a gap
            mean = np.nanmean(runs, axis=0)
            if len(runs) > 1 and len(panel.lines) <= len(COLORS):  # the bands of more would hide each other
                axes.fill_between(x, np.nanmin(runs, 0), np.nanmax(runs, 0), color=color, alpha=0.15, linewidth=0)
        style = (0, (4, 2)) if line.dashed or number >= len(COLORS) else "-"  # a colour that comes again is dashed
        if len(line.weights):
            axes.scatter(x, mean, 250 * np.asarray(line.weights) / max(line.weights), color=color, marker=MARKERS[kind])
            axes.plot(x, mean, color=color, linewidth=0.8, linestyle=style)
        else:
            every = max(1, len(x) // 10)  # point has a marker
            axes.plot(x, mean, MARKERS[kind], color=color, linewidth=1.8, linestyle=style, ms=4.5, markevery=every)
        ends.append((float(mean[~np.isnan(mean)][-1]), line.name, color))
    for level in panel.levels:
        color = GREY if level.color is None else COLORS[level.color % len(COLORS)]
        axes.axhline(level.value, color=color, linewidth=1.1, linestyle=(0, (1, 2)))
        ends.append((float(level.value), level.name, color))
    return ends


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]], gap: float = 0.055) -> None:
    """Write each curve's name at the right edge, at the height where it ends, pushed apart where names would touch."""
    from matplotlib.colors import to_rgb

    ends = sorted(ends)
    to_fraction = axes.transData + axes.transAxes.inverted()
    heights = np.array([to_fraction.transform((axes.get_xlim()[1], y))[1] for y, _, _ in ends]).clip(0, 1)
    gap = min(gap, 1 / max(len(ends), 1))
    steps = gap * np.arange(len(ends))
    upwards = np.maximum.accumulate(heights - steps)
    downwards = np.minimum.accumulate((heights - steps)[::-1])[::-1]
    heights = (upwards + downwards) / 2 + steps  # both keep the gap, and so does their mean, which moves names least
    heights = np.minimum(np.maximum(heights, steps), 1 - steps[::-1])  # and none above or below the axes
    for height, (_, name, color) in zip(heights, ends, strict=True):
        darker = tuple(0.7 * part for part in to_rgb(color))  # words in it can be read on white
        axes.text(1.02, height, name, color=darker, fontsize=9, va="center", transform=axes.transAxes)


def _scale(axis: Axis, is_log: bool, points: Sequence[float]) -> None:
    """Ticks that a person would choose: whole numbers where the points are whole, plain figures on a log axis."""
    from matplotlib import ticker

    distinct = np.unique(points)
    if not is_log:
        whole = bool(points) and all(point == int(point) for point in points)
        nice = ticker.MaxNLocator(7, integer=whole, steps=[1, 2, 2.5, 5, 10])
        axis.set_major_locator(ticker.FixedLocator(distinct.tolist()) if len(distinct) == 1 else nice)
        axis.set_major_formatter(ticker.ScalarFormatter(useOffset=False))
        return
    (axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale)("log")
    ticks = distinct if 0 < len(distinct) <= 8 else _log_ticks(*sorted(axis.get_view_interval()))
    axis.set_major_locator(ticker.FixedLocator(ticks.tolist()))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_locator(ticker.NullLocator())


def _log_ticks(low: float, high: float) -> np.ndarray:
    """Four figures or more between two numbers: as few of each decade as that takes, or evenly where it is narrow."""
    from matplotlib.ticker import MaxNLocator

    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for marks in ([1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]):
        ticks = np.unique(np.outer(decades, marks))
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        if len(ticks) >= 4:
            return ticks
    return np.asarray(MaxNLocator(5).tick_values(low, high))


# --- attention maps ---------------------------------------------------------------------------------------------------
def attention_figure(
    path: Path | str,
    maps: torch.Tensor,
    tokens: Sequence[str],
    title: str = "",
    layers: Sequence[int] | None = None,
    causal: bool = False,
) -> None:
    """Draw attention maps (L, H, T, S) of one text to a PNG at `path`: a row a layer, a column a head.

    Row i of a map shows where token i looks. `tokens` are the T words, without padding; what they give to the positions
    after the last word, which are padding, is summed up in one more column, so that every row that is drawn sums to 1.
    layers: indices from 0, by default the first and the last. causal: the future, which has no weight, is left blank.

    One colour scale serves all maps, drawn or not: from 0 to the largest weight on a word, and at least to twice that
    of even attention, which the colour bar marks. The column of padding may lie above it, so it has its numbers.
    """
    n_tokens = len(tokens)
    weights = np.asarray(torch.as_tensor(maps).detach().cpu().float())[:, :, :n_tokens]  # (L, H, T, S)
    n_layers, n_heads, _, n_positions = weights.shape
    n_padding, even = n_positions - n_tokens, 1 / max(n_positions, 1)
    on_words, on_padding = weights[..., :n_tokens], weights[..., n_tokens:].sum(-1, keepdims=True)
    largest = min(1.0, max(float(on_words.max(initial=0)), 2 * even))
    all_maps = np.concatenate([on_words, on_padding], axis=-1) if n_padding else on_words
    layers = sorted({0, n_layers - 1}) if layers is None else list(layers)
    columns = min(n_heads, 4 if n_tokens <= 16 else 2)
    bands = -(-n_heads // columns)  # rows of pictures that a layer needs
    # Words as large as a cell is high: two maps of 32 of them fill a projector's screen, and can be read there. Where
    # cells are smaller than letters that can be read, every second word stands there, or every third, and so on.
    cell = min(0.28, 8 / max(n_tokens, 1))  # inches
    side, size = max(1.6, cell * (n_tokens + (n_padding > 0))), max(SMALLEST_LETTERS, min(13.0, 55 * cell))
    named = range(0, n_tokens, max(1, round(size / (55 * cell))))
    words = [_visible(tokens[i]) for i in named]
    columns_named, names = [*named], [*words]
    if n_padding:
        columns_named = [*range(0, n_tokens - named.step + 1, named.step), n_tokens]
        names = [*words[: len(columns_named) - 1], f"padding ({n_padding})"]
    margin = 0.4 + min(2.0, max(map(len, names), default=0) * size * 0.0085)
    rows = len(layers) * bands
    figure = _figure(columns * (side + 0.15) + margin + 1.4, rows * (side + 0.4) + margin + 0.3, title)
    figure.set_layout_engine("compressed")  # no gaps between squares
    grid = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.ravel()):
        layer, head = layers[number // (bands * columns)], number % (bands * columns)
        if head >= n_heads:
            axes.set_visible(False)
            continue
        shown = all_maps[layer, head]
        if causal:
            shown = np.ma.masked_where(np.triu(np.ones_like(shown, dtype=bool), 1), shown)
        picture = axes.imshow(shown, cmap="viridis", vmin=0, vmax=largest, interpolation="nearest", aspect="equal")
        for row, weight in enumerate(on_padding[layer, head, :, 0] if n_padding and named.step == 1 else ()):
            color, text = INK if weight > largest / 2 else "white", f"{weight:.2f}".lstrip("0")
            axes.text(n_tokens, row, text, ha="center", va="center", fontsize=size * 0.65, color=color)
        axes.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=max(size, 10), color=INK)
        axes.set_xticks([])  # words stand at the left and at the foot of the whole only: they take longest to draw
        axes.set_yticks([])
        _frame(axes)
        if head % columns == 0:
            axes.set_yticks(named, words, fontsize=size)
        if layer == layers[-1] and head + columns >= n_heads:
            axes.set_xticks(columns_named, names, rotation=90, fontsize=size)
    together = f"; last column: the {n_padding} positions of padding together" if n_padding else ""
    together += f" (one word in {named.step} is named)" if named.step > 1 else ""
    figure.supxlabel(f"token looked at{together}", fontsize=max(size, 10), color=INK)
    figure.supylabel("token that looks", fontsize=max(size, 10), color=INK)
    mark, above = "even, last row" if causal else "even", float(on_padding.max(initial=0)) > largest
    _color_bar(figure, picture, grid, even, mark, above)
    _save(figure, path)


def _visible(token: str, longest: int = 18) -> str:
    """A token as it can stand on an axis: never empty, not longer than the map is wide, no control characters. A space
    is a dot."""
    token = token.replace(" ", "\N{MIDDLE DOT}")
    token = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in token) or "(empty)"
    return _cut(token, longest)


def _cut(name: str, longest: int = 40) -> str:
    """As much of a name as a picture has room for."""
    return name if len(name) <= longest else name[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


# --- numbers in a grid ------------------------------------------------------------------------------------------------
def grid_figure(
    path: Path | str,
    grids: Mapping[str, ArrayLike],
    row_names: Sequence[str],
    column_names: Sequence[str],
    row_label: str,
    column_label: str,
    title: str = "",
    number: str = "z.2f",  # z: what rounds to zero has no sign
    signed: bool = False,
) -> None:
    """Draw arrays (rows, columns), side by side and each with its title, colour and number in every cell, to a PNG.

    One use is attention statistics by layer and head: {"mean distance, tokens": (L, H), "entropy, nats": (L, H)}. What
    is not a number stands as a dash on white. Each array has a scale of colours of its own, unless they are `signed`:
    numbers for and against have one scale, on which zero is white, whether or not any of them is below it.
    """
    everything = np.concatenate([np.ravel(np.asarray(grid, dtype=float)) for grid in grids.values()])
    cell = 0.62 if max(len(format(value, number)) for value in everything) < 6 else 0.75
    row_height = cell if len(row_names) <= 12 else cell / 2
    height, width = max(len(row_names) * row_height, 1.2), max(len(column_names) * cell, 1.8)
    row_names, column_names = list(map(_cut, row_names)), list(map(_cut, column_names))
    names = max(map(len, [*row_names, *column_names])) * 0.075
    slanted = any(len(name) > 7 for name in column_names)
    figure = _figure(len(grids) * (width + names) + 1.2, height + 1.3 + (names if slanted else 0.2), title)
    for axes, (name, given) in zip(figure.subplots(1, len(grids), squeeze=False)[0], grids.items(), strict=True):
        values = np.asarray(given, dtype=float)
        colors, low, high = _colors(everything if signed else values, signed)
        picture = axes.imshow(values, cmap=colors, vmin=low, vmax=high, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            color = "white" if _is_dark(picture.to_rgba(value)) else INK
            shown = "-" if np.isnan(value) else _with_minus(format(value, number))
            axes.text(column, row, shown, ha="center", va="center", fontsize=9, color=color)
        slant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        axes.set_xticks(range(len(column_names)), column_names, **slant)
        axes.set_yticks(range(len(row_names)), row_names)
        axes.set_xlabel(column_label)
        axes.set_ylabel(row_label)
        axes.set_title(_cut(name), fontsize=10.5, color=INK)
        _frame(axes)
    _save(figure, path)


def _colors(values: np.ndarray, signed: bool) -> tuple[str | Colormap, float, float]:
    """The map of colours for some numbers, and those at its two ends: below zero orange, above it blue; of numbers that
    are all above, from zero up, or from the smallest where zero is far. Numbers that differ by little look alike."""
    from matplotlib.colors import LinearSegmentedColormap

    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if signed or low < 0:
        largest = max(-low, high) or 1.0
        return LinearSegmentedColormap.from_list("for and against", [AGAINST, "white", FOR]), -largest, largest
    if low <= high / 2:
        return "viridis", 0.0, high or 1.0
    middle, half = (low + high) / 2, max(high - low, high / 4) / 2
    return "viridis", middle - half, middle + half


def _is_dark(color: tuple[float, float, float, float]) -> bool:
    """Whether white is read more easily on a colour than black; on none, which is the paper's white, it is not."""
    red, green, blue, opacity = color
    return opacity > 0 and 0.299 * red + 0.587 * green + 0.114 * blue < 0.5


def confusion_figure(
    path: Path | str, counts: ArrayLike, class_names: Sequence[str], title: str = "", most: int = 15
) -> None:
    """Draw a confusion matrix (K, K) of counts, as percent of each true class, to a PNG at `path`.

    With more than `most` classes the most frequent ones stand for themselves and the rest together as "others". A class
    without texts has dashes.
    """
    table, names = np.asarray(counts, dtype=float), list(class_names)
    if len(names) > most:
        top = np.sort(np.argsort(-table.sum(1), kind="stable")[: most - 1])
        kept = np.eye(len(names))[top]  # (most - 1, K)
        merge = np.vstack([kept, 1 - kept.sum(0)])  # (most, K): which classes each row stands for
        table, names = merge @ table @ merge.T, [names[i] for i in top] + [f"{len(names) - most + 1} others"]
    totals = table.sum(1)
    percent = 100 * table / np.where(totals > 0, totals, np.nan)[:, None]
    rows = [f"{_cut(name, 28)} ({int(total):,})" for name, total in zip(names, totals, strict=True)]
    grid_figure(path, {"percent of the true class": percent}, rows, names, "true (texts)", "predicted", title, "z.0f")


# --- differences with their intervals ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class Interval:
    """A line of an interval figure; low and high are None where there is no interval."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    claim: float | None = None  # what someone else published, drawn as a cross
    color: int = BLUE  # index into COLORS


def interval_figure(
    path: Path | str,
    intervals: Sequence[Interval],
    x_label: str,
    title: str = "",
    number: str = "+z.2f",
) -> None:
    """Draw estimates with their intervals, one a line, against a vertical line at 0 (no effect), to a PNG.

    Filled when the whole interval lies on one side of 0; hollow and pale when it does not, or when there is none.
    """
    longest = max((len(interval.name) for interval in intervals), default=0)
    figure = _figure(7.2 + 0.075 * longest, 1.3 + 0.36 * len(intervals), title)  # the numbers take 2 inches
    axes = figure.subplots()
    axes.axvline(0, color=INK, linewidth=1)
    for row, interval in enumerate(intervals):
        low, high, text = interval.low, interval.high, format(interval.value, number)
        kind, clear = interval.color % len(COLORS), False
        color = COLORS[kind]
        if low is not None and high is not None:
            clear = low > 0 or high < 0
            axes.plot([low, high], [row, row], color=color, lw=2.4, alpha=1 if clear else 0.45, solid_capstyle="butt")
            text += f"  [{low:{number}}, {high:{number}}]"
        face = color if clear else "white"
        axes.plot(interval.value, row, MARKERS[kind], color=color, markerfacecolor=face, markersize=6.5)
        if interval.claim is not None:
            axes.plot(interval.claim, row, "x", color=INK, markersize=7, markeredgewidth=1.8)
        at_the_right = axes.get_yaxis_transform()
        note = axes.annotate(_with_minus(text), (1, row), (8, 0), at_the_right, "offset points", annotation_clip=False)
        note.set(va="center", fontsize=9, color=INK)
    axes.set_yticks(range(len(intervals)), [interval.name for interval in intervals])
    axes.set_ylim(len(intervals) - 0.4, -0.6)
    axes.set_xlabel(x_label)
    if any(interval.claim is not None for interval in intervals):
        axes.plot([], [], "x", color=INK, markersize=7, markeredgewidth=1.8, label="published")
        figure.legend(loc="outside lower right", frameon=False, fontsize=9)
    _frame(axes, "bottom", grid="x")
    _save(figure, path)


# --- what all pictures share ------------------------------------------------------------------------------------------
def _figure(width: float, height: float, title: str) -> Figure:
    """An empty figure of `width` x `height` inches that arranges itself; it is higher by what a long title needs."""
    from matplotlib.figure import Figure

    lines = [part for line in title.split("\n") for part in textwrap.wrap(line, int(10 * width)) or [""]]
    figure = Figure(figsize=(width, height + 0.2 * (len(lines) - 1)), layout="constrained", facecolor="white")
    if title:
        figure.suptitle("\n".join(lines), fontsize=12, color=INK)
    return figure


def _with_minus(text: str) -> str:
    """A number as the axes write it."""
    return text.replace("-", "\N{MINUS SIGN}")


def _frame(axes: Axes, *sides: str, grid: Literal["x", "y"] | None = None) -> None:
    """Draw these sides of the frame only, ticks where one is at the left, and pale lines across one of the axes."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
        spine.set_color(GREY)
    axes.tick_params(colors=INK, labelsize=9, length=3 if "left" in sides else 0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(INK)
    if grid is not None:
        axes.grid(axis=grid, color=PALE, linewidth=0.8)
        axes.set_axisbelow(True)


def _color_bar(figure: Figure, picture: AxesImage, grid: np.ndarray, at: float, mark: str, above: bool) -> None:
    """The colours of `picture`, with a `mark` at a value; `above`: some of what is drawn lies above the scale."""
    length = min(4.5, 0.6 * figure.get_figheight())  # inches, however tall the figure
    shrink, extend = length / figure.get_figheight(), "max" if above else "neither"
    bar = figure.colorbar(picture, ax=grid, shrink=shrink, aspect=20, pad=0.02, extend=extend)
    bar.set_label("attention weight", color=INK, fontsize=11)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=11)
    bar.ax.axhline(at, color="white", linewidth=2)
    note = bar.ax.annotate(mark, (0, at), (-3, 0), ("axes fraction", "data"), "offset points")
    note.set(ha="right", va="center", fontsize=10, color=INK)


def _save(figure: Figure, path: Path | str) -> None:
    """Write the PNG, or SVG, whole or not at all; no software name or date in it, and none larger than a page can show.

    No text in it is a formula: a dollar sign in a name is a dollar sign.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    texts = figure.findobj(Text)
    fonts = _fonts_for(set("".join(text.get_text() for text in texts)))
    for text in texts:
        text.set_parse_math(False)
        text.set_fontfamily(fonts)
    resolution = min(RESOLUTION, int(6000 / max(figure.get_size_inches())))
    buffer, kind = io.BytesIO(), Path(path).suffix[1:]
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "the same names in the same picture"}):
        warnings.filterwarnings("ignore", message="Glyph")  # which is said in our own words
        nameless = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        figure.savefig(buffer, format=kind, dpi=resolution, metadata=nameless)
    write_bytes(path, buffer.getvalue())


def _fonts_for(characters: set[str]) -> tuple[str, ...]:
    """The font of all pictures, and after it those of this machine that have what it lacks."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    usual = FT2Font(font_manager.findfont("DejaVu Sans"))
    missing = {ord(char) for char in characters if char.isprintable()} - usual.get_charmap().keys()
    return (usual.family_name, *_fonts_with(frozenset(missing)))


@functools.cache  # so that what no font has is said once
def _fonts_with(missing: frozenset[int]) -> list[str]:
    """Fonts of this machine that have these characters; warns of those that none has."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    fonts = []
    paths = font_manager.findSystemFonts() if missing else []
    for path in sorted(paths, key=lambda path: ("Sans" not in path, "Regular" not in path, path)):
        with contextlib.suppress(OSError, RuntimeError):  # a file that is no font
            font = FT2Font(path)
            if font.scalable and not missing.isdisjoint(font.get_charmap()):
                font_manager.fontManager.addfont(path)
                fonts.append(font.family_name)
                missing -= font.get_charmap().keys()
    if missing:
        examples = "".join(map(chr, sorted(missing)[:10]))
        warn(f"no font of this machine has {examples}: pictures show boxes; install one that has, such as Noto Sans")
    return fonts
