"""Notice in words what a row of numbers hides: a wrong start, a collapse, a generator that is too strong.

The start values follow from the model (ln V for the generator, ln 2 for the discriminator). The other thresholds are
ours, set well outside the bands of public training logs (late RTD loss 0.13-0.16, AUC 0.88-0.90).
"""

import logging
import math
from collections.abc import Collection, Mapping

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from electra_hf.errors import TrainingError

logger = logging.getLogger(__name__)

# A loaded half whose first loss is above this share of a fresh one's has learnt nothing that fits.
_NEAR_FRESH = 0.9


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


def describe_start(
    metrics: Mapping[str, float], vocab_size: int, loaded: Collection[str]
) -> tuple[list[str], list[str]]:
    """Compare the first losses of loaded weights with those of fresh ones.

    Args:
        metrics: `generator_loss` and `rtd_loss` of the first step, in nats: before any update, with dropout.
        vocab_size: Tokens in the vocabulary.
        loaded: `generator`, `discriminator` or both; the other one is fresh.

    Returns:
        What was measured, and warnings: one for each loaded half that starts like a fresh one.
    """
    starts = (
        ("generator", metrics["generator_loss"], ".2f", f"ln {vocab_size:,}", math.log(vocab_size)),
        ("discriminator", metrics["rtd_loss"], ".3f", "ln 2", math.log(2)),
    )
    lines, warnings = [], []
    for half, loss, digits, formula, fresh in starts:
        start = f"The {half} starts at loss {loss:{digits}}"
        if half not in loaded:
            lines.append(f"{start}: it is fresh, and a fresh one starts near {formula} = {fresh:{digits}}.")
        elif loss <= _NEAR_FRESH * fresh:
            lines.append(
                f"{start}. A fresh one starts at {formula} = {fresh:{digits}}: the loaded weights know the text."
            )
        else:
            warnings.append(
                f"{start}, like a fresh one ({formula} = {fresh:{digits}}), though its weights were loaded; they "
                "should start well below. The weights or the vocabulary do not fit this text, or the checkpoint was "
                "hardly trained: check its tokenizer (lower-casing, language) and --model_name_or_path, "
                "--generator_name_or_path."
            )
    return lines, warnings


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
    """Checks the start losses, warns once for each ailment, and stops a run whose loss is NaN.

    Args:
        vocab_size: Tokens in the vocabulary.
        mask_fraction: Masked positions per token.
        fresh: The weights were just initialised, so the start values are known.
        loaded: The halves whose weights were loaded to start with, which must start below them.
    """

    def __init__(self, vocab_size: int, mask_fraction: float, fresh: bool, loaded: Collection[str] = ()):
        self.vocab_size = vocab_size
        self.mask_fraction = mask_fraction
        self.fresh = fresh
        self.loaded = loaded
        self.warned: set[str] = set()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.global_step == 1 and (self.fresh or self.loaded):
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
            # Only under DeepSpeed: elsewhere such steps are skipped (`guarded_trainer`), and none of them is counted.
            raise TrainingError(
                f"the loss is {logs['loss']} at step {state.global_step}: training stopped, since every weight would "
                "follow. Resume from the last checkpoint with a lower --learning_rate or a longer --warmup_steps, and "
                "with --bf16 instead of --fp16 if the device has it"
            )
        if state.global_step == 1 and self.fresh:
            for finding in check_start(logs, self.vocab_size):
                logger.warning(finding)
            return
        if state.global_step == 1 and self.loaded:
            lines, warnings = describe_start(logs, self.vocab_size, self.loaded)
            for line in lines:
                logger.info(line)
            for warning in warnings:
                logger.warning(warning)
            return
        for name, advice in diagnose(logs, state.global_step / max(1, state.max_steps), self.mask_fraction).items():
            if name not in self.warned:
                self.warned.add(name)
                logger.warning("Step %d, %s: %s.", state.global_step, name, advice)
