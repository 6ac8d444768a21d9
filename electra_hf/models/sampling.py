"""Draw the generator's replacements: pure functions on logits, always in fp32.

google-research/electra samples with the Gumbel-max trick (pretrain_helpers.py, sample_from_softmax). Half-precision
noise is biased (torch#41663) and a compiled `exponential_` may return zeros (torch#127749), so the noise comes from
uniform fp32 numbers with clamped logarithms.
"""

import torch
from torch import Tensor

_TINY = torch.finfo(torch.float32).tiny


def exponential_noise(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard exponential noise, fp32, above 0, with the shape and device of `like`.

    The largest of p / noise has the distribution p, as the largest of log p + Gumbel noise has: the Gumbel-max trick
    with one logarithm instead of two.
    """
    uniform = torch.rand(like.shape, dtype=torch.float32, device=like.device, generator=generator)
    return -torch.log(uniform.clamp_min(_TINY))  # never 0, since rand stays below 1


def gumbel_noise(like: Tensor) -> Tensor:
    """Standard Gumbel noise, fp32, with the shape and device of `like`."""
    return -torch.log(exponential_noise(like).clamp_min(_TINY))


def perturb(logits: Tensor, temperature: Tensor | float = 1.0, disallowed: Tensor | None = None) -> Tensor:
    """logits / temperature + Gumbel noise, whose argmax is a sample of softmax(logits / temperature).

    Args:
        logits: (..., vocabulary), any floating dtype; gets the gradient.
        temperature: As in `sample_tokens`.
        disallowed: Likewise.

    Returns:
        (..., vocabulary) fp32.
    """
    scaled = _scaled(logits, temperature, disallowed)
    return scaled + gumbel_noise(scaled)


def _scaled(logits: Tensor, temperature: Tensor | float, disallowed: Tensor | None) -> Tensor:
    scaled = logits.float() / temperature
    return scaled if disallowed is None else scaled.scatter(-1, disallowed.unsqueeze(-1), -torch.inf)


@torch.no_grad()
def sample_tokens(
    logits: Tensor,
    *,
    sampler: str = "gumbel",
    temperature: Tensor | float = 1.0,
    disallowed: Tensor | None = None,
) -> Tensor:
    """Draw one token for each row of logits from softmax(logits / temperature).

    Args:
        logits: (..., vocabulary), any floating dtype; computed in fp32.
        sampler: `gumbel` or `multinomial`; the same distribution, drawn in two ways.
        temperature: Above 0, a number or () fp32; below 1 sharpens, above 1 flattens.
        disallowed: (...,) int64, one token for each row that must not be drawn (the original, for
            `disallow_correct`), or None.

    Returns:
        (...,) int64 token ids.

    Raises:
        ValueError: For an unknown sampler.
    """
    if sampler == "gumbel":
        return perturb(logits, temperature, disallowed).argmax(-1)
    if sampler == "multinomial":
        probabilities = _scaled(logits, temperature, disallowed).softmax(-1)
        return torch.multinomial(probabilities.flatten(0, -2), 1).view(logits.shape[:-1])
    raise ValueError(f"unknown sampler {sampler!r}; choose gumbel or multinomial")
