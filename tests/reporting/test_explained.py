"""Explanations and surprise as a person reads them: every number in words, colour only beside them."""

# ruff: noqa: RUF001 (minus signs are meant)
from pathlib import Path

import pytest
import torch
from world.figures import intercept

from inference.explain import Explanation
from inference.score import Scored, ScoredText
from reporting.explained import (
    draw_explanation,
    print_explanation,
    print_score,
    tinted,
)
from training.records import LanguageScores

EXPLANATION = Explanation(
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
    print_explanation(EXPLANATION)
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


def test_the_picture_of_an_explanation_has_a_grid_for_each_speaker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caught = intercept(monkeypatch)
    draw_explanation(tmp_path / "explanation.png", EXPLANATION)
    drawn = caught["explanation.png"]
    assert drawn["row_names"] == ["we", "zyzzyva?"]
    assert drawn["column_names"] == ["gradients", "left out"]
    assert list(drawn["grids"]) == ["South, 60%", "East, 25%", "North, 10%"]
    assert drawn["grids"]["South, 60%"].tolist() == [[30, 20], [-10, 0]]
    assert drawn["title"].endswith("\nread 2 of 2 tokens, 1 unknown")
    assert drawn["signed"]  # so that a deep colour of one speaker is no faint one of another


def test_words_are_tinted_by_sign_and_size() -> None:
    shades = [str(span.style) for span in tinted(["for", "half", "no", "against"], [2.0, 1.0, 0.01, -5.0], 2.0).spans]
    assert shades == ["#000000 on #56b4e9", "#000000 on #aadaf4", "#000000 on #e69f00"]  # no: too little to be seen
    assert tinted(["a\nb", "c"], [0.0, 0.0], 0.0).plain == "a b c"


def scored(n: int) -> ScoredText:
    nats = [float(i) for i in range(n)]
    scorers = [
        Scored(name, values, LanguageScores(12.5, 11.0, 2.25, 10.0))
        for name, values in (("decoder", nats), ("trigram", nats[::-1]))
    ]
    return ScoredText("windows", [f"w{i}" for i in range(n)], scorers)


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
