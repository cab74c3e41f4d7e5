"""What the terminal shows, to the letter, of a made-up record."""

from typing import Any

import pytest
from worlds import MACHINE, judged, made_up, swapped, typed

from reporting import tables, terminal
from reporting.table import Table, plain, text_table
from studies.claims import judge

ON = "Computed on: commit 0123456789, PyTorch 2.4.1, Acme 9000, 1 thread a run"


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_stand_to_the_right() -> None:
    rows: list[list[Any]] = [["a", 1.005, 12345], ["longer", None, "text"], ["b", -1234.5, 7]]
    assert text_table(["name", "value", "n"], rows).split("\n") == [
        "name        value       n",
        "-------------------------",
        "a            1.00  12,345",
        "longer          -    text",
        "b       -1,234.50       7",
    ]
    assert text_table(["x", "y"], [["a", 2.0]], digits=3).split("\n") == ["x      y", "--------", "a  2.000"]


# -------------------------------------------------------------------------------------------------------------- part 1


@pytest.fixture
def part1() -> dict[str, Any]:
    """The second seed of a classifier."""
    results = made_up()
    record = results["classifier"]["alibi"][1]
    del record["epochs"][3:]
    more = {"n_truncated": {"train": 1012, "test": 7}, "block_size": 32, "vocabulary_size": 5_639}
    return {"recipe": "report", **record, **more, "baselines": results["baselines"], "total_seconds": 45.67}


PART1 = [
    "Table 1: 401,000 parameters, vocabulary of 5,639 words, seed 5",
    "epoch  train loss  train accuracy %  test accuracy %",
    "----------------------------------------------------",
    "1          0.8940             92.28            57.08",
    "2          0.8330             92.68            57.38",
    "3          0.7720             93.08            57.68",
    "",
    "test accuracy %              all (1200)  seen (300)  unseen (900)",
    "-----------------------------------------------------------------",
    "transformer (report recipe)       61.28       76.58         55.98",
    "TF-IDF, logistic regression       54.30       66.90         50.20",
    "TF-IDF, linear SVM                58.30       70.90         54.20",
    "TF-IDF, naive Bayes               50.30       62.90         46.20",
    "largest class                     46.30       58.90         42.20",
    "(seen: the row's text appears word for word in train_CLS.tsv)",
    "",
    "class          test rows  precision %  recall %   F1 %",
    "------------------------------------------------------",
    "Obama                390        50.50     54.70  52.20",
    "G. W. Bush           400        57.40     61.60  59.10",
    "G. H. W. Bush        410        64.30     68.50  66.00",
    "mean (macro)           -            -         -  58.30",
    "",
    "Warning: 300 of 1,200 test rows appear in the training file, too; `python main.py data audit` with the same "
    "--data-dir shows them.",
    "Cut at 32 tokens: 1,012 training and 7 test rows.",
    "Training took 21.1 s of 45.7 s.",
    f"{ON}.",
]


def test_part_1_is_shown_cell_by_cell(part1: dict[str, Any]) -> None:
    assert terminal.part1_text(part1).split("\n") == PART1


@pytest.mark.parametrize(("fell_back", "how"), [(True, "fell back to"), (False, "stayed at")])
def test_part_1_says_that_a_run_is_at_chance(part1: dict[str, Any], fell_back: bool, how: str) -> None:
    lines = terminal.part1_text(part1 | {"trained": False, "fell_back": fell_back}).split("\n")
    assert lines == [
        *PART1[:-3],
        f"This run {how} chance: it knows no more of its training rows than which class is the largest. With another "
        "--seed, training may succeed.",
        *PART1[-3:],
    ]


def test_part_1_says_nothing_of_what_is_not_there(part1: dict[str, Any]) -> None:
    part1["n_truncated"] = {"train": 0, "test": 0}
    part1["test"]["seen"] = {"n": 0, "accuracy": None}
    lines = terminal.part1_text(part1).split("\n")
    assert lines[-4:] == ["mean (macro)           -            -         -  58.30", "", *PART1[-2:]]
    assert "transformer (report recipe)       61.28         -         55.98" in lines
    part1["n_truncated"] = {"train": 0, "test": 2}
    assert "Cut at 32 tokens: 0 training and 2 test rows." in terminal.part1_text(part1)


def test_part_1_says_what_it_reads_where_that_is_not_words(part1: dict[str, Any]) -> None:
    lines = terminal.part1_text(part1 | {"tokenizer": "bpe", "vocabulary_size": 2_000}).split("\n")
    assert lines[0] == "Table 1: 401,000 parameters, vocabulary of 2,000 BPE tokens, seed 5"
    assert "transformer (report recipe, BPE tokens)       61.28       76.58         55.98" in lines
    cut = "Cut at 32 tokens: 1,012 training and 7 test rows. A larger --block-size reads more of them."
    assert cut in lines


# -------------------------------------------------------------------------------------------------------------- part 2


@pytest.fixture
def part2() -> dict[str, Any]:
    """The third seed of two decoders."""
    results = made_up()
    models = [results["decoder"][name][2] for name in ("learned", "ff100")]
    models[0]["iterations"] = models[0]["iterations"][-2:]
    texts = results["ngram_scores"]["ngram"]
    return {
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
    text = terminal.part2_text(part2 | {"tokenizer": kind})
    assert f"vocabulary of 5,639 {unit}s" in text
    headers = [line.split("  ") for line in text.split("\n") if "Kneser-Ney" in line]
    assert [header[0] for header in headers] == measures
    assert all(f"decoder, hidden size 256, {unit}s" in header for header in headers)
    assert ("<unk>, % of tokens" in text) == (kind == "character")
    assert f"Perplexity is by {unit}; those by word do not compare, and bits per byte do." in text.split("\n")


MODELS = "decoder, hidden size 256 decoder, hidden size 100 Kneser-Ney trigram trigram with the same <unk> estimate"
PART2 = [  # with one space for several
    "Table 2: perplexity by iteration, hidden size 256, 900,000 parameters, vocabulary of 5,639 words, seed 6; "
    "non-overlapping windows of 32 tokens",
    "text 400 500",
    "train 180.00 150.00",
    "hbush 456.00 380.00",
    "obama 414.00 345.00",
    "wbush 546.00 455.00",
    "",
    "Table 3: perplexity by iteration, hidden size 100, 895,000 parameters, vocabulary of 5,639 words, seed 6; "
    "non-overlapping windows of 32 tokens",
    "text 500",
    "train 181.20",
    "hbush 400.60",
    "obama 377.00",
    "wbush 489.50",
    "",
    f"perplexity {MODELS}",
    "hbush 380.00 400.60 401.70 356.10",
    "obama 345.00 377.00 299.30 287.90",
    "wbush 455.00 489.50 470.60 428.40",
    "",
    f"perplexity without <unk> {MODELS}",
    "hbush 304.00 320.48 321.36 284.88",
    "obama 276.00 301.60 239.44 230.32",
    "wbush 364.00 391.60 376.48 342.72",
    "",
    f"bits per byte {MODELS}",
    "hbush 1.900 2.003 2.008 1.781",
    "obama 1.735 1.895 1.507 1.449",
    "wbush 2.295 2.467 2.373 2.162",
    "",
    "text <unk>, % of tokens",
    "hbush 1.25",
    "obama 2.25",
    "wbush 3.25",
    "(every token of each file is scored once; bits per byte: 8 bits for each byte of an unknown word and its end)",
    "Training took 105.4 s of 234.6 s.",
    f"{ON}.",
]


def test_part_2_is_shown_cell_by_cell(part2: dict[str, Any]) -> None:
    lines = [" ".join(line.split()) for line in terminal.part2_text(part2).split("\n")]
    assert [line for line in lines if not line.startswith("---")] == PART2


def test_part_2_says_where_its_models_come_from(part2: dict[str, Any]) -> None:
    part2["models"][1]["machine"]["torch"] = "2.5.0"
    assert terminal.part2_text(part2).split("\n")[-2:] == [
        f"{ON}; and commit 0123456789, PyTorch 2.5.0, Acme 9000, 1 thread a run.",
        "A mixture: these runs come from different PyTorch versions (2.4.1, 2.5.0), which change results like a seed "
        "does.",
    ]


# -------------------------------------------------------------------------------------------------------------- part 3


def test_part_3_shows_its_tables_and_then_its_verdicts_with_their_parts() -> None:
    results = made_up()
    results["claims"] = [one for one in judge(results) if one["id"] in ("C9", "C13")]
    lines = typed(terminal.part3_text(results)).split("\n")
    start = lines.index("Verdicts")
    assert lines[start:] == [
        "Verdicts",
        "C9   HOLDS           ALiBi lowers train and all test perplexities",
        "       train  -8.0 [-8.2, -7.8] %",
        "       hbush  -8.0 [-8.2, -7.8] %",
        "       obama  -10.0 [-10.2, -9.8] %",
        "       wbush  -12.0 [-12.2, -11.8] %",
        "       Mean change of test perplexity against learned positions: ALiBi -10.0%, no positions at all -4.8%. "
        "No positions at all give 48% of ALiBi's gain: that part is not due to ALiBi.",
        "C13  DOES NOT HOLD   0.2 is the best dropout rate of 0.2 .. 0.5",
        "       against 0.3  -2.2 [-2.5, -1.9] points",
        "       against 0.4  -1.5 [-2.0, -1.0] points",
        "       against 0.5  +1.9 [+1.1, +2.7] points",
        "       Highest mean validation accuracy: dropout 0.3.",
        "",
        f"It took 5432.0 s in all. {ON}.",
    ]
    assert "\n".join(lines[:start]) == typed("\n".join(plain(table) for table in tables.part3(results)))
    one_seed = terminal.part3_text(results | {"seeds": [4]}).split("\n")
    assert one_seed[-3:-1] == [
        "One seed gives no intervals, so nothing can be judged: --seeds 5 tells which differences are real.",
        "",
    ]
    mixed = terminal.part3_text(results | {"machines": [MACHINE, MACHINE | {"torch": "2.5.0"}]}).split("\n")
    assert mixed[-1].startswith("A mixture: these runs come from different PyTorch versions (2.4.1, 2.5.0)")
    judgement = {"id": "C1", "verdict": "cannot tell", "claim": "little", "note": "", "parts": []}
    bare = terminal.part3_text(results | {"claims": [judgement], "halves": []})
    assert bare.split("\n")[:3] == ["Verdicts", "C1   CANNOT TELL     little", ""]


def test_a_table_is_shown_with_its_title_above_and_its_note_below() -> None:
    table = Table("A title", ["name", "value"], [["a", "1.5"], ["b", None]], "A note.")
    assert plain(table) == "A title\nname  value\n-----------\na       1.5\nb         -\n(A note.)\n"
    assert plain(Table("A title", ["name"], [["same"]])) == "A title\nname\n----\nsame\n"


def test_the_terminal_shows_a_better_variant_as_better_and_with_the_two_swapped_as_worse() -> None:
    results = made_up()

    def shown(results: dict[str, Any]) -> str:
        return typed(terminal.part3_text(results))

    better, worse = shown(judged(results)), shown(swapped(results, "learned", "alibi"))
    for verdict, text in (("HOLDS        ", better), ("DOES NOT HOLD", worse)):
        assert f"C7   {verdict}   ALiBi shortens the classifier's training by 14%" in text
        assert f"C8   {verdict}   ALiBi shortens the decoder's training by 11.5%" in text
        assert f"C9   {verdict}   ALiBi lowers train and all test perplexities" in text
    for here, there in (  # 310.5 is 10.0% less than 345, and 345 is 11.1% more than 310.5
        ("obama  -10.0 [-10.2, -9.8] %", "obama  +11.1 [+10.8, +11.4] %"),
        ("training time  -14.0 [-16.7, -11.1] %", "training time  +16.2 [+12.5, +20.1] %"),
        ("test accuracy  +0.6 [+0.5, +0.7] points", "test accuracy  -0.6 [-0.7, -0.5] points"),
        ("ALiBi -10.0%, no positions at all -4.8%.", "ALiBi +11.1%, no positions at all +5.8%."),
    ):
        assert here in better
        assert there not in better
        assert there in worse
        assert here not in worse


def test_the_ablation_is_shown_task_by_task_as_far_as_it_went() -> None:
    row = {"variant": "the recipe", "values": [62.0, 64.0, 63.0], "estimate": None}
    rows = [
        row | {"task": "classifier", "measure": "accuracy", "unit": "points"},
        row | {"task": "decoder", "measure": "perplexity", "unit": "ratio"},
    ]
    results: dict[str, Any] = {"rows": rows, "seeds": [0, 1, 2], "machines": [MACHINE], "total_seconds": 123.4}
    text = terminal.ablation_text(results)
    assert text.index("Ablation of the best classifier\n") < text.index("Ablation of the best decoder\n")
    assert "the recipe       63.0 ± 1.0       -" in text
    assert text.endswith("\nIt took 2.1 minutes.")
