"""The two tasks, classifier and decoder: what the loop needs of each, from the same recipe to a record."""

from collections.abc import Sequence

import torch
from msgspec.structs import asdict
from torch import Tensor

from common.files import UserError
from common.randomness import generator
from dataset import Data, Stream, epoch_batches, voiced_starts, window_starts
from evaluation import accuracy, calibration, perplexity
from evaluation.accuracy import speaker_probabilities
from evaluation.ngrams import kneser_ney_unigram, mixed, preferences, speaker_ngrams, text_ngrams
from evaluation.perplexity import Protocol, predicted_nats
from modules.config import ClassifierConfig, DecoderConfig
from modules.word_vectors import NO_PAIRS, word_pairs
from speechesdataset.folder import TRAIN_ROWS
from tokenizer import PAD
from training.recipe import Run
from training.records import ClassifierRun, DecoderRun, Epoch, Iteration, MeasuredVoices, TrainedRun
from training.weights import TrainedModel
from transformer import Decoder, Voices, build_classifier

MEASUREMENTS_PER_DECODER = 5  # every 100 of 500 iterations


class ClassifierTask:
    """What the loop needs to train a classifier: the model, the plan, the loss, the measurements of Table 1."""

    measurement = Epoch

    def __init__(self, run: Run[ClassifierConfig], data: Data, device: torch.device) -> None:
        recipe, config, words = run.recipe, run.recipe.architecture, data.tokenizer.words
        self.data, self.device = data, device
        self.label_smoothing = recipe.training.label_smoothing
        self.is_held_out = run.fold is not None  # whether the test rows are a fold of the training rows
        pairs = word_pairs(words, data.train.ids) if config.phrases else NO_PAIRS
        self.model = build_classifier(config, words, len(data.corpus.class_names), run.seed, pairs).to(device)
        plan: list[Tensor] = []
        for epoch in range(recipe.duration):
            order = generator(run.seed, "order", epoch)
            plan += epoch_batches(len(data.train.labels), recipe.training.batch_size, order)
        self.plan: Sequence[Tensor] = plan
        self.steps_per_epoch = len(plan) // recipe.duration
        ends = range(self.steps_per_epoch, len(self.plan) + 1, self.steps_per_epoch)
        self.evaluate_at: Sequence[int] = ends[-1:] if run.brief else ends
        # The last measured probabilities, for summarise(): the loop measures a copy of the task, which fills it, too
        self.measured: dict[str, Tensor] = {}

    def loss(self, items: Tensor) -> Tensor:
        """The mean loss over training rows of these numbers (B,)."""
        ids, lengths, labels = self.data.train.batch(items, cut=self.model.masks_padding)
        ids, lengths, labels = ids.to(self.device), lengths.to(self.device), labels.to(self.device)
        return self.model.loss(ids, lengths, labels, self.label_smoothing)

    def evaluate(self, step: int, train_loss: float) -> Epoch:
        """The accuracies after a step."""
        self.measured.update(self.probabilities())
        train, test = (probabilities.argmax(dim=-1) for probabilities in self.measured.values())
        return Epoch(
            epoch=step // self.steps_per_epoch,
            train_loss=train_loss,
            train_accuracy=accuracy.accuracy(train, self.data.train.labels),
            test_accuracy=accuracy.accuracy(test, self.data.test.labels),
        )

    def probabilities(self) -> dict[str, Tensor]:
        """Those (N, K) of the training and of the test rows."""
        rows = {"train": self.data.train, "test": self.data.test}
        return {name: accuracy.class_probabilities(self.model, labelled) for name, labelled in rows.items()}

    def summarise(self, epochs: Sequence[Epoch], about: TrainedRun) -> ClassifierRun:
        """The record of the trained model and its measurements, `about` a run."""
        probabilities = self.measured or self.probabilities()  # nothing measured if resumed after the last measurement
        test, labels = self.data.test, self.data.train.labels
        predictions, relative_temperature = probabilities["test"].argmax(dim=-1), None
        if self.is_held_out:
            relative_temperature = calibration.relative_temperature(
                probabilities["test"], test.labels, probabilities["train"]
            )
        accuracies = [row.train_accuracy for row in epochs]
        is_trained = accuracy.is_above_plateau(accuracies[-1], labels)
        return ClassifierRun(
            **asdict(about),
            epochs=list(epochs),
            test=accuracy.accuracy_by_group(predictions, test.labels, self.data.seen),
            scores=accuracy.scores_by_class(predictions, test.labels, self.data.corpus.class_names),
            trained=is_trained,
            fell_back=accuracy.is_above_plateau(max(accuracies), labels) and not is_trained,
            predictions=predictions.tolist(),
            relative_temperature=relative_temperature,
        )

    def trained_model(self) -> TrainedModel:
        """The model with all that is needed to use it."""
        corpus = self.data.corpus
        return TrainedModel(self.model, self.data.tokenizer, corpus.class_names, data=corpus.fingerprint)


class DecoderTask:
    """What the loop needs to train a decoder: the model, the plan, the loss, the measurements of Table 2."""

    measurement = Iteration

    def __init__(self, run: Run[DecoderConfig], data: Data, device: torch.device) -> None:
        recipe, config, words = run.recipe, run.recipe.architecture, data.tokenizer.words
        self.data, self.device = data, device
        self.model = Decoder(config, words, run.seed, len(data.corpus.class_names))
        if recipe.training.unigram_bias:
            unigram = kneser_ney_unigram(data.train_stream.ids, len(words), data.words_of_rows())
            with torch.no_grad():
                self.model.head.bias.copy_(unigram.clamp(min=1e-9).log())
        voices = self.model.voices
        streams = [data.train_stream.ids, *(self.prepare(voices) if voices else [])]  # nobody's, each speaker's
        self.model.to(device)
        self.text = torch.cat([part for ids in streams for part in (torch.tensor([PAD]), ids)])
        n_tokens = [1 + len(ids) for ids in streams]
        self.ends = torch.tensor(n_tokens).cumsum(0)  # of each of them in the text
        size, order = recipe.training.batch_size, generator(run.seed, "order")
        if config.voices:
            plan = voiced_starts(n_tokens, config.block_size, recipe.duration, size, order, recipe.shuffled)
        else:
            plan = window_starts(n_tokens[0], config.block_size, recipe.duration, size, order, recipe.shuffled)
        self.plan: Sequence[Tensor] = list(plan)
        every = max(1, recipe.duration // (1 if run.brief else MEASUREMENTS_PER_DECODER))
        self.evaluate_at: Sequence[int] = sorted({*range(every, recipe.duration + 1, every), recipe.duration})
        self.protocol, self.lengths = Protocol(config.block_size), run.lengths
        # The trigram that predicts with the network, if any, and with each voice
        self.ngrams = text_ngrams(data) if config.ngram_share else None
        self.voice_ngrams = speaker_ngrams(data) if config.ngram_share and config.voices else []
        self.streams: dict[str, Stream] = {"train": data.train_stream, **data.test_streams}
        self.ngram_log_probabilities = {
            name: self.ngrams.log_probabilities(stream.ids) if self.ngrams else None
            for name, stream in self.streams.items()
        }
        # The last measured nats, for summarise(): the loop measures a copy of the task, which fills it, too
        self.measured: dict[str, Tensor] = {}

    def prepare(self, voices: Voices) -> list[Tensor]:
        """What each speaker says (n tokens,), by which the voices start; UserError where it is too little."""
        block_size = self.model.config.block_size
        streams = [stream.ids for stream in self.data.speaker_streams()]
        for name, ids in zip(self.data.corpus.class_names, streams):
            if len(ids) < block_size:
                few = f"{len(ids)} tokens of {name}, too few for windows of {block_size}"
                raise UserError(f"{TRAIN_ROWS}: {few}; add rows, or train without --voices")
        n_rows = torch.bincount(self.data.train.labels, minlength=len(streams))
        with torch.no_grad():
            voices.biases[1:] = preferences(streams, len(self.data.tokenizer))
            voices.shares.copy_(n_rows / n_rows.sum())
        return streams

    def loss(self, starts: Tensor) -> Tensor:
        """The mean loss over the windows of the text that begin at `starts` (B,)."""
        if self.model.voices is None:
            return self.loss_as(0, starts)
        speakers = torch.searchsorted(self.ends, starts, right=True)  # (B,) of each window; 0 is nobody
        sums = []
        for speaker in speakers.unique().tolist():
            windows = starts[speakers == speaker]
            sums.append(self.loss_as(speaker, windows) * len(windows))
        return torch.stack(sums).sum() / len(starts)

    def loss_as(self, speaker: int, starts: Tensor) -> Tensor:
        """The mean loss over windows that one speaker says."""
        windows = self.text[starts[:, None] + torch.arange(self.protocol.length + 1)].to(self.device)  # (B, T + 1)
        return self.model.loss(windows[:, :-1], windows[:, 1:], speaker)

    def evaluate(self, step: int, train_loss: float) -> Iteration:
        """The perplexities after a step."""
        self.measured.update({name: self.nats(name, self.protocol) for name in self.streams})
        return Iteration(
            iteration=step,
            train_loss=train_loss,
            perplexity={name: perplexity.perplexity(nats) for name, nats in self.measured.items()},
            perplexity_by_length={
                str(length): {
                    name: perplexity.perplexity(self.nats(name, Protocol(length))) for name in self.data.test_streams
                }
                for length in self.lengths
            },
        )

    def nats(self, name: str, protocol: Protocol) -> Tensor:
        """-log p of every token of a text, float64 (N,), by the network and the trigram that may predict with it."""
        nats = perplexity.token_nats(self.model, self.streams[name].ids, protocol)
        counted = self.ngram_log_probabilities[name]
        return nats if counted is None else -mixed(-nats, counted, self.model.config.ngram_share)

    def summarise(self, iterations: Sequence[Iteration], about: TrainedRun) -> DecoderRun:
        """The record of the trained model and its measurements, `about` a run."""
        # nothing measured if resumed after the last measurement
        nats = self.measured or {name: self.nats(name, self.protocol) for name in self.streams}
        tests = self.data.test_streams
        network = {}
        for name, stream in tests.items() if self.ngrams else ():
            alone = perplexity.token_nats(self.model, stream.ids, self.protocol)
            network[name] = perplexity.language_scores(alone, stream)
        return DecoderRun(
            **asdict(about),
            ff_dim=self.model.config.ff_dim,
            iterations=list(iterations),
            protocol=str(self.protocol),
            scores={name: perplexity.language_scores(nats[name], stream) for name, stream in tests.items()},
            network=network,
            stretch_nats={name: perplexity.sums_by_stretch(nats[name], stream) for name, stream in tests.items()},
            stretch_tokens={
                name: perplexity.sums_by_stretch(torch.ones(len(stream.ids)), stream) for name, stream in tests.items()
            },
            voices=self.measured_voices() if self.model.voices and self.data.corpus.test else None,
        )

    def measured_voices(self) -> MeasuredVoices:
        """How surprising each test text is to each voice, and whose the test rows are by Bayes' rule."""
        data = self.data
        perplexities: dict[str, list[float]] = {name: [] for name in data.test_streams}
        for i in range(len(data.corpus.class_names)):
            speaker = self.model.as_speaker(1 + i)
            ngrams = self.voice_ngrams[i] if self.voice_ngrams else None
            for name, stream in data.test_streams.items():
                nats = predicted_nats(speaker, ngrams, stream.ids, self.protocol)
                perplexities[name].append(perplexity.perplexity(nats))
        rows = [torch.tensor(ids) for ids in data.tokenizer.encode_all([row.text for row in data.corpus.test])]
        predictions = speaker_probabilities(self.model, self.voice_ngrams, rows).argmax(dim=-1)
        test = accuracy.accuracy_by_group(predictions, data.test.labels, data.seen)
        return MeasuredVoices(perplexity=perplexities, test=test, predictions=predictions.tolist())

    def trained_model(self) -> TrainedModel:
        """The model with all that is needed to use it."""
        data, names = self.data.corpus.fingerprint, self.data.corpus.class_names if self.model.voices else []
        return TrainedModel(self.model, self.data.tokenizer, names, self.ngrams, self.voice_ngrams, data)
