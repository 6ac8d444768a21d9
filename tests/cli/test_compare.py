"""`electra-hf compare` and `electra-hf submission`: from run folders to tables, files and clear refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from electra_hf.cli import run
from electra_hf.errors import CheckpointError, UsageError
from electra_hf.finetuning.comparison import compare_runs
from electra_hf.finetuning.statistics import summarize
from electra_hf.finetuning.submission import FILES, write_predictions
from electra_hf.finetuning.tasks.task import Task

SEEDS = [42, 43, 44, 45, 46]
A, B, C = [0.80, 0.82, 0.79, 0.81, 0.80], [0.83, 0.84, 0.80, 0.85, 0.82], [0.80, 0.83, 0.80, 0.81, 0.80]


def write_run(folder: Path, values: list, task: str = "sst2", seeds: list | None = None, **changes) -> Path:
    def statistics(numbers: list) -> dict:
        return summarize([n or 0.0 for n in numbers]).__dict__ | {"values": numbers}

    content = {
        "task_name": task,
        "model": f"models/{folder.name}",
        "metrics": ["accuracy"],
        "seeds": seeds or SEEDS,
        "data": {"train": {"rows": 100, "sha256": "a"}, "validation": {"rows": 50, "sha256": "b"}},
        "eval_accuracy": statistics(values),
        "eval_loss": statistics([1 - value for value in values if value is not None]),
    }
    folder.mkdir(parents=True, exist_ok=True)
    tests = {"test_accuracy": statistics([0.7 for _ in values])}
    (folder / "eval_results.json").write_text(json.dumps(content | changes))
    (folder / "test_results.json").write_text(json.dumps(content | tests))
    return folder


def test_two_runs_are_paired_by_seed_whatever_their_order(tmp_path):
    first = write_run(tmp_path / "a", A)
    second = write_run(tmp_path / "b", B[::-1], seeds=SEEDS[::-1])
    found = compare_runs([first, second])
    evaluated, tested = found["rows"]
    test = scipy.stats.ttest_rel(B, A)
    compared = evaluated["comparisons"][1]
    assert evaluated["comparisons"][0] is None and evaluated["seeds"] == SEEDS
    assert compared["difference"] == pytest.approx(np.mean(B) - np.mean(A))
    assert compared["p_t"] == compared["p_t_holm"] == pytest.approx(test.pvalue)
    interval = test.confidence_interval(0.95)
    assert (compared["low"], compared["high"]) == pytest.approx((interval.low, interval.high))
    assert compared["p_exact"] == 2 / 2**5
    assert list(evaluated["models"][1]["values"]) == B
    assert (tested["metric"], tested["comparisons"][1]["difference"]) == ("test_accuracy", 0.0)


def test_runs_of_taggers_are_compared_by_their_metrics(tmp_path):
    def tagged(name: str, values: list) -> Path:
        f1 = summarize(values).__dict__
        scores = {"eval_f1": f1, "eval_precision": f1, "eval_macro_f1": f1, "eval_PER_f1": f1, "eval_PER_number": f1}
        return write_run(tmp_path / name, values, task="wnut17", metrics=["f1", "macro_f1"], **scores)

    runs = [tagged("softmax", A), tagged("crf", B)]
    rows = compare_runs(runs)["rows"]
    assert [(row["task"], row["metric"]) for row in rows] == [("wnut17", "eval_f1"), ("wnut17", "eval_macro_f1")]
    assert rows[0]["comparisons"][1]["difference"] == pytest.approx(np.mean(B) - np.mean(A))
    assert [row["metric"] for row in compare_runs(runs, "PER_f1")["rows"]] == ["eval_PER_f1"]


def test_three_models_are_corrected_within_a_row(tmp_path):
    runs = [write_run(tmp_path / name, values) for name, values in (("a", A), ("b", B), ("c", C))]
    row = compare_runs(runs, "eval_accuracy")["rows"][0]
    p = [scipy.stats.ttest_rel(values, A).pvalue for values in (B, C)]
    assert p[0] < p[1]
    assert row["comparisons"][1]["p_t_holm"] == pytest.approx(2 * p[0])
    assert row["comparisons"][2]["p_t_holm"] == pytest.approx(max(p[1], 2 * p[0]))


def test_the_command_prints_and_writes_the_comparison(tmp_path, capsys):
    write_run(tmp_path / "a" / "sst2", A)
    write_run(tmp_path / "a" / "cola", A, task="cola")
    write_run(tmp_path / "日本語" / "one", B)
    write_run(tmp_path / "日本語" / "two", C, task="cola")
    run(["compare", str(tmp_path / "a"), str(tmp_path / "日本語"), "--output", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "A  a" in printed and "B  日本語" in printed and "+2.40" in printed
    assert "5 seeds: a difference must exceed" in printed
    text = (tmp_path / "out" / "comparison.md").read_text(encoding="utf-8")
    assert text.index("| cola |") < text.index("| sst2 |") and "`models/one, models/two`" in text
    content = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert len(content["rows"]) == 4
    assert (tmp_path / "out" / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_runs_of_equal_names_are_told_apart(tmp_path):
    runs = [write_run(tmp_path / parent / "sst2", A) for parent in ("a", "b")]
    assert [model["name"] for model in compare_runs(runs)["models"]] == ["a/sst2", "b/sst2"]


def test_one_seed_is_compared_and_said_to_show_nothing(tmp_path):
    runs = [write_run(tmp_path / name, values, seeds=[1]) for name, values in (("a", [0.5]), ("b", [0.6]))]
    found = compare_runs(runs, "accuracy")
    assert found["rows"][0]["comparisons"][1]["difference"] == pytest.approx(0.1)
    assert "1 seed: no spread" in found["notes"][0]


def test_a_metric_can_be_chosen_by_name_or_key(tmp_path):
    runs = [write_run(tmp_path / "a", A), write_run(tmp_path / "b", B)]
    assert [row["metric"] for row in compare_runs(runs, "loss")["rows"]] == ["eval_loss"]
    assert [row["metric"] for row in compare_runs(runs, "test_accuracy")["rows"]] == ["test_accuracy"]
    with pytest.raises(UsageError, match=r"--metric f1: not in all.*eval_accuracy, eval_loss, test_accuracy"):
        compare_runs(runs, "f1")


DATA = {"train": {"rows": 90, "sha256": "c"}, "validation": {"rows": 50, "sha256": "b"}}
OTHER = {"train": {"rows": 100, "sha256": "a"}, "validation": {"rows": 50, "sha256": "z"}}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seeds": [42, 43, 44, 45, 47]}, r"sst2: a has the seeds 46, b has not.*--num_seeds"),
        ({"task": "cola"}, r"a has results for sst2, b has none"),
        ({"data": DATA}, r"train has 100 examples in a and 90 in b.*--max_train_samples"),
        ({"data": OTHER}, r"the 50 examples of validation differ between a and b"),
        ({"values": [0.8, None, 0.8, 0.8, 0.8]}, r"eval_accuracy of b is not a number for the seeds 43"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(tmp_path, other, message):
    runs = [write_run(tmp_path / "a", A), write_run(tmp_path / "b", **({"values": B} | other))]
    with pytest.raises(UsageError, match=message):
        compare_runs(runs)


def test_folders_that_hold_no_results_are_refused(tmp_path):
    good = write_run(tmp_path / "a", A)
    with pytest.raises(UsageError, match="two or more"):
        compare_runs([good])
    with pytest.raises(UsageError, match="given twice"):
        compare_runs([good, tmp_path / "b" / ".." / "a"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty: no eval_results.json.*run_glue.py"):
        compare_runs([good, tmp_path / "empty"])
    (tmp_path / "empty" / "eval_results.json").write_text('{"eval_loss": 5.0}')
    with pytest.raises(CheckpointError, match="not results of run_glue.py or run_ner.py over seeds"):
        compare_runs([good, tmp_path / "empty"])


def test_the_submission_command_writes_and_checks_the_zip(tmp_path, capsys):
    task = Task("wnli", labels=("not_entailment", "entailment"))
    rows = FILES["WNLI.tsv"].rows
    logits = np.tile([0.0, 1.0], (rows, 1))
    write_predictions(tmp_path / "run", task, "test", logits, [str(n) for n in range(rows)], task.labels)
    arguments = ["submission", str(tmp_path / "run"), "--output", str(tmp_path / "glue.zip")]
    with pytest.raises(UsageError, match="lacks CoLA.tsv"):
        run(arguments)
    run([*arguments, "--allow_missing"])
    printed = capsys.readouterr().out
    assert "WNLI.tsv" in printed and "not complete" in printed and "CoLA.tsv: missing" in printed
    assert (tmp_path / "glue.zip").is_file()


def test_a_test_split_that_only_one_run_judged_is_left_out(tmp_path):
    data = {"train": {"rows": 100, "sha256": "a"}, "validation": {"rows": 50, "sha256": "b"}}
    first = write_run(tmp_path / "a", A, data=data | {"test": {"rows": 9, "sha256": "t"}})
    second = write_run(tmp_path / "b", B)
    (second / "test_results.json").unlink()
    assert [row["metric"] for row in compare_runs([first, second])["rows"]] == ["eval_accuracy"]
