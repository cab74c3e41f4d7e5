"""The page in a real browser, as a person uses it: every tab, by mouse and by keyboard, at the widths of a projector
and a phone, by ten people at once. Nothing may leave this machine."""

import re
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands.explore import Explore
from common.arguments import Typed
from common.files import UserError
from inference.explain import classify
from studies.explore import Shelf

CHROMIUM = shutil.which("chromium") or ""
TEXT = "we hope for change ."
WIDTHS = (1280, 390)


def test_without_gradio_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, trained_runs: Path, data_folder: Path
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "reporting.explore_page", raising=False)
    with pytest.raises(UserError, match=r"^the page needs gradio; pip install -r requirements-page.txt$"):
        Explore(runs=trained_runs, data_dir=data_folder).run(Typed(("explore",)))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's browser."""
    api = pytest.importorskip("playwright.sync_api", reason="drives a browser: pip install playwright")
    if not CHROMIUM:
        pytest.skip("there is no chromium; apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shelf(trained_runs: Path, data_folder: Path) -> Shelf:
    return Shelf(trained_runs, data_folder)


@pytest.fixture(scope="module")
def address(shelf: Shelf) -> Iterator[str]:
    """The page, served by this process."""
    pytest.importorskip("gradio", reason="the page: pip install -r requirements-page.txt")
    from reporting.explore_page import page, serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    blocks = page(shelf)
    yield serve(blocks, port)
    with pytest.raises(UserError, match=f"port {port} is taken, or closed to you; choose another by --port"):
        serve(page(shelf), port)
    blocks.close()


class Person:
    """Somebody with the page open, and all that their browser asks for or complains about."""

    def __init__(self, chromium: Any, address: str, width: int = 1280) -> None:
        self.page = chromium.new_page(viewport={"width": width, "height": 800})
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)

    def open(self, name: str) -> Any:
        """The panel of a tab, once it is open."""
        tab = self.page.get_by_role("tab", name=name)
        self.page.get_by_role("tab", name="Who said it?").wait_for()
        if not tab.count() or not tab.first.is_visible():  # on a phone the last ones are in a menu
            self.page.locator(".overflow-menu button").first.click()
            tab = self.page.locator(".overflow-dropdown button", has_text=name)
        tab.first.click()
        return self.page.get_by_role("tabpanel").filter(visible=True)

    def leave(self) -> None:
        """Nothing was asked of another machine, nothing went wrong, nothing stuck out at the side."""
        width = self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= self.page.viewport_size["width"]
        assert [url for url in self.asked if not re.match("http://127.0.0.1[:/]|data:|blob:|file:", url)] == []
        assert self.errors == []
        self.page.close()


@pytest.fixture(params=WIDTHS)
def person(request: pytest.FixtureRequest, chromium: Any, address: str) -> Iterator[Person]:
    person = Person(chromium, address, request.param)
    yield person
    person.leave()


def has(panel: Any, text: str) -> None:
    """Wait until the panel shows a text."""
    panel.get_by_text(text).first.wait_for(timeout=20_000)


def test_who_said_it(person: Person, shelf: Shelf) -> None:
    panel = person.open("Who said it?")
    panel.get_by_label("Text").fill(TEXT)
    panel.get_by_label("Text").press("Enter")
    panel.locator(".word", has_text="change").first.wait_for()
    name, share = classify(shelf.model(shelf.names("classifier")[0]), TEXT)[0]
    row = panel.locator(".bars tr").first.inner_text()
    assert row.split("\t")[0].strip() == name
    assert f"{100 * share:.1f}%" in row
    has(panel, "TF-IDF, naive Bayes")
    known = shelf.data(shelf.names("classifier")[0]).corpus.train[7]
    panel.get_by_label("Text").fill(known.text)
    panel.get_by_role("button", name="Who said it?").click()
    has(panel, f"stands in the training file, row {known.line}")


def test_attention_by_keyboard_and_without_a_head(person: Person) -> None:
    panel = person.open("Attention")
    panel.get_by_label("Text").fill(TEXT)
    panel.get_by_label("Text").press("Enter")
    has(panel.locator(".ytick").first.locator("xpath=../.."), "change")
    assert panel.locator(".maps button").count() == 4
    panel.locator("[data-layer='1'][data-head='1']").focus()
    person.page.keyboard.press("Enter")
    has(panel, "layer 2, head 2")
    panel.locator(".gtitle", has_text="layer 2, head 2").wait_for()
    assert "<pad>" in panel.locator(".xaxislayer-above").inner_html().replace("&lt;", "<").replace("&gt;", ">")
    picture = panel.locator(".heatmaplayer image, .heatmaplayer .hm").first
    picture.scroll_into_view_if_needed()
    cell = picture.bounding_box()
    person.page.mouse.move(cell["x"] + 3, cell["y"] + 3)
    has(panel.locator(".hoverlayer"), "we looks at we: 0.")
    panel.get_by_label("layer 1, head 2").press(" ")
    has(panel, "without those heads")
    assert panel.locator(".bars").count() == 2


def test_how_surprising_with_the_guesses_of_a_word_by_keyboard(person: Person) -> None:
    panel = person.open("How surprising?")
    panel.get_by_label("Text").fill("hope for change now")
    panel.get_by_role("button", name="How surprising?").click()
    panel.locator(".word", has_text="now?").first.wait_for()
    has(panel, "Nats to: trigram")
    first = panel.locator(".word").first
    assert not first.locator(".tip").is_visible()
    first.focus()
    assert first.locator(".tip").is_visible()
    assert first.locator(".tip tr").count() == 5
    tip, width = first.locator(".tip").bounding_box(), person.page.viewport_size["width"]
    assert tip["x"] >= 0
    assert tip["x"] + tip["width"] <= width


def test_a_text_goes_on_word_by_word_and_by_itself(person: Person) -> None:
    panel = person.open("Continue")
    sides = panel.locator(".sides > div")
    for n in (1, 2):
        panel.get_by_role("button", name="Next word").click()
        sides.first.locator(".word").nth(n - 1).wait_for()
        assert sides.nth(1).locator(".word").count() == n
    panel.get_by_role("button", name="Start again").click()
    sides.first.locator(".word").first.wait_for(state="detached")
    panel.get_by_label("Temperature").first.fill("0")
    panel.get_by_label("Temperature").first.press("Tab")
    has(panel, "of 1 possible")
    panel.get_by_role("button", name="Go on").click()
    sides.first.locator(".word").nth(39).wait_for(timeout=20_000)
    assert sides.first.locator(".word small").first.inner_text() == "100%"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_file_works_from_a_memory_stick(
    chromium: Any, trained_runs: Path, data_folder: Path, tmp_path: Path, width: int
) -> None:
    texts = ("we hope for change .", "free <b>troops</b> now")
    Explore(texts, tmp_path / "page.html", trained_runs, data_folder).run(Typed(("explore",)))
    person = Person(chromium, (tmp_path / "page.html").as_uri(), width)
    view = person.page.locator("section").first.locator(".attention").first
    assert view.locator("td.here").count() == 1
    view.locator("[data-layer='1'][data-head='0']").click()
    assert view.locator("[aria-pressed=true]").inner_text().split() == ["layer", "2,", "head", "1"]
    view.locator(".map").focus()
    person.page.keyboard.press("ArrowRight")
    person.page.keyboard.press("ArrowDown")
    assert re.fullmatch(r"hope looks at hope: 0\.\d{3}", view.locator(".said").inner_text())
    view.locator(".map tbody tr").nth(2).locator("td").nth(6).hover()
    assert view.locator(".said").inner_text().startswith("for looks at <pad>: ")
    word = person.page.locator("section").nth(1).locator(".word[tabindex]").first
    word.focus()
    assert word.locator(".tip").is_visible()
    assert person.page.locator("section").nth(1).locator("h2 b").count() == 0
    person.leave()
