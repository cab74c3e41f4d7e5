"""Words for numbers."""


def duration(seconds: float) -> str:
    """A time in the unit that a person would choose: "3.7 s", "2.1 minutes", "2.5 hours"."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    value, unit = (seconds / 60, "minutes") if seconds < 2 * 3600 else (seconds / 3600, "hours")
    return f"{round(value, 1):g} {unit}"


def counted(number: int, noun: str) -> str:
    """So many of what the noun names: "1 thread", "2 threads"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
