"""A part that is knocked out says its mean, and what that costs is counted row by row or line by line."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny import classifier_of, decoder_of

from dataset import Data
from evaluation.accuracy import accuracy, class_probabilities
from evaluation.perplexity import Protocol, perplexity, token_nats
from modules.config import TransformerConfig
from modules.hook_point import hook_points, hooked
from studies.probes import knockouts
from studies.probes.knockouts import (
    HOOK_POINTS,
    ModelPart,
    knock_out,
    knocked_out,
    mean_outputs,
    parts,
    scores,
    without_positions,
)
from training.weights import TrainedModel
from transformer import Decoder, build_classifier

CONFIG = TransformerConfig(n_embd=8, n_layer=2, block_size=8, ff_dim=8, initialisation="pytorch")


def trained_on(data: Data, task: str, **settings: Any) -> TrainedModel:
    model: Any = (
        build_classifier(classifier_of(CONFIG, **settings), data.tokenizer.words, 3)
        if task == "classifier"
        else Decoder(decoder_of(CONFIG, **settings), data.tokenizer.words)
    )
    return TrainedModel(model.eval(), data.tokenizer, data.corpus.class_names if task == "classifier" else [])


@torch.no_grad()
def passing(model: Any, *inputs: Any) -> dict[str, torch.Tensor]:
    """What heads and feed-forward networks say, by the names of their hook points."""
    passed: dict[str, torch.Tensor] = {}
    names = [name for ending in HOOK_POINTS.values() for name in hook_points(model, ending)]
    with hooked(model, names, lambda x, name: passed.update({name: x})):
        model(*inputs)
    return passed


@pytest.mark.parametrize("pooling", ["mean", "masked-mean"])
def test_means_are_over_the_tokens_of_all_training_rows(data: Data, pooling: Any) -> None:
    model: Any = trained_on(data, "classifier", pooling=pooling).model
    rows = []
    for ids, length in zip(data.train.ids, data.train.lengths.tolist()):
        rows.append(passing(model, (ids if pooling == "mean" else ids[:length])[None], torch.tensor([length])))
    means = mean_outputs(model, data)
    assert means.keys() == rows[0].keys()
    assert len(means) == 4
    for name, mean in means.items():
        expected = torch.cat([row[name][0] for row in rows], dim=-2).mean(dim=-2)
        torch.testing.assert_close(mean.squeeze(-2), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "part", [ModelPart(1, "heads", 0), ModelPart(1, "heads"), ModelPart(1, "feed-forward"), ModelPart(1)]
)
@pytest.mark.parametrize("n_members", [1, 2])
def test_a_part_says_its_mean_and_the_others_what_they_said(data: Data, part: ModelPart, n_members: int) -> None:
    model: Any = trained_on(data, "classifier", n_members=n_members).model
    means, (ids, lengths, _) = mean_outputs(model, data), data.test.batch(torch.arange(4))
    before = passing(model, ids, lengths)
    with knocked_out(model, [part], means):
        after = passing(model, ids, lengths)
    for name in before:
        component = "heads" if name.endswith("heads") else "feed-forward"
        if "blocks.1." not in name or part.component not in (None, component):
            if "blocks.0." in name:
                assert torch.equal(before[name], after[name])
            else:  # what stands behind the part reads something else
                assert not torch.equal(after[name], means[name].expand_as(after[name]))
        elif part.head is not None:
            assert torch.equal(after[name][:, 0], means[name][0].expand_as(after[name][:, 0]))
            assert torch.equal(after[name][:, 1], before[name][:, 1])
        else:
            assert torch.equal(after[name], means[name].expand_as(after[name]))
    assert torch.equal(passing(model, ids, lengths)[name], before[name])  # the model itself is as it was


def test_every_part_is_knocked_out_and_named(data: Data) -> None:
    names = [part.name for part in parts(trained_on(data, "classifier").model)]
    assert names == [
        "positions",
        *(
            f"layer {layer}{what}"
            for layer in (1, 2)
            for what in (", head 1", ", head 2", ", all heads", ", feed-forward", "")
        ),
    ]
    bare = parts(trained_on(data, "classifier", positions="none", ff_dim=0, n_layer=1).model)
    assert [part.name for part in bare] == ["layer 1, head 1", "layer 1, head 2", "layer 1, all heads", "layer 1"]


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rope", "alibi", "t5"])
@pytest.mark.parametrize("n_members", [1, 2])
def test_without_positions_the_order_of_the_words_says_nothing(data: Data, positions: Any, n_members: int) -> None:
    model: Any = trained_on(data, "classifier", positions=positions, n_members=n_members).model
    ids, lengths = torch.tensor([[5, 9, 3, 7, 4, 8, 6, 2]]), torch.tensor([8])
    same: Any = without_positions(model)
    before, moved = model(ids, lengths), ids[:, [3, 0, 1, 2, 4, 5, 6, 7]]
    torch.testing.assert_close(same(moved, lengths), same(ids, lengths))
    assert not torch.allclose(model(moved, lengths), before)
    assert torch.equal(model(ids, lengths), before)  # the model itself is as it was
    if positions in ("learned", "sinusoidal"):
        method = (model.members[0] if n_members > 1 else model).encoder.positions
        averaged = (same.members[0] if n_members > 1 else same).encoder.positions
        expected = method.vectors(torch.arange(8)).mean(dim=0)
        torch.testing.assert_close(averaged.vectors(torch.arange(3)), expected.expand(3, -1))
    torch.testing.assert_close(same(ids[:, :3], lengths - 5).shape, before.shape)


def test_a_classifier_loses_points_of_accuracy(data: Data) -> None:
    trained = trained_on(data, "classifier")
    found = knock_out(trained, data)
    predictions = class_probabilities(trained.model, data.test).argmax(dim=-1)
    assert (found.task, found.n_items) == ("classifier", 24)
    assert found.value == pytest.approx(accuracy(predictions, data.test.labels))
    means = mean_outputs(trained.model, data)
    for one in found.without:
        if one.part.layer is not None:
            with knocked_out(trained.model, [one.part], means):
                rest = scores(trained.model, None, data)
            assert one.value == pytest.approx(float(rest.mean()))
        assert one.cost.mean == pytest.approx(found.value - one.value)
        assert one.cost.n == 24


def test_a_decoder_loses_perplexity_the_geometric_mean_over_texts(data: Data) -> None:
    trained = trained_on(data, "decoder")
    model: Any = trained.model
    texts = {name: token_nats(model, stream.ids, Protocol(8)) for name, stream in data.test_streams.items()}
    expected = math.prod(perplexity(nats) for nats in texts.values()) ** (1 / 3)
    found = knock_out(trained, data)
    assert (found.task, found.n_items) == ("decoder", 15)  # lines
    assert found.value == pytest.approx(expected)
    for one in found.without:
        assert one.cost.mean == pytest.approx(one.value / found.value)
        assert one.cost.low is not None
        assert one.cost.high is not None
        assert one.cost.low <= one.cost.mean <= one.cost.high


def test_lines_of_texts_of_unequal_length_weigh_as_their_texts_do(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {"a": (2, 1), "b": (1,)}
    streams = {
        name: replace(data.test_streams["obama"], ids=torch.tensor([9] * sum(lengths)), line_lengths=lengths)
        for name, lengths in lines.items()
    }
    small = replace(data, test_streams=streams)
    given = iter([torch.tensor([1.0, 2.0, 6.0]), torch.tensor([5.0])])
    monkeypatch.setattr(knockouts, "predicted_nats", lambda *_, **__: next(given))
    found = scores(trained_on(data, "decoder").model, None, small)
    assert found.tolist() == pytest.approx([3 / 3 * 3 / 2, 6 / 3 * 3 / 2, 5 * 3 / 2])
    assert float(found.mean()) == pytest.approx((9 / 3 + 5) / 2)
