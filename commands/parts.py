"""The three parts of the report, and all of it over several seeds."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from commands.options import Changed, FromRecipe, Resumable, Seeds, Tokenized, Training, explained, refuse_idle
from common.arguments import Optional, Typed
from common.checks import check
from common.files import UserError
from modules.config import Pooling
from studies.catalogue.recipes import RECIPES, widths_of
from studies.settings import read_settings, with_settings

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

    @property
    def model(self) -> Path:
        """The weights that it writes."""
        return self.out / "classifier.safetensors"

    def run(self, typed: Typed) -> None:
        from studies.catalogue.questions import who_said_it

        check(self, "at least 1", "epochs")
        recipe = self.changed("classifier")
        self.answer(self.study("part1", self.recipe, {"classifier": recipe}, who_said_it(recipe)), typed)


@explained("decoder")
@dataclass(frozen=True)
class Part2(Training):
    """Train the decoder: how surprising is it? Tables 2 and 3, Figures 4 to 7, n-gram baseline."""

    out: Path = Path("runs/part2")  # folder for results, weights and figures
    iterations: FromRecipe[int] = None
    ff_dims: FromRecipe[tuple[int, ...]] = None  # hidden sizes of the feed-forward network, a model each
    voices: bool = False  # learn a voice for each speaker; generate, score and classify can then use it

    @property
    def model(self) -> Path | None:
        """The weights that it writes last; None where the commands look for them first."""
        from inference.generate import newest_decoder

        return None if self.out == Part2.out else newest_decoder(self.out)

    def run(self, typed: Typed) -> None:
        from studies.catalogue.questions import how_surprising

        check(self, "at least 1", "iterations")
        if "ff_dim" in read_settings("decoder", self.given):
            raise UserError("--set ff_dim does nothing here, where each model has its own; use --ff-dims")
        recipe = self.changed("decoder")
        question = how_surprising(recipe, widths_of(self.recipe) if self.ff_dims is None else self.ff_dims)
        self.answer(self.study("part2", self.recipe, {"decoder": recipe}, question), typed)


@explained("classifier")
@dataclass(frozen=True)
class Exploration(Changed, Seeds, Tokenized):
    """For part3 and report."""

    epochs: FromRecipe[int] = None
    iterations: FromRecipe[int] = None  # training steps of the decoder

    def exploration(
        self, command: str, alibi: bool = True, regularize: bool = True, report: bool = False, timed_share: float = 0.5
    ) -> "Study":
        """What is asked; `timed_share` of a training is timed with each position method."""
        from studies.catalogue.questions import exploration

        check(self, "at least 1", "epochs", "iterations")
        recipes = dict(RECIPES[self.recipe])
        if self.epochs is not None:
            recipes["classifier"] = with_settings(recipes["classifier"], {"epochs": self.epochs})
        if self.iterations is not None:
            recipes["decoder"] = with_settings(recipes["decoder"], {"iterations": self.iterations})
        questions = exploration(recipes, alibi, regularize, report)
        timed_share = timed_share if alibi else 0.0
        return self.study(command, self.recipe, recipes, *questions, timed_share=timed_share, is_judged=True)


@dataclass(frozen=True)
class Part3(Resumable, Exploration):
    """The exploration: which differences are real? Without --alibi and --regularize, both halves."""

    out: Path = Path("runs/part3")  # folder for results, weights and figures
    seeds: int = 1  # paired seeds: --seed, the next one, and so on; 5 tell which differences are real
    alibi: bool = False  # position methods: Tables 4 and 5, Figures 8 to 10, inference lengths
    regularize: bool = False  # batch norm and dropout: Figure 11

    def run(self, typed: Typed) -> None:
        both = self.alibi == self.regularize
        if self.regularize and not both:
            refuse_idle(self, "with --regularize, which trains no decoder", "iterations")
        self.answer(self.exploration("part3", self.alibi or both, self.regularize or both), typed)


@dataclass(frozen=True)
class Report(Exploration):
    """Everything, over several seeds: a page with a verdict on each of the report's claims. Reuses what --out has."""

    # folder for results, weights and figures; by default, --quick has runs/report-quick
    out: Path = Path("runs/report")
    # a small version in under three minutes, to see that everything works; its numbers mean nothing
    quick: bool = False
    # results.json of this command: judged and shown anew; nothing is trained
    source: Annotated[Optional[Path], tyro.conf.arg(name="from")] = None
    # results of the best recipe's ablation, for the page (default: runs/ablation/results.json if it is there)
    ablation: Optional[Path] = None

    def run(self, typed: Typed) -> None:
        from reporting.page import write_page
        from studies.answers import read_answers

        if self.source is not None:
            self.show_again(self.source)
            return
        if self.quick:
            refuse_idle(self, "with --quick", "until_told", "docs")
        path = self.ablation or Path("runs/ablation/results.json")
        ablation = read_answers(path, "ablation") if self.ablation or path.exists() else None
        command = self.small() if self.quick else self
        study = command.exploration("report", report=True, timed_share=0.3 if self.quick else 0.5)
        answers = command.answer(study, typed, share=3 if self.quick else 1, quick=self.quick, ablation=ablation)
        write_page(answers, command.out)
        print(f"The page: {command.out / 'report.html'} and {command.out / 'report.md'}")

    def small(self) -> "Report":
        """What --quick runs."""
        return replace(
            self,
            out=Path("runs/report-quick") if self.out == Report.out else self.out,
            seeds=min(self.seeds, 2),
            epochs=2 if self.epochs is None else self.epochs,
            iterations=50 if self.iterations is None else self.iterations,
        )

    def show_again(self, source: Path) -> None:
        """Judge and show the results in `source`."""
        from reporting.documents import fill
        from reporting.page import write_page
        from reporting.terminal import show
        from studies.answers import read_answers
        from studies.ask import judged
        from studies.figures import draw

        idle = [name for name in vars(self) if name not in ("source", "out", "docs")]
        refuse_idle(self, "with --from, which trains nothing", *idle)
        answers = judged(read_answers(source, "report"))
        out = Path("runs/report-again") if self.out == Report.out else self.out
        draw(answers, out / "figures")
        write_page(answers, out)
        if self.docs is not None:
            fill(self.docs, answers, again=True)
        print(show(answers))
        print(f"The page: {out / 'report.html'} and {out / 'report.md'}")
