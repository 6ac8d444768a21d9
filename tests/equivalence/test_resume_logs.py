"""Resumed between two logging events: the figures are those of the uninterrupted run, the mean loss too."""

import pytest

# Saved at 5 and 10, logged at 4, 8 and 12: a checkpoint is in the middle of a window.
BETWEEN = ("--max_steps", "12", "--logging_steps", "4", "--save_steps", "5", "--gradient_accumulation_steps", "2")
EIGHT_ROWS = ("--per_device_train_batch_size", "8")


def rows(run):
    return {row["step"]: row for row in run.result["history"] if "loss" in row}


def test_killed_between_two_logging_events(train_tiny):
    options = (*BETWEEN, *EIGHT_ROWS, "--rows", "128")
    whole = train_tiny("whole", *options)
    train_tiny("killed", *options, "--kill_at", "8", interrupted=True)
    resumed = train_tiny("killed", *options, "--resume_from_checkpoint", "auto")
    assert sorted(rows(whole)) == [4, 8, 12]
    assert [row["train_loss"] for row in whole.result["history"] if "train_loss" in row] == [
        pytest.approx(sum(row["loss"] for row in rows(whole).values()) / 3)
    ]
    assert resumed.text == whole.text


def test_two_processes_go_on_as_two_or_as_one(train_tiny):
    # Without noise, so that what one process computes can be compared with what two compute.
    noiseless = (*BETWEEN, "--rows", "256", "--temperature", "1e-6", "--dropout", "0", "--seed", "5")
    whole = train_tiny("two", *noiseless, *EIGHT_ROWS, processes=2)
    resume = ("--resume_from_checkpoint", str(whole.folder / "checkpoint-5"))
    two = train_tiny("two as two", *noiseless, *EIGHT_ROWS, *resume, processes=2)
    assert two.text == whole.text
    one = train_tiny("two as one", *noiseless, "--per_device_train_batch_size", "16", *resume)
    # The window in which the number changed starts anew; the next one has the same rows in it.
    assert rows(one)[8] != rows(whole)[8]
    for name, value in rows(whole)[12].items():
        assert rows(one)[12][name] == pytest.approx(value, rel=1e-5, abs=1e-5, nan_ok=True), name
    for name, norm in whole.result["weights"].items():
        assert one.result["weights"][name] == pytest.approx(norm, rel=1e-5, abs=1e-5), name
