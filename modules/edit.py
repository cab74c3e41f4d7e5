"""Places of a forward pass at which what stands there can be seen, and changed."""

from typing import Literal, Protocol

from torch import Tensor

# what enters the first block (B, T, C); of each layer the attention weights (B, H, T, S), the output of each head
# (B, H, T, D) and the update of the feed-forward network (B, T, C)
Place = Literal["embedding", "weights", "heads", "feed-forward"]


class Edit(Protocol):
    """A function that is given what stands at a place of the forward pass and says what to go on with.

    `layer` counts from 0, and is None where the place is of no layer; `member` is a classifier's place in its vote.
    """

    def __call__(self, place: Place, x: Tensor, /, layer: int | None = None, member: int = 0) -> Tensor: ...


def edited(edit: Edit | None, place: Place, x: Tensor) -> Tensor:
    """What to go on with at a place: `x` itself where nobody edits."""
    return x if edit is None else edit(place, x)


class Record:
    """An edit that changes nothing and keeps what stands at one place, for each layer of the first member."""

    def __init__(self, place: Place) -> None:
        self.place, self.layers = place, list[Tensor]()

    def __call__(self, place: Place, x: Tensor, /, layer: int | None = None, member: int = 0) -> Tensor:
        if place == self.place and member == 0:
            self.layers.append(x)
        return x
