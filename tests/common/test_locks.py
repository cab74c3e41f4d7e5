"""A folder has one writer, and the next is told which."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.files import UserError
from common.locks import FolderLock

HOLD = "import pathlib, sys; from common.locks import FolderLock; kept = FolderLock(pathlib.Path(sys.argv[1]))"
ROOT = Path(__file__).parent.parent.parent


def holder(folder: Path) -> "subprocess.Popen[str]":
    """Another process that has the folder until it is killed."""
    code = f"{HOLD}; print('held', flush=True); sys.stdin.read()"
    arguments = [sys.executable, "-c", code, str(folder)]
    process = subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.processes
def test_the_second_process_is_told_who_has_the_folder_until_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    for stop in (signal.SIGKILL, None):
        process = holder(folder)
        with pytest.raises(UserError) as caught:
            FolderLock(folder)
        what = f"{folder}: in use by process {process.pid} on {platform.node()} since "
        assert str(caught.value).startswith(what)
        if stop is None:
            process.communicate()
            assert list(folder.parent.iterdir()) == []
        else:
            process.kill()
            process.wait()
        with FolderLock(folder):
            pass
        assert list(folder.parent.iterdir()) == []


@pytest.mark.processes
@pytest.mark.slow
def test_who_waits_gets_the_folder_when_the_other_leaves(tmp_path: Path) -> None:
    first = holder(tmp_path / "run")
    code = "import pathlib, sys; from common.locks import FolderLock; FolderLock(pathlib.Path(sys.argv[1]), wait=True)"
    second = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run")], cwd=ROOT)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1.5)
    first.communicate()
    assert second.wait(60) == 0


def test_a_folder_that_is_renamed_is_still_held_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    held = FolderLock(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "run.1")
    with pytest.raises(UserError, match=rf"in use by process {os.getpid()} "):
        FolderLock(tmp_path / "run")
    FolderLock(tmp_path / "run.1").release()
    held.release()
    held.release()
    FolderLock(tmp_path / "run").release()


def test_a_lock_that_nobody_keeps_is_gone(tmp_path: Path) -> None:
    for _ in range(2):
        FolderLock(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_neighbourhood_cannot_be_written_is_locked_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)
    with FolderLock(tmp_path / "volume"):
        assert (tmp_path / "volume" / ".lock").read_bytes() == b""  # Windows lets nobody write there
    assert list((tmp_path / "volume").iterdir()) == []


def test_a_place_for_folders_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: cannot be used as a folder"):
        FolderLock(tmp_path / "file" / "run")
