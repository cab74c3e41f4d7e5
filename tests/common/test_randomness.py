"""Seeds of every purpose of every run: other ones, and the same ones again."""

import torch

from common.randomness import derived_seed, generator


def test_a_derived_seed_is_the_first_63_bits_of_a_digest() -> None:
    # printf "%s" "(7, 'order', 3)" | sha256sum gives 89e0c1165f1d2bfd...
    assert derived_seed(7, "order", 3) == 0x89E0C1165F1D2BFD // 2


def test_a_generator_draws_what_its_seed_and_purpose_say_and_nothing_else_moves_it() -> None:
    def draw(seed: int, *purpose: object) -> list[float]:
        return torch.rand(4, generator=generator(seed, *purpose)).tolist()

    first = draw(1, "order", 2)
    torch.rand(1)
    assert draw(1, "order", 2) == first
    assert first not in (draw(2, "order", 2), draw(1, "order", 1), draw(1, "dropout", 2), draw(1, "order"))
