"""Who said it? One sentence to a trained classifier, or to a decoder with voices."""

import torch

from evaluation.voices import speaker_probabilities
from inference.sentence import finite, read_sentence
from training.weights import TrainedModel
from transformer import Decoder


@torch.no_grad()
def classify(trained: TrainedModel, text: str) -> list[tuple[str, float]]:
    """The name and the probability of each class for one sentence, the likeliest first; two may have the same name."""
    sentence = read_sentence(trained, text)
    if isinstance(trained.model, Decoder):  # with voices: by Bayes' rule, of all that was said
        row = torch.tensor(trained.tokenizer.encode(text))
        probabilities = finite(speaker_probabilities(trained.model, trained.voice_ngrams, [row])[0])
    else:
        probabilities = finite(trained.model(sentence.ids, sentence.lengths)[0]).softmax(dim=-1)
    order = probabilities.argsort(descending=True, stable=True).tolist()
    return [(trained.class_names[i], float(probabilities[i])) for i in order]
