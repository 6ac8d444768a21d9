"""The fused layers against transformers' own, dropout masks and all."""

import logging

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertConfig, BertModel, ElectraConfig, ElectraModel, RobertaConfig, RobertaModel

from electra_hf.errors import UsageError
from electra_hf.models.fused import Seeds, encode, obstacle, tell_obstacle, vocabulary_loss
from electra_hf.models.fused.layer import FusedLayer, LayerSettings, layer_weights
from electra_hf.models.fused.noise import Dropout

BATCH, LENGTH = 3, 20


SIZES = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def randomize(model):
    for parameter in model.parameters():  # no bias at 0, no weight of LayerNorm at 1
        torch.nn.init.normal_(parameter, mean=float(parameter.data.mean()), std=0.2)
    return model.train()


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return randomize(ElectraModel(ElectraConfig(**SIZES, embedding_size=16)))


def make_text() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids = torch.randint(1, 90, (BATCH, LENGTH), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 13:] = 0
    types = (torch.arange(LENGTH) > 7).long().expand(BATCH, -1)
    return ids, mask, types


def gradients(model: ElectraModel, output: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(2)) * mask[..., None]
    (output.float() * weights).sum().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("padded", [True, False])
def test_output_and_gradients_are_those_of_transformers(encoder, operations, padded):
    ids, mask, types = make_text()
    if not padded:
        mask, types = torch.ones_like(ids), None
    expected = encoder(ids, attention_mask=mask, token_type_ids=types).last_hidden_state
    found = encode(encoder, ids, mask if padded else None, types, operations, Seeds())
    real = mask.bool()
    torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=1e-5)
    expected_gradients = gradients(encoder, expected, mask)
    found_gradients = gradients(encoder, found, mask)
    assert found_gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(found_gradients[name], gradient, atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize(
    "model",
    [
        BertModel(BertConfig(**SIZES), add_pooling_layer=False),
        RobertaModel(RobertaConfig(**SIZES, type_vocab_size=1, pad_token_id=0), add_pooling_layer=False),
    ],
    ids=["bert", "roberta"],
)
def test_bert_and_roberta_have_the_same_layers(model, operations):
    encoder = randomize(model)
    ids, mask, types = make_text()
    ids[1, 13:] = 0  # RoBERTa's positions are counted over what is no padding
    if encoder.config.type_vocab_size == 1:
        types = None
    assert obstacle(encoder) is None
    expected = encoder(ids, attention_mask=mask, token_type_ids=types).last_hidden_state
    found = encode(encoder, ids, mask, types, operations, Seeds())
    real = mask.bool()
    torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=1e-5)
    expected_gradients, found_gradients = gradients(encoder, expected, mask), gradients(encoder, found, mask)
    assert found_gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(found_gradients[name], gradient, atol=1e-4, rtol=1e-4, msg=name)


def test_padding_does_not_reach_real_tokens(encoder, operations):
    ids, mask, types = make_text()
    first = encode(encoder, ids, mask, types, operations, Seeds())
    ids[1, 13:] = 5
    second = encode(encoder, ids, mask, types, operations, Seeds())
    assert torch.equal(first[1, :13], second[1, :13])


def test_bfloat16_is_as_near_as_autocast(encoder, operations):
    ids, mask, types = make_text()
    real = mask.bool()
    exact = encoder(ids, attention_mask=mask, token_type_ids=types).last_hidden_state[real]
    with torch.autocast("cpu", torch.bfloat16):
        plain = encoder(ids, attention_mask=mask, token_type_ids=types).last_hidden_state[real].float()
        fused = encode(encoder, ids, mask, types, operations, Seeds())[real]
    assert fused.dtype == torch.bfloat16
    assert (fused.float() - exact).square().mean() < 2 * (plain - exact).square().mean()


def test_a_layer_with_dropout_is_the_layer_with_the_same_masks(encoder, operations):
    """The masks are read off the operations and given to a layer of plain PyTorch."""
    layer, config = encoder.encoder.layer[0], encoder.config
    heads, hidden = config.num_attention_heads, config.hidden_size
    attention, output, feed_forward = Dropout(0.2, 5), Dropout(0.3, 6), Dropout(0.1, 7)
    x = torch.randn(BATCH * LENGTH, hidden, generator=torch.Generator().manual_seed(4))
    settings = LayerSettings(operations, BATCH, heads, config.layer_norm_eps, attention, output, feed_forward)
    leaf = x.clone().requires_grad_()
    found = FusedLayer.apply(settings, leaf, None, *layer_weights(layer))

    dropped, _ = operations.softmax(torch.zeros(BATCH, heads, LENGTH, LENGTH), None, 1.0, attention)
    ones, zero = torch.ones_like(x), torch.zeros(hidden)
    masks = [
        operations.add_norm(ones, zero, torch.zeros_like(x), zero, zero, 1e-5, d, Dropout(0.0, 0))[1][0]
        for d in (output, feed_forward)
    ]
    plain = x.clone().requires_grad_()
    own, parts = layer.attention.self, (BATCH, LENGTH, heads, hidden // heads)
    query, key, value = (part(plain).view(parts).transpose(1, 2) for part in (own.query, own.key, own.value))
    probabilities = (query @ key.transpose(2, 3) / (hidden // heads) ** 0.5).softmax(-1)
    context = (probabilities * (dropped > 0) / 0.8 @ value).transpose(1, 2).reshape(x.shape)
    middle = layer.attention.output.LayerNorm(layer.attention.output.dense(context) * masks[0] + plain)
    outer = layer.output.dense(torch.nn.functional.gelu(layer.intermediate.dense(middle)))
    expected = layer.output.LayerNorm(outer * masks[1] + middle)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)

    weights = torch.randn(x.shape)
    wanted = torch.autograd.grad((expected * weights).sum(), [plain, *layer_weights(layer)])
    got = torch.autograd.grad((found * weights).sum(), [leaf, *layer_weights(layer)])
    for mine, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def test_dropout_is_off_in_evaluation_and_replayed_by_the_generator(encoder, operations):
    encoder.config.hidden_dropout_prob = encoder.config.attention_probs_dropout_prob = 0.3
    ids, mask, types = make_text()

    def run(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return encode(encoder, ids, mask, types, operations, Seeds())

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    encoder.eval()
    assert torch.equal(run(1), run(2))


class Adapter(torch.nn.Module):
    """What an adapter does: a layer in the place of the model's, with the model's weight inside."""

    def __init__(self, inner: torch.nn.Linear):
        super().__init__()
        self.inner, self.weight, self.bias = inner, inner.weight, inner.bias


def adapt(part: torch.nn.Module) -> None:
    part.dense = Adapter(part.dense)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: setattr(model.config, "hidden_act", "relu"), "hidden_act is relu"),
        (lambda model: setattr(model.config, "_attn_implementation", "eager"), "eager was asked for"),
        (lambda model: model.gradient_checkpointing_enable(), "activation checkpointing"),
        (lambda model: model.double(), "float64"),
        (
            lambda model: setattr(
                model.encoder.layer[1].output, "dense", Adapter(model.encoder.layer[1].output.dense)
            ),
            "replaced",
        ),
        (lambda model: model.encoder.layer[0].register_forward_hook(lambda *_: None), "hooks"),
    ],
)
def test_says_when_it_cannot_stand_in(encoder, change, words):
    assert obstacle(encoder) is None
    change(encoder)
    assert words in (obstacle(encoder) or "")


def test_an_implementation_that_cannot_be_used_is_an_error_or_told(make_model, make_batch, caplog):
    model = make_model().double()
    model.implementation = "native"
    with pytest.raises(UsageError, match="float64"):
        model(**make_batch())
    model.implementation = "auto"
    tell_obstacle.cache_clear()
    with caplog.at_level(logging.INFO, logger="electra_hf"):
        for _ in range(2):
            assert torch.isfinite(model(**make_batch()).loss)
    assert caplog.text.count("own layers are used") == 1 and "float64" in caplog.text


@pytest.mark.parametrize("chunk_rows", [4, 7, 100])
def test_vocabulary_loss_does_not_depend_on_the_chunks(operations, chunk_rows):
    generator = torch.Generator().manual_seed(0)
    hidden, table, bias = (torch.randn(shape, generator=generator) for shape in ((23, 16), (70, 16), (70,)))
    targets, weights = torch.randint(0, 70, (23,), generator=generator), torch.rand(23, generator=generator)
    leaves = [value.requires_grad_() for value in (hidden, table, bias)]
    expected = (
        3 * (torch.nn.functional.cross_entropy(hidden @ table.t() + bias, targets, reduction="none") * weights).sum()
    )
    wanted = torch.autograd.grad(expected, leaves)
    result = vocabulary_loss(
        hidden, table, bias, targets, weights, operations=operations, seed=1, chunk_rows=chunk_rows
    )
    torch.testing.assert_close(3 * result.loss_sum, expected)
    for found, gradient in zip(torch.autograd.grad(3 * result.loss_sum, leaves), wanted, strict=True):
        torch.testing.assert_close(found, gradient, atol=1e-5, rtol=1e-5)
    assert torch.equal(result.correct, (hidden @ table.t() + bias).argmax(-1) == targets)


def test_logits_of_all_positions_never_exist_together(operations):
    """The largest tensor that PyTorch makes has one chunk of rows."""
    rows, vocabulary, chunk = 64, 500, 8
    sizes = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            sizes.extend(value.numel() for value in (result,) if isinstance(value, torch.Tensor))
            return result

    hidden, table = torch.randn(rows, 4, requires_grad=True), torch.randn(vocabulary, 4, requires_grad=True)
    targets = torch.zeros(rows, dtype=torch.long)
    with Watch():
        result = vocabulary_loss(
            hidden,
            table,
            torch.zeros(vocabulary),
            targets,
            torch.ones(rows),
            operations=operations,
            seed=1,
            chunk_rows=chunk,
        )
        result.loss_sum.backward()
    assert max(sizes) == chunk * vocabulary


def test_a_row_of_padding_is_no_nan(encoder, operations):
    ids, mask, types = make_text()
    mask[2] = 0
    assert encode(encoder, ids, mask, types, operations, Seeds()).isfinite().all()


def test_without_gradients_none_is_computed(operations):
    """Under no_grad the projection is the only product."""
    products = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            products.extend([function] if function is torch.ops.aten.mm.default else [])
            return function(*args, **(kwargs or {}))

    hidden, table = torch.randn(6, 4, requires_grad=True), torch.randn(30, 4, requires_grad=True)
    targets, weights, bias = torch.zeros(6, dtype=torch.long), torch.ones(6), torch.zeros(30)
    with torch.no_grad(), Watch():
        vocabulary_loss(hidden, table, bias, targets, weights, operations=operations, seed=1)
    assert len(products) == 1


def test_the_factor_of_the_loss_is_not_rounded_to_bfloat16(operations):
    """1 / 2432 in bfloat16 is off by 0.2 %, for every gradient alike."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(64, 16, generator=generator).bfloat16()
    table = torch.randn(70, 16, generator=generator)
    targets = torch.randint(0, 70, (64,), generator=generator)
    norms = []
    for slots in (2048, 2432):
        leaf = hidden.clone().requires_grad_()
        result = vocabulary_loss(leaf, table, torch.zeros(70), targets, torch.ones(64), operations=operations, seed=1)
        (result.loss_sum / slots).backward()
        norms.append(leaf.grad.double().norm() * slots)
    assert abs(norms[1] / norms[0] - 1) < 5e-4


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda batch: batch["original_ids"].fill_(3_200_000), (IndexError, RuntimeError)),
        (lambda batch: batch["original_ids"].fill_(-100), (IndexError, RuntimeError)),
        (lambda batch: batch.update(original_ids=batch["original_ids"].int()), (TypeError, RuntimeError)),
    ],
)
def test_ids_that_are_none_are_refused_before_memory_is_touched(make_model, make_batch, change, error):
    model, batch = make_model(), make_batch()
    change(batch)
    with pytest.raises(error):
        model(**batch)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64])
def test_weights_of_slots_may_have_any_dtype(make_model, make_batch, dtype):
    model, batch = make_model(temperature=1e-6), make_batch()
    expected = model(**batch).generator_loss
    batch["masked_weights"] = batch["masked_weights"].to(dtype)
    torch.testing.assert_close(model(**batch).generator_loss.float(), expected, atol=1e-4, rtol=1e-4)
