"""The three parts of the report, and all of it over several seeds."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from commands.options import FromRecipe, Seeds, Tokenized, Training, explained, finish, refuse_idle
from common.arguments import Optional, Typed
from common.checks import check
from common.files import around_marks
from modules.config import Pooling
from studies.recipes import FF_DIMS, RECIPES, RecipeName, with_options
from studies.settings import with_settings

if TYPE_CHECKING:
    from studies.study import Study


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
        from reporting.terminal import part1_text
        from studies.part1 import part1

        check(self, "at least 1", "epochs")
        recipe = with_settings(with_options(self.recipe, "classifier", vars(self)), self.chosen("classifier"))
        with self.at_work(recipe, self.resume, typed) as (data, folder):
            results = part1(self.recipe, recipe, self.seed, data, folder, self.n_at_once())
        if results:
            texts = {row.line: row.text for row in data.corpus.test}
            audit = Typed(("data", "audit", "--data-dir", str(self.data_dir)))
            finish(data, part1_text(results, str(audit), texts), self.out)


@explained("decoder")
@dataclass(frozen=True)
class Part2(Training):
    """Train the decoder: how surprising is it? Tables 2 and 3, Figures 4 to 7, n-gram baseline."""

    out: Path = Path("runs/part2")  # folder for results, weights and figures
    iterations: FromRecipe[int] = None
    ff_dims: FromRecipe[tuple[int, ...]] = None  # hidden sizes of the feed-forward network, a model each
    voices: bool = False  # one for each speaker of the labelled rows, in which generate, score and classify can ask it

    def run(self, typed: Typed) -> None:
        from reporting.terminal import part2_text
        from studies.part2 import part2

        check(self, "at least 1", "iterations")
        recipe = with_settings(with_options(self.recipe, "decoder", vars(self)), self.chosen("decoder"))
        ff_dims = FF_DIMS[self.recipe] if self.ff_dims is None else self.ff_dims
        with self.at_work(recipe, self.resume, typed) as (data, folder):
            results = part2(self.recipe, recipe, ff_dims, self.seed, data, folder, self.n_at_once())
        if results:
            finish(data, part2_text(results), self.out)


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

    def study(self, alibi: bool = True, regularize: bool = True) -> "Study":
        """What is to be run."""
        from studies.study import Study

        check(self, "at least 1", "epochs", "iterations")
        classifier, decoder = (with_options(self.recipe, task, vars(self)) for task in RECIPES[self.recipe])
        seeds, n_workers = self.seeds_and_workers()
        return Study(self.recipe, classifier, decoder, seeds, n_workers, alibi, regularize, until_told=self.until_told)


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
        from reporting.terminal import part3_text
        from studies.part3 import part3

        both = self.alibi == self.regularize
        study = self.study(self.alibi or both, self.regularize or both)
        with self.at_work(study.classifier, self.resume, typed) as (data, folder):
            text = part3_text(part3(study, data, folder))
        finish(data, text, self.out)


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
    # results.json of this command, of an earlier version, too: compared, judged and shown anew; nothing is trained
    source: Annotated[Optional[Path], tyro.conf.arg(name="from")] = None
    # results of the best recipe's ablation, for the page (default: runs/ablation/results.json if it is there)
    ablation: Optional[Path] = None

    def run(self, typed: Typed) -> None:
        from reporting import documents, page
        from studies.report import read_ablation, report
        from studies.study import TIMED_SHARE

        if self.docs is not None:
            mark = documents.RESULTS_MARK if self.source is None else documents.AGAIN_MARK
            around_marks(self.docs, mark)  # without marks it is refused now, not after the runs
        if self.source is not None:
            ignored = [name for name in vars(self) if name not in ("source", "out", "docs")]
            refuse_idle(self, "with --from, which trains nothing", *ignored)
            return self.show(self.source)
        if self.quick:
            refuse_idle(self, "with --quick", "until_told")
        ablation = self.ablation or Path("runs/ablation/results.json")
        ingredients = read_ablation(ablation) if self.ablation or ablation.exists() else None
        command = self.small() if self.quick else self
        study = replace(command.study(), ff_dims=FF_DIMS["report"], timed_share=0.3 if self.quick else TIMED_SHARE)
        with command.at_work(study.classifier, None, typed, share=3 if self.quick else 1) as (data, folder):
            results = report(study, data, folder, str(typed), self.related(), self.quick, ingredients)
            page.write_page(results, folder.path)
        if self.docs is not None:
            documents.fill_results(self.docs, results)
        text = f"{page.report_text(results)}\nThe page: {command.out / 'report.html'} and {command.out / 'report.md'}"
        finish(data, text, command.out)

    def show(self, source: Path) -> None:
        """Judge and show the results in `source`."""
        from reporting import documents, page
        from studies.earlier import read_report
        from studies.report import draw

        results = read_report(source)
        out = Path("runs/report-again") if self.out == Report.out else self.out
        draw(results, out / "figures")
        page.write_page(results, out)
        if self.docs is not None:
            documents.fill_results(self.docs, results, documents.AGAIN_MARK)
        print(page.report_text(results))
        print(f"The page: {out / 'report.html'} and {out / 'report.md'}")

    def related(self) -> dict[str, str]:
        """The lines that run the whole report, and its parts by themselves, on the same data and tokens."""
        words: list[str] = []
        for name in ("data_dir", "tokenizer", "vocabulary_size"):
            if getattr(self, name) != getattr(Report, name):
                words += ["--" + name.replace("_", "-"), str(getattr(self, name))]
        return {name: str(Typed((name, *words))) for name in ("part1", "part2", "part3", "report")}

    def small(self) -> "Report":
        """What --quick runs."""
        return replace(
            self,
            out=Path("runs/report-quick") if self.out == Report.out else self.out,
            seeds=min(self.seeds, 2),
            until_told=None,
            epochs=2 if self.epochs is None else self.epochs,
            iterations=50 if self.iterations is None else self.iterations,
        )
