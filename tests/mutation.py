"""Does a wrong line of the product make a test fail? From the root of the checkout:

python -m tests.mutation mutants [MODULE ...]   what mutmut changes, each change tried with the tests that reach it
python -m tests.mutation faults [WORD ...]      planted_faults.toml: those with one of the words in name or file
python -m tests.mutation report                 docs/testing.md, from what these two found

Both work on a copy of the checkout in runs/mutation. Tests that start processes are left out.
"""

import argparse
import ast
import datetime
import difflib
import importlib
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
OUT = ROOT / "runs" / "mutation"
MODULES = (
    *("transformer", "tokenizer", "dataset"),
    *(f"training.{name}" for name in ("loop", "optimizer", "checkpoint", "processes", "recipe", "tasks", "runs")),
    *(f"training.{name}" for name in ("machine", "weights")),
    *(f"modules.{name}" for name in ("config", "cross_entropy", "hook_point", "layers", "word_vectors")),
    *(f"evaluation.{name}" for name in ("accuracy", "perplexity", "attention", "statistics", "crossed", "looks")),
    *(f"evaluation.{name}" for name in ("baselines", "ngrams", "voices")),
    *(f"inference.{name}" for name in ("classify", "attention", "generate")),
    *(f"studies.{name}" for name in ("study", "comparisons", "timing", "lengths", "attention", "claims", "figures")),
    *(f"studies.{name}" for name in ("opponents", "part1", "part2", "part3", "ablation", "measure", "workers")),
    *(f"reporting.{name}" for name in ("table", "tables", "terminal", "page", "documents")),
)
# Tests of files that no mutant is made of, and those of whole processes.
OTHER_TESTS = ("benchmarks", "speechesdataset", "test_cli.py", "test_house.py", "test_mutation.py", "test_utilities.py")
PYTEST = ("-p", "no:cacheprovider", "-p", "no:unraisableexception")  # the latter collects garbage for half a second
QUIET = ("-x", "-q", "--timeout", "200", "-m", "not processes", *PYTEST)
IMPORTED = (
    "torch.distributed.tensor",
    "matplotlib.backends.backend_agg",
    "sklearn.linear_model",
    "scipy.stats",
    "nltk",
)
ENDS = {0: "survived", 1: "killed", 3: "killed", None: "not tried", 2: "not tried", 5: "no tests", 33: "no tests"}
TIMEOUTS = (24, -24, 36, 152, 255)


def all_tests() -> list[str]:
    return ["tests", *(f"--ignore=tests/{name}" for name in OTHER_TESTS)]


def copy_checkout(folder: Path) -> None:
    """The files that git knows or would take, as they are now, in place of what `folder` holds but for its mutants."""
    for path in folder.iterdir() if folder.exists() else ():
        if path.name != "mutants":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in output("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def circumstances() -> dict[str, Any]:
    """When, where and of what a result is: asked before the checkout is copied, for it may change while a run lasts."""
    # In a process of its own: what this one imports, the forked tests would take in place of the copy with the fault.
    processor = output(sys.executable, "-c", "from training.machine import processor_name; print(processor_name())")
    dirty = bool(output("git", "status", "--porcelain", "--untracked-files=no"))
    return {
        "commit": output("git", "rev-parse", "--short", "HEAD") + (" and changes" if dirty else ""),
        "date": datetime.date.today().isoformat(),
        "machine": processor,
    }


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------- mutants


def try_mutants(
    modules: Sequence[str],
    tests: Sequence[str],
    keep: str,
    seconds: float,
    n_children: int,
    only: Sequence[str] = (),
    sample: int | None = None,
) -> None:
    """Run mutmut over `modules`, keeping of the last run nothing, what was killed, or whatever was found; over all
    mutants, over those named in `only`, or over a random `sample` of so many of each module; each
    mutant meets its quickest tests, `seconds` of them."""
    copy, now = OUT / "copy", circumstances()
    if keep == "nothing":
        shutil.rmtree(copy, ignore_errors=True)
    copy_checkout(copy)
    for module in modules:
        source, meta = copy / path_of(module), copy / "mutants" / f"{path_of(module)}.meta"
        source.write_text(undecorated(source.read_text(encoding="utf-8")), encoding="utf-8")
        if keep == "killed" and meta.exists():
            found = json.loads(meta.read_text())
            found["exit_code_by_key"] = {
                name: code if ENDS.get(code) == "killed" else None for name, code in found["exit_code_by_key"].items()
            }
            meta.write_text(json.dumps(found))
    configure(copy, modules, tests)
    mutmut = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(n_children)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MUTATION_SECONDS": str(seconds)}
    if sample is not None:
        # mutmut has no command that lists what it would try: asked for a name that none has, it writes all and stops
        subprocess.run([*mutmut, "none.such"], cwd=copy, env=environment, capture_output=True)
        only = [name for module in modules for name in drawn(copy, module, sample)]
    code = subprocess.run([*mutmut, *only], cwd=copy, env=environment).returncode
    if code:
        sys.exit(f"mutmut ended with code {code}")
    for module in modules:
        how = {"tests": list(tests) or ["all"], "sample": sample, "seconds_of_tests": seconds}
        found = mutants_of(copy, module) | now | how
        write(OUT / f"{module}.json", found)
        print(summary(module, found))


def path_of(module: str) -> str:
    """The file of a module."""
    return module.replace(".", "/") + ".py"


def drawn(copy: Path, module: str, sample: int) -> list[str]:
    """The names of a random sample of a module's mutants, the same each time."""
    codes = json.loads((copy / "mutants" / f"{path_of(module)}.meta").read_text())["exit_code_by_key"]
    return random.Random(module).sample(sorted(codes), min(sample, len(codes)))


def configure(copy: Path, modules: Sequence[str], tests: Sequence[str]) -> None:
    files = [path_of(module) for module in modules]
    others = sorted(path.name for path in copy.iterdir() if path.name not in (*files, "mutants", "tests"))
    settings = {
        "source_paths": files,
        "also_copy": others,
        "pytest_add_cli_args_test_selection": [*(tests or all_tests()), "-m", "not processes"],
        "pytest_add_cli_args": ["-p", "tests.quickest_first", *PYTEST],
        "process_isolation": "forkserver",  # a mutant starts clean: nothing that another run cached or started is there
        "use_git_change_detection": False,
        "timeout_constant": 15.0,
        "timeout_multiplier": 2.0,
    }
    with (copy / "pyproject.toml").open("a", encoding="utf-8") as file:
        lines = (f"{key} = {json.dumps(value)}\n" for key, value in settings.items())  # as TOML writes it
        file.write("\n[tool.mutmut]\n" + "".join(lines))


def undecorated(source: str) -> str:
    """`source` with `name = decorator(name)` after each decorated function: mutmut leaves decorated ones alone."""
    lines = source.split("\n")
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for function in sorted(functions, key=lambda node: node.lineno, reverse=True):
        decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
        if not decorators or decorators in (["staticmethod"], ["classmethod"]):
            continue
        applied = function.name
        for decorator in reversed(decorators):
            applied = f"{decorator}({applied})"
        lines.insert(function.end_lineno or 0, f"{' ' * function.col_offset}{function.name} = {applied}")
        del lines[function.decorator_list[0].lineno - 1 : function.lineno - 1]
    return "\n".join(lines)


def mutants_of(copy: Path, module: str) -> dict[str, Any]:
    """How many mutants of a module ended how, and those that live: function, line as it was, line as it became."""
    mutated = copy / "mutants" / path_of(module)
    codes = json.loads(mutated.with_suffix(".py.meta").read_text())["exit_code_by_key"]
    spans = json.loads(mutated.with_suffix(".py.spans").read_text())["spans"]
    lines = mutated.read_text(encoding="utf-8").split("\n")

    def text_of(name: str) -> list[str]:
        start, end = spans[name]
        return [re.sub(r"\bx[ǁ_]\S*__mutmut_\w+", "", line).strip() for line in lines[start - 1 : end]]

    counts: dict[str, int] = {}
    alive = []
    for key, code in codes.items():
        end = "timed out" if code in TIMEOUTS else ENDS.get(code, "killed")
        counts[end] = counts.get(end, 0) + 1
        if end in ("survived", "no tests"):
            name = key.removeprefix(f"{module}.")
            original = name.partition("__mutmut_")[0]
            changes = list(difflib.unified_diff(text_of(f"{original}__mutmut_orig"), text_of(name), n=0, lineterm=""))
            before, after = (
                " ".join(line[1:] for line in changes[2:] if line.startswith(sign)).strip() for sign in "-+"
            )
            function = f"{module}.{original.removeprefix('x_').removeprefix('xǁ').replace('ǁ', '.')}"
            alive.append({"function": function, "old": before, "new": after, "end": end, "name": key})
    return {"counts": counts, "alive": alive}


def dead(counts: dict[str, int]) -> int:
    return counts.get("killed", 0) + counts.get("timed out", 0)


def summary(module: str, found: dict[str, Any]) -> str:
    counts = found["counts"]
    tried = sum(counts.values()) - counts.get("not tried", 0)
    return f"{module}: {dead(counts)} of {tried} are killed ({percent(dead(counts), tried)}); {counts}"


def score(part: int, whole: int) -> str:
    """A share in percent, and, since a sample may flatter, its 95% interval (Wilson 1927)."""
    if not whole:
        return ""
    share, z = part / whole, 1.96
    center, spread = share + z**2 / (2 * whole), z * math.sqrt(share * (1 - share) / whole + z**2 / (4 * whole**2))
    low, high = (100 * (center + sign * spread) / (1 + z**2 / whole) for sign in (-1, 1))
    return f"{percent(part, whole)} [{low:.0f}, {high:.0f}]"


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else ""


# -------------------------------------------------------------------------------------------------------------- faults


def read_list(name: str, entry: str) -> list[dict[str, Any]]:
    return tomllib.loads((ROOT / "tests" / name).read_text(encoding="utf-8")).get(entry, [])


def try_faults(words: Sequence[str], named_tests_alone: bool) -> None:
    """Plant each fault alone and run the tests, those first that should notice it."""
    copy, now = OUT / "faults", circumstances()
    faults = read_list("planted_faults.toml", "fault")
    check_faults(faults)
    faults = [fault for fault in faults if not words or any(word in fault["file"] + fault["name"] for word in words)]
    for name in IMPORTED:
        importlib.import_module(name)
    copy_checkout(copy)
    first = sorted({f"tests/{name}" for fault in faults for name in fault["tests"]})
    if failed := failing(copy, first):
        sys.exit(f"without any fault, {failed} fails")
    for fault in faults:
        path = copy / fault["file"]
        whole = path.read_text(encoding="utf-8")
        path.write_text(whole.replace(fault["old"], fault["new"]), encoding="utf-8")
        fault["noticed"] = failing(copy, [f"tests/{name}" for name in fault["tests"]])
        if not fault["noticed"] and not named_tests_alone:
            fault["noticed"] = failing(copy, all_tests())
        path.write_text(whole, encoding="utf-8")
        print(f"{'killed' if fault['noticed'] else 'SURVIVED':8}  {fault['name']}: {fault['noticed']}", flush=True)
    if not words and not named_tests_alone:
        write(OUT / "faults.json", {"faults": faults, **now})
    if not all(fault["noticed"] for fault in faults):
        sys.exit(1)


def check_faults(faults: Sequence[dict[str, Any]]) -> None:
    """Every fault still finds its place, once, in the code of today."""
    for fault in faults:
        n_found = (ROOT / fault["file"]).read_text(encoding="utf-8").count(fault["old"])
        if n_found != 1:
            sys.exit(f"planted_faults.toml, {fault['name']!r}: found {n_found} times in {fault['file']}, not once")
    if len({fault["name"] for fault in faults}) < len(faults):
        sys.exit("planted_faults.toml: two faults of one name")


def failing(copy: Path, tests: Sequence[str]) -> str:
    """The first of the tests that fails, run in a process forked from this one, which has imported what takes long."""
    log = copy.with_suffix(".log")
    child = os.fork()
    if not child:
        os.chdir(copy)
        sys.path[:] = [str(copy), *(entry for entry in sys.path if entry not in ("", str(ROOT)))]
        sys.dont_write_bytecode = True  # two faults may come within the second that tells sources apart
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os._exit(pytest.main([*QUIET, *tests]))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = log.read_text(encoding="utf-8")
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", text, re.MULTILINE)
    if code not in (0, 1) or (code and not found):
        sys.exit(f"pytest ended with code {code}:\n{text[-3000:]}")
    return found[1] if found else ""


# -------------------------------------------------------------------------------------------------------------- report


def write_report() -> None:
    found = {module: json.loads((OUT / f"{module}.json").read_text(encoding="utf-8")) for module in MODULES}
    faults = json.loads((OUT / "faults.json").read_text(encoding="utf-8"))
    equivalent = read_list("equivalent_mutants.toml", "equivalent")
    path = ROOT / "docs" / "testing.md"
    written_by_hand = INPUTS + path.read_text(encoding="utf-8").partition(INPUTS)[2]
    path.write_text(report(found, faults, equivalent) + written_by_hand, encoding="utf-8")


INPUTS = "\n## Inputs that nobody would write\n"  # the last section of docs/testing.md, of tests/fuzz


TEXT = """# What the tests notice

Made by `python -m tests.mutation report`. Machine: {machines}.

## Mutants

`python -m tests.mutation mutants` lets mutmut change the code in small ways, one at a time (a comparison, a number, an
argument, an assignment), and runs the tests that reach the changed function until one fails: the quickest first, and no
more than {seconds:g} seconds of them. An equivalent mutant does what the original does; each is listed below with the
reason. The score is the share of killed among the others that were tried, with a 95% interval: where not all were tried
(`--sample`), those that were are a random sample, the same each time. mutmut changes what stands in functions; for what
stands outside them (recipes, constants, defaults of fields) there are the planted faults.

{table}

## Planted faults

`python -m tests.mutation faults` plants faults that would make numbers untrue, each alone (commit {commit}, {date}):
{n_noticed} of {n_planted} make a test fail. With each, the first test that fails:

{planted}

## Equivalent mutants

{equivalent}

## Survivors

Line by line, as it was and as it lived; "no test" where none calls the function.

{survivors}
"""


def report(found: dict[str, Any], faults: dict[str, Any], equivalent: Sequence[dict[str, str]]) -> str:
    """docs/testing.md; refuses an entry of the list of equivalent mutants that is none of those that live."""
    unmet = {(one["function"], one["old"], one["new"]) for one in equivalent}
    listed, total = frozenset(unmet), [0] * 5
    rows, survivors = [], []
    for module, one in found.items():
        if (n_left := one["counts"].get("not tried")) and one["sample"] is None:
            sys.exit(f"{n_left} mutants were not tried: python -m tests.mutation mutants {module}")
        keys = [(mutant["function"], mutant["old"], mutant["new"]) for mutant in one["alive"]]
        alive = [mutant for mutant, key in zip(one["alive"], keys) if key not in listed]
        unmet -= set(keys)
        n = sum(one["counts"].values())
        numbers = [n, n - (n_left or 0), dead(one["counts"]), len(keys) - len(alive), len(alive)]
        total = [sum(pair) for pair in zip(total, numbers)]
        rows.append([module, *numbers, one["commit"], one["date"]])
        survivors += survivor_lines(module, alive)
    if unmet and all(one["sample"] is None for one in found.values()):
        sys.exit(f"equivalent_mutants.toml: {min(unmet)} is no mutant that lives")
    planted = faults["faults"]
    return TEXT.format(
        machines=" and ".join(dict.fromkeys(one["machine"] for one in (*found.values(), faults))),
        seconds=max(one["seconds_of_tests"] for one in found.values()),
        table=table([*rows, ["all", *total, "", ""]]),
        commit=faults["commit"],
        date=faults["date"],
        n_noticed=sum(bool(fault["noticed"]) for fault in planted),
        n_planted=len(planted),
        planted="\n".join(
            f"- {fault['name']} (`{fault['file']}`): "
            + (f"`{fault['noticed'].removeprefix('tests/')}`" if fault["noticed"] else "**survives**")
            for fault in planted
        ),
        equivalent="\n".join(
            f"- `{one['function']}`: {code(one['old'])} as {code(one['new'])}: {one['why']}" for one in equivalent
        ),
        survivors="\n".join(survivors),
    )


def table(rows: Sequence[Sequence[Any]]) -> str:
    lines = [
        "| module | mutants | tried | killed | equivalent | survived | score | commit | date |",
        "|---|--:|--:|--:|--:|--:|--:|---|---|",
    ]
    for name, *numbers, commit, date in rows:
        _, n_tried, n_killed, n_equivalent, _ = numbers
        counts = " | ".join(f"{number:,}" for number in numbers)
        lines.append(f"| {name} | {counts} | {score(n_killed, n_tried - n_equivalent)} | {commit} | {date} |")
    return "\n".join(lines)


def survivor_lines(module: str, alive: Sequence[dict[str, Any]]) -> list[str]:
    functions: dict[str, list[str]] = {}
    for mutant in alive:
        line = f"  - {code(mutant['old'])} as {code(mutant['new'])}"
        functions.setdefault(mutant["function"], []).append(line + (", no test" if mutant["end"] == "no tests" else ""))
    lines = [line for function, found in functions.items() for line in (f"- `{function}`", *found)]
    return [f"### {module}", "", *lines, ""] if lines else []


def code(text: str) -> str:
    """`text` as code in Markdown, whatever it holds."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    inner = f" {text} " if "`" in (text[:1], text[-1:]) else text
    return f"{fence}{inner}{fence}" if text else "nothing"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    mutants = commands.add_parser("mutants", help="what mutmut changes")
    mutants.add_argument("modules", nargs="*", metavar="MODULE", help=f"some of {', '.join(MODULES)} (default: all)")
    mutants.add_argument("--tests", nargs="+", default=[], help="test files (default: all)")
    mutants.add_argument(
        "--keep",
        choices=("nothing", "killed", "all"),
        default="nothing",
        help="what stands of the last run: `killed` tries the others again, `all` goes on with it",
    )
    mutants.add_argument("--seconds", type=float, default=20.0, help="of tests, the quickest first, for each mutant")
    mutants.add_argument("--children", type=int, default=1, help="mutants at a time")
    mutants.add_argument("--only", nargs="+", default=[], help="mutants by mutmut's names, such as 'runs.x_perform*'")
    mutants.add_argument("--sample", type=int, metavar="N", help="N mutants of each module, drawn at random")
    faults = commands.add_parser("faults", help="planted_faults.toml")
    faults.add_argument("words", nargs="*", metavar="WORD", help="only faults with one of these in name or file")
    faults.add_argument("--named-tests-alone", action="store_true", help="not all tests after those named in the list")
    commands.add_parser("report", help="docs/testing.md")
    given = parser.parse_args()
    if given.command == "mutants":
        modules = given.modules or MODULES
        try_mutants(modules, given.tests, given.keep, given.seconds, given.children, given.only, given.sample)
    elif given.command == "faults":
        try_faults(given.words, given.named_tests_alone)
    else:
        write_report()


if __name__ == "__main__":
    main()
