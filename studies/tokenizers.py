"""Words, subwords and characters beside each other: one recipe on the same seeds, with other tokens.

A perplexity is by token, and a token of one kind is more text than one of another: such perplexities do not compare.
Bits per byte do, for the bytes of a text are the same however it is cut.
"""

import time
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from common.files import write_json
from dataset import Data, Stream, encode, without_fold
from evaluation.statistics import SHARED_BY_FOLDS, paired_difference, paired_ratio
from studies.opponents import language_baselines
from studies.results import TextScores, TokenizersResults, Tokens, accuracies
from studies.workers import perform_all
from tokenizer import WORDS, Tokenization
from training.machine import distinct_machines
from training.recipe import Recipe, Run, Task, customise
from training.records import ClassifierRun, DecoderRun, TrainedRun
from training.runs import Folder


def compare_tokenizers(
    kinds: Sequence[Tokenization],
    block_sizes: Sequence[int],
    recipe_name: str,
    recipes: Mapping[Task, Recipe],
    seeds: Sequence[int],
    validation: bool,
    data: Data,
    folder: Folder,
    command: str,
    n_workers: int,
) -> TokenizersResults:
    """Train by each of the recipes with each kind of tokens, words first, and each size of block, and write
    results.json.

    `validation`: measured on what seed s holds out of the training files, as the ablation does, instead of the tests.
    """
    started = time.perf_counter()
    rows: list[Tokens] = []
    records: list[TrainedRun] = []
    for block_size in block_sizes:
        words: Tokens | None = None
        for kind in dict.fromkeys([WORDS, *kinds]):
            encoded = encode(data.corpus, block_size, kind)
            runs = plan(encoded, recipes, seeds, validation)
            found = perform_all(runs, encoded, folder, n_workers)
            texts = [without_fold(encoded, "decoder", seed) for seed in seeds] if validation else [encoded]
            row = measured(encoded, found, texts)
            words = words or row
            rows.append(row if row is words else compared(row, words, SHARED_BY_FOLDS if validation else 0.0))
            records += found
    results = TokenizersResults(
        command="tokenizers",
        data=data.corpus.about(),
        command_line=command,
        recipe=recipe_name,
        validation=validation,
        seeds=list(seeds),
        machines=distinct_machines(records),
        rows=rows,
        total_seconds=time.perf_counter() - started,
    )
    write_json(folder.path / "results.json", results)
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


def measured(data: Data, records: Sequence[TrainedRun], texts: Sequence[Data]) -> Tokens:
    """What the runs of one kind of tokens reach on `texts`: those of each seed, or the same for all."""
    decoders = [record for record in records if isinstance(record, DecoderRun)]
    classifiers = [record for record in records if isinstance(record, ClassifierRun)]
    streams = [one.test_streams for one in texts]
    return Tokens(
        kind=data.tokenizer.tokenization.kind,
        vocabulary_size=len(data.tokenizer),
        block_size=data.train.ids.shape[1],
        bytes_per_token=data.train_stream.n_bytes / len(data.train_stream.ids),
        cut=100 * data.train.n_truncated / len(data.train.labels),
        accuracy=accuracies(classifiers),
        bits_per_byte=[
            together(record.scores, streams[folder % len(streams)]) for folder, record in enumerate(decoders)
        ],
        trigram=[trigram(one) for one in (texts if decoders else [])],
    )


def trigram(data: Data) -> float:
    """The bits per byte of a trigram over the same tokens, told what unknown ones are like where there are any."""
    scores = language_baselines(data)
    return together(scores.get("ngram_unk", scores["ngram"]), data.test_streams)


def together(scores: TextScores, streams: Mapping[str, Stream]) -> float:
    """The bits per byte of all texts as one."""
    bits = sum(scores[name].bits_per_byte * stream.n_bytes for name, stream in streams.items())
    return bits / sum(stream.n_bytes for stream in streams.values())


def compared(row: Tokens, words: Tokens, shared: float) -> Tokens:
    """`row` with how far it is from `words`, over paired seeds; folds have rows `shared`."""
    return replace(
        row,
        accuracy_difference=paired_difference(row.accuracy, words.accuracy, shared) if row.accuracy else None,
        bits_ratio=paired_ratio(row.bits_per_byte, words.bits_per_byte, shared) if row.bits_per_byte else None,
    )
