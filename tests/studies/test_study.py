"""The whole way once, with real trainings: of two sentences with the same words the order alone says who said it, so
that a model without positions must be worse. It must come out worse in results, terminal, Markdown and HTML."""

import base64
import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import studies.study
import torch
from studies.report import report
from studies.results import AblationResults
from studies.study import Study
from tiny import classifier_of, decoder_of
from worlds import ABOUT, record, typed

import dataset
import utilities
from common.files import write_bytes
from dataset import Data
from modules.config import TransformerConfig
from reporting import page, terminal
from studies.catalogue.published import CLAIMS, SIZED
from training.recipe import Recipe, TrainingConfig
from training.runs import Folder

TINY = TransformerConfig(n_embd=16, n_layer=1, block_size=8, ff_dim=16)
LEARNING = TrainingConfig(batch_size=20, learning_rate=0.01)
STUDY = Study(
    "report",
    Recipe("classifier", classifier_of(TINY), LEARNING, duration=12),
    Recipe("decoder", decoder_of(replace(TINY, ff_dim=256)), TrainingConfig(batch_size=4), duration=5),
    seeds=(0, 1, 2),
    ff_dims=(256, 100),
    timed_share=0.1,
)
SMALLEST_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def data(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Who says "up" before "down" is the one, who says it after is the other, whatever else they say."""
    folder, draw = tmp_path_factory.mktemp("order"), random.Random(0)

    def rows(n: int) -> list[str]:
        between = [" ".join(draw.choices(["la", "le", "li", "lo", "lu"], k=draw.randint(1, 3))) for _ in range(n)]
        return [line for words in between for line in (f"0\tup {words} down\n", f"1\tdown {words} up\n")]

    train, test = rows(30), rows(15)
    for name, lines in (("train_CLS.tsv", train), ("test_CLS.tsv", test)):
        (folder / name).write_text("".join(lines))
    (folder / "train_LM.txt").write_text("".join(line[2:] for line in train))
    for name, lines in (("one", test[:8]), ("two", test[8:15]), ("three", test[15:])):
        (folder / f"test_LM_{name}.txt").write_text("".join(line[2:] for line in lines))
    return dataset.load_data(folder, block_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("report"), torch.device("cpu"))


def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take seconds: here each is a dot."""
    for name in ("line_figure", "attention_figure", "grid_figure", "confusion_figure", "interval_figure"):
        monkeypatch.setattr(utilities, name, lambda path, *_, **__: write_bytes(path, SMALLEST_PNG))


COMMANDS = {name: f"python main.py {name}" for name in ("part1", "part2", "part3", "report")}


@pytest.fixture(scope="module")
def results(data: Data, folder: Folder) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        draw_nothing(monkeypatch)
        monkeypatch.setattr(studies.study, "RATES", (0.2, 0.3))
        page.write_page(
            report(STUDY, data, folder, "python main.py report --seeds 3", COMMANDS, quick=True, ablation=None),
            folder.path,
        )
    return json.loads((folder.path / "results.json").read_text())


@pytest.fixture(scope="module")
def shown(results: dict[str, Any], folder: Folder) -> dict[str, str]:
    """What a person reads, by medium."""
    files = {name: (folder.path / f"report.{name}").read_text(encoding="utf-8") for name in ("md", "html")}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("COLUMNS", "80")
        return {"terminal": terminal.part3_text(record(results)), **files}


# ------------------------------------------------------------------------------------------------- what was planted


def test_a_model_that_cannot_know_the_order_comes_out_worse(results: dict[str, Any], shown: dict[str, str]) -> None:
    def accuracy(variant: str) -> list[float]:
        return [run["test"]["all"]["accuracy"] for run in results["classifier"][variant]]

    assert accuracy("learned") == [100.0] * 3
    assert accuracy("none") == [50.0] * 3  # of each two rows that differ in their order it gets one
    found = {
        (row["variant"], row["base"], row["measure"], row.get("rows")): row["estimate"]
        for row in results["comparisons"]
        if row["task"] == "classifier"
    }
    loss = found["none", "learned", "test accuracy", "all"]
    assert (loss["mean"], loss["low"], loss["high"]) == (-50.0, -50.0, -50.0)
    cells = ["no positions", *["50.0 ± 0.0"] * 4, "50.0"]
    lost, failed = r"-50\.0 \[.*\]", r"3 of 3 \[43\.9, 100\.0\]"
    for medium, row in (
        ("terminal", r" {2,}".join(map(re.escape, cells[:4])) + ".*"),
        ("terminal", r"no positions .*" + failed),
        ("md", re.escape(f"| {' | '.join(cells)} |") + rf" {lost} \| {failed} \|"),
        (
            "html",
            re.escape('<tr><td class="left">' + '</td><td class="right">'.join(cells)) + rf"</td>.*{failed}</td></tr>",
        ),
    ):
        assert re.search(rf"^{row}$", typed(shown[medium]), flags=re.MULTILINE), medium
        assert re.search(r"learned positions(?:</td><td class=.right.>|\W+)100\.0 ± 0\.0", shown[medium])


def test_what_the_runs_learned_is_what_the_verdicts_say(results: dict[str, Any], shown: dict[str, str]) -> None:
    claims = {one["id"]: one for one in results["claims"]}
    assert list(claims) == [name for name in CLAIMS if name not in SIZED]  # the texts are not the report's
    assert claims["C1"]["verdict"] == "holds"
    (accuracy, change) = (part["estimate"] for part in claims["C1"]["parts"])
    assert (accuracy["mean"], change["mean"]) == (100.0, 0.0)
    assert "**C1: holds.**" not in shown["md"]  # of the quick version, whose verdicts mean nothing
    assert "of 3 runs (" not in claims["C1"]["note"]


def test_variants_run_on_the_same_seeds_and_differ_in_one_thing(results: dict[str, Any]) -> None:
    n_embd, n_positions = 16, 8
    for kind in ("classifier", "decoder"):
        variants = results[kind]
        assert all([run["seed"] for run in runs] == [0, 1, 2] for runs in variants.values())
        learned, none = (variants[name][0]["n_parameters"] for name in ("learned", "none"))
        assert learned - none == n_embd * n_positions  # the table of positions and nothing else
        assert variants["alibi"][0]["n_parameters"] == none
    assert results["classifier"]["learned"] == results["classifier"]["original"]  # the same runs, not run twice
    assert results["classifier"]["learned"] != results["classifier"]["batch-norm-dropout-0.2"]
    wide, narrow = (results["decoder"][name][0] for name in ("ff256", "ff100"))
    assert (wide["ff_dim"], narrow["ff_dim"]) == (256, 100)
    assert wide["n_parameters"] - narrow["n_parameters"] == (256 - 100) * (2 * n_embd + 1)
    n_rows = {name: len(runs[0]["iterations"]) for name, runs in results["decoder"].items()}
    assert n_rows == {"learned": 5, "alibi": 5, "none": 5, "alibi-steep": 5, "ff256": 5, "ff100": 1}


def test_the_rate_is_chosen_on_rows_held_out_of_training(results: dict[str, Any], data: Data) -> None:
    validation, distinct = results["validation"], len({row.text for row in data.corpus.train})
    sizes = [run["test"]["all"]["n"] for runs in validation.values() for run in runs]
    assert all(distinct // 5 <= size <= distinct // 5 + 1 for size in sizes)
    means = {name: sum(run["test"]["all"]["accuracy"] for run in runs) for name, runs in validation.items()}
    assert means[results["chosen_rate"]] == max(means.values())


def test_the_same_tokens_are_scored_at_every_length(results: dict[str, Any]) -> None:
    rows = results["extrapolation"]["learned"][0]
    assert {row["length"] for row in rows} == {8, 16, 32, 64}
    assert all((None in row["perplexity"].values()) == (row["length"] > 8) for row in rows)
    for variant in ("learned", "alibi", "none"):
        for run, rows in zip(results["decoder"][variant], results["extrapolation"][variant]):
            last = run["iterations"][-1]["perplexity"]
            (same,) = (row for row in rows if (row["length"], row["sliding"], row["window"]) == (8, False, None))
            assert same["perplexity"] == pytest.approx({name: last[name] for name in same["perplexity"]})


def test_attention_is_measured_of_the_models_that_were_trained(results: dict[str, Any]) -> None:
    for kind in ("encoder", "decoder"):
        assert len(results["attention"][kind]) == 3
        assert [len(layer) for seed in results["attention"][kind] for layer in seed["distance"]] == [2] * 3  # heads
        distances = [tuple(seed["distance"][0]) for seed in results["attention"][kind]]
        assert len(set(distances)) == 3
    assert min(results["attention"]["encoder"][0]["padding"][0]) > 0
    assert max(map(abs, results["attention"]["decoder"][0]["padding"][0])) < 1e-5


# --------------------------------------------------------------------------------------------------------- the page


def test_the_page_is_written_with_what_it_is_about(
    results: dict[str, Any], shown: dict[str, str], folder: Folder, data: Data
) -> None:
    keys = ("command", "command_line", "quick", "recipe", "seeds", "halves", "ablation", "test_names", "block_size")
    assert [results[key] for key in keys] == [
        *("report", "python main.py report --seeds 3", True, "report", [0, 1, 2], ["alibi", "regularize"], None),
        *(["one", "three", "two"], 8),
    ]
    assert results["data"] == msgspec.to_builtins(data.corpus.about())
    assert results["tokens"]["train"] == len(data.train_stream.ids)
    assert list(results["tokens"]) == ["train", *results["test_names"]]
    kinds = ("classifier", "decoder", "validation")
    distinct = {json.dumps(run) for kind in kinds for runs in results[kind].values() for run in runs}
    assert results["training_seconds"] == pytest.approx(sum(json.loads(run)["train_seconds"] for run in distinct))
    assert results["total_seconds"] > results["training_seconds"] > 0
    pictures = re.findall(r"!\[.*\]\((.*)\)", shown["md"])
    assert all((folder.path / picture).read_bytes() == SMALLEST_PNG for picture in pictures)
    assert len(pictures) == shown["html"].count("<img ") == 18  # with a map less for each model: one layer is the last
    assert "quick version" in shown["html"]
    assert "Ablation" not in shown["html"]


def test_a_second_start_trains_measures_and_times_nothing(
    results: dict[str, Any], data: Data, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    monkeypatch.setattr(studies.study, "RATES", (0.2, 0.3))
    for name in (
        "training.runs.train",
        "studies.probes.timing.loop",
        "studies.probes.lengths.perplexity",
        "studies.probes.attention.batches",
    ):
        monkeypatch.setattr(name, None)
    ablation = AblationResults("ablation", ABOUT, "", [0], [], [], 1.0)
    found = report(STUDY, data, folder, "another", COMMANDS, quick=False, ablation=ablation)
    page.write_page(found, folder.path)
    again = json.loads((folder.path / "results.json").read_text())
    changed = {"command_line": "another", "quick": False, "ablation": msgspec.to_builtins(ablation)}
    changed["total_seconds"] = again["total_seconds"]
    assert again == results | changed
    text = (folder.path / "report.html").read_text()
    assert "quick version" not in text
    assert "Ablation of the best recipe" in text
