"""The metrics of the objectives with two encoders beside replaced-token detection."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from electra_hf.models import ElectricOutput, ReplacedMaskedLanguageModelingOutput
from electra_hf.training.metrics import DetectionMeter, Meter, ReplacedTokenDetectionMeter, area_under_curve, ratio


class MaskedTokenDetectionMeter(ReplacedTokenDetectionMeter):
    """The metrics of replaced-token detection; those of the discriminator over the masked positions alone."""

    def _judged(self, batch: Mapping[str, Tensor], real: Tensor) -> Tensor:
        weights = batch["masked_weights"]
        zeros = torch.zeros(real.shape, dtype=weights.dtype, device=weights.device)
        return zeros.scatter_add(1, batch["masked_positions"], weights) > 0


class ReplacedMaskedLanguageModelingMeter(Meter):
    """generator_loss, generator_accuracy, replaced_fraction, main_mlm_loss and main_mlm_accuracy."""

    sums = (
        *("generator_loss_sum", "main_mlm_loss_sum", "tokens", "slots", "generator_correct", "main_correct"),
        "replaced",
    )

    def _values(self, outputs: ReplacedMaskedLanguageModelingOutput, batch: Mapping[str, Tensor]) -> list[Tensor]:
        replaced = outputs.replaced_ids != batch["original_ids"]
        return [
            *(outputs.generator_loss_sum, outputs.main_mlm_loss_sum, self._real(batch), batch["masked_weights"]),
            *(outputs.generator_correct, outputs.main_correct, replaced),
        ]

    @torch.no_grad()
    def update(self, outputs: ReplacedMaskedLanguageModelingOutput, batch: Mapping[str, Tensor]) -> None:
        self.state += torch.stack([value.sum(dtype=self.state.dtype) for value in self._values(outputs, batch)])

    def describe(self, sums: dict[str, float], extra: Tensor) -> dict[str, float]:
        return {
            "generator_loss": ratio(sums["generator_loss_sum"], sums["slots"]),
            "generator_accuracy": ratio(sums["generator_correct"], sums["slots"]),
            "replaced_fraction": sums["replaced"] / sums["tokens"],
            "main_mlm_loss": ratio(sums["main_mlm_loss_sum"], sums["slots"]),
            "main_mlm_accuracy": ratio(sums["main_correct"], sums["slots"]),
        }


class AllTokensMaskedLanguageModelingMeter(ReplacedMaskedLanguageModelingMeter):
    """The same with main_mlm_loss over all tokens, all_tokens_accuracy, and the mean probability of copying.

    main_mlm_accuracy stays that at the masked positions; copy_probability is over all tokens, and
    replaced_copy_probability over those that should not be copied.
    """

    sums = (*ReplacedMaskedLanguageModelingMeter.sums, "token_correct", "copied", "replaced_copied")

    def _values(self, outputs: ReplacedMaskedLanguageModelingOutput, batch: Mapping[str, Tensor]) -> list[Tensor]:
        assert outputs.token_correct is not None and outputs.copy_logits is not None
        copied = outputs.copy_logits.sigmoid() * self._real(batch)
        replaced = outputs.replaced_ids != batch["original_ids"]
        return [*super()._values(outputs, batch), outputs.token_correct, copied, copied * replaced]

    def describe(self, sums: dict[str, float], extra: Tensor) -> dict[str, float]:
        return {
            **super().describe(sums, extra),
            "main_mlm_loss": sums["main_mlm_loss_sum"] / sums["tokens"],
            "all_tokens_accuracy": sums["token_correct"] / sums["tokens"],
            "copy_probability": sums["copied"] / sums["tokens"],
            "replaced_copy_probability": ratio(sums["replaced_copied"], sums["replaced"]),
        }


class ElectricMeter(DetectionMeter):
    """generator_loss and generator_accuracy over all tokens that may be drawn, nce_loss, nce_auc, replaced_fraction
    and log_likelihood: minus the mean energy of the tokens of the text that may be drawn and were not.
    """

    sums = (
        *("generator_loss_sum", "nce_loss_sum", "tokens", "candidates", "generator_correct", "replaced"),
        *("kept", "energy_kept"),
    )

    @torch.no_grad()
    def update(self, outputs: ElectricOutput, batch: Mapping[str, Tensor]) -> None:
        real = self._real(batch)
        kept = outputs.candidates & ~outputs.labels
        values: list[Any] = [
            *(outputs.generator_loss_sum, outputs.nce_loss_sum, real, outputs.candidates, outputs.generator_correct),
            *(outputs.corrupted_ids != batch["original_ids"], kept, outputs.energies * kept),
        ]
        dtype = self.state.dtype
        self.state[: len(self.sums)] += torch.stack([value.sum(dtype=dtype) for value in values])
        self._count_scores(outputs.logits, outputs.labels, real)

    def describe(self, sums: dict[str, float], extra: Tensor) -> dict[str, float]:
        return {
            "generator_loss": ratio(sums["generator_loss_sum"], sums["candidates"]),
            "generator_accuracy": ratio(sums["generator_correct"], sums["candidates"]),
            "nce_loss": sums["nce_loss_sum"] / sums["tokens"],
            "nce_auc": area_under_curve(*extra.chunk(2)),
            "log_likelihood": -ratio(sums["energy_kept"], sums["kept"]),
            "replaced_fraction": sums["replaced"] / sums["tokens"],
        }
