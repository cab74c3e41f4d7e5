"""The three parts of the report, and all of it over several seeds."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from commands.called import line
from commands.data import Audit
from commands.options import Seeds, Tokenized, Training, finish, first_words
from commands.trained import Classify, Generate
from common.arguments import FromRecipe, Optional, hinted
from common.checks import check
from common.files import around_marks
from modules.config import Pooling
from studies.recipes import FF_DIMS, RECIPES, RecipeName, in_words, with_options
from studies.settings import with_settings

if TYPE_CHECKING:
    from studies.study import Study


@hinted(partial(in_words, "classifier"))
@dataclass(frozen=True)
class Part1(Training):
    """Train the classifier: who said it? Table 1, Figures 1 to 3, baselines."""

    out: Path = Path("runs/part1")  # folder for results, weights and figures
    epochs: FromRecipe[int] = None  # passes over the training rows
    ff_dim: FromRecipe[int] = None  # hidden size of the feed-forward network
    pooling: FromRecipe[Pooling] = None  # mean counts padding, as the report does; the others mask it everywhere
    batch_norm: bool = False  # batch norm after the first linear layer of the head
    label_smoothing: FromRecipe[float] = None  # share of the target that is spread over all classes
    by_length: bool = False  # batches of rows of like length

    def run(self) -> None:
        from reporting.terminal import part1_text
        from studies.part1 import part1

        check(self, "at least 1", "epochs")
        recipe = with_settings(with_options(self.recipe, "classifier", vars(self)), self.chosen("classifier"))
        with self.at_work(recipe, self.resume, replace(self, resume=True)) as (data, folder):
            results = part1(self.recipe, recipe, self.seed, data, folder, self.n_at_once())
        if results:
            texts = {row.line: row.text for row in data.corpus.test}
            text = part1_text(results, line(Audit(self.data_dir)), texts)
            sentence = first_words(data.corpus.test[0].text, 12)
            finish(data, text, self.out, Classify((sentence,), self.out / "classifier.safetensors"))


@hinted(partial(in_words, "decoder"))
@dataclass(frozen=True)
class Part2(Training):
    """Train the decoder: how surprising is it? Tables 2 and 3, Figures 4 to 7, n-gram baseline."""

    out: Path = Path("runs/part2")  # folder for results, weights and figures
    iterations: FromRecipe[int] = None  # training steps
    ff_dims: FromRecipe[tuple[int, ...]] = None  # hidden sizes of the feed-forward network, a model each
    voices: bool = False  # one for each speaker of the labelled rows, in which generate, score and classify can ask it

    def run(self) -> None:
        from reporting.terminal import part2_text
        from studies.part2 import part2

        check(self, "at least 1", "iterations")
        recipe = with_settings(with_options(self.recipe, "decoder", vars(self)), self.chosen("decoder"))
        ff_dims = FF_DIMS[self.recipe] if self.ff_dims is None else self.ff_dims
        with self.at_work(recipe, self.resume, replace(self, resume=True)) as (data, folder):
            results = part2(self.recipe, recipe, ff_dims, self.seed, data, folder, self.n_at_once())
        if results:
            prompt = first_words(data.corpus.train_text[0], 3)
            finish(
                data, part2_text(results), self.out, Generate(prompt, self.out / f"decoder-ff{ff_dims[0]}.safetensors")
            )


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


@hinted(partial(in_words, "classifier"))
@dataclass(frozen=True)
class Part3(Exploration):
    """The exploration: which differences are real? Without --alibi and --regularize, both halves."""

    out: Path = Path("runs/part3")  # folder for results, weights and figures
    seeds: int = 1  # paired seeds: --seed, the next one, and so on; 5 tell which differences are real
    alibi: bool = False  # position methods: Tables 4 and 5, Figures 8 to 10, inference lengths
    regularize: bool = False  # batch norm and dropout: Figure 11
    resume: bool = False  # go on with the interrupted runs in --out

    def run(self) -> None:
        from reporting.terminal import part3_text
        from studies.part3 import part3

        both = self.alibi == self.regularize
        study = self.study(self.alibi or both, self.regularize or both)
        with self.at_work(study.classifier, self.resume, replace(self, resume=True)) as (data, folder):
            text = part3_text(part3(study, data, folder))
        finish(data, text, self.out, replace(self, seeds=5, resume=False) if self.seeds < 5 else self.report())

    def report(self) -> "Report":
        """Everything, of the same tokens."""
        return Report(self.data_dir, tokenizer=self.tokenizer, vocabulary_size=self.vocabulary_size)


@hinted(partial(in_words, "classifier"))
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

    def run(self) -> None:
        from reporting import documents, page
        from studies.report import read_ablation, report
        from studies.study import TIMED_SHARE

        if self.docs is not None:
            mark = documents.RESULTS_MARK if self.source is None else documents.AGAIN_MARK
            around_marks(self.docs, mark)  # without marks it is refused now, not after the runs
        if self.source is not None:
            return self.show(self.source)
        ablation = self.ablation or Path("runs/ablation/results.json")
        ingredients = read_ablation(ablation) if self.ablation or ablation.exists() else None
        command = self.small() if self.quick else self
        study = replace(command.study(), ff_dims=FF_DIMS["report"], timed_share=0.3 if self.quick else TIMED_SHARE)
        with command.at_work(study.classifier, None, self, share=3 if self.quick else 1) as (data, folder):
            results = report(study, data, folder, line(self), self.related(), self.quick, ingredients)
            page.write_page(results, folder.path)
        if self.docs is not None:
            documents.fill_results(self.docs, results)
        text = f"{page.report_text(results)}\nThe page: {command.out / 'report.html'} and {command.out / 'report.md'}"
        finish(data, text, command.out, self.real() if self.quick else Part1(self.data_dir, recipe="best"))

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
        commands: list[Part1 | Part2 | Part3 | Report] = [Part1(), Part2(), Part3(seeds=self.seeds), self.real()]
        data = {name: getattr(self, name) for name in ("data_dir", "tokenizer", "vocabulary_size")}
        return {type(command).__name__.lower(): line(replace(command, **data)) for command in commands}

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

    def real(self) -> "Report":
        """The report that a quick one is a sketch of, in a folder of its own."""
        out = self.out if self.out == Report.out else self.out.with_name(f"{self.out.name}-full")
        return replace(self, quick=False, out=out, seeds=max(self.seeds, Report.seeds), epochs=None, iterations=None)
