"""The terminal that a command is started from: its streams, Ctrl-C, and the one line that says what went wrong."""

import codecs
import contextlib
import math
import os
import re
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from common.files import Interrupted, UserError
from common.wording import in_one_line

EXIT_FAILED, EXIT_BAD_USE, EXIT_INTERRUPTED = 1, 2, 130
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
AT_ONCE = 1.0  # seconds
PLAIN = str.maketrans({"−": "-", "–": "-", "—": "--", "±": "+/-", "×": "x", "≤": "<=", "≥": ">=", "→": "->", "·": "."})  # noqa: RUF001
WAIT, MOST_WAITS = 0.05, 100  # seconds, and how many of them an interrupted import may still take


def answer(work: Callable[[], int]) -> int:
    """The exit code of `work`; an error in it becomes one line on standard error, and the code that says so."""
    open_streams()
    with interrupts_answered():
        return _answer(work)


def _answer(work: Callable[[], int]) -> int:
    try:
        code = work()
        sys.stdout.flush()  # an error in writing shows here, not when the interpreter ends
        return code
    except UserError as error:
        return complain(str(error), EXIT_BAD_USE)
    except (Interrupted, KeyboardInterrupt) as error:
        ignore_interrupts()
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
    """Print something else for characters that the console cannot encode, and nowhere where a stream is closed."""
    codecs.register_error("in_ascii", in_ascii)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (until the process ends)
        with contextlib.suppress(AttributeError):  # a notebook's stream
            getattr(sys, name).reconfigure(errors="in_ascii")


def in_ascii(error: UnicodeError) -> tuple[str, int]:
    """What is printed for the characters that a console cannot encode: signs of arithmetic and of typography in ASCII,
    of a letter what remains without its accents, and "?" for everything else."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(PLAIN)
    decomposed = unicodedata.normalize("NFKD", text)
    kept = [character for character in decomposed if not unicodedata.combining(character)]
    return "".join(character if character.isascii() else "?" for character in kept), error.end


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


def answer_interrupts() -> None:
    """Let an `Interruption` answer Ctrl-C and SIGTERM, unless they are to be ignored, as under nohup."""
    interruption = Interruption()
    for number in INTERRUPTS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interruption)


@contextlib.contextmanager
def interrupts_answered() -> Iterator[None]:
    """Within it, an `Interruption` answers Ctrl-C and SIGTERM: the one that does already, or a new one."""
    previous = {number: signal.getsignal(number) for number in INTERRUPTS}
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not is_main_thread or any(isinstance(handler, Interruption) for handler in previous.values()):
        yield
        return
    answer_interrupts()
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def ignore_interrupts() -> None:
    """From here on, Ctrl-C and SIGTERM do nothing: what ends comes to its end."""
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)


class Interruption:
    """What Ctrl-C and SIGTERM do: raise KeyboardInterrupt, but not twice within AT_ONCE: `timeout` sends them twice,
    and people press twice.

    In the middle of an import the signal waits for the end of it, for a module may catch what is raised in it, or stay
    half imported (torch does both); where it has no end, the process ends.
    """

    def __init__(self) -> None:
        self.last_raised, self.n_waits = -math.inf, 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if is_importing(frame):
            if self.n_waits == MOST_WAITS:
                os.write(2, b"main.py: interrupted\n")
                os._exit(EXIT_INTERRUPTED)
            self.n_waits += 1
            threading.Timer(WAIT, send_to_main_thread, [number]).start()
        elif time.monotonic() > self.last_raised + AT_ONCE:
            self.last_raised, self.n_waits = time.monotonic(), 0
            raise KeyboardInterrupt


def send_to_main_thread(number: int) -> None:
    """Send a signal to the thread that answers it."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)  # on Windows, where os.kill ends the process


def is_importing(frame: FrameType | None) -> bool:
    """Whether a call lies in the import of a module."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
