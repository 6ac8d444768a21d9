"""The seeds of a task as one result: the files that `run_glue.py` and `run_ner.py` leave, and the GLUE average.

Files are named as in transformers' examples: `eval_results.json` holds the splits that may select models, under keys
such as `eval_accuracy` (MNLI's mismatched ones end in `_mm`), `test_results.json` the labelled test splits, which
never select anything, `train_results.json` what the training took, `all_results.json` everything. In place of one
number, each metric has its statistics over the seeds.
"""

import dataclasses
import hashlib
import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from electra_hf import __version__
from electra_hf.corpora.storage import publish, to_json
from electra_hf.finetuning.metrics import LOWER_IS_BETTER
from electra_hf.finetuning.results import SeedResult
from electra_hf.finetuning.statistics import summarize
from electra_hf.finetuning.tagging.data import TaggingData
from electra_hf.finetuning.tasks.task import TaskData

EVAL_FILE, TEST_FILE, TRAIN_FILE, ALL_FILE = (f"{part}_results.json" for part in ("eval", "test", "train", "all"))
GLUE_FILE = "glue_results.json"
_DATA_COLUMNS = ("text", "text_pair", "label", "starts", "ends", "tags", "idx")
_PLAIN_SPLITS = ("validation", "validation_matched", "test", "test_matched")

# How GLUE scores a task: the mean of these; the nine tasks have equal weight (GLUE paper, section 3.4). MNLI counts
# once, as the mean of its two accuracies: only so do the rows of the paper's table 4 give the averages in it.
GLUE_METRICS: dict[str, tuple[str, ...]] = {
    "cola": ("matthews_correlation",),
    "sst2": ("accuracy",),
    "mrpc": ("accuracy", "f1"),
    "stsb": ("pearson", "spearmanr"),
    "qqp": ("accuracy", "f1"),
    "mnli": ("accuracy", "accuracy_mm"),
    "qnli": ("accuracy",),
    "rte": ("accuracy",),
    "wnli": ("accuracy",),
}
# The average of the ELECTRA paper (section 3.1): one metric a task, without WNLI; its code evaluates MNLI matched.
ELECTRA_METRICS = {task: metrics[-1] if task == "stsb" else metrics[0] for task, metrics in GLUE_METRICS.items()}
del ELECTRA_METRICS["wnli"]


@dataclass(frozen=True)
class Scores:
    """Contents of the result files of one task, JSON values only.

    Attributes:
        eval: Of the splits that may select models; empty if none was judged.
        test: Of the labelled test splits; likewise.
        train: Of the training; empty if nothing was trained.
        common: What is known of every run: task, model, seeds, notes, versions.
    """

    eval: dict[str, Any]
    test: dict[str, Any]
    train: dict[str, Any]
    common: dict[str, Any] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, Any]:
        """Everything in one object; what both `eval` and `test` have by split is put together."""
        merged = {**self.common, **self.train, **self.test, **self.eval}
        for name in ("ensemble", "bootstrap"):
            if name in self.eval or name in self.test:
                merged[name] = {**self.test.get(name, {}), **self.eval.get(name, {})}
        return merged


def metric_key(split: str, metric: str) -> str:
    """The key of a metric of a split, as `run_glue.py` of transformers names it.

    >>> metric_key("validation", "accuracy"), metric_key("validation_mismatched", "accuracy")
    ('eval_accuracy', 'eval_accuracy_mm')
    >>> metric_key("test_matched", "f1"), metric_key("diagnostic", "f1")
    ('test_f1', 'test_f1_diagnostic')
    """
    prefix = "eval" if split.startswith("validation") else "test"
    if split in _PLAIN_SPLITS:
        return f"{prefix}_{metric}"
    return f"{prefix}_{metric}_{'mm' if split.endswith('_mismatched') else split}"


def aggregate(
    data: TaskData | TaggingData,
    results: Sequence[SeedResult],
    *,
    model: str,
    command: str = "",
    notes: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    judge_together: Callable[[str], Mapping[str, Mapping[str, Any]]] | None = None,
) -> Scores:
    """Put the seeds of a task together.

    Args:
        data: The task and its examples.
        results: One or more seeds.
        model: What was fine-tuned, as the user named it.
        command: The command line, for the record.
        notes: Added to the notes of the data.
        settings: More JSON values for the record.
        judge_together: More about a labelled split (`TaskRun.judge_together`): an ensemble, intervals.

    Returns:
        For each metric of each labelled split that the seeds have scores for, a `statistics.Summary`: `{"median",
        "mean", "std", "best", "low", "high", "values"}`. A test split also has `selected`: the value of the seed that
        was best on validation, which is what a single published model would show. Values that are not finite are None.
        What nothing was judged of, such as a test split without labels, has only the common facts.
    """
    task = data.task
    common = {
        "task_name": task.name,
        "model": model,
        "metrics": list(task.metrics),
        "seeds": [result.seed for result in results],
        "notes": [*data.notes, *notes],
        "findings": {str(result.seed): result.findings for result in results if result.findings},
        "data": describe_data(data, _judged(data, results)),
        "versions": versions(),
        "command": command,
        **({"settings": dict(settings)} if settings else {}),
    }
    by_prefix: dict[str, dict[str, Any]] = {"eval": {}, "test": {}}
    chosen = _best_on_validation(data, results)
    for split in _judged(data, results):
        content = by_prefix["eval" if split.startswith("validation") else "test"]
        content[metric_key(split, "samples")] = len(data.splits[split])
        for metric in results[0].metrics[split]:
            values = [result.metrics[split][metric] for result in results]
            summary = dataclasses.asdict(summarize(values, higher_is_better=metric not in LOWER_IS_BETTER))
            if chosen is not None and not split.startswith("validation"):
                summary["selected"] = values[chosen]
            content[metric_key(split, metric)] = summary
        for kind, values in (judge_together(split) if judge_together else {}).items():
            for metric, value in values.items():
                content.setdefault(kind, {})[metric_key(split, metric)] = value
    train: dict[str, Any] = {"train_samples": len(data.splits["train"])} if "train" in data.splits else {}
    for name in results[0].train:
        train[f"train_{name}"] = dataclasses.asdict(
            summarize([result.train[name] for result in results], higher_is_better=False)
        )
    parts = (by_prefix["eval"], by_prefix["test"], train if results[0].train else {})
    contents = [*({**common, **part} if part else {} for part in parts), common]
    return Scores(*(_without_nan(content) for content in contents))


def _judged(data: TaskData | TaggingData, results: Sequence[SeedResult]) -> list[str]:
    """Labelled splits that the seeds have scores for: a test split may wait for --do_predict."""
    return [split for split in data.evaluated if split in results[0].metrics]


def _best_on_validation(data: TaskData | TaggingData, results: Sequence[SeedResult]) -> int | None:
    """Place of the seed that the first metric of the first validation split would select."""
    split = next((name for name in _judged(data, results) if name.startswith("validation")), None)
    if split is None:
        return None
    metric = data.task.metrics[0]
    values = [result.metrics[split].get(metric, math.nan) for result in results]
    if not all(math.isfinite(value) for value in values):
        return None
    return int(np.argmin(values) if metric in LOWER_IS_BETTER else np.argmax(values))


def describe_data(data: TaskData | TaggingData, judged: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Rows and SHA-256 of the texts, labels and ids of `train` and of each judged split: what runs must share."""
    names = [*(["train"] if "train" in data.splits else []), *judged]
    return {name: {"rows": len(data.splits[name]), "sha256": _digest(data.splits[name])} for name in names}


def _digest(split: Dataset) -> str:
    digest = hashlib.sha256()
    columns = [name for name in _DATA_COLUMNS if name in split.column_names]
    for batch in split.select_columns(columns).iter(batch_size=1000):
        digest.update(json.dumps([batch[name] for name in columns]).encode())  # type: ignore[index]
    return digest.hexdigest()


def versions() -> dict[str, str]:
    packages = ("torch", "transformers", "datasets", "tokenizers", "numpy", "scikit-learn", "scipy")
    return {
        "electra_hf": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _without_nan(value: Any) -> Any:
    """JSON has no NaN and no infinity: None in their place."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _without_nan(item) for name, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list | tuple) else value


def save_scores(scores: Scores, folder: Path) -> list[Path]:
    """Write the result files of a task, each whole or not at all; returns those that there are."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {EVAL_FILE: scores.eval, TEST_FILE: scores.test, TRAIN_FILE: scores.train, ALL_FILE: scores.all}
    written = []
    for name, content in contents.items():
        if content:
            publish(folder / name, to_json(content))
            written.append(folder / name)
        else:
            # Of an earlier run into the same folder: it would be taken for this run's.
            (folder / name).unlink(missing_ok=True)
    return written


def glue_average(evals: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One number for GLUE's validation sets, from the medians over seeds.

    Args:
        evals: Task name to the contents of its `eval_results.json`; tasks that are not GLUE's are passed over.

    Returns:
        `tasks` (task to GLUE's score), `average` (their mean, all nine with equal weight), `average_without_wnli`,
        `electra_average` (the ELECTRA paper's: Matthews correlation, Spearman correlation for STS-B, otherwise
        accuracy, MNLI matched, without WNLI), and `missing`: tasks that are in none of these. The averages of fewer
        tasks than there should be are not comparable with published ones.
    """
    tasks: dict[str, float] = {}
    electra: dict[str, float] = {}
    for task, metrics in GLUE_METRICS.items():
        medians = [_median(evals.get(task, {}), metric) for metric in metrics]
        if None not in medians:
            tasks[task] = float(np.mean([median for median in medians if median is not None]))
            if task in ELECTRA_METRICS:
                electra[task] = medians[metrics.index(ELECTRA_METRICS[task])] or 0.0
    without_wnli = [score for task, score in tasks.items() if task != "wnli"]
    return {
        "tasks": tasks,
        "average": float(np.mean(list(tasks.values()))) if tasks else None,
        "average_without_wnli": float(np.mean(without_wnli)) if without_wnli else None,
        "electra_average": float(np.mean(list(electra.values()))) if electra else None,
        "missing": [task for task in GLUE_METRICS if task not in tasks],
    }


def _median(content: Mapping[str, Any], metric: str) -> float | None:
    return (content.get(f"eval_{metric}") or {}).get("median")


def save_glue_average(average: Mapping[str, Any], folder: Path) -> Path:
    """Write `glue_results.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    publish(folder / GLUE_FILE, to_json(dict(average)))
    return folder / GLUE_FILE


def known_metrics(content: Mapping[str, Any]) -> list[str]:
    """Keys of a result file that hold statistics over seeds, `eval_` before `test_`, `train_` left out."""
    keys = [key for key, value in content.items() if isinstance(value, Mapping) and "values" in value]
    return sorted((key for key in keys if not key.startswith("train_")), key=lambda key: key.startswith("test_"))
