"""The page of a made-up record: what was planted stands in Markdown and in HTML where it must, the pictures too."""

import base64
import html.parser
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from math import exp, log
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch
import worlds
from markupsafe import escape
from studies.results import AblationResults, JudgedPart
from studies.study import Study
from tiny import classifier_of, decoder_of
from worlds import (
    MACHINE,
    PERPLEXITY,
    TEST_ACCURACY,
    TEXTS,
    estimate,
    intercept,
    interval,
    judge,
    judged,
    made_up,
    of_others,
    record,
    seeds,
    swapped,
    typed,
)

import utilities
from common.files import UserError
from dataset import Data
from evaluation.attention import attention_maps
from evaluation.statistics import Estimate
from modules.config import TransformerConfig
from reporting import documents, page, tables
from reporting.page import Picture, Section
from reporting.table import Table, effect, in_markdown, markdown_table, numbers
from studies import attention, report
from studies import figures as figures_of
from studies.catalogue.published import THE_REPORT
from studies.probes.faithfulness import Faithfulness, Fall
from studies.probes.knockouts import KnockOut, KnockOuts, Part
from tokenizer import SPECIAL, Tokenizer
from training.recipe import Recipe, Run, Task, TrainingConfig, customise
from training.runs import Folder
from transformer import Decoder, build_classifier

TINY = TransformerConfig(n_embd=8, n_layer=2, block_size=8, ff_dim=8)
STUDY = Study(
    "report",
    Recipe("classifier", classifier_of(TINY), TrainingConfig(), duration=2),
    Recipe("decoder", decoder_of(TINY), TrainingConfig(), duration=5),
    seeds=(4, 5, 6),
    n_workers=7,
)


@pytest.fixture
def results() -> dict[str, Any]:
    results = made_up()
    return results | {"claims": judge(results)}


# ------------------------------------------------------------------------------------------------------------ sections


def titles(shown: Any) -> list[str]:
    return [table.title for table in shown]


def test_the_sections_hold_every_table_and_figure_of_the_report(results: dict[str, Any]) -> None:
    part1, part2, positions, regularization, made = page.compose(record(results), Path("figures"))
    assert part1.title == "Part 1: the classifier"
    assert part1.paragraphs == [
        "300 of the 1,200 test rows appear word for word in the training file: only the column 'unseen' says how well "
        "the classifier does on what it has not read."
    ]
    assert titles(part1.tables) == ["Table 1: the classifier by epoch", "Beside the baselines"]
    assert titles(part1.more) == ["Who is recognised", "Attention of the encoder"]
    assert [row[0] for row in part1.tables[1].rows][:2] == ["learned positions", "TF-IDF, logistic regression"]
    assert part2.title == "Part 2: the decoder"
    assert part2.paragraphs == []
    assert titles(part2.tables) == [
        "Table 2: perplexity by iteration, hidden size 256",
        "Table 3: perplexity at hidden size 100",
        "Beside an n-gram model",
    ]
    assert titles(part2.more) == ["Attention of the decoder"]
    assert positions.title == "Part 3: positions"
    assert positions.paragraphs == [
        "Learned positions, ALiBi, and, as the control, none at all: the same code, recipe and seeds."
    ]
    assert titles(positions.tables) == [
        "Table 4: training time of the classifier",
        "Table 5: training time of the decoder",
        "Classifier by position method",
        "Perplexity by position method",
        "Perplexity by inference length",
    ]
    assert [row[0] for row in positions.tables[2].rows][:3] == ["learned positions", "ALiBi", "no positions"]
    assert titles(positions.more) == [
        "Steeper slopes against ALiBi as published: change of perplexity",
        *(f"Perplexity on {text} by inference length" for text in TEXTS),
    ]
    assert regularization.title == "Part 3: regularization"
    assert regularization.paragraphs == ["Rates of dropout are compared on rows held out of the training file."]
    assert titles(regularization.tables) == ["Rates of dropout, by validation", "Classifier by regularization"]
    assert [row[0] for row in regularization.tables[1].rows][:2] == ["original", "batch norm"]
    assert len(regularization.tables[1].rows) == 10 + 4  # every variant but those of positions, and the baselines
    assert regularization.more == ()
    assert made.title == "How this was made"


PICTURES = {
    "Part 1: the classifier": [
        ("figure1_accuracy", "Figure 1. Accuracy by epoch: mean over seeds, shaded from lowest to highest.", False),
        ("figure2_encoder_attention_layer1", "Figure 2. Encoder attention, layer 1, one seed.", False),
        ("figure3_encoder_attention_layer3", "Figure 3. Encoder attention, layer 3, one seed.", False),
        ("attention_encoder", "Mean attention distance and entropy by layer and head, over the test set.", False),
    ],
    "Part 2: the decoder": [
        ("figure4_training_perplexity", "Figure 4. Training perplexity by iteration.", False),
        ("figure5_test_perplexity", "Figure 5. Test perplexity by iteration; dotted: the trigram.", False),
        ("figure6_decoder_attention_layer1", "Figure 6. Decoder attention, layer 1, one seed.", False),
        ("figure7_decoder_attention_layer3", "Figure 7. Decoder attention, layer 3, one seed.", False),
        ("attention_decoder", "Mean attention distance and entropy by layer and head, over the test texts.", False),
    ],
    "Part 3: positions": [
        ("figure8_test_accuracy_positions", "Figure 8. Test accuracy by epoch and position method.", False),
        ("figure9_perplexity_positions", "Figure 9. Train and test perplexity by position method.", True),
        (
            "figure10_inference_length",
            "Figure 10. ALiBi: how test perplexity by iteration changes with the inference length; shaded from the "
            "lowest to the highest seed.",
            True,
        ),
        (
            "loss_by_position",
            "What the other position methods change at each place in the window, against learned positions of the same "
            "seed: what more context is worth to each.",
            True,
        ),
        (
            "inference_length",
            "Change of mean test perplexity with inference length: mean over seeds, shaded from lowest to highest; "
            "dashed: with the control's window.",
            True,
        ),
        (
            "changes_perplexity",
            "Change of perplexity against learned positions, with 95% intervals; hollow where the interval reaches 0.",
            True,
        ),
    ],
    "Part 3: regularization": [
        ("figure11_regularization", "Figure 11. Accuracy of the original and the regularized classifier.", True),
        (
            "changes_accuracy",
            "Difference in test accuracy, with 95% intervals; hollow where the interval reaches 0; cross: as "
            "published.",
            True,
        ),
        ("confusion", "Confusion matrix of the original classifier, all seeds together.", False),
    ],
    "How this was made": [],
}


def test_each_picture_stands_in_its_section_with_its_words_below(results: dict[str, Any]) -> None:
    for section in page.compose(record(results), Path("figures")):
        found = [(picture.path, picture.caption, picture.wide) for picture in section.pictures]
        expected = PICTURES[section.title]
        assert found == [(Path(f"figures/{name}.png"), caption, wide) for name, caption, wide in expected]


def test_a_model_of_one_layer_has_one_attention_map(results: dict[str, Any]) -> None:
    for seed in results["attention"]["encoder"]:
        for name in seed:
            del seed[name][1:]
    part1, part2, *_ = page.compose(record(results), Path("figures"))
    assert [picture.path.stem for picture in part1.pictures][1:3] == [
        "figure2_encoder_attention_layer1",
        "attention_encoder",
    ]
    assert [picture.path.stem for picture in part2.pictures][3] == "figure7_decoder_attention_layer3"


def test_what_there_is_nothing_to_say_of_is_left_out(results: dict[str, Any]) -> None:
    results["data"]["seen_rows"] = 0
    sections = page.compose(record(results), Path("figures"))
    assert sections[0].paragraphs == []
    assert [section.title for section in sections] == list(PICTURES)


def test_what_models_lose_without_their_parts_stands_beside_where_they_look(results: dict[str, Any]) -> None:
    cost = Estimate(3.0, 1.0, 5.0, None, 3.0, 9)
    ratio = replace(cost, mean=1.5, low=1.25, high=1.75, ratio=True)
    asked: dict[Task, Estimate] = {"classifier": cost, "decoder": ratio}
    lost = [
        KnockOuts(task, 9, 60.0, [KnockOut(one, 57.0, by) for one in (Part(), Part(0), Part(1), Part(2))])
        for task, by in asked.items()
    ]
    fall = Faithfulness({1: 9}, [Fall("gradients", 1, cost, cost, None)])
    results |= msgspec.to_builtins({"knockouts": lost, "faithfulness": fall})
    part1, part2, *_ = page.compose(record(results), Path("figures"))
    assert titles(part1.more)[2] == "The classifier without each of its parts"
    assert titles(part1.more)[3].startswith("How far the probability")
    assert titles(part2.more)[1:] == ["The decoder without each of its parts"]
    for section, task in ((part1, "classifier"), (part2, "decoder")):
        assert [one.path.stem for one in section.pictures][-1] == f"knockouts_{task}"
    notes = {one["id"]: one["note"] for one in judge(results)}
    assert notes["C2"] == (
        "The accuracy of one seed's model falls without positions by 3.0 [1.0, 5.0] points, without layer 1 by 3.0 "
        "[1.0, 5.0] points, without layer 3 by 3.0 [1.0, 5.0] points."
    )
    assert notes["C5"].startswith("The perplexity of one seed's model rises without positions by 50.0 [25.0, 75.0] %, ")


def test_an_ablation_has_a_section_of_its_own(results: dict[str, Any]) -> None:
    sections = page.compose(record(results | {"ablation": ablation()}), Path("figures"))
    assert [section.title for section in sections][4:] == ["Ablation of the best recipe", "How this was made"]
    assert titles(sections[4].tables) == ["Ablation of the best classifier", "Ablation of the best decoder"]
    assert sections[4].paragraphs == [
        "What --recipe best loses, or gains, when one of its ingredients changes: python main.py ablation."
    ]


def ablation() -> dict[str, Any]:
    """Results of the ablation command, with something that must be escaped."""
    values = {"the recipe": [62.0, 64.0, 63.0], "a <b>bold</b> idea": [60.0, 61.0, 62.0]}
    found: dict[str, Any] = msgspec.to_builtins(worlds.ablation(range(3), classifier=values, decoder=values))
    return found


def ablated(**fields: Any) -> AblationResults:
    return msgspec.convert(ablation() | fields, AblationResults)


def test_the_last_section_says_what_was_run_on_what(results: dict[str, Any]) -> None:
    section = page.methods(record(results))
    (table,) = section.tables
    assert (table.title, list(table.header), table.note) == ("What was run", ["", ""], "")
    assert list(map(list, table.rows)) == [
        ["command", "python main.py report --seeds 3"],
        ["commit", "0123456789"],
        ["data", "some/data (SHA-256 of all files: fedcba9876543210\N{HORIZONTAL ELLIPSIS})"],
        ["rows", "2,345 training, 1,200 test; Obama, G. W. Bush, G. H. W. Bush"],
        ["tokens", "train 98,765; hbush 4,321; obama 5,432; wbush 6,543"],
        ["models", "classifier: report recipe, epochs 15; decoder: report recipe, iterations 500"],
        ["seeds", "4, 5, 6: initialisation, order and dropout vary together, the same for every variant"],
        ["runs", "69 trainings, 1 thread each: 58 minutes in training steps"],  # 13 + 6 + 4 variants of three seeds
        ["machine", "Acme 9000, 6 cores"],
        ["software", "Python 3.11.9, PyTorch 2.4.1"],
        ["time", "90.5 minutes, without what an earlier start had done already"],
    ]
    assert section.paragraphs == [
        "An interval is Student's t over paired seeds, and says what other seeds might have given; of accuracies and "
        "test perplexities it says what other seeds and other test rows might have given at once, the two sources of "
        "chance crossed. Rows are taken by stretches of neighbours, which are alike. Folds share training rows, which "
        "makes theirs wider (Nadeau and Bengio 2003).",
        "A perplexity scores every token of a file once: nats are summed, divided once and exponentiated last.",
        "The parts by themselves: python main.py part1 --data-dir some/data; python main.py part2 --data-dir some/data;"
        " python main.py part3 --data-dir some/data. An interrupted report goes on where it was when it is "
        "started again.",
    ]
    other = MACHINE | {"commit": "fedcba", "processor": "Acme 8000", "torch": "2.5", "threads": 2}
    (table,) = page.methods(record(results | {"machines": [MACHINE, other, MACHINE]})).tables
    rows = {row[0]: row[1] for row in table.rows}
    assert rows["commit"] == "0123456789, fedcba"
    assert rows["runs"] == "69 trainings, 1 thread or 2 threads each: 58 minutes in training steps"
    assert rows["machine"] == "Acme 9000, 6 cores; Acme 8000, 6 cores"
    assert rows["software"] == "Python 3.11.9, PyTorch 2.4.1; Python 3.11.9, PyTorch 2.5"


def test_a_training_behind_two_names_counts_once(results: dict[str, Any]) -> None:
    assert len(record(results).trainings()) == 3 * (13 + 6 + 4)
    results["classifier"]["original"] = json.loads(json.dumps(results["classifier"]["learned"]))
    assert len(record(results).trainings()) == 3 * (12 + 6 + 4)
    assert record(results).trainings()[0] == record(results).classifier["learned"][0]


# ------------------------------------------------------------------------------------------------------------ in short


def test_the_page_says_in_short_how_it_went(results: dict[str, Any]) -> None:
    claims = "Of the report's 13 claims, 12 hold, 1 do not, and 0 are undecided."
    classifier = (
        "The classifier gets 55.8% of the test rows it has not seen; the best model that counts words gets 54.2%."
    )
    decoder = "The decoder's perplexity is below a Kneser-Ney trigram's on 2 of 3 test texts."
    control = "Mean change of test perplexity against learned positions: ALiBi -10.0%, no positions at all -4.8%. "
    control += "No positions at all give 48% of ALiBi's gain: that part is not due to ALiBi."

    def short(changed: dict[str, Any] | None = None) -> list[str]:
        return [typed(line) for line in page.in_short(record(results | (changed or {})))]

    assert short() == [claims, classifier, decoder, control]
    for seen in (0, 1200):  # no group of rows that were not seen, or no other
        results["data"]["seen_rows"] = seen
        assert short()[1] == "The classifier gets 61.0% of the test rows; the best model that counts words gets 58.3%."
    results["data"]["seen_rows"] = 1
    assert short()[1] == classifier
    results["classifier"]["learned"][1]["trained"] = False
    assert short()[1] == f"{classifier} 1 of 3 runs ended at chance."
    mixed = short({"machines": [MACHINE, MACHINE | {"torch": "2.5"}]})
    assert mixed[4].startswith("A mixture: these runs come from different PyTorch versions (2.4.1, 2.5)")
    unclear = [one | {"verdict": "cannot tell"} for one in results["claims"][:3]]
    assert short({"claims": unclear + results["claims"][3:]})[0] == (
        "Of the report's 13 claims, 9 hold, 1 do not, and 3 are undecided."
    )
    bare = [one for one in results["claims"] if one["id"] not in ("C9", "C11", "C12")]
    assert short({"claims": bare}) == [
        "Of the report's 13 claims, 9 hold, 1 do not, and 0 are undecided. C9 and C11 and C12: not of this "
        "recipe, which has no place for batch norm.",
        short()[1],
        decoder,
    ]
    fewer = [one for one in bare if one["id"] != "C4"]
    assert page.unjudged(record(results | {"claims": fewer, "test_names": ["obama"]})) == {
        "there is one test text alone": "C4",
        "not of this recipe, which has no place for batch norm": "C9 and C11",
    }
    for text, value in (("hbush", 380.0), ("obama", 346.0), ("wbush", 400.0)):  # 380.0 is not below 380.0
        results["ngram_scores"]["ngram"][text]["perplexity"] = value
    assert short()[2] == "The decoder's perplexity is below a Kneser-Ney trigram's on 1 of 3 test texts."


def test_a_quick_report_warns_that_its_numbers_mean_nothing(results: dict[str, Any]) -> None:
    assert page.quick_warning(record(results)) == (
        "This is the quick version: a third of the data, 3 seeds, 15 epochs, 500 iterations. It shows that everything "
        "works; its numbers mean nothing, and it judges no claim. The real one: python main.py report "
        "--data-dir some/data"
    )
    del results["classifier"]["learned"][0]["epochs"][1:]
    assert "3 seeds, 1 epoch, 500 iterations" in page.quick_warning(record(results))
    warning = page.quick_warning(record(results))
    assert f"\n\n**{warning}**\n\n" in page.markdown(record(results | {"quick": True}), [])
    assert f'<p class="warning">{warning}</p>' in page.html(record(results | {"quick": True}), [])
    shown = page.report_text(record(results | {"quick": True}))
    assert " ".join(shown.split()).startswith(f"{warning} The classifier gets")
    for text in (page.markdown(record(results), []), page.html(record(results), []), page.report_text(record(results))):
        assert "quick version" not in text


def test_a_quick_report_judges_nothing_and_says_why(results: dict[str, Any]) -> None:
    quick = record(results | {"quick": True})
    why = "The report's claims are not judged here: models that have read a third of the data for 15 epochs "
    why += "say nothing about them."
    texts = [page.markdown(quick, []), page.html(quick, []), page.report_text(quick)]
    assert [html.unescape(text).count(why) for text in texts] == [1, 1, 0]
    for text in texts:
        body = text.split("</style>")[-1]
        for word in ("holds", "does not hold", "cannot tell", "undecided", "the rule", "badge", page.SYMBOLS["holds"]):
            assert word not in body, word
    reader = Reader(texts[1])
    assert [(one["id"], one["claim"]) for one in reader.claims] == [(c["id"], c["claim"]) for c in results["claims"]]
    assert all(one["parts"] for one in reader.claims)  # what would be judged stands there


def test_what_every_rule_says_is_said_once(results: dict[str, Any]) -> None:
    how = "A claim holds where what it says is so of the whole 95% interval, and does not hold where it is so of "
    how += "no part of it; otherwise, and without an interval, the runs cannot tell."
    for text in (page.markdown(record(results), []), page.html(record(results), [])):
        assert text.count(how) == 1
        assert text.count("95% interval, and") == 1


def test_the_page_says_which_report_is_meant(results: dict[str, Any]) -> None:
    for text in (page.markdown(record(results), []), page.html(record(results), [])):
        assert 'a course report: "Programming Assignment 2", CSE 256, UC San Diego' in html.unescape(text)


def test_on_other_people_s_texts_no_size_of_the_report_s_is_judged_or_shown(results: dict[str, Any]) -> None:
    given = of_others(results)
    others = record(given | {"claims": judge(given)})
    assert [one.id for one in others.claims] == ["C1", "C2", "C3", "C4", "C5", "C6", "C9", "C10", "C11", "C13"]
    assert [one.claim for one in others.claims][2:4] == [
        "A wider feed-forward layer lowers every perplexity",
        "The test texts differ in perplexity",
    ]
    assert page.in_short(others)[0].startswith("Of the 10 claims that can be judged on these texts, ")
    name, only = next(iter(others.baselines.items()))
    assert len(page.in_short(msgspec.structs.replace(others, baselines={name: only}))) > 1
    sections = page.compose(others, Path("figures"))
    text = page.markdown(others, sections)
    assert "the claims that quote a size measured on its own data (C7, C8 and C12) are not judged." in text
    for word in ("14%", "11.5%", "89.67", "as published.", "ublished numbers", "| published"):
        assert word not in text, word
    assert "ublished numbers" in page.markdown(record(results), [])


def test_the_command_prints_verdicts_and_what_to_know(results: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = page.report_text(record(results)).split("\n")
    assert max(map(len, lines)) <= 80
    assert lines[:3] == [
        "C1   holds          The classifier reaches its test accuracy by epoch 15 while",
        "                    training accuracy nears 100%",
        "C2   holds          Layer 1 of the encoder attends locally, layer 4 to a few",
    ]
    text = " ".join(" ".join(lines).split())
    for one in results["claims"]:
        assert f"{one['id']} {one['verdict']} {one['claim']} " in text
    assert text.endswith(" ".join(["", *page.in_short(record(results)), "It took 90.5 minutes."]))


# ------------------------------------------------------------------------------------------------ Markdown and HTML


class Reader(html.parser.HTMLParser):
    """What a page shows: tables by title, claims, pictures; and that its tags close in order."""

    VOID = ("meta", "img", "br", "hr", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.pictures: list[tuple[str, bytes]] = []  # alternative text, file
        self.tables: dict[str, list[list[str]]] = {}  # header first, where there is one
        self.notes: dict[str, str] = {}
        self.claims: list[dict[str, Any]] = []
        self.headings: list[str] = []
        self.wide: list[bool] = []
        self.folder: tuple[str, str] = ("", "")  # tag and class that text belongs to
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.links += [given[name] for name in ("src", "href", "srcset", "action") if name in given]
        if tag not in self.VOID:
            self.open.append(tag)
        kind = given.get("class", "")
        self.folder = (tag, kind)
        if tag == "img":
            self.pictures.append((given["alt"], base64.b64decode(given["src"].split(",")[1], validate=True)))
        elif tag == "figure":
            self.wide.append(kind == "wide")
        elif tag == "tr":
            self.tables[self.headings[-1]].append([])
        elif tag in ("td", "th"):
            self.tables[self.headings[-1]][-1].append("")
        elif kind == "id":
            self.claims.append({"parts": []})

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.folder = ("", "")

    def handle_data(self, data: str) -> None:
        tag, kind = self.folder
        if tag in ("td", "th"):
            self.tables[self.headings[-1]][-1][-1] += data
        elif tag in ("h2", "h3"):
            self.headings.append(data)
            if tag == "h3":
                assert data not in self.tables or data == self.headings[-2]
                self.tables[data] = []
        elif kind == "note" and self.headings[-1] != "Verdicts":
            self.notes[self.headings[-1]] = data
        elif kind in ("id", "claim", "note") or kind.startswith("badge"):
            self.claims[-1][kind.split()[0]] = data
        elif kind == "what":
            self.claims[-1]["parts"].append(data)
        elif tag == "b":
            self.claims[-1]["parts"][-1] += f" {data}"


def markdown_tables(text: str) -> dict[str, list[list[str]]]:
    """The tables of a Markdown page by their titles, header first."""
    found = {}
    for title, body in re.findall(r"^### (.*)\n\n((?:\|.*\n?)+)", text, flags=re.MULTILINE):
        header, rule, *rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in body.splitlines()]
        assert len({len(header), len(rule), *map(len, rows)}) == 1
        assert title not in found
        found[title] = [
            [re.sub(r"\\(.)", r"\1", cell.strip()).replace("&lt;", "<") for cell in row] for row in (header, *rows)
        ]
    return found


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    """A folder of pictures that know what they are called."""
    folder = tmp_path / "figures"
    folder.mkdir()
    for name, *_ in (picture for pictures in PICTURES.values() for picture in pictures):
        (folder / f"{name}.png").write_bytes(f"picture {name}".encode())
    return folder


def test_every_cell_of_every_table_stands_in_markdown_and_in_html(results: dict[str, Any], figures: Path) -> None:
    sections = page.compose(record(results | {"ablation": ablation()}), figures)
    shown = [table for section in sections for table in (*section.tables, *section.more)]
    text = page.markdown(record(results), sections)
    in_markdown, reader = markdown_tables(text), Reader(page.html(record(results), sections))
    assert len(shown) == 22
    assert titles(shown) == list(in_markdown) == list(reader.tables)
    for table in shown:
        header = [] if not any(table.header) else [list(table.header)]
        expected = [[cell or ("" if cell == "" else "\N{EN DASH}") for cell in row] for row in table.rows]
        assert reader.tables[table.title] == header + expected
        expected = [["-" if cell is None else cell.strip() for cell in row] for row in table.rows]
        assert in_markdown[table.title] == [list(table.header), *expected]
        assert reader.notes.get(table.title, "") == table.note
        if table.note:
            assert f"\n\n{table.note.replace('<', '&lt;')}\n\n" in text


def test_every_verdict_stands_in_markdown_and_in_html_with_its_measurements_and_its_rule(
    results: dict[str, Any],
) -> None:
    results["classifier"]["original"][0]["trained"] = False
    results["claims"] = judge(results)
    symbols = {"holds": "\N{CHECK MARK}", "does not hold": "\N{MULTIPLICATION SIGN}", "cannot tell": "?"}
    results["claims"][4]["verdict"] = "cannot tell"
    reader, text = Reader(page.html(record(results), [])), page.markdown(record(results), [])
    assert len(reader.claims) == 13
    for shown, one in zip(reader.claims, results["claims"]):
        assert (shown["id"], shown["claim"]) == (one["id"], one["claim"])
        assert shown["badge"] == f"{symbols[one['verdict']]} {one['verdict']}"
        assert shown.get("note", "") == one["note"]
        parts = msgspec.convert(one["parts"], list[JudgedPart])
        found = [f"{part.label} {effect(part.estimate, part.unit)}" for part in parts]
        assert shown["parts"] == found
        found = [f"{text}{tables.behind(part)}" for text, part in zip(found, parts)]
        note = f"{one['note']} " if one["note"] else ""
        assert f"\n\n**{one['id']}: {one['verdict']}.** {note}{one['rule']}\n" in text
        assert f"| {one['id']} | {one['claim']} | {one['verdict']} | {'; '.join(found)} |" in text
    html = page.html(record(results), [])
    assert html.count("What would tell: not seeds") == 1
    assert html.count('<span class="soft"> (seeds [') == 3  # of C6, C11 and C12
    assert html.count(escape(tables.note_of_verdicts(record(results)))) == 1
    assert text.count(in_markdown(tables.note_of_verdicts(record(results)))) == 1
    assert [html.count(f'class="badge {verdict}"') for verdict in symbols] == [11, 1, 1]
    assert html.count("<details><summary>the rule</summary>") == 13


def test_pictures_stand_in_markdown_by_name_and_in_html_whole(results: dict[str, Any], figures: Path) -> None:
    sections = page.compose(record(results), figures)
    expected = [picture for pictures in PICTURES.values() for picture in pictures]
    reader, text = Reader(page.html(record(results), sections)), page.markdown(record(results), sections)
    assert reader.pictures == [(caption, f"picture {name}".encode()) for name, caption, _ in expected]
    assert reader.wide == [wide for *_, wide in expected]
    found = re.findall(r"^!\[(.*)\]\(figures/(.*)\.png\)\n\n(.*)$", text, flags=re.MULTILINE)
    assert found == [(caption, name, caption) for name, caption, _ in expected]


def test_the_page_is_whole_and_needs_nothing_from_outside(results: dict[str, Any], figures: Path) -> None:
    sections = page.compose(record(results | {"ablation": ablation()}), figures)
    text = page.html(record(results), sections)
    reader = Reader(text)
    names = ["Verdicts", *(section.title for section in sections)]
    anchors = ["verdicts", *(re.sub("[^a-z0-9]+", "-", name.lower()) for name in names[1:])]
    assert [link for link in reader.links if link.startswith("#")] == [f"#{anchor}" for anchor in anchors]
    assert [f'<h2 id="{anchor}">{name}</h2>' in text for anchor, name in zip(anchors, names)] == [True] * 7
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in reader.links)
    assert not re.search(r"https?:|@import|<script|url\(", text)
    assert "a &lt;b&gt;bold&lt;/b&gt; idea" in text
    assert "a &lt;b>bold&lt;/b> idea" in page.markdown(record(results), sections)
    for line in page.in_short(record(results)):
        assert f"<li>{line}</li>".replace("'", "&#39;") in text
        assert f"- {line}\n" in page.markdown(record(results), sections)
    comparable = (
        "Published numbers were measured on the data of the report's course. On other data their levels do not "
    )
    comparable += "compare with ours; what a change of the model does to them may."
    assert f'<p class="soft">{comparable}</p>'.replace("'", "&#39;") in text
    assert f"\n\n{comparable}\n\n## Verdicts\n\n" in page.markdown(record(results), sections)
    summary = " ".join(text[text.index('<p class="soft">3 seeds') :].split())
    assert summary.startswith(
        '<p class="soft">3 seeds, report recipe, epochs 15; report recipe, iterations 500, 2,345 training and 1,200 '
        "test rows, 3 speakers, 69 trainings, one "
        "thread each.</p>"
    )


def test_every_table_scrolls_in_a_box_of_its_own(results: dict[str, Any], figures: Path) -> None:
    text = page.html(record(results), page.compose(record(results), figures))
    assert text.count("<table") == text.count('<div class="scroll"><table') > 10
    assert re.search(r"\.scroll \{[^}]*max-width: 100%; overflow-x: auto", text)


def test_sections_follow_each_other_in_markdown(results: dict[str, Any]) -> None:
    sections = [
        Section(
            "One",
            ["A paragraph.", "Another."],
            [Table("T", numbers("a"), [["1"]])],
            [Picture(Path("x/y.png"), "Words.")],
        ),
        Section("Two", [], [], [], [Table("U", numbers("b"), [["2"]], "A note.")]),
    ]
    text = page.markdown(record(results), sections)
    assert text[text.index("## One") :] == (
        "## One\n\nA paragraph.\n\nAnother.\n\n### T\n\n| a |\n|---:|\n| 1 |\n\n![Words.](figures/y.png)\n\nWords.\n\n"
        "## Two\n\n### U\n\n| b |\n|---:|\n| 2 |\n\nA note.\n"
    )
    assert text.startswith(f"# The report, run again\n\n{THE_REPORT}\n\n- {page.in_short(record(results))[0]}\n- ")


def test_a_claim_of_many_parts_shows_six_and_folds_the_others(results: dict[str, Any]) -> None:
    claim = results["claims"][0] | {"parts": results["claims"][0]["parts"] * 20}
    text = page.html(record(results | {"claims": [claim]}), [])
    assert "<details><summary>34 more</summary>" in text
    assert len(Reader(text).claims[0]["parts"]) == 40
    claim = results["claims"][0] | {"parts": results["claims"][0]["parts"] * 3}
    assert " more</summary>" not in page.html(record(results | {"claims": [claim]}), [])


def test_the_page_shows_a_better_variant_as_better_and_with_the_two_swapped_as_worse(figures: Path) -> None:
    better = judged(made_up())
    worse = swapped(made_up(), "learned", "alibi")

    def cells(results: dict[str, Any]) -> list[list[str]]:
        """What is said of ALiBi in a few tables, in Markdown and in HTML."""
        sections = page.compose(record(results), figures)
        both = []
        for found in (
            markdown_tables(page.markdown(record(results), sections)),
            Reader(page.html(record(results), sections)).tables,
        ):
            accuracies, perplexities = found["Classifier by position method"], found["Perplexity by position method"]
            times = [rows for title, rows in found.items() if title.startswith(("Table 4", "Table 5"))]
            rows = [accuracies[2], *perplexities[2:4], *(rows[2] for rows in times)]
            assert [row[0].strip() for row in rows] == ["ALiBi", "ALiBi", "against learned", "ALiBi", "ALiBi"]
            shown = (rows[0][1], rows[0][6], rows[1][3], rows[2][3], rows[3][3], rows[4][3])
            both.append([typed(cell) for cell in shown])
        return both

    here = ["61.6 ± 0.3", "+0.6 [+0.6, +0.6]", "310.5 ± 1.6", "-10.0 [-10.2, -9.8] %"]
    here += ["-14.0 [-16.5, -11.3] %", "-11.6 [-12.4, -10.8] %"]
    there = ["61.0 ± 0.3", "-0.6 [-0.6, -0.6]", "345.0 ± 1.4", "+11.1 [+10.8, +11.4] %"]  # 345 / 310.5 is 1.111
    there += ["+16.2 [+12.8, +19.8] %", "+13.1 [+12.1, +14.1] %"]
    assert cells(better) == [here, here]
    assert cells(worse) == [there, there]
    verdicts = {
        name: {one["id"]: one["badge"][2:] for one in Reader(page.html(record(results), [])).claims}
        for name, results in (("better", better), ("worse", worse))
    }
    turned = ("C7", "C8", "C9")
    assert verdicts["worse"] == verdicts["better"] | dict.fromkeys(turned, "does not hold")
    assert {verdicts["better"][name] for name in turned} == {"holds"}


# -------------------------------------------------------------------------------------------------------------- README


def test_readme_gets_the_tables_between_its_marks(results: dict[str, Any], tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results -->\nstale\n<!-- /results -->\nafter\n")
    documents.fill_results(readme, record(results))
    documents.fill_results(readme, record(results))
    text = readme.read_text()
    assert text.startswith(
        "before\n<!-- results -->\n## Results\n\nFrom `python main.py report --seeds 3`, which writes this section: "
        "seeds 4, 5, 6; commit 0123456789, PyTorch 2.4.1, Acme 9000, 1 thread a run, 2,345 training and 1,200 test "
        "rows; 69 trainings of together 58 minutes; 90.5 minutes in all, or for what an earlier start had left "
        "to do.\n\n- "
    )
    assert text.endswith("\n<!-- /results -->\nafter\n")
    assert "\n\n" + "\n".join(f"- {line}" for line in page.in_short(record(results))) + "\n\nPublished numbers" in text
    shown = [
        tables.verdicts(record(results)),
        tables.classifiers(record(results), ["learned", "alibi", "none"], "Classifier by position method"),
        tables.classifiers(record(results), list(TEST_ACCURACY)[3:], "Classifier by regularization"),
        tables.decoders(record(results)),
        tables.table3(record(results)),
        tables.times(record(results), "classifier"),
        tables.times(record(results), "decoder"),
        tables.lengths(record(results)),
    ]
    assert text.count("\n### ") == len(shown)
    for table in shown:
        assert f"### {table.title}\n\n{markdown_table(table)}\n\n{in_markdown(table.note)}".strip() in text
    assert list(markdown_tables(text)) == titles(shown)
    readme.write_text("no marks")
    with pytest.raises(UserError, match="needs the lines"):
        documents.fill_results(readme, record(results))
    assert readme.read_text() == "no marks"


def test_the_ablation_gets_a_section_of_the_readme(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- ablation -->\nstale\n<!-- /ablation -->\nafter\n")
    documents.fill_ablation(readme, ablated())
    text = readme.read_text()
    assert text.startswith(
        "before\n<!-- ablation -->\n## Ablation of the best recipe\n\nFrom `python main.py ablation`, which writes "
        "this section: seeds 0, 1, 2; commit 0123456789, PyTorch 2.4.1, Acme 9000, 1 thread a run; 30.5 minutes.\n\n###"
    )
    assert list(markdown_tables(text)) == ["Ablation of the best classifier", "Ablation of the best decoder"]


def test_another_file_is_not_taken_for_an_ablation(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for content in (
        {"command": "report"},
        {},
        ["ablation"],
        ablation() | {"command": "measure"},
        ablation() | {"seeds": [0, 1]},  # fewer than values
        damaged(lambda one: one["variants"][1].update(values=[])),
        damaged(lambda one: one.update(variants=[])),
        damaged(lambda one: one["classifier"].popitem()),
        damaged(lambda one: one["classifier"]["the recipe"].pop()),
        damaged(lambda one: one["opponents"][0].update(values=[])),
        damaged(lambda one: one.update(machines=[])),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(UserError) as complaint:
            report.read_ablation(path)
        assert str(complaint.value).startswith(f"{path}: ")
        hint = "not the results of python main.py ablation; leave out --ablation, or name its file"
        assert str(complaint.value).endswith(hint)
    path.write_text(json.dumps(ablation()))
    assert report.read_ablation(path) == ablated()


def damaged(damage: Callable[[Any], object]) -> dict[str, Any]:
    found = ablation()
    damage(found["tasks"][0])
    return found


@pytest.mark.parametrize(
    ("n_tasks", "said"),
    [(1, "classifier\n\nFrom `python main.py ablation`: 1 setting tried"),
     (2, "classifier and decoder\n\nFrom `python main.py ablation`: 2 settings tried")],
)  # fmt: skip
def test_an_ablation_is_added_to_a_log(n_tasks: int, said: str, tmp_path: Path) -> None:
    log = tmp_path / "log.md"
    log.write_text("# Log\n")
    documents.log_ablation(log, ablated(tasks=ablation()["tasks"][:n_tasks]))
    head, day, rest = re.split(r"(\d{4}-\d\d-\d\d)", log.read_text(), maxsplit=1)
    assert head == "# Log\n\n## "
    assert date.fromisoformat(day) in (date.today(), date.today() - timedelta(days=1))
    assert rest.startswith(
        f": changes to the best {said} beside the "
        "recipe; seeds 0, 1, 2; commit 0123456789, PyTorch 2.4.1, Acme 9000, 1 thread a run; 30.5 minutes.\n\n"
        "### Ablation of the best classifier\n\n| variant | parameters | seeds | accuracy, % |"
    )
    titles = ["Ablation of the best classifier", "Ablation of the best decoder"]
    assert list(markdown_tables(rest)) == titles[:n_tasks]


# ----------------------------------------------------------------------------------------------------------- attention


@pytest.fixture
def here(tmp_path: Path) -> Folder:
    return Folder(tmp_path, torch.device("cpu"))


def measured(
    maps: list[tuple[torch.Tensor, torch.Tensor]], task: Any, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What is measured of these attention maps (L, B, H, T, T) and lengths (B,), a batch after the other."""
    n_layers, _, n_heads = maps[0][0].shape[:3]
    run = Run("a run", customise(getattr(STUDY, task), n_layer=n_layers, n_head=n_heads, n_embd=4 * n_heads), 4)
    model = object()

    def load_model(path: Path, wanted: str) -> Any:
        assert (path, wanted) == (folder.weights(run), task)
        return SimpleNamespace(model=model)

    def batches(given: Any, data: Any) -> Any:
        assert given is model
        return iter(maps)

    monkeypatch.setattr(attention, "load_model", load_model)
    monkeypatch.setattr(attention, "batches", batches)
    data: Any = SimpleNamespace(corpus=SimpleNamespace(fingerprint="made up"), tokenizer=Tokenizer(SPECIAL))
    found = attention.attention_over_test(run, data, folder)
    monkeypatch.setattr(attention, "batches", None)
    assert attention.attention_over_test(run, data, folder) == found  # kept, and found again
    path = folder.path / "runs" / "a run.attention.json"
    for changes in ({"padding": found.padding[1:]}, {"entropy": [[*layer, 1.0] for layer in found.entropy]}):
        kept = json.loads(path.read_text())
        path.write_text(json.dumps(kept | {"value": kept["value"] | changes}))
        with pytest.raises(UserError, match=r"a run.attention.json: not whole; delete it, and it is made again"):
            attention.attention_over_test(run, data, folder)
        path.write_text(json.dumps(kept))
    statistics: dict[str, Any] = msgspec.to_builtins(found)
    return statistics


def entropy(*shares: float) -> float:
    return -sum(share * log(share) for share in shares if share)


def test_attention_of_the_encoder_is_that_of_tokens_on_tokens_and_padding_is_a_number_of_its_own(
    here: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pad = [0.25, 0.25, 0.25, 0.25]  # where padding looks is of no interest
    two = [[0.2, 0.2, 0.3, 0.3], [0.1, 0.3, 0.6, 0.0], pad, pad]  # two tokens and two of padding
    one = [[0.5, 0.0, 0.5, 0.0], pad, pad, pad]
    self = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    first = torch.tensor([[[two], [one]]]), torch.tensor([2, 1])
    second = torch.tensor([[[self]]]), torch.tensor([3])
    found = measured([first, second], "classifier", here, monkeypatch)
    # Of six tokens three are in the first batch: they look 0.5, 0.25 and 0 away, even attention 0.5, 0.5 and 0.
    assert found == {
        "distance": [[pytest.approx((0.5 + 0.25 + 0) / 6)]],
        "relative_distance": [[pytest.approx((0.5 + 0.25) / (0.5 + 0.5) / 2)]],  # the second batch's is 0
        "entropy": [[pytest.approx((log(2) + entropy(0.25, 0.75)) / 6)]],
        "relative_entropy": [[pytest.approx((log(2) + entropy(0.25, 0.75)) / (2 * log(2)) / 2)]],
        "padding": [[pytest.approx((0.6 + 0.6 + 0.5) / 6)]],
    }


def test_attention_of_the_decoder_is_compared_with_even_attention_to_the_past(
    here: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    even = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]]
    maps = torch.tensor([[[before, even]], [[even, before]]])  # two layers of two heads
    found = measured([(maps, torch.tensor([3]))], "decoder", here, monkeypatch)
    near, wide = pytest.approx(2 / 3), pytest.approx((0 + 0.5 + 1) / 3)
    assert found["distance"] == [[near, wide], [wide, near]]
    ratio, one = pytest.approx((2 / 3) / 0.5), pytest.approx(1.0)
    assert found["relative_distance"] == [[ratio, one], [one, ratio]]
    assert found["entropy"] == [
        [0.0, pytest.approx((log(2) + log(3)) / 3)],
        [pytest.approx((log(2) + log(3)) / 3), 0.0],
    ]
    assert found["relative_entropy"] == [[0.0, one], [one, 0.0]]
    assert found["padding"] == [[pytest.approx(0.0, abs=1e-9)] * 2] * 2


def test_attention_that_is_no_distribution_is_refused(here: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = torch.tensor([[[[[0.5, 0.4], [0.5, 0.5]]]]])
    with pytest.raises(ValueError, match="does not sum to 1"):
        measured([(maps, torch.tensor([2]))], "classifier", here, monkeypatch)


@pytest.mark.parametrize("pooling", ["mean", "masked-mean"])
def test_attention_of_a_classifier_is_measured_on_every_test_row(pooling: Any, data: Data) -> None:
    model = build_classifier(classifier_of(TINY, pooling=pooling), data.tokenizer.words, 3).eval()
    found = list(attention.batches(model, data, batch_size=10))
    assert [len(lengths) for _, lengths in found] == [10, 10, 4]
    assert torch.cat([lengths for _, lengths in found]).tolist() == data.test.lengths.tolist()
    row = 0
    for maps, lengths in found:
        for folder, length in enumerate(lengths.tolist()):
            ids, true, _ = data.test.batch(torch.tensor([row]), cut=pooling != "mean")
            alone = attention_maps(model, ids, true)[:, 0]  # (L, H, T, T)
            size = 8 if pooling == "mean" else length
            torch.testing.assert_close(maps[:, folder, :, :size, :size], alone, rtol=1e-4, atol=1e-6)
            row += 1
        assert maps.shape[-1] == (8 if pooling == "mean" else int(lengths.max()))
    assert row == 24


def test_attention_of_a_decoder_is_measured_on_windows_of_every_test_text(data: Data) -> None:
    model = Decoder(decoder_of(TINY), data.tokenizer.words).eval()
    streams = data.test_streams | {"short": replace(data.test_streams["obama"], ids=torch.tensor([5, 6, 7]))}
    found = list(attention.batches(model, replace(data, test_streams=streams), batch_size=2))
    windows = []
    for name, stream in streams.items():
        width = 3 if name == "short" else 8
        windows += [stream.ids[start : start + width] for start in range(0, len(stream.ids) - width + 1, width)]
    assert [length for _, lengths in found for length in lengths.tolist()] == [len(window) for window in windows]
    assert max(len(lengths) for _, lengths in found) == 2
    single = [maps[:, folder] for maps, lengths in found for folder in range(len(lengths))]
    for maps, window in zip(single, windows, strict=True):
        alone = attention_maps(model, window[None], torch.tensor([len(window)]))[:, 0]
        torch.testing.assert_close(maps, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("at_chance", "expected"), [([], [4, 5, 6]), ([0, 2], [5]), ([0, 1, 2], [4, 5, 6])])
def test_attention_is_that_of_the_runs_with_learned_positions_that_trained(
    at_chance: list[int], expected: list[int], results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in at_chance:
        results["classifier"]["learned"][seed]["trained"] = False

    def share_out(job: Any, items: Any, n_workers: int, label: str) -> list[Any]:
        assert (job.func, job.keywords) == (attention.attention_over_test, {"data": "data", "folder": "folder"})
        assert (n_workers, label[:16]) == (7, "attention of the")
        return list(items)

    monkeypatch.setattr(attention, "share_out", share_out)
    runs = STUDY.runs({(task, name): 3 for task in ("classifier", "decoder") for name in ("learned", "none")})
    records: dict[Any, Any] = {key: getattr(record(results), key[0])[key[1]][key[2] - 4] for key in runs}
    found: Any = attention.attention_of(records, runs, "data", "folder", 7)  # type: ignore[arg-type]
    assert found == {
        "encoder": [runs["classifier", "learned", seed] for seed in expected],
        "decoder": [runs["decoder", "learned", seed] for seed in (4, 5, 6)],
    }


def test_means_of_attention_are_over_seeds_by_layer_and_head(results: dict[str, Any]) -> None:
    means = attention.attention_means(record(results).attention["encoder"])
    assert means.distance == [pytest.approx([mean, mean + 0.04]) for mean in (2.5, 3.8, 5.5)]
    assert means.padding == [pytest.approx([mean, mean + 0.04]) for mean in (0.25, 0.38, 0.45)]
    entropies = attention.attention_means(record(results).attention["decoder"]).entropy
    assert entropies == [pytest.approx([mean, mean + 0.04]) for mean in (3.9, 3.6, 2.9)]


# ------------------------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize(("at_chance", "seed"), [([], 4), ([0], 5), ([0, 1, 2], 4)])
def test_every_figure_of_the_page_is_drawn_from_its_own_numbers(
    at_chance: list[int], seed: int, results: dict[str, Any], here: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in at_chance:
        results["classifier"]["learned"][number]["trained"] = False
    drawn, maps = intercept(monkeypatch), []
    monkeypatch.setattr(report, "load_model", lambda path, task: path)
    monkeypatch.setattr(report, "draw_attention", lambda *given: maps.append(given))
    sentence, models = "what is drawn", report.shown_models(record(results), STUDY, here)
    report.draw_maps(record(results), models, here.path / "figures", sentence)
    report.draw(record(results), here.path / "figures")
    figures = here.path / "figures"
    assert maps == [
        (figures, here.path / f"classifier-learned-seed{seed}.safetensors", sentence, 2, LABELS["encoder"]),
        (figures, here.path / "decoder-learned-seed4.safetensors", sentence, 6, LABELS["decoder"]),
    ]
    attention = {f"figure{n}_{kind}_attention_layer{layer}" for n, kind, layer in FIGURES_OF_ATTENTION}
    expected = {name for pictures in PICTURES.values() for name, *_ in pictures} - attention
    assert {Path(name).stem for name in drawn} == expected
    assert {figure["folder"] for figure in drawn.values()} == {figures}
    for kind, base in (("encoder", 0.5), ("decoder", 1.7)):
        figure = drawn[f"attention_{kind}.png"]
        assert figure["function"] == "grid_figure"
        assert list(figure["grids"]) == ["mean distance, tokens", "entropy, nats"]
        distance, entropies = figure["grids"].values()
        assert distance == [pytest.approx([base + mean, base + mean + 0.04]) for mean in (2.0, 3.3, 5.0)]
        assert entropies == [pytest.approx([base + mean, base + mean + 0.04]) for mean in (2.2, 1.9, 1.2)]
        assert (figure["row_names"], figure["column_names"]) == (["1", "2", "3"], ["1", "2"])
        assert (figure["row_label"], figure["column_label"]) == ("layer", "head")
        assert figure["title"] == f"Attention of the {kind} over the test set\n{LABELS[kind]}"


LABELS = {"encoder": "report recipe, epochs 15", "decoder": "report recipe, iterations 500"}
FIGURES_OF_ATTENTION = [(2, "encoder", 1), (3, "encoder", 3), (6, "decoder", 1), (7, "decoder", 3)]


def lines(figure: dict[str, Any]) -> list[tuple[Any, ...]]:
    assert figure["function"] == "interval_figure"
    return [(one.name, one.value, one.low, one.high, one.claim, one.color) for one in figure["intervals"]]


def test_intervals_of_every_change_are_drawn(
    results: dict[str, Any], here: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = intercept(monkeypatch)
    report.draw(record(results), here.path / "figures")
    expected: list[tuple[Any, ...]] = []
    for folder, (variant, name) in enumerate((("alibi", "ALiBi"), ("none", "no positions")), start=1):
        for text in ("train", *TEXTS):
            a, b = PERPLEXITY[variant][text], PERPLEXITY["learned"][text]
            ratios = [x / y for x, y in zip(seeds(a, (0.004 + 0.001 * folder) * a), seeds(b, 0.004 * b))]
            ends = [100 * (exp(end) - 1) for end in interval([log(ratio) for ratio in ratios])]
            expected.append(
                (f"{name}, {text}", *(pytest.approx(end) for end in ends), None, figures_of.VARIANTS[variant])
            )
    changes, points = drawn["changes_perplexity.png"], drawn["changes_accuracy.png"]
    assert lines(changes) == expected
    assert (changes["x_label"], changes["title"]) == (
        "change of perplexity against learned positions (%)",
        "What positions change\nreport recipe, iterations 500",
    )
    assert points["x_label"] == "difference in test accuracy (points)"
    assert points["title"] == "What each variant changes\nreport recipe, epochs 15"
    assert (changes["number"], points["number"]) == ("+.1f", "+.1f")
    names = list(TEST_ACCURACY)
    pairs = [("alibi", "learned"), ("none", "learned"), ("alibi", "none")]
    pairs += [(name, "original") for name in names[4:]]
    shown = {"learned": "learned positions", "alibi": "ALiBi", "none": "no positions"}
    expected = []
    for variant, base in pairs:
        values = [seeds(TEST_ACCURACY[name], 0.3 + 0.02 * names.index(name)) for name in (variant, base)]
        points_of = interval([x - y for x, y in zip(*values)])
        name = shown.get(variant, variant.replace("batch-norm-", "batch norm + ").replace("-", " "))
        name += "" if base == "original" else f" (against {shown[base]})"
        claim = 2.0 if variant == "batch-norm-dropout-0.2" else None
        expected.append((name, *(pytest.approx(end) for end in points_of), claim, figures_of.VARIANTS[variant]))
    assert lines(points) == expected
    drawn.clear()
    report.draw(record(of_others(results)), here.path / "figures")
    assert {one.claim for one in drawn["changes_accuracy.png"]["intervals"]} == {None}


def test_an_interval_of_a_ratio_is_a_change_in_percent() -> None:
    ratio = figures_of.interval("x", estimate(0.9, 0.8, 1.1), ratio=True)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((-10.0, -20.0, 10.0))
    assert figures_of.interval("x", estimate(0.9, 0.8, 1.1), claim=2.0) == utilities.Interval(
        "x", 0.9, 0.8, 1.1, claim=2.0
    )
    alone = figures_of.interval("x", estimate(1.5), ratio=True)
    assert alone == utilities.Interval("x", 50.0, None, None)


def test_the_trigram_that_the_page_compares_with_is_not_the_one_that_is_told(results: dict[str, Any]) -> None:
    for scores in results["ngram_scores"]["ngram_unk"].values():
        scores["perplexity"] = 1.0
    assert "on 2 of 3 test texts" in page.in_short(record(results))[2]
