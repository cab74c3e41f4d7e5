"""Questions about settings: any comparison, the ingredients of the best recipe, its measurement, kinds of tokens."""

from dataclasses import dataclass
from pathlib import Path

from commands.options import Seeds, finish
from common.arguments import Optional, Typed
from common.files import UserError, append_text, around_marks
from studies.recipes import RECIPES, RecipeName
from studies.settings import MEASURES, Score
from training.recipe import Task, customise


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
    # where --seeds cannot tell, train twice as many, and so on up to this number; the intervals pay for the looks
    until_told: Optional[int] = None
    resume: bool = False  # go on with the interrupted runs in --out

    def run(self, typed: Typed) -> None:
        from reporting.comparison import compare_text
        from studies.compare import Question, compare, variants_of

        seeds, n_workers = self.seeds_and_workers()
        variants = variants_of(self.task, self.vary or (), self.base, self.variant or ())
        measure = self.measure or MEASURES[self.task][0]
        recipe = RECIPES[self.recipe][self.task]
        question = Question(self.recipe, recipe, variants, seeds, measure, self.validate, n_workers, self.until_told)
        first = next(iter(question.recipes().values()))
        with self.at_work(first, self.resume, typed) as (data, folder):
            results = compare(question, data, folder, str(typed))
        finish(data, compare_text(results), self.out)


@dataclass(frozen=True)
class Settings:
    """Every setting of the recipes: what it means and takes. compare --vary and --set take them."""

    def run(self, typed: Typed) -> None:
        from reporting.comparison import settings_text

        print(settings_text())


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

    def run(self, typed: Typed) -> None:
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
        with self.at_work(RECIPES["best"]["classifier"], self.resume, typed) as (data, folder):
            results = ablation(changes, seeds, data, folder, str(typed), n_workers)
        if self.docs is not None:
            documents.fill_ablation(self.docs, results)
        if self.log is not None:
            documents.log_ablation(self.log, results)
        finish(data, terminal.ablation_text(results), self.out)


@dataclass(frozen=True)
class Measure(Seeds):
    """Both recipes for both tasks on the test set, beside their opponents: for speakers that no choice has touched."""

    out: Path = Path("runs/measure")  # folder for results, weights and figures
    # Markdown file that gets the tables, between its two marks for the measurement: docs/measurement.md
    docs: Optional[Path] = None
    resume: bool = False  # go on with the interrupted runs in --out

    def run(self, typed: Typed) -> None:
        from reporting import documents, terminal
        from studies.measure import measure

        if self.docs is not None:
            around_marks(self.docs, documents.MEASURE_MARK)
        seeds, n_workers = self.seeds_and_workers()
        with self.at_work(RECIPES["best"]["classifier"], self.resume, typed) as (data, folder):
            results = measure(seeds, data, folder, str(typed), n_workers)
        if self.docs is not None:
            documents.fill_measurement(self.docs, results)
        finish(data, terminal.measure_text(results), self.out)


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

    def run(self, typed: Typed) -> None:
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
        with self.at_work(recipe, self.resume, typed) as (data, folder):
            results = compare_tokenizers(
                *(kinds, blocks, self.recipe, recipes, seeds, self.validation, data, folder, str(typed), n_workers)
            )
        if self.docs is not None:
            documents.fill_tokenizers(self.docs, results)
        finish(data, terminal.tokenizers_text(results), self.out)
