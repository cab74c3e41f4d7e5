"""The two tasks, classifier and decoder: what the loop needs of each, from the same recipe to a record."""

from collections.abc import Sequence
from functools import partial

import torch
from msgspec.structs import asdict
from torch import Tensor

from common.files import UserError
from common.randomness import generator
from dataset import Data, epoch_batches, voiced_starts, window_starts
from evaluation import accuracy, calibration, perplexity
from evaluation.mixture import ngrams_of_speakers, predicted_nats, told_ngrams
from evaluation.perplexity import Protocol
from evaluation.smoothing import DISCOUNT, Smoothing, kneser_ney, preferences, uniform
from evaluation.voices import speaker_probabilities
from modules.voices import voice
from modules.word_vectors import word_pairs
from speechesdataset.folder import TRAIN_ROWS
from tokenizer import PAD
from training.models import NO_PAIRS, build_classifier, build_decoder
from training.recipe import Run, TrainingConfig
from training.records import ClassifierRun, DecoderRun, Epoch, Iteration, MeasuredVoices, Measurement, TrainedRun
from transformer import ClassifierConfig, DecoderConfig

MEASUREMENTS_PER_DECODER = 5  # every 100 of 500 iterations


class ClassifierTask:
    """What the loop needs to train a classifier: the model, the plan, the loss, the measurements of Table 1."""

    ngrams, voice_ngrams = None, ()  # none predicts beside it

    measures = Epoch

    def __init__(self, run: Run, data: Data, device: torch.device) -> None:
        recipe = run.recipe
        config, words = recipe.architecture, data.tokenizer.words
        assert isinstance(config, ClassifierConfig)
        self.data, self.device, self.smoothing = data, device, recipe.training.label_smoothing
        self.is_held_out = run.fold is not None  # whether the test rows are a fold of the training rows
        pairs = word_pairs(words, data.train.ids) if config.phrases else NO_PAIRS
        self.model = build_classifier(config, words, len(data.corpus.class_names), run.seed, pairs).to(device)
        epochs = [
            epoch_batches(
                data.train.lengths, recipe.training.batch_size, generator(run.seed, "order", epoch), recipe.by_length
            )
            for epoch in range(recipe.duration)
        ]
        self.plan: Sequence[Tensor] = [batch for epoch in epochs for batch in epoch]
        self.steps_per_epoch = len(epochs[0])
        ends = range(self.steps_per_epoch, len(self.plan) + 1, self.steps_per_epoch)
        self.evaluate_at: Sequence[int] = ends[-1:] if run.brief else ends
        self.latest: dict[str, Tensor] = {}  # probabilities of the last measurement, of a copy, too, for the summary

    def loss(self, items: Tensor) -> Tensor:
        ids, lengths, labels = self.data.train.batch(items, cut=self.model.masks_padding)
        return self.model.loss(ids.to(self.device), lengths.to(self.device), labels.to(self.device), self.smoothing)

    def evaluate(self, step: int, train_loss: float) -> Epoch:
        self.latest.update(self.probabilities())
        train, test = (found.argmax(dim=-1) for found in self.latest.values())
        return Epoch(
            epoch=step // self.steps_per_epoch,
            train_loss=train_loss,
            train_accuracy=accuracy.accuracy(train, self.data.train.labels),
            test_accuracy=accuracy.accuracy(test, self.data.test.labels),
        )

    def probabilities(self) -> dict[str, Tensor]:
        """Those (N, K) of the training and of the test rows."""
        rows = {"train": self.data.train, "test": self.data.test}
        return {name: accuracy.class_probabilities(self.model, own) for name, own in rows.items()}

    def summarise(self, history: Sequence[Measurement], about: TrainedRun) -> ClassifierRun:
        """The record of the trained model and its measurements, `about` a run."""
        probabilities, test = self.latest or self.probabilities(), self.data.test  # resumed after its last measurement
        predictions, relative = probabilities["test"].argmax(dim=-1), None
        if self.is_held_out:
            relative = calibration.relative_temperature(probabilities["test"], test.labels, probabilities["train"])
        epochs, labels = [row for row in history if isinstance(row, Epoch)], self.data.train.labels
        accuracies = [row.train_accuracy for row in epochs]
        trained, once = (accuracy.is_above_plateau(value, labels) for value in (accuracies[-1], max(accuracies)))
        return ClassifierRun(
            **asdict(about),
            epochs=epochs,
            test=accuracy.accuracy_by_group(predictions, test.labels, self.data.seen),
            scores=accuracy.scores_by_class(predictions, test.labels, self.data.corpus.class_names),
            trained=trained,
            fell_back=once and not trained,
            predictions=predictions.tolist(),
            relative_temperature=relative,
        )


class DecoderTask:
    """What the loop needs to train a decoder: the model, the plan, the loss, the measurements of Table 2."""

    measures = Iteration

    def __init__(self, run: Run, data: Data, device: torch.device) -> None:
        recipe, config = run.recipe, run.recipe.architecture
        assert isinstance(config, DecoderConfig)
        self.data, self.device = data, device
        self.model = build_decoder(config, data.tokenizer.words, run.seed, len(data.corpus.class_names))
        self.smoothing = self.prepare_smoothing(recipe.training)
        texts = [data.train_stream.ids, *(self.prepare_voices() if config.voices else [])]  # of nobody, and by speaker
        self.model.to(device)
        self.text = torch.cat([part for ids in texts for part in (torch.tensor([PAD]), ids)])
        n_tokens = [1 + len(ids) for ids in texts]
        self.ends = torch.tensor(n_tokens).cumsum(0)  # in the text, of each of them
        self.protocol, self.lengths = Protocol(config.block_size), run.lengths
        size, order = recipe.training.batch_size, generator(run.seed, "order")
        rest = (config.block_size, recipe.duration, size, order, recipe.shuffled)
        self.plan: Sequence[Tensor] = list(
            voiced_starts(n_tokens, *rest) if config.voices else window_starts(n_tokens[0], *rest)
        )
        every = max(1, recipe.duration // (1 if run.brief else MEASUREMENTS_PER_DECODER))
        self.evaluate_at: Sequence[int] = sorted({*range(every, recipe.duration + 1, every), recipe.duration})
        self.ngrams = told_ngrams(data) if config.ngram_share else None  # that predict beside the network
        self.voice_ngrams = ngrams_of_speakers(data) if config.ngram_share and config.voices else []  # beside each
        self.latest: dict[str, Tensor] = {}  # nats of the last measurement, of a copy, too, for the summary

    def prepare_smoothing(self, training: TrainingConfig) -> Smoothing | None:
        """How targets are smoothed, if at all; and the output bias as the recipe wants it at the start."""
        size, stream, share = len(self.data.tokenizer), self.data.train_stream.ids, training.label_smoothing
        counted, smoothing = training.smoothing == "kneser-ney", None
        if counted or training.unigram_bias:
            smoothing = kneser_ney(stream, share if counted else DISCOUNT, size, self.data.words_of_rows())
            if training.unigram_bias:
                with torch.no_grad():
                    self.model.head.bias.copy_(smoothing.prior.clamp(min=1e-9).log())
        if share == 0:
            return None
        return smoothing if counted else uniform(share, size)

    def prepare_voices(self) -> list[Tensor]:
        """What each speaker says (n tokens,), by which the voices start; UserError where it is too little."""
        assert self.model.voices is not None
        spoken, length = [stream.ids for stream in self.data.speaker_streams()], self.model.config.block_size
        for name, ids in zip(self.data.corpus.class_names, spoken):
            if len(ids) < length:
                few = f"{len(ids)} tokens of {name}, too few for windows of {length}"
                raise UserError(f"{TRAIN_ROWS}: {few}; add rows, or train without --voices")
        rows = torch.bincount(self.data.train.labels, minlength=len(spoken))
        with torch.no_grad():
            self.model.voices.biases[1:] = preferences(spoken, len(self.data.tokenizer))
            self.model.voices.shares.copy_(rows / rows.sum())
        return spoken

    def loss(self, starts: Tensor) -> Tensor:
        if self.model.voices is None:
            return self.loss_as(0, starts)
        speakers = torch.searchsorted(self.ends, starts, right=True)  # (B,)
        parts = [(speaker, starts[speakers == speaker]) for speaker in speakers.unique().tolist()]
        return torch.stack([self.loss_as(speaker, own) * len(own) for speaker, own in parts]).sum() / len(starts)

    def loss_as(self, speaker: int, starts: Tensor) -> Tensor:
        """The mean loss over windows that one speaker says; of 0, nobody."""
        loss = partial(self.model.loss, speaker=speaker) if speaker else self.model.loss
        windows = self.text[starts[:, None] + torch.arange(self.protocol.length + 1)]  # (B, T + 1)
        inputs, targets = windows[:, :-1].to(self.device), windows[:, 1:].to(self.device)
        if self.smoothing is None:
            return loss(inputs, targets)
        share = self.smoothing.share[windows[:, :-1]].to(self.device)
        return loss(inputs, targets, self.smoothing.prior.to(self.device), share)

    def evaluate(self, step: int, train_loss: float) -> Iteration:
        self.latest.update(self.token_nats())
        perplexities = {name: perplexity.perplexity(nats) for name, nats in self.latest.items()}
        others = {
            str(length): {
                name: perplexity.perplexity(predicted_nats(self.model, self.ngrams, stream.ids, Protocol(length)))
                for name, stream in self.data.test_streams.items()
            }
            for length in self.lengths
        }
        return Iteration(iteration=step, train_loss=train_loss, perplexity=perplexities, perplexity_by_length=others)

    def token_nats(self) -> dict[str, Tensor]:
        """-log p of every token of each text, by name."""
        streams = {"train": self.data.train_stream, **self.data.test_streams}
        return {
            name: predicted_nats(self.model, self.ngrams, stream.ids, self.protocol) for name, stream in streams.items()
        }

    def summarise(self, history: Sequence[Measurement], about: TrainedRun) -> DecoderRun:
        """The record of the trained model and its measurements, `about` a run."""
        nats = self.latest or self.token_nats()  # none where a run was resumed after its last measurement
        length, tests = self.protocol.length, self.data.test_streams
        return DecoderRun(
            **asdict(about),
            ff_dim=self.model.config.ff_dim,
            iterations=[row for row in history if isinstance(row, Iteration)],
            protocol=str(self.protocol),
            scores={name: perplexity.language_scores(nats[name], stream) for name, stream in tests.items()},
            network={
                name: perplexity.language_scores(perplexity.token_nats(self.model, stream.ids, self.protocol), stream)
                for name, stream in (tests if self.ngrams else {}).items()
            },
            nats_by_place={name: perplexity.nats_by_place(values, length) for name, values in nats.items()},
            stretch_nats={name: perplexity.sums_by_stretch(nats[name], stream) for name, stream in tests.items()},
            stretch_tokens={
                name: perplexity.sums_by_stretch(torch.ones(len(stream.ids)), stream) for name, stream in tests.items()
            },
            voices=self.measured_voices() if self.model.voices and self.data.corpus.test else None,
        )

    def measured_voices(self) -> MeasuredVoices:
        """How surprising each test text is to each voice, and whose the test rows are by Bayes' rule."""
        data = self.data
        texts: dict[str, list[float]] = {name: [] for name in data.test_streams}
        for number in range(len(data.corpus.class_names)):
            own = voice(self.model, number + 1)
            beside = self.voice_ngrams[number] if self.voice_ngrams else None
            for text, stream in data.test_streams.items():
                texts[text].append(perplexity.perplexity(predicted_nats(own, beside, stream.ids, self.protocol)))
        rows = [torch.tensor(ids) for ids in data.tokenizer.encode_all([row.text for row in data.corpus.test])]
        predictions = speaker_probabilities(self.model, self.voice_ngrams, rows).argmax(dim=-1)
        test = accuracy.accuracy_by_group(predictions, data.test.labels, data.seen)
        return MeasuredVoices(perplexity=texts, test=test, predictions=predictions.tolist())


def task_of(run: Run, data: Data, device: torch.device) -> ClassifierTask | DecoderTask:
    """The task that a run's recipe names."""
    return (ClassifierTask if run.recipe.task == "classifier" else DecoderTask)(run, data, device)
