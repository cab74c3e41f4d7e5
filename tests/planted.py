"""Does a wrong constant make a test fail? `python -m tests.planted [WORD ...]`, from the root of the checkout.

Plants each fault of planted_faults.toml (those with one of the words in file or name) alone in a copy of the checkout,
and runs its tests. They are faults that mutmut cannot make, for it changes only what stands in undecorated functions.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent

Fault = dict[str, str]  # name; file; old, which stands there once; new; tests, files below tests/


def read_faults() -> list[Fault]:
    return tomllib.loads((ROOT / "tests" / "planted_faults.toml").read_text(encoding="utf-8"))["fault"]


def copy_checkout(folder: Path) -> None:
    """The files that git knows or would take, as they are now."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def failing(folder: Path, tests: set[str]) -> str:
    """The first of the tests that fails, or nothing."""
    paths = [f"tests/{name}" for name in sorted(tests)]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-m", "", "-p", "no:cacheprovider", *paths]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}  # two faults may come within one second
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if run.returncode == 0:
        return ""
    lines = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0] if lines else f"pytest ended with code {run.returncode}: {run.stdout[-500:]}{run.stderr[-500:]}"


def main(words: list[str]) -> int:
    faults = read_faults()
    if words:
        faults = [fault for fault in faults if any(word in fault["file"] + fault["name"] for word in words)]
    unnoticed = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy_checkout(folder)
        if failure := failing(folder, {name for fault in faults for name in fault["tests"].split()}):
            sys.exit(f"without any fault: {failure}")
        for fault in faults:
            path = folder / fault["file"]
            whole = path.read_text(encoding="utf-8")
            path.write_text(whole.replace(fault["old"], fault["new"]), encoding="utf-8")
            failure = failing(folder, set(fault["tests"].split()))
            path.write_text(whole, encoding="utf-8")
            print(f"{'noticed' if failure else 'NOT NOTICED':11}  {fault['name']}  {failure[:120]}", flush=True)
            if not failure:
                unnoticed.append(fault["name"])
    print(f"{len(faults) - len(unnoticed)} of {len(faults)} are noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
