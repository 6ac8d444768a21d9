"""electra_15, replace_mlm and all_tokens_mlm against transformers' own models and a plain softmax over full logits."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode
from transformers import ElectraForMaskedLM, ElectraForPreTraining

from electra_hf.errors import UsageError
from electra_hf.models import (
    ElectricConfig,
    PretrainingModel,
    ReplacedMaskedLanguageModelingConfig,
    derive_generator_config,
    fused,
)
from electra_hf.training.objectives import OBJECTIVES
from electra_hf.training.throughput import training_flops
from electra_hf.training.two_encoder_metrics import AllTokensMaskedLanguageModelingMeter, MaskedTokenDetectionMeter

NAMES = ("electra_15", "replace_mlm", "all_tokens_mlm")


@pytest.fixture
def make(discriminator_config):
    """Build a tiny model of an objective; keyword arguments go to its configuration."""

    def build(objective: str, **settings) -> PretrainingModel:
        torch.manual_seed(0)
        model_class = OBJECTIVES[objective].model
        configs = {
            "generator_config": derive_generator_config(discriminator_config, 0.25),
            f"{model_class.main_part}_config": copy.deepcopy(discriminator_config),
        }
        return model_class(model_class.config_class(**configs, **settings))

    return build


def separate_losses(objective: str, folder, batch, replaced) -> tuple:
    """The two losses from two plain models, the copy head, and these models."""
    generator = ElectraForMaskedLM.from_pretrained(folder, subfolder="generator").train()
    encoded = {"attention_mask": batch["attention_mask"], "token_type_ids": batch["token_type_ids"]}
    labels = torch.full_like(batch["original_ids"], -100)
    for row, slot in (batch["masked_weights"] > 0).nonzero().tolist():
        position = batch["masked_positions"][row, slot]
        labels[row, position] = batch["original_ids"][row, position]
    generator_loss = generator(input_ids=batch["input_ids"], labels=labels, **encoded).loss
    real, masked = batch["attention_mask"].bool(), labels != -100
    if objective == "electra_15":
        main = ElectraForPreTraining.from_pretrained(folder).train()
        logits = main(input_ids=replaced, **encoded).logits
        targets = (replaced != batch["original_ids"]).float()
        return generator_loss, F.binary_cross_entropy_with_logits(logits[masked], targets[masked]), generator, main, {}
    main = ElectraForMaskedLM.from_pretrained(folder).train()
    if objective == "replace_mlm":
        return generator_loss, main(input_ids=replaced, labels=labels, **encoded).loss, generator, main, {}
    again = OBJECTIVES[objective].model.from_pretrained(folder)
    hidden = main.electra(replaced, **encoded).last_hidden_state
    softmax = main.generator_lm_head(main.generator_predictions(hidden)).double().softmax(-1)
    copied = again.copy_head(hidden).double().sigmoid()
    mixture = copied * F.one_hot(replaced, 64) + (1 - copied) * softmax
    nll = -mixture.gather(-1, batch["original_ids"][..., None]).squeeze(-1).log()
    head = {f"copy_head.{name}": parameter for name, parameter in again.copy_head.named_parameters()}
    return generator_loss, nll[real].mean().float(), generator, main, head


@pytest.mark.parametrize("sharing", ["all", "none"])
@pytest.mark.parametrize("objective", NAMES)
def test_losses_and_gradients_equal_two_separate_models(make, make_batch, tmp_path, objective, sharing):
    model, batch = make(objective, embedding_sharing=sharing), make_batch()
    with torch.no_grad():  # so that copies and softmax differ from token to token
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    output = model(**batch)
    output.loss.backward()
    replaced = output.corrupted_ids if objective == "electra_15" else output.replaced_ids
    generator_loss, main_loss, generator, main, head = separate_losses(objective, tmp_path, batch, replaced)
    weights = list(model.config.loss_weights.values())
    assert weights == ([1, 50] if objective == "electra_15" else [1, 1])
    expected = weights[0] * generator_loss + weights[1] * main_loss
    expected.backward()

    assert (replaced != batch["original_ids"]).any()
    torch.testing.assert_close(output.generator_loss, generator_loss.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output[list(model.config.loss_weights)[1]], main_loss.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.loss, expected, atol=1e-4, rtol=1e-5)
    gradients = {f"generator.{name}": p.grad for name, p in generator.named_parameters()}
    for name, parameter in main.named_parameters():
        if sharing == "all" and "embeddings." in name:
            gradients[f"generator.{name}"] = gradients[f"generator.{name}"] + parameter.grad
        else:
            gradients[f"{model.main_part}.{name}"] = parameter.grad
    gradients |= {name: parameter.grad for name, parameter in head.items()}
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert found.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize("objective", [*NAMES, "electric"])
def test_the_main_loss_does_not_reach_the_generator(make, make_batch, objective):
    model = make(objective, embedding_sharing="none", generator_weight=0.0)
    model(**make_batch()).loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.main.parameters())


@pytest.mark.parametrize("objective", [*NAMES, "electric"])
def test_four_batches_of_two_rows_are_one_of_eight(make, make_batch, objective):
    """With the denominators of the whole; the samples are those of the most likely tokens."""
    settings = {} if objective == "electric" else {"temperature": 1e-6}
    model, batch = make(objective, **settings), make_batch(rows=8)
    if objective == "electric":  # no temperature: make each softmax certain instead
        model.config.special_token_ids = [0, 2, 3, 4]
        with torch.no_grad():
            model.generator.bias.copy_(torch.arange(64) * 100.0)
    whole = model(**batch)
    parts = [{name: value[start : start + 2] for name, value in batch.items()} for start in range(0, 8, 2)]
    counts = torch.stack([model.count_items(part) for part in parts]).sum(0)
    assert torch.equal(counts, model.count_items(batch))
    losses = [model(**part, num_items_in_batch=counts).loss for part in parts]
    torch.testing.assert_close(sum(losses), whole.loss, rtol=1e-5, atol=1e-5)
    names = list(model.config.loss_weights)
    summed = [sum(getattr(model(**part), f"{name}_sum") for part in parts) for name in names]
    for name, total, count in zip(names, summed, counts, strict=True):
        torch.testing.assert_close(total / count, getattr(whole, name), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("chunk_rows", [3, 1000])
@pytest.mark.parametrize("copying", [True, False])
def test_likelihoods_in_chunks_are_those_of_full_logits(chunk_rows, copying):
    generator = torch.Generator().manual_seed(0)
    shapes = {"hidden": (20, 8), "weight": (30, 8), "bias": (30,), "copy": (20,)}
    tensors = {name: torch.randn(size, generator=generator).requires_grad_() for name, size in shapes.items()}
    again = {name: tensor.detach().double().requires_grad_() for name, tensor in tensors.items()}
    targets, inputs = torch.randint(0, 30, (2, 20), generator=generator)
    inputs = torch.where(torch.rand(20, generator=generator) < 0.6, targets, inputs)
    weights = torch.rand(20, generator=generator)
    found = fused.token_likelihoods(
        *(tensors[name] for name in ("hidden", "weight", "bias")),
        targets,
        weights,
        chunk_rows=chunk_rows,
        **({"inputs": inputs, "copy_logits": tensors["copy"]} if copying else {}),
    )
    (3 * found.loss_sum).backward()
    softmax = (again["hidden"] @ again["weight"].T + again["bias"]).softmax(-1)
    mixture = softmax
    if copying:
        probability = again["copy"].sigmoid()[:, None]
        mixture = probability * F.one_hot(inputs, 30) + (1 - probability) * softmax
    rows = torch.arange(20)
    loss = -(mixture[rows, targets].log() * weights).sum()
    (3 * loss).backward()
    torch.testing.assert_close(found.loss_sum.double(), loss, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.log_probabilities.double(), softmax[rows, targets].log(), rtol=1e-5, atol=1e-5)
    assert torch.equal(found.correct, mixture.argmax(-1) == targets)
    for name in tensors if copying else ("hidden", "weight", "bias"):
        torch.testing.assert_close(tensors[name].grad.double(), again[name].grad, rtol=1e-4, atol=1e-5, msg=name)


def test_copying_is_stable_where_probabilities_are_not():
    """A copy logit of 200, and a target whose softmax underflows."""
    hidden, weight = torch.tensor([[1.0], [1.0]]), torch.tensor([[0.0], [-300.0]])
    copy_logits = torch.tensor([200.0, 200.0], requires_grad=True)
    found = fused.token_likelihoods(
        hidden, weight, torch.zeros(2), torch.tensor([1, 1]), torch.ones(2),
        inputs=torch.tensor([1, 0]), copy_logits=copy_logits,
    )  # fmt: skip
    found.loss_sum.backward()
    torch.testing.assert_close(found.loss_sum.detach(), torch.tensor(0.0 + 500.0))
    torch.testing.assert_close(copy_logits.grad, torch.tensor([0.0, 1.0]))
    assert found.correct.tolist() == [True, False]


def test_metrics_of_electra_15_are_those_of_the_masked_positions(make, make_batch):
    model, batch = make("electra_15").eval(), make_batch(rows=16)
    meter = MaskedTokenDetectionMeter("cpu")
    output = model(**batch)
    meter.update(output, batch)
    metrics = meter.compute()
    masked = torch.zeros_like(output.labels)
    for row, slot in (batch["masked_weights"] > 0).nonzero().tolist():
        masked[row, batch["masked_positions"][row, slot]] = True
    found = (output.logits > 0)[masked & output.labels]
    assert metrics["rtd_recall"] == pytest.approx(found.float().mean().item())
    assert metrics["rtd_loss"] == pytest.approx(output.rtd_loss.item(), rel=1e-6)
    assert metrics["replaced_fraction"] == pytest.approx((output.labels.sum() / batch["attention_mask"].sum()).item())


def test_metrics_of_copying(make, make_batch):
    model, batch, meter = (
        make("all_tokens_mlm").eval(),
        make_batch(rows=16),
        AllTokensMaskedLanguageModelingMeter("cpu"),
    )
    with torch.no_grad():
        model.copy_head.weight.mul_(20)
    output = model(**batch)
    meter.update(output, batch)
    metrics = meter.compute()
    real, replaced = batch["attention_mask"].bool(), output.replaced_ids != batch["original_ids"]
    probability = output.copy_logits.sigmoid()
    assert metrics["copy_probability"] == pytest.approx(probability[real].mean().item(), rel=1e-5)
    assert metrics["replaced_copy_probability"] == pytest.approx(probability[replaced].mean().item(), rel=1e-5)
    assert metrics["main_mlm_loss"] == pytest.approx(output.main_mlm_loss.item(), rel=1e-5)
    assert metrics["all_tokens_accuracy"] == pytest.approx(output.token_correct[real].float().mean().item())
    used = batch["masked_weights"] > 0
    at_slots = output.token_correct.gather(1, batch["masked_positions"])[used]
    assert metrics["main_mlm_accuracy"] == pytest.approx(at_slots.float().mean().item())


@pytest.mark.parametrize("objective", ["all_tokens_mlm", "electric"])
def test_compiles_to_one_graph_with_the_same_loss(make, make_batch, objective):
    model, batch = make(objective).eval(), make_batch()
    torch.manual_seed(1)
    expected = model(**batch)
    torch.manual_seed(1)
    found = torch.compile(model, backend="eager", fullgraph=True)(**batch)
    torch.testing.assert_close(found.generator_loss, expected.generator_loss)
    assert torch.isfinite(found.loss)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"main_weight": -1.0}, "main_weight is -1.0; give a number of 0 or more"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"sampler": "greedy"}, "sampler is 'greedy'"),
        ({"embedding_sharing": "some"}, "embedding_sharing is 'some'"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        ReplacedMaskedLanguageModelingConfig(**settings)


@pytest.mark.parametrize("objective", [*NAMES, "electric"])
def test_flops_equal_torchs_count(make, make_batch, discriminator_config, objective):
    # Eager attention, because torch counts the recomputation inside fused attention as well.
    discriminator_config._attn_implementation = "eager"
    model, batch = make(objective), make_batch(rows=3)
    model.implementation = "fused"
    with FlopCounterMode(display=False) as counter:
        model(**batch).loss.backward()
    rows, length = batch["input_ids"].shape
    expected = rows * training_flops(model.config, length, batch["masked_positions"].shape[1])
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.01)


def test_electric_has_no_settings_that_would_make_its_noise_another():
    assert not {"temperature", "disallow_correct", "sampler"} & set(ElectricConfig.objective_fields)
