"""What the report published, measured on the data of its course, and which data it may stand beside."""

from collections.abc import Iterable, Sequence

from speechesdataset.folder import DEFAULT_NAMES, DEFAULT_TESTS, About, Corpus
from studies.answers import Answers

THE_REPORT = (
    'The report is a course report: "Programming Assignment 2", CSE 256, UC San Diego. Its encoder and '
    "classifier tell which of three presidents said something, its decoder predicts each next word of what they said, "
    "and it tries ALiBi and regularization on both."
)
REPORT_SENTENCE = "These virtues give me an unshakable faith in America"

PUBLISHED_ACCURACY = [  # on the test rows, by epoch
    *(33.33, 56.8, 60.53, 78.4, 84.4),
    *(85.47, 84.93, 86.67, 87.07, 87.13),
    *(87.73, 87.2, 86.4, 87.87, 87.8),
]
PUBLISHED_TEST_ROWS = 750
PUBLISHED_TRAIN_ACCURACY, PUBLISHED_REGULARIZED_ACCURACY = 99.66, 89.67
PUBLISHED_LOSSES = [1.0675, 0.0144]  # first and last epoch
PUBLISHED_PARAMETERS = {"classifier": 576_339, "decoder 256": 943_611, "decoder 100": 863_115}
PUBLISHED_PERPLEXITY = {
    256: {
        "train": [575.3, 382.9, 266.1, 197.4, 154.2],
        "obama": [693.1, 516.2, 417.7, 363.1, 348.0],
        "hbush": [721.7, 549.1, 458.2, 430.3, 408.3],
        "wbush": [808.4, 621.8, 525.0, 483.0, 478.1],
    },
    100: {"train": [180.9], "obama": [382.8], "hbush": [417.1], "wbush": [490.9]},  # iteration 500 only
}
PUBLISHED_SECONDS = {
    "classifier": {"learned": 25.31, "alibi": 21.77},
    "decoder": {"learned": 35.66, "alibi": 31.55},
}


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


def on_courses_data(data: About) -> bool:
    """Whether what was published may stand alone beside one run: the data that are built have other test rows."""
    return data.class_names == DEFAULT_NAMES and data.test_rows == PUBLISHED_TEST_ROWS
