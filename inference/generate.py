"""Going on with a text, token by token."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import regex
import torch
from torch import Tensor

from common.files import UserError
from common.randomness import generator
from evaluation.ngrams import mixed
from inference.sampling import Sampling
from inference.sentence import finite, reading_note, shown
from inference.texts import uniform_text
from tokenizer import PAD, UNK, normalized
from training.weights import TrainedModel
from transformer import Decoder, KeyValueCache

ENDS = {".", "!", "?", "...", "…", "。", "！", "？", "।"}  # tokens that end a sentence  # noqa: RUF001
Predictor = Callable[[Sequence[int]], Tensor]  # the logits (V,) of the token after some ids, the first of them <pad>


@dataclass(frozen=True)
class Step:
    """One token drawn, and what it was drawn from."""

    token: int
    probabilities: Tensor  # (V,)


def generate(trained: TrainedModel, prompt: str, sampling: Sampling) -> list[int]:
    """Ids of the prompt and of `n_tokens` tokens after it, or up to the end of a sentence among the next `n_more`."""
    tokenizer, drawn = trained.tokenizer, list[int]()
    ids, words = tokenizer.encode(uniform_text(prompt, tokenizer)), tokenizer.words
    for step in steps(decoder_predictor(trained), ids, sampling):
        drawn.append(step.token)
        if len(drawn) >= sampling.n_tokens and words[step.token] in ENDS:
            return ids + drawn
    return ids + drawn[: sampling.n_tokens]


def steps(predict: Predictor, prompt: Sequence[int], sampling: Sampling) -> Iterator[Step]:
    """The tokens after a prompt, one by one, `n_more` included. <pad> and <unk> are never drawn."""
    random = generator(sampling.seed, "sampling")
    ids = [PAD, *prompt]  # a text begins after a <pad>, as when it is scored
    for _ in range(sampling.n_tokens + sampling.n_more):
        weights = allowed(predict(ids), sampling)
        ids.append(int(torch.multinomial(weights, 1, generator=random)))
        yield Step(ids[-1], weights / weights.sum())


def decoder_predictor(trained: TrainedModel) -> Predictor:
    """A decoder, with the n-grams that may predict with it, as it goes on with one text.

    With a key/value cache each token costs one row of attention. A table of learned positions ends at the block: past
    it, every token is predicted from the last block of tokens, read anew. Other positions go on without end.
    """
    model = trained.model
    if not isinstance(model, Decoder):
        raise ValueError("a classifier does not generate")
    limit, cache = model.positions.n_positions, KeyValueCache()

    @torch.no_grad()
    def predict(ids: Sequence[int]) -> Tensor:
        if limit is None or len(ids) <= limit:
            logits = finite(model(torch.tensor([ids[cache.length :]]), cache)[0, -1])
        else:
            logits = finite(model(torch.tensor([ids[-limit:]]))[0, -1])
        if trained.ngrams:
            counted = torch.from_numpy(trained.ngrams.distribution(ids[1:])).log()
            return mixed(logits.log_softmax(dim=-1), counted, model.config.ngram_share)
        return logits

    return predict


def continued_text(trained: TrainedModel, prompt: str, sampling: Sampling) -> tuple[str, str]:
    """The prompt, its unknown words as they were written but marked, and what follows it; and what was read of it.

    The note is as in `Sentence`: of a prompt longer than a table of learned positions the first token is drawn from the
    last block.
    """
    config, tokenizer = trained.model.config, trained.tokenizer
    prompt = uniform_text(prompt, tokenizer)
    ids, unknown = tokenizer.encode(prompt), tokenizer.unknown(prompt)
    n_read = min(len(ids), config.block_size) if config.positions == "learned" else len(ids)
    first = len(ids) - n_read
    note = reading_note(len(ids), ids[first:], shown(tokenizer.tokens(ids, unknown)[first:]))
    text = tokenizer.decode(generate(trained, prompt, sampling), unknown)
    return text, note.replace("read ", "read the last ", 1) if first else note


def allowed(logits: Tensor, sampling: Sampling) -> Tensor:
    """What the next token is drawn by, in proportion (V,), of its `logits` (V,)."""
    logits = logits.double()
    logits[[PAD, UNK]] = -torch.inf
    if sampling.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(), len(logits)).double()
    if sampling.top_k is not None:
        logits[logits < logits.topk(min(sampling.top_k, len(logits))).values[-1]] = -torch.inf
    probabilities = ((logits - logits.max()) / sampling.temperature).softmax(dim=-1)  # however small the temperature
    if sampling.top_p is not None:
        ordered, order = probabilities.sort(descending=True)
        outside = ordered.cumsum(dim=-1) - ordered >= sampling.top_p  # the first token is always inside
        probabilities[order[outside]] = 0.0
    return probabilities


def newest_decoder(folder: Path) -> Path:
    """The weights that part 2 wrote last, or, where there are none, those that it would write first."""
    paths = sorted(folder.glob("decoder-*.safetensors"), key=lambda path: path.stat().st_mtime)
    return paths[-1] if paths else folder / "decoder-ff256.safetensors"


def speaker_of(names: Sequence[str], name: str) -> int:
    """The index of the name that is meant: the same, else the one with the same letters and digits, else the only one
    that contains these; UserError where none is meant, or several may be."""
    if not names:
        raise UserError("this decoder has no voices; `python main.py part2 --voices` trains one that has")
    wanted, known = plain(name), [plain(other) for other in names]
    by_name = [i for i, other in enumerate(names) if normalized(other) == normalized(name)]
    by_letters = [i for i, other in enumerate(known) if other == wanted]
    part = rf"{regex.escape(wanted)}(?!\p{{M}})"  # not without a sign that stands on its last letter
    by_part = [i for i, other in enumerate(known) if wanted and regex.search(part, other)]
    matches = by_name[:1] or by_letters or by_part
    if len(matches) != 1:
        how_many = "more than one" if matches else "none"
        raise UserError(f"{name!r} is {how_many} of its voices: {', '.join(names)}")
    return matches[0]


def plain(name: str) -> str:
    """A name in lower case: letters, the signs that stand on them, and digits alone."""
    return regex.sub(r"[^\p{L}\p{M}\p{N}]", "", normalized(normalized(name).casefold()))
