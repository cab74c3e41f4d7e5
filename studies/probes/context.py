"""How much a decoder makes of the tokens before the one that it predicts."""

from statistics import geometric_mean

from common.checks import Positive, Record
from dataset import Data
from evaluation.perplexity import Protocol, perplexity, predicted_nats
from training.weights import TrainedModel
from transformer import Decoder

CONTEXTS = (1, 2, 3, 5, 10)  # tokens; and as many as the model reads at once in training


class ContextPerplexity(Record, frozen=True):
    """The perplexity of test texts, their geometric mean, where every token is predicted from so many before it."""

    n_tokens: int
    perplexity: Positive


def perplexity_by_context(trained: TrainedModel[Decoder], data: Data) -> list[ContextPerplexity]:
    """Perplexity where the model is given only the last tokens before each one: 1 of them, 2, and so on.

    The same tokens, all of them, are scored each time. What a longer context leaves unchanged, the model does not use.
    """
    block_size = trained.model.config.block_size
    rows = []
    for n_tokens in [*(n for n in CONTEXTS if n < block_size), block_size]:
        protocol = Protocol(n_tokens, stride=1)
        perplexities = [
            perplexity(predicted_nats(trained.model, trained.ngrams, text.ids, protocol))
            for text in data.test_streams.values()
        ]
        rows.append(ContextPerplexity(n_tokens, geometric_mean(perplexities)))
    return rows
