"""Notice in words what a row of numbers hides: a wrong start, a collapse, a generator that is too strong.

The start values follow from the model (ln V for a head over the vocabulary, ln 2 for the discriminator). The other
thresholds are those of `electra_hf.bands`, and what is said about them is in `objectives`.
"""

import logging
import math
from collections.abc import Collection, Iterable, Mapping

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from electra_hf.errors import TrainingError
from electra_hf.training.objectives import Objective, Start

logger = logging.getLogger(__name__)

# Standard deviation of the fresh weights that the tolerances of start values are for.
_USUAL_WEIGHTS = 0.02
# A loaded half whose first loss is above this share of a fresh one's has learnt nothing that fits.
_NEAR_FRESH = 0.9


def check_start(
    metrics: Mapping[str, float], starts: Iterable[Start], initializer_range: float = _USUAL_WEIGHTS
) -> list[str]:
    """Compare the first losses of a freshly initialised model with what they should be.

    Args:
        metrics: Of the first step, in nats.
        starts: What the objective expects.
        initializer_range: Standard deviation of the fresh weights. The wider they are, the further fresh logits lie
            from zero: a loss grows by their variance, an eighth of it for a coin.

    Returns:
        One sentence per deviation; empty when the start is right.
    """
    wider = max(1.0, initializer_range / _USUAL_WEIGHTS) ** 2
    return [
        f"The {start.part} starts at loss {metrics[start.metric]:.2f}; a fresh one starts near {start.formula} = "
        f"{start.value:.2f}. Check the initialisation, and that tokenizer and model have the same vocabulary."
        for start in starts
        if abs(metrics[start.metric] - start.value) > start.tolerance * wider
    ]


def describe_start(
    metrics: Mapping[str, float], starts: Iterable[Start], loaded: Collection[str]
) -> tuple[list[str], list[str]]:
    """Compare the first losses of loaded weights with those of fresh ones.

    Args:
        metrics: Of the first step, in nats: before any update, with dropout.
        starts: What the objective expects of fresh ones.
        loaded: Attributes of the joint model that were loaded; the others are fresh.

    Returns:
        What was measured, and warnings: one for each loaded part that starts like a fresh one.
    """
    lines, warnings = [], []
    for start in starts:
        loss, digits = metrics[start.metric], f".{start.digits}f"
        words = f"The {start.part} starts at loss {loss:{digits}}"
        fresh = f"{start.formula} = {start.value:{digits}}"
        if start.attribute not in loaded:
            lines.append(f"{words}: it is fresh, and a fresh one starts near {fresh}.")
        elif loss <= _NEAR_FRESH * start.value:
            lines.append(f"{words}. A fresh one starts at {fresh}: the loaded weights know the text.")
        else:
            warnings.append(
                f"{words}, like a fresh one ({fresh}), though its weights were loaded; they should start well below. "
                "The weights or the vocabulary do not fit this text, or the checkpoint was hardly trained: check its "
                "tokenizer (lower-casing, language) and --model_name_or_path, --generator_name_or_path."
            )
    return lines, warnings


class HealthCallback(TrainerCallback):
    """Checks the start losses, warns once for each ailment, and stops a run whose loss is NaN.

    Args:
        objective: Of the run.
        vocab_size: Tokens in the vocabulary.
        mask_fraction: Masked positions per token.
        fresh: The weights were just initialised, so the start values are known.
        loaded: The attributes of the model whose weights were loaded to start with, which must start below them.
        initializer_range: Standard deviation of fresh weights.
    """

    def __init__(
        self,
        objective: Objective,
        vocab_size: int,
        mask_fraction: float,
        fresh: bool,
        loaded: Collection[str] = (),
        initializer_range: float = _USUAL_WEIGHTS,
    ):
        self.objective = objective
        self.starts = objective.starts(vocab_size)
        self.mask_fraction = mask_fraction
        self.fresh = fresh
        self.loaded = loaded
        self.initializer_range = initializer_range
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
        if not logs or "loss" not in logs or self.starts[0].metric not in logs:
            return
        if not math.isfinite(logs["loss"]):
            # Only under DeepSpeed: elsewhere such steps are skipped (`guarded_trainer`), and none of them is counted.
            raise TrainingError(
                f"the loss is {logs['loss']} at step {state.global_step}: training stopped, since every weight would "
                "follow. Resume from the last checkpoint with a lower --learning_rate or a longer --warmup_steps, and "
                "with --bf16 instead of --fp16 if the device has it"
            )
        if state.global_step == 1 and self.fresh:
            for finding in check_start(logs, self.starts, self.initializer_range):
                logger.warning(finding)
            return
        if state.global_step == 1 and self.loaded:
            lines, warnings = describe_start(logs, self.starts, self.loaded)
            for line in lines:
                logger.info(line)
            for warning in warnings:
                logger.warning(warning)
            return
        progress = state.global_step / max(1, state.max_steps)
        for name, advice in self.objective.diagnose(logs, progress, self.mask_fraction).items():
            if name not in self.warned:
                self.warned.add(name)
                logger.warning("Step %d, %s: %s.", state.global_step, name, advice)
