"""How a golden run is watched: its losses step by step, its times by a clock of its own, its pictures as numbers."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

import utilities
from training import loop

FIGURES = ("line", "confusion", "grid", "interval", "attention")
NUDGE = 3e-7  # of a weight: about what the next processor rounds otherwise


@contextlib.contextmanager
def watched(shaken: int | None = None) -> Iterator[list[float]]:
    """Within it there is one thread, and a clock that training steps alone move, by so much as their loss is large:
    times are numbers like others, and what is timed shows in them. Gives the loss of every step so far.

    `shaken`, a seed: before each step every weight moves by a rounding error. What changes by that will be another
    number on another processor.
    """
    losses: list[float] = []
    seconds, n_threads, plain = 0.0, torch.get_num_threads(), loop.training_step
    noise = None if shaken is None else torch.Generator().manual_seed(shaken)

    def step(model: nn.Module, *arguments: Any) -> float:
        nonlocal seconds
        if noise is not None:
            shake(model, noise)
        loss = plain(model, *arguments)
        losses.append(loss)
        seconds += round(loss * 2**20) / 2**30  # sums of such fractions are exact, in whatever order
        return loss

    def clock() -> float:
        return seconds

    torch.set_num_threads(1)
    try:
        with (
            mock.patch.object(loop, "training_step", step),
            mock.patch("time.perf_counter", clock),
            mock.patch("time.process_time", clock),
        ):
            yield losses
    finally:
        torch.set_num_threads(n_threads)


@torch.no_grad()
def shake(model: nn.Module, noise: torch.Generator) -> None:
    """Move each weight up or down by NUDGE of itself."""
    for parameter in model.parameters():
        sign = torch.randint(2, parameter.shape, generator=noise) * 2 - 1
        parameter.mul_(1 + NUDGE * sign)


@contextlib.contextmanager
def undrawn() -> Iterator[dict[str, Any]]:
    """Within it no picture is drawn: an empty file takes its name, and what it would show is kept here by that name."""
    shown: dict[str, Any] = {}

    def keep(path: Path, *arguments: Any, **options: Any) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(b"")
        shown[Path(path).stem] = as_json([*arguments, options])

    with contextlib.ExitStack() as patches:
        for kind in FIGURES:
            patches.enter_context(mock.patch.object(utilities, f"{kind}_figure", keep))
        yield shown


def as_json(value: Any) -> Any:
    """`value` as a JSON file would give it back."""

    def other(part: Any) -> Any:
        return dataclasses.asdict(part) if dataclasses.is_dataclass(part) else part.tolist()  # type: ignore[arg-type]

    return json.loads(json.dumps(value, default=other, allow_nan=False))
