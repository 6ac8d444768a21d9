"""The known figures of a run: what follows from arithmetic, what is published for which recipe, what is alarming."""

import math

import pytest

from electra_hf.bands import BANDS, LATE, binary_entropy, healthy_bands
from electra_hf.training.objectives import OBJECTIVES
from electra_hf.training.progress import _TRAIN_COLUMNS


def test_chance_is_what_a_fresh_model_starts_at():
    for objective in OBJECTIVES.values():
        bands = healthy_bands(objective=objective.name, vocab_size=8_000)
        for start in objective.starts(8_000):
            assert bands[start.metric].chance == pytest.approx(start.value), (objective.name, start.metric)


def test_the_total_starts_at_the_sum_of_its_parts():
    bands = healthy_bands(vocab_size=30_522, discriminator_weight=50)
    assert bands["loss"].chance == pytest.approx(44.98, abs=0.01)
    assert healthy_bands(vocab_size=30_522, objective="mlm")["loss"].chance is None


def test_a_published_band_is_only_for_the_recipe_that_it_was_measured_with():
    paper = healthy_bands(vocab_size=30_522, generator_hidden_size=256)
    assert (paper["loss"].low, paper["rtd_loss"].high, paper["generator_accuracy"].high) == (8.0, 0.16, 0.65)
    others = {
        "loss": {"discriminator_weight": 25},
        "rtd_loss": {"mask_probability": 0.25},
        "rtd_auc": {"objective": "electra_15"},
        "generator_accuracy": {"generator_hidden_size": 64},
    }
    for metric, change in others.items():
        band = healthy_bands(**{"vocab_size": 30_522, "generator_hidden_size": 256, **change})[metric]
        assert band.low is band.high is None and not band.source, metric


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_bands_are_well_formed(objective: str):
    bands = healthy_bands(objective=objective, vocab_size=30_522, generator_hidden_size=256)
    assert bands.keys() == BANDS.keys()
    for name, band in bands.items():
        assert (band.low is None) == (band.high is None) == (not band.source), name
        if band.low is not None and band.high is not None:
            assert band.low < band.high
            # What is healthy is no reason for an alarm.
            assert not band.alarm(band.low) and not band.alarm(band.high)


def test_every_metric_that_is_printed_has_a_meaning():
    printed = {key for key, _ in _TRAIN_COLUMNS} - {"learning_rate", "tokens_per_second"}
    assert printed <= BANDS.keys()


def test_alarms_wait_where_a_young_run_has_no_verdict():
    auc = BANDS["rtd_auc"]
    assert auc.alarm(0.5, LATE) == "" and auc.alarm(0.5, LATE + 0.01) == "low"
    assert BANDS["generator_accuracy"].alarm(0.9, 0.0) == "high"
    assert auc.alarm(math.nan) == ""
    # Below 15 % of the masked tokens, whatever their share is.
    assert healthy_bands(mask_probability=0.4)["replaced_fraction"].alarm(0.05) == "low"
    assert healthy_bands(mask_probability=0.15)["replaced_fraction"].alarm(0.05) == ""


def test_knowing_only_the_share_costs_its_entropy():
    p = 0.135
    assert binary_entropy(p) == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p))
    assert binary_entropy(p) == pytest.approx(0.40, abs=0.01)
