"""Several speakers in one decoder."""

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from modules.word_vectors import SpelledEmbedding

if TYPE_CHECKING:
    from transformer import Decoder


class Voices(nn.Module):
    """What is a speaker's own in a decoder: a vector that is added to every word's (Li et al. 2016, section 4.1), and a
    bias of the output layer. Speaker 0 is nobody in particular: whoever wrote a text without names."""

    def __init__(self, n_speakers: int, vocabulary_size: int, n_embd: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(1 + n_speakers, n_embd)
        self.biases = nn.Parameter(torch.zeros(1 + n_speakers, vocabulary_size))
        self.shares: Tensor  # (speakers,) how often each speaks, without nobody
        self.register_buffer("shares", torch.full((n_speakers,), 1 / max(n_speakers, 1)))

    def forward(self, speaker: int, table: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The word vectors (V, C) and the output bias (V,) as a speaker has them."""
        return table + self.vectors.weight[speaker], bias + self.biases[speaker]


def voice(model: "Decoder", speaker: int) -> "Decoder":
    """A decoder without voices, in memory of its own, that says all that `model` says as one speaker.

    Where the output layer's weight is the word vectors, it moves with them, and each logit by as much: nothing changes.
    """
    own = deepcopy(model)
    assert own.voices is not None
    words = own.embedding.words if isinstance(own.embedding, SpelledEmbedding) else own.embedding
    with torch.no_grad():
        words.weight.add_(own.voices.vectors.weight[speaker])
        own.head.bias.add_(own.voices.biases[speaker])
    own.config, own.voices = replace(own.config, voices=False), None
    return own
