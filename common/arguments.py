"""What is wrong with a command line, and what to do, in one line: asked before the parser, whose answer is a box."""

import difflib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

KINDS = {int: "a whole number", float: "a number"}


class Options:
    """The options and free words of a command, which is a dataclass."""

    def __init__(self, command: type, positional: Sequence[str], renamed: Mapping[str, str]) -> None:
        """`positional` are names of fields that take free words; `renamed` gives fields whose option is called else."""
        hints, own = get_type_hints(command), fields(command)
        self.types: dict[str, Any] = {"--help": bool, "-h": bool}
        self.required: list[str] = []
        self.free: Field[Any] | None = next((field for field in own if field.name in positional), None)
        self.many = self.free is not None and get_origin(_plain(hints[self.free.name])) is tuple
        for field in own:
            if field is not self.free:
                option = "--" + renamed.get(field.name, field.name).replace("_", "-")
                self.types[option] = _plain(hints[field.name])
                if field.default is MISSING and field.default_factory is MISSING:
                    self.required.append(option)


def mistake(
    arguments: Sequence[str],
    commands: Mapping[str, type],
    program: str,
    positional: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> str | None:
    """The first thing that is wrong with the `arguments` of one of the `commands` ("part1", "data build"), None if
    nothing is."""
    known = {name: Options(kind, positional, renamed or {}) for name, kind in commands.items()}
    name = next((name for name in (" ".join(arguments[:2]), *arguments[:1]) if name in known), None)
    if name is None:
        return _no_command(arguments, list(known), program)
    own, words = known[name], list(arguments[name.count(" ") + 1 :])
    if "--help" in words or "-h" in words:
        return None
    unknown = [word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")]
    unknown = [option for option in unknown if option not in own.types]
    if unknown:
        return _no_option(name, unknown[0], known, program)
    free, given, problem = _scan(own, words)
    if problem is not None:
        return f"{problem}; see {program} {name} --help"
    if own.free is None and free:
        return f"{name} takes no {free[0]!r}; see {program} {name} --help"
    if own.free is not None and not own.many and len(free) > 1:
        return f"the {own.free.name} needs quotes: {program} {name} {shlex.quote(' '.join(free))}"
    if own.free is not None and not free and own.free.default is MISSING:
        return f"{name} needs a {own.free.name}, in quotes; see {program} {name} --help"
    missing = [option for option in own.required if option not in given]
    return f"{name} needs {' and '.join(missing)}; see {program} {name} --help" if missing else None


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


def _wrong_value(kind: Any, value: str) -> str | None:
    if get_origin(kind) is Literal:
        choices = list(get_args(kind))
        near = difflib.get_close_matches(value, choices, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        return None if value in choices else f"is one of {', '.join(choices)}, not {value!r}{meant}"
    if kind in KINDS:
        try:
            kind(value)
        except ValueError:
            return f"takes {KINDS[kind]}, not {value!r}"
    return None


def _no_command(arguments: Sequence[str], names: list[str], program: str) -> str | None:
    typed = ["".join(arguments[:2]).lower(), *(word.lower() for word in arguments[:1])]
    groups = {name.split()[0] for name in names if " " in name}
    if not arguments or arguments[0].startswith("-") or (arguments[0] in groups and arguments[1:2] in ([], ["--help"])):
        return None  # help, of all commands or of a group of them
    joined = {name.replace(" ", ""): name for name in names}
    near = [word for word in typed if word in joined][:1] or difflib.get_close_matches(typed[0], joined, cutoff=0.7)
    meant = f"did you mean {' or '.join(joined[word] for word in near)}?" if near else f"see {program} --help"
    return f"there is no command {' '.join(arguments[:2])!r}; {meant}"


def _no_option(name: str, option: str, known: Mapping[str, Options], program: str) -> str:
    near = difflib.get_close_matches(option, known[name].types, n=1, cutoff=0.75)
    others = [other for other, options in known.items() if option in options.types]
    if option == "--seeds" and "--seed" in known[name].types:
        return f"{name} trains on one seed, which --seed sets; {', '.join(others)} take --seeds"
    meant = f"; did you mean {near[0]}?" if near else f"; it belongs to {', '.join(others)}" if others else ""
    return f"{name} has no {option}{meant}; see {program} {name} --help"


def _plain(hint: Any) -> Any:
    """A type without the None that stands for "not given"."""
    if get_origin(hint) in (Union, UnionType):
        return next(kind for kind in get_args(hint) if kind is not NoneType)
    return hint
