"""Words, subwords and characters beside each other: one recipe on the same seeds, with other tokens.

A perplexity is by token, and a token of one kind is more text than one of another: such perplexities do not compare.
Bits per byte do, for the bytes of a text are the same however it is cut.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from common.files import write_json
from dataset import Data, Stream, encode, validation_text
from evaluation.statistics import Estimate, paired_difference, paired_ratio
from studies.opponents import language_baselines
from studies.workers import perform_all
from tokenizer import WORDS, Kind, Tokenization
from training.machine import distinct_machines
from training.recipe import Recipe, Run, Task, customise
from training.records import Record
from training.runs import Place


class Tokens(Record, frozen=True):
    """What one kind of tokens reaches, by seed, in the tasks that were run, and how that differs from words in blocks
    of the same size."""

    kind: Kind
    vocabulary_size: int
    block_size: int
    bytes_per_token: float  # of the training text
    cut: float  # percent of the training rows that are longer than the block
    accuracy: list[float]  # percent; none where no classifier was trained
    bits_per_byte: list[float]  # of the decoder, over all texts together
    trigram: list[float]  # bits per byte; one where there is one text for all seeds
    accuracy_difference: Estimate | None = None
    bits_ratio: Estimate | None = None


def compare_tokenizers(
    kinds: Sequence[Tokenization],
    block_sizes: Sequence[int],
    recipe_name: str,
    recipes: Mapping[Task, Recipe],
    seeds: Sequence[int],
    validation: bool,
    data: Data,
    place: Place,
    command: str,
    n_workers: int,
) -> dict[str, Any]:
    """Train by each of the recipes with each kind of tokens, words first, and each size of block, and write
    results.json.

    `validation`: measured on what seed s holds out of the training files, as the ablation does, instead of the tests.
    """
    started = time.perf_counter()
    rows: list[Tokens] = []
    records: list[dict[str, Any]] = []
    for block_size in block_sizes:
        words: Tokens | None = None
        for kind in dict.fromkeys([WORDS, *kinds]):
            encoded = encode(data.corpus, block_size, kind)
            runs = plan(encoded, recipes, seeds, validation)
            found = perform_all(runs, encoded, place, n_workers)
            texts = [validation_text(encoded, seed) for seed in seeds] if validation else [encoded]
            row = measured(encoded, runs, found, texts)
            words = words or row
            rows.append(row if row is words else compared(row, words))
            records += found
    results: dict[str, Any] = {
        "command": "tokenizers",
        "command_line": command,
        "recipe": recipe_name,
        "validation": validation,
        "seeds": list(seeds),
        "machines": distinct_machines(records),
        "data": {"directory": str(data.corpus.directory), "fingerprint": data.corpus.fingerprint},
        "rows": msgspec.to_builtins(rows),
        "total_seconds": time.perf_counter() - started,
    }
    write_json(place.out / "results.json", results)
    return results


def plan(data: Data, recipes: Mapping[Task, Recipe], seeds: Sequence[int], validation: bool) -> list[Run]:
    """The runs of one kind of tokens in blocks of one size: of each task, on every seed."""
    block_size, kind = data.train.ids.shape[1], data.tokenizer.tokenization
    name = f"{kind.kind}{kind.size or ''}-block{block_size}{'-validation' if validation else ''}"
    return [
        Run(
            f"{task}-{name}-seed{seed}",
            customise(recipe, block_size=block_size),
            seed,
            fold=seed if validation else None,
            brief=True,
        )
        for task, recipe in recipes.items()
        for seed in seeds
    ]


def measured(data: Data, runs: Sequence[Run], records: Sequence[Mapping[str, Any]], texts: Sequence[Data]) -> Tokens:
    """What the runs of one kind of tokens reach on `texts`: those of each seed, or the same for all."""
    decoders = [record for run, record in zip(runs, records) if run.recipe.task == "decoder"]
    classifiers = [record for run, record in zip(runs, records) if run.recipe.task == "classifier"]
    streams = [one.test_streams for one in texts]
    return Tokens(
        kind=data.tokenizer.tokenization.kind,
        vocabulary_size=len(data.tokenizer),
        block_size=data.train.ids.shape[1],
        bytes_per_token=data.train_stream.n_bytes / len(data.train_stream.ids),
        cut=100 * data.train.n_truncated / len(data.train.labels),
        accuracy=[record["test"]["all"]["accuracy"] for record in classifiers],
        bits_per_byte=[
            together(record["scores"], streams[place % len(streams)]) for place, record in enumerate(decoders)
        ],
        trigram=[trigram(one) for one in (texts if decoders else [])],
    )


def trigram(data: Data) -> float:
    """The bits per byte of a trigram over the same tokens, told what unknown ones are like where there are any."""
    scores = language_baselines(data)
    return together(scores.get("ngram_unk", scores["ngram"]), data.test_streams)


def together(scores: Mapping[str, Mapping[str, Any]], streams: Mapping[str, Stream]) -> float:
    """The bits per byte of all texts as one."""
    bits = sum(scores[name]["bits_per_byte"] * stream.n_bytes for name, stream in streams.items())
    return bits / sum(stream.n_bytes for stream in streams.values())


def compared(row: Tokens, words: Tokens) -> Tokens:
    """`row` with how far it is from `words`, over paired seeds."""
    return msgspec.structs.replace(
        row,
        accuracy_difference=paired_difference(row.accuracy, words.accuracy) if row.accuracy else None,
        bits_ratio=paired_ratio(row.bits_per_byte, words.bits_per_byte) if row.bits_per_byte else None,
    )
