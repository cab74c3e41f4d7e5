"""The answers as tables, the same for the terminal, Markdown and the page, and for one seed and for many.

A row holds its cells by the heads of their columns; a column that no row has is not there.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, geometric_mean, median

from common.wording import counted
from evaluation.records import LanguageScores
from evaluation.statistics import UNCLEAR, Estimate
from reporting import notes
from reporting.table import Table, effect, number, sentence, spread, spread_of, table_of
from reporting.variants import TIMES, VERDICT, Row, by_variant, groups_of, in_seeds, measure_asked
from speechesdataset.folder import TRAINING
from studies.answers import Answers, Judgement, Reading
from studies.catalogue.names import name_of
from studies.catalogue.published import (
    PUBLISHED_LOSSES,
    PUBLISHED_SECONDS,
    Published,
    may_be_compared,
    published,
)
from studies.catalogue.questions import POSITIONS, STEEP, WAYS, trained_for
from tokenizer import NAMES as NAMES_OF_TOKENS
from training.recipe import Task
from training.records import DecoderRun

MOST_PARTS = 6  # of a claim, that stand in the open
TITLES: dict[Task, str] = {"classifier": "Who said it?", "decoder": "How surprising is it?"}


def size(answers: Answers, n_parameters: int, of_report: Published | None) -> str:
    """The number of parameters, and that of the report's model."""
    ending = f" (published: {of_report.n_parameters:,} at 5,755 words)" if of_report else ""
    vocabulary = f"{answers.vocabulary_size:,} {notes.token_of(answers)}s"
    return f"{n_parameters:,} parameters at a vocabulary of {vocabulary}{ending}."


# --------------------------------------------------------------------------------------------------------- classifiers
def epochs(answers: Answers, variant: str) -> Table:
    """Table 1: the classifier by epoch."""
    runs, of_report = answers.classifier[variant], published(answers, "classifier", variant)
    rows: list[dict[str, str | None]] = [
        {
            "epoch": str(seeds[0].epoch),
            "train\nloss": spread_of(seeds, "train_loss", 3),
            "train\naccuracy %": spread_of(seeds, "train_accuracy"),
            "test\naccuracy %": spread_of(seeds, "test_accuracy"),
        }
        for seeds in zip(*(run.epochs for run in runs))
    ]
    for row, accuracy in zip(rows, of_report.reached["all"] if of_report else ()):
        row["published\ntest %"] = number(accuracy)
    note = notes.paragraph(
        notes.over_seeds([runs]),
        size(answers, runs[0].n_parameters, of_report),
        PUBLISHED_LOSSES if of_report else "",
    )
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
    runs, of_report = answers.decoder[variant], published(answers, "decoder", variant)
    rows: list[Row] = []
    for text in (TRAINING, *answers.test_names):
        row: dict[str, str | None] = {"text": text}
        for seeds in zip(*(run.iterations for run in runs)):
            row[str(seeds[0].iteration)] = spread([measured.perplexity[text] for measured in seeds])
        rows.append(row)
        values = of_report.reached[text] if of_report else ()
        if len(values) == len(runs[0].iterations):
            rows.append(dict(zip(row, ["   published", *map(number, values)])))
    note = notes.paragraph(
        f"{sentence(runs[0].protocol)}.",
        notes.over_seeds([runs]),
        size(answers, runs[0].n_parameters, of_report),
        notes.per_token(answers),
    )
    title = f"{title}: perplexity by iteration, {answers.labels['decoder']}, hidden size {runs[0].ff_dim}"
    return table_of(title, rows, ("text",), note)


def by_text(answers: Answers) -> Table:
    """What decoders and n-gram models make of each text, in more than one measure."""
    scored: dict[str, Sequence[Mapping[str, LanguageScores]]] = {}
    for runs in answers.decoder.values():
        mixed = ", with a trigram" if runs[0].network else ""
        scored[f"decoder, hidden size {runs[0].ff_dim}{mixed}"] = [run.scores for run in runs]
        if mixed:
            scored[f"decoder alone, hidden size {runs[0].ff_dim}"] = [run.network for run in runs]
    for key, records in answers.decoder_opponents.items():
        scored[name_of(key)] = [record.scores for record in records]
    rows: list[Row] = []
    for text in answers.test_names:
        for i, (name, scores) in enumerate(scored.items()):
            seeds = [seed[text] for seed in scores]
            row = {
                "text": "" if i else text,
                "model": name,
                "perplexity": spread_of(seeds, "perplexity"),
                "without\n<unk>": spread_of(seeds, "perplexity_without_unk"),
                "bits per\nbyte": spread_of(seeds, "bits_per_byte", 3),
                "<unk>, %\nof tokens": "" if i else number(seeds[0].unk_rate, 2),
            }
            if answers.tokenizer == "bpe":  # whose pieces are never unknown
                row = {head: cell for head, cell in row.items() if "<unk>" not in head}
            rows.append(row)
    note = notes.paragraph(
        notes.SCORED_ONCE, notes.TRIGRAM, notes.SPELLING.get(answers.tokenizer, ""), notes.per_token(answers)
    )
    return table_of("Beside n-gram models", rows, ("text", "model"), note)


def voices(answers: Answers, run: DecoderRun) -> list[Table]:
    """How surprising each test text is in each of a decoder's voices, and how often Bayes' rule knows a speaker."""
    if run.voices is None:
        return []
    rows = [
        {"voice": name, **{text: number(values[k]) for text, values in run.voices.perplexity.items()}}
        for k, name in enumerate(answers.data.class_names)
    ]
    known = ", ".join(f"{spread([run.voices.test[group].accuracy])}% of {group}" for group in groups_of(answers))
    note = f"By Bayes' rule, from its probability in each voice, the speaker is told of {known} test rows."
    return [table_of(f"Perplexity by voice, hidden size {run.ff_dim}", rows, ("voice",), note)]


def lengths(answers: Answers) -> Table:
    """Perplexity, the geometric mean over the test texts, at each inference length."""
    rows: list[Row] = []
    for variant, seeds in answers.lengths["decoder"].items():
        by_reading: dict[Reading, dict[str, str | None]] = {}
        for measured in zip(*seeds):
            reading, length = measured[0].reading, f"{measured[0].length}\ntokens"
            row = by_reading.setdefault(
                reading,
                {
                    "decoder": name_of(variant),
                    "windows": "sliding by half" if reading.sliding else "side by side",
                    "attends to": "all before" if reading.window is None else f"{reading.window} tokens",
                },
            )
            perplexities = [list(seed.perplexity.values()) for seed in measured]
            known = [values for values in perplexities if None not in values]
            row[length] = spread([geometric_mean(filter(None, values)) for values in known])
        rows += [row for reading, row in by_reading.items() if variant != "learned" or reading.window is None]
    note = notes.paragraph(notes.MEAN_OF_TEXTS, notes.about_lengths(answers.block_size), notes.per_token(answers))
    return table_of("Perplexity by inference length", rows, ("decoder", "windows", "attends to"), note)


def by_iterations(answers: Answers) -> Table:
    """Perplexity of a decoder that is told positions in each way, by how long it was trained."""
    rows: list[Row] = []
    base, *_ = WAYS
    measure = measure_asked(answers.questions["decoder"])
    for way in WAYS:
        reached: dict[str, str | None] = {"decoder": way}
        against: dict[str, str | None] = {"decoder": f"   against {base}"}
        for n in answers.iterations_of_decoders():
            values = [measure.value(run, measure.subset) for run in answers.decoder[trained_for(way, n)]]
            reached[f"{n:,}\niterations"] = spread(values)
            for row in answers.find(variant=trained_for(way, n), measure=measure.name):
                against[f"{n:,}\niterations"] = effect(row.estimate, row.unit)
        rows += [reached] if way == base else [reached, against]
    note = notes.paragraph(
        notes.MEAN_OF_TEXTS,
        notes.over_seeds(answers.decoder.values()),
        notes.about_intervals(answers, answers.comparisons),
    )
    return table_of("Perplexity by position method and length of training", rows, ("decoder",), note)


def by_context(answers: Answers, iterations: int) -> Table:
    """Perplexity of a decoder that is given only the last tokens before each one."""
    rows: list[Row] = []
    for way in WAYS:
        row: dict[str, str | None] = {"decoder": way}
        for measured in zip(*answers.context["decoder"][trained_for(way, iterations)]):
            head = counted(measured[0].n_tokens, "token").replace(" ", "\n")
            row[head] = number(fmean(seed.perplexity for seed in measured))
        rows.append(row)
    title = f"Perplexity after {iterations:,} iterations, by how many tokens the model is given"
    return table_of(title, rows, ("decoder",), notes.paragraph(notes.MEAN_OF_TEXTS, "Mean over the seeds."))


# -------------------------------------------------------------------------------------------------------------- probes
def training_times(answers: Answers, kind: Task, title: str) -> Table:
    """Training time by position method."""
    timed = answers.timing[kind]
    of_report = PUBLISHED_SECONDS[kind] if may_be_compared(answers) else {}
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
        if name in of_report:
            row["published,\ns"] = number(of_report[name], 2)
        if name in of_report and name != "learned":
            row["published\nchange"] = f"{number(100 * (of_report[name] / of_report['learned'] - 1), sign=True)} %"
        rows.append(row)
    note = (
        f"{timed.n_steps:,} steps of each, in turns and random order in one process, on "
        f"{counted(timed.threads, 'thread')}; medians of blocks of 10 steps, paired. A training has "
        f"{timed.n_steps_of_a_training:,} steps; evaluation is not timed."
    )
    return table_of(f"{title}: training time of the {kind}", rows, ("positions",), note)


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
    note = notes.paragraph(
        f"{sentence(answers.recipe)} recipe.",
        notes.FOLDS if on_folds else "Measured on the test set.",
        notes.over_seeds([answers.seeds]),
        notes.ABOUT_TOKENS if answers.decoder else "A row longer than the block is cut.",
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
    return in_seeds(judgement.seeds_needed, judgement.parts[0].estimate.n, 60 * (judgement.minutes or 0.0))


# ---------------------------------------------------------------------------------------------------------- by command
def tables_of(answers: Answers) -> list[Table]:
    """The tables that a command shows."""
    by_command: dict[str, Callable[[Answers], list[Table]]] = {
        "part1": of_part1,
        "part2": of_part2,
        "part3": lambda answers: of_positions(answers) + of_regularization(answers),
        "report": of_whole_report,
        "positions": of_positions_over_time,
        "tokenizers": lambda answers: [tokens(answers)],
    }
    titles = {"ablation": "Ablation of the best {kind}", "compare": "The {kind}, by variant"}
    if answers.command in by_command:
        return by_command[answers.command](answers)
    return [
        by_variant(answers, question, titles.get(answers.command, TITLES[asked.kind]).format(kind=asked.kind))
        for question, asked in answers.questions.items()
    ]


def of_part1(answers: Answers) -> list[Table]:
    """Table 1, the opponents, each class, and what the probabilities are worth."""
    base = answers.questions["classifier"].base
    accuracies = by_variant(answers, "classifier", "Test accuracy in percent")
    return [epochs(answers, base), accuracies, by_class(answers, base), calibration(answers, base)]


def of_part2(answers: Answers) -> list[Table]:
    """Tables 2 and 3, the n-gram models, and the voices."""
    by_iteration = [iterations(answers, variant, f"Table {i}") for i, variant in enumerate(answers.decoder, start=2)]
    in_voices = [table for runs in answers.decoder.values() for run in runs for table in voices(answers, run)]
    return [*by_iteration, by_text(answers), *in_voices]


def of_whole_report(answers: Answers) -> list[Table]:
    """The verdicts, and the tables behind most of them."""
    return [verdicts(answers), *of_positions(answers), by_width(answers), *of_regularization(answers)]


def of_positions(answers: Answers) -> list[Table]:
    """Times, accuracies, perplexities and inference lengths by position method; nothing if positions were not asked."""
    if not answers.decoder:
        return []
    return [
        *(training_times(answers, kind, f"Table {number}") for number, kind in enumerate(answers.timing, start=4)),
        by_variant(answers, "classifier", "Test accuracy by position method, in percent", POSITIONS),
        by_variant(answers, "decoder", "Perplexity by position method", (*POSITIONS, STEEP)),
        *([lengths(answers)] if answers.lengths else []),
    ]


def of_positions_over_time(answers: Answers) -> list[Table]:
    """What positions bring by the length of training, and how far back each model looks."""
    return [by_iterations(answers), *(by_context(answers, n) for n in answers.iterations_of_decoders())]


def by_width(answers: Answers) -> Table:
    """Table 3: the narrower feed-forward network, and what width changes."""
    return by_variant(answers, "decoder", "Table 3: perplexity by hidden size", ("ff100", "ff256"))


def of_regularization(answers: Answers) -> list[Table]:
    """Rates of dropout on folds, and the regularized classifier on the test set."""
    if not answers.validation:
        return []
    others = [name for name in answers.classifier if name not in POSITIONS]
    return [
        by_variant(answers, "validation", "Accuracy by rate of dropout, on folds"),
        by_variant(answers, "classifier", "Test accuracy by regularization, in percent", others),
    ]
