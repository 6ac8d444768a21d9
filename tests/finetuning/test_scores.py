"""Seeds become the files that Hugging Face users expect, with the statistics of every metric; seeds can be reused."""

import json
import math
from functools import partial

import numpy as np
import pytest
from datasets import Dataset

from electra_hf.errors import UsageError
from electra_hf.finetuning.ensembles import ensemble_logits, judge_together
from electra_hf.finetuning.metrics import compute_metrics, decode
from electra_hf.finetuning.results import SeedResult, load_seed_result, save_seed_result
from electra_hf.finetuning.scores import (
    aggregate,
    describe_data,
    glue_average,
    save_glue_average,
    save_scores,
)
from electra_hf.finetuning.tasks.task import Task, TaskData

LABELS = ("no", "yes")


def split(labels: list, start: int = 0) -> Dataset:
    numbers = range(start, start + len(labels))
    return Dataset.from_dict(
        {"text": [f"text {n}" for n in numbers], "label": labels, "idx": [str(n) for n in numbers]}
    )


def make_data(splits: dict[str, list], task: Task | None = None) -> TaskData:
    task = task or Task("own", metrics=("accuracy", "f1"), labels=LABELS)
    return TaskData(
        task, task.labels, {name: split(labels) for name, labels in splits.items()}, notes=("4 empty texts",)
    )


def make_seed(seed: int, data: TaskData, logits: dict[str, list], **loss: float) -> SeedResult:
    arrays = {name: np.array(values, dtype=np.float32) for name, values in logits.items()}
    metrics = {
        name: compute_metrics(data.task, arrays[name], data.splits[name]["label"][:]) | loss for name in data.evaluated
    }
    return SeedResult(seed, metrics, arrays, {"runtime": 10.0 + seed, "loss": 0.5})


YES, NO, BARELY = [0.0, 4.0], [4.0, 0.0], [0.4, 0.5]


@pytest.fixture
def data() -> TaskData:
    return make_data({"train": [0, 1], "validation": [1, 0, 1, 1], "test": [0, 1]})


@pytest.fixture
def seeds(data) -> list[SeedResult]:
    return [
        make_seed(1, data, {"validation": [YES, NO, NO, NO], "test": [NO, NO]}, loss=0.7),
        make_seed(2, data, {"validation": [YES, NO, YES, YES], "test": [YES, NO]}, loss=0.2),
        make_seed(3, data, {"validation": [YES, YES, BARELY, YES], "test": [NO, YES]}, loss=0.4),
    ]


def test_every_metric_has_its_statistics_under_the_key_of_run_glue(data, seeds):
    scores = aggregate(data, seeds, model="folder/model", command="run", notes=("head: reference",))
    accuracy = scores.eval["eval_accuracy"]
    assert accuracy["values"] == [0.5, 1.0, 0.75]
    assert (accuracy["median"], accuracy["mean"], accuracy["best"]) == (0.75, 0.75, 1.0)
    assert accuracy["std"] == pytest.approx(0.25)
    # t of 2 degrees of freedom at 97.5 %, from a printed table
    assert accuracy["high"] - accuracy["mean"] == pytest.approx(4.3027 * 0.25 / math.sqrt(3), abs=1e-4)
    assert scores.eval["eval_loss"]["best"] == 0.2
    assert set(scores.eval) >= {"eval_f1", "eval_combined_score", "versions", "data"}
    assert scores.eval["seeds"] == [1, 2, 3] and scores.eval["model"] == "folder/model"
    assert scores.eval["notes"] == ["4 empty texts", "head: reference"]
    assert (scores.eval["eval_samples"], scores.test["test_samples"], scores.train["train_samples"]) == (4, 2, 2)
    assert scores.train["train_runtime"]["median"] == 12.0


def test_the_test_split_is_apart_and_shows_the_seed_that_validation_selects(data, seeds):
    scores = aggregate(data, seeds, model="m")
    assert not [key for key in scores.eval if key.startswith("test_")]
    assert scores.test["test_accuracy"]["values"] == [0.5, 0.0, 1.0]
    assert scores.test["test_accuracy"]["selected"] == 0.0  # of seed 2, the best on validation
    assert "selected" not in scores.eval["eval_accuracy"]


def test_the_ensemble_is_that_of_the_mean_probabilities(data, seeds):
    scores = aggregate(data, seeds, model="m", judge_together=partial(judge_together, data, seeds))

    def probability_of_yes(logits: list) -> float:
        return math.exp(logits[1]) / (math.exp(logits[0]) + math.exp(logits[1]))

    # Third example: no (0.02), yes (0.98), barely yes (0.52).
    third = sum(map(probability_of_yes, (NO, YES, BARELY))) / 3
    together = ensemble_logits(seeds, "validation", "classification")
    assert np.exp(together[2, 1]) == pytest.approx(third, abs=1e-6) and third > 0.5
    assert scores.eval["ensemble"]["eval_accuracy"] == 1.0
    assert scores.test["ensemble"]["test_accuracy"] == 0.5
    assert scores.all["ensemble"] == {**scores.eval["ensemble"], **scores.test["ensemble"]}


def test_ensembles_of_scores_and_of_label_sets():
    parts = [SeedResult(n, {}, {"test": np.array(x)}) for n, x in enumerate([[[1.0], [2.0]], [[2.0], [5.0]]])]
    assert ensemble_logits(parts, "test", "regression").tolist() == [[1.5], [3.5]]
    # 0.9 and 0.2: a mean of 0.55, although the mean log-odds say 0.6; 0.6 and 0.3: 0.45.
    odds = [[[math.log(0.9 / 0.1), math.log(0.6 / 0.4)]], [[math.log(0.2 / 0.8), math.log(0.3 / 0.7)]]]
    sets = [SeedResult(n, {}, {"test": np.array(x)}) for n, x in enumerate(odds)]
    together = ensemble_logits(sets, "test", "multi_label")
    assert decode(together, "multi_label").tolist() == [[1, 0]]
    assert 1 / (1 + np.exp(-together)) == pytest.approx(np.array([[0.55, 0.45]]))


def test_mismatched_keys_end_in_mm():
    data = make_data(
        {"validation_matched": [0, 1], "validation_mismatched": [1, 1], "train": [0, 1]},
        Task("mnli", labels=LABELS),
    )
    result = make_seed(0, data, {"validation_matched": [NO, NO], "validation_mismatched": [YES, YES]})
    scores = aggregate(data, [result], model="m")
    assert (scores.eval["eval_accuracy"]["median"], scores.eval["eval_accuracy_mm"]["median"]) == (0.5, 1.0)
    assert scores.eval["eval_samples_mm"] == 2


def test_one_seed_has_an_interval_over_its_examples_and_no_ensemble(data, seeds):
    scores = aggregate(data, seeds[:1], model="m", judge_together=partial(judge_together, data, seeds[:1]))
    assert "ensemble" not in scores.eval and scores.eval["eval_accuracy"]["std"] is None
    low, high = scores.eval["bootstrap"]["eval_accuracy"]
    assert 0.0 <= low < 0.5 < high <= 1.0


def test_the_files_are_json_without_nan_and_the_same_twice(data, seeds, tmp_path):
    seeds[1].metrics["validation"]["loss"] = math.nan
    seeds[1].findings.append("diverged")
    files = save_scores(aggregate(data, seeds, model="m"), tmp_path / "a")
    save_scores(aggregate(data, seeds, model="m"), tmp_path / "b")
    names = ["eval_results.json", "test_results.json", "train_results.json", "all_results.json"]
    assert [file.name for file in files] == names

    def refuse(text: str) -> None:
        raise AssertionError(text)

    for name in names:
        content = json.loads((tmp_path / "a" / name).read_text(), parse_constant=refuse)
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert content["eval_loss"]["values"] == [0.7, None, 0.4] and content["eval_loss"]["median"] is None
    assert content["findings"] == {"2": ["diverged"]}
    assert {"eval_accuracy", "test_accuracy", "train_loss"} <= set(content)


def test_results_of_a_test_split_that_is_gone_are_not_left_behind(data, seeds, tmp_path):
    save_scores(aggregate(data, seeds, model="m"), tmp_path)
    without = make_data({"train": [0, 1], "validation": [1, 0, 1, 1]})
    save_scores(aggregate(without, seeds, model="m"), tmp_path)
    assert not (tmp_path / "test_results.json").exists()


def test_a_labelled_test_split_without_scores_is_left_out(data, seeds):
    for result in seeds:
        del result.metrics["test"]
    scores = aggregate(data, seeds, model="m")
    assert scores.test == {} and set(scores.eval["data"]) == {"train", "validation"}


def test_the_description_of_the_data_sees_rows_texts_and_labels():
    first = describe_data(make_data({"train": [0, 1], "validation": [1, 0]}), ["validation"])
    assert first == describe_data(make_data({"train": [0, 1], "validation": [1, 0]}), ["validation"])
    assert first["train"]["rows"] == 2
    other_label = describe_data(make_data({"train": [0, 0], "validation": [1, 0]}), ["validation"])
    assert other_label["train"] != first["train"] and other_label["validation"] == first["validation"]
    task = Task("own", labels=LABELS)
    moved = describe_data(TaskData(task, LABELS, {"train": split([0, 1], start=5)}), [])
    assert moved["train"] != first["train"]


class TestReuse:
    SETTINGS = {"model": "m", "learning_rate": 1e-4, "splits": ("a", "b")}

    def test_a_finished_seed_comes_back_as_it_was(self, seeds, tmp_path):
        seeds[0].metrics["validation"]["loss"] = math.nan
        seeds[0].findings.append("constant")
        save_seed_result(seeds[0], tmp_path / "seed-1", self.SETTINGS)
        back = load_seed_result(tmp_path / "seed-1", self.SETTINGS)
        assert back is not None and (back.seed, back.train, back.findings) == (1, seeds[0].train, ["constant"])
        assert back.metrics["test"] == seeds[0].metrics["test"] and math.isnan(back.metrics["validation"]["loss"])
        for name, logits in seeds[0].outputs.items():
            assert back.outputs[name].dtype == np.float32
            assert np.array_equal(back.outputs[name], logits)

    def test_other_settings_are_named(self, seeds, tmp_path):
        save_seed_result(seeds[0], tmp_path, self.SETTINGS)
        with pytest.raises(UsageError, match=r"learning_rate was 0.0001 and is 0.0003.*--output_dir"):
            load_seed_result(tmp_path, self.SETTINGS | {"learning_rate": 3e-4})

    def test_an_unfinished_or_damaged_seed_is_none(self, seeds, tmp_path):
        assert load_seed_result(tmp_path / "none", self.SETTINGS) is None
        save_seed_result(seeds[0], tmp_path, self.SETTINGS)
        (tmp_path / "outputs.npz").write_bytes(b"cut off")
        assert load_seed_result(tmp_path, self.SETTINGS) is None
        (tmp_path / "outputs.npz").unlink()
        assert load_seed_result(tmp_path, self.SETTINGS) is None


# Rows of table 4 of the GLUE paper, in its order (accuracy/F1, accuracy/F1, Pearson/Spearman, matched/mismatched), and
# the average it prints. Counting MNLI's two accuracies as two tasks would give 70.5, 61.5 and 66.7.
GLUE_TABLE = [
    (70.0, "33.6 90.4 78.0/84.4 84.3/63.1 74.2/72.3 74.1/74.5 79.8 58.9 65.1"),
    (61.3, "0.0 81.8 71.7/80.8 82.2/56.4 71.8/69.7 62.9/62.8 72.9 53.1 65.1"),
    (66.2, "7.7 83.1 76.6/83.0 82.9/59.8 79.3/79.2 71.4/71.3 78.6 59.2 65.1"),
]
PAPER_METRICS = {
    "cola": ["matthews_correlation"],
    "sst2": ["accuracy"],
    "mrpc": ["accuracy", "f1"],
    "qqp": ["accuracy", "f1"],
    "stsb": ["pearson", "spearmanr"],
    "mnli": ["accuracy", "accuracy_mm"],
    "qnli": ["accuracy"],
    "rte": ["accuracy"],
    "wnli": ["accuracy"],
}


def as_results(row: str) -> dict[str, dict]:
    cells = [[float(number) / 100 for number in cell.split("/")] for cell in row.split()]
    return {
        task: {f"eval_{name}": {"median": value} for name, value in zip(names, cell, strict=True)}
        for (task, names), cell in zip(PAPER_METRICS.items(), cells, strict=True)
    }


@pytest.mark.parametrize(("average", "row"), GLUE_TABLE)
def test_the_glue_average_is_that_of_the_papers_table(average, row):
    found = glue_average(as_results(row) | {"imdb": {"eval_accuracy": {"median": 0.9}}})
    assert found["average"] * 100 == pytest.approx(average, abs=0.06)
    assert found["average_without_wnli"] == pytest.approx((found["average"] * 9 - 0.651) / 8)
    assert found["missing"] == [] and "imdb" not in found["tasks"]


def test_the_average_of_the_electra_paper_takes_one_metric_a_task():
    found = glue_average(as_results(GLUE_TABLE[0][1]))
    assert found["electra_average"] * 800 == pytest.approx(33.6 + 90.4 + 78.0 + 84.3 + 72.3 + 74.1 + 79.8 + 58.9)


def test_missing_tasks_are_named_and_not_counted(tmp_path):
    results = as_results(GLUE_TABLE[0][1])
    results["mnli"]["eval_accuracy_mm"] = {"median": None}
    found = glue_average({task: results[task] for task in ("cola", "sst2", "mnli")})
    assert found["average"] == pytest.approx((0.336 + 0.904) / 2)
    assert found["missing"] == ["mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]
    assert json.loads(save_glue_average(found, tmp_path).read_text()) == found
    assert glue_average({})["average"] is None
