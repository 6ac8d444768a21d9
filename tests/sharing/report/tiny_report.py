"""Rows and files as the scripts write them."""

import json
import math
from pathlib import Path
from typing import Any

HOSTILE = '</script><img src=x onerror="document.title=1">'
INFO = {
    "max_steps": 100,
    "tokens_per_step": 2048,
    "parameters": 1_234_567,
    "generator_parameters": 123_456,
    "objective": "rtd",
    "model_type": "electra",
    "vocab_size": 8192,
    "mask_probability": 0.15,
    "max_seq_length": 64,
    "hardware": "2 CPU threads",
    "started": "2026-01-02T03:04:05+00:00",
    "versions": {"torch": "2.13.0"},
}


def log_rows(steps: range, *, rate: float = 1e-3) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step in steps:
        loss = 40 * math.exp(-step / 30) + 9
        rows.append(
            {
                "step": step, "loss": loss, "generator_loss": loss / 5, "rtd_loss": 0.3, "rtd_auc": 0.8,
                "rtd_precision": 0.6, "rtd_recall": 0.3, "generator_accuracy": 0.2, "replaced_fraction": 0.12,
                "learning_rate": rate, "grad_norm": 2.0, "tokens_per_second": 5000.0,
                "remaining_seconds": 100.0 - step,
            }
        )  # fmt: skip
        if step % 20 == 0:
            rows.append({"step": step, "eval_loss": loss + 0.5, "eval_rtd_auc": 0.79, "eval_runtime": 1.0})
    return rows


def observation(step: int, suspicion: float, word: str = "dog") -> dict[str, Any]:
    tokens = [
        ["the", "the", False, 0.1, False],
        [word, "cat", True, suspicion, True],
        ["sat", "sat", False, 0.6, True],
    ]
    return {"step": step, "texts": [tokens]}


def write_lines(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
