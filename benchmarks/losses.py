"""`python -m benchmarks losses REV1 REV2`: whether two commits give the same numbers, and where they do not.

Each commit is checked out beside the other, and runs its own golden runs (tests/golden) in a process and on a thread of
its own. "." is the working tree. The exit code is that of diff: 0 the same, 1 some number differs, 2 trouble.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from common.files import UserError, read_as

ROOT = Path(__file__).parent.parent
RUNNER = ["-m", "tests.golden", "--to"]  # and a file: what a commit needs to be compared
SHOWN = 3  # differences of a run that are printed
SAME, DIFFERENT, TROUBLE = 0, 1, 2
ABSENT = ...  # what stands where one side has a number and the other has none

Numbers = Mapping[str, object]  # what a run gave: JSON


# --------------------------------------------------------------------------------------------------------- differences


@dataclass(frozen=True)
class Difference:
    """A place at which two outcomes of a run hold different things."""

    run: str
    place: str
    before: object
    after: object

    @property
    def size(self) -> float | None:
        """How far apart two numbers are; None of anything else."""
        return abs(self.after - self.before) if is_number(self.before) and is_number(self.after) else None

    def shown(self, names: tuple[str, str] = ("recorded", "found")) -> str:
        sides = (
            f"{name} {'nothing' if value is ABSENT else repr(value)}"
            for name, value in zip(names, (self.before, self.after))
        )
        size = "" if self.size is None else f" (by {self.size:.2g})"
        return f"{self.run}: {self.place}: {', '.join(sides)}{size}"


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def flat(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Every number, text and truth value in JSON, and the place where it stands, such as "epochs.3.train_loss"."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inside is None or not value:
        yield place, value
        return
    for key, part in inside:
        yield from flat(part, f"{place}.{key}" if place else str(key))


def differences(run: str, before: object, after: object) -> list[Difference]:
    """Where two outcomes of `run` are not the same to the last bit."""
    old, new = dict(flat(before)), dict(flat(after))
    found = []
    for place in dict.fromkeys([*old, *new]):
        pair = old.get(place, ABSENT), new.get(place, ABSENT)
        if repr(pair[0]) != repr(pair[1]):  # of floats, repr has every bit; 1, 1.0 and True are not the same
            found.append(Difference(run, place, *pair))
    return found


def summarised(
    found: Sequence[Difference], most: int = SHOWN, names: tuple[str, str] = ("recorded", "found")
) -> list[str]:
    """Lines on the differences of one run: the first ones, the largest, and how many more there are."""
    shown = list(found[:most])
    sized = [difference for difference in found if difference.size is not None]
    if len(found) > most and sized:
        shown.append(max(sized, key=lambda difference: difference.size or 0.0))
    lines = [difference.shown(names) for difference in {one.place: one for one in shown}.values()]
    rest = len(found) - len(lines)
    return [*lines, f"{found[0].run}: and {rest:,} more"] if rest else lines


# --------------------------------------------------------------------------------------------------------- two commits


def main(arguments: Sequence[str], root: Path | None = None) -> int:
    """Compare the two commits that `arguments` name, and print what differs; returns the exit code."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return SAME
    try:
        if len(arguments) != 2:
            raise UserError("takes two commits; python -m benchmarks losses REV1 REV2, where . is the working tree")
        return compare((arguments[0], arguments[1]), root or ROOT)
    except UserError as error:
        print(f"benchmarks losses: {error}", file=sys.stderr)
        return TROUBLE


def compare(names: tuple[str, str], root: Path) -> int:
    """Run both sides at the same time and say what differs."""
    with tempfile.TemporaryDirectory(prefix="orator-losses-") as temporary, contextlib.ExitStack() as checkouts:
        folder = Path(temporary)
        trees = [
            checkouts.enter_context(checkout(name, folder / f"tree{side}", root)) for side, name in enumerate(names)
        ]
        files = [folder / f"numbers{side}.json" for side in range(2)]
        running = [start(tree, file) for tree, file in zip(trees, files)]
        ended = [(process.communicate()[1], process.returncode) for process in running]
        for name, (errors, code) in zip(names, ended):
            if code:
                last = (errors.strip().splitlines() or [f"exit code {code}"])[-1]
                command = f"python {' '.join(RUNNER)} FILE"
                raise UserError(f"{name}: its golden runs failed ({last}); {command} there shows why")
        before, after = (read_as(file, dict) for file in files)
    return tell(names, before, after)


@contextlib.contextmanager
def checkout(name: str, folder: Path, root: Path) -> Iterator[Path]:
    """A folder with the commit `name`, gone afterwards; the working tree itself for "."."""
    if name == ".":
        tree = root
    else:
        commit = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if commit is None:
            raise UserError(f"{name}: no such commit here; git log shows them, and . is the working tree")
        if git(root, "worktree", "add", "--quiet", "--detach", str(folder), commit) is None:
            raise UserError(f"{name}: cannot be checked out; git worktree add --detach {folder} {commit} shows why")
        tree = folder
    try:
        if not (tree / "tests" / "golden" / "__main__.py").is_file():
            raise UserError(f"{name}: has no golden runner (tests/golden); only commits that have one can be compared")
        yield tree
    finally:
        if tree is folder:
            git(root, "worktree", "remove", "--force", str(folder))


def git(root: Path, *arguments: str) -> str | None:
    """What git says; None if it fails."""
    ended = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return None if ended.returncode else ended.stdout.strip()


def start(tree: Path, file: Path) -> "subprocess.Popen[str]":
    """The golden runs of a checkout, in a process of one thread."""
    alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}  # its own modules, no others
    return subprocess.Popen(
        [sys.executable, *RUNNER, str(file)],
        cwd=tree,
        env=alone | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def tell(names: tuple[str, str], before: Mapping[str, Numbers], after: Mapping[str, Numbers]) -> int:
    """Print what differs between the runs that both sides have, and what only one has; returns the exit code."""
    both = [run for run in before if run in after]
    if not both:
        raise UserError(f"{names[0]} and {names[1]} have no golden run in common")
    for name, here, there in ((names[0], before, after), (names[1], after, before)):
        if alone := [run for run in here if run not in there]:
            print(f"only {name} has the run{'s' if len(alone) > 1 else ''} {'; '.join(alone)}")
    found = {run: differences(run, before[run], after[run]) for run in both}
    different = {run: rows for run, rows in found.items() if rows}
    for rows in different.values():
        print("\n".join(summarised(rows, names=names)))
    n_numbers = sum(len(list(flat(before[run]))) for run in both)
    if not different:
        print(f"the same: {len(both)} runs, {n_numbers:,} numbers, bit by bit")
        return SAME
    n_different = sum(map(len, different.values()))
    print(f"different: {len(different)} of {len(both)} runs, {n_different:,} of {n_numbers:,} numbers")
    return DIFFERENT
