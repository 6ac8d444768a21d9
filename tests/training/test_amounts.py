"""What the card of a run is told: its energy and its tokens, also over interruptions."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState

from electra_hf.errors import UsageError
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.energy import EnergyCallback

ARGS: Any = SimpleNamespace(local_process_index=0)


class Meter:
    """Stands in for codecarbon's tracker: each task takes 2 kWh and 1 kg."""

    def __init__(self, **options: Any):
        self.options = options
        self.running = False

    def start_task(self) -> None:
        assert not self.running
        self.running = True

    def stop_task(self) -> SimpleNamespace:
        assert self.running
        self.running = False
        return SimpleNamespace(energy_consumed=2.0, emissions=1.0)

    def stop(self) -> None:
        assert not self.running


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> None:
    codecarbon = pytest.importorskip("codecarbon")
    monkeypatch.setattr(codecarbon, "OfflineEmissionsTracker", Meter)


def test_what_was_measured_goes_on_after_a_resume(meter: None):
    first, second = EnergyCallback("KOR"), EnergyCallback("KOR")
    first.on_train_begin(ARGS, TrainerState(), TrainerControl())
    kept = first.state_dict()  # a checkpoint, and the measuring goes on
    first.state_dict()
    second.on_train_begin(ARGS, TrainerState(), TrainerControl())
    second.load_state_dict(kept)
    second.on_train_end(ARGS, TrainerState(), TrainerControl())
    assert (second.kwh, second.co2_kg) == (4.0, 2.0)


def test_without_a_country_there_is_no_co2(meter: None):
    callback = EnergyCallback(None)
    callback.on_train_begin(ARGS, TrainerState(), TrainerControl())
    callback.on_train_end(ARGS, TrainerState(), TrainerControl())
    assert callback.kwh == 2.0 and callback.co2_kg is None


def test_codecarbon_measures_offline_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("codecarbon")
    monkeypatch.chdir(tmp_path)
    callback = EnergyCallback("FRA")
    callback.on_train_begin(ARGS, TrainerState(), TrainerControl())
    callback.on_train_end(ARGS, TrainerState(), TrainerControl())
    # In the second that this may take, between nothing and a large GPU's.
    assert 0 < callback.kwh < 0.01 and callback.co2_kg is not None
    assert callback.co2_kg < callback.kwh, "France's electricity is below 1 kg a kWh"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("options", "words"), [
    ({"energy_country": "KOR"}, "--energy_country has no effect without --track_energy"),
    ({"energy_country": "Korea", "track_energy": True}, "three letters, such as KOR"),
])  # fmt: skip
def test_wrong_options(options: dict[str, Any], words: str, tmp_path: Path):
    pytest.importorskip("codecarbon")
    with pytest.raises(UsageError, match=words):
        PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, **options)


def test_a_missing_codecarbon_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "codecarbon.input", None)
    with pytest.raises(UsageError, match=r"electra_hf\[energy\]"):
        PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, track_energy=True)


def test_the_tokens_of_a_run_are_all_that_it_trained_on(make_model, make_blocks, tokenizer, tmp_path: Path):
    """Counted at logging events, which are not at the steps of checkpoints, nor at the end."""

    def train(max_steps: int, resume: bool) -> float:
        trainer = PretrainingTrainer(
            model=make_model(),
            args=PretrainingArguments(
                output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, max_steps=max_steps, logging_steps=3,
                save_steps=4, per_device_train_batch_size=4, report_to="none", lr_scheduler_type="constant",
            ),
            train_dataset=make_blocks(40),
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=1),
            processing_class=tokenizer,
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=resume)
        return trainer.token_count.tokens

    assert train(5, resume=False) == 5 * 4 * 16
    assert train(7, resume=True) == 7 * 4 * 16
    assert train(7, resume=True) == 7 * 4 * 16, "nothing was left to do"


def test_the_stock_upload_is_refused(make_model, tmp_path: Path):
    args = PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, push_to_hub=True, report_to="none")
    with pytest.raises(UsageError, match="PushCallback.*electra-hf push"):
        PretrainingTrainer(model=make_model(), args=args)
