"""What is compared, in plain values: the parent process reads this module without importing torch."""

import argparse
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# glibc's malloc gives large blocks back to the system at once, and the next step pays for them in page faults, 17 to
# 62 % of a CPU step. Kept memory costs no contestant anything, so all of them get the same setting.
TUNED_ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "536870912",
}

# Fields of the discriminator and the generator's width: the paper's (table 6), and one for trying things out.
SIZES: dict[str, tuple[dict[str, int], float]] = {
    "tiny": (
        {
            "embedding_size": 32,
            "hidden_size": 64,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
        },
        0.25,
    ),
    "small": (
        {
            "embedding_size": 128,
            "hidden_size": 256,
            "num_attention_heads": 4,
            "intermediate_size": 1024,
            "num_hidden_layers": 12,
        },
        0.25,
    ),
    "base": (
        {
            "embedding_size": 768,
            "hidden_size": 768,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
        },
        1 / 3,
    ),
}

# Tokens of a step: as many as fill the device, without making a round on a small CPU last for minutes.
STEP_TOKENS = {
    "cpu": {"tiny": 1024, "small": 4096, "base": 1024},
    "cuda": {"tiny": 4096, "small": 131_072, "base": 32_768},
}


# Bytes that a step moves for each fp32 parameter, by what has to be touched: read in forward and in backward (8),
# gradient written (4), read for its norm (4), read and written by clipping (8); AdamW reads parameter, gradient and
# two moments (16), and writes all but the gradient (12).
BYTES_PER_PARAMETER = 52

# What a Trainer's time is divided into.
DATA, MODEL, OPTIMIZER = "data loading", "forward and backward", "optimiser"
PARTS = (DATA, MODEL, OPTIMIZER)


@dataclass(frozen=True)
class Workload:
    """What a step works on.

    Attributes:
        size: A key of `SIZES`.
        length: Tokens of a row at most.
        batch_size: Rows of a step.
        precision: "fp32", or "bf16" for autocast.
        data: "packed" for full blocks, "padded" for rows that end with their document or line.
        vocab_size: Rows of the embeddings and of the vocabulary projection.
        dropout: Of hidden states and attention probabilities.
    """

    size: str
    length: int
    batch_size: int
    precision: str
    data: str
    vocab_size: int
    dropout: float

    @property
    def name(self) -> str:
        return f"{self.size}, {self.batch_size} x {self.length}, {self.precision}"


@dataclass(frozen=True)
class Contestant:
    """Who does a step, and with which options.

    Attributes:
        kind: "transformers" for the straightforward baseline in transformers' Trainer, "electra_hf" for this project's
            model in its Trainer, "bare" for this project's model in a bare loop over prepared batches.
        config: Fields of `ReplacedTokenDetectionConfig`.
        model: Attributes of `ElectraForReplacedTokenDetection`, such as `implementation`.
        arguments: Fields of the training arguments.
        encoder: Fields of both encoders' configurations, such as `_attn_implementation`.
        data: The kinds of data that it is measured on.
    """

    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    encoder: dict[str, Any] = field(default_factory=dict)
    data: tuple[str, ...] = ("packed", "padded")


BASELINE, OURS, BARE = "Trainer + transformers", "electra_hf", "electra_hf, bare step"
COMPILED = "electra_hf, compiled"

CONTESTANTS: dict[str, Contestant] = {
    BASELINE: Contestant("transformers"),
    OURS: Contestant("electra_hf"),
    BARE: Contestant("bare", data=("packed",)),
    # Variants: one line each.
    "electra_hf, plain": Contestant("electra_hf", model={"implementation": "plain"}, data=("packed",)),
    "electra_hf, fused": Contestant("electra_hf", model={"implementation": "fused"}, data=("packed",)),
    "electra_hf, native": Contestant("electra_hf", model={"implementation": "native"}, data=("packed",)),
    COMPILED: Contestant("electra_hf", arguments={"torch_compile": True}, data=("packed",)),
}


@dataclass(frozen=True)
class Job:
    """One contestant on one workload: what a worker process is told.

    Attributes:
        name: Of the contestant.
        contestant: Who.
        workload: On what.
        folder: Of the prepared text.
        device: "cpu" or "cuda".
        max_steps: At least as many steps as will be asked for.
        logging_steps: Steps between two logging events.
        num_workers: Processes of the data loader.
        tuned_allocator: Whether malloc is tuned; this project's Trainer does it by itself otherwise.
    """

    name: str
    contestant: Contestant
    workload: Workload
    folder: str
    device: str
    max_steps: int
    logging_steps: int = 10
    num_workers: int = 0
    tuned_allocator: bool = True

    @property
    def rows(self) -> int:
        """Rows of all steps: all contestants of a workload take the same ones."""
        return self.max_steps * self.workload.batch_size

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Job":
        contestant = Contestant(**values["contestant"])
        return cls(**{**values, "contestant": contestant, "workload": Workload(**values["workload"])})


def add_text_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the text and of the machine, which all speed benchmarks share."""
    parser.add_argument("--text", nargs="*", default=[], help="files or folders; default: Python's documentation")
    parser.add_argument(
        "--padded_rows",
        choices=["documents", "lines"],
        default="documents",
        help="lines of one document as far as they fit a row, or one line a row; what is missing is padded",
    )
    parser.add_argument("--max_documents", type=int, default=5_000, help="documents of the text that are used")
    parser.add_argument("--vocab_size", type=int, default=30_522, help="of the model; a smaller tokenizer is padded")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda if there is a GPU")
    parser.add_argument("--dataloader_num_workers", type=int, default=0)
    parser.add_argument("--untuned_allocator", action="store_true", help="leave malloc as it is, for all sides")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/benchmarks"))


def worker_environment(untuned_allocator: bool) -> dict[str, str]:
    """The environment of a worker process: the same allocator for all of them, and no network."""
    environment = {name: value for name, value in os.environ.items() if name not in TUNED_ALLOCATOR}
    if not untuned_allocator:
        environment.update(TUNED_ALLOCATOR)
    here = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
    return {**environment, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
