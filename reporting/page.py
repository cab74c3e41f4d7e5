"""The report command: everything over several seeds, and a page that a person reads in five minutes.

The page is a list of sections (paragraphs, tables, figures), made once and written twice: report.md, and report.html
with its pictures inside, which needs nothing from outside.
"""

import base64
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import utilities
from common.files import UserError, read_json, write_json, write_text
from dataset import Data
from evaluation.statistics import FAILS, HOLDS, UNCLEAR, summary
from inference.attention import draw_attention
from reporting import tables
from reporting.table import Table, effect, in_markdown, markdown_table, markdown_tables, number
from studies.ablation import MEASURES
from studies.attention import attention_means, attention_of
from studies.claims import REPORTS_RATE, judge
from studies.figures import draw as draw_part3
from studies.figures import draw_classifier, draw_decoder
from studies.opponents import BASELINE_NAMES
from studies.part3 import explore
from studies.published import CLAIMS, REPORT_SENTENCE
from studies.study import NAMES, POSITIONS, Study, accuracies, plan
from training.runs import Place
from training.weights import load_model

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


# ------------------------------------------------------------------------------------------------------------ the runs
def report(
    study: Study, data: Data, place: Place, command: str, quick: bool, ablation: dict[str, Any] | None
) -> dict[str, Any]:
    """Run, or reuse, all that the page needs, and write results.json, report.md and report.html.

    `ablation`: the results of that command, which the page shows if there are any.
    """
    started = time.perf_counter()
    results: dict[str, Any] = {
        "command": "report",
        "command_line": command,
        "quick": quick,
        "data": describe(data),
        **explore(study, data, place),
    }
    results["attention"] = {kind: attention_of(results, kind, study, data, place) for kind in ("encoder", "decoder")}
    results["claims"] = judge(results)
    results["ablation"] = ablation
    results["training_seconds"] = sum(run["train_seconds"] for run in trainings(results))
    results["total_seconds"] = time.perf_counter() - started
    write_json(place.out / "results.json", results)
    draw(results, study, data, place)
    sections = compose(results, place.out / "figures")
    write_text(place.out / "report.md", markdown(results, sections))
    write_text(place.out / "report.html", html(results, sections))
    return results


def read_ablation(path: Path) -> dict[str, Any]:
    """The results of the ablation command; UserError if `path` holds something else."""
    found = read_json(path)
    if not isinstance(found, dict) or found.get("command") != "ablation":
        raise UserError(f"{path}: not the results of python main.py ablation; leave out --ablation, or name its file")
    if any(row["measure"] != MEASURES[row["task"]] for row in found["rows"]):
        raise UserError(f"{path}: of an earlier version, which measured otherwise; run python main.py ablation again")
    return found


def describe(data: Data) -> dict[str, Any]:
    """What the page says of the data."""
    corpus = data.corpus
    return {
        "directory": str(corpus.directory),
        "fingerprint": corpus.fingerprint,
        "built": (corpus.directory / "manifest.json").exists(),
        "class_names": corpus.class_names,
        "rows": {"train": len(corpus.train), "test": len(corpus.test), "seen": int(data.seen.sum())},
        "tokens": {
            name: len(stream.ids) for name, stream in [("train", data.train_stream), *data.test_streams.items()]
        },
        "n_truncated": {"train": data.train.n_truncated, "test": data.test.n_truncated},
    }


# --------------------------------------------------------------------------------------------------------- the figures
def draw(results: Mapping[str, Any], study: Study, data: Data, place: Place) -> None:
    """Every figure of the report, over all seeds; attention maps of the first seed that trained."""
    figures, classifier, decoder = place.out / "figures", results["classifier"], results["decoder"]
    draw_classifier(figures, classifier["learned"], results["baselines"], results["class_names"])
    draw_decoder(figures, decoder["learned"], results["baselines"]["ngram"], results.get("tokenizer", "word"))
    draw_part3(results, figures)
    seed = next((n for n, run in enumerate(classifier["learned"]) if run["trained"]), 0)
    for task, recipes, first_figure, chosen in (
        ("classifier", study.classifiers(), 2, study.seeds[seed]),
        ("decoder", study.decoders(), 6, study.seeds[0]),
    ):
        run = plan(task, {"learned": recipes["learned"]}, [chosen])[task, "learned", chosen]
        draw_attention(figures, load_model(place.weights(run)), REPORT_SENTENCE, first_figure)
    for kind in ("encoder", "decoder"):
        means = attention_means(results, kind)
        utilities.grid_figure(
            figures / f"attention_{kind}.png",
            {"mean distance, tokens": means["distance"], "entropy, nats": means["entropy"]},
            [str(layer + 1) for layer in range(len(means["distance"]))],
            [str(head + 1) for head in range(len(means["distance"][0]))],
            "layer",
            "head",
            f"Attention of the {kind} over the test set",
        )
    shown = tables.shown_texts(results)
    changes = [
        interval(f"{NAMES[row['variant']]}, {row['text']}", row["estimate"], ratio=True)
        for row in results["comparisons"]
        if row["task"] == "decoder" and row["base"] == "learned" and row.get("text") in shown
    ]
    label = "change of perplexity against learned positions (%)"
    utilities.interval_figure(
        figures / "changes_perplexity.png", changes, label, "What positions change", number="+.1f"
    )
    points = [
        interval(
            NAMES[row["variant"]] + ("" if row["base"] == "original" else f" (against {NAMES[row['base']]})"),
            row["estimate"],
            claim=2.0 if (row["variant"], row["base"]) == (REPORTS_RATE, "original") else None,
        )
        for row in results["comparisons"]
        if row["measure"] == "test accuracy" and row["rows"] == "all"
    ]
    label = "difference in test accuracy (points)"
    utilities.interval_figure(
        figures / "changes_accuracy.png", points, label, "What each variant changes", number="+.1f"
    )


def interval(
    name: str, estimate: Mapping[str, Any], ratio: bool = False, claim: float | None = None
) -> utilities.Interval:
    """A line of an interval figure; a ratio as a change in percent."""
    ends = (estimate["mean"], estimate["low"], estimate["high"])
    mean, low, high = (100 * (end - 1) if ratio and end is not None else end for end in ends)
    return utilities.Interval(name, mean, low, high, claim=claim)


# ------------------------------------------------------------------------------------------------------------ the page
def compose(results: Mapping[str, Any], figures: Path) -> list[Section]:
    """The sections below the verdicts."""
    variants = [name for name in results["classifier"] if name not in POSITIONS]
    texts = tables.shown_texts(results)[1:]

    def picture(name: str, caption: str, wide: bool = False) -> Picture:
        return Picture(figures / f"{name}.png", caption, wide)

    def maps(kind: str, first_figure: int) -> list[Picture]:
        depth = len(results["attention"][kind][0]["distance"])
        return [
            picture(
                f"figure{number}_{kind}_attention_layer{layer}",
                f"Figure {number}. {kind.capitalize()} attention, layer {layer}, one seed.",
            )
            for number, layer in enumerate(sorted({1, depth}), start=first_figure)
        ]

    sections = [
        Section(
            "Part 1: the classifier",
            [shared_rows(results)] if results["data"]["rows"]["seen"] else [],
            [tables.table1(results), tables.classifiers(results, ["learned"], "Beside the baselines")],
            [
                picture(
                    "figure1_accuracy", "Figure 1. Accuracy by epoch: mean over seeds, shaded from lowest to highest."
                ),
                *maps("encoder", 2),
                picture(
                    "attention_encoder", "Mean attention distance and entropy by layer and head, over the test set."
                ),
            ],
            [tables.table_by_class(results), tables.table_of_attention(results, "encoder")],
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
                picture("loss_by_position", "Loss by place in the window: what more context is worth."),
            ],
            [tables.table_of_attention(results, "decoder")],
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
                    "figure10_inference_length", "Figure 10. ALiBi: test perplexity by inference length.", wide=True
                ),
                picture(
                    "inference_length",
                    "Change of mean test perplexity with inference length: mean over seeds, shaded from lowest to "
                    "highest; dashed: with the control's window.",
                    wide=True,
                ),
                picture(
                    "changes_perplexity",
                    "Change of perplexity against learned positions, with 95% intervals.",
                    wide=True,
                ),
            ],
            [tables.steeper(results), *(tables.lengths(results, text) for text in texts)],
        ),
        Section(
            "Part 3: regularization",
            ["The rate of dropout is chosen on rows held out of the training file; the test set only measures."],
            [tables.validation(results), tables.classifiers(results, variants, "Classifier by regularization")],
            [
                picture(
                    "figure11_regularization",
                    "Figure 11. Accuracy of the original and the regularized classifier.",
                    wide=True,
                ),
                picture(
                    "changes_accuracy",
                    "Difference in test accuracy, with 95% intervals; hollow: as published.",
                    wide=True,
                ),
                picture("confusion", "Confusion matrix of the original classifier, all seeds together."),
            ],
        ),
    ]
    if results["ablation"]:
        words = ["What --recipe best loses, or gains, when one of its ingredients changes: python main.py ablation."]
        shown = tables.tables_of_ablation(results["ablation"])
        sections.append(Section("Ablation of the best recipe", words, shown))
    return [*sections, methods(results)]


def shared_rows(results: Mapping[str, Any]) -> str:
    rows = results["data"]["rows"]
    return (
        f"{rows['seen']:,} of the {rows['test']:,} test rows appear word for word in the training file: only the "
        "column 'unseen' says how well the classifier does on what it has not read."
    )


def methods(results: Mapping[str, Any]) -> Section:
    """What was run, where, and how to read it."""
    machines, data = results["machines"], results["data"]
    seeds = ", ".join(map(str, results["seeds"]))
    rows: list[list[str | None]] = [
        ["command", results["command_line"]],
        ["commit", ", ".join(dict.fromkeys(map(tables.commit, machines)))],
        ["data", f"{data['directory']} (SHA-256 of all files: {data['fingerprint'][:16]}\N{HORIZONTAL ELLIPSIS})"],
        [
            "rows",
            f"{data['rows']['train']:,} training, {data['rows']['test']:,} test; {', '.join(data['class_names'])}",
        ],
        [token_row(results), "; ".join(f"{name} {n:,}" for name, n in data["tokens"].items())],
        ["seeds", f"{seeds}: initialisation, order and dropout vary together, the same for every variant"],
        [
            "runs",
            f"{len(trainings(results))} trainings, {tables.threads(machines)} each: {training_minutes(results)} in "
            "training steps",
        ],
        ["machine", "; ".join(dict.fromkeys(f"{one['processor']}, {one['cores']} cores" for one in machines))],
        ["software", "; ".join(dict.fromkeys(f"Python {one['python']}, PyTorch {one['torch']}" for one in machines))],
        ["time", f"{results['total_seconds'] / 60:.1f} minutes, without what an earlier start had done already"],
    ]
    n_seeds = len(results["seeds"])
    paragraphs = [
        "An interval is a percentile bootstrap over paired seeds, widened for their small number: what other seeds "
        "might have given. 'Over test items' the pairs are the test rows, each with its mean over seeds: what other "
        "rows might have given. A run that ends at chance is counted like every other.",
        "A perplexity scores every token of a file once: nats are summed, divided once and exponentiated last.",
        "The parts by themselves: python main.py part1; python main.py part2; python main.py part3 --alibi --seeds "
        f"{n_seeds}; python main.py part3 --regularize --seeds {n_seeds}. An interrupted report goes on where it was "
        "when it is started again.",
    ]
    return Section("How this was made", paragraphs, [Table("What was run", ["", ""], rows)])


def token_row(results: Mapping[str, Any]) -> str:
    name = tables.token_of(results)
    return "tokens" if name == "word" else f"{name}s"


def trainings(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The records of all different trainings behind the page: two names may stand for the same one."""
    distinct: list[Sequence[Mapping[str, Any]]] = []
    for kind in ("classifier", "decoder", "validation"):
        for runs in results[kind].values():
            distinct += [] if runs in distinct else [runs]
    return [run for runs in distinct for run in runs]


def training_minutes(results: Mapping[str, Any]) -> str:
    return f"{results['training_seconds'] / 60:.0f} minutes"


def in_short(results: Mapping[str, Any]) -> list[str]:
    """What a reader should know after ten seconds."""
    unjudged = [name for name in CLAIMS if name not in {one["id"] for one in results["claims"]}]
    counts = {name: sum(one["verdict"] == name for one in results["claims"]) for name in (HOLDS, FAILS, UNCLEAR)}
    runs, tests = results["classifier"]["learned"], results["test_names"]
    group = "unseen" if 0 < results["data"]["rows"]["seen"] < results["data"]["rows"]["test"] else "all"
    rows = "test rows it has not seen" if group == "unseen" else "test rows"
    ours = summary(accuracies(runs, group)).mean
    bag = max(results["baselines"][name][group]["accuracy"] for name in BASELINE_NAMES)
    stuck = sum(not run["trained"] for run in runs)
    ngram, decoder = results["baselines"]["ngram"], results["decoder"]["learned"]
    wins = [text for text in tests if summary(tables.last(decoder, text)).mean < ngram[text]]
    lines = [
        f"Of the report's {len(CLAIMS)} claims, {counts[HOLDS]} hold, {counts[FAILS]} do not, and "
        f"{counts[UNCLEAR]} are undecided."
        + (f" {' and '.join(unjudged)}: not of this recipe, which has no place for batch norm." if unjudged else ""),
        f"The classifier gets {number(ours)}% of the {rows}; the best bag of words gets {number(bag)}%."
        + (f" {stuck} of {len(runs)} runs ended at chance." if stuck else ""),
        f"The decoder's perplexity is below a Kneser-Ney trigram's on {len(wins)} of {len(tests)} test texts.",
    ]
    control = next((one["note"] for one in results["claims"] if one["id"] == "C9"), "")
    mixture = tables.mixture(results["machines"])
    return [*lines, *filter(None, [control, mixture])]


COMPARABLE = (
    "Published numbers were measured on the data of the report's course. On other data their levels do not compare "
    "with ours; what a change of the model does to them may."
)


def markdown(results: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """The page as Markdown; pictures stand in figures/ beside it."""
    lines = ["# The report, run again", ""]
    lines += [f"**{quick_warning(results)}**", ""] if results["quick"] else []
    lines += [*(f"- {in_markdown(line)}" for line in in_short(results)), "", COMPARABLE, "", "## Verdicts", ""]
    lines += [markdown_table(tables.verdicts(results["claims"])), ""]
    for one in results["claims"]:
        lines += [f"**{one['id']}: {one['verdict']}.** {' '.join(filter(None, [one['note'], one['rule']]))}", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.paragraphs:
            lines += [paragraph, ""]
        lines += markdown_tables([*section.tables, *section.more])
        for picture in section.pictures:
            lines += [f"![{picture.caption}](figures/{picture.path.name})", "", picture.caption, ""]
    return "\n".join(lines)


def quick_warning(results: Mapping[str, Any]) -> str:
    epochs = len(results["classifier"]["learned"][0]["epochs"])
    iterations = results["decoder"]["learned"][0]["iterations"][-1]["iteration"]
    return (
        f"This is the quick version: a third of the data, {tables.n_seeds(results)}, {epochs} "
        f"epoch{'s' if epochs > 1 else ''}, {iterations} iterations. It shows that everything works; its numbers and "
        "verdicts mean nothing. The real one: python main.py report --seeds 5"
    )


def html(results: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """The page as one HTML file that holds its pictures."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        results=results,
        sections=sections,
        in_short=in_short(results),
        comparable=COMPARABLE,
        warning=quick_warning(results) if results["quick"] else "",
        n_trainings=len(trainings(results)),
        symbols=SYMBOLS,
        most_parts=tables.MOST_PARTS,
        effect=effect,
        picture=lambda path: base64.b64encode(path.read_bytes()).decode(),
        identifier=lambda title: re.sub(r"\W+", "-", title.lower()).strip("-"),
    )


def report_text(results: Mapping[str, Any]) -> str:
    """What the command prints."""
    lines = [quick_warning(results), ""] if results["quick"] else []
    lines += [f"{one['id']:4} {one['verdict']:14} {one['claim']}" for one in results["claims"]]
    return "\n".join([*lines, "", *in_short(results), f"It took {results['total_seconds'] / 60:.1f} minutes."])
