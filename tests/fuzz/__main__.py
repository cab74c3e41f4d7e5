"""`python -m tests.fuzz --inputs 1000000` feeds every reader with mutated inputs and says what each did with them."""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Options:
    """Feed every reader with mutated inputs, and print a table of what each did with them."""

    inputs: int = 10_000
    """how many inputs, over all readers"""
    seconds: float | None = None
    """stop after so many seconds, however many inputs there were"""
    seed: int = 0
    """of the mutations; the same seed gives the same inputs"""
    readers: str = ""
    """only those whose name begins with this"""
    folder: Path | None = None
    """where the inputs stand while they are read, best in memory (default: the system's temporary folder)"""


def main() -> int:
    options = tyro.cli(Options, prog="python -m tests.fuzz")
    sys.path[:0] = ["tests"]
    from . import feeding, readers

    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        chosen = [one for one in readers.all_readers(Path(folder)) if one.name.startswith(options.readers)]
        counts = feeding.feed(chosen, options.inputs, options.seed, options.seconds)
    print(feeding.table(counts, time.monotonic() - started))
    for trouble in feeding.troubles(counts):
        print(trouble, file=sys.stderr)
    return 1 if any(count.failed for count in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
