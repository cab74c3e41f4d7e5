"""What a trained model loses without one of its parts: a head, a feed-forward network, a layer, its positions.

The part's output is replaced by its mean over the training data (mean-ablation: Wang et al. 2022), so that what it says
of one text in particular is gone, and what it adds to all alike stays.
"""

import copy
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec
import torch
from torch import Tensor

from dataset import Data
from evaluation.accuracy import class_probabilities
from evaluation.perplexity import Protocol, token_nats
from evaluation.statistics import Estimate, paired_difference, ratio_of_logs
from modules.edit import Edit, Place
from modules.vote import Vote
from training.recipe import Task
from training.weights import TrainedModel
from transformer import Classifier, Decoder, NoPositions, Transformer

Model = Classifier | Vote | Decoder


class Part(msgspec.Struct, frozen=True):
    """What is knocked out: of a layer one head, all heads, the feed-forward network or all; of no layer, positions."""

    layer: int | None = None  # from 0
    place: Place | None = None  # of the layer; None: all of it
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
    found = []
    for part in parts(model):
        reduced, edit = (without_positions(model), None) if part.layer is None else (model, replaced(part, means))
        rest = scores(reduced, data, edit)
        if is_decoder:
            cost = ratio_of_logs(rest.numpy(), whole.numpy())
        else:
            cost = paired_difference(whole.numpy(), rest.numpy())
        found.append(KnockOut(part, in_all(rest, is_decoder), cost))
    return KnockOuts("decoder" if is_decoder else "classifier", len(whole), in_all(whole, is_decoder), found)


def in_all(values: Tensor, is_decoder: bool) -> float:
    """The measure: accuracy in percent, or perplexity."""
    return float(values.mean().exp() if is_decoder else values.mean())


def parts(model: Model) -> list[Part]:
    """All that can be knocked out."""
    found = [Part()] if model.config.positions != "none" else []
    for layer in range(model.config.n_layer):
        found += [Part(layer, "heads", head) for head in range(model.config.n_head)] + [Part(layer, "heads")]
        found += [Part(layer, "feed-forward")] if model.config.ff_dim else []
        found.append(Part(layer))
    return found


def scores(model: Model, data: Data, edit: Edit | None = None) -> Tensor:
    """Of each test row, 100 where the model is right and 0 where it is not; of each line of the test texts its nats,
    weighted so that their mean is the mean over texts of the nats of a token, the logarithm of perplexity."""
    if not isinstance(model, Decoder):
        predictions = class_probabilities(model, data.test, edit=edit).argmax(dim=-1)
        return 100 * (predictions == data.test.labels).double()
    texts = []
    for stream in data.test_streams.values():
        nats = token_nats(model, stream.ids, Protocol(model.config.block_size), edit=edit)
        texts.append(torch.stack([line.sum() for line in nats.split(stream.line_lengths)]) / len(nats))
    return torch.cat(texts) * sum(map(len, texts)) / len(texts)


# --------------------------------------------------------------------------------------------------------------- means

Means = dict[tuple[Place, int, int | None], Tensor]  # by place, member and layer: (H, 1, D) of heads, else (C,)


@torch.no_grad()
def mean_outputs(model: Model, data: Data) -> Means:
    """The mean output of every head and feed-forward network over the training data; padding counts where it is read
    like words."""
    sums: Means = {}
    n_tokens = 0
    for ids, lengths in training_batches(model, data):
        edit = partial(add, sums, torch.arange(ids.size(1)) < lengths[:, None])
        if isinstance(model, Decoder):
            model.hidden(ids, edit=edit)
        else:
            model(ids, lengths, edit=edit)
        n_tokens += int(lengths.sum())
    return {key: (total / n_tokens).float() for key, total in sums.items()}


def add(sums: Means, inside: Tensor, place: Place, x: Tensor, /, layer: int | None = None, member: int = 0) -> Tensor:
    """An edit that changes nothing, and adds to `sums` what heads and feed-forward networks say at the places (B, T)
    `inside`; <cls>, put in front, is none of them."""
    if place in ("heads", "feed-forward"):
        here = inside[:, None, :, None] if place == "heads" else inside[..., None]
        total = (x[..., -inside.size(1) :, :] * here).double().sum(dim=(0, -2), keepdim=True)[0]
        sums[place, member, layer] = sums.get((place, member, layer), 0) + total
    return x


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


def replaced(part: Part, means: Means) -> Edit:
    """The edit that puts the mean in the place of what a part of a layer says."""

    def edit(place: Place, x: Tensor, /, layer: int | None = None, member: int = 0) -> Tensor:
        if layer != part.layer or (place, member, layer) not in means or part.place not in (None, place):
            return x
        mean = means[place, member, layer].expand_as(x)
        if part.head is None:
            return mean
        knocked = torch.arange(x.size(1)) == part.head
        return torch.where(knocked[:, None, None], mean, x)

    return edit


def all_replaced(parts: Sequence[Part], means: Means) -> Edit:
    """The edit that does so with several parts."""
    edits = [replaced(part, means) for part in parts]

    def edit(place: Place, x: Tensor, /, layer: int | None = None, member: int = 0) -> Tensor:
        for one in edits:
            x = one(place, x, layer=layer, member=member)
        return x

    return edit


def without_positions(model: Model) -> Model:
    """The model, told of every token the mean of what it is told of positions."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        if isinstance(module, Transformer):
            module.positions = SamePositions(module.positions, module.config.block_size)
    return model


class SamePositions(NoPositions):
    """What a position method says, averaged over the block: the same of every token. A bias that is the same of every
    distance changes no attention, so there is none."""

    def __init__(self, method: NoPositions, block_size: int) -> None:
        torch.nn.Module.__init__(self)
        self.embedding_scale = method.embedding_scale
        places = torch.arange(block_size)
        vectors, rotation = method.vectors(places), method.rotation(places)
        self.vector = None if vectors is None else vectors.mean(dim=0)
        self.turn = None if rotation is None else (rotation[0].mean(dim=0), rotation[1].mean(dim=0))

    def vectors(self, positions: Tensor) -> Tensor | None:
        return None if self.vector is None else self.vector.expand(len(positions), -1)

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor] | None:
        return None if self.turn is None else (self.turn[0][None], self.turn[1][None])
