"""What the documents name exists: files, folders, classes and functions, and the commands that they tell to type."""

import ast
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from common.arguments import Typed, command_name, overview, read
from main import COMMANDS

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
TOP = {path.partition("/")[0] for path in TRACKED}  # files and folders of the checkout


def parse(words: list[str]) -> object:
    """The command that main.py would run, None for its list of them; UserError for words that it refuses."""
    typed, known = Typed(tuple(words)), {name: command for name, (command, _) in COMMANDS.items()}
    return None if overview(typed, known, "") else read(typed, command_name(typed, known), known)


def text_of(document: Path) -> str:
    """What people wrote in a document: without what commands have written between their marks."""
    return re.sub(r"<!-- (\S+) -->.*?<!-- /\1 -->", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_a_document_names_exist(document: Path) -> None:
    text = text_of(document)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = [link for link in links if not (document.parent / link).exists()]
    named = [path for path in re.findall(r"`([\w.-]+(?:/[\w.-]*)*)`", text) if path.partition("/")[0] in TOP]
    missing += [path for path in named if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_names_that_a_document_gives_with_their_file_stand_in_it(document: Path) -> None:
    text = re.sub(r"\s+", " ", text_of(document))
    pairs = re.findall(
        r"`(\w+)` (?:in |\()\[[^]]+\]\(([^)]+\.py)\)", text
    )  # `name` in [file](file), `name` ([file](file))
    pairs += [(name, file) for file, name in re.findall(r"\[[^]]+\]\(([^)]+\.py)\): `(\w+)`", text)]
    assert [f"{file}: {name}" for name, file in pairs if name not in names_in(document.parent / file)] == []


def names_in(file: Path) -> set[str]:
    """The classes, functions and variables that a module defines."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def test_the_tree_of_the_readme_is_that_of_the_checkout() -> None:
    (tree,) = re.findall(r"```text\n(.*?)```", text_of(ROOT / "README.md"), flags=re.DOTALL)
    paths, folder = [], ""
    for line in tree.splitlines():
        name = line.split()[0]
        path = folder + name if line.startswith(" ") else name
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
        paths.append(path)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    rooms = {f"{path.partition('/')[0]}/" if "/" in path else path for path in TRACKED if path.endswith(".py")}
    assert rooms - set(paths) == set()


def commands() -> list[tuple[str, list[str]]]:
    """Document and words of each command in a code block, or in backticks unless it has a placeholder as COMMAND is."""
    lines = []
    for document in DOCUMENTS:
        text = text_of(document)
        blocks = "".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)).replace("\\\n", " ")
        inline = re.findall(r"`(python main\.py [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        inline = [line for line in inline if not re.search(r"\b[A-Z]{3,}\b|\.\.\.", line)]
        for statement in re.split(r"&&|;|\n", "\n".join([blocks, *inline])):
            words = ["0" if word.startswith("$") else word for word in shlex.split(statement, comments=True)]
            if "main.py" in words:
                lines.append((document.name, words[words.index("main.py") + 1 :]))
    return lines


@pytest.mark.parametrize(
    ("document", "words"), commands(), ids=lambda part: part if isinstance(part, str) else " ".join(part)
)
def test_commands_of_the_documents_can_be_typed(document: str, words: list[str]) -> None:
    parse(words)


def test_commands_are_found_in_the_documents() -> None:
    assert len(commands()) > 40
