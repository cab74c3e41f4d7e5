"""A folder that one process at a time writes in; an error tells the next one which does."""

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
    """A folder, there or not, that this process alone writes in, until `release()`, or until nothing refers to this
    object, or the process ends in any way.

    The lock is a hidden file next to the folder, which may itself be renamed while it is held. A second file says who
    holds it: Windows lets nobody else touch the lock file itself.
    """

    def __init__(self, folder: Path, wait: bool = False) -> None:
        """Lock `folder`, or `wait` until another process releases it; else UserError says which process holds it."""
        absolute = folder.absolute()  # whatever the working directory becomes
        path = absolute.parent / f".{absolute.name}.lock"
        if absolute.is_dir() and not os.access(absolute.parent, os.W_OK):  # as a volume of a container is
            path = absolute / ".lock"
        holder = path.with_name(f"{path.name}.holder.lock")
        lock = FileLock(path, thread_local=False)
        with new_in(path.parent):
            try:
                lock.acquire(timeout=-1 if wait else PATIENCE)
            except Timeout:
                who = "another process"
                with contextlib.suppress(FileNotFoundError):  # it has just locked the folder, or is about to release it
                    who = holder.read_text(encoding="utf-8")
                raise UserError(f"{folder}: in use by {who}; wait for it, or choose another") from None
        since, command = time.strftime("%Y-%m-%d %H:%M:%S"), shlex.join(sys.argv)
        who = f"process {os.getpid()} on {platform.node()} since {since} ({command})"
        holder.write_text(who, encoding="utf-8")  # no temporary file, which a kill would leave
        self.release = weakref.finalize(self, _release, lock, path, holder)  # also called as the program ends

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _release(lock: FileLock, path: Path, holder: Path) -> None:
    """Release a lock and leave no file."""
    holder.unlink(missing_ok=True)
    if os.name == "posix":  # on Windows an open file cannot be deleted, and filelock deletes it once it is closed
        path.unlink(missing_ok=True)  # before the release: who has opened the file sees that it has no name any more
    lock.release()
