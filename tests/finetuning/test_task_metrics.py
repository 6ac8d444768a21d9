"""Scores equal those of scikit-learn, scipy and of formulas written out, and outputs that say nothing are named."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from electra_hf.errors import UsageError
from electra_hf.finetuning.metrics import (
    METRICS,
    compute_metrics,
    constant_prediction,
    decode,
    load_user_metrics,
    output_findings,
)
from electra_hf.finetuning.tasks.task import Task


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def confusion(predictions: np.ndarray, labels: np.ndarray) -> tuple[int, int, int, int]:
    pairs = list(zip(predictions.tolist(), labels.tolist(), strict=True))
    return pairs.count((1, 1)), pairs.count((1, 0)), pairs.count((0, 1)), pairs.count((0, 0))


@pytest.mark.parametrize("seed", range(5))
def test_binary_metrics_equal_their_formulas(seed):
    generator = np.random.default_rng(seed)
    logits, labels = generator.normal(size=(101, 2)), generator.integers(0, 2, 101)
    task = Task("mrpc", metrics=("accuracy", "f1", "matthews_correlation", "macro_f1"), labels=("no", "yes"))
    tp, fp, fn, tn = confusion((logits[:, 1] > logits[:, 0]).astype(int), labels)
    f1 = 2 * tp / (2 * tp + fp + fn)
    found = compute_metrics(task, logits, labels.tolist())
    expected = {
        "accuracy": (tp + tn) / 101,
        "f1": f1,
        "matthews_correlation": (tp * tn - fp * fn) / np.sqrt(float((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
        "macro_f1": (f1 + 2 * tn / (2 * tn + fp + fn)) / 2,
    }
    expected["combined_score"] = sum(expected.values()) / 4
    assert found == pytest.approx(expected, abs=1e-12)
    assert list(found) == list(expected)


@pytest.mark.parametrize("seed", range(5))
def test_regression_metrics_equal_scipy_on_unscaled_labels(seed):
    generator = np.random.default_rng(seed)
    labels = generator.uniform(0, 5, 60).round(1)
    logits = (labels / 5 + generator.normal(scale=0.3, size=60)).astype(np.float32)[:, None]
    scores = logits[:, 0].astype(np.float64) * 5
    task = Task("stsb", "regression", ("pearson", "spearmanr", "mse", "mae", "f1_at_3"), score_scale=5.0)
    tp, fp, fn, _ = confusion((scores >= 3).astype(int), (labels >= 3).astype(int))
    found = compute_metrics(task, logits, labels)
    assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(scores, labels)[0], abs=1e-12)
    assert found["spearmanr"] == pytest.approx(scipy.stats.spearmanr(scores, labels)[0], abs=1e-12)
    assert found["mse"] == pytest.approx(np.mean((scores - labels) ** 2))
    assert found["mae"] == pytest.approx(np.mean(np.abs(scores - labels)))
    assert found["f1_at_3"] == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_macro_and_micro_f1_of_seven_topics_equal_scikit_learn():
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(300, 7)), generator.integers(0, 7, 300)
    found = compute_metrics(Task("ynat", metrics=("macro_f1", "micro_f1")), logits, labels)
    by_class = [sklearn.metrics.f1_score(labels == c, logits.argmax(1) == c) for c in range(7)]
    assert found["macro_f1"] == pytest.approx(np.mean(by_class))
    assert found["micro_f1"] == pytest.approx(np.mean(logits.argmax(1) == labels))


def test_multi_label_metrics_equal_their_formulas():
    generator = np.random.default_rng(1)
    logits, labels = generator.normal(size=(80, 4)), generator.integers(0, 2, (80, 4))
    task = Task("own", "multi_label", ("micro_f1", "macro_f1", "accuracy"))
    found = compute_metrics(task, logits, labels.astype(float).tolist())
    counts = [confusion((logits[:, c] > 0).astype(int), labels[:, c]) for c in range(4)]
    tp, fp, fn, _ = map(sum, zip(*counts, strict=True))
    assert found["micro_f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert found["macro_f1"] == pytest.approx(np.mean([2 * a / (2 * a + b + c) for a, b, c, _ in counts]))
    assert found["accuracy"] == pytest.approx(np.mean([((logits > 0) == labels)[i].all() for i in range(80)]))


def test_a_single_optional_label_is_judged_as_that_label_alone():
    labels = np.array([[1], [0], [0], [0]])
    task = Task("own", "multi_label", ("macro_f1",))
    assert compute_metrics(task, np.array([[1.0], [1.0], [-1.0], [-1.0]]), labels)["macro_f1"] == pytest.approx(2 / 3)


def test_a_multi_label_logit_of_zero_is_no_label_and_the_largest_class_logit_wins():
    assert decode(np.array([[0.0, 0.1, -3.0]]), "multi_label").tolist() == [[0, 1, 0]]
    assert decode(np.array([[-9.0, -8.0, -10.0]]), "classification").tolist() == [1]


@pytest.mark.parametrize("name", ["pearson", "spearmanr"])
def test_the_correlation_with_a_constant_is_zero(name):
    assert METRICS[name](np.full(9, 2.5), np.arange(9.0)) == 0.0
    assert METRICS[name](np.arange(9.0), np.full(9, 2.5)) == 0.0
    assert METRICS[name](np.array([1.0]), np.array([1.0])) == 0.0


def test_constant_classes_have_zero_f1_and_zero_matthews_correlation():
    labels = np.array([0, 1, 1, 0])
    assert METRICS["f1"](np.zeros(4, int), labels) == 0.0
    assert METRICS["matthews_correlation"](np.zeros(4, int), labels) == 0.0
    assert METRICS["matthews_correlation"](np.zeros(4, int), np.zeros(4, int)) == 0.0


def test_f1_of_three_classes_and_a_metric_of_another_kind_are_refused():
    with pytest.raises(UsageError, match="macro_f1"):
        compute_metrics(Task("nli", metrics=("f1",)), np.eye(3), [0, 1, 2])
    with pytest.raises(UsageError, match=r"pearson: not for classification labels.*accuracy, f1"):
        compute_metrics(Task("nli", metrics=("pearson",)), np.eye(3), [0, 1, 2])
    with pytest.raises(UsageError, match="'rouge': not one of accuracy"):
        compute_metrics(Task("nli", metrics=("rouge",)), np.eye(3), [0, 1, 2])


def test_outputs_that_are_not_finite_are_counted_and_named():
    task = Task("stsb", "regression", ("pearson",), score_scale=5.0)
    logits, labels = np.array([[0.1], [np.nan], [np.inf], [0.9]]), [0.0, 1.0, 2.0, 5.0]
    expected = np.corrcoef([0.5, 0.0, 0.0, 4.5], labels)[0, 1]
    assert compute_metrics(task, logits, labels)["pearson"] == pytest.approx(expected)
    assert any("2 of 4 outputs are not finite" in text for text in output_findings(task, logits, labels))


def test_a_constant_class_is_named_with_its_share_and_the_cure():
    labels = [0] * 3 + [1] * 5
    text = constant_prediction(np.tile([1.0, 2.0], (8, 1)), "classification", labels, ("negative", "positive"))
    assert text is not None and "all 8 predictions are 'positive', which 62.5% of the labels are" in text
    assert "--learning_rate" in text and "barely trained" in text


def test_constant_scores_and_constant_label_sets_are_named():
    labels = np.linspace(0, 5, 50)
    almost = 0.5 + np.linspace(0, 1e-4, 50)[:, None]
    assert "about 2.50" in (constant_prediction(almost, "regression", labels, score_scale=5.0) or "")
    assert constant_prediction(labels[:, None] / 50, "regression", labels, score_scale=5.0) is None
    sets = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1], [0, 1, 0]])
    constant = constant_prediction(np.tile([1.0, -1.0, 2.0], (4, 1)), "multi_label", sets, ("a", "b", "c"))
    assert constant is not None and "'a' and 'c', which 50.0%" in constant
    assert "no label, which 25.0%" in (constant_prediction(-np.ones((4, 3)), "multi_label", sets) or "")


def test_answers_that_vary_or_cannot_vary_are_no_finding():
    assert constant_prediction(np.eye(2), "classification", [0, 1]) is None
    assert constant_prediction(np.tile([1.0, 0.0], (3, 1)), "classification", [0, 0, 0]) is None
    assert output_findings(Task("sst2"), np.eye(2), [0, 1], ("a", "b")) == []


SCRIPT = """
import datasets
import evaluate


class Metric(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="",
            citation="",
            features=datasets.Features({{name: datasets.Value("{kind}") for name in ("predictions", "references")}}),
        )

    def _compute(self, predictions, references):
        hits = sum(p == r for p, r in zip(predictions, references))
        return {result}
"""


def write_script(path: Path, kind: str = "int64", result: str = '{"hits": hits, "note": "no number"}') -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(SCRIPT.format(kind=kind, result=result), encoding="utf-8")
    return str(path)


@pytest.mark.filterwarnings("default")
class TestUserMetrics:
    @pytest.fixture(autouse=True)
    def warnings_of_evaluate(self, no_warnings):
        warnings.simplefilter("ignore")

    def test_a_script_and_a_folder_of_one_add_their_numbers(self, tmp_path):
        names = [write_script(tmp_path / "mine.py"), str(Path(write_script(tmp_path / "other" / "other.py")).parent)]
        metrics = load_user_metrics(names, "classification")
        found = compute_metrics(Task("sst2"), np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), [1, 0, 0], metrics)
        assert found == {"accuracy": pytest.approx(2 / 3), "hits": 2.0, "other_hits": 2.0}

    def test_a_metric_for_scores_gets_floats(self, tmp_path):
        name = write_script(tmp_path / "scores.py", "float32", '{"first": float(predictions[0])}')
        metrics = load_user_metrics([name], "regression")
        task = Task("stsb", "regression", ("mse",), score_scale=5.0)
        assert compute_metrics(task, np.array([[0.5], [0.7]]), [1.0, 2.0], metrics)["first"] == pytest.approx(2.5)

    def test_our_own_names_need_neither_evaluate_nor_the_network(self):
        metrics = load_user_metrics(["macro_f1"], "classification")
        found = compute_metrics(Task("sst2"), np.eye(2), [0, 1], metrics)
        assert found == {"accuracy": 1.0, "macro_f1": 1.0}
        with pytest.raises(UsageError, match="pearson: not for classification"):
            load_user_metrics(["pearson"], "classification")

    def test_each_is_tried_on_as_many_labels_as_the_task_has(self, tmp_path):
        with pytest.raises(UsageError, match="the task has more labels. Use macro_f1"):
            load_user_metrics(["f1"], "classification", 3)
        two = write_script(tmp_path / "two.py", result='{"x": [1.0, 2.0][max(references)]}')
        assert "two" in load_user_metrics([two], "classification", 2)
        with pytest.raises(UsageError, match="cannot judge this task's predictions"):
            load_user_metrics([two], "classification", 3)
        assert "micro_f1" in load_user_metrics(["micro_f1"], "multi_label", 7)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (None, "could not load it.*Give a Python file"),
            ("import no_such_package_of_mine\n", "could not load it.*no_such_package_of_mine"),
            ("def broken(:\n", "could not load it"),
        ],
    )
    def test_what_cannot_be_loaded_is_explained(self, tmp_path, content, message):
        path = tmp_path / "broken.py"
        if content is not None:
            path.write_text(content)
        with pytest.raises(UsageError, match=message):
            load_user_metrics([str(path)], "classification")

    def test_what_cannot_judge_the_task_is_refused_before_training(self, tmp_path):
        words = write_script(tmp_path / "words.py", "string", "{'n': max(predictions) - min(predictions)}")
        with pytest.raises(UsageError, match="cannot judge this task's predictions"):
            load_user_metrics([words], "classification")
        nothing = write_script(tmp_path / "nothing.py", result='{"text": "good"}')
        with pytest.raises(UsageError, match="holds no number"):
            load_user_metrics([nothing], "classification")
