"""Orator's command line: one dataclass per command. `python main.py COMMAND --help` explains each."""

import contextlib
import io
import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from common.arguments import mistake
from common.checks import check
from common.files import Interrupted, UserError, append_text, around_marks, write_json

# Only what the parser needs is imported above; each command imports its own modules, so that --help comes at once.

PURPOSE = "A laboratory of small transformers. `python main.py COMMAND --help` explains each command."
EXIT_FAILED, EXIT_BAD_USE, EXIT_LEAKAGE, EXIT_INTERRUPTED = 1, 2, 3, 130

RecipeName = Literal["report", "best"]
PositionMethod = Literal["learned", "sinusoidal", "alibi", "rope", "t5", "none"]

Setting = TypeVar("Setting")
Optional = Annotated[Setting | None, tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint="")]
FromRecipe = Annotated[
    Setting | None, tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint="(default: the recipe's)")
]


@dataclass(frozen=True)
class Common:
    """What every command that trains takes."""

    data_dir: Path = Path("speechesdataset")
    """folder with the six data files; built there if none of them exists"""
    out: Optional[Path] = None
    """folder for results, weights and figures (default: runs/<command>)"""
    seed: int = 0
    """seed of initialisation, data order and dropout"""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """where to compute; auto takes a GPU if there is one"""
    threads: int = 1
    """processor threads of a run; results are reproducible only with the same number"""


@dataclass(frozen=True)
class Tokenized(Common):
    """What commands take whose models may read other tokens than words."""

    tokenizer: Literal["word", "bpe", "character"] = "word"
    """what a text is cut into; bpe, subwords learned from the training files, and character take any script"""
    vocabulary_size: Annotated[
        int | None, tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint="(default: 4000)")
    ] = None
    """how many tokens bpe has"""


@dataclass(frozen=True)
class Training(Tokenized):
    """What part1 and part2 take besides: a recipe, and settings to use in place of the recipe's."""

    recipe: RecipeName = "report"
    """report: as published; best: the strongest that this project knows, within the report's budget"""
    resume: bool = False
    """go on with the interrupted run in --out; it ends with the numbers of one never interrupted"""

    positions: FromRecipe[PositionMethod] = None
    """how the model knows where a token stands"""
    window: FromRecipe[int] = None
    """attend only to tokens at most this many places away"""
    n_embd: FromRecipe[int] = None
    """size of the token vectors"""
    n_head: FromRecipe[int] = None
    """attention heads in each layer"""
    n_layer: FromRecipe[int] = None
    """layers; 0: no attention"""
    block_size: FromRecipe[int] = None
    """tokens that the model reads at once"""
    dropout: FromRecipe[float] = None
    """rate on attention weights, feed-forward network, residual branches and classifier head"""
    alibi_slope_scale: FromRecipe[float] = None
    """ALiBi: factor on every head's slope"""

    batch_size: FromRecipe[int] = None
    """rows of a step"""
    learning_rate: FromRecipe[float] = None
    """Adam's step size"""
    weight_decay: FromRecipe[float] = None
    """decoupled weight decay on matrices"""
    schedule: FromRecipe[Literal["constant", "linear", "cosine"]] = None
    """learning rate over the run"""
    warmup: FromRecipe[float] = None
    """share of the steps in which the learning rate rises"""
    label_smoothing: FromRecipe[float] = None
    """share of the target that is spread over all classes or words"""
    clip: FromRecipe[float] = None
    """largest norm of the gradient"""
    accumulate: FromRecipe[int] = None
    """parts in which a batch is computed, to save memory"""
    precision: FromRecipe[Literal["float32", "bf16"]] = None
    """bf16: matrix products in bfloat16"""
    compile: bool = False
    """use torch.compile"""


@dataclass(frozen=True)
class Part1(Training):
    """Train the classifier: who said it? Table 1, Figures 1 to 3, baselines."""

    epochs: FromRecipe[int] = None
    """passes over the training rows"""
    ff_dim: FromRecipe[int] = None
    """hidden size of the feed-forward network"""
    alibi_one_sided: bool = False
    """ALiBi: even heads look back only, odd heads ahead only"""
    pooling: FromRecipe[Literal["mean", "masked-mean", "cls"]] = None
    """mean counts padding, as the report does; masked-mean and cls mask it everywhere"""
    batch_norm: bool = False
    """batch norm after the first linear layer of the head"""
    by_length: bool = False
    """batches of rows of like length"""


@dataclass(frozen=True)
class Part2(Training):
    """Train the decoder: how surprising is it? Tables 2 and 3, Figures 4 to 7, n-gram baseline."""

    iterations: FromRecipe[int] = None
    """training steps"""
    ff_dims: Annotated[
        tuple[int, ...] | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(help_behavior_hint="(default: 256 100; best: 512)"),
    ] = None
    """hidden sizes of the feed-forward network, a model each"""


@dataclass(frozen=True)
class Seeds(Common):
    """What commands take that train many models."""

    seeds: int = 5
    """paired seeds: --seed, the next one, and so on"""
    workers: Optional[int] = None
    """runs at the same time, a process each; the tables do not depend on it (default: as many as the cores allow)"""


@dataclass(frozen=True)
class Study(Seeds, Tokenized):
    """What part3 and report take besides."""

    recipe: RecipeName = "report"
    """report: as published; best: the strongest that this project knows, within the report's budget"""
    epochs: FromRecipe[int] = None
    """passes over the classifier's training rows"""
    iterations: FromRecipe[int] = None
    """training steps of the decoder"""


@dataclass(frozen=True)
class Part3(Study):
    """The exploration: which differences are real? Without --alibi and --regularize, both halves."""

    seeds: int = 1
    """paired seeds: --seed, the next one, and so on; 5 tell which differences are real"""
    alibi: bool = False
    """position methods: Tables 4 and 5, Figures 8 to 10, inference lengths"""
    regularize: bool = False
    """batch norm and dropout: Figure 11"""
    resume: bool = False
    """go on with the interrupted runs in --out"""


@dataclass(frozen=True)
class Report(Study):
    """Everything, over several seeds: a page with a verdict on each of the report's claims. Reuses what --out has."""

    quick: bool = False
    """a small version in under three minutes, to see that everything works; its numbers mean nothing"""
    docs: Optional[Path] = None
    """Markdown file that gets the tables, between its two marks for results: docs/results.md"""
    ablation: Optional[Path] = None
    """results of the best recipe's ablation, for the page (default: runs/ablation/results.json if it is there)"""


@dataclass(frozen=True)
class Ablation(Seeds):
    """What each ingredient of the best recipe brings, by validation: the recipe without it, over several seeds."""

    task: Optional[Literal["classifier", "decoder"]] = None
    """only this recipe (default: both)"""
    changes: Optional[tuple[str, ...]] = None
    """only these, as the table calls them, each in quotes (default: all)"""
    docs: Optional[Path] = None
    """Markdown file that gets the tables, between its two marks for the ablation: docs/ablation.md"""
    log: Optional[Path] = None
    """Markdown file to which the tables are added, under today's date"""
    resume: bool = False
    """go on with the interrupted runs in --out"""


@dataclass(frozen=True)
class Measure(Seeds):
    """Both recipes for both tasks on the test set, beside their opponents: for speakers that no choice has touched."""

    docs: Optional[Path] = None
    """Markdown file that gets the tables, between its two marks for the measurement: docs/measurement.md"""
    resume: bool = False
    """go on with the interrupted runs in --out"""


@dataclass(frozen=True)
class Tokenizers(Seeds):
    """Words, subwords and characters beside each other: classifier and decoder with each, in bits per byte."""

    recipe: RecipeName = "report"
    """report: as published; best: the strongest that this project knows, within the report's budget"""
    task: Optional[Literal["classifier", "decoder"]] = None
    """only this one (default: both)"""
    sizes: Optional[tuple[int, ...]] = None
    """how many tokens bpe has, a model each (default: 4000)"""
    block_sizes: FromRecipe[tuple[int, ...]] = None
    """tokens that a model reads at once, a model each"""
    validation: bool = False
    """measure on what is held out of the training files, to choose by, and not on the test set"""
    docs: Optional[Path] = None
    """Markdown file that gets the tables, between its two marks: docs/tokenizers.md"""
    resume: bool = False
    """go on with the interrupted runs in --out"""


@dataclass(frozen=True)
class Classify:
    """Say who said it, with probabilities, one line per sentence. Without sentences, reads standard input."""

    sentences: tyro.conf.Positional[tuple[str, ...]] = ()
    """each in quotes"""
    model: Path = Path("runs/part1/classifier.safetensors")
    """weights of a classifier"""


@dataclass(frozen=True)
class Attention:
    """Draw where a trained model looks in a sentence: first and last layer, every head."""

    sentence: tyro.conf.Positional[str]
    """in quotes"""
    model: Path = Path("runs/part1/classifier.safetensors")
    """weights of a classifier or a decoder"""
    out: Path = Path("runs/attention")
    """folder for the figures"""


@dataclass(frozen=True)
class Generate:
    """Go on with a text, in the words of a trained decoder."""

    prompt: tyro.conf.Positional[str] = ""
    """in quotes; may be empty"""
    model: Optional[Path] = None
    """weights of a decoder (default: the newest in runs/part2)"""
    n_tokens: int = 60
    """how many tokens to add"""
    temperature: float = 0.8
    """below 1 more cautious, above 1 more adventurous; 0 always takes the likeliest token"""
    top_k: Optional[int] = None
    """draw only among the k likeliest tokens"""
    top_p: Optional[float] = 0.95
    """draw only among the likeliest tokens whose probabilities add up to this"""
    seed: int = 0
    """seed of the drawing"""


Split = Literal["stretch", "speech"]


@dataclass(frozen=True)
class Build:
    """Make a data folder from State of the Union addresses."""

    out: Path = Path("speechesdataset")
    """folder for the files; data that are already there are never overwritten"""
    speakers: Optional[tuple[str, ...]] = None
    """presidents, such as lincoln roosevelt-32 obama; or all (default: obama wbush hbush)"""
    split: Split = "stretch"
    """what goes to the test set whole: stretches of speeches, or speeches"""
    seed: int = 0
    """seed of the split"""


@dataclass(frozen=True)
class Import:
    """Make a data folder from your own texts: a folder of .txt files, a sub-folder a speaker."""

    source: Annotated[Path, tyro.conf.arg(name="from")]
    """folder with a sub-folder of .txt files for each speaker"""
    out: Path
    """folder for the files; data that are already there are never overwritten"""
    split: Split = "stretch"
    """what goes to the test set whole: stretches of texts, or texts"""
    seed: int = 0
    """seed of the split"""


@dataclass(frozen=True)
class Audit:
    """Examine a data folder: balance, duplicates, leaks. Exit code 3 if test data appear in the training data."""

    data_dir: Path = Path("speechesdataset")
    """folder with the data files"""
    out: Path = Path("runs/audit")
    """folder for audit.json"""
    block_size: int = 32
    """tokens at which a model would cut a row"""


@dataclass(frozen=True)
class DataCommand:
    """Make and examine data."""

    action: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Build, tyro.conf.subcommand("build")]
        | Annotated[Audit, tyro.conf.subcommand("audit")]
        | Annotated[Import, tyro.conf.subcommand("import")]
    ]


Command = (
    Annotated[Part1, tyro.conf.subcommand("part1")]
    | Annotated[Part2, tyro.conf.subcommand("part2")]
    | Annotated[Part3, tyro.conf.subcommand("part3")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Ablation, tyro.conf.subcommand("ablation")]
    | Annotated[Measure, tyro.conf.subcommand("measure")]
    | Annotated[Tokenizers, tyro.conf.subcommand("tokenizers")]
    | Annotated[Classify, tyro.conf.subcommand("classify")]
    | Annotated[Attention, tyro.conf.subcommand("attention")]
    | Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[DataCommand, tyro.conf.subcommand("data")]
)


# ----------------------------------------------------------------------------------------------- what the commands do


def run_part1(command: Part1) -> None:
    from reporting.terminal import part1_text
    from studies.part1 import part1
    from studies.recipes import RECIPES
    from training.recipe import customise

    check(command, "at least 1", "epochs")
    recipe = customise(RECIPES[command.recipe]["classifier"], **overrides(command))
    data, place = prepare(command, "part1", recipe)
    show(part1_text, part1(command.recipe, recipe, command.seed, data, place), place)


def run_part2(command: Part2) -> None:
    from reporting.terminal import part2_text
    from studies.part2 import part2
    from studies.recipes import FF_DIMS, RECIPES
    from training.recipe import customise

    check(command, "at least 1", "iterations")
    recipe = customise(RECIPES[command.recipe]["decoder"], **overrides(command))
    ff_dims = FF_DIMS[command.recipe] if command.ff_dims is None else command.ff_dims
    data, place = prepare(command, "part2", recipe)
    results = part2(command.recipe, recipe, ff_dims, command.seed, data, place, as_cores_allow(command))
    show(part2_text, results, place)


def run_part3(command: Part3) -> None:
    from reporting.terminal import part3_text
    from studies.part3 import part3

    both = command.alibi == command.regularize
    study = make_study(command, alibi=command.alibi or both, regularize=command.regularize or both)
    data, place = prepare(command, "part3", study.classifier)
    show(part3_text, part3(study, data, place), place)


def run_report(command: Report) -> None:
    from dataset import load_data
    from reporting import documents, page
    from speechesdataset.build import ensure_data
    from training.machine import machine
    from training.processes import pick_device
    from training.runs import Place

    tokenization = tokenization_of(command)
    name = "report"
    if command.quick:
        name = "report-quick"
        few = {"epochs": 2, "iterations": 50}
        given = {setting: getattr(command, setting) for setting in few if getattr(command, setting) is not None}
        command = replace(command, seeds=min(command.seeds, 2), **few | given)
    if command.docs is not None:
        around_marks(command.docs, documents.RESULTS_MARK)  # without marks it is refused now, not after the runs
    ablation = command.ablation or Path("runs/ablation/results.json")
    ingredients = page.read_ablation(ablation) if command.ablation or ablation.exists() else None
    study = make_study(command, ff_dims=(256, 100), **({"timed_share": 0.3} if command.quick else {}))
    set_threads(command)
    place = Place(command.out or Path("runs") / name, pick_device(command.device))
    ensure_data(command.data_dir)
    block_size, share = study.classifier.architecture.block_size, 3 if command.quick else 1
    data = load_data(command.data_dir, block_size, share, tokenization)
    settings = json.loads(json.dumps({"command": "report", **asdict(command), "machine": machine()}, default=str))
    config = place.out / "config.json"
    if not config.exists():
        write_json(config, settings)
    results = page.report(study, data, place, command_line(), command.quick, ingredients)
    write_json(config, settings)  # runs that were there are reused, and other settings' would have been refused
    if command.docs is not None:
        documents.fill_results(command.docs, results)
    print(page.report_text(results))
    print(f"The page: {place.out / 'report.html'} and {place.out / 'report.md'}")


def run_ablation(command: Ablation) -> None:
    from reporting import documents, terminal
    from studies.ablation import ablation, chosen
    from studies.recipes import RECIPES

    changes = chosen(command.task, command.changes)
    if command.docs is not None:
        if command.task or command.changes:
            raise UserError("--docs takes the whole ablation; leave out --task and --changes, or use --log")
        around_marks(command.docs, documents.ABLATION_MARK)
    if command.log is not None:
        append_text(command.log, "")  # a log that cannot be written is refused now, not after the runs
    seeds, n_workers = seeds_and_workers(command)
    data, place = prepare(command, "ablation", RECIPES["best"]["classifier"])
    results = ablation(changes, seeds, data, place, command_line(), n_workers)
    if command.docs is not None:
        documents.fill_ablation(command.docs, results)
    if command.log is not None:
        documents.log_ablation(command.log, results)
    show(terminal.ablation_text, results, place)


def run_measure(command: Measure) -> None:
    from reporting import documents, terminal
    from studies.measure import measure
    from studies.recipes import RECIPES

    if command.docs is not None:
        around_marks(command.docs, documents.MEASURE_MARK)
    seeds, n_workers = seeds_and_workers(command)
    data, place = prepare(command, "measure", RECIPES["best"]["classifier"])
    results = measure(seeds, data, place, command_line(), n_workers)
    if command.docs is not None:
        documents.fill_measurement(command.docs, results)
    show(terminal.measure_text, results, place)


def run_tokenizers(command: Tokenizers) -> None:
    from reporting import documents, terminal
    from studies.recipes import RECIPES
    from studies.tokenizers import compare_tokenizers
    from tokenizer import BPE_SIZE, Tokenization

    recipes = {task: one for task, one in RECIPES[command.recipe].items() if command.task in (None, task)}
    kinds = [*(Tokenization("bpe", size) for size in command.sizes or (BPE_SIZE,)), Tokenization("character")]
    recipe = next(iter(recipes.values()))
    blocks = command.block_sizes or (recipe.architecture.block_size,)
    if command.docs is not None:
        around_marks(command.docs, documents.tokenizers_mark(command.validation))
    seeds, n_workers = seeds_and_workers(command)
    data, place = prepare(command, "tokenizers", recipe)
    results = compare_tokenizers(
        kinds, blocks, command.recipe, recipes, seeds, command.validation, data, place, command_line(), n_workers
    )
    if command.docs is not None:
        documents.fill_tokenizers(command.docs, results)
    show(terminal.tokenizers_text, results, place)


def command_line() -> str:
    """The command that is running, as it would be typed."""
    return shlex.join(["python", "main.py", *sys.argv[1:]])


def seeds_and_workers(command: Seeds) -> tuple[tuple[int, ...], int]:
    """The seeds that a command asks for, and how many of its runs share the machine."""
    from training.processes import process

    check(command, "at least 1", "seeds", "workers")
    if process()[1] > 1:
        raise UserError("runs of several models share the cores by --workers; start them without torchrun")
    return tuple(range(command.seed, command.seed + command.seeds)), command.workers or as_cores_allow(command)


def as_cores_allow(command: Common) -> int:
    """How many runs have the threads that the command gives each for themselves."""
    check(command, "at least 1", "threads")
    return max(1, (os.cpu_count() or 1) // command.threads)


def make_study(command: Study, **settings: Any) -> Any:
    """What a command asks to be run."""
    from studies.recipes import RECIPES
    from studies.study import Study
    from training.recipe import customise

    check(command, "at least 1", "epochs", "iterations")
    seeds, n_workers = seeds_and_workers(command)
    durations = {"classifier": command.epochs, "decoder": command.iterations}
    recipes: dict[str, Any] = {
        task: recipe if durations[task] is None else customise(recipe, duration=durations[task])
        for task, recipe in RECIPES[command.recipe].items()
    }
    return Study(command.recipe, **recipes, seeds=seeds, n_workers=n_workers, **settings)


def overrides(command: Training) -> dict[str, Any]:
    """The settings given on the command line that replace the recipe's, by the recipe's names."""
    durations = {"epochs": "duration", "iterations": "duration"}
    own = {*(field.name for field in fields(Tokenized)), "recipe", "resume", "ff_dims"}
    given = {
        name: value
        for name, value in vars(command).items()
        if name not in own and value is not None and value is not False
    }
    return {durations.get(name, name): value for name, value in given.items()}


def prepare(command: Training | Part3 | Ablation | Measure | Tokenizers, name: str, recipe: Any) -> tuple[Any, Any]:
    """The data of a command and the place for its runs."""
    from dataset import load_data
    from speechesdataset.build import ensure_data
    from training.processes import first_process_first, pick_device
    from training.runs import open_place

    set_threads(command)
    device, tokenization = pick_device(command.device), tokenization_of(command)
    settings = json.loads(json.dumps({"command": name, **asdict(command)}, default=str))
    out = command.out or Path("runs") / name
    with first_process_first():
        ensure_data(command.data_dir)
        data = load_data(command.data_dir, recipe.architecture.block_size, tokenization=tokenization)
        return data, open_place(out, device, {**settings, "settings": asdict(recipe)}, command.resume)


def tokenization_of(command: Common) -> Any:
    """What a command wants texts to be cut into."""
    from tokenizer import WORDS, Tokenization

    return Tokenization(command.tokenizer, command.vocabulary_size) if isinstance(command, Tokenized) else WORDS


def set_threads(command: Common) -> None:
    """The threads that a command asks for: one, unless told otherwise, so that every machine computes in one way."""
    import torch

    check(command, "at least 1", "threads")
    torch.set_num_threads(command.threads)


def show(table: Callable[[dict[str, Any]], str], results: dict[str, Any], place: Any) -> None:
    """Print the tables of a command and where the rest is; of several processes only the first has results."""
    if results:
        print(table(results))
        print(f"Results, weights and figures: {place.out}/")


def run_classify(command: Classify) -> None:
    from inference.classify import classify
    from training.weights import load_model

    trained = load_model(command.model, "classifier")
    for sentence in command.sentences or (line for line in sys.stdin if line.strip()):
        probabilities = classify(trained, sentence)
        ranked = sorted(probabilities.items(), key=lambda item: -item[1])[:5]
        shares = "  ".join(f"{name} {100 * share:.1f}%" for name, share in ranked)
        print(f"{ranked[0][0]}\t{shares}\t{sentence.strip()}", flush=True)


def run_attention(command: Attention) -> None:
    from inference.attention import draw_attention
    from training.weights import load_model

    paths = draw_attention(command.out, load_model(command.model), command.sentence)
    if not paths:
        raise UserError(f"{command.model}: has no attention to draw; train a model with at least one layer")
    print(*paths, sep="\n")


def run_generate(command: Generate) -> None:
    from inference.generate import Sampling, generate
    from training.weights import load_model

    decoders = sorted(Path("runs/part2").glob("decoder-*.safetensors"), key=lambda path: path.stat().st_mtime)
    newest = decoders[-1] if decoders else Path("runs/part2/decoder-ff256.safetensors")
    trained = load_model(command.model or newest, "decoder")
    sampling = Sampling(command.n_tokens, command.temperature, command.top_k, command.top_p, command.seed)
    print(trained.tokenizer.decode(generate(trained, command.prompt, sampling)))


def run_data(command: DataCommand) -> int:
    action = command.action
    if isinstance(action, Audit):
        return show_audit(action)
    if isinstance(action, Build):
        from speechesdataset.build import build

        speakers = None if action.speakers is None else list(action.speakers)
        manifest = build(action.out, speakers, action.split, action.seed)
    else:
        from speechesdataset.own_texts import import_folder

        manifest = import_folder(action.source, action.out, action.split, action.seed)
    for name, checksum in manifest["files"].items():
        print(f"{checksum[:12]}  {action.out / name}")
    if isinstance(action, Import):
        return show_audit(Audit(action.out, action.out))
    return 0


def show_audit(command: Audit) -> int:
    from reporting.audit import render
    from speechesdataset.audit import audit

    check(command, "at least 1", "block_size")
    findings = audit(command.data_dir, command.block_size)
    write_json(command.out / "audit.json", findings)
    print(render(findings))
    return EXIT_LEAKAGE if findings["has_leakage"] else 0


RUN: dict[type, Callable[[Any], int | None]] = {
    Part1: run_part1,
    Part2: run_part2,
    Part3: run_part3,
    Report: run_report,
    Ablation: run_ablation,
    Measure: run_measure,
    Tokenizers: run_tokenizers,
    Classify: run_classify,
    Attention: run_attention,
    Generate: run_generate,
    DataCommand: run_data,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    command = None
    try:
        command = parse(sys.argv[1:] if arguments is None else arguments)
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # on a busy machine, threads that wait awake all stand still
        from training.processes import keep_freed_memory, processes

        keep_freed_memory()
        with processes():
            return RUN[type(command)](command) or 0
    except UserError as error:
        return complain(str(error), EXIT_BAD_USE)
    except (Interrupted, KeyboardInterrupt) as error:
        resume = " ".join(["python main.py", *(shlex.quote(word) for word in sys.argv[1:] if word != "--resume")])
        resume += "" if isinstance(command, Report) else " --resume"
        hint = f"; to go on: {resume}" if isinstance(command, Training | Seeds) else ""
        return complain(f"{str(error) or 'interrupted'}{hint}", EXIT_INTERRUPTED)
    except UnicodeError:
        return complain("the text is not UTF-8; convert it first", EXIT_BAD_USE)
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return complain(f"{where}{error.strerror or error}; nothing was half written", EXIT_FAILED)


def parse(arguments: list[str]) -> Any:
    """The command that the arguments name; bad use ends the program with one line instead of the parser's box."""
    arguments = [*arguments, "--help"] if arguments in ([], ["data"]) else arguments
    commands = {
        **{kind.__name__.lower(): kind for kind in RUN if kind is not DataCommand},
        **{f"data {kind.__name__.lower()}": kind for kind in (Build, Audit, Import)},
    }
    free_words = ("sentences", "sentence", "prompt")
    if complaint := mistake(arguments, commands, "python main.py", free_words, {"source": "from"}):
        raise SystemExit(complain(complaint, EXIT_BAD_USE))
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # its box
            return tyro.cli(
                Command, prog="main.py", description=PURPOSE, args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        given = shlex.join(arguments)
        remedy = f"see python main.py {arguments[0]} --help"
        raise SystemExit(complain(f"cannot make sense of {given}; {remedy}", EXIT_BAD_USE)) from None


def complain(message: str, code: int) -> int:
    """Print one line to standard error; returns the exit code."""
    if os.environ.get("RANK", "0") == "0" or code == EXIT_FAILED:  # what all processes say is said once
        print("main.py: " + " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
