"""What is wrong with a command line is said in one line, with what was meant."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from common.arguments import mistake


@dataclass
class Train:
    seed: int = 0
    rate: float | None = None
    positions: Literal["learned", "rope"] | None = None
    widths: tuple[int, ...] | None = None
    whole: bool = False


@dataclass
class Say:
    sentence: str
    out: Path = Path("x")


@dataclass
class Read:
    sentences: tuple[str, ...] = ()


@dataclass
class Take:
    source: Path
    seeds: int = 5


COMMANDS = {"train": Train, "say": Say, "read": Read, "data take": Take}


def said(line: str) -> str | None:
    return mistake(line.split(), COMMANDS, "prog", ("sentence", "sentences"), {"source": "from"})


@pytest.mark.parametrize(
    "line",
    [
        *(
            "",
            "--help",
            "train",
            "train --seed 3 --rate 0.5 --positions rope --widths 1 2 --whole",
            "train --rate=1e-3",
        ),
        *("train --widths 1 2 --seed 4", "say hope", "say hope --out y", "say --out y hope", "read", "read a b c"),
        *("data take --from x", "data", "data --help", "train --help", "say --help", "train --seed -1", "data take -h"),
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
        ("data take", "data take needs --from; see prog data take --help"),
    ],
)
def test_what_cannot_is_said_with_what_was_meant(line: str, expected: str) -> None:
    assert said(line) == expected
