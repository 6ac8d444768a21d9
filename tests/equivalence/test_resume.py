"""A run that was killed and resumed is, bit for bit, the run that was not."""

import pytest

NOISY = ("--per_device_train_batch_size", "8", "--max_steps", "12", "--logging_steps", "1", "--save_steps", "5")
# What is trained, and where it is killed: after checkpoint 5 or, in the second pass over the data, 10.
CASES = {
    "plain": ((), ("--kill_at", "8")),
    "workers and accumulation": (
        ("--dataloader_num_workers", "2", "--gradient_accumulation_steps", "2", "--rows", "128"),
        ("--kill_at", "8"),
    ),
    "workers that outlive an epoch": (
        ("--dataloader_num_workers", "2", "--dataloader_persistent_workers", "--rows", "56"),
        ("--kill_at", "11"),
    ),
    "in an evaluation of the second epoch": (
        ("--rows", "32", "--eval_strategy", "steps", "--eval_steps", "2"),
        ("--kill_in_evaluation", "8"),
    ),
    "stream": (("--stream",), ("--kill_at", "11")),
    "stream with workers": (("--stream", "--dataloader_num_workers", "2"), ("--kill_at", "11")),
}


@pytest.mark.parametrize("name", CASES)
def test_killed_and_resumed_run_is_identical(train_tiny, name):
    options, kill = CASES[name]
    whole = train_tiny(f"whole {name}", *NOISY, *options)
    train_tiny(f"killed {name}", *NOISY, *options, *kill, interrupted=True)
    resumed = train_tiny(f"killed {name}", *NOISY, *options, "--resume_from_checkpoint", "auto")
    assert resumed.text == whole.text
    if "--stream" in options:
        rows = sum(whole.rows().values(), [])
        assert len(set(rows)) < len(rows), "the second pass has begun"


def test_two_processes_resume_identically(train_tiny):
    options = (*NOISY[:2], "--max_steps", "8", "--logging_steps", "1", "--save_steps", "4")
    whole = train_tiny("two whole", *options, processes=2)
    train_tiny("two killed", *options, "--kill_at", "6", processes=2, interrupted=True)
    resumed = train_tiny("two killed", *options, "--resume_from_checkpoint", "auto", processes=2)
    assert resumed.text == whole.text


@pytest.mark.parametrize("data", [("--rows", "70"), ("--stream",)], ids=["blocks", "stream"])
def test_another_number_of_processes_goes_on_with_the_same_rows(train_tiny, data):
    options = ("--max_steps", "8", "--save_steps", "4", *data)
    one = train_tiny(f"one {data}", *options, "--per_device_train_batch_size", "16")
    checkpoint = one.folder / "checkpoint-4"
    two = train_tiny(
        f"on two {data}", *options, "--per_device_train_batch_size", "8", "--resume_from_checkpoint", str(checkpoint),
        processes=2,
    )  # fmt: skip
    assert two.rows() == {step: rows for step, rows in one.rows().items() if step >= 4}
    assert sorted(two.rows()) == [4, 5, 6, 7]


def test_another_seed_is_another_run(train_tiny):
    quick = ("--per_device_train_batch_size", "8", "--max_steps", "2", "--logging_steps", "1", "--save_strategy", "no")
    one, other = (train_tiny(f"seed {seed}", *quick, "--seed", seed) for seed in ("1", "2"))
    assert one.rows() != other.rows()
    assert one.result["weights"] != other.result["weights"]


def test_evaluation_does_not_change_training(train_tiny):
    quiet = train_tiny("quiet", *NOISY)
    evaluated = train_tiny("evaluated", *NOISY, "--eval_strategy", "steps", "--eval_steps", "3")
    assert [row for row in evaluated.result["history"] if "loss" in row] == [
        row for row in quiet.result["history"] if "loss" in row
    ]
    assert evaluated.result["weights"] == quiet.result["weights"]
