"""The terminal that a command is started from: its streams, and the one line that says what went wrong."""

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from common.files import Interrupted, UserError
from common.interruption import EXIT_INTERRUPTED

EXIT_FAILED, EXIT_BAD_USE = 1, 2


def answer(work: Callable[[], int]) -> int:
    """The exit code of `work`; what goes wrong in it becomes one line on standard error, and the code that says so."""
    open_streams()
    try:
        code = work()
        sys.stdout.flush()  # what cannot be written is known now, not when the interpreter ends
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
    except UnicodeError as error:  # of a word, a line of standard input, or a name: other text is read as a file
        what = getattr(error, "object", "")
        return complain(f"{what[:40]!a} is not UTF-8; convert or rename it", EXIT_BAD_USE)
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or re.search("allocate memory|out of memory|Storage size", str(error))):
            raise
        return complain("not enough memory for these sizes; choose a smaller model, batch or block", EXIT_FAILED)


def tell(what: str) -> None:
    """Say on the terminal, if there is one, what takes a while."""
    if sys.stderr.isatty():
        print(what, file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Say on standard error what stops nothing but should be known."""
    print(f"warning: {message}", file=sys.stderr)


def complain(message: str, code: int) -> int:
    """Print one line to standard error; returns the code."""
    print("main.py: " + " ".join(message.split()), file=sys.stderr)
    return code


def silence() -> None:
    """From here on nothing that this process says is shown."""
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def open_streams() -> None:
    """Print with replacements what the console cannot encode, and to nowhere what goes to a closed stream."""
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _nowhere() -> io.TextIOWrapper:
    return Path(os.devnull).open("w", encoding="utf-8")


def lines_of_standard_input() -> Iterator[str]:
    """The lines of standard input that hold something; UserError where none does, or it is closed."""
    if sys.stdin is None:
        raise UserError("standard input is closed; give the sentences as arguments, each in quotes")
    if sys.stdin.isatty():
        tell("reading what you type, a line at a time; Ctrl-D ends")
    is_empty = True
    for line in sys.stdin.buffer:
        if text := line.decode("utf-8-sig").strip():
            is_empty = False
            yield text
    if is_empty:
        raise UserError("standard input is empty; give it a line or more, or a text as an argument, in quotes")


def words_in_utf8() -> list[str]:
    """The words after the program's name, whatever encoding the locale has."""
    return [os.fsencode(word).decode("utf-8") for word in sys.argv[1:]]
