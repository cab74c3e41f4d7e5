"""NLTK in a fifth of the time."""

import sys
from importlib.util import find_spec, module_from_spec


def import_nltk() -> None:
    """Let parts of NLTK be imported without nltk/__init__.py, which imports them all, and scipy with them."""
    spec = find_spec("nltk")
    if spec is not None:
        sys.modules.setdefault("nltk", module_from_spec(spec))
