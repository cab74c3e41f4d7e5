"""What each ingredient of the best recipe brings: the recipe without it, one at a time, on paired seeds.

Everything is measured by validation: seed s holds fold s of the training rows, or of the training text, out of training
and measures on it. The test set has no part in it, so recipes may be chosen here.
"""

import time
from collections.abc import Mapping, Sequence

from common.files import UserError, write_json
from common.wording import did_you_mean
from dataset import Data
from studies.compare import Question, answer, opponents
from studies.recipes import FF_DIMS, RECIPES
from studies.results import AblationResults
from studies.settings import MEASURES
from training.machine import distinct_machines
from training.recipe import Task, Value, customise
from training.runs import Folder

CHANGES: dict[Task, dict[str, dict[str, Value]]] = {  # what stands in place of each ingredient
    "classifier": {
        "one classifier instead of three": {"n_members": 1},
        "no vectors for lower-case forms and pairs of words": {"phrases": False},
        "no attention": {"n_layer": 0, "positions": "none", "drop_path": 0.0, "layer_scale": None},
        "no positions": {"positions": "none"},
        "no rows that skip attention": {"drop_path": 0.0},
        "attention at full strength from the start": {"layer_scale": None},
        "a norm after the residual": {"norm": "post"},
        "a feed-forward network of 256": {"ff_dim": 256},
        "a whole transformer block": {"norm": "pre", "ff_dim": 512},
        "the mean alone, no maximum": {"pooling": "masked-mean"},
        "a head of two layers": {"head_dim": 100},
        "a head of two layers, 400 wide": {"head_dim": 400},
        "a weight decay of 0.1": {"weight_decay": 0.1},
        "a constant learning rate": {"schedule": "constant", "warmup": 0.0},
        "width 64": {"n_embd": 64},
    },
    "decoder": {
        "no trigram beside it": {"ngram_share": 0.0},
        "no spelling of words": {"n_spellings": 0},
        "output bias at 0": {"unigram_bias": False},
        "an output layer of its own": {"tied": False},
        "learned positions": {"positions": "learned"},
        "the norm after the residual": {"norm": "post"},
        "a dropout of 0.05": {"dropout": 0.05, "embedding_dropout": 0.05},
        "a dropout of 0.1": {"dropout": 0.1, "embedding_dropout": 0.1},
        "a dropout of 0.2": {"dropout": 0.2, "embedding_dropout": 0.2},
        "a dropout of 0.5": {"dropout": 0.5, "embedding_dropout": 0.5},
        "no weight decay": {"weight_decay": 0.0},
        "a weight decay of 1.5": {"weight_decay": 1.5},
        "a constant learning rate": {"schedule": "constant"},
        "twice the learning rate": {"learning_rate": 4e-3},
        "four layers": {"n_layer": 4},
        "random windows": {"shuffled": False},
        "width 64": {"n_embd": 64},
    },
}

WHOLE = "the recipe"


def ablation(
    changes: Mapping[Task, Sequence[str]],
    seeds: Sequence[int],
    data: Data,
    folder: Folder,
    command: str,
    n_workers: int,
) -> AblationResults:
    """Train the recipe and each of the `changes` to it on every seed, compare, and write results.json."""
    started = time.perf_counter()
    questions = [question_of(task, names, seeds, n_workers) for task, names in changes.items()]
    against_none = [opponents(one, data) for one in questions]  # first, for folds that cannot be made are refused here
    found = [answer(one, other, data, folder, "ablation", command) for one, other in zip(questions, against_none)]
    results = AblationResults(
        command="ablation",
        data=data.corpus.about(),
        command_line=command,
        seeds=list(seeds),
        machines=distinct_machines(run for one in found for own in one.runs().values() for run in own),
        tasks=found,
        total_seconds=time.perf_counter() - started,
    )
    write_json(folder.path / "results.json", results)
    return results


def question_of(task: Task, names: Sequence[str], seeds: Sequence[int], n_workers: int) -> Question:
    """The best recipe of a task against the changes to it that are called by these names."""
    recipe = customise(RECIPES["best"][task], **({"ff_dim": FF_DIMS["best"][0]} if task == "decoder" else {}))
    variants = {WHOLE: {}, **{name: CHANGES[task][name] for name in names}}
    measure = MEASURES[task][0]
    return Question("best", recipe, variants, tuple(seeds), measure, validate=True, n_workers=n_workers, brief=True)


def chosen(task: Task | None = None, names: Sequence[str] | None = None) -> dict[Task, list[str]]:
    """The changes, by task, that are called by `names` (none: all), of one task or of both; UserError for a name that
    none has."""
    tasks: list[Task] = [task] if task else list(CHANGES)
    if not names:
        return {one: list(CHANGES[one]) for one in tasks}
    known = list(dict.fromkeys(name for one in tasks for name in CHANGES[one]))
    for name in names:
        if name not in known:
            remedy = did_you_mean(name, known) or f"it has {', '.join(known)}"
            raise UserError(f"--changes: the best {task or 'recipe'} has no change called {name!r}; {remedy}")
    found = {one: [name for name in CHANGES[one] if name in names] for one in tasks}
    return {one: own for one, own in found.items() if own}
