"""Results written into Markdown documents, between their marks, and the log."""

from datetime import date
from pathlib import Path

from studies.results import AblationResults, MeasureResults, ReportResults, TokenizersResults
from studies.study import POSITIONS

from common.files import append_text, write_between_marks
from common.wording import counted, duration
from reporting import comparison, tables
from reporting.page import comparable, in_short, training_minutes
from reporting.table import in_markdown, markdown_tables

# In a document; the commands write what stands between them.
RESULTS_MARK, ABLATION_MARK, MEASURE_MARK = "results", "ablation", "measure"
AGAIN_MARK = "results-from"  # of results that were there, on other data, beside those of the report command


def fill_results(path: Path, results: ReportResults, mark: str = RESULTS_MARK) -> None:
    """Put the results of the report command between their marks in a document."""
    about, own = results.data, mark == RESULTS_MARK
    variants = [name for name in results.classifier if name not in POSITIONS]
    lines = [
        "## Results" if own else f"## Results on {in_markdown(about.folder)}",
        "",
        f"From `{results.command_line}`{', which writes this section' if own else ''}: {provenance(results)}, "
        f"{about.train_rows:,} "
        f"training and {about.test_rows:,} test rows; {len(results.trainings())} trainings of together "
        f"{training_minutes(results)}; {duration(results.total_seconds)} in all, or for what an earlier "
        "start had left to do.",
        "",
        *(f"- {in_markdown(line)}" for line in in_short(results)),
        "",
        comparable(results),
        "",
    ]
    shown = [
        tables.verdicts(results),
        tables.classifiers(results, POSITIONS, "Classifier by position method"),
        tables.classifiers(results, variants, "Classifier by regularization"),
        tables.decoders(results),
        tables.table3(results),
        tables.times(results, "classifier"),
        tables.times(results, "decoder"),
        tables.lengths(results),
    ]
    write_between_marks(path, mark, "\n".join(lines + markdown_tables(shown)))


def fill_ablation(path: Path, results: AblationResults) -> None:
    """Put the results of the ablation command between their marks in a document."""
    lines = [
        "## Ablation of the best recipe",
        "",
        f"From `{results.command_line}`, which writes this section: {provenance(results)}; "
        f"{duration(results.total_seconds)}.",
        "",
    ]
    write_between_marks(path, ABLATION_MARK, "\n".join(lines + markdown_tables(comparison.tables_of_ablation(results))))


def fill_measurement(path: Path, results: MeasureResults) -> None:
    """Put the results of the measure command between their marks in a document."""
    names, data = results.data.class_names, results.data
    lines = [
        f"{in_markdown(', '.join(names[:-1]))} and {in_markdown(names[-1])}, {data.train_rows:,} training rows:",
        "",
        *(f"- {in_markdown(line)}" for line in tables.in_a_sentence(results)),
        "",
        *markdown_tables(tables.tables_of_measurement(results)),
        f"From `{results.command_line}`, which writes this section: {provenance(results)}; "
        f"{duration(results.total_seconds)}. SHA-256 of the data files: {data.fingerprint[:16]}.",
    ]
    write_between_marks(path, MEASURE_MARK, "\n".join(lines))


def tokenizers_mark(validation: bool) -> str:
    """The mark in a document for the results of the tokenizers command: on the test set, or by validation."""
    return "tokenizers-validation" if validation else "tokenizers"


def fill_tokenizers(path: Path, results: TokenizersResults) -> None:
    """Put the results of the tokenizers command between their marks in a document."""
    lines = [
        *markdown_tables(tables.tables_of_tokenizers(results)),
        f"From `{results.command_line}`, which writes this section: {provenance(results)}. "
        f"SHA-256 of the data files: {results.data.fingerprint[:16]}.",
    ]
    write_between_marks(path, tokenizers_mark(results.validation), "\n".join(lines))


def log_ablation(path: Path, results: AblationResults) -> None:
    """Add the results of the ablation command to a log, under today's date."""
    n, tasks = results.n_changes, [one.task for one in results.tasks]
    lines = [
        "",
        f"## {date.today()}: changes to the best {' and '.join(tasks)}",
        "",
        f"From `{results.command_line}`: {counted(n, 'setting')} tried beside the recipe; "
        f"{provenance(results)}; {duration(results.total_seconds)}.",
        "",
    ]
    append_text(path, "\n".join(lines + markdown_tables(comparison.tables_of_ablation(results))))


def provenance(results: ReportResults | AblationResults | MeasureResults | TokenizersResults) -> str:
    """The seeds of a command's results, and the commit and machine that made them; and the tokens, if no words."""
    kind = ""
    if isinstance(results, ReportResults) and results.tokenizer != "word":
        kind = f"{tables.token_of(results)}s; "
    return f"{kind}seeds {', '.join(map(str, results.seeds))}; {tables.computed_on(results.machines)}"
