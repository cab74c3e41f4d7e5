"""What commands have in common: options, the place where they work, and how they end."""

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from commands.called import line
from common.arguments import Command, FromRecipe, Optional
from common.checks import OtherRun, check
from common.files import UserError
from modules.config import PositionMethod
from studies.recipes import DURATIONS, RecipeName
from studies.settings import Value, read_settings
from training.recipe import Precision, Recipe, Schedule, Task

if TYPE_CHECKING:
    from dataset import Data
    from tokenizer import Tokenization
    from training.runs import Folder

IN_WORDS = {"data": "the data folder, by its SHA-256,", "processes": "the number of processes"}  # no options


@dataclass(frozen=True)
class Common:
    """What every command that trains takes."""

    data_dir: Path = Path("speechesdataset")  # folder with the six data files; the default ones are built if missing
    out: Path = Path("runs")  # folder for results, weights and figures
    seed: int = 0  # seed of initialisation, data order and dropout
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"  # where to compute; auto takes a GPU if there is one
    threads: int = 1  # processor threads of a run; results are reproducible only with the same number

    @contextlib.contextmanager
    def at_work(
        self, recipe: Recipe, resume: bool | None, again: Command, share: int = 1
    ) -> Iterator[tuple["Data", "Folder"]]:
        """The data and the place of the runs; `again` is the command that goes on if it is interrupted."""
        from studies.workplace import workplace

        check(self, "from 1 to 1000", "threads")
        settings = {"command": type(self).__name__.lower(), **asdict(self), "settings": asdict(recipe)}
        folder = workplace(
            self.data_dir,
            self.out,
            block_size=recipe.architecture.block_size,
            device=self.device,
            threads=self.threads,
            settings=settings,
            resume=resume,
            go_on=line(again),
            share=share,
            tokenization=self.tokenization(),
        )
        try:
            with folder as found:
                yield found
        except OtherRun as error:
            raise UserError(error.calling_it(self.typed(error.name))) from error

    def typed(self, setting: str) -> str:
        """What people type for a setting of a run: an option of this command, or what --set takes if it has that."""
        if setting in IN_WORDS:
            return IN_WORDS[setting]
        names = list(DURATIONS) if setting == "duration" else [setting]
        options = ["--" + name.replace("_", "-") for name in names if hasattr(self, name)]
        return " or ".join(options) or (f"--set {setting}" if hasattr(self, "given") else setting)

    def tokenization(self) -> "Tokenization | None":
        """What texts are cut into; None, words, where there is no choice."""
        return None

    def n_at_once(self) -> int:
        """How many runs have the threads that the command gives each for themselves."""
        check(self, "from 1 to 1000", "threads")
        return max(1, (os.cpu_count() or 1) // self.threads)


@dataclass(frozen=True)
class Tokenized(Common):
    """What commands take whose models may read other tokens than words."""

    # what a text is cut into; bpe, subwords learned from the training files, and character take any script
    tokenizer: Literal["word", "bpe", "character"] = "word"
    vocabulary_size: Optional[int] = None  # how many tokens bpe has (default: 4000)

    def tokenization(self) -> "Tokenization":
        from tokenizer import Tokenization

        return Tokenization(self.tokenizer, self.vocabulary_size)


@dataclass(frozen=True)
class Training(Tokenized):
    """What part1 and part2 take besides: a recipe, and settings to use in place of the recipe's."""

    # report: as published; best: the strongest that this project knows, within the report's budget
    recipe: RecipeName = "report"
    resume: bool = False  # go on with the interrupted run in --out; it ends with the numbers of one never interrupted

    positions: FromRecipe[PositionMethod] = None  # how the model knows where a token stands
    window: FromRecipe[int] = None  # attend only to tokens at most this many places away
    n_embd: FromRecipe[int] = None  # size of the token vectors
    n_head: FromRecipe[int] = None  # attention heads in each layer
    n_layer: FromRecipe[int] = None  # layers; 0: no attention
    block_size: FromRecipe[int] = None  # tokens that the model reads at once
    # rate on attention weights, feed-forward network, residual branches and classifier head
    dropout: FromRecipe[float] = None
    alibi_slope_scale: FromRecipe[float] = None  # ALiBi: factor on every head's slope

    batch_size: FromRecipe[int] = None  # rows of a step
    learning_rate: FromRecipe[float] = None  # Adam's step size
    weight_decay: FromRecipe[float] = None  # decoupled weight decay on matrices
    schedule: FromRecipe[Schedule] = None  # learning rate over the run
    warmup: FromRecipe[float] = None  # share of the steps in which the learning rate rises
    clip: FromRecipe[float] = None  # largest norm of the gradient
    accumulate: FromRecipe[int] = None  # parts in which a batch is computed, to save memory
    precision: FromRecipe[Precision] = None  # bf16: matrix products in bfloat16
    # any other setting, name=value: drop_path=0 n_members=1; `python main.py settings` shows all
    given: Annotated[Optional[tuple[str, ...]], tyro.conf.arg(name="set")] = None

    def chosen(self, task: Task) -> dict[str, Value]:
        """What --set gives; UserError for a setting that an option gives, too."""
        found = read_settings(task, self.given) if self.given else {}
        for name in found.keys() & vars(self).keys():
            if getattr(self, name) not in (None, False):
                raise UserError(f"{name} is given by --set and by its option; leave one out")
        if "ff_dim" in found and hasattr(self, "ff_dims"):
            raise UserError("--set ff_dim does nothing here, where each model has its own; use --ff-dims")
        return found


@dataclass(frozen=True)
class Seeds(Common):
    """What commands take that train many models."""

    seeds: int = 5  # paired seeds: --seed, the next one, and so on
    # runs at the same time, a process each; the tables do not depend on it (default: as many as the cores allow)
    workers: Optional[int] = None
    # train on the machines of a Ray cluster, by docs/cluster.md: auto (the one that this machine is part of), the
    # HOST:PORT of its head, or local (default: on this machine, without Ray)
    cluster: Optional[str] = None

    @contextlib.contextmanager
    def at_work(
        self, recipe: Recipe, resume: bool | None, again: Command, share: int = 1
    ) -> Iterator[tuple["Data", "Folder"]]:
        if self.cluster is None:
            with super().at_work(recipe, resume, again, share) as found:
                yield found
            return
        from studies.cluster import joined

        with joined(self.cluster, self.threads), super().at_work(recipe, resume, again, share) as (data, folder):
            yield data, replace(folder, cluster=True)

    def seeds_and_workers(self) -> tuple[tuple[int, ...], int]:
        """The seeds, and how many of the runs share the machine."""
        from studies.workplace import paired_seeds

        check(self, "from 1 to 1000", "seeds", "workers")
        return paired_seeds(self.seed, self.seeds), self.workers or self.n_at_once()


def first_words(text: str, n: int) -> str:
    """The start of a text of the user's, for a command to try."""
    return " ".join(text.split()[:n])


def finish(data: "Data", text: str, out: Path, then: Command) -> None:
    """Say what a command has found in its data, where it has put everything, and the next one to try."""
    from reporting.terminal import data_line

    print(data_line(data.corpus.about()), text, sep="\n\n")
    pictures = f"; pictures: {out / 'figures'}/" if (out / "figures").exists() else ""
    print(f"Results: {out}/{pictures}")
    print(f"Next: {line(beside(then))}")


def suggest(then: Command) -> None:
    """Say the next command to try, where a person and no other program reads what this one prints."""
    if sys.stdout.isatty():
        print(f"Next: {line(beside(then))}")


def beside(then: Command) -> Command:
    """A command with an --out of its own where it would set aside the run that is there."""
    if not (isinstance(then, Common) and hasattr(then, "resume") and (then.out / "config.json").exists()):
        return then
    free = (path for n in itertools.count(2) if not (path := Path(f"{then.out}-{n}")).exists())
    return replace(then, out=next(free))
