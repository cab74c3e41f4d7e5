"""Answers to Ctrl-C outside training. Imported before all else, for what comes before cannot be answered; so it imports
only what Python has loaded as it starts: `signal` itself takes longer than all the rest here."""

import _signal as signal  # type: ignore[import-not-found]
import os
from types import FrameType

EXIT_INTERRUPTED = 130


def end_at_once(*_: object) -> None:
    """Before there is anything to save: one line, and the process is gone."""
    try:
        os.write(2, b"main.py: interrupted\n")
    finally:
        os._exit(EXIT_INTERRUPTED)


def interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, except in the middle of an import: modules may catch what is raised in them, or stay
    behind half made (torch does both), so there the process ends at once."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            end_at_once()
        frame = frame.f_back
    raise KeyboardInterrupt


def answer_at_once() -> None:
    """Let Ctrl-C end the process at once, unless who started it wants Ctrl-C to be ignored, as nohup does."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)
