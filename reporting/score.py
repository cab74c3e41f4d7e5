"""How surprising a text is, word by word, as the terminal gets it."""

from rich.text import Text

from inference.score import Scored, ScoredText
from reporting.table import Table, numbers, terminal_text, words
from reporting.tinted import show, tinted
from reporting.wording import number
from tokenizer import TokenKind

FEW = 40  # tokens: of a longer text only the most surprising stand in the table
MOST = 1000  # tokens that are shown tinted
STARTLING = 12.0  # nats; what is more surprising is no darker


def print_score(found: ScoredText, kind: TokenKind) -> None:
    """The text, tinted by how surprising each token is to each scorer; tokens in numbers, and the whole."""
    between = " " if kind == "word" else ""  # other tokens have their spaces
    for one in found.scored if len(found.tokens) <= FEW else found.scored[:1]:
        text = tinted(found.tokens[:MOST], [-nats for nats in one.nats[:MOST]], STARTLING, between)
        rest = len(found.tokens) - MOST
        show(Text(f"{one.name}: ").append_text(text).append(f" ... and {rest:,} more" if rest > 0 else ""))
    print("\n" + terminal_text(by_token(found), whole(found)))


def by_token(found: ScoredText) -> Table:
    """The nats of every token, or of a long text the most surprising ones with what stands before them."""
    title, places = "Nats by token: -log of its probability after all before it", list(range(len(found.tokens)))
    if len(places) > FEW:
        title = f"The {FEW // 2} of {len(places):,} tokens that surprise the {found.scored[0].name} most, in nats"
        places = sorted(places, key=lambda place: -found.scored[0].nats[place])[: FEW // 2]
    rows = [
        [" ".join(found.tokens[max(0, i - 2) : i]), found.tokens[i], *(number(one.nats[i], 2) for one in found.scored)]
        for i in places
    ]
    columns = words("after", "token") + numbers(*(one.name for one in found.scored))
    return Table(title, columns, rows)


def whole(found: ScoredText) -> Table:
    """What is said of the text as a whole."""

    def row(one: Scored) -> list[str | None]:
        values = (sum(one.nats), one.whole.perplexity, one.whole.bits_per_byte)
        return [one.name, *(number(value, digits) for value, digits in zip(values, (1, 2, 3)))]

    unknown = f"{number(found.scored[0].whole.unk_rate)}% of {len(found.tokens):,} tokens are <unk>"
    note = f"{unknown}; in bits per byte each costs its spelling, too; decoder read in {found.protocol}"
    columns = words("the whole") + numbers("nats", "perplexity", "bits per byte")
    return Table("", columns, list(map(row, found.scored)), note)
