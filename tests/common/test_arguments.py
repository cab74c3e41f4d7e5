"""A command line becomes a command, or one line that says what is wrong with it and what to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from common.arguments import Command, Optional, Typed, command_name, overview, read
from common.files import UserError


@dataclass
class Train:
    """Train."""

    seed: int = 0
    rate: Optional[float] = None
    positions: Optional[Literal["learned", "rope"]] = None
    widths: Optional[tuple[int, ...]] = None
    whole: bool = False

    def run(self, typed: Typed) -> None: ...


@dataclass
class Say:
    """Say a sentence that was taken from another folder, of which nothing is changed and where nothing is written."""

    sentence: tyro.conf.Positional[str]
    source: Annotated[Path, tyro.conf.arg(name="from")]

    def run(self, typed: Typed) -> None: ...


COMMANDS: dict[str, type[Command]] = {"train": Train, "data say": Say}


def command_of(line: str) -> Command | None:
    typed = Typed(tuple(line.split()))
    return read(typed, command_name(typed, COMMANDS), COMMANDS)


def test_a_command_gets_what_is_typed() -> None:
    expected = Train(-3, 0.001, "rope", (1, 2), whole=True)
    assert command_of("train --seed -3 --rate=1e-3 --positions rope --widths 1 2 --whole") == expected
    assert command_of("data say --from x hope") == Say("hope", Path("x"))
    for text in (["--", "--hope"], ["--", "--from=y"], ["--", "--help"], ["--", "-"], ["-- we"], ["-5 = five"]):
        assert read(Typed(("data", "say", "--from", "x", *text)), "data say", COMMANDS) == Say(text[-1], Path("x"))


@pytest.mark.parametrize(
    "line",
    [  # what is typed, then words of the answer
        "Train | 'Train', did you mean train?",
        "data sya x | 'data sya', did you mean data say?",
        "--bogus | '--bogus', --help",
        "train --sed 3 | --sed, did you mean --seed?",
        "train --from x | --from, belongs to data say",
        "train -x | -x, leave it out",
        "data say --hope we --from x | sentence, comes after --",
        "data say --from x -- --we --hope | '--hope', quotes",
        "train --seed | --seed, needs a value",
        "train --widths | --widths, needs a value",
        "train --seed --whole | --seed, needs a value",
        "train --seed 1.5 | --seed, whole numbers",
        "train --rate fast | --rate, numbers",
        "train --widths 1 wide | --widths, whole numbers",
        "train --positions=rop | --positions, learned, rope, 'rop'",
        "train --positions None | --positions, {learned,rope}",
        "train --widths 1 --widths 2 | --widths, given twice",
        f"train --seed {'9' * 100} | --seed, 999..., at most 18 digits",
        f"train --seed {'9' * 5000} | --seed, whole numbers",
        "train now | 'now', leave it out",
        "data say we hope --from x | 'hope', quotes",
        "data say --from x | needs a sentence, in quotes",
        "data say hope | data say, needs --from",
    ],
)
def test_bad_use_is_one_line_that_names_what_was_typed_and_a_remedy(line: str) -> None:
    typed, _, words = line.partition(" | ")
    with pytest.raises(UserError) as refused:
        command_of(typed)
    complaint = str(refused.value)
    assert "\n" not in complaint
    assert len(complaint) < 200
    assert [word for word in words.split(", ") if word not in complaint] == []


@pytest.mark.parametrize("columns", [45, 80, 120])
def test_help_is_as_wide_as_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert command_of("data say --help") is None
    texts = [capsys.readouterr().out]
    assert (Say.__doc__ or "") in " ".join(texts[0].split())
    for line, listed in (("", {*COMMANDS}), ("-h", {*COMMANDS}), ("data --help", {"data say"})):
        texts.append(overview(Typed(tuple(line.split())), COMMANDS, "Trains and says.") or "")
        assert {name for name in COMMANDS if f"\n  {name} " in texts[-1]} == listed
    assert max(len(line) for text in texts for line in text.splitlines()) <= columns
    assert overview(Typed(("train", "--help")), COMMANDS, "") is None


def test_a_line_to_go_on_is_what_was_typed() -> None:
    typed = Typed(("part1", "--out", "my run"))
    assert str(typed.to_go_on()) == str(typed.to_go_on().to_go_on()) == "python main.py part1 --out 'my run' --resume"
