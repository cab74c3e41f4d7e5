"""Named points in a model at which what passes can be read, or replaced by something else.

with hooked(model, ["blocks.0.attention.heads"], lambda heads, name: torch.zeros_like(heads)):
    logits = model(ids)
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import Tensor, nn

Hook = Callable[
    [Tensor, str], Tensor | None
]  # takes what passes and the point's name; may return a tensor to replace it


class HookPoint(nn.Identity):
    """An identity. What passes it can be read, replaced and differentiated with PyTorch's own `register_forward_hook`,
    under its name in `model.named_modules()` (as in Nanda and Bloom's TransformerLens)."""

    @property
    def is_hooked(self) -> bool:
        """Whether a hook is registered."""
        return bool(self._forward_hooks or self._forward_pre_hooks)


def hook_points(model: nn.Module, ending: str = "") -> list[str]:
    """The names of a model's hook points with this ending, layer after layer."""
    modules = model.named_modules()
    return [name for name, module in modules if isinstance(module, HookPoint) and name.endswith(ending)]


@contextmanager
def hooked(model: nn.Module, names: Iterable[str], hook: Hook) -> Iterator[None]:
    """Within it, `hook` is called with what passes each of the named points, and with the name; a tensor that it
    returns replaces it. Other threads that read with the same model are not affected."""
    owner = threading.get_ident()

    def call(name: str, _module: nn.Module, _inputs: object, output: Tensor) -> Tensor | None:
        return hook(output, name) if threading.get_ident() == owner else None

    with ExitStack() as hooks:
        for name in names:
            hooks.enter_context(model.get_submodule(name).register_forward_hook(partial(call, name)))
        yield
