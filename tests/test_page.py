"""The report command on tiny data: the page holds what it must, needs nothing from outside, trains nothing twice."""

import base64
import html.parser
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import page
import tables
from dataset import Data, Segment, sample, validation_split
from exploration import Study
from files import UserError
from page import fill_readme, report
from runs import Place, Recipe, perform
from training import TrainingConfig
from transformer import TransformerConfig

TINY = TransformerConfig(0, n_embd=8, n_layer=2, block_size=8, ff_dim=256)
STUDY = Study(
    "report",
    Recipe("classifier", TINY, TrainingConfig(batch_size=30), duration=2),
    Recipe("decoder", TINY, TrainingConfig(batch_size=2), duration=5),
    seeds=(0, 1),
    ff_dims=(256, 100),
    timed_share=0.5,
)
VOID = {"meta", "img", "br", "hr", "link", "input"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("report"), torch.device("cpu"))


@pytest.fixture(scope="module")
def results(data: Data, place: Place) -> dict[str, Any]:
    ablation = place.out / "ablation.json"
    estimate = {"mean": -2.0, "low": -3.0, "high": -1.0}
    row = {"task": "classifier", "measure": "validation accuracy, %", "unit": "points"}
    rows = [
        row | {"variant": "the recipe", "values": [62.0, 62.0], "estimate": None},
        row | {"variant": "a <b>bold</b> idea", "values": [59.0, 61.0], "estimate": estimate},
    ]
    found = {"command": "ablation", "seeds": [0, 1], "rows": rows, "machines": []}
    ablation.write_text(json.dumps(found))
    return report(
        STUDY, data, place, "python main.py report --seeds 2", quick=True, ablation=page.read_ablation(ablation)
    )


@pytest.fixture(scope="module")
def written(results: dict[str, Any], place: Place) -> str:
    return (place.out / "report.html").read_text(encoding="utf-8")


class Reader(html.parser.HTMLParser):
    """Checks that tags close in order, and keeps what points elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_from_outside(written: str) -> None:
    reader = Reader()
    reader.feed(written)
    assert reader.open == []
    anchors = {link for link in reader.links if link.startswith("#")}
    assert all(f'id="{anchor[1:]}"' in written for anchor in anchors)
    pictures = [link for link in reader.links if link not in anchors]
    assert len(pictures) >= 15
    for picture in pictures:
        assert picture.startswith("data:image/png;base64,")
        assert base64.b64decode(picture.split(",")[1], validate=True).startswith(b"\x89PNG")
    assert not re.search(r"https?:|@import|<script|url\(", written)


def test_the_page_has_every_claim_table_and_figure_of_the_report(results: dict[str, Any], written: str) -> None:
    assert [one["id"] for one in results["claims"]] == [f"C{n}" for n in range(1, 14)]
    for text in (
        *(one["claim"].replace("'", "&#39;") for one in results["claims"]),
        *(f"Table {n}:" for n in range(1, 6)),
        *(f"Figure {n}. " for n in range(1, 12)),
        *(
            "TF-IDF",
            "trigram",
            "largest class",
            "quick version",
            "Ablation of the best recipe",
            results["data"]["directory"],
        ),
        *("87.8", "25.31", "31.55", "89.67"),  # published
        "a &lt;b&gt;bold&lt;/b&gt; idea",
    ):
        assert text in written, text


def test_markdown_says_the_same(results: dict[str, Any], place: Place) -> None:
    text = (place.out / "report.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[.*\]\((.*)\)", text)
    assert len(pictures) >= 15
    assert all((place.out / picture).is_file() for picture in pictures)
    assert all(f"**{one['id']}: {one['verdict']}.**" in text for one in results["claims"])
    for rows in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):  # as many cells in every row of a table
        assert len({line.replace("\\|", "").count("|") for line in rows.splitlines()}) == 1


def test_attention_is_measured_over_the_test_set(results: dict[str, Any]) -> None:
    for kind in ("encoder", "decoder"):
        for seed in results["attention"][kind]:
            assert torch.tensor(seed["distance"]).shape == (2, 2)  # layers, heads
            assert all(0 < value < 1.5 for layer in seed["relative_distance"] for value in layer)
    padding = torch.tensor(results["attention"]["encoder"][0]["padding"])
    assert (padding >= 0).all()
    assert (padding < 1).all()
    assert torch.tensor(results["attention"]["decoder"][0]["padding"]).abs().max() < 1e-5


def test_a_second_start_trains_and_times_nothing(
    results: dict[str, Any], data: Data, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("runs.train", "exploration.train", "exploration.perplexity", "page.batches"):
        monkeypatch.setattr(name, None)
    again = report(STUDY, data, place, "python main.py report", quick=False, ablation=None)
    same = ("claims", "comparisons", "attention", "timing", "extrapolation", "training_seconds")
    assert {key: json.loads(json.dumps(again[key])) for key in same} == json.loads(
        json.dumps({key: results[key] for key in same})
    )
    assert again["ablation"] is None
    text = (place.out / "report.html").read_text(encoding="utf-8")
    assert "quick version" not in text
    assert "Ablation" not in text


def test_readme_gets_the_tables_between_its_marks(results: dict[str, Any], tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    start, end = f"<!-- {page.RESULTS_MARK} -->", f"<!-- /{page.RESULTS_MARK} -->"
    readme.write_text(f"before\n{start}\nstale\n{end}\nafter\n")
    fill_readme(readme, results)
    fill_readme(readme, results)
    text = readme.read_text()
    assert text.startswith(f"before\n{start}\n")
    assert text.endswith(f"{end}\nafter\n")
    assert "stale" not in text
    assert text.count("python main.py report --seeds 2") == 1
    assert "C13" in text
    readme.write_text("no marks")
    with pytest.raises(UserError, match="needs the lines"):
        fill_readme(readme, results)
    assert readme.read_text() == "no marks"


def test_another_file_is_not_taken_for_an_ablation(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"command": "report"}')
    with pytest.raises(UserError, match="not the results of python"):
        page.read_ablation(tmp_path / "results.json")


def test_an_ablation_that_was_measured_otherwise_is_refused(place: Place, tmp_path: Path) -> None:
    """Earlier versions measured the decoder on the test texts: the note below the table would say what is not so."""
    found = json.loads((place.out / "ablation.json").read_text())
    found["rows"] = [row | {"task": "decoder", "measure": "perplexity"} for row in found["rows"]]
    (tmp_path / "old.json").write_text(json.dumps(found))
    with pytest.raises(UserError, match=r"old\.json: of an earlier version, which measured otherwise"):
        page.read_ablation(tmp_path / "old.json")


def test_a_page_of_many_speakers_stays_readable(results: dict[str, Any], data: Data, place: Place) -> None:
    names = [f"president{number:02d}" for number in range(45)]
    many = {name: 100.0 + number for number, name in enumerate(names)}
    assert tables.shown_texts({"baselines": {"ngram": many}}) == ["train", *(names[i] for i in (0, 11, 22, 33, 44))]
    claim = results["claims"][0] | {"parts": results["claims"][0]["parts"] * 20}
    text = page.html(results | {"claims": [claim]}, [])
    assert f"{40 - tables.MOST_PARTS} more" in text


def test_numbers_are_written_as_people_write_them() -> None:
    assert tables.number(-1234.56) == "\N{MINUS SIGN}1,234.6"
    assert tables.spread([1.0, 3.0]) == "2.0 ± 1.4"
    assert tables.spread([2.0]) == "2.0"
    assert tables.effect({"mean": 0.86, "low": 0.85, "high": 0.871}, "ratio") == (
        "\N{MINUS SIGN}14.0 [\N{MINUS SIGN}15.0, \N{MINUS SIGN}12.9] %"
    )
    assert tables.effect({"mean": 2.0, "low": None, "high": None}, "points") == "+2.0 points"


def test_a_validation_split_holds_no_test_row_and_shares_no_text(data: Data) -> None:
    rows = data.corpus.train
    repeated = [*rows, *(Segment(row.label, f" {row.text}  ", row.line) for row in rows[:20])]
    order = torch.tensor([*range(len(rows)), *range(20)])
    ids, lengths, labels = data.train.batch(order)
    train = replace(data.train, ids=ids, lengths=lengths, labels=labels)
    several = replace(data, corpus=replace(data.corpus, train=repeated), train=train)
    splits = [validation_split(several, fold) for fold in range(5)]
    held_out = [row.line for split in splits for row in split.corpus.test]
    assert sorted(held_out) == sorted({row.line for row in rows})  # each distinct row once
    for split in splits:
        texts = [{row.text.strip() for row in part} for part in (split.corpus.train, split.corpus.test)]
        assert not texts[0] & texts[1]
        assert len(split.test.labels) == len(split.corpus.test) == len(split.seen)
        assert [data.corpus.labels[i] for i in split.test.labels.tolist()] == [row.label for row in split.corpus.test]
    assert len({split.corpus.fingerprint for split in splits} | {data.corpus.fingerprint}) == 6
    assert validation_split(data, 6).corpus.fingerprint == validation_split(data, 1).corpus.fingerprint


def test_a_sample_has_every_class_and_a_name_of_its_own(data: Data) -> None:
    small = sample(data.corpus, 3)
    assert [row.label for row in small.train] == [label for label in data.corpus.labels for _ in range(7)]  # of 20 each
    assert len(small.train_text) == len(data.corpus.train_text) // 3
    assert all(small.test_texts.values())
    assert small.fingerprint != data.corpus.fingerprint


def test_a_run_on_a_fold_measures_the_fold_and_saves_no_weights(data: Data, tmp_path: Path) -> None:
    place = Place(tmp_path, torch.device("cpu"))
    run = page.Run("validation", STUDY.classifier, seed=0, fold=2)
    assert len(perform(run, data, place)["predictions"]) == len(validation_split(data, 2).test.labels)
    assert not place.weights(run).exists()
