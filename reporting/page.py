"""The report's page, which a person reads in five minutes.

It is a list of sections (paragraphs, tables, figures), made once and written twice: report.md, and report.html with its
pictures inside, which needs nothing from outside.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.files import write_text
from common.wording import counted
from evaluation import statistics
from evaluation.statistics import FAILS, HOLDS, UNCLEAR, in_percent
from reporting import notes, tables
from reporting.html import template
from reporting.knockouts import faithfulness_tables, knockouts_table
from reporting.summary import comparable, in_short, quick_warning
from reporting.table import Table, in_markdown, markdown_table, markdown_tables, words
from reporting.variants import by_variant
from reporting.wording import effect
from studies.answers import Answers
from studies.catalogue.published import THE_REPORT, on_reports_speakers
from training.recipe import Task

SYMBOLS = {HOLDS: "\N{CHECK MARK}", FAILS: "\N{MULTIPLICATION SIGN}", UNCLEAR: "?"}


@dataclass(frozen=True)
class Section:
    """A part of the page; pictures by the names of their files in figures/, with the words below them."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)
    wide: Mapping[str, str] = field(default_factory=dict)  # pictures of several panels
    more: Sequence[Table] = ()  # tables for who wants to know more: folded away on the page


def write_page(answers: Answers, folder: Path) -> None:
    """Write report.md and report.html, which show the pictures that there are in the folder's figures/."""
    sections = [
        replace(section, pictures=there(section.pictures, folder), wide=there(section.wide, folder))
        for section in compose(answers)
    ]
    write_text(folder / "report.md", markdown(answers, sections))
    write_text(folder / "report.html", html(answers, sections, folder))


def there(pictures: Mapping[str, str], folder: Path) -> Mapping[str, str]:
    """The pictures that were drawn: without weights there are no maps of attention."""
    return {name: caption for name, caption in pictures.items() if picture_file(folder, name).exists()}


def picture_file(folder: Path, name: str) -> Path:
    """The file of a picture."""
    return folder / "figures" / f"{name}.png"


# ------------------------------------------------------------------------------------------------------------ sections
def compose(answers: Answers) -> list[Section]:
    """The sections below the verdicts."""
    interval = f"{in_percent(answers.confidence)} intervals, hollow where the interval reaches 0"
    cross = "; cross: as published" if on_reports_speakers(answers) else ""
    sections = [
        Section(
            "Part 1: the classifier",
            shared_rows(answers),
            [
                tables.epochs(answers, "learned"),
                by_variant(answers, "classifier", "Test accuracy beside models that count words", ["learned"]),
            ],
            {
                "figure1_accuracy": "Figure 1. Accuracy by epoch: mean over seeds, shaded from lowest to highest.",
                **maps(answers, "classifier", 2),
            },
            more=[tables.by_class(answers, "learned"), *probed(answers, "classifier")],
        ),
        Section(
            "Part 2: the decoder",
            [],
            [
                tables.iterations(answers, "learned", "Table 2"),
                tables.widths(answers),
                tables.by_text(answers, ["learned"]),
            ],
            {
                "figure4_training_perplexity": "Figure 4. Training perplexity by iteration.",
                "figure5_test_perplexity": "Figure 5. Test perplexity by iteration; dotted: the trigram.",
                **maps(answers, "decoder", 6),
            },
            more=probed(answers, "decoder"),
        ),
        Section(
            "Part 3: positions",
            ["Learned positions, ALiBi, and, as the control, none at all: the same code, recipe and seeds."],
            tables.of_positions(answers),
            {"figure8_test_accuracy_positions": "Figure 8. Test accuracy by epoch and position method."},
            {
                "figure9_perplexity_positions": "Figure 9. Train and test perplexity by position method.",
                "figure10_inference_length": "Figure 10. ALiBi: test perplexity by iteration at each inference length "
                "against that of training, shaded from the lowest to the highest seed.",
                "loss_by_position": "The loss at each position in the window less that of learned positions, on the "
                "same seed: what context is worth to each.",
                "inference_length": "Change of mean test perplexity with inference length: mean over seeds, shaded "
                "from lowest to highest; dashed: with the control's window.",
                "changes_perplexity": f"Change of perplexity against learned positions, {interval}.",
            },
            [tables.lengths(answers, text) for text in answers.test_names] if answers.lengths else [],
        ),
        Section(
            "Part 3: regularization",
            ["Rates of dropout are compared on rows held out of the training file."],
            tables.of_regularization(answers),
            {"confusion": "Confusion matrix of the original classifier, all seeds together."},
            {
                "figure11_regularization": "Figure 11. Accuracy of the original and the regularized classifier.",
                "changes_accuracy": f"Difference in test accuracy, {interval}{cross}.",
            },
        ),
    ]
    if answers.ablation:
        what = "What --recipe best loses, or gains, when one of its ingredients changes: python main.py ablation."
        sections.append(Section("Ablation of the best recipe", [what], tables.tables_of(answers.ablation)))
    return [*sections, methods(answers)]


def shared_rows(answers: Answers) -> list[str]:
    """That test rows have been read in training, if they have."""
    data = answers.data
    if not data.seen_rows:
        return []
    return [
        f"{data.seen_rows:,} of the {data.test_rows:,} test rows appear word for word in the training file: only the "
        "column 'unseen' says how well the classifier does on what it has not read."
    ]


def maps(answers: Answers, kind: Task, first_figure: int) -> Mapping[str, str]:
    """The attention of the first and the last layer, that of all layers in numbers, and what each part is worth."""
    name = "encoder" if kind == "classifier" else "decoder"
    seeds = answers.attention.get(kind, {}).get("learned", [])
    layers = sorted({1, len(seeds[0].distance)}) if seeds else []
    of_layers = {
        f"figure{i}_{name}_attention_layer{layer}": f"Figure {i}. Attention of the {name}, layer {layer}, one seed."
        for i, layer in enumerate(layers, start=first_figure)
    }
    return of_layers | {
        f"attention_{name}": "Mean attention distance and entropy by layer and head, over the test set.",
        f"knockouts_{kind}": "What that model loses without each of its parts.",
    }


def probed(answers: Answers, kind: Task) -> list[Table]:
    """Attention in numbers, what one seed's model loses without each of its parts, and, of a classifier, whether the
    words that an explanation names decide."""
    knocked_out = answers.knockouts.get(kind, {}).get("learned", [])
    explained = answers.faithfulness.get(kind, {}).get("learned", [])
    return [
        *([tables.attention(answers, kind)] if answers.attention.get(kind) else []),
        *map(knockouts_table, knocked_out),
        *(table for model in explained for table in faithfulness_tables(model)),
    ]


def methods(answers: Answers) -> Section:
    """What was run, where, and how to read it."""
    paragraphs = [
        "An interval is Student's t over paired seeds, and says what other seeds might have given; of accuracies and "
        "test perplexities it says what other seeds and other test rows might have given at once, the two sources of "
        "chance crossed. Rows are taken by stretches of neighbours, which are alike. Folds share training rows, which "
        "makes theirs wider (Nadeau and Bengio 2003).",
        "A perplexity scores every token of a file once: nats are summed, divided once and exponentiated last.",
        "The parts by themselves: python main.py part1, part2 and part3. An interrupted report goes on where it was "
        "when it is started again.",
    ]
    return Section(
        "How this was made", paragraphs, [Table("What was run", words("", ""), list(notes.facts(answers).items()))]
    )


def how_judged(answers: Answers) -> str:
    """What makes a verdict, or why the quick report has none."""
    if not answers.quick:
        return statistics.how_judged(answers.confidence)
    n_epochs = len(answers.classifier["learned"][0].epochs)
    return (
        "The report's claims are not judged here: models that have read a third of the data for "
        f"{counted(n_epochs, 'epoch')} say nothing about them."
    )


# ----------------------------------------------------------------------------------------------------------- two forms
def markdown(answers: Answers, sections: Sequence[Section]) -> str:
    """The page as Markdown; pictures stand in figures/ beside it."""
    lines = ["# The report, run again", "", THE_REPORT, ""]
    lines += [f"**{quick_warning(answers)}**", ""] if answers.quick else []
    lines += [*(f"- {in_markdown(line)}" for line in in_short(answers)), "", comparable(answers), "", "## Verdicts", ""]
    lines += [how_judged(answers), ""]
    if not answers.quick:
        lines += [markdown_table(tables.verdicts(answers)), "", in_markdown(notes.about_verdicts(answers)), ""]
        for judgement in answers.claims:
            text = in_markdown(notes.joined(judgement.note, judgement.rule))
            lines += [f"**{judgement.id}: {judgement.verdict}.** {text}", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.paragraphs:
            lines += [in_markdown(paragraph), ""]
        lines += markdown_tables([*section.tables, *section.more])
        for name, caption in {**section.pictures, **section.wide}.items():
            lines += [f"![{caption}](figures/{name}.png)", "", caption, ""]
    return "\n".join(lines)


def html(answers: Answers, sections: Sequence[Section], folder: Path) -> str:
    """The page as one HTML file that holds its pictures."""
    return template("report.html").render(
        answers=answers,
        sections=sections,
        the_report=THE_REPORT,
        in_short=in_short(answers),
        comparable=comparable(answers),
        how_judged=how_judged(answers),
        warning=quick_warning(answers) if answers.quick else "",
        symbols=SYMBOLS,
        most_parts=tables.MOST_PARTS,
        needed=tables.needed_to_judge,
        about_verdicts=notes.about_verdicts(answers),
        effect=effect,
        picture=lambda name: base64.b64encode(picture_file(folder, name).read_bytes()).decode(),
        identifier=lambda title: re.sub(r"\W+", "-", title.lower()).strip("-"),
    )
