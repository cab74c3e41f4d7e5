"""The measure command: the better recipe comes out better, in the right direction and size, down to the README."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from studies.measure import TOGETHER, accuracies, perplexities, row_of
from studies.results import MeasuredRow, MeasureResults
from tiny import classifier_of, data_said, decoder_of
from worlds import classifier_run, decoder_run

import main
from dataset import Data
from evaluation.crossed import Effect, Items, crossed
from evaluation.opponents import BASELINE_NAMES, NGRAM_NAMES, language_baselines, language_nats
from evaluation.perplexity import sums_by_stretch
from evaluation.statistics import Estimate, paired_ratio
from modules.config import TransformerConfig
from reporting import documents, tables, terminal
from reporting.table import in_markdown
from speechesdataset.build import presidents
from speechesdataset.folder import DEFAULT_TESTS, About
from studies import measure
from training.recipe import Recipe, Task, TrainingConfig
from training.records import DecoderRun, LanguageScores, Machine
from training.runs import Folder

MINUS = "\N{MINUS SIGN}"
GOOD = TrainingConfig(batch_size=8, learning_rate=1e-2)
BAD = replace(GOOD, learning_rate=1e-9)  # with this one nothing is learned


def planted(best: TrainingConfig, report: TrainingConfig, steps: int = 60) -> dict[str, dict[str, Recipe]]:
    """Two recipes that differ in how they are trained, and in the length of their rows. The good decoder is told of
    unknown words, for every line of the test texts has one."""

    def recipes(block_size: int, training: TrainingConfig) -> dict[str, Recipe]:
        small = TransformerConfig(n_embd=8, n_layer=1, block_size=block_size, ff_dim=8, initialisation="pytorch")
        told: dict[str, Any] = {"unigram_bias": True} if training == GOOD else {}
        return {
            "classifier": Recipe("classifier", classifier_of(small), training, duration=-(-steps // 2)),
            "decoder": Recipe("decoder", decoder_of(small), replace(training, **told), duration=steps),
        }

    return {"report": recipes(8, report), "best": recipes(16, best)}


@pytest.mark.parametrize(("best", "report"), [(GOOD, BAD), (BAD, GOOD)], ids=["better", "worse"])
@pytest.mark.slow
def test_a_recipe_that_is_better_by_construction_comes_out_better(
    best: TrainingConfig, report: TrainingConfig, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "RECIPES", planted(best, report))
    results = measure.measure((0, 1), data, Folder(tmp_path, torch.device("cpu")), "python main.py measure", 1)
    sign = 1 if best == GOOD else -1
    tasks: dict[Task, dict[str, str]] = {"classifier": BASELINE_NAMES, "decoder": NGRAM_NAMES}
    for task, opponents in tasks.items():
        models = tables.measured(results, task)
        assert list(models) == ["best", "report", *opponents]
        assert all(row.estimate is None for row in models["best"].values())
        for name in ("best", "report"):
            runs = getattr(results, task)[name]
            assert [run.seed for run in runs] == [0, 1]
            if task == "classifier":
                assert list(models[name]) == ["all", "seen", "unseen"]
                for group in models[name]:
                    found = [run.test[group].accuracy for run in runs]
                    assert models[name][group].values == pytest.approx(found)
            else:
                assert list(models[name]) == ["hbush", "obama", "wbush", TOGETHER]
                found = [run.iterations[-1].perplexity["obama"] for run in runs]
                assert models[name]["obama"].values == pytest.approx(found)
    points = tables.measured(results, "classifier")["report"]["all"]
    assert points.estimate is not None
    assert points.items is not None
    assert sign * points.estimate.mean > 15
    assert sign * points.items.mean > 15
    ratio = tables.measured(results, "decoder")["report"][TOGETHER].estimate
    assert ratio is not None
    assert ratio.mean < 0.95 if best == GOOD else ratio.mean > 1.05
    assert not list(tmp_path.glob("*.safetensors"))


def test_accuracies_by_hand(data: Data) -> None:
    """Four rows of which the last was seen. The best recipe gets 3 and 4 of them right, the report's 2 and 1."""
    test = replace(data.test, ids=data.test.ids[:4], lengths=data.test.lengths[:4], labels=torch.tensor([0, 1, 2, 0]))
    corpus = replace(data.corpus, test=data.corpus.test[:4])
    four = replace(data, corpus=corpus, test=test, seen=torch.tensor([False, False, False, True]))
    runs = {
        "best": [classifier_run(predictions=found) for found in ([0, 1, 2, 1], [0, 1, 2, 0])],
        "report": [classifier_run(predictions=found) for found in ([0, 2, 1, 0], [0, 0, 0, 1])],
    }
    rows: dict[Any, Any] = {(row.model, row.measure): row for row in accuracies(runs, four)}
    assert {key: row.values for key, row in rows.items() if key[0] in runs} == {
        ("best", "all"): [75.0, 100.0],
        ("best", "seen"): [0.0, 100.0],
        ("best", "unseen"): [100.0, 100.0],
        ("report", "all"): [50.0, 25.0],
        ("report", "seen"): [100.0, 0.0],
        ("report", "unseen"): [pytest.approx(100 / 3)] * 2,
    }
    assert [rows["best", group].n for group in ("all", "seen", "unseen")] == [4, 1, 3]
    assert rows["report", "all"].estimate.mean == pytest.approx((25 + 75) / 2)  # the pairs are seeds
    assert rows["report", "all"].items.mean == pytest.approx((0 + 100 + 100 + 0) / 4)  # the pairs are rows
    assert (rows["report", "all"].seeds.n, rows["report", "all"].items.n) == (2, 4)
    assert rows["report", "all"].estimate.error >= rows["report", "all"].seeds.error
    majority = rows["majority", "all"]  # class 0 is predicted for every row
    assert majority.values == [50.0]
    assert majority.estimate.mean == pytest.approx((25 + 50) / 2)
    assert majority.items.mean == pytest.approx((0 + 100 + 100 + (50 - 100)) / 4)
    none_seen = replace(four, seen=torch.zeros(4, dtype=torch.bool))
    assert {row.measure for row in accuracies(runs, none_seen)} == {"all"}


def test_perplexities_by_hand(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of 100 and 400 are 200 together; the report's recipe has twice as much of everything."""
    monkeypatch.setattr("evaluation.perplexity.STRETCH", 1)  # there are few lines
    streams = dict(list(data.test_streams.items())[:2])
    two, (a, b) = replace(data, test_streams=streams), streams
    tokens = {name: np.array(sums_by_stretch(torch.ones(len(one.ids)), one)) for name, one in streams.items()}

    def run(*values: float) -> DecoderRun:
        found = dict(zip((a, b), values))
        return decoder_run(
            scores={name: LanguageScores(value, None, 1.0, 0.0) for name, value in found.items()},
            stretch_nats={name: (np.log(value) * tokens[name]).tolist() for name, value in found.items()},
            stretch_tokens={name: one.tolist() for name, one in tokens.items()},
        )

    runs = {
        "best": [run(100.0, 400.0)] * 3,
        "report": [run(200.0, 800.0)] * 3,
    }
    rows: dict[Any, Any] = {(row.model, row.measure): row for row in perplexities(runs, two)}
    assert rows["best", TOGETHER].values == pytest.approx([200.0] * 3)
    assert rows["report", TOGETHER].values == pytest.approx([400.0] * 3)
    for measured in (a, b, TOGETHER):
        assert rows["report", measured].estimate.mean == pytest.approx(0.5)  # best / report
    assert rows["report", a].items.low == pytest.approx(0.5)  # every line costs twice as much
    ngram = language_baselines(two)["ngram"][a].perplexity
    assert rows["ngram", a].values == [ngram]
    assert rows["ngram", a].estimate.mean == pytest.approx(100 / ngram)
    nats = np.array(sums_by_stretch(language_nats(two)["ngram"][a], streams[a]))
    alone = crossed(paired_ratio([100.0] * 3, [ngram] * 3), [Items((np.log(100) * tokens[a] - nats)[None], tokens[a])])
    assert rows["ngram", a].items.low == pytest.approx(alone.items.low)  # type: ignore[union-attr]
    assert rows["ngram", TOGETHER].items.n == len(tokens[a]) + len(tokens[b])


@pytest.fixture
def results() -> MeasureResults:
    """Made-up results of two seeds."""

    def estimate(mean: float, low: float, high: float) -> Estimate:
        return Estimate(mean, low, high, 1.0, mean, 2)

    def classifier(model: str, values: list[float], mean: float = 0.0) -> MeasuredRow:
        both, seeds, items = (estimate(mean, mean - half, mean + half) for half in (5, 1, 4))
        return msgspec.structs.replace(row_of("classifier", model, "all", values, Effect(both, seeds, items)), n=450)

    def decoder(model: str, values: list[float], ratio: float = 1.0) -> list[MeasuredRow]:
        rows = {"a": [2 * value for value in values], "b": [value / 2 for value in values], TOGETHER: values}
        return [
            row_of("decoder", model, name, own, Effect(estimate(ratio, ratio - 0.01, ratio + 0.01)))
            for name, own in rows.items()
        ]

    return MeasureResults(
        command="measure",
        command_line="python main.py measure --seeds 2",
        seeds=[0, 1],
        machines=[Machine("0123456789abcdef", False, "c0de", "3.11.9", "2.0", "a processor", 2, 1, 1)],
        data=About("data", 1500, 450, 0, ["Ann", "Bob", "Cy"], "f" * 64),
        rows=[
            classifier("best", [65.0, 67.0]),
            classifier("report", [59.0, 61.0], 6.0),
            classifier("tfidf", [64.0], 2.0),
            classifier("svm", [63.0], 3.0),
            classifier("bayes", [66.5], -0.5),
            classifier("majority", [33.0], 33.0),
            *decoder("best", [100.0, 102.0]),
            *decoder("report", [200.0, 204.0], 0.5),
            *decoder("ngram", [150.0], 0.67),
            *decoder("ngram_unk", [99.0], 1.02),
        ],
        classifier={
            name: [classifier_run(trained=trained) for trained in runs]
            for name, runs in (("best", (True, True)), ("report", (True, False)))
        },
        decoder={},
        total_seconds=600.0,
    )


def test_tables_and_sentences_say_who_is_ahead_of_whom(results: MeasureResults) -> None:
    classifiers, decoders = tables.tables_of_measurement(results)
    header = ["classifier", "all (450)", "best recipe against it", "for other seeds alone", "for other rows alone"]
    assert classifiers.header == header
    assert classifiers.rows[0] == ["the best recipe", "66.0 ± 1.4", None, None, None]
    differences = ["+6.0 [+1.0, +11.0]", "+6.0 [+5.0, +7.0]", "+6.0 [+2.0, +10.0]"]
    assert classifiers.rows[1] == ["the report's recipe", "60.0 ± 1.4", *differences]
    assert classifiers.rows[4][3] == f"{MINUS}0.5 [{MINUS}1.5, +0.5]"
    assert decoders.header[:4] == ["decoder", "a", "b", TOGETHER]
    assert decoders.rows[1] == [
        "the report's recipe", "404.0 ± 5.7", "101.0 ± 1.4", "202.0 ± 2.8",
        f"{MINUS}50.0 [{MINUS}51.0, {MINUS}49.0] %", None, None,
    ]  # fmt: skip
    assert tables.in_a_sentence(results) == [
        "The best classifier: accuracy 66.0 ± 1.4% on all test rows, +6.0 [+1.0, +11.0] points against the report's "
        f"recipe (60.0 ± 1.4%) and {MINUS}0.5 [{MINUS}5.5, +4.5] points against the strongest opponent without a "
        "network, TF-IDF, naive Bayes (66.5%).",
        f"The best decoder: perplexity 101.0 ± 1.4 on all texts, {MINUS}50.0 [{MINUS}51.0, {MINUS}49.0] % against the "
        "report's recipe (202.0 ± 2.8) and +2.0 [+1.0, +3.0] % against the strongest opponent without a network, a "
        "trigram with the same <unk> estimate (99.0).",
        "1 of 2 seeds of the report's classifier ended at chance.",
    ]


def test_rows_that_no_model_has_read_are_what_counts(results: MeasureResults) -> None:
    unseen = [
        msgspec.structs.replace(row, measure="unseen", n=199, values=[value - 30 for value in row.values])
        for row in results.rows
        if row.task == "classifier"
    ]
    more = msgspec.structs.replace(results, rows=[*results.rows, *unseen])
    header = tables.tables_of_measurement(more)[0].header
    assert header == [
        "classifier",
        "all (450)",
        "unseen (199)",
        "best recipe against it (unseen)",
        "for other seeds alone",
        "for other rows alone",
    ]
    assert tables.in_a_sentence(more)[0].startswith("The best classifier: accuracy 36.0 ± 1.4% on unseen test rows")


def test_the_terminal_says_the_same_and_how_long_it_took(results: MeasureResults) -> None:
    text = " ".join(terminal.measure_text(results).split())
    assert text.endswith(" ".join(["", *tables.in_a_sentence(results), "It took 10 minutes."]))


def test_a_document_gets_the_sentences_and_the_tables(results: MeasureResults, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# Orator\n<!-- measure -->\nstale\n<!-- /measure -->\n## More\n")
    documents.fill_measurement(readme, results)
    text = readme.read_text()
    assert "stale" not in text
    assert "Ann, Bob and Cy, 1,500 training rows" in text
    for line in tables.in_a_sentence(results):
        assert f"- {in_markdown(line)}\n" in text
    assert "| TF-IDF, naive Bayes | 66.5 |" in text
    assert "commit 0123456789, PyTorch 2.0, a processor, 1 thread a run; 10 minutes" in text


def test_the_command(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "RECIPES", planted(GOOD, BAD, steps=1))
    monkeypatch.chdir(tmp_path)
    given = ["measure", "--seeds", "2", "--workers", "1", "--data-dir", str(data_folder), "--docs", "README.md"]
    (tmp_path / "README.md").write_text("no marks\n")
    assert main.main(given) == 2
    assert "README.md: needs the lines <!-- measure --> and <!-- /measure -->" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    (tmp_path / "README.md").write_text("<!-- measure -->\n<!-- /measure -->\n")
    assert main.main(given) == 0
    assert len(list((tmp_path / "runs" / "measure" / "runs").glob("*seed?.json"))) == 2 * 2 * 2
    assert data_said(tmp_path / "runs" / "measure")["folder"] == str(data_folder)
    out, text = capsys.readouterr().out, (tmp_path / "README.md").read_text()
    (sentence,) = re.findall(r"^- (The best decoder: .*)$", text, flags=re.MULTILINE)
    assert sentence.replace("&lt;", "<") in " ".join(out.split())
    line = ["python", "main.py", "measure", "--data-dir", str(data_folder), *given[1:5], "--docs", "README.md"]
    assert f"`{shlex.join(line)}`" in text


def test_the_untouched_speakers_follow_from_a_rule() -> None:
    """They are the presidents before and after the default ones, who are not among them."""
    everybody = {who.number: who.slug for who in presidents()}
    default = [number for number, slug in everybody.items() if slug in DEFAULT_TESTS]
    neighbours = {number + step for number in default for step in (-1, 1)} - set(default)
    slugs = [everybody[number] for number in sorted(neighbours)]
    assert slugs == ["reagan", "clinton", "trump-45"]
    text = (Path(__file__).parent.parent.parent / "docs" / "measurement.md").read_text(encoding="utf-8")
    assert f"data build --speakers {' '.join(slugs)} --out neighbours" in text
