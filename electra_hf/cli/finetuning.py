"""What `run_glue.py` and `run_ner.py` share: tasks one after the other, what a person sees of them, and the Hub."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from electra_hf.cli.hub import show_push, target_of
from electra_hf.cli.pretraining_card import describe_hardware, software_versions
from electra_hf.corpora.storage import publish
from electra_hf.errors import TrainingError, UsageError
from electra_hf.finetuning.arguments import EncoderArguments, FinetuningArguments
from electra_hf.finetuning.runs import FinishedTask, finetune, prepare
from electra_hf.finetuning.scores import EVAL_FILE, glue_average, save_glue_average
from electra_hf.finetuning.task_run import TaskRun
from electra_hf.parser import ConfigArgumentParser
from electra_hf.sharing.card_files import write_finetuned_card
from electra_hf.sharing.finetuned_card import FinetunedCardFacts
from electra_hf.sharing.score_pictures import plot_scores
from electra_hf.sharing.scores import results_markdown, results_table, score_rows
from electra_hf.sharing.search_plots import write_search_report
from electra_hf.sharing.upload import HubTarget, check_hub, push_command
from electra_hf.training.search import SearchArguments, SearchResult
from electra_hf.training.setup import end_processes

logger = logging.getLogger(__name__)

# What a published task is called, and a function that reads it.
NamedTask = tuple[str | None, Callable[[], TaskRun]]


def run_tasks(
    tasks: Sequence[NamedTask],
    parser: ConfigArgumentParser,
    model_args: EncoderArguments,
    args: FinetuningArguments,
    search_args: SearchArguments,
    dataset_of: Callable[[str], tuple[str, str | None] | None],
    describe_more: Callable[[FinishedTask], str | None] | None = None,
) -> None:
    """Fine-tune on all tasks, write their files, tables, pictures and cards, and upload the models if asked.

    Args:
        tasks: Each is written into the output folder itself if it is the only one, or into a folder of its name.
        parser: Has parsed the options.
        model_args: Encoder, tokenizer and head.
        args: The recipe.
        search_args: Whether settings are searched for.
        dataset_of: The Hub id and configuration of a task's data, for the card; None if they are the user's own.
        describe_more: Writes further tables and pages of a finished task; returns more for its `results.md`.

    Raises:
        TrainingError: If a task could not be trained; the others are finished first.
        ElectraHfError: For what cannot work, before anything is trained.
    """
    console = Console(quiet=not args.should_log)
    output_dir = Path(str(args.output_dir))
    folders = [output_dir / name if name and len(tasks) > 1 else output_dir for name, _ in tasks]
    # What cannot work is better known now than after a training, or after the tasks before it.
    repositories = _check_push(args, folders)
    runs = [
        prepare(build, model_args, args, search_args, folder)
        for (_, build), folder in zip(tasks, folders, strict=True)
    ]
    finished: list[FinishedTask] = []
    failures: list[str] = []
    try:
        for folder in folders:
            run = runs.pop(0)  # its data can be forgotten after it
            report_search = partial(_describe_search, folder)
            try:
                done = finetune(run, search_args, folder, parser.settings, parser.command, console, report_search)
            except TrainingError as error:
                if len(folders) == 1:
                    raise
                failures.append(f"{run.data.task.name}: {error}")
                logger.error("%s", failures[-1])
                continue
            if args.should_save:
                more = describe_more(done) if describe_more else None
                _describe(done, more, repositories.get(folder), model_args, args, dataset_of(done.name))
            finished.append(done)
    finally:
        # Also when a later task cannot go on, or is interrupted.
        if finished and args.should_save:
            _show(finished, output_dir, console)
    for done in finished:
        if done.folder in repositories and args.should_save:
            show_push(done.folder, repositories[done.folder])
    if failures:
        raise TrainingError(f"{len(failures)} of {len(folders)} tasks could not be trained: {'; '.join(failures)}")
    end_processes()


def _check_push(args: FinetuningArguments, folders: list[Path]) -> dict[Path, HubTarget]:
    """Where the model in each folder goes; nowhere without --push_to_hub."""
    if not args.push_to_hub:
        return {}
    if not args.do_train:
        raise UsageError("--push_to_hub uploads the model that was trained, and --no_do_train trains none")
    output_dir = Path(str(args.output_dir)).resolve()
    repository = args.hub_model_id or output_dir.name
    names = [repository + (f"-{folder.name}" if len(folders) > 1 else "") for folder in folders]
    targets = [target_of(args, name) for name in names]
    if args.process_index == 0:
        targets = [check_hub(target) for target in targets]
    return dict(zip(folders, targets, strict=True))


def _describe(
    done: FinishedTask,
    more: str | None,
    hub: HubTarget | None,
    model_args: EncoderArguments,
    args: FinetuningArguments,
    dataset: tuple[str, str | None] | None,
) -> None:
    """Table, picture and card of one task, beside its numbers."""
    results = done.scores.all
    text = results_markdown([results])
    publish(done.folder / "results.md", (f"{text.rstrip()}\n\n{more}" if more else text).encode())
    plot_scores([results], done.folder / "results.png", title=f"{model_args.model_name_or_path} on {done.name}")
    if done.best_seed is None:
        return
    facts: dict[str, Any] = {
        "name": hub.repo_id if hub else done.folder.resolve().name,
        "base_model": model_args.model_name_or_path,
        "task": done.name,
        **done.model_facts,
        "command": done.command,
        "versions": software_versions(),
        "hardware": describe_hardware(args.world_size, on_gpu=args.device.type == "cuda"),
        "seed": done.best_seed,
        "results": results,
    }
    if dataset is not None:
        facts["dataset"] = dataset[0]
        if dataset[1] is not None:
            facts["dataset_config"] = dataset[1]
    if args.hub_language:
        facts["language"] = list(args.hub_language)
    if args.hub_license:
        facts["license"] = args.hub_license
    write_finetuned_card(done.folder, cast(FinetunedCardFacts, facts))


def _describe_search(folder: Path, result: SearchResult) -> None:
    """Tables and a picture of the trials so far."""
    trials = [asdict(trial) for trial in result.trials]
    write_search_report(folder, trials, metric=result.metric, direction=result.direction, title=folder.name)


def _show(finished: list[FinishedTask], output_dir: Path, console: Console) -> None:
    """The scores of all tasks, where the files are, and what to do next."""
    results = [done.scores.all for done in finished]
    average = None
    several = finished[0].folder != output_dir
    if several:
        average = glue_average({done.name: done.scores.eval for done in finished})
        if average["tasks"]:
            save_glue_average(average, output_dir)
        else:
            average = None
        publish(output_dir / "results.md", results_markdown(results, average).encode())
        plot_scores(results, output_dir / "results.png", title=output_dir.name)
    if any(True for _ in score_rows(results)):
        console.print()
        console.print(results_table(results, average))
    patterns = ("results.md", "results.png", "confusion_*.png", "entities_*.html")
    written = [path.name for pattern in patterns for path in sorted(output_dir.glob(pattern))]
    lines = []
    if several:
        lines.append(("Results", f"{output_dir}: {', '.join(written)}, and one folder for each task"))
    else:
        lines.append(("Results", f"{output_dir}: {', '.join([*finished[0].files, *written])}"))
    best = finished[0]
    if best.best_seed is not None:
        how = ", the best on validation" if best.selected else ""
        lines.append(("Model", f"{best.folder} (weights of seed {best.best_seed}{how})"))
        lines.append(("Use it", f'pipeline("{best.model_facts["pipeline"]}", model="{best.folder}")'))
        if best.model_facts.get("crf"):
            lines.append(("With CRF", "see README.md there: a pipeline leaves the transitions out"))
        lines.append(("Share", push_command(best.folder, HubTarget(f"YOUR-NAME/{best.folder.resolve().name}"))))
    if any(EVAL_FILE in done.files for done in finished):
        lines.append(("Compare", f"electra-hf compare OTHER-RUN {output_dir}"))
    console.print()
    for label, value in lines:
        # Commands and paths are to be copied: no wrapping, and brackets or quotes mean nothing to rich.
        console.print(f"{label:<10}{value}", soft_wrap=True, markup=False, highlight=False)
