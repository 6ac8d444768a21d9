"""The generator's gradient through samples: against autograd, finite differences and the hard sampler."""

import pytest
import torch
from scipy.stats import chisquare

from electra_hf.errors import UsageError
from electra_hf.models import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionConfig,
    derive_generator_config,
    straight_through,
)
from electra_hf.models.backbones import BACKBONES
from electra_hf.models.sampling import perturb

SIZES = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 40, "pad_token_id": 0, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
OWN_SIZES = {
    "electra": {"embedding_size": 16},
    "convbert": {"embedding_size": 16, "head_ratio": 2, "conv_kernel_size": 3},
    "roberta": {"bos_token_id": 2, "eos_token_id": 3},
    "modernbert": {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3, "local_attention": 8},
    "deberta-v2": {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]},
}


def family_model(model_type, **settings):
    torch.manual_seed(0)
    main = BACKBONES[model_type].config_class(**{**SIZES, **OWN_SIZES.get(model_type, {})})
    generator = derive_generator_config(main, 0.5 if hasattr(main, "embedding_size") else 1.0)
    config = ReplacedTokenDetectionConfig(generator_config=generator, discriminator_config=main, **settings)
    model = ElectraForReplacedTokenDetection(config)
    model.implementation = "plain"
    return model


def step(model, batch):
    """Output and gradients of one step, always with the same noise."""
    model.zero_grad()
    torch.manual_seed(1)
    output = model(**batch)
    output.loss.backward()
    # Copies: the next step would be added to them.
    return output, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def soft_by_autograd(perturbed, table, temperature, factor):
    soft = torch.softmax(perturbed / temperature, -1) @ table.detach()
    return factor * (soft - soft.detach())


@pytest.mark.parametrize("model_type", sorted(BACKBONES))
def test_reads_the_hard_samples_and_learns_from_the_soft_ones(model_type, make_batch, monkeypatch):
    """Inputs and loss of the hard sampler, bit for bit; gradients of a soft choice that autograd differentiates."""
    batch = make_batch()
    hard, hard_gradients = step(family_model(model_type, embedding_sharing="none"), batch)
    settings = {"embedding_sharing": "none", "sampler": "gumbel_softmax", "gumbel_temperature": 0.7}
    model = family_model(model_type, generator_feedback=-0.5, **settings)
    found, gradients = step(model, batch)
    for name in ("corrupted_ids", "labels", "logits", "loss"):
        assert torch.equal(found[name], hard[name]), name
    monkeypatch.setattr(straight_through, "feedback", soft_by_autograd)
    _, expected = step(model, batch)
    assert gradients.keys() == expected.keys() == hard_gradients.keys()
    for name in expected:
        torch.testing.assert_close(gradients[name], expected[name], atol=1e-6, rtol=1e-4, msg=name)
        # What is trained by the discriminator's loss alone is not changed by the soft choice.
        if name.startswith("discriminator."):
            torch.testing.assert_close(gradients[name], hard_gradients[name], msg=name)
    changed = [name for name in gradients if not torch.allclose(gradients[name], hard_gradients[name], atol=1e-5)]
    assert any(name.startswith("generator.") for name in changed)


def test_feedback_is_a_factor_and_the_fused_layers_give_the_same(make_model, make_batch):
    batch, gradients = make_batch(), {}
    settings = {"sampler": "gumbel_softmax", "embedding_sharing": "word"}
    for factor in (0.0, 1.0, -2.0):
        gradients[factor] = step(make_model(generator_feedback=factor, **settings), batch)[1]
    plain = make_model(generator_feedback=1.0, **settings)
    plain.implementation = "plain"
    for name, without in gradients[0.0].items():
        one, reversed_two = gradients[1.0][name] - without, gradients[-2.0][name] - without
        torch.testing.assert_close(reversed_two, -2 * one, atol=2e-5, rtol=1e-3, msg=name)
    fused = make_model(generator_feedback=1.0, **settings)
    fused.implementation = "fused"
    outputs = [step(model, batch)[0] for model in (plain, fused)]
    assert outputs[0].logits.shape == outputs[1].logits.shape
    assert gradients[1.0]["generator.electra.encoder.layer.0.output.dense.weight"].any()


def inputs(scale=1.0):
    generator = torch.Generator().manual_seed(3)
    y = scale * torch.randn(2, 3, 11, generator=generator)
    return y.requires_grad_(), torch.randn(11, 5, generator=generator), torch.randn(2, 3, 5, generator=generator)


def test_gradient_is_that_of_finite_differences():
    y, table, weights = inputs()
    tau = torch.tensor(0.5)
    (straight_through.feedback(y, table, tau, 2.0) * weights).sum().backward()

    def relaxed(values):
        return 2.0 * ((torch.softmax(values / 0.5, -1) @ table.double()) * weights).sum().item()

    for place in [(0, 0, 0), (0, 2, 7), (1, 1, 10)]:
        change = torch.zeros_like(y, dtype=torch.float64)
        change[place] = 1e-5
        slope = (relaxed(y.detach().double() + change) - relaxed(y.detach().double() - change)) / 2e-5
        assert y.grad[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_stays_in_fp32_and_in_chunks(monkeypatch):
    y, table, weights = inputs()
    (straight_through.feedback(y, table, torch.tensor(0.5), 1.0) * weights).sum().backward()
    other, _, _ = inputs()
    monkeypatch.setattr(straight_through, "_CHUNK_ROWS", 4)
    with torch.autocast("cpu", torch.bfloat16):
        zeros = straight_through.feedback(other, table, torch.tensor(0.5), 1.0)
        assert zeros.dtype == torch.float32 and not zeros.any()
        (zeros * weights).sum().backward()
    torch.testing.assert_close(other.grad, y.grad)


@pytest.mark.parametrize("tau", [1e-4, 1.0, 1e4])
def test_no_nan_at_extreme_logits(tau):
    logits, table, weights = inputs(scale=1e30)
    disallowed = torch.zeros(2, 3, dtype=torch.long)
    perturbed = perturb(logits, 1e-3, disallowed)
    (straight_through.feedback(perturbed, table, torch.tensor(tau), 1.0) * weights).sum().backward()
    assert logits.grad.isfinite().all()
    assert not logits.grad[..., 0].any(), "what cannot be drawn gets no gradient"


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_samples_have_the_distribution_of_the_softmax(temperature):
    torch.manual_seed(5)
    logits, draws = torch.tensor([1.0, 0.0, -1.0, 2.0, 0.5]), 20_000
    targets, weights = torch.zeros(1, draws, dtype=torch.long), torch.ones(1, draws)
    loss, _ = straight_through.predict(logits.expand(1, draws, -1), targets, weights, torch.tensor(temperature))
    counts = loss.sampled.flatten().bincount(minlength=5)
    assert (
        chisquare(counts.numpy(), ((logits / temperature).softmax(-1) * draws).double().numpy(), sum_check=False)[1]
        > 1e-3
    )
    assert loss.loss_sum.item() == pytest.approx(-draws * logits.log_softmax(-1)[0].item(), rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator_feedback": float("nan")}, "generator_feedback is nan"),
        ({"gumbel_temperature": 0.0}, "gumbel_temperature is 0.0"),
        ({"gumbel_temperature_schedule": "linear"}, "needs a gumbel_temperature_end"),
        ({"gumbel_temperature_schedule": "cosine"}, "choose one of constant, linear, exponential"),
    ],
)
def test_impossible_settings_are_refused(make_model, settings, message):
    with pytest.raises(UsageError, match=message):
        make_model(sampler="gumbel_softmax", **settings)
