"""What it costs when the work grows: time and peak memory, each point in a process of its own."""

import contextlib
import functools
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.contenders import Sizes, Step, library_step, our_step, step_flops
from benchmarks.timing import Row
from modules.config import DecoderConfig, TransformerConfig
from utilities import Line, Panel, line_figure

N_WORDS = 20_000  # different words of the made-up corpus
LARGE = Sizes(block_size=256, batch_size=16, vocabulary_size=50_000)  # and 8 layers
TOKENS: dict[str, Callable[[int], int]] = {  # that a call reads, at each size
    "length": lambda n: 16 * n,
    "vocabulary": lambda n: 16 * 32,
    "batch": lambda n: n * 32,
    "width": lambda n: LARGE.batch_size * LARGE.block_size,
    "corpus": lambda n: n,
}


def lengths() -> dict[str, Callable[[int], Step]]:
    return {
        "encoder, a step": lambda n: our_step("classifier", Sizes(block_size=n)),
        "encoder of torch.nn, a step": lambda n: library_step("torch.nn", "classifier", Sizes(block_size=n)),
        "encoder with ALiBi, a step": lambda n: our_step("classifier", Sizes(block_size=n), positions="alibi"),
        "encoder, reading with maps": lambda n: reading(n, maps=True),
        "encoder, reading without": lambda n: reading(n, maps=False),
    }


def vocabularies() -> dict[str, Callable[[int], Step]]:
    return {
        "decoder, a step": lambda n: our_step("decoder", Sizes(vocabulary_size=n)),
        "decoder of torch.nn, a step": lambda n: library_step("torch.nn", "decoder", Sizes(vocabulary_size=n)),
    }


def batches() -> dict[str, Callable[[int], Step]]:
    return {
        "encoder, a step": lambda n: our_step("classifier", Sizes(batch_size=n)),
        "decoder, a step": lambda n: our_step("decoder", Sizes(batch_size=n)),
    }


def widths() -> dict[str, Callable[[int], Step]]:
    """All that hurts at once, and the width grows."""
    return {
        "encoder, a step": lambda n: our_step("classifier", LARGE, **large(n)),
        "decoder, a step": lambda n: our_step("decoder", LARGE, **large(n)),
    }


def large(width: int) -> dict[str, Any]:
    """The settings of the large models."""
    return {"n_embd": width, "ff_dim": 4 * width, "n_layer": 8, "n_head": 8}


def on_a_gpu(width: int, flops: float = 3e13) -> str:
    """What a step of the large decoder would take by its operations, where 30 TFLOP/s of them are done: a guess."""
    needed = step_flops("decoder", LARGE, DecoderConfig(**large(width)))
    return (
        f"By its operations alone, {needed / 1e12:.2f} TFLOP, the decoder's step at width {width} would take "
        f"{1000 * needed / flops:.0f} ms on a GPU that does {flops / 1e12:.0f} TFLOP/s of them. This is an estimate: "
        "no GPU was there to be measured."
    )


def corpora() -> dict[str, Callable[[int], Step]]:
    return {
        "tokenising": functools.partial(tokenising, cached=False),
        "tokenising, cached": functools.partial(tokenising, cached=True),
        "trigram, fit and score": trigram,
    }


AXES: dict[str, tuple[str, Sequence[int], Callable[[], dict[str, Callable[[int], Step]]]]] = {
    "length": ("sequence length, tokens (16 rows)", (32, 64, 128, 256, 512, 1024), lengths),
    "vocabulary": ("vocabulary, words (16 x 32 tokens)", (5_000, 10_000, 20_000, 50_000), vocabularies),
    "batch": ("batch, rows of 32 tokens", (16, 32, 64, 128, 256), batches),
    "width": ("width (8 layers, 16 x 256 tokens, 50,000 words)", (64, 128, 256, 512), widths),
    "corpus": ("corpus, tokens", (30_000, 100_000, 300_000, 1_000_000, 2_000_000), corpora),
}


def reading(n_tokens: int, maps: bool) -> Step:
    """A forward pass over 16 rows, with the attention maps or without."""
    from modules.hook_point import hook_points, hooked
    from transformer import Transformer

    encoder = Transformer(TransformerConfig(block_size=n_tokens), torch.nn.Embedding(5755, 64), causal=False).eval()
    ids = torch.randint(2, 5755, (16, n_tokens), generator=torch.Generator().manual_seed(0))
    names = hook_points(encoder, ".attention.weights") if maps else []

    @torch.no_grad()
    def step() -> None:
        with hooked(encoder, names, lambda weights, name: None):
            encoder.read(encoder.embedding(ids))

    return step


def made_up_lines(n_tokens: int) -> list[str]:
    """Lines of 20 made-up words (the frequent ones far more often, as in language) with a comma and a full stop."""
    generator = random.Random(0)
    words = ["".join(generator.choices("aeioulnrstdm", k=generator.randint(2, 9))) for _ in range(N_WORDS)]
    ranks = np.random.default_rng(0).zipf(1.2, size=(n_tokens // 22 + 1, 20)) % N_WORDS
    return [f"{' '.join(words[i] for i in row[:10])}, {' '.join(words[i] for i in row[10:])}." for row in ranks]


def tokenising(n_tokens: int, cached: bool) -> Step:
    """Tokenising a corpus for the first time, or with the words on disk already."""
    import tokenizer

    tokenizer.tokenize_all(["A first sentence takes the imports."])
    lines = made_up_lines(n_tokens)
    if not cached:
        return lambda: tokenizer._tokenize(lines)
    tokenizer.tokenize_all(lines)
    return lambda: tokenizer.tokenize_all(lines)


def trigram(n_tokens: int) -> Step:
    from evaluation.ngrams import KneserNey

    stream = np.random.default_rng(0).zipf(1.2, size=n_tokens) % N_WORDS
    return lambda: KneserNey.fit(stream, N_WORDS).perplexity(stream)


def measure(axis: str, name: str, size: int, threads: int, enough: float = 1.5) -> tuple[float, float]:
    """Seconds of a call, and the megabytes that the process had at most beyond what it had before the first call."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ORATOR_CACHE"] = cache
        step = AXES[axis][2]()[name](size)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the maximum starts again from here
        before = memory("VmRSS")
        seconds: list[float] = []
        while not seconds or (sum(seconds) < enough and len(seconds) < 20):
            started = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - started)
        return median(seconds[1:] or seconds), memory("VmHWM") - before


def memory(field: str) -> float:
    """Megabytes of this process now (VmRSS) or at most (VmHWM), from Linux; elsewhere not a number."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def growth(axis: str, threads: int, most: int | None = None) -> list[Row]:
    """A row for each contender and size of an axis (sizes up to `most`)."""
    label, sizes, contenders = AXES[axis]
    context, rows = multiprocessing.get_context("spawn"), []
    for name in contenders():
        for size in [size for size in sizes if most is None or size <= most]:
            print(f"{axis}: {name}, {size:,}", file=sys.stderr)
            with ProcessPoolExecutor(1, context) as pool:
                seconds, megabytes = pool.submit(measure, axis, name, size, threads).result()
            read = TOKENS[axis](size)
            rows.append(Row(f"growth: {label}", name, seconds, megabytes=megabytes, tokens=read, size=size))
    return rows


def growth_figure(path: Path, rows: Sequence[Row]) -> None:
    """Time and memory against size, on logarithmic axes, of one axis's rows."""
    names = list(dict.fromkeys(row.name for row in rows))
    by_name = {name: [row for row in rows if row.name == name] for name in names}

    def lines(values: Callable[[Row], float | None]) -> list[Line]:
        return [
            Line(name, [row.size or 0 for row in own], [values(row) for row in own]) for name, own in by_name.items()
        ]

    panels = [
        Panel(lines(lambda row: 1000 * row.seconds), title="time", y_label="milliseconds"),
        Panel(lines(lambda row: row.megabytes), title="peak memory beyond the start", y_label="megabytes"),
    ]
    label = rows[0].group.removeprefix("growth: ")
    line_figure(path, panels, label, "", "Cost as the work grows", log_x=True, log_y=True)
