"""What an audit of a data folder found, as a person reads it."""

from typing import Any

from dataset import same_text
from reporting.table import text_table


def render(found: dict[str, Any]) -> str:
    """What `audit` found, as a page of text tables, the verdict last."""
    parts = [f"Audit of {found['directory']}"]
    header = [
        "file",
        "lines",
        "words",
        "mean",
        "median",
        "longest",
        f"over {found['block_size']}",
        "copies",
        "near copies",
    ]
    rows = [
        [
            *(name, size["lines"], size["words"], size["mean_length"], size["median_length"], size["longest"]),
            *(f"{size['truncated_percent']:.1f}%", found["inside"][name]["exact"], found["inside"][name]["near"]),
        ]
        for name, size in found["files"].items()
    ]
    parts += ["Sizes (lengths in words), and copies inside each file", text_table(header, rows)]
    header = ["label", "name", "train rows", "train %", "test rows", "test %"]
    parts += ["Classes", text_table(header, [list(row.values()) for row in found["classes"]])]
    header = ["test file", "training file", "test lines", "exact copies", "near copies"]
    rows = [[row[key] for key in ("test", "train", "rows", "exact", "near")] for row in found["between"]]
    copied = [row for row in rows if row[-1] or row[-2]]
    parts.append("Test lines of which a copy appears in a training file" + ("" if copied else ": none"))
    parts += [text_table(header, copied)] if copied else []
    for row in found["between"]:
        for example in row["examples"][:2]:
            parts.append(
                f"  {row['test']}:{example['line']} {_short(example['text'])}\n"
                f"  {row['train']}:{example['train_line']} {_short(example['train_text'])} ({example['share']:.0%})"
            )
    contradictions = found["contradictions"]
    parts.append(f"Texts under more than one label: {contradictions['texts']} ({contradictions['rows']} rows)")
    for example in contradictions["examples"]:
        parts.append(f"  {_short(example['text'])}: {', '.join(example['places'][:4])}")
    give_aways = found["give_aways"]
    for kind in ("characters", "words"):
        own = give_aways[kind]
        parts.append(
            f"Give-aways: {own['n_items']} {kind} that only one class of train_CLS.tsv has, often. {own['test_rows']} "
            f"test rows have one, and {own['right_where_present']} of these are of its class; a rule on them alone "
            f"reaches {own['rule_accuracy']:.1f}% of all test rows (always the largest class: "
            f"{give_aways['majority_accuracy']:.1f}%)"
        )
        rows = [
            [item["item"] if item["codepoint"] is None else f"{item['item']} {item['codepoint']}", item["class"]]
            + [item["rows"], f"{item['percent_of_class']:.1f}%"]
            for item in own["items"][:10]
        ]
        if rows:
            parts.append(text_table([kind[:-1], "class", "rows", "of its rows"], rows))
    header = ["test file", "<unk> %", "only in train_CLS.tsv %"]
    rows = [[name, *rates.values()] for name, rates in found["unknown_words"].items()]
    parts += ["Words that the training files lack, in % of the words of each file", text_table(header, rows)]
    rows = [
        [name, oddity["what"], oddity["times"], oddity["first_line"]]
        for name, oddities in found["encoding"].items()
        for oddity in oddities
    ]
    parts.append("Encoding: nothing odd")
    if rows:
        parts[-1:] = ["Encoding", text_table(["file", "what", "times", "first line"], rows)]
    if reasons := _left_out(found["left_out"]):
        parts.append("\n  ".join(["Left out when the data were made", *reasons]))
    if found["changed_since_built"]:
        parts.append(f"Changed since the manifest was written: {', '.join(found['changed_since_built'])}")
    verdict = "LEAKAGE: test lines appear in training files" if found["has_leakage"] else "No leakage found"
    return "\n\n".join([*parts, "\n  ".join([verdict, *found["leaks"]])])


def _left_out(found: list[dict[str, Any]]) -> list[str]:
    """A line for each reason, with how much of each speaker's text."""
    reasons = dict.fromkeys(reason for speaker in found for reason in speaker["counts"])
    return [
        f"{reason}: "
        + ", ".join(f"{one['name']} {one['counts'][reason]:,}" for one in found if reason in one["counts"])
        for reason in reasons
    ]


def _short(text: str, width: int = 90) -> str:
    text = same_text(text)
    return text if len(text) <= width else text[: width - 3] + "..."
