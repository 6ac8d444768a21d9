"""What is written for those who watch a run: as the Trainer's own log, also after a kill, a resume and a full disk."""

import json
from pathlib import Path

import pytest
from transformers import TrainerCallback

from electra_hf.json_lines import read_rows
from electra_hf.training.run_files import RunInfo, TrainingLog, describe_hardware, run_facts

TIMES = ("runtime", "per_second", "remaining_seconds", "teraflops")


def plain(history: list[dict]) -> list[dict]:
    """Precision is NaN while nothing is suspected."""
    return [{name: value if value == value else None for name, value in row.items()} for row in history]


class Killed(Exception):
    pass


class KillAfter(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            raise Killed


def without_times(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if not name.endswith(TIMES)} for row in rows]


def evaluated(make_trainer, folder: Path, **options):
    return make_trainer(folder, eval_strategy="steps", eval_steps=2, **options)


def test_the_file_holds_the_rows_of_the_log_when_they_are_logged(tmp_path, make_trainer):
    class Reader(TrainerCallback):
        seen: list[int] = []

        def on_step_begin(self, args, state, control, **_):
            rows = read_rows(tmp_path / "training_log.jsonl")
            assert rows == plain(state.log_history)
            self.seen.append(len(rows))

    trainer = evaluated(make_trainer, tmp_path, callbacks=[Reader()])
    trainer.train()
    trainer.evaluate()
    assert Reader.seen == [0, 1, 3, 4]
    assert read_rows(tmp_path / "training_log.jsonl") == plain(trainer.state.log_history)


def test_a_resumed_run_has_the_log_of_an_uninterrupted_one(tmp_path, make_trainer):
    evaluated(make_trainer, tmp_path / "whole").train()
    with pytest.raises(Killed):
        evaluated(make_trainer, tmp_path / "killed", callbacks=[KillAfter(3)]).train()
    file = tmp_path / "killed" / "training_log.jsonl"
    assert [row["step"] for row in read_rows(file)] == [1, 2, 2, 3]
    file.write_bytes(file.read_bytes()[:-9])  # in the middle of the last line
    evaluated(make_trainer, tmp_path / "killed").train(resume_from_checkpoint=True)
    lines = [
        [list(row.items()) for row in without_times(read_rows(tmp_path / run / "training_log.jsonl"))]
        for run in ("killed", "whole")
    ]
    assert lines[0] == lines[1]  # with the order of their keys
    assert len(lines[0]) == 4 + 2 + 1


def test_a_loss_that_is_no_number_is_null(tmp_path, make_trainer):
    class Bad(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):
            state.log_history[-1]["loss"] = float("nan")

    trainer = make_trainer(tmp_path)
    trainer.remove_callback(TrainingLog)
    trainer.add_callback(Bad())
    trainer.add_callback(TrainingLog())
    trainer.train()
    lines = (tmp_path / "training_log.jsonl").read_text().splitlines()
    assert "NaN" not in "".join(lines) and json.loads(lines[0])["loss"] is None


def test_a_log_that_cannot_be_written_does_not_end_the_run(tmp_path, make_trainer, caplog):
    (tmp_path / "training_log.jsonl").mkdir()
    trainer = make_trainer(tmp_path)
    assert trainer.train().global_step == 4
    assert caplog.text.count("training_log.jsonl") == 1


def info_of(folder: Path) -> dict:
    return json.loads((folder / "run_info.json").read_text())


def test_the_facts_of_a_run(tmp_path, make_trainer):
    trainer = make_trainer(tmp_path, gradient_accumulation_steps=2)
    facts = run_facts(trainer.model, trainer.args, mask_probability=0.15, length=16)
    trainer.add_callback(RunInfo(facts))
    trainer.train()
    info = info_of(tmp_path)
    assert (info["max_steps"], info["tokens_per_step"], info["rows_per_step"]) == (4, 2 * 4 * 16, 8)
    assert (info["objective"], info["model_type"], info["vocab_size"]) == ("rtd", "electra", 64)
    assert info["mask_probability"] == 0.15 and info["max_seq_length"] == 16
    counts = [sum(p.numel() for p in part.parameters()) for part in (trainer.model.main, trainer.model.generator)]
    assert [info["parameters"], info["generator_parameters"]] == counts
    assert info["versions"]["transformers"] and info["hardware"] == describe_hardware(trainer.args.device)
    assert info["resumed"] == []

    again = make_trainer(tmp_path, max_steps=6, gradient_accumulation_steps=2)
    again.add_callback(RunInfo(facts))
    again.train(resume_from_checkpoint=True)
    resumed = info_of(tmp_path)
    assert resumed["started"] == info["started"] and resumed["max_steps"] == 6
    assert [row["step"] for row in resumed["resumed"]] == [4]
