"""Notice in words what a row of numbers hides: a wrong start, a collapse, a generator that is too strong.

The start values follow from the model (ln V for the generator, ln 2 for the discriminator). The other thresholds are
ours, set well outside the bands of public training logs (late RTD loss 0.13-0.16, AUC 0.88-0.90).
"""

import logging
import math
from collections.abc import Mapping

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from electra_hf.errors import ElectraHfError

logger = logging.getLogger(__name__)


def check_start(metrics: Mapping[str, float], vocab_size: int) -> list[str]:
    """Compare the first losses of a freshly initialised model with ln V and ln 2.

    Args:
        metrics: `generator_loss` and `rtd_loss` of the first step, in nats.
        vocab_size: Tokens in the vocabulary.

    Returns:
        One sentence per deviation; empty when the start is right.
    """
    findings = []
    uniform, coin = math.log(vocab_size), math.log(2)
    if abs(metrics["generator_loss"] - uniform) > 0.05 * uniform:
        findings.append(
            f"The generator starts at loss {metrics['generator_loss']:.2f}; a fresh one starts near "
            f"ln({vocab_size}) = "
            f"{uniform:.2f}. Check the initialisation, and that tokenizer and model have the same vocabulary."
        )
    if abs(metrics["rtd_loss"] - coin) > 0.15:
        findings.append(
            f"The discriminator starts at loss {metrics['rtd_loss']:.2f}; a fresh one starts near ln 2 = {coin:.2f}. "
            "Check the initialisation."
        )
    return findings


def diagnose(metrics: Mapping[str, float], progress: float, mask_fraction: float) -> dict[str, str]:
    """Look for an unhealthy run in one window of training metrics.

    Args:
        metrics: What the meter computed.
        progress: Fraction of all steps done; a young run has no verdict on the discriminator.
        mask_fraction: Masked positions per token (0.15).

    Returns:
        {short name: advice}, empty for a healthy run.
    """
    findings = {}
    if metrics["generator_accuracy"] > 0.8:
        findings["generator too strong"] = (
            f"the generator predicts {metrics['generator_accuracy']:.0%} of the masked tokens, so few are replaced "
            f"and "
            "the discriminator has little to learn: lower --generator_width, or the text repeats itself"
        )
    elif metrics["replaced_fraction"] < 0.15 * mask_fraction:
        findings["few replacements"] = (
            f"only {metrics['replaced_fraction']:.1%} of the tokens are replaced: lower --generator_width, raise "
            "--temperature, or look for repeated text"
        )
    if progress > 0.25 and metrics["rtd_auc"] < 0.55:
        findings["discriminator near chance"] = (
            f"RTD AUC is {metrics['rtd_auc']:.2f} (0.5 is chance). A run of a few thousand steps may be too short, "
            "since the discriminator starts late. A longer one has collapsed: lower --learning_rate, lengthen the "
            "warm-up, or start again from an earlier checkpoint"
        )
    return findings


class HealthCallback(TrainerCallback):
    """Checks the start losses of a fresh model, warns once for each ailment, and stops a run whose loss is NaN.

    Args:
        vocab_size: Tokens in the vocabulary.
        mask_fraction: Masked positions per token.
        fresh: The weights were just initialised, so the start values are known.
    """

    def __init__(self, vocab_size: int, mask_fraction: float, fresh: bool):
        self.vocab_size = vocab_size
        self.mask_fraction = mask_fraction
        self.fresh = fresh
        self.warned: set[str] = set()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.global_step == 1 and self.fresh:
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: object,
    ) -> None:
        if not logs or "loss" not in logs or "generator_loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise ElectraHfError(
                f"the loss is {logs['loss']} at step {state.global_step}: training stopped, since every weight would "
                "follow. Resume from the last checkpoint with a lower --learning_rate or a longer --warmup_steps, and "
                "with --bf16 instead of --fp16 if the device has it"
            )
        if state.global_step == 1 and self.fresh:
            for finding in check_start(logs, self.vocab_size):
                logger.warning(finding)
            return
        for name, advice in diagnose(logs, state.global_step / max(1, state.max_steps), self.mask_fraction).items():
            if name not in self.warned:
                self.warned.add(name)
                logger.warning("Step %d, %s: %s.", state.global_step, name, advice)
