"""`electra-hf study STUDY.yaml`: pre-train in several ways at equal budgets, fine-tune each model, compare.

Runs are scripts in processes of their own. The same command goes on with what was interrupted, and tries again what
has failed. docs/studies.md describes the file.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from electra_hf.corpora.storage import publish, to_json
from electra_hf.errors import TrainingError, UsageError
from electra_hf.sharing.scores import markdown_table
from electra_hf.sharing.study_pictures import plot_study
from electra_hf.sharing.study_tables import format_count, format_flops, study_markdown, study_table
from electra_hf.study.board import Board
from electra_hf.study.definition import Study, read_study
from electra_hf.study.jobs import Job, JobFiles, corpus_jobs, training_jobs
from electra_hf.study.plan import RunPlan, plan_study
from electra_hf.study.results import collect
from electra_hf.study.runner import DONE, FAILED, Runner, locked, visible_gpus
from electra_hf.training.progress import format_seconds

TABLE, PICTURE, RESULTS = "study.md", "study.png", "study.json"


def option_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(prog="electra-hf study", description=str(__doc__))
    parser.add_argument("study", type=Path, metavar="STUDY.yaml", help="what is compared")
    parser.add_argument(
        "--output_dir", type=Path, metavar="FOLDER", help="default: the file's, or outputs/ and its name"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time (default: %(default)s)")
    parser.add_argument("--dry_run", action="store_true", help="print what would be done, and do nothing")
    return parser


def run(arguments: Sequence[str]) -> None:
    """Carry out the command.

    Raises:
        UsageError: For a study that cannot work, or a folder that holds another one.
        TrainingError: If jobs have failed; all others are finished and reported.
        Interrupted: If it was told to stop; what is done so far is reported.
    """
    options = option_parser().parse_args(arguments)
    if options.jobs < 1:
        raise UsageError(f"--jobs {options.jobs}: give 1 or more")
    gpus = visible_gpus()
    if len(gpus) > 1:
        # Every job gets one GPU; options are checked here as they will be there.
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[0]
    console = Console()
    study = read_study(options.study, options.output_dir)
    if options.dry_run:
        show_plan(study, console)
        return
    with locked(study.output_dir) as lock:
        run_study(study, console, lock, options.jobs, gpus)


def show_plan(study: Study, console: Console) -> None:
    """Print what would be done; nothing is written."""
    plans, assumed = plan_study(study)
    jobs = [*corpus_jobs(study), *training_jobs(study, plans)]
    done = {job.key for job in jobs if JobFiles(study.output_dir, job).is_done()}
    rows = [
        [run.name, *_plan_cells(plans[run.name]), "done" if f"pretraining/{run.name}" in done else ""]
        for run in study.runs
    ]
    columns = ["model", "parameters", "trained", "steps", "tokens", "FLOPs", "state"]
    lines = [*markdown_table(columns, rows), ""]
    if assumed:
        lines.append(f"Assumed: {assumed}.")
    seeds = sum(int(task.options.get("num_seeds", 1)) for task in study.tasks)
    models = len(study.runs) + len(study.baselines)
    lines.append(f"Tasks: {', '.join(task.name for task in study.tasks) or 'none'}.")
    lines.append(
        f"{len(jobs)} jobs, {len(done)} of them done; {models * seeds} fine-tunings. Folder: {study.output_dir}"
    )
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _plan_cells(plan: RunPlan) -> list[str]:
    steps = f"{plan.steps:,}" if plan.steps is not None else format_seconds(60 * (plan.minutes or 0))
    sizes = [format_count(plan.encoder_parameters), format_count(plan.parameters)]
    return [*sizes, steps, format_count(plan.tokens), format_flops(plan.flops)]


def run_study(study: Study, console: Console, lock: int, at_once: int, gpus: Sequence[str]) -> None:
    """Run what is not done yet, and write the results.

    Args:
        study: What was asked for.
        console: For people.
        lock: What `locked` gave for the study's folder.
        at_once: Jobs that run at the same time.
        gpus: To share out among them.

    Raises:
        TrainingError: If jobs have failed.
        Interrupted: If it was told to stop.
    """
    plan_study(study)  # what cannot work is better known before the corpus is prepared
    folder = study.output_dir
    prepared = _run(corpus_jobs(study), folder, console, lock, at_once, ())
    _raise_failures(prepared, folder, "the corpus is not there")
    plans, _ = plan_study(study)
    files = [JobFiles(folder, job) for job in training_jobs(study, plans)]
    board = Board(console, files, at_once)
    runner = Runner(files, board, lock, at_once, gpus)
    try:
        with board:
            runner.run()
    finally:
        _report(study, plans, files, runner.outcomes, console)
    _raise_failures(runner.outcomes, folder, f"see {folder / TABLE}")


def _run(
    jobs: Sequence[Job], folder: Path, console: Console, lock: int, at_once: int, gpus: Sequence[str]
) -> dict[str, str]:
    files = [JobFiles(folder, job) for job in jobs]
    with Board(console, files, at_once) as board:
        runner = Runner(files, board, lock, at_once, gpus)
        runner.run()
    return runner.outcomes


def _raise_failures(outcomes: Mapping[str, str], folder: Path, consequence: str) -> None:
    failed = [key for key, outcome in outcomes.items() if outcome == FAILED]
    if failed:
        logs = ", ".join(str(folder / "jobs" / f"{key}.log") for key in failed)
        raise TrainingError(
            f"{len(failed)} of {len(outcomes)} jobs failed ({', '.join(failed)}): {consequence}, and {logs}. The same "
            "command tries them again"
        )


def _report(
    study: Study,
    plans: Mapping[str, RunPlan],
    files: Sequence[JobFiles],
    outcomes: Mapping[str, str],
    console: Console,
) -> None:
    """Write the three files, and show the table."""
    folder = study.output_dir
    content = collect(study, plans, files, outcomes)
    publish(folder / RESULTS, to_json(content))
    picture = plot_study(content, folder / PICTURE, title=study.path.stem)
    publish(folder / TABLE, study_markdown(content, picture.name if picture else None).encode())
    if any(outcome == DONE for outcome in outcomes.values()):
        console.print()
        console.print(study_table(content))
    for note in [*content["notes"], *(f"{m['name']}: {note}" for m in content["models"] for note in m["notes"])]:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    console.print()
    for label, path in (("Table", folder / TABLE), ("Picture", picture), ("Numbers", folder / RESULTS)):
        if path is not None:
            console.print(f"{label:<9}{path}", soft_wrap=True, markup=False, highlight=False)
