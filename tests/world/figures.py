"""What a figure would have been drawn from."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import utilities


def intercept(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Nothing is drawn from now on; what a figure would have been drawn from is kept by the name of its file."""
    caught: dict[str, dict[str, Any]] = {}

    def instead_of(name: str) -> Callable[..., None]:
        signature = inspect.signature(getattr(utilities, name))

        def keep(*positional: Any, **named: Any) -> None:
            given = signature.bind(*positional, **named).arguments
            path = Path(given.pop("path"))
            assert path.name not in caught
            caught[path.name] = {"function": name, "folder": path.parent, **given}

        return keep

    for name in ("line_figure", "attention_figure", "grid_figure", "confusion_figure", "interval_figure"):
        monkeypatch.setattr(utilities, name, instead_of(name))
    return caught
