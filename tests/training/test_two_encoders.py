"""A generator with a rate and a norm of its own."""

from typing import Any

import pytest
import torch

from electra_hf.errors import UsageError
from electra_hf.models import EncoderForMaskedLanguageModeling, MaskedLanguageModelingConfig
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.two_encoders import split_groups


@pytest.fixture
def trainer_of(tokenizer, make_blocks, tmp_path):
    def make(model: Any, **options: Any) -> PretrainingTrainer:
        args = PretrainingArguments(
            output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, max_steps=1, save_strategy="no",
            logging_steps=1, per_device_train_batch_size=4, seed=1, report_to="none", **options,
        )  # fmt: skip
        collator = DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=1)
        return PretrainingTrainer(
            model=model, args=args, train_dataset=make_blocks(16, 24, 12), data_collator=collator
        )

    return make


def test_groups_keep_their_options_and_the_others_come_first():
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(4)]
    groups = [{"params": weights[:2], "weight_decay": 0.1}, {"params": weights[2:], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.5)
    split_groups(optimizer, [weights[1], weights[2]], 0.25)
    found = [([id(p) for p in g["params"]], g["lr"], g["weight_decay"]) for g in optimizer.param_groups]
    ids = [id(weight) for weight in weights]
    assert found == [
        ([ids[0]], 0.5, 0.1), ([ids[3]], 0.5, 0.0), ([ids[1]], 0.125, 0.1), ([ids[2]], 0.125, 0.0)
    ]  # fmt: skip


@pytest.mark.parametrize("sharing", ["none", "gdes"])
def test_one_backward_pass_of_both_losses_is_two(make_model, make_batch, sharing):
    """DeBERTa-v3 has a pass for each; sampling stops the gradient, so each loss has its own parameters."""
    model, batch, passes = make_model(embedding_sharing=sharing), make_batch(), []
    for generator, discriminator in ((1.0, 50.0), (1.0, 0.0), (0.0, 50.0)):
        model.config.generator_weight, model.config.discriminator_weight = generator, discriminator
        model.zero_grad()
        torch.manual_seed(1)
        model(**batch).loss.backward()
        passes.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    joint, *own = passes
    for name, gradient in joint.items():
        mine, other = own if name.startswith("generator.") else own[::-1]
        torch.testing.assert_close(gradient, mine[name])
        assert not other[name].any()


def test_clips_each_encoder_by_its_own_norm(make_model, make_batch, trainer_of):
    model = make_model()
    trainer = trainer_of(model, optimization="decoupled", max_grad_norm=0.3)
    model(**make_batch()).loss.backward()
    before = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    norm = trainer._clip_grad_norm(model)
    for part in ("generator.", "discriminator."):
        gradients = {name: gradient for name, gradient in before.items() if name.startswith(part)}
        length = torch.cat([gradient.flatten() for gradient in gradients.values()]).norm()
        for name, gradient in gradients.items():
            expected = gradient * min(1.0, 0.3 / length)
            torch.testing.assert_close(model.get_parameter(name).grad, expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(norm, torch.cat([gradient.flatten() for gradient in before.values()]).norm())


def test_a_bad_gradient_of_one_encoder_skips_both(make_model, trainer_of):
    model = make_model(embedding_sharing="none")
    trainer = trainer_of(model, optimization="decoupled", generator_learning_rate=1e-3)
    model.generator.electra.encoder.layer[0].output.dense.weight.register_hook(lambda gradient: gradient * torch.nan)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer.train()
    assert trainer.skipped.total == 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_options_without_an_effect_are_refused(make_model, trainer_of, discriminator_config, tmp_path):
    frozen = {"freeze_generator": True, "embedding_sharing": "none"}
    alone = EncoderForMaskedLanguageModeling(MaskedLanguageModelingConfig(masked_lm_config=discriminator_config))
    for model in (make_model(**frozen), alone):
        for options in ({"optimization": "decoupled"}, {"generator_learning_rate": 1e-3}):
            with pytest.raises(UsageError, match="no effect without a generator that is trained"):
                trainer_of(model, **options)
    for options, message in (
        ({"optimization": "both"}, "choose joint or decoupled"),
        ({"optimization": "decoupled", "max_grad_norm": 0.0}, "does not clip"),
        ({"generator_learning_rate": 0.0}, "--generator_learning_rate 0.0: give a number above 0"),
        ({"generator_learning_rate": 1e-3, "learning_rate": 0.0}, "needs a --learning_rate above 0"),
    ):
        with pytest.raises(UsageError, match=message):
            PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, **options)
