"""Results of part 3 and of the report command as tables, the same for terminal, Markdown and page."""

from collections.abc import Callable, Mapping, Sequence
from statistics import geometric_mean, median

from studies.comparisons import defined, share_at_chance
from studies.results import (
    Exploration,
    JudgedPart,
    Judgement,
    Kind,
    MeasuredRow,
    MeasureResults,
    Part1Results,
    Part2Results,
    Part3Results,
    TokenizersResults,
    Tokens,
    accuracies,
    last_perplexities,
    perplexities,
)
from studies.study import NAMES, POSITIONS, STEEP, STEEPER

from common.wording import counted
from evaluation.opponents import NGRAM_NAMES, by_name
from evaluation.statistics import UNCLEAR, by_chance, in_percent, interquartile_mean
from reporting.table import Table, change, effect, ends, filled, number, numbers, spread, words
from reporting.wording import duration
from speechesdataset.folder import TOGETHER
from studies.catalogue.published import (
    PUBLISHED_ACCURACY,
    PUBLISHED_LOSSES,
    PUBLISHED_PARAMETERS,
    PUBLISHED_PERPLEXITY,
    PUBLISHED_REGULARIZED_ACCURACY,
    PUBLISHED_SECONDS,
    PUBLISHED_TRAIN_ACCURACY,
    on_reports_speakers,
)
from studies.figures import few
from tokenizer import NAMES as NAMES_OF_TOKENS
from training.recipe import Task
from training.records import ClassifierRun, Group, GroupAccuracy, LanguageScores, Machine, TrainedRun

GROUPS: tuple[Group, ...] = ("all", "seen", "unseen")
MOST_PARTS = 6  # of a claim, that stand in the open
WITHOUT_UNKNOWN, BITS = "perplexity without <unk>", "bits per byte"


def commit(machine: Machine) -> str:
    """The commit that made a record, or why there is none to name."""
    name = (machine.commit or "unknown")[:10]
    return f"{name} with uncommitted changes (code {machine.code})" if machine.dirty else name


def threads(machines: Sequence[Machine]) -> str:
    """How many threads computed each run."""
    counts = sorted({one.threads * one.processes for one in machines})
    return " or ".join(counted(n, "thread") for n in counts)


def computed_on(machines: Sequence[Machine]) -> str:
    """Which code, software and processors made the records behind a table."""
    return "; and ".join(
        dict.fromkeys(
            f"commit {commit(one)}, PyTorch {one.torch}, {one.processor}, {threads([one])} a run" for one in machines
        )
    )


def mixture(machines: Sequence[Machine]) -> str:
    """A warning where the records behind a table were not all made in one way; else nothing."""
    ways = {
        "commits": [commit(one) for one in machines],
        "processors": [one.processor for one in machines],
        "PyTorch versions": [one.torch for one in machines],
        "numbers of threads": [threads([one]) for one in machines],
    }
    differing = [f"{kind} ({', '.join(dict.fromkeys(found))})" for kind, found in ways.items() if len(set(found)) > 1]
    if not differing:
        return ""
    return (
        f"A mixture: these runs come from different {' and '.join(differing)}, which change results like a seed does."
    )


def made_on(machines: Sequence[Machine]) -> list[str]:
    """What computed the results of a command, and a warning where it was not one and the same."""
    return [f"Computed on: {computed_on(machines)}.", *filter(None, [mixture(machines)])]


def token_of(results: Part1Results | Part2Results | Exploration) -> str:
    """What the models of a command read one of at a time."""
    return NAMES_OF_TOKENS[results.tokenizer]


def vocabulary(results: Part1Results | Part2Results | Exploration) -> str:
    """How many tokens of which kind the models know."""
    return f"{results.vocabulary_size:,} {token_of(results)}s"


def measures_of(results: Part2Results | Exploration) -> dict[str, Callable[[LanguageScores], float | None]]:
    """What is said of how a text was predicted, what compares best first. No subword is unknown."""
    measures: dict[str, Callable[[LanguageScores], float | None]] = {
        "perplexity": lambda scores: scores.perplexity,
        WITHOUT_UNKNOWN: lambda scores: scores.perplexity_without_unk,
        BITS: lambda scores: scores.bits_per_byte,
    }
    if results.tokenizer == "bpe":
        del measures[WITHOUT_UNKNOWN]
    return measures if results.tokenizer == "word" else {BITS: measures[BITS], **measures}


def unknown_spelt(results: Part2Results | Exploration) -> str:
    """What bits per byte pay for an unknown token, "" where none is."""
    what = {"word": "an unknown word and for its end", "character": "an unknown character"}.get(results.tokenizer)
    return f"8 bits for each byte of {what}" if what else ""


def by_token(results: Part2Results | Exploration) -> str:
    """What must be said of a perplexity that is not by word."""
    name = token_of(results)
    return "" if name == "word" else f" Perplexity is by {name}; those by word do not compare, and bits per byte do."


def rate(group: GroupAccuracy) -> str | None:
    """The accuracy on a group of rows, if it has any."""
    return None if group.accuracy is None else number(group.accuracy)


def verdicts(results: Part3Results) -> Table:
    """What we say of each claim, and the measurement behind it."""
    rows: list[list[str | None]] = []
    for one in results.claims:
        found = [f"{part.label} {effect(part.estimate, part.unit)}{behind(part)}" for part in one.parts]
        more = [f"and {len(found) - MOST_PARTS} more"] if len(found) > MOST_PARTS else []
        rows.append([one.id, one.claim, one.verdict, "; ".join(found[:MOST_PARTS] + more), to_tell(one)])
    columns = words("", "claim", "verdict", f"measured, {intervals(results)}", "what would tell")
    return Table("Verdicts", columns, rows, note_of_verdicts(results))


def behind(part: JudgedPart) -> str:
    """The intervals that stand behind one for both sources of chance: how far each of them alone reaches."""
    alone = [
        f"{name} [{', '.join(ends(one, part.unit))}]"
        for name, one in (("seeds", part.seeds), ("rows", part.items))
        if one and one.low is not None
    ]
    return f" ({', '.join(alone)})" if len(alone) > 1 else ""


def to_tell(judgement: Judgement) -> str | None:
    """What would give a verdict where there is none yet."""
    if judgement.verdict != UNCLEAR or not judgement.parts:
        return None
    if judgement.seeds_needed is None or judgement.minutes is None:
        return "not seeds" if judgement.parts[0].estimate.n > 1 else "more than one seed"
    return f"about {judgement.seeds_needed} seeds: {duration(60 * judgement.minutes)} more"


def note_of_verdicts(results: Part3Results) -> str:
    """How to read the verdicts: on what they were found, what the intervals are of, how often they err."""
    processors = " and ".join(dict.fromkeys(one.processor for one in results.machines))
    return (
        f"Found on {processors}; another processor rounds differently, which is like other seeds. Intervals of "
        "accuracies and test perplexities are for other seeds and other test rows at once, rows by stretches of "
        f"neighbours; in brackets, for either alone. {paid_looks(results.looks)}Accuracies are of the seeds on which "
        "both variants trained. If nothing were as it is claimed, some of the "
        f"{len(results.claims)} claims would hold by chance in up to "
        f"{by_chance(len(results.claims)):.0f}% of studies. What would tell: the seeds, of which as many are there as "
        "were run, with which 80 of 100 studies give a verdict if mean and spread are as seen, and the minutes of "
        "training on one core that the others take; 'not seeds': the test rows are too few, the effect lies at the "
        "edge, or it is a time."
    )


def classifiers(results: Exploration, variants: Sequence[str], title: str) -> Table:
    """Accuracies by variant over seeds, the difference from the first variant, and the baselines."""
    base, counts = variants[0], results.classifier[variants[0]][0].test
    groups = [group for group in GROUPS if counts[group].n and (group != "unseen" or counts["seen"].n)]
    rows: list[list[str | None]] = []
    for name in variants:
        runs = results.classifier[name]
        difference = results.find(task="classifier", variant=name, base=base, measure="test accuracy", rows="all")
        sources = [difference[0].estimate, difference[0].seeds, difference[0].items] if difference else [None] * 3
        rows.append(
            [
                NAMES[name],
                *(spread(accuracies(runs, group)) for group in groups),
                spread([run.epochs[-1].train_accuracy for run in runs]),
                number(interquartile_mean(accuracies(runs))),
                *(effect(one, "points", bare=True) if one else None for one in sources),
                at_chance(runs),
            ]
        )
    for name, found in by_name(results.baselines).items():
        rows.append([name, *(rate(found[group]) for group in groups), *[None] * 6])
    columns = words("classifier") + numbers(*(f"{group} ({counts[group].n:,})" for group in groups))
    columns += numbers("training rows", "all, middle half of the seeds", f"against {NAMES[base]}")
    columns += numbers("for other seeds alone", "for other rows alone", "ended at chance, %")
    if len(variants) == 1:  # nothing to compare
        columns = [*columns[:-4], columns[-1]]
        rows = [[*row[:-4], row[-1]] for row in rows]
    note = f"{sentence(results.labels['classifier'])} Test accuracy in percent after the last epoch, on all rows"
    note += ", on those whose text appears in the training file, and on the others" if "seen" in groups else ""
    over = over_seeds({NAMES[name]: results.classifier[name] for name in variants})
    note += f"; {over}; differences in points, {intervals(results)}, on "
    note += "seeds on which both trained. Middle half: the mean of all rows without the best and the worst quarter of "
    note += "the seeds. Ended at chance: training accuracy stayed at, or fell back to, the share of the largest class; "
    note += "a share with Wilson's interval."
    if base == "original" and on_reports_speakers(results):
        note += f" Published: original {PUBLISHED_ACCURACY[-1]}, batch norm + dropout 0.2 "
        note += f"{PUBLISHED_REGULARIZED_ACCURACY}."
    return Table(title, columns, rows, note)


def at_chance(runs: Sequence[ClassifierRun]) -> str:
    """How many runs know their largest class alone, and the share of all such runs in which that can be, in percent."""
    share = share_at_chance(runs)
    return f"{sum(not run.trained for run in runs)} of {len(runs)} [{', '.join(ends(share, '%'))}]"


def decoders(results: Exploration) -> Table:
    """Perplexities by position method, and the change against learned positions."""
    texts = shown_texts(results)
    rows: list[list[str | None]] = []
    for name in (*POSITIONS, STEEP):
        rows.append([NAMES[name], *(spread(last_perplexities(results.decoder[name], text)) for text in texts)])
        changes = [
            results.find(task="decoder", variant=name, base="learned", measure="perplexity", text=text)
            for text in texts
        ]
        if all(changes):
            rows.append(["   against learned", *(effect(found[0].estimate, "ratio") for found in changes)])
    for key, scores in results.ngram_scores.items():
        rows.append([NGRAM_NAMES[key], None, *(number(scores[text].perplexity) for text in texts[1:])])
    over = over_seeds({NAMES[name]: results.decoder[name] for name in (*POSITIONS, STEEP)})
    note = f"{sentence(results.labels['decoder'])} Last iteration; every token scored once; {over}."
    note += which_texts(results) + by_token(results)
    return Table("Perplexity by position method", words("decoder") + numbers(*texts), rows, note)


def times(results: Exploration, task: Task) -> Table:
    """Tables 4 and 5: training time."""
    timed = results.timing[task]
    published = PUBLISHED_SECONDS[task] if on_reports_speakers(results) else {}
    rows: list[list[str | None]] = []
    for name in POSITIONS:
        step = median(timed.seconds[name])
        changes = [
            results.find(task=task, variant=name, base="learned", measure=measure)
            for measure in ("training time", "processor time")
        ]
        rows.append(
            [
                NAMES[name],
                number(1000 * step, 2),
                number(timed.n_steps_of_a_training * step, 1),
                *(effect(found[0].estimate, "ratio") if found else None for found in changes),
                number(published[name], 2) if name in published else None,
                change(published[name] / published["learned"]) if name == "alibi" and published else None,
            ]
        )
    columns = words("positions") + numbers("a step, ms", "a training, s", "change", "of processor time")
    columns += numbers("published, s", "published change")
    note = (
        f"{timed.n_steps:,} steps of each, in turns and random order in one process, on "
        f"{counted(timed.threads, 'thread')}; medians of 10 steps, paired. A training has "
        f"{timed.n_steps_of_a_training:,} steps. Training steps only: evaluation is outside the timer."
    )
    title = f"Table {4 if task == 'classifier' else 5}: training time of the {task}"
    return filled(Table(title, columns, rows, note))


def lengths(results: Exploration, text: str | None = None) -> Table:
    """Perplexity on one test text, or the geometric mean over all, at each inference length."""
    texts = [text] if text else results.test_names
    found = results.extrapolation
    sizes = list(dict.fromkeys(row.length for row in found[POSITIONS[0]][0]))
    rows: list[list[str | None]] = []
    for variant, seeds in found.items():
        for reading in dict.fromkeys(row.reading for row in seeds[0]):
            if reading.window is not None and variant == "learned":
                continue  # has no longer lengths to control for
            protocol = "sliding by half" if reading.sliding else "windows side by side"
            row: list[str | None] = [NAMES[variant], protocol]
            row.append("all before" if reading.window is None else f"{reading.window} tokens")
            for size in sizes:
                cells = [
                    one.perplexity for seed in seeds for one in seed if (one.length, one.reading) == (size, reading)
                ]
                known = [defined(cell[name] for name in texts) for cell in cells]
                row.append(spread(list(map(geometric_mean, known))) if all(known) else None)
            rows.append(row)
    title = f"Perplexity on {text} by inference length" if text else "Perplexity by inference length"
    note = (
        ("" if text else "Geometric mean over the test texts. ")
        + "The same tokens, all of them, are scored at every length. A dash: learned positions are undefined past "
        f"{results.block_size} tokens. Side by side, the first tokens of a window have little context, and a longer "
        "window has fewer of them; sliding by half its length, it scores none of them after the first. "
        f"'{results.block_size - 1} tokens': every layer attends to no more of the past than in training, so what "
        "changes there is not extrapolation." + by_token(results)
    )
    columns = words("decoder", "protocol", "attends to") + numbers(*(f"{size} tokens" for size in sizes))
    return Table(title, columns, rows, note)


def steeper(results: Exploration) -> Table:
    """What steeper slopes change."""
    texts = shown_texts(results)
    cells = [
        results.find(task="decoder", variant=STEEP, base="alibi", measure="perplexity", text=text)[0] for text in texts
    ]
    rows = [[f"slopes x {STEEPER:g}", *(effect(cell.estimate, "ratio") for cell in cells)]]
    note = "At two heads the slopes are 1/16 and 1/256; eight times as steep they are 1/2 and 1/32."
    note += which_texts(results)
    columns = words("") + numbers(*texts)
    return Table("Steeper slopes against ALiBi as published: change of perplexity", columns, rows, note)


def validation(results: Exploration) -> Table:
    """The accuracies by which rates of dropout are compared."""
    rows = [
        [NAMES[name], spread(accuracies(runs)), "highest" if name == results.chosen_rate else ""]
        for name, runs in results.validation.items()
    ]
    note = (
        "Trained on four fifths of the distinct training rows, measured on the last fifth; seed s leaves out fold s of "
        "five. The test set has no part in it."
    )
    columns = words("classifier") + numbers("validation accuracy %") + words("")
    return Table("Rates of dropout, by validation", columns, rows, note)


def table1(results: Exploration) -> Table:
    """The classifier by epoch."""
    runs = results.classifier["learned"]
    is_whole = len(runs[0].epochs) == len(PUBLISHED_ACCURACY)
    published = PUBLISHED_ACCURACY if is_whole and on_reports_speakers(results) else []
    losses = dict(zip((0, len(published) - 1), PUBLISHED_LOSSES)) if published else {}
    rows = []
    for epoch in range(len(runs[0].epochs)):
        values = [run.epochs[epoch] for run in runs]
        is_last = published and epoch == len(published) - 1
        rows.append(
            [
                str(epoch + 1),
                spread([value.train_loss for value in values], 3),
                spread([value.train_accuracy for value in values]),
                spread([value.test_accuracy for value in values]),
                number(losses[epoch], 3) if epoch in losses else None,
                number(PUBLISHED_TRAIN_ACCURACY) if is_last else None,
                number(published[epoch]) if published else None,
            ]
        )
    columns = numbers("epoch", "train loss", "train accuracy %", "test accuracy %")
    columns += numbers(*(f"published {name}" for name in ("loss", "train %", "test %")))
    note = f"{of_seeds([run.seed for run in runs]).capitalize()}; {runs[0].n_parameters:,} parameters at a vocabulary "
    note += f"of {vocabulary(results)}{published_size(results, 'classifier')}."
    return filled(Table("Table 1: the classifier by epoch", columns, rows, note))


def published_size(results: Exploration, model: str) -> str:
    """The published number of parameters of a model, where it may stand beside ours."""
    if not on_reports_speakers(results):
        return ""
    return f" (published: {PUBLISHED_PARAMETERS[model]:,} at 5,755 words)"


def table_by_class(results: Exploration) -> Table:
    """Precision, recall and F1."""
    scores = [run.scores for run in results.classifier["learned"]]
    rows: list[list[str | None]] = []
    for own in zip(*(one.classes for one in scores)):
        shares = [[one.precision for one in own], [one.recall for one in own], [one.f1 for one in own]]
        rows.append([own[0].name, f"{own[0].n:,}", *(spread_of_some(defined(values)) for values in shares)])
    rows.append(["mean of the classes", None, None, None, spread([one.macro_f1 for one in scores])])
    columns = words("class") + numbers("test rows", "precision %", "recall %", "F1 %")
    return Table("Who is recognised", columns, rows)


def spread_of_some(values: Sequence[float]) -> str | None:
    """Mean and standard deviation over the seeds in which there was something to measure; None where in none."""
    return spread(values) if values else None


def table2(results: Exploration) -> Table:
    """Perplexity by iteration at the report's width."""
    runs = results.decoder["learned"]
    iterations = [row.iteration for row in runs[0].iterations]
    published = PUBLISHED_PERPLEXITY[256] if as_published(results) else {}
    rows: list[list[str | None]] = []
    for text in ("train", *results.test_names):
        found = [spread([run.iterations[i].perplexity[text] for run in runs]) for i in range(len(iterations))]
        rows.append([text, *found])
        if text in published:
            rows.append(["   published", *(number(value) for value in published[text])])
    note = f"{runs[0].protocol.capitalize()}; {runs[0].n_parameters:,} parameters at a vocabulary of "
    note += f"{vocabulary(results)}{published_size(results, 'decoder 256')}." + by_token(results)
    title = f"Table 2: perplexity by iteration, hidden size {runs[0].ff_dim}"
    return Table(title, words("text") + numbers(*map(str, iterations)), rows, note)


def as_published(results: Exploration) -> bool:
    """Whether the decoder was measured as the report's was, so that its perplexities may stand beside ours."""
    iterations = [row.iteration for row in results.decoder["learned"][0].iterations]
    is_whole = iterations == [100, 200, 300, 400, 500] and results.tokenizer == "word"
    return is_whole and on_reports_speakers(results)


def table3(results: Exploration) -> Table:
    """The narrower feed-forward network, and what width changes."""
    wide, narrow = results.widths[:2]
    rows: list[list[str | None]] = []
    for text in ("train", *results.test_names):
        (found,) = results.find(task="decoder", variant=wide, base=narrow, measure="perplexity", text=text)
        known = [PUBLISHED_PERPLEXITY[size] for size in (100, 256) if as_published(results)]
        published = [by_text[text][-1] for by_text in known if text in by_text]
        rows.append(
            [
                text,
                *(spread(last_perplexities(results.decoder[size], text)) for size in (narrow, wide)),
                effect(found.estimate, "ratio"),
                *((number(published[0]), change(published[1] / published[0])) if published else (None, None)),
            ]
        )
    columns = words("text")
    columns += numbers("hidden size 100", "hidden size 256", "change", "published, 100", "published change")
    note = f"Last iteration; at width 100 {results.decoder[narrow][0].n_parameters:,} parameters"
    note += f"{published_size(results, 'decoder 100')}." + by_token(results)
    return filled(Table("Table 3: perplexity at hidden size 100", columns, rows, note))


def table_of_texts(results: Exploration) -> Table:
    """The decoder beside the n-gram models, in more than one measure: a line a model for each text."""
    measures, spelling = measures_of(results), unknown_spelt(results)

    def cells(scores: Sequence[LanguageScores]) -> list[str | None]:
        known = {name: defined(map(measure, scores)) for name, measure in measures.items()}
        return [spread(own, 3 if name == BITS else 1) if own else None for name, own in known.items()]

    rows: list[list[str | None]] = []
    for text in results.test_names:
        rate = number(results.ngram_scores["ngram"][text].unk_rate, 2)
        rows.append([f"{text}, decoder", *cells([run.scores[text] for run in results.decoder["learned"]]), rate])
        for key, scores in results.ngram_scores.items():
            rows.append([f"   {NGRAM_NAMES[key]}", *cells([scores[text]]), None])
    columns = words("text") + numbers(*(name.removeprefix("perplexity ") for name in measures), "<unk>, % of tokens")
    note = "Trigram: interpolated Kneser-Ney on the same training text and vocabulary"
    if spelling:
        note += f", and the same with our recipe's estimate of <unk>. Bits per byte: with {spelling}"
    else:  # nothing is unknown
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    note += "." + by_token(results)
    return Table("Beside an n-gram model", columns, rows, note)


def table_of_attention(results: Exploration, kind: Kind) -> Table:
    """Attention statistics by layer and head."""
    seeds = results.attention[kind]
    rows = []
    for layer, heads in enumerate(seeds[0].distance):
        for head in range(len(heads)):
            row = [f"layer {layer + 1}, head {head + 1}"]
            row.append(spread([seed.distance[layer][head] for seed in seeds], 2))
            row.append(spread([seed.relative_distance[layer][head] for seed in seeds], 2))
            row.append(spread([seed.entropy[layer][head] for seed in seeds], 2))
            row.append(spread([seed.relative_entropy[layer][head] for seed in seeds], 2))
            padding = spread([100 * seed.padding[layer][head] for seed in seeds])
            rows.append([*row, padding] if kind == "encoder" else row)
    columns = words("")
    columns += numbers("mean distance, tokens", "relative to uniform", "entropy, nats", "relative to uniform")
    note = f"Over all test {'rows' if kind == 'encoder' else 'texts'}; mean ± standard deviation over {len(seeds)} "
    note += (
        f"run{'s' if len(seeds) > 1 else ''}{' that trained' if kind == 'encoder' else ''}. Even attention: the same "
    )
    note += "weight on every token that can be seen."
    if kind == "encoder":
        columns += numbers("on padding, %")
        note += " The report's encoder does not mask padding; the other columns are of what its tokens get."
    return Table(f"Attention of the {kind}", columns, rows, note)


def tables_of_measurement(results: MeasureResults) -> list[Table]:
    """Both recipes and their opponents, task by task, and how far the best recipe is from each."""
    models = measured(results, "classifier")
    headline, rows = headline_of(models), []
    for own in models.values():
        cells: list[str | None] = [own[headline].name, *(spread(row.values) for row in own.values())]
        rows.append([*cells, *sources(own[headline], bare=True)])
    where = "" if headline == "all" else f" ({headline})"
    columns = words("classifier") + numbers(*(f"{group} ({row.n:,})" for group, row in models["best"].items()))
    columns += numbers(f"best recipe against it{where}", "for other seeds alone", "for other rows alone")
    note = f"Test accuracy in percent; {of_seeds(results.seeds)}; differences in points, with 95% intervals for other "
    note += "seeds and other test rows at once, these by stretches of neighbours, and for either alone."
    said = Table("Who said it?", columns, rows, note)

    models, rows = measured(results, "decoder"), []
    headline = headline_of(models)
    texts = [*few({text: row.values[0] for text, row in models["ngram"].items() if text != headline}), headline]
    for own in models.values():
        rows.append([own[headline].name, *(spread(own[text].values) for text in texts), *sources(own[headline])])
    columns = words("decoder") + numbers(*texts, "best recipe against it, all texts")
    columns += numbers("for other seeds alone", "for other lines alone")
    note = (
        f"Test perplexity, every token scored once; {of_seeds(results.seeds)}; {headline}: the geometric mean; changes "
        "with 95% intervals, as above."
    )
    note = " ".join(filter(None, [note, mixture(results.machines)]))
    return [said, Table("How surprising is it?", columns, rows, note)]


def tables_of_tokenizers(results: TokenizersResults) -> list[Table]:
    """Words, subwords and characters beside each other, for each task that was run."""
    found = results.rows
    held_out = "what seed s holds out of the training files, fold s of five"
    where = held_out if results.validation else "the test set"
    how = f"{of_seeds(results.seeds).capitalize()}, {results.recipe} recipe, measured on {where}"
    decoders = [decoders_by_tokens(found, how, mixture(results.machines))] if found[0].bits_per_byte else []
    return decoders + ([classifiers_by_tokens(found, how)] if found[0].accuracy else [])


def decoders_by_tokens(found: Sequence[Tokens], how: str, warning: str) -> Table:
    """Bits per byte lead, and no perplexity stands here, for those of different tokens do not compare."""
    rows = [
        [
            *named(row),
            spread(row.bits_per_byte, 3),
            effect(row.bits_ratio, "ratio") if row.bits_ratio else None,
            spread(row.trigram, 3),
            number(row.bytes_per_token, 2),
        ]
        for row in found
    ]
    columns = words("tokens (vocabulary)")
    columns += numbers("block", "bits per byte", "against words", "trigram", "bytes a token")
    note = (
        "Bits for each byte of all texts together: the bytes are the same however a text is cut, so these compare, and "
        "perplexities, which are by token, do not. Words pay 8 bits for each byte of one that is unknown and for its "
        "end, and nothing for the white space between them, which subwords and characters must predict, too. "
        f"Trigram: Kneser-Ney over the same tokens, told what unknown ones are like. {how}; changes with 95% intervals."
    )
    return Table("How surprising is it?", columns, rows, " ".join(filter(None, [note, warning])))


def classifiers_by_tokens(found: Sequence[Tokens], how: str) -> Table:
    """Accuracy by kind of tokens."""
    rows = [
        [
            *named(row),
            spread(row.accuracy),
            effect(row.accuracy_difference, "points", bare=True) if row.accuracy_difference else None,
            number(row.cut),
        ]
        for row in found
    ]
    columns = words("tokens (vocabulary)")
    columns += numbers("block", "accuracy, %", "against words, points", "training rows cut, %")
    note = f"{how}; differences in points, with 95% intervals. A row longer than the block, in tokens, is cut."
    return Table("Who said it?", columns, rows, note)


def named(row: Tokens) -> list[str]:
    """The first cells of a row: tokens, how many there are, how many are read at once."""
    return [f"{NAMES_OF_TOKENS[row.kind]}s ({row.vocabulary_size:,})", str(row.block_size)]


def in_a_sentence(results: MeasureResults) -> list[str]:
    """What the tables of the measure command say: a sentence for each task."""
    lines = []
    measures: dict[Task, tuple[str, str]] = {"classifier": ("accuracy", "%"), "decoder": ("perplexity", "")}
    for task, (what, unit) in measures.items():
        models = measured(results, task)
        headline = headline_of(models)
        best, report, *opponents = (own[headline] for own in models.values())
        strongest = (max if task == "classifier" else min)(opponents, key=lambda row: row.values[0])
        name = strongest.name.replace("trigram with", "a trigram with")
        against = [
            f"{effect(row.estimate, row.unit) if row.estimate else ''} against {who} ({spread(row.values)}{unit})"
            for row, who in ((report, report.name), (strongest, f"the strongest opponent without a network, {name}"))
        ]
        where = headline if task == "decoder" else f"{headline} test rows"
        lines.append(f"The best {task}: {what} {spread(best.values)}{unit} on {where}, {' and '.join(against)}.")
    at_chance = sum(not run.trained for run in results.classifier["report"])
    if at_chance:
        lines.append(f"{at_chance} of {n_seeds(results.seeds)} of the report's classifier ended at chance.")
    return lines


def sources(row: MeasuredRow, bare: bool = False) -> list[str | None]:
    """An effect for both sources of chance, and for either alone."""
    return [effect(one, row.unit, bare=bare) if one else None for one in (row.estimate, row.seeds, row.items)]


def measured(results: MeasureResults, task: Task) -> dict[str, dict[str, MeasuredRow]]:
    """The rows of the measure command for one task: model -> measure -> row."""
    models: dict[str, dict[str, MeasuredRow]] = {}
    for row in results.rows:
        if row.task == task:
            models.setdefault(row.model, {})[row.measure] = row
    return models


def headline_of(models: Mapping[str, Mapping[str, MeasuredRow]]) -> str:
    """The measure that says most: rows that no model has read, if others have been; all texts together."""
    return next(name for name in ("unseen", TOGETHER, "all") if name in models["best"])


def shown_texts(results: Exploration) -> list[str]:
    """The training text and the test texts that a line has room for."""
    return ["train", *few(perplexities(results.ngram_scores)["ngram"])]


def which_texts(results: Exploration) -> str:
    n_shown, n_texts = len(shown_texts(results)) - 1, len(results.test_names)
    if n_shown == n_texts:
        return ""
    return f" {n_shown} of {n_texts} test texts, from the easiest to the hardest for the trigram."


def of_seeds(seeds: Sequence[int]) -> str:
    """What a number with its spread is."""
    return f"mean ± standard deviation over {n_seeds(seeds)}" if len(seeds) > 1 else "one seed, no spread"


def over_seeds(variants: Mapping[str, Sequence[TrainedRun]]) -> str:
    """What a number with its spread is, where some variants may have more seeds than others."""
    least = min(variants.values(), key=len)
    more: dict[int, list[str]] = {}
    for name, runs in variants.items():
        if len(runs) > len(least):
            more.setdefault(len(runs), []).append(name)
    added = [f"{n} of {', '.join(names)}" for n, names in more.items()]
    return of_seeds([run.seed for run in least]) + (f" ({'; '.join(added)})" if added else "")


def intervals(results: Exploration) -> str:
    """Which ones stand beside its differences."""
    return f"with {in_percent(results.confidence)} intervals"


def paid_looks(looks: Sequence[int]) -> str:
    """What intervals are wider for, where a study was looked at with more seeds each time; else nothing."""
    if len(looks) < 2:
        return ""
    *first, last = map(str, looks)
    return (
        f"They pay for looks at {', '.join(first)} and {last} seeds: in no more than 5% of studies a difference is "
        "told that is not there. "
    )


def sentence(words: str) -> str:
    """`words` with a capital and a full stop."""
    return f"{words[0].upper()}{words[1:]}."


def n_seeds(seeds: Sequence[int]) -> str:
    n = len(seeds)
    return f"{n} seeds" if n > 1 else "1 seed"


def part3(results: Exploration) -> list[Table]:
    """The tables of part 3, as far as the study went."""
    found = []
    if "alibi" in results.halves:
        found += [
            times(results, "classifier"),
            times(results, "decoder"),
            classifiers(results, POSITIONS, "Classifier by position method"),
            decoders(results),
            steeper(results),
            lengths(results),
        ]
    if "regularize" in results.halves:
        variants = [name for name in results.classifier if name not in POSITIONS]
        found += [validation(results), classifiers(results, variants, "Classifier by regularization")]
    return found
