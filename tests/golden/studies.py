"""The studies whose numbers are kept: part 3 with the page that the report makes of it, ablation and measurement."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import torch

import studies.recipes
from dataset import Data
from reporting import comparison, page, table, tables
from studies import ablation, measure
from studies.part3 import part3
from studies.recipes import RECIPES
from studies.report import report
from studies.study import Study
from training.recipe import customise
from training.runs import Folder

from .cases import NOT_NUMBERS, SMALL, data_in_blocks
from .watch import as_json, undrawn, watched

SEEDS = (0, 1)
N_CHANGES = {"classifier": 4, "decoder": 3}  # of each recipe in the ablation
COMMANDS = {name: f"python main.py {name}" for name in ("part1", "part2", "part3", "report")}
PROVENANCE = "How this was made"  # a section of the page
BRIEF: dict[Any, dict[str, Any]] = {  # both recipes of the ablation and of the measurement
    "classifier": {"n_embd": 16, "block_size": 12, "batch_size": 32, "learning_rate": 0.01, "duration": 2},
    "decoder": {"n_embd": 16, "block_size": 12, "n_layer": 1, "batch_size": 4, "learning_rate": 0.01, "duration": 6},
}


def exploration_outcome(shaken: int | None = None) -> Any:
    """What part 3 finds, and what the report's page says of it: verdicts, tables, and what its pictures show."""
    durations: dict[Any, int] = {"classifier": 2, "decoder": 10}
    recipes: Any = {
        task: customise(RECIPES["report"][task], **SMALL[task] | {"duration": duration})
        for task, duration in durations.items()
    }
    study = Study("report", **recipes, seeds=SEEDS, ff_dims=(256, 100), timed_share=0.2)
    data = data_in_blocks(SMALL["classifier"]["block_size"])
    with watched(shaken), undrawn() as pictures, tempfile.TemporaryDirectory() as temporary:
        folder = Folder(Path(temporary), torch.device("cpu"))
        found = part3(study, data, folder)
        whole = report(study, data, folder, "python main.py report", COMMANDS, quick=False, ablation=None)
        sections = [one for one in page.compose(whole, folder.path / "figures") if one.title != PROVENANCE]
    numbers = {
        key: value for key, value in numbers_of(msgspec.to_builtins(found)).items() if key != "claims"
    }  # the page has more of them
    numbers["comparisons"] = {title(row): row for row in numbers["comparisons"]}
    said = {
        "in short": page.in_short(whole),
        "claims": {claim.id: msgspec.to_builtins(claim) for claim in whole.claims},
        "attention": msgspec.to_builtins(whole.attention),
        "tables": {table.title: cells(table) for one in sections for table in (*one.tables, *one.more)},
    }
    return as_json({"part 3": numbers, "page": said, "pictures": pictures})


def ablation_outcome(shaken: int | None = None) -> Any:
    """What the ablation finds of a tiny best recipe with its first changes, and its tables."""
    changes = {task: names[: N_CHANGES[task]] for task, names in ablation.chosen().items()}
    with brief_recipes(shaken) as (data, folder):
        found = ablation.ablation(changes, SEEDS, data, folder, "python main.py ablation", n_workers=1)
    rows = {
        f"{one.task}: {row['name']}": numbers_of(row)
        for one in found.tasks
        for row in msgspec.to_builtins([*one.variants, *one.opponents])
    }
    return as_json({"rows": rows, "tables": {one.title: cells(one) for one in comparison.tables_of_ablation(found)}})


def measurement_outcome(shaken: int | None = None) -> Any:
    """What the measurement finds of both recipes, tiny, and its tables."""
    with brief_recipes(shaken) as (data, folder):
        found = measure.measure(SEEDS, data, folder, "python main.py measure", n_workers=1)
    rows = {f"{row.task}: {row.model}: {row.measure}": msgspec.to_builtins(row) for row in found.rows}
    text = {one.title: cells(one) for one in tables.tables_of_measurement(found)}
    return as_json({"rows": rows, "in a sentence": {"all": tables.in_a_sentence(found)}, "tables": text})


@contextlib.contextmanager
def brief_recipes(shaken: int | None) -> Iterator[tuple[Data, Folder]]:
    """Within it, both recipes are tiny; data and a place for their runs."""
    recipes = {name: {task: customise(own[task], **BRIEF[task]) for task in own} for name, own in RECIPES.items()}
    recipes["best"]["decoder"] = customise(recipes["best"]["decoder"], n_spellings=64)
    with (
        mock.patch.dict(studies.recipes.RECIPES, recipes),
        mock.patch.dict(studies.recipes.FF_DIMS, best=(24,)),
        watched(shaken),
        tempfile.TemporaryDirectory() as temporary,
    ):
        yield data_in_blocks(BRIEF["classifier"]["block_size"]), Folder(Path(temporary), torch.device("cpu"))


def title(comparison: Mapping[str, Any]) -> str:
    """What is compared, in a line."""
    parts = [f"{comparison['variant']} against {comparison['base']}", comparison["measure"]]
    parts += [f"{key} {comparison[key]}" for key in ("rows", "text", "length", "protocol") if key in comparison]
    return f"{comparison['task']}: {', '.join(parts)}"


def cells(table: table.Table) -> dict[str, str]:
    """The cells of a table, a line each row, by number and name of the row."""
    rows = {
        f"{number} {(row[0] or '').strip()}": " | ".join("-" if cell is None else cell for cell in row)
        for number, row in enumerate(table.rows)
    }
    return {"header": " | ".join(table.header), **rows, "note": table.note}


def numbers_of(value: Any) -> Any:
    """`value` without what says where and when it was made."""
    if isinstance(value, dict):
        return {key: numbers_of(part) for key, part in value.items() if key not in NOT_NUMBERS}
    return [numbers_of(part) for part in value] if isinstance(value, list) else value
