"""The answers as tables, the same for the terminal, Markdown and the page, and for one seed and for many.

A row holds its cells by the heads of their columns; a column that no row has is not there.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import geometric_mean, median
from typing import Any

from common.wording import counted
from evaluation.records import LanguageScores
from evaluation.statistics import UNCLEAR, Estimate
from reporting import notes
from reporting.table import Table, table_of
from reporting.variants import (
    NARROW,
    TIMES,
    VERDICT,
    WIDE,
    Row,
    by_variant,
    groups_of,
    in_seeds,
    may_stand_beside,
    published_accuracies,
    published_perplexities,
)
from reporting.wording import change, effect, number, sentence, spread, spread_of
from speechesdataset.folder import TRAINING
from studies.answers import Answers, Judgement
from studies.catalogue.names import name_of
from studies.catalogue.published import (
    PUBLISHED_LOSSES,
    PUBLISHED_PARAMETERS,
    PUBLISHED_SECONDS,
    PUBLISHED_TRAIN_ACCURACY,
)
from studies.catalogue.questions import POSITIONS, STEEP
from tokenizer import NAMES as NAMES_OF_TOKENS
from training.recipe import Task
from training.records import DecoderRun

MOST_PARTS = 6  # of a claim, that stand in the open
TITLES: dict[Task, str] = {"classifier": "Who said it?", "decoder": "How surprising is it?"}


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
        "report": of_report,
        "tokenizers": lambda answers: [tokens(answers)],
    }
    return by_command.get(answers.command, of_questions)(answers)


def of_part1(answers: Answers) -> list[Table]:
    """Table 1, the opponents, each class, and what the probabilities are worth."""
    base = answers.questions["classifier"].base
    accuracies = by_variant(answers, "classifier", "Test accuracy in percent")
    return [epochs(answers, base), accuracies, by_class(answers, base), calibration(answers, base)]


def of_part2(answers: Answers) -> list[Table]:
    """Tables 2 and 3, the n-gram models, and the voices."""
    by_iteration = [iterations(answers, variant, f"Table {i}") for i, variant in enumerate(answers.decoder, start=2)]
    in_voices = [table for runs in answers.decoder.values() for run in runs for table in voices(answers, run)]
    return [*by_iteration, by_text(answers, list(answers.decoder)), *in_voices]


def of_report(answers: Answers) -> list[Table]:
    """The verdicts, and the tables behind most of them."""
    return [verdicts(answers), *of_positions(answers), widths(answers), *of_regularization(answers)]


def of_positions(answers: Answers) -> list[Table]:
    """Times, accuracies, perplexities and inference lengths by position method; nothing if positions were not asked."""
    if not answers.decoder:
        return []
    return [
        *(times(answers, kind) for kind in answers.timing),
        by_variant(answers, "classifier", "Test accuracy by position method, in percent", POSITIONS),
        by_variant(answers, "decoder", "Perplexity by position method", (*POSITIONS, STEEP)),
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
