"""Training time by position method, fairly: Tables 4 and 5."""

import random
from collections.abc import Mapping
from dataclasses import asdict

import torch

from dataset import Data
from studies.results import Timing
from studies.study import POSITIONS, Study
from training.loop import train
from training.machine import processor_name
from training.progress import Tally
from training.recipe import Recipe, Run, Task, customise
from training.runs import Place, remembered
from training.tasks import task_of

TIMED_ROUNDS, WARM_UP_STEPS = 5, 10


def time_variants(study: Study, data: Data, place: Place) -> dict[Task, Timing]:
    """Tables 4 and 5: seconds of training steps alone, for each position method.

    After a warm-up, TIMED_ROUNDS rounds; a round times every variant once, in random order, on fresh weights and the
    round's own batches, so that whatever else slows the machine slows all of them. A timed run is a part of a training
    (`timed_share`), step by step the same as training itself; nothing is evaluated.
    """
    recipes: dict[Task, dict[str, Recipe]] = {
        "classifier": {name: customise(study.classifier, positions=name) for name in POSITIONS},
        "decoder": {name: customise(study.decoder, positions=name) for name in POSITIONS},
    }
    description = {
        "data": data.corpus.fingerprint,
        "recipes": {task: {name: asdict(recipe) for name, recipe in row.items()} for task, row in recipes.items()},
        "share": study.timed_share,
        "machine": [processor_name(), torch.get_num_threads(), str(place.device), torch.__version__],
    }
    return remembered(
        place.out / "runs" / "timing.json",
        dict[Task, Timing],
        description,
        lambda: {task: time_task(row, study, data, place) for task, row in recipes.items()},
        lambda found: (
            found.keys() == recipes.keys()
            and all(timed.seconds.keys() == recipes[task].keys() for task, timed in found.items())
            and all(len(times) == TIMED_ROUNDS for timed in found.values() for times in timed.seconds.values())
        ),
    )


def time_task(recipes: Mapping[str, Recipe], study: Study, data: Data, place: Place) -> Timing:
    """Time the variants of one task."""
    shuffle = random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in recipes}
    n_steps = total = 0
    tally = Tally("timing rounds", TIMED_ROUNDS + 1)
    for round_number in range(-1, TIMED_ROUNDS):  # round -1 is the warm-up
        for name in shuffle.sample(list(recipes), len(recipes)):
            run = Run(f"timing {name}", recipes[name], seed=round_number)
            task = task_of(run, data, place.device)
            total, n_steps = len(task.plan), max(1, round(study.timed_share * len(task.plan)))
            task.plan, task.evaluate_at = task.plan[: WARM_UP_STEPS if round_number < 0 else n_steps], ()
            _, spent = train(task, run.recipe.training, run.seed, label=run.name)
            if round_number >= 0:
                seconds[name].append(spent)
        tally.done("warm-up" if round_number < 0 else " and ".join(recipes))
    return Timing(n_steps=n_steps, n_steps_of_a_training=total, threads=torch.get_num_threads(), seconds=seconds)
