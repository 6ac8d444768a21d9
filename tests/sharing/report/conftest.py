"""Folders of runs as the scripts leave them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_report import INFO, log_rows, observation, write_lines


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Makes the folder of a run in progress."""

    def make(
        name: str = "run", rows: list[dict[str, Any]] | None = None, *, info: dict[str, Any] | None = INFO
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        write_lines(folder / "training_log.jsonl", log_rows(range(0, 61, 10)) if rows is None else rows)
        write_lines(folder / "text_samples.jsonl", [observation(0, 0.5, "one"), observation(60, 0.95, "sixty")])
        if info is not None:
            (folder / "run_info.json").write_text(json.dumps(info), encoding="utf-8")
        (folder / "pretraining_config.yaml").write_text("corpus:\n- python-docs\n", encoding="utf-8")
        return folder

    return make


@pytest.fixture
def fine_tuned(tmp_path: Path) -> Path:
    """The folder of a fine-tuned model of one task, three seeds."""
    folder = tmp_path / "tuned"
    folder.mkdir()
    values = [0.8, 0.82, 0.87]
    spread = {"values": values, "median": 0.82, "mean": 0.83, "std": 0.036, "best": 0.87, "low": 0.74, "high": 0.92}
    content = {"task_name": "sst2", "model": "outputs/demo", "metrics": ["accuracy"], "eval_accuracy": spread}
    (folder / "eval_results.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
