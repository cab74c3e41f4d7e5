"""What an audit of a data folder found, as a person reads it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset import same_text
from reporting.table import Item, Table, number, numbers, terminal_text, words


def files_text(folder: Path, digests: Mapping[str, str]) -> str:
    """The files that were made, each with the start of its SHA-256."""
    return "\n".join(f"{checksum[:12]}  {folder / name}" for name, checksum in digests.items())


def render(found: dict[str, Any]) -> str:
    """What `audit` found, as tables and lines for the terminal, the verdict last."""
    verdict = "LEAKAGE: test lines appear in training files" if found["has_leakage"] else "No leakage found"
    if found["doubt"] and not found["has_leakage"]:
        verdict = f"Nothing is said of leakage: {found['doubt']}; build it anew, or add what is missing"
    changed = [f"Changed since the manifest was written: {', '.join(found['changed_since_built'])}", ""]
    return terminal_text(
        f"Audit of {found['directory']}",
        "",
        _sizes(found),
        _classes(found),
        *_copies(found["between"]),
        *_contradictions(found["contradictions"]),
        *(block for kind in ("characters", "words") for block in _give_aways(found["give_aways"], kind)),
        _unknown_words(found["unknown_words"]),
        _oddities(found["encoding"]),
        *_left_out(found["left_out"]),
        *(changed if found["changed_since_built"] else []),
        verdict,
        *(Item("  ", leak) for leak in found["leaks"]),
    )


def _sizes(found: dict[str, Any]) -> Table:
    columns = words("file") + numbers("lines", "words", "mean", "median", "longest", f"over {found['block_size']}")
    columns += numbers("copies", "near copies")
    rows = [
        [
            *(name, f"{size['lines']:,}", f"{size['words']:,}"),
            *(number(size["mean_length"], 2), number(size["median_length"], 2), f"{size['longest']:,}"),
            *(f"{size['truncated_percent']:.1f}%", *(f"{found['inside'][name][kind]:,}" for kind in ("exact", "near"))),
        ]
        for name, size in found["files"].items()
    ]
    return Table("Sizes (lengths in words), and copies inside each file", columns, rows)


def _classes(found: dict[str, Any]) -> Table:
    rows = [
        [
            *(row["label"], row["name"]),
            *(f"{row['train']:,}", number(row["train_percent"], 2)),
            *(f"{row['test']:,}", number(row["test_percent"], 2)),
        ]
        for row in found["classes"]
    ]
    return Table("Classes", words("label", "name") + numbers("train rows", "train %", "test rows", "test %"), rows)


def _copies(between: list[dict[str, Any]]) -> list[str | Item | Table]:
    """How many test lines stand in training files, and some of them."""
    title = "Test lines of which a copy appears in a training file"
    columns = words("test file", "training file") + numbers("test lines", "exact copies", "near copies")
    rows = [
        [row["test"], row["train"], *(f"{row[key]:,}" for key in ("rows", "exact", "near"))]
        for row in between
        if row["exact"] or row["near"]
    ]
    blocks: list[str | Item | Table] = [Table(title, columns, rows)] if rows else [f"{title}: none", ""]
    for row in between:
        for one in row["examples"][:2]:
            blocks += [
                Item("  ", f"{row['test']}:{one['line']} {_short(one['text'])}"),
                Item("  ", f"{row['train']}:{one['train_line']} {_short(one['train_text'])} ({one['share']:.0%})"),
                "",
            ]
    return blocks


def _contradictions(found: dict[str, Any]) -> list[str | Item]:
    examples = [
        Item("  ", f"{_short(example['text'])}: {', '.join(example['places'][:4])}") for example in found["examples"]
    ]
    return [f"Texts under more than one label: {found['texts']} ({found['rows']} rows)", *examples, ""]


def _give_aways(found: dict[str, Any], kind: str) -> list[str | Table]:
    own = found[kind]
    sentence = (
        f"Give-aways: {own['n_items']} {kind} that only one class of train_CLS.tsv has, often. {own['test_rows']} "
        f"test rows have one, and {own['right_where_present']} of these are of its class; a rule on them alone "
        f"reaches {own['rule_accuracy']:.1f}% of all test rows (always the largest class: "
        f"{found['majority_accuracy']:.1f}%)"
    )
    rows = [
        [
            *(" ".join(filter(None, [item["item"], item["codepoint"]])), item["class"]),
            *(f"{item['rows']:,}", f"{item['percent_of_class']:.1f}%"),
        ]
        for item in own["items"][:10]
    ]
    columns = words(kind[:-1], "class") + numbers("rows", "of its rows")
    return [sentence, "", *([Table("", columns, rows)] if rows else [])]


def _unknown_words(found: dict[str, dict[str, float]]) -> Table:
    rows = [[name, *(number(rate, 2) for rate in rates.values())] for name, rates in found.items()]
    columns = words("test file") + numbers("<unk> %", "only in train_CLS.tsv %")
    return Table("Words that the training files lack, in % of the words of each file", columns, rows)


def _oddities(found: dict[str, list[dict[str, Any]]]) -> Table | str:
    rows = [
        [
            name,
            oddity["what"],
            *(None if oddity[key] is None else f"{oddity[key]:,}" for key in ("times", "first_line")),
        ]
        for name, oddities in found.items()
        for oddity in oddities
    ]
    columns = words("file", "what") + numbers("times", "first line")
    return Table("Encoding", columns, rows) if rows else "Encoding: nothing odd\n"


def _left_out(found: list[dict[str, Any]]) -> list[str | Item]:
    """A line for each reason, with how much of each speaker's text."""
    reasons = dict.fromkeys(reason for speaker in found for reason in speaker["counts"])
    lines = [
        f"{reason}: "
        + ", ".join(f"{one['name']} {one['counts'][reason]:,}" for one in found if reason in one["counts"])
        for reason in reasons
    ]
    return ["Left out when the data were made", *(Item("  ", line) for line in lines), ""] if lines else []


def _short(text: str, width: int = 90) -> str:
    text = same_text(text)
    return text if len(text) <= width else text[: width - 3] + "..."
