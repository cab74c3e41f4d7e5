"""What the audit of a data folder finds, as audit.json holds it. Shares are in percent."""

from msgspec import field

from common.records import Record
from dataset import MadeSpeaker


class Sizes(Record, frozen=True):
    """A file's lines, in words, and how many of them are longer than the block."""

    lines: int
    words: int
    mean_length: float
    median_length: float
    longest: int
    truncated: int
    truncated_percent: float


class ClassRows(Record, frozen=True):
    """How many rows of each file a class has."""

    label: str
    name: str
    train: int
    train_percent: float
    test: int
    test_percent: float


class Copy(Record, frozen=True):
    """A test line, and the training line that is the most like it."""

    line: int
    text: str
    train_line: int
    train_text: str
    share: float  # of the test line's words, from 0 to 1


class Between(Record, frozen=True):
    """How many lines of a test file have a copy or near copy in a training file, and some of them."""

    test: str
    train: str
    rows: int  # of the test file
    exact: int
    near: int
    examples: list[Copy]


class Inside(Record, frozen=True):
    """Lines that repeat an earlier line of their file, and lines, without these, that nearly copy another."""

    exact: int
    near: int


class Contradiction(Record, frozen=True):
    """A text that stands under more than one label, and where: "train_CLS.tsv:3 says 1"."""

    text: str
    places: list[str]


class Contradictions(Record, frozen=True):
    """How many texts stand under more than one label, in how many rows, and some of them."""

    texts: int
    rows: int
    examples: list[Contradiction]


class GiveAway(Record, frozen=True):
    """A character or word that only one class has, in how many of its training rows."""

    item: str
    class_name: str = field(name="class")
    rows: int
    percent_of_class: float
    codepoint: str | None  # of a character


class Rule(Record, frozen=True):
    """All the give-aways of a kind, and what a rule on them alone reaches on the test rows: a row that has one is of
    its class, every other row of the class that is most frequent among the training rows that have none."""

    n_items: int
    items: list[GiveAway]  # the most frequent
    test_rows: int  # for which it speaks
    right_where_present: int  # of these
    rule_accuracy: float  # of all


class GiveAways(Record, frozen=True):
    """Characters and words that only one class of train_CLS.tsv has, in at least 1% of its rows (and 5 of them)."""

    majority_accuracy: float
    characters: Rule
    words: Rule


class Unknown(Record, frozen=True):
    """Of a test file's words: <unk>, and those that only train_CLS.tsv has, not train_LM.txt."""

    unk_percent: float
    only_train_CLS_percent: float


class Oddity(Record, frozen=True):
    """What may make text differ for no good reason: how often, and the first line; None where that says nothing."""

    what: str
    times: int | None
    first_line: int | None


class Findings(Record, frozen=True):
    """All that an audit finds."""

    directory: str
    block_size: int
    has_leakage: bool
    leaks: list[str]  # a sentence for each way in which test material stands in training files
    doubt: str | None  # why the files may not be all
    changed_since_built: list[str]  # files whose SHA-256 is not the one in the manifest
    left_out: list[MadeSpeaker]
    files: dict[str, Sizes]
    classes: list[ClassRows]
    between: list[Between]
    inside: dict[str, Inside]
    contradictions: Contradictions
    give_aways: GiveAways
    unknown_words: dict[str, Unknown]
    encoding: dict[str, list[Oddity]]
