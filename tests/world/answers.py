"""Made-up answers of every command: the questions are those of the catalogue, the runs are made up, and what follows
from runs (effects, verdicts, claims) is what the program makes of them.

Levels are the same in every command: a variant is better or worse than another by construction (ACCURACY, PERPLEXITY).
"""

import functools
from collections.abc import Mapping, Sequence
from math import log
from types import SimpleNamespace
from typing import Any

import torch
from msgspec.structs import replace

from evaluation.opponents import (
    CLASSIFIER_OPPONENTS,
    DECODER_OPPONENTS,
    ClassifierOpponent,
    DecoderOpponent,
)
from evaluation.records import Bin, ClassScores, Group, GroupAccuracy, LanguageScores, Reliability, Scores
from evaluation.statistics import Estimate
from speechesdataset.folder import About
from studies.answers import (
    Answers,
    AttentionStatistics,
    Calibration,
    LengthPerplexity,
    Mistake,
    Timing,
    Tokens,
)
from studies.ask import asked, judged
from studies.catalogue.questions import (
    POSITIONS,
    exploration,
    how_surprising,
    ingredients,
    kinds_of_tokens,
    measured,
    positions_over_time,
    varied,
    which_is_better,
    who_said_it,
)
from studies.catalogue.recipes import RECIPES, label_of
from studies.effects import effects_of, effects_of_length, effects_on_time
from studies.probes.context import ContextPerplexity
from studies.probes.faithfulness import METHODS, Faithfulness, Fall
from studies.probes.knockouts import KnockOut, KnockOuts, ModelPart
from studies.question import Question, Study
from tokenizer import Tokenization, TokenKind
from training.machine import distinct_machines
from training.records import ClassifierRun, DecoderRun, Epoch, Iteration, Machine

SEEDS = (4, 5, 6)
TEXTS = ("hbush", "obama", "wbush")
CLASSES = ["Obama", "G. W. Bush", "G. H. W. Bush"]
ABOUT = About("some/data", 2345, 1200, 300, CLASSES, "fedcba9876543210" * 4)
MACHINE = Machine("0123456789abcdef0123", False, "c0dec0dec0dec0de", "3.11.9", "2.4.1", "Acme 9000", 6, 1, 1)
SPREAD = (0.7, -0.5, -0.2)  # of the seeds of every number, round its mean: they add up to nothing
ACCURACY = {  # of the test rows, the mean over seeds; whatever else is asked for goes by its number
    **{"classifier": 59.4, "learned": 61.0, "alibi": 61.6, "none": 52.3, "original": 60.2},
    **{"batch-norm-dropout-0.2": 62.2, "batch-norm-dropout-0.3": 64.6, "batch-norm-dropout-0.4": 62.9},
    **{"batch-norm-dropout-0.5": 58.7, "best": 69.3, "report": 60.8, "dropout=0": 60.1, "dropout=0.2": 66.4},
}
PERPLEXITY = {  # geometric mean over the test texts: ALiBi is better than learned positions, no positions less so
    **{"learned": 390.0, "alibi": 351.0, "none": 372.0, "alibi-steep": 355.0, "ff256": 391.0, "ff100": 420.0},
    **{"best": 210.0, "report": 393.0},
}
OF_TEXT = {"train": 0.4, "hbush": 0.97, "obama": 0.88, "wbush": 1.1715}  # what its perplexity is multiplied by
LABELS = torch.tensor([0, 1, 2] * 4)  # of the test rows, as far as single rows matter
DATA: Any = SimpleNamespace(
    test=SimpleNamespace(labels=LABELS), seen=torch.arange(12) < 3, test_streams=dict.fromkeys(TEXTS)
)


# ---------------------------------------------------------------------------------------------------------------- runs
def over_seeds(mean: float, spread: float, seed: int, number: int = 0) -> float:
    """The value of one seed, of several that have this mean; by `number`, another one is the highest."""
    return mean + spread * SPREAD[(seed - SEEDS[0] + number) % 3]


def classifier_run(accuracy: float, seed: int, number: int, **changes: Any) -> ClassifierRun:
    """A classifier that ends at this accuracy; by its `number` all else that was measured of it is its own."""
    reached = over_seeds(accuracy, 0.4 + number / 50, seed, number)
    groups: dict[Group, tuple[int, float]] = {"all": (1200, 0.0), "seen": (300, 15.4), "unseen": (900, -5.1)}
    predictions = (LABELS + torch.tensor([(row * (number + 2) + seed) % 3 == 0 for row in range(12)])) % 3
    run = ClassifierRun(
        seed=seed,
        n_parameters=400_000 + 1_000 * number,
        train_seconds=20.0 + number + seed / 10,
        machine=MACHINE,
        epochs=[
            Epoch(
                epoch, 1.3 - 0.08 * epoch + number / 99, 95.5 + number / 9 - (15 - epoch), reached - 0.7 * (15 - epoch)
            )
            for epoch in range(1, 16)
        ],
        test={
            group: GroupAccuracy(n, reached + over_seeds(more, abs(more) / 9, seed, number + len(group)))
            for group, (n, more) in groups.items()
        },
        scores=Scores(
            [class_scores(k, number, seed) for k in range(3)], reached - 1.3, [[5, 1, 2], [2, 6, 0], [1, 1, 7]]
        ),
        trained=True,
        fell_back=False,
        predictions=predictions.tolist(),
    )
    return replace(run, **changes)


def class_scores(k: int, number: int, seed: int) -> ClassScores:
    """How well one class is recognised."""
    precision, recall, f1 = (over_seeds(mean + 7 * k + number / 7, 1.3, seed, k) for mean in (50.2, 54.5, 52.3))
    return ClassScores(CLASSES[k], 390 + 10 * k, precision, recall, f1)


def decoder_run(
    perplexity: float, seed: int, number: int, width: int = 256, iterations: int = 500, **changes: Any
) -> DecoderRun:
    """A decoder that ends at this perplexity after so many iterations."""
    reached = perplexity * (1 + over_seeds(0.0, 0.01 + number / 1000, seed, number))
    by_text = {
        text: reached * over_seeds(factor, 0.003 + i / 1000, seed, i)
        for i, (text, factor) in enumerate(OF_TEXT.items())
    }
    run = DecoderRun(
        seed=seed,
        n_parameters=900_000 - 1_000 * number,
        train_seconds=50.0 + number + seed / 10,
        machine=MACHINE,
        ff_dim=width,
        iterations=[
            Iteration(iterations // 5 * i, 7.0 - i / 3, {text: value * (2 - i / 5) for text, value in by_text.items()})
            for i in range(1, 6)
        ],
        protocol="non-overlapping windows of 32 tokens",
        scores={text: language_scores(by_text[text], i) for i, text in enumerate(TEXTS)},
        stretch_nats={text: stretch_nats(by_text[text], number + seed) for text in TEXTS},
        stretch_tokens={text: [100.0, 110.0, 90.0, 100.0] for text in TEXTS},
    )
    return replace(run, **changes)


def language_scores(perplexity: float, i: int) -> LanguageScores:
    """What is said of a text."""
    return LanguageScores(perplexity, 0.8 * perplexity, log(perplexity) / 3 + 0.01 * i, 1.25 + i)


def stretch_nats(perplexity: float, shift: int) -> list[float]:
    """The nats of four stretches of a text, of 100 tokens or so each."""
    return [(100 + more) * log(perplexity) + (shift * (i + 2)) % 5 for i, more in enumerate((0, 10, -10, 0))]


def classifier_opponents(n: int = 1) -> dict[str, list[ClassifierOpponent]]:
    """The models that count words: one record on the test set, or one for each of n folds."""
    opponents: dict[str, list[ClassifierOpponent]] = {}
    for number, name in enumerate(CLASSIFIER_OPPONENTS):
        by_fold = [
            {"all": 66.6 - 3.1 * number + fold, "seen": 77.7 - 3 * number, "unseen": 63.8 - 3.3 * number}
            for fold in range(n)
        ]
        counts = {"all": 1200, "seen": 300, "unseen": 900}
        opponents[name] = [
            ClassifierOpponent(
                test={group: GroupAccuracy(counts[group], value) for group, value in values.items()},  # type: ignore[misc]
                predictions=((LABELS + (torch.arange(12) % (number + 2) == 0)) % 3).tolist(),
            )
            for values in by_fold
        ]
    return opponents


def decoder_opponents(n: int = 1) -> dict[str, list[DecoderOpponent]]:
    """The n-gram models."""
    return {
        name: [
            DecoderOpponent(
                scores={
                    text: language_scores((401.7 - 33 * number + fold) * OF_TEXT[text], i)
                    for i, text in enumerate(TEXTS)
                },
                stretch_nats={text: stretch_nats((401.7 - 33 * number) * OF_TEXT[text], number) for text in TEXTS},
                stretch_tokens={text: [100.0, 110.0, 90.0, 100.0] for text in TEXTS},
            )
            for fold in range(n)
        ]
        for number, name in enumerate(DECODER_OPPONENTS)
    }


def runs_of(question: Question, seeds: Sequence[int]) -> dict[str, list[Any]]:
    """The runs of every variant of a question."""
    runs: dict[str, list[Any]] = {}
    for number, (variant, recipe) in enumerate(question.variants.items()):
        if question.kind.name == "classifier":
            accuracy = ACCURACY.get(variant, 68.0 - 2.1 * number)
            runs[variant] = [classifier_run(accuracy, seed, number) for seed in seeds]
        else:
            perplexity = PERPLEXITY.get(variant, 300.0 + 17 * number)
            width = recipe.architecture.ff_dim
            runs[variant] = [decoder_run(perplexity, seed, number, width, recipe.duration) for seed in seeds]
    return runs


# -------------------------------------------------------------------------------------------------------------- probes
def lengths(variant: str, seed: int) -> list[LengthPerplexity]:
    """Perplexities of one model at each length, reading and window."""
    rows = []
    for sliding in (False, True):
        for window in (None, 31):
            for i, length in enumerate((32, 64, 128, 256)):
                factor = 1 + 0.004 * i - 0.05 * sliding + 0.013 * (window is not None and length > 32)
                level = over_seeds(PERPLEXITY[variant] * factor, 0.9 + i, seed)
                undefined = variant == "learned" and length > 32
                by_text = {text: None if undefined else level * OF_TEXT[text] for text in TEXTS}
                rows.append(LengthPerplexity(length, sliding, window, by_text))
    return rows


def context(variant: str, seed: int) -> list[ContextPerplexity]:
    """Perplexities of one model by how many tokens it is given."""
    level = 300.0 + len(variant) + 7 * variant.count("1")
    return [ContextPerplexity(n, over_seeds(level * (1 + 0.9 / n), 0.8, seed)) for n in (1, 2, 3, 5, 10, 32)]


def attention(seed: int, base: float) -> AttentionStatistics:
    """Statistics of three layers of two heads: near, between, far."""

    def heads(of_layers: Sequence[float], shift: float, spread: float) -> list[list[float]]:
        return [[over_seeds(mean + shift + step, spread, seed) for step in (0.0, 0.04)] for mean in of_layers]

    return AttentionStatistics(
        heads((2.0, 3.3, 5.0), base, 0.31),
        heads((0.11, 0.47, 0.81), base / 10, 0.011),
        heads((2.2, 1.9, 1.2), base, 0.021),
        heads((0.9, 0.72, 0.51), base / 30, 0.013),
        heads((0.2, 0.33, 0.4), base / 10, 0.015),
    )


def timing(kind: str) -> Timing:
    """Blocks of steps of each position method: ALiBi saves about 13%."""
    seconds = {"learned": [0.060, 0.050, 0.071], "alibi": [0.052, 0.044, 0.061], "none": [0.057, 0.047, 0.069]}
    scale = 1 if kind == "classifier" else 1.4
    by_clock = {name: [scale * value for value in values] for name, values in seconds.items()}
    return Timing(30, 1250, 2, by_clock, {name: [2.1 * value for value in values] for name, values in by_clock.items()})


def estimate(mean: float, half: float = 1.0, ratio: bool = False) -> Estimate:
    """An effect with an interval round it."""
    return Estimate(mean, mean - half, mean + half, half, mean, 3, half / 4, 2.0, ratio)


def knocked_out(kind: Any) -> KnockOuts:
    """What a model loses without its positions, its first head and its last layer."""
    is_decoder = kind == "decoder"
    parts = (ModelPart(), ModelPart(0, "heads", 0), ModelPart(0), ModelPart(2))
    without = [
        KnockOut(part, 55.5 + i, estimate(1.05 + i / 10, 0.01, True) if is_decoder else estimate(3.3 + i))
        for i, part in enumerate(parts)
    ]
    return KnockOuts(kind, 1200, 61.7, without)


def explained() -> Faithfulness:
    """How far the probability falls without the words that each method names."""
    falls = [
        Fall(
            method,
            k,
            estimate(10.0 + 3 * i + k / 10),
            None if method == "random" else estimate(8.0 - 3 * i + k / 10),
            None if method == "attention" else estimate(2.0 - i + k / 10),
        )
        for k in (1, 2)
        for i, method in enumerate(METHODS)
    ]
    return Faithfulness({1: 1200, 2: 1100}, falls)


def probed_of_part1() -> dict[str, Any]:
    """What the probes of part 1 answer."""
    bins = [Bin(600, 75.0, 60.0)]
    as_trained = Reliability(bins, {"all": 14.4, "seen": 9.7, "unseen": 17.3}, {"all": 3.2, "seen": 4.7, "unseen": 3.9})
    calibrated = Reliability(bins, {"all": 5.4, "seen": 4.1, "unseen": 6.6}, {"all": 3.3, "seen": 4.8, "unseen": 3.7})
    mistakes = [Mistake(12, "Obama", "G. W. Bush", 98.7), Mistake(345, "G. W. Bush", "Obama", 97.6)]
    return {
        "calibration": {"classifier": {"classifier": [Calibration(2.5, 469, "", as_trained, calibrated)]}},
        "mistakes": {"classifier": {"classifier": [mistakes]}},
    }


# ------------------------------------------------------------------------------------------------------------- answers
def questions_of(command: str) -> tuple[Question, ...]:
    """What a command asks."""
    recipes, decoder = RECIPES["report"], RECIPES["report"]["decoder"]
    if command == "compare":
        settings = varied("classifier", ["dropout=0,0.2"], None, [])
        return (which_is_better(recipes["classifier"], settings, None, on_folds=True),)
    if command == "ablation":
        changes: Mapping[Any, list[str]] = {
            "classifier": ["no attention"],
            "decoder": ["no weight decay", "four layers"],
        }
        return tuple(ingredients(kind, names) for kind, names in changes.items())
    if command == "tokenizers":
        tokens = [Tokenization("bpe", 4000), Tokenization("character")]
        return tuple(kinds_of_tokens(recipe, tokens, [32], False) for recipe in recipes.values())
    asked_by: dict[str, tuple[Question, ...]] = {
        "part1": (who_said_it(recipes["classifier"]),),
        "part2": (how_surprising(decoder, (256, 100)),),
        "part3": exploration(recipes),
        "report": exploration(recipes, report=True),
        "measure": (measured("classifier"), measured("decoder")),
        "positions": (positions_over_time(decoder, (500, 1500)),),
    }
    return asked_by[command]


def answers_of(command: str, seeds: Sequence[int] | None = None, **changes: Any) -> Answers:
    """The answers of a command; `changes` are made before its effects and verdicts are found."""
    seeds = seeds or (SEEDS[:1] if command in ("part1", "part2") else SEEDS)
    return made_up(command, tuple(seeds), **changes) if changes else unchanged(command, tuple(seeds))


@functools.cache
def unchanged(command: str, seeds: tuple[int, ...]) -> Answers:
    """The answers of a command as they are."""
    return made_up(command, seeds)


def made_up(command: str, seeds: tuple[int, ...], **changes: Any) -> Answers:
    """The answers of a command, with changes."""
    name: Any = "best" if command in ("ablation", "measure") else "report"
    study = Study(command, name, RECIPES[name], questions_of(command), tuple(seeds))
    made: dict[str, Any] = {question.name: runs_of(question, seeds) for question in study.questions}
    n = len(seeds) if command in ("compare", "ablation") else 1
    kinds = {question.kind.name for question in study.questions}
    if command != "tokenizers":
        made |= {"classifier_opponents": classifier_opponents(n)} if "classifier" in kinds else {}
        made |= {"decoder_opponents": decoder_opponents(n)} if "decoder" in kinds else {}
    answers = Answers(
        command=command,
        command_line=f"python main.py {command}",
        data=ABOUT,
        recipe=name,
        labels={kind: label_of(name, recipe) for kind, recipe in RECIPES[name].items()},
        seed=seeds[0],
        seeds=list(seeds),
        confidence=0.95,
        vocabulary_size=5_639,
        block_size=32,
        test_names=list(TEXTS),
        n_tokens={"train": 98_765, "hbush": 4_321, "obama": 5_432, "wbush": 6_543},
        n_truncated={"train": 21, "test": 7},
        machines=[MACHINE],
        questions={question.name: asked(study, question) for question in study.questions},
        training_seconds=3_456.0,
        total_seconds=5_432.0,
        **made,
        **more_of(command, seeds),
    )
    answers = replace(answers, **changes)
    answers = replace(answers, machines=distinct_machines(answers.trainings()), comparisons=comparisons(study, answers))
    return judged(answers) if command in ("part3", "report") and not answers.quick else answers


def more_of(command: str, seeds: Sequence[int]) -> dict[str, Any]:
    """What probes, and measurements of no one run, add to the answers."""
    if command == "part1":
        return probed_of_part1()
    if command == "tokenizers":
        return {"tokens": tokens(seeds)}
    if command == "positions":
        (question,) = questions_of(command)
        return {"context": {"decoder": {name: [context(name, seed) for seed in seeds] for name in question.variants}}}
    if command not in ("part3", "report"):
        return {}
    more: dict[str, Any] = {
        "timing": {kind: timing(kind) for kind in ("classifier", "decoder")},
        "lengths": {"decoder": {name: [lengths(name, seed) for seed in seeds] for name in (*POSITIONS, "alibi-steep")}},
    }
    if command == "report":
        bases = {"classifier": 0.5, "decoder": 1.7}
        more["attention"] = {
            kind: {"learned": [attention(seed, base) for seed in seeds]} for kind, base in bases.items()
        }
        more["knockouts"] = {kind: {"learned": [knocked_out(kind)]} for kind in bases}
        more["faithfulness"] = {"classifier": {"learned": [explained()]}}
    return more


def tokens(seeds: Sequence[int]) -> list[Tokens]:
    """Words, subwords and characters."""
    kinds: list[tuple[TokenKind, int]] = [("word", 5_639), ("bpe", 4_000), ("character", 77)]
    return [
        Tokens(
            kind,
            size,
            32,
            bytes_per_token=5.5 - 2 * i,
            cut=13.1 + 20 * i,
            accuracy=[over_seeds(61.5 - 4 * i, 0.8, seed) for seed in seeds],
            bits_per_byte=[over_seeds(2.11 + i / 10, 0.013, seed) for seed in seeds],
            trigram=[1.987 + i / 10],
            accuracy_difference=estimate(-4.0 * i, 2.3) if i else None,
            bits_ratio=estimate(1 + i / 20, 0.012, True) if i else None,
        )
        for i, (kind, size) in enumerate(kinds)
    ]


def comparisons(study: Study, answers: Answers) -> list[Any]:
    """What the program finds of the runs."""
    rows: list[Any] = []
    for question in study.questions:
        opponents = answers.opponents(question.name)
        rows += effects_of(question, answers.runs(question.name), opponents, DATA, answers.confidence)
    if answers.timing:
        pairs = [("alibi", "learned"), ("none", "learned"), ("alibi", "none")]
        rows += effects_on_time(answers.timing, pairs, answers.confidence)
    if answers.lengths:
        rows += effects_of_length("alibi", answers.lengths["decoder"]["alibi"], 32, answers.confidence)
    return rows
