"""The recipe of tagging: that of all fine-tuning, and a CRF."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from electra_hf.errors import UsageError
from electra_hf.finetuning.arguments import FinetuningArguments


@dataclass
class TaggingTrainingArguments(FinetuningArguments):
    """`FinetuningArguments` with a CRF.

    Raises:
        UsageError: As `FinetuningArguments`, and for options that do not go with a CRF.
    """

    script: ClassVar[str] = "run_ner.py"

    loss_reduction: str = field(
        default="mean",
        metadata={
            "help": "Over the tagged words of a step: mean, or sum (as the reference; clipping then sets the size of "
            "nearly every gradient). Logged is the mean in either case.",
            "choices": ["mean", "sum"],
        },
    )
    double_unordered: bool | None = field(default=None, metadata={"help": "Not for tagging, which has no pairs."})
    num_train_epochs: float | None = field(default=None, metadata={"help": "Epochs. Default: 10."})
    use_crf: bool = field(
        default=False,
        metadata={
            "help": "Score the whole sequence of tags by a linear-chain CRF on top, and decode with the Viterbi "
            "algorithm. A model that was saved with a CRF is evaluated with it in any case."
        },
    )
    crf_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Peak learning rate of the transitions; default: 1e-2 (they begin at 0, and the rate of an "
            "encoder would hardly move them)."
        },
    )

    def _check_recipe(self) -> None:
        super()._check_recipe()
        rate = self.crf_learning_rate
        if rate is not None and not rate > 0:
            raise UsageError(f"--crf_learning_rate is {rate}: give a number above 0, such as 1e-2")
        if rate is not None and not self.use_crf:
            raise UsageError("--crf_learning_rate is for a CRF: add --use_crf, or leave it out")
        if self.use_crf and self.label_smoothing_factor:
            raise UsageError("--label_smoothing_factor has no meaning for a CRF: leave out one of them")
        if self.double_unordered:
            raise UsageError("--double_unordered swaps the texts of a pair, and tagging has none: leave it out")
        if self.metric:
            raise UsageError("--metric adds metrics of labels of whole texts, not of tags: leave it out")

    @property
    def rate_factors(self) -> dict[str, float]:
        """The transitions have a rate of their own."""
        if not self.use_crf or self.learning_rate is None:
            return {}
        return {"crf": (self.crf_learning_rate or 1e-2) / self.learning_rate}

    @property
    def decided_crf(self) -> dict[str, Any]:
        """The option of the CRF that was left open, as it has been decided."""
        return {"crf_learning_rate": self.crf_learning_rate or 1e-2} if self.use_crf else {}
