"""Runs to the tables and sentences that the terminal shows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import geometric_mean

from rich.cells import cell_len
from studies.results import (
    AblationResults,
    MeasureResults,
    Part1Results,
    Part2Results,
    Part3Results,
    TextScores,
    TokenizersResults,
    perplexities,
)

from common.wording import duration
from evaluation.opponents import NGRAM_NAMES, by_name
from evaluation.records import Group, GroupAccuracy
from reporting import comparison, tables
from reporting.table import (
    GAP,
    NARROW_WORDS,
    Item,
    Table,
    cut,
    effect,
    number,
    numbers,
    terminal_text,
    terminal_width,
    words,
)
from reporting.wording import from_here, took
from speechesdataset.folder import About
from studies.catalogue.published import PUBLISHED_ACCURACY, PUBLISHED_PERPLEXITY, on_courses_data
from studies.catalogue.recipes import RECIPES
from training.machine import distinct_machines
from training.records import DecoderRun, Scores


def data_line(about: About, n_names: int = 5) -> str:
    """What the tables below it are of: the folder, how many rows, and the first `n_names` speakers."""
    names, n_rest = about.class_names[:n_names], len(about.class_names) - n_names
    speakers = ", ".join(names) + (f" and {n_rest} more" if n_rest > 0 else "")
    rows = f"{about.train_rows:,} training and {about.test_rows:,} test rows"
    return terminal_text(f"Data: {from_here(about.folder)}, {rows} of {len(about.class_names)} speakers: {speakers}")


def part1_text(results: Part1Results, audit: str, texts: Mapping[int, str]) -> str:
    """Table 1 of a classifier's run, its accuracy on all, seen and unseen rows, the baselines beside it, and what its
    probabilities are worth.

    `audit` is the command that shows which rows are seen, `texts` holds the test rows by their lines.
    """
    lines: list[str | Item] = []
    test, n_cut, block = results.test, results.n_truncated, results.block_size
    if test["seen"].n:
        warning = f"Warning: {test['seen'].n:,} of {test['all'].n:,} test rows appear in the training file, too. "
        lines += [f"{warning}To see them:", Item("", audit, wraps=False)]
    if not results.trained:
        how, n = "fell back to" if results.fell_back else "stayed at", len(results.epochs)
        usual = RECIPES[results.recipe]["classifier"].duration
        remedy = f"With --epochs {usual}, as the recipe has it," if n < usual else "With another --seed,"
        lines.append(
            f"This run {how} chance: it knows no more of its training rows than which class is the largest. {remedy} "
            "training may succeed."
        )
    if n_cut.train or n_cut.test:
        more = " A larger --block-size reads more of them." if results.tokenizer != "word" else ""
        lines.append(f"Cut at {block} tokens: {n_cut.train:,} training and {n_cut.test:,} test rows.{more}")
    lines.append(_times(results.train_seconds, results.total_seconds))
    lines += [*tables.made_on([results.machine]), "", _accuracy_in_short(results)]
    found = [_epochs(results), _accuracies(results), _classes(results.scores), _calibration(results)]
    return terminal_text(*found, *_mistakes(results, texts), *lines)


def _accuracy_in_short(results: Part1Results) -> str:
    """The sentence to remember: test accuracy, on the unseen rows, too, and that of the best opponent on these."""
    opponents, published = by_name(results.baselines), f" (published: {PUBLISHED_ACCURACY[-1]}%)"
    text = f"In short: test accuracy {_percent(results.test['all'])}"
    text += published if on_courses_data(results.data) else ""
    group: Group = "unseen" if results.test["seen"].n and results.test["unseen"].n else "all"
    if group == "unseen":
        text += f", on the unseen rows {_percent(results.test[group])}"
    best = max(opponents, key=lambda name: opponents[name][group].accuracy or 0)
    return f"{text}; the best opponent, {best}: {_percent(opponents[best][group])}."


def _percent(group: GroupAccuracy) -> str:
    return "-" if group.accuracy is None else f"{number(group.accuracy, 1)}%"


def _times(training: float, total: float) -> str:
    """Seconds in training steps, of an earlier start too, and of this start of the command."""
    return f"Training steps took {duration(training)} in all; this start of the command, {duration(total)}."


def _epochs(results: Part1Results) -> Table:
    title = f"Table 1: {results.label}; {results.n_parameters:,} parameters, vocabulary of {tables.vocabulary(results)}"
    rows = [
        [str(row.epoch), number(row.train_loss, 4), *_cells([row.train_accuracy, row.test_accuracy])]
        for row in results.epochs
    ]
    columns = numbers("epoch", "train loss", "train accuracy %", "test accuracy %")
    return Table(f"{title}, seed {results.seed}", columns, rows)


def _accuracies(results: Part1Results) -> Table:
    models = {
        f"transformer ({results.label})": results.test,
        **by_name(results.baselines),
    }
    columns = words("test accuracy %") + numbers(*(f"{group} ({results.test[group].n})" for group in tables.GROUPS))
    rows = [[name, *_cells([found[group].accuracy for group in tables.GROUPS])] for name, found in models.items()]
    return Table("", columns, rows, "seen: the row's text appears word for word in train_CLS.tsv")


def _classes(scores: Scores) -> Table:
    rows: list[list[str | None]] = [
        [row.name, f"{row.n:,}", *_cells([row.precision, row.recall, row.f1])] for row in scores.classes
    ]
    rows.append(["mean (macro)", None, None, None, *_cells([scores.macro_f1])])
    return Table("", words("class") + numbers("test rows", "precision %", "recall %", "F1 %"), rows)


def _calibration(results: Part1Results) -> Table:
    """How far the probabilities are from how often they are right."""
    found = results.calibration
    shown = {"as trained": found.as_trained}
    note = "expected calibration error on the test rows, in 15 bins"
    if found.n_rows:
        shown[f"at temperature {number(found.temperature, 2)}"] = found.calibrated
        note += (
            f"; the temperature is fitted on {found.n_rows:,} training rows that a second model had not learned from"
        )
    else:
        note += f"; probabilities stay as trained, for {found.note}"
    columns = words("confidence - accuracy, points") + numbers(*tables.GROUPS)
    note += (
        "; by chance up to: what probabilities that mean what they say stay below in 19 of 20 samples of so many rows"
    )
    rows: list[list[str | None]] = []
    for name, own in shown.items():
        for title, values in ((name, own.error), ("   by chance up to", own.chance)):
            rows.append([title, *_cells([values[group] for group in tables.GROUPS], 1)])
    return Table("", columns, rows, note)


def _mistakes(results: Part1Results, texts: Mapping[int, str]) -> list[Table]:
    """Where the model is surest and wrong: each row in a line, cut where it finds no more room."""
    if not results.mistakes:
        return []
    columns = [*numbers("row", "sure %"), *words("said by", "taken for", "text")]
    found = [[f"{one.row}", number(one.probability), one.label, one.prediction] for one in results.mistakes]
    taken = sum(GAP + max(map(cell_len, cells)) for cells in zip([column.name for column in columns], *found))
    room = max(NARROW_WORDS, terminal_width() - taken)
    rows = [[*own, cut(texts[one.row], room)] for own, one in zip(found, results.mistakes)]
    return [Table("Where it is surest and wrong", columns, rows)]


def part2_text(results: Part2Results) -> str:
    """Tables 2 and 3 of a decoder's runs with the n-gram baseline and the rates of <unk>."""
    names, models, machines = list(results.unk_rate), results.models, distinct_machines(results.models)
    read = "" if results.tokenizer == "word" else f", {tables.token_of(results)}s"
    scored: dict[str, TextScores] = {}
    for model in models:
        name = f"hidden size {model.ff_dim}{read}"
        beside = {f"decoder with a trigram, {name}": model.scores, f"decoder alone, {name}": model.network}
        scored |= beside if model.network else {f"decoder, {name}": model.scores}
    scored |= {NGRAM_NAMES[key]: scores for key, scores in results.ngram_scores.items()}
    shown = [
        Table(
            "",
            words(title) + numbers(*names),
            [
                [model, *_cells([measure(scores[name]) for name in names], 3 if title == tables.BITS else 2)]
                for model, scores in scored.items()
            ],
        )
        for title, measure in tables.measures_of(results).items()
    ]
    note = "every token of each file is scored once"
    if spelling := tables.unknown_spelt(results):
        unknown = [["<unk>, % of tokens", *_cells([results.unk_rate[name] for name in names])]]
        shown.append(Table("", words("text") + numbers(*names), unknown))
        note += f"; bits per byte: {spelling}"
    shown[-1] = replace(shown[-1], note=note)
    return terminal_text(
        *(_iterations(results, model, place) for place, model in enumerate(models, start=2)),
        *shown,
        *(_voices(model, results.data.class_names) for model in models if model.voices),
        *filter(None, [tables.by_token(results).strip()]),
        _times(sum(model.train_seconds for model in models), results.total_seconds),
        *tables.made_on(machines),
        "",
        _perplexity_in_short(results),
    )


def _perplexity_in_short(results: Part2Results) -> str:
    """The sentence to remember: the perplexities of the first decoder, and those of the best model that counts."""
    model = results.models[0]
    opponents = perplexities(results.ngram_scores)
    best = min(opponents, key=lambda name: geometric_mean(opponents[name].values()))
    ours = _range([scores.perplexity for scores in model.scores.values()])
    known = PUBLISHED_PERPLEXITY.get(model.ff_dim) if results.tokenizer == "word" else None
    tests = [known[text][-1] for text in model.scores if text in known] if known else []
    published = f" (published: {_range(tests)})" if tests and on_courses_data(results.data) else ""
    theirs = f"the best opponent, {NGRAM_NAMES[best]}: {_range(list(opponents[best].values()))}"
    return f"In short: perplexity {ours} on the test texts{published}; {theirs}."


def _range(values: Sequence[float]) -> str:
    ends = [number(value, 1) for value in (min(values), max(values))]
    return " to ".join(dict.fromkeys(ends))


def _iterations(results: Part2Results, model: DecoderRun, place: int) -> Table:
    """A decoder's perplexity on each text as it trained."""
    title = f"Table {place}: perplexity by iteration, {results.label}, hidden size {model.ff_dim}, "
    title += f"{model.n_parameters:,} parameters, vocabulary of {tables.vocabulary(results)}, seed {results.seed}; "
    found = model.iterations
    rows = [[text, *_cells([row.perplexity[text] for row in found])] for text in ("train", *results.unk_rate)]
    columns = words("text") + numbers(*(str(row.iteration) for row in found))
    return Table(f"{title}{results.protocol}", columns, rows)


def _voices(model: DecoderRun, speakers: Sequence[str]) -> Table:
    """How surprising each test text is to each of a decoder's voices, and how often Bayes' rule knows a speaker."""
    assert model.voices is not None
    texts = model.voices.perplexity
    rows = [[name, *_cells(own)] for name, *own in zip(speakers, *texts.values())]
    shares = {name: tables.rate(group) for name, group in model.voices.test.items()}
    known = ", ".join(f"{share}% of {name}" for name, share in shares.items() if share is not None)
    note = f"who said a test row is known by Bayes' rule, from its probability in each voice, of {known} test rows"
    title = f"perplexity in the voice of, hidden size {model.ff_dim}"
    return Table("", words(title) + numbers(*texts), rows, note)


def part3_text(results: Part3Results) -> str:
    """The tables of the exploration, and the verdicts that its runs allow."""
    verdicts: list[str | Item] = ["Verdicts"]
    for one in results.claims:
        verdicts.append(Item(f"{one.id:4} {one.verdict.upper():14}  ", one.claim))
        verdicts += [Item(" " * 7, f"{part.label}  {effect(part.estimate, part.unit)}") for part in one.parts]
        verdicts += [Item(" " * 7, f"what would tell: {more}")] if (more := tables.to_tell(one)) else []
        verdicts += [Item(" " * 7, one.note)] if one.note else []
    if len(results.seeds) == 1:
        verdicts.append(
            "One seed gives no intervals, so nothing can be judged: --seeds 5 tells which differences are real."
        )
    machines = results.machines
    return terminal_text(
        *tables.part3(results),
        *verdicts,
        "",
        f"{took(results.total_seconds)} Computed on: {tables.computed_on(machines)}.",
        *filter(None, [tables.mixture(machines)]),
    )


def ablation_text(results: AblationResults) -> str:
    """The table of each task."""
    return terminal_text(*comparison.tables_of_ablation(results), took(results.total_seconds))


def tokenizers_text(results: TokenizersResults) -> str:
    """Words, subwords and characters beside each other."""
    return terminal_text(*tables.tables_of_tokenizers(results), took(results.total_seconds))


def measure_text(results: MeasureResults) -> str:
    """Both recipes and their opponents."""
    found = tables.tables_of_measurement(results)
    return terminal_text(*found, *tables.in_a_sentence(results), took(results.total_seconds))


def _cells(values: Sequence[float | None], digits: int = 2) -> list[str | None]:
    return [None if value is None else number(value, digits) for value in values]
