"""Who said it? One sentence to a trained classifier."""

import torch

from inference.sentence import finite, read_sentence
from modules.edit import Edit
from training.weights import TrainedModel
from transformer import Decoder


@torch.no_grad()
def classify(trained: TrainedModel, text: str, edit: Edit | None = None) -> list[tuple[str, float]]:
    """The name and the probability of each class for one sentence, the likeliest first; two may have the same name."""
    assert not isinstance(trained.model, Decoder)
    sentence = read_sentence(trained, text)
    probabilities = finite(trained.model(sentence.ids, sentence.lengths, edit)[0]).softmax(dim=-1)
    order = probabilities.argsort(descending=True, stable=True).tolist()
    return [(trained.class_names[i], float(probabilities[i])) for i in order]
