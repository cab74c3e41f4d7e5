"""What a person typed, and the command that it calls: read by tyro, refused in one line."""

import contextlib
import io
import re
import shlex
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Protocol, TypeVar, get_type_hints

import tyro
from tyro import _errors as errors  # typed, but private: requirements.txt names one version of tyro

from common.checks import shortened
from common.files import UserError
from common.wording import did_you_mean

Value = TypeVar("Value")
Optional = Annotated[Value | None, tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint="")]  # help shows no None
Sentences = tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="[TEXT ...]", help_behavior_hint="")]]

PROGRAM = "python main.py"
SHIELD = "\0"  # no word that is typed can hold one
MOST_DIGITS = 18  # of a whole number: it fits into 64 bits


@dataclass(frozen=True)
class Typed:
    """The words that a person typed after the program's name."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{PROGRAM} {shlex.join(self.words)}"

    def to_go_on(self) -> "Typed":
        """The same, to go on with what was interrupted."""
        return self if "--resume" in self.words else Typed((*self.words, "--resume"))


class Command(Protocol):
    """A command: a dataclass whose fields are its options."""

    def run(self, typed: Typed) -> int | None:
        """Run the command; returns the exit code where that is not 0."""


Commands = Mapping[str, type[Command]]  # by the words that call them: "part1", "data build"


def overview(typed: Typed, commands: Commands, purpose: str) -> str | None:
    """The commands, each with the first line of its docstring, where only a request for help or the name of a group
    ("data") was typed; else None."""
    words = [word for word in typed.words if word not in ("-h", "--help")]
    listed = {name: command for name, command in commands.items() if name.split()[: len(words)] == words}
    if not listed or " ".join(words) in commands:
        return None
    width, columns = max(map(len, listed)) + 2, shutil.get_terminal_size().columns
    lines = [" ".join(["usage:", PROGRAM, *words, "COMMAND ..."]), "", *textwrap.wrap(purpose, columns), ""]
    for name, command in listed.items():
        about, indent = (command.__doc__ or "").splitlines()[0], " " * (width + 2)
        lines += textwrap.wrap(about, columns, initial_indent=f"  {name:{width}}", subsequent_indent=indent)
    return "\n".join(lines)


def command_name(typed: Typed, commands: Commands) -> str:
    """The name of the command that is called; UserError if there is none."""
    both, first = " ".join(typed.words[:2]), typed.words[0]
    for name in (both, first):
        if name in commands:
            return name
    meant = did_you_mean(both.lower(), commands) or did_you_mean(first.lower(), commands) or f"see {PROGRAM} --help"
    raise UserError(f"there is no command {shortened(both)!r}; {meant}")


def read(typed: Typed, name: str, commands: Commands) -> Command | None:
    """The command of this name with its options; None if its help was asked for, which is printed. UserError for bad
    use."""
    words, program = with_shields(typed.words[len(name.split()) :]), f"{PROGRAM} {name}"

    def refuse(event: errors.ParseErrorEvent) -> None:
        raise UserError(f"{complaint(event, name, commands)}; see {program} --help")

    with contextlib.redirect_stdout(io.StringIO()) as help_text, errors.on_parse_error(refuse):
        try:
            command = tyro.cli(commands[name], prog=program, args=words, config=(tyro.conf.FlagCreatePairsOff,))
        except SystemExit:
            command = None
    if command is None:
        print(as_wide_as_the_terminal(help_text.getvalue()))
        return None
    check_values(command, words)
    return replace(command, **{name: without_shields(value) for name, value in vars(command).items()})  # type: ignore[type-var]


def with_shields(words: Sequence[str]) -> list[str]:
    """The words, with a shield before those that are texts even if they begin with hyphens: all after "--", and any
    that has a space where the name of an option has none."""
    end = words.index("--") if "--" in words else len(words)
    before = [SHIELD + word if re.match(r"-[^=\s]*\s", word) else word for word in words[:end]]
    return [*before, *(SHIELD + word for word in words[end + 1 :])]


def without_shields(value: Any) -> Any:
    """The value of an option, its texts as they were typed."""
    if isinstance(value, tuple):
        return tuple(map(without_shields, value))
    return value.removeprefix(SHIELD) if isinstance(value, str) else value


def as_wide_as_the_terminal(help_text: str) -> str:
    """The help of a command; tyro itself wraps only the options."""
    columns = shutil.get_terminal_size().columns
    usage, about, options = help_text.strip().split("\n\n", 2)
    return "\n\n".join([*(textwrap.fill(text, columns, break_on_hyphens=False) for text in (usage, about)), options])


def options_of(command: type[Command]) -> dict[str, str]:
    """The options of a command, "--data-dir", each with the field that it sets; without positional arguments."""
    hints, options = get_type_hints(command, include_extras=True), {}
    for field in fields(command):  # type: ignore[arg-type]
        marks = getattr(hints[field.name], "__metadata__", ())
        name = next((mark.name for mark in marks if getattr(mark, "name", None)), field.name)
        if tyro.conf.Positional not in marks:
            options["--" + name.replace("_", "-")] = field.name
    return options


def complaint(event: errors.ParseErrorEvent, name: str, commands: Commands) -> str:
    """What is wrong with the words after the name of a command, and what to do where that is known."""
    options = options_of(commands[name])
    match event:
        case errors.UnrecognizedArgs(tokens=[word, *_]) if word.startswith("-"):
            option = word.partition("=")[0]
            owners = [other for other, command in commands.items() if option in options_of(command)]
            belongs = f"it belongs to {', '.join(owners)}" if owners else did_you_mean(option, options)
            otherwise = "any setting of a recipe is given by --set name=value" if "--set" in options else "leave it out"
            takes_texts = len(options) < len(fields(commands[name]))  # type: ignore[arg-type]
            as_text = " (a text that begins so comes after --)" if takes_texts else ""
            return f"{name} has no {shortened(option)}{as_text}; {belongs or otherwise}"
        case errors.UnrecognizedArgs(tokens=[word, *_]):
            text = shortened(word.removeprefix(SHIELD))
            return f"{name} does not take {text!r}; leave it out, or put quotes around all of a text"
        case errors.MissingArgs():
            missing = [argument.arg for argument in event.missing_arguments]
            texts = [f"a {argument.field.intern_name}, in quotes" for argument in missing if argument.is_positional()]
            return f"{name} needs {' and '.join(texts or [argument.display_name() for argument in missing])}"
        case errors.InvalidChoice(argument=argument, value=value):
            choices = sorted({*event.choices} - {"None"})
            return f"{argument.display_name()} is one of {', '.join(choices)}, not {shortened(value)!r}"
        case errors.InstantiationFailure(argument=argument) if argument is not None:
            metavar = str(argument.lowered.metavar)
            kind = "whole numbers" if "INT" in metavar else "numbers" if "FLOAT" in metavar else metavar
            return f"{argument.display_name()} takes {kind}"
        case errors.BadValue(argument=argument):
            as_text = "; one that begins with a hyphen comes after --" if argument.is_positional() else ""
            return f"{argument.display_name()} needs a value{as_text}"
    return f"{name} cannot make sense of these words"


def check_values(command: Command, words: Sequence[str]) -> None:
    """UserError for values that the parser lets through, but nobody can mean."""
    options = [word.partition("=")[0].replace("_", "-") for word in words]
    for option, field in options_of(type(command)).items():
        value = getattr(command, field)
        if isinstance(value, tuple) and options.count(option) > 1:
            raise UserError(f"{option} is given twice; write it once, with all its values after it")
        if value == () and option in options:
            raise UserError(f"{option} needs a value; leave it out, or write one after it")
        if isinstance(value, int) and len(str(abs(value))) > MOST_DIGITS:
            raise UserError(f"{option} is {shortened(value)}; it takes at most {MOST_DIGITS} digits")
