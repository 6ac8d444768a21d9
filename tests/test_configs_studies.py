"""Every study that is shipped is read by the real parsers, and its models are built."""

from pathlib import Path

import pytest

from electra_hf.study.definition import read_study
from electra_hf.study.plan import plan_study

CONFIGS = Path(__file__).parents[1] / "configs" / "studies"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_study_is_equal_for_all(path, tmp_path, monkeypatch):
    for folder in ("glue", "ner_open_en"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    study = read_study(path)
    plans, assumed = plan_study(study)
    assert "8,192" in str(assumed)
    assert study.budget.kind == "flops" and min(task.options["num_seeds"] for task in study.tasks) >= 3
    for name, plan in plans.items():
        assert plan.flops == pytest.approx(study.budget.amount, abs=plan.flops_per_step), name
    # The encoders that are fine-tuned are of one size; families differ a little.
    assert max(p.encoder_parameters for p in plans.values()) < 1.1 * min(p.encoder_parameters for p in plans.values())
    assert [baseline for baseline in study.baselines if baseline.run]
