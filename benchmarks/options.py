"""What torch.compile and bf16 bring to a training step, and after how many steps compiling has paid for itself."""

import time

from benchmarks.contenders import Sizes, Step, Task, our_step, step_flops
from benchmarks.timing import Row, compare

SETTINGS: dict[str, dict[str, object]] = {"--compile": {"compile": True}, "--precision bf16": {"precision": "bf16"}}


def timed_options(task: Task, rounds: int) -> list[Row]:
    """A step as it is and with each option, and the first step of a compiled model."""
    steps: dict[str, Step] = {"as it is": our_step(task)}
    steps |= {name: our_step(task, Sizes(), **settings) for name, settings in SETTINGS.items()}
    group = f"training step of the {task}, options"
    started = time.perf_counter()
    steps["--compile"]()
    first = time.perf_counter() - started
    rows = compare(group, steps, "as it is", step_flops(task, Sizes()), rounds)
    plain, compiled = (next(row.seconds for row in rows if row.name == name) for name in ("as it is", "--compile"))
    pays = f"pays after {first / (plain - compiled):,.0f} steps" if compiled < plain else "never pays"
    return [*rows, Row(group, f"--compile, its first step ({pays})", first)]
