"""Pre-training with pairs of segments: what is logged, an exact resume, and what is refused before anything starts."""

import random
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForPreTraining, BertConfig, BertForPreTraining, set_seed

from electra_hf.errors import UsageError
from electra_hf.models import EncoderForSentencePairs, SentencePairConfig
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.tokens.packing import SpecialIds
from electra_hf.tokens.sentence_pairs import pack_pairs
from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments, PretrainingTrainer
from electra_hf.training.health import check_start
from electra_hf.training.objective_checks import check_objective
from electra_hf.training.objectives import OBJECTIVES
from electra_hf.training.pair_metrics import NextSentenceMeter

ROWS = 12


@pytest.fixture
def blocks():
    """Twelve blocks of 24 tokens; each document has words of its own, so that pairs can be told."""
    rng = random.Random(0)
    documents = [
        [[5 + 12 * number + rng.randrange(10) for _ in range(rng.randint(2, 7))] for _ in range(16)]
        for number in range(4)
    ]
    packed = pack_pairs(documents, 24, rng, SpecialIds(cls=2, sep=3, pad=0), packing="nsp")
    assert packed.pair_labels is not None and len(packed) >= ROWS
    return [
        {
            "input_ids": packed.ids[row],
            "length": int(packed.lengths[row]),
            "first_length": int(packed.first_lengths[row]),
            "sample": row,
            "epoch": 0,
            "pair_label": int(packed.pair_labels[row]),
        }
        for row in range(ROWS)
    ]


@pytest.fixture
def train(tokenizer, blocks):
    def run(folder: Path, objective: str = "mlm_nsp", resume: Path | None = None, dropout: float = 0.1, **options):
        set_seed(0)
        bert = BertConfig(
            vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=24, pad_token_id=0,
            hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
        )  # fmt: skip
        trainer = PretrainingTrainer(
            model=EncoderForSentencePairs(SentencePairConfig(masked_lm_config=bert, objective=objective)),
            args=PretrainingArguments(
                output_dir=str(folder), use_cpu=True, disable_tqdm=True, report_to="none", logging_steps=1, seed=1,
                **{"max_steps": 4, "save_steps": 2, "per_device_train_batch_size": 4, **options},
            ),
            train_dataset=blocks,
            eval_dataset=blocks,
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=1, pair_labels=True),
            processing_class=tokenizer,
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
        return trainer

    return run


def logged(trainer: PretrainingTrainer) -> list[dict]:
    return [
        {name: row[name] for name in ("step", "loss", "mlm_loss", "nsp_loss", "nsp_accuracy", "grad_norm")}
        for row in trainer.state.log_history
        if "grad_norm" in row
    ]


def test_both_losses_are_logged_and_a_resumed_run_is_the_same(train, tmp_path, blocks):
    whole = train(tmp_path / "whole")
    first = whole.state.log_history[0]
    assert first["loss"] == pytest.approx(first["mlm_loss"] + first["nsp_loss"], abs=1e-4)
    assert check_start(first, OBJECTIVES["mlm_nsp"].starts(64)) == []
    resumed = train(tmp_path / "resumed", resume=tmp_path / "whole" / "checkpoint-2")
    assert logged(resumed) == logged(whole) and len(logged(whole)) == 4
    expected = whole.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items())
    assert isinstance(AutoModelForPreTraining.from_pretrained(tmp_path / "whole" / "checkpoint-4"), BertForPreTraining)


def test_evaluation_counts_the_labels_of_all_blocks(train, tmp_path, blocks):
    trainer = train(tmp_path, "mlm_sop", max_steps=1, save_strategy="no")
    torch.nn.init.zeros_(trainer.model.masked_lm.cls.seq_relationship.weight)
    trainer.model.masked_lm.cls.seq_relationship.bias.data = torch.tensor([1.0, 0.0])
    metrics = trainer.evaluate()
    labels = Counter(block["pair_label"] for block in blocks)
    assert metrics["eval_sop_accuracy"] == labels[0] / (labels[0] + labels[1])
    assert metrics["eval_loss"] == pytest.approx(metrics["eval_mlm_loss"] + metrics["eval_sop_loss"])


def test_accumulated_steps_are_those_of_a_large_batch(train, tmp_path):
    options = {"max_steps": 2, "save_strategy": "no", "dropout": 0.0}
    large = train(tmp_path / "large", **options, per_device_train_batch_size=8)
    small = train(tmp_path / "small", **options, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    for rows in zip(logged(small), logged(large), strict=True):
        assert rows[0] == pytest.approx(rows[1], rel=1e-5)


@pytest.mark.parametrize(
    "model, data, message",
    [
        ({"model_type": "bert"}, {"packing": "full"}, r"mlm_nsp .*--packing nsp, and --packing is full"),
        ({"model_type": "bert"}, {"packing": "sop"}, r"mlm_nsp .*--packing nsp, and --packing is sop"),
        ({}, {"packing": "nsp"}, r"no electra model.*--model_type bert"),
        ({"model_type": "roberta"}, {"packing": "nsp"}, r"no roberta model.*--model_type bert"),
    ],
)
def test_what_cannot_work_is_said_first(model, data, message):
    with pytest.raises(UsageError, match=message):
        check_objective(ModelArguments(objective="mlm_nsp", **model), DataArguments(train_file=["x.txt"], **data))


def test_other_objectives_take_any_packing():
    check_objective(ModelArguments(objective="mlm"), DataArguments(train_file=["x.txt"], packing="nsp"))


def test_an_evaluation_without_labelled_pairs_still_has_a_loss():
    meter = NextSentenceMeter(torch.device("cpu"))
    values = {"mlm_loss_sum": 6.0, "slots": 3.0, "correct": 1.0, "tokens": 24.0, "pair_loss_sum": 0.0, "pairs": 0.0}
    metrics = meter.describe({**values, "pairs_correct": 0.0}, torch.zeros(0))
    assert metrics["mlm_loss"] == 2.0 and metrics["nsp_loss"] == 0.0
    assert metrics["nsp_accuracy"] != metrics["nsp_accuracy"]  # nothing was judged
