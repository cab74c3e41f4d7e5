"""The report command: everything over several seeds, with its figures."""

import time
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import asdict, replace

import utilities
from common.files import UserError, read_as, refused, write_json
from dataset import Data
from inference.attention import draw_attention
from speechesdataset.folder import TRAINING
from studies.attention import attention_means
from studies.claims import REPORTS_VARIANT, judge
from studies.faithfulness import faithfulness
from studies.figures import VARIANTS, draw_classifier, draw_decoder, draw_knockouts, few, interval
from studies.figures import draw as draw_part3
from studies.knockouts import knock_out
from studies.part3 import explore
from studies.published import on_reports_speakers, sentence_of
from studies.results import (
    AblationResults,
    CompareResults,
    Exploration,
    Kind,
    ReportResults,
    perplexities,
)
from studies.study import NAMES, Study
from training.recipe import Task
from training.runs import Folder
from training.weights import TrainedModel, load_model

KINDS: tuple[Kind, ...] = ("encoder", "decoder")


def report(
    study: Study,
    data: Data,
    folder: Folder,
    command_line: str,
    commands: dict[str, str],
    quick: bool,
    ablation: AblationResults | None,
) -> ReportResults:
    """Run, or reuse, all that the report's page needs; write results.json and draw the figures.

    `commands` make it and its parts again, by name. `ablation`: the results of that command, which the page shows if
    there are any.
    """
    started = time.perf_counter()
    found = explore("report", study, data, folder, attention=True)
    shown = shown_models(found, study, folder)
    found = replace(found, knockouts=[knock_out(one, data) for one in shown.values()])
    results = ReportResults(
        **asdict(found),
        command_line=command_line,
        commands=commands,
        quick=quick,
        tokens={name: len(one.ids) for name, one in {TRAINING: data.train_stream, **data.test_streams}.items()},
        claims=judge(found),
        ablation=ablation,
        faithfulness=faithfulness(shown["classifier"], data),
        training_seconds=sum(run.train_seconds for run in found.trainings()),
        total_seconds=time.perf_counter() - started,
    )
    write_json(folder.path / "results.json", results)
    draw_maps(results, shown, folder.path / "figures", sentence_of(data.corpus))
    draw(results, folder.path / "figures")
    return results


def read_ablation(path: Path) -> AblationResults:
    """The results of the ablation command; UserError if `path` holds something else."""
    hint = "not the results of python main.py ablation; leave out --ablation, or name its file"
    found = read_as(path, AblationResults, hint)
    if found.command != "ablation":
        raise UserError(f"{path}: {hint}")
    with refused(path, hint):
        for one in found.tasks:
            check_answer(one, len(found.seeds))
    return found


def check_answer(found: CompareResults, n_seeds: int) -> None:
    """ValueError where the variants, their runs and their values do not agree, or some are missing."""
    if not found.variants or not found.machines:
        raise ValueError("no variants, or no machine that trained them")
    for row in found.variants:
        runs = found.runs().get(row.name, [])
        if not len(runs) == len(row.values) == n_seeds > 0:
            raise ValueError(f"{len(runs)} runs and {len(row.values)} values of {row.name!r} for {n_seeds} seeds")
    for opponent in found.opponents:
        if not opponent.values:
            raise ValueError(f"no value of {opponent.name!r}")


def shown_models(results: Exploration, study: Study, folder: Folder) -> dict[Task, TrainedModel]:
    """Of each task the model with learned positions of the first seed that trained: its maps are drawn, and it is asked
    what it loses without its parts."""
    trained = next((n for n, run in enumerate(results.classifier["learned"]) if run.trained), 0)
    seeds: dict[Task, int] = {"classifier": trained, "decoder": 0}
    models = {}
    for task, n in seeds.items():
        run = study.runs({(task, "learned"): n + 1})[task, "learned", study.seeds[0] + n]
        models[task] = load_model(folder.weights(run), task)
    return models


def draw_maps(results: ReportResults, models: Mapping[Task, TrainedModel], figures: Path, sentence: str) -> None:
    """Figures 2, 3, 6 and 7: attention maps."""
    first_figure: dict[Task, int] = {"classifier": 2, "decoder": 6}
    for task, trained in models.items():
        draw_attention(figures, trained, sentence, first_figure[task], results.labels[task])


def draw(results: ReportResults, figures: Path) -> None:
    """Every other figure, over all seeds: what they show stands in the results."""
    classifier, decoder, labels = results.classifier, results.decoder, results.labels
    ngram = perplexities(results.ngram_scores)["ngram"]
    draw_classifier(figures, classifier["learned"], results.baselines, results.data.class_names, labels["classifier"])
    draw_decoder(figures, decoder["learned"], ngram, labels["decoder"], results.tokenizer)
    draw_part3(results, figures)
    for kind in KINDS:
        label = labels["classifier"] if kind == "encoder" else labels["decoder"]
        means = attention_means(results.attention[kind])
        utilities.grid_figure(
            figures / f"attention_{kind}.png",
            {"mean distance, tokens": means.distance, "entropy, nats": means.entropy},
            [str(layer + 1) for layer in range(len(means.distance))],
            [str(head + 1) for head in range(len(means.distance[0]))],
            "layer",
            "head",
            f"Attention of the {kind} over the test set\n{label}",
        )
    for found in results.knockouts:
        draw_knockouts(figures / f"knockouts_{found.task}.png", found)
    shown = ["train", *few(ngram)]
    changes = [
        interval(f"{NAMES[row.variant]}, {row.text}", row.estimate, ratio=True, color=VARIANTS[row.variant])
        for row in results.find(task="decoder", base="learned", measure="perplexity")
        if row.text in shown
    ]
    label = "change of perplexity against learned positions (%)"
    utilities.interval_figure(
        figures / "changes_perplexity.png",
        changes,
        label,
        f"What positions change\n{labels['decoder']}",
        number="+.1f",
    )
    published = {(REPORTS_VARIANT, "original"): 2.0} if on_reports_speakers(results) else {}
    points = [
        interval(
            NAMES[row.variant] + ("" if row.base == "original" else f" (against {NAMES[row.base]})"),
            row.estimate,
            claim=published.get((row.variant, row.base)),
            color=VARIANTS[row.variant],
        )
        for row in results.find(measure="test accuracy", rows="all")
    ]
    label = "difference in test accuracy (points)"
    utilities.interval_figure(
        figures / "changes_accuracy.png",
        points,
        label,
        f"What each variant changes\n{labels['classifier']}",
        number="+.1f",
    )
