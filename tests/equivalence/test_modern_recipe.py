"""Muon, warm-up-stable-decay and both warm-ups: resumed equals uninterrupted, two processes equal one."""

import pytest

RECIPE = (
    *("--optim", "muon", "--muon_learning_rate", "2e-3", "--lr_scheduler_type", "wsd", "--decay_fraction", "0.5"),
    *("--batch_size_warmup_steps", "5", "--length_warmup_steps", "8", "--length_warmup_start", "12"),
    *("--max_steps", "12", "--logging_steps", "1", "--save_steps", "3"),
)


def test_killed_and_resumed_run_is_identical(train_tiny):
    options = (*RECIPE, "--per_device_train_batch_size", "8", "--batch_size_warmup_start", "2")
    options = (*options, "--gradient_accumulation_steps", "2", "--dataloader_num_workers", "2", "--rows", "64")
    whole = train_tiny("whole", *options)
    # In the middle of both warm-ups; the run ends in its third epoch.
    train_tiny("killed", *options, "--kill_at", "4", interrupted=True)
    resumed = train_tiny("killed", *options, "--resume_from_checkpoint", "auto")
    assert resumed.text == whole.text


def test_two_processes_equal_one(train_tiny):
    noiseless = (*RECIPE, "--temperature", "1e-6", "--dropout", "0", "--seed", "5")
    one = train_tiny("one", *noiseless, "--per_device_train_batch_size", "16", "--batch_size_warmup_start", "4")
    two = train_tiny(
        "two", *noiseless, "--per_device_train_batch_size", "8", "--batch_size_warmup_start", "2", processes=2
    )
    # One process fills the first 4 of 16 places, and two fill the first 2 of 8 each: the same rows. Exact in the first
    # step, after which Newton-Schulz in bf16 makes more of the rounding of sums.
    rows = [next(row for row in run.result["history"] if "loss" in row) for run in (one, two)]
    for name, value in rows[0].items():
        assert rows[1][name] == pytest.approx(value, rel=1e-5, abs=1e-5, nan_ok=True), name
    assert one.result["flos"] == two.result["flos"]
    for name, norm in one.result["weights"].items():
        assert norm == pytest.approx(two.result["weights"][name], rel=1e-2, abs=1e-2), name
