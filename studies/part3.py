"""Part 3, the exploration, as controlled experiments: what positions and what regularization change.

Variants differ in one thing and run on the same seeds, which decide initialisation, order and dropout together, so that
every difference is one between pairs. The differences and their intervals go to results.json; `claims.py` judges them.
"""

import time
from collections.abc import Mapping

from msgspec.structs import asdict, replace

from common.files import write_json
from dataset import Data, without_fold
from evaluation.looks import confidence_of_looks
from studies.attention import attention_of
from studies.claims import judge, undecided
from studies.comparisons import compare, rows_of
from studies.engine import train, until_told
from studies.figures import draw
from studies.lengths import extrapolate
from studies.opponents import classifier_baselines, language_baselines
from studies.recipes import label_of
from studies.results import Exploration, Part3Results, classifier_runs, decoder_runs
from studies.study import Study, best_rate
from studies.timing import time_variants
from studies.workers import all_recorded
from training.machine import distinct_machines
from training.records import TrainedRun
from training.runs import Folder, public


def part3(study: Study, data: Data, folder: Folder) -> Part3Results:
    """Run the study and draw Figures 8 to 11. Returns what results.json holds."""
    started = time.perf_counter()
    found = explore("part3", study, data, folder)
    claims, seconds = judge(found), time.perf_counter() - started
    results = Part3Results(**asdict(found), claims=claims, total_seconds=seconds)
    write_json(folder.path / "results.json", results)
    draw(results, folder.path / "figures")
    return results


def explore(command: str, study: Study, data: Data, folder: Folder, attention: bool = False) -> Exploration:
    """Train, measure and compare every variant for a `command`; records and weights are kept in `place`. Where the
    study goes on until it is told, more seeds are trained of those variants that an undecided claim is about.

    `attention`: with statistics of the attention maps.
    """
    variants = [(kind, name) for kind, recipes in study.kinds().items() for name in recipes]
    looks = study.looks()
    seeds = [study.seeds[0] + n for n in range(looks[0])]  # of every variant
    for seed in seeds if study.regularize else ():
        without_fold(data, "classifier", seed)  # rows that are too few for folds are refused before anything is trained
    all_recorded(study.runs(dict.fromkeys(variants, looks[-1])).values(), data, folder)  # of other settings: as well
    timing = time_variants(study, data, folder) if study.alibi else {}  # while the machine has nothing else to do
    baselines = classifier_baselines(data)
    ngram_scores = language_baselines(data) if study.alibi else {}
    tokens = data.tokenizer.tokenization.tokens

    def look(n_seeds: Mapping[tuple[str, str], int]) -> tuple[Exploration, list[tuple[str, str]]]:
        runs = study.runs(n_seeds)
        records = train(runs, data, folder, study.n_workers)
        found: dict[str, dict[str, list[TrainedRun]]] = {"classifier": {}, "decoder": {}, "validation": {}}
        for (kind, variant, _), record in records.items():
            found[kind].setdefault(variant, []).append(public(record))
        validation = {name: classifier_runs(own) for name, own in found["validation"].items()}
        results = Exploration(
            command=command,
            data=data.corpus.about(),
            recipe=study.recipe_name,
            labels={one.task: label_of(study.recipe_name, one, tokens) for one in (study.classifier, study.decoder)},
            seed=seeds[0],
            seeds=seeds,
            looks=looks,
            confidence=confidence_of_looks(looks),
            vocabulary_size=len(data.tokenizer),
            tokenizer=data.tokenizer.tokenization.kind,
            test_names=list(data.test_streams),
            block_size=study.decoder.architecture.block_size,
            machines=distinct_machines(records.values()),
            halves=study.halves(),
            classifier={name: classifier_runs(own) for name, own in found["classifier"].items()},
            decoder={name: decoder_runs(own) for name, own in found["decoder"].items()},
            validation=validation,
            widths=list(study.widths()) if study.alibi else [],
            baselines=baselines,
            ngram_scores=ngram_scores,
            timing=timing,
            extrapolation=extrapolate(runs, data, folder, study.n_workers) if study.alibi else {},
            chosen_rate=best_rate(validation),
            comparisons=[],
            attention=attention_of(records, runs, data, folder, study.n_workers) if attention else {},
        )
        results = replace(results, comparisons=compare(results, rows_of(data)))
        return results, undecided(results)

    return until_told(looks, variants, look)
