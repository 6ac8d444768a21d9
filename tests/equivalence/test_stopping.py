"""A run of two processes of which one is told to stop ends in both at one step, and goes on as if it had not."""


def test_processes_stop_together_and_resume_identically(train_tiny):
    options = ("--per_device_train_batch_size", "8", "--max_steps", "9", "--logging_steps", "1", "--save_steps", "4")
    whole = train_tiny("whole", *options, processes=2)
    messages = train_tiny("stopped", *options, "--stop_at", "5", "--stop_rank", "1", processes=2, stopped=True)
    folder = whole.folder.with_name("stopped")
    # What was known after step 5 is read after step 6.
    place = folder / "checkpoint-6"
    stop = f"stopped by SIGTERM after step 6 of 9, saved in {place}: go on with the same command and "
    assert messages.count(stop) == 1, messages
    assert "exitcode  : 75" in messages and "exitcode  : 1 " not in messages
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == ["checkpoint-4", "checkpoint-6"]
    assert all((place / f"rng_state_{rank}.pth").is_file() for rank in (0, 1))
    assert not (folder / "result.json").exists()
    resumed = train_tiny("stopped", *options, "--resume_from_checkpoint", "auto", processes=2)
    assert resumed.text == whole.text
