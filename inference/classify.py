"""Who said it? One sentence to a trained classifier."""

import torch
from torch import Tensor

from common.files import UserError
from tokenizer import PAD
from training.weights import TrainedModel
from transformer import Decoder


def encode_sentence(trained: TrainedModel, text: str) -> tuple[Tensor, Tensor, list[str]]:
    """One sentence, cut at the model's block: ids (1, T), length (1,) and its tokens. A classifier that does not mask
    padding gets its ids padded to the block, as in training. UserError if there are no words."""
    config = trained.model.config
    ids = trained.tokenizer.encode(text)[: config.block_size]
    if not ids:
        raise UserError("the sentence is empty; give at least one word")
    padded = ids + [PAD] * (config.block_size - len(ids))
    unmasked = not isinstance(trained.model, Decoder) and not trained.model.masks_padding
    words = [trained.tokenizer.words[i] for i in ids]
    return torch.tensor([padded if unmasked else ids]), torch.tensor([len(ids)]), words


@torch.no_grad()
def classify(trained: TrainedModel, text: str) -> dict[str, float]:
    """The probability of each class for one sentence, by class name."""
    assert not isinstance(trained.model, Decoder)
    ids, length, _ = encode_sentence(trained, text)
    probabilities = trained.model(ids, length)[0][0].softmax(dim=-1)
    return dict(zip(trained.class_names, probabilities.tolist()))
