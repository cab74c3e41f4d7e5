"""Reading and writing files safely: strict UTF-8 in, whole files out, and the error that a user is meant to read."""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

if TYPE_CHECKING:
    from torch import Tensor

Kind = TypeVar("Kind")

DAMAGED = "the file is damaged, make it anew"


class UserError(Exception):
    """Bad use or bad input. The message is one line: what is wrong, where, and what to do. main.py exits with 2."""


class Interrupted(Exception):
    """A run was stopped (Ctrl-C, SIGTERM, or the death of another process) after a checkpoint was written."""


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write `data` to `path` whole or not at all: a reader sees the old file or the new one, never a part.

    The bytes go to a temporary file in the same folder, reach the disk, and take the name in one step. A full disk
    raises OSError and leaves the old file as it was.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: a folder is in the place of this file; move it, or choose another")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    with new_in(path.parent):
        file = temporary.open("xb")
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def new_in(folder: Path) -> Iterator[None]:
    """Make `folder`, if it is not there, for something to be made in it; UserError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        reason = "a file is in its place" if not isinstance(error, PermissionError) else "no permission to write"
        raise UserError(f"{folder}: cannot be used as a folder ({reason}); choose another") from error


def resolved(path: Path) -> Path:
    """The absolute path without symbolic links. One that links to itself stays: `Path.resolve` would raise."""
    return Path(os.path.realpath(path))


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def as_json(value: object) -> str:
    """`value`, builtins or records, as indented JSON. NaN and infinity are refused: JSON has no word for them."""
    return json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path | str, value: object) -> None:
    """Write `value` as JSON, whole or not at all; UserError, and no file, for NaN and infinity."""
    try:
        text = as_json(value)
    except ValueError as error:
        what = "a number in it is not finite (NaN or infinity)"
        raise UserError(f"{path}: not written, for {what}; the model it is of has diverged, train it anew") from error
    write_text(path, text)


def read_text(path: Path | str, encoding: str = "utf-8") -> str:
    """The text of a UTF-8 file without its byte order mark, or of one in another `encoding` where it is not UTF-8;
    UserError with file and line where it is neither."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            return data.decode(encoding)
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8") from error


def unreadable(path: Path | str, error: OSError) -> UserError:
    """The error for a file that the system does not let anybody read."""
    return UserError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions")


def read_as(path: Path | str, kind: type[Kind], hint: str = DAMAGED) -> Kind:
    """The value of a JSON file as a `kind`; UserError, which says where in the file and ends with `hint`, if it is not.

    Keys that `kind` does not know are ignored: a later version may write more. NaN, infinity and numbers without end
    are refused, since JSON does not know them, and so is what is nested more deeply than can be read.
    """
    text = read_text(path)
    with refused(path, hint):
        return msgspec.json.decode(text, type=kind)


def write_sealed(path: Path | str, value: object) -> None:
    """Write `value`, a record or a dictionary, as `write_json` does, with a checksum."""
    content = msgspec.to_builtins(value)
    write_json(path, {"checksum": _checksum(content), **content})


def read_sealed(path: Path | str, kind: type[Kind], hint: str = DAMAGED) -> Kind:
    """The value of a file of `write_sealed`, as `read_as` gives it; UserError with `hint` if it was altered, too."""
    content = read_as(path, dict[str, Any], hint)
    if content.pop("checksum", None) != _checksum(content):
        raise UserError(f"{path}: altered since it was written (checksum differs); {hint}")
    with refused(path, hint):
        return msgspec.convert(content, kind, str_keys=True)  # as numbers are, among the keys of JSON


def _checksum(content: object) -> str:
    return sha256(json.dumps(content).encode())


@contextlib.contextmanager
def refused(source: Path | str, hint: str = DAMAGED) -> Iterator[None]:
    """Turn a ValueError or UserError about the content of the file `source` into a UserError that names the file and
    ends with `hint`."""
    try:
        yield
    except (ValueError, UserError) as error:
        raise UserError(f"{source}: {error}; {hint}") from error
    except RecursionError as error:
        raise UserError(f"{source}: nested too deeply to be read; {hint}") from error


def around_marks(path: Path | str, name: str) -> tuple[str, str]:
    """The text of a file before and after what stands between the lines <!-- name --> and <!-- /name -->, these two
    included; UserError if it lacks them. A file that is not there is one that holds nothing else."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = read_text(path) if Path(path).exists() else f"{start}\n{end}\n"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise UserError(f"{path}: needs the lines {start} and {end} once, in this order; the {name} go between them")
    return text[: text.index(start) + len(start)], text[text.index(end) :]


def write_between_marks(path: Path | str, name: str, text: str) -> None:
    """Put `text` between the two marks of a file, in place of what is there."""
    before, after = around_marks(path, name)
    write_text(path, f"{before}\n{text.strip()}\n{after}")


def append_text(path: Path | str, text: str) -> None:
    """Put `text` at the end of a file, which is made if it is not there; the file is written whole or not at all."""
    write_text(path, (read_text(path) if Path(path).exists() else "") + text)


def sha256(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_tensors(path: Path | str, tensors: Mapping[str, "Tensor"], description: object) -> None:
    """Write named tensors and a description, builtins or a record, as one safetensors file with a checksum, whole or
    not at all."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(msgspec.to_builtins(description), allow_nan=False)  # in its own order, which a resumed run keeps
    checksum = sha256(text.encode() + save(tensors))
    # One entry, for safetensors writes several in an order that changes, and the same model must be the same bytes.
    write_bytes(path, save(tensors, metadata={"description": checksum + text}))


def read_tensors(
    path: Path | str, kind: type[Kind], hint: str = "delete it and train again"
) -> tuple[dict[str, "Tensor"], Kind]:
    """The tensors and the description, a `kind`, of a file of `write_tensors`; UserError with `hint` when it is
    missing, cut or altered, or holds NaN or infinity."""
    from safetensors.torch import save

    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; train a model first, or name the file of one")
    with _opened(path, hint) as (file, checksum, text):
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    if not text:
        raise UserError(f"{path}: not written by this program; name a file that a command here made")
    if sha256(text.encode() + save(tensors)) != checksum:
        raise UserError(f"{path}: altered since it was written (checksum differs); {hint}")
    for name, tensor in tensors.items():
        if not (tensor.is_complex() or tensor.double().isfinite().all()):
            raise UserError(f"{path}: {name} holds numbers that are not finite (NaN or infinity); {hint}")
    with refused(path, hint):
        return tensors, msgspec.json.decode(text, type=kind)


def read_description(path: Path, kind: type[Kind], hint: str) -> Kind:
    """The description in a file of `write_tensors`, whose tensors are neither read nor checked; UserError if there is
    none."""
    with _opened(path, hint) as (_, _, text), refused(path, hint):
        return msgspec.json.decode(text, type=kind)


@contextlib.contextmanager
def _opened(path: Path | str, hint: str) -> Iterator[tuple[Any, str, str]]:
    """A safetensors file to read from, with its checksum and its description, which are empty in a file of another
    program; UserError with `hint` where it is no such file."""
    from safetensors import SafetensorError, safe_open

    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        with safe_open(path, framework="pt") as file:
            entry = (file.metadata() or {}).get("description", "")
            yield file, entry[:64], entry[64:]
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cut short or not a safetensors file ({error}); {hint}") from error
