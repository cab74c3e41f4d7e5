"""Part 3, the exploration, as controlled experiments: what positions and what regularization change.

Variants differ in one thing and run on the same seeds, which decide initialisation, order and dropout together, so that
every difference is one between pairs. The differences and their intervals go to results.json; `claims.py` judges them.
"""

import time
from typing import Any

from common.files import write_json
from dataset import Data
from studies.claims import judge
from studies.comparisons import compare
from studies.figures import draw
from studies.lengths import extrapolate
from studies.opponents import classifier_baselines, language_baselines, perplexities
from studies.results import kind_of_tokens
from studies.study import Study, best_rate, plan, validated
from studies.timing import time_variants
from studies.workers import perform_all
from training.machine import distinct_machines
from training.runs import Place, public, recorded


def part3(study: Study, data: Data, place: Place) -> dict[str, Any]:
    """Run the study and draw Figures 8 to 11. Returns what results.json holds."""
    started = time.perf_counter()
    results = {"command": "part3", **explore(study, data, place)}
    results["claims"] = judge(results)
    results["total_seconds"] = time.perf_counter() - started
    write_json(place.out / "results.json", results)
    draw(results, place.out / "figures")
    return results


def explore(study: Study, data: Data, place: Place) -> dict[str, Any]:
    """Train, measure and compare every variant; records and weights are kept in `place`."""
    runs = {
        **plan("classifier", study.classifiers(), study.seeds),
        **plan("decoder", study.decoders(), study.seeds),
        **(plan("validation", validated(study), study.seeds) if study.regularize else {}),
    }
    distinct = sorted(dict.fromkeys(runs.values()), key=lambda run: run.seed)  # stopped early, whole seeds are done
    for run in distinct:
        recorded(run, data, place)  # what is there of other settings is refused before anything is written
    timing = time_variants(study, data, place) if study.alibi else {}  # while the machine has nothing else to do
    records = dict(zip(distinct, perform_all(distinct, data, place, study.n_workers)))
    found: dict[str, dict[str, list[dict[str, Any]]]] = {"classifier": {}, "decoder": {}, "validation": {}}
    for (kind, variant, _), run in runs.items():
        found[kind].setdefault(variant, []).append(public(records[run]))
    ngrams = language_baselines(data) if study.alibi else {}
    results: dict[str, Any] = {
        "recipe": study.recipe_name,
        "seed": study.seeds[0],
        "seeds": list(study.seeds),
        "vocabulary_size": len(data.tokenizer),
        **kind_of_tokens(data),
        "class_names": data.corpus.class_names,
        "test_names": list(data.test_streams),
        "block_size": study.decoder.architecture.block_size,
        "machines": distinct_machines(records.values()),
        "halves": [name for name in ("alibi", "regularize") if getattr(study, name)],
        **found,
        "baselines": {**classifier_baselines(data), **perplexities(ngrams)},
        "ngram_scores": ngrams,
        "timing": timing,
        "extrapolation": extrapolate(runs, data, place, study.n_workers) if study.alibi else {},
    }
    labels = data.test.labels.tolist()
    results["chosen_rate"] = best_rate(found["validation"])
    results["comparisons"] = compare(results, labels)
    return results
