"""The paper's optimiser and schedule, where they differ from torch's and transformers', and the schedule of today.

google-research/electra (model/optimization.py) uses Adam *without bias correction*, eps 1e-6, decoupled weight decay
that spares LayerNorm and biases, and a linear decay that starts at step 0 and is *multiplied* with the warm-up.

Warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395) holds the peak until the last part of the run, which can be
made longer, or branch, at any point before that. With a linear decay it is the trapezoid; Hägele et al. 2024 (arXiv
2405.18392) found 1 - sqrt better.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_wsd_schedule

from electra_hf.errors import UsageError

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


def paper_linear_factor(step: float, warmup_steps: float, total_steps: float) -> float:
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


def wsd_schedule(
    optimizer: torch.optim.Optimizer,
    warmup_steps: int,
    total_steps: int,
    *,
    decay_fraction: float = 0.2,
    decay_shape: str = "sqrt",
) -> LambdaLR:
    """Schedules `wsd` and, with a linear decay, `trapezoid`: linear warm-up, the peak, decay to 0 at the last step.

    transformers' `warmup_stable_decay` with its steps as a share of the run.

    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> schedule = wsd_schedule(optimizer, warmup_steps=2, total_steps=10, decay_fraction=0.4, decay_shape="linear")
    >>> [factor(step) for step in (0, 1, 2, 6, 7, 9) for factor in schedule.lr_lambdas]
    [0.0, 0.5, 1.0, 1.0, 0.75, 0.25]

    Args:
        optimizer: The learning rate of each of its groups is its peak.
        warmup_steps: Steps from 0 to the peak.
        total_steps: Of the whole run.
        decay_fraction: Share of the steps, at the end, in which the rate falls.
        decay_shape: With x from 0 to 1 in the decay, sqrt is 1 - sqrt(x), linear 1 - x, cosine (1 + cos(pi x)) / 2.

    Raises:
        UsageError: If warm-up and decay do not fit into the run.
    """
    decay_steps = max(1, round(decay_fraction * total_steps))
    if warmup_steps + decay_steps > total_steps:
        raise UsageError(
            f"{warmup_steps} warm-up steps and {decay_steps} steps of decay do not fit into {total_steps} steps: "
            "lower --warmup_steps or --decay_fraction"
        )
    return get_wsd_schedule(
        optimizer,
        num_warmup_steps=warmup_steps,
        num_decay_steps=decay_steps,
        num_training_steps=total_steps,
        decay_type="1-sqrt" if decay_shape == "sqrt" else decay_shape,
    )


def wsd_factor(progress: float, *, warmup: float, decay_fraction: float, decay_shape: str) -> float:
    """What `wsd_schedule` multiplies the peak with, as a function of the share of the run that is done.

    >>> [round(wsd_factor(x, warmup=0.2, decay_fraction=0.4, decay_shape="linear"), 3) for x in (0, 0.1, 0.5, 0.7, 1)]
    [0.0, 0.5, 1.0, 0.75, 0.0]
    """
    if progress < warmup:
        return progress / warmup
    done = max(0.0, (progress - (1 - decay_fraction)) / decay_fraction)
    if done >= 1:
        return 0.0
    return {"sqrt": 1 - math.sqrt(done), "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[decay_shape]


def schedule_in_time(
    optimizer: torch.optim.Optimizer,
    progress: Callable[[], float],
    name: str,
    *,
    warmup: float,
    decay_fraction: float = 0.2,
    decay_shape: str | None = None,
) -> LambdaLR:
    """`paper_linear`, `wsd` or `trapezoid` over the time of a run instead of its steps.

    Such a run cannot be repeated bit for bit, by its nature: how long a step takes is never the same twice, and each
    rate follows from it.

    Args:
        optimizer: The learning rate of each of its groups is its peak.
        progress: Share of the time that is used, from 0 to 1; asked once in each step, and the same in all processes.
        name: Of the schedule.
        warmup: Share of the time from 0 to the peak.
        decay_fraction: Share of the time, at the end, in which wsd and trapezoid fall.
        decay_shape: As in `wsd_schedule`; None for sqrt, and for trapezoid's linear.

    Raises:
        UsageError: If warm-up and decay do not fit into the run, or the schedule is none of these.
    """
    if name == "paper_linear":
        return LambdaLR(optimizer, lambda _: paper_linear_factor(progress(), warmup, 1))
    if name not in ("wsd", "trapezoid"):
        raise UsageError(f"--lr_scheduler_type {name} knows steps only: use paper_linear, wsd or trapezoid")
    if warmup + decay_fraction > 1:
        raise UsageError(
            f"a warm-up over {warmup:g} and a decay over {decay_fraction:g} of the time do not fit into it: lower "
            "--warmup_steps or --decay_fraction"
        )
    shape = "linear" if name == "trapezoid" else decay_shape or "sqrt"
    return LambdaLR(
        optimizer,
        lambda _: wsd_factor(progress(), warmup=warmup, decay_fraction=decay_fraction, decay_shape=shape),
    )
