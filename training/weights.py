"""A trained model in one safetensors file: weights, architecture, tokenizer and class names."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import msgspec
import torch
from torch import Tensor, nn

from common.files import UserError, read_description, read_tensors, refused, write_tensors
from common.records import Positive
from evaluation.ngrams import KneserNey
from modules.vote import Vote
from tokenizer import SPECIAL, Tokenizer
from training.models import NO_PAIRS, build_classifier, build_decoder
from training.recipe import Task, Value
from transformer import Classifier, ClassifierConfig, Decoder, DecoderConfig


def weights(model: nn.Module) -> dict[str, Tensor]:
    """All that a model has learned: parameters (a shared one once) and buffers, by name."""
    kept = model.state_dict().keys()  # buffers that are made anew with the model are not
    return dict(model.named_parameters()) | {name: tensor for name, tensor in model.named_buffers() if name in kept}


def count_parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())


def check_weights(model: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """UserError naming `source` if `tensors` are another model's. `model` may be one that has no memory ("meta")."""
    own, found = ({name: (one.shape, one.dtype) for name, one in of.items()} for of in (weights(model), tensors))
    if own != found:
        raise UserError(f"{source}: its weights are not of this architecture; use the settings it was trained with")


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Put `tensors` into `model`, all of them or none; UserError as in `check_weights`."""
    check_weights(model, tensors, source)
    with torch.no_grad():
        for name, tensor in weights(model).items():
            tensor.copy_(tensors[name])


FORMAT: Literal[4] = 4  # of weights files; another number says that the same weights mean something else
NGRAMS = "ngrams."  # before the names of their tables
AGAIN = "of another version of this program, or damaged; train the model again"


@dataclass
class TrainedModel:
    """A model and all that is needed to use it."""

    model: Classifier | Vote | Decoder
    tokenizer: Tokenizer
    class_names: list[str]  # of a classifier
    ngrams: KneserNey | None = None  # that predict beside a decoder, as far as its ngram_share says


class Description(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What stands beside the weights."""

    format: Literal[4]
    task: Task
    architecture: dict[str, Value]
    tokenizer: dict[str, object]
    class_names: list[str]
    temperature: Positive = 1.0  # of a classifier


def save_model(path: Path, trained: TrainedModel) -> None:
    """Weights, architecture, tokenizer and class names in one safetensors file."""
    model = trained.model
    task: Task = "decoder" if isinstance(model, Decoder) else "classifier"
    content = trained.tokenizer.to_json()
    counts = trained.ngrams.tensors() if trained.ngrams else {}
    tensors = weights(model) | {f"{NGRAMS}{name}": tensor for name, tensor in counts.items()}
    description = Description(FORMAT, task, vars(model.config), content, trained.class_names)
    if not isinstance(model, Decoder) and model.temperature != 1:
        description.temperature = model.temperature  # else it is left out, as in files from before there was one
    write_tensors(path, tensors, description)


def load_model(path: Path, task: Task | None = None) -> TrainedModel:
    """The model of `save_model`, in eval mode; UserError if the file is missing, damaged, or not of this task."""
    remedy = "`python main.py part1` trains a classifier, part2 a decoder, and --model names its file"
    if not path.is_file():
        raise UserError(f"{path}: no such model; {remedy}")
    tensors, found = read_tensors(path, Description, AGAIN)
    if task not in (None, found.task):
        raise UserError(f"{path}: not a {task}; {remedy}")
    with refused(path, AGAIN):
        config, tokenizer = architecture_of(found), Tokenizer.from_json(found.tokenizer)
        pairs, ngrams = pairs_of(tensors), ngrams_of(tensors, config, len(tokenizer))
        if len(tokenizer) <= len(SPECIAL):
            raise UserError("a vocabulary without words")
        if (n_blocks := config.n_layer * getattr(config, "n_members", 1)) > len(tensors):
            raise UserError(f"{n_blocks:,} layers and {len(tensors):,} weights")

    def build() -> Classifier | Vote | Decoder:
        if isinstance(config, ClassifierConfig):
            return build_classifier(config, tokenizer.words, len(found.class_names), pairs=pairs)
        return build_decoder(config, tokenizer.words)

    with torch.device("meta"):  # sizes that the file does not have are refused before they take memory
        check_weights(build(), tensors, path)
    load_weights(model := build(), tensors, path)
    if not isinstance(model, Decoder):
        model.temperature = found.temperature
    return TrainedModel(model.eval(), tokenizer, found.class_names, ngrams)


def architecture_of(found: Description) -> ClassifierConfig | DecoderConfig:
    """The configuration, which names all its settings: none is taken from a default, which may be another by now."""
    kind: type[ClassifierConfig | DecoderConfig] = ClassifierConfig if found.task == "classifier" else DecoderConfig
    if found.task == "classifier" and not found.class_names:
        raise UserError("a classifier without classes")
    if different := found.architecture.keys() ^ {field.name for field in fields(kind)}:
        raise UserError(f"the settings differ in {', '.join(sorted(different)[:5])}")
    return msgspec.convert(found.architecture, kind)


def ngrams_of(
    tensors: dict[str, Tensor], config: ClassifierConfig | DecoderConfig, vocabulary_size: int
) -> KneserNey | None:
    """The n-gram model that a decoder's configuration asks for, taken out of `tensors`; None if it asks for none."""
    counts = {name.removeprefix(NGRAMS): tensors.pop(name) for name in list(tensors) if name.startswith(NGRAMS)}
    if not (isinstance(config, DecoderConfig) and config.ngram_share):
        if counts:
            raise UserError("an n-gram model that has no share in the predictions")
        return None
    ngrams = KneserNey.from_tensors(counts)
    if ngrams.vocabulary_size != vocabulary_size:
        raise UserError("an n-gram model of another vocabulary")
    return ngrams


def pairs_of(tensors: Mapping[str, Tensor]) -> Tensor:
    """The keys of `word_pairs`, which every member of a vote holds; none in a model without them."""
    found = [tensor for name, tensor in tensors.items() if name.endswith("embedding.pairs")] or [NO_PAIRS]
    first = found[0]
    is_sorted = first.dtype == torch.long and first.dim() == 1 and bool((first.diff() > 0).all())
    if not is_sorted or not all(first.equal(other) for other in found):
        raise UserError("pairs of words are not in order")
    return first


def saved_models(folder: Path, task: Task) -> list[Path]:
    """The weights of this task's models below a folder that this version of the program can read, the newest first."""
    own = []
    for path in folder.rglob("*.safetensors"):
        with contextlib.suppress(UserError), refused(path, AGAIN):
            found = read_description(path, Description, AGAIN)
            if found.task == task and architecture_of(found):
                own.append(path)
    return sorted(own, key=lambda path: (-path.stat().st_mtime, path))
