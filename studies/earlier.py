"""Results that an earlier version of the report command wrote, read as today's.

Commit 20e5204 and those before it named one machine for all runs, timed chunks of a training instead of steps, and kept
neither the class of each test row nor what each line of a text costs. Comparisons and verdicts are made anew from the
runs, by today's statistics; where those would look at rows and lines, too, the intervals are over seeds alone.
"""

import shlex
from pathlib import Path
from statistics import mode
from typing import Literal

import msgspec
from msgspec.structs import replace

from common.files import UserError, read_text, refused
from common.records import Count, Record
from evaluation.accuracy import PLATEAU_MARGIN
from evaluation.records import LanguageScores
from studies.claims import judge
from studies.comparisons import Rows, compare
from studies.results import Group, GroupAccuracy, Half, Kind, ReportResults
from studies.study import POSITIONS, STEEP
from training.recipe import Task
from training.records import Epoch

Runs = dict[str, list[dict[str, object]]]  # by variant, a run for each seed
HINT = "not the results of python main.py report"


class Head(Record, frozen=True):
    """What tells whose results a file holds."""

    command: str | None = None
    machine: dict[str, object] | None = None  # one for all runs: of an earlier version


class EarlierData(Record, frozen=True):
    """What was said of the data."""

    directory: str
    fingerprint: str
    class_names: list[str]
    rows: dict[Literal["train", "test", "seen"], Count]
    tokens: dict[str, Count]


class EarlierTiming(Record, frozen=True):
    """Seconds of each timed chunk of a training, by variant."""

    n_steps: Count
    n_steps_of_a_training: Count
    threads: Count
    seconds: dict[str, list[float]]


class EarlierResults(Record, frozen=True):
    """What results.json held."""

    command_line: str
    machine: dict[str, object]  # of all runs
    data: EarlierData
    recipe: str
    seed: int
    seeds: list[int]
    vocabulary_size: Count
    test_names: list[str]
    block_size: Count
    halves: list[Half]
    classifier: Runs
    decoder: Runs
    validation: Runs
    baselines: dict[str, dict[str, GroupAccuracy | float]]
    ngram_scores: dict[str, dict[str, LanguageScores]]
    timing: dict[Task, EarlierTiming]
    extrapolation: dict[str, list[list[dict[str, object]]]]
    chosen_rate: str | None
    attention: dict[Kind, list[dict[str, object]]]
    training_seconds: float
    total_seconds: float


def read_report(path: Path) -> ReportResults:
    """The results of the report command, of this version or an earlier one; UserError for anything else."""
    text = read_text(path)
    with refused(path, HINT):
        head = msgspec.json.decode(text, type=Head)
        if head.command != "report":
            raise UserError(f"of the command {head.command!r}")
        if head.machine is None:
            return msgspec.json.decode(text, type=ReportResults)
        return of_today(msgspec.json.decode(text, type=EarlierResults))


def of_today(old: EarlierResults) -> ReportResults:
    """The same runs, compared and judged as today."""
    data, machine = old.data, {**old.machine, "dirty": None, "code": ""}
    of_width = {name: own[0].get("ff_dim") for name, own in old.decoder.items() if name not in (*POSITIONS, STEEP)}
    widths = msgspec.convert(of_width, dict[str, Count])

    def on_it(kept: Runs) -> Runs:
        return {name: [{**run, "machine": machine} for run in own] for name, own in kept.items()}

    groups: tuple[Group, ...] = ("all", "seen", "unseen")
    found = msgspec.convert(
        {
            **msgspec.to_builtins(old),
            "command": "report",
            "commands": {
                part: f"python main.py {part} --data-dir {shlex.quote(data.directory)}"
                for part in ("part1", "part2", "part3", "report")
            },
            "labels": {"classifier": f"{old.recipe} recipe", "decoder": f"{old.recipe} recipe"},
            "data": {
                "folder": data.directory,
                **{f"{name}_rows": n for name, n in data.rows.items()},
                "class_names": data.class_names,
                "fingerprint": data.fingerprint,
            },
            "tokens": data.tokens,
            "machines": [machine],
            "classifier": on_it(at_chance(old.classifier, old.classifier)),
            "decoder": on_it(old.decoder),
            "validation": on_it(at_chance(old.validation, old.classifier)),
            "widths": sorted(widths, key=widths.__getitem__, reverse=True),
            "baselines": {
                name: msgspec.to_builtins(found) for name, found in old.baselines.items() if found.keys() == {*groups}
            },
            "timing": {task: of_steps(timed) for task, timed in old.timing.items()},
            "quick": False,
            "ablation": None,
            "comparisons": [],
            "claims": [],
        },
        ReportResults,
    )
    found = replace(found, comparisons=compare(found, Rows([], [], [])))
    return replace(found, claims=judge(found))


def at_chance(classifiers: Runs, every_epoch: Runs) -> Runs:
    """The runs, and whether each has trained: then, one that fell back to its plateau was not told from one that did.

    On the plateau a run is right on the rows of the largest class alone. Many begin there: that share is the training
    accuracy that runs which measured `every_epoch` had most often after their first.
    """
    largest = mode(accuracies(run)[0] for own in every_epoch.values() for run in own)
    found: Runs = {}
    for name, own in classifiers.items():
        above = [[one > largest + PLATEAU_MARGIN for one in accuracies(run)] for run in own]
        found[name] = [
            {**run, "trained": epochs[-1], "fell_back": any(epochs) and not epochs[-1]}
            for run, epochs in zip(own, above)
        ]
    return found


def accuracies(run: dict[str, object]) -> list[float]:
    """On the training rows, by epoch."""
    return [row.train_accuracy for row in msgspec.convert(run.get("epochs"), list[Epoch])]


def of_steps(timed: EarlierTiming) -> dict[str, object]:
    """Times of chunks as times of their mean step; the processor's were not kept."""
    seconds = {name: [one / timed.n_steps for one in own] for name, own in timed.seconds.items()}
    return {**msgspec.to_builtins(timed), "seconds": seconds, "processor_seconds": {}}
