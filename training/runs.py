"""A run, trained once: its record is kept, so what is finished is not trained twice and what was stopped goes on."""

import itertools
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import torch
from msgspec.structs import asdict as fields_of
from msgspec.structs import replace

from common.checks import other_run
from common.files import UserError, read_sealed, read_text, resolved, write_json, write_sealed, write_text
from common.locks import FolderLock
from dataset import Data, without_fold
from tokenizer import WORDS
from training.checkpoint import Checkpoints
from training.kinds import KINDS
from training.loop import Diverged, train
from training.machine import machine
from training.processes import process
from training.recipe import Run
from training.records import DivergedRun, Measurement, TrainedRun
from training.weights import count_parameters, save_model

Content = TypeVar("Content")
Trained = TypeVar("Trained", bound=TrainedRun)


@dataclass(frozen=True)
class Folder:
    """Where runs are kept and on what they are computed."""

    path: Path
    device: torch.device
    lock: FolderLock | None = field(default=None, compare=False, repr=False)  # that this process alone writes there
    cluster: bool = False  # whether runs are trained on the cluster that this process has joined (studies/cluster.py)

    def __reduce__(self) -> tuple[type["Folder"], tuple[Path, torch.device]]:
        """What workers get: the lock stays with the process that holds it."""
        return Folder, (self.path, self.device)

    def weights(self, run: Run) -> Path:
        return self.path / f"{run.name}.safetensors"

    def record(self, run: Run) -> Path:
        return self.path / "runs" / f"{run.name}.json"

    def diverged(self, run: Run) -> Path:
        """The record of a run that diverged, in place of the other."""
        return self.path / "runs" / f"{run.name}.diverged.json"

    def checkpoint(self, run: Run) -> Path:
        return self.path / "runs" / f"{run.name}.checkpoint.safetensors"


def open_folder(out: Path, device: torch.device, settings: Mapping[str, object], resume: bool | None) -> Folder:
    """A folder for runs in which no other process writes as long as the object is kept; UserError, which says who does,
    if one does already. config.json says what is run there.

    Runs that a folder already holds are never written over. `resume`: False, the whole folder is set aside under the
    next free number; True, its unfinished runs are gone on with; None, its runs are used where they are wanted.
    """
    for name in ("config.json", "results.json", "metrics.jsonl"):
        if (out / name).is_dir():
            raise UserError(f"{out / name}: a folder is in the place of a file; move it, or take another --out")
    is_set_aside = resume is False and (out / "config.json").exists()
    if is_set_aside and Path.cwd().is_relative_to(resolved(out)):
        remedy = "use --resume, take another --out, or start from another folder"
        raise UserError(f"{out}: holds earlier runs, and the working folder cannot be set aside; {remedy}")
    folder = Folder(out, device, FolderLock(out))
    for leftover in out.rglob(".*.tmp") if resume else ():  # of a process that was killed while it wrote
        leftover.unlink()
    if is_set_aside:
        number = next(n for n in itertools.count(1) if not Path(f"{out}.{n}").exists())
        out.rename(f"{out}.{number}")
        print(f"{out}: the earlier run that was there is now {out}.{number}", file=sys.stderr)
    if resume and not (out / "runs").exists():
        print(f"{out}: nothing to resume there; starting from the beginning", file=sys.stderr)
    if not (out / "config.json").exists():
        write_json(out / "config.json", {**settings, "machine": machine()})
    return folder


def perform(run: Run, data: Data, folder: Folder, few: bool = True) -> TrainedRun:
    """Train and measure `run`, or go on with it where it was interrupted, or read its record if it is finished.
    Of a `few` runs, which may leave a core idle, measurements are shown as they come, and made beside the training."""
    if (finished := recorded(run, data, folder)) is not None:
        return finished
    identity = identity_of(run, data, folder)
    if run.fold is not None:
        data = without_fold(data, run.recipe.task, run.fold)
    task = KINDS[run.recipe.task].task(run, data, folder.device)
    about = TrainedRun(
        seed=run.seed,
        n_parameters=count_parameters(task.model),
        train_seconds=0.0,
        machine=machine(),
        identity=identity,
    )
    try:
        history, seconds = train(
            task,
            run.recipe.training,
            run.seed,
            Checkpoints(folder.checkpoint(run), {**identity, "machine": bits_depend_on()}, task.measurement),
            on_measurement=lambda history: write_metrics(folder, run, history),
            label=run.name,
            few=few,
        )
    except Diverged as error:
        return keep(DivergedRun(**fields_of(about), step=error.step), run, folder)
    record = task.summarise(history, replace(about, train_seconds=seconds))
    if run.fold is None and not run.brief:
        save_model(folder.weights(run), task.trained_model())
    return keep(record, run, folder)


def keep(record: Trained, run: Run, folder: Folder) -> Trained:
    """Write the record of `run`, which is finished or has diverged; returns it."""
    write_sealed(folder.diverged(run) if isinstance(record, DivergedRun) else folder.record(run), record)
    folder.checkpoint(run).unlink(missing_ok=True)
    return record


def recorded(run: Run, data: Data, folder: Folder) -> TrainedRun | None:
    """The record of `run`, None if it is not finished; UserError if it is damaged or of other settings or data."""
    path, kind = folder.record(run), KINDS[run.recipe.task].record
    if folder.diverged(run).exists():
        path, kind = folder.diverged(run), DivergedRun
    if not path.exists():
        return None
    record = read_sealed(path, kind, "not a whole record of this run; delete it, and it is trained again")
    identity = identity_of(run, data, folder)
    if record.identity != identity:
        raise other_run(path, record.identity, identity, "take another --out")
    return record


def identity_of(run: Run, data: Data, folder: Folder) -> dict[str, object]:
    """What a record must agree with to be of this run on these data, computed as the command asks.

    Finished records of several machines or commits may stand side by side, and what is made of them says so. A
    checkpoint must besides agree in what `bits_depend_on`: half a run on each of two machines would be nobody's run.
    """
    tokenization = data.tokenizer.tokenization
    cut = {} if tokenization == WORDS else {"tokenizer": tokenization.kind, "vocabulary_size": tokenization.size}
    computed = {"threads": torch.get_num_threads(), "processes": process()[1], "device": folder.device.type}
    return in_json({"run": asdict(run), "data": data.corpus.fingerprint, **cut, **computed})


def bits_depend_on() -> dict[str, object]:
    """This machine, its software and the code, by its hash: a commit that changes no code forbids no resume."""
    described = msgspec.to_builtins(machine())
    return {name: value for name, value in described.items() if name not in ("commit", "dirty")}


def in_json(identity: Mapping[str, object]) -> dict[str, object]:
    """What will be read back of it: tuples are lists."""
    return dict(json.loads(json.dumps(identity)))


def write_metrics(folder: Folder, run: Run, history: list[Measurement]) -> None:
    """Write the measurements of `run`, one a line, and metrics.jsonl with those of every run in this folder."""
    lines = [json.dumps({"model": run.name, "seed": run.seed, **msgspec.to_builtins(row)}) + "\n" for row in history]
    write_text(folder.path / "runs" / f"{run.name}.metrics.jsonl", "".join(lines))
    collect_metrics(folder)


def collect_metrics(folder: Folder) -> None:
    """metrics.jsonl: the measurements of every run in this folder, one a line."""
    parts = sorted((folder.path / "runs").glob("*.metrics.jsonl"))
    write_text(folder.path / "metrics.jsonl", "".join(map(read_text, parts)))


class Remembered(msgspec.Struct, Generic[Content]):
    """A thing that was computed, and for what."""

    value: Content
    identity: dict[str, object]


def remembered(
    path: Path, kind: type[Content], identity: Mapping[str, object], compute: Callable[[], Content]
) -> Content:
    """What `path` holds, if it was computed for the same `identity`; else compute and write it. UserError where it is
    damaged."""
    plain = in_json(identity)
    if path.exists():
        hint = "not whole; delete it, and it is made again"
        kept = read_sealed(path, Remembered[kind], hint)  # type: ignore[valid-type]
        if kept.identity == plain:
            return kept.value
    value = compute()
    write_sealed(path, Remembered(value, plain))
    return value


def public(record: Trained) -> Trained:
    """A record without what serves only to find it again."""
    return replace(record, identity={})
