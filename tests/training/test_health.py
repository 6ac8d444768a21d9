"""What is said about a run, and when."""

import logging
import math

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from electra_hf.errors import ElectraHfError
from electra_hf.training.health import HealthCallback, check_start
from electra_hf.training.objectives import OBJECTIVES

RTD = OBJECTIVES["rtd"]
HEALTHY = {"generator_accuracy": 0.5, "replaced_fraction": 0.07, "rtd_auc": 0.88}


def test_a_right_start_passes_and_a_wrong_one_is_explained():
    assert check_start({"generator_loss": math.log(1000) + 0.05, "rtd_loss": 0.70}, RTD.starts(1000)) == []
    findings = check_start({"generator_loss": 9.5, "rtd_loss": 1.2}, RTD.starts(1000))
    assert "ln 1,000" in findings[0]
    assert "ln 2" in findings[1]


def test_wide_weights_may_start_further_away():
    start = {"generator_loss": math.log(1000), "rtd_loss": 1.5}
    (finding,) = check_start(start, RTD.starts(1000))
    assert "discriminator starts at loss 1.50" in finding
    assert check_start(start, RTD.starts(1000), initializer_range=0.08) == []
    assert len(check_start({**start, "rtd_loss": 9.0}, RTD.starts(1000), initializer_range=0.08)) == 1


@pytest.mark.parametrize(
    ("change", "progress", "names"),
    [
        ({}, 0.5, []),
        ({"rtd_auc": 0.5}, 0.1, []),
        ({"rtd_auc": 0.5}, 0.5, ["discriminator near chance"]),
        ({"generator_accuracy": 0.9, "replaced_fraction": 0.01}, 0.5, ["generator too strong"]),
        ({"replaced_fraction": 0.01}, 0.5, ["few replacements"]),
    ],
)
def test_diagnosis(change, progress, names):
    assert list(RTD.diagnose({**HEALTHY, **change}, progress, 0.15)) == names


def log(callback, logs, step, tmp_path):
    state = TrainerState(global_step=step, max_steps=1000)
    callback.on_log(TrainingArguments(output_dir=str(tmp_path)), state, TrainerControl(), logs=logs)


def test_each_ailment_is_named_once(tmp_path, caplog):
    callback = HealthCallback(RTD, vocab_size=1000, mask_fraction=0.15, fresh=False)
    ill = {"loss": 20.0, "generator_loss": 4.0, "rtd_loss": 0.4, **HEALTHY, "rtd_auc": 0.5}
    with caplog.at_level(logging.WARNING):
        log(callback, ill, 600, tmp_path)
        log(callback, ill, 700, tmp_path)
    assert len(caplog.records) == 1
    assert "Step 600, discriminator near chance" in caplog.text


def test_nan_stops_the_run(tmp_path):
    callback = HealthCallback(RTD, vocab_size=1000, mask_fraction=0.15, fresh=False)
    with pytest.raises(ElectraHfError, match="the loss is nan at step 7"):
        log(callback, {"loss": float("nan"), "generator_loss": 1.0, "rtd_loss": 1.0, **HEALTHY}, 7, tmp_path)


def test_only_a_fresh_model_is_held_to_the_start_values(tmp_path, caplog):
    logs = {"loss": 50.0, "generator_loss": 2.0, "rtd_loss": 0.9, **HEALTHY}
    for fresh, messages in ((False, 0), (True, 2)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            log(HealthCallback(RTD, vocab_size=1000, mask_fraction=0.15, fresh=fresh), logs, 1, tmp_path)
        assert len(caplog.records) == messages


def test_energies_and_copies_are_watched():
    electric = {"generator_loss": 3.0, "log_likelihood": -2.8, "nce_auc": 0.6}
    assert not OBJECTIVES["electric"].diagnose(electric, 0.9, 0.15)
    assert not OBJECTIVES["electric"].diagnose({**electric, "log_likelihood": -9.0}, 0.1, 0.15)
    assert "energies worse" in next(
        iter(OBJECTIVES["electric"].diagnose({**electric, "log_likelihood": -9.0}, 0.9, 0.15))
    )
    copies = {"generator_accuracy": 0.3, "replaced_fraction": 0.1, "copy_probability": 0.85}
    diagnose = OBJECTIVES["all_tokens_mlm"].diagnose
    assert not diagnose({**copies, "replaced_copy_probability": 0.4}, 0.9, 0.15)
    assert "copies everything" in diagnose({**copies, "replaced_copy_probability": 0.84}, 0.9, 0.15)
    assert "few replacements" in OBJECTIVES["replace_mlm"].diagnose({**copies, "replaced_fraction": 0.01}, 0.9, 0.15)
