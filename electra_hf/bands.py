"""What each metric of a pre-training run should be like: the figures that are known, and nothing where none are.

Three kinds of figures, kept apart:

* *chance* follows from arithmetic: what a model scores that knows nothing.
* *low* and *high* are published: where long runs of healthy models ended. They belong to the recipe of those runs, and
  are left out for another one (`healthy_bands`). A run of a few hours ends outside of them and is not ill for it.
* *alarm_low* and *alarm_high* are thresholds of ours, set well outside of the bands: beyond them training has gone
  wrong (`training.health` warns).

Sources: Clark et al. 2020 (arXiv 2003.10555; "paper" below); the public training logs of NVIDIA's ELECTRA-base
(DeepLearningExamples: total loss 8.68) and of a Spanish ConvBERT-base (total 9.66, masked-token loss 1.705 and
accuracy .618, RTD loss .159, AUC .883, recall .274). Nobody has published what norm of the gradient, precision or
generator loss is healthy, so there are no such bands.
"""

import math
from dataclasses import dataclass, replace

# Young runs have no verdict on what is learnt late: alarms of such metrics hold from this share of the steps on.
LATE = 0.25
COIN_TOSS = math.log(2)
# Accuracy of a generator that has forgotten even the commonest tokens.
COLLAPSED_ACCURACY = 0.002
# Swapped tokens that are copied nearly as often as all tokens, as a share of those, were not found.
COPIES_ALIKE = 0.95
# Nats by which energies may be worse than the noise that they learn from.
ENERGY_MARGIN = 1.0


@dataclass(frozen=True)
class Band:
    """What is known about one metric.

    Attributes:
        low: Lower end of the published values late in training; None if none are known.
        high: Upper end.
        chance: What a model that knows nothing scores; None if that depends on more than the settings of a run.
        meaning: The metric in one line.
        source: Where low and high are from; empty without them.
        alarm_low: Below this something is wrong; None: no such threshold.
        alarm_high: Above this something is wrong.
        alarm_from: Share of the steps from which both hold.
    """

    low: float | None
    high: float | None
    chance: float | None
    meaning: str
    source: str = ""
    alarm_low: float | None = None
    alarm_high: float | None = None
    alarm_from: float = 0.0

    def alarm(self, value: float, progress: float = 1.0) -> str:
        """Which threshold a value is beyond: `low`, `high`, or neither ("").

        Args:
            value: As it was logged; NaN is beyond neither.
            progress: Share of the steps that were done.

        >>> band = Band(None, None, 0.5, "AUC", alarm_low=0.55, alarm_high=0.995, alarm_from=0.25)
        >>> band.alarm(0.51), band.alarm(0.51, progress=0.1), band.alarm(0.999), band.alarm(0.9)
        ('low', '', 'high', '')
        """
        if self.alarm_from > 0 and progress <= self.alarm_from:
            return ""
        if self.alarm_low is not None and value < self.alarm_low:
            return "low"
        return "high" if self.alarm_high is not None and value > self.alarm_high else ""


def binary_entropy(share: float) -> float:
    """Cross-entropy, in nats, of always answering with the true share of positives.

    The RTD loss of a discriminator that knows how many tokens are swapped (`replaced_fraction`), but not which: where
    the loss rests early in a run, and which it must get below.

    >>> binary_entropy(0.0), round(binary_entropy(0.5), 6)
    (0.0, 0.693147)
    """
    return sum(-p * math.log(p) for p in (share, 1 - share) if p > 0)


def _unknown(meaning: str, chance: float | None = None) -> Band:
    return Band(None, None, chance, meaning)


def healthy_bands(
    *,
    objective: str = "rtd",
    vocab_size: int | None = None,
    mask_probability: float = 0.15,
    generator_hidden_size: int | None = None,
    discriminator_weight: float = 50.0,
) -> dict[str, Band]:
    """The band of each metric that pre-training logs, for one recipe; keys are without the prefix `eval_`.

    Args:
        objective: As in `--objective`.
        vocab_size: Tokens of the vocabulary; None leaves out what depends on it.
        mask_probability: Masked positions per token. The published detection figures are for .15.
        generator_hidden_size: Width of the generator. The published accuracies are of base models, whose generators
            are 256 wide; a narrower or an unknown one has no such band.
        discriminator_weight: Of the RTD loss in the total. The published totals are for 50.

    >>> bands = healthy_bands(vocab_size=30_522)
    >>> bands["rtd_auc"].low, bands["rtd_auc"].high, round(bands["generator_loss"].chance, 2)
    (0.88, 0.9, 10.33)
    >>> healthy_bands(mask_probability=0.3)["rtd_loss"].low is None
    True
    """
    uniform = None if vocab_size is None else math.log(vocab_size)
    guess = None if vocab_size is None else 1 / vocab_size
    known = objective == "rtd" and math.isclose(mask_probability, 0.15)
    logs = "public logs of ELECTRA-base and ConvBERT-base at their end, masks of 15 %"
    detection: dict[str, Band] = {
        "rtd_loss": Band(
            0.13, 0.16, COIN_TOSS, "cross-entropy of swapped or not, in nats; it must fall below that of knowing only "
            "how many tokens are swapped", logs
        ),
        "rtd_auc": Band(
            0.88, 0.90, 0.5, "pairs of a swapped and an original token ranked rightly", logs,
            alarm_low=0.55, alarm_high=0.995, alarm_from=LATE,
        ),
        "loss": Band(
            8.0, 9.7, None if uniform is None else uniform + discriminator_weight * COIN_TOSS,
            "what is minimised: generator loss + 50 x RTD loss, in nats", logs
        ),
    }  # fmt: skip
    if not known:
        detection = {name: replace(band, low=None, high=None, source="") for name, band in detection.items()}
    if objective not in ("rtd", "electra_15"):
        detection["loss"] = _unknown("what is minimised, in nats: the weighted sum of the parts")
    elif discriminator_weight != 50:
        meaning = f"what is minimised: generator loss + {discriminator_weight:g} x RTD loss, in nats"
        detection["loss"] = replace(detection["loss"], low=None, high=None, source="", meaning=meaning)
    accuracy = Band(
        None, None, guess, "masked tokens that are the generator's first guess; always naming the commonest token "
        "gets 5 to 6 % in English", alarm_high=0.8
    )  # fmt: skip
    if objective == "electric":
        # A two-tower generator sees all tokens but one: another task, of which no figures are published.
        accuracy = _unknown("tokens that are the generator's first guess", guess)
    elif generator_hidden_size is not None and generator_hidden_size >= 256:
        source = "log of a Spanish ConvBERT-base: .618; paper, section 3.2: .65"
        accuracy = replace(accuracy, low=0.618, high=0.65, source=source)
    swapped = "tokens that the generator swapped: at most the masked ones, and the fewer the better it is"
    return {
        **detection,
        "generator_loss": _unknown("cross-entropy of what the generator predicts, in nats", uniform),
        "generator_accuracy": accuracy,
        "replaced_fraction": Band(
            None, None, None if guess is None else mask_probability * (1 - guess), swapped,
            alarm_low=0.15 * mask_probability,
        ),
        "rtd_precision": _unknown("suspected tokens that were indeed swapped"),
        "rtd_recall": _unknown("swapped tokens that were suspected; .274 in the only public log, at AUC .883", 0.0),
        "mlm_loss": _unknown("cross-entropy at the masked tokens, in nats", uniform),
        "mlm_accuracy": _unknown("masked tokens that are the first guess", guess),
        "main_mlm_loss": _unknown(
            "cross-entropy of the original tokens, in nats", None if objective == "all_tokens_mlm" else uniform
        ),
        "main_mlm_accuracy": _unknown("masked positions whose original is the first guess", guess),
        "all_tokens_accuracy": _unknown("tokens whose original is the first guess, or copied"),
        "copy_probability": _unknown("mean over all tokens, most of which are to be copied"),
        "replaced_copy_probability": _unknown("mean over the swapped tokens, which are not to be copied"),
        "nce_loss": _unknown("cross-entropy of noise or text, in nats"),
        "nce_auc": _unknown("pairs of a drawn and a kept token ranked rightly", 0.5),
        "log_likelihood": _unknown("of a token, from its energy, in nats", None if uniform is None else -uniform),
        "nsp_loss": _unknown("cross-entropy of next or random segment, in nats", COIN_TOSS),
        "nsp_accuracy": _unknown("pairs judged rightly", 0.5),
        "sop_loss": _unknown("cross-entropy of in order or not, in nats", COIN_TOSS),
        "sop_accuracy": _unknown("pairs judged rightly", 0.5),
        "grad_norm": _unknown("norm of the gradient before it is clipped"),
    }  # fmt: skip


# Those of the default recipe, without what depends on the vocabulary: `healthy_bands` for a run.
BANDS: dict[str, Band] = healthy_bands()
