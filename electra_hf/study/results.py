"""What a study has found: everything that its jobs wrote, as one object."""

import dataclasses
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from electra_hf.corpora.storage import read_json
from electra_hf.corpora.workers import available_cores
from electra_hf.errors import ElectraHfError
from electra_hf.finetuning.comparison import compare_runs, compared_row
from electra_hf.finetuning.metrics import LOWER_IS_BETTER
from electra_hf.finetuning.scores import ALL_FILE, ELECTRA_METRICS, known_metrics, versions
from electra_hf.finetuning.statistics import summarize
from electra_hf.study.definition import Run, Study, Task
from electra_hf.study.jobs import FINETUNED, PRETRAINED, JobFiles
from electra_hf.study.plan import RunPlan

AVERAGE = "eval_average"
# Relative; what the Trainer counts is exact, so that anything else than rounding is another model or another step.
_SAME_FLOPS = 1e-3
_NO_METRIC = ("runtime", "per_second", "preparation_time")


def collect(
    study: Study, plans: Mapping[str, RunPlan], files: Sequence[JobFiles], outcomes: Mapping[str, str]
) -> dict[str, Any]:
    """All results so far.

    Args:
        study: What was asked for.
        plans: Of each run.
        files: Of all jobs.
        outcomes: Job key to how it ended; jobs that are not in it have not ended.

    Returns:
        JSON values. `models` are the runs and then the baselines, each with `name`, `kind`, `state`, `options`,
        `parameters`, `steps`, `tokens`, `flops` (as the Trainer counted them), `planned_flops`, `seconds` (of the
        whole process, over all attempts), `metrics` (on held-out text), `tasks` (name to `state`, `metric` and, if
        done, `seeds` and a `statistics.Summary`), `average` (over the tasks, for each seed) and `notes`. `comparison`
        is as from `finetuning.comparison.compare_runs`, with the first run as baseline, or None.
    """
    by_key = {one.job.key: one for one in files}
    notes: list[str] = []
    models = [_run(run, plans[run.name], by_key[f"{PRETRAINED}/{run.name}"], outcomes) for run in study.runs]
    models += [
        {
            "name": baseline.name,
            "kind": "baseline",
            "options": baseline.options | ({"run": baseline.run} if baseline.run else {}),
            # Fresh weights have cost nothing; what a published model has cost is not known here.
            "flops": 0 if baseline.run else None,
            "metrics": {},
            "notes": [],
        }
        for baseline in study.baselines
    ]
    for model in models:
        model["tasks"] = {
            task.name: _score(task, by_key[f"{FINETUNED}/{model['name']}/{task.name}"], outcomes)
            for task in study.tasks
        }
        model["average"] = _average(model["tasks"])
    return {
        "study": study.path.name,
        "budget": {study.budget.kind: study.budget.amount},
        "corpus": study.corpus,
        "tasks": [task.name for task in study.tasks],
        "models": models,
        "comparison": _comparison(study, models, notes),
        "notes": notes,
        "machine": describe_machine(),
        "versions": versions(),
    }


def _run(run: Run, plan: RunPlan, files: JobFiles, outcomes: Mapping[str, str]) -> dict[str, Any]:
    folder, state = files.job.folder, outcomes.get(files.job.key, "left")
    found: dict[str, Any] = {
        "name": run.name,
        "kind": "run",
        "state": state,
        "options": files.job.options,
        "budget_factor": run.budget_factor,
        "parameters": plan.parameters,
        "encoder_parameters": plan.encoder_parameters,
        "tokens_per_step": plan.tokens_per_step,
        "planned_steps": plan.steps,
        "planned_flops": plan.flops,
        "steps": None,
        "tokens": None,
        "flops": None,
        "seconds": round(files.seconds, 1),
        "metrics": {},
        "notes": [],
    }
    if state == "failed":
        found["log"] = files.last_lines(20)
    if state != "done":
        return found
    trained = read_json(folder / "trainer_state.json") or {}
    steps, flops = int(trained["global_step"]), float(trained["total_flos"])
    found |= {"steps": steps, "tokens": steps * plan.tokens_per_step, "flops": flops, "epochs": trained.get("epoch")}
    found["metrics"] = {
        name: value
        for name, value in (read_json(folder / "eval_results.json") or {}).items()
        if name.startswith("eval_")
        and not name.endswith(_NO_METRIC)
        and isinstance(value, int | float)
        and math.isfinite(value)  # the precision of a detector that suspects nothing is no number
    }
    expected = steps * plan.flops_per_step
    if not math.isclose(flops, expected, rel_tol=_SAME_FLOPS):
        found["notes"].append(
            f"counted {flops:.4g} FLOPs while training, and {expected:.4g} were expected for its {steps:,} steps "
            f"({flops / expected - 1:+.1%}): the budgets are not equal"
        )
    if plan.steps is not None and steps != plan.steps:
        found["notes"].append(f"ended after {steps:,} of {plan.steps:,} steps")
    return found


def _score(task: Task, files: JobFiles, outcomes: Mapping[str, str]) -> dict[str, Any]:
    state = outcomes.get(files.job.key, "left")
    found: dict[str, Any] = {"state": state, "metric": None, "seconds": round(files.seconds, 1)}
    if state == "failed":
        found["log"] = files.last_lines(20)
    content = read_json(files.job.folder / ALL_FILE) if state == "done" else None
    if content is None:
        return found
    found["metric"] = key = _shown_metric(task, content)
    if key is None:
        return found | {"state": "failed", "log": [f"no metric {task.score}: there are {_listing(content)}"]}
    found |= {"seeds": content["seeds"], "findings": content.get("findings", {}), **content[key]}
    return found


def _listing(content: Mapping[str, Any]) -> str:
    return ", ".join(known_metrics(content))


def _shown_metric(task: Task, content: Mapping[str, Any]) -> str | None:
    """The one that was asked for, or the ELECTRA paper's for the task, or the task's first."""
    wanted = task.score or ELECTRA_METRICS.get(content["task_name"], content["metrics"][0])
    return next((key for key in (wanted, f"eval_{wanted}", f"test_{wanted}") if key in known_metrics(content)), None)


def _average(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The mean over the tasks for each seed that all of them have; None unless all are done and larger is better."""
    if len(tasks) < 2 or any("values" not in task or _is_loss(task["metric"]) for task in tasks.values()):
        return None
    by_seed = [dict(zip(task["seeds"], task["values"], strict=True)) for task in tasks.values()]
    seeds = [seed for seed in by_seed[0] if all(scores.get(seed) is not None for scores in by_seed)]
    if not seeds:
        return None
    means = [statistics.fmean(scores[seed] for scores in by_seed) for seed in seeds]
    return {"seeds": seeds, **dataclasses.asdict(summarize(means))}


def _is_loss(key: str) -> bool:
    return key.partition("_")[2] in LOWER_IS_BETTER


def _comparison(study: Study, models: Sequence[Mapping[str, Any]], notes: list[str]) -> dict[str, Any] | None:
    """Every model that has all tasks against the first run, task by task, and the average."""
    whole = [model for model in models if study.tasks and all("values" in task for task in model["tasks"].values())]
    if len(whole) < 2 or whole[0] is not models[0]:
        if study.tasks and models[0] not in whole:
            notes.append(f"no differences are given, since {models[0]['name']}, the first run, has not done all tasks")
        return None
    if left_out := [model["name"] for model in models if model not in whole]:
        notes.append(f"not compared, since tasks are missing: {', '.join(left_out)}")
    rows: list[dict[str, Any]] = []
    said: list[str] = []
    for task in study.tasks:
        folders = [study.output_dir / FINETUNED / model["name"] / task.name for model in whole]
        try:
            compared = compare_runs(folders, whole[0]["tasks"][task.name]["metric"])
        except ElectraHfError as error:
            notes.append(f"{task.name} is not compared: {error}")
            continue
        rows += [row | {"task": task.name} for row in compared["rows"]]
        said = [note for note in compared["notes"] if "scores compared" not in note]
    if not rows:
        return None
    averages = [model["average"] for model in whole]
    if all(averages) and len({tuple(average["seeds"]) for average in averages}) == 1:
        contents = [{"seeds": average["seeds"], AVERAGE: average} for average in averages]
        rows.append(compared_row("average", AVERAGE, [model["name"] for model in whole], contents))
    described = [{"name": model["name"], "model": _model_of(model), "folder": ""} for model in whole]
    return {"models": described, "rows": rows, "notes": said}


def _model_of(model: Mapping[str, Any]) -> str:
    options = model["options"]
    if model["kind"] == "run":
        return f"{PRETRAINED}/{model['name']}"
    return str(options.get("model_name_or_path") or f"fresh weights, as {options['run']}")


def describe_machine() -> dict[str, Any]:
    """Processor, cores and GPUs."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "processor": next(named, platform.processor() or platform.machine()),
        "cores": available_cores(),
        "threads_per_job": os.environ.get("OMP_NUM_THREADS"),
        "gpus": gpus,
        "system": platform.system(),
    }
