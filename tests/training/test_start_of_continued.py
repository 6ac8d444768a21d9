"""What is said about the first losses of a model whose weights were loaded."""

import logging
import math

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from electra_hf.training.health import HealthCallback, describe_start
from electra_hf.training.objectives import OBJECTIVES

V = 8_000
RTD = OBJECTIVES["rtd"]
STARTS = RTD.starts(V)
LEARNT = {"generator_loss": 4.0, "rtd_loss": 0.25, "loss": 16.5}
FRESH = {"generator_loss": math.log(V), "rtd_loss": math.log(2), "loss": 43.6}
BOTH = ("generator", "discriminator")


def test_weights_that_fit_start_below_a_fresh_model():
    lines, warnings = describe_start(LEARNT, STARTS, BOTH)
    assert warnings == []
    assert "generator" in lines[0] and "4.00" in lines[0] and "ln 8,000 = 8.99" in lines[0]
    assert "discriminator" in lines[1] and "0.250" in lines[1] and "ln 2 = 0.693" in lines[1]


def test_weights_that_do_not_fit_are_named():
    _, warnings = describe_start(FRESH, STARTS, BOTH)
    assert len(warnings) == 2
    assert "weights or the vocabulary" in warnings[0]
    _, (warning,) = describe_start({**LEARNT, "rtd_loss": 0.70}, STARTS, BOTH)
    assert "discriminator" in warning


@pytest.mark.parametrize("loaded", BOTH)
def test_only_the_loaded_half_is_held_to_it(loaded):
    lines, warnings = describe_start(FRESH, STARTS, (loaded,))
    assert len(warnings) == 1 and f"The {loaded}" in warnings[0]
    assert any("fresh" in line for line in lines)


def ours(caplog):
    """Other libraries' records may be among them, if an earlier test has made those talk."""
    return [record for record in caplog.records if record.name.startswith("electra_hf")]


def test_it_is_said_once_at_the_first_step(tmp_path, caplog):
    callback = HealthCallback(RTD, vocab_size=V, mask_fraction=0.15, fresh=False, loaded=BOTH)
    args, control = TrainingArguments(output_dir=str(tmp_path)), TrainerControl()
    callback.on_step_end(args, TrainerState(global_step=1, max_steps=100), control)
    assert control.should_log
    healthy = {**LEARNT, "generator_accuracy": 0.3, "replaced_fraction": 0.08, "rtd_auc": 0.9}
    with caplog.at_level(logging.INFO, logger="electra_hf"):
        callback.on_log(args, TrainerState(global_step=1, max_steps=100), control, logs=healthy)
        said = ours(caplog)
        callback.on_log(args, TrainerState(global_step=2, max_steps=100), control, logs=healthy)
    assert said == ours(caplog) and len(said) == 2


def test_a_resumed_run_is_not_measured_again(tmp_path, caplog):
    callback = HealthCallback(RTD, vocab_size=V, mask_fraction=0.15, fresh=False)
    args, control = TrainingArguments(output_dir=str(tmp_path)), TrainerControl()
    callback.on_step_end(args, TrainerState(global_step=1, max_steps=100), control)
    assert not control.should_log
