"""Going on with a text, token by token."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from common.checks import check
from common.randomness import generator
from evaluation.mixture import mixed
from inference.sentence import finite, note_of
from tokenizer import PAD, UNK
from training.weights import TrainedModel
from transformer import Decoder, KeyValueCache


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn."""

    n_tokens: int = 60
    temperature: float = 0.8  # 0: always the likeliest token
    top_k: int | None = None  # only among the k likeliest
    top_p: float | None = 0.95  # only among the likeliest that have this probability together
    seed: int = 0
    use_cache: bool = True

    def __post_init__(self) -> None:
        check(self, "at least 1", "n_tokens", "top_k")
        check(self, "at least 0", "temperature")
        check(self, "above 0 and at most 1", "top_p")


@torch.no_grad()
def generate(trained: TrainedModel, prompt: str, sampling: Sampling) -> list[int]:
    """Ids of the prompt and of `n_tokens` tokens after it. <pad> and <unk> are never drawn.

    With a key/value cache each token costs one row of attention. A table of learned positions ends at the block: past
    it, every token is predicted from the last block of tokens, read anew. Other positions go on without end.
    """
    model = trained.model
    assert isinstance(model, Decoder)
    limit = model.config.block_size if model.config.positions == "learned" else None
    random = generator(sampling.seed, "sampling")
    ids = [PAD, *trained.tokenizer.encode(prompt)]  # a text begins after a <pad>, as when it is scored
    cache, n_read = KeyValueCache(), 0
    for _ in range(sampling.n_tokens):
        context = ids if limit is None else ids[-limit:]
        if sampling.use_cache and len(context) == len(ids):
            logits = model(torch.tensor([ids[n_read:]]), cache)[0, -1]
            n_read = len(ids)
        else:
            logits = model(torch.tensor([context]))[0, -1]
        logits = finite(logits)
        if trained.ngrams:
            counted = torch.from_numpy(trained.ngrams.distribution(ids[1:])).log()
            logits = mixed(logits.log_softmax(dim=-1), counted, model.config.ngram_share)
        ids.append(draw(logits, sampling, random))
    return ids[1:]


def continued(trained: TrainedModel, prompt: str, sampling: Sampling) -> tuple[str, str]:
    """The prompt, its unknown words as they were written but marked, and what follows it; and what was read of it.

    The note is as in `Sentence`: of a prompt longer than a table of learned positions the first token is drawn from the
    last block.
    """
    config, tokenizer = trained.model.config, trained.tokenizer
    ids, unknown = tokenizer.encode(prompt), tokenizer.unknown(prompt)
    n_read = min(len(ids), config.block_size) if config.positions == "learned" else len(ids)
    first = len(ids) - n_read
    note = note_of(len(ids), ids[first:], tokenizer.tokens(ids, unknown)[first:])
    text = tokenizer.decode(generate(trained, prompt, sampling), unknown)
    return text, note.replace("read ", "read the last ", 1) if first else note


def draw(logits: Tensor, sampling: Sampling, random: torch.Generator) -> int:
    """Draw the next token from `logits` (V,)."""
    logits = logits.double()
    logits[[PAD, UNK]] = -torch.inf
    if sampling.temperature == 0:
        return int(logits.argmax())
    if sampling.top_k is not None:
        logits[logits < logits.topk(min(sampling.top_k, len(logits))).values[-1]] = -torch.inf
    probabilities = ((logits - logits.max()) / sampling.temperature).softmax(dim=-1)  # however small the temperature
    if sampling.top_p is not None:
        ordered, order = probabilities.sort(descending=True)
        outside = ordered.cumsum(dim=-1) - ordered >= sampling.top_p  # the first token is always inside
        probabilities[order[outside]] = 0.0
    return int(torch.multinomial(probabilities, 1, generator=random))


def newest_decoder(folder: Path) -> Path:
    """The weights of part 2 that were written last, or, where there are none, those that it would write first."""
    found = sorted(folder.glob("decoder-*.safetensors"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else folder / "decoder-ff256.safetensors"
