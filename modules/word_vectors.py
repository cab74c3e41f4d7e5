"""Word vectors that words share: with those spelled alike, or with their lower-case form and their left neighbour."""

import zlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modules.config import TransformerConfig

NO_PAIRS = torch.zeros(0, dtype=torch.long)  # of words, whose rows have no phrases


def word_embedding(config: TransformerConfig, words: Sequence[str]) -> "nn.Embedding | SpelledEmbedding":
    """A table of one vector a word, or, if the configuration says so, of vectors that words spelled alike share."""
    if config.n_spellings:
        return SpelledEmbedding(words, config.n_spellings, config.n_embd)
    return nn.Embedding(len(words), config.n_embd)


class SpelledEmbedding(nn.Module):
    """A word has a vector for itself plus those of its character 3-, 4- and 5-grams (Bojanowski et al. 2017, section
    3.2).

    So rare words, and words that training never shows, share what words that are spelled alike have learned. The
    n-grams are hashed into `n_rows` rows by CRC-32, which is the same in every process. Their sum is divided by the
    square root of their number.
    """

    grams: Tensor
    offsets: Tensor
    scales: Tensor

    def __init__(self, words: Sequence[str], n_rows: int, n_embd: int) -> None:
        super().__init__()
        self.words = nn.Embedding(len(words), n_embd)
        self.spellings = nn.Embedding(n_rows, n_embd)
        grams = [[hashed(gram) % n_rows for gram in character_ngrams(word)] for word in words]
        counts = torch.tensor([len(word) for word in grams], device="cpu")  # even of a model without memory ("meta")
        scales = counts.clamp(min=1).rsqrt().repeat_interleave(counts)
        self.register_buffer("grams", torch.tensor([i for word in grams for i in word], device="cpu"), persistent=False)
        self.register_buffer("offsets", counts.cumsum(0) - counts, persistent=False)
        self.register_buffer("scales", scales, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, T) -> vectors (B, T, C)."""
        return F.embedding(ids, self.weight)

    @property
    def weight(self) -> Tensor:
        """The vectors of all words (V, C)."""
        spelled = F.embedding_bag(
            self.grams, self.spellings.weight, self.offsets, mode="sum", per_sample_weights=self.scales
        )
        return self.words.weight + spelled


class PhraseEmbedding(nn.Module):
    """A word has a vector for itself, plus that of its lower-case form, plus that of the pair with its left neighbour.

    Only pairs that occur in the training rows have a vector; others add nothing, rather than noise (Wang and Manning
    2012 show what pairs of words are worth in short texts).
    """

    def __init__(self, words: Sequence[str], pairs: Tensor, n_embd: int) -> None:
        """`pairs` (P,) are the sorted keys of `word_pairs`."""
        super().__init__()
        self.lower: Tensor
        self.pairs: Tensor
        self.register_buffer("lower", lower_forms(words), persistent=False)
        self.register_buffer("pairs", pairs.clone())
        self.words = nn.Embedding(len(words), n_embd)
        self.forms = nn.Embedding(int(self.lower.max()) + 1, n_embd)
        self.phrases = nn.Embedding(len(pairs), n_embd)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, T) -> vectors (B, T, C)."""
        lower = self.lower[ids]
        vectors = self.words(ids) + self.forms(lower)
        if not len(self.pairs):
            return vectors
        keys = pair_keys(lower, self.forms.num_embeddings)
        rows = torch.searchsorted(self.pairs, keys).clamp(max=len(self.pairs) - 1)
        is_known = (self.pairs[rows] == keys)[..., None]
        return vectors + self.phrases(rows) * is_known


def lower_forms(words: Sequence[str]) -> Tensor:
    """The number (V,) of each word's lower-case form: "The" and "the" have the same."""
    forms: dict[str, int] = {}
    numbers = [forms.setdefault(word.lower(), len(forms)) for word in words]
    return torch.tensor(numbers, device="cpu")  # whose size is asked for, also of a model without memory ("meta")


def pair_keys(lower: Tensor, n_forms: int) -> Tensor:
    """One number for each form of `lower` (B, T) and its left neighbour: (B, T). Left of the first stands padding."""
    return F.pad(lower, (1, -1)) * n_forms + lower


def word_pairs(words: Sequence[str], ids: Tensor) -> Tensor:
    """The sorted keys (P,) of all pairs of neighbours, case aside, in training rows ids (N, T), padded with 0."""
    lower = lower_forms(words)
    return pair_keys(lower[ids], int(lower.max()) + 1)[ids != 0].unique()


def character_ngrams(word: str) -> list[str]:
    """The 3-, 4- and 5-grams of "<word>" in lower case, and "^" and the first letter of a capitalised word."""
    if word in ("<pad>", "<unk>"):
        return []
    marked = f"<{word.lower()}>"
    grams = [marked[start : start + n] for n in (3, 4, 5) for start in range(len(marked) - n + 1)]
    return grams + ["^" + word[0]] if word[:1].isupper() else grams


def hashed(gram: str) -> int:
    """A number for a character n-gram."""
    return zlib.crc32(gram.encode(errors="surrogateescape"))
