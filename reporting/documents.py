"""Results written into Markdown documents, between their marks, and the log."""

from datetime import date
from pathlib import Path

from common.files import append_text, write_between_marks
from reporting import notes
from reporting.summary import comparable, in_short
from reporting.table import in_markdown, markdown_tables
from reporting.tables import tables_of
from studies.answers import Answers


def mark_of(command: str, again: bool = False, on_folds: bool = False) -> str:
    """Between which marks of a document the tables of a command stand. `again`: of a report's results that were there,
    on other data; `on_folds`: of tokenizers that were compared without the test set."""
    if command == "report":
        return "results-from" if again else "results"
    return f"{command}-validation" if command == "tokenizers" and on_folds else command


def fill(path: Path, answers: Answers, again: bool = False) -> None:
    """Put the answers between the marks of their command in a document."""
    on_folds = any(question.on_folds for question in answers.questions.values())
    headings = {
        "report": f"## Results on {in_markdown(answers.data.folder)}" if again else "## Results",
        "ablation": "## Ablation of the best recipe",
    }
    lines = [
        *([headings[answers.command], ""] if answers.command in headings else []),
        f"From {origin(answers)}",
        "",
        *(f"- {in_markdown(line)}" for line in in_short(answers)),
        "",
        *([comparable(answers), ""] if answers.command == "report" else []),
        *markdown_tables(tables_of(answers)),
    ]
    write_between_marks(path, mark_of(answers.command, again, on_folds), "\n".join(lines).rstrip("\n"))


def log(path: Path, answers: Answers) -> None:
    """Add the answers of the ablation to a log, under today's date."""
    kinds = " and ".join(question.kind for question in answers.questions.values())
    heading = f"## {date.today()}: changes to the best {kinds}"
    append_text(path, "\n".join(["", heading, "", f"From {origin(answers)}", "", *markdown_tables(tables_of(answers))]))


def origin(answers: Answers) -> str:
    """Which command asked, of which data, and what computed the answers in how long."""
    command, *others = notes.facts(answers).items()
    return f"`{command[1]}`: " + in_markdown("; ".join(f"{name}: {text}" for name, text in others)) + "."
