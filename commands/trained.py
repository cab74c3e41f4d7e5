"""A trained model in use."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from commands.options import refuse_idle
from common import console
from common.arguments import Optional, Sentences, Typed
from common.files import UserError, as_json, sha256, write_json
from common.wording import counted, in_one_line
from inference.sampling import Sampling


@dataclass(frozen=True)
class Classify:
    """Say who said it, with probabilities, one line per sentence. Without sentences, reads standard input."""

    sentences: Sentences = ()  # each in quotes; or names of files, whose sentences are judged one by one, then together
    model: Path = Path("runs/part1/classifier.safetensors")  # weights of a classifier, or of a decoder with voices

    def run(self, typed: Typed) -> None:
        import torch

        from inference.explain import sentence_probabilities
        from inference.sentence import read_sentence
        from inference.texts import named_file
        from reporting.explained import row_of_classes
        from speechesdataset.importing import read_sentences
        from training.weights import load_model
        from transformer import Decoder

        trained = load_model(self.model)
        if not trained.class_names:
            remedy = "part1 trains one, part2 --voices the other"
            raise UserError(f"{self.model}: not a classifier, nor a decoder with voices; {remedy}")
        given = [(text, named_file(text)) for text in self.sentences]
        for text, path in given or ((line, None) for line in console.lines_of_standard_input()):
            probabilities = []
            for sentence in [text] if path is None else read_sentences(path):
                probabilities.append(sentence_probabilities(trained, sentence))
                note = "" if isinstance(trained.model, Decoder) else read_sentence(trained, sentence).note
                print(row_of_classes(trained, probabilities[-1], sentence, note), flush=True)
            if path is not None:
                whole = f"{path}: the mean of {counted(len(probabilities), 'sentence')}"
                print(row_of_classes(trained, torch.stack(probabilities).mean(dim=0), whole), flush=True)


@dataclass(frozen=True)
class Explain:
    """Which words made the decision: what each adds to the probability of each speaker, by two methods."""

    sentence: tyro.conf.Positional[str]  # in quotes
    model: Path = Path("runs/part1/classifier.safetensors")  # weights of a classifier
    out: Path = Path("runs/explain")  # folder for the picture
    json: bool = False  # print numbers for a program, and nothing else

    def run(self, typed: Typed) -> None:
        from inference.explain import explain
        from inference.texts import refuse_file_name
        from reporting.explained import draw_explanation, in_numbers, print_explanation
        from training.weights import load_model

        refuse_file_name(self.sentence)
        explanation = explain(load_model(self.model, "classifier"), self.sentence)
        if self.json:
            refuse_idle(self, "with --json, which draws nothing", "out")
            print(as_json(in_numbers(explanation)), end="")
            return
        if explanation.note:
            print(explanation.note, file=sys.stderr)
        print_explanation(explanation)
        draw_explanation(self.out / "explanation.png", explanation)
        print(f"Picture: {self.out / 'explanation.png'}")


@dataclass(frozen=True)
class Knockouts:
    """What a trained model loses on the test set without each head, feed-forward network and layer, and positions."""

    model: Path = Path("runs/part1/classifier.safetensors")  # weights of a classifier or a decoder
    data_dir: Path = Path("speechesdataset")  # folder with the data that the model was trained on
    out: Path = Path("runs/knockouts")  # folder for results and picture

    def run(self, typed: Typed) -> None:
        from msgspec import to_builtins

        from reporting.explained import knockouts_table
        from reporting.table import terminal_text
        from studies.figures import draw_knockouts
        from studies.probes.knockouts import knock_out
        from studies.workplace import data_of
        from training.weights import load_model

        trained = load_model(self.model)
        if not trained.model.config.n_layer:
            raise UserError(f"{self.model}: has nothing to knock out; train a model with at least one layer")
        answer = knock_out(trained, data_of(trained, self.data_dir))
        digest = sha256(self.model.read_bytes())
        name = f"{self.model.stem}-{digest[:8]}"  # of another model, files of another name
        numbers, picture = self.out / f"{name}.json", self.out / f"{name}.png"
        about = {"model": str(self.model), "model_sha256": digest, "data": str(self.data_dir)}
        write_json(numbers, {**about, "data_fingerprint": trained.data, **to_builtins(answer)})
        draw_knockouts(picture, answer)
        print(terminal_text(knockouts_table(answer)))
        print(f"Results: {numbers}; picture: {picture}")


@dataclass(frozen=True)
class Score:
    """How surprising is each word of a text? To a decoder and a trigram. Without a text, reads standard input."""

    text: tyro.conf.Positional[Optional[str]] = None  # in quotes, or the name of a file
    model: Optional[Path] = None  # weights of a decoder (default: the newest in runs/part2)
    data_dir: Path = Path("speechesdataset")  # folder with the data that it was trained on, which the trigram counts
    json: bool = False  # print numbers for a program, and nothing else

    def run(self, typed: Typed) -> None:
        from inference.generate import newest_decoder
        from inference.score import score, scorers
        from inference.texts import lines_of, uniform_text
        from reporting.explained import print_score
        from studies.workplace import data_of
        from training.weights import load_model

        lines = list(console.lines_of_standard_input()) if self.text is None else lines_of(self.text)
        trained = load_model(self.model or newest_decoder(Path("runs/part2")), "decoder")
        data = data_of(trained, self.data_dir)
        if lines not in data.corpus.test_texts.values():  # which are read as they stand, as part 2 does
            lines = [uniform_text(line, trained.tokenizer) for line in lines]
        scores = score(lines, trained, scorers(trained, data.train_stream.ids))
        if self.json:
            print(as_json(scores), end="")
        else:
            print_score(scores, trained.tokenizer.tokenization.kind)


@dataclass(frozen=True)
class Attention:
    """Draw where a trained model looks in a sentence, every head, and write the weights as numbers."""

    sentence: tyro.conf.Positional[str]  # in quotes
    model: Path = Path("runs/part1/classifier.safetensors")  # weights of a classifier or a decoder
    out: Path = Path("runs/attention")  # folder for the figures (PNG and SVG) and the numbers (NumPy's npz)
    layers: Optional[tuple[str, ...]] = None  # numbers of layers, from 1, or all (default: the first and the last)

    def run(self, typed: Typed) -> None:
        from inference.attention import chosen_layers, draw_attention, write_maps
        from inference.sentence import read_sentence
        from inference.texts import refuse_file_name
        from training.weights import load_model

        refuse_file_name(self.sentence)
        trained = load_model(self.model)
        if not trained.model.config.n_layer:
            raise UserError(f"{self.model}: has no attention to draw; train a model with at least one layer")
        layers = chosen_layers(self.layers, trained.model.config.n_layer)
        label, suffixes = str(self.model), (".png", ".svg")
        paths = draw_attention(self.out, trained, self.sentence, label=label, layers=layers, suffixes=suffixes)
        write_maps(self.out / "attention.npz", trained, self.sentence)
        if note := read_sentence(trained, self.sentence).note:
            print(note, file=sys.stderr)
        print(*paths, self.out / "attention.npz", sep="\n")


@dataclass(frozen=True)
class Generate:
    """Go on with a text, in the words of a trained decoder."""

    prompt: tyro.conf.Positional[str] = ""  # in quotes; may be empty
    model: Optional[Path] = None  # weights of a decoder (default: the newest in runs/part2)
    # in whose voice: a speaker's name, or a part of it, with a decoder that part2 --voices trained
    voice: Annotated[Optional[str], tyro.conf.arg(name="as")] = None
    n_tokens: int = Sampling.n_tokens  # tokens to add, and up to half as many again until a sentence ends
    # below 1 more cautious, above 1 more adventurous; 0 always takes the likeliest token
    temperature: float = Sampling.temperature
    top_k: Optional[int] = Sampling.top_k  # draw only among the k likeliest tokens
    # draw only among the likeliest tokens whose probabilities add up to this; 1: among all
    top_p: Optional[float] = Sampling.top_p
    seed: int = 0  # seed of the drawing

    def run(self, typed: Typed) -> None:
        from inference.generate import continued_text, newest_decoder, speaker_of
        from inference.texts import refuse_file_name
        from training.weights import load_model

        refuse_file_name(self.prompt)
        trained = load_model(self.model or newest_decoder(Path("runs/part2")), "decoder")
        if self.voice is not None:
            trained = trained.as_speaker(speaker_of(trained.class_names, self.voice))
        if self.temperature == 0:
            refuse_idle(self, "with --temperature 0, which draws nothing by chance", "top_k", "top_p", "seed")
        half = self.n_tokens // 2
        sampling = Sampling(self.n_tokens, self.temperature, self.top_k, self.top_p, self.seed, n_more=half)
        text, note = continued_text(trained, self.prompt, sampling)
        if note:
            print(note, file=sys.stderr)
        print(in_one_line(text))
