"""The commands of the README as a user runs them: what they print, write and refuse, and how they can be stopped."""

import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launch import ROOT, Command, Outcome, group
from tiny import data_said

import main
from speechesdataset.folder import load_corpus

pytestmark = pytest.mark.processes
SMALL = "--n-embd 16 --n-layer 2 --block-size 12 --batch-size 8".split()  # noqa: SIM905
PART1 = ["part1", *SMALL, "--epochs", "8", "--dropout", "0.1"]
PART2 = ["part2", *SMALL, "--iterations", "30", "--dropout", "0.1", "--ff-dims", "24", "16"]
NAMES = {"obama", "hbush", "wbush"}


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> Path:
    """A folder in which part1 and part2 were run, each by its command line, in which out.txt is what they printed."""
    home = tmp_path_factory.mktemp("home")
    started = [
        (arguments[0], subprocess.Popen(command_line(*arguments, "--data-dir", str(data_folder)), cwd=home, **pipes()))
        for arguments in (PART1, PART2)
    ]
    for name, process in started:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        (home / f"{name}.txt").write_text(out)
        (home / f"{name}.err").write_text(err)
    return home


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "main.py"), *arguments]


def pipes() -> dict[str, Any]:
    return {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


def results_of(out: Path) -> Any:
    """What results.json holds, without the times, which differ from run to run."""

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: timeless(entry) for key, entry in value.items() if "seconds" not in key}
        return [timeless(entry) for entry in value] if isinstance(value, list) else value

    return timeless(json.loads((out / "results.json").read_text()))


def files_of(out: Path) -> dict[str, bytes]:
    """Every file of a run, by name, but those in which times stand."""
    names = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in names if path.suffix != ".json"}


# ------------------------------------------------------------------------------------------------------ what is made


def test_part1_prints_and_writes_what_the_contract_says(home: Path) -> None:
    out, printed = home / "runs" / "part1", (home / "part1.txt").read_text()
    results = json.loads((out / "results.json").read_text())
    assert results["command"] == "part1"
    assert (results["recipe"], results["seed"]) == ("report", 0)
    assert results["vocabulary_size"] == 2 + 14 + 12 + 1  # of the tiny data: shared words, own words, full stop
    assert results["n_parameters"] > 0
    assert 0 < results["train_seconds"] < results["total_seconds"]
    assert [row["epoch"] for row in results["epochs"]] == list(range(1, 9))
    assert all({"train_loss", "train_accuracy", "test_accuracy"} < row.keys() for row in results["epochs"])
    for groups in (results["test"], results["baselines"]["majority"], results["baselines"]["tfidf"]):
        assert {name: group["n"] for name, group in groups.items()} == {"all": 24, "seen": 6, "unseen": 18}
        assert all(0 <= group["accuracy"] <= 100 for group in groups.values())
    assert results["test"]["all"]["accuracy"] == results["epochs"][-1]["test_accuracy"]
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [{key: row[key] for key in epoch} for row, epoch in zip(metrics, results["epochs"])] == results["epochs"]
    assert json.loads((out / "config.json").read_text())["settings"]["architecture"]["n_embd"] == 16
    about = data_said(out)
    assert (about["train_rows"], about["test_rows"], about["seen_rows"]) == (60, 24, 6)
    assert load_corpus(Path(about["folder"])).fingerprint == about["fingerprint"]
    assert about["class_names"] == ["Obama", "G. W. Bush", "G. H. W. Bush"]
    assert {path.name for path in (out / "figures").iterdir()} == {
        "figure1_accuracy.png",
        "figure2_encoder_attention_layer1.png",
        "figure3_encoder_attention_layer2.png",
        "confusion.png",
        "reliability.png",
    }
    assert results["calibration"]["temperature"] == 1.0  # of so few rows none can be held out
    assert results["calibration"]["note"] in " ".join(printed.split())
    assert len((out / "predictions.tsv").read_text().splitlines()) == 1 + 24
    for word in ("Table 1", "test accuracy %", "seen", "(6)", "TF-IDF", "largest class", "runs/part1/"):
        assert word in printed


def test_part2_prints_and_writes_what_the_contract_says(home: Path) -> None:
    out, printed = home / "runs" / "part2", (home / "part2.txt").read_text()
    results = json.loads((out / "results.json").read_text())
    assert results["command"] == "part2"
    assert data_said(out) == data_said(home / "runs" / "part1")
    assert [model["ff_dim"] for model in results["models"]] == [24, 16]
    for model in results["models"]:
        assert [row["iteration"] for row in model["iterations"]] == [6, 12, 18, 24, 30]
        assert all(row["perplexity"].keys() == NAMES | {"train"} for row in model["iterations"])
        assert model["iterations"][-1]["perplexity"]["train"] < model["iterations"][0]["perplexity"]["train"]
        assert {name: model["scores"][name]["perplexity"] for name in NAMES} == pytest.approx(
            {name: model["iterations"][-1]["perplexity"][name] for name in NAMES}
        )
    assert results["baselines"]["ngram"].keys() == results["unk_rate"].keys() == NAMES
    assert all(0 < rate < 50 for rate in results["unk_rate"].values())
    assert results["total_seconds"] > sum(model["train_seconds"] for model in results["models"])
    assert {path.name for path in out.glob("*.safetensors")} == {"decoder-ff24.safetensors", "decoder-ff16.safetensors"}
    figures = {path.name.split("_")[0] for path in (out / "figures").iterdir()}
    assert figures == {"figure4", "figure5", "figure6", "figure7"}
    for word in ("Table 2", "Table 3", "hidden size 24", "Kneser-Ney", "bits per byte", "<unk>", "non-overlapping"):
        assert word in printed


TINY_STUDY = ["--epochs", "1", "--iterations", "5", "--workers", "1", "--data-dir"]


def test_without_a_terminal_every_measurement_is_a_line(home: Path) -> None:
    """In a log, or under nohup, a command shows that it lives, and how long it will."""
    lines = (home / "part1.err").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == [f"classifier: epoch {n} of 8" for n in range(1, 9)]
    assert all("test " in line and len(line) <= 80 for line in lines)
    assert all(line.endswith(" left") for line in lines[:-1])
    lines = (home / "part2.err").read_text().splitlines()
    for name in ("decoder-ff24", "decoder-ff16"):
        measured = [line.partition(",")[0] for line in lines if line.startswith(name)]
        assert measured == [f"{name}: iteration {n} of 30" for n in (6, 12, 18, 24, 30)]


@pytest.mark.slow
def test_part3_prints_and_writes_what_the_contract_says(data_folder: Path, tmp_path: Path) -> None:
    outcome = run(tmp_path, "part3", "--alibi", *TINY_STUDY, data_folder)
    assert (outcome.code, complaints(outcome)) == (0, [])
    assert outcome.err.splitlines()[-1].startswith("inference lengths: 4 of 4 done")
    results = json.loads((tmp_path / "runs" / "part3" / "results.json").read_text())
    assert (results["command"], results["recipe"], results["seed"]) == ("part3", "report", 0)
    assert data_said(tmp_path / "runs" / "part3")["folder"] == str(data_folder)
    assert set(results["classifier"]) == {"learned", "alibi", "none"}
    assert set(results["decoder"]) == {"learned", "alibi", "none", "alibi-steep"}
    for (run_of_part1,) in results["classifier"].values():
        assert {"epochs", "test", "n_parameters", "train_seconds"} < run_of_part1.keys()
    for (run_of_part2,) in results["decoder"].values():
        assert [row["iteration"] for row in run_of_part2["iterations"]] == [1, 2, 3, 4, 5]
        assert all(set(row["perplexity"]) == {"train", *NAMES} for row in run_of_part2["iterations"])
    figures = {path.name.split("_")[0] for path in (tmp_path / "runs" / "part3" / "figures").iterdir()}
    assert figures == {"figure8", "figure9", "figure10", "inference", "loss"}
    for words in ("Table 4", "Table 5", "C7 ", "ALiBi, slopes x 8", "One seed gives no intervals"):
        assert words in outcome.out


@pytest.mark.slow
def test_a_report_goes_on_after_a_kill_and_one_that_is_refused_changes_nothing(
    data_folder: Path, tmp_path: Path
) -> None:
    given = ["report", "--seeds", "2", *TINY_STUDY, data_folder, "--out", "page"]
    page = tmp_path / "page"
    command = Command(tmp_path, *given)
    wait_for(page / "runs" / "decoder-learned-seed0.json")
    command.process.kill()
    command.end()
    first = (page / "runs" / "classifier-learned-seed0.json").read_bytes()
    (tmp_path / "README.md").write_text("no marks\n")
    outcome = run(tmp_path, *given, "--docs", "README.md")
    refused(outcome, "README.md: needs the lines <!-- results -->")
    outcome = run(tmp_path, *given)
    assert (outcome.code, complaints(outcome)) == (0, [])
    assert (page / "runs" / "classifier-learned-seed0.json").read_bytes() == first  # with its own time of training
    judged = re.findall(r"^(C\d+) ", outcome.out, flags=re.MULTILINE)
    assert judged == [f"C{number}" for number in range(1, 14)]
    assert "<title>The report, run again</title>" in (page / "report.html").read_text()
    before = {path: path.read_bytes() for path in page.rglob("*") if path.is_file()}
    refused(
        run(tmp_path, *given, "--iterations", "6"), "of another run (--epochs or --iterations is 5 there and 6 here)"
    )
    (tmp_path / "other.json").write_text('{"command": "part1"}')
    refused(run(tmp_path, *given, "--ablation", "other.json"), "not the results of python main.py ablation")
    assert {path: path.read_bytes() for path in page.rglob("*") if path.is_file()} == before


def run(home: Path, *arguments: object, **settings: Any) -> Outcome:
    return Command(home, *arguments, **settings).end()


def test_classify_takes_sentences_as_arguments_or_a_line_each(home: Path) -> None:
    sentences = ["we hope for jobs and health .", "terror", "zyzzyva"]
    given = run(home, "classify", *sentences)
    assert (given.code, given.err) == (0, "")
    lines = given.out.splitlines()
    assert len(lines) == 3
    for line, sentence in zip(lines, sentences):
        name, shares, text, *notes = line.split("\t")
        assert name in ("Obama", "G. W. Bush", "G. H. W. Bush")
        assert shares.startswith(f"{name} ")
        assert sum(float(share.rstrip("%").split()[-1]) for share in shares.split("%")[:-1]) == pytest.approx(
            100, abs=0.2
        )
        assert text == sentence
        assert notes == (["read 1 of 1 tokens, 1 unknown: zyzzyva?"] if sentence == "zyzzyva" else [])
    assert run(home, "classify", stdin="\n\n".join(sentences).encode()) == given


@pytest.mark.parametrize("command", [["classify", "zyzzyva"], ["generate", "zyzzyva"]])
def test_what_answers_at_once_imports_nothing_that_takes_long(home: Path, command: list[str]) -> None:
    slow = {"torch._dynamo", "scipy", "sklearn", "matplotlib"}
    script = f"import sys; from main import main; main({command}); print(sys.modules.keys() & {slow}, file=sys.stderr)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=home, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout
    assert ended.stderr.endswith("set()\n")


@pytest.mark.slow
def test_attention_draws_either_kind_of_model(home: Path) -> None:
    for model, kind in (("part1/classifier", "encoder"), ("part2/decoder-ff16", "decoder")):
        outcome = run(home, "attention", "we hope for jobs", "--model", f"runs/{model}.safetensors", "--out", kind)
        assert (outcome.code, outcome.err) == (0, "")
        *pictures, numbers = (home / path for path in outcome.out.split())
        names = [f"{kind}_attention_layer{layer}.{suffix}" for layer in (1, 2) for suffix in ("png", "svg")]
        assert [path.name for path in pictures] == names
        assert all(path.read_bytes()[:4] in (b"\x89PNG", b"<?xm") for path in pictures)
        with np.load(numbers) as found:
            assert found["weights"].shape == (2, 2, 4, 12 if kind == "encoder" else 4)
            assert found["words"].tolist() == ["we", "hope", "for", "jobs"]
            assert found["not_read"].tolist() == []
            assert found["weights"].sum(axis=-1) == pytest.approx(1.0)
        outcome = run(home, "attention", "we zyzzyva", "--model", f"runs/{model}.safetensors", "--out", kind)
        assert (outcome.code, outcome.err) == (0, "read 2 of 2 tokens, 1 unknown: zyzzyva?\n")


@pytest.mark.slow
def test_explain_names_every_word_with_numbers_and_draws_them(home: Path) -> None:
    outcome = run(home, "explain", "we hope zyzzyva")
    assert (outcome.code, outcome.err) == (0, "read 3 of 3 tokens, 1 unknown: zyzzyva?\n")
    assert outcome.out.count("we hope zyzzyva?") == 3
    assert sum(line.split()[:1] == ["zyzzyva?"] for line in outcome.out.splitlines()) == 2
    assert (home / "runs" / "explain" / "explanation.png").read_bytes()[:4] == b"\x89PNG"
    outcome = run(home, "explain", "we hope zyzzyva", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert np.array(json.loads(outcome.out)["integrated_gradients"]).shape == (3, 3)
    both = "explain takes a sentence, in quotes, or --faithfulness, which takes all test rows"
    refused(run(home, "explain"), both)
    refused(run(home, "explain", "we hope", "--faithfulness"), both)
    refused(run(home, "explain", " "), "the sentence is empty; give at least one word")
    refused(run(home, "explain", "we", "--model", "runs/part2/decoder-ff16.safetensors"), "not a classifier")


@pytest.mark.slow
def test_explanations_are_tested_over_the_test_rows(home: Path, data_folder: Path) -> None:
    given = ["explain", "--faithfulness", "--data-dir", data_folder]
    outcome = run(home, *given)
    assert (outcome.code, outcome.err) == (0, "")
    assert "How much further than without random words" in outcome.out
    found = json.loads((home / "runs" / "explain" / "faithfulness.json").read_text())
    assert found["n_rows"] == {"1": 24, "2": 24, "3": 24, "5": 24}
    assert json.loads(run(home, *given, "--json").out) == found
    assert (home / "runs" / "explain" / "faithfulness.png").exists()


@pytest.mark.slow
def test_knockouts_of_either_kind_of_model(home: Path, data_folder: Path, tmp_path: Path) -> None:
    for model, kind in (("part1/classifier", "classifier"), ("part2/decoder-ff16", "decoder")):
        given = ["knockouts", "--model", f"runs/{model}.safetensors"]
        outcome = run(home, *given, "--data-dir", data_folder)
        assert (outcome.code, outcome.err) == (0, "")
        assert "layer 2, head 1" in outcome.out
        assert len(json.loads((home / "runs" / "knockouts" / f"{kind}.json").read_text())["without"]) == 11
        assert (home / "runs" / "knockouts" / f"{kind}.png").exists()
    for name in ("train_CLS.tsv", "test_CLS.tsv", "train_LM.txt", *(f"test_LM_{name}.txt" for name in NAMES)):
        (tmp_path / name).write_text((data_folder / name).read_text().replace("hope", "hopes"))
    refused(run(home, *given, "--data-dir", tmp_path), "not the data that this model was trained on; name their folder")


@pytest.mark.slow
def test_score_takes_a_text_a_file_or_standard_input(home: Path, data_folder: Path) -> None:
    given = ["score", "--data-dir", data_folder, "--model", "runs/part2/decoder-ff24.safetensors"]
    path = data_folder / "test_LM_obama.txt"
    outcome = run(home, *given, path, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    decoder, trigram = (one["whole"] for one in json.loads(outcome.out)["scored"])
    results = json.loads((home / "runs" / "part2" / "results.json").read_text())
    assert decoder == pytest.approx(results["models"][0]["scores"]["obama"])
    assert trigram == pytest.approx(results["ngram_scores"]["ngram"]["obama"])
    assert run(home, *given, "--json", stdin=path.read_bytes()).out == outcome.out
    shown = run(home, *given, "we hope zyzzyva").out
    assert shown.splitlines()[:2] == ["decoder: we hope zyzzyva?", "trigram: we hope zyzzyva?"]
    refused(run(home, *given, "spech.txt"), "spech.txt: no such file of text; give one, or a text in quotes")
    refused(run(home, *given, " "), "the text is empty; give at least one word")


@pytest.mark.slow
def test_models_of_text_without_spaces_between_words(tmp_path: Path) -> None:
    """With subwords or characters they learn what words cannot."""
    own = ["人民希望和平", "老师喜欢学校"]
    texts = [(number % 2, f"{own[number % 2]}。今天{number}大家。") for number in range(40)]
    for name, rows in (("train_CLS.tsv", texts), ("test_CLS.tsv", texts[::3])):
        (tmp_path / name).write_text("".join(f"{speaker}\t{text}\n" for speaker, text in rows), encoding="utf-8")
    for name in ("train_LM.txt", "test_LM_甲.txt"):
        (tmp_path / name).write_text("".join(f"{text}\n" for _, text in texts), encoding="utf-8")
    where = [*SMALL[:4], "--block-size", "24", "--data-dir", "."]
    for tokenizer, size in (("bpe", ["--vocabulary-size", "300"]), ("character", [])):
        chosen = ["--tokenizer", tokenizer, *size, *where]
        outcome = run(tmp_path, "part1", *chosen, "--epochs", "12", "--out", tokenizer)
        assert outcome.code == 0, outcome.err
        assert "warning" not in outcome.err  # which is for words
        results = json.loads((tmp_path / tokenizer / "results.json").read_text())
        assert (results["tokenizer"], results["test"]["all"]["accuracy"]) == (tokenizer, 100)
        said = run(tmp_path, "classify", texts[0][1], texts[1][1], "--model", f"{tokenizer}/classifier.safetensors")
        assert [line.split("\t")[0] for line in said.out.splitlines()] == ["0", "1"]
    outcome = run(tmp_path, "part2", *where, "--tokenizer", "bpe", "--iterations", "20", "--ff-dims", "16")
    assert outcome.code == 0, outcome.err
    assert outcome.out.index("\nbits per byte ") < outcome.out.index("\nperplexity ")
    assert run(tmp_path, "generate", "人民").out.startswith("人民")
    assert run(tmp_path, "attention", "人民 x", "--model", "runs/part2/decoder-ff16.safetensors").code == 0


@pytest.mark.slow
def test_generate_says_the_same_for_the_same_seed(home: Path) -> None:
    model = ("--model", "runs/part2/decoder-ff24.safetensors", "--n-tokens", 12)
    texts = [run(home, "generate", *prompt, *model) for prompt in (["We hope"], ["We hope"], [], ["hope", "--seed", 1])]
    assert [text.code for text in texts] == [0] * 4
    assert [text.err for text in texts] == ["read 2 of 2 tokens, 1 unknown: We?\n"] * 2 + [""] * 2
    assert texts[0].out.startswith("We? hope ")
    assert texts[0] == texts[1]
    assert texts[3].out.startswith("hope ")
    assert all(len(text.out.split()) > 3 and "<pad>" not in text.out for text in texts)


@pytest.mark.slow
def test_a_decoder_with_voices_speaks_scores_and_classifies(home: Path, data_folder: Path, tmp_path: Path) -> None:
    outcome = run(tmp_path, *PART2[:-1], "--voices", "--data-dir", data_folder)
    assert outcome.code == 0, outcome.err
    assert "perplexity in the voice of, hidden size 24" in outcome.out
    voices = json.loads((tmp_path / "runs" / "part2" / "results.json").read_text())["models"][0]["voices"]
    assert {name: group["n"] for name, group in voices["test"].items()} == {"all": 24, "seen": 6, "unseen": 18}
    assert voices["test"]["all"]["accuracy"] > 60  # each speaker has words of their own
    said = {run(tmp_path, "generate", "we hope", "--as", name).out for name in ("obama", "gwbush", "H. W.")}
    assert len(said) == 3
    scored = json.loads(run(tmp_path, "score", "we hope", "--json", "--data-dir", data_folder).out)["scored"]
    assert [one["name"] for one in scored] == ["decoder", "Obama", "G. W. Bush", "G. H. W. Bush", "trigram"]
    model = ["--model", "runs/part2/decoder-ff24.safetensors"]
    assert run(tmp_path, "classify", "change health jobs schools", *model).out.startswith("Obama\tObama ")
    refused(run(tmp_path, "classify", " ", *model), "the sentence is empty")
    names = "its voices: Obama, G. W. Bush, G. H. W. Bush"
    refused(run(tmp_path, "generate", "we", "--as", "bush"), f"'bush' is more than one of {names}")
    refused(run(home, "generate", "we", "--as", "obama"), "has no voices; `python main.py part2 --voices` trains one")


@pytest.mark.parametrize("command", [[], ["part1"], ["part2"], ["classify"], ["attention"], ["generate"], ["data"]])
def test_every_command_has_help(command: list[str], tmp_path: Path) -> None:
    outcome = run(tmp_path, *command, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert "usage: python main.py" in outcome.out


def test_help_comes_without_the_heavy_imports() -> None:
    code = "import sys, main\ntry: main.main(['--help'])\nfinally: assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)


@pytest.mark.slow
def test_an_earlier_run_is_set_aside_and_never_written_over(home: Path, data_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    short = [*PART1, "--epochs", "1", "--data-dir", data_folder, "--out", "run"]
    for number in (1, 2):
        outcome = run(tmp_path, *short)
        assert outcome.code == 0
        assert outcome.err.splitlines()[0] == f"run: the earlier run that was there is now run.{number}"
    assert (tmp_path / "run.1" / "config.json").read_text() == "{}"
    assert results_of(tmp_path / "run.2") == results_of(tmp_path / "run")


# ------------------------------------------------------------------------------------------------------------ bad use


def complaints(outcome: Outcome) -> list[str]:
    """What stands on standard error besides what is said of runs as they are done."""
    told = r"timing \d+ steps|[\w .-]+: (\d+ of \d+ (done |runs are there already)|(epoch|iteration) \d+ of \d+, )"
    return [line for line in outcome.err.splitlines() if not re.match(told, line)]


@pytest.mark.slow
def test_explore_writes_a_file_and_says_what_it_takes(home: Path, data_folder: Path) -> None:
    given = ["explore", "--data-dir", data_folder]
    outcome = run(home, *given, "we hope", "--export", "page.html")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "The page, for any browser, with or without a network: page.html\n"
    assert "we hope" in (home / "page.html").read_text()
    both = '--export takes a file and sentences: explore --export page.html "We will rebuild."'
    refused(run(home, *given, "we hope"), both)
    refused(run(home, *given, "--export", "page.html"), both)
    refused(run(home, *given, " ", "--export", "page.html"), "there is no text yet; write at least one word")
    refused(run(home, *given, "--port", 70000), "port is 70000; it must be from 1 to 65535")


@pytest.mark.slow
def test_explore_trains_what_it_lacks(tmp_path: Path, data_folder: Path) -> None:
    outcome = run(tmp_path, "explore", "--data-dir", data_folder, "we hope", "--export", "page.html")
    assert outcome.code == 0
    for task in ("classifier", "decoder"):
        assert f"runs: no {task} yet; training the report's" in outcome.err
    assert sorted(path.name for path in (tmp_path / "runs").rglob("*.safetensors")) == [
        "classifier.safetensors",
        "decoder-ff256.safetensors",
    ]
    assert "part1/classifier" in (tmp_path / "page.html").read_text()


def refused(outcome: Outcome, complaint: str, code: int = 2) -> None:
    (said,) = complaints(outcome)
    assert said.startswith("main.py: ")
    assert complaint in said
    assert not {"Traceback", "╭", "│"} & set(outcome.err.split())
    assert (outcome.code, outcome.out) == (code, "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("Part1", "did you mean part1"),
        ("data biuld", "did you mean data build"),
        ("part1 --epoch 3", "part1 has no --epoch; did you mean --epochs"),
        ("part1 --alibi", "part1 has no --alibi; it belongs to part3"),
        ("part1 --seeds 3", "part1 has no --seeds; did you mean --seed"),
        ("attention These virtues give", "quotes"),
        ("part1 --epochs many", "--epochs takes whole numbers, not 'many'"),
        ("part1 --positions rop", "'rop'; did you mean rope"),
        ("part1 --set dropout=0.1 --set norm=pre", "--set is given twice"),
        ("data import", "data import needs --from and --out"),
        ("report --from results.json --seeds 3", "--seeds does nothing with --from"),
        ("report --quick --until-told 20", "--until-told does nothing with --quick"),
        ("explain hope --data-dir x", "--data-dir does nothing without --faithfulness"),
        ("explore hope --export x.html --port 3", "--port does nothing with --export"),
        ("part1 --epochs 0", "epochs is 0; it must be at least 1"),
        ("part1 --tokenizer bpe --vocabulary-size 30", "vocabulary_size is 30; it must be at least 258"),
        ("part1 --vocabulary-size 300", "vocabulary_size does nothing with word tokens"),
        ("part3 --seeds 999999999999999999", "seeds is 999999999999999999; it must be from 1 to 1000"),
        ("part1 --threads 0", "threads is 0; it must be from 1 to 1000"),
        ("part1 --device cuda", "--device cuda: not available"),
        ("part1 --learning-rate 1e30 --data-dir {data}", "training diverged at step"),
        ("part1 --data-dir partial", "partial: test_CLS.tsv, train_LM.txt"),
        ("part1 --data-dir file", "file: is a file"),
        ("part1", "speechesdataset: no such folder; "),  # another working directory
        ("part1 --data-dir {data.name}x", "{data.name}x: no such folder; `python main.py data build"),
        ("report --quick --data-dir {data.parent}", "did you mean {data.parent}/"),
        ("data audit --data-dir {data}x", "{data}x: no such folder; did you mean {data}?"),
        ("part1 --data-dir {data} --out file", "file: cannot be used as a folder"),
        (
            "part1 --resume --data-dir {data} --out {home}/runs/part1",
            "of another run (--n-embd is 16 there and 64 here)",
        ),
        ("report --ablation nowhere.json", "nowhere.json: cannot be read"),
        ("part2 --data-dir {data} --ff-dims 16 16", "ff_dims must be one or more different sizes"),
        ("classify hope --model nowhere.safetensors", "no such model; `python main.py part1` trains a classifier"),
        ("classify hope --model {home}/runs/part2/decoder-ff16.safetensors", "not a classifier"),
        ("generate hope --temperature -1 --model {home}/runs/part2/decoder-ff16.safetensors", "temperature is -1"),
        ("attention hope --out file --model {home}/runs/part2/decoder-ff16.safetensors", "cannot be used as a folder"),
    ],
)
def test_bad_use_is_one_line_and_exit_code_2(
    arguments: str, complaint: str, home: Path, data_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("0\tno model, no folder\n")
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "train_CLS.tsv").write_text("0\tWe work.\n1\tWe rest.\n")
    before = set(tmp_path.rglob("*"))
    places = {"data": data_folder, "home": home}
    refused(run(tmp_path, *arguments.format(**places).split()), complaint.format(**places))
    left = set(tmp_path.rglob("*")) - before - {tmp_path / ".stdin", tmp_path / ".stdout", tmp_path / ".stderr"}
    assert not [path for path in left if path.suffix in (".tsv", ".txt") or path.name.endswith(".lock")]


@pytest.mark.parametrize(
    ("arguments", "stdin", "complaint"),
    [
        (["classify", ""], b"", "the sentence is empty"),
        (["attention", " "], b"", "the sentence is empty"),
        (["classify"], b"\xff\xfe", "not UTF-8"),
        (["classify"], b"", "standard input is empty; give it a line or more, or a text as an argument, in quotes"),
        (["score"], b" \n\n", "standard input is empty; give it a line or more"),
        (["explain"], b"", "explain takes a sentence, in quotes"),
    ],
)
def test_text_without_words_is_one_line_and_exit_code_2(
    arguments: list[str], stdin: bytes, complaint: str, home: Path
) -> None:
    refused(run(home, *arguments, stdin=stdin), complaint)


# ------------------------------------------------------------------------------------------------------- being stopped


def wait_for(path: Path) -> None:
    for _ in range(1200):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(data_folder: Path, tmp_path: Path) -> None:
    arguments = [*PART1, "--data-dir", str(data_folder), "--out", "my run", "--epochs", "100000"]
    command = Command(tmp_path, *arguments)
    wait_for(tmp_path / "my run" / "metrics.jsonl")
    assert command.process.pid is not None
    os.kill(command.process.pid, signal.SIGINT)
    outcome = command.end()
    refused(outcome, "main.py: stopped at step", code=130)
    line = outcome.err.partition("; to go on: python main.py ")[2]
    assert shlex.split(line) == [*arguments, "--resume"]
    assert (tmp_path / "my run" / "runs" / "classifier.checkpoint.safetensors").exists()
    assert not (tmp_path / "my run" / "results.json").exists()


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_reaches_every_process_at_any_moment_and_leaves_no_traceback(
    data_folder: Path, tmp_path: Path
) -> None:
    """Two workers: as they are started, as they import, as they train."""
    for number in range(10):
        out = tmp_path / str(number)
        given = [*PART2, "--iterations", "100000", "--data-dir", str(data_folder), "--out", str(out)]
        process = subprocess.Popen(command_line(*given), cwd=tmp_path, start_new_session=True, **pipes())
        wait_for(out / "config.json")
        time.sleep(number * 0.4)
        os.killpg(process.pid, signal.SIGINT)
        said, err = process.communicate(timeout=60)
        refused(Outcome(process.returncode, said, err), "; to go on: ", code=130)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [PART1, PART2], ids=["part1", "part2"])
def test_a_run_killed_ten_times_ends_bitwise_like_one_never_killed(
    arguments: list[str], home: Path, data_folder: Path, tmp_path: Path
) -> None:
    expected, draw = home / "runs" / arguments[0], random.Random(arguments[0])
    seconds = json.loads((expected / "results.json").read_text())["total_seconds"]
    given = [*arguments, "--data-dir", data_folder]
    for number in range(10):
        command = Command(tmp_path, *given, *(["--resume"] if number else []))
        command.process.join(draw.uniform(0, seconds))
        command.process.kill()
        assert command.end().code in (0, -signal.SIGKILL)
    assert run(tmp_path, *given, "--resume").code == 0
    assert results_of(tmp_path / "runs" / arguments[0]) == results_of(expected)
    assert files_of(tmp_path / "runs" / arguments[0]) == files_of(expected)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(home: Path, data_folder: Path, tmp_path: Path) -> None:
    given = [*PART1, "--data-dir", data_folder]
    refused(run(tmp_path, *given, largest_file=20_000), "nothing was half written", code=1)
    assert [path.name for path in (tmp_path / "runs").rglob("*.safetensors")] == []
    assert [path.name for path in (tmp_path / "runs").rglob(".*")] == []
    assert run(tmp_path, *given, "--resume").code == 0
    assert files_of(tmp_path / "runs" / "part1") == files_of(home / "runs" / "part1")


# -------------------------------------------------------------------------------------------------- several processes


def member(folder: Path, arguments: list[str]) -> None:
    os.chdir(folder)
    sys.argv = ["main.py", *arguments]
    sys.exit(main.main())


@pytest.mark.slow
def test_two_processes_train_like_one_and_write_once(data_folder: Path, tmp_path: Path) -> None:
    arguments = [*PART1, "--dropout", "0", "--data-dir", str(data_folder)]
    assert run(tmp_path, *arguments, "--out", "one").code == 0
    assert group(2, member, tmp_path, [*arguments, "--out", "two"]) == [0, 0]
    one, two = (results_of(tmp_path / name) for name in ("one", "two"))
    losses = [[row["train_loss"] for row in results["epochs"]] for results in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert one["test"] == two["test"]
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", ".stdin", ".stdout", ".stderr"}


def heard_member(folder: Path, arguments: list[str], of_the_second: list[str]) -> None:
    """A member whose standard error is a file of its own."""
    rank = os.environ["RANK"]
    os.dup2(os.open(folder / f"err{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    member(folder, [*arguments, *(of_the_second if rank == "1" else [])])


@pytest.mark.slow
def test_two_processes_warn_once(data_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(data_folder, tmp_path / "data")
    with (tmp_path / "data" / "train_CLS.tsv").open("a", encoding="utf-8") as file:
        file.write("9\ta rare one\n")
    assert group(2, heard_member, tmp_path, [*PART1, "--data-dir", "data"], []) == [0, 0]
    warnings = [(tmp_path / f"err{rank}").read_text().count("warning: ") for rank in (0, 1)]
    assert warnings == [1, 0]


def test_what_two_processes_find_at_the_same_time_is_said_once(data_folder: Path, tmp_path: Path) -> None:
    arguments = [*PART1, "--batch-norm", "--data-dir", str(data_folder)]
    assert group(2, heard_member, tmp_path, arguments, []) == [2, 2]
    first, second = ((tmp_path / f"err{rank}").read_text() for rank in (0, 1))
    assert first.startswith("main.py: batch norm needs each batch in one piece")
    assert (first.count("\n"), second) == (1, "")
