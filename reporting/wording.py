"""Words for times and places."""

from pathlib import Path

from common.wording import duration


def took(seconds: float) -> str:
    """How long a command took."""
    return f"It took {duration(seconds)}."


def from_here(folder: str) -> Path:
    """A folder as seen from the working directory if it lies there, else in full."""
    path = Path(folder)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
