"""What the exploration runs: the variants, each different in one thing, and their runs on paired seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.statistics import summary
from modules.settings import ClassifierConfig
from training.recipe import Recipe, Run, customise

POSITIONS = ("learned", "alibi", "none")
STEEP, STEEPER = "alibi-steep", 8.0  # every slope 8 times as steep: 1/2 and 1/32 at two heads
RATES = (0.2, 0.3, 0.4, 0.5)  # of dropout
WIDTH = "ff"  # and a number: the hidden size of a decoder's feed-forward network
TIMED_SHARE = 0.1  # of a training, that a timed run lasts
LENGTHS = (1, 2, 4, 8)  # tokens at inference, as multiples of the block: 32, 64, 128 and 256

DROPOUT = {f"{both}dropout-{rate}": rate for both in ("", "batch-norm-") for rate in RATES}  # the rate of each variant

NAMES = {
    "learned": "learned positions",
    "alibi": "ALiBi",
    "none": "no positions",
    STEEP: "ALiBi, slopes x 8",
    "original": "original",
    "batch-norm": "batch norm",
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
    timed_share: float = TIMED_SHARE  # of a training, that a timed run lasts

    def classifiers(self) -> dict[str, Recipe]:
        """The variants of the classifier."""
        positions = {name: customise(self.classifier, positions=name) for name in POSITIONS} if self.alibi else {}
        return positions | (self.regularized() if self.regularize else {})

    def regularized(self) -> dict[str, Recipe]:
        """Without regularization, with batch norm, with dropout, with both."""

        def variant(batch_norm: bool, dropout: float) -> Recipe:
            return customise(self.classifier, batch_norm=batch_norm, dropout=dropout)

        plain = {"original": variant(False, 0.0)}
        dropout = {f"dropout-{rate}": variant(False, rate) for rate in RATES}
        architecture = self.classifier.architecture
        if isinstance(architecture, ClassifierConfig) and not architecture.head_dim:
            return plain | dropout  # a head of one layer has no place for batch norm
        both = {f"batch-norm-dropout-{rate}": variant(True, rate) for rate in RATES}
        return {**plain, "batch-norm": variant(True, 0.0), **dropout, **both}

    def decoders(self) -> dict[str, Recipe]:
        """The variants of the decoder."""
        if not self.alibi:
            return {}
        positions = {name: customise(self.decoder, positions=name) for name in POSITIONS}
        widths = {f"{WIDTH}{size}": customise(self.decoder, positions="learned", ff_dim=size) for size in self.ff_dims}
        return positions | {STEEP: customise(positions["alibi"], alibi_slope_scale=STEEPER)} | widths


def plan(kind: str, variants: Mapping[str, Recipe], seeds: Sequence[int]) -> dict[tuple[str, str, int], Run]:
    """The run of each variant and seed; variants with the same recipe (the original and learned positions) share one.

    Validation runs of seed s are measured on fold s of five, so that five seeds are a cross-validation. They, and the
    decoders of other widths, are asked for their last measurement alone.
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
            brief=kind == "validation" or names[recipe].startswith(WIDTH),
        )
        for variant, recipe in variants.items()
        for seed in seeds
    }


def lengths(recipe: Recipe) -> tuple[int, ...]:
    """The inference lengths: that of training and its multiples."""
    return tuple(multiple * recipe.architecture.block_size for multiple in LENGTHS)


def validated(study: Study) -> dict[str, Recipe]:
    """The variants among which validation chooses: each rate of dropout, with batch norm where that has a place."""
    variants = study.regularized()
    prefix = "batch-norm-" if "batch-norm" in variants else ""
    return {name: variants[name] for name in (f"{prefix}dropout-{rate}" for rate in RATES)}


def best_rate(validation: Mapping[str, Sequence[Mapping[str, Any]]]) -> str | None:
    """The rate with the highest mean accuracy on the validation rows."""
    if not validation:
        return None
    return max(validation, key=lambda name: summary(accuracies(validation[name])).mean)


def accuracies(records: Sequence[Mapping[str, Any]], group: str = "all") -> list[float]:
    """The test accuracy of each run on one group of rows."""
    return [record["test"][group]["accuracy"] for record in records]
