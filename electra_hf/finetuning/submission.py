"""Predictions for texts without labels: readable files, and the zip that GLUE's server takes.

GLUE wants one tab-separated file a task, without folders in the zip, with the header `index<TAB>prediction` and a row
for each test example, numbered from 0. Predictions are class names for RTE, QNLI, MNLI and the diagnostic set, a
number from 0 to 5 for STS-B, and 0 or 1 for all others (gluebenchmark.com/faq).
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from electra_hf.corpora.storage import publish
from electra_hf.errors import CorpusError, UsageError
from electra_hf.finetuning.metrics import decode
from electra_hf.finetuning.tasks.task import Task

SUBMISSION_FOLDER = "submission"  # beside a run's other files; its TSV files go into the zip as they are
_THREE = ("entailment", "neutral", "contradiction")
_TWO = ("entailment", "not_entailment")


@dataclass(frozen=True)
class SubmissionFile:
    """One file of the zip: its number of rows, and the names the server knows; none: 0 or 1; empty: a score."""

    rows: int
    names: tuple[str, ...] | None = None


FILES = {
    "CoLA.tsv": SubmissionFile(1_063),
    "SST-2.tsv": SubmissionFile(1_821),
    "MRPC.tsv": SubmissionFile(1_725),
    "STS-B.tsv": SubmissionFile(1_379, ()),
    "QQP.tsv": SubmissionFile(390_965),
    "MNLI-m.tsv": SubmissionFile(9_796, _THREE),
    "MNLI-mm.tsv": SubmissionFile(9_847, _THREE),
    "QNLI.tsv": SubmissionFile(5_463, _TWO),
    "RTE.tsv": SubmissionFile(3_000, _TWO),
    "WNLI.tsv": SubmissionFile(146),
    "AX.tsv": SubmissionFile(1_104, _THREE),
}
_FILE_OF_TASK = {
    "cola": "CoLA.tsv",
    "sst2": "SST-2.tsv",
    "mrpc": "MRPC.tsv",
    "stsb": "STS-B.tsv",
    "qqp": "QQP.tsv",
    "qnli": "QNLI.tsv",
    "rte": "RTE.tsv",
    "wnli": "WNLI.tsv",
    "ax": "AX.tsv",
}


def submission_file(task: str, split: str) -> str | None:
    """Name of GLUE's file for a split; None for what GLUE does not take.

    >>> submission_file("mnli", "test_mismatched"), submission_file("ax", "test"), submission_file("imdb", "test")
    ('MNLI-mm.tsv', 'AX.tsv', None)
    """
    if task in ("mnli", "ax") and split == "diagnostic":
        return "AX.tsv"
    if task == "mnli":
        return {"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv"}.get(split)
    return _FILE_OF_TASK.get(task) if split == "test" else None


def write_predictions(
    folder: Path,
    task: Task,
    split: str,
    logits: np.ndarray,
    idx: Sequence[str],
    labels: Sequence[str],
) -> list[Path]:
    """Write what a model predicts for a split.

    Args:
        folder: Gets `predict_results_<task>.txt`, as from `run_glue.py` (`_mnli-mm`, `_ax`: those splits of MNLI), and
            for a test split of GLUE also `submission/<file>.tsv`.
        task: The task.
        split: Which split the outputs are for.
        logits: (examples, outputs), the columns in the order of `labels`.
        idx: The published number or id of each row.
        labels: Names of the labels; empty for regression. `task.label_separator` stands between those of a multi-label
            prediction.

    Returns:
        The files.

    Raises:
        UsageError: If GLUE's server does not know a label's name, or a row of its test sets has no number.
    """
    predictions, idx = decode(logits, task.kind, task.score_scale).tolist(), list(idx)
    if len(predictions) != len(idx):
        raise ValueError(f"{len(predictions)} predictions for {len(idx)} rows")
    if task.kind == "regression":
        named = [f"{score:.3f}" for score in predictions]
    elif task.kind == "multi_label":
        named = [
            task.label_separator.join(label for label, chosen in zip(labels, row, strict=True) if chosen)
            for row in predictions
        ]
    else:
        named = [str(labels[number]) for number in predictions]
    suffix = {"test_mismatched": "-mm", "diagnostic": "-ax"}.get(split, "") if task.name == "mnli" else ""
    name = "ax" if suffix == "-ax" else f"{task.name}{suffix}"
    readable = folder / f"predict_results_{name}.txt"
    folder.mkdir(parents=True, exist_ok=True)
    publish(readable, _table([(row, " ".join(text.split())) for row, text in zip(idx, named, strict=True)]))
    file = submission_file(task.name, split)
    if file is None:
        return [readable]
    if FILES[file].names == ():
        named = [f"{score:.3f}" for score in np.clip(predictions, 0.0, 5.0)]
    elif FILES[file].names is None:
        # "0" and "1" as names may be in any order, other names are in the published one.
        named = [text if text in ("0", "1") else str(number) for text, number in zip(named, predictions, strict=True)]
    elif unknown := sorted(set(labels) - set(FILES[file].names or ())):
        raise UsageError(
            f"{file}: GLUE's server does not know the label {unknown[0]!r}, "
            f"only {', '.join(FILES[file].names or ())}. Take the published label names"
        )
    path = folder / SUBMISSION_FOLDER / file
    path.parent.mkdir(exist_ok=True)
    if strange := next((row for row in idx if not row.isdecimal()), None):
        raise UsageError(f"{file}: GLUE numbers its test rows from 0, and a row's idx is {strange!r}. Take its files")
    publish(path, _table(sorted(zip(idx, named, strict=True), key=lambda row: int(row[0]))))
    return [readable, path]


def _table(rows: Sequence[tuple[str, str]]) -> bytes:
    return "".join(f"{index}\t{prediction}\n" for index, prediction in [("index", "prediction"), *rows]).encode()


def write_submission(runs: Sequence[Path], zip_path: Path, *, allow_missing: bool = False) -> list[str]:
    """Put the predictions of one run or several into the zip for GLUE's server.

    Args:
        runs: Run folders with `submission/*.tsv`, or folders with one such run folder a task.
        zip_path: The zip; the same predictions give the same bytes.
        allow_missing: Write it although tasks are missing. The server takes only complete ones.

    Returns:
        Names of the files in the zip.

    Raises:
        UsageError: If a task is missing, or is in two runs.
        CorpusError: If a file is not what the server takes.
    """
    found: dict[str, Path] = {}
    for run in runs:
        files = sorted({*run.glob(f"{SUBMISSION_FOLDER}/*.tsv"), *run.glob(f"*/{SUBMISSION_FOLDER}/*.tsv")})
        files = [file for file in files if file.name in FILES]
        if not files:
            raise UsageError(
                f"{run}: no {SUBMISSION_FOLDER}/*.tsv in it. Give a folder of run_glue.py --do_predict on a GLUE task"
            )
        for file in files:
            if file.name in found:
                raise UsageError(f"{file.name}: in {found[file.name].parent} and in {file.parent}. Leave one out")
            found[file.name] = file
    missing = [name for name in FILES if name not in found]
    if missing and not allow_missing:
        raise UsageError(
            f"the submission lacks {', '.join(missing)}: the server wants all. Run the missing tasks with "
            "--do_predict (AX.tsv: --task_name ax with the MNLI model), or use --allow_missing"
        )
    contents = {name: found[name].read_bytes() for name in FILES if name in found}
    problems = [problem for name, content in contents.items() for problem in _problems(name, content)]
    if problems:
        raise CorpusError("; ".join(problems))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            # The default time of change: equal predictions, equal zip.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    zip_path.parent.mkdir(parents=True, exist_ok=True)
    publish(zip_path, buffer.getvalue())
    return list(contents)


def check_submission(zip_path: Path) -> list[str]:
    """What GLUE's server would not take in a zip, in words; nothing if it is complete and well-formed.

    Raises:
        CorpusError: If it is not a zip.
    """
    try:
        with zipfile.ZipFile(zip_path) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{zip_path}: not a readable zip ({error}). Write it with electra-hf submission") from error
    problems = [f"{name}: missing" for name in FILES if name not in contents]
    problems += [f"{name}: not a file of GLUE" for name in contents if name not in FILES]
    return [*problems, *(text for name in FILES if name in contents for text in _problems(name, contents[name]))]


def _problems(name: str, content: bytes) -> list[str]:
    """What is wrong with one file; the first bad row stands for all of them."""
    lines = content.decode("utf-8", "replace").removesuffix("\n").split("\n")
    expected = FILES[name]
    if lines[0] != "index\tprediction":
        return [f"{name}: the first line is {lines[0][:60]!r}, not 'index<TAB>prediction'"]
    problems = []
    if len(lines) - 1 != expected.rows:
        problems.append(
            f"{name}: {len(lines) - 1:,} rows, GLUE's test set has {expected.rows:,}. "
            "Predict all of it (no --max_predict_samples)"
        )
    for number, line in enumerate(lines[1:]):
        index, _, prediction = line.partition("\t")
        if index != str(number) or not _is_known(prediction, expected.names):
            problems.append(f"{name}: line {number + 2} is {line[:60]!r}")
            break
    return problems


def _is_known(prediction: str, names: tuple[str, ...] | None) -> bool:
    if names is None:
        return prediction in ("0", "1")
    if names:
        return prediction in names
    try:
        return 0.0 <= float(prediction) <= 5.0
    except ValueError:
        return False
