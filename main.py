"""Orator's command line: the commands, in the order in which they are listed, and how one is run."""

import sys
from importlib.util import find_spec

if __name__ == "__main__" and not all(map(find_spec, ("filelock", "msgspec", "rich", "torch", "tyro"))):
    remedy = "`source .venv/bin/activate` (Windows: .venv\\Scripts\\activate), or `pip install -r requirements.txt`"
    print(f"main.py: the packages that it needs are not installed for {sys.executable}; {remedy}", file=sys.stderr)
    sys.exit(2)

from common import console

if __name__ == "__main__":
    console.answer_interrupts()  # before the imports, which take time

import os
import shlex
from collections.abc import Sequence

from commands.data import Audit, Build, Import
from commands.explore import Explore
from commands.options import Common
from commands.parts import Part1, Part2, Part3, Report
from commands.studies import Ablation, Compare, Measure, PositionMethods, Settings, Tokenizers
from commands.trained import Attention, Classify, Explain, Generate, Knockouts, Score
from common.arguments import PROGRAM, Command, Typed, command_name, overview, read
from common.environment import before_pytorch, rank

PURPOSE = "A laboratory of small transformers. `python main.py COMMAND --help` explains each command."

# Each command, and the one to try next.
COMMANDS: dict[str, tuple[type[Command], str]] = {
    "part1": (Part1, 'classify "We will rebuild."'),
    "part2": (Part2, 'generate "My fellow Americans"'),
    "part3": (Part3, "report"),
    "report": (Report, "part1 --recipe best"),
    "compare": (Compare, "settings"),
    "ablation": (Ablation, "report"),
    "measure": (Measure, "ablation"),
    "positions": (PositionMethods, "compare --vary positions=none,learned"),
    "tokenizers": (Tokenizers, "part1 --tokenizer bpe"),
    "explore": (Explore, 'explain "We will rebuild."'),
    "classify": (Classify, 'explain "We will rebuild."'),
    "explain": (Explain, 'attention "We will rebuild."'),
    "attention": (Attention, "explore"),
    "knockouts": (Knockouts, "explore"),
    "score": (Score, 'generate "My fellow Americans"'),
    "generate": (Generate, 'generate "My fellow Americans" --temperature 1'),
    "settings": (Settings, "compare --vary dropout=0,0.2"),
    "data build": (Build, "data audit"),
    "data audit": (Audit, "part1"),
    "data import": (Import, "part1 --help"),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run what the words after the program's name say; returns the exit code: 0, 1 for a failure, 2 for bad use, 3 for
    data that leak, 130 for Ctrl-C."""
    return console.answer(lambda: run(sys.argv[1:] if words is None else words))


def run(words: Sequence[str]) -> int:
    """Find the command, run it, and print what to try next."""
    if rank(os.environ) > 0:
        console.silence()  # of the processes that torchrun started, only the first prints
    typed, commands = Typed(tuple(words)), {name: command for name, (command, _) in COMMANDS.items()}
    if listed := overview(typed, commands, PURPOSE):
        print(listed)
        return 0
    name = command_name(typed, commands)
    command = read(typed, name, commands)
    if command is None:
        return 0  # only its help was asked for
    before_pytorch(os.environ)
    from training.processes import processes

    with processes():
        code = command.run(typed) or 0
    if isinstance(command, Common) or (sys.stdout.isatty() and not getattr(command, "json", False)):
        print(f"Next: {PROGRAM} {next_line(name, command)}")
    return code


def next_line(name: str, command: Command) -> str:
    """What to try next, with the model and the data of this command where the next one would take others."""
    line, commands = COMMANDS[name][1], {other: command for other, (command, _) in COMMANDS.items()}
    following = commands[command_name(Typed(tuple(shlex.split(line))), commands)]
    for option in ("model", "data_dir"):
        value = getattr(command, option, None)
        if value is not None and value != getattr(following, option, value):
            line += f" --{option.replace('_', '-')} {shlex.quote(str(value))}"
    return line


if __name__ == "__main__":
    sys.exit(main())
