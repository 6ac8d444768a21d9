"""A run from the data to the files: one task, all its seeds, what is written and what a person sees."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.finetuning.arguments import EncoderArguments, FinetuningArguments
from electra_hf.finetuning.identity import identify, outcome_settings
from electra_hf.finetuning.results import RESULTS_FILE
from electra_hf.finetuning.scores import Scores, aggregate, save_scores
from electra_hf.finetuning.seeds import run_seeds
from electra_hf.finetuning.task_run import TaskRun
from electra_hf.finetuning.tuning import check_search, searched_options, tune
from electra_hf.parser import write_config
from electra_hf.training.checkpoints import claim_output_dir
from electra_hf.training.search import SearchArguments, SearchResult

logger = logging.getLogger(__name__)

CONFIG_FILE = "finetuning_config.yaml"


@dataclass(frozen=True)
class FinishedTask:
    """A task whose seeds are done.

    Attributes:
        name: Of the task.
        folder: Where its files are.
        scores: What `eval_results.json` and its companions hold.
        best_seed: The seed whose weights are in the folder; None if nothing was trained.
        selected: It is the best of several on the validation split; otherwise the first, or the only one.
        model_facts: About the model, for its card (`TaskRun.model_facts`).
        details: For tables and pages of this kind of task (`TaskRun.details`).
        files: What was written, relative to the folder, besides the model and the folders of the seeds.
        command: Repeats the run; after a search, with what it found and without the search.
    """

    name: str
    folder: Path
    scores: Scores
    best_seed: int | None
    selected: bool
    model_facts: Mapping[str, Any]
    details: Mapping[str, Any]
    files: tuple[str, ...]
    command: str


def prepare(
    build: Callable[[], TaskRun],
    model_args: EncoderArguments,
    args: FinetuningArguments,
    search_args: SearchArguments,
    folder: Path,
) -> TaskRun:
    """Read a task and check what can be checked before anything is trained; nothing is written.

    Args:
        build: Reads the data, the configuration and the tokenizer.
        model_args: Encoder, tokenizer and head.
        args: The recipe.
        search_args: Whether its settings are searched for first.
        folder: Where the results will be.

    Raises:
        UsageError: If options do not fit each other or the folder holds another run.
        CorpusError: If the data cannot be read or are not what they should be.
        CheckpointError: If the model cannot be read, or nothing is there that --resume_from_checkpoint true needs.
        TokenizerError: If there is no tokenizer.
    """
    _check_folder(folder, model_args, args)
    with args.main_process_first(desc="reading the task"):
        run = build()
    if search_args.hpo != "none":
        check_search(run, search_args)
    return run


def finetune(
    run: TaskRun,
    search_args: SearchArguments,
    folder: Path,
    settings: Mapping[str, Any],
    command: str,
    console: Console,
    report_search: Callable[[SearchResult], None] | None = None,
) -> FinishedTask:
    """Fine-tune and judge a model on one task.

    Args:
        run: What `prepare` returned.
        search_args: Whether settings are searched for first.
        folder: For everything that is written.
        settings: The options that were given, without secrets. A finished seed is used again only if all that decides
            its outcome is the same: options, decided ones, data, model.
        command: The command line, for the files.
        console: For people; quiet on all but the main process.
        report_search: Called after each trial of a search.

    Raises:
        UsageError: If the folder holds another run, or a metric fails.
        CheckpointError: If the results cannot be written.
        TrainingError: If every seed diverged.
    """
    if run.args.should_save:
        claim_output_dir(folder, resume=run.args.resume_from_checkpoint is not None)
    _introduce(run, console)
    facts = identify(run)
    best_values: dict[str, Any] = {}
    search_notes: list[str] = []
    searched = searched_options(run, search_args)
    if search_args.hpo != "none":
        found = tune(run, search_args, folder, settings, outcome_settings(run, settings, facts, {}), report_search)
        if found.best is not None:
            best_values = found.best.values
            console.print(f"  searched  {best_values}", markup=False, highlight=False, soft_wrap=True)
            search_notes.append(
                f"the settings are the best of {len(found.trials)} trials with seed {run.args.seed}, judged on "
                f"{run.selection_split}: its scores are optimistic, most of all that seed's"
            )
    identity = outcome_settings(run, settings, facts, best_values)
    results, best_seed, failures = run_seeds(run, folder, identity, searched, console)
    effective = {**settings, **best_values, **(run.decided if run.args.do_train else {})}
    if "task_name" in settings:
        effective["task_name"] = run.data.task.name
    scores = aggregate(
        run.data,
        results,
        model=run.model_args.model_name_or_path,
        command=command,
        notes=(*run.notes, *search_notes, *failures),
        settings={**effective, **({"examples_per_step": run.examples_per_step} if run.args.do_train else {})},
        judge_together=partial(run.judge_together, results),
    )
    files: list[Path] = []
    if run.args.should_save:
        files = save_scores(scores, folder)
        if run.args.do_predict:
            files += run.write_predictions(results, best_seed, folder)
        # What the search found, and no search.
        once = {name: value for name, value in effective.items() if not (best_values and name.startswith("hpo"))}
        once.pop("resume_from_checkpoint", None)
        write_config(folder / CONFIG_FILE, once)
        files.append(folder / CONFIG_FILE)
    return FinishedTask(
        name=run.data.task.name,
        folder=folder,
        scores=scores,
        best_seed=best_seed,
        selected=len(results) > 1 and run.selection_split in results[0].metrics,
        model_facts=run.model_facts,
        details=run.details(results, best_seed),
        files=tuple(str(path.relative_to(folder)) for path in files),
        command=f"python {run.args.script} --config {CONFIG_FILE}" if best_values else command,
    )


def _check_folder(folder: Path, model_args: EncoderArguments, args: FinetuningArguments) -> None:
    model = Path(model_args.model_name_or_path)
    if model.is_dir() and folder.is_dir() and model.samefile(folder):
        raise UsageError(
            f"--output_dir {folder} is the folder of the model itself, whose files would be replaced: choose another "
            "--output_dir"
        )
    used = sorted(
        path.parent.name for name in (RESULTS_FILE, "checkpoint-*") for path in folder.glob(f"seed-*/{name}")
    )
    if used and args.resume_from_checkpoint is None:
        raise UsageError(
            f"{folder} already holds results ({used[0]}): go on with --resume_from_checkpoint auto, which keeps the "
            "finished seeds, or choose another --output_dir"
        )
    if not used and args.resume_from_checkpoint == "true":
        raise CheckpointError(
            f"{folder} holds no seed to go on with: use --resume_from_checkpoint auto to start afresh when there is "
            "none"
        )


def _introduce(run: TaskRun, console: Console) -> None:
    data, model_args = run.data, run.model_args
    rows = ", ".join(f"{name} {len(split):,}" for name, split in data.splits.items())
    console.print(f"[bold]{data.task.name}[/bold]  {rows}", highlight=False)
    start = "fresh weights in the architecture of " if model_args.random_initialization else ""
    facts = [("model", start + model_args.model_name_or_path)]
    if data.labels:
        facts.append(("labels", ", ".join(data.labels)))
    facts += [("recipe", line) for line in run.recipe if run.args.do_train]
    facts += [("note", line) for line in data.notes]
    if run.selection_split in run.wanted_splits:
        facts.append(("judged by", f"{run.selection_metric} on {run.selection_split}"))
    labelled_tests = [name for name in data.evaluated if not name.startswith("validation")]
    if labelled_tests and not run.args.do_predict:
        facts.append(("note", f"{', '.join(labelled_tests)} has labels: add --do_predict to score it too"))
    previous = ""
    for label, text in facts:
        console.print(
            f"  {label if label != previous else '':<10}{text}", markup=False, highlight=False, soft_wrap=True
        )
        previous = label
