"""What a person reads while a run goes on."""

from transformers import TrainerControl, TrainerState, TrainingArguments

from electra_hf.training.progress import LogLineCallback, format_logs


def test_training_and_evaluation_lines():
    logs = {
        "loss": 27.0,
        "generator_loss": 6.5,
        "rtd_auc": 0.7,
        "tokens_per_second": 1234.5,
        "remaining_seconds": 90.0,
    }
    line = format_logs(logs, 200)
    assert line == "step 200 | loss 27.000 | generator 6.500 | auc 0.700 | 1,234 tokens/s | 1 min 30 s left"
    assert (
        format_logs({"eval_loss": 26.0, "eval_rtd_auc": 0.8, "epoch": 1}, 7) == "evaluation | loss 26.000 | auc 0.800"
    )


def test_nan_is_shown_as_nan():
    assert "loss nan" in format_logs({"loss": float("nan")}, 1)


def test_only_the_main_process_speaks(tmp_path, capsys):
    args, control = TrainingArguments(output_dir=str(tmp_path)), TrainerControl()
    for main in (True, False):
        state = TrainerState(global_step=3, is_world_process_zero=main)
        LogLineCallback().on_log(args, state, control, logs={"loss": 1.0})
        LogLineCallback().on_log(args, state, control, logs={"train_runtime": 1.0})
        assert ("step 3 | loss 1.000" in capsys.readouterr().out) == main
