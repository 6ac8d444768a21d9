"""How a run is trained: `TrainingArguments` with what pre-training and fine-tuning need beyond it.

Names follow run_mlm.py and TrainingArguments. Defaults are the paper's where the paper has one.
"""

import os
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)
from transformers.trainer_utils import HubStrategy
from transformers.utils.import_utils import is_torch_bf16_gpu_available

from electra_hf.errors import UsageError
from electra_hf.ranges import Range, check_ranges
from electra_hf.training.checkpoints.retention import parse_milestones

ADAMW_PAPER = "adamw_paper"
PAPER_LINEAR = "paper_linear"
MUON = "muon"
WSD, TRAPEZOID = "wsd", "trapezoid"
DECAY_SHAPES = ("sqrt", "linear", "cosine")
DECAY_FRACTION = 0.2
_TRACKERS_OF_EXTRA = ("tensorboard", "mlflow", "trackio")
_SIZE, _NOT_NEGATIVE, _POSITIVE, _SHARE = Range(1), Range(0), Range(0, without="low"), Range(0, 1, without="high")
_SEED = Range(0, 2**32 - 1)  # of numpy
_RANGES = {
    "learning_rate": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "adam_beta1": _SHARE,
    "adam_beta2": _SHARE,
    "adam_epsilon": _POSITIVE,
    "max_grad_norm": _NOT_NEGATIVE,
    "warmup_steps": _NOT_NEGATIVE,
    "num_train_epochs": _POSITIVE,
    "max_steps": Range(-1),
    "per_device_train_batch_size": _SIZE,
    "per_device_eval_batch_size": _SIZE,
    "gradient_accumulation_steps": _SIZE,
    "logging_steps": _POSITIVE,
    "save_steps": _POSITIVE,
    "eval_steps": _POSITIVE,
    "save_total_limit": _NOT_NEGATIVE,  # 0 keeps all
    "dataloader_num_workers": _NOT_NEGATIVE,
    "label_smoothing_factor": _SHARE,
    "seed": _SEED,
    "data_seed": _SEED,
    "max_train_minutes": _POSITIVE,
    "hang_timeout": _NOT_NEGATIVE,
}


@dataclass
class ElectraTrainingArguments(TrainingArguments):
    """`TrainingArguments` with the paper's optimiser: what pre-training and fine-tuning share.

    Raises:
        UsageError: For a precision that the device does not have, several GPUs in one process (DataParallel), and
            options that would silently change the batch or the loss.
    """

    script: ClassVar[str] = "run_pretraining.py"
    # What TrainingArguments does not know.
    own_optimizers: ClassVar[tuple[str, ...]] = (ADAMW_PAPER,)
    own_schedules: ClassVar[tuple[str, ...]] = (PAPER_LINEAR, WSD, TRAPEZOID)

    adam_epsilon: float = field(default=1e-6, metadata={"help": "Epsilon of Adam."})
    optim: str = field(
        default=ADAMW_PAPER,
        metadata={
            "help": "adamw_paper (no bias correction, as the paper), muon (in pre-training: for hidden matrices, "
            "adamw_paper for the rest) or any optimiser of transformers."
        },
    )
    lr_scheduler_type: str = field(
        default=PAPER_LINEAR,
        metadata={
            "help": "paper_linear (warm-up times linear decay), wsd (warm-up, stable, decay), trapezoid (wsd with a "
            "linear decay) or any schedule of transformers."
        },
    )
    decay_fraction: float | None = field(
        default=None,
        metadata={"help": f"Share of all steps, at the end, in which wsd and trapezoid decay ({DECAY_FRACTION})."},
    )
    decay_shape: str | None = field(
        default=None,
        metadata={
            "help": "How wsd decays to 0: sqrt (1 - the root of the progress, the default), linear or cosine.",
            "choices": list(DECAY_SHAPES),
        },
    )
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Must stay off: it logs NaN as 0."})
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "Every parameter gets a gradient, so there is nothing to look for."}
    )
    keep_milestones: str | None = field(
        default=None,
        metadata={
            "help": "Per cents of all steps at which a checkpoint is saved that --save_total_limit never removes, "
            "such as 6.25,12.5,25,50,100."
        },
    )
    tune_allocator: bool = field(
        default=True,
        metadata={
            "help": "On a CPU, keep freed memory in the process: steps are about a quarter faster, and memory that "
            "was once used is not given back. Leaves other allocators than glibc's and MALLOC_ variables alone."
        },
    )

    max_train_minutes: float | None = field(
        default=None,
        metadata={
            "help": "Save and stop in time, with exit code 75, before the process has run for so many minutes: its "
            "start and all of its seeds count. For jobs with a time limit; leave some time for what comes after."
        },
    )
    hang_timeout: float = field(
        default=30.0,
        metadata={
            "help": "Say on stderr what the run hangs in, with the stacks of all threads, after so many minutes "
            "without a sign of life; 0: never."
        },
    )

    hub_language: list[str] = field(
        default_factory=list,
        metadata={"help": "Languages of the model for its card, as codes (en, ko ...); default: as far as known."},
    )
    hub_license: str | None = field(
        default=None, metadata={"help": "Licence of the model for its card, by its name on the Hub (apache-2.0 ...)."}
    )

    def __post_init__(self):
        optim, schedule = self.optim, self.lr_scheduler_type
        if self.hub_token:
            # huggingface_hub looks for it there. A field would get into every copy of the arguments that is written.
            os.environ["HF_TOKEN"], self.hub_token = self.hub_token, None
        if isinstance(self.report_to, str) and "," in self.report_to:
            # On the command line it takes one word.
            self.report_to = [name.strip() for name in self.report_to.split(",") if name.strip()]
        check_ranges(self, _RANGES)
        self._refuse_silent_changes()
        if not torch.accelerator.is_available():
            self.use_cpu = True
        if self.accelerator_config is None and self.dataloader_pin_memory and self.device_type == "cuda":
            # Otherwise each batch is copied only when the GPU has done all that came before.
            self.accelerator_config = {"non_blocking": True}
        self._check_precision()
        # TrainingArguments only accepts names it knows; the trainer reads ours afterwards.
        self.optim = "adamw_torch_fused" if optim in self.own_optimizers else optim
        self.lr_scheduler_type = "linear" if schedule in self.own_schedules else schedule
        super().__post_init__()
        if optim in self.own_optimizers:
            self.optim = optim
        if schedule in self.own_schedules:
            self.lr_scheduler_type = schedule
        self._check_decay()
        if self.milestones and self.save_strategy == "best":
            raise UsageError(
                "--keep_milestones and --save_strategy best exclude each other, since that saves after evaluations "
                "only: leave out --keep_milestones, or use --save_strategy steps"
            )
        self._check_trackers()
        if self.n_gpu > 1:
            raise UsageError(
                f"one process sees {self.n_gpu} GPUs, which would use the slow and inexact nn.DataParallel: start "
                f"with `accelerate launch --num_processes {self.n_gpu} {self.script} …`, or choose one GPU with "
                "CUDA_VISIBLE_DEVICES=0"
            )

    @property
    def device_type(self) -> str:
        """`cpu`, `cuda`, `mps` ...: where the run takes place, known before `device` sets the process up for it."""
        accelerator = None if self.use_cpu else torch.accelerator.current_accelerator(check_available=True)
        return accelerator.type if accelerator else "cpu"

    @property
    def milestones(self) -> tuple[float, ...]:
        """Per cents of all steps whose checkpoints are kept, ascending; see `keep_milestones`."""
        return parse_milestones(self.keep_milestones) if self.keep_milestones else ()

    def _refuse_silent_changes(self) -> None:
        refused = {
            "auto_find_batch_size": "it changes the batch size, and with it the run; lower "
            "--per_device_train_batch_size and raise --gradient_accumulation_steps",
            "use_liger_kernel": "Liger has no kernels for this model",
            "logging_nan_inf_filter": "it logs a NaN loss as 0",
            "enable_jit_checkpoint": "it saves within a step, which a resumed run would repeat differently; SIGTERM "
            "saves after the step without any option",
        }
        for option, reason in refused.items():
            if getattr(self, option):
                raise UsageError(f"--{option} cannot be used: {reason}")
        if self.optim == MUON and MUON not in self.own_optimizers:
            raise UsageError(f"--optim muon is for pre-training only: {self.script} takes adamw_paper or adamw_torch")
        if self.push_to_hub and HubStrategy(self.hub_strategy) == HubStrategy.CHECKPOINT:
            raise UsageError(
                "--hub_strategy checkpoint would upload the states of optimiser and random numbers, which stay on "
                "this machine: use end, every_save, or all_checkpoints (each a revision step-N)"
            )
        if not self.average_tokens_across_devices:
            raise UsageError("--average_tokens_across_devices must stay on: the loss is normalised over all processes")

    def _check_decay(self) -> None:
        if self.decay_fraction is None and self.lr_scheduler_type in (WSD, TRAPEZOID):
            self.decay_fraction = DECAY_FRACTION
        if self.decay_fraction is not None and not 0 < self.decay_fraction <= 1:
            raise UsageError(f"--decay_fraction {self.decay_fraction}: give a share of the steps above 0, at most 1")
        if self.decay_shape not in (None, *DECAY_SHAPES):
            raise UsageError(f"--decay_shape {self.decay_shape}: choose {', '.join(DECAY_SHAPES)}")
        for option in ("decay_shape", "decay_fraction"):
            if getattr(self, option) is not None and self.lr_scheduler_type not in (WSD, TRAPEZOID):
                raise UsageError(
                    f"--{option} has no effect on --lr_scheduler_type {self.lr_scheduler_type}: drop it, or use wsd"
                )
        if self.lr_scheduler_type == TRAPEZOID and self.decay_shape not in (None, "linear"):
            raise UsageError(
                f"--decay_shape {self.decay_shape}: trapezoid decays linearly; leave it out, or use "
                "--lr_scheduler_type wsd"
            )

    @property
    def hang_seconds(self) -> float:
        """`hang_timeout`, but well before the processes of a run give up waiting for each other."""
        seconds = 60 * self.hang_timeout
        return min(seconds, 0.8 * self.ddp_timeout) if self.world_size > 1 else seconds

    def _check_trackers(self) -> None:
        there = get_available_reporting_integrations()
        for name in self.report_to or ():
            if name not in there:
                found = f"found here: {', '.join(there)}" if there else "none is found here (tensorboard, wandb, ...)"
                package = "'electra_hf[trackers]'" if name in _TRACKERS_OF_EXTRA else name.replace("_", "-")
                way_out = f"; try pip install {package}" if name in INTEGRATION_TO_CALLBACK else ""
                raise UsageError(f"--report_to {name}: no such tracker is installed; {found}{way_out}")

    def _check_precision(self) -> None:
        if self.fp16 and self.use_cpu:
            raise UsageError("fp16 needs a GPU, and this run is on the CPU: use --fp16 false")
        if self.bf16 and self.use_cpu and not cpu_has_bf16():
            raise UsageError(
                "bf16 was asked for, and this CPU has no bf16 instructions: use --bf16 false (fp32 is faster there)"
            )
        if self.bf16 and not self.use_cpu and not is_torch_bf16_gpu_available():
            raise UsageError("bf16 was asked for, and this GPU does not have it: use --fp16, or neither for fp32")


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 in hardware (AMX, AVX-512 or Arm); emulated, it is slower than fp32."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16", "arm_bf16"))
