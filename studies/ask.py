"""Ask: the runs of a study are trained, measured, compared and probed, until the answers tell or the seeds run out.

This is the one place that writes results.json.
"""

import dataclasses
import functools
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from common.files import UserError, write_sealed
from dataset import Data, encode, without_fold
from evaluation.accuracy import largest_share
from evaluation.statistics import UNCLEAR, confidence_of_looks
from speechesdataset.folder import TRAINING
from studies.answers import Answers, Asked, Comparison, Timing, as_results
from studies.catalogue.claims import claims_on
from studies.catalogue.recipes import RECIPES, label_of
from studies.claims import judge, undecided_variants
from studies.effects import effects_of, effects_of_length, effects_on_time, has_trained, trained_like_the_others
from studies.engine import train_meanwhile, until_told
from studies.probes.timing import time_positions
from studies.probes.tokens import tokens_of
from studies.question import Probe, Question, Study
from studies.workers import all_recorded, share_out
from tokenizer import UNK, Tokenization
from training.loop import Diverged
from training.machine import distinct_machines
from training.recipe import Run, Task, settings_of
from training.records import DivergedRun, TrainedRun
from training.runs import Folder, identity_of, public, remembered

Runs = Mapping[str, Mapping[tuple[str, int], Run]]  # by question; by variant and seed
Records = Mapping[str, Mapping[str, Sequence[TrainedRun]]]  # by question; by variant, one a seed
Opponents = Mapping[Task, Mapping[str, Sequence[Any]]]  # by kind; by name, one on the test set or one a fold


def ask(study: Study, data: Data, folder: Folder, command_line: str, **extra: Any) -> Answers:
    """The answers to every question of a study, with the report's claims judged, written to results.json.

    Records and weights are kept in the folder, and what is there already is not trained again. Where the study goes on
    until it is told, more seeds are trained of the variants that are undecided. `extra`: what else the answers hold.
    """
    started = time.perf_counter()
    refuse_impossible(study, data, folder)
    timing = time_positions(study, data, folder) if study.timed_share else {}  # while nothing else runs
    opponents = functools.cache(functools.partial(opponents_of, study, data))
    first_seed = study.seeds[0]

    def look(n_seeds: Mapping[tuple[str, str], int]) -> tuple[Answers, list[tuple[str, str]]]:
        runs = {
            question.name: question.runs({name: n_seeds[question.name, name] for name in question.variants}, first_seed)
            for question in study.questions
        }
        records = train_all(study, runs, data, folder, opponents)
        trained, diverged = without_diverged(study, records)
        answers = measure(trained, records, opponents(), timing, data)
        answers = replace(answers, diverged=diverged, **probe_all(trained, runs, records, data, folder))
        answers = replace(answers, comparisons=[*answers.comparisons, *effects_of_probes(answers)])
        return answers, undecided(study, answers)

    variants = [(question.name, variant) for question in study.questions for variant in question.variants]
    answers = until_told(study.looks(), variants, look)
    answers = replace(answers, command_line=command_line, total_seconds=time.perf_counter() - started, **extra)
    answers = judged(answers) if study.is_judged else answers
    write_sealed(folder.path / "results.json", as_results(answers))
    return answers


def judged(answers: Answers) -> Answers:
    """The answers with a judgement of each of the report's claims that can be put to them."""
    return replace(answers, claims=judge(claims_on(answers), answers))


def refuse_impossible(study: Study, data: Data, folder: Folder) -> None:
    """UserError, before anything is trained, for folds that cannot be made and for records of other settings."""
    most_seeds = study.looks()[-1]
    for question in study.questions:
        for seed in study.seeds if question.on_folds else ():
            without_fold(data, question.kind.name, seed)
        if not question.tokenizations:
            runs = question.runs(dict.fromkeys(question.variants, most_seeds), study.seeds[0])
            all_recorded(runs.values(), data, folder)


def undecided(study: Study, answers: Answers) -> list[tuple[str, str]]:
    """The variants that need more seeds, each with its question."""
    if study.is_judged:
        return undecided_variants(claims_on(answers), answers)
    unclear = [
        row for row in answers.comparisons if row.verdict == UNCLEAR and row.variant in answers.runs(row.question)
    ]
    return list(dict.fromkeys((row.question, name) for row in unclear for name in (row.base, row.variant)))


# ---------------------------------------------------------------------------------------------------------------- train
def train_all(study: Study, runs: Runs, data: Data, folder: Folder, opponents: Callable[[], Opponents]) -> Records:
    """The records of all runs. While workers train, the `opponents` are measured, too, if they are not yet."""
    by_tokens: dict[Tokenization, dict[tuple[str, str, int], Run]] = {}
    for question in study.questions:
        for (variant, seed), run in runs[question.name].items():
            tokenization = question.tokenizations.get(variant, data.tokenizer.tokenization)
            together = by_tokens.setdefault(tokenization, {})
            together[question.name, variant, seed] = run
            for probe in question.probes:
                if probe.needs and variant in probe.variants and (needed := probe.needs(run, data)):
                    together[probe.name, variant, seed] = needed
    records: dict[tuple[str, str, int], TrainedRun] = {}
    for tokenization, together in by_tokens.items():
        encoded = data
        if tokenization != data.tokenizer.tokenization:
            encoded = encode(data.corpus, data.train.ids.shape[1], tokenization)
        trained, _ = train_meanwhile(together, encoded, folder, study.n_workers, opponents)
        records |= trained
    kept = {key: public(record) for key, record in records.items()}
    return {
        question.name: {
            variant: trained_like_the_others(
                [kept[question.name, name, seed] for name, seed in runs[question.name] if name == variant],
                largest_share(data.train.labels),
            )
            for variant in question.variants
        }
        for question in study.questions
    }


def without_diverged(study: Study, records: Records) -> tuple[Study, dict[str, dict[str, list[DivergedRun]]]]:
    """The study without the variants of which a run diverged, and those runs, by question and variant. UserError where
    the others cannot be judged without it."""
    questions, diverged = [], {}
    for question in study.questions:
        of_variant = {
            name: [run for run in seeds if isinstance(run, DivergedRun)]
            for name, seeds in records[question.name].items()
        }
        left_out = {name: runs for name, runs in of_variant.items() if runs}
        if left_out:
            diverged[question.name] = left_out
        for name, (first, *_) in left_out.items():
            if name == question.base or not question.may_diverge:
                raise UserError(f"{name}, seed {first.seed}: {Diverged(first.step)}")
        variants = {name: recipe for name, recipe in question.variants.items() if name not in left_out}
        pairs = tuple(pair for pair in question.pairs if left_out.keys().isdisjoint(pair))
        questions.append(dataclasses.replace(question, variants=variants, pairs=pairs))
    return dataclasses.replace(study, questions=tuple(questions)), diverged


def opponents_of(study: Study, data: Data) -> Opponents:
    """The models without a network on the test set, or on the fold of each seed, by kind and name."""
    importlib.import_module("matplotlib.figure")  # which will draw, and takes long to import
    opponents: dict[Task, Mapping[str, Sequence[Any]]] = {}
    for question in study.questions:
        if question.has_opponents:
            kind, test_sets = question.kind, [data]
            if question.on_folds:
                test_sets = [without_fold(data, kind.name, seed) for seed in study.seeds]
            scored = [kind.opponents(test_set) for test_set in test_sets]
            opponents[kind.name] = {name: [each[name] for each in scored] for name in scored[0]}
    return opponents


# -------------------------------------------------------------------------------------------------------------- measure
def measure(study: Study, records: Records, opponents: Opponents, timing: Mapping[Task, Timing], data: Data) -> Answers:
    """What the records say."""
    confidence = confidence_of_looks(study.looks())
    comparisons: list[Comparison] = []
    for question in study.questions:
        beside = opponents.get(question.kind.name, {})
        comparisons += effects_of(question, records[question.name], beside, data, confidence)
    tokens, texts = data.tokenizer.tokenization, {TRAINING: data.train_stream, **data.test_streams}
    answers = Answers(
        command=study.command,
        command_line="",
        data=data.corpus.about(),
        recipe=study.recipe_name,
        labels={kind: label_of(study.recipe_name, recipe, tokens.tokens) for kind, recipe in study.recipes.items()},
        seed=study.seeds[0],
        seeds=list(study.seeds[: study.looks()[0]]),
        looks=study.looks(),
        confidence=confidence,
        vocabulary_size=len(data.tokenizer),
        tokenizer=tokens.kind,
        block_size=data.train.ids.shape[1],
        test_names=list(data.test_streams),
        n_tokens={name: len(text.ids) for name, text in texts.items()},
        unknown={name: 100 * float((text.ids == UNK).double().mean()) for name, text in data.test_streams.items()},
        n_truncated={"train": data.train.n_truncated, "test": data.test.n_truncated},
        machines=[],
        questions={question.name: asked(study, question) for question in study.questions},
        classifier_opponents=opponents.get("classifier", {}),  # type: ignore[arg-type]
        decoder_opponents=opponents.get("decoder", {}),  # type: ignore[arg-type]
        comparisons=comparisons,
        timing=dict(timing),
        tokens=tokens_of(study.questions, records, data, confidence),
        training_seconds=0.0,
        total_seconds=0.0,
        **{
            question.name: {name: records[question.name][name] for name in question.variants}
            for question in study.questions
        },  # type: ignore[arg-type]
    )
    runs = answers.trainings()
    seconds = sum(run.train_seconds for run in runs)
    return replace(answers, machines=distinct_machines(runs), training_seconds=seconds)


def asked(study: Study, question: Question) -> Asked:
    """The question as results.json says it."""
    of_recipe = settings_of(RECIPES[study.recipe_name][question.kind.name])
    settings = {
        variant: {name: value for name, value in settings_of(recipe).items() if value != of_recipe[name]}
        for variant, recipe in question.variants.items()
    }
    measure, _ = question.measured[0]
    return Asked(question.kind.name, question.base, measure.name, question.on_folds, settings)


# --------------------------------------------------------------------------------------------------------------- probes
def probe_all(study: Study, runs: Runs, records: Records, data: Data, folder: Folder) -> dict[str, Any]:
    """What the probes answer, by their names."""
    answers: dict[str, dict[str, Any]] = {}
    for question in study.questions:
        for probe in question.probes:
            asked_runs = {
                variant: runs_to_ask(probe, variant, runs[question.name], records[question.name][variant])
                for variant in probe.variants
            }
            job = functools.partial(ask_probe, probe, data=data, folder=folder)
            every_run = [run for variant_runs in asked_runs.values() for run in variant_runs]
            found = iter(share_out(job, every_run, study.n_workers, f"{probe.name} of the {question.kind.name}"))
            by_variant = {variant: [next(found) for _ in variant_runs] for variant, variant_runs in asked_runs.items()}
            answers.setdefault(probe.name, {})[question.name] = by_variant
    return answers


def runs_to_ask(
    probe: Probe, variant: str, runs: Mapping[tuple[str, int], Run], records: Sequence[TrainedRun]
) -> list[Run]:
    """The runs of a variant that trained, or all if none did; of these, every one or the first."""
    every_run = [run for (name, _), run in runs.items() if name == variant]
    trained = [run for run, record in zip(every_run, records) if has_trained(record)] or every_run
    return trained if probe.every_seed else trained[:1]


def ask_probe(probe: Probe, run: Run, data: Data, folder: Folder) -> Any:
    """The answer of a probe about a run: the one that is kept beside it, or a new one."""
    if probe.record is None:
        return probe.ask(run, data, folder)
    path = folder.path / "runs" / f"{run.name}.{probe.name}.json"
    return remembered(path, probe.record, identity_of(run, data, folder), lambda: probe.ask(run, data, folder))


def effects_of_probes(answers: Answers) -> list[Comparison]:
    """What positions change in the time of a training step, and inference lengths in perplexity."""
    pairs = dict.fromkeys((row.variant, row.base) for row in answers.comparisons)
    timed = {name for timing in answers.timing.values() for name in timing.seconds}
    of_time = effects_on_time(answers.timing, [pair for pair in pairs if timed.issuperset(pair)], answers.confidence)
    seeds = answers.lengths.get("decoder", {}).get("alibi", [])
    of_length = effects_of_length("alibi", seeds, answers.block_size, answers.confidence) if seeds else []
    return [*of_time, *of_length]
