"""Every number of the made-up answers stands in the table where its row and its column say."""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean, geometric_mean, median
from typing import Any

import pytest
from msgspec.structs import replace
from world.answers import ABOUT, answers_of, decoder_run

from evaluation.statistics import Estimate
from reporting import tables
from reporting.explained import faithfulness_table, knockouts_table
from reporting.table import Table
from reporting.variants import by_variant, heads_of
from studies.catalogue.names import name_of
from studies.catalogue.published import published
from studies.probes.faithfulness import METHODS
from training.kinds import KINDS
from training.records import MeasuredVoices

Cells = Mapping[tuple[str, str], str | None]


def cells(table: Table) -> Cells:
    """The cells by the words that name their rows and the head of their column; a row about the one above it has the
    name of that one, too."""
    by_name: dict[tuple[str, str], str | None] = {}
    n_words = next((i for i, column in enumerate(table.columns) if column.align == "right"), 1) or 1
    above = ""
    for row in table.rows:
        name = "; ".join(filter(None, row[:n_words]))
        above, name = (above, f"{above}{name}") if name.startswith("   ") else (name, name)
        for head, cell in zip(table.header, row):
            assert (name, head) not in by_name
            by_name[name, head.replace("\n", " ")] = cell
    return by_name


def shown(values: Sequence[float], digits: int = 1) -> str:
    """The mean and standard deviation, as a table has them."""
    mean = fmean(values)
    spread = sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)) if len(values) > 1 else None
    return f"{mean:,.{digits}f}" + (f" ± {spread:,.{digits}f}" if spread is not None else "")


def effect(estimate: Estimate, unit: str) -> str:
    """An effect with its interval."""
    ends = [value for value in (estimate.mean, estimate.low, estimate.high) if value is not None]
    ends = [100 * (value - 1) for value in ends] if unit == "ratio" else ends
    mean, *interval = [
        f"{end:+,.1f}".replace("-", "\N{MINUS SIGN}").replace("\N{MINUS SIGN}0.0", "+0.0") for end in ends
    ]
    return mean + (f" [{', '.join(interval)}]" if interval else "") + (" %" if unit == "ratio" else "")


# ------------------------------------------------------------------------------------------------------ every question
QUESTIONS = [
    *(("part1", "classifier"), ("part3", "classifier"), ("part3", "decoder"), ("part3", "validation")),
    *(("report", "decoder"), ("compare", "classifier"), ("ablation", "classifier"), ("ablation", "decoder")),
    *(("measure", "classifier"), ("measure", "decoder")),
]


@pytest.mark.parametrize(("command", "question"), QUESTIONS)
def test_levels_and_effects_stand_where_their_row_and_column_say(command: str, question: str) -> None:
    answers = answers_of(command)
    asked, table = answers.questions[question], cells(by_variant(answers, question, ""))
    measure, heads = KINDS[asked.kind].measures[asked.measure], heads_of(answers, question)
    opponents = {} if question == "validation" else answers.opponents(question)
    for name, records in {**answers.runs(question), **opponents}.items():
        for subset, head in heads.items():
            if subset != "train" or name not in opponents:
                values = [measure.value(record, subset) for record in records]
                assert table[name_of(name), head] == shown(values, measure.digits)
    for row in answers.find(question=question, measure=asked.measure, length=None):
        host, against = row.variant, f"   against {name_of(row.base)}"
        if row.variant == asked.base:
            host, against = row.base, f"   {name_of(row.variant)} against it"
        assert table[f"{name_of(host)}{against}", heads[row.subset or ""]] == effect(row.estimate, row.unit)
        if row.verdict:
            verdict = table[f"{name_of(host)}{against}", "verdict"] or ""
            assert verdict.startswith(row.verdict)
            assert (str(row.seeds_needed) in verdict) == (row.seeds_needed is not None)


def test_variants_that_have_more_seeds_than_others_say_how_many() -> None:
    answers = answers_of("part3")
    fewer = {**answers.decoder, "none": answers.decoder["none"][:2]}
    table = by_variant(replace(answers, decoder=fewer), "decoder", "", ["learned", "none"])
    assert [cells(table)[name, "seeds"] for name in ("learned positions", "no positions")] == ["3", "2"]
    assert "over 2 to 3 seeds" in table.note
    assert "seeds" not in by_variant(answers, "decoder", "").header


# ------------------------------------------------------------------------------------------------------------- one kind
@pytest.mark.parametrize("command", ["part1", "report"])
def test_epochs(command: str) -> None:
    answers = answers_of(command)
    variant = answers.questions["classifier"].base
    table = cells(tables.epochs(answers, variant))
    for seeds in zip(*(run.epochs for run in answers.classifier[variant])):
        epoch = str(seeds[0].epoch)
        assert table[epoch, "train loss"] == shown([row.train_loss for row in seeds], 3)
        assert table[epoch, "train accuracy %"] == shown([row.train_accuracy for row in seeds])
        assert table[epoch, "test accuracy %"] == shown([row.test_accuracy for row in seeds])
    assert (table.get(("15", "published test %")) == "87.8") == (command == "report")


def test_classes() -> None:
    answers = answers_of("report")
    table, runs = cells(tables.by_class(answers, "learned")), answers.classifier["learned"]
    for scores in zip(*(run.scores.classes for run in runs)):
        assert table[scores[0].name, "test rows"] == str(scores[0].n)
        assert table[scores[0].name, "precision %"] == shown([score.precision or 0.0 for score in scores])
        assert table[scores[0].name, "recall %"] == shown([score.recall or 0.0 for score in scores])
        assert table[scores[0].name, "F1 %"] == shown([score.f1 or 0.0 for score in scores])
    assert table["mean", "F1 %"] == shown([run.scores.macro_f1 for run in runs])


def test_calibration() -> None:
    answers = answers_of("part1")
    table = cells(tables.calibration(answers, "classifier"))
    (probed,) = answers.calibration["classifier"]["classifier"]
    for name, reliability in (("as trained", probed.as_trained), ("at temperature 2.50", probed.calibrated)):
        for group in ("all", "seen", "unseen"):
            assert table[name, group] == f"{reliability.error[group]:.1f}"
            assert table[f"{name}   by chance up to", group] == f"{reliability.chance[group]:.1f}"
    untouched = replace(probed, n_rows=0, note="the second model did not train")
    table = cells(
        tables.calibration(replace(answers, calibration={"classifier": {"classifier": [untouched]}}), "classifier")
    )
    assert {name for name, _ in table} == {"as trained", "as trained   by chance up to"}


@pytest.mark.parametrize(("command", "variant"), [("part2", "ff100"), ("report", "learned")])
def test_iterations(command: str, variant: str) -> None:
    answers = answers_of(command)
    table = cells(tables.iterations(answers, variant, ""))
    for measured in zip(*(run.iterations for run in answers.decoder[variant])):
        for text in ("train", *answers.test_names):
            values = [row.perplexity[text] for row in measured]
            assert table[text, str(measured[0].iteration)] == shown(values)
    assert (table.get(("obama   published", "500")) == "348.0") == (command == "report")


def test_texts() -> None:
    answers = answers_of("part2")
    models: list[Sequence[Any]] = [*answers.decoder.values(), *answers.decoder_opponents.values()]
    table = tables.by_text(answers)
    rows = iter(table.rows)
    for text in answers.test_names:
        for number, records in enumerate(models):
            name, _, *measured, unknown = next(rows)
            scores = [record.scores[text] for record in records]
            assert name == ("" if number else text)
            assert unknown == ("" if number else f"{scores[0].unk_rate:.2f}")
            assert measured == [
                shown([score.perplexity for score in scores]),
                shown([score.perplexity_without_unk or 0.0 for score in scores]),
                shown([score.bits_per_byte for score in scores], 3),
            ]
    assert next(rows, None) is None


def test_of_subwords_none_is_unknown_and_a_perplexity_by_token_is_said_to_be_one() -> None:
    table = tables.by_text(replace(answers_of("part2"), tokenizer="bpe"))
    assert not [head for head in table.header if "<unk>" in head]
    assert "Perplexity is by BPE token" in table.note
    report = answers_of("report")
    assert published(report, "decoder", "learned")
    assert not published(replace(report, tokenizer="bpe"), "decoder", "learned")


def test_a_decoder_with_a_trigram_stands_beside_itself_alone() -> None:
    run = decoder_run(300.0, 4, 0)
    both = replace(run, network=decoder_run(350.0, 4, 0).scores)
    table = tables.by_text(replace(answers_of("part2"), decoder={"ff256": [both]}))
    assert [row[1] for row in table.rows[:2]] == [
        "decoder, hidden size 256, with a trigram",
        "decoder alone, hidden size 256",
    ]
    assert table.rows[1][2] == f"{both.network['hbush'].perplexity:.1f}"


def test_voices() -> None:
    answers = answers_of("part2")
    test: Any = answers_of("part1").classifier["classifier"][0].test
    voices = MeasuredVoices({"obama": [101.0, 202.0, 303.0], "hbush": [404.0, 505.0, 606.0]}, test, [])
    (table,) = tables.voices(answers, replace(answers.decoder["ff256"][0], voices=voices))
    for k, name in enumerate(ABOUT.class_names):
        assert [cells(table)[name, text] for text in voices.perplexity] == [
            f"{values[k]:.1f}" for values in voices.perplexity.values()
        ]
    assert f"{test['unseen'].accuracy:.1f}% of unseen" in table.note


# -------------------------------------------------------------------------------------------------------------- probes
def test_lengths() -> None:
    answers = answers_of("report")
    table = cells(tables.lengths(answers))
    for variant, seeds in answers.lengths["decoder"].items():
        for measured in zip(*seeds):
            first = measured[0]
            windows = "sliding by half" if first.sliding else "side by side"
            sees = "all before" if first.window is None else f"{first.window} tokens"
            name, head = f"{name_of(variant)}; {windows}; {sees}", f"{first.length} tokens"
            if first.window is not None and variant == "learned":
                assert (name, head) not in table
                continue
            known = [list(filter(None, row.perplexity.values())) for row in measured]
            assert table[name, head] == (shown([geometric_mean(values) for values in known]) if all(known) else None)


@pytest.mark.parametrize("kind", ["classifier", "decoder"])
def test_times(kind: Any) -> None:
    answers = answers_of("part3")
    table, timed = cells(tables.training_times(answers, kind, "")), answers.timing[kind]
    for name, seconds in timed.seconds.items():
        assert table[name_of(name), "ms a step"] == f"{1000 * median(seconds):.2f}"
        assert table[name_of(name), "s a training"] == f"{1250 * median(seconds):.1f}"
    for measure, head in (("training time", "change, %"), ("processor time", "change of processor time, %")):
        for row in answers.find(question=kind, base="learned", measure=measure):
            assert table[name_of(row.variant), head] == effect(row.estimate, "ratio").removesuffix(" %")
    published, change = {"classifier": ("21.77", "14.0"), "decoder": ("31.55", "11.5")}[kind]
    assert table["ALiBi", "published, s"] == published
    assert table["ALiBi", "published change"] == f"\N{MINUS SIGN}{change} %"


@pytest.mark.parametrize(("kind", "unit"), [("classifier", "points"), ("decoder", "ratio")])
def test_knock_outs(kind: Any, unit: str) -> None:
    (probed,) = answers_of("report").knockouts[kind]["learned"]
    table = cells(knockouts_table(probed))
    measure, cost = ("accuracy, %", "falls by") if kind == "classifier" else ("perplexity", "rises by")
    assert table["nothing", measure] == f"{probed.value:.1f}"
    for knocked in probed.without:
        assert table[knocked.part.name, measure] == f"{knocked.value:.1f}"
        assert table[knocked.part.name, cost] == effect(knocked.cost, unit) + " points" * (unit == "points")


def test_faithfulness() -> None:
    (probed,) = answers_of("report").faithfulness["classifier"]["learned"]
    table = cells(faithfulness_table(probed))
    for fall in probed.falls:
        head = f"{fall.deleted} word{'s' * (fall.deleted > 1)}"
        beyond = {"": fall.fall, "   beyond random words": fall.against_random}
        for name, estimate in {**beyond, "   beyond most attention": fall.against_attention}.items():
            assert table.get((METHODS[fall.method] + name, head)) == (effect(estimate, "points") if estimate else None)


# -------------------------------------------------------------------------------------------------------------- claims


def test_looks_are_paid_for_in_words() -> None:
    looked = replace(answers_of("compare"), looks=[3, 6, 12], confidence=0.98)
    note = by_variant(looked, "classifier", "").note
    assert "98% intervals" in note
    assert "looked at with 3, 6 and 12 seeds" in note
