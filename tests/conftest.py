"""What every test shares: a cache folder of its own, so that no test touches the user's; one thread; tiny data."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

import dataset

os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start; more threads only get in each other's way here
torch.set_num_threads(1)

settings.register_profile("busy", deadline=None)  # a slow machine is no fault
settings.load_profile("busy")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """ORATOR_CACHE for this session, inherited by the commands that tests start."""
    before = os.environ.get("ORATOR_CACHE")
    folder = tmp_path_factory.mktemp("cache")
    os.environ["ORATOR_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["ORATOR_CACHE"]
    else:
        os.environ["ORATOR_CACHE"] = before


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, here and in what tests start, even where the shell had it ignored, as it does after `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three speakers who favour words of their own: 60 training rows, 24 test rows of which 6 are seen, four texts."""
    folder, draw = tmp_path_factory.mktemp("data"), random.Random(0)
    shared = "we the people of this land will work and hope for a better day"
    own = ["change health jobs schools", "terror freedom troops faith", "taxes budget trade soviet"]

    def sentence(speaker: int, extra: str = "") -> str:
        words = draw.choices(shared.split(), k=draw.randint(3, 8)) + draw.choices(own[speaker].split(), k=3)
        draw.shuffle(words)
        return " ".join([*words, *extra.split()]) + " ."

    train = [(row % 3, sentence(row % 3)) for row in range(60)]
    test = [*train[:6], *((row % 3, sentence(row % 3)) for row in range(18))]
    for name, rows in (("train_CLS.tsv", train), ("test_CLS.tsv", test)):
        (folder / name).write_text("".join(f"{speaker}\t{text}\n" for speaker, text in rows))
    (folder / "train_LM.txt").write_text("".join(f"{text}\n" for _, text in train))
    for speaker, name in enumerate(("obama", "wbush", "hbush")):
        (folder / f"test_LM_{name}.txt").write_text("".join(sentence(speaker, "unheard") + "\n" for _ in range(5)))
    return folder


@pytest.fixture(scope="session")
def data(cache: Path, data_folder: Path) -> dataset.Data:
    """The tiny data in blocks of 8 tokens."""
    return dataset.load_data(data_folder, block_size=8)


@pytest.fixture(scope="session")
def trained_runs(tmp_path_factory: pytest.TempPathFactory, data: dataset.Data) -> Path:
    """A folder of runs on the tiny data: a classifier on two seeds, and then a decoder."""
    from studies.catalogue.recipes import RECIPES
    from training.recipe import Run, customise
    from training.runs import Folder, perform

    folder, small = tmp_path_factory.mktemp("runs"), {"n_embd": 16, "n_layer": 2, "block_size": 8, "ff_dim": 16}
    classifier = customise(RECIPES["report"]["classifier"], duration=3, **small)
    decoder = customise(RECIPES["report"]["decoder"], duration=20, **small)
    for name, run in (
        ("part1", Run("classifier-seed0", classifier, 0)),
        ("part1", Run("classifier-seed1", classifier, 1)),
        ("part2", Run("decoder-ff16", decoder, 0)),
    ):
        perform(run, data, Folder(folder / name, torch.device("cpu")), few=False)
    return folder
