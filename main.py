"""Orator's command line. The commands live in commands/, where part1, part2 and part3 begin in parts.py."""

from common.interruption import answer_at_once

if __name__ == "__main__":
    answer_at_once()  # Ctrl-C, before the imports that take time

import os
import sys
from collections.abc import Sequence

from commands.called import command_line
from commands.options import Common
from common import console
from common.environment import before_pytorch, rank


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    return console.answer(lambda: run(console.arguments_in_utf8() if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Find the command and do what it says."""
    if rank(os.environ) > 0:
        console.silence()  # of processes that train together the first speaks for all
    command = command_line().parse(arguments)
    if command is None:
        return 0  # help was all that was asked for
    if isinstance(command, Common):
        console.tell("importing PyTorch")
    before_pytorch(os.environ)
    from training.processes import processes

    with processes():
        return command.run() or 0


if __name__ == "__main__":
    sys.exit(main())
