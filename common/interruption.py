"""The answer to Ctrl-C outside training. Imported first, for what comes before cannot be answered; so it imports only
what Python has loaded as it starts: `signal` itself takes longer than all the rest here."""

import _signal as signal  # type: ignore[import-not-found]
import os
from types import FrameType

EXIT_INTERRUPTED = 130


def interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, except in the middle of an import: modules may catch what is raised in them, or stay
    behind half made (torch does both), so there one line is said and the process is gone."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            os.write(2, b"main.py: interrupted\n")
            os._exit(EXIT_INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


def answer_ctrl_c() -> None:
    """Let Ctrl-C be answered by `interrupt`, unless it is to be ignored, as by nohup."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
