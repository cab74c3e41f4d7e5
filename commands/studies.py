"""Questions about settings: any comparison, the ingredients of the best recipe, its measurement, kinds of tokens."""

from dataclasses import dataclass
from pathlib import Path

from commands.options import Seeds
from common.arguments import Optional, Typed
from common.files import UserError, append_text, around_marks
from studies.catalogue.recipes import RECIPES, RecipeName
from studies.settings import Score
from training.recipe import Task


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
        from studies.catalogue.questions import varied, which_is_better
        from studies.question import Study

        recipe = RECIPES[self.recipe][self.task]
        settings = varied(self.task, self.vary or (), self.base, self.variant or ())
        question = which_is_better(recipe, settings, self.measure, self.validate)
        recipes = {self.task: recipe}
        self.answer(
            Study("compare", self.recipe, recipes, (question,), *self.seeds_and_workers(), self.until_told), typed
        )


@dataclass(frozen=True)
class Settings:
    """Every setting of the recipes: what it means and takes. compare --vary and --set take them."""

    def run(self, typed: Typed) -> None:
        from reporting.terminal import settings_text

        print(settings_text())


@dataclass(frozen=True)
class Ablation(Seeds):
    """What each ingredient of the best recipe brings, by validation: the recipe without it, over several seeds."""

    out: Path = Path("runs/ablation")  # folder for results, weights and figures
    task: Optional[Task] = None  # only this recipe (default: both)
    changes: Optional[tuple[str, ...]] = None  # only these, as the table calls them, each in quotes (default: all)
    # Markdown file that gets the tables, between its two marks for the ablation
    docs: Optional[Path] = None
    log: Optional[Path] = None  # Markdown file to which the tables are added, under today's date
    resume: bool = False  # go on with the interrupted runs in --out

    def run(self, typed: Typed) -> None:
        from reporting.documents import fill, log, mark_of
        from studies.catalogue.ingredients import chosen
        from studies.catalogue.questions import ingredients
        from studies.question import Study

        changes = chosen(self.task, self.changes)
        if self.docs is not None:
            if self.task or self.changes:
                raise UserError("--docs takes the whole ablation; leave out --task and --changes, or use --log")
            around_marks(self.docs, mark_of("ablation"))
        if self.log is not None:
            append_text(self.log, "")  # a log that cannot be written is refused now, not after the runs
        recipes = {task: RECIPES["best"][task] for task in changes}
        questions = tuple(ingredients(task, names) for task, names in changes.items())
        answers = self.answer(Study("ablation", "best", recipes, questions, *self.seeds_and_workers()), typed)
        if self.docs is not None:
            fill(self.docs, answers)
        if self.log is not None:
            log(self.log, answers)


@dataclass(frozen=True)
class Measure(Seeds):
    """Both recipes for both tasks on the test set, beside their opponents: for speakers that no choice has touched."""

    out: Path = Path("runs/measure")  # folder for results, weights and figures
    # Markdown file that gets the tables, between its two marks for the measurement
    docs: Optional[Path] = None
    resume: bool = False  # go on with the interrupted runs in --out

    def run(self, typed: Typed) -> None:
        from reporting.documents import fill, mark_of
        from studies.catalogue.questions import measured
        from studies.question import Study

        if self.docs is not None:
            around_marks(self.docs, mark_of("measure"))
        recipes = RECIPES["best"]
        questions = tuple(measured(task) for task in recipes)
        answers = self.answer(Study("measure", "best", recipes, questions, *self.seeds_and_workers()), typed)
        if self.docs is not None:
            fill(self.docs, answers)


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
    # Markdown file that gets the tables, between its two marks
    docs: Optional[Path] = None
    resume: bool = False  # go on with the interrupted runs in --out

    def run(self, typed: Typed) -> None:
        from reporting.documents import fill, mark_of
        from studies.catalogue.questions import kinds_of_tokens
        from studies.question import Study
        from tokenizer import BPE_SIZE, Tokenization

        if self.docs is not None:
            around_marks(self.docs, mark_of("tokenizers", on_folds=self.validation))
        recipes = {task: recipe for task, recipe in RECIPES[self.recipe].items() if self.task in (None, task)}
        tokens = [*(Tokenization("bpe", size) for size in self.sizes or (BPE_SIZE,)), Tokenization("character")]
        blocks = self.block_sizes or (next(iter(recipes.values())).architecture.block_size,)
        questions = tuple(kinds_of_tokens(recipe, tokens, blocks, self.validation) for recipe in recipes.values())
        study = Study("tokenizers", self.recipe, recipes, questions, *self.seeds_and_workers())
        answers = self.answer(study, typed)
        if self.docs is not None:
            fill(self.docs, answers)
