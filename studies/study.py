"""What the exploration runs: the variants, each different in one thing, and their runs on paired seeds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from evaluation.statistics import summary
from modules.config import ClassifierConfig
from studies.engine import looks_of
from studies.results import Half, accuracies
from training.recipe import Recipe, Run, customise
from training.records import ClassifierRun

POSITIONS = ("learned", "alibi", "none")
STEEP, STEEPER = "alibi-steep", 8.0  # every slope 8 times as steep: 1/2 and 1/32 at two heads
RATES = (0.2, 0.3, 0.4, 0.5)  # of dropout
TIMED_SHARE = 0.5  # of a training, that is timed
LENGTHS = (1, 2, 4, 8)  # tokens at inference, as multiples of the block: 32, 64, 128 and 256

DROPOUT = {f"{both}dropout-{rate}": rate for both in ("", "batch-norm-") for rate in RATES}  # the rate of each variant

NAMES = {
    "learned": "learned positions",
    "alibi": "ALiBi",
    "none": "no positions",
    STEEP: "ALiBi, slopes x 8",
    "original": "original",
    "batch-norm": "batch norm",  # alone, as in results of before
} | {
    f"{key}dropout-{rate}": f"{name}dropout {rate}"
    for rate in RATES
    for key, name in (("", ""), ("batch-norm-", "batch norm + "))
}


@dataclass(frozen=True)
class Study:
    """What is run: the recipes that the variants start from, on which seeds, and which halves of part 3."""

    recipe_name: str
    classifier: Recipe
    decoder: Recipe
    seeds: tuple[int, ...]
    n_workers: int = 1
    alibi: bool = True
    regularize: bool = True
    ff_dims: tuple[int, ...] = ()  # the decoder with learned positions at these widths, too
    timed_share: float = TIMED_SHARE  # of a training, that is timed with each variant
    until_told: int | None = None  # seeds are added up to so many where these cannot tell

    def __post_init__(self) -> None:
        self.looks()  # too few are refused now

    def looks(self) -> list[int]:
        """The numbers of seeds at which it is looked at."""
        return looks_of(len(self.seeds), self.until_told)

    def halves(self) -> list[Half]:
        """Of the exploration, those that are run."""
        chosen: dict[Half, bool] = {"alibi": self.alibi, "regularize": self.regularize}
        return [half for half, runs in chosen.items() if runs]

    def classifiers(self) -> dict[str, Recipe]:
        """The variants of the classifier."""
        positions = {name: customise(self.classifier, positions=name) for name in POSITIONS} if self.alibi else {}
        return positions | (self.regularized() if self.regularize else {})

    def regularized(self) -> dict[str, Recipe]:
        """Without regularization, and with the report's: batch norm, where that has a place, and dropout at 0.2. What
        either does alone, or another rate, no claim asks of the test set."""
        name, reports = next(iter(self.validated().items()))
        return {"original": customise(self.classifier, batch_norm=False, dropout=0.0), name: reports}

    def validated(self) -> dict[str, Recipe]:
        """The variants that validation compares: each rate of dropout, with batch norm where that has a place."""
        batch_norm = self.takes_batch_norm()
        prefix = "batch-norm-" if batch_norm else ""
        return {
            f"{prefix}dropout-{rate}": customise(self.classifier, batch_norm=batch_norm, dropout=rate) for rate in RATES
        }

    def kinds(self) -> dict[str, dict[str, Recipe]]:
        """Every variant, by kind of run."""
        validation = self.validated() if self.regularize else {}
        return {"classifier": self.classifiers(), "decoder": self.decoders(), "validation": validation}

    def runs(self, n_seeds: Mapping[tuple[str, str], int]) -> dict[tuple[str, str, int], Run]:
        """The runs of so many seeds of each (kind, variant)."""
        every = range(self.seeds[0], self.seeds[0] + max(n_seeds.values()))
        runs = {
            key: run
            for kind, variants in self.kinds().items()
            for key, run in plan(kind, variants, every, brief=self.widths()).items()
        }
        return {key: run for key, run in runs.items() if key[2] - every.start < n_seeds.get(key[:2], 0)}

    def takes_batch_norm(self) -> bool:
        """Whether the classifier has a place for batch norm: a head of one layer has none."""
        architecture = self.classifier.architecture
        return isinstance(architecture, ClassifierConfig) and architecture.head_dim > 0

    def widths(self) -> dict[str, Recipe]:
        """The decoder with learned positions at other sizes of its feed-forward network."""
        return {f"ff{size}": customise(self.decoder, positions="learned", ff_dim=size) for size in self.ff_dims}

    def decoders(self) -> dict[str, Recipe]:
        """The variants of the decoder."""
        if not self.alibi:
            return {}
        positions = {name: customise(self.decoder, positions=name) for name in POSITIONS}
        return positions | {STEEP: customise(positions["alibi"], alibi_slope_scale=STEEPER)} | self.widths()


def plan(
    kind: str, variants: Mapping[str, Recipe], seeds: Sequence[int], brief: Collection[str] = ()
) -> dict[tuple[str, str, int], Run]:
    """The run of each variant and seed; variants with the same recipe (the original and learned positions) share one.

    Validation runs of seed s are measured on fold s of five, so that five seeds are a cross-validation. They, and the
    variants in `brief`, which no figure draws by iteration and whose weights nobody reads, are asked for their last
    measurement alone.
    """
    names: dict[Recipe, str] = {}
    for variant, recipe in variants.items():
        names.setdefault(recipe, variant)
    return {
        (kind, variant, seed): Run(
            f"{kind}-{names[recipe]}-seed{seed}",
            recipe,
            seed,
            fold=seed if kind == "validation" else None,
            lengths=lengths(recipe)[1:] if kind == "decoder" and names[recipe] == "alibi" else (),
            brief=kind == "validation" or names[recipe] in brief,
        )
        for variant, recipe in variants.items()
        for seed in seeds
    }


def lengths(recipe: Recipe) -> tuple[int, ...]:
    """The inference lengths: that of training and its multiples."""
    return tuple(multiple * recipe.architecture.block_size for multiple in LENGTHS)


def best_rate(validation: Mapping[str, Sequence[ClassifierRun]]) -> str | None:
    """The variant with the highest mean accuracy on the validation rows."""
    if not validation:
        return None
    return max(validation, key=lambda name: summary(accuracies(validation[name])).mean)
