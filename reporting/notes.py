"""The sentences below tables: what the numbers are, what computed them, and what to beware of."""

from collections.abc import Iterable, Sequence, Sized

from common.wording import counted, duration
from evaluation.statistics import by_chance, in_percent
from reporting.table import from_here
from studies.answers import Answers, Comparison
from tokenizer import NAMES as NAMES_OF_TOKENS
from training.kinds import KINDS
from training.records import Machine

UNTRAINED = "did not\ntrain"
DID_NOT_TRAIN = (
    "Did not train: knows hardly more of its training rows than which class is the largest, or came less than half as "
    "far from there as the median of its seeds. Where too few seeds trained, the verdict compares how many did not."
)
SEEN = "Seen: the row's text stands word for word in the training file."
FOLDS = (
    "Seed s holds fold s of five out of training and is measured on it; the test set is not read. Folds share training "
    "data, which makes their intervals wider (Nadeau and Bengio 2003)."
)
NEEDED = (
    "Seeds that are needed are counted in all, for a verdict in 80 of 100 studies if mean and spread stay as they are; "
    "in brackets, how long the missing ones train on one core."
)
MEAN_OF_TEXTS = "Geometric mean over the test texts."
ALL_TEXTS = {"perplexity": "All texts: their geometric mean.", "bits-per-byte": "All texts: their mean."}
SCORED_ONCE = "Every token of a text is scored once."
TRIGRAM = (
    "Trigram: interpolated Kneser-Ney on the same training text and vocabulary; with the same <unk> estimate: it also "
    "knows how often a word that training lacks is <unk>, as the best recipe's trigram does."
)
SPELLING = {  # what bits per byte pay for an unknown token
    "word": "In bits per byte an unknown word costs 8 bits more for each of its bytes, and for its end.",
    "character": "In bits per byte an unknown character costs 8 bits more for each of its bytes.",
}
ABOUT_TOKENS = (
    "Bits for each byte of all texts compare, however a text is cut; perplexities, which are by token, do not. Words "
    "pay 8 bits for each byte of an unknown one and for its end, and nothing for white space, which subwords and "
    "characters must predict, too. Trigram: Kneser-Ney over the same tokens. A row longer than the block is cut."
)


def paragraph(*sentences: str) -> str:
    """Those sentences that there are, one after the other."""
    return " ".join(filter(None, sentences))


# ------------------------------------------------------------------------------------------------ seeds and intervals
def over_seeds(runs: Iterable[Sized]) -> str:
    """What a number with its spread is."""
    counts = sorted({len(seeds) for seeds in runs})
    if counts == [1]:
        return "One seed."
    ends = dict.fromkeys((str(counts[0]), str(counts[-1])))
    return f"Mean ± standard deviation over {' to '.join(ends)} seeds."


def about_intervals(answers: Answers, effects: Sequence[Comparison]) -> str:
    """What differences are, and what their intervals are for."""
    if all(row.estimate.low is None for row in effects):
        return ""
    what = "Differences in points, of seeds on which both trained," if effects[0].unit == "points" else "Differences"
    kind = KINDS[answers.questions[effects[0].question].kind]
    is_crossed = any(row.items for row in effects)
    crossed = f" and other {kind.items[1]} at once; results.json also has those for either alone" * is_crossed
    return paragraph(
        f"{what} have {in_percent(answers.confidence)} intervals for other seeds{crossed}.", about_looks(answers.looks)
    )


def about_holm(effects: Sequence[Comparison]) -> str:
    """What verdicts pay for where there are several; else nothing."""
    n = sum(row.verdict is not None for row in effects)
    if n < 2:
        return ""
    return (
        f"Verdicts pay for {n} comparisons (Holm): where none differs, one is found in at most 5% of studies. The "
        "intervals do not: each is of one comparison alone."
    )


def about_looks(looks: Sequence[int]) -> str:
    """What intervals are wider for, where a study was looked at with more seeds each time; else nothing."""
    if len(looks) < 2:
        return ""
    *first, last = map(str, looks)
    return (
        f"They are wider because the study was looked at with {', '.join(first)} and {last} seeds: in at most 5% of "
        "studies a difference is found that is not there."
    )


def about_verdicts(answers: Answers) -> str:
    """How to read the verdicts: what the intervals are for, and how often they err."""
    n = len(answers.claims)
    return paragraph(
        f"{in_percent(answers.confidence)} intervals (Student's t over paired seeds); of accuracies and test "
        "perplexities they are for other seeds and other test rows at once, rows by stretches of neighbours; "
        "results.json also has those for either alone.",
        about_looks(answers.looks),
        "Accuracies are of the seeds on which both variants trained.",
        f"If nothing were as it is claimed, some of the {n} claims would hold by chance in up to {by_chance(n):.0f}% "
        "of studies.",
        NEEDED,
        "More seeds do not help where the test rows are too few, the effect lies at the edge, or it is a time.",
    )


# -------------------------------------------------------------------------------------------------- tokens and probes
def token_of(answers: Answers) -> str:
    """What the models read one of at a time."""
    return NAMES_OF_TOKENS[answers.tokenizer]


def per_token(answers: Answers) -> str:
    """What must be said of a perplexity that is not by word."""
    name = token_of(answers)
    return "" if name == "word" else f"Perplexity is by {name}: compare bits per byte, not perplexities by word."


def about_lengths(block_size: int) -> str:
    """What changes with the inference length, and what a dash is."""
    return (
        f"The same tokens are scored at every length. A dash: learned positions end at {block_size} tokens. Side by "
        "side, the first tokens of a window have little context, and a longer window has fewer of them; sliding by "
        f"half, only the first window scores its first half. '{block_size - 1} tokens': every layer attends to no more "
        "of the past than in training, so what changes there is not extrapolation."
    )


# ------------------------------------------------------------------------------------------------- what computed them
def computed_on(machines: Sequence[Machine]) -> str:
    """Which code, software and processors made the records behind a table."""
    return "; and ".join(dict.fromkeys(", ".join(made_by(machine).values()) + " a run" for machine in machines))


def made_by(machine: Machine) -> dict[str, str]:
    """What may change a record as a seed does."""
    commit = (machine.commit or "unknown")[:10]
    return {
        "commits": f"commit {commit}" + (f" with uncommitted changes (code {machine.code})" if machine.dirty else ""),
        "PyTorch versions": f"PyTorch {machine.torch}",
        "processors": machine.processor,
        "numbers of threads": counted(machine.threads * machine.processes, "thread"),
    }


def mixture(machines: Sequence[Machine]) -> str:
    """A warning where the records behind a table were not all made in one way; else nothing."""
    made = list(map(made_by, machines))
    differing = [
        f"{what} ({', '.join(dict.fromkeys(each[what] for each in made))})"
        for what in made[0]
        if len({each[what] for each in made}) > 1
    ]
    if not differing:
        return ""
    return f"A mixture: these runs come from different {' and '.join(differing)}, which change results as a seed does."


def facts(answers: Answers) -> dict[str, str]:
    """What was run, on what, by what, and how long it took."""
    data, n_runs = answers.data, counted(len(answers.trainings()), "training")
    most = max(run.seed for run in answers.trainings())
    more = f", and up to {most} where fewer could not tell" if most > answers.seeds[-1] else ""
    return {
        "command": answers.command_line,
        "data": f"{from_here(data.folder)} (SHA-256 of all files: {data.fingerprint[:16]})",
        "rows": f"{data.train_rows:,} training, {data.test_rows:,} test; {', '.join(data.class_names)}",
        f"{token_of(answers)}s": "; ".join(f"{name} {n:,}" for name, n in answers.n_tokens.items()),
        "models": "; ".join(f"{kind}: {label}" for kind, label in answers.labels.items()),
        "seeds": f"{', '.join(map(str, answers.seeds))}{more}: of initialisation, order and dropout; the same for each "
        "variant",
        "runs": f"{n_runs}, together {duration(answers.training_seconds)} in training steps",
        "computed on": f"{computed_on(answers.machines)}; another processor rounds differently, as another seed would",
        "time": f"{duration(answers.total_seconds)}, without what an earlier start had done already",
    }
