"""The data of the golden runs: made-up sentences of three speakers, the same bytes every time."""

import hashlib
import random
from pathlib import Path

OPENERS = "We The In Our Now"
SHARED = "the a of and to in we our will must can this land day work hope people every long new"
OWN = [  # what one speaker says more often than the others
    "change health job school worker tomorrow Together built",
    "terror freedom troop faith enemy resolve Liberty defend",
    "tax budget trade prudent kinder deficit Wall treaty",
]
ROWS = "harbour lantern orchard meadow cellar ribbon copper"  # more words of train_CLS.tsv, and of test texts
ONCE = "meadow umbrella cellar gravel ribbon violin copper pepper"  # in train_LM.txt, once; half of them there alone
UNKNOWN = "zeppelin marmalade quartz"  # stand in test texts alone
TEXTS = ("obama", "wbush", "hbush")  # in the order of the labels


def write_data(folder: Path) -> None:
    """Write the six files.

    Classes of different sizes; rows that stand twice; test rows that stand in training; rows with the words of another
    speaker; rows longer than the smallest block; words that one task's training alone has, and words that none has.
    """
    draw = random.Random(0)

    def sentence(speaker: int, extra: str = "", n_extra: int = 0) -> str:
        voice = OWN[speaker if draw.random() < 0.8 else (speaker + 1) % 3]
        words = draw.choices(SHARED.split(), k=draw.randint(3, 9)) + draw.choices(voice.split(), k=draw.randint(1, 4))
        words += draw.choices(extra.split(), k=n_extra) if n_extra else []
        draw.shuffle(words)
        return f"{draw.choice(OPENERS.split())} {' '.join(words)}{draw.choice(['.', '.', '!', ' , yes .'])}"

    speakers = [0] * 40 + [1] * 30 + [2] * 22
    draw.shuffle(speakers)
    train = [(speaker, sentence(speaker, ROWS, draw.randint(0, 1))) for speaker in speakers]
    train += train[:4]
    test = train[10:18] + [(speaker, sentence(speaker)) for speaker in [0] * 9 + [1] * 8 + [2] * 7]
    for name, rows in (("train_CLS.tsv", train), ("test_CLS.tsv", test)):
        write_lines(folder / name, [f"{speaker}\t{text}" for speaker, text in rows])
    rare = {12 * number + 5: word for number, word in enumerate(ONCE.split())}
    text = [sentence(speaker, rare.get(line, ""), int(line in rare)) for line, speaker in enumerate(speakers)]
    write_lines(folder / "train_LM.txt", text)
    for speaker, name in enumerate(TEXTS):
        text = [sentence(speaker, f"{ROWS} {UNKNOWN}", draw.randint(0, 1)) for _ in range(12 + speaker)]
        write_lines(folder / f"test_LM_{name}.txt", text)


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def digest(folder: Path) -> str:
    """SHA-256 over names and bytes of the files."""
    files = [path.name.encode() + path.read_bytes() for path in sorted(folder.iterdir())]
    return hashlib.sha256(b"".join(files)).hexdigest()
