"""A text that is scored is read as part 2 reads its test texts, and every token has its own number."""

import math
from pathlib import Path

import pytest
import torch
from tiny import decoder_of

from common.files import UserError
from dataset import Data
from evaluation.opponents import decoder_opponents
from evaluation.perplexity import Protocol, token_nats
from inference.score import score, scorers
from inference.texts import lines_of
from modules.config import TransformerConfig
from studies.catalogue.recipes import RECIPES
from training.machine import machine
from training.recipe import Run, customise
from training.records import TrainedRun
from training.tasks import DecoderTask
from training.weights import TrainedModel
from transformer import Decoder

CONFIG = TransformerConfig(n_embd=8, n_layer=1, block_size=8, ff_dim=8)


def trained_on(data: Data) -> TrainedModel:
    return TrainedModel(Decoder(decoder_of(CONFIG), data.tokenizer.words).eval(), data.tokenizer, [])


def test_the_totals_of_a_test_text_are_those_of_part_2(data: Data, data_folder: Path) -> None:
    recipe = customise(RECIPES["report"]["decoder"], n_embd=8, n_layer=1, block_size=8, ff_dim=8)
    task = DecoderTask(Run("decoder", recipe, 0), data, torch.device("cpu"))
    about = TrainedRun(seed=0, n_parameters=0, train_seconds=0.0, machine=machine())
    of_part2 = task.summarise([], about)
    trained = TrainedModel(task.model.eval(), data.tokenizer, [])
    for name in data.test_streams:
        lines = lines_of(str(data_folder / f"test_LM_{name}.txt"))
        decoder, trigram = (found := score(lines, trained, scorers(trained, data.train_stream.ids))).scored
        assert found.protocol == of_part2.protocol
        assert decoder.whole == of_part2.scores[name]
        assert trigram.whole == decoder_opponents(data)["ngram"].scores[name]
        for one in (decoder, trigram):
            assert len(one.nats) == len(found.tokens) == len(data.test_streams[name].ids)
            assert one.whole.perplexity == pytest.approx(math.exp(sum(one.nats) / len(one.nats)))


def test_each_token_has_its_nats_and_is_shown_as_it_was_written(data: Data) -> None:
    trained = trained_on(data)
    found = score(["we zyzzyva", "hope quux ."], trained, scorers(trained, data.train_stream.ids))
    assert found.tokens == ["we", "zyzzyva?", "hope", "quux?", "."]
    ids = torch.tensor(data.tokenizer.ids(["we", "zyzzyva", "hope", "quux", "."]))
    assert found.scored[0].nats == token_nats(trained.model, ids, Protocol(8)).tolist()
    assert [one.name for one in found.scored] == ["decoder", "trigram"]
    assert found.scored[0].whole.unk_rate == 40


@pytest.mark.parametrize("lines", [[], [""], [" "]])
def test_a_text_without_words_is_refused(data: Data, lines: list[str]) -> None:
    with pytest.raises(UserError, match=r"^the text is empty; give at least one word$"):
        score(lines, trained_on(data), [])
