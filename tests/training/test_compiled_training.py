"""`--torch_compile` in the Trainer: whole graphs, compiled once, the same training, plain checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch._dynamo.utils import counters
from torch.utils.data import Dataset

from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer


class Rows(Dataset):
    """Rows of random words, of which those with the given numbers are padded."""

    def __init__(self, count: int, padded: tuple[int, ...] = ()):
        self.ids = np.random.default_rng(0).integers(5, 64, (count, 16)).astype(np.uint16)
        self.padded = padded

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        length = 10 if index in self.padded else 16
        row = self.ids[index].copy()
        row[0], row[length - 1], row[length:] = 2, 3, 0
        return {"input_ids": row, "length": length, "first_length": length, "sample": index, "epoch": 0}


@pytest.fixture
def train(make_model, discriminator_config, tokenizer, tmp_path: Path):
    """Train a tiny model on rows in their order, with a short last evaluation batch, and give its Trainer."""
    discriminator_config.initializer_range = 0.3  # logits far enough apart that rounding does not change an argmax

    def train(rows: Dataset, settings: dict | None = None, **options) -> PretrainingTrainer:
        args = PretrainingArguments(
            str(tmp_path),
            per_device_train_batch_size=4,
            per_device_eval_batch_size=4,
            gradient_accumulation_steps=2,
            num_train_epochs=2,
            train_sampling_strategy="sequential",
            logging_steps=1,
            eval_strategy="steps",
            eval_steps=2,
            save_strategy="epoch",
            disable_tqdm=True,
            use_cpu=True,
            **options,
        )
        trainer = PretrainingTrainer(
            # Near 0 the generator's choice needs no noise, which compiled code would draw in another order.
            model=make_model(temperature=1e-6, **settings or {}),
            args=args,
            train_dataset=rows,
            eval_dataset=Rows(6, padded=(5,)),
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0),
        )
        torch._dynamo.reset()
        counters.clear()
        trainer.train()
        return trainer

    return train


def losses(trainer: PretrainingTrainer) -> list[float]:
    return [logs[key] for logs in trainer.state.log_history for key in ("loss", "eval_loss") if key in logs]


def test_a_whole_run_compiles_once(train, tmp_path):
    rows = Rows(27)  # the last 3 make no batch of 4: they are dropped, and the last step accumulates less
    plain = train(rows)
    assert not counters["stats"], "nothing is compiled unless asked for"
    compiled = train(rows, torch_compile_backend="aot_eager")
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    assert len(losses(compiled)) > 8
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-4)
    with safe_open(tmp_path / f"checkpoint-{compiled.state.global_step}" / "model.safetensors", "pt") as weights:
        assert any(name.startswith("electra.encoder.") for name in weights.keys())  # noqa: SIM118
        assert not [name for name in weights.keys() if "_orig_mod" in name]  # noqa: SIM118


@pytest.mark.parametrize(
    "settings",
    [
        # A soft choice near enough to the hard one has a gradient of 0, so only the graphs are looked at.
        {
            "sampler": "gumbel_softmax",
            "embedding_sharing": "gdes",
            "gumbel_temperature_end": 0.5,
            "gumbel_temperature_schedule": "linear",
        },
        # So slow that the temperature stays near 0.
        {"temperature_schedule": "exponential", "temperature_decay": 1e6, "embedding_sharing": "none"},
    ],
    ids=["gumbel_softmax and gdes", "temperature"],
)
def test_changing_temperatures_are_no_new_graphs(train, settings):
    plain = train(Rows(24), settings)
    compiled = train(Rows(24), settings, torch_compile_backend="aot_eager")
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-4)


def test_padded_and_unpadded_batches_have_a_graph_each(train):
    train(Rows(24, padded=(1, 9, 17)), torch_compile_backend="aot_eager")
    assert counters["stats"]["unique_graphs"] == 2
    assert not counters["graph_break"]
