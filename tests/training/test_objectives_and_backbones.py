"""Every backbone under every objective: it learns, is saved as plain models, and resumes bit for bit."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, set_seed

from electra_hf.errors import UsageError
from electra_hf.models import PretrainingModel, derive_generator_config
from electra_hf.models.backbones import BACKBONES
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.objectives import OBJECTIVES

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
# What a family needs beside its sizes, or has under another name.
OWN_SIZES: dict[str, dict[str, Any]] = {
    "electra": {"embedding_size": 16},
    "convbert": {"embedding_size": 16, "head_ratio": 2, "conv_kernel_size": 3},
    "roberta": {"type_vocab_size": 1, "bos_token_id": 2, "eos_token_id": 3},
    "modernbert": {
        "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3, "local_attention": 8,
        "global_attn_every_n_layers": 2,
    },
    "deberta-v2": {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]},
}  # fmt: skip


def tiny_model(objective: str, model_type: str, **settings: Any) -> PretrainingModel:
    backbone, model_class = BACKBONES[model_type], OBJECTIVES[objective].model
    set_seed(0)
    main = backbone.config_class(**{**SIZES, **OWN_SIZES.get(model_type, {})})
    configs = {f"{model_class.main_part}_config": main}
    if model_class.has_generator:
        width = 0.5 if hasattr(main, "embedding_size") else 1.0
        configs["generator_config"] = derive_generator_config(main, width, num_hidden_layers=1)
    return model_class(model_class.config_class(**configs, objective=objective, **settings))


def train(folder: Path, objective: str, model_type: str, tokenizer: Any, blocks: Any, resume: Any = None) -> Any:
    trainer = PretrainingTrainer(
        model=tiny_model(objective, model_type),
        args=PretrainingArguments(
            output_dir=str(folder), use_cpu=True, disable_tqdm=True, max_steps=4, save_steps=2, logging_steps=1,
            per_device_train_batch_size=4, seed=1, report_to="none",
        ),
        train_dataset=blocks,
        eval_dataset=blocks,
        data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=1),
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer


def losses(trainer: Any) -> list[dict[str, str]]:
    """The log without what depends on the clock; as text, since a precision of nothing is NaN."""
    timed = ("per_second", "runtime", "seconds", "teraflops")
    return [
        {name: repr(value) for name, value in row.items() if not any(word in name for word in timed)}
        for row in trainer.state.log_history
    ]


def has_backbone(objective: str, model_type: str) -> bool:
    return model_type in OBJECTIVES[objective].model.config_class.families


# Those that need blocks of pairs have tests of their own.
PAIRS = [
    (name, model_type)
    for name in sorted(OBJECTIVES)
    if OBJECTIVES[name].packing is None
    for model_type in sorted(BACKBONES)
]


@pytest.mark.parametrize(("objective", "model_type"), [pair for pair in PAIRS if not has_backbone(*pair)])
def test_a_family_that_an_objective_cannot_use_is_refused_by_name(objective, model_type):
    with pytest.raises(UsageError, match=f"{objective}.*--model_type {model_type}.*choose"):
        tiny_model(objective, model_type)


@pytest.mark.parametrize(("objective", "model_type"), [pair for pair in PAIRS if has_backbone(*pair)])
def test_trained_saved_loaded_resumed(objective, model_type, tokenizer, make_blocks, tmp_path):
    blocks = make_blocks(16, 24, 12)
    trainer = train(tmp_path / "whole", objective, model_type, tokenizer, blocks)
    first = trainer.state.log_history[0]
    for start in OBJECTIVES[objective].starts(64):
        assert first[start.metric] == pytest.approx(start.value, rel=0.15), start
    metrics = trainer.evaluate()
    parts = {name: metrics[f"eval_{name}"] for name in trainer.model.config.loss_weights}
    assert math.isclose(metrics["eval_loss"], trainer.model.weighted_loss(parts), rel_tol=1e-9)

    resumed = train(
        tmp_path / "resumed", objective, model_type, tokenizer, blocks, tmp_path / "whole" / "checkpoint-2"
    )
    assert losses(resumed)[: len(losses(trainer)) - 1] == losses(trainer)[:-1]
    expected, found = trainer.model.state_dict(), resumed.model.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)

    folder = tmp_path / "whole" / "checkpoint-4"
    assert json.loads((folder / "objective.json").read_text())["objective"] == objective
    for subfolder, attribute in trainer.model.saved_parts.items():
        part = trainer.model.get_submodule(attribute)
        loaded, info = type(part).from_pretrained(folder / subfolder, output_loading_info=True)
        # Nothing trains BERT's pooler, so none is saved.
        assert not [name for name in info["missing_keys"] if not name.startswith("pooler.")]
        assert not info["unexpected_keys"] and not info["mismatched_keys"]
        assert all(torch.equal(loaded.state_dict()[name], value) for name, value in part.state_dict().items())
    assert AutoModel.from_pretrained(folder).config.model_type == model_type
    if "generator" in trainer.model.saved_parts:
        assert AutoModelForMaskedLM.from_pretrained(folder, subfolder="generator").config.model_type == model_type
    again = type(trainer.model).from_pretrained(folder)
    assert all(torch.equal(again.state_dict()[name], value) for name, value in trainer.model.state_dict().items())


@pytest.mark.parametrize("model_type", sorted(BACKBONES))
def test_masked_language_modeling_is_what_the_family_computes(model_type, make_batch):
    """Full logits, -100 labels and the family's own loss against the gathered head."""
    model, batch = tiny_model("mlm", model_type).eval(), make_batch()
    labels = torch.full_like(batch["original_ids"], -100)
    for row, slot in (batch["masked_weights"] > 0).nonzero().tolist():
        position = batch["masked_positions"][row, slot]
        labels[row, position] = batch["original_ids"][row, position]
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    if getattr(model.config.main_config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = batch["token_type_ids"]
    expected = model.main(**inputs, labels=labels)
    output = model(**batch)
    torch.testing.assert_close(output.mlm_loss, expected.loss.detach(), atol=1e-5, rtol=1e-5)
