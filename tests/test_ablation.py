"""The ablation: every change changes something, and what is compared is the recipe with itself."""

from pathlib import Path

import pytest
import torch

import ablation
import page
import report
from ablation import CHANGES, WHOLE, variants_of
from comparison import paired_difference
from dataset import Data
from experiments import BASELINE_NAMES, NGRAM_NAMES, customise
from runs import Place


@pytest.mark.parametrize("task", CHANGES)
def test_every_change_is_a_recipe_of_its_own(task: ablation.Task) -> None:
    variants = variants_of(task)
    assert next(iter(variants)) == WHOLE
    assert len(set(variants.values())) == len(variants)


def test_the_study_compares_each_change_with_the_recipe(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(task: ablation.Task) -> dict[str, ablation.Recipe]:
        settings = {"n_embd": 8, "block_size": 8, "duration": 2}
        whole, *others = ((name, customise(recipe, **settings)) for name, recipe in variants_of(task).items())
        return dict([whole, *others[:2]])

    monkeypatch.setattr(ablation, "variants_of", small)
    place = Place(tmp_path, torch.device("cpu"))
    results = ablation.ablation((0, 1), data, place, "python main.py ablation", n_workers=1)
    for task in CHANGES:
        whole, *others = (row for row in results["rows"] if row["task"] == task)
        assert (whole["variant"], whole["estimate"]) == (WHOLE, None)
        baselines = BASELINE_NAMES if task == "classifier" else NGRAM_NAMES
        assert [row["variant"] for row in others[2:]] == list(baselines.values())
        for row in others:
            assert len(row["values"]) == 2
        if task == "classifier":
            difference = paired_difference(others[0]["values"], whole["values"]).mean
            assert others[0]["estimate"]["mean"] == pytest.approx(difference)
    assert not list(tmp_path.glob("*.safetensors"))  # of an ablation nobody needs the weights
    text = report.ablation_text(results)
    assert "no spelling of words" in text
    assert "Ablation of the best classifier" in text
    readme = tmp_path / "README.md"
    readme.write_text("<!-- ablation -->\nstale\n<!-- /ablation -->\n")
    page.fill_readme_with_ablation(readme, results)
    assert "stale" not in readme.read_text()
    assert "### Ablation of the best decoder" in readme.read_text()
    again = ablation.ablation((0, 1), data, place, "python main.py ablation", n_workers=1)
    assert again["rows"] == results["rows"]
