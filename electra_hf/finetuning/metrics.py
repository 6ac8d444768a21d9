"""From logits to scores, as GLUE, KLUE and JGLUE define them, and what is wrong with the outputs, in words.

Everything is computed by scikit-learn and scipy, without the network. A metric of a user's own comes through
`evaluate` (`load_user_metrics`). Scores are fractions (0.91), never percentages; a score that is not defined has a
stated value:

- Pearson and Spearman correlation with a constant are 0.0, where scipy gives NaN and a warning;
- F1 without any true or predicted positive is 0.0;
- an output that is not a finite number counts as 0, and `output_findings` says how many there were.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy.special import expit, softmax
from scipy.stats import ConstantInputWarning, NearConstantInputWarning, pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    matthews_corrcoef,
    mean_absolute_error,
    mean_squared_error,
)

from electra_hf.errors import UsageError
from electra_hf.finetuning.tasks.task import Kind, Task

Metric = Callable[[np.ndarray, np.ndarray], float]
UserMetric = Callable[[np.ndarray, np.ndarray], dict[str, float]]

_NONE_FOUND: Any = 0.0  # F1 of no positives; scikit-learn's own hint for it says str only
LOWER_IS_BETTER = frozenset({"loss", "mse", "mae"})
_CURES = (
    "Likely cures: a lower --learning_rate, more warm-up (--warmup_steps), another --seed, longer training "
    "(--num_train_epochs). For a random or barely trained encoder it is expected"
)


def _accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    return float(accuracy_score(labels, predictions))


def _f1(predictions: np.ndarray, labels: np.ndarray) -> float:
    if predictions.ndim != 1 or (labels.size and (labels.max() > 1 or predictions.max() > 1)):
        raise UsageError(
            "f1: it takes class 1 as the positive one of two, and the task has more labels. Use macro_f1 or micro_f1"
        )
    return float(f1_score(labels, predictions, zero_division=_NONE_FOUND))


def _averaged_f1(average: Literal["macro", "micro"]) -> Metric:
    def metric(predictions: np.ndarray, labels: np.ndarray) -> float:
        if predictions.ndim == 2 and predictions.shape[1] == 1:
            # scikit-learn would take a single column for two classes, and average over "not the label" as well.
            return _f1(predictions[:, 0], labels[:, 0])
        return float(f1_score(labels, predictions, average=average, zero_division=_NONE_FOUND))

    return metric


def _matthews(predictions: np.ndarray, labels: np.ndarray) -> float:
    with warnings.catch_warnings():
        # One class on both sides: scikit-learn warns and gives 0.0, which is what it is defined as here.
        warnings.filterwarnings("ignore", message="A single label was found", category=UserWarning)
        return float(matthews_corrcoef(labels, predictions))


def _correlation(function: Callable[..., Any]) -> Metric:
    def metric(predictions: np.ndarray, labels: np.ndarray) -> float:
        if len(labels) < 2:
            return 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConstantInputWarning)
            warnings.simplefilter("ignore", NearConstantInputWarning)
            value = float(function(predictions, labels).statistic)
        return value if np.isfinite(value) else 0.0

    return metric


def _f1_at_3(predictions: np.ndarray, labels: np.ndarray) -> float:
    return _f1((predictions >= 3).astype(np.int64), (labels >= 3).astype(np.int64))


# Name -> function of (predictions, labels) as `decode` and the data set give them.
METRICS: dict[str, Metric] = {
    "accuracy": _accuracy,  # of multi-label tasks: all labels of a text are right
    "f1": _f1,
    "macro_f1": _averaged_f1("macro"),  # KLUE ynat
    "micro_f1": _averaged_f1("micro"),
    "matthews_correlation": _matthews,  # CoLA
    "pearson": _correlation(pearsonr),
    "spearmanr": _correlation(spearmanr),
    "f1_at_3": _f1_at_3,  # KLUE sts: similar means a score of 3 or more, of the label and of the prediction
    "mse": lambda predictions, labels: float(mean_squared_error(labels, predictions)),
    "mae": lambda predictions, labels: float(mean_absolute_error(labels, predictions)),
}
_FOR_KIND: dict[Kind, frozenset[str]] = {
    "classification": frozenset({"accuracy", "f1", "macro_f1", "micro_f1", "matthews_correlation"}),
    "regression": frozenset({"pearson", "spearmanr", "f1_at_3", "mse", "mae"}),
    "multi_label": frozenset({"accuracy", "macro_f1", "micro_f1"}),
}


def decode(logits: np.ndarray, kind: Kind, score_scale: float = 1.0) -> np.ndarray:
    """What a model's outputs say.

    Args:
        logits: (examples, outputs), float.
        kind: What the task's labels are.
        score_scale: What regression targets were divided by in training.

    Returns:
        classification: the class of the largest logit, int64 (examples,).
        multi_label: 1 where the logit is above 0, that is a probability above one half, int64 (examples, labels).
        regression: the score, float64 (examples,), not clipped.

    >>> decode(np.array([[0.1, 2.0], [1.0, -1.0]]), "classification").tolist()
    [1, 0]
    >>> decode(np.array([[0.9], [0.5]]), "regression", score_scale=5.0).tolist()
    [4.5, 2.5]
    """
    logits = np.nan_to_num(np.asarray(logits, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if kind == "classification":
        return logits.argmax(axis=-1)
    if kind == "multi_label":
        return (logits > 0).astype(np.int64)
    return logits.reshape(len(logits)) * score_scale


def probabilities(logits: np.ndarray, kind: Kind) -> np.ndarray:
    """Probabilities of the classes (softmax) or of each label (sigmoid), float64, of the shape of `logits`."""
    logits = np.nan_to_num(np.asarray(logits, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return expit(logits) if kind == "multi_label" else softmax(logits, axis=-1)


def compute_metrics(
    task: Task,
    logits: np.ndarray,
    labels: Sequence[Any] | np.ndarray,
    user_metrics: Mapping[str, UserMetric] | None = None,
) -> dict[str, float]:
    """Judge the outputs of a model for a labelled split.

    Args:
        task: Its metrics are computed, in their order.
        logits: (examples, outputs), float.
        labels: The label column as in the data: class numbers, scores that were not divided, or rows of 0 and 1.
        user_metrics: More metrics, from `load_user_metrics`.

    Returns:
        Metric to value. As in `run_glue.py` there is a `combined_score`, the mean of the task's own metrics, if it has
        more than one.

    Raises:
        UsageError: If a metric cannot judge this kind of label, or a user's metric fails.
    """
    predictions, truth = decode(logits, task.kind, task.score_scale), _as_labels(labels, task.kind)
    if len(predictions) != len(truth):
        raise ValueError(f"{len(predictions)} predictions for {len(truth)} labels")
    values = {}
    for name in task.metrics:
        _check_kind(name, task.kind)
        values[name] = METRICS[name](predictions, truth)
    if len(values) > 1:
        values["combined_score"] = float(np.mean(list(values.values())))
    for name, metric in (user_metrics or {}).items():
        for key, value in metric(predictions, truth).items():
            values[key if key not in values else f"{name}_{key}"] = value
    return values


def _as_labels(labels: Sequence[Any] | np.ndarray, kind: Kind) -> np.ndarray:
    return np.asarray(labels, dtype=np.float64 if kind == "regression" else np.int64)


def _check_kind(name: str, kind: Kind) -> None:
    if name not in METRICS:
        raise UsageError(f"metric {name!r}: not one of {', '.join(METRICS)}")
    if name not in _FOR_KIND[kind]:
        raise UsageError(f"metric {name}: not for {kind} labels. Those are judged by {_listing(_FOR_KIND[kind])}")


def _listing(names: frozenset[str]) -> str:
    return ", ".join(name for name in METRICS if name in names)


def load_user_metrics(names: Sequence[str], kind: Kind, num_labels: int = 2) -> dict[str, UserMetric]:
    """Load the metrics of `--metric NAME_OR_PATH` and try each on made-up examples, before anything is trained.

    Args:
        names: A name in `METRICS` (computed here, offline); a Python file, or a folder with a file of its name, as
            `evaluate` takes them; or a metric of the Hub, which needs the network.
        kind: What the task's labels are. A metric of `evaluate` gets `predictions` and `references` as lists of ints
            (classification), floats (regression) or rows of 0 and 1 (multi-label).
        num_labels: Labels of the task, all of which are in the trial; nothing to a regression.

    Returns:
        Short name to function of (predictions, labels) -> values.

    Raises:
        UsageError: If one cannot be loaded, does not fit the task, or gives no number.
    """
    metrics: dict[str, UserMetric] = {}
    examples = _made_up_labels(kind, num_labels)
    for name in names:
        if name in METRICS:
            _check_kind(name, kind)
            short, metrics[name] = name, _own_metric(name)
        else:
            short = name.rstrip("/").rpartition("/")[2].removesuffix(".py")
            metrics[short] = _evaluate_metric(name)
        metrics[short](examples, examples)
    return metrics


def _made_up_labels(kind: Kind, num_labels: int) -> np.ndarray:
    """Every label twice."""
    if kind == "regression":
        return np.array([0.0, 1.0, 2.0, 4.0])
    labels = np.tile(np.arange(max(num_labels, 1)), 2)
    return labels if kind == "classification" else np.eye(max(num_labels, 1), dtype=np.int64)[labels]


def _own_metric(name: str) -> UserMetric:
    return lambda predictions, labels: {name: METRICS[name](predictions, labels)}


def _evaluate_metric(name: str) -> UserMetric:
    import evaluate

    try:
        module = evaluate.load(name, keep_in_memory=True)
    # What a user's script or its dependencies raise while they are imported, and what a Hub out of reach raises.
    except (OSError, ImportError, SyntaxError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"--metric {name}: evaluate could not load it ({reason[:300]}). Give a Python file with an "
            f"evaluate.Metric, a metric of the Hub (needs the network), or one of ours: {', '.join(METRICS)}"
        ) from error

    def metric(predictions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        try:
            result = module.compute(predictions=predictions.tolist(), references=labels.tolist())
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise UsageError(
                f"--metric {name}: it cannot judge this task's predictions ({reason[:300]}). "
                "Its features must take what the task predicts: ints for classes, floats for scores"
            ) from error
        values = {key: float(value) for key, value in (result or {}).items() if np.ndim(value) == 0 and _number(value)}
        if not values:
            raise UsageError(f"--metric {name}: its result holds no number: {result!r}. Return a dict of numbers")
        return values

    return metric


def _number(value: object) -> bool:
    return isinstance(value, int | float | np.number) or (isinstance(value, np.ndarray) and value.dtype.kind in "iuf")


def output_findings(
    task: Task, logits: np.ndarray, labels: Sequence[Any] | np.ndarray, label_names: Sequence[str] = ()
) -> list[str]:
    """Warnings in words about the outputs for a labelled split: not finite, or the same for every text."""
    found = []
    broken = int((~np.isfinite(np.asarray(logits))).any(axis=-1).sum())
    if broken:
        found.append(
            f"{broken:,} of {len(logits):,} outputs are not finite numbers and count as 0: the training diverged. "
            "Likely cures: a lower --learning_rate, more warm-up (--warmup_steps), --max_grad_norm 1.0, bf16 or fp32 "
            "in place of fp16"
        )
    constant = constant_prediction(logits, task.kind, labels, label_names, task.score_scale)
    return [*found, constant] if constant else found


def constant_prediction(
    logits: np.ndarray,
    kind: Kind,
    labels: Sequence[Any] | np.ndarray,
    label_names: Sequence[str] = (),
    score_scale: float = 1.0,
) -> str | None:
    """Say in words that a model answers the same for every text, if it does and the labels differ.

    Args:
        logits: (examples, outputs), float.
        kind: What the labels are. Scores count as the same if they vary less than a hundredth of what the labels do.
        labels: The label column.
        label_names: Names of the classes, in the order of their numbers; numbers are shown without them.
        score_scale: What regression targets were divided by in training.

    Returns:
        What is always answered, what share of the labels it is, and the likely cures; None if the answers vary.
    """
    truth = _as_labels(labels, kind)
    if len(truth) < 2 or len(np.unique(truth, axis=0)) < 2:
        return None
    predictions = decode(logits, kind, score_scale)
    if kind == "regression":
        if predictions.std() >= 0.01 * truth.std():
            return None
        return f"all {len(truth):,} predicted scores are about {predictions.mean():.2f}. {_CURES}"
    if (predictions != predictions[0]).any():
        return None
    share = (truth == predictions[0]).reshape(len(truth), -1).all(axis=1).mean()
    chosen = [predictions[0]] if kind == "classification" else np.flatnonzero(predictions[0])
    named = " and ".join(f"{label_names[int(i)]!r}" if label_names else str(int(i)) for i in chosen) or "no label"
    return f"all {len(truth):,} predictions are {named}, which {share:.1%} of the labels are. {_CURES}"
