"""The terminal that a command is started from: its streams, Ctrl-C, and the one line that says what went wrong."""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from common.files import Interrupted, UserError
from common.wording import in_one_line

EXIT_FAILED, EXIT_BAD_USE, EXIT_INTERRUPTED = 1, 2, 130


def answer(work: Callable[[], int]) -> int:
    """The exit code of `work`; an error in it becomes one line on standard error, and the code that says so."""
    open_streams()
    try:
        code = work()
        sys.stdout.flush()  # an error in writing shows here, not when the interpreter ends
        return code
    except UserError as error:
        return complain(str(error), EXIT_BAD_USE)
    except (Interrupted, KeyboardInterrupt) as error:
        return complain(str(error) or "interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return complain(f"{where}{error.strerror or error}; nothing was half written", EXIT_FAILED)
    except UnicodeError as error:  # in a word, a line of standard input, or a name
        return complain(f"{getattr(error, 'object', '')[:40]!a} is not UTF-8; convert or rename it", EXIT_BAD_USE)
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or re.search("allocate memory|out of memory|Storage size", str(error))):
            raise
        return complain("not enough memory for these sizes; choose a smaller model, batch or block", EXIT_FAILED)


def complain(message: str, code: int) -> int:
    """Print one line to standard error; returns the code."""
    print("main.py: " + " ".join(in_one_line(message).split()), file=sys.stderr)
    return code


def warn(message: str) -> None:
    """Print to standard error what stops nothing but should be known."""
    print(f"warning: {in_one_line(message)}", file=sys.stderr)


def tell(message: str) -> None:
    """Print, on a terminal only, what takes a while."""
    if sys.stderr.isatty():
        print(message, file=sys.stderr, flush=True)


def silence() -> None:
    """Show nothing of what this process prints from here on."""
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def open_streams() -> None:
    """Replace characters that the console cannot encode, and print nowhere where a stream is closed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (until the process ends)
        with contextlib.suppress(AttributeError):  # a notebook's stream
            getattr(sys, name).reconfigure(errors="replace")


def lines_of_standard_input() -> Iterator[str]:
    """The lines of standard input that are not blank; UserError where there is none."""
    if sys.stdin is not None and sys.stdin.isatty():
        tell("reading what you type, a line at a time; Ctrl-D ends")
    is_empty = True
    for line in sys.stdin.buffer if sys.stdin is not None else ():
        if text := line.decode("utf-8-sig").strip():
            is_empty = False
            yield text
    if is_empty:
        raise UserError("standard input is empty; give it a line or more, or a text as an argument, in quotes")


def answer_ctrl_c() -> None:
    """Let Ctrl-C be answered by `interrupt`, unless it is to be ignored, as under nohup."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; but in the middle of an import print one line and exit, for a module may catch what is
    raised in it, or stay half imported (torch does both)."""
    if is_importing(frame):
        os.write(2, b"main.py: interrupted\n")
        os._exit(EXIT_INTERRUPTED)
    raise KeyboardInterrupt


def is_importing(frame: FrameType | None) -> bool:
    """Whether a call lies in the import of a module."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
