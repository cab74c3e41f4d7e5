"""Where a trained model looks in one sentence."""

from pathlib import Path

import torch
from torch import Tensor

import utilities
from evaluation import attention
from inference.sentence import read_sentence
from training.weights import TrainedModel
from transformer import Decoder


@torch.no_grad()
def attention_maps(trained: TrainedModel, text: str) -> tuple[Tensor, list[str]]:
    """The attention weights (L, H, T, S) on one sentence, and its T tokens: the rows of padding are left out.

    S is T, but an encoder that does not mask padding attends to it: then S is the block, so that rows sum to 1.
    """
    sentence = read_sentence(trained, text)
    words = sentence.tokens
    if not isinstance(trained.model, Decoder):
        _, maps = trained.model(sentence.ids, sentence.lengths, return_attention=True)
    else:
        _, maps = trained.model(sentence.ids, return_attention=True)
    stacked = torch.cat(maps)  # (L, H, S, S)
    if not isinstance(trained.model, Decoder) and trained.model.config.pooling == "cls":
        words = ["<cls>", *words]
    return stacked[:, :, : len(words)], words


def draw_attention(
    figures: Path, trained: TrainedModel, sentence: str, first_figure: int | None = None, label: str = ""
) -> list[Path]:
    """Check and draw the attention of the first and the last layer, if any, on `sentence`; returns the files.

    In the titles stand the `label` of the model, if it has one, and what it did not read or does not know.
    """
    if trained.model.config.n_layer == 0:
        return []
    maps, words = attention_maps(trained, sentence)
    attention.check_attention(maps)
    note = read_sentence(trained, sentence).note.partition(":")[0]  # the unknown words are on the axes
    kind = "decoder" if isinstance(trained.model, Decoder) else "encoder"
    paths = []
    for number, layer in enumerate(sorted({0, len(maps) - 1})):
        prefix = f"figure{first_figure + number}_" if first_figure else ""
        title = f"Figure {first_figure + number}: " if first_figure else ""
        paths.append(figures / f"{prefix}{kind}_attention_layer{layer + 1}.png")
        title += "\n".join(filter(None, [f"attention of the {kind}, layer {layer + 1}", label, note]))
        utilities.attention_figure(paths[-1], maps, words, title, layers=[layer], causal=kind == "decoder")
    return paths
