"""Search for hyper-parameters with Optuna: a function of options and a space of them, whatever it is that is trained.

    result = search(lambda values, trial: train(args.changed(**values)), space, search_args, output_dir, metric=...)

Each trial trains through the Trainer, which reports its evaluations by `ReportToTrial`. The study is kept by Optuna
directly, and not by `Trainer.hyperparameter_search` (transformers 5.23). That one changes one `TrainingArguments` in
place, without what the script derives from it; its `n_trials` counts new trials, so that a study that is taken up
again does not end at the number that was asked for; a trial that diverges ends the study, one that was killed stays
`RUNNING` for ever, and a seeded sampler draws its first values once more.

A study is a function of the seed and its results: the sampler is seeded anew for each trial, so that an interrupted
search goes on to the trials that it would have had. Selection is the objective's business: it must score on validation
data and never on test data, and `score_of` refuses the latter.
"""

import gc
import logging
import math
import os
import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from electra_hf.errors import TrainingError, UsageError
from electra_hf.training.progress import format_seconds
from electra_hf.training.search import study as studies
from electra_hf.training.search.arguments import SearchArguments
from electra_hf.training.search.space import Parameter, Value, combinations

logger = logging.getLogger(__name__)

Objective = Callable[[dict[str, Value], Any], float]


def search(
    objective: Objective,
    space: Sequence[Parameter],
    arguments: SearchArguments,
    output_dir: str | Path,
    *,
    metric: str,
    direction: str | None = None,
    fixed: Mapping[str, Any] | None = None,
    identity: Mapping[str, Any] | None = None,
    name: str = "electra_hf",
    start: Mapping[str, Value] | None = None,
    report: Callable[[studies.SearchResult], None] | None = None,
) -> studies.SearchResult:
    """Try values of the space until there are `hpo_trials` trials, or all combinations have been tried.

    Values that were tried before are not trained again. A trial that raises `TrainingError`, runs out of the device's
    memory or scores NaN counts as failed, and the search goes on; any other error ends it, and the trial will be
    repeated when the search is taken up again.

    Args:
        objective: Trains with these values of the options and returns the score on validation data; it also gets
            Optuna's trial, for `ReportToTrial` and for the number of the trial's folder.
        space: What `read_space` returned.
        arguments: How to search.
        output_dir: Folder of `hpo.db` and `best_parameters.yaml`.
        metric: Name of the score, unless --hpo_metric gives another one.
        direction: `maximize` or `minimize`; by default as --hpo_direction says, or by the metric's name.
        fixed: The other options of the run. They are written beside the best values, so that --config repeats the best
            trial.
        identity: JSON values that decide a trial's score besides what is searched: options, data. A study under other
            ones is refused. Default: `fixed`.
        name: Of the study in its database, which may hold several.
        start: Values of the recipe as it is. They are tried first if the space holds them.
        report: Called after each trial, to write tables and pictures.

    Returns:
        All trials of the study, also those of earlier calls.

    Raises:
        UsageError: If Optuna is not installed, the database cannot be used, holds another search, or another process
            searches in `output_dir`; or if training runs in several processes.
        TrainingError: If no trial succeeded.
    """
    optuna = studies.import_optuna()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "--hpo runs in one process: start it without a launcher, or start one search for each device, with "
            "--output_dir of their own and one --hpo_storage"
        )
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    metric = arguments.hpo_metric or metric
    direction = arguments.hpo_direction or direction or default_direction(metric)
    owner = f"{socket.gethostname()}:{folder.resolve()}"
    deadline = math.inf if arguments.hpo_timeout is None else time.monotonic() + 60 * arguments.hpo_timeout
    identity = studies.portable(fixed or {} if identity is None else identity)
    fixed = studies.portable(fixed or {})
    description = {
        "metric": metric,
        "direction": direction,
        "space": {parameter.name: parameter.describe() for parameter in space},
        "options": identity,
    }
    with studies.alone(folder), studies.explained_storage_errors(arguments):
        study = studies.open_study(optuna, arguments, folder, description, name)
        studies.give_up_interrupted(optuna, study, owner)
        grid = combinations(space, arguments.hpo_trials)
        while True:
            result = studies.summarize(study, metric, direction)
            if result.best is not None:
                studies.write_best(folder / studies.BEST_NAME, result.best, fixed, metric)
            if report is not None and result.trials:
                report(result)
            trials = studies.counted(study)
            if len(trials) >= arguments.hpo_trials:
                break
            if time.monotonic() > deadline:
                logger.info("The search ends after --hpo_timeout, with %d trials.", len(trials))
                break
            study.sampler = _sampler(optuna, arguments.hpo_seed, len(trials))
            proposal = _proposal(trials, space, grid, start, arguments.hpo_seed)
            if proposal is None and grid is not None:
                logger.info("All %d combinations of the search space have been tried.", len(grid))
                break
            if proposal is not None and not study.get_trials(False, states=(optuna.trial.TrialState.WAITING,)):
                study.enqueue_trial(proposal)
            trial = study.ask()
            trial.set_user_attr(studies.OWNER, owner)
            _run_trial(optuna, study, trial, {p.name: p.suggest(trial) for p in space}, objective, trials)
            _log_trial(studies.summarize(study, metric, direction), trial.number, arguments.hpo_trials)
    if result.trials and result.best is None and not any(trial.state == "running" for trial in result.trials):
        reasons = [trial.reason for trial in result.trials if trial.reason]
        raise TrainingError(
            f"none of {len(result.trials)} trials succeeded; the last one: {reasons[-1] if reasons else 'pruned'}. "
            "Search between smaller learning rates or batch sizes, in a new --output_dir"
        )
    return result


def default_direction(metric: str) -> str:
    """
    >>> default_direction("eval_loss"), default_direction("eval_accuracy")
    ('minimize', 'maximize')
    """
    return "minimize" if metric.endswith("loss") else "maximize"


def score_of(metrics: Mapping[str, Any], name: str) -> float:
    """A metric of an evaluation by its name, with or without `eval_`.

    Raises:
        UsageError: If there is no such metric, or it is one of test data.
    """
    if name.startswith("test"):
        raise UsageError(f"--hpo_metric {name}: test data are never used to select anything; choose another metric")
    for key in (name, f"eval_{name}"):
        if isinstance(metrics.get(key), int | float):
            return float(metrics[key])
    known = ", ".join(sorted(key for key, value in metrics.items() if isinstance(value, int | float)))
    raise UsageError(f"--hpo_metric {name}: the evaluation has no such metric; it has {known}")


class ReportToTrial(TrainerCallback):
    """Tells the trial each evaluation in training, and ends the training if the pruner gives it up.

    Args:
        trial: Optuna's trial.
        metric: What is reported, with or without `eval_`.
    """

    def __init__(self, trial: Any, metric: str):
        self.trial = trial
        self.metric = metric

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        # The evaluation after the last step is the score itself.
        if not metrics or state.global_step >= state.max_steps:
            return
        self.trial.report(score_of(metrics, self.metric), state.global_step)
        if self.trial.should_prune():
            raise studies.import_optuna().TrialPruned(f"below the median at step {state.global_step}")


def _sampler(optuna: Any, seed: int, position: int) -> Any:
    state = np.random.SeedSequence((seed, position)).generate_state(1)
    return optuna.samplers.TPESampler(seed=int(state[0]))


def _proposal(
    trials: Sequence[Any],
    space: Sequence[Parameter],
    grid: list[dict[str, Value]] | None,
    start: Mapping[str, Value] | None,
    seed: int,
) -> dict[str, Value] | None:
    """Values that do not come from the sampler: the recipe's own first, and all combinations if they are few."""
    own = {parameter.name: (start or {}).get(parameter.name) for parameter in space}
    inside = all(parameter.name in (start or {}) and parameter.holds(own[parameter.name]) for parameter in space)
    if not trials and inside:
        return own
    if grid is None:
        return None
    order = random.Random(seed).sample(grid, len(grid))
    return next((values for values in order if not any(trial.params == values for trial in trials)), None)


def _run_trial(
    optuna: Any, study: Any, trial: Any, values: dict[str, Value], objective: Objective, earlier: Sequence[Any]
) -> None:
    """Train, and tell the study what came of it."""
    states = optuna.trial.TrialState
    twin = next((t for t in earlier if t.params == values and t.state.is_finished()), None)
    if twin is not None:
        trial.set_user_attr(studies.REPEATS, twin.number)
        study.tell(trial, twin.value if twin.state == states.COMPLETE else None, state=twin.state)
        return
    score, state, reason = None, states.FAIL, ""
    try:
        score = float(objective(dict(values), trial))
        state = states.COMPLETE
        if not math.isfinite(score):
            score, state, reason = None, states.FAIL, f"the score is {score}"
    except optuna.TrialPruned as pruned:
        state, reason = states.PRUNED, str(pruned)
    except TrainingError as error:
        reason = str(error)
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
    except BaseException:
        study.set_user_attr(studies.INTERRUPTED.format(trial.number), True)
        study.tell(trial, state=states.FAIL)
        raise
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    if reason:
        trial.set_user_attr(studies.REASON, reason)
    study.tell(trial, score, state=state)


def _log_trial(result: studies.SearchResult, number: int, total: int) -> None:
    position, record = next((i, r) for i, r in enumerate(result.trials, 1) if r.number == number)
    values = ", ".join(f"{name} {format_value(value)}" for name, value in record.values.items())
    outcome = f"{result.metric} {record.score:.4f}" if record.score is not None else record.state
    best = f" (best: {result.best.score:.4f}, trial {result.best.number})" if result.best else ""
    reason = f": {record.reason}" if record.reason else ""
    logger.info(
        "Trial %d (%d of %d): %s in %s%s; %s%s",
        *(number, position, total, outcome, format_seconds(record.seconds), best, values, reason),
    )


def format_value(value: Value) -> str:
    """
    >>> format_value(0.00031415), format_value(3), format_value(None)
    ('0.0003142', '3', 'none')
    """
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
