"""Fine-tune an encoder on GLUE, on another known task or on texts of one's own, and judge it over several seeds.

    python run_glue.py --model_name_or_path outputs/electra-small --task_name sst2 --num_seeds 5 \\
        --config configs/finetuning/electra-small.yaml --output_dir outputs/sst2

Every option can stand in the YAML file or on the command line, which wins; --help lists them, docs/tasks.md the tasks.
"""

import logging
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from electra_hf.corpora.storage import publish
from electra_hf.errors import TrainingError, UsageError, run_script
from electra_hf.finetuning.arguments import FinetuneModelArguments, FinetuningArguments
from electra_hf.finetuning.runs import FinishedTask, finetune, prepare
from electra_hf.finetuning.scores import EVAL_FILE, glue_average, save_glue_average
from electra_hf.finetuning.tasks import TaskArguments, hub_dataset, task_names
from electra_hf.parser import ConfigArgumentParser
from electra_hf.sharing.finetuned_card import FinetunedCardFacts, write_finetuned_card
from electra_hf.sharing.score_pictures import plot_scores
from electra_hf.sharing.scores import results_markdown, results_table, score_rows
from electra_hf.sharing.search_plots import write_search_report
from electra_hf.sharing.upload import check_hub, upload_command, upload_model
from electra_hf.training.search import SearchArguments, SearchResult
from electra_hf.training.setup import end_processes, start_logging

logger = logging.getLogger("electra_hf.run_glue")


def main() -> None:
    arguments = (FinetuneModelArguments, TaskArguments, FinetuningArguments, SearchArguments)
    parser = ConfigArgumentParser(arguments, description=__doc__)
    model_args, task_args, args, search_args = parser.parse()
    start_logging(args)
    console = Console(quiet=not args.should_log)
    output_dir = Path(args.output_dir)
    names = task_names(task_args.task_name) if task_args.task_name else [None]
    folders = [output_dir / name if name and len(names) > 1 else output_dir for name in names]
    # What cannot work is better known now than after a training, or after the tasks before it.
    repositories = check_push(args, folders)
    runs = [
        prepare(name, model_args, task_args, args, search_args, folder)
        for name, folder in zip(names, folders, strict=True)
    ]

    finished: list[FinishedTask] = []
    failures: list[str] = []
    try:
        for folder in folders:
            run = runs.pop(0)  # its data can be forgotten after it
            report_search = partial(describe_search, folder)
            try:
                done = finetune(run, search_args, folder, parser.settings, parser.command, console, report_search)
            except TrainingError as error:
                if len(folders) == 1:
                    raise
                failures.append(f"{run.data.task.name}: {error}")
                logger.error("%s", failures[-1])
                continue
            if args.should_save:
                describe(done, repositories.get(folder), model_args, task_args)
            finished.append(done)
    finally:
        # Also when a later task cannot go on, or is interrupted.
        if finished and args.should_save:
            show(finished, output_dir, console)
    for done in finished:
        if done.folder in repositories and args.should_save:
            repository = repositories[done.folder]
            address = upload_model(
                done.folder,
                repository,
                private=args.hub_private_repo,
                token=args.hub_token,
                revision=args.hub_revision,
            )
            console.print(f"{'Uploaded':<10}{address}", soft_wrap=True, markup=False, highlight=False)
    if failures:
        raise TrainingError(f"{len(failures)} of {len(folders)} tasks could not be trained: {'; '.join(failures)}")
    end_processes()


def check_push(args: FinetuningArguments, folders: list[Path]) -> dict[Path, str]:
    """The repository for the model in each folder; none without --push_to_hub."""
    if not args.push_to_hub:
        return {}
    if not args.do_train:
        raise UsageError("--push_to_hub uploads the model that was trained, and --no_do_train trains none")
    output_dir = Path(str(args.output_dir)).resolve()
    repository = args.hub_model_id or output_dir.name
    if args.should_save:
        repository = check_hub(repository, token=args.hub_token)
    return {folder: repository + (f"-{folder.name}" if len(folders) > 1 else "") for folder in folders}


def describe(
    done: FinishedTask, repository: str | None, model_args: FinetuneModelArguments, task_args: TaskArguments
) -> None:
    """Table, picture and card of one task, beside its numbers."""
    results = done.scores.all
    publish(done.folder / "results.md", results_markdown([results]).encode())
    plot_scores([results], done.folder / "results.png", title=f"{model_args.model_name_or_path} on {done.name}")
    if done.best_seed is None:
        return
    facts: FinetunedCardFacts = {
        "name": repository or done.folder.resolve().name,
        "base_model": model_args.model_name_or_path,
        "task": done.name,
        "pipeline": "text-classification",
        "pairs": done.pairs,
        "labels": list(done.labels),
        "command": done.command,
        "seed": done.best_seed,
        "results": results,
    }
    dataset = hub_dataset(done.name, task_args)
    if dataset is not None:
        facts["dataset"] = dataset[0]
        if dataset[1] is not None:
            facts["dataset_config"] = dataset[1]
    write_finetuned_card(done.folder, facts)


def describe_search(folder: Path, result: SearchResult) -> None:
    """Tables and a picture of the trials so far."""
    trials = [asdict(trial) for trial in result.trials]
    write_search_report(folder, trials, metric=result.metric, direction=result.direction, title=folder.name)


def show(finished: list[FinishedTask], output_dir: Path, console: Console) -> None:
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
    written = [name for name in ("results.md", "results.png") if (output_dir / name).is_file()]
    lines = []
    if several:
        lines.append(("Results", f"{output_dir}: {', '.join(written)}, and one folder for each task"))
    else:
        lines.append(("Results", f"{output_dir}: {', '.join([*finished[0].files, *written])}"))
    best = finished[0]
    if best.best_seed is not None:
        how = ", the best on validation" if best.selected else ""
        lines.append(("Model", f"{best.folder} (weights of seed {best.best_seed}{how})"))
        lines.append(("Use it", f'pipeline("text-classification", model="{best.folder}")'))
        lines.append(("Share", upload_command(best.folder, f"YOUR-NAME/{best.folder.resolve().name}")))
    if any(EVAL_FILE in done.files for done in finished):
        lines.append(("Compare", f"electra-hf compare OTHER-RUN {output_dir}"))
    console.print()
    for label, value in lines:
        # Commands and paths are to be copied: no wrapping, and brackets or quotes mean nothing to rich.
        console.print(f"{label:<10}{value}", soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    run_script(main)
