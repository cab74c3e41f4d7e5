"""Making data folders, and examining them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from common.arguments import Optional, Typed
from common.files import write_json

EXIT_LEAKAGE = 3

Split = Literal["stretch", "speech"]


@dataclass(frozen=True)
class Build:
    """Make a data folder from State of the Union addresses."""

    out: Path = Path("speechesdataset")  # folder for the files; data that are already there are never overwritten
    # presidents, such as lincoln roosevelt-32 obama; or all (default: obama wbush hbush)
    speakers: Optional[tuple[str, ...]] = None
    split: Split = "stretch"  # what goes to the test set whole: stretches of speeches, or speeches
    seed: int = 0  # seed of the split

    @property
    def data_dir(self) -> Path:
        """The folder that it makes."""
        return self.out

    def run(self, typed: Typed) -> None:
        from reporting.audit import files_text
        from speechesdataset.build import build

        speakers = None if self.speakers is None else list(self.speakers)
        print(files_text(self.out, build(self.out, speakers, self.split, self.seed).files))


@dataclass(frozen=True)
class Import:
    """Make a data folder from your own texts: a folder of .txt files, a sub-folder a speaker."""

    source: Annotated[Path, tyro.conf.arg(name="from")]  # folder with a sub-folder of .txt files for each speaker
    out: Path  # folder for the files; data that are already there are never overwritten
    split: Split = "stretch"  # what goes to the test set whole: stretches of texts, or texts
    seed: int = 0  # seed of the split
    encoding: str = "utf-8"  # of the files that are no UTF-8, such as windows-1252

    def run(self, typed: Typed) -> int:
        from reporting.audit import files_text
        from speechesdataset.importing import import_folder

        manifest = import_folder(self.source, self.out, self.split, self.seed, self.encoding)
        print(files_text(self.out, manifest.files))
        return examine(self.out, self.out)


@dataclass(frozen=True)
class Audit:
    """Examine a data folder: balance, duplicates, leaks. Exit code 3 if test data appear in the training data."""

    data_dir: Path = Path("speechesdataset")  # folder with the data files
    out: Path = Path("runs/audit")  # folder for audit.json

    def run(self, typed: Typed) -> int:
        return examine(self.data_dir, self.out)


def examine(data_dir: Path, out: Path) -> int:
    """Audit a data folder, write audit.json to `out`; returns the exit code."""
    from reporting.audit import render
    from speechesdataset.audit import audit

    findings = audit(data_dir)
    write_json(out / "audit.json", findings)
    print(render(findings))
    return EXIT_LEAKAGE if findings.has_leakage else 0
