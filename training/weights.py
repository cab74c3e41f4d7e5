"""A trained model in one safetensors file: weights, architecture, tokenizer and class names."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

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


class WithoutValues(TorchFunctionMode):
    """Within it parameters get no values to start from: for a model whose weights are there already."""

    def __torch_function__(
        self, function: Callable[..., object], types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> object:
        kwargs = kwargs or {}
        is_start = getattr(function, "__module__", None) == nn.init.__name__
        return kwargs["tensor"] if is_start else function(*args, **kwargs)


FORMAT: Literal[4] = 4  # of weights files; another number says that the same weights mean something else
NGRAMS = "ngrams.{}."  # before the names of their tables: the number of the voice, 0 of nobody
AGAIN = "of another version of this program, or damaged; train the model again"


@dataclass
class TrainedModel:
    """A model and all that is needed to use it."""

    model: Classifier | Vote | Decoder
    tokenizer: Tokenizer
    class_names: list[str]  # of a classifier, and of a decoder with voices
    ngrams: KneserNey | None = None  # that predict beside a decoder, as far as its ngram_share says
    voice_ngrams: Sequence[KneserNey] = ()  # that predict beside each of its voices


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
    counted = [trained.ngrams, *trained.voice_ngrams] if trained.ngrams else []
    counts = ((NGRAMS.format(number), ngrams.tensors()) for number, ngrams in enumerate(counted))
    tensors = weights(model) | {prefix + name: tensor for prefix, of in counts for name, tensor in of.items()}
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
        pairs, ngrams = pairs_of(tensors), ngrams_of(tensors, config, len(found.class_names), len(tokenizer))
        if len(tokenizer) <= len(SPECIAL):
            raise UserError("a vocabulary without words")
        if (n_blocks := config.n_layer * getattr(config, "n_members", 1)) > len(tensors):
            raise UserError(f"{n_blocks:,} layers and {len(tensors):,} weights")

    model: Classifier | Vote | Decoder
    with torch.device("meta"), WithoutValues():  # sizes that the file does not have are refused: they take no memory
        if isinstance(config, ClassifierConfig):
            model = build_classifier(config, tokenizer.words, len(found.class_names), pairs=pairs)
        else:
            model = build_decoder(config, tokenizer.words, n_speakers=len(found.class_names))
    check_weights(model, tensors, path)
    model.load_state_dict(tensors, assign=True)
    if not isinstance(model, Decoder):
        model.temperature = found.temperature
    whole, voices = (ngrams[0] if ngrams else None), ngrams[1:]
    return TrainedModel(model.eval(), tokenizer, found.class_names, whole, voices)


def architecture_of(found: Description) -> ClassifierConfig | DecoderConfig:
    """The configuration, which names all its settings: none is taken from a default, which may be another by now."""
    kind: type[ClassifierConfig | DecoderConfig] = ClassifierConfig if found.task == "classifier" else DecoderConfig
    if found.task == "classifier" and not found.class_names:
        raise UserError("a classifier without classes")
    if different := found.architecture.keys() ^ {field.name for field in fields(kind)}:
        raise UserError(f"the settings differ in {', '.join(sorted(different)[:5])}")
    config = msgspec.convert(found.architecture, kind)
    if isinstance(config, DecoderConfig) and config.voices != bool(found.class_names):
        raise UserError("a decoder with voices or speakers, and not with both")
    return config


def ngrams_of(
    tensors: dict[str, Tensor], config: ClassifierConfig | DecoderConfig, n_speakers: int, vocabulary_size: int
) -> list[KneserNey]:
    """The n-gram models that a decoder's configuration asks for, taken out of `tensors`: nobody's, then each speaker's;
    none if it asks for none."""
    has_share = isinstance(config, DecoderConfig) and config.ngram_share > 0
    found = [taken(tensors, NGRAMS.format(number)) for number in range(1 + n_speakers if has_share else 0)]
    if any(name.startswith(NGRAMS.partition("{")[0]) for name in tensors):
        raise UserError("an n-gram model that has no share in the predictions")
    if any(ngrams.vocabulary_size != vocabulary_size for ngrams in found):
        raise UserError("an n-gram model of another vocabulary")
    return found


def taken(tensors: dict[str, Tensor], prefix: str) -> KneserNey:
    """The n-gram model whose tables begin with `prefix`, taken out of `tensors`."""
    own = [name for name in tensors if name.startswith(prefix)]
    return KneserNey.from_tensors({name.removeprefix(prefix): tensors.pop(name) for name in own})


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
