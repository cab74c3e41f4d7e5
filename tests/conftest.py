"""What every test shares: a cache folder of its own, so that no test reads or fills the user's."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


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
