"""The options that say how text becomes blocks, shared by run_pretraining.py and `electra-hf prepare`."""

from dataclasses import dataclass, field
from typing import Any, cast

from electra_hf.tokens.shards import PackingSettings


@dataclass
class BlockArguments:
    """How documents are held out and packed into blocks."""

    validation_split_percentage: float = field(
        default=5.0, metadata={"help": "Percentage of documents held out for evaluation, 0 for none."}
    )
    max_seq_length: int = field(default=128, metadata={"help": "Tokens in a block."})
    packing: str = field(
        default="full",
        metadata={
            "help": "full: blocks filled across sentences and documents. electra: one or two segments of one "
            "document, as the reference.",
            "choices": ["full", "electra"],
        },
    )
    overflow: str = field(
        default="carry",
        metadata={
            "help": "With --packing electra, text that does not fit is carried on (carry) or lost, as in the "
            "reference (drop).",
            "choices": ["carry", "drop"],
        },
    )
    single_segment_probability: float = field(
        default=0.1, metadata={"help": "With --packing electra, blocks that hold one segment only."}
    )
    short_probability: float = field(
        default=0.05, metadata={"help": "With --packing electra, blocks that aim at a shorter random length."}
    )

    def packing_settings(self, seed: int) -> PackingSettings:
        """The options of the packers.

        Raises:
            UsageError: A value is out of range.
        """
        return PackingSettings(
            packing=cast(Any, self.packing),
            max_seq_length=self.max_seq_length,
            single_segment_probability=self.single_segment_probability,
            short_probability=self.short_probability,
            overflow=cast(Any, self.overflow),
            seed=seed,
        )
