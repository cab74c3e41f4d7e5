"""Results written into Markdown documents, between their marks, and the log."""

from datetime import date
from pathlib import Path

from common.files import append_text, write_between_marks
from common.wording import counted
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
    heading = headings.get(answers.command)
    writes = "" if again else ", which writes this section"
    lines = [
        *([heading, ""] if heading else []),
        f"From `{answers.command_line}`{writes}: {origin(answers)}",
        "",
        *(f"- {in_markdown(line)}" for line in in_short(answers)),
        "",
        *([comparable(answers), ""] if answers.command == "report" else []),
        *markdown_tables(tables_of(answers)),
    ]
    write_between_marks(path, mark_of(answers.command, again, on_folds), "\n".join(lines).rstrip("\n"))


def log(path: Path, answers: Answers) -> None:
    """Add the answers of the ablation to a log, under today's date."""
    n_changes = sum(len(question.settings) - 1 for question in answers.questions.values())
    kinds = " and ".join(question.kind for question in answers.questions.values())
    lines = [
        "",
        f"## {date.today()}: changes to the best {kinds}",
        "",
        f"From `{answers.command_line}`: {counted(n_changes, 'change')} tried; {origin(answers)}",
        "",
        *markdown_tables(tables_of(answers)),
    ]
    append_text(path, "\n".join(lines))


def origin(answers: Answers) -> str:
    """Which runs on which data, by what and how long."""
    known = {name: text for name, text in notes.facts(answers).items() if name != "command"}
    return in_markdown("; ".join(f"{name}: {text}" for name, text in known.items())) + "."
