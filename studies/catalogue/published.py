"""What the report published, measured on the data of its course, and which data it may stand beside."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from speechesdataset.folder import DEFAULT_NAMES, DEFAULT_TESTS, Corpus
from studies.answers import Answers

THE_REPORT = (
    'The report is a course report: "Programming Assignment 2", CSE 256, UC San Diego. Its encoder and '
    "classifier tell which of three presidents said something, its decoder predicts each next word of what they said, "
    "and it tries ALiBi and regularization on both."
)
REPORT_SENTENCE = "These virtues give me an unshakable faith in America"

PUBLISHED_TEST_ROWS = 750


@dataclass(frozen=True)
class Published:
    """What the report says of one of its models."""

    n_parameters: int  # at a vocabulary of 5,755 words
    reached: Mapping[str, Sequence[float]]  # by subset: at each epoch, or every 100 iterations; or at the end alone


_CLASSIFIER = Published(
    576_339,
    {
        "all": [
            *(33.33, 56.8, 60.53, 78.4, 84.4),
            *(85.47, 84.93, 86.67, 87.07, 87.13),
            *(87.73, 87.2, 86.4, 87.87, 87.8),
        ]
    },
)
_DECODER = Published(
    943_611,
    {
        "train": [575.3, 382.9, 266.1, 197.4, 154.2],
        "obama": [693.1, 516.2, 417.7, 363.1, 348.0],
        "hbush": [721.7, 549.1, 458.2, 430.3, 408.3],
        "wbush": [808.4, 621.8, 525.0, 483.0, 478.1],
    },
)
_NARROW = Published(863_115, {"train": [180.9], "obama": [382.8], "hbush": [417.1], "wbush": [490.9]})
PUBLISHED: Mapping[str, Mapping[str, Published]] = {  # by question and variant
    "classifier": {
        **dict.fromkeys(("classifier", "learned", "original"), _CLASSIFIER),
        "batch-norm-dropout-0.2": Published(576_539, {"all": [89.67]}),
    },
    "decoder": {"learned": _DECODER, "ff256": _DECODER, "ff100": _NARROW},
}
PUBLISHED_LOSSES = "Published: training loss from 1.0675 to 0.0144, training accuracy 99.66% at the end."
PUBLISHED_DURATION = {"classifier": 15, "decoder": 500}  # epochs, iterations
PUBLISHED_SECONDS = {  # of a training
    "classifier": {"learned": 25.31, "alibi": 21.77},
    "decoder": {"learned": 35.66, "alibi": 31.55},
}


def published(answers: Answers, question: str, variant: str) -> Published | None:
    """What the report published of a variant, if that may stand beside these answers."""
    of_variant = PUBLISHED.get(question, {}).get(variant)
    is_reports = answers.recipe == "report" and answers.tokenizer == "word" and may_be_compared(answers)
    if of_variant is None or not is_reports:
        return None
    run: Any = answers.runs(question)[variant][0]
    last = run.epochs[-1].epoch if question == "classifier" else run.iterations[-1].iteration
    return of_variant if last == PUBLISHED_DURATION[question] else None


def may_be_compared(answers: Answers) -> bool:
    """Whether what the report published may stand beside these answers: over several seeds, on texts of its speakers;
    beside a single run only on its own data, for the data that are built have other test rows."""
    data = answers.data
    if answers.command in ("part3", "report"):
        return on_reports_speakers(answers)
    is_its_own = data.class_names == DEFAULT_NAMES and data.test_rows == PUBLISHED_TEST_ROWS
    return answers.command in ("part1", "part2") and is_its_own


def on_reports_speakers(answers: Answers) -> bool:
    """Whether the data are of the report's speakers, so that what it published may stand beside the answers.

    They are told by the names of the classes and of the test texts, which the course's own data and those that are
    built have, and other people's texts have not. A fingerprint knows one edition of the files, and neither the third
    of them that --quick reads, nor a fold, nor the course's data with other line ends.
    """
    return are_reports(answers.data.class_names, answers.test_names)


def are_reports(class_names: Sequence[str], test_names: Iterable[str]) -> bool:
    """Whether these are the names of the report's speakers and test texts."""
    return list(class_names) == DEFAULT_NAMES and set(test_names) == set(DEFAULT_TESTS)


def sentence_of(corpus: Corpus) -> str:
    """The sentence whose attention is drawn: the report's, or, where its words may be unknown, as in other people's
    texts, the start of the first test row."""
    if are_reports(corpus.class_names, corpus.test_texts):
        return REPORT_SENTENCE
    return " ".join(corpus.test[0].text.split()[: len(REPORT_SENTENCE.split())])
