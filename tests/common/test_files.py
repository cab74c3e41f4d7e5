"""Files are written whole or not at all, and what is wrong with one is said in one line that names it."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from common.files import (
    UserError,
    read_as,
    read_description,
    read_tensors,
    read_text,
    write_between_marks,
    write_bytes,
    write_json,
    write_tensors,
)


def refused(path: Path, function: Any, *arguments: Any) -> str:
    """What is said of a file: one line, which begins with its name."""
    with pytest.raises(UserError) as caught:
        function(path, *arguments)
    complaint = str(caught.value)
    assert complaint.startswith(str(path))
    assert "\n" not in complaint
    assert len(complaint) < len(str(path)) + 200
    return complaint


def test_the_name_is_taken_when_all_bytes_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, events = tmp_path / "new" / "file", list[tuple[object, ...]]()
    write_bytes(path, b"old")

    def replace(source: Path, target: Path) -> None:
        events.append(("named", source.read_bytes(), source.parent, target.read_bytes()))

    monkeypatch.setattr(os, "fsync", lambda descriptor: events.append(("on disk", os.fstat(descriptor).st_size)))
    monkeypatch.setattr(os, "replace", replace)
    write_bytes(path, b"whole")
    assert events == [("on disk", 5), ("named", b"whole", path.parent, b"old")]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_bytes(tmp_path / "file", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(UserError, match=f"{folder}: cannot be used as a folder"):
            write_bytes(folder / "file", b"")


def test_json_is_utf_8_and_has_no_word_for_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "json", {"ï": [1, None], "a": 0.1})
    assert (tmp_path / "json").read_bytes() == b'{\n  "\xc3\xaf": [\n    1,\n    null\n  ],\n  "a": 0.1\n}\n'
    for value in (math.nan, math.inf):
        assert "not written" in refused(tmp_path / "json", write_json, [value])
    assert read_as(tmp_path / "json", dict[str, Any])["a"] == 0.1


@pytest.mark.parametrize(("data", "line"), [(b"\xff", 1), (b"\n\nb\n\xc3\nd\n", 4), (b"\xc3\xaf\n\x80", 2)])
def test_bytes_that_are_no_utf_8_are_named_with_their_line(data: bytes, line: int, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfna\xc3\xafve\r\n")
    assert read_text(path) == "naïve\r\n"
    path.write_bytes(data)
    assert f"{path}:{line}: not UTF-8" in refused(path, read_text)
    assert "cannot be read" in refused(tmp_path, read_text)


@pytest.mark.parametrize(
    "text",
    [
        *('{"a": 1,\n\n"b" 2}', '{"ä": [1, NaN]}', '{"a":\n-Infinity}', '{"a": 1e999}', f'{{"a": {"9" * 10_000}}}'),
        *('{"a": 1,\n', "", '{"a": 1} x', "[" * 100_000, '{"a":' * 100_000),
    ],
    ids=lambda text: text[:20],
)
def test_damaged_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "json").write_text(text, encoding="utf-8")
    assert refused(tmp_path / "json", read_as, object).endswith("; the file is damaged, make it anew")


def test_json_of_another_kind_is_refused_with_where_in_it(tmp_path: Path) -> None:
    (tmp_path / "json").write_text('{"a": [1, "x"]}')
    complaint = refused(tmp_path / "json", read_as, dict[str, list[int]], "take another")
    assert complaint.endswith("Expected `int`, got `str` - at `$[...][1]`; take another")


def test_only_what_stands_between_two_marks_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- results -->old\n\nold<!-- /results -->\nafter <!-- other -->")
    for _ in range(2):
        write_between_marks(path, "results", "\n\n new\nlines \n")
        assert path.read_text() == "before\n<!-- results -->\nnew\nlines\n<!-- /results -->\nafter <!-- other -->"
    write_between_marks(tmp_path / "new.md", "results", "text")
    assert (tmp_path / "new.md").read_text() == "<!-- results -->\ntext\n<!-- /results -->\n"
    start, end = "<!-- results -->", "<!-- /results -->"
    for text in ("nothing", start, end, f"{end} {start}", f"{start} {start} {end}", f"{start} {end} {end}"):
        path.write_text(text)
        assert f"needs the lines {start}" in refused(path, write_between_marks, "results", "new")
        assert path.read_text() == text


# ------------------------------------------------------------------------------------------------------------- tensors
def test_tensors_and_their_description_come_back_as_they_were(tmp_path: Path) -> None:
    tensors = {
        "turned": torch.arange(6.0).view(2, 3).t(),  # not in the order of its memory
        "trained": torch.nn.Parameter(torch.tensor([1.5, -2.0])),
        "half": torch.tensor(0.1, dtype=torch.bfloat16),
    }
    description = {"words": ["naïve", "b"], "step": 3, "history": [{"epoch": 1, "accuracy": 2.0}]}
    write_tensors(tmp_path / "a", tensors, description)
    restored, read = read_tensors(tmp_path / "a", dict)
    assert json.dumps(read) == json.dumps(description)  # in its order, which a resumed run keeps
    assert restored.keys() == tensors.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(restored[name], tensor.detach(), rtol=0, atol=0)
    write_tensors(tmp_path / "b", dict(reversed(tensors.items())), description)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()  # the same model is the same bytes


def test_tensors_that_are_missing_foreign_or_altered_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    assert "no such file" in refused(path, read_tensors, dict)
    for metadata in ({"format": "pt"}, None):
        save_file({"a": torch.ones(2)}, path, metadata=metadata)
        assert "not written by this program" in refused(path, read_tensors, dict)
    write_tensors(path, {"a": torch.ones(2)}, {"words": ["first"]})
    whole = path.read_bytes()
    assert read_description(path, dict, "hint") == {"words": ["first"]}
    assert "Expected `int`" in refused(path, read_tensors, dict[str, int])
    for old, new in ((b"first", b"third"), (torch.ones(2).numpy().tobytes(), torch.zeros(2).numpy().tobytes())):
        assert whole.count(old) == 1
        path.write_bytes(whole.replace(old, new))
        assert "altered since it was written" in refused(path, read_tensors, dict)
    path.write_bytes(whole[:-1])
    for arguments in ((read_tensors, dict), (read_description, dict, "hint")):
        assert "cut short or not a safetensors file" in refused(path, *arguments)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_that_are_not_finite_are_refused_by_name(value: float, dtype: torch.dtype, tmp_path: Path) -> None:
    write_tensors(tmp_path / "a", {"a": torch.ones(2), "b.bias": torch.tensor([[1, value]], dtype=dtype)}, {})
    complaint = refused(tmp_path / "a", read_tensors, dict, "train anew")
    assert complaint.endswith(": b.bias holds numbers that are not finite (NaN or infinity); train anew")
