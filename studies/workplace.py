"""Where a command works: its data, its folder, and its share of the machine."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from common.console import tell
from common.files import Interrupted, UserError, write_json
from dataset import Data, load_data
from speechesdataset.build import ensure_data
from speechesdataset.folder import warn_of_missing_spaces
from tokenizer import WORDS, Tokenization
from training.machine import machine, pick_device
from training.processes import process, working_folder
from training.runs import Folder, open_folder
from training.weights import TrainedModel


@contextlib.contextmanager
def workplace(
    data_dir: Path,
    out: Path,
    block_size: int,
    device: str,
    threads: int,
    settings: Mapping[str, object],
    resume: bool | None,
    go_on: str,
    share: int = 1,
    tokenization: Tokenization | None = None,
) -> Iterator[tuple[Data, Folder]]:
    """The data, in blocks of `block_size` tokens, one row in `share`, and the folder for the runs of a command.

    `resume`: False, what the folder holds is set aside; True, its runs are gone on with; None, they are reused where
    they are of the same settings and refused where they are not. config.json gets the `settings`. `tokenization`: None,
    words, for a command that has no option for it. Interrupted within it, the message ends with `go_on`, the command
    that goes on.
    """
    torch.set_num_threads(threads)  # one, unless told otherwise, so that every machine computes in one way
    with working_folder(out) as path:
        ensure_data(data_dir)
        tell(f"reading {data_dir}")
        data = load_data(data_dir, block_size, share, tokenization or WORDS)
        if data.tokenizer.tokenization == WORDS:
            advice = "use --tokenizer bpe or --tokenizer character" if tokenization else None
            warn_of_missing_spaces(data.corpus, advice)
        described = json.loads(json.dumps(settings, default=str)) | {"data": data.corpus.about()}
        folder = open_folder(path, pick_device(device), described, resume)
        try:
            yield data, folder
        except (Interrupted, KeyboardInterrupt) as error:
            raise Interrupted(f"{str(error) or 'interrupted'}; to go on: {go_on}") from error
        if resume is None:  # runs that were there are reused, and other settings' would have been refused
            write_json(path / "config.json", {**described, "machine": machine()})


def paired_seeds(first: int, n: int) -> tuple[int, ...]:
    """The seeds of a command that trains many models; UserError under torchrun, for these share the cores otherwise."""
    if process()[1] > 1:
        raise UserError("runs of several models share the cores by --workers; start them without torchrun")
    return tuple(range(first, first + n))


def data_of(trained: TrainedModel, data_dir: Path) -> Data:
    """The data folder that a model was trained on, as the model reads it; UserError if it was trained on another."""
    torch.set_num_threads(1)  # small batches: more threads only wait for each other
    ensure_data(data_dir)
    tell(f"reading {data_dir}")
    data = load_data(data_dir, trained.model.config.block_size, tokenization=trained.tokenizer.tokenization)
    if data.corpus.fingerprint != trained.data or data.tokenizer.words != trained.tokenizer.words:
        remedy = "or changed since; name their folder by --data-dir"
        raise UserError(f"{data_dir}: not the data that this model was trained on, {remedy}")
    return data
