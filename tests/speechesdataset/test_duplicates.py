"""Copies and near copies among texts."""

import unicodedata

import numpy as np
import pytest

from speechesdataset.duplicates import NEAR, closest, normal_words


def test_normal_words_do_not_depend_on_the_transcriber() -> None:
    forms = ["We don't know, America!", "we don\u2019t know \u2014 AMERICA", "We do n't know , America ."]
    assert {tuple(normal_words(form)) for form in forms} == {("we", "do", "not", "know", "america")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिंदी में बात।", ["हिंदी", "में", "बात"]),
        ("הַסֵּפֶר, הַשָּׁלוֹם", ["הַסֵּפֶר", "הַשָּׁלוֹם"]),
        ("விரும்புகிறார் அமைதி.", ["விரும்புகிறார்", "அமைதி"]),
        ("الصَّبَاحَ", ["الصَّبَاحَ"]),
        ("Zoe\u0301 Zo\u00e9", ["zo\u00e9", "zo\u00e9"]),
        ("\u548c\u5e73 abc\u3002", ["\u548c", "\u5e73", "abc"]),
        ("\u0e01\u0e31\u0e19", ["\u0e01\u0e31", "\u0e19"]),  # a vowel sign belongs to its letter in Thai, too
    ],
)
def test_a_word_keeps_its_signs(text: str, words: list[str]) -> None:
    assert normal_words(text) == [unicodedata.normalize("NFC", word) for word in words]


@pytest.mark.parametrize(
    ("text", "other", "near"),
    [
        ("We will build the road to the north.", "we will BUILD the road -- to the north", True),
        ("...", "...", True),
        ("...", "--", False),
        ("We can get that done.", "We can get this done.", True),  # one word of five
        ("They will not rest.", "We will not rest.", False),  # one of four: too short to say
        ("The road to the north is long and it is steep.", "The road to the south is long and it is steep.", True),
        ("The road to the north is long.", "And so, the road to the north is long and steep and cold.", True),
        ("And so, my friends, the road to the north is long and steep and cold.", "The north is long.", False),
        ("It is time to act on the road.", "It is time to rest by the sea.", False),
    ],
)
def test_near_copies(text: str, other: str, near: bool) -> None:
    noise = ["Nothing here is like it.", "A sentence of its own stands alone."]
    index, share = closest([text], [*noise, other])
    assert (share[0] >= NEAR) == near
    assert index[0] == 2 or not near
    assert (closest([*noise, text, other])[1][2] >= NEAR) == near  # and inside one list


def test_a_text_is_not_its_own_copy() -> None:
    index, share = closest(["one two three four five six", "one two three four five nine ten eleven", "seven"])
    assert index.tolist() == [1, 0, -1]
    assert share.tolist() == [0.75, 0.5, 0.0]


def test_the_closest_of_many_is_found() -> None:
    random = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in random.integers(0, 50, 20)) for _ in range(3000)]
    queries = [f"{texts[i]} more" for i in (7, 2999)]
    index, share = closest(queries, texts)
    assert index.tolist() == [7, 2999]
    assert share == pytest.approx([18 / 19, 18 / 19])


def test_nothing_to_compare() -> None:
    assert closest([], [])[0].tolist() == []
    assert closest(["one two three"], [])[1].tolist() == [0.0]
    assert closest(["", "a"])[1].tolist() == [0.0, 0.0]
