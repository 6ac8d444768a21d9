"""Equal budgets: steps from the exact count, and blocks that are shared."""

import pytest
import torch
from tiny_study import LENGTH, ROWS, write

from electra_hf.errors import UsageError
from electra_hf.models import PretrainingModel
from electra_hf.study.definition import read_study
from electra_hf.study.jobs import corpus_jobs, training_jobs
from electra_hf.study.plan import plan_study, prepared_folder


def plans_of(study, tmp_path):
    plans, assumed = plan_study(read_study(write(tmp_path, study)))
    assert assumed is None
    return plans


def test_flops_make_steps(study, tmp_path):
    study["runs"]["twice"] = {"generator_width": 1.0, "budget_factor": 2}
    plans = plans_of(study, tmp_path)
    # By hand: rows of 16 tokens with 2 slots, a layer of 16 with FFN 32, 19 tokens; the narrow generator has 8 and 16.
    layer = lambda hidden, ffn: (8 * hidden**2 + 4 * hidden * ffn + 4 * LENGTH * hidden) * LENGTH  # noqa: E731
    discriminator = layer(16, 32) + 2 * 16 * (16 + 1) * LENGTH
    narrow = layer(8, 16) + 2 * 16 * 8 * LENGTH + 2 * 16 * (8 + 19) * 2
    wide = layer(16, 32) + 2 * 16 * (16 + 19) * 2
    for name, generator, budget in (("narrow", narrow, 2e7), ("wide", wide, 2e7), ("twice", wide, 4e7)):
        assert plans[name].flops_per_step == 3 * ROWS * (discriminator + generator)
        assert plans[name].steps == budget // plans[name].flops_per_step
        assert plans[name].tokens == (plans[name].steps or 0) * ROWS * LENGTH
    narrow_steps, wide_steps = plans["narrow"].steps, plans["wide"].steps
    assert narrow_steps and wide_steps and narrow_steps > wide_steps > 1


@pytest.mark.parametrize(
    ("budget", "steps", "minutes"),
    [({"steps": 7}, 7, None), ({"tokens": 1_000}, 7, None), ({"seconds": 90}, None, 1.5)],
)
def test_other_budgets(study, tmp_path, budget, steps, minutes):
    plan = plans_of(study | {"budget": budget}, tmp_path)["wide"]
    assert (plan.steps, plan.minutes) == (steps, minutes)


def test_parameters_are_those_of_the_model(study, tmp_path, monkeypatch):
    built = []
    original = PretrainingModel._finish
    monkeypatch.setattr(PretrainingModel, "_finish", lambda model: (original(model), built.append(model)))
    study["runs"]["mlm"] = {"objective": "mlm", "generator_width": None}
    plans = plans_of(study, tmp_path)
    assert len(built) == 3
    for model, plan in zip(built, plans.values(), strict=True):
        sizes = {parameter.numel() for parameter in model.parameters()}
        assert sizes and all(parameter.device == torch.device("meta") for parameter in model.parameters())
        assert plan.parameters == sum(parameter.numel() for parameter in model.parameters())
    # Embeddings of 19 tokens, 16 positions and 2 segments with their LayerNorm, and one layer.
    layer = 4 * (16 * 16 + 16) + 2 * 16 * 32 + 32 + 16 + 4 * 16
    expected = 16 * (19 + 16 + 2) + 2 * 16 + layer
    assert [plan.encoder_parameters for plan in plans.values()] == [expected] * 3


def test_a_budget_below_one_step_is_refused(study, tmp_path):
    with pytest.raises(UsageError, match=r"budget: tokens: 100 is less than the 128 of one step of narrow"):
        plans_of(study | {"budget": {"tokens": 100}}, tmp_path)


def test_sizes_that_do_not_fit_are_the_runs(study, tmp_path):
    study["runs"]["wide"]["max_seq_length"] = 64
    with pytest.raises(UsageError, match=r"runs: wide: .*max_position_embeddings"):
        plans_of(study, tmp_path)


def test_a_tokenizer_to_come_is_assumed(study, tmp_path):
    study["corpus"] |= {"tokenizer_name": None, "train_tokenizer": True, "vocab_size": 640}
    found = read_study(write(tmp_path, study), tmp_path / "new")
    plans, assumed = plan_study(found)
    assert assumed and "640 tokens" in assumed
    train, prepare = corpus_jobs(found)
    assert (train.program[-2:], train.options["vocab_size"]) == (("tokenizer", "train"), 640)
    assert prepare.needs == (train.key,) and prepare.options["tokenizer_name"] == str(train.folder)
    assert prepare.options["validation_split_percentage"] == 20


def test_runs_with_the_same_blocks_share_them(study, tmp_path):
    study["runs"]["pairs"] = {"packing": "electra"}
    study["runs"]["short"] = {"packing": "electra", "short_probability": 0.5}
    study["runs"]["same"] = {"packing": "electra", "short_probability": 0.5, "learning_rate": 1e-3}
    found = read_study(write(tmp_path, study), tmp_path / "new")
    folders = {run.name: prepared_folder(found, run).name for run in found.runs}
    assert folders["narrow"] == folders["wide"] == "full-16"
    assert folders["pairs"] == "electra-16"
    assert folders["short"] == folders["same"] not in ("electra-16", "full-16")
    jobs = {job.folder.name: job for job in corpus_jobs(found)}
    assert jobs.keys() == set(folders.values())
    assert jobs[folders["short"]].options["short_probability"] == 0.5
    plans, _ = plan_study(found)
    run = next(job for job in training_jobs(found, plans) if job.key == "pretraining/short")
    assert run.options["prepared_dir"] == str(jobs[folders["short"]].folder)
    assert run.options["max_seq_length"] == 16 and "train_file" not in run.options
