"""The terminal that a command is started from: its streams, and the one line that says what went wrong."""

import contextlib
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from common.files import Interrupted, UserError
from common.interruption import EXIT_INTERRUPTED, interrupt

EXIT_FAILED, EXIT_BAD_USE = 1, 2


def answer(work: Callable[[], int]) -> int:
    """The exit code of `work`; what goes wrong in it becomes one line on standard error, and the code that says so."""
    open_streams()
    try:
        with interruptible():
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
    except UnicodeEncodeError as error:  # text is read strictly: only a name can hold what is no character
        return complain(f"{error.object[:60]!a}: a name that is not UTF-8; rename it", EXIT_BAD_USE)
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or re.search("allocate memory|out of memory|Storage size", str(error))):
            raise
        return complain("not enough memory for these sizes; choose a smaller model, batch or block", EXIT_FAILED)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within it, Ctrl-C is answered by `interrupt`, unless who started this process wants it to be ignored."""
    before = signal.getsignal(signal.SIGINT)
    answered = before != signal.SIG_IGN and threading.current_thread() is threading.main_thread()
    if answered:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if answered:
            signal.signal(signal.SIGINT, before)


def tell(what: str) -> None:
    """Say on the terminal, if there is one, what takes a while."""
    if sys.stderr.isatty():
        print(what, file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Say on standard error what goes on but should be known."""
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
    """Let output that the console cannot encode be printed with replacements, and no file take the place of a closed
    stream."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.stdout, sys.stderr = (stream or io.StringIO() for stream in (sys.stdout, sys.stderr))


def lines_of_standard_input() -> Iterator[str]:
    """The lines of standard input that hold something; UserError where none does, or it is not UTF-8, or closed."""
    if sys.stdin is None:
        raise UserError("standard input is closed; give the sentences as arguments, each in quotes")
    if sys.stdin.isatty():
        tell("reading what you type, a line at a time; Ctrl-D ends")
    is_empty = True
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            where = f"standard input, line {number}"
            raise UserError(f"{where}: not UTF-8 (byte 0x{line[error.start]:02x}); convert it first") from error
        if text:
            is_empty = False
            yield text
    if is_empty:
        raise UserError("standard input is empty; give it a line or more, or a text as an argument, in quotes")


def arguments_in_utf8() -> list[str]:
    """The words after the program's name, whatever encoding the locale has; UserError where they are not UTF-8."""
    try:
        return [os.fsencode(word).decode("utf-8") for word in sys.argv[1:]]
    except UnicodeDecodeError as error:
        raise UserError(
            f"an argument is not UTF-8 (byte 0x{error.object[error.start]:02x}); convert it first"
        ) from error
