"""The objectives of pre-training: what each computes, and what a run must know to train, watch and describe it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from electra_hf.bands import (
    BANDS,
    COIN_TOSS,
    COLLAPSED_ACCURACY,
    COPIES_ALIKE,
    ENERGY_MARGIN,
    LATE,
    healthy_bands,
)
from electra_hf.errors import UsageError
from electra_hf.models import (
    ElectraForMaskedTokenDetection,
    ElectraForReplacedTokenDetection,
    ElectricForPreTraining,
    EncoderForAllTokensMaskedLanguageModeling,
    EncoderForMaskedLanguageModeling,
    EncoderForReplacedMaskedLanguageModeling,
    EncoderForSentencePairs,
    PretrainingModel,
)
from electra_hf.training.metrics import MaskedLanguageModelingMeter, Meter, ReplacedTokenDetectionMeter
from electra_hf.training.pair_metrics import NextSentenceMeter, SentenceOrderMeter
from electra_hf.training.two_encoder_metrics import (
    AllTokensMaskedLanguageModelingMeter,
    ElectricMeter,
    MaskedTokenDetectionMeter,
    ReplacedMaskedLanguageModelingMeter,
)


@dataclass(frozen=True)
class Start:
    """The first loss of a part of a freshly initialised model, which follows from the model.

    Attributes:
        part: In words, such as "generator".
        attribute: Of the joint model, to know whether the part was loaded.
        metric: The loss as it is logged.
        value: In nats.
        formula: The value in words, such as "ln 2".
        tolerance: In nats.
        digits: For people.
    """

    part: str
    attribute: str
    metric: str
    value: float
    formula: str
    tolerance: float
    digits: int


@dataclass(frozen=True)
class Objective:
    """One objective.

    Attributes:
        name: As in `--objective`.
        about: What kind of model it makes, in sentences for a model card.
        tags: For the Hub.
        model: The joint model.
        meter: Its metrics.
        mask_replace_prob: Share of the masked positions that get [MASK], unless an option says otherwise.
        random_replace_prob: Share that gets a random token.
        starts: First losses of a fresh model, from the size of its vocabulary.
        diagnose: (metrics of a window, share of the steps done, masked positions per token) -> {ailment: advice}.
        reads_masks: Whether a model of it reads the text with masks.
        packing: The only packing whose blocks it can learn from, as in `--packing`; None for any.
    """

    name: str
    about: str
    tags: tuple[str, ...]
    model: type[PretrainingModel]
    meter: type[Meter]
    mask_replace_prob: float
    random_replace_prob: float
    starts: Callable[[int], list[Start]]
    diagnose: Callable[[Mapping[str, float], float, float], dict[str, str]]
    packing: str | None = None
    reads_masks: bool = True


def vocabulary_start(part: str, attribute: str, metric: str, vocab_size: int) -> Start:
    """The loss of a head that guesses among all tokens alike: ln V, within 5 %."""
    uniform = math.log(vocab_size)
    return Start(part, attribute, metric, uniform, f"ln {vocab_size:,}", 0.05 * uniform, 2)


def coin_start(part: str, attribute: str, metric: str) -> Start:
    """The loss of a head that tosses a coin: ln 2, within .15."""
    return Start(part, attribute, metric, COIN_TOSS, "ln 2", 0.15, 3)


def _rtd_starts(vocab_size: int) -> list[Start]:
    return [
        vocabulary_start("generator", "generator", "generator_loss", vocab_size),
        coin_start("discriminator", "discriminator", "rtd_loss"),
    ]


def _mlm_starts(vocab_size: int) -> list[Start]:
    return [vocabulary_start("encoder", "masked_lm", "mlm_loss", vocab_size)]


def _generator_start(vocab_size: int) -> list[Start]:
    """Where the main encoder's first loss depends on the share of masked positions."""
    return [vocabulary_start("generator", "generator", "generator_loss", vocab_size)]


def _replace_mlm_starts(vocab_size: int) -> list[Start]:
    return [
        *_generator_start(vocab_size),
        vocabulary_start("encoder", "masked_lm", "main_mlm_loss", vocab_size),
    ]


def _pair_starts(part: str, metric: str) -> Callable[[int], list[Start]]:
    return lambda vocab_size: [*_mlm_starts(vocab_size), coin_start(part, "masked_lm", metric)]


def diagnose_generator(metrics: Mapping[str, float], progress: float, mask_fraction: float) -> dict[str, str]:
    """Look for a generator whose replacements are too few to learn from; see `Objective.diagnose`."""
    bands = healthy_bands(mask_probability=mask_fraction)
    if bands["generator_accuracy"].alarm(metrics["generator_accuracy"], progress):
        return {
            "generator too strong": f"the generator predicts {metrics['generator_accuracy']:.0%} of the masked "
            "tokens, so few are replaced and the main encoder has little to learn: lower --generator_width, or the "
            "text repeats itself"
        }
    if bands["replaced_fraction"].alarm(metrics["replaced_fraction"], progress):
        return {
            "few replacements": f"only {metrics['replaced_fraction']:.1%} of the tokens are replaced: lower "
            "--generator_width, raise --temperature, or look for repeated text"
        }
    if progress > LATE and metrics["generator_accuracy"] < COLLAPSED_ACCURACY:
        return {
            "generator collapsed": f"the generator predicts {metrics['generator_accuracy']:.2%} of the masked tokens, "
            "fewer than by always naming the most frequent one. A run of a few hundred steps may be too short; in a "
            "longer one lower --learning_rate, and bring --generator_feedback, if it is used, nearer to 0"
        }
    return {}


def diagnose_detection(metrics: Mapping[str, float], progress: float, mask_fraction: float) -> dict[str, str]:
    """Look for an unhealthy run of replaced-token detection; see `Objective.diagnose`."""
    findings = diagnose_generator(metrics, progress, mask_fraction)
    alarm = BANDS["rtd_auc"].alarm(metrics["rtd_auc"], progress)
    if alarm == "high":
        findings["replacements give themselves away"] = (
            f"RTD AUC is {metrics['rtd_auc']:.3f}, so there is little left to learn from: the generator is far too "
            "weak (raise --generator_width), frozen at a high --temperature, or helps the discriminator (a positive "
            "--generator_feedback)"
        )
    elif alarm == "low":
        findings["discriminator near chance"] = (
            f"RTD AUC is {metrics['rtd_auc']:.2f} (0.5 is chance). A run of a few thousand steps may be too short, "
            "since the discriminator starts late. A longer one has collapsed: lower --learning_rate, lengthen the "
            "warm-up, or start again from an earlier checkpoint"
        )
    return findings


def _diagnose_copies(metrics: Mapping[str, float], progress: float, mask_fraction: float) -> dict[str, str]:
    findings = diagnose_generator(metrics, progress, mask_fraction)
    if progress > LATE and metrics["replaced_copy_probability"] > COPIES_ALIKE * metrics["copy_probability"]:
        findings["copies everything"] = (
            f"replaced tokens are copied with probability {metrics['replaced_copy_probability']:.2f}, and all tokens "
            f"with {metrics['copy_probability']:.2f}: the encoder does not find the replacements yet. A run of a few "
            "thousand steps may be too short; a longer one needs a higher --main_weight or another --learning_rate"
        )
    return findings


def _diagnose_energies(metrics: Mapping[str, float], progress: float, mask_fraction: float) -> dict[str, str]:
    # The noise is the least that the energies can learn: they start from its likelihoods (`nce_auc` is then 0.5).
    if progress > LATE and metrics["log_likelihood"] < -metrics["generator_loss"] - ENERGY_MARGIN:
        return {
            "energies worse than the noise": f"by its energy a token of the text has the log-likelihood "
            f"{metrics['log_likelihood']:.2f}, and the noise gives it {-metrics['generator_loss']:.2f}. A run of "
            "a few thousand steps may be too short; in a longer one lower --learning_rate or lengthen the warm-up"
        }
    return {}


def _nothing_to_diagnose(metrics: Mapping[str, float], progress: float, mask_fraction: float) -> dict[str, str]:
    return {}


_ALL = (
    Objective(
        name="rtd",
        about="A text encoder pre-trained as in ELECTRA ([Clark et al., 2020](https://arxiv.org/abs/2003.10555)): a "
        "small generator swaps some tokens of a text, and this model, the discriminator, learns to tell which ones. "
        "It is meant to be fine-tuned.",
        tags=("electra", "replaced-token-detection", "pretraining"),
        model=ElectraForReplacedTokenDetection,
        meter=ReplacedTokenDetectionMeter,
        mask_replace_prob=0.85,
        random_replace_prob=0.0,
        starts=_rtd_starts,
        diagnose=diagnose_detection,
    ),
    Objective(
        name="mlm",
        about="A text encoder pre-trained as in BERT ([Devlin et al., 2018](https://arxiv.org/abs/1810.04805)) by "
        "masked language modelling: some tokens of a text are hidden, and the model learns to predict them. It is "
        "meant to be fine-tuned.",
        tags=("masked-language-modeling", "pretraining"),
        model=EncoderForMaskedLanguageModeling,
        meter=MaskedLanguageModelingMeter,
        mask_replace_prob=0.8,
        random_replace_prob=0.1,
        starts=_mlm_starts,
        diagnose=_nothing_to_diagnose,
    ),
    Objective(
        name="electra_15",
        about="A text encoder pre-trained as ELECTRA 15 %, an ablation of ELECTRA "
        "([Clark et al., 2020](https://arxiv.org/abs/2003.10555)): a small generator swaps some tokens of a text, and "
        "this model, the discriminator, learns to tell which ones, from the masked positions only. It is meant to be "
        "fine-tuned.",
        tags=("electra", "replaced-token-detection", "pretraining"),
        model=ElectraForMaskedTokenDetection,
        meter=MaskedTokenDetectionMeter,
        mask_replace_prob=0.85,
        random_replace_prob=0.0,
        starts=_rtd_starts,
        diagnose=diagnose_detection,
    ),
    Objective(
        name="replace_mlm",
        about="A text encoder pre-trained as Replace MLM, an ablation of ELECTRA "
        "([Clark et al., 2020](https://arxiv.org/abs/2003.10555)): a small generator swaps some tokens of a text, and "
        "this model learns to restore them. It has never seen a mask token. It is meant to be fine-tuned.",
        tags=("masked-language-modeling", "pretraining"),
        model=EncoderForReplacedMaskedLanguageModeling,
        meter=ReplacedMaskedLanguageModelingMeter,
        mask_replace_prob=0.85,
        random_replace_prob=0.0,
        starts=_replace_mlm_starts,
        diagnose=diagnose_generator,
    ),
    Objective(
        name="all_tokens_mlm",
        about="A text encoder pre-trained as All-Tokens MLM, an ablation of ELECTRA "
        "([Clark et al., 2020](https://arxiv.org/abs/2003.10555)): a small generator swaps some tokens of a text, and "
        "this model learns to restore the whole text, with a mechanism that copies what was not swapped. It has never "
        "seen a mask token. It is meant to be fine-tuned.",
        tags=("masked-language-modeling", "pretraining"),
        model=EncoderForAllTokensMaskedLanguageModeling,
        meter=AllTokensMaskedLanguageModelingMeter,
        mask_replace_prob=0.85,
        random_replace_prob=0.0,
        starts=_generator_start,
        diagnose=_diagnose_copies,
    ),
    Objective(
        name="electric",
        about="A text encoder pre-trained as Electric "
        "([Clark et al., 2020](https://arxiv.org/abs/2012.08561)): an energy-based model that learns how likely each "
        "token of a text is, from telling the text from noise. It can be fine-tuned, and it scores sentences in one "
        "pass: `electra-hf score`. The logit of a token is its energy, minus the log of its likelihood.",
        tags=("electric", "energy-based-model", "pretraining"),
        model=ElectricForPreTraining,
        meter=ElectricMeter,
        mask_replace_prob=0.85,
        random_replace_prob=0.0,
        starts=_generator_start,
        diagnose=_diagnose_energies,
        reads_masks=False,
    ),
    Objective(
        name="mlm_nsp",
        about="A text encoder pre-trained as BERT ([Devlin et al., 2018](https://arxiv.org/abs/1810.04805)): some "
        "tokens of a text are hidden, and the model learns to predict them and to tell whether two segments follow "
        "each other. It is meant to be fine-tuned.",
        tags=("masked-language-modeling", "next-sentence-prediction", "pretraining"),
        model=EncoderForSentencePairs,
        meter=NextSentenceMeter,
        mask_replace_prob=0.8,
        random_replace_prob=0.1,
        starts=_pair_starts("head for next sentences", "nsp_loss"),
        diagnose=_nothing_to_diagnose,
        packing="nsp",
    ),
    Objective(
        name="mlm_sop",
        about="A text encoder pre-trained as BERT, with the order of sentences in place of next sentences, as in "
        "ALBERT ([Lan et al., 2019](https://arxiv.org/abs/1909.11942)): some tokens of a text are hidden, and the "
        "model learns to predict them and to tell whether two segments were exchanged. It is meant to be fine-tuned.",
        tags=("masked-language-modeling", "sentence-order-prediction", "pretraining"),
        model=EncoderForSentencePairs,
        meter=SentenceOrderMeter,
        mask_replace_prob=0.8,
        random_replace_prob=0.1,
        starts=_pair_starts("head for the order of sentences", "sop_loss"),
        diagnose=_nothing_to_diagnose,
        packing="sop",
    ),
)
OBJECTIVES: dict[str, Objective] = {objective.name: objective for objective in _ALL}


def objective_named(name: str) -> Objective:
    """One of `OBJECTIVES`.

    Raises:
        UsageError: If there is none of this name.
    """
    if name not in OBJECTIVES:
        raise UsageError(f"--objective {name}: choose one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]
