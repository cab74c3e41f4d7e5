"""What is wrong with a command line is said in one line, with what was meant."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from common.arguments import Command, CommandLine


class Silent:
    def run(self) -> None:
        """Nothing."""


@dataclass
class Train(Silent):
    """Train."""

    seed: int = 0
    rate: float | None = None
    positions: Literal["learned", "rope"] | None = None
    widths: tuple[int, ...] | None = None
    whole: bool = False


@dataclass
class Say(Silent):
    """Say."""

    sentence: tyro.conf.Positional[str]
    out: Path = Path("x")


@dataclass
class Read(Silent):
    """Read."""

    sentences: tyro.conf.Positional[tuple[str, ...]] = ()


@dataclass
class Take(Silent):
    """Take the files from another folder, of which nothing is changed and in which nothing is written."""

    source: Annotated[Path, tyro.conf.arg(name="from")]
    seeds: int = 5


COMMANDS: dict[str, type[Command]] = {"train": Train, "say": Say, "read": Read, "data take": Take}


SEE = "; see prog train --help"
PROGRAM = CommandLine("prog", "Trains and says.", COMMANDS, ("sentence", "sentences"), {"source": "from"})


def said(line: str) -> str | None:
    return PROGRAM.mistake(line.split())


@pytest.mark.parametrize(
    "line",
    [
        *(
            "train",
            "train --seed 3 --rate 0.5 --positions rope --widths 1 2 --whole",
            "train --rate=1e-3",
        ),
        *("train --widths 1 2 --seed 4", "say hope", "say hope --out y", "say --out y hope", "read", "read a b c"),
        *("data take --from x", "train --help", "say --help", "train --seed -1", "data take -h"),
    ],
)
def test_what_can_be_run_is_left_to_the_parser(line: str) -> None:
    assert said(line) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Train", "there is no command 'Train'; did you mean train?"),
        ("tra in", "there is no command 'tra in'; did you mean train?"),
        ("data tkae", "there is no command 'data tkae'; did you mean data take?"),
        ("sing", "there is no command 'sing'; see prog --help"),
        ("train --sed 3", "train has no --sed; did you mean --seed?; see prog train --help"),
        ("train --from x", "train has no --from; it belongs to data take; see prog train --help"),
        ("train --moon", "train has no --moon; see prog train --help"),
        ("train --seeds 3", "train trains on one seed, which --seed sets; data take take --seeds"),
        ("train --seed", "--seed needs a value; see prog train --help"),
        ("train --seed --whole", "--seed needs a value; see prog train --help"),
        ("train --seed 1.5", "--seed takes a whole number, not '1.5'; see prog train --help"),
        ("train --rate fast", "--rate takes a number, not 'fast'; see prog train --help"),
        ("train --widths 1 wide", "--widths takes a whole number, not 'wide'; see prog train --help"),
        (
            "train --positions=rop",
            "--positions is one of learned, rope, not 'rop'; did you mean rope?; see prog train --help",
        ),
        ("train now", "train takes no 'now'; see prog train --help"),
        ("train --seed 1 2", "train takes no '2'; see prog train --help"),
        ("say we hope", "the sentence needs quotes: prog say 'we hope'"),
        ("say --out x", "say needs a sentence, in quotes; see prog say --help"),
        (f"train --seed {'9' * 100}", f"--seed takes a whole number of at most 18 digits, not '{'9' * 40}...'{SEE}"),
        (
            f"train --widths 1 -{'9' * 5000}",
            f"--widths takes a whole number of at most 18 digits, not '-{'9' * 39}...'{SEE}",
        ),
        ("--bogus", "there is no command '--bogus'; see prog --help"),
        ("data take", "data take needs --from; see prog data take --help"),
    ],
)
def test_what_cannot_is_said_with_what_was_meant(line: str, expected: str) -> None:
    assert said(line) == expected


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how wide the terminal is."""
    return lambda n: monkeypatch.setenv("COLUMNS", str(n))


def test_the_overview_lists_the_commands_or_those_of_a_group(columns: Callable[[int], None]) -> None:
    columns(80)
    start = "usage: prog COMMAND ...\n\nTrains and says.\n\n"
    taken = """  data take  Take the files from another folder, of which nothing is changed and
             in which nothing is written."""
    every = f"{start}  train      Train.\n  say        Say.\n  read       Read.\n{taken}"
    assert PROGRAM.overview([]) == PROGRAM.overview(["-h"]) == PROGRAM.overview(["--help"]) == every
    of_data = f"usage: prog data COMMAND ...\n\nTrains and says.\n\n{taken}"
    assert PROGRAM.overview(["data"]) == PROGRAM.overview(["data", "--help"]) == of_data
    for line in ("train", "train --help", "dat", "data tkae", "--bogus"):
        assert PROGRAM.overview(line.split()) is None


@pytest.mark.parametrize("n_columns", [45, 60, 80, 120])
def test_help_is_as_wide_as_the_terminal(
    n_columns: int, columns: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns(n_columns)
    monkeypatch.setattr("sys.stdout.isatty", lambda: n_columns == 60)  # with colours
    monkeypatch.setenv("TERM", "xterm")
    for words in (["train"], ["read"], ["data", "take"]):
        assert PROGRAM.parse([*words, "--help"]) is None
        shown = capsys.readouterr().out
        assert ("\x1b[" in shown) == (n_columns == 60)
        lines = re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()
        assert max(map(len, lines)) <= n_columns
        assert lines[0].startswith(f"usage: prog {' '.join(words)} [-h]")
        about = COMMANDS[" ".join(words)].__doc__ or ""
        assert about in " ".join(lines)
    usage = lines[: lines.index("")]
    assert " ".join(line.strip() for line in usage) == "usage: prog data take [-h] --from PATH [--seeds INT]"
    assert max(map(len, PROGRAM.overview([]).splitlines())) <= n_columns  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (Train(), "prog train"),
        (Train(seed=-3, rate=0.5, widths=(1, 2), whole=True), "prog train --seed -3 --rate 0.5 --widths 1 2 --whole"),
        (Say("it's so", Path("my run")), """prog say 'it'"'"'s so' --out 'my run'"""),
        (Read(("a b", "c")), "prog read 'a b' c"),
        (Take(Path("x"), seeds=2), "prog data take --from x --seeds 2"),
    ],
)
def test_a_command_is_written_as_it_would_be_typed(command: Command, line: str) -> None:
    assert PROGRAM.written(command) == line
    assert PROGRAM.parse(shlex.split(line)[1:]) == command
