"""The paper's optimiser and schedule, where they differ from torch's and transformers'.

google-research/electra (model/optimization.py) uses Adam *without bias correction*, eps 1e-6, decoupled weight decay
that spares LayerNorm and biases, and a linear decay that starts at step 0 and is *multiplied* with the warm-up.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

# At this step 0.9**t and 0.999**t are 0 in double precision, so both bias corrections are exactly 1.
_CORRECTION_FREE_STEP = 1_000_000.0


class AdamWPaper(torch.optim.AdamW):
    """AdamW without bias correction: p -= lr * (m / (sqrt(v) + eps) + weight_decay * p).

    torch's AdamW, fused kernels included, with a step counter that starts where its bias corrections have vanished.
    Without them the first updates are up to 6.5 times larger (near step 12), which the warm-up hides.

    Args:
        params: Parameters or parameter groups, as for any torch optimiser.
        lr: Peak learning rate.
        betas: Decay of the first and second moment.
        eps: Added to the root of the second moment (reference: 1e-6, torch: 1e-8).
        weight_decay: Decoupled, scaled by the learning rate.
        kwargs: Other arguments of `torch.optim.AdamW`, such as `fused`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 5e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        **kwargs: Any,
    ):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, **kwargs)

    def step(self, closure: Any = None) -> Any:
        """One update; see `torch.optim.Optimizer.step`."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not self.state[parameter]:
                    # torch keeps the counter on the device only where its kernels read it there.
                    device = parameter.device if group["fused"] or group["capturable"] else "cpu"
                    self.state[parameter] = {
                        "step": torch.tensor(_CORRECTION_FREE_STEP, device=device),
                        "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                        "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                    }
        return super().step(closure)


def paper_linear_factor(step: int, warmup_steps: int, total_steps: int) -> float:
    """(1 - t/T) * min(1, t/W): the paper's schedule as a factor of the peak learning rate.

    The decay runs from step 0, so the peak stays below 1; transformers' `linear` starts to decay after the warm-up.

    >>> paper_linear_factor(10_000, warmup_steps=10_000, total_steps=1_000_000)
    0.99
    """
    decay = max(0.0, 1.0 - step / max(1, total_steps))
    return decay * min(1.0, step / warmup_steps) if warmup_steps > 0 else decay


def paper_linear_schedule(optimizer: torch.optim.Optimizer, warmup_steps: int, total_steps: int) -> LambdaLR:
    """Schedule `paper_linear`; see `paper_linear_factor`."""
    return LambdaLR(optimizer, lambda step: paper_linear_factor(step, warmup_steps, total_steps))
