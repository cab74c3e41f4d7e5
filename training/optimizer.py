"""Adam, and the learning rate over a run."""

import math

import torch
from torch import nn

from training.recipe import TrainingConfig


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam, or AdamW with decay on the matrices only (norms and biases are not pulled to zero)."""
    decayed, free = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in model.named_parameters():
        is_matrix = parameter.dim() > 1 and "bias" not in name  # a table of biases has two dimensions, too
        (decayed if is_matrix else free).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": free, "weight_decay": 0.0}]
    fused = all(parameter.device.type in ("cpu", "cuda", "mps") for parameter in model.parameters())
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2), fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int, n_steps: int) -> None:
    """The learning rate of `step` = 0 .. n_steps - 1."""
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * rate_factor(config, step, n_steps)


def rate_factor(config: TrainingConfig, step: int, n_steps: int) -> float:
    """Share of the full learning rate at `step`: a linear rise over the warm-up, then the schedule down to zero."""
    n_warmup = round(config.warmup * n_steps)
    if step < n_warmup:
        return (step + 1) / (n_warmup + 1)
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    return {"constant": 1.0, "linear": 1 - progress, "cosine": (1 + math.cos(math.pi * progress)) / 2}[config.schedule]
