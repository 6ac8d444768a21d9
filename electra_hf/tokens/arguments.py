"""The options that say how text becomes blocks, shared by run_pretraining.py and `electra-hf prepare`."""

from dataclasses import dataclass, field
from typing import Any, cast

from electra_hf.tokens.sentence_pairs import PAIR_PACKINGS
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
            "document, as the reference. nsp: two segments, the second one of another document half of the time, as "
            "BERT. sop: two segments, exchanged half of the time, as ALBERT.",
            "choices": ["full", "electra", "nsp", "sop"],
        },
    )
    overflow: str = field(
        default="carry",
        metadata={
            "help": "With --packing electra, nsp or sop, text that does not fit is carried on (carry) or lost, as in "
            "the references (drop).",
            "choices": ["carry", "drop"],
        },
    )
    truncation: str = field(
        default="longest_first",
        metadata={
            "help": "With --packing nsp or sop, what is cut of a pair that is too long: its longer segment "
            "(longest_first, as BERT) or its second one (second_first).",
            "choices": ["longest_first", "second_first"],
        },
    )
    single_segment_probability: float = field(
        default=0.1, metadata={"help": "With --packing electra, blocks that hold one segment only."}
    )
    short_probability: float | None = field(
        default=None,
        metadata={
            "help": "With --packing electra, blocks that aim at a shorter random length (0.05); with nsp and sop, "
            "documents whose blocks do (0.1, as BERT)."
        },
    )

    def packing_settings(self, seed: int) -> PackingSettings:
        """The options of the packers.

        Raises:
            UsageError: A value is out of range.
        """
        pairs = self.packing in PAIR_PACKINGS
        short = (0.1 if pairs else 0.05) if self.short_probability is None else self.short_probability
        return PackingSettings(
            packing=cast(Any, self.packing),
            max_seq_length=self.max_seq_length,
            single_segment_probability=self.single_segment_probability,
            short_probability=short,
            overflow=cast(Any, self.overflow),
            seed=seed,
            truncation=cast(Any, self.truncation),
        )
