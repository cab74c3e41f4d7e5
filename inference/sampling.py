"""How the next token of a text is drawn. It imports no torch, so `--help` and the page can say the same defaults."""

from dataclasses import dataclass

from common.checks import check


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. The defaults are cautious, for what a small model finds unlikely is mostly wrong."""

    n_tokens: int = 60
    temperature: float = 0.6  # 0: always the likeliest token
    top_k: int | None = None  # only among the k likeliest
    top_p: float | None = 0.8  # only among the likeliest that have this probability together
    seed: int = 0
    n_more: int = 0  # at most so many tokens more, up to the end of a sentence

    def __post_init__(self) -> None:
        check(self, "at least 1", "n_tokens", "top_k")
        check(self, "at least 0", "temperature", "n_more")
        check(self, "above 0 and at most 1", "top_p")
