"""Every option of every command does something: with another value of it, what it is about differs.

Commands run in this process, but nothing is trained: what would be asked, on which data and in which folder, is looked
at instead. A new option needs an entry in CHANGES, or its test fails.
"""

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

import main
from common.arguments import options_of
from common.files import UserError
from dataset import Data
from speechesdataset import build, importing
from studies import ask, cluster
from studies.question import Study
from training.recipe import settings_of
from training.runs import Folder

DATA = "--data-dir {data}"
GIVEN = {  # what is typed besides the option that is tried
    "part1": f"{DATA} --recipe best",
    "part2": f"{DATA} --recipe best",
    **dict.fromkeys(["part3", "report", "ablation", "measure", "positions", "tokenizers"], DATA),
    "compare": f"{DATA} --vary positions=learned,none",
    "explore": f"{DATA} --runs {{runs}}",
    "classify": "terror --model {classifier}",
    "explain": "terror --model {classifier}",
    "attention": "hope --model {classifier}",
    "knockouts": f"{DATA} --model {{classifier}}",
    "score": f"hope --json {DATA} --model {{decoder}}",
    "generate": "hope --model {decoder}",
    "data build": "",
    "data import": "--from texts --out new",
    "data audit": DATA,
}
# By option, or by command and option: what differs (a key of `observed`; "recipe", that setting of every run and no
# other), and what is typed with one value and with the other.
CHANGES: dict[str, tuple[str, str, str]] = {
    # where, on what, and for how long
    "--data-dir": ("refused", DATA, "--data-dir nowhere"),
    "--out": ("folder", "--out one", "--out other"),
    "--seed": ("seeds", "", "--seed 3"),
    "--device": ("device refused", "--device cpu", "--device cuda"),
    "--threads": ("threads", "", "--threads 2"),
    "--resume": ("kept", "", "--resume"),
    "--recipe": ("recipes", "--recipe report", "--recipe best"),
    "--seeds": ("seeds", "", "--seeds 3"),
    "--until-told": ("looks", "", "--until-told 20"),
    "--workers": ("workers", "--workers 3", "--workers 7"),
    "--cluster": ("refused", "", "--cluster auto"),
    "--docs": ("refused", "", "--docs {data}/train_LM.txt"),
    "--tokenizer": ("tokens", "", "--tokenizer character"),
    "--vocabulary-size": ("tokens", "--tokenizer bpe", "--tokenizer bpe --vocabulary-size 300"),
    "--task": ("recipes", "--task classifier", "--task decoder"),
    "--validate": ("folds", "", "--validate"),
    # settings of a recipe; 0, which equals False, counts as given
    "--positions": ("recipe", "", "--positions none"),
    "--n-embd": ("recipe", "", "--n-embd 8"),
    "--n-head": ("recipe", "", "--n-head 1"),
    "--n-layer": ("recipe", "", "--n-layer 3"),
    "--block-size": ("recipe", "", "--block-size 5"),
    "--dropout": ("recipe", "", "--dropout 0.25"),
    "--batch-size": ("recipe", "", "--batch-size 3"),
    "--learning-rate": ("recipe", "", "--learning-rate 0.5"),
    "part1 --weight-decay": ("recipe", "", "--weight-decay 0.2"),
    "part2 --weight-decay": ("recipe", "", "--weight-decay 0"),
    "--schedule": ("recipe", "", "--schedule cosine"),
    "--warmup": ("recipe", "", "--warmup 0"),
    "--clip": ("recipe", "", "--clip 3"),
    "--precision": ("recipe", "", "--precision bf16"),
    "--pooling": ("recipe", "", "--pooling mean"),
    "--batch-norm": ("recipe", "--recipe report", "--recipe report --batch-norm"),
    "--label-smoothing": ("recipe", "", "--label-smoothing 0.1"),
    "--ff-dim": ("recipe", "", "--ff-dim 7"),
    "--voices": ("recipe", "", "--voices"),
    "--epochs": ("duration", "", "--epochs 3"),
    "--iterations": ("duration", "", "--iterations 3"),
    "--set": ("norm", "--set norm=pre", "--set norm=none"),
    "--ff-dims": ("ff_dim", "--ff-dims 8", "--ff-dims 9"),
    # what one command alone takes
    "--alibi": ("recipes", "", "--alibi"),
    "--regularize": ("recipes", "", "--regularize"),
    "--quick": ("n_rows", "", "--quick"),
    "report --from": ("refused", "", "--from nowhere.json"),
    "--ablation": ("refused", "", "--ablation nowhere.json"),
    "--vary": ("recipes", "--vary n_head=1,2", "--vary n_head=1,4"),
    "--base": ("recipes", "", "--base norm=pre"),
    "--variant": ("recipes", "", "--variant norm=pre"),
    "--measure": ("measured", "", "--measure training-time"),
    "--changes": ("recipes", "--task classifier", "--task classifier --changes 'a constant learning rate'"),
    "--log": ("made", "", "--log log.md"),
    "--sizes": ("tokenizations", "--sizes 300", "--sizes 310"),
    # a trained model
    "--model": ("refused", "--model {classifier}", "--model nowhere.safetensors"),
    "classify --model": ("printed", "--model {classifier}", "--model {classifier1}"),
    "sentences": ("printed", "terror", "budget"),
    "explore --out": ("made", "--out one", "--out other"),
    "--runs": ("folder", "--runs one", "--runs other"),
    "sentence": ("printed", "terror", "budget"),
    "attention sentence": ("maps", "hope", "budget"),
    "--json": ("printed", "", "--json"),
    "--layers": ("made", "", "--layers 2"),
    "text": ("printed", "terror", "budget"),
    "prompt": ("printed", "terror", "budget"),
    "--as": ("refused", "", "--as Obama"),
    "--n-tokens": ("printed", "--n-tokens 4", "--n-tokens 20"),
    "--temperature": ("printed", "", "--temperature 0"),
    "--top-k": ("printed", "", "--top-k 1"),
    "--top-p": ("printed", "", "--top-p 0.001"),
    "generate --seed": ("printed", "", "--seed 3"),
    "explain --out": ("made", "--out one", "--out other"),
    "attention --out": ("made", "--out one", "--out other"),
    "knockouts --out": ("made", "--out one", "--out other"),
    "data audit --out": ("made", "--out one", "--out other"),
    # data, whose making is looked at, not done
    "--speakers": ("refused", "", "--speakers all"),
    "--split": ("refused", "", "--split speech"),
    "--encoding": ("refused", "", "--encoding cp1252"),
    "--from": ("refused", "--from texts", "--from others"),
    **dict.fromkeys(("data build --seed", "data import --seed"), ("refused", "", "--seed 3")),
    **dict.fromkeys(("data build --out", "data import --out"), ("refused", "--out one", "--out other")),
}


class Seen(Exception):
    """What a command was about to do."""


def see_study(study: Study, data: Data, folder: Folder, _: str, **more: Any) -> None:
    """In place of the training: what would be asked."""
    questions = study.questions
    runs = [run for q in questions for run in q.runs(dict.fromkeys(q.variants, 1), study.seeds[0]).values()]
    settings = [settings_of(run.recipe) for run in runs]
    raise Seen(
        {name: [each.get(name) for each in settings] for name in settings[0]}
        | {
            "recipes": settings,
            "seeds": (study.seeds, [run.seed for run in runs]),
            "looks": study.looks(),
            "workers": study.n_workers,
            "folds": [run.fold for run in runs],
            "measured": [q.measured for q in questions],
            "tokenizations": [q.tokenizations for q in questions],
            "tokens": (data.tokenizer.tokenization, len(data.tokenizer)),
            "n_rows": len(data.corpus.train),
            "folder": folder.path,
            "device": folder.device,
            "threads": torch.get_num_threads(),
        }
    )


def refuse(*arguments: object) -> None:
    """In place of what makes data or joins a cluster: says what it was given."""
    raise UserError(f"given {arguments}")


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "ask", see_study)
    monkeypatch.setattr(build, "build", refuse)
    monkeypatch.setattr(importing, "import_folder", refuse)
    monkeypatch.setattr(cluster, "joined_cluster", refuse)


def observed(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """What a command does, run in a folder where one has been run before."""
    earlier = folder / "runs" / words[0] / "config.json"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("{}")
    monkeypatch.chdir(folder)
    capsys.readouterr()
    seen = {}
    try:
        main.run(words)
    except Seen as caught:
        (seen,) = caught.args
    except UserError as error:
        seen = {"refused": str(error)}
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("Next: ")]
    made = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    maps = [path.read_bytes() for path in folder.rglob("*.npz")]
    kept = [name for name in made if name.endswith("config.json")]
    return {"printed": lines, "made": made, "maps": maps, "kept": kept, **seen}


def options() -> list[Any]:
    """Every option and every text of every command."""
    pairs = []
    for name, (command, _) in main.COMMANDS.items():
        named = {field: option for option, field in options_of(command).items()}
        pairs += [(name, named.get(field.name, field.name)) for field in fields(command)]  # type: ignore[arg-type]
    slow = [pytest.mark.slow]  # it draws eight pictures
    return [pytest.param(*pair, marks=slow if pair[0] == "attention" else []) for pair in pairs]


@pytest.mark.usefixtures("stubs")
@pytest.mark.parametrize(("command", "option"), options())
def test_an_option_changes_what_it_is_about(
    command: str,
    option: str,
    data_folder: Path,
    trained_runs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    about, *values = CHANGES.get(f"{command} {option}") or CHANGES[option]
    places = {"data": data_folder, "runs": trained_runs, "decoder": trained_runs / "part2" / "decoder-ff16.safetensors"}
    for name, seed in (("classifier", 0), ("classifier1", 1)):
        places[name] = trained_runs / "part1" / f"classifier-seed{seed}.safetensors"
    results = []
    for number, value in enumerate(values):
        given, changed = (shlex.split(text.format(**places)) for text in (GIVEN.get(command, ""), value))
        if given and not option.startswith("--"):
            given = given[not given[0].startswith("--") :]
        for word in {*given} & {word for word in changed if word.startswith("--")}:
            del given[given.index(word) : given.index(word) + 2]
        words = [*command.split(), *given, *changed]
        results.append(observed(words, tmp_path / str(number), capsys, monkeypatch))
    torch.set_num_threads(1)
    first, second = results
    if about == "recipe":
        about = option[2:].replace("-", "_")
        for one, other in zip(first["recipes"], second["recipes"], strict=True):
            assert {name for name in one if one[name] != other[name]} == {about}
    assert [first.get(name) for name in about.split()] != [second.get(name) for name in about.split()], results
