"""A trained model in one safetensors file: weights, architecture, tokenizer and class names."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from common.files import UserError, read_tensors, write_tensors
from modules.vote import Vote
from tokenizer import Tokenizer
from training.models import NO_PAIRS, build_classifier, build_decoder
from training.recipe import Task
from transformer import Classifier, ClassifierConfig, Decoder, DecoderConfig


def weights(model: nn.Module) -> dict[str, Tensor]:
    """All that a model has learned: parameters (a shared one once) and buffers, by name."""
    kept = model.state_dict().keys()  # buffers that are made anew with the model are not
    return dict(model.named_parameters()) | {name: tensor for name, tensor in model.named_buffers() if name in kept}


def count_parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())


def load_weights(model: nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Put `tensors` into `model`, all of them or none; UserError naming `source` if they are another model's."""
    own = weights(model)
    if {name: tensor.shape for name, tensor in own.items()} != {name: tensor.shape for name, tensor in tensors.items()}:
        raise UserError(f"{source}: its weights are not of this architecture; use the settings it was trained with")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


FORMAT = 4  # of weights files; another number says that the same weights mean something else


@dataclass
class TrainedModel:
    """A model and all that is needed to use it."""

    model: Classifier | Vote | Decoder
    tokenizer: Tokenizer
    class_names: list[str]  # of a classifier


def save_model(path: Path, trained: TrainedModel) -> None:
    """Weights, architecture, tokenizer and class names in one safetensors file."""
    model = trained.model
    description = {
        "format": FORMAT,
        "task": "decoder" if isinstance(model, Decoder) else "classifier",
        "architecture": asdict(model.config),
        "tokenizer": trained.tokenizer.to_json(),
        "class_names": trained.class_names,
    }
    write_tensors(path, weights(model), description)


def load_model(path: Path, task: Task | None = None) -> TrainedModel:
    """The model of `save_model`, in eval mode; UserError if the file is missing, damaged, or not of this task."""
    remedy = "`python main.py part1` trains a classifier, part2 a decoder, and --model names its file"
    if not path.is_file():
        raise UserError(f"{path}: no such model; {remedy}")
    tensors, description = read_tensors(path)
    found = description.get("task")
    if found not in ((task,) if task else ("classifier", "decoder")):
        raise UserError(f"{path}: not a {task or 'model'}; {remedy}")
    if description.get("format") != FORMAT:
        raise UserError(f"{path}: of another version of this program; train the model again")
    try:
        config = (ClassifierConfig if found == "classifier" else DecoderConfig)(**description["architecture"])
        tokenizer, class_names = Tokenizer.from_json(description["tokenizer"]), description["class_names"]
    except (KeyError, TypeError, ValueError, UserError) as error:
        raise UserError(f"{path}: of another version of this program ({error}); train the model again") from error
    model: Classifier | Vote | Decoder
    if isinstance(config, ClassifierConfig):
        pairs = next((tensor for name, tensor in tensors.items() if name.endswith("embedding.pairs")), NO_PAIRS)
        model = build_classifier(config, tokenizer.words, len(class_names), pairs=pairs)
    else:
        model = build_decoder(config, tokenizer.words)
    load_weights(model, tensors, path)
    return TrainedModel(model.eval(), tokenizer, class_names)
