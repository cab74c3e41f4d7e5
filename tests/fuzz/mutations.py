"""Valid inputs with something wrong in them: in a JSON value, in its text, in bytes, in a line of words."""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

STRANGE: list[Any] = [
    *(None, True, False, "", "x", [], {}, -1, 0, 1, 2, 3, 7, 1.5, -0.0, 1e-320, 1e308, -1e308, 2**31, 2**53, 2**63),
    *(
        2**64,
        10**6,
        10**9,
        10**18,
        10**100,
        -(10**100),
        10**400,
        "NaN",
        "1",
        "\0",
        "\ud800",
        "\ufeff",
        "x" * 5000,
        [[]],
    ),
    *([None], [1, 2], ["a", "b"], {"a": 1}, {"": None}, [[1.0], [2.0, 3.0]], float("nan"), float("inf"), -float("inf")),
]
TEXTS = [
    *(
        "",
        " ",
        "\t",
        "\n",
        "\r",
        "\0",
        "\ufeff",
        "a",
        "We",
        ".",
        "...",
        "--",
        "\u2014",
        "\u2019",
        '"',
        "''",
        "<unk>",
        "<pad>",
    ),
    *("<cls>", "@-@", "1,000", "\u00e9", "e\u0301", "\u4eca\u65e5\u306f", "\u0928\u092e\u0938\u094d\u0924\u0947"),
    *(
        "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd",
        "\U0001f600",
        "\u200d",
        "\u202e",
        "\u2028",
        "\x1b[31m",
        "Ba$$in",
        "<b>",
    ),
    *(
        "|",
        "\\",
        "%s",
        "{0}",
        "[",
        "* ",
        "a" * 300,
        "a." * 200,
        "[" * 300,
        "* " * 200,
        "\ue000",
        "\ud800",
        "\udcff",
        "\x85",
    ),
    *("U.S.A.", "Mr.", "can't", "\u0130", "\u00df", "\ufb01", "0\tsome words", "label\ttext", "\u0e01\u0e32\u0e23"),
]


def strange(random: Random) -> Any:
    """One of the strange values, for the taking: what is changed in it is changed in this one alone."""
    return copy.deepcopy(random.choice(STRANGE))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container in a JSON value with each of its keys, from the outside in."""
    waiting = [value]
    while waiting:
        container = waiting.pop()
        keys = (
            container if isinstance(container, dict) else range(len(container)) if isinstance(container, list) else ()
        )
        for key in list(keys):
            yield container, key
            if isinstance(container[key], dict | list):
                waiting.append(container[key])


def mutated_value(value: Any, random: Random) -> Any:
    """A JSON value, changed in place, with one to three things in it of another type, size, number or place."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        found = list(places(value))
        if not found:
            return strange(random)
        container, key = random.choice(found)
        other, other_key = random.choice(found)
        match random.randrange(9):
            case 0 | 1 | 2:
                container[key] = strange(random)
            case 3:
                del container[key]
            case 4:
                container[key], other[other_key] = other[other_key], container[key]
                if is_circular(value):
                    return strange(random)
            case 5 if isinstance(container, list):
                container.insert(random.randrange(len(container) + 1), container[key])
            case 5:
                container[random.choice(("more", "", "format", "n_embd"))] = strange(random)
            case 6 if isinstance(container[key], int | float) and abs(container[key]) < 1e250:
                factor = random.choice((-1, 0, 2, 1e9, 1e-9, 10**30, 0.999999))
                container[key] = random.choice((container[key] * factor, container[key] + 1, container[key] - 1))
            case 6 if isinstance(container[key], str):
                container[key] += random.choice(TEXTS)
            case 7 if isinstance(container[key], list):
                container[key] = random.choice((container[key][:-1], container[key][::-1], container[key] * 2))
            case _:
                container[key] = [container[key]] if random.random() < 0.5 else {"a": container[key]}
    return value


def is_circular(value: Any) -> bool:
    """Whether a value stands in itself, or has grown beyond use, after two parts of it have changed places."""
    return sum(1 for _, _ in zip(places(value), range(20_000), strict=False)) >= 20_000


def mutated_json(value: Any, random: Random) -> str:
    """The text of a mutated value; sometimes what is wrong is in the text."""
    text = json.dumps(mutated_value(value, random))
    place = random.randrange(len(text) + 1)
    match random.randrange(40):
        case 0:
            return text[:place]
        case 1:
            return (
                text[:place]
                + random.choice(("[" * 3000, '{"a":' * 3000, "9" * 5000, "\\ud800", "1e999", ",", "\0"))
                + text[place:]
            )
        case 2:
            return text[:place] + random.choice('{}[]",:0-eE.\\ntf\u00e9') + text[place + 1 :]
        case 3:
            return random.choice(
                ("[" * 5000 + "]" * 5000, "9" * 20_000, "", "null", "[]", "{}", "\ufeff" + text, text + text)
            )
    return text


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """A file that is cut, or in which bytes are changed, doubled or left out."""
    for _ in range(random.choice((1, 1, 2, 4))):
        place, length = random.randrange(len(data) + 1), random.choice((1, 1, 2, 8, 64))
        match random.randrange(5):
            case 0:
                data = data[:place]
            case 1:
                data = data[:place] + random.randbytes(length) + data[place + length :]
            case 2:
                data = data[:place] + data[place + length :]
            case 3:
                data = data[:place] + data[place : place + length] * 2 + data[place + length :]
            case _ if place < len(data):
                data = data[:place] + bytes([data[place] ^ (1 << random.randrange(8))]) + data[place + 1 :]
    return data


def any_text(random: Random, words: list[str], most: int = 12) -> str:
    """Some words, with strange ones among them."""
    found = [random.choice(TEXTS if random.random() < 0.4 else words) for _ in range(random.randrange(most))]
    return random.choice((" ", " ", " ", "", "\n")).join(found)


def mutated_text(text: str, random: Random) -> str:
    """A text into which something strange is put, or of which something is left out."""
    for _ in range(random.choice((1, 1, 2, 5))):
        place = random.randrange(len(text) + 1)
        match random.randrange(4):
            case 0:
                text = text[:place] + random.choice(TEXTS) + text[place:]
            case 1:
                text = text[:place] + random.choice(TEXTS) + text[place + random.randrange(1, 30) :]
            case 2:
                text = text[:place] + text[place + random.randrange(1, 200) :]
            case _:
                text = text[:place] + text[max(0, place - random.randrange(1, 200)) :]
    return text
