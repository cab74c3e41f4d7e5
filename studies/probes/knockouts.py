"""What a trained model loses without one of its parts: a head, a feed-forward network, a layer, its positions.

The part's output is replaced by its mean over the training data (mean ablation: Wang et al. 2022): what it says about a
particular text is gone, and what it adds to every text stays.
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
from evaluation.attention import batches_read, read_ids
from evaluation.ngrams import KneserNey
from evaluation.perplexity import Protocol, predicted_nats
from evaluation.statistics import Estimate, paired_difference, ratio_of_logs
from modules.hook_point import hook_points, hooked
from training.recipe import Task
from training.weights import TrainedModel
from transformer import Classifier, Decoder, Positions, Transformer, Vote

Model = Classifier | Vote | Decoder
Means = dict[str, Tensor]  # by the name of a hook point: (H, 1, D) of heads, (C,) of a feed-forward network
HOOK_POINTS = {"heads": ".attention.heads", "feed-forward": ".feed_forward.update"}  # how their names end


class ModelPart(msgspec.Struct, frozen=True):
    """What is knocked out: one head of a layer, all heads, its feed-forward network, or all of it; or the positions."""

    layer: int | None = None  # from 0; None: the positions
    component: Literal["heads", "feed-forward"] | None = None  # of the layer; None: all of it
    head: int | None = None  # from 0

    @property
    def name(self) -> str:
        """In words; layers and heads are counted from 1."""
        if self.layer is None:
            return "positions"
        what = "" if self.component is None else f", {self.component}"
        if self.component == "heads":
            what = ", all heads" if self.head is None else f", head {self.head + 1}"
        return f"layer {self.layer + 1}{what}"


class KnockOut(msgspec.Struct, frozen=True):
    """The measure without a part, and what it costs: points of accuracy, or the ratio of perplexities."""

    part: ModelPart
    value: float
    cost: Estimate


class KnockOuts(msgspec.Struct, frozen=True):
    """A whole model, and without each of its parts."""

    task: Task
    n_items: int  # test rows, or lines of test texts: what the intervals are over
    value: float  # accuracy in percent, or perplexity: over several texts, the geometric mean
    without: list[KnockOut]
    has_trigram: bool = False  # that predicts with the decoder, and stays as it is


def knock_out(trained: TrainedModel, data: Data) -> KnockOuts:
    """Measure a model on the test set, whole and without each of its parts."""
    model = trained.model
    is_decoder = isinstance(model, Decoder)

    def measure(values: Tensor) -> float:
        return float(values.mean().exp() if is_decoder else values.mean())

    whole, means, without = scores(model, trained.ngrams, data), mean_outputs(model, data), []
    for part in parts(model):
        if part.layer is None:
            rest = scores(without_positions(model), trained.ngrams, data)
        else:
            with knocked_out(model, [part], means):
                rest = scores(model, trained.ngrams, data)
        before, after = whole.numpy(), rest.numpy()
        cost = ratio_of_logs(after, before) if is_decoder else paired_difference(before, after)
        without.append(KnockOut(part, measure(rest), cost))
    task: Task = "decoder" if is_decoder else "classifier"
    return KnockOuts(task, len(whole), measure(whole), without, has_trigram=trained.ngrams is not None)


def parts(model: Model) -> list[ModelPart]:
    """All that can be knocked out."""
    every = [ModelPart()] if model.config.positions != "none" else []
    for layer in range(model.config.n_layer):
        every += [ModelPart(layer, "heads", head) for head in range(model.config.n_head)] + [ModelPart(layer, "heads")]
        every += [ModelPart(layer, "feed-forward")] if model.config.ff_dim else []
        every.append(ModelPart(layer))
    return every


def scores(model: Model, ngrams: KneserNey | None, data: Data) -> Tensor:
    """Of each test row, 100 where the model is right and 0 where it is not; of each line of the test texts its nats,
    by a decoder and the `ngrams` that may predict with it, weighted so that their mean is the mean over texts of the
    nats of a token, the logarithm of perplexity."""
    if not isinstance(model, Decoder):
        predictions = class_probabilities(model, data.test).argmax(dim=-1)
        return 100 * (predictions == data.test.labels).double()
    texts = []
    for stream in data.test_streams.values():
        nats = predicted_nats(model, ngrams, stream.ids, Protocol(model.config.block_size))
        texts.append(torch.stack([line.sum() for line in nats.split(stream.line_lengths)]) / len(nats))
    return torch.cat(texts) * sum(map(len, texts)) / len(texts)


@torch.no_grad()
def mean_outputs(model: Model, data: Data) -> Means:
    """The mean output of every head and feed-forward network over the training data. Padding counts like words in a
    model that reads it like words."""
    sums: Means = {}
    n_tokens, is_token = 0, torch.ones(0)
    names = [name for ending in HOOK_POINTS.values() for name in hook_points(model, ending)]
    masks_padding = isinstance(model, Decoder) or model.masks_padding

    def add(x: Tensor, name: str) -> None:  # (B, H, T, D) or (B, T, C)
        mask = is_token[:, None, :, None] if x.dim() == 4 else is_token[..., None]
        sums[name] = sums.get(name, 0) + (x * mask).double().sum(dim=(0, -2), keepdim=True)[0]

    for ids, lengths in batches_read(model, data.train, [data.train_stream]):
        counted = lengths if masks_padding else torch.full_like(lengths, ids.size(1))
        is_token = torch.arange(ids.size(1)) < counted[:, None]  # (B, T)
        with hooked(model, names, add):
            read_ids(model, ids, lengths)
        n_tokens += int(is_token.sum())
    return {name: (total / n_tokens).float() for name, total in sums.items()}


@contextmanager
def knocked_out(model: Model, parts: Sequence[ModelPart], means: Means) -> Iterator[None]:
    """Within it, the mean replaces the output of each of some parts of layers."""
    with ExitStack() as hooks:
        for part in parts:
            components = HOOK_POINTS if part.component is None else [part.component]
            endings = tuple(f"blocks.{part.layer}{HOOK_POINTS[component]}" for component in components)
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
    """A copy of the model for which every token stands at the same, average position."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        if isinstance(module, Transformer):
            module.positions = SamePositions(module.positions, module.config.block_size)
    return model


class SamePositions(Positions):
    """A position method averaged over the block: the same for every token. A bias that is the same for every distance
    changes no attention, so there is none."""

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
