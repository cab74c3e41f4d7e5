"""Part 3, the exploration, as controlled experiments: what positions and what regularization change.

Variants differ in one thing and run on the same seeds, which decide initialisation, order and dropout together, so that
every difference is one between pairs. The differences and their intervals go to results.json; `claims.py` judges them.
"""

import time

from msgspec.structs import asdict, replace

from common.files import write_json
from dataset import Data, validation_split
from studies.claims import judge
from studies.comparisons import compare, rows_of
from studies.figures import draw
from studies.lengths import extrapolate
from studies.opponents import classifier_baselines, language_baselines
from studies.recipes import label_of
from studies.results import Exploration, Part3Results, classifier_runs, decoder_runs
from studies.study import Study, best_rate, plan, validated
from studies.timing import time_variants
from studies.workers import all_recorded, perform_all
from training.machine import distinct_machines
from training.records import TrainedRun
from training.runs import Place, public


def part3(study: Study, data: Data, place: Place) -> Part3Results:
    """Run the study and draw Figures 8 to 11. Returns what results.json holds."""
    started = time.perf_counter()
    found = explore("part3", study, data, place)
    claims, seconds = judge(found), time.perf_counter() - started
    results = Part3Results(**asdict(found), claims=claims, total_seconds=seconds)
    write_json(place.out / "results.json", results)
    draw(results, place.out / "figures")
    return results


def explore(command: str, study: Study, data: Data, place: Place) -> Exploration:
    """Train, measure and compare every variant for a `command`; records and weights are kept in `place`."""
    runs = {
        **plan("classifier", study.classifiers(), study.seeds),
        **plan("decoder", study.decoders(), study.seeds, brief=study.widths()),
        **(plan("validation", validated(study), study.seeds) if study.regularize else {}),
    }
    for seed in study.seeds if study.regularize else ():
        validation_split(data, seed)  # rows that are too few for folds are refused before anything is trained
    distinct = sorted(dict.fromkeys(runs.values()), key=lambda run: run.seed)  # stopped early, whole seeds are done
    there = all_recorded(distinct, data, place)
    timing = time_variants(study, data, place) if study.alibi else {}  # while the machine has nothing else to do
    records = dict(zip(distinct, perform_all(distinct, data, place, study.n_workers, there)))
    found: dict[str, dict[str, list[TrainedRun]]] = {"classifier": {}, "decoder": {}, "validation": {}}
    for (kind, variant, _), run in runs.items():
        found[kind].setdefault(variant, []).append(public(records[run]))
    validation = {name: classifier_runs(own) for name, own in found["validation"].items()}
    tokens = data.tokenizer.tokenization.tokens
    results = Exploration(
        command=command,
        data=data.corpus.about(),
        recipe=study.recipe_name,
        labels={one.task: label_of(study.recipe_name, one, tokens) for one in (study.classifier, study.decoder)},
        seed=study.seeds[0],
        seeds=list(study.seeds),
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
        baselines=classifier_baselines(data),
        ngram_scores=language_baselines(data) if study.alibi else {},
        timing=timing,
        extrapolation=extrapolate(runs, data, place, study.n_workers) if study.alibi else {},
        chosen_rate=best_rate(validation),
        comparisons=[],
    )
    return replace(results, comparisons=compare(results, rows_of(data)))
