"""Fine-tuning a model of a few thousand weights, against a loop written out and against transformers' own losses."""

import copy
import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch.utils.data import Dataset
from transformers import (
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    TrainerCallback,
    TrainerState,
    set_seed,
)

from electra_hf.errors import TrainingError, UsageError
from electra_hf.finetuning.arguments import FinetuningArguments
from electra_hf.finetuning.recipe import layerwise_factors
from electra_hf.finetuning.trainer import FinetuningLogLine, FinetuningTrainer, count_labels, summed_loss
from electra_hf.models import ElectraForReferenceClassification
from electra_hf.training.optimization import AdamWPaper, paper_linear_factor


class Examples(Dataset):
    """Random rows of one length; the label is whether a token is there that a model can learn to see."""

    def __init__(self, rows: int, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        self.ids = torch.randint(5, 64, (rows, 12), generator=generator)
        self.ids[:, 0] = 2
        self.labels = (self.ids[:, 1:] < 8).any(1).long()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        return {"input_ids": self.ids[index], "labels": self.labels[index]}


@pytest.fixture
def make_trainer(tmp_path, discriminator_config):
    def make(train=None, *, dropout=0.0, seed=0, model=None, folder="run", callbacks=None, **options):
        config = copy.deepcopy(discriminator_config)
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
        config.problem_type = "single_label_classification"
        if model is None:
            set_seed(seed)
            plain = ElectraForSequenceClassification(config)
            model = ElectraForReferenceClassification.from_plain(plain, fresh_head=True)
            model.classifier.dropout.p = dropout
        options = {
            "learning_rate": 1e-3, "layerwise_lr_decay": 0.8, "num_train_epochs": 1, "disable_tqdm": True,
            "use_cpu": True, "seed": seed, "logging_steps": 1, "report_to": "none", **options,
        }  # fmt: skip
        args = FinetuningArguments(output_dir=str(tmp_path / folder), **options)
        return FinetuningTrainer(
            model=model, args=args, train_dataset=train or Examples(96), eval_dataset=Examples(20, 9),
            callbacks=callbacks,
        )  # fmt: skip

    return make


def weights_of(trainer) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters()}


def assert_same_weights(found, expected, atol=0.0):
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=atol, rtol=0, msg=lambda text, name=name: f"{name} {text}")


@pytest.mark.parametrize("mode", ["paper", "reference"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_steps_equal_a_loop_written_out(make_trainer, mode, reduction):
    """One pass in the Trainer's order: sum or mean, clipping at 1, Adam without correction, rate by layer."""
    batches: list[torch.Tensor] = []

    class Recorded(Examples):
        def __getitem__(self, index: int) -> dict:
            batches.append(torch.as_tensor(index))
            return super().__getitem__(index)

    data = Recorded(80)
    trainer = make_trainer(data, layerwise_lr_decay_mode=mode, loss_reduction=reduction, warmup_steps=1)
    model = copy.deepcopy(trainer.model).train()
    trainer.train()
    order = torch.stack(batches)
    factors = layerwise_factors(model, 0.8, mode)
    groups = [
        {
            "params": [parameter],
            "lr": 1e-3 * factors[name],
            "weight_decay": 0.0,
        }
        for name, parameter in model.named_parameters()
    ]
    peaks = [group["lr"] for group in groups]
    optimizer = AdamWPaper(groups, eps=1e-6)
    losses = []
    for step, rows in enumerate(order.split(32)):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * paper_linear_factor(step, 1, 3)
        loss = F.cross_entropy(model(data.ids[rows]).logits, data.labels[rows], reduction=reduction)
        losses.append(loss.item() / (len(rows) if reduction == "sum" else 1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert_same_weights(weights_of(trainer), dict(model.named_parameters()), atol=1e-6)
    logged = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert logged == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_accumulation_4_times_8_equals_32(make_trainer, reduction):
    """72 rows: the last step has one batch of 8 only."""
    options = {"loss_reduction": reduction, "warmup_steps": 0, "num_train_epochs": 2}
    whole = make_trainer(Examples(72), folder="whole", per_device_train_batch_size=32, **options)
    divided = make_trainer(
        Examples(72), folder="divided", per_device_train_batch_size=8, gradient_accumulation_steps=4, **options
    )
    whole.train()
    divided.train()
    assert whole.state.global_step == divided.state.global_step == 6
    assert_same_weights(weights_of(divided), weights_of(whole), atol=1e-6)
    for name in ("loss", "grad_norm", "learning_rate"):
        first, second = ([row[name] for row in run.state.log_history if name in row] for run in (whole, divided))
        assert second == pytest.approx(first, rel=1e-4)


@pytest.mark.parametrize("mode", ["paper", "reference"])
def test_the_same_seed_gives_the_same_weights(make_trainer, mode):
    options = {"dropout": 0.1, "layerwise_lr_decay_mode": mode}
    runs = []
    for number, seed in enumerate((1, 2, 1)):
        trainer = make_trainer(seed=seed, folder=f"run-{number}", **options)
        trainer.train()
        runs.append(weights_of(trainer))
    assert_same_weights(runs[2], runs[0])
    assert any(not torch.equal(runs[1][name], runs[0][name]) for name in runs[0])


def test_a_resumed_run_is_the_run_that_was_not(make_trainer):
    """The checkpoint holds two layers of a head, the model one."""
    options = {"dropout": 0.1, "save_strategy": "steps", "save_steps": 2, "num_train_epochs": 2}
    whole = make_trainer(folder="whole", **options)
    whole.train()
    resumed = make_trainer(folder="resumed", seed=0, **options)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-4")
    assert_same_weights(weights_of(resumed), weights_of(whole))


def test_a_finished_run_that_is_resumed_stays_as_it_is(make_trainer):
    """It ends within an epoch."""
    options = {"dropout": 0.1, "save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    whole = make_trainer(**options)
    whole.train()
    resumed = make_trainer(**options)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-4")
    assert resumed.state.global_step == 4
    assert_same_weights(weights_of(resumed), weights_of(whole))


def test_the_best_checkpoint_is_loaded(make_trainer):
    class Worse(TrainerCallback):
        """The first evaluation is made the best one."""

        def on_evaluate(self, args, state, control, metrics, **_):
            metrics["eval_loss"] = metrics["eval_loss"] + state.global_step

    options = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    trainer = make_trainer(load_best_model_at_end=True, callbacks=[Worse()], **options)
    trainer.train()
    assert trainer.state.best_model_checkpoint.endswith("checkpoint-1")
    best = ElectraForReferenceClassification.from_pretrained(trainer.state.best_model_checkpoint)
    assert_same_weights(weights_of(trainer), dict(best.named_parameters()))


@pytest.mark.parametrize("optim", ["adamw_paper", "adamw_torch", "adafactor"])
def test_any_optimiser_gets_rates_by_layer(make_trainer, optim):
    trainer = make_trainer(optim=optim, weight_decay=0.01)
    optimizer = trainer.create_optimizer()
    names = {parameter: name for name, parameter in trainer.model.named_parameters()}
    found = {
        names[p]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }
    factors = layerwise_factors(trainer.model, 0.8, "paper")
    assert found.keys() == factors.keys()
    for name, (rate, decay) in found.items():
        assert rate == pytest.approx(1e-3 * factors[name])
        assert decay == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.01), name
    assert optimizer.param_groups[0]["lr"] == 1e-3, "the Trainer logs the rate of the first group"


def test_without_decay_there_is_one_rate(make_trainer):
    optimizer = make_trainer(layerwise_lr_decay=1.0).create_optimizer()
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}


def test_learning_brings_the_loss_down_and_is_evaluated(make_trainer):
    trainer = make_trainer(Examples(320), num_train_epochs=4, learning_rate=5e-3)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    output = trainer.predict(Examples(20, 9))
    assert output.predictions.shape == (20, 2)
    logits = torch.as_tensor(output.predictions)
    expected = F.cross_entropy(logits, Examples(20, 9).labels).item()
    assert output.metrics["test_loss"] == pytest.approx(expected, rel=1e-5)
    assert trainer.state.log_history[-2]["loss"] < 0.8 * trainer.state.log_history[1]["loss"]
    assert before > 0


class Poison(TrainerCallback):
    """Puts a NaN into the head after a step."""

    def __init__(self, step: int):
        self.step = step

    @torch.no_grad()
    def on_step_end(self, args, state, control, model, **_):
        if state.global_step == self.step:
            next(model.parameters()).fill_(float("nan"))


@pytest.mark.parametrize("logging_steps", [1, 2, 50])
def test_a_loss_that_is_no_number_ends_the_run(make_trainer, logging_steps):
    """Step 2 is named, also if it is noticed at a later event or at the end only."""
    trainer = make_trainer(Examples(160), callbacks=[Poison(1)], logging_steps=logging_steps)
    with pytest.raises(TrainingError, match=r"since step 2 of 5 \(--learning_rate 0.001\): use a lower learning rate"):
        trainer.train()


def test_undecided_options_are_refused(make_trainer):
    with pytest.raises(UsageError, match="give --learning_rate, --num_train_epochs"):
        make_trainer(learning_rate=None, num_train_epochs=None)


def test_the_hub_token_and_the_stock_card_are_not_written(make_trainer, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "")
    trainer = make_trainer(hub_token="hf_secret")
    trainer.save_model()
    trainer.create_model_card()
    saved = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    assert "training_args.bin" in saved
    assert not any(b"hf_secret" in content for content in saved.values())
    assert "README.md" not in saved
    assert os.environ["HF_TOKEN"] == "hf_secret"
    assert "classifier.out_proj.weight" in load_file(tmp_path / "run" / "model.safetensors")


def test_losses_are_transformers_own(discriminator_config):
    """Means over examples; label smoothing against its definition."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 64, (7, 12), generator=generator)
    targets = {
        "regression": (1, torch.rand(7, generator=generator)),
        "multi_label_classification": (3, torch.randint(0, 2, (7, 3), generator=generator).float()),
        "single_label_classification": (3, torch.randint(0, 3, (7,), generator=generator)),
    }
    for problem, (outputs, labels) in targets.items():
        config = copy.deepcopy(discriminator_config)
        config.num_labels = outputs
        config.problem_type = problem if outputs > 1 or problem == "regression" else None
        output = ElectraForSequenceClassification(config).eval()(ids, labels=labels)
        found = summed_loss(output.logits, labels, problem) / count_labels(labels)
        torch.testing.assert_close(found, output.loss)
    logits = torch.randn(7, 3, generator=generator)
    labels = targets["single_label_classification"][1]
    log_probabilities = logits.log_softmax(-1)
    expected = -(0.9 * log_probabilities[torch.arange(7), labels] + 0.1 * log_probabilities.mean(-1)).sum()
    torch.testing.assert_close(summed_loss(logits, labels, None, label_smoothing=0.1), expected)


def test_token_classification_counts_labelled_tokens(make_trainer, discriminator_config):
    """Rows with 1 to 5 labelled tokens: a mean of means would be another number."""

    class Tagged(Examples):
        def __getitem__(self, index: int) -> dict:
            labels = torch.full((12,), -100)
            labels[: index % 5 + 1] = index % 3
            return {"input_ids": self.ids[index], "labels": labels}

    discriminator_config.num_labels = 3
    runs = []
    for size, steps in ((16, 1), (2, 8)):
        set_seed(0)
        model = ElectraForTokenClassification(discriminator_config)
        trainer = make_trainer(
            Tagged(32), model=model, folder=f"tags-{size}", loss_reduction="mean", per_device_train_batch_size=size,
            gradient_accumulation_steps=steps,
        )  # fmt: skip
        trainer.train()
        runs.append(weights_of(trainer))
    assert_same_weights(runs[1], runs[0], atol=1e-6)
    set_seed(0)
    model = ElectraForTokenClassification(discriminator_config).eval()
    batch = torch.utils.data.default_collate([Tagged(4)[index] for index in range(4)])
    output = model(**batch)
    found = summed_loss(output.logits, batch["labels"], None) / count_labels(batch["labels"])
    torch.testing.assert_close(found, output.loss)


def test_lines_for_people():
    state = TrainerState(global_step=12, max_steps=120)
    line = FinetuningLogLine().describe(
        {"loss": 0.5, "grad_norm": 3.25, "learning_rate": 3e-4, "epoch": 0.3, "remaining_seconds": 90.0}, state
    )
    assert line == "step 12/120 | epoch 0.30 | loss 0.5000 | grad norm 3.2500 | lr 3.00e-04 | 1 min 30 s left"
    logs = {"eval_loss": 0.25, "eval_accuracy": 0.9, "eval_runtime": 3.0, "eval_samples_per_second": 5.0, "epoch": 1}
    assert FinetuningLogLine().describe(logs, state) == "evaluation after step 12 | loss 0.2500 | accuracy 0.9000"


def test_numpy_labels_of_a_data_set_are_fine(make_trainer):
    """What `EncodedExamples` gives: plain numbers, which the collator turns into tensors."""

    class Plain(Examples):
        def __getitem__(self, index: int) -> dict:
            return {"input_ids": self.ids[index].tolist(), "label": np.int64(self.labels[index])}

    trainer = make_trainer(Plain(32))
    trainer.train()
    assert trainer.state.global_step == 1
