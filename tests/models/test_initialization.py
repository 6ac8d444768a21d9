"""Fresh weights follow the reference."""

import math

import torch
from scipy import stats
from torch import nn
from transformers import ElectraConfig, ElectraForPreTraining

from electra_hf.models.initialization import initialize_as_reference


def test_reference_initialization():
    torch.manual_seed(0)
    config = ElectraConfig(
        vocab_size=500, embedding_size=64, hidden_size=128, num_hidden_layers=1, intermediate_size=256
    )
    model = ElectraForPreTraining(config)
    initialize_as_reference(model)
    glorot = {
        "electra.embeddings_project": math.sqrt(6 / (64 + 128)),
        "discriminator_predictions.dense_prediction": math.sqrt(6 / (128 + 1)),
    }
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name in glorot:
            weight = module.weight.detach().flatten()
            assert weight.abs().max() <= glorot.pop(name)
            assert weight.std() > 0.05
            assert not module.bias.any()
        elif isinstance(module, nn.Linear | nn.Embedding):
            weight = module.weight.detach().flatten().double()
            assert weight.abs().max() <= 0.04, name
            assert stats.kstest(weight.numpy() / 0.02, stats.truncnorm(-2, 2).cdf).pvalue > 1e-3, name
        elif isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all() and not module.bias.any()
    assert not glorot


def test_transformers_initialization_is_a_choice(make_model):
    reference, other = make_model(), make_model(initialization="transformers")
    width = [
        model.discriminator.electra.encoder.layer[0].output.dense.weight.abs().max() for model in (reference, other)
    ]
    assert width[0] <= 0.04 < width[1]
