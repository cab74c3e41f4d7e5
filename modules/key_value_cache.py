"""Keys and values kept while a text is read on."""

from collections.abc import Callable

import torch
from torch import Tensor

Extend = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # new k and v (B, H, T, D) -> all of them (B, H, S, D)


class KeyValueCache:
    """Keys and values of the tokens that a decoder has read, so that each new token costs one row of attention."""

    def __init__(self) -> None:
        self.layers: list[tuple[Tensor, Tensor]] = []  # k and v (B, H, S, D) of each layer
        self.length = 0  # S before the tokens of the current forward pass

    def layer(self, number: int) -> Extend:
        """What appends k and v (B, H, T, D) of one layer to its cache and gives all of them (B, H, S + T, D)."""

        def extend(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            if number == len(self.layers):
                self.layers.append((k, v))
            else:
                past_k, past_v = self.layers[number]
                self.layers[number] = torch.cat([past_k, k], dim=2), torch.cat([past_v, v], dim=2)
            return self.layers[number]

        return extend
