"""The paper's optimiser and schedule against the formulas of google-research/electra, and the other schedules."""

import math

import pytest
import torch

from electra_hf.errors import UsageError
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.optimization import AdamWPaper, paper_linear_factor, paper_linear_schedule, wsd_schedule


@pytest.mark.parametrize("kernel", [{"fused": True}, {"foreach": True}, {"foreach": False}])
def test_update_has_no_bias_correction(kernel):
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(7, 5))
    expected = parameter.detach().double()
    m, v = torch.zeros_like(expected), torch.zeros_like(expected)
    optimizer = AdamWPaper([parameter], lr=0.01, eps=1e-6, weight_decay=0.1, **kernel)
    for step in range(20):
        gradient = torch.randn(7, 5) * (step + 1)
        parameter.grad = gradient.clone()
        optimizer.step()
        m = 0.9 * m + 0.1 * gradient.double()
        v = 0.999 * v + 0.001 * gradient.double() ** 2
        expected = expected - 0.01 * (m / (v.sqrt() + 1e-6) + 0.1 * expected)
        torch.testing.assert_close(parameter.detach().double(), expected, atol=2e-6, rtol=2e-6)


def test_first_update_is_larger_than_torchs():
    """Without correction the first step is (1 - beta1) / sqrt(1 - beta2) = 3.16 learning rates."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.ones(1)
    AdamWPaper([parameter], lr=1.0, weight_decay=0.0).step()
    assert parameter.item() == pytest.approx(-0.1 / math.sqrt(0.001), rel=1e-4)


def test_state_survives_a_round_trip():
    torch.manual_seed(0)
    gradients = torch.randn(6, 3)
    runs = []
    for interrupted in (False, True):
        parameter = torch.nn.Parameter(torch.ones(3))
        optimizer = AdamWPaper([parameter], fused=True)
        for step, gradient in enumerate(gradients):
            if interrupted and step == 3:
                state = optimizer.state_dict()
                optimizer = AdamWPaper([parameter], fused=True)
                optimizer.load_state_dict(state)
            parameter.grad = gradient.clone()
            optimizer.step()
        runs.append(parameter.detach().clone())
    assert torch.equal(*runs)


def test_schedule_multiplies_warmup_and_decay():
    assert paper_linear_factor(0, 10, 100) == 0
    assert paper_linear_factor(5, 10, 100) == pytest.approx(0.95 * 0.5)
    assert paper_linear_factor(10, 10, 100) == pytest.approx(0.9)
    assert paper_linear_factor(100, 10, 100) == 0
    assert paper_linear_factor(120, 10, 100) == 0
    assert paper_linear_factor(0, 0, 100) == 1


def test_schedule_drives_the_optimizer():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = paper_linear_schedule(optimizer, warmup_steps=2, total_steps=4)
    rates = []
    for _ in range(5):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.0, 2 * 0.75 * 0.5, 2 * 0.5, 2 * 0.25, 0.0])


def rates(optimizer, schedule, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("shape", "decay"),
    [
        ("linear", [1.0, 0.75, 0.5, 0.25]),
        ("sqrt", [1.0, 1 - 0.5, 1 - math.sqrt(0.5), 1 - math.sqrt(0.75)]),
        ("cosine", [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
    ],
)
def test_wsd_warms_up_holds_and_decays(shape, decay):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = wsd_schedule(optimizer, 4, 12, decay_fraction=1 / 3, decay_shape=shape)
    expected = [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, *decay, 0, 0]
    assert rates(optimizer, schedule, 14) == pytest.approx([2 * factor for factor in expected], abs=1e-12)


def test_wsd_goes_on_where_it_was():
    def make():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
        return optimizer, wsd_schedule(optimizer, 2, 20, decay_fraction=0.5)

    whole = rates(*make(), 20)
    optimizer, schedule = make()
    rates(optimizer, schedule, 13)
    resumed_optimizer, resumed = make()
    resumed_optimizer.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    assert rates(resumed_optimizer, resumed, 7) == whole[13:]


def test_wsd_that_does_not_fit_is_refused():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(UsageError, match="6 warm-up steps and 5 steps of decay do not fit into 10 steps"):
        wsd_schedule(optimizer, 6, 10, decay_fraction=0.5)


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({"lr_scheduler_type": "wsd"}, 1 - math.sqrt(0.5)),
        ({"lr_scheduler_type": "wsd", "decay_shape": "cosine"}, 0.5),
        ({"lr_scheduler_type": "wsd", "decay_shape": "linear"}, 0.5),
        ({"lr_scheduler_type": "trapezoid"}, 0.5),
        ({"lr_scheduler_type": "trapezoid", "decay_fraction": 0.9}, 1 / 9),
    ],
)
def test_trainer_builds_the_schedule(tmp_path, make_model, options, factor):
    args = PretrainingArguments(output_dir=str(tmp_path), warmup_steps=0.1, learning_rate=1.0, **options)
    trainer = PretrainingTrainer(model=make_model(), args=args)
    schedule = trainer.create_scheduler(100, trainer.create_optimizer())
    assert schedule.lr_lambdas[0](5) == 0.5
    assert schedule.lr_lambdas[0](10) == 1
    assert schedule.lr_lambdas[0](90) == pytest.approx(factor)
