"""Samplers, frozen generators, sharing and optimisation in whole runs: they resume bit for bit and log changes."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import set_seed

from electra_hf.errors import UsageError
from electra_hf.models import ElectraForReplacedTokenDetection, ReplacedTokenDetectionConfig, derive_generator_config
from electra_hf.models.backbones import BACKBONES
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer

SIZES = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 40, "pad_token_id": 0,
}  # fmt: skip
RUNS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "gumbel_softmax": (
        "electra",
        {
            "sampler": "gumbel_softmax",
            "generator_feedback": -0.1,
            "gumbel_temperature": 2.0,
            "gumbel_temperature_end": 0.5,
            "gumbel_temperature_schedule": "linear",
        },
        {},
    ),
    "gdes": ("electra", {"embedding_sharing": "gdes"}, {}),
    "gdes of another family": ("bert", {"embedding_sharing": "gdes"}, {}),
    "frozen": (
        "electra",
        {
            "freeze_generator": True,
            "embedding_sharing": "none",
            "temperature": 2.0,
            "temperature_schedule": "exponential",
        },
        {},
    ),
    "decoupled": (
        "electra",
        {"embedding_sharing": "gdes"},
        {"optimization": "decoupled", "generator_learning_rate": 2e-3, "max_grad_norm": 0.5},
    ),
    "decoupled with muon": (
        "electra",
        {},
        {"optimization": "decoupled", "generator_learning_rate": 2e-3, "optim": "muon", "max_grad_norm": 0.5},
    ),
    "decoupled with another optimiser": (
        "electra",
        {},
        {"optimization": "decoupled", "generator_learning_rate": 2e-3, "optim": "adafactor", "max_grad_norm": 0.5},
    ),
}


def train(
    folder: Path, name: str, tokenizer: Any, blocks: Any, resume: Path | None = None, **changed: Any
) -> PretrainingTrainer:
    model_type, settings, options = RUNS[name]
    settings = {**settings, **changed}
    set_seed(0)
    own = {"embedding_size": 16} if model_type == "electra" else {}
    main = BACKBONES[model_type].config_class(**SIZES, **own)
    generator = derive_generator_config(main, 0.5 if own else 1.0)
    config = ReplacedTokenDetectionConfig(generator_config=generator, discriminator_config=main, **settings)
    trainer = PretrainingTrainer(
        model=ElectraForReplacedTokenDetection(config),
        args=PretrainingArguments(
            output_dir=str(folder), use_cpu=True, disable_tqdm=True, max_steps=4, save_steps=2, logging_steps=1,
            per_device_train_batch_size=4, seed=1, report_to="none", learning_rate=1e-3, warmup_steps=1, **options,
        ),
        train_dataset=blocks,
        eval_dataset=blocks,
        data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=1),
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer


def logged(trainer: Any) -> list[dict[str, str]]:
    timed = ("per_second", "runtime", "seconds", "teraflops")
    return [
        {name: repr(value) for name, value in row.items() if not any(word in name for word in timed)}
        for row in trainer.state.log_history[:-1]
    ]


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_run_is_the_run_that_was_not_stopped(name, tokenizer, make_blocks, tmp_path):
    blocks = make_blocks(16, 24, 12)
    whole = train(tmp_path / "whole", name, tokenizer, blocks)
    resumed = train(tmp_path / "resumed", name, tokenizer, blocks, tmp_path / "whole" / "checkpoint-2")
    assert logged(resumed) == logged(whole)
    expected, found = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    loaded = ElectraForReplacedTokenDetection.from_pretrained(tmp_path / "whole" / "checkpoint-4")
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in expected.items())
    rows = whole.state.log_history[:4]
    if name == "gumbel_softmax":
        # Of the steps that were logged, which began with 0, 1, 2 and 3 of 4 done.
        assert [row["gumbel_temperature"] for row in rows] == pytest.approx([2.0, 1.625, 1.25, 0.875])
    if name == "frozen":
        assert [row["temperature"] for row in rows] == pytest.approx([1 + math.exp(-x / 0.4) for x in range(4)])
        assert whole.optimizer is not None
        generator = {id(parameter) for parameter in whole.model.generator.parameters()}
        assert not generator & {id(p) for group in whole.optimizer.param_groups for p in group["params"]}
    if name.startswith("decoupled"):
        assert all(row["generator_learning_rate"] == 2 * row["learning_rate"] for row in rows)
        norms = [math.hypot(row["generator_grad_norm"], row["discriminator_grad_norm"]) for row in rows]
        assert norms == pytest.approx([row["grad_norm"] for row in rows], rel=1e-5)


def test_a_finished_run_is_evaluated_as_it_ended(tokenizer, make_blocks, tmp_path):
    """Started again it makes no step, and its temperature is that of the end all the same."""
    blocks = make_blocks(16, 24, 12)
    whole = train(tmp_path, "frozen", tokenizer, blocks)
    again = train(tmp_path, "frozen", tokenizer, blocks, tmp_path / "checkpoint-4")
    results = [
        {name: value for name, value in trainer.evaluate().items() if "second" not in name and "runtime" not in name}
        for trainer in (whole, again)
    ]
    assert again.trained_steps == 0 and results[0] == pytest.approx(results[1], nan_ok=True)
    # The last step of the run has begun with 3 of 4 done, and the evaluation is that of 4 of 4.
    assert whole.model.scheduled["temperature"] == pytest.approx(1 + math.exp(-1 / 0.1))


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("gdes", {"embedding_sharing": "none"}, "--embedding_sharing gdes there and none here"),
        ("gumbel_softmax", {"generator_feedback": 1.0}, "--generator_feedback -0.1 there and 1.0 here"),
        ("frozen", {"freeze_generator": False}, "--freeze_generator True there and False here"),
    ],
)
def test_a_run_goes_on_under_its_own_settings(name, changed, said, tokenizer, make_blocks, tmp_path):
    blocks = make_blocks(16, 24, 12)
    train(tmp_path, name, tokenizer, blocks)
    with pytest.raises(UsageError, match=said):
        train(tmp_path, name, tokenizer, blocks, tmp_path / "checkpoint-2", **changed)
