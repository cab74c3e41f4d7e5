"""Ask: the runs of a study are trained, measured, compared and probed, until the answers tell or the seeds run out.

This is the one place that writes results.json.
"""

import functools
import importlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from common.files import write_json
from dataset import TRAINING, Data, encode, without_fold
from evaluation.looks import confidence_of_looks
from evaluation.statistics import UNCLEAR
from studies.answers import Answers, Asked, Comparison, Timing, as_results
from studies.catalogue.claims import claims_on
from studies.catalogue.recipes import RECIPES, label_of
from studies.claims import judge, undecided_variants
from studies.effects import effects_of, effects_of_length, effects_on_time, has_trained
from studies.engine import train, until_told
from studies.probes.timing import time_positions
from studies.probes.tokens import tokens_of
from studies.question import Probe, Question, Study
from studies.workers import all_recorded, share_out
from tokenizer import Tokenization
from training.machine import distinct_machines
from training.recipe import Run, Task, settings_of
from training.records import TrainedRun
from training.runs import Folder, identity_of, public, remembered

Variant = tuple[str, str]  # of a question
Records = Mapping[str, Mapping[str, Sequence[TrainedRun]]]  # by question and variant, a run for each seed


def ask(study: Study, data: Data, folder: Folder, command_line: str, **told: Any) -> Answers:
    """The answers to every question of a study, judged, and written to results.json.

    Records and weights are kept in the folder, and what is there already is not trained again. Where the study goes on
    until it is told, more seeds are trained of the variants that are undecided. `told`: what else the answers hold.
    """
    started = time.perf_counter()
    refuse_impossible(study, data, folder)
    timing = time_positions(study, data, folder) if study.timed_share else {}  # while nothing else runs
    looks = study.looks()
    opponents: dict[Task, Any] = {}

    def look(n_seeds: Mapping[Variant, int]) -> tuple[Answers, Iterable[Variant]]:
        runs = {question.name: question.runs(_of(question, n_seeds), study.seeds[0]) for question in study.questions}
        records = _train(study, runs, data, folder, opponents)
        answers = _answers(study, records, opponents, timing, data)
        answers = replace(answers, **_probed(study, runs, records, data, folder))
        answers = replace(answers, comparisons=[*answers.comparisons, *_effects_of_probes(answers)])
        return answers, undecided(study, answers)

    variants = [(question.name, variant) for question in study.questions for variant in question.variants]
    answers = until_told(looks, variants, look)
    answers = replace(
        answers,
        command_line=command_line,
        tokens=tokens_of(study.questions, {question: answers.runs(question) for question in answers.questions}, data)
        if study.questions[0].tokenizations
        else [],
        total_seconds=time.perf_counter() - started,
        **told,
    )
    if study.is_judged:
        answers = judged(answers)
    write_json(folder.path / "results.json", as_results(answers))
    return answers


def judged(answers: Answers) -> Answers:
    """The answers with a judgement of each of the report's claims that can be put to them."""
    return replace(answers, claims=judge(claims_on(answers), answers))


def refuse_impossible(study: Study, data: Data, folder: Folder) -> None:
    """UserError, before anything is trained, for folds that cannot be made and for records of other settings."""
    most = study.looks()[-1]
    for question in study.questions:
        for seed in study.seeds if question.on_folds else ():
            without_fold(data, question.kind.name, seed)
        for variant in question.variants:
            runs = question.runs({variant: most}, study.seeds[0]).values()
            if there := [run for run in runs if folder.record(run).exists()]:
                all_recorded(there, in_tokens(question.tokenizations.get(variant), data), folder)


def in_tokens(tokenization: Tokenization | None, data: Data) -> Data:
    """The data cut into other tokens; None: as they are."""
    if tokenization in (None, data.tokenizer.tokenization):
        return data
    return encode(data.corpus, data.train.ids.shape[1], tokenization)


def _of(question: Question, n_seeds: Mapping[Variant, int]) -> dict[str, int]:
    return {variant: n for (name, variant), n in n_seeds.items() if name == question.name}


# ---------------------------------------------------------------------------------------------------------------- train
def _train(
    study: Study,
    runs: Mapping[str, Mapping[tuple[str, int], Run]],
    data: Data,
    folder: Folder,
    opponents: dict[Task, Any],
) -> Records:
    """The records of all runs; meanwhile the opponents, at the first look."""

    def meanwhile() -> None:
        importlib.import_module("matplotlib.figure")  # which will draw, and takes long
        for question in study.questions:
            if question.has_opponents and question.kind.name not in opponents:
                opponents[question.kind.name] = opponents_of(question, study.seeds, data)

    by_tokens: dict[Any, dict[Any, Run]] = {}
    for question in study.questions:
        for key, run in runs[question.name].items():
            tokenization = question.tokenizations.get(key[0])
            by_tokens.setdefault(tokenization, {})[question.name, *key] = run
            for probe in question.probes:
                if probe.needs and key[0] in probe.variants and (more := probe.needs(run, data)):
                    by_tokens[tokenization][question.name, more.name, key[1]] = more
    records: dict[Any, TrainedRun] = {}
    for tokenization, own_runs in by_tokens.items():
        encoded = in_tokens(tokenization, data)
        records |= train(own_runs, encoded, folder, study.n_workers, None if opponents else meanwhile)
    found: dict[str, dict[str, list[TrainedRun]]] = {question.name: {} for question in study.questions}
    for question in study.questions:
        for variant, seed in runs[question.name]:
            found[question.name].setdefault(variant, []).append(public(records[question.name, variant, seed]))
    return found


def opponents_of(question: Question, seeds: Sequence[int], data: Data) -> dict[str, list[Any]]:
    """The models without a network on the test set, or on the fold of each seed, by their keys."""
    kind, test_sets = question.kind, [data]
    if question.on_folds:
        test_sets = [without_fold(data, kind.name, seed) for seed in seeds]
    scored = [kind.opponents(test_set) for test_set in test_sets]
    return {name: [each[name] for each in scored] for name in scored[0]}


# -------------------------------------------------------------------------------------------------------------- measure
def _answers(
    study: Study, records: Records, opponents: Mapping[Task, Any], timing: Mapping[Task, Timing], data: Data
) -> Answers:
    """What the records say."""
    confidence = confidence_of_looks(study.looks())
    comparisons: list[Comparison] = []
    for question in study.questions:
        beside = opponents.get(question.kind.name, {})
        comparisons += effects_of(question, records[question.name], beside, data, confidence)
    tokens = data.tokenizer.tokenization
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
        n_tokens={name: len(text.ids) for name, text in {TRAINING: data.train_stream, **data.test_streams}.items()},
        n_truncated={"train": data.train.n_truncated, "test": data.test.n_truncated},
        machines=[],
        questions={question.name: asked(study, question) for question in study.questions},
        classifier_opponents=opponents.get("classifier", {}),
        decoder_opponents=opponents.get("decoder", {}),
        comparisons=comparisons,
        timing=dict(timing),
        training_seconds=0.0,
        total_seconds=0.0,
        **records,  # type: ignore[arg-type]
    )
    runs = answers.trainings()
    seconds = sum(run.train_seconds for run in runs)
    return replace(answers, machines=distinct_machines(runs), training_seconds=seconds)


def asked(study: Study, question: Question) -> Asked:
    """The question as results.json says it."""
    kind = question.kind.name
    plain = settings_of(RECIPES[study.recipe_name][kind])
    settings = {
        variant: {name: value for name, value in settings_of(recipe).items() if value != plain[name]}
        for variant, recipe in question.variants.items()
    }
    return Asked(kind, question.base, question.measured[0][0].name, question.on_folds, settings)


def _effects_of_probes(answers: Answers) -> list[Comparison]:
    """What positions change in the time of a training step, and inference lengths in perplexity."""
    pairs = list(dict.fromkeys((row.variant, row.base) for row in answers.comparisons))
    timed = {name for timing in answers.timing.values() for name in timing.seconds}
    of_time = effects_on_time(answers.timing, [pair for pair in pairs if timed.issuperset(pair)], answers.confidence)
    seeds = answers.lengths.get("decoder", {}).get("alibi", [])
    of_length = effects_of_length("alibi", seeds, answers.block_size, answers.confidence) if seeds else []
    return [*of_time, *of_length]


def undecided(study: Study, answers: Answers) -> list[Variant]:
    """The variants more seeds of which may tell what these cannot, each with its question."""
    if study.is_judged:
        return undecided_variants(claims_on(answers), answers)
    unclear = [
        row for row in answers.comparisons if row.verdict == UNCLEAR and row.variant in answers.runs(row.question)
    ]
    return list(dict.fromkeys((row.question, name) for row in unclear for name in (row.base, row.variant)))


# --------------------------------------------------------------------------------------------------------------- probes
def _probed(
    study: Study,
    runs: Mapping[str, Mapping[tuple[str, int], Run]],
    records: Records,
    data: Data,
    folder: Folder,
) -> dict[str, Any]:
    """What the probes answer, by their names."""
    answers: dict[str, Any] = {}
    for question in study.questions:
        for probe in question.probes:
            asked = {
                variant: _runs_to_ask(probe, variant, runs[question.name], records[question.name][variant])
                for variant in probe.variants
            }
            job = functools.partial(ask_probe, probe, data=data, folder=folder)
            every_run = [run for variant in asked.values() for run in variant]
            label = f"{probe.name} of the {question.kind.name}"
            found = iter(share_out(job, every_run, study.n_workers, label))
            by_variant = {variant: [next(found) for _ in asked_runs] for variant, asked_runs in asked.items()}
            answers.setdefault(probe.name, {})[question.name] = by_variant
    return answers


def _runs_to_ask(
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
    return remembered(
        path, probe.record, identity_of(run, data, folder), lambda: probe.ask(run, data, folder), lambda answer: True
    )
