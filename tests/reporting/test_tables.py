"""Every table, cell by cell: what the made-up record was planted with, and what was published, stands where it must."""

from statistics import stdev
from typing import Any

import msgspec
import pytest
from studies.results import Exploration, JudgedPart, Judgement
from studies.study import POSITIONS
from worlds import (
    DISTANCE,
    ENTROPY,
    MACHINE,
    NGRAM,
    PADDING,
    PERPLEXITY,
    RELATIVE_DISTANCE,
    RELATIVE_ENTROPY,
    SECONDS,
    TEST_ACCURACY,
    TEXTS,
    TRAIN_ACCURACY,
    by_seed,
    estimate,
    judge,
    machine,
    made_up,
    number,
    of_others,
    percent,
    points,
    record,
    seeds,
    spread,
    typed,
)

from evaluation.statistics import Estimate
from reporting import documents, table, tables
from reporting.table import Table
from training.records import LanguageScores

OVER_SEEDS = "mean ± standard deviation over 3 seeds"
NAMES = {"learned": "learned positions", "alibi": "ALiBi", "none": "no positions", "alibi-steep": "ALiBi, slopes x 8"}
REGULARIZED = {
    "original": "original",
    "batch-norm": "batch norm",
    **{f"dropout-{rate}": f"dropout {rate}" for rate in (0.2, 0.3, 0.4, 0.5)},
    **{f"batch-norm-dropout-{rate}": f"batch norm + dropout {rate}" for rate in (0.2, 0.3, 0.4, 0.5)},
}


@pytest.fixture
def results() -> dict[str, Any]:
    return made_up()


def cells(table: Table) -> list[list[str | None]]:
    """The rows of a table as one types them."""
    return [[cell and typed(cell) for cell in row] for row in table.rows]


def compare(table: Table, title: str, header: list[str], rows: list[list[str | None]], note: str) -> None:
    """The table is this one, whole."""
    assert cells(table) == rows
    assert (table.title, list(table.header), table.note) == (title, header, note)
    assert all(len(row) == len(header) for row in rows)


# ------------------------------------------------------------------------------------------------------------- numbers


def test_numbers_are_written_as_people_write_them() -> None:
    assert table.number(-1234.56) == "\N{MINUS SIGN}1,234.6"
    assert table.number(1234.5678, 3) == "1,234.568"
    assert [typed(table.number(value, sign=True)) for value in (2.0, -2.0, -0.04)] == ["+2.0", "-2.0", "+0.0"]
    assert [typed(table.number(-0.04, digits)) for digits in (1, 2)] == ["0.0", "-0.04"]
    assert table.spread([1.0, 3.0]) == "2.0 ± 1.4"
    assert table.spread([1.0, 3.0], 3) == "2.000 ± 1.414"
    assert table.spread([2.0]) == "2.0"


@pytest.mark.parametrize(
    ("unit", "bare", "expected"),
    [
        ("ratio", False, "-14.0 [-15.0, -12.9] %"),
        ("ratio", True, "-14.0 [-15.0, -12.9]"),
        ("points", False, "+0.9 [+0.8, +0.9] points"),
        ("points", True, "+0.9 [+0.8, +0.9]"),
        ("%", False, "0.9 [0.8, 0.9] %"),
        ("tokens", False, "+0.86 [+0.85, +0.87] tokens"),
        ("\N{MULTIPLICATION SIGN}", False, "0.86 [0.85, 0.87] x"),
    ],
)
def test_an_effect_stands_with_its_interval_and_unit(unit: str, bare: bool, expected: str) -> None:
    assert typed(table.effect(estimate(0.86, 0.8499, 0.871), unit, bare)) == expected
    alone = table.effect(estimate(0.86), unit, bare)
    assert typed(alone) == expected.split(" [")[0] + expected.split("]")[1]


def test_a_ratio_above_one_is_a_rise() -> None:
    assert table.effect(estimate(1.5, 1.25, 2.0), "ratio") == "+50.0 [+25.0, +100.0] %"


def test_what_computed_a_record_is_told_and_a_mixture_is_warned_of() -> None:
    here = machine()
    other = machine(commit="fedcba9876543210", dirty=True, processor="Acme 8000", threads=2, processes=3)
    assert tables.commit(here) == "0123456789"
    assert tables.commit(machine(commit=None)) == "unknown"
    assert tables.commit(other) == "fedcba9876 with uncommitted changes (code c0dec0dec0dec0de)"
    assert tables.threads([here]) == "1 thread"
    assert tables.threads([other, here, here]) == "1 thread or 6 threads"
    one = "commit 0123456789, PyTorch 2.4.1, Acme 9000, 1 thread a run"
    assert tables.computed_on([here, machine(python="3.12")]) == one
    assert tables.computed_on([here, other]) == (
        f"{one}; and commit fedcba9876 with uncommitted changes (code c0dec0dec0dec0de), PyTorch 2.4.1, Acme 8000, 6 "
        "threads a run"
    )
    assert tables.mixture([here, machine(cores=99)]) == ""
    warning = "A mixture: these runs come from different {}, which change results like a seed does."
    for there, kinds in (
        (machine(torch="2.5"), "PyTorch versions (2.4.1, 2.5)"),
        (machine(processor="Acme 8000"), "processors (Acme 9000, Acme 8000)"),
        (machine(threads=2), "numbers of threads (1 thread, 2 threads)"),
        (
            machine(commit="fedcba", torch="2.5"),
            "commits (0123456789, fedcba) and PyTorch versions (2.4.1, 2.5)",
        ),
    ):
        assert tables.mixture([here, there, here]) == warning.format(kinds)


# -------------------------------------------------------------------------------------------------------------- part 1


def test_table_1_has_every_epoch_with_the_published_one_beside_it(results: dict[str, Any]) -> None:
    published = "33.3 56.8 60.5 78.4 84.4 85.5 84.9 86.7 87.1 87.1 87.7 87.2 86.4 87.9 87.8".split()  # noqa: SIM905
    loss, train = {1: "1.067", 15: "0.014"}, {15: "99.7"}
    rows = [
        [
            str(epoch),
            spread(0.031 + 0.061 * (15 - epoch), 0.004, 3),
            spread(99.2 - 0.4 * (15 - epoch), 0.5),
            spread(61.0 - 0.3 * (15 - epoch), 0.3),
            loss.get(epoch),
            train.get(epoch),
            published[epoch - 1],
        ]
        for epoch in range(1, 16)
    ]
    assert rows[0] == ["1", "0.885 ± 0.004", "93.6 ± 0.5", "56.8 ± 0.3", "1.067", None, "33.3"]
    title, measured = "Table 1: the classifier by epoch", ["train loss", "train accuracy %", "test accuracy %"]
    header = ["epoch", *measured, "published loss", "published train %", "published test %"]
    size = "400,000 parameters at a vocabulary of 5,639 words (published: 576,339 at 5,755 words)."
    note = f"{OVER_SEEDS.capitalize()}; {size}"
    compare(tables.table1(record(results)), title, header, rows, note)


def test_table_1_says_how_many_seeds_it_is_of_where_others_have_fewer(results: dict[str, Any]) -> None:
    runs = results["classifier"]["learned"]
    runs += [{**run, "seed": run["seed"] + 10} for run in runs]
    assert tables.table1(record(results)).note.startswith(f"Mean ± standard deviation over {len(runs)} seeds; ")


def test_table_1_of_another_number_of_epochs_has_nothing_published_beside_it(results: dict[str, Any]) -> None:
    for run in results["classifier"]["learned"]:
        del run["epochs"][2:]
    table = tables.table1(record(results))
    assert list(table.header) == ["epoch", "train loss", "train accuracy %", "test accuracy %"]
    assert [row[1:] for row in table.rows] == [
        ["0.885 ± 0.004", "93.6 ± 0.5", "56.8 ± 0.3"],
        ["0.824 ± 0.004", "94.0 ± 0.5", "57.1 ± 0.3"],
    ]


NOTE = (
    "Report recipe, epochs 15. Test accuracy in percent after the last epoch, on all rows, on those whose text appears "
    "in the training file, and "
    f"on the others; {OVER_SEEDS}; differences in points, with 95% intervals, on seeds on which both trained. Middle "
    "half: the mean of all rows without the best and the worst quarter of the seeds. Ended at chance: training "
    "accuracy stayed at, or fell back to, the share of the largest class; a share with Wilson's interval."
)


MIDDLE, NONE_AT_CHANCE = "all, middle half of the seeds", "0 of 3 [0.0, 56.1]"


def accuracies(variant: str) -> list[str | None]:
    """A variant's accuracies on all, seen, unseen and training rows, and over the middle half of three seeds: all."""
    place = list(TEST_ACCURACY).index(variant)
    sd, test = 0.3 + 0.02 * place, TEST_ACCURACY[variant]
    groups = [spread(test, sd), spread(test + 15.4, sd + 0.1), spread(test - 5.2, sd + 0.1)]
    return [*groups, spread(TRAIN_ACCURACY[variant], sd + 0.2), f"{test:.1f}"]


def difference(variant: str, base: str) -> list[str | None]:
    """How far a variant is from another for other seeds and rows, for other seeds, and for other rows, which are
    alike."""
    places = [list(TEST_ACCURACY).index(name) for name in (variant, base)]
    values = [seeds(TEST_ACCURACY[name], 0.3 + 0.02 * place) for name, place in zip((variant, base), places)]
    mean = number(TEST_ACCURACY[variant] - TEST_ACCURACY[base], sign=True)
    return [points(*values), points(*values), f"{mean} [{mean}, {mean}]"]


BASELINES: list[list[str | None]] = [
    ["TF-IDF, logistic regression", "54.3", "66.9", "50.2"],
    ["TF-IDF, linear SVM", "58.3", "70.9", "54.2"],
    ["TF-IDF, naive Bayes", "50.3", "62.9", "46.2"],
    ["largest class", "46.3", "58.9", "42.2"],
]


@pytest.mark.parametrize(
    ("names", "published"),
    [
        ({name: NAMES[name] for name in ("learned", "alibi", "none")}, ""),
        (REGULARIZED, " Published: original 87.8, batch norm + dropout 0.2 89.67."),
    ],
)
def test_classifiers_stand_with_their_difference_from_the_first_and_the_baselines(
    results: dict[str, Any], names: dict[str, str], published: str
) -> None:
    first, *others = names
    results["classifier"][others[0]][1]["trained"] = False
    rows: list[list[str | None]] = [[names[first], *accuracies(first), None, None, None, NONE_AT_CHANCE]]
    for place, name in enumerate(others):
        failed = NONE_AT_CHANCE if place else "1 of 3 [6.1, 79.2]"
        rows.append([names[name], *accuracies(name), *difference(name, first), failed])
    rows += [[*row, *[None] * 6] for row in BASELINES]
    header = ["classifier", "all (1,200)", "seen (300)", "unseen (900)", "training rows", MIDDLE]
    header += [f"against {names[first]}", "for other seeds alone", "for other rows alone", "ended at chance, %"]
    found = tables.classifiers(record(results), list(names), "A title")
    compare(found, "A title", header, rows, NOTE + published)
    assert found.rows[1][6] == {"alibi": "+0.6 [+0.6, +0.6]", "batch-norm": "+2.9 [+2.9, +2.9]"}[others[0]]
    assert len({row[1] for row in found.rows}) == len(found.rows)  # a wrong row would show


def test_one_classifier_alone_has_no_differences(results: dict[str, Any]) -> None:
    rows: list[list[str | None]] = [["learned positions", *accuracies("learned"), NONE_AT_CHANCE]]
    rows += [[*row, None, None, None] for row in BASELINES]
    header = ["classifier", "all (1,200)", "seen (300)", "unseen (900)", "training rows", MIDDLE, "ended at chance, %"]
    compare(tables.classifiers(record(results), ["learned"], "Alone"), "Alone", header, rows, NOTE)


@pytest.mark.parametrize(
    ("n_seen", "groups"),
    [(0, ["all (1,200)"]), (1200, ["all (1,200)", "seen (1,200)"]), (1, ["all (1,200)", "seen (1)", "unseen (1,199)"])],
)
def test_groups_of_rows_that_are_none_or_all_have_no_column(
    results: dict[str, Any], n_seen: int, groups: list[str]
) -> None:
    for run in results["classifier"]["learned"]:
        run["test"]["seen"]["n"], run["test"]["unseen"]["n"] = n_seen, 1200 - n_seen
    table = tables.classifiers(record(results), ["learned"], "")
    assert list(table.header) == ["classifier", *groups, "training rows", MIDDLE, "ended at chance, %"]
    assert ("on those whose text appears in the training file" in table.note) == (n_seen > 0)


def test_who_is_recognised(results: dict[str, Any]) -> None:
    rows: list[list[str | None]] = [
        ["Obama", "390", "50.0 ± 0.5", "54.5 ± 0.8", "52.3 ± 1.1"],
        ["G. W. Bush", "400", "57.0 ± 0.6", "61.5 ± 0.9", "59.3 ± 1.2"],
        ["G. H. W. Bush", "1,410", "64.0 ± 0.7", "68.5 ± 1.0", "66.3 ± 1.3"],
        ["mean of the classes", None, None, None, "58.8 ± 1.5"],
    ]
    for run in results["classifier"]["learned"]:
        run["scores"]["classes"][2]["n"] = 1410
    header = ["class", "test rows", "precision %", "recall %", "F1 %"]
    compare(tables.table_by_class(record(results)), "Who is recognised", header, rows, "")


# -------------------------------------------------------------------------------------------------------------- part 2


def test_table_2_has_every_iteration_with_the_published_one_below_it(results: dict[str, Any]) -> None:
    published = {
        "train": ["575.3", "382.9", "266.1", "197.4", "154.2"],
        "hbush": ["721.7", "549.1", "458.2", "430.3", "408.3"],
        "obama": ["693.1", "516.2", "417.7", "363.1", "348.0"],
        "wbush": ["808.4", "621.8", "525.0", "483.0", "478.1"],
    }
    rows: list[list[str | None]] = []
    for text, last in PERPLEXITY["learned"].items():
        means = [last * factor for factor in (1.8, 1.6, 1.4, 1.2, 1.0)]
        rows += [[text, *(spread(mean, 0.004 * mean) for mean in means)], ["   published", *published[text]]]
    title, header = "Table 2: perplexity by iteration, hidden size 256", ["text", "100", "200", "300", "400", "500"]
    note = (
        "Non-overlapping windows of 32 tokens; 900,000 parameters at a vocabulary of 5,639 words (published: 943,611 "
    )
    compare(tables.table2(record(results)), title, header, rows, note + "at 5,755 words).")
    for run in results["decoder"]["learned"]:
        del run["iterations"][2:]
    short = tables.table2(record(results))
    assert list(short.header) == ["text", "100", "200"]
    assert [row[:2] for row in short.rows] == [[row[0], row[1]] for row in rows[::2]]  # nothing published beside it


def test_table_3_says_what_width_changes(results: dict[str, Any]) -> None:
    published = {
        "train": ["180.9", "-14.8 %"],
        "hbush": ["417.1", "-2.1 %"],
        "obama": ["382.8", "-9.1 %"],
        "wbush": ["490.9", "-2.6 %"],
    }
    rows: list[list[str | None]] = []
    for text in ("train", *TEXTS):
        narrow, wide = PERPLEXITY["ff100"][text], PERPLEXITY["ff256"][text]
        change = percent(seeds(wide, 0.008 * wide), seeds(narrow, 0.009 * narrow))
        rows.append([text, spread(narrow, 0.009 * narrow), spread(wide, 0.008 * wide), change, *published[text]])
    assert rows[0][:4] == ["train", "181.2 ± 1.6", "151.0 ± 1.2", "-16.7 [-16.9, -16.5] %"]
    header = ["text", "hidden size 100", "hidden size 256", "change", "published, 100", "published change"]
    note = "Last iteration; at width 100 895,000 parameters (published: 863,115 at 5,755 words)."
    compare(tables.table3(record(results)), "Table 3: perplexity at hidden size 100", header, rows, note)


def test_nothing_published_stands_beside_other_people_s_texts(results: dict[str, Any]) -> None:
    def shown(found: Exploration) -> list[Table]:
        regularized = [name for name in results["classifier"] if name not in POSITIONS]
        several = [tables.classifiers(found, regularized, "A title"), tables.decoders(found)]
        times = [tables.times(found, task) for task in ("classifier", "decoder")]
        return [tables.table1(found), tables.table2(found), tables.table3(found), *times, *several]

    def words(table: Table) -> str:
        return " ".join([table.title, *table.header, *(row[0] or "" for row in table.rows), table.note]).lower()

    assert ["published" in words(table) for table in shown(record(results))] == [True] * 6 + [False]
    for others in (
        of_others(results),
        results | {"data": of_others(results)["data"]},
        results | {"test_names": ["hbush"]},
    ):
        assert not any("published" in words(table) for table in shown(record(others)))


@pytest.mark.parametrize(("kind", "unit"), [("bpe", "BPE token"), ("character", "character")])
def test_perplexities_by_other_tokens_stand_beside_none_by_word(results: dict[str, Any], kind: str, unit: str) -> None:
    """And bits per byte, which compare, come first."""
    results |= {"tokenizer": kind}
    if kind == "bpe":  # no subword is unknown
        del results["ngram_scores"]["ngram_unk"]
    found = record(results)
    shown = [tables.table2(found), tables.table3(found), tables.table_of_texts(found)]
    shown += [tables.decoders(found), tables.lengths(found)]
    for one in shown:
        assert one.note.endswith(f" Perplexity is by {unit}; those by word do not compare, and bits per byte do.")
    assert [row[0] for row in shown[0].rows] == ["train", *TEXTS]
    assert list(shown[1].header) == ["text", "hidden size 100", "hidden size 256", "change"]
    unknown = ["without <unk>", "<unk>, % of tokens"]
    assert list(shown[2].header) == ["text", "bits per byte", "perplexity", *(unknown if kind == "character" else [])]
    assert {len(row) for row in shown[2].rows} == {len(shown[2].header)}
    assert f"at a vocabulary of 5,639 {unit}s (published" in tables.table1(found).note
    assert documents.provenance(found).startswith(f"{unit}s; seeds 4, 5, 6; ")


def test_the_decoder_stands_beside_the_n_gram_models_in_three_measures(results: dict[str, Any]) -> None:
    rows: list[list[str | None]] = []
    for place, text in enumerate(TEXTS):
        mean = PERPLEXITY["learned"][text]
        sd = 0.004 * mean
        cells = [spread(mean, sd), spread(0.8 * mean, 0.8 * sd), spread(mean / 200 + 0.01 * place, sd / 200, 3)]
        rows.append([f"{text}, decoder", *cells, number(1.25 + place, 2)])
        for key, name in (("ngram", "Kneser-Ney trigram"), ("ngram_unk", "trigram with the same <unk> estimate")):
            value = NGRAM[key][text]
            cells = [number(value), number(0.8 * value), number(value / 200 + 0.01 * place, 3)]
            rows.append([f"   {name}", *cells, None])
    assert rows[3] == ["obama, decoder", "345.0 ± 1.4", "276.0 ± 1.1", "1.735 ± 0.007", "2.25"]
    header = ["text", "perplexity", "without <unk>", "bits per byte", "<unk>, % of tokens"]
    note = (
        "Trigram: interpolated Kneser-Ney on the same training text and vocabulary, and the "
        "same with our recipe's estimate of <unk>. Bits per byte: with 8 bits for each byte of an unknown "
        "word and for its end."
    )
    compare(tables.table_of_texts(record(results)), "Beside an n-gram model", header, rows, note)


# ----------------------------------------------------------------------------------------------------------- attention


@pytest.mark.parametrize(("kind", "base"), [("encoder", 0.5), ("decoder", 1.7)])
def test_attention_by_layer_and_head(results: dict[str, Any], kind: Any, base: float) -> None:
    rows: list[list[str | None]] = []
    for layer in (0, 1, 2):
        for head in (0, 1):
            step = 0.04 * head
            row: list[str | None] = [f"layer {layer + 1}, head {head + 1}"]
            row.append(spread(DISTANCE[layer] + base + step, 0.31 + step / 5, 2))
            row.append(spread(RELATIVE_DISTANCE[layer] + base / 10 + step, 0.011 + step / 5, 2))
            row.append(spread(ENTROPY[layer] + base + step, 0.021 + step / 5, 2))
            row.append(spread(RELATIVE_ENTROPY[layer] + base / 30 + step, 0.013 + step / 5, 2))
            padding = PADDING[layer] + base / 10 + step
            rows.append([*row, spread(100 * padding, 1.5 + 20 * step)] if kind == "encoder" else row)
    header = ["", "mean distance, tokens", "relative to uniform", "entropy, nats", "relative to uniform"]
    if kind == "encoder":
        header.append("on padding, %")
        note = (
            "Over all test rows; mean ± standard deviation over 3 runs that trained. Even attention: the same weight "
        )
        note += "on every token that can be seen. The report's encoder does not mask padding; the other columns are of "
        note += "what its tokens get."
        assert rows[4] == ["layer 3, head 1", "5.50 ± 0.31", "0.86 ± 0.01", "1.70 ± 0.02", "0.53 ± 0.01", "45.0 ± 1.5"]
    else:
        note = "Over all test texts; mean ± standard deviation over 3 runs. Even attention: the same weight on every "
        note += "token that can be seen."
    compare(tables.table_of_attention(record(results), kind), f"Attention of the {kind}", header, rows, note)


def test_attention_of_one_run_has_no_spread(results: dict[str, Any]) -> None:
    del results["attention"]["encoder"][1:]
    table = tables.table_of_attention(record(results), "encoder")
    assert list(table.rows[0])[1:3] == ["2.81", "0.17"]
    assert "over 1 run that trained." in table.note


# -------------------------------------------------------------------------------------------------------------- part 3


@pytest.mark.parametrize(
    ("task", "title", "published"),
    [
        ("classifier", "Table 4: training time of the classifier", [("25.31", None), ("21.77", "-14.0 %")]),
        ("decoder", "Table 5: training time of the decoder", [("35.66", None), ("31.55", "-11.5 %")]),
    ],
)
def test_tables_4_and_5_time_each_variant_by_itself(
    results: dict[str, Any], task: Any, title: str, published: list[tuple[str, str | None]]
) -> None:
    rows: list[list[str | None]] = []
    for (variant, seconds), beside in zip(SECONDS[task].items(), [*published, (None, None)]):
        step = sorted(seconds)[1]
        processor = {name: [2 * one + 0.01 for one in own] for name, own in SECONDS[task].items()}
        changes = [percent(of[variant], of["learned"]) for of in (SECONDS[task], processor)]
        row: list[str | None] = [NAMES[variant], number(1000 * step, 2), number(1250 * step)]
        rows.append([*row, *((None, None) if variant == "learned" else changes), *beside])
    assert rows[1][:3] == ["ALiBi", *{"classifier": ("2,210.00", "2,762.5"), "decoder": ("3,190.00", "3,987.5")}[task]]
    header = ["positions", "a step, ms", "a training, s", "change", "of processor time"]
    header += ["published, s", "published change"]
    note = (
        "30 steps of each, in turns and random order in one process, on 2 threads; medians of 10 steps, paired. A "
        "training has 1,250 steps. Training steps only: evaluation is outside the timer."
    )
    compare(tables.times(record(results), task), title, header, rows, note)
    results["timing"][task]["threads"] = 1
    assert "on 1 thread;" in tables.times(record(results), task).note


def test_decoders_stand_with_their_change_against_learned_positions(results: dict[str, Any]) -> None:
    def values(variant: str) -> dict[str, list[float]]:
        relative = 0.004 + 0.001 * list(PERPLEXITY).index(variant)
        return {text: seeds(mean, relative * mean) for text, mean in PERPLEXITY[variant].items()}

    rows: list[list[str | None]] = []
    for variant, name in NAMES.items():
        own, base = values(variant), values("learned")
        rows.append([name, *(spread(each[2], stdev(each)) for each in own.values())])
        if variant in ("alibi", "none"):
            rows.append(["   against learned", *(percent(own[text], base[text]) for text in own)])
    rows.append(["Kneser-Ney trigram", None, "401.7", "299.3", "470.6"])
    rows.append(["trigram with the same <unk> estimate", None, "356.1", "287.9", "428.4"])
    assert rows[2][3] == "-10.0 [-10.2, -9.8] %"
    note = f"Report recipe, iterations 500. Last iteration; every token scored once; {OVER_SEEDS}."
    header = ["decoder", "train", *TEXTS]
    compare(tables.decoders(record(results)), "Perplexity by position method", header, rows, note)


def test_of_many_texts_some_are_shown_from_the_easiest_to_the_hardest(results: dict[str, Any]) -> None:
    names = [f"president{n:02}" for n in range(45)]
    ngram = {name: LanguageScores(200.0 - n, None, 1.0, 0.0) for n, name in enumerate(names)}
    many = msgspec.structs.replace(record(results), ngram_scores={"ngram": ngram}, test_names=names)
    assert tables.shown_texts(many) == ["train", *(names[n] for n in (0, 11, 22, 33, 44))]
    assert tables.which_texts(many) == " 5 of 45 test texts, from the easiest to the hardest for the trigram."
    assert tables.shown_texts(record(results)) == ["train", *TEXTS]
    assert tables.which_texts(record(results)) == ""
    results["test_names"] = [*TEXTS, "another"]
    note = " 3 of 4 test texts, from the easiest to the hardest for the trigram."
    assert tables.decoders(record(results)).note.endswith(note)
    assert tables.steeper(record(results)).note.endswith(note)


def test_what_steeper_slopes_change(results: dict[str, Any]) -> None:
    def values(variant: str, relative: float) -> list[list[float]]:
        return [seeds(mean, relative * mean) for mean in PERPLEXITY[variant].values()]

    changes = [percent(steep, alibi) for steep, alibi in zip(values("alibi-steep", 0.007), values("alibi", 0.005))]
    assert changes[1] == "-2.0 [-2.5, -1.5] %"
    title = "Steeper slopes against ALiBi as published: change of perplexity"
    note = "At two heads the slopes are 1/16 and 1/256; eight times as steep they are 1/2 and 1/32."
    compare(tables.steeper(record(results)), title, ["", "train", *TEXTS], [["slopes x 8", *changes]], note)


@pytest.mark.parametrize("text", [None, "obama", "wbush"])
def test_lengths_by_protocol_and_window(results: dict[str, Any], text: str | None) -> None:
    rows: list[list[str | None]] = []
    for place, (variant, name) in enumerate(NAMES.items()):
        for sliding, protocol in ((False, "windows side by side"), (True, "sliding by half")):
            for window in (None, 31):
                if variant == "learned" and window:
                    continue
                row: list[str | None] = [name, protocol, "31 tokens" if window else "all before"]
                for step in range(4):
                    change = [(1.0, 1.004, 1.007, 1.03), (0.94, 0.952, 0.957, 0.99)][sliding][step]
                    change -= 0.013 if window and step else 0.0
                    sd = 0.9 + 0.1 * step + 0.03 * sliding + place / 1000
                    by_text = {key: seeds(change * PERPLEXITY[variant][key], sd) for key in TEXTS}
                    if text:
                        values = by_text[text]
                    else:  # the geometric mean of three
                        values = [
                            (cell["hbush"] * cell["obama"] * cell["wbush"]) ** (1 / 3) for cell in by_seed(by_text)
                        ]
                    undefined = variant == "learned" and step > 0
                    row.append(None if undefined else spread(sum(values) / 3, stdev(values)))
                rows.append(row)
    note = (
        "The same tokens, all of them, are scored at every length. A dash: learned positions are undefined past 32 "
        "tokens. Side by side, the first tokens of a window have little context, and a longer window has fewer of "
        "them; sliding by half its length, it scores none of them after the first. '31 tokens': every layer attends "
        "to no more of the past than in training, so what changes there is not extrapolation."
    )
    if text == "obama":
        assert rows[2] == [
            "ALiBi",
            "windows side by side",
            "all before",
            "310.5 ± 0.9",
            "311.7 ± 1.0",
            "312.7 ± 1.1",
            "319.8 ± 1.2",
        ]
    title = f"Perplexity on {text} by inference length" if text else "Perplexity by inference length"
    header = ["decoder", "protocol", "attends to", "32 tokens", "64 tokens", "128 tokens", "256 tokens"]
    whole = note if text else f"Geometric mean over the test texts. {note}"
    compare(tables.lengths(record(results), text), title, header, rows, whole)


def test_rates_are_compared_by_validation(results: dict[str, Any]) -> None:
    rows: list[list[str | None]] = [
        ["batch norm + dropout 0.2", "57.1 ± 0.2", ""],
        ["batch norm + dropout 0.3", "59.3 ± 0.3", "highest"],
        ["batch norm + dropout 0.4", "58.6 ± 0.4", ""],
        ["batch norm + dropout 0.5", "55.2 ± 0.5", ""],
    ]
    note = (
        "Trained on four fifths of the distinct training rows, measured on the last fifth; seed s leaves out fold s of "
    )
    note += "five. The test set has no part in it."
    header = ["classifier", "validation accuracy %", ""]
    compare(tables.validation(record(results)), "Rates of dropout, by validation", header, rows, note)


def test_part_3_has_the_tables_of_the_halves_that_were_run(results: dict[str, Any]) -> None:
    alibi = [
        "Table 4: training time of the classifier",
        "Table 5: training time of the decoder",
        "Classifier by position method",
        "Perplexity by position method",
        "Steeper slopes against ALiBi as published: change of perplexity",
        "Perplexity by inference length",
    ]
    regularize = ["Rates of dropout, by validation", "Classifier by regularization"]
    assert [table.title for table in tables.part3(record(results))] == alibi + regularize
    by_positions, by_regularization = tables.part3(record(results))[2], tables.part3(record(results))[-1]
    assert [row[0] for row in by_positions.rows[:3]] == [NAMES[name] for name in ("learned", "alibi", "none")]
    assert [row[0] for row in by_regularization.rows[:10]] == list(REGULARIZED.values())
    assert [table.title for table in tables.part3(record(results | {"halves": ["alibi"]}))] == alibi
    assert [table.title for table in tables.part3(record(results | {"halves": ["regularize"]}))] == regularize
    assert tables.part3(record(results | {"halves": []})) == []


# ------------------------------------------------------------------------------------------------ verdicts, ablation


def test_verdicts_stand_with_what_was_measured(results: dict[str, Any]) -> None:
    table = tables.verdicts(record(results | {"claims": judge(results)}))
    found = {row[0]: row for row in cells(table)}
    assert list(found) == [f"C{n}" for n in range(1, 14)]
    assert found["C7"] == [
        *("C7", "ALiBi shortens the classifier's training by 14%", "holds"),
        *("training time -14.0 [-16.5, -11.3] %", None),
    ]
    assert found["C6"][3] == "test accuracy +0.6 [+0.6, +0.6] points (seeds [+0.6, +0.6], rows [+0.6, +0.6])"
    assert found["C13"][2:4] == [
        "does not hold",
        "against 0.3 -2.2 [-2.5, -1.9] points; against 0.4 -1.5 [-2.2, -0.8] points; "
        "against 0.5 +1.9 [+0.9, +2.9] points",
    ]
    assert table.title == "Verdicts"
    assert list(table.header) == ["", "claim", "verdict", "measured, with 95% intervals", "what would tell"]
    assert table.note.startswith("Found on Acme 9000; another processor")
    assert "some of the 13 claims would hold by chance in up to 28% of studies" in table.note
    mixed = record(results | {"claims": [], "machines": [MACHINE, MACHINE | {"processor": "Acme 8000"}, MACHINE]})
    assert tables.note_of_verdicts(mixed).startswith("Found on Acme 9000 and Acme 8000;")


def test_what_would_tell_stands_beside_what_these_cannot() -> None:
    def judgement(verdict: str, n: int, *found: Any) -> Judgement:
        part = JudgedPart("", "", "points", Estimate(0.0, -1.0, 1.0, 1.0, 0.0, n), verdict)
        return Judgement("C0", "much", verdict, "", "", [part], *found)

    assert tables.to_tell(judgement("cannot tell", 5, 12, 35.4)) == "about 12 seeds: 35.4 minutes more"
    assert tables.to_tell(judgement("cannot tell", 5)) == "not seeds"
    assert tables.to_tell(judgement("cannot tell", 1)) == "more than one seed"
    assert tables.to_tell(judgement("holds", 5, 12, 35.4)) is None


def test_of_a_claim_in_many_parts_six_stand_in_the_open(results: dict[str, Any]) -> None:
    parts = [JudgedPart(f"part {n}", "", "points", estimate(float(n)), "cannot tell") for n in range(9)]
    for n_parts, end in (
        (9, "part 5 +5.0 points; and 3 more"),
        (7, "part 5 +5.0 points; and 1 more"),
        (6, "part 5 +5.0 points"),
    ):
        claims = [Judgement("C0", "much", "cannot tell", "", "", parts[:n_parts])]
        (row,) = tables.verdicts(msgspec.structs.replace(record(results), claims=claims)).rows
        assert row[:3] == ["C0", "much", "cannot tell"]
        assert str(row[3]).startswith("part 0 +0.0 points; part 1 +1.0 points; ")
        assert str(row[3]).endswith(end)


def test_one_seed_has_no_spread_and_says_so() -> None:
    assert tables.of_seeds([4]) == "one seed, no spread"
    assert tables.of_seeds([4, 5]) == "mean ± standard deviation over 2 seeds"
    assert (tables.n_seeds([4]), tables.n_seeds([4, 5])) == ("1 seed", "2 seeds")
