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


def start(folder: Path, words: str, **environment: str) -> "subprocess.Popen[bytes]":
    """`python main.py WORDS`, by a shell, which closes streams where the words say so."""
    return subprocess.Popen(
        f"exec '{sys.executable}' '{ROOT / 'main.py'}' {words}",
        shell=True,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: "subprocess.Popen[bytes]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=100)
    return process.returncode, out.decode(), err.decode()


def small(data_folder: Path) -> str:
    return f"part1 --n-embd 8 --n-layer 1 --block-size 8 --epochs 1 --data-dir '{data_folder}' --out run"


@pytest.fixture(scope="module")
def trained(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a classifier, trained without a standard error, and into no console."""
    folder = tmp_path_factory.mktemp("trained")
    assert ended(start(folder, f"{small(data_folder)} <&- >&- 2>&-")) == (0, "", "")
    return folder


MODEL = "--model run/classifier.safetensors"


@pytest.mark.parametrize("encoding", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
@pytest.mark.slow
def test_what_the_console_cannot_encode_is_replaced(trained: Path, encoding: dict[str, str]) -> None:
    encoding = {"PYTHONCOERCECLOCALE": "0", **encoding}
    code, out, err = ended(start(trained, f"classify 'we hope \u2603' {MODEL}", **encoding))
    assert (code, err) == (0, "")
    assert out.split("\t")[2].strip() == "we hope ?"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("<in", "\\xff"),
        ("<&-", "standard input is closed"),
        ("\"$(printf '\\377')\"", "\\xff"),
    ],
)
@pytest.mark.slow
def test_words_that_cannot_be_read_are_one_line(trained: Path, words: str, complaint: str) -> None:
    (trained / "in").write_bytes(b"we hope\n\xff\n")
    code, _, err = ended(start(trained, f"classify {MODEL} {words}", LC_ALL="C"))
    assert (code, err.count("\n")) == (2, 1)
    assert complaint in err


def test_the_environment_is_examined(trained: Path) -> None:
    code, out, err = ended(start(trained, f"classify hope {MODEL}", WORLD_SIZE="abc", RANK="x"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "WORLD_SIZE" in err


def test_nothing_is_imported_before_ctrl_c_is_answered_but_what_answers_it() -> None:
    script = "import sys; before = {*sys.modules}; import common.interruption; print(*sorted({*sys.modules} - before))"
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {*found.split()} <= {"common", "common.interruption", "types"}


@pytest.mark.parametrize("stub", ["tyro", "torch"])  # what main.py imports at once, and what its commands import
def test_ctrl_c_while_modules_are_imported_ends_at_once_in_one_line(stub: str, tmp_path: Path) -> None:
    (tmp_path / f"{stub}.py").write_text(STUB)
    process = start(tmp_path, "part1", PYTHONPATH=str(tmp_path))
    for _ in range(1000):
        if (tmp_path / "importing").exists():
            break
        time.sleep(0.02)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "", "main.py: interrupted\n")
    assert time.monotonic() - started < 5
