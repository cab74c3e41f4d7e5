"""A model from its configuration and the vocabulary: which word vectors it has, and how many vote."""

import torch
from torch import Tensor

from common.randomness import derived_seed
from modules.vote import Vote
from modules.word_vectors import CLS, PhraseEmbedding, SpelledEmbedding
from transformer import Classifier, ClassifierConfig, Decoder, DecoderConfig

NO_PAIRS = torch.zeros(0, dtype=torch.long)


def build_classifier(
    config: ClassifierConfig, words: list[str], n_classes: int, seed: int = 0, pairs: Tensor = NO_PAIRS
) -> Classifier | Vote:
    """One classifier, or several that vote, of which the first is the one that would have been alone.

    `words` is the vocabulary, `pairs` the keys of `word_pairs`, which only a model of phrases looks at.
    """

    def member(seed: int) -> Classifier:
        known = [*words, CLS] if config.pooling == "cls" else words
        embedding: SpelledEmbedding | PhraseEmbedding | None = None
        if config.phrases:
            embedding = PhraseEmbedding(known, pairs, config.n_embd)
        elif config.n_spellings:
            embedding = SpelledEmbedding(known, config.n_spellings, config.n_embd)
        return Classifier(config, len(words), n_classes, seed, embedding)

    seeds = [seed, *(derived_seed(seed, "member", number) for number in range(1, config.n_members))]
    members = [member(one) for one in seeds]
    return members[0] if len(members) == 1 else Vote(members)


def build_decoder(config: DecoderConfig, words: list[str], seed: int = 0, n_speakers: int = 0) -> Decoder:
    """A decoder for the vocabulary `words`, with the voices of `n_speakers` if the configuration wants voices."""
    spelled = SpelledEmbedding(words, config.n_spellings, config.n_embd) if config.n_spellings else None
    return Decoder(config, len(words), seed, spelled, n_speakers)
