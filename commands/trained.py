"""A trained model in use."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from commands.options import suggest
from common import console
from common.arguments import Optional
from common.files import UserError


@dataclass(frozen=True)
class Classify:
    """Say who said it, with probabilities, one line per sentence. Without sentences, reads standard input."""

    sentences: tyro.conf.Positional[tuple[str, ...]] = ()  # each in quotes
    model: Path = Path("runs/part1/classifier.safetensors")  # weights of a classifier

    def run(self) -> None:
        from inference.classify import classify
        from inference.sentence import read_sentence
        from training.weights import load_model

        trained, sentence = load_model(self.model, "classifier"), ""
        for sentence in self.sentences or console.lines_of_standard_input():
            ranked = classify(trained, sentence)[:5]
            shares = "  ".join(f"{name} {100 * share:.1f}%" for name, share in ranked)
            note = read_sentence(trained, sentence).note
            print(ranked[0][0], shares, sentence.strip(), *filter(None, [note]), sep="\t", flush=True)
        if sentence:
            suggest(Attention(sentence.strip(), self.model))


@dataclass(frozen=True)
class Attention:
    """Draw where a trained model looks in a sentence: first and last layer, every head."""

    sentence: tyro.conf.Positional[str]  # in quotes
    model: Path = Path("runs/part1/classifier.safetensors")  # weights of a classifier or a decoder
    out: Path = Path("runs/attention")  # folder for the figures

    def run(self) -> None:
        from inference.attention import draw_attention
        from inference.sentence import read_sentence
        from training.weights import load_model

        trained = load_model(self.model)
        paths = draw_attention(self.out, trained, self.sentence)
        if not paths:
            raise UserError(f"{self.model}: has no attention to draw; train a model with at least one layer")
        if note := read_sentence(trained, self.sentence).note:
            print(note, file=sys.stderr)
        print(*paths, sep="\n")
        is_classifier = bool(trained.class_names)
        suggest(Classify((self.sentence,), self.model) if is_classifier else Generate(self.sentence, self.model))


@dataclass(frozen=True)
class Generate:
    """Go on with a text, in the words of a trained decoder."""

    prompt: tyro.conf.Positional[str] = ""  # in quotes; may be empty
    model: Optional[Path] = None  # weights of a decoder (default: the newest in runs/part2)
    n_tokens: int = 60  # how many tokens to add
    temperature: float = 0.8  # below 1 more cautious, above 1 more adventurous; 0 always takes the likeliest token
    top_k: Optional[int] = None  # draw only among the k likeliest tokens
    top_p: Optional[float] = 0.95  # draw only among the likeliest tokens whose probabilities add up to this
    seed: int = 0  # seed of the drawing

    def run(self) -> None:
        from inference.generate import Sampling, continued, newest_decoder
        from training.weights import load_model

        trained = load_model(self.model or newest_decoder(Path("runs/part2")), "decoder")
        sampling = Sampling(self.n_tokens, self.temperature, self.top_k, self.top_p, self.seed)
        text, note = continued(trained, self.prompt, sampling)
        if note:
            print(note, file=sys.stderr)
        print(text)
        suggest(replace(self, seed=self.seed + 1))
