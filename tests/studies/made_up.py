"""Made-up runs, and answers on which every claim of the report holds. Three values with a known mean and standard
deviation are `seeds(mean, spread)`."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import torch

from evaluation.records import ClassScores, GroupAccuracy, LanguageScores, Scores
from speechesdataset.folder import DEFAULT_NAMES, TRAINING, About
from studies.answers import Answers, Asked, AttentionStatistics, Comparison, LengthPerplexity, Timing
from studies.catalogue.questions import POSITION_PAIRS, RATES, exploration
from studies.catalogue.recipes import RECIPES
from studies.effects import effects_of, effects_of_length, effects_on_time
from training.records import ClassifierRun, DecoderRun, Epoch, Iteration, Machine

SEEDS = (4, 5, 6)
TEXTS = ("hbush", "obama", "wbush")
MACHINE = Machine("0123456789abcdef", False, "c0de", "3.11.9", "2.4.1", "Acme 9000", 6, 1, 1)

TEST_ACCURACY = {"learned": 61.0, "alibi": 61.6, "none": 52.3, "original": 60.2, "batch-norm-dropout-0.2": 62.2}
TRAIN_ACCURACY = {"learned": 99.2, "alibi": 98.4, "none": 88.5, "original": 98.9, "batch-norm-dropout-0.2": 87.4}
VALIDATION = dict(zip(RATES, (59.3, 57.1, 58.6, 55.2)))
PERPLEXITY = {  # on train, hbush, obama, wbush
    "learned": (150.0, 380.0, 345.0, 455.0),
    "alibi": (138.0, 349.6, 310.5, 400.4),
    "none": (146.0, 364.8, 327.7, 430.0),
    "alibi-steep": (141.0, 342.6, 316.7, 412.4),
    "ff256": (151.0, 381.5, 346.1, 456.9),
    "ff100": (181.2, 400.6, 377.0, 489.5),
}
SECONDS: Any = {
    "classifier": {"learned": [2.60, 2.50, 2.71], "alibi": [2.21, 2.15, 2.36], "none": [2.42, 2.35, 2.57]},
    "decoder": {"learned": [3.60, 3.51, 3.77], "alibi": [3.19, 3.11, 3.32], "none": [3.37, 3.29, 3.51]},
}


def seeds(mean: float, spread: float) -> list[float]:
    return [mean + spread, mean - spread, mean]


# --------------------------------------------------------------------------------------------------------------- runs
def classifier_run(accuracy: float = 60.0, train_accuracy: float = 90.0, **fields: Any) -> ClassifierRun:
    """A run with this accuracy on all test rows after the last of six epochs, and on unseen ones 5 points less."""
    groups = {"all": accuracy, "seen": min(100.0, accuracy + 15), "unseen": max(0.0, accuracy - 5)}
    made_up: dict[str, Any] = {
        **{"seed": 0, "n_parameters": 400_000, "train_seconds": 20.0, "machine": MACHINE},
        "epochs": [Epoch(n, 7.0 - n, train_accuracy, accuracy * (0.994 + n / 1000)) for n in range(1, 7)],
        "test": {name: GroupAccuracy(9, value) for name, value in groups.items()},
        "scores": Scores([ClassScores("a", 9, 50.0, 50.0, 50.0)], 48.0, [[9]]),
        **{"trained": True, "fell_back": False, "predictions": [0]},
    }
    return ClassifierRun(**made_up | fields)


def decoder_run(perplexities: Mapping[str, float], **fields: Any) -> DecoderRun:
    """A run with these perplexities, of the training text, too, at its end."""
    texts = [name for name in perplexities if name != TRAINING]
    made_up: dict[str, Any] = {
        **{"seed": 0, "n_parameters": 900_000, "train_seconds": 50.0, "machine": MACHINE, "ff_dim": 256},
        "iterations": [Iteration(100, 5.0, dict.fromkeys(perplexities, 999.0)), Iteration(500, 4.0, {**perplexities})],
        "protocol": "non-overlapping windows of 32 tokens",
        "scores": {name: LanguageScores(perplexities[name], None, perplexities[name] / 200, 1.0) for name in texts},
        "stretch_nats": {name: [5.0] for name in texts},
        "stretch_tokens": {name: [1.0] for name in texts},
    }
    return DecoderRun(**made_up | fields)


def data(labels: Sequence[int] = (0,), seen: Sequence[bool] | None = None, texts: Sequence[str] = TEXTS) -> Any:
    """What effects ask of the data. One test row says nothing of other rows, as one stretch says nothing of others."""
    return SimpleNamespace(
        test=SimpleNamespace(labels=torch.tensor(labels)),
        seen=torch.tensor(seen or [False] * len(labels)),
        test_streams=dict.fromkeys(texts),
    )


# ------------------------------------------------------------------------------------------------------------ answers
QUESTIONS = exploration(RECIPES["report"], report=True)


def answers() -> Answers:
    """What the report command might find where every claim holds, with its comparisons."""
    classifier = {
        name: [
            classifier_run(accuracy, train_accuracy, seed=seed)
            for seed, accuracy, train_accuracy in zip(
                SEEDS, seeds(TEST_ACCURACY[name], 0.3 + 0.02 * number), seeds(TRAIN_ACCURACY[name], 0.5)
            )
        ]
        for number, name in enumerate(TEST_ACCURACY)
    }
    validation = {
        f"batch-norm-dropout-{rate}": [
            classifier_run(accuracy, seed=seed) for seed, accuracy in zip(SEEDS, seeds(mean, 0.1 * rate))
        ]
        for rate, mean in VALIDATION.items()
    }
    decoder = {
        name: [
            decoder_run({text: value * factor for text, value in zip((TRAINING, *TEXTS), means)}, seed=seed)
            for seed, factor in zip(SEEDS, seeds(1.0, 0.004 + 0.001 * number))
        ]
        for number, (name, means) in enumerate(PERPLEXITY.items())
    }
    found: dict[str, Any] = {
        **{"command": "report", "command_line": "python main.py report", "recipe": "report", "labels": {}},
        "data": About("some/data", 2345, 1200, 300, list(DEFAULT_NAMES), "f" * 64),
        **{"seed": SEEDS[0], "seeds": list(SEEDS), "looks": [3], "confidence": 0.95, "vocabulary_size": 5639},
        **{"block_size": 32, "test_names": list(TEXTS), "n_tokens": {}, "machines": [MACHINE]},
        "questions": {
            each.name: Asked(each.kind.name, each.base, each.measured[0][0].name, each.on_folds, {})
            for each in QUESTIONS
        },
        **{"classifier": classifier, "decoder": decoder, "validation": validation},
        "timing": {kind: Timing(30, 1250, 2, seconds, seconds) for kind, seconds in copy.deepcopy(SECONDS).items()},
        "lengths": {"decoder": {"alibi": [lengths(run) for run in decoder["alibi"]]}},
        "attention": {
            "classifier": {"learned": [attention(0.02 * number) for number in range(3)]},
            "decoder": {"learned": [attention(0.03 * number) for number in range(3)]},
        },
        **{"training_seconds": 3456.0, "total_seconds": 5432.0},
    }
    return compared(Answers(**found))


def compared(found: Answers, of: Any = None) -> Answers:
    """The answers with the effects that the programs find in their runs and probes."""
    return msgspec.structs.replace(found, comparisons=list(comparisons(found, of or data())))


def comparisons(found: Answers, of: Any) -> Iterator[Comparison]:
    for question in QUESTIONS:
        runs = found.runs(question.name)
        pairs = tuple(pair for pair in question.pairs if runs.keys() >= set(pair))
        yield from effects_of(replace(question, pairs=pairs), runs, {}, of, found.confidence)
    yield from effects_on_time(found.timing, POSITION_PAIRS, found.confidence)
    if read := found.lengths.get("decoder", {}).get("alibi"):
        yield from effects_of_length("alibi", read, found.block_size, found.confidence)


def lengths(run: DecoderRun) -> list[LengthPerplexity]:
    """As it reads at each length, a little worse the longer it is, in each of two ways."""
    return [
        LengthPerplexity(length, sliding, None, {text: run.scores[text].perplexity * change for text in TEXTS})
        for sliding, longer in ((False, 0.004), (True, 0.1))
        for length, change in zip((32, 64, 128, 256), (1.0, 1 + longer, 1 + 2 * longer, 1.5))
    ]


def attention(shift: float) -> AttentionStatistics:
    """Of three layers of two heads: the first looks near, the last far and at few tokens."""

    def heads(*by_layer: float) -> list[list[float]]:
        return [[value + shift, value + shift + 0.04] for value in by_layer]

    return AttentionStatistics(
        distance=heads(2.0, 3.3, 5.0),
        relative_distance=heads(0.11, 0.47, 0.81),
        entropy=heads(2.2, 1.9, 1.2),
        relative_entropy=heads(0.9, 0.72, 0.51),
        padding=heads(0.2, 0.33, 0.4),
    )
