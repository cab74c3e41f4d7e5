"""A training step of Orator's models, and of models of the same sizes built from libraries.

Orator's step is the product's own, from choosing the items of the batch to the optimizer. The libraries' step is what
their users write, with their batch ready-made and the same fused optimizer. JAX's step is compiled as a whole.
"""

import importlib
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import Step
from dataset import Data, Labelled, Stream
from modules.config import ClassifierConfig
from speechesdataset.folder import Corpus
from studies.catalogue.recipes import RECIPES
from tokenizer import SPECIAL, Tokenizer
from training.kinds import KINDS
from training.loop import WithLoss, make_optimizer, training_step
from training.recipe import Run, Task, customise

TASKS: tuple[Task, ...] = ("classifier", "decoder")


@dataclass(frozen=True)
class ModelSizes:
    """What grows; the rest is the report's."""

    block_size: int = 32
    batch_size: int = 16
    vocabulary_size: int = 5755
    n_embd: int = 64  # the feed-forward network is four times as wide
    n_classes: int = 3

    def config(self) -> ClassifierConfig:
        return ClassifierConfig(block_size=self.block_size, n_embd=self.n_embd, ff_dim=4 * self.n_embd)

    def head(self, task: Task) -> list[tuple[int, int]]:
        """The widths (in, out) of the linear layers on top of the vectors; a ReLU follows each but the last."""
        if task == "decoder":
            return [(self.n_embd, self.vocabulary_size)]
        return [(self.n_embd, 100), (100, self.n_classes)]


GROWTH: dict[tuple[Task, str], dict[str, ModelSizes]] = {  # model and what grows -> its sizes
    ("classifier", "sequence length"): {f"{n:,} tokens": ModelSizes(block_size=n) for n in (32, 128, 512, 1024)},
    ("decoder", "vocabulary"): {f"{n:,} words": ModelSizes(vocabulary_size=n) for n in (5_000, 10_000, 20_000, 50_000)},
    ("decoder", "batch"): {f"{n} rows": ModelSizes(batch_size=n) for n in (16, 64, 256)},
    ("decoder", "width"): {f"width {n}": ModelSizes(n_embd=n) for n in (64, 128, 256, 512)},
}


def all_steps(task: Task, sizes: ModelSizes = ModelSizes()) -> dict[str, Step]:
    """A training step of Orator, in float32 and in bf16, and of the libraries that are installed."""
    steps = {"Orator": orator_step(task, sizes), "Orator, --precision bf16": orator_step(task, sizes, precision="bf16")}
    for name in (*TRUNKS, "JAX"):
        try:
            steps[name] = library_step(name, task, sizes)
        except ModuleNotFoundError as error:
            print(f"without {name}: {error}; pip install -r requirements-bench.txt adds it", file=sys.stderr)
    return steps


# ------------------------------------------------------------------------------------------------------------- Orator


def orator_step(task: Task, sizes: ModelSizes = ModelSizes(), **settings: object) -> Step:
    """A training step of the product, on made-up data of these sizes, with the report's recipe but for `settings`."""
    config = sizes.config()
    settings |= {"n_embd": config.n_embd, "ff_dim": config.ff_dim, "block_size": config.block_size}
    duration = 20 if task == "decoder" else 1
    recipe = customise(RECIPES["report"][task], duration=duration, batch_size=sizes.batch_size, **settings)
    work = KINDS[task].task(Run("benchmark", recipe, seed=0), made_up_data(sizes), torch.device("cpu"))
    optimizer = make_optimizer(work.model, recipe.training)
    model = WithLoss(work.model, work.loss)
    batches = itertools.cycle(work.plan)
    return lambda: training_step(model, optimizer, next(batches), recipe.training)


def made_up_data(sizes: ModelSizes, n_batches: int = 20) -> Data:
    """Random rows of 5 tokens to the whole block, and a random stream."""
    generator = torch.Generator().manual_seed(0)
    n_rows = n_batches * sizes.batch_size
    lengths = torch.randint(min(5, sizes.block_size), sizes.block_size + 1, (n_rows,), generator=generator)
    ids = torch.randint(2, sizes.vocabulary_size, (n_rows, sizes.block_size), generator=generator)
    ids[torch.arange(sizes.block_size) >= lengths[:, None]] = 0
    labels = torch.randint(sizes.n_classes, (n_rows,), generator=generator)
    rows = Labelled(ids, lengths, labels, n_truncated=0)
    names = [str(i) for i in range(sizes.n_classes)]
    stream = Stream(torch.randint(2, sizes.vocabulary_size, (50_000,), generator=generator), 0, 0)
    tokenizer = Tokenizer([*SPECIAL, *(f"word{i}" for i in range(2, sizes.vocabulary_size))])
    corpus = Corpus(Path(), [], [], [], {}, names, names, fingerprint="")
    return Data(corpus, tokenizer, rows, rows, torch.zeros(n_rows, dtype=torch.bool), stream, {})


# ---------------------------------------------------------------------------------------------------------- libraries


class TorchTrunk(nn.Module):
    """ids (B, T) -> vectors (B, T, C) by nn.TransformerEncoder."""

    def __init__(self, config: ClassifierConfig, vocabulary_size: int, causal: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, config.n_embd)
        self.positions = nn.Parameter(torch.randn(config.block_size, config.n_embd))
        layer = nn.TransformerEncoderLayer(config.n_embd, config.n_head, config.ff_dim, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, config.n_layer, enable_nested_tensor=False)
        mask = nn.Transformer.generate_square_subsequent_mask(config.block_size) if causal else None
        self.register_buffer("mask", mask)
        self.causal = causal

    def forward(self, ids: Tensor) -> Tensor:
        return self.layers(self.embedding(ids) + self.positions, self.mask, is_causal=self.causal)


class BertTrunk(nn.Module):
    """ids (B, T) -> vectors (B, T, C) by BERT of transformers, from a configuration: nothing is downloaded."""

    def __init__(self, config: ClassifierConfig, vocabulary_size: int, causal: bool) -> None:
        super().__init__()
        library = importlib.import_module("transformers")
        bert = library.BertConfig(
            vocab_size=vocabulary_size,
            hidden_size=config.n_embd,
            num_hidden_layers=config.n_layer,
            num_attention_heads=config.n_head,
            intermediate_size=config.ff_dim,
            max_position_embeddings=config.block_size,
            hidden_act="relu",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            is_decoder=causal,
            use_cache=False,
        )
        self.bert = library.BertModel(bert, add_pooling_layer=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.bert(ids).last_hidden_state


TRUNKS: dict[str, Callable[[ClassifierConfig, int, bool], nn.Module]] = {
    "torch.nn": TorchTrunk,
    "transformers": BertTrunk,
}


class LibraryModel(nn.Module):
    """ids (B, T) -> logits: (B, K) of a classifier, (B, T, V) of a decoder."""

    def __init__(self, name: str, task: Task, sizes: ModelSizes) -> None:
        super().__init__()
        self.causal = task == "decoder"
        self.trunk = TRUNKS[name](sizes.config(), sizes.vocabulary_size, self.causal)
        layers = [layer for widths in sizes.head(task) for layer in (nn.Linear(*widths), nn.ReLU())]
        self.head = nn.Sequential(*layers[:-1])

    def forward(self, ids: Tensor) -> Tensor:
        vectors = self.trunk(ids)
        return self.head(vectors if self.causal else vectors.mean(dim=1))


def library_step(name: str, task: Task, sizes: ModelSizes = ModelSizes()) -> Step:
    """A training step of a library's model of these sizes; ModuleNotFoundError where it is not installed."""
    batch = made_up_data(sizes, n_batches=1).train
    ids = batch.ids  # (B, T)
    targets = batch.labels if task == "classifier" else ids.roll(-1, dims=1).flatten()  # (B,) or (B T,)
    if name == "JAX":
        in_jax = importlib.import_module("benchmarks.in_jax")
        step: Step = in_jax.jax_step(sizes.config(), sizes.vocabulary_size, sizes.head(task), ids, targets)
        return step
    model = LibraryModel(name, task, sizes).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)

    def torch_step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(ids).reshape(len(targets), -1), targets).backward()
        optimizer.step()

    return torch_step
