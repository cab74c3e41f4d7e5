"""Every question: a function that returns it whole. A command asks one or several as a study (studies/ask.py).

Add a question here, and a command that asks it in commands/.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from common.files import UserError
from modules.config import ClassifierConfig
from studies.answers import AttentionStatistics, LengthPerplexity
from studies.catalogue.ingredients import CHANGES
from studies.catalogue.recipes import RECIPES, WIDTHS
from studies.probes.attention import attention_over_test
from studies.probes.context import ContextPerplexity, perplexity_by_context
from studies.probes.faithfulness import Faithfulness, faithfulness
from studies.probes.knockouts import KnockOuts, knock_out
from studies.probes.lengths import LENGTHS, perplexity_by_length
from studies.probes.mistakes import surest_mistakes
from studies.probes.temperature import second_run, temperature
from studies.question import OfModel, Probe, Question, against_base
from studies.settings import MEASURES, Score, read_settings, settings_in_words, with_settings
from tokenizer import WORDS, Tokenization
from training.kinds import EACH_TEXT, KINDS
from training.recipe import Recipe, Task, Value, customise

POSITIONS = ("learned", "alibi", "none")
POSITION_PAIRS = (("alibi", "learned"), ("none", "learned"), ("alibi", "none"))
STEEP, STEEPER = "alibi-steep", 8.0  # every slope 8 times as steep: 1/2 and 1/32 at two heads
WAYS: dict[str, dict[str, Value]] = {  # to tell a decoder where a token stands; the first is the base
    "no positions": {"positions": "none"},
    "learned, from N(0, 1)": {"positions": "learned", "position_std": 1.0},  # as PyTorch starts a table
    "learned, from N(0, 0.02)": {"positions": "learned", "position_std": 0.02},  # as GPT-2 does
    "sinusoidal": {"positions": "sinusoidal"},
    "ALiBi": {"positions": "alibi"},
    "rotary": {"positions": "rope"},
    "T5's bias": {"positions": "t5"},
}
RATES = (0.2, 0.3, 0.4, 0.5)  # of dropout
WHOLE = "the recipe"  # what each change to it is compared with

ATTENTION = Probe("attention", OfModel(attention_over_test), ("learned",), AttentionStatistics, every_seed=True)
KNOCKOUTS = Probe("knockouts", OfModel(knock_out), ("learned",), KnockOuts)
FAITHFULNESS = Probe("faithfulness", OfModel(faithfulness), ("learned",), Faithfulness)
LENGTHS_OF_TEXTS = Probe(
    "lengths", OfModel(perplexity_by_length), (*POSITIONS, STEEP), list[LengthPerplexity], every_seed=True
)


# ---------------------------------------------------------------------------------------------------- parts 1, 2 and 3
def who_said_it(recipe: Recipe) -> Question:
    """Part 1: one classifier, the temperature of its probabilities, and where it is surest and wrong."""
    probes = (
        Probe("calibration", temperature, ("classifier",), needs=second_run),
        Probe("mistakes", surest_mistakes, ("classifier",)),
    )
    return Question("classifier", {"classifier": recipe}, probes=probes, files="classifier")


def how_surprising(recipe: Recipe, ff_dims: Sequence[int]) -> Question:
    """Part 2: a decoder for each size of the feed-forward network."""
    if not ff_dims or len(set(ff_dims)) < len(ff_dims):
        raise UserError("ff_dims must be one or more different sizes, such as 256 100")
    return Question("decoder", widths(recipe, ff_dims), files="decoder-{variant}")


def exploration(
    recipes: Mapping[Task, Recipe], alibi: bool = True, regularize: bool = True, report: bool = False
) -> tuple[Question, ...]:
    """Part 3: what positions and what regularization change; for the `report` also what a wider feed-forward network
    does, and what attention, knock-outs and explanations say of the models with learned positions."""
    classifier, decoder = recipes["classifier"], recipes["decoder"]
    variants: dict[str, Recipe] = {}
    pairs: list[tuple[str, str]] = []
    questions = []
    if alibi:
        variants |= {name: customise(classifier, positions=name) for name in POSITIONS}
        pairs += POSITION_PAIRS
    if regularize:
        rates = dropout_rates(classifier)
        lowest = next(iter(rates))  # the report's
        variants |= {"original": customise(classifier, batch_norm=False, dropout=0.0), lowest: rates[lowest]}
        pairs.append((lowest, "original"))
        measures = (("accuracy", "all"),)
        questions.append(
            Question(
                "validation",
                rates,
                tuple((lowest, rate) for rate in rates if rate != lowest),
                measures,
                on_folds=True,
                has_opponents=False,
                trained_only=False,
                brief=rates,
            )
        )
    questions.insert(
        0,
        Question(
            "classifier",
            variants,
            tuple(pairs),
            (("accuracy", "all"), ("accuracy", "unseen"), ("train - test accuracy", "all")),
            probes=(ATTENTION, KNOCKOUTS, FAITHFULNESS) if report else (),
        ),
    )
    if alibi:
        questions.insert(1, positions_of_decoder(decoder, report))
    return tuple(questions)


def positions_of_decoder(recipe: Recipe, report: bool) -> Question:
    """What positions change in the decoder, and, for the report, the width of the feed-forward network."""
    variants = {name: customise(recipe, positions=name) for name in POSITIONS}
    variants[STEEP] = customise(variants["alibi"], alibi_slope_scale=STEEPER)
    pairs = [*POSITION_PAIRS, (STEEP, "alibi")]
    wide: dict[str, Recipe] = {}
    if report:
        wide = widths(customise(recipe, positions="learned"), WIDTHS)
        pairs.append(tuple(wide))  # type: ignore[arg-type]
    block_size = recipe.architecture.block_size
    return Question(
        "decoder",
        variants | wide,
        tuple(pairs),
        (("perplexity", EACH_TEXT),),
        brief=wide,
        lengths={"alibi": tuple(multiple * block_size for multiple in LENGTHS[1:])},
        probes=(LENGTHS_OF_TEXTS, *((ATTENTION, KNOCKOUTS) if report else ())),
    )


def widths(recipe: Recipe, ff_dims: Sequence[int]) -> dict[str, Recipe]:
    """A decoder at each size of its feed-forward network."""
    return {f"ff{size}": customise(recipe, ff_dim=size) for size in ff_dims}


def dropout_rates(recipe: Recipe) -> dict[str, Recipe]:
    """The classifier at each rate of dropout, with batch norm where that has a place: a head of one layer has none."""
    architecture = recipe.architecture
    batch_norm = isinstance(architecture, ClassifierConfig) and architecture.head_dim > 0
    prefix = "batch-norm-" if batch_norm else ""
    return {f"{prefix}dropout-{rate}": customise(recipe, batch_norm=batch_norm, dropout=rate) for rate in RATES}


# ---------------------------------------------------------------------------------------------------- any, and the best
def which_is_better(
    recipe: Recipe, settings: Mapping[str, Mapping[str, Value]], measure: Score | None, on_folds: bool
) -> Question:
    """Variants of a recipe, by the settings in which they differ, in one measure."""
    if len(settings) < 2:
        raise UserError("there is nothing to compare: give --vary name=value,value or --variant 'name=value'")
    task = recipe.task
    if measure is not None and measure not in MEASURES[task]:
        raise UserError(f"--measure {measure} is not of a {task}; choose {', '.join(MEASURES[task])}")
    variants = {name: with_settings(recipe, changes) for name, changes in settings.items()}
    names: dict[Recipe, str] = {}
    for name, variant in variants.items():
        if (other := names.setdefault(variant, name)) != name:
            raise UserError(f"the variants {other!r} and {name!r} are the same recipe; leave one out")
    kind = KINDS[task]
    chosen = kind.measures[measure or MEASURES[task][0]]
    pairs = against_base(list(variants))
    if on_folds and chosen.of_opponents:
        pairs += tuple((name, next(iter(variants))) for name in kind.opponent_names)
    measures = ((chosen.name, chosen.subset),)
    has_opponents = chosen.of_opponents
    return Question(task, variants, pairs, measures, on_folds=on_folds, has_opponents=has_opponents, may_diverge=True)


def varied(task: Task, vary: Sequence[str], base: str | None, others: Sequence[str]) -> dict[str, Mapping[str, Value]]:
    """The settings of every variant, by these in words, the base first; UserError where two are the same.

    `vary`: "positions=learned,alibi" makes a variant of each value; several make one of each combination. `base` and
    `others`: settings in words, "dropout=0.2 norm=pre"; each of the others differs from the base in what it says.
    """
    common = read_settings(task, (base or "").split())
    choices = []
    for words in vary:
        name, _, values = words.partition("=")
        choices.append([f"{name}={value}" for value in values.split(",")])
    variants = [*itertools.product(*choices), *(words.split() for words in others)]
    settings = [{**common, **read_settings(task, words)} for words in variants]
    by_words = {settings_in_words(changes): changes for changes in settings}
    if len(by_words) < len(settings):
        raise UserError("two variants are the same; leave one out")
    return dict(by_words)


def ingredients(task: Task, changes: Sequence[str]) -> Question:
    """The best recipe against changes to it, each of one ingredient, on folds."""
    settings = {WHOLE: {}, **{name: CHANGES[task][name] for name in changes}}
    question = which_is_better(RECIPES["best"][task], settings, None, on_folds=True)
    return replace(question, brief=question.variants)


def measured(task: Task) -> Question:
    """Both recipes and their opponents on the test set: how far the best recipe is from each."""
    kind = KINDS[task]
    variants = {name: RECIPES[name][task] for name in ("best", "report")}
    pairs = tuple(("best", name) for name in ("report", *kind.opponent_names))
    return Question(task, variants, pairs, kind.in_detail, brief=variants)


def positions_over_time(recipe: Recipe, iterations: Sequence[int]) -> Question:
    """Every way to tell a decoder where a token stands, after few and after many iterations, and what each model makes
    of the tokens before the one that it predicts."""
    if not iterations or len(set(iterations)) < len(iterations):
        raise UserError("--iterations takes different numbers, such as 500 5000")
    variants: dict[str, Recipe] = {}
    pairs: list[tuple[str, str]] = []
    for n in iterations:
        of_n = {trained_for(way, n): customise(recipe, **WAYS[way], duration=n) for way in WAYS}
        variants |= of_n
        pairs += against_base(list(of_n))
    probe = Probe("context", OfModel(perplexity_by_context), variants, list[ContextPerplexity], every_seed=True)
    return Question(recipe.task, variants, tuple(pairs), has_opponents=False, probes=(probe,))


def trained_for(way: str, iterations: int) -> str:
    """What the variant is called that is told positions in one of the WAYS."""
    return f"{way}, {iterations} iterations"


def kinds_of_tokens(
    recipe: Recipe, tokenizations: Sequence[Tokenization], block_sizes: Sequence[int], on_folds: bool
) -> Question:
    """One recipe with words and with other tokens, in blocks of each size."""
    variants, read = {}, {}
    for block_size in block_sizes:
        for tokens in dict.fromkeys([WORDS, *tokenizations]):
            name = f"{tokens.kind}{tokens.size or ''}-block{block_size}"
            variants[name] = customise(recipe, block_size=block_size)
            read[name] = tokens
    return Question(recipe.task, variants, on_folds=on_folds, has_opponents=False, brief=variants, tokenizations=read)
