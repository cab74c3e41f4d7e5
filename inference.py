"""Using a trained model: save and load it with its vocabulary, classify, look at its attention, generate text."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from checks import check
from files import UserError, read_tensors, write_tensors
from randomness import generator
from tokenizer import PAD, UNK, Tokenizer
from training import load_weights, weights
from transformer import Classifier, Decoder, KeyValueCache, TransformerConfig, make_classifier

Task = Literal["classifier", "decoder"]
FORMAT = 2  # of weights files; another number says that the same weights mean something else


@dataclass
class TrainedModel:
    """A model and all that is needed to use it."""

    model: Classifier | Decoder
    tokenizer: Tokenizer
    class_names: list[str]  # of a classifier


def save_model(path: Path, trained: TrainedModel) -> None:
    """Weights, architecture, vocabulary and class names in one safetensors file."""
    model = trained.model
    description = {
        "format": FORMAT,
        "task": "classifier" if isinstance(model, Classifier) else "decoder",
        "architecture": asdict(model.config),
        "words": trained.tokenizer.words,
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
        config = TransformerConfig(**description["architecture"])
        tokenizer, class_names = Tokenizer(description["words"]), description["class_names"]
    except (KeyError, TypeError, ValueError, UserError) as error:
        raise UserError(f"{path}: of another version of this program ({error}); train the model again") from error
    model = (make_classifier if found == "classifier" else Decoder)(config, description["words"])
    load_weights(model, tensors, path)
    return TrainedModel(model.eval(), tokenizer, class_names)


# ---------------------------------------------------------------------------------------------- sentences and speakers


def encode_sentence(trained: TrainedModel, text: str) -> tuple[Tensor, Tensor, list[str]]:
    """One sentence, cut at the model's block: ids (1, T), length (1,) and its tokens. A classifier that does not mask
    padding gets its ids padded to the block, as in training. UserError if there are no words."""
    config = trained.model.config
    ids = trained.tokenizer.encode(text)[: config.block_size]
    if not ids:
        raise UserError("the sentence is empty; give at least one word")
    padded = ids + [PAD] * (config.block_size - len(ids))
    unmasked = isinstance(trained.model, Classifier) and not trained.model.masks_padding
    words = [trained.tokenizer.words[i] for i in ids]
    return torch.tensor([padded if unmasked else ids]), torch.tensor([len(ids)]), words


@torch.no_grad()
def classify(trained: TrainedModel, text: str) -> dict[str, float]:
    """The probability of each class for one sentence, by class name."""
    assert isinstance(trained.model, Classifier)
    ids, length, _ = encode_sentence(trained, text)
    probabilities = trained.model(ids, length)[0][0].softmax(dim=-1)
    return dict(zip(trained.class_names, probabilities.tolist()))


@torch.no_grad()
def attention_maps(trained: TrainedModel, text: str) -> tuple[Tensor, list[str]]:
    """The attention weights (L, H, T, S) on one sentence, and its T tokens: the rows of padding are left out.

    S is T, but an encoder that does not mask padding attends to it: then S is the block, so that rows sum to 1.
    """
    ids, length, words = encode_sentence(trained, text)
    if isinstance(trained.model, Classifier):
        _, maps = trained.model(ids, length, return_attention=True)
    else:
        _, maps = trained.model(ids, return_attention=True)
    stacked = torch.cat(maps)  # (L, H, S, S)
    if trained.model.config.pooling == "cls" and isinstance(trained.model, Classifier):
        words = ["<cls>", *words]
    return stacked[:, :, : len(words)], words


# --------------------------------------------------------------------------------------------------------- generation


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn."""

    n_tokens: int = 60
    temperature: float = 0.8  # 0: always the likeliest token
    top_k: int | None = None  # only among the k likeliest
    top_p: float | None = 0.95  # only among the likeliest that have this probability together
    seed: int = 0
    use_cache: bool = True

    def __post_init__(self) -> None:
        check(self, "at least 1", "n_tokens", "top_k")
        check(self, "at least 0", "temperature")
        check(self, "above 0 and at most 1", "top_p")


@torch.no_grad()
def generate(trained: TrainedModel, prompt: str, sampling: Sampling) -> list[int]:
    """Ids of the prompt and of `n_tokens` tokens after it. <pad> and <unk> are never drawn.

    With a key/value cache each token costs one row of attention. A table of learned positions ends at the block: past
    it, every token is predicted from the last block of tokens, read anew. Other positions go on without end.
    """
    model = trained.model
    assert isinstance(model, Decoder)
    limit = model.config.block_size if model.config.positions == "learned" else None
    random = generator(sampling.seed, "sampling")
    ids = [PAD, *trained.tokenizer.encode(prompt)]  # a text begins after a <pad>, as when it is scored
    cache, n_read = KeyValueCache(), 0
    for _ in range(sampling.n_tokens):
        context = ids if limit is None else ids[-limit:]
        if sampling.use_cache and len(context) == len(ids):
            logits = model(torch.tensor([ids[n_read:]]), cache)[0][0, -1]
            n_read = len(ids)
        else:
            logits = model(torch.tensor([context]))[0][0, -1]
        ids.append(draw(logits, sampling, random))
    return ids[1:]


def draw(logits: Tensor, sampling: Sampling, random: torch.Generator) -> int:
    """Draw the next token from `logits` (V,)."""
    logits = logits.double()
    logits[[PAD, UNK]] = -torch.inf
    if sampling.temperature == 0:
        return int(logits.argmax())
    if sampling.top_k is not None:
        logits[logits < logits.topk(min(sampling.top_k, len(logits))).values[-1]] = -torch.inf
    probabilities = ((logits - logits.max()) / sampling.temperature).softmax(dim=-1)  # however small the temperature
    if sampling.top_p is not None:
        ordered, order = probabilities.sort(descending=True)
        outside = ordered.cumsum(dim=-1) - ordered >= sampling.top_p  # the first token is always inside
        probabilities[order[outside]] = 0.0
    return int(torch.multinomial(probabilities, 1, generator=random))
