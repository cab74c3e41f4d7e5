"""The answers as tables, the same for the terminal, Markdown and the page, and for one seed and for many."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import geometric_mean, median
from typing import Any, Literal

from common.wording import counted, duration
from dataset import TOGETHER, TRAINING
from evaluation.records import Group, GroupAccuracy, LanguageScores
from evaluation.statistics import UNCLEAR
from reporting import notes
from reporting.table import Column, Table, described
from reporting.wording import change, effect, number, sentence, spread
from studies.answers import Answers, Asked, Comparison, Judgement, Tokens
from studies.catalogue.claims import REGULARIZED
from studies.catalogue.names import name_of
from studies.catalogue.published import (
    PUBLISHED_ACCURACY,
    PUBLISHED_LOSSES,
    PUBLISHED_PARAMETERS,
    PUBLISHED_PERPLEXITY,
    PUBLISHED_REGULARIZED_ACCURACY,
    PUBLISHED_SECONDS,
    PUBLISHED_TRAIN_ACCURACY,
    on_courses_data,
    on_reports_speakers,
)
from studies.catalogue.questions import POSITIONS, STEEP
from studies.effects import AT_CHANCE, has_trained
from tokenizer import NAMES as NAMES_OF_TOKENS
from training.kinds import KINDS, Measure
from training.recipe import Task
from training.records import DecoderRun, TrainedRun

MOST_PARTS = 6  # of a claim, that stand in the open
ITERATIONS = [100, 200, 300, 400, 500]  # at which the report measured its decoder
WIDE, NARROW = "ff256", "ff100"  # the report's feed-forward networks
WHO, HOW = "Who said it?", "How surprising is it?"
TITLES: dict[Task, str] = {"classifier": WHO, "decoder": HOW}
TIMES = ("training time", "processor time")
Row = Mapping[Any, str | None]  # the cells of a row by column


# ------------------------------------------------------------------------------------------------------ every question
def by_variant(answers: Answers, question: str, title: str, variants: Sequence[str] = ()) -> Table:
    """What each variant of a question reaches, and each model without a network; below it how far it is from the
    variants that it is compared with, and what the report published of it."""
    asked, runs = answers.questions[question], answers.runs(question)
    shown = {name: runs[name] for name in variants or runs}
    opponents = answers.opponents(question) if question == asked.kind else {}
    heads, pairs = heads_of(answers, question), pairs_of(answers, question)
    rows: list[Row] = []
    for name, records in {**shown, **opponents}.items():
        rows.append({"name": name_of(name), **levels(asked, records, heads)})
        if published := published_levels(answers, question, name):
            rows.append({"name": "   published", **published})
        rows += [effects(answers, pair) for pair in pairs if name == below(answers, pair)]
    columns = [
        cell("name", asked.kind, "left"),
        cell("parameters"),
        *([cell("seeds")] if len({len(records) for records in shown.values()}) > 1 else []),
        *(cell(key, head) for key, head in heads.items()),
        cell("training rows", "training\nrows"),
        *([cell(AT_CHANCE, "ended at\nchance")] if some_at_chance(shown) else []),
        cell("verdict", align="left"),
        cell("seeds needed", align="left"),
    ]
    return described(title, rows, columns, note_by_variant(answers, question, shown, pairs))


def cell(key: Any, head: str = "", align: Literal["left", "right"] = "right") -> Column:
    """A column of what rows have under a key."""
    return Column(head or str(key), lambda row: row.get(key) or "", align)


def heads_of(answers: Answers, question: str) -> dict[tuple[str, str], str]:
    """The heads of the columns that show the measure of a question, by measure and subset."""
    asked = answers.questions[question]
    measure = measure_of(asked)
    if measure.name == "accuracy" and not asked.on_folds:
        sizes = answers.classifier[asked.base][0].test
        return {(measure.name, group): f"{group} ({sizes[group].n:,})" for group in groups_of(answers)}
    compared = [row.subset for row in answers.find(question=question, measure=measure.name, length=None)]
    subsets = [subset for subset in dict.fromkeys(compared) if subset is not None] or [measure.subset]
    return {(measure.name, subset): subset if len(subsets) > 1 else measure.title for subset in subsets}


def measure_of(asked: Asked) -> Measure:
    """What is compared first."""
    return KINDS[asked.kind].measures[asked.measure]


def groups_of(answers: Answers) -> tuple[Group, ...]:
    """The groups of test rows that differ from each other."""
    return ("all", "seen", "unseen") if 0 < answers.data.seen_rows < answers.data.test_rows else ("all",)


def some_at_chance(variants: Mapping[str, Sequence[TrainedRun]]) -> bool:
    """Whether a run knows no more than which class is the largest."""
    return not all(has_trained(run) for runs in variants.values() for run in runs)


def levels(asked: Asked, records: Sequence[Any], heads: Iterable[tuple[str, str]]) -> Row:
    """What the runs of a variant reach, or an opponent, which has read nothing in iterations or epochs."""
    is_run, measure = isinstance(records[0], TrainedRun), measure_of(asked)
    row: dict[Any, str | None] = {
        key: spread([measure.value(record, key[1]) for record in records], measure.digits)
        for key in heads
        if is_run or key[1] != TRAINING
    }
    if is_run:
        row |= {"parameters": f"{records[0].n_parameters:,}", "seeds": str(len(records))}
        row[AT_CHANCE] = f"{sum(not has_trained(record) for record in records)} of {len(records)}"
    if is_run and measure.name == "accuracy":
        row["training rows"] = spread([record.epochs[-1].train_accuracy for record in records])
    return row


def pairs_of(answers: Answers, question: str) -> list[list[Comparison]]:
    """The effects of a question, by the pair of variants that they compare; those on times stand in a table of theirs."""
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for row in answers.find(question=question, length=None):
        if row.measure not in TIMES:
            pairs.setdefault((row.variant, row.base), []).append(row)
    return list(pairs.values())


def below(answers: Answers, pair: Sequence[Comparison]) -> str:
    """The variant below which an effect is shown: the one that is not the base of its question."""
    return pair[0].base if pair[0].variant == answers.questions[pair[0].question].base else pair[0].variant


def effects(answers: Answers, pair: Sequence[Comparison]) -> Row:
    """How a variant differs from another in each measure, and what is made of it."""
    variant, base = pair[0].variant, pair[0].base
    against = f"against {name_of(base)}" if below(answers, pair) == variant else f"{name_of(variant)} against it"
    row: dict[Any, str | None] = {"name": f"   {against}"}
    for comparison in pair:
        key = AT_CHANCE if comparison.measure == AT_CHANCE else (comparison.measure, comparison.subset)
        row[key] = effect(comparison.estimate, comparison.unit, bare=comparison.unit == "points")
        if comparison.verdict and len(answers.seeds) > 1:
            row |= {"verdict": comparison.verdict, "seeds needed": seeds_needed(answers, comparison)}
    return row


def seeds_needed(answers: Answers, comparison: Comparison) -> str | None:
    """How many seeds would give a verdict where there is none, and what the others take."""
    if comparison.verdict != UNCLEAR:
        return None
    runs, n = answers.runs(comparison.question), comparison.estimate.n
    pair = [runs[name] for name in (comparison.variant, comparison.base) if name in runs]
    seconds = sum(run.train_seconds for seeds in pair for run in seeds[:n])
    return in_seeds(comparison.seeds_needed, n, seconds / n)


def in_seeds(needed: int | None, n: int, seconds: float) -> str:
    """How many seeds are needed in all, and how long those train that there are not, of `seconds` each."""
    if needed is None:
        return "more do not help" if n > 1 else "more than one"
    return f"{needed} ({duration(seconds * (needed - n))})"


def note_by_variant(
    answers: Answers, question: str, shown: Mapping[str, Sequence[TrainedRun]], pairs: Sequence[Sequence[Comparison]]
) -> str:
    """What the numbers of the table are."""
    asked, label = answers.questions[question], sentence(answers.labels[answers.questions[question].kind])
    measure, heads = measure_of(asked), heads_of(answers, question)
    compared = [row for pair in pairs for row in pair if below(answers, pair) in shown and row.measure != AT_CHANCE]
    where = "" if asked.on_folds else f" on test {KINDS[asked.kind].items[0]}"
    return notes.joined(
        f"{label}; {measure.title}{where}, when training ended.",
        notes.SEEN if len(heads) > 1 and measure.name == "accuracy" else "",
        notes.FOLDS if asked.on_folds else "",
        notes.over_seeds(shown.values()),
        notes.about_intervals(answers, compared),
        notes.NEEDED if any(row.seeds_needed for row in compared) else "",
        notes.AT_CHANCE if some_at_chance(shown) else "",
        notes.ALL_TEXTS.get(measure.name, "") if (measure.name, TOGETHER) in heads else "",
        notes.by_token(answers) if measure.name == "perplexity" else "",
    )


# ------------------------------------------------------------------------------------------------------- as published
def may_stand_beside(answers: Answers) -> bool:
    """Whether what the report published may stand beside these answers: over several seeds, on texts of its speakers;
    beside a single run only on its own data."""
    if answers.command in ("part3", "report"):
        return on_reports_speakers(answers)
    return answers.command in ("part1", "part2") and on_courses_data(answers.data)


def published_levels(answers: Answers, question: str, variant: str) -> Row:
    """What the report published of a variant, when training ended."""
    if not may_stand_beside(answers) or question == "validation":
        return {}
    if question == "classifier" and variant in ("classifier", "learned", "original", REGULARIZED):
        accuracy = PUBLISHED_REGULARIZED_ACCURACY if variant == REGULARIZED else PUBLISHED_ACCURACY[-1]
        is_whole = len(answers.classifier[variant][0].epochs) == len(PUBLISHED_ACCURACY)
        return {("accuracy", "all"): number(accuracy, 2)} if is_whole else {}
    if question == "decoder" and variant in ("learned", WIDE, NARROW):
        by_text = published_perplexities(answers, answers.decoder[variant][0])
        return {("perplexity", text): number(values[-1]) for text, values in by_text.items()}
    return {}


def published_perplexities(answers: Answers, run: DecoderRun) -> Mapping[str, Sequence[float]]:
    """The perplexities of each text that the report published of a decoder of this width, trained as long."""
    is_whole = run.iterations[-1].iteration == ITERATIONS[-1] and answers.tokenizer == "word"
    return PUBLISHED_PERPLEXITY.get(run.ff_dim, {}) if is_whole and may_stand_beside(answers) else {}


def size(answers: Answers, n_parameters: int, published: str) -> str:
    """The number of parameters, and that of the report's model where it may stand beside it."""
    of_report = PUBLISHED_PARAMETERS.get(published) if may_stand_beside(answers) else None
    ending = f" (published: {of_report:,} at 5,755 words)" if of_report else ""
    vocabulary = f"{answers.vocabulary_size:,} {notes.token_of(answers)}s"
    return f"{n_parameters:,} parameters at a vocabulary of {vocabulary}{ending}."


# --------------------------------------------------------------------------------------------------------- classifiers
def epochs(answers: Answers, variant: str) -> Table:
    """Table 1: the classifier by epoch."""
    runs = answers.classifier[variant]
    is_whole = len(runs[0].epochs) == len(PUBLISHED_ACCURACY) and may_stand_beside(answers)
    last = len(PUBLISHED_ACCURACY) - 1
    losses = dict(zip((0, last), PUBLISHED_LOSSES)) if is_whole else {}
    columns = [
        Column("epoch", lambda i: str(i + 1)),
        Column("train\nloss", lambda i: spread([run.epochs[i].train_loss for run in runs], 3)),
        Column("train\naccuracy %", lambda i: spread([run.epochs[i].train_accuracy for run in runs])),
        Column("test\naccuracy %", lambda i: spread([run.epochs[i].test_accuracy for run in runs])),
        Column("published\nloss", lambda i: number(losses[i], 3) if i in losses else None),
        Column("published\ntrain %", lambda i: number(PUBLISHED_TRAIN_ACCURACY) if is_whole and i == last else None),
        Column("published\ntest %", lambda i: number(PUBLISHED_ACCURACY[i]) if is_whole else None),
    ]
    note = notes.joined(notes.over_seeds([runs]), size(answers, runs[0].n_parameters, "classifier"))
    return described(
        f"Table 1: the classifier by epoch, {answers.labels['classifier']}", range(len(runs[0].epochs)), columns, note
    )


def by_class(answers: Answers, variant: str) -> Table:
    """Precision, recall and F1."""
    scores = [run.scores for run in answers.classifier[variant]]
    rows = [*zip(*(seed.classes for seed in scores)), scores]

    def values(name: str) -> Callable[[Any], str | None]:
        return lambda row: spread([getattr(score, name) for score in row]) if row is not scores else None

    columns = [
        Column("class", lambda row: "mean of the classes" if row is scores else row[0].name, "left"),
        Column("test rows", lambda row: None if row is scores else f"{row[0].n:,}"),
        Column("precision %", values("precision")),
        Column("recall %", values("recall")),
        Column("F1 %", lambda row: spread([seed.macro_f1 for seed in row]) if row is scores else values("f1")(row)),
    ]
    return described("Who is recognised", rows, columns)


def calibration(answers: Answers, variant: str) -> Table:
    """How far the probabilities of one run are from how often they are right."""
    (calibrated,) = answers.calibration["classifier"][variant]
    shown = {"as trained": calibrated.as_trained}
    fitted = f"Probabilities stay as trained, for {calibrated.note}."
    if calibrated.n_rows:
        shown[f"at temperature {number(calibrated.temperature, 2)}"] = calibrated.calibrated
        fitted = (
            f"The temperature is fitted to {calibrated.n_rows:,} training rows that a second model did not train on."
        )
    rows = [
        (name, errors)
        for title, reliability in shown.items()
        for name, errors in ((title, reliability.error), ("   expected by chance, up to", reliability.chance))
    ]
    columns = [
        Column("confidence less accuracy, points", lambda row: row[0], "left"),
        *(Column(group, lambda row, group=group: spread([row[1][group]])) for group in groups_of(answers)),  # type: ignore[misc]
    ]
    note = (
        f"Expected calibration error on the test rows, in 15 bins. {fitted} By chance: 19 of 20 samples of so many rows "
        "stay below this even if every probability is right."
    )
    return described("Are its probabilities right?", rows, columns, note)


# ------------------------------------------------------------------------------------------------------------ decoders
def iterations(answers: Answers, variant: str, title: str) -> Table:
    """Perplexity by iteration."""
    runs = answers.decoder[variant]
    steps = [row.iteration for row in runs[0].iterations]
    published = published_perplexities(answers, runs[0])
    rows: list[tuple[str, Sequence[str | None]]] = []
    for text in (TRAINING, *answers.test_names):
        rows.append(
            (text, [spread([run.iterations[i].perplexity[text] for run in runs]) or "" for i in range(len(steps))])
        )
        if len(published.get(text, ())) == len(steps):
            rows.append(("   published", [number(value) for value in published[text]]))
    columns = [
        Column("text", lambda row: row[0], "left"),
        *(Column(f"{step}", lambda row, i=i: row[1][i]) for i, step in enumerate(steps)),  # type: ignore[misc]
    ]
    note = notes.joined(
        f"{sentence(runs[0].protocol)}.",
        notes.over_seeds([runs]),
        size(answers, runs[0].n_parameters, f"decoder {runs[0].ff_dim}"),
        notes.by_token(answers),
    )
    title = f"{title}: perplexity by iteration, {answers.labels['decoder']}, hidden size {runs[0].ff_dim}"
    return described(title, rows, columns, note)


def by_text(answers: Answers, variants: Sequence[str]) -> Table:
    """What decoders and n-gram models make of each text, in more than one measure; what compares best first."""
    scored: dict[str, Sequence[Mapping[str, LanguageScores]]] = {}
    for variant in variants:
        runs = answers.decoder[variant]
        with_ngrams = ", with a trigram" if runs[0].network else ""
        scored[f"decoder, hidden size {runs[0].ff_dim}{with_ngrams}"] = [run.scores for run in runs]
        if with_ngrams:
            scored[f"decoder alone, hidden size {runs[0].ff_dim}"] = [run.network for run in runs]
    scored |= {
        name_of(key): [record.scores for record in records] for key, records in answers.decoder_opponents.items()
    }
    rows = [
        (text, name, [seed[text] for seed in scores]) for text in answers.test_names for name, scores in scored.items()
    ]
    first = next(iter(scored))

    def shown(measure: str, digits: int = 1) -> Callable[[Any], str | None]:
        return lambda row: spread([getattr(scores, measure) for scores in row[2]], digits)

    unknown = answers.tokenizer != "bpe"
    perplexity, bits = (
        [Column("perplexity", shown("perplexity"))],
        [Column("bits per\nbyte", shown("bits_per_byte", 3))],
    )
    if unknown:
        perplexity.append(Column("without\n<unk>", shown("perplexity_without_unk")))
    columns = [
        Column("text", lambda row: row[0] if row[1] == first else "", "left"),
        Column("model", lambda row: row[1], "left"),
        *(perplexity + bits if answers.tokenizer == "word" else bits + perplexity),
        Column("<unk>, %\nof tokens", lambda row: number(row[2][0].unk_rate, 2) if unknown and row[1] == first else ""),
    ]
    note = notes.joined(
        notes.SCORED_ONCE,
        "Trigram: interpolated Kneser-Ney on the same training text and vocabulary; the other n-gram models also "
        "estimate <unk> as the decoder does."
        if unknown
        else "",
        notes.spelling(answers),
        notes.by_token(answers),
    )
    return described("Beside n-gram models", rows, columns, note)


def voices(answers: Answers, run: DecoderRun) -> Table:
    """How surprising each test text is in each of a decoder's voices, and how often Bayes' rule knows a speaker."""
    assert run.voices is not None
    texts, names = run.voices.perplexity, answers.data.class_names
    columns = [
        Column("voice", lambda k: names[k], "left"),
        *(Column(text, lambda k, values=values: number(values[k])) for text, values in texts.items()),  # type: ignore[misc]
    ]
    shares = {group: percent(row) for group, row in run.voices.test.items()}
    known = ", ".join(f"{share} of {group}" for group, share in shares.items() if share)
    note = f"Bayes' rule tells the speaker of {known} test rows from the probability of the row in each voice."
    return described(f"Perplexity by voice, hidden size {run.ff_dim}", range(len(names)), columns, note)


def percent(group: GroupAccuracy) -> str | None:
    """The accuracy on a group of rows, if it has any."""
    return None if group.accuracy is None else f"{number(group.accuracy)}%"


def lengths(answers: Answers, text: str | None = None) -> Table:
    """Perplexity on one test text, or the geometric mean over all, at each inference length."""
    texts, probed = [text] if text else answers.test_names, answers.lengths["decoder"]
    sizes = dict.fromkeys(row.length for row in probed[POSITIONS[0]][0])

    def at(length: int) -> Callable[[Any], str | None]:
        def shown(row: tuple[str, Any]) -> str | None:
            variant, reading = row
            readings = [
                each.perplexity
                for seed in probed[variant]
                for each in seed
                if (each.length, each.reading) == (length, reading)
            ]
            means = [mean_of([perplexities[name] for name in texts]) for perplexities in readings]
            return None if None in means else spread(means)

        return shown

    rows = [
        (variant, reading)
        for variant, seeds in probed.items()
        for reading in dict.fromkeys(row.reading for row in seeds[0])
        if reading.window is None or variant != "learned"  # which has no longer lengths to control for
    ]
    columns = [
        Column("decoder", lambda row: name_of(row[0]), "left"),
        Column("windows", lambda row: "sliding by half" if row[1].sliding else "side by side", "left"),
        Column("attends to", lambda row: "all before" if row[1].window is None else f"{row[1].window} tokens", "left"),
        *(Column(f"{length}\ntokens", at(length)) for length in sizes),
    ]
    note = notes.joined(
        "" if text else "Geometric mean over the test texts.",
        f"The same tokens, all of them, are scored at every length. A dash: learned positions end at "
        f"{answers.block_size} tokens. Side by side, the first tokens of a window have little context, and a longer "
        "window has fewer of them; sliding by half its length, only the second half of a window is scored, but for the "
        f"first one. '{answers.block_size - 1} tokens': every layer attends to no more of the past than in training, so "
        "what changes there is not extrapolation.",
        notes.by_token(answers),
    )
    title = f"Perplexity on {text} by inference length" if text else "Perplexity by inference length"
    return described(title, rows, columns, note)


def mean_of(perplexities: Sequence[float | None]) -> float | None:
    """The geometric mean, None if one is undefined."""
    known = [value for value in perplexities if value is not None]
    return geometric_mean(known) if len(known) == len(perplexities) else None


# -------------------------------------------------------------------------------------------------------------- probes
def times(answers: Answers, kind: Task) -> Table:
    """Tables 4 and 5: training time."""
    timed = answers.timing[kind]
    published = PUBLISHED_SECONDS[kind] if may_stand_beside(answers) else {}

    def against_learned(measure: str) -> Callable[[str], str | None]:
        def shown(name: str) -> str | None:
            rows = answers.find(question=kind, variant=name, base="learned", measure=measure)
            return effect(rows[0].estimate, "ratio", bare=True) if rows else None

        return shown

    columns = [
        Column("positions", name_of, "left"),
        Column("ms a\nstep", lambda name: number(1000 * median(timed.seconds[name]), 2)),
        Column("s a\ntraining", lambda name: number(timed.n_steps_of_a_training * median(timed.seconds[name]))),
        Column("change, %", against_learned("training time")),
        Column("change of\nprocessor time, %", against_learned("processor time")),
        Column("published,\ns", lambda name: number(published[name], 2) if name in published else None),
        Column(
            "published\nchange",
            lambda name: change(published[name] / published["learned"]) if name == "alibi" and published else None,
        ),
    ]
    note = (
        f"{timed.n_steps:,} steps of each, in turns and random order in one process, on "
        f"{counted(timed.threads, 'thread')}; medians of blocks of 10 steps, paired. A training has "
        f"{timed.n_steps_of_a_training:,} steps; evaluation is not timed."
    )
    title = f"Table {4 if kind == 'classifier' else 5}: training time of the {kind}"
    return described(title, list(timed.seconds), columns, note)


def attention(answers: Answers, kind: Task) -> Table:
    """Attention statistics by layer and head."""
    seeds = answers.attention[kind]["learned"]
    is_encoder = kind == "classifier"
    rows = [(layer, head) for layer, heads in enumerate(seeds[0].distance) for head in range(len(heads))]

    def shown(statistic: str) -> Callable[[Any], str | None]:
        return lambda row: spread([getattr(seed, statistic)[row[0]][row[1]] for seed in seeds], 2)

    columns = [
        Column("", lambda row: f"layer {row[0] + 1}, head {row[1] + 1}", "left"),
        Column("mean distance,\ntokens", shown("distance")),
        Column("relative\nto uniform", shown("relative_distance")),
        Column("entropy,\nnats", shown("entropy")),
        Column("relative\nto uniform", shown("relative_entropy")),
        Column(
            "on\npadding, %",
            lambda row: spread([100 * seed.padding[row[0]][row[1]] for seed in seeds]) if is_encoder else None,
        ),
    ]
    note = notes.joined(
        f"Over all test {'rows' if is_encoder else 'texts'}; mean ± standard deviation over "
        f"{counted(len(seeds), 'run')}{' that trained' if is_encoder else ''}. Uniform: the same weight on every token "
        "that can be seen.",
        "The report's encoder does not mask padding; the other columns are of what the tokens get."
        if is_encoder
        else "",
    )
    return described(f"Attention of the {'encoder' if is_encoder else 'decoder'}", rows, columns, note)


def tokens(answers: Answers) -> list[Table]:
    """Words, subwords and characters beside each other, for each kind of model that was trained."""
    on_folds = next(iter(answers.questions.values())).on_folds
    how = notes.joined(
        notes.FOLDS if on_folds else "Measured on the test set.", f"{answers.recipe.capitalize()} recipe."
    )
    name = Column("tokens (vocabulary)", lambda row: f"{NAMES_OF_TOKENS[row.kind]}s ({row.vocabulary_size:,})", "left")
    block = Column("block", lambda row: str(row.block_size))
    tables = []
    if answers.tokens[0].bits_per_byte:
        columns = [
            Column("bits per\nbyte", lambda row: spread(row.bits_per_byte, 3)),
            Column("against\nwords, %", lambda row: row.bits_ratio and effect(row.bits_ratio, "ratio", bare=True)),
            Column("trigram", lambda row: spread(row.trigram, 3)),
            Column("bytes\na token", lambda row: number(row.bytes_per_token, 2)),
        ]
        note = notes.joined(
            "Bits for each byte of all texts together: the bytes are the same however a text is cut, so these compare, "
            "and perplexities, which are by token, do not. Words pay 8 bits for each byte of one that is unknown and "
            "for its end, and nothing for the white space between them, which subwords and characters must predict, "
            "too. Trigram: Kneser-Ney over the same tokens, with an estimate of unknown ones.",
            how,
            spread_over(answers.tokens, "bits_per_byte"),
            notes.mixture(answers.machines),
        )
        tables.append(described(HOW, answers.tokens, [name, block, *columns], note))
    if answers.tokens[0].accuracy:
        columns = [
            Column("accuracy, %", lambda row: spread(row.accuracy)),
            Column(
                "against\nwords, points",
                lambda row: row.accuracy_difference and effect(row.accuracy_difference, "points", bare=True),
            ),
            Column("training\nrows cut, %", lambda row: number(row.cut)),
        ]
        note = notes.joined(
            "A row that is longer than the block is cut.",
            how,
            spread_over(answers.tokens, "accuracy"),
            notes.mixture(answers.machines),
        )
        tables.append(described(WHO, answers.tokens, [name, block, *columns], note))
    return tables


def spread_over(rows: Sequence[Tokens], measure: str) -> str:
    """What the numbers of a table by tokens are."""
    n = len(getattr(rows[0], measure))
    return f"Mean ± standard deviation over {n} seeds, with 95% intervals." if n > 1 else "One seed: no spread."


# -------------------------------------------------------------------------------------------------------------- claims
def verdicts(answers: Answers) -> Table:
    """What we say of each claim, and the measurement behind it."""

    def parts(judgement: Judgement) -> str:
        shown = [f"{part.label} {effect(part.estimate, part.unit)}" for part in judgement.parts]
        more = [f"and {len(shown) - MOST_PARTS} more"] if len(shown) > MOST_PARTS else []
        return "; ".join(shown[:MOST_PARTS] + more)

    columns = [
        Column("", lambda row: row.id, "left"),
        Column("claim", lambda row: row.claim, "left"),
        Column("verdict", lambda row: row.verdict, "left"),
        Column("measured", parts, "left"),
        Column("seeds needed", needed_to_judge, "left"),
    ]
    return described("Verdicts", answers.claims, columns, notes.about_verdicts(answers))


def needed_to_judge(judgement: Judgement) -> str | None:
    """How many seeds would give a verdict where there is none yet."""
    if judgement.verdict != UNCLEAR or not judgement.parts:
        return None
    needed, n = judgement.seeds_needed, judgement.parts[0].estimate.n
    more = needed - n if needed else 1
    return in_seeds(needed, n, 60 * (judgement.minutes or 0.0) / more)


# ---------------------------------------------------------------------------------------------------------- by command
def tables_of(answers: Answers) -> list[Table]:
    """The tables that a command shows."""
    by_command: dict[str, Callable[[Answers], list[Table]]] = {
        "part1": of_part1,
        "part2": of_part2,
        "part3": of_exploration,
        "report": lambda answers: [verdicts(answers), *of_exploration(answers)],
        "tokenizers": tokens,
    }
    return by_command.get(answers.command, of_questions)(answers)


def of_part1(answers: Answers) -> list[Table]:
    """Table 1, the opponents, each class, and what the probabilities are worth."""
    base = answers.questions["classifier"].base
    return [
        epochs(answers, base),
        by_variant(answers, "classifier", "Test accuracy in percent"),
        by_class(answers, base),
        calibration(answers, base),
    ]


def of_part2(answers: Answers) -> list[Table]:
    """Tables 2 and 3, the n-gram models, and the voices."""
    numbered = enumerate(answers.decoder, start=2)
    runs = [run for runs in answers.decoder.values() for run in runs]
    return [
        *(iterations(answers, variant, f"Table {number}") for number, variant in numbered),
        by_text(answers, list(answers.decoder)),
        *(voices(answers, run) for run in runs if run.voices),
    ]


def of_exploration(answers: Answers) -> list[Table]:
    """Positions and regularization, as far as the study asked about them."""
    return [*of_positions(answers), *of_regularization(answers)]


def of_positions(answers: Answers) -> list[Table]:
    """Times, accuracies, perplexities and inference lengths by position method; nothing if positions were not asked."""
    if not answers.decoder:
        return []
    return [
        *(times(answers, kind) for kind in answers.timing),
        by_variant(answers, "classifier", "Test accuracy by position method, in percent", POSITIONS),
        by_variant(answers, "decoder", "Perplexity by position method", (*POSITIONS, STEEP)),
        *([width(answers)] if NARROW in answers.decoder else []),
        *([lengths(answers)] if answers.lengths else []),
    ]


def width(answers: Answers) -> Table:
    """Table 3: the narrower feed-forward network, and what width changes."""
    return by_variant(
        answers, "decoder", "Table 3: perplexity by hidden size of the feed-forward network", (NARROW, WIDE)
    )


def of_regularization(answers: Answers) -> list[Table]:
    """Rates of dropout on folds, and the regularized classifier on the test set."""
    if not answers.validation:
        return []
    others = [name for name in answers.classifier if name not in POSITIONS]
    return [
        by_variant(answers, "validation", "Accuracy by rate of dropout, on folds"),
        by_variant(answers, "classifier", "Test accuracy by regularization, in percent", others),
    ]


def of_questions(answers: Answers) -> list[Table]:
    """A table for each question."""
    titles = {"ablation": "Ablation of the best {kind}", "compare": "The {kind}, by variant"}
    return [
        by_variant(answers, question, titles.get(answers.command, TITLES[asked.kind]).format(kind=asked.kind))
        for question, asked in answers.questions.items()
    ]
