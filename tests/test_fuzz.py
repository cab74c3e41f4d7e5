"""A few of the inputs of `python -m tests.fuzz`: none ends in a traceback, and a fault would be counted as one."""

from collections.abc import Iterator
from random import Random

import pytest
from fuzz.feeding import Count, feed, feed_one, table
from fuzz.readers import Reader, all_readers

from common.files import UserError


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Reader]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORATOR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield all_readers(tmp_path_factory.mktemp("fuzz"))


def test_no_input_ends_in_a_traceback(readers: list[Reader]) -> None:
    counts = feed(readers, 600, seed=7)
    assert {name: dict(count.kinds) for name, count in counts.items() if count.failed} == {}
    assert sum(count.inputs for count in counts.values()) == 600
    assert all(count.inputs == count.refused + count.accepted > 0 for count in counts.values())
    assert sum(count.refused for count in counts.values()) > 200


def test_whatever_is_no_answer_in_one_line_counts_as_a_fault() -> None:
    def refuse(_: Random) -> None:
        raise UserError("two\nlines become one")

    def fail(_: Random) -> None:
        raise ZeroDivisionError("a fault")

    def full(_: Random) -> None:
        raise OSError(28, "No space left on device")

    counts = {}
    for feeder in (refuse, fail, full, print):
        counts[feeder.__name__] = count = Count()
        feed_one(Reader(feeder.__name__, 1, feeder), Random(0), count, "input 0")
    found = {name: (count.refused, count.accepted, count.failed) for name, count in counts.items()}
    assert found == {"refuse": (1, 0, 0), "fail": (0, 0, 1), "full": (0, 0, 1), "print": (0, 1, 0)}
    assert "ZeroDivisionError at test_fuzz.py" in next(iter(counts["fail"].kinds))
    assert table(counts, 60.0).splitlines()[-3] == "| all | 4 | 1 | 1 | 2 |"


def test_the_same_seed_gives_the_same_inputs(readers: list[Reader]) -> None:
    chosen = [one for one in readers if one.name in ("environment", "command line: complaints")]
    first, second, other = (
        {name: (count.inputs, count.refused) for name, count in feed(chosen, 200, seed).items()} for seed in (1, 1, 2)
    )
    assert first == second != other
