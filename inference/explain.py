"""Who said it, and which words made the decision: what each adds to the probability of each speaker."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluation.accuracy import speaker_probabilities
from evaluation.attention import attention_maps
from inference.sentence import finite, padded, read_sentence
from inference.texts import uniform_text
from modules.hook_point import hook_points, hooked
from tokenizer import PAD
from training.weights import TrainedModel
from transformer import Classifier, Decoder, Vote

STEPS = 256  # points on the way from no words to the words


def classify(trained: TrainedModel, text: str) -> list[tuple[str, float]]:
    """The name and the probability of each class for one sentence, the likeliest first; two may have the same name."""
    return ranked(trained, sentence_probabilities(trained, text))


@torch.no_grad()
def sentence_probabilities(trained: TrainedModel, text: str) -> Tensor:
    """The probability (K,) of each class for one sentence.

    A classifier reads the sentence up to its block. A decoder with voices reads all of it, and follows Bayes' rule.
    """
    sentence, model, tokenizer = read_sentence(trained, text), trained.model, trained.tokenizer
    if isinstance(model, Decoder):
        row = torch.tensor(tokenizer.encode(uniform_text(text, tokenizer)))
        return finite(speaker_probabilities(model, trained.voice_ngrams, [row])[0])
    return finite(model(sentence.ids, sentence.lengths)[0]).softmax(dim=-1)


def ranked(trained: TrainedModel, shares: Tensor) -> list[tuple[str, float]]:
    """The name of each class with its share, of (K,), the largest first."""
    values, indices = shares.sort(descending=True, stable=True)
    return [(trained.class_names[i], share) for i, share in zip(indices.tolist(), values.tolist())]


@dataclass(frozen=True)
class Explanation:
    """What each word of a sentence adds to the probability of each class."""

    words: list[str]  # T of them, as they can be printed; what the vocabulary lacks is marked: "gizmo?"
    note: str  # what was not read, as in `Sentence`
    class_names: list[str]  # K of them
    probabilities: Tensor  # (K,)
    leave_one_out: Tensor  # (T, K) by how much the probability falls if the word is deleted
    gradients: Tensor  # (T, K) integrated gradients: they sum to how far the words move the probability
    attention: Tensor | None  # (T,) share of all attention; None where no layer attends


def explain(trained: TrainedModel, text: str) -> Explanation:
    """What each word of a sentence adds to the probability of each class. ValueError for a decoder."""
    model = trained.model
    if isinstance(model, Decoder):
        raise ValueError("a decoder does not classify")
    sentence = read_sentence(trained, text)
    ids = sentence.ids[0, : len(sentence.tokens)]
    return Explanation(
        words=sentence.tokens,
        note=sentence.note,
        class_names=trained.class_names,
        probabilities=probabilities(model, [ids])[0],
        leave_one_out=leave_one_out(model, ids),
        gradients=integrated_gradients(model, ids, range(len(trained.class_names))),
        attention=attention_received(model, ids) if model.config.n_layer else None,
    )


@torch.no_grad()
def probabilities(model: Classifier | Vote, texts: Sequence[Tensor]) -> Tensor:
    """The probability (B, K) of each class for each of the texts (n tokens,)."""
    return finite(model(*padded(model, texts))).softmax(dim=-1)


def leave_one_out(model: Classifier | Vote, ids: Tensor) -> Tensor:
    """By how much each class's probability falls (T, K) if one of the words `ids` (T,) is deleted."""
    whole, *others = probabilities(model, [ids, *(without_words(ids, [i]) for i in range(len(ids)))])
    return whole - torch.stack(others)


def without_words(ids: Tensor, deleted: Sequence[int]) -> Tensor:
    """The words `ids` (T,) but for those at some indices."""
    is_kept = torch.ones(len(ids), dtype=torch.bool)
    is_kept[list(deleted)] = False
    return ids[is_kept]


def integrated_gradients(model: Classifier | Vote, ids: Tensor, classes: Sequence[int], steps: int = STEPS) -> Tensor:
    """What each of the words `ids` (T,) adds to the probability of each of the `classes`: (T, K) (Sundararajan et al.
    2017).

    The gradient where words enter the first block, averaged over `steps` points on the straight line from as many
    <pad> to the words, times that way. Summed over the words it is the difference between the probabilities at both
    ends.
    """
    rows, lengths = padded(model, [torch.full_like(ids, PAD), ids])
    shares = (torch.arange(steps) + 0.5) / steps  # of the way: the middles of as many parts
    ways: list[Tensor] = []  # from <pad> to the words, in each member of a vote: (T, C)
    points: list[Tensor] = []  # on the way: (steps, T, C)

    def between(x: Tensor, name: str) -> Tensor:
        start, end = x.detach()[[0, -1]]
        ways.append(end - start)
        points.append((start + shares[:, None, None] * ways[-1]).requires_grad_())
        return points[-1]

    batch = rows[[0] * (steps - 1) + [1]]  # only the first and the last row are used; points replace them all
    with hooked(model, hook_points(model, "encoder.residual"), between):
        by_step = model(batch, lengths[:1].expand(steps)).softmax(dim=-1)  # (steps, K)
    columns = []
    for mean in by_step[:, classes].mean(dim=0):
        gradients = torch.autograd.grad(mean, points, retain_graph=True)
        parts = [(gradient.sum(dim=0) * way).sum(dim=-1) for gradient, way in zip(gradients, ways)]  # each (T,)
        columns.append(torch.stack(parts).sum(dim=0))
    return torch.stack(columns, dim=1)[: len(ids)]


def attention_received(model: Classifier | Vote, ids: Tensor) -> Tensor:
    """The share (T,) of all attention, over layers, heads and tokens that look, that each of the words gets."""
    maps = attention_maps(model, *padded(model, [ids]))[:, 0]  # (L, H, S, S)
    return maps.mean(dim=(0, 1, 2))[: len(ids)]
