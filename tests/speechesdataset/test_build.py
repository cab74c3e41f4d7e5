"""The builder: honest data, the same bytes every time, and nobody's files overwritten."""

import errno
import functools
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from launch import end, start

from common import files
from common.files import UserError
from speechesdataset import split
from speechesdataset.build import DEFAULT_CHECKSUM, build, checksum, choose, clean, presidents
from speechesdataset.duplicates import closest, normal_words
from speechesdataset.folder import SpeakerCounts, load_corpus, missing_files

NAMES = ["train_CLS.tsv", "test_CLS.tsv", "train_LM.txt", "test_LM_obama.txt", "test_LM_wbush.txt", "test_LM_hbush.txt"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "data"
    build(out)
    return out


def test_what_is_built(built: Path) -> None:
    corpus = load_corpus(built)
    assert corpus.class_names == ["Obama", "G. W. Bush", "G. H. W. Bush"]
    assert sorted(corpus.test_texts) == ["hbush", "obama", "wbush"]
    assert missing_files(built) == []
    for rows in (corpus.train, corpus.test):
        numbers = {sum(row.label == label for row in rows) for label in "012"}
        assert len(numbers) == 1  # the same for each speaker
        assert min(numbers) >= 100
    manifest = json.loads((built / "manifest.json").read_text())
    assert set(NAMES) < set(manifest["files"])
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((built / name).read_bytes()).hexdigest() == digest


def test_no_test_segment_or_near_copy_of_one_is_in_any_training_file(built: Path) -> None:
    corpus = load_corpus(built)
    train = [row.text for row in corpus.train] + corpus.train_text
    test = [row.text for row in corpus.test]
    assert sorted(test) == sorted(line for lines in corpus.test_texts.values() for line in lines)
    words = [set(zip(*[normal_words(text)[i:] for i in range(3)], strict=False)) for text in train]
    for text in test[::9]:  # counted by brute force, apart from closest
        trigrams = set(zip(*[normal_words(text)[i:] for i in range(3)], strict=False))
        assert max(len(trigrams & other) for other in words) < max(2, split.ECHO * len(trigrams))
    assert closest(test, train)[1].max() < split.ECHO
    assert closest(test)[1].max() < split.ECHO


def test_training_rows_are_distinct_and_stand_in_the_training_text(built: Path) -> None:
    corpus = load_corpus(built)
    texts = [" ".join(normal_words(row.text)) for row in corpus.train]
    assert len(set(texts)) == len(texts)
    assert {row.text for row in corpus.train} <= set(corpus.train_text)


def test_a_training_row_contradicts_no_other() -> None:
    shared, short = "We stand together here today.", "Thank you."
    first, second = "We open the long road.", "We close the old harbor."
    assert split._rows([[shared, first, short, first], [shared.upper(), second]]) == [[first], [second]]


def test_what_each_number_of_the_manifest_counts() -> None:
    """Of two documents alike one goes to the test, whichever is drawn; no two numbers are alike."""

    def document(name: str, n_good: int, n_short: int, n_copies: int, n_figures: int) -> split.Document:
        good = [
            " ".join(f"{word}{name}{i}" for word in ("we", "will", "mend", "the", "road")) + "." for i in range(n_good)
        ]
        said = [*good, *["Thank you all."] * n_short, *[f"{name} thanks the people of it."] * n_copies]
        return split.Document(said, {split.FIGURES: n_figures})

    ada = split.Speaker("ada", "Ada", [document("a", 30, 2, 3, 7), document("b", 30, 2, 3, 1)], {"files": 9})
    ben = split.Speaker("ben", "Ben", [document(name, 40, 5, 4, 8) for name in ("c", "d", "e")])
    _, counts = split.make_files([ada, ben], "speech", seed=0)
    assert counts == [
        SpeakerCounts(
            label="0",
            name="Ada",
            test_file="test_LM_ada.txt",
            documents=2,
            sentences=70,
            usable_sentences=60,
            test_segments=15,  # a quarter of 60
            train_segments=31,  # the copies once
            train_LM_segments=35,
            left_out={"files": 9, split.FIGURES: 8, split.SHORT: 2, split.COPIES: 3, split.SURPLUS: 15},
        ),
        SpeakerCounts(
            label="1",
            name="Ben",
            test_file="test_LM_ben.txt",
            documents=3,
            sentences=147,
            usable_sentences=120,
            test_segments=15,
            train_segments=31,
            train_LM_segments=98,
            left_out={split.FIGURES: 24, split.SHORT: 5, split.COPIES: 4, split.SURPLUS: 25},
        ),
    ]


def test_nothing_of_the_transcribers_is_left(built: Path) -> None:
    text = "".join((built / name).read_text() for name in NAMES)
    assert not set("[]*_|\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u00a0") & set(text)
    for trace in (" laughter", "applause)", "the president. ", "audience member"):
        assert trace not in text.lower()


@pytest.mark.processes
@pytest.mark.slow
def test_the_same_bytes_every_time_and_the_committed_ones(built: Path, tmp_path: Path) -> None:
    script = f"from speechesdataset.build import build; build({str(tmp_path)!r})"
    environment = os.environ | {"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    root = Path(__file__).parent.parent.parent
    run = subprocess.run([sys.executable, "-c", script], cwd=root, env=environment, capture_output=True, check=True)
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert contents == {path.name: path.read_bytes() for path in built.iterdir()}
    assert checksum(json.loads(contents["manifest.json"])["files"]) == DEFAULT_CHECKSUM
    assert run.stderr == b""


def small(_: Any = None, text: bytes = b"text\n") -> tuple[dict[str, bytes], list]:
    return dict.fromkeys(NAMES, text), []


def test_a_users_files_are_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechesdataset.split.make_files", lambda *_: small())
    (tmp_path / "train_LM.txt").write_text("mine\n")
    with pytest.raises(UserError, match=r"train_LM\.txt"):
        build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["train_LM.txt"]
    assert (tmp_path / "train_LM.txt").read_text() == "mine\n"
    (tmp_path / "train_LM.txt").write_text("text\n")  # the very bytes: the rest is added
    build(tmp_path)
    assert missing_files(tmp_path) == []
    (tmp_path / "test_LM_lincoln.txt").write_text("mine\n")  # would become a test set of this data
    with pytest.raises(UserError, match="test_LM_lincoln"):
        build(tmp_path)
    with pytest.raises(UserError, match="is a file"):
        build(tmp_path / "train_LM.txt")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("speechesdataset.split.make_files", lambda *_: small())
    (tmp_path / "train_LM.txt").write_text("text\n")
    monkeypatch.setattr(files.os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["train_LM.txt"]


def killed_at(step: int, out: Path) -> bool:
    """Build `out` in a process that is killed before its `step`-th change of a name; whether it came so far."""
    child = os.fork()
    if child == 0:
        steps = itertools.count(1)

        def or_die(change: Any, *arguments: Any) -> Any:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments)

        for owner, name in ((os, "replace"), (Path, "rename")):
            change = functools.partial(or_die, getattr(owner, name))
            setattr(owner, name, lambda *arguments, change=change: change(*arguments))
        try:
            build(out)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.processes
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.slow
def test_a_kill_leaves_nothing_or_everything_or_what_is_known_to_be_half(
    exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speechesdataset.split.make_files", lambda *_: small())
    n_half = 0
    for step in itertools.count(1):
        folder = tmp_path / str(step) / "data"
        if exists:  # the default folder holds modules
            folder.mkdir(parents=True)
            (folder / "build.py").write_text("mine")
        killed = killed_at(step, folder)
        assert not (folder / "build.py").exists() or (folder / "build.py").read_text() == "mine"
        data_files = {path.name for path in folder.glob("*")} - {"build.py", ".data.building"}
        whole = data_files == {*NAMES, "manifest.json"}
        if data_files and not whole:
            n_half += 1
            with pytest.raises(UserError, match="it is half built: run the command again"):
                load_corpus(folder)
        build(folder)  # goes on
        assert missing_files(folder) == []
        assert {path.name for path in folder.parent.rglob("*")} - {"build.py"} == {"data", *NAMES, "manifest.json"}
        if not killed:
            break
    assert step > len(NAMES)
    assert (n_half > 0) == exists


def build_apart(out: Path, text: str) -> None:
    split.make_files = lambda *_: small(text=text.encode())
    build(out)


@pytest.mark.processes
@pytest.mark.slow
def test_of_two_processes_that_build_different_data_in_one_folder_one_is_refused(tmp_path: Path) -> None:
    for number in range(5):
        out = tmp_path / str(number)
        children = [start(build_apart, out, text) for text in ("one\n", "two\n")]
        codes = sorted(end(child) or 0 for child in children)
        assert codes == [0, 1]
        assert len({(out / name).read_bytes() for name in NAMES}) == 1


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("The President. Well\u2014[applause]. Let\u2019s go.", "Well. Let's go."),
        ("We build [on]* what\u2019s best\u2014[laughter]\u2014now.", "We build on what's best -- now."),
        ("He paid [the price; White House correction] twice. [See APP Note.]", "He paid the price twice."),
        ("We act now--today - and later . . . We wait\u2026", "We act now -- today -- and later... We wait..."),
        ("\u201cYes, we do.\u201d\n\nAudience members. U.S.A.! Go on!\nRep. Smith. You lie now!", '"Yes, we do."'),
        ("My plan\u2014[laughter]. Audience member. [Inaudible]", "My plan."),
        ("HARRY S. TRUMAN\n$19,697,929.84 12,000.00 in all\nThe  end\u00a0came.", "The end came."),
    ],
)
def test_typography_is_made_uniform(raw: str, expected: str) -> None:
    assert clean(raw).paragraphs == [expected]


def test_what_is_no_part_of_a_speech_is_counted() -> None:
    address = clean("TO THE CONGRESS\n\n[Applause]\nRep. Smith. You lie now!\nWe rest.\n1990 12,000.00 in all\n 1 2 \n")
    assert address.paragraphs == ["We rest."]
    assert sorted(address.left_out.values()) == [1, 1, 1, 2]  # three kinds, and the lines of figures


@pytest.mark.parametrize("many", ["[", "* ", "- ", " ", "[x] ", ". ", "\u2014 ", "a"])
def test_no_text_takes_longer_than_its_length_allows(many: str) -> None:
    before = time.process_time()
    clean(f"We rest {many * 40_000} here")
    assert time.process_time() - before < 2


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("roosevelt-32", 32),
        ("Theodore Roosevelt", 26),
        ("FDR", 32),
        ("George Bush 41", 41),
        ("hbush", 41),
        ("G. H. W. Bush", 41),
        ("w bush", 43),
        ("John Adams", 2),
        ("J. Q. Adams", 6),
        ("van buren", 8),
        ("harrison", 23),
        ("Joseph Biden", 46),
    ],
)
def test_names_that_people_type(typed: str, number: int) -> None:
    assert choose([typed, "washington"])[0].number == number


def test_all_presidents_have_names_of_their_own() -> None:
    everybody = choose(["all"])
    assert len(everybody) == len({who.slug for who in everybody}) == len({who.name for who in everybody}) == 45
    assert {len(who.addresses) for who in everybody if who.slug in ("obama", "wbush")} == {7}
    assert [choose([who.slug, "obama" if who.number == 1 else "washington"])[0] for who in everybody] == presidents()


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["bush", "obama"], r"'bush' may be hbush \(George H.W. Bush, number 41\) or wbush"),
        (["trump", "obama"], "trump-45 .* or trump-47"),
        (["lincon", "obama"], "did you mean lincoln"),
        (["", "obama"], "no president called ''"),
        (["obama", "Barack Obama"], "obama is named twice"),
        (["obama"], "at least two"),
    ],
)
def test_names_that_need_explaining(names: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        choose(names)
