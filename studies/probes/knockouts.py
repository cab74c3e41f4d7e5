"""What a trained model loses without one of its parts: a head, a feed-forward network, a layer, its positions.

The part's output is replaced by its mean over the training data (mean-ablation: Wang et al. 2022), so that what it says
of one text in particular is gone, and what it adds to all alike stays.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal

import msgspec
import torch
from torch import Tensor

from dataset import Data
from evaluation.accuracy import class_probabilities
from evaluation.attention import read_ids
from evaluation.perplexity import Protocol, token_nats
from evaluation.statistics import Estimate, paired_difference, ratio_of_logs
from modules.hook_point import hook_points, hooked
from training.recipe import Task
from training.weights import TrainedModel
from transformer import Classifier, Decoder, Positions, Transformer, Vote

Model = Classifier | Vote | Decoder
Means = dict[str, Tensor]  # by the name of a hook point: (H, 1, D) of heads, (C,) of a feed-forward network
HOOK_POINTS = {"heads": ".attention.heads", "feed-forward": ".feed_forward.update"}  # how their names end


class Part(msgspec.Struct, frozen=True):
    """What is knocked out: of a layer one head, all heads, the feed-forward network or all; of no layer, positions."""

    layer: int | None = None  # from 0
    place: Literal["heads", "feed-forward"] | None = None  # of the layer; None: all of it
    head: int | None = None  # from 0

    @property
    def name(self) -> str:
        """In words; layers and heads are counted from 1."""
        if self.layer is None:
            return "positions"
        what = {None: "", "heads": ", all heads"}.get(self.place, f", {self.place}")
        return f"layer {self.layer + 1}{what}" if self.head is None else f"layer {self.layer + 1}, head {self.head + 1}"


class KnockOut(msgspec.Struct, frozen=True):
    """The measure without a part, and what it costs: points of accuracy, or the ratio of perplexities."""

    part: Part
    value: float
    cost: Estimate


class KnockOuts(msgspec.Struct, frozen=True):
    """A whole model, and without each of its parts."""

    task: Task
    n_items: int  # test rows, or lines of test texts: what the intervals are over
    value: float  # accuracy in percent, or perplexity: over several texts, the geometric mean
    without: list[KnockOut]


def knock_out(trained: TrainedModel, data: Data) -> KnockOuts:
    """Measure a model on the test set, whole and without each of its parts."""
    model = trained.model
    is_decoder = isinstance(model, Decoder)
    means = mean_outputs(model, data)
    whole = scores(model, data)
    knock_outs = []
    for part in parts(model):
        if part.layer is None:
            rest = scores(without_positions(model), data)
        else:
            with knocked_out(model, [part], means):
                rest = scores(model, data)
        if is_decoder:
            cost = ratio_of_logs(rest.numpy(), whole.numpy())
        else:
            cost = paired_difference(whole.numpy(), rest.numpy())
        knock_outs.append(KnockOut(part, measure_of(rest, is_decoder), cost))
    return KnockOuts("decoder" if is_decoder else "classifier", len(whole), measure_of(whole, is_decoder), knock_outs)


def measure_of(values: Tensor, is_decoder: bool) -> float:
    """The measure: accuracy in percent, or perplexity."""
    return float(values.mean().exp() if is_decoder else values.mean())


def parts(model: Model) -> list[Part]:
    """All that can be knocked out."""
    every = [Part()] if model.config.positions != "none" else []
    for layer in range(model.config.n_layer):
        every += [Part(layer, "heads", head) for head in range(model.config.n_head)] + [Part(layer, "heads")]
        every += [Part(layer, "feed-forward")] if model.config.ff_dim else []
        every.append(Part(layer))
    return every


def scores(model: Model, data: Data) -> Tensor:
    """Of each test row, 100 where the model is right and 0 where it is not; of each line of the test texts its nats,
    weighted so that their mean is the mean over texts of the nats of a token, the logarithm of perplexity."""
    if not isinstance(model, Decoder):
        predictions = class_probabilities(model, data.test).argmax(dim=-1)
        return 100 * (predictions == data.test.labels).double()
    texts = []
    for stream in data.test_streams.values():
        nats = token_nats(model, stream.ids, Protocol(model.config.block_size))
        texts.append(torch.stack([line.sum() for line in nats.split(stream.line_lengths)]) / len(nats))
    return torch.cat(texts) * sum(map(len, texts)) / len(texts)


@torch.no_grad()
def mean_outputs(model: Model, data: Data) -> Means:
    """The mean output of every head and feed-forward network over the training data; padding counts where it is read
    like words."""
    sums: Means = {}
    n_tokens = 0
    names = [name for ending in HOOK_POINTS.values() for name in hook_points(model, ending)]
    for ids, lengths in training_batches(model, data):
        is_token = torch.arange(ids.size(1)) < lengths[:, None]  # (B, T)

        def add(x: Tensor, name: str, is_token: Tensor = is_token) -> None:  # (B, H, T, D) or (B, T, C)
            mask = is_token[:, None, :, None] if x.dim() == 4 else is_token[..., None]
            sums[name] = sums.get(name, 0) + (x * mask).double().sum(dim=(0, -2), keepdim=True)[0]

        with hooked(model, names, add):
            read_ids(model, ids, lengths)
        n_tokens += int(lengths.sum())
    return {name: (total / n_tokens).float() for name, total in sums.items()}


def training_batches(model: Model, data: Data, batch_size: int = 64) -> Iterator[tuple[Tensor, Tensor]]:
    """Ids (B, T) and how many of each row count (B,): a classifier's training rows, windows of a decoder's text."""
    if isinstance(model, Decoder):
        text, width = data.train_stream.ids, min(model.config.block_size, len(data.train_stream.ids))
        for ids in text[: len(text) // width * width].view(-1, width).split(batch_size):
            yield ids, torch.full((len(ids),), width)
        return
    for items in torch.arange(len(data.train.labels)).split(batch_size):
        ids, lengths, _ = data.train.batch(items, cut=model.masks_padding)
        yield ids, lengths if model.masks_padding else torch.full_like(lengths, ids.size(1))


@contextmanager
def knocked_out(model: Model, parts: Sequence[Part], means: Means) -> Iterator[None]:
    """Within it, the mean replaces what each of some parts of layers says."""
    with ExitStack() as hooks:
        for part in parts:
            places = HOOK_POINTS if part.place is None else [part.place]
            endings = tuple(f"blocks.{part.layer}{HOOK_POINTS[place]}" for place in places)
            names = [name for name in means if name.endswith(endings)]

            def replaced(x: Tensor, name: str, head: int | None = part.head) -> Tensor:
                mean = means[name].expand_as(x)
                if head is None:
                    return mean
                is_knocked = torch.arange(x.size(1)) == head  # (H,)
                return torch.where(is_knocked[:, None, None], mean, x)

            hooks.enter_context(hooked(model, names, replaced))
        yield


def without_positions(model: Model) -> Model:
    """The model, told of every token the mean of what it is told of positions."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        if isinstance(module, Transformer):
            module.positions = SamePositions(module.positions, module.config.block_size)
    return model


class SamePositions(Positions):
    """What a position method says, averaged over the block: the same of every token. A bias that is the same of every
    distance changes no attention, so there is none."""

    def __init__(self, method: Positions, block_size: int) -> None:
        super().__init__()
        self.embedding_scale = method.embedding_scale
        positions = torch.arange(block_size)
        vectors, rotation = method.vectors(positions), method.rotation(positions)
        self.vector = None if vectors is None else vectors.mean(dim=0)  # (C,)
        self.mean_rotation = None if rotation is None else (rotation[0].mean(dim=0), rotation[1].mean(dim=0))

    def vectors(self, positions: Tensor) -> Tensor | None:
        return None if self.vector is None else self.vector.expand(len(positions), -1)

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.mean_rotation is None:
            return None
        cosine, sine = self.mean_rotation
        return cosine[None], sine[None]
