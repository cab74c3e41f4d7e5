"""How good a model is, exactly: accuracy over all, seen and unseen rows; perplexity with every token scored once."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from checks import check
from dataset import Labelled, Stream
from tokenizer import PAD, UNK
from transformer import Classifier, Decoder

PLATEAU_MARGIN = 5.0  # points
BITS_TO_SPELL_A_BYTE = 8.0  # the stated cost of an unknown word: 8 bits for each byte of it and 8 for its end


# ----------------------------------------------------------------------------------------------------------- accuracy


@torch.inference_mode()
def class_probabilities(model: Classifier, data: Labelled, batch_size: int = 64) -> Tensor:
    """The probabilities (N, K) that the model, in eval mode, gives to each row of `data`."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    rows = []
    for items in torch.arange(len(data.labels)).split(batch_size):
        ids, lengths, _ = data.batch(items, cut=model.masks_padding)
        rows.append(model(ids.to(device), lengths.to(device))[0].float().softmax(dim=-1).cpu())
    model.train(training)
    return torch.cat(rows)


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    """Percent of `predictions` (N,) that equal `labels` (N,)."""
    return 100 * int((predictions == labels).sum()) / len(labels)


def is_above_plateau(train_accuracy: float, labels: Tensor) -> bool:
    """Whether a classifier with this accuracy (percent) on its training rows, whose labels are `labels` (N,), has left
    the plateau on which it knows only the largest class.

    It must get more than that class's share by PLATEAU_MARGIN points, or by a tenth of the points that are left above
    the share, where those are few.
    """
    largest = 100 * int(torch.bincount(labels).max()) / len(labels)
    return train_accuracy > largest + min(PLATEAU_MARGIN, (100 - largest) / 10)


def accuracy_by_group(predictions: Tensor, labels: Tensor, seen: Tensor) -> dict[str, dict[str, Any]]:
    """n and accuracy, in percent, of all rows, of those whose text stands in the training rows, and of the others.

    All arguments are (N,). The accuracy of no rows is None.
    """
    groups = {"all": torch.ones_like(seen), "seen": seen, "unseen": ~seen}
    return {
        name: {
            "n": int(group.sum()),
            "accuracy": accuracy(predictions[group], labels[group]) if group.any() else None,
        }
        for name, group in groups.items()
    }


def scores_by_class(predictions: Tensor, labels: Tensor, class_names: list[str]) -> dict[str, Any]:
    """Precision, recall and F1 of each class, in percent, macro-F1, and the confusion matrix (true class by row)."""
    n_classes = len(class_names)
    confusion = torch.bincount(labels * n_classes + predictions, minlength=n_classes**2).view(n_classes, n_classes)
    right, claimed, actual = confusion.diag().double(), confusion.sum(dim=0), confusion.sum(dim=1)
    scores = {
        "precision": 100 * right / claimed.clamp(min=1),  # each (K,)
        "recall": 100 * right / actual.clamp(min=1),
        "f1": 200 * right / (claimed + actual).clamp(min=1),
    }
    return {
        "classes": [
            {"name": name, "n": int(actual[i]), **{key: values[i].item() for key, values in scores.items()}}
            for i, name in enumerate(class_names)
        ],
        "macro_f1": scores["f1"].mean().item(),
        "confusion": confusion.tolist(),
    }


# --------------------------------------------------------------------------------------------------------- perplexity


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
def token_nats(model: Decoder, ids: Tensor, protocol: Protocol, n_batched: int = 2048) -> Tensor:
    """-log p of every token of `ids` (N,) in nats, float64 (N,): each is scored once, the first after a <pad>.

    Windows are read about `n_batched` tokens at a time.
    """
    training, device = model.training, next(model.parameters()).device
    model.eval()
    length, stride = min(protocol.length, len(ids)), min(protocol.stride or protocol.length, len(ids), protocol.length)
    text = torch.cat([torch.tensor([PAD]), ids])
    # Window w predicts ids[start : start + length] from the token before each; it is scored from where the last one
    # ended. The last window is moved back to end with the text, or, where windows share nothing, starts a short one.
    starts = list(range(0, len(ids) - length + 1, stride))
    rest = len(ids) - (starts[-1] + length)
    nats = torch.empty(len(ids), dtype=torch.float64)
    size = max(1, n_batched // length)
    groups = [starts[:1], *(starts[i : i + size] for i in range(1, len(starts), size))]
    for group in groups:  # the first window is scored whole
        n_scored = length if group[0] == 0 else stride
        inputs = torch.stack([text[start : start + length] for start in group])  # (B, T)
        targets = torch.stack([ids[start + length - n_scored : start + length] for start in group])  # (B, S)
        values = model.nats(inputs.to(device), targets.to(device)).cpu().double()
        for start, row in zip(group, values):
            nats[start + length - n_scored : start + length] = row
    if rest:
        begin = len(ids) - rest if protocol.stride is None else len(ids) - length
        row = model.nats(text[None, begin:-1].to(device), ids[None, -rest:].to(device))[0]
        nats[-rest:] = row.cpu().double()
    model.train(training)
    return nats


def perplexity(nats: Tensor | np.ndarray) -> float:
    """exp of the mean of `nats` (N,): summed over the file, divided once, exponentiated last."""
    return math.exp(min(float(nats.sum()) / len(nats), 700.0))


def language_scores(nats: Tensor | np.ndarray, stream: Stream) -> dict[str, float | None]:
    """What is said of one text: perplexity, the same without the <unk> targets, bits per byte, the share of <unk>.

    Bits per byte count, for every <unk>, also the spelling of the word it stands for (BITS_TO_SPELL_A_BYTE), and are
    divided by the bytes of the file, so models with different vocabularies compare.
    """
    nats = torch.as_tensor(nats)
    known = stream.ids != UNK
    spelling = BITS_TO_SPELL_A_BYTE * stream.n_unknown_bytes
    return {
        "perplexity": perplexity(nats),
        "perplexity_without_unk": perplexity(nats[known]) if known.any() else None,
        "bits_per_byte": (float(nats.sum()) / math.log(2) + spelling) / stream.n_bytes,
        "unk_rate": 100 * (~known).double().mean().item(),
    }


def nats_by_place(nats: Tensor, length: int) -> list[float]:
    """Mean nats of the tokens at each place 0 .. length - 1 of windows that do not overlap."""
    places = torch.arange(len(nats)) % length
    sums = torch.zeros(length, dtype=torch.float64).index_add(0, places, nats)
    return (sums / torch.bincount(places, minlength=length).clamp(min=1)).tolist()
