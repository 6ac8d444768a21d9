"""The samplers draw from the softmax."""

import pytest
import torch
from scipy import stats

from electra_hf.models.sampling import gumbel_noise, sample_tokens

DRAWS = 200_000


@pytest.mark.parametrize("sampler", ["gumbel", "multinomial"])
@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_frequencies_match_the_softmax(sampler, temperature, dtype):
    torch.manual_seed(0)
    logits = torch.randn(20).to(dtype)
    draws = sample_tokens(logits.expand(DRAWS, -1), sampler=sampler, temperature=temperature)
    expected = (logits.double() / temperature).softmax(-1) * DRAWS
    observed = torch.bincount(draws, minlength=20).double()
    assert expected.min() > 5  # or the test statistic is not chi-square distributed
    assert stats.chisquare(observed.numpy(), expected.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("sampler", ["gumbel", "multinomial"])
def test_disallowed_token_is_never_drawn_and_the_others_keep_their_odds(sampler):
    torch.manual_seed(0)
    logits = torch.tensor([5.0, 0.0, 1.0])
    draws = sample_tokens(logits.expand(DRAWS, -1), sampler=sampler, disallowed=torch.zeros(DRAWS, dtype=torch.long))
    counts = torch.bincount(draws, minlength=3)
    assert counts[0] == 0
    expected = torch.tensor([0.0, 1.0]).double().softmax(-1) * DRAWS
    assert stats.chisquare(counts[1:].numpy(), expected.numpy()).pvalue > 1e-3


def test_rows_are_drawn_independently():
    torch.manual_seed(0)
    draws = sample_tokens(torch.zeros(100, 50, 1000))
    assert draws.shape == (100, 50)
    assert draws.unique().numel() > 900


def test_noise_is_standard_gumbel_and_finite():
    torch.manual_seed(0)
    noise = gumbel_noise(torch.empty(100_000, dtype=torch.bfloat16))
    assert noise.dtype == torch.float32
    assert noise.isfinite().all()
    assert stats.kstest(noise.numpy(), "gumbel_r").pvalue > 1e-3


def test_unknown_sampler_is_an_error():
    with pytest.raises(ValueError, match="unknown sampler 'beam'"):
        sample_tokens(torch.zeros(2, 3), sampler="beam")
