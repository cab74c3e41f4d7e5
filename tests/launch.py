"""Processes for tests, forked from a server that has imported everything already: starting one costs no imports."""

import atexit
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

resource = pytest.importorskip("resource", reason="starts processes as Unix does: a fork server, limits on file sizes")

ROOT = Path(__file__).parent.parent
PATIENCE = 120.0  # seconds after which a process counts as hanging

server = multiprocessing.get_context("forkserver")
server.set_forkserver_preload(
    [
        *("main", "studies.ask", "studies.figures", "reporting.explore_page", "reporting.terminal", "reporting.page"),
        *("sklearn.linear_model", "matplotlib.backends.backend_agg", "torch._dynamo"),
    ]
)
os.environ["PYTHONPATH"] = str(ROOT)  # the server imports before it learns this process's path


@dataclass
class Outcome:
    """What a command left: exit code (negative: killed by that signal), standard output and standard error."""

    code: int | None
    out: str
    err: str


class Command:
    """`python main.py ARGUMENTS` in `folder`, running; `end` waits for it."""

    def __init__(
        self, folder: Path, *arguments: object, stdin: bytes = b"", largest_file: int = resource.RLIM_INFINITY
    ) -> None:
        self.files = [folder / f".{name}" for name in ("stdin", "stdout", "stderr")]
        self.files[0].write_bytes(stdin)
        self.process = start(_command, folder, [str(argument) for argument in arguments], self.files, largest_file)

    def end(self) -> Outcome:
        return Outcome(end(self.process), *(file.read_text() for file in self.files[1:]))


def _command(folder: Path, arguments: list[str], files: list[Path], largest_file: int) -> None:
    os.chdir(folder)
    for descriptor, (file, mode) in enumerate(zip(files, (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT | os.O_TRUNC] * 2))):
        os.dup2(os.open(file, mode), descriptor)
    for number, stream in enumerate(("stdin", "stdout", "stderr")):
        setattr(sys, stream, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    sys.argv = ["main.py", *arguments]
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    import main

    code = main.main()
    atexit._run_exitfuncs()  # as when a program ends that was not forked
    sys.stdout.flush()
    sys.exit(code)


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Run `target`, a function of a module, in a process of its own."""
    process = server.Process(target=target, args=arguments)
    process.start()
    return process


def end(process: BaseProcess) -> int | None:
    """Wait for a process; its exit code."""
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        raise AssertionError("the process hangs")
    return process.exitcode


def group(n: int, target: Callable[..., None], *arguments: Any) -> list[int | None]:
    """Run `target` in `n` processes that know each other, as torchrun starts them; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    members = [start(_member, rank, n, port, target, arguments) for rank in range(n)]
    return [end(member) for member in members]


def _member(rank: int, n: int, port: int, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(n), "RANK": str(rank)}
    target(*arguments)
