"""Search for the recipe of a task on its validation split."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from electra_hf.errors import UsageError
from electra_hf.finetuning.identity import inward_options, is_outward
from electra_hf.finetuning.metrics import LOWER_IS_BETTER
from electra_hf.finetuning.recipe import encoder_size
from electra_hf.finetuning.task_run import TaskRun
from electra_hf.training.search import (
    FINETUNING_SPACES,
    Parameter,
    ReportToTrial,
    SearchArguments,
    SearchResult,
    read_space,
    score_of,
    search,
)


def tune(
    run: TaskRun,
    search_args: SearchArguments,
    folder: Path,
    settings: Mapping[str, Any],
    identity: Mapping[str, Any],
    report: Callable[[SearchResult], None] | None = None,
) -> SearchResult:
    """Train with one seed for each trial, and make the best trial's values those of `run`.

    Args:
        run: The task and the recipe as it was given, which is tried first if the space holds it.
        search_args: How to search.
        folder: Of the study and the trials.
        settings: The options that were given.
        identity: What decides the outcome of a seed: a study under other ones is refused.
        report: Called after each trial.

    Raises:
        UsageError: If there is no validation split, nothing is trained, or the space has an unknown option.
        TrainingError: If no trial succeeded.
    """
    check_search(run, search_args)
    space = _space(run, search_args)
    metric = search_args.hpo_metric or f"eval_{run.selection_metric}"
    split = cast(str, run.selection_split)

    def objective(values: dict[str, Any], trial: Any) -> float:
        args = run.args.changed(**values)
        place = folder / "hpo" / f"trial-{trial.number}"
        result, _ = run.run_seed(args.seed, place, args=args, predict=False, callbacks=[ReportToTrial(trial, metric)])
        return score_of({f"eval_{name}": value for name, value in result.metrics[split].items()}, metric)

    start = {parameter.name: getattr(run.args, parameter.name) for parameter in space}
    seed = {"seed": run.args.seed}
    task_name = {"task_name": run.data.task.name} if "task_name" in settings else {}
    found = search(
        objective,
        space,
        search_args,
        folder,
        metric=metric,
        direction="minimize" if metric.removeprefix("eval_") in LOWER_IS_BETTER else "maximize",
        fixed={**inward_options(settings), **task_name, **seed},
        identity={**identity, **seed},
        name=f"electra_hf {run.data.task.name}",
        start=start,
        report=report,
    )
    if found.best is not None:
        run.args = run.args.changed(**found.best.values)
    return found


def check_search(run: TaskRun, search_args: SearchArguments) -> None:
    """Refuse a search that has nothing to judge by, or whose space cannot be used.

    Raises:
        UsageError: Naming the option.
    """
    if not run.args.do_train or not run.args.do_eval or run.selection_split is None:
        raise UsageError(
            "--hpo needs training examples and a labelled validation split to judge by: leave out --no_do_train and "
            "--no_do_eval"
        )
    _space(run, search_args)


def searched_options(run: TaskRun, search_args: SearchArguments) -> list[str]:
    """The settings of an outcome that a search decides; none without a search."""
    if search_args.hpo == "none":
        return []
    return [*(parameter.name for parameter in _space(run, search_args)), "examples_per_step"]


def _space(run: TaskRun, search_args: SearchArguments) -> tuple[Parameter, ...]:
    options = [field.name for field in dataclasses.fields(run.args) if field.init]
    refused = dict.fromkeys((*filter(is_outward, options), "metric"), "it does not change what is trained")
    refused["do_train"] = "a trial is a training"
    space = read_space(search_args.hpo_space or FINETUNING_SPACES[encoder_size(run.config)], options, refused)
    for parameter in space:
        for value in parameter.choices or (parameter.low, parameter.high):
            try:
                run.check_recipe(run.args.changed(**{parameter.name: value}))
            except UsageError as error:
                raise UsageError(f"the search space: {error}") from error
    return space
