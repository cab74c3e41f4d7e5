"""The transformer agrees with PyTorch's own parts, with golden values, and with itself on every path."""

import math
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from files import UserError
from transformer import (
    MASKED,
    ROWS,
    ALiBi,
    Block,
    Branch,
    Classifier,
    Decoder,
    Encoder,
    KeyValueCache,
    NoPositions,
    PhraseEmbedding,
    PositionMethod,
    SelfAttention,
    SpelledEmbedding,
    T5Positions,
    TransformerConfig,
    alibi_slopes,
    attention_bias,
    character_ngrams,
    count_parameters,
    drop,
    make_classifier,
    position_method,
    rotate,
)

Model = Classifier | Decoder
POSITIONS = get_args(PositionMethod)
TINY = TransformerConfig(
    23, n_embd=16, n_head=2, n_layer=2, block_size=8, ff_dim=24, head_dim=12, initialisation="pytorch"
)
MODELS: dict[str, tuple[type[Model], dict[str, Any]]] = {
    "decoder": (Decoder, {}),
    "decoder with a window": (Decoder, {"window": 2}),
    "classifier": (Classifier, {}),
    "classifier, masked mean": (Classifier, {"pooling": "masked-mean"}),
    "classifier, <cls>": (Classifier, {"pooling": "cls", "norm": "pre"}),
    "classifier with a window": (Classifier, {"pooling": "masked-mean", "window": 2}),
}
every_position_method = pytest.mark.parametrize("positions", POSITIONS)
every_model = pytest.mark.parametrize("kind", MODELS)
both_paths = pytest.mark.parametrize("return_attention", [False, True], ids=["kernel", "explicit"])


def make(kind: str, **settings: Any) -> Model:
    torch.manual_seed(0)
    model, own = MODELS[kind]
    config = replace(TINY, **(own | settings))
    words = ["<pad>", "<unk>", *(f"word{i}" for i in range(2, config.vocabulary_size))]
    return (Decoder(config, words) if model is Decoder else model(config)).eval()


def batch() -> tuple[Tensor, Tensor]:
    """ids (3, 8) without padding ids, and lengths (3,): what stands beyond a length is noise that must not matter."""
    return torch.randint(2, 23, (3, 8), generator=torch.Generator().manual_seed(1)), torch.tensor([8, 5, 1])


def logits(model: Model, ids: Tensor, lengths: Tensor, return_attention: bool = False) -> Tensor:
    if isinstance(model, Decoder):
        return model(ids, return_attention=return_attention)[0]
    return model(ids, lengths, return_attention)[0]


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


# ---------------------------------------------------------------------------------------------------------- attention


@both_paths
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_that_of_pytorch(causal: bool, return_attention: bool) -> None:
    own, x = SelfAttention(replace(TINY, n_head=4)), torch.randn(3, 8, 16, requires_grad=True)
    reference = nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(own.qkv.weight)
        reference.out_proj.load_state_dict(own.projection.state_dict())
    bias = attention_bias(NoPositions(), 0, 8, causal, None, None, x.device)
    output, weights = own(x, bias, None, None, return_attention)
    mask = torch.ones(8, 8).triu(1).bool() if causal else None
    expected, expected_weights = reference(x, x, x, attn_mask=mask, average_attn_weights=False)
    torch.testing.assert_close(output, expected)
    if return_attention:
        torch.testing.assert_close(weights, expected_weights)
    ours = torch.autograd.grad(output.square().sum(), [x, own.qkv.weight, own.projection.weight])
    theirs = [x, reference.in_proj_weight, reference.out_proj.weight]
    torch.testing.assert_close(ours, torch.autograd.grad(expected.square().sum(), theirs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_block_is_that_of_pytorch(norm: Any, activation: Any) -> None:
    own, x = Block(replace(TINY, norm=norm, activation=activation)), torch.randn(3, 8, 16)
    reference = nn.TransformerEncoderLayer(
        16, 2, 24, dropout=0.0, activation=activation, batch_first=True, norm_first=norm == "pre"
    )
    with torch.no_grad():
        reference.self_attn.in_proj_weight.copy_(own.attention.qkv.weight)
        reference.self_attn.in_proj_bias.zero_()
    for ours, theirs in [
        (own.attention.projection, reference.self_attn.out_proj),
        (own.feed_forward[0], reference.linear1),
        (own.feed_forward[3], reference.linear2),
    ]:
        theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(own(x, None)[0], reference(x))


@every_model
@every_position_method
def test_the_kernel_equals_the_explicit_path_forward_and_backward(kind: str, positions: str) -> None:
    found = []
    for return_attention in (False, True):
        model = make(kind, positions=positions)
        output = logits(model, *batch(), return_attention)
        output.square().sum().backward()
        found.append((output, gradients(model)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


@both_paths
@every_model
def test_dropout_is_off_in_evaluation(kind: str, return_attention: bool) -> None:
    model = make(kind, dropout=0.5)
    plain = logits(make(kind), *batch(), return_attention)
    assert torch.equal(logits(model, *batch(), return_attention), plain)
    assert not torch.equal(logits(model.train(), *batch(), return_attention), plain)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [0, 1, 3])
def test_a_window_masks_exactly_what_is_farther_away(causal: bool, window: int) -> None:
    bias = attention_bias(NoPositions(), 0, 6, causal, window, None, torch.device("cpu"))
    assert bias is not None
    seen = [[abs(i - j) <= window and (j <= i or not causal) for j in range(6)] for i in range(6)]
    assert ((bias == 0) == torch.tensor(seen)).all()
    assert ((bias == MASKED) == ~torch.tensor(seen)).all()
    _, maps = (Decoder if causal else Encoder)(replace(TINY, window=window)).hidden(batch()[0], return_attention=True)
    seen = [[abs(i - j) <= window and (j <= i or not causal) for j in range(8)] for i in range(8)]
    assert all(((weights > 0) == torch.tensor(seen)).all() for weights in maps)


@every_position_method
@pytest.mark.parametrize("kind", ["classifier, masked mean", "classifier, <cls>", "classifier with a window"])
def test_padding_and_the_rest_of_the_batch_change_nothing(kind: str, positions: str) -> None:
    model, (ids, lengths) = make(kind, positions=positions), batch()
    together = logits(model, ids, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = logits(model, ids[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- causality


@both_paths
@every_position_method
@pytest.mark.parametrize("kind", ["decoder", "decoder with a window"])
def test_the_decoder_is_causal_by_gradient(kind: str, positions: str, return_attention: bool) -> None:
    model, (ids, lengths) = make(kind, positions=positions), batch()
    embedded: list[Tensor] = []
    assert isinstance(model, Decoder)
    model.blocks[0].register_forward_pre_hook(lambda _block, inputs: embedded.append(inputs[0]))
    output = logits(model, ids, lengths, return_attention)
    for place in range(8):
        (gradient,) = torch.autograd.grad(output[:, place].square().sum(), embedded[0], retain_graph=True)
        felt = gradient.abs().sum(dim=(0, 2)) > 0  # (T,)
        reach = 8 if kind == "decoder" else 2 * 2  # a window of 2 in each of 2 layers
        assert felt.tolist() == [0 <= place - i <= reach for i in range(8)]


@both_paths
@every_position_method
@pytest.mark.parametrize("kind", ["decoder", "decoder with a window"])
def test_the_decoder_is_causal_by_perturbation(kind: str, positions: str, return_attention: bool) -> None:
    model, (ids, lengths) = make(kind, positions=positions), batch()
    before = logits(model, ids, lengths, return_attention)
    for place in range(8):
        changed = ids.clone()
        changed[:, place:] = (changed[:, place:] + 1) % 23
        after = logits(model, changed, lengths, return_attention)
        assert torch.equal(after[:, :place], before[:, :place])
        assert not torch.equal(after[:, place], before[:, place])


@every_position_method
@pytest.mark.parametrize("kind", ["decoder", "decoder with a window"])
@pytest.mark.parametrize("read", [1, 3])
def test_a_key_value_cache_changes_nothing(kind: str, positions: str, read: int) -> None:
    n_tokens = 8 if positions == "learned" else 24  # past the block, where the table of learned positions ends
    model, ids = make(kind, positions=positions), torch.randint(2, 23, (2, n_tokens))
    cache = KeyValueCache()
    pieces = [model(piece, cache)[0] for piece in ids.split(read, dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids)[0], rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- positions

UP_TO_8, BETWEEN = [1, 2, 3, 4, 5, 6, 7, 8], [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5]
PUBLISHED: dict[int, list[float]] = {  # the authors' slopes are 2 to the power of minus these
    **{1: [8], 2: [4, 8], 3: [4, 8, 2], 4: [2, 4, 6, 8]},
    **{5: [2, 4, 6, 8, 1], 6: [2, 4, 6, 8, 1, 3], 7: [2, 4, 6, 8, 1, 3, 5]},
    **{8 + n: UP_TO_8 + BETWEEN[:n] for n in range(8)},
    16: [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8],
}


@pytest.mark.parametrize("n_head", PUBLISHED)
def test_alibi_slopes_are_the_published_ones(n_head: int) -> None:
    assert alibi_slopes(n_head) == pytest.approx([2**-power for power in PUBLISHED[n_head]], rel=1e-12)


M = MASKED
PAST = [[0, M, M, M], [-1, 0, M, M], [-2, -1, 0, M], [-3, -2, -1, 0]]
BOTH = [[0, -1, -2, -3], [-1, 0, -1, -2], [-2, -1, 0, -1], [-3, -2, -1, 0]]
FUTURE = [[0, -1, -2, -3], [M, 0, -1, -2], [M, M, 0, -1], [M, M, M, 0]]


@pytest.mark.parametrize(
    ("causal", "settings", "steps"),
    [
        (True, {}, [PAST, PAST]),
        (False, {}, [BOTH, BOTH]),
        (False, {"alibi_one_sided": True}, [PAST, FUTURE]),
        (True, {"alibi_one_sided": True}, [PAST, PAST]),
        (True, {"alibi_slope_scale": 8.0}, [PAST, PAST]),
    ],
)
def test_the_bias_of_alibi_by_hand(causal: bool, settings: dict[str, Any], steps: list[list[list[float]]]) -> None:
    config = replace(TINY, positions="alibi", **settings)
    bias = attention_bias(position_method(config, causal), 0, 4, causal, None, None, torch.device("cpu"))
    assert bias is not None
    assert bias.shape == (1, 2, 4, 4)
    slopes = config.alibi_slope_scale * torch.tensor([1 / 16, 1 / 256])[:, None, None]
    unit = torch.tensor(steps, dtype=torch.float32)
    assert torch.equal(bias[0], torch.where(unit == M, unit, unit * slopes))


def test_alibi_holds_no_tensor() -> None:
    method = ALiBi(TINY, causal=True)
    assert not [*method.parameters(), *method.buffers()]


def scores(method: NoPositions, places: Tensor) -> Tensor:
    """Attention scores (1, H, T, T) of fixed queries and keys at `places` (T,), by the interface of the methods."""
    q, k = torch.randn(2, 1, 2, 4, 8, generator=torch.Generator().manual_seed(0))  # each (B, H, T, D)
    vectors, rotation, bias = method.vectors(places), method.rotation(places), method.bias(places - places[:, None])
    if vectors is not None:
        heads = vectors.unflatten(-1, (2, 8)).transpose(0, 1)  # (H, T, D)
        q, k = q + heads, k + heads
    if rotation is not None:
        q, k = rotate(q, rotation), rotate(k, rotation)
    return q @ k.transpose(-2, -1) + (0 if bias is None else bias)


@pytest.mark.parametrize("causal", [False, True])
@every_position_method
def test_relative_positions_are_invariant_to_a_shift_and_absolute_ones_are_not(positions: Any, causal: bool) -> None:
    method, places = position_method(replace(TINY, positions=positions), causal), torch.arange(4)
    invariant = torch.allclose(scores(method, places), scores(method, places + 4), atol=1e-5)
    assert invariant == (positions in ("alibi", "rope", "t5", "none"))
    says_something = not torch.allclose(scores(method, places), scores(method, places * 2), atol=1e-5)
    assert says_something == (positions != "none")


@pytest.mark.parametrize(
    ("causal", "distance_to_bucket"),
    [
        (True, {0: 0, -1: 1, -15: 15, -16: 16, -20: 17, -32: 21, -64: 26, -127: 31, -128: 31, -1000: 31}),
        (False, {0: 0, -7: 7, -8: 8, -12: 9, -20: 10, -40: 12, -100: 15, -1000: 15}),
        (False, {1: 17, 7: 23, 8: 24, 12: 25, 20: 26, 40: 28, 100: 31, 1000: 31}),
    ],
)
def test_buckets_of_t5_by_hand(causal: bool, distance_to_bucket: dict[int, int]) -> None:
    found = T5Positions(TINY, causal).buckets(torch.tensor(list(distance_to_bucket)))
    assert found.tolist() == list(distance_to_bucket.values())


def test_sinusoids_by_hand() -> None:
    vectors = position_method(replace(TINY, n_embd=4, positions="sinusoidal"), causal=False).vectors(torch.arange(3))
    expected = [[math.sin(t), math.cos(t), math.sin(t / 100), math.cos(t / 100)] for t in range(3)]
    torch.testing.assert_close(vectors, torch.tensor(expected))


@every_position_method
def test_only_an_encoder_without_positions_is_permutation_equivariant(positions: Any) -> None:
    torch.manual_seed(0)
    encoder, ids, order = (
        Encoder(replace(TINY, positions=positions)),
        batch()[0],
        torch.tensor([3, 1, 7, 0, 2, 6, 4, 5]),
    )
    equivariant = torch.allclose(encoder(ids[:, order])[0], encoder(ids)[0][:, order], atol=1e-5)
    assert equivariant == (positions == "none")


def test_learned_positions_past_their_table_are_refused() -> None:
    with pytest.raises(ValueError, match="learned positions end at 8 and the input has 9 tokens"):
        make("decoder")(torch.ones(1, 9, dtype=torch.long))


# ------------------------------------------------------------------------------------------------------ whole models


@pytest.mark.parametrize(
    ("model", "settings", "n_parameters"),
    [
        (Classifier, {}, 576_339),
        (Classifier, {"batch_norm": True}, 576_539),
        (Decoder, {}, 943_611),
        (Decoder, {"ff_dim": 100}, 863_115),
    ],
)
def test_the_report_models_have_the_published_numbers_of_parameters(
    model: type[Model], settings: dict[str, Any], n_parameters: int
) -> None:
    assert count_parameters(model(TransformerConfig(5755, **settings))) == n_parameters


@every_model
@every_position_method
def test_gradient_reaches_every_parameter(kind: str, positions: str) -> None:
    model = make(kind, positions=positions, batch_norm=True).train()
    logits(model, *batch()).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        thirds = parameter.grad.chunk(3) if "qkv" in name else [parameter.grad]
        assert all(third.abs().sum() > 0 for third in thirds), name


@every_model
def test_one_batch_is_learned_by_heart(kind: str) -> None:
    model, (ids, lengths) = make(kind, tied=True), batch()
    if isinstance(model, Decoder):
        ids, targets = ids[:, :-1], ids[:, 1:].flatten()
    else:
        targets = torch.tensor([2, 0, 1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        loss = F.cross_entropy(logits(model, ids, lengths).flatten(0, -2), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        *(("decoder", {"positions": positions}) for positions in POSITIONS if positions != "learned"),
        ("decoder", {"n_head": 4}),
        ("decoder", {"window": 2}),
        ("decoder", {"norm": "pre"}),
        ("decoder", {"activation": "gelu"}),
        ("decoder", {"tied": True}),
        ("decoder", {"initialisation": "normal"}),
        ("decoder", {"n_layer": 1}),
        ("decoder", {"ff_dim": 32}),
        ("classifier", {"pooling": "masked-mean"}),
        ("classifier", {"pooling": "cls"}),
        ("classifier", {"head_dim": 32}),
        ("classifier", {"batch_norm": True}),
        ("classifier", {"head_dim": 0}),
        ("classifier", {"pooling": "mean-max"}),
        ("decoder", {"norm": "none"}),
        ("decoder", {"ff_dim": 0}),
        ("decoder", {"layer_scale": 0.0}),
        ("decoder", {"drop_path": 0.5}),
        ("decoder", {"n_spellings": 50}),
        ("decoder", {"initialisation": "normal-embeddings"}),
        ("decoder", {"positions": "alibi", "alibi_slope_scale": 8.0}),
        ("classifier", {"positions": "alibi", "alibi_one_sided": True}),
    ],
    ids=str,
)
def test_every_setting_changes_what_the_model_says(kind: str, settings: dict[str, Any]) -> None:
    base = {"positions": "alibi"} if len(settings) > 1 else {}
    plain, changed = (make(kind, **chosen).train() for chosen in (base, settings))
    assert not torch.allclose(logits(plain, *batch()), logits(changed, *batch()), atol=1e-3)


@both_paths
@pytest.mark.parametrize("kind", ["decoder", "classifier"])
def test_dropout_reaches_each_of_its_places(kind: str, return_attention: bool) -> None:
    model = make(kind, dropout=0.3, embedding_dropout=0.3).train()
    layers = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    inside = [module for module in model.modules() if isinstance(module, SelfAttention)]
    assert {layer.p for layer in layers} == {module.dropout for module in inside} == {0.3}
    calls: list[nn.Module] = []
    for layer in layers:
        layer.register_forward_hook(lambda module, _inputs, _output: calls.append(module))
        layer.p = 0.0
    for module in inside:
        module.dropout = 0.0
    assert torch.equal(*(logits(model, *batch(), return_attention) for _ in range(2)))
    per_block = 2 * 3  # in two blocks: the feed-forward network and two residual branches
    assert len(calls) == 2 * (1 + per_block + (kind == "classifier"))  # 1: the embedding
    for place, name in [*((layer, "p") for layer in layers), *((module, "dropout") for module in inside)]:
        setattr(place, name, 0.3)
        assert not torch.equal(*(logits(model, *batch(), return_attention) for _ in range(2))), place
        setattr(place, name, 0.0)


@pytest.mark.parametrize("settings", [{}, {"tied": True}, {"tied": True, "n_spellings": 50}], ids=str)
@pytest.mark.parametrize("smoothed", ["not", "evenly", "by word"])
def test_the_loss_without_logits_is_cross_entropy_forward_and_backward(smoothed: str, settings: dict[str, Any]) -> None:
    ids, targets = torch.randint(2, 23, (2, 2 * ROWS // 8 + 3, 8))  # the last part has fewer rows than the others
    prior = torch.rand(23) if smoothed == "by word" else torch.ones(23)
    share = torch.rand(ids.shape) if smoothed == "by word" else torch.full(ids.shape, 0.1)
    prior = prior / prior.sum()
    found = []
    for fused in (True, False):
        model = make("decoder", **settings)
        assert isinstance(model, Decoder)
        log_p = model(ids)[0].log_softmax(dim=-1)
        of_target = log_p.gather(-1, targets[..., None])[..., 0]
        if smoothed == "not":
            loss = model.loss(ids, targets) if fused else -of_target.mean()
        else:
            plain = -((1 - share) * of_target + share * (log_p @ prior)).mean()
            loss = model.loss(ids, targets, prior, share) if fused else plain
        (3 * loss).backward()
        found.append((loss, gradients(model)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(make("decoder", **settings).nats(ids, targets), -of_target)  # type: ignore[operator]


def test_pairs_of_words_have_vectors_only_if_training_rows_have_them() -> None:
    words = ["<pad>", "<unk>", "New", "York", "new"]
    rows = torch.tensor([[2, 3, 0], [3, 0, 0]])  # New York; York
    pairs = PhraseEmbedding(words, 0, 0).pairs_of(rows)
    assert len(pairs) == 3  # New, New York, York: the first word's neighbour is the row's start
    phrases = PhraseEmbedding(words, 3, 8)
    phrases.pairs.copy_(pairs)
    for table in (phrases.words, phrases.forms):
        nn.init.zeros_(table.weight)
    new_york, york_new, lower = phrases(torch.tensor([[2, 3], [3, 2], [4, 3]]))
    assert new_york.abs().sum(dim=-1).gt(0).all()
    assert torch.equal(new_york, lower)  # case aside
    assert york_new[1].abs().sum() == 0  # "York New" is no pair of the training rows


def test_a_branch_at_scale_zero_adds_nothing_and_a_skipped_one_keeps_its_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(4000, 2, 16)
    assert Branch(replace(TINY, n_embd=16, layer_scale=0.0))(x).abs().sum() == 0
    branch = Branch(replace(TINY, n_embd=16, drop_path=0.75)).train()
    update = branch(x)
    assert set(update.unique().tolist()) == {0.0, 4.0}
    assert torch.equal(update.amax(dim=(1, 2)), update.amin(dim=(1, 2)))  # a row is skipped whole
    assert update.mean().item() == pytest.approx(1, abs=0.1)
    assert torch.equal(branch.eval()(x), x)


def test_words_spelled_alike_have_vectors_alike() -> None:
    expected = "<na nat ati tio ion on> <nat nati atio tion ion> <nati natio ation tion> ^N"
    assert character_ngrams("Nation") == expected.split()
    assert character_ngrams("<unk>") == []
    table = SpelledEmbedding(["<pad>", "nation", "nations", "of"], 1000, 64)
    nn.init.zeros_(table.words.weight)
    vectors = F.normalize(table.weight, dim=-1)
    assert vectors[0].norm() == 0
    assert vectors[1] @ vectors[2] > 0.5 > vectors[1] @ vectors[3]
    assert set(table.state_dict()) == {"words.weight", "spellings.weight"}  # the n-grams are made anew from the words


@pytest.mark.parametrize("tied", [False, True])
def test_every_tensor_has_one_name(tied: bool) -> None:
    model = make("decoder", tied=tied)
    tensors = [tensor.data_ptr() for tensor in model.state_dict().values()]
    assert len(tensors) == len(set(tensors))
    assert len(tensors) == len(list(model.named_parameters()))


def test_batch_norm_takes_a_batch_of_one_row() -> None:
    model, (ids, lengths) = make("classifier", batch_norm=True).train(), batch()
    assert logits(model, ids[:1], lengths[:1]).isfinite().all()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"n_head": 3}, "n_embd 16 is not a multiple of n_head 3"),
        ({"n_head": 16, "positions": "rope"}, "even head size, not 1"),
        ({"n_embd": 15, "n_head": 1, "positions": "sinusoidal"}, "even n_embd, not 15"),
        ({"n_head": 0}, "n_head is 0; it must be at least 1"),
        ({"n_layer": -1}, "n_layer is -1"),
        ({"block_size": 0}, "block_size is 0"),
        ({"ff_dim": -1}, "ff_dim is -1"),
        ({"window": -1}, "window is -1"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be from 0 to below 1"),
        ({"alibi_slope_scale": math.nan}, "alibi_slope_scale is nan"),
    ],
)
def test_an_impossible_architecture_is_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        replace(TINY, **settings)


def test_an_ensemble_averages_the_probabilities_of_classifiers_that_learn_each_on_its_own() -> None:
    config = replace(TINY, n_members=3, n_classes=3)
    model: Any = make_classifier(config).eval()
    ids, lengths, labels = torch.randint(2, 23, (5, 8)), torch.full((5,), 8), torch.tensor([0, 1, 2, 0, 1])
    members = [member(ids, lengths)[0].softmax(dim=-1) for member in model.members]
    assert not torch.allclose(members[0], members[1])
    torch.testing.assert_close(model(ids, lengths)[0].softmax(dim=-1), sum(members) / 3)
    model.loss(ids, lengths, labels, 0.1).backward()
    for member in model.members:
        own = make_classifier(replace(config, n_members=1))
        own.load_state_dict(member.state_dict())
        own.loss(ids, lengths, labels, 0.1).backward()
        for ours, alone in zip(member.parameters(), own.parameters()):
            torch.testing.assert_close(ours.grad * 3, alone.grad)


def test_a_model_without_layers_has_words_alone() -> None:
    model = make_classifier(replace(TINY, n_layer=0, positions="none", pooling="masked-mean")).eval()
    ids, lengths = torch.tensor([[5, 6, 7, 0]]), torch.tensor([3])
    expected = model.head(model.encoder.embedding(ids)[:, :3].mean(dim=1))
    logits, maps = model(ids, lengths, return_attention=True)
    torch.testing.assert_close(logits, expected)
    assert maps == []


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_zeroes_its_share_anew_each_time_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 1001, requires_grad=True)
    first, second = drop(x, rate), drop(x, rate)
    zeros = (first == 0).double()
    error = math.sqrt(rate * (1 - rate) / x.numel())
    assert zeros.mean().item() == pytest.approx(rate, abs=5 * error)
    effective = round(65536 * rate) / 65536
    assert set(first.unique().tolist()) == {0.0, torch.tensor(1 / (1 - effective)).item()}
    for lag in (1, 2, 3, 4):  # neighbours share a random number, but none of its bits
        together = (zeros[:, lag:] * zeros[:, :-lag]).mean().item()
        assert together == pytest.approx(rate**2, abs=10 * error)
    assert ((first == 0) & (second == 0)).double().mean().item() == pytest.approx(rate**2, abs=10 * error)
    (gradient,) = torch.autograd.grad(first.sum(), x)
    torch.testing.assert_close(gradient, first.detach())
    torch.manual_seed(0)
    assert torch.equal(drop(x, rate), first)
    assert drop(x, 0.0) is x
