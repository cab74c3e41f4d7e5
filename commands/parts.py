"""The three parts of the report, and all of it over several seeds."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from commands.options import FromRecipe, Seeds, Tokenized, Training, explained, refuse_idle
from common.arguments import Optional, Typed
from common.checks import check
from common.files import around_marks
from modules.config import Pooling
from studies.catalogue.recipes import RECIPES, RecipeName, widths_of, with_options
from studies.settings import with_settings

if TYPE_CHECKING:
    from studies.question import Study


@explained("classifier")
@dataclass(frozen=True)
class Part1(Training):
    """Train the classifier: who said it? Table 1, Figures 1 to 3, baselines."""

    out: Path = Path("runs/part1")  # folder for results, weights and figures
    epochs: FromRecipe[int] = None
    ff_dim: FromRecipe[int] = None
    pooling: FromRecipe[Pooling] = None
    batch_norm: bool = False
    label_smoothing: FromRecipe[float] = None

    def run(self, typed: Typed) -> None:
        from studies.catalogue.questions import who_said_it
        from studies.question import Study

        check(self, "at least 1", "epochs")
        recipe = with_settings(with_options(self.recipe, "classifier", vars(self)), self.chosen("classifier"))
        questions = (who_said_it(recipe),)
        self.answer(
            Study("part1", self.recipe, {"classifier": recipe}, questions, (self.seed,), self.n_at_once()), typed
        )


@explained("decoder")
@dataclass(frozen=True)
class Part2(Training):
    """Train the decoder: how surprising is it? Tables 2 and 3, Figures 4 to 7, n-gram baseline."""

    out: Path = Path("runs/part2")  # folder for results, weights and figures
    iterations: FromRecipe[int] = None
    ff_dims: FromRecipe[tuple[int, ...]] = None  # hidden sizes of the feed-forward network, a model each
    voices: bool = False  # one for each speaker of the labelled rows, in which generate, score and classify can ask it

    def run(self, typed: Typed) -> None:
        from studies.catalogue.questions import how_surprising
        from studies.question import Study

        check(self, "at least 1", "iterations")
        recipe = with_settings(with_options(self.recipe, "decoder", vars(self)), self.chosen("decoder"))
        ff_dims = widths_of(self.recipe) if self.ff_dims is None else self.ff_dims
        questions = (how_surprising(recipe, ff_dims),)
        self.answer(Study("part2", self.recipe, {"decoder": recipe}, questions, (self.seed,), self.n_at_once()), typed)


@dataclass(frozen=True)
class Exploration(Seeds, Tokenized):
    """What part3 and report take besides."""

    # report: as published; best: the strongest that this project knows, within the report's budget
    recipe: RecipeName = "report"
    epochs: FromRecipe[int] = None  # passes over the classifier's training rows
    iterations: FromRecipe[int] = None  # training steps of the decoder
    # where --seeds cannot tell, train twice as many of what is undecided, and so on up to this number; the intervals
    # pay for the looks
    until_told: Optional[int] = None

    def study(
        self, command: str, alibi: bool = True, regularize: bool = True, report: bool = False, timed_share: float = 0.5
    ) -> "Study":
        """What is asked; `timed_share` of a training is timed with each position method."""
        from studies.catalogue.questions import exploration
        from studies.question import Study

        check(self, "at least 1", "epochs", "iterations")
        recipes = {task: with_options(self.recipe, task, vars(self)) for task in RECIPES[self.recipe]}
        seeds, n_workers = self.seeds_and_workers()
        return Study(
            command,
            self.recipe,
            recipes,
            exploration(recipes, alibi, regularize, report),
            seeds,
            n_workers,
            self.until_told,
            timed_share if alibi else 0.0,
            is_judged=True,
        )


@explained("classifier")
@dataclass(frozen=True)
class Part3(Exploration):
    """The exploration: which differences are real? Without --alibi and --regularize, both halves."""

    out: Path = Path("runs/part3")  # folder for results, weights and figures
    seeds: int = 1  # paired seeds: --seed, the next one, and so on; 5 tell which differences are real
    alibi: bool = False  # position methods: Tables 4 and 5, Figures 8 to 10, inference lengths
    regularize: bool = False  # batch norm and dropout: Figure 11
    resume: bool = False  # go on with the interrupted runs in --out

    def run(self, typed: Typed) -> None:
        both = self.alibi == self.regularize
        self.answer(self.study("part3", self.alibi or both, self.regularize or both), typed)


@explained("classifier")
@dataclass(frozen=True)
class Report(Exploration):
    """Everything, over several seeds: a page with a verdict on each of the report's claims. Reuses what --out has."""

    # folder for results, weights and figures; by default, --quick has runs/report-quick
    out: Path = Path("runs/report")
    # a small version in under three minutes, to see that everything works; its numbers mean nothing
    quick: bool = False
    # Markdown file that gets the tables, between its two marks for results: docs/results.md
    docs: Optional[Path] = None
    # results.json of this command: judged and shown anew; nothing is trained
    source: Annotated[Optional[Path], tyro.conf.arg(name="from")] = None
    # results of the best recipe's ablation, for the page (default: runs/ablation/results.json if it is there)
    ablation: Optional[Path] = None

    def run(self, typed: Typed) -> None:
        from reporting.documents import fill, mark_of
        from reporting.page import write_page
        from studies.answers import read_answers

        if self.docs is not None:  # without marks it is refused now, not after the runs
            around_marks(self.docs, mark_of("report", again=self.source is not None))
        if self.source is not None:
            ignored = [name for name in vars(self) if name not in ("source", "out", "docs")]
            refuse_idle(self, "with --from, which trains nothing", *ignored)
            self.show(self.source)
            return
        if self.quick:
            refuse_idle(self, "with --quick", "until_told")
        path = self.ablation or Path("runs/ablation/results.json")
        ablation = read_answers(path, "ablation") if self.ablation or path.exists() else None
        command = self.small() if self.quick else self
        study = command.study("report", report=True, timed_share=0.3 if self.quick else 0.5)
        answers = command.answer(study, typed, share=3 if self.quick else 1, quick=self.quick, ablation=ablation)
        write_page(answers, command.out)
        print(f"The page: {command.out / 'report.html'} and {command.out / 'report.md'}")
        if self.docs is not None:
            fill(self.docs, answers)

    def show(self, source: Path) -> None:
        """Judge and show the results in `source`."""
        from reporting.documents import fill
        from reporting.page import write_page
        from reporting.terminal import show
        from studies.answers import read_answers
        from studies.ask import judged
        from studies.figures import draw

        answers = judged(read_answers(source, "report"))
        out = Path("runs/report-again") if self.out == Report.out else self.out
        draw(answers, out / "figures")
        write_page(answers, out)
        if self.docs is not None:
            fill(self.docs, answers, again=True)
        print(show(answers))
        print(f"The page: {out / 'report.html'} and {out / 'report.md'}")

    def small(self) -> "Report":
        """What --quick runs."""
        return replace(
            self,
            out=Path("runs/report-quick") if self.out == Report.out else self.out,
            seeds=min(self.seeds, 2),
            epochs=2 if self.epochs is None else self.epochs,
            iterations=50 if self.iterations is None else self.iterations,
        )
