"""The report's page and the documents: approved texts of the made-up world, and what they say of other answers."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from pytest_regressions.file_regression import FileRegressionFixture
from world.answers import ABOUT, answers_of, decoder_run

from reporting.documents import fill, log
from reporting.page import write_page
from studies.answers import Answers


def report(ablation: bool = True) -> Answers:
    return replace(answers_of("report"), ablation=answers_of("ablation") if ablation else None)


def pages(answers: Answers, folder: Path) -> tuple[str, str]:
    """The page as Markdown and HTML, with one picture."""
    (folder / "figures").mkdir()
    (folder / "figures" / "figure1_accuracy.png").write_bytes(b"a picture")
    write_page(answers, folder)
    return (folder / "report.md").read_text(), (folder / "report.html").read_text()


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_the_page_is_as_approved(form: str, tmp_path: Path, file_regression: FileRegressionFixture) -> None:
    markdown, html = pages(report(), tmp_path)
    file_regression.check(markdown if form == "markdown" else html, encoding="utf-8")


def test_a_picture_that_was_not_drawn_is_not_there(tmp_path: Path) -> None:
    markdown, html = pages(report(), tmp_path)
    assert re.findall(r"!\[.*\]\((.*)\)", markdown) == ["figures/figure1_accuracy.png"]
    assert html.count("<img ") == html.count("data:image/png;base64,YSBwaWN0dXJl") == 1
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", html)  # it needs nothing from outside


def test_the_quick_page_judges_nothing(tmp_path: Path) -> None:
    quick = replace(report(ablation=False), quick=True, claims=[])
    for page in pages(quick, tmp_path):
        assert "its numbers mean nothing" in page
        assert "does not hold" not in page
        assert "Ablation" not in page


def test_on_other_peoples_texts_nothing_published_stands_beside_the_results(tmp_path: Path) -> None:
    others = answers_of("report", data=replace(ABOUT, class_names=["Ann <b>", "Ben | Bob", "Cleo"]))
    markdown, html = pages(others, tmp_path)
    for page in (markdown, html):
        assert "ublished" not in page.replace("nothing that it published", "").replace("what was published", "")
        assert "C7, C8 and C12" in page
    assert "Ann &lt;b>, Ben \\| Bob, Cleo" in markdown
    assert "Ann &lt;b&gt;, Ben | Bob, Cleo" in html


def test_a_claim_that_cannot_be_judged_says_why(tmp_path: Path) -> None:
    without = [judgement for judgement in answers_of("report").claims if judgement.id != "C11"]
    markdown, _ = pages(replace(report(), claims=without), tmp_path)
    assert "lack what they are about: C11." in markdown


# ----------------------------------------------------------------------------------------------------------- documents
def document(folder: Path, mark: str) -> Path:
    path = folder / "document.md"
    path.write_text(f"Before.\n<!-- {mark} -->\nold\n<!-- /{mark} -->\nAfter.\n")
    return path


@pytest.mark.parametrize("command", ["report", "ablation", "measure", "tokenizers"])
def test_a_document_is_as_approved(command: str, tmp_path: Path, file_regression: FileRegressionFixture) -> None:
    path = document(tmp_path, command.replace("report", "results"))
    fill(path, answers_of(command))
    assert path.read_text().startswith("Before.\n")
    file_regression.check(path.read_text(), encoding="utf-8")


def test_a_document_names_all_seeds_that_its_tables_hold(tmp_path: Path) -> None:
    answers = answers_of("report")
    more = {**answers.decoder, "alibi": [*answers.decoder["alibi"], decoder_run(350.0, 23, 1)]}
    path = document(tmp_path, "results")
    fill(path, replace(answers, decoder=more))
    assert "seeds: 4, 5, 6, and up to 23 where fewer could not tell" in path.read_text()


def test_runs_that_two_variants_share_are_counted_once(tmp_path: Path) -> None:
    answers = answers_of("report")
    shared = {**answers.classifier, "original": answers.classifier["learned"]}
    path = document(tmp_path, "results")
    fill(path, answers)
    assert "runs: 45 trainings" in path.read_text()
    fill(path, replace(answers, classifier=shared))
    assert "runs: 42 trainings" in path.read_text()


def test_the_log_gets_one_entry_more(tmp_path: Path) -> None:
    path = tmp_path / "log.md"
    path.write_text("# Log\n")
    log(path, answers_of("ablation"))
    text = path.read_text()
    assert text.startswith("# Log\n")
    assert re.search(r"## \d{4}-\d\d-\d\d: changes to the best classifier and decoder", text)
    assert "### Ablation of the best decoder" in text
