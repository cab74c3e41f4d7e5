"""What words, subwords and characters make of the same data.

A perplexity is by token, and a token of one kind is more text than one of another: such perplexities do not compare.
Bits per byte do, for the bytes of a text are the same however it is cut.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from dataset import Data, Stream, encode, without_fold
from evaluation.opponents import decoder_opponents
from evaluation.records import LanguageScores
from evaluation.statistics import SHARED_BY_FOLDS, paired_difference, paired_ratio
from studies.answers import Tokens
from studies.question import Question
from training.records import ClassifierRun, DecoderRun, TrainedRun


def tokens_of(
    questions: Sequence[Question],
    runs: Mapping[str, Mapping[str, Sequence[TrainedRun]]],
    data: Data,
    confidence: float,
) -> list[Tokens]:
    """What each kind of tokens reaches in the questions about them; the first in blocks of each size is the base. None
    where no question is about tokens."""
    rows: list[Tokens] = []
    for variant, tokenization in questions[0].tokenizations.items():
        recipe = questions[0].variants[variant]
        encoded = encode(data.corpus, recipe.architecture.block_size, tokenization)
        seeds = [run.seed for run in runs[questions[0].name][variant]]
        test_sets = [encoded]
        if questions[0].on_folds:
            test_sets = [without_fold(encoded, "decoder", seed) for seed in seeds]
        row = reached(encoded, [run for question in questions for run in runs[question.name][variant]], test_sets)
        words = next((other for other in rows if other.block_size == row.block_size), None)
        shared = SHARED_BY_FOLDS if questions[0].on_folds else 0.0
        rows.append(row if words is None else compared(row, words, shared, confidence))
    return rows


def reached(data: Data, runs: Sequence[TrainedRun], test_sets: Sequence[Data]) -> Tokens:
    """What the runs of one kind of tokens reach on the test sets: that of each seed, or one for all."""
    decoders = [run for run in runs if isinstance(run, DecoderRun)]
    streams = [test_set.test_streams for test_set in test_sets]
    return Tokens(
        kind=data.tokenizer.tokenization.kind,
        vocabulary_size=len(data.tokenizer),
        block_size=data.train.ids.shape[1],
        bytes_per_token=data.train_stream.n_bytes / len(data.train_stream.ids),
        cut=100 * data.train.n_truncated / len(data.train.labels),
        accuracy=[run.test["all"].accuracy or 0.0 for run in runs if isinstance(run, ClassifierRun)],
        bits_per_byte=[together(run.scores, streams[number % len(streams)]) for number, run in enumerate(decoders)],
        trigram=[trigram(test_set) for test_set in (test_sets if decoders else [])],
    )


def trigram(data: Data) -> float:
    """The bits per byte of a trigram over the same tokens, told what unknown ones are like where there are any."""
    opponents = decoder_opponents(data)
    return together(opponents.get("ngram_unk", opponents["ngram"]).scores, data.test_streams)


def together(scores: Mapping[str, LanguageScores], streams: Mapping[str, Stream]) -> float:
    """The bits per byte of all texts as one."""
    bits = sum(scores[name].bits_per_byte * stream.n_bytes for name, stream in streams.items())
    return bits / sum(stream.n_bytes for stream in streams.values())


def compared(row: Tokens, words: Tokens, shared: float, confidence: float) -> Tokens:
    """`row` with how far it is from `words`, over paired seeds; folds have rows `shared`."""
    accuracies, bits = (row.accuracy, words.accuracy), (row.bits_per_byte, words.bits_per_byte)
    return replace(
        row,
        accuracy_difference=paired_difference(*accuracies, shared, confidence) if row.accuracy else None,
        bits_ratio=paired_ratio(*bits, shared, confidence) if row.bits_per_byte else None,
    )
