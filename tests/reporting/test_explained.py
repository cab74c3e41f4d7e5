"""Explanations and surprise as a person reads them: every number in words, colour only beside them."""

# ruff: noqa: RUF001 (minus signs are meant)
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.text import Text
from world.answers import explained
from world.figures import intercept

from inference.explain import Explanation
from inference.score import Scored, ScoredText
from reporting.explained import (
    draw_explanation,
    draw_faithfulness,
    in_numbers,
    print_explanation,
    print_score,
    tinted,
)
from studies.probes.faithfulness import METHODS
from training.records import LanguageScores

FOUND = Explanation(
    ["we", "zyzzyva?"],
    "read 2 of 2 tokens, 1 unknown: zyzzyva?",
    ["North", "South", "West", "East"],
    torch.tensor([0.1, 0.6, 0.05, 0.25]),
    torch.tensor([[-0.01, 0.2, 0.0, -0.19], [0.0, 0.004, -0.004, 0.0]]),
    torch.tensor([[-0.02, 0.3, 0.0, -0.28], [0.0, -0.1, 0.05, 0.05]]),
    torch.tensor([0.75, 0.2]),
)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_an_explanation_has_the_likeliest_speakers_and_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    print_explanation(FOUND)
    shown = capsys.readouterr().out
    assert shown.splitlines()[:3] == [f"{name}%: we zyzzyva?" for name in ("South 60.0", "East 25.0", "North 10.0")]
    rows = [line.split() for line in shown.splitlines()]
    assert ["we", "+30.0", "−28.0", "−2.0", "75.0"] in rows
    assert ["zyzzyva?", "−10.0", "+5.0", "+0.0", "20.0"] in rows
    assert ["together", "+20.0", "−23.0", "−2.0"] in rows
    assert ["we", "+20.0", "−19.0", "−1.0"] in rows
    assert "West" not in shown
    assert "\x1b" not in shown  # no terminal, no colour
    assert max(map(len, shown.splitlines())) <= 80


def test_without_a_layer_nothing_is_said_of_attention(capsys: pytest.CaptureFixture[str]) -> None:
    values = {name: getattr(FOUND, name) for name in Explanation.__dataclass_fields__}
    print_explanation(Explanation(**{**values, "attention": None}))
    shown = capsys.readouterr().out
    assert "attention" not in shown
    assert ["we", "+30.0", "−28.0", "−2.0"] in [line.split() for line in shown.splitlines()]


def test_the_picture_of_an_explanation_has_a_grid_for_each_speaker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caught = intercept(monkeypatch)
    draw_explanation(tmp_path / "explanation.png", FOUND)
    drawn = caught["explanation.png"]
    assert drawn["row_names"] == ["we", "zyzzyva?"]
    assert drawn["column_names"] == ["gradients", "left out", "attention"]
    assert list(drawn["grids"]) == ["South, 60%", "East, 25%", "North, 10%"]
    assert drawn["grids"]["South, 60%"].tolist() == [[30, 20, 75], [-10, 0, 20]]
    assert drawn["title"].endswith("\nread 2 of 2 tokens, 1 unknown")
    assert drawn["one_scale"]  # so that a deep colour of one speaker is no faint one of another


def test_a_program_gets_all_of_an_explanation() -> None:
    found = in_numbers(FOUND)
    assert found["words"] == FOUND.words
    assert found["probabilities"] == pytest.approx([0.1, 0.6, 0.05, 0.25])
    assert np.array(found["integrated_gradients"]).shape == np.array(found["leave_one_out"]).shape == (2, 4)
    assert found["integrated_gradients"][0][1] == pytest.approx(0.3)
    assert found["leave_one_out"][0][1] == pytest.approx(0.2)
    assert found["attention"] == pytest.approx([0.75, 0.2])


def in_colour(text: Text) -> str:
    shown = io.StringIO()
    Console(file=shown, force_terminal=True, color_system="truecolor", width=80, _environ={}).print(text)
    return shown.getvalue()


def test_words_are_tinted_by_sign_and_size_in_black_on_colour() -> None:
    shown = in_colour(tinted(["for", "half", "no", "against"], [2.0, 1.0, 0.01, -5.0], 2.0))
    assert "\x1b[38;2;0;0;0;48;2;86;180;233mfor\x1b[0m" in shown
    assert "48;2;170;218;244mhalf" in shown
    assert " no " in shown  # too little to be seen
    assert "48;2;230;159;0magainst" in shown  # no darker than the darkest
    assert tinted(["a", "b"], [0.0, 0.0], 0.0, "").plain == "ab"
    assert tinted(["a\nb"], [1.0], 1.0).plain == "a b"


def scored(n: int) -> ScoredText:
    def one(name: str, nats: list[float]) -> Scored:
        return Scored(name, nats, LanguageScores(12.5, 11.0, 2.25, 10.0))

    nats = [float(i) for i in range(n)]
    return ScoredText("windows", [f"w{i}" for i in range(n)], [one("decoder", nats), one("trigram", nats[::-1])])


def test_a_short_text_is_shown_token_by_token_under_every_scorer(capsys: pytest.CaptureFixture[str]) -> None:
    print_score(scored(4), "word")
    shown = capsys.readouterr().out
    assert shown.splitlines()[:2] == ["decoder: w0 w1 w2 w3", "trigram: w0 w1 w2 w3"]
    rows = [line.split() for line in shown.splitlines()]
    assert ["w1", "w2", "w3", "3.00", "0.00"] in rows
    assert ["w0", "0.00", "3.00"] in rows
    assert ["decoder", "6.0", "12.50", "2.250"] in rows
    assert "10.0% of 4 tokens are <unk>" in " ".join(shown.split())
    assert "The decoder reads windows" in " ".join(shown.split())


def test_of_a_long_text_the_most_surprising_tokens_are_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_score(scored(1200), "character")
    shown = capsys.readouterr().out
    assert shown.split()[1].startswith("w0w1w2")
    assert " ... and 200 more" in " ".join(shown.split())
    assert "trigram: " not in shown
    rows = [line.split() for line in shown.splitlines()]
    assert [row[2] for row in rows if len(row) == 5 and row[2].startswith("w")] == [f"w{1199 - i}" for i in range(20)]


def test_the_picture_of_faithfulness_has_every_fall(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    caught = intercept(monkeypatch)
    draw_faithfulness(tmp_path / "x.png", explained())
    drawn = [(line.name, line.value, line.low, line.high) for line in caught["x.png"]["intervals"]]
    falls = [(f"{fall.deleted}: {METHODS[fall.method]}", fall.fall) for fall in explained().falls]
    assert drawn == [(name, fall.mean, fall.low, fall.high) for name, fall in falls]
