"""The report's models in JAX: plain functions, and a training step that is compiled as a whole, optimizer included.

It imports jax, which only requirements-bench.txt installs, and gives it as many threads as PyTorch has now.
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# XLA's client makes pools of NPROC threads; its products have one of their own, unless they are told not to.
os.environ["NPROC"] = str(torch.get_num_threads())
if torch.get_num_threads() == 1:
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()

import jax
import jax.numpy as jnp
import numpy as np

from modules.config import TransformerConfig

Tree = Any  # arrays in dictionaries and lists: weights, gradients, Adam's moments
RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8  # AdamW's, as for the other contenders


def jax_weights(config: TransformerConfig, vocabulary_size: int, head: list[tuple[int, int]]) -> Tree:
    """The weights of the trunk, and of a head of linear layers of these widths (in, out)."""
    random, c = np.random.default_rng(0), config.n_embd

    def linear(n_in: int, n_out: int, bias: bool = True) -> Tree:
        weight = {"weight": random.uniform(-1, 1, (n_in, n_out)) / n_in**0.5}
        return weight | {"bias": np.zeros(n_out)} if bias else weight

    def norm() -> Tree:
        return {"scale": np.ones(c), "bias": np.zeros(c)}

    blocks = [
        {
            "qkv": linear(c, 3 * c, bias=False),
            "projection": linear(c, c),
            "wide": linear(c, config.ff_dim),
            "narrow": linear(config.ff_dim, c),
            "norms": [norm(), norm()],
        }
        for _ in range(config.n_layer)
    ]
    tables = {
        "words": random.normal(size=(vocabulary_size, c)),
        "positions": random.normal(size=(config.block_size, c)),
    }
    tree = {**tables, "blocks": blocks, "head": [linear(*sizes) for sizes in head]}
    return jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), tree)


def linear(layer: Tree, x: jax.Array) -> jax.Array:
    return x @ layer["weight"] + layer.get("bias", 0.0)


def norm(layer: Tree, x: jax.Array) -> jax.Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * layer["scale"] + layer["bias"]


def logits(tree: Tree, ids: jax.Array, n_head: int, causal: bool) -> jax.Array:
    """ids (B, T) -> logits of the next token (B T, V) if causal, else of the classes (B, K).

    The vectors are the rows of one matrix, which XLA multiplies up to a third faster than a tensor of three dimensions.
    """
    x = (tree["words"][ids] + tree["positions"]).reshape(ids.size, -1)  # (B T, C)
    for block in tree["blocks"]:
        q, k, v = jnp.moveaxis(linear(block["qkv"], x).reshape(*ids.shape, 3, n_head, -1), 2, 0)  # each (B, T, H, D)
        heads = jax.nn.dot_product_attention(q, k, v, is_causal=causal)
        x = norm(block["norms"][0], x + linear(block["projection"], heads.reshape(x.shape)))
        x = norm(block["norms"][1], x + linear(block["narrow"], jax.nn.relu(linear(block["wide"], x))))
    x = x if causal else x.reshape(*ids.shape, -1).mean(axis=1)
    *hidden, last = tree["head"]
    for layer in hidden:
        x = jax.nn.relu(linear(layer, x))
    return linear(last, x)


def jax_step(
    config: TransformerConfig, vocabulary_size: int, head: list[tuple[int, int]], ids: Tensor, targets: Tensor
) -> Callable[[], float]:
    """A step of AdamW on ids (B, T) and targets: (B,) classes, or (B T,) words. A call returns the loss before it."""
    inputs, expected = (jnp.asarray(tensor.numpy(), jnp.int32) for tensor in (ids, targets))

    def loss(tree: Tree) -> jax.Array:
        scores = logits(tree, inputs, config.n_head, causal=len(expected) > len(inputs))
        of_target = jnp.take_along_axis(scores, expected[:, None], axis=-1)[:, 0]
        return (jax.nn.logsumexp(scores, axis=-1) - of_target).mean()

    def step(tree: Tree, means: Tree, squares: Tree, number: jax.Array) -> tuple[jax.Array, tuple[Tree, ...]]:
        value, gradient = jax.value_and_grad(loss)(tree)
        number += 1
        means = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, means, gradient)
        squares = jax.tree.map(lambda s, g: BETA2 * s + (1 - BETA2) * g**2, squares, gradient)
        rate, scale = RATE / (1 - BETA1**number), 1 / (1 - BETA2**number)
        moved = jax.tree.map(lambda w, m, s: w - rate * m / (jnp.sqrt(s * scale) + EPSILON), tree, means, squares)
        return value, (moved, means, squares, number)

    compiled = jax.jit(step, donate_argnums=(0, 1, 2))  # the results may take the arguments' memory
    tree = jax_weights(config, vocabulary_size, head)
    state: tuple[Tree, ...] = (tree, *(jax.tree.map(jnp.zeros_like, tree) for _ in range(2)), jnp.zeros(()))

    def run() -> float:
        nonlocal state
        value, state = jax.block_until_ready(compiled(*state))  # the compiled step returns before it is done
        return float(value)

    return run
