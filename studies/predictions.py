"""What a classifier says of every test row, as a file, and where it is surest and wrong."""

from pathlib import Path

from torch import Tensor

from common.files import write_text
from dataset import Data
from studies.results import Mistake

N_MISTAKES = 5


def write_predictions(path: Path, probabilities: Tensor, data: Data) -> None:
    """Every test row, a line each, with tabs between: its line in test_CLS.tsv, its class, the class predicted, the
    probability of each class, by `probabilities` (N, K), and whether its text stands in the training rows, too."""
    names = data.corpus.class_names
    lines = [["row", "label", "prediction", *names, "seen"]]
    for segment, label, own, seen in zip(
        data.corpus.test, data.test.labels.tolist(), probabilities, data.seen.tolist()
    ):
        shares = [f"{share:.6f}" for share in own.tolist()]
        lines.append([str(segment.line), names[label], names[int(own.argmax())], *shares, "yes" if seen else "no"])
    write_text(path, "".join("\t".join(line) + "\n" for line in lines))


def mistakes(probabilities: Tensor, data: Data, most: int = N_MISTAKES) -> list[Mistake]:
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
