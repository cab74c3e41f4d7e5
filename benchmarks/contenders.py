"""A training step of Orator's models, and of the same sizes built from library modules.

Orator's step is the product's own, from choosing the items of the batch to the optimizer. The libraries' step is what
their users write, with their batch ready-made and the same fused optimizer; as it is, and with model and loss compiled
by torch.compile for these very sizes. JAX's step is compiled whole, with the same sizes and the same AdamW.
"""

import importlib
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dataset import Corpus, Data, Labelled, Stream
from modules.config import ClassifierConfig, TransformerConfig
from studies.recipes import RECIPES
from tokenizer import SPECIAL, Tokenizer
from training.loop import WithLoss, training_step
from training.optimizer import make_optimizer
from training.recipe import Run, customise
from training.tasks import task_of

Task = Literal["classifier", "decoder"]
TASKS: tuple[Task, ...] = ("classifier", "decoder")
Step = Callable[[], object]


@dataclass(frozen=True)
class Sizes:
    """What grows; the rest is the report's."""

    block_size: int = 32
    batch_size: int = 16
    vocabulary_size: int = 5755
    n_classes: int = 3


def step_flops(task: Task, sizes: Sizes, config: TransformerConfig | None = None) -> float:
    """Operations in the matrix products of a training step, whose backward pass does twice those of the forward."""
    return 3 * sizes.batch_size * sizes.block_size * token_flops(task, sizes, config)


def token_flops(task: Task, sizes: Sizes, config: TransformerConfig | None = None) -> float:
    """Operations in the matrix products of one token's forward pass: two for each multiplication with addition."""
    c = config or RECIPES["report"][task].architecture
    block = 2 * c.n_embd * (4 * c.n_embd + 2 * c.ff_dim) + 4 * sizes.block_size * c.n_embd
    trunks = getattr(c, "n_members", 1) * c.n_layer * block
    return trunks + (2 * c.n_embd * sizes.vocabulary_size if task == "decoder" else 0)


def our_step(task: Task, sizes: Sizes = Sizes(), name: str = "report", **settings: object) -> Step:
    """A training step of the product, on made-up data of these sizes, with the named recipe but for `settings`."""
    settings |= {"block_size": sizes.block_size, "batch_size": sizes.batch_size}
    recipe = customise(RECIPES[name][task], duration=20 if task == "decoder" else 1, **settings)
    work = task_of(Run("benchmark", recipe, seed=0), made_up_data(sizes), torch.device("cpu"))
    optimizer = make_optimizer(work.model, recipe.training)
    model = WithLoss(work.model, work.loss)
    plan = itertools.cycle(work.plan)

    def step() -> None:
        training_step(model, optimizer, next(plan), recipe.training)

    return step


def made_up_data(sizes: Sizes, n_batches: int = 20) -> Data:
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


@dataclass(frozen=True)
class Shape(ClassifierConfig):
    """The report's architecture, and the sizes that the data decide."""

    vocabulary_size: int = 5755
    n_classes: int = 3


class TorchTrunk(nn.Module):
    """ids (B, T) -> vectors (B, T, C) by nn.TransformerEncoder."""

    def __init__(self, config: Shape, causal: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary_size, config.n_embd)
        self.positions = nn.Parameter(torch.randn(config.block_size, config.n_embd))
        layer = nn.TransformerEncoderLayer(config.n_embd, config.n_head, config.ff_dim, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, config.n_layer, enable_nested_tensor=False)
        mask = nn.Transformer.generate_square_subsequent_mask(config.block_size) if causal else None
        self.register_buffer("mask", mask)
        self.causal = causal

    def forward(self, ids: Tensor) -> Tensor:
        return self.layers(self.embedding(ids) + self.positions, self.mask, is_causal=self.causal)


class Headed(nn.Module):
    """A trunk with the report's head: a classifier over the mean of the vectors, or a decoder's output layer."""

    def __init__(self, config: Shape, task: Task, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk, self.is_classifier = trunk, task == "classifier"
        classifier = [
            nn.Linear(config.n_embd, config.head_dim),
            nn.ReLU(),
            nn.Linear(config.head_dim, config.n_classes),
        ]
        output = [nn.Linear(config.n_embd, config.vocabulary_size)]
        self.head = nn.Sequential(*(classifier if self.is_classifier else output))

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.trunk(ids)
        return self.head(hidden.mean(dim=1) if self.is_classifier else hidden)


class Answer(nn.Module):
    """A model's call that returns one field of an output object."""

    def __init__(self, model: nn.Module, field: str) -> None:
        super().__init__()
        self.model, self.field = model, field

    def forward(self, ids: Tensor) -> Tensor:
        return getattr(self.model(ids), self.field)


def torch_model(config: Shape, task: Task) -> nn.Module:
    return Headed(config, task, TorchTrunk(config, causal=task == "decoder"))


def transformers_model(config: Shape, task: Task) -> nn.Module:
    """BERT or GPT-2 from a configuration, without dropout."""
    library = importlib.import_module("transformers")
    library.logging.set_verbosity_error()
    if task == "classifier":
        bert = library.BertConfig(
            vocab_size=config.vocabulary_size,
            hidden_size=config.n_embd,
            num_hidden_layers=config.n_layer,
            num_attention_heads=config.n_head,
            intermediate_size=config.ff_dim,
            max_position_embeddings=config.block_size,
            hidden_act="relu",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        return Headed(config, task, Answer(library.BertModel(bert, add_pooling_layer=False), "last_hidden_state"))
    gpt2 = library.GPT2Config(
        vocab_size=config.vocabulary_size,
        n_positions=config.block_size,
        n_embd=config.n_embd,
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_inner=config.ff_dim,
        activation_function="relu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    return Answer(library.GPT2LMHeadModel(gpt2), "logits")


def x_transformers_model(config: Shape, task: Task) -> nn.Module:
    library = importlib.import_module("x_transformers")
    layers = (library.Encoder if task == "classifier" else library.Decoder)(
        dim=config.n_embd,
        depth=config.n_layer,
        heads=config.n_head,
        attn_dim_head=config.n_embd // config.n_head,
        ff_mult=config.ff_dim / config.n_embd,
        ff_custom_activation=nn.ReLU(),
        pre_norm=False,
        attn_flash=True,
    )
    trunk = library.TransformerWrapper(
        num_tokens=config.vocabulary_size, max_seq_len=config.block_size, attn_layers=layers, return_only_embed=True
    )
    return Headed(config, task, trunk)


LIBRARIES: dict[str, Callable[[Shape, Task], nn.Module]] = {
    "torch.nn": torch_model,
    "transformers": transformers_model,
    "x-transformers": x_transformers_model,
}


def library_step(name: str, task: Task, sizes: Sizes = Sizes(), compiled: bool = False) -> Step:
    """A training step of a library's model of these sizes; ModuleNotFoundError where it is not installed."""
    config = Shape(block_size=sizes.block_size, vocabulary_size=sizes.vocabulary_size, n_classes=sizes.n_classes)
    ids, targets = made_up_batch(task, sizes)
    if name == "JAX":
        hidden = [config.head_dim] if task == "classifier" else []
        widths = [config.n_embd, *hidden, sizes.n_classes if task == "classifier" else sizes.vocabulary_size]
        in_jax = importlib.import_module("benchmarks.in_jax")
        step: Step = in_jax.training_step(config, sizes.vocabulary_size, [*itertools.pairwise(widths)], ids, targets)
        return step
    model = LIBRARIES[name](config, task).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)

    def loss() -> Tensor:
        return F.cross_entropy(model(ids).reshape(len(targets), -1), targets)

    if compiled:
        loss = torch.compile(loss, dynamic=False)

    def torch_step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return torch_step


def made_up_batch(task: Task, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Random ids (B, T), and classes (B,) or words (B T,) to predict."""
    generator = torch.Generator().manual_seed(0)
    shape = (sizes.batch_size, sizes.block_size)
    ids = torch.randint(2, sizes.vocabulary_size, shape, generator=generator)
    targets = torch.randint(2, sizes.vocabulary_size, shape, generator=generator).flatten()
    return ids, targets[: sizes.batch_size] % sizes.n_classes if task == "classifier" else targets


def contenders(task: Task, sizes: Sizes = Sizes()) -> dict[str, Step]:
    """Orator's step, and those of the libraries that are installed: as they are, compiled by torch.compile; JAX's."""
    steps = {"Orator": our_step(task, sizes)}
    for name in (*LIBRARIES, "JAX"):
        try:
            steps[name] = library_step(name, task, sizes)
        except ModuleNotFoundError as error:
            print(f"without {name}: {error}; pip install -r requirements-bench.txt adds it", file=sys.stderr)
        else:
            if name in LIBRARIES:
                steps[f"{name}, compiled"] = library_step(name, task, sizes, compiled=True)
    return steps
