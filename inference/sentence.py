"""What a trained model reads of a text that someone wrote."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from common.files import UserError
from inference.texts import uniform_text
from tokenizer import PAD, UNK
from training.weights import TrainedModel
from transformer import Classifier, Decoder, Vote


@dataclass(frozen=True)
class Sentence:
    """One text, cut at the model's block."""

    ids: Tensor  # (1, T); for a classifier that does not mask padding T is the block, as in training
    lengths: Tensor  # (1,) how many of them are tokens of the text
    tokens: list[str]  # these, as they can be printed; what the vocabulary lacks is marked: "gizmo?"
    not_read: list[str]  # those past the block
    note: str  # what was not read, and how much of it was unknown; nothing where all was read and known


def read_sentence(trained: TrainedModel, text: str) -> Sentence:
    """A text as the model reads it; UserError if there are no words."""
    config, tokenizer = trained.model.config, trained.tokenizer
    text = uniform_text(text, tokenizer)
    all_ids = tokenizer.encode(text)
    if not all_ids:
        raise UserError("the sentence is empty; give at least one word")
    ids = all_ids[: config.block_size]
    row = torch.tensor(ids)
    as_read = row[None] if isinstance(trained.model, Decoder) else padded(trained.model, [row])[0]
    all_tokens = shown(tokenizer.tokens(all_ids, tokenizer.unknown(text)))
    tokens, not_read = all_tokens[: len(ids)], all_tokens[len(ids) :]
    note = reading_note(len(all_ids), ids, tokens)
    return Sentence(as_read, torch.tensor([len(ids)]), tokens, not_read, note)


def padded(model: Classifier | Vote, texts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Ids (B, T) of texts (n tokens,) and their lengths (B,), as the model reads them; no text is one <pad>."""
    lengths = [max(len(text), 1) for text in texts]
    width = max(lengths) if model.masks_padding else model.config.block_size
    ids = torch.full((len(texts), width), PAD)
    for row, text in zip(ids, texts):
        row[: len(text)] = text
    return ids, torch.tensor(lengths)


def finite(numbers: Tensor) -> Tensor:
    """What a model computes; UserError where a number is not finite, as with weights that are too large."""
    if not numbers.isfinite().all():
        raise UserError("the model's numbers overflow (NaN or infinity); train it again, with a lower --learning-rate")
    return numbers


def reading_note(n_tokens: int, ids: Sequence[int], tokens: Sequence[str], most: int = 5) -> str:
    """That of a text of `n_tokens` only `ids` were read, or that some of these, which are the `tokens`, are unknown:
    "read 32 of 41 tokens, 2 unknown: gizmo?, gadget?"; nothing where all were read and known."""
    unknown = [token for i, token in zip(ids, tokens, strict=True) if i == UNK]
    if len(ids) == n_tokens and not unknown:
        return ""
    different = list(dict.fromkeys(unknown))
    names = ", ".join(different[:most]) + (" and others" if len(different) > most else "")
    return f"read {len(ids)} of {n_tokens} tokens, {len(unknown)} unknown" + (f": {names}" if names else "")


def shown(tokens: Sequence[str]) -> list[str]:
    """Tokens as they can be printed: control characters, and the bytes of half a character, by their codes."""

    def code(char: re.Match[str]) -> str:
        return f"\\x{ord(char[0]) & 0xFF:02x}"  # Python keeps the bytes of half a character as U+DC80 to U+DCFF

    return [re.sub("[\x00-\x1f\x7f-\x9f\udc80-\udcff]", code, token) for token in tokens]
