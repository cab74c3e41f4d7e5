"""The audit of a data folder, as a person reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from common.wording import counted
from reporting.table import Item, Table, number, numbers, terminal_text, words
from speechesdataset.audit import Audit, Between, ClassRows, Contradiction, GiveAways, Oddity, Unknown
from speechesdataset.folder import MANY_UNKNOWN, same_text

TRY_SUBWORDS = "--tokenizer bpe reads them in parts"


def files_text(folder: Path, digests: Mapping[str, str]) -> str:
    """The files that were made, each with the start of its SHA-256."""
    width = max(len(str(folder / name)) for name in digests)
    return "\n".join(f"{folder / name!s:{width}}  {checksum[:12]}" for name, checksum in digests.items())


def render(audit: Audit) -> str:
    """An audit as tables and lines for the terminal, the verdict last."""
    leaks = [pair for pair in audit.between if pair.exact or pair.near]
    verdict = "LEAKAGE: test lines appear in training files" if leaks else "No leakage found"
    if audit.doubt and not leaks:
        verdict = f"Nothing is said of leakage: {audit.doubt}; build it anew, or add what is missing"
    changed = ", ".join(audit.changed_since_built)
    return terminal_text(
        f"Audit of {audit.directory}",
        "",
        _sizes(audit),
        _classes(audit.classes),
        *_copies(leaks),
        *_contradictions(audit.contradictions),
        *_give_aways("character", audit.characters, audit.majority_accuracy),
        *_give_aways("word", audit.words, audit.majority_accuracy),
        _unknown_words(audit.unknown_words),
        *_try_subwords(audit.unknown_words),
        _oddities(audit.encoding),
        *_left_out(audit.left_out),
        *([f"manifest.json is not used: it is of other files than {changed}", ""] if changed else []),
        verdict,
        *(Item("  ", _leak(pair)) for pair in leaks),
    )


def _sizes(audit: Audit) -> Table:
    sizes = ("lines", "words", "mean", "median", "longest", f"over {audit.block_size}", "copies", "near copies")
    columns = words("file") + numbers(*sizes)
    rows = []
    for name, size in audit.files.items():
        means = [number(size.mean_length, 2), number(size.median_length, 2)]
        lines, n_words, longest, *copies = _counts(size.lines, size.words, size.longest, size.copies, size.near_copies)
        rows.append([name, lines, n_words, *means, longest, f"{size.truncated_percent:.1f}%", *copies])
    return Table("Sizes (lengths in words), and copies inside each file", columns, rows)


def _classes(classes: Sequence[ClassRows]) -> Table:
    columns = words("label", "name") + numbers("train rows", "train %", "test rows", "test %")
    n_train, n_test = sum(row.train for row in classes), sum(row.test for row in classes)
    rows = []
    for row in classes:
        (train, test), shares = _counts(row.train, row.test), (100 * row.train / n_train, 100 * row.test / n_test)
        rows.append([row.label, row.name, train, number(shares[0], 2), test, number(shares[1], 2)])
    return Table("Classes", columns, rows)


def _copies(leaks: Sequence[Between]) -> list[str | Item | Table]:
    """How many test lines stand in training files, and some of them."""
    title = "Test lines of which a copy appears in a training file"
    columns = words("test file", "training file") + numbers("test lines", "exact copies", "near copies")
    rows = [[pair.test, pair.train, *_counts(pair.lines, pair.exact, pair.near)] for pair in leaks]
    blocks: list[str | Item | Table] = [Table(title, columns, rows)] if rows else [f"{title}: none", ""]
    for pair in leaks:
        for copy in pair.examples[:2]:
            test = Item("  ", f"{pair.test}:{copy.line} {_short(copy.text)}")
            train = Item("  ", f"{pair.train}:{copy.train_line} {_short(copy.train_text)} ({copy.share:.0%})")
            blocks += [test, train, ""]
    return blocks


def _leak(pair: Between) -> str:
    copies = f"{pair.exact + pair.near:,} of {pair.lines:,} lines of {pair.test} appear in {pair.train}"
    return f"{copies} ({pair.exact:,} exactly, {pair.near:,} nearly)"


def _contradictions(contradictions: Sequence[Contradiction]) -> list[str | Item]:
    n_rows = sum(len(text.rows) for text in contradictions)
    examples = [Item("  ", f"{_short(text.text)}: {', '.join(text.rows[:4])}") for text in contradictions[:5]]
    return [f"Texts under more than one label: {len(contradictions)} ({n_rows} rows)", *examples, ""]


def _give_aways(kind: str, telling: GiveAways, majority: float) -> list[str | Table]:
    sentence = (
        f"Give-aways: {counted(len(telling.items), kind)} that only one class of train_CLS.tsv has, often. "
        f"{telling.test_rows} test rows have one, and {telling.right_where_present} of these are of its class; a rule "
        f"on them alone reaches {telling.rule_accuracy:.1f}% of all test rows (always the largest class: "
        f"{majority:.1f}%)"
    )
    rows = []
    for item in telling.items[:10]:
        spelled = f"{item.text} U+{ord(item.text):04X}" if kind == "character" else item.text
        rows.append([spelled, item.class_name, f"{item.rows:,}", f"{item.percent_of_class:.1f}%"])
    table = Table("", words(kind, "class") + numbers("rows", "of its rows"), rows)
    return [sentence, "", table] if rows else [sentence, ""]


def _unknown_words(unknown: Mapping[str, Unknown]) -> Table:
    rows = [[name, number(of.unk_percent, 2), number(of.only_train_CLS_percent, 2)] for name, of in unknown.items()]
    columns = words("test file") + numbers("<unk> %", "only in train_CLS.tsv %")
    return Table("Words that the training files lack, in % of the words of each file", columns, rows)


def _try_subwords(unknown: Mapping[str, Unknown]) -> list[str]:
    """What helps where a test text has many words that training lacks."""
    most = max((of.unk_percent for of in unknown.values()), default=0.0)
    return [f"Many words are unknown; {TRY_SUBWORDS}", ""] if most > MANY_UNKNOWN else []


def _oddities(encoding: Mapping[str, Sequence[Oddity]]) -> Table | str:
    rows = [
        [name, oddity.what, *_counts(oddity.times, oddity.first_line)]
        for name, oddities in encoding.items()
        for oddity in oddities
    ]
    columns = words("file", "what") + numbers("times", "first line")
    return Table("Encoding", columns, rows) if rows else "Encoding: nothing odd\n"


def _left_out(left_out: Mapping[str, Mapping[str, int]]) -> list[str | Item]:
    """A line for each reason, with how much of each speaker's text."""
    items = [
        Item("  ", f"{reason}: {', '.join(f'{speaker} {n:,}' for speaker, n in speakers.items())}")
        for reason, speakers in left_out.items()
    ]
    return ["Left out when the data were made", *items, ""] if items else []


def _counts(*numbers: int | None) -> list[str | None]:
    """Cells of whole numbers."""
    return [None if n is None else f"{n:,}" for n in numbers]


def _short(text: str, width: int = 90) -> str:
    text = same_text(text)
    return text if len(text) <= width else text[: width - 3] + "..."
