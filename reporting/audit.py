"""What an audit of a data folder found, as a person reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dataset import MadeSpeaker, same_text
from reporting.table import Item, Table, numbers, terminal_text, words
from reporting.wording import number
from speechesdataset.findings import Between, ClassRows, Contradictions, Findings, Oddity, Rule, Unknown


def files_text(folder: Path, digests: Mapping[str, str]) -> str:
    """The files that were made, each with the start of its SHA-256."""
    return "\n".join(f"{checksum[:12]}  {folder / name}" for name, checksum in digests.items())


def render(found: Findings) -> str:
    """What `audit` found, as tables and lines for the terminal, the verdict last."""
    verdict = "LEAKAGE: test lines appear in training files" if found.has_leakage else "No leakage found"
    if found.doubt and not found.has_leakage:
        verdict = f"Nothing is said of leakage: {found.doubt}; build it anew, or add what is missing"
    changed = [f"Changed since the manifest was written: {', '.join(found.changed_since_built)}", ""]
    return terminal_text(
        f"Audit of {found.directory}",
        "",
        _sizes(found),
        _classes(found.classes),
        *_copies(found.between),
        *_contradictions(found.contradictions),
        *_give_aways("characters", found.give_aways.characters, found.give_aways.majority_accuracy),
        *_give_aways("words", found.give_aways.words, found.give_aways.majority_accuracy),
        _unknown_words(found.unknown_words),
        _oddities(found.encoding),
        *_left_out(found.left_out),
        *(changed if found.changed_since_built else []),
        verdict,
        *(Item("  ", leak) for leak in found.leaks),
    )


def _sizes(found: Findings) -> Table:
    columns = words("file") + numbers("lines", "words", "mean", "median", "longest", f"over {found.block_size}")
    columns += numbers("copies", "near copies")
    rows = [
        [
            *(name, f"{size.lines:,}", f"{size.words:,}"),
            *(number(size.mean_length, 2), number(size.median_length, 2), f"{size.longest:,}"),
            *(f"{size.truncated_percent:.1f}%", f"{found.inside[name].exact:,}", f"{found.inside[name].near:,}"),
        ]
        for name, size in found.files.items()
    ]
    return Table("Sizes (lengths in words), and copies inside each file", columns, rows)


def _classes(classes: Sequence[ClassRows]) -> Table:
    rows = [
        [
            *(row.label, row.name),
            *(f"{row.train:,}", number(row.train_percent, 2)),
            *(f"{row.test:,}", number(row.test_percent, 2)),
        ]
        for row in classes
    ]
    return Table("Classes", words("label", "name") + numbers("train rows", "train %", "test rows", "test %"), rows)


def _copies(between: Sequence[Between]) -> list[str | Item | Table]:
    """How many test lines stand in training files, and some of them."""
    title = "Test lines of which a copy appears in a training file"
    columns = words("test file", "training file") + numbers("test lines", "exact copies", "near copies")
    rows = [
        [row.test, row.train, f"{row.rows:,}", f"{row.exact:,}", f"{row.near:,}"]
        for row in between
        if row.exact or row.near
    ]
    blocks: list[str | Item | Table] = [Table(title, columns, rows)] if rows else [f"{title}: none", ""]
    for row in between:
        for one in row.examples[:2]:
            blocks += [
                Item("  ", f"{row.test}:{one.line} {_short(one.text)}"),
                Item("  ", f"{row.train}:{one.train_line} {_short(one.train_text)} ({one.share:.0%})"),
                "",
            ]
    return blocks


def _contradictions(found: Contradictions) -> list[str | Item]:
    examples = [Item("  ", f"{_short(one.text)}: {', '.join(one.places[:4])}") for one in found.examples]
    return [f"Texts under more than one label: {found.texts} ({found.rows} rows)", *examples, ""]


def _give_aways(kind: str, rule: Rule, majority: float) -> list[str | Table]:
    sentence = (
        f"Give-aways: {rule.n_items} {kind} that only one class of train_CLS.tsv has, often. {rule.test_rows} "
        f"test rows have one, and {rule.right_where_present} of these are of its class; a rule on them alone "
        f"reaches {rule.rule_accuracy:.1f}% of all test rows (always the largest class: {majority:.1f}%)"
    )
    rows = [
        [
            *(" ".join(filter(None, [one.item, one.codepoint])), one.class_name),
            *(f"{one.rows:,}", f"{one.percent_of_class:.1f}%"),
        ]
        for one in rule.items[:10]
    ]
    columns = words(kind[:-1], "class") + numbers("rows", "of its rows")
    return [sentence, "", *([Table("", columns, rows)] if rows else [])]


def _unknown_words(found: Mapping[str, Unknown]) -> Table:
    rows = [[name, number(one.unk_percent, 2), number(one.only_train_CLS_percent, 2)] for name, one in found.items()]
    columns = words("test file") + numbers("<unk> %", "only in train_CLS.tsv %")
    return Table("Words that the training files lack, in % of the words of each file", columns, rows)


def _oddities(found: Mapping[str, Sequence[Oddity]]) -> Table | str:
    rows = [
        [name, oddity.what, *(None if n is None else f"{n:,}" for n in (oddity.times, oddity.first_line))]
        for name, oddities in found.items()
        for oddity in oddities
    ]
    columns = words("file", "what") + numbers("times", "first line")
    return Table("Encoding", columns, rows) if rows else "Encoding: nothing odd\n"


def _left_out(made: Sequence[MadeSpeaker]) -> list[str | Item]:
    """A line for each reason, with how much of each speaker's text."""
    reasons = dict.fromkeys(reason for speaker in made for reason in speaker.left_out)
    lines = [
        f"{reason}: " + ", ".join(f"{one.name} {one.left_out[reason]:,}" for one in made if reason in one.left_out)
        for reason in reasons
    ]
    return ["Left out when the data were made", *(Item("  ", line) for line in lines), ""] if lines else []


def _short(text: str, width: int = 90) -> str:
    text = same_text(text)
    return text if len(text) <= width else text[: width - 3] + "..."
