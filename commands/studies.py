"""Questions about settings: any comparison, the ingredients of the best recipe, its measurement, kinds of tokens."""

from dataclasses import dataclass
from pathlib import Path

from commands.options import Changed, Resumable, Seeds
from common.arguments import Optional, Typed
from common.files import UserError, append_text
from studies.catalogue.recipes import RECIPES
from studies.settings import Score
from training.recipe import Task


@dataclass(frozen=True)
class Compare(Resumable, Changed, Seeds):
    """Which settings are better? Variants of a recipe on paired seeds, with intervals. `settings` shows what varies."""

    out: Path = Path("runs/compare")  # folder for results, weights and figures
    task: Task = "classifier"  # what is trained
    # name=value,value,...: a variant of each value, the first of which the others are compared with; several: all
    # combinations
    vary: Optional[tuple[str, ...]] = None
    base: Optional[str] = None  # settings of every variant, in quotes: "n_layer=2 dropout=0.1"
    variant: Optional[tuple[str, ...]] = None  # settings that differ from the base, each variant in quotes
    measure: Optional[Score] = None  # what is compared (default: accuracy of a classifier, perplexity of a decoder)
    # measure on folds of the training rows or text and leave the test set unread: for whoever chooses settings
    validate: bool = False

    def run(self, typed: Typed) -> None:
        from studies.catalogue.questions import varied, which_is_better

        recipe = RECIPES[self.recipe][self.task]
        settings = varied(self.task, self.vary or (), self.base, self.variant or ())
        question = which_is_better(recipe, settings, self.measure, self.validate)
        self.answer(self.study("compare", self.recipe, {self.task: recipe}, question), typed)


@dataclass(frozen=True)
class Settings:
    """Every setting of the recipes: what it means and takes. compare --vary and --set take them."""

    def run(self, typed: Typed) -> None:
        from reporting.terminal import settings_text

        print(settings_text())


@dataclass(frozen=True)
class Ablation(Resumable, Seeds):
    """What each ingredient of the best recipe brings, by validation: the recipe without it, over several seeds."""

    out: Path = Path("runs/ablation")  # folder for results, weights and figures
    task: Optional[Task] = None  # only this recipe (default: both)
    changes: Optional[tuple[str, ...]] = None  # only these, as the table calls them, each in quotes (default: all)
    log: Optional[Path] = None  # Markdown file to which the tables are added, under today's date

    def run(self, typed: Typed) -> None:
        from reporting.documents import log
        from studies.catalogue.ingredients import chosen
        from studies.catalogue.questions import ingredients

        changes = chosen(self.task, self.changes)
        if self.docs is not None and (self.task or self.changes):
            raise UserError("--docs takes the whole ablation; leave out --task and --changes, or use --log")
        if self.log is not None:
            append_text(self.log, "")  # a log that cannot be written is refused now, not after the runs
        recipes = {task: RECIPES["best"][task] for task in changes}
        questions = [ingredients(task, names) for task, names in changes.items()]
        answers = self.answer(self.study("ablation", "best", recipes, *questions), typed)
        if self.log is not None:
            log(self.log, answers)


@dataclass(frozen=True)
class Measure(Resumable, Seeds):
    """Both recipes for both tasks on the test set, against their opponents: for speakers that no choice has touched."""

    out: Path = Path("runs/measure")  # folder for results, weights and figures

    def run(self, typed: Typed) -> None:
        from studies.catalogue.questions import measured

        recipes = RECIPES["best"]
        self.answer(self.study("measure", "best", recipes, *map(measured, recipes)), typed)


@dataclass(frozen=True)
class PositionMethods(Resumable, Changed, Seeds):
    """What position methods bring a decoder, by how they start and how long it trains, and how far back it looks."""

    out: Path = Path("runs/positions")  # folder for results, weights and figures
    iterations: tuple[int, ...] = (500, 1500, 5000)  # how long decoders are trained, a model each

    def run(self, typed: Typed) -> None:
        from studies.catalogue.questions import positions_over_time

        recipe = RECIPES[self.recipe]["decoder"]
        question = positions_over_time(recipe, self.iterations)
        self.answer(self.study("positions", self.recipe, {"decoder": recipe}, question), typed)


@dataclass(frozen=True)
class Tokenizers(Resumable, Changed, Seeds):
    """Words, subwords and characters side by side: classifier and decoder with each, in bits per byte."""

    out: Path = Path("runs/tokenizers")  # folder for results, weights and figures
    task: Optional[Task] = None  # only this one (default: both)
    sizes: Optional[tuple[int, ...]] = None  # how many tokens bpe has, a model each (default: 4000)
    validate: bool = False  # measure on what is held out of the training files, and leave the test set unread

    def run(self, typed: Typed) -> None:
        from studies.catalogue.questions import kinds_of_tokens
        from tokenizer import BPE_SIZE, Tokenization

        recipes = {task: recipe for task, recipe in RECIPES[self.recipe].items() if self.task in (None, task)}
        tokens = [*(Tokenization("bpe", size) for size in self.sizes or (BPE_SIZE,)), Tokenization("character")]
        blocks = [next(iter(recipes.values())).architecture.block_size]
        questions = [kinds_of_tokens(recipe, tokens, blocks, self.validate) for recipe in recipes.values()]
        self.answer(self.study("tokenizers", self.recipe, recipes, *questions), typed)
