"""What the terminal shows, to the letter, of a made-up record."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from studies.results import Part1Results, Part2Results
from worlds import MACHINE, ablation, judge, judged, made_up, record, swapped, typed

from dataset import About
from reporting import tables, terminal
from reporting.table import terminal_table

ON = "Computed on: commit 0123456789, PyTorch 2.4.1, Acme 9000, 1 thread a run"


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal of these tests."""
    monkeypatch.setenv("COLUMNS", "80")


def test_the_first_line_names_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["Obama", "Bush, G. W.", "c", "d", "e"]
    about = About(str(tmp_path / "mine"), 2100, 750, 0, names, "f" * 64)
    assert " ".join(terminal.data_line(about).split()) == (
        f"Data: {tmp_path}/mine, 2,100 training and 750 test rows of 5 speakers: Obama, Bush, G. W., c, d, e"
    )
    monkeypatch.chdir(tmp_path)
    assert " ".join(terminal.data_line(replace(about, class_names=[*names, "f", "g"])).split()) == (
        "Data: mine, 2,100 training and 750 test rows of 7 speakers: Obama, Bush, G. W., c, d, e and 2 more"
    )


# -------------------------------------------------------------------------------------------------------------- part 1


TEXTS_OF_ROWS = {7: "A short one.", 1204: f"A long one{' that goes on' * 20}."}


def part1_text(results: dict[str, Any], audit: str) -> str:
    return terminal.part1_text(msgspec.convert(results, Part1Results), audit, TEXTS_OF_ROWS)


@pytest.fixture
def part1() -> dict[str, Any]:
    """The second seed of a classifier."""
    results = made_up()
    run = results["classifier"]["alibi"][1]
    del run["epochs"][3:]
    more: dict[str, Any] = {"n_truncated": {"train": 1012, "test": 7}, "block_size": 32, "vocabulary_size": 5_639}
    more |= {
        "command": "part1",
        "data": results["data"],
        "recipe": "report",
        "label": "report recipe, window 5",
        "baselines": results["baselines"],
        "calibration": {
            "temperature": 5.234,
            "n_rows": 1_328,
            "note": "",
            "as_trained": {
                "bins": [],
                "error": {"all": 38.94, "seen": 12.31, "unseen": 41.16},
                "chance": {"all": 3.04, "seen": 5.21, "unseen": 3.63},
            },
            "calibrated": {
                "bins": [],
                "error": {"all": 4.32, "seen": 31.75, "unseen": 5.08},
                "chance": {"all": 6.04, "seen": 11.56, "unseen": 7.32},
            },
        },
        "mistakes": [
            {"row": 7, "label": "Obama", "prediction": "G. H. W. Bush", "probability": 99.62},
            {"row": 1204, "label": "G. W. Bush", "prediction": "Obama", "probability": 98.04},
        ],
        "total_seconds": 45.67,
    }
    return {**run, **more}


AUDIT = "python main.py data audit --data-dir 'my data'"
PART1 = [
    "Table 1: report recipe, window 5; 401,000 parameters, vocabulary of 5,639 words,",
    "seed 5",
    "epoch  train loss  train accuracy %  test accuracy %",
    "----------------------------------------------------",
    "    1      0.8940             92.28            57.08",
    "    2      0.8330             92.68            57.38",
    "    3      0.7720             93.08            57.68",
    "",
    "test accuracy %                        all (1200)  seen (300)  unseen (900)",
    "---------------------------------------------------------------------------",
    "transformer (report recipe, window 5)       61.28       76.58         55.98",
    "TF-IDF, logistic regression                 54.30       66.90         50.20",
    "TF-IDF, linear SVM                          58.30       70.90         54.20",
    "TF-IDF, naive Bayes                         50.30       62.90         46.20",
    "largest class                               46.30       58.90         42.20",
    "(seen: the row's text appears word for word in train_CLS.tsv)",
    "",
    "class          test rows  precision %  recall %   F1 %",
    "------------------------------------------------------",
    "Obama                390        50.50     54.70  52.20",
    "G. W. Bush           400        57.40     61.60  59.10",
    "G. H. W. Bush        410        64.30     68.50  66.00",
    "mean (macro)           -            -         -  58.30",
    "",
    "confidence - accuracy, points   all  seen  unseen",
    "-------------------------------------------------",
    "as trained                     38.9  12.3    41.2",
    "   by chance up to              3.0   5.2     3.6",
    "at temperature 5.23             4.3  31.8     5.1",
    "   by chance up to              6.0  11.6     7.3",
    "(expected calibration error on the test rows, in 15 bins; the temperature is",
    "fitted on 1,328 training rows that a second model had not learned from; by",
    "chance up to: what probabilities that mean what they say stay below in 19 of 20",
    "samples of so many rows)",
    "",
    "Where it is surest and wrong",
    " row  sure %  said by     taken for      text",
    "--------------------------------------------------------------------------------",
    "   7    99.6  Obama       G. H. W. Bush  A short one.",
    "1204    98.0  G. W. Bush  Obama          A long one that goes on that goes on t…",
    "",
    "Warning: 300 of 1,200 test rows appear in the training file, too. To see them:",
    AUDIT,
    "Cut at 32 tokens: 1,012 training and 7 test rows.",
    "Training steps took 21.1 s in all; this start of the command, 45.7 s.",
    f"{ON}.",
    "",
    "In short: test accuracy 61.3%, on the unseen rows 56.0%; the best opponent,",
    "TF-IDF, linear SVM: 54.2%.",
]


def test_part_1_is_shown_cell_by_cell(part1: dict[str, Any]) -> None:
    assert part1_text(part1, AUDIT).split("\n") == PART1


@pytest.mark.parametrize(("fell_back", "how"), [(True, "fell back to"), (False, "stayed at")])
@pytest.mark.parametrize(("n", "remedy"), [(3, "--epochs 15, as the recipe has it,"), (15, "another --seed,")])
def test_part_1_says_that_a_run_is_at_chance(
    part1: dict[str, Any], fell_back: bool, how: str, n: int, remedy: str
) -> None:
    few = part1["epochs"]
    part1["epochs"] = few * (n // 3)
    lines = part1_text(part1 | {"trained": False, "fell_back": fell_back}, AUDIT).split("\n")
    shown = [line for number, line in enumerate(lines) if not 7 <= number < 4 + n]
    start, end = len(PART1) - 6, len(shown) - 6
    assert (shown[:start], shown[end:]) == (PART1[:-6], PART1[-6:])
    assert " ".join(shown[start:end]) == (
        f"This run {how} chance: it knows no more of its training rows than which class is the largest. With {remedy} "
        "training may succeed."
    )


def test_part_1_says_nothing_of_what_is_not_there(part1: dict[str, Any]) -> None:
    part1["n_truncated"] = {"train": 0, "test": 0}
    part1["test"]["seen"] = {"n": 0, "accuracy": None}
    lines = part1_text(part1, AUDIT).split("\n")
    in_short = ["In short: test accuracy 61.3%; the best opponent, TF-IDF, linear SVM: 58.3%."]
    assert lines[-6:] == [PART1[-10], "", *PART1[-5:-2], *in_short]
    assert "transformer (report recipe, window 5)       61.28         -         55.98" in lines
    part1["n_truncated"] = {"train": 0, "test": 2}
    assert "Cut at 32 tokens: 0 training and 2 test rows." in part1_text(part1, AUDIT)


@pytest.mark.parametrize(
    ("rows", "names"), [(750, ["Obama", "G. W. Bush", "G. H. W. Bush"]), (450, None), (750, "abc")]
)
def test_what_was_published_stands_beside_the_courses_data_alone(
    rows: int, names: list[str] | None, part1: dict[str, Any], part2: dict[str, Any]
) -> None:
    data = part1["data"] | {"test_rows": rows} | ({"class_names": list(names)} if names else {})
    is_course = rows == 750 and names != "abc"
    flowing = " ".join(part1_text(part1 | {"data": data}, AUDIT).split())
    assert ("In short: test accuracy 61.3% (published: 87.8%), on the unseen rows 56.0%;" in flowing) == is_course
    flowing = " ".join(part2_text(part2 | {"data": data}).split())
    in_short = "In short: perplexity 345.0 to 455.0 on the test texts (published: 348.0 to 478.1); the best opponent, "
    assert (in_short in flowing) == is_course
    assert ("published" in flowing) == is_course


def test_part_1_says_why_there_is_no_temperature_and_nothing_of_mistakes_where_there_are_none(
    part1: dict[str, Any],
) -> None:
    same = {
        "bins": [],
        "error": {"all": 38.94, "seen": None, "unseen": 38.94},
        "chance": {"all": 6.04, "seen": None, "unseen": 6.04},
    }
    part1["calibration"] = {"temperature": 1.0, "n_rows": 0, "note": "the classifier is at chance"}
    part1["calibration"] |= {"as_trained": same, "calibrated": same}
    text = part1_text(part1 | {"mistakes": []}, AUDIT)
    assert "as trained                     38.9     -    38.9" in text.split("\n")
    assert "at temperature" not in text
    assert "in 15 bins; probabilities stay as trained, for the classifier is at chance;" in " ".join(text.split())
    assert "surest" not in text


def test_part_1_says_what_it_reads_where_that_is_not_words(part1: dict[str, Any]) -> None:
    part1 |= {"tokenizer": "bpe", "vocabulary_size": 2_000, "label": "report recipe, BPE tokens"}
    text = part1_text(part1, AUDIT)
    lines, flowing = text.split("\n"), " ".join(text.split())
    assert flowing.startswith(
        "Table 1: report recipe, BPE tokens; 401,000 parameters, vocabulary of 2,000 BPE tokens, seed 5 epoch"
    )
    assert "transformer (report recipe, BPE tokens)       61.28       76.58         55.98" in lines
    cut = "Cut at 32 tokens: 1,012 training and 7 test rows. A larger --block-size reads more of them."
    assert cut in flowing


# -------------------------------------------------------------------------------------------------------------- part 2


def part2_text(results: dict[str, Any]) -> str:
    return terminal.part2_text(msgspec.convert(results, Part2Results))


@pytest.fixture
def part2() -> dict[str, Any]:
    """The third seed of two decoders."""
    results = made_up()
    models = [results["decoder"][name][2] for name in ("learned", "ff100")]
    models[0]["iterations"] = models[0]["iterations"][-2:]
    texts = results["ngram_scores"]["ngram"]
    return {
        "command": "part2",
        "data": results["data"],
        "recipe": "report",
        "baselines": {},
        "label": "report recipe, positions alibi",
        "seed": 6,
        "vocabulary_size": 5_639,
        "protocol": models[0]["protocol"],
        "models": models,
        "ngram_scores": results["ngram_scores"],
        "unk_rate": {text: scores["unk_rate"] for text, scores in texts.items()},
        "total_seconds": 234.56,
    }


@pytest.mark.parametrize(
    ("kind", "unit", "measures"),
    [
        ("bpe", "BPE token", ["bits per byte", "perplexity"]),
        ("character", "character", ["bits per byte", "perplexity", "perplexity without <unk>"]),
    ],
)
def test_part_2_leads_with_what_compares_where_tokens_are_not_words(
    kind: str, unit: str, measures: list[str], part2: dict[str, Any]
) -> None:
    scores = part2["ngram_scores"]
    part2["ngram_scores"] = scores if kind == "character" else {"ngram": scores["ngram"]}
    text = part2_text(part2 | {"tokenizer": kind})
    flowing = " ".join(text.split())
    assert f"vocabulary of 5,639 {unit}s" in flowing
    lines = text.split("\n")
    rows = [place for place, line in enumerate(lines) if line.startswith(f"decoder, hidden size 256, {unit}s  ")]
    assert [lines[place - 2].split("  ")[0] for place in rows] == measures
    assert ("<unk>, % of tokens" in text) == (kind == "character")
    spelt = "; bits per byte: 8 bits for each byte of an unknown character" if kind == "character" else ""
    assert f"(every token of each file is scored once{spelt})" in flowing
    assert f"Perplexity is by {unit}; those by word do not compare, and bits per byte do." in flowing


PART2 = [
    "Table 2: perplexity by iteration, report recipe, positions alibi, hidden size",
    "256, 900,000 parameters, vocabulary of 5,639 words, seed 6; non-overlapping",
    "windows of 32 tokens",
    "text      400     500",
    "---------------------",
    "train  180.00  150.00",
    "hbush  456.00  380.00",
    "obama  414.00  345.00",
    "wbush  546.00  455.00",
    "",
    "Table 3: perplexity by iteration, report recipe, positions alibi, hidden size",
    "100, 895,000 parameters, vocabulary of 5,639 words, seed 6; non-overlapping",
    "windows of 32 tokens",
    "text      500",
    "-------------",
    "train  181.20",
    "hbush  400.60",
    "obama  377.00",
    "wbush  489.50",
    "",
    "perplexity                             hbush   obama   wbush",
    "------------------------------------------------------------",
    "decoder, hidden size 256              380.00  345.00  455.00",
    "decoder, hidden size 100              400.60  377.00  489.50",
    "Kneser-Ney trigram                    401.70  299.30  470.60",
    "trigram with the same <unk> estimate  356.10  287.90  428.40",
    "",
    "perplexity without <unk>               hbush   obama   wbush",
    "------------------------------------------------------------",
    "decoder, hidden size 256              304.00  276.00  364.00",
    "decoder, hidden size 100              320.48  301.60  391.60",
    "Kneser-Ney trigram                    321.36  239.44  376.48",
    "trigram with the same <unk> estimate  284.88  230.32  342.72",
    "",
    "bits per byte                         hbush  obama  wbush",
    "---------------------------------------------------------",
    "decoder, hidden size 256              1.900  1.735  2.295",
    "decoder, hidden size 100              2.003  1.895  2.467",
    "Kneser-Ney trigram                    2.008  1.507  2.373",
    "trigram with the same <unk> estimate  1.781  1.449  2.162",
    "",
    "text                hbush  obama  wbush",
    "---------------------------------------",
    "<unk>, % of tokens   1.25   2.25   3.25",
    "(every token of each file is scored once; bits per byte: 8 bits for each byte of",
    "an unknown word and for its end)",
    "",
    "Training steps took 1.8 minutes in all; this start of the command, 3.9 minutes.",
    f"{ON}.",
    "",
    "In short: perplexity 345.0 to 455.0 on the test texts; the best opponent,",
    "trigram with the same <unk> estimate: 287.9 to 428.4.",
]


def test_part_2_is_shown_cell_by_cell(part2: dict[str, Any]) -> None:
    assert part2_text(part2).split("\n") == PART2


def test_part_2_shows_each_text_in_each_voice_and_how_often_bayes_rule_knows_a_speaker(part2: dict[str, Any]) -> None:
    groups = {
        "all": {"n": 4, "accuracy": 62.5},
        "seen": {"n": 0, "accuracy": None},
        "unseen": {"n": 4, "accuracy": 62.5},
    }
    texts = {"hbush": [120.0, 130.5], "obama": [140.0, 99.25]}
    part2["data"] = part2["data"] | {"class_names": ["A", "B"]}
    part2["models"][1]["voices"] = {"perplexity": texts, "test": groups, "predictions": [0, 1, 1, 0]}
    shown = part2_text(part2).split("\n")
    first = shown.index("perplexity in the voice of, hidden size 100   hbush   obama")
    assert shown[first + 2 : first + 6] == [
        "A                                            120.00  140.00",
        "B                                            130.50   99.25",
        "(who said a test row is known by Bayes' rule, from its probability in each",
        "voice, of 62.5% of all, 62.5% of unseen test rows)",
    ]
    assert shown[: first - 1] + shown[first + 6 :] == PART2
    part2["data"]["class_names"] = ["A", "A"]  # two may have the same name
    same = part2_text(part2).split("\n")
    assert same == [
        line.replace("B     ", "A     ") if number == first + 3 else line for number, line in enumerate(shown)
    ]


@pytest.mark.parametrize("columns", [80, 100])
def test_part_2_of_many_texts_and_iterations_fits_the_terminal(
    part2: dict[str, Any], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    names = [f"president_{n}" for n in range(45)]
    for model in part2["models"]:
        last = {"perplexity": dict.fromkeys(["train", *names], 1234.5)}
        model["iterations"] = [{"iteration": 1000 + n, "train_loss": 1.0} | last for n in range(20)]
        model["scores"] = dict.fromkeys(names, model["scores"]["obama"])
    part2["unk_rate"] = dict.fromkeys(names, 3.21)
    part2["ngram_scores"] = {
        key: dict.fromkeys(names, scores["obama"]) for key, scores in part2["ngram_scores"].items()
    }
    text = part2_text(part2)
    assert columns - 20 < max(map(len, text.split("\n"))) <= columns
    assert text.count("1,234.50") == 2 * 46 * 20


def test_part_2_says_where_its_models_come_from(part2: dict[str, Any]) -> None:
    part2["models"][1]["machine"]["torch"] = "2.5.0"
    assert part2_text(part2).split("\n")[-7:-3] == [
        f"{ON}; and",
        "commit 0123456789, PyTorch 2.5.0, Acme 9000, 1 thread a run.",
        "A mixture: these runs come from different PyTorch versions (2.4.1, 2.5.0), which",
        "change results like a seed does.",
    ]


# -------------------------------------------------------------------------------------------------------------- part 3


def test_part_3_shows_its_tables_and_then_its_verdicts_with_their_parts() -> None:
    results = made_up()
    results["claims"] = [one for one in judge(results) if one["id"] in ("C9", "C13")]
    lines = typed(terminal.part3_text(record(results))).split("\n")
    start = lines.index("Verdicts")
    assert lines[start:] == [
        "Verdicts",
        "C9   HOLDS           ALiBi lowers train and all test perplexities",
        "       train  -8.0 [-8.2, -7.8] %",
        "       hbush  -8.0 [-8.2, -7.8] %",
        "       obama  -10.0 [-10.2, -9.8] %",
        "       wbush  -12.0 [-12.2, -11.8] %",
        "       Mean change of test perplexity against learned positions: ALiBi -10.0%,",
        "       no positions at all -4.8%. No positions at all give 48% of ALiBi's gain:",
        "       that part is not due to ALiBi.",
        "C13  DOES NOT HOLD   0.2 is the best dropout rate of 0.2 .. 0.5",
        "       against 0.3  -2.2 [-2.5, -1.9] points",
        "       against 0.4  -1.5 [-2.2, -0.8] points",
        "       against 0.5  +1.9 [+0.9, +2.9] points",
        "       Highest mean validation accuracy: dropout 0.3.",
        "",
        "It took 90.5 minutes. Computed on: commit 0123456789, PyTorch 2.4.1, Acme 9000,",
        "1 thread a run.",
    ]
    shown = "".join(terminal_table(table, 80) + "\n\n" for table in tables.part3(record(results)))
    assert "\n".join(lines[:start]) + "\n" == typed(shown)
    assert max(map(len, lines)) <= 80
    one_seed = terminal.part3_text(record(results | {"seeds": [4]})).split("\n")
    assert one_seed[-5:-2] == [
        "One seed gives no intervals, so nothing can be judged: --seeds 5 tells which",
        "differences are real.",
        "",
    ]
    mixed = terminal.part3_text(record(results | {"machines": [MACHINE, MACHINE | {"torch": "2.5.0"}]})).split("\n")
    assert mixed[-2].startswith("A mixture: these runs come from different PyTorch versions (2.4.1, 2.5.0)")
    judgement = {"id": "C1", "verdict": "cannot tell", "claim": "little", "note": "", "rule": "", "parts": []}
    bare = terminal.part3_text(record(results | {"claims": [judgement], "halves": []}))
    assert bare.split("\n")[:3] == ["Verdicts", "C1   CANNOT TELL     little", ""]


def test_the_terminal_shows_a_better_variant_as_better_and_with_the_two_swapped_as_worse() -> None:
    results = made_up()

    def shown(results: dict[str, Any]) -> str:
        return re.sub(r"\n +", " ", typed(terminal.part3_text(record(results))))  # a sentence in one line

    better, worse = shown(judged(results)), shown(swapped(results, "learned", "alibi"))
    for verdict, text in (("HOLDS        ", better), ("DOES NOT HOLD", worse)):
        assert f"C7   {verdict}   ALiBi shortens the classifier's training by 14%" in text
        assert f"C8   {verdict}   ALiBi shortens the decoder's training by 11.5%" in text
        assert f"C9   {verdict}   ALiBi lowers train and all test perplexities" in text
    for here, there in (  # 310.5 is 10.0% less than 345, and 345 is 11.1% more than 310.5
        ("obama  -10.0 [-10.2, -9.8] %", "obama  +11.1 [+10.8, +11.4] %"),
        ("training time  -14.0 [-16.5, -11.3] %", "training time  +16.2 [+12.8, +19.8] %"),
        ("test accuracy  +0.6 [+0.6, +0.6] points", "test accuracy  -0.6 [-0.6, -0.6] points"),
        ("ALiBi -10.0%, no positions at all -4.8%.", "ALiBi +11.1%, no positions at all +5.8%."),
    ):
        assert here in better
        assert there not in better
        assert there in worse
        assert here not in worse


def test_the_ablation_is_shown_task_by_task_as_far_as_it_went() -> None:
    variants = {"the recipe": [62.0, 64.0, 63.0], "no x": [60.0, 61.0, 62.0]}
    results = ablation(range(3), classifier=variants, decoder=variants)
    text = terminal.ablation_text(msgspec.structs.replace(results, total_seconds=123.4))
    assert text.index("Ablation of the best classifier\n") < text.index("Ablation of the best decoder\n")
    assert text.count("63.0 ± 1.0") == text.count("61.0 ± 1.0") == 2
    assert text.endswith("\nIt took 2.1 minutes.")
