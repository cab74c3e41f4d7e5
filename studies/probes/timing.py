"""Training time by position method, fairly: Tables 4 and 5."""

import functools
import itertools
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from statistics import median

import torch
from tqdm import trange

from dataset import Data
from studies.answers import Timing
from studies.catalogue.questions import POSITIONS
from studies.question import Study
from training import loop
from training.kinds import KINDS
from training.machine import processor_name
from training.progress import say
from training.recipe import Recipe, Run, Task, customise
from training.runs import Folder, remembered

BLOCK, WARM_UP_STEPS = 10, 20  # steps


def time_positions(study: Study, data: Data, folder: Folder) -> dict[Task, Timing]:
    """Tables 4 and 5: seconds of training steps alone, for each position method; kept as soon as they are known.

    All variants are in training at once, in one process, on the same batches: they take turns step by step, in random
    order, so that whatever else slows the machine slows all of them. Of every BLOCK steps of a variant the median
    counts, which a pause of the machine does not move. A step is that of training itself; nothing is evaluated.
    """
    timings = {}
    for kind, recipe in study.recipes.items():
        recipes = {name: customise(recipe, positions=name) for name in POSITIONS}
        identity = {
            "data": data.corpus.fingerprint,
            "recipes": {name: asdict(variant) for name, variant in recipes.items()},
            "share": study.timed_share,
            "machine": [processor_name(), torch.get_num_threads(), str(folder.device), torch.__version__],
        }
        path = folder.path / "runs" / f"timing-{kind}.json"
        measure = functools.partial(time_variants, recipes, study.timed_share, data, folder)
        timings[kind] = remembered(path, Timing, identity, measure)
    return timings


def time_variants(recipes: Mapping[str, Recipe], share: float, data: Data, folder: Folder) -> Timing:
    """The times of each variant, over this share of a training."""
    shuffle, names = random.Random(0), list(recipes)
    runs = [Run(f"timing {name}", recipe, seed=0) for name, recipe in recipes.items()]
    tasks = [KINDS[run.recipe.task].task(run, data, folder.device) for run in runs]
    steps = {name: endless_training(run, task) for name, run, task in zip(names, runs, tasks)}
    n_steps = len(tasks[0].plan)
    n_blocks = max(2, round(share * n_steps / BLOCK))
    for name in names * WARM_UP_STEPS:
        next(steps[name])
    seconds, processor_seconds = ({name: list[float]() for name in names} for _ in range(2))
    say(f"timing {n_blocks * BLOCK:,} steps with each of {', '.join(names)}")
    for _ in trange(n_blocks, desc="timing", leave=False, disable=None):
        spent = {name: list[tuple[float, float]]() for name in names}
        for _ in range(BLOCK):
            for name in shuffle.sample(names, len(names)):
                wall, processor = time.perf_counter(), time.process_time()
                next(steps[name])
                spent[name].append((time.perf_counter() - wall, time.process_time() - processor))
        for name, pairs in spent.items():
            for kept, values in zip((seconds, processor_seconds), zip(*pairs)):
                kept[name].append(median(values))
    return Timing(
        n_steps=n_blocks * BLOCK,
        n_steps_of_a_training=n_steps,
        threads=torch.get_num_threads(),
        seconds=seconds,
        processor_seconds=processor_seconds,
    )


def endless_training(run: Run, task: loop.Task) -> Iterator[None]:
    """Every next() is one step of a training that begins anew after its last one."""
    config, n_steps = run.recipe.training, len(task.plan)
    optimizer, model = loop.make_optimizer(task.model, config), loop.WithLoss(task.model, task.loss).train()
    for step in itertools.cycle(range(n_steps)):
        loop.prepare_step(optimizer, config, run.seed, step, n_steps)
        loop.training_step(model, optimizer, task.plan[step], config)
        yield
