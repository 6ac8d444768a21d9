"""Sums on the device, read once per logging event.

Loss parts, counts and a histogram of the discriminator's logits (for the AUC) live in one device tensor. A step only
adds to it, so it never waits for the device; the tensor is reduced over processes and copied to the host when metrics
are logged. Every metric is then exact over the window: a ratio of sums, not a mean of per-batch ratios.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from electra_hf.models import MaskedLanguageModelingOutput, ReplacedTokenDetectionOutput

_BINS = 2048
_LOGIT_RANGE = 12.0  # sigmoid(-12) = 6e-6: beyond it the order of tokens no longer matters for the AUC


class Meter(ABC):
    """Accumulates one window of steps.

    Attributes:
        sums: What is added up: names of the first numbers of `state`.
        extra: Numbers of `state` after them.
        state: (n,) all of it, on the device.

    Args:
        device: Where the model's outputs are.
    """

    sums: ClassVar[tuple[str, ...]]
    extra: ClassVar[int] = 0

    def __init__(self, device: torch.device | str):
        # float64 keeps counts exact for windows of any length; Apple's GPUs have no float64.
        dtype = torch.float32 if torch.device(device).type == "mps" else torch.float64
        self.state: Tensor = torch.zeros(len(self.sums) + self.extra, dtype=dtype, device=device)

    @abstractmethod
    def update(self, outputs: Any, batch: Mapping[str, Tensor]) -> None:
        """Add one batch; no value reaches the host.

        Args:
            outputs: The model's output for the batch.
            batch: What the model was given.
        """

    @abstractmethod
    def describe(self, sums: dict[str, float], extra: Tensor) -> dict[str, float]:
        """Metrics out of the sums, and the numbers after them; only called when there are tokens."""

    def compute(self, reduce: Callable[[Tensor], Tensor] = lambda state: state) -> dict[str, float]:
        """Metrics of the window, which is then emptied.

        Args:
            reduce: Sums the state over processes; every process must call it.

        Returns:
            The metrics (losses in nats, the others fractions; NaN where nothing was counted, such as the precision of
            a discriminator that suspects nothing) and `tokens`, the number of real tokens. Empty when nothing was
            added.
        """
        state = reduce(self.state.clone()).cpu().double()
        self.state.zero_()
        count = len(self.sums)
        sums = dict(zip(self.sums, state[:count].tolist(), strict=True))
        return {**self.describe(sums, state[count:]), "tokens": sums["tokens"]} if sums["tokens"] else {}

    def tokens(self, reduce: Callable[[Tensor], Tensor] = lambda state: state) -> float:
        """Real tokens of the window so far; see `compute`, which empties it."""
        return float(reduce(self.state[self.sums.index("tokens")].clone()))

    def _real(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(b, l) bool, the real tokens of a batch."""
        mask = batch.get("attention_mask")
        return torch.ones_like(batch["input_ids"], dtype=torch.bool) if mask is None else mask.bool()


class TokenCount:
    """Real tokens that a run has trained on, also those before it was resumed.

    Attributes:
        tokens: Of all processes, in the logging windows that are closed.
    """

    def __init__(self) -> None:
        self.tokens = 0.0

    def state_dict(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"tokens": self.tokens}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from there."""
        self.tokens = float(state["tokens"])


class DetectionMeter(Meter):
    """With histograms of scores, for the area under the ROC curve."""

    extra = 2 * _BINS

    def _count_scores(self, logits: Tensor, positive: Tensor, counted: Tensor) -> None:
        """Add scores to two histograms one after the other: of positive tokens, and of the others; all (b, l)."""
        start = len(self.sums)
        scaled = (logits.clamp(-_LOGIT_RANGE, _LOGIT_RANGE) + _LOGIT_RANGE) / (2 * _LOGIT_RANGE)
        bins = (scaled.nan_to_num() * (_BINS - 1)).long() + torch.where(positive, start, start + _BINS)
        self.state.scatter_add_(0, bins.flatten(), counted.flatten().to(self.state.dtype))


class ReplacedTokenDetectionMeter(DetectionMeter):
    """generator_loss, rtd_loss, generator_accuracy, replaced_fraction, rtd_precision, rtd_recall and rtd_auc."""

    sums = (
        "generator_loss_sum",
        "rtd_loss_sum",
        "slots",
        "generator_correct",
        "tokens",
        "judged",  # what the discriminator learns from
        "replaced",
        "suspected",  # tokens that the discriminator takes for replaced
        "found",  # replaced, and suspected
    )

    @torch.no_grad()
    def update(self, outputs: ReplacedTokenDetectionOutput, batch: Mapping[str, Tensor]) -> None:
        # Few operations, each on many values at once: on a GPU their number is what they cost.
        real = self._real(batch)
        judged = self._judged(batch, real)
        logits, replaced, suspected = outputs.logits, outputs.labels & judged, (outputs.logits > 0) & judged
        dtype = self.state.dtype
        losses = torch.stack([outputs.generator_loss_sum, outputs.rtd_loss_sum]).to(dtype)
        slots = torch.stack([batch["masked_weights"], outputs.generator_correct.to(batch["masked_weights"])])
        tokens = torch.stack([real, judged, replaced, suspected, replaced & suspected])
        count = len(self.sums)
        self.state[:count] += torch.cat([losses, *(x.flatten(1).sum(1, dtype=dtype) for x in (slots, tokens))])
        self._count_scores(logits, replaced, judged)

    def _judged(self, batch: Mapping[str, Tensor], real: Tensor) -> Tensor:
        """(b, l) bool, the tokens whose detection is learnt and measured."""
        return real

    def describe(self, sums: dict[str, float], extra: Tensor) -> dict[str, float]:
        return {
            "generator_loss": ratio(sums["generator_loss_sum"], sums["slots"]),
            "generator_accuracy": ratio(sums["generator_correct"], sums["slots"]),
            "rtd_loss": ratio(sums["rtd_loss_sum"], sums["judged"]),
            "replaced_fraction": sums["replaced"] / sums["tokens"],
            "rtd_precision": ratio(sums["found"], sums["suspected"]),
            "rtd_recall": ratio(sums["found"], sums["replaced"]),
            "rtd_auc": area_under_curve(*extra.chunk(2)),
        }


class MaskedLanguageModelingMeter(Meter):
    """mlm_loss and mlm_accuracy."""

    sums = ("mlm_loss_sum", "slots", "correct", "tokens")

    @torch.no_grad()
    def update(self, outputs: MaskedLanguageModelingOutput, batch: Mapping[str, Tensor]) -> None:
        counts = (batch["masked_weights"], outputs.correct, self._real(batch))
        dtype = self.state.dtype
        self.state += torch.stack([outputs.mlm_loss_sum.to(dtype), *(x.sum(dtype=dtype) for x in counts)])

    def describe(self, sums: dict[str, float], extra: Tensor) -> dict[str, float]:
        return {
            "mlm_loss": ratio(sums["mlm_loss_sum"], sums["slots"]),
            "mlm_accuracy": ratio(sums["correct"], sums["slots"]),
        }


def ratio(part: float, whole: float) -> float:
    """NaN where there is nothing to divide by."""
    return part / whole if whole else float("nan")


def area_under_curve(positives: Tensor, negatives: Tensor) -> float:
    """Area under the ROC curve from two histograms over the same ascending score bins.

    Args:
        positives: (bins,) count of positive examples in each bin.
        negatives: (bins,) count of negative examples.

    Returns:
        P(score of a positive > score of a negative), pairs within one bin counting half; NaN without both kinds.

    >>> area_under_curve(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]))
    1.0
    """
    below = negatives.cumsum(0) - negatives
    pairs = positives.sum() * negatives.sum()
    return ratio((positives * (below + negatives / 2)).sum().item(), pairs.item())


def unigram_accuracy(train_counts: np.ndarray, eval_counts: np.ndarray, special_ids: list[int]) -> float:
    """What a generator scores that always predicts the most frequent training token: the baseline to beat.

    Args:
        train_counts: (vocabulary,) how often each token occurs in the training blocks.
        eval_counts: (vocabulary,) the same for the evaluation blocks.
        special_ids: Ids that are never masked; [UNK] is not one of them.

    Returns:
        Fraction of the maskable evaluation tokens that are that token.
    """
    train_counts, eval_counts = train_counts.copy(), eval_counts.copy()
    train_counts[special_ids] = 0
    eval_counts[special_ids] = 0
    return ratio(float(eval_counts[train_counts.argmax()]), float(eval_counts.sum()))
