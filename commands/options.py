"""What commands have in common: their options, and how the questions of a study are asked in a folder."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

import tyro

from common.arguments import Optional, Typed
from common.checks import check
from common.files import UserError, around_marks
from modules.config import PositionMethod
from studies.catalogue.recipes import RECIPES, RecipeName
from studies.settings import read_settings, settings, values_in_recipes, with_settings
from training.recipe import Precision, Recipe, Schedule, Task

if TYPE_CHECKING:
    from dataset import Data
    from studies.answers import Answers
    from studies.question import Question, Study
    from tokenizer import Tokenization
    from training.runs import Folder

Value = TypeVar("Value")
Command = TypeVar("Command")
FromRecipe = Annotated[Value | None, tyro.conf.DisallowNone]  # None: as the recipe has it


def explained(task: Task) -> Callable[[type[Command]], type[Command]]:
    """Adds to the help of a command what each setting among its options means, and its value in both recipes."""

    def explain(command: type[Command]) -> type[Command]:
        known = settings(task)
        for name, kind in get_type_hints(command, include_extras=True).items():
            meaning = known[name].meaning if name in known else None
            values = values_in_recipes(task, name) if getattr(command, name, False) is None else ""
            if meaning or values:
                hint = tyro.conf.arg(help=meaning, help_behavior_hint=f"({values})" if values else None)
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

    def study(
        self, command: str, recipe_name: str, recipes: Mapping[Task, Recipe], *questions: "Question", **more: Any
    ) -> "Study":
        """Questions on this seed. `more`: other fields of the study."""
        from studies.question import Study

        return Study(command, recipe_name, recipes, questions, (self.seed,), self.n_at_once(), **more)

    def answer(self, study: "Study", typed: Typed, share: int = 1, **more: Any) -> "Answers":
        """Ask the questions of a study, on one row in `share` of the data; draw and print the answers. `more`: other
        fields of the answers."""
        from reporting.terminal import show
        from studies.ask import ask
        from studies.figures import draw, draw_maps

        with self.workplace(study, typed, share) as (data, folder):
            answers = ask(study, data, folder, str(typed), **more)
            draw(answers, folder.path / "figures")
            draw_maps(study, answers, folder, data.corpus)
        print(show(answers, {row.line: row.text for row in data.corpus.test}))
        pictures = f"; pictures: {self.out / 'figures'}/" if (self.out / "figures").exists() else ""
        print(f"Results: {self.out}/{pictures}")
        return answers

    def workplace(
        self, study: "Study", typed: Typed, share: int
    ) -> contextlib.AbstractContextManager[tuple["Data", "Folder"]]:
        """The data and the folder of the runs. A command without --resume always goes on with the runs in --out."""
        from studies.workplace import workplace

        resume: bool | None = getattr(self, "resume", None)
        return workplace(
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

    def tokenization(self) -> "Tokenization | None":
        """What texts are cut into; None, words, where there is no choice."""
        return None

    def n_at_once(self) -> int:
        """How many runs there are cores for, at so many threads each."""
        check(self, "from 1 to 1000", "threads")
        return max(1, (os.cpu_count() or 1) // self.threads)


@dataclass(frozen=True)
class Resumable:
    """For commands that start anew, unless they are told to go on."""

    resume: bool = False  # go on with the interrupted runs in --out; the numbers are those of runs never interrupted


@dataclass(frozen=True)
class Tokenized(Common):
    """For commands whose models may read other tokens than words."""

    # what a text is cut into; bpe, subwords learned from the training files, and character take any script
    tokenizer: Literal["word", "bpe", "character"] = "word"
    vocabulary_size: Optional[int] = None  # how many tokens bpe has (default: 4000)

    def tokenization(self) -> "Tokenization":
        from tokenizer import Tokenization

        return Tokenization(self.tokenizer, self.vocabulary_size)


@dataclass(frozen=True)
class Changed:
    """For commands that start from a recipe."""

    # report: as published; best: the strongest that this project knows, within the report's budget
    recipe: RecipeName = "report"


@dataclass(frozen=True)
class Training(Resumable, Changed, Tokenized):
    """For part1 and part2: settings in place of the recipe's, each by its option or by --set."""

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
    given: Annotated[tuple[str, ...], tyro.conf.arg(name="set", help_behavior_hint="")] = ()

    def changed(self, task: Task) -> Recipe:
        """The recipe with what the options and --set give in place of its settings; UserError for a setting that is
        given by both."""
        asked = {name: getattr(self, name, None) for name in settings(task)}
        # Not given is None, or False for a flag; 0 is given, though it equals False
        options = {name: value for name, value in asked.items() if value is not None and value is not False}
        others = read_settings(task, self.given)
        for name in others.keys() & options.keys():
            raise UserError(f"{name} is given by --set and by its option; leave one out")
        return with_settings(RECIPES[self.recipe][task], others | options)


@dataclass(frozen=True)
class Seeds(Common):
    """For commands that train many models."""

    seeds: int = 5  # paired seeds: --seed, the next one, and so on
    # where --seeds cannot tell, train twice as many of what is undecided, and so on up to this number; the intervals
    # pay for the looks
    until_told: Optional[int] = None
    # runs at the same time, a process each; the tables do not depend on it (default: as many as the cores allow)
    workers: Optional[int] = None
    # train on the machines of a Ray cluster, by docs/cluster.md: auto (the one that this machine is part of), the
    # HOST:PORT of its head, or local (default: on this machine, without Ray)
    cluster: Optional[str] = None
    docs: Optional[Path] = None  # Markdown file that gets the tables, between its two marks for this command

    def study(
        self, command: str, recipe_name: str, recipes: Mapping[Task, Recipe], *questions: "Question", **more: Any
    ) -> "Study":
        """Questions on all the seeds."""
        from studies.workplace import paired_seeds

        check(self, "from 1 to 1000", "seeds", "workers", "until_told")
        study = super().study(command, recipe_name, recipes, *questions, **more)
        seeds, n_workers = paired_seeds(self.seed, self.seeds), self.workers or study.n_workers
        return replace(study, seeds=seeds, n_workers=n_workers, until_told=self.until_told)

    def answer(self, study: "Study", typed: Typed, share: int = 1, **more: Any) -> "Answers":
        """As the other commands do; then fill in --docs. A file without marks is refused before anything is trained."""
        from reporting.documents import fill, mark_of

        if self.docs is not None:
            on_folds = any(question.on_folds for question in study.questions)
            around_marks(self.docs, mark_of(study.command, on_folds=on_folds))
        answers = super().answer(study, typed, share, **more)
        if self.docs is not None:
            fill(self.docs, answers)
        return answers

    @contextlib.contextmanager
    def workplace(self, study: "Study", typed: Typed, share: int) -> Iterator[tuple["Data", "Folder"]]:
        """The data and the folder, whose runs are trained on the cluster if there is one."""
        with contextlib.ExitStack() as stack:
            if self.cluster is not None:
                from studies.cluster import joined_cluster

                stack.enter_context(joined_cluster(self.cluster, self.threads))
            data, folder = stack.enter_context(super().workplace(study, typed, share))
            yield data, replace(folder, cluster=self.cluster is not None)


def refuse_idle(command: object, why: str, *names: str) -> None:
    """UserError for the first of these options that was given, for it would do nothing."""
    for name in names:
        if getattr(command, name) != getattr(type(command), name):
            raise UserError(f"--{name.replace('_', '-')} does nothing {why}; leave it out")
