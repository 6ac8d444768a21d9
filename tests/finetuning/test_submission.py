"""The zip for GLUE's server, against a reader written from the format that GLUE states."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from electra_hf.errors import CorpusError, UsageError
from electra_hf.finetuning import submission
from electra_hf.finetuning.submission import SubmissionFile, check_submission, write_predictions, write_submission
from electra_hf.finetuning.tasks.task import Task

# As gluebenchmark.com states it: file, rows of the test set, and what a prediction may be.
STATED = {
    "CoLA.tsv": (1063, {"0", "1"}),
    "SST-2.tsv": (1821, {"0", "1"}),
    "MRPC.tsv": (1725, {"0", "1"}),
    "STS-B.tsv": (1379, None),
    "QQP.tsv": (390965, {"0", "1"}),
    "MNLI-m.tsv": (9796, {"entailment", "neutral", "contradiction"}),
    "MNLI-mm.tsv": (9847, {"entailment", "neutral", "contradiction"}),
    "QNLI.tsv": (5463, {"entailment", "not_entailment"}),
    "RTE.tsv": (3000, {"entailment", "not_entailment"}),
    "WNLI.tsv": (146, {"0", "1"}),
    "AX.tsv": (1104, {"entailment", "neutral", "contradiction"}),
}
NLI = ("entailment", "neutral", "contradiction")
SPLITS = {
    "CoLA.tsv": (Task("cola", labels=("unacceptable", "acceptable")), "test"),
    "SST-2.tsv": (Task("sst2", labels=("negative", "positive")), "test"),
    "MRPC.tsv": (Task("mrpc", labels=("not_equivalent", "equivalent")), "test"),
    "STS-B.tsv": (Task("stsb", "regression", ("pearson",), score_scale=5.0), "test"),
    "QQP.tsv": (Task("qqp", labels=("not_duplicate", "duplicate")), "test"),
    "MNLI-m.tsv": (Task("mnli", labels=NLI), "test_matched"),
    "MNLI-mm.tsv": (Task("mnli", labels=NLI), "test_mismatched"),
    "QNLI.tsv": (Task("qnli", labels=("entailment", "not_entailment")), "test"),
    "RTE.tsv": (Task("rte", labels=("entailment", "not_entailment")), "test"),
    "WNLI.tsv": (Task("wnli", labels=("not_entailment", "entailment")), "test"),
    "AX.tsv": (Task("ax", labels=NLI), "diagnostic"),
}


def read_as_the_server(path: Path, rows: dict[str, int]) -> dict[str, list[str]]:
    """All files flat in the zip, a header, one row for each test example in order, only what GLUE allows."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == sorted(STATED)
        for name in archive.namelist():
            text = io.TextIOWrapper(archive.open(name), "utf-8", newline="")
            table = list(csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE))
            assert table[0] == ["index", "prediction"]
            assert [row[0] for row in table[1:]] == [str(number) for number in range(rows[name])]
            found[name] = [row[1] for row in table[1:]]
            allowed = STATED[name][1]
            assert all(0 <= float(p) <= 5 if allowed is None else p in allowed for p in found[name])
    return found


def predict(folder: Path, file: str, rows: int, seed: int = 0, **changes) -> np.ndarray:
    task, split = SPLITS[file]
    width = max(1, len(task.labels))
    logits = np.random.default_rng(seed).normal(loc=0.5, size=(rows, width)).astype(np.float32)
    arguments = {"idx": [str(number) for number in range(rows)], "labels": task.labels} | changes
    write_predictions(folder, task, split, logits, **arguments)
    return logits


@pytest.fixture
def small(monkeypatch) -> dict[str, int]:
    """Test sets of 3 to 13 rows in place of GLUE's."""
    rows = {name: 3 + number for number, name in enumerate(STATED)}
    shrunk = {name: SubmissionFile(rows[name], file.names) for name, file in submission.FILES.items()}
    monkeypatch.setattr(submission, "FILES", shrunk)
    return rows


@pytest.fixture
def runs(tmp_path, small) -> list[Path]:
    """A folder of several tasks, and one of MNLI with both of its test sets."""
    for name, rows in small.items():
        task, _ = SPLITS[name]
        predict(tmp_path / "mnli" if task.name == "mnli" else tmp_path / "all" / task.name, name, rows)
    return [tmp_path / "all", tmp_path / "mnli"]


def test_the_files_and_row_counts_are_those_that_glue_states():
    assert {name: file.rows for name, file in submission.FILES.items()} == {
        name: rows for name, (rows, _) in STATED.items()
    }


def test_a_zip_of_several_runs_is_what_the_server_takes(runs, small, tmp_path):
    path = tmp_path / "deep" / "glue.zip"
    assert set(write_submission(runs, path)) == set(STATED)
    found = read_as_the_server(path, small)
    assert check_submission(path) == []
    for name in STATED:
        task, _ = SPLITS[name]
        logits = np.random.default_rng(0).normal(loc=0.5, size=(small[name], max(1, len(task.labels))))
        logits = logits.astype(np.float32)
        if name == "STS-B.tsv":
            expected = [f"{min(5.0, max(0.0, 5 * float(score))):.3f}" for score in logits[:, 0]]
        elif STATED[name][1] == {"0", "1"}:
            expected = [str(number) for number in logits.argmax(1)]
        else:
            expected = [task.labels[number] for number in logits.argmax(1)]
        assert found[name] == expected


def test_a_full_sized_file_passes(tmp_path):
    predict(tmp_path / "wnli", "WNLI.tsv", 146)
    path = tmp_path / "glue.zip"
    assert write_submission([tmp_path / "wnli"], path, allow_missing=True) == ["WNLI.tsv"]
    assert check_submission(path) == [f"{name}: missing" for name in STATED if name != "WNLI.tsv"]


def test_the_same_predictions_are_the_same_bytes(runs, tmp_path):
    for name in ("a.zip", "b.zip"):
        write_submission(runs, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_missing_tasks_are_an_error_unless_allowed(runs, tmp_path):
    with pytest.raises(UsageError, match=r"lacks CoLA.tsv, SST-2.tsv.*--allow_missing"):
        write_submission(runs[1:], tmp_path / "glue.zip")
    assert write_submission(runs[1:], tmp_path / "glue.zip", allow_missing=True) == ["MNLI-m.tsv", "MNLI-mm.tsv"]


def test_a_task_in_two_runs_and_a_folder_without_predictions_are_errors(runs, tmp_path):
    with pytest.raises(UsageError, match=r"MNLI-m.tsv: in .*Leave one out"):
        write_submission([*runs, runs[1]], tmp_path / "glue.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="--do_predict"):
        write_submission([tmp_path / "empty"], tmp_path / "glue.zip")


def test_a_part_of_a_test_set_is_refused(tmp_path):
    predict(tmp_path / "rte", "RTE.tsv", 100)
    with pytest.raises(CorpusError, match=r"RTE.tsv: 100 rows, GLUE's test set has 3,000.*--max_predict_samples"):
        write_submission([tmp_path / "rte"], tmp_path / "glue.zip", allow_missing=True)
    assert not (tmp_path / "glue.zip").exists()


def test_rows_are_in_the_order_of_their_published_numbers(tmp_path):
    logits = predict(tmp_path, "SST-2.tsv", 12, idx=[str(number) for number in reversed(range(12))])
    lines = (tmp_path / "submission" / "SST-2.tsv").read_text().splitlines()
    assert lines[1:] == [f"{number}\t{logits[11 - number].argmax()}" for number in range(12)]
    with pytest.raises(UsageError, match="idx is 'a'"):
        predict(tmp_path, "SST-2.tsv", 1, idx=["a"])


def test_labels_named_0_and_1_keep_their_names_and_unknown_ones_are_refused(tmp_path):
    logits = predict(tmp_path, "CoLA.tsv", 6, labels=("1", "0"))
    lines = (tmp_path / "submission" / "CoLA.tsv").read_text().splitlines()
    assert [line.split("\t")[1] for line in lines[1:]] == [str(1 - row.argmax()) for row in logits]
    with pytest.raises(UsageError, match="does not know the label 'no'"):
        predict(tmp_path, "RTE.tsv", 6, labels=("yes", "no"))


def test_readable_predictions_are_named_as_by_run_glue(tmp_path):
    task = Task("imdb", labels=("neg", "pos"))
    [path] = write_predictions(tmp_path, task, "test", np.eye(2), ["a7", "b9"], task.labels)
    assert path.name == "predict_results_imdb.txt"
    assert path.read_text() == "index\tprediction\na7\tneg\nb9\tpos\n"
    several = Task("own", "multi_label", ("micro_f1",), labels=("a", "b"))
    [path] = write_predictions(tmp_path, several, "test", np.array([[1.0, 2.0], [-1.0, -1.0]]), ["0", "1"], ("a", "b"))
    assert path.read_text() == "index\tprediction\n0\ta,b\n1\t\n"
    for name in ("MNLI-mm.tsv", "AX.tsv", "STS-B.tsv"):
        predict(tmp_path, name, 2)
    assert {path.name for path in tmp_path.glob("*.txt")} >= {
        "predict_results_mnli-mm.txt",
        "predict_results_ax.txt",
        "predict_results_stsb.txt",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prediction\tindex\n", "first line"),
        ("index\tprediction\n0\t1\n1\tpositive\n2\t0\n3\t0\n", r"line 3 is '1\\tpositive'"),
        ("index\tprediction\n0\t1\n2\t1\n1\t0\n3\t0\n", "line 3"),
        ("index\tprediction\n0\t1\n", "1 rows"),
    ],
)
def test_the_check_finds_what_is_wrong_in_a_file(runs, small, tmp_path, content, message):
    assert small["SST-2.tsv"] == 4
    (runs[0] / "sst2" / "submission" / "SST-2.tsv").write_text(content)
    with pytest.raises(CorpusError, match=f"SST-2.tsv: .*{message}"):
        write_submission(runs, tmp_path / "glue.zip")


def test_the_check_finds_strangers_and_things_that_are_no_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "glue.zip", "w") as archive:
        archive.writestr("submission/CoLA.tsv", "index\tprediction\n")
    problems = check_submission(tmp_path / "glue.zip")
    assert "CoLA.tsv: missing" in problems and "submission/CoLA.tsv: not a file of GLUE" in problems
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(CorpusError, match="not a readable zip"):
        check_submission(tmp_path / "text.zip")


def test_several_labels_of_a_row_are_written_as_they_were_read(tmp_path):
    task = Task("custom", "multi_label", ("micro_f1",), label_separator="; ")
    written = write_predictions(
        tmp_path, task, "test", np.array([[1.0, 2.0], [-1.0, -1.0]]), ["a", "b"], ("x, y", "z")
    )
    assert written == [tmp_path / "predict_results_custom.txt"]
    assert written[0].read_text().splitlines() == ["index\tprediction", "a\tx, y; z", "b\t"]
