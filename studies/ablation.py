"""What each ingredient of the best recipe brings: the recipe without it, one at a time, on paired seeds.

Everything is measured by validation: seed s holds fold s of the training rows, or of the training text, out of training
and measures on it. The test set has no part in it, so recipes may be chosen here.
"""

import time
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from common.files import UserError, write_json
from dataset import Data, validation_split, validation_text
from evaluation.statistics import SHARED_BY_FOLDS, paired_difference, paired_ratio
from studies.opponents import BASELINE_NAMES, NGRAM_NAMES, classifier_baselines, language_baselines
from studies.recipes import FF_DIMS, RECIPES
from studies.results import AblationResults, AblationRow, overall
from studies.workers import file_name, perform_all
from training.machine import distinct_machines
from training.recipe import Recipe, Run, Task, customise
from training.records import ClassifierRun, DecoderRun, TrainedRun
from training.runs import Place

CHANGES: dict[Task, dict[str, dict[str, object]]] = {  # what stands in place of each ingredient
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
        "no smoothing of targets": {"label_smoothing": 0.0, "smoothing": "uniform"},
        "uniform smoothing of 0.1": {"label_smoothing": 0.1, "smoothing": "uniform"},
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
MEASURES: dict[Task, str] = {"classifier": "validation accuracy, %", "decoder": "validation perplexity"}


def ablation(
    changes: Mapping[Task, Sequence[str]], seeds: Sequence[int], data: Data, place: Place, command: str, n_workers: int
) -> AblationResults:
    """Train the recipe and each of the `changes` to it on every seed, compare, and write results.json."""
    started = time.perf_counter()
    variants = {task: {name: variants_of(task)[name] for name in (WHOLE, *names)} for task, names in changes.items()}
    opponents = {  # before anything is trained, for folds that cannot be made are refused here
        task: (linear_models if task == "classifier" else ngram_models)(seeds, data) for task in variants
    }
    runs = {
        (task, name, seed): Run(f"{task}-{file_name(name)}-seed{seed}", recipe, seed, fold=seed, brief=True)
        for task, recipes in variants.items()
        for name, recipe in recipes.items()
        for seed in seeds
    }
    records = dict(zip(runs, perform_all(list(runs.values()), data, place, n_workers)))
    values = {
        task: {name: [measure(records[task, name, seed]) for seed in seeds] for name in recipes} | opponents[task]
        for task, recipes in variants.items()
    }
    rows = [row_of(task, name, row, found[WHOLE]) for task, found in values.items() for name, row in found.items()]
    results = AblationResults(
        command="ablation",
        data=data.corpus.about(),
        command_line=command,
        seeds=list(seeds),
        machines=distinct_machines(records.values()),
        n_changes=sum(map(len, changes.values())),
        rows=rows,
        total_seconds=time.perf_counter() - started,
    )
    write_json(place.out / "results.json", results)
    return results


def chosen(task: Task | None = None, names: Sequence[str] | None = None) -> dict[Task, list[str]]:
    """The changes, by task, that are called by `names` (none: all), of one task or of both; UserError for a name that
    none has."""
    tasks: list[Task] = [task] if task else list(CHANGES)
    if not names:
        return {one: list(CHANGES[one]) for one in tasks}
    known = list(dict.fromkeys(name for one in tasks for name in CHANGES[one]))
    for name in names:
        if name not in known:
            near = " or ".join(map(repr, get_close_matches(name, known, cutoff=0.0)))
            where = f"--changes: the best {task or 'recipe'} has no change called {name!r}"
            raise UserError(f"{where}; did you mean {near}?")
    found = {one: [name for name in CHANGES[one] if name in names] for one in tasks}
    return {one: own for one, own in found.items() if own}


def variants_of(task: Task) -> dict[str, Recipe]:
    """The recipe as it is, and with each of its changes."""
    recipe = customise(RECIPES["best"][task], **({"ff_dim": FF_DIMS["best"][0]} if task == "decoder" else {}))
    return {WHOLE: recipe} | {name: customise(recipe, **changes) for name, changes in CHANGES[task].items()}


def measure(run: TrainedRun) -> float:
    """Accuracy of a classifier, perplexity of a decoder, on the fold that was held out."""
    if isinstance(run, ClassifierRun):
        return overall(run.test)
    assert isinstance(run, DecoderRun)
    return run.scores["validation"].perplexity


def linear_models(seeds: Sequence[int], data: Data) -> dict[str, list[float]]:
    """The accuracy of the baselines on the fold of each seed."""
    folds = [classifier_baselines(validation_split(data, seed)) for seed in seeds]
    return {name: [overall(fold[key]) for fold in folds] for key, name in BASELINE_NAMES.items()}


def ngram_models(seeds: Sequence[int], data: Data) -> dict[str, list[float]]:
    """The perplexity of the n-gram models on the fold of each seed."""
    folds = [language_baselines(validation_text(data, seed)) for seed in seeds]
    return {name: [fold[key]["validation"].perplexity for fold in folds] for key, name in NGRAM_NAMES.items()}


def row_of(task: Task, name: str, values: Sequence[float], whole: Sequence[float]) -> AblationRow:
    """The measure of one variant by seed, and how far that is from the whole recipe's."""
    compare = paired_difference if task == "classifier" else paired_ratio
    return AblationRow(
        task=task,
        variant=name,
        measure=MEASURES[task],
        values=list(values),
        unit="points" if task == "classifier" else "ratio",
        estimate=None if name == WHOLE else compare(values, whole, shared=SHARED_BY_FOLDS),
    )
