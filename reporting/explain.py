"""An explanation as the terminal, a picture and a program get it."""

from pathlib import Path
from typing import Any

import torch
from rich.text import Text
from torch import Tensor

import utilities
from inference.explain import Explanation
from reporting.table import Table, numbers, terminal_text, words
from reporting.tinted import show, tinted
from reporting.wording import number

MOST = 3  # speakers that are shown, the likeliest


def print_explanation(found: Explanation) -> None:
    """The words, tinted by what they add to each speaker that is shown, and all numbers in tables."""
    largest = float(found.gradients.abs().max())
    for k in likeliest(found):
        name = f"{found.class_names[k]} {number(100 * float(found.probabilities[k]))}%: "
        show(Text(name).append_text(tinted(found.words, found.gradients[:, k].tolist(), largest)))
    print("\n" + terminal_text(*contributions(found)))


def likeliest(found: Explanation) -> list[int]:
    """The classes that are shown, the likeliest first."""
    shown: list[int] = found.probabilities.argsort(descending=True, stable=True)[:MOST].tolist()
    return shown


def contributions(found: Explanation) -> list[Table]:
    """What each word adds to each class that is shown, with attention beside it, and what is lost without the word."""
    columns = words("word") + numbers(*(found.class_names[k] for k in likeliest(found)))
    adds, note = columns, "integrated gradients, on the way from as many <pad> to these words"
    gains: list[list[str | None]] = [[word, *points(found, row)] for word, row in zip(found.words, found.gradients)]
    gains.append(["together", *points(found, found.gradients.sum(dim=0))])
    if found.attention is not None:
        adds = columns + numbers("attention %")
        note += "; attention, to compare: the word's share of it, over all layers, heads and places that look"
        shares = [number(100 * share) for share in found.attention.tolist()]
        gains = [[*row, share] for row, share in zip(gains, [*shares, None], strict=True)]
    falls = [[word, *points(found, row)] for word, row in zip(found.words, found.leave_one_out)]
    return [
        Table("What each word adds to the probability of a speaker, in points", adds, gains, note),
        Table("How far the probability falls without the word, in points", columns, falls),
    ]


def points(found: Explanation, values: Tensor) -> list[str]:
    """Shares of 1 (K,), of the classes that are shown, in points."""
    return [number(100 * float(values[k]), sign=True) for k in likeliest(found)]


def draw_explanation(path: Path, found: Explanation) -> None:
    """The same as a picture."""
    columns = ["gradients", "left out"]
    methods = [found.gradients, found.leave_one_out]
    if found.attention is not None:
        columns.append("attention")
        methods.append(found.attention[:, None].expand_as(found.gradients))
    grids = {
        f"{found.class_names[k]}, {100 * float(found.probabilities[k]):.0f}%": torch.stack(
            [(100 * values[:, k]).round() + 0.0 for values in methods], dim=1
        )
        for k in likeliest(found)
    }
    title = "What each word adds to a probability, in points; attention in percent"
    note = found.note.partition(":")[0]  # the unknown words are marked
    title = "\n".join(filter(None, [title, note]))
    utilities.grid_figure(path, grids, found.words, columns, "", "", title, ".0f", one_scale=True)


def in_numbers(found: Explanation) -> dict[str, Any]:
    """All of it for a program, in shares of 1."""
    return {
        "words": found.words,
        "note": found.note,
        "class_names": found.class_names,
        "probabilities": found.probabilities.tolist(),
        "integrated_gradients": found.gradients.tolist(),
        "leave_one_out": found.leave_one_out.tolist(),
        "attention": None if found.attention is None else found.attention.tolist(),
    }
