"""What commands print: the data, tables, what to beware of, and the sentences to remember."""

import shlex
from collections.abc import Mapping

from rich.text import Text

from common.wording import duration, in_one_line
from evaluation.statistics import UNCLEAR
from reporting import notes, tables
from reporting.audit import TRY_SUBWORDS
from reporting.summary import in_short, quick_warning
from reporting.table import Item, Table, effect, from_here, number, table_of, terminal_text
from speechesdataset.folder import MANY_UNKNOWN, About
from studies.answers import Answers
from studies.catalogue.recipes import RECIPES, word
from studies.settings import settings
from training.kinds import KINDS
from training.recipe import Task, settings_of
from training.records import ClassifierRun

ONE_SEED = "One seed gives no intervals, so nothing can be judged: --seeds 5 tells which differences are real."
MOST_TEXT = 30  # columns of a terminal that the beginning of a row takes
Block = str | Item | Table


def show(answers: Answers, texts: Mapping[int, str] | None = None) -> str:
    """What a command prints of its answers. `texts`: the test rows by their lines in the file, of which part 1 shows
    those that the classifier gets wrong."""
    blocks: list[Block] = [data_line(answers.data), ""]
    if answers.command == "report":
        blocks += [quick_warning(answers), ""] if answers.quick else judged_claims(answers)
    else:
        blocks += [*tables.tables_of(answers), *mistakes(answers, texts or {}), *judged_claims(answers)]
    blocks += [*warnings(answers), *how_long(answers), "", *in_short(answers)]
    return terminal_text(*blocks).rstrip()


def data_line(about: About, n_names: int = 5) -> str:
    """What the tables are of: the folder, how many rows, and the first `n_names` speakers."""
    names, n_rest = about.class_names[:n_names], len(about.class_names) - n_names
    speakers = ", ".join(names) + (f" and {n_rest} more" if n_rest > 0 else "")
    rows = f"{about.train_rows:,} training and {about.test_rows:,} test rows"
    return f"Data: {from_here(about.folder)}, {rows} of {len(about.class_names)} speakers: {speakers}"


def judged_claims(answers: Answers) -> list[Block]:
    """Every claim with its verdict, and, but for the report, whose page says it, its parts and what would tell. Of one
    seed only those that need no more."""
    blocks: list[Block] = []
    for judgement in answers.claims:
        if len(answers.seeds) == 1 and judgement.verdict == UNCLEAR:
            continue
        blocks.append(Item(f"{judgement.id:4} {judgement.verdict.upper():14}  ", judgement.claim))
        if answers.command != "report":
            parts = [f"{part.label}  {effect(part.estimate, part.unit)}" for part in judgement.parts]
            more = [*parts, tables.needed_to_judge(judgement), judgement.note]
            blocks += [Item(" " * 7, text) for text in more if text]
    return ["Verdicts", *blocks, ""] if blocks else []


def mistakes(answers: Answers, texts: Mapping[int, str]) -> list[Table]:
    """The wrong predictions of one classifier that have the highest probability, a line each."""
    rows = []
    for mistake in (mistake for seeds in answers.mistakes.get("classifier", {}).values() for mistake in seeds[0]):
        text = Text(in_one_line(texts.get(mistake.row, "")))
        text.truncate(MOST_TEXT, overflow="ellipsis")
        rows.append(
            {
                "row": str(mistake.row),
                "sure %": number(mistake.probability),
                "said by": mistake.label,
                "taken for": mistake.prediction,
                "text": text.plain,
            }
        )
    return [table_of("Where it is wrong and surest", rows, ("said by", "taken for", "text"))] if rows else []


def warnings(answers: Answers) -> list[Block]:
    """What to know before the numbers are believed."""
    blocks: list[Block] = []
    data, is_part1 = answers.data, answers.command == "part1"
    if data.seen_rows and answers.classifier and not answers.questions["classifier"].on_folds:
        audit = shlex.join(["python", "main.py", "data", "audit", "--data-dir", str(from_here(data.folder))])
        warning = f"Warning: {data.seen_rows:,} of {data.test_rows:,} test rows appear in the training file, too."
        blocks += [f"{warning} To see them:", Item("", audit, wraps=False)]
    if is_part1 and not answers.classifier["classifier"][0].trained:
        blocks.append(at_chance(answers.classifier["classifier"][0], RECIPES[answers.recipe]["classifier"].duration))
    most = max(answers.unknown.values(), default=0.0)
    if answers.tokenizer == "word" and most > MANY_UNKNOWN and answers.command in ("part1", "part2"):
        blocks.append(f"Of a test text {most:.1f}% of the words are unknown; {TRY_SUBWORDS}.")
    if is_part1 and any(answers.n_truncated.values()):
        n_train, n_test = (answers.n_truncated[rows] for rows in ("train", "test"))
        blocks.append(f"Cut at {answers.block_size} tokens: {n_train:,} training and {n_test:,} test rows.")
    if len(answers.seeds) == 1 and answers.command in ("part3", "compare", "ablation"):
        blocks.append(ONE_SEED)
    return blocks


def at_chance(run: ClassifierRun, usual: int) -> str:
    """What to do with a classifier that knows no more than its largest class; its recipe has `usual` epochs."""
    how = "fell back to" if run.fell_back else "stayed at"
    is_brief = len(run.epochs) < usual
    remedy = f"With --epochs {usual}, as the recipe has it," if is_brief else "With another --seed,"
    return (
        f"This run {how} chance: it knows no more of its training rows than which class is the largest. {remedy} "
        "training may succeed."
    )


def how_long(answers: Answers) -> list[str]:
    """How long it took, and what computed it."""
    return [
        f"Training steps took {duration(answers.training_seconds)} in all; this start of the command, "
        f"{duration(answers.total_seconds)}.",
        f"Computed on: {notes.computed_on(answers.machines)}.",
    ]


def settings_text() -> str:
    """Every setting: what it means, what it may be, and what each recipe has."""
    return terminal_text(*map(settings_table, KINDS))


def settings_table(kind: Task) -> Table:
    """The settings of one kind of model."""
    recipes = [settings_of(recipes[kind]) for recipes in RECIPES.values()]
    values = " / ".join(RECIPES)
    rows = [
        {
            "setting": name,
            "what it is": setting.meaning,
            "takes": setting.choices(),
            values: " / ".join(word(recipe[setting.field]) for recipe in recipes),
        }
        for name, setting in settings(kind).items()
    ]
    return table_of(f"Settings of the {kind}", rows, rows[0].keys())
