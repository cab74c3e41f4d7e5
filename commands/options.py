"""What commands have in common: options, the folder in which they work, and what they say when they are done."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

import tyro

from common.arguments import Optional, Typed, Value
from common.checks import OtherRun, check
from common.files import UserError
from modules.config import PositionMethod
from studies.catalogue.recipes import DURATIONS, RecipeName, recipes_in_words
from studies.settings import read_settings, settings
from training.recipe import Precision, Schedule, Task
from training.recipe import Value as SettingValue

if TYPE_CHECKING:
    from dataset import Data
    from studies.answers import Answers
    from studies.question import Study
    from tokenizer import Tokenization
    from training.runs import Folder

Class = TypeVar("Class")
FromRecipe = Annotated[Value | None, tyro.conf.DisallowNone]  # None: as the recipe has it

NO_OPTIONS = {"data": "the data folder, by its SHA-256,", "processes": "the number of processes"}


def explained(task: Task) -> Callable[[type[Class]], type[Class]]:
    """Lets the help of a command say of each option that is a setting what it means, and what the recipes have."""

    def explain(command: type[Class]) -> type[Class]:
        known = settings(task)
        for name, kind in get_type_hints(command, include_extras=True).items():
            meaning = known[name].meaning if name in known else None
            recipes = recipes_in_words(task, name) if getattr(command, name, False) is None else None
            if meaning or recipes:
                hint = tyro.conf.arg(help=meaning, help_behavior_hint=f"({recipes})" if recipes else None)
                command.__annotations__[name] = Annotated[kind, hint]
        return command

    return explain


@dataclass(frozen=True)
class Common:
    """What every command that trains takes."""

    data_dir: Path = Path("speechesdataset")  # folder with the six data files; the default ones are built if missing
    out: Path = Path("runs")  # folder for results, weights and figures
    seed: int = 0  # seed of initialisation, data order and dropout
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"  # where to compute; auto takes a GPU if there is one
    threads: int = 1  # processor threads of a run; results are reproducible only with the same number

    def answer(self, study: "Study", typed: Typed, share: int = 1, **extra: Any) -> "Answers":
        """Ask the questions of a study, on one row in `share` of the data; draw and print the answers. `extra`: what
        else the answers hold."""
        from reporting.terminal import show
        from studies.ask import ask
        from studies.figures import draw, draw_maps

        with self.at_work(study, typed, share) as (data, folder):
            answers = ask(study, data, folder, str(typed), **extra)
            draw(answers, folder.path / "figures")
            draw_maps(study, answers, folder, data.corpus)
        print(show(answers, {row.line: row.text for row in data.corpus.test}))
        pictures = f"; pictures: {self.out / 'figures'}/" if (self.out / "figures").exists() else ""
        print(f"Results: {self.out}/{pictures}")
        return answers

    @contextlib.contextmanager
    def at_work(self, study: "Study", typed: Typed, share: int) -> Iterator[tuple["Data", "Folder"]]:
        """The data, one row in `share`, and the folder of the runs. A command without --resume always goes on."""
        from studies.workplace import workplace

        check(self, "from 1 to 1000", "threads")
        resume: bool | None = getattr(self, "resume", None)
        work = workplace(
            self.data_dir,
            self.out,
            block_size=study.block_size,
            device=self.device,
            threads=self.threads,
            settings={"command": study.command, **asdict(self), "settings": study.settings()},
            resume=resume,
            go_on=str(typed if resume is None else typed.to_go_on()),
            share=share,
            tokenization=self.tokenization(),
        )
        try:
            with work as data_and_folder:
                yield data_and_folder
        except OtherRun as error:
            raise UserError(error.calling_it(self.option_of(error.name))) from error

    def option_of(self, setting: str) -> str:
        """What people type for a setting of a run: an option of this command, or what --set takes if it has that."""
        if setting in NO_OPTIONS:
            return NO_OPTIONS[setting]
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

    positions: FromRecipe[PositionMethod] = None
    n_embd: FromRecipe[int] = None
    n_head: FromRecipe[int] = None
    n_layer: FromRecipe[int] = None
    block_size: FromRecipe[int] = None
    dropout: FromRecipe[float] = None

    batch_size: FromRecipe[int] = None
    learning_rate: FromRecipe[float] = None
    weight_decay: FromRecipe[float] = None
    schedule: FromRecipe[Schedule] = None
    warmup: FromRecipe[float] = None
    clip: FromRecipe[float] = None
    precision: FromRecipe[Precision] = None
    # any other setting, name=value: drop_path=0 n_members=1; `python main.py settings` shows all
    given: Annotated[Optional[tuple[str, ...]], tyro.conf.arg(name="set")] = None

    def chosen(self, task: Task) -> dict[str, SettingValue]:
        """What --set gives; UserError for a setting that an option gives, too."""
        chosen = read_settings(task, self.given) if self.given else {}
        for name in chosen.keys() & vars(self).keys():
            if getattr(self, name) not in (None, False):
                raise UserError(f"{name} is given by --set and by its option; leave one out")
        if "ff_dim" in chosen and hasattr(self, "ff_dims"):
            raise UserError("--set ff_dim does nothing here, where each model has its own; use --ff-dims")
        return chosen


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
    def at_work(self, study: "Study", typed: Typed, share: int) -> Iterator[tuple["Data", "Folder"]]:
        if self.cluster is None:
            with super().at_work(study, typed, share) as data_and_folder:
                yield data_and_folder
            return
        from studies.cluster import joined

        with joined(self.cluster, self.threads), super().at_work(study, typed, share) as (data, folder):
            yield data, replace(folder, cluster=True)

    def seeds_and_workers(self) -> tuple[tuple[int, ...], int]:
        """The seeds, and how many of the runs share the machine."""
        from studies.workplace import paired_seeds

        check(self, "from 1 to 1000", "seeds", "workers")
        return paired_seeds(self.seed, self.seeds), self.workers or self.n_at_once()


def refuse_idle(command: object, why: str, *names: str) -> None:
    """UserError for the first of these options that was given, for it would do nothing."""
    for name in names:
        if getattr(command, name) != getattr(type(command), name):
            raise UserError(f"--{name.replace('_', '-')} does nothing {why}; leave it out")
