"""What the compare command found, and the settings that it takes, for the terminal."""

from dataclasses import replace

from studies.compare import HIGHER_IS_BETTER
from studies.results import AblationResults, ComparedVariant, CompareResults

from evaluation.statistics import UNCLEAR, in_percent, interquartile_mean, summary
from reporting.table import Table, effect, number, numbers, spread, terminal_text, words
from reporting.tables import at_chance, computed_on, mixture, of_seeds, paid_looks
from reporting.wording import duration, took
from studies.catalogue.recipes import RECIPES, word
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
    made = f"Computed on: {computed_on(results.machines)}."
    return terminal_text(*tables, in_a_sentence(results), made, took(results.total_seconds))


def comparison(results: CompareResults) -> Table:
    """Every variant over seeds, its difference from the first one, and the models without a network."""
    digits = 3 if results.measure == "bits-per-byte" else 1
    base, is_classifier = results.variants[0], results.task == "classifier"
    rows: list[list[str | None]] = []
    for one in results.variants:
        middle = number(interquartile_mean(one.values), digits)
        difference = effect(one.estimate, results.unit) if one.estimate else None
        row = [one.name, f"{one.n_parameters:,}", str(len(one.values)), spread(one.values, digits), middle, difference]
        row += [one.verdict, to_tell(one)]
        rows.append([*row, at_chance(results.classifier[one.name])] if is_classifier else row)
    for other in results.opponents:
        difference = effect(other.estimate, results.unit) if other.estimate else None
        row = [other.name, None, None, spread(other.values, digits), None, difference]
        rows.append([*row, *[None] * (3 if is_classifier else 2)])
    columns = words("variant") + numbers("parameters", "seeds", NAMES[results.measure], "middle half of the seeds")
    columns += numbers(f"against {base.name}") + words("verdict", "what would tell")
    columns += numbers("ended at chance, %") if is_classifier else []
    note = " ".join(filter(None, [*note_of(results), mixture(results.machines)]))
    return Table(f"The {results.task}, by variant", columns, rows, note)


def tables_of_ablation(results: AblationResults) -> list[Table]:
    """What each ingredient of the best recipe brings, task by task."""
    return [replace(comparison(one), title=f"Ablation of the best {one.task}") for one in results.tasks]


def note_of(results: CompareResults) -> list[str]:
    """What the numbers of the table are."""
    is_classifier, trained = results.task == "classifier", " on which both trained"
    rows, lines = ("rows", "rows") if is_classifier else ("texts", "lines")
    folds = f"folds of the training {'rows' if is_classifier else 'text'}; the test set was not read"
    notes = {
        f"{results.recipe} recipe; measured on {f'test {rows}' if results.on == 'test' else folds}; "
        f"{of_seeds(results.seeds)}; differences from paired seeds{trained if is_classifier else ''}, with "
        f"{in_percent(results.confidence)} intervals.": True,
        paid_looks(results.looks).strip(): len(results.looks) > 1,
        f"They are for other seeds and other {lines} at once, these by stretches of neighbours.": any(
            one.seeds for one in results.variants
        ),
        "They are wider for the training data that folds share (Nadeau and Bengio 2003).": results.on == "validation",
        "Middle half: the mean without the best and the worst quarter of the seeds.": True,
        "Ended at chance: with the largest class alone, and Wilson's interval of the share; where there are no two "
        "seeds on which both trained, it is these shares that are told apart.": is_classifier,
        "One number for all texts: the geometric mean of perplexities, the mean of bits per byte.": (
            not is_classifier and results.measure != "training-time"
        ),
    }
    return [note for note, stands in notes.items() if stands]


def to_tell(variant: ComparedVariant) -> str | None:
    """How many seeds would give a verdict where there is none, and what more of them take."""
    if variant.verdict != UNCLEAR:
        return None
    if variant.seeds_needed is None:
        return "not seeds" if len(variant.values) > 1 else "more than one seed"
    seconds = variant.train_seconds * (variant.seeds_needed - len(variant.values))
    return f"about {variant.seeds_needed} seeds: {duration(seconds)} more"


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
    first, told = results.variants[0], [one for one in results.variants if one.verdict == "better"]
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
