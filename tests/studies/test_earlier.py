"""Results of an earlier version give the same runs, and what today's statistics say of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from studies.comparisons import Rows, compare
from studies.earlier import read_report
from worlds import MACHINE, made_up, record

from common.files import UserError
from reporting import documents
from studies.claims import judge

NEW = ("machines", "comparisons", "claims", "widths", "labels", "tokens", "commands", "tokenizer")


def earlier() -> dict[str, Any]:
    """The made-up results as they would have been written: one machine, timed chunks, and no run told to be at
    chance."""
    old = {name: value for name, value in made_up().items() if name not in NEW}
    about = old["data"]
    rows = {name: about[f"{name}_rows"] for name in ("train", "test", "seen")}
    old["machine"] = {name: value for name, value in MACHINE.items() if name not in ("dirty", "code")}
    old["data"] = {
        "directory": "the course",
        "fingerprint": about["fingerprint"],
        "built": False,
        "class_names": about["class_names"],
        "rows": rows,
        "tokens": made_up()["tokens"],
    }
    old["class_names"] = about["class_names"]
    old["baselines"]["ngram"] = {"obama": 200.0}
    for timed in old["timing"].values():
        del timed["processor_seconds"]
        timed["seconds"] = {name: [30 * one for one in own] for name, own in timed["seconds"].items()}
    for task in ("classifier", "decoder", "validation"):
        for runs in old[task].values():
            for run in runs:
                run.pop("machine")
                run.pop("stretch_nats", None)
                run.pop("stretch_tokens", None)
                if task != "decoder":
                    run.pop("trained")
                    run.pop("fell_back")
                    run["left_plateau"] = True
    old["comparisons"] = [{"measure": "test accuracy, all", "mcnemar_first_seed": {"p": 1.0}}]
    old["claims"] = []
    return old


def written(folder: Path, results: dict[str, Any]) -> Path:
    path = folder / "results.json"
    path.write_text(json.dumps(results))
    return path


def test_the_runs_are_the_same_and_are_judged_anew(tmp_path: Path) -> None:
    old = earlier()
    largest, stuck = 40.0, old["classifier"]["alibi"][1]
    for runs in old["classifier"].values():
        for run in runs:
            run["epochs"][0]["train_accuracy"] = largest
    stuck["epochs"][-1]["train_accuracy"] = largest + 3
    found = read_report(written(tmp_path, old))
    assert [run.trained for run in found.classifier["alibi"]] == [True, False, True]
    assert found.classifier["alibi"][1].fell_back == any(row["train_accuracy"] > 45 for row in stuck["epochs"])
    assert all(run.trained for name, own in found.classifier.items() if name != "alibi" for run in own)
    assert all(run.trained for own in found.validation.values() for run in own)
    expected = record(made_up())
    for name in ("seeds", "halves", "test_names", "vocabulary_size", "chosen_rate", "extrapolation", "attention"):
        assert getattr(found, name) == getattr(expected, name)
    assert found.widths == ["ff256", "ff100"]
    assert (found.data.folder, found.data.seen_rows) == ("the course", expected.data.seen_rows)
    assert found.machines[0].processor == MACHINE["processor"]
    assert found.timing["decoder"].seconds["alibi"] == pytest.approx(expected.timing["decoder"].seconds["alibi"])
    assert "ngram" not in found.baselines
    assert [run.test for run in found.classifier["none"]] == [run.test for run in expected.classifier["none"]]
    assert found.comparisons == compare(found, Rows([], [], []))
    assert found.claims == judge(found)
    (row,) = found.find(task="classifier", variant="alibi", base="learned", measure="test accuracy", rows="all")
    assert row.items is None  # the class of each row is not known
    assert not found.find(measure="processor time")


def test_results_of_today_are_read_as_they_are(tmp_path: Path) -> None:
    today = record(made_up())
    assert read_report(written(tmp_path, msgspec.to_builtins(today))) == today


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda old: old.update(command="part3"), "of the command 'part3'"),
        (lambda old: old.pop("command"), "of the command None"),
        (lambda old: old.pop("seeds"), "missing required field `seeds`"),
        (lambda old: old["classifier"]["alibi"][0].pop("epochs"), "Expected `array`, got `null`"),
        (lambda old: old["decoder"]["alibi"][0].update(ff_dim="wide"), "`$.decoder[...][0].ff_dim`"),
    ],
)
def test_anything_else_is_refused(damage: Callable[[dict[str, Any]], None], complaint: str, tmp_path: Path) -> None:
    old = earlier()
    damage(old)
    path = written(tmp_path, old)
    with pytest.raises(UserError) as refused:
        read_report(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert complaint in str(refused.value)


def test_a_document_has_a_place_for_them_beside_those_of_the_command(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    path.write_text("<!-- results -->\nkept\n<!-- /results -->\n<!-- results-from -->\n<!-- /results-from -->\n")
    documents.fill_results(path, read_report(written(tmp_path, earlier())), documents.AGAIN_MARK)
    text = path.read_text()
    assert "<!-- results -->\nkept\n<!-- /results -->\n<!-- results-from -->\n## Results on the course\n" in text
    assert "which writes this section" not in text
