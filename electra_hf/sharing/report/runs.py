"""The folder of a run as the page needs it: what was logged, what is known about it, and how it stands.

Nothing is asked of a folder but that it holds something: a run that has just begun has a `run_info.json`, one of an
older version has none; a fine-tuned model has scores and no log.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from electra_hf.bands import Band, healthy_bands
from electra_hf.errors import CheckpointError, UsageError, explain_os_error
from electra_hf.sharing.demo.records import JudgedText
from electra_hf.sharing.logs import (
    LOG_FILE,
    STATE_FILE,
    TEXTS_FILE,
    load_log_history,
    load_text_samples,
    read_json,
    state_file,
)

INFO_FILE, SETTINGS_FILE, SCORES_FILE = "run_info.json", "pretraining_config.yaml", "eval_results.json"
# What is written while a run goes on, and at its end; `signature` looks at these.
_FILES = (LOG_FILE, TEXTS_FILE, INFO_FILE, SETTINGS_FILE, STATE_FILE, "config.json", SCORES_FILE, "all_results.json")
# Without a word for this many logging intervals, and for at least so many seconds, a run seems stuck.
_SILENT_INTERVALS, _SILENT_SECONDS = 5, 120
_UNKNOWN_INTERVAL = 600


@dataclass(frozen=True)
class Status:
    """How a run stands.

    Attributes:
        state: `waiting`, `running`, `silent` or `finished`.
        words: The same for people, with times.
        progress: Share of the steps that are done; None if the number of steps is unknown.
    """

    state: str
    words: str
    progress: float | None = None


@dataclass(frozen=True)
class Run:
    """What the folder of a run holds; a part that is not there is empty.

    Attributes:
        name: For people.
        folder: Of the run.
        rows: Of the log, as `load_log_history` returns them.
        observations: Of the corrupted texts, as `load_text_samples` returns them.
        info: Of `run_info.json`.
        settings: Of `pretraining_config.yaml`.
        config: Of the model's `config.json`.
        generator: Of `generator/config.json`.
        objective: Of `objective.json`.
        results: Of `all_results.json`: of the training and of the last evaluation.
        scores: Of a fine-tuned model: `eval_results.json` of each task.
    """

    name: str
    folder: Path
    rows: Sequence[dict[str, Any]] = ()
    observations: Sequence[tuple[int, list[JudgedText]]] = ()
    info: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    generator: dict[str, Any] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    scores: Sequence[dict[str, Any]] = ()

    @cached_property
    def step(self) -> int:
        """The newest one that was logged."""
        return max((row["step"] for row in self.rows if is_finite(row.get("step"))), default=0)

    @property
    def max_steps(self) -> int | None:
        """Steps that the run is to take."""
        return positive(self.info.get("max_steps")) or positive(self.settings.get("max_steps"))

    @property
    def tokens_per_step(self) -> float | None:
        """Tokens of an optimiser step; None for a run that did not write it down."""
        return positive(self.info.get("tokens_per_step"))

    @cached_property
    def bands(self) -> dict[str, Band]:
        """What is known of each metric, for the recipe of this run as far as it was written down."""
        settings = {**self.settings, **self.objective, **self.info}
        weights = settings.get("loss_weights")
        weight = weights.get("rtd_loss") if isinstance(weights, dict) else settings.get("discriminator_weight")
        return healthy_bands(
            objective=str(settings.get("objective") or "rtd"),
            vocab_size=positive(settings.get("vocab_size")) or positive(self.config.get("vocab_size")),
            mask_probability=positive(settings.get("mask_probability") or settings.get("mlm_probability")) or 0.15,
            generator_hidden_size=positive(settings.get("generator_hidden_size") or self.generator.get("hidden_size")),
            discriminator_weight=positive(weight) or 50.0,
        )

    @cached_property
    def training_row(self) -> dict[str, Any]:
        """The newest row of the training itself."""
        return next((row for row in reversed(self.rows) if "loss" in row), {})

    @cached_property
    def evaluation_row(self) -> dict[str, Any]:
        """The newest evaluation; from the results where the log has none."""
        logged = next((row for row in reversed(self.rows) if any(key.startswith("eval_") for key in row)), None)
        return logged or {key: value for key, value in self.results.items() if key.startswith("eval_")}

    @property
    def seconds(self) -> float | None:
        """What the training took, in seconds; None before its end."""
        ends = [row["train_runtime"] for row in self.rows if is_finite(row.get("train_runtime"))]
        return ends[-1] if ends else positive(self.results.get("train_runtime"))

    @property
    def flops(self) -> float | None:
        """Of the training, as far as it is logged; None if unknown."""
        logged = [row["total_flos"] for row in self.rows if positive(row.get("total_flos"))]
        return logged[-1] if logged else positive(self.results.get("total_flos"))

    def is_empty(self) -> bool:
        """Whether there is nothing to show yet."""
        return not (self.rows or self.observations or self.scores)

    def status(self, now: float | None = None) -> Status:
        """How the run stands at a time, in seconds since 1970; by default now."""
        return _status(self, time.time() if now is None else now)


def is_finite(value: object) -> TypeGuard[int | float]:
    """Whether a value from a file is a number that can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def positive(value: object) -> Any:
    """The value if it is a number above 0, and else None."""
    return value if is_finite(value) and value > 0 else None


def read_run(folder: Path, name: str | None = None) -> Run:
    """Read what is there of a run, also of one that has not begun.

    Raises:
        CheckpointError: If a file of it is damaged; the message names it, and the line.
    """
    has_log = (folder / LOG_FILE).is_file() or state_file(folder) is not None
    return Run(
        name=name or folder.resolve().name,
        folder=folder,
        rows=load_log_history(folder) if has_log else (),
        observations=load_text_samples(folder),
        info=read_json(folder / INFO_FILE),
        settings=_read_yaml(folder / SETTINGS_FILE),
        config=read_json(folder / "config.json"),
        generator=read_json(folder / "generator" / "config.json"),
        objective=read_json(folder / "objective.json"),
        results=read_json(folder / "all_results.json"),
        scores=_read_scores(folder),
    )


def find_runs(folders: Sequence[Path], names: Sequence[str] = ()) -> list[Run]:
    """Read runs for a report; the output folder of a study stands for all the runs in it.

    Args:
        folders: Of runs of `run_pretraining.py`, `run_glue.py` or `run_ner.py`, or of studies.
        names: For people, one for each run; by default those of the folders.

    Raises:
        UsageError: If a folder is missing or given twice, or if there is not one name for each run.
        CheckpointError: If a folder holds no run.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder. Give the output folder of a run")
        found += _runs_of_a_study(folder) or [folder]
    places = [folder.resolve() for folder in found]
    for number, folder in enumerate(found):
        if places[number] in places[:number]:
            raise UsageError(f"{folder}: given twice. Give each run once")
    if names and len(names) != len(found):
        raise UsageError(f"--names: {len(names)} given for {len(found)} runs. Give one for each")
    if len(set(names)) < len(names):
        raise UsageError(f"--names {' '.join(names)}: two are the same. Give each run a name of its own")
    runs = [read_run(folder, name) for folder, name in zip(found, names or _short_names(places), strict=True)]
    for run in runs:
        if run.is_empty():
            raise CheckpointError(
                f"{run.folder}: neither a log of a pre-training ({LOG_FILE}, {STATE_FILE}) nor scores of a "
                f"fine-tuning ({SCORES_FILE}) in it. Give the output folder of a run that has logged something"
            )
    return runs


def _runs_of_a_study(folder: Path) -> list[Path]:
    """Pre-trained and fine-tuned runs in the folder of a study; none if it is none."""
    pretrained = [path.parent for path in sorted(folder.glob(f"pretraining/*/{SETTINGS_FILE}"))]
    logged = [path for path in pretrained if (path / LOG_FILE).is_file() or state_file(path)]
    return [*logged, *(path for path in sorted(folder.glob("finetuning/*")) if _score_files(path))]


def _short_names(places: Sequence[Path]) -> list[str]:
    """The ends of the paths, as long as it takes to tell them apart.

    >>> _short_names([Path("/a/small/seed-1"), Path("/a/base/seed-1")])
    ['small/seed-1', 'base/seed-1']
    """
    for length in range(1, max(len(place.parts) for place in places) + 1):
        names = ["/".join(place.parts[-length:]) for place in places]
        if len(set(names)) == len(names):
            break
    return names


def signature(folders: Iterable[Path]) -> str:
    """A text that changes when a run has written something."""
    parts = []
    for folder in folders:
        files = [folder / name for name in _FILES] + [file for file in [state_file(folder)] if file is not None]
        for file in files:
            if file.is_file():
                status = file.stat()
                parts.append(f"{file.parent.name}/{file.name}:{status.st_size}:{status.st_mtime_ns}")
    return " ".join(parts)


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CheckpointError(explain_os_error(error, file)) from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise CheckpointError(f"{file}: not YAML ({error}). Take it from a backup, or move it away") from error
    return content if isinstance(content, dict) else {}


def _score_files(folder: Path) -> list[Path]:
    own = folder / SCORES_FILE
    return [own] if own.is_file() else sorted(folder.glob(f"*/{SCORES_FILE}"))


def _read_scores(folder: Path) -> list[dict[str, Any]]:
    """Of the tasks of a fine-tuned model: of the folder itself, or of its subfolders."""
    contents = []
    for file in _score_files(folder):
        content = read_json(file)
        if "task_name" not in content:
            continue
        spreads = [value for value in content.values() if isinstance(value, dict) and "values" in value]
        for spread in spreads:
            numbers = spread["values"]
            known = ("median", "mean", "std", "best", "low", "high")
            if not isinstance(numbers, list) or any(
                value is not None and not is_finite(value)
                for value in [*numbers, *(spread.get(name, "missing") for name in known)]
            ):
                raise CheckpointError(f"{file}: not results over seeds ({spread}). Evaluate that run again")
        contents.append(content)
    return contents


def _status(run: Run, now: float) -> Status:
    if run.is_empty():
        missing = "" if run.folder.is_dir() else " (there is no such folder yet)"
        return Status("waiting", f"Waiting: nothing has been logged in {run.folder}{missing}.")
    if run.scores and not run.rows:
        return Status("finished", "Fine-tuned.")
    progress = min(1.0, run.step / run.max_steps) if run.max_steps else None
    of = f" of {run.max_steps:,}" if run.max_steps else ""
    place = f"step {run.step:,}{of}"
    written = max((run.folder / name).stat().st_mtime for name in _FILES if (run.folder / name).is_file())
    age = max(0.0, now - written)
    if _is_finished(run):
        took = f" in {format_seconds(run.seconds)}" if run.seconds else ""
        return Status("finished", f"Finished: {place}{took}.", 1.0)
    ago = f"last wrote {format_seconds(age)} ago"
    if age > _silence_allowed(run):
        return Status("silent", f"Seems stuck or stopped at {place}: {ago}.", progress)
    left = run.training_row.get("remaining_seconds")
    remaining = f", about {format_seconds(max(0.0, left - age))} left" if is_finite(left) else ""
    return Status("running", f"Running: {place}{remaining}; {ago}.", progress)


def _is_finished(run: Run) -> bool:
    """Whether the state in the folder itself, written at the end, is of this run and not of an earlier one."""
    state, info = run.folder / STATE_FILE, run.folder / INFO_FILE
    return state.is_file() and (not info.is_file() or state.stat().st_mtime >= info.stat().st_mtime)


def _silence_allowed(run: Run) -> float:
    """Seconds: some logging intervals and an evaluation, by what the log says of both."""
    interval = _UNKNOWN_INTERVAL / _SILENT_INTERVALS
    logged = [row for row in run.rows if "loss" in row and is_finite(row.get("step"))]
    left, to_go = run.training_row.get("remaining_seconds"), (run.max_steps or 0) - run.step
    if len(logged) > 1 and is_finite(left) and to_go > 0:
        interval = left / to_go * (logged[-1]["step"] - logged[-2]["step"])
    evaluation = run.evaluation_row.get("eval_runtime")
    return max(_SILENT_SECONDS, _SILENT_INTERVALS * interval) + (2 * evaluation if is_finite(evaluation) else 0)


def format_seconds(seconds: float) -> str:
    """A duration for people: the two largest units.

    >>> format_seconds(42.4), format_seconds(150), format_seconds(93_600)
    ('42 s', '2 min 30 s', '1 d 2 h')
    """
    rest = round(seconds)
    parts = []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        amount, rest = divmod(rest, size)
        if amount:
            parts.append(f"{amount} {name}")
    return " ".join(parts[:2]) or "0 s"
