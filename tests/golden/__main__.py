"""`python -m tests.golden --why "..."` records the golden runs anew; `--to FILE` only writes what they give now."""

import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from tqdm import tqdm


@dataclass(frozen=True)
class Options:
    """Record the golden runs anew, and say what has changed."""

    why: str = ""
    """the reason, which is kept with the records"""
    to: Path | None = None
    """write to this file what the runs give, and record nothing"""


def main() -> int:
    options = tyro.cli(Options, prog="python -m tests.golden")
    if options.to is None and not options.why.strip():
        print('tests.golden: records change for a reason: --why "what changed the numbers"', file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ORATOR_CACHE"] = cache
        return write(options.to) if options.to is not None else record(options.why.strip())


def write(path: Path) -> int:
    """Write what each run gives, to be compared with what another commit gives."""
    from common.files import write_json

    from . import records

    write_json(path, {name: run() for name, run in progress(records.golden_runs().items(), "golden runs")})
    return 0


def record(why: str) -> int:
    """Replace the records, and print what differs from the old ones."""
    from . import records
    from .differences import differences, summarised

    about = {"why": why, **records.environment()}
    old, old_about = {}, {}
    if records.FOLDER.exists():
        old, old_about = records.read_records(records.FOLDER), records.read_about(records.FOLDER)
    found: dict[str, Any] = {}
    fragile: dict[str, Any] = {}
    for name, run in progress(records.golden_runs().items(), "golden runs, and each of them shaken"):
        found[name] = run()
        if (entry := records.fragility(name, run, found[name])) is not None:
            fragile[name] = entry
    n_changed = 0
    for name, numbers in found.items():
        if name not in old:
            print(f"{name}: new")
        elif rows := differences(name, old[name], numbers):
            n_changed += 1
            print("\n".join(summarised(rows, names=("was", "is"))))
    for name in old:
        if name not in found:
            print(f"{name}: gone")
    for name, value in records.environment().items():
        if old_about and old_about.get(name) != value:
            print(f"recorded with another {name}: was {old_about.get(name)}, is {value}")
    records.write_records(records.FOLDER, found, fragile, about)
    print(f"{len(found)} runs recorded in {records.FOLDER}; {n_changed} differ from the old records")
    return 0


def progress(items: Iterable[Any], label: str) -> Iterable[Any]:
    return tqdm(items, desc=label, unit="run", disable=None, leave=False)


if __name__ == "__main__":
    sys.exit(main())
