"""Commands and the words that call them: parsed by tyro, refused in one line, listed, and written."""

import contextlib
import difflib
import io
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from types import NoneType, UnionType
from typing import Annotated, Literal, Protocol, TextIO, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from common.files import UserError

Setting = TypeVar("Setting")
Kind = TypeVar("Kind")
FromRecipe = Annotated[Setting | None, tyro.conf.DisallowNone]  # None: as the recipe has it
Optional = Annotated[Setting | None, tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint="")]

KINDS = {int: "a whole number", float: "a number"}
NARROWEST = 40  # columns of a terminal
LONGEST = 18  # digits of a whole number: it fits into 64 bits


class Command(Protocol):
    """A command with its options."""

    def run(self) -> int | None:
        """Do what it says; returns the exit code where that is not 0."""


def hinted(hint: Callable[[str], str | None]) -> Callable[[type[Kind]], type[Kind]]:
    """Lets the help of a command, a dataclass, say in place of "default: None" what `hint` says of an option."""

    def with_hints(command: type[Kind]) -> type[Kind]:
        for name, kind in get_type_hints(command, include_extras=True).items():
            if getattr(command, name, None) is None and (text := hint(name)):
                command.__annotations__[name] = Annotated[kind, tyro.conf.arg(help_behavior_hint=f"({text})")]
        return command

    return with_hints


class Options:
    """The options and free words of a command, which is a dataclass."""

    def __init__(self, command: type, positional: Sequence[str], renamed: Mapping[str, str]) -> None:
        hints, own = get_type_hints(command), fields(command)
        self.types: dict[str, object] = {"--help": bool, "-h": bool}
        self.named: dict[str, Field[object]] = {}
        self.free: Field[object] | None = next((field for field in own if field.name in positional), None)
        self.many = self.free is not None and get_origin(_plain(hints[self.free.name])) is tuple
        for one in own:
            if one is not self.free:
                option = "--" + renamed.get(one.name, one.name).replace("_", "-")
                self.types[option] = _plain(hints[one.name])
                self.named[option] = one

    def required(self) -> list[str]:
        return [option for option, one in self.named.items() if one.default is MISSING]


@dataclass(frozen=True)
class CommandLine:
    """A program and its commands: dataclasses, by the words that call them ("part1", "data build")."""

    program: str  # as people type it
    purpose: str
    commands: Mapping[str, type[Command]]
    positional: Sequence[str] = ()  # names of fields that take free words
    renamed: Mapping[str, str] = field(default_factory=dict)  # options that are called other than their fields

    def parse(self, arguments: Sequence[str]) -> Command | None:
        """The command that the `arguments` call, None if they ask for help, which is printed; UserError for bad use."""
        if (overview := self.overview(arguments)) is not None:
            print(overview)
            return None
        if complaint := self.mistake(arguments):
            raise UserError(complaint)
        name = self._name(arguments) or ""
        words, program = arguments[name.count(" ") + 1 :], f"{self.program} {name}"
        help_ = _Help(sys.stdout)
        try:
            with contextlib.redirect_stdout(help_), contextlib.redirect_stderr(io.StringIO()):  # its complaint, a box
                return tyro.cli(self.commands[name], prog=program, args=words, config=(tyro.conf.FlagCreatePairsOff,))
        except SystemExit as stop:
            if stop.code in (0, None):
                print(help_.wrapped())
                return None
            raise UserError(f"{name}: cannot make sense of these words; see {program} --help") from None

    def _name(self, arguments: Sequence[str]) -> str | None:
        return next((name for name in (" ".join(arguments[:2]), *arguments[:1]) if name in self.commands), None)

    def overview(self, arguments: Sequence[str]) -> str | None:
        """The commands, with the first line of what each says of itself, where the `arguments` ask for that or name no
        more than a group of them ("data"); else None."""
        words = [word for word in arguments if word not in ("-h", "--help")]
        own = {name: kind for name, kind in self.commands.items() if name.split()[: len(words)] == words}
        if " ".join(words) in self.commands or not own:
            return None
        width = max(map(len, own)) + 2
        usage = " ".join(["usage:", self.program, *words, "COMMAND ..."])
        lines = [usage, "", *textwrap.wrap(self.purpose, _columns()), ""]
        for name, kind in own.items():
            about, start = (kind.__doc__ or "").splitlines()[0], "  " + name.ljust(width)
            lines += textwrap.wrap(about, _columns(), initial_indent=start, subsequent_indent=" " * len(start))
        return "\n".join(lines)

    def written(self, command: Command) -> str:
        """The line that runs `command`, in full; what is at its default is left out."""
        name = next(name for name, kind in self.commands.items() if kind is type(command))
        options = Options(type(command), self.positional, self.renamed)
        words = [name]
        if options.free is not None:
            words += _words(getattr(command, options.free.name))
        for option, one in options.named.items():
            value = getattr(command, one.name)
            if value != one.default:
                words += [option, *_words(value)]
        return " ".join([self.program, name, *map(shlex.quote, words[1:])])

    def mistake(self, arguments: Sequence[str]) -> str | None:
        """The first thing that is wrong with the `arguments`, None if nothing is. Asked before the parser, whose answer
        is a box."""
        known = {name: Options(kind, self.positional, self.renamed) for name, kind in self.commands.items()}
        name = self._name(arguments)
        if name is None:
            return _no_command(arguments, list(known), self.program)
        own, words, help_ = known[name], list(arguments[name.count(" ") + 1 :]), f"see {self.program} {name} --help"
        if "--help" in words or "-h" in words:
            return None
        unknown = [word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")]
        unknown = [option for option in unknown if option not in own.types]
        if unknown:
            return _no_option(name, unknown[0], known, help_)
        free, given, problem = _scan(own, words)
        if problem is not None:
            return f"{problem}; {help_}"
        if own.free is None and free:
            return f"{name} takes no {_short(free[0])}; {help_}"
        if own.free is not None and not own.many and len(free) > 1:
            return f"the {own.free.name} needs quotes: {self.program} {name} {shlex.quote(' '.join(free))}"
        if own.free is not None and not free and own.free.default is MISSING:
            return f"{name} needs a {own.free.name}, in quotes; {help_}"
        missing = [option for option in own.required() if option not in given]
        return f"{name} needs {' and '.join(missing)}; {help_}" if missing else None


class _Help(io.StringIO):
    """The help that the parser prints, in the colours and characters of the stream to which it will go."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    def isatty(self) -> bool:
        return self.stream.isatty()

    def wrapped(self) -> str:
        """It as wide as the terminal; the parser wraps no more than the options."""
        usage, about, options = self.getvalue().rstrip("\n").split("\n\n", 2)
        plain = re.sub(r"\x1b\[[\d;]*m", "", usage)  # without colours, whose codes would count as letters
        whole = re.sub(
            r"(--[\w-]+) (?=\w|{)", "\\1\N{NO-BREAK SPACE}", plain
        )  # an option stands in one line with its value
        usage = textwrap.fill(whole, _columns(), subsequent_indent=" " * len("usage: "), break_on_hyphens=False)
        return "\n\n".join([usage.replace("\N{NO-BREAK SPACE}", " "), textwrap.fill(about, _columns()), options])


def _columns() -> int:
    """How wide the terminal is; 80 where there is none."""
    return max(NARROWEST, shutil.get_terminal_size().columns)


def _words(value: object) -> list[str]:
    """What follows an option that has this value; a flag stands alone."""
    if isinstance(value, bool):
        return []
    return [str(one) for one in value] if isinstance(value, tuple) else [str(value)]


def _scan(own: Options, words: list[str]) -> tuple[list[str], set[str], str | None]:
    """The free words, the options that were given, and what is wrong with their values."""
    free: list[str] = []
    given: set[str] = set()
    while words:
        word = words.pop(0)
        option, has_value, value = word.partition("=")
        option = option.replace("_", "-")
        if not word.startswith("--"):
            free.append(word)
            continue
        given.add(option)
        kind = own.types[option]
        if kind is bool:
            continue
        is_many = get_origin(kind) is tuple
        values = [value] if has_value else []
        while not has_value and words and not words[0].startswith("--") and (is_many or not values):
            values.append(words.pop(0))
        if not values:
            return free, given, f"{option} needs a value"
        for one in values:
            if (problem := _wrong_value(get_args(kind)[0] if is_many else kind, one)) is not None:
                return free, given, f"{option} {problem}"
    return free, given, None


def _wrong_value(kind: object, value: str) -> str | None:
    if get_origin(kind) is Literal:
        choices = list(get_args(kind))
        near = difflib.get_close_matches(value, choices, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        return None if value in choices else f"is one of {', '.join(choices)}, not {_short(value)}{meant}"
    if kind is int and sum(map(str.isdigit, value)) > LONGEST:
        return f"takes a whole number of at most {LONGEST} digits, not {_short(value)}"
    if kind is int or kind is float:
        try:
            kind(value)
        except ValueError:
            return f"takes {KINDS[kind]}, not {_short(value)}"
    return None


def _short(word: str) -> str:
    return repr(word if len(word) <= 40 else word[:40] + "...")


def _no_command(arguments: Sequence[str], names: list[str], program: str) -> str:
    typed = ["".join(arguments[:2]).lower(), *(word.lower() for word in arguments[:1])]
    joined = {name.replace(" ", ""): name for name in names}
    near = [word for word in typed if word in joined][:1] or difflib.get_close_matches(typed[0], joined, cutoff=0.7)
    meant = f"did you mean {' or '.join(joined[word] for word in near)}?" if near else f"see {program} --help"
    return f"there is no command {_short(' '.join(arguments[:2]))}; {meant}"


def _no_option(name: str, option: str, known: Mapping[str, Options], help_: str) -> str:
    near = difflib.get_close_matches(option, known[name].types, n=1, cutoff=0.75)
    others = [other for other, options in known.items() if option in options.types]
    if option == "--seeds" and "--seed" in known[name].types:
        return f"{name} trains on one seed, which --seed sets; {', '.join(others)} take --seeds"
    meant = f"; did you mean {near[0]}?" if near else f"; it belongs to {', '.join(others)}" if others else ""
    return f"{name} has no {option}{meant}; {help_}"


def _plain(hint: object) -> object:
    """A type without the None that stands for "not given"."""
    if get_origin(hint) in (Union, UnionType):
        return next(kind for kind in get_args(hint) if kind is not NoneType)
    return hint
