"""How often a classifier is right: over all, seen and unseen rows, and by class."""

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor

from dataset import Labelled
from evaluation.ngrams import KneserNey
from evaluation.perplexity import Protocol, predicted_nats
from evaluation.records import ClassScores, Group, GroupAccuracy, Scores
from transformer import Classifier, Decoder, Vote

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


def speaker_probabilities(model: Decoder, ngrams: Sequence[KneserNey], rows: Sequence[Tensor]) -> Tensor:
    """p(speaker | row) (N, K) of each of the rows (n tokens,), under a decoder of K voices, each with the `ngrams` that
    may predict with it: by Bayes' rule, from how likely the row is in each voice and how often each speaks."""
    if model.voices is None:
        raise ValueError("a decoder without voices knows no speakers")
    protocol, nats = Protocol(model.config.block_size), []
    for i in range(len(model.voices.shares)):
        speaker, counts = model.as_speaker(1 + i), ngrams[i] if ngrams else None
        nats.append(torch.stack([predicted_nats(speaker, counts, row, protocol).sum() for row in rows]))
    return (model.voices.shares.cpu().double().log() - torch.stack(nats, dim=1)).softmax(dim=-1)


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    """Percent of `predictions` (N,) that equal `labels` (N,)."""
    return 100 * int((predictions == labels).sum()) / len(labels)


def largest_share(labels: Tensor) -> float:
    """The share of the largest class among `labels` (N,), in percent."""
    return 100 * int(torch.bincount(labels).max()) / len(labels)


def is_above_plateau(train_accuracy: float, labels: Tensor) -> bool:
    """Whether a classifier with this accuracy (percent) on its training rows, whose labels are `labels` (N,), has left
    the plateau on which it knows only the largest class.

    It must get more than that class's share by PLATEAU_MARGIN points, or by a tenth of the points that are left above
    the share, where those are few.
    """
    largest = largest_share(labels)
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

    predictions and labels: (N,). A class with rows that is never claimed has a precision of 0; macro-F1 is the mean
    over the classes that occur among labels or predictions. What is of no rows is None: the recall of a class without
    rows, and all of one that is never claimed, either.
    """
    n_classes = len(class_names)
    confusion = torch.bincount(labels * n_classes + predictions, minlength=n_classes**2).view(n_classes, n_classes)
    counts = zip(class_names, confusion.diag().tolist(), confusion.sum(dim=1).tolist(), confusion.sum(dim=0).tolist())
    classes, f1_scores = [], []
    for name, n_right, n_rows, n_claimed in counts:
        precision = recall = f1 = None
        if n_rows:
            recall = 100 * (n_right / n_rows)
        if n_rows or n_claimed:
            precision = 100 * (n_right / max(n_claimed, 1))
            f1_scores.append(2 * n_right / (n_rows + n_claimed))
            f1 = 100 * f1_scores[-1]
        classes.append(ClassScores(name=name, n=n_rows, precision=precision, recall=recall, f1=f1))
    return Scores(classes=classes, macro_f1=100 * fmean(f1_scores), confusion=confusion.tolist())
