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
    COLORS,
    MARKERS,
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
        panels = [Panel(lines, [Level(name, 20.0)], title=other, y_label=name) for other in HOSTILE[i : i + 2]]
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


def test_numbers_below_zero_have_colours_of_their_own_and_zero_is_pale_between(drawn: dict[str, Any]) -> None:
    grids = {"signed": [[-4.0, 0.0, 2.0]], "from zero": [[0.0, 1.0, 4.0]], "alike": [[7.0, 7.2, 7.1]]}
    grid_figure("all", grids, "r", "abc", "", "")
    signed, from_zero, alike = (axes.images[0] for axes in drawn["all"].axes)
    red, pale, blue = (signed.cmap(signed.norm(value))[:3] for value in (-4.0, 0.0, 4.0))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert min(pale) > 0.9
    assert (signed.get_clim(), from_zero.get_clim()) == ((-4, 4), (0, 4))
    assert alike.get_clim() == pytest.approx((7.1 - 0.9, 7.1 + 0.9))  # what differs by little looks alike


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
    faces = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() in MARKERS]
    assert faces == [COLORS[2], "white", "white"]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())] == [3.0]
    assert axes.texts[0].get_text() == "\N{MINUS SIGN}2.00  [\N{MINUS SIGN}3.00, \N{MINUS SIGN}1.00]"


@pytest.mark.processes
@pytest.mark.slow
def test_matplotlib_is_imported_only_to_draw() -> None:
    code = "import sys, utilities; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
