"""How surprising a text is to a decoder, exactly: every token scored once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from common.checks import check
from dataset import STRETCH, Stream
from evaluation.ngrams import KneserNey, mixed
from evaluation.records import LanguageScores
from tokenizer import PAD, UNK
from transformer import Decoder

MOST_STRETCHES = 100  # of a text, in a record
BITS_TO_SPELL_A_BYTE = 8.0  # the stated cost of an unknown word: 8 bits for each byte of it and 8 for its end


@dataclass(frozen=True)
class Protocol:
    """How a text longer than the model's context is scored: windows of `length` tokens, `stride` apart.

    stride None: windows that do not overlap, so that a token sees between 1 and `length` tokens, its own not counted.
    Otherwise windows overlap and only the last `stride` tokens of each are scored, with more context and more work.
    """

    length: int
    stride: int | None = None

    def __post_init__(self) -> None:
        check(self, "at least 1", "length", "stride")

    def __str__(self) -> str:
        kind = "non-overlapping windows" if self.stride is None else f"sliding window, stride {self.stride},"
        return f"{kind} of {self.length} tokens"


@torch.inference_mode()
def token_nats(
    model: Decoder, ids: Tensor, protocol: Protocol, n_batched: int = 2048, window: int | None = None
) -> Tensor:
    """-log p of every token of `ids` (N,) in nats, float64 (N,): each is scored once, the first after a <pad>.

    About `n_batched` tokens are read at a time. `window`: every layer attends only to tokens so many positions back.
    """
    training, device = model.training, next(model.parameters()).device
    model.eval()
    length, stride = min(protocol.length, len(ids)), min(protocol.stride or protocol.length, len(ids), protocol.length)
    text = torch.cat([torch.tensor([PAD]), ids])
    nats = torch.empty(len(ids), dtype=torch.float64)

    def score(starts: Sequence[int], length: int, n_scored: int) -> None:
        """Predict ids[start : start + length] from the token before each, and keep the last `n_scored`."""
        ends = [start + length for start in starts]
        inputs = torch.stack([text[end - length : end] for end in ends])  # (B, T)
        targets = torch.stack([ids[end - n_scored : end] for end in ends])  # (B, S)
        for end, row in zip(ends, model.nats(inputs.to(device), targets.to(device), window).cpu().double()):
            nats[end - n_scored : end] = row

    starts, size = list(range(0, len(ids) - length + 1, stride)), max(1, n_batched // length)
    score(starts[:1], length, length)  # the first window is scored whole, the others from where the last one ended
    for i in range(1, len(starts), size):
        score(starts[i : i + size], length, stride)
    if rest := len(ids) - (starts[-1] + length):  # in a short window, or where windows overlap, in one moved back
        n_read = rest if protocol.stride is None else length
        score([len(ids) - n_read], n_read, rest)
    model.train(training)
    return nats


def predicted_nats(
    model: Decoder, ngrams: KneserNey | None, ids: Tensor, protocol: Protocol, window: int | None = None
) -> Tensor:
    """-log p of every token of `ids` (N,), float64 (N,), under a decoder and the `ngrams` that may predict with it;
    the rest as in `token_nats`."""
    nats = token_nats(model, ids, protocol, window=window)
    return -mixed(-nats, ngrams.log_probabilities(ids), model.config.ngram_share) if ngrams else nats


def perplexity(nats: Tensor | np.ndarray) -> float:
    """exp of the mean of `nats` (N,): summed over the file, divided once, exponentiated last."""
    return math.exp(min(float(nats.sum()) / len(nats), 700.0))


def language_scores(nats: Tensor | np.ndarray, stream: Stream) -> LanguageScores:
    """How surprising a text is: perplexity, the same without the <unk> targets, bits per byte, the share of <unk>.

    Bits per byte count, for every <unk>, also the spelling of the word it stands for (BITS_TO_SPELL_A_BYTE), and are
    divided by the bytes of the file, so models with different vocabularies compare.
    """
    nats = torch.as_tensor(nats)
    known = stream.ids != UNK
    spelling = BITS_TO_SPELL_A_BYTE * stream.n_unknown_bytes
    return LanguageScores(
        perplexity=perplexity(nats),
        perplexity_without_unk=perplexity(nats[known]) if known.any() else None,
        bits_per_byte=(float(nats.sum()) / math.log(2) + spelling) / stream.n_bytes,
        unk_rate=100 * (~known).double().mean().item(),
    )


def sums_by_stretch(values: Tensor, stream: Stream) -> list[float]:
    """`values` (N,) of the tokens of a text, summed over stretches of neighbouring lines: at most MOST_STRETCHES."""
    size = max(STRETCH, -(-len(stream.line_lengths) // MOST_STRETCHES))
    ends = torch.tensor(stream.line_lengths, dtype=torch.long).cumsum(0).tolist()
    chosen = [*ends[size - 1 :: size], *ends[-1:]]
    return [float(part.sum()) for part in values.tensor_split(list(dict.fromkeys(chosen))) if len(part)]
