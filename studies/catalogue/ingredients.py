"""The ingredients of the best recipe: what stands in place of each, one at a time."""

from collections.abc import Sequence

from common.files import UserError
from common.wording import did_you_mean
from training.recipe import Task, Value

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


def chosen(task: Task | None = None, names: Sequence[str] | None = None) -> dict[Task, list[str]]:
    """The changes, by kind of model, that are called by `names` (none: all), of one kind or of both; UserError for a
    name that none has."""
    tasks: list[Task] = [task] if task else list(CHANGES)
    if not names:
        return {kind: list(CHANGES[kind]) for kind in tasks}
    known = list(dict.fromkeys(name for kind in tasks for name in CHANGES[kind]))
    for name in names:
        if name not in known:
            remedy = did_you_mean(name, known) or f"it has {', '.join(known)}"
            raise UserError(f"--changes: the best {task or 'recipe'} has no change called {name!r}; {remedy}")
    wanted = {kind: [name for name in CHANGES[kind] if name in names] for kind in tasks}
    return {kind: changes for kind, changes in wanted.items() if changes}
