"""A folder has one writer, and the next is told which."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from launch import ROOT

from common.files import UserError
from common.locks import FolderLock

LOCK = "import pathlib, sys; from common.locks import FolderLock; lock = FolderLock(pathlib.Path(sys.argv[1])"


def locker(folder: Path) -> "subprocess.Popen[str]":
    """Another process that holds the folder until it is killed."""
    words = [sys.executable, "-c", f"{LOCK}); print('held', flush=True); sys.stdin.read()", str(folder)]
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.processes
@pytest.mark.parametrize("is_killed", [False, True])
def test_the_second_process_is_told_who_has_the_folder_until_it_ends(is_killed: bool, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    process = locker(folder)
    with pytest.raises(UserError, match=f"{folder}: in use by process {process.pid} on {platform.node()} since "):
        FolderLock(folder)
    if is_killed:
        process.kill()
    process.communicate()
    with FolderLock(folder):
        pass
    assert list(folder.parent.iterdir()) == []


@pytest.mark.processes
@pytest.mark.slow
def test_who_waits_gets_the_folder_when_the_other_leaves(tmp_path: Path) -> None:
    first = locker(tmp_path / "run")
    second = subprocess.Popen([sys.executable, "-c", f"{LOCK}, wait=True)", str(tmp_path / "run")], cwd=ROOT)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1.5)
    first.communicate()
    assert second.wait(60) == 0


def test_a_folder_that_is_renamed_is_still_held_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    lock = FolderLock(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "run.1")
    with pytest.raises(UserError, match=rf"in use by process {os.getpid()} "):
        FolderLock(tmp_path / "run")
    FolderLock(tmp_path / "run.1").release()
    lock.release()
    for _ in range(2):
        FolderLock(tmp_path / "run")  # to which nothing refers
    assert [path.name for path in tmp_path.iterdir()] == ["run.1"]


def test_a_folder_whose_parent_cannot_be_written_is_locked_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)
    with FolderLock(tmp_path / "volume"):
        assert (tmp_path / "volume" / ".lock").read_bytes() == b""  # Windows lets nobody write there
    assert list((tmp_path / "volume").iterdir()) == []
