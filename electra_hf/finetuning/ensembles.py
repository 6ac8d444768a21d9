"""Several seeds of one task as a single model: their mean probabilities or scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from electra_hf.finetuning.metrics import UserMetric, compute_metrics, decode, probabilities
from electra_hf.finetuning.results import SeedResult
from electra_hf.finetuning.statistics import bootstrap_interval
from electra_hf.finetuning.tasks.task import Kind, TaskData


def judge_together(
    data: TaskData,
    results: Sequence[SeedResult],
    split: str,
    user_metrics: Mapping[str, UserMetric] | None = None,
) -> dict[str, dict[str, Any]]:
    """What can be said of all seeds on a labelled split besides the statistics of their scores.

    Args:
        data: The task and its examples.
        results: One or more seeds.
        split: Which split.
        user_metrics: As they were given to `compute_metrics`.

    Returns:
        Of several seeds `ensemble`: metric to the score of their `ensemble_logits`. Of a single one `bootstrap`:
        metric to the ends of its 95 % interval over examples.
    """
    task, labels = data.task, data.splits[split]["label"][:]
    if len(results) > 1:
        together = ensemble_logits(results, split, task.kind)
        return {"ensemble": dict(compute_metrics(task, together, labels, user_metrics))}
    predictions = decode(results[0].outputs[split], task.kind, task.score_scale)
    intervals = {metric: bootstrap_interval(metric, predictions, np.asarray(labels)) for metric in task.metrics}
    return {"bootstrap": {metric: list(interval) for metric, interval in intervals.items()}}


def ensemble_logits(results: Sequence[SeedResult], split: str, kind: Kind) -> np.ndarray:
    """Outputs of the seeds together, for `metrics.decode`: (examples, outputs), float64.

    Classes: the logarithm of the mean probabilities; multi-label: the log-odds of the mean probabilities; regression:
    the mean score.
    """
    outputs = [result.outputs[split] for result in results]
    if kind == "regression":
        return np.mean([np.asarray(logits, dtype=np.float64) for logits in outputs], axis=0)
    mean = np.mean([probabilities(logits, kind) for logits in outputs], axis=0)
    smallest = np.finfo(np.float64).tiny
    logarithm = np.log(np.maximum(mean, smallest))
    return logarithm - np.log(np.maximum(1 - mean, smallest)) if kind == "multi_label" else logarithm
