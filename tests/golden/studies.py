"""The studies whose numbers are kept: the report with its claims and pictures, ablation and measurement."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import torch

import studies.figures as figures
from dataset import Data
from evaluation.opponents import OPPONENTS
from studies.answers import Answers
from studies.ask import ask
from studies.catalogue.ingredients import CHANGES
from studies.catalogue.questions import exploration, ingredients, measured
from studies.catalogue.recipes import RECIPES
from studies.question import Study
from training.kinds import KINDS
from training.recipe import customise
from training.runs import Folder

from .cases import NOT_NUMBERS, SMALL, data_in_blocks
from .watch import as_json, undrawn, watched

SEEDS = (0, 1)
N_CHANGES = {"classifier": 4, "decoder": 3}  # of each recipe in the ablation
KEPT = ("labels", "seed", "seeds", "looks", "confidence", "vocabulary_size", "test_names", "block_size")
ANSWERS = ("classifier", "decoder", "validation", "timing", "lengths", "attention")
BRIEF: dict[Any, dict[str, Any]] = {  # both recipes of the ablation and of the measurement
    "classifier": {"n_embd": 16, "block_size": 12, "batch_size": 32, "learning_rate": 0.01, "duration": 2},
    "decoder": {"n_embd": 16, "block_size": 12, "n_layer": 1, "batch_size": 4, "learning_rate": 0.01, "duration": 6},
}


def exploration_outcome(shaken: int | None = None) -> Any:
    """What the report finds: runs, comparisons, claims, and what its pictures show."""
    durations: dict[Any, int] = {"classifier": 2, "decoder": 10}
    recipes: Any = {
        task: customise(RECIPES["report"][task], **SMALL[task] | {"duration": duration})
        for task, duration in durations.items()
    }
    questions = exploration(recipes, report=True)
    study = Study("report", "report", recipes, questions, SEEDS, timed_share=0.2, is_judged=True)
    data = data_in_blocks(SMALL["classifier"]["block_size"])
    with watched(shaken), undrawn() as pictures, tempfile.TemporaryDirectory() as temporary:
        folder = Folder(Path(temporary), torch.device("cpu"))
        answers = ask(study, data, folder, "python main.py report")
        figures.draw(answers, folder.path / "figures")
        figures.draw_maps(study, answers, folder, data.corpus)
    del pictures["knockouts_decoder"]  # PyTorch's kernel for attention rounds otherwise on the next processor
    plain = numbers_of(msgspec.to_builtins(answers))
    numbers = {name: plain[name] for name in (*KEPT, *ANSWERS)}
    numbers["baselines"] = {name: each[0]["test"] for name, each in plain["classifier_opponents"].items()}
    numbers["ngram_scores"] = {name: each[0]["scores"] for name, each in plain["decoder_opponents"].items()}
    numbers["comparisons"] = {title(row): without_verdict(row) for row in plain["comparisons"]}
    claims = {claim["id"]: claim for claim in plain["claims"]}
    return as_json({"part 3": numbers, "claims": claims, "pictures": pictures})


def ablation_outcome(shaken: int | None = None) -> Any:
    """What the ablation finds of a tiny best recipe with its first changes."""
    with brief_recipes(shaken, ff_dim=24) as (data, folder):
        questions = tuple(ingredients(task, list(CHANGES[task])[: N_CHANGES[task]]) for task in CHANGES)
        answers = ask(Study("ablation", "best", RECIPES["best"], questions, SEEDS), data, folder, "")
    return as_json({"rows": dict(compared_rows(answers))})


def compared_rows(answers: Answers) -> Iterator[tuple[str, Any]]:
    """Each variant and opponent of the ablation: its values, and how it differs from the recipe."""
    for name, question in answers.questions.items():
        measure = KINDS[question.kind].measures[question.measure]
        for variant, records in {**answers.runs(name), **answers.opponents(name)}.items():
            values = [measure.value(record, measure.subset) for record in records]
            (row, *_) = [*answers.find(question=name, variant=variant, measure=measure.name), None]
            shown = row if row and row.of_trained else None
            plain: dict[str, Any] = {"name": OPPONENTS.get(variant, variant), "values": values}
            plain["estimate"] = shown and msgspec.to_builtins(shown.estimate)
            if variant not in OPPONENTS:
                plain["n_parameters"] = records[0].n_parameters
                plain["at_chance"] = [not getattr(record, "trained", True) for record in records]
                plain["train_seconds"] = sum(record.train_seconds for record in records) / len(records)
                plain["verdict"], plain["seeds_needed"] = (row.verdict, row.seeds_needed) if row else (None, None)
            yield f"{name}: {plain['name']}", plain


def measurement_outcome(shaken: int | None = None) -> Any:
    """What the measurement finds of both recipes, tiny."""
    with brief_recipes(shaken) as (data, folder):
        questions = tuple(measured(task) for task in RECIPES["best"])
        answers = ask(Study("measure", "best", RECIPES["best"], questions, SEEDS), data, folder, "")
    rows: dict[str, Any] = {}
    for name, question in answers.questions.items():
        measure = KINDS[question.kind].measures[question.measure]
        for row in answers.comparisons:
            if row.question == name and row.subset not in (None, "train"):
                records = {**answers.runs(name), **answers.opponents(name)}
                for model in (row.base, row.variant):
                    values = [measure.value(record, row.subset or "") for record in records[model]]
                    key = f"{name}: {model}: {row.subset}"
                    rows.setdefault(key, {"values": values, "unit": row.unit, "estimate": None})
                plain = msgspec.to_builtins(row)
                rows[f"{name}: {row.base}: {row.subset}"] |= {
                    part: plain[part] for part in ("estimate", "seeds", "items") if plain.get(part) is not None
                }
    return as_json({"rows": rows})


@contextlib.contextmanager
def brief_recipes(shaken: int | None, **of_decoder: Any) -> Iterator[tuple[Data, Folder]]:
    """Within it, both recipes are tiny; data and a folder for their runs."""
    recipes = {name: {task: customise(own[task], **BRIEF[task]) for task in own} for name, own in RECIPES.items()}
    recipes["best"]["decoder"] = customise(recipes["best"]["decoder"], n_spellings=64, **of_decoder)
    with (
        mock.patch.dict(RECIPES, recipes),
        watched(shaken),
        tempfile.TemporaryDirectory() as temporary,
    ):
        yield data_in_blocks(BRIEF["classifier"]["block_size"]), Folder(Path(temporary), torch.device("cpu"))


def title(comparison: Mapping[str, Any]) -> str:
    """What is compared, in a line."""
    parts = [f"{comparison['variant']} against {comparison['base']}", comparison["measure"]]
    parts += [f"{key} {comparison[key]}" for key in ("subset", "length", "reading") if key in comparison]
    return f"{comparison['question']}: {', '.join(parts)}"


def without_verdict(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison's numbers; what is said of them is judged by claims."""
    return {key: value for key, value in comparison.items() if key not in ("verdict", "seeds_needed", "of_trained")}


def numbers_of(value: Any) -> Any:
    """`value` without what says where and when it was made."""
    if isinstance(value, dict):
        return {key: numbers_of(part) for key, part in value.items() if key not in NOT_NUMBERS}
    return [numbers_of(part) for part in value] if isinstance(value, list) else value
