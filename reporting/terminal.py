"""Runs to tables that a person reads."""

from typing import Any

from reporting import table, tables
from reporting.table import plain, text_table
from studies.opponents import BASELINE_NAMES, NGRAM_NAMES
from training.machine import distinct_machines


def part1_text(results: dict[str, Any]) -> str:
    """Table 1 of a classifier's run, its accuracy on all, seen and unseen rows, and the baselines beside it."""
    epochs = text_table(
        ["epoch", "train loss", "train accuracy %", "test accuracy %"],
        [
            [row["epoch"], f"{row['train_loss']:.4f}", row["train_accuracy"], row["test_accuracy"]]
            for row in results["epochs"]
        ],
    )
    models = {
        f"transformer ({results['recipe']} recipe{by_which(results)})": results["test"],
        **{name: results["baselines"][key] for key, name in BASELINE_NAMES.items()},
    }
    scores = results["scores"]
    counts = {group: results["test"][group]["n"] for group in ("all", "seen", "unseen")}
    accuracies = text_table(
        ["test accuracy %", *(f"{group} ({n})" for group, n in counts.items())],
        [[name, *(groups[group]["accuracy"] for group in counts)] for name, groups in models.items()],
    )
    lines = [
        f"Table 1: {results['n_parameters']:,} parameters, vocabulary of {tables.vocabulary(results)}, "
        f"seed {results['seed']}",
        epochs,
        "",
        accuracies,
        "(seen: the row's text appears word for word in train_CLS.tsv)",
        "",
        text_table(
            ["class", "test rows", "precision %", "recall %", "F1 %"],
            [
                *([row["name"], row["n"], row["precision"], row["recall"], row["f1"]] for row in scores["classes"]),
                ["mean (macro)", None, None, None, scores["macro_f1"]],
            ],
        ),
        "",
    ]
    if counts["seen"]:
        lines.append(
            f"Warning: {counts['seen']:,} of {counts['all']:,} test rows appear in the training file, too; "
            "`python main.py data audit` with the same --data-dir shows them."
        )
    if not results["trained"]:
        how = "fell back to" if results["fell_back"] else "stayed at"
        lines.append(
            f"This run {how} chance: it knows no more of its training rows than which class is the largest. With "
            "another --seed, training may succeed."
        )
    n_cut, block = results["n_truncated"], results["block_size"]
    if any(n_cut.values()):
        lines.append(f"Cut at {block} tokens: {n_cut['train']:,} training and {n_cut['test']:,} test rows.")
        lines[-1] += " A larger --block-size reads more of them." if by_which(results) else ""
    lines.append(f"Training took {results['train_seconds']:.1f} s of {results['total_seconds']:.1f} s.")
    lines.append(f"Computed on: {tables.computed_on([results['machine']])}.")
    return "\n".join(lines)


def by_which(results: dict[str, Any]) -> str:
    """What must be said of a model that does not read words."""
    name = tables.token_of(results)
    return "" if name == "word" else f", {name}s"


def part2_text(results: dict[str, Any]) -> str:
    """Tables 2 and 3 of a decoder's runs with the n-gram baseline and the rates of <unk>."""
    names = list(results["unk_rate"])
    lines = []
    for number, model in enumerate(results["models"], start=2):
        found = {row["iteration"]: row["perplexity"] for row in model["iterations"]}
        lines += [
            f"Table {number}: perplexity by iteration, hidden size {model['ff_dim']}, {model['n_parameters']:,} "
            f"parameters, vocabulary of {tables.vocabulary(results)}, seed {results['seed']}; "
            f"{results['protocol']}",
            text_table(
                ["text", *map(str, found)],
                [[name, *(row[name] for row in found.values())] for name in ("train", *names)],
            ),
            "",
        ]
    kind = by_which(results)
    scored = {f"decoder, hidden size {model['ff_dim']}{kind}": model["scores"] for model in results["models"]}
    scored |= {NGRAM_NAMES[key]: scores for key, scores in results["ngram_scores"].items()}
    for key in tables.measures_of(results):
        rows = [[name, *(scores[name][key] for scores in scored.values())] for name in names]
        title, digits = key.replace("_without_unk", " without <unk>").replace("_", " "), 3 if key[0] == "b" else 2
        lines += [text_table([title, *scored], rows, digits), ""]
    if "perplexity_without_unk" in tables.measures_of(results):
        lines.append(text_table(["text", "<unk>, % of tokens"], [[name, results["unk_rate"][name]] for name in names]))
    lines += [
        f"(every token of each file is scored once{tables.unknown_spelt(results)})",
        *filter(None, [tables.by_token(results).strip()]),
        f"Training took {sum(model['train_seconds'] for model in results['models']):.1f} s of "
        f"{results['total_seconds']:.1f} s.",
        f"Computed on: {tables.computed_on(distinct_machines(results['models']))}.",
        *filter(None, [tables.mixture(distinct_machines(results["models"]))]),
    ]
    return "\n".join(lines)


def part3_text(results: dict[str, Any]) -> str:
    """The tables of the exploration, and the verdicts that its runs allow."""
    lines, machines = [*map(plain, tables.part3(results)), "Verdicts"], results["machines"]
    for one in results["claims"]:
        lines.append(f"{one['id']:4} {one['verdict'].upper():14}  {one['claim']}")
        lines += [f"       {part['label']}  {table.effect(part['estimate'], part['unit'])}" for part in one["parts"]]
        lines += [f"       {one['note']}"] if one["note"] else []
    if len(results["seeds"]) == 1:
        lines.append(
            "One seed gives no intervals, so nothing can be judged: --seeds 5 tells which differences are real."
        )
    lines += ["", f"It took {results['total_seconds']:.1f} s in all. Computed on: {tables.computed_on(machines)}."]
    lines += filter(None, [tables.mixture(machines)])
    return "\n".join(lines)


def ablation_text(results: dict[str, Any]) -> str:
    """The table of each task."""
    lines = [plain(table) for table in tables.tables_of_ablation(results)]
    return "\n".join([*lines, f"It took {results['total_seconds'] / 60:.1f} minutes."])


def tokenizers_text(results: dict[str, Any]) -> str:
    """Words, subwords and characters beside each other."""
    lines = [plain(table) for table in tables.tables_of_tokenizers(results)]
    return "\n".join([*lines, f"It took {results['total_seconds'] / 60:.1f} minutes."])


def measure_text(results: dict[str, Any]) -> str:
    """Both recipes and their opponents."""
    lines = [plain(table) for table in tables.tables_of_measurement(results)]
    return "\n".join([*lines, *tables.in_a_sentence(results), f"It took {results['total_seconds'] / 60:.1f} minutes."])
