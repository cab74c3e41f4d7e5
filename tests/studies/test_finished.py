"""Finished runs: seeds are one curve, and what differs is what differs."""

import json
import shutil
from pathlib import Path

from studies.finished import Finished, differences, finished_runs


def test_runs_that_differ_in_their_seed_alone_are_one(trained_runs: Path) -> None:
    (trained_runs / "part1" / "runs" / "else.json").write_text("{}")  # no record
    found = {run.name: run for run in finished_runs(trained_runs)}
    assert list(found) == ["part1/classifier", "part2/decoder-ff16"]
    curve = found["part1/classifier"].curves["test accuracy"]
    folder = trained_runs / "part1" / "runs"
    records = [json.loads((folder / f"classifier-seed{seed}.json").read_text()) for seed in (0, 1)]
    assert curve.x == [1, 2, 3]
    assert curve.runs == [[row["test_accuracy"] for row in record["epochs"]] for record in records]
    decoder = found["part2/decoder-ff16"].curves
    record = json.loads((trained_runs / "part2" / "runs" / "decoder-ff16.json").read_text())
    assert decoder["perplexity, obama"].x == [row["iteration"] for row in record["iterations"]]
    assert decoder["perplexity, obama"].runs == [[row["perplexity"]["obama"] for row in record["iterations"]]]
    assert list(decoder)[-1] == "train loss"


def test_only_settings_that_differ_are_told(trained_runs: Path) -> None:
    classifier, decoder = finished_runs(trained_runs)
    found = differences([classifier, decoder])
    assert found["task"] == ["classifier", "decoder"]
    assert found["duration"] == [3, 20]
    assert "n_embd" not in found
    assert "seed" not in found
    assert found["pooling"] == ["mean", None]
    assert differences([classifier]) == {}


def test_a_setting_that_one_run_lacks_differs() -> None:
    one, other = Finished("one", {"a": 1, "b": 0}, {}), Finished("other", {"b": 0}, {})
    assert differences([one, other]) == {"a": [1, None]}


def test_runs_of_other_settings_are_not_seeds_of_one(trained_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_runs, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "part1" / "runs" / "classifier-seed1.json"
    path.write_text(path.read_text().replace('"learning_rate": 0.001', '"learning_rate": 0.5'))
    first, second, _ = finished_runs(tmp_path)
    assert [len(run.curves["train loss"].runs) for run in (first, second)] == [1, 1]
    assert differences([first, second]) == {"learning_rate": [0.001, 0.5]}
