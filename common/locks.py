"""Folders that one process writes at a time: the next one is told which does."""

import contextlib
import os
import platform
import shlex
import sys
import time
import weakref
from pathlib import Path

from filelock import FileLock, Timeout

from common.files import UserError, new_in

PATIENCE = 0.5  # seconds; a process that is leaving may hold its lock for an instant


class FolderLock:
    """A folder, there or not, that this process alone writes, until `release()`, or until nobody keeps this
    object, or the process ends, however it does.

    The lock is a hidden file beside the folder, which may itself be renamed while it is held. A second file beside it
    says who holds it: Windows lets nobody else touch the lock file itself.
    """

    def __init__(self, folder: Path, wait: bool = False) -> None:
        """Take hold of `folder`, or `wait` until another process lets go; else UserError says which process has it."""
        given, folder = folder, folder.absolute()  # whatever the working directory becomes
        inside = folder.is_dir() and not os.access(folder.parent, os.W_OK)  # as a volume of a container is
        path = folder / ".lock" if inside else folder.parent / f".{folder.name}.lock"
        holder = path.with_name(f"{path.name}.holder.lock")
        lock = FileLock(path, thread_local=False)
        with new_in(path.parent):
            try:
                lock.acquire(timeout=-1 if wait else PATIENCE)
            except Timeout:
                who = "another process"
                with contextlib.suppress(FileNotFoundError):  # it has just taken the lock, or is about to let go
                    who = holder.read_text(encoding="utf-8")
                raise UserError(f"{given}: in use by {who}; wait for it, or choose another") from None
        since, command = time.strftime("%Y-%m-%d %H:%M:%S"), shlex.join(sys.argv)
        who = f"process {os.getpid()} on {platform.node()} since {since} ({command})"
        holder.write_text(who, encoding="utf-8")  # as it is: a kill leaves no other file, and the next holder mends it
        self.release = weakref.finalize(self, _release, lock, path, holder)  # which the end of the program calls, too

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _release(lock: FileLock, path: Path, holder: Path) -> None:
    """Let go, and leave nothing behind."""
    holder.unlink(missing_ok=True)
    if (
        os.name == "posix"
    ):  # on Windows an open file cannot be deleted, and filelock itself deletes it once it is closed
        path.unlink(missing_ok=True)  # first: who has opened the file meanwhile sees that it has no name any more
    lock.release()
