"""A library is imported as if others were not installed."""

import importlib
import sys
import threading

import pytest

from common.imports import as_if_without


def test_a_package_that_is_installed_is_as_good_as_missing_for_that_time() -> None:
    sys.modules.pop("nturl2path", None)
    with (
        as_if_without("nturl2path", "antigravity"),
        pytest.raises(ModuleNotFoundError, match=r"^No module named 'nturl2path'$"),
    ):
        importlib.import_module("nturl2path")
    assert importlib.import_module("nturl2path")


def test_another_thread_finds_it_meanwhile() -> None:
    found: list[str] = []
    sys.modules.pop("nturl2path", None)
    with as_if_without("nturl2path"):
        thread = threading.Thread(target=lambda: found.append(importlib.import_module("nturl2path").__name__))
        thread.start()
        thread.join()
    assert found == ["nturl2path"]


def test_what_looks_for_packages_is_as_before_afterwards() -> None:
    before = list(sys.meta_path)
    with pytest.raises(RuntimeError), as_if_without("nturl2path"):
        raise RuntimeError
    assert sys.meta_path == before
