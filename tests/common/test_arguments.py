"""A command line becomes a command, or one line that says what is wrong with it and what to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from common.arguments import Command, Optional, Typed, name_of, overview, read
from common.files import UserError


class Silent:
    def run(self, typed: Typed) -> None:
        """Nothing."""


@dataclass
class Train(Silent):
    """Train."""

    seed: int = 0
    rate: Optional[float] = None
    positions: Optional[Literal["learned", "rope"]] = None
    widths: Optional[tuple[int, ...]] = None
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


def command_of(line: str) -> Command | None:
    typed = Typed(tuple(line.split()))
    return read(typed, name_of(typed, COMMANDS), COMMANDS)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("train", Train()),
        ("train --seed -3 --rate=1e-3 --positions rope --whole", Train(-3, 0.001, "rope", whole=True)),
        ("train --widths 1 2 --seed 4", Train(4, widths=(1, 2))),
        ("say --out y hope", Say("hope", Path("y"))),
        ("read a b", Read(("a", "b"))),
        ("data take --from x", Take(Path("x"))),
    ],
)
def test_a_command_gets_what_is_typed(line: str, command: Command) -> None:
    assert command_of(line) == command


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Train", ["'Train'", "did you mean train?"]),
        ("data tkae x", ["'data tkae'", "did you mean data take?"]),
        ("sing", ["'sing'", "--help"]),
        ("--bogus", ["'--bogus'", "--help"]),
        ("train --sed 3", ["--sed", "did you mean --seed?"]),
        ("train --from x", ["--from", "belongs to data take"]),
        ("train --moon", ["--moon", "leave it out"]),
        ("train -x", ["-x", "leave it out"]),
        ("train --seed", ["--seed needs a value"]),
        ("train --widths", ["--widths needs a value"]),
        ("train --seed --whole", ["--seed needs a value"]),
        ("train --seed 1.5", ["--seed takes whole numbers", "'1.5'"]),
        ("train --rate fast", ["--rate takes numbers", "'fast'"]),
        ("train --widths 1 wide", ["--widths takes whole numbers"]),
        ("train --positions=rop", ["--positions", "learned, rope", "'rop'", "did you mean rope?"]),
        ("train --positions None", ["--positions takes {learned,rope}"]),
        ("train --widths 1 --widths 2", ["--widths is given twice"]),
        (f"train --seed {'9' * 100}", ["--seed", "999...", "at most 18 digits"]),
        (f"train --seed {'9' * 5000}", ["--seed takes whole numbers"]),
        ("train now", ["'now'", "leave it out"]),
        ("say we hope", ["'hope'", "quotes"]),
        ("say --out x", ["needs a sentence, in quotes"]),
        ("data take", ["data take needs --from"]),
    ],
)
def test_bad_use_is_one_line_that_names_what_was_typed_and_a_remedy(line: str, said: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        command_of(line)
    complaint = str(refused.value)
    assert "\n" not in complaint
    assert len(complaint) < 200
    assert [words for words in said if words not in complaint] == []


@pytest.mark.parametrize("columns", [45, 60, 80, 120])
def test_help_is_as_wide_as_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for name, command in COMMANDS.items():
        assert command_of(f"{name} --help") is None
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= columns
        assert (command.__doc__ or "") in " ".join(shown.split())
    for line, listed in (
        ("", {*COMMANDS}),
        ("-h", {*COMMANDS}),
        ("data", {"data take"}),
        ("data --help", {"data take"}),
    ):
        text = overview(Typed(tuple(line.split())), COMMANDS, "Trains and says.")
        assert text is not None
        assert max(map(len, text.splitlines())) <= columns
        listed = {"data take"} if line.startswith("data") else {*COMMANDS}
        assert {name for name in COMMANDS if f"\n  {name} " in text} == listed
    for line in ("train", "train --help", "dat", "data tkae", "--bogus"):
        assert overview(Typed(tuple(line.split())), COMMANDS, "") is None


def test_a_line_to_go_on_is_what_was_typed() -> None:
    typed = Typed(("part1", "--out", "my run"))
    assert str(typed.to_go_on()) == str(typed.to_go_on().to_go_on()) == "python main.py part1 --out 'my run' --resume"
