"""Temperatures as functions of the share of the run that is done."""

import math

import pytest
import torch

from electra_hf.models.temperatures import Schedule


def test_the_samples_temperature_falls_as_in_fast_electra(make_model):
    model = make_model(temperature=2.0, temperature_schedule="exponential", temperature_decay=0.2)
    for progress in (0.0, 0.2, 0.55, 1.0):
        model.set_progress(progress)
        expected = 1 + (2 - 1) * math.exp(-progress / 0.2)
        assert model.scheduled == {"temperature": pytest.approx(expected, rel=1e-12)}
        assert model.temperatures.of_samples().item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("shape", "half"), [("linear", 1.25), ("exponential", 1.0)])
def test_the_soft_choice_hardens_from_start_to_end(make_model, shape, half):
    model = make_model(
        sampler="gumbel_softmax", gumbel_temperature=2.0, gumbel_temperature_end=0.5, gumbel_temperature_schedule=shape
    )
    values = []
    for progress in (0.0, 0.5, 1.0):
        model.set_progress(progress)
        values.append(model.temperatures.of_soft_choice().item())
    assert values == pytest.approx([2.0, half, 0.5])


def test_what_is_constant_is_a_number_and_not_logged(make_model):
    model = make_model(temperature=1.5)
    model.set_progress(0.5)
    assert model.scheduled == {} and model.temperatures.of_samples() == 1.5
    assert "temperatures.temperature" not in model.state_dict()
    assert Schedule(1.5, 1.0).at(0.9) == 1.5


@pytest.mark.parametrize("implementation", ["plain", "fused", "auto"])
@pytest.mark.parametrize("disallow", [False, True])
def test_a_temperature_on_the_device_draws_what_a_number_draws(make_model, make_batch, implementation, disallow):
    outputs = []
    for settings in ({"temperature": 1.5}, {"temperature": 2.0, "temperature_schedule": "exponential"}):
        model = make_model(disallow_correct=disallow, **settings)
        model.implementation = implementation
        model.set_progress(0.1 * math.log(2.0))  # 1 + exp(-ln 2) = 1.5
        torch.manual_seed(2)
        outputs.append(model(**make_batch(rows=32)))
    assert torch.equal(outputs[0].corrupted_ids, outputs[1].corrupted_ids)
    assert torch.equal(outputs[0].loss, outputs[1].loss)
