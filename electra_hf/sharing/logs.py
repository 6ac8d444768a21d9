"""What a run has logged so far, read while it goes on or long after.

A run appends to `training_log.jsonl` and `text_samples.jsonl`, one JSON object on each line, so that a reader may come
at any time; the last line may then be half written. The Trainer keeps the same rows in `trainer_state.json`, which
older runs have alone, and which is in every checkpoint.
"""

import json
from pathlib import Path
from types import NoneType
from typing import Any

from electra_hf.errors import CheckpointError, explain_os_error
from electra_hf.sharing.demo.records import JudgedText, TokenRecord

STATE_FILE, LOG_FILE, TEXTS_FILE = "trainer_state.json", "training_log.jsonl", "text_samples.jsonl"
# Of one token in TEXTS_FILE, in the order of TokenRecord's fields; no suspicion where none was learnt.
_TOKEN = (str, str, bool, (int, float, NoneType), bool)


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no such file.

    Raises:
        CheckpointError: If the file cannot be read, or holds anything else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CheckpointError(explain_os_error(error, file)) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not JSON ({error}). Take it from a backup, or move it away") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: holds no JSON object. Take it from a backup, or move it away")
    return content


def read_json_lines(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects in a file of one JSON object a line, with the numbers of their lines.

    Empty lines are passed over, and so is the last line while it is being written: one that does not end.

    Raises:
        CheckpointError: If the file cannot be read, or a line is no JSON object; it names file and line.
    """
    try:
        *lines, unfinished = file.read_bytes().split(b"\n")
    except OSError as error:
        raise CheckpointError(explain_os_error(error, file)) from error
    rows = []
    for number, line in enumerate([*lines, unfinished], start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number > len(lines):
                break
            raise CheckpointError(
                f"{file}:{number}: not JSON ({error}). Remove the line, or what is damaged from it to the end"
            ) from error
        if not isinstance(row, dict):
            raise CheckpointError(f"{file}:{number}: no JSON object, but {type(row).__name__}. Remove the line")
        rows.append((number, row))
    return rows


def load_log_history(run_folder: str | Path) -> list[dict[str, Any]]:
    """Read what a run logged, finished or not.

    Args:
        run_folder: The output folder of the run, or one of its checkpoints.

    Returns:
        The rows of `training_log.jsonl`, which is the newest there is; without it those of `log_history` in the
        folder's own `trainer_state.json`, or else in that of its newest checkpoint.

    Raises:
        CheckpointError: If there is no such file, or if it is not what a Trainer writes.
    """
    folder = Path(run_folder)
    if (folder / LOG_FILE).is_file():
        return [row for _, row in read_json_lines(folder / LOG_FILE)]
    file = state_file(folder)
    if file is None:
        raise CheckpointError(
            f"{folder}: no {LOG_FILE} and no {STATE_FILE} in it, nor in a checkpoint-N folder of it. "
            "Give the output folder of a pre-training run"
        )
    try:
        history = json.loads(file.read_text(encoding="utf-8"))["log_history"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{file}: not the state file of a Trainer ({error}). Take an older checkpoint of the same run"
        ) from error
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise CheckpointError(f"{file}: log_history is no list of rows. Take an older checkpoint of the same run")
    return history


def state_file(folder: Path) -> Path | None:
    """The newest `trainer_state.json` of a run: its own, or else that of the newest checkpoint; None without one."""
    numbered = [(path, path.name.removeprefix("checkpoint-")) for path in folder.glob("checkpoint-*")]
    checkpoints = sorted((int(number), path) for path, number in numbered if number.isdecimal())
    candidates = [folder, *(path for _, path in reversed(checkpoints))]
    return next((path / STATE_FILE for path in candidates if (path / STATE_FILE).is_file()), None)


def load_text_samples(run_folder: str | Path) -> list[tuple[int, list[JudgedText]]]:
    """Read the corrupted texts of a run, as its discriminator saw them at several times.

    Returns:
        For each observation the step and the texts; empty for a run that wrote none.

    Raises:
        CheckpointError: If a line is not an observation; it names file and line.
    """
    file = Path(run_folder) / TEXTS_FILE
    if not file.is_file():
        return []
    return [_observation(row, f"{file}:{number}") for number, row in read_json_lines(file)]


def _observation(row: dict[str, Any], place: str) -> tuple[int, list[JudgedText]]:
    step, texts = row.get("step"), row.get("texts")
    if not isinstance(step, int) or isinstance(step, bool) or not isinstance(texts, list):
        raise CheckpointError(f'{place}: not {{"step": number, "texts": [...]}}. Remove the line')
    for text in texts:
        for token in text if isinstance(text, list) else [text]:
            if not isinstance(token, list) or len(token) != len(_TOKEN) or not all(map(_is_a, token, _TOKEN)):
                raise CheckpointError(
                    f"{place}: {json.dumps(token)[:80]} is not [piece, original, replaced, suspicion, gap]. "
                    "Remove the line"
                )
    return step, [_judged_text(text) for text in texts]


def _judged_text(tokens: list[list[Any]]) -> JudgedText:
    records = [TokenRecord(token[0], token[1], token[2], token[3] or 0.0, token[4]) for token in tokens]
    return JudgedText(records, [token[3] is not None for token in tokens], cut=0)


def _is_a(value: object, kind: type | tuple[type, ...]) -> bool:
    """As isinstance, but truth values are no numbers."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
