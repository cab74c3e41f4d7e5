"""Every option of every command does what it is about, and, where a recipe's setting is meant, nothing else.

What trains is not asked: of these commands it is compared what their study and their folder would be.
"""

import contextlib
import itertools
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from tiny import small_folder

import dataset
import main
from commands.options import Common
from studies.question import Study
from training.recipe import settings_of
from training.runs import Folder
from training.weights import load_model, save_model
from transformer import Decoder

Seen = dict[str, object]  # what a command does, by what it is about
Entry = tuple[str, str]  # lines of options, each of which does something else; what they change, ... if more may change

TRAINING: dict[str, Entry] = {  # of every command that trains
    "data_dir": ("| --data-dir a", "data"),
    "out": ("| --out a", "out"),
    "seed": ("| --seed 3", "seeds"),
    "device": ("| --device cpu", "device"),
    "threads": ("| --threads 2", "threads ..."),
    "resume": ("| --resume", "resume"),
    "recipe": ("| --recipe best", "recipe beta2 ..."),
    "tokenizer": ("| --tokenizer character", "tokens"),
    "vocabulary_size": ("--tokenizer bpe | --tokenizer bpe --vocabulary-size 300", "tokens"),
    "seeds": ("| --seeds 2", "seeds"),
    "until_told": ("| --until-told 6", "looks"),
    "workers": ("--workers 3 | --workers 4", "workers"),
    "cluster": ("| --cluster local", "cluster on_cluster"),
    "docs": ("| --docs a", "docs marks"),
}
OWN: dict[str, dict[str, Entry]] = {
    "part1": {
        **{
            name: (f"--recipe best | --recipe best --{name.replace('_', '-')} {value}", name)  # 0 is a value, too
            for name, value in (
                *(("positions", "t5"), ("n_embd", 32), ("n_head", 1), ("n_layer", 3), ("dropout", 0.25), ("warmup", 0)),
                *(
                    ("batch_size", 3),
                    ("learning_rate", 0.5),
                    ("weight_decay", 0.25),
                    ("schedule", "constant"),
                    ("clip", 3),
                ),
                *(("label_smoothing", 0), ("pooling", "mean-max"), ("ff_dim", 7)),
            )
        },
        "precision": ("| --precision bf16", "precision"),
        "block_size": ("| --block-size 8", "block_size blocks"),
        "given": ("| --set head_dim=0", "head_dim"),
        "epochs": ("| --epochs 3", "duration"),
        "batch_norm": ("| --batch-norm", "batch_norm"),
    },
    "part3": {"alibi": ("| --alibi", "variants ..."), "regularize": ("| --regularize | --alibi", "variants ...")},
    "report": {
        "quick": ("| --quick", "share seeds duration out extra"),
        "source": ("| --from a", "read ..."),
        "ablation": ("| --ablation a", "read extra"),
    },
    "compare": {
        "task": ("| --task decoder", "measured ..."),
        "vary": ("--vary dropout=0,0.2 | --vary dropout=0,0.3", "variants dropout"),
        "base": ("| --base n_layer=2", "n_layer variants"),
        "variant": ("--variant n_layer=2 | --variant n_layer=3", "variants n_layer"),
        "measure": ("| --measure macro-f1", "measured"),
        "validate": ("| --validate", "on_folds ..."),
    },
    "ablation": {
        "task": ("| --task classifier", "variants ..."),
        "changes": ("| --changes 'no positions'", "variants ..."),
        "log": ("| --log log.md", "log"),
    },
    "measure": {},
    "positions": {"iterations": ("| --iterations 2 3", "duration variants ...")},
    "tokenizers": {
        "task": ("| --task decoder", "variants ..."),
        "sizes": ("| --sizes 300 400", "variants ..."),
        "validate": ("| --validate", "on_folds ..."),
    },
    "explore": {
        "sentences": ("we hope --export page | hope --export page", "export"),
        "export": ("hope --export page | hope --export other", "export"),
        "runs": ("| --runs .", "page"),
        "data_dir": ("| --data-dir {data}", "page"),
        "port": ("| --port 3", "port"),
    },
    "classify": {"sentences": ("hope | we hope", "printed"), "model": ("hope | hope --model {other}", "printed")},
    "explain": {
        "sentence": ("hope | terror", "printed"),
        "model": ("hope | hope --model {other}", "printed"),
        "out": ("hope --out a | hope --out b", "printed files"),
        "json": ("hope | hope --json", "printed files"),
    },
    "attention": {
        "sentence": ("hope | terror", "files"),
        "model": ("hope | hope --model {other}", "files"),
        "out": ("hope --out a | hope --out b", "printed files"),
        "layers": ("hope | hope --layers 1", "printed files"),
    },
    "knockouts": {
        "model": ("--data-dir {data} | --data-dir {data} --model {other}", "printed files"),
        "data_dir": ("--data-dir {data} | --data-dir {small}", "printed files ..."),
        "out": ("--data-dir {data} --out a | --data-dir {data} --out b", "printed files"),
    },
    "score": {
        "text": ("hope --data-dir {data} | terror --data-dir {data}", "printed"),
        "model": ("hope --data-dir {data} | hope --data-dir {data} --model {old}", "printed"),
        "data_dir": ("hope --data-dir {data} | hope --data-dir {small}", "printed ..."),
        "json": ("hope --data-dir {data} | hope --data-dir {data} --json", "printed"),
    },
    "generate": {
        "prompt": ("| hope", "printed"),
        "model": ("we --temperature 0 | we --temperature 0 --model {old}", "printed"),
        "voice": ("we --model {voices} --as obama | we --model {voices} --as gwbush", "printed"),
        "n_tokens": ("we | we --n-tokens 7", "printed"),
        "temperature": ("we | we --temperature 0", "printed"),
        "top_k": ("we --temperature 9 | we --temperature 9 --top-k 1", "printed"),
        "top_p": ("we --temperature 9 | we --temperature 9 --top-p 0.01", "printed"),
        "seed": ("we | we --seed 1", "printed"),
    },
    "data build": {
        "out": ("| --out a | --out b", "made"),
        "speakers": ("| --speakers obama lincoln | --speakers lincoln obama", "made"),
        "split": ("| --split speech", "made"),
        "seed": ("| --seed 1", "made"),
    },
    "data audit": {
        "data_dir": ("--data-dir {data} | --data-dir {small}", "printed files"),
        "out": ("--data-dir {data} --out a | --data-dir {data} --out b", "files"),
    },
    "data import": {
        "source": ("--out x --from {texts} | --out x --from {texts}-too", "made"),
        "out": ("--from {texts} --out a | --from {texts} --out b", "made"),
        "split": ("--from {texts} --out x | --from {texts} --out x --split speech", "made"),
        "seed": ("--from {texts} --out x --seed 1 | --from {texts} --out x --seed 2", "made"),
        "encoding": ("--from {texts} --out x --encoding cp1252 | --from {texts} --out x --encoding cp1251", "made"),
    },
}
OWN["part2"] = {
    **{name: entry for name, entry in OWN["part1"].items() if name not in ("pooling", "ff_dim", "label_smoothing")},
    "iterations": ("| --iterations 3", "duration"),
    "given": ("| --set tied=true", "tied"),
    "ff_dims": ("--ff-dims 8 | --ff-dims 9", "variants ff_dim"),
    "voices": ("| --voices", "voices"),
}
OWN["part3"] |= {name: (f"| --{name} 3", "duration") for name in ("epochs", "iterations")}
OWN["report"] |= {name: (f"| --{name} 3", "duration") for name in ("epochs", "iterations")}
SILENT = (  # what takes long, or has nothing to go by
    *("studies.figures.draw", "studies.figures.draw_maps", "studies.workplace.ensure_data", "studies.ask.judged"),
    *("studies.workplace.warn_of_missing_spaces", "reporting.page.write_page", "reporting.terminal.show"),
    "matplotlib.figure.Figure.savefig",
)
BASE = {
    "compare": "--vary dropout=0,0.1",
    "data import": "--encoding cp1252",
}  # what else is given with the options of TRAINING, and others of its own


@pytest.fixture(scope="module")
def places(trained_runs: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What lines of options name: data, texts, and models beside those that commands take by themselves."""
    home = tmp_path_factory.mktemp("places")
    shutil.copytree(trained_runs, home / "runs")
    (home / "small").mkdir()
    for number, folder in enumerate(("texts", "texts-too")):
        for speaker in ("north", "south"):
            (home / folder / speaker).mkdir(parents=True)
            (home / folder / speaker / "text.txt").write_bytes(b"We w\xe4rk here." + b"!" * number)
    trained = load_model(home / "runs/part2/decoder-ff16.safetensors")
    config = replace(trained.model.config, voices=True)
    names = load_model(home / "runs/part1/classifier-seed0.safetensors").class_names
    voices = Decoder(config, trained.tokenizer.words, n_speakers=len(names)).eval()
    for model in (trained.model, voices):
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    save_model(home / "voices.safetensors", replace(trained, model=voices, class_names=names))
    new = home / "runs/part2/decoder-ff8.safetensors"
    save_model(new, trained)
    os.utime(new, (2e9, 2e9))
    (home / "runs/part1/classifier-seed0.safetensors").rename(home / "runs/part1/classifier.safetensors")
    other, old = home / "runs/part1/classifier-seed1.safetensors", home / "runs/part2/decoder-ff16.safetensors"
    named = {"home": home, "data": data_folder, "other": other, "old": old, "small": small_folder(home / "small")}
    return named | {name: home / name for name in ("texts", "voices")} | {"voices": home / "voices.safetensors"}


def seen_of_study(study: Study) -> Seen:
    """What a study asks; of every setting the values, variant by variant."""
    questions, n_seeds = study.questions, study.looks()[0]
    recipes = [recipe for question in questions for recipe in question.variants.values()]
    numbers = [question.runs(dict.fromkeys(question.variants, n_seeds), study.seeds[0]) for question in questions]
    names = {name for recipe in recipes for name in settings_of(recipe)} - {"task"}
    return {
        **{name: [settings_of(recipe).get(name) for recipe in recipes] for name in names},
        "seeds": (study.seeds, [run.seed for runs in numbers for run in runs.values()]),
        "variants": [(list(question.variants), question.tokenizations) for question in questions],
        "measured": [[(measure.name, subset) for measure, subset in question.measured] for question in questions],
        "on_folds": [question.on_folds for question in questions],
        "looks": study.looks()[1:],
        "workers": study.n_workers,
        "recipe": study.recipe_name,
    }


@contextlib.contextmanager
def seams(seen: Seen) -> Iterator[None]:
    """Within it nothing is trained, made or served, but what would be is put into `seen`."""

    def note(name: str, answer: Any = None) -> Any:
        return lambda value, *more: [seen.update({name: value}), answer][1]

    def load_data(folder: Path, block_size: int, share: int = 0, tokenization: Any = None) -> Any:
        if not share:  # for a trained model
            return dataset.load_data(folder, block_size, tokenization=tokenization)
        seen.update({"data": folder, "blocks": block_size, "share": share, "tokens": tokenization})
        data = mock.MagicMock()
        data.corpus.about.return_value = "nothing"
        return data

    def ask(study: Study, data: object, folder: Folder, command_line: str, **extra: object) -> Any:
        seen.update(seen_of_study(study), extra=extra, on_cluster=folder.cluster)
        return mock.MagicMock()

    def open_folder(path: Path, device: object, settings: object, resume: object) -> Folder:
        seen.update(out=path, resume=resume)
        return Folder(path, torch.device("cpu"))

    def make(out: Path, speakers: Any, split: str, seed: int, *of: object) -> None:
        seen["made"] = (out, [(speaker.slug, speaker.documents) for speaker in speakers], split, seed)
        raise KeyboardInterrupt

    def page(shelf: Any) -> None:
        seen["page"] = (shelf.runs, shelf.data_dir)

    def export(path: Path, shelf: Any, sentences: object) -> None:
        seen["export"] = (path, sentences, shelf.runs, shelf.data_dir)

    def serve(blocks: object, port: int) -> None:
        seen["port"] = port
        raise KeyboardInterrupt

    patches: dict[str, Any] = {
        **{"studies.workplace.load_data": load_data, "studies.workplace.open_folder": open_folder},
        **{"studies.workplace.pick_device": note("device"), "studies.workplace.torch.set_num_threads": note("threads")},
        **{"studies.cluster.joined_cluster": note("cluster", contextlib.nullcontext()), "studies.ask.ask": ask},
        **{"commands.options.around_marks": note("marks"), "reporting.documents.fill": note("docs")},
        **{"reporting.documents.log": note("log"), "studies.answers.read_answers": note("read", "answers")},
        **dict.fromkeys(SILENT, mock.Mock(return_value="")),
        **{f"speechesdataset.{name}.make_folder": make for name in ("build", "importing")},
        "reporting.explore_views.export": export,
    }
    with pytest.MonkeyPatch.context() as stubbed, contextlib.ExitStack() as stack:
        stubbed.setitem(sys.modules, "reporting.explore_page", SimpleNamespace(page=page, serve=serve))
        for name, patch in patches.items():
            stack.enter_context(mock.patch(name, patch))
        yield


def seen_by(words: list[str], capsys: pytest.CaptureFixture[str]) -> Seen:
    """What a command does, by what it is about: calls at the seams, or else what is printed and written."""
    seen: Seen = {}
    before = set(Path().rglob("*"))
    with seams(seen):
        code = main.main(words)
    said = capsys.readouterr()
    assert code in (0, 3, 130) or "small" in " ".join(words), said.err
    new = sorted(path for path in set(Path().rglob("*")) - before if path.is_file())
    files = [(str(path), path.read_bytes()) for path in new]
    for path in new:
        path.unlink()
    calls: Seen = {name: repr(value) for name, value in seen.items()}
    return calls if calls.keys() - {"threads"} else {"printed": said.out, "files": files}


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_option_does_what_it_is_about(
    name: str, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command: Any = main.COMMANDS[name][0]
    entries = (TRAINING if issubclass(command, Common) else {}) | OWN.get(name, {})
    monkeypatch.chdir(places["home"])
    known: dict[str, Seen] = {}
    for option in (field.name for field in fields(command)):
        lines, names = entries[option]  # a new option needs an entry
        base = "" if option in ("vary", "variant", "encoding") else BASE.get(name, "")
        typed = [f"{name} {base} {line}".format(**places) for line in lines.split("|")]
        for line in typed:
            if line not in known:
                known[line] = seen_by(shlex.split(line), capsys)
        seen = [known[line] for line in typed]
        about = set(names.split()) - {"..."}
        for one, other in itertools.combinations(seen, 2):
            changed = {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
            assert about <= changed, (option, changed)
            assert "..." in names or changed == about, (option, changed)
