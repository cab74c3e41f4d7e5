"""How often a classifier is right: over all, seen and unseen rows, and by class."""

from typing import Any

import torch
from torch import Tensor

from dataset import Labelled
from modules.vote import Vote
from transformer import Classifier

PLATEAU_MARGIN = 5.0  # points


@torch.inference_mode()
def class_probabilities(model: Classifier | Vote, data: Labelled, batch_size: int = 64) -> Tensor:
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
