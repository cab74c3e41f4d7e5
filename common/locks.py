"""Folders that one process writes at a time: the next one is told which does."""

import contextlib
import os
import platform
import shlex
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from common.files import UserError, new_in

PATIENCE = 0.5  # seconds; a process that is leaving may hold its lock for an instant


class FolderLock:
    """A folder, there or not, that this process alone writes, until `release` or its end, however it ends.

    The lock is a hidden file beside the folder, which may itself be renamed while it is held.
    """

    def __init__(self, folder: Path, wait: bool = False) -> None:
        """Take hold of `folder`, or `wait` until another process lets go; else UserError says which process has it."""
        named, folder = folder, folder.absolute()  # whatever the working directory becomes
        inside = folder.is_dir() and not os.access(folder.parent, os.W_OK)  # as a volume of a container is
        self.path = folder / ".lock" if inside else folder.parent / f".{folder.name}.lock"
        self.lock = FileLock(self.path, thread_local=False)
        with new_in(self.path.parent):
            try:
                self.lock.acquire(timeout=-1 if wait else PATIENCE)
            except Timeout:
                raise UserError(f"{named}: in use by {self._holder()}; wait for it, or choose another") from None
        since, command = time.strftime("%Y-%m-%d %H:%M:%S"), shlex.join(sys.argv)
        self.path.write_text(f"process {os.getpid()} on {platform.node()} since {since} ({command})", encoding="utf-8")

    def _holder(self) -> str:
        with contextlib.suppress(OSError):
            return self.path.read_text(encoding="utf-8", errors="replace") or "another process"
        return "another process"

    def release(self) -> None:
        """Let go of the folder and leave nothing behind; more than once does no harm."""
        if self.lock.is_locked:
            self.path.unlink(missing_ok=True)  # first: who opened the old file meanwhile sees that it has no name
            self.lock.release()

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    __del__ = release
