"""The joint model against transformers' own two models, and what must not change its result."""

import math

import pytest
import torch
from transformers import ElectraForMaskedLM, ElectraForPreTraining

from electra_hf.errors import UsageError
from electra_hf.models import ReplacedTokenDetectionConfig, derive_generator_config
from electra_hf.models.fused import KernelError, native_operations


def need_kernels() -> None:
    try:
        native_operations()
    except KernelError as error:
        pytest.skip(f"no compiled kernels here: {error}")


@pytest.mark.parametrize("implementation", ["plain", "fused", "native"])
@pytest.mark.parametrize("sharing", ["all", "word", "none"])
def test_loss_and_gradients_equal_two_separate_models(make_model, make_batch, tmp_path, sharing, implementation):
    """Full logits, -100 labels and transformers' own losses must give the same numbers as the gathered head."""
    if implementation == "native":
        need_kernels()
    model, batch = make_model(embedding_sharing=sharing), make_batch()
    model.implementation = implementation
    output = model(**batch)
    output.loss.backward()
    model.save_pretrained(tmp_path)
    generator = ElectraForMaskedLM.from_pretrained(tmp_path, subfolder="generator").train()
    discriminator = ElectraForPreTraining.from_pretrained(tmp_path).train()

    encoded = {"attention_mask": batch["attention_mask"], "token_type_ids": batch["token_type_ids"]}
    mlm_labels = torch.full_like(batch["original_ids"], -100)
    corrupted = batch["original_ids"].clone()
    for row, slot in (batch["masked_weights"] > 0).nonzero().tolist():
        position = batch["masked_positions"][row, slot]
        mlm_labels[row, position] = batch["original_ids"][row, position]
        corrupted[row, position] = output.sampled_ids[row, slot]
    assert torch.equal(corrupted, output.corrupted_ids)
    mlm_loss = generator(input_ids=batch["input_ids"], labels=mlm_labels, **encoded).loss
    rtd_labels = (corrupted != batch["original_ids"]).long()
    rtd = discriminator(input_ids=corrupted, labels=rtd_labels, **encoded)
    expected = mlm_loss + 50 * rtd.loss
    expected.backward()

    assert rtd_labels.sum() > 0
    torch.testing.assert_close(output.generator_loss, mlm_loss.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.rtd_loss, rtd.loss.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.loss, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.logits, rtd.logits.detach(), atol=1e-5, rtol=1e-5)
    gradients = {f"generator.{name}": p.grad for name, p in generator.named_parameters()}
    for name, parameter in discriminator.named_parameters():
        shared = sharing == "all" and "embeddings." in name or sharing == "word" and "word_embeddings" in name
        if shared:
            gradients[f"generator.{name}"] = gradients[f"generator.{name}"] + parameter.grad
        else:
            gradients[f"discriminator.{name}"] = parameter.grad
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert found.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-5, msg=name)


def test_discriminator_loss_does_not_reach_the_generator(make_model, make_batch):
    model = make_model(embedding_sharing="none", generator_weight=0.0)
    model(**make_batch()).loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.discriminator.parameters())


def test_fresh_losses_are_those_of_guessing(make_model, make_batch):
    output = make_model()(**make_batch(rows=64))
    assert output.generator_loss == pytest.approx(math.log(64), rel=0.02)
    assert output.rtd_loss == pytest.approx(math.log(2), rel=0.05)


def test_denominators_are_those_of_the_whole_step(make_model, make_batch):
    model, batch = make_model(), make_batch()
    torch.manual_seed(1)
    own = model(**batch)
    torch.manual_seed(1)
    given = model(**batch, num_items_in_batch=torch.tensor([46.0, 270.0]))
    slots, tokens = batch["masked_weights"].sum(), batch["attention_mask"].sum()
    torch.testing.assert_close(given.generator_loss, own.generator_loss * slots / 46)
    torch.testing.assert_close(given.rtd_loss, own.rtd_loss * tokens / 270)
    torch.testing.assert_close(own.generator_loss_sum, own.generator_loss * slots)


def test_padding_changes_nothing(make_model, make_batch):
    model, batch = make_model(temperature=1e-6).eval(), make_batch()
    padded = model(**batch)
    alone = {name: value[-1:, :15] if name.endswith(("ids", "mask")) else value[-1:] for name, value in batch.items()}
    for extra in ({}, {"attention_mask": None}):
        short = model(**{**alone, **extra})
        torch.testing.assert_close(short.logits, padded.logits[-1:, :15])
        assert torch.equal(short.corrupted_ids, padded.corrupted_ids[-1:, :15])


def test_unused_slots_never_change_the_text(make_model, make_batch):
    batch = make_batch()
    batch["masked_weights"][:] = 0
    batch["masked_positions"][:] = 0
    output = make_model()(**batch)
    assert torch.equal(output.corrupted_ids, batch["original_ids"])
    assert output.generator_loss_sum == 0
    assert not output.labels.any() and not output.generator_correct.any()


def test_sampled_original_counts_as_original(make_model, make_batch):
    model, batch = make_model(temperature=100.0), make_batch(rows=64)
    output = model(**batch)
    assert torch.equal(output.labels, output.corrupted_ids != batch["original_ids"])
    used = batch["masked_weights"] > 0
    hits = output.sampled_ids == batch["original_ids"].gather(1, batch["masked_positions"])
    assert 0 < (hits & used).sum() < used.sum()


def test_disallow_correct_replaces_every_slot(make_model, make_batch):
    batch = make_batch()
    output = make_model(disallow_correct=True, temperature=100.0)(**batch)
    assert output.labels.sum() == batch["masked_weights"].sum()


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_attention_implementations_agree(make_model, make_batch, discriminator_config, implementation):
    discriminator_config._attn_implementation = implementation
    other = make_model(temperature=1e-6)
    assert other.discriminator.config._attn_implementation == implementation
    discriminator_config._attn_implementation = "sdpa"
    reference = make_model(temperature=1e-6)
    batch = make_batch()
    torch.testing.assert_close(other(**batch).loss, reference(**batch).loss)


@pytest.mark.parametrize("padded", [True, False])
def test_compiles_to_one_graph_with_the_same_result(make_model, make_batch, padded):
    model, batch = make_model(temperature=1e-6), make_batch()
    if not padded:
        del batch["attention_mask"]
    torch.compiler.reset()  # shapes that other tests compiled this code for would make these dynamic
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(**batch).loss, model(**batch).loss)


@pytest.mark.parametrize(
    ("hidden", "heads", "width", "expected"),
    [
        (256, 4, 0.25, (64, 1, 256)),  # small
        (768, 12, 0.33333, (256, 4, 1024)),  # base
        (1024, 16, 0.25, (256, 4, 1024)),  # large
        (256, 4, 1.0, (256, 4, 1024)),  # the released "small"
    ],
)
def test_generator_has_the_papers_width(discriminator_config, hidden, heads, width, expected):
    discriminator_config.hidden_size, discriminator_config.num_attention_heads = hidden, heads
    discriminator_config.intermediate_size = 4 * hidden
    generator = derive_generator_config(discriminator_config, width)
    assert (generator.hidden_size, generator.num_attention_heads, generator.intermediate_size) == expected
    assert generator.num_hidden_layers == discriminator_config.num_hidden_layers
    assert generator.embedding_size == discriminator_config.embedding_size


def test_wide_generator_is_warned_about(discriminator_config, caplog):
    derive_generator_config(discriminator_config, 0.25)
    assert not caplog.records
    derive_generator_config(discriminator_config, 0.75)
    assert "too strong" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embedding_sharing": "some"}, "embedding_sharing is 'some'"),
        ({"sampler": "beam"}, "choose one of gumbel, multinomial"),
        ({"temperature": 0.0}, "temperature is 0.0"),
    ],
)
def test_wrong_settings_are_named(discriminator_config, settings, message):
    with pytest.raises(UsageError, match=message):
        ReplacedTokenDetectionConfig(
            generator_config=discriminator_config, discriminator_config=discriminator_config, **settings
        )


def test_sizes_that_cannot_be_shared_are_named(discriminator_config):
    generator = derive_generator_config(discriminator_config, 0.5, embedding_size=8)
    with pytest.raises(UsageError, match=r"same embedding_size .* 8 \(generator\) and 16"):
        ReplacedTokenDetectionConfig(generator_config=generator, discriminator_config=discriminator_config)
    ReplacedTokenDetectionConfig(
        generator_config=generator, discriminator_config=discriminator_config, embedding_sharing="none"
    )
