"""Whatever a file or a command line holds: an answer or a refusal in one line, never a traceback.

Each property spoils something that is whole (bytes, a JSON value, a text, words) and gives it to what reads it. Weights
and checkpoints have a checksum; it is made to fit again where a property is about what lies behind it.
"""

import contextlib
import copy
import io
import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from studies.compare import variants_of
from studies.results import ReportResults
from worlds import made_up

from common import console
from common.arguments import Typed, name_of, overview, read
from common.files import read_as, sha256
from dataset import Data, load_data
from inference.attention import sentence_maps
from inference.explain import classify
from inference.generate import continued_text
from inference.sampling import Sampling
from main import COMMANDS
from reporting.audit import render
from speechesdataset.audit import audit
from studies.catalogue.recipes import RECIPES
from studies.settings import with_settings
from training.checkpoint import Checkpoints
from training.kinds import KINDS
from training.loop import make_optimizer, train
from training.recipe import Run, Task, customise
from training.runs import Folder, perform, recorded
from training.weights import TrainedModel, load_model
from transformer import Decoder

CPU = torch.device("cpu")
TASKS: tuple[Task, ...] = ("classifier", "decoder")
RUNS = [Run(task, customise(RECIPES["best"][task], duration=2, n_embd=8, block_size=8), seed=0) for task in TASKS]


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
    "-",
]
STRANGE_WORDS += ["--", "=", "--x", "nan", "1e400", "9" * 50, "-1", "0", "none", "[" * 300, "* " * 200, "a." * 200]
STRANGE_NUMBERS = [-1, 0, 1, 2**31, 2**63, 2**64, 10**18, 10**400, 1e-320, 1e308, float("nan"), float("inf")]
WORDS = st.sampled_from(STRANGE_WORDS) | st.text(max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(STRANGE_NUMBERS) | WORDS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))
TYPES = [torch.float64, torch.float16, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn]


def spoiled_bytes(inputs: st.DataObject, content: bytes) -> bytes:
    """A file of which up to three parts are left out, doubled, or replaced by something strange."""
    for _ in range(inputs.draw(st.integers(1, 3))):
        start = inputs.draw(st.integers(0, len(content)))
        stop = start + inputs.draw(st.sampled_from([0, 1, 8, 64, len(content)]))
        others = WORDS.map(str.encode) | st.binary(max_size=8)
        middle = 2 * content[start:stop] if inputs.draw(st.integers(0, 3)) == 0 else inputs.draw(others)
        content = content[:start] + middle + content[stop:]
    return content


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
    """Tensors of which one is gone or has another name, type, shape or value."""
    others = dict(tensors)
    name = inputs.draw(st.sampled_from(sorted(others)))
    tensor = others.pop(name)
    match inputs.draw(st.sampled_from(["drop", "rename", "type", "type", "shape", "value", "value"])):
        case "drop":
            return others
        case "rename":
            name = inputs.draw(WORDS)
        case "type":
            tensor = tensor.to(inputs.draw(st.sampled_from(TYPES)))
        case "shape":
            tensor = inputs.draw(st.sampled_from([tensor[None], tensor.flatten()[:0], torch.zeros(8, 8)]))
        case "value":
            tensor = tensor * inputs.draw(st.sampled_from([-1, 0, 1e38, torch.nan]))
    return {**others, name: tensor}


def parts_of(content: bytes) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors and the description in a file of `write_tensors`."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return load(content), header["__metadata__"]["description"][64:]


def packed(tensors: dict[str, torch.Tensor], description: str) -> bytes:
    """A file of `write_tensors` with this description, whatever it is, and a checksum that fits."""
    return save(tensors, metadata={"description": sha256(description.encode() + save(tensors)) + description})


SPOILED = ("bytes", "header", "tensors", "tensors", "description", "description")


def spoiled_tensor_file(inputs: st.DataObject, content: bytes, parts: Sequence[str] = SPOILED) -> bytes:
    """A file of `write_tensors` with something wrong in its bytes, its header, its tensors or its description."""
    tensors, description = parts_of(content)
    end = 8 + int.from_bytes(content[:8], "little")
    match inputs.draw(st.sampled_from(parts)):
        case "bytes":
            return spoiled_bytes(inputs, content)
        case "header":
            header = spoiled_json(inputs, json.loads(content[8:end]))
            return len(header).to_bytes(8, "little") + header + content[end:]
        case "tensors":
            return packed(spoiled_tensors(inputs, tensors), description)
    return packed(tensors, spoiled_json(inputs, json.loads(description)).decode(errors="replace"))


# ---------------------------------------------------------------------------------------------------------- properties


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Data) -> Folder:
    """A folder with the weights and the record of a finished run of each kind."""
    folder = Folder(tmp_path_factory.mktemp("whole"), CPU)
    for run in RUNS:
        perform(run, data, folder, few=False)
    return folder


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("spoiled"), CPU)
    (folder.path / "runs").mkdir()
    return folder


def use(trained: TrainedModel, text: str) -> None:
    """What the commands do with a model."""
    if isinstance(trained.model, Decoder):
        continued_text(trained, text, Sampling(n_tokens=3))
    else:
        classify(trained, text)
    sentence_maps(trained, text)


@examples(200)
@given(st.data())
def test_weights(whole: Folder, spoiled: Folder, inputs: st.DataObject) -> None:
    run = inputs.draw(st.sampled_from(RUNS))
    spoiled.weights(run).write_bytes(spoiled_tensor_file(inputs, whole.weights(run).read_bytes()))
    answers_or_refuses(lambda: use(load_model(spoiled.weights(run)), "We will work"))


@examples(100)
@given(st.data())
def test_sentences_and_prompts(whole: Folder, data: Data, inputs: st.DataObject) -> None:
    text = " ".join(inputs.draw(st.lists(WORDS | st.sampled_from(data.tokenizer.words), max_size=12)))
    trained = load_model(whole.weights(inputs.draw(st.sampled_from(RUNS))))
    answers_or_refuses(lambda: use(trained, text))


@pytest.fixture(scope="module")
def restore(whole: Folder, spoiled: Folder, data: Data) -> dict[Run, Callable[[], object]]:
    """What restores each run from its checkpoint in `spoiled`; one that is whole stands in `whole`."""
    restored: dict[Run, Callable[[], object]] = {}
    for run in RUNS:
        task = KINDS[run.recipe.task].task(run, data, CPU)
        train(task, run.recipe.training, run.seed, Checkpoints(whole.checkpoint(run), run.name, task.measurement))
        checkpoints = Checkpoints(spoiled.checkpoint(run), run.name, task.measurement)
        optimizer = make_optimizer(task.model, run.recipe.training)
        restored[run] = partial(checkpoints.restore, task.model, optimizer)
    return restored


@examples(150)
@given(st.data())
def test_checkpoints(
    whole: Folder, spoiled: Folder, restore: dict[Run, Callable[[], object]], inputs: st.DataObject
) -> None:
    run = inputs.draw(st.sampled_from(RUNS))
    content, parts = whole.checkpoint(run).read_bytes(), ("bytes", "header", "description")  # a checksum guards tensors
    spoiled.checkpoint(run).write_bytes(spoiled_tensor_file(inputs, content, parts))
    answers_or_refuses(restore[run])


@examples(200)
@given(st.data())
def test_records_of_runs(whole: Folder, spoiled: Folder, data: Data, inputs: st.DataObject) -> None:
    run = inputs.draw(st.sampled_from(RUNS))
    spoiled.record(run).write_bytes(spoiled_json(inputs, json.loads(whole.record(run).read_bytes())))
    answers_or_refuses(lambda: recorded(run, data, spoiled))


@examples(40)
@given(st.data())
def test_results(spoiled: Folder, inputs: st.DataObject) -> None:
    path = spoiled.path / "results.json"
    path.write_bytes(spoiled_json(inputs, {**made_up(), "claims": []}))
    answers_or_refuses(lambda: read_as(path, ReportResults))


def test_what_is_not_spoiled_is_answered(
    whole: Folder, spoiled: Folder, restore: dict[Run, Callable[[], object]], data: Data
) -> None:
    for run in RUNS:
        use(load_model(whole.weights(run)), "We will work")
        assert packed(*parts_of(whole.weights(run).read_bytes())) == whole.weights(run).read_bytes()
        shutil.copyfile(whole.checkpoint(run), spoiled.checkpoint(run))
        restore[run]()
        assert recorded(run, data, whole)
    assert msgspec.convert({**made_up(), "claims": []}, ReportResults)


@examples(40)
@given(st.data())
def test_data_folders(data_folder: Path, spoiled: Folder, inputs: st.DataObject) -> None:
    path = inputs.draw(st.sampled_from(sorted(data_folder.iterdir())))
    folder = spoiled.path / "data"
    shutil.copytree(data_folder, folder, dirs_exist_ok=True)
    (folder / path.name).write_bytes(spoiled_bytes(inputs, path.read_bytes()))
    answers_or_refuses(lambda: load_data(folder, block_size=8))
    answers_or_refuses(lambda: render(audit(folder, block_size=8)))


NAMES = st.sampled_from(["positions", "dropout", "n_layer", "n_head", "ff-dim", "norm", "clip", "beta2", "decay"])
CHOICES = st.sampled_from(["0", "1", "2", "0.5", "-1", "1e9", "none", "true", "alibi", "pre", "nan", "1e400"])
SETTING = st.tuples(NAMES, CHOICES).map("=".join) | WORDS
VARIED = st.tuples(NAMES, st.lists(CHOICES, min_size=1, max_size=3).map(",".join)).map("=".join) | WORDS


@examples(120)
@given(st.sampled_from(TASKS), st.lists(VARIED, max_size=2), st.lists(SETTING, max_size=1))
def test_settings(task: Task, varied: list[str], base: list[str]) -> None:
    """As they are typed after `--vary` and `--base`."""

    def recipes() -> None:
        for variant in variants_of(task, varied, " ".join(base), []).values():
            with_settings(RECIPES["report"][task], variant)

    answers_or_refuses(recipes)


LINES = """part1 --epochs 2 --positions alibi --dropout 0.1 --set drop_path=0 n_members=1
part2 --ff-dims 256 100 --iterations 3 --recipe best --tokenizer bpe --vocabulary-size 500
report --quick --data-dir mine --seeds 5 --workers 2
compare --vary positions=learned,alibi --base n_layer=2 --measure macro-f1 --validate
classify sentence --model x.safetensors
generate prompt --n-tokens 5 --temperature 0.5 --top-k 3 --top-p 0.9 --seed 3
data build --speakers lincoln --split speech --seed 3""".splitlines()
LINE_WORDS = sorted({word for line in LINES for word in line.split()} | {"--help", "-h"})


def parse(words: list[str]) -> object:
    """The command that main.py would run, None for its list of them."""
    typed, known = Typed(tuple(words)), {name: command for name, (command, _) in COMMANDS.items()}
    return None if overview(typed, known, "") else read(typed, name_of(typed, known), known)


@examples(100)
@given(st.data())
def test_command_lines(inputs: st.DataObject) -> None:
    """What is typed is understood, or refused before anything is done."""
    words = inputs.draw(st.sampled_from(LINES)).split()
    assert parse(words)
    for _ in range(inputs.draw(st.integers(1, 3))):
        start = inputs.draw(st.integers(0, len(words)))
        other = inputs.draw(st.lists(WORDS | st.sampled_from(LINE_WORDS), max_size=2))
        words[start : start + inputs.draw(st.integers(0, 1))] = other
    answers_or_refuses(lambda: parse(words))


@pytest.mark.parametrize("fault", [ZeroDivisionError("a fault"), OSError(28, "No space left on device")])
def test_whatever_is_no_answer_and_no_refusal_fails(fault: Exception) -> None:
    def fail() -> None:
        raise fault

    with pytest.raises((ZeroDivisionError, AssertionError)):
        answers_or_refuses(fail)
