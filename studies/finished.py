"""The finished runs below a folder: their curves, and the settings in which they differ."""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.files import UserError, read_as
from training.records import ClassifierRun, DecoderRun

HINT = "not a whole record; delete it"
NO_SETTINGS = ("name", "seed", "fold", "brief", "lengths")  # of a run


@dataclass(frozen=True)
class Curve:
    """A measure over a training, of runs that differ in their seed alone."""

    x: list[int]  # epochs or iterations
    runs: list[list[float]]  # a list of as many values a run


@dataclass(frozen=True)
class Finished:
    """Runs that differ in their seed alone."""

    name: str  # the folder and the name: "part2/decoder-ff256"
    settings: dict[str, object]
    curves: dict[str, Curve]  # by measure


def finished_runs(folder: Path) -> list[Finished]:
    """All runs below a folder whose records are whole."""
    groups: dict[tuple[str, str], list[ClassifierRun | DecoderRun]] = {}
    for path in sorted(folder.rglob("runs/*.json")):
        if record := whole_record(path):
            place = path.parent.parent.relative_to(folder) / re.sub(r"-seed-?\d+$", "", path.stem)
            groups.setdefault((place.as_posix(), json.dumps(settings(record))), []).append(record)
    return [Finished(name, settings(runs[0]), curves(runs)) for (name, _), runs in groups.items()]


def whole_record(path: Path) -> ClassifierRun | DecoderRun | None:
    """The record in a file; None if it holds something else."""
    with contextlib.suppress(UserError):
        return read_as(path, ClassifierRun, HINT)
    with contextlib.suppress(UserError):
        return read_as(path, DecoderRun, HINT)
    return None


def settings(record: ClassifierRun | DecoderRun) -> dict[str, object]:
    """What a run was trained with, by name, but for its seed."""
    return flat(record.identity.get("run")) | {"data": str(record.identity.get("data", ""))[:8]}


def flat(found: object, name: str = "") -> dict[str, object]:
    """The leaves of a record in records, by their own names."""
    if not isinstance(found, Mapping):
        return {name: found}
    parts = [flat(value, key) for key, value in found.items() if key not in NO_SETTINGS]
    return {key: value for part in parts for key, value in part.items()}


def curves(runs: Sequence[ClassifierRun | DecoderRun]) -> dict[str, Curve]:
    """What was measured on the way."""
    rows = [measured(run) for run in runs]
    return {
        name: Curve([x for x, _ in first], [[y for _, y in row[name]] for row in rows])
        for name, first in rows[0].items()
    }


def measured(run: ClassifierRun | DecoderRun) -> dict[str, list[tuple[int, float]]]:
    """By measure, the epochs or iterations and the values."""
    if isinstance(run, ClassifierRun):
        return {
            "test accuracy": [(row.epoch, row.test_accuracy) for row in run.epochs],
            "train accuracy": [(row.epoch, row.train_accuracy) for row in run.epochs],
            "train loss": [(row.epoch, row.train_loss) for row in run.epochs],
        }
    texts = run.iterations[0].perplexity
    return {
        f"perplexity, {text}": [(row.iteration, row.perplexity[text]) for row in run.iterations] for text in texts
    } | {"train loss": [(row.iteration, row.train_loss) for row in run.iterations]}


def differences(runs: Sequence[Finished]) -> dict[str, list[object]]:
    """The settings in which some of the runs differ, and the value of each; None where a run has no such setting."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    found = {name: [run.settings.get(name) for run in runs] for name in names}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}
