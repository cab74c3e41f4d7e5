"""The records: what is run, where it is kept, and when what is found is what was recorded."""

import functools
import importlib.metadata
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from common.files import read_as, write_text
from training.machine import processor_name

from . import made_up
from .cases import N_LOSSES, cases, outcome
from .differences import Difference, differences, is_number
from .studies import ablation_outcome, exploration_outcome, measurement_outcome

FOLDER = Path(__file__).parent / "records"
ABOUT, FRAGILE = "about", "fragile"  # files beside those of the runs
CLOSE = 1e-4  # elsewhere, a number may be off by so much of itself, or of 1 where it is smaller
STEADY = CLOSE / 10  # a number that rounding moves farther than this is fragile
SHAKES = (1, 2, 3)
# Rounding decides what follows, too. The bias before a batch norm has no gradient but rounding errors, and Adam makes
# whole steps of them; bf16 rounds after three digits.
UNSTEADY = re.compile(r"bf16|^part 3/.*(batch.norm|C1[123]|chosen|validation|figure11|changes_accuracy|in short)")
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn")


class GoldenRun(Protocol):
    """Something that gives the same JSON every time; shaken, nearly the same."""

    def __call__(self, shaken: int | None = None) -> Any: ...


def golden_runs() -> dict[str, GoldenRun]:
    """Every run by name."""
    single: dict[str, GoldenRun] = {name: functools.partial(outcome, case) for name, case in cases().items()}
    studies = {"part 3": exploration_outcome, "ablation": ablation_outcome, "measurement": measurement_outcome}
    return {"data": data_outcome, **single, **studies}


def data_outcome(shaken: int | None = None) -> Any:
    """The data: if these differ, everything does."""
    with tempfile.TemporaryDirectory() as folder:
        made_up.write_data(Path(folder))
        return {"sha256": made_up.digest(Path(folder))}


def file_of(run: str) -> str:
    """The file in which a run's record stands."""
    return next((task for task in ("classifier", "decoder") if task in run.split(",")[0]), run.replace(" ", ""))


# ------------------------------------------------------------------------------------------------------- the comparison


def environment() -> dict[str, Any]:
    """What the last bits of a number depend on besides the code: where this is the same, they are."""
    return {
        "processor": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": 1,
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def elsewhere(run: str, recorded: Any, found: Any, fragile: Any = None) -> list[Difference]:
    """Where what is found is not what was recorded, as far as another processor can tell: numbers that are close, or
    that rounding decides, count as the same. `fragile`: the entry of the run in fragile.json, if any."""
    rows = [row for row in differences(run, recorded, found) if not close(row.before, row.after)]
    return [row for row in rows if is_steady(run, row.key, fragile)]


def is_steady(run: str, key: str, fragile: Any) -> bool:
    """Whether a number is the same on every processor, but for its last digits."""
    if UNSTEADY.search(f"{run}/{key}"):
        return False
    if isinstance(fragile, int):
        kind, _, number = key.partition(".")
        return kind == "losses" and int(number) < fragile
    return not any(f"{key}.".startswith(f"{unit}.") for unit in fragile or ())


def close(before: Any, after: Any) -> bool:
    """Whether two leaves are the same but for rounding; a text, if its words are, and its numbers to their last
    digit."""
    if is_number(before) and is_number(after):
        return abs(before - after) <= CLOSE * max(1.0, abs(before))
    if isinstance(before, str) and isinstance(after, str):
        number = r"\d[\d,]*\.?\d*"
        pairs = zip(re.findall(number, before), re.findall(number, after))
        same_words = re.sub(number, "0", before) == re.sub(number, "0", after)
        return same_words and all(close_in_print(*pair) for pair in pairs)
    return type(before) is type(after) and bool(before == after)


def close_in_print(before: str, after: str) -> bool:
    a, b = (float(text.replace(",", "")) for text in (before, after))
    digits = len(before.partition(".")[2])
    return abs(a - b) <= 1.01 * 10**-digits + CLOSE * max(1.0, abs(a)) if digits else a == b


def fragility(run: str, golden: GoldenRun, found: Any) -> int | list[str] | None:
    """What of a run a rounding error in the weights moves by more than STEADY, or turns, as it turns a prediction where
    two classes are as good as tied; on another processor it may be something else. None: nothing.

    Of a single run that has such numbers only the first losses can be compared elsewhere: here, how many. Of a study,
    its units: what one variant gave, one comparison, one table.
    """

    def moved(row: Difference) -> bool:
        return row.size is None or not is_number(row.before) or row.size > STEADY * max(1.0, abs(row.before))

    rows = [row for shake in SHAKES for row in differences(run, found, golden(shaken=shake)) if moved(row)]
    keys = [f"{row.key}." for row in rows]
    if "losses" in found:
        steps = [step for step in range(N_LOSSES) if f"losses.{step}." in keys]
        return min([N_LOSSES, *steps]) // 2 if keys else None
    return [unit for unit in units(found) if any(key.startswith(f"{unit}.") for key in keys)] or None


def units(study: Any, depth: int = 3, key: str = "") -> Iterator[str]:
    """The keys of a study's parts, so many levels down."""
    if depth == 0 or not isinstance(study, dict):
        yield key
        return
    for name, part in study.items():
        yield from units(part, depth - 1, f"{key}.{name}" if key else name)


# ------------------------------------------------------------------------------------------------------------- on disk


def read_records(folder: Path) -> dict[str, Any]:
    """What was recorded, by run."""
    paths = [path for path in sorted(folder.glob("*.json")) if path.stem not in (ABOUT, FRAGILE)]
    return {run: record for path in paths for run, record in read_as(path, dict).items()}


def read_about(folder: Path) -> dict[str, Any]:
    """Why and in which environment it was recorded."""
    return read_as(folder / f"{ABOUT}.json", dict)


def read_fragile(folder: Path) -> dict[str, Any]:
    """What is fragile, by run."""
    return read_as(folder / f"{FRAGILE}.json", dict)


def write_records(folder: Path, found: Mapping[str, Any], fragile: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write everything anew."""
    files: dict[str, dict[str, Any]] = {ABOUT: dict(about), FRAGILE: dict(fragile)}
    for run, record in found.items():
        files.setdefault(file_of(run), {})[run] = record
    for old in folder.glob("*.json"):
        if old.stem not in files:
            old.unlink()
    for name, content in files.items():
        write_text(folder / f"{name}.json", layout(content) + "\n")


def layout(value: Any, indent: str = "") -> str:
    """JSON with each list of numbers on a line of its own, so that a change reads as one."""
    if not isinstance(value, dict | list) or not any(isinstance(part, dict | list) for part in inside(value)):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    keys = [f"{json.dumps(key)}: " for key in value] if isinstance(value, dict) else [""] * len(value)
    lines = [f"{indent} {key}{layout(part, indent + ' ')}" for key, part in zip(keys, inside(value))]
    return "\n".join([opening, ",\n".join(lines), indent + closing])


def inside(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else list(value)
