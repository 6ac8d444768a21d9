"""Search for the recipe of a task on its validation split."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from electra_hf.errors import UsageError
from electra_hf.finetuning.arguments import FinetuningArguments
from electra_hf.finetuning.recipe import encoder_size
from electra_hf.finetuning.sequence_classification import SequenceClassification
from electra_hf.training.search import (
    FINETUNING_SPACES,
    ReportToTrial,
    SearchArguments,
    SearchResult,
    read_space,
    score_of,
    search,
)


def tune(
    run: SequenceClassification,
    search_args: SearchArguments,
    folder: Path,
    settings: Mapping[str, Any],
    report: Callable[[SearchResult], None] | None = None,
) -> SearchResult:
    """Train with one seed for each trial, and make the best trial's values those of `run`.

    Args:
        run: The task and the recipe as it was given, which is tried first if the space holds it.
        search_args: How to search.
        folder: Of the study and the trials.
        settings: The options that were given, apart from where and how the run reports.
        report: Called after each trial.

    Raises:
        UsageError: If there is no validation split, nothing is trained, or the space has an unknown option.
        TrainingError: If no trial succeeded.
    """
    if not run.args.do_train or run.selection_split is None:
        raise UsageError("--hpo needs training examples and a labelled validation split to judge by")
    options = [field.name for field in dataclasses.fields(FinetuningArguments) if field.init]
    space = read_space(search_args.hpo_space or FINETUNING_SPACES[encoder_size(run.config)], options)
    metric = search_args.hpo_metric or f"eval_{run.selection_metric}"
    split = run.selection_split

    def objective(values: dict[str, Any], trial: Any) -> float:
        args = run.args.changed(**values)
        place = folder / "hpo" / f"trial-{trial.number}"
        result, _ = run.run_seed(args.seed, place, args=args, predict=False, callbacks=[ReportToTrial(trial, metric)])
        return score_of({f"eval_{name}": value for name, value in result.metrics[split].items()}, metric)

    start = {parameter.name: getattr(run.args, parameter.name) for parameter in space}
    found = search(objective, space, search_args, folder, metric=metric, fixed=settings, start=start, report=report)
    if found.best is not None:
        run.args = run.args.changed(**found.best.values)
    return found
