"""What a decoder reads at lengths that it was not trained at."""

import functools
import itertools
from collections.abc import Mapping

from dataset import Data
from evaluation.mixture import predicted_nats
from evaluation.perplexity import Protocol, perplexity
from studies.results import LengthPerplexity
from studies.study import POSITIONS, STEEP, lengths
from studies.workers import share_out
from training.recipe import Run
from training.runs import Folder, identity_of, remembered
from training.weights import load_model
from transformer import Decoder


def extrapolate(
    runs: Mapping[tuple[str, str, int], Run], data: Data, folder: Folder, n_workers: int
) -> dict[str, list[list[LengthPerplexity]]]:
    """For each position variant a list over seeds of the rows of `perplexity_by_length`."""
    wanted = {key: run for key, run in runs.items() if key[0] == "decoder" and key[1] in (*POSITIONS, STEEP)}
    job = functools.partial(perplexity_by_length, data=data, folder=folder)
    rows = share_out(job, list(wanted.values()), n_workers, "inference lengths")
    found: dict[str, list[list[LengthPerplexity]]] = {}
    for (_, variant, _), row in zip(wanted, rows):
        found.setdefault(variant, []).append(row)
    return found


def perplexity_by_length(run: Run, data: Data, folder: Folder) -> list[LengthPerplexity]:
    """Perplexity on each test text at each inference length: the same tokens, all of them, are scored at each.

    Two protocols: windows that do not overlap, in which the first tokens of each have little context whatever the
    length, and a window that slides by half its length, in which every token has at least that much, but for those of
    the first window. And a control, `window`: every token attends, in each layer, to no more of the past than it could
    in training; at the length of training that takes nothing away. Learned positions have nothing past their table:
    None.
    """

    def compute() -> list[LengthPerplexity]:
        trained = load_model(folder.weights(run), "decoder")
        model = trained.model.to(folder.device)
        assert isinstance(model, Decoder)
        config = model.config
        rows: list[LengthPerplexity] = []

        def measure(length: int, sliding: bool, window: int | None = None) -> dict[str, float | None]:
            undefined = config.positions == "learned" and length > config.block_size
            protocol = Protocol(length, max(1, length // 2) if sliding else None)
            return {
                name: None
                if undefined
                else perplexity(predicted_nats(model, trained.ngrams, text.ids, protocol, window))
                for name, text in data.test_streams.items()
            }

        for sliding, length in itertools.product((False, True), lengths(run.recipe)):
            free, control = measure(length, sliding), config.block_size - 1
            kept = free if length == config.block_size else measure(length, sliding, control)
            for window, found in ((None, free), (control, kept)):
                rows.append(LengthPerplexity(length=length, sliding=sliding, window=window, perplexity=found))
        return rows

    protocols = ["side by side", "sliding by half"]
    identity = {**identity_of(run, data, folder), "lengths": lengths(run.recipe), "protocols": protocols}
    path = folder.path / "runs" / f"{run.name}.lengths.json"
    return remembered(path, list[LengthPerplexity], identity, compute)
