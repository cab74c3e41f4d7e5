"""The engine of every study: variants are trained on paired seeds, and looked at until each of them is told."""

import functools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from common.console import warn
from common.files import UserError
from dataset import Data, encode
from evaluation.looks import looks_until
from studies.workers import perform_all
from training.machine import multiplies_bf16
from training.processes import process
from training.progress import say
from training.recipe import Run
from training.records import TrainedRun
from training.runs import Folder, perform

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


def train(
    runs: Mapping[Key, Run],
    data: Data,
    folder: Folder,
    n_workers: int,
    meanwhile: Callable[[], None] | None = None,
) -> dict[Key, TrainedRun]:
    """The record of every run. Equal ones are trained once, those that are there not at all; whole seeds come first,
    for a study that is stopped early. Classifiers of another block get the data in blocks of theirs."""
    distinct = sorted(dict.fromkeys(runs.values()), key=lambda run: run.seed)
    warn_of_precision(distinct, folder)
    given = data.train.ids.shape[1]
    sizes = {run: run.recipe.architecture.block_size if run.recipe.task == "classifier" else given for run in distinct}
    if meanwhile and not (n_workers > 1 and len(distinct) > 1):
        meanwhile()
    elif meanwhile:
        with ThreadPoolExecutor(1) as thread:
            done = thread.submit(meanwhile)
            records = train(runs, data, folder, n_workers)
            done.result()
            return records
    records: dict[Run, TrainedRun] = {}
    for size in dict.fromkeys(sizes.values()):
        own = [run for run in distinct if sizes[run] == size]
        encoded = data if size == given else encode(data.corpus, size, data.tokenizer.tokenization)
        records |= zip(own, perform_all(own, encoded, folder, n_workers))
    return {key: records[run] for key, run in runs.items()}


def train_few(
    runs: Sequence[Run], data: Data, folder: Folder, n_workers: int, meanwhile: Callable[[], Found]
) -> tuple[list[TrainedRun], Found] | None:
    """The records of a command's few runs, and what `meanwhile` finds, which needs none of them: at the same time, a
    process each, where there are workers; else one after the other. None in another than the first of several processes
    that train together.
    """
    warn_of_precision(runs, folder)
    if n_workers > 1 and len(runs) > 1 and process()[1] == 1:
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(meanwhile)
            return perform_all(runs, data, folder, n_workers), found.result()
    records = [record for run in runs if (record := perform(run, data, folder))]
    return (records, meanwhile()) if process()[0] == 0 else None


def warn_of_precision(runs: Iterable[Run], folder: Folder) -> None:
    """Say so where a processor is to compute in bf16 that is not made for it."""
    if any(run.recipe.training.precision == "bf16" for run in runs) and not multiplies_bf16(folder.device):
        warn_of_bf16()


@functools.cache  # once, however often a study is looked at
def warn_of_bf16() -> None:
    warn("--precision bf16 will not help: this processor has neither AMX nor AVX512-BF16")


def looks_of(n_seeds: int, until_told: int | None) -> list[int]:
    """The numbers of seeds at which a study is looked at: one alone, if it does not go on until it is told."""
    if until_told is None:
        return [n_seeds]
    if until_told < n_seeds:
        raise UserError(f"--until-told {until_told}: fewer than --seeds {n_seeds}; give more")
    return looks_until(until_told, n_seeds)


def until_told(
    looks: Sequence[int], variants: Iterable[Key], look: Callable[[Mapping[Key, int]], tuple[Found, Iterable[Key]]]
) -> Found:
    """What is found at the last of the `looks`, or at the first that leaves nothing undecided.

    `look(n_seeds)` trains so many seeds of each variant and returns what it finds, and the variants more seeds of which
    may tell what is undecided: those alone get them.
    """
    n_seeds: dict[Key, int] = {}
    for n in looks:
        n_seeds |= dict.fromkeys(variants, n)
        found, variants = look(n_seeds)
        variants = list(variants)
        if not variants:
            break
        if n < looks[-1]:
            say(f"more than {n} seeds may tell what is undecided of {len(variants)} of {len(n_seeds)} variants")
    return found
