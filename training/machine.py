"""What a result depends on besides settings and data: code, software, processor, threads."""

import contextlib
import functools
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from common.files import sha256
from training.processes import process

ROOMS = ("", "common", "evaluation", "inference", "modules", "reporting", "speechesdataset", "studies", "training")


def machine() -> dict[str, Any]:
    """What a result depends on besides settings and data: it stands in every record."""
    return {
        **code_version(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": process()[1],
    }


def distinct_machines(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The machines (and commits, and software) that made `records`: more than one is a mixture, and must be said."""
    found: list[dict[str, Any]] = []
    for record in records:
        found += [] if record["machine"] in found else [record["machine"]]
    return found


@functools.cache  # of the code that was loaded, whatever happens to the checkout while it runs
def code_version() -> dict[str, Any]:
    """The commit, whether tracked files differ from it ("dirty"), and a SHA-256 of the modules."""
    folder = Path(__file__).parent.parent
    modules = sorted(path for room in ROOMS for path in (folder / room).glob("*.py"))
    version: dict[str, Any] = {"commit": None, "dirty": None}
    with contextlib.suppress(OSError, subprocess.CalledProcessError):  # no git, or not its checkout
        for name, command in (("commit", "rev-parse HEAD"), ("dirty", "status --porcelain --untracked-files=no")):
            git = ["git", *command.split()]
            version[name] = subprocess.run(git, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
        version["dirty"] = bool(version["dirty"])
    return {**version, "code": sha256(b"".join(path.read_bytes() for path in modules))[:16]}


@functools.cache
def processor_name() -> str:
    """The processor as the system names it, with the numbers that tell generations of one name apart."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        found = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "model name" in found:
            return f"{found['model name']} (family {found.get('cpu family')}, model {found.get('model')})"
    return platform.processor() or platform.machine()
