"""Checkpoints without a Trainer, and a Trainer of a model of a few thousand weights."""

from pathlib import Path
from typing import Any

import pytest

from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.checkpoints import publishing
from electra_hf.training.checkpoints.manifest import Manifest


@pytest.fixture
def make_checkpoint():
    """Publish a checkpoint with a few small files; keyword arguments go to its manifest."""

    def make(run_dir: Path, step: int, **facts: Any) -> Path:
        checkpoint = run_dir / f"checkpoint-{step}"
        publishing.prepare(checkpoint, bytes_needed=0)
        staging = publishing.staging_folder(checkpoint)
        (staging / "generator").mkdir()
        for name in ("trainer_state.json", "config.json", "generator/config.json"):
            (staging / name).write_text(f'{{"step": {step}}}')
        publishing.publish(checkpoint, Manifest(step=step, world_size=1, global_batch_size=8, seed=1, **facts))
        return checkpoint

    return make


@pytest.fixture
def make_trainer(make_model, make_blocks, tokenizer):
    """A Trainer that saves and logs as asked, `masks` for the collator; the rest goes to `PretrainingArguments`."""

    def make(output_dir: Path, *, rows: int = 64, callbacks: Any = (), masks: Any = None, **options: Any):
        options = {"max_steps": 4, "save_steps": 2, "logging_steps": 1, "seed": 1, **options}
        return PretrainingTrainer(
            model=make_model(),
            args=PretrainingArguments(
                output_dir=str(output_dir),
                use_cpu=True,
                disable_tqdm=True,
                **{"per_device_train_batch_size": 4, **options},
            ),
            train_dataset=make_blocks(rows),
            eval_dataset=make_blocks(4),
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=1, **masks or {}),
            processing_class=tokenizer,
            callbacks=list(callbacks),
        )

    return make
