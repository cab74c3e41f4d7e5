"""A question: variants of one kind of model, trained on the same seeds, and what is asked of them besides."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dataset import Data
from studies.answers import PLACES_FOR_RUNS, Answers
from studies.engine import looks_of
from studies.workers import file_name
from tokenizer import Tokenization
from training.kinds import KINDS, Kind, Measure
from training.recipe import Recipe, Run, Task
from training.runs import Folder
from training.weights import TrainedModel, load_model


@dataclass(frozen=True)
class Probe:
    """What else is asked of a trained run: a function of the run, the data, and the folder where its weights are kept.

    It asks the runs of some variants: of the first seed that trained, or of every seed that did. What it answers stands
    in the field of `Answers` that has its name, and is kept beside the run if `record` gives its type.
    """

    name: str
    ask: Callable[[Run, Data, Folder], Any]
    variants: Collection[str]
    record: Any = None
    every_seed: bool = False
    needs: Callable[[Run, Data], Run | None] | None = None  # one more run that must be trained for it


@dataclass(frozen=True)
class OfModel:
    """A probe's function made from one of the trained model."""

    ask: Callable[[TrainedModel, Data], Any]

    def __call__(self, run: Run, data: Data, folder: Folder) -> Any:
        return self.ask(load_model(folder.weights(run)), data)


@dataclass(frozen=True)
class Question:
    """Variants of a recipe, of which the first is the base, on paired seeds.

    On folds, seed s holds fold s of five of the training rows, or of the training text, out of training and is measured
    on it: the test set has no part in it, so a choice may rest on it.
    """

    name: str  # classifier, decoder or validation: the field of `Answers` for its runs, and how their files start
    variants: Mapping[str, Recipe]
    pairs: tuple[tuple[str, str], ...] = ()  # which variant, or opponent, is compared with which
    measures: tuple[tuple[str, str], ...] = ()  # what is compared, and on which subset; (): the kind's first measure
    on_folds: bool = False
    has_opponents: bool = True  # whether models without a network stand beside it
    trained_only: bool = True  # classifiers: only seeds on which both trained are compared, if there are any
    brief: Collection[str] = ()  # variants that are measured at their end alone, and whose weights are not kept
    lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # that a variant is also read at, as it trains
    probes: tuple[Probe, ...] = ()
    may_diverge: bool = False  # a variant of which a run diverges is left out, and the others are judged
    tokenizations: Mapping[str, Tokenization] = field(default_factory=dict)  # of variants that do not read words
    files: str = "{question}-{variant}-seed{seed}"  # what the files of a run are called

    @property
    def base(self) -> str:
        """The first variant."""
        return next(iter(self.variants))

    @property
    def kind(self) -> Kind:
        """The kind of model that is asked about."""
        return KINDS[self.variants[self.base].task]

    @property
    def measured(self) -> list[tuple[Measure, str]]:
        """What is compared, and on which subset."""
        first = self.kind.first_measure
        return [(self.kind.measures[name], subset) for name, subset in self.measures] or [(first, first.subset)]

    def runs(self, n_seeds: Mapping[str, int], first_seed: int) -> dict[tuple[str, int], Run]:
        """The run of each variant on each of so many seeds; variants of the same recipe share their runs."""
        names: dict[object, str] = {}
        for variant, recipe in self.variants.items():
            names.setdefault((recipe, self.tokenizations.get(variant)), variant)
        runs = {}
        for variant, recipe in self.variants.items():
            name = names[recipe, self.tokenizations.get(variant)]
            for seed in range(first_seed, first_seed + n_seeds.get(variant, 0)):
                runs[variant, seed] = Run(
                    self.files.format(question=self.name, variant=file_name(name), seed=seed),
                    recipe,
                    seed,
                    fold=seed if self.on_folds else None,
                    lengths=self.lengths.get(name, ()),
                    brief=name in self.brief,
                )
        return runs


def against_base(variants: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Each variant but the first with the first."""
    base, *others = variants
    return tuple((variant, base) for variant in others)


@dataclass(frozen=True)
class Study:
    """Questions that one command asks together, on the same seeds."""

    command: str
    recipe_name: str
    recipes: Mapping[Task, Recipe]  # what the variants start from
    questions: tuple[Question, ...]
    seeds: tuple[int, ...]
    n_workers: int = 1
    until_told: int | None = None  # seeds are added, up to so many, where fewer cannot tell
    timed_share: float = 0.0  # the share of a training's steps that is timed with each position method
    is_judged: bool = False  # whether the report's claims are put to the answers

    def __post_init__(self) -> None:
        self.looks()  # too few seeds are refused before anything is trained
        for question in self.questions:
            if question.name not in PLACES_FOR_RUNS:
                raise ValueError(f"a question is called one of {', '.join(PLACES_FOR_RUNS)}, not {question.name}")
            for probe in question.probes:
                if probe.name not in Answers.__struct_fields__:
                    raise ValueError(f"Answers has no field for the probe {probe.name}")
                if question.on_folds or not set(probe.variants).isdisjoint(question.brief):
                    raise ValueError(f"the probe {probe.name} asks runs whose weights are not kept")

    @property
    def block_size(self) -> int:
        """How many tokens the first of its models reads at once."""
        return next(iter(self.recipes.values())).architecture.block_size

    def settings(self) -> dict[str, dict[str, Any]]:
        """The recipe of every variant, by question: what config.json says."""
        return {
            question.name: {variant: asdict(recipe) for variant, recipe in question.variants.items()}
            for question in self.questions
        }

    def looks(self) -> list[int]:
        """The numbers of seeds at which the answers are looked at."""
        return looks_of(len(self.seeds), self.until_told)
