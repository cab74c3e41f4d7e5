"""Ctrl-C outside training. It is imported before all else, and imports nothing that takes time."""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

EXIT_INTERRUPTED = 130


def end_at_once(*_: object) -> None:
    """Answer Ctrl-C before there is anything to save: one line, and the process is gone."""
    with contextlib.suppress(OSError):
        os.write(2, b"main.py: interrupted\n")
    os._exit(EXIT_INTERRUPTED)


def interrupt(_: int, frame: FrameType | None) -> None:
    """Answer Ctrl-C with KeyboardInterrupt, except in the middle of an import: modules may catch what is raised in
    them, or stay behind half made (torch does both), so there the process ends at once."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            end_at_once()
        frame = frame.f_back
    raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within it, Ctrl-C is answered by `interrupt`, unless who started this process wants it to be ignored."""
    before = signal.getsignal(signal.SIGINT)
    with contextlib.suppress(ValueError):  # not the main thread
        if before != signal.SIG_IGN:
            signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGINT, before)
