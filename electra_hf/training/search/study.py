"""The study that a search keeps in a database: opened or refused, its trials, and the best of them.

A study belongs to one metric, one space and one set of other options. Trials that a killed process left behind are
told apart by their owner (machine and folder): who holds the lock of the folder may take them for dead.
"""

import contextlib
import importlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from electra_hf.corpora.storage import publish
from electra_hf.errors import UsageError
from electra_hf.parser import without_password
from electra_hf.training.search.arguments import SearchArguments
from electra_hf.training.search.space import Value

logger = logging.getLogger(__name__)

BEST_NAME = "best_parameters.yaml"
STORAGE_NAME = "hpo.db"
# Options of a run that change how it reports, not what it finds.
_OUTWARD = (
    "disable_tqdm",
    "report_to",
    "run_name",
    "log_level",
    "logging_steps",
    "dataloader_num_workers",
    "overwrite_cache",
    "max_train_minutes",
    "hang_timeout",
)
# Attributes of a trial, and of the study for each interrupted one: a trial that has ended takes no more attributes.
OWNER, REASON, REPEATS, INTERRUPTED = "owner", "reason", "repeats", "interrupted-{}"


@dataclass(frozen=True)
class TrialRecord:
    """One trial, for tables and pictures.

    Attributes:
        number: Its number in the study, from 0.
        state: `complete`, `pruned`, `failed` (diverged, or out of memory) or `running` (in another process).
        score: The objective's value; None unless complete.
        seconds: How long it took.
        values: Option to value.
        reason: Why it failed, or of which trial it is a repetition.
    """

    number: int
    state: str
    score: float | None
    seconds: float
    values: dict[str, Value]
    reason: str = ""


@dataclass(frozen=True)
class SearchResult:
    """A study so far: its trials in their order, without those that were interrupted, and the best one."""

    trials: tuple[TrialRecord, ...]
    best: TrialRecord | None
    metric: str
    direction: str


def import_optuna() -> Any:
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise UsageError('--hpo optuna needs Optuna: pip install "electra_hf[search]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / ".hpo.lock", timeout=0):
            yield
    except Timeout as error:
        raise UsageError(
            f"another process searches in {folder}: wait for it, or give this one an --output_dir of its own and the "
            "same --hpo_storage"
        ) from error


@contextlib.contextmanager
def explained_storage_errors(arguments: SearchArguments) -> Iterator[None]:
    exceptions = importlib.import_module("sqlalchemy.exc")
    storage_error = importlib.import_module("optuna.exceptions").StorageInternalError
    place = "--hpo_storage" if arguments.hpo_storage else f"{STORAGE_NAME} in --output_dir"
    try:
        yield
    except (exceptions.SQLAlchemyError, storage_error) as error:
        cause = error.__cause__ if isinstance(error, storage_error) and error.__cause__ else error
        reason = str(getattr(cause, "orig", None) or cause).splitlines()[0]
        raise UsageError(
            f"the database of the search ({place}) cannot be used: {reason}. Check that it can be written and is no "
            "other program's, or remove it to start afresh"
        ) from error


def open_study(optuna: Any, arguments: SearchArguments, folder: Path, description: dict[str, Any], name: str) -> Any:
    study = optuna.create_study(
        storage=_storage_url(arguments.hpo_storage, folder),
        study_name=name,
        direction=description["direction"],
        pruner=optuna.pruners.MedianPruner() if arguments.hpo_pruner == "median" else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    text = json.dumps(description, sort_keys=True, default=str)
    known = study.user_attrs.get("description")
    if known is None:
        study.set_user_attr("description", text)
        return study
    before, now = json.loads(known), json.loads(text)
    differences = [part for part in ("metric", "direction", "space") if before[part] != now[part]]
    names = (before["options"].keys() | now["options"].keys()) - set(_OUTWARD)
    differences += sorted(each for each in names if before["options"].get(each) != now["options"].get(each))
    if differences:
        place = without_password(arguments.hpo_storage or str(folder / STORAGE_NAME))
        raise UsageError(
            f"the search in {place} was begun with another {', '.join(differences)}: give the same as then to go on, "
            "or another --output_dir"
        )
    return study


def _storage_url(storage: str | None, folder: Path) -> str:
    text = os.path.expandvars(storage or str(folder / STORAGE_NAME))
    if "://" in text:
        return text
    path = Path(text).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Made by the library, so that a question mark in a folder's name is no query.
    url = importlib.import_module("sqlalchemy.engine").URL.create("sqlite", database=str(path.resolve()))
    return url.render_as_string(hide_password=False)


def portable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as plain values, without those of the search and of the place."""
    return {
        name: value.value if isinstance(value, Enum) else value
        for name, value in sorted(options.items())
        if not name.startswith("hpo") and name != "output_dir"
    }


def give_up_interrupted(optuna: Any, study: Any, owner: str) -> None:
    """Trials of this folder that still run were killed, since nobody else holds its lock."""
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        if trial.user_attrs.get(OWNER) == owner:
            study.set_user_attr(INTERRUPTED.format(trial.number), True)
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            logger.info("Trial %d was interrupted and is repeated.", trial.number)


def counted(study: Any) -> list[Any]:
    """The study's trials, also those that run elsewhere, without interrupted ones."""
    interrupted = study.user_attrs
    trials = study.get_trials(deepcopy=False)
    return [t for t in trials if t.state.name != "WAITING" and INTERRUPTED.format(t.number) not in interrupted]


def summarize(study: Any, metric: str, direction: str) -> SearchResult:
    names = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}
    records = []
    for trial in counted(study):
        twin = trial.user_attrs.get(REPEATS)
        records.append(
            TrialRecord(
                number=trial.number,
                state=names[trial.state.name],
                score=trial.value if trial.state.name == "COMPLETE" else None,
                seconds=trial.duration.total_seconds() if trial.duration else 0.0,
                values=dict(trial.params),
                reason=trial.user_attrs.get(REASON, "") if twin is None else f"as trial {twin}",
            )
        )
    sign = 1 if direction == "maximize" else -1
    # Of equal scores the first, which is the recipe itself if it was tried.
    complete = [record for record in records if record.score is not None]
    best = max(complete, key=lambda record: (sign * (record.score or 0.0), -record.number), default=None)
    return SearchResult(tuple(records), best, metric, direction)


def write_best(path: Path, best: TrialRecord, fixed: Mapping[str, Any], metric: str) -> None:
    header = f"# Trial {best.number}, the best one: {metric} {best.score:.6g} on validation data.\n"
    content = yaml.safe_dump({**fixed, **best.values}, sort_keys=True, allow_unicode=True)
    publish(path, (header + content).encode())
