"""The views in HTML: every number is there, and what people write is text and no markup."""

# ruff: noqa: RUF001 (minus signs are meant)
import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from common.files import UserError
from inference.explain import Explanation
from inference.score import Scored, ScoredText
from reporting import explore_views as views
from reporting.explained import shade
from studies.explore import Continuation, Looks, Shelf, Surprise, WhoSaidIt
from training.records import LanguageScores

BAD = "<script>alert(1)</script>"
EXPLANATION = Explanation(
    ["we", BAD],
    "read 2 of 2 tokens, 1 unknown: gizmo?",
    ["North", "South", "West"],
    torch.tensor([0.1, 0.7, 0.2]),
    torch.zeros(2, 3),
    torch.tensor([[-0.02, 0.3, -0.28], [0.0, -0.15, 0.15]]),
    torch.tensor([0.75, 0.2]),
)


def test_who_said_it_tells_every_number_and_what_is_known() -> None:
    shown = views.who(WhoSaidIt(EXPLANATION, {"TF-IDF": "West"}, ["row 1,204, by North"]))
    assert re.findall(r"<td>(\w+)</td>", shown) == ["South", "West", "North"]
    assert re.findall(r"width: ([0-9.]+)%", shown) == ["70.0", "20.0", "10.0"]
    assert '<span class="word" style="background: #56b4e9">we<small>+30.0</small>' in shown
    assert f'style="background: {shade(-0.15, 0.3)}"' in shown
    assert "−15.0" in shown
    assert "TF-IDF" in shown
    assert "stands in the training file, row 1,204, by North" in shown
    assert EXPLANATION.note in shown
    assert BAD not in shown
    assert "&lt;script&gt;" in shown


def test_surprise_has_the_nats_and_the_guesses_of_every_word() -> None:
    whole = LanguageScores(perplexity=12.5, perplexity_without_unk=None, bits_per_byte=1.25, unk_rate=50.0)
    text = ScoredText("windows", ["we", BAD], [Scored("decoder", [1.5, 12.0], whole)])
    shown = views.surprise_view(Surprise(text, [[[("the", 0.5)], [("a", 0.25)]]], "no data"))
    assert re.findall("<small>([0-9.]+)</small>", shown) == ["1.5", "12.0"]
    assert re.findall(r"width: ([0-9.]+)%", shown) == ["50.0", "25.0"]
    assert shown.count('tabindex="0"') == 2  # both can be reached without a mouse
    assert "background: #e69f00" in shown
    assert "12.50" in shown
    assert "No trigram beside it: no data" in shown
    assert BAD not in shown


def test_a_continuation_has_what_was_drawn_and_what_may_come() -> None:
    side = Continuation("decoder", ["hope"], [0.054], [[("hope", 0.054)], [("now", 0.625)]], 1234)
    shown = views.continuation(BAD, [side])
    assert "hope<small>5.4%</small>" in shown
    assert "of 1,234 possible" in shown
    assert "62.5%" in shown
    assert BAD not in shown


def test_each_head_is_a_button_with_its_map() -> None:
    maps = torch.zeros(2, 3, 1, 2)
    maps[1, 2] = torch.tensor([[0.2, 0.8]])
    maps[0, 0] = 0.05
    shown = views.maps(Looks(["we"], ["we", "<pad>"], maps, ""))
    buttons = re.findall(r'<button type="button" data-layer="(\d)" data-head="(\d)" aria-pressed="(\w+)"', shown)
    assert buttons == [(str(i), str(j), "true" if i + j == 0 else "false") for i in range(2) for j in range(3)]
    pictures = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
        for text in re.findall(r"data:image/png;base64,([^\"]+)", shown)
    ]
    assert pictures[0].shape == (1, 2, 3)
    assert tuple(pictures[5][0, 1]) == views.SCALE[4]  # the largest weight of all
    assert tuple(pictures[5][0, 0]) == views.SCALE[2]  # a quarter of it
    assert tuple(pictures[0][0, 0]) == views.SCALE[1]  # a sixteenth, of another head
    assert tuple(pictures[1][0, 0]) == views.SCALE[0]


@pytest.fixture(scope="module")
def exported(trained_runs: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "page.html"
    views.export(path, Shelf(trained_runs, data_folder), ["we hope for change .", f"we {BAD}"])
    return path


def test_the_file_needs_nothing_else_and_is_small(exported: Path) -> None:
    text = exported.read_text(encoding="utf-8")
    assert len(text) < views.MOST
    assert not re.findall(r"""https?:|\b(?:src|href)=["'](?!data:|#)""", text)
    assert BAD not in text
    assert text.count("<section") == 2


def test_a_file_that_is_too_large_is_refused_and_nothing_is_written(
    trained_runs: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MOST", 10_000)
    with pytest.raises(UserError, match=r"page.html: would have 0.\d MB; give fewer or shorter sentences"):
        views.export(tmp_path / "page.html", Shelf(trained_runs, data_folder), ["we hope"])
    assert list(tmp_path.iterdir()) == []
