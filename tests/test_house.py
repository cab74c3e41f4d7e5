"""What import-linter cannot see: which way the modules at the root import, what rooms say, and whose a name is."""

import ast
import tomllib
from pathlib import Path

import planted
import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {  # of this laboratory, that each may import
    "transformer": {"modules", "common"},
    "tokenizer": {"common"},
    "dataset": {"speechesdataset", "tokenizer", "common"},  # the folder's files are read and checked there
    "utilities": {"common"},
}
OURS = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {path.stem for path in ROOT.glob("*.py")}


def imported(module: Path) -> set[str]:
    """The modules and rooms of ours that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names & OURS


def test_the_root_holds_the_five_modules_and_nothing_else() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == {*ALLOWED, "main"}


@pytest.mark.parametrize("name", ALLOWED)
def test_a_module_at_the_root_imports_only_what_lies_below_it(name: str) -> None:
    assert imported(ROOT / f"{name}.py") <= ALLOWED[name]


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/__init__.py")), ids=lambda path: path.parent.name)
def test_a_room_says_what_lives_there_and_imports_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


@pytest.mark.parametrize("group", ["", "dev", "bench", "cluster"])
def test_pyproject_and_the_requirements_files_name_the_same_packages(group: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["dependency-groups"][group] if group else project["project"]["dependencies"]
    lines = (ROOT / f"requirements{'-' * bool(group)}{group}.txt").read_text(encoding="utf-8").splitlines()
    lines = [line.partition("#")[0].strip() for line in lines]
    assert listed == [line for line in lines if line and not line.startswith("-r ")]


SHARED = ("Audit", "Measure")  # commands, which are called as they are typed


def test_a_public_name_stands_in_one_file() -> None:
    files: dict[str, set[str]] = {}
    rooms = [path.parent for path in ROOT.glob("*/__init__.py")]
    for path in [*ROOT.glob("*.py"), *(path for room in rooms for path in room.rglob("*.py"))]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body if path.name != "__main__.py" else []:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                files.setdefault(node.name, set()).add(str(path.relative_to(ROOT)))
    shared = {name: sorted(paths) for name, paths in files.items() if len(paths) > 1 and name not in SHARED}
    assert shared == {}


def test_what_the_readme_says_was_measured_stands_in_the_documents() -> None:
    documents = "".join(
        (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("positions", "measurement")
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    said = [line.strip() for line in readme.splitlines() if line.strip().startswith(("- The best ", "- Perplexity "))]
    assert len(said) == 3
    assert all(line in documents for line in said)


@pytest.mark.parametrize("fault", planted.read_faults(), ids=lambda fault: fault["name"])
def test_a_planted_fault_stands_once_in_its_file_and_its_tests_exist(fault: planted.Fault) -> None:
    assert (ROOT / fault["file"]).read_text(encoding="utf-8").count(fault["old"]) == 1
    assert fault["old"] != fault["new"]
    assert all((ROOT / "tests" / name).is_file() for name in fault["tests"].split())
