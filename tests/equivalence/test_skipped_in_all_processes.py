"""What is wrong in one process is skipped by all of them."""

import math

from electra_hf.training.skipped_steps import load_skipped_step


def test_two_processes_skip_the_bad_step_of_one(train_tiny):
    options = (
        "--per_device_train_batch_size",
        "8",
        "--max_steps",
        "4",
        "--logging_steps",
        "1",
        "--save_strategy",
        "no",
    )
    run = train_tiny("bad in one", *options, "--bad_loss_at", "3", processes=2)
    rows = {row["step"]: row for row in run.result["history"] if "learning_rate" in row}
    assert [rows[step].get("skipped_steps") for step in (1, 2, 3, 4)] == [None, None, 1, 1]
    assert [math.isfinite(rows[step]["loss"]) for step in (1, 2, 3, 4)] == [True, True, False, True]
    weights = [(run.folder / f"weights-{rank}.json").read_text() for rank in (0, 1)]
    assert weights[0] == weights[1]
    assert "NaN" not in weights[0]
    files = [run.folder / "_skipped-steps" / f"step-3-rank-{rank}.safetensors" for rank in (0, 1)]
    assert sorted((run.folder / "_skipped-steps").iterdir()) == files
    losses = [load_skipped_step(file)[1]["losses"] for file in files]
    assert [math.isfinite(loss) for (loss,) in losses] == [True, False]
