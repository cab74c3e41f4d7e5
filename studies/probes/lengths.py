"""How a decoder does at lengths that it was not trained at."""

import itertools

from dataset import Data
from evaluation.perplexity import Protocol, perplexity, predicted_nats
from studies.answers import LengthPerplexity
from training.weights import TrainedModel
from transformer import Decoder

LENGTHS = (1, 2, 4, 8)  # tokens at inference, as multiples of the block: 32, 64, 128 and 256


def perplexity_by_length(trained: TrainedModel[Decoder], data: Data) -> list[LengthPerplexity]:
    """Perplexity on each test text at each inference length: the same tokens, all of them, are scored at each.

    Two protocols: windows that do not overlap, in which the first tokens of each have little context whatever the
    length; and a window that slides by half its length, in which every token has at least that much, except in the
    first window. And a control, `window`: every token attends, in each layer, to no more of the past than it could in
    training; at the length of training that changes nothing. Learned positions end with their table: None past it.
    """
    model = trained.model
    block_size, control = model.config.block_size, model.config.block_size - 1

    def measure(length: int, sliding: bool, window: int | None = None) -> dict[str, float | None]:
        if model.config.positions == "learned" and length > block_size:
            return dict.fromkeys(data.test_streams)
        protocol = Protocol(length, max(1, length // 2) if sliding else None)
        return {
            name: perplexity(predicted_nats(model, trained.ngrams, text.ids, protocol, window))
            for name, text in data.test_streams.items()
        }

    rows = []
    for sliding, multiple in itertools.product((False, True), LENGTHS):
        length = multiple * block_size
        free = measure(length, sliding)
        limited = free if length == block_size else measure(length, sliding, control)
        for window, perplexities in ((None, free), (control, limited)):
            rows.append(LengthPerplexity(length=length, sliding=sliding, window=window, perplexity=perplexities))
    return rows
