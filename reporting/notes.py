"""The sentences below tables and around them: what the numbers are, what computed them, and what to beware of."""

from collections.abc import Iterable, Sequence

from common.wording import counted, duration
from evaluation.statistics import by_chance, in_percent
from studies.answers import Answers, Comparison
from tokenizer import NAMES as NAMES_OF_TOKENS
from training.records import Machine, TrainedRun

SCORED_ONCE = "Every token of a text is scored once."
AT_CHANCE = (
    "Ended at chance: knows no more of its training rows than which class is the largest. Where too few seeds trained, "
    "the verdict compares how many did not."
)
FOLDS = (
    "Seed s holds fold s of five out of training and is measured on it; the test set is not read. Folds share training "
    "data, which makes these intervals wider (Nadeau and Bengio 2003)."
)
NEEDED = (
    "Seeds needed: in all, for a verdict in 80 of 100 studies, if mean and spread stay as they are; in brackets, how "
    "long the others train on one core."
)
SEEN = "Seen: the row's text appears word for word in the training file."
ALL_TEXTS = {
    "perplexity": "All texts: the geometric mean of their perplexities.",
    "bits-per-byte": "All texts: the mean of their bits per byte.",
}


def joined(*sentences: str) -> str:
    """Those sentences that there are, one after the other."""
    return " ".join(filter(None, sentences))


# ------------------------------------------------------------------------------------------------------- what was asked
def over_seeds(runs: Iterable[Sequence[TrainedRun]]) -> str:
    """What a number with its spread is."""
    counts = sorted({len(seeds) for seeds in runs})
    if counts[-1:] == [1]:
        return "One seed, so there is no spread."
    return f"Mean ± standard deviation over {' to '.join(dict.fromkeys(map(str, (counts[0], counts[-1]))))} seeds."


def about_intervals(answers: Answers, effects: Sequence[Comparison]) -> str:
    """What differences are, and what their intervals are for."""
    if not effects or all(row.estimate.low is None for row in effects):
        return ""
    both = next((row for row in effects if row.seeds and row.items), None)
    chance = "other seeds"
    if both:
        of_rows = answers.questions[both.question].kind == "classifier"
        chance += f" and other {'rows' if of_rows else 'lines'} at once"
    trained = " on which both trained" if any(row.unit == "points" for row in effects) else ""
    sentence = (
        f"Differences{' in points' if trained else ''} are of the same seeds{trained}, with "
        f"{in_percent(answers.confidence)} intervals for {chance}"
    )
    alone = "; results.json also has those for either alone" if both else ""
    return f"{sentence}{alone}. {about_looks(answers.looks)}".strip()


def about_looks(looks: Sequence[int]) -> str:
    """What intervals are wider for, where a study was looked at with more seeds each time; else nothing."""
    if len(looks) < 2:
        return ""
    *first, last = map(str, looks)
    return (
        f"They are wider because the study was looked at with {', '.join(first)} and {last} seeds: in at most 5% of "
        "studies a difference is found that is not there."
    )


def seeds_of(answers: Answers) -> str:
    """The seeds of all runs."""
    most = max(run.seed for run in answers.trainings())
    more = f", and up to {most} where fewer could not tell" if most > answers.seeds[-1] else ""
    return f"{', '.join(map(str, answers.seeds))}{more}"


def about_verdicts(answers: Answers) -> str:
    """How to read the verdicts: where they were found, what the intervals are of, and how often they err."""
    processors = " and ".join(dict.fromkeys(machine.processor for machine in answers.machines))
    n = len(answers.claims)
    return joined(
        f"{in_percent(answers.confidence)} intervals; of accuracies and test perplexities they are for other seeds and "
        "other test rows at once, rows by stretches of neighbours; results.json also has those for either alone.",
        about_looks(answers.looks),
        "Accuracies are of the seeds on which both variants trained.",
        f"If nothing were as it is claimed, some of the {n} claims would hold by chance in up to {by_chance(n):.0f}% of "
        "studies.",
        NEEDED,
        "More seeds would not help where the test rows are too few, the effect lies at the edge, or it is a time.",
        f"Computed on {processors}; another processor rounds differently, which is like other seeds.",
    )


def one_seed(answers: Answers) -> str:
    """Why there is no verdict, where there is one seed alone."""
    if len(answers.seeds) > 1:
        return ""
    return "One seed gives no intervals, so nothing can be judged: --seeds 5 tells which differences are real."


# ------------------------------------------------------------------------------------------------------------- tokens
def token_of(answers: Answers) -> str:
    """What the models read one of at a time."""
    return NAMES_OF_TOKENS[answers.tokenizer]


def by_token(answers: Answers) -> str:
    """What must be said of a perplexity that is not by word."""
    name = token_of(answers)
    return "" if name == "word" else f"Perplexity is by {name}: compare bits per byte, not perplexities by word."


def spelling(answers: Answers) -> str:
    """What bits per byte pay for an unknown token, "" where none is unknown."""
    costs = {
        "word": "In bits per byte an unknown word costs 8 bits more for each of its bytes, and for its end.",
        "character": "In bits per byte an unknown character costs 8 bits more for each of its bytes.",
    }
    return costs.get(answers.tokenizer, "")


# ------------------------------------------------------------------------------------------------ what computed them
def computed_on(machines: Sequence[Machine]) -> str:
    """Which code, software and processors made the records behind a table."""
    made = [
        f"commit {commit(machine)}, PyTorch {machine.torch}, {machine.processor}, {threads([machine])} a run"
        for machine in machines
    ]
    return "; and ".join(dict.fromkeys(made))


def commit(machine: Machine) -> str:
    """The commit that made a record, or why there is none to name."""
    name = (machine.commit or "unknown")[:10]
    return f"{name} with uncommitted changes (code {machine.code})" if machine.dirty else name


def threads(machines: Sequence[Machine]) -> str:
    """How many threads computed each run."""
    counts = sorted({machine.threads * machine.processes for machine in machines})
    return " or ".join(counted(n, "thread") for n in counts)


def mixture(machines: Sequence[Machine]) -> str:
    """A warning where the records behind a table were not all made in one way; else nothing."""
    ways = {
        "commits": [commit(machine) for machine in machines],
        "processors": [machine.processor for machine in machines],
        "PyTorch versions": [machine.torch for machine in machines],
        "numbers of threads": [threads([machine]) for machine in machines],
    }
    differing = [f"{way} ({', '.join(dict.fromkeys(names))})" for way, names in ways.items() if len(set(names)) > 1]
    if not differing:
        return ""
    return f"A mixture: these runs come from different {' and '.join(differing)}, which change results as a seed does."


def provenance(answers: Answers) -> str:
    """The seeds of the answers, and the commit and machine that made them; and the tokens, if no words."""
    tokens = "" if answers.tokenizer == "word" else f"{token_of(answers)}s; "
    return f"{tokens}seeds {seeds_of(answers)}; {computed_on(answers.machines)}"


def training_time(answers: Answers) -> str:
    """How many runs there are, and how long they trained."""
    return f"{counted(len(answers.trainings()), 'training')}, together {duration(answers.training_seconds)} in steps"
