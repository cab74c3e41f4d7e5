"""What the compare command found, and the settings that it takes, for the terminal."""

from evaluation.statistics import summary
from reporting.table import Table, effect, number, numbers, spread, terminal_text, words
from reporting.tables import made_on, of_seeds
from reporting.wording import took
from studies.compare import HIGHER_IS_BETTER
from studies.recipes import RECIPES, word
from studies.results import ComparedVariant, CompareResults
from studies.settings import settings
from training.recipe import Task, settings_of

NAMES = {
    "accuracy": "accuracy, %",
    "macro-f1": "macro-F1, %",
    "perplexity": "perplexity",
    "bits-per-byte": "bits per byte",
    "training-time": "training time, s",
}


def compare_text(results: CompareResults) -> str:
    """The table of variants, what a search among them may expect, and what they say in a sentence."""
    tables = [comparison(results), *([search(results)] if results.expected_best else [])]
    return terminal_text(*tables, in_a_sentence(results), *made_on(results.machines), took(results.total_seconds))


def comparison(results: CompareResults) -> Table:
    """Every variant over seeds, its difference from the first one, and the models without a network."""
    digits = 3 if results.measure == "bits-per-byte" else 1
    base, is_classifier = results.variants[0], results.task == "classifier"
    rows: list[list[str | None]] = []
    for one in results.variants:
        difference = effect(one.estimate, results.unit) if one.estimate else None
        row = [one.name, f"{one.n_parameters:,}", spread(one.values, digits), difference, verdict(one, results)]
        rows.append([*row, f"{sum(one.at_chance)} of {len(one.at_chance)}"] if is_classifier else row)
    for name, values in results.opponents.items():
        rows.append([name, None, spread(values, digits), None, None, *([None] if is_classifier else [])])
    columns = words("variant") + numbers("parameters", NAMES[results.measure], f"against {base.name}")
    columns += words("verdict") + (numbers("ended at chance") if is_classifier else [])
    if results.on == "test":
        where = "test rows" if is_classifier else "test texts"
    else:
        where = f"folds of the training {'rows' if is_classifier else 'text'}; the test set was not read"
    note = f"{results.recipe} recipe; measured on {where}; {of_seeds(results.seeds)}; differences from paired seeds, "
    note += "with 95% intervals."
    if not is_classifier and results.measure != "training-time":
        note += " One number for all texts: the geometric mean of perplexities, the mean of bits per byte."
    return Table(f"The {results.task}, by variant", columns, rows, note)


def verdict(variant: ComparedVariant, results: CompareResults) -> str | None:
    """Better or worse where the whole interval says so."""
    found, none = variant.estimate, 0.0 if results.unit == "points" else 1.0
    if found is None:
        return None
    if found.low is None or found.high is None or found.low <= none <= found.high:
        return "cannot tell"
    rises = found.low > none
    return "better" if rises == (results.measure in HIGHER_IS_BETTER) else "worse"


def search(results: CompareResults) -> Table:
    """What the best of n variants, tried at random, may be expected to reach."""
    rows = [[str(n), number(value, 2)] for n, value in enumerate(results.expected_best, start=1)]
    title = "The best that a search may expect to find, by how many of these variants it tries"
    return Table(title, numbers("variants tried", NAMES[results.measure]), rows, "Dodge et al. 2019, section 3.")


def in_a_sentence(results: CompareResults) -> str:
    """Which variant is best, as far as that can be told."""
    best = (max if results.measure in HIGHER_IS_BETTER else min)(
        results.variants, key=lambda one: summary(one.values).mean
    )
    first, told = results.variants[0], [one for one in results.variants if verdict(one, results) == "better"]
    if best is first:
        return f"No variant is better than {first.name} on average."
    if not told:
        return f"{best.name} is best on average, but these runs cannot tell it from {first.name}."
    names = ", ".join(one.name for one in told)
    return f"Better than {first.name}: {names}. Best on average: {best.name}."


def settings_text() -> str:
    """Every setting: what it means, what it may be, and what each recipe has."""
    return terminal_text(*map(settings_table, RECIPES["report"]))


def settings_table(task: Task) -> Table:
    """The settings of one task."""
    own = {name: settings_of(recipes[task]) for name, recipes in RECIPES.items()}
    rows = [
        [name, one.meaning, one.choices(), " / ".join(word(values[one.field]) for values in own.values())]
        for name, one in settings(task).items()
    ]
    columns = words("setting", "what it is", "takes", " / ".join(own))
    return Table(f"Settings of the {task}", columns, rows)
