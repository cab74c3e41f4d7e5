"""Seeds of every purpose of every run: other ones, and the same ones again."""

import torch

from common.randomness import derived_seed, generator


def test_a_derived_seed_is_the_first_63_bits_of_a_digest() -> None:
    # printf "%s" "(7, 'order', 3)" | sha256sum gives 89e0c1165f1d2bfd...
    assert derived_seed(7, "order", 3) == 0x89E0C1165F1D2BFD // 2


def test_seeds_of_different_runs_and_purposes_differ() -> None:
    purposes = [("order",), ("order", 0), ("order", 1), ("dropout", 0, 0), ("dropout", 0, 1), ("dropout", 1, 0), ()]
    seeds = [derived_seed(seed, *purpose) for seed in range(300) for purpose in purposes]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    for bit in range(63):  # 2,100 throws of a coin: 1,050, give or take 5 standard deviations of 23
        assert 930 < sum(seed >> bit & 1 for seed in seeds) < 1170


def test_a_generator_draws_what_its_seed_and_purpose_say_and_nothing_else_moves_it() -> None:
    def draw(seed: int, *purpose: object) -> list[float]:
        return torch.rand(4, generator=generator(seed, *purpose)).tolist()

    first = draw(1, "order", 2)
    torch.rand(1)
    assert draw(1, "order", 2) == first
    plain = torch.Generator().manual_seed(derived_seed(1, "order", 2))
    assert torch.rand(4, generator=plain).tolist() == first
    assert first not in (draw(2, "order", 2), draw(1, "order", 1), draw(1, "dropout", 2), draw(1, "order"))
