"""A pytest plugin for mutation testing: the quickest tests first, and slow imports once.

mutmut gives a mutant's tests in no order, and the first that fails ends them. In its run for statistics
(MUTANT_UNDER_TEST is "stats") it is written to COSTS what each test costs, fixtures included; in every other that sets
the order. Mutants are forked from a process that has collected the tests: what this imports, none of them need.
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
IMPORTED_LATE = (
    *("torch.distributed.tensor", "torch._dynamo", "matplotlib.backends.backend_agg", "nltk", "jinja2"),
    *("sklearn.linear_model", "sklearn.svm", "sklearn.naive_bayes", "scipy.stats"),
)


class Costs:
    """Seconds by fixture and by test; a test costs what all its fixtures cost, whoever made them."""

    def __init__(self) -> None:
        self.fixtures: dict[str, float] = {}
        self.tests: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[Any]:
        started = time.perf_counter()
        try:
            return (yield)
        finally:
            seconds = time.perf_counter() - started
            self.fixtures[fixturedef.argname] = max(seconds, self.fixtures.get(fixturedef.argname, 0.0))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Function) -> Iterator[None]:
        started = time.perf_counter()
        try:
            return (yield)
        finally:
            fixtures = sum(self.fixtures.get(name, 0.0) for name in item.fixturenames)
            self.tests[item.nodeid] = time.perf_counter() - started + fixtures

    def pytest_sessionfinish(self) -> None:
        COSTS.write_text(json.dumps(self.tests, indent=0))


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("MUTANT_UNDER_TEST") == "stats":
        config.pluginmanager.register(Costs())


def pytest_collection_finish() -> None:
    for name in IMPORTED_LATE:
        importlib.import_module(name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if COSTS.exists():
        costs = json.loads(COSTS.read_text())
        items.sort(key=lambda item: costs.get(item.nodeid, 0.0))
