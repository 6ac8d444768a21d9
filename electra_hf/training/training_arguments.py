"""How a run is trained: `TrainingArguments` with what pre-training and fine-tuning need beyond it.

Names follow run_mlm.py and TrainingArguments. Defaults are the paper's where the paper has one.
"""

import math
import os
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from transformers import SchedulerType, TrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations
from transformers.utils.import_utils import is_torch_bf16_gpu_available

from electra_hf.errors import UsageError
from electra_hf.ranges import Range, check_ranges
from electra_hf.training.checkpoints.retention import parse_milestones

ADAMW_PAPER = "adamw_paper"
PAPER_LINEAR = "paper_linear"
MUON = "muon"
WSD, TRAPEZOID = "wsd", "trapezoid"
DECAY_SHAPES = ("sqrt", "linear", "cosine")
# More than any time is long enough for.
_UNBOUNDED_STEPS = 1_000_000_000
DECAY_FRACTION = 0.2
MUON_MOMENTUM = 0.95
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
    "save_total_limit": _SIZE,
    "dataloader_num_workers": _NOT_NEGATIVE,
    "label_smoothing_factor": _SHARE,
    "seed": _SEED,
    "data_seed": _SEED,
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

    def __post_init__(self):
        optim, schedule = self.optim, self.lr_scheduler_type
        if self.hub_token:
            # huggingface_hub looks for it there. A field would get into every copy of the arguments that is written.
            os.environ["HF_TOKEN"], self.hub_token = self.hub_token, None
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
        self._check_minutes()
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

    def _check_minutes(self) -> None:
        if self.max_train_minutes is not None and not 0 < self.max_train_minutes < math.inf:
            raise UsageError(f"--max_train_minutes {self.max_train_minutes}: give a number of minutes above 0")
        if not 0 <= self.hang_timeout < math.inf:
            raise UsageError(f"--hang_timeout {self.hang_timeout}: give a number of minutes, or 0 for no watch")

    def _check_trackers(self) -> None:
        there = get_available_reporting_integrations()
        for name in self.report_to or ():
            if name not in there:
                found = f"found here: {', '.join(there)}" if there else "none is found here (tensorboard, wandb, ...)"
                raise UsageError(f"--report_to {name}: no such tracker is installed; {found}")

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
        UsageError: As `ElectraTrainingArguments`, and for impossible warm-ups.
    """

    own_optimizers: ClassVar[tuple[str, ...]] = (ADAMW_PAPER, MUON)

    do_train: bool = field(default=True, metadata={"help": "Train."})
    learning_rate: float = field(default=5e-4, metadata={"help": "Peak learning rate (small 5e-4, base, large 2e-4)."})
    weight_decay: float = field(default=0.01, metadata={"help": "Not applied to LayerNorm and biases."})
    warmup_steps: float = field(default=0.05, metadata={"help": "Steps, or a fraction of all steps if below 1."})
    logging_steps: float = field(default=100, metadata={"help": "Steps between two lines of metrics."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "Must stay off: masks need every field."})
    dataloader_drop_last: bool = field(
        default=True, metadata={"help": "Must stay on: what is left of an epoch is part of others."}
    )
    torch_compile: bool | None = field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=None,
        metadata={
            "help": "Compile the training step: true or false. Default: on NVIDIA and AMD GPUs; on a CPU it takes "
            "minutes for a few per cent.",
            "nargs": "?",
            "const": True,
        },
    )
    schedule_minutes: float | None = field(
        default=None,
        metadata={
            "help": "Train for so many minutes, over all resumes, evaluation and saving not counted: learning rate, "
            "warm-up and decay (paper_linear, wsd, trapezoid) follow the time instead of the steps. --max_steps, if "
            "given, is an upper bound."
        },
    )
    muon_learning_rate: float | None = field(
        default=None,
        metadata={"help": "Peak learning rate of the matrices with --optim muon; default: --learning_rate."},
    )
    muon_momentum: float | None = field(
        default=None, metadata={"help": f"Momentum of the matrices with --optim muon ({MUON_MOMENTUM})."}
    )
    batch_size_warmup_steps: float = field(
        default=0, metadata={"help": "Steps with smaller batches, or a fraction of all steps if below 1; 0: none."}
    )
    batch_size_warmup_start: int | None = field(
        default=None,
        metadata={"help": "Rows per device at the beginning; doubled until --per_device_train_batch_size is reached."},
    )
    length_warmup_steps: float = field(
        default=0,
        metadata={"help": "Steps with blocks cut into shorter rows, or a fraction of all steps if below 1; 0: none."},
    )
    length_warmup_start: int | None = field(
        default=None, metadata={"help": "Length of the rows at the beginning; doubled until --max_seq_length."}
    )
    max_skipped_steps: int = field(
        default=10,
        metadata={
            "help": "Steps in a row that may be skipped because their loss or gradient is NaN or infinite; one more "
            "stops the run."
        },
    )
    spike_threshold: float | None = field(
        default=None,
        metadata={
            "help": "Go back to the last checkpoint, and leave out the data since then, if a logged loss is above "
            "this many times the median of the last ten (1.5, for instance). Default: never."
        },
    )
    max_rollbacks: int = field(
        default=3, metadata={"help": "Rollbacks of --spike_threshold in a run; one more spike stops it."}
    )

    def __post_init__(self):
        if self.torch_compile is None and self.torch_compile_backend is None and self.torch_compile_mode is None:
            self.torch_compile = self.do_train and compiles_by_default(self.device_type)
            if self.torch_compile and self.tf32 is None and not self.bf16:
                # TrainingArguments would lower the precision of fp32 as well, which nobody asked for.
                self.tf32 = False
        super().__post_init__()
        for option in ("muon_learning_rate", "muon_momentum"):
            if getattr(self, option) is not None and self.optim != MUON:
                raise UsageError(f"--{option} has no effect on --optim {self.optim}: leave it out, or use muon")
        if self.optim == MUON and self.muon_momentum is None:
            self.muon_momentum = MUON_MOMENTUM
        if self.muon_learning_rate is not None and self.muon_learning_rate <= 0:
            raise UsageError(f"--muon_learning_rate is {self.muon_learning_rate}; give a rate above 0")
        if self.muon_momentum is not None and not 0 <= self.muon_momentum < 1:
            raise UsageError(f"--muon_momentum is {self.muon_momentum}; give a fraction from 0 up to, but not, 1")
        self._check_warmups()
        self._check_health()
        self._check_schedule_in_time()
        if not self.dataloader_drop_last:
            raise UsageError(
                "--dataloader_drop_last must stay on: every step has whole batches, and the blocks that one epoch "
                "leaves out are not those of the next, which is shuffled anew"
            )
        if not self.dataloader_in_order:
            raise UsageError(
                "--dataloader_in_order must stay on: batches that overtake each other are another run each time"
            )
        if self.data_seed is None:
            # The order of the data must not follow the per-process seeds of dropout and sampling.
            self.data_seed = self.seed

    @property
    def warms_up_batches(self) -> bool:
        """Whether the first batches are smaller, or their rows shorter, than the others."""
        return self.batch_size_warmup_steps > 0 or self.length_warmup_steps > 0

    def _check_health(self) -> None:
        for option in ("max_skipped_steps", "max_rollbacks"):
            if getattr(self, option) < 0:
                raise UsageError(f"--{option} is {getattr(self, option)}; give 0 or more")
        if self.spike_threshold is not None and not self.spike_threshold > 1:
            raise UsageError(f"--spike_threshold is {self.spike_threshold}; give a factor above 1, such as 1.5")

    def _check_warmups(self) -> None:
        for kind in ("batch_size", "length"):
            steps, start = getattr(self, f"{kind}_warmup_steps"), getattr(self, f"{kind}_warmup_start")
            if steps < 0 or (steps > 1 and steps != int(steps)):
                raise UsageError(f"--{kind}_warmup_steps {steps}: give a number of steps, or a fraction below 1")
            if (steps > 0) != (start is not None):
                raise UsageError(f"--{kind}_warmup_steps and --{kind}_warmup_start need each other: give both or none")
            if start is not None and start < 1:
                raise UsageError(f"--{kind}_warmup_start {start}: give a size of at least 1")

    def _check_schedule_in_time(self) -> None:
        if self.schedule_minutes is None:
            return
        if not 0 < self.schedule_minutes < math.inf:
            raise UsageError(f"--schedule_minutes {self.schedule_minutes}: give a number of minutes above 0")
        if self.lr_scheduler_type not in self.own_schedules:
            name = SchedulerType(self.lr_scheduler_type).value
            raise UsageError(
                f"--schedule_minutes needs a schedule that is a function of time: --lr_scheduler_type {name} is none; "
                f"use {', '.join(self.own_schedules)}"
            )
        if self.milestones:
            raise UsageError(
                "--keep_milestones are shares of all steps, and with --schedule_minutes nobody knows how many there "
                "will be: leave it out"
            )
        if self.warmup_steps >= 1:
            raise UsageError(
                f"--warmup_steps {self.warmup_steps:g}: with --schedule_minutes give a fraction of the time below 1"
            )
        fractions = ("logging_steps", "eval_steps", "save_steps", "batch_size_warmup_steps", "length_warmup_steps")
        for option in fractions:
            if 0 < (getattr(self, option) or 0) < 1:
                raise UsageError(
                    f"--{option} {getattr(self, option)}: give a number of steps, since with --schedule_minutes "
                    "nobody knows how many there will be"
                )
        if self.max_steps <= 0:
            self.max_steps = _UNBOUNDED_STEPS


def compiles_by_default(device_type: str) -> bool:
    """Whether compiling the training step pays on such a device; a GPU of AMD is called cuda, too."""
    return device_type == "cuda"


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 in hardware (AMX, AVX-512 or Arm); emulated, it is slower than fp32."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16", "arm_bf16"))
