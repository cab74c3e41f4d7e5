"""What a result depends on besides settings and data: code, software, device, processor, threads."""

import contextlib
import functools
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

import torch

from common.files import UserError, sha256
from training.processes import process
from training.records import Machine, TrainedRun

ROOT = Path(__file__).parent.parent
# The rooms that compute: commands hold defaults; reporting only words what is on record.
ROOMS = ("", "commands", "common", "evaluation", "inference", "modules", "speechesdataset", "studies", "training")


def machine() -> Machine:
    """What a result depends on besides settings and data: it stands in every record."""
    commit, dirty, code = code_version()
    return Machine(
        commit=commit,
        dirty=dirty,
        code=code,
        python=platform.python_version(),
        torch=str(torch.__version__),
        processor=processor_name(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        processes=process()[1],
    )


def distinct_machines(records: Iterable[TrainedRun]) -> list[Machine]:
    """The machines (and commits, and software) that made `records`: more than one is a mixture, and must be said."""
    return list(dict.fromkeys(record.machine for record in records))


def modules() -> list[Path]:
    """The files of the code that numbers depend on."""
    return sorted(path for room in ROOMS for path in (ROOT / room).glob("*.py"))


@functools.cache  # of the code that was loaded, whatever happens to the checkout while it runs
def code_version() -> tuple[str | None, bool | None, str]:
    """The commit, whether tracked files differ from it, both None without git, and a SHA-256 of the modules."""
    code = sha256(b"".join(path.read_bytes() for path in modules()))[:16]

    def git(command: str) -> str:
        return subprocess.run(["git", *command.split()], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    try:
        return git("rev-parse HEAD").strip(), bool(git("status --porcelain --untracked-files=no").strip()), code
    except (OSError, subprocess.CalledProcessError):  # no git, or not its checkout
        return None, None, code


def pick_device(name: str) -> torch.device:
    """The device that `--device` names; "auto" takes a GPU if there is one. UserError if it is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, is_there in available.items() if is_there)
    if not available[name]:
        raise UserError(f"--device {name}: not available on this machine; use --device cpu or auto")
    local_rank = os.environ.get("LOCAL_RANK")  # torchrun's number of this process on its machine
    return torch.device(name, int(local_rank)) if name == "cuda" and local_rank else torch.device(name)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a device has units that multiply bfloat16 faster than float32; of a processor they are called AMX or
    AVX512-BF16."""
    units = torch.cpu.get_capabilities()
    return device.type != "cpu" or bool(units.get("amx_bf16") or units.get("avx512_bf16"))


@functools.cache
def processor_name() -> str:
    """The processor as the system names it, with the numbers that tell generations of one name apart."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        entries = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "model name" in entries:
            return f"{entries['model name']} (family {entries.get('cpu family')}, model {entries.get('model')})"
    return platform.processor() or platform.machine()
