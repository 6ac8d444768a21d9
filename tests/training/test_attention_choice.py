"""The attention of a run: the table of times, the choice of all processes, and the same choice after resuming."""

import contextlib
import json
import logging
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters
from torch.utils.data import Dataset
from transformers import TrainerState

from electra_hf.errors import TrainingError
from electra_hf.models.attention import AttentionShape
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training import attention as run_attention
from electra_hf.training import trainer as trainer_module
from electra_hf.training.attention import RunAttention, attention_shape, attention_times, chooses_attention

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SHAPE = AttentionShape(4, 2, 8, 16, torch.bfloat16, 0.1, padded=False, compiled=True)
TIMES = {"math": 0.3, "eager": 0.1}


class Rows(Dataset):
    """48 rows of 16 words."""

    def __len__(self) -> int:
        return 48

    def __getitem__(self, index: int) -> dict:
        row = torch.randint(5, 64, (16,), generator=torch.Generator().manual_seed(index))
        row[0], row[-1] = 2, 3
        return {
            "input_ids": row.numpy().astype("uint16"),
            "length": 16,
            "first_length": 16,
            "sample": index,
            "epoch": 0,
        }


@pytest.fixture
def measured(monkeypatch) -> list[AttentionShape]:
    """Shapes that were measured; every one takes TIMES."""
    shapes = []

    def measure(shape: AttentionShape, device: torch.device) -> dict[str, float]:
        shapes.append(shape)
        return dict(TIMES)

    monkeypatch.setattr(run_attention, "measure_attention", measure)
    return shapes


@pytest.fixture
def train(make_model, discriminator_config, tokenizer, tmp_path: Path, monkeypatch):
    """Train as on a GPU, for some steps, and give the Trainer and the attention that each forward pass had."""
    discriminator_config.hidden_dropout_prob = discriminator_config.attention_probs_dropout_prob = 0.1
    monkeypatch.setattr(run_attention, "HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(trainer_module, "chooses_attention", lambda model, device: model.attn_implementation == "auto")

    def train(folder: str, resume: Path | None = None, named: str = "auto", **options):
        model = make_model()
        model.attn_implementation = named
        args = PretrainingArguments(
            str(tmp_path / folder),
            per_device_train_batch_size=4,
            max_steps=6,
            logging_steps=1,
            save_steps=3,
            disable_tqdm=True,
            use_cpu=True,
            **options,
        )
        trainer = PretrainingTrainer(
            model=model,
            args=args,
            train_dataset=Rows(),
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0),
        )
        seen = []
        model.register_forward_pre_hook(lambda *_: seen.append(model.generator.config._attn_implementation))
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        return trainer, seen

    return train


def losses(trainer: PretrainingTrainer) -> list[float]:
    return [logs["loss"] for logs in trainer.state.log_history if "loss" in logs]


def test_a_shape_is_measured_once(measured, tmp_path):
    file = tmp_path / "new" / "attention.json"
    assert attention_times(SHAPE, CPU, file) == TIMES
    assert attention_times(SHAPE, CPU, file) == TIMES
    assert measured == [SHAPE]
    other = AttentionShape(4, 2, 8, 32, torch.bfloat16, 0.1, padded=False, compiled=True)
    assert attention_times(other, CPU, file) == TIMES
    assert attention_times(SHAPE, CPU, file) == TIMES
    assert measured == [SHAPE, other]
    assert [path.name for path in file.parent.iterdir()] == ["attention.json"]
    (first, second) = json.loads(file.read_text())
    assert first.startswith(f"cpu, torch {torch.__version__}, ")
    assert "length 16" in first + second and "length 32" in first + second


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"a": 1}', '{"a": {"fast": 1.0}}', '{"a": {"math": "1"}}', '{"a": {}}']
)
def test_a_damaged_table_is_made_anew(measured, tmp_path, caplog, content):
    file = tmp_path / "attention.json"
    file.write_text(content)
    assert attention_times(SHAPE, CPU, file) == TIMES
    assert measured == [SHAPE]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"{file} is no table" in caplog.text
    assert attention_times(SHAPE, CPU, file) == TIMES
    assert measured == [SHAPE]


def test_a_table_that_cannot_be_written_stops_no_run(measured, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert attention_times(SHAPE, CPU, tmp_path / "file" / "attention.json") == TIMES
    assert "are not kept" in caplog.text


def test_nothing_that_works_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(run_attention, "measure_attention", lambda shape, device: {})
    with pytest.raises(TrainingError, match="per_device_train_batch_size"):
        attention_times(SHAPE, CPU, tmp_path / "attention.json")
    assert not list(tmp_path.iterdir())


def test_only_on_cuda_and_only_if_nobody_named_one(make_model, discriminator_config):
    model = make_model()
    assert chooses_attention(model, CUDA)
    assert not chooses_attention(model, CPU)
    model.attn_implementation = "sdpa"
    assert not chooses_attention(model, CUDA)
    discriminator_config._attn_implementation = "eager"
    assert not chooses_attention(make_model(), CUDA)


def test_the_shape_is_that_of_the_discriminator(discriminator_config):
    shape = attention_shape(discriminator_config, rows=4, length=16, dtype=torch.bfloat16, padded=True, compiled=False)
    assert shape == AttentionShape(4, 4, 8, 16, torch.bfloat16, 0.0, padded=True, compiled=False)


def test_the_fastest_is_in_force_from_the_first_step_to_the_last(train, measured, caplog):
    caplog.set_level(logging.INFO, "electra_hf")
    trainer, seen = train("run")
    assert seen == ["eager"] * 6
    assert trainer.model.generator.config._attn_implementation == "sdpa"
    assert measured == [AttentionShape(4, 4, 8, 16, torch.float32, 0.1, padded=False, compiled=False)]
    lines = [record.getMessage() for record in caplog.records if record.name == run_attention.__name__]
    assert lines == ["Attention: eager, 100.000 ms a layer, forward and backward (math 300.000)."]


def test_measuring_in_earnest_does_not_change_the_noise(train, monkeypatch):
    plain, _ = train("named", named="sdpa")
    monkeypatch.setattr(run_attention, "attention", lambda *_: contextlib.nullcontext())
    probed, seen = train("probed")
    assert seen == ["sdpa"] * 6
    assert probed.attention.choice in ("math", "eager")
    assert losses(probed) == losses(plain)


def test_a_named_attention_is_not_measured(train, measured):
    trainer, seen = train("run", named="sdpa")
    assert seen == ["sdpa"] * 6 and not measured
    assert trainer.attention.choice is None


def test_with_smaller_batches_at_first_the_full_ones_are_measured(train, measured):
    train("run", batch_size_warmup_steps=2, batch_size_warmup_start=2, length_warmup_steps=2, length_warmup_start=8)
    assert [(shape.batch, shape.length) for shape in measured] == [(4, 16)]


def test_a_compiled_run_has_one_graph_with_the_chosen_attention(train, measured):
    torch._dynamo.reset()
    counters.clear()
    _, seen = train("run", torch_compile_backend="aot_eager")
    assert "eager" in seen and [shape.compiled for shape in measured] == [True]
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]


def test_the_first_process_decides_for_all(make_model, measured, monkeypatch):
    def broadcast(choices: list) -> None:
        choices[0] = "math"

    monkeypatch.setattr(run_attention, "broadcast_object_list", broadcast)
    chosen = RunAttention()
    chosen.start(make_model(), SHAPE, CPU, TrainerState(is_world_process_zero=False), world_size=2)
    chosen.stop()
    assert chosen.choice == "math" and not measured


@pytest.mark.parametrize("restore", [False, True])
def test_a_resumed_run_takes_the_choice_of_the_run(train, measured, monkeypatch, tmp_path, restore):
    whole, _ = train("run")

    def measure(*_):
        raise AssertionError("a resumed run must not measure")

    monkeypatch.setattr(run_attention, "measure_attention", measure)
    monkeypatch.setattr(run_attention, "HF_HOME", str(tmp_path / "another machine"))
    checkpoint = tmp_path / "run" / "checkpoint-3"
    resumed, seen = train("resumed", checkpoint, restore_callback_states_from_checkpoint=restore)
    assert seen == ["eager"] * 3
    assert losses(resumed) == losses(whole)
    state = json.loads((tmp_path / "resumed" / "checkpoint-6" / "trainer_state.json").read_text())
    assert state["stateful_callbacks"]["RunAttention"]["args"] == {"choice": "eager"}
