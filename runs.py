"""A run: a recipe, a name and a seed, from which a trained model follows down to the last bit.

A `Recipe` is a table of settings. A run's record stays on disk, so that a run which was finished is not trained twice
and one which was interrupted goes on. Runs that do not depend on each other share the machine's cores.
"""

import contextlib
import functools
import itertools
import json
import multiprocessing
import os
import pickle
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

import evaluation
from checks import check, first_difference
from dataset import Data, epoch_batches, validation_split, validation_text, window_starts
from evaluation import Protocol
from files import Interrupted, UserError, read_json, sha256, write_json, write_text
from inference import Task, TrainedModel, save_model
from randomness import generator
from smoothing import Smoothing, kneser_ney, uniform
from tokenizer import PAD
from training import Measurement, TrainingConfig, keep_freed_memory, process, train
from transformer import (
    Classifier,
    Decoder,
    PhraseEmbedding,
    TransformerConfig,
    count_parameters,
    make_classifier,
)

MEASUREMENTS_PER_DECODER = 5  # every 100 of 500 iterations
DISCOUNT = 0.65  # of the Kneser-Ney unigram, where label smoothing does not give one


OF_THE_OTHER_TASK: dict[Task, tuple[str, ...]] = {  # settings that do nothing in a model of this task
    "classifier": ("tied", "smoothing", "unigram_bias", "shuffled"),
    "decoder": ("pooling", "head_dim", "batch_norm", "n_members", "phrases", "alibi_one_sided", "by_length"),
}


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run, except for what the data decide (vocabulary, classes) and the seed."""

    task: Task
    architecture: TransformerConfig
    training: TrainingConfig
    duration: int  # epochs of a classifier, iterations of a decoder
    by_length: bool = False  # classifier: batches of rows of like length
    shuffled: bool = False  # decoder: every window once before any comes again, instead of random ones

    def __post_init__(self) -> None:
        check(self, "at least 1", "duration")
        plain = {**vars(TransformerConfig(0)), **vars(TrainingConfig()), "by_length": False, "shuffled": False}
        found = {**vars(self.architecture), **vars(self.training), **vars(self)}
        for name in OF_THE_OTHER_TASK[self.task]:
            if found[name] != plain[name]:
                raise UserError(f"{name} is {found[name]}, which does nothing in a {self.task}; leave it out")


@dataclass(frozen=True)
class Run:
    """A recipe, a seed, and the name that its files get."""

    name: str
    recipe: Recipe
    seed: int
    fold: int | None = None  # to tune: train without this fold of the training rows or text, and measure on it alone
    lengths: tuple[int, ...] = ()  # decoder: perplexity by iteration in windows of these lengths, too
    brief: bool = False  # measured at its end alone, and its weights are not kept


@dataclass(frozen=True)
class Place:
    """Where runs are kept and on what they are computed."""

    out: Path
    device: torch.device

    def weights(self, run: Run) -> Path:
        return self.out / f"{run.name}.safetensors"

    def record(self, run: Run) -> Path:
        return self.out / "runs" / f"{run.name}.json"

    def checkpoint(self, run: Run) -> Path:
        return self.out / "runs" / f"{run.name}.checkpoint.safetensors"


def open_place(out: Path, device: torch.device, settings: dict[str, Any], resume: bool) -> Place:
    """A folder for new runs, or, to resume, the folder with its unfinished ones; config.json says what is run there.

    Runs that a folder already holds are never written over: without `resume` the whole folder is set aside under the
    next free number. Only the first of several processes touches the disk.
    """
    if process()[0] > 0:
        return Place(out, device)
    for leftover in out.rglob(".*.tmp") if resume else ():  # of a process that was killed while it wrote
        leftover.unlink()
    if (out / "config.json").exists() and not resume:
        number = next(n for n in itertools.count(1) if not Path(f"{out}.{n}").exists())
        out.rename(f"{out}.{number}")
        print(f"{out}: the earlier run that was there is now {out}.{number}", file=sys.stderr)
    if resume and not (out / "runs").exists():
        print(f"{out}: nothing to resume there; starting from the beginning", file=sys.stderr)
    if not (out / "config.json").exists():
        write_json(out / "config.json", {**settings, "machine": machine()})
    return Place(out, device)


def machine() -> dict[str, Any]:
    """What a result depends on besides settings and data: it stands in every record."""
    return {
        **code_version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": process()[1],
    }


def distinct_machines(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The machines (and commits, and software) that made `records`: more than one is a mixture, and must be said."""
    found: list[dict[str, Any]] = []
    for record in records:
        found += [] if record["machine"] in found else [record["machine"]]
    return found


@functools.cache  # of the code that was loaded, whatever happens to the checkout while it runs
def code_version() -> dict[str, Any]:
    """The commit, whether tracked files differ from it ("dirty"), and a SHA-256 of the modules."""
    folder = Path(__file__).parent
    modules = sorted(folder.glob("*.py"))
    version: dict[str, Any] = {"commit": None, "dirty": None}
    with contextlib.suppress(OSError, subprocess.CalledProcessError):  # no git, or not its checkout
        for name, command in (("commit", "rev-parse HEAD"), ("dirty", "status --porcelain --untracked-files=no")):
            git = ["git", *command.split()]
            version[name] = subprocess.run(git, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
        version["dirty"] = bool(version["dirty"])
    return {**version, "code": sha256(b"".join(path.read_bytes() for path in modules))[:16]}


@functools.cache
def processor_name() -> str:
    """The processor as the system names it, with the numbers that tell generations of one name apart."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        found = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "model name" in found:
            return f"{found['model name']} (family {found.get('cpu family')}, model {found.get('model')})"
    return platform.processor() or platform.machine()


# -------------------------------------------------------------------------------------------------------------- a run


def perform(run: Run, data: Data, place: Place) -> dict[str, Any]:
    """Train and measure `run`, or go on with it where it was interrupted, or read its record if it is finished.

    Of processes that train together, only the first measures and writes; the others return an empty record.
    """
    if finished := recorded(run, data, place):
        return finished
    identity = identity_of(run, data, place)
    if run.fold is not None:
        data = (validation_split if run.recipe.task == "classifier" else validation_text)(data, run.fold)
    kind = ClassifierWork if run.recipe.task == "classifier" else DecoderWork
    work: ClassifierWork | DecoderWork = kind(run, data, place.device)
    history, seconds = train(
        work.model,
        work.plan,
        work.loss,
        run.recipe.training,
        run.seed,
        work.measure_at,
        work.measure,
        checkpoint=place.checkpoint(run),
        identity={**identity, "machine": machine()},
        on_measurement=lambda history: write_metrics(place, run, history),
        label=run.name,
    )
    if process()[0]:
        return {}
    record = {
        "name": run.name,
        "seed": run.seed,
        "n_parameters": count_parameters(work.model),
        "train_seconds": seconds,
        **work.record(history),
        "machine": machine(),
        "identity": identity,
    }
    if run.fold is None and not run.brief:
        save_model(place.weights(run), TrainedModel(work.model, data.tokenizer, data.corpus.class_names))
    write_json(place.record(run), record)
    place.checkpoint(run).unlink(missing_ok=True)
    return record


def recorded(run: Run, data: Data, place: Place) -> dict[str, Any] | None:
    """The record of `run`, None if it is not finished; UserError if what is there is of other settings or data."""
    if not place.record(run).exists():
        return None
    record = read_json(place.record(run))
    kept, identity = record.get("identity") if isinstance(record, dict) else None, identity_of(run, data, place)
    if kept != identity:
        hint = "take another --out, or drop --resume if you gave it"
        raise UserError(f"{place.record(run)}: of another run ({first_difference(kept, identity)}); {hint}")
    return record


def identity_of(run: Run, data: Data, place: Place) -> Any:
    """What a record must agree with to be of this run on these data, computed as the command asks.

    A checkpoint must besides be of this machine, software and code: half a run on each would be nobody's run. Finished
    records of several machines or commits may stand side by side, and what is made of them says so.
    """
    computed = {"threads": torch.get_num_threads(), "processes": process()[1], "device": place.device.type}
    return json.loads(json.dumps({"run": asdict(run), "data": data.corpus.fingerprint, **computed}))


def write_metrics(place: Place, run: Run, history: list[Measurement]) -> None:
    """Write the measurements of `run`, one a line, and metrics.jsonl with those of every run in this place."""
    lines = [json.dumps({"model": run.name, "seed": run.seed, **row}) + "\n" for row in history]
    write_text(place.out / "runs" / f"{run.name}.metrics.jsonl", "".join(lines))
    collect_metrics(place)


def collect_metrics(place: Place) -> None:
    """metrics.jsonl: the measurements of every run in this place, one a line."""
    parts = sorted((place.out / "runs").glob("*.metrics.jsonl"))
    write_text(place.out / "metrics.jsonl", "".join(part.read_text(encoding="utf-8") for part in parts))


class ClassifierWork:
    """What the loop needs to train a classifier: the model, the plan, the loss, the measurements of Table 1."""

    def __init__(self, run: Run, data: Data, device: torch.device) -> None:
        recipe = run.recipe
        config = replace(
            recipe.architecture, vocabulary_size=len(data.tokenizer), n_classes=len(data.corpus.class_names)
        )
        self.data, self.device, self.smoothing = data, device, recipe.training.label_smoothing
        words, pairs = data.tokenizer.words, torch.zeros(0, dtype=torch.long)
        if config.phrases:
            pairs = PhraseEmbedding(words, 0, 0).pairs_of(data.train.ids)
            config = replace(config, n_pairs=len(pairs))
        self.model = make_classifier(config, words, run.seed)
        for module in self.model.modules():
            if isinstance(module, PhraseEmbedding):
                module.pairs.copy_(pairs)
        self.model.to(device)
        epochs = [
            epoch_batches(
                data.train.lengths, recipe.training.batch_size, generator(run.seed, "order", epoch), recipe.by_length
            )
            for epoch in range(recipe.duration)
        ]
        self.plan: Sequence[Tensor] = [batch for epoch in epochs for batch in epoch]
        self.steps_per_epoch = len(epochs[0])
        ends = range(self.steps_per_epoch, len(self.plan) + 1, self.steps_per_epoch)
        self.measure_at: Sequence[int] = ends[-1:] if run.brief else ends

    def loss(self, model: Classifier, items: Tensor) -> Tensor:
        ids, lengths, labels = self.data.train.batch(items, cut=self.model.masks_padding)
        return model.loss(ids.to(self.device), lengths.to(self.device), labels.to(self.device), self.smoothing)

    def measure(self, step: int, train_loss: float) -> Measurement:
        train_labels, test_labels = self.data.train.labels, self.data.test.labels
        return {
            "epoch": step // self.steps_per_epoch,
            "train_loss": train_loss,
            "train_accuracy": evaluation.accuracy(self.predict(self.data.train), train_labels),
            "test_accuracy": evaluation.accuracy(self.predict(self.data.test), test_labels),
        }

    def predict(self, data: Any) -> Tensor:
        return evaluation.class_probabilities(self.model, data).argmax(dim=-1)

    def record(self, history: list[Measurement]) -> dict[str, Any]:
        predictions, test = self.predict(self.data.test), self.data.test
        accuracies, labels = [row["train_accuracy"] for row in history], self.data.train.labels
        trained, once = (evaluation.is_above_plateau(value, labels) for value in (accuracies[-1], max(accuracies)))
        return {
            "epochs": history,
            "test": evaluation.accuracy_by_group(predictions, test.labels, self.data.seen),
            "scores": evaluation.scores_by_class(predictions, test.labels, self.data.corpus.class_names),
            "trained": trained,
            "fell_back": once and not trained,
            "predictions": predictions.tolist(),
        }


class DecoderWork:
    """What the loop needs to train a decoder: the model, the plan, the loss, the measurements of Table 2."""

    def __init__(self, run: Run, data: Data, device: torch.device) -> None:
        recipe = run.recipe
        config = replace(recipe.architecture, vocabulary_size=len(data.tokenizer))
        self.data, self.device = data, device
        self.model = Decoder(config, data.tokenizer.words, run.seed)
        self.smoothing = self.prepare_smoothing(recipe.training)
        self.model.to(device)
        self.text = torch.cat([torch.tensor([PAD]), data.train_stream.ids])
        self.protocol, self.lengths = Protocol(config.block_size), run.lengths
        size, order = recipe.training.batch_size, generator(run.seed, "order")
        self.plan: Sequence[Tensor] = list(
            window_starts(len(self.text), config.block_size, recipe.duration, size, order, recipe.shuffled)
        )
        every = max(1, recipe.duration // (1 if run.brief else MEASUREMENTS_PER_DECODER))
        self.measure_at: Sequence[int] = sorted({*range(every, recipe.duration + 1, every), recipe.duration})
        self.nats: dict[str, Tensor] = {}

    def prepare_smoothing(self, training: TrainingConfig) -> Smoothing | None:
        """How targets are smoothed, if at all; and the output bias as the recipe wants it at the start."""
        size, stream = len(self.data.tokenizer), self.data.train_stream.ids
        share, smoothing = training.label_smoothing, None
        if training.smoothing == "kneser-ney" or training.unigram_bias:
            smoothing = kneser_ney(stream, share or DISCOUNT, size, self.data.words_of_rows())
            if training.unigram_bias:
                with torch.no_grad():
                    self.model.head.bias.copy_(smoothing.prior.clamp(min=1e-9).log())
        if share == 0:
            return None
        return smoothing if training.smoothing == "kneser-ney" else uniform(share, size)

    def loss(self, model: Decoder, starts: Tensor) -> Tensor:
        windows = self.text[starts[:, None] + torch.arange(self.protocol.length + 1)]  # (B, T + 1)
        inputs, targets = windows[:, :-1].to(self.device), windows[:, 1:].to(self.device)
        if self.smoothing is None:
            return model.loss(inputs, targets)
        share = self.smoothing.share[windows[:, :-1]].to(self.device)
        return model.loss(inputs, targets, self.smoothing.prior.to(self.device), share)

    def measure(self, step: int, train_loss: float) -> Measurement:
        streams = {"train": self.data.train_stream, **self.data.test_streams}
        self.nats = {
            name: evaluation.token_nats(self.model, stream.ids, self.protocol) for name, stream in streams.items()
        }
        perplexities = {name: evaluation.perplexity(nats) for name, nats in self.nats.items()}
        others = {
            str(length): {
                name: evaluation.perplexity(evaluation.token_nats(self.model, stream.ids, Protocol(length)))
                for name, stream in self.data.test_streams.items()
            }
            for length in self.lengths
        }
        row = {"iteration": step, "train_loss": train_loss, "perplexity": perplexities}
        return row | ({"perplexity_by_length": others} if others else {})

    def record(self, history: list[Measurement]) -> dict[str, Any]:
        if not self.nats:  # resumed after the last measurement
            self.measure(0, 0.0)
        length = self.protocol.length
        return {
            "ff_dim": self.model.config.ff_dim,
            "iterations": history,
            "protocol": str(self.protocol),
            "scores": {
                name: evaluation.language_scores(self.nats[name], stream)
                for name, stream in self.data.test_streams.items()
            },
            "nats_by_place": {name: evaluation.nats_by_place(nats, length) for name, nats in self.nats.items()},
        }


# ------------------------------------------------------------------------------------------------------ several runs


def perform_all(runs: Sequence[Run], data: Data, place: Place, n_workers: int) -> list[dict[str, Any]]:
    """The records of `runs`."""
    try:
        return share_out(functools.partial(perform, data=data, place=place), runs, n_workers, "runs")
    finally:
        collect_metrics(place)  # of workers that finish at the same time, one may have missed the other's


def share_out(job: Callable[[Any], Any], items: Sequence[Any], n_workers: int, label: str) -> list[Any]:
    """job(item) of every item, in order. Each is computed by as many threads as this process has, `n_workers` at a time
    in processes of their own, so that the numbers are the same whatever the number of workers.

    `job` must be picklable; it travels as bytes,
    for tensors that travel through shared memory leave a traceback when their receiver is stopped on the way.

    A failure, Ctrl-C or SIGTERM stops the workers, whose runs in training save first, and is raised here.
    """
    n_workers = min(n_workers, len(items))
    if n_workers <= 1:
        return [job(item) for item in tqdm(items, desc=label, unit="run", disable=None)]
    context, threads = multiprocessing.get_context("spawn"), (torch.get_num_threads(),)
    with (
        _terminated_as_interrupted(),
        ProcessPoolExecutor(n_workers, context, initializer=_start_worker, initargs=threads) as pool,
    ):
        try:
            sent = functools.partial(_call, pickle.dumps(job))
            return list(tqdm(pool.map(sent, items), total=len(items), desc=label, unit="run", disable=None))
        except BrokenProcessPool as error:
            raise Interrupted("a worker process was killed") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while workers := multiprocessing.active_children():  # a run that is in training saves first, and its worker
                for worker in workers:  # would take up the next one
                    worker.terminate()
                    worker.join(timeout=0.2)
            raise


def _call(job: bytes, item: Any) -> Any:
    """job(item) in a worker; the bytes are those that `share_out` has just made, never a file's."""
    return pickle.loads(job)(item)


def _start_worker(n_threads: int) -> None:
    keep_freed_memory()
    torch.set_num_threads(n_threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to every process; outside training the parent answers it
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:  # no worker outlives its parent
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Within it, SIGTERM raises KeyboardInterrupt, as Ctrl-C does; once, for `timeout` sends it twice."""

    def interrupt(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def remembered(path: Path, identity: Any, compute: Callable[[], Any]) -> Any:
    """What `path` holds, if it was computed for the same `identity`; else compute and write it."""
    identity = json.loads(json.dumps(identity))
    if path.exists():
        kept = read_json(path)
        if kept["identity"] == identity:
            return kept["value"]
    value = compute()
    write_json(path, {"value": value, "identity": identity})
    return value
