"""Packages that a library imports for what is not used here."""

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Missing(MetaPathFinder):
    """Finds no such package, and keeps whoever looks on from finding it, in the thread that made this."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages, self.thread = packages, threading.get_ident()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in self.packages and threading.get_ident() == self.thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


@contextlib.contextmanager
def as_if_without(*packages: str) -> Iterator[None]:
    """Within it, as far as this thread has not imported them already, these packages are not installed: for a library
    that does without them, but is slow to import where it finds them."""
    finder = _Missing(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def import_nltk() -> None:
    """Import NLTK without what takes it a second: scipy and scikit-learn, for parts that are not used here."""
    with as_if_without("scipy", "sklearn"):
        importlib.import_module("nltk")
