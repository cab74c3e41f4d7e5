"""The answers as tables, the same for the terminal, Markdown and the page, and for one seed and for many.

A row holds its cells by the heads of their columns; a column that no row has is not there.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import geometric_mean, median
from typing import Any

from common.wording import counted, duration
from dataset import TOGETHER, TRAINING
from evaluation.records import Group, LanguageScores
from evaluation.statistics import UNCLEAR, Estimate
from reporting import notes
from reporting.table import Table, table_of
from reporting.wording import change, effect, number, sentence, spread, spread_of
from studies.answers import Answers, Asked, Comparison, Judgement
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
VERDICT = "verdict"
TIMES = {"training time": "change, %", "processor time": "change of\nprocessor time, %"}
TITLES: dict[Task, str] = {"classifier": "Who said it?", "decoder": "How surprising is it?"}
Row = Mapping[str, str | None]  # by the head of the column; None is a dash


# ------------------------------------------------------------------------------------------------------ every question
def by_variant(answers: Answers, question: str, title: str, variants: Sequence[str] = ()) -> Table:
    """What each variant of a question reaches, and each model without a network; below it how far it is from the
    variants that it is compared with, and what the report published of it."""
    asked, runs, heads = answers.questions[question], answers.runs(question), heads_of(answers, question)
    shown = {name: runs[name] for name in variants or runs}
    records = {**shown, **(answers.opponents(question) if question == asked.kind else {})}
    pairs = [pair for pair in pairs_of(answers, question) if below(answers, pair[0]) in records]
    rows: list[Row] = []
    for name, measured in records.items():
        rows.append({asked.kind: name_of(name), **levels(asked, measured, heads)})
        published = published_levels(answers, question, name)
        if published:
            cells = {heads[subset]: text for subset, text in published.items() if subset in heads}
            rows.append({asked.kind: "   published", **cells})
        rows += [effects(answers, pair, heads) for pair in pairs if name == below(answers, pair[0])]
    hidden = {
        "parameters": answers.command not in ("compare", "ablation", "measure"),
        "training\nrows": answers.command in ("compare", "ablation", "measure"),
        "seeds": len({len(records) for records in shown.values()}) == 1,
        notes.AT_CHANCE: not some_at_chance(shown),
    }
    rows = [{head: text for head, text in row.items() if not hidden.get(head)} for row in rows]
    return table_of(title, rows, (asked.kind, VERDICT), note_by_variant(answers, question, shown, pairs))


def heads_of(answers: Answers, question: str) -> dict[str, str]:
    """The heads of the columns that show the measure of a question, by the subset that it was measured on."""
    asked = answers.questions[question]
    measure = measure_of(asked)
    if measure.name == "accuracy" and not asked.on_folds:
        sizes = answers.classifier[asked.base][0].test
        return {group: f"{group} ({sizes[group].n:,})" for group in groups_of(answers)}
    compared = [row.subset for row in answers.find(question=question, measure=measure.name, length=None)]
    subsets = [subset for subset in dict.fromkeys(compared) if subset is not None] or [measure.subset]
    return {subset: subset if len(subsets) > 1 else measure.title for subset in subsets}


def measure_of(asked: Asked) -> Measure:
    """What is compared first."""
    return KINDS[asked.kind].measures[asked.measure]


def groups_of(answers: Answers) -> tuple[Group, ...]:
    """The groups of test rows that differ from each other."""
    return ("all", "seen", "unseen") if 0 < answers.data.seen_rows < answers.data.test_rows else ("all",)


def some_at_chance(variants: Mapping[str, Sequence[TrainedRun]]) -> bool:
    """Whether a run knows no more than which class is the largest."""
    return not all(has_trained(run) for runs in variants.values() for run in runs)


def levels(asked: Asked, records: Sequence[Any], heads: Mapping[str, str]) -> Row:
    """What the runs of a variant reach, or an opponent, of which there is nothing on the training text."""
    measure, is_run = measure_of(asked), isinstance(records[0], TrainedRun)
    subsets = [subset for subset in heads if is_run or subset != TRAINING]
    values = {
        heads[subset]: spread([measure.value(record, subset) for record in records], measure.digits)
        for subset in subsets
    }
    if not is_run:
        return values
    row = {"parameters": f"{records[0].n_parameters:,}", "seeds": str(len(records)), **values}
    if measure.name == "accuracy":
        row["training\nrows"] = spread([record.epochs[-1].train_accuracy for record in records])
    return {**row, notes.AT_CHANCE: f"{sum(not has_trained(record) for record in records)} of {len(records)}"}


def pairs_of(answers: Answers, question: str) -> list[list[Comparison]]:
    """The effects of a question by the pair of variants that they compare, but for those on times (`times`)."""
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for row in answers.find(question=question, length=None):
        if row.measure not in TIMES:
            pairs.setdefault((row.variant, row.base), []).append(row)
    return list(pairs.values())


def below(answers: Answers, row: Comparison) -> str:
    """The variant below which an effect is shown: the one that is not the base of its question."""
    return row.base if row.variant == answers.questions[row.question].base else row.variant


def effects(answers: Answers, pair: Sequence[Comparison], heads: Mapping[str, str]) -> Row:
    """How a variant differs from another, and what is made of it."""
    variant, base, asked = pair[0].variant, pair[0].base, answers.questions[pair[0].question]
    against = f"against {name_of(base)}" if below(answers, pair[0]) == variant else f"{name_of(variant)} against it"
    row: dict[str, str | None] = {asked.kind: f"   {against}"}
    for comparison in pair:
        is_points = comparison.unit == "points"
        if comparison.measure == AT_CHANCE:
            row[notes.AT_CHANCE] = effect(comparison.estimate, "points", bare=True)
        elif comparison.measure == asked.measure and comparison.subset is not None and comparison.subset in heads:
            row[heads[comparison.subset]] = effect(comparison.estimate, comparison.unit, bare=is_points)
        if comparison.verdict and len(answers.seeds) > 1:
            row[VERDICT] = ": ".join(filter(None, [comparison.verdict, seeds_needed(answers, comparison)]))
    return row


def seeds_needed(answers: Answers, comparison: Comparison) -> str:
    """How many seeds would give a verdict where there is none, and what the others take."""
    if comparison.verdict != UNCLEAR:
        return ""
    runs, n = answers.runs(comparison.question), comparison.estimate.n
    pair = [runs[name] for name in (comparison.variant, comparison.base) if name in runs]
    seconds = sum(run.train_seconds for seeds in pair for run in seeds[:n])
    return in_seeds(comparison.seeds_needed, n, seconds / n)


def in_seeds(needed: int | None, n: int, seconds: float) -> str:
    """How many seeds are needed in all, and how long those train that there are not, of `seconds` each."""
    if needed is None:
        return "more seeds do not help" if n > 1 else "needs more than one seed"
    return f"needs {needed} seeds ({duration(seconds * (needed - n))})"


def note_by_variant(
    answers: Answers, question: str, shown: Mapping[str, Sequence[TrainedRun]], pairs: Sequence[Sequence[Comparison]]
) -> str:
    """What the numbers of the table are."""
    asked, heads = answers.questions[question], heads_of(answers, question)
    kind, measure = KINDS[asked.kind], measure_of(asked)
    compared = [row for pair in pairs for row in pair if row.measure == measure.name]
    where = "" if asked.on_folds else f", on test {kind.items[0]}"
    return notes.joined(
        f"{sentence(answers.labels[asked.kind])}; measured when training ended{where}.",
        notes.SEEN if "seen" in heads else "",
        notes.FOLDS if asked.on_folds else "",
        notes.over_seeds(shown.values()),
        notes.about_intervals(answers, compared),
        notes.NEEDED if any(row.verdict == UNCLEAR for row in compared) and len(answers.seeds) > 1 else "",
        notes.ENDED_AT_CHANCE if some_at_chance(shown) else "",
        notes.ALL_TEXTS.get(measure.name, "") if TOGETHER in heads else "",
        notes.by_token(answers) if measure.name == "perplexity" else "",
    )


# ------------------------------------------------------------------------------------------------------- as published
def may_stand_beside(answers: Answers) -> bool:
    """Whether what the report published may stand beside these answers: over several seeds, on texts of its speakers;
    beside a single run only on its own data."""
    if answers.command in ("part3", "report"):
        return on_reports_speakers(answers)
    return answers.command in ("part1", "part2") and on_courses_data(answers.data)


def published_levels(answers: Answers, question: str, variant: str) -> Mapping[str, str]:
    """What the report published of a variant, when training ended, by subset."""
    runs = answers.runs(question).get(variant, ())
    if question == "classifier" and variant in ("classifier", "learned", "original", REGULARIZED) and runs:
        last = PUBLISHED_REGULARIZED_ACCURACY if variant == REGULARIZED else PUBLISHED_ACCURACY[-1]
        return {"all": number(last, 2)} if published_accuracies(answers, variant) else {}
    if question == "decoder" and variant in ("learned", WIDE, NARROW):
        by_text = published_perplexities(answers, answers.decoder[variant][0])
        return {text: number(values[-1]) for text, values in by_text.items()}
    return {}


def published_accuracies(answers: Answers, variant: str) -> Sequence[float]:
    """The test accuracies by epoch that the report published, beside a classifier that trained as long."""
    n_epochs = len(answers.classifier[variant][0].epochs)
    return PUBLISHED_ACCURACY if n_epochs == len(PUBLISHED_ACCURACY) and may_stand_beside(answers) else []


def published_perplexities(answers: Answers, run: DecoderRun) -> Mapping[str, Sequence[float]]:
    """The perplexities by text that the report published of a decoder of this width, which trained as long."""
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
    rows: list[dict[str, str | None]] = [
        {
            "epoch": str(seeds[0].epoch),
            "train\nloss": spread_of(seeds, "train_loss", 3),
            "train\naccuracy %": spread_of(seeds, "train_accuracy"),
            "test\naccuracy %": spread_of(seeds, "test_accuracy"),
        }
        for seeds in zip(*(run.epochs for run in runs))
    ]
    if published := published_accuracies(answers, variant):
        for row, accuracy in zip(rows, published):
            row |= {"published\nloss": "", "published\ntrain %": "", "published\ntest %": number(accuracy)}
        rows[0]["published\nloss"], rows[-1]["published\nloss"] = (number(loss, 3) for loss in PUBLISHED_LOSSES)
        rows[-1]["published\ntrain %"] = number(PUBLISHED_TRAIN_ACCURACY)
    note = notes.joined(notes.over_seeds([runs]), size(answers, runs[0].n_parameters, "classifier"))
    return table_of(f"Table 1: the classifier by epoch, {answers.labels['classifier']}", rows, (), note)


def by_class(answers: Answers, variant: str) -> Table:
    """Precision, recall and F1."""
    scores = [run.scores for run in answers.classifier[variant]]
    rows = [
        {
            "class": seeds[0].name,
            "test rows": f"{seeds[0].n:,}",
            "precision %": spread_of(seeds, "precision"),
            "recall %": spread_of(seeds, "recall"),
            "F1 %": spread_of(seeds, "f1"),
        }
        for seeds in zip(*(run.classes for run in scores))
    ]
    return table_of("Who is recognised", [*rows, {"class": "mean", "F1 %": spread_of(scores, "macro_f1")}], ("class",))


def calibration(answers: Answers, variant: str) -> Table:
    """How far the probabilities of one run are from how often they are right."""
    (probed,) = answers.calibration["classifier"][variant]
    shown = {"as trained": probed.as_trained}
    fitted = f"Probabilities stay as trained, for {probed.note}."
    if probed.n_rows:
        shown[f"at temperature {number(probed.temperature, 2)}"] = probed.calibrated
        fitted = f"The temperature is fitted to {probed.n_rows:,} training rows that a second model did not train on."
    error = "confidence less\naccuracy, points"
    rows = [
        {error: name, **{group: spread([values[group]]) for group in groups_of(answers)}}
        for title, reliability in shown.items()
        for name, values in ((title, reliability.error), ("   by chance up to", reliability.chance))
    ]
    note = (
        f"Expected calibration error on the test rows, in 15 bins. {fitted} By chance: in 19 of 20 samples of so many "
        "rows it is lower even if every probability is right."
    )
    return table_of("Are its probabilities right?", rows, (error,), note)


# ------------------------------------------------------------------------------------------------------------ decoders
def iterations(answers: Answers, variant: str, title: str) -> Table:
    """Perplexity by iteration."""
    runs = answers.decoder[variant]
    published = published_perplexities(answers, runs[0])
    rows: list[Row] = []
    for text in (TRAINING, *answers.test_names):
        row: dict[str, str | None] = {"text": text}
        for seeds in zip(*(run.iterations for run in runs)):
            row[str(seeds[0].iteration)] = spread([measured.perplexity[text] for measured in seeds])
        rows.append(row)
        if len(published.get(text, ())) == len(runs[0].iterations):
            rows.append(dict(zip(row, ["   published", *map(number, published[text])])))
    note = notes.joined(
        f"{sentence(runs[0].protocol)}.",
        notes.over_seeds([runs]),
        size(answers, runs[0].n_parameters, f"decoder {runs[0].ff_dim}"),
        notes.by_token(answers),
    )
    title = f"{title}: perplexity by iteration, {answers.labels['decoder']}, hidden size {runs[0].ff_dim}"
    return table_of(title, rows, ("text",), note)


def by_text(answers: Answers, variants: Sequence[str]) -> Table:
    """What decoders and n-gram models make of each text, in more than one measure; what compares best first."""
    scored: dict[str, Sequence[Mapping[str, LanguageScores]]] = {}
    for runs in map(answers.decoder.__getitem__, variants):
        mixed = ", with a trigram" if runs[0].network else ""
        scored[f"decoder, hidden size {runs[0].ff_dim}{mixed}"] = [run.scores for run in runs]
        if mixed:
            scored[f"decoder alone, hidden size {runs[0].ff_dim}"] = [run.network for run in runs]
    for key, records in answers.decoder_opponents.items():
        scored[name_of(key)] = [record.scores for record in records]
    some_unknown = answers.tokenizer != "bpe"
    rows: list[Row] = []
    for text in answers.test_names:
        first = True
        for name, scores in scored.items():
            seeds = [seed[text] for seed in scores]
            rows.append(
                {
                    "text": text if first else "",
                    "model": name,
                    "perplexity": spread_of(seeds, "perplexity"),
                    "without\n<unk>": spread_of(seeds, "perplexity_without_unk") if some_unknown else "",
                    "bits per\nbyte": spread_of(seeds, "bits_per_byte", 3),
                    "<unk>, %\nof tokens": number(seeds[0].unk_rate, 2) if some_unknown and first else "",
                }
            )
            first = False
    note = notes.joined(notes.SCORED_ONCE, notes.TRIGRAM, notes.spelling(answers), notes.by_token(answers))
    return table_of("Beside n-gram models", rows, ("text", "model"), note)


def voices(answers: Answers, run: DecoderRun) -> list[Table]:
    """How surprising each test text is in each of a decoder's voices, and how often Bayes' rule knows a speaker."""
    if run.voices is None:
        return []
    rows = [
        {"voice": name, **{text: number(values[k]) for text, values in run.voices.perplexity.items()}}
        for k, name in enumerate(answers.data.class_names)
    ]
    shares = {group: spread([row.accuracy]) for group, row in run.voices.test.items()}
    known = ", ".join(f"{share}% of {group}" for group, share in shares.items() if share)
    note = f"By Bayes' rule, from its probability in each voice, the speaker is told of {known} test rows."
    return [table_of(f"Perplexity by voice, hidden size {run.ff_dim}", rows, ("voice",), note)]


def lengths(answers: Answers, text: str | None = None) -> Table:
    """Perplexity on one test text, or the geometric mean over all, at each inference length."""
    texts = [text] if text else answers.test_names
    rows: dict[tuple[str, Any], dict[str, str | None]] = {}
    for variant, seeds in answers.lengths["decoder"].items():
        for measured in zip(*seeds):
            first = measured[0]
            if first.window is not None and variant == "learned":
                continue  # has no longer lengths to control for
            row = rows.setdefault(
                (variant, first.reading),
                {
                    "decoder": name_of(variant),
                    "windows": "sliding by half" if first.sliding else "side by side",
                    "attends to": "all before" if first.window is None else f"{first.window} tokens",
                },
            )
            known = [[value for name in texts if (value := seed.perplexity[name])] for seed in measured]
            row[f"{first.length}\ntokens"] = spread(list(map(geometric_mean, known))) if all(known) else None
    heads = [
        f"{length}\ntokens" for length in dict.fromkeys(row.length for row in answers.lengths["decoder"]["alibi"][0])
    ]
    shown = [{**row, **{head: row.get(head) for head in heads}} for row in rows.values()]
    title = f"Perplexity on {text} by inference length" if text else "Perplexity by inference length"
    note = notes.joined(notes.MEAN_OF_TEXTS, notes.about_lengths(answers.block_size), notes.by_token(answers))
    return table_of(title, shown, ("decoder", "windows", "attends to"), "" if text else note)


# -------------------------------------------------------------------------------------------------------------- probes
def times(answers: Answers, kind: Task) -> Table:
    """Tables 4 and 5: training time."""
    timed = answers.timing[kind]
    published = PUBLISHED_SECONDS[kind] if may_stand_beside(answers) else {}
    rows = []
    for name, seconds in timed.seconds.items():
        row: dict[str, str | None] = {
            "positions": name_of(name),
            "ms a\nstep": number(1000 * median(seconds), 2),
            "s a\ntraining": number(timed.n_steps_of_a_training * median(seconds)),
            **dict.fromkeys(TIMES.values(), ""),
        }
        for comparison in answers.find(question=kind, variant=name, base="learned"):
            if comparison.measure in TIMES:
                row[TIMES[comparison.measure]] = effect(comparison.estimate, "ratio", bare=True)
        if name in published:
            row["published,\ns"] = number(published[name], 2)
        if name == "alibi" and published:
            row["published\nchange"] = change(published[name] / published["learned"])
        rows.append(row)
    note = (
        f"{timed.n_steps:,} steps of each, in turns and random order in one process, on "
        f"{counted(timed.threads, 'thread')}; medians of blocks of 10 steps, paired. A training has "
        f"{timed.n_steps_of_a_training:,} steps; evaluation is not timed."
    )
    number_of_table = {"classifier": 4, "decoder": 5}[kind]
    return table_of(f"Table {number_of_table}: training time of the {kind}", rows, ("positions",), note)


def attention(answers: Answers, kind: Task) -> Table:
    """Attention statistics by layer and head."""
    seeds, is_encoder = answers.attention[kind]["learned"], kind == "classifier"
    rows: list[Row] = []
    for layer, heads in enumerate(seeds[0].distance):
        for head in range(len(heads)):

            def over(statistic: str, scale: float = 1.0, layer: int = layer, head: int = head) -> str | None:
                return spread([scale * getattr(seed, statistic)[layer][head] for seed in seeds], 2 if scale == 1 else 1)

            row = {
                "head": f"layer {layer + 1}, head {head + 1}",
                "mean distance,\ntokens": over("distance"),
                "distance / even\nattention's": over("relative_distance"),
                "entropy,\nnats": over("entropy"),
                "entropy / even\nattention's": over("relative_entropy"),
            }
            rows.append({**row, "on\npadding, %": over("padding", 100.0)} if is_encoder else row)
    note = notes.about_attention(answers, kind, len(seeds))
    return table_of(f"Attention of the {'encoder' if is_encoder else 'decoder'}", rows, ("head",), note)


def tokens(answers: Answers) -> Table:
    """Words, subwords and characters beside each other."""

    def against_words(estimate: Estimate | None, unit: str) -> str | None:
        return effect(estimate, unit, bare=unit == "points") if estimate else ""

    rows = [
        {
            "tokens (vocabulary)": f"{NAMES_OF_TOKENS[row.kind]}s ({row.vocabulary_size:,})",
            "block": str(row.block_size),
            "bits per\nbyte": spread(row.bits_per_byte, 3),
            "against words": against_words(row.bits_ratio, "ratio"),
            "trigram": spread(row.trigram, 3),
            "bytes\na token": number(row.bytes_per_token, 2),
            "accuracy, %": spread(row.accuracy),
            "against words,\npoints": against_words(row.accuracy_difference, "points"),
            "training\nrows cut, %": number(row.cut),
        }
        for row in answers.tokens
    ]
    on_folds = any(asked.on_folds for asked in answers.questions.values())
    note = notes.joined(
        f"{sentence(answers.recipe)} recipe.",
        notes.FOLDS if on_folds else "Measured on the test set.",
        notes.over_seeds([answers.seeds]),
        notes.ABOUT_TOKENS,
    )
    return table_of("Words, subwords and characters", rows, ("tokens (vocabulary)",), note)


# -------------------------------------------------------------------------------------------------------------- claims
def verdicts(answers: Answers) -> Table:
    """What we say of each claim, and the measurement behind it."""
    rows = []
    for judgement in answers.claims:
        parts = [f"{part.label} {effect(part.estimate, part.unit)}" for part in judgement.parts]
        more = [f"and {len(parts) - MOST_PARTS} more"] if len(parts) > MOST_PARTS else []
        rows.append(
            {
                "id": judgement.id,
                "claim": judgement.claim,
                VERDICT: judgement.verdict,
                "measured": "; ".join(parts[:MOST_PARTS] + more),
                "needed": needed_to_judge(judgement),
            }
        )
    return table_of("Verdicts", rows, ("id", "claim", VERDICT, "measured", "needed"), notes.about_verdicts(answers))


def needed_to_judge(judgement: Judgement) -> str:
    """How many seeds would give a verdict where there is none yet."""
    if judgement.verdict != UNCLEAR or not judgement.parts:
        return ""
    needed, n = judgement.seeds_needed, judgement.parts[0].estimate.n
    return in_seeds(needed, n, 60 * (judgement.minutes or 0.0) / (needed - n if needed else 1))


# ---------------------------------------------------------------------------------------------------------- by command
def tables_of(answers: Answers) -> list[Table]:
    """The tables that a command shows."""
    by_command: dict[str, Callable[[Answers], list[Table]]] = {
        "part1": of_part1,
        "part2": of_part2,
        "part3": lambda answers: of_positions(answers) + of_regularization(answers),
        "report": lambda answers: [verdicts(answers), *of_positions(answers), *of_regularization(answers)],
        "tokenizers": lambda answers: [tokens(answers)],
    }
    return by_command.get(answers.command, of_questions)(answers)


def of_part1(answers: Answers) -> list[Table]:
    """Table 1, the opponents, each class, and what the probabilities are worth."""
    base = answers.questions["classifier"].base
    beside = by_variant(answers, "classifier", "Test accuracy in percent")
    return [epochs(answers, base), beside, by_class(answers, base), calibration(answers, base)]


def of_part2(answers: Answers) -> list[Table]:
    """Tables 2 and 3, the n-gram models, and the voices."""
    by_iteration = [iterations(answers, variant, f"Table {i}") for i, variant in enumerate(answers.decoder, start=2)]
    in_voices = [table for runs in answers.decoder.values() for run in runs for table in voices(answers, run)]
    return [*by_iteration, by_text(answers, list(answers.decoder)), *in_voices]


def of_positions(answers: Answers) -> list[Table]:
    """Times, accuracies, perplexities and inference lengths by position method; nothing if positions were not asked."""
    if not answers.decoder:
        return []
    return [
        *(times(answers, kind) for kind in answers.timing),
        by_variant(answers, "classifier", "Test accuracy by position method, in percent", POSITIONS),
        by_variant(answers, "decoder", "Perplexity by position method", (*POSITIONS, STEEP)),
        *([widths(answers)] if NARROW in answers.decoder else []),
        *([lengths(answers)] if answers.lengths else []),
    ]


def widths(answers: Answers) -> Table:
    """Table 3: the narrower feed-forward network, and what width changes."""
    return by_variant(answers, "decoder", "Table 3: perplexity by hidden size", (NARROW, WIDE))


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
