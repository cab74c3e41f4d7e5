"""A trained model in one safetensors file: weights, architecture, tokenizer, class names, and of which data it is."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import msgspec
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from common.files import UserError, read_as, read_description, read_tensors, refused, write_tensors
from evaluation.ngrams import KneserNey
from modules.config import ClassifierConfig, DecoderConfig
from modules.word_vectors import NO_PAIRS
from tokenizer import SPECIAL, Tokenizer
from training.recipe import Task, Value
from transformer import Classifier, Decoder, Vote, build_classifier


def weights(model: nn.Module) -> dict[str, Tensor]:
    """All that a model has learned: parameters (a shared one once) and buffers, by name."""
    kept = model.state_dict().keys()  # buffers that are made anew with the model are not
    return dict(model.named_parameters()) | {name: tensor for name, tensor in model.named_buffers() if name in kept}


def count_parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())


def check_weights(model: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """UserError naming `source` if `tensors` are another model's. `model` may be one that has no memory ("meta")."""
    wanted, given = (
        {name: (tensor.shape, tensor.dtype) for name, tensor in by_name.items()}
        for by_name in (weights(model), tensors)
    )
    if wanted != given:
        raise UserError(f"{source}: its weights are not of this architecture; use the settings it was trained with")


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Put `tensors` into `model`, all of them or none; UserError as in `check_weights`."""
    check_weights(model, tensors, source)
    with torch.no_grad():
        for name, tensor in weights(model).items():
            tensor.copy_(tensors[name])


class WithoutValues(TorchFunctionMode):
    """Within it, new parameters get no values to start from: a file brings them, and drawing them takes longer."""

    def __torch_function__(
        self, function: Callable[..., object], types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> object:
        kwargs = kwargs or {}
        is_start = getattr(function, "__module__", None) == nn.init.__name__
        return kwargs["tensor"] if is_start else function(*args, **kwargs)


FORMAT: Literal[6] = 6  # of weights files; another number says that the same weights mean something else
NGRAMS = "ngrams.{}."  # before the names of their tables: the number of the voice, 0 of nobody
AGAIN = "of another version of this program, or damaged; train the model again"


Model = TypeVar("Model", bound=Classifier | Vote | Decoder)


@dataclass
class TrainedModel(Generic[Model]):
    """A model and all that is needed to use it."""

    model: Model
    tokenizer: Tokenizer
    class_names: list[str]  # of a classifier, and of a decoder with voices
    ngrams: KneserNey | None = None  # that predict with a decoder, as far as its ngram_share says
    voice_ngrams: Sequence[KneserNey] = ()  # that predict with each of its voices
    data: str = ""  # fingerprint of the data that it was trained on

    def as_speaker(self: "TrainedModel[Decoder]", number: int) -> "TrainedModel[Decoder]":
        """A decoder with voices as one of its speakers, counted from 0, and no other. ValueError without voices."""
        ngrams = self.voice_ngrams[number] if self.voice_ngrams else None
        return TrainedModel(self.model.as_speaker(1 + number), self.tokenizer, [], ngrams, data=self.data)


class Description(msgspec.Struct, forbid_unknown_fields=True):
    """What a file holds besides the weights."""

    format: Literal[6]
    task: Task
    architecture: dict[str, Value]
    tokenizer: dict[str, object]
    class_names: list[str]
    data: str


def save_model(path: Path, trained: TrainedModel) -> None:
    """Write a model, with all that is needed to use it, to one safetensors file."""
    model = trained.model
    task: Task = "decoder" if isinstance(model, Decoder) else "classifier"
    content = trained.tokenizer.to_json()
    tensors = weights(model)
    for number, ngrams in enumerate([trained.ngrams, *trained.voice_ngrams] if trained.ngrams else []):
        tensors |= {NGRAMS.format(number) + name: tensor for name, tensor in ngrams.tensors().items()}
    described = Description(FORMAT, task, vars(model.config), content, trained.class_names, trained.data)
    write_tensors(path, tensors, described)


def load_model(path: Path, task: Task | None = None) -> TrainedModel:
    """The model of `save_model`, in eval mode; UserError if the file is missing, damaged, or not of this task."""
    remedy = "`python main.py part1` trains a classifier, part2 a decoder, and --model names its file"
    if not path.is_file():
        raise UserError(f"{path}: no such model; {remedy}")
    tensors, description = read_tensors(path, Description, AGAIN)
    if task not in (None, description.task):
        raise UserError(f"{path}: not a {task}; {remedy}")
    with refused(path, AGAIN):
        config, tokenizer = architecture_of(description), Tokenizer.from_json(description.tokenizer)
        pairs, ngrams = pairs_of(tensors), ngrams_of(tensors, config, len(description.class_names), len(tokenizer))
        if len(tokenizer) <= len(SPECIAL):
            raise UserError("a vocabulary without words")
        if (n_blocks := config.n_layer * getattr(config, "n_members", 1)) > len(tensors):
            raise UserError(f"{n_blocks:,} layers and {len(tensors):,} weights")

    model: Classifier | Vote | Decoder
    with torch.device("meta"), WithoutValues():  # sizes that the file does not have are refused: they take no memory
        if isinstance(config, ClassifierConfig):
            model = build_classifier(config, tokenizer.words, len(description.class_names), pairs=pairs)
        else:
            model = Decoder(config, tokenizer.words, n_speakers=len(description.class_names))
    check_weights(model, tensors, path)
    model.load_state_dict(tensors, assign=True)
    text_ngrams, voice_ngrams = (ngrams[0] if ngrams else None), ngrams[1:]
    return TrainedModel(model.eval(), tokenizer, description.class_names, text_ngrams, voice_ngrams, description.data)


def architecture_of(description: Description) -> ClassifierConfig | DecoderConfig:
    """The configuration, which names all its settings: none is taken from a default, which may be another by now."""
    is_classifier, settings = description.task == "classifier", description.architecture
    kind: type[ClassifierConfig | DecoderConfig] = ClassifierConfig if is_classifier else DecoderConfig
    if is_classifier and not description.class_names:
        raise UserError("a classifier without classes")
    if different := settings.keys() ^ {field.name for field in fields(kind)}:
        raise UserError(f"the settings differ in {', '.join(sorted(different)[:5])}")
    config = msgspec.convert(settings, kind)
    if isinstance(config, DecoderConfig) and config.voices != bool(description.class_names):
        raise UserError("a decoder with voices or speakers, and not with both")
    return config


def ngrams_of(
    tensors: dict[str, Tensor], config: ClassifierConfig | DecoderConfig, n_speakers: int, vocabulary_size: int
) -> list[KneserNey]:
    """The n-gram models that a decoder's configuration asks for, taken out of `tensors`: nobody's, then each speaker's;
    none if it asks for none."""
    has_share = isinstance(config, DecoderConfig) and config.ngram_share > 0
    models = [take_ngrams(tensors, NGRAMS.format(number)) for number in range(1 + n_speakers if has_share else 0)]
    if any(name.startswith(NGRAMS.partition("{")[0]) for name in tensors):
        raise UserError("an n-gram model that has no share in the predictions")
    if any(ngrams.vocabulary_size != vocabulary_size for ngrams in models):
        raise UserError("an n-gram model of another vocabulary")
    return models


def take_ngrams(tensors: dict[str, Tensor], prefix: str) -> KneserNey:
    """The n-gram model whose tables begin with `prefix`, taken out of `tensors`."""
    names = [name for name in tensors if name.startswith(prefix)]
    return KneserNey.from_tensors({name.removeprefix(prefix): tensors.pop(name) for name in names})


def pairs_of(tensors: Mapping[str, Tensor]) -> Tensor:
    """The keys of `word_pairs`, which every member of a vote holds; none in a model without them."""
    first, *others = [tensor for name, tensor in tensors.items() if name.endswith("embedding.pairs")] or [NO_PAIRS]
    is_sorted = first.dtype == torch.long and first.dim() == 1 and bool((first.diff() > 0).all())
    if not is_sorted or not all(first.equal(other) for other in others):
        raise UserError("pairs of words are not in order")
    return first


def saved_models(folder: Path, task: Task) -> list[Path]:
    """The weights of this task's models below a folder that this version of the program can read: those of part 1 and
    part 2, or of nobody knows what, the newest first; then those of studies; then those of report --quick."""
    paths = []
    for path in folder.rglob("*.safetensors"):
        with contextlib.suppress(UserError), refused(path, AGAIN):
            description = read_description(path, Description, AGAIN)
            if description.task == task and architecture_of(description):
                paths.append(path)
    return sorted(paths, key=lambda path: (_made_by(path), -path.stat().st_mtime, path))


class MadeBy(msgspec.Struct):
    """What config.json says of who trained the models beside it."""

    command: str = "part1"
    quick: bool = False

    def rank(self) -> int:
        """Whose models come first."""
        return 2 if self.quick else int(self.command not in ("part1", "part2"))


def _made_by(path: Path) -> int:
    """The rank of the command that trained a model, the best where none is known."""
    try:
        return read_as(path.with_name("config.json"), MadeBy).rank()
    except UserError:
        return MadeBy().rank()
