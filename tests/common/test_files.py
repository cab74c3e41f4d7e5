"""Files are written whole or not at all, and what is wrong with one is said in one line that names it."""

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from common.files import (
    UserError,
    around_marks,
    read_as,
    read_description,
    read_tensors,
    read_text,
    sha256,
    write_between_marks,
    write_bytes,
    write_json,
    write_tensors,
    write_text,
)
from modules.config import TransformerConfig


def complaint(function: Any, *arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------- writing


def test_bytes_arrive_in_folders_that_are_made_for_them(tmp_path: Path) -> None:
    path = tmp_path / "new" / "newer" / "file.bin"
    for data in (b"first\r\n\x00", b"second"):  # over an old file, too
        write_bytes(str(path), data)
        assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o020)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o646


def test_the_name_is_taken_when_all_bytes_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    events: list[tuple[object, ...]] = []
    path.write_bytes(b"old")

    def fsync(descriptor: int) -> None:
        events.append(("on disk", os.fstat(descriptor).st_size))

    def replace(source: str, target: Path) -> None:
        events.append(("named", Path(source).read_bytes(), Path(source).parent, target.read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_bytes(path, b"whole")
    assert events == [("on disk", 5), ("named", b"whole", tmp_path, b"old")]
    (leftover,) = tmp_path.glob(".*.tmp")  # what a process leaves that is killed here, and what resuming sweeps away
    assert leftover.name.startswith(".file.")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_bytes(tmp_path / "file", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}


def test_what_is_no_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    for folder in (taken, taken / "below"):
        assert complaint(write_bytes, folder / "file", b"").startswith(f"{folder}: cannot be used as a folder (a file")

    def forbidden(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", forbidden)
    assert complaint(write_bytes, tmp_path / "file", b"").startswith(f"{tmp_path}: cannot be used as a folder (no perm")


def test_text_and_json_are_written_in_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "text", "naïve\r\n")
    assert (tmp_path / "text").read_bytes() == b"na\xc3\xafve\r\n"
    write_json(tmp_path / "json", {"ï": [1, None], "a": 0.1})
    assert (tmp_path / "json").read_bytes() == b'{\n  "\xc3\xaf": [\n    1,\n    null\n  ],\n  "a": 0.1\n}\n'


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_json_does_not_know_are_refused_and_the_old_file_stays(value: float, tmp_path: Path) -> None:
    write_json(tmp_path / "json", 1)
    assert complaint(write_json, tmp_path / "json", [value]).startswith(f"{tmp_path / 'json'}: not written")
    assert read_as(tmp_path / "json", int) == 1


# ------------------------------------------------------------------------------------------------------------- reading


def test_text_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfna\xc3\xafve\r\n")
    assert read_text(str(tmp_path / "text")) == "naïve\r\n"


@pytest.mark.parametrize(
    ("data", "line", "byte"), [(b"\xff", 1, "ff"), (b"\n\nb\n\xc3\nd\n", 4, "c3"), (b"\xc3\xaf\n\x80", 2, "80")]
)
def test_bytes_that_are_no_utf_8_are_named_with_their_line(data: bytes, line: int, byte: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(data)
    assert complaint(read_text, path) == f"{path}:{line}: not UTF-8 (byte 0x{byte}); save the file as UTF-8"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        assert complaint(read_text, path).startswith(f"{path}: cannot be read ({reason})")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"a": 1,\n\n"b" 2}', "line 3 "),
        ('{"ä": 1,\n"b": [1, NaN]}', "line 2 "),
        ('{"a":\n-Infinity}', "line 2 "),
        ('{"a": 1e999}', "Number out of range"),
        (f'{{"a": {"9" * 10_000}}}', "Integer value out of range"),
        ('{"a": 1,\n', "line 2 "),
        ("", "line 1 "),
        ('{"a": 1} x', "line 1 "),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
    ids=lambda text: text[:20],
)
def test_damaged_json_is_refused_in_one_line_that_says_where(text: str, where: str, tmp_path: Path) -> None:
    path = tmp_path / "json"
    path.write_text(text, encoding="utf-8")
    message = complaint(read_as, path, object)
    assert message.startswith(f"{path}: {where}")
    assert message.endswith("; the file is damaged, make it anew")
    assert "\n" not in message


def test_settings_that_do_not_fit_together_are_named_with_their_file(tmp_path: Path) -> None:
    path = tmp_path / "json"
    path.write_text('{"n_embd": 3}')
    message = complaint(read_as, path, TransformerConfig, "train again")
    assert message.startswith(f"{path}: n_embd 3 is not a multiple of n_head 2")
    path.write_text(f'{{"n_embd": 1{"0" * 99}}}')
    assert len(complaint(read_as, path, TransformerConfig, "train again")) < len(str(path)) + 200


def test_json_of_another_kind_is_named_with_the_place_in_it(tmp_path: Path) -> None:
    path = tmp_path / "json"
    path.write_text('{"a": [1, "x"]}')
    expected = f"{path}: Expected `int`, got `str` - at `$[...][1]`; take another"
    assert complaint(lambda file: read_as(file, dict[str, list[int]], "take another"), path) == expected
    assert read_as(path, dict[str, list[int | str]], "") == {"a": [1, "x"]}


def test_what_stands_between_two_marks_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- results -->old\n\nold<!-- /results -->\nafter <!-- other -->")
    parts = ("before\n<!-- results -->", "<!-- /results -->\nafter <!-- other -->")
    assert around_marks(path, "results") == parts
    write_between_marks(path, "results", "\n\n new\nlines \n")
    assert path.read_text() == f"{parts[0]}\nnew\nlines\n{parts[1]}"
    assert around_marks(path, "results") == parts
    path.write_text("<!-- results --><!-- /results -->")
    assert around_marks(path, "results") == ("<!-- results -->", "<!-- /results -->")
    write_between_marks(tmp_path / "new.md", "results", "text")
    assert (tmp_path / "new.md").read_text() == "<!-- results -->\ntext\n<!-- /results -->\n"


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "<!-- results -->",
        "<!-- /results -->",
        "<!-- /results --> <!-- results -->",
        "<!-- results --> <!-- results --> <!-- /results -->",
        "<!-- results --> <!-- /results --> <!-- /results -->",
    ],
)
def test_marks_that_are_missing_or_in_disorder_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    assert complaint(write_between_marks, path, "results", "new").startswith(
        f"{path}: needs the lines <!-- results -->"
    )
    assert path.read_text() == text


# ------------------------------------------------------------------------------------------------------------- tensors


def test_the_sha_256_of_abc() -> None:  # FIPS 180-2, appendix B.1
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_tensors_and_their_description_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    tensors = {
        "turned": torch.arange(6.0).view(2, 3).t(),  # not in the order of its memory
        "trained": torch.nn.Parameter(torch.tensor([1.5, -2.0])),
        "counts": torch.tensor([2**40, -1]),
        "half": torch.tensor(0.1, dtype=torch.bfloat16),
    }
    write_tensors(str(path), tensors, {"words": ["naïve", "b"], "step": 3})
    found, description = read_tensors(str(path), dict)
    assert description == {"words": ["naïve", "b"], "step": 3}
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        torch.testing.assert_close(found[name], tensor.detach(), rtol=0, atol=0)


def test_the_same_model_is_the_same_bytes(tmp_path: Path) -> None:
    one, two = torch.ones(2), torch.zeros(3)
    write_tensors(tmp_path / "a", {"one": one, "two": two}, {"x": 1, "y": {"p": 2, "q": 3}})
    write_tensors(tmp_path / "b", {"two": two, "one": one}, {"x": 1, "y": {"p": 2, "q": 3}})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_description_keeps_its_order(tmp_path: Path) -> None:
    """What a resumed run writes of its measurements is in the order of one that never stopped."""
    write_tensors(tmp_path / "a", {}, {"step": 3, "history": [{"epoch": 1, "accuracy": 2.0}]})
    _, description = read_tensors(tmp_path / "a", dict)
    assert json.dumps(description) == '{"step": 3, "history": [{"epoch": 1, "accuracy": 2.0}]}'


def test_tensors_that_are_missing_foreign_or_altered_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    for missing in (path, tmp_path):
        assert complaint(read_tensors, missing, dict).startswith(f"{missing}: no such file")
    for metadata in ({"format": "pt"}, None):
        save_file({"a": torch.ones(2)}, path, metadata=metadata)
        assert complaint(read_tensors, path, dict).startswith(f"{path}: not written by this program")
    write_tensors(path, {"a": torch.ones(2)}, {"words": ["first"]})
    whole = path.read_bytes()
    assert read_description(path, dict, "hint") == {"words": ["first"]}
    for old, new in ((b"first", b"third"), (torch.ones(2).numpy().tobytes(), torch.zeros(2).numpy().tobytes())):
        assert whole.count(old) == 1
        path.write_bytes(whole.replace(old, new))
        assert complaint(read_tensors, path, dict).startswith(f"{path}: altered since it was written")
    path.write_bytes(whole[:-1])
    assert complaint(read_tensors, path, dict).startswith(f"{path}: cut short or not a safetensors file (")
    assert complaint(read_description, path, dict, "hint").startswith(f"{path}: cut short or not a safetensors file (")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_tensors_that_are_not_finite_are_refused_by_name(value: float, dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    tensors = {"a": torch.ones(2), "b.bias": torch.tensor([[1, 2], [value, 4]], dtype=dtype)}
    write_tensors(path, tensors, {})
    expected = f"{path}: b.bias holds numbers that are not finite (NaN or infinity); train anew"
    assert complaint(read_tensors, path, dict, "train anew") == expected


def test_a_description_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_tensors(path, {}, {"step": "three"})
    assert complaint(read_tensors, path, dict[str, int]).startswith(f"{path}: Expected `int`, got `str`")
