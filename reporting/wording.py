"""Words for numbers and places."""

from pathlib import Path


def duration(seconds: float) -> str:
    """A time in the unit that a person would choose: "3.7 s", "2.1 minutes", "2.5 hours"."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    value, unit = (seconds / 60, "minutes") if seconds < 2 * 3600 else (seconds / 3600, "hours")
    return f"{round(value, 1):g} {unit}"


def took(seconds: float) -> str:
    """How long a command took."""
    return f"It took {duration(seconds)}."


def from_here(folder: str) -> Path:
    """A folder as seen from the working directory if it lies there, else in full."""
    path = Path(folder)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
