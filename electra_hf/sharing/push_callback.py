"""Checkpoints to the Hub while the training goes on.

The upload takes place in a thread of its own, from hard links to the files, which stay when the checkpoint is removed
to save space. Whatever goes wrong there is told and does not touch the training; the push at the end sends what is
missing.
"""

import logging
import os
import queue
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from electra_hf.errors import CheckpointError, explain_os_error, without_secrets
from electra_hf.sharing import upload
from electra_hf.sharing.card_files import write_model_card
from electra_hf.sharing.hub_files import files_for_hub
from electra_hf.sharing.upload import HubTarget, push_command

logger = logging.getLogger(__name__)

EVERY_SAVE, ALL_CHECKPOINTS = "every_save", "all_checkpoints"
_STAGING = "_tmp-push-"


class PushCallback(TrainerCallback):
    """Uploads each checkpoint of a pre-training when it is complete.

    Args:
        target: Where to; the repositories are there (`check_hub`).
        strategy: `every_save` brings the main revision up to date; `all_checkpoints` also makes the revision `step-N`.
        always: Upload a checkpoint that is saved while another is being uploaded, too; all_checkpoints always does.
        describe: The facts of the card of a checkpoint, from its folder.
    """

    def __init__(
        self,
        target: HubTarget,
        strategy: str,
        *,
        always: bool = False,
        describe: Callable[[Path], Mapping[str, Any]],
    ):
        self.target = target
        self.keeps_steps = strategy == ALL_CHECKPOINTS
        self.always = always or self.keeps_steps
        self.describe = describe
        self.failures = 0
        self._jobs: queue.Queue[Path | None] = queue.Queue()
        self._thread: threading.Thread | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        if state.is_world_process_zero:
            # What a run that was ended in an upload has left.
            for path in Path(str(args.output_dir)).glob(f"{_STAGING}*"):
                shutil.rmtree(path, ignore_errors=True)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl | None:
        folder = Path(str(args.output_dir))
        checkpoint = folder / f"checkpoint-{state.global_step}"
        # One that could not be saved was told of.
        if not state.is_world_process_zero or not checkpoint.is_dir():
            return
        if self._jobs.unfinished_tasks and not self.always:
            logger.info("Step %d is not uploaded, since an earlier upload still goes on", state.global_step)
            return
        try:
            self._jobs.put(self._stage(checkpoint))
        except (CheckpointError, OSError) as error:
            text = explain_os_error(error, checkpoint) if isinstance(error, OSError) else str(error)
            self._tell(state.global_step, text)
            return
        if self._thread is None or not self._thread.is_alive():
            # A daemon: a run that is stopped does not wait for the network.
            self._thread = threading.Thread(target=self._work, name="push to the Hub", daemon=True)
            self._thread.start()

    def _stage(self, checkpoint: Path) -> Path:
        staging = checkpoint.parent / f"{_STAGING}{checkpoint.name}" / checkpoint.name
        shutil.rmtree(staging.parent, ignore_errors=True)
        for name, path in files_for_hub(checkpoint).model.items():
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, staging / name)
            except OSError:  # a file system without links
                shutil.copyfile(path, staging / name)
        facts: Any = self.describe(checkpoint)
        write_model_card(staging, facts)
        return staging

    def _work(self) -> None:
        while (staging := self._jobs.get()) is not None:
            step = staging.name.removeprefix("checkpoint-")
            try:
                with upload.explained(f"step {step}", f"training goes on; {self._repeat(staging.parent.parent)}"):
                    self._push(staging, step)
            except CheckpointError as error:
                self._tell(step, str(error))
            finally:
                shutil.rmtree(staging.parent, ignore_errors=True)
                self._jobs.task_done()
        self._jobs.task_done()

    def _push(self, staging: Path, step: str) -> None:
        api, files = HfApi(), files_for_hub(staging)
        targets = [self.target, *([replace(self.target, revision=f"step-{step}")] if self.keeps_steps else [])]
        for target in targets:
            is_step = target is not self.target
            done = upload.push_model(
                api, staging, files, target, message=f"Step {step}", run=staging, changes={}, exactly=is_step
            )
            for pushed in done:
                logger.info("Step %s uploaded: %s", step, pushed)

    def _repeat(self, run: Path) -> str:
        return f"the end of the run sends what is missing, or `{push_command(run, self.target)}` does"

    def _tell(self, step: object, text: str) -> None:
        self.failures += 1
        logger.error("Step %s was NOT uploaded: %s (failed uploads: %d)", step, without_secrets(text), self.failures)

    def finish(self) -> None:
        """Wait until what was begun is uploaded, or has failed."""
        if self._thread is not None and self._thread.is_alive():
            if self._jobs.unfinished_tasks:
                logger.info("Waiting for the upload of a checkpoint, before the finished model is uploaded")
            self._jobs.put(None)
            self._thread.join()
        self._thread = None
