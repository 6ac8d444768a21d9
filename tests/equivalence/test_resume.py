"""A run that was killed and resumed is, bit for bit, the run that was not."""

import pytest

NOISY = ("--per_device_train_batch_size", "8", "--max_steps", "12", "--logging_steps", "1", "--save_steps", "5")
CASES = {
    "plain": (),
    "workers and accumulation": (
        "--dataloader_num_workers",
        "2",
        "--gradient_accumulation_steps",
        "2",
        "--rows",
        "128",
    ),
    "second epoch and evaluation between": ("--rows", "32", "--eval_strategy", "steps", "--eval_steps", "2"),
}


@pytest.mark.parametrize("name", CASES)
def test_killed_and_resumed_run_is_identical(train_tiny, name):
    options = CASES[name]
    whole = train_tiny(f"whole {name}", *NOISY, *options)
    train_tiny(f"killed {name}", *NOISY, *options, "--kill_at", "8", interrupted=True)
    resumed = train_tiny(f"killed {name}", *NOISY, *options, "--resume_from_checkpoint", "auto")
    assert resumed.text == whole.text


def test_two_processes_resume_identically(train_tiny):
    options = (*NOISY[:2], "--max_steps", "8", "--logging_steps", "1", "--save_steps", "4")
    whole = train_tiny("two whole", *options, processes=2)
    resumed = train_tiny(
        "two resumed", *options, "--resume_from_checkpoint", str(whole.folder / "checkpoint-4"), processes=2
    )
    assert resumed.text == whole.text


def test_evaluation_does_not_change_training(train_tiny):
    quiet = train_tiny("quiet", *NOISY)
    evaluated = train_tiny("evaluated", *NOISY, "--eval_strategy", "steps", "--eval_steps", "3")
    assert [row for row in evaluated.result["history"] if "loss" in row] == [
        row for row in quiet.result["history"] if "loss" in row
    ]
    assert evaluated.result["weights"] == quiet.result["weights"]
