"""What does a task give to a model that cannot read? TF-IDF with logistic regression, and always the same answer.

    python benchmarks/finetuning_baselines.py sst2=glue cola=glue nsmc=nsmc imdb=aclImdb --json baselines.json

Each argument is a task and the folder of its published files (`TASK=FOLDER`), with another training file after a comma
where that is needed (`nsmc=nsmc,nsmc/ratings_train_rebuilt.txt`). An encoder that does not beat these figures has
learnt nothing that counting words does not show.

Features are TF-IDF weights of words and pairs of neighbouring words; of sequences of 1 to 4 characters for Korean and
Japanese, whose words carry endings or no spaces. A pair of texts gives the weights of both, their products and their
absolute differences. The regularisation, and whether classes are weighted, are chosen by cross-validation on training
rows alone (at most 20,000 of them; the final model sees all), by the task's first metric; for regression it is ridge
regression. One thread. Needs scikit-learn.
"""

import argparse
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sparse
import sklearn
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from threadpoolctl import threadpool_limits

from electra_hf.errors import UsageError, run_script
from electra_hf.finetuning.metrics import compute_metrics
from electra_hf.finetuning.tasks import Task, TaskArguments, TaskData, load_task

KOREAN_AND_JAPANESE = ("nsmc", "klue_ynat", "klue_nli", "klue_sts", "marc_ja", "jnli", "jsts")
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
FOLDS = 3
MOST_ROWS_TO_CHOOSE_BY = 20_000
SEED = 0


class Features:
    """TF-IDF weights of a text, or of a pair.

    Args:
        characters: Count sequences of characters instead of words.
    """

    def __init__(self, characters: bool):
        what: dict[str, Any] = (
            {"analyzer": "char", "ngram_range": (1, 4)}
            if characters
            else {"token_pattern": r"(?u)\b\w+\b", "ngram_range": (1, 2)}
        )
        memory: dict[str, Any] = {"dtype": np.float32}
        self.vectorizer = TfidfVectorizer(min_df=2, sublinear_tf=True, **memory, **what)

    def fit(self, texts: Sequence[Sequence[str]]) -> sparse.csr_matrix:
        """Learn the vocabulary from one or two columns of texts; their features, (rows, features)."""
        self.vectorizer.fit([text for column in texts for text in column])
        return self.transform(texts)

    def transform(self, texts: Sequence[Sequence[str]]) -> sparse.csr_matrix:
        first, *rest = (self.vectorizer.transform(column) for column in texts)
        if not rest:
            return first
        (second,) = rest
        parts = [first, second, first.multiply(second), abs(first - second)]
        return sparse.csr_matrix(sparse.hstack(parts, format="csr"))


def make_model(task: Task, strength: float, weight: str | None, classes: int) -> Any:
    """Ridge regression, or logistic regression; liblinear is the faster solver for two classes, and knows no more."""
    if task.kind == "regression":
        return Ridge(alpha=1 / strength, random_state=SEED)
    solver = "liblinear" if classes == 2 else "lbfgs"
    return LogisticRegression(C=strength, class_weight=weight, solver=solver, max_iter=1000, random_state=SEED)


def outputs(model: Any, features: sparse.csr_matrix, task: Task) -> np.ndarray:
    """What a network's head would put out: (rows, classes) log-probabilities, or (rows, 1) scaled scores."""
    if task.kind == "regression":
        return model.predict(features)[:, None] / task.score_scale
    return model.predict_log_proba(features)


def score(task: Task, logits: np.ndarray, labels: np.ndarray) -> float:
    return compute_metrics(task, logits, labels)[task.metrics[0]]


def choose(
    data: TaskData, texts: list[list[str]], labels: np.ndarray, characters: bool
) -> tuple[float, str | None, float]:
    """Strength and class weights with the best mean score over the folds of the training rows, and that score."""
    rows = np.random.default_rng(SEED).permutation(len(labels))[:MOST_ROWS_TO_CHOOSE_BY]
    columns, targets = [[column[row] for row in rows] for column in texts], labels[rows]
    regression = data.task.kind == "regression"
    weights: tuple[str | None, ...] = (None,) if regression else (None, "balanced")
    folds = (KFold if regression else StratifiedKFold)(FOLDS, shuffle=True, random_state=SEED)
    scores: dict[tuple[float, str | None], list[float]] = {}
    for train, held_out in folds.split(np.zeros(len(targets)), targets):
        features = Features(characters)
        known = features.fit([[column[row] for row in train] for column in columns])
        unknown = features.transform([[column[row] for row in held_out] for column in columns])
        for strength in STRENGTHS:
            for weight in weights:
                model = make_model(data.task, strength, weight, data.num_outputs).fit(known, targets[train])
                value = score(data.task, outputs(model, unknown, data.task), targets[held_out])
                scores.setdefault((strength, weight), []).append(value)
    (strength, weight), values = max(scores.items(), key=lambda item: np.mean(item[1]))
    return strength, weight, float(np.mean(values))


def majority(data: TaskData, labels: np.ndarray, rows: int) -> np.ndarray:
    """Always the commonest class of the training rows, or their mean."""
    if data.task.kind == "regression":
        return np.full((rows, 1), labels.mean() / data.task.score_scale)
    logits = np.zeros((rows, data.num_outputs))
    logits[:, np.bincount(labels).argmax()] = 1
    return logits


def run_task(data: TaskData, characters: bool) -> dict[str, Any]:
    """Both baselines on every labelled split besides training."""
    if data.task.kind == "multi_label":
        raise UsageError(f"{data.task.name} is a multi-label task, for which there is no baseline here")
    started = time.perf_counter()
    columns = [name for name in ("text", "text_pair") if name in data.splits["train"].column_names]
    texts = [list(data.splits["train"][name]) for name in columns]
    labels = np.asarray(data.splits["train"]["label"])
    strength, weight, cross_validated = choose(data, texts, labels, characters)
    features = Features(characters)
    known = features.fit(texts)
    model = make_model(data.task, strength, weight, data.num_outputs).fit(known, labels)
    result: dict[str, Any] = {
        "task": data.task.name,
        "training_rows": len(labels),
        "features": len(features.vectorizer.vocabulary_),
        "unit": "characters" if characters else "words",
        "C": strength,
        "class_weight": weight,
        f"cross_validated_{data.task.metrics[0]}": cross_validated,
        "notes": list(data.notes),
        "splits": {},
    }
    for split in data.evaluated:
        examples = data.splits[split]
        truth = np.asarray(examples["label"])
        logits = outputs(model, features.transform([list(examples[name]) for name in columns]), data.task)
        result["splits"][split] = {
            "rows": len(truth),
            "tfidf": compute_metrics(data.task, logits, truth),
            "majority": compute_metrics(data.task, majority(data, labels, len(truth)), truth),
        }
    result["seconds"] = time.perf_counter() - started
    return result


def show(results: list[dict[str, Any]]) -> Table:
    table = Table(
        title="Baselines (metrics x 100; TF-IDF with logistic or ridge regression)",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for name in ("task", "split", "rows", "metric", "majority", "TF-IDF", "C", "weights", "seconds"):
        words = name in ("task", "split", "metric", "weights")
        table.add_column(name, justify="left" if words else "right", no_wrap=True)
    for result in results:
        for split, scores in result["splits"].items():
            for metric, value in scores["tfidf"].items():
                cells = (f"{100 * scores['majority'][metric]:.2f}", f"{100 * value:.2f}", f"{result['C']:g}")
                table.add_row(
                    *(result["task"], split, f"{scores['rows']:,}", metric, *cells),
                    *(result["class_weight"] or "none", f"{result['seconds']:.0f}"),
                )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", metavar="TASK=FOLDER[,TRAIN_FILE]")
    for split in ("train", "eval", "predict"):
        parser.add_argument(f"--max_{split}_samples", type=int, help="The same subset as run_glue.py takes.")
    parser.add_argument("--json", type=Path, help="Write everything here.")
    options = parser.parse_args()
    console, results = Console(width=110), []
    for argument in options.tasks:
        name, _, place = argument.partition("=")
        folder, _, train_file = place.partition(",")
        arguments = TaskArguments(
            task_name=name,
            data_dir=folder or None,
            train_file=train_file or None,
            max_train_samples=options.max_train_samples,
            max_eval_samples=options.max_eval_samples,
            max_predict_samples=options.max_predict_samples,
        )
        with threadpool_limits(1):
            results.append(run_task(load_task(name, arguments), characters=name in KOREAN_AND_JAPANESE))
        console.print(show(results[-1:]))
        if options.json:
            versions = {"python": platform.python_version(), "scikit-learn": sklearn.__version__}
            content = {"results": results, "versions": versions, "machine": platform.processor() or platform.machine()}
            options.json.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if len(results) > 1:
        console.print(show(results))


if __name__ == "__main__":
    run_script(main)
