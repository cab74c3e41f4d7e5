"""Whatever a file or a command line holds: an answer or a refusal in one line, never a traceback.

Each property spoils something that is whole (bytes, a JSON value, a text, words) and gives it to what reads it. Weights
and checkpoints have a checksum; it is made to fit again where a property is about what lies behind it.
"""

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from common import console
from common.arguments import Typed, command_name, overview, read
from common.files import sha256, write_sealed
from dataset import Data, load_data
from inference.explain import classify
from inference.generate import continued_text
from inference.sampling import Sampling
from main import COMMANDS
from reporting.audit import render
from speechesdataset.audit import audit
from studies.answers import as_results, read_answers
from studies.ask import measure
from studies.catalogue.questions import varied, which_is_better
from studies.catalogue.recipes import RECIPES
from studies.question import Question, Study
from training.checkpoint import Checkpoints
from training.kinds import KINDS
from training.loop import make_optimizer, train
from training.recipe import Run, Task, customise
from training.runs import Folder, perform, recorded
from training.weights import TrainedModel, load_model
from transformer import Decoder

CPU = torch.device("cpu")
SMALL = {task: customise(recipe, duration=2, n_embd=8, block_size=8) for task, recipe in RECIPES["best"].items()}
RUNS = [Run(task, recipe, seed=0) for task, recipe in SMALL.items()]


def given_examples(number: int, *strategies: Any) -> Callable[[Any], Any]:
    """So many inputs, the same each time."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    few = settings(max_examples=number, deadline=None, derandomize=True, database=None, suppress_health_check=slow)
    return lambda test: few(given(*strategies)(test))


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

STRANGE_WORDS = ["", " ", "\0", "\r", "\ufeff", "\u2028", "\x1b[31m", "\u0130", "<unk>", "<pad>", "0\ttext", "-h"]
STRANGE_WORDS += ["=", "--x", "nan", "1e400", "9" * 50, "-1", "0", "none", "[" * 300, "* " * 200, "a." * 200]
STRANGE_NUMBERS = [-1, 0, 1, 2**31, 2**63, 2**64, 10**18, 10**400, 1e-320, 1e308, float("nan"), float("inf")]
WORDS = st.sampled_from(STRANGE_WORDS) | st.text(max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(STRANGE_NUMBERS) | WORDS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))
TYPES = [torch.float64, torch.float16, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn]


def spoiled_bytes(inputs: st.DataObject, content: bytes) -> bytes:
    """A file of which a part is left out, doubled, or replaced by something strange."""
    start = inputs.draw(st.integers(0, len(content)))
    stop = start + inputs.draw(st.sampled_from([0, 1, 8, 64, len(content)]))
    middle = inputs.draw(WORDS.map(str.encode) | st.binary(max_size=8) | st.just(2 * content[start:stop]))
    return content[:start] + middle + content[stop:]


def entry(inputs: st.DataObject, value: Any) -> tuple[Any, Any]:
    """A container somewhere in a JSON value, and one of its keys."""
    key = inputs.draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
    goes_deeper = isinstance(value[key], dict | list) and value[key] and inputs.draw(st.integers(0, 4))
    return entry(inputs, value[key]) if goes_deeper else (value, key)


def spoiled_json(inputs: st.DataObject, value: Any) -> bytes:
    """The text of a JSON object with up to three entries that are changed, new or missing; or with something wrong
    in the text."""
    text = json.dumps(value).encode()
    if inputs.draw(st.integers(0, 4)) == 0:
        return inputs.draw(st.sampled_from([spoiled_bytes(inputs, text), b"[" * 5000, b'{"a":' * 5000, b"9" * 20_000]))
    value = json.loads(text)
    for _ in range(inputs.draw(st.integers(1, 3)) if value else 0):
        container, key = entry(inputs, value)
        match inputs.draw(st.sampled_from(["change", "add", "drop"])):
            case "drop" if len(container) > 1:
                del container[key]
            case "add" if isinstance(container, dict):
                container[inputs.draw(WORDS)] = inputs.draw(VALUES)
            case _:
                container[key] = inputs.draw(VALUES)
    return json.dumps(value).encode()


def spoiled_tensors(inputs: st.DataObject, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of which one is gone or has another name, type, shape or value."""
    name = inputs.draw(st.sampled_from(sorted(tensors)))
    others = {other: tensor for other, tensor in tensors.items() if other != name}
    tensor, number = tensors[name], inputs.draw(st.sampled_from([-1, 0, 1e38, torch.nan]))
    spoiled = [tensor.to(kind) for kind in TYPES] + [tensor[None], tensor.flatten()[:0], tensor * number]
    tensor = inputs.draw(st.sampled_from([tensor, *spoiled]))
    return inputs.draw(st.sampled_from([others, {**others, inputs.draw(WORDS): tensor}, {**others, name: tensor}]))


def parts_of(content: bytes) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors and the description in a file of `write_tensors`."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return load(content), header["__metadata__"]["description"][64:]


def packed(tensors: dict[str, torch.Tensor], description: str) -> bytes:
    """A file of `write_tensors` with this description, whatever it is, and a checksum that fits."""
    return save(tensors, metadata={"description": sha256(description.encode() + save(tensors)) + description})


def spoiled_tensor_file(inputs: st.DataObject, content: bytes, with_tensors: bool = True) -> bytes:
    """A file of `write_tensors` with something wrong in its bytes, its description or its tensors."""
    tensors, description = parts_of(content)
    if inputs.draw(st.booleans()):
        return spoiled_bytes(inputs, content)
    if not with_tensors or inputs.draw(st.booleans()):
        return packed(tensors, spoiled_json(inputs, json.loads(description)).decode(errors="replace"))
    return packed(spoiled_tensors(inputs, tensors), description)


# -------------------------------------------------------------------------------------------------------- whole inputs


@pytest.fixture(scope="module")
def tasks(data: Data) -> dict[Run, Any]:
    return {run: KINDS[run.recipe.task].task(run, data, CPU) for run in RUNS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Data, tasks: dict[Run, Any]) -> Folder:
    """A folder with the weights, the record and a checkpoint of a run of each kind."""
    folder = Folder(tmp_path_factory.mktemp("whole"), CPU)
    for run, task in tasks.items():
        perform(run, data, folder, few=False)
        train(task, run.recipe.training, run.seed, Checkpoints(folder.checkpoint(run), run.name, task.measurement))
    return folder


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Where the same files are spoiled."""
    folder = Folder(tmp_path_factory.mktemp("spoiled"), CPU)
    (folder.path / "runs").mkdir()
    return folder


@pytest.fixture(scope="module")
def results(whole: Folder, data: Data) -> Any:
    """What results.json holds of a comparison of each run with itself."""
    pair = (("other", "base"),)
    questions = tuple(Question(task, {"base": recipe, "other": recipe}, pair) for task, recipe in SMALL.items())
    records = {run.name: {name: [perform(run, data, whole)] for name in pair[0]} for run in RUNS}
    answers = measure(Study("compare", "best", SMALL, questions, (0,)), records, {}, {}, data)
    return as_results(answers)


def restore(run: Run, task: Any, folder: Folder) -> None:
    checkpoints = Checkpoints(folder.checkpoint(run), run.name, task.measurement)
    checkpoints.restore(task.model, make_optimizer(task.model, run.recipe.training))


def use(trained: TrainedModel, text: str) -> None:
    """What the commands do with a model."""
    if isinstance(trained.model, Decoder):
        continued_text(trained, text, Sampling(n_tokens=3))
    else:
        classify(trained, text)


# ---------------------------------------------------------------------------------------------------------- properties


@given_examples(100, st.data())
def test_weights(whole: Folder, spoiled: Folder, inputs: st.DataObject) -> None:
    run = inputs.draw(st.sampled_from(RUNS))
    spoiled.weights(run).write_bytes(spoiled_tensor_file(inputs, whole.weights(run).read_bytes()))
    answers_or_refuses(lambda: use(load_model(spoiled.weights(run)), "We will work"))


@given_examples(40, st.data())
def test_sentences_and_prompts(whole: Folder, data: Data, inputs: st.DataObject) -> None:
    text = " ".join(inputs.draw(st.lists(WORDS | st.sampled_from(data.tokenizer.words), max_size=12)))
    trained = load_model(whole.weights(inputs.draw(st.sampled_from(RUNS))))
    answers_or_refuses(lambda: use(trained, text))


@given_examples(100, st.data())
def test_checkpoints(whole: Folder, spoiled: Folder, tasks: dict[Run, Any], inputs: st.DataObject) -> None:
    run = inputs.draw(st.sampled_from(RUNS))
    content = whole.checkpoint(run).read_bytes()
    spoiled.checkpoint(run).write_bytes(spoiled_tensor_file(inputs, content, with_tensors=False))  # see the checksum
    answers_or_refuses(lambda: restore(run, tasks[run], spoiled))


@given_examples(150, st.data())
def test_records_of_runs(whole: Folder, spoiled: Folder, data: Data, inputs: st.DataObject) -> None:
    run = inputs.draw(st.sampled_from(RUNS))
    spoiled.record(run).write_bytes(spoiled_json(inputs, json.loads(whole.record(run).read_bytes())))
    answers_or_refuses(lambda: recorded(run, data, spoiled))


@given_examples(100, st.data())
def test_results(results: Any, spoiled: Folder, inputs: st.DataObject) -> None:
    path = spoiled.path / "results.json"
    path.write_bytes(spoiled_json(inputs, results))
    answers_or_refuses(lambda: read_answers(path, "compare"))


def test_what_is_not_spoiled_is_answered(whole: Folder, tasks: dict[Run, Any], results: Any, data: Data) -> None:
    for run in RUNS:
        use(load_model(whole.weights(run)), "We will work")
        assert packed(*parts_of(whole.weights(run).read_bytes())) == whole.weights(run).read_bytes()
        restore(run, tasks[run], whole)
        assert recorded(run, data, whole)
    path = whole.path / "results.json"
    write_sealed(path, results)
    assert read_answers(path, "compare").comparisons


@given_examples(25, st.data())
def test_data_folders(data_folder: Path, spoiled: Folder, inputs: st.DataObject) -> None:
    path = inputs.draw(st.sampled_from(sorted(data_folder.iterdir())))
    folder = spoiled.path / "data"
    shutil.copytree(data_folder, folder, dirs_exist_ok=True)
    (folder / path.name).write_bytes(spoiled_bytes(inputs, path.read_bytes()))
    answers_or_refuses(lambda: load_data(folder, block_size=8))
    answers_or_refuses(lambda: render(audit(folder, block_size=8)))


NAMES = st.sampled_from(["positions", "dropout", "n_layer", "n_head", "ff-dim", "norm", "clip", "beta2", "decay"])
CHOICES = st.sampled_from(["0", "1", "2", "0.5", "-1", "1e9", "none", "true", "alibi", "pre", "nan", "1e400"])
VARIED = st.tuples(NAMES, st.lists(CHOICES, min_size=1, max_size=3).map(",".join)).map("=".join) | WORDS


@given_examples(120, st.sampled_from(list(SMALL)), st.lists(VARIED, max_size=2), VARIED)
def test_settings(task: Task, vary: list[str], base: str) -> None:
    """As they are typed after `--vary` and `--base`."""
    answers_or_refuses(lambda: which_is_better(SMALL[task], varied(task, vary, base, []), None, on_folds=True))


LINES = """part2 --ff-dims 256 100 --iterations 3 --dropout 0.1 --tokenizer bpe --set drop_path=0 n_layer=1
report --quick --data-dir mine --seeds 5 --workers 2
compare --vary positions=learned,alibi --base n_layer=2 --measure macro-f1 --validate
generate prompt --n-tokens 5 --temperature 0.5 --top-k 3 --top-p 0.9 --seed 3
data build --speakers lincoln""".splitlines()


def parse(words: list[str]) -> object:
    """The command that main.py would run, None for its list of them."""
    typed, known = Typed(tuple(words)), {name: command for name, (command, _) in COMMANDS.items()}
    return None if overview(typed, known, "") else read(typed, command_name(typed, known), known)


@given_examples(60, st.data())
def test_command_lines(inputs: st.DataObject) -> None:
    """What is typed is understood, or refused before anything is done."""
    words = inputs.draw(st.sampled_from(LINES)).split()
    assert parse(words)
    for _ in range(inputs.draw(st.integers(1, 3))):
        start = inputs.draw(st.integers(0, len(words)))
        other = inputs.draw(st.lists(WORDS | st.sampled_from(" ".join(LINES).split()), max_size=2))
        words[start : start + inputs.draw(st.integers(0, 1))] = other
    answers_or_refuses(lambda: parse(words))


def test_a_traceback_is_no_answer() -> None:
    with pytest.raises(ZeroDivisionError):
        answers_or_refuses(lambda: 1 / 0)
