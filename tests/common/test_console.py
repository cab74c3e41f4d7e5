"""Commands started from consoles that cannot encode, with streams closed, and stopped while they import."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launch import ROOT

pytestmark = pytest.mark.processes
STUB = """
import pathlib, time
pathlib.Path("importing").touch()
for _ in range(200):  # as torch does, which catches what is raised in it
    try:
        time.sleep(0.1)
    except BaseException:
        pass
"""


def start(folder: Path, words: str, **environment: str) -> "subprocess.Popen[str]":
    """`python main.py WORDS`, by a shell, which closes streams where the words say so."""
    line, pipe = f"exec '{sys.executable}' '{ROOT / 'main.py'}' {words}", subprocess.PIPE
    environment = {**os.environ, **environment}
    return subprocess.Popen(line, shell=True, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


def test_closed_streams_and_a_console_that_cannot_encode(data_folder: Path, tmp_path: Path) -> None:
    assert ended(start(tmp_path, f"data audit --data-dir '{data_folder}' >&- 2>&-")) == (3, "", "")
    code, _, err = ended(start(tmp_path, "data audit --data-dir '\u2603'", PYTHONIOENCODING="ascii"))
    assert (code, err[:12]) == (2, "main.py: ?: ")
    code, _, err = ended(start(tmp_path, "score --model x <&-"))
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = ended(start(tmp_path, "classify hope", WORLD_SIZE="abc", RANK="x"))
    assert (code, err.count("\n"), "WORLD_SIZE" in err) == (2, 1, True)


def test_what_a_console_cannot_encode_is_printed_plainly(data_folder: Path, tmp_path: Path) -> None:
    code, _, err = ended(start(tmp_path, "data audit --data-dir '\u22121 \u00b1 Zo\u00e9'", PYTHONIOENCODING="ascii"))
    assert (code, err[:21]) == (2, "main.py: -1 +/- Zoe: ")


def test_a_python_without_the_packages_is_told_how_to_get_them() -> None:
    process = subprocess.run([sys.executable, "-S", ROOT / "main.py", "part1"], capture_output=True, text=True)
    assert (process.returncode, process.stderr.count("\n")) == (2, 1)
    assert "source .venv/bin/activate" in process.stderr
    assert "pip install" in process.stderr


@pytest.mark.parametrize("stub", ["tyro", "torch"])  # what main.py imports at once, and what its commands import
def test_ctrl_c_while_modules_are_imported_ends_in_one_line(stub: str, tmp_path: Path) -> None:
    (tmp_path / f"{stub}.py").write_text(STUB)
    process = start(tmp_path, "part1", PYTHONPATH=str(tmp_path))
    for _ in range(1000):
        if (tmp_path / "importing").exists():
            break
        time.sleep(0.02)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "", "main.py: interrupted\n")
    assert time.monotonic() - started < 10
