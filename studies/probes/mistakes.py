"""What a classifier says of every test row, as a file, and where it is surest and wrong."""

import csv
import io
from pathlib import Path

from torch import Tensor

from common.files import write_text
from dataset import Data
from evaluation.accuracy import class_probabilities
from studies.answers import Mistake
from training.recipe import Run
from training.runs import Folder
from training.weights import load_model

N_MISTAKES = 5


def surest_mistakes(run: Run, data: Data, folder: Folder) -> list[Mistake]:
    """The test rows whose wrong prediction is likeliest, the worst first; predictions.tsv gets every row."""
    model = load_model(folder.weights(run), "classifier").model
    probabilities = class_probabilities(model, data.test)  # (N, K)
    write_predictions(folder.path / "predictions.tsv", probabilities, data)
    return surest_wrong(probabilities, data)


def write_predictions(path: Path, probabilities: Tensor, data: Data) -> None:
    """Every test row, a line each, with tabs between: its line in test_CLS.tsv, its class, the class predicted, the
    probability of each class, by `probabilities` (N, K), and whether its text stands in the training rows, too. A name
    with a quotation mark stands in quotes, with the mark doubled, as readers of such files expect."""
    names = data.corpus.class_names
    lines = [["row", "label", "prediction", *(f"probability of {name}" for name in names), "seen"]]
    for row, label, shares, seen in zip(data.corpus.test, data.test.labels.tolist(), probabilities, data.seen.tolist()):
        prediction = names[int(shares.argmax())]
        written = [f"{share:.6f}" for share in shares.tolist()]
        lines.append([str(row.line), names[label], prediction, *written, "yes" if seen else "no"])
    table = io.StringIO()
    csv.writer(table, "excel-tab", lineterminator="\n").writerows(lines)
    write_text(path, table.getvalue())


def surest_wrong(probabilities: Tensor, data: Data, most: int = N_MISTAKES) -> list[Mistake]:
    """The test rows whose wrong prediction has the highest of the `probabilities` (N, K), the worst first."""
    names, labels = data.corpus.class_names, data.test.labels
    confidence, predictions = probabilities.max(dim=-1)  # (N,)
    wrong = (predictions != labels).nonzero().flatten()
    worst = wrong[confidence[wrong].argsort(descending=True, stable=True)][:most].tolist()
    return [
        Mistake(
            row=data.corpus.test[i].line,
            label=names[int(labels[i])],
            prediction=names[int(predictions[i])],
            probability=100 * float(confidence[i]),
        )
        for i in worst
    ]
