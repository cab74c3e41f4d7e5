"""Named places on the way through a model, where anybody may look at what passes, or put something else in its place.

with hooked(model, ["blocks.0.attention.heads"], lambda heads, name: torch.zeros_like(heads)):
    logits = model(ids)
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import Tensor, nn

Hook = Callable[[Tensor, str], Tensor | None]  # is given what passes and the place's name; may return another tensor


class HookPoint(nn.Identity):
    """A place that does nothing. What passes it can be read, replaced and differentiated by PyTorch's own
    `register_forward_hook`, under its name in `model.named_modules()` (as in Nanda and Bloom's TransformerLens)."""

    @property
    def is_hooked(self) -> bool:
        """Whether anybody looks."""
        return bool(self._forward_hooks or self._forward_pre_hooks)


def hook_points(model: nn.Module, ending: str = "") -> list[str]:
    """The names of a model's hook points that end like this, layer after layer."""
    modules = model.named_modules()
    return [name for name, module in modules if isinstance(module, HookPoint) and name.endswith(ending)]


@contextmanager
def hooked(model: nn.Module, names: Iterable[str], hook: Hook) -> Iterator[None]:
    """Within it, `hook` is called with what passes each of the named places, and with the name; a tensor that it
    returns goes on instead. It sees this thread alone: another one may be reading with the same model."""
    owner = threading.get_ident()

    def call(name: str, _module: nn.Module, _inputs: object, output: Tensor) -> Tensor | None:
        return hook(output, name) if threading.get_ident() == owner else None

    with ExitStack() as hooks:
        for name in names:
            hooks.enter_context(model.get_submodule(name).register_forward_hook(partial(call, name)))
        yield
