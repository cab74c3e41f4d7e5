"""Every test row in a file, and the worst of those that are wrong."""

from pathlib import Path

import torch
from studies.results import Mistake

from dataset import Data
from studies.probes.mistakes import mistakes, write_predictions


def made_up(data: Data) -> torch.Tensor:
    """Every row right with 70%, but for three."""
    probabilities = torch.full((len(data.test.labels), 3), 0.15)
    probabilities[torch.arange(len(data.test.labels)), data.test.labels] = 0.7
    for row, sure in ((4, 0.8), (7, 0.95), (11, 0.6)):
        label = int(data.test.labels[row])
        probabilities[row] = (1 - sure) / 2
        probabilities[row, (label + 1) % 3] = sure
    return probabilities


def test_every_test_row_stands_in_the_file(data: Data, tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.tsv", made_up(data), data)
    head, *lines = [line.split("\t") for line in (tmp_path / "predictions.tsv").read_text().splitlines()]
    names = data.corpus.class_names
    assert head == ["row", "label", "prediction", *names, "seen"]
    assert [int(line[0]) for line in lines] == [row.line for row in data.corpus.test]
    assert [line[1] for line in lines] == [names[label] for label in data.test.labels.tolist()]
    assert [place for place, line in enumerate(lines) if line[1] != line[2]] == [4, 7, 11]
    assert lines[7][3:-1] == [f"{share:.6f}" for share in made_up(data)[7].tolist()]
    assert [line[-1] for line in lines] == ["yes" if seen else "no" for seen in data.seen.tolist()]
    assert {line[-1] for line in lines} == {"yes", "no"}


def test_mistakes_are_the_surest_first(data: Data) -> None:
    found = mistakes(made_up(data), data, most=2)
    names, rows = data.corpus.class_names, data.corpus.test

    def expected(row: int, probability: float) -> Mistake:
        label = int(data.test.labels[row])
        return Mistake(rows[row].line, names[label], names[(label + 1) % 3], probability)

    assert [one.row for one in found] == [rows[7].line, rows[4].line]
    assert [(one.label, one.prediction) for one in found] == [
        (one.label, one.prediction) for one in (expected(7, 95), expected(4, 80))
    ]
    assert [round(one.probability, 3) for one in found] == [95, 80]
    assert len(mistakes(made_up(data), data)) == 3
    right = torch.eye(3)[data.test.labels]
    assert mistakes(right, data) == []
