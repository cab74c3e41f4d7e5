"""The engine of every study: variants are trained on paired seeds, and looked at until each of them is told."""

import functools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from common.console import warn
from common.files import UserError
from dataset import Data, encode
from evaluation.statistics import looks_until
from studies.workers import n_at_once, perform_all
from training.kinds import KINDS
from training.machine import multiplies_bf16
from training.progress import say
from training.recipe import Run
from training.records import TrainedRun
from training.runs import Folder

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def train_runs(runs: Mapping[Key, Run], data: Data, folder: Folder, n_workers: int) -> dict[Key, TrainedRun]:
    """The record of every run. Equal ones are trained once, those that are there not at all; whole seeds come first,
    for a study that is stopped early. Classifiers of another block get the data in blocks of theirs."""
    distinct = sorted(dict.fromkeys(runs.values()), key=lambda run: run.seed)
    if any(run.recipe.training.precision == "bf16" for run in distinct) and not multiplies_bf16(folder.device):
        warn_of_bf16()
    given = data.train.ids.shape[1]
    by_block_size: dict[int, list[Run]] = {}
    for run in distinct:
        block_size = run.recipe.architecture.block_size if KINDS[run.recipe.task].reads_rows else given
        by_block_size.setdefault(block_size, []).append(run)
    records: dict[Run, TrainedRun] = {}
    for block_size, alike in by_block_size.items():
        encoded = data if block_size == given else encode(data.corpus, block_size, data.tokenizer.tokenization)
        records |= zip(alike, perform_all(alike, encoded, folder, n_workers))
    return {key: records[run] for key, run in runs.items()}


def train_meanwhile(
    runs: Mapping[Key, Run], data: Data, folder: Folder, n_workers: int, compute: Callable[[], Value]
) -> tuple[dict[Key, TrainedRun], Value]:
    """The record of every run, and what `compute` gives, which needs none of them: in a thread, while workers train."""
    if n_at_once(n_workers, len(runs)) == 1:
        return train_runs(runs, data, folder, n_workers), compute()
    with ThreadPoolExecutor(1) as thread:
        value = thread.submit(compute)
        return train_runs(runs, data, folder, n_workers), value.result()


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
    looks: Sequence[int], variants: Iterable[Key], look: Callable[[Mapping[Key, int]], tuple[Value, Iterable[Key]]]
) -> Value:
    """What the last of the `looks` gives, or the first that leaves nothing undecided.

    `look(n_seeds)` trains so many seeds of each variant and returns what it gives, and the variants more seeds of which
    may tell what is undecided: those alone get them.
    """
    n_seeds: dict[Key, int] = {}
    for n in looks:
        n_seeds |= dict.fromkeys(variants, n)
        value, undecided = look(n_seeds)
        variants = list(undecided)
        if not variants:
            break
        if n < looks[-1]:
            say(f"more than {n} seeds may tell what is undecided of {len(variants)} of {len(n_seeds)} variants")
    return value
