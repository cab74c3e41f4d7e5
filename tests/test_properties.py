"""Whatever a file or a command line holds: an answer or a refusal in one line, never a traceback.

Each property spoils something that is whole (bytes, a JSON value, a text, words) and feeds it to what reads it. The
checksums of weights and checkpoints are made to fit again where a property is about what lies behind them.
"""

import contextlib
import copy
import functools
import io
import json
import random
import shutil
import string
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from worlds import made_up

from commands.called import command_line
from common import console
from common.files import UserError, from_json, read_as, sha256
from dataset import Data, load_data
from evaluation.ngrams import KneserNey
from inference.attention import attention_maps
from inference.classify import classify
from inference.generate import continued
from inference.sampling import Sampling
from modules.word_vectors import word_pairs
from reporting.audit import render
from speechesdataset.audit import audit
from speechesdataset.own_texts import import_folder
from studies.compare import variants_of
from studies.recipes import RECIPES
from studies.results import ReportResults
from studies.settings import with_settings
from tokenizer import Tokenization, Tokenizer
from training.checkpoint import Checkpoints
from training.loop import train
from training.models import build_classifier, build_decoder
from training.optimizer import make_optimizer
from training.recipe import Run, Task, customise
from training.runs import Folder, perform, recorded
from training.tasks import task_of
from training.weights import TrainedModel, load_model, save_model
from transformer import ClassifierConfig, Decoder, DecoderConfig

CPU = torch.device("cpu")
TINY: dict[str, Any] = {"n_embd": 8, "n_layer": 1, "block_size": 8, "ff_dim": 8}
ARCHITECTURES: tuple[ClassifierConfig | DecoderConfig, ...] = (
    ClassifierConfig(**TINY, batch_norm=True),
    ClassifierConfig(**TINY, positions="t5", pooling="mean-max", phrases=True, n_members=2),
    DecoderConfig(**TINY, positions="alibi", norm="pre", n_spellings=5, tied=True, ngram_share=0.3),
)
RUNS = [Run(task, customise(RECIPES["report"][task], duration=3, **TINY), seed=0) for task in ("classifier", "decoder")]


def examples(number: int) -> Callable[[Any], Any]:
    """So many inputs, the same each time."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=number, deadline=None, derandomize=True, database=None, suppress_health_check=slow)


def answers_or_refuses(work: Callable[[], object]) -> None:
    """Fail unless `work` succeeds quietly or is refused in one line with the exit code of bad use."""

    def succeed() -> int:
        work()
        return 0

    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = console.answer(succeed)
    lines = [line for line in errors.getvalue().splitlines() if line.startswith("main.py: ")]
    assert (code, len(lines)) in ((0, 0), (console.EXIT_BAD_USE, 1)), lines


# ------------------------------------------------------------------------------------------------------ spoiled inputs

STRANGE_WORDS = [
    "",
    " ",
    "\0",
    "\r",
    "\ufeff",
    "\u2028",
    "\x1b[31m",
    "\u0130",
    "<unk>",
    "<pad>",
    "<cls>",
    "0\ttext",
    "...",
]
STRANGE_WORDS += ["--", "-", "=", "--x", "nan", "1e400", "9" * 50, "-1", "0", "none", "[" * 300, "* " * 200, "a." * 200]
STRANGE_NUMBERS = [-1, 0, 1, 2**31, 2**63, 2**64, 10**18, 10**400, 1e-320, 1e308, float("nan"), float("inf")]
WORDS = st.sampled_from(STRANGE_WORDS) | st.text(max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(STRANGE_NUMBERS) | WORDS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))


def spoiled_bytes(inputs: st.DataObject, content: bytes) -> bytes:
    """A file of which up to three parts are changed, left out or doubled."""
    for _ in range(inputs.draw(st.integers(1, 3))):
        start = inputs.draw(st.integers(0, len(content)))
        stop = start + inputs.draw(st.sampled_from([0, 1, 8, 64, len(content)]))
        middle = 2 * content[start:stop] if inputs.draw(st.booleans()) else inputs.draw(st.binary(max_size=8))
        content = content[:start] + middle + content[stop:]
    return content


def spoiled_text(inputs: st.DataObject, text: str) -> str:
    """A text of which up to three parts are replaced by something strange."""
    for _ in range(inputs.draw(st.integers(1, 3))):
        start = inputs.draw(st.integers(0, len(text)))
        text = text[:start] + inputs.draw(WORDS) + text[start + inputs.draw(st.integers(0, 50)) :]
    return text


def spoiled_file(inputs: st.DataObject, text: str) -> bytes:
    """A text's file with something strange in its text or in its bytes."""
    if inputs.draw(st.booleans()):
        return spoiled_text(inputs, text).encode()
    return spoiled_bytes(inputs, text.encode())


def entry(inputs: st.DataObject, value: Any) -> tuple[Any, Any]:
    """A container somewhere in a JSON value, and one of its keys."""
    while True:
        key = inputs.draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
        inner = value[key]
        if not isinstance(inner, dict | list) or not inner or inputs.draw(st.integers(0, 4)) == 0:
            return value, key
        value = inner


def spoiled_value(inputs: st.DataObject, value: Any) -> Any:
    """A JSON object with up to three entries that are changed, missing, doubled or those of another place."""
    value = copy.deepcopy(value)
    for _ in range(inputs.draw(st.integers(1, 3))):
        if not value:
            break
        container, key = entry(inputs, value)
        match inputs.draw(st.sampled_from(["change", "change", "nudge", "drop", "copy", "add"])):
            case "change":
                container[key] = inputs.draw(VALUES)
            case "nudge" if isinstance(container[key], int | float):
                container[key] += inputs.draw(st.sampled_from([-1, 1, 1e-6, 10**9]))
            case "drop":
                del container[key]
            case "copy":
                other, other_key = entry(inputs, value)
                container[key] = copy.deepcopy(other[other_key])
            case _ if isinstance(container, dict):
                container[inputs.draw(WORDS)] = inputs.draw(VALUES)
            case _:
                container.append(container[key])
    return value


def spoiled_json(inputs: st.DataObject, value: Any) -> bytes:
    """The text of a spoiled value, or the spoiled text of the value."""
    match inputs.draw(st.sampled_from(["value"] * 6 + ["text", "nested"])):
        case "text":
            return spoiled_bytes(inputs, json.dumps(value).encode())
        case "nested":
            return inputs.draw(st.sampled_from([b"[" * 5000, b'{"a":' * 5000, b"9" * 20_000]))
    return json.dumps(spoiled_value(inputs, value)).encode()


def spoiled_tensors(inputs: st.DataObject, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of which one has another name, type, shape or value, or is gone."""
    others = dict(tensors)
    name = inputs.draw(st.sampled_from(sorted(others)))
    tensor = others.pop(name)
    types = [torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn]
    changes: list[Callable[[], torch.Tensor]] = [
        *(functools.partial(tensor.to, kind) for kind in types),
        *(lambda: tensor[None], lambda: tensor.flatten()[:0], lambda: torch.zeros(8, 8), lambda: tensor.flip(0)),
        *(lambda: -tensor, lambda: 0 * tensor, lambda: 1e38 * tensor, lambda: tensor + torch.nan, lambda: tensor + 1),
    ]
    match inputs.draw(st.sampled_from(["drop", "rename", "change", "change", "change"])):
        case "drop":
            return others
        case "rename":
            return {
                **others,
                inputs.draw(st.sampled_from(["", "x", "model.", f"{name}.x", "optimizer.x.step"])): tensor,
            }
    with contextlib.suppress(RuntimeError, IndexError):  # no bool is negative, and no scalar has a first dimension
        tensor = inputs.draw(st.sampled_from(changes))()
    return {**others, name: tensor}


# ------------------------------------------------------------------------------------------------------ what is spoiled


@dataclass(frozen=True, repr=False)
class World:
    """Whole things, and a folder for spoiled ones."""

    folder: Path
    data_folder: Path
    data: Data
    tokenizers: list[Tokenizer]
    weights: list[Path]

    @property
    def runs(self) -> Folder:
        return Folder(self.folder, CPU)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, data_folder: Path, data: Data) -> World:
    folder, words = tmp_path_factory.mktemp("spoiled"), data.tokenizer.words
    ngrams = KneserNey.fit(data.train_stream.ids, len(words))
    paths = []
    for number, config in enumerate(ARCHITECTURES):
        if isinstance(config, DecoderConfig):
            trained = TrainedModel(build_decoder(config, words).eval(), data.tokenizer, [], ngrams)
        else:
            model = build_classifier(config, words, 3, pairs=word_pairs(words, data.train.ids)).eval()
            trained = TrainedModel(model, data.tokenizer, data.corpus.class_names)
        paths.append(folder / f"whole{number}.safetensors")
        save_model(paths[-1], trained)
    rows = [row.text for row in data.corpus.train]
    subwords = Tokenizer.build(rows, tokenization=Tokenization("bpe", 300))
    return World(folder, data_folder, data, [data.tokenizer, subwords], paths)


def parts_of(content: bytes) -> tuple[dict[str, torch.Tensor], Any]:
    """The tensors and the description in a file of `write_tensors`."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return load(content), json.loads(header["__metadata__"]["description"][64:])


def packed(tensors: dict[str, torch.Tensor], description: str) -> bytes:
    """A file of `write_tensors` with this description, whatever it is, and a checksum that fits."""
    return save(tensors, metadata={"description": sha256(description.encode() + save(tensors)) + description})


def spoiled_tensor_file(inputs: st.DataObject, content: bytes) -> bytes:
    """A file of `write_tensors` with something wrong in its bytes, its header, its tensors or its description."""
    tensors, description = parts_of(content)
    end = 8 + int.from_bytes(content[:8], "little")
    match inputs.draw(st.sampled_from(["bytes", "header", "tensors", "tensors", "description", "description"])):
        case "bytes":
            return spoiled_bytes(inputs, content)
        case "header":
            header = spoiled_json(inputs, json.loads(content[8:end]))
            return len(header).to_bytes(8, "little") + header + content[end:]
        case "tensors":
            return packed(spoiled_tensors(inputs, tensors), json.dumps(description))
    return packed(tensors, spoiled_json(inputs, description).decode(errors="replace"))


# ---------------------------------------------------------------------------------------------------------- properties


@examples(250)
@given(st.data())
def test_weights(world: World, inputs: st.DataObject) -> None:
    content = inputs.draw(st.sampled_from(world.weights)).read_bytes()
    path = world.folder / "spoiled.safetensors"
    path.write_bytes(spoiled_tensor_file(inputs, content))
    answers_or_refuses(lambda: use(load_model(path), "We will work"))


@examples(150)
@given(st.data())
def test_sentences_and_prompts(world: World, inputs: st.DataObject) -> None:
    text = " ".join(inputs.draw(st.lists(WORDS | st.sampled_from(world.data.tokenizer.words), max_size=12)))
    trained = load_model(inputs.draw(st.sampled_from(world.weights)))
    answers_or_refuses(lambda: use(trained, text))


def use(trained: TrainedModel, text: str) -> None:
    """What the commands do with a model."""
    if isinstance(trained.model, Decoder):
        continued(trained, text, Sampling(n_tokens=3))
    else:
        classify(trained, text)
    attention_maps(trained, text)


@pytest.fixture(scope="module")
def checkpoints(world: World) -> list[tuple[Path, bytes, Callable[[], object]]]:
    """The file of a checkpoint of each kind, what it holds, and what reads it."""
    kept: list[tuple[Path, bytes, Callable[[], object]]] = []
    for run in RUNS:
        task = task_of(run, world.data, CPU)
        one = Checkpoints(world.folder / f"{run.name}.checkpoint", {"run": run.name}, task.measures)
        train(task, run.recipe.training, run.seed, one)
        optimizer = make_optimizer(task.model, run.recipe.training)
        restore = functools.partial(one.restore, task.model, optimizer, len(task.plan), task.evaluate_at)
        kept.append((one.path, one.path.read_bytes(), restore))
    return kept


@examples(200)
@given(st.data())
def test_checkpoints(checkpoints: list[tuple[Path, bytes, Callable[[], object]]], inputs: st.DataObject) -> None:
    path, content, restore = inputs.draw(st.sampled_from(checkpoints))
    path.write_bytes(spoiled_tensor_file(inputs, content))
    answers_or_refuses(restore)


@pytest.fixture(scope="module")
def records(world: World) -> dict[Run, bytes]:
    """A finished run of each kind, and its record."""
    for run in RUNS:
        perform(run, world.data, world.runs, few=False)
    return {run: world.runs.record(run).read_bytes() for run in RUNS}


@examples(300)
@given(st.data())
def test_records_of_runs(world: World, records: dict[Run, bytes], inputs: st.DataObject) -> None:
    run = inputs.draw(st.sampled_from(RUNS))
    world.runs.record(run).write_bytes(spoiled_json(inputs, json.loads(records[run])))
    answers_or_refuses(lambda: recorded(run, world.data, world.runs))


RESULTS: dict[str, Any] = {**made_up(), "claims": []}


@examples(60)
@given(st.data())
def test_results(world: World, inputs: st.DataObject) -> None:
    path = world.folder / "results.json"
    path.write_bytes(spoiled_json(inputs, RESULTS))
    answers_or_refuses(lambda: read_as(path, ReportResults))


@examples(60)
@given(st.data())
def test_data_folders(world: World, inputs: st.DataObject) -> None:
    path = inputs.draw(st.sampled_from(sorted(world.data_folder.iterdir())))
    folder = world.folder / "data"
    shutil.copytree(world.data_folder, folder, dirs_exist_ok=True)
    (folder / path.name).write_bytes(spoiled_file(inputs, path.read_text(encoding="utf-8")))
    answers_or_refuses(lambda: load_data(folder, block_size=8))
    answers_or_refuses(lambda: render(audit(folder, block_size=8)))


@examples(25)
@given(st.data())
def test_texts_to_import(world: World, inputs: st.DataObject) -> None:
    """Two speakers' texts are whole; that of a third, whose name is strange, is spoiled."""
    source, out = world.folder / "texts", world.folder / "imported"
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)
    names = WORDS.filter(lambda name: not set("/\0") & set(name) and len(name.encode()) < 100)
    for name in ("one", "two", inputs.draw(names) or "three"):
        (source / name).mkdir(parents=True, exist_ok=True)
        (source / name / "a.txt").write_text(text_to_import(name), encoding="utf-8")
    (source / name / "a.txt").write_bytes(spoiled_file(inputs, text_to_import(name)))
    answers_or_refuses(lambda: import_folder(source, out))


def text_to_import(speaker: str) -> str:
    """150 sentences, no two of them alike."""
    draw = random.Random(speaker)
    sentences = (" ".join(draw.choices(string.ascii_lowercase, k=12)) for _ in range(150))
    return "\n\n".join(f"The {sentence} end." for sentence in sentences)


@examples(150)
@given(st.data())
def test_tokenizers(world: World, inputs: st.DataObject) -> None:
    """Any text can be read with any vocabulary that is not refused."""
    value: Any = json.loads(json.dumps(inputs.draw(st.sampled_from(world.tokenizers)).to_json()))
    if inputs.draw(st.booleans()):
        value = spoiled_value(inputs, value)
    text = spoiled_text(inputs, "We will work for the people.")

    def read() -> None:
        try:
            tokenizer = Tokenizer.from_json(value)
        except ValueError as error:  # which those who read a file refuse
            raise UserError(str(error)) from error
        tokenizer.decode(tokenizer.encode(text), tokenizer.unknown(text))

    answers_or_refuses(read)


NAMES = st.sampled_from(["positions", "dropout", "n_layer", "n_head", "ff-dim", "norm", "clip", "beta2", "decay"])
CHOICES = st.sampled_from(["0", "1", "2", "0.5", "-1", "1e9", "none", "true", "alibi", "pre", "nan", "1e400"])
SETTING = st.tuples(NAMES, CHOICES).map("=".join) | WORDS
VARIED = st.tuples(NAMES, st.lists(CHOICES, min_size=1, max_size=3).map(",".join)).map("=".join) | WORDS


@examples(200)
@given(st.sampled_from(["classifier", "decoder"]), st.lists(VARIED, max_size=2), st.lists(SETTING, max_size=1))
def test_settings(task: Task, varied: list[str], base: list[str]) -> None:
    """As they are typed after `--vary` and `--base`."""

    def recipes() -> None:
        for variant in variants_of(task, varied, " ".join(base), []).values():
            with_settings(RECIPES["report"][task], variant)

    answers_or_refuses(recipes)


LINES = """part1 --epochs 2 --positions alibi --dropout 0.1 --set drop_path=0 n_members=1
part2 --ff-dims 256 100 --iterations 3 --recipe best --tokenizer bpe --vocabulary-size 500
part3 --alibi --seeds 5 --workers 2
report --quick --data-dir mine --ablation runs/ablation/results.json
compare --vary positions=learned,alibi --base n_layer=2 --measure macro-f1 --validate
classify sentence --model x.safetensors
generate prompt --n-tokens 5 --temperature 0.5 --top-k 3 --top-p 0.9 --seed 3
data build --speakers lincoln --split speech --seed 3
data import --from texts --out mine
settings""".splitlines()
LINE_WORDS = sorted({word for line in LINES for word in line.split()} | {"--help", "-h"})


@examples(200)
@given(st.data())
def test_command_lines(inputs: st.DataObject) -> None:
    """What is typed is understood, or refused before anything is done."""
    words = inputs.draw(st.sampled_from(LINES)).split()
    for _ in range(inputs.draw(st.integers(1, 3))):
        start = inputs.draw(st.integers(0, len(words)))
        other = inputs.draw(st.lists(WORDS | st.sampled_from(LINE_WORDS), max_size=2))
        words[start : start + inputs.draw(st.integers(0, 1))] = other
    answers_or_refuses(lambda: command_line().parse(words))


@examples(100)
@given(st.data())
def test_standard_input(inputs: st.DataObject) -> None:
    content = spoiled_bytes(inputs, b"We will work.\nWe hope.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        answers_or_refuses(lambda: list(console.lines_of_standard_input()))


def test_what_is_not_spoiled_is_answered(
    world: World, checkpoints: list[tuple[Path, bytes, Callable[[], object]]], records: dict[Run, bytes]
) -> None:
    for path in world.weights:
        tensors, description = parts_of(path.read_bytes())
        assert packed(tensors, json.dumps(description)) == path.read_bytes()
        use(load_model(path), "We will work")
    for path, content, restore in checkpoints:
        path.write_bytes(content)
        restore()
    for run, content in records.items():
        world.runs.record(run).write_bytes(content)
        assert recorded(run, world.data, world.runs)
    from_json(json.dumps(RESULTS), ReportResults, "results.json")
    for line in LINES:
        assert command_line().parse(line.split())


@pytest.mark.parametrize("fault", [ZeroDivisionError("a fault"), OSError(28, "No space left on device")])
def test_whatever_is_no_answer_and_no_refusal_fails(fault: Exception) -> None:
    def fail() -> None:
        raise fault

    with pytest.raises((ZeroDivisionError, AssertionError)):
        answers_or_refuses(fail)
