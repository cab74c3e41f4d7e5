"""A question about settings: variants of a recipe on paired seeds, which differ in what the question says.

A study is data: a base, what differs from it in each variant, the seeds, the measure. With validation, seed s holds
fold s of five of the training rows, or of the training text, out of training and measures on it, and the test set has
no part in it: that is what a choice may rest on.
"""

import functools
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, geometric_mean

import utilities
from common.files import UserError, write_json
from dataset import Data, without_fold
from evaluation.crossed import Effect, Items, crossed
from evaluation.looks import confidence_of_looks
from evaluation.statistics import (
    SHARED_BY_FOLDS,
    UNCLEAR,
    Estimate,
    difference_of_shares,
    paired_difference,
    paired_ratio,
    seeds_needed,
)
from speechesdataset.folder import TRAINING
from studies.comparisons import Rows, hits_by_stretch, nats_by_stretch, on_same_seeds, rows_of, share_at_chance
from studies.engine import looks_of, train, until_told
from studies.figures import accuracy_lines, interval
from studies.opponents import BASELINE_NAMES, NGRAM_NAMES, classifier_baselines, language_baselines
from studies.results import (
    ComparedOpponent,
    ComparedVariant,
    ComparedVerdict,
    CompareResults,
    TextScores,
    classifier_runs,
    decoder_runs,
    overall,
)
from studies.settings import MEASURES, Score, Value, in_words, read_settings, with_settings
from studies.workers import file_name
from training.machine import distinct_machines
from training.recipe import Recipe, Run, Task
from training.records import ClassifierRun, DecoderRun, TrainedRun
from training.runs import Folder, public

Variants = Mapping[str, Mapping[str, Value]]
HIGHER_IS_BETTER: tuple[Score, ...] = ("accuracy", "macro-f1")


@dataclass(frozen=True)
class Question:
    """What is compared: the settings of each variant, by its name, with the first of which the others are compared."""

    recipe_name: str
    recipe: Recipe
    variants: Variants
    seeds: tuple[int, ...]
    measure: Score
    validate: bool = False
    n_workers: int = 1
    until_told: int | None = None  # seeds are added up to so many where these cannot tell
    brief: bool = False  # measured once, at the end

    @property
    def in_points(self) -> bool:
        """Whether the measure is in percent, of which more is better; of others less is."""
        return self.measure in HIGHER_IS_BETTER

    def __post_init__(self) -> None:
        if len(self.variants) < 2:
            raise UserError("there is nothing to compare: give --vary name=value,value or --variant 'name=value'")
        if self.measure not in MEASURES[self.recipe.task]:
            shown = ", ".join(MEASURES[self.recipe.task])
            raise UserError(f"--measure {self.measure} is not of a {self.recipe.task}; choose {shown}")
        looks_of(len(self.seeds), self.until_told)  # too few are refused now

    def recipes(self) -> dict[str, Recipe]:
        """The recipe of each variant, by its settings in words; UserError where two are the same recipe."""
        found = {name: with_settings(self.recipe, given) for name, given in self.variants.items()}
        for one, other in itertools.combinations(found, 2):
            if found[one] == found[other]:
                raise UserError(f"the variants {one!r} and {other!r} are the same recipe; leave one out")
        return found


def variants_of(task: Task, vary: Sequence[str], base: str | None, others: Sequence[str]) -> Variants:
    """The settings of every variant, by these in words, the base first; UserError where two are the same.

    `vary`: "positions=learned,alibi" makes a variant of each value; several make one of each combination. `base` and
    `others`: settings in words, "dropout=0.2 norm=pre"; each of the others differs from the base in what it says.
    """
    common = read_settings(task, (base or "").split())
    choices = [
        [f"{name}={value}" for value in values.split(",")] for name, _, values in (one.partition("=") for one in vary)
    ]
    given = [*itertools.product(*choices), *(words.split() for words in others)]
    settings = [{**common, **read_settings(task, words)} for words in given]
    found = {in_words(one): one for one in settings}
    if len(found) < len(settings):
        raise UserError("two variants are the same; leave one out")
    return found


def compare(question: Question, data: Data, folder: Folder, command_line: str) -> CompareResults:
    """Answer a question, draw, and write results.json."""
    against_none = opponents(question, data)  # first, for folds that cannot be made are refused here
    results = answer(question, against_none, data, folder, "compare", command_line)
    write_json(folder.path / "results.json", results)
    draw(results, folder.path / "figures")
    return results


def answer(
    question: Question,
    opponents: Mapping[str, Sequence[float]],
    data: Data,
    folder: Folder,
    command: str,
    command_line: str,
) -> CompareResults:
    """Train every variant on every seed, and compare them."""
    started, task = time.perf_counter(), question.recipe.task
    looks = looks_of(len(question.seeds), question.until_told)
    confidence = confidence_of_looks(looks)
    look = functools.partial(look_at, question, confidence, data, folder)
    runs, variants = until_told(looks, question.recipes(), look)
    means = [fmean(one.values) for one in variants]
    base = variants[0].values
    return CompareResults(
        command=command,
        data=data.corpus.about(),
        command_line=command_line,
        task=task,
        recipe=question.recipe_name,
        measure=question.measure,
        unit="points" if question.in_points else "ratio",
        on="validation" if question.validate else "test",
        seeds=[run.seed for run in runs[variants[0].name]],
        looks=looks,
        confidence=confidence,
        machines=distinct_machines(run for own in runs.values() for run in own),
        variants=variants,
        opponents=[compared_opponent(question, name, values, base, confidence) for name, values in opponents.items()],
        expected_best=expected_best(means, question.in_points) if question.validate else [],
        classifier={name: classifier_runs(own) for name, own in runs.items()} if task == "classifier" else {},
        decoder={name: decoder_runs(own) for name, own in runs.items()} if task == "decoder" else {},
        total_seconds=time.perf_counter() - started,
    )


def look_at(
    question: Question, confidence: float, data: Data, folder: Folder, n_seeds: Mapping[str, int]
) -> tuple[tuple[dict[str, list[TrainedRun]], list[ComparedVariant]], list[str]]:
    """The runs of every variant by name, with so many seeds of each, and what they say; and the names of those that
    more seeds may tell from the first one, with its own."""
    recipes = question.recipes()
    planned = {
        (name, seed): Run(
            f"{recipe.task}-{file_name(name)}-seed{seed}",
            recipe,
            seed,
            fold=seed if question.validate else None,
            brief=question.brief,
        )
        for name, recipe in recipes.items()
        for seed in range(question.seeds[0], question.seeds[0] + n_seeds[name])
    }
    runs: dict[str, list[TrainedRun]] = {name: [] for name in recipes}
    for (name, _), record in train(planned, data, folder, question.n_workers).items():
        runs[name].append(public(record))
    first = next(iter(recipes))
    test = rows_of(data) if question.recipe.task == "classifier" and not question.validate else None
    variants = [
        compared(question, name, own, runs[first] if name != first else None, test, confidence)
        for name, own in runs.items()
    ]
    unclear = [one.name for one in variants if one.verdict == UNCLEAR]
    return (runs, variants), [first, *unclear] if unclear else []


def compared(
    question: Question,
    name: str,
    runs: Sequence[TrainedRun],
    against: Sequence[TrainedRun] | None,
    test: Rows | None,
    confidence: float,
) -> ComparedVariant:
    """A variant beside the first one, whose runs are `against`; None: it is the first one itself. Classifiers of which
    too few trained on the same seeds are told apart by how many trained."""
    effect = effect_of(question, runs, against, test, confidence) if against else None
    verdict: ComparedVerdict | None = None
    needed = None
    if against:
        verdict = verdict_of(question, effect.both) if effect else "cannot tell"
        if question.in_points and (effect is None or effect.both.low is None):
            verdict = verdict_of(question, chance_of_training(runs, against, confidence))
    if effect and verdict == UNCLEAR:
        none = 0.0 if question.in_points else 1.0
        needed = seeds_needed(effect.both, above=none, level=(1 - confidence) / 2)
    return ComparedVariant(
        name=name,
        settings=dict(question.variants[name]),
        n_parameters=runs[0].n_parameters,
        values=[value_of(run, question.measure) for run in runs],
        at_chance=[isinstance(run, ClassifierRun) and not run.trained for run in runs],
        train_seconds=fmean(run.train_seconds for run in runs),
        estimate=effect.both if effect else None,
        seeds=effect.seeds if effect else None,
        items=effect.items if effect else None,
        verdict=verdict,
        seeds_needed=needed,
    )


def compared_opponent(
    question: Question, name: str, values: Sequence[float], base: Sequence[float], confidence: float
) -> ComparedOpponent:
    """A model without a network beside the first variant: in validation on the same folds."""
    estimate = difference(question, values, base[: len(values)], confidence) if question.validate else None
    return ComparedOpponent(name, list(values), estimate)


def difference(question: Question, ours: Sequence[float], theirs: Sequence[float], confidence: float) -> Estimate:
    """How far one is from the other over paired seeds: in points, or as a ratio; folds share rows."""
    shared = SHARED_BY_FOLDS if question.validate and question.measure != "training-time" else 0.0
    return (paired_difference if question.in_points else paired_ratio)(ours, theirs, shared, confidence)


def effect_of(
    question: Question,
    runs: Sequence[TrainedRun],
    against: Sequence[TrainedRun],
    test: Rows | None,
    confidence: float,
) -> Effect | None:
    """How a variant compares with the first, in points, or as a ratio; None where there is no seed on which both
    trained. For other test rows, or lines, too, where the measure is a mean over them and they are not folds."""
    measure, pairs = question.measure, list(zip(*on_same_seeds(runs, against)))
    if measure != "training-time":
        pairs = [pair for pair in pairs if all(not isinstance(run, ClassifierRun) or run.trained for run in pair)]
    if not pairs:
        return None
    ours, theirs = [run for run, _ in pairs], [run for _, run in pairs]
    values = [[value_of(run, measure) for run in own] for own in (ours, theirs)]
    found = difference(question, values[0], values[1], confidence)
    items: list[Items] = []
    if measure == "accuracy" and test:
        items = hits_by_stretch(classifier_runs(ours), classifier_runs(theirs), test, "all")
    elif measure == "perplexity" and not question.validate:
        decoders = decoder_runs(ours)
        items = nats_by_stretch(decoders, decoder_runs(theirs), list(decoders[0].scores))
    return crossed(found, items, confidence)


def chance_of_training(runs: Sequence[TrainedRun], against: Sequence[TrainedRun], confidence: float) -> Estimate:
    """By how many points a variant trains oftener than the first."""
    ours, theirs = (share_at_chance(classifier_runs(own), confidence) for own in (runs, against))
    return difference_of_shares(theirs, ours)


def verdict_of(question: Question, estimate: Estimate) -> ComparedVerdict:
    """Better or worse where the whole interval says so."""
    none = 1.0 if estimate.ratio else 0.0
    if estimate.low is None or estimate.high is None or estimate.low <= none <= estimate.high:
        return "cannot tell"
    return "better" if (estimate.low > none) == question.in_points else "worse"


def value_of(run: TrainedRun, measure: Score) -> float:
    """The measure of one run: percent, perplexity or bits per byte over all texts, or seconds."""
    if measure == "training-time":
        return run.train_seconds
    if isinstance(run, ClassifierRun):
        return overall(run.test) if measure == "accuracy" else run.scores.macro_f1
    assert isinstance(run, DecoderRun)
    return of_texts(run.scores, measure)


def of_texts(scores: TextScores, measure: Score) -> float:
    """One number for all texts: the geometric mean of perplexities, the mean of bits per byte."""
    if measure == "perplexity":
        return geometric_mean(one.perplexity for one in scores.values())
    return fmean(one.bits_per_byte for one in scores.values())


def opponents(question: Question, data: Data) -> dict[str, list[float]]:
    """The models without a network on the same rows or texts, by name."""
    if question.measure in ("macro-f1", "training-time"):
        return {}
    task, folds = question.recipe.task, [data]
    if question.validate:
        folds = [without_fold(data, task, seed) for seed in question.seeds]
    if task == "classifier":
        accuracies = [classifier_baselines(fold) for fold in folds]
        return {name: [overall(one[key]) for one in accuracies] for key, name in BASELINE_NAMES.items()}
    scores = [language_baselines(fold) for fold in folds]
    return {NGRAM_NAMES[key]: [of_texts(one[key], question.measure) for one in scores] for key in scores[0]}


def expected_best(values: Sequence[float], higher_is_better: bool) -> list[float]:
    """The best validation value that one may expect of n of these variants, tried at random, for n = 1 .. all of them.

    With replacement: of N values in order the i-th is the best of n with probability (i / N)^n - ((i - 1) / N)^n (Dodge
    et al. 2019, "Show Your Work", section 3).
    """
    order, size = sorted(values, reverse=not higher_is_better), len(values)
    return [
        sum(value * ((i / size) ** n - ((i - 1) / size) ** n) for i, value in enumerate(order, start=1))
        for n in range(1, size + 1)
    ]


def draw(results: CompareResults, figures: Path) -> None:
    """The forest of differences, and the learning curves."""
    base, ratio = results.variants[0].name, results.unit == "ratio"
    utilities.interval_figure(
        figures / "differences.png",
        [
            interval(one.name, one.estimate, ratio, color=folder)  # that of its curve
            for folder, one in enumerate(results.variants)
            if one.estimate
        ],
        f"{'change of' if ratio else 'difference in'} {results.measure} ({'%' if ratio else 'points'})",
        f"{results.task.capitalize()}, {results.recipe} recipe: against {base}",
        number="+.1f",
    )
    lines = accuracy_lines(results.classifier, "test") if results.classifier else perplexity_lines(results.decoder)
    x_label, y_label = ("epoch", "accuracy (%)") if results.classifier else ("iteration", "perplexity")
    title = f"{results.task.capitalize()}, {results.recipe} recipe"
    utilities.line_figure(
        figures / "curves.png", utilities.Panel(lines), x_label, y_label, title, log_y=not results.classifier
    )


def perplexity_lines(variants: Mapping[str, Sequence[DecoderRun]]) -> list[utilities.Line]:
    """Perplexity by iteration, the geometric mean over the texts that are measured."""

    def curve(run: DecoderRun) -> list[float]:
        texts = [name for name in run.iterations[0].perplexity if name != TRAINING]
        return [geometric_mean(row.perplexity[name] for name in texts) for row in run.iterations]

    return [
        utilities.Line(name, [row.iteration for row in own[0].iterations], [curve(run) for run in own])
        for name, own in variants.items()
    ]
