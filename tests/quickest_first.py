"""A pytest plugin for mutation testing: the quickest tests first, no more than SECONDS of them, and slow imports once.

mutmut gives a mutant's tests in no order, and the first that fails ends them; a mutant that lives pays for all. In
mutmut's run for statistics (MUTANT_UNDER_TEST is "stats") it is written to COSTS what tests and fixtures cost, and then
that sets their order. Mutants are forked from a process that has collected the tests: what this imports, none of them
need.
"""

import importlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

COSTS = Path("test_costs.json")
SECONDS = "MUTATION_SECONDS"  # the variable that says how many, of this process's time
IMPORTED_LATE = (
    *("torch.distributed.tensor", "torch._dynamo", "matplotlib.backends.backend_agg", "nltk", "jinja2"),
    *("sklearn.linear_model", "sklearn.svm", "sklearn.naive_bayes", "scipy.stats"),
)


class Costs:
    """Seconds of fixtures, and of tests with the names of their fixtures."""

    def __init__(self) -> None:
        self.fixtures: dict[str, float] = {}
        self.tests: dict[str, tuple[float, list[str]]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[Any]:
        started = time.process_time()
        try:
            return (yield)
        finally:
            seconds = time.process_time() - started
            self.fixtures[fixturedef.argname] = max(seconds, self.fixtures.get(fixturedef.argname, 0.0))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Function) -> Iterator[None]:
        started = time.process_time()
        try:
            return (yield)
        finally:
            self.tests[item.nodeid] = time.process_time() - started, item.fixturenames

    def pytest_sessionfinish(self) -> None:
        COSTS.write_text(json.dumps({"fixtures": self.fixtures, "tests": self.tests}))


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("MUTANT_UNDER_TEST") == "stats":
        config.pluginmanager.register(Costs())


def pytest_collection_finish() -> None:
    for name in IMPORTED_LATE:
        importlib.import_module(name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not COSTS.exists():
        return
    costs = json.loads(COSTS.read_text())

    def cost(item: pytest.Item, paid: set[str] | None = None) -> float:
        seconds, names = costs["tests"].get(item.nodeid, (0.0, []))
        return seconds + sum(costs["fixtures"].get(name, 0.0) for name in set(names).difference(paid or ()))

    items.sort(key=cost)
    if "__mutmut_" in os.environ.get("MUTANT_UNDER_TEST", ""):
        spent, paid = 0.0, set[str]()
        limit = float(os.environ[SECONDS])
        for number, item in enumerate(items):
            spent += cost(item, paid)
            if number and spent > limit:
                del items[number:]
                break
            paid.update(costs["tests"].get(item.nodeid, (0.0, []))[1])
