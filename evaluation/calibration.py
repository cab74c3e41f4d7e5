"""Whether a classifier's probabilities mean what they say, and the temperature that corrects them.

Of the rows of which it is 80% sure, 80 in 100 should be right. Networks are usually too sure. Dividing their logits by
a temperature, fitted on rows that they have not learned from, leaves every prediction as it is and makes the
probabilities honest (Guo et al. 2017).
"""

import math
import statistics

import torch
import torch.nn.functional as F
from torch import Tensor

from common.randomness import generator
from evaluation.accuracy import by_group
from evaluation.records import Bin, Reliability

N_BINS = 15  # of equal width, as Guo et al. have them
N_SAMPLES = 1000  # drawn to tell chance from dishonesty
EXTREME = 100.0  # the highest temperature; the lowest is one over it


def logits_of(probabilities: Tensor) -> Tensor:
    """Logits (N, K) that have these probabilities (N, K), none of them minus infinity."""
    return probabilities.double().clamp(min=torch.finfo(torch.float32).tiny).log()


def fitted_temperature(probabilities: Tensor, labels: Tensor) -> float:
    """The temperature by which logits are to be divided so that the `labels` (N,) become likeliest, on average, under
    the `probabilities` (N, K)."""
    from scipy.optimize import minimize_scalar

    logits, end = logits_of(probabilities), math.log(EXTREME)

    def nats(logarithm: float) -> float:
        return float(F.cross_entropy(logits / math.exp(logarithm), labels))

    return math.exp(minimize_scalar(nats, bounds=(-end, end), method="bounded").x)


def relative_temperature(held_out: Tensor, labels: Tensor, learned: Tensor) -> float:
    """The temperature that fits a model's probabilities `held_out` (N, K) to their `labels` (N,), for logits that have
    a spread of 1 over the rows that it has learned, whose probabilities are `learned` (M, K).

    For another model of the same recipe, trained on more rows, multiply it by the spread of that model's logits: two
    models may be right equally often, and one of them much surer of itself.
    """
    return fitted_temperature(held_out, labels) / spread_of_logits(learned)


def spread_of_logits(probabilities: Tensor) -> float:
    """How far the logits of a row lie from their mean, in nats: the root of the mean square over rows and classes, and
    never 0. It is divided by whatever they are divided by."""
    logits = logits_of(probabilities)
    return float((logits - logits.mean(dim=-1, keepdim=True)).square().mean().sqrt().clamp(min=1e-6))


def reliability(probabilities: Tensor, labels: Tensor, seen: Tensor) -> Reliability:
    """How sure a model is of its predictions, and how often it is right: by its `probabilities` (N, K), of rows with
    these `labels` (N,), of which some are `seen` (N,) in training."""
    groups = by_group(seen)
    return Reliability(
        bins=bins(probabilities, labels),
        error={name: calibration_error(bins(probabilities[rows], labels[rows])) for name, rows in groups.items()},
        chance={name: error_by_chance(probabilities[rows]) for name, rows in groups.items()},
    )


def bins(probabilities: Tensor, labels: Tensor) -> list[Bin]:
    """The rows in bins of confidence, the probability of the prediction, as far as there are any: 1/15 is in the first
    of 15. `probabilities` (N, K), `labels` (N,)."""
    confidence, predictions = probabilities.double().max(dim=-1)  # (N,)
    numbers = bin_of(confidence)  # (N,)
    right = (predictions == labels).double()
    return [
        Bin(
            n=int(rows.sum()), confidence=100 * float(confidence[rows].mean()), accuracy=100 * float(right[rows].mean())
        )
        for rows in (numbers == number for number in numbers.unique())
    ]


def bin_of(confidence: Tensor) -> Tensor:
    """The number (N,) of the bin in which a `confidence` (N,) lies."""
    return torch.bucketize(confidence, torch.arange(1, N_BINS, dtype=torch.float64) / N_BINS)


def calibration_error(bins: list[Bin]) -> float | None:
    """How far confidence and accuracy are apart in the bin of a row, in points, on average over rows; None of no rows
    (Guo et al. 2017, equation 5)."""
    n_rows = sum(each.n for each in bins)
    return sum(each.n * abs(each.confidence - each.accuracy) for each in bins) / n_rows if n_rows else None


def error_by_chance(probabilities: Tensor) -> float | None:
    """The calibration error, in points, that honest `probabilities` (N, K) stay below in 19 of 20 samples of so many
    rows: the few of a bin are hardly ever right exactly as often as they should be (Bröcker and Smith 2007). None of no
    rows."""
    confidence, random = probabilities.double().amax(dim=-1), generator(0, "calibration")  # (N,)
    if not len(confidence):
        return None
    numbers, errors = bin_of(confidence), []
    for _ in range(N_SAMPLES):
        right = torch.rand(len(confidence), generator=random, dtype=torch.float64) < confidence  # (N,)
        gaps = torch.bincount(numbers, right.double() - confidence)  # by bin, in rows
        errors.append(100 * float(gaps.abs().sum()) / len(confidence))
    return statistics.quantiles(errors, n=20)[-1]
