"""A step that is not finite leaves no trace but a count and a file."""

import json
import logging
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from transformers import TrainerCallback

from electra_hf.errors import TrainingError, UsageError
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.skipped_steps import SkippedSteps, load_skipped_step

BAD_TOKEN = 63
ROWS = 4  # of a batch


class Rows(Dataset):
    """Rows of 24 tokens; those of `bad` batches (from 0) hold a token that makes the model return NaN."""

    def __init__(self, batches: int, bad: tuple[int, ...] = ()):
        self.ids = np.random.default_rng(0).integers(5, BAD_TOKEN, (batches * ROWS, 24)).astype(np.uint16)
        self.ids[:, 0], self.ids[:, -1] = 2, 3
        # In a row of its own batch only, and the model sees no more of it than that it is there.
        self.bad = {batch * ROWS for batch in bad}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        row = self.ids[index].copy()
        if index in self.bad:
            row[5] = BAD_TOKEN
        return {"input_ids": row, "length": 24, "first_length": 24, "sample": index, "epoch": 0}


def make_bad(model, value: float = float("nan")):
    """Give the first score of the discriminator this value for batches with the bad token."""
    found = []
    model.register_forward_pre_hook(
        lambda module, args, batch: found.append(bool((batch["original_ids"] == BAD_TOKEN).any())), with_kwargs=True
    )

    def spoil(module, args, scores):
        if found[-1]:
            scores = scores.clone()
            scores[0, 0] = value
        return scores

    model.discriminator.discriminator_predictions.register_forward_hook(spoil)
    return model


class WithoutUpdate(TrainerCallback):
    """What a skipped step should be like: the schedule goes on, and the optimiser has nothing to do."""

    def __init__(self, steps: tuple[int, ...]):
        self.steps = steps

    def on_pre_optimizer_step(self, args, state, control, optimizer, **_):
        if state.global_step + 1 in self.steps:
            optimizer.zero_grad(set_to_none=True)


class Weights(TrainerCallback):
    """The weights after each step, and before the first."""

    def __init__(self):
        self.after = {}

    def on_train_begin(self, args, state, control, model, **_):
        self.on_step_end(args, state, control, model)

    def on_step_end(self, args, state, control, model, **_):
        self.after[state.global_step] = [parameter.detach().clone() for parameter in model.parameters()]


@pytest.fixture
def make_trainer(tmp_path, tokenizer, make_model):
    def make(rows: Dataset, name: str = "run", callbacks=(), spoil=make_bad, **options):
        args = PretrainingArguments(
            **{
                "output_dir": str(tmp_path / name),
                "per_device_train_batch_size": ROWS,
                "max_steps": 6,
                "warmup_steps": 2,
                "learning_rate": 1e-2,
                "train_sampling_strategy": "sequential",
                "logging_steps": 1,
                "save_strategy": "no",
                "disable_tqdm": True,
                "use_cpu": True,
                **options,
            }
        )
        return PretrainingTrainer(
            model=spoil(make_model()),
            args=args,
            train_dataset=rows,
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0),
            processing_class=tokenizer,
            callbacks=list(callbacks),
        )

    return make


def logged(trainer) -> list[dict]:
    return [row for row in trainer.state.log_history if "learning_rate" in row]


def equal_states(left, right) -> bool:
    """Whether two states of optimisers are bit-identical."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal_states(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(equal_states, left, right))
    return torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


def assert_same_training(trainer, other) -> None:
    for parameter, expected in zip(trainer.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(parameter, expected)
    assert equal_states(trainer.optimizer.state_dict(), other.optimizer.state_dict())
    assert trainer.lr_scheduler.state_dict()["last_epoch"] == other.lr_scheduler.state_dict()["last_epoch"]


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("optim", ["adamw_paper", "adamw_torch", "muon", "sgd"])
def test_a_skipped_step_changes_nothing_but_the_schedule(make_trainer, optim, delay):
    weights = Weights()
    trainer = make_trainer(Rows(6, bad=(2,)), callbacks=[weights], optim=optim)
    trainer.skipped.delay = delay
    trainer.train()
    reference = make_trainer(Rows(6), "reference", callbacks=[WithoutUpdate((3,))], optim=optim)
    reference.train()
    assert all(map(torch.equal, weights.after[3], weights.after[2]))
    assert not all(map(torch.equal, weights.after[4], weights.after[3]))
    assert_same_training(trainer, reference)
    for row, expected in zip(logged(trainer), logged(reference), strict=True):
        assert row["learning_rate"] == expected["learning_rate"]
        assert row.get("skipped_steps", 0) == (row["step"] >= 3)
        if row["step"] == 3:
            assert math.isnan(row["loss"])
            assert "generator_loss" not in row
        else:
            assert row["loss"] == expected["loss"]
            assert row["rtd_auc"] == expected["rtd_auc"]


def test_skipped_first_step_leaves_the_optimiser_as_new(make_trainer):
    trainer = make_trainer(Rows(6, bad=(0,)), max_steps=1)
    trainer.train()
    for state in trainer.optimizer.state.values():
        assert not state["exp_avg"].any()
        assert not state["exp_avg_sq"].any()
        assert state["step"] == 1_000_000


@pytest.mark.parametrize("max_grad_norm", [0.0, 1.0])
def test_one_bad_accumulation_step_skips_its_step_only(make_trainer, max_grad_norm):
    options = {"gradient_accumulation_steps": 2, "max_grad_norm": max_grad_norm, "max_steps": 4}
    trainer = make_trainer(Rows(8, bad=(3,)), **options)
    trainer.train()
    reference = make_trainer(Rows(8), "reference", callbacks=[WithoutUpdate((2,))], **options)
    reference.train()
    assert_same_training(trainer, reference)
    batches, facts = load_skipped_step(trainer.skipped.folder / "step-2.safetensors")
    assert [bool((batch["original_ids"] == BAD_TOKEN).any()) for batch in batches] == [False, True]
    assert [math.isfinite(loss) for loss in facts["losses"]] == [True, False]


def test_infinite_loss_with_a_finite_gradient_is_skipped(make_trainer):
    """Cross-entropy has one where the score of the right answer is -inf."""

    def add_infinity(model):
        def hook(module, args, batch, output):
            if (batch["original_ids"] == BAD_TOKEN).any():
                output["loss"] = output["loss"] + torch.inf

        model.register_forward_hook(hook, with_kwargs=True)
        return model

    trainer = make_trainer(Rows(4, bad=(1,)), spoil=add_infinity, max_steps=4)
    trainer.train()
    reference = make_trainer(Rows(4), "reference", callbacks=[WithoutUpdate((2,))], max_steps=4)
    reference.train()
    assert_same_training(trainer, reference)
    assert load_skipped_step(trainer.skipped.folder / "step-2.safetensors")[1]["losses"] == [math.inf]


def test_under_a_scaler_only_losses_count(make_trainer):
    """As in fp16, whose scaler meets overflowing gradients in its first steps and skips those by itself."""
    trainer = make_trainer(Rows(6, bad=(4,)))
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=3e38, backoff_factor=1e-38)
    weights = Weights()
    trainer.add_callback(weights)
    trainer.train()
    same = [step for step in range(1, 7) if all(map(torch.equal, weights.after[step], weights.after[step - 1]))]
    assert same == [1, 5]
    assert trainer.skipped.total == 1
    assert [row["step"] for row in logged(trainer) if math.isnan(row["loss"])] == [5]


def test_logged_means_are_over_the_other_steps(make_trainer):
    trainer = make_trainer(Rows(8, bad=(1, 4, 5)), max_steps=8, logging_steps=4)
    result = trainer.train()
    reference = make_trainer(Rows(8), "reference", callbacks=[WithoutUpdate((2, 5, 6))], max_steps=8)
    reference.train()
    rows = {row["step"]: row for row in logged(reference)}
    for row, steps in zip(logged(trainer), ((1, 3, 4), (7, 8)), strict=True):
        for metric in ("loss", "generator_loss", "rtd_loss", "replaced_fraction"):
            assert row[metric] == pytest.approx(np.mean([rows[step][metric] for step in steps]), rel=1e-5)
    losses = [rows[step]["loss"] for step in (1, 3, 4, 7, 8)]
    assert result.metrics["train_loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_file_of_a_skipped_step_gives_nan_again(make_trainer):
    umask = os.umask(0o027)
    try:
        trainer = make_trainer(Rows(4, bad=(2,)), max_steps=3)
        trainer.train()
    finally:
        os.umask(umask)
    file = trainer.skipped.folder / "step-3.safetensors"
    assert list(trainer.skipped.folder.iterdir()) == [file]
    assert file.stat().st_mode & 0o777 == 0o640
    (batch,), facts = load_skipped_step(file)
    assert trainer.model(**batch).loss.isnan()
    rows = torch.stack(
        [torch.from_numpy(trainer.train_dataset[index]["input_ids"].astype(int)) for index in range(8, 12)]
    )
    assert torch.equal(batch["original_ids"], rows)
    assert facts["step"] == 3
    assert math.isnan(facts["gradient_norm"])
    assert facts["learning_rate"] == logged(trainer)[2]["learning_rate"]


def test_a_file_that_cannot_be_written_is_only_reported(make_trainer, caplog):
    trainer = make_trainer(Rows(4, bad=(1,)), max_steps=4)
    trainer.skipped.folder.parent.mkdir(exist_ok=True)
    trainer.skipped.folder.write_text("in the way")
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.state.global_step == 4
    assert "could not be written" in caplog.text


def add_bad_step(skipped: SkippedSteps, number: int, skip: bool = True) -> None:
    value = torch.tensor(float("nan") if skip else 1.0)
    skipped.add({"input_ids": torch.zeros(1, 2)}, value)
    skipped.finish(number, torch.tensor(skip), value, 1e-3)


def test_files_are_limited_and_warnings_become_rare(tmp_path, caplog):
    skipped = SkippedSteps(tmp_path, limit=100)
    with caplog.at_level(logging.WARNING):
        for number in range(1, 41):
            add_bad_step(skipped, number)
    assert len(list(skipped.folder.iterdir())) == 20
    assert [record.args[0] for record in caplog.records] == [1, 2, 3, 4, 8, 16, 32]


def test_processes_share_the_files(tmp_path):
    for process in range(30):
        skipped = SkippedSteps(tmp_path, limit=100, process=process, processes=30)
        # The gradient is bad, and no loss tells whose batch it comes from.
        skipped.add({"input_ids": torch.zeros(1, 2)}, torch.tensor(1.0))
        skipped.finish(1, torch.tensor(True), torch.tensor(math.inf), 1e-3)
    assert sum(1 for _ in skipped.folder.iterdir()) <= 20
    assert (skipped.folder / "step-1-rank-0.safetensors").is_file()


def test_a_late_look_counts_the_same(tmp_path):
    at_once, late = (SkippedSteps(tmp_path / str(delay), limit=9, delay=delay) for delay in (0, 1))
    pattern = [True, False, True, True]
    for number, skip in enumerate(pattern, start=1):
        for skipped in (at_once, late):
            add_bad_step(skipped, number, skip)
        assert at_once.total == sum(pattern[:number])
        assert late.total == sum(pattern[: number - 1])
    assert late.state_dict() == at_once.state_dict() == {"steps": [1, 3, 4], "in_a_row": 2}
    assert [late.after(step) for step in range(5)] == [3, 2, 2, 1, 0]
    assert sorted(path.name for path in late.folder.iterdir()) == sorted(
        path.name for path in at_once.folder.iterdir()
    )


def test_counts_go_on_after_a_checkpoint(tmp_path):
    first, second = SkippedSteps(tmp_path, limit=2), SkippedSteps(tmp_path, limit=2)
    for number in (1, 2):
        add_bad_step(first, number)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.check(None)
    add_bad_step(second, 3)
    with pytest.raises(TrainingError, match="3 steps in a row"):
        second.check(None)


def test_too_many_in_a_row_stop_the_run(make_trainer):
    trainer = make_trainer(Rows(8, bad=(1, 3, 4, 5)), max_steps=8, max_skipped_steps=2)
    with pytest.raises(TrainingError, match="3 steps in a row .*max_skipped_steps 2") as caught:
        trainer.train()
    assert trainer.state.global_step == 5
    assert str(trainer.skipped.folder) in str(caught.value)
    assert "nothing was saved yet" in str(caught.value)
    with pytest.raises(TrainingError, match="good checkpoint is somewhere/checkpoint-1"):
        trainer.skipped.check(Path("somewhere/checkpoint-1"))


def test_the_last_steps_are_looked_at_before_training_ends(make_trainer):
    trainer = make_trainer(Rows(3, bad=(2,)), max_steps=3, max_skipped_steps=0, logging_steps=100)
    trainer.skipped.delay = 1
    with pytest.raises(TrainingError, match="1 steps in a row"):
        trainer.train()
    assert trainer.state.global_step == 3


def test_a_resumed_run_skips_the_same_step(make_trainer, tmp_path):
    rows = Rows(6, bad=(2,))
    whole = make_trainer(rows, save_strategy="steps", save_steps=1)
    whole.train()
    for step in (2, 3):
        resumed = make_trainer(rows, f"resumed-{step}")
        resumed.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{step}"))
        assert_same_training(resumed, whole)


@pytest.mark.parametrize("options", [{"max_skipped_steps": -1}, {"max_rollbacks": -1}, {"spike_threshold": 1.0}])
def test_senseless_options_are_refused(tmp_path, options):
    with pytest.raises(UsageError, match=next(iter(options))):
        PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, **options)
