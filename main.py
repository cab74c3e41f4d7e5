"""Orator's command line: one dataclass per command, its options and what it does.

Only what the parser needs is imported above; each command imports its own modules, so that --help comes at once.
"""

from common.interruption import answer_at_once

if __name__ == "__main__":
    answer_at_once()  # Ctrl-C, before the imports that take time

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from common import console
from common.arguments import Command, CommandLine, FromRecipe, Optional, hinted
from common.checks import check
from common.environment import rank
from common.files import UserError, append_text, around_marks, write_json
from modules.settings import Pooling, PositionMethod
from studies.recipes import FF_DIMS, RECIPES, RecipeName, in_words, with_options
from studies.settings import MEASURES, Score, Value, read_settings, with_settings
from training.recipe import Precision, Recipe, Schedule, Task, customise

if TYPE_CHECKING:
    from dataset import Data
    from studies.study import Study
    from tokenizer import Tokenization
    from training.runs import Place

PURPOSE = "A laboratory of small transformers. `python main.py COMMAND --help` explains each command."
EXIT_LEAKAGE = 3


@dataclass(frozen=True)
class Common:
    """What every command that trains takes."""

    data_dir: Path = Path("speechesdataset")  # folder with the six data files; the default ones are built if missing
    out: Path = Path("runs")  # folder for results, weights and figures
    seed: int = 0  # seed of initialisation, data order and dropout
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"  # where to compute; auto takes a GPU if there is one
    threads: int = 1  # processor threads of a run; results are reproducible only with the same number

    def at_work(
        self, recipe: Recipe, resume: bool | None, again: Command, share: int = 1
    ) -> AbstractContextManager[tuple["Data", "Place"]]:
        """The data and the place of the runs; `again` is the command that goes on if it is interrupted."""
        from studies.workplace import workplace

        check(self, "from 1 to 1000", "threads")
        settings = {"command": type(self).__name__.lower(), **asdict(self), "settings": asdict(recipe)}
        return workplace(
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

    def tokenization(self) -> "Tokenization":
        """What texts are cut into."""
        from tokenizer import WORDS

        return WORDS

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
    label_smoothing: FromRecipe[float] = None  # share of the target that is spread over all classes or words
    clip: FromRecipe[float] = None  # largest norm of the gradient
    accumulate: FromRecipe[int] = None  # parts in which a batch is computed, to save memory
    precision: FromRecipe[Precision] = None  # bf16: matrix products in bfloat16
    compile: bool = False  # use torch.compile
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


@hinted(partial(in_words, "classifier"))
@dataclass(frozen=True)
class Part1(Training):
    """Train the classifier: who said it? Table 1, Figures 1 to 3, baselines."""

    out: Path = Path("runs/part1")  # folder for results, weights and figures
    epochs: FromRecipe[int] = None  # passes over the training rows
    ff_dim: FromRecipe[int] = None  # hidden size of the feed-forward network
    alibi_one_sided: bool = False  # ALiBi: even heads look back only, odd heads ahead only
    pooling: FromRecipe[Pooling] = None  # mean counts padding, as the report does; the others mask it everywhere
    batch_norm: bool = False  # batch norm after the first linear layer of the head
    by_length: bool = False  # batches of rows of like length

    def run(self) -> None:
        from reporting.terminal import part1_text
        from studies.part1 import part1

        check(self, "at least 1", "epochs")
        recipe = with_settings(with_options(self.recipe, "classifier", vars(self)), self.chosen("classifier"))
        with self.at_work(recipe, self.resume, replace(self, resume=True)) as (data, place):
            results = part1(self.recipe, recipe, self.seed, data, place)
        if results:
            text = part1_text(results, line(Audit(self.data_dir)))
            sentence = first_words(data.corpus.test[0].text, 12)
            finish(data, text, self.out, Classify((sentence,), self.out / "classifier.safetensors"))


@hinted(partial(in_words, "decoder"))
@dataclass(frozen=True)
class Part2(Training):
    """Train the decoder: how surprising is it? Tables 2 and 3, Figures 4 to 7, n-gram baseline."""

    out: Path = Path("runs/part2")  # folder for results, weights and figures
    iterations: FromRecipe[int] = None  # training steps
    ff_dims: FromRecipe[tuple[int, ...]] = None  # hidden sizes of the feed-forward network, a model each

    def run(self) -> None:
        from reporting.terminal import part2_text
        from studies.part2 import part2

        check(self, "at least 1", "iterations")
        recipe = with_settings(with_options(self.recipe, "decoder", vars(self)), self.chosen("decoder"))
        ff_dims = FF_DIMS[self.recipe] if self.ff_dims is None else self.ff_dims
        with self.at_work(recipe, self.resume, replace(self, resume=True)) as (data, place):
            results = part2(self.recipe, recipe, ff_dims, self.seed, data, place, self.n_at_once())
        if results:
            prompt = first_words(data.corpus.train_text[0], 3)
            finish(
                data, part2_text(results), self.out, Generate(prompt, self.out / f"decoder-ff{ff_dims[0]}.safetensors")
            )


@dataclass(frozen=True)
class Seeds(Common):
    """What commands take that train many models."""

    seeds: int = 5  # paired seeds: --seed, the next one, and so on
    # runs at the same time, a process each; the tables do not depend on it (default: as many as the cores allow)
    workers: Optional[int] = None

    def seeds_and_workers(self) -> tuple[tuple[int, ...], int]:
        """The seeds, and how many of the runs share the machine."""
        from studies.workplace import paired_seeds

        check(self, "from 1 to 1000", "seeds", "workers")
        return paired_seeds(self.seed, self.seeds), self.workers or self.n_at_once()


@dataclass(frozen=True)
class Explore(Seeds, Tokenized):
    """What part3 and report take besides."""

    # report: as published; best: the strongest that this project knows, within the report's budget
    recipe: RecipeName = "report"
    epochs: FromRecipe[int] = None  # passes over the classifier's training rows
    iterations: FromRecipe[int] = None  # training steps of the decoder

    def study(self, alibi: bool = True, regularize: bool = True) -> "Study":
        """What is to be run."""
        from studies.study import Study

        check(self, "at least 1", "epochs", "iterations")
        classifier, decoder = (with_options(self.recipe, task, vars(self)) for task in RECIPES[self.recipe])
        return Study(self.recipe, classifier, decoder, *self.seeds_and_workers(), alibi, regularize)


@hinted(partial(in_words, "classifier"))
@dataclass(frozen=True)
class Part3(Explore):
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
        with self.at_work(study.classifier, self.resume, replace(self, resume=True)) as (data, place):
            text = part3_text(part3(study, data, place))
        finish(data, text, self.out, replace(self, seeds=5, resume=False) if self.seeds < 5 else self.report())

    def report(self) -> "Report":
        """Everything, of the same tokens."""
        return Report(self.data_dir, tokenizer=self.tokenizer, vocabulary_size=self.vocabulary_size)


@hinted(partial(in_words, "classifier"))
@dataclass(frozen=True)
class Report(Explore):
    """Everything, over several seeds: a page with a verdict on each of the report's claims. Reuses what --out has."""

    # folder for results, weights and figures; by default, --quick has runs/report-quick
    out: Path = Path("runs/report")
    # a small version in under three minutes, to see that everything works; its numbers mean nothing
    quick: bool = False
    # Markdown file that gets the tables, between its two marks for results: docs/results.md
    docs: Optional[Path] = None
    # results of the best recipe's ablation, for the page (default: runs/ablation/results.json if it is there)
    ablation: Optional[Path] = None

    def run(self) -> None:
        from reporting import documents, page
        from studies.report import read_ablation, report
        from studies.study import TIMED_SHARE

        if self.docs is not None:
            around_marks(self.docs, documents.RESULTS_MARK)  # without marks it is refused now, not after the runs
        ablation = self.ablation or Path("runs/ablation/results.json")
        ingredients = read_ablation(ablation) if self.ablation or ablation.exists() else None
        command = self.small() if self.quick else self
        study = replace(command.study(), ff_dims=FF_DIMS["report"], timed_share=0.3 if self.quick else TIMED_SHARE)
        with command.at_work(study.classifier, None, self, share=3 if self.quick else 1) as (data, place):
            results = report(study, data, place, line(self), self.quick, ingredients)
            page.write_page(results, place.out)
        if self.docs is not None:
            documents.fill_results(self.docs, results)
        text = f"{page.report_text(results)}\nThe page: {command.out / 'report.html'} and {command.out / 'report.md'}"
        finish(data, text, command.out, self.real() if self.quick else Part1(self.data_dir, recipe="best"))

    def small(self) -> "Report":
        """What --quick runs."""
        return replace(
            self,
            out=Path("runs/report-quick") if self.out == Report.out else self.out,
            seeds=min(self.seeds, 2),
            epochs=2 if self.epochs is None else self.epochs,
            iterations=50 if self.iterations is None else self.iterations,
        )

    def real(self) -> "Report":
        """The report that a quick one is a sketch of, in a folder of its own."""
        out = self.out if self.out == Report.out else self.out.with_name(f"{self.out.name}-full")
        return replace(self, quick=False, out=out, seeds=max(self.seeds, Report.seeds), epochs=None, iterations=None)


@dataclass(frozen=True)
class Ablation(Seeds):
    """What each ingredient of the best recipe brings, by validation: the recipe without it, over several seeds."""

    out: Path = Path("runs/ablation")  # folder for results, weights and figures
    task: Optional[Task] = None  # only this recipe (default: both)
    changes: Optional[tuple[str, ...]] = None  # only these, as the table calls them, each in quotes (default: all)
    # Markdown file that gets the tables, between its two marks for the ablation: docs/ablation.md
    docs: Optional[Path] = None
    log: Optional[Path] = None  # Markdown file to which the tables are added, under today's date
    resume: bool = False  # go on with the interrupted runs in --out

    def run(self) -> None:
        from reporting import documents, terminal
        from studies.ablation import ablation, chosen

        changes = chosen(self.task, self.changes)
        if self.docs is not None:
            if self.task or self.changes:
                raise UserError("--docs takes the whole ablation; leave out --task and --changes, or use --log")
            around_marks(self.docs, documents.ABLATION_MARK)
        if self.log is not None:
            append_text(self.log, "")  # a log that cannot be written is refused now, not after the runs
        seeds, n_workers = self.seeds_and_workers()
        with self.at_work(RECIPES["best"]["classifier"], self.resume, replace(self, resume=True)) as (data, place):
            results = ablation(changes, seeds, data, place, line(self), n_workers)
        if self.docs is not None:
            documents.fill_ablation(self.docs, results)
        if self.log is not None:
            documents.log_ablation(self.log, results)
        finish(
            data, terminal.ablation_text(results), self.out, Report(self.data_dir, ablation=self.out / "results.json")
        )


@dataclass(frozen=True)
class Measure(Seeds):
    """Both recipes for both tasks on the test set, beside their opponents: for speakers that no choice has touched."""

    out: Path = Path("runs/measure")  # folder for results, weights and figures
    # Markdown file that gets the tables, between its two marks for the measurement: docs/measurement.md
    docs: Optional[Path] = None
    resume: bool = False  # go on with the interrupted runs in --out

    def run(self) -> None:
        from reporting import documents, terminal
        from studies.measure import measure

        if self.docs is not None:
            around_marks(self.docs, documents.MEASURE_MARK)
        seeds, n_workers = self.seeds_and_workers()
        with self.at_work(RECIPES["best"]["classifier"], self.resume, replace(self, resume=True)) as (data, place):
            results = measure(seeds, data, place, line(self), n_workers)
        if self.docs is not None:
            documents.fill_measurement(self.docs, results)
        finish(data, terminal.measure_text(results), self.out, Part1(self.data_dir, recipe="best"))


@dataclass(frozen=True)
class Compare(Seeds):
    """Which settings are better? Variants of a recipe on paired seeds, with intervals. `settings` shows what varies."""

    out: Path = Path("runs/compare")  # folder for results, weights and figures
    task: Task = "classifier"  # what is trained
    recipe: RecipeName = "report"  # what the variants start from
    # name=value,value,...: a variant of each value, the first of which the others are compared with; several: all
    # combinations
    vary: Optional[tuple[str, ...]] = None
    base: Optional[str] = None  # settings of every variant, in quotes: "n_layer=2 dropout=0.1"
    variant: Optional[tuple[str, ...]] = None  # settings that differ from the base, each variant in quotes
    measure: Optional[Score] = None  # what is compared (default: accuracy of a classifier, perplexity of a decoder)
    # measure on folds of the training rows or text and leave the test set unread: for whoever chooses settings
    validate: bool = False
    resume: bool = False  # go on with the interrupted runs in --out

    def run(self) -> None:
        from reporting.comparison import compare_text
        from studies.compare import Question, compare, variants_of

        seeds, n_workers = self.seeds_and_workers()
        variants = variants_of(self.task, self.vary or (), self.base, self.variant or ())
        measure = self.measure or MEASURES[self.task][0]
        recipe = RECIPES[self.recipe][self.task]
        question = Question(self.recipe, recipe, variants, seeds, measure, self.validate, n_workers)
        first = next(iter(question.recipes().values()))
        with self.at_work(first, self.resume, replace(self, resume=True)) as (data, place):
            results = compare(question, data, place, line(self))
        more = replace(self, seeds=2 * self.seeds, out=self.out.with_name(f"{self.out.name}-{2 * self.seeds}-seeds"))
        finish(data, compare_text(results), self.out, more)


@dataclass(frozen=True)
class Tokenizers(Seeds):
    """Words, subwords and characters beside each other: classifier and decoder with each, in bits per byte."""

    out: Path = Path("runs/tokenizers")  # folder for results, weights and figures
    # report: as published; best: the strongest that this project knows, within the report's budget
    recipe: RecipeName = "report"
    task: Optional[Task] = None  # only this one (default: both)
    sizes: Optional[tuple[int, ...]] = None  # how many tokens bpe has, a model each (default: 4000)
    # tokens that a model reads at once, a model each (default: as many as the recipe has)
    block_sizes: Optional[tuple[int, ...]] = None
    validation: bool = False  # measure on what is held out of the training files, to choose by, and not on the test set
    # Markdown file that gets the tables, between its two marks: docs/tokenizers.md
    docs: Optional[Path] = None
    resume: bool = False  # go on with the interrupted runs in --out

    def run(self) -> None:
        from reporting import documents, terminal
        from studies.tokenizers import compare_tokenizers
        from tokenizer import BPE_SIZE, Tokenization

        recipes = {task: one for task, one in RECIPES[self.recipe].items() if self.task in (None, task)}
        kinds = [*(Tokenization("bpe", size) for size in self.sizes or (BPE_SIZE,)), Tokenization("character")]
        recipe = next(iter(recipes.values()))
        blocks = self.block_sizes or (recipe.architecture.block_size,)
        for block_size in blocks:
            customise(recipe, block_size=block_size)  # a bad one is refused now, not after the runs
        if self.docs is not None:
            around_marks(self.docs, documents.tokenizers_mark(self.validation))
        seeds, n_workers = self.seeds_and_workers()
        with self.at_work(recipe, self.resume, replace(self, resume=True)) as (data, place):
            results = compare_tokenizers(
                *(kinds, blocks, self.recipe, recipes, seeds, self.validation, data, place, line(self), n_workers)
            )
        if self.docs is not None:
            documents.fill_tokenizers(self.docs, results)
        finish(data, terminal.tokenizers_text(results), self.out, Part1(self.data_dir, tokenizer="bpe"))


@dataclass(frozen=True)
class Settings:
    """Every setting of the recipes: what it means and takes. compare --vary and --set take them."""

    def run(self) -> None:
        from reporting.comparison import settings_text

        print(settings_text())


@dataclass(frozen=True)
class Classify:
    """Say who said it, with probabilities, one line per sentence. Without sentences, reads standard input."""

    sentences: tyro.conf.Positional[tuple[str, ...]] = ()  # each in quotes
    model: Path = Path("runs/part1/classifier.safetensors")  # weights of a classifier

    def run(self) -> None:
        from inference.classify import classify
        from inference.sentence import read_sentence
        from training.weights import load_model

        trained, sentence = load_model(self.model, "classifier"), ""
        for sentence in self.sentences or console.lines_of_standard_input():
            ranked = classify(trained, sentence)[:5]
            shares = "  ".join(f"{name} {100 * share:.1f}%" for name, share in ranked)
            note = read_sentence(trained, sentence).note
            print(ranked[0][0], shares, sentence.strip(), *filter(None, [note]), sep="\t", flush=True)
        if sentence:
            suggest(Attention(sentence.strip(), self.model))


@dataclass(frozen=True)
class Attention:
    """Draw where a trained model looks in a sentence: first and last layer, every head."""

    sentence: tyro.conf.Positional[str]  # in quotes
    model: Path = Path("runs/part1/classifier.safetensors")  # weights of a classifier or a decoder
    out: Path = Path("runs/attention")  # folder for the figures

    def run(self) -> None:
        from inference.attention import draw_attention
        from inference.sentence import read_sentence
        from training.weights import load_model

        trained = load_model(self.model)
        paths = draw_attention(self.out, trained, self.sentence)
        if not paths:
            raise UserError(f"{self.model}: has no attention to draw; train a model with at least one layer")
        if note := read_sentence(trained, self.sentence).note:
            print(note, file=sys.stderr)
        print(*paths, sep="\n")
        is_classifier = bool(trained.class_names)
        suggest(Classify((self.sentence,), self.model) if is_classifier else Generate(self.sentence, self.model))


@dataclass(frozen=True)
class Generate:
    """Go on with a text, in the words of a trained decoder."""

    prompt: tyro.conf.Positional[str] = ""  # in quotes; may be empty
    model: Optional[Path] = None  # weights of a decoder (default: the newest in runs/part2)
    n_tokens: int = 60  # how many tokens to add
    temperature: float = 0.8  # below 1 more cautious, above 1 more adventurous; 0 always takes the likeliest token
    top_k: Optional[int] = None  # draw only among the k likeliest tokens
    top_p: Optional[float] = 0.95  # draw only among the likeliest tokens whose probabilities add up to this
    seed: int = 0  # seed of the drawing

    def run(self) -> None:
        from inference.generate import Sampling, continued, newest_decoder
        from training.weights import load_model

        trained = load_model(self.model or newest_decoder(Path("runs/part2")), "decoder")
        sampling = Sampling(self.n_tokens, self.temperature, self.top_k, self.top_p, self.seed)
        text, note = continued(trained, self.prompt, sampling)
        if note:
            print(note, file=sys.stderr)
        print(text)
        suggest(replace(self, seed=self.seed + 1))


Split = Literal["stretch", "speech"]


@dataclass(frozen=True)
class Build:
    """Make a data folder from State of the Union addresses."""

    out: Path = Path("speechesdataset")  # folder for the files; data that are already there are never overwritten
    # presidents, such as lincoln roosevelt-32 obama; or all (default: obama wbush hbush)
    speakers: Optional[tuple[str, ...]] = None
    split: Split = "stretch"  # what goes to the test set whole: stretches of speeches, or speeches
    seed: int = 0  # seed of the split

    def run(self) -> None:
        from reporting.audit import files_text
        from speechesdataset.build import build

        speakers = None if self.speakers is None else list(self.speakers)
        print(files_text(self.out, build(self.out, speakers, self.split, self.seed)["files"]))
        suggest(Audit(self.out))


@dataclass(frozen=True)
class Import:
    """Make a data folder from your own texts: a folder of .txt files, a sub-folder a speaker."""

    source: Annotated[Path, tyro.conf.arg(name="from")]  # folder with a sub-folder of .txt files for each speaker
    out: Path  # folder for the files; data that are already there are never overwritten
    split: Split = "stretch"  # what goes to the test set whole: stretches of texts, or texts
    seed: int = 0  # seed of the split

    def run(self) -> int:
        from reporting.audit import files_text
        from speechesdataset.own_texts import import_folder

        print(files_text(self.out, import_folder(self.source, self.out, self.split, self.seed)["files"]))
        return Audit(self.out, self.out).run()


@dataclass(frozen=True)
class Audit:
    """Examine a data folder: balance, duplicates, leaks. Exit code 3 if test data appear in the training data."""

    data_dir: Path = Path("speechesdataset")  # folder with the data files
    out: Path = Path("runs/audit")  # folder for audit.json
    block_size: int = 32  # tokens at which a model would cut a row

    def run(self) -> int:
        from reporting.audit import render
        from speechesdataset.audit import audit

        check(self, "at least 1", "block_size")
        findings = audit(self.data_dir, self.block_size)
        write_json(self.out / "audit.json", findings)
        print(render(findings))
        suggest(Part1(self.data_dir))
        return EXIT_LEAKAGE if findings["has_leakage"] else 0


def command_line() -> CommandLine:
    """How the commands are called, and by which words."""
    trained = (Part1, Part2, Part3, Report, Compare, Ablation, Measure, Tokenizers, Classify, Attention, Generate)
    commands: dict[str, type[Command]] = {command.__name__.lower(): command for command in (*trained, Settings)}
    commands |= {f"data {command.__name__.lower()}": command for command in (Build, Audit, Import)}
    return CommandLine(
        "python main.py", PURPOSE, commands, ("sentences", "sentence", "prompt"), {"source": "from", "given": "set"}
    )


def line(command: Command) -> str:
    """The line that runs a command, as it would be typed."""
    return command_line().written(command)


def first_words(text: str, n: int) -> str:
    """The start of a text of the user's, for a command to try."""
    return " ".join(text.split()[:n])


def finish(data: "Data", text: str, out: Path, then: Command) -> None:
    """Say what a command has found in its data, where it has put everything, and the next one to try."""
    from reporting.terminal import data_line

    print(data_line(data.corpus.about()), text, sep="\n\n")
    pictures = f"; pictures: {out / 'figures'}/" if (out / "figures").exists() else ""
    print(f"Results: {out}/{pictures}")
    print(f"Next: {line(then)}")


def suggest(then: Command) -> None:
    """Say the next command to try, where a person and no other program reads what this one prints."""
    if sys.stdout.isatty():
        print(f"Next: {line(then)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    return console.answer(lambda: run(console.arguments_in_utf8() if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Find the command and do what it says."""
    command = command_line().parse(arguments)
    if command is None:
        return 0  # help was all that was asked for
    rank(os.environ)  # what torchrun would not have set is refused before anything heavy is imported
    if isinstance(command, Common):
        console.tell("importing PyTorch")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # on a busy machine, threads that wait awake all stand still
    from training.processes import keep_freed_memory, processes

    keep_freed_memory()
    with processes():
        return command.run() or 0


if __name__ == "__main__":
    sys.exit(main())
