"""The command that says what the tests notice: what it opens to mutmut, what it counts, what it refuses."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mutation import ROOT, check_faults, drawn, mutants_of, read_list, report, undecorated

DECORATED = """
import contextlib, functools

@contextlib.contextmanager
def twice(n):
    yield 2 * n

class Numbers:
    @property
    def three(self):
        return 3

    @staticmethod
    def four():
        return 4

def outer():
    @functools.cache
    @functools.cache
    def inner():
        return 5
    return inner()
"""


def test_decorators_are_applied_after_their_functions() -> None:
    opened = undecorated(DECORATED)
    found: dict[str, Any] = {}
    exec(opened, found)
    with found["twice"](1) as two:
        assert (two, found["Numbers"]().three, found["Numbers"].four(), found["outer"]()) == (2, 3, 4, 5)
    assert [line for line in opened.split("\n") if "@" in line] == ["    @staticmethod"]
    assert "    inner = functools.cache(functools.cache(inner))" in opened.split("\n")


def test_every_planted_fault_finds_its_place() -> None:
    check_faults(read_list("planted_faults.toml", "fault"))


@pytest.mark.parametrize("old", ["return 1", "n = 2"])
def test_a_fault_that_has_no_place_or_two_is_refused(old: str, tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text("n = 2\nn = 2\n")
    with pytest.raises(SystemExit, match=r"found [02] times"):
        check_faults([{"name": "a fault", "file": str(source), "old": old}])


def test_mutants_are_counted_by_their_end_and_those_that_live_are_shown(tmp_path: Path) -> None:
    (tmp_path / "mutants").mkdir()
    mutated = tmp_path / "mutants" / "module.py"
    mutated.write_text("def xǁAǁf__mutmut_orig(self):\n    return 1\ndef xǁAǁf__mutmut_1(self):\n    return 2\n")
    spans = {"xǁAǁf__mutmut_orig": [1, 2], "xǁAǁf__mutmut_1": [3, 4]}
    mutated.with_suffix(".py.spans").write_text(json.dumps({"spans": spans}))
    codes = {"module.xǁAǁf__mutmut_1": 0, "2": 1, "3": -11, "4": 36, "5": 255, "6": None}
    mutated.with_suffix(".py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    found = mutants_of(tmp_path, "module")
    assert found["counts"] == {"survived": 1, "killed": 2, "timed out": 2, "not tried": 1}
    assert [(one["function"], one["old"], one["new"]) for one in found["alive"]] == [
        ("module.A.f", "return 1", "return 2")
    ]


CIRCUMSTANCES = {"commit": "abc", "date": "2025-01-02", "machine": "a processor"}
ALIVE = [
    {"function": "runs.perform", "old": "a", "new": "b", "end": "survived"},
    {"function": "runs.perform", "old": "`c`", "new": "", "end": "no tests"},
]
FOUND = {
    "runs": {
        "counts": {"killed": 7, "timed out": 1, "survived": 1, "no tests": 1},
        "alive": ALIVE,
        "sample": None,
        "seconds_of_tests": 9.0,
        **CIRCUMSTANCES,
    }
}
FAULTS = {"faults": [{"name": "a fault", "file": "runs.py", "noticed": "tests/test_runs.py::test_it"}], **CIRCUMSTANCES}
EQUIVALENT = {"function": "runs.perform", "old": "a", "new": "b", "why": "b is a"}


def test_equivalent_mutants_do_not_count() -> None:
    text = report(FOUND, FAULTS, [EQUIVALENT])
    assert "| runs | 10 | 10 | 8 | 1 | 1 | 88.9% [56, 98] | abc | 2025-01-02 |" in text
    assert "| all | 10 | 10 | 8 | 1 | 1 | 88.9% [56, 98] |  |  |" in text
    assert "- `runs.perform`: `a` as `b`: b is a\n" in text
    assert text.endswith("### runs\n\n- `runs.perform`\n  - `` `c` `` as nothing, no test\n\n")
    assert "1 of 1 make a test fail" in text
    assert "- a fault (`runs.py`): `test_runs.py::test_it`\n" in text


def test_an_equivalent_mutant_that_died_is_refused() -> None:
    with pytest.raises(SystemExit, match="no mutant that lives"):
        report(FOUND, FAULTS, [EQUIVALENT | {"new": "c"}])


def test_a_sample_is_scored_by_what_was_tried() -> None:
    counts = {"killed": 3, "not tried": 96, "survived": 1}
    text = report({"runs": FOUND["runs"] | {"counts": counts, "alive": ALIVE[1:], "sample": 4}}, FAULTS, [EQUIVALENT])
    assert "| runs | 100 | 4 | 3 | 0 | 1 | 75.0% [30, 95] | abc | 2025-01-02 |" in text


def test_a_sample_is_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "mutants").mkdir()
    codes = {f"runs.{number}": None for number in range(50)}
    (tmp_path / "mutants" / "runs.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    sample = drawn(tmp_path, "runs", 10)
    assert sample == drawn(tmp_path, "runs", 10)
    assert len(set(sample)) == 10
    assert set(sample) < set(codes)
    assert set(drawn(tmp_path, "runs", 99)) == set(codes)


def test_mutants_that_were_not_tried_are_not_passed_over() -> None:
    with pytest.raises(SystemExit, match="2 mutants were not tried"):
        report({"runs": FOUND["runs"] | {"counts": {"killed": 1, "not tried": 2}}}, FAULTS, [])


@pytest.mark.processes
def test_the_command_imports_nothing_that_a_fault_may_be_planted_in() -> None:
    code = "import sys; sys.path[:0] = ['tests', '.']; import mutation; mutation.circumstances()"
    code += "; assert not set(mutation.MODULES) & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
