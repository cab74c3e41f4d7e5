"""A temperature for a classifier, fitted to a second model, which has learned only most of the training rows."""

from typing import Any

from common.files import UserError
from dataset import Data, without_fold
from evaluation.accuracy import class_probabilities
from evaluation.calibration import reliability, spread_of_logits
from studies.answers import Calibration
from training.recipe import Run
from training.records import ClassifierRun
from training.runs import Folder, recorded
from training.weights import load_model, save_model

FEWEST = 50  # held-out rows that say something about a temperature
ALIKE = 10.0  # points of training accuracy: two models that are further apart have not learned alike


def second_run(run: Run, data: Data) -> Run | None:
    """The training of the second model, without a fold of the training rows; None where these are too few."""
    try:
        n_rows = len(without_fold(data, run.recipe.task, 0).test.labels)
    except UserError:
        return None
    return Run("calibration", run.recipe, run.seed, fold=0, brief=True) if n_rows >= FEWEST else None


def temperature(run: Run, data: Data, folder: Folder) -> Calibration:
    """Set the temperature of a trained classifier, by the record of the second model, and save it with the weights."""
    trained = load_model(folder.weights(run), "classifier")
    model = trained.model
    record, needed = recorded(run, data, folder), second_run(run, data)
    second = recorded(needed, data, folder) if needed else None
    model.temperature.fill_(1.0)
    before = class_probabilities(model, data.test)
    note = why_none(record, second)
    value, n_rows = 1.0, 0
    if not note and isinstance(second, ClassifierRun):
        value = (second.relative_temperature or 1.0) * spread_of_logits(class_probabilities(model, data.train))
        n_rows = second.test["all"].n
    model.temperature.fill_(value)
    save_model(folder.weights(run), trained)
    after = class_probabilities(model, data.test)
    as_trained, calibrated = (
        reliability(probabilities, data.test.labels, data.seen) for probabilities in (before, after)
    )
    return Calibration(value, n_rows, note, as_trained, calibrated)


def why_none(record: Any, second: Any) -> str:
    """Why there is no temperature, by the records of both models; nothing where there is one."""
    if second is None:
        return f"there are too few training rows to hold {FEWEST} of them out"
    if not record.trained:
        return "the classifier is at chance"
    accuracy, of_second = (run.epochs[-1].train_accuracy for run in (record, second))
    if abs(accuracy - of_second) > ALIKE:
        return (
            f"the second model, which it is fitted to, has not learned as this one has (training accuracy "
            f"{of_second:.1f} and {accuracy:.1f}%); another seed may"
        )
    return ""
