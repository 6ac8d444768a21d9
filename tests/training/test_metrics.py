"""Window metrics against scikit-learn on the same predictions."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from electra_hf.training.metrics import ReplacedTokenDetectionMeter, unigram_accuracy


def test_metrics_equal_scikit_learn_over_several_batches(make_model, make_batch):
    model = make_model().eval()
    with torch.no_grad():  # far from 0, so that precision and recall are not trivial
        model.discriminator.discriminator_predictions.dense_prediction.weight.mul_(20)
    meter = ReplacedTokenDetectionMeter("cpu")
    labels, logits, correct, slots, generator_loss, rtd_loss = [], [], 0, 0, 0.0, 0.0
    for seed in range(8):
        batch = make_batch(seed=seed)
        with torch.no_grad():
            output = model(**batch)
        meter.update(output, batch)
        real = batch["attention_mask"].bool()
        labels.append(output.labels[real])
        logits.append(output.logits[real])
        used = batch["masked_weights"] > 0
        correct += int(output.generator_correct[used].sum())
        slots += int(used.sum())
        generator_loss += output.generator_loss_sum.item()
        rtd_loss += output.rtd_loss_sum.item()
    labels, logits = torch.cat(labels).numpy(), torch.cat(logits).numpy()
    metrics = meter.compute()
    assert 0 < (logits > 0).mean() < 1
    assert metrics["tokens"] == labels.size
    assert metrics["replaced_fraction"] == pytest.approx(labels.mean())
    assert metrics["rtd_precision"] == pytest.approx(precision_score(labels, logits > 0))
    assert metrics["rtd_recall"] == pytest.approx(recall_score(labels, logits > 0))
    assert metrics["rtd_auc"] == pytest.approx(roc_auc_score(labels, logits), abs=2e-3)
    assert metrics["generator_accuracy"] == pytest.approx(correct / slots)
    assert metrics["generator_loss"] == pytest.approx(generator_loss / slots)
    assert metrics["rtd_loss"] == pytest.approx(rtd_loss / labels.size)
    assert meter.compute() == {}, "reading empties the window"


def test_auc_is_exact_for_separated_and_for_constant_scores(make_model, make_batch):
    batch = make_batch()
    output = make_model()(**batch)
    meter = ReplacedTokenDetectionMeter("cpu")
    output.logits = torch.where(output.labels, 3.0, -3.0)
    meter.update(output, batch)
    assert meter.compute()["rtd_auc"] == 1.0
    output.logits = torch.full_like(output.logits, -1.0)
    meter.update(output, batch)
    metrics = meter.compute()
    assert metrics["rtd_auc"] == 0.5
    assert math.isnan(metrics["rtd_precision"]) and metrics["rtd_recall"] == 0


def test_nan_loss_stays_nan(make_model, make_batch):
    batch = make_batch()
    output = make_model()(**batch)
    output.generator_loss_sum = torch.tensor(float("nan"))
    output.logits = torch.full_like(output.logits, float("nan"))
    meter = ReplacedTokenDetectionMeter("cpu")
    meter.update(output, batch)
    assert math.isnan(meter.compute()["generator_loss"])


def test_unigram_baseline_uses_the_training_text_and_no_special_tokens():
    train, evaluation = np.array([900, 5, 30, 20]), np.array([500, 5, 10, 25])
    assert unigram_accuracy(train, evaluation, special_ids=[0]) == pytest.approx(10 / 40)
    assert train[0] == 900, "the counts are not changed"
