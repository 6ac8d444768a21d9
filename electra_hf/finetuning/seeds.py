"""The seeds of a task: those that are finished are kept, the others trained, and the best one's weights stay."""

import dataclasses
import logging
import math
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from electra_hf.errors import TrainingError
from electra_hf.finetuning.results import (
    SeedResult,
    forget_weights,
    load_seed_result,
    record_start,
    record_weights,
    save_seed_result,
    seed_of_weights,
    was_started_with,
)
from electra_hf.finetuning.task_run import TaskRun
from electra_hf.training.checkpoints import checkpoints_in, first_process_decides, remove, resolve_resume
from electra_hf.training.progress import format_seconds

logger = logging.getLogger(__name__)


def run_seeds(
    run: TaskRun, folder: Path, identity: dict[str, Any], searched: Collection[str], console: Console
) -> tuple[list[SeedResult], int | None, list[str]]:
    """Train and judge all seeds, or those that are not finished yet.

    Args:
        run: The task and the recipe.
        folder: Each seed gets a folder in it; `folder` itself holds the weights of the best seed so far.
        identity: What decides the outcome of a seed (`identity.outcome_settings`).
        searched: Names in it that a search decides.
        console: For people.

    Returns:
        The results in the order of the seeds; the best seed, whose weights are in `folder` (None if nothing was
        trained); and a sentence for each seed that diverged.

    Raises:
        UsageError: If a seed was finished or begun with other settings.
        TrainingError: If every seed diverged.
    """
    return _Seeds(run, folder, identity, searched, console).run_all()


class _Seeds:
    def __init__(
        self,
        run: TaskRun,
        folder: Path,
        identity: dict[str, Any],
        searched: Collection[str],
        console: Console,
    ):
        self.run, self.args, self.folder, self.console = run, run.args, folder, console
        self.identity, self.searched = identity, searched
        self.results: dict[int, SeedResult] = {}
        self.failures: list[str] = []
        # Read once, by every process before any of them writes.
        self.holder = seed_of_weights(folder, identity)
        self.checkpoints: dict[int, Path] = {}
        if self.args.resume_from_checkpoint is not None:
            self._look_around()

    def run_all(self) -> tuple[list[SeedResult], int | None, list[str]]:
        for seed in self.args.seeds:
            result = self.results.get(seed)
            if result is None:
                self._train(seed)
            elif not self._is_complete(result):
                self._evaluate_again(seed, result)
        while self.args.do_train and (best := self._best()) is not None and best != self.holder:
            # An earlier call had other seeds, or was killed after it wrote weights.
            self._explain(f"seed {best} is the best and is trained again: {self.folder} does not hold its weights")
            self._train(best)
        if not self.results:
            raise TrainingError(f"no seed could be trained: {self.failures[-1]}")
        results = [self._wanted(self.results[seed]) for seed in self.args.seeds if seed in self.results]
        return results, self._best() if self.args.do_train else None, self.failures

    def _look_around(self) -> None:
        """All seeds before the first is trained: what does not belong to this run is refused now."""
        for seed in self.args.seeds:
            place = self._place(seed)
            result = load_seed_result(place, self.identity, self.searched)
            if result is not None:
                self.results[seed] = result
                for note in result.notes:
                    self.run.add_note(note)
                continue
            # From weights alone a seed cannot go on: it starts afresh.
            checkpoint = None if self.args.save_only_model else resolve_resume("auto", place)
            if checkpoint is None:
                continue
            # The first process writes there soon, when the others might not have looked yet.
            if first_process_decides(partial(was_started_with, place, self.identity, self.searched)):
                self.checkpoints[seed] = checkpoint

    def _train(self, seed: int) -> None:
        place = self._place(seed)
        checkpoint = self.checkpoints.pop(seed, None)
        if self.args.should_save and checkpoint is None:
            # Of other values of a search, or of this seed before its weights were lost.
            for path in checkpoints_in(place):
                remove(path)
            record_start(place, self.identity)
        started = time.monotonic()
        try:
            result, trainer = self.run.run_seed(seed, place, checkpoint=checkpoint)
        except TrainingError as error:
            self.results.pop(seed, None)
            self.failures.append(f"seed {seed} is not in the figures: {error}")
            if self.args.should_log:
                logger.error("seed %d: %s", seed, error)
            return
        self.results[seed] = result
        if self.args.do_train and self._best() == seed:
            if self.args.should_save:
                forget_weights(self.folder)
            trainer.save_model(str(self.folder))
            if self.args.should_save:
                record_weights(self.folder, seed, self.identity)
            self.holder = seed
        if self.args.should_save:
            save_seed_result(result, place, self.identity)
        self._report(result, time.monotonic() - started)

    def _evaluate_again(self, seed: int, result: SeedResult) -> None:
        """A finished seed was not run on all splits that are wanted now."""
        if self.args.do_train and seed != self.holder:
            self._explain(f"seed {seed} is trained again to be run on other splits: its weights were not kept")
            self._train(seed)
            return
        started = time.monotonic()
        weights = self.folder if self.args.do_train else None
        found, _ = self.run.run_seed(seed, self._place(seed), weights=weights)
        complete = dataclasses.replace(
            result,
            metrics={**result.metrics, **found.metrics},
            outputs={**result.outputs, **found.outputs},
            findings=[*result.findings, *(finding for finding in found.findings if finding not in result.findings)],
            notes=found.notes,
        )
        self.results[seed] = complete
        if self.args.should_save:
            save_seed_result(complete, self._place(seed), self.identity)
        self._report(complete, time.monotonic() - started)

    def _place(self, seed: int) -> Path:
        return self.folder / f"seed-{seed}"

    def _is_complete(self, result: SeedResult) -> bool:
        return set(self.run.wanted_splits) <= result.outputs.keys()

    def _wanted(self, result: SeedResult) -> SeedResult:
        """Without the splits that only an earlier call asked for."""
        wanted = self.run.wanted_splits
        return dataclasses.replace(
            result,
            metrics={split: values for split, values in result.metrics.items() if split in wanted},
            outputs={split: values for split, values in result.outputs.items() if split in wanted},
        )

    def _best(self) -> int | None:
        """The best seed on validation data; without any, the first."""
        known = [seed for seed in self.args.seeds if seed in self.results]
        return max(known, key=lambda seed: self._signed_score(self.results[seed]), default=None)

    def _signed_score(self, result: SeedResult) -> float:
        """Larger is better; of equal ones the first seed is taken."""
        if self.run.selection_split not in self._wanted(result).metrics:
            return 0.0
        score = self.run.score(result) if self.run.greater_is_better else -self.run.score(result)
        return -math.inf if math.isnan(score) else score

    def _explain(self, text: str) -> None:
        self.console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)

    def _report(self, result: SeedResult, seconds: float) -> None:
        parts = [
            f"{split} {name} {value:.4f}"
            for split, metrics in result.metrics.items()
            for name, value in metrics.items()
            if name in (*self.run.data.task.metrics, "loss")
        ]
        line = f"  seed {result.seed}: {', '.join([*parts, format_seconds(seconds)])}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        for finding in result.findings if self.run.args.should_log else ():
            logger.warning("seed %d: %s", result.seed, finding)
