"""Whether the record of a run agrees with itself, with the run, and with the data."""

from collections.abc import Iterator

from dataset import Data
from training.recipe import Run
from training.records import ClassifierRun, DecoderRun, TrainedRun


def check_record(record: TrainedRun, run: Run, data: Data) -> None:
    """ValueError for the first thing in a record that cannot be of this run on these data."""
    facts = of_classifier(record, run, data) if isinstance(record, ClassifierRun) else of_decoder(record, run, data)
    for what, agrees in facts:
        if not agrees:
            raise ValueError(f"its {what} cannot be those of this run")


def of_classifier(record: ClassifierRun, run: Run, data: Data) -> Iterator[tuple[str, bool]]:
    """What must agree in the record of a classifier, by what it is called; each only if those before it do."""
    duration, n_classes = run.recipe.duration, len(data.corpus.class_names)
    epochs = [duration] if run.brief else list(range(1, duration + 1))
    yield "epochs", [row.epoch for row in record.epochs] == epochs
    yield "groups of test rows", record.test.keys() == {"all", "seen", "unseen"}
    n_rows = record.test["all"].n
    yield "numbers of test rows", n_rows == record.test["seen"].n + record.test["unseen"].n
    yield "numbers of test rows", n_rows == len(data.test.labels) or run.fold is not None
    yield "accuracies of groups", all((group.accuracy is None) == (group.n == 0) for group in record.test.values())
    yield "predictions", len(record.predictions) == n_rows
    yield "predictions", all(prediction < n_classes for prediction in record.predictions)
    yield "classes", [row.name for row in record.scores.classes] == data.corpus.class_names
    confusion = record.scores.confusion
    yield "confusions", [len(row) for row in confusion] == [n_classes] * n_classes
    yield "confusions", [sum(row) for row in confusion] == [row.n for row in record.scores.classes]
    yield "confusions", sum(map(sum, confusion)) == n_rows


def of_decoder(record: TrainedRun, run: Run, data: Data) -> Iterator[tuple[str, bool]]:
    """What must agree in the record of a decoder, by what it is called; each only if those before it do."""
    assert isinstance(record, DecoderRun)
    architecture, steps = run.recipe.architecture, [row.iteration for row in record.iterations]
    tests = set(data.test_streams) if run.fold is None else set(record.scores)
    texts = {"train", *tests}
    yield "iterations", steps == sorted(set(steps)) and steps[-1:] == [run.recipe.duration]
    yield "texts", set(record.scores) == tests and len(tests) > 0
    nats, tokens = record.stretch_nats, record.stretch_tokens
    yield "stretches", nats.keys() == tokens.keys() and all(len(nats[name]) == len(tokens[name]) for name in nats)
    yield "texts", all(row.perplexity.keys() == texts for row in record.iterations)
    for row in record.iterations:
        yield "inference lengths", list(row.perplexity_by_length) == [str(length) for length in run.lengths]
        yield "inference lengths", all(found.keys() == tests for found in row.perplexity_by_length.values())
    yield "places", record.nats_by_place.keys() == texts
    yield "places", all(len(values) == architecture.block_size for values in record.nats_by_place.values())
    yield "feed-forward sizes", record.ff_dim == architecture.ff_dim
    has_voices = getattr(architecture, "voices", False) and run.fold is None
    yield "voices", (record.voices is not None) == has_voices
    if record.voices is not None:
        yield "voices", record.voices.perplexity.keys() == tests
        n_speakers = len(data.corpus.class_names)
        yield "voices", all(len(found) == n_speakers for found in record.voices.perplexity.values())
        yield "voices", len(record.voices.predictions) == record.voices.test["all"].n == len(data.test.labels)
        yield "voices", all(prediction < n_speakers for prediction in record.voices.predictions)
