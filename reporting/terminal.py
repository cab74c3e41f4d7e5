"""Runs to the tables and sentences that the terminal shows."""

from collections.abc import Mapping, Sequence
from typing import Any

from reporting import tables
from reporting.table import Item, Table, effect, number, numbers, terminal_text, words
from studies.opponents import BASELINE_NAMES, NGRAM_NAMES
from training.machine import distinct_machines


def part1_text(results: Mapping[str, Any]) -> str:
    """Table 1 of a classifier's run, its accuracy on all, seen and unseen rows, and the baselines beside it."""
    lines = []
    test, n_cut, block = results["test"], results["n_truncated"], results["block_size"]
    if test["seen"]["n"]:
        lines.append(
            f"Warning: {test['seen']['n']:,} of {test['all']['n']:,} test rows appear in the training file, too; "
            "`python main.py data audit` with the same --data-dir shows them."
        )
    if not results["trained"]:
        how = "fell back to" if results["fell_back"] else "stayed at"
        lines.append(
            f"This run {how} chance: it knows no more of its training rows than which class is the largest. With "
            "another --seed, training may succeed."
        )
    if any(n_cut.values()):
        lines.append(f"Cut at {block} tokens: {n_cut['train']:,} training and {n_cut['test']:,} test rows.")
    lines.append(f"Training took {results['train_seconds']:.1f} s of {results['total_seconds']:.1f} s.")
    lines.append(f"Computed on: {tables.computed_on([results['machine']])}.")
    return terminal_text(_epochs(results), _accuracies(results), _classes(results["scores"]), *lines)


def _epochs(results: Mapping[str, Any]) -> Table:
    title = f"Table 1: {results['n_parameters']:,} parameters, vocabulary of {results['vocabulary_size']:,} words, "
    rows = [
        [
            *(str(row["epoch"]), number(row["train_loss"], 4)),
            *(number(row[name], 2) for name in ("train_accuracy", "test_accuracy")),
        ]
        for row in results["epochs"]
    ]
    columns = numbers("epoch", "train loss", "train accuracy %", "test accuracy %")
    return Table(f"{title}seed {results['seed']}", columns, rows)


def _accuracies(results: Mapping[str, Any]) -> Table:
    models = {
        f"transformer ({results['recipe']} recipe)": results["test"],
        **{name: results["baselines"][key] for key, name in BASELINE_NAMES.items()},
    }
    groups = ("all", "seen", "unseen")
    columns = words("test accuracy %") + numbers(*(f"{group} ({results['test'][group]['n']})" for group in groups))
    rows = [[name, *_cells([found[group]["accuracy"] for group in groups])] for name, found in models.items()]
    return Table("", columns, rows, "seen: the row's text appears word for word in train_CLS.tsv")


def _classes(scores: Mapping[str, Any]) -> Table:
    rows: list[list[str | None]] = [
        [row["name"], f"{row['n']:,}", *_cells([row[key] for key in ("precision", "recall", "f1")])]
        for row in scores["classes"]
    ]
    rows.append(["mean (macro)", None, None, None, *_cells([scores["macro_f1"]])])
    return Table("", words("class") + numbers("test rows", "precision %", "recall %", "F1 %"), rows)


def part2_text(results: Mapping[str, Any]) -> str:
    """Tables 2 and 3 of a decoder's runs with the n-gram baseline and the rates of <unk>."""
    names, models, machines = list(results["unk_rate"]), results["models"], distinct_machines(results["models"])
    scored = {f"decoder, hidden size {model['ff_dim']}": model["scores"] for model in models}
    scored |= {name: results["ngram_scores"][key] for key, name in NGRAM_NAMES.items()}
    measures = {"perplexity": "perplexity", "perplexity_without_unk": "perplexity without <unk>"}
    measures["bits_per_byte"] = "bits per byte"
    unknown = [["<unk>, % of tokens", *_cells([results["unk_rate"][name] for name in names])]]
    note = "every token of each file is scored once; bits per byte: 8 bits for each byte of an unknown word and its end"
    return terminal_text(
        *(_iterations(results, model, place) for place, model in enumerate(models, start=2)),
        *(
            Table(
                "",
                words(title) + numbers(*names),
                [
                    [model, *_cells([scores[name][key] for name in names], 3 if key == "bits_per_byte" else 2)]
                    for model, scores in scored.items()
                ],
            )
            for key, title in measures.items()
        ),
        Table("", words("text") + numbers(*names), unknown, note),
        f"Training took {sum(model['train_seconds'] for model in models):.1f} s of {results['total_seconds']:.1f} s.",
        f"Computed on: {tables.computed_on(machines)}.",
        *filter(None, [tables.mixture(machines)]),
    )


def _iterations(results: Mapping[str, Any], model: Mapping[str, Any], place: int) -> Table:
    """A decoder's perplexity on each text as it trained."""
    title = f"Table {place}: perplexity by iteration, hidden size {model['ff_dim']}, {model['n_parameters']:,} "
    title += f"parameters, vocabulary of {results['vocabulary_size']:,} words, seed {results['seed']}; "
    found = model["iterations"]
    rows = [[text, *_cells([row["perplexity"][text] for row in found])] for text in ("train", *results["unk_rate"])]
    columns = words("text") + numbers(*(str(row["iteration"]) for row in found))
    return Table(f"{title}{results['protocol']}", columns, rows)


def part3_text(results: Mapping[str, Any]) -> str:
    """The tables of the exploration, and the verdicts that its runs allow."""
    verdicts: list[str | Item] = ["Verdicts"]
    for one in results["claims"]:
        verdicts.append(Item(f"{one['id']:4} {one['verdict'].upper():14}  ", one["claim"]))
        verdicts += [
            Item(" " * 7, f"{part['label']}  {effect(part['estimate'], part['unit'])}") for part in one["parts"]
        ]
        verdicts += [Item(" " * 7, one["note"])] if one["note"] else []
    if len(results["seeds"]) == 1:
        verdicts.append(
            "One seed gives no intervals, so nothing can be judged: --seeds 5 tells which differences are real."
        )
    machines = results["machines"]
    return terminal_text(
        *tables.part3(results),
        *verdicts,
        "",
        f"It took {results['total_seconds']:.1f} s in all. Computed on: {tables.computed_on(machines)}.",
        *filter(None, [tables.mixture(machines)]),
    )


def ablation_text(results: Mapping[str, Any]) -> str:
    """The table of each task."""
    return terminal_text(*tables.tables_of_ablation(results), _minutes(results))


def measure_text(results: Mapping[str, Any]) -> str:
    """Both recipes and their opponents."""
    return terminal_text(*tables.tables_of_measurement(results), *tables.in_a_sentence(results), _minutes(results))


def _minutes(results: Mapping[str, Any]) -> str:
    return f"It took {results['total_seconds'] / 60:.1f} minutes."


def _cells(values: Sequence[float | None], digits: int = 2) -> list[str | None]:
    return [None if value is None else number(value, digits) for value in values]
