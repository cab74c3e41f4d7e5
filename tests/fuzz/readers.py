"""Each reader of Orator, fed with mutated inputs in this process: it answers, refuses with UserError, or fails."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import torch
from golden.made_up import write_data
from safetensors.torch import load, save
from studies.compare import variants_of
from studies.report import read_ablation
from studies.results import Part1Results, Part2Results, Part3Results, ReportResults
from studies.study import Study
from worlds import ablation as made_up_ablation
from worlds import made_up

from common.arguments import Typed, name_of, overview, read
from common.console import lines_of_standard_input
from common.environment import rank
from common.files import UserError, read_as, sha256
from dataset import Data, load_data
from inference.attention import attention_maps
from inference.classify import classify
from inference.generate import continued
from inference.sampling import Sampling
from inference.sentence import read_sentence
from main import COMMANDS
from modules.word_vectors import word_pairs
from reporting.audit import render
from reporting.terminal import ablation_text
from speechesdataset.audit import audit
from speechesdataset.own_texts import import_folder
from studies import timing
from studies.probes.attention import attention_over_test
from studies.probes.lengths import perplexity_by_length
from tokenizer import Tokenization, Tokenizer, tokenize
from training.checkpoint import Checkpoints, State
from training.loop import train
from training.models import build_classifier, build_decoder
from training.optimizer import make_optimizer
from training.recipe import Recipe, Run, Task, TrainingConfig
from training.runs import Folder, perform, recorded
from training.tasks import task_of
from training.weights import TrainedModel, load_model, save_model
from transformer import ClassifierConfig, DecoderConfig

from .mutations import STRANGE, TEXTS, any_text, mutated_bytes, mutated_json, mutated_text, mutated_value

TINY: dict[str, Any] = {"n_embd": 8, "n_layer": 1, "block_size": 8, "ff_dim": 8, "positions": "learned"}
ARCHITECTURES: list[ClassifierConfig | DecoderConfig] = [
    ClassifierConfig(**TINY, batch_norm=True),
    ClassifierConfig(**TINY | {"positions": "t5", "pooling": "cls", "n_spellings": 5}),
    ClassifierConfig(**TINY | {"phrases": True, "n_members": 2, "head_dim": 0, "pooling": "mean-max"}),
    DecoderConfig(**TINY),
    DecoderConfig(**TINY | {"positions": "alibi", "tied": True, "n_spellings": 5, "norm": "pre"}),
]
RUNS = [
    Run("classifier", Recipe("classifier", ARCHITECTURES[0], TrainingConfig(batch_size=50), duration=2), seed=0),
    Run("decoder", Recipe("decoder", ARCHITECTURES[3], TrainingConfig(batch_size=4), duration=6), seed=0),
]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Reader:
    """What is fed, how often in ten thousand inputs, and how."""

    name: str
    share: int
    feed: Callable[[Random], object]


class World:
    """Tiny data, models and records in a folder, from which all mutated inputs are made."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self.folder, self.place = folder, Folder(folder / "out", CPU)
        self.data_folder, self.file = folder / "data", folder / "input"
        self.data_folder.mkdir()
        write_data(self.data_folder)
        self.data = load_data(self.data_folder, block_size=8)
        self.words = self.data.tokenizer.words
        self.models = [self.model(config) for config in ARCHITECTURES]
        self.files = []
        for number, trained in enumerate(self.models):
            save_model(folder / f"{number}.safetensors", trained)
            self.files.append((folder / f"{number}.safetensors").read_bytes())
        for run in RUNS:
            perform(run, self.data, self.place, few=False)
        self.tokenizers = [self.data.tokenizer, *(self.tokenizer(kind) for kind in ("bpe", "character"))]

    def model(self, config: ClassifierConfig | DecoderConfig) -> TrainedModel:
        if isinstance(config, DecoderConfig):
            return TrainedModel(build_decoder(config, self.words).eval(), self.data.tokenizer, [])
        pairs = word_pairs(self.words, self.data.train.ids)
        return TrainedModel(
            build_classifier(config, self.words, 3, pairs=pairs).eval(),
            self.data.tokenizer,
            self.data.corpus.class_names,
        )

    def tokenizer(self, kind: Any) -> Tokenizer:
        texts = [row.text for row in self.data.corpus.train]
        return Tokenizer.build(texts, tokenization=Tokenization(kind, 300 if kind == "bpe" else None))

    @contextmanager
    def replaced(self, path: Path, content: bytes) -> Iterator[None]:
        """Within it a file has this content."""
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        try:
            yield
        finally:
            path.unlink(missing_ok=True) if before is None else path.write_bytes(before)


def use(trained: TrainedModel, text: str, random: Random) -> None:
    """What the commands do with a model."""
    if max(trained.model.config.block_size, trained.model.config.n_embd) > 1000:
        return  # it would take its time, rightly
    if isinstance(trained.model.config, ClassifierConfig):
        classify(trained, text)
    else:
        top_k, top_p = random.choice((None, 1, 3)), random.choice((None, 0.5, 1e-9))
        sampling = Sampling(3, random.choice((0.0, 1e-300, 0.8, 1e300)), top_k, top_p, use_cache=random.random() < 0.5)
        continued(trained, text, sampling)
    if trained.model.config.n_layer:
        attention_maps(trained, text)
    read_sentence(trained, text)


def packed(tensors: dict[str, torch.Tensor], description: str) -> bytes:
    """A file of `write_tensors` with any description."""
    checksum = sha256(description.encode() + save(tensors))
    return save(tensors, metadata={"description": checksum + description})


def unpacked(content: bytes) -> tuple[dict[str, torch.Tensor], str]:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return load(content), header["__metadata__"]["description"][64:]


def mutated_tensors(tensors: dict[str, torch.Tensor], random: Random) -> dict[str, torch.Tensor]:
    """Tensors of which one is of another shape, type or value, has another name, or is gone."""
    found = dict(tensors)
    name = random.choice(list(found))
    tensor = found.pop(name)
    match random.randrange(9):
        case 0:
            return found
        case 1:
            return {
                **found,
                random.choice(("", "x", f"{name}.x", "optimizer.0.step", "optimizer.x.step", "model.")): tensor,
            }
        case 2:
            types = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
            changed = tensor.to(random.choice([*types, torch.float8_e4m3fn, torch.complex64]))
        case 3:
            changed = random.choice((tensor[None], tensor.flatten(), tensor.flatten()[:0], tensor.sum()))
        case 4:
            changed = tensor * random.choice((0, -1, 1e30, 1e38))
        case 5 if tensor.is_floating_point() and tensor.numel():
            changed = tensor.clone()
            changed.view(-1)[random.randrange(tensor.numel())] = random.choice((torch.nan, torch.inf, -torch.inf, 1e38))
        case 6:
            changed = torch.zeros(random.choice(((0,), (1,), (3, 0), (8, 8), (1, 1, 1))))
        case 7 if len(found):
            other = random.choice(list(found))
            return {**found, name: found[other].clone(), other: tensor}
        case _:
            changed = tensor.flip(0) if tensor.dim() else tensor + 1
    return {**found, name: changed.contiguous()}


# ------------------------------------------------------------------------------------------------- weights, checkpoints
def readers_of_weights(world: World) -> list[Reader]:
    contents = [unpacked(content) for content in world.files]
    path = world.folder / "mutated.safetensors"
    sentences = ["We will work", "a", "zeppelin of the land"]

    def read(content: bytes, random: Random) -> None:
        path.write_bytes(content)
        use(load_model(path), random.choice(sentences), random)

    def described(random: Random) -> None:
        tensors, description = random.choice(contents)
        read(packed(tensors, mutated_json(json.loads(description), random)), random)

    def settings(random: Random) -> None:
        tensors, description = random.choice(contents)
        value = json.loads(description)
        value["architecture"] = mutated_value(value["architecture"], random)
        read(packed(tensors, json.dumps(value)), random)

    def tensors(random: Random) -> None:
        found, description = random.choice(contents)
        read(packed(mutated_tensors(found, random), description), random)

    def changed(random: Random) -> None:
        read(mutated_bytes(random.choice(world.files), random), random)

    return [
        Reader("weights: description", 60, described),
        Reader("weights: settings", 100, settings),
        Reader("weights: tensors", 25, tensors),
        Reader("weights: bytes", 1500, changed),
    ]


def readers_of_checkpoints(world: World) -> list[Reader]:
    contents, tasks = [], []
    for run in RUNS:
        task = task_of(run, world.data, CPU)
        path = world.folder / f"{run.name}.checkpoint"
        checkpoints = Checkpoints(path, {"run": run.name}, task.measures)
        train(task, run.recipe.training, 0, checkpoints, told=False)
        if not path.exists():
            raise RuntimeError("no checkpoint was written")
        contents.append(path.read_bytes())
        tasks.append((task, make_optimizer(task.model, run.recipe.training), checkpoints))
    parts = [unpacked(content) for content in contents]

    def read(number: int, content: bytes) -> State[Any]:
        task, optimizer, checkpoints = tasks[number]
        checkpoints.path.write_bytes(content)
        return checkpoints.restore(task.model, optimizer, len(task.plan), task.evaluate_at)

    def described(random: Random) -> None:
        number = random.randrange(2)
        tensors, description = parts[number]
        read(number, packed(tensors, mutated_json(json.loads(description), random)))

    def tensors(random: Random) -> None:
        number = random.randrange(2)
        found, description = parts[number]
        read(number, packed(mutated_tensors(found, random), description))

    def changed(random: Random) -> None:
        number = random.randrange(2)
        read(number, mutated_bytes(contents[number], random))

    return [
        Reader("checkpoints: state", 40, described),
        Reader("checkpoints: tensors", 25, tensors),
        Reader("checkpoints: bytes", 800, changed),
    ]


# ------------------------------------------------------------------------------------------------------------- records
def readers_of_records(world: World) -> list[Reader]:
    folder, data = world.place, world.data
    records = [folder.record(run) for run in RUNS]
    texts = [path.read_bytes() for path in records]
    study = Study("report", RUNS[0].recipe, RUNS[1].recipe, (0,), timed_share=0.01)
    attention_over_test(RUNS[0], data, folder)
    perplexity_by_length(RUNS[1], data, folder)
    timing.time_variants(study, data, folder)
    kept = {
        name: (folder.path / "runs" / f"{name}.json")
        for name in ("classifier.attention", "decoder.lengths", "timing-classifier")
    }
    kept_texts = {name: path.read_bytes() for name, path in kept.items()}
    again: dict[str, Callable[[], object]] = {
        "classifier.attention": lambda: attention_over_test(RUNS[0], data, folder),
        "decoder.lengths": lambda: perplexity_by_length(RUNS[1], data, folder),
        "timing-classifier": lambda: timing.time_variants(study, data, folder),
    }

    def runs(random: Random) -> None:
        number = random.randrange(2)
        records[number].write_bytes(mutated_json(json.loads(texts[number]), random).encode(errors="surrogatepass"))
        recorded(RUNS[number], data, folder)

    def remembered(random: Random) -> None:
        name = random.choice(list(kept))
        value = json.loads(kept_texts[name])
        whole = mutated_json(value["value"], random)
        text = f'{{"value": {whole}, "identity": {json.dumps(value["identity"])}}}'
        kept[name].write_bytes(text.encode(errors="surrogatepass"))
        again[name]()

    results = made_up()
    about = {"command": "part", "label": "", "data": msgspec.to_builtins(data.corpus.about()), "baselines": {}}
    part1 = {**results, **json.loads(texts[0]), **about, "n_truncated": {"train": 0, "test": 0}, "mistakes": []}
    reliability = {
        "bins": [{"n": 1, "confidence": 50.0, "accuracy": 0.0}],
        "error": {"all": 50.0, "seen": None},
        "chance": {},
    }
    part1["calibration"] = {"temperature": 2.0, "n_rows": 0, "note": "", "as_trained": reliability}
    part1["calibration"]["calibrated"] = reliability
    part2 = {**results, **about, "protocol": "", "models": [json.loads(texts[1])], "unk_rate": {}}
    whole = {**results, "claims": []}
    kinds: list[tuple[type, str]] = [
        (Part1Results, json.dumps(part1)),
        (Part2Results, json.dumps(part2)),
        (Part3Results, json.dumps(whole)),
        (ReportResults, json.dumps(whole)),
    ]
    for kind, text in kinds:
        msgspec.json.decode(text, type=kind)  # they are whole

    def other_results(random: Random) -> None:
        kind, text = random.choice((*kinds[:2] * 8, *kinds[2:]))
        world.file.write_bytes(mutated_json(json.loads(text), random).encode(errors="surrogatepass"))
        read_as(world.file, kind)

    values = {"the recipe": [60.0, 61.5, 62.0], "no positions": [58.0, 59.0, 61.0], "width 64": [60.5, 61.0, 63.0]}
    ablation = json.dumps(msgspec.to_builtins(made_up_ablation(range(3), classifier=values, decoder=values)))

    def ablated(random: Random) -> None:
        world.file.write_bytes(mutated_json(json.loads(ablation), random).encode(errors="surrogatepass"))
        ablation_text(read_ablation(world.file))

    return [
        Reader("records: runs", 900, runs),
        Reader("records: timing, lengths, attention", 600, remembered),
        Reader("records: results of parts and report", 4, other_results),
        Reader("records: results of ablation", 600, ablated),
    ]


# ---------------------------------------------------------------------------------------------------------------- texts
def readers_of_texts(world: World) -> list[Reader]:
    names = sorted(path.name for path in world.data_folder.iterdir())
    extra = {
        "labels.tsv": b"0\tObama\n1\tG. W. Bush\n2\tBush\n",
        "manifest.json": json.dumps({"files": dict.fromkeys(names, "0" * 64), "speakers": []}).encode(),
    }

    def mutated_file(random: Random) -> tuple[Path, bytes]:
        name = random.choice((*names, *extra))
        path = world.data_folder / name
        content = extra[name] if name in extra else path.read_bytes()
        if random.random() < 0.3:
            return path, mutated_bytes(content, random)
        if name == "manifest.json":
            return path, mutated_json(json.loads(content), random).encode(errors="surrogatepass")
        lines = content.decode().splitlines(keepends=True)
        line = random.randrange(len(lines))
        lines[line] = mutated_text(lines[line], random)
        return path, "".join(lines if random.random() < 0.8 else lines[line:][:1]).encode(errors="surrogatepass")

    def folders(random: Random) -> Data:
        path, content = mutated_file(random)
        with world.replaced(path, content):
            return load_data(world.data_folder, 8)

    def audits(random: Random) -> None:
        path, content = mutated_file(random)
        with world.replaced(path, content):
            render(audit(world.data_folder, 8))

    def tokens(random: Random) -> None:
        text, tokenizer = any_text(random, world.words), random.choice(world.tokenizers)
        with_unknown = tokenizer.encode(text), tokenizer.unknown(text)
        tokenizer.decode(*with_unknown)

    def words(random: Random) -> None:
        tokenize(any_text(random, world.words, most=30))

    def vocabularies(random: Random) -> None:
        tokenizer = random.choice(world.tokenizers)
        try:
            found = Tokenizer.from_json(mutated_value(json.loads(json.dumps(tokenizer.to_json())), random))
        except ValueError as error:  # which load_model turns into a line
            raise UserError(str(error)) from error
        found.decode(found.encode("We will work\u00e9 \u4eca"))

    source, out = world.folder / "texts", world.folder / "imported"

    def imports(random: Random) -> None:
        shutil.rmtree(source, ignore_errors=True)
        for speaker in ("one", "two", random.choice(TEXTS)):
            folder = source / speaker.replace("/", "").replace("\0", "")[:40]
            if not folder.exists():
                folder.mkdir(parents=True)
            sentences = [" ".join(random.choices(world.words[2:], k=12)).capitalize() + "." for _ in range(150)]
            text = "\n\n".join(sentences)
            content = (mutated_text(text, random) if random.random() < 0.5 else text).encode(errors="surrogatepass")
            (folder / "a.txt").write_bytes(mutated_bytes(content, random) if random.random() < 0.2 else content)
        shutil.rmtree(out, ignore_errors=True)
        import_folder(source, out)

    def lines(random: Random) -> None:
        text = "\n".join(any_text(random, world.words) for _ in range(3)).encode(errors="surrogatepass")
        world.file.write_bytes(mutated_bytes(text, random))
        with world.file.open(encoding="utf-8") as file, patched_input(file):
            list(lines_of_standard_input())

    return [
        Reader("data: folders", 30, folders),
        Reader("data: audit", 3, audits),
        Reader("data: import", 3, imports),
        Reader("tokenizer: texts", 1200, tokens),
        Reader("tokenizer: words", 500, words),
        Reader("tokenizer: vocabularies", 1500, vocabularies),
        Reader("standard input", 1260, lines),
    ]


@contextmanager
def patched_input(file: Any) -> Iterator[None]:
    import sys

    before, sys.stdin = sys.stdin, file
    try:
        yield
    finally:
        sys.stdin = before


# ------------------------------------------------------------------------------------------------- commands, inference
LINES = [
    "part1 --epochs 2 --positions alibi --dropout 0.1 --set drop_path=0 n_members=1",
    "part2 --ff-dims 256 100 --iterations 3 --recipe best --tokenizer bpe --vocabulary-size 500",
    "part3 --alibi --seeds 5 --workers 2",
    "report --quick --data-dir mine --ablation runs/ablation/results.json",
    "ablation --task decoder --changes width --seeds 3",
    "compare --vary positions=learned,alibi --base n_layer=2 --measure macro-f1 --validate",
    "classify sentence --model x.safetensors",
    "generate prompt --n-tokens 5 --temperature 0.5 --top-k 3 --top-p 0.9 --seed 3",
    "attention sentence --out runs/attention",
    "data build --speakers lincoln --split speech --seed 3",
    "data audit --data-dir x --block-size 8",
    "data import --from texts --out mine",
    "tokenizers --sizes 300 400 --block-sizes 8 16",
    "settings",
]
WORDS = sorted({word for line in LINES for word in line.split()} | {"--help", "-h", "--", "-", "--x", "--seed=", "="})
VARIED = ["positions=learned,alibi", "dropout=0.1,0.2", "n_layer=1,2", "norm=pre", "clip=none", "ff-dim=8", "beta2=0.9"]
ENVIRONMENT = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


def readers_of_commands(world: World) -> list[Reader]:
    commands = {name: command for name, (command, _) in COMMANDS.items()}

    def strange(random: Random) -> str:
        value = str(random.choice((*STRANGE, *TEXTS, *WORDS, "9" * 100, "-" + "9" * 50, "1e400", "nan")))
        return value

    def arguments(random: Random) -> list[str]:
        words = random.choice(LINES).split()
        for _ in range(random.choice((1, 1, 2, 4))):
            folder = random.randrange(len(words) + 1)
            words[folder : folder + random.randrange(2)] = [strange(random)] * random.randrange(3)
        return words

    def lines(random: Random) -> None:
        typed = Typed(tuple(arguments(random)))
        if overview(typed, commands, "") is None:
            read(typed, name_of(typed, commands), commands)

    def settings(random: Random) -> None:
        vary = [mutated_text(random.choice(VARIED), random) for _ in range(random.randrange(3))]
        base = mutated_text(random.choice(VARIED), random) if random.random() < 0.5 else None
        task: Task = random.choice(("classifier", "decoder"))
        variants_of(task, vary, base, [mutated_text(random.choice(VARIED), random)])

    def environment(random: Random) -> None:
        found = dict(ENVIRONMENT)
        for _ in range(random.randrange(1, 3)):
            found[random.choice(list(ENVIRONMENT))] = strange(random)
        found.pop(random.choice((*ENVIRONMENT, "none")), None)
        rank(found)

    def inputs(random: Random) -> None:
        use(random.choice(world.models), any_text(random, world.words, most=20), random)

    return [
        Reader("command line: parsed", 10, lines),
        Reader("command line: settings", 10, settings),
        Reader("environment", 500, environment),
        Reader("sentences and prompts", 30, inputs),
    ]


def all_readers(folder: Path) -> list[Reader]:
    """Every reader, fed from files in `folder`."""
    os.environ["ORATOR_CACHE"] = str(folder / "cache")
    world = World(folder)
    makers = (readers_of_weights, readers_of_checkpoints, readers_of_records, readers_of_texts, readers_of_commands)
    return [reader for make in makers for reader in make(world)]
