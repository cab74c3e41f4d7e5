"""A temperature for a classifier, from one more model: it learns most of the training rows, and is asked the rest."""

from common.files import UserError
from dataset import Data, without_fold
from evaluation.accuracy import class_probabilities
from evaluation.calibration import reliability, spread
from studies.results import Calibration
from training.recipe import Recipe, Run
from training.records import ClassifierRun
from training.weights import TrainedModel
from transformer import Decoder

FEWEST = 50  # held-out rows that say something about a temperature
ALIKE = 10.0  # points of training accuracy: two models that are further apart have not learned alike


def run_beside(recipe: Recipe, seed: int, data: Data) -> Run | None:
    """The training of the model that is asked for a fold of the training rows; None where these are too few."""
    run = Run("calibration", recipe, seed, fold=0, brief=True)
    try:
        n_rows = len(without_fold(data, recipe.task, 0).test.labels)
    except UserError:
        return None
    return run if n_rows >= FEWEST else None


def calibrate(trained: TrainedModel, record: ClassifierRun, beside: ClassifierRun | None, data: Data) -> Calibration:
    """Set the temperature of a trained classifier, by the record of the model `beside` it."""
    model = trained.model
    if isinstance(model, Decoder):
        raise ValueError("a decoder has no temperature")
    model.temperature.fill_(1.0)
    before = class_probabilities(model, data.test)
    note, temperature, n_rows = why_not(record, beside), 1.0, 0
    if not note and beside and beside.relative_temperature is not None:
        temperature = beside.relative_temperature * spread(class_probabilities(model, data.train))
        n_rows = beside.test["all"].n
    model.temperature.fill_(temperature)
    after = class_probabilities(model, data.test)
    as_trained, calibrated = (
        reliability(probabilities, data.test.labels, data.seen) for probabilities in (before, after)
    )
    return Calibration(temperature, n_rows, note, as_trained, calibrated)


def why_not(record: ClassifierRun, beside: ClassifierRun | None) -> str:
    """Why there is no temperature; nothing where there is one."""
    if beside is None:
        return f"there are too few training rows to hold {FEWEST} of them out"
    if not record.trained:
        return "the classifier is at chance"
    own, other = (run.epochs[-1].train_accuracy for run in (record, beside))
    if abs(own - other) > ALIKE:
        return (
            f"the model that was to tell it has not learned as this one has (training accuracy {other:.1f} and "
            f"{own:.1f}%); another seed may"
        )
    return ""
