"""What an audit of a data folder found, as a person reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from reporting.table import Item, Table, number, numbers, terminal_text, words
from speechesdataset.audit import Between, ClassRows, Contradictions, Findings, Oddity, Rule, Unknown
from speechesdataset.folder import MadeSpeaker, same_text


def files_text(folder: Path, digests: Mapping[str, str]) -> str:
    """The files that were made, each with the start of its SHA-256."""
    return "\n".join(f"{checksum[:12]}  {folder / name}" for name, checksum in digests.items())


def render(findings: Findings) -> str:
    """What `audit` found, as tables and lines for the terminal, the verdict last."""
    verdict = "LEAKAGE: test lines appear in training files" if findings.has_leakage else "No leakage found"
    if findings.doubt and not findings.has_leakage:
        verdict = f"Nothing is said of leakage: {findings.doubt}; build it anew, or add what is missing"
    changed = [f"Changed since the manifest was written: {', '.join(findings.changed_since_built)}", ""]
    give_aways = findings.give_aways
    return terminal_text(
        f"Audit of {findings.directory}",
        "",
        _sizes(findings),
        _classes(findings.classes),
        *_copies(findings.between),
        *_contradictions(findings.contradictions),
        *_give_aways("character", give_aways.characters, give_aways.majority_accuracy),
        *_give_aways("word", give_aways.words, give_aways.majority_accuracy),
        _unknown_words(findings.unknown_words),
        _oddities(findings.encoding),
        *_left_out(findings.left_out),
        *(changed if findings.changed_since_built else []),
        verdict,
        *(Item("  ", leak) for leak in findings.leaks),
    )


def _sizes(findings: Findings) -> Table:
    columns = words("file") + numbers("lines", "words", "mean", "median", "longest", f"over {findings.block_size}")
    columns += numbers("copies", "near copies")
    rows = []
    for name, size in findings.files.items():
        lengths = [number(size.mean_length, 2), number(size.median_length, 2), f"{size.longest:,}"]
        copies = [f"{findings.inside[name].exact:,}", f"{findings.inside[name].near:,}"]
        truncated = f"{size.truncated_percent:.1f}%"
        rows.append([name, f"{size.lines:,}", f"{size.words:,}", *lengths, truncated, *copies])
    return Table("Sizes (lengths in words), and copies inside each file", columns, rows)


def _classes(classes: Sequence[ClassRows]) -> Table:
    rows = []
    for row in classes:
        shares = number(row.train_percent, 2), number(row.test_percent, 2)
        rows.append([row.label, row.name, f"{row.train:,}", shares[0], f"{row.test:,}", shares[1]])
    return Table("Classes", words("label", "name") + numbers("train rows", "train %", "test rows", "test %"), rows)


def _copies(between: Sequence[Between]) -> list[str | Item | Table]:
    """How many test lines stand in training files, and some of them."""
    title = "Test lines of which a copy appears in a training file"
    columns = words("test file", "training file") + numbers("test lines", "exact copies", "near copies")
    leaking = [pair for pair in between if pair.exact or pair.near]
    rows = [[pair.test, pair.train, f"{pair.rows:,}", f"{pair.exact:,}", f"{pair.near:,}"] for pair in leaking]
    blocks: list[str | Item | Table] = [Table(title, columns, rows)] if rows else [f"{title}: none", ""]
    for pair in leaking:
        for copy in pair.examples[:2]:
            test = Item("  ", f"{pair.test}:{copy.line} {_short(copy.text)}")
            train = Item("  ", f"{pair.train}:{copy.train_line} {_short(copy.train_text)} ({copy.share:.0%})")
            blocks += [test, train, ""]
    return blocks


def _contradictions(contradictions: Contradictions) -> list[str | Item]:
    head = f"Texts under more than one label: {contradictions.texts} ({contradictions.rows} rows)"
    examples = [Item("  ", f"{_short(text.text)}: {', '.join(text.places[:4])}") for text in contradictions.examples]
    return [head, *examples, ""]


def _give_aways(kind: str, rule: Rule, majority: float) -> list[str | Table]:
    sentence = (
        f"Give-aways: {rule.n_items} {kind}s that only one class of train_CLS.tsv has, often. {rule.test_rows} "
        f"test rows have one, and {rule.right_where_present} of these are of its class; a rule on them alone "
        f"reaches {rule.rule_accuracy:.1f}% of all test rows (always the largest class: {majority:.1f}%)"
    )
    rows = []
    for give_away in rule.items[:10]:
        item = " ".join(filter(None, [give_away.item, give_away.codepoint]))
        rows.append([item, give_away.class_name, f"{give_away.rows:,}", f"{give_away.percent_of_class:.1f}%"])
    table = Table("", words(kind, "class") + numbers("rows", "of its rows"), rows)
    return [sentence, "", table] if rows else [sentence, ""]


def _unknown_words(unknown: Mapping[str, Unknown]) -> Table:
    rows = [[name, number(of.unk_percent, 2), number(of.only_train_CLS_percent, 2)] for name, of in unknown.items()]
    columns = words("test file") + numbers("<unk> %", "only in train_CLS.tsv %")
    return Table("Words that the training files lack, in % of the words of each file", columns, rows)


def _oddities(encoding: Mapping[str, Sequence[Oddity]]) -> Table | str:
    rows = [
        [name, oddity.what, *(None if n is None else f"{n:,}" for n in (oddity.times, oddity.first_line))]
        for name, oddities in encoding.items()
        for oddity in oddities
    ]
    columns = words("file", "what") + numbers("times", "first line")
    return Table("Encoding", columns, rows) if rows else "Encoding: nothing odd\n"


def _left_out(speakers: Sequence[MadeSpeaker]) -> list[str | Item]:
    """A line for each reason, with how much of each speaker's text."""
    lines: dict[str, list[str]] = {}
    for speaker in speakers:
        for reason, n in speaker.left_out.items():
            lines.setdefault(reason, []).append(f"{speaker.name} {n:,}")
    items = [Item("  ", f"{reason}: {', '.join(counts)}") for reason, counts in lines.items()]
    return ["Left out when the data were made", *items, ""] if items else []


def _short(text: str, width: int = 90) -> str:
    text = same_text(text)
    return text if len(text) <= width else text[: width - 3] + "..."
