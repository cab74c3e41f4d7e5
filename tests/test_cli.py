"""The commands of the README as a user runs them: what they print, write and refuse, and how they can be stopped."""

import json
import os
import random
import re
import shlex
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

pytestmark = pytest.mark.processes
SMALL = "--set n_embd=16 n_layer=2 batch_size=8 --block-size 12 --dropout 0.1".split()  # noqa: SIM905
PART1 = ["part1", *SMALL, "--epochs", "8"]
PART2 = ["part2", *SMALL, "--iterations", "30", "--ff-dims", "24", "16"]
TINY = ["--epochs", "1", "--iterations", "5", "--workers", "1"]
DECODER = ["--model", "runs/part2/decoder-ff24.safetensors"]
NAMES = {"obama", "hbush", "wbush"}


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> Path:
    """A folder in which part1 and part2 were run; what they printed is in part1.txt, part2.txt and .err."""
    home = tmp_path_factory.mktemp("home")
    for arguments in (PART1, PART2):
        outcome = run(home, *arguments, "--data-dir", data_folder)
        assert outcome.code == 0, outcome.err
        (home / f"{arguments[0]}.txt").write_text(outcome.out)
        (home / f"{arguments[0]}.err").write_text(outcome.err)
    return home


def run(folder: Path, *arguments: object, **settings: Any) -> Outcome:
    return Command(folder, *arguments, **settings).end()


def succeed(folder: Path, *arguments: object, **settings: Any) -> str:
    """What a command prints that ends well and complains of nothing."""
    outcome = run(folder, *arguments, **settings)
    assert (outcome.code, complaints(outcome)) == (0, [])
    return outcome.out


def refused(outcome: Outcome, *words: str, code: int = 2) -> None:
    """One line, which names what was typed and a remedy, and nothing else."""
    (line,) = complaints(outcome)
    assert line.startswith("main.py: ")
    assert [word for word in words if word not in line] == []
    assert "Traceback" not in outcome.err
    assert (outcome.code, outcome.out) == (code, "")


def complaints(outcome: Outcome) -> list[str]:
    """What stands on standard error besides progress."""
    progress = r"timing \d+ steps|[\w .-]+: (\d+ of \d+ (done |runs are there already)|(epoch|iteration) \d+ of \d+, )"
    return [line for line in outcome.err.splitlines() if not re.match(progress, line)]


def results_in(out: Path) -> Any:
    return json.loads((out / "results.json").read_text())


def timeless(value: Any) -> Any:
    """Results without the times, which differ from run to run."""
    if isinstance(value, dict):
        return {
            key: timeless(entry)
            for key, entry in value.items()
            if "seconds" not in key and key != "checksum" and key != "command_line"
        }
    return [timeless(entry) for entry in value] if isinstance(value, list) else value


def files_of(out: Path) -> dict[str, bytes]:
    """Every file of a run, by name, but those in which times stand."""
    names = sorted(path for path in out.rglob("*") if path.is_file() and path.suffix != ".json")
    return {str(path.relative_to(out)): path.read_bytes() for path in names}


# ------------------------------------------------------------------------------------------------------ what is made
def test_part1_writes_what_the_contract_says(home: Path) -> None:
    out, printed = home / "runs" / "part1", (home / "part1.txt").read_text()
    results = results_in(out)
    assert (results["command"], results["recipe"], results["seed"]) == ("part1", "report", 0)
    assert results["vocabulary_size"] == 2 + 14 + 12 + 1  # of the tiny data: shared words, own words, full stop
    assert 0 < results["train_seconds"] < results["total_seconds"]
    assert [row["epoch"] for row in results["epochs"]] == list(range(1, 9))
    assert all({"train_loss", "train_accuracy", "test_accuracy"} < row.keys() for row in results["epochs"])
    for groups in (results["test"], results["baselines"]["majority"], results["baselines"]["tfidf"]):
        assert {name: group["n"] for name, group in groups.items()} == {"all": 24, "seen": 6, "unseen": 18}
        assert all(0 <= group["accuracy"] <= 100 for group in groups.values())
    assert results["test"]["all"]["accuracy"] == results["epochs"][-1]["test_accuracy"]
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [{key: row[key] for key in epoch} for row, epoch in zip(metrics, results["epochs"])] == results["epochs"]
    (settings,) = json.loads((out / "config.json").read_text())["settings"]["classifier"].values()
    assert (settings["architecture"]["n_embd"], settings["architecture"]["dropout"]) == (16, 0.1)
    assert (data_said(out)["train_rows"], data_said(out)["seen_rows"]) == (60, 6)
    pictures = {path.name.split("_")[0].removesuffix(".png") for path in (out / "figures").iterdir()}
    assert pictures == {"figure1", "figure2", "figure3", "confusion", "reliability"}
    for words in ("Table 1", "seen", "TF-IDF", "Results: runs/part1/; pictures: runs/part1/figures/\nNext: python "):
        assert words in printed


def test_part2_writes_what_the_contract_says(home: Path) -> None:
    out, printed = home / "runs" / "part2", (home / "part2.txt").read_text()
    results = results_in(out)
    assert results["command"] == "part2"
    assert [model["ff_dim"] for model in results["models"]] == [24, 16]
    for model in results["models"]:
        assert [row["iteration"] for row in model["iterations"]] == [6, 12, 18, 24, 30]
        assert all(row["perplexity"].keys() == NAMES | {"train"} for row in model["iterations"])
        assert model["iterations"][-1]["perplexity"]["train"] < model["iterations"][0]["perplexity"]["train"]
    assert results["baselines"]["ngram"].keys() == results["unk_rate"].keys() == NAMES
    assert all(0 < rate < 50 for rate in results["unk_rate"].values())
    assert results["total_seconds"] > sum(model["train_seconds"] for model in results["models"])
    assert {path.name for path in out.glob("*.safetensors")} == {"decoder-ff24.safetensors", "decoder-ff16.safetensors"}
    pictures = {path.name.split("_")[0] for path in (out / "figures").iterdir()}
    assert pictures == {"figure4", "figure5", "figure6", "figure7"}
    assert [words for words in ("Table 2", "Table 3", "bits per byte", "<unk>") if words not in printed] == []


def test_without_a_terminal_every_measurement_is_a_line(home: Path) -> None:
    """In a log, or under nohup, a command shows that it runs, and how long it will."""
    lines = (home / "part1.err").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines[:8]] == [f"classifier: epoch {n} of 8" for n in range(1, 9)]
    assert all("test " in line and len(line) <= 80 for line in lines[:8])
    assert all(line.endswith(" left") for line in lines[:7])


@pytest.mark.slow
def test_part3_writes_what_the_contract_says(data_folder: Path, tmp_path: Path) -> None:
    printed = succeed(tmp_path, "part3", "--alibi", *TINY, "--data-dir", data_folder)
    results = results_in(tmp_path / "runs" / "part3")
    assert (results["command"], results["recipe"], results["seed"]) == ("part3", "report", 0)
    assert set(results["classifier"]) == {"learned", "alibi", "none"}
    assert set(results["decoder"]) == {"learned", "alibi", "none", "alibi-steep"}
    for (classifier,) in results["classifier"].values():
        assert {"epochs", "test", "n_parameters", "train_seconds"} < classifier.keys()
    for (decoder,) in results["decoder"].values():
        assert [row["iteration"] for row in decoder["iterations"]] == [1, 2, 3, 4, 5]
        assert all(set(row["perplexity"]) == {"train", *NAMES} for row in decoder["iterations"])
    pictures = {path.name.split("_")[0] for path in (tmp_path / "runs" / "part3" / "figures").iterdir()}
    assert {"figure8", "figure9", "figure10"} <= pictures
    assert [words for words in ("Table 4", "Table 5", "One seed gives no intervals") if words not in printed] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "questions"),
    [
        ("compare --vary positions=learned,none --epochs 1", {"classifier": 2}),
        ("ablation --task classifier --changes 'a constant learning rate' --log log.md", {"classifier": 2}),
        ("measure --docs docs.md", {"classifier": 2, "decoder": 2}),
        ("positions --iterations 2 3 --docs docs.md", {"decoder": 14}),
        ("tokenizers --task classifier --sizes 300 --docs docs.md", {"classifier": 3}),
    ],
)
def test_a_study_writes_its_answers_and_fills_its_document(
    command: str, questions: dict[str, int], data_folder: Path, tmp_path: Path
) -> None:
    words = shlex.split(command.replace(" --epochs 1", " --base epochs=1"))
    printed = succeed(tmp_path, *words, "--seeds", "2", "--data-dir", data_folder)
    results = results_in(tmp_path / "runs" / words[0])
    assert results["command"] == words[0]
    assert {name: len(results[name]) for name in results["questions"]} == questions
    assert all(len(runs) == 2 for name in questions for runs in results[name].values())
    assert f"Results: {Path('runs', words[0])}/" in printed
    for option in {"--docs", "--log"} & {*words}:
        assert f"From `python main.py {words[0]} " in (tmp_path / words[words.index(option) + 1]).read_text()


@pytest.mark.slow
def test_a_report_goes_on_after_a_kill_and_one_that_is_refused_changes_nothing(
    data_folder: Path, tmp_path: Path
) -> None:
    typed = ["report", "--quick", *TINY, "--data-dir", data_folder, "--out", "page"]
    page = tmp_path / "page"
    command = Command(tmp_path, *typed)
    wait_for(page / "runs" / "decoder-learned-seed0.json")
    command.process.kill()
    command.end()
    first = (page / "runs" / "classifier-learned-seed0.json").read_bytes()
    refused(run(tmp_path, *typed, "--docs", "README.md"), "--docs", "--quick")
    succeed(tmp_path, *typed)
    assert (page / "runs" / "classifier-learned-seed0.json").read_bytes() == first  # with its own time of training
    assert [judgement["id"] for judgement in results_in(page)["claims"]] == [f"C{n}" for n in range(1, 14)]
    assert "<title>" in (page / "report.html").read_text()
    before = {path: path.read_bytes() for path in page.rglob("*") if path.is_file()}
    refused(run(tmp_path, *typed, "--iterations", "6"), "of another run", "5 there and 6 here", "--out")
    assert {path: path.read_bytes() for path in page.rglob("*") if path.is_file()} == before
    assert "The page: again/report.html" in succeed(tmp_path, "report", "--from", "page/results.json", "--out", "again")


# --------------------------------------------------------------------------------------------------- a trained model
def test_classify_takes_sentences_as_arguments_or_a_line_each(home: Path) -> None:
    sentences = ["we hope for jobs and health .", "terror", "zyzzyva"]
    printed = succeed(home, "classify", *sentences)
    for line, sentence in zip(printed.splitlines(), sentences, strict=True):
        name, shares, text, *notes = line.split("\t")
        assert shares.startswith(f"{name} ")
        assert sum(map(float, re.findall(r"([\d.]+)%", shares))) == pytest.approx(100, abs=0.2)
        assert text == sentence
        assert notes == (["read 1 of 1 tokens, 1 unknown: zyzzyva?"] if sentence == "zyzzyva" else [])
    assert succeed(home, "classify", stdin="\n\n".join(sentences).encode()) == printed


@pytest.mark.slow
def test_attention_draws_either_kind_of_model(home: Path) -> None:
    for model, kind, width in (("part1/classifier", "encoder", 12), ("part2/decoder-ff16", "decoder", 4)):
        words = ["attention", "we hope for jobs", "--model", f"runs/{model}.safetensors", "--out", kind]
        *pictures, numbers = (home / path for path in succeed(home, *words).split())
        assert len(pictures) == 4
        assert all(path.read_bytes()[:4] in (b"\x89PNG", b"<?xm") for path in pictures)
        with np.load(numbers) as maps:
            assert maps["weights"].shape == (2, 2, 4, width)
            assert maps["weights"].sum(axis=-1) == pytest.approx(1.0)


@pytest.mark.slow
def test_explain_and_knockouts_and_score_and_generate(home: Path, data_folder: Path) -> None:
    outcome = run(home, "explain", "we hope zyzzyva")
    assert (outcome.code, outcome.err) == (0, "read 3 of 3 tokens, 1 unknown: zyzzyva?\n")
    assert (home / "runs" / "explain" / "explanation.png").read_bytes()[:4] == b"\x89PNG"
    numbers = json.loads(succeed(home, "explain", "we hope", "--json"))
    assert np.array(numbers["integrated_gradients"]).shape == (2, 3)
    assert "layer 2, head 1" in succeed(home, "knockouts", "--data-dir", data_folder)
    succeed(home, "knockouts", "--data-dir", data_folder, *DECODER)
    classifier, decoder = map(json.loads, map(Path.read_text, sorted((home / "runs" / "knockouts").glob("*.json"))))
    assert len(classifier["without"]) == 11
    assert decoder["model"] == DECODER[1]
    path, score = data_folder / "test_LM_obama.txt", ["score", "--json", "--data-dir", data_folder, *DECODER]
    printed = succeed(home, *score, path)
    decoder, trigram = (scorer["whole"] for scorer in json.loads(printed)["scored"])
    results = results_in(home / "runs" / "part2")
    assert decoder["perplexity"] == pytest.approx(results["models"][0]["scores"]["obama"]["perplexity"])
    assert trigram["perplexity"] == pytest.approx(results["baselines"]["ngram"]["obama"])
    assert succeed(home, *score, stdin=path.read_bytes()) == printed
    generate = ["generate", "hope", *DECODER, "--n-tokens", 12, "--seed"]
    texts = [succeed(home, *generate, seed) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    assert all(text.startswith("hope ") and len(text.split()) > 3 and "<pad>" not in text for text in texts)


@pytest.mark.slow
def test_a_decoder_with_voices_speaks_scores_and_classifies(data_folder: Path, tmp_path: Path) -> None:
    printed = succeed(tmp_path, *PART2[:-1], "--voices", "--data-dir", data_folder)
    assert "Perplexity by voice" in printed
    voices = results_in(tmp_path / "runs" / "part2")["models"][0]["voices"]
    assert voices["test"]["all"]["accuracy"] > 60  # each speaker has words of their own
    assert len({succeed(tmp_path, "generate", "we hope", "--as", name) for name in ("obama", "gwbush", "H. W.")}) == 3
    scored = json.loads(succeed(tmp_path, "score", "we hope", "--json", "--data-dir", data_folder))["scored"]
    assert [scorer["name"] for scorer in scored] == ["decoder", "Obama", "G. W. Bush", "G. H. W. Bush", "trigram"]
    assert succeed(tmp_path, "classify", "change health jobs schools", *DECODER).startswith("Obama\tObama ")
    refused(run(tmp_path, "generate", "we", "--as", "bush"), "'bush'", "G. W. Bush, G. H. W. Bush")


@pytest.mark.slow
def test_explore_trains_what_it_lacks_and_writes_a_file(tmp_path: Path, data_folder: Path) -> None:
    outcome = run(tmp_path, "explore", "--data-dir", data_folder)
    assert outcome.code == 0
    assert "The page: runs/explore/orator.html (" in outcome.out
    names = {path.name for path in (tmp_path / "runs").glob("*/*.safetensors")}
    assert names == {"classifier.safetensors", "decoder-ff256.safetensors"}
    assert "</html>" in (tmp_path / "runs" / "explore" / "orator.html").read_text()


@pytest.mark.parametrize("words", [["classify", "hope"], ["generate", "hope"], ["--help"], ["part1", "--help"]])
def test_what_answers_at_once_imports_nothing_that_takes_long(home: Path, words: list[str]) -> None:
    slow = {"torch._dynamo", "scipy", "sklearn", "matplotlib"} | ({"torch", "numpy"} if "--help" in words else set())
    script = f"import sys; from main import main; main({words}); print(sys.modules.keys() & {slow}, file=sys.stderr)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", script], cwd=home, env=environment, capture_output=True, text=True)
    assert ended.stdout
    assert ended.stderr.endswith("set()\n")


# ------------------------------------------------------------------------------------------------------------ bad use
@pytest.mark.parametrize(
    "line",
    [  # what is typed, then words of the answer
        "Part1 | part1",
        "part1 --alibi | part3",
        "part1 --normalize 3 | --set",
        "part1 --set n_layers=3 | n_layer",
        "part1 --set dropout=0.1 --dropout 0.1 | dropout, leave one out",
        "part2 --set ff_dim=8 | --ff-dims",
        "part1 --positions rop | rope",
        "report --from results.json --seeds 3 | --seeds",
        "report --quick --until-told 20 | --until-told",
        "explore hope | hope",
        "explore --model nowhere.safetensors | nowhere.safetensors",
        "part1 --epochs 0 | epochs, at least 1",
        "part1 --tokenizer bpe --vocabulary-size 30 | vocabulary_size, at least 258",
        "compare --vary dropout=0,0.1 --vary n_head=1,2 | --vary is given twice",
        "compare --vary dropout=0,0.1 --until-told 100000 | until_told, from 1 to 1000",
        "part3 --regularize --iterations 5 | --iterations does nothing",
        "generate hope --temperature 0 --top-k 3 --model {home}/runs/part2/decoder-ff16.safetensors | --top-k does",
        "explain hope --json --out elsewhere --model {home}/runs/part1/classifier.safetensors | --out does nothing",
        "part3 --seeds 999999999999999999 | seeds, from 1 to 1000",
        "part1 --threads 0 | threads, from 1 to 1000",
        "part1 --data-dir {data} --device cuda | cuda, --device cpu",
        "part1 --data-dir {data} --learning-rate 1e30 | step, learning-rate",
        "part1 --data-dir partial | partial, test_CLS.tsv",
        "part1 --data-dir file | file",
        "part1 | speechesdataset, no such folder",  # another working directory
        "data audit --data-dir {data}x | did you mean {data}",
        "part1 --data-dir {data} --out file | file, choose another",
        "part1 --resume --data-dir {data} --out {home}/runs/part1 | another run, n_embd",
        "report --ablation nowhere.json | nowhere.json",
        "report --ablation other.json | other.json, ablation",
        "measure --docs file | file, <!-- measure -->",
        "part2 --data-dir {data} --ff-dims 16 16 | ff_dims",
        "classify hope --model nowhere.safetensors | nowhere.safetensors, part1",
        "classify hope --model {home}/runs/part2/decoder-ff16.safetensors | not a classifier",
        "generate hope --temperature -1 --model {home}/runs/part2/decoder-ff16.safetensors | temperature",
        "attention hope --out file --model {home}/runs/part2/decoder-ff16.safetensors | file",
    ],
)
def test_bad_use_is_one_line_that_names_a_remedy(line: str, home: Path, data_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("0\tno model, no folder\n")
    (tmp_path / "other.json").write_text('{"command": "part1"}')
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "train_CLS.tsv").write_text("0\tWe work.\n1\tWe rest.\n")
    typed, _, words = line.format(data=data_folder, home=home).partition(" | ")
    refused(run(tmp_path, *typed.split()), *words.split(", "))
    assert list(tmp_path.rglob("*.lock")) == []
    assert [path.name for path in tmp_path.rglob("*.tsv")] == ["train_CLS.tsv"]


@pytest.mark.parametrize(
    ("command", "stdin", "word"),
    [("classify", b"\xff\xfe", "UTF-8"), ("classify", b"", "empty"), ("score", b" \n\n", "empty")],
)
def test_input_without_words_is_refused(command: str, stdin: bytes, word: str, home: Path) -> None:
    refused(run(home, command, stdin=stdin), word)
    refused(run(home, "classify", " "), "the sentence is empty")


# ------------------------------------------------------------------------------------------------------- being stopped
def wait_for(path: Path) -> None:
    for _ in range(2400):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


@pytest.mark.slow
def test_ctrl_c_saves_and_prints_the_line_to_go_on_with_twice(data_folder: Path, tmp_path: Path) -> None:
    typed = [*PART1, "--data-dir", str(data_folder), "--out", "my run", "--epochs", "100000"]
    for words in (typed, [*typed, "--resume"]):
        command = Command(tmp_path, *words)
        wait_for(tmp_path / "my run" / "metrics.jsonl")
        assert command.process.pid is not None
        os.kill(command.process.pid, signal.SIGINT)
        outcome = command.end()
        refused(outcome, "stopped at step", code=130)
        assert shlex.split(outcome.err.partition("; to go on: python main.py ")[2]) == [*typed, "--resume"]
        assert (tmp_path / "my run" / "runs" / "classifier.checkpoint.safetensors").exists()
        assert not (tmp_path / "my run" / "results.json").exists()
        (tmp_path / "my run" / "metrics.jsonl").unlink()  # written again as training goes on


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 1, 3])  # workers as they are started, as they import, as they train
def test_ctrl_c_in_a_terminal_reaches_every_process(seconds: float, data_folder: Path, tmp_path: Path) -> None:
    typed = [*PART2, "--iterations", "100000", "--data-dir", str(data_folder), "--out", "out"]
    program, pipe = [sys.executable, str(ROOT / "main.py")], subprocess.PIPE
    process = subprocess.Popen([*program, *typed], cwd=tmp_path, start_new_session=True, stdout=pipe, stderr=pipe)
    wait_for(tmp_path / "out" / "config.json")
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    refused(Outcome(process.returncode, out.decode(), err.decode()), "; to go on: ", code=130)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [PART1, PART2], ids=["part1", "part2"])
def test_a_run_killed_five_times_ends_bitwise_like_one_never_killed(
    arguments: list[str], home: Path, data_folder: Path, tmp_path: Path
) -> None:
    expected, draw = home / "runs" / arguments[0], random.Random(arguments[0])
    typed = [*arguments, "--data-dir", data_folder]
    for number in range(5):
        command = Command(tmp_path, *typed, *(["--resume"] if number else []))
        command.process.join(draw.uniform(0, results_in(expected)["total_seconds"]))
        command.process.kill()
        assert command.end().code in (0, -signal.SIGKILL)
    assert run(tmp_path, *typed, "--resume").code == 0
    assert timeless(results_in(tmp_path / "runs" / arguments[0])) == timeless(results_in(expected))
    assert files_of(tmp_path / "runs" / arguments[0]) == files_of(expected)


# -------------------------------------------------------------------------------------------------- several processes
def member(folder: Path, arguments: list[str]) -> None:
    """One of several processes; its standard error is a file."""
    os.chdir(folder)
    os.dup2(os.open(f"err{os.environ['RANK']}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = ["main.py", *arguments]
    sys.exit(main.main())


@pytest.mark.slow
def test_two_processes_train_like_one_and_write_once(data_folder: Path, tmp_path: Path) -> None:
    typed = [*PART1, "--dropout", "0", "--data-dir", str(data_folder), "--out"]
    assert run(tmp_path, *typed, "alone").code == 0
    assert group(2, member, tmp_path, [*typed, "together"]) == [0, 0]
    alone, together = (results_in(tmp_path / name) for name in ("alone", "together"))
    losses = [[row["train_loss"] for row in results["epochs"]] for results in (alone, together)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert alone["test"] == together["test"]
    assert (tmp_path / "err1").read_text() == ""
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"alone", "together"}
    assert group(2, member, tmp_path, [*typed[:2], "batch_norm=true", *typed[2:], "neither"]) == [2, 2]
    first, second = ((tmp_path / f"err{rank}").read_text() for rank in (0, 1))
    assert (first.count("\n"), second) == (1, "")
    assert "batch norm" in first
