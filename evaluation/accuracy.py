"""How often a classifier is right: over all, seen and unseen rows, and by class."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dataset import Labelled
from evaluation.records import ClassScores, Group, GroupAccuracy, Scores
from transformer import Classifier, Vote

PLATEAU_MARGIN = 5.0  # points


@torch.inference_mode()
def class_probabilities(model: Classifier | Vote, data: Labelled, batch_size: int = 64) -> Tensor:
    """The probabilities (N, K) that the model, in eval mode, gives to each row of `data`."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    rows, order = [], data.lengths.argsort(stable=True)  # by length, so that batches may be cut short
    for items in order.split(batch_size):
        ids, lengths, _ = data.batch(items, cut=model.masks_padding)
        rows.append(model(ids.to(device), lengths.to(device)).float().softmax(dim=-1).cpu())
    model.train(training)
    return torch.cat(rows)[order.argsort()]


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


def accuracy_by_group(predictions: Tensor, labels: Tensor, seen: Tensor) -> dict[Group, GroupAccuracy]:
    """n and accuracy, in percent, of all rows, of those whose text stands in the training rows, and of the others.

    All arguments are (N,). The accuracy of no rows is None.
    """
    return {
        name: GroupAccuracy(
            n=int(group.sum()), accuracy=accuracy(predictions[group], labels[group]) if group.any() else None
        )
        for name, group in by_group(seen).items()
    }


def by_group(seen: Tensor) -> dict[Group, Tensor]:
    """Which rows each group has, (N,) bool, of those of which some are `seen` (N,)."""
    return {"all": torch.ones_like(seen), "seen": seen, "unseen": ~seen}


def scores_by_class(predictions: Tensor, labels: Tensor, class_names: Sequence[str]) -> Scores:
    """Precision, recall and F1 of each class, in percent, macro-F1, and the confusion matrix (true class by row).

    predictions and labels: (N,). scikit-learn's: a class with rows that is never claimed has a precision of 0; macro-F1
    is the mean over the classes that occur among labels or predictions. What is of no rows is None: the recall of a
    class without rows, and all of one that is never claimed, either.
    """
    from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

    answers, classes = (labels.numpy(), predictions.numpy()), range(len(class_names))
    by_class = precision_recall_fscore_support(*answers, labels=classes, zero_division=0)
    confusion = confusion_matrix(*answers, labels=classes)
    has_rows, is_claimed = confusion.any(axis=1), confusion.any(axis=0)
    is_defined = {"precision": has_rows | is_claimed, "recall": has_rows, "f1": has_rows | is_claimed}  # each (K,)
    scores = {
        name: [100 * float(value) if defined else None for value, defined in zip(values, is_defined[name])]
        for name, values in zip(is_defined, by_class)
    }
    return Scores(
        classes=[
            ClassScores(name=name, n=int(confusion[i].sum()), **{score: values[i] for score, values in scores.items()})
            for i, name in enumerate(class_names)
        ],
        macro_f1=100 * float(f1_score(*answers, average="macro", zero_division=0)),
        confusion=confusion.tolist(),
    )
