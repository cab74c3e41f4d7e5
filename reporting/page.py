"""The report's page, which a person reads in five minutes.

It is a list of sections (paragraphs, tables, figures), made once and written twice: report.md, and report.html with its
pictures inside, which needs nothing from outside.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from studies.comparisons import defined
from studies.results import Kind, ReportResults, accuracies, last_perplexities
from studies.study import POSITIONS

from common.files import write_text
from common.wording import counted, duration
from evaluation import statistics
from evaluation.statistics import FAILS, HOLDS, UNCLEAR, summary
from reporting import comparison, tables
from reporting.html import template
from reporting.knockouts import faithfulness_tables, knockouts_table
from reporting.table import (
    Item,
    Table,
    effect,
    in_markdown,
    markdown_table,
    markdown_tables,
    number,
    terminal_text,
    words,
)
from reporting.wording import from_here, took
from studies.catalogue.published import CLAIMS, THE_REPORT, claims_on, on_reports_speakers
from training.recipe import Task
from training.records import Group

HOLLOW = "hollow where the interval reaches 0"
SYMBOLS = {HOLDS: "\N{CHECK MARK}", FAILS: "\N{MULTIPLICATION SIGN}", UNCLEAR: "?"}


@dataclass(frozen=True)
class Picture:
    """A figure with the words below it."""

    path: Path
    caption: str
    wide: bool = False  # has several panels


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    more: Sequence[Table] = field(default=())  # tables for who wants to know more: folded away on the page


# ------------------------------------------------------------------------------------------------------------ the page
def write_page(results: ReportResults, folder: Path) -> None:
    """Write report.md and report.html, which show the pictures in the folder's figures/."""
    sections = [
        replace(section, pictures=[one for one in section.pictures if one.path.exists()])  # no weights: no maps
        for section in compose(results, folder / "figures")
    ]
    write_text(folder / "report.md", markdown(results, sections))
    write_text(folder / "report.html", html(results, sections))


def compose(results: ReportResults, figures: Path) -> list[Section]:
    """The sections below the verdicts."""
    variants = [name for name in results.classifier if name not in POSITIONS]
    texts = tables.shown_texts(results)[1:]
    cross = "; cross: as published" if on_reports_speakers(results) else ""

    def picture(name: str, caption: str, wide: bool = False) -> Picture:
        return Picture(figures / f"{name}.png", caption, wide)

    def maps(kind: Kind, first_figure: int) -> list[Picture]:
        depth = len(results.attention[kind][0].distance)
        return [
            picture(
                f"figure{number}_{kind}_attention_layer{layer}",
                f"Figure {number}. {kind.capitalize()} attention, layer {layer}, one seed.",
            )
            for number, layer in enumerate(sorted({1, depth}), start=first_figure)
        ]

    def costs(task: Task) -> list[Picture]:
        asked = any(one.task == task for one in results.knockouts)
        return [picture(f"knockouts_{task}", "What that model loses without each of its parts.")] if asked else []

    sections = [
        Section(
            "Part 1: the classifier",
            [shared_rows(results)] if results.data.seen_rows else [],
            [tables.table1(results), tables.classifiers(results, ["learned"], "Beside the baselines")],
            [
                picture(
                    "figure1_accuracy", "Figure 1. Accuracy by epoch: mean over seeds, shaded from lowest to highest."
                ),
                *maps("encoder", 2),
                picture(
                    "attention_encoder", "Mean attention distance and entropy by layer and head, over the test set."
                ),
                *costs("classifier"),
            ],
            [
                tables.table_by_class(results),
                tables.table_of_attention(results, "encoder"),
                *causes(results, "classifier"),
            ],
        ),
        Section(
            "Part 2: the decoder",
            [],
            [tables.table2(results), tables.table3(results), tables.table_of_texts(results)],
            [
                picture("figure4_training_perplexity", "Figure 4. Training perplexity by iteration."),
                picture("figure5_test_perplexity", "Figure 5. Test perplexity by iteration; dotted: the trigram."),
                *maps("decoder", 6),
                picture(
                    "attention_decoder", "Mean attention distance and entropy by layer and head, over the test texts."
                ),
                *costs("decoder"),
            ],
            [tables.table_of_attention(results, "decoder"), *causes(results, "decoder")],
        ),
        Section(
            "Part 3: positions",
            ["Learned positions, ALiBi, and, as the control, none at all: the same code, recipe and seeds."],
            [
                tables.times(results, "classifier"),
                tables.times(results, "decoder"),
                tables.classifiers(results, POSITIONS, "Classifier by position method"),
                tables.decoders(results),
                tables.lengths(results),
            ],
            [
                picture("figure8_test_accuracy_positions", "Figure 8. Test accuracy by epoch and position method."),
                picture(
                    "figure9_perplexity_positions", "Figure 9. Train and test perplexity by position method.", wide=True
                ),
                picture(
                    "figure10_inference_length",
                    "Figure 10. ALiBi: how test perplexity by iteration changes with the inference length; shaded from "
                    "the lowest to the highest seed.",
                    wide=True,
                ),
                picture(
                    "loss_by_position",
                    "What the other position methods change at each place in the window, against learned positions of "
                    "the same seed: what more context is worth to each.",
                    wide=True,
                ),
                picture(
                    "inference_length",
                    "Change of mean test perplexity with inference length: mean over seeds, shaded from lowest to "
                    "highest; dashed: with the control's window.",
                    wide=True,
                ),
                picture(
                    "changes_perplexity",
                    f"Change of perplexity against learned positions, {tables.intervals(results)}; {HOLLOW}.",
                    wide=True,
                ),
            ],
            [tables.steeper(results), *(tables.lengths(results, text) for text in texts)],
        ),
        Section(
            "Part 3: regularization",
            ["Rates of dropout are compared on rows held out of the training file."],
            [tables.validation(results), tables.classifiers(results, variants, "Classifier by regularization")],
            [
                picture(
                    "figure11_regularization",
                    "Figure 11. Accuracy of the original and the regularized classifier.",
                    wide=True,
                ),
                picture(
                    "changes_accuracy",
                    f"Difference in test accuracy, {tables.intervals(results)}; {HOLLOW}{cross}.",
                    wide=True,
                ),
                picture("confusion", "Confusion matrix of the original classifier, all seeds together."),
            ],
        ),
    ]
    if results.ablation:
        words = ["What --recipe best loses, or gains, when one of its ingredients changes: python main.py ablation."]
        shown = comparison.tables_of_ablation(results.ablation)
        sections.append(Section("Ablation of the best recipe", words, shown))
    return [*sections, methods(results)]


def causes(results: ReportResults, task: Task) -> list[Table]:
    """What one seed's model loses without each of its parts; and of a classifier whether the words that an explanation
    names decide."""
    found = [knockouts_table(one) for one in results.knockouts if one.task == task]
    if task == "classifier" and results.faithfulness:
        found += faithfulness_tables(results.faithfulness)
    return found


def shared_rows(results: ReportResults) -> str:
    data = results.data
    return (
        f"{data.seen_rows:,} of the {data.test_rows:,} test rows appear word for word in the training file: only the "
        "column 'unseen' says how well the classifier does on what it has not read."
    )


def methods(results: ReportResults) -> Section:
    """What was run, where, and how to read it."""
    machines, data = results.machines, results.data
    seeds, more = ", ".join(map(str, results.seeds)), most_seeds(results)
    added = f"; up to {more} where fewer could not tell" if more > len(results.seeds) else ""
    rows: list[list[str | None]] = [
        ["command", results.command_line],
        ["commit", ", ".join(dict.fromkeys(map(tables.commit, machines)))],
        ["data", f"{from_here(data.folder)} (SHA-256 of all files: {data.fingerprint[:16]}\N{HORIZONTAL ELLIPSIS})"],
        [
            "rows",
            f"{data.train_rows:,} training, {data.test_rows:,} test; {', '.join(data.class_names)}",
        ],
        [token_row(results), "; ".join(f"{name} {n:,}" for name, n in results.tokens.items())],
        ["models", "; ".join(f"{task}: {label}" for task, label in results.labels.items())],
        ["seeds", f"{seeds}{added}: initialisation, order and dropout vary together, the same for every variant"],
        [
            "runs",
            f"{len(results.trainings())} trainings, {tables.threads(machines)} each: {training_minutes(results)} in "
            "training steps",
        ],
        ["machine", "; ".join(dict.fromkeys(f"{one.processor}, {one.cores} cores" for one in machines))],
        ["software", "; ".join(dict.fromkeys(f"Python {one.python}, PyTorch {one.torch}" for one in machines))],
        ["time", f"{duration(results.total_seconds)}, without what an earlier start had done already"],
    ]
    paragraphs = [
        "An interval is Student's t over paired seeds, and says what other seeds might have given; of accuracies and "
        "test perplexities it says what other seeds and other test rows might have given at once, the two sources of "
        "chance crossed. Rows are taken by stretches of neighbours, which are alike. Folds share training rows, which "
        "makes theirs wider (Nadeau and Bengio 2003).",
        "A perplexity scores every token of a file once: nats are summed, divided once and exponentiated last.",
        f"The parts by themselves: {'; '.join(results.commands[part] for part in ('part1', 'part2', 'part3'))}. An "
        "interrupted report goes on where it was when it is started again.",
    ]
    return Section("How this was made", paragraphs, [Table("What was run", words("", ""), rows)])


def most_seeds(results: ReportResults) -> int:
    """How many seeds the variant has that took the most."""
    return max(len(runs) for variants in results.kinds().values() for runs in variants.values())


def token_row(results: ReportResults) -> str:
    return "tokens" if results.tokenizer == "word" else f"{tables.token_of(results)}s"


def training_minutes(results: ReportResults) -> str:
    return f"{results.training_seconds / 60:.0f} minutes"


def in_short(results: ReportResults) -> list[str]:
    """What a reader should know after ten seconds."""
    claims = claims_on(results)
    counts = {name: sum(one.verdict == name for one in results.claims) for name in (HOLDS, FAILS, UNCLEAR)}
    runs, tests = results.classifier["learned"], results.test_names
    group: Group = "unseen" if 0 < results.data.seen_rows < results.data.test_rows else "all"
    rows = "test rows it has not seen" if group == "unseen" else "test rows"
    ours = summary(accuracies(runs, group)).mean
    bag = max(defined(results.baselines[name][group].accuracy for name in results.baselines))
    stuck = sum(not run.trained for run in runs)
    ngram, decoder = results.ngram_scores["ngram"], results.decoder["learned"]
    wins = [text for text in tests if summary(last_perplexities(decoder, text)).mean < ngram[text].perplexity]
    which = f"report's {len(claims)} claims"
    if len(claims) < len(CLAIMS):
        which = f"{len(claims)} claims that can be judged on these texts"
    verdicts = f"Of the {which}, {counts[HOLDS]} hold, {counts[FAILS]} do not, and {counts[UNCLEAR]} are undecided."
    verdicts += "".join(f" {names}: {reason}." for reason, names in unjudged(results).items())
    lines = [
        f"The classifier gets {number(ours)}% of the {rows}; the best model that counts words gets {number(bag)}%."
        + (f" {stuck} of {len(runs)} runs ended at chance." if stuck else ""),
        f"The decoder's perplexity is below a Kneser-Ney trigram's on {len(wins)} of {len(tests)} test texts.",
    ]
    control = next((one.note for one in results.claims if one.id == "C9"), "")
    mixture = tables.mixture(results.machines)
    if results.quick:
        return [*lines, *filter(None, [mixture])]
    return [verdicts, *lines, *filter(None, [control, mixture])]


def unjudged(results: ReportResults) -> dict[str, str]:
    """The claims without a verdict, "C11 and C12", by the reason."""
    found: dict[str, list[str]] = {}
    judged = [one.id for one in results.claims]
    for name in (name for name in claims_on(results) if name not in judged):
        alone = name == "C4" and len(results.test_names) == 1
        reason = "there is one test text alone" if alone else "not of this recipe, which has no place for batch norm"
        found.setdefault(reason, []).append(name)
    return {reason: " and ".join(names) for reason, names in found.items()}


def comparable(results: ReportResults) -> str:
    """What the published numbers are to these data."""
    if on_reports_speakers(results):
        return (
            "Published numbers were measured on the data of the report's course. On other data their levels do not "
            "compare with ours; what a change of the model does to them may."
        )
    *others, last = [name for name in CLAIMS if name not in claims_on(results)]
    return (
        "These are not the report's texts: nothing that it published stands beside the results, and the claims that "
        f"quote a size measured on its own data ({', '.join(others)} and {last}) are not judged."
    )


def how_judged(results: ReportResults) -> str:
    """What makes a verdict, or why the quick report has none."""
    if not results.quick:
        return statistics.how_judged(results.confidence)
    epochs = len(results.classifier["learned"][0].epochs)
    return (
        "The report's claims are not judged here: models that have read a third of the data for "
        f"{counted(epochs, 'epoch')} say nothing about them."
    )


def markdown(results: ReportResults, sections: Sequence[Section]) -> str:
    """The page as Markdown; pictures stand in figures/ beside it."""
    lines = ["# The report, run again", "", THE_REPORT, ""]
    lines += [f"**{quick_warning(results)}**", ""] if results.quick else []
    lines += [*(f"- {in_markdown(line)}" for line in in_short(results)), "", comparable(results), "", "## Verdicts", ""]
    lines += [how_judged(results), ""]
    if not results.quick:
        lines += [markdown_table(tables.verdicts(results)), "", in_markdown(tables.note_of_verdicts(results)), ""]
    for one in () if results.quick else results.claims:
        lines += [
            f"**{one.id}: {one.verdict}.** {in_markdown(' '.join(filter(None, [one.note, one.rule])))}",
            "",
        ]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.paragraphs:
            lines += [in_markdown(paragraph), ""]
        lines += markdown_tables([*section.tables, *section.more])
        for picture in section.pictures:
            lines += [f"![{picture.caption}](figures/{picture.path.name})", "", picture.caption, ""]
    return "\n".join(lines)


def quick_warning(results: ReportResults) -> str:
    epochs = len(results.classifier["learned"][0].epochs)
    iterations = results.decoder["learned"][0].iterations[-1].iteration
    return (
        f"This is the quick version: a third of the data, {tables.n_seeds(results.seeds)}, "
        f"{counted(epochs, 'epoch')}, {iterations} iterations. It shows that everything works; its numbers mean "
        f"nothing, and it judges no claim. The real one: {results.commands['report']}"
    )


def html(results: ReportResults, sections: Sequence[Section]) -> str:
    """The page as one HTML file that holds its pictures."""
    return template("report.html").render(
        results=results,
        sections=sections,
        the_report=THE_REPORT,
        in_short=in_short(results),
        comparable=comparable(results),
        how_judged=how_judged(results),
        warning=quick_warning(results) if results.quick else "",
        n_trainings=len(results.trainings()),
        symbols=SYMBOLS,
        most_parts=tables.MOST_PARTS,
        behind=tables.behind,
        to_tell=tables.to_tell,
        note_of_verdicts=tables.note_of_verdicts(results),
        effect=effect,
        picture=lambda path: base64.b64encode(path.read_bytes()).decode(),
        identifier=lambda title: re.sub(r"\W+", "-", title.lower()).strip("-"),
    )


def report_text(results: ReportResults) -> str:
    """What the command prints."""
    return terminal_text(
        *([quick_warning(results), ""] if results.quick else []),
        *(Item(f"{one.id:4} {one.verdict:14} ", one.claim) for one in results.claims if not results.quick),
        *([] if results.quick else [""]),
        *in_short(results),
        took(results.total_seconds),
    )
