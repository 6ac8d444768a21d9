"""Muon against torch's own and against the mathematics; two optimisers in one."""

import io

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from electra_hf.errors import UsageError
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.muon import BatchedMuon, MuonWithAdamW, hidden_matrices, muon_for_model, orthogonalize
from electra_hf.training.optimization import AdamWPaper

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
SHAPES = [(16, 16), (32, 16), (16, 16), (16, 32), (32, 16), (8, 24)]


def make_matrices(seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator) * 0.1) for shape in SHAPES]


def give_gradients(parameters, step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (7, 7)])
def test_singular_values_go_through_the_polynomial_and_vectors_stay(shape):
    torch.manual_seed(1)
    matrices = torch.randn(3, *shape, dtype=torch.float64)
    u, values, vh = torch.linalg.svd(matrices, full_matrices=False)
    values = values / values.square().sum(-1, keepdim=True).sqrt()
    a, b, c = COEFFICIENTS
    for _ in range(5):
        values = a * values + b * values**3 + c * values**5
    expected = u @ torch.diag_embed(values) @ vh
    found = orthogonalize(matrices, COEFFICIENTS, 5, 1e-7, torch.float64)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)
    single = orthogonalize(matrices.float(), COEFFICIENTS, 5, 1e-7, torch.float32)
    torch.testing.assert_close(single.double(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("adjustment", ["match_rms_adamw", "original"])
@pytest.mark.parametrize("nesterov", [True, False])
def test_batched_updates_are_torchs(monkeypatch, adjustment, nesterov):
    monkeypatch.setattr("electra_hf.training.muon.cpu_has_bf16", lambda: True)
    options = {"lr": 0.02, "weight_decay": 0.1, "adjust_lr_fn": adjustment, "nesterov": nesterov}
    ours, theirs = make_matrices(), make_matrices()
    optimizers = [BatchedMuon(ours, **options), torch.optim.Muon(theirs, **options)]
    for step in range(4):
        before = [matrix.detach().clone() for matrix in theirs]
        for matrices, optimizer in zip((ours, theirs), optimizers, strict=True):
            give_gradients(matrices, step)
            optimizer.step()
        for matrix, expected, start in zip(ours, theirs, before, strict=True):
            # The iteration runs in bf16; only the order of its sums may differ.
            assert (matrix - expected).norm() <= 0.01 * (expected - start).norm()
    assert optimizers[0].state_dict().keys() == optimizers[1].state_dict().keys()
    for matrix, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(
            optimizers[0].state[matrix]["momentum_buffer"], optimizers[1].state[expected]["momentum_buffer"]
        )


def test_update_is_as_large_as_adamws():
    """Root mean square 0.2 x lr for every shape, whatever the size of the gradient (arXiv 2502.16982)."""
    torch.manual_seed(0)
    matrices = [nn.Parameter(torch.zeros(shape)) for shape in ((64, 64), (256, 64), (64, 256))]
    for scale, matrix in zip((1e-3, 1.0, 1e3), matrices, strict=True):
        matrix.grad = scale * torch.randn_like(matrix)
    BatchedMuon(matrices, lr=1.0, weight_decay=0.0, adjust_lr_fn="match_rms_adamw").step()
    for matrix in matrices:
        assert matrix.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.15)


def test_matrices_of_the_model(make_model):
    model = make_model()
    names = hidden_matrices(model)
    layer = "discriminator.electra.encoder.layer.1"
    inside = [f"attention.self.{part}" for part in ("query", "key", "value")]
    inside += ["attention.output.dense", "intermediate.dense", "output.dense"]
    assert [name for name in names if name.startswith(layer)] == [f"{layer}.{part}.weight" for part in inside]
    assert len([name for name in names if ".layer." in name]) == 2 * 2 * 6
    assert {name for name in names if ".layer." not in name} == {
        "generator.electra.embeddings_project.weight",
        "generator.generator_predictions.dense.weight",
        "discriminator.electra.embeddings_project.weight",
        "discriminator.discriminator_predictions.dense.weight",
    }
    parameters = dict(model.named_parameters())
    optimizer = muon_for_model(model, ["generator.generator_lm_head.weight"], weight_decay=0.3, lr=1e-3, muon_lr=2e-2)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(parameter) for parameter in parameters.values()}
    assert len(held) == len(parameters)
    matrices = optimizer.param_groups[-1]
    assert {id(parameter) for parameter in matrices["params"]} == {id(parameters[name]) for name in names}
    assert (matrices["lr"], matrices["weight_decay"]) == (2e-2, 0.3)
    assert all(group["lr"] == 1e-3 for group in optimizer.param_groups[:-1])


def test_a_model_without_matrices_is_refused():
    with pytest.raises(UsageError, match="--optim muon: LayerNorm has no linear layer"):
        muon_for_model(nn.LayerNorm(3), [], weight_decay=0.0)


def test_both_parts_do_what_they_do_alone():
    matrices, bias = make_matrices(), nn.Parameter(torch.ones(5))
    lone_matrices, lone_bias = make_matrices(), nn.Parameter(torch.ones(5))
    both = MuonWithAdamW(
        matrices, [{"params": [bias], "weight_decay": 0.0}], lr=1e-3, muon_lr=0.02, weight_decay=0.1, momentum=0.9
    )
    muon = BatchedMuon(lone_matrices, lr=0.02, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    adamw = AdamWPaper([lone_bias], lr=1e-3, weight_decay=0.0, fused=True)
    schedules = [LambdaLR(optimizer, lambda step: 1 / (1 + step)) for optimizer in (both, muon, adamw)]
    for step in range(3):
        give_gradients([*matrices, bias], step)
        give_gradients([*lone_matrices, lone_bias], step)
        for optimizer, schedule in zip((both, muon, adamw), schedules, strict=True):
            optimizer.step()
            schedule.step()
    assert torch.equal(bias, lone_bias)
    assert all(torch.equal(*pair) for pair in zip(matrices, lone_matrices, strict=True))


def test_state_survives_a_round_trip_through_a_file():
    runs = []
    for interrupted in (False, True):
        matrices, bias = make_matrices(), nn.Parameter(torch.ones(5))

        def make(matrices=matrices, bias=bias) -> MuonWithAdamW:
            return MuonWithAdamW(matrices, [bias], lr=1e-3, muon_lr=0.02)

        optimizer = make()
        for step in range(6):
            if interrupted and step == 3:
                file = io.BytesIO()
                torch.save(optimizer.state_dict(), file)
                file.seek(0)
                optimizer = make()
                optimizer.load_state_dict(torch.load(file, weights_only=True))
            give_gradients([*matrices, bias], step)
            optimizer.step()
        runs.append([*matrices, bias])
    assert all(torch.equal(*pair) for pair in zip(*runs, strict=True))


def test_shards_are_refused(tmp_path, make_model):
    args = PretrainingArguments(output_dir=str(tmp_path), optim="muon", muon_learning_rate=1e-2, weight_decay=0.2)
    trainer = PretrainingTrainer(model=make_model(), args=args)
    trainer.is_fsdp_enabled = True
    with pytest.raises(UsageError, match="FSDP and DeepSpeed keep shards"):
        trainer.create_optimizer()
    trainer.is_fsdp_enabled = False
    groups = trainer.create_optimizer().param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(5e-4, 0.2), (5e-4, 0.0), (1e-2, 0.2)]
