"""Where a trained model looks in one sentence."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

import utilities
from common.files import UserError, write_bytes
from evaluation import attention
from inference.sentence import finite, read_sentence
from training.weights import TrainedModel
from transformer import Decoder


def sentence_maps(trained: TrainedModel, text: str) -> tuple[Tensor, list[str]]:
    """The attention weights (L, H, T, S) on one sentence, and its T tokens: the rows of padding are left out.

    S is T, except in an encoder that attends to padding, too: there S is the block, so that rows sum to 1.
    """
    sentence = read_sentence(trained, text)
    maps = finite(attention.attention_maps(trained.model, sentence.ids, sentence.lengths)[:, 0])  # (L, H, S, S)
    return maps[:, :, : len(sentence.tokens)], sentence.tokens


def chosen_layers(numbers: Sequence[str] | None, n_layer: int) -> list[int]:
    """Layers counted from 0, from numbers counted from 1, or "all"; by default the first and the last."""
    if numbers is None:
        return sorted({0, n_layer - 1})
    if list(numbers) == ["all"]:
        return list(range(n_layer))
    for number in numbers:
        if not (number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= n_layer):
            raise UserError(f"--layers takes numbers from 1 to {n_layer}, or all, not {number[:40]!r}")
    return sorted({int(number) - 1 for number in numbers})


def draw_attention(
    figures: Path,
    trained: TrainedModel,
    sentence: str,
    first_figure: int | None = None,
    label: str = "",
    layers: Sequence[int] | None = None,
    suffixes: Sequence[str] = (".png",),
) -> list[Path]:
    """Check and draw the attention of some `layers`, counted from 0, on `sentence`; returns the files.

    Without `layers`, the first and the last, if any. Each picture is drawn once for each of the `suffixes`. The titles
    name the `label` of the model, if it has one, and what it did not read or does not know.
    """
    if trained.model.config.n_layer == 0:
        return []
    maps, words = sentence_maps(trained, sentence)
    attention.check_attention(maps)
    as_read = read_sentence(trained, sentence)
    notes = [as_read.note.partition(":")[0]]  # the unknown words are on the axes
    if as_read.not_read:
        notes.append(f"past the block: {' '.join(as_read.not_read[:10])}{' ...' * (len(as_read.not_read) > 10)}")
    kind = "decoder" if isinstance(trained.model, Decoder) else "encoder"
    paths = []
    for number, layer in enumerate(chosen_layers(None, len(maps)) if layers is None else layers):
        prefix = f"figure{first_figure + number}_" if first_figure else ""
        title = f"Figure {first_figure + number}: " if first_figure else ""
        title += "\n".join(filter(None, [f"attention of the {kind}, layer {layer + 1}", label, *notes]))
        for suffix in suffixes:
            paths.append(figures / f"{prefix}{kind}_attention_layer{layer + 1}{suffix}")
            utilities.attention_figure(paths[-1], maps, words, title, layers=[layer], causal=kind == "decoder")
    return paths


def write_maps(path: Path, trained: TrainedModel, text: str) -> None:
    """The attention weights (layer, head, token that looks, token looked at) of one sentence as numbers (NumPy's npz),
    with the words that were read and those past the block; what is looked at after the last word is padding."""
    maps, words = sentence_maps(trained, text)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, weights=maps.numpy(), words=words, not_read=read_sentence(trained, text).not_read)
    write_bytes(path, buffer.getvalue())
