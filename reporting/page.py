"""The report's page, which a person reads in five minutes.

It is a list of sections (paragraphs, tables, pictures), made once and written twice: report.md, and report.html, which
holds its pictures and needs nothing from outside.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.files import write_text
from evaluation.statistics import FAILS, HOLDS, UNCLEAR, how_judged
from reporting import notes, tables
from reporting.explained import faithfulness_table, knockouts_table
from reporting.summary import comparable, in_short, quick_warning
from reporting.table import Table, effect, in_markdown, markdown_table, markdown_tables, template, words
from reporting.variants import by_variant
from studies.answers import Answers
from studies.catalogue.published import THE_REPORT
from studies.figures import pictures_in
from training.recipe import Task

SYMBOLS = {HOLDS: "\N{CHECK MARK}", FAILS: "\N{MULTIPLICATION SIGN}", UNCLEAR: "?"}


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: tuple[str, ...] = ()  # how the names of their files start
    more: Sequence[Table] = ()  # tables for who wants to know more: folded away on the page


def write_page(answers: Answers, folder: Path) -> None:
    """Write report.md and report.html, which show the pictures that there are in the folder's figures/."""
    sections = compose(answers)
    write_text(folder / "report.md", markdown(answers, sections, folder / "figures"))
    write_text(folder / "report.html", html(answers, sections, folder / "figures"))


# ------------------------------------------------------------------------------------------------------------ sections
def compose(answers: Answers) -> list[Section]:
    """The sections below the verdicts."""
    sections = [
        Section(
            "Part 1: the classifier",
            [],
            [
                tables.epochs(answers, "learned"),
                by_variant(answers, "classifier", "Test accuracy beside models that count words", ["learned"]),
            ],
            ("figure1_", "figure2_", "figure3_", "attention_encoder", "knockouts_classifier"),
            more=[tables.by_class(answers, "learned"), *probed(answers, "classifier")],
        ),
        Section(
            "Part 2: the decoder",
            [],
            [tables.iterations(answers, "learned", "Table 2"), tables.by_width(answers)],
            ("figure4_", "figure5_", "figure6_", "figure7_", "attention_decoder", "knockouts_decoder"),
            more=probed(answers, "decoder"),
        ),
        Section(
            "Part 3: positions",
            ["Learned positions, ALiBi, and, as the control, none at all: the same code, recipe and seeds."],
            tables.of_positions(answers),
            ("figure8_", "figure9_", "figure10_", "inference_length", "changes_perplexity"),
        ),
        Section(
            "Part 3: regularization",
            ["Rates of dropout are compared on rows held out of the training file."],
            tables.of_regularization(answers),
            ("confusion", "figure11_", "changes_accuracy"),
        ),
    ]
    if answers.ablation:
        what = "What --recipe best loses, or gains, when one of its ingredients changes: python main.py ablation."
        sections.append(Section("Ablation of the best recipe", [what], tables.tables_of(answers.ablation)))
    made = Table("What was run", words("", ""), list(notes.facts(answers).items()))
    return [*sections, Section("How this was made", METHODS, [made])]


METHODS = [
    "A perplexity scores every token of a file once: nats are summed, divided once and exponentiated last.",
    "The parts by themselves: python main.py part1, part2 and part3. An interrupted report goes on where it was when "
    "it is started again.",
]


def probed(answers: Answers, kind: Task) -> list[Table]:
    """What one seed's model loses without each of its parts, and whether the words that an explanation names decide."""
    return [
        *map(knockouts_table, answers.knockouts.get(kind, {}).get("learned", [])),
        *map(faithfulness_table, answers.faithfulness.get(kind, {}).get("learned", [])),
    ]


# ----------------------------------------------------------------------------------------------------------- two forms
def markdown(answers: Answers, sections: Sequence[Section], figures: Path) -> str:
    """The page as Markdown; pictures stand in figures/ beside it."""
    lines = ["# The report, run again", "", THE_REPORT, ""]
    lines += [f"**{quick_warning(answers)}**", ""] if answers.quick else []
    lines += [*(f"- {in_markdown(line)}" for line in in_short(answers)), "", comparable(answers), ""]
    if not answers.quick:
        lines += ["## Verdicts", "", how_judged(answers.confidence), ""]
        lines += [markdown_table(tables.verdicts(answers)), "", in_markdown(notes.about_verdicts(answers)), ""]
        for judgement in answers.claims:
            text = in_markdown(notes.paragraph(judgement.note, judgement.rule))
            lines += [f"**{judgement.id}: {judgement.verdict}.** {text}", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.paragraphs:
            lines += [in_markdown(paragraph), ""]
        lines += markdown_tables([*section.tables, *section.more])
        for picture in pictures_in(figures, section.pictures):
            lines += [f"![{picture.caption}](figures/{picture.path.name})", "", picture.caption, ""]
    return "\n".join(lines)


def html(answers: Answers, sections: Sequence[Section], figures: Path) -> str:
    """The page as one HTML file that holds its pictures."""
    return template("report.html").render(
        answers=answers,
        sections=sections,
        the_report=THE_REPORT,
        in_short=in_short(answers),
        comparable=comparable(answers),
        how_judged=how_judged(answers.confidence),
        warning=quick_warning(answers) if answers.quick else "",
        symbols=SYMBOLS,
        most_parts=tables.MOST_PARTS,
        needed=tables.needed_to_judge,
        about_verdicts=notes.about_verdicts(answers),
        effect=effect,
        pictures=lambda section: pictures_in(figures, section.pictures),
        in_base64=lambda path: base64.b64encode(path.read_bytes()).decode(),
        identifier=lambda title: re.sub(r"\W+", "-", title.lower()).strip("-"),
    )
