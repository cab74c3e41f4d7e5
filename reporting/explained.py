"""What is said of one trained model and a text: which words made a decision, how surprising each is, and what the model
loses without its parts or the words. On the terminal words are tinted, and all numbers stand in tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.style import Style
from rich.text import Text
from torch import Tensor

import utilities
from common.wording import counted, in_one_line
from inference.explain import Explanation, ranked
from inference.score import Scored, ScoredText
from reporting.table import (
    Table,
    effect,
    number,
    numbers,
    table_of,
    terminal_text,
    terminal_width,
    words,
)
from studies.probes.faithfulness import METHODS, Faithfulness
from studies.probes.knockouts import KnockOuts
from tokenizer import TokenKind
from training.kinds import KINDS
from training.weights import TrainedModel

MOST_CLASSES = 5  # in a line
MOST_SPEAKERS = 3  # that are shown, the likeliest
FEW_TOKENS = 40  # of a longer text only the most surprising tokens stand in the table
MOST_TOKENS = 1000  # that are shown tinted
STARTLING = 12.0  # nats; what is more surprising is no darker


# ---------------------------------------------------------------------------------------------------------- who said it
def print_explanation(explanation: Explanation) -> None:
    """The words, tinted by what they add to each speaker that is shown, and all numbers in tables."""
    largest = float(explanation.gradients.abs().max())
    for k in likeliest(explanation):
        name = f"{explanation.class_names[k]} {number(100 * float(explanation.probabilities[k]))}%"
        print_tinted(name, tinted(explanation.words, explanation.gradients[:, k].tolist(), largest))
    print("\n" + terminal_text(*contributions(explanation)))


def row_of_classes(trained: TrainedModel, probabilities: Tensor, *about: str) -> str:
    """The likeliest class, the probabilities, of (K,), and what they are of, with tabs between."""
    classes = ranked(trained, probabilities)[:MOST_CLASSES]
    shares = "  ".join(f"{name} {100 * share:.1f}%" for name, share in classes)
    return "\t".join(in_one_line(column).strip() for column in (classes[0][0], shares, *about) if column)


def likeliest(explanation: Explanation) -> list[int]:
    """The classes that are shown, the likeliest first."""
    order: list[int] = explanation.probabilities.argsort(descending=True, stable=True).tolist()
    return order[:MOST_SPEAKERS]


def contributions(explanation: Explanation) -> list[Table]:
    """What each word adds to each class that is shown, with attention beside it, and what is lost without the word."""

    def row(word: str, values: Tensor) -> list[str | None]:
        return [word, *(number(100 * float(values[k]), sign=True) for k in likeliest(explanation))]

    columns = words("word") + numbers(*(explanation.class_names[k] for k in likeliest(explanation)))
    falls = list(map(row, explanation.words, explanation.leave_one_out))
    lost = Table("How far the probability falls without the word, in points", columns, falls)
    gains = [*map(row, explanation.words, explanation.gradients), row("together", explanation.gradients.sum(dim=0))]
    note = "Integrated gradients: from a text of as many <pad> to these words."
    if explanation.attention is not None:
        note += " Attention, to compare: the word's share of it, over all layers, heads and positions that look."
        columns = columns + numbers("attention %")
        shares = [number(100 * share) for share in explanation.attention.tolist()]
        gains = [[*gain, share] for gain, share in zip(gains, [*shares, ""], strict=True)]
    return [Table("What each word adds to the probability of a speaker, in points", columns, gains, note), lost]


def draw_explanation(path: Path, explanation: Explanation) -> None:
    """What each word adds to each class that is shown, by both methods, as a picture."""
    methods = {"gradients": explanation.gradients, "left out": explanation.leave_one_out}
    grids = {
        f"{explanation.class_names[k]}, {100 * float(explanation.probabilities[k]):.0f}%": torch.stack(
            [(100 * values[:, k]).round() for values in methods.values()], dim=1
        )
        for k in likeliest(explanation)
    }
    note = explanation.note.partition(":")[0]  # the unknown words are marked
    title = "What each word adds to a probability, in points"
    title = "\n".join(filter(None, [title, note]))
    utilities.grid_figure(path, grids, explanation.words, list(methods), "", "", title, "z.0f", signed=True)


def in_numbers(explanation: Explanation) -> dict[str, Any]:
    """All of it for a program, in shares of 1."""
    shares = {name: value.tolist() if isinstance(value, Tensor) else value for name, value in vars(explanation).items()}
    return {"integrated_gradients": shares.pop("gradients"), **shares}


# ------------------------------------------------------------------------------------------------- how surprising is it
def print_score(text: ScoredText, kind: TokenKind) -> None:
    """The text, tinted by how surprising each token is to each scorer; tokens in numbers, and the whole."""
    between = " " if kind == "word" else ""  # other tokens have their spaces
    for scorer in text.scored if len(text.tokens) <= FEW_TOKENS else text.scored[:1]:
        nats = [-nats for nats in scorer.nats[:MOST_TOKENS]]
        tokens = tinted(text.tokens[:MOST_TOKENS], nats, STARTLING, between)
        rest = len(text.tokens) - MOST_TOKENS
        print_tinted(scorer.name, tokens.append(f" ... and {rest:,} more" if rest > 0 else ""))
    print("\n" + terminal_text(nats_by_token(text), whole(text)))


def nats_by_token(text: ScoredText) -> Table:
    """The nats of every token, or of a long text the most surprising ones with what stands before them."""
    title, shown = "Nats of each token: -log of its probability after all before it", list(range(len(text.tokens)))
    if len(shown) > FEW_TOKENS:
        nats, n = text.scored[0].nats, FEW_TOKENS // 2
        title = f"The {n} of {len(shown):,} tokens that surprise the {text.scored[0].name} most, in nats"
        shown = sorted(shown, key=lambda i: -nats[i])[:n]
    rows = [
        {
            "after": " ".join(text.tokens[max(0, i - 2) : i]),
            "token": text.tokens[i],
            **{scorer.name: number(scorer.nats[i], 2) for scorer in text.scored},
        }
        for i in shown
    ]
    return table_of(title, rows, ("after", "token"))


def whole(text: ScoredText) -> Table:
    """What is said of the text as a whole."""

    def row(scorer: Scored) -> dict[str, str | None]:
        return {
            "the whole": scorer.name,
            "nats": number(sum(scorer.nats)),
            "perplexity": number(scorer.whole.perplexity, 2),
            "bits per byte": number(scorer.whole.bits_per_byte, 3),
        }

    note = (
        f"{number(text.scored[0].whole.unk_rate)}% of {len(text.tokens):,} tokens are <unk>; in bits per byte each "
        f"costs its spelling, too. The decoder reads {text.protocol}."
    )
    return table_of("", list(map(row, text.scored)), ("the whole",), note)


# ----------------------------------------------------------------------------------------------- without words or parts
def faithfulness_table(probed: Faithfulness) -> Table:
    """How far the probability falls, by method and number of words deleted, and how the methods compare."""
    deleted, rows = "words that are deleted", dict[tuple[str, str], dict[str, str | None]]()
    for fall in probed.falls:
        estimates = {
            METHODS[fall.method]: fall.fall,
            "   beyond random words": fall.against_random,
            "   beyond most attention": fall.against_attention,
        }
        for name, estimate in estimates.items():
            if estimate is not None:
                row = rows.setdefault((fall.method, name), {deleted: name})
                row[counted(fall.deleted, "word")] = effect(estimate, "points", bare=True)
    n_rows = ", ".join(f"{n:,}" for n in probed.n_rows.values())
    note = (
        f"Of test rows that have more words than are deleted ({n_rows}), with 95% intervals over rows. Leave-one-out "
        "asks of each word just what 1 word deleted shows."
    )
    return table_of(
        "How far the probability of the model's answer falls, in points", list(rows.values()), (deleted,), note
    )


def knockouts_table(probed: KnockOuts) -> Table:
    """What one model loses without each of its parts."""
    kind = KINDS[probed.task]
    measure = kind.first_measure
    change = "falls by" if measure.higher_is_better else "rises by"
    rows: list[dict[str, str | None]] = [{"without": "nothing", measure.title: number(probed.value), change: ""}]
    for knocked in probed.without:
        cost = effect(knocked.cost, measure.unit)
        rows.append({"without": knocked.part.name, measure.title: number(knocked.value), change: cost})
    note = (
        "The output of each part is replaced by its mean over the training data; 95% intervals over "
        f"{probed.n_items:,} test {kind.items[1]}."
        f"{' The trigram that predicts with the decoder stays as it is.' if probed.has_trigram else ''}"
    )
    return table_of(f"The {probed.task} without each of its parts", rows, ("without",), note)


# -------------------------------------------------------------------------------------------------------------- colours
def tinted(texts: Sequence[str], values: Sequence[float], largest: float, between: str = " ") -> Text:
    """The words one after the other; from 0 to `largest` they turn blue, down to -`largest` orange."""
    text = Text()
    for word, value in zip(texts, values, strict=True):
        colour = shade(value, largest)
        text.append(between if text else "")
        text.append(in_one_line(word), Style(color="#000000", bgcolor=colour) if colour else None)
    return text


def print_tinted(name: str, text: Text) -> None:
    """Print a text after the name of whose it is, as wide as the terminal, in as many colours as that has."""
    named = Text(f"{in_one_line(name)}: ").append_text(text)
    Console(width=terminal_width(), highlight=False).print(named, soft_wrap=False)


def shade(value: float, largest: float) -> str | None:
    """The colour "#rrggbb" behind a word, paler the smaller its share of the largest; None if it would not be seen."""
    share = min(abs(value) / largest, 1.0) if largest else 0.0
    if share < 0.05:
        return None
    deepest = bytes.fromhex((utilities.FOR if value > 0 else utilities.AGAINST)[1:])
    red, green, blue = (round(255 + share * (part - 255)) for part in deepest)
    return f"#{red:02x}{green:02x}{blue:02x}"
