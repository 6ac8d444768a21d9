"""Two or more fine-tuned models against each other: the same tasks, the same examples, the same seeds.

A seed decides the order of the examples, the head and dropout, so two models fine-tuned with one seed share part of
their luck, and the test is paired. Runs that do not share tasks, examples or seeds are refused: their difference would
not be the models'.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from electra_hf.corpora.storage import read_json
from electra_hf.errors import CheckpointError, UsageError
from electra_hf.finetuning.metrics import LOWER_IS_BETTER
from electra_hf.finetuning.scores import EVAL_FILE, GLUE_METRICS, TEST_FILE, known_metrics
from electra_hf.finetuning.statistics import holm, paired_comparison, summarize, what_seeds_can_show


def load_run(folder: Path) -> dict[str, dict[str, Any]]:
    """Results of a run: task name to the contents of its `eval_results.json` with those of `test_results.json`.

    Args:
        folder: Of one task, or with one subfolder for each task.

    Raises:
        CheckpointError: If there are no results, or a file is not what `run_glue.py` and `run_ner.py` write.
    """
    files = [folder / EVAL_FILE] if (folder / EVAL_FILE).is_file() else sorted(folder.glob(f"*/{EVAL_FILE}"))
    if not files:
        raise CheckpointError(
            f"{folder}: no {EVAL_FILE} in it, nor in a subfolder. Give the output folder of a run of "
            "run_glue.py or run_ner.py with --do_eval"
        )
    tasks: dict[str, dict[str, Any]] = {}
    for file in files:
        content = read_json(file)
        if content is None or "seeds" not in content or "task_name" not in content or not known_metrics(content):
            raise CheckpointError(
                f"{file}: not results of run_glue.py or run_ner.py over seeds. Evaluate that run again"
            )
        if content["task_name"] in tasks:
            raise CheckpointError(f"{folder}: two of its subfolders hold {content['task_name']}. Give one of them")
        tests = read_json(file.with_name(TEST_FILE)) or {}
        tasks[content["task_name"]] = content | {key: tests[key] for key in known_metrics(tests)}
    order = [*GLUE_METRICS, *tasks]
    return dict(sorted(tasks.items(), key=lambda item: order.index(item[0])))


def compare_runs(folders: Sequence[Path], metric: str | None = None) -> dict[str, Any]:
    """Compare each run with the first.

    Args:
        folders: Two or more; the first is the baseline.
        metric: Only this one, as `accuracy` or by its key `eval_accuracy`; by default the tasks' own metrics.

    Returns:
        JSON values: `models` (a `name` for people, the `model` and the `folder` of each run), `rows` (`task`,
        `metric`, `seeds`; under `models` a `statistics.Summary` each; under `comparisons` None for the baseline and
        for the others a `statistics.Comparison` with `p_t_holm` and `p_exact_holm`, corrected over the models of the
        row) and `notes`.

    Raises:
        UsageError: If there are fewer than two runs, if they differ in tasks, examples or seeds, or lack the metric.
        CheckpointError: If a folder holds no results.
    """
    if len(folders) < 2:
        raise UsageError(f"compare: {len(folders)} run given, two or more are needed. The first is the baseline")
    names = _names(folders)
    runs = {name: load_run(folder) for name, folder in zip(names, folders, strict=True)}
    baseline = runs[names[0]]
    for name in names[1:]:
        _check_same(names[0], baseline, name, runs[name])
    rows = []
    for task in baseline:
        results = [runs[name][task] for name in names]
        rows += [compared_row(task, key, names, results) for key in _chosen_keys(results, metric)]
    if not rows:
        known = sorted({key for content in baseline.values() for key in known_metrics(content)})
        raise UsageError(f"--metric {metric}: not in all of the runs. {names[0]} has {', '.join(known)}")
    seeds = min(len(row["seeds"]) for row in rows)
    notes = [what_seeds_can_show(seeds, len(names) - 1)]
    if len(names) > 2:
        notes.append(
            f"p-values are corrected (Holm) for comparing {len(names) - 1} models with the baseline; intervals are not"
        )
    if len(rows) > 1:
        notes.append(
            f"p-values are not corrected for the {len(rows)} scores compared: of that many, "
            f"{0.05 * len(rows):.1f} would fall below 0.05 by chance alone"
        )
    return {
        "models": [
            {"name": name, "model": _model(runs[name]), "folder": str(folder)}
            for name, folder in zip(names, folders, strict=True)
        ],
        "rows": rows,
        "notes": notes,
    }


def _names(folders: Sequence[Path]) -> list[str]:
    """As few of the last parts of the paths as tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        raise UsageError("compare: the same run is given twice. Name different folders")
    length = next(n for n in range(1, max(map(len, parts)) + 1) if len({part[-n:] for part in parts}) == len(parts))
    return ["/".join(part[-length:]) for part in parts]


def _model(run: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(sorted({str(content.get("model", "")) for content in run.values()}))


def _check_same(
    first: str, baseline: Mapping[str, Mapping[str, Any]], name: str, run: Mapping[str, Mapping[str, Any]]
) -> None:
    for one, other, tasks in (
        (first, name, baseline.keys() - run.keys()),
        (name, first, run.keys() - baseline.keys()),
    ):
        if tasks:
            raise UsageError(
                f"{one} has results for {', '.join(sorted(tasks))}, {other} has none. Run the same tasks, or give the "
                "folders of single tasks"
            )
    for task, content in baseline.items():
        for one, other, a, b in ((first, name, content, run[task]), (name, first, run[task], content)):
            if seeds := sorted(set(a["seeds"]) - set(b["seeds"])):
                raise UsageError(
                    f"{task}: {one} has the seeds {_listing(seeds)}, {other} has not. Fine-tune both with the same "
                    "--seed and --num_seeds"
                )
        ours, theirs = content.get("data") or {}, run[task].get("data") or {}
        # A test split may be judged in one run only: then there is nothing of it to compare.
        for split in ours.keys() & theirs.keys():
            if ours[split] != theirs[split]:
                raise UsageError(f"{task}: {_different_data(split, first, ours[split], name, theirs[split])}")


def _different_data(split: str, first: str, ours: Mapping[str, Any], name: str, theirs: Mapping[str, Any]) -> str:
    if ours["rows"] != theirs["rows"]:
        found = f"{split} has {ours['rows']:,} examples in {first} and {theirs['rows']:,} in {name}"
    else:
        found = f"the {ours['rows']:,} examples of {split} differ between {first} and {name}"
    return f"{found}. Use the same files, --split_seed and --max_train_samples, --max_eval_samples"


def _listing(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))


def _chosen_keys(results: Sequence[Mapping[str, Any]], metric: str | None) -> list[str]:
    """Keys that all runs have and that are asked for, in the order of the tasks' metrics."""
    shared = [key for key in known_metrics(results[0]) if all(key in known_metrics(result) for result in results)]
    wanted = [metric] if metric else list(results[0].get("metrics") or [])
    chosen = [
        key
        for name in wanted
        for key in shared
        if key == name or any(key == f"{prefix}_{name}{end}" for prefix in ("eval", "test") for end in ("", "_mm"))
    ]
    return sorted(chosen, key=shared.index) if not metric else chosen


def compared_row(task: str, key: str, names: Sequence[str], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One of the `rows` of `compare_runs`.

    Args:
        task: Its name.
        key: Of the metric.
        names: Of the models, the baseline first.
        results: Of each model: `seeds`, and under the key the `values`.

    Raises:
        UsageError: If a value is None, since the training of that seed diverged.
    """
    seeds = sorted(results[0]["seeds"])
    values = []
    for name, result in zip(names, results, strict=True):
        by_seed = dict(zip(result["seeds"], result[key]["values"], strict=True))
        if missing := [seed for seed in seeds if by_seed[seed] is None]:
            raise UsageError(
                f"{task}: {key} of {name} is not a number for the seeds {_listing(missing)} (the training diverged). "
                "Fine-tune again, or choose another --metric"
            )
        values.append([by_seed[seed] for seed in seeds])
    comparisons = [dataclasses.asdict(paired_comparison(values[0], other)) for other in values[1:]]
    for kind in ("p_t", "p_exact"):
        known = [comparison for comparison in comparisons if comparison[kind] is not None]
        corrected = dict(zip(map(id, known), holm([comparison[kind] for comparison in known]), strict=True))
        for comparison in comparisons:
            comparison[f"{kind}_holm"] = corrected.get(id(comparison))
    higher = key.partition("_")[2].removesuffix("_mm") not in LOWER_IS_BETTER
    return {
        "task": task,
        "metric": key,
        "seeds": seeds,
        "models": [dataclasses.asdict(summarize(value, higher_is_better=higher)) for value in values],
        "comparisons": [None, *comparisons],
    }
