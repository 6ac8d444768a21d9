"""A run from the data to the files: one task, all its seeds, what is written and what a person sees."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from electra_hf.errors import TrainingError, UsageError
from electra_hf.finetuning.arguments import FinetuneModelArguments, FinetuningArguments
from electra_hf.finetuning.results import SeedResult, load_seed_result, save_seed_result
from electra_hf.finetuning.scores import Scores, aggregate, ensemble_logits, save_scores
from electra_hf.finetuning.sequence_classification import SequenceClassification
from electra_hf.finetuning.submission import write_predictions
from electra_hf.finetuning.tasks import TaskArguments, load_task
from electra_hf.finetuning.tuning import tune
from electra_hf.training.checkpoints import claim_output_dir, resolve_resume
from electra_hf.training.progress import format_seconds
from electra_hf.training.search import SearchArguments, SearchResult

logger = logging.getLogger(__name__)

# Options that change where and how a run reports, not what it computes: a seed that finished under others is good.
_OUTWARD_OPTIONS = (
    "output_dir",
    "num_seeds",
    "seed",
    "task_name",
    "resume_from_checkpoint",
    "disable_tqdm",
    "report_to",
    "run_name",
    "logging_steps",
    "log_level",
    "save_strategy",
    "save_steps",
    "save_total_limit",
    "push_to_hub",
    "hub_model_id",
    "hub_private_repo",
    "hub_strategy",
    "dataloader_num_workers",
)


@dataclass(frozen=True)
class FinishedTask:
    """A task whose seeds are done.

    Attributes:
        folder: Where its files are.
        scores: What `eval_results.json` and its companions hold.
        best_seed: The seed whose weights are in the folder: the best one on the validation split; None if nothing was
            trained.
        labels: Names of the labels.
        pairs: An example is two texts.
    """

    folder: Path
    scores: Scores
    best_seed: int | None
    labels: tuple[str, ...]
    pairs: bool


def finetune(
    name: str | None,
    model_args: FinetuneModelArguments,
    task_args: TaskArguments,
    args: FinetuningArguments,
    search_args: SearchArguments,
    folder: Path,
    settings: Mapping[str, Any],
    command: str,
    console: Console,
    report_search: Callable[[SearchResult], None] | None = None,
) -> FinishedTask:
    """Fine-tune and judge a model on one task.

    Args:
        name: A task's name, or None for a data set of one's own.
        model_args: Encoder, tokenizer and head.
        task_args: The data.
        args: The recipe.
        search_args: Whether its settings are searched for first.
        folder: For everything that is written.
        settings: The options that were given; a finished seed is used again only under the same ones.
        command: The command line, for the files.
        console: For people; quiet on all but the main process.
        report_search: Called after each trial of a search.

    Raises:
        UsageError: If options do not fit each other or the folder holds another run.
        CorpusError: If the data cannot be read or are not what they should be.
        CheckpointError: If the model cannot be read, or the results cannot be written.
        TrainingError: If every seed diverged.
    """
    with args.main_process_first(desc="reading the task"):
        data = load_task(name, task_args, cache_dir=model_args.cache_dir, needs_train=args.do_train)
    run = SequenceClassification(data, model_args, task_args, args)
    if args.should_save:
        _claim(folder, resume=bool(args.resume_from_checkpoint))
    _introduce(run, model_args, console)
    fingerprint = {
        option: value
        for option, value in settings.items()
        if option not in _OUTWARD_OPTIONS and not option.startswith("hpo")
    }
    if search_args.hpo != "none":
        found = tune(run, search_args, folder, fingerprint, report_search)
        if found.best is not None:
            fingerprint |= found.best.values
            console.print(f"  searched  {found.best.values}", markup=False, highlight=False, soft_wrap=True)
    results, best_seed, failures = _run_seeds(run, folder, fingerprint, console)
    scores = aggregate(
        run.data,
        results,
        model=model_args.model_name_or_path,
        command=command,
        notes=(*run.notes, *failures),
        user_metrics=run.user_metrics,
        settings=dict(settings),
    )
    if args.should_save:
        save_scores(scores, folder)
        if args.do_predict:
            _write_predictions(run, results, folder)
    return FinishedTask(folder, scores, best_seed, run.data.labels, run.pairs)


def _claim(folder: Path, *, resume: bool) -> None:
    claim_output_dir(folder, resume=resume)
    used = sorted(path.name for path in folder.glob("seed-*"))
    if used and not resume:
        raise UsageError(
            f"{folder} already holds results ({used[0]}): go on with --resume_from_checkpoint auto, which keeps the "
            "finished seeds, or choose another --output_dir"
        )


def _run_seeds(
    run: SequenceClassification, folder: Path, fingerprint: dict[str, Any], console: Console
) -> tuple[list[SeedResult], int | None, list[str]]:
    """All seeds; the weights of the best one so far are always in `folder`."""
    args = run.args
    seeds = args.seeds if args.do_train else args.seeds[:1]
    results: list[SeedResult] = []
    failures: list[str] = []
    best: tuple[float, int] | None = None
    for seed in seeds:
        seed_folder = folder / f"seed-{seed}"
        result = load_seed_result(seed_folder, fingerprint) if args.resume_from_checkpoint else None
        if result is None:
            started = time.monotonic()
            checkpoint = resolve_resume("auto", seed_folder) if args.resume_from_checkpoint else None
            try:
                result, trainer = run.run_seed(seed, seed_folder, checkpoint=checkpoint)
            except TrainingError as error:
                failures.append(f"seed {seed} is not in the figures: {error}")
                logger.error("seed %d: %s", seed, error)
                continue
            score = _signed_score(run, result)
            if args.do_train and (best is None or score > best[0]):
                trainer.save_model(str(folder))
            if args.should_save:
                save_seed_result(result, seed_folder, fingerprint)
            _report_seed(run, result, time.monotonic() - started, console)
        score = _signed_score(run, result)
        if best is None or score > best[0]:
            best = score, seed
        results.append(result)
    if not results:
        raise TrainingError(f"no seed could be trained: {failures[-1]}")
    return results, best[1] if best and args.do_train else None, failures


def _signed_score(run: SequenceClassification, result: SeedResult) -> float:
    """Larger is better; without validation data the first seed is as good as any."""
    if run.selection_split not in result.metrics:
        return 0.0
    return run.score(result) if run.greater_is_better else -run.score(result)


def _write_predictions(run: SequenceClassification, results: Sequence[SeedResult], folder: Path) -> None:
    """The predictions of a single seed, or of all together."""
    data = run.data
    for split in results[0].logits:
        if split.startswith("validation"):
            continue
        logits = ensemble_logits(results, split, data.task.kind) if len(results) > 1 else results[0].logits[split]
        write_predictions(folder, data.task, split, logits, data.splits[split]["idx"], data.labels)


def _introduce(run: SequenceClassification, model_args: FinetuneModelArguments, console: Console) -> None:
    data = run.data
    rows = ", ".join(f"{name} {len(split):,}" for name, split in data.splits.items())
    console.print(f"[bold]{data.task.name}[/bold]  {rows}", highlight=False)
    start = "fresh weights in the architecture of " if model_args.random_initialization else ""
    facts = [("model", start + model_args.model_name_or_path)]
    if data.labels:
        facts.append(("labels", ", ".join(data.labels)))
    facts += [("recipe", line) for line in run.recipe]
    facts += [("note", line) for line in data.notes]
    if run.selection_split:
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


def _report_seed(run: SequenceClassification, result: SeedResult, seconds: float, console: Console) -> None:
    parts = [
        f"{split} {name} {value:.4f}"
        for split, metrics in result.metrics.items()
        for name, value in metrics.items()
        if name in (*run.data.task.metrics, "loss")
    ]
    line = f"  seed {result.seed}: {', '.join([*parts, format_seconds(seconds)])}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)
    for finding in result.findings:
        logger.warning("seed %d: %s", result.seed, finding)
