"""Every option of run_pretraining.py: three dataclasses, as in transformers' example scripts; one has a base that
run_glue.py shares.

Names follow run_mlm.py and TrainingArguments. Defaults are the paper's where the paper has one.
"""

import logging
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from transformers import TrainingArguments
from transformers.utils.import_utils import is_torch_bf16_gpu_available

from electra_hf.corpora.arguments import SourceArguments
from electra_hf.errors import UsageError
from electra_hf.tokens.arguments import BlockArguments

logger = logging.getLogger(__name__)

ADAMW_PAPER = "adamw_paper"
PAPER_LINEAR = "paper_linear"


@dataclass
class ModelArguments:
    """Which generator and discriminator are pre-trained, and with which objective."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "Go on pre-training this discriminator (folder or Hub id) instead of starting afresh. Without a "
            "generator, in generator/ there or by --generator_name_or_path, that one starts afresh."
        },
    )
    generator_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "The generator's checkpoint, if it is not in generator/ of --model_name_or_path. Alone: the "
            "discriminator starts afresh."
        },
    )
    config_name: str | None = field(
        default=None,
        metadata={"help": "Configuration of the discriminator (folder or Hub id); default: ELECTRA-small's sizes."},
    )
    config_overrides: str | None = field(
        default=None,
        metadata={"help": "Change fields of the discriminator: hidden_size=256,num_hidden_layers=12 (a map in YAML)."},
    )
    generator_width: float = field(
        default=0.25,
        metadata={
            "help": "Generator's width as a fraction of the discriminator's: hidden size, heads, FFN; not layers."
        },
    )
    generator_config_overrides: str | None = field(
        default=None, metadata={"help": "Change fields of the generator after scaling, in the same form."}
    )
    tokenizer_name: str | None = field(
        default=None,
        metadata={"help": "Tokenizer (folder, Hub id or vocab.txt); default: that of --model_name_or_path."},
    )
    train_tokenizer: bool = field(
        default=False, metadata={"help": "Train a WordPiece tokenizer on the corpus instead."}
    )
    vocab_size: int = field(default=30522, metadata={"help": "Tokens of a tokenizer trained with --train_tokenizer."})
    do_lower_case: bool | None = field(
        default=None,
        metadata={
            "help": "Lower-case the text: true or false. Default for --train_tokenizer: true; a bare vocab.txt needs "
            "the answer; any other tokenizer brings its own."
        },
    )
    strip_accents: bool = field(
        default=False,
        metadata={"help": "Remove accents too, in a trained tokenizer; breaks Korean, Japanese and many more."},
    )
    # The settings of the objective are None here, so that those which were not given can be the checkpoint's.
    embedding_sharing: str | None = field(
        default=None,
        metadata={
            "help": "What both encoders share: all (the paper), word or none. This and the other settings of the "
            "objective default to the checkpoint's, and in a fresh model to the value in parentheses (all).",
            "choices": ["all", "word", "none"],
        },
    )
    initialization: str | None = field(
        default=None,
        metadata={
            "help": "How fresh weights are drawn: as google-research/electra or as transformers (reference).",
            "choices": ["reference", "transformers"],
        },
    )
    generator_weight: float | None = field(default=None, metadata={"help": "Weight of the generator's loss (1)."})
    discriminator_weight: float | None = field(
        default=None, metadata={"help": "Weight of the discriminator's loss (50)."}
    )
    sampler: str | None = field(
        default=None,
        metadata={"help": "How replacements are drawn (gumbel).", "choices": ["gumbel", "multinomial"]},
    )
    temperature: float | None = field(default=None, metadata={"help": "Sampling temperature of the generator (1)."})
    disallow_correct: bool | None = field(
        default=None, metadata={"help": "Never sample the original token: true or false (false)."}
    )
    attn_implementation: str | None = field(
        default=None, metadata={"help": "Attention of transformers: sdpa (default), eager, flash_attention_2."}
    )
    cache_dir: str | None = field(default=None, metadata={"help": "Where files from the Hub are kept."})
    model_revision: str = field(default="main", metadata={"help": "Branch, tag or commit on the Hub."})


@dataclass
class DataArguments(BlockArguments, SourceArguments):
    """Where the text comes from, and how it becomes blocks and masks."""

    validation_file: list[str] = field(
        default_factory=list, metadata={"help": "Likewise for evaluation; default: documents held out of the corpus."}
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Train on N blocks, evenly spread."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Evaluate on N blocks, evenly spread."})
    prepared_dir: str | None = field(
        default=None,
        metadata={
            "help": "What `electra-hf prepare` wrote, in place of a source of text. With one: folder for the prepared "
            "blocks; default: in the Hugging Face cache."
        },
    )
    overwrite_cache: bool = field(default=False, metadata={"help": "Prepare again, whatever the folder holds."})
    preprocessing_num_workers: int = field(default=1, metadata={"help": "Processes that prepare the corpus."})
    streaming: bool = field(
        default=False, metadata={"help": "Tokenise while training, without writing blocks; needs --max_steps."}
    )
    shuffle_buffer_size: int = field(default=10_000, metadata={"help": "Blocks in the buffer when streaming."})
    mlm_probability: float = field(default=0.15, metadata={"help": "Masked positions per token (large: 0.25)."})
    mask_replace_prob: float = field(
        default=0.85, metadata={"help": "Masked positions that become [MASK]; the reference keeps the other 15 %%."}
    )
    random_replace_prob: float = field(
        default=0.0, metadata={"help": "Masked positions that become a random token (BERT: 0.1)."}
    )


@dataclass
class ElectraTrainingArguments(TrainingArguments):
    """`TrainingArguments` with the paper's optimiser: what pre-training and fine-tuning share.

    Raises:
        UsageError: For a precision that the device does not have, several GPUs in one process (DataParallel), and
            options that would silently change the batch or the loss.
    """

    script: ClassVar[str] = "run_pretraining.py"

    adam_epsilon: float = field(default=1e-6, metadata={"help": "Epsilon of Adam."})
    optim: str = field(
        default=ADAMW_PAPER,
        metadata={"help": "adamw_paper (no bias correction, as the paper) or any optimiser of transformers."},
    )
    lr_scheduler_type: str = field(
        default=PAPER_LINEAR,
        metadata={"help": "paper_linear (warm-up times linear decay) or any schedule of transformers."},
    )
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Must stay off: it logs NaN as 0."})
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "Every parameter gets a gradient, so there is nothing to look for."}
    )

    def __post_init__(self):
        optim, schedule = self.optim, self.lr_scheduler_type
        self._refuse_silent_changes()
        if not torch.accelerator.is_available():
            self.use_cpu = True
        self._check_precision()
        # TrainingArguments only accepts names it knows; the trainer reads ours afterwards.
        self.optim = "adamw_torch_fused" if optim == ADAMW_PAPER else optim
        self.lr_scheduler_type = "linear" if schedule == PAPER_LINEAR else schedule
        super().__post_init__()
        if optim == ADAMW_PAPER:
            self.optim = ADAMW_PAPER
        if schedule == PAPER_LINEAR:
            self.lr_scheduler_type = PAPER_LINEAR
        if self.n_gpu > 1:
            raise UsageError(
                f"one process sees {self.n_gpu} GPUs, which would use the slow and inexact nn.DataParallel: start "
                f"with `accelerate launch --num_processes {self.n_gpu} {self.script} …`, or choose one GPU with "
                "CUDA_VISIBLE_DEVICES=0"
            )

    def _refuse_silent_changes(self) -> None:
        refused = {
            "auto_find_batch_size": "it changes the batch size, and with it the run; lower "
            "--per_device_train_batch_size and raise --gradient_accumulation_steps",
            "use_liger_kernel": "Liger has no kernels for this model",
            "logging_nan_inf_filter": "it logs a NaN loss as 0",
        }
        for option, reason in refused.items():
            if getattr(self, option):
                raise UsageError(f"--{option} cannot be used: {reason}")
        if not self.average_tokens_across_devices:
            raise UsageError("--average_tokens_across_devices must stay on: the loss is normalised over all processes")

    def _check_precision(self) -> None:
        if self.fp16 and self.use_cpu:
            raise UsageError("fp16 needs a GPU, and this run is on the CPU: use --fp16 false")
        if self.bf16 and self.use_cpu and not cpu_has_bf16():
            raise UsageError(
                "bf16 was asked for, and this CPU has no bf16 instructions: use --bf16 false (fp32 is faster there)"
            )
        if self.bf16 and not self.use_cpu and not is_torch_bf16_gpu_available():
            raise UsageError("bf16 was asked for, and this GPU does not have it: use --fp16, or neither for fp32")


@dataclass
class PretrainingArguments(ElectraTrainingArguments):
    """The options of pre-training: the paper's values, and what exact masks and losses need.

    Raises:
        UsageError: As `ElectraTrainingArguments`.
    """

    do_train: bool = field(default=True, metadata={"help": "Train."})
    learning_rate: float = field(default=5e-4, metadata={"help": "Peak learning rate (small 5e-4, base, large 2e-4)."})
    weight_decay: float = field(default=0.01, metadata={"help": "Not applied to LayerNorm and biases."})
    warmup_steps: float = field(default=0.05, metadata={"help": "Steps, or a fraction of all steps if below 1."})
    logging_steps: float = field(default=100, metadata={"help": "Steps between two lines of metrics."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "Must stay off: masks need every field."})
    dataloader_drop_last: bool = field(default=True, metadata={"help": "Leave out the last partial training batch."})

    def __post_init__(self):
        super().__post_init__()
        if self.data_seed is None:
            # The order of the data must not follow the per-process seeds of dropout and sampling.
            self.data_seed = self.seed


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 in hardware (AMX, AVX-512 or Arm); emulated, it is slower than fp32."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16", "arm_bf16"))
