"""Fine-tune an encoder on GLUE, on another known task or on texts of one's own, and judge it over several seeds.

    python run_glue.py --model_name_or_path outputs/electra-small --task_name sst2 --num_seeds 5 \\
        --config configs/finetuning/electra-small.yaml --output_dir outputs/sst2

Every option can stand in the YAML file or on the command line, which wins; --help lists them, docs/tasks.md the tasks.
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from electra_hf.corpora.storage import publish
from electra_hf.errors import run_script
from electra_hf.finetuning.arguments import FinetuneModelArguments, FinetuningArguments
from electra_hf.finetuning.runs import FinishedTask, finetune
from electra_hf.finetuning.scores import glue_average, save_glue_average
from electra_hf.finetuning.tasks import TaskArguments, load_task, task_names
from electra_hf.parser import ConfigArgumentParser
from electra_hf.sharing.finetuned_card import write_finetuned_card
from electra_hf.sharing.score_pictures import plot_scores
from electra_hf.sharing.scores import results_markdown, results_table
from electra_hf.sharing.search_plots import write_search_report
from electra_hf.sharing.upload import upload_model
from electra_hf.training.search import SearchArguments, SearchResult
from electra_hf.training.setup import end_processes, start_logging


def main() -> None:
    arguments = (FinetuneModelArguments, TaskArguments, FinetuningArguments, SearchArguments)
    parser = ConfigArgumentParser(arguments, description=__doc__)
    model_args, task_args, args, search_args = parser.parse()
    start_logging(args)
    console = Console(quiet=not args.should_log)
    output_dir = Path(args.output_dir)
    names = task_names(task_args.task_name) if task_args.task_name else [None]
    for name in names if len(names) > 1 else ():
        # What is missing is better known now than after the tasks before it.
        load_task(name, task_args, cache_dir=model_args.cache_dir, needs_train=args.do_train)

    finished = []
    for name in names:
        folder = output_dir / name if name and len(names) > 1 else output_dir
        done = finetune(
            name,
            model_args,
            task_args,
            args,
            search_args,
            folder,
            parser.settings,
            parser.command,
            console,
            report_search=partial(describe_search, folder),
        )
        if args.should_save:
            parser.write_settings(folder / "finetuning_config.yaml")
            describe(done, model_args, args, parser.command)
        finished.append(done)

    if args.should_save:
        show(finished, output_dir, console)
    if args.push_to_hub and args.should_save:
        for done in finished:
            repo_id = args.hub_model_id or output_dir.name
            suffix = f"-{done.folder.name}" if len(finished) > 1 else ""
            console.print(upload_model(done.folder, repo_id + suffix, private=args.hub_private_repo))
    end_processes()


def describe(done: FinishedTask, model_args: FinetuneModelArguments, args: FinetuningArguments, command: str) -> None:
    """Table, picture and card of one task, beside its numbers."""
    results = done.scores.all
    publish(done.folder / "results.md", results_markdown([results]).encode())
    plot_scores(
        [results], done.folder / "results.png", title=f"{model_args.model_name_or_path} on {results['task_name']}"
    )
    if done.best_seed is None:
        return
    write_finetuned_card(
        done.folder,
        {
            "name": args.hub_model_id or str(done.folder),
            "base_model": model_args.model_name_or_path,
            "task": results["task_name"],
            "pipeline": "text-classification",
            "pairs": done.pairs,
            "labels": list(done.labels),
            "command": command,
            "seed": done.best_seed,
            "results": results,
        },
    )


def describe_search(folder: Path, result: SearchResult) -> None:
    """Tables and a picture of the trials so far."""
    trials = [asdict(trial) for trial in result.trials]
    write_search_report(folder, trials, metric=result.metric, direction=result.direction, title=folder.name)


def show(finished: list[FinishedTask], output_dir: Path, console: Console) -> None:
    """The scores of all tasks, where the files are, and what to do next."""
    results = [done.scores.all for done in finished]
    average = None
    if len(finished) > 1:
        average = glue_average({done.scores.eval["task_name"]: done.scores.eval for done in finished})
        save_glue_average(average, output_dir)
        publish(output_dir / "results.md", results_markdown(results, average).encode())
        plot_scores(results, output_dir / "results.png", title=output_dir.name)
    console.print()
    console.print(results_table(results, average))
    lines = [("Results", f"{output_dir}/eval_results.json, results.md, results.png")]
    if len(finished) > 1:
        lines = [("Results", f"{output_dir}/results.md, results.png, and one folder for each task")]
    for done in finished[:1]:
        if done.best_seed is not None:
            lines.append(("Model", f"{done.folder} (weights of seed {done.best_seed}, the best on validation)"))
            lines.append(("Use it", f'pipeline("text-classification", model="{done.folder}")'))
            lines.append(("Share", f"hf upload YOUR-NAME/{done.folder.name} {done.folder} --exclude 'seed-*/*'"))
    lines.append(("Compare", f"electra-hf compare OTHER-RUN {output_dir}"))
    console.print()
    for label, value in lines:
        # Commands and paths are to be copied: no wrapping, and brackets or quotes mean nothing to rich.
        console.print(f"{label:<9}{value}", soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    run_script(main)
