"""Word vectors that words share: with those spelled alike, or with their lower-case form and their left neighbour."""

import zlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLS = "<cls>"  # a word that stands before every row, for a classifier that reads it


class SpelledEmbedding(nn.Module):
    """A word's vector is its own plus those of its character 3-, 4- and 5-grams (Bojanowski et al. 2017, section 3.2).

    Rare words, and words that training never shows, so share what words that are spelled alike have learned. The
    n-grams are hashed into `n_rows` rows, by CRC-32: the same in every process. Their sum is divided by the square root
    of their number.
    """

    def __init__(self, words: Sequence[str], n_rows: int, n_embd: int) -> None:
        super().__init__()
        self.words = nn.Embedding(len(words), n_embd)
        self.spellings = nn.Embedding(n_rows, n_embd)
        grams = [
            [zlib.crc32(gram.encode(errors="surrogateescape")) % n_rows for gram in character_ngrams(word)]
            for word in words
        ]
        counts = torch.tensor([len(word) for word in grams], device="cpu")  # also of a model without memory ("meta")
        scales = counts.clamp(min=1).rsqrt().repeat_interleave(counts)
        self.grams: Tensor
        self.offsets: Tensor
        self.scales: Tensor
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
    """A word's vector is its own, plus that of its lower-case form, plus that of the pair with its left neighbour.

    Only pairs that training rows have get a vector; others add nothing, rather than noise (Wang and Manning 2012 show
    what pairs of words are worth in short texts).
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
        place = torch.searchsorted(self.pairs, keys).clamp(max=len(self.pairs) - 1)
        known = (self.pairs[place] == keys)[..., None]
        return vectors + self.phrases(place) * known


def lower_forms(words: Sequence[str]) -> Tensor:
    """The number (V,) of each word's lower-case form. <cls> stands where else there is padding, and counts as it."""
    forms: dict[str, int] = {}
    found = [forms.setdefault("<pad>" if word == CLS else word.lower(), len(forms)) for word in words]
    return torch.tensor(found, device="cpu")  # whose size is asked for, also of a model without memory ("meta")


def pair_keys(lower: Tensor, n_forms: int) -> Tensor:
    """One number for each form of `lower` (B, T) and its left neighbour: (B, T). Left of the first stands padding."""
    return F.pad(lower, (1, -1)) * n_forms + lower


def word_pairs(words: Sequence[str], ids: Tensor) -> Tensor:
    """The sorted keys (P,) of all pairs of neighbours, case aside, in training rows ids (N, T), padded with 0."""
    lower = lower_forms(words)
    return pair_keys(lower[ids], int(lower.max()) + 1)[ids != 0].unique()


def character_ngrams(word: str) -> list[str]:
    """The 3-, 4- and 5-grams of "<word>" in lower case, and "^" and the first letter of a capitalised word."""
    if word in ("<pad>", "<unk>", CLS):
        return []
    marked = f"<{word.lower()}>"
    grams = [marked[start : start + n] for n in (3, 4, 5) for start in range(len(marked) - n + 1)]
    return grams + ["^" + word[0]] if word[:1].isupper() else grams
